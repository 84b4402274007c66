"""minigrad: a deep learning framework on NumPy and CuPy, small enough to read."""

from __future__ import annotations

import importlib
from typing import Any

from . import autograd, ops
from .autograd import enable_grad, inference_mode, is_grad_enabled, is_inference_mode_enabled, no_grad, set_grad_enabled
from .backends import Device as device
from .backends.cpu.threads import get_num_threads, set_num_threads
from .dtypes import (
    bool,
    double,
    float,
    float16,
    float32,
    float64,
    get_default_dtype,
    half,
    int,
    int8,
    int16,
    int32,
    int64,
    long,
    promote_types,
    set_default_dtype,
    short,
    uint8,
)
from .ops import *
from .tensor import Tensor

__version__ = "0.1.0"

_ROOMS = ("cuda", "io", "nn", "optim", "testing", "utils", "vision")
_ELSEWHERE = {"load": "io", "save": "io"}
_DTYPES = (
    "float16",
    "half",
    "float32",
    "float",
    "float64",
    "double",
    "int8",
    "int16",
    "short",
    "int32",
    "int",
    "int64",
    "long",
)
_OF_DTYPES = ("uint8", "bool", "get_default_dtype", "promote_types", "set_default_dtype")
_GRAD_MODES = ("enable_grad", "inference_mode", "is_grad_enabled", "is_inference_mode_enabled", "no_grad", "set_grad_enabled")
_THREADS = ("get_num_threads", "set_num_threads")

__all__ = [
    "Tensor",
    "autograd",
    "device",
    "ops",
    *_GRAD_MODES,
    *_DTYPES,
    *_OF_DTYPES,
    *_THREADS,
    *_ROOMS,
    *_ELSEWHERE,
    *ops.__all__,
]


def __getattr__(name: str) -> Any:
    """Rooms that ``import minigrad`` does not need are opened when first named: ``minigrad.nn``, ``minigrad.save``."""
    if name in _ROOMS:
        return importlib.import_module(f".{name}", __name__)
    if name in _ELSEWHERE:
        return getattr(importlib.import_module(f".{_ELSEWHERE[name]}", __name__), name)
    raise AttributeError(f"module 'minigrad' has no attribute {name!r}")
