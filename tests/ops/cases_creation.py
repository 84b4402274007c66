"""The table's cases for ops/creation.py and ops/filled.py."""

import numpy as np

import minigrad
from tests.ops.table import Case, Sample

NO_ARRAYS = {"0-d": "takes no arrays", "empty": "takes no arrays", "layouts": "takes no arrays"}
UNSUPPORTED = "expected a dtype out of (bfloat16, )?bool, float16"


def calls(*static):
    """A sampler of calls without arrays."""
    return lambda rng: [Sample((), arguments) for arguments in static]


def shapes(*more):
    """A sampler of one array in several shapes, and of further (shape, static arguments)."""

    def samples(rng):
        plain = [Sample((rng.standard_normal(shape),)) for shape in ((2, 3), (), (0, 3))]
        return [*plain, *(Sample((rng.standard_normal(shape),), static) for shape, static in more)]

    return samples


def theirs(t, static):
    """The static arguments with torch's dtype."""
    return {name: getattr(t, value) if name == "dtype" else value for name, value in static.items()}


def sized(name):
    """The function of ``size`` and a device."""

    def function(size, device=None, **static):
        return getattr(minigrad, name)(*size, device=device, **static)

    return function


def constant(name, reference):
    return Case(
        name,
        sized(name),
        lambda size, dtype="float32": reference(tuple(size), dtype),
        calls(
            {"size": (2, 3)}, {"size": ()}, {"size": (0, 2)}, {"size": (4,), "dtype": "int8"}, {"size": (2,), "dtype": "bool"}
        ),
        torch=lambda t, size, **static: getattr(t, name)(size, **theirs(t, static)),
        differentiable=False,
        bad=[
            (lambda: getattr(minigrad, name)(2, -1), ValueError, r"sizes of at least 0, got \(2, -1\)"),
            (lambda: getattr(minigrad, name)(2.0), TypeError, "integer size, got float"),
            (lambda: getattr(minigrad, name)(2, dtype="complex64"), TypeError, UNSUPPORTED),
            (lambda: getattr(minigrad, name)(2, dtype="int64", requires_grad=True), RuntimeError, "expected a floating dtype"),
        ],
        without=NO_ARRAYS,
    )


def like(name, reference, *arguments):
    def function(x, **static):
        return getattr(minigrad, name)(x, *arguments, **static)

    return Case(
        name,
        function,
        lambda x, dtype=None: reference(x, *arguments, dtype=dtype),
        shapes(((2, 3), {"dtype": "int32"})),
        torch=lambda t, x, **static: getattr(t, name)(x, *arguments, **theirs(t, static)),
        differentiable=False,
        keeps_dtype=False,
        bad=[
            (lambda: getattr(minigrad, name)([1.0], *arguments), TypeError, "expected a Tensor, got list"),
            (lambda: getattr(minigrad, name)(minigrad.ones(2), *arguments, dtype="c8"), TypeError, UNSUPPORTED),
        ],
    )


def data_or_tensor(function):
    """The function of data that is a static argument, or of a tensor."""
    return lambda *tensors, data=None, device=None, **static: function(*tensors or (data,), device=device, **static)


NESTED = [[[1, 2], [3, 4]], [1.5, 2], [True, False], 3, -0.5, True, [], [[], []], ((1,), (2.0,)), range(3)]


