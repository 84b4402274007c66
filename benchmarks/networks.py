"""The classic networks, written once for every library that has PyTorch's names: ``lib`` is ``minigrad`` or ``torch``.

They are torchvision's in layers, order and in-place writes, so that a comparison times the libraries and not two spellings of a
network. GoogLeNet is the one built with ``aux_logits=False``: it has no auxiliary heads. LeNet-5, the MLP and the networks for
32×32 images, which torchvision does not have, are described where they are defined.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

Module = Any
"""``nn.Module`` of whichever library is asked for."""


@functools.cache
def joints(lib: ModuleType) -> SimpleNamespace:
    """The modules that join layers where a Sequential cannot, as classes of the library."""
    nn = lib.nn

    class Residual(nn.Module):
        """relu(body(x) + shortcut(x))"""

        def __init__(self, body: Module, shortcut: Module, inplace: bool = True):
            super().__init__()
            self.body = body
            self.shortcut = shortcut
            self.inplace = inplace
            self.relu = nn.ReLU(inplace=inplace)

        def forward(self, x):
            y = self.body(x)
            if self.inplace:
                y += self.shortcut(x)
            else:
                y = y + self.shortcut(x)
            return self.relu(y)

    class Subsample(nn.Module):
        """The shortcut without parameters: every second pixel, and zeros for the channels that are new."""

        def __init__(self, new_channels: int):
            super().__init__()
            self.before = new_channels // 2
            self.after = new_channels - self.before

        def forward(self, x):
            return nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.before, self.after))

    class Branches(nn.Module):
        """Several ways side by side, their channels one after another."""

        def __init__(self, *branches: Module):
            super().__init__()
            self.branches = nn.ModuleList(branches)

        def forward(self, x):
            return lib.cat([branch(x) for branch in self.branches], 1)

    class DenseBlock(nn.Module):
        """Every layer sees the input and the outputs of all layers before it."""

        def __init__(self, *layers: Module):
            super().__init__()
            self.layers = nn.ModuleList(layers)

        def forward(self, x):
            features = [x]
            for layer in self.layers:
                features.append(layer(lib.cat(features, 1)))
            return lib.cat(features, 1)

    return SimpleNamespace(Residual=Residual, Subsample=Subsample, Branches=Branches, DenseBlock=DenseBlock)


def mlp(lib: ModuleType) -> Module:
    """1000 → 100 → 10 with ReLU."""
    nn = lib.nn
    return nn.Sequential(nn.Linear(1000, 100), nn.ReLU(), nn.Linear(100, 10))


def lenet5(lib: ModuleType) -> Module:
    """LeNet-5 for 28×28 grey images, with ReLU and max pooling."""
    nn = lib.nn
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Flatten(),
        *(nn.Linear(400, 120), nn.ReLU()),
        *(nn.Linear(120, 84), nn.ReLU()),
        nn.Linear(84, 10),
    )


def resnet20(lib: ModuleType) -> Module:
    """The residual network of 20 layers for 32×32 images, as in ``minigrad.vision.models``: nothing in place."""
    nn, joint = lib.nn, joints(lib)
    layers = [*convolution(nn, 3, 16, 3, padding=1), nn.ReLU()]
    channels = 16
    for out_channels in (16, 32, 64):
        for _ in range(3):
            stride = out_channels // channels
            body = nn.Sequential(
                *(*convolution(nn, channels, out_channels, 3, stride=stride, padding=1), nn.ReLU()),
                *convolution(nn, out_channels, out_channels, 3, padding=1),
            )
            shortcut = nn.Identity() if stride == 1 else joint.Subsample(out_channels - channels)
            layers.append(joint.Residual(body, shortcut, inplace=False))
            channels = out_channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def cifar_resnet18(lib: ModuleType) -> Module:
    """ResNet-18 for 32×32 images: a 3×3 convolution of stride 1 in front, no max pooling, 10 classes."""
    nn = lib.nn
    stem = (*convolution(nn, 3, 64, 3, padding=1), nn.ReLU(inplace=True))
    return resnet(lib, stem, (2, 2, 2, 2), basic_block, classes=10)


def alexnet(lib: ModuleType) -> Module:
    nn = lib.nn
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True)),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True)),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
        *(nn.AdaptiveAvgPool2d(6), nn.Flatten()),
        *(nn.Dropout(), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(inplace=True)),
        *(nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(inplace=True)),
        nn.Linear(4096, 1000),
    )


def vgg(lib: ModuleType, convolutions: Sequence[int]) -> Module:
    """VGG without batch norm: so many convolutions in each of the five stages."""
    nn = lib.nn
    layers = []
    channels = 3
    for count, out_channels in zip(convolutions, (64, 128, 256, 512, 512)):
        for _ in range(count):
            layers += [nn.Conv2d(channels, out_channels, 3, padding=1), nn.ReLU(inplace=True)]
            channels = out_channels
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(
        *layers,
        *(nn.AdaptiveAvgPool2d(7), nn.Flatten()),
        *(nn.Linear(512 * 7 * 7, 4096), nn.ReLU(inplace=True), nn.Dropout()),
        *(nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout()),
        nn.Linear(4096, 1000),
    )


def vgg11(lib: ModuleType) -> Module:
    return vgg(lib, (1, 1, 2, 2, 2))


def vgg16(lib: ModuleType) -> Module:
    return vgg(lib, (2, 2, 3, 3, 3))


def googlenet(lib: ModuleType) -> Module:
    """GoogLeNet with batch norm and without auxiliary heads; like torchvision's, with 3×3 where the paper has 5×5."""
    nn, joint = lib.nn, joints(lib)

    def unit(in_channels: int, out_channels: int, kernel_size: int, **options: Any) -> Module:
        return nn.Sequential(
            *convolution(nn, in_channels, out_channels, kernel_size, eps=0.001, **options), nn.ReLU(inplace=True)
        )

    def inception(channels: int, one: int, reduce3: int, three: int, reduce5: int, five: int, pooled: int) -> Module:
        return joint.Branches(
            unit(channels, one, 1),
            nn.Sequential(unit(channels, reduce3, 1), unit(reduce3, three, 3, padding=1)),
            nn.Sequential(unit(channels, reduce5, 1), unit(reduce5, five, 3, padding=1)),
            nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True), unit(channels, pooled, 1)),
        )

    return nn.Sequential(
        *(unit(3, 64, 7, stride=2, padding=3), nn.MaxPool2d(3, 2, ceil_mode=True)),
        *(unit(64, 64, 1), unit(64, 192, 3, padding=1), nn.MaxPool2d(3, 2, ceil_mode=True)),
        inception(192, 64, 96, 128, 16, 32, 32),
        inception(256, 128, 128, 192, 32, 96, 64),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        inception(480, 192, 96, 208, 16, 48, 64),
        inception(512, 160, 112, 224, 24, 64, 64),
        inception(512, 128, 128, 256, 24, 64, 64),
        inception(512, 112, 144, 288, 32, 64, 64),
        inception(528, 256, 160, 320, 32, 128, 128),
        nn.MaxPool2d(2, 2, ceil_mode=True),
        inception(832, 256, 160, 320, 32, 128, 128),
        inception(832, 384, 192, 384, 48, 128, 128),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1024, 1000)),
    )


