"""Matrix products by cuBLAS, called through ctypes.

CuPy's own products copy transposed stacks, multiply float16 stacks in float32, have none for bfloat16 stacks, and refuse to be
recorded in a CUDA graph. cuBLAS does none of that: ``cublasGemmStridedBatchedEx`` takes any two strides of which one is 1, and
with a workspace of the caller's it can be recorded. Three designs were weighed: CuPy's products (the above), cuBLASLt (which
can add a bias at once, but wants a plan for every shape), and this one.
"""

from __future__ import annotations

import ctypes
import threading
from functools import cache, lru_cache
from typing import Any

from ...dtypes import FLOATING

WORKSPACE = 32 << 20
"""Bytes, as NVIDIA recommends for Hopper."""

_BY_NAME = {"float32": 0, "float64": 1, "float16": 2, "bfloat16": 14}  # cudaDataType_t
_DATA = {dtype: _BY_NAME[dtype.name] for dtype in FLOATING}
_COMPUTE_32F, _COMPUTE_32F_FAST_TF32, _COMPUTE_64F = 68, 77, 70  # cublasComputeType_t
_DEFAULT_ALGORITHM = -1
_MOST = (1 << 31) - 1
"""The largest size of a matrix that fits into an ``int``, which ctypes cuts to without a word."""
_FLOATS = tuple(ctypes.byref(ctypes.c_float(number)) for number in (0, 1))
_DOUBLES = tuple(ctypes.byref(ctypes.c_double(number)) for number in (0, 1))


@cache
def load_library() -> Any:
    """cuBLAS, of the version that CuPy was built for.

    Raises:
        RuntimeError: if it is not found.
    """
    from cuda.pathfinder import load_nvidia_dynamic_lib  # comes with CuPy

    library = ctypes.CDLL(load_nvidia_dynamic_lib("cublas").abs_path)
    pointer, integer, long = ctypes.c_void_p, ctypes.c_int, ctypes.c_longlong
    library.cublasCreate_v2.argtypes = [pointer]
    library.cublasDestroy_v2.argtypes = [pointer]
    library.cublasSetStream_v2.argtypes = [pointer, pointer]
    library.cublasSetWorkspace_v2.argtypes = [pointer, pointer, ctypes.c_size_t]
    for name, size in (("cublasGemmStridedBatchedEx", integer), ("cublasGemmStridedBatchedEx_64", long)):
        # Where matrices lie, their dtype, how far it is from row to row, and from one to the next.
        matrices: list[Any] = [pointer, integer, size, long]
        multiply: list[Any] = [pointer, integer, integer, size, size, size, pointer, *matrices, *matrices, pointer, *matrices]
        getattr(library, name).argtypes = [*multiply, size, integer, integer]
    return library


