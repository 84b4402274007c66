"""Transforms of tensors, single images (C, H, W) or batches (N, C, H, W), which are augmented at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any

from ... import ops
from ..._tensor import Tensor
from ...nn import functional as F


class Compose:
    """Transforms one after the other.

    >>> import minigrad
    >>> from minigrad.vision.transforms import Compose, Normalize, Pad
    >>> Compose([Pad(1), Normalize([0.5], [0.5])])(minigrad.zeros(1, 1, 1))
    tensor([[[-1., -1., -1.],
             [-1., -1., -1.],
             [-1., -1., -1.]]])
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]):
        self.transforms = list(transforms)

    def __call__(self, image: Any) -> Any:
        for transform in self.transforms:
            image = transform(image)
        return image

    def __repr__(self) -> str:
        return f"Compose({', '.join(repr(t) for t in self.transforms)})"


class Normalize:
    """``(image - mean) / std``, channel by channel.

    Args:
        mean: one number per channel.
        std: one number per channel, none of them zero.

    Raises:
        ValueError: if a std is zero, or an image has another number of channels; TypeError if it is of integers, or mean or
            std are no sequences of numbers.

    >>> import minigrad
    >>> from minigrad.vision.transforms import Normalize
    >>> Normalize([1.0], [2.0])(minigrad.full((1, 1, 2), 5.0))
    tensor([[[2., 2.]]])
    """

    def __init__(self, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor):
        self.mean = _per_channel("mean", mean)
        self.std = _per_channel("std", std)
        if len(self.mean) != len(self.std) or 0 in self.std:
            raise ValueError(f"Normalize: expected as many means as stds, none of these 0, got {self.mean} and {self.std}")

    def __call__(self, image: Tensor) -> Tensor:
        channels = check_image("Normalize", image)[-3]
        if channels != len(self.mean):
            raise ValueError(f"Normalize: expected {len(self.mean)} channels, got {channels} (image {image.shape})")
        if not image.is_floating_point():
            raise TypeError(f"Normalize: expected a floating image, got {image.dtype}")
        mean = ops.tensor(self.mean, dtype=image.dtype, device=image.device).reshape(-1, 1, 1)
        std = ops.tensor(self.std, dtype=image.dtype, device=image.device).reshape(-1, 1, 1)
        return (image - mean) / std

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


class Pad:
    """``padding`` pixels of value ``fill`` on every side.

    Args:
        padding: at least 0.
        fill: the value of the added pixels.

    Raises:
        ValueError: if the padding is negative; TypeError if it is no int.

    >>> import minigrad
    >>> from minigrad.vision.transforms import Pad
    >>> Pad(2)(minigrad.ones(1, 3, 3)).shape
    (1, 7, 7)
    """

    def __init__(self, padding: int, fill: float = 0):
        if not _is_integer(padding):
            raise TypeError(f"Pad: expected padding to be an int, got {padding!r}")
        if padding < 0:
            raise ValueError(f"Pad: expected padding from 0 up, got {padding}")
        self.padding = padding
        self.fill = fill

    def __call__(self, image: Tensor) -> Tensor:
        check_image("Pad", image)
        return F.pad(image, (self.padding,) * 4, value=self.fill)

    def __repr__(self) -> str:
        return f"Pad({self.padding}, fill={self.fill})"


class RandomCrop:
    """A random part of each image, after padding it with ``fill`` on every side: shifts by up to ``padding`` pixels.

    Args:
        size: height and width of the part, or one number for both.
        padding: pixels added on every side first.
        fill: the value of the added pixels.
        generator: of the random numbers; the default generator if None.

    Raises:
        ValueError: if a size is not positive, the padding is negative, or the padded image is smaller than the part.

    >>> import minigrad
    >>> from minigrad.vision.transforms import RandomCrop
    >>> RandomCrop(8, padding=1)(minigrad.rand(16, 1, 8, 8)).shape
    (16, 1, 8, 8)
    """

    def __init__(self, size: int | tuple[int, int], padding: int = 0, fill: float = 0, generator: Any = None):
        self.size = sides("RandomCrop", size)
        self.pad = Pad(padding, fill)
        self.generator = generator

    def __call__(self, image: Tensor) -> Tensor:
        shape = check_image("RandomCrop", image)
        batch = self.pad(image if len(shape) == 4 else image.unsqueeze(0))
        count, _, height, width = batch.shape
        if height < self.size[0] or width < self.size[1]:
            raise ValueError(f"RandomCrop: expected a padded image of at least {self.size}, got {(height, width)}")
        rows = self._offsets(count, height - self.size[0], self.size[0], image.device)
        columns = self._offsets(count, width - self.size[1], self.size[1], image.device)
        numbers = ops.arange(count, device=image.device).reshape(-1, 1, 1)
        parts = batch[numbers, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)
        return parts if len(shape) == 4 else parts[0]

    def _offsets(self, count: int, room: int, size: int, device: Any) -> Tensor:
        """For each image the rows (or columns) of its part: (count, size)."""
        starts = ops.randint(0, room + 1, (count, 1), generator=self.generator, device=device)
        return starts + ops.arange(size, device=device)

    def __repr__(self) -> str:
        return f"RandomCrop({self.size}, padding={self.pad.padding}, fill={self.pad.fill})"


class RandomHorizontalFlip:
    """Each image mirrored with probability ``p``.

    Args:
        p: the probability, 0..1.
        generator: of the random numbers; the default generator if None.

    Raises:
        ValueError: if the probability is out of range.

    >>> import minigrad
    >>> from minigrad.vision.transforms import RandomHorizontalFlip
    >>> RandomHorizontalFlip(p=1.0)(minigrad.tensor([[[1.0, 2.0]]]))
    tensor([[[2., 1.]]])
    """

    def __init__(self, p: float = 0.5, generator: Any = None):
        if not 0 <= p <= 1:
            raise ValueError(f"RandomHorizontalFlip: expected a probability in 0..1, got {p}")
        self.p = p
        self.generator = generator

    def __call__(self, image: Tensor) -> Tensor:
        shape = check_image("RandomHorizontalFlip", image)
        draws = ops.rand((*shape[:-3], 1, 1, 1), generator=self.generator, device=image.device)
        return ops.where(draws < self.p, image.flip(-1), image)

    def __repr__(self) -> str:
        return f"RandomHorizontalFlip(p={self.p})"


def _per_channel(name: str, numbers: Any) -> list[float]:
    found = numbers.tolist() if isinstance(numbers, Tensor) else numbers
    if not hasattr(found, "__iter__") or not all(isinstance(number, Real) for number in found):
        raise TypeError(f"Normalize: expected {name} to have one number per channel, got {numbers!r}")
    return [float(number) for number in found]


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def sides(name: str, size: Any) -> tuple[int, int]:
    """Height and width from both, or from one number for both; ValueError for anything else."""
    both = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(both) != 2 or not all(_is_integer(side) and side > 0 for side in both):
        raise ValueError(f"{name}: expected a positive size, or two, got {size!r}")
    return int(both[0]), int(both[1])


def check_image(name: str, image: Any) -> tuple[int, ...]:
    """The shape of an image or a batch; ValueError for anything else."""
    if not isinstance(image, Tensor) or image.ndim not in (3, 4):
        got = image.shape if isinstance(image, Tensor) else type(image).__name__
        raise ValueError(f"{name}: expected an image (C, H, W) or a batch (N, C, H, W), got {got}")
    return image.shape