def convolution(
    nn: ModuleType, in_channels: int, out_channels: int, kernel_size: int, eps: float = 1e-5, **options: Any
) -> tuple[Module, Module]:
    """A convolution without bias, and batch norm."""
    return nn.Conv2d(in_channels, out_channels, kernel_size, bias=False, **options), nn.BatchNorm2d(out_channels, eps=eps)


def basic_block(lib: ModuleType, in_channels: int, channels: int, stride: int) -> tuple[list[Module], int]:
    """The layers of a block of two 3×3 convolutions, and how many channels come out."""
    nn = lib.nn
    return [
        *(*convolution(nn, in_channels, channels, 3, stride=stride, padding=1), nn.ReLU(inplace=True)),
        *convolution(nn, channels, channels, 3, padding=1),
    ], channels


def bottleneck(
    lib: ModuleType, in_channels: int, channels: int, stride: int, groups: int = 1, width_per_group: int = 64
) -> tuple[list[Module], int]:
    """The layers of a block of 1×1, 3×3 and 1×1, and how many channels come out; the stride is the 3×3's."""
    nn = lib.nn
    width = channels * width_per_group // 64 * groups
    return [
        *(*convolution(nn, in_channels, width, 1), nn.ReLU(inplace=True)),
        *(*convolution(nn, width, width, 3, stride=stride, padding=1, groups=groups), nn.ReLU(inplace=True)),
        *convolution(nn, width, 4 * channels, 1),
    ], 4 * channels


def resnet(
    lib: ModuleType,
    stem: Sequence[Module],
    blocks: Sequence[int],
    block: Callable[[ModuleType, int, int, int], tuple[list[Module], int]],
    classes: int = 1000,
) -> Module:
    """A stem that gives 64 channels, four stages of residual blocks, and a linear layer."""
    nn, joint = lib.nn, joints(lib)
    layers = list(stem)
    in_channels = 64
    for stage, count in enumerate(blocks):
        for i in range(count):
            stride = 2 if stage > 0 and i == 0 else 1
            body, out_channels = block(lib, in_channels, 64 * 2**stage, stride)
            shortcut = nn.Identity()
            if stride != 1 or in_channels != out_channels:
                shortcut = nn.Sequential(*convolution(nn, in_channels, out_channels, 1, stride=stride))
            layers.append(joint.Residual(nn.Sequential(*body), shortcut))
            in_channels = out_channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(in_channels, classes))


def imagenet_stem(nn: ModuleType) -> list[Module]:
    """From 3 channels to 64 and to a quarter of the size."""
    return [
        *convolution(nn, 3, 64, 7, stride=2, padding=3),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, padding=1),
    ]


def resnet18(lib: ModuleType) -> Module:
    return resnet(lib, imagenet_stem(lib.nn), (2, 2, 2, 2), basic_block)


def resnet50(lib: ModuleType) -> Module:
    return resnet(lib, imagenet_stem(lib.nn), (3, 4, 6, 3), bottleneck)


def wide_resnet50_2(lib: ModuleType) -> Module:
    return resnet(lib, imagenet_stem(lib.nn), (3, 4, 6, 3), functools.partial(bottleneck, width_per_group=128))


def resnext50_32x4d(lib: ModuleType) -> Module:
    return resnet(lib, imagenet_stem(lib.nn), (3, 4, 6, 3), functools.partial(bottleneck, groups=32, width_per_group=4))


def densenet121(lib: ModuleType) -> Module:
    nn, joint = lib.nn, joints(lib)
    growth = 32
    layers = imagenet_stem(nn)
    channels = 64
    for stage, count in enumerate((6, 12, 24, 16)):
        if stage > 0:
            layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
            layers += [nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2, 2)]
            channels //= 2
        block = []
        for _ in range(count):
            block.append(
                nn.Sequential(
                    *(nn.BatchNorm2d(channels), nn.ReLU(inplace=True)),
                    nn.Conv2d(channels, 4 * growth, 1, bias=False),
                    *(nn.BatchNorm2d(4 * growth), nn.ReLU(inplace=True)),
                    nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
                )
            )
            channels += growth
        layers.append(joint.DenseBlock(*block))
    layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))
