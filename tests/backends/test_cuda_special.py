"""CUDA's masks, on a stand-in for cupy that runs the kernels' text, against plain selection."""

import math

import numpy as np
import pytest

import minigrad
from minigrad.backends import backend_for
from minigrad.backends.cuda.special import CUDASpecialKernels
from tests.fake_cupy import FakeArray, fake_cupy
from tests.floats import FLOATS


def channels_last(array):
    return np.moveaxis(np.moveaxis(array, int(array.ndim > 1), -1).copy(), -1, int(array.ndim > 1))


LAYOUTS = {
    "rows": lambda a: a.copy(),
    "columns": np.asfortranarray,
    "channels last": channels_last,
    "gaps": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "anywhere": lambda a: np.concatenate([a[:1].reshape(-1)[:1], a.reshape(-1)])[1:].reshape(a.shape),
}


@pytest.fixture(scope="module")
def gpu():
    with fake_cupy():
        backend, _ = backend_for("cuda")
        assert isinstance(backend, CUDASpecialKernels)
        yield backend


def same(actual, expected):
    """To the bit, nan apart."""
    assert actual.dtype == expected.dtype and actual.shape == expected.shape
    np.testing.assert_array_equal(actual.astype("float64"), expected.astype("float64"))
    kept = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(actual)[kept], np.signbit(expected)[kept])


def numbers(random, shape, dtype):
    x = random.standard_normal(shape).astype(dtype)
    least = np.nextafter(np.array(0, dtype), np.array(1, dtype))  # too small for a comparison where such numbers count as 0
    special = np.array([0.0, -0.0, math.inf, -math.inf, math.nan, least, -least], dtype)
    where = random.random(shape) < 0.5
    x[where] = random.choice(special, where.sum())
    return x


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("first", LAYOUTS)
@pytest.mark.parametrize("second", LAYOUTS)
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 7), (1, 8, 1, 1), (1,), (5000,)])
def test_masks(gpu, shape, first, second, dtype):
    random = np.random.default_rng(0)
    x, other = numbers(random, shape, dtype), np.abs(numbers(random, shape, dtype))
    other = np.where(random.random(shape) < 0.1, -np.zeros_like(other), other)
    mask = random.random(shape) < 0.5
    zero = np.zeros((), dtype)
    given = [FakeArray(LAYOUTS[first](x)), FakeArray(LAYOUTS[second](other)), FakeArray(LAYOUTS[second](mask))]
    same(gpu.to_host(gpu.keep(given[0], given[2])), np.where(mask, x, zero))
    result = gpu.keep_positive(given[0], given[1])
    same(gpu.to_host(result), np.where(other != 0, x, zero))
    if second != "gaps":
        lying = np.empty_like(given[1]._hidden)
        assert [s for s, n in zip(result.strides, shape) if n > 1] == [s for s, n in zip(lying.strides, shape) if n > 1]
    for array, before in zip(given, (x, other, mask)):
        same(gpu.to_host(array), before)


@pytest.mark.parametrize("dtype", FLOATS)
def test_what_does_not_fill_its_memory(gpu, dtype):
    other = np.array([[1, 0, 2], [0, 3, 0]], dtype)
    expanded = FakeArray(np.broadcast_to(np.array(5, dtype), (2, 3)))
    wanted = 5 * (other != 0)
    same(gpu.to_host(gpu.keep_positive(expanded, FakeArray(other))), wanted.astype(dtype))
    same(gpu.to_host(gpu.keep(expanded, FakeArray(other != 0))), wanted.astype(dtype))
    x = FakeArray(np.full((2, 3), 5, dtype))
    row = FakeArray(np.broadcast_to(other[0], (2, 3)))
    same(gpu.to_host(gpu.keep_positive(x, row)), 5 * (other[[0, 0]] != 0).astype(dtype))


def test_others_go_to_the_generic_kernel(gpu):
    whole, mask = FakeArray(np.arange(4)), FakeArray(np.array([True, False, True, True]))
    assert gpu.to_host(gpu.keep(whole, mask)).tolist() == [0, 0, 2, 3]
    assert gpu.to_host(gpu.keep_positive(whole, whole)).tolist() == [0, 1, 2, 3]
    single = FakeArray(np.array(2.0))
    assert gpu.to_host(gpu.keep(single, FakeArray(np.array(False)))).tolist() == 0
    assert gpu.to_host(gpu.keep_positive(FakeArray(np.ones(2)), FakeArray(np.array([0, 1], "float32")))).tolist() == [0, 1]
    assert gpu.keep(FakeArray(np.ones((0, 3))), FakeArray(np.ones((0, 3), bool))).shape == (0, 3)
    assert gpu.keep_positive(FakeArray(np.ones((0, 3))), FakeArray(np.ones((0, 3)))).shape == (0, 3)


@pytest.mark.parametrize("dtype", FLOATS)
def test_relu(gpu, dtype):
    numbers = np.array([[-1.0, -0.0, 0.0, 2.0, math.nan, math.inf]] * 3, dtype)
    x = minigrad.tensor(numbers, device="cuda", requires_grad=True)
    minigrad.relu(x).sum().backward()
    assert x.grad.tolist() == [[0, 0, 0, 1, 1, 1]] * 3
    y = minigrad.tensor(numbers, device="cuda", requires_grad=True)
    minigrad.nn.functional.relu6(y).sum().backward()
    assert y.grad.tolist() == [[0, 0, 0, 1, 1, 0]] * 3
