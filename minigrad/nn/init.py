"""How parameters start: PyTorch's ``nn.init``. Every function fills a tensor in place, outside the tape, and returns it."""

from __future__ import annotations

import math
import warnings
from typing import Any

from .. import ops
from .._tensor import Tensor
from ..autograd import no_grad

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_LINEAR = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "sigmoid")


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance of activations through a nonlinearity.

    1 for linear layers and sigmoid, 5/3 for tanh, √2 for relu, √(2 / (1 + slope²)) for leaky_relu, 3/4 for selu.

    Args:
        nonlinearity: the name of a function in ``nn.functional``.
        param: the negative slope of leaky_relu (default 0.01).

    Raises:
        ValueError: for a nonlinearity that is none of these; TypeError if ``param`` is no number.

    >>> from minigrad.nn import init
    >>> init.calculate_gain("leaky_relu", 1.0)
    1.0
    """
    if nonlinearity in _LINEAR:
        return 1.0
    if nonlinearity == "tanh":
        return 5 / 3
    if nonlinearity == "relu":
        return math.sqrt(2)
    if nonlinearity == "selu":
        return 3 / 4
    if nonlinearity == "leaky_relu":
        if isinstance(param, bool) or not isinstance(param, (int, float, type(None))):
            raise TypeError(f"calculate_gain: expected the negative slope to be a number, got {type(param).__name__}")
        slope = 0.01 if param is None else param
        return math.sqrt(2 / (1 + slope**2))
    known = ", ".join([*_LINEAR, "tanh", "relu", "leaky_relu", "selu"])
    raise ValueError(f"calculate_gain: expected one of {known}, got {nonlinearity!r}")


@no_grad()
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Draw from the uniform distribution on [a, b).

    >>> import minigrad
    >>> minigrad.nn.init.uniform_(minigrad.empty(3), 2, 3).shape
    (3,)
    """
    return tensor.uniform_(a, b, generator=generator)


@no_grad()
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Draw from the normal distribution.

    >>> import minigrad
    >>> minigrad.nn.init.normal_(minigrad.empty(3), std=0.01).shape
    (3,)
    """
    return tensor.normal_(mean, std, generator=generator)


@no_grad()
def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None
) -> Tensor:
    """Draw from the normal distribution cut off at a and b, by the inverse of its distribution function.

    Args:
        tensor: what to fill.
        mean: of the distribution before it is cut.
        std: likewise.
        a: the smallest value.
        b: the largest value.
        generator: where the draws come from.

    >>> import minigrad
    >>> bool(minigrad.nn.init.trunc_normal_(minigrad.empty(100), std=5).abs().max() <= 2)
    True
    """
    if not a < b:
        raise ValueError(f"trunc_normal_: expected a < b, got a={a} and b={b}")
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            f"trunc_normal_: mean {mean} is more than 2 std from [{a}, {b}]; the distribution may be inaccurate",
            stacklevel=3,
        )
    low, high = (math.erf((bound - mean) / (std * math.sqrt(2))) for bound in (a, b))
    draws = ops.empty(tensor.shape, dtype="float64", device=tensor.device).uniform_(low, high, generator=generator)
    return tensor.copy_((_inverse_erf(draws) * (std * math.sqrt(2)) + mean).clamp_(a, b))


def _inverse_erf(y: Tensor) -> Tensor:
    """The inverse of erf: Winitzki's approximation, and three of Newton's steps."""
    y = y.clamp(-1 + 2**-53, 1 - 2**-53)
    log = ((1 - y) * (1 + y)).log()
    half = log / 2 + 2 / (math.pi * 0.147)
    x = y.sign() * ((half * half - log / 0.147).sqrt() - half).sqrt()
    for _ in range(3):
        x = x - (x.erf() - y) * (x * x).exp() * (math.sqrt(math.pi) / 2)
    return x


@no_grad()
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value.

    >>> import minigrad
    >>> minigrad.nn.init.constant_(minigrad.empty(2), 0.5)
    tensor([0.5, 0.5])
    """
    return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1.

    >>> import minigrad
    >>> minigrad.nn.init.ones_(minigrad.empty(2))
    tensor([1., 1.])
    """
    return constant_(tensor, 1)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0.

    >>> import minigrad
    >>> minigrad.nn.init.zeros_(minigrad.empty(2))
    tensor([0., 0.])
    """
    return constant_(tensor, 0)


