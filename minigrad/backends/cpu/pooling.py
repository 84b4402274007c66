"""Pooling on the CPU: one pass over a block for every element of the window, each a loop over contiguous channels.

Gradients are gathered: a plane's gradient is made in one part, tap by tap, in scratch memory that holds the padding too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..generic.pooling import tap_dtype
from ..generic.windows import Padding, Pair
from .special import keep_into
from .threads import for_each
from .windows import (
    BLOCK,
    Axis,
    Block,
    Windows,
    blocks,
    channels_first,
    channels_last,
    each_tap,
    one_buffer,
    planes_size,
    read,
    wide,
    windows_over,
)


class CPUPoolingKernels:
    """The kernels of ``generic/pooling.py``."""

    def max_pool2d(self, x: Any, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> tuple[Any, Any]:
        x = channels_last(x)
        windows = windows_over(x.shape[1:3], kernel_size, stride, padding, dilation)
        y = np.empty((len(x), *windows.output_size, x.shape[3]), x.dtype)
        numbers = np.zeros(y.shape, tap_dtype(kernel_size))
        cuts = blocks(len(x), y.shape[1], 2 * y[:1, :1].nbytes)

        def part(i: int) -> None:
            largest, number = (array[cuts[i].images, cuts[i].rows] for array in (y, numbers))
            if min(kernel_size) == 1 or kernel_size == (2, 2):
                found = read(x, windows, cuts[i], -np.inf, one_buffer(planes_size(x, windows, cuts[i]), x.dtype))
                _choose(each_tap(found), range(found.shape[3] * found.shape[4]), largest, number)
            else:
                _choose_by_rows(x, windows, cuts[i], largest, number)

        for_each(len(cuts), part)
        return channels_first(y), channels_first(numbers)

    def max_pool2d_grad(
        self,
        grad: Any,
        taps: Any,
        input_shape: tuple[int, ...],
        kernel_size: Pair,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
    ) -> Any:
        dy, numbers = channels_last(wide(grad)), channels_last(taps)
        windows = windows_over(input_shape[2:], kernel_size, stride, padding, dilation)

        def add(images: slice, planes: np.ndarray, disjoint: bool) -> None:
            part, number = dy[images], numbers[images]
            if disjoint or min(kernel_size) == 1 or kernel_size == (2, 2):
                _spread(part, number, list(each_tap(_windows_over(planes, windows))), disjoint)
            else:
                _spread_by_rows(part, number, planes, windows)

        return channels_first(_gathered(input_shape, windows, dy.dtype, add).astype(grad.dtype, copy=False))

    def max_pool2d_gather(self, x: Any, taps: Any, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Any:
        x, numbers = channels_last(x), channels_last(taps)
        windows = windows_over(x.shape[1:3], kernel_size, stride, padding, dilation)
        y = np.empty(numbers.shape, x.dtype)
        cuts = blocks(len(x), y.shape[1], 2 * y[:1, :1].nbytes)

        def part(i: int) -> None:
            block = cuts[i]
            found = read(x, windows, block, 0, one_buffer(planes_size(x, windows, block), x.dtype))
            for k, tap in enumerate(each_tap(found)):
                np.copyto(y[block.images, block.rows], tap, where=numbers[block.images, block.rows] == k)

        for_each(len(cuts), part)
        return channels_first(y)

    def avg_pool2d(self, x: Any, kernel_size: Pair, stride: Pair, padding: Padding, divisor: Any) -> Any:
        source = channels_last(wide(x))
        windows = windows_over(source.shape[1:3], kernel_size, stride, padding, (1, 1))
        y = np.empty((len(source), *windows.output_size, source.shape[3]), source.dtype)
        cuts = blocks(len(source), y.shape[1], 2 * y[:1, :1].nbytes)

        def part(i: int) -> None:
            block = cuts[i]
            total = y[block.images, block.rows]
            found = read(source, windows, block, 0, one_buffer(planes_size(source, windows, block), source.dtype))
            for k, tap in enumerate(each_tap(found)):
                if k == 0:
                    total[...] = tap
                else:
                    total += tap
            total /= divisor if np.ndim(divisor) == 0 else divisor[block.rows, :, None]

        for_each(len(cuts), part)
        return channels_first(y.astype(x.dtype, copy=False))

    def avg_pool2d_grad(
        self,
        grad: Any,
        input_shape: tuple[int, ...],
        kernel_size: Pair,
        stride: Pair,
        padding: Padding,
        divisor: Any,
    ) -> Any:
        dy = channels_last(wide(grad))
        windows = windows_over(input_shape[2:], kernel_size, stride, padding, (1, 1))

        def add(images: slice, planes: np.ndarray, disjoint: bool) -> None:
            share = dy[images] / (divisor if np.ndim(divisor) == 0 else divisor[:, :, None])
            for tap in each_tap(_windows_over(planes, windows)):
                if disjoint:
                    tap[...] = share
                else:
                    np.add(tap, share, out=tap)

        return channels_first(_gathered(input_shape, windows, dy.dtype, add).astype(grad.dtype, copy=False))


def _gathered(input_shape: tuple[int, ...], windows: Windows, dtype: Any, add: Any) -> np.ndarray:
    """(N, H, W, C): the sums of what ``add(images, planes, disjoint)`` adds to the padded planes (n, ·, ·, C) of images.

    Where windows are disjoint and cover everything, it may write instead.
    """
    N, C, H, W = input_shape
    rows, columns = windows
    disjoint = all(
        axis.taps == axis.stride and axis.dilation == 1 and axis.windows * axis.taps == axis.size for axis in windows
    )
    disjoint = disjoint and not windows.is_padded()
    (top, bottom), (left, right) = (axis.span(0, axis.windows) for axis in windows)
    dx = np.empty((N, H, W, C), dtype)
    inside = dx[:, max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    plane = bottom - top, right - left, C
    place = slice(max(0, -top), max(0, -top) + inside.shape[1]), slice(max(0, -left), max(0, -left) + inside.shape[2])
    together = max(1, BLOCK // max(1, 2 * dx[:1].nbytes))

    def part(i: int) -> None:
        images = slice(i * together, min((i + 1) * together, N))
        if disjoint:
            planes = dx[images]
        else:
            dx[images] = 0
            planes = np.zeros((images.stop - images.start, *plane), dtype)
        add(images, planes, disjoint)
        if not disjoint:
            inside[images] = planes[:, *place]

    for_each(-(-N // together), part)
    return dx


def _windows_over(planes: np.ndarray, windows: Windows) -> np.ndarray:
    """All windows over padded planes: a view (n, OH, OW, KH, KW, C)."""
    rows, columns = windows
    n, h, w, c = planes.strides
    shape = (len(planes), rows.windows, columns.windows, rows.taps, columns.taps, planes.shape[3])
    steps = (n, h * rows.stride, w * columns.stride, h * rows.dilation, w * columns.dilation, c)
    return as_strided(planes, shape, steps)


# --- the largest element: all taps one by one, or first along the rows of windows and then across them -------------------


def _choose(taps: Iterable[np.ndarray], numbers: Iterable[Any], largest: np.ndarray, number: np.ndarray) -> None:
    """Write the largest of arrays of one shape to ``largest``, and the (increasing) number of the first such to ``number``."""
    greater, candidate = np.empty(largest.shape, np.bool_), np.empty(number.shape, number.dtype)
    for k, (tap, of_tap) in enumerate(zip(taps, numbers)):
        if k == 0:
            largest[...], number[...] = tap, of_tap
        else:  # numbers increase: their maximum does what a copy under a mask does, but faster
            np.greater(tap, largest, out=greater)
            np.multiply(greater.view(np.uint8), of_tap, out=candidate)
            np.maximum(number, candidate, out=number)
            np.maximum(largest, tap, out=largest)


def _reach(rows: Axis, start: int, stop: int) -> slice:
    """The rows of padded planes from the first of some windows to the last."""
    return slice(start * rows.stride, (stop - 1) * rows.stride + (rows.taps - 1) * rows.dilation + 1)


def _row_of_windows(rows: Axis, u: int, height: int) -> slice:
    """Row ``u`` of so many windows, counted from the first one's first."""
    return slice(u * rows.dilation, u * rows.dilation + (height - 1) * rows.stride + 1, rows.stride)


