"""The same elements under another shape: reshaping and reordering dims, without a copy where that can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._tensor import Tensor
from ..autograd.operation import Operation
from .arguments import as_dim, as_dims, as_integers, as_shape, check_tensor, unpacked

__all__ = [
    "flatten",
    "movedim",
    "permute",
    "ravel",
    "reshape",
    "squeeze",
    "swapaxes",
    "t",
    "transpose",
    "unflatten",
    "unsqueeze",
    "view",
]


def viewable(shape: tuple[int, ...], strides: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether memory of a shape and strides can be seen as another shape of as many elements, without a copy.

    Neighbouring dims that together are one evenly spaced run form a block. The target must cut into the same blocks: dims
    may be split and merged inside a block, and never across its border.
    """
    if 0 in shape:
        return True
    blocks: list[int] = []
    inner = None
    for n, stride in zip(shape, strides):
        if n == 1:
            continue
        if inner == n * stride:
            blocks[-1] *= n
        else:
            blocks.append(n)
        inner = stride
    sizes = iter([n for n in target if n != 1])
    for block in blocks:
        covered = 1
        while covered < block:
            covered *= next(sizes)
        if covered != block:
            return False
    return True


class Reshape(Operation):
    """The same memory under another shape; only where that can be."""

    is_view = True

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x: Any) -> Any:
        self.source = x.shape
        return x.reshape(self.shape)

    def backward(self, grad: Tensor) -> Tensor:
        return reshaped(grad, self.source)


class ReshapedCopy(Reshape):
    """A copy under another shape."""

    is_view = False

    def forward(self, x: Any) -> Any:
        self.source = x.shape
        return self.xp.array(x, copy=True, order="C").reshape(self.shape)


