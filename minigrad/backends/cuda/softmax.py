"""Softmax on CUDA: one kernel for the result and one for the gradient (``kernels/softmax.cu``), each row read twice at most.

They want the scores of a row next to each other, as along the last axis; elsewhere these are brought there by a copy.
"""

from __future__ import annotations

from typing import Any

from ..generic.softmax import SoftmaxKernels
from .compiler import TYPES, Kernels, is_countable
from .layout import dense_order, inverse
from .rows import kernel_by_rows


class CUDASoftmaxKernels(SoftmaxKernels):
    """All floats; arrays too large for the kernels by the generic ones."""

    kernels: Kernels

    def softmax(self, x: Any, axis: int, logarithm: bool) -> Any:
        if not is_served(x, axis):
            return super().softmax(x, axis, logarithm)
        order = order_of_rows(x, axis)
        scores = self.xp.ascontiguousarray(x.transpose(order))
        y = self.xp.empty(scores.shape, dtype=x.dtype)
        C = x.shape[axis]
        kernel_by_rows(self.kernels, "softmax", "softmax", scores, y)(scores, y, x.size // C, C, logarithm)
        return y.transpose(inverse(order))

    def softmax_grad(self, grad: Any, y: Any, axis: int, logarithm: bool) -> Any:
        if not is_served(y, axis) or grad.dtype != y.dtype:
            return super().softmax_grad(grad, y, axis, logarithm)
        order = order_of_rows(y, axis)
        above, rows = (self.xp.ascontiguousarray(array.transpose(order)) for array in (grad, y))
        dx = self.xp.empty(rows.shape, dtype=y.dtype)
        C = y.shape[axis]
        kernel_by_rows(self.kernels, "softmax", "softmax_grad", above, rows, dx)(above, rows, dx, y.size // C, C, logarithm)
        return dx.transpose(inverse(order))


def is_served(x: Any, axis: int) -> bool:
    """Whether the kernels can take an array's rows along an axis."""
    C = x.shape[axis]
    return x.dtype in TYPES and x.size > 0 and is_countable(C, x.size // C)


def order_of_rows(x: Any, axis: int) -> tuple[int, ...]:
    """An order of the axes that ends with one of them: that of memory if it does, so that nothing is copied."""
    order = dense_order(x.shape, x.strides, x.itemsize)
    if order is not None and order[-1] == axis:
        return order
    return (*(i for i in range(x.ndim) if i != axis), axis)
