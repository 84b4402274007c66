"""Digits: 1,797 handwritten digits of 8×8 pixels, which the package carries."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

import numpy as np

from ... import ops
from .images import ImageDataset


class Digits(ImageDataset):
    """The test set of "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, UCI, 1998, CC BY 4.0).

    Images are (1, 8, 8) with 17 grey levels. Of every five images in the file's order the last is held out for testing:
    1,438 to train on and 359 to test on, by the same writers.

    Args:
        train: the training part, or the held-out one.
        transform: applied to each image, a (1, 8, 8) float32 tensor with values in 0..1.
        target_transform: applied to each label.

    >>> from minigrad.vision.datasets import Digits
    >>> image, label = Digits(train=False)[0]
    >>> len(Digits()), image.shape, label
    (1438, (1, 8, 8), 4)
    """

    def __init__(
        self,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
    ):
        file = resources.files("minigrad.vision").joinpath("data/digits.npz")
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            images, labels = archive["images"], archive["labels"].astype(np.int64)
        held_out = np.arange(len(labels)) % 5 == 4
        chosen = ~held_out if train else held_out
        super().__init__(
            ops.from_numpy(images[chosen][:, None]),
            ops.from_numpy(labels[chosen]),
            classes=[str(digit) for digit in range(10)],
            maximum=16,
            transform=transform,
            target_transform=target_transform,
        )
