"""Sums, products, moments and truth over dims."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Any

from .._tensor import Tensor
from ..autograd.modes import modes
from ..autograd.operation import Operation, wrap
from ..backends import backend_of
from ..dtypes import FLOATING, accumulated_in, as_dtype
from .arguments import as_dim, check_tensor, reduced_dims
from .autocasting import in_float32
from .broadcasting import rounded, summed
from .conversion import cast
from .joining import cat
from .shape import reshaped

__all__ = ["all", "any", "count_nonzero", "mean", "prod", "std", "sum", "var", "var_mean"]


def reduced_count(shape: tuple[int, ...], dims: tuple[int, ...] | None) -> int:
    """How many elements go into each element of a reduction's result."""
    count = 1
    for n in shape if dims is None else [shape[dim] for dim in dims]:
        count *= n
    return count


class Sum(Operation):
    """The sum over some dims (None: all), in float32 for short floats."""

    def __init__(self, dims: tuple[int, ...] | None, keepdim: bool):
        self.dims = dims
        self.keepdim = keepdim

    def forward(self, x: Any) -> Any:
        self.source = x.shape
        return rounded(self.backend, summed(self.xp, x, self.dims, self.keepdim), x.dtype)

    def backward(self, grad: Tensor) -> Tensor:
        return Spread(self.source, self.dims).apply(grad)


class Spread(Operation):
    """The same value all along the dims that a reduction went over: the adjoint of Sum, and a view."""

    is_view = True

    def __init__(self, shape: tuple[int, ...], dims: tuple[int, ...] | None):
        self.shape = shape
        self.dims = dims

    def forward(self, x: Any) -> Any:
        self.keepdim = x.ndim == len(self.shape)
        if self.dims is not None and not self.keepdim:
            x = x.reshape(tuple(1 if i in self.dims else n for i, n in enumerate(self.shape)))
        elif self.dims is None:
            x = x.reshape((1,) * len(self.shape))
        strides = tuple(0 if m != n else stride for m, n, stride in zip(x.shape, self.shape, x.strides))
        return self.backend.as_strided(x, self.shape, strides)

    def backward(self, grad: Tensor) -> Tensor:
        return Sum(self.dims, self.keepdim).apply(grad)


def spread(x: Tensor, shape: tuple[int, ...], dims: tuple[int, ...] | None) -> Tensor:
    """A reduction's result, or the gradient of one, seen in the shape of its input."""
    return Spread(shape, dims).apply(x)


def sum(input: Tensor, dim: int | Sequence[int] | None = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum over some dims or all of them.

    Args:
        input: any tensor.
        dim: the dims to sum over; None for all.
        keepdim: keep those dims, with size 1.
        dtype: convert the input to it first, and the sum is of it (default: the input's, int64 for integers and bools).

    Raises:
        IndexError: if a dim is out of range; RuntimeError if one comes twice.

    >>> import minigrad
    >>> minigrad.sum(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]]), 1)
    tensor([3., 7.])
    """
    if modes.autocast:
        input = input if dtype is not None else in_float32(input)
    check_tensor("sum", input)
    if dtype is not None:
        input = cast(input, as_dtype(dtype))
    result = Sum(reduced_dims("sum", dim, input.array.ndim), keepdim).apply(input)
    return result if dtype is None else cast(result, as_dtype(dtype))


class Mean(Sum):
    """The mean over some dims (None: all), in float32 for short floats."""

    def forward(self, x: Any) -> Any:
        self.source = x.shape
        self.count = reduced_count(x.shape, self.dims)
        total = summed(self.xp, x, self.dims, self.keepdim)
        return rounded(self.backend, total / (self.count or nan), x.dtype)  # the mean of nothing is nan; 0 / 0 would warn

    def backward(self, grad: Tensor) -> Tensor:
        return Spread(self.source, self.dims).apply(grad / max(self.count, 1))


def mean(input: Tensor, dim: int | Sequence[int] | None = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean over some dims or all of them; the arguments are as for ``sum``.

    Raises:
        RuntimeError: if the dtype is not floating; and as ``sum`` does.

    >>> import minigrad
    >>> minigrad.mean(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(2.5)
    """
    check_tensor("mean", input)
    if dtype is not None:
        input = cast(input, as_dtype(dtype))
    _check_floating("mean", input)
    return Mean(reduced_dims("mean", dim, input.array.ndim), keepdim).apply(input)


