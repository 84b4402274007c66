"""Where arrays lie in memory, and copies that bring them into the order that a kernel reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from .compiler import TYPES, Kernels, is_countable

THREADS = 256
"""Of a block that works on a line of memory."""
BLOCKS = 1 << 20
"""The most blocks of such a kernel. Blocks that run once read 4.2 TB/s of an H200, as many as run at once, in turns, 3.9."""
MOST_LINES = 65535
"""Of blocks in a grid's second and third dim."""
FEW = 8
"""Channels that a thread turns by itself."""


@lru_cache(4096)
def dense_order(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> tuple[int, ...] | None:
    """The axes from the longest stride to the shortest, if in that order the array fills its memory; None if it does not."""
    order = tuple(sorted(range(len(shape)), key=lambda axis: (-strides[axis], shape[axis] == 1)))
    expected = itemsize
    for axis in reversed(order):
        if shape[axis] != 1:
            if strides[axis] != expected:
                return None
            expected *= shape[axis]
    return order


@lru_cache(256)
def inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    """The permutation that undoes one."""
    return tuple(sorted(range(len(order)), key=order.__getitem__))


@lru_cache(4096)
def width_of_rows(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int, order: tuple[int, ...]) -> int:
    """How many numbers lie next to each other, with the axes in that order."""
    width = 1
    for axis in reversed(order):
        if shape[axis] != 1:
            if strides[axis] != width * itemsize:
                break
            width *= shape[axis]
    return width


@lru_cache(4096)
def pitch_of_rows(
    shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int, order: tuple[int, ...], width: int
) -> int | None:
    """How many elements it is from each run of so many numbers to the next; None if that differs, or a run is not one."""
    inside, outside, pitch = 1, 1, None
    for axis in reversed(order):
        size, step = shape[axis], strides[axis]
        if size == 1:
            continue
        if inside < width:
            inside *= size
            if step * size != inside * itemsize or inside > width:
                return None
            continue
        pitch = step // itemsize if pitch is None else pitch
        if pitch < width or step != pitch * outside * itemsize:
            return None
        outside *= size
    return width if pitch is None else pitch


def order_of(array: Any) -> tuple[int, ...] | None:
    """The axes in the order in which they lie in memory, None if the array does not fill its memory."""
    return dense_order(array.shape, array.strides, array.itemsize)


def place_of(array: Any) -> tuple[int, int]:
    """The address of the first byte, and the one behind the last."""
    first = last = array.data.ptr
    for size, step in zip(array.shape, array.strides):
        if step < 0:
            first += (size - 1) * step
        else:
            last += (size - 1) * step
    return first, last + array.itemsize


def can_hold(out: Any, *operands: Any) -> bool:
    """Whether an element-wise result may be written while operands are read: they have no memory in common, or lie alike."""
    begin, end = place_of(out)
    for x in operands:
        if x.data.ptr != out.data.ptr or x.strides != out.strides:
            first, behind = place_of(x)
            if first < end and begin < behind:
                return False
    return True


def is_aligned(*arrays: Any) -> bool:
    """Whether all begin where 16 bytes can be read at once."""
    return not any(array.data.ptr % 16 for array in arrays)


def line(size: int, packed: int = 1) -> tuple[tuple[int], tuple[int]]:
    """Grid and block for so many elements, so many of them per thread and turn."""
    blocks = -(-size // (packed * THREADS))
    return (min(blocks, BLOCKS),), (THREADS,)


def pack(array: Any) -> int:
    """How many of its elements are 16 bytes."""
    return 16 // array.itemsize


def can_turn(shape: tuple[int, ...], width: int) -> bool:
    """Whether ``kernels/layout.cu`` can write planes (N, C, H, W) with so many channels last: the grid has room for them."""
    N, C, H, W = shape
    return is_countable(N * H * W if width <= FEW else max(N, H * W)) and C <= 32 * MOST_LINES


class LayoutKernels:
    """Planes (N, C, H, W) as matrices of their pixels, N·H·W rows of C numbers."""

    xp: Any
    kernels: Kernels

    def planes(self, pixels: Any, N: int, H: int, W: int) -> Any:
        """(N·H·W, C) -> (N, C, H, W), the same memory."""
        return pixels.reshape(N, H, W, pixels.shape[1]).transpose(0, 3, 1, 2)

    def pixels(self, planes: Any) -> Any:
        """(N, C, H, W) -> (N·H·W, C), a view where channels lie next to each other; a row may begin anywhere."""
        N, C, H, W = planes.shape
        n, c, h, w = planes.strides
        size = planes.itemsize
        if C == 1 or c == size:
            return planes.transpose(0, 2, 3, 1).reshape(N * H * W, C)  # a view, or a copy where pixels have gaps between rows
        if planes.flags.c_contiguous and planes.size and can_turn(planes.shape, C):
            return self._turned(planes)
        return self.xp.ascontiguousarray(planes.transpose(0, 2, 3, 1)).reshape(N * H * W, C)

    def dense_pixels(self, planes: Any) -> Any:
        """``pixels``, in memory without gaps."""
        pixels = self.pixels(planes)
        return pixels if pixels.flags.c_contiguous else self._without_gaps(pixels)

    def widened_pixels(self, planes: Any, width: int) -> Any:
        """(N, C, H, W) -> (N·H·W, width), with zeros behind the channels."""
        N, C, H, W = planes.shape
        if width == C:
            return self.pixels(planes)
        if planes.flags.c_contiguous and width <= FEW and can_turn(planes.shape, width):
            return self._turned(planes, width)
        result = self.xp.zeros((N * H * W, width), dtype=planes.dtype)
        copy_rows(self.kernels, self.dense_pixels(planes), result[:, :C])
        return result

    def _turned(self, planes: Any, width: int = 0) -> Any:
        """Channels first to channels last, by tiles; few channels a pixel at a time, and widened at once."""
        N, C, H, W = planes.shape
        width = width or C
        result = self.xp.empty((N * H * W, width), dtype=planes.dtype)
        if width <= FEW:
            kernel = self.kernels("layout", "few_channels_last", planes.dtype)
            kernel(*line(N * H * W), planes, result, C, H * W, N * H * W, width)
            return result
        grid = (-(-H * W // 32), -(-C // 32), min(N, MOST_LINES))
        self.kernels("layout", "channels_last", planes.dtype)(grid, (32, 8), planes, result, C, H * W, N)
        return result

    def _without_gaps(self, rows: Any) -> Any:
        """A copy of rows that lie apart from each other."""
        if rows.strides[1] != rows.itemsize and rows.shape[1] > 1:
            return self.xp.ascontiguousarray(rows)
        result = self.xp.empty(rows.shape, dtype=rows.dtype)
        copy_rows(self.kernels, rows, result)
        return result


def copy_rows(kernels: Kernels, source: Any, target: Any) -> None:
    """Rows whose numbers lie next to each other, into others such."""
    rows, width = source.shape
    pitches = (source.strides[0] // source.itemsize, target.strides[0] // target.itemsize)
    items = pack(source)
    packed = width % items == pitches[0] % items == pitches[1] % items == 0 and is_aligned(source, target)
    if packed:
        width, pitches = width // items, (pitches[0] // items, pitches[1] // items)
    name = "rows_packed" if packed else "rows_single"
    kernels("layout", name, source.dtype)(*line(rows * width), source, target, *map(np.int64, (rows, width, *pitches)))


def joined(cupy: Any, kernels: Kernels) -> Callable[..., Any]:
    """``concatenate`` of arrays, each of which is copied as rows into the columns that are its own."""

    def concatenate(arrays: Sequence[Any], axis: int = 0, out: Any = None) -> Any:
        order = None if out is None or out.dtype not in TYPES else order_of(out)
        if order is None or any(x.dtype is not out.dtype for x in arrays):
            return cupy.concatenate(arrays, axis=axis, out=out)
        place = order.index(axis)
        rows = prod(out.shape[i] for i in order[:place])
        target = out.transpose(order).reshape(rows, out.size // rows if rows else 0)
        start = 0
        for x in arrays:
            if not x.size:
                continue
            source = x.transpose(order).reshape(rows, x.size // rows)
            if source.shape[1] > 1 and source.strides[1] != source.itemsize:
                source = cupy.ascontiguousarray(source)
            copy_rows(kernels, source, target[:, start : start + source.shape[1]])
            start += source.shape[1]
        return out

    return concatenate
