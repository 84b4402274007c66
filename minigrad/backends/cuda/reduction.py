"""Sums and means of floats on CUDA, in two stages: parts in as many blocks as keep a GPU busy, and then the sum of the parts.

CuPy's sums over leading axes have one block for a few columns: two in all for a convolution's bias. Here, dense memory is seen
as (outer, length, inner), whatever the order of its axes; axes that do not lie together are summed one after the other.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd, prod
from typing import Any, NamedTuple

import numpy as np

from ...dtypes import accumulated_in
from .compiler import TYPES, Kernels
from .layout import dense_order, inverse, pack

THREADS = 256
"""Of a block."""
BLOCKS = 132 * 4
"""As many blocks as keep an H100 or H200 busy, all at once."""
AHEAD = 4
"""The reads of a thread that do not wait for each other, as in the kernels."""
LEAST = 2
"""How often a thread has to read ahead for a part to be worth its while."""

ACCUMULATORS = {dtype: accumulated_in(dtype) for dtype in TYPES}
"""The dtypes that sums are kept in."""


class Reductions:
    """``sum`` and ``mean`` with NumPy's arguments and results; short floats are summed in float32.

    Args:
        cupy: the module, whose own functions take integers, ``out=`` and other dtypes.
        kernels: our own.
    """

    def __init__(self, cupy: Any, kernels: Kernels):
        self._cupy = cupy
        self._kernels = kernels

    def sum(self, a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        axes = self._axes(a, axis, dtype, out)
        if axes is None:
            return self._cupy.sum(a, axis=axis, dtype=dtype, out=out, keepdims=keepdims)
        return self._summed(a, axes, keepdims, 1.0).astype(dtype or a.dtype, copy=False)

    def mean(self, a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        axes = self._axes(a, axis, dtype, out)
        if axes is None:
            return self._cupy.mean(a, axis=axis, dtype=dtype, out=out, keepdims=keepdims)
        count = float(prod([a.shape[axis] for axis in axes]))
        return self._summed(a, axes, keepdims, count).astype(dtype or a.dtype, copy=False)

    def _axes(self, a: Any, axis: Any, dtype: Any, out: Any) -> tuple[int, ...] | None:
        """The axes to sum over; None for what is left to CuPy, errors among it."""
        if out is not None or not isinstance(a, self._cupy.ndarray):
            return None
        accumulator = ACCUMULATORS.get(a.dtype)
        if accumulator is None or a.size == 0 or (dtype is not None and dtype != a.dtype and dtype != accumulator):
            return None
        return reduced_axes(a.shape, axis)

    def _summed(self, a: Any, axes: tuple[int, ...], keepdims: bool, divisor: float) -> Any:
        """The sum over some axes, divided, in the accumulator's dtype."""
        view = view_of(a.shape, a.strides, a.itemsize, axes, keepdims)
        if view is None:
            return self._summed(self._cupy.ascontiguousarray(a), axes, keepdims, divisor)
        if view.rest:
            return self._summed(self._summed(a, view.together, True, 1.0), axes, keepdims, divisor)
        result = self._cupy.empty(view.shape, dtype=ACCUMULATORS[a.dtype])
        self._add_up(a, result, view.outer, view.length, view.inner, divisor)
        return result if view.order is None else result.transpose(view.order)

    def _add_up(self, a: Any, result: Any, outer: int, length: int, inner: int, divisor: float, parts: bool = True) -> None:
        """Sum memory (outer, length, inner) to (outer, inner), in parts where they pay."""
        items = 1 if a.data.ptr % 16 else pack(a)
        plan = plan_of(outer, length, inner, items, parts)
        kernel = self._kernels("reduction", plan.kernel, a.dtype)
        if plan.parts == 1:
            kernel(plan.grid, plan.block, a, result, *plan.sizes, divisor)
            return
        sums = self._cupy.empty(outer * plan.parts * inner, dtype=result.dtype)
        kernel(plan.grid, plan.block, a, sums, *plan.sizes, 1.0)
        self._add_up(sums, result, outer, plan.parts, inner, divisor, False)


def reduced_axes(shape: tuple[int, ...], axis: Any) -> tuple[int, ...] | None:
    """The axes that are meant, counted from 0; None if there is nothing to sum over, or they are not valid."""
    ndim = len(shape)
    if axis is None:
        axes = tuple(range(ndim))
    else:
        given = axis if isinstance(axis, tuple) else (axis,)
        if not all(isinstance(i, int) and -ndim <= i < ndim for i in given):
            return None
        axes = tuple(sorted({i % ndim for i in given}))
        if len(axes) < len(given):
            return None
    return axes if any(shape[i] != 1 for i in axes) else None


