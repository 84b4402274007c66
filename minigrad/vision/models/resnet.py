"""ResNet, Wide ResNet and ResNeXt for ImageNet: one class, in which the blocks' kind, number, width and groups differ."""

from __future__ import annotations

from collections.abc import Sequence

from ... import nn
from ..._tensor import Tensor
from .registry import Published, register_model


def conv1x1(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)


def conv3x3(in_channels: int, out_channels: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, groups=groups, bias=False)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions, and around them a shortcut: the block of ResNet-18 and -34.

    Args:
        in_channels: channels of the input.
        channels: channels of both convolutions.
        stride: of the first convolution.
        downsample: what the shortcut does to the input, None for nothing.
        groups: 1; the argument is here because every block has it.
        width_per_group: 64; likewise.

    Raises:
        ValueError: for other groups and widths: the block has no inner width that could change.
    """

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        width_per_group: int = 64,
    ):
        super().__init__()
        if groups != 1 or width_per_group != 64:
            raise ValueError(f"BasicBlock: expected groups=1 and width_per_group=64, got {groups} and {width_per_group}")
        self.conv1 = conv3x3(in_channels, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class Bottleneck(nn.Module):
    """A 1×1 convolution to fewer channels, a 3×3 one among them, a 1×1 one to four times as many as the block's name has.

    The stride is in the 3×3 convolution, as in torchvision; the paper has it in the first 1×1 one, which then sees
    only a quarter of the pixels.

    Args:
        in_channels: channels of the input.
        channels: a quarter of the output's channels.
        stride: of the 3×3 convolution.
        downsample: what the shortcut does to the input, None for nothing.
        groups: of the 3×3 convolution: more than one make it ResNeXt's.
        width_per_group: channels of a group where ``channels`` is 64: 128 in one group are Wide ResNet's.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        width_per_group: int = 64,
    ):
        super().__init__()
        width = channels * width_per_group // 64 * groups
        self.conv1 = conv1x1(in_channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride, groups)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv1x1(width, channels * self.expansion)
        self.bn3 = nn.BatchNorm2d(channels * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class ResNet(nn.Module):
    """A 7×7 convolution, four stages of residual blocks, a linear layer.

    K. He, X. Zhang, S. Ren, J. Sun: "Deep Residual Learning for Image Recognition", 2015, arXiv:1512.03385.
    S. Zagoruyko, N. Komodakis: "Wide Residual Networks", 2016, arXiv:1605.07146.
    S. Xie, R. Girshick, P. Dollár, Z. Tu, K. He: "Aggregated Residual Transformations for Deep Neural Networks",
    2016, arXiv:1611.05431 (ResNeXt).

    Args:
        block: BasicBlock or Bottleneck.
        layers: the number of blocks in each of the four stages.
        num_classes: outputs.
        in_channels: 3 for colour, 1 for grey.
        groups: of the 3×3 convolutions in Bottleneck.
        width_per_group: channels of one group in the first stage of Bottleneck.
        zero_init_residual: begin with blocks that give back their input: the last normalisation of each starts at 0.

    Shape:
        input (N, in_channels, H, W); output (N, num_classes).

    Raises:
        ValueError: if ``layers`` does not have four numbers from 1 up.

    >>> import minigrad
    >>> from minigrad.vision.models import resnet18
    >>> model = resnet18()
    >>> sum(p.numel() for p in model.parameters())
    11689512
    >>> model(minigrad.randn(2, 3, 32, 32)).shape
    (2, 1000)
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        in_channels: int = 3,
        groups: int = 1,
        width_per_group: int = 64,
        zero_init_residual: bool = False,
    ):
        super().__init__()
        if len(layers) != 4 or min(layers) < 1:
            raise ValueError(f"ResNet: expected the number of blocks in each of four stages, got {tuple(layers)}")
        self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        wide = 64 * block.expansion  # channels after the first stage
        self.layer1 = _stage(block, layers[0], 64, 64, 1, groups, width_per_group)
        self.layer2 = _stage(block, layers[1], wide, 128, 2, groups, width_per_group)
        self.layer3 = _stage(block, layers[2], 2 * wide, 256, 2, groups, width_per_group)
        self.layer4 = _stage(block, layers[3], 4 * wide, 512, 2, groups, width_per_group)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8 * wide, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif zero_init_residual and isinstance(module, (BasicBlock, Bottleneck)):
                last = module.bn2 if isinstance(module, BasicBlock) else module.bn3
                assert last.weight is not None  # as in all normalisations of the blocks
                nn.init.zeros_(last.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))  # (N, 64, H/2, W/2)
        x = self.maxpool(x)  # (N, 64, H/4, W/4)
        x = self.layer1(x)  # (N, 64 · expansion, H/4, W/4)
        x = self.layer2(x)  # (N, 128 · expansion, H/8, W/8)
        x = self.layer3(x)  # (N, 256 · expansion, H/16, W/16)
        x = self.layer4(x)  # (N, 512 · expansion, H/32, W/32)
        return self.fc(self.avgpool(x).flatten(1))  # (N, num_classes)


def _stage(
    block: type[BasicBlock] | type[Bottleneck],
    blocks: int,
    in_channels: int,
    channels: int,
    stride: int,
    groups: int,
    width_per_group: int,
) -> nn.Sequential:
    """The blocks of one stage; the first has the stride, and a projection where its input is of another shape."""
    out_channels = channels * block.expansion
    downsample = None
    if stride != 1 or in_channels != out_channels:
        downsample = nn.Sequential(conv1x1(in_channels, out_channels, stride), nn.BatchNorm2d(out_channels))
    first = block(in_channels, channels, stride, downsample, groups, width_per_group)
    rest = [block(out_channels, channels, 1, None, groups, width_per_group) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


@register_model(IMAGENET1K_V1=Published("resnet18-f37072fd.pth", top1=69.758))
def resnet18(num_classes: int = 1000, in_channels: int = 3, zero_init_residual: bool = False) -> ResNet:
    """18 layers, 11.7 million parameters."""
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, in_channels, zero_init_residual=zero_init_residual)


@register_model(IMAGENET1K_V1=Published("resnet34-b627a593.pth", top1=73.314))
def resnet34(num_classes: int = 1000, in_channels: int = 3, zero_init_residual: bool = False) -> ResNet:
    """34 layers, 21.8 million parameters."""
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes, in_channels, zero_init_residual=zero_init_residual)


@register_model(
    default="IMAGENET1K_V2",
    IMAGENET1K_V1=Published("resnet50-0676ba61.pth", top1=76.130),
    IMAGENET1K_V2=Published("resnet50-11ad3fa6.pth", resize=232, top1=80.858),
)
def resnet50(num_classes: int = 1000, in_channels: int = 3, zero_init_residual: bool = False) -> ResNet:
    """50 layers, 25.6 million parameters."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, in_channels, zero_init_residual=zero_init_residual)


@register_model(
    default="IMAGENET1K_V2",
    IMAGENET1K_V1=Published("resnet101-63fe2227.pth", top1=77.374),
    IMAGENET1K_V2=Published("resnet101-cd907fc2.pth", resize=232, top1=81.886),
)
def resnet101(num_classes: int = 1000, in_channels: int = 3, zero_init_residual: bool = False) -> ResNet:
    """101 layers, 44.5 million parameters."""
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, in_channels, zero_init_residual=zero_init_residual)


