"""A third backend, made of one class and one call of ``register``, whose arrays refuse to become NumPy arrays.

It computes with NumPy, but behind a wall as high as a GPU's: an array of it is no argument for a NumPy function or operator,
has no truth value, cannot be iterated over, and its ``xp`` has only functions that CuPy has too. What runs on it never leaks
NumPy into device code. A function that an operation needs may be added to the lists below if CuPy has it, with the same
signature.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np

from minigrad.backends import register, unregister
from minigrad.backends.base import Backend
from minigrad.backends.device import Device


class StrictArray:
    """An array that only its own namespace and operators can compute with."""

    __slots__ = ("_hidden", "base")
    __array_ufunc__ = None
    __hash__ = None

    def __init__(self, hidden, source=None):
        """An array over NumPy's ``hidden``, which may share the memory of the StrictArray ``source``."""
        self._hidden = hidden
        self.base = None
        if source is not None and hidden.base is not None and np.may_share_memory(hidden, source._hidden):
            self.base = source if source.base is None else source.base

    shape = property(lambda self: self._hidden.shape)
    dtype = property(lambda self: self._hidden.dtype)
    strides = property(lambda self: self._hidden.strides)
    flags = property(lambda self: self._hidden.flags)
    size = property(lambda self: self._hidden.size)
    ndim = property(lambda self: self._hidden.ndim)
    itemsize = property(lambda self: self._hidden.itemsize)
    nbytes = property(lambda self: self._hidden.nbytes)
    T = property(lambda self: type(self)(self._hidden.T, self))

    def reshape(self, *shape):
        return type(self)(self._hidden.reshape(*shape), self)

    def astype(self, dtype, copy=True):
        result = self._hidden.astype(dtype, copy=copy)
        return self if result is self._hidden else type(self)(result)

    def transpose(self, *axes):
        return type(self)(self._hidden.transpose(*axes), self)

    def copy(self):
        return type(self)(self._hidden.copy())

    def item(self):
        return self._hidden.item()

    def __len__(self):
        return len(self._hidden)

    def __getitem__(self, index):
        found = self._hidden[_hidden_index(index)]
        if isinstance(found, np.generic):  # CuPy returns 0-d views here
            index = index if isinstance(index, tuple) else (index,)
            found = self._hidden[(*_hidden_index(index), ...)]
        return type(self)(found, self)

    def __setitem__(self, index, value):
        self._hidden[_hidden_index(index)] = _hidden(value)

    def __repr__(self):
        return f"StrictArray(shape={self.shape}, dtype={self.dtype})"

    def _refuse(self, *args, **kwargs):
        raise TypeError("a StrictArray does not leave its backend but by Backend.to_host or item()")

    __array__ = __array_function__ = __iter__ = __bool__ = __float__ = __int__ = __index__ = __contains__ = _refuse


def _hidden(value):
    """A StrictArray's NumPy array; numbers as they are."""
    if isinstance(value, StrictArray):
        return value._hidden
    if isinstance(value, np.ndarray):
        raise TypeError(f"a bare numpy.ndarray of shape {value.shape} in device code")
    if isinstance(value, (tuple, list)):
        return type(value)(_hidden(v) for v in value)
    return value


def _hidden_index(index):
    if isinstance(index, tuple):
        return tuple(_hidden_index(i) for i in index)
    if isinstance(index, list):
        raise TypeError("a StrictArray is indexed by numbers, slices and StrictArrays, not by a list")
    return _hidden(index)


def _strict(value, array_type, source=None):
    """NumPy's results as CuPy would return them: never a NumPy scalar."""
    if isinstance(value, (np.ndarray, np.generic)):
        return array_type(np.asarray(value), source)
    if isinstance(value, (tuple, list)):
        values = [_strict(v, array_type, source) for v in value]
        return type(value)(*values) if hasattr(value, "_fields") else type(value)(values)
    return value


def _operator(name):
    def operate(self, *others):
        function = getattr(self._hidden, name)
        result = function(*map(_hidden, others))
        if result is NotImplemented:
            return result
        return self if result is self._hidden else _strict(result, type(self))

    operate.__name__ = name
    return operate


BINARY = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift"
OTHERS = "eq ne lt le gt ge neg pos abs invert"
for _name in [f"{kind}{name}" for name in BINARY.split() for kind in ("", "r", "i")] + OTHERS.split():
    setattr(StrictArray, f"__{_name}__", _operator(f"__{_name}__"))


