"""Windows over channels-last planes, block by block: what a loop works on at a time stays in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..generic.windows import Padding, Pair, count, kept

BLOCK = 1 << 20
"""The bytes of a block of windows: fastest between a quarter of and two MiB."""

Block = tuple[slice, slice, np.ndarray]


def channels_last(x: np.ndarray) -> np.ndarray:
    """(N, C, H, W) -> (N, H, W, C): a view."""
    return x.transpose(0, 2, 3, 1)


def channels_first(x: np.ndarray) -> np.ndarray:
    """(N, H, W, C) -> (N, C, H, W): a view."""
    return x.transpose(0, 3, 1, 2)


def output_size(size: Pair, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Pair:
    """How many windows lie below and beside each other."""
    OH, OW = (count(size[i], kernel_size[i], stride[i], *padding[i], dilation[i]) for i in range(2))
    return OH, OW


def sliding(planes: np.ndarray, kernel_size: Pair, stride: Pair, dilation: Pair) -> np.ndarray:
    """All windows of planes (N, H, W, C): a view (N, OH, OW, KH, KW, C)."""
    (KH, KW), (SH, SW), (DH, DW) = kernel_size, stride, dilation
    N, H, W, C = planes.shape
    n, h, w, c = planes.strides
    OH, OW = count(H, KH, SH, 0, 0, DH), count(W, KW, SW, 0, 0, DW)
    return as_strided(planes, (N, OH, OW, KH, KW, C), (n, h * SH, w * SW, h * DH, w * DW, c))


def read_blocks(
    x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair, row_bytes: int, fill: float = 0
) -> Iterator[Block]:
    """The windows of ``x`` (N, H, W, C) in blocks: (slice of the batch, slice of the windows' rows, windows).

    Args:
        row_bytes: what one row of windows costs the caller, which decides how many are in a block.
        fill: the value of the padding.
    """
    N, H, W, C = x.shape
    (top, bottom), (left, right) = padding
    (rows, padded_rows), (columns, padded_columns) = kept(H, top, bottom), kept(W, left, right)
    OH, _ = output_size((H, W), kernel_size, stride, padding, dilation)
    images, height = _block_size(N, OH, row_bytes)
    as_it_lies = not any((top, bottom, left, right)) and x.flags.c_contiguous
    if not as_it_lies:
        buffer = np.full((images, top + H + bottom, left + W + right, C), fill, x.dtype)
    for i in range(0, N, images):
        planes = x[i : i + images]
        if not as_it_lies:
            buffer[: len(planes), padded_rows, padded_columns] = planes[:, rows, columns]
            planes = buffer[: len(planes)]
        windows = sliding(planes, kernel_size, stride, dilation)
        for a in range(0, OH, height):
            yield slice(i, i + len(planes)), slice(a, min(a + height, OH)), windows[:, a : a + height]


def write_blocks(
    x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair, row_bytes: int
) -> Iterator[Block]:
    """The adjoint: blocks of windows to add to. When all are done, ``x`` (N, H, W, C) holds the sums of what was added."""
    N, H, W, C = x.shape
    (top, bottom), (left, right) = padding
    (rows, padded_rows), (columns, padded_columns) = kept(H, top, bottom), kept(W, left, right)
    OH, _ = output_size((H, W), kernel_size, stride, padding, dilation)
    images, height = _block_size(N, OH, row_bytes)
    padded = any((top, bottom, left, right))
    if padded:
        buffer = np.empty((images, top + H + bottom, left + W + right, C), x.dtype)
    for i in range(0, N, images):
        part = x[i : i + images]
        part[...] = 0
        planes = part
        if padded:
            planes = buffer[: len(part)]
            planes[...] = 0
        windows = sliding(planes, kernel_size, stride, dilation)
        for a in range(0, OH, height):
            yield slice(i, i + len(part)), slice(a, min(a + height, OH)), windows[:, a : a + height]
        if padded:
            part[:, rows, columns] = planes[:, padded_rows, padded_columns]


def each_tap(windows: np.ndarray) -> Iterator[np.ndarray]:
    """For every element of the window, row by row: that element of all windows, a view (N, OH, OW, C)."""
    for u in range(windows.shape[3]):
        for v in range(windows.shape[4]):
            yield windows[:, :, :, u, v]


def wide(x: np.ndarray) -> Any:
    """The array in a dtype in which sums are exact enough, and matrix products fast: float16 becomes float32."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


def _block_size(images: int, rows: int, row_bytes: int) -> Pair:
    """How many images, and how many rows of windows of each, make a block: whole images where several fit."""
    fitting = max(1, BLOCK // max(1, row_bytes))
    return max(1, min(images, fitting // rows)), min(rows, fitting)
