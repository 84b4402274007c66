"""Rounding to integers and to decimals: piecewise constant functions, whose derivatives are 0."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..dtypes import FLOATING
from .arguments import as_integer
from .pointwise import Unary

__all__ = ["ceil", "floor", "frac", "round", "trunc"]


class Rounding(Unary):
    """Rounds floats, and leaves integers as they are."""

    keeps_integers = True
    refuses_bool = True

    def forward(self, x: Any, out: Any = None) -> Any:
        if x.dtype in FLOATING:
            return self.rounded(x, out)
        return self.xp.positive(x, out=out)

    def rounded(self, x: Any, out: Any) -> Any:
        """The floats in ``x`` rounded, in ``out`` if it is not None."""
        raise NotImplementedError(f"{type(self).__name__}.rounded")

    def backward(self, grad: Tensor) -> Tensor:
        return grad.new_zeros(grad.shape)


class Floor(Rounding):
    def rounded(self, x: Any, out: Any) -> Any:
        return self.xp.floor(x, out=out)


def floor(input: Tensor) -> Tensor:
    """The largest integer not above each element, in the input's dtype.

    Raises:
        RuntimeError: if the tensor is bool.

    >>> import minigrad
    >>> minigrad.floor(minigrad.tensor([1.5, -1.5]))
    tensor([ 1., -2.])
    """
    return Floor().apply(input)


class Ceil(Rounding):
    def rounded(self, x: Any, out: Any) -> Any:
        return self.xp.ceil(x, out=out)


def ceil(input: Tensor) -> Tensor:
    """The smallest integer not below each element, in the input's dtype.

    Raises:
        RuntimeError: if the tensor is bool.

    >>> import minigrad
    >>> minigrad.ceil(minigrad.tensor([1.5, -1.5]))
    tensor([ 2., -1.])
    """
    return Ceil().apply(input)


class Trunc(Rounding):
    def rounded(self, x: Any, out: Any) -> Any:
        return self.xp.trunc(x, out=out)


def trunc(input: Tensor) -> Tensor:
    """Each element without its fraction, in the input's dtype.

    Raises:
        RuntimeError: if the tensor is bool.

    >>> import minigrad
    >>> minigrad.trunc(minigrad.tensor([1.5, -1.5]))
    tensor([ 1., -1.])
    """
    return Trunc().apply(input)


def frac(input: Tensor) -> Tensor:
    """The fraction, with the element's sign: ``input - trunc(input)``.

    Raises:
        RuntimeError: if the tensor is bool.

    >>> import minigrad
    >>> minigrad.frac(minigrad.tensor([1.5, -1.25]))
    tensor([ 0.5 , -0.25])
    """
    return input - trunc(input)


class Round(Rounding):
    def __init__(self, decimals: int):
        self.decimals = decimals

    def rounded(self, x: Any, out: Any) -> Any:
        if self.decimals == 0:
            return self.xp.rint(x, out=out)
        with self.backend.quiet():
            return self.xp.round(x, self.decimals, out=self.result_for(x, out))


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest number with so many decimals; the even one if two are equally near.

    Args:
        input: a tensor of floats, or of integers if ``decimals`` is 0.
        decimals: how many digits after the decimal point to keep; -2 rounds to hundreds.

    Raises:
        RuntimeError: if the tensor is bool, or of integers that would have to be rounded.

    >>> import minigrad
    >>> minigrad.round(minigrad.tensor([0.5, 1.5, 2.6]))
    tensor([0., 2., 3.])
    >>> minigrad.round(minigrad.tensor([3.14159]), decimals=2)
    tensor([3.14])
    """
    decimals = as_integer("round", "decimals", decimals)
    if decimals and isinstance(input, Tensor) and input.dtype not in FLOATING:
        raise RuntimeError(f"round: expected a floating tensor for decimals={decimals}, got {input.dtype}")
    return Round(decimals).apply(input)
