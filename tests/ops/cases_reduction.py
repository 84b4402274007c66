"""The table's cases for ops/reduction.py, ops/extreme_reduction.py, ops/norms.py and ops/cumulative.py."""

import numpy as np
import scipy.special

import minigrad
from minigrad import Tensor
from tests.ops.cases_shape import ones, samples_of
from tests.ops.table import Case, Sample

DIMS = (
    ((2, 3, 4), {}),
    ((2, 3, 4), {"dim": 1}),
    ((2, 3, 4), {"dim": (0, -1)}),
    ((2, 3, 4), {"dim": (2, 0), "keepdim": True}),
    ((2, 3), {"keepdim": True}),
    ((2, 3), {"dim": ()}),
    ((), {}),
    ((), {"dim": -1}),
)
EMPTY = (((0, 3), {}), ((2, 0), {"dim": 1}), ((2, 0), {"dim": 0, "keepdim": True}))


def whole_numbers(rng):
    return [
        Sample((rng.integers(-9, 9, (2, 3)).astype(np.int32),), {"dim": 1}),
        Sample((rng.integers(0, 255, (2, 3)).astype(np.uint8),)),
        Sample((rng.integers(0, 2, (3, 4)).astype(bool),), {"dim": 0}),
    ]


def distinct(*calls):
    """A sampler from (shape, static arguments), whose values are far from each other and from 0."""

    def samples(rng):
        found = []
        for shape, static in calls:
            values = np.arange(1.0, np.prod(shape) + 1) * rng.choice([-1, 1], int(np.prod(shape)))
            found.append(Sample((np.asarray(rng.permutation(values).reshape(shape) / 4),), static))
        return found

    return samples


def over(function, **fixed):
    """A NumPy reduction under torch's names of arguments."""

    def reference(x, dim=None, keepdim=False, **static):
        axis = None if dim is None or dim == () or not x.ndim else dim
        return function(x, axis=axis, keepdims=keepdim, **static, **fixed)

    return reference


def bad_dims(function):
    return [
        (lambda: function(ones(2, 3), dim=2), IndexError, r"dim in \[-2, 1\], got 2"),
        (lambda: function(ones(2, 3), dim=(0, -2)), RuntimeError, "every dim at most once"),
        (lambda: function(ones(2, 3), dim=1.0), TypeError, "integer dim, got float"),
        (lambda: function(ones(2, 3), dim=True), TypeError, "integer dim, got True"),
        (lambda: function([1.0]), TypeError, "Tensor, got list"),
    ]


def numbers(dtype):
    return Tensor(np.arange(3).astype(dtype))


SUMS = [
    Case(
        "sum",
        minigrad.sum,
        over(np.sum),
        lambda rng: [*samples_of(*DIMS, *EMPTY)(rng), *whole_numbers(rng)],
        torch=lambda t, x, dim=None, keepdim=False: t.sum(x, dim, keepdim),
        bad=bad_dims(minigrad.sum),
    ),
    Case(
        "mean",
        minigrad.mean,
        over(np.mean),
        samples_of(*DIMS, *EMPTY),
        torch=lambda t, x, dim=None, keepdim=False: t.mean(x, dim, keepdim),
        bad=[
            *bad_dims(minigrad.mean),
            (lambda: minigrad.mean(numbers("int64")), RuntimeError, "a floating dtype, got int64"),
        ],
    ),
    Case(
        "prod",
        minigrad.prod,
        over(np.prod),
        lambda rng: [
            *samples_of(
                ((2, 3, 4), {"dim": 1}),
                ((2, 5), {"dim": -1, "keepdim": True}),
                ((2, 3), {}),
                ((), {}),
                ((), {"dim": 0}),
                ((0, 3), {"dim": 0}),
                ((0, 3), {}),
            )(rng),
            Sample((np.array([[2.0, 0, 3], [0, 0.5, 0], [1, 2, 3]]),), {"dim": 1}),
            Sample((np.array([0.0, 2, 3, 0.5, -1]),), {}),
            *whole_numbers(rng),
        ],
        torch=lambda t, x, **static: t.prod(x, **static),
        bad=[bad_dims(minigrad.prod)[0], *bad_dims(minigrad.prod)[2:]],
    ),
    Case(
        "count_nonzero",
        minigrad.count_nonzero,
        lambda x, dim=None: np.count_nonzero(x, axis=dim),
        lambda rng: [
            Sample((rng.integers(0, 3, (3, 4)),)),
            Sample((rng.integers(0, 2, (3, 4)) * 1.5,), {"dim": 1}),
            Sample((rng.integers(0, 2, (3, 4)).astype(bool),), {"dim": (0, 1)}),
            Sample((np.array(2.0),)),
            Sample((np.ones((0, 2)),), {"dim": 0}),
        ],
        torch=lambda t, x, **static: t.count_nonzero(x, **static),
        differentiable=False,
        bad=bad_dims(minigrad.count_nonzero),
    ),
]


