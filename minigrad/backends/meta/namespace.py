"""What ``xp`` is on the meta device: NumPy's functions, as far as shape, dtype and memory order go.

Element-wise functions broadcast, and ask NumPy which dtype comes out. The others have their rule here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from math import ceil, prod
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np

from .array import NO_VALUES, MetaArray, elementwise, from_broadcast, kind_of, like, reached, result_dtypes
from .field import WHOLE, through_reduction, union
from .strides import Shape, broadcast, contiguous, in_order, memory_order


class Namespace:
    """NumPy's functions of these names, with its arguments."""

    float16, float32, float64, bool_ = np.float16, np.float32, np.float64, np.bool_

    def __init__(self) -> None:
        self.lib = SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=as_strided))
        for name in ("sum", "prod", "mean", "max", "min", "any", "all", "argmax", "argmin", "count_nonzero"):
            setattr(self, name, partial(reduced, name))
        for name in ("cumsum", "cumprod"):
            setattr(self, name, partial(accumulated, name))

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name, None)
        if not isinstance(found, np.ufunc):
            raise AttributeError(f"the meta device has no rule for xp.{name}")
        function = partial(elementwise, found)
        setattr(self, name, function)
        return function

    # --- new arrays -------------------------------------------------------------------------------------------------------

    @staticmethod
    def empty(shape: Any, dtype: Any = float) -> MetaArray:
        return MetaArray(tuple(shape) if isinstance(shape, (tuple, list)) else (shape,), dtype)

    zeros = ones = empty

    @staticmethod
    def full(shape: Any, value: Any, dtype: Any = None) -> MetaArray:
        return Namespace.empty(shape, np.asarray(value).dtype if dtype is None else dtype)

    @staticmethod
    def empty_like(x: MetaArray, dtype: Any = None, shape: Any = None) -> MetaArray:
        result = like(x, shape, dtype=dtype)
        result.field = None
        return result

    zeros_like = ones_like = empty_like

    @staticmethod
    def full_like(x: MetaArray, value: Any, dtype: Any = None, shape: Any = None) -> MetaArray:
        return Namespace.empty_like(x, dtype, shape)

    @staticmethod
    def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> MetaArray:
        first, last = (0, start) if stop is None else (start, stop)
        kind = np.result_type(*(type(n) for n in (first, last, step))) if dtype is None else dtype
        return MetaArray((max(ceil((last - first) / step), 0),), kind)

    @staticmethod
    def linspace(start: Any, stop: Any, num: int) -> MetaArray:
        return MetaArray((num,), float)

    @staticmethod
    def eye(rows: int, columns: int, dtype: Any = float) -> MetaArray:
        return MetaArray((rows, columns), dtype)

    @staticmethod
    def array(data: Any, dtype: Any = None, copy: bool = True, order: str = "K") -> MetaArray:
        if isinstance(data, MetaArray):
            if not copy and (dtype is None or data.dtype == dtype):
                return data
            kind = data.dtype if dtype is None else np.dtype(dtype)
            return like(data, strides=contiguous(data.shape, kind.itemsize) if order == "C" else None, dtype=kind)
        numbers = np.asarray(data, dtype)
        return MetaArray(numbers.shape, numbers.dtype)

    @staticmethod
    def asarray(data: Any, dtype: Any = None) -> MetaArray:
        return Namespace.array(data, dtype, copy=False)

    @staticmethod
    def ascontiguousarray(x: MetaArray) -> MetaArray:
        return x if x.flags.c_contiguous else x.copy()

    # --- the same elements otherwise --------------------------------------------------------------------------------------

    @staticmethod
    def broadcast_to(x: MetaArray, shape: Shape) -> MetaArray:
        if broadcast([x.shape, shape]) != shape:
            raise ValueError(f"broadcast_to: expected a shape that broadcasts to {shape}, got {x.shape}")
        extra = len(shape) - x.ndim
        strides = [s if n == m else 0 for n, s, m in zip(x.shape, x.strides, shape[extra:], strict=True)]
        return MetaArray(shape, x.dtype, (*(0,) * extra, *strides), x)

    @staticmethod
    def expand_dims(x: MetaArray, axis: int) -> MetaArray:
        place = axis % (x.ndim + 1)
        return x[(*(slice(None),) * place, None)]

    @staticmethod
    def flip(x: MetaArray, axis: Any = None) -> MetaArray:
        axes = _axes(x, axis)
        return x[tuple(slice(None, None, -1 if i in axes else 1) for i in range(x.ndim))]

    @staticmethod
    def roll(x: MetaArray, shift: Any, axis: Any = None) -> MetaArray:
        return like(x)

    @staticmethod
    def tril(x: MetaArray, k: int = 0) -> MetaArray:
        return from_broadcast([MetaArray(x.shape[-2:], np.bool_), x], x.dtype)

    triu = tril

    @staticmethod
    def repeat(x: MetaArray, repeats: Sequence[int]) -> MetaArray:
        return like(x, (sum(repeats),))

    @staticmethod
    def concatenate(arrays: Sequence[MetaArray], axis: int = 0, out: Any = None) -> MetaArray:
        first = arrays[0]
        axis %= first.ndim
        for x in arrays:
            if x.shape[:axis] != first.shape[:axis] or x.shape[axis + 1 :] != first.shape[axis + 1 :]:
                raise ValueError(f"concatenate: expected one shape except in axis {axis}, got {first.shape} and {x.shape}")
        shape = (*first.shape[:axis], sum(x.shape[axis] for x in arrays), *first.shape[axis + 1 :])
        if out is not None and out.shape != shape:
            raise ValueError(f"concatenate: expected out of shape {shape}, got {out.shape}")
        result = like(first, shape, dtype=np.result_type(*(x.dtype for x in arrays))) if out is None else out
        reached(result, *arrays)
        return result

    @staticmethod
    def stack(arrays: Sequence[MetaArray], axis: int = 0) -> MetaArray:
        return Namespace.concatenate([Namespace.expand_dims(x, axis) for x in arrays], axis)

    # --- by value, of which only the shape is known -------------------------------------------------------------------------

    @staticmethod
    def take(x: MetaArray, index: MetaArray, axis: int | None = None) -> MetaArray:
        shape = index.shape if axis is None else (*x.shape[: axis % x.ndim], *index.shape, *x.shape[axis % x.ndim + 1 :])
        return like(x, shape, contiguous(shape, x.itemsize))

    @staticmethod
    def take_along_axis(x: MetaArray, index: MetaArray, axis: int) -> MetaArray:
        axis %= x.ndim
        others = [array.shape[:axis] + (1,) + array.shape[axis + 1 :] for array in (x, index)]
        shape = broadcast(others)
        shape = (*shape[:axis], index.shape[axis], *shape[axis + 1 :])
        result = from_broadcast([index, MetaArray(shape, np.bool_, (0,) * x.ndim)], x.dtype)  # as the index lies
        reached(result, x)
        return result

    @staticmethod
    def where(condition: Any, a: Any, b: Any) -> MetaArray:
        arrays = [x for x in (condition, a, b) if isinstance(x, MetaArray)]
        return from_broadcast(arrays, result_dtypes(np.add, kind_of(a), kind_of(b))[0])

    @staticmethod
    def clip(x: MetaArray, low: Any, high: Any, out: Any = None) -> MetaArray:
        result = x if low is None else elementwise(np.maximum, x, low, out=out)
        return result if high is None else elementwise(np.minimum, result, high, out=out)

    @staticmethod
    def round(x: MetaArray, decimals: int = 0, out: Any = None) -> MetaArray:
        return like(x) if out is None else elementwise(np.positive, x, out=out)

    @staticmethod
    def nan_to_num(x: MetaArray, **replacements: Any) -> MetaArray:
        return like(x)

    @staticmethod
    def argsort(x: MetaArray, axis: int = -1, kind: Any = None) -> MetaArray:
        return like(x, strides=contiguous(x.shape, 8), dtype=np.int64)

    @staticmethod
    def result_type(*operands: Any) -> np.dtype:
        return np.result_type(*(x.dtype if isinstance(x, MetaArray) else x for x in operands))

    @staticmethod
    def matmul(a: MetaArray, b: MetaArray) -> MetaArray:
        """Of vectors, matrices and stacks of matrices."""
        left = a.shape if a.ndim > 1 else (1, *a.shape)
        right = b.shape if b.ndim > 1 else (*b.shape, 1)
        if left[-1] != right[-2]:
            raise ValueError(f"matmul: expected shapes that fit, got {a.shape} and {b.shape}")
        rows, columns = left[-2:-1] if a.ndim > 1 else (), right[-1:] if b.ndim > 1 else ()
        stack = broadcast([left[:-2], right[:-2]])
        result = MetaArray((*stack, *rows, *columns), np.result_type(a.dtype, b.dtype))
        mixes = b.field is not None or (a.field is not None and a.ndim < 3)  # places, or features of all places
        result.field = WHOLE if mixes else union([a.field, b.field])
        return result

    @staticmethod
    def nonzero(x: MetaArray) -> NoReturn:
        raise RuntimeError(f"{NO_VALUES}: how many elements are not zero depends on them")

    @staticmethod
    def unique(x: MetaArray, **options: Any) -> NoReturn:
        raise RuntimeError(f"{NO_VALUES}: how many different ones there are depends on them")


