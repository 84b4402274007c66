"""How much of the GPU's memory is in use."""

from __future__ import annotations

from typing import Any

from ..backends import backend_for
from ..backends.cuda import memory

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
        RuntimeError: if there is none, with the pip line.
    """
    return memory.used(_cupy(device))


def memory_reserved(device: Any = None) -> int:
    """The bytes that are held of the GPU's memory, for arrays that are there or to come."""
    return memory.reserved(_cupy(device))


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that this thread's arrays took up since ``reset_peak_memory_stats``.

    The first call of either begins to count; from then on, every allocation costs the host a few microseconds more.
    """
    return memory.peak(_cupy(device))


def reset_peak_memory_stats(device: Any = None) -> None:
    """Begin to look for the peak anew, from what is in use now."""
    memory.start_peak(_cupy(device))


def empty_cache() -> None:
    """Give memory back to the GPU in which no array lies."""
    memory.release_free(_cupy(None))


def _cupy(device: Any) -> Any:
    backend: Any = backend_for("cuda" if device is None else device)[0]
    return backend.cupy
