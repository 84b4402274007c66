"""Comparisons, logic, and bits: results without a gradient."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..autograd.operation import wrap
from ..backends import backend_of
from ..dtypes import FLOATING, REDUCED, category
from .arguments import check_tensor
from .pointwise import NUMBERS, Binary

__all__ = [
    "allclose",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "eq",
    "equal",
    "ge",
    "gt",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "ne",
]


class Comparison(Binary):
    """A function of two tensors that is constant between jumps, by its name in ``xp``."""

    differentiable = False
    takes_out = False

    def __init__(self, called: str, function: str):
        self.called = called
        self.function = function

    @property
    def name(self) -> str:
        return self.called

    def forward(self, a: Any, b: Any) -> Any:
        if type(a) in NUMBERS:
            a = self._rounded(a, b.dtype)
        elif type(b) in NUMBERS:
            b = self._rounded(b, a.dtype)
        return getattr(self.xp, self.function)(a, b)

    def integer_in(self, number: int, dtype: Any) -> int:
        return number  # one beyond the dtype's range is compared by its value

    def _rounded(self, number: Any, dtype: Any) -> Any:
        """The number as a tensor would have it: ``x == 0.1`` is true where short floats were made of 0.1."""
        if dtype not in REDUCED:
            return number
        with self.backend.quiet():
            return float(dtype.type(float(number)))


class Bitwise(Comparison):
    """An operation on the bits of integers and bools, which ``xp`` has under the same name."""

    wraps_numbers = True

    def __init__(self, called: str):
        super().__init__(called, called)

    def computed_in(self, dtype: Any) -> Any:
        if dtype in FLOATING:
            raise RuntimeError(f"{self.name}: expected integers or bools, got {dtype}")
        return dtype

    def apply(self, a: Any, b: Any) -> Tensor:
        return super().apply(*self.promote(a, b))


# --- comparison --------------------------------------------------------------------------------------------------------


def eq(input: Any, other: Any) -> Tensor:
    """Whether elements are equal: ``input == other``.

    Args:
        input: a tensor, or a number if ``other`` is a tensor.
        other: a tensor whose shape broadcasts with ``input``'s, or a number.

    Returns:
        A bool tensor of the broadcast shape. Different dtypes are compared in the one that ``result_type`` tells.

    Raises:
        ValueError: if the shapes do not broadcast; TypeError if an operand is neither a Tensor nor a number.

    >>> import minigrad
    >>> minigrad.eq(minigrad.tensor([1.0, 2.0]), 2)
    tensor([False,  True])
    """
    return Comparison("eq", "equal").apply(input, other)


def ne(input: Any, other: Any) -> Tensor:
    """Whether elements differ: ``input != other``; the arguments are as for ``eq``.

    >>> import minigrad
    >>> minigrad.ne(minigrad.tensor([1.0, 2.0]), 2)
    tensor([ True, False])
    """
    return Comparison("ne", "not_equal").apply(input, other)


def lt(input: Any, other: Any) -> Tensor:
    """Whether elements are smaller: ``input < other``; the arguments are as for ``eq``.

    >>> import minigrad
    >>> minigrad.lt(minigrad.tensor([1.0, 2.0]), 2)
    tensor([ True, False])
    """
    return Comparison("lt", "less").apply(input, other)


def le(input: Any, other: Any) -> Tensor:
    """Whether elements are smaller or equal: ``input <= other``; the arguments are as for ``eq``.

    >>> import minigrad
    >>> minigrad.le(minigrad.tensor([1.0, 2.0]), 1)
    tensor([ True, False])
    """
    return Comparison("le", "less_equal").apply(input, other)


def gt(input: Any, other: Any) -> Tensor:
    """Whether elements are larger: ``input > other``; the arguments are as for ``eq``.

    >>> import minigrad
    >>> minigrad.gt(minigrad.tensor([1.0, 2.0]), 1)
    tensor([False,  True])
    """
    return Comparison("gt", "greater").apply(input, other)


def ge(input: Any, other: Any) -> Tensor:
    """Whether elements are larger or equal: ``input >= other``; the arguments are as for ``eq``.

    >>> import minigrad
    >>> minigrad.ge(minigrad.tensor([1.0, 2.0]), 2)
    tensor([False,  True])
    """
    return Comparison("ge", "greater_equal").apply(input, other)


class Isclose(Binary):
    """Whether two elements are within a tolerance."""

    differentiable = False
    takes_out = False

    def __init__(self, rtol: float, atol: float, equal_nan: bool):
        self.rtol = rtol
        self.atol = atol
        self.equal_nan = equal_nan

    def forward(self, a: Any, b: Any) -> Any:
        xp = self.xp
        if a.dtype not in FLOATING:
            a, b = a.astype(xp.float64), b.astype(xp.float64)
        close = xp.equal(a, b)
        with self.backend.quiet():
            difference = xp.absolute(a - b)
            close = close | (xp.isfinite(difference) & (difference <= self.atol + xp.absolute(self.rtol * b)))
        if self.equal_nan:
            close = close | (xp.isnan(a) & xp.isnan(b))
        return close


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether elements are nearly equal: ``|input - other| <= atol + rtol * |other|``, or both the same infinity.

    Args:
        input: any tensor.
        other: a tensor of the same dtype whose shape broadcasts.
        rtol: the relative tolerance, at least 0.
        atol: the absolute tolerance, at least 0.
        equal_nan: whether nan is close to nan.

    Raises:
        RuntimeError: if the dtypes differ; ValueError if a tolerance is negative.

    >>> import minigrad
    >>> minigrad.isclose(minigrad.tensor([1.0, 1.0]), minigrad.tensor([1.000001, 1.1]))
    tensor([ True, False])
    """
    check_tensor("isclose", input)
    check_tensor("isclose", other)
    if input.dtype != other.dtype:
        raise RuntimeError(f"isclose: expected tensors of one dtype, got {input.dtype} and {other.dtype}")
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        if not tolerance >= 0:
            raise ValueError(f"isclose: expected {name} of at least 0, got {tolerance}")
    return Isclose(rtol, atol, equal_nan).apply(input, other)


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements are nearly equal; the arguments are as for ``isclose``.

    >>> import minigrad
    >>> minigrad.allclose(minigrad.tensor([1.0, 2.0]), minigrad.tensor([1.0, 2.000001]))
    True
    """
    return _all_true(isclose(input, other, rtol, atol, equal_nan))


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and equal elements.

    >>> import minigrad
    >>> minigrad.equal(minigrad.tensor([1.0, 2.0]), minigrad.tensor([1.0, 2.0, 3.0]))
    False
    """
    check_tensor("equal", input)
    check_tensor("equal", other)
    return input.shape == other.shape and _all_true(eq(input, other))


