"""Writing along one dim, at places that a tensor of indices names."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..autograd.inplace import write
from ..autograd.modes import modes
from ..autograd.operation import Operation
from ..dtypes import as_number
from .arguments import check_tensor, fitting_number
from .arithmetic import scaled
from .autocasting import in_widest
from .gathering import Gather, one_dim, per_element
from .indexing import Index, Indexed, IndexPut
from .selection import filling

__all__ = ["index_add", "index_fill", "scatter", "scatter_add"]


# --- one index for a whole slice ---------------------------------------------------------------------------------------


class IndexAdd(Indexed):
    """A copy to which a source is added at an advanced index."""

    first = 2
    takes_out = True

    def forward(self, x: Any, source: Any, *index: Any, out: Any = None) -> Any:  # type: ignore[override]
        result = self.xp.array(x, copy=True) if out is None else out
        self.backend.index_add(result, self.keep_index(index), source)
        return result

    def backward(self, grad: Tensor) -> tuple[Tensor | None, ...]:
        source = Index().apply(grad, *self.index()) if self.needs(1) else None
        return grad, source, *(None,) * self.count


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """A copy with ``alpha * source`` added at the slices of one dim that ``index`` names; equal indices add up.

    Args:
        input: any tensor.
        dim: the dim along which ``index`` counts.
        index: integers of shape (n), from 0 to the dim's size (exclusive).
        source: of the input's dtype and shape, but with ``n`` at ``dim``.
        alpha: a factor for ``source``.

    Raises:
        IndexError: if an index is out of range (where the device lets the host see it without waiting); ValueError if a shape
            does not fit; TypeError if a dtype does not.

    >>> import minigrad
    >>> minigrad.index_add(minigrad.zeros(3), 0, minigrad.tensor([1, 1]), minigrad.tensor([1.0, 2.0]))
    tensor([0., 3., 0.])
    """
    dim, index, source = _addition("index_add", input, dim, index, source, alpha)
    return IndexAdd().apply(input, source, *(None,) * dim, index)


def index_add_(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """``index_add`` in place.

    >>> import minigrad
    >>> minigrad.zeros(3).index_add_(0, minigrad.tensor([1, 1]), minigrad.tensor([1.0, 2.0]))
    tensor([0., 3., 0.])
    """
    dim, index, source = _addition("index_add_", input, dim, index, source, alpha)
    return write(input, IndexAdd(), source, *(None,) * dim, index)


def _addition(name: str, input: Tensor, dim: Any, index: Any, source: Any, alpha: float) -> tuple[int, Tensor, Tensor]:
    """The checked arguments of index_add."""
    dim, index = one_dim(name, input, dim, index)
    _same_dtype(name, input, source)
    if input.ndim == 0:
        raise ValueError(f"{name}: expected at least one dim, got a 0-d tensor")
    wanted = (*input.shape[:dim], index.array.size, *input.shape[dim + 1 :])
    if source.shape != wanted:
        raise ValueError(f"{name}: expected a source of shape {wanted}, got {source.shape}")
    return dim, index, scaled(source, alpha)


def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy with one value at the slices of one dim that ``index`` names.

    Args:
        input: any tensor.
        dim: the dim along which ``index`` counts.
        index: integers of shape (n); negative ones count from the end.
        value: a number or a 0-d tensor.

    Raises:
        IndexError: if an index is out of range (where the device lets the host see it without waiting); TypeError if they are
            no integers, or the value no number.

    >>> import minigrad
    >>> minigrad.index_fill(minigrad.zeros(3), 0, minigrad.tensor([0, 2]), 5)
    tensor([5., 0., 5.])
    """
    dim, index, value = _filling("index_fill", input, dim, index, value)
    return IndexPut().apply(input, value, *(None,) * dim, index)


def index_fill_(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """``index_fill`` in place.

    >>> import minigrad
    >>> minigrad.zeros(3).index_fill_(0, minigrad.tensor([0, 2]), 5)
    tensor([5., 0., 5.])
    """
    dim, index, value = _filling("index_fill_", input, dim, index, value)
    return write(input, IndexPut(), value, *(None,) * dim, index)


def _filling(name: str, input: Tensor, dim: Any, index: Any, value: Any) -> tuple[int, Tensor, Any]:
    """The checked arguments of index_fill."""
    dim, index = one_dim(name, input, dim, index, from_end=True)
    if input.ndim == 0:
        raise ValueError(f"{name}: expected at least one dim, got a 0-d tensor")
    return dim, index, filling(name, value, input)


# --- an index for each element -----------------------------------------------------------------------------------------


class Scatter(Operation):
    """A copy with other values, a tensor's or one number, at the places that an index names along one dim."""

    takes_out = True

    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, x: Any, index: Any, source: Any, out: Any = None) -> Any:
        self.save_input(1)
        result = self.xp.array(x, copy=True) if out is None else out
        self.backend.scatter(result, self.dim, index, source)
        return result

    def backward(self, grad: Tensor) -> tuple[Tensor | None, ...]:
        index = self.input(1)
        rest = Scatter(self.dim).apply(grad, index, 0) if self.needs(0) else None
        return rest, None, Gather(self.dim).apply(grad, index) if self.needs(2) else None


