"""The table's cases for ops/generator.py, random.py, random_inplace.py and dropout.py; test_random.py looks at the draws."""

import numpy as np

import minigrad
from minigrad import ops, tensor
from tests.ops.table import Case, Sample

NO_ARRAYS = {"0-d": "takes no arrays", "empty": "takes no arrays", "layouts": "takes no arrays"}


def ones(*shape):
    return minigrad.ones(*shape, dtype="float64")


def calls(*static):
    """A sampler of calls without arrays."""
    return lambda rng: [Sample((), arguments) for arguments in static]


def arrays(*shapes, static=({},)):
    """A sampler of one array from 0 to 1, in every shape and with every set of static arguments."""
    return lambda rng: [Sample((np.asarray(rng.random(shape)),), arguments) for shape in shapes for arguments in static]


SHAPES = ((2, 3), (), (0, 3))


def seeded(function):
    """The function with the same draws in each call."""

    def call(*args, **static):
        minigrad.manual_seed(5)
        return function(*args, **static)

    return call


def new(name, *static, bad=(), **more):
    """The case of a function that makes a tensor from no tensor."""
    function = getattr(minigrad, name)

    def call(size=(), device=None, **static):
        return function(*size, device=device, **static)

    return Case(name, call, None, calls(*static), differentiable=False, random=True, bad=bad, without=NO_ARRAYS, **more)


def like(name, *arguments):
    function = getattr(minigrad, name)
    return Case(
        name,
        lambda x, **static: function(x, *arguments, **static),
        None,
        arrays(*SHAPES),
        differentiable=False,
        random=True,
        bad=[(lambda: function([1.0], *arguments), TypeError, "expected a Tensor, got list")],
    )


def in_place(name, *static, bad=()):
    method = getattr(minigrad.Tensor, name)
    return Case(
        f"Tensor.{name}",
        seeded(lambda x, *others, **static: method(x.clone(), *others, **static)),
        None,
        arrays(*SHAPES, static=static),
        random=True,
        bad=[(lambda: method(ones(2).requires_grad_()), RuntimeError, "a leaf tensor that requires grad"), *bad],
    )


def dropping(name, *shapes, bad=(), without=()):
    function = getattr(ops, name)
    static = ({}, {"p": 0.25}, {"inplace": True}, {"p": 1.0}, {"p": 0.0}, {"training": False})
    return Case(
        name,
        seeded(lambda x, inplace=False, **static: function(x.clone() if inplace else x, inplace=inplace, **static)),
        None,
        arrays(*shapes, static=static),
        random=True,
        bad=[
            (lambda: function(ones(2, 2, 2), 1.5), ValueError, "p from 0 to 1, got 1.5"),
            (lambda: function(ones(2, 2, 2), -0.1), ValueError, "p from 0 to 1, got -0.1"),
            (lambda: function(ones(2, 2, 2), "0.5"), TypeError, "a number for p, got str"),
            (lambda: function(ones(2, 2, 2).long()), TypeError, "a floating dtype, got int64"),
            (lambda: function([1.0]), TypeError, "expected a Tensor, got list"),
            *bad,
        ],
        without=dict(without),
    )


def state(name, function, bad=()):
    """The case of a function that asks for or changes the state of the generators."""
    without = NO_ARRAYS if bad else {**NO_ARRAYS, "bad": "takes no arguments"}
    return Case(name, function, None, calls({}), differentiable=False, random=True, bad=bad, without=without)


SIZES = (
    {"size": (2, 3)},
    {"size": ()},
    {"size": (0, 3)},
    {"size": (4,), "dtype": "float16"},
    {"size": (4,), "dtype": "float64"},
)
NEGATIVE = r"sizes of at least 0, got \(-1,\)"

