"""How a tensor prints: PyTorch's form, with NumPy's number formatting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .backends import backend_of
from .dtypes import accumulated_in, get_default_dtype, int64
from .dtypes import bool as bool_dtype

if TYPE_CHECKING:
    from ._tensor import Tensor

MOST_IN_FULL = 1000
EDGE = 3


def describe(tensor: Tensor) -> str:
    """``tensor([1., 2.], device='cuda:0', dtype=float64, grad_fn=<Mul>)``: what is the default goes without saying."""
    name = "tensor" if type(tensor).__name__ == "Tensor" else f"{type(tensor).__name__} containing:\ntensor"
    array, is_meta = tensor.array, tensor.device.type == "meta"
    extras = []
    if is_meta:
        numbers = "..."
    else:
        numbers = numbers_of(backend_of(array).to_host(array))
        if array.size == 0 and array.ndim > 1:
            extras.append(f"size={array.shape}")
    if tensor.device.type != "cpu":
        extras.append(f"device='{tensor.device}'")
    if is_meta:
        extras.append(f"size={array.shape}")
    shows_kind = array.size > 0 and not is_meta
    if array.dtype != get_default_dtype() and not (shows_kind and array.dtype in (int64, bool_dtype)):
        extras.append(f"dtype={array.dtype}")
    if tensor.grad_fn is not None:
        extras.append(f"grad_fn={tensor.grad_fn!r}")
    elif tensor.requires_grad:
        extras.append("requires_grad=True")
    return f"{name}({', '.join([numbers, *extras])})"


def numbers_of(array: np.ndarray) -> str:
    """The nested brackets. Of a large array only the edges are looked at, as nothing else is shown."""
    summarized = array.size > MOST_IN_FULL
    if summarized:
        array = array[np.ix_(*map(edges, array.shape))]
    array = array.astype(accumulated_in(array.dtype), copy=False)  # NumPy does not format bfloat16
    small = ((array != 0) & (abs(array) < 1e-4)).any()  # without an exponent they would look like 0
    return np.array2string(
        array,
        separator=", ",
        precision=4,
        suppress_small=not small,
        threshold=0 if summarized else MOST_IN_FULL,
        edgeitems=EDGE,
        prefix="tensor(",
    )


def edges(size: int) -> np.ndarray:
    """What is shown of a dimension, and one more, so that NumPy leaves something out."""
    return np.r_[: EDGE + 1, size - EDGE : size] if size > 2 * EDGE else np.arange(size)
