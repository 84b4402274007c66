"""Making tensors that are filled by a rule: constants, ranges, the identity."""

from __future__ import annotations

from math import ceil, isfinite
from typing import Any

from .._tensor import Tensor
from ..autograd.operation import wrap
from ..backends import backend_for, backend_of
from ..dtypes import REDUCED, float64, get_default_dtype, int64, scalar_dtype
from .arguments import as_integer, as_number, as_optional_dtype, as_sizes, check_tensor, fitting_number

__all__ = [
    "arange",
    "empty",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "linspace",
    "logspace",
    "ones",
    "ones_like",
    "zeros",
    "zeros_like",
]


def _made(make: Any, device: Any, requires_grad: bool) -> Tensor:
    """A tensor over ``make(xp)``, which is called where new arrays are made on the device."""
    backend, place = backend_for(device)
    with backend.on(place):
        result = wrap(make(backend.xp))
    return result.requires_grad_() if requires_grad else result


def zeros(*sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros.

    Args:
        sizes: the sizes, one by one or as a sequence; none for a 0-d tensor.
        size: the same by keyword.
        dtype: the element type (default: the default float dtype).
        device: where to put it (default: the CPU).
        requires_grad: whether the gradient with respect to it is wanted.

    Raises:
        ValueError: if a size is negative.

    >>> import minigrad
    >>> minigrad.zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    sizes, dtype = as_sizes("zeros", sizes, size), as_optional_dtype("zeros", dtype) or get_default_dtype()
    return _made(lambda xp: xp.zeros(sizes, dtype), device, requires_grad)


def ones(*sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones; the arguments are as for ``zeros``.

    >>> import minigrad
    >>> minigrad.ones((2,), dtype=minigrad.int64)
    tensor([1, 1])
    """
    sizes, dtype = as_sizes("ones", sizes, size), as_optional_dtype("ones", dtype) or get_default_dtype()
    return _made(lambda xp: xp.ones(sizes, dtype), device, requires_grad)


def empty(*sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor whose memory holds whatever was there before; the arguments are as for ``zeros``.

    >>> import minigrad
    >>> minigrad.empty(2, 3).shape
    (2, 3)
    """
    sizes, dtype = as_sizes("empty", sizes, size), as_optional_dtype("empty", dtype) or get_default_dtype()
    return _made(lambda xp: xp.empty(sizes, dtype), device, requires_grad)


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor in which every element is ``fill_value``.

    Args:
        size: one size or a sequence of them.
        fill_value: a number.
        dtype: the element type (default: that of the number: the default float dtype, int64 or bool).
        device: where to put it (default: the CPU).
        requires_grad: whether the gradient with respect to it is wanted.

    Raises:
        OverflowError: if the number does not fit into the dtype.

    >>> import minigrad
    >>> minigrad.full((2, 2), 7)
    tensor([[7, 7],
            [7, 7]])
    """
    sizes, value = as_sizes("full", (size,)), as_number("full", "fill_value", fill_value)
    dtype = as_optional_dtype("full", dtype) or scalar_dtype(value)
    value = float(value) if dtype in REDUCED else fitting_number("full", value, dtype)  # ml_dtypes takes only 64 bits
    return _made(lambda xp: xp.full(sizes, value, dtype), device, requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The identity matrix.

    Args:
        n: the number of rows.
        m: the number of columns (default: ``n``).
        dtype: the element type (default: the default float dtype).
        device: where to put it (default: the CPU).
        requires_grad: whether the gradient with respect to it is wanted.

    >>> import minigrad
    >>> minigrad.eye(2, 3)
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    rows, columns = as_sizes("eye", (n, n if m is None else m))
    dtype = as_optional_dtype("eye", dtype) or get_default_dtype()
    return _made(lambda xp: xp.eye(rows, columns, dtype=dtype), device, requires_grad)


def arange(
    start: Any = None,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The numbers ``start``, ``start + step``, ... below ``end`` (above it, if ``step`` is negative).

    Args:
        start: the first number (default: 0); ``arange(end)`` starts at 0, too.
        end: where to stop; it is not reached itself.
        step: the distance, not 0.
        dtype: the element type (default: int64 if all three are integers, else the default float dtype).
        device: where to put it (default: the CPU).
        requires_grad: whether the gradient with respect to it is wanted.

    Raises:
        ValueError: if ``step`` is 0 or leads away from ``end``, or a number is not finite.

    >>> import minigrad
    >>> minigrad.arange(3)
    tensor([0, 1, 2])
    >>> minigrad.arange(1, 2, 0.5)
    tensor([1. , 1.5])
    """
    start, end = (0, start) if end is None else (0 if start is None else start, end)
    given = start, end, step
    start, end, step = (as_number("arange", what, value) for what, value in zip(("start", "end", "step"), given))
    if any(isinstance(number, float) and not isfinite(number) for number in (start, end, step)):
        raise ValueError(f"arange: expected finite numbers, got {start}, {end}, {step}")
    if step == 0 or (end - start) / step < 0:
        raise ValueError(f"arange: expected a step other than 0 that leads from start to end, got {start}, {end}, {step}")
    integers = all(isinstance(number, int) for number in (start, end, step))
    count = -((start - end) // step) if integers else ceil((end - start) / step)
    dtype = as_optional_dtype("arange", dtype) or (int64 if integers else get_default_dtype())

    def make(xp: Any) -> Any:
        if integers:
            return xp.arange(start, start + count * step, step, dtype=int64).astype(dtype)
        return (xp.arange(count, dtype=float64) * step + start).astype(dtype)

    return _made(make, device, requires_grad)


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """``steps`` numbers at equal distances, from ``start`` to ``end`` inclusive.

    Args:
        start: the first number.
        end: the last number.
        steps: how many, at least 0.
        dtype: the element type (default: the default float dtype).
        device: where to put it (default: the CPU).
        requires_grad: whether the gradient with respect to it is wanted.

    >>> import minigrad
    >>> minigrad.linspace(0, 1, 5)
    tensor([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    first, last, count = _ends("linspace", start, end, steps)
    dtype = as_optional_dtype("linspace", dtype) or get_default_dtype()
    return _made(lambda xp: xp.linspace(first, last, count).astype(dtype), device, requires_grad)


def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``steps`` numbers at equal ratios, from ``base**start`` to ``base**end`` inclusive; the rest is as for ``linspace``.

    >>> import minigrad
    >>> minigrad.logspace(0, 3, 4)
    tensor([   1.,   10.,  100., 1000.])
    """
    first, last, count = _ends("logspace", start, end, steps)
    base, dtype = as_number("logspace", "base", base), as_optional_dtype("logspace", dtype) or get_default_dtype()
    return _made(lambda xp: xp.power(float(base), xp.linspace(first, last, count)).astype(dtype), device, requires_grad)


def _ends(name: str, start: Any, end: Any, steps: Any) -> tuple[float, float, int]:
    (count,) = as_sizes(name, (as_integer(name, "steps", steps),))
    return float(as_number(name, "start", start)), float(as_number(name, "end", end)), count


def _like(name: str, fill: str, input: Tensor, dtype: Any, device: Any, requires_grad: bool, *value: Any) -> Tensor:
    """A new tensor with the shape and, on the same device, the memory order of another one."""
    check_tensor(name, input)
    dtype = as_optional_dtype(name, dtype) or input.dtype
    source, place = input.array, input.device
    backend, target = (backend_of(source), place) if device is None else backend_for(device)
    with backend.on(target):
        if target == place:
            array = getattr(backend.xp, f"{fill}_like")(source, *value, dtype=dtype)
        else:
            array = getattr(backend.xp, fill)(source.shape, *value, dtype=dtype)
    return wrap(array).requires_grad_(requires_grad)


def zeros_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros in the shape and memory order of another tensor.

    Args:
        input: the tensor to be like.
        dtype: the element type (default: the input's).
        device: where to put it (default: the input's device).
        requires_grad: whether the gradient with respect to it is wanted.

    >>> import minigrad
    >>> minigrad.zeros_like(minigrad.tensor([1, 2]))
    tensor([0, 0])
    """
    return _like("zeros_like", "zeros", input, dtype, device, requires_grad)


def ones_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones in the shape and memory order of another tensor; the arguments are as for ``zeros_like``.

    >>> import minigrad
    >>> minigrad.ones_like(minigrad.tensor([2.0, 3.0]))
    tensor([1., 1.])
    """
    return _like("ones_like", "ones", input, dtype, device, requires_grad)


def empty_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Unset memory in the shape and memory order of another tensor; the arguments are as for ``zeros_like``.

    >>> import minigrad
    >>> minigrad.empty_like(minigrad.ones(2, 3)).shape
    (2, 3)
    """
    return _like("empty_like", "empty", input, dtype, device, requires_grad)


def full_like(input: Tensor, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """One number in the shape, memory order and dtype of another tensor; the arguments are as for ``zeros_like``.

    >>> import minigrad
    >>> minigrad.full_like(minigrad.tensor([1.0, 2.0]), 7)
    tensor([7., 7.])
    """
    check_tensor("full_like", input)
    value = as_number("full_like", "fill_value", fill_value)
    value = fitting_number("full_like", value, as_optional_dtype("full_like", dtype) or input.dtype)
    return _like("full_like", "full", input, dtype, device, requires_grad, value)
