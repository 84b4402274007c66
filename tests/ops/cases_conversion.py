"""Cases of copies: into new memory, into another dtype, into the memory of another tensor."""

import numpy as np

import minigrad
from minigrad import Tensor, ops, tensor
from tests.floats import FLOATS
from tests.ops.samples import integers, spread, unary
from tests.ops.table import Case, Sample


def conversions(rng):
    for shape in ((2, 3), (), (0, 3)):
        for dtype in (*FLOATS, "int64", "uint8", "bool"):
            yield Sample((spread(rng, shape, 0.6, 5.4, avoid=(1, 2, 3, 4, 5)),), {"dtype": dtype})
    yield Sample((integers(rng, (4,)),), {"dtype": "float64"})
    yield Sample((integers(rng, (4,)),), {"dtype": "int8"})


def copies(rng):
    for a, b in (((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 3), ()), ((), ()), ((0, 3), (1, 3))):
        yield Sample((spread(rng, a), spread(rng, b)))
    yield Sample((spread(rng, (2, 3)), integers(rng, (3,))))
    yield Sample((integers(rng, (2, 3)), integers(rng, (3,)).astype(np.int16)))
    yield Sample((spread(rng, (2, 3), 0, 1) > 0.5, integers(rng, (3,))))


def fills(values):
    def samples(rng):
        for value in values:
            yield from (Sample((spread(rng, shape),), value) for shape in ((2, 3), (), (0, 3)))
            yield Sample((integers(rng, (4,)),), value)

    return lambda rng: list(samples(rng))


def in_place(name):
    """The method on a copy of its tensor; it must return that."""

    def function(x, *others, **static):
        x = x.clone()
        assert getattr(x, name)(*others, **static) is x
        return x

    return function


LEAF = (RuntimeError, "leaf tensor that requires grad")

CASES = [
    unary("clone", minigrad.clone, np.copy, whole=True),
    unary("contiguous", ops.contiguous, np.copy, whole=True, torch=lambda t, x: x.contiguous()),
    Case(
        "to",
        lambda x, dtype: ops.to(x, dtype),
        lambda x, dtype: x.astype(dtype),
        lambda rng: list(conversions(rng)),
        torch=lambda t, x, dtype: x.to(getattr(t, dtype)),
        differentiable=False,  # by differences: float16 is too coarse, integers have no derivative
        keeps_dtype=False,
        tolerance={"float64": 1e-3, "float32": 1e-3},
        bad=[
            (lambda: ops.to(tensor(1.0), "complex64"), TypeError, "expected a dtype out of"),
            (lambda: ops.to([1.0], "float64"), TypeError, "expected a Tensor, got list"),
            (lambda: ops.to(tensor(1.0), 3), TypeError, "expected a dtype out of"),
            (lambda: ops.to(tensor(1.0), device="nowhere"), ValueError, "expected one of .*cpu.*got 'nowhere'"),
        ],
    ),
    Case(
        "Tensor.copy_",
        in_place("copy_"),
        lambda x, source: np.broadcast_to(source, x.shape).astype(x.dtype),
        lambda rng: list(copies(rng)),
        torch=lambda t, x, source: x.clone().copy_(source),
        bad=[
            (lambda: Tensor([1.0], requires_grad=True).copy_(tensor([2.0])), *LEAF),
            (lambda: tensor([1.0]).copy_([2.0]), TypeError, "expected a Tensor or a number, got list"),
            (lambda: tensor([1.0, 2.0]).copy_(tensor([1.0] * 3)), ValueError, r"broadcasts to \(2,\), got \(3,\)"),
            (lambda: tensor([1.0]).copy_(tensor([[1.0], [2.0]])), ValueError, r"broadcasts to \(1,\), got \(2, 1\)"),
        ],
    ),
    Case(
        "Tensor.fill_",
        in_place("fill_"),
        lambda x, value: np.full_like(x, value),
        fills([{"value": 3}, {"value": -1.5}, {"value": True}]),
        torch=lambda t, x, value: x.clone().fill_(value),
        bad=[
            (lambda: Tensor([1.0], requires_grad=True).fill_(2.0), *LEAF),
            (lambda: tensor([1.0]).fill_("2"), TypeError, "expected a Tensor or a number, got str"),
        ],
    ),
    Case(
        "Tensor.zero_",
        in_place("zero_"),
        np.zeros_like,
        fills([{}]),
        torch=lambda t, x: x.clone().zero_(),
        bad=[(lambda: Tensor([1.0], requires_grad=True).zero_(), *LEAF)],
    ),
]
