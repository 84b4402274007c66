"""Transforms of tensors, single images (C, H, W) or batches (N, C, H, W), and what all transforms ask of their arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any

from ... import ops
from ..._tensor import Tensor


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


def _per_channel(name: str, numbers: Any) -> list[float]:
    found = numbers.tolist() if isinstance(numbers, Tensor) else numbers
    if not hasattr(found, "__iter__") or not all(isinstance(number, Real) for number in found):
        raise TypeError(f"Normalize: expected {name} to have one number per channel, got {numbers!r}")
    return [float(number) for number in found]


def is_integer(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def sides(name: str, size: Any) -> tuple[int, int]:
    """Height and width from both, or from one number for both; ValueError for anything else."""
    both = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(both) != 2 or not all(is_integer(side) and side > 0 for side in both):
        raise ValueError(f"{name}: expected a positive size, or two, got {size!r}")
    return int(both[0]), int(both[1])


def check_image(name: str, image: Any) -> tuple[int, ...]:
    """The shape of an image or a batch; ValueError for anything else."""
    if not isinstance(image, Tensor) or image.ndim not in (3, 4):
        hint = " (ToTensor makes a tensor of a picture or an array)"
        got = image.shape if isinstance(image, Tensor) else type(image).__name__ + hint
        raise ValueError(f"{name}: expected an image (C, H, W) or a batch (N, C, H, W), got {got}")
    return image.shape
