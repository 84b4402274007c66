"""The CPU's pooling kernels against the generic ones, and those against the definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.backends import backend_for
from minigrad.backends.base import Backend
from minigrad.backends.cpu import windows
from minigrad.backends.generic.windows import count
from tests.backends.test_convolution import LAYOUTS, in_layout, is_channels_last
from tests.floats import FLOATS

cpu, _ = backend_for("cpu")


@st.composite
def geometries(draw):
    """(input's shape, kernel_size, stride, padding, dilation)."""

    def pair(low, high):
        return st.tuples(st.integers(low, high), st.integers(low, high))

    kernel, stride, dilation = draw(pair(1, 4)), draw(pair(1, 5)), draw(pair(1, 3))
    padding = tuple((draw(st.integers(0, k // 2)), draw(st.integers(-1, k))) for k in kernel)
    size = []
    for i in range(2):
        least = dilation[i] * (kernel[i] - 1) + 1 - sum(padding[i])
        size.append(max(kernel[i] // 2 + 1, least + draw(st.integers(0, 5))))
    return (draw(st.integers(0, 3)), draw(st.integers(1, 4)), *size), kernel, stride, padding, dilation


def check(input_shape, kernel_size, stride, padding, dilation, layout, dtype="float64"):
    random = np.random.default_rng(0)
    N, C, *size = input_shape
    out = [count(size[i], kernel_size[i], stride[i], *padding[i], dilation[i]) for i in range(2)]
    x = in_layout(random.permutation(np.prod(input_shape)).reshape(input_shape).astype(dtype), layout)
    dy = in_layout(random.standard_normal((N, C, *out)).astype(dtype), layout)
    geometry = kernel_size, stride, padding, dilation

    values, taps = compare("max_pool2d", (x, *geometry), dtype)
    alone, nothing = cpu.max_pool2d(x, *geometry, numbered=False)
    np.testing.assert_array_equal(alone, values)
    assert nothing is None
    compare("max_pool2d_grad", (dy, taps, input_shape, *geometry), dtype)
    gathered = compare("max_pool2d_gather", (x, taps, *geometry), dtype)
    np.testing.assert_array_equal(gathered, np.where(np.isinf(values), 0, values))
    if dilation == (1, 1):
        for divisor in (3, random.uniform(1, 4, out).astype(dtype)):
            compare("avg_pool2d", (x, *geometry[:3], divisor), dtype)
            compare("avg_pool2d_grad", (dy, input_shape, *geometry[:3], divisor), dtype)


def compare(name, arguments, dtype):
    """The CPU's result, after comparing it with the generic one."""
    before = [np.array(a) for a in arguments if isinstance(a, np.ndarray)]
    actual = getattr(cpu, name)(*arguments)
    expected = getattr(Backend, name)(cpu, *arguments)
    tolerance = {"float64": 1e-12, "float32": 1e-5, "float16": 1e-2, "bfloat16": 2e-2}[dtype]
    results = zip(actual, expected) if isinstance(actual, tuple) else [(actual, expected)]
    for a, e in results:
        assert a.dtype == e.dtype
        scale = np.abs(e[np.isfinite(e)]).max(initial=1)  # a window of padding alone gives -inf
        np.testing.assert_allclose(a, e, rtol=tolerance, atol=tolerance * scale, err_msg=name)
        assert is_channels_last(a), name
    for a, b in zip([a for a in arguments if isinstance(a, np.ndarray)], before):
        np.testing.assert_array_equal(a, b, err_msg=f"{name} changed an input")
    return actual


@settings(deadline=None, max_examples=150)
@given(geometries(), st.sampled_from(LAYOUTS), st.sampled_from(FLOATS))
def test_cpu_agrees_with_generic(geometry, layout, dtype):
    check(*geometry, layout, dtype)


@settings(deadline=None, max_examples=60)
@given(geometries(), st.sampled_from([1, 100, 1000]))
def test_blocks_of_any_size(geometry, block):
    before, windows.BLOCK = windows.BLOCK, block
    try:
        check(*geometry, "channels last")
    finally:
        windows.BLOCK = before


def test_windows_of_many_elements_are_numbered():
    check((1, 2, 20, 21), (17, 18), (1, 2), ((3, 2), (0, 1)), (1, 1), "channels last")


@pytest.mark.parametrize("kernels", [cpu, Backend], ids=["cpu", "generic"])
def test_equal_elements_and_nan(kernels):
    """Of equal elements the first is the one; nan is larger than all."""

    def pool(x):
        return kernels.max_pool2d(*([cpu] if kernels is Backend else []), x, (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))

    values, taps = pool(np.array([[[[1.0, 2, 7, 7], [2, 0, 7, 7]]]]))
    assert values.tolist() == [[[[2, 7]]]]
    assert taps.tolist() == [[[[1, 0]]]]
    assert np.isnan(pool(np.array([[[[1.0, np.nan], [2, 0]]]]))[0]).all()


def test_generic_agrees_with_the_definition():
    random = np.random.default_rng(0)
    x = random.standard_normal((2, 3, 9, 8))
    (KH, KW), (SH, SW), (DH, DW) = geometry = (3, 2), (2, 3), (2, 1)
    values, taps = Backend.max_pool2d(cpu, x, *geometry[:2], ((1, 1), (1, 0)), geometry[2])
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 0)), constant_values=-np.inf)
    for n, c, i, j in np.ndindex(values.shape):
        rows, columns = i * SH + DH * np.arange(KH), j * SW + DW * np.arange(KW)
        window = padded[n, c][np.ix_(rows, columns)]
        assert values[n, c, i, j] == window.max()
        assert taps[n, c, i, j] == window.argmax()
    averages = Backend.avg_pool2d(cpu, x, (3, 2), (2, 3), ((1, 1), (1, 0)), 6)
    padded[np.isinf(padded)] = 0
    for n, c, i, j in np.ndindex(averages.shape):
        window = padded[n, c, i * SH : i * SH + KH, j * SW : j * SW + KW]
        assert averages[n, c, i, j] == pytest.approx(window.sum() / 6)


@pytest.mark.parametrize("kernels", [cpu, Backend], ids=["cpu", "generic"])
def test_gradients_are_adjoint(kernels):
    random = np.random.default_rng(0)
    self = [cpu] if kernels is Backend else []
    x = random.standard_normal((2, 3, 9, 8))
    geometry = (3, 2), (2, 1), ((1, 0), (0, 1)), (1, 2)
    values, taps = kernels.max_pool2d(*self, x, *geometry)
    dy = random.standard_normal(values.shape)
    dx = kernels.max_pool2d_grad(*self, dy, taps, x.shape, *geometry)
    assert (x * dx).sum() == pytest.approx((values * dy).sum(), rel=1e-12)
    averages = kernels.avg_pool2d(*self, x, *geometry[:3], 5)
    dy = random.standard_normal(averages.shape)
    dx = kernels.avg_pool2d_grad(*self, dy, x.shape, *geometry[:3], 5)
    assert (x * dx).sum() == pytest.approx((averages * dy).sum(), rel=1e-12)
