"""Windows that slide over planes, as convolution and pooling see them: a strided view, and its adjoint, a sum of overlaps."""

from __future__ import annotations

from typing import Any

from ...dtypes import accumulated_in

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
"""Rows before and after, columns before and after; a negative number cuts off instead."""


def kept(size: int, before: int, after: int) -> tuple[slice, slice]:
    """Which part of an axis survives padding, as a slice of the axis and as a slice of the padded one."""
    start = max(0, -before)
    stop = max(start, size - max(0, -after))
    return slice(start, stop), slice(start + before, stop + before)


def count(size: int, kernel: int, stride: int, before: int, after: int, dilation: int) -> int:
    """How many windows fit into a padded axis."""
    return (size + before + after - dilation * (kernel - 1) - 1) // stride + 1


class WindowKernels:
    """What convolution and pooling have in common: kernels over ``xp`` alone."""

    xp: Any
    as_strided: Any

    def wide(self, array: Any) -> Any:
        """The array in a dtype that sums can be kept in: short floats become float32."""
        return array.astype(accumulated_in(array.dtype), copy=False)

    def padded(self, x: Any, padding: Padding, fill: float) -> Any:
        """(N, C, H, W) -> (N, top + H + bottom, left + W + right, C)."""
        (top, bottom), (left, right) = padding
        N, C, H, W = x.shape
        (rows, padded_rows), (columns, padded_columns) = kept(H, top, bottom), kept(W, left, right)
        result = self.xp.full((N, top + H + bottom, left + W + right, C), fill, dtype=x.dtype)
        result[:, padded_rows, padded_columns] = x.transpose(0, 2, 3, 1)[:, rows, columns]
        return result

    def windows(self, x: Any, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair, fill: float = 0) -> Any:
        """All windows, channels last: (N, C, H, W) -> (N, OH, OW, KH, KW, C), a view of the padded input."""
        (KH, KW), (SH, SW), (DH, DW) = kernel_size, stride, dilation
        planes = self.padded(x, padding, fill)
        N, H, W, C = planes.shape
        n, h, w, c = planes.strides
        OH, OW = count(H, KH, SH, 0, 0, DH), count(W, KW, SW, 0, 0, DW)
        return self.as_strided(planes, (N, OH, OW, KH, KW, C), (n, h * SH, w * SW, h * DH, w * DW, c))

    def fold(self, windows: Any, input_shape: tuple[int, ...], stride: Pair, padding: Padding, dilation: Pair) -> Any:
        """The adjoint of ``windows``, (N, OH, OW, KH, KW, C) -> (N, C, H, W): every element is summed over its windows."""
        N, C, H, W = input_shape
        _, OH, OW, KH, KW, _ = windows.shape
        (SH, SW), (DH, DW) = stride, dilation
        (top, bottom), (left, right) = padding
        planes = self.xp.zeros((N, top + H + bottom, left + W + right, C), dtype=windows.dtype)
        for u in range(KH):
            for v in range(KW):
                rows = slice(u * DH, u * DH + (OH - 1) * SH + 1, SH)
                columns = slice(v * DW, v * DW + (OW - 1) * SW + 1, SW)
                planes[:, rows, columns] += windows[:, :, :, u, v]
        (rows, padded_rows), (columns, padded_columns) = kept(H, top, bottom), kept(W, left, right)
        result = self.xp.zeros((N, H, W, C), dtype=windows.dtype)
        result[:, rows, columns] = planes[:, padded_rows, padded_columns]
        return result.transpose(0, 3, 1, 2)