def truths(rng):
    return [
        Sample((rng.integers(0, 2, (3, 2)).astype(bool),), {"dim": 1}),
        Sample((np.array([[0, 1], [2, 3]]),), {"dim": 0, "keepdim": True}),
        Sample((np.array([[0.0, -1], [2, 3]]),), {"dim": (0, 1)}),
        Sample((np.zeros((2, 3)),), {}),
        Sample((np.full((2, 3), np.nan),), {}),
        Sample((np.array(0.5),), {}),
        Sample((np.ones((0, 3)),), {"dim": 0}),
        Sample((np.ones((0, 3)),), {}),
    ]


TRUTH = [
    Case(
        "any",
        minigrad.any,
        over(np.any),
        truths,
        torch=lambda t, x, **static: t.any(x, **static),
        differentiable=False,
        bad=bad_dims(minigrad.any),
    ),
    Case(
        "all",
        minigrad.all,
        over(np.all),
        truths,
        torch=lambda t, x, **static: t.all(x, **static),
        differentiable=False,
        bad=bad_dims(minigrad.all),
    ),
]


def moments(name, reference):
    function = getattr(minigrad, name)
    return Case(
        name,
        function,
        reference,
        samples_of(
            ((2, 3, 4), {}),
            ((2, 3, 4), {"dim": 1, "correction": 0}),
            ((2, 3, 4), {"dim": (0, -1), "keepdim": True}),
            ((2, 3), {"dim": 1, "correction": 0.5}),
            ((2, 0), {"dim": 0}),
        ),
        torch=lambda t, x, **static: getattr(t, name)(x, **static),
        bad=[
            *(case for case in bad_dims(function) if case[2] != "integer dim, got True"),  # that is unbiased
            (lambda: function(numbers("int64")), RuntimeError, "a floating dtype, got int64"),
        ],
        without={"0-d": "one number has no variance"},
    )


def variance(x, dim=None, keepdim=False, correction=1):
    return np.var(x, axis=dim, keepdims=keepdim, ddof=correction)


MOMENTS = [
    moments("var", variance),
    moments("std", lambda *args, **static: np.sqrt(variance(*args, **static))),
    moments(
        "var_mean",
        lambda x, dim=None, keepdim=False, correction=1: (
            variance(x, dim, keepdim, correction),
            np.mean(x, axis=dim, keepdims=keepdim),
        ),
    ),
]


def extreme(name, reference):
    function = getattr(minigrad, name)
    return Case(
        name,
        function,
        over(reference),
        lambda rng: [
            *distinct(*DIMS, ((2, 0), {"dim": 0}))(rng),
            Sample((rng.integers(-9, 9, (2, 3)),), {"dim": 1}),
        ],
        torch=lambda t, x, **static: getattr(t, name)(x, **static),
        bad=[
            *bad_dims(function),
            (lambda: function(ones(0, 3), dim=0), IndexError, r"one element in dim 0, got shape \(0, 3\)"),
            (lambda: function(ones(0, 3)), RuntimeError, r"at least one element, got shape \(0, 3\)"),
        ],
    )


