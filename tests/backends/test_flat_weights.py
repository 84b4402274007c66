"""Windows in the order of the weights: all three kernels against plain sums, and where they are taken."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad.cpu
from minigrad.backends import backend_for
from minigrad.backends.cpu import flat_weights
from minigrad.backends.cpu.windows import channels_first, channels_last, windows_over
from minigrad.backends.generic.convolution import ConvolutionKernels as Generic
from tests.backends.convolution_kernels import small_geometries, three_kernels


def same(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("kernel", "padding", "stride", "dilation"), list(small_geometries()))
def test_agrees_with_plain_sums(kernel, padding, stride, dilation):
    rng = np.random.default_rng(0)
    generic = backend_for("cpu")[0]
    x, w = rng.standard_normal((2, 3, 6, 7)), rng.standard_normal((5, 3, *kernel))
    geometry = stride, padding, dilation, 1
    windows = windows_over((6, 7), kernel, stride, padding, dilation)
    expected = Generic.conv2d(generic, x, w, None, *geometry)
    lying = np.ascontiguousarray(channels_last(x))
    y = np.full(channels_last(expected).shape, np.nan)
    flat_weights.correlate(lying, w, windows, y)
    same(channels_first(y), expected)
    dy = rng.standard_normal(y.shape)
    dw = np.full(w.shape, np.nan)
    flat_weights.weight_grad(lying, dy, windows, dw)
    same(dw, Generic.conv2d_weight_grad(generic, channels_first(dy), x, w.shape, *geometry))
    dx = flat_weights.input_grad(dy, w, windows)
    same(channels_first(dx), Generic.conv2d_input_grad(generic, channels_first(dy), w, x.shape, *geometry))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("stride", [1, 2])
def test_chosen_for_few_windows(dtype, stride):
    around = ((1, 1), (1, 1))
    assert set(minigrad.cpu.conv_plan((1, 96, 10, 10), (352, 96, 3, 3), (stride, stride), around)) == {"flat"}
    bound = {np.float64: 1e-13, np.float32: 1e-5, np.float16: 1e-2}[dtype]
    for actual, expected in three_kernels((1, 96, 10, 10, 352, around), dtype, stride):
        assert actual.dtype == dtype
        assert np.abs(actual - expected).max() / expected.std() < bound


def test_not_chosen_otherwise():
    around = {"padding": ((1, 1), (1, 1))}
    assert "flat" not in minigrad.cpu.conv_plan((8, 96, 10, 10), (352, 96, 3, 3), **around)  # windows enough
    assert "flat" not in minigrad.cpu.conv_plan((1, 4, 3, 3), (352, 4, 3, 3), **around)  # light weights
    assert "flat" not in minigrad.cpu.conv_plan((1, 192, 10, 10), (352, 96, 3, 3), groups=2, **around)
    assert "flat" not in minigrad.cpu.conv_plan((1, 1024, 3, 3), (1024, 1024, 1, 1))
