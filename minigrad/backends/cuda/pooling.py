"""Pooling on CUDA, one kernel each (``kernels/pooling.cu``), over memory that has channels last."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..generic.pooling import PoolingKernels, tap_dtype
from ..generic.windows import Padding, Pair, count
from .compiler import TYPES, is_countable
from .layout import MOST_LINES, THREADS, LayoutKernels, is_aligned, pack


class CUDAPoolingKernels(LayoutKernels, PoolingKernels):
    """Maximum and average over windows of floats; integers by the generic kernels."""

    def max_pool2d(
        self, x: Any, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair, numbered: bool = True
    ) -> tuple[Any, Any]:
        axes = axes_over(x.shape, kernel_size, stride, padding, dilation)
        if x.dtype not in TYPES or not can_pool(x.shape[0], x.shape[1], axes):
            return super().max_pool2d(x, kernel_size, stride, padding, dilation, numbered)
        (N, C), (OH, OW) = x.shape[:2], output_size(axes)
        pixels = self.dense_pixels(x)
        values = self.xp.empty((N, OH, OW, C), dtype=x.dtype)
        taps = self.xp.empty(values.shape, dtype=tap_dtype(kernel_size)) if numbered else None
        self._pool("max_pool", (pixels,), N * OH, OW, C, pixels, values, *bytes_and_numbers(taps), N, C, *axes)
        return values.transpose(0, 3, 1, 2), None if taps is None else taps.transpose(0, 3, 1, 2)

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
        N, C, H, W = input_shape
        axes = axes_over(input_shape, kernel_size, stride, padding, dilation)
        if grad.dtype not in TYPES or not can_pool(N, C, axes):
            return super().max_pool2d_grad(grad, taps, input_shape, kernel_size, stride, padding, dilation)
        dy, taps = self.dense_pixels(grad), self._dense_taps(taps)
        dx = self.xp.empty((N, H, W, C), dtype=grad.dtype)
        self._pool("max_pool_grad", (dy, taps), N * H, W, C, dy, *bytes_and_numbers(taps), dx, N, C, *axes)
        return dx.transpose(0, 3, 1, 2)

    def max_pool2d_gather(self, x: Any, taps: Any, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Any:
        N, C, OH, OW = taps.shape
        axes = axes_over(x.shape, kernel_size, stride, padding, dilation)
        if x.dtype not in TYPES or not can_pool(N, C, axes):
            return super().max_pool2d_gather(x, taps, kernel_size, stride, padding, dilation)
        chosen = bytes_and_numbers(self._dense_taps(taps))
        y = self.xp.empty((N, OH, OW, C), dtype=x.dtype)
        kernel = self.kernels("pooling", "max_pool_gather", x.dtype)
        kernel(*in_lines(N * OH, OW * C), self.dense_pixels(x), *chosen, y, N, C, *axes)
        return y.transpose(0, 3, 1, 2)

    def avg_pool2d(self, x: Any, kernel_size: Pair, stride: Pair, padding: Padding, divisor: Any) -> Any:
        axes = axes_over(x.shape, kernel_size, stride, padding, (1, 1))
        if x.dtype not in TYPES or not can_pool(x.shape[0], x.shape[1], axes):
            return super().avg_pool2d(x, kernel_size, stride, padding, divisor)
        (N, C), (OH, OW) = x.shape[:2], output_size(axes)
        pixels = self.dense_pixels(x)
        y = self.xp.empty((N, OH, OW, C), dtype=x.dtype)
        self._pool("avg_pool", (pixels,), N * OH, OW, C, pixels, y, *self._divisors(divisor, x), N, C, *axes)
        return y.transpose(0, 3, 1, 2)

    def avg_pool2d_grad(
        self,
        grad: Any,
        input_shape: tuple[int, ...],
        kernel_size: Pair,
        stride: Pair,
        padding: Padding,
        divisor: Any,
    ) -> Any:
        N, C, H, W = input_shape
        axes = axes_over(input_shape, kernel_size, stride, padding, (1, 1))
        if grad.dtype not in TYPES or not can_pool(N, C, axes):
            return super().avg_pool2d_grad(grad, input_shape, kernel_size, stride, padding, divisor)
        dy = self.dense_pixels(grad)
        dx = self.xp.empty((N, H, W, C), dtype=grad.dtype)
        self._pool("avg_pool_grad", (dy,), N * H, W, C, dy, dx, *self._divisors(divisor, grad), N, C, *axes)
        return dx.transpose(0, 3, 1, 2)

    def _pool(self, name: str, inputs: tuple[Any, ...], lines: int, pixels: int, C: int, *arguments: Any) -> None:
        """Run a kernel that makes so many lines of pixels, by packs of channels where the inputs' memory allows it."""
        dtype, packed = inputs[0].dtype, C % pack(inputs[0]) == 0 and is_aligned(*inputs)
        across = pixels * (C // pack(inputs[0]) if packed else C)
        kernel = self.kernels("pooling", f"{name}_packed" if packed else f"{name}_single", dtype)
        kernel(*in_lines(lines, across), *arguments)

    def _dense_taps(self, taps: Any) -> Any:
        """(N, C, OH, OW) -> (N, OH, OW, C) without gaps."""
        return self.xp.ascontiguousarray(taps.transpose(0, 2, 3, 1))

    def _divisors(self, divisor: Any, x: Any) -> tuple[Any, float]:
        """The array of the divisors, or None, and the number that divides all."""
        if isinstance(divisor, (int, float)):
            return None, float(divisor)
        return self.xp.ascontiguousarray(divisor.astype(self.xp.result_type(x.dtype, "float32"), copy=False)), 1.0


@lru_cache(1024)
def axes_over(
    input_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> tuple[int, ...]:
    """What the kernels know of rows, and then of columns: size, windows, taps, stride, padding before, dilation."""
    rows, columns = (
        (size, max(0, count(size, taps, step, before, after, apart)), taps, step, before, apart)
        for size, taps, step, (before, after), apart in zip(input_shape[2:], kernel_size, stride, padding, dilation)
    )
    return rows + columns


def output_size(axes: tuple[int, ...]) -> Pair:
    """How many windows lie along columns and rows."""
    return axes[1], axes[7]


def can_pool(N: int, C: int, axes: tuple[int, ...]) -> bool:
    """Whether the kernels can count the lines of all planes, the numbers of a line, and the taps of a window."""
    H, OH, KH, _, _, _, W, OW, KW, _, _, _ = axes
    return is_countable(N * H, N * OH, W * C, OW * C, KH * KW)


def bytes_and_numbers(taps: Any) -> tuple[Any, Any]:
    """Taps as two arguments of a kernel: of one byte each, or of four; None for what they are not."""
    if taps is None or taps.dtype != "uint8":
        return None, taps
    return taps, None


def in_lines(lines: int, across: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Grid and block for lines with so many threads each: blocks are as wide as a line, up to all of their threads."""
    wide = min(THREADS, -(-across // 32) * 32) if across > 32 else 1 << max(0, across - 1).bit_length()
    high = THREADS // wide
    return (-(-across // wide), min(-(-lines // high), MOST_LINES)), (wide, high)
