"""DataLoader: batches, orders, resuming, and that tensors are gathered at once exactly where that is the same."""

import copy
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad
from minigrad import Tensor
from minigrad.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Subset,
    TensorDataset,
    random_split,
)


class Squares(Dataset):
    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return index**2


class Stream(IterableDataset):
    def __init__(self, size):
        self.size = size

    def __iter__(self):
        return iter(range(self.size))


class SizedStream(Stream):
    def __len__(self):
        return self.size


def tensors(size):
    return TensorDataset(minigrad.arange(2 * size).reshape(size, 2), minigrad.arange(size))


def lists(batches):
    return [batch.tolist() if isinstance(batch, Tensor) else [part.tolist() for part in batch] for batch in batches]


@given(st.integers(0, 20), st.integers(1, 6), st.booleans())
def test_batches_in_order(size, batch_size, drop_last):
    for data in (Squares(size), SizedStream(size), tensors(size)):
        loader = DataLoader(data, batch_size, drop_last=drop_last)
        batches = list(loader)
        assert len(batches) == len(loader)
        sizes = [len(batch[1] if isinstance(batch, list) else batch) for batch in batches]
        assert sum(sizes) == (size - size % batch_size if drop_last else size)
        assert all(n == batch_size for n in sizes[:-1])
    flat = [number for batch in DataLoader(Squares(size), batch_size) for number in batch.tolist()]
    assert flat == [i**2 for i in range(size)]


def test_every_epoch_is_a_new_shuffle_of_all():
    loader = DataLoader(Squares(30), batch_size=7, shuffle=True)
    first, second = ([number for batch in loader for number in batch.tolist()] for _ in range(2))
    assert sorted(first) == sorted(second) == [i**2 for i in range(30)]
    assert first != second
    assert len(loader) == 5


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_tensor_batches_are_those_of_single_samples(dtype):
    rng = np.random.default_rng(0)
    x = minigrad.from_numpy(rng.normal(size=(23, 2, 3)) > 0).to(dtype)
    data = TensorDataset(x, minigrad.arange(23))
    nested = Subset(Subset(data, range(22, -1, -2)), [5, 0, 3, 3, 11])
    for source in (data, nested, random_split(data, [20, 3])[0]):
        at_once = DataLoader(source, 4, shuffle=True, generator=minigrad.Generator().manual_seed(1))
        one_by_one = DataLoader(ConcatDataset([source]), 4, shuffle=True, generator=minigrad.Generator().manual_seed(1))
        for a, b in zip(at_once, one_by_one, strict=True):
            assert type(a) is type(b) is list
            for mine, other in zip(a, b, strict=True):
                assert mine.dtype == other.dtype
                np.testing.assert_array_equal(mine.numpy(), other.numpy())


@pytest.fixture
def index_operations(monkeypatch):
    """How often tensors were indexed."""
    calls = []
    original = Tensor.__getitem__

    def counted(self, index):
        calls.append(index)
        return original(self, index)

    monkeypatch.setattr(Tensor, "__getitem__", counted)
    return calls


@pytest.mark.parametrize(
    "wrap", [lambda d: d, lambda d: Subset(d, list(range(10, 90))), lambda d: random_split(d, [0.5, 0.5])[0]]
)
def test_tensors_are_gathered_by_one_operation_each(index_operations, wrap):
    batches = list(DataLoader(wrap(tensors(100)), batch_size=10, shuffle=True))
    assert len(index_operations) == 2 * len(batches)


class Shifted(TensorDataset):
    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x, -y


class Negative(Subset):
    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x, -y


@pytest.mark.parametrize(
    "data", [Shifted(*tensors(6).tensors), Negative(tensors(6), range(6)), Subset(Shifted(*tensors(6).tensors), range(6))]
)
def test_an_own_getitem_is_asked_for_single_samples(data, index_operations):
    batches = [batch[1].tolist() for batch in DataLoader(data, batch_size=3)]
    assert batches == [[0, -1, -2], [-3, -4, -5]]
    assert all(isinstance(index, int) for index in index_operations)


def test_getitems_loads_the_samples_of_a_batch():
    class Table(Squares):
        def __getitems__(self, indices):
            return [-i for i in indices]

    assert lists(DataLoader(Table(3), batch_size=2)) == [[0, -1], [-2]]
    assert list(DataLoader(Table(3), batch_size=None)) == [0, 1, 4]


class Batches(TensorDataset):
    def __getitems__(self, indices):
        return [(i, -i) for i in indices]


class Half(Subset):
    def __getitems__(self, indices):
        return [(i, -i) for i in indices]


@pytest.mark.parametrize(
    "data", [Batches(minigrad.zeros(4)), Subset(Batches(minigrad.zeros(4)), range(4)), Half(tensors(8), range(4))]
)
def test_own_getitems_over_tensors(data):
    batches = [[part.tolist() for part in batch] for batch in DataLoader(data, batch_size=2)]
    assert batches == [[[0, 1], [0, -1]], [[2, 3], [-2, -3]]]


