"""Each kernel beside torch's, and beside what the machine can do: python -m benchmarks.ops --peer torch

The limits are the rate of a float32 product of 2048×2048 matrices, and the rate of copying arrays far larger than the caches;
they are measured anew before the libraries in every turn, as both move from minute to minute. What a row reaches of its limit
is, for products and convolutions, FLOPs over time over the first rate, counted as a plain sum, so that Winograd's tiles may
exceed 1; for all else the bytes that must move at least, each operation's inputs read once and its outputs written once, over
time over the second, which exceeds 1 where they stay in a cache or are written in place.

Libraries are measured in processes of their own, in turn, family by family. Forward passes are recorded, as in training;
backward passes start from a graph that is kept, and compute no gradient that is not asked for. Tensors lie in memory as they do
in a network: minigrad's features channels last, as its convolutions leave them, pictures (3 channels) and weights contiguous;
torch's once all contiguous and once all channels last, of which the faster counts.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import itertools
import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from .measure import PINS, in_turn, machine, median_seconds
from .train_step import CHANNELS_LAST, compare

LIMITS = "limits"
"""What takes a turn beside the libraries."""

UNITS = {"sgemm": "GFLOP/s", "copy": "GB/s"}

FLOAT, LABEL = 4, 8
"""Bytes of a float32, and of a label, an int64."""


class Order(NamedTuple):
    """Which 4-d tensors lie in memory channels last."""

    features: bool
    pictures: bool
    weights: bool


ORDERS = {
    "minigrad": Order(features=True, pictures=False, weights=False),
    "torch": Order(features=False, pictures=False, weights=False),
    CHANNELS_LAST: Order(features=True, pictures=True, weights=True),
}


def images(lib: ModuleType, shape: Sequence[int], channels_last: bool) -> Any:
    """Random numbers in the shape (N, C, H, W), in memory like that or as (N, H, W, C)."""
    if not channels_last:
        return lib.randn(*shape)
    N, C, H, W = shape
    return lib.randn(N, H, W, C).permute(0, 3, 1, 2) + 0  # a result of its own, in the order of what it was computed from


class Case:
    """Something to measure; ``what`` names a part or direction of it, such as ``forward``."""

    limit = "copy"
    has_images = True

    def work(self, what: str) -> int:
        """FLOPs where the limit is ``sgemm``, bytes where it is ``copy``."""
        raise NotImplementedError

    def build(self, lib: ModuleType, order: Order, what: str) -> Callable[[], Any]:
        """What is timed, with all that it needs made ready."""
        raise NotImplementedError


@dataclass(frozen=True)
class Product(Case):
    """(rows, inner) @ (inner, columns)."""

    rows: int
    inner: int
    columns: int
    limit = "sgemm"
    has_images = False

    def work(self, what: str) -> int:
        return 2 * self.rows * self.inner * self.columns

    def build(self, lib: ModuleType, order: Order, what: str) -> Callable[[], Any]:
        a, b = lib.randn(self.rows, self.inner), lib.randn(self.inner, self.columns)
        return lambda: lib.matmul(a, b)


@dataclass(frozen=True)
class Convolution(Case):
    """A layer of square images that a stride of 1 keeps in size; ``forward``, or a gradient, by ``input`` or ``weight``."""

    in_channels: int
    out_channels: int
    kernel_size: int
    size: int
    batch: int = 4
    stride: int = 1
    groups: int = 1
    limit = "sgemm"

    def work(self, what: str) -> int:
        """The same in all three directions; products with padding count."""
        out_size = (self.size - 1) // self.stride + 1
        outputs = self.batch * self.out_channels * out_size**2
        return 2 * outputs * self.in_channels // self.groups * self.kernel_size**2

    def build(self, lib: ModuleType, order: Order, what: str) -> Callable[[], Any]:
        last = order.pictures if self.in_channels == 3 else order.features
        x = images(lib, (self.batch, self.in_channels, self.size, self.size), last)
        k = self.kernel_size
        w = images(lib, (self.out_channels, self.in_channels // self.groups, k, k), order.weights)
        wanted = (x if what == "input" else w).requires_grad_()

        def forward() -> Any:
            return lib.nn.functional.conv2d(x, w, None, self.stride, k // 2, 1, self.groups)

        return forward if what == "forward" else backward(lib, forward(), wanted, order)


@dataclass(frozen=True)
class Features(Case):
    """An operation on square images, ``forward`` or ``backward``."""

    batch: int
    channels: int
    size: int

    def input(self, lib: ModuleType, order: Order) -> Any:
        return images(lib, (self.batch, self.channels, self.size, self.size), order.features).requires_grad_()

    def build(self, lib: ModuleType, order: Order, what: str) -> Callable[[], Any]:
        x = self.input(lib, order)
        return (lambda: self.result(lib, x)) if what == "forward" else backward(lib, self.result(lib, x), x, order)

    def result(self, lib: ModuleType, x: Any) -> Any:
        raise NotImplementedError


class Relu(Features):
    def work(self, what: str) -> int:
        """From x to y; from y and its gradient to x's."""
        return FLOAT * {"forward": 2, "backward": 3}[what] * self.batch * self.channels * self.size**2

    def result(self, lib: ModuleType, x: Any) -> Any:
        return lib.nn.functional.relu(x)


