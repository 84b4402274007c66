"""Several tensors made one, and one tensor taken apart: concatenation, stacking, splitting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._tensor import Tensor
from ..autograd.modes import modes
from ..autograd.operation import Operation, wrap
from ..autograd.versions import version_of
from ..dtypes import promote_types
from .arguments import as_dim, as_integer, as_integers, as_tensors, check_tensor
from .broadcasting import Expand
from .conversion import cast
from .shape import Permute, Reshape, reshaped
from .slicing import Narrow, Select

__all__ = ["cat", "chunk", "hstack", "meshgrid", "split", "stack", "unbind", "vstack"]


class Cat(Operation):
    """Tensors one after the other along a dim, in the largest one's memory order: images with channels last stay so."""

    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, *arrays: Any) -> Any:
        self.lengths = [x.shape[self.dim] for x in arrays]
        largest = max(arrays, key=lambda x: x.size)
        shape = (*largest.shape[: self.dim], sum(self.lengths), *largest.shape[self.dim + 1 :])
        return self.xp.concatenate(arrays, axis=self.dim, out=self.xp.empty_like(largest, shape=shape))

    def backward(self, grad: Tensor) -> list[Tensor | None]:
        grads: list[Tensor | None] = []
        start = 0
        for i, length in enumerate(self.lengths):
            grads.append(self._part(grad, start, length) if self.needs(i) else None)
            start += length
        return grads

    def _part(self, grad: Tensor, start: int, length: int) -> Tensor:
        if modes.grad:
            return Narrow(self.dim, start, length).apply(grad)
        # a view that nobody will ask where it came from: DenseNet's step, which makes 650 of them, takes 0.98 of the time
        part = wrap(grad.array[(slice(None),) * self.dim + (slice(start, start + length),)])
        part._version = version_of(grad)
        return part


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors one after the other along a dim.

    Args:
        tensors: at least one, of one shape except in ``dim``; dtypes are promoted. As in PyTorch, 1-d tensors without
            elements may be among them whatever the others' shape.
        dim: the dim to join along.

    Raises:
        ValueError: if there is no tensor; RuntimeError if a tensor is 0-d or the shapes do not fit; IndexError if the dim is
            out of range.

    >>> import minigrad
    >>> minigrad.cat([minigrad.zeros(1, 2), minigrad.ones(2, 2)])
    tensor([[0., 0.],
            [1., 1.],
            [1., 1.]])
    """
    tensors = _one_dtype("cat", as_tensors("cat", tensors))
    for i, x in enumerate(tensors):
        if not x.array.ndim:
            raise RuntimeError(f"cat: expected tensors with at least one dim, got a 0-d tensor at position {i}; use stack")
    joined = [x for x in tensors if x.array.shape != (0,)] or tensors[:1]
    first = joined[0].array.shape
    dim = as_dim("cat", dim, len(first))
    for x in joined:
        shape = x.array.shape
        if len(shape) != len(first) or shape[:dim] != first[:dim] or shape[dim + 1 :] != first[dim + 1 :]:
            raise RuntimeError(f"cat: expected tensors of one shape except in dim {dim}, got {first} and {shape}")
    return Cat(dim).apply(*joined)


def _one_dtype(name: str, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The tensors, of which there must be one, in the dtype that all of them promote to."""
    if not tensors:
        raise ValueError(f"{name}: expected at least one tensor, got none")
    dtype = tensors[0].array.dtype
    if all(x.array.dtype is dtype for x in tensors):
        return tensors
    for x in tensors:
        dtype = promote_types(dtype, x.array.dtype)
    return tuple(cast(x, dtype) for x in tensors)