def reshaped(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The tensor under a shape known to fit: a view if possible, else a copy."""
    array = x.array
    if array.flags.c_contiguous or viewable(array.shape, array.strides, shape):
        return Reshape(shape).apply(x)
    return ReshapedCopy(shape).apply(x)


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The same elements, in the order of their indices, under another shape: a view if possible, else a copy.

    Args:
        input: any tensor.
        shape: the new sizes, one by one or as a sequence; one of them may be -1, which stands for what is left.

    Raises:
        RuntimeError: if the shape does not hold exactly the input's elements.

    >>> import minigrad
    >>> minigrad.reshape(minigrad.arange(6), (2, -1))
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    check_tensor("reshape", input)
    return reshaped(input, as_shape("reshape", unpacked("reshape", "size", shape), input.array.shape))


def view(input: Tensor, *shape: Any) -> Tensor:
    """``reshape`` that never copies.

    Raises:
        RuntimeError: if the shape does not hold exactly the input's elements, or memory would have to be copied.

    >>> import minigrad
    >>> x = minigrad.zeros(2, 3)
    >>> minigrad.view(x, 6).add_(1)
    tensor([1., 1., 1., 1., 1., 1.])
    >>> x
    tensor([[1., 1., 1.],
            [1., 1., 1.]])
    """
    check_tensor("view", input)
    sizes = as_shape("view", unpacked("view", "size", shape), input.array.shape)
    if not viewable(input.array.shape, input.array.strides, sizes):
        raise RuntimeError(
            f"view: a tensor of shape {input.shape} with strides {input.stride()} cannot be seen as {sizes} without a copy; "
            "use .reshape()"
        )
    return Reshape(sizes).apply(input)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The dims from ``start_dim`` to ``end_dim``, the latter included, merged into one.

    Args:
        input: any tensor; a 0-d one becomes 1-d.
        start_dim: the first dim of those to merge.
        end_dim: the last.

    Raises:
        IndexError: if a dim is out of range; RuntimeError if ``start_dim`` comes after ``end_dim``.

    >>> import minigrad
    >>> minigrad.flatten(minigrad.zeros(2, 3, 4, 5), 1).shape
    (2, 60)
    """
    check_tensor("flatten", input)
    shape = input.shape
    first, last = as_dim("flatten", start_dim, input.ndim), as_dim("flatten", end_dim, input.ndim)
    if first > last:
        raise RuntimeError(f"flatten: expected start_dim up to end_dim, got {start_dim} and {end_dim} of shape {shape}")
    if first == last and shape:
        return input
    merged = 1
    for n in shape[first : last + 1]:
        merged *= n
    return reshaped(input, (*shape[:first], merged, *shape[last + 1 :]))


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """One dim split into several: a view.

    Args:
        input: a tensor with at least one dim.
        dim: the dim to split.
        sizes: the new dims' sizes, whose product is the old one's; one of them may be -1.

    Raises:
        RuntimeError: if the sizes do not fit.

    >>> import minigrad
    >>> minigrad.unflatten(minigrad.zeros(2, 12), 1, (3, -1)).shape
    (2, 3, 4)
    """
    check_tensor("unflatten", input)
    dim = as_dim("unflatten", dim, input.ndim)
    sizes = as_integers("unflatten", "size", sizes)
    if not sizes or not input.ndim:
        raise RuntimeError(f"unflatten: expected a dim and at least one size, got shape {input.shape} and sizes {sizes}")
    parts = as_shape("unflatten", sizes, (input.shape[dim],))
    return Reshape((*input.shape[:dim], *parts, *input.shape[dim + 1 :])).apply(input)


def ravel(input: Tensor) -> Tensor:
    """All elements in one dim: a view if possible, else a copy.

    >>> import minigrad
    >>> minigrad.ravel(minigrad.zeros(2, 3)).shape
    (6,)
    """
    check_tensor("ravel", input)
    return reshaped(input, (input.array.size,))


def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """A view without dims of size 1.

    Args:
        input: any tensor.
        dim: the dims to leave out where their size is 1; all of them if None.

    Raises:
        IndexError: if a dim is out of range.

    >>> import minigrad
    >>> minigrad.squeeze(minigrad.zeros(1, 3, 1), 0).shape
    (3, 1)
    """
    check_tensor("squeeze", input)
    shape = input.array.shape
    dims = range(len(shape)) if dim is None else as_dims("squeeze", dim, len(shape))
    return Reshape(tuple(n for i, n in enumerate(shape) if n != 1 or i not in dims)).apply(input)


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A view with one more dim, of size 1.

    Args:
        input: any tensor.
        dim: where the new dim will be: from ``-input.ndim - 1`` to ``input.ndim``.

    Raises:
        IndexError: if the dim is out of range.

    >>> import minigrad
    >>> minigrad.unsqueeze(minigrad.zeros(3), -1).shape
    (3, 1)
    """
    check_tensor("unsqueeze", input)
    shape = input.array.shape
    dim = as_dim("unsqueeze", dim, len(shape) + 1)
    return Reshape((*shape[:dim], 1, *shape[dim:])).apply(input)


class Permute(Operation):
    """A view with the dims in another order."""

    is_view = True

    def __init__(self, dims: tuple[int, ...]):
        self.dims = dims

    def forward(self, x: Any) -> Any:
        return x.transpose(self.dims)

    def backward(self, grad: Tensor) -> Tensor:
        return Permute(tuple(sorted(range(len(self.dims)), key=self.dims.__getitem__))).apply(grad)


def permute(input: Tensor, *dims: Any) -> Tensor:
    """A view with the dims in another order.

    Args:
        input: any tensor.
        dims: every dim once, in the new order, one by one or as a sequence.

    Raises:
        RuntimeError: if a dim is missing or comes twice; IndexError if one is out of range.

    >>> import minigrad
    >>> minigrad.permute(minigrad.zeros(2, 3, 4), (2, 0, 1)).shape
    (4, 2, 3)
    """
    check_tensor("permute", input)
    order = unpacked("permute", "dim", dims)
    if len(order) != input.array.ndim:
        raise RuntimeError(f"permute: expected each of {input.ndim} dims once, got {order}")
    return Permute(as_dims("permute", order, len(order)) if order else ()).apply(input)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """A view with two dims swapped.

    Raises:
        IndexError: if a dim is out of range.

    >>> import minigrad
    >>> minigrad.transpose(minigrad.zeros(2, 3, 4), 0, 2).shape
    (4, 3, 2)
    """
    check_tensor("transpose", input)
    ndim = input.array.ndim
    dim0, dim1 = as_dim("transpose", dim0, ndim), as_dim("transpose", dim1, ndim)
    order = list(range(ndim))
    if order:
        order[dim0], order[dim1] = dim1, dim0
    return Permute(tuple(order)).apply(input)


def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """``transpose`` under NumPy's name.

    >>> import minigrad
    >>> minigrad.swapaxes(minigrad.zeros(2, 3), 0, 1).shape
    (3, 2)
    """
    return transpose(input, axis0, axis1)


def t(input: Tensor) -> Tensor:
    """A matrix transposed; tensors of fewer dims as they are: a view.

    Raises:
        RuntimeError: if the input has more than two dims.

    >>> import minigrad
    >>> minigrad.t(minigrad.zeros(2, 3)).shape
    (3, 2)
    """
    check_tensor("t", input)
    if input.ndim > 2:
        raise RuntimeError(f"t: expected at most 2 dims, got shape {input.shape}; use .mT or .permute()")
    return Permute(tuple(reversed(range(input.ndim)))).apply(input)


def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """A view with some dims at other places; all others stay in their order.

    Args:
        input: any tensor.
        source: the dims to move.
        destination: for each of them, its new place.

    Raises:
        RuntimeError: if there are not as many places as dims, or one comes twice; IndexError if one is out of range.

    >>> import minigrad
    >>> minigrad.movedim(minigrad.zeros(2, 3, 4), 0, -1).shape
    (3, 4, 2)
    """
    check_tensor("movedim", input)
    moved, places = as_dims("movedim", source, input.ndim), as_dims("movedim", destination, input.ndim)
    if len(moved) != len(places):
        raise RuntimeError(f"movedim: expected as many destinations as sources, got {source} and {destination}")
    if not input.ndim:
        return Permute(()).apply(input)
    at = dict(zip(places, moved))
    others = iter([dim for dim in range(input.ndim) if dim not in moved])
    return Permute(tuple(at[place] if place in at else next(others) for place in range(input.ndim))).apply(input)
