"""Large pages for the heap.

A processor keeps in mind where some 2000 pages lie. With 4 KB each that is less than many a layer's arrays, and to look another
one up takes long, in a virtual machine most of all. Linux gives pages of 2 MB for memory that a program asks it for before it
is touched. NumPy asks for arrays from 4 MB on, but most of a network's are smaller. So the heap grows by 64 MB at a time, and
where an array lies beyond what has been asked for, the heap is asked for up to its end.
"""

from __future__ import annotations

import ctypes
import math
import mmap
from typing import Any

GROWTH = 64 << 20
"""The bytes by which the heap grows: large pages begin at their multiples, so what is left on both sides has small ones."""
CHECKED = 1 << 20
"""The bytes of an array from which it is worth a microsecond to see whether the heap has shrunk since."""


class _Heap:
    """The C library's heap: a stretch of addresses, whose end ``sbrk`` tells."""

    def __init__(self) -> None:
        self.asked_for: float = math.inf
        """Up to which address large pages have been asked for; where there are none, no array lies beyond it."""
        self._library: Any = None

    def ask_from_here(self, library: Any) -> None:
        """From the present end on, ask for large pages by the functions of the C library, if it has them."""
        if hasattr(library, "sbrk") and hasattr(library, "madvise") and hasattr(mmap, "MADV_HUGEPAGE"):
            library.sbrk.restype, library.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_ssize_t]
            library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
            self._library = library
            self.asked_for = self._end()

    def ask(self, address: int) -> None:
        """Ask for large pages up to the end, for the sake of an array that is there; whether there are any makes no difference.

        Where the heap ends before what was asked for, it has shrunk, and grown again for the array.
        """
        if self._library is None:
            return
        end = self._end()
        start = self.asked_for if end >= self.asked_for else address & -mmap.PAGESIZE
        if end > start:
            self._library.madvise(start, end - start, mmap.MADV_HUGEPAGE)
        self.asked_for = end

    def has_shrunk(self) -> None:
        """What has been given back to the system is to be asked for again when it is taken again."""
        if self._library is not None:
            self.asked_for = min(self.asked_for, self._end())

    def _end(self) -> int:
        return self._library.sbrk(0) & -mmap.PAGESIZE


heap = _Heap()
