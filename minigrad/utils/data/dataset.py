"""Datasets: where samples come from, and ways to join them and to part them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from math import isclose
from typing import Any, Generic, TypeVar

from ... import ops
from ..._tensor import Tensor

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Base class of datasets: give ``__getitem__``, and ``__len__`` so that samples can be counted and shuffled.

    >>> from minigrad.utils.data import Dataset
    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 5
    ...     def __getitem__(self, index):
    ...         return index**2
    >>> Squares()[3]
    9
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__}.__getitem__")

    def __add__(self, other: Dataset[Any]) -> Dataset[Any]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """Base class of datasets whose samples come one after the other: give ``__iter__``.

    >>> from minigrad.utils.data import DataLoader, IterableDataset
    >>> class Countdown(IterableDataset):
    ...     def __iter__(self):
    ...         yield from (3, 2, 1)
    >>> list(DataLoader(Countdown(), batch_size=2))
    [tensor([3, 2]), tensor([1])]
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__}.__iter__")

    def __add__(self, other: Dataset[Any]) -> Dataset[Any]:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Tensors whose first dim counts the samples; a sample is a tuple of one part of each.

    A list of indices gives them all at once: a ``DataLoader`` makes its batches so, by one operation per tensor.

    Args:
        tensors: at least one, each (N, ...) with the same N.

    Raises:
        TypeError: if one is no Tensor; ValueError if they do not have one N.

    >>> import minigrad
    >>> data = minigrad.utils.data.TensorDataset(minigrad.ones(3, 2), minigrad.arange(3))
    >>> data[1]
    (tensor([1., 1.]), tensor(1))
    >>> data[[2, 0]][1]
    tensor([2, 0])
    """

    def __init__(self, *tensors: Tensor):
        if not tensors:
            raise ValueError("TensorDataset: expected at least one tensor, got none")
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                raise TypeError(f"TensorDataset: expected Tensors, got a {type(tensor).__name__}")
        if any(tensor.shape[:1] != tensors[0].shape[:1] or tensor.ndim == 0 for tensor in tensors):
            shapes = ", ".join(str(tensor.shape) for tensor in tensors)
            raise ValueError(f"TensorDataset: expected tensors (N, ...) with one N, got shapes {shapes}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        if isinstance(index, list):
            index = ops.tensor(index, dtype="int64", device="cpu")
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0]


class ConcatDataset(Dataset[T_co]):
    """The samples of several datasets, one dataset after the other; also ``a + b``.

    Args:
        datasets: at least one, each with a length.

    Raises:
        ValueError: if there is none; TypeError if one is an IterableDataset.

    >>> from minigrad.utils.data import ConcatDataset
    >>> data = ConcatDataset(["ab", "cde"])
    >>> len(data), data[3], data[-1]
    (5, 'd', 'e')
    """

    def __init__(self, datasets: Iterable[Dataset[T_co]]):
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: expected at least one dataset, got none")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise TypeError("ConcatDataset: expected datasets with indices, got an IterableDataset; ChainDataset joins those")
        self.cumulative_sizes = list(accumulate(len(dataset) for dataset in self.datasets))  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> T_co:
        index = _from_front("ConcatDataset", index, len(self))
        i = bisect_right(self.cumulative_sizes, index)
        return self.datasets[i][index - (self.cumulative_sizes[i - 1] if i else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


class ChainDataset(IterableDataset[T_co]):
    """The samples of several IterableDatasets, one dataset after the other; also ``a + b``.

    Args:
        datasets: IterableDatasets.

    Raises:
        TypeError: if one is none.

    >>> from minigrad.utils.data import ChainDataset, IterableDataset
    >>> class Letters(IterableDataset):
    ...     def __iter__(self):
    ...         return iter("ab")
    >>> list(ChainDataset([Letters(), Letters()]))
    ['a', 'b', 'a', 'b']
    """

    def __init__(self, datasets: Iterable[Dataset[T_co]]):
        self.datasets = list(datasets)
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise TypeError(f"ChainDataset: expected IterableDatasets, got a {type(dataset).__name__}")

    def __iter__(self) -> Iterator[T_co]:
        for dataset in self.datasets:
            yield from dataset  # type: ignore[misc]

    def __len__(self) -> int:
        return sum(map(len, self.datasets))  # type: ignore[arg-type]


class Subset(Dataset[T_co]):
    """Some of a dataset's samples, in an order of their own.

    Args:
        dataset: where they are.
        indices: which they are.

    >>> from minigrad.utils.data import Subset
    >>> data = Subset("abcd", [3, 1])
    >>> len(data), data[0]
    (2, 'd')
    """

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]):
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> T_co:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> list[T_co]:
        """Several samples, by the dataset's own ``__getitems__`` if it has one."""
        fetch = getattr(self.dataset, "__getitems__", None)
        if fetch is None or type(self).__getitem__ is not Subset.__getitem__:
            return [self[i] for i in indices]
        return fetch([self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


def random_split(
    dataset: Dataset[T_co], lengths: Sequence[float], generator: ops.Generator | None = None
) -> list[Subset[T_co]]:
    """Part a dataset at random into subsets that do not overlap.

    Args:
        dataset: what to part.
        lengths: the size of each part, together ``len(dataset)``; or fractions, together 1: each part is rounded down, and
            what is left over goes to the first parts, a sample each.
        generator: where the random numbers come from (default: the CPU's default generator).

    Raises:
        ValueError: if a length is negative, or their sum is neither of these.

    >>> import minigrad
    >>> parts = minigrad.utils.data.random_split(range(10), [0.75, 0.25])
    >>> [len(part) for part in parts]
    [8, 2]
    """
    size = len(dataset)  # type: ignore[arg-type]
    if any(length < 0 for length in lengths):
        raise ValueError(f"random_split: expected lengths from 0 up, got {list(lengths)}")
    if sum(lengths) == size and all(length == int(length) for length in lengths):
        sizes = [int(length) for length in lengths]
    elif isclose(sum(lengths), 1):
        sizes = [int(size * fraction) for fraction in lengths]
        for i in range(size - sum(sizes)):
            sizes[i] += 1
    else:
        raise ValueError(
            f"random_split: expected lengths whose sum is {size}, or fractions whose sum is 1, got {list(lengths)}"
        )
    order = ops.randperm(size, generator=generator or ops.default_generator).tolist()
    ends = accumulate(sizes)
    return [Subset(dataset, order[end - length : end]) for end, length in zip(ends, sizes)]


def _from_front(name: str, index: int, size: int) -> int:
    if not -size <= index < size:
        raise IndexError(f"{name}: expected an index from {-size} to {size - 1}, got {index}")
    return index + size if index < 0 else index
