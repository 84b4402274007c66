"""What an index picks out of an array without values: NumPy's rules for integers, slices, ``None``, ``...`` and arrays."""

from __future__ import annotations

from typing import Any

from .array import NO_VALUES, MetaArray, reached
from .field import ReceptiveField
from .strides import Shape, broadcast, in_order, memory_order


def indexed(array: MetaArray, index: Any) -> MetaArray:
    """``array[index]``: a view, or with arrays of integers in the index a new array.

    Raises:
        IndexError: if the index does not fit; RuntimeError for a mask, whose values would say how many elements there are.
    """
    items = _without_ellipsis(array, index if isinstance(index, tuple) else (index,))
    if not any(isinstance(item, MetaArray) for item in items):
        return _view(array, items)
    basic = _view(array, [slice(None) if isinstance(item, (MetaArray, int)) else item for item in items])
    places = [i for i, item in enumerate(items) if isinstance(item, (MetaArray, int))]
    arrays = [item for item in items if isinstance(item, MetaArray)]
    joint = broadcast([array.shape for array in arrays])
    others = [n for i, n in enumerate(basic.shape) if i not in places]
    first = places[0] if places[-1] - places[0] + 1 == len(places) else 0  # NumPy puts them in front if they stand apart
    shape = (*others[:first], *joint, *others[first:])
    picked = [first + i for i in memory_order(len(joint), [(array.shape, array.strides) for array in arrays])]
    order = [*picked, *(i for i in range(len(shape)) if i not in picked)]  # what is picked together lies together
    result = MetaArray(shape, basic.dtype, in_order(shape, order, basic.itemsize))
    reached(result, basic, *arrays)
    return result


def _without_ellipsis(array: MetaArray, items: tuple[Any, ...]) -> list[Any]:
    """One item for every dim, and the ``None`` among them."""
    for item in items:
        if isinstance(item, MetaArray) and item.dtype == bool:
            raise RuntimeError(f"{NO_VALUES}: how many elements a mask picks depends on its values")
    used = sum(item is not None and item is not Ellipsis for item in items)
    if used > array.ndim:
        raise IndexError(f"expected at most {array.ndim} indices for shape {array.shape}, got {used}")
    rest = [slice(None)] * (array.ndim - used)
    for i, item in enumerate(items):
        if item is Ellipsis:
            return [*items[:i], *rest, *items[i + 1 :]]
    return [*items, *rest]


def _view(array: MetaArray, items: list[Any]) -> MetaArray:
    shape: list[int] = []
    strides: list[int] = []
    steps: list[int] = []
    dim = 0
    for item in items:
        if item is None:
            shape.append(1)
            strides.append(0)
            continue
        n, stride = array.shape[dim], array.strides[dim]
        dim += 1
        if isinstance(item, slice):
            picked = range(n)[item]
            shape.append(len(picked))
            strides.append(stride * picked.step)
            steps.append(abs(picked.step))
            continue
        if not -n <= item < n:
            raise IndexError(f"index {item} is out of bounds for axis {dim - 1} with size {n}")
        steps.append(1)
    result = MetaArray(tuple(shape), array.dtype, tuple(strides), array)
    if array.ndim == 4 and result.field is not None:
        result.field = _with_steps(result.field, tuple(steps))
    return result


def _with_steps(field: ReceptiveField, steps: Shape) -> ReceptiveField:
    """The field of every so manieth row and column of planes (N, C, H, W)."""
    return ReceptiveField(field.size, (field.stride[0] * steps[2], field.stride[1] * steps[3]))
