"""What is checked on a GPU before anything is timed: how outcomes are counted, trainings compared, captured steps replayed."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from unittest.mock import patch

import pytest

pytest.importorskip("resource")  # train_step, whose rows are used, needs it
import minigrad
from benchmarks import gpu_correctness, gpu_tests
from benchmarks.gpu_worker import Deadline, Worker
from minigrad.vision import datasets
from tests.benchmarks.gpu_stand_in import prepared, stand_in


@pytest.fixture
def gpu():
    with stand_in() as gpu:
        yield gpu


PYTEST = """
[gw0] [  1%] PASSED tests/backends/test_cuda.py::test_all[add, float64]
[gw1] [  2%] FAILED tests/backends/test_cuda.py::test_all[exp]
[gw1] [  3%] SKIPPED tests/backends/test_cuda.py::test_all[sin]
=================== FAILURES ===================
[gw1] linux -- Python 3.12
E   AssertionError: value 0
"""


def run_tests(output: str, deadline: Deadline):
    found, program = {}, f"import time\nprint({output!r}, flush=True)\nif 'sleep' in {output!r}: time.sleep(60)"
    with patch.object(gpu_tests, "pytest_command", lambda processes: [sys.executable, "-c", program]):
        return found, gpu_tests.check_table(found, lambda: None, deadline)


def test_the_tests_outcomes_are_counted(capsys):
    found, failures = run_tests(PYTEST, Deadline(60))
    assert failures == ["1 tests failed"]
    assert found["counts"] == {"passed": 1, "failed": 1, "skipped": 1}
    assert found["failures"] == ["gw1 tests/backends/test_cuda.py::test_all[exp]"]
    assert found["log"][-2] == "E   AssertionError: value 0"
    assert "1 passed, 1 failed, 1 skipped" in capsys.readouterr().out
    alone = "tests/backends/test_cuda.py::test_all[a b] PASSED [ 50%]\ntests/a.py::test_b SKIPPED (no GPU)   [100%]"
    assert run_tests(alone, Deadline(60))[0]["counts"] == {"passed": 1, "skipped": 1}
    found, failures = run_tests("no such option", Deadline(60))
    assert (found["log"], failures) == (["no such option"], ["no test passed"])


def test_tests_that_hang_are_ended():
    found, failures = run_tests(PYTEST + "sleep", Deadline(3))
    assert found["counts"]["passed"] == 1
    assert failures == ["1 tests failed", "the tests were not done in time"]


def test_pytest_is_asked_for_what_needs_a_gpu():
    command = gpu_tests.pytest_command(3)
    assert command[1:5] == ["-m", "pytest", "-m", "cuda"]
    assert command[-2:] == ["tests/backends", "tests/cuda"]


def test_a_training_and_its_comparison(capsys):
    with patch.object(datasets, "Digits", lambda train: datasets.FakeData(64, (1, 8, 8), seed=int(train))):
        (name, find), *rest = gpu_correctness.answers({"train": "cpu", "epochs": 2})
        found = find()
    assert (name, rest, len(found["losses"])) == ("training", [], 4)
    assert 0 <= found["accuracy"] <= 1
    good, other = {"accuracy": 0.98, "losses": [2.5], "seconds": 1.0}, {"accuracy": 0.94, "losses": [2.4], "seconds": 1.0}
    assert gpu_correctness.compare_trainings(good, good) == []
    assert len(gpu_correctness.compare_trainings(good, other)) == 3
    capsys.readouterr()
    for answer, expected in (
        ({"training": good}, []),
        ({"process": {"error": "gone"}}, ["cpu: process: gone", "cuda: process: gone"]),
    ):
        report = {}
        with patch.object(Worker, "ask", lambda worker, question, seconds, answer=answer: answer):
            assert gpu_correctness.check_training(report, lambda: None, Deadline(60)) == expected
        assert set(report) == {"cpu", "cuda"}


@pytest.mark.parametrize("name", gpu_correctness.GRAPHS)
def test_captured_steps_are_compared_bit_for_bit(gpu, name):
    small = SimpleNamespace(batch=2, shape=(1, 28, 28) if name.startswith("lenet") else (3, 8, 8), classes=10)

    def warmed_up(step, inputs):
        step(*inputs)
        return step

    def forgetful(step, inputs):
        return lambda images, labels: step(*inputs)

    rows = dict.fromkeys(("lenet5", "resnet20"), small)
    with patch.object(gpu_correctness, "ROWS", rows):
        for captured, same in ((warmed_up, True), (forgetful, False)):
            with patch.object(minigrad.cuda, "make_graphed", captured):
                found = {key: find() for key, find in gpu_correctness.capture(prepared(minigrad), gpu, name)}
            assert list(found) == ["bits", "eager", "captured"]
            assert (found["bits"]["differing"] == []) is same


def test_table_of_captured_steps(capsys):
    def ask(worker, question, seconds):
        if question["graph"] == "lenet-sgd":
            return {"bits": {"error": "refused"}}
        differing = ["0.weight"] if question["graph"] == "resnet20-adamw" else []
        return {"bits": {"differing": differing}, "eager": {"eager_ms": 2.0}, "captured": {"captured_ms": 1.0}}

    found = {}
    with patch.object(Worker, "ask", ask):
        failures = gpu_correctness.check_graph(found, lambda: None, Deadline(60))
    assert failures == ["lenet-sgd, bits: refused", "resnet20-adamw: after 5 steps other bits in 0.weight"]
    assert found["resnet20-sgd"] == {"differing": [], "eager_ms": 2.0, "captured_ms": 1.0}
    assert "resnet20-sgd     the same bits after 5 steps; eager 2.000 ms, captured 1.000 ms" in capsys.readouterr().out
