"""How much of the GPU's memory is in use: none where there is no GPU, as in PyTorch."""

from __future__ import annotations

from typing import Any

from ..backends import backend_for
from ..backends.cuda import is_available, memory
from .devices import gpu_of

__all__ = [
    "empty_cache",
    "max_memory_allocated",
    "memory_allocated",
    "memory_reserved",
    "reset_peak_memory_stats",
]


def memory_allocated(device: Any = None) -> int:
    """The bytes of all arrays on the GPU; each counts in units of 512.

    Args:
        device: the current GPU; here and below, as one GPU is used at a time, no other one will do.

    Raises:
        ValueError: if there is a GPU, and the device is none.
    """
    return memory.used(_cupy("memory_allocated", device)) if is_available() else 0


def memory_reserved(device: Any = None) -> int:
    """The bytes that are held of the GPU's memory, for arrays that are there or to come."""
    return memory.reserved(_cupy("memory_reserved", device)) if is_available() else 0


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that this thread's arrays took up since ``reset_peak_memory_stats``.

    The first call of either begins to count; from then on, every allocation costs the host a few microseconds more.
    """
    return memory.peak(_cupy("max_memory_allocated", device)) if is_available() else 0


def reset_peak_memory_stats(device: Any = None) -> None:
    """Begin to look for the peak anew, from what is in use now.

    Raises:
        RuntimeError: if there is no GPU, with the pip line.
    """
    memory.start_peak(_cupy("reset_peak_memory_stats", device))


def empty_cache() -> None:
    """Give memory back to the GPU in which no array lies."""
    if is_available():
        memory.release_free(_cupy("empty_cache", None))


def _cupy(name: str, device: Any) -> Any:
    backend: Any = backend_for(gpu_of(name, device))[0]
    return backend.cupy
