"""minigrad on NumPy beside minigrad on CuPy: python -m benchmarks.compare_backends

Matrix products of growing size, some single operations, and training steps of three networks; each device in processes of its
own, in turn. The clock is read when the device has done its work, which counts what every call costs and not only its kernels.
Where there is no GPU, the CPU is measured alone.
"""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import minigrad
from minigrad import nn, optim
from minigrad.nn import functional as F

from . import networks
from .measure import PINS, in_turn, machine, median_seconds

Timed = Callable[[], Any]

SIZES = tuple(2**power for power in range(4, 13))
"""Of the square matrices."""

BATCH = 32
"""Of the single operations."""

LABELS = {"cpu": "NumPy", "cuda": "CuPy"}


class Network(NamedTuple):
    """A network of networks.py, and its input."""

    title: str
    batch: int
    shape: tuple[int, ...]


NETWORKS = {
    "mlp": Network("MLP 1000→100→10", 64, (1000,)),
    "lenet5": Network("LeNet-5", 128, (1, 28, 28)),
    "resnet20": Network("ResNet-20, 32×32", 128, (3, 32, 32)),
}


def images(device: str, batch: int) -> minigrad.Tensor:
    """Features of a network's first stage, in memory channels last, as a convolution leaves them."""
    return minigrad.randn(batch, 56, 56, 64, device=device).permute(0, 3, 1, 2) + 0


def add(device: str, batch: int) -> Timed:
    a, b = images(device, batch), images(device, batch)
    return lambda: a + b


def relu(device: str, batch: int) -> Timed:
    x = images(device, batch)
    return lambda: F.relu(x)


def convolution(device: str, batch: int) -> Timed:
    x, w = images(device, batch), minigrad.randn(64, 64, 3, 3, device=device)
    return lambda: F.conv2d(x, w, padding=1)


def batch_norm(device: str, batch: int) -> Timed:
    x, weight, bias = images(device, batch), minigrad.ones(64, device=device), minigrad.zeros(64, device=device)
    return lambda: F.batch_norm(x, None, None, weight, bias, training=True).detach()  # computed when somebody looks at it


def max_pool(device: str, batch: int) -> Timed:
    x = images(device, batch)
    return lambda: F.max_pool2d(x, 3, 2, 1)


def softmax(device: str, batch: int) -> Timed:
    x = minigrad.randn(8 * batch, 1000, device=device)
    return lambda: F.softmax(x, 1)


def cross_entropy(device: str, batch: int) -> Timed:
    x = minigrad.randn(8 * batch, 1000, device=device, requires_grad=True)
    labels = minigrad.randint(0, 1000, (8 * batch,), device=device)
    return lambda: minigrad.autograd.grad(F.cross_entropy(x, labels), x)


class Operation(NamedTuple):
    """A single operation: what makes it ready on a device for a batch."""

    title: str
    build: Callable[[str, int], Timed]


OPERATIONS = {
    "add": Operation("addition, 32×64×56×56", add),
    "relu": Operation("ReLU, 32×64×56×56", relu),
    "conv3x3": Operation("convolution 3×3, 64→64, 32×64×56×56", convolution),
    "batch_norm": Operation("batch norm (training), 32×64×56×56", batch_norm),
    "max_pool": Operation("max pool 3×3/2, 32×64×56×56", max_pool),
    "softmax": Operation("softmax, 256×1000", softmax),
    "cross_entropy": Operation("cross-entropy and its gradient, 256×1000", cross_entropy),
}


def product(device: str, size: int) -> Timed:
    a, b = minigrad.randn(size, size, device=device), minigrad.randn(size, size, device=device)
    return lambda: a @ b


def training_step(device: str, name: str, batch: int) -> Timed:
    """zero_grad, forward, cross-entropy, backward, and SGD with momentum."""
    model = getattr(networks, name)(minigrad).to(device)
    x = minigrad.randn(batch, *NETWORKS[name].shape, device=device)
    labels = minigrad.randint(0, 10, (batch,), device=device)
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    criterion = nn.CrossEntropyLoss()

    def step() -> None:
        optimizer.zero_grad()
        criterion(model(x), labels).backward()
        optimizer.step()

    return step


def measure(device: str, names: Sequence[str], seconds: float, threads: int) -> dict[str, float]:
    """Milliseconds of every figure: ``matmul-256``, an operation, or a network."""
    minigrad.set_num_threads(threads)
    minigrad.manual_seed(0)
    return {name: 1e3 * median_seconds(finished(device, build(device, name)), seconds) for name in names}


def build(device: str, name: str, batch: int | None = None) -> Timed:
    """What is timed under a name; another batch than the table's is for tests."""
    if name in OPERATIONS:
        return OPERATIONS[name].build(device, batch or BATCH)
    if name in NETWORKS:
        return training_step(device, name, batch or NETWORKS[name].batch)
    return product(device, int(name.removeprefix("matmul-")))


def finished(device: str, function: Timed) -> Timed:
    """The function, and on a GPU the wait until it has done what it was asked."""

    def call() -> None:
        function()
        minigrad.cuda.synchronize(device)

    return call if device.startswith("cuda") else function


