"""Which bytes are written for arrays that share memory: all that they need, once, and no more."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.lib.stride_tricks import as_strided

from minigrad.io.packing import pack
from minigrad.io.storage import STORAGE_TYPE_OF, window


def unpack(storages, placements):
    arrays = []
    for place in placements:
        storage = storages[place.storage]
        assert len(storage) == place.storage_size
        arrays.append(window(storage, place.offset, place.sizes, place.strides))
    return arrays


def test_lone_arrays_take_their_own_bytes():
    base = np.arange(1000.0).reshape(10, 100)
    row, column, every_second = base[3], base[:, 3], base[3, ::2]
    for array in (row, column, every_second):
        (storage,), (place,) = pack([array])
        assert storage.tolist() == array.tolist()
        assert (place.offset, place.strides) == (0, (1,))


def test_rows_and_columns_together():
    """Disjoint rows stay apart; columns are interleaved, so their spans overlap and the matrix goes along."""
    base = np.arange(1000.0).reshape(10, 100)
    storages, _ = pack([base[0], base[1], base[9]])
    assert [len(storage) for storage in storages] == [100, 100, 100]
    (storage,), places = pack([base[:, 3], base[:, 5]])
    assert len(storage) == 903
    assert [place.offset for place in places] == [0, 2]


def test_tied_arrays_and_views_share_a_storage():
    base = np.arange(12.0).reshape(3, 4)
    arrays = [base[1:], base, base.view(), base.T, base[2, 3, ...]]
    (storage,), places = pack(arrays)
    assert len(storage) == 12
    assert np.shares_memory(storage, base)
    assert [(place.offset, place.strides) for place in places] == [
        (4, (4, 1)),
        (0, (4, 1)),
        (0, (4, 1)),
        (0, (1, 4)),
        (11, ()),
    ]


def test_views_that_overlap_in_a_chain_share_a_storage():
    base = np.arange(100.0)
    storages, places = pack([base[40:60], base[0:20], base[10:30], base[29:41]])
    assert [place.storage for place in places] == [0, 0, 0, 0]
    assert len(storages[0]) == 60


def test_tied_windows_with_holes_are_closed_up_together():
    column = np.arange(12.0).reshape(3, 4)[:, 1]
    (storage,), places = pack([column, column.view()])
    assert storage.tolist() == [1, 5, 9]
    assert places[0] == places[1]


def test_repeated_elements_are_written_once():
    (storage,), (place,) = pack([np.broadcast_to(np.arange(3.0), (1000, 3))])
    assert storage.tolist() == [0, 1, 2]
    assert place.strides == (0, 1)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 1, 0, 2)])
def test_dense_strides_are_kept(order):
    """Channels-last is one of them."""
    array = np.arange(120.0).reshape(2, 3, 4, 5).transpose(order)
    storages, places = pack([array])
    assert places[0].strides == tuple(stride // 8 for stride in array.strides)
    assert np.array_equal(unpack(storages, places)[0], array)


def test_strides_that_files_lack_are_copied_away():
    base = np.arange(10, dtype=np.int32)
    odd = np.zeros(3, [("a", np.int8), ("b", np.int32)])["b"]  # neighbours are 5 bytes apart
    foreign = base.astype(base.dtype.newbyteorder())
    arrays = [base[::-1], odd, foreign]
    storages, places = pack(arrays)
    for array, result in zip(arrays, unpack(storages, places), strict=True):
        assert result.dtype == np.int32
        assert result.tolist() == array.tolist()


def test_memory_under_two_dtypes_is_written_twice():
    base = np.arange(4, dtype=np.float32)
    storages, _ = pack([base, base.view(np.int32)])
    assert [storage.dtype for storage in storages] == [np.float32, np.int32]


def test_empty_arrays_do_not_come_between():
    base = np.arange(10.0)
    _, places = pack([base[0:6], base[5:5], base[4:10], np.zeros((0, 3))])
    assert [place.storage for place in places] == [0, 1, 0, 2]
    assert [place.sizes for place in places] == [(6,), (0,), (6,), (0, 3)]


def test_strides_of_dimensions_of_size_one():
    array = as_strided(np.arange(6.0), (1, 6, 1), (-8, 8, 12345))
    storages, places = pack([array])
    assert np.array_equal(unpack(storages, places)[0], array)


def indices(array, data):
    return array[data.draw(hnp.basic_indices(array.shape, allow_ellipsis=True, allow_newaxis=True))]


@given(st.data())
def test_any_views_come_back_with_the_memory_that_they_share(data):
    """Each array has its values, and writing to one shows in the others as it does in the originals."""
    dtype = data.draw(st.sampled_from(sorted(STORAGE_TYPE_OF, key=str)))
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, max_side=5))
    bases = [(np.arange(np.prod(shape)) % 2).astype(dtype).reshape(shape) for _ in range(2)]
    arrays = [np.asarray(indices(data.draw(st.sampled_from(bases)), data)) for _ in range(data.draw(st.integers(1, 5)))]
    arrays = [array.transpose(data.draw(st.permutations(range(array.ndim)))) for array in arrays]
    storages, places = pack(arrays)
    results = unpack([storage.copy() for storage in storages], places)
    for array, result in zip(arrays, results, strict=True):
        assert result.dtype == array.dtype
        assert np.array_equal(result, array)
    assert sum(len(storage) for storage in storages) <= sum(base.size for base in bases) + sum(a.size for a in arrays)
    kept = [index for index, array in enumerate(arrays) if array.size and min(array.strides, default=0) >= 0]
    for i in kept:
        for j in kept:
            assert np.shares_memory(results[i], results[j]) == np.shares_memory(arrays[i], arrays[j])
