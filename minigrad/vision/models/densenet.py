"""DenseNet for ImageNet: layers that see the outputs of all layers before them in their block."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ... import nn, ops
from ..._tensor import Tensor
from ...nn import functional as F
from .registry import Published, register_model

# Files from before module names could not have dots call what is now norm1 "norm.1".
_OLD_KEY = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")


class DenseLayer(nn.Module):
    """Normalise, ReLU, 1×1 convolution to ``bn_size · growth_rate`` channels; the same, 3×3, to ``growth_rate``.

    Args:
        in_channels: channels of the input.
        growth_rate: channels of the output: what the layer adds to its block.
        bn_size: how many times as many channels stand between the convolutions (the bottleneck's size).
        drop_rate: the probability with which an output of the 3×3 convolution is dropped.
        drop_rate_1x1: the same for the 1×1 convolution.

    Raises:
        ValueError: if one of these is no probability.
    """

    def __init__(
        self, in_channels: int, growth_rate: int, bn_size: int = 4, drop_rate: float = 0.0, drop_rate_1x1: float = 0.0
    ):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(in_channels, bn_size * growth_rate, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(bn_size * growth_rate)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(bn_size * growth_rate, growth_rate, 3, padding=1, bias=False)
        self.dropout1 = nn.Dropout(drop_rate_1x1)
        self.dropout2 = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout1(self.conv1(self.relu1(self.norm1(x))))  # (N, bn_size · growth_rate, H, W)
        return self.dropout2(self.conv2(self.relu2(self.norm2(x))))  # (N, growth_rate, H, W)


class DenseBlock(nn.ModuleDict):
    """Dense layers, each over the block's input and the outputs of all layers before it.

    Args:
        layers: how many.
        in_channels: channels of the block's input; its output has ``in_channels + layers · growth_rate``.
        growth_rate: channels that each layer adds.
        bn_size: see DenseLayer.
        drop_rate: likewise.
        drop_rate_1x1: likewise.
    """

    def __init__(
        self,
        layers: int,
        in_channels: int,
        growth_rate: int,
        bn_size: int = 4,
        drop_rate: float = 0.0,
        drop_rate_1x1: float = 0.0,
    ):
        super().__init__()
        for i in range(layers):
            seen = in_channels + i * growth_rate
            self[f"denselayer{i + 1}"] = DenseLayer(seen, growth_rate, bn_size, drop_rate, drop_rate_1x1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.values():
            x = ops.cat([x, layer(x)], 1)  # growth_rate channels more
        return x


class Transition(nn.Sequential):
    """From one block to the next: normalise, ReLU, a 1×1 convolution to fewer channels, and every 2×2 pixels to one.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        drop_rate: the probability with which an output of the convolution is dropped.
    """

    def __init__(self, in_channels: int, out_channels: int, drop_rate: float = 0.0):
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        if drop_rate != 0:
            self.dropout = nn.Dropout(drop_rate)
        self.pool = nn.AvgPool2d(2, stride=2)


def add_dense_blocks(
    features: nn.Sequential,
    block_config: Sequence[int],
    channels: int,
    growth_rate: int,
    bn_size: int,
    drop_rate: float,
    drop_rate_1x1: float = 0.0,
) -> int:
    """Append dense blocks, and between them transitions that halve the channels; returns the channels at the end."""
    for i, count in enumerate(block_config, 1):
        block = DenseBlock(count, channels, growth_rate, bn_size, drop_rate, drop_rate_1x1)
        features.add_module(f"denseblock{i}", block)
        channels += count * growth_rate
        if i < len(block_config):
            features.add_module(f"transition{i}", Transition(channels, channels // 2, drop_rate_1x1))
            channels //= 2
    return channels


def init_dense_weights(model: nn.Module) -> None:
    """The paper's start: convolutions as in He et al., "Delving Deep into Rectifiers", and no bias in the linear layer."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def _rename_old_keys(module: nn.Module, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
    for key in list(state_dict):
        new_key = _OLD_KEY.sub(r"\1\2.", key)
        if key.startswith(prefix) and new_key not in state_dict:
            state_dict[new_key] = state_dict.pop(key)


class DenseNet(nn.Module):
    """A 7×7 convolution, dense blocks with transitions between them, a linear layer.

    G. Huang, Z. Liu, L. van der Maaten, K. Q. Weinberger: "Densely Connected Convolutional Networks", 2016,
    arXiv:1608.06993. State dicts with the keys of old files (``denselayer1.norm.1.weight``) load, too.

    Args:
        growth_rate: channels that each layer adds (the paper's k).
        block_config: the number of layers in each block.
        num_init_features: channels of the first convolution.
        bn_size: a layer's 1×1 convolution has ``bn_size · growth_rate`` channels (the bottleneck's size).
        drop_rate: the probability with which an output of a layer's 3×3 convolution is dropped, as in torchvision.
        num_classes: outputs.
        in_channels: 3 for colour, 1 for grey.

    Shape:
        input (N, in_channels, H, W), H and W from 29 up for four blocks; output (N, num_classes).

    Raises:
        ValueError: if ``drop_rate`` is no probability.

    >>> import minigrad
    >>> from minigrad.vision.models import DenseNet
    >>> model = DenseNet(growth_rate=4, block_config=(1, 2), num_init_features=8, num_classes=10)
    >>> [name for name, _ in model.features.named_children()][4:]
    ['denseblock1', 'transition1', 'denseblock2', 'norm5']
    >>> model(minigrad.randn(2, 3, 32, 32)).shape
    (2, 10)
    """

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: Sequence[int] = (6, 12, 24, 16),
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0.0,
        num_classes: int = 1000,
        in_channels: int = 3,
    ):
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(in_channels, num_init_features, 7, stride=2, padding=3, bias=False))
        self.features.add_module("norm0", nn.BatchNorm2d(num_init_features))
        self.features.add_module("relu0", nn.ReLU(inplace=True))
        self.features.add_module("pool0", nn.MaxPool2d(3, stride=2, padding=1))
        channels = add_dense_blocks(self.features, block_config, num_init_features, growth_rate, bn_size, drop_rate)
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, num_classes)
        init_dense_weights(self)
        self.register_load_state_dict_pre_hook(_rename_old_keys)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)  # (N, channels, H/32, W/32) after four blocks
        x = F.relu(x, inplace=True)
        x = F.adaptive_avg_pool2d(x, 1).flatten(1)  # (N, channels)
        return self.classifier(x)  # (N, num_classes)


