"""A stand-in for cupy whose streams can be captured: what the GPU is asked for is noted, and a graph does it again.

Noted are the functions and operators of arrays, kernels, and cuBLAS. A result keeps the memory that it was noted with. Other
than on a GPU, what is captured is also computed at once, which is undone at the end of the capture.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np

from tests.cuda_emulation import Function
from tests.fake_cublas import FakeCublas
from tests.fake_cuda import FakeEvent, FakeStream
from tests.fake_cupy import FakeCupy, fake_cupy
from tests.strict_backend import StrictArray, _Function, _Ufunc


class Stream(FakeStream):
    """``cupy.cuda.Stream``."""

    capturing: "Stream | None" = None

    def __init__(self, null=False, non_blocking=False, priority=0):
        super().__init__(null, non_blocking)
        self.done, self.waited = True, []

    def record(self, event=None):
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event):
        self.waited.append(event.stream)

    def begin_capture(self):
        assert Stream.capturing is None
        arrays = [found._hidden for found in gc.get_objects() if issubclass(type(found), StrictArray)]
        self.before = [(array, array.copy()) for array in arrays if array.flags.writeable]
        Stream.capturing, self.noted = self, []

    def end_capture(self):
        Stream.capturing = None
        for array, copy in self.before:
            array[...] = copy
        return Graph(self.noted)

    def synchronize(self):
        refuse("synchronize")


class Event(FakeEvent):
    """``cupy.cuda.Event``."""

    stream = None

    def record(self, stream=None):
        super().record(stream)
        self.stream = stream


class Graph:
    """``cupy.cuda.Graph``."""

    def __init__(self, noted):
        self.noted = noted

    def launch(self, stream=None):
        for work in self.noted:
            work()


class Pool:
    """``cupy.cuda.MemoryPool``."""

    def __init__(self):
        self.used = self.total = 0

    def malloc(self, size):
        raise AssertionError("NumPy has the memory")

    def used_bytes(self):
        return self.used

    def total_bytes(self):
        return self.total

    def free_all_blocks(self):
        self.total = self.used


class MemoryHook:
    """``cupy.cuda.MemoryHook``."""

    entered: list["MemoryHook"] = []

    def __enter__(self):
        self.entered.append(self)
        return self


def refuse(what):
    """What CuPy says where it cannot do something in a capture."""
    if Stream.capturing is not None:
        raise RuntimeError(f"{what}: operation not permitted when stream is capturing")


def noting(function):
    """A function of arrays that is noted while a stream captures."""

    def call(*args, **kwargs):
        result = function(*args, **kwargs)
        if Stream.capturing is not None and not getattr(args[0], "makes_garbage", False):
            given = [value for value in flat((args, tuple(kwargs.values()))) if isinstance(value, StrictArray)]
            kept = [value for value in flat(result) if isinstance(value, StrictArray)]

            def again():
                for old, new in zip(kept, (v for v in flat(function(*args, **kwargs)) if isinstance(v, StrictArray))):
                    if not any(np.may_share_memory(old._hidden, array._hidden) for array in given):
                        old._hidden[...] = new._hidden

            Stream.capturing.noted.append(again)
        return result

    return call


def flat(value):
    return [item for part in value for item in flat(part)] if isinstance(value, (tuple, list)) else [value]


def refusing(function):
    def call(*args, **kwargs):
        refuse(getattr(function, "__name__", "copy"))
        return function(*args, **kwargs)

    return call


class Cupy(FakeCupy):
    """The module."""

    def __init__(self):
        super().__init__(gpus=2)
        self.allocators, self.pinned = [], []
        for name, value in {
            "Stream": Stream,
            "Event": Event,
            "MemoryPool": Pool,
            "MemoryHook": MemoryHook,
            "default_pool": Pool(),
            "get_current_stream": lambda: FakeStream.current,
            "using_allocator": self.using_allocator,
            "pinned_memory": SimpleNamespace(is_memory_pinned=self.is_pinned),
        }.items():
            setattr(self.cuda, name, value)

    @contextmanager
    def using_allocator(self, allocator):
        self.allocators.append(allocator)
        try:
            yield
        finally:
            self.allocators.pop()

    def is_pinned(self, address):
        return any(array.__array_interface__["data"][0] == address for array in self.pinned)

    def empty_like_pinned(self, array):
        self.pinned.append(np.empty_like(array))
        return self.pinned[-1]

    def asnumpy(self, array):
        refuse("asnumpy")
        return super().asnumpy(array)

    def asarray(self, value, dtype=None):
        if isinstance(value, np.ndarray) and value.ndim:
            refuse("asarray")
        return super().asarray(value, dtype=dtype)


@contextmanager
def capturing_cupy() -> Iterator[Cupy]:
    """The module in cupy's place, with a CUDA backend that has all that graphs need."""
    operators = [
        name
        for name, value in vars(StrictArray).items()
        if callable(value) and value is not StrictArray._refuse and (name[:2] == "__" or name in ("astype", "copy", "reshape"))
    ]
    operators = [name for name in operators if name not in ("__init__", "__len__", "__repr__", "__hash__", "__new__")]
    with ExitStack() as stack:
        stack.enter_context(patch.object(Stream, "null", Stream(null=True)))
        stack.enter_context(patch.object(FakeStream, "current", Stream.null))
        stack.enter_context(patch.object(Stream, "capturing", None))
        module = Cupy()
        stack.enter_context(fake_cupy(module))
        special = sys.modules["cupyx.scipy.special"]
        for name, function in list(vars(special).items()):
            setattr(special, name, noting(function))
        noted = [(Function, "__call__"), (FakeCublas, "cublasGemmStridedBatchedEx"), (_Function, "__call__"), (_Ufunc, "at")]
        for target, name in [*noted, *((StrictArray, name) for name in operators)]:
            stack.enter_context(patch.object(target, name, noting(vars(target)[name])))
        garbage = property(lambda self: self._function in (np.empty, np.empty_like))
        stack.enter_context(patch.object(_Function, "makes_garbage", garbage, create=True))
        stack.enter_context(patch.object(StrictArray, "item", refusing(StrictArray.item)))
        stack.enter_context(patch.dict("sys.modules", {"cupyx": SimpleNamespace(empty_like_pinned=module.empty_like_pinned)}))
        yield module
