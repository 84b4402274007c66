"""Padding: ``nn.functional.pad``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._tensor import Tensor
from ..autograd.operation import Operation
from .arguments import as_integers, as_number, check_tensor, fitting_number
from .broadcasting import Expand
from .joining import cat
from .rearranging import Flip
from .slicing import Narrow

__all__ = ["pad"]


class PadConstant(Operation):
    """More elements, all of one value, before and after each dim; fewer where a number is negative.

    With the signs of all numbers turned it is its own adjoint: what was added is cut off, what was cut off is zero.
    """

    def __init__(self, before: tuple[int, ...], after: tuple[int, ...], value: float):
        self.before = before
        self.after = after
        self.value = value

    def forward(self, x: Any) -> Any:
        shape = tuple(n + before + after for n, before, after in zip(x.shape, self.before, self.after))
        result = self.xp.full_like(x, self.value, shape=shape)  # in the input's memory order
        result[_inside(self.before, self.after, shape)] = x[
            _inside([-n for n in self.before], [-n for n in self.after], x.shape)
        ]
        return result

    def backward(self, grad: Tensor) -> Tensor:
        return PadConstant(tuple(-n for n in self.before), tuple(-n for n in self.after), 0).apply(grad)


def _inside(before: Sequence[int], after: Sequence[int], shape: tuple[int, ...]) -> tuple[Any, ...]:
    """The part of a shape without the positive margins."""
    return (*(slice(max(a, 0), n - max(b, 0)) for a, b, n in zip(before, after, shape)), ...)


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """More elements before and after the last dims.

    Args:
        input: any tensor.
        pad: two numbers for each dim that is to be padded, how many elements before and after, the last dim's first:
            ``(left, right, top, bottom)`` for images. A negative number takes elements away.
        mode: ``'constant'``, or copies of the input's elements: ``'reflect'`` as in a mirror that stands on the edge element,
            ``'replicate'`` of the edge element, ``'circular'`` of those at the other end.
        value: the elements' value in mode ``'constant'``, by default 0.

    Raises:
        ValueError: if the mode is unknown, or is another than ``'constant'`` and has a value; RuntimeError if the numbers do
            not come in pairs, are more than the dims, or ask for more elements than there are; OverflowError for a value
            beyond the range of an integer dtype.

    >>> import minigrad
    >>> minigrad.nn.functional.pad(minigrad.tensor([[1, 2, 3]]), (2, 1), "reflect")
    tensor([[3, 2, 1, 2, 3, 2]])
    """
    check_tensor("pad", input)
    margins = as_integers("pad", "number", pad)
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise ValueError(f"pad: expected a mode out of constant, reflect, replicate, circular, got {mode!r}")
    if mode != "constant" and value is not None:
        raise ValueError(f"pad: expected no value in mode {mode!r}, got {value}")
    if len(margins) % 2 or len(margins) > 2 * input.ndim:
        raise RuntimeError(f"pad: expected pairs of numbers for at most {input.ndim} dims, got {margins}")
    untouched = (0,) * (input.ndim - len(margins) // 2)
    before, after = untouched + margins[-2::-2], untouched + margins[::-2]
    if any(n + a + b < 0 or n + min(a, 0) < 0 or n + min(b, 0) < 0 for n, a, b in zip(input.shape, before, after)):
        raise RuntimeError(f"pad: expected to leave at least 0 elements in each dim of {input.shape}, got {margins}")
    if mode == "constant":
        number = fitting_number("pad", as_number("pad", "value", 0 if value is None else value), input.dtype)
        return PadConstant(before, after, number).apply(input)
    padded = input
    for dim, (a, b) in enumerate(zip(before, after)):
        if a or b:
            padded = _padded_dim(padded, dim, a, b, mode)
    return padded.clone() if padded is input else padded


def _padded_dim(x: Tensor, dim: int, before: int, after: int, mode: str) -> Tensor:
    """One dim padded with the tensor's own elements.

    What negative numbers take away is no longer there to come round in a circle; mirrors still show it.
    """
    if mode == "circular":
        x = _cut(x, dim, before, after)
    left, right, size = max(before, 0), max(after, 0), x.shape[dim]
    most = {"reflect": size - 1, "circular": size, "replicate": max(left, right) if size else 0}[mode]
    if max(left, right) > most:
        raise RuntimeError(f"pad: expected at most {most} more elements in dim {dim} for {mode!r}, got {before} and {after}")
    if mode == "reflect":
        mirrored = (1, left), (size - 1 - right, right)
        parts = [Flip((dim,)).apply(Narrow(dim, start, length).apply(x)) for start, length in mirrored]
    elif mode == "circular":
        parts = [Narrow(dim, size - left, left).apply(x), Narrow(dim, 0, right).apply(x)]
    else:
        edges = (0, left), (size - 1, right)
        parts = [Expand((*x.shape[:dim], n, *x.shape[dim + 1 :])).apply(Narrow(dim, i, 1).apply(x)) for i, n in edges]
    padded = cat([parts[0], x, parts[1]], dim)
    return padded if mode == "circular" else _cut(padded, dim, before, after)


def _cut(x: Tensor, dim: int, before: int, after: int) -> Tensor:
    """Without the elements that negative numbers take away."""
    if min(before, after) >= 0:
        return x
    return x.narrow(dim, max(-before, 0), x.shape[dim] + min(before, 0) + min(after, 0))
