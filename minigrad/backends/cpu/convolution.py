"""Convolution on the CPU: each of the three kernels goes the way that ``plan.py`` chooses.

All memory is channels last. A 1×1 convolution is a matrix product of what is there; one of 3×3 to 5×5 with stride 1 goes by
Winograd's tiles where these pay (``winograd.py``, ``winograd_1d.py``); all others are products of columns (``columns.py``,
``groups.py``). The gradient by the input is itself a convolution: with stride 1 of the output's gradient with the turned
weights, with a larger stride one for every phase of the stride, with the taps that meet it, or one for all of them; so nothing
is scattered. A bias, and what follows a convolution, is done to its result in place (``finish.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ...dtypes import REDUCED
from ..generic.convolution import ConvolutionKernels
from ..generic.windows import Padding, Pair
from . import banded, columns, flat_weights, plan, winograd, winograd_1d
from . import groups as grouped
from .blas import product
from .elementwise import contiguous, copy
from .finish import finish
from .threads import aligned
from .windows import Windows, channels_first, channels_last, wide, windows_over


class CPUConvolutionKernels(ConvolutionKernels):
    """The kernels of ``generic/convolution.py``."""

    finishes_convolutions = True

    def conv2d(self, x: Any, w: Any, bias: Any, stride: Pair, padding: Padding, dilation: Pair, groups: int) -> Any:
        windows = windows_over(x.shape[2:], w.shape[2:], stride, padding, dilation)
        y = correlate(channels_last(wide(x)), wide(w), windows, groups)
        if bias is not None:
            finish(y, bias=wide(bias))
        return channels_first(y.astype(x.dtype, copy=False))

    def conv2d_finished(
        self,
        x: Any,
        w: Any,
        bias: Any,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        groups: int,
        scale: Any = None,
        shift: Any = None,
        positive: bool = False,
        other: Any = None,
    ) -> Any:
        addend = None if other is None else channels_last(other)
        per_channel = (1, len(w), 1, 1)
        if (
            x.dtype in REDUCED
            or not (scale is None or scale.shape == shift.shape == per_channel)
            or not (addend is None or addend.flags.c_contiguous)
        ):
            geometry = stride, padding, dilation, groups
            return super().conv2d_finished(x, w, bias, *geometry, scale, shift, positive, other)
        scale, shift = (None if values is None else values.reshape(-1) for values in (scale, shift))
        windows = windows_over(x.shape[2:], w.shape[2:], stride, padding, dilation)
        y = correlate(channels_last(x), w, windows, groups)
        finish(y, bias=bias, scale=scale, shift=shift, other=addend, positive=positive)
        return channels_first(y)

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
        _, _, H, W = input_shape
        windows = windows_over((H, W), w.shape[2:], stride, padding, dilation)
        dx = input_grad(channels_last(wide(grad)), wide(w), windows, groups)
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
        windows = windows_over(x.shape[2:], weight_shape[2:], stride, padding, dilation)
        dy = channels_last(wide(grad))
        dw = np.empty(weight_shape, dy.dtype)  # of its own memory, so that it can become a parameter's gradient as it is
        weight_grad(dy, channels_last(wide(x)), windows, groups, dw)
        return dw.astype(grad.dtype, copy=False)


def correlate(x: np.ndarray, w: np.ndarray, windows: Windows, groups: int) -> np.ndarray:
    """(N, H, W, C) and (OC, C/G, KH, KW) -> (N, OH, OW, OC)."""
    OC, CG = w.shape[:2]
    if plan.is_apart(windows, len(x), CG, OC, groups):
        y = aligned((len(x), *windows.output_size, OC), x.dtype)
        for below, above in _channels(groups, CG, OC):
            copy(correlate(x[..., below], w[above], windows, 1), y[..., above])
        return y
    way = plan.way_of(windows, len(x), CG, OC, groups, x.itemsize)
    if way == plan.WINOGRAD:
        return winograd.correlate(x, w, (windows.rows.before, windows.columns.before), windows.output_size, False)
    y = aligned((len(x), *windows.output_size, OC), x.dtype)
    if not y.size:
        return y
    if way == plan.POINTWISE:
        product(as_rows(x), w.reshape(OC, CG).T, out=y.reshape(-1, OC))
        return y
    if way in (plan.WINOGRAD_1D, plan.FLAT):
        kernels = winograd_1d if way == plan.WINOGRAD_1D else flat_weights
        kernels.correlate(x, w, windows, y)
        return y
    if way == plan.GROUPS:
        grouped.correlate(x, w, windows, groups, y)
    else:
        columns.correlate(x, windows, w, way, y)
    return y


def input_grad(dy: np.ndarray, w: np.ndarray, windows: Windows, groups: int) -> np.ndarray:
    """The gradient by the input (N, H, W, C) from the output's (N, OH, OW, OC)."""
    OC, CG = w.shape[:2]
    if plan.is_apart(windows, len(dy), CG, OC, groups):
        dx = aligned((len(dy), windows.rows.size, windows.columns.size, groups * CG), dy.dtype)
        for below, above in _channels(groups, CG, OC):
            copy(input_grad(dy[..., above], w[above], windows, 1), dx[..., below])
        return dx
    way = plan.way_of_input_grad(windows, len(dy), CG, OC, groups, dy.itemsize)
    if way in (plan.FLAT, plan.BANDED):
        return (flat_weights if way == plan.FLAT else banded).input_grad(contiguous(dy), w, windows)
    stride = windows.rows.stride, windows.columns.stride
    size = windows.rows.size, windows.columns.size
    if stride == (1, 1):
        back, _ = plan.opposite(windows, (0, 0))
        if way == plan.WINOGRAD:
            return winograd.correlate(dy, w, (back.rows.before, back.columns.before), size, True)
        return correlate(dy, _turned(w, groups), back, groups)
    if way == plan.STRIDES:
        return grouped.input_grad(dy, w, windows, groups)
    turned = _turned(w, groups)
    dx = aligned((len(dy), *size, CG * groups), dy.dtype)
    phases = list(plan.phases(windows))
    if len(phases) < min(stride[0], size[0]) * min(stride[1], size[1]):
        copy(np.zeros((), dy.dtype), dx)  # some elements meet no tap
    for i, j in phases:
        back, taps = plan.opposite(windows, (i, j))
        copy(correlate(dy, turned[:, :, *taps], back, groups), dx[:, i :: stride[0], j :: stride[1]])
    return dx


