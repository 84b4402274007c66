"""Streams, which the GPU works on side by side, and events, by which they wait for each other and by which time is taken."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ..backends import Device, backend_for
from .devices import gpu_of

__all__ = ["Event", "Stream", "current_stream", "default_stream", "stream"]


class Stream:
    """A queue of work for the GPU; work in different streams may run at the same time. A context manager, like ``stream``.

    What one stream made and another one uses needs an order (``wait_stream``), also before it is dropped: its memory then goes
    to the next array of the stream that was current when it was made, whoever may still be reading it.

    Args:
        device: the current GPU; as one GPU is used at a time, no other one will do.
        priority: a lower number goes first; 0 and below.

    Raises:
        RuntimeError: if there is no GPU, with the pip line; ValueError if the device is none.
    """

    def __init__(self, device: Any = None, priority: int = 0):
        cuda, self._device = _cuda("Stream", device)
        self._stream = cuda.Stream(non_blocking=True, priority=priority)

    @property
    def device(self) -> Device:
        """The GPU."""
        return self._device

    @property
    def cuda_stream(self) -> int:
        """CUDA's handle, for other libraries."""
        return self._stream.ptr

    def synchronize(self) -> None:
        """Wait until all of its work is done."""
        self._stream.synchronize()

    def query(self) -> bool:
        """Whether all of its work is done."""
        return self._stream.done

    def record_event(self, event: Event | None = None) -> Event:
        """Record an event, a new one if None, after the work so far; returns it."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let what is asked of this stream from now on wait for an event."""
        event.wait(self)

    def wait_stream(self, stream: Stream) -> None:
        """Let what is asked of this stream from now on wait for what another one was asked so far."""
        self.wait_event(stream.record_event())

    def __enter__(self) -> Stream:
        self._stream.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stream.__exit__(*exception)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self.cuda_stream == other.cuda_stream

    def __hash__(self) -> int:
        return hash(self.cuda_stream)

    def __repr__(self) -> str:
        return f"<minigrad.cuda.Stream device={self.device} cuda_stream={self.cuda_stream:#x}>"


class Event:
    """A mark in a stream's work: others can wait until the work before it is done, and measure the time between two.

    Args:
        enable_timing: whether ``elapsed_time`` will be asked for.
        blocking: whether a host that waits for it sleeps instead of asking again and again.

    Raises:
        RuntimeError: if there is no GPU, with the pip line.
    """

    def __init__(self, enable_timing: bool = False, blocking: bool = False):
        self._cuda = _cuda("Event", None)[0]
        self._timed = enable_timing
        self._recorded = False
        self._event = self._cuda.Event(block=blocking, disable_timing=not enable_timing)

    def record(self, stream: Stream | None = None) -> None:
        """Mark the work so far of a stream, the current one if None."""
        self._event.record(self._cuda.get_current_stream() if stream is None else stream._stream)
        self._recorded = True

    def wait(self, stream: Stream | None = None) -> None:
        """Let what is asked of a stream, the current one if None, wait from now on for this event."""
        (self._cuda.get_current_stream() if stream is None else stream._stream).wait_event(self._event)

    def query(self) -> bool:
        """Whether the work before it is done."""
        return self._event.done

    def synchronize(self) -> None:
        """Wait until the work before it is done."""
        self._event.synchronize()

    def elapsed_time(self, end_event: Event) -> float:
        """The milliseconds from this event to another one; both must be done.

        Raises:
            RuntimeError: if one of them takes no time, or was not recorded.
        """
        if not (self._timed and end_event._timed):
            raise RuntimeError("elapsed_time: expected two events made with enable_timing=True")
        if not (self._recorded and end_event._recorded):
            raise RuntimeError("elapsed_time: expected two events that were recorded")
        return self._cuda.get_elapsed_time(self._event, end_event._event)


def stream(stream: Stream | None) -> AbstractContextManager:
    """A context in which the GPU's work goes to a stream (None: where it goes anyway)."""
    return nullcontext() if stream is None else stream


def current_stream(device: Any = None) -> Stream:
    """The stream that work goes to now."""
    cuda, place = _cuda("current_stream", device)
    return _wrapped(cuda.get_current_stream(), place)


def default_stream(device: Any = None) -> Stream:
    """The stream that work goes to unless another one is chosen."""
    cuda, place = _cuda("default_stream", device)
    return _wrapped(cuda.Stream.null, place)


def _wrapped(cupys: Any, device: Device) -> Stream:
    """A Stream over one of CuPy's."""
    found = Stream.__new__(Stream)
    found._stream, found._device = cupys, device
    return found


def _cuda(name: str, device: Any) -> tuple[Any, Device]:
    """The module ``cupy.cuda``, and the full name of the GPU that an argument of the function of that name means."""
    backend, place = backend_for(gpu_of(name, device))
    return backend.cupy.cuda, place  # type: ignore[attr-defined]
