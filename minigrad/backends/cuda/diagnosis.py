"""What CUDA has on this machine, asked step by step without raising: for ``python -m minigrad.doctor``."""

from __future__ import annotations

import ctypes
import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from . import PIP_LINES, compiler, pip_line
from .cublas import load_library


@dataclass
class Finding:
    """One line of the answer."""

    subject: str
    found: str
    advice: str = ""
    """What to do where something is missing."""


def examine() -> Iterator[Finding]:
    """Driver, CuPy, libraries, GPUs and our kernels, which come last; ends earlier where the rest needs what is missing."""
    driver = driver_version()
    install = pip_line(min(driver // 1000, 13)) if driver >= 12000 else PIP_LINES
    if driver:
        yield Finding("driver", f"for CUDA up to {_dotted(driver)}")
    else:
        yield Finding("driver", "not found", "CUDA needs an NVIDIA GPU and its driver; nvidia-smi then lists the GPU")
    try:
        cupy: Any = importlib.import_module("cupy")
    except Exception as error:  # a broken installation raises more than ImportError
        missing = isinstance(error, ModuleNotFoundError) and error.name == "cupy"
        yield Finding("CuPy", "not installed" if missing else f"cannot be imported: {_first_line(error)}", install)
        return
    yield Finding("CuPy", f"{cupy.__version__}, made for CUDA {_dotted(cupy.cuda.runtime.runtimeGetVersion())}")
    libraries = pip_line(cupy.cuda.runtime.runtimeGetVersion() // 1000)
    yield _asked("NVRTC", lambda: ".".join(map(str, cupy.cuda.nvrtc.getVersion())), libraries)
    yield _asked("cuBLAS", _cublas_version, libraries)
    if not cupy.cuda.is_available():
        yield Finding(
            "GPU", "none that CuPy can use", f"check that nvidia-smi lists one, and that CuPy fits the driver; {install}"
        )
        return
    for index in range(cupy.cuda.runtime.getDeviceCount()):
        properties = cupy.cuda.runtime.getDeviceProperties(index)
        name, memory = properties["name"].decode(), properties["totalGlobalMem"] / 2**30
        capability = f"{properties['major']}.{properties['minor']}"
        yield Finding(f"cuda:{index}", f"{name}, {memory:.1f} GiB, compute capability {capability}")
    yield _asked("kernels", lambda: _compiled(cupy), libraries)


def driver_version() -> int:
    """The newest CUDA that the driver supports, such as 13000; 0 where there is no driver."""
    try:
        library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        version = ctypes.c_int()
        return version.value if library.cuDriverGetVersion(ctypes.byref(version)) == 0 else 0
    except (OSError, AttributeError):
        return 0


def _asked(subject: str, question: Callable[[], str], advice: str) -> Finding:
    try:
        return Finding(subject, question())
    except Exception as error:
        return Finding(subject, f"fails: {_first_line(error)}", advice)


def _cublas_version() -> str:
    library = load_library()
    parts = []
    for part in range(3):  # MAJOR_VERSION, MINOR_VERSION, PATCH_LEVEL of libraryPropertyType
        value = ctypes.c_int()
        library.cublasGetProperty(part, ctypes.byref(value))
        parts.append(str(value.value))
    return ".".join(parts)


def _compiled(cupy: Any) -> str:
    """Compile all of our kernels for the current GPU, or load them from CuPy's cache."""
    texts = [(family, dtype) for family, dtype in compiler.texts() if compiler.is_usable(family, cupy)]
    for family, dtype in texts:
        try:
            cupy.RawModule(code=compiler.source(family, dtype), options=compiler.options(family)).compile()
        except Exception as error:
            raise RuntimeError(f"{family}.cu for {dtype}: {error}") from error
    return f"{len(texts)} texts compile"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _dotted(version: int) -> str:
    """``13.0`` for 13000."""
    return f"{version // 1000}.{version % 1000 // 10}"
