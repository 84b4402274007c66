"""Copies in which elements come several times, in reverse, or shifted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._tensor import Tensor
from ..autograd.operation import Operation, wrap
from ..backends import backend_of
from ..dtypes import FLOATING
from .arguments import as_dim, as_dims, as_integer, as_integers, check_tensor, unpacked
from .broadcasting import Expand
from .shape import Reshape, ReshapedCopy, reshaped

__all__ = ["flip", "repeat", "repeat_interleave", "roll", "tile"]


def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """The tensor laid out several times along each dim: a copy.

    Args:
        input: any tensor.
        repeats: for every dim, and for new leading ones, how many times; one by one or as a sequence.

    Raises:
        RuntimeError: if there are fewer numbers than dims, or one is negative.

    >>> import minigrad
    >>> minigrad.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    return _repeated("repeat", input, unpacked("repeat", "number", repeats))


def tile(input: Tensor, *dims: Any) -> Tensor:
    """``repeat`` that also takes fewer numbers than dims: they count for the last dims.

    >>> import minigrad
    >>> minigrad.tile(minigrad.tensor([[1], [2]]), (3,))
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    check_tensor("tile", input)
    counts = unpacked("tile", "number", dims)
    return _repeated("tile", input, (1,) * (input.ndim - len(counts)) + counts)


def _repeated(name: str, input: Tensor, counts: tuple[int, ...]) -> Tensor:
    check_tensor(name, input)
    extra = len(counts) - input.ndim
    if extra < 0 or any(n < 0 for n in counts):
        raise RuntimeError(f"{name}: expected a number of at least 0 for each dim of {input.shape}, got {counts}")
    shape = (1,) * extra + input.shape
    apart = Reshape(tuple(n for size in shape for n in (1, size))).apply(input)
    expanded = Expand(tuple(n for pair in zip(counts, shape) for n in pair)).apply(apart)
    return ReshapedCopy(tuple(count * size for count, size in zip(counts, shape))).apply(expanded)


def repeat_interleave(
    input: Tensor, repeats: int | Sequence[int] | Tensor, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element (or, along a dim, each slice) several times in a row.

    Args:
        input: any tensor.
        repeats: how many times, or for each index of the dim how many times.
        dim: the dim; None for the flattened tensor.
        output_size: the dim's size in the result, if it is known.

    Raises:
        RuntimeError: if a number is negative, there is not one for each index, or they do not sum up to ``output_size``;
            TypeError if they are no integers.

    >>> import minigrad
    >>> minigrad.repeat_interleave(minigrad.tensor([1, 2, 3]), minigrad.tensor([1, 0, 2]))
    tensor([1, 3, 3])
    """
    check_tensor("repeat_interleave", input)
    if dim is None:
        input, dim = reshaped(input, (input.array.size,)), 0
    dim = as_dim("repeat_interleave", dim, input.ndim)
    input = input if input.ndim else reshaped(input, (1,))
    size = input.shape[dim]
    if isinstance(repeats, Tensor):
        if repeats.dtype in FLOATING or repeats.ndim > 1:
            raise TypeError(f"repeat_interleave: expected integers, 0-d or 1-d, got {repeats.dtype} of shape {repeats.shape}")
        repeats = repeats.tolist()
    counts = as_integers("repeat_interleave", "number", repeats)
    if len(counts) not in (1, size) or any(n < 0 for n in counts):
        raise RuntimeError(f"repeat_interleave: expected one number of at least 0, or {size} of them, got {repeats}")
    total = sum(counts) * (size if len(counts) == 1 else 1)
    if output_size is not None and total != output_size:
        raise RuntimeError(f"repeat_interleave: expected numbers that sum up to the output_size {output_size}, got {total}")
    if len(counts) == 1:
        shape, (count,) = input.shape, counts
        apart = Reshape((*shape[: dim + 1], 1, *shape[dim + 1 :])).apply(input)
        expanded = Expand((*shape[: dim + 1], count, *shape[dim + 1 :])).apply(apart)
        return ReshapedCopy((*shape[:dim], size * count, *shape[dim + 1 :])).apply(expanded)
    xp = backend_of(input.array).xp
    return input.index_select(dim, wrap(xp.repeat(xp.arange(size), list(counts))))


class Flip(Operation):
    """A copy with some dims in reverse."""

    def __init__(self, dims: tuple[int, ...]):
        self.dims = dims

    def forward(self, x: Any) -> Any:
        result = self.xp.empty_like(x)
        result[...] = self.xp.flip(x, self.dims)
        return result

    def backward(self, grad: Tensor) -> Tensor:
        return Flip(self.dims).apply(grad)


def flip(input: Tensor, *dims: Any) -> Tensor:
    """A copy with some dims in reverse.

    Args:
        input: any tensor.
        dims: the dims, one by one or as a sequence.

    Raises:
        IndexError: if a dim is out of range; RuntimeError if one comes twice.

    >>> import minigrad
    >>> minigrad.flip(minigrad.arange(6).reshape(2, 3), 1)
    tensor([[2, 1, 0],
            [5, 4, 3]])
    """
    check_tensor("flip", input)
    reverse = as_dims("flip", unpacked("flip", "dim", dims), input.ndim)
    return Flip(reverse if input.ndim else ()).apply(input)


class Roll(Operation):
    """A copy with dims shifted in a circle."""

    def __init__(self, shifts: tuple[int, ...], dims: tuple[int, ...]):
        self.shifts = shifts
        self.dims = dims

    def forward(self, x: Any) -> Any:
        return self.xp.roll(x, self.shifts, self.dims)

    def backward(self, grad: Tensor) -> Tensor:
        return Roll(tuple(-n for n in self.shifts), self.dims).apply(grad)


def roll(input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """A copy whose elements have moved on by some places; what leaves at one end comes in at the other.

    Args:
        input: any tensor.
        shifts: how many places, for each dim.
        dims: the dims; None rolls the flattened tensor by one number.

    Raises:
        RuntimeError: if there are not as many shifts as dims; IndexError if a dim is out of range.

    >>> import minigrad
    >>> minigrad.roll(minigrad.arange(5), 2)
    tensor([3, 4, 0, 1, 2])
    """
    check_tensor("roll", input)
    shape = input.shape
    if dims is None:
        shifts, dims = as_integer("roll", "shift", shifts), 0
        input = reshaped(input, (input.array.size,))
    elif not shape:
        raise IndexError("roll: expected at least one dim, got a 0-d tensor; leave dims out")
    places = as_integers("roll", "shift", shifts)
    along = tuple(as_dim("roll", dim, input.ndim) for dim in as_integers("roll", "dim", dims))
    if len(places) != len(along):
        raise RuntimeError(f"roll: expected as many shifts as dims, got {shifts} and {dims}")
    rolled = Roll(places, along).apply(input)
    return rolled if rolled.array.shape == shape else reshaped(rolled, shape)
