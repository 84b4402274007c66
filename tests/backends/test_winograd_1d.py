"""Winograd's tiles of four rows against sums over windows in float64, whatever the padding and the parts; when it is taken."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import minigrad.cpu
from minigrad.backends.cpu import blas, plan, winograd_1d
from minigrad.backends.cpu.windows import windows_over
from tests.backends.convolution_kernels import three_kernels

SHAPES = [  # N, C, H, W, OC, padding
    (16, 16, 32, 32, 16, ((1, 1), (1, 1))),
    (20, 24, 27, 24, 20, ((0, 0), (0, 0))),
    (24, 32, 23, 25, 16, ((2, 1), (0, 2))),
]
BOUND = 1e-5
"""The error in standard deviations of the result."""


def cases():
    paddings = ((0, 0), (1, 1), (4, 0), (-1, 2), (2, -1))
    for size, taps, rows, columns in itertools.product(((3, 2), (6, 9), (8, 4)), (1, 2, 3), paddings, paddings):
        if all(n + sum(pads) >= k for n, pads, k in zip(size, (rows, columns), (3, taps))):
            yield size, taps, (rows, columns)


@pytest.mark.parametrize(("size", "taps", "padding"), list(cases()))
@pytest.mark.parametrize("part", [1, winograd_1d.PART])
def test_agrees_with_sums_over_windows(size, taps, padding, part, monkeypatch):
    monkeypatch.setattr(winograd_1d, "PART", part)
    rng = np.random.default_rng(0)
    windows = windows_over(size, (3, taps), (1, 1), padding, (1, 1))
    x, w = rng.standard_normal((3, *size, 3)), rng.standard_normal((5, 3, 3, taps))
    (top, bottom), (left, right) = padding
    around = ((0, 0), (max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0)), (0, 0))
    planes = np.pad(x, around)[:, max(-top, 0) :, max(-left, 0) :]
    OH, OW = windows.output_size
    found = np.lib.stride_tricks.sliding_window_view(planes, (3, taps), (1, 2))[:, :OH, :OW]
    y = np.full((3, OH, OW, 5), np.nan)
    winograd_1d.correlate(x, w, windows, y)
    np.testing.assert_allclose(y, np.einsum("nhwckl,ockl->nhwo", found, w), rtol=1e-10, atol=1e-10)
    dw = winograd_1d.weight_grad(x, y, windows)
    np.testing.assert_allclose(dw, np.einsum("nhwckl,nhwo->ockl", found, y), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("channels", [(16, 16), (70, 100), (8, 128)])
@pytest.mark.parametrize("small", [False, True])
def test_stacks_of_runs(small, channels, monkeypatch):
    for module in (blas, winograd_1d):
        monkeypatch.setattr(module, "has_small_kernels", lambda dtype: small)
    monkeypatch.setattr(blas, "SMALL", 1 << 17)
    monkeypatch.setattr(winograd_1d, "LONG", 8)
    monkeypatch.setattr(winograd_1d, "SMALL", 1 << 17)
    for name in ("FORWARD", "WEIGHT_GRAD"):
        monkeypatch.setattr(plan, name, getattr(plan, name)._replace(much=0, least_1d=0))
    C, OC = channels
    for actual, expected in three_kernels((4, C, 30, 31, OC, ((1, 1), (1, 1)))):
        np.testing.assert_allclose(actual, expected, atol=2e-5 * expected.std())


def test_one_channel_whose_stride_is_another():
    rng = np.random.default_rng(0)
    windows = windows_over((9, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    x, dy = (rng.standard_normal((2, 1, 9, 8)).transpose(0, 2, 3, 1) for _ in range(2))  # contiguous both ways, for NumPy
    w = rng.standard_normal((1, 1, 3, 3))
    plain = x.copy(), dy.copy()
    found, expected = np.empty((2, 9, 8, 1)), np.empty((2, 9, 8, 1))
    winograd_1d.correlate(x, w, windows, found)
    winograd_1d.correlate(plain[0], w, windows, expected)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(winograd_1d.weight_grad(x, dy, windows), winograd_1d.weight_grad(*plain, windows))


@pytest.mark.parametrize("shape", SHAPES)
def test_error_in_float32(shape):
    N, C, H, W, OC, padding = shape
    taken = minigrad.cpu.conv_plan((N, C, H, W), (OC, C, 3, 3), padding=padding)
    assert taken == ("winograd-1d", "winograd-1d", "winograd-1d")
    for actual, expected in three_kernels(shape):
        assert actual.dtype == np.float32
        assert 1e-6 < np.abs(actual - expected).max() / expected.std() < BOUND


def test_where_it_is_taken():
    around = {"padding": ((1, 1), (1, 1))}
    few, many = ((128, 16, 32, 32), (16, 16, 3, 3)), ((8, 128, 28, 28), (128, 128, 3, 3))
    assert set(minigrad.cpu.conv_plan(*few, **around)) == {"winograd-1d"}
    assert set(minigrad.cpu.conv_plan(*many, **around)) == {"winograd"}
    assert "winograd-1d" not in minigrad.cpu.conv_plan((2, *few[0][1:]), few[1], **around)  # few windows
    assert "winograd-1d" not in minigrad.cpu.conv_plan(*few, **around, stride=(2, 2))
    assert set(minigrad.cpu.conv_plan(*few, **around, itemsize=8)) == {"rows"}
    with minigrad.cpu.conv_algorithm("im2col"):
        assert set(minigrad.cpu.conv_plan(*few, **around)) == {"rows"}
