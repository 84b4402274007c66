"""MetaArray: the shape, the dtype and the strides of an array, without its values.

Three designs were weighed. NumPy arrays of one element, stretched with strides of zero, make NumPy's own functions do all shape
arithmetic; but nothing tells a view from a copy, or channels-last memory from any other, so that they do not say what a
network keeps for backward, and what reads them reads numbers that mean nothing. NumPy arrays with true strides over memory
that is reserved and never touched know all that, but a read is a crash or gigabytes, and systems limit what they reserve. So a
class of its own holds the description, and computes strides as NumPy would (strides.py).
"""

from __future__ import annotations

from functools import cache
from math import prod
from typing import Any, NoReturn

import numpy as np

from ...dtypes import REDUCED
from .field import ReceptiveField, union
from .strides import Shape, broadcast, contiguous, copied_order, in_order, is_contiguous, memory_order, resolved, seen_as

NO_VALUES = "a tensor on the meta device has a shape and a dtype but no values"


class Flags:
    """How an array lies in memory, as NumPy's ``flags`` tell it."""

    __slots__ = ("_array",)

    def __init__(self, array: MetaArray):
        self._array = array

    @property
    def c_contiguous(self) -> bool:
        """Whether the elements lie in the order of their indices."""
        return is_contiguous(self._array.shape, self._array.strides, self._array.itemsize)


