"""Layers that multiply by a matrix, or do nothing."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from .._tensor import Tensor
from . import functional as F
from . import init
from .arguments import boolean, integer
from .module import Module
from .parameter import Parameter


class Identity(Module):
    """What goes in comes out; arguments of any kind are accepted and ignored.

    >>> import minigrad
    >>> minigrad.nn.Identity()(minigrad.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Linear(Module):
    """y = x Wᵀ + b.

    Weight and bias start uniformly distributed on ±1 / √in_features.

    Args:
        in_features: size of the input's last dimension.
        out_features: size of the output's last dimension.
        bias: whether there is a b.
        device: where weight (out_features, in_features) and bias (out_features,) are made.
        dtype: their dtype (default: the default dtype).

    >>> import minigrad
    >>> minigrad.nn.Linear(3, 2)(minigrad.ones(4, 3)).shape
    (4, 2)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None):
        super().__init__()
        self.in_features = integer(self, "in_features", in_features)
        self.out_features = integer(self, "out_features", out_features)
        self.weight = Parameter(ops.empty(self.out_features, self.in_features, dtype=dtype, device=device))
        has_bias = boolean(self, "bias", bias)
        self.register_parameter(
            "bias", Parameter(ops.empty(self.out_features, dtype=dtype, device=device)) if has_bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init_weight_and_bias(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def init_weight_and_bias(weight: Tensor, bias: Tensor | None) -> None:
    """PyTorch's start of linear and convolution layers: uniformly distributed on ±1 / √fan_in."""
    init.kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        fan_in, _ = init._calculate_fan_in_and_fan_out(weight)
        bound = 1 / math.sqrt(max(fan_in, 1))
        init.uniform_(bias, -bound, bound)
