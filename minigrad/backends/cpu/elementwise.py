"""Element by element on several threads: arrays of one memory order are read as one line, which is cut into blocks."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..bfloat16 import is_bfloat16, rounded
from .threads import aligned, even, for_each

BLOCK = 1 << 18
"""The elements of a block: with fewer, the threads spend their time handing Python's lock over."""
LARGE = 1 << 18
"""The elements from which threads pay."""
SUMMED = 1 << 14
"""The elements from which a sum per channel is faster as a product."""
ROWS = 1 << 12
"""The numbers that may be added one after the other."""
WIDTH = 1 << 9
"""How many columns such a product should have."""
LONG = (1 << 12) + 1
"""The least numbers in a row that meets values per column: NumPy copies rows up to half its buffer's size, which costs as much
again as the arithmetic."""
_NUMBERS = (float, int, bool)
ARRAYS = (np.ndarray, np.generic)


def as_lines(arrays: tuple[np.ndarray, ...]) -> list[np.ndarray] | None:
    """The arrays as flat views of their memory, element for element; None unless all have one shape and one dense order."""
    first = arrays[0]
    if any(array.shape != first.shape for array in arrays):
        return None
    if not first.flags.c_contiguous:
        order = sorted(range(first.ndim), key=lambda i: first.strides[i], reverse=True)
        if not first.transpose(order).flags.c_contiguous:
            return None
        arrays = tuple(array.transpose(order) for array in arrays)
    return [array.reshape(-1) for array in arrays] if all(array.flags.c_contiguous for array in arrays) else None


