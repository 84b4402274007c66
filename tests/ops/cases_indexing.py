"""The table's cases for ops/indexing.py and ops/selection.py."""

import numpy as np

import minigrad
from minigrad import ops, tensor
from tests.ops.table import Case, Sample

ALL = slice(None)


def ones(*shape):
    return minigrad.ones(*shape, dtype="float64")


def normal(rng, *shapes):
    return tuple(rng.standard_normal(shape) for shape in shapes)


# --- x[index] ----------------------------------------------------------------------------------------------------------

BASIC = [
    lambda: 1,
    lambda: (-1, slice(1, None, 2)),
    lambda: (..., 0),
    lambda: (None, slice(0, 9), None, 1),
    lambda: (),
    lambda: slice(2, 1),
    lambda: (np.int64(0), ..., np.array(-1)),
]
WITH_ONE = [
    lambda i: i,
    lambda i: (ALL, i),
    lambda i: (0, i),
    lambda i: (i, None, 1),
    lambda i: (..., i, slice(1, 3)),
    lambda i: (i, ALL, [0, 0]),
    lambda i: ([True, False], i),
    lambda i: (True, i, None),
]
WITH_TWO = [
    lambda i, j: (i, j),
    lambda i, j: (ALL, i, j),
    lambda i, j: (i, ALL, j),
    lambda i, j: (i, None, j),
]


def get_samples(rng):
    for index in BASIC:
        yield Sample(normal(rng, (2, 3, 4)), {"index": index})
    for index in WITH_ONE:
        yield Sample((*normal(rng, (2, 2, 3)), np.array([1, -2])), {"index": index})
    for index in WITH_TWO:
        yield Sample((*normal(rng, (3, 3, 3)), np.array([[1], [-1]]), np.array([2, 2, 0])), {"index": index})
    for shape in ((2,), (2, 3), (2, 3, 4)):
        yield Sample((*normal(rng, (2, 3, 4)), rng.random(shape) < 0.5), {"index": lambda mask: mask})
    yield Sample((*normal(rng, (2, 3, 4)), rng.random((3, 4)) < 0.5), {"index": lambda mask: (ALL, mask)})
    yield Sample((*normal(rng, (2, 3, 4)), np.array([False, True]), np.array([2])), {"index": lambda mask, i: (mask, ALL, i)})
    yield Sample((*normal(rng, ()),), {"index": lambda: (..., None)})
    yield Sample((*normal(rng, ()), np.array(True)), {"index": lambda mask: mask})
    yield Sample((*normal(rng, (0, 3)), np.array([2, 1])), {"index": lambda i: (ALL, i)})
    yield Sample((*normal(rng, (2, 3)), np.zeros((0, 2), np.int64)), {"index": lambda i: i})
    yield Sample((np.arange(12).reshape(3, 4), np.array([2, 0])), {"index": lambda i: (i, i)})


def set_samples(rng):
    for index in BASIC:
        shape = np.empty((2, 3, 4))[index()].shape
        yield Sample(normal(rng, (2, 3, 4), shape), {"index": index})
        yield Sample(normal(rng, (2, 3, 4), ()), {"index": index})
    places = np.array([1, 0, -1])
    for index, shape in [
        (lambda i: i, (3, 1, 4)),
        (lambda i: (ALL, i), (3, 4)),
        (lambda i: (0, i), (3, 4)),
        (lambda i: (i, None, 1), (1, 4)),
        (lambda i: (..., i, slice(1, 3)), (1, 1, 3, 2)),
    ]:
        yield Sample((*normal(rng, (3, 3, 4), shape), places), {"index": index})
    yield Sample((*normal(rng, (3, 4), (2, 3)), np.array([[1], [2]]), places), {"index": lambda i, j: (i, j)})
    mask = np.array([[True, False, True], [False, False, True]])
    yield Sample((*normal(rng, (2, 3, 2), (3, 2)), mask), {"index": lambda mask: mask})
    yield Sample((*normal(rng, (4, 2, 3), (3,)), mask), {"index": lambda mask: (slice(1, 3), mask)})
    yield Sample((*normal(rng, (), ()), np.array(True)), {"index": lambda mask: mask})
    yield Sample((*normal(rng, (0, 3), (2,)), np.array([2, 1])), {"index": lambda i: (ALL, i)})


def assigned(x, value, *arrays, index):
    x = x.copy() if isinstance(x, np.ndarray) else x.clone()
    x[index(*arrays)] = value
    return x


