"""Circular and hyperbolic functions and their inverses."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..autograd.modes import modes
from ..autograd.operation import wrap
from .autocasting import in_float32
from .pointwise import Binary, Unary
from .powers import rsqrt

__all__ = [
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "hypot", "sin", "sinh", "tan", "tanh",
]  # fmt: skip


class Sin(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        with self.backend.quiet():
            return self.xp.sin(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        return grad * cos(self.input(0))


def sin(input: Tensor) -> Tensor:
    """The sine of an angle in radians.

    >>> import minigrad
    >>> minigrad.sin(minigrad.tensor([0.0, 1.0]))
    tensor([0.    , 0.8415])
    """
    return Sin().apply(input)


class Cos(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        with self.backend.quiet():
            return self.xp.cos(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        return -grad * sin(self.input(0))


def cos(input: Tensor) -> Tensor:
    """The cosine of an angle in radians.

    >>> import minigrad
    >>> minigrad.cos(minigrad.tensor([0.0, 1.0]))
    tensor([1.    , 0.5403])
    """
    return Cos().apply(input)


class Tan(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_output()
        with self.backend.quiet():
            return self.xp.tan(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        output = self.output()
        return grad * (output * output + 1)


def tan(input: Tensor) -> Tensor:
    """The tangent of an angle in radians.

    >>> import minigrad
    >>> minigrad.tan(minigrad.tensor([0.0, 1.0]))
    tensor([0.    , 1.5574])
    """
    if modes.autocast:
        input = in_float32(input)
    return Tan().apply(input)


class Asin(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        with self.backend.quiet():
            return self.xp.arcsin(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        x = self.input(0)
        return grad * rsqrt(1 - x * x)


def asin(input: Tensor) -> Tensor:
    """The angle in [-pi/2, pi/2] whose sine is ``input``; nan outside of [-1, 1].

    >>> import minigrad
    >>> minigrad.asin(minigrad.tensor([0.0, 1.0]))
    tensor([0.    , 1.5708])
    """
    if modes.autocast:
        input = in_float32(input)
    return Asin().apply(input)


class Acos(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        with self.backend.quiet():
            return self.xp.arccos(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        x = self.input(0)
        return -grad * rsqrt(1 - x * x)


def acos(input: Tensor) -> Tensor:
    """The angle in [0, pi] whose cosine is ``input``; nan outside of [-1, 1].

    >>> import minigrad
    >>> minigrad.acos(minigrad.tensor([1.0, 0.0]))
    tensor([0.    , 1.5708])
    """
    if modes.autocast:
        input = in_float32(input)
    return Acos().apply(input)


class Atan(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        return self.xp.arctan(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        x = self.input(0)
        return grad / (x * x + 1)


def atan(input: Tensor) -> Tensor:
    """The angle in (-pi/2, pi/2) whose tangent is ``input``.

    >>> import minigrad
    >>> minigrad.atan(minigrad.tensor([0.0, 1.0]))
    tensor([0.    , 0.7854])
    """
    return Atan().apply(input)


class Atan2(Binary):
    keeps_integers = False

    def forward(self, a: Any, b: Any, out: Any = None) -> Any:
        if self.needs(0) or self.needs(1):
            self.save_input(0)
            self.save_input(1)
        return self.xp.arctan2(a, b, out=out)

    def partial(self, grad: Tensor, i: int) -> Tensor:
        y, x = self.input(0), self.input(1)
        square = y * y + x * x
        origin = wrap(self.xp.asarray(square.array == 0))
        return ((-y if i else x) * grad / square.masked_fill(origin, 1)).masked_fill(origin, 0)


def atan2(input: Any, other: Any) -> Tensor:
    """The angle in [-pi, pi] between the positive x axis and the point (x, y) = (``other``, ``input``).

    The derivatives at (0, 0) are 0.

    Args:
        input: the y coordinates: a tensor, or a number if ``other`` is a tensor.
        other: the x coordinates: a tensor whose shape broadcasts with ``input``'s, or a number.

    >>> import minigrad
    >>> minigrad.atan2(minigrad.tensor([1.0, -1.0]), minigrad.tensor([1.0, -1.0]))
    tensor([ 0.7854, -2.3562])
    """
    return Atan2().apply(input, other)


class Hypot(Binary):
    keeps_integers = False

    def forward(self, a: Any, b: Any, out: Any = None) -> Any:
        if self.needs(0):
            self.save_input(0)
        if self.needs(1):
            self.save_input(1)
        self.save_output()
        with self.backend.quiet():
            return self.xp.hypot(a, b, out=out)

    def partial(self, grad: Tensor, i: int) -> Tensor:
        return grad * (self.input(i) / self.output())


def hypot(input: Any, other: Any) -> Tensor:
    """``sqrt(input ** 2 + other ** 2)`` without overflow of the squares.

    Args:
        input: a tensor, or a number if ``other`` is a tensor.
        other: a tensor whose shape broadcasts with ``input``'s, or a number.

    >>> import minigrad
    >>> minigrad.hypot(minigrad.tensor([3.0, 5.0]), minigrad.tensor([4.0, 12.0]))
    tensor([ 5., 13.])
    """
    return Hypot().apply(input, other)


class Sinh(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        with self.backend.quiet():
            return self.xp.sinh(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        return grad * cosh(self.input(0))


def sinh(input: Tensor) -> Tensor:
    """The hyperbolic sine, ``(exp(input) - exp(-input)) / 2``.

    >>> import minigrad
    >>> minigrad.sinh(minigrad.tensor([0.0, 1.0]))
    tensor([0.    , 1.1752])
    """
    if modes.autocast:
        input = in_float32(input)
    return Sinh().apply(input)


class Cosh(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        with self.backend.quiet():
            return self.xp.cosh(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        return grad * sinh(self.input(0))


def cosh(input: Tensor) -> Tensor:
    """The hyperbolic cosine, ``(exp(input) + exp(-input)) / 2``.

    >>> import minigrad
    >>> minigrad.cosh(minigrad.tensor([0.0, 1.0]))
    tensor([1.    , 1.5431])
    """
    if modes.autocast:
        input = in_float32(input)
    return Cosh().apply(input)


class Tanh(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_output()
        return self.xp.tanh(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        output = self.output()
        return grad * (1 - output * output)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent, ``sinh(input) / cosh(input)``.

    >>> import minigrad
    >>> minigrad.tanh(minigrad.tensor([0.0, 1.0]))
    tensor([0.    , 0.7616])
    """
    return Tanh().apply(input)


