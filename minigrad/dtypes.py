"""The element types, which are NumPy's own ``dtype`` objects, and PyTorch's rules for combining them.

NumPy's table already agrees with PyTorch for two integers or two floats. It differs where an integer meets a float
(PyTorch keeps the float's width), and PyTorch lets a 0-d tensor or a Python number change the kind but never the width.

bfloat16, the upper half of a float32, is no dtype of NumPy's. The package ml_dtypes adds it, for NumPy and CuPy alike; where
that is not installed there is no bfloat16. Weighed against 16-bit integers that a Tensor knows to be floats: those would need
no package, but every operation would have to know of them. NumPy does not count bfloat16 among its floats (its ``kind`` is
``'V'``), so ask ``FLOATING``; and beside a Python float it computes in float32, where operations are to keep the dtype.
"""

from __future__ import annotations

import builtins
from functools import cache
from typing import Any

import numpy as np

try:
    import ml_dtypes
except ImportError:
    ml_dtypes = None  # type: ignore[assignment]

float16 = half = np.dtype("float16")
float32 = float = np.dtype("float32")
float64 = double = np.dtype("float64")
uint8 = np.dtype("uint8")
int8 = np.dtype("int8")
int16 = short = np.dtype("int16")
int32 = int = np.dtype("int32")
int64 = long = np.dtype("int64")
bool = np.dtype("bool")

REDUCED: frozenset[np.dtype] = frozenset({float16})
"""The floats of two bytes, of which sums, products, statistics and activations are computed in float32 and then rounded."""
if ml_dtypes is not None:
    bfloat16 = np.dtype(ml_dtypes.bfloat16)
    REDUCED |= {bfloat16}
FLOATING: frozenset[np.dtype] = frozenset({*REDUCED, float32, float64})
SUPPORTED: dict[np.dtype, np.dtype] = {dtype: dtype for dtype in (*FLOATING, uint8, int8, int16, int32, int64, bool)}
"""All of them, each by what is equal to it: NumPy may make another object of bfloat16."""

_default = float32


