"""Copies from the host to the GPU, and the page-locked ("pinned") memory from which they go while the host does something else.

CuPy copies an array that is not pinned into a pinned buffer first, so that the host may go on and the array may change. From
a pinned one it copies directly: then somebody has to wait, or to leave the array alone until the copy is done.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np


class CUDATransfers:
    """What a Backend says about host memory."""

    cupy: Any

    def from_host(self, array: np.ndarray) -> Any:
        moved = self.cupy.asarray(array)
        if self.is_pinned(array):
            self.cupy.cuda.get_current_stream().synchronize()
        return moved

    def from_host_later(self, array: np.ndarray) -> Any:
        return self.cupy.asarray(array)  # CuPy holds the host's memory until the copy is done

    def pinned(self, array: np.ndarray) -> np.ndarray:
        copy = importlib.import_module("cupyx").empty_like_pinned(array)
        copy[...] = array
        return copy

    def is_pinned(self, array: np.ndarray) -> bool:
        if not array.size:
            return False
        return bool(self.cupy.cuda.pinned_memory.is_memory_pinned(array.__array_interface__["data"][0]))
