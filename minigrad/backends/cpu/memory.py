"""The memory that freed arrays leave behind: kept in the process, so that a training step does not fault its pages in anew.

A step frees and asks for the same arrays over and over. By default glibc gives large ones, and the top of its heap, back to
the system at once, and the next array pays for zeroed pages: half the time of an addition on 150 MB, a third of a small MLP's
step. Two of its settings keep them on the heap instead, a third lets all threads share one heap, so that what one has freed
serves another, and a fourth has it grow by what large pages are worth asking for (``pages.py``); other C libraries have no such
settings, and are left alone.

The other design was a free list of our own: arrays over memory with an owner object that gives it back when it is deleted. It
was as fast for large arrays, but costs 1.6 µs for each, helps only operations that are written for it, and hides from NumPy
who owns an array, which is what accumulating gradients without a copy goes by.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

from .pages import GROWTH, heap
from .threads import drop_scratch

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8  # of <malloc.h>
LIMIT = 2 << 30
"""How many bytes of freed memory stay, at most, at the top of the heap, unless ``set_cache_limit`` says otherwise."""


class _Usage(ctypes.Structure):
    """What ``mallinfo2`` returns."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    ]


def _libc() -> Any:
    """The C library if it is glibc."""
    try:
        library = ctypes.CDLL(None)
        library.mallinfo2.restype = _Usage
        library.mallopt, library.malloc_trim  # noqa: B018  # asked for: other libraries raise
    except (AttributeError, OSError, TypeError):
        return None
    library.malloc_trim.argtypes = [ctypes.c_size_t]
    return library


def keep_freed_memory() -> bool:
    """Keep arrays of every size on the heap, and the heap in the process.

    Returns:
        Whether the settings were made: not without glibc, and not where the environment sets them already.
    """
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return False
    library = _libc()
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, LIMIT - 1), (_ARENA_MAX, 1), (_TOP_PAD, GROWTH))
    if library is not None and all(library.mallopt(name, value) for name, value in settings):
        heap.ask_from_here(library)
        return True
    return False


def set_cache_limit(size: int) -> None:
    """Keep at most this many bytes of freed memory at the top of the heap; beyond it, they go back to the system.

    Args:
        size: bytes, from 0 (keep nothing) to 2**31 - 1.

    Raises:
        ValueError: if it is out of range; RuntimeError if the C library is not glibc, and has no such setting.

    >>> import minigrad.cpu
    >>> minigrad.cpu.set_cache_limit(1 << 30)
    """
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < 1 << 31:
        raise ValueError(f"set_cache_limit: expected a whole number of bytes from 0 to {2**31 - 1}, got {size!r}")
    if not _require("set_cache_limit").mallopt(_TRIM_THRESHOLD, size):
        raise RuntimeError(f"set_cache_limit: the C library refused {size} bytes")


def empty_cache() -> None:
    """Give all freed memory, and the scratch memory of all threads, back to the system.

    Raises:
        RuntimeError: if the C library is not glibc.

    >>> import minigrad.cpu
    >>> minigrad.cpu.empty_cache()
    """
    library = _require("empty_cache")
    drop_scratch()
    library.malloc_trim(0)
    heap.has_shrunk()


def memory_stats() -> dict[str, int]:
    """How much memory the process has from the system through the C library's heap, in bytes.

    Returns:
        ``reserved``: what it has; ``allocated``: what of it is in use, by anything in the process; ``cached``: the rest, freed
        and kept for the next arrays.

    Raises:
        RuntimeError: if the C library is not glibc (2.33 or newer).

    >>> import minigrad.cpu
    >>> stats = minigrad.cpu.memory_stats()
    >>> stats["reserved"] == stats["allocated"] + stats["cached"]
    True
    """
    usage = _require("memory_stats").mallinfo2()
    allocated, cached = usage.uordblks + usage.hblkhd, usage.fordblks
    return {"reserved": allocated + cached, "allocated": allocated, "cached": cached}


def _require(name: str) -> Any:
    library = _libc()
    if library is None:
        raise RuntimeError(f"{name}: expected the C library to be glibc 2.33 or newer, which is not so here")
    return library
