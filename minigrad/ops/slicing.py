"""Parts of one dim as views: ranges, single indices, windows.

A view's gradient is its adjoint: zeros with the incoming gradient at the places that the view shows.
"""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..autograd.operation import Operation
from ..autograd.views import replay
from .arguments import as_dim, as_integer, check_tensor

__all__ = ["narrow", "select", "unfold"]


class Placed(Operation):
    """Zeros with a tensor at the places that a view operation shows: the adjoint of an operation that shows none twice."""

    def __init__(self, view: Operation, shape: tuple[int, ...]):
        self.view = view
        self.shape = shape

    def forward(self, x: Any) -> Any:
        result = self.xp.zeros(self.shape, dtype=x.dtype)
        self.view.backend, self.view.xp = self.backend, self.xp
        self.view.forward(result)[...] = x
        return result

    def backward(self, grad: Tensor) -> Tensor:
        return replay(((self.view, 0),), grad)


class Narrow(Operation):
    """A view of a range of one dim."""

    is_view = True

    def __init__(self, dim: int, start: int, length: int):
        self.dim = dim
        self.start = start
        self.length = length

    def forward(self, x: Any) -> Any:
        self.source = x.shape
        return x[(slice(None),) * self.dim + (slice(self.start, self.start + self.length),)]

    def backward(self, grad: Tensor) -> Tensor:
        return Placed(Narrow(self.dim, self.start, self.length), self.source).apply(grad)


def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """A view of the range ``start : start + length`` of one dim.

    Args:
        input: a tensor with at least one dim.
        dim: the dim to narrow.
        start: the first index; a negative one counts from the end.
        length: how many indices.

    Raises:
        IndexError: if ``dim`` or ``start`` is out of range; RuntimeError if the range does not fit.

    >>> import minigrad
    >>> minigrad.narrow(minigrad.arange(5), 0, 1, 3)
    tensor([1, 2, 3])
    """
    check_tensor("narrow", input)
    if not input.ndim:
        raise RuntimeError("narrow: expected at least one dim, got a 0-d tensor")
    dim = as_dim("narrow", dim, input.ndim)
    start, length = as_integer("narrow", "start", start), as_integer("narrow", "length", length)
    size = input.shape[dim]
    if not -size <= start <= size:
        raise IndexError(f"narrow: expected start in [{-size}, {size}], got {start}")
    first = start + size if start < 0 else start
    if length < 0 or first + length > size:
        raise RuntimeError(f"narrow: expected a length in [0, {size - first}] from start {start} of {size}, got {length}")
    return Narrow(dim, first, length).apply(input)


class Select(Operation):
    """A view of one index of one dim, without that dim."""

    is_view = True

    def __init__(self, dim: int, index: int):
        self.dim = dim
        self.index = index

    def forward(self, x: Any) -> Any:
        self.source = x.shape
        return x[(*(slice(None),) * self.dim, self.index, ...)]

    def backward(self, grad: Tensor) -> Tensor:
        return Placed(Select(self.dim, self.index), self.source).apply(grad)


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """A view of one index of one dim, without that dim: ``input[:, index]`` for dim 1.

    Raises:
        IndexError: if ``dim`` or ``index`` is out of range, or the input has no dim.

    >>> import minigrad
    >>> minigrad.select(minigrad.arange(6).reshape(2, 3), 1, -1)
    tensor([2, 5])
    """
    check_tensor("select", input)
    if not input.ndim:
        raise IndexError("select: expected at least one dim, got a 0-d tensor")
    dim, index = as_dim("select", dim, input.ndim), as_integer("select", "index", index)
    size = input.shape[dim]
    if not -size <= index < size:
        raise IndexError(f"select: expected an index in [{-size}, {size - 1}] for dim {dim} of {input.shape}, got {index}")
    return Select(dim, index % size).apply(input)


class Unfold(Operation):
    """A view of all windows of one dim; the places inside a window are a new last dim."""

    is_view = True

    def __init__(self, dim: int, size: int, step: int):
        self.dim = dim
        self.size = size
        self.step = step

    def forward(self, x: Any) -> Any:
        self.source = x.shape
        windows = (x.shape[self.dim] - self.size) // self.step + 1
        shape = (*x.shape[: self.dim], windows, *x.shape[self.dim + 1 :], self.size)
        stride = x.strides[self.dim]
        strides = (*x.strides[: self.dim], stride * self.step, *x.strides[self.dim + 1 :], stride)
        return self.backend.as_strided(x, shape, strides)

    def backward(self, grad: Tensor) -> Tensor:
        return Folded(self.dim, self.size, self.step, self.source).apply(grad)


class Folded(Operation):
    """The sum of windows at their places, which may overlap: the adjoint of Unfold."""

    def __init__(self, dim: int, size: int, step: int, shape: tuple[int, ...]):
        self.dim = dim
        self.size = size
        self.step = step
        self.shape = shape

    def forward(self, x: Any) -> Any:
        result = self.xp.zeros(self.shape, dtype=x.dtype)
        before = (slice(None),) * self.dim
        reach = (x.shape[self.dim] - 1) * self.step + 1
        for place in range(self.size):
            result[(*before, slice(place, place + reach, self.step))] += x[..., place]
        return result

    def backward(self, grad: Tensor) -> Tensor:
        return Unfold(self.dim, self.size, self.step).apply(grad)


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """A view of all windows of one dim.

    Args:
        input: any tensor.
        dimension: the dim that the windows move along.
        size: the length of a window.
        step: how far one window's start lies from the next one's.

    Returns:
        The input's shape with the number of windows at ``dimension``, and a new last dim of length ``size``; for a 0-d
        tensor one window, (size,).

    Raises:
        RuntimeError: if a window does not fit, or the step is not positive; IndexError if the dim is out of range.

    >>> import minigrad
    >>> minigrad.unfold(minigrad.arange(5), 0, 3, 2)
    tensor([[0, 1, 2],
            [2, 3, 4]])
    """
    check_tensor("unfold", input)
    dim = as_dim("unfold", dimension, input.ndim)
    size, step = as_integer("unfold", "size", size), as_integer("unfold", "step", step)
    length = input.shape[dim] if input.ndim else 1
    if not 0 <= size <= length or step < 1:
        raise RuntimeError(f"unfold: expected a size in [0, {length}] and a positive step, got size {size} and step {step}")
    if not input.ndim:
        return Narrow(0, 0, size).apply(input.reshape(1))
    return Unfold(dim, size, step).apply(input)