def extreme_with_index(name, value, index):
    function = getattr(minigrad, name)

    def reference(x, *other, dim=None, keepdim=False):
        if other:
            return (np.maximum if name == "max" else np.minimum)(x, *other)
        if dim is None:
            return value(x)
        axis = dim if x.ndim else None
        return value(x, axis=axis, keepdims=keepdim), index(x, axis=axis, keepdims=keepdim)

    return Case(
        name,
        function,
        reference,
        lambda rng: [
            *distinct(
                ((2, 3), {}),
                ((2, 3, 4), {"dim": 1}),
                ((2, 3, 4), {"dim": -1, "keepdim": True}),
                ((), {"dim": 0}),
                ((), {}),
                ((2, 0), {"dim": 0}),
            )(rng),
            Sample((rng.permutation(np.arange(6.0)).reshape(2, 3), rng.permutation(3) + 0.5)),
            Sample((rng.permutation(12).reshape(3, 4),), {"dim": 0}),
        ],
        torch=lambda t, x, *other, **static: getattr(t, name)(x, *other, **static),
        bad=[
            (lambda: function(ones(2, 3), 2), IndexError, r"dim in \[-2, 1\], got 2"),
            (lambda: function(ones(0, 3), 0), IndexError, r"one element in dim 0, got shape \(0, 3\)"),
            (lambda: function(ones(0, 3)), RuntimeError, r"at least one element, got shape \(0, 3\)"),
            (lambda: function(2.0), TypeError, "Tensor, got float"),
            (lambda: function([2.0], 0), TypeError, "Tensor, got list"),
        ],
    )


def index_of_extreme(name, reference):
    function = getattr(minigrad, name)
    return Case(
        name,
        function,
        lambda x, dim=None, keepdim=False: reference(x, axis=dim if x.ndim else None, keepdims=keepdim),
        lambda rng: [
            *distinct(
                ((2, 3), {}),
                ((2, 3), {"keepdim": True}),
                ((2, 3, 4), {"dim": 1}),
                ((2, 3, 4), {"dim": -1, "keepdim": True}),
                ((), {"dim": 0}),
                ((2, 0), {"dim": 0}),
            )(rng),
            Sample((np.array([[2, 1, 2], [1, 1, 0]]),), {"dim": 1}),
            Sample((np.array([1.0, np.nan, 3]),)),
        ],
        torch=lambda t, x, **static: getattr(t, name)(x, **static),
        differentiable=False,
        bad=[
            (lambda: function(ones(2, 3), 2), IndexError, r"dim in \[-2, 1\], got 2"),
            (lambda: function(ones(0, 3), 0), IndexError, r"one element to choose from, got shape \(0, 3\) and dim 0"),
            (lambda: function(ones(0, 3)), IndexError, r"one element to choose from, got shape \(0, 3\) and dim None"),
            (lambda: function(ones(2, 3), (0, 1)), TypeError, "integer dim, got tuple"),
        ],
    )


EXTREMES = [
    extreme("amax", np.max),
    extreme("amin", np.min),
    extreme_with_index("max", np.max, np.argmax),
    extreme_with_index("min", np.min, np.argmin),
    index_of_extreme("argmax", np.argmax),
    index_of_extreme("argmin", np.argmin),
]


def p_norm(x, p=2, dim=None, keepdim=False):
    size, axis = np.abs(x), dim if x.ndim else None
    if p == 0:
        return np.sum(x != 0, axis=axis, keepdims=keepdim, dtype=float)
    if np.isinf(p := 2 if p == "fro" else p):
        return (np.max if p > 0 else np.min)(size, axis=axis, keepdims=keepdim)
    return np.sum(size**p, axis=axis, keepdims=keepdim) ** (1 / p)