class Cublas(threading.local):
    """A handle for every thread, on the current GPU, and a workspace for every stream.

    Args:
        cupy: the module, for its streams and its memory.
    """

    def __init__(self, cupy: Any):
        self._cupy = cupy
        self._handles: dict[int, _Handle] = {}

    def handle(self) -> _Handle:
        """What multiplies on the current GPU and stream."""
        index = self._cupy.cuda.runtime.getDevice()
        handle = self._handles.get(index)
        if handle is None:
            handle = self._handles[index] = _Handle(self._cupy)
        handle.use(self._cupy.cuda.get_current_stream())
        return handle

    def workspace(self, stream: Any) -> Any:
        """What products on a stream write to: a graph that was recorded on it must keep it alive. None if there were none."""
        handle = self._handles.get(self._cupy.cuda.runtime.getDevice())
        return None if handle is None else handle.workspaces.get(stream.ptr)

    def multiply(self, a: Any, b: Any, out: Any, tf32: bool = False, accumulate: bool = False) -> None:
        """``out = a @ b`` for matrices (M, K) and (K, N), or stacks of as many of them; added to ``out`` to accumulate.

        Args:
            a: an array of any strides of which ``is_matrix`` is true; likewise ``b``.
            out: an array with rows whose numbers lie next to each other; of short floats it may be float32.
            tf32: whether float32 is rounded to 10 bits of mantissa first, for the tensor cores.
        """
        handle = self.handle()
        *stack, M, N = out.shape
        K = a.shape[-1]
        count = stack[0] if stack else 1
        if not (M and N and count):
            return
        if not K:
            if not accumulate:
                out[...] = 0
            return
        double = out.dtype.char == "d"
        compute = _COMPUTE_64F if double else _COMPUTE_32F_FAST_TF32 if tf32 else _COMPUTE_32F
        zero, one = _DOUBLES if double else _FLOATS
        (turn_a, pitch_a, apart_a), (turn_b, pitch_b, apart_b), (_, pitch, apart) = _place(a), _place(b), _place(out)
        is_large = max(M, N, K, count, pitch_a, pitch_b, pitch) > _MOST
        name = "cublasGemmStridedBatchedEx_64" if is_large else "cublasGemmStridedBatchedEx"
        # cuBLAS counts by columns: to it, our rows are columns, and out = a @ b reads outᵀ = bᵀ @ aᵀ.
        status = getattr(handle.library, name)(
            handle.pointer,
            turn_b,
            turn_a,
            N,
            M,
            K,
            one,
            b.data.ptr,
            _DATA[b.dtype],
            pitch_b,
            apart_b,
            a.data.ptr,
            _DATA[a.dtype],
            pitch_a,
            apart_a,
            one if accumulate else zero,
            out.data.ptr,
            _DATA[out.dtype],
            pitch,
            apart,
            count,
            compute,
            _DEFAULT_ALGORITHM,
        )
        _check(status, name, f"shapes {a.shape} and {b.shape}, strides {a.strides} and {b.strides}")


class _Handle:
    """cuBLAS's own handle."""

    def __init__(self, cupy: Any):
        self.pointer = ctypes.c_void_p()
        self.library = load_library()
        self._cupy = cupy
        self._stream: int | None = None
        self.workspaces: dict[int, Any] = {}
        _check(self.library.cublasCreate_v2(ctypes.byref(self.pointer)), "cublasCreate", "no memory, or no GPU")

    def __del__(self) -> None:
        if self.pointer:
            self.library.cublasDestroy_v2(self.pointer)

    def use(self, stream: Any) -> None:
        """Multiply on a stream from now on, in memory that belongs to it: two streams must not share a workspace."""
        if stream.ptr == self._stream:
            return
        workspace = self.workspaces.get(stream.ptr)
        if workspace is None:
            workspace = self.workspaces[stream.ptr] = self._cupy.empty(WORKSPACE, dtype="uint8")
        _check(self.library.cublasSetStream_v2(self.pointer, stream.ptr), "cublasSetStream", "")
        status = self.library.cublasSetWorkspace_v2(self.pointer, workspace.data.ptr, WORKSPACE)  # after the stream
        _check(status, "cublasSetWorkspace", "")
        self._stream = stream.ptr


def is_matrix(array: Any) -> bool:
    """Whether cuBLAS can read the last two axes as they lie: the numbers of a row, or of a column, next to each other."""
    return _lies(*array.shape[-2:], *array.strides[-2:], array.itemsize) is not None


@lru_cache(4096)
def _lies(rows: int, columns: int, down: int, along: int, itemsize: int) -> tuple[int, int] | None:
    """(0, elements from row to row), or (1, elements from column to column) if columns lie together; None if neither do."""
    if columns == 1 or along == itemsize:
        pitch = down // itemsize if rows > 1 else columns
        return (0, pitch) if pitch >= columns and (rows == 1 or down % itemsize == 0) else None
    if rows == 1 or down == itemsize:
        pitch = along // itemsize
        return (1, pitch) if pitch >= rows and along % itemsize == 0 else None
    return None


def _place(array: Any) -> tuple[int, int, int]:
    """How a matrix lies, and how many elements it is to the next one of a stack."""
    lies = _lies(*array.shape[-2:], *array.strides[-2:], array.itemsize)
    assert lies is not None
    return (*lies, array.strides[0] // array.itemsize if array.ndim == 3 else 0)


def _check(status: int, name: str, about: str) -> None:
    if status:
        raise RuntimeError(f"{name} failed with status {status} ({about})")