def _check_floating(name: str, input: Tensor) -> None:
    if input.array.dtype not in FLOATING:
        raise RuntimeError(f"{name}: expected a floating dtype, got {input.dtype}; use .float() first")


class Prod(Operation):
    """The product along one dim, in float32 for short floats."""

    def __init__(self, dim: int, keepdim: bool):
        self.dim = dim
        self.keepdim = keepdim

    def forward(self, x: Any) -> Any:
        self.save_input(0)
        wide = accumulated_in(x.dtype)
        with self.backend.quiet():
            result = self.xp.prod(x, axis=self.dim, keepdims=self.keepdim, dtype=wide)
        return rounded(self.backend, result, x.dtype)

    def backward(self, grad: Tensor) -> Tensor:
        x = self.input(0)
        return spread(grad, x.shape, (self.dim,)) * products_of_others(x, self.dim)


def products_of_others(x: Tensor, dim: int) -> Tensor:
    """For each element of a dim the product of all others, without a division, so that zeros do no harm.

    By halves: with the pairs (a, b), an element of a lacks its b and the other pairs' products.
    """
    size = x.shape[dim]
    if size < 2:
        return wrap(backend_of(x.array).xp.ones_like(x.array))
    half = size // 2
    a, b = x.narrow(dim, 0, half), x.narrow(dim, half, half)
    if size % 2 == 0:
        rest = products_of_others(a * b, dim)
        return cat([rest * b, rest * a], dim)
    last = x.narrow(dim, size - 1, 1)
    rest = products_of_others(cat([a * b, last], dim), dim)
    pairs = rest.narrow(dim, 0, half)
    return cat([pairs * b, pairs * a, rest.narrow(dim, half, 1)], dim)


def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The product along one dim or over all elements.

    Args:
        input: any tensor.
        dim: the dim; None for all.
        keepdim: keep the dims that are gone over, with size 1.
        dtype: convert the input to it first, and the product is of it (default: the input's, int64 for integers and bools).

    Raises:
        IndexError: if the dim is out of range.

    >>> import minigrad
    >>> minigrad.prod(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]]), 0)
    tensor([3., 8.])
    """
    if modes.autocast:
        input = input if dtype is not None else in_float32(input)
    check_tensor("prod", input)
    if dtype is not None:
        input = cast(input, as_dtype(dtype))
    elif input.dtype not in FLOATING:
        input = cast(input, as_dtype("int64"))
    if dim is not None and input.ndim:
        return Prod(as_dim("prod", dim, input.ndim), keepdim).apply(input)
    as_dim("prod", 0 if dim is None else dim, 0)
    result = Prod(0, False).apply(reshaped(input, (input.array.size,)))
    return reshaped(result, (1,) * input.ndim) if keepdim else result


class Var(Operation):
    """The mean square distance from the mean over some dims (None: all), in float32 for short floats."""

    def __init__(self, dims: tuple[int, ...] | None, keepdim: bool, correction: float):
        self.dims = dims
        self.keepdim = keepdim
        self.correction = correction

    def forward(self, x: Any) -> Any:
        self.save_input(0)
        count = reduced_count(x.shape, self.dims)
        self.freedom = max(count - self.correction, 0) or nan
        wide = x.astype(accumulated_in(x.dtype), copy=False)
        with self.backend.quiet():
            centered = wide - summed(self.xp, wide, self.dims, True) / (count or nan)
            result = summed(self.xp, centered * centered, self.dims, self.keepdim) / self.freedom
        return rounded(self.backend, result, x.dtype)

    def backward(self, grad: Tensor) -> Tensor:
        x = self.input(0)
        centered = x - Mean(self.dims, True).apply(x)
        return centered * spread(grad * (2 / self.freedom), x.shape, self.dims)


def var(
    input: Tensor,
    dim: int | Sequence[int] | bool | None = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The variance over some dims or all of them: ``sum((x - mean) ** 2) / (n - correction)``.

    Args:
        input: a floating tensor.
        dim: the dims to go over; None for all. ``var(input, False)`` means ``unbiased``.
        unbiased: True for a correction of 1, False for 0; PyTorch's older spelling.
        keepdim: keep those dims, with size 1.
        correction: what is taken from the number of elements n (default: 1); where nothing is left, the variance is nan.

    Raises:
        IndexError: if a dim is out of range; RuntimeError if one comes twice, or the dtype is not floating; TypeError if both
            ``unbiased`` and ``correction`` are given.

    >>> import minigrad
    >>> minigrad.var(minigrad.tensor([1.0, 2.0, 3.0, 4.0]), correction=0)
    tensor(1.25)
    """
    return _var("var", input, *_estimator("var", dim, unbiased, correction), keepdim)


