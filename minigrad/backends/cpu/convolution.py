"""Convolution on the CPU: matrix products over channels-last memory.

Windows are copied into a matrix (im2col) block by block, so that the copy never leaves the cache; with channels last a
row of the kernel is one run of KW·C numbers. A 1×1 convolution is a matrix product of what is there. The gradient by
the input of a convolution with stride 1 is itself a convolution, so nothing is scattered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..generic.windows import Padding, Pair
from .windows import channels_first, channels_last, each_tap, output_size, read_blocks, wide, write_blocks


class CPUConvolutionKernels:
    """The three kernels of ``generic/convolution.py``."""

    def conv2d(self, x: Any, w: Any, bias: Any, stride: Pair, padding: Padding, dilation: Pair, groups: int) -> Any:
        y = correlate(channels_last(wide(x)), wide(w), bias, stride, padding, dilation, groups)
        return channels_first(y.astype(x.dtype, copy=False))

    def conv2d_input_grad(
        self,
        grad: Any,
        w: Any,
        input_shape: tuple[int, ...],
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        groups: int,
    ) -> Any:
        dy, wide_w = channels_last(wide(grad)), wide(w)
        if stride == (1, 1):
            (top, bottom), (left, right) = padding
            rows, columns = dilation[0] * (w.shape[2] - 1), dilation[1] * (w.shape[3] - 1)
            opposite = (rows - top, rows - bottom), (columns - left, columns - right)
            dx = correlate(dy, flipped(wide_w, groups), None, stride, opposite, dilation, groups)
        else:
            dx = scatter(dy, wide_w, input_shape, stride, padding, dilation, groups)
        return channels_first(dx.astype(grad.dtype, copy=False))

    def conv2d_weight_grad(
        self,
        grad: Any,
        x: Any,
        weight_shape: tuple[int, ...],
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        groups: int,
    ) -> Any:
        OC, CG, KH, KW = weight_shape
        dy, x = channels_last(wide(grad)), channels_last(wide(x))
        if is_depthwise(OC, CG, groups):
            product = depthwise_weight_grad(dy, x, (KH, KW), stride, padding, dilation)  # (KH·KW, C)
            product = product.T
        elif is_pointwise((KH, KW), stride, padding, groups):
            product = np.matmul(dy.reshape(-1, OC).T, x.reshape(-1, CG))  # (OC, C)
        else:
            product = np.zeros((groups, OC // groups, KH * KW * CG), dy.dtype)
            term = np.empty_like(product)
            for images, rows, matrix in window_matrices(x, (KH, KW), stride, padding, dilation, groups):
                part = dy[images, rows].reshape(-1, groups, OC // groups).transpose(1, 2, 0)
                product += np.matmul(part, matrix, out=term)
        result = np.empty(weight_shape, grad.dtype)
        result[...] = product.reshape(OC, KH, KW, CG).transpose(0, 3, 1, 2)
        return result


def is_pointwise(kernel_size: Pair, stride: Pair, padding: Padding, groups: int) -> bool:
    """Whether every window is one pixel, and every pixel a window."""
    return kernel_size == (1, 1) and stride == (1, 1) and padding == ((0, 0), (0, 0)) and groups == 1


def is_depthwise(OC: int, CG: int, groups: int) -> bool:
    """Whether every channel is convolved alone: then there is nothing to multiply matrices for."""
    return groups > 1 and CG == 1 and groups == OC


def correlate(
    x: np.ndarray,
    w: np.ndarray,
    bias: Any,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    """(N, H, W, C) and (OC, C/G, KH, KW) -> (N, OH, OW, OC)."""
    N, H, W, C = x.shape
    OC, CG, KH, KW = w.shape
    OH, OW = output_size((H, W), (KH, KW), stride, padding, dilation)
    y = np.empty((N, OH, OW, OC), x.dtype)
    if is_depthwise(OC, CG, groups):
        filters = w.reshape(OC, KH * KW).T  # (KH·KW, C)
        row_bytes = 3 * OW * C * x.itemsize  # of x, y and the product
        for images, rows, windows in read_blocks(x, (KH, KW), stride, padding, dilation, row_bytes):
            _sum_of_products(windows, filters, y[images, rows])
            if bias is not None:
                y[images, rows] += bias
        return y
    if is_pointwise((KH, KW), stride, padding, groups):
        np.matmul(x.reshape(N * H * W, C), w.reshape(OC, C).T, out=y.reshape(N * H * W, OC))
        return y if bias is None else np.add(y, bias, out=y)
    matrix = weight_matrix(w, groups)
    for images, rows, windows in window_matrices(x, (KH, KW), stride, padding, dilation, groups):
        part = y[images, rows].reshape(-1, groups, OC // groups)
        np.matmul(windows, matrix, out=part.transpose(1, 0, 2))
        if bias is not None:
            y[images, rows] += bias
    return y


def scatter(
    dy: np.ndarray,
    w: np.ndarray,
    input_shape: tuple[int, ...],
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    """The gradient by the input with any stride: every window's share is added where the window lay."""
    N, C, H, W = input_shape
    OC, CG, KH, KW = w.shape
    OW = dy.shape[2]
    dx = np.empty((N, H, W, C), dy.dtype)
    depthwise = is_depthwise(OC, CG, groups)
    filters = w.reshape(OC, KH * KW).T if depthwise else weight_matrix(w, groups).transpose(0, 2, 1)
    row_bytes = OW * dy.itemsize * C * (3 if depthwise else KH * KW)
    for images, rows, windows in write_blocks(dx, (KH, KW), stride, padding, dilation, row_bytes):
        part = dy[images, rows]  # (n, r, OW, OC)
        if depthwise:
            for tap, coefficients in zip(each_tap(windows), filters):
                np.add(tap, part * coefficients, out=tap)
            continue
        n, r = part.shape[:2]
        shares = np.matmul(part.reshape(n * r * OW, groups, OC // groups).transpose(1, 0, 2), filters)
        shares = shares.reshape(groups, n, r, OW, KH * KW, CG)
        for i, tap in enumerate(each_tap(windows)):
            np.add(tap, shares[..., i, :].transpose(1, 2, 3, 0, 4).reshape(tap.shape), out=tap)
    return dx


def depthwise_weight_grad(
    dy: np.ndarray, x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> np.ndarray:
    """The gradient of one filter per channel: (KH·KW, C)."""
    total = np.zeros((kernel_size[0] * kernel_size[1], x.shape[3]), dy.dtype)
    row_bytes = 2 * dy.shape[2] * dy.shape[3] * dy.itemsize
    for images, rows, windows in read_blocks(x, kernel_size, stride, padding, dilation, row_bytes):
        part = dy[images, rows]
        for i, tap in enumerate(each_tap(windows)):
            total[i] += np.einsum("nhwc,nhwc->c", tap, part)
    return total


def window_matrices(
    x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """The windows as matrices (G, rows, KH·KW·C/G), block by block, in one buffer that every block overwrites."""
    N, H, W, C = x.shape
    KH, KW = kernel_size
    _, OW = output_size((H, W), kernel_size, stride, padding, dilation)
    row_bytes = OW * KH * KW * C * x.itemsize
    buffer = np.empty(0, x.dtype)
    for images, rows, windows in read_blocks(x, kernel_size, stride, padding, dilation, row_bytes):
        if buffer.size < windows.size:
            buffer = np.empty(windows.size, x.dtype)
        matrix = buffer[: windows.size].reshape(groups, -1, KH * KW * (C // groups))
        n, r = windows.shape[:2]
        by_group = windows.reshape(n, r, OW, KH, KW, groups, C // groups).transpose(5, 0, 1, 2, 3, 4, 6)
        np.copyto(matrix.reshape(by_group.shape), by_group)
        yield images, rows, matrix


def weight_matrix(w: np.ndarray, groups: int) -> np.ndarray:
    """(OC, C/G, KH, KW) -> (G, KH·KW·C/G, OC/G)."""
    OC, CG, KH, KW = w.shape
    split = w.reshape(groups, OC // groups, CG, KH, KW).transpose(0, 3, 4, 2, 1)
    return split.reshape(groups, KH * KW * CG, OC // groups)


def flipped(w: np.ndarray, groups: int) -> np.ndarray:
    """The weights of the convolution that goes back: (OC, C/G, KH, KW) -> (C, OC/G, KH, KW), turned by half a turn."""
    OC, CG, KH, KW = w.shape
    split = w.reshape(groups, OC // groups, CG, KH, KW)[..., ::-1, ::-1]
    return split.transpose(0, 2, 1, 3, 4).reshape(groups * CG, OC // groups, KH, KW)


def _sum_of_products(windows: np.ndarray, filters: np.ndarray, out: np.ndarray) -> None:
    """``out`` (N, OH, OW, C) becomes the sum over taps of a tap times its coefficients (C,)."""
    product = np.empty_like(out)
    for i, (tap, coefficients) in enumerate(zip(each_tap(windows), filters)):
        if i == 0:
            np.multiply(tap, coefficients, out=out)
        else:
            out += np.multiply(tap, coefficients, out=product)