def title(name: str) -> str:
    """What a figure is called in the table."""
    if name in OPERATIONS:
        return OPERATIONS[name].title
    if name in NETWORKS:
        return f"{NETWORKS[name].title}, batch {NETWORKS[name].batch}: training step"
    size = name.removeprefix("matmul-")
    return f"{size}×{size} @ {size}×{size}"


def why_no_gpu() -> str:
    """The library's own message where there is no GPU to measure, and nothing where there is one."""
    try:
        minigrad.cuda.current_device()
    except RuntimeError as error:
        return str(error)
    return ""


def gpu_name() -> str:
    """What CuPy calls the GPU that is used."""
    properties = importlib.import_module("cupy").cuda.runtime.getDeviceProperties(minigrad.cuda.current_device())
    return properties["name"].decode()


def line(name: str, ms: dict[str, float]) -> str:
    """A row of the table, from every device's milliseconds."""
    text = f"{title(name):48}" + "".join(f"{value:12.3f}" for value in ms.values())
    return text + (f"{ms['cpu'] / ms['cuda']:10.1f}" if "cuda" in ms else "")


def draw(found: dict[str, dict[str, float]], path: Path, heading: str) -> None:
    """Time over size for the products, and bars for everything else."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(found["cpu"])
    products = [name for name in names if name.startswith("matmul-")]
    others = [name for name in names if name not in products]
    panels = [(panel, shown) for panel, shown in ((draw_products, products), (draw_others, others)) if shown]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(6.5 * len(panels), 5), layout="constrained", squeeze=False)
    for (panel, shown), own in zip(panels, axes[0]):
        panel(own, found, shown)
        own.legend()
    figure.suptitle(heading, fontsize=9)
    figure.savefig(path)
    pyplot.close(figure)


def draw_products(axes: Any, found: dict[str, dict[str, float]], names: Sequence[str]) -> None:
    sizes = [int(name.removeprefix("matmul-")) for name in names]
    for device, ms in found.items():
        axes.plot(sizes, [ms[name] for name in names], marker="o", label=LABELS[device])
    axes.set(title="product of square matrices", xlabel="size", ylabel="ms", yscale="log")
    axes.set_xscale("log", base=2)


def draw_others(axes: Any, found: dict[str, dict[str, float]], names: Sequence[str]) -> None:
    height = 0.8 / len(found)
    for i, (device, ms) in enumerate(found.items()):
        axes.barh(
            [place + height * i for place in range(len(names))], [ms[name] for name in names], height, label=LABELS[device]
        )
    axes.set_yticks([place + height * (len(found) - 1) / 2 for place in range(len(names))], [title(name) for name in names])
    axes.invert_yaxis()
    axes.set(title="operations and training steps", xlabel="ms", xscale="log")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="*", type=int, default=SIZES, help="of the matrices to multiply")
    for what, table in (("operations", OPERATIONS), ("networks", NETWORKS)):
        some = f"some of: {', '.join(table)}"
        parser.add_argument(f"--{what}", nargs="*", choices=table, default=list(table), metavar="NAME", help=some)
    parser.add_argument("--threads", type=int, default=2, help="of the CPU")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5, help="how long to measure each figure; three calls at least")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--plot", type=Path, help="also draw them here")
    parser.add_argument("--measure", metavar="DEVICE", help="measure one device in this process")
    options = parser.parse_args(arguments)
    if options.measure:
        names = [*(f"matmul-{size}" for size in options.sizes), *options.operations, *options.networks]
        print(json.dumps(measure(options.measure, names, options.seconds, options.threads)))
        return
    if not (options.sizes or options.operations or options.networks):
        parser.error("expected something to measure in --sizes, --operations or --networks, got nothing")
    missing = why_no_gpu()
    devices = ["cpu"] if missing else ["cpu", "cuda"]
    heading = f"{machine(options.threads)}; " + ("no GPU" if missing else gpu_name())
    print(f"{heading}; medians of {options.turns} processes each, in turn; {' and '.join(PINS)} unset")
    if missing:
        print(f"There is no GPU here, so the CPU is measured alone: {missing}")
    print(f"{'':48}" + "".join(f"{LABELS[device] + ' ms':>12}" for device in devices) + ("" if missing else f"{'times':>10}"))
    found: dict[str, dict[str, float]] = {device: {} for device in devices}
    kinds = {"sizes": options.sizes, "operations": options.operations, "networks": options.networks}
    for kind, chosen in kinds.items():
        if not chosen:
            continue
        child = ["--seconds", str(options.seconds), "--threads", str(options.threads)]
        for other in kinds:
            child += [f"--{other}", *(map(str, chosen) if other == kind else ())]
        part = in_turn("benchmarks.compare_backends", devices, options.turns, options.threads, child)
        for name in part["cpu"]:
            print(line(name, {device: part[device][name] for device in devices}), flush=True)
        for device in devices:
            found[device] |= part[device]
    if options.json:
        figures = {"machine": machine(options.threads), "gpu": None if missing else gpu_name(), "missing": missing, "ms": found}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if options.plot:
        draw(found, options.plot, heading)


if __name__ == "__main__":
    main()
