"""Softmax and its logarithm: scores into probabilities."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..autograd.modes import modes
from ..autograd.operation import Operation
from ..dtypes import FLOATING, accumulated_in, as_dtype, get_default_dtype
from .arguments import as_dim, check_tensor
from .autocasting import in_float32
from .conversion import cast
from .elementwise import exp

__all__ = ["log_softmax", "softmax", "softmin"]


class Softmax(Operation):
    """Computed in float32 for short floats."""

    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, x: Any) -> Any:
        self.save_output()
        xp = self.xp
        shifted = shifted_scores(self.backend, x, self.dim)
        xp.exp(shifted, out=shifted)
        with self.backend.quiet():
            xp.true_divide(shifted, xp.sum(shifted, axis=self.dim, keepdims=True), out=shifted)
        return shifted.astype(x.dtype, copy=False)

    def backward(self, grad: Tensor) -> Tensor:
        weighted = grad * self.output()
        return weighted - self.output() * weighted.sum(self.dim, keepdim=True)


def shifted_scores(backend: Any, x: Any, dim: int) -> Any:
    """A new array of the scores minus the largest along the dim, such that exp does not overflow."""
    xp = backend.xp
    x = x.astype(accumulated_in(x.dtype), copy=False)
    with backend.quiet():
        return xp.subtract(x, xp.max(x, axis=dim, keepdims=True)) if x.size else xp.empty_like(x)


def _prepared(name: str, input: Any, dim: Any, dtype: Any) -> tuple[Tensor, int]:
    """The input as a floating tensor with at least one dim, and the dim."""
    if modes.autocast:
        input = input if dtype is not None else in_float32(input)
    check_tensor(name, input)
    if dim is None:
        raise TypeError(f"{name}: expected an integer dim, got None")
    dim = as_dim(name, dim, input.ndim)
    if dtype is not None:
        input = cast(input, as_dtype(dtype))
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
        IndexError: if ``dim`` is out of range.

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


class LogSoftmax(Operation):
    """Computed in float32 for short floats."""

    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, x: Any) -> Any:
        self.save_output()
        xp = self.xp
        shifted = shifted_scores(self.backend, x, self.dim)
        with self.backend.quiet():
            xp.subtract(shifted, xp.log(xp.sum(xp.exp(shifted), axis=self.dim, keepdims=True)), out=shifted)
        return shifted.astype(x.dtype, copy=False)

    def backward(self, grad: Tensor) -> Tensor:
        return grad - exp(self.output()) * grad.sum(self.dim, keepdim=True)


def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """``log(softmax(input))`` without its loss of small probabilities; the arguments are as for ``softmax``.

    >>> import minigrad
    >>> minigrad.log_softmax(minigrad.tensor([0.0, 0.0, -200.0]), 0)
    tensor([  -0.6931,   -0.6931, -200.6931])
    """
    input, dim = _prepared("log_softmax", input, dim, dtype)
    return _along(LogSoftmax, input, dim)


def _along(operation: type[Softmax] | type[LogSoftmax], x: Tensor, dim: int) -> Tensor:
    """A 0-d tensor counts as one score."""
    return operation(dim).apply(x) if x.ndim else operation(0).apply(x.reshape(1)).reshape(())
