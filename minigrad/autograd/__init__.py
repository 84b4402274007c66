"""The tape: how operations are recorded, and how gradients are computed from the record."""

from .autocast import autocast, get_autocast_dtype, is_autocast_enabled
from .engine import backward, grad
from .function import Function, once_differentiable
from .modes import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .variable import Variable

__all__ = [
    "Function",
    "Variable",
    "autocast",
    "backward",
    "enable_grad",
    "get_autocast_dtype",
    "grad",
    "inference_mode",
    "is_autocast_enabled",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "once_differentiable",
    "set_grad_enabled",
]
