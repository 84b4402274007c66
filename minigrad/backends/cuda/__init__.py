"""The CUDA backend: CuPy's arrays and streams, kernels of our own, and cuBLAS.

CuPy is imported in this package alone, and only when a CUDA device is asked for.
"""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ..base import Backend
from ..device import Device
from .compiler import Kernels
from .convolution import CUDAConvolutionKernels, Gemms
from .cublas import Cublas
from .indexing import CUDAIndexingKernels
from .linear import CUDALinearKernels
from .loss import CUDALossKernels
from .namespace import Namespace
from .normalization import CUDANormalizationKernels
from .optimizer import CUDAOptimizerKernels
from .pooling import CUDAPoolingKernels
from .random import CUDARandomKernels
from .softmax import CUDASoftmaxKernels
from .special import CUDASpecialKernels
from .transfers import CUDATransfers


def pip_line(cuda: int) -> str:
    """What brings CuPy for a major version of CUDA, and the libraries that it and our kernels need; setup.cfg has the same."""
    return f'pip install "cupy-cuda{cuda}x[ctk]"'


PIP_LINES = f"{pip_line(13)} (CUDA 13) or {pip_line(12)} (CUDA 12)"


def is_available() -> bool:
    """Whether CuPy is installed and finds a usable GPU; never raises."""
    try:
        return bool(importlib.import_module("cupy").cuda.is_available())
    except Exception:  # a broken or mismatched installation raises more than ImportError
        return False


def device_count() -> int:
    """The number of usable GPUs."""
    return importlib.import_module("cupy").cuda.runtime.getDeviceCount() if is_available() else 0


def set_device(index: int) -> None:
    """Make a GPU the current one of this thread: the one that all arrays are made on."""
    cupy = load_cupy()
    check_index(cupy, index)
    cupy.cuda.Device(index).use()


def check_index(cupy: Any, index: int) -> None:
    count = cupy.cuda.runtime.getDeviceCount()
    if not 0 <= index < count:
        raise ValueError(f"device: expected cuda:0 to cuda:{count - 1}, got 'cuda:{index}'")


def load_cupy() -> Any:
    """The cupy module.

    Raises:
        RuntimeError: if CuPy is not installed, or finds no driver or no GPU; the message says what to do.
    """
    try:
        cupy = importlib.import_module("cupy")
    except Exception as error:
        raise RuntimeError(f"device 'cuda': CuPy cannot be imported ({error}); {PIP_LINES}") from error
    if not cupy.cuda.is_available():
        raise RuntimeError(
            f"device 'cuda': CuPy {cupy.__version__} is installed but finds no usable GPU; check that nvidia-smi lists one, "
            f"and that CuPy matches the driver's CUDA version: {PIP_LINES}"
        )
    return cupy


class CUDABackend(
    CUDAConvolutionKernels,
    CUDALinearKernels,
    CUDAIndexingKernels,
    CUDALossKernels,
    CUDASoftmaxKernels,
    CUDAPoolingKernels,
    CUDANormalizationKernels,
    CUDAOptimizerKernels,
    CUDARandomKernels,
    CUDASpecialKernels,
    CUDATransfers,
    Backend,
):
    """Arrays on NVIDIA GPUs, in CuPy's memory and mostly under kernels of our own.

    CuPy makes every result on the current GPU, wherever the inputs are. So one GPU is used at a time: a name that means
    another one than the current is refused.
    """

    name = "cuda"

    def __init__(self) -> None:
        self.cupy = load_cupy()
        self.kernels = Kernels(self.cupy)
        self.cublas = Cublas(self.cupy)
        self.xp = Namespace(self.cupy, self.kernels)
        self.gemms: dict[int, Gemms | None] = {}
        self.array_type = self.cupy.ndarray  # type: ignore[misc]

    def resolve(self, device: Device) -> Device:
        current = self.cupy.cuda.Device().id
        if device.index is None:
            return Device("cuda", current)
        check_index(self.cupy, device.index)
        if device.index != current:
            raise RuntimeError(
                f"device: expected the current GPU, cuda:{current}, got {str(device)!r}; one GPU is used at a time, "
                f"and minigrad.cuda.set_device({device.index}) chooses it"
            )
        return device

    def device_of(self, array: Any) -> Device:
        return Device("cuda", array.device.id)

    def on(self, device: Device) -> AbstractContextManager:
        return self.cupy.cuda.Device(device.index)

    def to_host(self, array: Any) -> np.ndarray:
        return self.cupy.asnumpy(array)

    def synchronize(self, device: Device) -> None:
        self.cupy.cuda.Device(device.index).synchronize()

    def as_strided(self, array: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
        return super().as_strided(array, shape, strides)[...]  # what CuPy returns has no base, although it owns no memory

    def address(self, array: Any) -> int:
        return array.data.ptr
