"""The gradient by the input for few channels and short rows: products of whole rows with banded weights.

As a convolution, the way back from 16 channels of 10×10 pixels to 6 of 14×14 makes windows at 14×14 places, half of them over
zeros, and products with few columns. Here a row of the output's gradient is one row of a matrix, OW·O numbers, as it lies in
memory; its product with the weights, which a row of outputs meets as a band (OW·O, KH·W·C), is what it adds to each of KH rows
of the input. The zeros beside the band are multiplied too, in one wide product without a copy before it.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .threads import even
from .windows import Windows, from_planes

PART = 1 << 19
"""The bytes of the products of a part."""


def input_grad(dy: np.ndarray, w: np.ndarray, windows: Windows) -> np.ndarray:
    """The gradient by the input (N, H, W, C), from (N, OH, OW, O) and (O, C, KH, KW)."""
    N, OH, OW, O = dy.shape  # noqa: E741
    C, rows = w.shape[1], windows.rows
    height, width = windows.reach
    band = banded(w, windows).reshape(OW * O, -1)
    last = rows.stride * (OH - 1) + 1

    def planes_of(images: slice) -> np.ndarray:
        here = dy[images]
        added = np.matmul(here.reshape(-1, OW * O), band).reshape(len(here), OH, rows.taps, width * C)
        planes = np.zeros((len(here), height, width * C), dy.dtype)
        for tap in range(rows.taps):
            first = tap * rows.dilation
            planes[:, first : first + last : rows.stride] += added[:, :, tap]
        return planes.reshape(len(here), height, width, C)

    image = OH * band.shape[1] * dy.itemsize
    return from_planes((N, C, rows.size, windows.columns.size), windows, dy.dtype, planes_of, even(N, max(1, PART // image)))


def banded(w: np.ndarray, windows: Windows) -> np.ndarray:
    """(O, C, KH, KW) -> (OW, O, KH, W, C), W as far as the windows reach: each window's weights at its place in the row."""
    O, C, KH, KW = w.shape  # noqa: E741
    columns = windows.columns
    band = np.zeros((columns.windows, O, KH, windows.reach[1], C), w.dtype)
    window, channel, row, pixel, number = band.strides
    places = (window + columns.stride * pixel, channel, row, columns.dilation * pixel, number)
    as_strided(band, (columns.windows, O, KH, KW, C), places)[...] = w.transpose(0, 2, 3, 1)
    return band
