"""FakeData: random images with random labels, for trying a program out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import ops
from .images import ImageDataset


class FakeData(ImageDataset):
    """Uniformly random images and labels, the same for the same seed.

    Args:
        size: the number of images.
        image_size: (C, H, W).
        num_classes: the number of labels.
        seed: of the random numbers.
        transform: applied to each image, a (C, H, W) float32 tensor with values in 0..1.
        target_transform: applied to each label.

    >>> from minigrad.vision.datasets import FakeData
    >>> FakeData(size=4, image_size=(3, 32, 32)).images.shape
    (4, 3, 32, 32)
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        seed: int = 0,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
    ):
        generator = ops.Generator().manual_seed(seed)
        images = ops.randint(0, 256, (size, *image_size), generator=generator, dtype="uint8")
        labels = ops.randint(0, num_classes, (size,), generator=generator)
        names = [f"class {label}" for label in range(num_classes)]
        super().__init__(images, labels, names, transform=transform, target_transform=target_transform)
