"""``x[index]`` and ``x[index] = value``, with everything that NumPy and PyTorch take as an index.

An index is read in two steps, as PyTorch does it. Integers, slices, ``None`` and ``...`` are the basic part, which shows a
view. Masks and tensors of integers are the advanced part, which picks elements of that view into new memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._tensor import Tensor
from ..autograd.inplace import write
from ..autograd.operation import Operation, wrap
from ..backends import backend_of
from ..dtypes import FLOATING, as_number, int64, uint8
from ..dtypes import bool as bool_dtype
from .arguments import as_integer, fitting_number
from .broadcasting import sum_to
from .conversion import Copy, broadcasts_to, to
from .creation import as_tensor
from .slicing import Placed

__all__ = ["getitem", "setitem"]

_ALL = slice(None)


# --- operations --------------------------------------------------------------------------------------------------------


class GetItem(Operation):
    """A view: the basic part of an index."""

    is_view = True

    def __init__(self, index: tuple[Any, ...]):
        self.index = index

    def forward(self, x: Any) -> Any:
        self.source = x.shape
        return x[(*self.index, ...)]

    def backward(self, grad: Tensor) -> Tensor:
        return Placed(GetItem(self.index), self.source).apply(grad)


class Indexed(Operation):
    """An operation whose inputs from number ``first`` on are an advanced index.

    That is a tensor of integers for each dim (None for all of the dim), or one mask for several dims.
    """

    first = 1

    def keep_index(self, index: tuple[Any, ...]) -> tuple[Any, ...]:
        """Save the index for backward, and return what arrays are indexed by."""
        self.count = len(index)
        for i in range(self.count):
            self.save_input(self.first + i)
        return tuple(_ALL if item is None else item for item in index)

    def index(self) -> list[Tensor | None]:
        """The index that was saved."""
        return [self.input(self.first + i) for i in range(self.count)]


class Index(Indexed):
    """The elements at an advanced index, in memory of their own."""

    def forward(self, x: Any, *index: Any) -> Any:
        self.source = x.shape
        return self.backend.pick(x, self.keep_index(index))

    def backward(self, grad: Tensor) -> tuple[Tensor | None, ...]:
        return IndexSum(self.source).apply(grad, *self.index()), *(None,) * self.count


class IndexSum(Indexed):
    """Zeros to which a tensor is added at an advanced index: the adjoint of Index."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, values: Any, *index: Any) -> Any:
        result = self.xp.zeros(self.shape, dtype=values.dtype)
        self.backend.index_add(result, self.keep_index(index), values)
        return result

    def backward(self, grad: Tensor) -> tuple[Tensor | None, ...]:
        return Index().apply(grad, *self.index()), *(None,) * self.count


class IndexPut(Indexed):
    """A copy with other values at an advanced index; of equal places any one may win."""

    first = 2
    takes_out = True

    def fit(self, target: Tensor, value: Any, *index: Any) -> tuple[Any, ...]:
        if isinstance(value, Tensor):
            value = to(value, device=target.device, dtype=target.dtype)
        return target, value, *index

    def forward(self, x: Any, value: Any, *index: Any, out: Any = None) -> Any:  # type: ignore[override]
        self.value_shape = getattr(value, "shape", ())
        result = self.xp.array(x, copy=True) if out is None else out
        result[self.keep_index(index)] = value
        return result

    def backward(self, grad: Tensor) -> tuple[Tensor | None, ...]:
        index = self.index()
        rest = IndexPut().apply(grad, 0, *index) if self.needs(0) else None
        value = sum_to(Index().apply(grad, *index), self.value_shape) if self.needs(1) else None
        return rest, value, *(None,) * self.count


# --- the public functions ----------------------------------------------------------------------------------------------


def getitem(input: Tensor, index: Any) -> Tensor:
    """``input[index]``.

    Args:
        input: any tensor.
        index: an integer, a slice with a positive step, ``...``, ``None``, a tensor, array or list of integers or bools, or a
            tuple of such.

    Returns:
        A view where the index has no tensor, array or list in it; else a copy, whose gradient adds up over equal places. The
        dims of the tensors in an index are where the first of them stood, or in front if a slice stands between two of them.

    Raises:
        IndexError: if an index is out of range, there are more than dims, or something in it is no index; ValueError if a
            slice's step is not positive.

    >>> import minigrad
    >>> x = minigrad.arange(6).reshape(2, 3)
    >>> minigrad.ops.getitem(x, (0, slice(1, 3)))
    tensor([1, 2])
    >>> x[:, [2, 0]]
    tensor([[2, 0],
            [5, 3]])
    >>> x[x > 3]
    tensor([4, 5])
    """
    basic, advanced = parse("getitem", input, index)
    if not advanced:
        return GetItem(basic).apply(input)
    return Index().apply(_basic_part(input, basic), *advanced)


