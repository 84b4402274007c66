"""Pooling: the largest element of every window, or the average; in one dim or two, with windows of a size or in a number."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from .._tensor import Tensor
from ..autograd.deferred import grad_later, is_unseen
from ..autograd.modes import modes
from ..autograd.operation import Operation, wrap
from ..backends import backend_of
from ..backends.generic.windows import Padding, Pair
from .arguments import as_integer
from .masking import keep
from .rectifier import Rectified, Relu
from .windows import as_batch, as_given, as_pair, check_fit, check_planes

__all__ = [
    "avg_pool1d",
    "avg_pool2d",
    "max_pool1d",
    "max_pool2d",
]


# --- the largest element -----------------------------------------------------------------------------------------------

WORK = 64
"""The multiplications that take as long as the gradient of one number, whose place is to be found."""


class MaxPool2d(Operation):
    """The largest elements, and which element of its window each of them is (its "tap")."""

    outputs = 2

    def __init__(self, *geometry: Any):
        self.geometry = geometry

    def forward(self, x: Any) -> Any:
        self.input_shape = x.shape
        values, taps = self.backend.max_pool2d(x, *self.geometry)
        self.save_constant("taps", taps)
        return values, taps

    def backward(self, grad: Tensor, _: None) -> Tensor:
        operation = MaxPool2dGrad(self.taps(), self.input_shape, *self.geometry)
        return grad_later(operation, self.input_shape, grad, WORK * math.prod(self.input_shape))

    def taps(self) -> Any:
        return self.constant("taps")


class MaxPool2dOfRelu(MaxPool2d):
    """``MaxPool2d`` of a ReLU, whose place on the tape it takes: ReLU of the largest elements.

    Where the largest is not positive, ReLU lets no gradient through to it, and all of its window are zeros after ReLU.
    """

    def __init__(self, relu: Relu, *geometry: Any):
        super().__init__(*geometry)
        self.share_place(relu)

    def forward(self, x: Any) -> Any:
        values, taps = super().forward(x)
        values = self.xp.maximum(values, 0, out=values)
        self.save_constant("positive", values != 0)
        return values, taps

    def separate(self) -> None:
        self.edges, self.shares = [self.shares()], None

    def taps(self) -> Any:
        taps = super().taps()
        if self.shares is not None:
            return taps
        zeros = self.xp.zeros((1, 1, *self.input_shape[2:]), "float32")
        return self.xp.where(self.constant("positive"), taps, self.backend.max_pool2d(zeros, *self.geometry)[1])

    def backward(self, grad: Tensor, _: None) -> Tensor:
        return super().backward(grad if self.shares is None else keep(grad, self.constant("positive")), None)


class LargestInWindows(Operation):
    """The largest elements alone, where nobody asks which these are."""

    differentiable = False

    def __init__(self, *geometry: Any):
        self.geometry = geometry

    def forward(self, x: Any) -> Any:
        return self.backend.max_pool2d(x, *self.geometry, numbered=False)[0]


class MaxPool2dGrad(Operation):
    """Every element of the gradient back to where the tap points; linear, as the taps are locally constant."""

    def __init__(self, taps: Any, input_shape: tuple[int, ...], *geometry: Any):
        self.taps = taps
        self.input_shape = input_shape
        self.geometry = geometry

    def forward(self, grad: Any) -> Any:
        return self.backend.max_pool2d_grad(grad, self.taps, self.input_shape, *self.geometry)

    def backward(self, dx: Tensor) -> Tensor:
        return MaxPool2dGather(self.taps, *self.geometry).apply(dx)


class MaxPool2dGather(Operation):
    """The elements that the taps point to: the adjoint of MaxPool2dGrad."""

    def __init__(self, taps: Any, *geometry: Any):
        self.taps = taps
        self.geometry = geometry

    def forward(self, x: Any) -> Any:
        self.input_shape = x.shape
        return self.backend.max_pool2d_gather(x, self.taps, *self.geometry)

    def backward(self, grad: Tensor) -> Tensor:
        return MaxPool2dGrad(self.taps, self.input_shape, *self.geometry).apply(grad)


def max_pool2d(
    input: Tensor,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of every window.

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        kernel_size: the window's size, once or as (rows, columns); likewise the next three.
        stride: the step from window to window; the window's size if left out.
        padding: rows and columns around the image that never are the largest; at most half of the window.
        dilation: the distance between neighbouring elements of a window.
        ceil_mode: let the last windows reach over the edge, instead of leaving out what they alone would see.
        return_indices: return the places of the largest elements too.

    Returns:
        (N, C, OH, OW) with ``OH = (H + 2·padding − dilation·(KH − 1) − 1) / stride + 1``, rounded down, or up with
        ``ceil_mode``; and, if asked for, for every element its place ``row · W + column`` in the input's plane, int64.

    Raises:
        ValueError: if the shape is no image's, the padding is too large or the window does not fit; TypeError for an
            argument of a wrong type.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.max_pool2d(minigrad.arange(16.0).reshape(1, 1, 4, 4), 2)
    tensor([[[[ 5.,  7.],
              [13., 15.]]]])
    """
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool1d(
    input: Tensor,
    kernel_size: int | tuple[int],
    stride: int | tuple[int] | None = None,
    padding: int | tuple[int] = 0,
    dilation: int | tuple[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """``max_pool2d`` of sequences (N, C, L) or (C, L); the other arguments, results and errors are as there.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.max_pool1d(minigrad.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[3., 2.]])
    """
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _max_pool(
    name: str,
    dims: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    check_planes(name, input, dims)
    dilation = as_pair(name, "dilation", dilation, 1, dims)
    kernel, stride, pads = _windows(name, dims, input, kernel_size, stride, padding, dilation, ceil_mode)
    images = as_batch(input, dims)
    if not return_indices and not (modes.grad and images.requires_grad):
        return as_given(LargestInWindows(kernel, stride, pads, dilation).apply(images), input, dims)
    waiting = images._deferred
    if type(waiting) is Rectified and is_unseen(images) and not return_indices and dilation == (1, 1):
        relu = waiting.operation  # with a dilation a window may see nothing but padding
        if not (relu.hooks or relu.post_hooks):
            return MaxPool2dOfRelu(relu, kernel, stride, pads, dilation).apply(wrap(waiting.source, relu.edges[0]))[0]
    values, taps = MaxPool2d(kernel, stride, pads, dilation).apply(images)
    values = as_given(values, input, dims)
    if not return_indices:
        return values
    H, W = (1, *input.shape)[-2:] if dims == 1 else input.shape[-2:]
    rows, columns = window_places(taps.array, kernel, stride, pads, dilation, (H, W))
    return values, as_given(wrap(rows * W + columns), input, dims)


def window_places(taps: Any, kernel: Pair, stride: Pair, pads: Padding, dilation: Pair, size: Pair) -> tuple[Any, Any]:
    """The rows and columns of the input that taps (N, C, OH, OW) point to."""
    xp = backend_of(taps).xp
    OH, OW = taps.shape[2:]
    taps = taps.astype("int64")
    rows = xp.arange(OH).reshape(OH, 1) * stride[0] - pads[0][0] + taps // kernel[1] * dilation[0]
    columns = xp.arange(OW) * stride[1] - pads[1][0] + taps % kernel[1] * dilation[1]
    return xp.clip(rows, 0, size[0] - 1), xp.clip(columns, 0, size[1] - 1)


# --- the average -------------------------------------------------------------------------------------------------------


class AvgPool2d(Operation):
    """The average of every window: its sum, divided by a number or by the products of two rows of numbers."""

    def __init__(self, kernel_size: Pair, stride: Pair, padding: Padding, divisor: Any):
        self.geometry = kernel_size, stride, padding
        self.divisor = divisor

    def forward(self, x: Any) -> Any:
        self.input_shape = x.shape
        return self.backend.avg_pool2d(x, *self.geometry, self.divisors(x))

    def backward(self, grad: Tensor) -> Tensor:
        return AvgPool2dGrad(self.input_shape, *self.geometry, self.divisor).apply(grad)

    def divisors(self, x: Any) -> Any:
        """The divisor as the kernels want it: a number, or an array (OH, OW)."""
        if not isinstance(self.divisor, tuple):
            return self.divisor
        rows, columns = (self.xp.asarray(numbers, dtype=self.xp.result_type(x.dtype, "float32")) for numbers in self.divisor)
        return rows[:, None] * columns


class AvgPool2dGrad(AvgPool2d):
    """Every element of the gradient, spread evenly over its window: the adjoint of AvgPool2d."""

    def __init__(self, input_shape: tuple[int, ...], *arguments: Any):
        super().__init__(*arguments)
        self.input_shape = input_shape

    def forward(self, grad: Any) -> Any:
        return self.backend.avg_pool2d_grad(grad, self.input_shape, *self.geometry, self.divisors(grad))

    def backward(self, dx: Tensor) -> Tensor:
        return AvgPool2d(*self.geometry, self.divisor).apply(dx)


def avg_pool2d(
    input: Tensor,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The average over every window.

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        kernel_size: the window's size, once or as (rows, columns); likewise the next two.
        stride: the step from window to window; the window's size if left out.
        padding: rows and columns of zeros around the image; at most half of the window.
        ceil_mode: let the last windows reach over the edge; what is beyond the padding does not count.
        count_include_pad: whether the zeros of the padding count as elements.
        divisor_override: divide every sum by this number instead.

    Returns:
        (N, C, OH, OW), as for ``max_pool2d``.

    Raises:
        ValueError, TypeError: as ``max_pool2d``; ValueError if ``divisor_override`` is 0.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.avg_pool2d(minigrad.arange(16.0).reshape(1, 1, 4, 4), 2)
    tensor([[[[ 2.5,  4.5],
              [10.5, 12.5]]]])
    """
    return _avg_pool("avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool1d(
    input: Tensor,
    kernel_size: int | tuple[int],
    stride: int | tuple[int] | None = None,
    padding: int | tuple[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """``avg_pool2d`` of sequences (N, C, L) or (C, L); the other arguments, results and errors are as there.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.avg_pool1d(minigrad.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    return _avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def _avg_pool(
    name: str,
    dims: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    check_planes(name, input, dims)
    kernel, stride, pads = _windows(name, dims, input, kernel_size, stride, padding, (1, 1), ceil_mode)
    divisor: Any = None if divisor_override is None else as_integer(name, "divisor_override", divisor_override)
    if divisor == 0:
        raise ValueError(f"{name}: expected divisor_override other than 0, got {divisor_override}")
    if divisor is None:
        size = (1, input.shape[-1]) if dims == 1 else input.shape[-2:]
        divisor = _divisor(size, kernel, stride, pads, bool(count_include_pad))
    return as_given(AvgPool2d(kernel, stride, pads, divisor).apply(as_batch(input, dims)), input, dims)


@lru_cache(1024)
def _divisor(size: Pair, kernel: Pair, stride: Pair, pads: Padding, with_padding: bool) -> Any:
    """The number of elements that count in every window, or for each row and for each column of windows how many do."""
    counted = tuple(tuple(_counted(size[i], kernel[i], stride[i], pads[i], with_padding)) for i in range(2))
    return kernel[0] * kernel[1] if all(n == kernel[i] for i in range(2) for n in counted[i]) else counted


def _counted(size: int, kernel: int, stride: int, pads: Pair, with_padding: bool) -> list[int]:
    """For every window of an axis: how many of its elements count for the average."""
    before, after = pads
    found = []
    for start in range(-before, size + after - kernel + 1, stride):
        # ceil_mode pads by more at the end than at the beginning; only as much as at the beginning counts.
        stop = min(start + kernel, size + before)
        found.append(stop - start if with_padding else min(stop, size) - max(start, 0))
    return found


def _windows(
    name: str, dims: int, input: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Pair, ceil_mode: bool
) -> tuple[Pair, Pair, Padding]:
    """Kernel size, stride, and the padding that leaves room for as many windows as asked for."""
    kernel = as_pair(name, "kernel_size", kernel_size, 1, dims)
    steps = kernel if stride is None else as_pair(name, "stride", stride, 1, dims)
    padding = as_pair(name, "padding", padding, 0, dims)
    return kernel, steps, _pads(name, dims, input.shape, kernel, steps, padding, dilation, bool(ceil_mode))


@lru_cache(1024)
def _pads(
    name: str, dims: int, shape: tuple[int, ...], kernel: Pair, steps: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> Padding:
    """The padding before and after; looked up for arguments that were checked before."""
    pads = []
    for i in range(2):
        if padding[i] > (dilation[i] * (kernel[i] - 1) + 1) // 2:
            raise ValueError(
                f"{name}: expected padding of at most half the kernel, got {padding[i]} with kernel {kernel[i]}"
                + (f" and dilation {dilation[i]}" if dilation[i] > 1 else "")
            )
        after = padding[i]
        if ceil_mode and i >= 2 - dims:
            size = shape[i - 2]
            reach = dilation[i] * (kernel[i] - 1) + 1
            windows = -(-(size + 2 * padding[i] - reach) // steps[i]) + 1
            if (windows - 1) * steps[i] >= size + padding[i]:
                windows -= 1  # the last one would begin beyond the edge
            after = max(after, (windows - 1) * steps[i] + reach - size - padding[i])
        pads.append((padding[i], after))
    check_fit(name, shape, kernel, (pads[0], pads[1]), dilation, dims)
    return pads[0], pads[1]