STATES = [
    state(
        "manual_seed",
        lambda: minigrad.manual_seed(3).initial_seed(),
        [
            (lambda: minigrad.manual_seed(2**64), ValueError, r"from -2\*\*63 to 2\*\*64 - 1, got 18446744073709551616"),
            (lambda: minigrad.manual_seed(-(2**63) - 1), ValueError, "got -9223372036854775809"),
            (lambda: minigrad.manual_seed(1.0), TypeError, "integer seed, got float"),
        ],
    ),
    state("seed", lambda: minigrad.seed()),
    state("initial_seed", lambda: minigrad.initial_seed()),
    state("get_rng_state", lambda: minigrad.get_rng_state()),
    state(
        "set_rng_state",
        lambda: minigrad.set_rng_state(minigrad.get_rng_state()) or 0,
        [
            (lambda: minigrad.set_rng_state([1]), TypeError, "expected a Tensor, got list"),
            (lambda: minigrad.set_rng_state(ones(3)), ValueError, r"uint8 tensor of get_state, got float64 of shape \(3,\)"),
            (lambda: minigrad.set_rng_state(ones(50).byte()), ValueError, r"the 104 bytes .* got uint8 of shape \(42,\)"),
            (lambda: minigrad.set_rng_state(255 * ones(112).byte()), ValueError, "the bytes of a state, got others"),
        ],
    ),
]

NEW = [
    new(
        "rand",
        *SIZES,
        bad=[
            (lambda: minigrad.rand(-1), ValueError, NEGATIVE),
            (lambda: minigrad.rand(2, dtype="int64"), TypeError, "a floating dtype, got int64"),
            (lambda: minigrad.rand(2, generator=3), TypeError, "expected a Generator, got int"),
            (lambda: minigrad.rand(2.0), TypeError, "integer size, got float"),
        ],
    ),
    new(
        "randn",
        *SIZES,
        bad=[
            (lambda: minigrad.randn(-1), ValueError, NEGATIVE),
            (lambda: minigrad.randn(2, dtype="bool"), TypeError, "a floating dtype, got bool"),
        ],
    ),
    new(
        "randint",
        {"size": (5, (2, 3))},
        {"size": (-2, 5, ())},
        {"size": (5, (0, 3)), "dtype": "uint8"},
        bad=[
            (lambda: minigrad.randint(3, 3, (2,)), ValueError, "low below high, got 3 and 3"),
            (lambda: minigrad.randint(3), TypeError, "expected a size, got none"),
            (lambda: minigrad.randint(3, (-1,)), ValueError, NEGATIVE),
            (lambda: minigrad.randint(0.5, 2, (1,)), TypeError, "integer low, got float"),
        ],
    ),
    new(
        "randperm",
        {"size": (5,)},
        {"size": (0,), "dtype": "int32"},
        bad=[
            (lambda: minigrad.randperm(-1), ValueError, NEGATIVE),
            (lambda: minigrad.randperm(1.5), TypeError, "integer n, got float"),
        ],
    ),
    like("rand_like"),
    like("randn_like"),
    like("randint_like", 5),
]

