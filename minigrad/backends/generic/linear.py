"""Products of matrices, each of which should reach the device's BLAS in one call and without a copy."""

from __future__ import annotations

from math import prod
from typing import Any


class LinearKernels:
    """Matrix products."""

    xp: Any

    def matmul(self, a: Any, b: Any) -> Any:
        """The product of vectors, matrices or stacks of matrices, as ``xp.matmul`` defines it."""
        if a.ndim > 2 and b.ndim == 2 and a.flags.c_contiguous:  # (..., M, K) @ (K, N): one product instead of a stack
            product = self.xp.matmul(a.reshape(prod(a.shape[:-1]), a.shape[-1]), b)
            return product.reshape(*a.shape[:-1], b.shape[1])
        return self.xp.matmul(a, b)

    def linear(self, x: Any, weight: Any, bias: Any) -> Any:
        """``x @ weight.T + bias`` for x of shape (..., in), weight of shape (out, in), bias of shape (out) or None."""
        result = self.matmul(x, weight.T)
        if bias is not None:
            result += bias
        return result
