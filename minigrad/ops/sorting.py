"""Order: sorted elements, the largest k, the median, the distinct ones. NaN counts as larger than all numbers."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..autograd.operation import wrap
from ..backends import backend_of
from .arguments import as_dim, as_integer, check_tensor
from .extreme_reduction import Max, ValuesAndIndices
from .shape import reshaped

__all__ = ["argsort", "median", "sort", "topk", "unique"]


def sort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> ValuesAndIndices:
    """The elements of a dim in ascending order, equal ones in the order they had.

    Args:
        input: any tensor.
        dim: the dim to sort along.
        descending: the largest first.
        stable: PyTorch's name for the order of equal elements, which here they keep in any case.

    Returns:
        The named pair (values, indices): ``values`` is ``input.gather(dim, indices)``.

    Raises:
        IndexError: if the dim is out of range.

    >>> import minigrad
    >>> minigrad.sort(minigrad.tensor([2, 3, 1])).indices
    tensor([2, 0, 1])
    """
    indices = _order("sort", input, dim, descending)
    return ValuesAndIndices(input.gather(dim, indices), indices)


def argsort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Tensor:
    """The indices that sort a dim; arguments and errors are those of ``sort``.

    >>> import minigrad
    >>> minigrad.argsort(minigrad.tensor([2, 3, 1]), descending=True)
    tensor([1, 0, 2])
    """
    return _order("argsort", input, dim, descending)


def _order(name: str, input: Tensor, dim: int, descending: bool) -> Tensor:
    check_tensor(name, input)
    dim = as_dim(name, dim, input.ndim)
    x = input.array
    xp = backend_of(x).xp
    if not x.ndim:
        return wrap(xp.zeros((), dtype="int64"))
    if descending:  # from the back, so that equal elements keep their order
        x = xp.flip(x, dim)
    order = xp.argsort(x, axis=dim, kind="stable")
    if descending:
        order = x.shape[dim] - 1 - xp.flip(order, dim)
    return wrap(order)


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True) -> ValuesAndIndices:
    """The k largest (or smallest) elements along a dim, the most extreme first.

    Args:
        input: any tensor.
        k: how many.
        dim: the dim to go along.
        largest: whether to take the largest, or the smallest.

    Returns:
        The named pair (values, indices).

    Raises:
        RuntimeError: if there are fewer than k elements; IndexError if the dim is out of range.

    >>> import minigrad
    >>> minigrad.topk(minigrad.tensor([2, 3, 1]), 2).values
    tensor([3, 2])
    """
    check_tensor("topk", input)
    dim, k = as_dim("topk", dim, input.ndim), as_integer("topk", "k", k)
    size = input.shape[dim] if input.ndim else 1
    if not 0 <= k <= size:
        raise RuntimeError(f"topk: expected k in [0, {size}] for dim {dim} of shape {input.shape}, got {k}")
    order = _order("topk", input, dim, largest)
    indices = wrap(order.array[(*[slice(None)] * dim, slice(k))]) if input.ndim else order
    return ValuesAndIndices(input.gather(dim, indices), indices)


class Median(Max):
    """The lower median of all elements; all that are equal to it share the gradient evenly."""

    def choose(self, x: Any) -> Any:
        flat = x.reshape(x.size)
        place = _median_index(self.xp, flat, 0)
        return flat[place].reshape(())


def _median_index(xp: Any, x: Any, dim: int) -> Any:
    """The index of the lower median along a dim, or of the first NaN; the dim has size 1."""
    middle = (x.shape[dim] - 1) // 2
    place = xp.argsort(x, axis=dim, kind="stable")[(*[slice(None)] * dim, slice(middle, middle + 1))]
    is_nan = xp.not_equal(x, x)
    return xp.where(xp.any(is_nan, axis=dim, keepdims=True), xp.expand_dims(xp.argmax(is_nan, axis=dim), dim), place)


def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element in sorted order; of two middle ones the lower. NaN if there is one.

    Args:
        input: any tensor.
        dim: the dim to go along; None for the whole tensor, where equal elements share the gradient evenly.
        keepdim: keep the dim, with size 1.

    Returns:
        A tensor, or for a dim the named pair (values, indices).

    Raises:
        RuntimeError: if the whole tensor is empty; IndexError if the dim is out of range or has size 0.

    >>> import minigrad
    >>> minigrad.median(minigrad.tensor([4, 1, 3, 2]))
    tensor(2)
    """
    check_tensor("median", input)
    if dim is None:
        if not input.array.size:
            raise RuntimeError(f"median: expected at least one element, got shape {input.shape}")
        return Median(None, False).apply(input)
    dim = as_dim("median", dim, input.ndim)
    if not input.ndim:
        return ValuesAndIndices(Median(None, False).apply(input), _order("median", input, dim, False))
    if not input.shape[dim]:
        raise IndexError(f"median: expected at least one element in dim {dim}, got shape {input.shape}")
    indices = wrap(_median_index(backend_of(input.array).xp, input.array, dim))
    values = input.gather(dim, indices)
    if not keepdim:
        shape = (*input.shape[:dim], *input.shape[dim + 1 :])
        values, indices = reshaped(values, shape), reshaped(indices, shape)
    return ValuesAndIndices(values, indices)


def unique(input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False) -> Any:
    """The distinct elements, sorted; all NaN count as one. No gradient flows through them.

    Args:
        input: any tensor.
        sorted: whether the order matters; if not, the elements are sorted all the same.
        return_inverse: return also, in the input's shape, where each element is among the distinct ones.
        return_counts: return also how often each of them comes.

    Returns:
        A tensor (N,), or a tuple of it and what was asked for.

    >>> import minigrad
    >>> minigrad.unique(minigrad.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    check_tensor("unique", input)
    xp = backend_of(input.array).xp
    found = xp.unique(input.array, return_inverse=return_inverse, return_counts=return_counts)
    if not (return_inverse or return_counts):
        return wrap(found)
    results = [wrap(array) for array in found]
    if return_inverse:
        results[1] = wrap(results[1].array.reshape(input.shape))
    return tuple(results)