@dataclass(frozen=True)
class MaxPool(Features):
    """Windows of stride 2, padded where they overlap."""

    kernel_size: int

    @property
    def padding(self) -> int:
        return (self.kernel_size - 1) // 2

    def work(self, what: str) -> int:
        """From x to y, or from y's gradient to x's; how the chosen elements are kept is the library's own business."""
        out_size = (self.size + 2 * self.padding - self.kernel_size) // 2 + 1
        return FLOAT * self.batch * self.channels * (self.size**2 + out_size**2)

    def result(self, lib: ModuleType, x: Any) -> Any:
        return lib.nn.functional.max_pool2d(x, self.kernel_size, 2, self.padding)


class BatchNorm(Features):
    """Batch norm in training, with all its gradients; with ReLU behind it, forward and backward go ``together``."""

    def work(self, what: str) -> int:
        """From x to y; from x and y's gradient to x's; what has one number per channel does not count."""
        return FLOAT * {"forward": 2, "backward": 3, "together": 5}[what] * self.batch * self.channels * self.size**2

    def build(self, lib: ModuleType, order: Order, what: str) -> Callable[[], Any]:
        F = lib.nn.functional
        x, above = self.input(lib, order), self.input(lib, order).detach()
        weight, bias = lib.ones(self.channels).requires_grad_(), lib.zeros(self.channels).requires_grad_()
        running = lib.zeros(self.channels), lib.ones(self.channels)

        def normalized() -> Any:
            return F.batch_norm(x, *running, weight, bias, training=True)

        if what == "forward":
            return lambda: normalized().detach()  # minigrad computes the result when somebody looks at it
        if what == "backward":
            return backward(lib, normalized(), (x, weight, bias), order)
        return lambda: lib.autograd.grad(F.relu(normalized(), inplace=True), (x, weight, bias), above)


@dataclass(frozen=True)
class Cat(Case):
    """Features of several layers, joined along the channels."""

    channels: tuple[int, ...]
    size: int
    batch: int = 4

    def work(self, what: str) -> int:
        return FLOAT * 2 * self.batch * sum(self.channels) * self.size**2

    def build(self, lib: ModuleType, order: Order, what: str) -> Callable[[], Any]:
        parts = [images(lib, (self.batch, C, self.size, self.size), order.features) for C in self.channels]
        return lambda: lib.cat(parts, 1)


@dataclass(frozen=True)
class CrossEntropy(Case):
    """The loss and its gradient."""

    batch: int
    classes: int
    has_images = False

    def work(self, what: str) -> int:
        """From scores and labels to a number, and from both to the scores' gradient."""
        return FLOAT * 3 * self.batch * self.classes + LABEL * 2 * self.batch

    def build(self, lib: ModuleType, order: Order, what: str) -> Callable[[], Any]:
        scores = lib.randn(self.batch, self.classes).requires_grad_()
        labels = lib.randint(0, self.classes, (self.batch,))
        return lambda: lib.autograd.grad(lib.nn.functional.cross_entropy(scores, labels), scores)


