"""The affine map of a fully connected layer."""

from __future__ import annotations

from math import prod
from typing import Any

from .._tensor import Tensor
from ..autograd.deferred import weight_grad_later
from ..autograd.modes import modes
from ..autograd.operation import Operation
from .arguments import described
from .autocasting import in_reduced
from .linalg import matmul
from .reduction import Sum

__all__ = ["linear"]


class Linear(Operation):
    """``x @ weight.T + bias``, the bias possibly None."""

    def forward(self, x: Any, weight: Any, bias: Any) -> Any:
        if self.needs(0):
            self.save_input(1)
        if self.needs(1):
            self.save_input(0)
        self.weight_shape = weight.shape
        return self.backend.linear(x, weight, bias)

    def backward(self, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        of_x = of_weight = None
        if self.needs(1):  # first: nobody waits for it
            of_weight = weight_grad_later(LinearWeightGrad(), self.weight_shape, grad, self.input(0))
        if self.needs(0):
            of_x = matmul(grad, self.input(1))
        of_bias = grad if self.needs(2) else None
        if of_bias is not None and grad.ndim > 1:
            of_bias = Sum(tuple(range(grad.ndim - 1)), False).apply(grad)
        return of_x, of_weight, of_bias


class LinearWeightGrad(Operation):
    """The weight's gradient ``grad.T @ x``, both (..., features) read as matrices: one call, no view on the tape."""

    def forward(self, grad: Any, x: Any) -> Any:
        if self.needs(0):
            self.save_input(1)
        if self.needs(1):
            self.save_input(0)
        return self.backend.matmul(_rows(grad).T, _rows(x))

    def backward(self, above: Tensor) -> tuple[Tensor | None, Tensor | None]:
        of_grad = linear(self.input(1), above) if self.needs(0) else None
        return of_grad, matmul(self.input(0), above) if self.needs(1) else None


def _rows(x: Any) -> Any:
    """An array as a matrix of its last dim's rows."""
    return x if x.ndim == 2 else x.reshape(prod(x.shape[:-1]), x.shape[-1])


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input @ weight.T + bias``.

    Args:
        input: of shape (..., in).
        weight: of shape (out, in).
        bias: of shape (out), or None.

    Returns:
        A tensor of shape (..., out).

    Raises:
        ValueError: if the shapes do not fit; TypeError if an argument is no Tensor or the dtypes differ.

    >>> import minigrad
    >>> weight, bias = minigrad.tensor([[1.0, 2.0], [0.0, 1.0], [1.0, 0.0]]), minigrad.tensor([0.0, 0.0, 10.0])
    >>> minigrad.ops.linear(minigrad.tensor([[1.0, 1.0]]), weight, bias)
    tensor([[ 3.,  1., 11.]])
    """
    if modes.autocast:
        input, weight, bias = in_reduced(input), in_reduced(weight), in_reduced(bias)
    for value in (input, weight) if bias is None else (input, weight, bias):
        if not isinstance(value, Tensor):
            raise TypeError(f"linear: expected Tensors, got {described(value)}")
        if value.array.dtype != input.array.dtype:
            raise TypeError(f"linear: expected tensors of one dtype, got {input.dtype} and {value.dtype}")
    shape, wanted = input.array.shape, weight.array.shape
    if len(wanted) != 2 or not shape or shape[-1] != wanted[1]:
        raise ValueError(f"linear: expected an input (..., in) and a weight (out, in), got {shape} and {wanted}")
    if bias is not None and bias.array.shape != wanted[:1]:
        raise ValueError(f"linear: expected a bias of shape {wanted[:1]}, got {bias.shape} (weight {wanted})")
    return Linear().apply(input, weight, bias)