def _choose_by_rows(x: np.ndarray, windows: Windows, block: Block, largest: np.ndarray, number: np.ndarray) -> None:
    """3 + 3 taps instead of 9: the largest along each row that the windows have, then the largest of a window's rows."""
    rows, columns = windows
    flat = Windows(rows._replace(taps=1, stride=1, dilation=1, after=rows.before + rows.size), columns)
    lines = Block(block.images, _reach(rows, block.rows.start, block.rows.stop))
    found = read(x, flat, lines, -np.inf, one_buffer(planes_size(x, flat, lines), x.dtype))[:, :, :, 0]
    of_rows = np.empty(found.shape[:3] + found.shape[4:], x.dtype)
    places = np.empty(of_rows.shape, number.dtype)
    _choose((found[:, :, :, v] for v in range(columns.taps)), range(columns.taps), of_rows, places)
    here = [_row_of_windows(rows, u, largest.shape[1]) for u in range(rows.taps)]
    of_taps = (places[:, row] + number.dtype.type(u * columns.taps) for u, row in enumerate(here))
    _choose((of_rows[:, row] for row in here), of_taps, largest, number)


def _spread(grad: np.ndarray, number: np.ndarray, taps: list[np.ndarray], disjoint: bool) -> None:
    """Add to every tap the gradient where it is the one that was chosen."""
    share = np.empty_like(grad)
    for k, tap in enumerate(taps):
        keep_into(grad, number == k, share)
        if disjoint:
            tap[...] = share
        else:
            np.add(tap, share, out=tap)


def _spread_by_rows(grad: np.ndarray, number: np.ndarray, planes: np.ndarray, windows: Windows) -> None:
    """The way back of ``_choose_by_rows``: windows that chose the same row of the input chose the same place along it."""
    rows, columns = windows
    shape = (len(planes), planes.shape[1], columns.windows, planes.shape[3])
    of_rows, places = np.zeros(shape, grad.dtype), np.zeros(shape, number.dtype)
    share = np.empty_like(grad)
    for u in range(rows.taps):
        here = _row_of_windows(rows, u, grad.shape[1])
        first = number.dtype.type(u * columns.taps)
        chosen = (number >= first) & (number - first < columns.taps)
        np.maximum(places[:, here], (number - first) * chosen.view(np.uint8), out=places[:, here])
        keep_into(grad, chosen, share)
        np.add(of_rows[:, here], share, out=of_rows[:, here])
    steps = range(columns.taps)
    offsets = [v * columns.dilation for v in steps]
    width = (columns.windows - 1) * columns.stride + 1
    _spread(of_rows, places, [planes[:, :, o : o + width : columns.stride] for o in offsets], False)
