"""Cases of the operations in ops/comparison.py."""

import numpy as np

import minigrad
from minigrad import ones, tensor
from tests.ops.samples import binary, integers, spread, unary
from tests.ops.table import Case, Sample

ODD = np.array([0.0, -0.0, 1.5, np.inf, -np.inf, np.nan])


def sample(*arrays, **static):
    return Sample(tuple(map(np.asarray, arrays)), static)


def pairs(rng):
    """Equal and different elements, with odd ones among them; all kinds of dtypes."""
    a = spread(rng, (3, 4))
    yield sample(a, np.where(rng.uniform(size=a.shape) < 0.5, a, -a))
    yield sample(ODD[:, None], ODD)
    yield sample(a[:1], a)
    yield sample(1.0, a)
    yield sample(a[:0], a[:1])
    yield sample(np.round(a), right=1)
    yield sample(np.round(a), right=-0.5)
    yield from whole_pairs(rng)


def whole_pairs(rng):
    yield sample(integers(rng, (3, 4)), integers(rng, (4,)))
    yield sample(integers(rng, (3, 4)), right=2)
    yield sample(integers(rng, (5,), 0, 9).astype(np.uint8), integers(rng, (2, 1)).astype(np.int32))
    yield sample(np.array([True, False, True]), np.array([[True], [False]]))
    yield sample(np.array([True, False, True]), np.array([0, 1, 2]))
    yield sample(np.array([True, False]), right=True)
    yield sample(np.array(True), np.array([True, False]))
    yield sample(np.zeros((0, 2), bool), np.zeros(2, bool))


def two(operation, function, reference, samples=pairs, **more):
    return binary(
        operation,
        function,
        reference,
        samples=lambda rng: list(samples(rng)),
        differentiable=False,
        keeps_dtype=False,
        **more,
    )


def one(operation, function, reference, **more):
    return unary(operation, function, reference, differentiable=False, keeps_dtype=False, whole=True, **more)


def bits(operation, function, reference):
    return two(
        operation,
        function,
        reference,
        whole_pairs,
        vector=lambda n: tensor([1] * n),
        bad=[
            (lambda: function(ones(1), ones(1)), RuntimeError, "expected integers or bools, got float32"),
            (lambda: function(tensor([1]), 1.0), RuntimeError, "expected integers or bools, got float32"),
        ],
    )


def close_samples(rng):
    for shape in ((3, 4), (), (0, 3)):
        a = spread(rng, shape)
        yield sample(a, a * (1 + 1e-3))
        yield sample(a, a * (1 + 1e-3), rtol=1e-2)
        yield sample(a, a + np.where(a < 0, 0.05, 0.15), atol=0.1, rtol=0.0)
    yield sample(ODD[:, None], ODD)
    yield sample(ODD[:, None], ODD, equal_nan=True)
    yield sample(integers(rng, (3, 4)), integers(rng, (4,)), atol=2.0)
    yield sample(np.array([1, 250], np.uint8), np.array([3, 252], np.uint8), atol=1.5)
    yield sample(np.array([True, False]), np.array([True, True]))


def close_case(operation, function, reference, theirs):
    return Case(
        operation,
        function,
        reference,
        lambda rng: list(close_samples(rng)),
        torch=theirs,
        differentiable=False,
        keeps_dtype=False,
        without={"reduced": "the samples are closer than halves can tell"},
        bad=[
            (lambda: function(ones(1), 1.0), TypeError, "expected a Tensor, got float"),
            (lambda: function(ones(1), ones(1).double()), RuntimeError, "one dtype, got float32 and float64"),
            (lambda: function(ones(1), ones(1), rtol=-1), ValueError, "rtol of at least 0, got -1"),
            (lambda: function(ones(1), ones(1), atol=float("nan")), ValueError, "atol of at least 0, got nan"),
            (lambda: function(ones(2), ones(3)), ValueError, "shapes that broadcast"),
        ],
    )


def as_numbers(function):
    """NumPy's function, for bools and unsigned integers too."""
    return lambda a, b, **static: function(np.asarray(a, np.float64), np.asarray(b, np.float64), **static)


CASES = [
    two("eq", minigrad.eq, np.equal),
    two("ne", minigrad.ne, np.not_equal),
    two("lt", minigrad.lt, np.less),
    two("le", minigrad.le, np.less_equal),
    two("gt", minigrad.gt, np.greater),
    two("ge", minigrad.ge, np.greater_equal),
    two("logical_and", minigrad.logical_and, np.logical_and),
    two("logical_or", minigrad.logical_or, np.logical_or),
    two("logical_xor", minigrad.logical_xor, np.logical_xor),
    one("logical_not", minigrad.logical_not, np.logical_not),
    bits("bitwise_and", minigrad.bitwise_and, np.bitwise_and),
    bits("bitwise_or", minigrad.bitwise_or, np.bitwise_or),
    bits("bitwise_xor", minigrad.bitwise_xor, np.bitwise_xor),
    Case(
        "bitwise_not",
        minigrad.bitwise_not,
        np.invert,
        lambda rng: [
            *(Sample((integers(rng, shape),)) for shape in ((3, 4), (), (0, 2))),
            Sample((np.array([0, 1, 200], np.uint8),)),
            Sample((np.array([True, False]),)),
        ],
        torch=lambda t, x: t.bitwise_not(x),
        differentiable=False,
        bad=[
            (lambda: minigrad.bitwise_not([1]), TypeError, "expected a Tensor"),
            (lambda: ~ones(1), TypeError, "expected integers or bools, got float32"),
        ],
    ),
    *(
        Case(
            name,
            getattr(minigrad, name),
            getattr(np, name),
            lambda rng: [
                *(Sample((a,)) for a in (ODD, ODD.reshape(2, 3), np.array(np.nan), np.array(1.0), ODD[:0])),
                *(Sample((a,)) for a in (integers(rng, (3,)), np.array([True, False]))),
            ],
            torch=lambda t, x, name=name: getattr(t, name)(x),
            differentiable=False,
            keeps_dtype=False,
            bad=[(lambda name=name: getattr(minigrad, name)([1.0]), TypeError, "expected a Tensor, got list")],
        )
        for name in ("isnan", "isinf", "isfinite")
    ),
    close_case("isclose", minigrad.isclose, as_numbers(np.isclose), lambda t, a, b, **static: t.isclose(a, b, **static)),
    close_case("allclose", minigrad.allclose, as_numbers(np.allclose), lambda t, a, b, **static: t.allclose(a, b, **static)),
    Case(
        "equal",
        minigrad.equal,
        np.array_equal,
        lambda rng: [
            *(s for s in pairs(rng) if len(s.arrays) == 2),
            *(Sample((x, x.copy())) for x in (spread(rng, (3, 4)), np.array(2.0), integers(rng, (3,)), np.zeros((0, 2)))),
        ],
        torch=lambda t, a, b: t.equal(a, b),
        differentiable=False,
        keeps_dtype=False,
        bad=[(lambda: minigrad.equal(ones(1), 1.0), TypeError, "expected a Tensor, got float")],
    ),
]