@register_model(
    default="IMAGENET1K_V2",
    IMAGENET1K_V1=Published("resnet152-394f9c45.pth", top1=78.312),
    IMAGENET1K_V2=Published("resnet152-f82ba261.pth", resize=232, top1=82.284),
)
def resnet152(num_classes: int = 1000, in_channels: int = 3, zero_init_residual: bool = False) -> ResNet:
    """152 layers, 60.2 million parameters."""
    return ResNet(Bottleneck, (3, 8, 36, 3), num_classes, in_channels, zero_init_residual=zero_init_residual)


@register_model(
    default="IMAGENET1K_V2",
    IMAGENET1K_V1=Published("wide_resnet50_2-95faca4d.pth", top1=78.468),
    IMAGENET1K_V2=Published("wide_resnet50_2-9ba9bcbe.pth", resize=232, top1=81.602),
)
def wide_resnet50_2(num_classes: int = 1000, in_channels: int = 3, zero_init_residual: bool = False) -> ResNet:
    """ResNet-50 with 3×3 convolutions twice as wide, 68.9 million parameters."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, in_channels, 1, 128, zero_init_residual)


@register_model(
    default="IMAGENET1K_V2",
    IMAGENET1K_V1=Published("wide_resnet101_2-32ee1156.pth", top1=78.848),
    IMAGENET1K_V2=Published("wide_resnet101_2-d733dc28.pth", resize=232, top1=82.510),
)
def wide_resnet101_2(num_classes: int = 1000, in_channels: int = 3, zero_init_residual: bool = False) -> ResNet:
    """ResNet-101 with 3×3 convolutions twice as wide, 126.9 million parameters."""
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, in_channels, 1, 128, zero_init_residual)


@register_model(
    default="IMAGENET1K_V2",
    IMAGENET1K_V1=Published("resnext50_32x4d-7cdf4587.pth", top1=77.618),
    IMAGENET1K_V2=Published("resnext50_32x4d-1a0047aa.pth", resize=232, top1=81.198),
)
def resnext50_32x4d(num_classes: int = 1000, in_channels: int = 3, zero_init_residual: bool = False) -> ResNet:
    """50 layers, 3×3 convolutions in 32 groups of 4 channels, 25.0 million parameters."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, in_channels, 32, 4, zero_init_residual)


@register_model(
    default="IMAGENET1K_V2",
    IMAGENET1K_V1=Published("resnext101_32x8d-8ba56ff5.pth", top1=79.312),
    IMAGENET1K_V2=Published("resnext101_32x8d-110c445d.pth", resize=232, top1=82.834),
)
def resnext101_32x8d(num_classes: int = 1000, in_channels: int = 3, zero_init_residual: bool = False) -> ResNet:
    """101 layers, 3×3 convolutions in 32 groups of 8 channels, 88.8 million parameters."""
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, in_channels, 32, 8, zero_init_residual)


@register_model(IMAGENET1K_V1=Published("resnext101_64x4d-173b62eb.pth", resize=232, top1=83.246))
def resnext101_64x4d(num_classes: int = 1000, in_channels: int = 3, zero_init_residual: bool = False) -> ResNet:
    """101 layers, 3×3 convolutions in 64 groups of 4 channels, 83.5 million parameters."""
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, in_channels, 64, 4, zero_init_residual)