GET_AND_SET = [
    Case(
        "getitem",
        lambda x, *arrays, index: x[index(*arrays)],
        lambda x, *arrays, index: x[index(*arrays)],
        lambda rng: list(get_samples(rng)),
        torch=lambda t, x, *arrays, index: x[index(*arrays)],
        bad=[
            (lambda: ones(2, 3)[2], IndexError, r"index in \[-2, 1\] for dim 0 of size 2, got 2"),
            (lambda: ones(2, 3)[:, -4], IndexError, r"index in \[-3, 2\] for dim 1 of size 3, got -4"),
            (lambda: ones(2, 3)[:, [0, 3]], IndexError, r"indices in \[-3, 2\] for dim 1 of size 3, got 3"),
            (lambda: ones(2, 3)[tensor([[-3]])], IndexError, r"indices in \[-2, 1\] for dim 0 of size 2, got -3"),
            (lambda: ones(2, 3)[0, 0, 0], IndexError, r"at most 2 indices for shape \(2, 3\), got 3"),
            (lambda: ones(())[0], IndexError, r"at most 0 indices for shape \(\), got 1"),
            (lambda: ones(2, 3)[::-1], ValueError, "a positive step, got step -1"),
            (lambda: ones(2, 3)[:1.5], TypeError, "integer in a slice, got float"),
            (lambda: ones(2, 3)[..., ...], IndexError, "at most one ellipsis .* got 2"),
            (lambda: ones(2, 3)[1.0], IndexError, "expected integers, slices, .* got float"),
            (lambda: ones(2, 3)["a"], IndexError, "got str"),
            (lambda: ones(2, 3)[ones(1)], IndexError, "integers or bools as an index, got float64"),
            (lambda: ones(2, 3)[ones(1).byte()], IndexError, r"got uint8; .bool\(\) makes a mask"),
            (lambda: ones(2, 3)[:, [True, False]], IndexError, r"mask of shape \(3,\) at dim 1 of \(2, 3\), got \(2,\)"),
            (lambda: ones(2, 3)[[0, 1], [0, 1, 2]], IndexError, r"shapes broadcast, got \(2,\) and \(3,\)"),
        ],
    ),
    Case(
        "setitem",
        assigned,
        assigned,
        lambda rng: list(set_samples(rng)),
        torch=lambda t, x, value, *arrays, index: assigned(x, value, *arrays, index=index),
        bad=[
            (lambda: ops.setitem(ones(2, 3), 2, 0), IndexError, r"index in \[-2, 1\] for dim 0 of size 2, got 2"),
            (lambda: ops.setitem(ones(2, 3), [2], 0), IndexError, r"indices in \[-2, 1\] for dim 0 of size 2, got 2"),
            (lambda: ops.setitem(ones(2, 3), 0, ones(2)), ValueError, r"broadcasts to \(3,\), got \(2,\)"),
            (lambda: ops.setitem(ones(2, 3), 0, ones(2, 3)), ValueError, r"broadcasts to \(3,\), got \(2, 3\)"),
            (lambda: ops.setitem(ones(2, 3), (ALL, [0, 1]), ones(3)), ValueError, r"broadcasts to \(2, 2\), got \(3,\)"),
            (lambda: ops.setitem(ones(2, 3), ones(2, 3) > 0, ones(5)), ValueError, r"broadcasts to \(6,\), got \(5,\)"),
            (lambda: ops.setitem(ones(2, 3), 0, "a"), TypeError, "expected numbers, .* got str"),
            (lambda: ops.setitem(ones(2).requires_grad_(), 0, 1), RuntimeError, "a leaf tensor that requires grad"),
        ],
    ),
]


# --- by a mask ---------------------------------------------------------------------------------------------------------


def masks(*pairs):
    """Samples of a float array and a mask."""
    return lambda rng: [Sample((*normal(rng, shape), np.asarray(rng.random(mask) < 0.6))) for shape, mask in pairs]


MASK_SHAPES = (((3, 4), (3, 4)), ((3, 4), (4,)), ((2, 3, 4), (3, 1)), ((), ()), ((0, 3), (3,)))
NOT_A_MASK = "a bool tensor as the mask, got "


def filled(x, mask, *values, value=None):
    return np.where(mask, values[0] if values else value, x).astype(x.dtype)


def fill_samples(rng):
    yield from (Sample(sample.arrays, {"value": -1.5}) for sample in masks(*MASK_SHAPES)(rng))
    yield Sample((*normal(rng, (3, 4)), rng.random((4,)) < 0.5, np.array(2.5)))
    yield Sample((np.arange(6).reshape(2, 3), np.array([True, False, True])), {"value": 9})
    yield Sample((np.array([True, False]), np.array([True, True])), {"value": False})


def where_samples(rng):
    for condition, a, b in [((3, 4), (3, 4), (3, 4)), ((3, 1), (4,), (2, 1, 1)), ((), (2,), ()), ((0, 3), (3,), (1, 3))]:
        yield Sample((np.asarray(rng.random(condition) < 0.5), *normal(rng, a, b)))
    yield Sample((rng.random((2, 3)) < 0.5, *normal(rng, (3,))), {"right": 2})
    yield Sample((rng.random((2, 3)) < 0.5, *normal(rng, (3,))), {"left": -0.5})
    yield Sample((rng.random((2, 3)) < 0.5, np.arange(3)), {"right": 7})


