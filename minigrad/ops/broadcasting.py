"""Expanding a tensor over new or unit dimensions, and its adjoint, summing over them: each is the other's gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._tensor import Tensor
from ..autograd.operation import Operation
from ..dtypes import FLOATING, REDUCED, accumulated_in, int64
from .arguments import as_integers, as_tensors, check_tensor, unpacked

__all__ = ["broadcast_tensors", "broadcast_to", "expand"]

_SUMMED_IN = {dtype: accumulated_in(dtype) for dtype in FLOATING}


def summed(xp: Any, x: Any, dims: tuple[int, ...] | None, keepdim: bool) -> Any:
    """An array's sum over some dims (None: all), in float32 for short floats and in int64 for integers and bools."""
    return xp.sum(x, axis=dims, keepdims=keepdim, dtype=_SUMMED_IN.get(x.dtype, int64))


def rounded(backend: Any, result: Any, dtype: Any) -> Any:
    """A result that was computed in float32 for a short float: a value too large for that becomes inf."""
    if dtype not in REDUCED:
        return result
    with backend.quiet():
        return result.astype(dtype)


class Expand(Operation):
    """A view in which unit dimensions are repeated without a copy."""

    is_view = True

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x: Any) -> Any:
        self.source = x.shape
        extra = len(self.shape) - x.ndim
        repeated = tuple(0 if m != n else stride for m, n, stride in zip(x.shape, self.shape[extra:], x.strides))
        return self.backend.as_strided(x, self.shape, (0,) * extra + repeated)

    def backward(self, grad: Tensor) -> Tensor:
        return sum_to(grad, self.source)


class SumTo(Operation):
    """The sum over all dimensions that broadcasting had added or stretched."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x: Any) -> Any:
        self.source = x.shape
        extra = x.ndim - len(self.shape)
        stretched = tuple(i for i in range(x.ndim) if i < extra or (self.shape[i - extra] == 1 and x.shape[i] != 1))
        return rounded(self.backend, summed(self.xp, x, stretched, True).reshape(self.shape), x.dtype)

    def backward(self, grad: Tensor) -> Tensor:
        return Expand(self.source).apply(grad)


def sum_to(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The tensor summed down to a shape that broadcasts to its own: what the gradient of a broadcast operand is."""
    return x if x.array.shape == shape else SumTo(shape).apply(x)


def joint_shape(name: str, *tensors: Tensor) -> tuple[int, ...]:
    """The shape that the tensors broadcast to."""
    ndim = max(tensor.ndim for tensor in tensors)
    padded = [(1,) * (ndim - tensor.ndim) + tensor.shape for tensor in tensors]
    joint = tuple(next((n for n in sizes if n != 1), 1) for sizes in zip(*padded))
    if any(n not in (1, m) for shape in padded for n, m in zip(shape, joint)):
        raise ValueError(f"{name}: expected shapes that broadcast, got {' and '.join(str(t.shape) for t in tensors)}")
    return joint


def expand(input: Tensor, *sizes: Any) -> Tensor:
    """A view in which dims of size 1, and new leading dims, are repeated without a copy.

    Args:
        input: any tensor.
        sizes: the new shape, one by one or as a sequence; -1 keeps a dim's size.

    Raises:
        RuntimeError: if the input's shape does not broadcast to the new one.

    >>> import minigrad
    >>> minigrad.expand(minigrad.tensor([[1], [2]]), -1, 3)
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    return _expanded("expand", input, unpacked("expand", "size", sizes))


def broadcast_to(input: Tensor, shape: Sequence[int]) -> Tensor:
    """``expand`` under NumPy's name.

    >>> import minigrad
    >>> minigrad.broadcast_to(minigrad.zeros(3), (2, 3)).shape
    (2, 3)
    """
    return _expanded("broadcast_to", input, as_integers("broadcast_to", "size", shape))


def _expanded(name: str, input: Tensor, sizes: tuple[int, ...]) -> Tensor:
    check_tensor(name, input)
    shape = input.array.shape
    extra = len(sizes) - len(shape)
    target = tuple(shape[i - extra] if n == -1 and i >= extra else n for i, n in enumerate(sizes))
    if extra < 0 or any(n < 0 or (i >= extra and shape[i - extra] not in (1, n)) for i, n in enumerate(target)):
        raise RuntimeError(f"{name}: expected a shape that {shape} broadcasts to, got {sizes}")
    return Expand(target).apply(input)


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Views of several tensors under the one shape that they broadcast to.

    Raises:
        RuntimeError: if the shapes do not broadcast.

    >>> import minigrad
    >>> [x.shape for x in minigrad.broadcast_tensors(minigrad.zeros(3), minigrad.zeros(2, 1))]
    [(2, 3), (2, 3)]
    """
    tensors = as_tensors(
        "broadcast_tensors", tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    )
    shapes = [x.array.shape for x in tensors]
    target: list[int] = []
    for i in range(-max(map(len, shapes), default=0), 0):
        sizes = {shape[i] for shape in shapes if len(shape) >= -i} - {1}
        if len(sizes) > 1:
            raise RuntimeError(f"broadcast_tensors: expected shapes that broadcast, got {', '.join(map(str, shapes))}")
        target.append(sizes.pop() if sizes else 1)
    return tuple(Expand(tuple(target)).apply(x) for x in tensors)
