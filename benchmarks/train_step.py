"""Training and evaluation of the classic networks, beside torch's: python -m benchmarks.train_step --peer torch

Every row is measured in processes of its own, one for each library, which take short turns; torch once with contiguous and once
with channels-last memory, of which the faster counts. A training step is zero_grad, forward, cross-entropy, backward and SGD
with momentum; an evaluation is the forward pass under no_grad. Peak memory is the largest resident set less what the process
had before the network was built.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import math
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from . import networks
from .measure import PINS, in_short_turns, machine, serve

CHANNELS_LAST = "torch-channels-last"
IMAGE = (3, 224, 224)


class Row(NamedTuple):
    """What is measured: a network of networks.py, and its input."""

    title: str
    network: str
    batch: int
    shape: tuple[int, ...]
    classes: int
    train: bool = True


ROWS = {
    "mlp": Row("MLP 1000→100→10", "mlp", 64, (1000,), 10),
    "lenet5": Row("LeNet-5", "lenet5", 128, (1, 28, 28), 10),
    "resnet20": Row("ResNet-20, 32×32", "resnet20", 128, (3, 32, 32), 10),
    "cifar_resnet18": Row("ResNet-18, 32×32", "cifar_resnet18", 32, (3, 32, 32), 10),
    "alexnet": Row("AlexNet", "alexnet", 8, IMAGE, 1000),
    "vgg11": Row("VGG-11", "vgg11", 4, IMAGE, 1000),
    "googlenet": Row("GoogLeNet", "googlenet", 4, IMAGE, 1000),
    "resnet18": Row("ResNet-18", "resnet18", 8, IMAGE, 1000),
    "resnet50": Row("ResNet-50", "resnet50", 4, IMAGE, 1000),
    "wide_resnet50_2": Row("Wide ResNet-50-2", "wide_resnet50_2", 2, IMAGE, 1000),
    "resnext50_32x4d": Row("ResNeXt-50 32×4d", "resnext50_32x4d", 4, IMAGE, 1000),
    "densenet121": Row("DenseNet-121", "densenet121", 4, IMAGE, 1000),
    "resnet20-eval": Row("ResNet-20, 32×32, eval", "resnet20", 128, (3, 32, 32), 10, False),
    "cifar_resnet18-eval": Row("ResNet-18, 32×32, eval", "cifar_resnet18", 32, (3, 32, 32), 10, False),
    "resnet50-eval": Row("ResNet-50, eval", "resnet50", 4, IMAGE, 1000, False),
    "vgg16-eval": Row("VGG-16, eval", "vgg16", 4, IMAGE, 1000, False),
}


WARM = 0.06
"""Seconds of steps, one at least, at the start of a turn that do not count: after a pause, it takes the system that long to put
a process's threads on processors of their own."""


def measurement(library: str, row: Row, seconds: float, threads: int) -> Callable[[], dict[str, float]]:
    """What measures steps for so many seconds, one at least, after some that do not count.

    It finds milliseconds of a step (the median), peak MB, page faults per step, and processor time over wall time.
    """
    lib = importlib.import_module("torch" if library == CHANNELS_LAST else library)
    for room in ("nn", "optim"):
        importlib.import_module(f"{lib.__name__}.{room}")
    lib.set_num_threads(threads)
    before = resident()
    step = step_of(lib, row, library == CHANNELS_LAST)
    for _ in range(2):
        step()

    def times_of(seconds: float) -> list[float]:
        times: list[float] = []
        start = time.perf_counter()
        while not times or time.perf_counter() - start < seconds:
            begin = time.perf_counter()
            step()
            times.append(time.perf_counter() - begin)
        return times

    def measure() -> dict[str, float]:
        times_of(WARM)
        start, faults, busy = time.perf_counter(), minor_faults(), time.process_time()
        times = times_of(seconds)
        wall = time.perf_counter() - start
        return {
            "ms": 1e3 * statistics.median(times),
            "peak_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / 1e6,
            "faults": (minor_faults() - faults) / len(times),
            "busy": (time.process_time() - busy) / wall,
        }

    return measure


