"""Which backend computes an array: found from the array's type, or from a device's name, never from a global switch.

A backend is one class (see ``base.py``) and one call of ``register``. The CPU is registered here; CUDA and meta are the first
time that somebody asks for them, so that CuPy is imported by no one who does not use it.
"""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Any

from .base import Backend, Device
from .cpu import CPUBackend

_WHEN_ASKED_FOR = {"cuda": "CUDABackend", "meta": "MetaBackend"}
_by_name: dict[str, Backend] = {}
by_array_type: dict[type, Backend] = {}
_registering = threading.Lock()


def register(backend: Backend) -> None:
    """Make a backend known by its name (``cpu``) and by the type of its arrays.

    Raises:
        ValueError: if another backend has the name or the array type.
    """
    if backend.name in _by_name or backend.array_type in by_array_type:
        raise ValueError(f"register: a backend named {backend.name!r} or with {backend.array_type} is there already")
    by_array_type[backend.array_type] = backend
    _by_name[backend.name] = backend  # by which other threads see that it is there


def unregister(name: str) -> None:
    """Forget a backend: for tests that register one of their own."""
    del by_array_type[_by_name.pop(name).array_type]


def backend_of(array: Any) -> Backend:
    """The backend whose array this is."""
    try:
        return by_array_type[type(array)]
    except KeyError:
        for array_type, backend in list(by_array_type.items()):
            if isinstance(array, array_type):
                return backend
        known = ", ".join(t.__module__ + "." + t.__name__ for t in by_array_type)
        raise TypeError(f"expected an array of a registered backend ({known}), got {type(array).__name__}") from None


def backend_for(device: Any) -> tuple[Backend, Device]:
    """The backend and the full device meant by ``'cpu'``, ``'cuda'``, ``'cuda:1'``, ``'meta'`` or a Device.

    Raises:
        ValueError: if the name is unknown; RuntimeError if CuPy or a GPU is missing, with the pip line.
    """
    device = Device.parse(device)
    if device.type not in _by_name:
        if device.type not in _WHEN_ASKED_FOR:
            raise ValueError(f"device: expected one of {', '.join(sorted({*_by_name, *_WHEN_ASKED_FOR}))}, got {device.type!r}")
        with _registering:
            if device.type not in _by_name:
                register(getattr(import_module(f".{device.type}", __name__), _WHEN_ASKED_FOR[device.type])())
    backend = _by_name[device.type]
    return backend, backend.resolve(device)


def any_pins(array: Any) -> bool:
    """Whether a NumPy array lies in memory that some backend's device reads by itself."""
    return any(backend.is_pinned(array) for backend in list(_by_name.values()))


def names_device(text: Any) -> bool:
    """Whether a value is a string that names a device."""
    return isinstance(text, str) and text.partition(":")[0] in {*_by_name, *_WHEN_ASKED_FOR}


register(CPUBackend())
