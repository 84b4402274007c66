"""Memory of the GPU: how much of it is in use, the most there ever was, and pools that graphs have to themselves.

CuPy's pool counts what is in use, but remembers no peak. A memory hook can: it is called at every allocation and release of its
thread, which costs a few microseconds each, so it is set only when somebody first asks for a peak.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

_thread = threading.local()
_private: list[tuple[Any, Any, weakref.ref]] = []
"""Pools of graphs: the GPU that each is on, the pool, which answers for the current GPU only, and whose it is."""
_lock = threading.Lock()


def private_pool(cupy: Any, owner: Any) -> Any:
    """A new memory pool for what the owner does, which lives as long as the owner and all arrays in it.

    CuPy frees a pool's memory along with the pool, even memory that arrays still use: optimizer states are made in a graph's
    pool, and outlive the graph.
    """
    release_unused()
    pool = cupy.cuda.MemoryPool()
    with _lock:
        _private.append((cupy.cuda.Device(), pool, weakref.ref(owner)))
    weakref.finalize(owner, pool.free_all_blocks).atexit = False
    return pool


def release_unused() -> None:
    """Forget the pools whose owners are gone and in which nothing lies."""
    with _lock:
        _private[:] = [entry for entry in _private if entry[2]() is not None or _used_in(*entry[:2])]


def _used_in(device: Any, pool: Any) -> int:
    with device:
        return pool.used_bytes()


def used(cupy: Any) -> int:
    """The bytes of all arrays, in the pool's units of 512."""
    return cupy.get_default_memory_pool().used_bytes() + sum(pool.used_bytes() for _, pool, _ in list(_private))


def reserved(cupy: Any) -> int:
    """The bytes that the pools have of the GPU's memory, for arrays that are there or to come."""
    return cupy.get_default_memory_pool().total_bytes() + sum(pool.total_bytes() for _, pool, _ in list(_private))


def release_free(cupy: Any) -> None:
    """Give memory back in which no array lies; not a living graph's, which it computes in."""
    cupy.get_default_memory_pool().free_all_blocks()
    for device, pool, owner in list(_private):
        if owner() is None:
            with device:
                pool.free_all_blocks()
    release_unused()


def peak(cupy: Any) -> int:
    """The most bytes in use since ``start_peak``, or since somebody first asked for it in this thread."""
    if not hasattr(_thread, "meter"):
        start_peak(cupy)
    return _thread.meter.most


def start_peak(cupy: Any) -> None:
    """Begin to look for the peak anew."""
    if not hasattr(_thread, "meter"):
        _thread.meter = _meter(cupy)
        _thread.meter.__enter__()  # never left: the thread's allocations are counted from here on
    _thread.meter.now = _thread.meter.most = used(cupy)


def _meter(cupy: Any) -> Any:
    class Meter(cupy.cuda.MemoryHook):
        """Counts the bytes in use, and the most of them."""

        name = "minigrad.memory"
        now = most = 0

        def malloc_postprocess(self, **kwargs: Any) -> None:
            if kwargs["mem_ptr"]:
                self.now += kwargs["mem_size"]
                self.most = max(self.most, self.now)

        def free_postprocess(self, **kwargs: Any) -> None:
            self.now -= kwargs["mem_size"]

    return Meter()
