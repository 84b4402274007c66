"""Transforms of Pillow's pictures, up to the tensor: the preparation that networks for ImageNet were evaluated with."""

from __future__ import annotations

import sys
from typing import Any

from ... import ops
from ..._tensor import Tensor
from ...dtypes import get_default_dtype, uint8
from ...nn import functional as F
from .tensors import check_image, sides

_FILTERS = ("bilinear", "bicubic", "nearest", "box", "hamming", "lanczos")
_EIGHT_BITS = ("L", "LA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")


class Resize:
    """A picture of another size, by Pillow's filters, which weigh all pixels that a new one covers.

    Args:
        size: the pixels of the shorter side, while the proportions stay; or height and width.
        interpolation: bilinear, bicubic, nearest, box, hamming or lanczos.

    Raises:
        ValueError: if a size is not positive, or there is no such interpolation; TypeError for anything but a PIL image.

    >>> from PIL import Image
    >>> from minigrad.vision.transforms import Resize
    >>> Resize(50)(Image.new("RGB", (300, 200))).size  # Pillow's order: width, height
    (75, 50)
    """

    def __init__(self, size: int | tuple[int, int], interpolation: str = "bilinear"):
        both = sides("Resize", size)
        self.size = both if isinstance(size, (tuple, list)) else both[0]
        if interpolation not in _FILTERS:
            raise ValueError(f"Resize: expected interpolation to be one of {', '.join(_FILTERS)}, got {interpolation!r}")
        self.interpolation = interpolation

    def __call__(self, image: Any) -> Any:
        pillow = check_picture("Resize", image)
        if isinstance(self.size, int):
            longer = int(self.size * max(image.size) / min(image.size))
            size = (self.size, longer) if image.width <= image.height else (longer, self.size)
        else:
            size = self.size[::-1]
        return image if size == image.size else image.resize(size, pillow.Resampling[self.interpolation.upper()])

    def __repr__(self) -> str:
        return f"Resize({self.size}, interpolation={self.interpolation!r})"


class CenterCrop:
    """The middle of a picture or a tensor; where it is smaller than that, zeros are around it.

    Args:
        size: height and width of the part, or one number for both.

    Raises:
        ValueError: if a size is not positive, or a tensor is no image; TypeError for anything but a PIL image or a tensor.

    >>> import minigrad
    >>> from minigrad.vision.transforms import CenterCrop
    >>> CenterCrop((1, 2))(minigrad.arange(12).reshape(1, 3, 4))
    tensor([[[5, 6]]])
    """

    def __init__(self, size: int | tuple[int, int]):
        self.size = sides("CenterCrop", size)

    def __call__(self, image: Any) -> Any:
        height, width = self.size
        if not isinstance(image, Tensor):
            check_picture("CenterCrop", image)
            left, top = _start(image.width, width), _start(image.height, height)
            return image.crop((left, top, left + width, top + height))  # black where the box is outside of the picture
        rows, columns = check_image("CenterCrop", image)[-2:]
        top, left = _start(rows, height), _start(columns, width)
        around = [max(0, -left), max(0, left + width - columns), max(0, -top), max(0, top + height - rows)]
        if any(around):
            image = F.pad(image, around)
        top, left = max(0, top), max(0, left)
        return image[..., top : top + height, left : left + width]

    def __repr__(self) -> str:
        return f"CenterCrop({self.size})"


class Grayscale:
    """A picture without its colours: ``0.299 R + 0.587 G + 0.114 B``.

    Args:
        num_output_channels: 1, or 3 for a network that wants three equal ones.

    Raises:
        ValueError: for another number of channels; TypeError for anything but a PIL image.

    >>> from PIL import Image
    >>> from minigrad.vision.transforms import Grayscale
    >>> Grayscale()(Image.new("RGB", (2, 2), "red")).getpixel((0, 0))
    76
    """

    def __init__(self, num_output_channels: int = 1):
        if num_output_channels not in (1, 3):
            raise ValueError(f"Grayscale: expected 1 or 3 num_output_channels, got {num_output_channels}")
        self.num_output_channels = num_output_channels

    def __call__(self, image: Any) -> Any:
        check_picture("Grayscale", image)
        grey = image.convert("L")
        return grey if self.num_output_channels == 1 else grey.convert("RGB")

    def __repr__(self) -> str:
        return f"Grayscale(num_output_channels={self.num_output_channels})"


