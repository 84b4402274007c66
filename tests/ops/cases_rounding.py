"""Cases of the operations in ops/rounding.py."""

import numpy as np

import minigrad
from minigrad import ones, tensor
from tests.ops.samples import unary, unary_samples
from tests.ops.table import Case, Sample

INTEGERS = (-2, -1, 0, 1, 2)
HALVES = (-1.5, -0.5, 0.5, 1.5)
BOOL = "expected numbers, got bool"


def rounding(operation, function, reference):
    return unary(
        operation,
        function,
        lambda x: reference(x).astype(x.dtype),
        avoid=INTEGERS,
        whole=True,
        bad=[(lambda: function(tensor([True])), RuntimeError, BOOL)],
    )


CASES = [
    rounding("floor", minigrad.floor, np.floor),
    rounding("ceil", minigrad.ceil, np.ceil),
    rounding("trunc", minigrad.trunc, np.trunc),
    unary(
        "frac",
        minigrad.frac,
        lambda x: np.modf(x)[0],
        avoid=INTEGERS,
        bad=[(lambda: minigrad.frac(tensor([True])), RuntimeError, BOOL)],
    ),
    Case(
        "round",
        minigrad.round,
        np.round,
        lambda rng: [
            *unary_samples(avoid=HALVES, whole=True)(rng),
            Sample((np.array([-0.5, 0.5, 1.5, 2.5]) * (1 + 1e-3),)),
            Sample((np.array([0.123, -4.568, 7.001]),), {"decimals": 1}),
            Sample((np.array([0.1234, -4.5678, 7.0001]),), {"decimals": 2}),
            Sample((np.array([123.4, -456.7, 44.0]),), {"decimals": -1}),
        ],
        torch=lambda t, x, **decimals: t.round(x, **decimals),
        bad=[
            (lambda: minigrad.round([1.0]), TypeError, "expected a Tensor"),
            (lambda: minigrad.round(tensor([True])), RuntimeError, BOOL),
            (lambda: minigrad.round(tensor([15]), decimals=-1), RuntimeError, "floating tensor for decimals=-1, got int64"),
            (lambda: minigrad.round(ones(1), decimals=0.5), TypeError, "expected an integer decimals"),
        ],
    ),
]
