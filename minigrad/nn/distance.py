"""Layers that compare two tensors."""

from __future__ import annotations

from .._tensor import Tensor
from . import functional as F
from .arguments import integer, number
from .module import Module


class CosineSimilarity(Module):
    """The cosine of the angle between vectors: x · y / (max(|x|, eps) · max(|y|, eps)).

    Args:
        dim: the dimension that the vectors' elements are in.
        eps: keeps vectors of length 0 from being divided by.

    >>> import minigrad
    >>> minigrad.nn.CosineSimilarity()(minigrad.tensor([[1.0, 0.0]]), minigrad.tensor([[2.0, 0.0]]))
    tensor([1.])
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8):
        super().__init__()
        self.dim = integer(self, "dim", dim)
        self.eps = number(self, "eps", eps)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)
