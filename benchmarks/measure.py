"""How the benchmarks measure: libraries in processes of their own, taken in turn, and medians over the turns."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

PINS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Environment variables that pin OpenBLAS to an older CPU: unset in every measured process."""


def seconds_per_call(function: Callable[[], Any], calls: int, rounds: int = 7) -> float:
    """The median over the rounds of the mean time of a call."""
    function()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            function()
        times.append((time.perf_counter() - start) / calls)
    return statistics.median(times)


def median_seconds(function: Callable[[], Any], seconds: float, least: int = 3) -> float:
    """The median time of a call, of as many as fit into the seconds, and at least ``least``; the first two do not count."""
    for _ in range(2):
        function()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def in_turn(
    module: str, libraries: Sequence[str], turns: int, threads: int, options: Sequence[str] = ()
) -> dict[str, dict[str, float]]:
    """Run ``python -m module --measure LIBRARY OPTIONS`` for each library in turn; the median over the turns of each figure.

    The child prints one JSON object, names to numbers, as its last line; its errors appear among this process's.
    """
    found: dict[str, list[dict[str, float]]] = {library: [] for library in libraries}
    for _ in range(turns):
        for library in libraries:
            output = subprocess.run(
                _command(module, library, options), env=_environment(threads), check=True, stdout=subprocess.PIPE, text=True
            ).stdout
            found[library].append(json.loads(output.splitlines()[-1]))
    return _medians(found)


def in_short_turns(
    module: str, libraries: Sequence[str], turns: int, threads: int, options: Sequence[str] = ()
) -> dict[str, dict[str, float]]:
    """The same with processes that stay: each measures a little in its turn, and waits while the others do.

    So what slows the machine down for some seconds slows all of them down alike. The child is ``serve``.
    """
    with ExitStack() as stack:
        children = {library: stack.enter_context(_child(module, library, threads, options)) for library in libraries}
        found: dict[str, list[dict[str, float]]] = {library: [] for library in libraries}
        for turn in range(turns + 1):
            for library, child in children.items():
                if turn:
                    child.stdin.write("measure\n")
                    child.stdin.flush()
                answer = child.stdout.readline()
                if not answer:
                    raise RuntimeError(f"{' '.join(child.args)} ended with {child.wait()}; its errors are above")
                if turn:  # the first line only says that it is ready
                    found[library].append(json.loads(answer))
        return _medians(found)


def serve(measure: Callable[[], dict[str, float]]) -> None:
    """In a child of ``in_short_turns``: measure whenever a line comes, until there are no more."""
    print("ready", flush=True)
    for _ in sys.stdin:
        time.sleep(REST)
        print(json.dumps(measure()), flush=True)


REST = 0.05
"""Seconds for the threads of the process before to fall asleep: OpenMP's spin for a while."""


@contextmanager
def _child(module: str, library: str, threads: int, options: Sequence[str]) -> Iterator[Any]:
    command = _command(module, library, options)
    with subprocess.Popen(
        command, env=_environment(threads), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def _command(module: str, library: str, options: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", module, "--measure", library, *options]


def _environment(threads: int) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in PINS}
    return environment | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))


def _medians(found: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    return {
        library: {name: statistics.median(run[name] for run in runs) for name in runs[0]} for library, runs in found.items()
    }


def machine(threads: int) -> str:
    """One line on what is measuring."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            model = next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.machine()
    return f"{model}, {os.cpu_count()} CPUs, {threads} threads, Python {platform.python_version()}"
