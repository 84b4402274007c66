"""Padding on one side, and elements taken away on the other."""

import itertools

import pytest

import minigrad
from minigrad.nn import functional as F


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
def test_what_is_taken_away_is_still_mirrored(mode):
    line = minigrad.arange(4.0)
    whole = F.pad(line, (3, 3), mode).tolist()
    for before, after in itertools.product(range(-3, 4), repeat=2):
        if before + after > -4:
            assert F.pad(line, (before, after), mode).tolist() == whole[3 - before : 7 + after]


def test_what_is_taken_away_does_not_come_round():
    assert F.pad(minigrad.arange(4.0), (-2, 1), "circular").tolist() == [2, 3, 2]
    with pytest.raises(RuntimeError, match="pad: expected at most 1 more elements in dim 0 for 'circular', got -3 and 2"):
        F.pad(minigrad.arange(4.0), (-3, 2), "circular")


def test_gradients_of_mirrored_elements_that_are_taken_away():
    line = minigrad.arange(3.0).requires_grad_()
    y = F.pad(line, (-2, 2), "reflect")
    assert y.tolist() == [2, 1, 0]
    (y * minigrad.tensor([1.0, 2.0, 4.0])).sum().backward()
    assert line.grad.tolist() == [4, 2, 1]


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("margins", [(), (0, 0), (-1, 0)])
def test_the_result_has_memory_of_its_own(mode, margins):
    line = minigrad.zeros(3)
    F.pad(line, margins, mode).add_(1)
    assert line.tolist() == [0, 0, 0]


@pytest.mark.parametrize(("dtype", "value"), [("uint8", 300), ("int32", float("nan")), ("int8", float("inf"))])
def test_a_value_must_fit_into_an_integer_dtype(dtype, value):
    with pytest.raises(OverflowError, match=f"pad: expected a number that fits into {dtype}, got {value}"):
        F.pad(minigrad.zeros(3, dtype=dtype), (1, 1), value=value)