def setitem(input: Tensor, index: Any, value: Any) -> None:
    """``input[index] = value``: in place, and recorded as such.

    Args:
        input: any tensor.
        index: as for ``getitem``. Where it names a place twice, either value may stay.
        value: a number, or a tensor (or what ``as_tensor`` makes one of) that broadcasts to the shape of ``input[index]``; it
            is converted to the input's dtype and device.

    Raises:
        IndexError: as ``getitem``; ValueError if the value's shape does not broadcast; RuntimeError if the tape forbids the
            write; OverflowError if a number does not fit into the input's dtype.

    >>> import minigrad
    >>> x = minigrad.zeros(2, 3)
    >>> minigrad.ops.setitem(x, (slice(None), 1), 5)
    >>> x[0, [0, 2]] = minigrad.tensor([1.0, 2.0])
    >>> x
    tensor([[1., 5., 2.],
            [0., 5., 0.]])
    """
    basic, advanced = parse("setitem", input, index)
    if not isinstance(value, Tensor):
        number = as_number(value)
        value = as_tensor(value, device=input.device) if number is None else fitting_number("setitem", number, input.dtype)
    target = _basic_part(input, basic)
    if isinstance(value, Tensor):
        shape = _shape_of(target.shape, advanced)
        if not broadcasts_to(value.shape, shape):
            raise ValueError(f"setitem: expected a value whose shape broadcasts to {shape}, got {value.shape}")
        if value.ndim > len(shape):
            value = value.reshape(value.shape[value.ndim - len(shape) :])
    if advanced:
        write(target, IndexPut(), value, *advanced)
    else:
        write(target, Copy(), value)


def _basic_part(input: Tensor, basic: tuple[Any, ...]) -> Tensor:
    """The view that the basic part of an index shows; the tensor itself where that is all of it."""
    if all(type(item) is slice and item == _ALL for item in basic):
        return input
    return GetItem(basic).apply(input)


# --- reading an index --------------------------------------------------------------------------------------------------


def parse(name: str, x: Tensor, index: Any) -> tuple[tuple[Any, ...], list[Tensor | None]]:
    """The basic part of an index, and for each dim of the view that it shows a tensor or None: the advanced part, if any."""
    if type(index) is int and x.array.ndim:
        return (_within(name, x.shape, 0, index),), []
    items = _without_ellipsis(name, x, [_as_item(name, x, item) for item in (index if type(index) is tuple else (index,))])
    masks = [item for item in items if isinstance(item, Tensor) and item.dtype == bool_dtype]
    single = len(masks) == 1 and sum(isinstance(item, Tensor) for item in items) == 1 and masks[0].ndim > 0
    basic: list[Any] = []
    advanced: list[Tensor | None] = []
    dim = 0
    for item in items:
        if item is None:
            basic.append(None)
            advanced.append(None)
        elif isinstance(item, slice):
            basic.append(item)
            advanced.append(None)
            dim += 1
        elif not isinstance(item, Tensor):
            basic.append(_within(name, x.shape, dim, item))
            dim += 1
        elif item.dtype != bool_dtype:
            check_range(name, item, x.shape, dim)
            basic.append(_ALL)
            advanced.append(item)
            dim += 1
        else:
            _check_mask(name, item, x.shape, dim)
            basic.extend([_ALL] * item.ndim if item.ndim else [None])
            advanced.extend([item] if single else _places(item))
            dim += item.ndim
    tensors = [item for item in advanced if item is not None]
    if len(tensors) > 1:
        _joint_shape(name, tensors)
    return tuple(basic), advanced if tensors else []


def _as_item(name: str, x: Tensor, item: Any) -> Any:
    """One item of an index as an int, a slice, None, an Ellipsis, or a tensor of integers or bools on the right device."""
    if type(item) is int or item is None or item is Ellipsis:
        return item
    if isinstance(item, slice):
        return _as_slice(name, item)
    if not isinstance(item, Tensor):
        if isinstance(item, (str, bytes, float)) or not (isinstance(item, (bool, Sequence)) or hasattr(item, "__array__")):
            if hasattr(item, "__index__"):
                return item.__index__()
            raise IndexError(
                f"{name}: expected integers, slices, ..., None, or tensors, arrays and lists of integers or bools, "
                f"got {type(item).__name__}"
            )
        on_host = not hasattr(item, "dtype") or hasattr(item, "__array_interface__")
        item = as_tensor(item, device="cpu" if on_host else None)
        if item.shape[-1:] == (0,) and item.dtype in FLOATING:  # an empty list
            item = item.long()
    if item.dtype in FLOATING or item.dtype == uint8:
        advice = "; .bool() makes a mask of it, .long() indices" if item.dtype == uint8 else ""
        raise IndexError(f"{name}: expected a tensor of integers or bools as an index, got {item.dtype}{advice}")
    if item.ndim == 0 and item.dtype != bool_dtype:
        return int(item)
    return to(item, device=x.device) if item.dtype == bool_dtype else to(item, device=x.device, dtype=int64)


