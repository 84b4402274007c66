"""Smooth activations. Most are one operation each: several passes over one array, and one saved tensor."""

from __future__ import annotations

from math import inf, pi, sqrt
from typing import Any

from .._tensor import Tensor
from ..autograd.modes import modes
from ..dtypes import as_number
from .arguments import as_dim, check_tensor
from .autocasting import in_float32
from .elementwise import erfc, exp, logistic, sigmoid
from .masking import keep
from .pointwise import Unary, rounded_once
from .powers import square
from .rectifier import activate
from .trigonometry import tanh

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "logsigmoid",
    "mish",
    "selu",
    "silu",
    "softplus",
    "softsign",
    "tanhshrink",
]

_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


class Elu(Unary):
    """``scale * x`` above 0, ``scale * alpha * (exp(steepness * x) - 1)`` elsewhere."""

    def __init__(self, called: str, alpha: float, scale: float = 1.0, steepness: float = 1.0):
        self.called = called
        self.alpha = alpha
        self.scale = scale
        self.steepness = steepness

    @property
    def name(self) -> str:
        return self.called

    @rounded_once
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        xp = self.xp
        below = xp.asarray(xp.minimum(x, 0))
        if self.steepness != 1:
            xp.multiply(below, self.steepness, out=below)
        xp.multiply(xp.expm1(below, out=below), self.scale * self.alpha, out=below)
        above = xp.maximum(x, 0, out=out)
        if self.scale != 1:
            above = xp.multiply(above, self.scale, out=out)
        return xp.add(above, below, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        x = self.input(0)
        at_zero = self.scale * self.alpha * self.steepness
        gradient = grad * (exp(x.clamp(max=0) * self.steepness) * at_zero)
        if at_zero == self.scale:
            return gradient
        positive = x.array > 0
        return keep(gradient, ~positive) + keep(grad, positive) * self.scale


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Exponential linear unit: ``input`` where it is positive, ``alpha * (exp(input) - 1)`` elsewhere.

    Args:
        input: a tensor.
        alpha: minus the limit at -inf.
        inplace: write the result into the input's memory.

    Clevert, Unterthiner and Hochreiter 2016, Fast and accurate deep network learning by exponential linear units.

    >>> import minigrad
    >>> minigrad.nn.functional.elu(minigrad.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.    ])
    """
    return activate(Elu("elu", _number("elu", "alpha", alpha)), input, inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """``elu`` scaled such that activations of mean 0 and variance 1 keep both.

    Args:
        input: a tensor.
        inplace: write the result into the input's memory.

    Klambauer et al. 2017, Self-normalizing neural networks.

    >>> import minigrad
    >>> minigrad.selu(minigrad.tensor([-1.0, 2.0]))
    tensor([-1.1113,  2.1014])
    """
    return activate(Elu("selu", _SELU_ALPHA, _SELU_SCALE), input, inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``max(input, 0) + min(alpha * (exp(input / alpha) - 1), 0)``: ``elu`` with a continuous derivative.

    Args:
        input: a tensor.
        alpha: minus the limit at -inf, not 0.
        inplace: write the result into the input's memory.

    Raises:
        ValueError: if ``alpha`` is 0.

    Barron 2017, Continuously differentiable exponential linear units.

    >>> import minigrad
    >>> minigrad.celu(minigrad.tensor([-1.0, 2.0]), 2.0)
    tensor([-0.7869,  2.    ])
    """
    alpha = _number("celu", "alpha", alpha)
    if alpha == 0:
        raise ValueError("celu: expected alpha other than 0, got 0")
    return activate(Elu("celu", alpha, steepness=1 / alpha), input, inplace)


class Gelu(Unary):
    @rounded_once
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        xp = self.xp
        probability = xp.asarray(xp.multiply(x, -sqrt(0.5)))
        self.backend.erfc(probability, out=probability)
        xp.multiply(probability, 0.5, out=probability)
        return xp.multiply(x, probability, out=probability if out is None else out)

    def backward(self, grad: Tensor) -> Tensor:
        x = self.input(0)
        probability = erfc(x * -sqrt(0.5)) * 0.5
        density = exp(square(x) * -0.5) * (1 / sqrt(2 * pi))
        return grad * (probability + x * density)


