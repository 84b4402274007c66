"""The meta device: tensors with a shape, a dtype and strides, and no values, on which a network runs in no time and no memory.

Kernels are rules for shapes. What has a plain version over ``xp`` that does little else keeps it; convolution, pooling and
products have theirs here, and tell whoever listens how many multiplications they stand for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any, NoReturn

import numpy as np

from ..base import Backend
from ..device import Device
from ..generic.pooling import tap_dtype
from ..generic.windows import Padding, Pair, count
from .array import NO_VALUES, MetaArray, elementwise, like, reached
from .field import PIXEL, WHOLE, ReceptiveField, through_transposed_windows, through_windows, union
from .namespace import Namespace
from .strides import copied_order, in_order

__all__ = ["PIXEL", "WHOLE", "MetaArray", "MetaBackend", "ReceptiveField", "union"]

_META = Device("meta")


def channels_last(shape: tuple[int, ...], dtype: Any, field: ReceptiveField | None = None) -> MetaArray:
    """New planes (N, C, H, W) whose memory is (N, H, W, C)."""
    result = MetaArray(shape, dtype, in_order(shape, (0, 2, 3, 1), np.dtype(dtype).itemsize))
    result.field = field
    return result


class _Listeners(threading.local):
    """Who is told of multiplications, in this thread."""

    listener: Callable[[int], None] | None = None


class MetaBackend(Backend):
    """Arrays without values."""

    name = "meta"
    array_type = MetaArray
    xp = Namespace()

    def __init__(self) -> None:
        self._listeners = _Listeners()

    @contextmanager
    def counting(self, listener: Callable[[int], None]) -> Iterator[None]:
        """A context in which ``listener(multiplications)`` is called for every convolution and product of this thread."""
        before, self._listeners.listener = self._listeners.listener, listener
        try:
            yield
        finally:
            self._listeners.listener = before

    def _count(self, multiplications: int) -> None:
        if self._listeners.listener is not None:
            self._listeners.listener(multiplications)

    # --- arrays -------------------------------------------------------------------------------------------------------------

    def resolve(self, device: Device) -> Device:
        if device.index not in (None, 0):
            raise ValueError(f"device: expected 'meta', got {str(device)!r}; there is one meta device")
        return _META

    def device_of(self, array: Any) -> Device:
        return _META

    def from_host(self, array: np.ndarray) -> MetaArray:
        strides = None
        if not array.flags.c_contiguous:
            strides = in_order(array.shape, copied_order(array.strides), array.itemsize)
        return MetaArray(array.shape, array.dtype, strides)

    def to_host(self, array: Any) -> NoReturn:
        raise RuntimeError(f"{NO_VALUES}: it cannot be read, saved, or moved to another device")

    def address(self, array: Any) -> int:
        return 0

    def meets(self, array: Any, other: Any) -> bool:
        return False

    # --- convolution --------------------------------------------------------------------------------------------------------

    def conv2d(self, x: Any, w: Any, bias: Any, stride: Pair, padding: Padding, dilation: Pair, groups: int) -> MetaArray:
        OC, CG, KH, KW = w.shape
        OH, OW = _fitting(x.shape, (KH, KW), stride, padding, dilation)
        self._count(x.shape[0] * OC * OH * OW * CG * KH * KW)
        field = through_windows(x.field, x.shape[2:], (KH, KW), stride, dilation)
        return channels_last((x.shape[0], OC, OH, OW), x.dtype, field)

    def conv2d_input_grad(
        self, grad: Any, w: Any, input_shape: tuple[int, ...], stride: Pair, padding: Padding, dilation: Pair, groups: int
    ) -> MetaArray:
        self._count(grad.size * prod(w.shape[1:]))
        return channels_last(input_shape, grad.dtype, through_transposed_windows(grad.field, w.shape[2:], stride, dilation))

    def conv2d_weight_grad(
        self, grad: Any, x: Any, weight_shape: tuple[int, ...], stride: Pair, padding: Padding, dilation: Pair, groups: int
    ) -> MetaArray:
        self._count(grad.size * prod(weight_shape[1:]))
        result = MetaArray(weight_shape, grad.dtype)
        reached(result, grad, x)
        return result

    # --- pooling ------------------------------------------------------------------------------------------------------------

    def max_pool2d(
        self, x: Any, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair, numbered: bool = True
    ) -> tuple[MetaArray, MetaArray | None]:
        shape = (*x.shape[:2], *_fitting(x.shape, kernel_size, stride, padding, dilation))
        values = channels_last(shape, x.dtype, through_windows(x.field, x.shape[2:], kernel_size, stride, dilation))
        return values, channels_last(shape, tap_dtype(kernel_size)) if numbered else None

    def max_pool2d_grad(self, grad: Any, taps: Any, input_shape: tuple[int, ...], *geometry: Any) -> MetaArray:
        return channels_last(input_shape, grad.dtype, grad.field)

    def max_pool2d_gather(self, x: Any, taps: Any, *geometry: Any) -> MetaArray:
        return channels_last(taps.shape, x.dtype, x.field)

    def avg_pool2d(self, x: Any, kernel_size: Pair, stride: Pair, padding: Padding, divisor: Any) -> MetaArray:
        shape = (*x.shape[:2], *_fitting(x.shape, kernel_size, stride, padding, (1, 1)))
        return channels_last(shape, x.dtype, through_windows(x.field, x.shape[2:], kernel_size, stride, (1, 1)))

    def avg_pool2d_grad(self, grad: Any, input_shape: tuple[int, ...], *geometry: Any) -> MetaArray:
        return channels_last(input_shape, grad.dtype, grad.field)

    # --- products and normalization -----------------------------------------------------------------------------------------

    def matmul(self, a: Any, b: Any) -> MetaArray:
        product = self.xp.matmul(a, b)
        self._count(product.size * a.shape[-1])
        return product

    def moments(self, x: Any, axes: tuple[int, ...]) -> tuple[MetaArray, MetaArray]:
        mean, var = super().moments(x, axes)
        mean.field = var.field = None  # statistics count as given
        return mean, var

    # --- single elements ----------------------------------------------------------------------------------------------------

    def erf(self, x: Any, out: Any = None) -> MetaArray:
        return like(x) if out is None else elementwise(np.positive, x, out=out)

    erfc = erf

    # --- indexing -----------------------------------------------------------------------------------------------------------

    def index_bounds(self, index: Any) -> None:
        return None

    def index_add(self, target: Any, index: tuple[Any, ...], values: Any) -> None:
        target[index] = values

    def scatter(self, target: Any, dim: int, index: Any, values: Any) -> None:
        reached(target, values)

    scatter_add = scatter

    # --- random numbers -----------------------------------------------------------------------------------------------------

    def new_stream(self, seed: int) -> None:
        return None

    def stream_state(self, stream: Any) -> np.ndarray:
        return np.empty(0, np.uint8)

    def set_stream_state(self, stream: Any, state: np.ndarray) -> None:
        if state.size:
            raise ValueError(f"expected the state of a generator on the meta device, which is empty, got {state.size} bytes")

    def random_uniform(self, stream: Any, shape: tuple[int, ...], dtype: Any) -> MetaArray:
        return MetaArray(shape, dtype)

    random_normal = random_uniform

    def random_integers(self, stream: Any, low: int, high: int, shape: tuple[int, ...]) -> MetaArray:
        return MetaArray(shape, np.int64)

    def random_mask(self, stream: Any, probability: float, shape: tuple[int, ...]) -> MetaArray:
        return MetaArray(shape, np.bool_)

    def random_permutation(self, stream: Any, count: int) -> MetaArray:
        return MetaArray((count,), np.int64)


def _fitting(shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Pair:
    """How many windows fit into planes (N, C, H, W), along rows and along columns."""
    rows, columns = (count(shape[2 + i], kernel[i], stride[i], *padding[i], dilation[i]) for i in range(2))
    return rows, columns