class Stack(Operation):
    """Tensors one after the other along a new dim."""

    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, *arrays: Any) -> Any:
        return self.xp.stack(arrays, axis=self.dim)

    def backward(self, grad: Tensor) -> list[Tensor | None]:
        return [Select(self.dim, i).apply(grad) if self.needs(i) else None for i in range(len(self.edges))]


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors one after the other along a new dim.

    Args:
        tensors: at least one, all of one shape; dtypes are promoted.
        dim: the place of the new dim.

    Raises:
        ValueError: if there is no tensor; RuntimeError if the shapes differ; IndexError if the dim is out of range.

    >>> import minigrad
    >>> minigrad.stack([minigrad.zeros(2), minigrad.ones(2)], 1)
    tensor([[0., 1.],
            [0., 1.]])
    """
    tensors = _one_dtype("stack", as_tensors("stack", tensors))
    shape = tensors[0].array.shape
    for x in tensors:
        if x.array.shape != shape:
            raise RuntimeError(f"stack: expected tensors of one shape, got {shape} and {x.shape}")
    return Stack(as_dim("stack", dim, len(shape) + 1)).apply(*tensors)


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors side by side: along dim 1, or along dim 0 for 1-d (and 0-d) tensors; errors are those of ``cat``.

    >>> import minigrad
    >>> minigrad.hstack([minigrad.tensor([1, 2]), minigrad.tensor([3])])
    tensor([1, 2, 3])
    """
    tensors = tuple(x if x.ndim else reshaped(x, (1,)) for x in as_tensors("hstack", tensors))
    return cat(tensors, 1 if tensors and tensors[0].ndim > 1 else 0)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors on top of each other, along dim 0; 1-d (and 0-d) tensors are rows. Errors are those of ``cat``.

    >>> import minigrad
    >>> minigrad.vstack([minigrad.tensor([1, 2]), minigrad.tensor([3, 4])])
    tensor([[1, 2],
            [3, 4]])
    """
    return cat(tuple(x if x.ndim > 1 else reshaped(x, (1, x.array.size)) for x in as_tensors("vstack", tensors)))


class Split(Operation):
    """Views of consecutive ranges of a dim; their gradients are joined in one go."""

    is_view = True

    def __init__(self, sizes: tuple[int, ...], dim: int):
        self.sizes = sizes
        self.dim = dim
        self.outputs = len(sizes)

    def forward(self, x: Any) -> tuple[Any, ...]:
        self.source = x.shape
        self.dtype = x.dtype
        before = (slice(None),) * self.dim
        parts = []
        start = 0
        for size in self.sizes:
            parts.append(x[(*before, slice(start, start + size))])
            start += size
        return tuple(parts)

    def backward(self, *grads: Tensor | None) -> Tensor:
        parts = []
        for size, grad in zip(self.sizes, grads):
            if grad is None:
                shape = (*self.source[: self.dim], size, *self.source[self.dim + 1 :])
                grad = wrap(self.xp.zeros(shape, dtype=self.dtype))
            parts.append(grad)
        return Cat(self.dim).apply(*parts)


def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive ranges of a dim.

    Args:
        tensor: a tensor with at least one dim.
        split_size_or_sections: the length of all ranges (the last may be shorter), or one length for each.
        dim: the dim to split.

    Raises:
        RuntimeError: if a length is negative, lengths do not add up to the dim's size, or the tensor is 0-d; IndexError if
            the dim is out of range.

    >>> import minigrad
    >>> minigrad.split(minigrad.arange(5), 2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    check_tensor("split", tensor)
    if not tensor.ndim:
        raise RuntimeError("split: expected at least one dim, got a 0-d tensor")
    dim = as_dim("split", dim, tensor.ndim)
    size = tensor.shape[dim]
    if isinstance(split_size_or_sections, (list, tuple)):
        sizes = as_integers("split", "length", split_size_or_sections)
        if any(n < 0 for n in sizes) or sum(sizes) != size:
            raise RuntimeError(f"split: expected lengths that add up to {size}, the size of dim {dim}, got {sizes}")
        return _split(tensor, sizes, dim)
    length = as_integer("split", "length", split_size_or_sections)
    if length < 0 or (length == 0 and size > 0):
        raise RuntimeError(f"split: expected a positive length for dim {dim} of size {size}, got {length}")
    return _split(tensor, _lengths(size, length), dim)


def _lengths(size: int, length: int) -> tuple[int, ...]:
    """Ranges of one length, the last of them shorter where need be; at least one."""
    whole, rest = divmod(size, length) if length else (0, 0)
    return (length,) * whole + ((rest,) if rest or not whole else ())


def _split(tensor: Tensor, sizes: tuple[int, ...], dim: int) -> tuple[Tensor, ...]:
    if len(sizes) > 1:
        return Split(sizes, dim).apply(tensor)
    return tuple(Narrow(dim, 0, size).apply(tensor) for size in sizes)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive ranges of a dim, all of one length but for the last: at most ``chunks`` of them.

    Args:
        input: a tensor with at least one dim.
        chunks: how many ranges are wanted; rounding the length up may leave fewer.
        dim: the dim to split.

    Raises:
        RuntimeError: if ``chunks`` is not positive or the tensor is 0-d; IndexError if the dim is out of range.

    >>> import minigrad
    >>> minigrad.chunk(minigrad.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    check_tensor("chunk", input)
    chunks = as_integer("chunk", "number", chunks)
    if not input.ndim or chunks < 1:
        raise RuntimeError(f"chunk: expected at least one dim and one chunk, got shape {input.shape} and {chunks} chunks")
    dim = as_dim("chunk", dim, input.ndim)
    size = input.shape[dim]
    if size == 0:
        return _split(input, (0,) * chunks, dim)
    return _split(input, _lengths(size, -(-size // chunks)), dim)


class Unbind(Operation):
    """Views of all indices of a dim, without that dim; their gradients are stacked in one go."""

    is_view = True

    def __init__(self, dim: int, size: int):
        self.dim = dim
        self.outputs = size

    def forward(self, x: Any) -> tuple[Any, ...]:
        self.like = (*x.shape[: self.dim], *x.shape[self.dim + 1 :]), x.dtype
        before = (slice(None),) * self.dim
        return tuple(x[(*before, i, ...)] for i in range(self.outputs))

    def backward(self, *grads: Tensor | None) -> Tensor:
        shape, dtype = self.like
        return Stack(self.dim).apply(*(wrap(self.xp.zeros(shape, dtype=dtype)) if grad is None else grad for grad in grads))


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of all indices of a dim, without that dim.

    Raises:
        IndexError: if the dim is out of range, or the tensor is 0-d.

    >>> import minigrad
    >>> minigrad.unbind(minigrad.arange(4).reshape(2, 2), 1)
    (tensor([0, 2]), tensor([1, 3]))
    """
    check_tensor("unbind", input)
    if not input.ndim:
        raise IndexError("unbind: expected at least one dim, got a 0-d tensor")
    dim = as_dim("unbind", dim, input.ndim)
    size = input.shape[dim]
    if size > 1:
        return Unbind(dim, size).apply(input)
    return tuple(Select(dim, i).apply(input) for i in range(size))


