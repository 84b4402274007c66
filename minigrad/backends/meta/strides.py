"""How the elements of an array lie in memory, worked out from shapes alone: what NumPy does when it makes or reads an array."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

Shape = tuple[int, ...]


def in_order(shape: Shape, order: Iterable[int], itemsize: int) -> Shape:
    """The strides, in bytes, of an array without gaps whose dims lie in memory in an order, the outermost first."""
    strides = [0] * len(shape)
    step = itemsize
    for dim in reversed(list(order)):
        strides[dim] = step
        step *= max(shape[dim], 1)
    return tuple(strides)


def contiguous(shape: Shape, itemsize: int) -> Shape:
    """The strides of an array whose elements lie in the order of their indices."""
    return in_order(shape, range(len(shape)), itemsize)


def is_contiguous(shape: Shape, strides: Shape, itemsize: int) -> bool:
    """Whether the elements lie in the order of their indices, without gaps."""
    if 0 in shape:
        return True
    step = itemsize
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n != 1:
            if stride != step:
                return False
            step *= n
    return True


def copied_order(strides: Shape) -> list[int]:
    """In which order the dims of a copy lie in memory, the outermost first: NumPy's order "K" for one array."""
    return sorted(range(len(strides)), key=lambda dim: -abs(strides[dim]))


def memory_order(ndim: int, operands: Sequence[tuple[Shape, Shape]]) -> list[int]:
    """In which order the dims of a result lie in memory, the outermost first: NumPy's order "K" for what it computes.

    Args:
        ndim: how many dims the result has.
        operands: shape and strides of the arrays that it is computed from; they broadcast.
    """
    steps = []
    for shape, strides in operands:
        extra = ndim - len(shape)
        steps.append([0] * extra + [0 if n == 1 else abs(s) for n, s in zip(shape, strides, strict=True)])
    order: list[int] = []  # the innermost first
    for dim in reversed(range(ndim)):
        place = len(order)
        for i in reversed(range(len(order))):
            outside = _lies_outside(steps, dim, order[i])
            if outside:
                break
            if outside is False:
                place = i
        order.insert(place, dim)
    return order[::-1]


def _lies_outside(steps: list[list[int]], dim: int, other: int) -> bool | None:
    """Whether a dim is an outer one, compared with another; None where no operand says so, because it broadcasts."""
    found = None
    for of_operand in steps:
        if of_operand[dim] and of_operand[other]:
            if of_operand[other] <= of_operand[dim]:
                return True
            found = False
    return found


def seen_as(shape: Shape, strides: Shape, target: Shape) -> Shape | None:
    """The strides under which the same memory has another shape of as many elements; None where that needs a copy."""
    if 0 in shape:
        return contiguous(target, 1)
    runs: list[list[int]] = []  # neighbouring dims that are one evenly spaced run: its length, and its step
    for n, stride in zip(shape, strides, strict=True):
        if n == 1:
            continue
        if runs and runs[-1][1] == n * stride:
            runs[-1] = [runs[-1][0] * n, stride]
        else:
            runs.append([n, stride])
    result = [0] * len(target)
    dim = len(target)
    for length, step in reversed(runs):
        covered = 1
        while covered < length:
            dim -= 1
            result[dim] = step * covered
            covered *= target[dim]
        if covered != length:
            return None
    return tuple(result)


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """The shape that shapes broadcast to.

    Raises:
        ValueError: if they do not.
    """
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    ndim = max(map(len, shapes))
    result = [1] * ndim
    for shape in shapes:
        for i, n in enumerate(shape, ndim - len(shape)):
            if n != 1:
                if result[i] not in (1, n):
                    raise ValueError(f"expected shapes that broadcast, got {' and '.join(map(str, shapes))}")
                result[i] = n
    return tuple(result)


def resolved(size: int, shape: Sequence[int]) -> Shape:
    """A shape for so many elements, in which one -1 may stand for what is left.

    Raises:
        ValueError: if it does not hold them.
    """
    known = prod(n for n in shape if n != -1)
    found = tuple((size // known if known else 0) if n == -1 else n for n in shape)
    if prod(found) != size:
        raise ValueError(f"expected a shape for {size} elements, got {tuple(shape)}")
    return found
