"""What PyTorch has as ``torch.cuda``: whether there are GPUs, which one is in use, and waiting for it."""

from __future__ import annotations

from typing import Any

from .backends import Device, backend_for
from .backends.cuda import device_count, is_available

__all__ = ["current_device", "device_count", "is_available", "synchronize"]


def current_device() -> int:
    """The index of the GPU that ``device='cuda'`` means now.

    Raises:
        RuntimeError: if there is none, with the pip line.
    """
    index = backend_for("cuda")[1].index
    assert index is not None  # a resolved CUDA device has one
    return index


def synchronize(device: Any = None) -> None:
    """Wait until a GPU has done all that it was asked.

    Args:
        device: which one; the current one if None.

    Raises:
        RuntimeError: if there is none, with the pip line.
    """
    backend, place = backend_for("cuda" if device is None else Device.parse(device))
    backend.synchronize(place)
