"""Products for every row of the kernel: zeros around the images are written where they are needed, whatever the padding."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from minigrad.backends.cpu.kernel_rows import correlate_by_rows, weight_grad_by_rows
from minigrad.backends.cpu.windows import windows_over


def cases():
    paddings = ((0, 0), (1, 1), (4, 0), (-1, 2), (2, -1))
    for size, kernel, rows, columns, stride in itertools.product(
        ((3, 2), (6, 9)), ((1, 3), (3, 3), (2, 4)), paddings, paddings, (1, 2)
    ):
        if all(n + sum(pads) >= taps for n, pads, taps in zip(size, (rows, columns), kernel)):
            yield size, kernel, (rows, columns), stride


@pytest.mark.parametrize(("size", "kernel_size", "padding", "stride"), list(cases()))
def test_agrees_with_sums_over_windows(size, kernel_size, padding, stride):
    rng = np.random.default_rng(0)
    windows = windows_over(size, kernel_size, (1, stride), padding, (1, 1))
    x, w = rng.standard_normal((2, *size, 3)), rng.standard_normal((*kernel_size, 3, 5))
    (top, bottom), (left, right) = padding
    around = ((0, 0), (max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0)), (0, 0))
    planes = np.pad(x, around)[:, max(-top, 0) :, max(-left, 0) :]
    OH, OW = windows.output_size
    found = np.lib.stride_tricks.sliding_window_view(planes, kernel_size, (1, 2))[:, :OH, ::stride][:, :, :OW]
    y = np.full((2, OH, OW, 5), np.nan)
    correlate_by_rows(x, w, windows, y)
    np.testing.assert_allclose(y, np.einsum("nhwckl,klco->nhwo", found, w), rtol=1e-10, atol=1e-10)
    dw = weight_grad_by_rows(x, y, windows).reshape(5, *kernel_size, 3)
    np.testing.assert_allclose(dw, np.einsum("nhwckl,nhwo->oklc", found, y), rtol=1e-10, atol=1e-10)
