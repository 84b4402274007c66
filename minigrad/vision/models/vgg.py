"""The VGG networks: nothing but 3×3 convolutions between halvings of the size, 11 to 19 layers deep."""

from __future__ import annotations

from collections.abc import Sequence

from ... import nn
from ..._tensor import Tensor
from .images import check_images
from .registry import Published, register_model

VGG11 = ((64,), (128,), (256,) * 2, (512,) * 2, (512,) * 2)
VGG13 = ((64,) * 2, (128,) * 2, (256,) * 2, (512,) * 2, (512,) * 2)
VGG16 = ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)
VGG19 = ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4)
"""The paper's configurations A, B, D and E: for every stage the channels of its convolutions."""


class VGG(nn.Module):
    """Stages of 3×3 convolutions, a max pooling behind each, and three linear layers.

    K. Simonyan, A. Zisserman: "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014, arXiv:1409.1556.

    Convolutions start as in He et al., 2015, so that no shallower network needs to be trained first, as in the paper; linear
    layers normally distributed with deviation 0.01, and biases at 0.

    Args:
        stages: for every stage, the channels of its convolutions: ``VGG11``, ``VGG13``, ``VGG16`` and ``VGG19`` of this module.
        num_classes: outputs.
        in_channels: 3 for colour, 1 for grey.
        batch_norm: whether batch norm stands between a convolution and its ReLU, which the paper of 2014 did not know.
        dropout: the probability that an output of the two hidden linear layers is left out in training.
        hidden: outputs of the two hidden linear layers.

    Shape:
        input (N, in_channels, H, W), 224×224 in the paper, any H and W from 32 up with five stages; output (N, num_classes).

    >>> import minigrad
    >>> from minigrad.vision.models.vgg import VGG
    >>> model = VGG(((8,), (16, 16)), num_classes=10, hidden=32)
    >>> model(minigrad.randn(2, 3, 28, 28)).shape
    (2, 10)
    """

    def __init__(
        self,
        stages: Sequence[Sequence[int]],
        num_classes: int = 1000,
        in_channels: int = 3,
        batch_norm: bool = False,
        dropout: float = 0.5,
        hidden: int = 4096,
    ):
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_channels
        for stage in stages:
            for out_channels in stage:
                layers.append(nn.Conv2d(channels, out_channels, 3, padding=1))
                if batch_norm:
                    layers.append(nn.BatchNorm2d(out_channels))
                layers.append(nn.ReLU(inplace=True))
                channels = out_channels
            layers.append(nn.MaxPool2d(2, stride=2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            *(nn.Linear(channels * 7 * 7, hidden), nn.ReLU(inplace=True), nn.Dropout(dropout)),
            *(nn.Linear(hidden, hidden), nn.ReLU(inplace=True), nn.Dropout(dropout)),
            nn.Linear(hidden, num_classes),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.constant_(module.bias, 0)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.constant_(module.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        check_images(self, x)
        x = self.features(x)  # (N, 512, H/32, W/32)
        x = self.avgpool(x)  # (N, 512, 7, 7)
        return self.classifier(x.flatten(1))  # (N, num_classes)


@register_model(IMAGENET1K_V1=Published("vgg11-8a719046.pth", top1=69.02))
def vgg11(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """Configuration A, 11 layers, 132.9 million parameters."""
    return VGG(VGG11, num_classes, in_channels, dropout=dropout)


@register_model(IMAGENET1K_V1=Published("vgg11_bn-6002323d.pth", top1=70.37))
def vgg11_bn(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """``vgg11`` with batch norm."""
    return VGG(VGG11, num_classes, in_channels, batch_norm=True, dropout=dropout)


@register_model(IMAGENET1K_V1=Published("vgg13-19584684.pth", top1=69.928))
def vgg13(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """Configuration B, 13 layers, 133.0 million parameters."""
    return VGG(VGG13, num_classes, in_channels, dropout=dropout)


@register_model(IMAGENET1K_V1=Published("vgg13_bn-abd245e5.pth", top1=71.586))
def vgg13_bn(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """``vgg13`` with batch norm."""
    return VGG(VGG13, num_classes, in_channels, batch_norm=True, dropout=dropout)


@register_model(IMAGENET1K_V1=Published("vgg16-397923af.pth", top1=71.592))
def vgg16(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """Configuration D, 16 layers, 138.4 million parameters."""
    return VGG(VGG16, num_classes, in_channels, dropout=dropout)


@register_model(IMAGENET1K_V1=Published("vgg16_bn-6c64b313.pth", top1=73.36))
def vgg16_bn(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """``vgg16`` with batch norm."""
    return VGG(VGG16, num_classes, in_channels, batch_norm=True, dropout=dropout)


@register_model(IMAGENET1K_V1=Published("vgg19-dcbb9e9d.pth", top1=72.376))
def vgg19(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """Configuration E, 19 layers, 143.7 million parameters."""
    return VGG(VGG19, num_classes, in_channels, dropout=dropout)


@register_model(IMAGENET1K_V1=Published("vgg19_bn-c79401a0.pth", top1=74.218))
def vgg19_bn(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """``vgg19`` with batch norm."""
    return VGG(VGG19, num_classes, in_channels, batch_norm=True, dropout=dropout)