def scatter(input: Tensor, dim: int, index: Tensor, src: Any) -> Tensor:
    """A copy with ``result[index[i][j]][j] = src[i][j]`` for dim 0 of two; the reverse of ``gather``.

    Args:
        input: any tensor.
        dim: the dim along which ``index`` counts.
        index: integers from 0 to the dim's size (exclusive), with as many dims as the input. It is no longer than the source
            in any dim, nor than the input in any but ``dim``. Where it names a place twice, either value may stay.
        src: a tensor of the input's dtype, or a number.

    Raises:
        IndexError: if an index is out of range (where the device lets the host see it without waiting); ValueError if a shape
            does not fit; TypeError if a dtype does not.

    >>> import minigrad
    >>> minigrad.scatter(minigrad.zeros(2, 3), 1, minigrad.tensor([[2], [0]]), 5)
    tensor([[0., 0., 5.],
            [5., 0., 0.]])
    """
    dim, index, src = _scattering("scatter", input, dim, index, src)
    return Scatter(dim).apply(input, index, src)


def scatter_(input: Tensor, dim: int, index: Tensor, src: Any) -> Tensor:
    """``scatter`` in place.

    >>> import minigrad
    >>> minigrad.zeros(3).scatter_(0, minigrad.tensor([1]), 5)
    tensor([0., 5., 0.])
    """
    dim, index, src = _scattering("scatter_", input, dim, index, src)
    return write(input, Scatter(dim), index, src)


class ScatterAdd(Operation):
    """A copy to which a source is added at the places that an index names along one dim."""

    takes_out = True

    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, x: Any, index: Any, source: Any, out: Any = None) -> Any:
        self.save_input(1)
        result = self.xp.array(x, copy=True) if out is None else out
        self.backend.scatter_add(result, self.dim, index, source)
        return result

    def backward(self, grad: Tensor) -> tuple[Tensor | None, ...]:
        return grad, None, Gather(self.dim).apply(grad, self.input(1)) if self.needs(2) else None


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """A copy with ``src[i][j]`` added to ``result[index[i][j]][j]`` for dim 0 of two; equal places add up.

    Args:
        input: any tensor.
        dim: the dim along which ``index`` counts.
        index: as for ``scatter``.
        src: a tensor of the input's dtype.

    Raises:
        IndexError: if an index is out of range (where the device lets the host see it without waiting); ValueError if a shape
            does not fit; TypeError if a dtype does not.

    >>> import minigrad
    >>> minigrad.scatter_add(minigrad.zeros(3), 0, minigrad.tensor([1, 1]), minigrad.tensor([1.0, 2.0]))
    tensor([0., 3., 0.])
    """
    if modes.autocast:
        input, src = in_widest(input, src)
    dim, index, src = _scattering("scatter_add", input, dim, index, src, numbers=False)
    return ScatterAdd(dim).apply(input, index, src)


def scatter_add_(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """``scatter_add`` in place.

    >>> import minigrad
    >>> minigrad.zeros(3).scatter_add_(0, minigrad.tensor([1, 1]), minigrad.tensor([1.0, 2.0]))
    tensor([0., 3., 0.])
    """
    dim, index, src = _scattering("scatter_add_", input, dim, index, src, numbers=False)
    return write(input, ScatterAdd(dim), index, src)


# --- what arguments must be --------------------------------------------------------------------------------------------


def _same_dtype(name: str, input: Tensor, source: Any) -> None:
    check_tensor(name, source)
    if source.dtype != input.dtype:
        raise TypeError(f"{name}: expected a source of the input's dtype {input.dtype}, got {source.dtype}")


def _scattering(name: str, input: Tensor, dim: Any, index: Any, source: Any, numbers: bool = True) -> tuple[int, Tensor, Any]:
    """The checked arguments of scatter and scatter_add, the source cut to the index's shape."""
    place, index = per_element(name, input, dim, index)
    number = as_number(source)
    if numbers and number is not None:
        return place, index, fitting_number(name, number, input.dtype)
    _same_dtype(name, input, source)
    if source.ndim != index.ndim or any(m > n for m, n in zip(index.shape, source.shape)):
        raise ValueError(
            f"{name}: expected an index no longer than the source in any dim, got {index.shape} and {source.shape}"
        )
    return place, index, source if source.shape == index.shape else source[tuple(map(slice, index.shape))]
