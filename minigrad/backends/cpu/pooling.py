"""Pooling on the CPU: one pass over the blocks for every element of the window, each a loop over contiguous channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..generic.pooling import tap_dtype
from ..generic.windows import Padding, Pair
from .windows import channels_first, channels_last, each_tap, output_size, read_blocks, wide, write_blocks


class CPUPoolingKernels:
    """The kernels of ``generic/pooling.py``."""

    def max_pool2d(self, x: Any, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> tuple[Any, Any]:
        x = channels_last(x)
        y = _empty(x, kernel_size, stride, padding, dilation, x.dtype)
        numbers = np.zeros(y.shape, tap_dtype(kernel_size))
        row_bytes = 2 * y[:1, :1].nbytes
        for images, rows, windows in read_blocks(x, kernel_size, stride, padding, dilation, row_bytes, -np.inf):
            largest, number = y[images, rows], numbers[images, rows]
            for i, tap in enumerate(each_tap(windows)):
                if i == 0:
                    largest[...] = tap
                else:
                    np.copyto(number, i, where=tap > largest)
                    np.maximum(largest, tap, out=largest)
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
        N, C, H, W = input_shape
        dx = np.empty((N, H, W, C), dy.dtype)
        for images, rows, windows in write_blocks(dx, kernel_size, stride, padding, dilation, 2 * dy[:1, :1].nbytes):
            part, number = dy[images, rows], numbers[images, rows]
            for i, tap in enumerate(each_tap(windows)):
                np.add(tap, part, out=tap, where=number == i)
        return channels_first(dx.astype(grad.dtype, copy=False))

    def max_pool2d_gather(self, x: Any, taps: Any, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Any:
        x, numbers = channels_last(x), channels_last(taps)
        y = np.empty(numbers.shape, x.dtype)
        for images, rows, windows in read_blocks(x, kernel_size, stride, padding, dilation, 2 * y[:1, :1].nbytes):
            for i, tap in enumerate(each_tap(windows)):
                np.copyto(y[images, rows], tap, where=numbers[images, rows] == i)
        return channels_first(y)

    def avg_pool2d(self, x: Any, kernel_size: Pair, stride: Pair, padding: Padding, divisor: Any) -> Any:
        source = channels_last(wide(x))
        y = _empty(source, kernel_size, stride, padding, (1, 1), source.dtype)
        for images, rows, windows in read_blocks(source, kernel_size, stride, padding, (1, 1), 2 * y[:1, :1].nbytes):
            total = y[images, rows]
            for i, tap in enumerate(each_tap(windows)):
                if i == 0:
                    total[...] = tap
                else:
                    total += tap
            total /= divisor if np.ndim(divisor) == 0 else divisor[rows, :, None]
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
        N, C, H, W = input_shape
        dx = np.empty((N, H, W, C), dy.dtype)
        for images, rows, windows in write_blocks(dx, kernel_size, stride, padding, (1, 1), 2 * dy[:1, :1].nbytes):
            share = dy[images, rows] / (divisor if np.ndim(divisor) == 0 else divisor[rows, :, None])
            for tap in each_tap(windows):
                np.add(tap, share, out=tap)
        return channels_first(dx.astype(grad.dtype, copy=False))


def _empty(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair, dtype: Any) -> np.ndarray:
    """Memory for an output (N, OH, OW, C)."""
    N, H, W, C = x.shape
    return np.empty((N, *output_size((H, W), kernel_size, stride, padding, dilation), C), dtype)
