"""The pool of helper threads: who takes which part of a kernel, or a kernel as a whole.

The thread that asks for something takes parts too, and takes all of them if no helper comes in time, so nothing ever waits for
a thread to start. A helper without work takes whole kernels that are waiting (``Task``), and then parts of any kernel that is
running (``Job``); so does a thread that has to wait for a task.

A thread that has to wait stays awake for a while first (``bell.py``), as long as there are CPUs for all of them. Whoever has
done what it may be waiting for rings, at the latest when there is nothing else to do: so work returns the bells to ring.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any

from .bell import Bell
from .cpus import usable_cpus

Work = Callable[[int], None]
Bells = tuple[Bell, ...]

WAITING = 2
"""How many tasks may wait: they hold memory. The thread that adds one more computes the oldest itself."""


class _Here(threading.local):
    inside = False
    """Whether this thread is in a part of a job."""

    def __init__(self) -> None:
        self.bell = Bell()


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
        self.bell = _here.bell
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

    def help(self) -> Bells:
        """In a thread that did not ask: take parts, unless all have been taken and the asker has gone."""
        with self.lock:
            if self.closed:
                return ()
            self.helping += 1
        self.context.copy().run(self.take_parts)
        with self.lock:
            self.helping -= 1
            if not self.closed or self.helping:
                return ()
            self.done.release()
        return (self.bell,)

    def finish(self, stay_awake: Callable[[Bell], None]) -> None:
        """In the thread that asked: wait for the helpers that have parts, and pass an error on."""
        self.bell.clear()
        with self.lock:
            self.closed = True
            waiting = self.helping > 0
            if waiting:
                self.done.acquire()
        if waiting:
            stay_awake(self.bell)
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

    def run(self) -> Bells:
        assert self.work is not None  # a task leaves the pool's list once
        try:
            self.value = self.context.run(self.work)
        except BaseException as error:  # the thread that asks for the result raises it
            self.error = error
        self.work = None
        return self.pool.finished(self)

    def result(self) -> Any:
        """Wait for the result, or compute it here if nobody has begun."""
        if not self.done:
            self.pool.wait_for(self)
        if self.error is not None:
            raise self.error
        return self.value


def ring(bells: Bells) -> None:
    for bell in bells:
        bell.ring()


class Pool:
    """The helpers, and what there is to do."""

    def __init__(self) -> None:
        self.started = 0
        self.cpus = 0  # as the thread that starts the first helper has it: a helper keeps off some of them
        self.lock = threading.Lock()
        self.idle: list[_Helper] = []
        self.tasks: deque[Task] = deque()
        self.open: list[Job] = []  # jobs that could do with more helpers
        self.waiting: list[tuple[threading.Lock, Bell]] = []  # threads that wait for a task, or for something to do
        self.asking: set[Job] = set()  # a thread each; a helper that asks, too, counts twice

    def share(self, job: Job, helpers: int, most: int) -> None:
        """Do a job with up to so many helpers, of whom ``most`` may be at work at a time."""
        found: list[_Helper] = []
        woken: Bells = ()
        try:  # Ctrl-C comes at any time: the helpers must not be lost
            with self.lock:
                self.asking.add(job)
                found = self._take(helpers, most)
                if len(found) < helpers:
                    self.open.append(job)
                    woken = self._wake()
            ring(woken)
            for helper in found:
                helper.give(job.help)
            job.take_parts()
        finally:
            self._finish(job, found)

    def _finish(self, job: Job, helpers: list[_Helper]) -> None:
        try:
            job.finish(self.stay_awake)
        finally:
            with self.lock:
                self.asking.discard(job)
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
            ring(oldest.run())

    def wait_for(self, task: Task) -> None:
        """Return when a task is done; until then do what there is to do, the task itself first."""
        with self.lock:
            mine = task in self.tasks
            if mine:
                self.tasks.remove(task)
        if mine:
            ring(task.run())
        bell = _here.bell
        while True:
            asleep = threading.Lock()
            with self.lock:
                if task.done:
                    return
                work = self._next()
                if work is None:
                    bell.clear()
                    asleep.acquire()
                    self.waiting.append((asleep, bell))
            if work is None:
                self.stay_awake(bell)
                asleep.acquire()  # until another thread releases it
            else:
                ring(work())

    def work_off(self, helper: _Helper) -> Bells:
        """In a helper: do all that there is to do, then be idle."""
        bells: Bells = ()
        while True:
            with self.lock:
                work = self._next()
                if work is None:
                    self.idle.append(helper)
                    return bells
            ring(bells)
            bells = work()
            del work  # nothing that it is on

    def finished(self, task: Task) -> Bells:
        with self.lock:
            task.done = True
            return self._wake()

    def stay_awake(self, bell: Bell, ringing: Bells = ()) -> None:
        """Ring other bells, and wait for this one; not where there are more threads than CPUs."""
        if self.started + max(1, len(self.asking)) <= self.cpus:
            bell.wait(ringing)
        else:
            ring(ringing)

    def _next(self) -> Callable[[], Bells] | None:
        if self.tasks:
            return self.tasks.popleft().run
        while self.open and self.open[-1].exhausted:
            self.open.pop()
        return self.open[-1].help if self.open else None

    def _wake(self) -> Bells:
        """Let all that wait look again; their bells are still to be rung."""
        bells = tuple(bell for _, bell in self.waiting)
        for asleep, _ in self.waiting:
            asleep.release()
        self.waiting.clear()
        return bells

    def _take(self, number: int, most: int) -> list[_Helper]:
        """So many idle or new helpers, but no more than ``most`` at work."""
        at_work = self.started - len(self.idle)
        found = []
        for _ in range(min(number, most - at_work)):
            if not self.idle:
                self.cpus = self.cpus or usable_cpus()
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
        self.queue: SimpleQueue[Callable[[], Bells]] = SimpleQueue()
        self.bell = Bell()
        self.avoided = -1
        self.thread = threading.Thread(target=self._work, name="minigrad", daemon=True)
        self.thread.start()

    def _work(self) -> None:
        bells: Bells = ()
        while True:
            self.pool.stay_awake(self.bell, bells)
            work = self.queue.get()
            self.bell.clear()
            bells = work()
            del work  # what a kernel worked on is not kept alive by a sleeping thread

    def work_off(self) -> Bells:
        return self.pool.work_off(self)

    def give(self, work: Callable[[], Bells]) -> None:
        cpu = _getcpu()
        if cpu != self.avoided:
            self.avoided = cpu
            _keep_off(self.thread.native_id, cpu)
        self.queue.put(work)
        self.bell.ring()


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
