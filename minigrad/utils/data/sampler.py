"""Samplers: the indices of a dataset's samples, in the order in which they are to come.

A random order is drawn when the iterator is made, all of it, so that it depends on nothing but the generator's state then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, Generic, TypeVar

from ... import ops
from ..._tensor import Tensor

T_co = TypeVar("T_co", covariant=True)


class Sampler(Generic[T_co]):
    """Base class of samplers: give ``__iter__``, and ``__len__`` if a loader is to know its length.

    >>> from minigrad.utils.data import DataLoader, Sampler
    >>> class Backwards(Sampler):
    ...     def __iter__(self):
    ...         return iter([2, 1, 0])
    >>> list(DataLoader("abc", batch_size=3, sampler=Backwards()))
    [['c', 'b', 'a']]
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__}.__iter__")


class SequentialSampler(Sampler[int]):
    """All indices in their order.

    Args:
        data_source: what to sample from.

    >>> from minigrad.utils.data import SequentialSampler
    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized):
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """All indices in a random order.

    Args:
        data_source: what to sample from.
        replacement: draw each index independently, so that one may come twice.
        num_samples: how many (default: as many as there are). More than there are without replacement: one order after
            another.
        generator: where the random numbers come from (default: the CPU's default generator).

    Raises:
        ValueError: if ``num_samples`` is no positive integer.

    >>> from minigrad.utils.data import RandomSampler
    >>> sorted(RandomSampler("abc"))
    [0, 1, 2]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: ops.Generator | None = None,
    ):
        if num_samples is not None:
            _check_positive("RandomSampler", "num_samples", num_samples)
        self.data_source = data_source
        self.replacement = replacement
        self.generator = generator
        self._num_samples = num_samples

    @property
    def num_samples(self) -> int:
        """How many indices come."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        size, wanted = len(self.data_source), self.num_samples
        if size == 0:
            return iter(())
        if self.replacement:
            return iter(ops.randint(size, (wanted,), generator=self.generator or ops.default_generator).tolist())
        order: list[int] = []
        while len(order) < wanted:
            order += ops.randperm(size, generator=self.generator or ops.default_generator).tolist()
        return iter(order[:wanted])

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """Some indices in a random order.

    Args:
        indices: which.
        generator: where the random numbers come from (default: the CPU's default generator).

    >>> from minigrad.utils.data import SubsetRandomSampler
    >>> sorted(SubsetRandomSampler([5, 7]))
    [5, 7]
    """

    def __init__(self, indices: Sequence[int], generator: ops.Generator | None = None):
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        order = ops.randperm(len(self.indices), generator=self.generator or ops.default_generator).tolist()
        return (self.indices[i] for i in order)

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Indices drawn with given probabilities.

    Args:
        weights: for each index how often it should come, in proportion; they need not sum to 1.
        num_samples: how many to draw.
        replacement: whether an index may come again.
        generator: where the random numbers come from (default: the CPU's default generator).

    Raises:
        ValueError: if ``num_samples`` is no positive integer or the weights are no probabilities; without replacement, if
            too few weights are above 0.

    >>> from minigrad.utils.data import WeightedRandomSampler
    >>> list(WeightedRandomSampler([0, 2.5, 0], num_samples=3))
    [1, 1, 1]
    """

    def __init__(
        self,
        weights: Sequence[float] | Tensor,
        num_samples: int,
        replacement: bool = True,
        generator: ops.Generator | None = None,
    ):
        _check_positive("WeightedRandomSampler", "num_samples", num_samples)
        device = weights.device if isinstance(weights, Tensor) else "cpu"
        self.weights = ops.as_tensor(weights, dtype="float64", device=device)
        if self.weights.ndim != 1:
            raise ValueError(f"WeightedRandomSampler: expected weights (N,), got shape {self.weights.shape}")
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        drawn = ops.multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator)
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Another sampler's indices, in lists.

    Args:
        sampler: where the indices come from.
        batch_size: how many to a list.
        drop_last: leave out a last list that would be shorter.

    Raises:
        ValueError: if ``batch_size`` is no positive integer.

    >>> from minigrad.utils.data import BatchSampler
    >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool):
        _check_positive("BatchSampler", "batch_size", batch_size)
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        return self._batches(iter(self.sampler))

    def _batches(self, indices: Iterator[int]) -> Iterator[list[int]]:
        while batch := list(islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        size = len(self.sampler)  # type: ignore[arg-type]
        return size // self.batch_size if self.drop_last else -(-size // self.batch_size)


def _check_positive(owner: str, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{owner}: expected {name} to be a positive integer, got {value!r}")
