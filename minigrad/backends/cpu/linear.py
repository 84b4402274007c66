"""Products of matrices on the CPU, cut into parts for the threads."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ...dtypes import REDUCED
from ..generic.linear import LinearKernels
from .blas import PART, product
from .blas_threads import one_blas_thread
from .threads import for_each

TINY = 1 << 15
"""Multiplications below which BLAS takes one thread by itself."""


class CPULinearKernels(LinearKernels):
    """BLAS has no short floats: those products are computed in float32 and rounded once."""

    quiet: Any

    def matmul(self, a: Any, b: Any) -> Any:
        if a.dtype in REDUCED:
            with self.quiet():  # what is too large is inf
                return self.matmul(a.astype(np.float32), b.astype(np.float32)).astype(a.dtype)
        if a.size * b.shape[-1] < TINY or a.dtype.kind != "f":
            return np.matmul(a, b)
        if a.ndim > 2 and b.ndim == 2 and a.flags.c_contiguous:
            return self.matmul(a.reshape(prod(a.shape[:-1]), a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[1])
        if a.ndim == b.ndim == 2:
            return product(a, b, out=np.empty((a.shape[0], b.shape[1]), a.dtype))
        if a.ndim == b.ndim > 2 and a.shape[:-2] == b.shape[:-2]:
            return _stack_of_products(a, b)
        with one_blas_thread:
            return np.matmul(a, b)


def _stack_of_products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Products of matrices that are stacked in as many dims on both sides."""
    result = np.empty((*a.shape[:-1], b.shape[-1]), a.dtype)
    together = max(1, PART * len(a) // max(1, a.size * b.shape[-1]))

    def part(i: int) -> None:
        here = slice(i * together, (i + 1) * together)
        np.matmul(a[here], b[here], out=result[here])

    for_each(-(-len(a) // together), part)
    return result
