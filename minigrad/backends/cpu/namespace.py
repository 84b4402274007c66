"""NumPy's functions as the operations call them: a few of them on several threads, where the arrays are large."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dtypes import accumulated_in
from .elementwise import THREADED, add_up, join, keeping_dtype, threaded, without_warning

WITH_NUMBERS = ("clip", "where", "floor_divide", "remainder", "fmod", "logaddexp", "arctan2", "hypot")
"""Functions that are called with an array and a Python number, besides those that have threads."""
COMPARISONS = ("less", "less_equal", "greater", "greater_equal")


class Namespace:
    """What ``xp`` is on the CPU: NumPy, but for the functions that are set here."""

    def __init__(self) -> None:
        for ufunc in THREADED:
            setattr(self, ufunc.__name__, threaded(ufunc))
        for name in WITH_NUMBERS:
            setattr(self, name, keeping_dtype(getattr(np, name)))
        for name in COMPARISONS:
            setattr(self, name, without_warning(getattr(np, name)))
        self.true_divide = self.divide
        self.sum = add_up
        self.concatenate = join

    def nan_to_num(self, x: np.ndarray, **replacements: Any) -> np.ndarray:
        """In float32 for short floats: NumPy does not see that bfloat16 can be nan."""
        return np.nan_to_num(x.astype(accumulated_in(x.dtype), copy=False), **replacements).astype(x.dtype, copy=False)

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        setattr(self, name, found)  # the next time, nobody asks here
        return found
