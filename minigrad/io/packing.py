"""Which bytes to write for some arrays, so that those that share memory share it in the file, and no others go along.

Arrays whose bytes overlap (tied weights, a view and its base) get one storage that spans them; every other array gets a
storage of its own. So a row of a large matrix takes a row's bytes. A window with holes that no other array looks into,
such as a column, is closed up; other strides are kept. Memory shared under two dtypes is written twice, and negative
strides are copied away, as torch has neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an array is in the file: the number of its storage, and its window on it; all in elements."""

    storage: int
    storage_size: int
    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes of memory from an array's first element to behind its last one."""

    array: np.ndarray
    low: int
    high: int


def pack(arrays: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[Placement]]:
    """The storages to write, each a contiguous (n,) array, and each array's place in them.

    Storages are numbered in the order in which the arrays first need them, and share the arrays' memory where they can.
    """
    spans = [span_of(as_storable(array)) for array in arrays]
    storages: list[np.ndarray] = []
    placements: dict[int, Placement] = {}
    for group in overlapping_groups(spans):
        members = [spans[index] for index in group]
        storage, windows = pack_group(members)
        for index, (offset, strides) in zip(group, windows):
            placements[index] = Placement(len(storages), len(storage), offset, spans[index].array.shape, strides)
        storages.append(storage)
    return storages, [placements[index] for index in range(len(spans))]


def pack_group(members: list[Span]) -> tuple[np.ndarray, list[tuple[int, tuple[int, ...]]]]:
    """One storage for spans that overlap, and each one's (offset, strides) on it."""
    first = min(members, key=lambda span: span.low)
    length = (max(span.high for span in members) - first.low) // first.array.itemsize
    alone = all(member.low == first.low and same_window(member.array, first.array) for member in members)
    if alone and first.array.size < length:
        dense = first.array.copy(order="K")
        return dense.ravel(order="K"), [(0, element_strides(dense)) for _ in members]
    # Every byte here belongs to the memory of one of the arrays: spans that overlap lie in one allocation.
    whole = as_strided(first.array, (length,), (first.array.itemsize,), writeable=False)
    return whole, [((span.low - first.low) // span.array.itemsize, element_strides(span.array)) for span in members]


def overlapping_groups(spans: list[Span]) -> list[list[int]]:
    """The spans' indices, those that share bytes in one group; groups in the order of their first members."""
    groups = [[index] for index, span in enumerate(spans) if span.array.size == 0]
    comparable: dict[tuple, list[int]] = {}
    for index, span in enumerate(spans):
        if span.array.size > 0:
            comparable.setdefault((span.array.dtype, span.low % span.array.itemsize), []).append(index)
    for indices in comparable.values():
        reach = -1
        for index in sorted(indices, key=lambda index: spans[index].low):
            if spans[index].low < reach:
                groups[-1].append(index)
            else:
                groups.append([index])
            reach = max(reach, spans[index].high)
    return sorted((sorted(group) for group in groups), key=lambda group: group[0])


def as_storable(array: np.ndarray) -> np.ndarray:
    """The array, or a copy where its byte order or its strides have no place in a file."""
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    if all(stride >= 0 and stride % array.itemsize == 0 for stride in walked_strides(native)):
        return native
    return native.copy(order="K")


def walked_strides(array: np.ndarray) -> list[int]:
    """The strides that lead from one element to another, in bytes."""
    return [stride for size, stride in zip(array.shape, array.strides) if size > 1] if array.size else []


def span_of(array: np.ndarray) -> Span:
    low = array.__array_interface__["data"][0]
    if array.size == 0:
        return Span(array, low, low)
    reach = sum((size - 1) * stride for size, stride in zip(array.shape, array.strides) if size > 1)
    return Span(array, low, low + reach + array.itemsize)


def same_window(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and walked_strides(a) == walked_strides(b)


def element_strides(array: np.ndarray) -> tuple[int, ...]:
    """The strides in elements; those that are never walked may be anything, and become what a file can hold."""
    return tuple(max(stride, 0) // array.itemsize for stride in array.strides)
