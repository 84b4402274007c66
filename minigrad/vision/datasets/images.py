"""What the datasets here share: all images in one uint8 tensor, all labels in another."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from ... import ops
from ..._tensor import Tensor
from ...utils.data import Dataset


class ImageDataset(Dataset):
    """Images with labels, held in memory.

    Args:
        images: (N, C, H, W) uint8.
        labels: (N,) int64.
        classes: the names of the labels.
        maximum: the image value that stands for full intensity, 1.0 after scaling.
        transform: applied to each image, a (C, H, W) float32 tensor with values in 0..1.
        target_transform: applied to each label.

    Raises:
        ValueError: if the shapes do not belong together.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        classes: Sequence[str],
        maximum: float = 255,
        transform: Callable[[Tensor], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
    ):
        if images.ndim != 4 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"{type(self).__name__}: expected images (N, C, H, W) and labels (N,), got {images.shape} and {labels.shape}"
            )
        self.images = images
        self.labels = labels
        self.classes = tuple(classes)
        self.maximum = maximum
        self.transform = transform
        self.target_transform = target_transform

    def __len__(self) -> int:
        return self.images.shape[0]

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not hasattr(index, "__index__"):
            raise TypeError(
                f"{type(self).__name__}: expected an integer as index, got {index!r}; for several, loop or use a Subset"
            )
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"{type(self).__name__}: expected an index in 0..{len(self) - 1}, got {index}")
        image: Any = self.images[index].float() / self.maximum
        label: Any = int(self.labels[index].item())
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return image, label

    def tensors(self) -> tuple[Tensor, Tensor]:
        """All images as float32 in 0..1, (N, C, H, W), and all labels, (N,): the whole set at once, without transforms."""
        return self.images.float() / self.maximum, self.labels

    def mean_and_std(self) -> tuple[Tensor, Tensor]:
        """The mean and the standard deviation of each channel over all images, each (C,), in the scale 0..1."""
        images, channels, height, width = self.images.shape
        total = ops.zeros(channels, dtype="float64", device=self.images.device)
        squares = ops.zeros_like(total)
        for part in self.images.split(1000):  # some at a time: in float64 they take eight times the memory
            part = part.double()
            total += part.sum(dim=(0, 2, 3))
            squares += (part * part).sum(dim=(0, 2, 3))
        mean = total / (images * height * width)
        std = (squares / (images * height * width) - mean * mean).sqrt()
        return (mean / self.maximum).float(), (std / self.maximum).float()
