"""Transforms that training images go through, alike before ToTensor and after it: Pillow's pictures, tensors, batches of them.

A batch is augmented at once, every image of it by draws of its own.
"""

from __future__ import annotations

from typing import Any

from ... import ops
from ..._tensor import Tensor
from ...nn import functional as F
from .pictures import check_picture, is_picture
from .tensors import check_image, is_integer, sides


class Pad:
    """``padding`` pixels of value ``fill`` on every side of a tensor or a picture.

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
        if not is_integer(padding):
            raise TypeError(f"Pad: expected padding to be an int, got {padding!r}")
        if padding < 0:
            raise ValueError(f"Pad: expected padding from 0 up, got {padding}")
        self.padding = padding
        self.fill = fill

    def __call__(self, image: Any) -> Any:
        if not is_picture(image):
            check_image("Pad", image)
            return F.pad(image, (self.padding,) * 4, value=self.fill)
        check_picture("Pad", image)
        from PIL import ImageOps

        channels = len(image.getbands())
        color: Any = self.fill if channels == 1 else (self.fill,) * channels
        return ImageOps.expand(image, self.padding, color)

    def __repr__(self) -> str:
        return f"Pad({self.padding}, fill={self.fill})"


class RandomCrop:
    """A random part of each image or picture, after padding it with ``fill`` on every side: shifts by up to ``padding`` pixels.

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

    def __call__(self, image: Any) -> Any:
        height, width = self.size
        if is_picture(image):
            check_picture("RandomCrop", image)
            padded = self.pad(image)
            top, left = (start.item() for start in self._starts(1, padded.height, padded.width))
            return padded.crop((left, top, left + width, top + height))
        shape = check_image("RandomCrop", image)
        batch = self.pad(image if len(shape) == 4 else image.unsqueeze(0))
        count, device = len(batch), image.device
        top, left = self._starts(count, batch.shape[2], batch.shape[3], device)
        rows, columns = top + ops.arange(height, device=device), left + ops.arange(width, device=device)  # (N, H), (N, W)
        numbers = ops.arange(count, device=device).reshape(-1, 1, 1)
        parts = batch[numbers, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)
        return parts if len(shape) == 4 else parts[0]

    def _starts(self, count: int, height: int, width: int, device: Any = None) -> list[Tensor]:
        """For each image the first row and the first column of its part, each (count, 1)."""
        if height < self.size[0] or width < self.size[1]:
            raise ValueError(f"RandomCrop: expected a padded image of at least {self.size}, got {(height, width)}")
        room = (height - self.size[0], width - self.size[1])
        return [ops.randint(0, free + 1, (count, 1), generator=self.generator, device=device) for free in room]

    def __repr__(self) -> str:
        return f"RandomCrop({self.size}, padding={self.pad.padding}, fill={self.pad.fill})"


class RandomHorizontalFlip:
    """Each image or picture mirrored with probability ``p``.

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

    def __call__(self, image: Any) -> Any:
        if is_picture(image):
            pillow = check_picture("RandomHorizontalFlip", image)
            mirrored = ops.rand(1, generator=self.generator).item() < self.p
            return image.transpose(pillow.Transpose.FLIP_LEFT_RIGHT) if mirrored else image
        shape = check_image("RandomHorizontalFlip", image)
        draws = ops.rand((*shape[:-3], 1, 1, 1), generator=self.generator, device=image.device)
        return ops.where(draws < self.p, image.flip(-1), image)

    def __repr__(self) -> str:
        return f"RandomHorizontalFlip(p={self.p})"