def step_of(lib: Any, row: Row, channels_last: bool) -> Callable[[], None]:
    """One training step, or one evaluation, as a function."""
    lib.manual_seed(0)
    model = getattr(networks, row.network)(lib)
    x, labels = lib.randn(row.batch, *row.shape), lib.randint(0, row.classes, (row.batch,))
    if channels_last and x.ndim == 4:
        model, x = model.to(memory_format=lib.channels_last), x.to(memory_format=lib.channels_last)
    optimizer = lib.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    criterion = lib.nn.CrossEntropyLoss()

    def train() -> None:
        optimizer.zero_grad()
        criterion(model(x), labels).backward()
        optimizer.step()

    def evaluate() -> None:
        with lib.no_grad():
            model(x)

    model.train(row.train)
    return train if row.train else evaluate


def resident() -> int:
    """The bytes of this process that are in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def minor_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def compare(found: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The figures of one row: minigrad's, and those of the faster of torch's layouts with the ratio of the two."""
    peers = [library for library in found if library != "minigrad"]
    if not peers:
        return {"minigrad": found["minigrad"]}
    best = min(peers, key=lambda library: found[library]["ms"])
    return {**found, "best": best, "ratio": found["minigrad"]["ms"] / found[best]["ms"]}


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(math.log(value) for value in values) / len(values))


def line(title: str, result: dict[str, Any]) -> str:
    """A row of the table."""
    own = result["minigrad"]
    text = f"{title:26}{own['ms']:10.1f}"
    if "ratio" in result:
        peer = result[result["best"]]
        layout = "channels last" if result["best"] == CHANNELS_LAST else "contiguous"
        text += f"{peer['ms']:10.1f}  {layout:14}{result['ratio']:6.2f}{own['peak_mb']:9.0f}{peer['peak_mb']:9.0f}"
        return text + f"{own['faults']:9.0f}{peer['faults']:9.0f}{own['busy']:7.2f}"
    return text + f"{own['peak_mb']:9.0f}{own['faults']:9.0f}{own['busy']:7.2f}"


def draw(results: dict[str, Any], path: Path, title: str) -> None:
    """A bar for every row's ratio."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [name for name in results if "ratio" in results[name]]
    figure, axes = pyplot.subplots(figsize=(8, 0.4 * len(names) + 1.5), layout="constrained")
    axes.barh([ROWS[name].title for name in names], [results[name]["ratio"] for name in names])
    axes.axvline(1, color="black", linewidth=1)
    axes.invert_yaxis()
    axes.set_xlabel("time of a step, over torch's")
    axes.set_title(title, fontsize=9)
    figure.savefig(path)
    pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", choices=["torch"], help="what to compare with")
    parser.add_argument(
        "--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW", help=f"some of: {', '.join(ROWS)}"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.2, help="how long a turn lasts; one step at least")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--chart", type=Path, help="also draw the ratios here; needs --peer")
    parser.add_argument("--measure", metavar="LIBRARY", help="measure one library and one row in this process")
    options = parser.parse_args(arguments)
    if options.measure:
        serve(measurement(options.measure, ROWS[options.rows[0]], options.seconds, options.threads))
        return
    if options.chart and not options.peer:
        parser.error("--chart draws ratios: expected --peer torch beside it")
    if options.peer and not importlib.util.find_spec("torch"):
        parser.error("--peer torch: torch is not installed here (pip install torch==2.13.0)")
    libraries = ["minigrad", *(["torch", CHANNELS_LAST] if options.peer else [])]
    print(f"{machine(options.threads)}; medians of {options.turns} turns each; {' and '.join(PINS)} unset")
    print(f"{'':26}{'ms':>10}" + (f"{'torch ms':>10}  {'layout':14}{'ratio':>6}" if options.peer else ""), end="")
    print(
        f"{'MB':>9}{'torch':>9}{'faults':>9}{'torch':>9}{'busy':>7}" if options.peer else f"{'MB':>9}{'faults':>9}{'busy':>7}"
    )
    results = {}
    for name in options.rows:
        child = ["--rows", name, "--seconds", str(options.seconds), "--threads", str(options.threads)]
        turn = [library for library in libraries if library != CHANNELS_LAST or len(ROWS[name].shape) == 3]
        results[name] = compare(in_short_turns("benchmarks.train_step", turn, options.turns, options.threads, child))
        print(line(ROWS[name].title, results[name]), flush=True)
    if options.peer:
        for what, train in (("training", True), ("evaluation", False)):
            ratios = [results[name]["ratio"] for name in results if ROWS[name].train == train]
            if ratios:
                print(f"geometric mean of the ratios, {what}: {geometric_mean(ratios):.2f}")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(options.threads), "rows": results}, indent=1) + "\n")
    if options.chart:
        draw(results, options.chart, machine(options.threads))


if __name__ == "__main__":
    main()
