"""The larger and the smaller of two values, and values kept between bounds."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..autograd.inplace import write
from ..autograd.operation import Operation
from ..dtypes import FLOATING, as_number, category, integer_range
from .arguments import check_tensor
from .broadcasting import joint_shape, sum_to
from .conversion import broadcasts_to, cast, result_type
from .masking import keep
from .pointwise import Binary

__all__ = ["clamp", "maximum", "minimum"]


class Extremum(Binary):
    """The one or the other element; where the two are equal, each gets half of the gradient, and where one is nan, both."""

    def save_operands(self) -> None:
        if self.needs(0) or self.needs(1):
            self.save_input(0)
            self.save_input(1)

    def share(self, grad: Tensor, loses: Tensor, loses_or_ties: Tensor) -> Tensor:
        """The part of the gradient that goes to an operand."""
        half = grad * 0.5
        return keep(half, (~loses).array) + keep(half, (~loses_or_ties).array)


class Maximum(Extremum):
    def forward(self, a: Any, b: Any, out: Any = None) -> Any:
        self.save_operands()
        return self.xp.maximum(a, b, out=out)

    def partial(self, grad: Tensor, i: int) -> Tensor:
        mine, other = self.input(i), self.input(1 - i)
        return self.share(grad, mine < other, mine <= other)


def maximum(input: Any, other: Any) -> Tensor:
    """The larger of two elements; nan if one of them is. Equal elements share the gradient evenly.

    Args:
        input: a tensor, or a number if ``other`` is a tensor.
        other: a tensor whose shape broadcasts with ``input``'s, or a number.

    >>> import minigrad
    >>> minigrad.maximum(minigrad.tensor([1.0, 5.0]), minigrad.tensor([3.0, 2.0]))
    tensor([3., 5.])
    """
    return Maximum().apply(input, other)


class Minimum(Extremum):
    def forward(self, a: Any, b: Any, out: Any = None) -> Any:
        self.save_operands()
        return self.xp.minimum(a, b, out=out)

    def partial(self, grad: Tensor, i: int) -> Tensor:
        mine, other = self.input(i), self.input(1 - i)
        return self.share(grad, mine > other, mine >= other)


def minimum(input: Any, other: Any) -> Tensor:
    """The smaller of two elements; nan if one of them is. Equal elements share the gradient evenly.

    >>> import minigrad
    >>> minigrad.minimum(minigrad.tensor([1.0, 5.0]), minigrad.tensor([3.0, 2.0]))
    tensor([1., 2.])
    """
    return Minimum().apply(input, other)


class Clamp(Operation):
    """Inputs: a tensor, the lower and the upper bound, each a tensor, a number, or None."""

    takes_out = True

    def apply(self, x: Any, low: Any, high: Any) -> Tensor:
        low, high = self._bound("min", low), self._bound("max", high)
        dtype = self._dtype(x, low, high)
        bounds = [bound for bound in (low, high) if isinstance(bound, Tensor)]
        if bounds:
            joint_shape(self.name, x, *bounds)
        return super().apply(cast(x, dtype), self._fitted(low, dtype), self._fitted(high, dtype))

    def fit(self, target: Tensor, low: Any, high: Any) -> tuple[Any, ...]:
        low, high = self._bound("min", low), self._bound("max", high)
        dtype = self._dtype(target, low, high)
        if category(dtype) > category(target.dtype):
            raise RuntimeError(f"{self.name}_: a result of dtype {dtype} cannot be kept in a tensor of dtype {target.dtype}")
        for bound in (low, high):
            if isinstance(bound, Tensor) and (
                len(bound.shape) > len(target.shape) or not broadcasts_to(bound.shape, target.shape)
            ):
                raise RuntimeError(f"{self.name}_: expected a bound that broadcasts to {target.shape}, got shape {bound.shape}")
        return target, self._fitted(low, target.dtype), self._fitted(high, target.dtype)

    def forward(self, x: Any, low: Any, high: Any, out: Any = None) -> Any:
        self.shapes: list[Any] = [getattr(operand, "shape", None) for operand in (x, low, high)]
        if self.needs(0):
            self.save_constant("inside", self.inside(x, low, high))
        if self.needs(1):
            self.save_constant("below", x < low if high is None else (x < low) & (low < high))
        if self.needs(2):
            self.save_constant("above", x > high if low is None else (x > high) | (low > high))
        return self.xp.clip(x, low, high, out=out)

    def inside(self, x: Any, low: Any, high: Any) -> Any:
        """Where the gradient goes to the tensor: the bounds belong to it."""
        if low is None:
            return x <= high
        return x >= low if high is None else (x >= low) & (x <= high)

    def backward(self, grad: Tensor) -> tuple[Tensor | None, ...]:
        masks = ("inside", "below", "above")
        return tuple(
            sum_to(keep(grad, self.constant(mask)), self.shapes[i]) if self.needs(i) else None for i, mask in enumerate(masks)
        )

    def _bound(self, which: str, value: Any) -> Any:
        if value is None or isinstance(value, Tensor):
            return value
        number = as_number(value)
        if number is None:
            raise TypeError(f"{self.name}: expected a Tensor, a real number or None as {which}, got {type(value).__name__}")
        return number

    def _dtype(self, x: Any, low: Any, high: Any) -> Any:
        check_tensor(self.name, x)
        bounds = [bound for bound in (low, high) if bound is not None]
        if not bounds:
            raise ValueError(f"{self.name}: expected min or max, got neither")
        dtype = result_type(x, *bounds)
        if category(dtype) == 0:
            raise RuntimeError(f"{self.name}: expected numbers, got bool; use .int() first")
        return dtype

    def _fitted(self, bound: Any, dtype: Any) -> Any:
        """The bound in the dtype; one beyond an integer dtype's range becomes the end of that range."""
        if isinstance(bound, Tensor):
            return cast(bound, dtype)
        if bound is None or dtype in FLOATING:
            return bound
        lowest, highest = integer_range(dtype)
        return min(max(bound, lowest), highest)


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """The values kept between two bounds: ``minimum(maximum(input, min), max)``.

    The gradient passes where the value is within the bounds or on them.

    Args:
        input: a tensor of numbers.
        min: the lower bound, a number or a tensor; None for none.
        max: the upper bound, likewise; where it is below ``min``, it is the result.

    Raises:
        ValueError: if there is no bound at all, or the shapes do not broadcast; RuntimeError if the result is bool.

    >>> import minigrad
    >>> minigrad.clamp(minigrad.tensor([-2.0, 0.5, 3.0]), 0, 1)
    tensor([0. , 0.5, 1. ])
    """
    return Clamp().apply(input, min, max)


def clamp_(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """``clamp`` in place; bounds that are tensors must broadcast to the tensor's shape.

    >>> import minigrad
    >>> minigrad.tensor([-2.0, 0.5, 3.0]).clamp_(max=1)
    tensor([-2. ,  0.5,  1. ])
    """
    check_tensor("clamp_", input)
    return write(input, Clamp(), min, max)
