"""How a tensor prints: PyTorch's form, with NumPy's number formatting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .backends import backend_of
from .dtypes import accumulated_in, get_default_dtype, int64
from .dtypes import bool as bool_dtype

if TYPE_CHECKING:
    from ._tensor import Tensor


def describe(tensor: Tensor) -> str:
    """``tensor([1., 2.], device='cuda:0', dtype=float64, grad_fn=<Mul>)``: what is the default goes without saying."""
    name = "tensor" if type(tensor).__name__ == "Tensor" else f"{type(tensor).__name__} containing:\ntensor"
    array, is_meta = tensor.array, tensor.device.type == "meta"
    extras = []
    if is_meta:
        numbers = "..."
    else:
        array = backend_of(array).to_host(array)
        numbers_of = array.astype(accumulated_in(array.dtype), copy=False)  # NumPy does not format bfloat16
        small = ((numbers_of != 0) & (abs(numbers_of) < 1e-4)).any()  # without an exponent they would look like 0
        numbers = np.array2string(
            numbers_of, separator=", ", precision=4, suppress_small=not small, threshold=1000, prefix="tensor("
        )
        if array.size == 0 and array.ndim > 1:
            extras.append(f"size={array.shape}")
    if tensor.device.type != "cpu":
        extras.append(f"device='{tensor.device}'")
    if is_meta:
        extras.append(f"size={array.shape}")
    if array.dtype not in (get_default_dtype(), int64, bool_dtype):
        extras.append(f"dtype={array.dtype}")
    if tensor.grad_fn is not None:
        extras.append(f"grad_fn={tensor.grad_fn!r}")
    elif tensor.requires_grad:
        extras.append("requires_grad=True")
    return f"{name}({', '.join([numbers, *extras])})"
