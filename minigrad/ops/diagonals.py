"""Diagonals as views, matrices made of them, and the triangles on either side."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..autograd.operation import Operation
from .arguments import as_dim, as_integer, check_tensor
from .reduction import sum as sum_of
from .slicing import Placed

__all__ = ["diag", "diag_embed", "diagonal", "trace", "tril", "triu"]


class Diagonal(Operation):
    """A view of the diagonals of two dims, as a new last dim."""

    is_view = True

    def __init__(self, offset: int, dim1: int, dim2: int):
        self.offset = offset
        self.dims = dim1, dim2

    def forward(self, x: Any) -> Any:
        self.source = x.shape
        rows, columns = self.dims
        skipped = [slice(None)] * x.ndim
        if self.offset:
            skipped[columns if self.offset > 0 else rows] = slice(abs(self.offset), None)
        corner = x[tuple(skipped)]
        others = [i for i in range(x.ndim) if i not in self.dims]
        shape = (*(corner.shape[i] for i in others), min(corner.shape[rows], corner.shape[columns]))
        strides = (*(corner.strides[i] for i in others), corner.strides[rows] + corner.strides[columns])
        return self.backend.as_strided(corner, shape, strides)

    def backward(self, grad: Tensor) -> Tensor:
        return Placed(Diagonal(self.offset, *self.dims), self.source).apply(grad)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of the diagonals of two dims, as a new last dim.

    Args:
        input: a tensor with at least two dims.
        offset: how far above the main diagonal (below, if negative).
        dim1: the rows' dim.
        dim2: the columns' dim.

    Raises:
        RuntimeError: if the dims are one and the same; IndexError if one is out of range.

    >>> import minigrad
    >>> minigrad.diagonal(minigrad.arange(9).reshape(3, 3), 1)
    tensor([1, 5])
    """
    check_tensor("diagonal", input)
    rows, columns = as_dim("diagonal", dim1, input.ndim), as_dim("diagonal", dim2, input.ndim)
    if rows == columns:
        raise RuntimeError(f"diagonal: expected two different dims, got {dim1} and {dim2} of shape {input.shape}")
    return Diagonal(as_integer("diagonal", "offset", offset), rows, columns).apply(input)


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Square matrices of zeros with the input's last dim on a diagonal: the adjoint of ``diagonal``.

    Args:
        input: a tensor with at least one dim, (..., N).
        offset: how far above the main diagonal (below, if negative).
        dim1: the rows' dim in the result.
        dim2: the columns' dim in the result.

    Returns:
        A tensor with one dim more; the two dims have size ``N + abs(offset)``.

    Raises:
        RuntimeError: if the dims are one and the same, or the input has none; IndexError if one is out of range.

    >>> import minigrad
    >>> minigrad.diag_embed(minigrad.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    check_tensor("diag_embed", input)
    if not input.ndim:
        raise RuntimeError("diag_embed: expected at least one dim, got a 0-d tensor")
    ndim = input.ndim + 1
    rows, columns = as_dim("diag_embed", dim1, ndim), as_dim("diag_embed", dim2, ndim)
    if rows == columns:
        raise RuntimeError(f"diag_embed: expected two different dims, got {dim1} and {dim2}")
    offset = as_integer("diag_embed", "offset", offset)
    side = input.shape[-1] + abs(offset)
    others = iter(input.shape[:-1])
    shape = tuple(side if i in (rows, columns) else next(others) for i in range(ndim))
    return Placed(Diagonal(offset, rows, columns), shape).apply(input)


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A copy of a matrix's diagonal, or the matrix with a vector on its diagonal.

    Args:
        input: a vector or a matrix.
        diagonal: how far above the main diagonal (below, if negative).

    Raises:
        RuntimeError: if the input is neither.

    >>> import minigrad
    >>> minigrad.diag(minigrad.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    check_tensor("diag", input)
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim != 2:
        raise RuntimeError(f"diag: expected a vector or a matrix, got shape {input.shape}")
    return Diagonal(as_integer("diag", "diagonal", diagonal), 0, 1).apply(input).clone()


def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal.

    Raises:
        RuntimeError: if the input is no matrix.

    >>> import minigrad
    >>> minigrad.trace(minigrad.tensor([[1, 2], [3, 4]]))
    tensor(5)
    """
    check_tensor("trace", input)
    if input.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, got shape {input.shape}")
    return sum_of(Diagonal(0, 0, 1).apply(input))


class Tril(Operation):
    """A copy with zeros above a diagonal of the last two dims."""

    def __init__(self, diagonal: int):
        self.diagonal = diagonal

    def forward(self, x: Any) -> Any:
        return self.xp.tril(x, self.diagonal)

    def backward(self, grad: Tensor) -> Tensor:
        return type(self)(self.diagonal).apply(grad)


class Triu(Tril):
    """A copy with zeros below a diagonal of the last two dims."""

    def forward(self, x: Any) -> Any:
        return self.xp.triu(x, self.diagonal)


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of matrices, with zeros above.

    Args:
        input: a tensor (..., rows, columns).
        diagonal: the highest diagonal that is kept; 0 is the main one.

    Raises:
        RuntimeError: if the input has fewer than two dims.

    >>> import minigrad
    >>> minigrad.tril(minigrad.ones(2, 3))
    tensor([[1., 0., 0.],
            [1., 1., 0.]])
    """
    return _triangle("tril", Tril, input, diagonal)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of matrices, with zeros below; the arguments are as for ``tril``, ``diagonal`` is the lowest kept.

    >>> import minigrad
    >>> minigrad.triu(minigrad.ones(2, 3), 1)
    tensor([[0., 1., 1.],
            [0., 0., 1.]])
    """
    return _triangle("triu", Triu, input, diagonal)


def _triangle(name: str, operation: type[Tril], input: Tensor, diagonal: int) -> Tensor:
    check_tensor(name, input)
    if input.ndim < 2:
        raise RuntimeError(f"{name}: expected at least two dims, got shape {input.shape}")
    return operation(as_integer(name, "diagonal", diagonal)).apply(input)
