"""Norms of vectors, and the smooth maximum."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from .._tensor import Tensor
from ..autograd.modes import modes
from ..autograd.operation import Operation, wrap
from ..dtypes import FLOATING, accumulated_in, as_dtype, get_default_dtype
from .arguments import check_tensor, reduced_dims
from .autocasting import in_float32
from .broadcasting import rounded, summed
from .comparison import isnan
from .conversion import cast
from .extreme_reduction import amax, amin
from .reduction import reduced_count, spread
from .reduction import sum as sum_of

__all__ = ["logsumexp", "norm"]


class Norm(Operation):
    """``sum(abs(x) ** p) ** (1 / p)`` over some dims (None: all), in float32 for short floats; its gradient at 0 is 0."""

    def __init__(self, p: float, dims: tuple[int, ...] | None, keepdim: bool):
        self.p = p
        self.dims = dims
        self.keepdim = keepdim

    def forward(self, x: Any) -> Any:
        self.save_input(0)
        self.save_output()
        xp = self.xp
        wide = x.astype(accumulated_in(x.dtype), copy=False)
        with self.backend.quiet():
            if self.p == 2:
                result = xp.sqrt(summed(xp, wide * wide, self.dims, self.keepdim))
            else:
                result = xp.power(summed(xp, xp.power(xp.abs(wide), self.p), self.dims, self.keepdim), 1 / self.p)
        return rounded(self.backend, result, x.dtype)

    def backward(self, grad: Tensor) -> Tensor:
        x, norm = self.input(0), self.output()
        no_norm = wrap(self.xp.asarray(norm.array == 0))
        safe = norm.masked_fill(no_norm, 1)
        if self.p == 2:
            return x * spread((grad / safe).masked_fill(no_norm, 0), x.shape, self.dims)
        share = (grad / safe ** (self.p - 1)).masked_fill(no_norm, 0)
        size = x.abs().masked_fill(wrap(self.xp.asarray(x.array == 0)), 1)
        return x.sign() * size ** (self.p - 1) * spread(share, x.shape, self.dims)


def norm(
    input: Tensor,
    p: float | str | None = "fro",
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """The p-norm over some dims or all of them: ``sum(abs(x) ** p) ** (1 / p)``.

    Args:
        input: a floating tensor.
        p: the order; ``inf`` and ``-inf`` for the largest and the smallest absolute value, 0 for the number of elements
            that are not zero, ``'fro'`` or None for 2.
        dim: the dims to go over; None for all.
        keepdim: keep those dims, with size 1.
        dtype: convert the input to it first.

    Raises:
        RuntimeError: if the dtype is not floating; ValueError if p is another string; IndexError if a dim is out of range.

    >>> import minigrad
    >>> minigrad.norm(minigrad.tensor([3.0, -4.0]))
    tensor(5.)
    """
    if modes.autocast:
        input = input if dtype is not None else in_float32(input)
    check_tensor("norm", input)
    if dtype is not None:
        input = cast(input, as_dtype(dtype))
    if input.dtype not in FLOATING:
        raise RuntimeError(f"norm: expected a floating dtype, got {input.dtype}; use .float() first")
    if isinstance(p, str) and p != "fro":
        raise ValueError(f"norm: expected a number or 'fro' for p, got {p!r}")
    if isinstance(p, str) or p is None:
        p = 2
    if p == 0:
        return sum_of(input.sign().abs().masked_fill(isnan(input), 1), dim, keepdim)
    if p == 1:
        return sum_of(input.abs(), dim, keepdim)
    if p in (inf, -inf):
        return (amax if p > 0 else amin)(input.abs(), dim, keepdim)
    return Norm(p, reduced_dims("norm", dim, input.ndim), keepdim).apply(input)


class LogSumExp(Operation):
    """``log(sum(exp(x)))`` over some dims (None: all), in float32 for short floats."""

    def __init__(self, dims: tuple[int, ...] | None, keepdim: bool):
        self.dims = dims
        self.keepdim = keepdim

    def forward(self, x: Any) -> Any:
        self.save_input(0)
        self.save_output()
        xp = self.xp
        wide = x.astype(accumulated_in(x.dtype), copy=False)
        greatest = xp.max(wide, axis=self.dims, keepdims=True)
        finite = xp.isfinite(greatest)
        shift = xp.where(finite, greatest, xp.zeros_like(greatest))
        with self.backend.quiet():
            result = xp.where(finite, xp.log(summed(xp, xp.exp(wide - shift), self.dims, True)) + shift, greatest)
        if not self.keepdim:
            result = result.reshape(tuple(n for i, n in enumerate(x.shape) if self.dims is not None and i not in self.dims))
        return rounded(self.backend, result, x.dtype)

    def backward(self, grad: Tensor) -> Tensor:
        x, result = self.input(0), self.output()
        return spread(grad, x.shape, self.dims) * (x - spread(result, x.shape, self.dims)).exp()


def logsumexp(input: Tensor, dim: int | Sequence[int] | None, keepdim: bool = False) -> Tensor:
    """``log(sum(exp(x)))`` over some dims, without overflow; the default float for integers.

    Args:
        input: any tensor.
        dim: the dims to go over; None for all.
        keepdim: keep those dims, with size 1.

    Raises:
        IndexError: if a dim is out of range; RuntimeError if one comes twice.

    >>> import minigrad
    >>> minigrad.logsumexp(minigrad.tensor([1000.0, 1000.0]), 0)
    tensor(1000.6932)
    """
    if modes.autocast:
        input = in_float32(input)
    check_tensor("logsumexp", input)
    if input.dtype not in FLOATING:
        input = cast(input, get_default_dtype())
    dims = reduced_dims("logsumexp", dim, input.ndim)
    if reduced_count(input.shape, dims) == 0:
        return sum_of(input, dim, keepdim) - inf
    return LogSumExp(dims, keepdim).apply(input)
