"""``cupy.cuda`` where there is none: GPUs that are numbers, and streams, events and pools that have nothing to do."""

import time
from types import SimpleNamespace


class FakeGPU:
    """``cupy.cuda.Device``."""

    current = 0
    waited_for: list[int] = []
    compute_capability = "90"
    attributes = {"MaxSharedMemoryPerBlockOptin": 227 << 10}

    def __init__(self, index: int | None = None):
        self.id = FakeGPU.current if index is None else index

    def use(self):
        FakeGPU.current = self.id

    def synchronize(self):
        self.waited_for.append(self.id)

    def __enter__(self):
        self.before, FakeGPU.current = FakeGPU.current, self.id
        return self

    def __exit__(self, *exception):
        FakeGPU.current = self.before


class FakeStream:
    """``cupy.cuda.Stream``: what is asked of it is done by then. It cannot be captured."""

    current: "FakeStream"
    null: "FakeStream"
    count = 0

    def __init__(self, null=False, non_blocking=False):
        FakeStream.count += not null
        self.ptr = 0 if null else FakeStream.count
        self._before = []

    def use(self):
        FakeStream.current = self
        return self

    def synchronize(self):
        pass

    def record(self, event=None):
        event = FakeEvent() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event):
        pass

    def __enter__(self):
        self._before.append(FakeStream.current)
        return self.use()

    def __exit__(self, *exception):
        FakeStream.current = self._before.pop()


FakeStream.null = FakeStream.current = FakeStream(null=True)


class FakeEvent:
    """``cupy.cuda.Event``: the time when it was recorded."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.at = None
        self.done = True

    def record(self, stream=None):
        self.at = time.perf_counter()

    def synchronize(self):
        pass


class FakePool:
    """``cupy.cuda.MemoryPool``. The memory is NumPy's; a test may set what it is said to hold."""

    def __init__(self, allocator=None):
        self.used = self.total = 0

    def used_bytes(self):
        return self.used

    def total_bytes(self):
        return self.total

    def free_bytes(self):
        return self.total - self.used

    def free_all_blocks(self, stream=None):
        self.total = self.used


def fake_cuda(gpus: int) -> SimpleNamespace:
    """The module, with as many GPUs; each is an H100 as far as it can be asked."""
    properties = {
        "name": b"fake",
        "multiProcessorCount": 132,
        "l2CacheSize": 50 << 20,
        "major": 9,
        "minor": 0,
        "totalGlobalMem": 80 << 30,
        "sharedMemPerBlockOptin": 227 << 10,
    }
    return SimpleNamespace(
        Device=FakeGPU,
        Stream=FakeStream,
        Event=FakeEvent,
        MemoryPool=FakePool,
        default_pool=FakePool(),
        is_available=lambda: gpus > 0,
        nvrtc=SimpleNamespace(getVersion=lambda: (13, 0)),
        get_current_stream=lambda: FakeStream.current,
        get_elapsed_time=lambda start, end: 1000 * (end.at - start.at),
        pinned_memory=SimpleNamespace(is_memory_pinned=lambda address: False),
        runtime=SimpleNamespace(
            getDeviceCount=lambda: gpus,
            getDevice=lambda: FakeGPU.current,
            getDeviceProperties=lambda index: dict(properties),
            memGetInfo=lambda: (79 << 30, 80 << 30),
        ),
    )
