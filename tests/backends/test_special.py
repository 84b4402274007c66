"""The error function and the masking kernel, of the CPU and over any namespace, against Python's and plain selection."""

import math

import numpy as np
import pytest

import minigrad
from minigrad.backends.cpu import CPUBackend
from minigrad.backends.generic.special import SpecialKernels
from tests.floats import FLOATS


class Generic(SpecialKernels):
    xp = np


KERNELS = [Generic(), CPUBackend()]
EXTREMES = [0.0, -0.0, 1e-300, -1e-10, 1.0, -1.0, 6.5, -6.5, math.inf, -math.inf]


@pytest.mark.parametrize("kernels", KERNELS, ids=["generic", "cpu"])
@pytest.mark.parametrize("name", ["erf", "erfc"])
def test_against_the_c_library(kernels, name):
    x = np.concatenate([np.linspace(-7, 7, 4001), EXTREMES])
    expected = np.array([getattr(math, name)(v) for v in x])
    actual = getattr(kernels, name)(x)
    np.testing.assert_allclose(actual, expected, rtol=1e-14, atol=0)
    assert np.signbit(actual).tolist() == np.signbit(expected).tolist()


def test_generic_erfc_is_exact_until_it_underflows():
    x = np.linspace(1, 26, 5001)
    expected = [math.erfc(v) for v in x]
    np.testing.assert_allclose(Generic().erfc(x), expected, rtol=3e-15)
    assert Generic().erfc(np.array([30.0, 1e300])).tolist() == [0, 0]


@pytest.mark.parametrize("kernels", KERNELS, ids=["generic", "cpu"])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(3, 4), (), (0, 2)])
def test_dtype_shape_and_out(kernels, dtype, shape):
    x = np.random.default_rng(0).normal(size=shape).astype(dtype).reshape(shape)
    for name in ("erf", "erfc"):
        result = np.asarray(getattr(kernels, name)(x))
        assert result.dtype == dtype and result.shape == shape
        out = x.copy()
        assert getattr(kernels, name)(out, out=out) is out
        np.testing.assert_array_equal(out, result)


@pytest.mark.parametrize("kernels", KERNELS, ids=["generic", "cpu"])
def test_nan_stays(kernels):
    assert np.isnan(kernels.erf(np.array([math.nan]))).all() and np.isnan(kernels.erfc(np.array([math.nan]))).all()


@pytest.mark.parametrize("kernels", KERNELS, ids=["generic", "cpu"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_keep(kernels, dtype):
    x = np.array([[1.5, -2.0, math.inf], [-math.inf, math.nan, -0.0]], dtype)
    mask = np.array([[True, False, False], [True, False, True]])
    expected = np.array([[1.5, 0, 0], [-math.inf, 0, -0.0]], dtype)
    for layout in (
        lambda a: a,
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: a[:, ::-1].copy()[:, ::-1],
    ):
        result = kernels.keep(layout(x), layout(mask))
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, expected)
    expanded = np.broadcast_to(np.array(3, dtype), (2, 3))
    np.testing.assert_array_equal(kernels.keep(expanded, mask), 3 * mask.astype(dtype))
    assert np.asarray(kernels.keep(np.array(2, dtype), np.array(True))).dtype == dtype
    assert kernels.keep(x[:0], mask[:0]).shape == (0, 3)
    assert x[0, 1] == -2


@pytest.mark.parametrize("kernels", KERNELS, ids=["generic", "cpu"])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("copies", [1, 1 << 17], ids=["small", "on threads"])
def test_keep_positive(kernels, dtype, copies):
    x = np.array([[1.5, -2.0, math.inf, -math.inf], [math.nan, math.nan, -0.0, 4.0]], dtype)
    other = np.array([[1.0, 0.0, 0.0, math.inf], [0.0, 2.0, 1.0, -math.nan]], dtype)
    other[0, 0] = np.nextafter(other[0, 1], other[0, 3])  # the least number above 0
    expected = np.array([[1.5, 0, 0, -math.inf], [0, math.nan, -0.0, 4.0]])
    x, other, expected = (np.tile(array, (copies, 1)) for array in (x, other, expected))
    for layout in (lambda a: a, np.asfortranarray, lambda a: np.repeat(a, 2, axis=1)[:, ::2]):
        result = kernels.keep_positive(layout(x), layout(other))
        assert result.dtype == dtype
        np.testing.assert_array_equal(result.astype(np.float64), expected)
    wide = kernels.keep_positive(x.astype(np.float64), other)
    assert wide.dtype == np.float64
    np.testing.assert_array_equal(wide, expected)
    np.testing.assert_array_equal(kernels.keep_positive(np.broadcast_to(np.array(3, dtype), x.shape), other), 3 * (other != 0))
    assert kernels.keep_positive(x[:0], other[:0]).shape == (0, 4)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", [1, 33, 1 << 19])
def test_the_gradient_stops_at_what_relu_makes_of_minus_zero(dtype, size):
    x = minigrad.from_numpy(np.full(size, -0.0, dtype)).requires_grad_(True)
    minigrad.relu(x).sum().backward()
    assert not x.grad.numpy().any()
