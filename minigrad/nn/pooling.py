"""Pooling layers: one number for every window of the input."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from . import functional as F
from .arguments import boolean, integer, repeated, sizes
from .module import Module


class _MaxPool(Module):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ):
        super().__init__()
        self.kernel_size = sizes(self, "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else sizes(self, "stride", stride)
        self.padding = sizes(self, "padding", padding)
        self.dilation = sizes(self, "dilation", dilation)
        self.return_indices = boolean(self, "return_indices", return_indices)
        self.ceil_mode = boolean(self, "ceil_mode", ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest number in every window of sequences (N, C, L); the arguments are those of ``MaxPool2d``.

    >>> import minigrad
    >>> minigrad.nn.MaxPool1d(2)(minigrad.tensor([[[1.0, 3.0, 2.0, 0.0]]]))
    tensor([[[3., 2.]]])
    """

    def forward(self, input: Tensor) -> Any:
        return F.max_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class MaxPool2d(_MaxPool):
    """The largest number in every window of images (N, C, H, W).

    Args:
        kernel_size: the size of a window; here and below one int counts for both dimensions.
        stride: the step from one window to the next (default: the windows' size).
        padding: the border around the input, which is never the largest.
        dilation: the step from one element of a window to the next.
        return_indices: whether to return where the largest numbers were, too.
        ceil_mode: whether a last window that sticks out over the border counts.

    >>> import minigrad
    >>> minigrad.nn.MaxPool2d(2)(minigrad.ones(2, 3, 8, 8)).shape
    (2, 3, 4, 4)
    """

    def forward(self, input: Tensor) -> Any:
        return F.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class AvgPool1d(Module):
    """The mean of every window of sequences (N, C, L); the arguments are those of ``AvgPool2d``.

    >>> import minigrad
    >>> minigrad.nn.AvgPool1d(2)(minigrad.tensor([[[1.0, 3.0, 2.0, 0.0]]]))
    tensor([[[2., 1.]]])
    """

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True
    ):
        super().__init__()
        self.kernel_size = repeated(self, "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else repeated(self, "stride", stride, 1)
        self.padding = repeated(self, "padding", padding, 1)
        self.ceil_mode = boolean(self, "ceil_mode", ceil_mode)
        self.count_include_pad = boolean(self, "count_include_pad", count_include_pad)

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """The mean of every window of images (N, C, H, W).

    Args:
        kernel_size: the size of a window; here and below one int counts for both dimensions.
        stride: the step from one window to the next (default: the windows' size).
        padding: the border of zeros around the input.
        ceil_mode: whether a last window that sticks out over the border counts.
        count_include_pad: whether the border's zeros count in the mean.
        divisor_override: what to divide by instead of the number of elements.

    >>> import minigrad
    >>> minigrad.nn.AvgPool2d(2)(minigrad.ones(2, 3, 8, 8)).shape
    (2, 3, 4, 4)
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ):
        super().__init__()
        self.kernel_size = sizes(self, "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else sizes(self, "stride", stride)
        self.padding = sizes(self, "padding", padding)
        self.ceil_mode = boolean(self, "ceil_mode", ceil_mode)
        self.count_include_pad = boolean(self, "count_include_pad", count_include_pad)
        self.divisor_override = None if divisor_override is None else integer(self, "divisor_override", divisor_override)

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AdaptivePool(Module):
    def __init__(self, output_size: Any):
        super().__init__()
        self.output_size: Any = None if output_size is None else sizes(self, "output_size", output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptivePool):
    """The means of as many windows of sequences (N, C, L) as the output is long.

    Args:
        output_size: the length of the output; None keeps the input's.

    >>> import minigrad
    >>> minigrad.nn.AdaptiveAvgPool1d(2)(minigrad.tensor([[[1.0, 3.0, 2.0, 0.0]]]))
    tensor([[[2., 1.]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptivePool):
    """The means of as many windows of images (N, C, H, W) as the output has elements, whatever the input's size.

    Args:
        output_size: (OH, OW), or an int for both; None keeps the input's.

    >>> import minigrad
    >>> minigrad.nn.AdaptiveAvgPool2d(1)(minigrad.ones(2, 3, 7, 5)).shape
    (2, 3, 1, 1)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveMaxPool2d(_AdaptivePool):
    """The largest numbers of as many windows of images (N, C, H, W) as the output has elements.

    Args:
        output_size: (OH, OW), or an int for both; None keeps the input's.
        return_indices: whether to return where the largest numbers were, too.

    >>> import minigrad
    >>> minigrad.nn.AdaptiveMaxPool2d(1)(minigrad.ones(2, 3, 7, 5)).shape
    (2, 3, 1, 1)
    """

    def __init__(self, output_size: Any, return_indices: bool = False):
        super().__init__(output_size)
        self.return_indices = boolean(self, "return_indices", return_indices)

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)
