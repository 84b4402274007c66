"""How operations read their arguments: tensors, dims counted from either end, and sizes given one by one or as a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from operator import index
from typing import Any

from .. import dtypes
from .._tensor import Tensor


def check_tensor(name: str, value: Any) -> None:
    """Raise TypeError for anything but a Tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: expected a Tensor, got {described(value)}")


def described(value: Any) -> str:
    """What kind a value is of that is no Tensor, and if it is an array, how it becomes one."""
    kind = type(value)
    if not hasattr(value, "__dlpack__"):
        return kind.__name__
    library = kind.__module__.partition(".")[0]
    sharing = "from_numpy" if library == "numpy" else "from_dlpack"
    return f"{library}.{kind.__name__}; minigrad.tensor makes a Tensor of a copy, minigrad.{sharing} one that shares its memory"


def as_tensors(name: str, values: Any) -> tuple[Tensor, ...]:
    """A sequence of Tensors as a tuple; anything else raises TypeError."""
    if isinstance(values, Tensor) or not isinstance(values, Sequence):
        raise TypeError(f"{name}: expected a sequence of Tensors, got {type(values).__name__}")
    for value in values:
        check_tensor(name, value)
    return tuple(values)


def as_integer(name: str, what: str, value: Any) -> int:
    """The integer that a number, or a tensor with one integer, stands for."""
    if type(value) is int:
        return value
    if isinstance(value, bool):
        raise TypeError(f"{name}: expected an integer {what}, got {value}")
    try:
        return index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer {what}, got {type(value).__name__}") from None


def as_number(name: str, what: str, value: Any) -> Any:
    """A Python number; NumPy's scalars become one."""
    number = dtypes.as_number(value)
    if number is None:
        raise TypeError(f"{name}: expected a number for {what}, got {type(value).__name__}")
    return number


def fitting_number(name: str, number: Any, dtype: Any) -> Any:
    """The number as an element of a tensor; in an unsigned dtype a negative one stands, as in PyTorch, for that of its bits."""
    if dtypes.category(dtype) != 1:
        return number
    lowest, highest = dtypes.integer_range(dtype)
    if not (lowest or -highest) <= number <= highest:
        raise OverflowError(f"{name}: expected a number that fits into {dtype}, got {number}")
    return dtypes.wrap_number(int(number), dtype)


def as_integers(name: str, what: str, values: Any) -> tuple[int, ...]:
    """One integer, or a sequence of them, as a tuple."""
    if not isinstance(values, (list, tuple)):
        values = (values,)
    return tuple(as_integer(name, what, value) for value in values)


def unpacked(name: str, what: str, values: tuple[Any, ...]) -> tuple[int, ...]:
    """Integers given one by one (``x.reshape(2, 3)``) or as one sequence (``x.reshape((2, 3))``)."""
    return as_integers(name, what, values[0] if len(values) == 1 else values)


def as_optional_dtype(name: str, dtype: Any) -> Any:
    """The dtype that an argument names, or None."""
    if dtype is None:
        return None
    try:
        return dtypes.as_dtype(dtype)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None


def as_sizes(name: str, values: tuple[Any, ...], size: Any = None) -> tuple[int, ...]:
    """The sizes of a new tensor, given one by one or as one sequence, which may also be the keyword; none for a 0-d tensor."""
    if size is not None:
        if values:
            raise TypeError(f"{name}: expected sizes one by one or as size, got both")
        values = (size,)
    sizes = unpacked(name, "size", values) if values else ()
    if sizes and min(sizes) < 0:
        raise ValueError(f"{name}: expected sizes of at least 0, got {sizes}")
    return sizes


def as_dim(name: str, dim: Any, ndim: int) -> int:
    """A dim counted from the front. A 0-d tensor has, as in PyTorch, the dims 0 and -1."""
    dim = as_integer(name, "dim", dim)
    count = ndim or 1
    if not -count <= dim < count:
        raise IndexError(f"{name}: expected dim in [{-count}, {count - 1}], got {dim}")
    return dim % count


def as_dims(name: str, dims: Any, ndim: int) -> tuple[int, ...]:
    """One dim or several, each counted from the front and none twice."""
    found = tuple(as_dim(name, dim, ndim) for dim in as_integers(name, "dim", dims))
    if len(set(found)) != len(found):
        raise RuntimeError(f"{name}: expected every dim at most once, got {dims}")
    return found


def reduced_dims(name: str, dim: Any, ndim: int) -> tuple[int, ...] | None:
    """The dims that a reduction goes over; None for all of them, which ``dim=None`` and ``dim=()`` ask for."""
    if dim is None:
        return None
    dims = as_dims(name, dim, ndim)
    return dims if dims and ndim else None


def as_shape(name: str, sizes: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes with -1 replaced by what is left of the elements of ``shape``."""
    count = prod(shape)
    if -1 in sizes:
        known = -prod(sizes)
        if sizes.count(-1) == 1 and min(sizes) == -1 and known and count % known == 0:
            return tuple(count // known if n == -1 else n for n in sizes)
    elif prod(sizes) == count and (not sizes or min(sizes) >= 0):
        return sizes
    raise RuntimeError(f"{name}: cannot view {count} elements of shape {shape} as {sizes}")
