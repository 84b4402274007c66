"""The CUDA backend: CuPy's arrays and functions. CuPy is imported here alone, and only when a CUDA device is asked for."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ..base import Backend
from ..device import Device

PIP_LINES = "pip install cupy-cuda13x (CUDA 13) or pip install cupy-cuda12x (CUDA 12)"


def is_available() -> bool:
    """Whether CuPy is installed and finds a usable GPU; never raises."""
    try:
        return bool(importlib.import_module("cupy").cuda.is_available())
    except ImportError:
        return False


def device_count() -> int:
    """The number of usable GPUs."""
    return importlib.import_module("cupy").cuda.runtime.getDeviceCount() if is_available() else 0


def load_cupy() -> Any:
    """The cupy module.

    Raises:
        RuntimeError: if CuPy is not installed, or finds no driver or no GPU; the message says what to do.
    """
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        raise RuntimeError(f"device 'cuda': CuPy cannot be imported ({error}); {PIP_LINES}") from error
    if not cupy.cuda.is_available():
        raise RuntimeError(
            f"device 'cuda': CuPy {cupy.__version__} is installed but finds no usable GPU; check that nvidia-smi lists one, "
            f"and that CuPy matches the driver's CUDA version: {PIP_LINES}"
        )
    return cupy


class CUDABackend(Backend):
    """Arrays on NVIDIA GPUs. Every kernel is the generic one; random numbers are drawn on the host, as on the CPU."""

    name = "cuda"

    def __init__(self) -> None:
        self.xp = load_cupy()
        self.array_type = self.xp.ndarray  # type: ignore[misc]

    def resolve(self, device: Device) -> Device:
        count = self.xp.cuda.runtime.getDeviceCount()
        index = self.xp.cuda.Device().id if device.index is None else device.index
        if index >= count:
            raise ValueError(f"device: expected cuda:0 to cuda:{count - 1}, got {str(device)!r}")
        return Device("cuda", index)

    def device_of(self, array: Any) -> Device:
        return Device("cuda", array.device.id)

    def on(self, device: Device) -> AbstractContextManager:
        return self.xp.cuda.Device(device.index)

    def from_host(self, array: np.ndarray) -> Any:
        return self.xp.asarray(array)

    def to_host(self, array: Any) -> np.ndarray:
        return self.xp.asnumpy(array)

    def synchronize(self, device: Device) -> None:
        self.xp.cuda.Device(device.index).synchronize()

    def address(self, array: Any) -> int:
        return array.data.ptr