class _Function:
    """A NumPy function between StrictArrays."""

    # What CuPy's functions do not take: any of them, and some.
    REFUSED = {"where", "initial", "like", "device", "subok", "correction", "mean", "stable", "sorted", "sparse", "ndmax"}
    REFUSED_BY = {
        "clip": {"min", "max"},
        "count_nonzero": {"keepdims"},
        "sort": {"order"},
        "argsort": {"order"},
        "partition": {"kind", "order"},
        "argpartition": {"kind", "order"},
        "take": {"mode"},
    }
    # All others take an array, or a sequence of arrays, and no number in its place.
    FROM_NUMBERS = set(
        [
            "empty",
            "zeros",
            "ones",
            "full",
            "arange",
            "linspace",
            "eye",
            "tri",
            "array",
            "asarray",
            "indices",
            "unravel_index",
            "ndim",
            "shape",
            "size",
        ]
    )

    def __init__(self, function, array_type):
        self._function = function
        self._array_type = array_type
        self._refused = self.REFUSED | self.REFUSED_BY.get(function.__name__, set())

    def __call__(self, *args, **kwargs):
        refused = self._refused & kwargs.keys()
        if refused:
            raise TypeError(f"xp.{self._function.__name__}: CuPy does not take {', '.join(refused)}=")
        self._check_first(args)
        result = self._function(*map(_hidden, args), **{name: _hidden(value) for name, value in kwargs.items()})
        for given in (*args, *kwargs.values()):
            if isinstance(given, StrictArray) and given._hidden is result:  # out=, or nothing to do
                return given
        if isinstance(result, bool):  # allclose, array_equal: an array on the device
            return self._array_type(np.asarray(result))
        return _strict(result, self._array_type, args[0] if args and isinstance(args[0], StrictArray) else None)

    def _check_first(self, args):
        name = self._function.__name__
        if name not in self.FROM_NUMBERS and args and not isinstance(args[0], (StrictArray, tuple, list, str)):
            raise TypeError(f"xp.{name}: CuPy takes an array as the first argument, got {type(args[0]).__name__}")


class _Ufunc(_Function):
    """A NumPy ufunc, with those of its methods that CuPy has."""

    ADDED_AT = {"int32", "int64", "uint32", "uint64", "float16", "float32", "float64"}

    def _check_first(self, args):
        pass  # numbers will do

    def at(self, array, index, value):
        if self._function not in (np.add, np.subtract, np.maximum, np.minimum):
            raise TypeError(f"xp.{self._function.__name__}.at: CuPy has none")
        if str(array.dtype) not in self.ADDED_AT:
            raise TypeError(f"xp.{self._function.__name__}.at: CuPy has none for {array.dtype}")
        self._function.at(_hidden(array), _hidden_index(index), _hidden(value))


class _Names:
    """A namespace with the listed functions of a NumPy module."""

    def __init__(self, module, names, array_type):
        for name in names.split():
            found = getattr(module, name)
            setattr(self, name, (_Ufunc if isinstance(found, np.ufunc) else _Function)(found, array_type))

    def __getattr__(self, name):
        raise AttributeError(
            f"xp.{name} is not in the strict backend's list; if CuPy has it, add it in tests/strict_backend.py"
            if not name.startswith("__")
            else name
        )


UFUNCS = """
    add subtract multiply divide true_divide floor_divide negative positive power remainder mod fmod divmod
    absolute abs fabs rint sign exp exp2 log log2 log10 expm1 log1p sqrt square cbrt reciprocal
    sin cos tan arcsin arccos arctan arctan2 hypot sinh cosh tanh arcsinh arccosh arctanh logaddexp logaddexp2
    bitwise_and bitwise_or bitwise_xor invert left_shift right_shift
    greater greater_equal less less_equal equal not_equal logical_and logical_or logical_xor logical_not
    maximum minimum fmax fmin isfinite isinf isnan signbit copysign nextafter floor ceil trunc modf frexp ldexp
"""
FUNCTIONS = """
    empty zeros ones full empty_like zeros_like ones_like full_like arange linspace eye tri tril triu diag
    array asarray ascontiguousarray copy meshgrid indices copyto
    reshape ravel moveaxis swapaxes transpose broadcast_to broadcast_arrays expand_dims squeeze
    concatenate stack split array_split tile repeat flip roll rot90 pad
    take take_along_axis diagonal where nonzero argwhere flatnonzero unravel_index ravel_multi_index
    sum prod mean var std max min amax amin argmax argmin any all cumsum cumprod count_nonzero
    clip nan_to_num round around diff sort argsort partition argpartition unique searchsorted bincount
    dot matmul inner outer tensordot einsum vdot trace
    isclose allclose array_equal may_share_memory shares_memory ndim shape size
"""
CONSTANTS = "pi e inf nan newaxis"
TYPES = "dtype finfo iinfo bool_ uint8 int8 int16 int32 int64 float16 float32 float64"
LINALG = "norm inv solve det slogdet cholesky qr svd eigh pinv"


class Namespace(_Names):
    """``xp``: a whitelist."""

    def __init__(self, array_type=StrictArray):
        super().__init__(np, UFUNCS + FUNCTIONS, array_type)
        self.linalg = _Names(np.linalg, LINALG, array_type)
        self.lib = SimpleNamespace(stride_tricks=_Names(np.lib.stride_tricks, "as_strided", array_type))
        self.result_type = lambda *operands: np.result_type(*map(_hidden, operands))
        for name in (CONSTANTS + " " + TYPES).split():
            setattr(self, name, getattr(np, name))


class StrictBackend(Backend):
    """The backend of StrictArrays."""

    name = "strict"
    array_type = StrictArray
    xp = Namespace()

    def resolve(self, device):
        return Device(self.name)

    def device_of(self, array):
        return Device(self.name)

    def quiet(self):
        return np.errstate(all="ignore")

    def from_host(self, array):
        return StrictArray(array.copy())

    def to_host(self, array):
        return array._hidden.copy()

    def address(self, array):
        return array._hidden.__array_interface__["data"][0]


@contextmanager
def strict_backend() -> Iterator[StrictBackend]:
    """The backend, registered for the time of a ``with`` block."""
    backend = StrictBackend()
    register(backend)
    try:
        yield backend
    finally:
        unregister(backend.name)