def from_data(name):
    def theirs_from(t, *arrays, data=None, **static):
        return getattr(t, name)(*arrays or (data,), **theirs(t, static))

    make = getattr(minigrad, name)
    return Case(
        name,
        data_or_tensor(make),
        lambda *arrays, data=None, dtype=None: np.array(arrays[0] if arrays else data, dtype=dtype),
        lambda rng: [
            *(Sample((), {"data": data}) for data in NESTED),
            Sample((), {"data": [1, 2], "dtype": "float64"}),
            Sample((), {"data": 2.5, "dtype": "int64"}),
            Sample((rng.standard_normal((2, 3)),)),
            Sample((rng.standard_normal(()),), {"dtype": "float16"}),
            Sample((np.zeros((0, 3)),), {"dtype": "int64"}),
        ],
        torch=theirs_from,
        differentiable=False,
        keeps_dtype=False,
        bad=[
            (lambda: make([[1, 2], [3]]), ValueError, r"of one shape .* got shapes \(2,\) and \(1,\)"),
            (lambda: make([1, [2]]), ValueError, r"got shapes \(\) and \(1,\)"),
            (lambda: make([1, None]), TypeError, "expected numbers, .* got NoneType"),
            (lambda: make("12"), TypeError, "expected numbers, .* got str"),
            (lambda: make([1j]), TypeError, "expected numbers, .* got complex"),
            (lambda: make([1], dtype="c8"), TypeError, UNSUPPORTED),
            (lambda: make(np.ones(2, complex)), TypeError, f"{UNSUPPORTED}.* got complex128"),
            (lambda: make(np.ones(2, np.uint16)), TypeError, f"{UNSUPPORTED}.* got uint16"),
            (lambda: make([2**70]), OverflowError, "numbers that fit into int64"),
        ],
    )


SHARING = [
    Case(
        "from_numpy",
        lambda array: minigrad.from_numpy(array),
        lambda array: array,
        calls({"array": np.arange(6.0).reshape(2, 3)}, {"array": np.array(3)}, {"array": np.zeros((0, 2), np.float16)}),
        torch=lambda t, array: t.from_numpy(array),
        differentiable=False,
        bad=[
            (lambda: minigrad.from_numpy([1.0]), TypeError, "expected a numpy.ndarray, got list"),
            (lambda: minigrad.from_numpy(np.ones(2, np.complex64)), TypeError, f"{UNSUPPORTED}.* got complex64"),
            (lambda: minigrad.from_numpy(np.array(["a"])), TypeError, UNSUPPORTED),
            (lambda: minigrad.from_numpy(np.ones(2, ">f4")), TypeError, f"{UNSUPPORTED}.* got >f4"),
        ],
        without=NO_ARRAYS,
    ),
    Case(
        "from_dlpack",
        lambda array: minigrad.from_dlpack(array),
        lambda array: array,
        calls({"array": np.arange(6.0).reshape(2, 3)}, {"array": np.array(3)}, {"array": np.zeros((0, 2), np.float16)}),
        torch=lambda t, array: t.from_dlpack(array),
        differentiable=False,
        bad=[
            (lambda: minigrad.from_dlpack([1.0]), TypeError, "an object with __dlpack__, got list"),
            (lambda: minigrad.from_dlpack(np.ones(2, np.complex64)), TypeError, f"{UNSUPPORTED}.* got complex64"),
            (lambda: minigrad.from_dlpack(OnAnotherDevice()), ValueError, "got DLPack device type 7"),
        ],
        without=NO_ARRAYS,
    ),
]


class OnAnotherDevice:
    def __dlpack__(self):
        raise AssertionError("the device comes first")

    def __dlpack_device__(self):
        return 7, 0


