"""What ``gpu_check`` times: single operations at the batch sizes of a GPU, and training steps of the classic networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, NamedTuple

from . import ops, train_step
from .ops import FLOAT, BatchNorm, Case, CrossEntropy, Features, MaxPool, Order, Product, Relu, Step

BATCH = 64
"""Images of the single operations."""

PRECISIONS = ("fp32", "tf32")
"""Of the products in matrix products and convolutions; tf32 rounds their factors to 10 bits."""

NETWORK_PRECISIONS = (*PRECISIONS, "amp")
"""Of training steps; amp is autocast to float16 of forward and loss, without a scaler of gradients."""


class OnGPU:
    """A library, ``minigrad`` or ``torch``, whose tensors are made on a device.

    Random numbers are drawn once on the host, a million of them, and repeated.
    """

    def __init__(self, lib: ModuleType, device: str = "cuda"):
        self.lib, self.device = lib, device
        self.numbers = lib.randn(2**20).to(device)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.lib, name)

    def randn(self, *shape: int) -> Any:
        count = math.prod(shape)
        copies = -(-count // self.numbers.numel())
        return self.lib.cat([self.numbers] * copies)[:count].reshape(shape).clone()

    def randint(self, low: int, high: int, shape: tuple[int, ...]) -> Any:
        return self.lib.randint(low, high, shape).to(self.device)

    def ones(self, *shape: int) -> Any:
        return self.lib.ones(*shape, device=self.device)

    def zeros(self, *shape: int) -> Any:
        return self.lib.zeros(*shape, device=self.device)


@dataclass(frozen=True)
class Copy(Case):
    numbers: int
    has_images = False

    def work(self, what: str) -> int:
        return FLOAT * 2 * self.numbers

    def build(self, lib: Any, order: Order, what: str) -> Callable[[], Any]:
        x = lib.randn(self.numbers)
        return lambda: x.clone()


class GlobalAvgPool(Features):
    """The mean of each image's channels."""

    def work(self, what: str) -> int:
        """From x to y, or from y's gradient to x's."""
        return FLOAT * self.batch * self.channels * (self.size**2 + 1)

    def result(self, lib: Any, x: Any) -> Any:
        return lib.nn.functional.adaptive_avg_pool2d(x, 1)


PRODUCTS = (
    *(Product(n, n, n) for n in (512, 1024, 2048, 4096)),
    Product(BATCH * 56 * 56, 64, 256),
    Product(BATCH * 14 * 14, 1024, 256),
    Product(BATCH, 2048, 1000),
)
FEATURES = ((BATCH, 256, 56), (BATCH, 1024, 14), (128, 16, 32))
"""Batch, channels and size of what is normalized and rectified: two stages of ResNet-50, one of ResNet-20."""


def product_rows() -> dict[str, ops.Row]:
    return {
        f"matmul-{case.rows}x{case.inner}x{case.columns}": ops.Row(
            f"{case.rows}×{case.inner} @ {case.inner}×{case.columns}", "matmul", case
        )
        for case in PRODUCTS
    }


def convolution_rows() -> dict[str, ops.Row]:
    """Those of ResNet-50, and the grouped one of ResNeXt-50, as the CPU's benchmark has them, with a GPU's batch."""
    return {
        name: row._replace(case=replace(row.case, batch=BATCH))
        for name, row in ops.ROWS.items()
        if row.family.startswith("conv-") and row.title.startswith(("ResNet-50", "ResNeXt"))
    }


def feature_rows() -> dict[str, ops.Row]:
    rows = {}
    for N, C, size in FEATURES:
        shape = f"{N}×{C}×{size}×{size}"
        for what in ("forward", "backward"):
            rows[f"norm-{N}x{C}x{size}-{what}"] = ops.Row(f"batch norm {shape}, {what}", "norm", BatchNorm(N, C, size), what)
        both = f"batch norm + ReLU {shape}, forward and backward"
        rows[f"norm-relu-{N}x{C}x{size}"] = ops.Row(both, "norm", BatchNorm(N, C, size), "together")
    pools = {
        f"max pool 3×3/2 of {BATCH}×64×112×112": MaxPool(BATCH, 64, 112, 3),
        f"max pool 2×2/2 of {BATCH}×64×224×224": MaxPool(BATCH, 64, 224, 2),
        f"global average pool of {BATCH}×2048×7×7": GlobalAvgPool(BATCH, 2048, 7),
    }
    for number, (title, case) in enumerate(pools.items()):
        kind = ("3x3", "2x2", "global")[number]
        for what in ("forward", "backward"):
            rows[f"pool-{kind}-{what}"] = ops.Row(f"{title}, {what}", "pool", case, what)
    for what in ("forward", "backward"):
        rows[f"relu-{what}"] = ops.Row(f"ReLU {BATCH}×256×56×56, {what}", "relu", Relu(BATCH, 256, 56), what)
    return rows


OPERATIONS = {
    **product_rows(),
    **convolution_rows(),
    **feature_rows(),
    "cat-56": ops.Row("cat of 4 times 64 channels at 56", "cat", ops.Cat((64, 64, 64, 64), 56, BATCH)),
    "cross-entropy": ops.Row("cross-entropy 256×1000, forward and backward", "loss", CrossEntropy(256, 1000)),
    "sgd": ops.Row("SGD with momentum, 25.6M parameters in 160 tensors", "optim", Step(160, 160_000), "SGD"),
    "adam": ops.Row("Adam, 25.6M parameters in 160 tensors", "optim", Step(160, 160_000), "Adam"),
    "add-64M": ops.Row("addition of 64M numbers", "add", ops.Add(2**26)),
}

LIMITS = {
    "copy": ops.Row("a copy of 1 GiB", "limits", Copy(2**28)),
    "product": ops.Row("8192×8192 @ 8192×8192", "limits", Product(8192, 8192, 8192)),
}
"""What the machine can do: whichever library does it faster shows it."""


def precisions(row: ops.Row) -> tuple[str, ...]:
    """Those in which an operation differs."""
    return PRECISIONS if row.case.limit == "sgemm" else PRECISIONS[:1]


class Network(NamedTuple):
    """A network of networks.py, how many images it is trained on at once, and what they are like."""

    title: str
    batch: int
    shape: tuple[int, ...]
    classes: int


def network(row: str, batch: int) -> Network:
    known = train_step.ROWS[row]
    return Network(known.title.removesuffix(", eval"), batch, known.shape, known.classes)


NETWORKS = {
    "resnet20": network("resnet20", 128),
    "cifar_resnet18": network("cifar_resnet18", 128),
    "resnet50": network("resnet50", 64),
    "googlenet": network("googlenet", 64),
    "densenet121": network("densenet121", 32),
    "resnext50_32x4d": network("resnext50_32x4d", 32),
    "vgg16": network("vgg16-eval", 32),
    "alexnet": network("alexnet", 128),
}
