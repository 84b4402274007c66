"""Tensor: an array, its gradient, and the node of the tape that made it.

Methods are one-line delegations to ``minigrad.ops``, where every operation is defined and documented once. The import at the
end of this file is the package's one import cycle: methods need the operations, operations make Tensors. (The file is not
``tensor.py`` because ``minigrad.tensor`` is the function.)
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .backends import Device, any_pins, backend_for, backend_of
from .dtypes import FLOATING
from .printing import describe

# Tensor has methods of these names, as PyTorch's has; annotations inside the class need the types.
_bool = bool
_float = float
_int = int

if TYPE_CHECKING:
    from .autograd.operation import Operation
    from .autograd.versions import Version
    from .autograd.views import View


class TensorHooks:
    """The hooks of a leaf: on the gradient that arrives, and after it was accumulated."""

    __slots__ = ("accumulated", "gradient")

    def __init__(self) -> None:
        self.gradient: dict[int, Any] = {}
        self.accumulated: dict[int, Any] = {}


class Tensor:
    """An array of a backend that takes part in automatic differentiation; PyTorch's Tensor.

    ``minigrad.tensor(data)`` makes one from numbers; the constructor wraps what is there already.

    Args:
        data: a Tensor (whose memory is shared), an array of a registered backend (likewise), or nested sequences of
            numbers, which become the default float dtype.
        requires_grad: whether the gradient with respect to this tensor is wanted.

    Raises:
        RuntimeError: if ``requires_grad`` is asked of a dtype that is not floating.

    >>> import minigrad
    >>> x = minigrad.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([[2., 4.],
            [6., 8.]])
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_deferred",
        "_grad",
        "_hooks",
        "_requires_grad",
        "_version",
        "_view",
        "array",
        "node",
    )
    __array_priority__ = 1000
    __array_ufunc__ = None

    array: Any
    """The backend's own array (NumPy's, CuPy's): the memory itself."""
    node: Operation | None
    """The operation that made this tensor, if it is on the tape."""
    _deferred: Any
    """What computes the array when it is first asked for, or None (autograd/deferred.py)."""
    _grad: Tensor | None
    _hooks: TensorHooks | None
    _requires_grad: _bool
    _version: Version | None
    _view: View | None

    def __init__(self, data: Any = (), requires_grad: _bool = False):
        if isinstance(data, Tensor):
            compute_waiting(data)
            data = data.array[...]
        elif isinstance(data, (list, tuple)):
            data = ops.tensor(data, dtype=float).array
        backend_of(data)
        self.array = data
        self.node = self._grad = self._hooks = self._version = self._view = self._deferred = None
        self._requires_grad = False
        if requires_grad:
            self.requires_grad_()

    def __getattr__(self, name: str) -> Any:
        """Of a deferred tensor the array, which from then on is there; Python asks here for what it has not found."""
        if name == "array":
            compute = self._deferred
            if compute is None:  # another thread has just computed it; or there is none
                return Tensor.array.__get__(self)
            self.array, self._deferred = compute(), None
            return self.array
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # --- autograd ------------------------------------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> _bool:
        """Whether operations on this tensor are recorded."""
        if self._view is not None:
            refresh(self)
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: _bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: _bool = True) -> Tensor:
        """Say whether the gradient with respect to this tensor is wanted.

        Raises:
            RuntimeError: if the dtype is not floating, the tensor is no leaf and the answer is no, or the tensor was made
                in ``inference_mode``.
        """
        if requires_grad and self.array.dtype not in FLOATING:
            raise RuntimeError(f"requires_grad_: expected a floating dtype, got {self.array.dtype}; use .float() first")
        if requires_grad and self.is_inference() and not is_inference_mode_enabled():
            raise RuntimeError("requires_grad_: expected a tensor made outside inference_mode; use its .clone()")
        if not requires_grad and not self.is_leaf:
            raise RuntimeError("requires_grad_: expected a leaf, got the result of a recorded operation; use .detach()")
        self._requires_grad = bool(requires_grad)
        return self

    @property
    def is_leaf(self) -> _bool:
        """Whether no recorded operation made this tensor."""
        return self.grad_fn is None

    @property
    def grad_fn(self) -> Operation | None:
        """The operation that made this tensor, if it was recorded."""
        if self._view is not None:
            refresh(self)
        return self.node

    @property
    def grad(self) -> Tensor | None:
        """The gradient that ``backward`` has accumulated, or None."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"grad: expected a Tensor or None, got {type(value).__name__}")
            if (value.shape, value.dtype, value.device) != (self.shape, self.dtype, self.device):
                raise RuntimeError(
                    f"grad: expected {self.dtype} of shape {self.shape} on {self.device}, "
                    f"got {value.dtype} of shape {value.shape} on {value.device}"
                )
        self._grad = value

    @property
    def data(self) -> Tensor:
        """The same memory outside the tape: writes to it are not noticed. Prefer ``detach``."""
        compute_waiting(self)
        return wrap(self.array[...])

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"data: expected a Tensor, got {type(value).__name__}")
        if self._requires_grad and value.dtype not in FLOATING:
            raise RuntimeError(f"data: expected a floating dtype for a tensor that requires grad, got {value.dtype}")
        compute_waiting(value)
        self.array  # noqa: B018  # what it waits for may be saved for the gradient
        self.array = value.array[...]

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: _bool | None = None,
        create_graph: _bool = False,
        inputs: Tensor | Sequence[Tensor] | None = None,
    ) -> None:
        """Accumulate the gradient of this tensor in the leaves it was computed from; see ``autograd.backward``."""
        engine.backward(self, gradient, retain_graph, create_graph, inputs)

    def detach(self) -> Tensor:
        """A tensor over the same memory that is no part of the graph."""
        tensor = wrap(self.array[...])
        tensor._version = version_of(self)
        return tensor

    def detach_(self) -> Tensor:
        """Take this tensor out of the graph that made it.

        Raises:
            RuntimeError: if it is a view.
        """
        if self._view is not None:
            raise RuntimeError("detach_: expected a tensor with memory of its own, got a view; use .detach()")
        self.node = None
        self._requires_grad = False
        return self

    def retain_grad(self) -> None:
        """Let ``backward`` fill ``.grad`` of this tensor although it is no leaf."""
        retain_grad(self)

    def register_hook(self, hook: Any) -> Any:
        """Call ``hook(grad)`` when the gradient of this tensor is known; a tensor it returns replaces the gradient.

        Returns:
            A handle whose ``remove()`` takes the hook away.
        """
        return register_hook(self, hook)

    def register_post_accumulate_grad_hook(self, hook: Any) -> Any:
        """Call ``hook(tensor)`` after a gradient was accumulated into ``.grad`` of this leaf."""
        return register_post_accumulate_grad_hook(self, hook)

    def is_inference(self) -> _bool:
        """Whether this tensor was made in ``inference_mode``."""
        return self._version is not None and self._version.inference

    @property
    def _base(self) -> Tensor | None:
        """The tensor whose memory this view shows, or None."""
        return None if self._view is None else self._view.base

    # --- what it is ----------------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[_int, ...]:
        """The size of every dimension."""
        return (self._deferred or self.array).shape

    @property
    def ndim(self) -> _int:
        """The number of dimensions."""
        return (self._deferred or self.array).ndim

    @property
    def dtype(self) -> Any:
        """The element type, a ``numpy.dtype``."""
        return (self._deferred or self.array).dtype

    @property
    def device(self) -> Device:
        """Where the memory is."""
        array = self.array if (compute := self._deferred) is None else compute.source
        return backend_of(array).device_of(array)

    @property
    def is_cuda(self) -> _bool:
        """Whether the memory is on a CUDA device."""
        return self.device.type == "cuda"

    @property
    def itemsize(self) -> _int:
        """The bytes of one element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> _int:
        """The bytes of all elements."""
        return self.numel() * self.itemsize

    @property
    def T(self) -> Tensor:
        """The matrix transposed (all dimensions reversed)."""
        return ops.permute(self, tuple(reversed(range(self.ndim))))

    @property
    def mT(self) -> Tensor:
        """The last two dimensions swapped.

        Raises:
            RuntimeError: if there are fewer.
        """
        if self.ndim < 2:
            raise RuntimeError(f"mT: expected at least two dims, got shape {self.shape}")
        return ops.transpose(self, -2, -1)

    def size(self, dim: _int | None = None) -> Any:
        """The shape, or one dimension's size.

        Raises:
            IndexError: if the dimension is out of range.
        """
        return self.shape if dim is None else _at("size", self.shape, dim)

    def dim(self) -> _int:
        """The number of dimensions."""
        return self.ndim

    def numel(self) -> _int:
        """The number of elements."""
        return math.prod(self.shape)

    nelement = numel

    def element_size(self) -> _int:
        """The bytes of one element."""
        return self.dtype.itemsize

    def stride(self, dim: _int | None = None) -> Any:
        """For every dimension, or for one, how many elements lie between neighbours in memory.

        Raises:
            IndexError: if the dimension is out of range.
        """
        strides = tuple(s // self.array.dtype.itemsize for s in self.array.strides)
        return strides if dim is None else _at("stride", strides, dim)

    def data_ptr(self) -> _int:
        """The address of the first element."""
        compute_waiting(self)
        return backend_of(self.array).address(self.array)

    def is_floating_point(self) -> _bool:
        """Whether the dtype is a float."""
        return self.dtype in FLOATING

    def is_contiguous(self) -> _bool:
        """Whether the elements lie in memory in the order of their indices."""
        return self.array.flags.c_contiguous

    # --- out of the framework, and between devices and dtypes ----------------------------------------------------------------

    def item(self) -> Any:
        """The one element as a Python number.

        Raises:
            ValueError: if there is not exactly one.
        """
        if self.array.size != 1:
            raise ValueError(f"item: expected a tensor with one element, got shape {self.shape}")
        return self.array.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers (one number for a 0-d tensor)."""
        return backend_of(self.array).to_host(self.array).tolist()

    def numpy(self, *, force: _bool = False) -> Any:
        """The memory itself as a NumPy array.

        Args:
            force: also where that needs a copy from a device, or leaves the graph.

        Raises:
            RuntimeError: if the tensor requires grad or is on the meta device; TypeError if it is on another one than the CPU.
        """
        if not force:
            if self.requires_grad:
                raise RuntimeError("numpy: the tensor requires grad; use .detach().numpy()")
            if self.device.type not in ("cpu", "meta"):  # what the meta device lacks, to_host says
                raise TypeError(f"numpy: expected a tensor on the cpu, got one on {self.device}; use .cpu().numpy()")
        compute_waiting(self)  # whoever has the memory may write to it
        return backend_of(self.array).to_host(self.array)

    def __array__(self, dtype: Any = None, copy: _bool | None = None) -> Any:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self, **kwargs: Any) -> Any:
        if self.requires_grad:
            raise BufferError("dlpack: the tensor requires grad; use .detach()")
        compute_waiting(self)
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        """The tensor with another dtype, on another device, or like another tensor; see ``ops.to``."""
        return ops.to(self, *args, **kwargs)

    def pin_memory(self) -> Tensor:
        """The values on the CPU in page-locked memory, for ``.to("cuda", non_blocking=True)``; no part of the graph.

        Raises:
            RuntimeError: if there is no GPU, with the pip line; TypeError if the tensor is not on the CPU.
        """
        return ops.conversion.pin_memory(self)

    def is_pinned(self) -> _bool:
        """Whether the memory is page-locked, as ``pin_memory`` makes it."""
        return self.device.type == "cpu" and any_pins(self.array)

    def type(self, dtype: Any = None) -> Any:
        """The tensor with another dtype; without an argument the dtype's name."""
        return str(self.dtype) if dtype is None else ops.to(self, dtype=dtype)

    def type_as(self, other: Tensor) -> Tensor:
        """The tensor with the dtype and on the device of another."""
        return ops.to(self, other)

    def cpu(self) -> Tensor:
        """The tensor on the CPU."""
        return ops.to(self, device="cpu")

    def cuda(self, device: Any = None, non_blocking: _bool = False) -> Tensor:
        """The tensor on a CUDA device."""
        return ops.to(self, device="cuda" if device is None else device, non_blocking=non_blocking)

    def half(self) -> Tensor:
        """The tensor as float16."""
        return ops.to(self, dtype="float16")

    def bfloat16(self) -> Tensor:
        """The tensor as bfloat16."""
        return ops.to(self, dtype="bfloat16")

    def float(self) -> Tensor:
        """The tensor as float32."""
        return ops.to(self, dtype="float32")

    def double(self) -> Tensor:
        """The tensor as float64."""
        return ops.to(self, dtype="float64")

    def byte(self) -> Tensor:
        """The tensor as uint8."""
        return ops.to(self, dtype="uint8")

    def char(self) -> Tensor:
        """The tensor as int8."""
        return ops.to(self, dtype="int8")

    def short(self) -> Tensor:
        """The tensor as int16."""
        return ops.to(self, dtype="int16")

    def int(self) -> Tensor:
        """The tensor as int32."""
        return ops.to(self, dtype="int32")

    def long(self) -> Tensor:
        """The tensor as int64."""
        return ops.to(self, dtype="int64")

    def bool(self) -> Tensor:
        """The tensor as bool."""
        return ops.to(self, dtype="bool")

    # --- Python's protocols --------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return describe(self)

    def __format__(self, spec: str) -> str:
        if self.ndim == 0 and (spec or self.device.type != "meta"):
            return format(self.item(), spec)
        if spec:
            raise TypeError(f"format: expected a 0-d tensor for the format {spec!r}, got shape {self.shape}")
        return repr(self)

    def __len__(self) -> _int:
        if self.ndim == 0:
            raise TypeError("len: expected at least one dimension, got a 0-d tensor")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if self.ndim == 0:
            raise TypeError("iter: expected at least one dimension, got a 0-d tensor")
        return iter(ops.unbind(self, 0))

    def __bool__(self) -> _bool:
        if self.array.size != 1:
            raise RuntimeError(f"bool: expected one element, got shape {self.shape}; use .any() or .all()")
        return bool(self.array.item())

    def __float__(self) -> _float:
        return float(self.item())

    def __int__(self) -> _int:
        return int(self.item())

    def __index__(self) -> _int:
        if self.is_floating_point() or self.array.size != 1:
            raise TypeError(f"index: expected one integer, got {self.dtype} of shape {self.shape}")
        return int(self.item())

    def __contains__(self, value: Any) -> _bool:
        return bool(ops.any(ops.eq(self, value)))

    __hash__ = object.__hash__

    def __copy__(self) -> Tensor:
        fresh = type(self).__new__(type(self))
        Tensor.__init__(fresh, self)
        fresh._version, fresh._requires_grad = version_of(self), self.requires_grad
        fresh.__dict__.update(self.__dict__)
        return fresh

    def __deepcopy__(self, memo: dict[_int, Any]) -> Tensor:
        if not self.is_leaf:
            raise RuntimeError("deepcopy: expected a leaf, got the result of a recorded operation; use .detach().clone()")
        with no_grad():
            fresh = type(self).__new__(type(self))
            memo[id(self)] = fresh
            Tensor.__init__(fresh, ops.clone(self).array)
            fresh._requires_grad = self._requires_grad
            fresh._grad = copy.deepcopy(self._grad, memo)
            fresh.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return fresh

    def __reduce_ex__(self, protocol: Any) -> Any:
        if not self.is_leaf:
            raise RuntimeError("pickle: expected a leaf, got the result of a recorded operation; use .detach()")
        host = backend_of(self.array).to_host(self.array)
        return _rebuild, (type(self), host, str(self.device), self._requires_grad, self.__dict__)

    def __getitem__(self, index: Any) -> Tensor:
        return ops.getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        ops.setitem(self, index, value)

    def __add__(self, other: Any) -> Tensor:
        return ops.add(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return ops.add(other, self)

    def __sub__(self, other: Any) -> Tensor:
        return ops.sub(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return ops.sub(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return ops.mul(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return ops.mul(other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return ops.div(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return ops.div(other, self)

    def __floordiv__(self, other: Any) -> Tensor:
        return ops.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return ops.floor_divide(other, self)

    def __mod__(self, other: Any) -> Tensor:
        return ops.remainder(self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return ops.remainder(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return ops.pow(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return ops.pow(other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return ops.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return ops.matmul(other, self)

    def __iadd__(self, other: Any) -> Tensor:
        return self.add_(other)

    def __isub__(self, other: Any) -> Tensor:
        return self.sub_(other)

    def __imul__(self, other: Any) -> Tensor:
        return self.mul_(other)

    def __itruediv__(self, other: Any) -> Tensor:
        return self.div_(other)

    def __ifloordiv__(self, other: Any) -> Tensor:
        return self.floor_divide_(other)

    def __imod__(self, other: Any) -> Tensor:
        return self.remainder_(other)

    def __ipow__(self, other: Any) -> Tensor:
        return self.pow_(other)

    def __iand__(self, other: Any) -> Tensor:
        return self.bitwise_and_(other)

    def __ior__(self, other: Any) -> Tensor:
        return self.bitwise_or_(other)

    def __ixor__(self, other: Any) -> Tensor:
        return self.bitwise_xor_(other)

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        return ops.eq(self, other) if _is_operand(other) else NotImplemented

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        return ops.ne(self, other) if _is_operand(other) else NotImplemented

    def __lt__(self, other: Any) -> Tensor:
        return ops.lt(self, other)

    def __le__(self, other: Any) -> Tensor:
        return ops.le(self, other)

    def __gt__(self, other: Any) -> Tensor:
        return ops.gt(self, other)

    def __ge__(self, other: Any) -> Tensor:
        return ops.ge(self, other)

    def __and__(self, other: Any) -> Tensor:
        return ops.bitwise_and(self, other)

    def __rand__(self, other: Any) -> Tensor:
        return ops.bitwise_and(other, self)

    def __or__(self, other: Any) -> Tensor:
        return ops.bitwise_or(self, other)

    def __ror__(self, other: Any) -> Tensor:
        return ops.bitwise_or(other, self)

    def __xor__(self, other: Any) -> Tensor:
        return ops.bitwise_xor(self, other)

    def __rxor__(self, other: Any) -> Tensor:
        return ops.bitwise_xor(other, self)

    def __neg__(self) -> Tensor:
        return ops.neg(self)

    def __abs__(self) -> Tensor:
        return ops.abs(self)

    def __invert__(self) -> Tensor:
        return ops.bitwise_not(self)

    def __pos__(self) -> Tensor:
        return ops.positive(self)

    # --- arithmetic ----------------------------------------------------------------------------------------------------------

    def add(self, other: Any, *, alpha: _float = 1) -> Tensor:
        return ops.add(self, other, alpha=alpha)

    def sub(self, other: Any, *, alpha: _float = 1) -> Tensor:
        return ops.sub(self, other, alpha=alpha)

    def mul(self, other: Any) -> Tensor:
        return ops.mul(self, other)

    def div(self, other: Any, *, rounding_mode: str | None = None) -> Tensor:
        return ops.div(self, other, rounding_mode=rounding_mode)

    def floor_divide(self, other: Any) -> Tensor:
        return ops.floor_divide(self, other)

    def remainder(self, other: Any) -> Tensor:
        return ops.remainder(self, other)

    def fmod(self, other: Any) -> Tensor:
        return ops.fmod(self, other)

    def pow(self, other: Any) -> Tensor:
        return ops.pow(self, other)

    def maximum(self, other: Any) -> Tensor:
        return ops.maximum(self, other)

    def minimum(self, other: Any) -> Tensor:
        return ops.minimum(self, other)

    def atan2(self, other: Any) -> Tensor:
        return ops.atan2(self, other)

    def hypot(self, other: Any) -> Tensor:
        return ops.hypot(self, other)

    def logaddexp(self, other: Any) -> Tensor:
        return ops.logaddexp(self, other)

    def neg(self) -> Tensor:
        return ops.neg(self)

    def abs(self) -> Tensor:
        return ops.abs(self)

    def sign(self) -> Tensor:
        return ops.sign(self)

    def reciprocal(self) -> Tensor:
        return ops.reciprocal(self)

    def square(self) -> Tensor:
        return ops.square(self)

    def sqrt(self) -> Tensor:
        return ops.sqrt(self)

    def rsqrt(self) -> Tensor:
        return ops.rsqrt(self)

    def floor(self) -> Tensor:
        return ops.floor(self)

    def ceil(self) -> Tensor:
        return ops.ceil(self)

    def trunc(self) -> Tensor:
        return ops.trunc(self)

    def frac(self) -> Tensor:
        return ops.frac(self)

    def round(self, *, decimals: _int = 0) -> Tensor:
        return ops.round(self, decimals=decimals)

    def clamp(self, min: Any = None, max: Any = None) -> Tensor:
        return ops.clamp(self, min, max)

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        return ops.clamp(self, min, max)

    def lerp(self, end: Tensor, weight: Any) -> Tensor:
        return ops.lerp(self, end, weight)

    def addcmul(self, tensor1: Tensor, tensor2: Tensor, *, value: _float = 1) -> Tensor:
        return ops.addcmul(self, tensor1, tensor2, value=value)

    def addcdiv(self, tensor1: Tensor, tensor2: Tensor, *, value: _float = 1) -> Tensor:
        return ops.addcdiv(self, tensor1, tensor2, value=value)

    # --- elementwise functions -----------------------------------------------------------------------------------------------

    def exp(self) -> Tensor:
        return ops.exp(self)

    def exp2(self) -> Tensor:
        return ops.exp2(self)

    def expm1(self) -> Tensor:
        return ops.expm1(self)

    def log(self) -> Tensor:
        return ops.log(self)

    def log2(self) -> Tensor:
        return ops.log2(self)

    def log10(self) -> Tensor:
        return ops.log10(self)

    def log1p(self) -> Tensor:
        return ops.log1p(self)

    def sin(self) -> Tensor:
        return ops.sin(self)

    def cos(self) -> Tensor:
        return ops.cos(self)

    def tan(self) -> Tensor:
        return ops.tan(self)

    def asin(self) -> Tensor:
        return ops.asin(self)

    def acos(self) -> Tensor:
        return ops.acos(self)

    def atan(self) -> Tensor:
        return ops.atan(self)

    def sinh(self) -> Tensor:
        return ops.sinh(self)

    def cosh(self) -> Tensor:
        return ops.cosh(self)

    def tanh(self) -> Tensor:
        return ops.tanh(self)

    def asinh(self) -> Tensor:
        return ops.asinh(self)

    def acosh(self) -> Tensor:
        return ops.acosh(self)

    def atanh(self) -> Tensor:
        return ops.atanh(self)

    def erf(self) -> Tensor:
        return ops.erf(self)

    def erfc(self) -> Tensor:
        return ops.erfc(self)

    def sigmoid(self) -> Tensor:
        return ops.sigmoid(self)

    def nan_to_num(self, nan: _float = 0.0, posinf: _float | None = None, neginf: _float | None = None) -> Tensor:
        return ops.nan_to_num(self, nan, posinf, neginf)

    # --- comparison and logic ------------------------------------------------------------------------------------------------

    def eq(self, other: Any) -> Tensor:
        return ops.eq(self, other)

    def ne(self, other: Any) -> Tensor:
        return ops.ne(self, other)

    def lt(self, other: Any) -> Tensor:
        return ops.lt(self, other)

    def le(self, other: Any) -> Tensor:
        return ops.le(self, other)

    def gt(self, other: Any) -> Tensor:
        return ops.gt(self, other)

    def ge(self, other: Any) -> Tensor:
        return ops.ge(self, other)

    def logical_and(self, other: Any) -> Tensor:
        return ops.logical_and(self, other)

    def logical_or(self, other: Any) -> Tensor:
        return ops.logical_or(self, other)

    def logical_xor(self, other: Any) -> Tensor:
        return ops.logical_xor(self, other)

    def bitwise_and(self, other: Any) -> Tensor:
        return ops.bitwise_and(self, other)

    def bitwise_or(self, other: Any) -> Tensor:
        return ops.bitwise_or(self, other)

    def bitwise_xor(self, other: Any) -> Tensor:
        return ops.bitwise_xor(self, other)

    def logical_not(self) -> Tensor:
        return ops.logical_not(self)

    def bitwise_not(self) -> Tensor:
        return ops.bitwise_not(self)

    def isnan(self) -> Tensor:
        return ops.isnan(self)

    def isinf(self) -> Tensor:
        return ops.isinf(self)

    def isfinite(self) -> Tensor:
        return ops.isfinite(self)

    def isclose(self, other: Tensor, rtol: _float = 1e-5, atol: _float = 1e-8, equal_nan: _bool = False) -> Tensor:
        return ops.isclose(self, other, rtol, atol, equal_nan)

    def allclose(self, other: Tensor, rtol: _float = 1e-5, atol: _float = 1e-8, equal_nan: _bool = False) -> _bool:
        return ops.allclose(self, other, rtol, atol, equal_nan)

    def equal(self, other: Tensor) -> _bool:
        return ops.equal(self, other)

    # --- reductions ----------------------------------------------------------------------------------------------------------

    def sum(self, dim: Any = None, keepdim: _bool = False, *, dtype: Any = None) -> Tensor:
        return ops.sum(self, dim, keepdim, dtype=dtype)

    def mean(self, dim: Any = None, keepdim: _bool = False, *, dtype: Any = None) -> Tensor:
        return ops.mean(self, dim, keepdim, dtype=dtype)

    def prod(self, dim: _int | None = None, keepdim: _bool = False, *, dtype: Any = None) -> Tensor:
        return ops.prod(self, dim, keepdim, dtype=dtype)

    def var(
        self,
        dim: Any = None,
        unbiased: _bool | None = None,
        keepdim: _bool = False,
        *,
        correction: _float | None = None,
    ) -> Tensor:
        return ops.var(self, dim, unbiased, keepdim, correction=correction)

    def std(
        self,
        dim: Any = None,
        unbiased: _bool | None = None,
        keepdim: _bool = False,
        *,
        correction: _float | None = None,
    ) -> Tensor:
        return ops.std(self, dim, unbiased, keepdim, correction=correction)

    def amax(self, dim: Any = (), keepdim: _bool = False) -> Tensor:
        return ops.amax(self, dim, keepdim)

    def amin(self, dim: Any = (), keepdim: _bool = False) -> Tensor:
        return ops.amin(self, dim, keepdim)

    def max(self, dim: Any = None, keepdim: _bool = False) -> Any:
        return ops.max(self, dim, keepdim)

    def min(self, dim: Any = None, keepdim: _bool = False) -> Any:
        return ops.min(self, dim, keepdim)

    def argmax(self, dim: _int | None = None, keepdim: _bool = False) -> Tensor:
        return ops.argmax(self, dim, keepdim)

    def argmin(self, dim: _int | None = None, keepdim: _bool = False) -> Tensor:
        return ops.argmin(self, dim, keepdim)

    def any(self, dim: Any = None, keepdim: _bool = False) -> Tensor:
        return ops.any(self, dim, keepdim)

    def all(self, dim: Any = None, keepdim: _bool = False) -> Tensor:
        return ops.all(self, dim, keepdim)

    def norm(self, p: Any = 2, dim: Any = None, keepdim: _bool = False) -> Tensor:
        return ops.norm(self, p, dim, keepdim)

    def logsumexp(self, dim: Any, keepdim: _bool = False) -> Tensor:
        return ops.logsumexp(self, dim, keepdim)

    def cumsum(self, dim: _int, *, dtype: Any = None) -> Tensor:
        return ops.cumsum(self, dim, dtype=dtype)

    def cumprod(self, dim: _int, *, dtype: Any = None) -> Tensor:
        return ops.cumprod(self, dim, dtype=dtype)

    def count_nonzero(self, dim: Any = None) -> Tensor:
        return ops.count_nonzero(self, dim)

    def softmax(self, dim: _int, dtype: Any = None) -> Tensor:
        return ops.softmax(self, dim, dtype)

    def log_softmax(self, dim: _int, dtype: Any = None) -> Tensor:
        return ops.log_softmax(self, dim, dtype)

    # --- order ---------------------------------------------------------------------------------------------------------------

    def sort(self, dim: _int = -1, descending: _bool = False, *, stable: _bool = False) -> Any:
        return ops.sort(self, dim, descending, stable=stable)

    def argsort(self, dim: _int = -1, descending: _bool = False, *, stable: _bool = False) -> Tensor:
        return ops.argsort(self, dim, descending, stable=stable)

    def topk(self, k: _int, dim: _int = -1, largest: _bool = True) -> Any:
        return ops.topk(self, k, dim, largest)

    def median(self, dim: _int | None = None, keepdim: _bool = False) -> Any:
        return ops.median(self, dim, keepdim)

    def unique(self, sorted: _bool = True, return_inverse: _bool = False, return_counts: _bool = False) -> Any:
        return ops.unique(self, sorted, return_inverse, return_counts)

    # --- shape ---------------------------------------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> Tensor:
        return ops.reshape(self, *shape)

    def view(self, *shape: Any) -> Tensor:
        return ops.view(self, *shape)

    def view_as(self, other: Tensor) -> Tensor:
        return ops.view(self, other.shape)

    def reshape_as(self, other: Tensor) -> Tensor:
        return ops.reshape(self, other.shape)

    def flatten(self, start_dim: _int = 0, end_dim: _int = -1) -> Tensor:
        return ops.flatten(self, start_dim, end_dim)

    def unflatten(self, dim: _int, sizes: Sequence[_int]) -> Tensor:
        return ops.unflatten(self, dim, sizes)

    def ravel(self) -> Tensor:
        return ops.ravel(self)

    def squeeze(self, dim: Any = None) -> Tensor:
        return ops.squeeze(self, dim)

    def unsqueeze(self, dim: _int) -> Tensor:
        return ops.unsqueeze(self, dim)

    def transpose(self, dim0: _int, dim1: _int) -> Tensor:
        return ops.transpose(self, dim0, dim1)

    def swapaxes(self, dim0: _int, dim1: _int) -> Tensor:
        return ops.transpose(self, dim0, dim1)

    def t(self) -> Tensor:
        return ops.t(self)

    def permute(self, *dims: Any) -> Tensor:
        return ops.permute(self, *dims)

    def movedim(self, source: Any, destination: Any) -> Tensor:
        return ops.movedim(self, source, destination)

    def expand(self, *sizes: Any) -> Tensor:
        return ops.expand(self, *sizes)

    def expand_as(self, other: Tensor) -> Tensor:
        return ops.expand(self, other.shape)

    def broadcast_to(self, shape: Sequence[_int]) -> Tensor:
        return ops.broadcast_to(self, shape)

    def repeat(self, *repeats: Any) -> Tensor:
        return ops.repeat(self, *repeats)

    def tile(self, *repeats: Any) -> Tensor:
        return ops.tile(self, *repeats)

    def repeat_interleave(self, repeats: Any, dim: _int | None = None, *, output_size: _int | None = None) -> Tensor:
        return ops.repeat_interleave(self, repeats, dim, output_size=output_size)

    def flip(self, *dims: Any) -> Tensor:
        return ops.flip(self, *dims)

    def roll(self, shifts: Any, dims: Any = None) -> Tensor:
        return ops.roll(self, shifts, dims)

    def diagonal(self, offset: _int = 0, dim1: _int = 0, dim2: _int = 1) -> Tensor:
        return ops.diagonal(self, offset, dim1, dim2)

    def diag(self, diagonal: _int = 0) -> Tensor:
        return ops.diag(self, diagonal)

    def tril(self, diagonal: _int = 0) -> Tensor:
        return ops.tril(self, diagonal)

    def triu(self, diagonal: _int = 0) -> Tensor:
        return ops.triu(self, diagonal)

    def trace(self) -> Tensor:
        return ops.trace(self)

    def narrow(self, dim: _int, start: _int, length: _int) -> Tensor:
        return ops.narrow(self, dim, start, length)

    def select(self, dim: _int, index: _int) -> Tensor:
        return ops.select(self, dim, index)

    def unfold(self, dimension: _int, size: _int, step: _int) -> Tensor:
        return ops.unfold(self, dimension, size, step)

    def contiguous(self) -> Tensor:
        return ops.contiguous(self)

    def clone(self) -> Tensor:
        return ops.clone(self)

    # --- parts ---------------------------------------------------------------------------------------------------------------

    def split(self, split_size: Any, dim: _int = 0) -> tuple[Tensor, ...]:
        return ops.split(self, split_size, dim)

    def chunk(self, chunks: _int, dim: _int = 0) -> tuple[Tensor, ...]:
        return ops.chunk(self, chunks, dim)

    def unbind(self, dim: _int = 0) -> tuple[Tensor, ...]:
        return ops.unbind(self, dim)

    # --- indexing ------------------------------------------------------------------------------------------------------------

    def index_select(self, dim: _int, index: Tensor) -> Tensor:
        return ops.index_select(self, dim, index)

    def gather(self, dim: _int, index: Tensor) -> Tensor:
        return ops.gather(self, dim, index)

    def scatter(self, dim: _int, index: Tensor, src: Any) -> Tensor:
        return ops.scatter(self, dim, index, src)

    def scatter_add(self, dim: _int, index: Tensor, src: Tensor) -> Tensor:
        return ops.scatter_add(self, dim, index, src)

    def index_add(self, dim: _int, index: Tensor, source: Tensor, *, alpha: _float = 1) -> Tensor:
        return ops.index_add(self, dim, index, source, alpha=alpha)

    def index_fill(self, dim: _int, index: Tensor, value: _float) -> Tensor:
        return ops.index_fill(self, dim, index, value)

    def take_along_dim(self, indices: Tensor, dim: _int | None = None) -> Tensor:
        return ops.take_along_dim(self, indices, dim)

    def masked_fill(self, mask: Tensor, value: Any) -> Tensor:
        return ops.masked_fill(self, mask, value)

    def masked_select(self, mask: Tensor) -> Tensor:
        return ops.masked_select(self, mask)

    def where(self, condition: Tensor, other: Any) -> Tensor:
        return ops.where(condition, self, other)

    def nonzero(self, *, as_tuple: _bool = False) -> Any:
        return ops.nonzero(self, as_tuple=as_tuple)

    # --- linear algebra ------------------------------------------------------------------------------------------------------

    def matmul(self, other: Tensor) -> Tensor:
        return ops.matmul(self, other)

    def mm(self, mat2: Tensor) -> Tensor:
        return ops.mm(self, mat2)

    def bmm(self, mat2: Tensor) -> Tensor:
        return ops.bmm(self, mat2)

    def mv(self, vec: Tensor) -> Tensor:
        return ops.mv(self, vec)

    def dot(self, other: Tensor) -> Tensor:
        return ops.dot(self, other)

    def outer(self, vec2: Tensor) -> Tensor:
        return ops.outer(self, vec2)

    def addmm(self, mat1: Tensor, mat2: Tensor, *, beta: _float = 1, alpha: _float = 1) -> Tensor:
        return ops.addmm(self, mat1, mat2, beta=beta, alpha=alpha)

    def baddbmm(self, batch1: Tensor, batch2: Tensor, *, beta: _float = 1, alpha: _float = 1) -> Tensor:
        return ops.baddbmm(self, batch1, batch2, beta=beta, alpha=alpha)

    # --- activations ---------------------------------------------------------------------------------------------------------

    def relu(self) -> Tensor:
        return ops.relu(self)

    # --- in place ------------------------------------------------------------------------------------------------------------

    def add_(self, other: Any, *, alpha: _float = 1) -> Tensor:
        return ops.add_in_place(self, ops.scaled(other, alpha))

    def sub_(self, other: Any, *, alpha: _float = 1) -> Tensor:
        return write(self, ops.Sub(), ops.scaled(other, alpha))

    def mul_(self, other: Any) -> Tensor:
        return write(self, ops.Mul(), other)

    def div_(self, other: Any) -> Tensor:
        return write(self, ops.Div(), other)

    def floor_divide_(self, other: Any) -> Tensor:
        return write(self, ops.FloorDivide(), other)

    def remainder_(self, other: Any) -> Tensor:
        return write(self, ops.Remainder(), other)

    def pow_(self, other: Any) -> Tensor:
        return write(self, ops.Pow(), other)

    def bitwise_and_(self, other: Any) -> Tensor:
        return write(self, ops.Bitwise("bitwise_and"), other)

    def bitwise_or_(self, other: Any) -> Tensor:
        return write(self, ops.Bitwise("bitwise_or"), other)

    def bitwise_xor_(self, other: Any) -> Tensor:
        return write(self, ops.Bitwise("bitwise_xor"), other)

    def neg_(self) -> Tensor:
        return write(self, ops.Neg())

    def abs_(self) -> Tensor:
        return write(self, ops.Abs())

    def reciprocal_(self) -> Tensor:
        return write(self, ops.Reciprocal())

    def square_(self) -> Tensor:
        return write(self, ops.Square())

    def sqrt_(self) -> Tensor:
        return write(self, ops.Sqrt())

    def rsqrt_(self) -> Tensor:
        return write(self, ops.Rsqrt())

    def floor_(self) -> Tensor:
        return write(self, ops.Floor())

    def ceil_(self) -> Tensor:
        return write(self, ops.Ceil())

    def trunc_(self) -> Tensor:
        return write(self, ops.Trunc())

    def exp_(self) -> Tensor:
        return write(self, ops.Exp())

    def log_(self) -> Tensor:
        return write(self, ops.Log())

    def sin_(self) -> Tensor:
        return write(self, ops.Sin())

    def cos_(self) -> Tensor:
        return write(self, ops.Cos())

    def tanh_(self) -> Tensor:
        return write(self, ops.Tanh())

    def sigmoid_(self) -> Tensor:
        return write(self, ops.Sigmoid())

    def relu_(self) -> Tensor:
        return write(self, ops.Relu())

    def round_(self) -> Tensor:
        return write(self, ops.Round(0))

    def clamp_(self, min: Any = None, max: Any = None) -> Tensor:
        return ops.clamp_(self, min, max)

    def copy_(self, src: Tensor) -> Tensor:
        return write(self, ops.Copy(), src)

    def fill_(self, value: Any) -> Tensor:
        return write(self, ops.Copy("fill"), value)

    def zero_(self) -> Tensor:
        return write(self, ops.Copy("zero"), 0)

    def masked_fill_(self, mask: Tensor, value: Any) -> Tensor:
        return write(self, ops.MaskedFill(), mask, value)

    def index_add_(self, dim: _int, index: Tensor, source: Tensor, *, alpha: _float = 1) -> Tensor:
        return ops.index_add_(self, dim, index, source, alpha=alpha)

    def index_fill_(self, dim: _int, index: Tensor, value: _float) -> Tensor:
        return ops.index_fill_(self, dim, index, value)

    def scatter_(self, dim: _int, index: Tensor, src: Any) -> Tensor:
        return ops.scatter_(self, dim, index, src)

    def scatter_add_(self, dim: _int, index: Tensor, src: Tensor) -> Tensor:
        return ops.scatter_add_(self, dim, index, src)

    def lerp_(self, end: Tensor, weight: Any) -> Tensor:
        return self.copy_(ops.lerp(self, end, weight))

    def addcmul_(self, tensor1: Tensor, tensor2: Tensor, *, value: _float = 1) -> Tensor:
        return self.add_(ops.mul(tensor1, tensor2), alpha=value)

    def addcdiv_(self, tensor1: Tensor, tensor2: Tensor, *, value: _float = 1) -> Tensor:
        return self.add_(ops.div(tensor1, tensor2), alpha=value)

    # --- random numbers, in place --------------------------------------------------------------------------------------------

    def uniform_(self, from_: _float = 0.0, to: _float = 1.0, *, generator: Any = None) -> Tensor:
        return ops.uniform_(self, from_, to, generator=generator)

    def normal_(self, mean: _float = 0.0, std: _float = 1.0, *, generator: Any = None) -> Tensor:
        return ops.normal_(self, mean, std, generator=generator)

    def bernoulli_(self, p: Any = 0.5, *, generator: Any = None) -> Tensor:
        return ops.bernoulli_(self, p, generator=generator)

    # --- new tensors like this one -------------------------------------------------------------------------------------------

    def new_zeros(self, *sizes: Any, size: Any = None, dtype: Any = None) -> Tensor:
        return ops.zeros(*sizes, size=size, dtype=dtype or self.dtype, device=self.device)

    def new_ones(self, *sizes: Any, size: Any = None, dtype: Any = None) -> Tensor:
        return ops.ones(*sizes, size=size, dtype=dtype or self.dtype, device=self.device)

    def new_empty(self, *sizes: Any, size: Any = None, dtype: Any = None) -> Tensor:
        return ops.empty(*sizes, size=size, dtype=dtype or self.dtype, device=self.device)

    def new_full(self, size: Sequence[_int], fill_value: Any, dtype: Any = None) -> Tensor:
        return ops.full(size, fill_value, dtype=dtype or self.dtype, device=self.device)

    def new_tensor(self, data: Any, dtype: Any = None) -> Tensor:
        return ops.tensor(data, dtype=dtype or self.dtype, device=self.device)


def _is_operand(value: Any) -> bool:
    """Whether ``tensor == value`` is a question about elements; with anything else (None, a string) it is just False."""
    return isinstance(value, (Tensor, int, float)) or hasattr(value, "shape")


def _at(name: str, numbers: tuple[int, ...], dim: int) -> int:
    """The number that belongs to a dim."""
    if not numbers:
        raise IndexError(f"{name}: expected at least one dim, got a 0-d tensor")
    return numbers[ops.arguments.as_dim(name, dim, len(numbers))]


def _rebuild(cls: type[Tensor], host: Any, device: str, requires_grad: bool, attributes: dict[str, Any]) -> Tensor:
    """The Tensor that ``__reduce_ex__`` took apart."""
    tensor = cls.__new__(cls)
    backend, place = backend_for(device)
    with backend.on(place):
        Tensor.__init__(tensor, backend.from_host(host), requires_grad)
    tensor.__dict__.update(attributes)
    return tensor


from . import ops  # noqa: E402
from .autograd import engine  # noqa: E402
from .autograd.deferred import compute_waiting  # noqa: E402
from .autograd.hooks import register_hook, register_post_accumulate_grad_hook, retain_grad  # noqa: E402
from .autograd.inplace import write  # noqa: E402
from .autograd.modes import is_inference_mode_enabled, no_grad  # noqa: E402
from .autograd.operation import wrap  # noqa: E402
from .autograd.versions import version_of  # noqa: E402
from .autograd.views import refresh  # noqa: E402