def __getattr__(name: str) -> Any:
    if name == "bfloat16":
        raise AttributeError(f"minigrad.bfloat16: {_NEEDED}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_NEEDED = "expected ml_dtypes, from which NumPy has this dtype, to be installed; pip install 'minigrad[bfloat16]'"


def get_default_dtype() -> np.dtype:
    """The dtype of new floating tensors, and of what an integer operand becomes when it meets a Python float.

    >>> import minigrad
    >>> minigrad.get_default_dtype()
    dtype('float32')
    """
    return _default


def set_default_dtype(dtype: Any) -> None:
    """Change the dtype that new floating tensors get.

    Args:
        dtype: one of float16, bfloat16, float32, float64.

    Raises:
        TypeError: if ``dtype`` is not floating.

    >>> import minigrad
    >>> minigrad.set_default_dtype(minigrad.float64)
    >>> minigrad.ones(1).dtype
    dtype('float64')
    >>> minigrad.set_default_dtype(minigrad.float32)
    """
    global _default
    dtype = as_dtype(dtype)
    if dtype not in FLOATING:
        raise TypeError(f"set_default_dtype: expected a floating dtype, got {dtype}")
    _default = dtype


def as_dtype(dtype: Any) -> np.dtype:
    """The dtype meant by a dtype, its name, a NumPy scalar type, or Python's float, int or bool (as PyTorch reads them)."""
    if dtype is builtins.float:
        return _default
    try:
        found = SUPPORTED.get(np.dtype(dtype).newbyteorder("=")) if dtype is not None else None
    except TypeError:
        found = None
    if found is None:
        if dtype == "bfloat16":
            raise TypeError(f"bfloat16: {_NEEDED}")
        names = ", ".join(sorted(str(d) for d in SUPPORTED))
        raise TypeError(f"expected a dtype out of {names}, got {dtype!r}")
    return found


@cache
def promote_types(a: np.dtype, b: np.dtype) -> np.dtype:
    """The smallest dtype that both fit in, by PyTorch's rules: any float outranks any integer.

    >>> import minigrad
    >>> minigrad.promote_types(minigrad.int64, minigrad.float16)
    dtype('float16')
    """
    a, b = as_dtype(a), as_dtype(b)
    if (a in FLOATING) != (b in FLOATING):
        return a if a in FLOATING else b
    if a is not b and a in REDUCED and b in REDUCED:
        return float32
    return np.promote_types(a, b)


def accumulated_in(dtype: np.dtype) -> np.dtype:
    """The dtype that sums and computations of several steps are kept in: float32 for the floats of two bytes, else its own."""
    return float32 if dtype in REDUCED else dtype


class finfo:
    """The limits of a floating dtype, as Python numbers: ``bits``, ``eps``, ``max``, ``min``, ``resolution``, ``tiny``.

    ``tiny`` is also called ``smallest_normal``.

    Args:
        dtype: the default dtype if None.

    Raises:
        TypeError: if ``dtype`` is not floating.

    >>> import minigrad
    >>> minigrad.finfo(minigrad.float16).max
    65504.0
    """

    def __init__(self, dtype: Any = None):
        found = _default if dtype is None else as_dtype(dtype)
        if found not in FLOATING:
            raise TypeError(f"finfo: expected a floating dtype, got {found}; iinfo is for integers")
        limits = _limits(found)
        self.bits, self.dtype = builtins.int(limits.bits), found.name
        self.max, self.min, self.eps = (builtins.float(number) for number in (limits.max, limits.min, limits.eps))
        self.smallest_normal = self.tiny = builtins.float(limits.smallest_normal)
        self.resolution = 10.0**-limits.precision

    def __repr__(self) -> str:
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        return f"finfo({', '.join(f'{name}={getattr(self, name):g}' for name in names)}, dtype={self.dtype})"


class iinfo:
    """The limits of an integer dtype: ``bits``, ``max``, ``min``.

    Raises:
        TypeError: if ``dtype`` is no integer's.

    >>> import minigrad
    >>> minigrad.iinfo(minigrad.uint8)
    iinfo(min=0, max=255, dtype=uint8)
    """

    def __init__(self, dtype: Any):
        found = as_dtype(dtype)
        if category(found) != 1:
            raise TypeError(f"iinfo: expected an integer dtype, got {found}; finfo is for floats")
        self.bits, self.dtype = 8 * found.itemsize, found.name
        self.min, self.max = integer_range(found)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


def largest(dtype: np.dtype) -> builtins.float:
    """The largest finite number of a floating dtype."""
    return builtins.float(_limits(dtype).max)


def _limits(dtype: np.dtype) -> Any:
    return (np if dtype.kind == "f" else ml_dtypes).finfo(dtype)


def category(dtype: np.dtype) -> builtins.int:
    """0 for bool, 1 for an integer, 2 for a float: PyTorch promotes between kinds first, then within one."""
    return 2 if dtype in FLOATING else 0 if dtype == bool else 1


def as_number(value: Any) -> Any:
    """The Python number that a Python or NumPy scalar is; None for anything else, complex numbers included."""
    if isinstance(value, np.generic):
        value = value.item()
    for kind in (builtins.bool, builtins.int, builtins.float):
        if isinstance(value, kind):
            return kind(value)
    return None


def scalar_dtype(value: Any) -> np.dtype:
    """The dtype that a number stands for when no tensor of its kind is around."""
    number = as_number(value)
    if number is None:
        raise TypeError(f"result_type: expected a Tensor or a real number, got {type(value).__name__}")
    if number is True or number is False:
        return bool
    return int64 if isinstance(number, builtins.int) else _default


def integer_range(dtype: np.dtype) -> tuple[builtins.int, builtins.int]:
    """The smallest and the largest number of an integer dtype."""
    bits = 8 * dtype.itemsize
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if dtype.kind == "i" else (0, (1 << bits) - 1)


def wrap_number(value: builtins.int, dtype: np.dtype) -> builtins.int:
    """The integer modulo the range of an integer dtype: 300 is 44 in uint8, as in PyTorch."""
    lowest, highest = integer_range(dtype)
    return (value - lowest) % (highest - lowest + 1) + lowest


def result_dtype(dimensioned: list[np.dtype], zero_dim: list[np.dtype], numbers: list[np.dtype]) -> np.dtype:
    """PyTorch's three ranks: a lower rank (0-d tensor, Python number) matters only if it is of a higher kind."""
    result = None
    for rank in (dimensioned, zero_dim, numbers):
        for dtype in rank[1:]:
            rank[0] = promote_types(rank[0], dtype)
        if rank and (result is None or category(rank[0]) > category(result)):
            result = rank[0]
    if result is None:
        raise ValueError("result_type: expected at least one tensor or number, got none")
    return result