@dataclass(frozen=True)
class Step(Case):
    """A step of an optimizer, ``SGD`` with momentum or ``Adam``, with many tensors of one size."""

    tensors: int
    numbers: int
    has_images = False

    def work(self, what: str) -> int:
        """Parameters and one state, or two, are read and written, gradients are read."""
        return FLOAT * {"SGD": 5, "Adam": 7}[what] * self.tensors * self.numbers

    def build(self, lib: ModuleType, order: Order, what: str) -> Callable[[], Any]:
        parameters = [lib.randn(self.numbers).requires_grad_() for _ in range(self.tensors)]
        for parameter in parameters:
            parameter.grad = lib.randn(self.numbers)
        options = {"momentum": 0.9} if what == "SGD" else {}
        return getattr(lib.optim, what)(parameters, lr=1e-3, **options).step


@dataclass(frozen=True)
class Add(Case):
    numbers: int
    has_images = False

    def work(self, what: str) -> int:
        return FLOAT * 3 * self.numbers

    def build(self, lib: ModuleType, order: Order, what: str) -> Callable[[], Any]:
        a, b = lib.randn(self.numbers), lib.randn(self.numbers)
        return lambda: a + b


def backward(lib: ModuleType, output: Any, wanted: Any, order: Order) -> Callable[[], Any]:
    """The gradient of features by what is wanted, as a function that can be called again and again."""
    above = images(lib, output.shape, order.features)
    return lambda: lib.autograd.grad(output, wanted, above, retain_graph=True)


class Row(NamedTuple):
    """What is measured: a case, and what of it (``forward``, ``weight``, ...)."""

    title: str
    family: str
    case: Case
    what: str = "forward"


PRODUCTS = (*(Product(n, n, n) for n in (256, 512, 1024, 2048)), Product(12544, 64, 256), Product(64, 1000, 100))

CONVOLUTIONS = {
    "ResNet-50": (
        Convolution(3, 64, 7, 224, stride=2),
        Convolution(64, 64, 3, 56),
        Convolution(128, 128, 3, 56, stride=2),
        Convolution(128, 128, 3, 28),
        Convolution(256, 256, 3, 14),
        Convolution(512, 512, 3, 7),
        Convolution(64, 256, 1, 56),
        Convolution(1024, 256, 1, 14),
    ),
    "VGG": (Convolution(128, 128, 3, 112), Convolution(512, 512, 3, 14)),
    "ResNet-20": (Convolution(16, 16, 3, 32, batch=128), Convolution(32, 32, 3, 16, batch=128)),
    "DenseNet": (Convolution(128, 32, 3, 14),),
    "ResNeXt": (Convolution(128, 128, 3, 56, groups=32),),
}

FEATURES = ((4, 256, 56), (4, 1024, 14), (128, 16, 32))
"""Batch, channels and size of what is normalized and rectified: two stages of ResNet-50, one of ResNet-20."""


def product_rows() -> dict[str, Row]:
    rows = {}
    for case in PRODUCTS:
        name = f"{case.rows}" if case.rows == case.inner == case.columns else f"{case.rows}x{case.inner}x{case.columns}"
        rows[f"matmul-{name}"] = Row(f"{case.rows}×{case.inner} @ {case.inner}×{case.columns}", "matmul", case)
    return rows


def convolution_rows() -> dict[str, Row]:
    rows = {}
    for what, direction in (("forward", "forward"), ("input", "by the input"), ("weight", "by the weight")):
        for network, cases in CONVOLUTIONS.items():
            for case in cases:
                k = case.kernel_size
                name = f"conv-{case.in_channels}-{case.out_channels}-{k}x{k}-{case.size}"
                title = f"{network}: {case.in_channels}→{case.out_channels}, {k}×{k}"
                if case.stride > 1:
                    name, title = f"{name}-stride{case.stride}", f"{title}/{case.stride}"
                if case.groups > 1:
                    name, title = f"{name}-groups{case.groups}", f"{title}, {case.groups} groups"
                rows[f"{name}-{what}"] = Row(f"{title} at {case.size}, {direction}", f"conv-{what}", case, what)
    return rows