DISTRIBUTIONS = [
    Case(
        "normal",
        lambda *tensors, **static: minigrad.normal(*tensors, **static),
        None,
        lambda rng: [
            *(Sample((np.asarray(rng.random(shape)), np.asarray(rng.random(shape)))) for shape in SHAPES),
            Sample((rng.random((2, 3)),), {"std": 0.5}),
            Sample((rng.random((2, 3)), rng.random(3))),
        ],
        differentiable=False,
        random=True,
        bad=[
            (lambda: minigrad.normal(0.0, 1.0), TypeError, "a size if and only if mean and std are numbers"),
            (lambda: minigrad.normal(ones(2), 1.0, (2,)), TypeError, "a size if and only if mean and std are numbers"),
            (lambda: minigrad.normal(0.0, -1.0, (2,)), ValueError, "std of at least 0, got -1.0"),
            (lambda: minigrad.normal("0", 1.0, (2,)), TypeError, "a number for mean or std, got str"),
        ],
    ),
    Case(
        "bernoulli",
        minigrad.bernoulli,
        None,
        arrays(*SHAPES),
        differentiable=False,
        random=True,
        bad=[
            (lambda: minigrad.bernoulli(tensor([1])), TypeError, "a floating dtype, got int64"),
            (lambda: minigrad.bernoulli(0.5), TypeError, "expected a Tensor, got float"),
        ],
    ),
    Case(
        "multinomial",
        minigrad.multinomial,
        None,
        lambda rng: [
            Sample((rng.random((2, 5)),), {"num_samples": 3}),
            Sample((rng.random((2, 5)),), {"num_samples": 30, "replacement": True}),
            Sample((rng.random(5),), {"num_samples": 5}),
        ],
        differentiable=False,
        random=True,
        bad=[
            (lambda: minigrad.multinomial(ones(2, 2, 2), 1), ValueError, r"\(K\) or \(N, K\), got \(2, 2, 2\)"),
            (lambda: minigrad.multinomial(ones(0), 1), ValueError, r"\(K\) or \(N, K\), got \(0,\)"),
            (lambda: minigrad.multinomial(ones(2), 3), ValueError, "at most 2 without replacement, got 3"),
            (lambda: minigrad.multinomial(ones(2), 0), ValueError, "a positive num_samples, .* got 0"),
            (lambda: minigrad.multinomial(-ones(2), 1), ValueError, "finite weights of at least 0, got some from -1.0"),
            (lambda: minigrad.multinomial(ones(2) / 0, 1), ValueError, "finite weights .* to inf"),
            (lambda: minigrad.multinomial(tensor([0.0, 1.0]), 2), ValueError, "as many weights above 0 .* got 1"),
            (lambda: minigrad.multinomial(tensor([0.0]), 1, True), ValueError, "as many weights above 0 .* got 0"),
            (lambda: minigrad.multinomial(tensor([1, 2]), 1), TypeError, "floating weights, got int64"),
        ],
        without={"0-d": "weights are a row or rows", "empty": "there is nothing to draw from"},
    ),
]

GENERATOR = (lambda: ones(2).uniform_(generator=1), TypeError, "expected a Generator, got int")

IN_PLACE = [
    in_place(
        "uniform_",
        {},
        {"from_": -2, "to": 3},
        bad=[
            GENERATOR,
            (lambda: ones(2).uniform_(1, 0), ValueError, "from_ to be at most to, got 1 and 0"),
            (lambda: ones(2).long().uniform_(), TypeError, "a floating dtype, got int64"),
        ],
    ),
    in_place(
        "normal_",
        {},
        {"mean": 3, "std": 0.5},
        bad=[
            (lambda: ones(2).normal_(0, -1), ValueError, "std of at least 0, got -1"),
            (lambda: ones(2).long().normal_(), TypeError, "a floating dtype, got int64"),
        ],
    ),
    in_place(
        "bernoulli_",
        {},
        {"p": 0.1},
        {"p": tensor(0.5)},
        bad=[
            (lambda: ones(2).bernoulli_(1.1), ValueError, "p from 0 to 1, got 1.1"),
            (lambda: ones(2).bernoulli_(ones(3)), ValueError, r"broadcast to \(2,\), got \(3,\)"),
            (lambda: ones(2).bernoulli_(tensor([1])), TypeError, "floating probabilities, got int64"),
            (lambda: ones(2).bernoulli_("1"), TypeError, "a number for p, got str"),
        ],
    ),
]

DROPOUT = [
    dropping("dropout", *SHAPES),
    dropping(
        "dropout2d",
        (2, 3, 4, 2),
        (2, 3, 2),
        (0, 3, 2, 2),
        bad=[(lambda: ops.dropout2d(ones(2, 2)), ValueError, r"\(N, C, H, W\) or \(N, C, L\), got \(2, 2\)")],
        without={"0-d": "has no channels"},
    ),
]

CASES = [*STATES, *NEW, *DISTRIBUTIONS, *IN_PLACE, *DROPOUT]
