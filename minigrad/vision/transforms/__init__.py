"""Image transforms under torchvision's names: of tensors, one image or a batch, and of Pillow's pictures before they are any.

In a batch every image gets a draw of its own. Pictures need Pillow: ``pip install pillow``.
"""

from .augmentation import Pad, RandomCrop, RandomHorizontalFlip
from .pictures import CenterCrop, Grayscale, Resize, ToTensor, pil_to_tensor
from .tensors import Compose, Normalize

__all__ = [
    "CenterCrop",
    "Compose",
    "Grayscale",
    "Normalize",
    "Pad",
    "RandomCrop",
    "RandomHorizontalFlip",
    "Resize",
    "ToTensor",
    "pil_to_tensor",
]
