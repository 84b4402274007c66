"""Pooling: the largest element of every window, or the average.

Which element was the largest is kept as its number in the window, counted row by row (a "tap"): one byte, mostly. Results
lie in memory channels last, as N, H, W, C.
"""

from __future__ import annotations

from typing import Any

from .windows import Padding, Pair, WindowKernels


class PoolingKernels(WindowKernels):
    """Maximum and average over windows, with what their gradients need."""

    def max_pool2d(
        self, x: Any, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair, numbered: bool = True
    ) -> tuple[Any, Any]:
        """The largest elements (N, C, OH, OW), and their numbers in their windows; the first one if several are equal, or nan.

        A backend may leave the numbers out, and return None for them, unless they are wanted.
        """
        geometry = kernel_size, stride, padding, dilation
        windows = self._flat_windows(x, *geometry, -float("inf"))
        taps = self.xp.argmax(windows, axis=3)  # (N, OH, OW, C)
        values = self.xp.take_along_axis(windows, taps[:, :, :, None], axis=3)[:, :, :, 0]
        # where all elements are -inf the padding is as large as they are, and does not count
        inside = self._flat_windows(self.xp.ones((1, 1, *x.shape[2:]), x.dtype), *geometry, 0)
        taps = self.xp.where(values == -float("inf"), self.xp.argmax(inside, axis=3), taps)
        taps = taps.astype(tap_dtype(kernel_size))
        return values.transpose(0, 3, 1, 2), taps.transpose(0, 3, 1, 2)

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
        """The gradient by the input: every element of ``grad`` goes where its window's tap points."""
        KH, KW = kernel_size
        N, C, OH, OW = grad.shape
        wide = self.wide(grad).transpose(0, 2, 3, 1)[:, :, :, None]  # (N, OH, OW, 1, C)
        chosen = taps.transpose(0, 2, 3, 1)[:, :, :, None] == self.xp.arange(KH * KW).reshape(KH * KW, 1)
        windows = self.xp.where(chosen, wide, self.xp.zeros_like(wide)).reshape(N, OH, OW, KH, KW, C)
        return self.fold(windows, input_shape, stride, padding, dilation).astype(grad.dtype, copy=False)

    def max_pool2d_gather(self, x: Any, taps: Any, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Any:
        """The elements that the taps point to, (N, C, H, W) -> (N, C, OH, OW): the adjoint of ``max_pool2d_grad``."""
        windows = self._flat_windows(x, kernel_size, stride, padding, dilation, 0)
        positions = taps.transpose(0, 2, 3, 1)[:, :, :, None].astype("int64")
        return self.xp.take_along_axis(windows, positions, axis=3)[:, :, :, 0].transpose(0, 3, 1, 2)

    def avg_pool2d(self, x: Any, kernel_size: Pair, stride: Pair, padding: Padding, divisor: Any) -> Any:
        """The sum over every window, divided by a number or by an array (OH, OW): (N, C, OH, OW)."""
        windows = self.windows(self.wide(x), kernel_size, stride, padding, (1, 1))
        y = self.xp.sum(windows, axis=(3, 4)).transpose(0, 3, 1, 2)
        return (y / divisor).astype(x.dtype, copy=False)

    def avg_pool2d_grad(
        self,
        grad: Any,
        input_shape: tuple[int, ...],
        kernel_size: Pair,
        stride: Pair,
        padding: Padding,
        divisor: Any,
    ) -> Any:
        """The gradient by the input: every element of ``grad`` is spread evenly over its window."""
        N, C, OH, OW = grad.shape
        share = (self.wide(grad) / divisor).transpose(0, 2, 3, 1)[:, :, :, None, None]
        windows = self.xp.broadcast_to(share, (N, OH, OW, *kernel_size, C))
        return self.fold(windows, input_shape, stride, padding, (1, 1)).astype(grad.dtype, copy=False)

    def _flat_windows(self, x: Any, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair, fill: float) -> Any:
        """(N, C, H, W) -> (N, OH, OW, KH·KW, C)."""
        windows = self.windows(x, kernel_size, stride, padding, dilation, fill)
        N, OH, OW, KH, KW, C = windows.shape
        return windows.reshape(N, OH, OW, KH * KW, C)


def tap_dtype(kernel_size: Pair) -> str:
    """The smallest dtype in which the elements of a window can be numbered."""
    return "uint8" if kernel_size[0] * kernel_size[1] <= 256 else "int32"
