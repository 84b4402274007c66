"""A pool of threads for the CPU's kernels: NumPy and BLAS let go of Python's lock while they compute.

A kernel cuts its work into parts that depend on the shapes alone, never on the number of threads, and writes each part's
result to a place of its own; so every number of threads gives the same bits. The thread that asks takes parts too, and takes
all of them if no helper comes in time, so nothing ever waits for a thread to start.

BLAS computes with one thread while a kernel runs, as the parts are threads already, and gets its own number back afterwards.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any

import numpy as np

from .blas_threads import one_blas_thread

Work = Callable[[int], None]


def usable_cpus() -> int:
    """How many CPUs this process may use: its affinity, and the quota of its control group where there is one."""
    try:
        number = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        number = os.cpu_count() or 1
    return max(1, min(number, _quota("/sys/fs/cgroup") or number))


def _quota(root: str) -> int:
    """The CPUs that a Linux control group allows, rounded up; 0 for no limit."""
    try:
        with open(f"{root}/cpu.max") as file:
            quota, period = file.read().split()
    except (OSError, ValueError):
        try:
            with open(f"{root}/cpu/cpu.cfs_quota_us") as first, open(f"{root}/cpu/cpu.cfs_period_us") as second:
                quota, period = first.read().strip(), second.read().strip()
        except OSError:
            return 0
    if quota in ("max", "-1"):
        return 0
    return -(-int(quota) // int(period))


class _Job:
    """Parts of one kernel call, taken by whoever comes."""

    def __init__(self, work: Work, parts: int):
        self.work = work
        self.parts = iter(range(parts))  # taking the next one is one step for Python, whichever thread takes it
        self.lock = threading.Lock()
        self.closed = False
        self.helping = 0
        self.done = threading.Lock()
        self.error: BaseException | None = None

    def take_parts(self) -> None:
        try:
            for part in self.parts:
                self.work(part)
        except BaseException as error:  # the thread that asked raises it
            self.error = error
            for _ in self.parts:
                pass

    def help(self) -> None:
        """In a helper: take parts, unless all have been taken and the asker has gone."""
        with self.lock:
            if self.closed:
                return
            self.helping += 1
        self.take_parts()
        with self.lock:
            self.helping -= 1
            if self.closed and not self.helping:
                self.done.release()

    def finish(self) -> None:
        """In the thread that asked: wait for the helpers that have parts, and pass an error on."""
        with self.lock:
            self.closed = True
            waiting = self.helping > 0
            if waiting:
                self.done.acquire()
        if waiting:
            self.done.acquire()  # the last helper releases it
        del self.work  # a helper may hold the job for a while yet, but nothing that the work is on
        if self.error is not None:
            raise self.error


class _Helper:
    """A thread that sleeps on a queue of its own until a job is put there.

    Woken threads tend to start on the CPU of the thread that woke them, and wait there until the scheduler moves one of the
    two, for longer than most jobs last: a step took 17 ms with two threads as with one, and 10 ms where they were kept apart.
    So a helper is told not to run on the CPU of whoever gives it a job.
    """

    def __init__(self) -> None:
        self.queue: SimpleQueue[tuple[_Job, Context]] = SimpleQueue()
        self.avoided = -1
        self.thread = threading.Thread(target=self._work, name="minigrad", daemon=True)
        self.thread.start()

    def _work(self) -> None:
        _here.inside = True
        while True:
            job, context = self.queue.get()
            context.run(job.help)
            del job, context  # what a kernel worked on is not kept alive by a sleeping thread

    def give(self, job: _Job, cpu: int) -> None:
        if cpu != self.avoided:
            self.avoided = cpu
            _keep_off(self.thread.native_id, cpu)
        self.queue.put((job, copy_context()))  # NumPy's errstate goes along


def _keep_off(thread: int | None, cpu: int) -> None:
    others = os.sched_getaffinity(0) - {cpu}
    if others and thread is not None:
        try:
            os.sched_setaffinity(thread, others)
        except OSError:  # not allowed here: then the scheduler decides
            return


def _find_getcpu() -> Callable[[], int]:
    """The C library's function that tells on which CPU its caller runs; one that always says -1 where there is none."""
    try:
        return ctypes.PyDLL(None).sched_getcpu
    except (AttributeError, OSError, TypeError):
        return lambda: -1


_getcpu = _find_getcpu() if hasattr(os, "sched_setaffinity") else lambda: -1


class _Pool:
    """The helpers; those that nobody uses are idle."""

    def __init__(self) -> None:
        self.started = 0
        self.idle: list[_Helper] = []
        self.lock = threading.Lock()

    def take(self, number: int, most: int) -> list[_Helper]:
        """Up to ``number`` idle helpers; new ones are started while there are fewer than ``most``."""
        with self.lock:
            found = [self.idle.pop() for _ in range(min(number, len(self.idle)))]
            while len(found) < number and self.started < most:
                self.started += 1
                found.append(_Helper())
        return found


class _Here(threading.local):
    """What belongs to one thread."""

    inside = False
    scratch = np.empty(0, np.uint8)


_here = _Here()
_pool = _Pool()
_number: int | None = None


def for_each(parts: int, work: Work) -> None:
    """Call ``work(i)`` for every ``i`` below ``parts``, on several threads; the first error is raised when all have stopped.

    The parts must not depend on each other, nor on which thread takes them. Called from within a part, it runs where it is.
    """
    with one_blas_thread:
        threads = get_num_threads()
        if parts < 2 or threads < 2 or _here.inside:
            for i in range(parts):
                work(i)
            return
        job = _Job(work, parts)
        helpers = _pool.take(min(threads, parts) - 1, threads - 1)
        cpu = _getcpu()
        for helper in helpers:
            helper.give(job, cpu)
        _here.inside = True
        try:
            job.take_parts()
        finally:
            _here.inside = False
            job.finish()
            _pool.idle.extend(helpers)


def scratch(*sizes: int, dtype: Any) -> list[np.ndarray]:
    """Flat arrays in memory that belongs to this thread, and that its next call overwrites: a part's intermediate values."""
    itemsize = np.dtype(dtype).itemsize
    steps = [-(-size * itemsize // 64) * 64 for size in sizes]
    if _here.scratch.nbytes < sum(steps):
        _here.scratch = np.empty(sum(steps), np.uint8)
    arrays = []
    start = 0
    for size, step in zip(sizes, steps):
        arrays.append(_here.scratch[start : start + size * itemsize].view(dtype))
        start += step
    return arrays


def _after_fork() -> None:
    """In the child, where no helper has survived, and where a lock may have been held by a thread that is no more."""
    global _pool
    _pool = _Pool()
    _here.inside = False
    one_blas_thread.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def set_num_threads(number: int) -> None:
    """Compute on the CPU with this many threads; results are the same, bit for bit, for every number.

    Threads are started when work for them first comes. The number of threads that BLAS uses in other code is left alone.

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