class View(NamedTuple):
    """Dense memory as a reduction sees it."""

    outer: int
    length: int
    inner: int
    shape: tuple[int, ...]
    """The result's, in memory order."""
    order: tuple[int, ...] | None
    """What brings the result's axes into their order; None if they are."""
    together: tuple[int, ...]
    """The axes that length is made of."""
    rest: bool
    """Whether there are others to be summed over, afterwards."""


@lru_cache(4096)
def view_of(
    shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int, axes: tuple[int, ...], keepdims: bool
) -> View | None:
    """How to sum over some axes, the last ones in memory order first; None if the memory is not dense."""
    order = dense_order(shape, strides, itemsize)
    if order is None:
        return None
    long = [axis for axis in order if shape[axis] != 1]
    end = max(i for i, axis in enumerate(long) if axis in axes) + 1
    start = end
    while start and long[start - 1] in axes:
        start -= 1
    sizes = [shape[axis] for axis in long]
    kept = [axis for axis in order if keepdims or axis not in axes]
    numbers, moved = sorted(kept), [axis for axis in kept if axis in long and axis not in axes]
    back = None
    if moved == sorted(moved):
        kept = numbers  # axes of size 1 may lie anywhere
    else:
        back = inverse(tuple(numbers.index(axis) for axis in kept))
    return View(
        prod(sizes[:start]),
        prod(sizes[start:end]),
        prod(sizes[end:]),
        tuple(1 if axis in axes else shape[axis] for axis in kept),
        back,
        tuple(long[start:end]),
        any(axis in axes for axis in long[:start]),
    )


class Plan(NamedTuple):
    """A launch of ``kernels/reduction.cu``."""

    kernel: str
    grid: tuple[int, int]
    block: tuple[int, int, int]
    sizes: tuple[Any, ...]
    parts: int
    """How many sums there are for each result."""


@lru_cache(4096)
def plan_of(outer: int, length: int, inner: int, items: int, parts: bool) -> Plan:
    """The launch for (outer, length, inner), with so many items in 16 bytes, 1 where they are not aligned."""
    return plan_rows(outer, length, items, parts) if inner == 1 else plan_columns(outer, length, inner, items, parts)


def plan_columns(outer: int, length: int, inner: int, items: int, parts: bool) -> Plan:
    """Threads read along inner. Rows that do not fill packs are joined, if many are left: then more sums come of it."""
    joined = items // gcd(inner, items)
    if joined > 1 and not (parts and length % joined == 0 and length >= joined * THREADS):
        items = joined = 1
    length, inner = length // joined, inner * joined
    packs = inner // items
    for widest in (32, 16, 8, 4):
        x, tiles = share(packs, widest)
        if outer * tiles * max(1, length // (THREADS // x * AHEAD * LEAST) if parts else 1) >= BLOCKS:
            break
    y = power_of_two(min(THREADS // x, max(1, length // AHEAD)))
    z = min(THREADS // (x * y), 64)
    blocks = -(-outer // z) * tiles
    height, cuts = cut(length, y * AHEAD, BLOCKS // blocks if parts else 1, LEAST)
    kernel = "column_sums_packed" if items > 1 else "column_sums_single"
    sizes = (np.int64(outer), np.int64(length), np.int64(inner), tiles, np.int64(height))
    return Plan(kernel, (blocks, cuts), (x, y, z), sizes, cuts * joined)


def plan_rows(outer: int, length: int, items: int, parts: bool) -> Plan:
    """Threads read along length, as many of them for a row as it takes to keep the GPU busy."""
    if length < items or (length % items and outer > 1):
        items = 1
    packs = length // items
    x = min(power_of_two(packs), 32)
    while x < THREADS and 2 * x <= packs and outer * x < BLOCKS * THREADS:
        x *= 2
    y = THREADS // x
    blocks = -(-outer // y)
    height, cuts = cut(length, x * AHEAD * items, BLOCKS // blocks if parts else 1, LEAST)
    kernel = "row_sums_packed" if items > 1 else "row_sums_single"
    return Plan(kernel, (blocks, cuts), (x, y, 1), (np.int64(outer), np.int64(length), np.int64(height)), cuts)


def cut(length: int, step: int, parts: int, least: int = 1) -> tuple[int, int]:
    """The length and the number of about so many parts of a length, all but the last of as many steps, and at least so many."""
    steps = -(-length // step)
    height = max(-(-steps // max(parts, 1)), min(least, steps)) * step
    return height, -(-length // height)


def share(packs: int, widest: int) -> tuple[int, int]:
    """How many threads stand side by side for so many packs, at most the widest, and how many blocks."""
    tiles = -(-packs // widest)
    return -(-packs // tiles), tiles


def power_of_two(n: int) -> int:
    """The largest that is not above n."""
    return 1 << (n.bit_length() - 1)
