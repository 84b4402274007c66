"""Samples and cases for functions of single elements, of one tensor and of two."""

import numpy as np

from minigrad import Tensor, ones, tensor
from tests.ops.table import Case, Sample

UNARY_SHAPES = ((3, 4), (2, 3, 2), (), (0, 3))
BINARY_SHAPES = (((3, 4), (3, 4)), ((3, 1), (4,)), ((), (2, 3)), ((0, 3), (1, 3)), ((2, 1, 3), ()))
IN_PLACE_SHAPES = (((3, 4), (3, 4)), ((3, 4), (4,)), ((2, 3), ()), ((0, 3), (1, 3)))


def spread(rng, shape, low=-2.0, high=2.0, avoid=(), shift=0.0):
    """Distinct values between two bounds, in random order, none of them near what is to be avoided."""
    count = int(np.prod(shape))
    values = low + shift + (high - low) * (np.arange(count) + rng.uniform(0.3, 0.7, count)) / max(count, 1)
    for kink in avoid:
        near = np.abs(values - kink) < 0.06
        values[near] = kink + np.where(values[near] < kink, -1, 1) * rng.uniform(0.06, 0.1, near.sum())
    return rng.permutation(values).reshape(shape)


def integers(rng, shape, low=-5, high=6, avoid=()):
    values = rng.integers(low, high, shape)
    for value in avoid:
        values[values == value] = value + 1
    return values


def unary_samples(low=-2.0, high=2.0, avoid=(), static=({},), whole=False):
    """Every shape, and every set of static arguments; also integers if they are kept."""

    def samples(rng):
        yield from (Sample((spread(rng, shape, low, high, avoid),), static[0]) for shape in UNARY_SHAPES)
        yield from (Sample((spread(rng, (2, 5), low, high, avoid),), arguments) for arguments in static[1:])
        if whole:
            yield Sample((integers(rng, (7,)),), static[0])
            yield Sample((integers(rng, (2, 3), 0, 9).astype(np.uint8),), static[0])

    return lambda rng: list(samples(rng))


def unary(
    operation, function, reference, *, low=-2.0, high=2.0, avoid=(), whole=False, static=({},), bad=(), torch=None, **more
):
    """The case of a function of one tensor whose name is torch's too."""
    return Case(
        operation,
        function,
        reference,
        unary_samples(low, high, avoid, static, whole),
        torch=torch or (lambda t, x, **arguments: getattr(t, operation)(x, **arguments)),
        bad=[(lambda: function([1.0]), TypeError, "expected a Tensor, got list"), *bad],
        **more,
    )


def with_numbers(function):
    """The function of two operands, with keywords for operands that are numbers."""

    def call(*operands, left=None, right=None, **static):
        operands = ([] if left is None else [left]) + list(operands) + ([] if right is None else [right])
        return function(*operands, **static)

    return call


def binary_samples(
    first=(-2.0, 2.0), second=(-2.0, 2.0), avoid=(), numbers=((None, 1.5), (-0.5, None)), whole=False, static=({},)
):
    """Every pair of shapes, a tensor with a number on its right and on its left; also integers if they are kept."""

    def samples(rng):
        for a, b in BINARY_SHAPES:
            yield Sample((spread(rng, a, *first, avoid), spread(rng, b, *second, avoid, 0.03)), static[0])
        for arguments in static[1:]:
            yield Sample((spread(rng, (3, 4), *first, avoid), spread(rng, (4,), *second, avoid, 0.03)), arguments)
        for left, right in numbers:
            array = spread(rng, (2, 3), *(first if left is None else second), (*avoid, left or right))
            yield Sample((array,), {**static[0], "left": left, "right": right})
        if whole:
            yield Sample((integers(rng, (3, 4)), integers(rng, (4,), avoid=[0])), static[0])
            yield Sample((integers(rng, (5,)).astype(np.int8),), {**static[0], "right": 3})
            yield Sample((integers(rng, (5,), 0, 9).astype(np.uint8), integers(rng, (2, 1), 1, 5).astype(np.uint8)), static[0])

    return lambda rng: list(samples(rng))