@register_model(IMAGENET1K_V1=Published("densenet121-a639ec97.pth", top1=74.434))
def densenet121(num_classes: int = 1000, in_channels: int = 3, drop_rate: float = 0.0) -> DenseNet:
    """121 layers, growth rate 32, 8.0 million parameters."""
    return DenseNet(32, (6, 12, 24, 16), 64, drop_rate=drop_rate, num_classes=num_classes, in_channels=in_channels)


@register_model(IMAGENET1K_V1=Published("densenet161-8d451a50.pth", top1=77.138))
def densenet161(num_classes: int = 1000, in_channels: int = 3, drop_rate: float = 0.0) -> DenseNet:
    """161 layers, growth rate 48, 28.7 million parameters."""
    return DenseNet(48, (6, 12, 36, 24), 96, drop_rate=drop_rate, num_classes=num_classes, in_channels=in_channels)


@register_model(IMAGENET1K_V1=Published("densenet169-b2777c0a.pth", top1=75.600))
def densenet169(num_classes: int = 1000, in_channels: int = 3, drop_rate: float = 0.0) -> DenseNet:
    """169 layers, growth rate 32, 14.1 million parameters."""
    return DenseNet(32, (6, 12, 32, 32), 64, drop_rate=drop_rate, num_classes=num_classes, in_channels=in_channels)


@register_model(IMAGENET1K_V1=Published("densenet201-c1103571.pth", top1=76.896))
def densenet201(num_classes: int = 1000, in_channels: int = 3, drop_rate: float = 0.0) -> DenseNet:
    """201 layers, growth rate 32, 20.0 million parameters."""
    return DenseNet(32, (6, 12, 48, 32), 64, drop_rate=drop_rate, num_classes=num_classes, in_channels=in_channels)
