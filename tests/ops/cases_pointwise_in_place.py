"""Cases of the Tensor methods that compute element by element and in place."""

import numpy as np
from scipy import special

from minigrad import Tensor, ones, tensor
from tests.ops.samples import IN_PLACE_SHAPES, in_place_binary, in_place_unary, spread
from tests.ops.table import Case, Sample

BOOL = "expected numbers, got bool"
INTEGERS = (-2, -1, 0, 1, 2)


def scaled_samples(rng):
    for a, b in IN_PLACE_SHAPES:
        yield Sample((spread(rng, a), spread(rng, b)))
        yield Sample((spread(rng, a), spread(rng, b)), {"alpha": -2.5})
    yield Sample((spread(rng, (2, 3)),), {"right": 0.5})
    yield Sample((np.array([1, -2, 3]),), {"right": 4})
    yield Sample((np.array([1, 250], np.uint8), np.array([7, 9], np.uint8)))


def rounded(rng):
    yield Sample((np.array([3.5, -3.5, 3.5, -3.5]), np.array([2.1, 2.1, -2.1, -2.1])))
    yield Sample((np.array(3.5), np.array(2.1)))
    yield Sample((np.array([[3.5, -3.5]]),), {"right": -2.1})
    yield Sample((np.zeros((0, 2)), np.ones(2)))
    yield Sample((np.array([7, -7, 6]), np.array([[2], [3]] * 1)[0]))
    yield Sample((np.array([7, 250], np.uint8),), {"right": 4})


def bits_samples(rng):
    yield Sample((np.array([[True, False], [True, True]]), np.array([True, False])))
    yield Sample((np.array(True), np.array(False)))
    yield Sample((np.array([[6, 7], [-3, 0]]), np.array([[3], [-2]])))
    yield Sample((np.array([6, 200], np.uint8), np.array([3, 500])))
    yield Sample((np.array([6, 7]),), {"right": 3})
    yield Sample((np.zeros((0, 2), bool), np.zeros(2, bool)))


def bits(operation, reference):
    return in_place_binary(
        operation,
        lambda a, b: reference(a, b).astype(a.dtype),
        samples=lambda rng: list(bits_samples(rng)),
        vector=lambda *sizes: ones(*sizes, dtype="int64"),
        differentiable=False,
        bad=[
            (lambda: getattr(ones(2), operation)(ones(2)), RuntimeError, "expected integers or bools, got float32"),
            (lambda: getattr(tensor([True]), operation)(1), RuntimeError, "int64 cannot be kept in a tensor of dtype bool"),
        ],
    )


def three(operation, reference):
    """The case of lerp_, addcmul_ or addcdiv_."""

    def samples(rng):
        for a, b in IN_PLACE_SHAPES:
            yield Sample((spread(rng, a), spread(rng, b, 0.5, 2), spread(rng, b, 0.6, 2)))
        yield Sample((spread(rng, (2, 3)), spread(rng, (3,), 0.5, 2), spread(rng, (2, 1), 0.6, 2)))

    def function(x, *others):
        x = x.clone()
        result = getattr(x, operation)(*others)
        assert result is x
        return result

    return Case(
        f"Tensor.{operation}",
        function,
        reference,
        lambda rng: list(samples(rng)),
        torch=lambda t, x, *others: getattr(x.clone(), operation)(*others),
        bad=[
            (lambda: getattr(Tensor([1.0], requires_grad=True), operation)(ones(1), ones(1)), RuntimeError, "leaf tensor"),
            (lambda: getattr(ones(2), operation)("1", ones(2)), TypeError, "expected a Tensor"),
            (
                lambda: getattr(ones(2), operation)(ones(3), ones(3)),
                (ValueError, RuntimeError)[operation != "lerp_"],
                "broadcast",
            ),
        ],
    )


def bool_in(operation, *others):
    return (lambda: getattr(tensor([True]), operation)(*others), RuntimeError, BOOL)


CASES = [
    in_place_binary("add_", lambda a, b, alpha=1: a + alpha * b, samples=lambda rng: list(scaled_samples(rng))),
    in_place_binary(
        "sub_",
        lambda a, b, alpha=1: a - alpha * b,
        samples=lambda rng: list(scaled_samples(rng)),
        bad=[bool_in("sub_", True)],
    ),
    in_place_binary("mul_", np.multiply),
    in_place_binary("div_", np.true_divide, whole=False),
    in_place_binary("pow_", np.power, bad=[(lambda: tensor([2]).pow_(-1), RuntimeError, "exponent of at least 0")]),
    in_place_binary(
        "floor_divide_",
        np.floor_divide,
        samples=lambda rng: list(rounded(rng)),
        torch=lambda x, other: x.div_(other, rounding_mode="floor"),  # its floor_divide_ has no gradient
        bad=[(lambda: tensor([2]).floor_divide_(0), RuntimeError, "divisor other than 0"), bool_in("floor_divide_", True)],
    ),
    in_place_binary(
        "remainder_",
        np.remainder,
        samples=lambda rng: list(rounded(rng)),
        bad=[(lambda: tensor([2]).remainder_(0), RuntimeError, "divisor other than 0"), bool_in("remainder_", True)],
    ),
    bits("bitwise_and_", np.bitwise_and),
    bits("bitwise_or_", np.bitwise_or),
    bits("bitwise_xor_", np.bitwise_xor),
    in_place_unary("neg_", np.negative, whole=True, bad=[bool_in("neg_")]),
    in_place_unary("abs_", np.abs, avoid=[0], whole=True, bad=[bool_in("abs_")]),
    in_place_unary("reciprocal_", np.reciprocal, avoid=[0]),
    in_place_unary("square_", np.square, whole=True, bad=[bool_in("square_")]),
    in_place_unary("sqrt_", np.sqrt, low=0.2, high=5),
    in_place_unary("rsqrt_", lambda x: 1 / np.sqrt(x), low=0.2, high=5),
    in_place_unary("floor_", lambda x: np.floor(x).astype(x.dtype), avoid=INTEGERS, whole=True, bad=[bool_in("floor_")]),
    in_place_unary("ceil_", lambda x: np.ceil(x).astype(x.dtype), avoid=INTEGERS, whole=True, bad=[bool_in("ceil_")]),
    in_place_unary("trunc_", lambda x: np.trunc(x).astype(x.dtype), avoid=INTEGERS, whole=True, bad=[bool_in("trunc_")]),
    in_place_unary("round_", np.round, avoid=[-1.5, -0.5, 0.5, 1.5], whole=True, bad=[bool_in("round_")]),
    in_place_unary("exp_", np.exp),
    in_place_unary("log_", np.log, low=0.2, high=4),
    in_place_unary("sin_", np.sin),
    in_place_unary("cos_", np.cos),
    in_place_unary("tanh_", np.tanh),
    in_place_unary("sigmoid_", special.expit),
    in_place_unary("relu_", lambda x: np.maximum(x, 0), avoid=[0], whole=True, bad=[bool_in("relu_")]),
    three("lerp_", lambda x, end, weight: x + weight * (end - x)),
    three("addcmul_", lambda x, a, b: x + a * b),
    three("addcdiv_", lambda x, a, b: x + a / b),
]
