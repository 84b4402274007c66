"""Normalization on CUDA (``kernels/normalization.cu``): per channel on channels-last memory, and per row on contiguous memory.

Per channel, one pass over memory finds the statistics and one writes the result; the gradient takes one for its sums and one
for the result. Other axes, memory orders and dtypes are left to the generic kernels.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd, prod
from typing import Any, NamedTuple

import numpy as np

from ..generic.normalization import NormalizationKernels
from .compiler import Kernels, is_countable
from .layout import LayoutKernels, is_aligned, pack
from .reduction import ACCUMULATORS, AHEAD, BLOCKS, LEAST, THREADS, cut, plan_rows, power_of_two, share

JOINING = (8, 32)
"""The block that joins parts: channels, and threads for each of them."""


class CUDANormalizationKernels(LayoutKernels, NormalizationKernels):
    """The kernels of ``generic/normalization.py``."""

    xp: Any
    kernels: Kernels

    def moments(self, x: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
        wide, leading = ACCUMULATORS.get(x.dtype), x.ndim - len(axes)
        if axes == all_but_channels(x.ndim) and is_channels_last(x):
            mean, var = (self.xp.empty(of_channels(x), dtype=wide) for _ in range(2))
            self._channel_moments(x, mean, var)
        elif axes == tuple(range(leading, x.ndim)) and has_rows(x, leading):
            mean, var = (self.xp.empty(x.shape[:leading] + (1,) * len(axes), dtype=wide) for _ in range(2))
            rows = self._row_plan(leading, x)
            self._launch(f"row_moments_{rows.kind}", x, rows.grid, rows.block, x, mean, var, *rows.matrix)
        else:
            return super().moments(x, axes)
        return mean, var

    def normalize(
        self, x: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: float, positive: bool = False, other: Any = None
    ) -> Any:
        way = way_to_normalize(x, mean, var, weight, bias)
        if way is None:
            return super().normalize(x, mean, var, weight, bias, eps, positive, other)
        leading, is_wide = way
        if leading is None:
            return self._normalize_channels(x, mean, var, weight, bias, is_wide, eps, positive, other)
        other = None if other is None else self.xp.ascontiguousarray(other)
        rows, y = self._row_plan(leading, x, other), self.xp.empty(x.shape, dtype=x.dtype)
        given = (x, other, y, mean, var, weight, bias, is_wide, float(eps), positive)
        self._launch(f"normalize_rows_{rows.kind}", x, rows.grid, rows.block, *given, *rows.matrix)
        return y

    def scale_and_shift(self, x: Any, scale: Any, shift: Any, positive: bool = False, other: Any = None) -> Any:
        is_wide = affine_is_wide(x, scale, shift)
        if is_wide is None or not is_channels_last(x) or not scale.shape == shift.shape == of_channels(x):
            return super().scale_and_shift(x, scale, shift, positive, other)
        return self._normalize_channels(x, None, None, scale, shift, is_wide, 0.0, positive, other)

    def normalize_grad(
        self, grad: Any, x: Any, axes: tuple[int, ...], weight: Any, mean: Any, var: Any, eps: float, output: Any = None
    ) -> tuple[Any, Any, Any]:
        way = way_to_normalize(x, mean, var, weight, None)
        if way is None or grad.dtype != x.dtype:
            return super().normalize_grad(grad, x, axes, weight, mean, var, eps, output)
        leading, is_wide = way
        given = (grad, x, output, mean, var, weight, is_wide, float(eps))
        if leading is None:
            dx, dbias, dweight = self._channel_gradients(*given)
        else:
            dx, dbias, dweight = self._row_gradients(leading, *given)
        if weight is None:
            return dx, None, None
        return dx, dweight.astype(weight.dtype, copy=False), dbias.astype(weight.dtype, copy=False)

    def track_statistics(
        self, running_mean: Any, running_var: Any, batches: Any, mean: Any, var: Any, samples: int, momentum: float
    ) -> None:
        arrays = (running_mean, running_var, mean, var)
        narrow, wide = running_mean.dtype, ACCUMULATORS.get(running_mean.dtype)
        fits = tuple(a.dtype for a in arrays) == (narrow, narrow, wide, wide) and all(a.flags.c_contiguous for a in arrays)
        if not fits or not (batches is None or (batches.dtype == "int64" and batches.size == 1)):
            super().track_statistics(running_mean, running_var, batches, mean, var, samples, momentum)
            return
        unbiased = samples / max(samples - 1, 1)
        given = (running_mean, running_var, batches, mean, var, unbiased, float(momentum))
        self._launch_line("track_statistics", running_mean, *given)

    def running_affine(self, mean: Any, var: Any, weight: Any, bias: Any, eps: float) -> tuple[Any, Any]:
        is_wide = affine_is_wide(mean, weight, bias)
        if is_wide is None or var.dtype != mean.dtype or not (mean.flags.c_contiguous and var.flags.c_contiguous):
            return super().running_affine(mean, var, weight, bias, eps)
        scale, shift = (self.xp.empty(mean.shape, dtype=ACCUMULATORS[mean.dtype]) for _ in range(2))
        self._launch_line("running_affine", mean, mean, var, weight, bias, is_wide, float(eps), scale, shift)
        return scale, shift

    def _channel_moments(self, x: Any, mean: Any, var: Any) -> None:
        plan = self._channels(x)
        grid, height = plan.sums
        parts = self.xp.empty(2 * grid[1] * plan.width, dtype=mean.dtype)
        self._launch(f"channel_moments_{plan.kind}", x, grid, plan.block, x, parts, *plan.matrix, height)
        self._launch("join_moments", x, plan.joining, JOINING, parts, x, mean, var, *plan.matrix, height, grid[1])

    def _normalize_channels(
        self, x: Any, mean: Any, var: Any, weight: Any, bias: Any, is_wide: bool, eps: float, positive: bool, other: Any
    ) -> Any:
        other = self._channels_last(other)
        plan, y = self._channels(x, other), self.xp.empty_like(x)
        grid, height = plan.maps
        given = (x, other, y, mean, var, weight, bias, is_wide, float(eps), positive)
        self._launch(f"normalize_channels_{plan.kind}", x, grid, plan.block, *given, *plan.matrix, height)
        return y

    def _channel_gradients(
        self, grad: Any, x: Any, output: Any, mean: Any, var: Any, weight: Any, is_wide: bool, eps: float
    ) -> tuple[Any, Any, Any]:
        """By x, bias and weight; the last two (C,), in the accumulator's dtype."""
        given = (self._channels_last(grad), x, self._channels_last(output))
        plan = self._channels(x, given[0], given[2])
        grid, height = plan.sums
        parts = self.xp.empty(2 * grid[1] * plan.width, dtype=mean.dtype)
        self._launch(f"channel_gradient_sums_{plan.kind}", x, grid, plan.block, *given, mean, parts, *plan.matrix, height)
        dx, C = self.xp.empty_like(x), x.shape[1]
        dbias, dweight = (self.xp.empty(C, dtype=mean.dtype) for _ in range(2))
        given_parts = (parts, var, eps, dbias, dweight, C, grid[1] * plan.width // C)
        self._launch("join_gradient_sums", x, plan.joining, JOINING, *given_parts)
        grid, height = plan.maps
        rest = (mean, var, weight, is_wide, eps, dbias, dweight)
        self._launch(f"channel_gradient_{plan.kind}", x, grid, plan.block, *given, dx, *rest, *plan.matrix, height)
        return dx, dbias, dweight

    def _row_gradients(
        self, leading: int, grad: Any, x: Any, output: Any, mean: Any, var: Any, weight: Any, is_wide: bool, eps: float
    ) -> tuple[Any, Any, Any]:
        """By x, bias and weight; the last two as long as a row, in the accumulator's dtype, None without a weight."""
        given = (self.xp.ascontiguousarray(grad), x, None if output is None else self.xp.ascontiguousarray(output))
        rows, dx = self._row_plan(leading, x, given[0], given[2]), self.xp.empty(x.shape, dtype=x.dtype)
        rest = (mean, var, weight, is_wide, eps)
        self._launch(f"row_gradient_{rows.kind}", x, rows.grid, rows.block, *given, dx, *rest, *rows.matrix)
        if weight is None:
            return dx, None, None
        count, length = rows.matrix
        plan = plan_channels(int(count), length, pack(x) if rows.kind == "packed" else 1)
        grid, height = plan.sums
        parts = self.xp.empty(2 * grid[1] * length, dtype=mean.dtype)
        name = f"row_gradient_sums_{plan.kind}"
        self._launch(name, x, grid, plan.block, *given, mean, var, eps, parts, *rows.matrix, height)
        dbias, dweight = (self.xp.empty(length, dtype=mean.dtype) for _ in range(2))
        self._launch("join_gradient_sums", x, plan.joining, JOINING, parts, None, eps, dbias, dweight, length, grid[1])
        return dx, dbias, dweight

    def _channels_last(self, array: Any) -> Any:
        """An array whose memory has the channels last: the same, or a copy that may have another shape; None for None."""
        if array is None or is_channels_last(array):
            return array
        if array.ndim == 4:
            return self.dense_pixels(array)
        return self.xp.ascontiguousarray(array.transpose(0, *range(2, array.ndim), 1))

    def _channels(self, x: Any, *others: Any) -> ChannelPlan:
        """The launches for arrays, some of them None, in which the channels of x lie last."""
        aligned = is_aligned(x, *(a for a in others if a is not None))
        return plan_channels(x.size // x.shape[1], x.shape[1], pack(x) if aligned else 1)

    def _row_plan(self, leading: int, x: Any, *others: Any) -> RowPlan:
        """The launches for contiguous arrays, some of them None, whose first axes number the rows."""
        aligned = is_aligned(x, *(a for a in others if a is not None))
        rows = prod(x.shape[:leading])
        return plan_contiguous(rows, x.size // rows, pack(x) if aligned else 1)

    def _launch(self, name: str, x: Any, grid: Any, block: Any, *arguments: Any) -> None:
        self.kernels("normalization", name, x.dtype)(grid, block, *arguments)

    def _launch_line(self, name: str, x: Any, *arguments: Any) -> None:
        """A thread for each of x."""
        self._launch(name, x, (-(-x.size // THREADS),), (THREADS,), *arguments, x.size)


def all_but_channels(ndim: int) -> tuple[int, ...]:
    return (0, *range(2, ndim))


def of_channels(x: Any) -> tuple[int, ...]:
    """The shape of what x has per channel."""
    return (1, x.shape[1]) + (1,) * (x.ndim - 2) if x.ndim > 1 else ()


def is_channels_last(x: Any) -> bool:
    """Whether an array of floats is dense, with (N, C, ...) lying as (N, ..., C)."""
    return x.dtype in ACCUMULATORS and has_channels_last(x.shape, x.strides, x.itemsize)


@lru_cache(4096)
def has_channels_last(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> bool:
    if len(shape) < 2 or 0 in shape:
        return False
    expected = itemsize
    for axis in (1, *range(len(shape) - 1, 1, -1), 0):
        if shape[axis] != 1 and strides[axis] != expected:
            return False
        expected *= shape[axis]
    return True


def has_rows(x: Any, leading: int) -> bool:
    """Whether an array of floats has values, all in C order, and rows, numbered by so many axes, that kernels can count."""
    in_order = x.dtype in ACCUMULATORS and x.size > 0 and x.flags.c_contiguous
    return in_order and is_countable(prod(x.shape[leading:]))


def affine_is_wide(x: Any, weight: Any, bias: Any) -> bool | None:
    """Whether weight and bias have the dtype of x's sums and not that of x; None for others, gaps, or one of each."""
    wide = ACCUMULATORS.get(x.dtype)
    given = [a for a in (weight, bias) if a is not None]
    found = given[0].dtype if given else wide
    if wide is None or found not in (x.dtype, wide) or any(a.dtype != found or not a.flags.c_contiguous for a in given):
        return None
    return found == wide


def way_to_normalize(x: Any, mean: Any, var: Any, weight: Any, bias: Any) -> tuple[int | None, bool] | None:
    """How many leading axes number the rows, None if statistics are per channel, and ``affine_is_wide``; None for no way."""
    is_wide, wide = affine_is_wide(x, weight, bias), ACCUMULATORS.get(x.dtype)
    if is_wide is None or not mean.dtype == var.dtype == wide or not (mean.flags.c_contiguous and var.flags.c_contiguous):
        return None
    shapes = {a.shape for a in (weight, bias) if a is not None}
    if shapes <= {of_channels(x)} and mean.shape == of_channels(x) and is_channels_last(x):
        return None, is_wide
    leading = max((axis + 1 for axis, n in enumerate(mean.shape) if n != 1), default=0)
    trailing = x.ndim - leading
    fits = mean.shape == x.shape[:leading] + (1,) * trailing and shapes <= {(1,) * leading + x.shape[leading:]}
    return (leading, is_wide) if fits and has_rows(x, leading) else None


class ChannelPlan(NamedTuple):
    """How channels-last memory is dealt out: as a matrix of rows × width, whose column i belongs to channel i modulo C."""

    kind: str
    block: tuple[int, int]
    sums: tuple[tuple[int, int], Any]
    """The grid where results are joined, one part of the rows for each of its second axis, and how many rows a part has."""
    maps: tuple[tuple[int, int], Any]
    """The same where there is nothing to join."""
    matrix: tuple[Any, int, int]
    """Rows, width and C."""
    joining: tuple[int]
    """The grid that joins parts."""

    @property
    def width(self) -> int:
        return self.matrix[1]


@lru_cache(4096)
def plan_channels(rows: int, C: int, items: int) -> ChannelPlan:
    """For so many items in 16 bytes, 1 where they are not aligned. Rows that do not fill packs are joined to longer ones."""
    joined = items // gcd(C, items)
    if rows % joined:
        items = joined = 1
    rows, width = rows // joined, C * joined
    x, tiles = share(width // items, 32)
    y = power_of_two(THREADS // x)

    def split(blocks: int, least: int) -> tuple[tuple[int, int], Any]:
        height, parts = cut(rows, y * AHEAD, blocks // tiles, least)
        return (tiles, parts), np.int64(height)

    kind, matrix = "packed" if items > 1 else "single", (np.int64(rows), width, C)
    return ChannelPlan(kind, (x, y), split(BLOCKS, LEAST), split(2 * BLOCKS, 1), matrix, (-(-C // JOINING[0]),))


class RowPlan(NamedTuple):
    """How contiguous memory is dealt out: as a matrix, each row to some threads side by side."""

    kind: str
    grid: tuple[int]
    block: tuple[int, int]
    matrix: tuple[Any, int]
    """Rows and their length."""


@lru_cache(4096)
def plan_contiguous(rows: int, length: int, items: int) -> RowPlan:
    """For so many items in 16 bytes, 1 where they are not aligned."""
    if length % items:
        items = 1
    plan = plan_rows(rows, length, items, False)
    return RowPlan("packed" if items > 1 else "single", plan.grid[:1], plan.block[:2], (np.int64(rows), length))
