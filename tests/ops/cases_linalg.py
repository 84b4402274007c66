"""The table's cases for ops/linalg.py, linear.py and einsum.py."""

import numpy as np

import minigrad
from minigrad import ops
from tests.ops.table import Case, Sample


def ones(*shape):
    return minigrad.ones(*shape, dtype="float64")


def normal(*calls):
    """A sampler of normal arrays: each call is their shapes, and perhaps static arguments after them."""

    def samples(rng):
        for call in calls:
            static = call[-1] if isinstance(call[-1], dict) else {}
            shapes = [shape for shape in call if isinstance(shape, tuple)]
            yield Sample(tuple(rng.standard_normal(shape) for shape in shapes), static)

    return lambda rng: list(samples(rng))


MATMUL_SHAPES = [
    ((2, 3), (3, 4)),
    ((3,), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3,)),
    ((5, 2, 3), (3,)),
    ((3,), (5, 3, 2)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((2, 1, 2, 3), (5, 3, 4)),
    ((1, 2, 3), (4, 3, 2)),
    ((0, 3), (3, 4)),
    ((2, 0), (0, 4)),
    ((3, 0, 2), (2, 4)),
    ((2, 3, 0), (0, 4)),
    ((1, 3), (3, 1)),
]
SCALARS = {"0-d": "there is no dim to sum over"}
OF_ONE_DTYPE = "tensors of one dtype, got float64 and float32"


def product(name, reference, *shapes, wrong, broadcast=None):
    """The case of a product of tensors with fixed numbers of dims."""
    function = getattr(minigrad, name)
    fitting = shapes[0]
    without = {**SCALARS, **({} if broadcast is None else {"broadcast": broadcast})}
    return Case(
        name,
        function,
        reference,
        normal(*shapes),
        torch=lambda t, a, b: getattr(t, name)(a, b),
        bad=[
            (lambda: function(ones(*wrong[0]), ones(*wrong[1])), ValueError, "expected shapes that fit, got"),
            (lambda: function(ones(), ones(*fitting[1])), ValueError, r"dims, got shapes \(\) and"),
            (lambda: function(ones(*fitting[0]), ones(*fitting[1]).float()), TypeError, OF_ONE_DTYPE),
            (lambda: function(ones(*fitting[0]), [1.0]), TypeError, "expected two Tensors, got list"),
        ],
        without=without,
    )


def sum_of(name, product_name, shapes):
    """The case of addmm or baddbmm."""
    function = getattr(minigrad, name)
    (a, b), result = shapes
    return Case(
        name,
        function,
        lambda x, a, b, beta=1, alpha=1: (beta * x if beta else 0) + alpha * (a @ b),
        normal(
            (result, a, b),
            (result[-1:], a, b, {"alpha": 0.5}),
            ((), a, b, {"beta": -2.0}),
            (result, a, b, {"beta": 0, "alpha": 3}),
            ((*result[:-1], 0), a, (*b[:-1], 0)),
        ),
        torch=lambda t, x, a, b, **static: getattr(t, name)(x, a, b, **static),
        bad=[
            (lambda: function(ones(9), ones(*a), ones(*b)), ValueError, r"an input that broadcasts to .* got \(9,\)"),
            (lambda: function(1.0, ones(*a), ones(*b)), TypeError, "a Tensor to add, got float"),
            (lambda: function(ones(1), ones(*a), ones(*a)), ValueError, "expected shapes that fit, got"),
            (lambda: function(ones(1), ones(*a), ones(*b).float()), TypeError, OF_ONE_DTYPE),
        ],
    )


