"""Processes that are asked one thing after another, and may crash: what they had found by then is kept, and the next question
starts a new one. A question and an answer are a line of JSON each.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

Figures = dict[str, Any]
Answers = Iterator[tuple[str, Callable[[], Figures]]]
"""Names, and what finds the figures of each."""

LONGEST = 2000
"""Characters of an error's text that are kept: a compiler's may have many more."""


class Deadline:
    """So many seconds from now, or less where another deadline comes first."""

    def __init__(self, seconds: float, outer: Deadline | None = None):
        self.end = time.monotonic() + seconds
        if outer is not None:
            self.end = min(self.end, outer.end)

    def left(self) -> float:
        """Seconds."""
        return max(0.0, self.end - time.monotonic())


class Worker:
    """``python -m MODULE ARGUMENTS``, whose main program is ``serve``; started when it is first asked."""

    def __init__(self, module: str, *arguments: str):
        self.command = [sys.executable, "-m", module, *arguments]
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def ask(self, question: Figures, seconds: float) -> dict[str, Figures]:
        """Every name that was answered with its figures, or with an ``error``; ``process`` has one if it ended early."""
        if self.process is None:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        process, late = self.process, threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, stop)
        timer.start()
        found: dict[str, Figures] = {}
        finished = False
        try:
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                answer = json.loads(line)
                if answer is None:
                    finished = True
                    break
                found[answer[0]] = answer[1]
        except BrokenPipeError:
            pass  # it has ended; why is said below
        finally:
            timer.cancel()
            if late.is_set() or not finished:
                self.close()
        if late.is_set() and not finished:
            found["process"] = {"error": f"no answer within {seconds:.0f} s"}
        elif not finished and not errors_in(found):
            found["process"] = {"error": f"ended with {process.returncode}; its errors are above"}
        return found

    def close(self) -> None:
        """Let it end, and end it if it does not."""
        if self.process is None:
            return
        try:
            self.process.communicate(timeout=10)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self.process.kill()
            self.process.wait()
        self.process = None


def errors_in(found: dict[str, Figures]) -> list[str]:
    return [f"{name}: {figures['error']}" for name, figures in found.items() if "error" in figures]


def serve(answers: Callable[[Figures], Answers]) -> None:
    """In the worker: answer until there are no more questions, or one fails: a failure may leave the GPU unusable."""
    out, sys.stdout = sys.stdout, sys.stderr  # what is printed on the way is no answer

    def send(answer: Any) -> None:
        out.write(json.dumps(answer) + "\n")
        out.flush()

    for line in sys.stdin:
        name = "preparing"
        try:
            for name, find in answers(json.loads(line)):
                send((name, find()))
                name = "preparing"
        except Exception as error:
            traceback.print_exc()
            send((name, {"error": describe(error)}))
            return
        send(None)


def describe(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    return text if len(text) <= LONGEST else text[:LONGEST] + " …"
