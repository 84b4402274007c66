"""Division in all its roundings, and the remainders that belong to them."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..autograd.modes import modes
from ..dtypes import FLOATING
from .autocasting import in_float32
from .pointwise import Binary, Unary

__all__ = ["div", "floor_divide", "fmod", "reciprocal", "remainder"]


class Div(Binary):
    keeps_integers = False

    def forward(self, a: Any, b: Any, out: Any = None) -> Any:
        if self.needs(0) or self.needs(1):
            self.save_input(1)
        if self.needs(1):
            self.save_input(0)
        with self.backend.quiet():
            return self.xp.true_divide(a, b, out=out)

    def partial(self, grad: Tensor, i: int) -> Tensor:
        divisor = self.input(1)
        return grad * (-(self.input(0) / divisor) / divisor) if i else grad / divisor


class RoundedDivision(Binary):
    """A quotient that is rounded to an integer, or the remainder that this leaves."""

    refuses_bool = True

    def check(self, a: Any, b: Any, dtype: Any) -> None:
        if dtype not in FLOATING and not isinstance(b, Tensor) and b == 0:
            raise RuntimeError(f"{self.name}: expected a divisor other than 0 for integers, got 0")


class FloorDivide(RoundedDivision):
    def forward(self, a: Any, b: Any, out: Any = None) -> Any:
        with self.backend.quiet():
            return self.xp.floor_divide(a, b, out=out)

    def partial(self, grad: Tensor, i: int) -> Tensor:
        return grad.new_zeros(grad.shape)


class TruncDivide(RoundedDivision):
    takes_out = False

    def forward(self, a: Any, b: Any) -> Any:
        xp = self.xp
        with self.backend.quiet():
            if getattr(a, "dtype", None) in FLOATING or getattr(b, "dtype", None) in FLOATING:
                return xp.trunc(xp.true_divide(a, b))
            floor = xp.floor_divide(a, b)
            return floor + ((floor < 0) & (floor * b != a))

    def partial(self, grad: Tensor, i: int) -> Tensor:
        return grad.new_zeros(grad.shape)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """The quotient, element by element: ``input / other``.

    Args:
        input: a tensor, or a number if ``other`` is a tensor.
        other: a tensor whose shape broadcasts with ``input``'s, or a number.
        rounding_mode: None for the true quotient (of integers, in the default float dtype), ``"floor"`` to round it down,
            ``"trunc"`` to round it towards 0; rounded quotients of integers are integers.

    Raises:
        ValueError: for another rounding mode; RuntimeError for a rounded division of integers by the number 0 (by a zero
            in a tensor the result is undefined).

    >>> import minigrad
    >>> minigrad.div(minigrad.tensor([7, -7]), 2)
    tensor([ 3.5, -3.5])
    >>> minigrad.div(minigrad.tensor([7, -7]), 2, rounding_mode="trunc")
    tensor([ 3, -3])
    """
    if modes.autocast and not isinstance(input, Tensor):
        other = in_float32(other)  # a reciprocal
    if rounding_mode is None:
        return Div().apply(input, other)
    if rounding_mode == "floor":
        return FloorDivide().apply(input, other)
    if rounding_mode == "trunc":
        return TruncDivide().apply(input, other)
    raise ValueError(f"div: expected rounding_mode None, 'floor' or 'trunc', got {rounding_mode!r}")


def floor_divide(input: Any, other: Any) -> Tensor:
    """The quotient rounded down, as Python's ``//``: ``div`` with ``rounding_mode="floor"``. Its derivatives are 0.

    >>> import minigrad
    >>> minigrad.floor_divide(minigrad.tensor([7, -7]), 2)
    tensor([ 3, -4])
    """
    return FloorDivide().apply(input, other)


class Remainder(RoundedDivision):
    def forward(self, a: Any, b: Any, out: Any = None) -> Any:
        if self.needs(1):
            self.save_input(0)
            self.save_input(1)
        with self.backend.quiet():
            return self.xp.remainder(a, b, out=out)

    def partial(self, grad: Tensor, i: int) -> Tensor:
        return -grad * FloorDivide().apply(self.input(0), self.input(1)) if i else grad


def remainder(input: Any, other: Any) -> Tensor:
    """``input - other * floor(input / other)``: it has the divisor's sign, as Python's ``%``.

    Args:
        input: a tensor, or a number if ``other`` is a tensor.
        other: the divisor, likewise.

    Raises:
        RuntimeError: for integers and the number 0.

    >>> import minigrad
    >>> minigrad.remainder(minigrad.tensor([-3.0, 3.0]), 2)
    tensor([1., 1.])
    """
    return Remainder().apply(input, other)


class Fmod(RoundedDivision):
    takes_out = False

    def forward(self, a: Any, b: Any) -> Any:
        if self.needs(1):
            self.save_input(0)
            self.save_input(1)
        with self.backend.quiet():
            return self.xp.fmod(a, b)

    def partial(self, grad: Tensor, i: int) -> Tensor:
        return -grad * TruncDivide().apply(self.input(0), self.input(1)) if i else grad


def fmod(input: Any, other: Any) -> Tensor:
    """``input - other * trunc(input / other)``: it has the dividend's sign, as C's ``fmod``; arguments as for ``remainder``.

    >>> import minigrad
    >>> minigrad.fmod(minigrad.tensor([-3.0, 3.0]), 2)
    tensor([-1.,  1.])
    """
    return Fmod().apply(input, other)


class Reciprocal(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_output()
        with self.backend.quiet():
            return self.xp.reciprocal(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        output = self.output()
        return -grad * (output * output)


def reciprocal(input: Tensor) -> Tensor:
    """``1 / input``.

    >>> import minigrad
    >>> minigrad.reciprocal(minigrad.tensor([4.0, -0.5]))
    tensor([ 0.25, -2.  ])
    """
    if modes.autocast:
        input = in_float32(input)
    return Reciprocal().apply(input)
