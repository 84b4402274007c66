"""Cases of the operations in ops/elementwise.py and ops/trigonometry.py."""

import numpy as np
from scipy import special

import minigrad
from minigrad import ones
from tests.ops.samples import binary, binary_samples, unary, unary_samples
from tests.ops.table import Case

CASES = [
    unary("exp", minigrad.exp, np.exp),
    unary("exp2", minigrad.exp2, np.exp2),
    unary("expm1", minigrad.expm1, np.expm1),
    unary("log", minigrad.log, np.log, low=0.2, high=4.0),
    unary("log2", minigrad.log2, np.log2, low=0.2, high=4.0),
    unary("log10", minigrad.log10, np.log10, low=0.2, high=4.0),
    unary("log1p", minigrad.log1p, np.log1p, low=-0.8, high=3.0),
    unary("sigmoid", minigrad.sigmoid, special.expit, low=-9.0, high=9.0),
    unary("erf", minigrad.erf, special.erf),
    unary("erfc", minigrad.erfc, special.erfc),
    binary("logaddexp", minigrad.logaddexp, np.logaddexp, samples=binary_samples((-3, 3), (-3, 3))),
    Case(
        "nan_to_num",
        minigrad.nan_to_num,
        lambda x, **replacements: np.nan_to_num(x, **replacements),
        lambda rng: [
            *unary_samples(whole=True)(rng),
            *unary_samples(static=[{"nan": 3.0, "posinf": 5.0, "neginf": -7.0}])(rng),
        ],
        torch=lambda t, x, **replacements: t.nan_to_num(x, **replacements),
        bad=[
            (lambda: minigrad.nan_to_num([1.0]), TypeError, "expected a Tensor, got list"),
            (lambda: minigrad.nan_to_num(ones(1), nan="0"), TypeError, "as nan, got str"),
        ],
    ),
    # ops/trigonometry.py
    unary("sin", minigrad.sin, np.sin),
    unary("cos", minigrad.cos, np.cos),
    unary("tan", minigrad.tan, np.tan, low=-1.2, high=1.2),
    unary("asin", minigrad.asin, np.arcsin, low=-0.9, high=0.9),
    unary("acos", minigrad.acos, np.arccos, low=-0.9, high=0.9),
    unary("atan", minigrad.atan, np.arctan),
    unary("sinh", minigrad.sinh, np.sinh),
    unary("cosh", minigrad.cosh, np.cosh),
    unary("tanh", minigrad.tanh, np.tanh),
    unary("asinh", minigrad.asinh, np.arcsinh),
    unary("acosh", minigrad.acosh, np.arccosh, low=1.2, high=4.0),
    unary("atanh", minigrad.atanh, np.arctanh, low=-0.9, high=0.9),
    binary("atan2", minigrad.atan2, np.arctan2, samples=binary_samples((0.2, 2.0), (-2.0, 2.0), avoid=[0])),
    binary("hypot", minigrad.hypot, np.hypot, samples=binary_samples(avoid=[0])),
]
