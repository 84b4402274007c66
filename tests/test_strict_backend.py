"""The strict backend is strict, and can do what it must."""

import operator

import numpy as np
import pytest

import minigrad
from tests.strict_backend import StrictArray, StrictBackend, strict_backend

xp = StrictBackend.xp


@pytest.fixture(autouse=True)
def registered():
    with strict_backend():
        yield


@pytest.fixture
def array():
    return StrictBackend().from_host(np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize(
    "leak",
    [
        np.asarray,
        np.array,
        np.sum,
        np.exp,
        np.ascontiguousarray,
        lambda a: np.add(a, 1),
        lambda a: np.concatenate([a, a]),
        lambda a: np.ones((2, 3)) + a,
        lambda a: a + np.ones((2, 3)),
        lambda a: a == np.ones((2, 3)),
        lambda a: operator.iadd(a, np.ones((2, 3))),
        lambda a: operator.iadd(np.ones((2, 3)), a),
        lambda a: a[np.array([0])],
        lambda a: a[[0]],
        lambda a: operator.setitem(a, 0, np.ones(3)),
        lambda a: operator.setitem(np.ones((2, 3)), 0, a),
        lambda a: xp.add(a, np.ones((2, 3))),
        lambda a: xp.concatenate([a, np.ones((2, 3))]),
        lambda a: xp.add(a, a, out=np.ones((2, 3))),
        lambda a: xp.sum(a, where=True),
        lambda a: xp.argsort(a, stable=True),
        lambda a: xp.count_nonzero(a, keepdims=True),
        lambda a: xp.multiply.at(a, 0, 1.0),
        lambda a: xp.add.at(a.astype("int8"), 0, 1),
        lambda a: xp.where(True, a, 0),
        lambda a: xp.sum(1.0),
        bool,
        float,
        list,
        lambda a: bool(a[0, 0]),
        lambda a: float(a[0, 0]),
        lambda a: int(a[0, 0]),
        lambda a: range(a[0, 0]),
        lambda a: 1.0 in a,
    ],
)
def test_nothing_gets_out(array, leak):
    with pytest.raises(TypeError):
        leak(array)


def test_a_function_that_is_not_listed_is_refused():
    with pytest.raises(AttributeError, match=r"xp\.fromiter is not in the strict backend's list"):
        xp.fromiter  # noqa: B018


def test_arithmetic_stays_inside(array):
    host = StrictBackend().to_host
    index = StrictBackend().from_host(np.array([1, 0]))
    results = {
        "sum": (xp.sum(array), np.asarray(15.0)),
        "operator": (2 * array + array, 3 * np.arange(6.0).reshape(2, 3)),
        "scalar": (np.float64(2) * array, 2 * np.arange(6.0).reshape(2, 3)),
        "element": (array[1, 2], np.asarray(5.0)),
        "index": (array[index], np.array([[3.0, 4, 5], [0, 1, 2]])),
        "mask": (array[array > 3], np.array([4.0, 5])),
        "stack": (xp.stack([array, array])[0], np.arange(6.0).reshape(2, 3)),
        "allclose": (xp.allclose(array, array), np.asarray(True)),
    }
    for name, (actual, expected) in results.items():
        assert type(actual) is StrictArray, name
        np.testing.assert_array_equal(host(actual), expected, err_msg=name)
        assert host(actual).dtype == expected.dtype


def test_elements_and_slices_are_views(array):
    array[0, 1][...] = 7
    array[1][2:] = 8
    array += 1
    assert StrictBackend().to_host(array).tolist() == [[1, 8, 3], [4, 5, 9]]
    assert array.base is None
    for view in (
        array[0],
        array[0][1:],
        array.T,
        array.reshape(6),
        xp.broadcast_to(array, (2, 2, 3)),
        xp.moveaxis(array, 0, 1),
    ):
        assert view.base is array
    for copy in (array + 1, array.copy(), xp.exp(array), xp.concatenate([array, array]), array.T.reshape(6)):
        assert copy.base is None


def test_out_is_returned(array):
    out = xp.empty_like(array)
    assert xp.exp(array, out=out) is out
    assert xp.asarray(array) is array


def test_a_tensor_of_it_trains():
    x = minigrad.Tensor(np.array([1.0, 2.0])).to("strict").requires_grad_()
    assert x.device == "strict"
    (x * x).backward(x.detach())
    assert x.grad.device == "strict"
    assert x.grad.tolist() == [2.0, 8.0]
    assert x.grad.cpu().device == "cpu"
    with pytest.raises(TypeError, match=r"use \.cpu\(\)\.numpy\(\)"):
        x.detach().numpy()
    with pytest.raises(RuntimeError, match="one device"):
        x * minigrad.Tensor(np.array([1.0, 2.0]))
