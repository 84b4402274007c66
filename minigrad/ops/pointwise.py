"""What operations of one and of two tensors, element by element, have in common: dtype promotion and broadcasting."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

from .._tensor import Tensor
from ..autograd.modes import modes
from ..autograd.operation import NOT_RECORDED, Operation
from ..backends import backend_of
from ..dtypes import FLOATING, REDUCED, as_number, category, float32, get_default_dtype, wrap_number
from .arguments import described, fitting_number
from .broadcasting import rounded, sum_to
from .conversion import Copy, broadcasts_to, cast, result_type

NUMBERS = (float, int)


def rounded_once(forward: Any) -> Any:
    """A forward of one array in several steps, which takes short floats in float32, and rounds their result."""

    @functools.wraps(forward)
    def rounding(self: Any, x: Any, out: Any = None) -> Any:
        if x.dtype not in REDUCED:
            return forward(self, x, out)
        result = forward(self, x.astype(float32))
        if out is None:
            return rounded(self.backend, result, x.dtype)
        with self.backend.quiet():
            out[...] = result
        return out

    return rounding


class Pointwise(Operation):
    """What an operation on single elements does with integers and bools."""

    takes_out = True
    keeps_integers: ClassVar[bool] = True
    """Whether integers give integers; if not, they become the default float first."""
    refuses_bool: ClassVar[bool] = False
    """Whether bool tensors alone are an error."""

    def computed_in(self, dtype: Any) -> Any:
        """The dtype of the computation, from the promoted one of the inputs."""
        if dtype in FLOATING:
            return dtype
        if not self.keeps_integers:
            return get_default_dtype()
        if self.refuses_bool and category(dtype) == 0:
            raise RuntimeError(f"{self.name}: expected numbers, got bool; use a logical operation, or .int() first")
        return dtype

    def result_for(self, x: Any, out: Any) -> Any:
        """An array for the result of a computation in several steps: ``out``, or a new one like ``x``."""
        return self.xp.empty_like(x) if out is None else out


class Unary(Pointwise):
    """An operation on one tensor."""

    keeps_integers = False

    def apply(self, x: Any) -> Tensor:
        if not isinstance(x, Tensor):
            raise TypeError(f"{self.name}: expected a Tensor, got {described(x)}")
        dtype = x.array.dtype
        if dtype not in FLOATING:
            x = cast(x, self.computed_in(dtype))
        return Operation.apply(self, x)

    def fit(self, target: Tensor) -> tuple[Any, ...]:
        if self.computed_in(target.dtype) != target.dtype:
            raise RuntimeError(f"{self.name}_: its floating result cannot be kept in a tensor of dtype {target.dtype}")
        return (target,)


class Binary(Pointwise):
    """An operation on two tensors that are broadcast against each other; one of them may be a Python number.

    A subclass gives ``partial(grad, i)``, the gradient of input ``i`` in the output's shape; only what is needed is asked for.
    """

    wraps_numbers: ClassVar[bool] = False
    """Whether a Python integer beyond the range of an integer dtype is taken modulo that range."""

    def apply(self, a: Any, b: Any) -> Tensor:
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            x, y = a.array, b.array
            if x.dtype is not y.dtype or x.dtype not in FLOATING:
                a, b = self.promote(a, b)
            self.shapes = None if x.shape == y.shape else self.broadcast(x.shape, y.shape)
        else:
            number, tensor = (a, b) if isinstance(b, Tensor) else (b, a)
            if type(number) not in NUMBERS or not isinstance(tensor, Tensor) or tensor.array.dtype not in FLOATING:
                a, b = self.promote(a, b)
            self.shapes = None
        return Operation.apply(self, a, b)

    def gather(self, inputs: tuple[Any, ...]) -> Any:
        """As in Operation, without its loop for the common case: two tensors that are no views."""
        a, b = inputs
        if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
            return Operation.gather(self, inputs)
        x, y = a.array, b.array
        if type(x) is not type(y) or not (a._view is b._view is None):
            return Operation.gather(self, inputs)
        self.backend = backend = backend_of(x)
        self.xp = backend.xp
        if (a._requires_grad or b._requires_grad) and modes.grad and self.differentiable:
            self.inputs = inputs
            self.edges = (
                None if not a._requires_grad else a if a.node is None else a.node,
                None if not b._requires_grad else b if b.node is None else b.node,
            )
        else:
            self.edges = NOT_RECORDED
        return x, y

    def fit(self, target: Tensor, other: Any) -> tuple[Any, Any]:
        """The inputs of the in-place form: the result must have the target's shape and dtype."""
        other = self.operand(other)
        dtype = self.computed_in(result_type(target, other))
        if category(dtype) > category(target.dtype):
            raise RuntimeError(f"{self.name}_: a result of dtype {dtype} cannot be kept in a tensor of dtype {target.dtype}")
        self.check(target, other, target.dtype)
        self.shapes = None
        if not isinstance(other, Tensor):
            return target, self.number_in(other, target.dtype)
        other = cast(other, target.dtype)
        a, b = target.array.shape, other.array.shape
        if a != b:
            self.shapes = (a, b)
            if len(b) > len(a) or not broadcasts_to(b, a):
                raise RuntimeError(f"{self.name}_: expected an operand that broadcasts to {a}, got shape {b}")
        return target, other

    def in_place(self, target: Tensor, *others: Any) -> tuple[Operation, tuple[Any, ...]]:
        """Where the operand's dtype is wider than the target's, a copy of the result in that dtype: it is rounded once."""
        inputs = self.fit(target, *others)
        (other,) = others
        if inputs[1] is other or self.computed_in(result_type(target, other)) == target.dtype:
            return self, inputs
        copy = Copy(self.name)
        return copy, copy.fit(target, self.apply(target, other))

    def backward(self, grad: Tensor) -> Any:
        a = self.partial(grad, 0) if self.needs(0) else None
        b = self.partial(grad, 1) if self.needs(1) else None
        if self.shapes is not None:
            a = None if a is None else sum_to(a, self.shapes[0])
            b = None if b is None else sum_to(b, self.shapes[1])
        return a, b

    def partial(self, grad: Tensor, i: int) -> Tensor:
        """The gradient of input ``i`` before it is summed to that input's shape."""
        raise NotImplementedError(f"{type(self).__name__}.partial")

    def check(self, a: Any, b: Any, dtype: Any) -> None:
        """Raise where the operation is not defined for these operands; asked unless both are floating already."""

    def promote(self, a: Any, b: Any) -> tuple[Any, Any]:
        """Both operands in the dtype of the computation; a Python number stays one."""
        a, b = self.operand(a), self.operand(b)
        if not (isinstance(a, Tensor) or isinstance(b, Tensor)):
            raise TypeError(f"{self.name}: expected at least one Tensor, got {type(a).__name__} and {type(b).__name__}")
        dtype = self.computed_in(result_type(a, b))
        self.check(a, b, dtype)
        a = cast(a, dtype) if isinstance(a, Tensor) else self.number_in(a, dtype)
        b = cast(b, dtype) if isinstance(b, Tensor) else self.number_in(b, dtype)
        return a, b

    def operand(self, value: Any) -> Any:
        """A Tensor, or the Python number that a Python or NumPy scalar is."""
        if isinstance(value, Tensor):
            return value
        number = as_number(value)
        if number is None:
            raise TypeError(f"{self.name}: expected a Tensor or a real number, got {described(value)}")
        return number

    def number_in(self, number: Any, dtype: Any) -> Any:
        """The number as an operand of an array of the dtype."""
        kind = category(dtype)
        if type(number) is bool and kind:
            return int(number)
        if type(number) is int and kind == 1:
            return wrap_number(number, dtype) if self.wraps_numbers else self.integer_in(number, dtype)
        return number

    def integer_in(self, number: int, dtype: Any) -> int:
        """A Python integer as an operand of an array of an integer dtype, checked to fit."""
        return fitting_number(self.name, number, dtype)

    def broadcast(self, a: tuple[int, ...], b: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The two shapes, checked to broadcast."""
        for m, n in zip(reversed(a), reversed(b), strict=False):
            if m != n and m != 1 and n != 1:
                raise ValueError(f"{self.name}: expected shapes that broadcast, got {a} and {b}")
        return a, b
