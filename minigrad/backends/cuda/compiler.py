"""The kernels of our own: CUDA C++ text in ``kernels/*.cu``, compiled for an element type when it is first needed.

Every text is compiled for one element type, T, and the type that it is computed in, A, so that it needs no templates and its
kernels keep their names. These two and headers, ``kernels/*.cuh``, stand in front of it, in the text itself: CuPy keeps what it
has compiled on disk by the text, and would not see a change in an included file. CUDA's own header of a short float takes a
tenth of a second, and is included only where T is that float.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...dtypes import FLOATING, accumulated_in

KERNELS = Path(__file__).parent / "kernels"


class Type(NamedTuple):
    """What C++ knows of a dtype: its name, the type that sums of it are kept in, and how many bits its mantissa has."""

    element: str
    accumulator: str
    digits: int
    header: str = ""
    """CUDA's, which declares the element."""


_BY_NAME = {
    "float16": Type("__half", "float", 11, "cuda_fp16.h"),
    "bfloat16": Type("__nv_bfloat16", "float", 8, "cuda_bf16.h"),
    "float32": Type("float", "float", 24),
    "float64": Type("double", "double", 53),
}
_FLOATING = {dtype.name: dtype for dtype in FLOATING}

TYPES = {_FLOATING[name]: found for name, found in _BY_NAME.items() if name in _FLOATING}
"""The dtypes of our kernels: all floats that there are, bfloat16 where ml_dtypes is installed."""

DEFAULT_SHARED_MEMORY = 48 << 10
"""The bytes of shared memory that a block may have without asking."""

DTYPES = {
    "exact_gemm": ("float32",),
    "hopper_gemm": ("float16", "bfloat16", "float32"),
    "implicit_gemm": ("float16", "bfloat16", "float32"),
}
"""What texts are for that are not for all of TYPES."""

HEADERS = {
    "exact_gemm": ("windows.cuh", "tensor_cores.cuh", "implicit_gemm.cuh"),
    "hopper_gemm": ("windows.cuh",),
    "implicit_gemm": ("windows.cuh", "tensor_cores.cuh", "implicit_gemm.cuh"),
    "loss": ("rows.cuh",),
    "softmax": ("rows.cuh",),
}
"""What stands in front of a text behind ``numbers.cuh``."""

ARCHITECTURES = {"hopper_gemm": "sm_90a"}
"""What texts are compiled for that one architecture alone can run; all others are compiled for the current GPU."""

MOST_COUNTED = 1 << 30
"""The largest size that goes to a kernel as ``int``: half of what fits, since a loop over it ends a grid's step behind it."""

TOO_LARGE = (2 - 2.0**-24) * 2.0**127
"""The smallest number whose nearest float32 is inf."""

NVRTC = (12, 9)
"""The first run-time compiler that is known to ignore the -arch=sm_90 that CuPy adds to ours; that of CUDA 12.4 refuses two."""

OPTIONS = ("--std=c++17",)
"""The compiler's."""


def texts() -> list[tuple[str, np.dtype]]:
    """The names of all texts, with every dtype that they are for."""
    families = sorted(path.stem for path in KERNELS.glob("*.cu"))
    return [(family, dtype) for family in families for dtype in TYPES if dtype.name in DTYPES.get(family, (dtype.name,))]


def options(family: str) -> tuple[str, ...]:
    """The compiler's, for a text."""
    return (*OPTIONS, f"-arch={ARCHITECTURES[family]}") if family in ARCHITECTURES else OPTIONS


def is_usable(family: str, cupy: Any) -> bool:
    """Whether a text is for the current GPU, and can be compiled for it."""
    if family not in ARCHITECTURES:
        return True
    own = f"sm_{cupy.cuda.Device().compute_capability}a"
    return own == ARCHITECTURES[family] and cupy.cuda.nvrtc.getVersion() >= NVRTC


@cache
def source(family: str, dtype: np.dtype) -> str:
    """A text as it is compiled for an element type."""
    element, accumulator, digits, header = TYPES[dtype]
    include = f"#include <{header}>\n" if header else ""
    types = f"using T = {element};\nusing A = {accumulator};\nconstexpr int DIGITS = {digits};\n"
    files = ("numbers.cuh", *HEADERS.get(family, ()), f"{family}.cu")
    return include + types + "".join((KERNELS / file).read_text() for file in files)


class Kernels:
    """The compiled kernels of a process.

    Args:
        cupy: the module, which launches on the current stream, and compiles a text for each GPU that a kernel of it runs on.
    """

    def __init__(self, cupy: Any):
        self._cupy = cupy
        self._modules: dict[tuple[str, np.dtype], Any] = {}
        self._found: dict[tuple[str, str, Any], Kernel] = {}

    def __call__(self, family: str, name: str, dtype: Any) -> Kernel:
        """The kernel of that name in ``kernels/<family>.cu``, for arrays of a dtype."""
        asked = family, name, dtype
        kernel = self._found.get(asked)
        if kernel is None:
            dtype = np.dtype(dtype)
            if (family, dtype) not in self._modules:
                self._modules[family, dtype] = self._cupy.RawModule(code=source(family, dtype), options=options(family))
            kernel = self._found[asked] = Kernel(self._modules[family, dtype].get_function(name), accumulated_in(dtype).type)
        return kernel


def is_countable(*sizes: int) -> bool:
    """Whether kernels can count so many, of each, in an ``int``."""
    return max(sizes) <= MOST_COUNTED


@lru_cache(8192)
def _integer(value: int) -> np.int32:
    if not -MOST_COUNTED <= value <= MOST_COUNTED:
        raise OverflowError(f"CUDA: expected sizes of at most {MOST_COUNTED} (2³⁰) in an array of such a shape, got {value}")
    return np.int32(value)


def _float32(value: float) -> np.float32:
    """The nearest one; of what is too large, inf without NumPy's warning."""
    return np.float32(value if abs(value) < TOO_LARGE else value * inf)


class Kernel:
    """A function on the GPU: ``kernel(grid, block, *arguments)``.

    Arguments are arrays, None for a null pointer, Python's integers for ``int`` and its floats for ``A``; a NumPy scalar goes
    as what it is (``numpy.int64`` for ``long long``), an array of one NumPy structure as that structure.
    """

    __slots__ = ("_function", "_typed")

    def __init__(self, function: Any, accumulator: type):
        self._function = function
        self._typed: dict[type, Callable[[Any], Any]] = {
            int: _integer,
            bool: _integer,
            float: _float32 if accumulator is np.float32 else accumulator,
            type(None): lambda nothing: np.uint64(0),
        }

    def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], *arguments: Any, shared_memory: int = 0) -> None:
        if 0 in grid:
            return  # nothing to do, which CUDA calls an error
        if shared_memory > DEFAULT_SHARED_MEMORY and self._function.max_dynamic_shared_size_bytes < shared_memory:
            self._function.max_dynamic_shared_size_bytes = shared_memory
        typed = self._typed
        values = tuple([typed[type(x)](x) if type(x) in typed else x for x in arguments])
        self._function(grid, block, values, shared_mem=shared_memory)