def _all_true(x: Tensor) -> bool:
    return bool(backend_of(x.array).xp.all(x.array).item())


# --- kinds of numbers --------------------------------------------------------------------------------------------------


def isnan(input: Tensor) -> Tensor:
    """Whether elements are nan.

    >>> import minigrad
    >>> minigrad.isnan(minigrad.tensor([1.0, float("nan")]))
    tensor([False,  True])
    """
    return _kind("isnan", input, False)


def isinf(input: Tensor) -> Tensor:
    """Whether elements are infinite.

    >>> import minigrad
    >>> minigrad.isinf(minigrad.tensor([1.0, -float("inf")]))
    tensor([False,  True])
    """
    return _kind("isinf", input, False)


def isfinite(input: Tensor) -> Tensor:
    """Whether elements are neither nan nor infinite.

    >>> import minigrad
    >>> minigrad.isfinite(minigrad.tensor([1.0, float("nan"), float("inf")]))
    tensor([ True, False, False])
    """
    return _kind("isfinite", input, True)


def _kind(name: str, input: Tensor, of_integers: bool) -> Tensor:
    """The function of that name in ``xp``, whose result for integers is known."""
    check_tensor(name, input)
    xp = backend_of(input.array).xp
    if input.dtype not in FLOATING:
        return wrap((xp.ones_like if of_integers else xp.zeros_like)(input.array, dtype=xp.bool_))
    return wrap(xp.asarray(getattr(xp, name)(input.array)))


