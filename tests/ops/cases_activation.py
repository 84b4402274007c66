"""Cases of the operations in ops/activation.py, ops/rectifier.py and ops/softmax.py."""

import numpy as np
from scipy import special

import minigrad
from minigrad import Tensor, ones, ops, tensor
from tests.ops.samples import spread, unary_samples
from tests.ops.table import Case, Sample


def activation(name, reference, *, avoid=(), static=({},), inplace=False, bad=(), **more):
    """The case of a function that torch.nn.functional has too, also with ``inplace=True`` where it takes that."""
    operation = getattr(ops, name)

    def function(x, inplace=False, **arguments):
        if not inplace:
            return operation(x, **arguments)
        x = x.clone()
        result = operation(x, inplace=True, **arguments)
        assert result is x
        return result

    def theirs(t, x, inplace=False, **arguments):
        theirs = getattr(t.nn.functional, name)
        return theirs(x.clone(), inplace=True, **arguments) if inplace else theirs(x, **arguments)

    required = static[0]
    bad = [(lambda: operation([1.0], **required), TypeError, "expected a Tensor, got list"), *bad]
    if inplace:
        static = [*static, *({**arguments, "inplace": True} for arguments in static)]
        leaf = Tensor([1.0], requires_grad=True)
        bad += [
            (lambda: operation(leaf, inplace=True, **required), RuntimeError, "leaf tensor that requires grad"),
            (lambda: operation([1.0], inplace=True, **required), TypeError, "expected a Tensor, got list"),
        ]
    return Case(
        name,
        function,
        lambda x, inplace=False, **arguments: reference(x, **arguments),
        unary_samples(-7.0, 7.0, avoid, static),
        torch=theirs,
        bad=bad,
        **more,
    )


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(x))


def gelu(x, approximate="none"):
    if approximate == "none":
        return x * special.ndtr(x)
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def softplus(x, beta=1.0, threshold=20.0):
    return np.where(x * beta > threshold, x, np.logaddexp(0, beta * x) / beta)


def prelu_reference(x, weight):
    slopes = weight if weight.size == 1 else weight.reshape((-1,) + (1,) * (x.ndim - 2))
    return np.where(x > 0, x, slopes.reshape(()) * x if weight.size == 1 else slopes * x)


def glu(x, dim=-1):
    a, b = np.split(x, 2, axis=dim)
    return a * special.expit(b)


def scores(rng):
    for shape, dim in (((3, 4), 1), ((3, 4), 0), ((2, 3, 4), -2), ((), 0), ((0, 3), 1), ((3, 1), 1)):
        yield Sample((spread(rng, shape, -4, 4),), {"dim": dim})


def scores_case(name, reference):
    operation = getattr(ops, name)
    return Case(
        name,
        operation,
        lambda x, dim: reference(x, dim) if x.ndim else reference(x.reshape(1), 0).reshape(()),
        lambda rng: list(scores(rng)),
        torch=lambda t, x, dim: getattr(t.nn.functional, name)(x, dim=dim),
        bad=[
            (lambda: operation([1.0], 0), TypeError, "expected a Tensor, got list"),
            (lambda: operation(ones(2, 3), 2), IndexError, r"dim in \[-2, 1\], got 2"),
            (lambda: operation(ones(2, 3), None), TypeError, "expected an integer dim, got None"),
            (lambda: operation(ones(2, 3), 0.5), TypeError, "expected an integer dim"),
        ],
    )


def refuses_bool(name, **arguments):
    return (lambda: getattr(ops, name)(tensor([True]), **arguments), RuntimeError, "expected numbers, got bool")


