"""NumPy's functions as the operations call them: a few of them on several threads, where the arrays are large."""

from __future__ import annotations

from typing import Any

import numpy as np

from .elementwise import THREADED, add_up, join, threaded


class Namespace:
    """What ``xp`` is on the CPU: NumPy, but for the functions that are set here."""

    def __init__(self) -> None:
        for ufunc in THREADED:
            setattr(self, ufunc.__name__, threaded(ufunc))
        self.sum = add_up
        self.concatenate = join

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        setattr(self, name, found)  # the next time, nobody asks here
        return found
