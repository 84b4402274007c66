"""CUDA's pooling kernels, on a stand-in for cupy that runs their text, against the generic ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from minigrad.backends import backend_for
from minigrad.backends.base import Backend
from minigrad.backends.cuda.layout import THREADS
from minigrad.backends.cuda.pooling import MOST_LINES, CUDAPoolingKernels, axes_over, in_lines
from minigrad.backends.generic.windows import count
from minigrad.dtypes import FLOATING, accumulated_in
from tests.backends.test_convolution import LAYOUTS, in_layout, is_channels_last
from tests.backends.test_pooling import geometries
from tests.fake_cupy import FakeArray, fake_cupy
from tests.floats import FLOATS, REDUCED

cpu, _ = backend_for("cpu")
TOLERANCE = {"float64": 1e-12, "float32": 1e-5, "float16": 1e-2, "bfloat16": 1e-2}


@pytest.fixture(scope="module")
def gpu():
    with fake_cupy():
        backend, _ = backend_for("cuda")
        assert isinstance(backend, CUDAPoolingKernels)
        yield backend


def compare(gpu, name, arguments):
    """The kernel's results, after comparing them with the generic one's."""
    before = [np.array(a) for a in arguments if isinstance(a, np.ndarray)]
    placed = [FakeArray(a) if isinstance(a, np.ndarray) else a for a in arguments]
    found = getattr(gpu, name)(*placed)
    dtype = next(a.dtype for a in arguments if isinstance(a, np.ndarray) and a.dtype in FLOATING)
    wide = accumulated_in(dtype)  # in which the generic one rounds less
    widened = [a.astype(wide) if isinstance(a, np.ndarray) and a.dtype == dtype else a for a in arguments]
    expected = getattr(Backend, name)(cpu, *widened)
    for actual, wanted in zip(*([r if isinstance(r, tuple) else (r,) for r in (found, expected)]), strict=True):
        assert actual.dtype == (dtype if wanted.dtype == wide else wanted.dtype) and is_channels_last(actual), name
        values = gpu.to_host(actual).astype(wanted.dtype)
        tolerance = TOLERANCE.get(str(actual.dtype), 0)
        scale = np.abs(wanted[np.isfinite(wanted)]).max(initial=1)  # a window of padding alone gives -inf
        np.testing.assert_allclose(values, wanted, rtol=tolerance, atol=tolerance * scale, err_msg=name)
    for a, b in zip([a for a in arguments if isinstance(a, np.ndarray)], before):
        np.testing.assert_array_equal(a, b, err_msg=f"{name} changed an input")
    return expected


def check(gpu, input_shape, kernel_size, stride, padding, dilation, layout, dtype):
    random = np.random.default_rng(0)
    N, C, *size = input_shape
    out = [count(size[i], kernel_size[i], stride[i], *padding[i], dilation[i]) for i in range(2)]
    x = in_layout(random.permutation(np.prod(input_shape)).reshape(input_shape).astype(dtype), layout)
    dy = in_layout(random.standard_normal((N, C, *out)).astype(dtype), layout)
    geometry = kernel_size, stride, padding, dilation

    values, taps = compare(gpu, "max_pool2d", (x, *geometry))
    alone, nothing = gpu.max_pool2d(FakeArray(x), *geometry, numbered=False)
    np.testing.assert_array_equal(gpu.to_host(alone), values)
    assert nothing is None
    taps = in_layout(taps, layout) if layout != "gaps" else taps
    compare(gpu, "max_pool2d_grad", (dy, taps, input_shape, *geometry))
    compare(gpu, "max_pool2d_gather", (x, taps, *geometry))
    if dilation == (1, 1):
        for divisor in (3, random.uniform(1, 4, out).astype("float64" if dtype == "float64" else "float32")):
            compare(gpu, "avg_pool2d", (x, *geometry[:3], divisor))
            compare(gpu, "avg_pool2d_grad", (dy, input_shape, *geometry[:3], divisor))


@settings(deadline=None, max_examples=60)
@given(geometries(), st.sampled_from(LAYOUTS), st.sampled_from(FLOATS))
def test_agrees_with_generic(gpu, geometry, layout, dtype):
    check(gpu, *geometry, layout, dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("C", [8, 16, 3, 20])
def test_packs_of_channels(gpu, C, layout, dtype):
    check(gpu, (2, C, 7, 9), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), layout, dtype)
    check(gpu, (1, C, 6, 5), (2, 3), (1, 1), ((0, 1), (-1, 1)), (2, 1), layout, dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_memory_that_begins_anywhere(gpu, dtype):
    """16 bytes cannot be read at once."""
    memory = np.arange(2 * 4 * 4 * 8 + 1, dtype=dtype)
    x = memory[1:].reshape(2, 4, 4, 8).transpose(0, 3, 1, 2)
    compare(gpu, "max_pool2d", (x, (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)))
    compare(gpu, "avg_pool2d", (x, (2, 2), (2, 2), ((0, 0), (0, 0)), 4))


@pytest.mark.parametrize("C", [2, 8])
def test_windows_of_many_elements_are_numbered(gpu, C):
    check(gpu, (1, C, 20, 21), (17, 18), (1, 2), ((3, 2), (0, 1)), (1, 1), "channels last", "float32")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("C", [1, 8])
def test_equal_elements_infinities_and_nan(gpu, C, dtype):
    """Of equal elements the first is the one, never the padding; nan is larger than all, and the first nan is the one."""
    random = np.random.default_rng(0)
    mixed = random.choice(np.array([0.0, -0.0, 1.0, np.inf, -np.inf, np.nan, np.nan]), (3, C, 9, 8)).astype(dtype)
    low = np.full_like(mixed, -np.inf)
    for x, geometry in (
        (mixed, ((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))),
        (mixed, ((3, 2), (1, 1), ((1, 1), (1, 1)), (1, 2))),
        (low, ((3, 2), (1, 1), ((1, 1), (1, 1)), (1, 2))),
    ):
        values, taps = gpu.max_pool2d(FakeArray(x), *geometry)
        wanted, wanted_taps = Backend.max_pool2d(cpu, x.astype("float64"), *geometry)
        np.testing.assert_array_equal(gpu.to_host(values).astype("float64"), wanted)
        np.testing.assert_array_equal(gpu.to_host(taps), wanted_taps)


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 0, 4, 4)])
def test_nothing(gpu, shape):
    check(gpu, shape, (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), "channels last", "float32")


def test_integers_go_to_the_generic_kernel(gpu):
    x = FakeArray(np.arange(16.0).reshape(1, 1, 4, 4).astype("int64"))
    y = gpu.avg_pool2d(x, (2, 2), (2, 2), ((0, 0), (0, 0)), 4)
    assert gpu.to_host(y).tolist() == [[[[2, 4], [10, 12]]]]


@pytest.mark.parametrize("dtype", REDUCED)
def test_short_floats_are_added_in_float32(gpu, dtype):
    x = np.full((1, 8, 50, 50), 30, dtype)
    y = gpu.avg_pool2d(FakeArray(x), (50, 50), (50, 50), ((0, 0), (0, 0)), 2500)
    assert gpu.to_host(y).ravel().tolist() == [30] * 8
    dy = np.full((1, 8, 49, 49), 1, dtype)
    dx = gpu.avg_pool2d_grad(FakeArray(dy), (1, 8, 50, 50), (2, 2), (1, 1), ((0, 0), (0, 0)), 4)
    assert gpu.to_host(dx)[0, 0, 1, 1] == 1


def test_what_the_kernels_are_told():
    axes = axes_over((1, 1, 7, 9), (3, 2), (2, 1), ((1, 0), (-1, 2)), (1, 3))
    assert axes == (7, 3, 3, 2, 1, 1, 9, 7, 2, 1, -1, 3)
    for lines, across in ((1, 1), (56 * 64, 56 * 16), (7 * 64, 7 * 512), (5, 3), (9, 32), (1 << 20, 40), (0, 8), (8, 0)):
        grid, block = in_lines(lines, across)
        assert THREADS / 2 < block[0] * block[1] <= THREADS
        assert grid[0] * block[0] >= across and grid[1] <= MOST_LINES
        assert grid[1] == MOST_LINES or grid[1] * block[1] >= lines
        assert (0 in grid) == (0 in (lines, across))


def test_more_lines_than_a_grid_has(gpu):
    N = MOST_LINES // 2 + 3
    x = np.random.default_rng(0).standard_normal((N, 1, 2, 256)).astype("float32")
    y, _ = gpu.max_pool2d(FakeArray(x), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1))
    np.testing.assert_array_equal(gpu.to_host(y), x)


def test_the_operations(gpu):
    x = minigrad.randn(2, 8, 9, 9, device="cuda", requires_grad=True)
    y = minigrad.nn.functional.max_pool2d(x, 3, 2, 1, ceil_mode=True)
    z = minigrad.nn.functional.avg_pool2d(y, 2, ceil_mode=True, count_include_pad=False)
    z.square().sum().backward()
    here = x.detach().cpu().requires_grad_()
    y = minigrad.nn.functional.max_pool2d(here, 3, 2, 1, ceil_mode=True)
    minigrad.nn.functional.avg_pool2d(y, 2, ceil_mode=True, count_include_pad=False).square().sum().backward()
    np.testing.assert_allclose(x.grad.numpy(force=True), here.grad.numpy(), rtol=1e-5, atol=1e-6)