@functools.lru_cache(1024)
def rows_in_one(rows: int, columns: int, least: int) -> int:
    """How many rows to read as one, so that it has at least so many numbers, or as near as their number can be divided."""
    fitting = [n for n in range(1, min(rows, 16 * least // columns) + 1) if rows % n == 0]
    return next((n for n in fitting if n * columns >= least), fitting[-1] if fitting else 1)


def ones(size: int, dtype: Any) -> np.ndarray:
    """So many ones, to read."""
    return _most_ones(dtype)[:size] if size <= BLOCK else np.ones(size, dtype)


@functools.cache
def _most_ones(dtype: Any) -> np.ndarray:
    array = np.ones(BLOCK, dtype)
    array.flags.writeable = False
    return array


def repeated(size: int, dtype: Any, *lists: np.ndarray) -> np.ndarray:
    """Lists of values per column, each one after the other until it has that size: (lists, size)."""
    rows = aligned((len(lists), size // len(lists[0]), len(lists[0])), dtype)
    for row, values in zip(rows, lists):
        row[...] = values
    return rows.reshape(len(lists), size)


def in_blocks(work: Callable[..., Any], lines: list[np.ndarray]) -> None:
    """Call ``work(*blocks)`` for every block of the lines."""
    size = even(len(lines[0]), BLOCK)

    def part(i: int) -> None:
        here = slice(i * size, (i + 1) * size)
        work(*(line[here] for line in lines))

    for_each(-(-len(lines[0]) // size), part, blas=False)


def copy(source: np.ndarray, target: np.ndarray) -> None:
    """Write an array, or what broadcasts to it, to another, whatever their memory orders."""
    if source.shape != target.shape:
        source = np.broadcast_to(source, target.shape)
    if target.nbytes < 4 * LARGE:
        np.copyto(target, source)
    else:
        by_first_dim(lambda here: np.copyto(target[here], source[here]), target)


def by_first_dim(work: Callable[[slice], Any], like: np.ndarray) -> None:
    """Call ``work`` for slices of the first dim of a large array."""
    together = even(len(like), 4 * BLOCK * len(like) // like.nbytes)

    def part(i: int) -> None:
        work(slice(i * together, (i + 1) * together))

    for_each(-(-len(like) // together), part, blas=False)


def contiguous(x: np.ndarray) -> np.ndarray:
    """The array itself, or a copy whose memory is in the order of its dims."""
    if x.flags.c_contiguous:
        return x
    result = np.empty(x.shape, x.dtype)
    copy(x, result)
    return result


def without_warning(comparison: np.ufunc) -> Callable[..., Any]:
    """The function; of nan in bfloat16, NumPy would warn."""
    with_number = rounded(comparison, ARRAYS)

    def call(x: Any, y: Any) -> Any:
        array = y if type(x) in _NUMBERS else x
        if not is_bfloat16(array):
            return comparison(x, y)
        with np.errstate(invalid="ignore"):
            return with_number(x, y)

    return call


def threaded(ufunc: np.ufunc) -> Callable[..., Any]:
    """The function, on threads for large arrays of one floating dtype, shape and order; Python numbers may be among them."""

    with_number = rounded(ufunc, ARRAYS)

    def unary(x: Any, out: Any = None) -> Any:
        if type(x) is not np.ndarray or x.size < LARGE or x.dtype.kind != "f":
            return ufunc(x, out=out)
        return _on_threads(ufunc, x, (x,), out)

    def binary(x: Any, y: Any, out: Any = None) -> Any:
        array = y if type(x) in _NUMBERS else x
        if type(array) is np.ndarray and array.size < LARGE and array.itemsize != 2:  # small, and no short float
            return ufunc(x, y) if out is None else ufunc(x, y, out=out)
        if type(x) is not type(y) and is_bfloat16(array):
            return with_number(x, y, out=out)
        if type(array) is np.ndarray and array.dtype == np.float16 and (type(x) in _NUMBERS or type(y) in _NUMBERS):
            return _in_float32(ufunc, x, y, out)
        if type(array) is not np.ndarray or array.size < LARGE or array.dtype.kind != "f":
            return ufunc(x, y) if out is None else ufunc(x, y, out=out)
        return _on_threads(ufunc, array, (x, y), out)

    wrapper = unary if ufunc.nin == 1 else binary
    kept = ("__name__", "__doc__", "at", "reduce", "accumulate", "outer")
    return functools.update_wrapper(wrapper, ufunc, assigned=kept, updated=())


def _in_float32(ufunc: np.ufunc, x: Any, y: Any, out: Any) -> np.ndarray:
    """A float16 array and a number, which NumPy would round to float16 first: 70000 to inf, and 1e-8 to 0."""
    result = ufunc(*(operand.astype(np.float32) if type(operand) is np.ndarray else operand for operand in (x, y)))
    if out is None:
        out = np.empty_like(result, np.float16)
    with np.errstate(over="ignore"):
        np.copyto(out, result, casting="same_kind")
    return out


def _on_threads(ufunc: np.ufunc, first: np.ndarray, operands: tuple[Any, ...], out: Any) -> Any:
    arrays = tuple(operand for operand in operands if type(operand) is np.ndarray)
    numbers = all(type(operand) in (np.ndarray, *_NUMBERS) for operand in operands)
    result = np.empty_like(first) if out is None else out
    if not numbers or any(array.dtype != first.dtype for array in (*arrays, result)):
        return ufunc(*operands, out=out)
    lines = as_lines((*arrays, result))
    if lines is None:
        if len(arrays) == len(operands) and first.ndim > 1 and all(array.shape == first.shape for array in (*arrays, result)):
            by_first_dim(lambda here: ufunc(*(array[here] for array in arrays), out=result[here]), first)
            return result
        return ufunc(*operands, out=out)
    if ufunc is np.maximum and type(operands[1]) in _NUMBERS and operands[1] == 0:
        zeros = np.zeros(BLOCK, first.dtype)  # against an array it takes a third of the time that it takes against a number
        in_blocks(lambda x, y: np.maximum(x, zeros[: len(x)], out=y), lines)
    elif len(arrays) == len(operands):
        in_blocks(lambda *blocks: ufunc(*blocks[:-1], out=blocks[-1]), lines)
    else:
        before = type(operands[0]) is not np.ndarray
        number = operands[0] if before else operands[1]
        in_blocks(lambda x, y: ufunc(number, x, out=y) if before else ufunc(x, number, out=y), lines)
    return result


_add: Callable[..., Any] = np.add.reduce
"""What ``np.sum`` calls."""


def add_up(x: np.ndarray, axis: Any = None, keepdims: bool = False, dtype: Any = None, **options: Any) -> Any:
    """``np.sum``; over all axes but the channels of channels-last memory as a product with ones, on threads."""
    if type(x) is np.ndarray and x.size < SUMMED and not options:
        return _add(x, axis=axis, keepdims=keepdims, dtype=dtype)
    if type(x) is not np.ndarray or options or x.dtype.kind != "f":
        return np.sum(x, axis=axis, keepdims=keepdims, dtype=dtype, **options)
    last = x.ndim - 1
    if x.dtype == np.float16 or dtype not in (None, x.dtype) or x.ndim < 3 or axis != (0, *range(2, x.ndim)):
        return _sum_in_parts(x, axis, keepdims, dtype)
    lying = np.moveaxis(x, 1, last)
    if not lying.flags.c_contiguous:
        return _sum_in_parts(x, axis, keepdims, dtype)
    C = x.shape[1]
    joined = 1
    while joined * C < WIDTH and (x.size // C) % (2 * joined) == 0:
        joined *= 2  # BLAS wants more columns than a few channels
    matrix = lying.reshape(-1, joined * C)
    height = even(len(matrix), BLOCK // (joined * C))
    sums = np.empty((-(-len(matrix) // height), joined * C), x.dtype)

    def part(i: int) -> None:
        block = matrix[i * height : (i + 1) * height]
        np.matmul(ones(len(block), x.dtype), block, out=sums[i])

    for_each(len(sums), part)
    total = sums.reshape(-1, C).sum(axis=0)
    return total.reshape(1, -1, *(1,) * (x.ndim - 2)) if keepdims else total


def _sum_in_parts(x: np.ndarray, axis: Any, keepdims: bool, dtype: Any) -> Any:
    """``np.sum`` of many rows by way of sums of some of them.

    NumPy adds pairwise along the axis that lies closest in memory, and one after the other along the rest: ones in float32 stop
    at 2²⁴.
    """
    axes = range(x.ndim) if axis is None else [i % x.ndim for i in ((axis,) if isinstance(axis, int) else axis)]
    closest = min(
        (i for i in range(x.ndim) if x.shape[i] > 1), key=lambda i: (x.strides[i] == 0, abs(x.strides[i]), -i), default=0
    )
    rows = [i for i in axes if i != closest]
    if math.prod(x.shape[i] for i in rows) < ROWS or (len(axes) == x.ndim and x.flags.forc):
        return np.sum(x, axis=axis, keepdims=keepdims, dtype=dtype)
    longest = max(rows, key=lambda i: x.shape[i])
    lying = np.moveaxis(x, longest, 0)
    height = math.isqrt(len(lying) - 1) + 1
    some = tuple(i if i > longest else i + 1 for i in axes if i != longest)
    sums = [
        np.sum(lying[i : i + height], axis=(0, *some), keepdims=keepdims, dtype=dtype) for i in range(0, len(lying), height)
    ]
    total = np.sum(sums, axis=0, dtype=np.float64).astype(sums[0].dtype)
    return np.moveaxis(total, 0, longest) if keepdims else total


def running(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """``np.cumsum`` or ``np.cumprod``, of float32 in float64: they take one number after the other, and add up the errors."""

    def call(x: np.ndarray, axis: int, dtype: Any = None) -> np.ndarray:
        if (dtype or x.dtype) != np.float32:
            return function(x, axis=axis, dtype=dtype)
        return function(x, axis=axis, dtype=np.float64).astype(np.float32)

    return call


def join(arrays: Any, axis: int = 0, out: Any = None, **options: Any) -> np.ndarray:
    """``np.concatenate``, on threads where it writes to a large array, and not along its first dim."""
    if out is None or options or axis <= 0 or out.size < LARGE:
        return np.concatenate(arrays, axis=axis, out=out, **options)
    together = even(len(out), BLOCK * len(out) // out.size)

    def part(i: int) -> None:
        here = slice(i * together, (i + 1) * together)
        np.concatenate([array[here] for array in arrays], axis=axis, out=out[here])

    for_each(-(-len(out) // together), part, blas=False)
    return out


THREADED = (
    *(np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.power),
    *(np.exp, np.log, np.sqrt, np.tanh, np.square, np.negative, np.absolute, np.reciprocal, np.log1p, np.expm1),
)
