"""DenseNet-BC for small images: three blocks over the whole image, its half and its quarter, as in the paper's section 4."""

from __future__ import annotations

from ... import nn
from ..._tensor import Tensor
from ...nn import functional as F
from .densenet import add_dense_blocks, init_dense_weights
from .registry import register_model


class CIFARDenseNet(nn.Module):
    """A 3×3 convolution, three equal dense blocks with transitions between them, a linear layer: 6n + 4 layers.

    "BC": bottlenecks in the layers (B), and compression by a half in the transitions (C).

    G. Huang, Z. Liu, L. van der Maaten, K. Q. Weinberger: "Densely Connected Convolutional Networks", 2016,
    arXiv:1608.06993.

    Args:
        depth: the number of weighted layers, 6n + 4.
        growth_rate: channels that each layer adds (the paper's k).
        num_classes: outputs.
        in_channels: 3 for colour, 1 for grey.
        drop_rate: the probability with which an output of a convolution, any but the first, is dropped; the paper has 0.2
            where it trains on images that are not augmented.

    Shape:
        input (N, in_channels, H, W), H and W from 4 up; output (N, num_classes).

    Raises:
        ValueError: if the depth is not 6n + 4, or ``drop_rate`` is no probability.

    >>> import minigrad
    >>> from minigrad.vision.models import densenet_bc40_12
    >>> model = densenet_bc40_12()
    >>> sum(p.numel() for p in model.parameters())
    176122
    >>> model(minigrad.randn(2, 3, 8, 8)).shape
    (2, 10)
    """

    def __init__(self, depth: int, growth_rate: int = 12, num_classes: int = 10, in_channels: int = 3, drop_rate: float = 0.0):
        super().__init__()
        if depth < 10 or depth % 6 != 4:
            raise ValueError(f"CIFARDenseNet: expected a depth of 6n + 4 (40, 100, 190, ...), got {depth}")
        layers = depth // 6  # of two convolutions, in each block
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(in_channels, 2 * growth_rate, 3, padding=1, bias=False))
        channels = add_dense_blocks(self.features, [layers] * 3, 2 * growth_rate, growth_rate, 4, drop_rate, drop_rate)
        self.features.add_module("norm4", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, num_classes)
        init_dense_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)  # (N, channels, H/4, W/4)
        x = F.relu(x, inplace=True)
        x = F.adaptive_avg_pool2d(x, 1).flatten(1)  # (N, channels)
        return self.classifier(x)  # (N, num_classes)


@register_model()
def densenet_bc40_12(num_classes: int = 10, in_channels: int = 3, drop_rate: float = 0.0) -> CIFARDenseNet:
    """40 layers, growth rate 12, 0.18 million parameters."""
    return CIFARDenseNet(40, 12, num_classes, in_channels, drop_rate)


@register_model()
def densenet_bc100_12(num_classes: int = 10, in_channels: int = 3, drop_rate: float = 0.0) -> CIFARDenseNet:
    """100 layers, growth rate 12, 0.8 million parameters."""
    return CIFARDenseNet(100, 12, num_classes, in_channels, drop_rate)