def einsum_samples(rng):
    for equation, *shapes in [
        ("ij,jk->ik", (2, 3), (3, 4)),
        ("ij,jk", (2, 3), (3, 4)),
        ("ba", (2, 3)),
        ("ii->i", (3, 3)),
        ("ii", (3, 3)),
        ("iji->j", (2, 3, 2)),
        ("iii->i", (2, 2, 2)),
        ("i,j,k->kij", (2,), (3,), (4,)),
        ("bij, bjk, bkl -> bil", (2, 3, 4), (2, 4, 2), (2, 2, 3)),
        ("ij,ij->", (2, 3), (2, 3)),
        ("ij,ij->ij", (2, 3), (2, 3)),
        ("ij,kl->", (2, 3), (2, 2)),
        ("iij,jkk->ik", (2, 2, 3), (3, 4, 4)),
        ("...ij,...jk->...ik", (2, 1, 2, 3), (3, 3, 2)),
        ("a...b,b...->...a", (2, 3, 4), (4, 3)),
        ("...i,...i", (4, 2), (4, 2)),
        ("i...->...", (2, 3)),
        ("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 2, 4)),
        ("Ab,bA->A", (2, 3), (3, 2)),
        (",ij->ij", (), (2, 3)),
        ("ij,jk->ki", (1, 3), (3, 4)),
        ("ij,jk->ik", (2, 1), (3, 4)),
        ("ij,j->i", (2, 0), (0,)),
        ("ij->j", (0, 3)),
        ("ij,ik,il->jkl", (2, 3), (2, 2), (2, 4)),
    ]:
        yield Sample(tuple(rng.standard_normal(shape) for shape in shapes), {"equation": equation})


CASES = [
    Case(
        "matmul",
        minigrad.matmul,
        np.matmul,
        lambda rng: [*normal(*MATMUL_SHAPES)(rng), Sample((np.arange(6).reshape(2, 3), np.arange(12).reshape(3, 4)))],
        torch=lambda t, a, b: t.matmul(a, b),
        bad=[
            (lambda: minigrad.matmul(ones(2, 3), ones(4, 5)), ValueError, r"\(\.\.\., K, N\), got \(2, 3\) and \(4, 5\)"),
            (lambda: minigrad.matmul(ones(3), ones(4)), ValueError, r"got \(3,\) and \(4,\)"),
            (lambda: minigrad.matmul(ones(2, 3), ones()), ValueError, r"got \(2, 3\) and \(\)"),
            (
                lambda: minigrad.matmul(ones(2, 4, 3), ones(3, 3, 4)),
                ValueError,
                r"broadcast but .* \(2, 4, 3\) and \(3, 3, 4\)",
            ),
            (lambda: minigrad.matmul(ones(2, 3), ones(3).float()), TypeError, OF_ONE_DTYPE),
            (lambda: ones(2, 3) @ 2.0, TypeError, "expected two Tensors, got Tensor and float"),
        ],
        without=SCALARS,
    ),
    product("mm", np.matmul, ((2, 3), (3, 4)), ((0, 3), (3, 2)), wrong=((2, 3), (2, 3))),
    product("bmm", np.matmul, ((2, 2, 3), (2, 3, 4)), ((0, 2, 3), (0, 3, 2)), wrong=((2, 2, 3), (3, 3, 2))),
    product("mv", np.matmul, ((2, 3), (3,)), ((0, 3), (3,)), wrong=((2, 3), (2,))),
    product("dot", np.dot, ((3,), (3,)), ((0,), (0,)), wrong=((2,), (3,)), broadcast="both have one length"),
    Case(
        "outer",
        minigrad.outer,
        np.outer,
        normal(((2,), (3,)), ((0,), (3,))),
        torch=lambda t, a, b: t.outer(a, b),
        bad=[
            (lambda: minigrad.outer(ones(2), ones(2, 2)), ValueError, r"two vectors, got shapes \(2,\) and \(2, 2\)"),
            (lambda: minigrad.outer(ones(2), 2.0), TypeError, "two Tensors, got float"),
        ],
        without={"0-d": "takes vectors"},
    ),
    sum_of("addmm", "mm", (((2, 3), (3, 4)), (2, 4))),
    sum_of("baddbmm", "bmm", (((2, 2, 3), (2, 3, 4)), (2, 2, 4))),
    Case(
        "linear",
        ops.linear,
        lambda x, weight, bias=0.0: x @ weight.T + bias,
        normal(
            ((5, 3), (4, 3), (4,)),
            ((5, 3), (4, 3)),
            ((3,), (4, 3), (4,)),
            ((2, 5, 3), (4, 3), (4,)),
            ((0, 3), (4, 3), (4,)),
            ((2, 0, 3), (4, 3), (4,)),
            ((2, 0), (4, 0), (4,)),
        ),
        torch=lambda t, *arrays: t.nn.functional.linear(*arrays),
        bad=[
            (lambda: ops.linear(ones(5, 3), ones(4, 2)), ValueError, r"weight \(out, in\), got \(5, 3\) and \(4, 2\)"),
            (lambda: ops.linear(ones(3), ones(3)), ValueError, r"got \(3,\) and \(3,\)"),
            (lambda: ops.linear(ones(), ones(4, 3)), ValueError, r"got \(\) and \(4, 3\)"),
            (lambda: ops.linear(ones(5, 3), ones(4, 3), ones(3)), ValueError, r"bias of shape \(4,\), got \(3,\)"),
            (lambda: ops.linear(ones(5, 3), ones(4, 3).float()), TypeError, OF_ONE_DTYPE),
            (lambda: ops.linear(ones(5, 3), [[1.0]]), TypeError, "expected Tensors, got list"),
        ],
        without=SCALARS,
    ),
    Case(
        "einsum",
        lambda *arrays, equation: minigrad.einsum(equation, *arrays),
        lambda *arrays, equation: np.einsum(equation, *arrays),
        lambda rng: list(einsum_samples(rng)),
        torch=lambda t, *arrays, equation: t.einsum(equation, *arrays),
        bad=[
            (lambda: minigrad.einsum("ij,jk", ones(2, 3)), ValueError, "expected 2 operands for 'ij,jk', got 1"),
            (lambda: minigrad.einsum("ij", ones(2)), ValueError, "expected 2 dims for 'ij' in 'ij', got a tensor with 1"),
            (lambda: minigrad.einsum("i...j", ones(2)), ValueError, r"expected 2 dims for 'i\.\.\.j' .* with 1"),
            (lambda: minigrad.einsum("ij->k", ones(2, 2)), ValueError, "among the operands', got 'k' in 'ij->k'"),
            (lambda: minigrad.einsum("ij->ii", ones(2, 2)), ValueError, "once, got 'i' more often in 'ij->ii'"),
            (lambda: minigrad.einsum("i1", ones(2, 2)), ValueError, "expected letters, .* got 'i1'"),
            (lambda: minigrad.einsum("ii", ones(2, 3)), ValueError, r"one size for 'i' in an operand, got shape \(2, 3\)"),
            (lambda: minigrad.einsum("ij,jk", ones(2, 3), ones(4, 5)), ValueError, "one size for 'j' in 'ij,jk', got 3 and 4"),
            (lambda: minigrad.einsum("...,...", ones(2), ones(3)), ValueError, r"one size for '\.\.\.' .* got 2 and 3"),
            (lambda: minigrad.einsum("i,i", ones(2), ones(2).float()), TypeError, OF_ONE_DTYPE),
            (lambda: minigrad.einsum("i,i", ones(2), 2.0), TypeError, "expected a Tensor, got float"),
            (lambda: minigrad.einsum(ones(2), "i"), TypeError, "an equation such as .* got Tensor"),
        ],
    ),
    Case(
        "tensordot",
        lambda a, b, dims: minigrad.tensordot(a, b, dims),
        lambda a, b, dims: np.tensordot(a, b, dims),
        normal(
            ((2, 3, 4), (3, 4, 5), {"dims": 2}),
            ((2, 3, 4), (4, 3, 5), {"dims": ([1, 2], [1, 0])}),
            ((2, 3), (4,), {"dims": 0}),
            ((2, 3), (2, 3), {"dims": ([0, -1], [0, 1])}),
            ((), (3,), {"dims": 0}),
            ((0, 3), (3, 2), {"dims": 1}),
            ((3, 0), (0, 2), {"dims": 1}),
        ),
        torch=lambda t, a, b, dims: t.tensordot(a, b, dims),
        bad=[
            (lambda: minigrad.tensordot(ones(2, 3), ones(2, 3), 1), ValueError, r"\(1,\) of \(2, 3\) and \(0,\) of \(2, 3\)"),
            (lambda: minigrad.tensordot(ones(2), ones(2, 3), 2), ValueError, "dims from 0 to 1, got 2"),
            (lambda: minigrad.tensordot(ones(2), ones(2), ([0],)), ValueError, r"two lists of dims, got \(\[0\],\)"),
            (lambda: minigrad.tensordot(ones(2), ones(2), ([1], [0])), IndexError, r"dim in \[-1, 0\], got 1"),
            (
                lambda: minigrad.tensordot(ones(), ones(3), ([0], [0])),
                IndexError,
                r"no dims of a 0-d tensor, got \(\[0\], \[0\]\)",
            ),
            (lambda: minigrad.tensordot(ones(2), ones(2).float(), 1), TypeError, OF_ONE_DTYPE),
        ],
    ),
]