def weight_grad(dy: np.ndarray, x: np.ndarray, windows: Windows, groups: int, dw: np.ndarray) -> None:
    """The gradient by the weight from the output's (N, OH, OW, OC) and the input (N, H, W, C), to ``dw`` (OC, C/G, KH, KW)."""
    OC, CG = dw.shape[:2]
    if plan.is_apart(windows, len(x), CG, OC, groups):
        for below, above in _channels(groups, CG, OC):
            weight_grad(dy[..., above], x[..., below], windows, 1, dw[above])
        return
    dy = contiguous(dy)
    way = plan.way_of_weight_grad(windows, len(x), CG, OC, groups, dy.itemsize)
    if not dy.size:
        dw[...] = 0
    elif way == plan.POINTWISE:
        product(dy.reshape(-1, OC).T, as_rows(x), out=dw.reshape(OC, CG))
    elif way == plan.WINOGRAD:
        winograd.weight_grad(x, dy, (windows.rows.before, windows.columns.before), dw)
    elif way == plan.FLAT:
        flat_weights.weight_grad(x, dy, windows, dw)
    elif way == plan.GROUPS:
        grouped.weight_grad(x, dy, windows, groups, dw)
    elif way == plan.WINOGRAD_1D:
        dw[...] = winograd_1d.weight_grad(x, dy, windows)
    else:
        dw[...] = columns.weight_grad(x, windows, dy, way)


def _channels(groups: int, CG: int, OC: int) -> Iterator[tuple[slice, slice]]:
    """The channels of every group, of the input and of the output."""
    OG = OC // groups
    for g in range(groups):
        yield slice(g * CG, (g + 1) * CG), slice(g * OG, (g + 1) * OG)


def as_rows(x: np.ndarray) -> np.ndarray:
    """(N, H, W, C) -> (N·H·W, C), a view where rows lie evenly in memory, as those of a slice of the channels do."""
    N, H, W, C = x.shape
    if x.flags.c_contiguous:
        return x.reshape(N * H * W, C)
    n, h, w, c = x.strides
    if c == x.itemsize and h == W * w and n == H * h and w >= C * c:
        return as_strided(x, (N * H * W, C), (w, c))
    return contiguous(x).reshape(N * H * W, C)


def _turned(w: np.ndarray, groups: int) -> np.ndarray:
    """The weights of the convolution that goes back: (OC, C/G, KH, KW) -> (C, OC/G, KH, KW), turned by half a turn."""
    OC, CG, KH, KW = w.shape
    split = w.reshape(groups, OC // groups, CG, KH, KW)[..., ::-1, ::-1]
    return split.transpose(0, 2, 1, 3, 4).reshape(groups * CG, OC // groups, KH, KW)