def test_getitems_below_a_subset():
    class Table(Squares):
        def __getitem__(self, index):
            return -1

        def __getitems__(self, indices):
            return [2 * i for i in indices]

    assert lists(DataLoader(Subset(Table(4), [3, 1]), batch_size=2)) == [[6, 2]]
    assert lists(DataLoader(Subset(Subset(Table(4), [3, 1, 2]), [2, 0]), batch_size=2)) == [[4, 6]]
    parts = random_split(Table(4), [3, 1])
    assert sorted(number for part in parts for batch in lists(DataLoader(part, 2)) for number in batch) == [0, 2, 4, 6]

    class Negated(Subset):
        def __getitem__(self, index):
            return -super().__getitem__(index)

    assert lists(DataLoader(Negated(Table(4), [3, 1]), batch_size=2)) == [[1, 1]]


def test_an_own_collate_fn_gets_the_samples():
    found = list(DataLoader(tensors(3), batch_size=2, collate_fn=len))
    assert found == [2, 1]


def test_gathered_batches_are_copies():
    data = tensors(4)
    (x, _), *_ = DataLoader(data, batch_size=4)
    x.zero_()
    assert data.tensors[0].tolist() != x.tolist()


# --- random numbers ----------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_epochs():
    def epochs():
        loader = DataLoader(tensors(40), 8, shuffle=True, generator=minigrad.Generator().manual_seed(5))
        return [lists(loader) for _ in range(3)]

    assert epochs() == epochs()
    minigrad.manual_seed(5)
    first = lists(DataLoader(tensors(40), 8, shuffle=True))
    minigrad.manual_seed(5)
    assert lists(DataLoader(tensors(40), 8, shuffle=True)) == first


def test_an_epoch_depends_on_nothing_but_the_generators_state():
    generator = minigrad.Generator().manual_seed(5)
    loader = DataLoader(tensors(40), 8, shuffle=True, generator=generator)
    list(loader)
    state = generator.get_state()
    expected = lists(loader)
    fresh = minigrad.Generator()
    fresh.set_state(state)
    found = []
    minigrad.manual_seed(1)
    for batch in DataLoader(tensors(40), 8, shuffle=True, generator=fresh):
        minigrad.rand(3)
        minigrad.rand(3, generator=fresh)  # the order is drawn already
        found.append(batch)
    assert lists(found) == expected


def test_resuming_within_an_epoch():
    """As a training program does it: put the generator back, skip the batches that are done."""
    generator = minigrad.Generator().manual_seed(5)
    loader = DataLoader(tensors(40), 8, shuffle=True, generator=generator)
    list(loader)
    before = generator.get_state()
    expected = [lists(loader), lists(loader)]
    generator.set_state(before)
    assert lists(itertools.islice(loader, 2, None)) == expected[0][2:]
    assert lists(loader) == expected[1]


def test_two_iterators_do_not_disturb_each_other():
    loader = DataLoader(Squares(10), batch_size=3)
    a, b = iter(loader), iter(loader)
    next(a)
    assert lists(b) == lists(loader)


# --- samplers ----------------------------------------------------------------------------------------------------------


def test_sampler():
    loader = DataLoader(Squares(5), batch_size=2, sampler=[4, 0, 2])
    assert lists(loader) == [[16, 0], [4]]
    assert len(loader) == 2
    assert loader.sampler == [4, 0, 2]


def test_batch_sampler():
    loader = DataLoader(Squares(5), batch_sampler=[[4], [0, 1]])
    assert lists(loader) == [[16], [0, 1]]
    assert len(loader) == 2
    assert loader.batch_size is None
    assert lists(DataLoader(tensors(3), batch_sampler=[(2, 0)])) == [[[[4, 5], [0, 1]], [2, 0]]]


def test_without_batches():
    assert list(DataLoader(Squares(3), batch_size=None)) == [0, 1, 4]
    assert len(DataLoader(Squares(3), batch_size=None)) == 3
    assert list(DataLoader(Stream(3), batch_size=None, collate_fn=str)) == ["0", "1", "2"]
    assert sorted(DataLoader(Squares(3), batch_size=None, shuffle=True)) == [0, 1, 4]
    lists_of_indices = BatchSampler(RandomSampler(range(6)), 3, False)
    found = list(DataLoader(tensors(6), batch_size=None, sampler=lists_of_indices))
    assert [part.shape for part in found[0]] == [(3, 2), (3,)]


def test_without_batches_arrays_become_tensors():
    (sample,) = DataLoader([np.ones(2)], batch_size=None)
    assert isinstance(sample, Tensor)


