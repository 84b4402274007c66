"""Matrix products on CUDA: vectors, matrices and stacks, each one call of cuBLAS where their memory allows it."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..generic.linear import LinearKernels
from .compiler import TYPES, Kernels
from .cublas import Cublas, is_matrix
from .layout import is_aligned, line, pack
from .precision import uses_tf32


class CUDALinearKernels(LinearKernels):
    """Floats by cuBLAS; integers by CuPy."""

    xp: Any
    kernels: Kernels
    cublas: Cublas

    def matmul(self, a: Any, b: Any) -> Any:
        if a.dtype not in TYPES or a.dtype != b.dtype:
            return super().matmul(a, b)
        if a.ndim == 1 or b.ndim == 1:
            rows = a[None, :] if a.ndim == 1 else a
            columns = b[:, None] if b.ndim == 1 else b
            product = self.matmul(rows, columns)
            shape = (
                *product.shape[:-2],
                *(product.shape[-2:-1] if a.ndim > 1 else ()),
                *(product.shape[-1:] if b.ndim > 1 else ()),
            )
            return product.reshape(shape)
        if a.shape[-1] != b.shape[-2]:
            return super().matmul(a, b)  # its error
        if a.ndim > 2 and b.ndim == 2 and a.flags.c_contiguous:  # (..., M, K) @ (K, N): one product instead of a stack
            product = self.product(a.reshape(prod(a.shape[:-1]), a.shape[-1]), b)
            return product.reshape(*a.shape[:-1], b.shape[1])
        return self.product(a, b) if a.ndim == b.ndim == 2 else self._stacked(a, b)

    def linear(self, x: Any, weight: Any, bias: Any) -> Any:
        result = self.matmul(x, weight.T)
        if bias is not None:
            self.add_to_rows(result, bias)
        return result

    def product(self, a: Any, b: Any, out: Any = None, accumulate: bool = False) -> Any:
        """``a @ b`` for two matrices, or two stacks of as many, in ``out`` if that is given, and added to it to accumulate."""
        if out is None:
            out = self.xp.empty((*a.shape[:-1], b.shape[-1]), dtype=a.dtype)
        a, b = (x if is_matrix(x) else self.xp.ascontiguousarray(x) for x in (a, b))
        self.cublas.multiply(a, b, out, uses_tf32(), accumulate)
        return out

    def add_to_rows(self, rows: Any, values: Any) -> None:
        """Add a value per column, as a bias, to contiguous memory that ends in so many columns."""
        if values.dtype != rows.dtype or rows.dtype not in TYPES or not values.flags.c_contiguous:
            rows += values
            return
        items = pack(rows)
        packed = values.size % items == 0 and is_aligned(rows, values)
        kernel = self.kernels("elementwise", "add_to_rows", rows.dtype)
        kernel(*line(rows.size, items), rows, values, np.int64(rows.size), np.int64(values.size), packed)

    def _stacked(self, a: Any, b: Any) -> Any:
        """Stacks of matrices whose leading axes broadcast."""
        shape = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, b = (self._as_stack(x, shape) for x in (a, b))
        return self.product(a, b).reshape(*shape, a.shape[-2], b.shape[-1])

    def _as_stack(self, x: Any, shape: tuple[int, ...]) -> Any:
        """(..., M, K) -> (count, M, K); a matrix that is the same in all places is not copied."""
        count, matrix = prod(shape), x.shape[-2:]
        if prod(x.shape[:-2]) == 1:
            return self.xp.broadcast_to(x.reshape(matrix), (count, *matrix))
        return self.xp.broadcast_to(x, (*shape, *matrix)).reshape(count, *matrix)
