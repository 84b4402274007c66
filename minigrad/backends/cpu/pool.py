"""The pool of helper threads: who takes which part of a kernel, or a kernel as a whole.

The thread that asks for something takes parts too, and takes all of them if no helper comes in time, so nothing ever waits for
a thread to start. A helper without work takes whole kernels that are waiting (``Task``), and then parts of any kernel that is
running (``Job``); so does a thread that has to wait for a task.

A thread that has to wait sleeps, and the system takes 50 µs to wake it up, as long as many a part. In a free-threaded Python
it therefore stays awake for a while first (``AWAKE``); elsewhere it would hold the lock that those who compute need.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any

Work = Callable[[int], None]

WAITING = 2
"""How many tasks may wait: they hold memory. The thread that adds one more computes the oldest itself."""
AWAKE = 1e-3
"""The seconds that a waiting thread stays awake where Python has no lock."""

has_lock: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
"""Whether it has one now: in a free-threaded Python, the import of an extension that needs it brings it back."""


def _stay_awake_while(waiting: Callable[[], bool]) -> None:
    """Return when that is no longer so, or has been so for so long that the thread had better sleep."""
    if has_lock():
        return
    end = time.perf_counter() + AWAKE
    while waiting():
        if time.perf_counter() > end:
            return


class _Here(threading.local):
    inside = False
    """Whether this thread is in a part of a job."""


_here = _Here()


def is_in_part() -> bool:
    """Whether this thread is in a part of a job: then it deals out no parts itself."""
    return _here.inside


def forget_part() -> None:
    """This thread is in no part, as in a child process after a fork within one."""
    _here.inside = False


class Job:
    """Parts of one kernel call, taken by whoever comes."""

    def __init__(self, work: Work, parts: int):
        self.work = work
        self.parts = deque(range(parts))
        self.exhausted = False
        self.lock = threading.Lock()
        self.closed = False
        self.helping = 0
        self.done = threading.Lock()
        self.error: BaseException | None = None
        self.context = copy_context()  # NumPy's errstate goes along to helpers

    def take_parts(self) -> None:
        _here.inside = True
        try:
            for part in iter(self._next, None):
                self.work(part)
        except BaseException as error:  # the thread that asked raises it
            self.error = error
            self.parts.clear()  # nobody takes another one
        finally:
            _here.inside = False
            self.exhausted = True

    def _next(self) -> int | None:
        """The next part. A deque gives each away once even where threads hold no lock of Python's; an iterator does not."""
        try:
            return self.parts.popleft()
        except IndexError:
            return None

    def help(self) -> None:
        """In a thread that did not ask: take parts, unless all have been taken and the asker has gone."""
        with self.lock:
            if self.closed:
                return
            self.helping += 1
        self.context.copy().run(self.take_parts)
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
            _stay_awake_while(lambda: self.helping > 0)
            self.done.acquire()  # the last helper releases it
        del self.work  # a helper may hold the job for a while yet, but nothing that the work is on
        if self.error is not None:
            raise self.error


class Task:
    """A kernel call as a whole, whose result is asked for later."""

    def __init__(self, work: Callable[[], Any], pool: Pool):
        self.work: Callable[[], Any] | None = work
        self.context = copy_context()
        self.pool = pool
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        assert self.work is not None  # a task leaves the pool's list once
        try:
            self.value = self.context.run(self.work)
        except BaseException as error:  # the thread that asks for the result raises it
            self.error = error
        self.work = None
        self.pool.finished(self)

    def result(self) -> Any:
        """Wait for the result, or compute it here if nobody has begun."""
        if not self.done:
            self.pool.wait_for(self)
        if self.error is not None:
            raise self.error
        return self.value


