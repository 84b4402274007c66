"""The CPU backend: NumPy."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ..base import Backend
from ..device import Device
from .blas_threads import one_blas_thread
from .convolution import CPUConvolutionKernels
from .indexing import CPUIndexingKernels
from .linear import CPULinearKernels
from .loss import CPULossKernels
from .memory import keep_freed_memory
from .namespace import Namespace
from .normalization import CPUNormalizationKernels
from .optimizer import CPUOptimizerKernels
from .pooling import CPUPoolingKernels
from .special import CPUSpecialKernels
from .threads import later

_CPU = Device("cpu")


class CPUBackend(
    CPUConvolutionKernels,
    CPUIndexingKernels,
    CPULinearKernels,
    CPULossKernels,
    CPUNormalizationKernels,
    CPUOptimizerKernels,
    CPUPoolingKernels,
    CPUSpecialKernels,
    Backend,
):
    """NumPy's arrays and functions."""

    name = "cpu"
    array_type = np.ndarray
    xp = Namespace()

    def __init__(self) -> None:
        keep_freed_memory()

    def resolve(self, device: Device) -> Device:
        if device.index not in (None, 0):
            raise ValueError(f"device: expected 'cpu', got {str(device)!r}; there is one CPU")
        return _CPU

    def device_of(self, array: Any) -> Device:
        return _CPU

    def quiet(self) -> AbstractContextManager:
        return np.errstate(all="ignore")

    def many_kernels(self) -> AbstractContextManager:
        return one_blas_thread

    def from_host(self, array: np.ndarray) -> np.ndarray:
        return np.array(array, copy=True, order="K")

    def from_drawn(self, drawn: Any) -> np.ndarray:
        return np.asarray(drawn)

    def to_host(self, array: Any) -> np.ndarray:
        return array

    def later(self, kernel: Callable[[], Any], multiplications: int, held: int) -> Callable[[], Any] | None:
        return later(kernel, multiplications, held)

    def as_strided(self, array: np.ndarray, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
        if array.flags.c_contiguous:  # NumPy's own function takes twenty times as long
            return np.ndarray(shape, array.dtype, array, 0, strides)
        return super().as_strided(array, shape, strides)

    def address(self, array: Any) -> int:
        return array.__array_interface__["data"][0]
