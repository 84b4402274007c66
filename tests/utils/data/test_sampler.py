"""Samplers: what comes, how often, in which order, and that the order depends on the generator alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad
from minigrad.utils.data import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

RANDOM = [
    lambda generator: RandomSampler(range(100), generator=generator),
    lambda generator: RandomSampler(range(100), replacement=True, generator=generator),
    lambda generator: RandomSampler(range(100), num_samples=250, generator=generator),
    lambda generator: SubsetRandomSampler(range(100), generator=generator),
    lambda generator: WeightedRandomSampler([1.0] * 100, 50, generator=generator),
    lambda generator: WeightedRandomSampler([1.0] * 100, 50, replacement=False, generator=generator),
]
random = pytest.mark.parametrize("make", RANDOM)


@given(st.integers(0, 30))
def test_sequential(size):
    sampler = SequentialSampler(range(size))
    assert list(sampler) == list(range(size))
    assert len(sampler) == size


@given(st.integers(0, 30), st.integers(1, 70), st.integers(0, 2**32))
def test_random_without_replacement_uses_all_before_any_again(size, wanted, seed):
    sampler = RandomSampler(range(size), num_samples=wanted, generator=minigrad.Generator().manual_seed(seed))
    found = list(sampler)
    assert len(found) == (len(sampler) if size else 0)
    for start in range(0, len(found), max(size, 1)):
        part = found[start : start + size]
        assert len(set(part)) == len(part)
        assert set(part) <= set(range(size))


def test_random_takes_all_by_default_and_follows_the_size():
    data = list(range(10))
    sampler = RandomSampler(data)
    assert sorted(sampler) == data
    assert (len(sampler), sampler.num_samples) == (10, 10)
    data.append(10)
    assert sorted(sampler) == data


def test_replacement_draws_independently():
    found = np.array(
        list(RandomSampler(range(10), replacement=True, num_samples=10_000, generator=minigrad.Generator().manual_seed(0)))
    )
    counts = np.bincount(found, minlength=10)
    assert counts.sum() == 10_000
    assert (abs(counts - 1000) < 5 * np.sqrt(900)).all()
    assert (np.sort(found[:10]) != np.arange(10)).any()


@given(st.lists(st.integers(), unique=True, max_size=20))
def test_subset_in_a_random_order(indices):
    sampler = SubsetRandomSampler(indices)
    assert sorted(sampler) == sorted(indices)
    assert len(sampler) == len(indices)


def test_weights_are_probabilities():
    sampler = WeightedRandomSampler([1, 0, 3], 8000, generator=minigrad.Generator().manual_seed(0))
    counts = np.bincount(list(sampler), minlength=3)
    assert counts[1] == 0
    assert abs(counts[0] - 2000) < 5 * np.sqrt(8000 * 0.25 * 0.75)
    assert len(sampler) == 8000
    assert sorted(WeightedRandomSampler(minigrad.tensor([1.0, 0, 3]), 2, replacement=False)) == [0, 2]


@given(st.integers(0, 30), st.integers(1, 8), st.booleans())
def test_batches_are_the_indices_in_order(size, batch_size, drop_last):
    sampler = BatchSampler(SequentialSampler(range(size)), batch_size, drop_last)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert all(len(batch) == batch_size for batch in batches[:-1])
    flat = [index for batch in batches for index in batch]
    assert flat == list(range(size - size % batch_size if drop_last else size))
    assert all(batches)


def test_batches_of_any_iterable():
    assert list(BatchSampler(iter("abc"), 2, False)) == [["a", "b"], ["c"]]


@random
def test_the_same_state_gives_the_same_order(make):
    generator = minigrad.Generator().manual_seed(7)
    sampler = make(generator)
    before = generator.get_state()
    first, second = list(sampler), list(sampler)
    assert first != second
    generator.set_state(before)
    assert list(sampler) == first
    assert list(sampler) == second


@random
def test_the_order_is_drawn_when_the_iterator_is_made(make):
    generator = minigrad.Generator().manual_seed(7)
    expected = list(make(generator))
    state = generator.get_state()
    generator.manual_seed(7)
    iterator = iter(BatchSampler(make(generator), 1, False))
    assert generator.get_state().tolist() == state.tolist()
    minigrad.rand(3, generator=generator)
    assert [index for (index,) in iterator] == expected


@random
def test_the_default_generator_is_the_default(make):
    minigrad.manual_seed(3)
    expected = list(make(None))
    minigrad.manual_seed(3)
    assert list(make(minigrad.default_generator)) == expected


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomSampler(range(3), num_samples=0), "RandomSampler: expected num_samples to be a positive integer, got 0"),
        (lambda: RandomSampler(range(3), num_samples=1.5), "RandomSampler: expected num_samples .* got 1.5"),
        (lambda: WeightedRandomSampler([1.0], True), "WeightedRandomSampler: expected num_samples .* got True"),
        (lambda: WeightedRandomSampler([[1.0]], 1), r"WeightedRandomSampler: expected weights \(N,\), got shape \(1, 1\)"),
        (lambda: list(WeightedRandomSampler([1.0, -1.0], 1)), "weights of at least 0"),
        (lambda: list(WeightedRandomSampler([1.0, 0.0], 2, replacement=False)), "multinomial"),
        (lambda: BatchSampler(range(3), 0, False), "BatchSampler: expected batch_size to be a positive integer, got 0"),
    ],
)
def test_bad_options(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_base_class_says_what_is_missing():
    with pytest.raises(NotImplementedError, match=r"Sampler\.__iter__"):
        iter(Sampler())
    with pytest.raises(TypeError):
        len(Sampler())