def feature_rows() -> dict[str, Row]:
    rows = {}
    for family, title, case in (("norm", "batch norm", BatchNorm), ("relu", "ReLU", Relu)):
        for N, C, size in FEATURES:
            shape = f"{N}×{C}×{size}×{size}"
            for what in ("forward", "backward"):
                rows[f"{family}-{N}x{C}x{size}-{what}"] = Row(f"{title} {shape}, {what}", family, case(N, C, size), what)
            if case is BatchNorm:
                both = f"{title} + ReLU {shape}, forward and backward"
                rows[f"norm-relu-{N}x{C}x{size}"] = Row(both, family, case(N, C, size), "together")
    for case in (MaxPool(4, 64, 112, 3), MaxPool(4, 64, 224, 2)):
        k, size = case.kernel_size, case.size
        for what in ("forward", "backward"):
            rows[f"pool-{k}x{k}-{what}"] = Row(f"max pool {k}×{k}/2 of 4×64×{size}×{size}, {what}", "pool", case, what)
    return rows


ROWS = {
    **product_rows(),
    **convolution_rows(),
    **feature_rows(),
    "cat-28": Row("cat of 64, 128, 32 and 32 channels at 28", "cat", Cat((64, 128, 32, 32), 28)),
    "cat-56": Row("cat of 4 times 64 channels at 56", "cat", Cat((64, 64, 64, 64), 56)),
    "cross-entropy": Row("cross-entropy 256×1000, forward and backward", "loss", CrossEntropy(256, 1000)),
    "sgd": Row("SGD with momentum, 10M parameters in 100 tensors", "optim", Step(100, 100_000), "SGD"),
    "adam": Row("Adam, 10M parameters in 100 tensors", "optim", Step(100, 100_000), "Adam"),
    "add-16M": Row("addition of 16M numbers", "add", Add(2**24)),
}
FAMILIES = list(dict.fromkeys(row.family for row in ROWS.values()))


def measure(library: str, names: Iterable[str], seconds: float, threads: int) -> dict[str, float]:
    """Milliseconds of every row, of those alone that have images where the library is torch with channels-last memory."""
    lib = importlib.import_module("torch" if library == CHANNELS_LAST else library)
    for room in ("nn", "optim"):
        importlib.import_module(f"{lib.__name__}.{room}")
    lib.set_num_threads(threads)
    lib.manual_seed(0)
    found = {}
    for name in names:
        case = ROWS[name].case
        if library != CHANNELS_LAST or case.has_images:
            found[name] = 1e3 * median_seconds(case.build(lib, ORDERS[library], ROWS[name].what), seconds)
    return found


def product_rate(seconds: float, size: int = 2048) -> float:
    """FLOPs a second of a product of square matrices by NumPy's BLAS, on the threads that ``in_turn`` gives it."""
    generator = np.random.default_rng(0)
    a, b = generator.random((size, size), np.float32), generator.random((size, size), np.float32)
    product = np.empty_like(a)
    return 2 * size**3 / median_seconds(lambda: np.matmul(a, b, out=product), seconds)


