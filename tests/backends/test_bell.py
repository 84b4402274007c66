"""Bells: threads that wait without Python's lock, and without going to sleep."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import minigrad
from minigrad.backends.cpu import bell, pool, threads
from minigrad.backends.cpu.bell import Bell

ENDLESS = 1 << 50
"""Turns that would take days."""


@pytest.fixture(params=[True, False], ids=["with a lock", "without"])
def lock(request, monkeypatch):
    monkeypatch.setattr(bell, "has_lock", lambda: request.param)


def in_thread(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_it_ends_a_wait(lock, monkeypatch):
    monkeypatch.setattr(bell, "TURNS", ENDLESS)
    mine = Bell()
    waiting = in_thread(mine.wait)
    waiting.join(0.05)
    assert waiting.is_alive()  # and Python's lock is ours: the wait lets go of it
    mine.ring()
    waiting.join(30)
    assert not waiting.is_alive()


def test_it_may_have_been_rung_before(lock, monkeypatch):
    monkeypatch.setattr(bell, "TURNS", ENDLESS)
    mine = Bell()
    mine.ring()
    mine.wait()
    mine.clear()
    waiting = in_thread(mine.wait)
    waiting.join(0.05)
    assert waiting.is_alive()
    mine.ring()
    waiting.join(30)
    assert not waiting.is_alive()


def test_a_wait_in_vain_ends():
    Bell().wait()


def test_others_are_rung_before_the_wait_and_not_after_it(lock, monkeypatch):
    monkeypatch.setattr(bell, "TURNS", ENDLESS)
    mine, others = Bell(), [Bell(), Bell()]
    waiting = [in_thread(other.wait) for other in others]
    last = in_thread(lambda: mine.wait(others))
    for thread in waiting:
        thread.join(30)
        assert not thread.is_alive()
    assert last.is_alive()
    mine.ring()
    last.join(30)
    assert not last.is_alive()


def test_who_rings_leaves_the_bell_rung(lock):
    """What the function writes besides must not be the flag."""
    mine, other = Bell(), Bell()
    other.ring()
    mine.ring()
    mine.wait([other])
    assert other._flag[0] and mine._flag[0]
    other.clear()
    assert not other._turns.any() and mine._turns[0]


def test_repeated_flags_take_no_memory():
    mine = Bell()
    assert not any(mine._turns.strides) and mine._ring_and_turns.strides[1] == 0
    assert np.shares_memory(mine._turns[:1], mine._flag)


def test_threads_wait_awake_only_where_there_are_cpus_for_all(monkeypatch):
    waits = []
    monkeypatch.setattr(Bell, "wait", lambda self, ringing=(): waits.append(ringing))
    team = pool.Pool()
    mine, other = Bell(), Bell()
    for started, cpus, asking, awake in ((1, 2, 1, True), (1, 2, 0, True), (1, 2, 2, False), (3, 2, 1, False), (3, 4, 1, True)):
        team.started, team.cpus, team.asking = started, cpus, set(range(asking))
        other.clear()
        team.stay_awake(mine, (other,))
        assert waits == ([(other,)] if awake else [])
        assert awake or other._flag[0]  # it is rung in any case
        waits.clear()


def test_no_thread_counts_as_asking_afterwards():
    before = minigrad.get_num_threads()
    minigrad.set_num_threads(2)
    try:
        threads.for_each(4, lambda i: None)
        with pytest.raises(ZeroDivisionError):
            threads.for_each(4, lambda i: 1 / 0)
        assert not threads._pool.asking
        assert threads._pool.cpus >= 1
    finally:
        minigrad.set_num_threads(before)
