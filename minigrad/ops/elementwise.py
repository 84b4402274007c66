"""Exponentials, logarithms, and functions that are made of them."""

from __future__ import annotations

import math
from typing import Any

from .._tensor import Tensor
from ..autograd.modes import modes
from ..dtypes import FLOATING, as_number, largest
from .autocasting import in_float32
from .masking import keep
from .pointwise import Binary, Unary, rounded_once
from .powers import square

__all__ = ["exp", "exp2", "expm1", "log", "log10", "log1p", "log2", "logaddexp", "nan_to_num", "sigmoid", "erf", "erfc"]


class Exp(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_output()
        with self.backend.quiet():
            return self.xp.exp(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        return grad * self.output()


def exp(input: Tensor) -> Tensor:
    """``e ** input``.

    >>> import minigrad
    >>> minigrad.exp(minigrad.tensor([0.0, 1.0]))
    tensor([1.    , 2.7183])
    """
    if modes.autocast:
        input = in_float32(input)
    return Exp().apply(input)


class Exp2(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_output()
        with self.backend.quiet():
            return self.xp.exp2(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        return grad * (self.output() * math.log(2))


def exp2(input: Tensor) -> Tensor:
    """``2 ** input``.

    >>> import minigrad
    >>> minigrad.exp2(minigrad.tensor([0.0, 1.0, 3.0]))
    tensor([1., 2., 8.])
    """
    return Exp2().apply(input)


class Expm1(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_output()
        with self.backend.quiet():
            return self.xp.expm1(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        return grad * (self.output() + 1)


def expm1(input: Tensor) -> Tensor:
    """``e ** input - 1``, exact to the last digits also near 0.

    >>> import minigrad
    >>> minigrad.expm1(minigrad.tensor([0.0, 1.0]))
    tensor([0.    , 1.7183])
    """
    if modes.autocast:
        input = in_float32(input)
    return Expm1().apply(input)


class Log(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        with self.backend.quiet():
            return self.xp.log(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        return grad / self.input(0)


def log(input: Tensor) -> Tensor:
    """The natural logarithm; -inf for 0, nan below.

    >>> import minigrad
    >>> minigrad.log(minigrad.tensor([1.0, 2.0]))
    tensor([0.    , 0.6931])
    """
    if modes.autocast:
        input = in_float32(input)
    return Log().apply(input)


class Log2(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        with self.backend.quiet():
            return self.xp.log2(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        return grad / (self.input(0) * math.log(2))


def log2(input: Tensor) -> Tensor:
    """The logarithm to base 2.

    >>> import minigrad
    >>> minigrad.log2(minigrad.tensor([1.0, 8.0]))
    tensor([0., 3.])
    """
    if modes.autocast:
        input = in_float32(input)
    return Log2().apply(input)


class Log10(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        with self.backend.quiet():
            return self.xp.log10(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        return grad / (self.input(0) * math.log(10))


def log10(input: Tensor) -> Tensor:
    """The logarithm to base 10.

    >>> import minigrad
    >>> minigrad.log10(minigrad.tensor([1.0, 1000.0]))
    tensor([0., 3.])
    """
    if modes.autocast:
        input = in_float32(input)
    return Log10().apply(input)


class Log1p(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        with self.backend.quiet():
            return self.xp.log1p(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        return grad / (self.input(0) + 1)


def log1p(input: Tensor) -> Tensor:
    """``log(1 + input)``, exact to the last digits also near 0.

    >>> import minigrad
    >>> minigrad.log1p(minigrad.tensor([0.0, 1.0]))
    tensor([0.    , 0.6931])
    """
    if modes.autocast:
        input = in_float32(input)
    return Log1p().apply(input)


class Logaddexp(Binary):
    keeps_integers = False

    def forward(self, a: Any, b: Any, out: Any = None) -> Any:
        if self.needs(0) or self.needs(1):
            self.save_input(0)
            self.save_input(1)
        return self.xp.logaddexp(a, b, out=out)

    def partial(self, grad: Tensor, i: int) -> Tensor:
        return grad * sigmoid(self.input(i) - self.input(1 - i))


def logaddexp(input: Any, other: Any) -> Tensor:
    """``log(exp(input) + exp(other))`` without overflow.

    Args:
        input: a tensor, or a number if ``other`` is a tensor.
        other: a tensor whose shape broadcasts with ``input``'s, or a number.

    >>> import minigrad
    >>> minigrad.logaddexp(minigrad.tensor([0.0, 200.0]), minigrad.tensor([0.0, 200.0]))
    tensor([  0.6931, 200.6931])
    """
    return Logaddexp().apply(input, other)


class Sigmoid(Unary):
    @rounded_once
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_output()
        return logistic(self.backend, x, self.result_for(x, out))

    def backward(self, grad: Tensor) -> Tensor:
        output = self.output()
        return grad * (output * (1 - output))


def logistic(backend: Any, x: Any, out: Any) -> Any:
    """The sigmoid function of an array, in another one or in itself."""
    xp = backend.xp
    with backend.quiet():  # exp(-x) may be inf: its reciprocal is the right 0
        xp.exp(xp.negative(x, out=out), out=out)
        return xp.reciprocal(xp.add(out, 1, out=out), out=out)


def sigmoid(input: Tensor) -> Tensor:
    """``1 / (1 + exp(-input))``.

    >>> import minigrad
    >>> minigrad.sigmoid(minigrad.tensor([-1000.0, 0.0, 1.0]))
    tensor([0.    , 0.5   , 0.7311])
    """
    return Sigmoid().apply(input)


class Erf(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        return self.backend.erf(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        return grad * gaussian(self.input(0))


def gaussian(x: Tensor) -> Tensor:
    """``2 / sqrt(pi) * exp(-x * x)``, the derivative of the error function."""
    return exp(-square(x)) * (2 / math.sqrt(math.pi))


def erf(input: Tensor) -> Tensor:
    """The error function: ``2 / sqrt(pi)`` times the integral of ``exp(-t * t)`` from 0 to ``input``.

    >>> import minigrad
    >>> minigrad.erf(minigrad.tensor([0.0, 0.5, 4.0]))
    tensor([0.    , 0.5205, 1.    ])
    """
    return Erf().apply(input)


class Erfc(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        return self.backend.erfc(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        return -grad * gaussian(self.input(0))


def erfc(input: Tensor) -> Tensor:
    """``1 - erf(input)``, exact to the last digits also where it is small.

    >>> import minigrad
    >>> minigrad.erfc(minigrad.tensor([0.0, 0.5]))
    tensor([1.    , 0.4795])
    """
    return Erfc().apply(input)


class NanToNum(Unary):
    keeps_integers = True
    takes_out = False

    def __init__(self, nan: float, posinf: float | None, neginf: float | None):
        self.nan, self.posinf, self.neginf = nan, posinf, neginf

    def forward(self, x: Any) -> Any:
        if x.dtype not in FLOATING:
            return x.copy()
        if self.needs(0):
            self.save_constant("finite", self.xp.isfinite(x))
        most = largest(x.dtype)
        posinf = most if self.posinf is None else self.posinf
        neginf = -most if self.neginf is None else self.neginf
        with self.backend.quiet():
            return self.xp.nan_to_num(x, nan=self.nan, posinf=posinf, neginf=neginf)

    def backward(self, grad: Tensor) -> Tensor:
        return keep(grad, self.constant("finite"))


def nan_to_num(input: Tensor, nan: float | None = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """The tensor with numbers in place of nan and the infinities; they pass no gradient on.

    Args:
        input: any tensor; integers stay as they are.
        nan: what replaces nan; None for 0.
        posinf: what replaces inf; None for the dtype's largest number.
        neginf: what replaces -inf; None for the dtype's smallest number.

    >>> import minigrad
    >>> x = minigrad.tensor([float("nan"), float("inf"), 1.0])
    >>> minigrad.nan_to_num(x, posinf=9.0)
    tensor([0., 9., 1.])
    """
    for name, value in (("nan", nan), ("posinf", posinf), ("neginf", neginf)):
        if value is not None and as_number(value) is None:
            raise TypeError(f"nan_to_num: expected a real number or None as {name}, got {type(value).__name__}")
    return NanToNum(0.0 if nan is None else nan, posinf, neginf).apply(input)
