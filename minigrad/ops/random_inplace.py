"""Overwriting tensors by random numbers."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..autograd.inplace import write
from ..autograd.operation import Operation
from ..dtypes import FLOATING
from .arguments import as_number
from .conversion import broadcasts_to
from .generator import Generator, Source
from .random import check_probabilities, compared_in

AT_ONCE = 1 << 20
"""How many numbers are drawn at a time."""


class Draw(Operation):
    """The shape, dtype and device of a tensor, with random numbers for its values."""

    takes_out = True

    def __init__(self, generator: Generator | None, *parameters: Any):
        self.generator = generator
        self.parameters = parameters

    def fit(self, target: Tensor) -> tuple[Any, ...]:
        if target.dtype not in FLOATING:
            raise TypeError(f"{self.name}_: expected a floating dtype, got {target.dtype}")
        self.source = Source(f"{self.name}_", self.generator, target.device)
        return (target,)

    def overwrite(self, out: Any, kernel: str, factor: float, summand: float) -> Any:
        """Numbers that a kernel draws, scaled and shifted: some rows at a time, without a second array of that size."""
        rows = max(1, AT_ONCE * len(out) // max(1, out.size)) if out.ndim else 1
        for part in [out[i : i + rows] for i in range(0, len(out), rows)] if out.ndim else [out]:
            drawn = self.source.draw(kernel, part.shape, part.dtype)
            drawn *= factor
            drawn += summand
            part[...] = drawn
        return out

    def backward(self, grad: Tensor) -> Tensor:
        return grad * 0


class Uniform(Draw):
    def forward(self, x: Any, out: Any) -> Any:
        low, high = self.parameters
        return self.overwrite(out, "random_uniform", high - low, low)


def uniform_(input: Tensor, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Overwrite a tensor by numbers drawn uniformly from [from_, to).

    Args:
        input: a floating tensor.
        from_: the lower bound.
        to: the upper bound.
        generator: where the numbers come from (default: the device's default generator).

    Returns:
        The tensor.

    Raises:
        ValueError: if the bounds are in the wrong order; TypeError if the tensor is not floating.

    >>> import minigrad
    >>> minigrad.empty(3).uniform_(5, 6) > 4
    tensor([ True,  True,  True])
    """
    low, high = as_number("uniform_", "from_", from_), as_number("uniform_", "to", to)
    if not low <= high:
        raise ValueError(f"uniform_: expected from_ to be at most to, got {low} and {high}")
    return write(input, Uniform(generator, low, high))


class Normal(Draw):
    def forward(self, x: Any, out: Any) -> Any:
        mean, std = self.parameters
        return self.overwrite(out, "random_normal", std, mean)


def normal_(input: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Overwrite a tensor by numbers drawn from a normal distribution; the rest is as for ``uniform_``.

    Args:
        input: a floating tensor.
        mean: the mean.
        std: the standard deviation, at least 0.
        generator: where the numbers come from (default: the device's default generator).

    >>> import minigrad
    >>> minigrad.empty(3).normal_(100, 0.1) > 90
    tensor([ True,  True,  True])
    """
    mean, std = as_number("normal_", "mean", mean), as_number("normal_", "std", std)
    if not std >= 0:
        raise ValueError(f"normal_: expected std of at least 0, got {std}")
    return write(input, Normal(generator, mean, std))


class Bernoulli(Draw):
    def fit(self, target: Tensor) -> tuple[Any, ...]:
        self.source = Source("bernoulli_", self.generator, target.device)
        return (target,)

    def forward(self, x: Any, out: Any) -> Any:
        (probability,) = self.parameters
        if isinstance(probability, Tensor):
            out[...] = self.source.draw("random_uniform", x.shape, compared_in(probability.dtype)) < probability.array
        else:
            out[...] = self.source.draw("random_mask", probability, x.shape)
        return out


def bernoulli_(input: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Overwrite a tensor of any dtype by ones, with probability ``p``, and zeros.

    Args:
        input: the tensor to overwrite.
        p: a number from 0 to 1, or a floating tensor of them that broadcasts to the tensor's shape.
        generator: where the numbers come from (default: the device's default generator).

    Raises:
        ValueError: if ``p`` is out of range (of a tensor, where the device lets the host see it without waiting), or its shape
            does not broadcast.

    >>> import minigrad
    >>> minigrad.zeros(3).bernoulli_(1.0)
    tensor([1., 1., 1.])
    """
    if isinstance(p, Tensor):
        if p.dtype not in FLOATING:
            raise TypeError(f"bernoulli_: expected floating probabilities, got {p.dtype}")
        if p.ndim > input.ndim or not broadcasts_to(p.shape, input.shape):
            raise ValueError(f"bernoulli_: expected probabilities that broadcast to {input.shape}, got {p.shape}")
        p = p.to(device=input.device)
        check_probabilities("bernoulli_", p)
    else:
        p = as_number("bernoulli_", "p", p)
        if not 0 <= p <= 1:
            raise ValueError(f"bernoulli_: expected p from 0 to 1, got {p}")
    return write(input, Bernoulli(generator, p))
