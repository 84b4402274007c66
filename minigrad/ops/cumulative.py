"""Running sums and products along a dim."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..autograd.modes import modes
from ..autograd.operation import Operation, wrap
from ..backends import backend_of
from ..dtypes import FLOATING, accumulated_in, int64
from .arguments import as_dim, as_optional_dtype, check_tensor
from .autocasting import in_float32
from .broadcasting import rounded
from .conversion import cast
from .joining import cat
from .shape import reshaped

__all__ = ["cumprod", "cumsum"]


class CumSum(Operation):
    """Running sums along a dim, from the front or (their adjoint) from the back; in float32 for short floats."""

    def __init__(self, dim: int, from_back: bool = False):
        self.dim = dim
        self.from_back = from_back

    def forward(self, x: Any) -> Any:
        wide = accumulated_in(x.dtype)
        if self.from_back:
            result = self.xp.flip(self.xp.cumsum(self.xp.flip(x, self.dim), axis=self.dim, dtype=wide), self.dim)
        else:
            result = self.xp.cumsum(x, axis=self.dim, dtype=wide)
        return rounded(self.backend, result, x.dtype)

    def backward(self, grad: Tensor) -> Tensor:
        return CumSum(self.dim, not self.from_back).apply(grad)


def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running sums along a dim: ``y[i] = x[0] + ... + x[i]``.

    Args:
        input: any tensor.
        dim: the dim.
        dtype: convert the input to it first, and the result is of it (default: the input's, int64 for integers and bools).

    Raises:
        IndexError: if the dim is out of range.

    >>> import minigrad
    >>> minigrad.cumsum(minigrad.tensor([1, 2, 3]), 0)
    tensor([1, 3, 6])
    """
    return _cumulative("cumsum", CumSum, input, dim, dtype)


class CumProd(Operation):
    """Running products along a dim; in float32 for short floats."""

    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, x: Any) -> Any:
        self.save_input(0)
        self.save_output()
        wide = accumulated_in(x.dtype)
        with self.backend.quiet():
            result = self.xp.cumprod(x, axis=self.dim, dtype=wide)
        return rounded(self.backend, result, x.dtype)

    def backward(self, grad: Tensor) -> Tensor:
        """``dx[i] = y[i-1] * (g[i] + x[i+1] g[i+1] + x[i+1] x[i+2] g[i+2] + ...)``: no division, so zeros do no harm.

        The sum over k terms and the product of k factors give those of 2k: it takes log2(n) steps.
        """
        x, dim = self.input(0), self.dim
        size = x.shape[dim]
        if size == 0:
            return grad
        one = wrap(self.xp.ones_like(x.narrow(dim, 0, 1).array))
        total, factor, reach = grad, _shifted(x, dim, 1), 1
        while reach < size:
            total = total + factor * _shifted(total, dim, reach)
            factor = factor * _shifted(factor, dim, reach)
            reach *= 2
        return cat([one, self.output().narrow(dim, 0, size - 1)], dim) * total


def _shifted(x: Tensor, dim: int, places: int) -> Tensor:
    """The tensor moved forward along a dim by some places, with zeros behind."""
    size = x.shape[dim]
    end = wrap(backend_of(x.array).xp.zeros_like(x.narrow(dim, 0, places).array))
    return cat([x.narrow(dim, places, size - places), end], dim)


def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running products along a dim: ``y[i] = x[0] * ... * x[i]``; the arguments are as for ``cumsum``.

    >>> import minigrad
    >>> minigrad.cumprod(minigrad.tensor([1, 2, 3]), 0)
    tensor([1, 2, 6])
    """
    return _cumulative("cumprod", CumProd, input, dim, dtype)


def _cumulative(name: str, operation: Any, input: Tensor, dim: int, dtype: Any) -> Tensor:
    if modes.autocast:
        input = input if dtype is not None else in_float32(input)
    check_tensor(name, input)
    dim, dtype = as_dim(name, dim, input.ndim), as_optional_dtype(name, dtype)
    if dtype is not None:
        input = cast(input, dtype)
    if input.dtype not in FLOATING:
        input = cast(input, int64)
    if input.ndim:
        result = operation(dim).apply(input)
    else:
        result = reshaped(operation(0).apply(reshaped(input, (1,))), ())
    return result if dtype is None else cast(result, dtype)
