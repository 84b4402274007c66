"""The gradient by the input with banded weights: against plain sums, and where it is taken."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad.cpu
from minigrad.backends import backend_for
from minigrad.backends.cpu import banded
from minigrad.backends.cpu.windows import channels_first, windows_over
from minigrad.backends.generic.convolution import ConvolutionKernels as Generic
from tests.backends.convolution_kernels import small_geometries


@pytest.mark.parametrize(("kernel", "padding", "stride", "dilation"), list(small_geometries()))
def test_agrees_with_plain_sums(kernel, padding, stride, dilation):
    rng = np.random.default_rng(0)
    generic = backend_for("cpu")[0]
    windows = windows_over((6, 7), kernel, stride, padding, dilation)
    w, dy = rng.standard_normal((5, 3, *kernel)), rng.standard_normal((2, *windows.output_size, 5))
    expected = Generic.conv2d_input_grad(generic, channels_first(dy), w, (2, 3, 6, 7), stride, padding, dilation, 1)
    actual = channels_first(banded.input_grad(dy, w, windows))
    np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("images", [0, 1, 100])
def test_chosen_for_few_channels_and_short_rows(dtype, images):
    x, w = (images, 6, 14, 14), (16, 6, 5, 5)
    geometry = (1, 1), ((0, 0), (0, 0)), (1, 1), 1
    assert minigrad.cpu.conv_plan(x, w, *geometry, np.dtype(dtype).itemsize).input_grad == "banded"
    rng = np.random.default_rng(0)
    weight, dy = rng.standard_normal(w), rng.standard_normal((images, 16, 10, 10))
    cpu = backend_for("cpu")[0]
    actual = cpu.conv2d_input_grad(dy.astype(dtype), weight.astype(dtype), x, *geometry)
    expected = Generic.conv2d_input_grad(cpu, dy, weight, x, *geometry)
    bound = {np.float64: 1e-13, np.float32: 1e-5, np.float16: 1e-2}[dtype]
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual, expected, atol=bound * 20)


def test_not_chosen_otherwise():
    def way(x, w, **options):
        return minigrad.cpu.conv_plan(x, w, **options).input_grad

    assert way((8, 16, 14, 14), (32, 16, 5, 5)) != "banded"  # as many multiplications
    assert way((8, 6, 14, 14), (16, 6, 5, 5), stride=(2, 2)) != "banded"
    assert way((8, 12, 14, 14), (16, 6, 5, 5), groups=2) == "groups"
    assert way((8, 64, 8, 8), (64, 64, 5, 5)) != "banded"  # heavy weights
    assert way((8, 6, 40, 40), (16, 6, 5, 5)) != "banded"  # few windows over the edges
