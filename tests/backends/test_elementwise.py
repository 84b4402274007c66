"""Element-wise functions on threads: the same numbers as NumPy's, whatever shapes and memory orders meet."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from minigrad.backends.cpu import elementwise
from minigrad.backends.cpu.elementwise import THREADED, as_lines, threaded

SHAPES = ((6, 5, 4, 3), (5, 1, 1), (5, 1, 3), (1, 5, 4, 1), (4, 3), (6, 1, 1, 1), (1,), ())
ORDERS = ("rows", "channels last", "reversed", "gaps", "expanded")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(elementwise, "LARGE", 16)
    monkeypatch.setattr(elementwise, "BLOCK", 64)


def lying(shape, order, dtype, random):
    """Positive numbers of a shape in memory of some order."""
    x = random.uniform(0.5, 1.5, shape).astype(dtype)
    if order == "channels last" and x.ndim > 1:
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    if order == "reversed" and x.ndim:
        return np.ascontiguousarray(x[::-1])[::-1]
    if order == "gaps" and x.ndim:
        return np.repeat(x, 2, axis=-1)[..., ::2]
    if order == "expanded" and x.ndim:
        return np.broadcast_to(x[:1], x.shape)
    return x


@pytest.mark.parametrize("ufunc", THREADED, ids=lambda ufunc: ufunc.__name__)
def test_numbers_are_numpys(ufunc):
    random = np.random.default_rng(0)
    function = threaded(ufunc)
    if ufunc.nin == 1:
        for order, dtype in itertools.product(ORDERS, ("float32", "float64")):
            x = lying(SHAPES[0], order, dtype, random)
            np.testing.assert_array_equal(function(x), ufunc(x))
            np.testing.assert_array_equal(function(x, out=np.empty_like(x)), ufunc(x))
        return
    for shape, a, b in itertools.product(SHAPES, ORDERS, ORDERS):
        x = lying(SHAPES[0], a, "float32", random)
        for dtype in ("float32", "float64"):
            y = lying(shape, b, dtype, random)
            for first, second in ((x, y), (y, x)):
                expected = ufunc(first, second)
                actual = function(first, second)
                assert actual.dtype == expected.dtype
                np.testing.assert_array_equal(actual, expected)
                out = np.empty(expected.shape, expected.dtype)
                assert function(first, second, out=out) is out
                np.testing.assert_array_equal(out, expected)
    for number in (2, 0.5, True):
        for first, second in ((x, number), (number, x)):
            np.testing.assert_array_equal(function(first, second), ufunc(first, second))


def test_lines_are_views_of_one_order():
    x = np.arange(24.0).reshape(2, 3, 4)
    assert [line.base is not None and line.shape for line in as_lines((x, x + 1))] == [(24,), (24,)]
    turned = x.transpose(0, 2, 1)
    assert as_lines((turned, turned))[0].tolist() == list(range(24))
    assert as_lines((turned, np.ones((4, 3)))) is None
    assert as_lines((turned, turned.copy())) is None
    assert as_lines((x[:, ::2], x[:, ::2])) is None
