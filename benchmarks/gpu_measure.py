"""The process that times one library on a GPU: python -m benchmarks.gpu_measure minigrad, asked by gpu_timings.

The times of an operation are the GPU's own: calls are queued while it is kept busy, so that it never waits for the host; how
long the host takes to queue a call is a figure beside it. Training steps are timed as they come, one event after each.
"""

from __future__ import annotations

import functools
import gc
import importlib
import itertools
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from . import networks
from .gpu_rows import LIMITS, NETWORK_PRECISIONS, NETWORKS, OPERATIONS, Network, OnGPU
from .gpu_worker import Answers, Figures, serve
from .ops import ORDERS
from .train_step import CHANNELS_LAST

CYCLES = 1_800_000
"""Of a GPU's clock in a millisecond, about."""

LONGEST_SPIN = 20.0
"""Milliseconds."""

TORCH_WAYS = (("torch", "fp32"), ("torch", "amp"), (CHANNELS_LAST, "amp"), (CHANNELS_LAST, "tf32"))
"""Layouts of torch's networks, with precisions; cuDNN tries its algorithms out for each.
Left out is what was slower for all four networks of which all were measured (GPU.md)."""

SPIN = """
extern "C" __global__ void spin(long long cycles) {
    for (long long start = clock64(); clock64() - start < cycles;) {}
}
"""


class CuPyGPU:
    """What minigrad's arrays are on."""

    def __init__(self) -> None:
        self.cupy = importlib.import_module("cupy")
        self.kernel = self.cupy.RawKernel(SPIN, "spin")

    def mark(self) -> Any:
        """An event at the end of what has been queued so far."""
        event = self.cupy.cuda.Event()
        event.record()
        return event

    def between(self, start: Any, end: Any) -> float:
        """Milliseconds."""
        return self.cupy.cuda.get_elapsed_time(start, end)

    def wait(self) -> None:
        self.cupy.cuda.Device().synchronize()

    def spin(self, ms: float) -> None:
        """Keep the GPU busy for a while; does not wait for that."""
        self.kernel((1,), (1,), (int(ms * CYCLES),))

    def reserved(self) -> int:
        """Bytes that the pool holds."""
        return self.cupy.get_default_memory_pool().total_bytes()

    def release(self) -> None:
        gc.collect()
        self.cupy.get_default_memory_pool().free_all_blocks()


class TorchGPU:
    """The same of torch."""

    def __init__(self) -> None:
        self.cuda = importlib.import_module("torch").cuda

    def mark(self) -> Any:
        event = self.cuda.Event(enable_timing=True)
        event.record()
        return event

    def between(self, start: Any, end: Any) -> float:
        return start.elapsed_time(end)

    def wait(self) -> None:
        self.cuda.synchronize()

    def spin(self, ms: float) -> None:
        self.cuda._sleep(int(ms * CYCLES))

    def reserved(self) -> int:
        return self.cuda.memory_reserved()

    def release(self) -> None:
        gc.collect()
        self.cuda.empty_cache()


GPU = CuPyGPU | TorchGPU


def time_calls(gpu: GPU, function: Callable[[], Any], seconds: float = 0.01, repeats: int = 5) -> Figures:
    """Milliseconds of a call on the GPU, and of its queueing by the host: medians over the repeats of means."""
    for _ in range(3):
        function()
    gpu.wait()
    begin = time.perf_counter()
    function()
    queued = time.perf_counter() - begin
    gpu.wait()
    calls = max(1, min(50, int(seconds / (time.perf_counter() - begin))))
    times, hosts = [], []
    for _ in range(repeats):
        gpu.spin(min(LONGEST_SPIN, 1.5e3 * queued * calls))
        start, begin = gpu.mark(), time.perf_counter()
        for _ in range(calls):
            function()
        hosts.append(1e3 * (time.perf_counter() - begin) / calls)
        end = gpu.mark()
        gpu.wait()
        times.append(gpu.between(start, end) / calls)
    return {"ms": statistics.median(times), "host_ms": statistics.median(hosts)}


def time_steps(gpu: GPU, step: Callable[[], Any], warm: int = 3, steps: int = 10, single: int = 3) -> Figures:
    """Milliseconds of a training step: the median by events, the mean on the wall, and what the host needs to queue one.

    And the seconds of the steps before these, in which kernels are compiled, or chosen.
    """
    begin = time.perf_counter()
    for _ in range(warm):
        step()
    gpu.wait()
    warm_s, begin = time.perf_counter() - begin, time.perf_counter()
    marks = [gpu.mark()]
    for _ in range(steps):
        step()
        marks.append(gpu.mark())
    gpu.wait()
    wall = 1e3 * (time.perf_counter() - begin) / steps
    hosts = []
    for _ in range(single):
        begin = time.perf_counter()
        step()
        hosts.append(1e3 * (time.perf_counter() - begin))
        gpu.wait()
    times = [gpu.between(start, end) for start, end in itertools.pairwise(marks)]
    return {
        "ms": statistics.median(times),
        "warm_s": warm_s,
        "wall_ms": wall,
        "host_ms": statistics.median(hosts),
        "reserved_mb": gpu.reserved() / 1e6,
    }


