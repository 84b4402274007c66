"""The residual networks for small images, and their plain twins: section 4.2 of He et al., 2015."""

from __future__ import annotations

from ... import nn
from ..._tensor import Tensor
from ...nn import functional as F
from .registry import register_model


class Shortcut(nn.Module):
    """The paper's option A, without parameters: every ``stride``-th pixel, and zeros for the channels that are new."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.stride = stride
        self.new_channels = out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :: self.stride, :: self.stride]
        before = self.new_channels // 2
        return F.pad(x, (0, 0, 0, 0, before, self.new_channels - before))


class Block(nn.Module):
    """Two 3×3 convolutions, and around them, unless the network is plain, a shortcut.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: of the first convolution.
        residual: whether the input is added to the output.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, residual: bool):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        self.shortcut: nn.Module | None = None
        if residual:
            same = stride == 1 and in_channels == out_channels
            self.shortcut = nn.Identity() if same else Shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        return self.relu(y)


class CIFARResNet(nn.Module):
    """A network of 6n + 2 layers: a 3×3 convolution, three stages of n blocks with 16, 32 and 64 channels, a linear layer.

    K. He, X. Zhang, S. Ren, J. Sun: "Deep Residual Learning for Image Recognition", 2015, arXiv:1512.03385.

    Args:
        depth: the number of weighted layers, 6n + 2.
        num_classes: outputs.
        in_channels: 3 for colour, 1 for grey.
        residual: False for the plain twin without shortcuts.

    Shape:
        input (N, in_channels, H, W), any H and W from 4 up; output (N, num_classes).

    Raises:
        ValueError: if the depth is not 6n + 2.

    >>> import minigrad
    >>> from minigrad.vision.models import resnet20
    >>> model = resnet20()
    >>> sum(p.numel() for p in model.parameters())
    269722
    >>> model(minigrad.randn(2, 3, 32, 32)).shape
    (2, 10)
    """

    def __init__(self, depth: int, num_classes: int = 10, in_channels: int = 3, residual: bool = True):
        super().__init__()
        if depth < 8 or depth % 6 != 2:
            raise ValueError(f"CIFARResNet: expected a depth of 6n + 2 (20, 32, 44, ...), got {depth}")
        blocks = depth // 6
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.layer1 = self._stage(16, 16, 1, blocks, residual)
        self.layer2 = self._stage(16, 32, 2, blocks, residual)
        self.layer3 = self._stage(32, 64, 2, blocks, residual)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @staticmethod
    def _stage(in_channels: int, out_channels: int, stride: int, blocks: int, residual: bool) -> nn.Sequential:
        first = Block(in_channels, out_channels, stride, residual)
        rest = [Block(out_channels, out_channels, 1, residual) for _ in range(blocks - 1)]
        return nn.Sequential(first, *rest)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))  # (N, 16, H, W)
        x = self.layer1(x)  # (N, 16, H, W)
        x = self.layer2(x)  # (N, 32, H/2, W/2)
        x = self.layer3(x)  # (N, 64, H/4, W/4)
        return self.fc(self.avgpool(x).flatten(1))  # (N, num_classes)


@register_model()
def resnet20(num_classes: int = 10, in_channels: int = 3) -> CIFARResNet:
    """20 layers, 0.27 million parameters."""
    return CIFARResNet(20, num_classes, in_channels)


@register_model()
def resnet32(num_classes: int = 10, in_channels: int = 3) -> CIFARResNet:
    """32 layers, 0.46 million parameters."""
    return CIFARResNet(32, num_classes, in_channels)


@register_model()
def resnet44(num_classes: int = 10, in_channels: int = 3) -> CIFARResNet:
    """44 layers, 0.66 million parameters."""
    return CIFARResNet(44, num_classes, in_channels)


@register_model()
def resnet56(num_classes: int = 10, in_channels: int = 3) -> CIFARResNet:
    """56 layers, 0.85 million parameters."""
    return CIFARResNet(56, num_classes, in_channels)


@register_model()
def resnet110(num_classes: int = 10, in_channels: int = 3) -> CIFARResNet:
    """110 layers, 1.7 million parameters."""
    return CIFARResNet(110, num_classes, in_channels)


@register_model()
def plain20(num_classes: int = 10, in_channels: int = 3) -> CIFARResNet:
    """The 20-layer network without shortcuts."""
    return CIFARResNet(20, num_classes, in_channels, residual=False)


@register_model()
def plain32(num_classes: int = 10, in_channels: int = 3) -> CIFARResNet:
    """The 32-layer network without shortcuts."""
    return CIFARResNet(32, num_classes, in_channels, residual=False)


@register_model()
def plain44(num_classes: int = 10, in_channels: int = 3) -> CIFARResNet:
    """The 44-layer network without shortcuts."""
    return CIFARResNet(44, num_classes, in_channels, residual=False)


@register_model()
def plain56(num_classes: int = 10, in_channels: int = 3) -> CIFARResNet:
    """The 56-layer network without shortcuts."""
    return CIFARResNet(56, num_classes, in_channels, residual=False)


@register_model()
def plain110(num_classes: int = 10, in_channels: int = 3) -> CIFARResNet:
    """The 110-layer network without shortcuts."""
    return CIFARResNet(110, num_classes, in_channels, residual=False)
