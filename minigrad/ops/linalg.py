"""Products of vectors and matrices."""

from __future__ import annotations

from math import prod
from typing import Any

from .._tensor import Tensor
from ..autograd.modes import modes
from ..autograd.operation import Operation
from .arithmetic import scaled
from .autocasting import in_reduced, in_widest
from .broadcasting import sum_to
from .conversion import broadcasts_to

__all__ = ["addmm", "baddbmm", "bmm", "dot", "matmul", "mm", "mv", "outer"]


class Matmul(Operation):
    """The product of two vectors, matrices, or stacks of matrices that broadcast."""

    def forward(self, a: Any, b: Any) -> Any:
        self.shapes = a.shape, b.shape
        if self.needs(0):
            self.save_input(1)
        if self.needs(1):
            self.save_input(0)
        return self.backend.matmul(a, b)

    def backward(self, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a_shape, b_shape = self.shapes
        if len(a_shape) == 1:
            grad = grad.unsqueeze(-1 if len(b_shape) == 1 else -2)  # a was one row
        if len(b_shape) == 1:
            grad = grad.unsqueeze(-1)  # b was one column
        return (
            self._of_left(grad, a_shape, b_shape) if self.needs(0) else None,
            self._of_right(grad, a_shape, b_shape) if self.needs(1) else None,
        )

    def _of_left(self, grad: Tensor, a_shape: tuple[int, ...], b_shape: tuple[int, ...]) -> Tensor:
        b = self.input(1)
        result = matmul(grad, b.unsqueeze(0) if len(b_shape) == 1 else b.mT)
        return _as(result, a_shape if len(a_shape) > 1 else (1, *a_shape)).reshape(a_shape)

    def _of_right(self, grad: Tensor, a_shape: tuple[int, ...], b_shape: tuple[int, ...]) -> Tensor:
        a = self.input(0)
        if len(a_shape) > 2 and len(b_shape) <= 2:  # one product over all rows instead of the sum of a stack
            rows = prod(a_shape[:-1])
            return matmul(a.reshape(rows, a_shape[-1]).mT, grad.reshape(rows, grad.shape[-1])).reshape(b_shape)
        result = matmul(a.unsqueeze(1) if len(a_shape) == 1 else a.mT, grad)
        return _as(result, b_shape if len(b_shape) > 1 else (*b_shape, 1)).reshape(b_shape)


def _as(product: Tensor, shape: tuple[int, ...]) -> Tensor:
    return product if product.array.shape == shape else sum_to(product, shape)


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The product of two vectors, matrices, or stacks of matrices.

    Args:
        input: of shape (..., M, K), or a vector (K), which counts as one row.
        other: of shape (..., K, N), or a vector (K), which counts as one column. The dims in front broadcast.

    Returns:
        A tensor of shape (..., M, N), without the M or the N that a vector stood for.

    Raises:
        ValueError: if the shapes do not fit; TypeError if the dtypes differ.

    >>> import minigrad
    >>> minigrad.matmul(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]]), minigrad.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """
    if modes.autocast:
        input, other = in_reduced(input), in_reduced(other)
    if not (isinstance(input, Tensor) and isinstance(other, Tensor)):
        raise TypeError(f"matmul: expected two Tensors, got {type(input).__name__} and {type(other).__name__}")
    a, b = input.array, other.array
    if a.dtype != b.dtype:
        raise TypeError(f"matmul: expected tensors of one dtype, got {a.dtype} and {b.dtype}")
    if not (a.ndim and b.ndim) or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(f"matmul: expected shapes (..., M, K) and (..., K, N), got {a.shape} and {b.shape}")
    if a.ndim > 2 and b.ndim > 2:
        for m, n in zip(a.shape[-3::-1], b.shape[-3::-1]):
            if m != n and m != 1 and n != 1:
                raise ValueError(
                    f"matmul: expected shapes that broadcast but for the last two dims, got {a.shape} and {b.shape}"
                )
    return Matmul().apply(input, other)


def _product(name: str, a: Any, b: Any, a_ndim: int, b_ndim: int) -> Tensor:
    """``matmul`` of tensors with the right number of dims."""
    for tensor, ndim in ((a, a_ndim), (b, b_ndim)):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{name}: expected two Tensors, got {type(tensor).__name__}")
        if tensor.ndim != ndim:
            raise ValueError(f"{name}: expected tensors of {a_ndim} and {b_ndim} dims, got shapes {a.shape} and {b.shape}")
    if a.shape[-1] != b.shape[-2 if b_ndim > 1 else 0] or (a_ndim == 3 and a.shape[0] != b.shape[0]):
        raise ValueError(f"{name}: expected shapes that fit, got {a.shape} and {b.shape}")
    if a.dtype != b.dtype:
        raise TypeError(f"{name}: expected tensors of one dtype, got {a.dtype} and {b.dtype}")
    return Matmul().apply(a, b)


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices, (M, K) and (K, N).

    Raises:
        ValueError: if the shapes do not fit; TypeError if the dtypes differ.

    >>> import minigrad
    >>> minigrad.mm(minigrad.eye(2), minigrad.ones(2, 3)).shape
    (2, 3)
    """
    if modes.autocast:
        input, mat2 = in_reduced(input), in_reduced(mat2)
    return _product("mm", input, mat2, 2, 2)


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of two stacks of matrices, (B, M, K) and (B, K, N).

    Raises:
        ValueError: if the shapes do not fit; TypeError if the dtypes differ.

    >>> import minigrad
    >>> minigrad.bmm(minigrad.ones(5, 2, 4), minigrad.ones(5, 4, 3)).shape
    (5, 2, 3)
    """
    if modes.autocast:
        input, mat2 = in_reduced(input), in_reduced(mat2)
    return _product("bmm", input, mat2, 3, 3)


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix (M, K) and a vector (K).

    Raises:
        ValueError: if the shapes do not fit; TypeError if the dtypes differ.

    >>> import minigrad
    >>> minigrad.mv(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]]), minigrad.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """
    if modes.autocast:
        input, vec = in_reduced(input), in_reduced(vec)
    return _product("mv", input, vec, 2, 1)


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The sum of the products of two vectors' elements.

    Raises:
        ValueError: if they are no vectors of one length; TypeError if the dtypes differ.

    >>> import minigrad
    >>> minigrad.dot(minigrad.tensor([1.0, 2.0]), minigrad.tensor([3.0, 4.0]))
    tensor(11.)
    """
    if modes.autocast:
        input, tensor = in_widest(input, tensor)
    return _product("dot", input, tensor, 1, 1)


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """The products of each element of a vector (M) with each of another one (N): a matrix (M, N).

    Raises:
        ValueError: if they are no vectors.

    >>> import minigrad
    >>> minigrad.outer(minigrad.tensor([1, 2]), minigrad.tensor([10, 100]))
    tensor([[ 10, 100],
            [ 20, 200]])
    """
    for tensor in (input, vec2):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"outer: expected two Tensors, got {type(tensor).__name__}")
        if tensor.ndim != 1:
            raise ValueError(f"outer: expected two vectors, got shapes {input.shape} and {vec2.shape}")
    return input.unsqueeze(1) * vec2


def _added(name: str, input: Any, product: Tensor, beta: float, alpha: float) -> Tensor:
    """``beta * input + alpha * product``; with ``beta == 0`` nothing of the input counts, not even nan."""
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}: expected a Tensor to add, got {type(input).__name__}")
    if input.ndim > product.ndim or not broadcasts_to(input.shape, product.shape):
        raise ValueError(f"{name}: expected an input that broadcasts to {product.shape}, got {input.shape}")
    product = scaled(product, alpha)
    return product if beta == 0 else scaled(input, beta) + product


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """``beta * input + alpha * (mat1 @ mat2)``.

    Args:
        input: a tensor that broadcasts to (M, N).
        mat1: of shape (M, K).
        mat2: of shape (K, N).
        beta: a factor for ``input``, which is not looked at if it is 0.
        alpha: a factor for the product.

    Raises:
        ValueError: if the shapes do not fit; TypeError if the dtypes differ.

    >>> import minigrad
    >>> minigrad.addmm(minigrad.ones(3), minigrad.eye(3), minigrad.eye(3), beta=2)
    tensor([[3., 2., 2.],
            [2., 3., 2.],
            [2., 2., 3.]])
    """
    if modes.autocast:
        input, mat1, mat2 = in_reduced(input), in_reduced(mat1), in_reduced(mat2)
    return _added("addmm", input, _product("addmm", mat1, mat2, 2, 2), beta, alpha)


def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """``beta * input + alpha * (batch1 @ batch2)`` for stacks of matrices; the rest is as for ``addmm``.

    >>> import minigrad
    >>> minigrad.baddbmm(minigrad.zeros(1), minigrad.ones(5, 2, 4), minigrad.ones(5, 4, 3), alpha=0.5).mean()
    tensor(2.)
    """
    if modes.autocast:
        input, batch1, batch2 = in_reduced(input), in_reduced(batch1), in_reduced(batch2)
    return _added("baddbmm", input, _product("baddbmm", batch1, batch2, 3, 3), beta, alpha)