class MetaArray:
    """An array without values.

    Args:
        shape: its sizes.
        dtype: its dtype, NumPy's.
        strides: in bytes; contiguous if left out.
        source: an array whose memory it shows.
    """

    __slots__ = ("__weakref__", "base", "dtype", "field", "saved_by", "shape", "strides")
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    shape: Shape
    dtype: np.dtype
    strides: Shape
    base: MetaArray | None
    """The array whose memory this one shows, or None."""
    field: ReceptiveField | None
    """What of the image the elements depend on; None if on nothing."""
    saved_by: Any
    """For ``minigrad.summary``: who keeps the memory for backward."""

    def __init__(self, shape: Shape, dtype: Any, strides: Shape | None = None, source: MetaArray | None = None):
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.strides = contiguous(shape, self.dtype.itemsize) if strides is None else strides
        self.base = self.field = self.saved_by = None
        if source is not None:
            self.base = source if source.base is None else source.base
            self.field = source.field

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize

    @property
    def flags(self) -> Flags:
        return Flags(self)

    @property
    def T(self) -> MetaArray:
        return self.transpose()

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len: expected at least one dimension, got a 0-d array")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"MetaArray(shape={self.shape}, dtype={self.dtype})"

    # --- views and copies ----------------------------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> MetaArray:
        """The same elements under another shape: a view where NumPy makes one, else a copy."""
        target = resolved(self.size, shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape)
        strides = seen_as(self.shape, self.strides, target)
        if strides is not None:
            return MetaArray(target, self.dtype, strides, self)
        return like(self, target, contiguous(target, self.itemsize))

    def transpose(self, *axes: Any) -> MetaArray:
        """A view with the dims in another order; reversed, if none is given."""
        order = axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes
        order = tuple(axis % self.ndim for axis in order) or tuple(reversed(range(self.ndim)))
        if sorted(order) != list(range(self.ndim)):
            raise ValueError(f"transpose: expected every dim of {self.shape} once, got {axes}")
        return MetaArray(tuple(self.shape[i] for i in order), self.dtype, tuple(self.strides[i] for i in order), self)

    def astype(self, dtype: Any, copy: bool = True) -> MetaArray:
        """The array in another dtype, in the same memory order."""
        return self if self.dtype == dtype and not copy else like(self, dtype=dtype)

    def copy(self) -> MetaArray:
        """A copy whose elements lie in the order of their indices."""
        return like(self, strides=contiguous(self.shape, self.itemsize))

    def __getitem__(self, index: Any) -> MetaArray:
        return indexed(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        place = indexed(self, index)
        if isinstance(value, MetaArray):
            shape = value.shape[max(value.ndim - place.ndim, 0) :]
            if prod(value.shape) != prod(shape) or broadcast([place.shape, shape]) != place.shape:
                raise ValueError(f"expected a value that broadcasts to {place.shape}, got {value.shape}")
            reached(self, value)

    # --- what it cannot do ---------------------------------------------------------------------------------------------------

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(f"{NO_VALUES}: what is asked for needs its values")

    item = tolist = _refuse
    __array__ = __array_function__ = __dlpack__ = __dlpack_device__ = _refuse
    __bool__ = __float__ = __int__ = __index__ = __contains__ = __iter__ = _refuse


def like(array: MetaArray, shape: Shape | None = None, strides: Shape | None = None, dtype: Any = None) -> MetaArray:
    """A new array that depends on what another one does, of its shape, dtype and memory order where nothing else is given."""
    shape = array.shape if shape is None else shape
    dtype = array.dtype if dtype is None else np.dtype(dtype)
    if strides is None and len(shape) == array.ndim and not array.flags.c_contiguous:
        strides = in_order(shape, copied_order(array.strides), dtype.itemsize)
    result = MetaArray(shape, dtype, strides)
    result.field = array.field
    return result


def reached(target: MetaArray, *values: Any) -> None:
    """Note that an array was written to, or computed, from others: it depends on what they do."""
    fields = [value.field for value in values if isinstance(value, MetaArray) and value.field is not None]
    if fields:
        target.field = union([target.field, *fields])
        if target.base is not None:
            target.base.field = union([target.base.field, target.field])


def elementwise(ufunc: Any, *operands: Any, out: Any = None) -> Any:
    """What a function of NumPy that works element by element returns for arrays and numbers: an array, or several.

    Raises:
        ValueError: if the shapes do not broadcast; TypeError if the function, or ``out``, does not take the dtypes.
    """
    arrays = [operand for operand in operands if isinstance(operand, MetaArray)]
    dtypes = result_dtypes(ufunc, *map(kind_of, operands))
    if out is not None:
        shape = broadcast([array.shape for array in arrays]) if arrays else ()
        if broadcast([shape, out.shape]) != out.shape or not np.can_cast(dtypes[0], out.dtype, "same_kind"):
            raise ValueError(f"{ufunc.__name__}: expected out for {dtypes[0]} of {shape}, got {out.dtype} of {out.shape}")
        reached(out, *arrays)
        return out
    results = [from_broadcast(arrays, result_dtype) for result_dtype in dtypes]
    return results[0] if len(results) == 1 else tuple(results)


def from_broadcast(arrays: list[MetaArray], dtype: Any) -> MetaArray:
    """A new array computed from arrays that broadcast, in the memory order that NumPy gives it."""
    shape = broadcast([array.shape for array in arrays]) if arrays else ()
    dtype = np.dtype(dtype)
    strides = None
    if not all(array.ndim == len(shape) and array.flags.c_contiguous for array in arrays):
        order = memory_order(len(shape), [(array.shape, array.strides) for array in arrays])
        strides = in_order(shape, order, dtype.itemsize)
    result = MetaArray(shape, dtype, strides)
    reached(result, *arrays)
    return result


def kind_of(operand: Any) -> Any:
    """What NumPy's promotion sees of an operand: a dtype, or the type of a Python number, which is weak."""
    if isinstance(operand, (MetaArray, np.generic)):
        return operand.dtype
    kind = type(operand)
    if kind in (int, float):
        return kind
    if kind is bool:
        return np.dtype(bool)
    raise TypeError(f"expected an array of the meta device or a number, got {kind.__name__}")


@cache
def result_dtypes(ufunc: np.ufunc, *kinds: Any) -> tuple[np.dtype, ...]:
    if all(kind in (int, float) for kind in kinds):
        kinds = tuple(map(np.dtype, kinds))
    reduced = next((kind for kind in kinds if kind in REDUCED), None)
    if reduced is not None:  # beside a number it keeps its dtype, which NumPy would not do with bfloat16
        kinds = tuple(reduced if kind in (int, float) else kind for kind in kinds)
    return ufunc.resolve_dtypes((*kinds, *(None,) * ufunc.nout))[ufunc.nin :]


def _operator(ufunc: np.ufunc, reflected: bool = False, in_place: bool = False) -> Any:
    def operate(self: MetaArray, *others: Any) -> Any:
        if others and not isinstance(others[0], (MetaArray, np.generic, bool, int, float)):
            return NotImplemented
        if in_place:
            return elementwise(ufunc, self, *others, out=self)
        return elementwise(ufunc, *others, self) if reflected else elementwise(ufunc, self, *others)

    return operate


_BINARY: dict[str, np.ufunc] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.true_divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "pow": np.power,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "lshift": np.left_shift,
    "rshift": np.right_shift,
}
_OTHERS: dict[str, np.ufunc] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "neg": np.negative,
    "pos": np.positive,
    "abs": np.absolute,
    "invert": np.invert,
}
for _name, _ufunc in _BINARY.items():
    setattr(MetaArray, f"__{_name}__", _operator(_ufunc))
    setattr(MetaArray, f"__r{_name}__", _operator(_ufunc, reflected=True))
    setattr(MetaArray, f"__i{_name}__", _operator(_ufunc, in_place=True))
for _name, _ufunc in _OTHERS.items():
    setattr(MetaArray, f"__{_name}__", _operator(_ufunc))

from .indexing import indexed  # noqa: E402