class GeluTanh(Unary):
    """With ``(1 + tanh(u)) / 2`` as the sigmoid of ``2 u``, ``u = sqrt(2 / pi) * (x + 0.044715 * x ** 3)``."""

    LINEAR = 2 * sqrt(2 / pi)
    CUBIC = 0.044715 * LINEAR

    @property
    def name(self) -> str:
        return "gelu"

    @rounded_once
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        xp = self.xp
        with self.backend.quiet():  # an infinite square gives the right gate
            gate = xp.asarray(xp.square(x))
            xp.add(xp.multiply(gate, self.CUBIC, out=gate), self.LINEAR, out=gate)
            xp.multiply(gate, x, out=gate)
        logistic(self.backend, gate, gate)
        return xp.multiply(x, gate, out=gate if out is None else out)

    def backward(self, grad: Tensor) -> Tensor:
        x = self.input(0).clamp(-20, 20)  # beyond, the gate is 0 or 1, and the square of a half may be inf
        squared = square(x)
        gate = sigmoid(x * (squared * self.CUBIC + self.LINEAR))
        slope = x * (squared * (3 * self.CUBIC) + self.LINEAR)
        return grad * (gate + gate * (1 - gate) * slope)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """Gaussian error linear unit: ``input`` times the probability that a standard normal draw is below it.

    Args:
        input: a tensor.
        approximate: ``"none"`` for the error function, ``"tanh"`` for an approximation that is right to three decimals.

    Raises:
        ValueError: for another approximation.

    Hendrycks and Gimpel 2016, Gaussian error linear units.

    >>> import minigrad
    >>> minigrad.nn.functional.gelu(minigrad.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1587,  0.    ,  0.8413])
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: expected approximate 'none' or 'tanh', got {approximate!r}")
    return (Gelu() if approximate == "none" else GeluTanh()).apply(input)


class Silu(Unary):
    @rounded_once
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        gate = logistic(self.backend, x, self.xp.empty_like(x))
        return self.xp.multiply(x, gate, out=gate if out is None else out)

    def backward(self, grad: Tensor) -> Tensor:
        x = self.input(0)
        gate = sigmoid(x)
        return grad * (gate + x * (gate * (1 - gate)))


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * sigmoid(input)``, also known as swish.

    Args:
        input: a tensor.
        inplace: write the result into the input's memory.

    Ramachandran, Zoph and Le 2017, Searching for activation functions.

    >>> import minigrad
    >>> minigrad.nn.functional.silu(minigrad.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.2689,  0.    ,  0.7311])
    """
    return activate(Silu(), input, inplace)