CASES = [
    # ops/rectifier.py
    activation("relu", lambda x: np.maximum(x, 0), avoid=[0], inplace=True, bad=[refuses_bool("relu")]),
    activation("relu6", lambda x: np.clip(x, 0, 6), avoid=[0, 6], inplace=True),
    activation(
        "hardtanh",
        lambda x, min_val=-1, max_val=1: np.clip(x, min_val, max_val),
        avoid=[-1, 1, -2.5, 4],
        static=[{}, {"min_val": -2.5, "max_val": 4.0}],
        inplace=True,
        bad=[
            (lambda: ops.hardtanh(ones(1), 2, 1), ValueError, "min_val <= max_val, got 2 and 1"),
            (lambda: ops.hardtanh(ones(1), None, 1), TypeError, "real numbers as min_val and max_val, got NoneType and int"),
        ],
    ),
    activation(
        "threshold",
        lambda x, threshold, value: np.where(x > threshold, x, value),
        avoid=[0.5],
        static=[{"threshold": 0.5, "value": -3.0}],
        inplace=True,
        bad=[
            refuses_bool("threshold", threshold=0, value=0),
            (lambda: ops.threshold(ones(1), "0", 1), TypeError, "as threshold, got str"),
            (lambda: ops.threshold(ones(1), 0, None), TypeError, "as value, got NoneType"),
        ],
    ),
    activation(
        "leaky_relu",
        lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x),
        avoid=[0],
        static=[{}, {"negative_slope": 0.3}, {"negative_slope": 1.5}],
        inplace=True,
        bad=[
            (lambda: ops.leaky_relu(ones(1), "1"), TypeError, "as negative_slope, got str"),
            (lambda: ops.leaky_relu(tensor([1]), inplace=True), RuntimeError, "cannot be kept in a tensor of dtype int64"),
        ],
    ),
    Case(
        "prelu",
        minigrad.prelu,
        prelu_reference,
        lambda rng: [
            *(Sample((spread(rng, shape, avoid=[0]), np.array([0.3]))) for shape in ((3, 4), (), (0, 3), (5,))),
            *(Sample((spread(rng, shape, avoid=[0]), np.array([0.3, -0.2, 1.5]))) for shape in ((4, 3), (2, 3, 2, 2))),
            Sample((spread(rng, (2, 3), avoid=[0]), np.array(0.3))),
        ],
        torch=lambda t, x, weight: t.prelu(x, weight),
        bad=[
            (lambda: minigrad.prelu(ones(2, 3), 0.1), TypeError, "expected a Tensor, got float"),
            (lambda: minigrad.prelu(ones(2, 3), ones(2)), ValueError, r"shape \(1,\) or \(3,\), got \(2,\)"),
            (lambda: minigrad.prelu(ones(2, 3), ones(3).double()), RuntimeError, "one dtype, got float32 and float64"),
        ],
    ),
    activation(
        "hardsigmoid",
        lambda x: np.clip(x / 6 + 0.5, 0, 1),
        avoid=[-3, 3],
        inplace=True,
        tolerance={"float64": 1e-7},  # torch's gradient is a float32's 1 / 6
    ),
    activation("hardswish", lambda x: x * np.clip(x / 6 + 0.5, 0, 1), avoid=[-3, 3], inplace=True),
    # ops/activation.py
    activation(
        "elu",
        elu,
        avoid=[0],
        static=[{}, {"alpha": 0.7}],
        inplace=True,
        bad=[(lambda: ops.elu(ones(1), "1"), TypeError, "as alpha, got str")],
    ),
    activation("selu", lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772), avoid=[0], inplace=True),
    activation(
        "celu",
        lambda x, alpha=1.0: np.maximum(x, 0) + np.minimum(alpha * np.expm1(x / alpha), 0),
        avoid=[0],
        static=[{}, {"alpha": 0.7}],
        inplace=True,
        tolerance={"float64": 1e-7},  # torch's alpha is a float32
        bad=[(lambda: ops.celu(ones(1), 0), ValueError, "alpha other than 0")],
    ),
    activation(
        "gelu",
        gelu,
        static=[{}, {"approximate": "tanh"}],
        bad=[(lambda: ops.gelu(ones(1), "sigmoid"), ValueError, "'none' or 'tanh', got 'sigmoid'")],
    ),
    activation("silu", lambda x: x * special.expit(x), inplace=True),
    activation("mish", lambda x: x * np.tanh(np.logaddexp(0, x)), inplace=True),
    activation(
        "softplus",
        softplus,
        avoid=[1.25, -1.5],
        static=[{}, {"beta": 2.0}, {"beta": 4.0, "threshold": 5.0}, {"beta": 2.0, "threshold": -3.0}],
        bad=[
            (lambda: ops.softplus(ones(1), 0), ValueError, "beta other than 0"),
            (lambda: ops.softplus(ones(1), threshold="1"), TypeError, "as threshold, got str"),
        ],
    ),
    activation("logsigmoid", special.log_expit),
    activation("softsign", lambda x: x / (1 + np.abs(x)), avoid=[0]),
    activation("tanhshrink", lambda x: x - np.tanh(x)),
    Case(
        "glu",
        ops.glu,
        glu,
        lambda rng: [
            Sample((spread(rng, (3, 4)),)),
            Sample((spread(rng, (4, 3)),), {"dim": 0}),
            Sample((spread(rng, (2, 6, 2)),), {"dim": -2}),
            Sample((np.zeros((0, 4)),)),
        ],
        torch=lambda t, x, **arguments: t.nn.functional.glu(x, **arguments),
        without={"0-d": "there is nothing to halve"},
        bad=[
            (lambda: ops.glu([1.0]), TypeError, "expected a Tensor, got list"),
            (lambda: ops.glu(ones(2, 3)), RuntimeError, r"even size along dim 1, got shape \(2, 3\)"),
            (lambda: ops.glu(tensor(1.0)), RuntimeError, r"even size along dim 0, got shape \(\)"),
            (lambda: ops.glu(ones(2), 1), IndexError, "got 1"),
        ],
    ),
    # ops/softmax.py
    scores_case("softmax", lambda x, dim: special.softmax(x, axis=dim) if x.size else x),
    scores_case("softmin", lambda x, dim: special.softmax(-x, axis=dim) if x.size else x),
    scores_case("log_softmax", lambda x, dim: special.log_softmax(x, axis=dim) if x.size else x),
]
