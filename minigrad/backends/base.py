"""The contract of a backend: a NumPy-like namespace, a few facts about arrays, and a short list of kernels.

A kernel is here because it deserves tuning on some device. Each has a plain version over ``self.xp`` in ``generic/``, one
family per file, which a new backend inherits, which the tuned versions are tested against, and which is there to be read.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import numpy as np

from .device import Device
from .generic.convolution import ConvolutionKernels
from .generic.indexing import IndexingKernels
from .generic.linear import LinearKernels
from .generic.loss import LossKernels
from .generic.normalization import NormalizationKernels
from .generic.optimizer import OptimizerKernels
from .generic.pooling import PoolingKernels
from .generic.random import RandomKernels
from .generic.softmax import SoftmaxKernels
from .generic.special import SpecialKernels


class Backend(
    ConvolutionKernels,
    PoolingKernels,
    NormalizationKernels,
    LinearKernels,
    LossKernels,
    SoftmaxKernels,
    IndexingKernels,
    OptimizerKernels,
    RandomKernels,
    SpecialKernels,
):
    """What a device must offer. A subclass sets the three attributes and the methods that raise here."""

    name: ClassVar[str]
    """The type in a device's name: ``cpu``."""
    array_type: ClassVar[type]
    """The class of this backend's arrays."""
    xp: Any
    """The NumPy-like namespace: the functions that ``minigrad.ops`` calls, with NumPy's names, arguments and results."""

    def resolve(self, device: Device) -> Device:
        """The full name of a device of this type, checked to exist: ``cuda`` becomes ``cuda:0``."""
        raise NotImplementedError(f"{type(self).__name__}.resolve")

    def device_of(self, array: Any) -> Device:
        """Where an array lives."""
        raise NotImplementedError(f"{type(self).__name__}.device_of")

    def on(self, device: Device) -> AbstractContextManager:
        """A context in which ``xp`` makes its new arrays on the device."""
        return nullcontext()

    def quiet(self) -> AbstractContextManager:
        """A context in which a division by zero, an overflow and an invalid value give inf or nan without a warning."""
        return nullcontext()

    def many_kernels(self) -> AbstractContextManager:
        """A context around many calls of kernels: what each of them would set up and restore may be done once for all."""
        return nullcontext()

    def from_host(self, array: np.ndarray) -> Any:
        """A copy of a NumPy array on the current device."""
        raise NotImplementedError(f"{type(self).__name__}.from_host")

    def from_host_later(self, array: np.ndarray) -> Any:
        """``from_host``, but the host may go on before the copy is made; until then the NumPy array must stay as it is."""
        return self.from_host(array)

    def pinned(self, array: np.ndarray) -> np.ndarray:
        """A copy of a NumPy array in memory on the host that the device can read by itself, where there is such memory."""
        return array.copy()

    def is_pinned(self, array: np.ndarray) -> bool:
        """Whether a NumPy array lies in such memory."""
        return False

    def to_host(self, array: Any) -> np.ndarray:
        """The values as a NumPy array (the memory itself where that can be)."""
        raise NotImplementedError(f"{type(self).__name__}.to_host")

    def synchronize(self, device: Device) -> None:
        """Wait until all that was asked of the device is done."""

    def later(self, kernel: Callable[[], Any], multiplications: int, held: int) -> Callable[[], Any] | None:
        """Begin to compute what the kernel returns, and return what waits for it; None if it is better called at once.

        Args:
            kernel: the call.
            multiplications: how long it will take.
            held: the bytes of its arguments and of its result.
        """
        return None

    def as_strided(self, array: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
        """A view of an array's memory with other strides, in bytes."""
        return self.xp.lib.stride_tricks.as_strided(array, shape, strides)

    def address(self, array: Any) -> int:
        """Where the array's first element lies in memory: two arrays over the same memory tell it by this."""
        raise NotImplementedError(f"{type(self).__name__}.address")

    def meets(self, array: Any, other: Any) -> bool:
        """Whether two arrays may have memory in common, other than element by element: whether the bytes they span overlap."""
        if array is other or (array.base is None and other.base is None):
            return False
        start, end = self._span(array)
        first, last = self._span(other)
        alike = start == first and array.strides == other.strides and array.shape == other.shape
        return start < last and first < end and not alike

    def _span(self, array: Any) -> tuple[int, int]:
        """From which address up to which one an array's elements lie."""
        first = last = self.address(array)
        for size, step in zip(array.shape, array.strides):
            reach = (size - 1) * step
            first, last = (first + reach, last) if step < 0 else (first, last + reach)
        return first, last + array.itemsize if array.size else first

    def owns_memory(self, array: Any) -> bool:
        """Whether the array is not a view of another one."""
        return array.base is None
