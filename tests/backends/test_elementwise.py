"""Element-wise functions on threads: the same numbers as NumPy's, whatever shapes and memory orders meet."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import minigrad
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


@pytest.mark.parametrize("shape", [(70, 80, 90), (3, 5000, 7), (2, 3, 100, 101), (1, 30000, 1), (20000,)])
@pytest.mark.parametrize("order", ["rows", "columns", "channels last", "gaps"])
def test_sums_of_many_rows(shape, order, monkeypatch):
    monkeypatch.undo()
    random = np.random.default_rng(0)
    x = np.asfortranarray(random.random(shape, np.float32)) if order == "columns" else lying(shape, order, "float32", random)
    axes = range(x.ndim)
    for some in (None, 0, -1, *(chosen for k in range(1, x.ndim + 1) for chosen in itertools.combinations(axes, k))):
        for keepdims in (True, False):
            expected = x.sum(axis=some, keepdims=keepdims, dtype="float64")
            actual = elementwise.add_up(x, axis=some, keepdims=keepdims)
            assert actual.shape == expected.shape and actual.dtype == x.dtype
            np.testing.assert_allclose(actual, expected, rtol=2e-6)


def test_sums_do_not_stop_where_float32_has_no_next_integer(monkeypatch):
    monkeypatch.undo()
    x = minigrad.ones(1, dtype=minigrad.float32).expand(2**24 + 2**20, 2)
    assert x.sum(0).tolist() == [2**24 + 2**20] * 2
    assert x.mean(0).tolist() == [1, 1]
    assert x[:, 0].cumsum(0)[-1].item() == 2**24 + 2**20


def test_running_products_are_rounded_once():
    schedule = 1 - np.linspace(1e-4, 2e-2, 4096, dtype=np.float32)
    expected = np.cumprod(schedule.astype(np.float64))
    assert (minigrad.from_numpy(schedule).cumprod(0).numpy() == expected.astype(np.float32)).all()
    assert minigrad.tensor([1e30, 1e30, 1e-30]).cumprod(0).tolist()[1:] == [np.inf, np.float32(1e30)]


def test_numbers_beside_halves_are_not_rounded_first():
    torch = pytest.importorskip("torch")
    values = [0.5, 60000.0, -3.0]
    for calculate in (lambda h: h / 70000, lambda h: h * 1e5, lambda h: h * 1e-8, lambda h: 1e5 * h):
        ours, theirs = calculate(minigrad.tensor(values).half()), calculate(torch.tensor(values).half())
        assert ours.dtype == minigrad.float16 and ours.tolist() == theirs.tolist()
    assert (minigrad.tensor(values).half() - 70000)[1].item() == -10000  # torch rounds here, but not on a GPU
    x = minigrad.ones(70000, dtype=minigrad.float16, requires_grad=True)
    (x.mean() * 1000).backward()
    assert x.grad[0].item() == pytest.approx(1 / 70, rel=1e-3)
    x = minigrad.tensor(values).half()
    x *= 1e5
    assert x.tolist() == [49984.0, np.inf, -np.inf]
