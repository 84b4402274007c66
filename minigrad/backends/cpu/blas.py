"""Products of matrices: BLAS's gemm with all of its arguments, and products cut into parts for the threads.

``np.matmul`` overwrites its result. What sums several products, as convolution does, wants gemm's ``beta``, which adds to it:
SciPy carries pointers to BLAS for Cython, and called through ctypes they let go of Python's lock as ``matmul`` does.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from .threads import for_each, one_blas_thread

SMALL = 1_000_000
"""Multiplications up to which OpenBLAS has kernels that skip its packing: up to twice as fast where a matrix is narrow."""
PART = 1 << 22
"""Multiplications that are worth a thread's while."""
CACHED = 1 << 18
"""The numbers of a result that stay in a core's cache."""
SLICES = 8
"""Into how many products a long sum is cut."""


class Gemm:
    """``c = a @ b`` or ``c += a @ b`` for matrices of fixed shape in memory of fixed row length, given by their addresses.

    Args:
        m, n, k: c is (m, n), a is (m, k), b is (k, n).
        lda, ldb, ldc: elements from one row to the next, as they lie in memory.
        ta, tb: whether a lies in memory as (k, m), and b as (n, k).
    """

    def __init__(self, dtype: Any, m: int, n: int, k: int, lda: int, ldb: int, ldc: int, ta: bool = False, tb: bool = False):
        kind = np.dtype(dtype).char
        self.function = _function(kind)
        self.one, self.zero = (ctypes.addressof(number) for number in _NUMBERS[kind])
        self.sizes = (ctypes.c_int * 6)(n, m, k, ldb, lda, ldc)
        at = ctypes.addressof(self.sizes)
        self.at = [at + i * ctypes.sizeof(ctypes.c_int) for i in range(6)]
        self.ta, self.tb = (ctypes.addressof(_TRANSPOSED if t else _AS_IT_IS) for t in (ta, tb))

    def __call__(self, a: int, b: int, c: int, accumulate: bool) -> None:
        n, m, k, ldb, lda, ldc = self.at
        # BLAS counts columns first: to it, our matrices are transposed, and cᵀ = bᵀ aᵀ
        self.function(self.tb, self.ta, n, m, k, self.one, b, ldb, a, lda, self.one if accumulate else self.zero, c, ldc)


_AS_IT_IS, _TRANSPOSED = ctypes.create_string_buffer(b"N"), ctypes.create_string_buffer(b"T")
_NUMBERS: dict[str, Any] = {
    "f": (ctypes.c_float(1), ctypes.c_float(0)),
    "d": (ctypes.c_double(1), ctypes.c_double(0)),
}
_functions: dict[str, Any] = {}


def _function(kind: str) -> Any:
    """The gemm of a dtype: ``f`` or ``d``."""
    if kind not in _functions:
        from scipy.linalg import cython_blas

        one_blas_thread.look_again()
        capsule = cython_blas.__pyx_capi__[{"f": "sgemm", "d": "dgemm"}[kind]]
        name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
        pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
            ("PyCapsule_GetPointer", ctypes.pythonapi)
        )
        _functions[kind] = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(pointer(capsule, name(capsule)))
    return _functions[kind]


def address(array: np.ndarray) -> int:
    """Where the first element lies."""
    return array.__array_interface__["data"][0]


def product(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> np.ndarray:
    """``a @ b`` into ``out``, cut along its longer side; along the sum where that is far longer than both sides."""
    (m, k), n = a.shape, b.shape[1]
    if m * n * k < 2 * PART:
        with one_blas_thread:
            return np.matmul(a, b, out=out)
    if k >= 8 * max(m, n):
        return _sum_of_products(a, b, out)
    by_rows = m >= n
    step = _step(m, n, k) if by_rows else _step(n, m, k)

    def part(i: int) -> None:
        here = slice(i * step, (i + 1) * step)
        if by_rows:
            np.matmul(a[here], b, out=out[here])
        else:
            np.matmul(a, b[:, here], out=out[:, here])

    for_each(-(-max(m, n) // step), part)
    return out


def _step(long: int, short: int, k: int) -> int:
    """How much of the longer side makes a part: enough that packing the other matrix does not count.

    Where the sum is short, it is the result that must stay in the cache: BLAS clears it first, and adds to it then.
    """
    if k <= 64:
        return max(8, CACHED // short)
    parts = min(16, max(2, long // 192), max(2, long * short * k // PART))
    return -(-long // parts)


def _sum_of_products(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> np.ndarray:
    k = len(b)
    step = -(-k // SLICES)
    terms = np.empty((-(-k // step), *out.shape), out.dtype)

    def part(i: int) -> None:
        here = slice(i * step, (i + 1) * step)
        np.matmul(a[:, here], b[here], out=terms[i])

    for_each(len(terms), part)
    return np.add.reduce(terms, axis=0, out=out)