def meshgrid(*tensors: Tensor, indexing: str = "ij") -> tuple[Tensor, ...]:
    """The coordinates of a grid's points, one tensor per axis: views of the given coordinates.

    Args:
        tensors: the coordinates along each axis, 1-d or 0-d.
        indexing: ``'ij'`` for results of shape (N0, N1, ...), ``'xy'`` to swap the first two dims.

    Raises:
        RuntimeError: if a tensor has more than one dim, there is none, or ``indexing`` is another word.

    >>> import minigrad
    >>> minigrad.meshgrid(minigrad.arange(2), minigrad.arange(3))[1]
    tensor([[0, 1, 2],
            [0, 1, 2]])
    """
    axes = as_tensors("meshgrid", tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors)
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f"meshgrid: expected 'ij' or 'xy' for indexing, got {indexing!r}")
    if not axes or any(x.ndim > 1 for x in axes):
        raise RuntimeError(f"meshgrid: expected tensors of at most one dim, got shapes {[x.shape for x in axes]}")
    shape = tuple(x.array.size for x in axes)
    grids = []
    for i, x in enumerate(axes):
        along = tuple(n if i == k else 1 for k, n in enumerate(shape))
        grid = Expand(shape).apply(Reshape(along).apply(x))
        if indexing == "xy" and len(axes) > 1:
            grid = Permute((1, 0, *range(2, len(axes)))).apply(grid)
        grids.append(grid)
    return tuple(grids)
