"""minigrad: a deep learning framework on NumPy and CuPy, small enough to read."""

from __future__ import annotations

import builtins
import importlib
from math import e, inf, nan, pi
from typing import Any

from . import autograd, dtypes, ops
from ._tensor import Tensor
from .autograd import (
    autocast,
    enable_grad,
    get_autocast_dtype,
    inference_mode,
    is_autocast_enabled,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .backends import Device as device
from .backends.cpu.threads import get_num_threads, set_num_threads
from .dtypes import (
    bool,
    double,
    finfo,
    float,
    float16,
    float32,
    float64,
    get_default_dtype,
    half,
    iinfo,
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
from .ops.activation import *
from .ops.adaptive_pooling import *
from .ops.arithmetic import *
from .ops.attention import *
from .ops.broadcasting import *
from .ops.comparison import *
from .ops.conv import *
from .ops.conversion import *
from .ops.creation import *
from .ops.cross_entropy import *
from .ops.cumulative import *
from .ops.diagonals import *
from .ops.division import *
from .ops.dropout import *
from .ops.einsum import *
from .ops.elementwise import *
from .ops.embedding import *
from .ops.extrema import *
from .ops.extreme_reduction import *
from .ops.filled import *
from .ops.gathering import *
from .ops.generator import *
from .ops.indexing import *
from .ops.joining import *
from .ops.linalg import *
from .ops.linear import *
from .ops.loss import *
from .ops.normalization import *
from .ops.norms import *
from .ops.padding import *
from .ops.pooling import *
from .ops.powers import *
from .ops.random import *
from .ops.rearranging import *
from .ops.rectifier import *
from .ops.reduction import *
from .ops.rounding import *
from .ops.scattering import *
from .ops.selection import *
from .ops.shape import *
from .ops.similarity import *
from .ops.slicing import *
from .ops.softmax import *
from .ops.sorting import *
from .ops.trigonometry import *

__version__ = "0.1.0"
newaxis = None

if hasattr(dtypes, "bfloat16"):
    bfloat16 = dtypes.bfloat16

_ROOMS = ("amp", "costs", "cpu", "cuda", "io", "nn", "optim", "testing", "utils", "vision")
_ELSEWHERE = {
    "load": "io",
    "save": "io",
    "summary": "costs",
    "get_float32_matmul_precision": "backends.cuda.precision",
    "set_float32_matmul_precision": "backends.cuda.precision",
}
_DTYPES = (
    "float16",
    "half",
    *(("bfloat16",) if hasattr(dtypes, "bfloat16") else ()),
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
_OF_DTYPES = ("uint8", "bool", "finfo", "get_default_dtype", "iinfo", "promote_types", "set_default_dtype")
_GRAD_MODES = ("enable_grad", "inference_mode", "is_grad_enabled", "is_inference_mode_enabled", "no_grad", "set_grad_enabled")
_AUTOCAST = ("autocast", "get_autocast_dtype", "is_autocast_enabled")
_CONSTANTS = ("e", "inf", "nan", "newaxis", "pi")
_THREADS = ("get_num_threads", "set_num_threads")

__all__ = [
    "Tensor",
    "autograd",
    "device",
    "is_tensor",
    "ops",
    *_GRAD_MODES,
    *_AUTOCAST,
    *_DTYPES,
    *_OF_DTYPES,
    *_CONSTANTS,
    *_THREADS,
    *_ROOMS,
    *_ELSEWHERE,
    *ops.__all__,
]


def is_tensor(obj: Any) -> builtins.bool:
    """Whether a value is a Tensor.

    >>> import minigrad
    >>> minigrad.is_tensor(minigrad.ones(2)), minigrad.is_tensor([1.0, 1.0])
    (True, False)
    """
    return isinstance(obj, Tensor)


def __getattr__(name: str) -> Any:
    """Rooms that ``import minigrad`` does not need are opened when first named: ``minigrad.nn``, ``minigrad.save``."""
    if name in _ROOMS:
        return importlib.import_module(f".{name}", __name__)
    if name in _ELSEWHERE:
        return getattr(importlib.import_module(f".{_ELSEWHERE[name]}", __name__), name)
    if name == "bfloat16":
        return dtypes.bfloat16
    raise AttributeError(f"module 'minigrad' has no attribute {name!r}")
