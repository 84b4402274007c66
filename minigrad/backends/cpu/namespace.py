"""NumPy's functions as the operations call them: a few of them on several threads, where the arrays are large."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..bfloat16 import rounded, widened
from .elementwise import ARRAYS, THREADED, add_up, join, running, threaded, without_warning

WITH_NUMBERS = ("clip", "where", "floor_divide", "remainder", "fmod", "logaddexp", "arctan2", "hypot")
"""Functions that are called with an array and a Python number, besides those that have threads."""
COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
IN_FLOAT32 = ("sort", "argsort", "unique", "max", "min", "argmax", "argmin", "nan_to_num")
"""Functions that NumPy has, but not for a bfloat16 that is nan."""


class Namespace:
    """What ``xp`` is on the CPU: NumPy, but for the functions that are set here."""

    def __init__(self) -> None:
        for ufunc in THREADED:
            setattr(self, ufunc.__name__, threaded(ufunc))
        for name in WITH_NUMBERS:
            setattr(self, name, rounded(getattr(np, name), ARRAYS))
        for name in COMPARISONS:
            setattr(self, name, without_warning(getattr(np, name)))
        for name in IN_FLOAT32:
            setattr(self, name, widened(getattr(np, name)))
        self.true_divide = self.divide
        self.sum = add_up
        self.cumsum = running(np.cumsum)
        self.cumprod = running(np.cumprod)
        self.concatenate = join

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        setattr(self, name, found)  # the next time, nobody asks here
        return found
