"""Kernels as a whole in another thread: their results, their errors, and who computes what."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

import minigrad
from minigrad.backends.cpu import pool, threads
from minigrad.backends.cpu.pool import WAITING

LARGE = threads.LEAST


@pytest.fixture(autouse=True)
def two_threads():
    before = minigrad.get_num_threads()
    minigrad.set_num_threads(2)
    yield
    minigrad.set_num_threads(before)


def test_small_kernels_are_left_to_the_caller_and_so_are_all_with_one_thread():
    assert threads.later(lambda: 1, LARGE - 1, 0) is None
    inner = []
    threads.for_each(2, lambda i: inner.append(threads.later(lambda: 1, LARGE, 0)))
    assert inner == [None, None]
    assert threads.later(lambda: 1, LARGE, threads.MOST + 1) is None
    minigrad.set_num_threads(1)
    assert threads.later(lambda: 1, LARGE, 0) is None


def test_it_is_computed_in_another_thread():
    begun, caller = threading.Event(), threading.get_ident()

    def kernel():
        begun.set()
        return threading.get_ident()

    result = threads.later(kernel, LARGE, 0)
    assert begun.wait(30)
    assert result() != caller


def test_more_tasks_than_may_wait_and_a_result_for_each():
    results = [threads.later(lambda i=i: np.full(1000, i).sum(), LARGE, 0) for i in range(5 * WAITING)]
    assert [result() for result in reversed(results)] == [1000 * i for i in reversed(range(5 * WAITING))]


def test_while_the_helper_is_busy_tasks_wait_and_whoever_needs_one_computes_it():
    go, order = threading.Event(), []
    first = threads.later(lambda: go.wait(30), LARGE, 0)
    second = threads.later(lambda: order.append(threading.get_ident()), LARGE, 0)
    second()
    assert order == [threading.get_ident()]
    go.set()
    assert first() is True


def test_the_oldest_is_computed_by_the_thread_that_adds_one_too_many():
    begun, go, order = threading.Event(), threading.Event(), []

    def hold():
        begun.set()
        return go.wait(30)

    held = threads.later(hold, LARGE, 0)
    assert begun.wait(30)
    results = [threads.later(lambda i=i: order.append(i), LARGE, 0) for i in range(WAITING + 2)]
    assert order == [0, 1]
    go.set()
    for result in (held, *results):
        result()
    assert sorted(order) == list(range(WAITING + 2))


def test_an_error_is_raised_where_the_result_is_asked_for():
    def kernel():
        raise KeyError("kernel")

    result = threads.later(kernel, LARGE, 0)
    with pytest.raises(KeyError, match="kernel"):
        result()
    assert threads.later(lambda: 5, LARGE, 0)() == 5


def test_a_thread_that_waits_takes_parts_of_the_kernel_that_it_waits_for():
    together = threading.Barrier(2, timeout=30)  # broken unless two threads are in parts at a time
    result = threads.later(lambda: threads.for_each(2, lambda i: together.wait()), LARGE, 0)
    result()


def test_a_helper_that_becomes_free_takes_parts_of_a_kernel_that_has_begun_without_it():
    begun, go, together = threading.Event(), threading.Event(), threading.Barrier(2, timeout=30)

    def hold():
        begun.set()
        return go.wait(30)

    held = threads.later(hold, LARGE, 0)
    assert begun.wait(30)

    def part(i):
        go.set()
        together.wait()

    threads.for_each(2, part)
    held()


def test_helpers_are_there_again_after_an_error_in_a_part():
    def fail(i):
        raise KeyError(i)

    for _ in range(3):
        with pytest.raises(KeyError):
            threads.for_each(2, fail)
    together = threading.Barrier(2, timeout=30)
    threads.for_each(2, lambda i: together.wait())


def test_helpers_are_there_again_where_the_deal_was_interrupted(monkeypatch):
    def interrupted(helper, work):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pool._Helper, "give", interrupted)
        threads.for_each(2, lambda i: None)
    together = threading.Barrier(2, timeout=5)
    threads.for_each(2, lambda i: together.wait())


def test_errstate_goes_along():
    def kernel():
        np.divide(np.ones(10), np.zeros(10))

    with np.errstate(divide="raise"):
        begun = threading.Event()
        result = threads.later(lambda: (begun.set(), kernel()), LARGE, 0)
        assert begun.wait(30)
        with pytest.raises(FloatingPointError):
            result()


def test_several_threads_at_once():
    found, errors = {}, []

    def user(number):
        try:
            for i in range(30):
                results = [threads.later(lambda k=k: np.full(5000, k).sum(), LARGE, 0) for k in range(6)]
                threads.for_each(4, lambda part: np.ones(5000).sum())
                found[number, i] = [result() for result in results]
        except BaseException as error:
            errors.append(error)

    users = [threading.Thread(target=user, args=(number,)) for number in range(4)]
    for thread in users:
        thread.start()
    for thread in users:
        thread.join(60)
    assert not errors
    assert len(found) == 120
    assert all(value == [5000 * k for k in range(6)] for value in found.values())


def test_no_more_threads_than_were_set_last():
    minigrad.set_num_threads(4)
    together = threading.Barrier(4, timeout=30)
    threads.for_each(4, lambda i: together.wait())  # three helpers are there now
    minigrad.set_num_threads(2)
    begun, go = [], threading.Event()
    results = [threads.later(lambda i=i: begun.append(i) or go.wait(30), LARGE, 0) for i in range(WAITING)]
    inside = []
    threads.for_each(4, lambda i: (time.sleep(0.05), inside.append(threading.get_ident())))  # long enough for any other to come
    assert set(inside) == {threading.get_ident()}
    assert len(begun) <= 1
    go.set()
    assert all(result() for result in results)


def test_a_result_may_be_asked_for_again():
    """Two threads may ask for a deferred array at the same moment."""
    result = threads.later(lambda: np.ones(3), LARGE, 0)
    assert result() is result()
