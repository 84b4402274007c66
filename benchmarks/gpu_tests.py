"""The tests that need a GPU, in processes side by side: a section of ``gpu_check``."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator

from .gpu_worker import Deadline, Figures

PATIENCE = 0.9
"""Of the time, after which the tests are interrupted, so that pytest explains the failures so far."""

IN_PARALLEL = re.compile(r"\[(gw\d+)\] \[ *\d+%\] ([A-Z]+) (.+)")
ALONE = re.compile(r"(\S+::.+) ([A-Z]+)(?: \(.*\))? +\[ *\d+%\]")


def outcome(line: str) -> tuple[str, str, str] | None:
    """The worker, the outcome and the name of a test, of a line that ``pytest -v`` prints."""
    line = line.strip()
    if match := IN_PARALLEL.fullmatch(line):
        return match[1], match[2], match[3]
    if match := ALONE.fullmatch(line):
        return "", match[2], match[1]
    return None


def pytest_command(processes: int) -> list[str]:
    command = [sys.executable, "-m", "pytest", "-m", "cuda", "-v", "--tb=short", "-p", "no:cacheprovider", "-p", "no:benchmark"]
    spread = ["-n", str(processes)] if importlib.util.find_spec("xdist") else []
    return [*command, *spread, "tests/backends", "tests/cuda"]


def check_table(found: Figures, save: Callable[[], None], deadline: Deadline) -> list[str]:
    """``pytest -m cuda``: every operation on ``cuda`` beside the CPU, values and gradients, and whatever else needs a GPU.

    The tolerances are those of tests/ops/checks.py, ``FLOATS``, by element type. Of each process's failures the first counts
    most: an error of CUDA fails all that come after it.
    """
    processes, seconds = len(os.sched_getaffinity(0)), deadline.left()
    counts: Counter[str] = Counter()
    found |= {"processes": processes, "counts": counts, "failures": [], "log": []}
    last: deque[str] = deque(maxlen=30)
    is_over = False  # the tests; their failures are explained then
    for line in lines_of(pytest_command(processes), deadline):
        last.append(line.rstrip())
        if test := outcome(line):
            worker, result, name = test
            counts[result.lower()] += 1
            if result in ("FAILED", "ERROR"):
                found["failures"].append(f"{worker} {name}".strip())
                print(f"  {result} {worker} {name}", flush=True)
            if sum(counts.values()) % 200 == 0:
                print(f"  {sum(counts.values())} tests, {seconds - deadline.left():.0f} s", flush=True)
                save()
        elif is_over or (line.startswith("===") and ("FAILURES" in line or "ERRORS" in line)):
            is_over = True
            if len(found["log"]) < 400:
                found["log"].append(line.rstrip())
    if not counts:
        found["log"] = list(last)
    for line in found["log"]:
        print(f"  {line}")
    print("  " + (", ".join(f"{count} {result}" for result, count in counts.items()) or "no test ran"), flush=True)
    failures = [f"{len(found['failures'])} tests failed"] if found["failures"] else []
    if deadline.left() <= (1 - PATIENCE) * seconds:
        failures.append("the tests were not done in time")
    if not counts["passed"]:
        failures.append("no test passed")
    return failures


def lines_of(command: list[str], deadline: Deadline) -> Iterator[str]:
    """What a command prints, as it comes; shortly before its time is up it is asked to come to an end, then killed."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"COLUMNS": "160"},
        start_new_session=True,
    )
    timers = [
        threading.Timer(PATIENCE * deadline.left(), process.send_signal, [signal.SIGINT]),
        threading.Timer(deadline.left(), os.killpg, [process.pid, signal.SIGKILL]),
    ]
    for timer in timers:
        timer.start()
    try:
        with process:
            yield from process.stdout
    finally:
        for timer in timers:
            timer.cancel()
