"""Winograd's tiles against plain sums in float64, and the switch that turns them off."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad.cpu
from minigrad.backends import backend_for
from minigrad.backends.cpu import blas, convolution, winograd
from minigrad.backends.cpu import plan as plan_module
from minigrad.backends.cpu.windows import windows_over
from minigrad.backends.generic.convolution import ConvolutionKernels as Generic
from tests.backends.convolution_kernels import three_kernels
from tests.floats import REDUCED

SHAPES = [  # N, C, H, W, OC, padding
    (2, 48, 20, 20, 64, ((1, 1), (1, 1))),
    (3, 64, 17, 22, 48, ((0, 0), (0, 0))),
    (2, 50, 19, 21, 70, ((2, 1), (0, 2))),
    (4, 128, 14, 14, 256, ((1, 1), (1, 1))),
    (16, 256, 7, 7, 256, ((1, 1), (1, 1))),
]
BOUND = 3e-5
"""The error in standard deviations of the result."""


def error(shape, taps=3) -> float:
    results = three_kernels(shape, taps=taps)
    return max(float(np.abs(actual - expected).max() / expected.std()) for actual, expected in results)


def take_tiles(monkeypatch):
    """Also of shapes that are too small for it to pay, and where tiles of four rows would be taken."""
    monkeypatch.setattr(plan_module, "LEAST_OF_NOT_MANY", 0)
    for name in ("FORWARD", "WEIGHT_GRAD"):
        monkeypatch.setattr(plan_module, name, getattr(plan_module, name)._replace(least=0))
    monkeypatch.setattr(plan_module, "TOO_MUCH", 0)


@pytest.mark.parametrize("shape", SHAPES)
def test_agrees_with_plain_sums(shape, monkeypatch):
    take_tiles(monkeypatch)
    N, C, H, W, OC, padding = shape
    plan = minigrad.cpu.conv_plan((N, C, H, W), (OC, C, 3, 3), padding=padding)
    assert plan == ("winograd", "winograd", "winograd")
    assert 3e-6 < error(shape) < BOUND


@pytest.mark.parametrize("shape", [(2, 96, 19, 21, 128, ((2, 1), (0, 2))), (2, 128, 20, 20, 96, ((2, 2), (2, 2)))])
@pytest.mark.parametrize("taps", [4, 5])
def test_larger_filters(taps, shape, monkeypatch):
    take_tiles(monkeypatch)
    N, C, H, W, OC, padding = shape
    plan = minigrad.cpu.conv_plan((N, C, H, W), (OC, C, taps, taps), padding=padding)
    assert plan == ("winograd", "winograd", "winograd")
    assert 3e-6 < error(shape, taps) < BOUND


@pytest.mark.parametrize("small", [False, True], ids=["packed", "small kernels"])
@pytest.mark.parametrize("outweigh", [0, 1 << 30], ids=["panels", "phases"])
@pytest.mark.parametrize("channels", [(400, 400), (350, 384), (384, 350), (72, 200), (64, 16)], ids=str)
def test_heavy_weights(channels, outweigh, small, monkeypatch):
    """Of any number of channels, whether BLAS has kernels for small products or not."""
    take_tiles(monkeypatch)
    monkeypatch.setattr(winograd, "LIGHT", 0)
    monkeypatch.setattr(winograd, "OUTWEIGH", outweigh)
    monkeypatch.setattr(blas, "has_small_kernels", lambda dtype: small)
    winograd._panel.cache_clear()
    try:
        C, OC = channels
        x, w, y = np.empty((3, 14, 14, C)), np.empty((OC, C, 3, 3)), np.empty((3, 14, 14, OC))
        for array in (x, w, y):
            array[...] = np.random.default_rng(0).standard_normal(array.shape)
        windows = windows_over((14, 14), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
        there = winograd.correlate(x.astype("f"), w.astype("f"), (1, 1), (14, 14), False)
        back = winograd.correlate(y.astype("f"), w.astype("f"), (1, 1), (14, 14), True)
    finally:
        winograd._panel.cache_clear()
    with minigrad.cpu.conv_algorithm("im2col"):
        expected = convolution.correlate(x, w, windows, 1), convolution.input_grad(y, w, windows, 1)
    for found, exact in zip((there, back), expected, strict=True):
        assert np.abs(found - exact).max() < BOUND * exact.std()


def test_filters_without_tiles():
    """Of two taps, where they save little, of more than five, and oblong ones."""
    for size in ((2, 2), (6, 6), (3, 5)):
        assert "winograd" not in minigrad.cpu.conv_plan((32, 128, 28, 28), (128, 128, *size))


def test_im2col_is_more_exact():
    with minigrad.cpu.conv_algorithm("im2col"):
        assert all(error(shape) < BOUND / 3 for shape in (SHAPES[0], SHAPES[4]))
        assert "winograd" not in minigrad.cpu.conv_plan((32, 128, 28, 28), (128, 128, 3, 3), padding=((1, 1), (1, 1)))
    assert minigrad.cpu.get_conv_algorithm() == "auto"


def test_algorithm_as_a_function():
    try:
        minigrad.cpu.conv_algorithm("im2col")
        assert minigrad.cpu.get_conv_algorithm() == "im2col"
    finally:
        minigrad.cpu.conv_algorithm("auto")
    plain = minigrad.cpu.conv_algorithm("im2col")
    for _ in range(2):
        with plain:
            assert minigrad.cpu.get_conv_algorithm() == "im2col"
        assert minigrad.cpu.get_conv_algorithm() == "auto"
    with pytest.raises(ValueError, match="expected 'auto' or 'im2col', got 'fft'"):
        minigrad.cpu.conv_algorithm("fft")


@pytest.mark.parametrize("dtype", [*REDUCED, "float64"])
def test_other_dtypes_take_plain_sums(dtype):
    rng = np.random.default_rng(0)
    cpu = backend_for("cpu")[0]
    x, w = rng.normal(size=(2, 48, 20, 20)).astype(dtype), rng.normal(size=(48, 48, 3, 3)).astype(dtype)
    geometry = (1, 1), ((1, 1), (1, 1)), (1, 1), 1
    actual, expected = cpu.conv2d(x, w, None, *geometry), Generic.conv2d(cpu, x, w, None, *geometry)
    rtol = {"float64": 1e-12, "float16": 1e-2, "bfloat16": 2e-2}[dtype]
    np.testing.assert_allclose(actual.astype("float64"), expected.astype("float64"), rtol=rtol, atol=10 * rtol)


def test_few_windows_take_plain_sums():
    """The transform of the weights, which is the same for any number of windows, would cost more than all else."""
    for images, expected in ((5, "phases"), (32, "winograd")):
        plan = minigrad.cpu.conv_plan((images, 512, 7, 7), (512, 512, 3, 3), padding=((1, 1), (1, 1)))
        assert set(plan) == {expected}


def test_from_many_channels_to_few_it_pays_but_for_the_gradient_by_the_weight(monkeypatch):
    take_tiles(monkeypatch)
    plan = minigrad.cpu.conv_plan((4, 128, 28, 28), (32, 128, 3, 3), padding=((1, 1), (1, 1)))
    assert (plan.forward, plan.input_grad) == ("winograd", "winograd")
    assert plan.weight_grad != "winograd"
