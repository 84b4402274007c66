"""Reductions where the table's general checks do not look: kinks, ties, zeros, overflow, and what is not a number."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from minigrad import Tensor
from minigrad.autograd import grad
from minigrad.ops.reduction import products_of_others
from minigrad.testing import gradcheck, gradgradcheck
from tests.floats import REDUCED

INFINITY = float("inf")


def gradient(function, values):
    x = Tensor(np.array(values, float), requires_grad=True)
    function(x).sum().backward()
    return x.grad.tolist()


def assert_gradient_is_torchs(function, values):
    """Of a function of minigrad or torch, and of the tensor."""
    torch = pytest.importorskip("torch")
    x = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    function(torch, x).sum().backward()
    np.testing.assert_array_equal(gradient(lambda y: function(minigrad, y), values), x.grad.numpy())


@pytest.mark.parametrize("name", ["max", "min", "median", "amax", "amin"])
@pytest.mark.parametrize("values", [[np.nan, 1, 2], [np.nan, 1, np.nan]])
def test_gradient_of_the_extremes_of_nan_is_torchs(name, values):
    assert_gradient_is_torchs(lambda t, x: getattr(t, name)(x), values)
    assert_gradient_is_torchs(lambda t, x: (x.amax if name == "amax" else x.amin)(0), values)


@pytest.mark.parametrize("function", [minigrad.amax, minigrad.max], ids=["amax", "max"])
def test_equal_maxima_share_the_gradient(function):
    assert gradient(function, [[3, 1, 3], [0, 3, -3]]) == [[1 / 3, 0, 1 / 3], [0, 1 / 3, 0]]


@pytest.mark.parametrize("function", [minigrad.amin, minigrad.min, minigrad.median], ids=["amin", "min", "median"])
def test_equal_minima_share_the_gradient(function):
    assert gradient(function, [1, 1, 7]) == [0.5, 0.5, 0]


def test_equal_maxima_of_a_dim_share_the_gradient_of_amax():
    assert gradient(lambda x: x.amax(1) * Tensor(np.array([1.0, 10])), [[2, 2, 1], [5, 6, 6]]) == [[0.5, 0.5, 0], [0, 5, 5]]


@pytest.mark.parametrize("name", ["max", "min", "median"])
def test_gradient_of_a_dim_goes_to_the_returned_index(name):
    x = Tensor(np.full((2, 3), 4.0), requires_grad=True)
    values, indices = getattr(x, name)(1)
    values.sum().backward()
    expected = np.zeros((2, 3))
    np.put_along_axis(expected, indices.numpy()[:, None], 1, 1)
    assert x.grad.tolist() == expected.tolist()


def test_pairs_are_named():
    for pair in (minigrad.arange(3).max(0), minigrad.arange(3).sort(), minigrad.arange(3).median(0)):
        values, indices = pair
        assert values is pair.values and indices is pair.indices


def test_second_derivative_at_ties():
    """The shares are constant: (m ** 2)' = 2 m m'."""
    x = Tensor(np.array([2.0, 2, 1]), requires_grad=True)
    (first,) = grad(x.amax() ** 2, x, create_graph=True)
    assert first.tolist() == [2, 2, 0]
    assert grad(first.sum(), x)[0].tolist() == [1, 1, 0]


@pytest.mark.parametrize("p", [2, 1, 3, 1.5, 0.5, INFINITY, "fro", 0])
def test_norm_of_zeros_has_gradient_zero(p):
    assert gradient(lambda x: minigrad.norm(x, p, 1), [[0, 0], [0, 0]]) == [[0, 0], [0, 0]]


@pytest.mark.parametrize("p", [2, 1, 3, 1.5, INFINITY])
def test_norm_with_some_zeros_is_torchs(p):
    torch = pytest.importorskip("torch")
    values = [[0.0, 3, -4], [0, 0, 0], [1, 0, -2]]
    x = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    torch.norm(x, p, 1).sum().backward()
    np.testing.assert_allclose(gradient(lambda y: minigrad.norm(y, p, 1), values), x.grad.numpy(), rtol=1e-12)


def test_norm_of_order_0_counts_nan():
    assert minigrad.norm(minigrad.tensor([float("nan"), 0.0, -3.0]), 0).item() == 2


def test_norm_without_an_order_is_the_2_norm():
    x = minigrad.ones(4)
    assert x.norm(None).item() == minigrad.norm(x, p=None, dim=0).item() == 2


def test_second_derivative_of_the_norm_of_zeros_is_finite():
    x = Tensor(np.zeros(3), requires_grad=True)
    (first,) = grad(minigrad.norm(x), x, create_graph=True)
    assert grad(first.sum(), x)[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", REDUCED)
def test_the_norm_of_short_floats_is_summed_in_float32(dtype):
    x = Tensor(np.full(100, 304, dtype))
    assert x.norm().item() == 3040
    assert x.norm(3).item() == pytest.approx(304 * 100 ** (1 / 3), rel=4e-3 if dtype == "bfloat16" else 1e-3)


def test_std_of_equal_values_has_gradient_zero():
    assert gradient(lambda x: x.std(1), [[2, 2, 2], [1, 2, 3]])[0] == [0, 0, 0]


def test_variance_without_degrees_of_freedom_is_nan():
    assert np.isnan(minigrad.var(Tensor(np.array([3.0]))).item())
    assert np.isnan(minigrad.std(Tensor(np.array([3.0, 4.0])), correction=2).item())
    assert minigrad.var(Tensor(np.array([3.0])), correction=0).item() == 0


UNBIASED = [
    ((False,), {}),
    ((True,), {}),
    ((0, False), {}),
    ((0, True), {}),
    ((0, False, True), {}),
    (((0, 1), False, True), {}),
    ((None, False), {}),
    ((), {"unbiased": False}),
    ((0,), {"unbiased": False, "keepdim": True}),
    ((), {"dim": 0, "unbiased": False}),
    ((0,), {"keepdim": True}),
    ((0,), {"correction": 0, "keepdim": True}),
    ((), {"correction": 2}),
]


@pytest.mark.parametrize("name", ["var", "std", "var_mean"])
@pytest.mark.parametrize(("args", "kwargs"), UNBIASED)
def test_unbiased_is_torchs(name, args, kwargs):
    torch = pytest.importorskip("torch")
    values = np.array([[0.0, 1, 5], [2, 7, 3]])
    ours, theirs = (
        [getattr(minigrad, name)(Tensor(values), *args, **kwargs)],
        getattr(torch, name)(torch.tensor(values), *args, **kwargs),
    )
    if name != "var_mean":
        ours, theirs = [*ours, getattr(Tensor(values), name)(*args, **kwargs)], [theirs, theirs]
    else:
        (ours,) = ours
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our.numpy(), their.numpy(), rtol=1e-12, strict=True)


def test_unbiased_or_a_correction():
    x = minigrad.ones(3)
    with pytest.raises(TypeError, match="std: expected unbiased or correction, got both"):
        x.std(unbiased=False, correction=1)
    with pytest.raises(TypeError, match="var: expected unbiased to be True or False, got 0"):
        x.var(0, 0)


def test_variance_does_not_cancel():
    values = 1e4 + np.array([1.0, 2, 3, 4])
    assert minigrad.var(Tensor(values.astype(np.float32))).item() == pytest.approx(5 / 3, rel=1e-6)


@pytest.mark.parametrize("shape", [(5,), (2, 4), (3, 7), (1,), (8,), (2, 0)])
def test_products_of_others(shape):
    """Against one product per element, with zeros."""
    rng = np.random.default_rng(3)
    values = rng.integers(-1, 3, shape).astype(float)
    result = products_of_others(Tensor(values), len(shape) - 1).numpy()
    for i in range(shape[-1]):
        np.testing.assert_array_equal(result[..., i], np.delete(values, i, -1).prod(-1))


@pytest.mark.parametrize("function", [lambda x: x.prod(), lambda x: x.prod(0), lambda x: x.cumprod(0), lambda x: x.cumprod(1)])
def test_products_with_zeros_have_both_derivatives(function):
    x = Tensor(np.array([[2.0, 0, 3], [0, 0, 0.5], [1.5, 4, 2]]), requires_grad=True)
    gradcheck(function, x, atol=1e-6)
    gradgradcheck(function, x, atol=1e-5)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([0.0, 1, -2, 0.5, 3]), min_size=1, max_size=9))
def test_cumprod_gradient_is_that_of_its_definition(values):
    weights = np.arange(1.0, len(values) + 1)
    expected = [
        sum(weights[k] * np.prod(np.delete(values[: k + 1], i)) for k in range(i, len(values))) for i in range(len(values))
    ]
    np.testing.assert_allclose(gradient(lambda x: x.cumprod(0) * Tensor(weights), values), expected, rtol=1e-12)


def test_logsumexp_at_infinity():
    values = [[-INFINITY, -INFINITY], [0, INFINITY], [-INFINITY, 1]]
    x = Tensor(np.array(values))
    assert x.logsumexp(1).tolist() == [-INFINITY, INFINITY, 1]
    assert gradient(lambda y: y.logsumexp(1), values[2:]) == [[0, 1]]


@pytest.mark.parametrize(
    "values",
    [[1, INFINITY, -2], [INFINITY, INFINITY, 1], [1, np.nan, -2], [np.nan, INFINITY, 1], [-INFINITY, -INFINITY]],
)
def test_logsumexp_hides_no_infinity_and_no_nan_from_its_gradient(values):
    assert_gradient_is_torchs(lambda t, x: t.logsumexp(x, 0), values)


def test_half_precision_sums_in_single():
    x = Tensor(np.ones((3000, 2), np.float16), requires_grad=True)
    assert x.sum(0).tolist() == [3000, 3000]
    assert (x * 30).mean(0).tolist() == [30, 30]
    assert x.cumsum(0)[-1].tolist() == [3000, 3000]
    bias = Tensor(np.zeros(2, np.float16), requires_grad=True)
    (x + bias).sum(0).sum().backward()
    assert bias.grad.tolist() == [3000, 3000]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "bool"])
def test_integers_are_summed_in_int64(dtype):
    x = Tensor(np.ones((100, 4), dtype))
    for result in (x.sum(), x.sum(0), x.cumsum(0), x.prod(0), x.cumprod(1), x.count_nonzero()):
        assert result.dtype == "int64"
    assert x.sum().item() == 400


def test_dtype_is_converted_to_before_summing():
    x = Tensor(np.array([1.5, 2.5]), requires_grad=True)
    assert x.sum(dtype="int64").item() == 3
    assert not x.sum(dtype="int64").requires_grad
    assert x.sum(dtype="float32").dtype == "float32"
    x.sum(dtype="float32").backward()
    assert x.grad.dtype == "float64"
    for dtype in ("bool", "uint8", "int32"):
        for result in (x.sum(dtype=dtype), x.prod(dtype=dtype), x.sum(0, dtype=dtype)):
            assert result.dtype == dtype
        assert x.cumsum(0, dtype=dtype).dtype == minigrad.cumprod(x, 0, dtype=dtype).dtype == dtype
    assert minigrad.tensor([200, 200]).sum(dtype="uint8").item() == 144
    assert minigrad.tensor([200, 200]).cumsum(0, dtype="uint8").tolist() == [200, 144]
    assert x.cumsum(0, dtype="int64").tolist() == [1, 3]
    assert minigrad.tensor([2, 2]).sum(dtype="bool").item() is True
    assert minigrad.arange(4).mean(dtype="float64").item() == 1.5
    assert minigrad.arange(4).prod(dtype="float32").dtype == "float32"


@pytest.mark.parametrize("name", ["amax", "amin", "max", "min", "median", "sum", "mean", "prod", "logsumexp"])
def test_nan_is_passed_on(name):
    x = Tensor(np.array([1.0, np.nan, 3]))
    result = getattr(x, name)(0)
    result = result if isinstance(result, Tensor) else result.values
    assert np.isnan(result.item())


def test_index_of_nan():
    x = Tensor(np.array([[1.0, np.nan, 3], [2, 1, 0]]))
    assert x.max(1).indices.tolist() == [1, 0]
    assert x.min(1).indices.tolist() == [1, 2]
    assert x.median(1).indices.tolist() == [1, 1]


def test_gradient_of_a_sum_takes_no_memory():
    x = Tensor(np.ones((50, 40)), requires_grad=True)
    (first,) = grad(x.sum(1).sum(), x)
    assert first.stride() == (0, 0)


def test_mean_of_nothing_is_nan():
    x = Tensor(np.ones((0, 3)), requires_grad=True)
    assert np.isnan(x.mean().item())
    assert np.isnan(x.mean(0).numpy(force=True)).all()
    x.mean().backward()
    assert x.grad.shape == (0, 3)
