"""LeNet-5, the first convolutional network in wide use: with the paper's table of connections and its trained subsampling."""

from __future__ import annotations

from collections.abc import Sequence

from ... import nn, ops
from ..._tensor import Tensor
from ...nn import functional as F
from .images import check_images
from .registry import register_model

TABLE_I = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)
"""The paper's Table I: which of the 6 maps of S2 each of the 16 maps of C3 looks at."""


def squash(x: Tensor) -> Tensor:
    """The paper's activation, 1.7159 · tanh(2/3 · x), which takes ±1 to ±1 and bends most there."""
    return 1.7159 * ops.tanh(x * (2 / 3))


def draw(weight: Tensor, inputs: int) -> Tensor:
    """Start the weights of units with so many inputs: normally distributed with deviation 1 / √inputs."""
    return nn.init.normal_(weight, std=inputs**-0.5)


class Subsampling(nn.Module):
    """The mean of every 2×2 square, times a coefficient, plus a bias: two parameters for each map.

    The paper multiplies the square's sum, so that ``weight`` is four times the paper's coefficient. It starts at 1.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(ops.ones(channels, 1, 1))
        self.bias = nn.Parameter(ops.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2) * self.weight + self.bias


class PartialConv2d(nn.Module):
    """A convolution whose output maps look at some of the input maps only.

    ``weight`` holds the filters that there are, one after another. What is convolved with is the weight of a full convolution,
    gathered from them; where there is no connection stands a filter of zeros, which is no parameter.

    Args:
        in_channels: maps of the input.
        connections: for each output map, the input maps that it looks at.
        kernel_size: of the filters.
    """

    def __init__(self, in_channels: int, connections: Sequence[Sequence[int]], kernel_size: int):
        super().__init__()
        count = sum(len(maps) for maps in connections)
        numbers = iter(range(count))
        # Numbers of filters, (out_channels, in_channels), `count` for none
        self.places = [[next(numbers) if i in maps else count for i in range(in_channels)] for maps in connections]
        size = (kernel_size, kernel_size)
        drawn = [draw(ops.empty(len(maps), *size), len(maps) * kernel_size**2) for maps in connections]
        self.weight = nn.Parameter(ops.cat(drawn))
        self.bias = nn.Parameter(ops.zeros(len(connections)))

    def forward(self, x: Tensor) -> Tensor:
        none = ops.zeros_like(self.weight[:1])
        places = ops.tensor(self.places, device=self.weight.device)
        weight = ops.cat([self.weight, none])[places]  # (out_channels, in_channels, KH, KW)
        return F.conv2d(x, weight, self.bias)


class LeNet5(nn.Module):
    """Two convolutions, each followed by subsampling, and three layers that see everything; the layers have the paper's names.

    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: "Gradient-Based Learning Applied to Document Recognition", Proceedings of the
    IEEE, 1998.

    The paper's network is one of 60,000 trained parameters up to F6, and so is this one: 156 in C1, 12 in S2, 1,516 in C3, 32
    in S4, 48,120 in C5, 10,164 in F6. They differ in the output: the paper's is the distance to a drawing of each character,
    7×12 pixels that are fixed by hand; here it is a linear layer (850 parameters with 10 classes) for a cross entropy. Weights
    start with deviation 1 / √(inputs of a unit), as in LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998, and biases at
    0. The paper's own start, within ±2.4 / inputs, needs its step sizes fitted to second derivatives.

    Args:
        num_classes: outputs.
        in_channels: 1 for grey, 3 for colour.
        connections: "partial" for the paper's Table I between S2 and C3; "full" for all 6 × 16 connections.

    Shape:
        input (N, in_channels, 32, 32), where images of 28×28 have a border of 2; output (N, num_classes).

    Raises:
        ValueError: if ``connections`` is neither "partial" nor "full".

    >>> import minigrad
    >>> from minigrad.vision.models.lenet import LeNet5
    >>> model = LeNet5()
    >>> sum(p.numel() for p in model.parameters())
    60850
    >>> model(minigrad.randn(2, 1, 32, 32)).shape
    (2, 10)
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, connections: str = "partial"):
        super().__init__()
        if connections not in ("partial", "full"):
            raise ValueError(f"LeNet5: expected connections to be 'partial' or 'full', got {connections!r}")
        self.c1 = nn.Conv2d(in_channels, 6, 5)
        self.s2 = Subsampling(6)
        self.c3 = PartialConv2d(6, TABLE_I, 5) if connections == "partial" else nn.Conv2d(6, 16, 5)
        self.s4 = Subsampling(16)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)
        self.output = nn.Linear(84, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                draw(module.weight, module.weight[0].numel())
                nn.init.constant_(module.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        check_images(self, x)
        x = squash(self.c1(x))  # (N, 6, 28, 28)
        x = squash(self.s2(x))  # (N, 6, 14, 14)
        x = squash(self.c3(x))  # (N, 16, 10, 10)
        x = squash(self.s4(x))  # (N, 16, 5, 5)
        x = squash(self.c5(x)).flatten(1)  # (N, 120)
        x = squash(self.f6(x))  # (N, 84)
        return self.output(x)  # (N, num_classes)


@register_model()
def lenet5(num_classes: int = 10, in_channels: int = 1, connections: str = "partial") -> LeNet5:
    """LeNet-5 for images of 32×32, 61 thousand parameters."""
    return LeNet5(num_classes, in_channels, connections)
