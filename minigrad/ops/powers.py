"""Powers and roots."""

from __future__ import annotations

from math import log, nan
from typing import Any

from .._tensor import Tensor
from ..autograd.modes import modes
from ..dtypes import FLOATING
from .autocasting import in_float32
from .masking import keep
from .pointwise import Binary, Unary

__all__ = ["pow", "rsqrt", "sqrt", "square"]


class Pow(Binary):
    refuses_bool = True

    def check(self, a: Any, b: Any, dtype: Any) -> None:
        if dtype not in FLOATING and not isinstance(b, Tensor) and b < 0:
            raise RuntimeError(f"{self.name}: expected an exponent of at least 0 for integers, got {b}; use .float() first")

    def forward(self, a: Any, b: Any, out: Any = None) -> Any:
        if self.needs(0) or self.needs(1):
            self.save_input(0)
            self.save_input(1)
        if self.needs(1):
            self.save_output()
        with self.backend.quiet():
            if type(b) in (float, int):
                return self._number_power(a, b, out)
            dtype = getattr(b, "dtype", None) or a.dtype
            if dtype.kind == "i":
                return self._integer_power(a, b, out)
            return self.xp.power(a, b, out=out)

    def _number_power(self, a: Any, b: float, out: Any) -> Any:
        """Common exponents have faster functions."""
        if b == 2:
            return self.xp.square(a, out=out)
        if a.dtype in FLOATING:
            if b == 0.5:
                return self.xp.sqrt(a, out=out)
            if b == -1:
                return self.xp.reciprocal(a, out=out)
            if b == 3:
                return self.xp.multiply(a, self.xp.square(a), out=out)
        return self.xp.power(a, b, out=out)

    def _integer_power(self, a: Any, b: Any, out: Any) -> Any:
        """Signed integers: a negative exponent gives the inverse rounded towards 0."""
        xp = self.xp
        inverse = xp.where(xp.equal(a, 1), 1, xp.where(xp.equal(a, -1), 1 - 2 * (b & 1), 0))  # a may be a number
        power = xp.where(b < 0, inverse.astype(b.dtype), xp.power(a, xp.maximum(b, 0)))
        if out is None:
            return power
        out[...] = power
        return out

    def partial(self, grad: Tensor, i: int) -> Tensor:
        base, exponent = self.input(0), self.input(1)
        return self._exponent_gradient(grad, base, exponent) if i else self._base_gradient(grad, base, exponent)

    def _base_gradient(self, grad: Tensor, base: Tensor, exponent: Any) -> Tensor:
        """``exponent * base ** (exponent - 1)``, which is 0 for exponent 0 even where base is 0."""
        if isinstance(exponent, Tensor):
            undefined = (base == 0) & (exponent == 0)
            return grad * (exponent * pow(base.where(~undefined, 1.0), exponent - 1))
        if exponent == 0:
            return grad.new_zeros(grad.shape)
        if exponent == 1:
            return grad
        return grad * (exponent * (base if exponent == 2 else pow(base, exponent - 1)))

    def _exponent_gradient(self, grad: Tensor, base: Any, exponent: Tensor) -> Tensor:
        """``output * log(base)``, which is 0 for base 0 unless the power is infinite."""
        output = self.output()
        if isinstance(base, Tensor):
            vanishing = (base == 0) & (exponent >= 0)
            return grad * (output * base.where(~vanishing, 1.0).log())
        if base == 0:
            return -grad * keep(output, (exponent < 0).array)
        return grad * (output * (log(base) if base > 0 else nan))


def pow(input: Any, exponent: Any) -> Tensor:
    """The power, element by element: ``input ** exponent``.

    Args:
        input: a tensor, or a number if ``exponent`` is a tensor.
        exponent: a tensor whose shape broadcasts with ``input``'s, or a number.

    Returns:
        A tensor of the broadcast shape. Integers to negative powers that a tensor holds are rounded towards 0. A derivative
        that is 0 times infinity (by the base at ``0 ** 0``, by the exponent at ``0 ** exponent``) is 0.

    Raises:
        RuntimeError: for integers and a negative number as exponent, or if both operands are bool.

    >>> import minigrad
    >>> minigrad.pow(minigrad.tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    >>> 2 ** minigrad.tensor([1.0, 2.0, 3.0])
    tensor([2., 4., 8.])
    """
    if modes.autocast:
        input, exponent = in_float32(input), in_float32(exponent)
    return Pow().apply(input, exponent)


class Square(Unary):
    keeps_integers = True
    refuses_bool = True

    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        with self.backend.quiet():
            return self.xp.square(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        return grad * (self.input(0) * 2)


def square(input: Tensor) -> Tensor:
    """``input ** 2``.

    >>> import minigrad
    >>> minigrad.square(minigrad.tensor([1.5, -2.0]))
    tensor([2.25, 4.  ])
    """
    return Square().apply(input)


class Sqrt(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_output()
        with self.backend.quiet():
            return self.xp.sqrt(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        return grad / (self.output() * 2)


def sqrt(input: Tensor) -> Tensor:
    """The square root; nan for negative numbers.

    >>> import minigrad
    >>> minigrad.sqrt(minigrad.tensor([4.0, 0.25]))
    tensor([2. , 0.5])
    """
    return Sqrt().apply(input)


class Rsqrt(Unary):
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_output()
        out = self.result_for(x, out)
        with self.backend.quiet():
            return self.xp.reciprocal(self.xp.sqrt(x, out=out), out=out)

    def backward(self, grad: Tensor) -> Tensor:
        return grad * (pow(self.output(), 3) * -0.5)


def rsqrt(input: Tensor) -> Tensor:
    """``1 / sqrt(input)``.

    >>> import minigrad
    >>> minigrad.rsqrt(minigrad.tensor([4.0, 0.25]))
    tensor([0.5, 2. ])
    """
    if modes.autocast:
        input = in_float32(input)
    return Rsqrt().apply(input)
