"""Pooling on the CPU: one pass over a block for every element of the window, each a loop over contiguous channels.

Gradients are gathered: a plane's gradient is made in one part, tap by tap, in scratch memory that holds the padding too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..generic.pooling import tap_dtype
from ..generic.windows import Padding, Pair
from .special import keep_into
from .threads import for_each
from .windows import (
    BLOCK,
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
            block = cuts[i]
            largest, number = y[block.images, block.rows], numbers[block.images, block.rows]
            found = read(x, windows, block, -np.inf, one_buffer(planes_size(x, windows, block), x.dtype))
            for k, tap in enumerate(each_tap(found)):
                if k == 0:
                    largest[...] = tap
                else:  # k is larger than all numbers so far: their maximum does what a copy under a mask does, but faster
                    greater = (tap > largest).view(np.uint8)
                    np.maximum(number, np.multiply(greater, k, dtype=number.dtype), out=number)
                    np.maximum(largest, tap, out=largest)

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

        def add(images: slice, found: np.ndarray, disjoint: bool) -> None:
            part, number = dy[images], numbers[images]
            share = np.empty_like(part)
            for k, tap in enumerate(each_tap(found)):
                keep_into(part, number == k, share)
                if disjoint:
                    tap[...] = share
                else:
                    np.add(tap, share, out=tap)

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

        def add(images: slice, found: np.ndarray, disjoint: bool) -> None:
            share = dy[images] / (divisor if np.ndim(divisor) == 0 else divisor[:, :, None])
            for tap in each_tap(found):
                if disjoint:
                    tap[...] = share
                else:
                    np.add(tap, share, out=tap)

        return channels_first(_gathered(input_shape, windows, dy.dtype, add).astype(grad.dtype, copy=False))


def _gathered(input_shape: tuple[int, ...], windows: Windows, dtype: Any, add: Any) -> np.ndarray:
    """(N, H, W, C): the sums of what ``add(images, windows, disjoint)`` adds to the windows (n, OH, OW, KH, KW, C) of images.

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
        n, h, w, c = planes.strides
        shape = (len(planes), rows.windows, columns.windows, rows.taps, columns.taps, C)
        steps = (n, h * rows.stride, w * columns.stride, h * rows.dilation, w * columns.dilation, c)
        add(images, as_strided(planes, shape, steps), disjoint)
        if not disjoint:
            inside[images] = planes[:, *place]

    for_each(-(-N // together), part)
    return dx
