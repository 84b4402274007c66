"""The CPU's kernel that adds at computed places against NumPy's own."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.backends import backend_for
from minigrad.backends.base import Backend
from minigrad.backends.cpu import indexing
from tests.floats import REDUCED

cpu, _ = backend_for("cpu")


@st.composite
def indices(draw):
    """A shape, and a tuple of slices and arrays of integers that index it."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    joint = tuple(draw(st.lists(st.integers(0, 3), max_size=2)))
    items = []
    for size in shape[: draw(st.integers(1, len(shape)))]:
        if draw(st.booleans()):
            items.append(slice(None))
            continue
        wanted = tuple(draw(st.sampled_from([1, n])) for n in joint)
        count = int(np.prod(wanted))
        values = draw(st.lists(st.integers(-size, size - 1), min_size=count, max_size=count))
        items.append(np.array(values, draw(st.sampled_from([np.int64, np.int32]))).reshape(wanted))
    return shape, tuple(items)


def check(shape, index, dtype, place=np.array, tolerance=1e-12):
    random = np.random.default_rng(0)
    target = random.integers(-9, 9, shape).astype(dtype)
    values = random.integers(-9, 9, target[index].shape).astype(dtype)
    expected = target.astype("float64" if dtype != "int64" else dtype)
    np.add.at(expected, index, values)
    actual = place(target)
    cpu.index_add(actual, index, values)
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


PLACES = {
    "own memory": np.array,
    "columns first": np.asfortranarray,
    "a part of a larger array": lambda a: np.stack([a, a])[1],
    "with gaps": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@settings(max_examples=150, deadline=None)
@given(indices(), st.sampled_from(["float64", "float32", "int64"]))
def test_index_add(place, case, dtype):
    check(*case, dtype, place)


def test_index_add_in_chunks(monkeypatch):
    monkeypatch.setattr(indexing, "_CHUNK", 7)
    random = np.random.default_rng(1)
    for index in [
        (random.integers(0, 4, (6, 4)),),
        (slice(None), random.integers(0, 5, (9,))),
        (random.integers(0, 4, 9),) * 2,
    ]:
        check((4, 5, 3), index, "float64")


@pytest.mark.parametrize("kernel", [cpu.index_add, partial(Backend.index_add, cpu)], ids=["cpu", "generic"])
@pytest.mark.parametrize("dtype", REDUCED)
def test_short_floats_are_added_in_float32(kernel, dtype):
    target = np.zeros(2, dtype)
    kernel(target, (np.zeros(5056, np.int64),), np.ones(5056, dtype))
    assert target.tolist() == [5056, 0]


def test_a_mask_names_no_place_twice():
    target = np.zeros((2, 3))
    cpu.index_add(target, (slice(None), np.array([True, False, True])), np.ones((2, 2)))
    assert target.tolist() == [[1, 0, 1], [1, 0, 1]]


def test_the_generic_kernel_is_numpys():
    random = np.random.default_rng(2)
    target, index, values = random.random((5, 3)), random.integers(-5, 5, 20), random.random((20, 3))
    expected = target.copy()
    np.add.at(expected, index, values)
    Backend.index_add(cpu, target, (index,), values)
    np.testing.assert_array_equal(target, expected)


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_gather_and_scatter_along_a_dim(dim):
    random = np.random.default_rng(3)
    x = random.random((3, 4, 5))
    index = np.argsort(x, dim)
    gathered = cpu.gather(x, dim, index)
    np.testing.assert_array_equal(gathered, np.sort(x, dim))
    back = np.zeros_like(x)
    cpu.scatter(back, dim, index, gathered)
    np.testing.assert_array_equal(back, x)
    cpu.scatter_add(back, dim, index, gathered)
    np.testing.assert_array_equal(back, 2 * x)
