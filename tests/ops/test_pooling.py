"""What the table does not show of pooling: places that exist whatever the values, ties, and third derivatives."""

import numpy as np
import pytest

import minigrad
from minigrad import autograd
from minigrad.backends import backend_of
from minigrad.backends.cpu import pooling
from minigrad.backends.generic.pooling import PoolingKernels
from minigrad.nn import functional as F
from minigrad.testing import gradcheck


def test_indices_are_places_of_the_input_even_where_nothing_is_large():
    """The padding is never the place, although a window full of -inf is no larger than it."""
    x = minigrad.full((1, 1, 3, 3), -float("inf"))
    values, indices = F.max_pool2d(x, 3, 1, 1, return_indices=True)
    assert (values == x).all()
    assert indices.tolist() == [[[[0, 0, 1], [0, 0, 1], [3, 3, 4]]]]


def test_of_equal_elements_the_first_gets_the_gradient():
    x = minigrad.ones(1, 1, 2, 4, requires_grad=True)
    values, indices = F.max_pool2d(x, 2, return_indices=True)
    assert indices.tolist() == [[[[0, 2]]]]
    assert not indices.requires_grad
    assert autograd.grad(values.sum(), x)[0].tolist() == [[[[1, 0, 1, 0], [0, 0, 0, 0]]]]


def test_indices_gather_the_values():
    x = minigrad.tensor(np.random.default_rng(0).standard_normal((2, 3, 7, 9)))
    for values, indices in (
        F.max_pool2d(x, 3, 2, 1, return_indices=True),
        F.max_pool2d(x, (2, 3), 3, dilation=(2, 1), ceil_mode=True, return_indices=True),
        F.adaptive_max_pool2d(x, (3, 4), return_indices=True),
    ):
        gathered = x.flatten(2).gather(2, indices.flatten(2))
        assert gathered.tolist() == values.flatten(2).tolist()


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: F.max_pool2d(x, 2, 1),
        lambda x: F.avg_pool2d(x, 2, 1, 1, count_include_pad=False),
        lambda x: F.adaptive_avg_pool2d(x, 2),
        lambda x: F.adaptive_max_pool2d(x, 2),
    ],
    ids=["max", "average", "adaptive average", "adaptive max"],
)
def test_third_derivatives(pool):
    def second_derivative(x):
        (first,) = autograd.grad((pool(x) ** 4).sum(), x, create_graph=True)
        return autograd.grad((first * first).sum(), x, create_graph=True)

    values = np.random.default_rng(0).permutation(9).reshape(1, 1, 3, 3) / 4 - 1
    assert gradcheck(second_derivative, minigrad.tensor(values, requires_grad=True))


def test_average_of_halves_is_summed_in_float32():
    x = minigrad.full((1, 1, 64, 64), 100.0, dtype="float16")
    for average in (F.avg_pool2d(x, 64), F.adaptive_avg_pool2d(x, 1)):
        assert average.tolist() == [[[[100]]]]


def test_average_of_windows_of_several_sizes_keeps_infinities_where_they_are():
    x = np.ones((1, 1, 2, 4))
    x[0, 0, 0, 0] = np.inf
    assert F.adaptive_avg_pool2d(minigrad.tensor(x), (2, 3)).flatten().tolist() == [np.inf, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [((2, 2), (2, 2), (1, 1)), ((3, 2), (1, 3), (1, 0)), ((1, 3), (2, 1), (0, 1))]
)
def test_the_largest_among_infinities_and_nan(kernel, stride, padding):
    """The padding is never it, and nan always is."""
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).choice([-np.inf, np.nan, 1.0, 2.0], p=[0.7, 0.1, 0.1, 0.1], size=(4, 3, 6, 7))
    values, places = F.max_pool2d(minigrad.tensor(x), kernel, stride, padding, return_indices=True)
    expected, theirs = torch.nn.functional.max_pool2d(torch.tensor(x), kernel, stride, padding, return_indices=True)
    np.testing.assert_array_equal(values.numpy(), expected.numpy())
    found = np.take_along_axis(x.reshape(4, 3, -1), places.numpy().reshape(4, 3, -1), 2).reshape(expected.shape)
    np.testing.assert_array_equal(found, expected.numpy())
    compared = ~np.isnan(expected.numpy())
    np.testing.assert_array_equal(places.numpy()[compared], theirs.numpy()[compared])


def test_windows_too_wide_for_a_byte():
    x = minigrad.randn(1, 2, 3, 300, requires_grad=True)
    values, places = F.max_pool2d(x, (2, 299), (1, 1), return_indices=True)
    assert values.shape == (1, 2, 2, 2)
    assert (x.flatten(2).gather(2, places.flatten(2)) == values.flatten(2)).all()
    assert (F.adaptive_max_pool2d(x, 1) == x.amax((2, 3), keepdim=True)).all()


@pytest.mark.parametrize("limits", [{"LARGE": 1, "BLOCK": 64}, {"BLOCK": 64}], ids=["threads", "one thread"])
@pytest.mark.parametrize(
    "geometry",
    [
        ((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
        ((3, 3), (2, 2), ((1, 0), (0, 1)), (1, 1)),
        ((3, 2), (1, 3), ((3, 1), (2, 2)), (2, 3)),
        ((4, 1), (3, 1), ((2, 3), (0, 2)), (1, 1)),
    ],
)
def test_the_first_of_the_largest_in_blocks_of_any_size(monkeypatch, limits, geometry):
    """With values of which many are equal, and rows and columns of padding at the edges of blocks."""
    for name, number in limits.items():
        monkeypatch.setattr(pooling, name, number)
    x = np.random.default_rng(0).integers(-2, 2, (3, 2, 9, 8)).astype("float32")
    backend = backend_of(x)
    values, numbers = backend.max_pool2d(x, *geometry)
    expected, first = PoolingKernels.max_pool2d(backend, x, *geometry)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(numbers, first)
    np.testing.assert_array_equal(backend.max_pool2d(x, *geometry, numbered=False)[0], expected)
