"""AlexNet twice: as the paper of 2012 has it, and the simpler form of 2014 that public checkpoints are of."""

from __future__ import annotations

from collections.abc import Sequence

from ... import nn
from ..._tensor import Tensor
from .images import check_images
from .registry import Published, register_model


class AlexNet(nn.Module):
    """The form for one GPU: five convolutions without groups or normalization, three linear layers.

    A. Krizhevsky: "One weird trick for parallelizing convolutional neural networks", 2014, arXiv:1404.5997. As in torchvision,
    the fourth convolution has 256 channels, as in the author's program; his paper says 384.

    Args:
        num_classes: outputs.
        in_channels: 3 for colour, 1 for grey.
        dropout: the probability that an input of the two hidden linear layers is left out in training.
        channels: of the five convolutions.
        hidden: outputs of the two hidden linear layers.

    Shape:
        input (N, in_channels, H, W), 224×224 in the paper, any H and W from 63 up; output (N, num_classes).

    >>> import minigrad
    >>> from minigrad.vision.models.alexnet import AlexNet
    >>> model = AlexNet(num_classes=10, channels=(8, 8, 16, 16, 16), hidden=32)
    >>> model(minigrad.randn(2, 3, 63, 63)).shape
    (2, 10)
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.5,
        channels: Sequence[int] = (64, 192, 384, 256, 256),
        hidden: int = 4096,
    ):
        super().__init__()
        c1, c2, c3, c4, c5 = channels
        self.features = nn.Sequential(
            *(nn.Conv2d(in_channels, c1, 11, stride=4, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2)),
            *(nn.Conv2d(c1, c2, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2)),
            *(nn.Conv2d(c2, c3, 3, padding=1), nn.ReLU(inplace=True)),
            *(nn.Conv2d(c3, c4, 3, padding=1), nn.ReLU(inplace=True)),
            *(nn.Conv2d(c4, c5, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2)),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            *(nn.Dropout(dropout), nn.Linear(c5 * 6 * 6, hidden), nn.ReLU(inplace=True)),
            *(nn.Dropout(dropout), nn.Linear(hidden, hidden), nn.ReLU(inplace=True)),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        check_images(self, x)
        x = self.features(x)  # (N, 256, 6, 6) for 224×224, by way of 55×55, 27×27 and 13×13
        x = self.avgpool(x)  # (N, 256, 6, 6)
        return self.classifier(x.flatten(1))  # (N, num_classes)


class AlexNetOriginal(nn.Module):
    """The network that won ImageNet's contest in 2012, its two GPUs as groups of two.

    A. Krizhevsky, I. Sutskever, G. Hinton: "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012.

    The second, fourth and fifth convolution see only the channels of their own GPU. Weights start normally distributed with
    deviation 0.01, biases at 1 in those three convolutions and the hidden linear layers and at 0 elsewhere: a start for pixels
    from 0 to 255 minus their mean, which are what the paper trains on. Dropout scales what it keeps in training; the paper
    scales all outputs in evaluation.

    Args:
        num_classes: outputs.
        in_channels: 3 for colour, 1 for grey.
        dropout: the probability that an output of the two hidden linear layers is left out in training.
        channels: of the five convolutions; the first four are even.
        hidden: outputs of the two hidden linear layers.

    Shape:
        input (N, in_channels, 227, 227), the size that the paper's strides fit (its text says 224); output (N, num_classes).

    >>> import minigrad
    >>> from minigrad.vision.models.alexnet import AlexNetOriginal
    >>> model = AlexNetOriginal(num_classes=10, channels=(8, 8, 16, 16, 16), hidden=32)
    >>> model(minigrad.randn(2, 3, 227, 227)).shape
    (2, 10)
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.5,
        channels: Sequence[int] = (96, 256, 384, 384, 256),
        hidden: int = 4096,
    ):
        super().__init__()
        c1, c2, c3, c4, c5 = channels
        self.features = nn.Sequential(
            *(nn.Conv2d(in_channels, c1, 11, stride=4), nn.ReLU(inplace=True), response_norm(), nn.MaxPool2d(3, stride=2)),
            *(nn.Conv2d(c1, c2, 5, padding=2, groups=2), nn.ReLU(inplace=True), response_norm(), nn.MaxPool2d(3, stride=2)),
            *(nn.Conv2d(c2, c3, 3, padding=1), nn.ReLU(inplace=True)),
            *(nn.Conv2d(c3, c4, 3, padding=1, groups=2), nn.ReLU(inplace=True)),
            *(nn.Conv2d(c4, c5, 3, padding=1, groups=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2)),
        )
        self.classifier = nn.Sequential(
            *(nn.Linear(c5 * 6 * 6, hidden), nn.ReLU(inplace=True), nn.Dropout(dropout)),
            *(nn.Linear(hidden, hidden), nn.ReLU(inplace=True), nn.Dropout(dropout)),
            nn.Linear(hidden, num_classes),
        )
        last = self.classifier[-1]
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                one = module.groups == 2 if isinstance(module, nn.Conv2d) else module is not last
                nn.init.constant_(module.bias, 1 if one else 0)

    def forward(self, x: Tensor) -> Tensor:
        check_images(self, x)
        x = self.features(x)  # (N, 256, 6, 6), by way of 55×55, 27×27 and 13×13
        return self.classifier(x.flatten(1))  # (N, num_classes)


def response_norm() -> nn.LocalResponseNorm:
    """The paper's: each number divided by (2 + 10⁻⁴ · Σ x² over five channels)^0.75.

    The layer multiplies the mean of the squares by its alpha, the paper their sum: hence five times the paper's alpha.
    """
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)


@register_model(IMAGENET1K_V1=Published("alexnet-owt-7be5be79.pth", top1=56.522))
def alexnet(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> AlexNet:
    """The form for one GPU, 61.1 million parameters, with torchvision's names."""
    return AlexNet(num_classes, in_channels, dropout)


@register_model()
def alexnet_original(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> AlexNetOriginal:
    """The paper's network for images of 227×227, 60.97 million parameters."""
    return AlexNetOriginal(num_classes, in_channels, dropout)