class Pool:
    """The helpers, and what there is to do."""

    def __init__(self) -> None:
        self.started = 0
        self.lock = threading.Lock()
        self.idle: list[_Helper] = []
        self.tasks: deque[Task] = deque()
        self.open: list[Job] = []  # jobs that could do with more helpers
        self.bells: list[threading.Lock] = []  # of threads that wait for a task, or for something to do

    def share(self, job: Job, helpers: int, most: int) -> None:
        """Do a job with up to so many helpers, of whom ``most`` may be at work at a time."""
        found: list[_Helper] = []
        try:  # Ctrl-C comes at any time: the helpers must not be lost
            with self.lock:
                found = self._take(helpers, most)
                if len(found) < helpers:
                    self.open.append(job)
                    self._ring()
            for helper in found:
                helper.give(job.help)
            job.take_parts()
        finally:
            self._finish(job, found)

    def _finish(self, job: Job, helpers: list[_Helper]) -> None:
        try:
            job.finish()
        finally:
            with self.lock:
                if job in self.open:
                    self.open.remove(job)
                idle = not self.tasks
                if idle:
                    self.idle.extend(helpers)
            if not idle:
                for helper in helpers:
                    helper.give(helper.work_off)

    def submit(self, task: Task, most: int) -> None:
        """Have a task done by an idle helper, or by the next one that has nothing else to do."""
        with self.lock:
            oldest = self.tasks.popleft() if len(self.tasks) >= WAITING else None
            self.tasks.append(task)
            found = self._take(1, most)
        for helper in found:
            helper.give(helper.work_off)
        if oldest is not None:
            oldest.run()

    def wait_for(self, task: Task) -> None:
        """Return when a task is done; until then do what there is to do, the task itself first."""
        with self.lock:
            mine = task in self.tasks
            if mine:
                self.tasks.remove(task)
        if mine:
            task.run()
        while True:
            bell = threading.Lock()
            with self.lock:
                if task.done:
                    return
                work = self._next()
                if work is None:
                    bell.acquire()
                    self.bells.append(bell)
            if work is None:
                _stay_awake_while(bell.locked)
                bell.acquire()  # until it rings
            else:
                work()

    def work_off(self, helper: _Helper) -> None:
        """In a helper: do all that there is to do, then be idle."""
        while True:
            with self.lock:
                work = self._next()
                if work is None:
                    self.idle.append(helper)
                    return
            work()
            del work  # nothing that it is on

    def finished(self, task: Task) -> None:
        with self.lock:
            task.done = True
            self._ring()

    def _next(self) -> Callable[[], None] | None:
        if self.tasks:
            return self.tasks.popleft().run
        while self.open and self.open[-1].exhausted:
            self.open.pop()
        return self.open[-1].help if self.open else None

    def _ring(self) -> None:
        for bell in self.bells:
            bell.release()
        self.bells.clear()

    def _take(self, number: int, most: int) -> list[_Helper]:
        """So many idle or new helpers, but no more than ``most`` at work."""
        at_work = self.started - len(self.idle)
        found = []
        for _ in range(min(number, most - at_work)):
            if not self.idle:
                self.idle.append(_Helper(self))
                self.started += 1
            found.append(self.idle.pop())
        return found


class _Helper:
    """A thread that sleeps on a queue of its own until it is given work.

    Woken threads tend to start on the CPU of the thread that woke them, and wait there until the scheduler moves one of the
    two, for longer than most jobs last: a step took 17 ms with two threads as with one, and 10 ms where they were kept apart.
    So a helper is told not to run on the CPU of whoever gives it work.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.avoided = -1
        self.thread = threading.Thread(target=self._work, name="minigrad", daemon=True)
        self.thread.start()

    def _work(self) -> None:
        while True:
            _stay_awake_while(self.queue.empty)
            work = self.queue.get()
            work()
            del work  # what a kernel worked on is not kept alive by a sleeping thread

    def work_off(self) -> None:
        self.pool.work_off(self)

    def give(self, work: Callable[[], None]) -> None:
        cpu = _getcpu()
        if cpu != self.avoided:
            self.avoided = cpu
            _keep_off(self.thread.native_id, cpu)
        self.queue.put(work)


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