def test_iterable_dataset():
    assert lists(DataLoader(Stream(5), batch_size=2)) == [[0, 1], [2, 3], [4]]
    assert lists(DataLoader(Stream(5), batch_size=2, drop_last=True)) == [[0, 1], [2, 3]]
    with pytest.raises(TypeError, match="got a Stream without __len__"):
        len(DataLoader(Stream(5)))


def test_attributes():
    data, generator = Squares(5), minigrad.Generator()
    loader = DataLoader(data, 2, True, drop_last=True, generator=generator)
    assert (loader.dataset, loader.batch_size, loader.drop_last, loader.generator) == (data, 2, True, generator)
    assert isinstance(loader.sampler, RandomSampler)
    assert isinstance(loader.batch_sampler, BatchSampler)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_workers": 2}, "DataLoader: expected num_workers=0, got 2; samples are loaded in the process that asks for them"),
        ({"pin_memory": True}, "DataLoader: expected pin_memory=False, got True; .*memory is not pinned"),
        ({"timeout": 5}, "expected timeout=0, got 5"),
        ({"persistent_workers": True}, "expected persistent_workers=False, got True"),
        ({"prefetch_factor": 2}, "expected prefetch_factor=None, got 2"),
        ({"worker_init_fn": print}, "expected worker_init_fn=None"),
        ({"multiprocessing_context": "spawn"}, "expected multiprocessing_context=None, got 'spawn'"),
        ({"batch_size": 0}, "DataLoader: expected batch_size to be a positive integer or None, got 0"),
        ({"batch_size": 2.0}, "got 2.0"),
        ({"sampler": [0], "shuffle": True}, "expected a sampler or shuffle=True, got both"),
        ({"batch_sampler": [[0]], "batch_size": 2}, "beside a batch_sampler"),
        ({"batch_sampler": [[0]], "shuffle": True}, "beside a batch_sampler"),
        ({"batch_sampler": [[0]], "sampler": [0]}, "beside a batch_sampler"),
        ({"batch_sampler": [[0]], "drop_last": True}, "beside a batch_sampler"),
        ({"batch_size": None, "drop_last": True}, "no drop_last with batch_size=None"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        DataLoader(Squares(3), **options)


@pytest.mark.parametrize("options", [{"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}])
def test_bad_options_of_an_iterable_dataset(options):
    with pytest.raises(ValueError, match="expected no shuffle, sampler or batch_sampler for an IterableDataset"):
        DataLoader(Stream(3), **options)


@pytest.mark.parametrize("name", ["dataset", "batch_size", "drop_last", "sampler", "batch_sampler"])
def test_what_the_batches_come_from_is_not_changed_later(name):
    loader = DataLoader(tensors(6), batch_size=2)
    before = getattr(loader, name)
    with pytest.raises(ValueError, match=f"DataLoader: expected {name} to stay as it was given"):
        setattr(loader, name, before)
    loader.collate_fn = len
    assert list(copy.copy(loader)) == [2, 2, 2]


def test_an_index_out_of_range_names_it():
    with pytest.raises(IndexError, match="got 9"):
        list(DataLoader(tensors(3), sampler=[9]))


# --- errors ------------------------------------------------------------------------------------------------------------


class Failing:
    """Numbers, of which 2 cannot be loaded; by index, and one after the other."""

    def __init__(self, size, error):
        self.numbers = range(size)
        self.error = error

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, index):
        if index == 2:
            raise self.error
        return index

    def __iter__(self):
        return map(self.__getitem__, self.numbers)


def outcomes(loader):
    """What ``next`` returns or raises, seven times."""
    iterator, found = iter(loader), []
    for _ in range(7):
        try:
            batch = next(iterator)
            found.append(batch if isinstance(batch, int) else batch.tolist())
        except Exception as error:
            found.append(type(error))
    return found


@pytest.mark.parametrize("error", [KeyError, StopIteration])
@pytest.mark.parametrize("batch_size", [None, 1, 2])
def test_an_error_costs_one_batch(torch, batch_size, error):
    data = Failing(5, error)
    expected = outcomes(torch.utils.data.DataLoader(data, batch_size))
    assert outcomes(DataLoader(data, batch_size)) == expected
    assert expected[-1] is StopIteration


@pytest.mark.parametrize("options", [{"batch_size": None}, {}, {"batch_size": 2}, {"batch_size": 3, "drop_last": True}])
def test_an_error_of_an_iterable_dataset_costs_one_batch(torch, options):
    ours = type("Ours", (Failing, IterableDataset), {})
    theirs = type("Theirs", (Failing, torch.utils.data.IterableDataset), {})
    expected = outcomes(torch.utils.data.DataLoader(theirs(6, KeyError), **options))
    assert outcomes(DataLoader(ours(6, KeyError), **options)) == expected
    assert expected[-1] is StopIteration