def binary(operation, function, reference, *, samples=None, bad=(), torch=None, vector=ones, **more):
    """The case of a function of two tensors, or a tensor and a number, whose name is torch's too."""

    def theirs(t, *operands, left=None, right=None, **static):
        left, right = (None if n is None else t.from_numpy(np.asarray(n)) for n in (left, right))
        function = torch or (lambda t, a, b, **static: getattr(t, operation)(a, b, **static))
        return with_numbers(lambda a, b, **static: function(t, a, b, **static))(*operands, left=left, right=right, **static)

    return Case(
        operation,
        with_numbers(function),
        with_numbers(reference),
        samples or binary_samples(),
        torch=theirs,
        bad=[
            (lambda: function(vector(2), "1"), TypeError, "expected a Tensor or a real number, got str"),
            (lambda: function(vector(2), np.ones(2)), TypeError, r"got numpy\.ndarray; minigrad\.tensor makes"),
            (lambda: function(vector(2), 1j), TypeError, "expected a Tensor or a real number, got complex"),
            (lambda: function(1, 2), TypeError, "expected at least one Tensor, got int and int"),
            (lambda: function(vector(2), vector(3)), ValueError, r"shapes that broadcast, got \(2,\) and \(3,\)"),
            *bad,
        ],
        **more,
    )


def in_place_unary(operation, reference, *, low=-2.0, high=2.0, avoid=(), whole=False, static=({},), bad=(), **more):
    """The case of a Tensor method that writes the function of each element into its place."""

    def function(x, **arguments):
        x = x.clone()
        result = getattr(x, operation)(**arguments)
        assert result is x
        return result

    if not whole:
        bad = [(lambda: getattr(tensor([1, 2]), operation)(**static[0]), RuntimeError, "cannot be kept in a tensor"), *bad]
    return Case(
        f"Tensor.{operation}",
        function,
        reference,
        unary_samples(low, high, avoid, static, whole),
        torch=lambda t, x, **arguments: getattr(x.clone(), operation)(**arguments),
        bad=[
            (
                lambda: getattr(Tensor([1.0], requires_grad=True), operation)(**static[0]),
                RuntimeError,
                "leaf tensor that requires grad",
            ),
            *bad,
        ],
        **more,
    )


def in_place_binary(operation, reference, *, samples=None, bad=(), whole=True, torch=None, vector=ones, **more):
    """The case of a Tensor method that combines each element with another tensor's, or with a number."""

    def function(x, *others, right=None, **arguments):
        x = x.clone()
        others = others if right is None else (*others, right)
        result = getattr(x, operation)(*others, **arguments)
        assert result is x
        return result

    def default(rng):
        pairs = [Sample((spread(rng, a, 0.3, 2.0), spread(rng, b, 0.4, 2.1))) for a, b in IN_PLACE_SHAPES]
        return [*pairs, Sample((spread(rng, (2, 3), 0.3, 2.0),), {"right": 1.75})]

    if not whole:
        bad = [(lambda: getattr(tensor([1, 2]), operation)(2), RuntimeError, "cannot be kept in a tensor"), *bad]
    return Case(
        f"Tensor.{operation}",
        function,
        lambda x, *others, right=None, **arguments: reference(x, *others, *([] if right is None else [right]), **arguments),
        samples or default,
        torch=lambda t, x, *others, right=None, **arguments: (torch or getattr(t.Tensor, operation))(
            x.clone(), *others, *([] if right is None else [right]), **arguments
        ),
        bad=[
            (lambda: getattr(vector(2), operation)("1"), TypeError, "expected a Tensor or a real number, got str"),
            (lambda: getattr(vector(2), operation)(vector(3)), RuntimeError, r"broadcasts to \(2,\), got shape \(3,\)"),
            (lambda: getattr(vector(3), operation)(vector(1, 3)), RuntimeError, r"broadcasts to \(3,\), got shape \(1, 3\)"),
            (lambda: getattr(tensor([1, 2]), operation)(0.5), RuntimeError, "tensor of dtype int64|expected integers or bools"),
            *bad,
        ],
        **more,
    )
