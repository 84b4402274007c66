"""Joining samples into a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ... import ops
from ..._tensor import Tensor
from ...dtypes import FLOATING


def default_collate(batch: Sequence[Any]) -> Any:
    """A batch from a list of samples that are made alike.

    Tensors, and NumPy's arrays, are stacked along a new first dim; numbers become a tensor (floats a float64 one, also where
    some of them are NumPy's); strings stay a list. Of dicts, named tuples and lists each entry is joined by itself; of plain
    tuples too, and they become lists.

    Args:
        batch: at least one sample.

    Raises:
        TypeError: if a sample is none of these.
        ValueError: if the samples differ in shape, in length, in their keys, or in their kind.

    >>> import minigrad
    >>> minigrad.utils.data.default_collate([{"x": 1.5, "name": "a"}, {"x": 2.5, "name": "b"}])
    {'x': tensor([1.5, 2.5], dtype=float64), 'name': ['a', 'b']}
    >>> minigrad.utils.data.default_collate([(minigrad.ones(2), 0), (minigrad.zeros(2), 1)])
    [tensor([[1., 1.],
            [0., 0.]]), tensor([0, 1])]
    """
    if not batch:
        raise ValueError("default_collate: expected at least one sample, got none")
    if not _alike(batch):
        kinds = sorted({type(sample).__name__ for sample in batch})
        batch = [_plain(sample) for sample in batch]
        if not _alike(batch):
            raise ValueError(f"default_collate: expected samples of one kind, got {', '.join(kinds)}")
    first = batch[0]
    if _is_array(first):
        return _stack([ops.as_tensor(sample) for sample in batch])
    if isinstance(first, (str, bytes)):
        return list(batch)
    if isinstance(first, (int, float)):
        floating = any(isinstance(sample, float) for sample in batch)
        return ops.tensor(list(batch), dtype="float64" if floating else None, device="cpu")
    if isinstance(first, Mapping):
        if any(sample.keys() != first.keys() for sample in batch):
            raise ValueError(f"default_collate: expected dicts with one set of keys, got {_all([list(s) for s in batch])}")
        return _like(first, {key: default_collate([sample[key] for sample in batch]) for key in first})
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise ValueError(f"default_collate: expected samples of one length, got {_all([len(s) for s in batch])}")
        return _like(first, [default_collate(entries) for entries in zip(*batch)])
    raise TypeError(
        "default_collate: expected tensors, arrays, numbers, strings, and dicts, tuples and lists of them, "
        f"got a {type(first).__name__}; pass a collate_fn"
    )


def default_convert(data: Any) -> Any:
    """A sample as it is, with tensors in place of NumPy's arrays and scalars.

    >>> import minigrad, numpy
    >>> minigrad.utils.data.default_convert({"x": numpy.ones(2), "name": "a"})
    {'x': tensor([1., 1.], dtype=float64), 'name': 'a'}
    """
    if _is_array(data):
        return ops.as_tensor(data)
    if isinstance(data, Mapping):
        return _like(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like(data, [default_convert(value) for value in data])
    return data


def _is_array(value: Any) -> bool:
    """Whether it is a tensor, or an array or scalar of numbers from elsewhere."""
    if isinstance(value, Tensor):
        return True
    return hasattr(value, "__array_interface__") and (value.dtype.kind in "iub" or value.dtype in FLOATING)


def _alike(batch: Sequence[Any]) -> bool:
    first = batch[0]
    return all(isinstance(sample, type(first)) or _both_numbers(sample, first) for sample in batch)


def _plain(value: Any) -> Any:
    """A number of NumPy's as one of Python's; anything else as it is."""
    return value.item() if _is_array(value) and not isinstance(value, Tensor) and value.ndim == 0 else value


def _both_numbers(a: Any, b: Any) -> bool:
    return isinstance(a, (int, float)) and isinstance(b, (int, float))


def _stack(tensors: list[Tensor]) -> Tensor:
    if any(tensor.shape != tensors[0].shape for tensor in tensors):
        raise ValueError(f"default_collate: expected tensors of one shape, got {_all([t.shape for t in tensors])}")
    return ops.stack(tensors)


def _all(values: list[Any]) -> str:
    """The different values among them, in order."""
    return ", ".join(dict.fromkeys(map(str, values)))


def _like(first: Any, joined: Any) -> Any:
    """What was joined, in a container of the samples' own type where that can be made from it."""
    if isinstance(first, tuple):
        return type(first)(*joined) if hasattr(first, "_fields") else joined
    make: Callable[[Any], Any] = type(first)
    try:
        return make(joined)
    except TypeError:
        return joined