NORMS = [
    Case(
        "norm",
        minigrad.norm,
        p_norm,
        distinct(
            ((2, 3), {}),
            ((2, 3, 4), {"p": 2, "dim": 1}),
            ((2, 3, 4), {"p": 2, "dim": (0, -1), "keepdim": True}),
            ((2, 3), {"p": "fro", "dim": (0, 1)}),
            ((2, 3), {"p": 1, "dim": 1}),
            ((2, 3), {"p": 3, "dim": 0}),
            ((2, 3), {"p": 1.5}),
            ((2, 3), {"p": 0.5, "dim": 1}),
            ((2, 3), {"p": -1, "dim": 1}),
            ((2, 3), {"p": float("inf"), "dim": 1}),
            ((2, 3), {"p": float("-inf"), "dim": 1, "keepdim": True}),
            ((2, 3), {"p": 0}),
            ((), {}),
            ((0, 3), {}),
            ((2, 0), {"p": 3, "dim": 1}),
        ),
        torch=lambda t, x, **static: t.norm(x, **static),
        bad=[
            *bad_dims(lambda *args, dim=None: minigrad.norm(*args, dim=dim)),
            (lambda: minigrad.norm(numbers("int32")), RuntimeError, "a floating dtype, got int32"),
            (lambda: minigrad.norm(ones(2), "nuc"), ValueError, "a number or 'fro' for p, got 'nuc'"),
        ],
        tolerance={"float64": 1e-8},
    ),
    Case(
        "logsumexp",
        lambda x, dim=None, keepdim=False: minigrad.logsumexp(x, dim, keepdim),
        over(scipy.special.logsumexp),
        lambda rng: [
            *samples_of(*DIMS, ((2, 0), {"dim": 0}), ((2, 0), {"dim": 1}))(rng),
            Sample((rng.standard_normal((2, 3)) + np.array([[1000.0], [-1000.0]]),), {"dim": 1}),
        ],
        torch=lambda t, x, dim=(), keepdim=False: t.logsumexp(x, dim if dim != () else tuple(range(x.ndim)), keepdim),
        bad=[case for case in bad_dims(minigrad.logsumexp) if case[2] != "Tensor, got list"],
        without={"reduced": "1000 + log(3) is 1001 there, and its exponential off by a factor"},
    ),
]

CUMULATIVE = [
    Case(
        "cumsum",
        minigrad.cumsum,
        lambda x, dim: np.cumsum(x, dim).reshape(x.shape),
        lambda rng: [
            *samples_of(((2, 3), {"dim": 0}), ((2, 3, 2), {"dim": -2}), ((), {"dim": 0}), ((0, 2), {"dim": 0}))(rng),
            Sample((rng.integers(0, 9, (2, 3)).astype(np.uint8),), {"dim": 1}),
        ],
        torch=lambda t, x, dim: t.cumsum(x, dim),
        bad=[(lambda: minigrad.cumsum(ones(2, 3), 2), IndexError, r"dim in \[-2, 1\], got 2")],
    ),
    Case(
        "cumprod",
        minigrad.cumprod,
        lambda x, dim: np.cumprod(x, dim).reshape(x.shape),
        lambda rng: [
            *samples_of(((2, 3), {"dim": 0}), ((2, 7, 2), {"dim": -2}), ((), {"dim": 0}), ((0, 2), {"dim": 0}))(rng),
            Sample((np.array([[2.0, 0, 3, 0.5], [0, 0.5, 0, 2], [1, 2, 3, 0]]),), {"dim": 1}),
            Sample((rng.integers(0, 9, (2, 3)).astype(np.uint8),), {"dim": 1}),
        ],
        torch=lambda t, x, dim: t.cumprod(x, dim),
        bad=[(lambda: minigrad.cumprod(ones(2, 3), 2), IndexError, r"dim in \[-2, 1\], got 2")],
    ),
]

CASES = [*SUMS, *TRUTH, *MOMENTS, *EXTREMES, *NORMS, *CUMULATIVE]
