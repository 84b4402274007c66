"""The spelling of PyTorch before 0.4, which lectures still show: ``Variable(tensor)``."""

from __future__ import annotations

from .._tensor import Tensor


def Variable(data: Tensor, requires_grad: bool = False) -> Tensor:
    """A tensor over the same memory that is a leaf of its own: Variables and Tensors are one thing now.

    Args:
        data: a Tensor.
        requires_grad: whether its gradient is wanted.

    Raises:
        TypeError: if ``data`` is not a Tensor.

    >>> import minigrad
    >>> minigrad.autograd.Variable(minigrad.ones(2), requires_grad=True).is_leaf
    True
    """
    if not isinstance(data, Tensor):
        raise TypeError(f"Variable: expected a Tensor, got {type(data).__name__}")
    return data.detach().requires_grad_(requires_grad)
