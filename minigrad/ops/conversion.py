"""The same values in another dtype, on another device, or in other memory."""

from __future__ import annotations

from numbers import Real
from typing import Any

from .._tensor import Tensor
from ..autograd.operation import Operation, wrap
from ..backends import Device, backend_for, names_device
from ..dtypes import FLOATING, REDUCED, result_dtype, scalar_dtype
from .arguments import as_optional_dtype, check_tensor, fitting_number

__all__ = ["clone", "contiguous", "result_type", "to"]


class Cast(Operation):
    """The values in another dtype."""

    def __init__(self, dtype: Any):
        self.dtype = dtype

    def forward(self, x: Any) -> Any:
        self.source = x.dtype
        return x.astype(self.dtype)

    def backward(self, grad: Tensor) -> Tensor:
        return Cast(self.source).apply(grad)


def cast(x: Tensor, dtype: Any) -> Tensor:
    """The tensor itself if it has the dtype, else a differentiable copy that has it (no gradient through integers)."""
    if x.array.dtype == dtype:
        return x
    if dtype not in FLOATING:
        return wrap(x.array.astype(dtype))
    return Cast(dtype).apply(x)


class Move(Operation):
    """The values on another device.

    Args:
        device: which one.
        non_blocking: go on before the copy is made, where it goes by itself.
    """

    def __init__(self, device: Device, non_blocking: bool = False):
        self.device = device
        self.non_blocking = non_blocking

    def forward(self, x: Any) -> Any:
        self.source = self.backend.device_of(x)
        backend, device = backend_for(self.device)
        host = x if backend.name == "meta" else self.backend.to_host(x)  # meta asks for the description alone
        with backend.on(device):
            moved = backend.from_host_later(host) if self.non_blocking else backend.from_host(host)
        self.backend = backend  # the output's, and so that of the gradients that will come
        return moved

    def backward(self, grad: Tensor) -> Tensor:
        return Move(self.source, self.non_blocking).apply(grad)


class Clone(Operation):
    """A copy of the values, in the same memory order."""

    def forward(self, x: Any) -> Any:
        return self.xp.array(x, copy=True, order="K")

    def backward(self, grad: Tensor) -> Tensor:
        return grad


class Contiguous(Operation):
    """A copy of the values in the order of their indices."""

    def forward(self, x: Any) -> Any:
        return self.xp.array(x, copy=True, order="C")

    def backward(self, grad: Tensor) -> Tensor:
        return grad


class Copy(Operation):
    """For ``copy_``, ``fill_`` and ``zero_``: the first input's shape and dtype with the second's values."""

    takes_out = True

    def __init__(self, name: str = "copy"):
        self.called = name

    @property
    def name(self) -> str:
        return self.called

    def fit(self, target: Tensor, source: Any) -> tuple[Any, Any]:
        if not isinstance(source, (Tensor, Real)):
            raise TypeError(f"{self.name}_: expected a Tensor or a number, got {type(source).__name__}")
        if isinstance(source, Tensor):
            if not broadcasts_to(source.shape, target.shape):
                raise ValueError(f"{self.name}_: expected a shape that broadcasts to {target.shape}, got {source.shape}")
            return target, to(source, device=target.device, dtype=target.dtype)
        return target, fitting_number(f"{self.name}_", source, target.dtype)

    def forward(self, target: Any, source: Any, out: Any) -> Any:
        self.source_shape: tuple[int, ...] = getattr(source, "shape", ())
        may_be_large = type(source) is int and out.dtype in REDUCED  # ml_dtypes takes no integer beyond int64
        out[...] = float(source) if may_be_large else source
        return out

    def backward(self, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        kept = wrap(self.xp.zeros_like(grad.array)) if self.needs(0) else None
        return kept, sum_to(grad, self.source_shape) if self.needs(1) else None


def broadcasts_to(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether one shape can be stretched to the other."""
    extra = len(shape) - len(target)
    if extra > 0 and any(n != 1 for n in shape[:extra]):
        return False
    return all(m in (1, n) for m, n in zip(reversed(shape), reversed(target), strict=False))


def clone(input: Tensor) -> Tensor:
    """A copy in memory of its own; the gradient flows through it.

    >>> import minigrad
    >>> x = minigrad.ones(2)
    >>> minigrad.clone(x).add_(1), x
    (tensor([2., 2.]), tensor([1., 1.]))
    """
    check_tensor("clone", input)
    return Clone().apply(input)


def contiguous(input: Tensor) -> Tensor:
    """The tensor itself if its elements lie in memory in the order of their indices, else a copy that does.

    >>> import minigrad
    >>> minigrad.ones(2, 3).T.contiguous().stride()
    (2, 1)
    """
    check_tensor("contiguous", input)
    return input if input.is_contiguous() else Contiguous().apply(input)


def to(
    input: Tensor, *args: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False, copy: bool = False
) -> Tensor:
    """The tensor with another dtype or on another device; itself if nothing changes.

    Args:
        input: any tensor.
        args: a dtype, a device, a device and a dtype, or another tensor to be like.
        dtype: the wanted dtype.
        device: the wanted device.
        non_blocking: let a copy from ``pin_memory`` to a CUDA device run while the host goes on; the source must not change
            until it is done. A copy to the CPU always waits.
        copy: make a copy also where nothing changes.

    Raises:
        TypeError: if an argument is none of these.

    >>> import minigrad
    >>> minigrad.arange(3).to(minigrad.float64)
    tensor([0., 1., 2.], dtype=float64)
    """
    check_tensor("to", input)
    dtype, device = destination(args, dtype, device)
    result = input
    if dtype is not None:
        result = cast(result, dtype)
    if device is not None:
        _, place = backend_for(device)
        if place != input.device:
            result = Move(place, non_blocking).apply(result)
    return clone(result) if copy and result is input else result


def pin_memory(input: Tensor) -> Tensor:
    """The values on the CPU in page-locked memory, which a GPU can read while the host goes on; no part of the graph.

    Raises:
        RuntimeError: if there is no GPU, with the pip line; TypeError if the tensor is not on the CPU.
    """
    check_tensor("pin_memory", input)
    if input.device.type != "cpu":
        raise TypeError(f"pin_memory: expected a tensor on the cpu, got one on {input.device}")
    return wrap(backend_for("cuda")[0].pinned(input.array))


def destination(args: tuple[Any, ...], dtype: Any = None, device: Any = None) -> tuple[Any, Any]:
    """The dtype and the device that the arguments of ``to`` ask for, each None if they do not."""
    for argument in args:
        if isinstance(argument, Tensor):
            dtype, device = argument.dtype, argument.device
        elif isinstance(argument, Device) or names_device(argument):
            device = argument
        else:
            dtype = argument
    return as_optional_dtype("to", dtype), device


def result_type(*operands: Any) -> Any:
    """The dtype that an operation on tensors and Python numbers computes in, by PyTorch's promotion rules.

    Args:
        operands: Tensors and numbers.

    >>> import minigrad
    >>> minigrad.result_type(minigrad.arange(3), 1.5)
    dtype('float32')
    """
    ranks: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    for operand in operands:
        if isinstance(operand, Tensor):
            ranks[0 if operand.ndim else 1].append(operand.dtype)
        else:
            ranks[2].append(scalar_dtype(operand))
    return result_dtype(*ranks)


from .broadcasting import sum_to  # noqa: E402
