"""Whether there are GPUs, what they are, which one is in use, and waiting for it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ..backends import Device, backend_for
from ..backends.cuda import check_index, device_count, is_available, load_cupy
from ..backends.cuda import set_device as _set_current

__all__ = [
    "current_device",
    "device_count",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "is_available",
    "set_device",
    "synchronize",
]


def current_device() -> int:
    """The index of the GPU that ``device='cuda'`` means now.

    Raises:
        RuntimeError: if there is none, with the pip line.
    """
    index = backend_for("cuda")[1].index
    assert index is not None  # a resolved CUDA device has one
    return index


def set_device(device: Any) -> None:
    """Choose the GPU that is used from now on in this thread; one is used at a time, so choose it before the first tensor.

    Args:
        device: its index, or its name, such as ``'cuda:1'``.

    Raises:
        ValueError: if there is no such GPU, or the name is not of one; RuntimeError if there is none at all, with the pip line.
    """
    place = gpu_of("set_device", Device.parse(device))
    _set_current(current_device() if place.index is None else place.index)


def synchronize(device: Any = None) -> None:
    """Wait until a GPU has done all that it was asked.

    Args:
        device: which one; the current one if None.

    Raises:
        RuntimeError: if there is none, with the pip line.
    """
    backend, place = backend_for("cuda" if device is None else Device.parse(device))
    backend.synchronize(place)


def get_device_properties(device: Any = None) -> SimpleNamespace:
    """What a GPU is: ``name``, ``total_memory`` in bytes, ``major`` and ``minor`` of its compute capability,
    ``multi_processor_count``.

    Args:
        device: which one; the current one if None.

    Raises:
        RuntimeError: if there is none, with the pip line; ValueError if there is no such one.
    """
    cupy = load_cupy()
    place = gpu_of("get_device_properties", device)
    index = current_device() if place.index is None else place.index
    check_index(cupy, index)
    found = cupy.cuda.runtime.getDeviceProperties(index)
    return SimpleNamespace(
        name=found["name"].decode(),
        total_memory=found["totalGlobalMem"],
        major=found["major"],
        minor=found["minor"],
        multi_processor_count=found["multiProcessorCount"],
    )


def get_device_name(device: Any = None) -> str:
    """What a GPU is called; arguments and errors are ``get_device_properties``'s."""
    return get_device_properties(device).name


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """A GPU's compute capability, such as (9, 0); arguments and errors are ``get_device_properties``'s."""
    found = get_device_properties(device)
    return found.major, found.minor


def gpu_of(name: str, device: Any) -> Device:
    """The GPU that an argument of the function of that name means; None means the current one.

    Raises:
        ValueError: if it is another kind of device.
    """
    place = Device.parse("cuda" if device is None else device)
    if place.type != "cuda":
        raise ValueError(f"{name}: expected a CUDA device, got {str(place)!r}")
    return place