class Asinh(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        return self.xp.arcsinh(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        x = self.input(0)
        return grad * rsqrt(x * x + 1)


def asinh(input: Tensor) -> Tensor:
    """The number whose hyperbolic sine is ``input``.

    >>> import minigrad
    >>> minigrad.asinh(minigrad.tensor([0.0, 1.0]))
    tensor([0.    , 0.8814])
    """
    return Asinh().apply(input)


class Acosh(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        with self.backend.quiet():
            return self.xp.arccosh(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        x = self.input(0)
        return grad * rsqrt(x * x - 1)


def acosh(input: Tensor) -> Tensor:
    """The number of at least 0 whose hyperbolic cosine is ``input``; nan below 1.

    >>> import minigrad
    >>> minigrad.acosh(minigrad.tensor([1.0, 2.0]))
    tensor([0.   , 1.317])
    """
    return Acosh().apply(input)


class Atanh(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        with self.backend.quiet():
            return self.xp.arctanh(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        x = self.input(0)
        return grad / (1 - x * x)


def atanh(input: Tensor) -> Tensor:
    """The number whose hyperbolic tangent is ``input``; nan outside of [-1, 1].

    >>> import minigrad
    >>> minigrad.atanh(minigrad.tensor([0.0, 0.5]))
    tensor([0.    , 0.5493])
    """
    return Atanh().apply(input)