def copy_rate(threads: int, seconds: float, numbers: int = 2**26) -> float:
    """Bytes a second, read and written, of copying an array."""
    source, target = np.ones(numbers, np.float32), np.zeros(numbers, np.float32)
    bounds = [numbers * i // threads for i in range(threads + 1)]
    parts = [slice(start, stop) for start, stop in itertools.pairwise(bounds)]

    def copy(part: slice) -> None:
        np.copyto(target[part], source[part])

    with ThreadPoolExecutor(threads) as pool:
        return 2 * source.nbytes / median_seconds(lambda: list(pool.map(copy, parts)), seconds)


def measure_limits(names: Iterable[str], seconds: float, threads: int) -> dict[str, float]:
    """What limits the rows: ``sgemm`` in GFLOP/s, ``copy`` in GB/s."""
    rates = {"sgemm": lambda: product_rate(seconds), "copy": lambda: copy_rate(threads, seconds)}
    return {limit: 1e-9 * rates[limit]() for limit in sorted({ROWS[name].case.limit for name in names})}


def fraction(row: Row, ms: float, limits: dict[str, float]) -> float:
    """What a row that takes so long reaches of its limit."""
    return row.case.work(row.what) / (1e-3 * ms) / (1e9 * limits[row.case.limit])


def result_of(row: Row, found: dict[str, float], limits: dict[str, float]) -> dict[str, Any]:
    """The figures of one row, from every library's milliseconds."""
    result = compare({library: {"ms": ms} for library, ms in found.items()})
    result |= {"limit": row.case.limit, "fraction": fraction(row, found["minigrad"], limits)}
    if "best" in result:
        result["peer_fraction"] = fraction(row, found[result["best"]], limits)
    return result


def family_ratios(results: dict[str, dict[str, Any]]) -> dict[str, float]:
    """The geometric mean of the ratios of every family."""
    ratios: dict[str, list[float]] = {}
    for name, result in results.items():
        if "ratio" in result:
            ratios.setdefault(ROWS[name].family, []).append(result["ratio"])
    return {family: statistics.geometric_mean(values) for family, values in ratios.items()}


def line(row: Row, result: dict[str, Any]) -> str:
    """A row of the table."""
    text = f"{row.title:60}{result['minigrad']['ms']:10.3f}"
    if "ratio" not in result:
        return text + f"{result['fraction']:10.2f}"
    layout = "channels last" if result["best"] == CHANNELS_LAST else "contiguous"
    text += f"{result[result['best']]['ms']:10.3f}  {layout:14}{result['ratio']:6.2f}"
    return text + f"{result['fraction']:10.2f}{result['peer_fraction']:8.2f}"


def chosen(names: Iterable[str]) -> list[str]:
    """The rows of the names, each the name of a row or of a family, in the order of the table."""
    wanted = set(names)
    return [name for name, row in ROWS.items() if name in wanted or row.family in wanted]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", choices=["torch"], help="what to compare with")
    parser.add_argument(
        "--rows",
        nargs="+",
        choices=[*FAMILIES, *ROWS],
        default=FAMILIES,
        metavar="ROW",
        help=f"some families ({', '.join(FAMILIES)}) or rows ({', '.join(ROWS)})",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument(
        "--seconds", type=float, default=0.2, help="how long to measure a row in each process; three calls at least"
    )
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--measure", metavar="LIBRARY", help="measure one library, or the limits, in this process")
    options = parser.parse_args(arguments)
    names = chosen(options.rows)
    if options.measure == LIMITS:
        print(json.dumps(measure_limits(names, options.seconds, options.threads)))
        return
    if options.measure:
        print(json.dumps(measure(options.measure, names, options.seconds, options.threads)))
        return
    if options.peer and not importlib.util.find_spec("torch"):
        parser.error("--peer torch: torch is not installed here (pip install torch==2.13.0)")

    print(f"{machine(options.threads)}; medians of {options.turns} processes each, in turn; {' and '.join(PINS)} unset")
    print(f"{'':60}{'ms':>10}" + (f"{'torch ms':>10}  {'layout':14}{'ratio':>6}" if options.peer else ""), end="")
    print(f"{'of limit':>10}" + (f"{'torch':>8}" if options.peer else ""))
    limits, results = {}, {}
    for family in FAMILIES:
        rows = [name for name in names if ROWS[name].family == family]
        if not rows:
            continue
        libraries = [LIMITS, "minigrad", *(["torch"] if options.peer else [])]
        if options.peer and any(ROWS[name].case.has_images for name in rows):
            libraries.append(CHANNELS_LAST)
        child = ["--rows", *rows, "--seconds", str(options.seconds), "--threads", str(options.threads)]
        found = in_turn("benchmarks.ops", libraries, options.turns, options.threads, child)
        limits[family] = found.pop(LIMITS)
        print(f"{family}, limits: " + ", ".join(f"{limit} {rate:.1f} {UNITS[limit]}" for limit, rate in limits[family].items()))
        for name in rows:
            ms = {library: figures[name] for library, figures in found.items() if name in figures}
            results[name] = result_of(ROWS[name], ms, limits[family])
            print(line(ROWS[name], results[name]), flush=True)
    ratios = family_ratios(results)
    for family, ratio in ratios.items():
        print(f"geometric mean of the ratios, {family}: {ratio:.2f}")
    if options.json:
        figures = {"machine": machine(options.threads), "limits": limits, "rows": results, "ratios": ratios}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
