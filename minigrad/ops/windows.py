"""How convolution and pooling read their arguments: sizes given once or for each dim, padding, and how many windows fit."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..backends.generic.windows import Padding, Pair
from ..dtypes import FLOATING
from .arguments import as_integers, check_tensor


def as_pair(name: str, what: str, value: Any, least: int, dims: int = 2) -> Pair:
    """One integer for both dims, or one for each, as (rows, columns). Of one dim the rows are what ``least`` is: 1 or 0."""
    if dims == 2:  # as layers give it
        if type(value) is tuple and len(value) == 2 and type(value[0]) is type(value[1]) is int and min(value) >= least:
            return value
        if type(value) is int and value >= least:
            return value, value
    values = as_integers(name, what, value)
    if len(values) not in (1, dims):
        raise ValueError(f"{name}: expected one {what} or {dims}, got {len(values)} ({value!r})")
    if min(values) < least:
        raise ValueError(f"{name}: expected {what} of at least {least}, got {value!r}")
    rows, columns = least if dims == 1 else values[0], values[-1]
    return rows, columns


def check_planes(name: str, input: Any, dims: int) -> None:
    """Raise unless the input is a floating tensor of planes: (N, C, H, W) or (C, H, W), or one dim less."""
    check_tensor(name, input)
    if input.dtype not in FLOATING:
        raise TypeError(f"{name}: expected input of a floating dtype, got {input.dtype}")
    check_planes_shape(name, input.shape, dims)


def check_planes_shape(name: str, shape: tuple[int, ...], dims: int) -> None:
    """Raise unless a shape is one of planes."""
    if len(shape) not in (dims + 1, dims + 2):
        shapes = "(N, C, H, W) or (C, H, W)" if dims == 2 else "(N, C, L) or (C, L)"
        raise ValueError(f"{name}: expected input of shape {shapes}, got {shape}")
    if 0 in shape[-dims - 1 :]:
        raise ValueError(f"{name}: expected every dim of input but the batch to have elements, got {shape}")


def as_batch(input: Tensor, dims: int) -> Tensor:
    """The input as (N, C, H, W), where it may lack the batch, and with ``dims=1`` lacks the rows."""
    if input.ndim == dims + 1:
        input = input.unsqueeze(0)
    return input if dims == 2 else input.unsqueeze(2)


def as_given(output: Tensor, input: Tensor, dims: int) -> Tensor:
    """An output (N, C, OH, OW) without the dims that ``as_batch`` had added to the input."""
    if dims == 1:
        output = output.squeeze(2)
    return output.squeeze(0) if input.ndim == dims + 1 else output


def check_fit(name: str, shape: tuple[int, ...], kernel_size: Pair, padding: Padding, dilation: Pair, dims: int) -> None:
    """Raise if the padded input has no room for one window."""
    for i in range(2 - dims, 2):
        size = shape[i - 2] + sum(padding[i])
        reach = dilation[i] * (kernel_size[i] - 1) + 1
        if reach > size:
            raise ValueError(
                f"{name}: expected a padded input of at least {reach} (what the kernel {kernel_size[2 - dims :]} reaches) "
                f"in dim {i - 2}, got {size} (input {shape})"
            )