# --- logic and bits ----------------------------------------------------------------------------------------------------


def logical_and(input: Any, other: Any) -> Tensor:
    """Whether both elements are other than 0; the arguments are as for ``eq``.

    >>> import minigrad
    >>> minigrad.logical_and(minigrad.tensor([True, True]), minigrad.tensor([True, False]))
    tensor([ True, False])
    """
    return Comparison("logical_and", "logical_and").apply(input, other)


def logical_or(input: Any, other: Any) -> Tensor:
    """Whether one of the elements, or both, are other than 0; the arguments are as for ``eq``.

    >>> import minigrad
    >>> minigrad.logical_or(minigrad.tensor([True, False]), minigrad.tensor([False, False]))
    tensor([ True, False])
    """
    return Comparison("logical_or", "logical_or").apply(input, other)


def logical_xor(input: Any, other: Any) -> Tensor:
    """Whether exactly one of the elements is other than 0; the arguments are as for ``eq``.

    >>> import minigrad
    >>> minigrad.logical_xor(minigrad.tensor([True, True]), minigrad.tensor([True, False]))
    tensor([False,  True])
    """
    return Comparison("logical_xor", "logical_xor").apply(input, other)


def logical_not(input: Tensor) -> Tensor:
    """Whether elements are 0.

    >>> import minigrad
    >>> minigrad.logical_not(minigrad.tensor([0.0, 2.0]))
    tensor([ True, False])
    """
    check_tensor("logical_not", input)
    xp = backend_of(input.array).xp
    return wrap(xp.asarray(xp.logical_not(input.array)))


def bitwise_and(input: Any, other: Any) -> Tensor:
    """``input & other``: of the bits of integers, or of bools.

    Args:
        input: a tensor of integers or bools, or a number if ``other`` is a tensor.
        other: a tensor whose shape broadcasts with ``input``'s, or a number.

    Raises:
        RuntimeError: for floats.

    >>> import minigrad
    >>> minigrad.bitwise_and(minigrad.tensor([6, 7]), 3)
    tensor([2, 3])
    """
    return Bitwise("bitwise_and").apply(input, other)


def bitwise_or(input: Any, other: Any) -> Tensor:
    """``input | other``; the arguments are as for ``bitwise_and``.

    >>> import minigrad
    >>> minigrad.bitwise_or(minigrad.tensor([4, 1]), 3)
    tensor([7, 3])
    """
    return Bitwise("bitwise_or").apply(input, other)


def bitwise_xor(input: Any, other: Any) -> Tensor:
    """``input ^ other``; the arguments are as for ``bitwise_and``.

    >>> import minigrad
    >>> minigrad.bitwise_xor(minigrad.tensor([6, 7]), 3)
    tensor([5, 4])
    """
    return Bitwise("bitwise_xor").apply(input, other)


def bitwise_not(input: Tensor) -> Tensor:
    """``~input``: every bit of integers inverted, or bools.

    Raises:
        TypeError: for floats.

    >>> import minigrad
    >>> minigrad.bitwise_not(minigrad.tensor([True, False]))
    tensor([False,  True])
    """
    check_tensor("bitwise_not", input)
    if category(input.dtype) == 2:
        raise TypeError(f"bitwise_not: expected integers or bools, got {input.dtype}")
    xp = backend_of(input.array).xp
    return wrap(xp.asarray(xp.invert(input.array)))
