"""Order where the table's general checks do not look: equal elements, NaN, extreme integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from minigrad import Tensor

NAN = float("nan")


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), max_size=12), st.booleans())
def test_equal_elements_keep_their_order(values, descending):
    order = minigrad.argsort(Tensor(np.array(values, np.int8)), descending=descending).tolist()
    assert order == sorted(range(len(values)), key=lambda i: -values[i] if descending else values[i])


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64"])
def test_descending_order_of_extreme_integers(dtype):
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    assert minigrad.sort(Tensor(np.array([low, high, 3], dtype)), descending=True).values.tolist() == [high, 3, low]


def test_nan_is_larger_than_all_numbers():
    x = Tensor(np.array([1, NAN, float("inf"), -1]))
    assert x.argsort().tolist() == [3, 0, 2, 1]
    assert x.argsort(descending=True).tolist() == [1, 2, 0, 3]
    assert x.topk(2).indices.tolist() == [1, 2]
    assert x.topk(2, largest=False).indices.tolist() == [3, 0]


def test_median_of_lines_with_nan():
    values, indices = Tensor(np.array([[3.0, NAN, 1, NAN], [4, 1, 3, 2]])).median(1)
    assert np.isnan(values.numpy()[0]) and indices.tolist() == [1, 3]
    assert values.tolist()[1] == 2


def test_gradient_of_chosen_values_goes_where_they_were():
    x = Tensor(np.array([[5.0, 1, 4], [2, 9, 3]]), requires_grad=True)
    weights = Tensor(np.array([[10.0, 1], [10, 1]]))
    (x.topk(2).values * weights).sum().backward()
    assert x.grad.tolist() == [[10, 0, 1], [0, 10, 1]]


def test_sorted_values_are_gathered():
    x = Tensor(np.random.default_rng(0).standard_normal((3, 4, 2)))
    for result in (x.sort(1), x.topk(3, 1), x.median(1, keepdim=True), x.max(1, keepdim=True)):
        assert x.gather(1, result.indices).tolist() == result.values.tolist()


def test_unique_gives_the_input_back():
    x = Tensor(np.random.default_rng(0).integers(0, 5, (4, 6)))
    values, inverse, counts = x.unique(return_inverse=True, return_counts=True)
    assert values[inverse].tolist() == x.tolist()
    assert counts.sum().item() == 24
    assert not x.double().requires_grad_().unique().requires_grad
    assert [found.tolist() for found in x.unique(False, True)] == [values.tolist(), inverse.tolist()]  # as in PyTorch


def test_stability_may_be_asked_for():
    x = minigrad.tensor([1, 0, 1, 0])
    assert x.sort(stable=True).indices.tolist() == minigrad.argsort(x, stable=True).tolist() == [1, 3, 0, 2]
    assert minigrad.sort(x, stable=True, dim=0, descending=True).indices.tolist() == [0, 2, 1, 3]
