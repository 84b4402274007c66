"""The table's cases for ops/sorting.py."""

import numpy as np

import minigrad
from tests.ops.cases_reduction import distinct
from tests.ops.cases_shape import ones
from tests.ops.table import Case, Sample


def order_of(x, dim=-1, descending=False):
    """Insertion into an ordered list, element by element: stable in either direction."""
    result = np.empty(x.shape, int)
    for place in np.ndindex(*np.delete(x.shape, dim)):
        line = np.moveaxis(x, dim, -1)[place]
        order = []
        for i, value in enumerate(line):
            before = [j for j in order if (line[j] >= value if descending else line[j] <= value)]
            order.insert(len(before), i)
        np.moveaxis(result, dim, -1)[place] = order
    return result


def sorted_with_index(x, dim=-1, descending=False):
    order = order_of(x, dim, descending) if x.ndim else np.array(0)
    return np.take_along_axis(x, order, dim) if x.ndim else x, order


def top(x, k, dim=-1, largest=True):
    values, order = sorted_with_index(x, dim, largest)
    return (np.take(values, range(k), dim), np.take(order, range(k), dim)) if x.ndim else (values, order)


def lower_median(x, dim=None, keepdim=False):
    if dim is None:
        return np.sort(x, axis=None)[(x.size - 1) // 2]
    if not x.ndim:
        return x, np.array(0)
    values, order = sorted_with_index(x, dim)
    middle = range((x.shape[dim] - 1) // 2, (x.shape[dim] - 1) // 2 + 1)
    results = np.take(values, middle, dim), np.take(order, middle, dim)
    return results if keepdim else [r.squeeze(dim) for r in results]


LINES = (
    ((5,), {}),
    ((2, 3, 4), {"dim": 1}),
    ((2, 4), {"dim": -1, "descending": True}),
    ((3, 2), {"dim": 0, "descending": True}),
    ((), {}),
    ((), {"dim": 0, "descending": True}),
    ((0, 2), {"dim": 0}),
    ((2, 0), {"dim": 0}),
)


def lines(rng):
    return [
        *distinct(*LINES)(rng),
        Sample((np.array([[1, 0, 1, 0, 2], [3, 3, 3, 3, 3]]),), {"dim": 1}),
        Sample((np.array([[1, 0, 1, 0, 2], [3, 3, 3, 3, 3]], np.uint8),), {"dim": 1, "descending": True}),
        Sample((np.array([True, False, True, False]),), {"descending": True}),
    ]


CASES = [
    Case(
        "sort",
        minigrad.sort,
        sorted_with_index,
        lines,
        torch=lambda t, x, dim=-1, descending=False: t.sort(x, dim=dim, descending=descending, stable=True),
        bad=[
            (lambda: minigrad.sort(ones(2), 1), IndexError, r"dim in \[-1, 0\], got 1"),
            (lambda: minigrad.sort([2.0]), TypeError, "Tensor, got list"),
        ],
    ),
    Case(
        "argsort",
        minigrad.argsort,
        lambda x, **static: sorted_with_index(x, **static)[1],
        lines,
        torch=lambda t, x, dim=-1, descending=False: t.argsort(x, dim=dim, descending=descending, stable=True),
        differentiable=False,
        bad=[(lambda: minigrad.argsort(ones(2), 1), IndexError, r"dim in \[-1, 0\], got 1")],
    ),
    Case(
        "topk",
        minigrad.topk,
        top,
        distinct(
            ((5,), {"k": 2}),
            ((2, 3, 4), {"k": 2, "dim": 1}),
            ((2, 4), {"k": 3, "largest": False}),
            ((3, 2), {"k": 0, "dim": 0}),
            ((), {"k": 1}),
            ((2, 0), {"k": 1, "dim": 0}),
        ),
        torch=lambda t, x, **static: t.topk(x, **static),
        bad=[
            (lambda: minigrad.topk(ones(2, 3), 4), RuntimeError, r"k in \[0, 3\] for dim 1 of shape \(2, 3\), got 4"),
            (lambda: minigrad.topk(ones(2, 3), -1), RuntimeError, r"k in \[0, 3\] for dim 1 of shape \(2, 3\), got -1"),
            (lambda: minigrad.topk(ones(2, 3), 1, 2), IndexError, r"dim in \[-2, 1\], got 2"),
            (lambda: minigrad.topk(ones(2, 3), 1.0), TypeError, "integer k, got float"),
        ],
    ),
    Case(
        "median",
        minigrad.median,
        lower_median,
        lambda rng: [
            *distinct(
                ((5,), {}),
                ((2, 3), {}),
                ((2, 3, 4), {"dim": 1}),
                ((2, 3, 4), {"dim": -1, "keepdim": True}),
                ((), {}),
                ((), {"dim": 0}),
                ((2, 0), {"dim": 0}),
            )(rng),
            Sample((rng.permutation(12).reshape(3, 4),), {"dim": 0}),
        ],
        torch=lambda t, x, **static: t.median(x, **static),
        bad=[
            (lambda: minigrad.median(ones(2), 1), IndexError, r"dim in \[-1, 0\], got 1"),
            (lambda: minigrad.median(ones(0, 2), 0), IndexError, r"one element in dim 0, got shape \(0, 2\)"),
            (lambda: minigrad.median(ones(0, 2)), RuntimeError, r"at least one element, got shape \(0, 2\)"),
        ],
    ),
    Case(
        "unique",
        minigrad.unique,
        lambda x, **asked: np.unique(x, **asked),
        lambda rng: [
            Sample((rng.integers(0, 4, (3, 4)),)),
            Sample((rng.integers(0, 4, (3, 4)) / 4,), {"return_inverse": True}),
            Sample((rng.integers(0, 4, (3, 4)),), {"return_counts": True}),
            Sample((rng.integers(0, 4, (3, 4)),), {"return_inverse": True, "return_counts": True}),
            Sample((np.array(3.0),)),
            Sample((np.ones((0, 2)),), {"return_counts": True}),
        ],
        torch=lambda t, x, **asked: t.unique(x, **asked),
        differentiable=False,
        bad=[(lambda: minigrad.unique(2.0), TypeError, "Tensor, got float")],
    ),
]
