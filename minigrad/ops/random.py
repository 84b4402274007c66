"""Tensors of random numbers."""

from __future__ import annotations

from math import inf
from typing import Any

from .._tensor import Tensor
from ..autograd.operation import wrap
from ..backends import backend_of
from ..dtypes import FLOATING, as_dtype, category, float32, float64, get_default_dtype, int64, integer_range, largest
from .arguments import as_integer, as_number, as_sizes, check_tensor
from .generator import Generator, Source

__all__ = [
    "bernoulli",
    "multinomial",
    "normal",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
]


def _floating(name: str, dtype: Any) -> Any:
    """The dtype of the floats to draw (None: the default)."""
    dtype = get_default_dtype() if dtype is None else as_dtype(dtype)
    if dtype not in FLOATING:
        raise TypeError(f"{name}: expected a floating dtype, got {dtype}")
    return dtype


def rand(
    *sizes: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers drawn uniformly from [0, 1).

    Args:
        sizes: the sizes, one by one or as a sequence.
        size: the same by keyword.
        generator: where the numbers come from (default: the device's default generator).
        dtype: a floating dtype (default: the default float dtype).
        device: where to put it (default: where the generator is, else the CPU).
        requires_grad: whether the gradient with respect to it is wanted.

    Raises:
        TypeError: if the dtype is not floating; RuntimeError if the generator is on another device.

    >>> import minigrad
    >>> minigrad.rand(2, 3).shape
    (2, 3)
    """
    shape, dtype = as_sizes("rand", sizes, size), _floating("rand", dtype)
    drawn = Source("rand", generator, device).draw("random_uniform", shape, dtype)
    return wrap(drawn).requires_grad_(requires_grad)


def randn(
    *sizes: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers drawn from the normal distribution with mean 0 and variance 1; the arguments are as for ``rand``.

    >>> import minigrad
    >>> minigrad.randn(2, 3).shape
    (2, 3)
    """
    shape, dtype = as_sizes("randn", sizes, size), _floating("randn", dtype)
    drawn = Source("randn", generator, device).draw("random_normal", shape, dtype)
    return wrap(drawn).requires_grad_(requires_grad)


def randint(
    low: Any = None,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers drawn uniformly from ``low`` (inclusive) to ``high`` (exclusive).

    Args:
        low: the smallest (default: 0); ``randint(high, size)`` draws from 0, too.
        high: one more than the largest.
        size: a sequence of sizes.
        generator: where the numbers come from (default: the device's default generator).
        dtype: the element type (default: int64). A float that has not all these integers gets the nearest that it has.
        device: where to put it (default: where the generator is, else the CPU).
        requires_grad: whether the gradient with respect to it is wanted.

    Raises:
        ValueError: if there is no integer from ``low`` to ``high``, or one that the dtype cannot hold.

    >>> import minigrad
    >>> minigrad.randint(3, (2, 2)).shape
    (2, 2)
    """
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    elif low is None:
        low = 0
    if size is None:
        raise TypeError("randint: expected a size, got none")
    first, last = as_integer("randint", "low", low), as_integer("randint", "high", high)
    if first >= last:
        raise ValueError(f"randint: expected low below high, got {first} and {last}")
    dtype = as_dtype(dtype or int64)
    least, most = _ends_in(dtype, first, last)
    place = Source("randint", generator, device)
    drawn = place.draw("random_integers", first, last, as_sizes("randint", (size,)))
    if (least, most) != (first, last - 1):
        drawn = place.backend.xp.clip(drawn, least, most)
    return wrap(drawn.astype(dtype, copy=False)).requires_grad_(requires_grad)


_SIGNIFICANT_BITS = {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}


def _ends_in(dtype: Any, low: int, high: int) -> tuple[int, int]:
    """The smallest and the largest integer of a dtype from low (inclusive) to high (exclusive)."""
    least, most = low, high - 1
    if dtype in FLOATING:
        bits, highest = _SIGNIFICANT_BITS[str(dtype)], int(largest(dtype))
        least, most, lowest = -_rounded_down(-least, bits), _rounded_down(most, bits), -highest
    else:
        lowest, highest = integer_range(dtype) if category(dtype) else (0, 1)
    if not lowest <= least <= most <= highest:
        raise ValueError(f"randint: expected integers from low to high that fit into {dtype}, got {low} and {high}")
    return least, most


def _rounded_down(number: int, bits: int) -> int:
    """The largest integer of so many significant bits that is no larger than another one."""
    unit = 1 << max(abs(number).bit_length() - bits, 0)
    return number // unit * unit


def randperm(
    n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The integers from 0 to ``n - 1`` in a random order.

    Args:
        n: how many.
        generator: where the numbers come from (default: the device's default generator).
        dtype: the element type (default: int64).
        device: where to put it (default: where the generator is, else the CPU).
        requires_grad: whether the gradient with respect to it is wanted.

    Raises:
        ValueError: if the dtype does not have all these integers.

    >>> import minigrad
    >>> minigrad.randperm(4).sort().values
    tensor([0, 1, 2, 3])
    """
    (count,) = as_sizes("randperm", (as_integer("randperm", "n", n),))
    dtype = as_dtype(dtype or int64)
    if dtype in FLOATING:
        highest = 1 << _SIGNIFICANT_BITS[str(dtype)]
    else:
        highest = integer_range(dtype)[1] if category(dtype) else 1
    if count > highest + 1:
        raise ValueError(f"randperm: expected n of at most {highest + 1} for {dtype}, got {count}")
    drawn = Source("randperm", generator, device).draw("random_permutation", count)
    return wrap(drawn.astype(dtype, copy=False)).requires_grad_(requires_grad)


def rand_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``rand`` in the shape and dtype, and on the device, of another tensor.

    >>> import minigrad
    >>> minigrad.rand_like(minigrad.zeros(2, 3)).shape
    (2, 3)
    """
    check_tensor("rand_like", input)
    dtype, device = dtype or input.dtype, input.device if device is None else device
    return rand(input.shape, generator=generator, dtype=dtype, device=device, requires_grad=requires_grad)


def randn_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``randn`` in the shape and dtype, and on the device, of another tensor.

    >>> import minigrad
    >>> minigrad.randn_like(minigrad.zeros(2, 3)).shape
    (2, 3)
    """
    check_tensor("randn_like", input)
    dtype, device = dtype or input.dtype, input.device if device is None else device
    return randn(input.shape, generator=generator, dtype=dtype, device=device, requires_grad=requires_grad)


def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``randint`` in the shape and dtype, and on the device, of another tensor.

    >>> import minigrad
    >>> minigrad.randint_like(minigrad.zeros(2, 3), 5).shape
    (2, 3)
    """
    check_tensor("randint_like", input)
    low, high = (0, low) if high is None else (low, high)
    dtype, device = dtype or input.dtype, input.device if device is None else device
    return randint(low, high, input.shape, generator=generator, dtype=dtype, device=device, requires_grad=requires_grad)


def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers drawn from normal distributions: ``mean + std * randn``, with no gradient to either.

    Args:
        mean: a number, or a tensor with a mean for each element.
        std: a number, or a tensor with a standard deviation for each element; tensors broadcast.
        size: the sizes, if both are numbers.
        generator: where the numbers come from (default: the device's default generator).
        dtype: a floating dtype, if both are numbers (default: the default float dtype).
        device: where to put it, if both are numbers.
        requires_grad: whether the gradient with respect to it is wanted.

    Raises:
        ValueError: if a standard deviation is negative or nan (of a tensor, where the device lets the host see it without
            waiting); TypeError if both are numbers and no size is given, or one is a tensor and a size is.

    >>> import minigrad
    >>> minigrad.normal(minigrad.tensor([0.0, 100.0]), 0.1).round()[1] > 90
    tensor(True)
    """
    tensors = [value for value in (mean, std) if isinstance(value, Tensor)]
    if bool(tensors) == (size is not None):
        raise TypeError("normal: expected a size if and only if mean and std are numbers")
    mean, std = (v.detach() if isinstance(v, Tensor) else as_number("normal", "mean or std", v) for v in (mean, std))
    least, _ = bounds_of(std) if isinstance(std, Tensor) else (std, std)
    if not least >= 0:
        raise ValueError(f"normal: expected std of at least 0, got {least}")
    if tensors:
        place = mean + std  # for its shape, dtype and device
        size, dtype, device = place.shape, place.dtype, place.device
    drawn = randn(as_sizes("normal", (size,)), generator=generator, dtype=dtype, device=device)
    return (drawn * std + mean).requires_grad_(requires_grad)


def bernoulli(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """Ones and zeros: an element is 1 with the probability that the input's element gives. It has no gradient.

    Args:
        input: a floating tensor of probabilities from 0 to 1.
        generator: where the numbers come from (default: the device's default generator).

    Raises:
        TypeError: if the input is not floating; ValueError if a probability is out of range (where the device lets the host
            see it without waiting).

    >>> import minigrad
    >>> minigrad.bernoulli(minigrad.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    check_tensor("bernoulli", input)
    if input.dtype not in FLOATING:
        raise TypeError(f"bernoulli: expected a floating dtype, got {input.dtype}")
    check_probabilities("bernoulli", input)
    drawn = Source("bernoulli", generator, input.device).draw("random_uniform", input.shape, compared_in(input.dtype))
    return wrap(backend_of(input.array).xp.asarray(drawn < input.array, dtype=input.dtype))


def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None) -> Tensor:
    """Indices drawn with probabilities that are proportional to weights.

    Without replacement the weights divided by exponential variates are sorted (Efraimidis and Spirakis 2006, Weighted random
    sampling with a reservoir).

    Args:
        input: floating weights of at least 0, of shape (K) or (N, K); every row has one above 0.
        num_samples: how many indices to draw from each row.
        replacement: whether an index may be drawn twice.
        generator: where the numbers come from (default: the device's default generator).

    Returns:
        An int64 tensor of shape (num_samples) or (N, num_samples).

    Raises:
        ValueError: if the shape, the number of samples or a weight does not fit; TypeError if the weights are not floating.

    >>> import minigrad
    >>> minigrad.multinomial(minigrad.tensor([0.0, 3.0, 0.0]), 2, replacement=True)
    tensor([1, 1])
    """
    check_tensor("multinomial", input)
    count = as_integer("multinomial", "num_samples", num_samples)
    _check_weights(input, count, replacement)
    source, backend = Source("multinomial", generator, input.device), backend_of(input.array)
    xp = backend.xp
    weights = input.array.reshape(-1, input.shape[-1]).astype(float64)
    rows, columns = weights.shape
    if replacement:
        reached = xp.cumsum(weights, axis=1)
        reached = reached / reached[:, -1:] + xp.arange(rows).reshape(rows, 1)  # row r goes from r to r + 1
        drawn = source.draw("random_uniform", (rows, count), float64) + xp.arange(rows).reshape(rows, 1)
        found = xp.searchsorted(reached.reshape(-1), drawn.reshape(-1), side="right").reshape(rows, count)
        found = found - columns * xp.arange(rows).reshape(rows, 1)
    else:
        uniform = source.draw("random_uniform", (rows, columns), float64)
        positive = weights > 0
        with backend.quiet():
            keys = xp.where(positive, xp.log1p(-uniform) / xp.where(positive, weights, 1.0), -inf)
        found = xp.argsort(keys, axis=1)[:, ::-1][:, :count]
    return wrap(xp.array(found.reshape(*input.shape[:-1], count), dtype=int64, copy=True, order="C"))


def _check_weights(input: Tensor, count: int, replacement: bool) -> None:
    if input.dtype not in FLOATING:
        raise TypeError(f"multinomial: expected floating weights, got {input.dtype}")
    if input.ndim not in (1, 2) or input.shape[-1] == 0:
        raise ValueError(f"multinomial: expected weights of shape (K) or (N, K), got {input.shape}")
    if count < 1 or (count > input.shape[-1] and not replacement):
        raise ValueError(
            f"multinomial: expected a positive num_samples, at most {input.shape[-1]} without replacement, got {count}"
        )
    xp = backend_of(input.array).xp
    smallest, largest = xp.min(input.array).item(), xp.max(input.array).item()
    fewest = xp.min(xp.count_nonzero(input.array, axis=-1)).item()
    if not (smallest >= 0 and largest < inf):
        raise ValueError(f"multinomial: expected finite weights of at least 0, got some from {smallest} to {largest}")
    if fewest < (1 if replacement else count):
        raise ValueError(f"multinomial: expected as many weights above 0 in each row as are drawn, got {fewest}")


def bounds_of(x: Tensor) -> tuple[float, float]:
    """The smallest and the largest element; zeros where there is none, or the host would have to wait to know."""
    return (backend_of(x.array).index_bounds(x.array) if x.array.size else None) or (0, 0)


def check_probabilities(name: str, p: Tensor) -> None:
    """Raise ValueError if a tensor has elements that are no probabilities, where that is cheap to know."""
    least, most = bounds_of(p)
    if not 0 <= least <= most <= 1:
        raise ValueError(f"{name}: expected probabilities from 0 to 1, got values from {least} to {most}")


def compared_in(dtype: Any) -> Any:
    """The dtype to draw in when the draw is compared with a probability."""
    return float64 if dtype == float64 else float32
