"""GoogLeNet as the paper has it, and the naive Inception module from which the paper sets out, to compare their cost."""

from __future__ import annotations

from ... import nn, ops
from ..._tensor import Tensor
from ...nn import functional as F
from .googlenet import TABLE_1, GoogLeNetOutputs, Inception
from .images import check_images
from .registry import register_model


class ConvReLU(nn.Module):
    """Convolution with a bias, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x), inplace=True)


class NaiveInception(nn.Module):
    """The module of the paper's figure 2 (a): three convolutions and a max pooling of the whole input, side by side.

    The pooling hands on all of the input's channels, so that the output is always wider than the input; and the 3×3 and 5×5
    convolutions cost as much as these channels are many. ``Inception`` has 1×1 convolutions against both.

    Args:
        in_channels: channels of the input.
        one: of the 1×1 convolution.
        three: of the 3×3 convolution.
        five: of the 5×5 convolution.

    Shape:
        input (N, in_channels, H, W); output (N, one + three + five + in_channels, H, W).

    >>> import minigrad
    >>> from minigrad.vision.models.googlenet_original import NaiveInception
    >>> NaiveInception(16, 8, 12, 6)(minigrad.randn(2, 16, 7, 7)).shape
    (2, 42, 7, 7)
    """

    def __init__(self, in_channels: int, one: int, three: int, five: int):
        super().__init__()
        self.branch1 = ConvReLU(in_channels, one, 1)
        self.branch2 = ConvReLU(in_channels, three, 3, padding=1)
        self.branch3 = ConvReLU(in_channels, five, 5, padding=2)
        self.branch4 = nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return ops.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class AuxiliaryHead(nn.Sequential):
    """The paper's auxiliary head for an input (N, in_channels, 14, 14)."""

    def __init__(self, in_channels: int, num_classes: int, dropout: float):
        super().__init__(
            nn.AvgPool2d(5, stride=3),  # (N, in_channels, 4, 4)
            *(ConvReLU(in_channels, 128, 1), nn.Flatten()),  # (N, 2048)
            *(nn.Linear(128 * 4 * 4, 1024), nn.ReLU(inplace=True), nn.Dropout(dropout)),  # (N, 1024)
            nn.Linear(1024, num_classes),
        )


class GoogLeNetOriginal(nn.Module):
    """The network that won ImageNet's contest in 2014: 5×5 convolutions, response normalization, no batch norm.

    C. Szegedy et al.: "Going Deeper with Convolutions", 2014, arXiv:1409.4842.

    The layers are those of the paper's Table 1 and figure 3. ``trunk1`` goes from the image to the module 4a, which the first
    auxiliary head looks at, ``trunk2`` to 4d, where the second one is, ``trunk3`` to the end. Where the paper is silent: the
    response normalization has Caffe's numbers, and weights start as in Glorot and Bengio, 2010, with biases at 0.

    Args:
        num_classes: outputs.
        in_channels: 3 for colour, 1 for grey.
        aux_logits: whether there are the two auxiliary heads, which are used in training only.
        dropout: the probability that one of the 1024 numbers before the last layer is left out in training.
        dropout_aux: the same in the auxiliary heads.

    Shape:
        input (N, in_channels, 224, 224); without auxiliary heads any H and W from 31 up. Output (N, num_classes); in training,
        if there are auxiliary heads, a ``GoogLeNetOutputs`` of three such.

    >>> import minigrad
    >>> from minigrad.vision.models.googlenet_original import GoogLeNetOriginal
    >>> model = GoogLeNetOriginal(num_classes=10, aux_logits=False)
    >>> model(minigrad.randn(2, 3, 32, 32)).shape
    (2, 10)
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        aux_logits: bool = True,
        dropout: float = 0.4,
        dropout_aux: float = 0.7,
    ):
        super().__init__()
        self.aux_logits = aux_logits
        self.trunk1 = nn.Sequential(
            {
                "conv1": ConvReLU(in_channels, 64, 7, stride=2, padding=3),  # (N, 64, 112, 112)
                "pool1": halve(),  # (N, 64, 56, 56)
                "norm1": nn.LocalResponseNorm(5),
                "reduce2": ConvReLU(64, 64, 1),
                "conv2": ConvReLU(64, 192, 3, padding=1),  # (N, 192, 56, 56)
                "norm2": nn.LocalResponseNorm(5),
                "pool2": halve(),  # (N, 192, 28, 28)
                "inception3a": inception("3a"),  # (N, 256, 28, 28)
                "inception3b": inception("3b"),  # (N, 480, 28, 28)
                "pool3": halve(),  # (N, 480, 14, 14)
                "inception4a": inception("4a"),  # (N, 512, 14, 14)
            }
        )
        self.trunk2 = nn.Sequential(
            {
                "inception4b": inception("4b"),  # (N, 512, 14, 14)
                "inception4c": inception("4c"),  # (N, 512, 14, 14)
                "inception4d": inception("4d"),  # (N, 528, 14, 14)
            }
        )
        self.trunk3 = nn.Sequential(
            {
                "inception4e": inception("4e"),  # (N, 832, 14, 14)
                "pool4": halve(),  # (N, 832, 7, 7)
                "inception5a": inception("5a"),  # (N, 832, 7, 7)
                "inception5b": inception("5b"),  # (N, 1024, 7, 7)
                "pool5": nn.AdaptiveAvgPool2d(1),  # (N, 1024, 1, 1)
            }
        )
        self.aux1 = AuxiliaryHead(512, num_classes, dropout_aux) if aux_logits else None
        self.aux2 = AuxiliaryHead(528, num_classes, dropout_aux) if aux_logits else None
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(1024, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.constant_(module.bias, 0)

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutputs:
        check_images(self, x)
        x = self.trunk1(x)  # (N, 512, 14, 14)
        aux1 = self.aux1(x) if self.training and self.aux1 is not None else None
        x = self.trunk2(x)  # (N, 528, 14, 14)
        aux2 = self.aux2(x) if self.training and self.aux2 is not None else None
        x = self.trunk3(x).flatten(1)  # (N, 1024)
        x = self.linear(self.dropout(x))  # (N, num_classes)
        return GoogLeNetOutputs(x, aux2, aux1) if self.training and self.aux_logits else x


def inception(name: str) -> Inception:
    """A module of the paper's Table 1."""
    return Inception(*TABLE_1[name], large=5, convolution=ConvReLU)


def halve() -> nn.MaxPool2d:
    """The paper's max pooling, whose last window may stick out: 112 → 56 → 28 → 14 → 7."""
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


@register_model()
def googlenet_original(
    num_classes: int = 1000,
    in_channels: int = 3,
    aux_logits: bool = True,
    dropout: float = 0.4,
    dropout_aux: float = 0.7,
) -> GoogLeNetOriginal:
    """The paper's network for images of 224×224, 13.4 million parameters, 7.0 million without the auxiliary heads."""
    return GoogLeNetOriginal(num_classes, in_channels, aux_logits, dropout, dropout_aux)
