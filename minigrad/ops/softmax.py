"""Softmax and its logarithm: scores into probabilities."""

from __future__ import annotations

from typing import Any, ClassVar

from .._tensor import Tensor
from ..autograd.modes import modes
from ..autograd.operation import Operation
from ..dtypes import FLOATING, get_default_dtype
from .arguments import as_dim, as_optional_dtype, check_tensor
from .autocasting import in_float32
from .conversion import cast
from .elementwise import exp

__all__ = ["log_softmax", "softmax", "softmin"]


class Softmax(Operation):
    """Along one dim."""

    logarithm: ClassVar[bool] = False

    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, x: Any) -> Any:
        self.save_output()
        return self.backend.softmax(x, self.dim, self.logarithm)

    def backward(self, grad: Tensor) -> Tensor:
        return SoftmaxGrad(self.dim, self.logarithm).apply(grad, self.output())


class LogSoftmax(Softmax):
    """The logarithm of Softmax."""

    logarithm = True


class SoftmaxGrad(Operation):
    """The gradient by the scores, from the result y: with S the sum along the dim, it is ``y · (grad − S(grad · y))``.

    That of the logarithm is ``grad − exp(y) · S(grad)``.
    """

    def __init__(self, dim: int, logarithm: bool):
        self.dim = dim
        self.logarithm = logarithm

    def forward(self, grad: Any, y: Any) -> Any:
        self.save_input(0)
        self.save_input(1)
        return self.backend.softmax_grad(grad, y, self.dim, self.logarithm)

    def backward(self, above: Tensor) -> tuple[Tensor | None, Tensor | None]:
        grad, y = self.input(0), self.input(1)
        dgrad = dy = None
        if self.logarithm:
            p = exp(y)
            if self.needs(0):
                dgrad = above - self._sum(above * p)
            if self.needs(1):
                dy = -above * p * self._sum(grad)
            return dgrad, dy
        if self.needs(0):
            dgrad = SoftmaxGrad(self.dim, False).apply(above, y)
        if self.needs(1):
            dy = above * (grad - self._sum(grad * y)) - grad * self._sum(above * y)
        return dgrad, dy

    def _sum(self, x: Tensor) -> Tensor:
        return x.sum(self.dim, keepdim=True)


def _prepared(name: str, input: Any, dim: Any, dtype: Any) -> tuple[Tensor, int]:
    """The input as a floating tensor with at least one dim, and the dim."""
    if modes.autocast:
        input = input if dtype is not None else in_float32(input)
    check_tensor(name, input)
    if dim is None:
        raise TypeError(f"{name}: expected an integer dim, got None")
    dim = as_dim(name, dim, input.ndim)
    if dtype is not None:
        dtype = as_optional_dtype(name, dtype)
        if dtype not in FLOATING:
            raise TypeError(f"{name}: expected a floating dtype, got {dtype}")
        input = cast(input, dtype)
    if input.dtype not in FLOATING:
        input = cast(input, get_default_dtype())
    return input, dim


def softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """``exp(input) / sum(exp(input), dim)``, without overflow.

    Args:
        input: the scores.
        dim: the dim along which the results sum to 1.
        dtype: the dtype to compute in; by default the input's, or the default dtype for integers.

    Raises:
        IndexError: if ``dim`` is out of range; TypeError if ``dtype`` is not floating.

    >>> import minigrad
    >>> minigrad.softmax(minigrad.tensor([1000.0, 1000.0, 999.0]), 0)
    tensor([0.4223, 0.4223, 0.1554])
    """
    input, dim = _prepared("softmax", input, dim, dtype)
    return _along(Softmax, input, dim)


def softmin(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """``softmax`` of ``-input``; the arguments are as there.

    >>> import minigrad
    >>> minigrad.nn.functional.softmin(minigrad.tensor([0.0, 0.0, 1.0]), 0)
    tensor([0.4223, 0.4223, 0.1554])
    """
    input, dim = _prepared("softmin", input, dim, dtype)
    return _along(Softmax, -input, dim)


def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """``log(softmax(input))`` without its loss of small probabilities; the arguments are as for ``softmax``.

    >>> import minigrad
    >>> minigrad.log_softmax(minigrad.tensor([0.0, 0.0, -200.0]), 0)
    tensor([  -0.6931,   -0.6931, -200.6931])
    """
    input, dim = _prepared("log_softmax", input, dim, dtype)
    return _along(LogSoftmax, input, dim)


def _along(operation: type[Softmax], x: Tensor, dim: int) -> Tensor:
    """A 0-d tensor counts as one score."""
    return operation(dim).apply(x) if x.ndim else operation(0).apply(x.reshape(1)).reshape(())
