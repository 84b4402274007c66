"""Convolution with weights that outweigh the windows: they enter the products as they lie, and only windows are copied.

Channels-last windows are read in the order (KH, KW, C), and weights lie in the order (C, KH, KW). Elsewhere the weights are
copied, as they are fewer. In the last stages of a network they are not: 1024 channels on both sides, and 98 windows in two
images of 7×7 pixels. There the copy took a third of the time. So here windows are laid out in the order of the weights, whose
gradient is a product as it is; and what the gradient by the input adds up are windows of that order.
"""

from __future__ import annotations

import numpy as np

from .blas import product
from .threads import for_each
from .windows import Windows, blocks, each_tap, from_planes, padded, view, view_of_planes

PART = 1 << 19
"""The bytes of windows that are worth a thread's while."""


def correlate(x: np.ndarray, w: np.ndarray, windows: Windows, y: np.ndarray) -> None:
    """(N, H, W, C) and (O, C, KH, KW), to ``y`` (N, OH, OW, O)."""
    product(_lay_out(x, windows), w.reshape(len(w), -1).T, out=y.reshape(-1, len(w)))


def weight_grad(x: np.ndarray, dy: np.ndarray, windows: Windows, dw: np.ndarray) -> None:
    """The gradient by the weight, to ``dw`` (O, C, KH, KW), from (N, H, W, C) and (N, OH, OW, O)."""
    product(dy.reshape(-1, len(dw)).T, _lay_out(x, windows), out=dw.reshape(len(dw), -1))


def input_grad(dy: np.ndarray, w: np.ndarray, windows: Windows) -> np.ndarray:
    """The gradient by the input (N, H, W, C), from (N, OH, OW, O) and (O, C, KH, KW)."""
    O, C, KH, KW = w.shape  # noqa: E741
    N, OH, OW, _ = dy.shape
    columns = np.empty((N * OH * OW, C * KH * KW), dy.dtype)
    product(dy.reshape(-1, O), w.reshape(O, -1), out=columns)
    taps = columns.reshape(N, OH, OW, C, KH, KW)

    def planes_of(images: slice) -> np.ndarray:
        here = taps[images]
        planes = np.zeros((len(here), *windows.reach, C), dy.dtype)
        for k, tap in enumerate(each_tap(view_of_planes(planes, windows, OH))):
            np.add(tap, here[..., k // KW, k % KW], out=tap)
        return planes

    return from_planes((N, C, windows.rows.size, windows.columns.size), windows, dy.dtype, planes_of, 1)


def _lay_out(x: np.ndarray, windows: Windows) -> np.ndarray:
    """All windows as rows (N·OH·OW, C·KH·KW)."""
    planes, inside = padded(x, windows)
    OH, OW = windows.output_size
    matrix = np.empty((len(x), OH, OW, x.shape[3], *windows.kernel_size), x.dtype)
    cuts = blocks(len(x), OH, matrix[:1, :1].nbytes, PART)

    def part(i: int) -> None:
        place = matrix[cuts[i].images, cuts[i].rows]
        np.copyto(place.transpose(0, 1, 2, 4, 5, 3), view(planes, inside, cuts[i]))

    for_each(len(cuts), part)
    return matrix.reshape(len(x) * OH * OW, -1)
