"""Making tensors from data: numbers, arrays, other tensors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from .._tensor import Tensor
from ..autograd.operation import wrap
from ..backends import Device, backend_for, backend_of, by_array_type
from ..dtypes import REDUCED, SUPPORTED, float64, get_default_dtype, promote_types, scalar_dtype
from .arguments import as_optional_dtype

__all__ = ["as_tensor", "from_dlpack", "from_numpy", "tensor"]

_PYTHON_NUMBERS = {float, int, bool}
_ARRAY_PROTOCOLS = "__array__", "__array_interface__"  # the second is that of Pillow's images
_DLPACK_DEVICES = {1: "cpu", 2: "cuda"}


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor with a copy of the data, and no history.

    Args:
        data: a number, nested sequences of numbers, an array of any library that speaks DLPack, or a Tensor.
        dtype: the element type. If left out: the default float dtype for Python floats, int64 for ints, bool for bools; arrays
            and Tensors keep theirs.
        device: where to put it; if left out, on the device of a ``with`` block around the call, else where a Tensor or an array
            is already, else on the CPU.
        requires_grad: whether the gradient with respect to it is wanted.

    Returns:
        A Tensor with memory of its own.

    Raises:
        ValueError: if nested sequences differ in length; TypeError if something in them is no number, or an array's dtype is
            not supported.

    >>> import minigrad
    >>> minigrad.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    >>> minigrad.tensor(0.5, dtype=minigrad.float64)
    tensor(0.5, dtype=float64)
    """
    dtype = as_optional_dtype("tensor", dtype)
    source, is_new = _as_source("tensor", data, dtype)
    result = source.to(dtype=dtype, device=Device.entered() if device is None else device)
    return (result.clone() if result is source and not is_new else result).requires_grad_(requires_grad)


def as_tensor(data: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """The data as a tensor, without a copy where it has the dtype and the device already.

    Args:
        data: as for ``tensor``; a Tensor keeps its history.
        dtype: the element type, as for ``tensor``.
        device: where to put it, as for ``tensor``.

    Raises:
        ValueError, TypeError: as ``tensor``.

    >>> import minigrad
    >>> x = minigrad.ones(2)
    >>> minigrad.as_tensor(x) is x
    True
    """
    dtype = as_optional_dtype("as_tensor", dtype)
    source = data if isinstance(data, Tensor) else _as_source("as_tensor", data, dtype)[0]
    return source.to(dtype=dtype, device=Device.entered() if device is None else device)


def from_numpy(array: Any) -> Tensor:
    """A tensor over a NumPy array's own memory: a change of one is a change of the other.

    Args:
        array: a NumPy array.

    Raises:
        TypeError: if it is no NumPy array, or of a dtype that tensors do not have.

    >>> import minigrad, numpy
    >>> array = numpy.zeros(2)
    >>> minigrad.from_numpy(array).add_(1)
    tensor([1., 1.], dtype=float64)
    >>> array
    array([1., 1.])
    """
    backend, _ = backend_for("cpu")
    if not issubclass(type(array), backend.array_type):
        raise TypeError(f"from_numpy: expected a numpy.ndarray, got {type(array).__name__}")
    _check_dtype("from_numpy", array.dtype)
    return wrap(backend.xp.asarray(array))


def from_dlpack(source: Any) -> Tensor:
    """A tensor over the memory of another library's array, handed over by the DLPack protocol.

    Args:
        source: an object with ``__dlpack__`` and ``__dlpack_device__``: an array of PyTorch, JAX, CuPy, NumPy, ...

    Raises:
        TypeError: if the object does not speak DLPack, or its dtype is not supported; ValueError if its device is not.

    >>> import minigrad
    >>> x = minigrad.zeros(2)
    >>> minigrad.from_dlpack(x).add_(1)
    tensor([1., 1.])
    >>> x
    tensor([1., 1.])
    """
    if not hasattr(source, "__dlpack__") or not hasattr(source, "__dlpack_device__"):
        raise TypeError(f"from_dlpack: expected an object with __dlpack__, got {type(source).__name__}")
    kind, number = source.__dlpack_device__()
    if kind not in _DLPACK_DEVICES:
        raise ValueError(f"from_dlpack: expected memory on the CPU (1) or a CUDA device (2), got DLPack device type {kind}")
    backend, device = backend_for(_DLPACK_DEVICES[kind] if kind == 1 else f"cuda:{number}")
    with backend.on(device):
        array = backend.xp.from_dlpack(source)
    _check_dtype("from_dlpack", array.dtype)
    return wrap(array)


def _as_source(name: str, data: Any, dtype: Any) -> tuple[Tensor, bool]:
    """A Tensor over what the data is, and whether its memory is new: it is not for arrays and Tensors."""
    if isinstance(data, Tensor):
        return data.detach(), False
    if isinstance(data, tuple(by_array_type)):
        data = backend_of(data).xp.asarray(data)
    elif any(hasattr(data, name) for name in _ARRAY_PROTOCOLS) and not hasattr(data, "dtype"):
        data = backend_for("cpu")[0].xp.asarray(data)
    elif hasattr(data, "__dlpack__"):
        return from_dlpack(data), False
    else:
        return wrap(_from_python(name, data, dtype)), True
    native = data.dtype.newbyteorder("=")
    _check_dtype(name, native)
    return (wrap(data), False) if data.dtype == native else (wrap(data.astype(native)), True)


def _from_python(name: str, data: Any, dtype: Any) -> Any:
    """An array on the CPU from a number or nested sequences of numbers."""
    dtypes: set[Any] = set()
    _, data = _read(name, data, dtypes)
    if dtype is None:
        dtype = reduce(promote_types, dtypes) if dtypes else get_default_dtype()
    try:
        made_in = float64 if dtype in REDUCED else dtype  # ml_dtypes takes no integer beyond int64
        return backend_for("cpu")[0].xp.array(data, dtype=made_in).astype(dtype, copy=False)
    except OverflowError as error:
        raise OverflowError(f"{name}: expected numbers that fit into {dtype} ({error})") from None


def _read(name: str, data: Any, dtypes: set[Any]) -> tuple[tuple[int, ...], Any]:
    """The shape of nested sequences, and the same with arrays for Tensors; what dtypes are found is added to the set."""
    if isinstance(data, Tensor) or (hasattr(data, "dtype") and hasattr(data, "shape")):
        _check_dtype(name, data.dtype)
        dtypes.add(data.dtype)
        return data.shape, backend_of(data.array).to_host(data.array) if isinstance(data, Tensor) else data
    if not isinstance(data, Sequence) or isinstance(data, (str, bytes)):
        if not isinstance(data, (float, int)):
            raise TypeError(f"{name}: expected numbers, or nested sequences of numbers, got {type(data).__name__}")
        dtypes.add(scalar_dtype(data))
        return (), data
    kinds = set(map(type, data))
    if kinds <= _PYTHON_NUMBERS:
        dtypes.update(scalar_dtype(kind()) for kind in kinds)
        return (len(data),), data
    parts = [_read(name, item, dtypes) for item in data]
    shapes = list(dict.fromkeys(shape for shape, _ in parts))
    if len(shapes) > 1:
        raise ValueError(f"{name}: expected items of one shape side by side, got shapes {shapes[0]} and {shapes[1]}")
    return (len(data), *(shapes[0] if shapes else ())), [part for _, part in parts]


def _check_dtype(name: str, dtype: Any) -> None:
    if dtype not in SUPPORTED:
        names = ", ".join(sorted(map(str, SUPPORTED)))
        raise TypeError(f"{name}: expected a dtype out of {names}, got {dtype}; convert the array with .astype() first")