def _estimator(name: str, dim: Any, unbiased: bool | None, correction: float | None) -> tuple[Any, float]:
    """The dims and the correction that the arguments of ``var`` mean."""
    if isinstance(dim, bool) and unbiased is None:
        dim, unbiased = None, dim
    if unbiased is None:
        return dim, 1 if correction is None else correction
    if correction is not None:
        raise TypeError(f"{name}: expected unbiased or correction, got both")
    if not isinstance(unbiased, bool):
        raise TypeError(f"{name}: expected unbiased to be True or False, got {unbiased}")
    return dim, int(unbiased)


def _var(name: str, input: Tensor, dim: Any, correction: float, keepdim: bool) -> Tensor:
    check_tensor(name, input)
    _check_floating(name, input)
    return Var(reduced_dims(name, dim, input.array.ndim), keepdim, correction).apply(input)


class RootOfSquares(Operation):
    """The square root with derivative 0 at 0: where squares sum up to 0, PyTorch takes it as the root's subgradient."""

    def forward(self, x: Any) -> Any:
        self.save_output()
        return self.xp.sqrt(x)

    def backward(self, grad: Tensor) -> Tensor:
        root = self.output()
        zero = wrap(self.xp.asarray(root.array == 0))
        return (grad / (2 * root.masked_fill(zero, 1))).masked_fill(zero, 0)


def std(
    input: Tensor,
    dim: int | Sequence[int] | bool | None = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The standard deviation, ``sqrt(var)``; arguments and errors are those of ``var``. Its gradient is 0 where it is 0.

    >>> import minigrad
    >>> minigrad.std(minigrad.tensor([1.0, 3.0]), correction=0)
    tensor(1.)
    """
    return RootOfSquares().apply(_var("std", input, *_estimator("std", dim, unbiased, correction), keepdim))


def var_mean(
    input: Tensor,
    dim: int | Sequence[int] | bool | None = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """The variance and the mean; the arguments are as for ``var``.

    >>> import minigrad
    >>> minigrad.var_mean(minigrad.tensor([1.0, 3.0]), correction=0)
    (tensor(1.), tensor(2.))
    """
    dim, correction = _estimator("var_mean", dim, unbiased, correction)
    return _var("var_mean", input, dim, correction, keepdim), mean(input, dim, keepdim)


def any(input: Tensor, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
    """Whether any element is not zero, over some dims or all of them; bool.

    Args:
        input: any tensor.
        dim: the dims to go over; None for all.
        keepdim: keep those dims, with size 1.

    >>> import minigrad
    >>> minigrad.any(minigrad.tensor([[0, 1], [0, 0]]), 1)
    tensor([ True, False])
    """
    check_tensor("any", input)
    xp = backend_of(input.array).xp
    return wrap(xp.asarray(xp.any(input.array, axis=reduced_dims("any", dim, input.ndim), keepdims=keepdim)))


def all(input: Tensor, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
    """Whether no element is zero; the arguments are as for ``any``.

    >>> import minigrad
    >>> minigrad.all(minigrad.tensor([[1, 1], [0, 1]]), 1)
    tensor([ True, False])
    """
    check_tensor("all", input)
    xp = backend_of(input.array).xp
    return wrap(xp.asarray(xp.all(input.array, axis=reduced_dims("all", dim, input.ndim), keepdims=keepdim)))


def count_nonzero(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """How many elements are not zero, over some dims or all of them; int64.

    >>> import minigrad
    >>> minigrad.count_nonzero(minigrad.tensor([[0, 1], [2, 3]]), 0)
    tensor([1, 2])
    """
    check_tensor("count_nonzero", input)
    xp = backend_of(input.array).xp
    return wrap(xp.asarray(summed(xp, input.array != 0, reduced_dims("count_nonzero", dim, input.ndim), False)))
