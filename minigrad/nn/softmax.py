"""Activations that weigh the elements along one dimension against each other."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from . import functional as F
from .arguments import integer
from .module import Module


class _AlongDim(Module):
    """A layer whose only setting is the dimension that it works along."""

    def __init__(self, dim: int | None = None):
        super().__init__()
        self.dim: Any = None if dim is None else integer(self, "dim", dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class GLU(_AlongDim):
    """a · sigmoid(b), with the two halves a and b of the input.

    Dauphin et al., "Language modeling with gated convolutional networks", ICML 2017.

    Args:
        dim: the dimension that is halved.

    >>> import minigrad
    >>> minigrad.nn.GLU()(minigrad.tensor([1.0, 2.0, 0.0, 0.0]))
    tensor([0.5, 1. ])
    """

    def __init__(self, dim: int = -1):
        super().__init__(dim)

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)


class Softmax(_AlongDim):
    """eˣ / Σ eˣ.

    Args:
        dim: the dimension along which the results add up to 1.

    >>> import minigrad
    >>> minigrad.nn.Softmax(dim=1)(minigrad.zeros(1, 4))
    tensor([[0.25, 0.25, 0.25, 0.25]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)


class LogSoftmax(_AlongDim):
    """log(softmax(x)), without overflow.

    Args:
        dim: the dimension of the softmax.

    >>> import minigrad
    >>> minigrad.nn.LogSoftmax(dim=1)(minigrad.tensor([[0.0, 1000.0]]))
    tensor([[-1000.,     0.]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim)


class Softmin(_AlongDim):
    """softmax(−x).

    Args:
        dim: the dimension along which the results add up to 1.

    >>> import minigrad
    >>> minigrad.nn.Softmin(dim=1)(minigrad.zeros(1, 4))
    tensor([[0.25, 0.25, 0.25, 0.25]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softmin(input, self.dim)
