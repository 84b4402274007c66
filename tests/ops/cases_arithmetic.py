"""Cases of the operations in ops/arithmetic.py, ops/division.py and ops/powers.py."""

import numpy as np

import minigrad
from minigrad import ones, tensor
from tests.ops.samples import binary, binary_samples, spread, unary
from tests.ops.table import Case, Sample

BOOL = "expected numbers, got bool"


def yes():
    return tensor([True])


def scaled(b, alpha):
    return b if alpha == 1 else alpha * b


def trunc_divide(a, b):
    quotient = np.trunc(np.true_divide(a, b))
    return quotient if np.result_type(a, b).kind == "f" else quotient.astype(np.result_type(a, b))


ROUNDED = {None: np.true_divide, "floor": np.floor_divide, "trunc": trunc_divide}


def of_floats_and_integers(rng):
    """Quotients that are not near an integer, of either sign; numbers; integers."""
    float_samples = binary_samples((0.55, 0.95), (0.2, 0.21), numbers=[(None, 0.3), (0.75, None)])(rng)
    signs = [
        Sample((np.array([3.5, -3.5, 3.5, -3.5]), np.array([2.1, 2.1, -2.1, -2.1]))),
        Sample((np.array([7, -7, 7, -7, 6, -6]), np.array([2, 2, -2, -2, 3, 3]))),
        Sample((np.array([7, -7, 6, -6], np.int8),), {"right": -3}),
        Sample((np.array([7, 250, 6], np.uint8), np.array([[2], [4]], np.uint8))),
        Sample((np.array([2, -2, 5]),), {"left": 7}),
    ]
    return [
        *(s for s in float_samples if s.static or min(map(np.size, s.arrays)) != 0),
        *signs,
        Sample((np.ones((0, 2)), np.ones(2))),
    ]


def rounded_division(operation, function, reference, theirs):
    return binary(
        operation,
        function,
        reference,
        samples=of_floats_and_integers,
        torch=theirs,
        tolerance={"float16": 0.2},  # remainders of rounded operands
        bad=[
            (lambda: function(tensor([1]), 0), RuntimeError, "divisor other than 0 for integers"),
            (lambda: function(yes(), yes()), RuntimeError, BOOL),
        ],
    )


def power(a, b):
    return np.power(a, b)


def triples(rng):
    for shapes in (((3, 4), (3, 4), (3, 4)), ((3, 1), (4,), (2, 1, 1)), ((), (), ()), ((0, 2), (2,), (1, 1))):
        arrays = tuple(spread(rng, shape, 0.5, 2.0) for shape in shapes)
        yield Sample(arrays)
        yield Sample(arrays, {"value": -0.5})


def lerps(rng):
    for shape in ((3, 4), (), (0, 2)):
        for weight in (0.25, 0.75, 1.0, -2.0, 3.0):
            yield Sample((spread(rng, shape), spread(rng, shape, 3, 5)), {"weight": weight})
    yield Sample((spread(rng, (3, 1)), spread(rng, (4,), 3, 5), spread(rng, (2, 1, 1), -0.7, 1.8)))


