"""Layers that join and part dimensions."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from .arguments import integer, sizes
from .module import Module


class Flatten(Module):
    """Join several neighbouring dimensions into one.

    Args:
        start_dim: the first of them.
        end_dim: the last of them.

    >>> import minigrad
    >>> minigrad.nn.Flatten()(minigrad.ones(2, 3, 4, 4)).shape
    (2, 48)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        super().__init__()
        self.start_dim = integer(self, "start_dim", start_dim)
        self.end_dim = integer(self, "end_dim", end_dim)

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Part one dimension into several.

    Args:
        dim: the dimension.
        unflattened_size: the sizes of those it becomes; one may be -1.

    >>> import minigrad
    >>> minigrad.nn.Unflatten(1, (3, 4))(minigrad.ones(2, 12)).shape
    (2, 3, 4)
    """

    def __init__(self, dim: int, unflattened_size: Any):
        super().__init__()
        self.dim = integer(self, "dim", dim)
        self.unflattened_size = sizes(self, "unflattened_size", unflattened_size)
        if isinstance(self.unflattened_size, int):
            raise TypeError(f"Unflatten: expected unflattened_size to be a tuple of ints, got {self.unflattened_size}")

    def forward(self, input: Tensor) -> Tensor:
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