def set_precision(lib: Any, precision: str) -> None:
    """Of products of float32 numbers, in matrix products and convolutions."""
    if lib.__name__ == "torch":
        lib.backends.cuda.matmul.allow_tf32 = lib.backends.cudnn.allow_tf32 = precision != "fp32"
    else:
        lib.set_float32_matmul_precision("highest" if precision == "fp32" else "high")


def operation_answers(lib: OnGPU, gpu: GPU, name: str, precision: str) -> Answers:
    """One for each layout in memory."""
    row = (LIMITS | OPERATIONS)[name]
    set_precision(lib, precision)
    for library, order in ORDERS.items():
        is_another = library == CHANNELS_LAST and row.case.has_images
        if library == lib.__name__ or (lib.__name__ == "torch" and is_another):
            yield library, lambda order=order: time_calls(gpu, row.case.build(lib, order, row.what))
            gpu.release()


class Training:
    """A network with its input and labels on a device, and its training step."""

    def __init__(self, lib: OnGPU, name: str, kind: Network):
        lib.manual_seed(0)
        self.lib = lib
        self.model = getattr(networks, name)(lib.lib).to(lib.device)
        self.inputs = lib.randn(kind.batch, *kind.shape), lib.randint(0, kind.classes, (kind.batch,))
        self.criterion = lib.nn.CrossEntropyLoss()

    def gflop(self) -> float:
        """Of a step's products, with a gradient by the weights and one by the input for each, which the first does not need."""
        layers: list[int] = []

        def note(module: Any, inputs: Any, output: Any) -> None:
            layers.append(2 * output.numel() * module.weight.numel() // module.weight.shape[0])

        kinds = (self.lib.nn.Conv2d, self.lib.nn.Linear)
        handles = [module.register_forward_hook(note) for module in self.model.modules() if isinstance(module, kinds)]
        with self.lib.no_grad():
            self.model(self.inputs[0])
        for handle in handles:
            handle.remove()
        return 1e-9 * (3 * sum(layers) - layers[0])

    def to_channels_last(self) -> None:
        images, labels = self.inputs
        self.model.to(memory_format=self.lib.channels_last)
        self.inputs = images.to(memory_format=self.lib.channels_last), labels

    def sgd(self) -> Any:
        return self.lib.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9)

    def step(self, optimizer: Any, amp: bool = False) -> Callable[..., Any]:
        """zero_grad, forward, cross-entropy, backward and the optimizer's step, as a function of images and labels."""

        def step(images: Any, labels: Any) -> Any:
            optimizer.zero_grad()
            with self.lib.autocast("cuda", dtype=self.lib.float16, enabled=amp):
                loss = self.criterion(self.model(images), labels)
            loss.backward()
            optimizer.step()
            return loss.detach()

        return step


def network_answers(lib: OnGPU, gpu: GPU, name: str) -> Answers:
    """What a step computes; then minigrad's steps, eager and captured, in all precisions, or torch's as TORCH_WAYS says."""
    training = Training(lib, name, NETWORKS[name])
    yield "work", lambda: {"gflop": training.gflop()}
    if lib.__name__ == "torch":
        cases = TORCH_WAYS
    else:
        cases = tuple((way, precision) for precision in NETWORK_PRECISIONS for way in ("eager", "captured"))
    before = ""
    for way, precision in cases:
        if way == CHANNELS_LAST != before:
            training.to_channels_last()
        before = way
        set_precision(lib, precision)

        def find(way: str = way, precision: str = precision) -> Figures:
            step = training.step(training.sgd(), precision == "amp")
            if way == "captured":
                step = lib.cuda.make_graphed(step, training.inputs)
            return time_steps(gpu, lambda: step(*training.inputs))

        yield f"{way} {precision}", find
        gpu.release()


@functools.cache
def prepare(library: str) -> tuple[OnGPU, GPU]:
    lib = importlib.import_module(library)
    for room in ("nn", "optim", "cuda"):
        importlib.import_module(f"{library}.{room}")
    if library == "torch":
        lib.backends.cudnn.benchmark = True
    return OnGPU(lib), TorchGPU() if library == "torch" else CuPyGPU()


def answers(library: str, question: Figures) -> Answers:
    """To ``{"network": name}``, or ``{"row": name, "precision": precision}``."""
    lib, gpu = prepare(library)
    if "network" in question:
        yield from network_answers(lib, gpu, question["network"])
    else:
        yield from operation_answers(lib, gpu, question["row"], question["precision"])


if __name__ == "__main__":
    serve(functools.partial(answers, sys.argv[1]))
