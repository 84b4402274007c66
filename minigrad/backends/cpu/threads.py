"""Threads for the CPU's kernels: NumPy and BLAS let go of Python's lock while they compute.

A kernel cuts its work into parts that depend on the shapes alone, never on the number of threads, and writes each part's
result to a place of its own; so every number of threads gives the same bits (``for_each``). Parts are short, though, and each
time they are dealt out threads wait for each other. A kernel whose result nobody needs at once, as the gradient by a weight,
does better as a whole in another thread (``later``).

BLAS computes with one thread while a kernel runs, as the parts are threads already, and gets its own number back afterwards.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from .blas_threads import one_blas_thread
from .cpus import usable_cpus
from .pages import CHECKED, heap
from .pool import Job, Pool, Task, Work, forget_part, is_in_part


class _Scratch:
    """Memory of one thread for a part's intermediate values: as much as the largest part so far has needed."""

    memory = np.empty(0, np.uint8)


class _Here(threading.local):
    """What belongs to one thread."""

    def __init__(self) -> None:
        self.scratch = _Scratch()
        _scratches.add(self.scratch)


_scratches: weakref.WeakSet[_Scratch] = weakref.WeakSet()
_here = _Here()
_pool = Pool()
_number: int | None = None

SLICES = 8
"""Into how many sums the parts of a gradient are dealt out, each added up by one thread."""
ALIGNED = 1 << 14
"""The bytes from which an array had better begin with a cache line."""
LEAST = 10_000_000
"""The multiplications from which a kernel is worth another thread as a whole."""
MOST = 1 << 25
"""The bytes, arguments and result, above which it is computed at once: they would be in memory longer than needed."""


def for_each(parts: int, work: Work, blas: bool = True) -> None:
    """Call ``work(i)`` for every ``i`` below ``parts``, on several threads; the first error is raised when all have stopped.

    The parts must not depend on each other, nor on which thread takes them. Called from within a part, it runs where it is.

    Args:
        blas: whether parts may call BLAS, which then computes with one thread.
    """
    if blas:
        with one_blas_thread:
            for_each(parts, work, False)
        return
    threads = get_num_threads()
    if parts < 2 or threads < 2 or is_in_part():
        for i in range(parts):
            work(i)
    else:
        _pool.share(Job(work, parts), min(threads, parts) - 1, threads - 1)


def even(number: int, most: int) -> int:
    """How many of a number of things make a part: at most so many, and so that parts are alike, and if possible even in number.

    Two threads would take as long for three parts as for four.
    """
    if number <= most:
        return max(1, number)
    parts = -(-number // max(1, most))
    return -(-number // (parts + parts % 2))


def later(kernel: Callable[[], Any], multiplications: int, held: int) -> Callable[[], Any] | None:
    """Compute what the kernel returns while the caller goes on, in another thread if one is free.

    Args:
        kernel: the call.
        multiplications: how long it will take.
        held: the bytes of its arguments, which could be freed after it, and of its result.

    Returns:
        What returns the result, or raises the kernel's error; it computes the result if no thread has begun to. None where the
        kernel is small or holds much memory, or there is one thread only: then the caller had better call it.
    """
    threads = get_num_threads()
    if threads < 2 or multiplications < LEAST or held > MOST or is_in_part():
        return None
    task = Task(_with_one_blas_thread(kernel), _pool)
    _pool.submit(task, threads - 1)
    return task.result


def _with_one_blas_thread(kernel: Callable[[], Any]) -> Callable[[], Any]:
    def call() -> Any:
        with one_blas_thread:
            return kernel()

    return call


def sum_in_slices(parts: int, write: Callable[[int, np.ndarray], None], shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """The sum of what ``write(part, out)`` finds: in a fixed number of slices, each one thread's, which are added last."""
    slices = min(SLICES, parts)
    sums = np.empty((slices, *shape), dtype)

    def add_up(i: int) -> None:
        first, *others = range(i * parts // slices, (i + 1) * parts // slices)
        write(first, sums[i])
        term = np.empty(shape, dtype) if others else sums[i]
        for part in others:
            write(part, term)
            np.add(sums[i], term, out=sums[i])

    for_each(slices, add_up)
    return np.add.reduce(sums, axis=0)


def scratch(*sizes: int, dtype: Any) -> list[np.ndarray]:
    """Flat arrays in memory that belongs to this thread, and that its next call overwrites: a part's intermediate values."""
    itemsize = np.dtype(dtype).itemsize
    ends = list(itertools.accumulate(-(-size * itemsize // 64) * 64 for size in sizes))
    own = _here.scratch
    memory = own.memory
    if memory.nbytes < ends[-1]:
        memory = own.memory = aligned((ends[-1],), np.uint8)
    return [np.ndarray(size, dtype, memory, start) for size, start in zip(sizes, [0, *ends])]


def aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An empty array at the start of a cache line: vectors as wide as one, of AVX-512, cross a line at every load elsewhere.

    Large pages are asked for first (``pages.py``).
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < ALIGNED:
        return np.empty(shape, dtype)
    memory = np.empty(size + 63, np.uint8)
    address = memory.ctypes.data
    if size >= CHECKED or address + size > heap.asked_for:
        heap.ask(address)
    return np.ndarray(shape, dtype, memory, -address % 64)


def drop_scratch() -> None:
    """Free the scratch memory of all threads; parts that are running keep theirs until they end."""
    for scratch in list(_scratches):
        scratch.memory = _Scratch.memory


def _after_fork() -> None:
    """In the child, where no helper has survived, and where a lock may have been held by a thread that is no more."""
    global _pool
    _pool = Pool()
    forget_part()
    one_blas_thread.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def set_num_threads(number: int) -> None:
    """Compute on the CPU with this many threads; results are the same, bit for bit, for every number.

    Threads are started when work for them first comes; without work they stay awake for a millisecond, and then sleep. The
    number of threads that BLAS uses in other code is left alone.

    Args:
        number: at least 1; unless it is set, the number of CPUs that the process may use.

    Raises:
        ValueError: if it is less than 1.

    >>> import minigrad
    >>> before = minigrad.get_num_threads()
    >>> minigrad.set_num_threads(1)
    >>> minigrad.get_num_threads()
    1
    >>> minigrad.set_num_threads(before)
    """
    global _number
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"set_num_threads: expected a whole number from 1 up, got {number!r}")
    _number = number


def get_num_threads() -> int:
    """With how many threads minigrad computes on the CPU.

    >>> import minigrad
    >>> minigrad.get_num_threads() >= 1
    True
    """
    global _number
    if _number is None:
        _number = usable_cpus()
    return _number
