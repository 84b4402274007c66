"""Processes that may crash: what they had answered is kept, and the next question is answered by a new one."""

from __future__ import annotations

import sys

import pytest

from benchmarks.gpu_worker import LONGEST, Deadline, Worker, describe

SERVER = """
import os, sys, time
from benchmarks.gpu_worker import serve

def fail():
    raise ValueError("of no use")

def answers(question):
    print("no answer")
    yield "first", lambda: {"ms": question["ms"]}
    for way, find in (("fail", fail), ("crash", lambda: os._exit(7)), ("sleep", lambda: time.sleep(60))):
        if question.get("then") == way:
            yield "second", find
    if question.get("then") == "stop":
        raise RuntimeError("not prepared")

serve(answers)
"""


@pytest.fixture
def worker():
    with Worker("none") as worker:
        worker.command = [sys.executable, "-c", SERVER]
        yield worker


def test_a_worker_stays_while_all_is_well(worker):
    assert worker.ask({"ms": 1}, 60) == {"first": {"ms": 1}}
    process = worker.process
    assert worker.ask({"ms": 2}, 60) == {"first": {"ms": 2}}
    assert worker.process is process
    worker.close()
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("then", "seconds", "name", "error"),
    [
        ("fail", 60, "second", "ValueError: of no use"),
        ("stop", 60, "preparing", "RuntimeError: not prepared"),
        ("crash", 60, "process", "ended with 7; its errors are above"),
        ("sleep", 5, "process", "no answer within 5 s"),
    ],
)
def test_a_failure_costs_what_was_asked_and_no_more(worker, then, seconds, name, error):
    assert worker.ask({"ms": 1, "then": then}, seconds) == {"first": {"ms": 1}, name: {"error": error}}
    assert worker.process is None
    assert worker.ask({"ms": 2}, 60) == {"first": {"ms": 2}}


def test_a_worker_that_cannot_start(worker):
    worker.command = [sys.executable, "-c", "raise SystemExit(3)"]
    assert worker.ask({"ms": 1}, 60) == {"process": {"error": "ended with 3; its errors are above"}}


def test_long_errors_are_cut():
    assert describe(ValueError("x")) == "ValueError: x"
    assert len(describe(ValueError("x" * 9999))) == LONGEST + 2


def test_deadlines():
    assert Deadline(0).left() == 0
    assert 50 < Deadline(60).left() <= 60
    assert Deadline(60, Deadline(0)).left() == 0
    assert Deadline(10, Deadline(60)).left() <= 10
