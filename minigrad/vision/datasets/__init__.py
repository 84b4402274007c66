"""Image classification datasets: one that the package carries, one that is downloaded, one that is made up."""

from .cifar import CIFAR10
from .digits import Digits
from .fake import FakeData
from .images import ImageDataset

__all__ = ["CIFAR10", "Digits", "FakeData", "ImageDataset"]
