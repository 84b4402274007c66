"""A library in cuBLAS's place: the functions that cublas.py calls, by NumPy, with the C library's arguments and checks."""

import ctypes

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minigrad.dtypes import FLOATING

_NUMBERS = {"float32": 0, "float64": 1, "float16": 2, "bfloat16": 14}
_TYPES = {_NUMBERS[dtype.name]: dtype for dtype in FLOATING}
_COMPUTE = {68: np.float32, 70: np.float64, 77: np.float32}
_FAST_TF32 = 77
_INVALID_VALUE = 7


def rounded_to_tf32(x: np.ndarray) -> np.ndarray:
    """float32 with 10 bits of mantissa, rounded to nearest."""
    return ((x.astype(np.float32).view(np.uint32) + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)


class FakeCublas:
    """What ``ctypes.CDLL`` returns."""

    def cublasCreate_v2(self, handle):
        return 0

    def cublasDestroy_v2(self, handle):
        return 0

    def cublasSetStream_v2(self, handle, stream):
        return 0

    def cublasSetWorkspace_v2(self, handle, workspace, size):
        return 0 if workspace and size else _INVALID_VALUE

    def cublasGemmStridedBatchedEx(
        self, handle, turn_a, turn_b, m, n, k, alpha, a, type_a, lda, apart_a, b, type_b, ldb, apart_b, beta, c, type_c, ldc,
        apart_c, count, compute, algorithm,
    ):  # fmt: skip
        if lda < max(1, k if turn_a else m) or ldb < max(1, n if turn_b else k) or ldc < max(1, m):
            return _INVALID_VALUE
        wide = _COMPUTE[compute]
        left = _matrices(a, type_a, (count, m, k), turn_a, lda, apart_a).astype(wide)
        right = _matrices(b, type_b, (count, k, n), turn_b, ldb, apart_b).astype(wide)
        if compute == _FAST_TF32:
            left, right = rounded_to_tf32(left), rounded_to_tf32(right)
        out = _matrices(c, type_c, (count, m, n), 0, ldc, apart_c)
        product = alpha._obj.value * (left @ right)
        if beta._obj.value:  # otherwise cuBLAS does not read what is there
            product = product + beta._obj.value * out.astype(wide)
        out[...] = product
        return 0

    cublasGemmStridedBatchedEx_64 = cublasGemmStridedBatchedEx


def _matrices(pointer, kind, shape, turned, pitch, apart):
    """Matrices by columns, as cuBLAS sees memory; turned, by rows."""
    count, rows, columns = shape
    dtype = _TYPES[kind]
    within = (pitch, 1) if turned else (1, pitch)
    extent = (count - 1) * apart + (rows - 1) * within[0] + (columns - 1) * within[1] + 1
    memory = np.frombuffer((ctypes.c_char * (extent * dtype.itemsize)).from_address(pointer), dtype)
    return as_strided(memory, shape, tuple(step * dtype.itemsize for step in (apart, *within)), writeable=True)