CASES = [
    binary(
        "add",
        minigrad.add,
        lambda a, b, alpha=1: a + scaled(b, alpha),
        samples=binary_samples(whole=True, static=[{}, {"alpha": 2.5}, {"alpha": -1}]),
    ),
    binary(
        "sub",
        minigrad.sub,
        lambda a, b, alpha=1: a - scaled(b, alpha),
        samples=binary_samples(whole=True, static=[{}, {"alpha": 2.5}]),
        bad=[(lambda: minigrad.sub(yes(), yes()), RuntimeError, BOOL), (lambda: yes() - True, RuntimeError, BOOL)],
    ),
    binary("mul", minigrad.mul, np.multiply, samples=binary_samples(whole=True)),
    unary("neg", minigrad.neg, np.negative, whole=True, bad=[(lambda: minigrad.neg(yes()), RuntimeError, BOOL)]),
    unary("positive", minigrad.positive, np.positive, whole=True, bad=[(lambda: +yes(), RuntimeError, BOOL)]),
    unary("abs", minigrad.abs, np.abs, avoid=[0], whole=True, bad=[(lambda: abs(yes()), RuntimeError, BOOL)]),
    unary("sign", minigrad.sign, np.sign, avoid=[0], whole=True),
    Case(
        "lerp",
        minigrad.lerp,
        lambda a, b, weight: a + weight * (b - a),
        lambda rng: list(lerps(rng)),
        torch=lambda t, a, b, weight: t.lerp(a, b, weight),
        bad=[
            (lambda: minigrad.lerp(tensor([1]), tensor([2]), 0.5), RuntimeError, "floating tensors of one dtype, got int64"),
            (lambda: minigrad.lerp(ones(1), ones(1).double(), 0.5), RuntimeError, "got float32 and float64"),
            (lambda: minigrad.lerp(ones(1), 2.0, 0.5), TypeError, "expected a Tensor, got float"),
            (lambda: minigrad.lerp(ones(1), ones(1), "1"), TypeError, "as weight, got str"),
        ],
    ),
    Case(
        "addcmul",
        minigrad.addcmul,
        lambda x, a, b, value=1: x + value * a * b,
        lambda rng: list(triples(rng)),
        torch=lambda t, x, a, b, value=1: t.addcmul(x, a, b, value=value),
        bad=[(lambda: minigrad.addcmul(ones(2), 2, ones(2)), TypeError, "expected a Tensor, got int")],
    ),
    Case(
        "addcdiv",
        minigrad.addcdiv,
        lambda x, a, b, value=1: x + value * a / b,
        lambda rng: list(triples(rng)),
        torch=lambda t, x, a, b, value=1: t.addcdiv(x, a, b, value=value),
        bad=[
            (lambda: minigrad.addcdiv(ones(2), 2, ones(2)), TypeError, "expected a Tensor, got int"),
            (lambda: minigrad.addcdiv(ones(1), tensor([1]), tensor([2])), RuntimeError, "floating tensor1 or tensor2"),
        ],
    ),
    # division
    rounded_division(
        "floor_divide", minigrad.floor_divide, np.floor_divide, lambda t, a, b: t.div(a, b, rounding_mode="floor")
    ),
    rounded_division("remainder", minigrad.remainder, np.remainder, lambda t, a, b: t.remainder(a, b)),
    rounded_division("fmod", minigrad.fmod, np.fmod, lambda t, a, b: t.fmod(a, b)),
    binary(
        "div",
        minigrad.div,
        lambda a, b, rounding_mode=None: ROUNDED[rounding_mode](a, b),
        samples=binary_samples(avoid=[0], static=[{}, {"rounding_mode": "floor"}, {"rounding_mode": "trunc"}]),
        tolerance={"float16": 0.3},  # a quotient near an integer may round to either side
        bad=[(lambda: minigrad.div(ones(1), 2, rounding_mode="ceil"), ValueError, "None, 'floor' or 'trunc', got 'ceil'")],
    ),
    unary("reciprocal", minigrad.reciprocal, np.reciprocal, avoid=[0]),
    # powers
    binary(
        "pow",
        minigrad.pow,
        np.power,
        samples=lambda rng: [
            *binary_samples((0.3, 2.0), (-2.0, 3.0), avoid=[0, 1, 2], numbers=[(2.5, None), (1, None), (0.5, None)])(rng),
            *(Sample((spread(rng, (2, 3), 0.3, 2.0),), {"right": n}) for n in (-2.5, -1, 0, 0.5, 1, 2, 3, 3.5)),
            *(Sample((spread(rng, (2, 3), -2.0, 2.0, [0]),), {"right": n}) for n in (0, 1, 2, 3, 5)),
            Sample((np.array([-2, 0, 3]), np.array([[0], [1], [4]]))),
            Sample((np.array([2, 3], np.uint8), np.array([3, 2], np.uint8))),
            *(Sample((np.array([-3, 0, 4]),), {"right": n}) for n in (0, 1, 2, 3)),
            *(Sample((np.array([0, 3, 4]),), {"left": n}) for n in (-1, 0, 1, 2)),
        ],
        bad=[
            (lambda: tensor([2]) ** -1, RuntimeError, "exponent of at least 0 for integers, got -1"),
            (lambda: minigrad.pow(yes(), yes()), RuntimeError, BOOL),
        ],
    ),
    unary("square", minigrad.square, np.square, whole=True, bad=[(lambda: minigrad.square(yes()), RuntimeError, BOOL)]),
    unary("sqrt", minigrad.sqrt, np.sqrt, low=0.2, high=5.0),
    unary("rsqrt", minigrad.rsqrt, lambda x: 1 / np.sqrt(x), low=0.2, high=5.0),
]