def _as_slice(name: str, item: slice) -> slice:
    """The slice with Python's integers in it."""
    parts = (item.start, item.stop, item.step)
    start, stop, step = (None if part is None else as_integer(name, "in a slice", part) for part in parts)
    if step is not None and step < 1:
        raise ValueError(f"{name}: expected a slice with a positive step, got step {step}; flip() reverses a dim")
    return slice(start, stop, step)


def _without_ellipsis(name: str, x: Tensor, items: list[Any]) -> list[Any]:
    """The items with full slices for ``...``."""
    used = sum(
        item.ndim if isinstance(item, Tensor) and item.dtype == bool_dtype else item is not None and item is not Ellipsis
        for item in items
    )
    if used > x.ndim:
        raise IndexError(f"{name}: expected at most {x.ndim} indices for shape {x.shape}, got {used}")
    places = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(places) > 1:
        raise IndexError(f"{name}: expected at most one ellipsis in an index, got {len(places)}")
    if not places:
        return items
    return items[: places[0]] + [_ALL] * (x.ndim - used) + items[places[0] + 1 :]


def _within(name: str, shape: tuple[int, ...], dim: int, index: int) -> int:
    """An integer index counted from the front."""
    size = shape[dim]
    if not -size <= index < size:
        raise IndexError(f"{name}: expected an index in [{-size}, {size - 1}] for dim {dim} of size {size}, got {index}")
    return index + size if index < 0 else index


def check_range(name: str, index: Tensor, shape: tuple[int, ...], dim: int, from_end: bool = True) -> None:
    """Raise IndexError if a tensor of indices into a dim has one that is out of range, where that is cheap to know."""
    if not index.array.size:
        return
    bounds = backend_of(index.array).index_bounds(index.array)
    size = shape[dim] if shape else 1
    lowest = -size if from_end else 0
    if bounds is not None and (bounds[0] < lowest or bounds[1] >= size):
        wrong = bounds[0] if bounds[0] < lowest else bounds[1]
        raise IndexError(f"{name}: expected indices in [{lowest}, {size - 1}] for dim {dim} of size {size}, got {wrong}")


def _check_mask(name: str, mask: Tensor, shape: tuple[int, ...], dim: int) -> None:
    shown = shape[dim : dim + mask.ndim]
    if mask.shape != shown:
        raise IndexError(f"{name}: expected a mask of shape {shown} at dim {dim} of {shape}, got {mask.shape}")


def _joint_shape(name: str, tensors: list[Tensor]) -> tuple[int, ...]:
    """The shape that the tensors of an index broadcast to."""
    ndim = max(tensor.ndim for tensor in tensors)
    padded = [(1,) * (ndim - tensor.ndim) + tensor.shape for tensor in tensors]
    joint = tuple(next((n for n in sizes if n != 1), 1) for sizes in zip(*padded))
    if any(n not in (1, m) for shape in padded for n, m in zip(shape, joint)):
        shapes = " and ".join(str(tensor.shape) for tensor in tensors)
        raise IndexError(f"{name}: expected tensors of indices whose shapes broadcast, got {shapes}")
    return joint


def _shape_of(shape: tuple[int, ...], advanced: list[Tensor | None]) -> tuple[int, ...]:
    """The shape of what an advanced index picks out of a shape."""
    found = [(i, item) for i, item in enumerate(advanced) if item is not None]
    if not found:
        return shape
    first, tensor = found[0]
    if tensor.dtype == bool_dtype:
        count = backend_of(tensor.array).xp.count_nonzero(tensor.array).item()
        return (*shape[:first], count, *shape[first + tensor.ndim :])
    places = [i for i, _ in found]
    joint = _joint_shape("setitem", [item for _, item in found])
    others = [n for i, n in enumerate(shape) if i not in places]
    if places[-1] - first + 1 != len(places):  # a slice stands between two tensors
        first = 0
    return (*others[:first], *joint, *others[first:])


def _places(mask: Tensor) -> list[Tensor | None]:
    """Where a mask is true: a tensor of indices for each of its dims; for a 0-d mask, into a dim of size 1."""
    array = mask.array.reshape(1) if mask.ndim == 0 else mask.array
    return [wrap(places) for places in backend_of(array).xp.nonzero(array)]
