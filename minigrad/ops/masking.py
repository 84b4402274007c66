"""The gradient of everything that passes some elements on and stops the others: a mask, which is its own derivative."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..autograd.operation import Operation


class Keep(Operation):
    """The values where a mask, a bare array of the same shape, is true; zero, whatever the value, elsewhere."""

    def forward(self, x: Any, mask: Any) -> Any:
        self.save_constant("mask", mask)
        return self.backend.keep(x, mask)

    def backward(self, grad: Tensor) -> tuple[Tensor, None]:
        return keep(grad, self.constant("mask")), None


def keep(x: Tensor, mask: Any) -> Tensor:
    """The tensor with zeros where the mask is false: inf and nan do not get through, as they would by a product."""
    return Keep().apply(x, mask)


class KeepPositive(Operation):
    """The values where another tensor of the shape, as of ReLU, is not 0; zero, whatever the value, elsewhere."""

    def forward(self, x: Any, other: Any) -> Any:
        self.save_input(1)
        return self.backend.keep_positive(x, other)

    def backward(self, grad: Tensor) -> tuple[Tensor, None]:
        return keep_positive(grad, self.input(1)), None


def keep_positive(x: Tensor, other: Tensor) -> Tensor:
    """``keep(x, other != 0)`` for another tensor with nothing below 0, without a mask as large where a backend can do that."""
    return KeepPositive().apply(x, other)
