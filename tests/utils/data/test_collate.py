"""Joining samples: against PyTorch's default_collate, and what it refuses."""

from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import minigrad
from minigrad.utils.data import default_collate, default_convert

Point = namedtuple("Point", "x y")

BATCHES = [
    [1, 2, 3],
    [1.5, 2.5],
    [True, False],
    ["a", "bc"],
    [b"a", b"bc"],
    [(1, "a"), (2, "b")],
    [[1, 2.0], [3, 4.0]],
    [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}],
    [OrderedDict(x=1), OrderedDict(x=2)],
    [Point(1, 2.0), Point(3, 4.0)],
    [((1, {"a": [1.0]}), "s"), ((2, {"a": [2.0]}), "t")],
    [np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32)],
    [np.float64(1.5), np.float64(2.5)],
    [np.int32(1), np.int32(2)],
    [np.arange(3), np.arange(3)],
    [(), ()],
    [{}, {}],
    [range(2), range(2, 4)],
]


def assert_alike(torch, ours, theirs):
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, minigrad.Tensor)
        assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    elif isinstance(theirs, dict):
        assert type(ours) is type(theirs)
        assert list(ours) == list(theirs)
        for key in theirs:
            assert_alike(torch, ours[key], theirs[key])
    elif isinstance(theirs, (list, tuple)):
        if theirs and isinstance(theirs[0], (str, bytes)):  # torch's are a tuple where the samples are tuples
            assert ours == list(theirs)
            return
        assert type(ours) is type(theirs)
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_alike(torch, a, b)
    else:
        assert ours == theirs


@pytest.mark.parametrize("batch", BATCHES, ids=repr)
def test_collate_is_torchs(batch):
    torch = pytest.importorskip("torch")
    assert_alike(torch, default_collate(batch), torch.utils.data.default_collate(batch))


@pytest.mark.parametrize(
    "sample", [sample for batch in BATCHES for sample in batch[:1] if not isinstance(sample, range)], ids=repr
)
def test_convert_is_torchs(sample):
    torch = pytest.importorskip("torch")
    assert_alike(torch, default_convert(sample), torch.utils.data.default_convert(sample))


def test_tensors_are_stacked():
    batch = [(minigrad.ones(2), minigrad.tensor(1)), (minigrad.zeros(2), minigrad.tensor(2))]
    x, y = default_collate(batch)
    assert x.tolist() == [[1, 1], [0, 0]]
    assert y.tolist() == [1, 2]


def test_numbers_of_both_kinds_are_floats():
    assert default_collate([1, 2.5]).tolist() == [1.0, 2.5]


@pytest.mark.parametrize(
    ("batch", "dtype"),
    [
        ([1, np.int64(2)], "int64"),
        ([np.uint8(1), 2], "int64"),
        ([np.int32(1), np.int64(2)], "int64"),
        ([np.float32(1), 2.0], "float64"),
        ([1.0, np.float32(2)], "float64"),
        ([1, np.float32(2)], "float64"),
        ([np.float32(1), np.float64(2)], "float64"),
        ([True, np.bool_(False)], "bool"),
    ],
)
def test_numbers_of_python_and_numpy_together(batch, dtype):
    joined = default_collate(batch)
    assert joined.dtype == dtype
    assert joined.tolist() == batch


def test_batch_is_no_view_of_a_sample():
    sample = np.zeros(2)
    batch = default_collate([sample])
    sample += 1
    assert batch.tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        ([], ValueError, "default_collate: expected at least one sample, got none"),
        ([object()], TypeError, "default_collate: expected tensors, .* got a object; pass a collate_fn"),
        ([None, None], TypeError, "got a NoneType"),
        ([{"x": None}], TypeError, "got a NoneType"),
        ([{1, 2}], TypeError, "got a set"),
        ([np.array(["a"])], TypeError, "got a ndarray"),
        ([1, "a"], ValueError, "default_collate: expected samples of one kind, got int, str"),
        ([1, None], ValueError, "expected samples of one kind, got NoneType, int"),
        ([(1, 2), (1,)], ValueError, "default_collate: expected samples of one length, got 2, 1"),
        ([{"x": 1}, {"y": 1}], ValueError, r"default_collate: expected dicts with one set of keys, got \['x'\], \['y'\]"),
        ([{"x": 1}, {"x": 1, "y": 1}], ValueError, "one set of keys"),
        (
            [minigrad.ones(2), minigrad.ones(3), minigrad.ones(2)],
            ValueError,
            r"default_collate: expected tensors of one shape, got \(2,\), \(3,\)$",
        ),
    ],
)
def test_what_cannot_be_joined(batch, error, message):
    with pytest.raises(error, match=message):
        default_collate(batch)