def as_strided(x: MetaArray, shape: Shape, strides: Shape) -> MetaArray:
    """A view with other strides, in bytes."""
    return MetaArray(shape, x.dtype, strides, x)


def reduced(name: str, x: MetaArray, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> MetaArray:
    """A reduction: the array without some axes, or with ones in their place."""
    axes = _axes(x, axis)
    if name in ("max", "min", "argmax", "argmin") and not prod(x.shape[i] for i in axes):
        _refuse_nothing(name, x, axes)
    kind = np.dtype(dtype) if dtype is not None else _reduced_dtype(name, x.dtype)
    shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    order = range(x.ndim) if name in ("argmax", "argmin") else memory_order(x.ndim, [(x.shape, x.strides)])
    strides = in_order(shape, order, kind.itemsize)
    kept = [i for i in range(x.ndim) if keepdims or i not in axes]
    result = MetaArray(tuple(shape[i] for i in kept), kind, tuple(strides[i] for i in kept))
    result.field = through_reduction(x, axes)
    return result


def _refuse_nothing(name: str, x: MetaArray, axes: tuple[int, ...]) -> None:
    if prod(n for i, n in enumerate(x.shape) if i not in axes):
        raise ValueError(f"{name}: expected at least one element, got shape {x.shape}")


def accumulated(name: str, x: MetaArray, axis: int, dtype: Any = None) -> MetaArray:
    """A running sum or product along an axis."""
    result = like(x, dtype=_reduced_dtype("sum", x.dtype) if dtype is None else dtype)
    result.field = through_reduction(x, _axes(x, axis))
    return result


def _axes(x: MetaArray, axis: Any) -> tuple[int, ...]:
    """The axes that are meant, counted from the front."""
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(i % x.ndim for i in ((axis,) if isinstance(axis, int) else axis))


@cache
def _reduced_dtype(name: str, dtype: np.dtype) -> np.dtype:
    """The dtype of NumPy's reduction, which one element tells."""
    return np.asarray(getattr(np, name)(np.ones(1, dtype))).dtype
