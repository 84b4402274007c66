"""The numbers of optimizer steps (learning rates, what depends on the count of steps, ...) under CUDA graphs.

A kernel's arguments are frozen when it is captured into a graph, but these numbers change from step to step. So a kernel that
is launched while a graph is recorded reads them from device memory, and before every replay they are written there anew. They
are computed as always, by ``optimizer.step()``, but the kernels that it would launch only hand over their numbers. Who makes
the graph does this, all on the stream of the graph:

    step()                             # before: what makes an optimizer's states must not be part of the graph
    recording = Recording(backend)
    with recording:
        ...                            # capture a step, with optimizer.step() in it
    recording.store()                  # the captured step has counted itself, but has not run yet
    graph.launch()                     # runs it

    with recording.refreshing():       # from now on before every replay: numbers of the next step, no kernels of optimizers
        optimizer.step()
    graph.launch()

The optimizers have to step in the order in which they did in the capture, and their gradients must not be None then (whatever
they are). Only the steps of ``minigrad.optim`` can be refreshed: what else a step launches, by hooks or in an optimizer of the
user's own, would run twice. A recording keeps alive what its kernels write to, such as the states, and so must live as long as
its graph.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

NUMBERS = 8
"""How many numbers a kernel can have."""
PAGE = 32
"""The numbers of how many launches lie together, and are written by one kernel; as in ``kernels/optimizer.cu``."""

_PAGE = np.dtype([("number", np.float64, (PAGE, NUMBERS))])
_here = threading.local()


def recording() -> Recording | None:
    """What is recorded, or refreshed, in this thread."""
    return getattr(_here, "recording", None)


class Recording:
    """The numbers of all optimizer steps in one graph.

    Args:
        backend: the CUDA backend.
    """

    def __init__(self, backend: Any):
        self._backend = backend
        self._launches: list[tuple[Any, ...]] = []  # what each one steps
        self._numbers: list[Sequence[float]] = []
        self._pages: list[Any] = []
        self._kept: list[Any] = []
        self.is_refreshing = False

    def __enter__(self) -> Recording:
        self._begin()
        return self

    def __exit__(self, *exception: Any) -> None:
        _here.recording = None

    def keep(self, *arrays: Any) -> None:
        """Keep alive what the graph reads or writes."""
        self._kept.extend(arrays)

    def slot(self, launch: tuple[Any, ...], numbers: Sequence[float]) -> int:
        """Where in device memory the kernel that is launched now has to read its numbers.

        Args:
            launch: what it steps, by which it will be known again.
            numbers: what they are this time.
        """
        page, place = divmod(len(self._launches), PAGE)
        if page == len(self._pages):
            self._pages.append(self._backend.xp.empty(PAGE * NUMBERS, dtype="float64"))
        self._launches.append(launch)
        self._numbers.append(numbers)
        return self._backend.address(self._pages[page]) + place * NUMBERS * 8

    def hand_over(self, launch: tuple[Any, ...], numbers: Sequence[float]) -> None:
        """The numbers for the next replay of the launch whose turn it is.

        Raises:
            RuntimeError: if it is another one than when the graph was recorded.
        """
        if self._launches[len(self._numbers) : len(self._numbers) + 1] != [launch]:
            raise RuntimeError(
                "optimizer step: expected the parameters and states, in the order, that were recorded in the CUDA graph, got "
                "others; record the graph again after a change of an optimizer's parameters, options or state_dict"
            )
        self._numbers.append(numbers)

    @contextmanager
    def refreshing(self) -> Iterator[None]:
        """A context in which optimizers step in numbers only, which the next replay will use.

        Nothing is written to device memory if they fail to; what they have counted by then is the caller's to put back.

        Raises:
            RuntimeError: if they do not step as they did when the graph was recorded.
        """
        self._begin()
        self.is_refreshing = True
        self._numbers = []
        try:
            yield
        finally:
            self.is_refreshing = False
            _here.recording = None
        if len(self._numbers) != len(self._launches):
            raise RuntimeError(
                f"optimizer step: expected all steps that were recorded in the CUDA graph ({len(self._launches)} launches), "
                f"got {len(self._numbers)} launches"
            )
        self.store()

    def store(self) -> None:
        """Write the numbers to device memory, on the current stream."""
        rows = np.zeros((len(self._numbers), NUMBERS))  # all of them are read before any is written: one may be no number
        for row, values in zip(rows, self._numbers):
            row[: len(values)] = values
        kernel = self._backend.kernels("optimizer", "store_numbers", "float32")
        for i, page in enumerate(self._pages):
            part = rows[i * PAGE : (i + 1) * PAGE]
            by_value = np.zeros(1, _PAGE)
            by_value["number"][0, : len(part)] = part
            kernel((1,), (256,), by_value, page, part.size)

    def _begin(self) -> None:
        if recording() is not None:
            raise RuntimeError("CUDA graph: expected no other one to be recorded or refreshed in this thread at the same time")
        _here.recording = self