@no_grad()
def eye_(tensor: Tensor) -> Tensor:
    """Make a matrix the identity: 1 on the diagonal, 0 elsewhere.

    Raises:
        ValueError: if the tensor is no matrix.

    >>> import minigrad
    >>> minigrad.nn.init.eye_(minigrad.empty(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    if tensor.ndim != 2:
        raise ValueError(f"eye_: expected a matrix, got shape {tensor.shape}")
    return tensor.copy_(ops.eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))


@no_grad()
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Make a convolution's weight the identity: it passes as many of its input channels on as there are output channels.

    Args:
        tensor: a weight of 3 to 5 dimensions, (out_channels, in_channels / groups, *kernel).
        groups: of the convolution; each group passes its own channels on.

    Raises:
        ValueError: if the number of dimensions is another one, or out_channels is not divisible by ``groups``.

    >>> import minigrad
    >>> minigrad.nn.init.dirac_(minigrad.empty(1, 1, 3))
    tensor([[[0., 1., 0.]]])
    """
    if not 3 <= tensor.ndim <= 5:
        raise ValueError(f"dirac_: expected 3 to 5 dimensions, got shape {tensor.shape}")
    if tensor.shape[0] % groups:
        raise ValueError(f"dirac_: expected out_channels divisible by groups={groups}, got {tensor.shape[0]}")
    tensor.zero_()
    middle = tuple(size // 2 for size in tensor.shape[2:])
    per_group = tensor.shape[0] // groups
    for group in range(groups):
        for channel in range(min(per_group, tensor.shape[1])):
            tensor[(group * per_group + channel, channel, *middle)] = 1
    return tensor


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs one output of a weight (out, in, *kernel) has, and how many outputs one input has."""
    if tensor.ndim < 2:
        raise ValueError(f"init: fan in and fan out need a weight of at least 2 dimensions, got shape {tensor.shape}")
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Draw from the uniform distribution on [-b, b), b = gain · √(6 / (fan_in + fan_out)).

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.

    Args:
        tensor: a weight (out, in, *kernel).
        gain: see ``calculate_gain``.
        generator: where the draws come from.

    >>> import minigrad
    >>> bool(minigrad.nn.init.xavier_uniform_(minigrad.empty(3, 3)).abs().max() <= 1)
    True
    """
    bound = gain * math.sqrt(6 / max(sum(_calculate_fan_in_and_fan_out(tensor)), 1))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Draw from the normal distribution with std = gain · √(2 / (fan_in + fan_out)).

    The paper and the arguments are those of ``xavier_uniform_``.

    >>> import minigrad
    >>> minigrad.nn.init.xavier_normal_(minigrad.empty(3, 3)).shape
    (3, 3)
    """
    std = gain * math.sqrt(2 / max(sum(_calculate_fan_in_and_fan_out(tensor)), 1))
    return normal_(tensor, 0.0, std, generator)


def _kaiming_std(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{name}: expected mode to be 'fan_in' or 'fan_out', got {mode!r}")
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan_in if mode == "fan_in" else fan_out, 1))


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    """Draw from the uniform distribution on [-b, b), b = gain · √(3 / fan).

    He et al., "Delving deep into rectifiers", ICCV 2015.

    Args:
        tensor: a weight (out, in, *kernel).
        a: the negative slope of the leaky_relu that follows.
        mode: "fan_in" keeps the variance of activations, "fan_out" that of gradients.
        nonlinearity: the function that follows; see ``calculate_gain``.
        generator: where the draws come from.

    >>> import minigrad
    >>> bool(minigrad.nn.init.kaiming_uniform_(minigrad.empty(3, 6)).abs().max() <= 1)
    True
    """
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    """Draw from the normal distribution with std = gain / √fan; paper and arguments as for ``kaiming_uniform_``.

    >>> import minigrad
    >>> minigrad.nn.init.kaiming_normal_(minigrad.empty(3, 6), mode="fan_out", nonlinearity="relu").shape
    (3, 6)
    """
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity), generator)


@no_grad()
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Any = None) -> Tensor:
    """Make the rows of a matrix orthogonal, or its columns where there are more rows: a random rotation, times ``gain``.

    Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks",
    ICLR 2014.

    Args:
        tensor: a matrix, or a weight (out, in, *kernel) that counts as one of out rows.
        gain: the length of the rows (columns).
        generator: where the draws come from.

    Raises:
        ValueError: if the tensor has fewer than 2 dimensions.

    >>> import minigrad
    >>> q = minigrad.nn.init.orthogonal_(minigrad.empty(2, 3))
    >>> (q @ q.T).allclose(minigrad.eye(2), atol=1e-5)
    True
    """
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_: expected at least 2 dimensions, got shape {tensor.shape}")
    if tensor.numel() == 0:
        return tensor
    rows = tensor.shape[0]
    columns = math.prod(tensor.shape[1:])
    drawn = ops.empty(rows, columns, dtype="float64", device=tensor.device).normal_(generator=generator)
    vectors = drawn.T if rows > columns else drawn
    basis = ops.zeros(vectors.shape, dtype="float64", device=tensor.device)
    for i in range(len(vectors)):  # Gram and Schmidt, whose signs make the rotation uniformly distributed
        vector = vectors[i]
        for _ in range(2):  # the second time takes away what rounding left
            vector = vector - (basis[:i] @ vector) @ basis[:i]
        basis[i] = vector / vector.norm()
    result = basis.T if rows > columns else basis
    return tensor.copy_(result.reshape(tensor.shape) * gain)