class ToTensor:
    """A picture as a tensor (C, H, W) of the default float dtype with values in 0..1.

    So is an array (H, W, C) or (H, W) of uint8; one of another dtype keeps its values and its dtype.

    Raises:
        ValueError: for a picture whose channels do not have 8 bits, or an array of another number of dimensions; TypeError for
            anything but a PIL image or a NumPy array.

    >>> from PIL import Image
    >>> from minigrad.vision.transforms import ToTensor
    >>> ToTensor()(Image.new("L", (2, 1), 51))
    tensor([[[0.2, 0.2]]])
    """

    def __call__(self, image: Any) -> Tensor:
        if is_picture(image) or not hasattr(image, "__array_interface__"):
            pixels = _pixels("ToTensor", image, "a PIL image or a NumPy array")
        elif image.ndim in (2, 3):
            pixels = _channels_first(image)
        else:
            raise ValueError(f"ToTensor: expected an array (H, W) or (H, W, C), got {image.shape}")
        return pixels.to(get_default_dtype()) / 255 if pixels.dtype == uint8 else pixels

    def __repr__(self) -> str:
        return "ToTensor()"


def pil_to_tensor(image: Any) -> Tensor:
    """A picture as a uint8 tensor (C, H, W).

    Args:
        image: a PIL image with 8 bits to a channel, or black and white (1 bit), which gives 0 and 255. For others, say one with
            a palette, ``image.convert("RGB")`` comes first; it does not scale pictures of 16 or 32 bits (I;16, I, F), whose
            values have to be brought to 0..255 before.

    Raises:
        ValueError: for a picture whose channels have another number of bits; TypeError for anything but a PIL image.

    >>> from PIL import Image
    >>> from minigrad.vision.transforms import pil_to_tensor
    >>> pil_to_tensor(Image.new("L", (2, 1), 7))
    tensor([[[7, 7]]], dtype=uint8)
    """
    return _pixels("pil_to_tensor", image)


def _pixels(name: str, image: Any, expected: str = "a PIL image") -> Tensor:
    check_picture(name, image, expected)
    if image.mode == "1":
        image = image.convert("L")
    if image.mode not in _EIGHT_BITS:
        raise ValueError(
            f"{name}: expected a picture with 8 bits to a channel ({', '.join(_EIGHT_BITS)}), got one of mode {image.mode}; "
            + (
                "scale its values to 0..255 first, since image.convert('RGB') would cut off what is above"
                if image.mode.startswith(("I", "F"))
                else "image.convert('RGB') makes it one"
            )
        )
    return _channels_first(image)


def _channels_first(image: Any) -> Tensor:
    pixels = ops.tensor(image)  # (H, W) or (H, W, C)
    return pixels.unsqueeze(0) if pixels.ndim == 2 else pixels.permute(2, 0, 1).contiguous()


def is_picture(image: Any) -> bool:
    """Whether it is one of Pillow's: wherever there is one, Pillow has been imported."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(image, pillow.Image)


def check_picture(name: str, image: Any, expected: str = "a PIL image") -> Any:
    """Raise TypeError unless it is one of Pillow's, ValueError if it has no pixels; Pillow's module of images."""
    try:
        from PIL import Image
    except ModuleNotFoundError:
        raise ModuleNotFoundError(f"{name}: expected Pillow to be installed: pip install pillow") from None
    if not isinstance(image, Image.Image):
        raise TypeError(f"{name}: expected {expected}, got {type(image).__name__}")
    if 0 in image.size:
        raise ValueError(f"{name}: expected a picture with pixels, got one of {image.width}×{image.height}")
    return Image


def _start(length: int, wanted: int) -> int:
    """Where the middle begins; below 0 if it is longer than the whole. The rounding is torchvision's."""
    return round((length - wanted) / 2) if wanted <= length else -((wanted - length) // 2)
