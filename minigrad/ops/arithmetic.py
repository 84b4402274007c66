"""Sums, products, and what is made of them."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..autograd.deferred import sum_with_deferred
from ..autograd.inplace import write
from ..autograd.modes import modes
from ..autograd.versions import version_of
from ..autograd.views import set_node
from ..dtypes import FLOATING, as_number, category
from .arguments import check_tensor
from .pointwise import Binary, Unary

__all__ = ["abs", "add", "addcdiv", "addcmul", "lerp", "mul", "neg", "positive", "sign", "sub"]


class Add(Binary):
    wraps_numbers = True

    def apply(self, a: Any, b: Any) -> Tensor:
        if isinstance(a, Tensor) and isinstance(b, Tensor) and (a._deferred is not None or b._deferred is not None):
            self.shapes = None
            output = sum_with_deferred(self, a, b)
            if output is not None:
                return output
        return super().apply(a, b)

    def forward(self, a: Any, b: Any, out: Any = None) -> Any:
        return self.xp.add(a, b, out=out)

    def partial(self, grad: Tensor, i: int) -> Tensor:
        return grad


def add_in_place(tensor: Tensor, other: Any) -> Tensor:
    """``tensor += other``; in one kernel with what the tensor waits for, if it is deferred."""
    version = tensor._version
    plain = tensor._hooks is None and tensor._view is None and not (version is not None and version.inference)
    if tensor._deferred is None or not plain or not isinstance(other, Tensor) or other is tensor:
        return write(tensor, Add(), other)
    operation = Add()
    operation.shapes = None
    recorded = modes.grad and (tensor._requires_grad or other._requires_grad)
    if sum_with_deferred(operation, tensor, other, into=tensor) is None:
        return write(tensor, Add(), other)
    version_of(tensor).bump("add_")
    if recorded:
        set_node(tensor, operation)
    return tensor


def scaled(other: Any, alpha: float) -> Any:
    """``alpha * other``; what ``alpha=`` of add and sub means."""
    return other if alpha == 1 else other * alpha


def add(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """The sum, element by element: ``input + alpha * other``.

    Args:
        input: a tensor, or a number if ``other`` is a tensor.
        other: a tensor whose shape broadcasts with ``input``'s, or a number.
        alpha: a factor for ``other``.

    Returns:
        A tensor of the broadcast shape.

    Raises:
        ValueError: if the shapes do not broadcast; TypeError if an operand is neither a Tensor nor a number.

    >>> import minigrad
    >>> minigrad.add(minigrad.tensor([1.0, 2.0]), minigrad.tensor([10.0, 20.0]))
    tensor([11., 22.])
    """
    return Add().apply(input, other if alpha == 1 else scaled(other, alpha))


class Sub(Binary):
    wraps_numbers = True
    refuses_bool = True

    def forward(self, a: Any, b: Any, out: Any = None) -> Any:
        return self.xp.subtract(a, b, out=out)

    def partial(self, grad: Tensor, i: int) -> Tensor:
        return -grad if i else grad


def sub(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """The difference, element by element: ``input - alpha * other``; the arguments are as for ``add``.

    Raises:
        RuntimeError: if both operands are bool.

    >>> import minigrad
    >>> minigrad.sub(minigrad.tensor([1.0, 2.0]), 0.5)
    tensor([0.5, 1.5])
    """
    return Sub().apply(input, other if alpha == 1 else scaled(other, alpha))


class Mul(Binary):
    wraps_numbers = True

    def forward(self, a: Any, b: Any, out: Any = None) -> Any:
        if self.needs(0):
            self.save_input(1)
        if self.needs(1):
            self.save_input(0)
        return self.xp.multiply(a, b, out=out)

    def partial(self, grad: Tensor, i: int) -> Tensor:
        return grad * self.input(1 - i)


def mul(input: Any, other: Any) -> Tensor:
    """The product, element by element; the arguments are as for ``add``.

    >>> import minigrad
    >>> minigrad.mul(minigrad.tensor([1.0, 2.0]), 3)
    tensor([3., 6.])
    """
    return Mul().apply(input, other)


class Neg(Unary):
    keeps_integers = True
    refuses_bool = True

    def forward(self, x: Any, out: Any = None) -> Any:
        return self.xp.negative(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        return -grad


def neg(input: Tensor) -> Tensor:
    """``-input``.

    Raises:
        RuntimeError: if the tensor is bool; ``logical_not`` inverts it.

    >>> import minigrad
    >>> minigrad.neg(minigrad.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """
    return Neg().apply(input)


def positive(input: Tensor) -> Tensor:
    """``+input``: the tensor itself.

    Raises:
        RuntimeError: if the tensor is bool.

    >>> import minigrad
    >>> minigrad.positive(minigrad.tensor([1.0, -2.0]))
    tensor([ 1., -2.])
    """
    check_tensor("positive", input)
    if category(input.dtype) == 0:
        raise RuntimeError("positive: expected numbers, got bool; use .int() first")
    return input


class Abs(Unary):
    keeps_integers = True
    refuses_bool = True

    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        return self.xp.absolute(x, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        return grad * sign(self.input(0))


def abs(input: Tensor) -> Tensor:
    """``|input|``; its derivative at 0 is 0.

    >>> import minigrad
    >>> minigrad.abs(minigrad.tensor([1.0, -2.0]))
    tensor([1., 2.])
    """
    return Abs().apply(input)


class Sign(Unary):
    keeps_integers = True
    takes_out = False

    def forward(self, x: Any) -> Any:
        if category(x.dtype) == 0:
            return x.copy()
        result = self.xp.sign(x)
        return self.backend.keep(result, self.xp.equal(x, x)) if x.dtype in FLOATING else result

    def backward(self, grad: Tensor) -> Tensor:
        return grad.new_zeros(grad.shape)


def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1, and 0 for nan; the derivative is 0 everywhere.

    >>> import minigrad
    >>> minigrad.sign(minigrad.tensor([3.0, 0.0, -0.5]))
    tensor([ 1.,  0., -1.])
    """
    return Sign().apply(input)


def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """The point between two tensors: ``input + weight * (end - input)``, exactly ``end`` where the weight is 1.

    Args:
        input: the floating tensor for weight 0.
        end: the tensor for weight 1, of the same dtype.
        weight: a number, or a tensor; all shapes broadcast.

    Raises:
        RuntimeError: if ``input`` and ``end`` are not floating tensors of one dtype.

    >>> import minigrad
    >>> minigrad.lerp(minigrad.tensor([0.0, 10.0]), minigrad.tensor([1.0, 20.0]), 0.25)
    tensor([ 0.25, 12.5 ])
    """
    check_tensor("lerp", input)
    check_tensor("lerp", end)
    if input.dtype not in FLOATING or input.dtype != end.dtype:
        raise RuntimeError(f"lerp: expected floating tensors of one dtype, got {input.dtype} and {end.dtype}")
    difference = end - input
    if isinstance(weight, Tensor):
        near_end = end - difference * (1 - weight)
        return (input + difference * weight).where(abs(weight) < 0.5, near_end)
    number = as_number(weight)
    if number is None:
        raise TypeError(f"lerp: expected a Tensor or a real number as weight, got {type(weight).__name__}")
    return input + difference * number if -0.5 < number < 0.5 else end - difference * (1 - number)


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """``input + value * tensor1 * tensor2``; all shapes broadcast.

    >>> import minigrad
    >>> a, b, c = minigrad.tensor([1.0, 2.0]), minigrad.tensor([3.0, 4.0]), minigrad.tensor([5.0, 6.0])
    >>> minigrad.addcmul(a, b, c, value=0.1)
    tensor([2.5, 4.4])
    """
    for tensor in (input, tensor1, tensor2):
        check_tensor("addcmul", tensor)
    return add(input, mul(tensor1, tensor2), alpha=value)


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """``input + value * tensor1 / tensor2``; all shapes broadcast.

    Raises:
        RuntimeError: if both ``tensor1`` and ``tensor2`` are of integers.

    >>> import minigrad
    >>> a, b, c = minigrad.tensor([1.0, 2.0]), minigrad.tensor([3.0, 4.0]), minigrad.tensor([2.0, 8.0])
    >>> minigrad.addcdiv(a, b, c, value=2)
    tensor([4., 3.])
    """
    for tensor in (input, tensor1, tensor2):
        check_tensor("addcdiv", tensor)
    if tensor1.dtype not in FLOATING and tensor2.dtype not in FLOATING:
        raise RuntimeError(
            f"addcdiv: expected a floating tensor1 or tensor2, got {tensor1.dtype} and {tensor2.dtype}; "
            "use floor_divide or .float()"
        )
    return add(input, tensor1 / tensor2, alpha=value)
