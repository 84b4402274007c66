"""The wide residual networks for small images, WRN-d-k: few layers with many channels."""

from __future__ import annotations

from ... import nn
from ..._tensor import Tensor
from .registry import register_model


class WideBlock(nn.Module):
    """Normalise, ReLU, 3×3 convolution, twice, and around them a shortcut; dropout, if any, before the second convolution.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: of the first convolution.
        dropout: the probability with which a value between the convolutions is dropped.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, dropout: float):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)
        self.shortcut: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(x))
        if self.shortcut is not None:
            x = self.shortcut(y)  # a projection sees what the convolutions see, an identity the input as it came
        y = self.dropout(self.relu(self.bn2(self.conv1(y))))
        y = self.conv2(y)
        y += x
        return y


class WideResNet(nn.Module):
    """A 3×3 convolution, three stages of n blocks with 16k, 32k and 64k channels, a linear layer.

    S. Zagoruyko, N. Komodakis: "Wide Residual Networks", 2016, arXiv:1605.07146. Normalisation and ReLU stand before
    the convolutions, as in K. He et al.: "Identity Mappings in Deep Residual Networks", 2016, arXiv:1603.05027.

    Args:
        depth: the number of convolutions, 6n + 4, three in shortcuts among them (the paper's d).
        widen_factor: how many times as wide as a ResNet for CIFAR (the paper's k).
        num_classes: outputs.
        in_channels: 3 for colour, 1 for grey.
        dropout: the probability with which a value between a block's convolutions is dropped; the paper has 0.3.

    Shape:
        input (N, in_channels, H, W), any H and W; output (N, num_classes).

    Raises:
        ValueError: if the depth is not 6n + 4, ``widen_factor`` is below 1, or ``dropout`` is no probability.

    >>> import minigrad
    >>> from minigrad.vision.models import WideResNet
    >>> model = WideResNet(depth=10, widen_factor=2)
    >>> model(minigrad.randn(2, 3, 8, 8)).shape
    (2, 10)
    """

    def __init__(self, depth: int, widen_factor: int, num_classes: int = 10, in_channels: int = 3, dropout: float = 0.0):
        super().__init__()
        if depth < 10 or depth % 6 != 4:
            raise ValueError(f"WideResNet: expected a depth of 6n + 4 (16, 22, 28, ...), got {depth}")
        if widen_factor < 1:
            raise ValueError(f"WideResNet: expected a widen_factor from 1 up, got {widen_factor}")
        blocks = depth // 6
        width = 16 * widen_factor
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.layer1 = self._stage(16, width, 1, blocks, dropout)
        self.layer2 = self._stage(width, 2 * width, 2, blocks, dropout)
        self.layer3 = self._stage(2 * width, 4 * width, 2, blocks, dropout)
        self.bn1 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4 * width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @staticmethod
    def _stage(in_channels: int, out_channels: int, stride: int, blocks: int, dropout: float) -> nn.Sequential:
        first = WideBlock(in_channels, out_channels, stride, dropout)
        rest = [WideBlock(out_channels, out_channels, 1, dropout) for _ in range(blocks - 1)]
        return nn.Sequential(first, *rest)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)  # (N, 16, H, W)
        x = self.layer1(x)  # (N, 16k, H, W)
        x = self.layer2(x)  # (N, 32k, H/2, W/2)
        x = self.layer3(x)  # (N, 64k, H/4, W/4)
        x = self.relu(self.bn1(x))
        return self.fc(self.avgpool(x).flatten(1))  # (N, num_classes)


@register_model()
def wide_resnet16_8(num_classes: int = 10, in_channels: int = 3, dropout: float = 0.0) -> WideResNet:
    """WRN-16-8: 16 layers, eight times as wide, 11.0 million parameters."""
    return WideResNet(16, 8, num_classes, in_channels, dropout)


@register_model()
def wide_resnet28_10(num_classes: int = 10, in_channels: int = 3, dropout: float = 0.0) -> WideResNet:
    """WRN-28-10: 28 layers, ten times as wide, 36.5 million parameters."""
    return WideResNet(28, 10, num_classes, in_channels, dropout)