class Mish(Unary):
    @rounded_once
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        xp = self.xp
        gate = xp.asarray(xp.maximum(x, 0))
        xp.add(gate, log_of_gap(xp, x), out=gate)
        return xp.multiply(x, xp.tanh(gate, out=gate), out=gate if out is None else out)

    def backward(self, grad: Tensor) -> Tensor:
        x = self.input(0)
        gate = tanh(softplus(x, threshold=inf))
        return grad * (gate + x * sigmoid(x) * (1 - gate * gate))


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * tanh(softplus(input))``.

    Args:
        input: a tensor.
        inplace: write the result into the input's memory.

    Misra 2019, Mish: a self regularized non-monotonic activation function.

    >>> import minigrad
    >>> minigrad.nn.functional.mish(minigrad.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.3034,  0.    ,  0.8651])
    """
    return activate(Mish(), input, inplace)


def log_of_gap(xp: Any, x: Any) -> Any:
    """``log(1 + exp(-|x|))`` of an array: by how much softplus exceeds ``max(x, 0)``."""
    gap = xp.asarray(xp.absolute(x))
    return xp.log1p(xp.exp(xp.negative(gap, out=gap), out=gap), out=gap)


class Softplus(Unary):
    def __init__(self, beta: float, threshold: float):
        self.beta = beta
        self.threshold = threshold

    @rounded_once
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        xp = self.xp
        scaled = x if self.beta == 1 else xp.multiply(x, self.beta)
        gap = log_of_gap(xp, scaled)
        xp.multiply(gap, scaled <= self.threshold, out=gap)
        line = xp.maximum(scaled, 0)
        if self.threshold < 0:
            line = xp.where(scaled > self.threshold, scaled, line)
        xp.add(gap, line, out=gap)
        return xp.multiply(gap, 1 / self.beta, out=gap if out is None else out)

    def backward(self, grad: Tensor) -> Tensor:
        scaled = self.input(0) * self.beta
        straight = scaled.array > self.threshold
        return keep(grad * sigmoid(scaled), ~straight) + keep(grad, straight)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``log(1 + exp(beta * input)) / beta``, and just ``input`` where ``beta * input`` exceeds the threshold.

    Args:
        input: a tensor.
        beta: the steepness, not 0.
        threshold: where the function goes over into the straight line.

    Raises:
        ValueError: if ``beta`` is 0.

    >>> import minigrad
    >>> minigrad.nn.functional.softplus(minigrad.tensor([-1000.0, 0.0, 1000.0]))
    tensor([   0.    ,    0.6931, 1000.    ])
    """
    if modes.autocast:
        input = in_float32(input)
    beta, threshold = _number("softplus", "beta", beta), _number("softplus", "threshold", threshold)
    if beta == 0:
        raise ValueError("softplus: expected beta other than 0, got 0")
    return Softplus(beta, threshold).apply(input)


class Logsigmoid(Unary):
    @rounded_once
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        gap = log_of_gap(self.xp, x)
        return self.xp.subtract(self.xp.minimum(x, 0), gap, out=gap if out is None else out)

    def backward(self, grad: Tensor) -> Tensor:
        return grad * sigmoid(-self.input(0))


def logsigmoid(input: Tensor) -> Tensor:
    """``log(sigmoid(input))``, exact to the last digits also where the sigmoid is 0 or 1.

    >>> import minigrad
    >>> minigrad.nn.functional.logsigmoid(minigrad.tensor([-1000.0, 0.0, 1000.0]))
    tensor([-1000.    ,    -0.6931,     0.    ])
    """
    return Logsigmoid().apply(input)


def softsign(input: Tensor) -> Tensor:
    """``input / (1 + |input|)``.

    >>> import minigrad
    >>> minigrad.nn.functional.softsign(minigrad.tensor([-1.0, 0.0, 3.0]))
    tensor([-0.5 ,  0.  ,  0.75])
    """
    check_tensor("softsign", input)
    return input / (abs(input) + 1)


def tanhshrink(input: Tensor) -> Tensor:
    """``input - tanh(input)``.

    >>> import minigrad
    >>> minigrad.nn.functional.tanhshrink(minigrad.tensor([0.0, 1.0]))
    tensor([0.    , 0.2384])
    """
    return input - tanh(input)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """Gated linear unit: the first half of the tensor times the sigmoid of its second half.

    Args:
        input: a tensor whose size along ``dim`` is even.
        dim: the dim that is halved.

    Raises:
        RuntimeError: if the size is odd, or the tensor has no dims.

    Dauphin et al. 2017, Language modeling with gated convolutional networks.

    >>> import minigrad
    >>> minigrad.nn.functional.glu(minigrad.tensor([1.0, 2.0, 0.0, 1000.0]))
    tensor([0.5, 2. ])
    """
    check_tensor("glu", input)
    dim = as_dim("glu", dim, input.ndim)
    if input.ndim == 0 or input.shape[dim] % 2:
        raise RuntimeError(f"glu: expected an even size along dim {dim}, got shape {input.shape}")
    half = input.shape[dim] // 2
    return input.narrow(dim, 0, half) * sigmoid(input.narrow(dim, half, half))


def _number(name: str, what: str, value: Any) -> Any:
    """A static parameter as a Python number."""
    number = as_number(value)
    if number is None:
        raise TypeError(f"{name}: expected a real number as {what}, got {type(value).__name__}")
    return number
