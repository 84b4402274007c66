"""DataLoader: a dataset's samples in batches, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from itertools import islice
from typing import Any, Generic, TypeVar

from ... import ops
from .collate import default_collate, default_convert
from .dataset import Dataset, IterableDataset, Subset, TensorDataset
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler

T_co = TypeVar("T_co", covariant=True)


class DataLoader(Generic[T_co]):
    """Iterates over a dataset in batches, once per ``for``; PyTorch's DataLoader without worker processes.

    What a shuffled epoch's order depends on is the state of ``generator`` when the ``for`` begins, and nothing else. Batches of
    a ``TensorDataset``, also below ``Subset``, are taken by one operation per tensor.

    Args:
        dataset: with ``__getitem__`` and ``__len__``, and perhaps ``__getitems__``, which takes a list of indices and returns a
            list of samples; or an IterableDataset.
        batch_size: samples to a batch; None for single samples.
        shuffle: a new random order for each epoch.
        sampler: yields the indices, instead of ``shuffle``.
        batch_sampler: yields lists of indices, instead of ``batch_size``, ``shuffle``, ``sampler`` and ``drop_last``.
        num_workers: 0: samples are loaded in this process, when they are asked for.
        collate_fn: makes a batch of a list of samples (default: ``default_collate``).
        pin_memory: False.
        drop_last: leave out a last batch that would be smaller.
        timeout: 0; it is for workers, as the four below.
        worker_init_fn: None.
        multiprocessing_context: None.
        generator: where random orders come from (default: the CPU's default generator).
        prefetch_factor: None.
        persistent_workers: False.

    Raises:
        ValueError: if options exclude each other, or ask for workers or pinned memory; or if ``dataset``, ``batch_size``,
            ``drop_last`` or a sampler is set anew later on.

    >>> import minigrad
    >>> from minigrad.utils.data import DataLoader, TensorDataset
    >>> data = TensorDataset(minigrad.arange(5) * 10, minigrad.arange(5))
    >>> for images, labels in DataLoader(data, batch_size=2):
    ...     print(images, labels)
    tensor([ 0, 10]) tensor([0, 1])
    tensor([20, 30]) tensor([2, 3])
    tensor([40]) tensor([4])
    """

    _made = False

    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[list[int]] | Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: None = None,
        multiprocessing_context: None = None,
        generator: ops.Generator | None = None,
        *,
        prefetch_factor: None = None,
        persistent_workers: bool = False,
    ):
        _refuse_workers(
            num_workers=num_workers,
            pin_memory=pin_memory,
            timeout=timeout,
            worker_init_fn=worker_init_fn,
            multiprocessing_context=multiprocessing_context,
            prefetch_factor=prefetch_factor,
            persistent_workers=persistent_workers,
        )
        self.dataset = dataset
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.generator = generator
        self._check_choices(batch_size, shuffle, sampler, batch_sampler, drop_last)
        if batch_sampler is not None:
            batch_size = None
        elif isinstance(dataset, IterableDataset):
            sampler = None
        else:
            if sampler is None:
                sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)  # type: ignore[arg-type]
            if batch_size is not None:
                batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        in_batches = batch_size is not None or batch_sampler is not None
        self.collate_fn = collate_fn or (default_collate if in_batches else default_convert)
        self._made = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self._made and name in ("dataset", "batch_size", "drop_last", "sampler", "batch_sampler"):
            raise ValueError(f"DataLoader: expected {name} to stay as it was given, got another one; make a new DataLoader")
        super().__setattr__(name, value)

    def _check_choices(self, batch_size: Any, shuffle: Any, sampler: Any, batch_sampler: Any, drop_last: Any) -> None:
        """Raise where options exclude each other."""
        if batch_size is not None and (isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1):
            raise ValueError(f"DataLoader: expected batch_size to be a positive integer or None, got {batch_size!r}")
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: expected a sampler or shuffle=True, got both; the order is the sampler's")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError(
                "DataLoader: expected no batch_size, shuffle, sampler or drop_last beside a batch_sampler, "
                "which decides them all"
            )
        if batch_size is None and drop_last:
            raise ValueError("DataLoader: expected no drop_last with batch_size=None, got drop_last=True")
        if isinstance(self.dataset, IterableDataset) and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError(
                "DataLoader: expected no shuffle, sampler or batch_sampler for an IterableDataset, whose order is its own"
            )

    def __iter__(self) -> Iterator[Any]:
        # Iterators of Python's own go on after an error, as PyTorch's do; a generator would be at its end.
        if isinstance(self.dataset, IterableDataset):
            return map(self.collate_fn, self._in_turn(iter(self.dataset)))
        if self.batch_sampler is None:
            return map(self._sample, iter(self.sampler))  # type: ignore[arg-type]
        return map(self._batch, iter(self.batch_sampler))

    def _batch(self, indices: Iterable[int]) -> Any:
        dataset, indices = self.dataset, list(indices)
        if self.collate_fn is default_collate and _takes_lists(dataset):
            return list(dataset[indices])  # type: ignore[call-overload]
        fetch = getattr(dataset, "__getitems__", None)  # a dataset's own way to load many samples
        return self.collate_fn([dataset[i] for i in indices] if fetch is None else fetch(indices))

    def _sample(self, index: Any) -> Any:
        return self.collate_fn(self.dataset[index])  # type: ignore[arg-type]

    def _in_turn(self, samples: Iterator[Any]) -> Iterator[Any]:
        """The samples of an IterableDataset, or lists of them, where there are batches."""
        size = self.batch_size
        if size is None:
            return samples
        batches: Iterator[list[Any]] = iter(lambda: list(islice(samples, size)), [])
        return filter(lambda batch: len(batch) == size, batches) if self.drop_last else batches

    def __len__(self) -> int:
        """The number of batches, where the dataset or the sampler has a length."""
        if self.batch_sampler is not None:
            return _length(self.batch_sampler)
        size = _length(self.dataset if self.sampler is None else self.sampler)
        if self.batch_size is None:
            return size
        return size // self.batch_size if self.drop_last else -(-size // self.batch_size)


def _takes_lists(dataset: Any) -> bool:
    """Whether ``dataset[list]`` gives what collating the single samples would: tensors, below plain subsets."""
    while _is_plain(dataset, Subset):
        dataset = dataset.dataset
    return _is_plain(dataset, TensorDataset)


def _is_plain(dataset: Any, kind: type[Any]) -> bool:
    """Whether it is of that kind, and samples are fetched as there."""
    if not isinstance(dataset, kind):
        return False
    names = ("__getitem__", "__getitems__")
    return all(getattr(type(dataset), name, None) is getattr(kind, name, None) for name in names)


def _length(source: Any) -> int:
    if not isinstance(source, Sized):
        raise TypeError(f"len: expected a dataset or sampler with a length, got a {type(source).__name__} without __len__")
    return len(source)


def _refuse_workers(**options: Any) -> None:
    """Raise unless all these options have the value that stands for: in this process."""
    supported = {"num_workers": 0, "pin_memory": False, "timeout": 0, "persistent_workers": False}
    for name, value in options.items():
        if value != supported.get(name):
            raise ValueError(
                f"DataLoader: expected {name}={supported.get(name)}, got {value!r}; samples are loaded in the process that "
                "asks for them (batches of a TensorDataset in one operation), not in workers, and memory is not pinned"
            )
