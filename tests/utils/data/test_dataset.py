"""Datasets and random_split."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad
from minigrad.utils.data import ChainDataset, ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset, random_split


class Numbers(Dataset):
    def __init__(self, *numbers):
        self.numbers = numbers

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, index):
        return self.numbers[index]


class Stream(IterableDataset):
    def __init__(self, *numbers):
        self.numbers = numbers

    def __iter__(self):
        return iter(self.numbers)


def test_tensor_dataset():
    x, y = minigrad.arange(12).reshape(4, 3), minigrad.arange(4)
    data = TensorDataset(x, y)
    assert len(data) == 4
    assert data.tensors == (x, y)
    sample = data[2]
    assert isinstance(sample, tuple)
    assert [part.tolist() for part in sample] == [[6, 7, 8], 2]
    assert [part.tolist() for part in data[-1]] == [[9, 10, 11], 3]
    assert [part.tolist() for part in data[[3, 0, 3]]] == [[[9, 10, 11], [0, 1, 2], [9, 10, 11]], [3, 0, 3]]
    assert [part.tolist() for part in data[1:3]] == [[[3, 4, 5], [6, 7, 8]], [1, 2]]
    assert [part.shape for part in data[[]]] == [(0, 3), (0,)]


@pytest.mark.parametrize(
    ("tensors", "error", "message"),
    [
        ((), ValueError, "TensorDataset: expected at least one tensor, got none"),
        ((np.ones(2),), TypeError, "TensorDataset: expected Tensors, got a ndarray"),
        (
            (minigrad.ones(2), minigrad.ones(3)),
            ValueError,
            r"expected tensors \(N, ...\) with one N, got shapes \(2,\), \(3,\)",
        ),
        ((minigrad.tensor(1.0),), ValueError, r"got shapes \(\)"),
    ],
)
def test_bad_tensors(tensors, error, message):
    with pytest.raises(error, match=message):
        TensorDataset(*tensors)


@given(st.lists(st.lists(st.integers(), max_size=4), min_size=1, max_size=4))
def test_concat_is_a_list_of_all(parts):
    data = ConcatDataset([Numbers(*part) for part in parts])
    joined = [number for part in parts for number in part]
    assert len(data) == len(joined)
    assert [data[i] for i in range(len(data))] == joined
    assert [data[i] for i in range(-len(data), 0)] == joined
    for index in (len(joined), -len(joined) - 1):
        with pytest.raises(IndexError, match=f"ConcatDataset: expected an index from .* got {index}"):
            data[index]


def test_addition_concatenates():
    assert list(Numbers(1, 2) + Numbers(3)) == [1, 2, 3]
    chained = Stream(1, 2) + Stream(3)
    assert list(chained) == [1, 2, 3]
    assert list(chained) == [1, 2, 3]


def test_length_of_a_chain():
    class Sized(Stream):
        def __len__(self):
            return len(self.numbers)

    assert len(ChainDataset([Sized(1, 2), Sized(3)])) == 3
    with pytest.raises(TypeError):
        len(ChainDataset([Stream(1)]))


def test_what_cannot_be_joined():
    with pytest.raises(ValueError, match="ConcatDataset: expected at least one dataset, got none"):
        ConcatDataset([])
    with pytest.raises(TypeError, match="ConcatDataset: expected datasets with indices, got an IterableDataset"):
        ConcatDataset([Stream(1)])
    with pytest.raises(TypeError, match="ChainDataset: expected IterableDatasets, got a Numbers"):
        ChainDataset([Numbers(1)])


def test_subset():
    data = Subset(Numbers(10, 11, 12, 13), [3, 1])
    assert len(data) == 2
    assert list(data) == [13, 11]
    assert data[-1] == 11
    nested = Subset(Subset(TensorDataset(minigrad.arange(5) * 10), [4, 2, 0]), [2, 0])
    assert nested[[1, 0, 1]][0].tolist() == [40, 0, 40]


def test_base_classes_say_what_is_missing():
    with pytest.raises(NotImplementedError, match=r"Dataset\.__getitem__"):
        Dataset()[0]
    with pytest.raises(NotImplementedError, match=r"IterableDataset\.__iter__"):
        iter(IterableDataset())
    assert Dataset[int] is not Dataset  # as annotations have it


# --- random_split ------------------------------------------------------------------------------------------------------


def generator(seed=0):
    return minigrad.Generator().manual_seed(seed)


@given(st.lists(st.integers(0, 8), min_size=1, max_size=5), st.integers(0, 2**32))
def test_parts_are_disjoint_and_all_there(lengths, seed):
    data = Numbers(*range(100, 100 + sum(lengths)))
    parts = random_split(data, lengths, generator(seed))
    assert [len(part) for part in parts] == lengths
    assert sorted(sample for part in parts for sample in part) == list(data)
    again = random_split(data, lengths, generator(seed))
    assert [list(part) for part in parts] == [list(part) for part in again]


@given(st.integers(0, 40), st.lists(st.integers(1, 10), min_size=1, max_size=5))
def test_fractions(size, weights):
    fractions = [weight / sum(weights) for weight in weights]
    parts = random_split(range(size), fractions)
    for part, fraction in zip(parts, fractions, strict=True):
        assert int(size * fraction) <= len(part) <= size * fraction + 1
    assert sorted(i for part in parts for i in part.indices) == list(range(size))


@given(st.integers(2, 40), st.lists(st.integers(1, 10), min_size=2, max_size=5))
def test_sizes_by_fractions_are_torchs(size, weights):
    torch = pytest.importorskip("torch")
    fractions = [weight / sum(weights) for weight in weights]
    if sum(fractions) > 1:  # by rounding: torch refuses that
        fractions[-1] = 1 - sum(fractions[:-1])
    with warnings.catch_warnings(action="ignore"):
        expected = [len(part) for part in torch.utils.data.random_split(range(size), fractions)]
    assert [len(part) for part in random_split(range(size), fractions)] == expected


def test_parts_differ_by_seed_and_follow_the_default_generator():
    minigrad.manual_seed(1)
    first = random_split(range(50), [25, 25])[0].indices
    second = random_split(range(50), [25, 25])[0].indices
    minigrad.manual_seed(1)
    assert random_split(range(50), [25, 25])[0].indices == first
    assert first != second
    assert first != list(range(25))


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([3, 3], r"random_split: expected lengths whose sum is 5, or fractions whose sum is 1, got \[3, 3\]"),
        ([0.5, 0.4], "fractions whose sum is 1"),
        ([2.5, 2.5], "expected lengths whose sum is 5"),
        ([6, -1], "random_split: expected lengths from 0 up"),
        ([], "expected lengths whose sum is 5"),
    ],
)
def test_bad_lengths(lengths, message):
    with pytest.raises(ValueError, match=message):
        random_split(range(5), lengths)
