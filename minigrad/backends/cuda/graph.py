"""Recording work as a CUDA graph, which the GPU then repeats without being asked for every kernel again."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .memory import private_pool

_PACKAGE = str(Path(__file__).parents[2])


class Recorder:
    """A stream and memory for the work of one graph.

    A graph's kernels keep the addresses that they were recorded with. So its memory comes from a pool that nothing else uses,
    and the recorder must live as long as the graph.

    Args:
        backend: the CUDA backend.
    """

    def __init__(self, backend: Any):
        self._cuda = backend.cupy.cuda
        self._cublas = backend.cublas
        self._stream = self._cuda.Stream(non_blocking=True)
        self._pool = private_pool(backend.cupy, self)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """On the stream and in the memory: after what the current stream was asked before, and before what it is asked then."""
        current = self._cuda.get_current_stream()
        self._stream.wait_event(current.record())
        try:
            with self._cuda.using_allocator(self._pool.malloc), self._stream:
                yield
        finally:
            current.wait_event(self._stream.record())

    def record(self, work: Callable[[], Any]) -> tuple[Any, Any]:
        """The graph of what ``work`` asks of the GPU, which does none of it now, and what ``work`` returned.

        Raises:
            RuntimeError: if it cannot be recorded; the stream and the allocator are what they were then.
        """
        with self.apart():
            self._stream.begin_capture()
            try:
                result = work()
            except Exception as error:
                with suppress(Exception):  # the error may have broken off the recording already
                    self._stream.end_capture()
                raise RuntimeError(f"make_graphed: the step {_place_of(error)}: {error}; {_RULE}") from error
            except BaseException:
                with suppress(Exception):
                    self._stream.end_capture()
                raise
            self._workspace = self._cublas.workspace(self._stream)
            try:
                return self._stream.end_capture(), result
            except Exception as error:
                raise RuntimeError(f"make_graphed: the step did what no graph can hold: {error}; {_RULE}") from error


_RULE = (
    "while a step is recorded the GPU computes nothing, so that it must not read a value on the host (item, float, bool, "
    "print, a boolean mask, nonzero, unique) nor make a tensor from the host's numbers"
)


def _place_of(error: BaseException) -> str:
    """What failed, and the line of the user's that called it: ``cannot be recorded, because of Tensor.item at train.py:12``."""
    place = "cannot be recorded"
    before, where = None, ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        inside = code.co_filename.startswith(_PACKAGE)
        if inside and before is False:
            place = f"cannot be recorded, because of {code.co_qualname} at {where}"
        before, where = inside, f"{Path(code.co_filename).name}:{line}"
    return place