def chosen(function):
    """The function of a condition and two values, one of which may be a number."""

    def call(condition, *values, left=None, right=None):
        values = ([] if left is None else [left]) + list(values) + ([] if right is None else [right])
        return function(condition, *values)

    return call


def nonzero_samples(rng):
    for shape in ((3, 4), (2, 3, 2), (), (0, 3)):
        yield Sample((np.asarray(rng.standard_normal(shape) * (rng.random(shape) < 0.5)),))
    yield Sample((np.array([[0, 3], [2, 0]]),), {"as_tuple": True})
    yield Sample((np.array([True, False, True]),), {"as_tuple": True})
    yield Sample((np.array(2.0),), {"as_tuple": True})


MASKS = [
    Case(
        "masked_fill",
        lambda x, mask, *values, value=None: minigrad.masked_fill(x, mask, values[0] if values else value),
        filled,
        lambda rng: [*fill_samples(rng), Sample((*normal(rng, (4,)), rng.random((3, 4)) < 0.5), {"value": 0})],
        torch=lambda t, x, mask, *values, value=None: t.masked_fill(x, mask, values[0] if values else value),
        bad=[
            (lambda: minigrad.masked_fill(ones(2), ones(2), 0), TypeError, NOT_A_MASK + "float64"),
            (lambda: minigrad.masked_fill(ones(2), True, 0), TypeError, NOT_A_MASK + "bool"),
            (lambda: minigrad.masked_fill(ones(2), ones(3) > 0, 0), ValueError, r"broadcast, got \(2,\) and \(3,\)"),
            (lambda: minigrad.masked_fill(ones(2), ones(2) > 0, ones(2)), TypeError, r"a 0-d tensor .* got shape \(2,\)"),
            (lambda: minigrad.masked_fill(ones(2), ones(2) > 0, "0"), TypeError, "a 0-d tensor as the value, got str"),
        ],
    ),
    Case(
        "Tensor.masked_fill_",
        lambda x, mask, *values, value=None: x.clone().masked_fill_(mask, values[0] if values else value),
        filled,
        lambda rng: list(fill_samples(rng)),
        torch=lambda t, x, mask, *values, value=None: x.clone().masked_fill_(mask, values[0] if values else value),
        bad=[
            (lambda: ones(2).masked_fill_(ones(2), 0), TypeError, NOT_A_MASK + "float64"),
            (lambda: ones(4).masked_fill_(ones(3, 4) > 0, 0), ValueError, r"broadcasts to \(4,\), got \(3, 4\)"),
            (lambda: ones(2).masked_fill_(ones(2) > 0, ones(2)), TypeError, r"a 0-d tensor .* got shape \(2,\)"),
            (lambda: ones(2).requires_grad_().masked_fill_(ones(2) > 0, 1), RuntimeError, "a leaf tensor that requires grad"),
        ],
    ),
    Case(
        "masked_select",
        minigrad.masked_select,
        lambda x, mask: (x + 0.0 * mask)[mask | np.zeros(x.shape, bool)],
        masks(*MASK_SHAPES, ((4,), (3, 4))),
        torch=lambda t, x, mask: t.masked_select(x, mask),
        bad=[
            (lambda: minigrad.masked_select(ones(2), ones(2)), TypeError, NOT_A_MASK + "float64"),
            (lambda: minigrad.masked_select(ones(2), ones(3) > 0), ValueError, r"broadcast, got \(2,\) and \(3,\)"),
        ],
    ),
    Case(
        "where",
        chosen(minigrad.where),
        chosen(np.where),
        lambda rng: list(where_samples(rng)),
        torch=lambda t, *arrays, **static: chosen(t.where)(*arrays, **static),
        bad=[
            (lambda: minigrad.where(ones(2), 1, 2), TypeError, NOT_A_MASK + "float64"),
            (lambda: minigrad.where([True], 1, 2), TypeError, "expected a Tensor, got list"),
            (lambda: minigrad.where(ones(2) > 0, ones(2)), TypeError, "two tensors or numbers .* got NoneType"),
            (lambda: minigrad.where(ones(2) > 0, ones(2), ones(3)), ValueError, r"broadcast, got \(2,\) and \(2,\) and \(3,\)"),
        ],
    ),
    Case(
        "nonzero",
        minigrad.nonzero,
        lambda x, as_tuple=False: np.nonzero(np.atleast_1d(x)) if as_tuple else np.argwhere(x),
        lambda rng: list(nonzero_samples(rng)),
        torch=lambda t, x, as_tuple=False: t.nonzero(x, as_tuple=as_tuple),
        differentiable=False,
        bad=[(lambda: minigrad.nonzero([1]), TypeError, "expected a Tensor, got list")],
    ),
]

CASES = [*GET_AND_SET, *MASKS]
