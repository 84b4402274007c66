"""Activation functions as layers."""

from __future__ import annotations

from typing import Any

from .. import ops
from .._tensor import Tensor
from . import functional as F
from .arguments import boolean, choice, integer, number
from .init import constant_
from .module import Module
from .parameter import Parameter


class _Activation(Module):
    """A layer whose only setting is whether it writes over its input."""

    def __init__(self, inplace: bool = False):
        super().__init__()
        self.inplace = boolean(self, "inplace", inplace)

    def _settings(self) -> str:
        """What ``repr`` shows before ``inplace``."""
        return ""

    def extra_repr(self) -> str:
        settings = self._settings()
        return ", ".join(([settings] if settings else []) + (["inplace=True"] if self.inplace else []))


class ReLU(_Activation):
    """max(x, 0).

    Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010.

    Args:
        inplace: whether to write over the input.

    >>> import minigrad
    >>> minigrad.nn.ReLU()(minigrad.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input, self.inplace)


class ReLU6(_Activation):
    """min(max(x, 0), 6).

    Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010.

    Args:
        inplace: whether to write over the input.

    >>> import minigrad
    >>> minigrad.nn.ReLU6()(minigrad.tensor([-1.0, 2.0, 8.0]))
    tensor([0., 2., 6.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.relu6(input, self.inplace)


class LeakyReLU(_Activation):
    """x where it is positive, negative_slope · x elsewhere.

    Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML 2013.

    Args:
        negative_slope: the slope for negative x.
        inplace: whether to write over the input.

    >>> import minigrad
    >>> minigrad.nn.LeakyReLU(0.1)(minigrad.tensor([-1.0, 2.0]))
    tensor([-0.1,  2. ])
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False):
        super().__init__(inplace)
        self.negative_slope = number(self, "negative_slope", negative_slope)

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def _settings(self) -> str:
        return f"negative_slope={self.negative_slope}"


class PReLU(Module):
    """x where it is positive, weight · x elsewhere; the weight is trained.

    He et al., "Delving deep into rectifiers", ICCV 2015.

    Args:
        num_parameters: 1, or the number of channels (dimension 1).
        init: what the weight starts with.
        device: where it is made.
        dtype: its dtype (default: the default dtype).

    >>> import minigrad
    >>> minigrad.nn.PReLU()(minigrad.tensor([-1.0, 2.0])).detach()
    tensor([-0.25,  2.  ])
    """

    weight: Parameter

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None):
        super().__init__()
        self.num_parameters = integer(self, "num_parameters", num_parameters)
        self.init = number(self, "init", init)
        self.weight = Parameter(ops.full((self.num_parameters,), float(init), dtype=dtype, device=device))

    def reset_parameters(self) -> None:
        """Set the weight to what it started with."""
        constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class ELU(_Activation):
    """x where it is positive, alpha · (eˣ − 1) elsewhere.

    Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by exponential linear units", ICLR 2016.

    Args:
        alpha: minus the limit for x → −∞.
        inplace: whether to write over the input.

    >>> import minigrad
    >>> minigrad.nn.ELU()(minigrad.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.    ])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        super().__init__(inplace)
        self.alpha = number(self, "alpha", alpha)

    def forward(self, input: Tensor) -> Tensor:
        return F.elu(input, self.alpha, self.inplace)

    def _settings(self) -> str:
        return f"alpha={self.alpha}"


class SELU(_Activation):
    """scale · ELU(x) with the scale and alpha that keep mean 0 and variance 1.

    Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017.

    Args:
        inplace: whether to write over the input.

    >>> import minigrad
    >>> minigrad.nn.SELU()(minigrad.tensor([-1.0, 2.0]))
    tensor([-1.1113,  2.1014])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.selu(input, self.inplace)


class CELU(_Activation):
    """max(x, 0) + min(alpha · (e^(x / alpha) − 1), 0).

    Barron, "Continuously differentiable exponential linear units", 2017.

    Args:
        alpha: minus the limit for x → −∞.
        inplace: whether to write over the input.

    >>> import minigrad
    >>> minigrad.nn.CELU(2.0)(minigrad.tensor([-1.0, 2.0]))
    tensor([-0.7869,  2.    ])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        super().__init__(inplace)
        self.alpha = number(self, "alpha", alpha)

    def forward(self, input: Tensor) -> Tensor:
        return F.celu(input, self.alpha, self.inplace)

    def _settings(self) -> str:
        return f"alpha={self.alpha}"


class GELU(Module):
    """x · Φ(x), with the normal distribution function Φ.

    Hendrycks and Gimpel, "Gaussian error linear units", 2016.

    Args:
        approximate: "none", or "tanh" for the paper's approximation by it.

    Raises:
        ValueError: for anything else.

    >>> import minigrad
    >>> minigrad.nn.GELU()(minigrad.tensor([-1.0, 2.0]))
    tensor([-0.1587,  1.9545])
    """

    def __init__(self, approximate: str = "none"):
        super().__init__()
        self.approximate = choice(self, "approximate", approximate, ("none", "tanh"))

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(_Activation):
    """x · sigmoid(x), also called swish.

    Elfwing, Uchibe and Doya, "Sigmoid-weighted linear units for neural network function approximation in reinforcement
    learning", 2017.

    Args:
        inplace: whether to write over the input.

    >>> import minigrad
    >>> minigrad.nn.SiLU()(minigrad.tensor([-1.0, 2.0]))
    tensor([-0.2689,  1.7616])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.silu(input, self.inplace)


class Mish(_Activation):
    """x · tanh(softplus(x)).

    Misra, "Mish: a self regularized non-monotonic activation function", BMVC 2020.

    Args:
        inplace: whether to write over the input.

    >>> import minigrad
    >>> minigrad.nn.Mish()(minigrad.tensor([-1.0, 2.0]))
    tensor([-0.3034,  1.944 ])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.mish(input, self.inplace)


class Softplus(Module):
    """log(1 + e^(beta · x)) / beta, and x itself where beta · x is above the threshold.

    Dugas et al., "Incorporating second-order functional knowledge for better option pricing", NeurIPS 2000.

    Args:
        beta: how sharply it bends.
        threshold: above it x is returned.

    >>> import minigrad
    >>> minigrad.nn.Softplus()(minigrad.tensor([-1.0, 2.0]))
    tensor([0.3133, 2.1269])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0):
        super().__init__()
        self.beta = number(self, "beta", beta)
        self.threshold = number(self, "threshold", threshold)

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softsign(Module):
    """x / (1 + |x|).

    >>> import minigrad
    >>> minigrad.nn.Softsign()(minigrad.tensor([-1.0, 3.0]))
    tensor([-0.5 ,  0.75])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softsign(input)


class Hardtanh(_Activation):
    """x, cut off at min_val and max_val.

    Args:
        min_val: the smallest value.
        max_val: the largest value.
        inplace: whether to write over the input.

    Raises:
        ValueError: if the smallest is not below the largest.

    >>> import minigrad
    >>> minigrad.nn.Hardtanh()(minigrad.tensor([-2.0, 0.5]))
    tensor([-1. ,  0.5])
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False):
        super().__init__(inplace)
        self.min_val = number(self, "min_val", min_val)
        self.max_val = number(self, "max_val", max_val)
        if not self.min_val < self.max_val:
            raise ValueError(f"Hardtanh: expected min_val < max_val, got {min_val} and {max_val}")

    def forward(self, input: Tensor) -> Tensor:
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def _settings(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}"


class Hardsigmoid(_Activation):
    """x / 6 + 1 / 2, cut off at 0 and 1.

    Howard et al., "Searching for MobileNetV3", ICCV 2019.

    Args:
        inplace: whether to write over the input.

    >>> import minigrad
    >>> minigrad.nn.Hardsigmoid()(minigrad.tensor([-4.0, 0.0]))
    tensor([0. , 0.5])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.hardsigmoid(input, self.inplace)


class Hardswish(_Activation):
    """x · hardsigmoid(x).

    Howard et al., "Searching for MobileNetV3", ICCV 2019.

    Args:
        inplace: whether to write over the input.

    >>> import minigrad
    >>> minigrad.nn.Hardswish()(minigrad.tensor([-4.0, 3.0]))
    tensor([-0.,  3.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.hardswish(input, self.inplace)


class Sigmoid(Module):
    """1 / (1 + e^−x).

    >>> import minigrad
    >>> minigrad.nn.Sigmoid()(minigrad.tensor([0.0, 2.0]))
    tensor([0.5   , 0.8808])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.sigmoid(input)


class LogSigmoid(Module):
    """log(sigmoid(x)), without overflow.

    >>> import minigrad
    >>> minigrad.nn.LogSigmoid()(minigrad.tensor([0.0, -1000.0]))
    tensor([   -0.6931, -1000.    ])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.logsigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent.

    >>> import minigrad
    >>> minigrad.nn.Tanh()(minigrad.tensor([0.0, 2.0]))
    tensor([0.   , 0.964])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.tanh(input)


class Tanhshrink(Module):
    """x − tanh(x).

    >>> import minigrad
    >>> minigrad.nn.Tanhshrink()(minigrad.tensor([0.0, 2.0]))
    tensor([0.   , 1.036])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.tanhshrink(input)


class Threshold(_Activation):
    """x where it is above the threshold, a fixed value elsewhere.

    Args:
        threshold: what x is compared with.
        value: what replaces it.
        inplace: whether to write over the input.

    >>> import minigrad
    >>> minigrad.nn.Threshold(1.0, 20.0)(minigrad.tensor([0.0, 2.0]))
    tensor([20.,  2.])
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False):
        super().__init__(inplace)
        self.threshold = number(self, "threshold", threshold)
        self.value = number(self, "value", value)

    def forward(self, input: Tensor) -> Tensor:
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def _settings(self) -> str:
        return f"threshold={self.threshold}, value={self.value}"
