"""Reading along one dim, at places that a tensor of indices names."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..autograd.operation import Operation
from ..dtypes import category, uint8
from .arguments import as_dim, check_tensor
from .indexing import Index, check_range

__all__ = ["gather", "index_select", "take_along_dim"]


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of one dim that ``index`` names: ``input[:, index]`` for dim 1.

    Args:
        input: any tensor.
        dim: the dim to read along.
        index: integers of shape (n), from 0 to the dim's size (exclusive).

    Returns:
        The input's shape with ``n`` at ``dim``, in memory of its own. The gradient adds up over equal indices.

    Raises:
        IndexError: if an index is out of range (where the device lets the host see it without waiting); TypeError if they are
            no integers; ValueError if they have two dims or more.

    >>> import minigrad
    >>> minigrad.index_select(minigrad.arange(6).reshape(2, 3), 1, minigrad.tensor([2, 0]))
    tensor([[2, 0],
            [5, 3]])
    """
    dim, index = one_dim("index_select", input, dim, index)
    if input.ndim == 0:
        return input.reshape(1)[index].reshape(())
    return Index().apply(input, *(None,) * dim, index)


class Gather(Operation):
    """The elements that an index names along one dim, one for each of its places."""

    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, x: Any, index: Any) -> Any:
        self.source = x.shape
        self.save_input(1)
        return self.backend.gather(x, self.dim, index)

    def backward(self, grad: Tensor) -> tuple[Tensor, None]:
        return GatherSum(self.dim, self.source).apply(grad, self.input(1)), None


class GatherSum(Operation):
    """Zeros to which a tensor is added at the places that an index names along one dim: the adjoint of Gather."""

    def __init__(self, dim: int, shape: tuple[int, ...]):
        self.dim = dim
        self.shape = shape

    def forward(self, values: Any, index: Any) -> Any:
        self.save_input(1)
        result = self.xp.zeros(self.shape, dtype=values.dtype)
        self.backend.scatter_add(result, self.dim, index, values)
        return result

    def backward(self, grad: Tensor) -> tuple[Tensor, None]:
        return Gather(self.dim).apply(grad, self.input(1)), None


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """``result[i][j] = input[index[i][j]][j]`` for dim 0 of two; in general, the index replaces one of the places.

    Args:
        input: any tensor.
        dim: the dim along which ``index`` counts.
        index: integers from 0 to the dim's size (exclusive); as many dims as the input, none but ``dim`` longer than its own.

    Returns:
        A tensor of the index's shape. The gradient adds up over equal places.

    Raises:
        IndexError: if an index is out of range (where the device lets the host see it without waiting); ValueError if the shape
            does not fit; TypeError if the index is no integers.

    >>> import minigrad
    >>> minigrad.gather(minigrad.tensor([[1, 2], [3, 4]]), 1, minigrad.tensor([[0, 0], [1, 0]]))
    tensor([[1, 1],
            [4, 3]])
    """
    dim, index = per_element("gather", input, dim, index)
    return Gather(dim).apply(input, index)


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """``gather`` after the input and the indices were broadcast against each other in all dims but ``dim``.

    Args:
        input: any tensor.
        indices: integers; negative ones count from the end. What argmax, argsort and the like return with ``keepdim=True``.
        dim: the dim along which the indices count; None for the flattened input.

    Raises:
        IndexError: if an index is out of range (where the device lets the host see it without waiting); ValueError if the
            shapes do not fit; TypeError if the indices are no integers.

    >>> import minigrad
    >>> x = minigrad.tensor([[3, 1, 2], [4, 6, 5]])
    >>> minigrad.take_along_dim(x, minigrad.tensor([[-1], [0]]), 1)
    tensor([[2],
            [4]])
    """
    name = "take_along_dim"
    check_tensor(name, input)
    check_integers(name, indices)
    if dim is None:
        input, indices, dim = input.reshape(-1), indices.reshape(-1), 0
    if input.ndim == 0:
        raise IndexError(f"{name}: expected at least one dim, got a 0-d tensor")
    place = as_dim(name, dim, input.ndim)
    if input.ndim != indices.ndim:
        raise ValueError(f"{name}: expected as many dims in indices as in input, got {indices.shape} and {input.shape}")
    check_range(name, indices, input.shape, place)
    pairs = list(zip(input.shape, indices.shape))
    if any(m != n and 1 not in (m, n) for i, (m, n) in enumerate(pairs) if i != place):
        raise ValueError(f"{name}: expected shapes that broadcast except in dim {place}, got {input.shape} and {indices.shape}")
    joint = [n if m == 1 else m for m, n in pairs]
    input = input.expand(*joint[:place], input.shape[place], *joint[place + 1 :])
    indices = indices.expand(*joint[:place], indices.shape[place], *joint[place + 1 :])
    return Gather(place).apply(input, indices)


def check_integers(name: str, index: Any) -> None:
    check_tensor(name, index)
    if category(index.dtype) != 1 or index.dtype == uint8:
        raise TypeError(f"{name}: expected integers as indices (int64 is best), got {index.dtype}")


def one_dim(name: str, input: Tensor, dim: Any, index: Any, from_end: bool = False) -> tuple[int, Tensor]:
    """A dim, and the indices (0-d or 1-d) into it."""
    check_tensor(name, input)
    check_integers(name, index)
    place = as_dim(name, dim, input.ndim)
    if index.ndim > 1:
        raise ValueError(f"{name}: expected an index with one dim, got shape {index.shape}")
    check_range(name, index, input.shape, place, from_end)
    return place, index if index.ndim else index.reshape(1)


def per_element(name: str, input: Tensor, dim: Any, index: Any) -> tuple[int, Tensor]:
    """A dim, and an index for each of its elements."""
    check_tensor(name, input)
    check_integers(name, index)
    place = as_dim(name, dim, input.ndim)
    if index.ndim != input.ndim:
        raise ValueError(f"{name}: expected as many dims in index as in input, got {index.shape} and {input.shape}")
    if any(m > n for i, (m, n) in enumerate(zip(index.shape, input.shape)) if i != place):
        raise ValueError(
            f"{name}: expected an index no longer than input except in dim {place}, got {index.shape} and {input.shape}"
        )
    check_range(name, index, input.shape, place, from_end=False)
    return place, index