RULES = [
    constant("zeros", np.zeros),
    constant("ones", np.ones),
    Case(
        "empty",
        sized("empty"),
        None,
        calls({"size": (2, 3)}, {"size": ()}, {"size": (0, 2), "dtype": "int8"}),
        differentiable=False,
        random=True,
        bad=[(lambda: minigrad.empty(2, -1), ValueError, r"sizes of at least 0, got \(2, -1\)")],
        without=NO_ARRAYS,
    ),
    Case(
        "full",
        lambda device=None, **static: minigrad.full(device=device, **static),
        lambda size, fill_value, dtype=None: np.full(size, fill_value, dtype),
        calls(
            {"size": (2, 3), "fill_value": 0.1, "dtype": "float64"},
            {"size": (2,), "fill_value": 7},
            {"size": (), "fill_value": True},
            {"size": (0,), "fill_value": 0.5},
        ),
        torch=lambda t, size, fill_value, **static: t.full(size, fill_value, **theirs(t, static)),
        differentiable=False,
        bad=[
            (lambda: minigrad.full((2,), "7"), TypeError, "a number for fill_value, got str"),
            (lambda: minigrad.full((-2,), 7), ValueError, r"sizes of at least 0, got \(-2,\)"),
        ],
        without=NO_ARRAYS,
    ),
    Case(
        "eye",
        lambda device=None, **static: minigrad.eye(device=device, **static),
        lambda n, m=None, dtype="float32": np.eye(n, m, dtype=dtype),
        calls({"n": 3}, {"n": 2, "m": 4}, {"n": 3, "m": 0}, {"n": 2, "dtype": "int64"}),
        torch=lambda t, n, m=None, **static: t.eye(n, *(() if m is None else (m,)), **theirs(t, static)),
        differentiable=False,
        bad=[(lambda: minigrad.eye(-1), ValueError, r"sizes of at least 0, got \(-1, -1\)")],
        without=NO_ARRAYS,
    ),
    Case(
        "arange",
        lambda arguments, device=None, **static: minigrad.arange(*arguments, device=device, **static),
        lambda arguments, dtype=None: np.arange(*arguments, dtype=dtype),
        calls(
            {"arguments": (5,)},
            {"arguments": (2, 9, 3)},
            {"arguments": (5, -1, -2)},
            {"arguments": (0,)},
            {"arguments": (3, 3)},
            {"arguments": (0.5, 2.0, 0.25), "dtype": "float64"},
            {"arguments": (1, 0, -0.125)},
            {"arguments": (0, 3, 0.5), "dtype": "float16"},
            {"arguments": (3,), "dtype": "float32"},
        ),
        torch=lambda t, arguments, **static: t.arange(*arguments, **theirs(t, static)),
        differentiable=False,
        bad=[
            (lambda: minigrad.arange(0, 3, 0), ValueError, "a step other than 0 .* got 0, 3, 0"),
            (lambda: minigrad.arange(0, 3, -1), ValueError, "leads from start to end, got 0, 3, -1"),
            (lambda: minigrad.arange(0, "3"), TypeError, "a number for end, got str"),
        ],
        without=NO_ARRAYS,
    ),
    Case(
        "linspace",
        lambda device=None, **static: minigrad.linspace(device=device, **static),
        lambda start, end, steps, dtype="float32": np.linspace(start, end, steps).astype(dtype),
        calls(
            {"start": -1, "end": 1, "steps": 5},
            {"start": 3.0, "end": 0.3, "steps": 4, "dtype": "float64"},
            {"start": 1, "end": 2, "steps": 1},
            {"start": 1, "end": 2, "steps": 0},
        ),
        torch=lambda t, start, end, steps, **static: t.linspace(start, end, steps, **theirs(t, static)),
        differentiable=False,
        bad=[
            (lambda: minigrad.linspace(0, 1, -1), ValueError, r"sizes of at least 0, got \(-1,\)"),
            (lambda: minigrad.linspace(0, 1, 2.5), TypeError, "integer steps, got float"),
        ],
        without=NO_ARRAYS,
    ),
    Case(
        "logspace",
        lambda device=None, **static: minigrad.logspace(device=device, **static),
        lambda start, end, steps, base=10.0, dtype="float32": (base ** np.linspace(start, end, steps)).astype(dtype),
        calls(
            {"start": -1, "end": 1, "steps": 5},
            {"start": 3.0, "end": 0.3, "steps": 4, "base": 2.0, "dtype": "float64"},
            {"start": 1, "end": 2, "steps": 0},
        ),
        torch=lambda t, start, end, steps, base=10.0, **static: t.logspace(start, end, steps, base, **theirs(t, static)),
        differentiable=False,
        bad=[(lambda: minigrad.logspace(0, 1, -1), ValueError, r"sizes of at least 0, got \(-1,\)")],
        without=NO_ARRAYS,
    ),
]

LIKE = [
    like("zeros_like", np.zeros_like),
    like("ones_like", np.ones_like),
    like("full_like", np.full_like, 2.5),
    Case(
        "empty_like",
        minigrad.empty_like,
        None,
        shapes(),
        differentiable=False,
        random=True,
        bad=[(lambda: minigrad.empty_like(1.0), TypeError, "expected a Tensor, got float")],
    ),
]

CASES = [from_data("tensor"), from_data("as_tensor"), *SHARING, *RULES, *LIKE]
