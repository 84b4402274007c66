"""The largest and the smallest elements, and where they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .._tensor import Tensor
from ..autograd.operation import Operation, wrap
from ..backends import backend_of
from .arguments import as_dim, check_tensor, reduced_dims
from .broadcasting import summed
from .reduction import reduced_count, spread
from .shape import reshaped

__all__ = ["amax", "amin", "argmax", "argmin", "max", "min"]


class ValuesAndIndices(NamedTuple):
    """Elements along a dim, and their indices there."""

    values: Tensor
    indices: Tensor


class Amax(Operation):
    """The largest element over some dims (None: all). All that are as large share the gradient evenly."""

    def __init__(self, dims: tuple[int, ...] | None, keepdim: bool):
        self.dims = dims
        self.keepdim = keepdim

    def forward(self, x: Any) -> Any:
        self.save_input(0)
        self.save_output()
        return self.choose(x)

    def choose(self, x: Any) -> Any:
        """The element that is the result."""
        return self.xp.max(x, axis=self.dims, keepdims=self.keepdim)

    def backward(self, grad: Tensor) -> Tensor:
        x = self.input(0)
        chosen = self.xp.asarray(self.chosen(x.array, spread(self.output().detach(), x.shape, self.dims).array))
        count = wrap(self.xp.asarray(summed(self.xp, chosen, self.dims, self.keepdim)))
        return spread(grad / count, x.shape, self.dims) * wrap(chosen)

    def chosen(self, x: Any, result: Any) -> Any:
        """Which elements share the gradient: none if the result is nan, and so the gradient of all is nan."""
        return x == result


class Amin(Amax):
    """The smallest element over some dims (None: all). All that are as small share the gradient evenly."""

    def choose(self, x: Any) -> Any:
        return self.xp.min(x, axis=self.dims, keepdims=self.keepdim)


class Max(Amax):
    """The largest element of all, which may be nan: then those that are nan share the gradient evenly."""

    def chosen(self, x: Any, result: Any) -> Any:
        return (x == result) | (x != x)


class Min(Amin):
    """The smallest element of all, which may be nan: then those that are nan share the gradient evenly."""

    chosen = Max.chosen


def _extreme(name: str, operation: type[Amax], input: Tensor, dim: Any, keepdim: bool) -> Tensor:
    check_tensor(name, input)
    dims = reduced_dims(name, dim, input.ndim)
    _check_not_empty(name, input, dims)
    return operation(dims, keepdim).apply(input)


def _check_not_empty(name: str, input: Tensor, dims: tuple[int, ...] | None) -> None:
    if reduced_count(input.shape, dims) == 0:
        error = RuntimeError if dims is None else IndexError
        where = "" if dims is None else f" in dim {', '.join(map(str, dims))}"
        raise error(f"{name}: expected at least one element{where}, got shape {input.shape}")


def amax(input: Tensor, dim: int | Sequence[int] | None = (), keepdim: bool = False) -> Tensor:
    """The largest element over some dims or all of them; elements that are equally large share the gradient evenly.

    Args:
        input: any tensor.
        dim: the dims to go over; None or () for all.
        keepdim: keep those dims, with size 1.

    Raises:
        IndexError: if a dim is out of range, or there is no element to choose from; RuntimeError if a dim comes twice.

    >>> import minigrad
    >>> minigrad.amax(minigrad.tensor([[1, 5], [7, 3]]), 1)
    tensor([5, 7])
    """
    return _extreme("amax", Amax, input, dim, keepdim)


def amin(input: Tensor, dim: int | Sequence[int] | None = (), keepdim: bool = False) -> Tensor:
    """The smallest element over some dims or all of them; the arguments are as for ``amax``.

    >>> import minigrad
    >>> minigrad.amin(minigrad.tensor([[1, 5], [7, 3]]), 1)
    tensor([1, 3])
    """
    return _extreme("amin", Amin, input, dim, keepdim)


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the largest element along a dim, or in the flattened tensor; of the first where several are; int64.

    Args:
        input: any tensor.
        dim: the dim to go along; None for the flattened tensor.
        keepdim: keep the dims that are gone over, with size 1.

    Raises:
        IndexError: if the dim is out of range, or there is no element to choose from.

    >>> import minigrad
    >>> minigrad.argmax(minigrad.tensor([[1, 5], [7, 3]]), 1)
    tensor([1, 0])
    """
    return _index_of_extreme("argmax", input, dim, keepdim)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the smallest element; the arguments are as for ``argmax``.

    >>> import minigrad
    >>> minigrad.argmin(minigrad.tensor([[1, 5], [7, 3]]))
    tensor(0)
    """
    return _index_of_extreme("argmin", input, dim, keepdim)


def _index_of_extreme(name: str, input: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    check_tensor(name, input)
    if dim is not None:
        dim = as_dim(name, dim, input.ndim)
    dims = None if dim is None or not input.ndim else (dim,)
    if reduced_count(input.shape, dims) == 0:
        raise IndexError(f"{name}: expected at least one element to choose from, got shape {input.shape} and dim {dim}")
    xp = backend_of(input.array).xp
    find = xp.argmax if name == "argmax" else xp.argmin
    found = xp.asarray(find(input.array, axis=None if dims is None else dim))
    if keepdim:
        found = found.reshape(tuple(1 if dims is None or i == dim else n for i, n in enumerate(input.shape)))
    return wrap(found.astype("int64", copy=False))


def _max_or_min(name: str, input: Tensor, dim: Any, keepdim: bool) -> ValuesAndIndices:
    """The element that argmax or argmin finds along a dim; all the gradient is its own."""
    check_tensor(name, input)
    dim = as_dim(name, dim, input.ndim)
    _check_not_empty(name, input, (dim,) if input.ndim else None)
    indices = _index_of_extreme("arg" + name, input, dim, True)
    values = input.gather(dim, indices)
    if not keepdim and input.ndim:
        shape = (*input.shape[:dim], *input.shape[dim + 1 :])
        values, indices = reshaped(values, shape), reshaped(indices, shape)
    return ValuesAndIndices(values, indices)


def max(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False) -> Any:
    """The largest element: of the whole tensor, along a dim with its index, or of two tensors element by element.

    Args:
        input: any tensor.
        dim: None for the whole tensor, where equally large elements share the gradient; a dim to go along, where the
            element at the returned index gets it all; or another tensor, for ``maximum``.
        keepdim: keep the dim, with size 1.

    Returns:
        A tensor, or for a dim the named pair (values, indices).

    Raises:
        RuntimeError: if the whole tensor is empty; IndexError if the dim is out of range or has size 0.

    >>> import minigrad
    >>> x = minigrad.tensor([[1, 5], [7, 3]])
    >>> minigrad.max(x)
    tensor(7)
    >>> minigrad.max(x, 1).indices
    tensor([1, 0])
    """
    check_tensor("max", input)
    if isinstance(dim, Tensor):
        return input.maximum(dim)
    if dim is None:
        return _extreme("max", Max, input, None, keepdim)
    return _max_or_min("max", input, dim, keepdim)


def min(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False) -> Any:
    """The smallest element: of the whole tensor, along a dim with its index, or of two tensors; arguments as for ``max``.

    >>> import minigrad
    >>> minigrad.min(minigrad.tensor([[1, 5], [7, 3]]), 1).values
    tensor([1, 3])
    """
    check_tensor("min", input)
    if isinstance(dim, Tensor):
        return input.minimum(dim)
    if dim is None:
        return _extreme("min", Min, input, None, keepdim)
    return _max_or_min("min", input, dim, keepdim)
