"""Layers that leave out a part of what goes through them while the network is trained."""

from __future__ import annotations

from .._tensor import Tensor
from . import functional as F
from .arguments import boolean, number
from .module import Module


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False):
        super().__init__()
        self.p = number(self, "p", p)
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: expected a probability p in [0, 1], got {p}")
        self.inplace = boolean(self, "inplace", inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training, every element is 0 with probability p, and divided by 1 − p otherwise; in evaluation nothing happens.

    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014.

    Args:
        p: the probability.
        inplace: whether to write over the input.

    Raises:
        ValueError: if p is no probability.

    >>> import minigrad
    >>> minigrad.nn.Dropout(0.5).eval()(minigrad.ones(3))
    tensor([1., 1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """``Dropout`` of whole channels of images (N, C, H, W), whose elements are alike.

    Tompson et al., "Efficient object localization using convolutional networks", CVPR 2015.

    Args:
        p: the probability.
        inplace: whether to write over the input.

    Raises:
        ValueError: if p is no probability.

    >>> import minigrad
    >>> minigrad.nn.Dropout2d(0.5).eval()(minigrad.ones(1, 2, 3, 3)).shape
    (1, 2, 3, 3)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout2d(input, self.p, self.training, self.inplace)
