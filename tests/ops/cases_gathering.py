"""The table's cases for ops/gathering.py, ops/scattering.py and ops/embedding.py."""

import numpy as np

import minigrad
from minigrad import ops, tensor
from tests.ops.cases_indexing import ALL, normal, ones
from tests.ops.table import Case, Sample

# --- along one dim, whole slices ---------------------------------------------------------------------------------------

INTEGERS = r"integers as indices \(int64 is best\), got "


def along(dim, ndim, index):
    return (ALL,) * (dim % ndim) + (index,)


def select_samples(rng):
    yield Sample((*normal(rng, (3, 4)), np.array([2, 0, 2])), {"dim": 0})
    yield Sample((*normal(rng, (2, 3, 4)), np.array([3, 3, 1], np.int32)), {"dim": -1})
    yield Sample((*normal(rng, (3, 4)), np.zeros(0, np.int64)), {"dim": 1})
    yield Sample((*normal(rng, (0, 4)), np.array([1])), {"dim": 1})
    yield Sample((np.arange(6).reshape(2, 3), np.array([1, 1])), {"dim": 0})


def add_samples(rng):
    for shape, index, dim in [((3, 4), [2, 0, 2], 0), ((2, 3, 4), [3, 3, 1, 3, 0], -1), ((3, 4), [], 1), ((0, 4), [1], 1)]:
        source = list(shape)
        source[dim] = len(index)
        for static in ({"dim": dim}, {"dim": dim, "alpha": -2.0}):
            yield Sample((*normal(rng, shape), np.array(index, np.int64), *normal(rng, source)), static)
    yield Sample((np.arange(3), np.array([1, 1]), np.array([5, 7])), {"dim": 0})


def added(x, index, source, dim, alpha=1):
    result = x.copy()
    np.add.at(result, along(dim, x.ndim, index), alpha * source)
    return result


def replaced(x, index, *values, dim, value=None):
    result = x.copy()
    result[along(dim, x.ndim, index)] = values[0] if values else value
    return result


def replace_samples(rng):
    yield Sample((*normal(rng, (3, 4)), np.array([2, -3])), {"dim": 0, "value": 1.5})
    yield Sample((*normal(rng, (2, 3, 4)), np.array([3, 3, 1])), {"dim": -1, "value": 0})
    yield Sample((*normal(rng, (2, 4)), np.array([3, 1]), *normal(rng, ())), {"dim": 1})
    yield Sample((*normal(rng, (0, 4)), np.array([1])), {"dim": 1, "value": 2})
    yield Sample((np.arange(3), np.array(1)), {"dim": 0, "value": 9})


def of_value(function):
    """The function of a dim, an index and a value, which is the last array or a static argument."""
    return lambda x, index, *values, dim, value=None: function(x, dim, index, values[0] if values else value)


SLICES = [
    Case(
        "index_select",
        lambda x, index, dim: minigrad.index_select(x, dim, index),
        lambda x, index, dim: np.take(x, index, dim).reshape(
            -1 if x.ndim == 1 else () if x.ndim == 0 else np.take(x, index, dim).shape
        ),
        lambda rng: [*select_samples(rng), Sample((np.array(2.5), np.array([0])), {"dim": 0})],
        torch=lambda t, x, index, dim: t.index_select(x, dim, index),
        bad=[
            (lambda: minigrad.index_select(ones(2, 3), 1, tensor([3])), IndexError, r"\[0, 2\] for dim 1 of size 3, got 3"),
            (lambda: minigrad.index_select(ones(2, 3), 1, tensor([-1])), IndexError, r"\[0, 2\] for dim 1 of size 3, got -1"),
            (lambda: minigrad.index_select(ones(2, 3), 2, tensor([0])), IndexError, r"dim in \[-2, 1\], got 2"),
            (lambda: minigrad.index_select(ones(2, 3), 1, ones(1)), TypeError, INTEGERS + "float64"),
            (lambda: minigrad.index_select(ones(2, 3), 1, [0]), TypeError, "expected a Tensor, got list"),
            (lambda: minigrad.index_select(ones(2, 3), 1, tensor([[0]])), ValueError, r"with one dim, got shape \(1, 1\)"),
        ],
    ),
    *(
        Case(
            name,
            function,
            added,
            lambda rng: list(add_samples(rng)),
            torch=lambda t, x, index, source, dim, alpha=1: t.index_add(x, dim, index, source, alpha=alpha),
            bad=[
                (lambda f=method: f(ones(2), 0, tensor([2]), ones(1)), IndexError, r"\[0, 1\] for dim 0 of size 2, got 2"),
                (lambda f=method: f(ones(2), 0, tensor([1]), ones(2)), ValueError, r"source of shape \(1,\), got \(2,\)"),
                (lambda f=method: f(ones(2), 0, tensor([1]), ones(1).float()), TypeError, "float64, got float32"),
                (lambda f=method: f(ones(2), 0, ones(1), ones(1)), TypeError, INTEGERS + "float64"),
                (lambda f=method: f(ones(), 0, tensor([0]), ones(1)), ValueError, "at least one dim, got a 0-d tensor"),
            ],
            without={"0-d": "has no slices"},
        )
        for name, function, method in [
            (
                "index_add",
                lambda x, index, source, dim, alpha=1: minigrad.index_add(x, dim, index, source, alpha=alpha),
                minigrad.index_add,
            ),
            (
                "Tensor.index_add_",
                lambda x, index, source, dim, alpha=1: x.clone().index_add_(dim, index, source, alpha=alpha),
                minigrad.Tensor.index_add_,
            ),
        ]
    ),
    *(
        Case(
            name,
            of_value(function),
            replaced,
            lambda rng: list(replace_samples(rng)),
            torch=lambda t, *arrays, **static: of_value(t.index_fill)(*arrays, **static),
            bad=[
                (lambda f=method: f(ones(2), 0, tensor([2]), 1), IndexError, r"\[-2, 1\] for dim 0 of size 2, got 2"),
                (lambda f=method: f(ones(2), 0, tensor([1]), ones(1)), TypeError, r"a 0-d tensor .* got shape \(1,\)"),
                (lambda f=method: f(ones(2), 0, ones(1), 1), TypeError, INTEGERS + "float64"),
                (lambda f=method: f(ones(), 0, tensor([0]), 1), ValueError, "at least one dim, got a 0-d tensor"),
            ],
        )
        for name, function, method in [
            ("index_fill", minigrad.index_fill, minigrad.index_fill),
            (
                "Tensor.index_fill_",
                lambda x, dim, index, value: x.clone().index_fill_(dim, index, value),
                minigrad.Tensor.index_fill_,
            ),
        ]
    ),
]


# --- along one dim, element by element ---------------------------------------------------------------------------------


def gather_samples(rng):
    yield Sample((*normal(rng, (3, 4)), rng.integers(0, 3, (5, 4))), {"dim": 0})
    yield Sample((*normal(rng, (3, 4)), rng.integers(0, 4, (2, 3), np.int32)), {"dim": -1})
    yield Sample((*normal(rng, (2, 3, 4)), rng.integers(0, 3, (2, 1, 4))), {"dim": 1})
    yield Sample((*normal(rng, (3, 4)), np.zeros((0, 4), np.int64)), {"dim": 0})
    yield Sample((*normal(rng, ()), np.array(0)), {"dim": 0})
    yield Sample((np.arange(6).reshape(2, 3), np.array([[2], [2]])), {"dim": 1})


def gathered(x, index, dim):
    result = np.empty(index.shape, x.dtype)
    for place in np.ndindex(index.shape):
        result[place] = x[(*place[: dim % x.ndim], index[place], *place[dim % x.ndim + 1 :])] if place else x
    return result


def scatter_samples(rng, repeats):
    """With indices that name places twice or not."""
    for shape, size, dim in [((3, 4), (2, 4), 0), ((3, 4), (3, 3), -1), ((2, 3, 4), (1, 3, 2), 1), ((3, 4), (0, 4), 0)]:
        along_dim = np.arange(shape[dim]).reshape([-1 if i == dim % len(shape) else 1 for i in range(len(shape))])
        index = rng.permuted(np.broadcast_to(along_dim, shape), axis=dim)
        index = index[tuple(map(slice, size))]
        yield Sample((*normal(rng, shape), index, *normal(rng, size)), {"dim": dim})
    index = np.array([[0, 1], [2, 0 if repeats else 3]])
    yield Sample((*normal(rng, (3, 4)), index, *normal(rng, (2, 3))), {"dim": 1})
    yield Sample((np.arange(4), np.array([2, 2 if repeats else 1]), np.array([5, 6])), {"dim": 0})
    yield Sample((*normal(rng, ()), np.array(0), *normal(rng, ())), {"dim": 0})


def scattered(add):
    def reference(x, index, *sources, dim, value=None):
        result = x.copy()
        for place in np.ndindex(index.shape):
            target = (*place[: dim % x.ndim], index[place], *place[dim % x.ndim + 1 :]) if place else ()
            written = sources[0][place] if sources else value
            result[target] = result[target] + written if add else written
        return result

    return reference


def scattering_case(name, function, method, add):
    def theirs(t, x, index, *sources, dim, value=None):
        source = sources[0][tuple(map(slice, index.shape))] if sources else value  # PyTorch's own gradient fails uncut
        return (t.scatter_add if add else t.scatter)(x, dim, index, source)

    numbers = [] if add else [Sample((np.arange(6.0).reshape(2, 3), np.array([[0], [2]])), {"dim": 1, "value": -1.5})]
    return Case(
        name,
        of_value(function),
        scattered(add),
        lambda rng: [*scatter_samples(rng, repeats=add), *numbers],
        torch=theirs,
        bad=[
            (lambda: method(ones(2), 0, tensor([2]), ones(1)), IndexError, r"\[0, 1\] for dim 0 of size 2, got 2"),
            (lambda: method(ones(2), 0, tensor([-1]), ones(1)), IndexError, r"\[0, 1\] for dim 0 of size 2, got -1"),
            (
                lambda: method(ones(2), 0, tensor([1, 0]), ones(1)),
                ValueError,
                r"no longer than the source .* \(2,\) and \(1,\)",
            ),
            (lambda: method(ones(2, 2), 0, tensor([1]), ones(1)), ValueError, r"as many dims .* got \(1,\) and \(2, 2\)"),
            (lambda: method(ones(2, 2), 0, tensor([[1, 1, 1]]), ones(1, 3)), ValueError, r"except in dim 0, got \(1, 3\)"),
            (lambda: method(ones(2), 0, tensor([1]), ones(1).float()), TypeError, "float64, got float32"),
            (lambda: method(ones(2), 0, ones(1), ones(1)), TypeError, INTEGERS + "float64"),
            (lambda: method(ones(2), 0, tensor([1]), "1"), TypeError, "expected a Tensor, got str"),
        ],
    )


ELEMENTS = [
    Case(
        "gather",
        lambda x, index, dim: minigrad.gather(x, dim, index),
        gathered,
        lambda rng: list(gather_samples(rng)),
        torch=lambda t, x, index, dim: t.gather(x, dim, index.long()),
        bad=[
            (lambda: minigrad.gather(ones(2), 0, tensor([2])), IndexError, r"\[0, 1\] for dim 0 of size 2, got 2"),
            (lambda: minigrad.gather(ones(2), 0, tensor([-1])), IndexError, r"\[0, 1\] for dim 0 of size 2, got -1"),
            (lambda: minigrad.gather(ones(2, 2), 0, tensor([1])), ValueError, r"as many dims .* got \(1,\) and \(2, 2\)"),
            (lambda: minigrad.gather(ones(2, 2), 0, tensor([[1, 1, 1]])), ValueError, r"except in dim 0, got \(1, 3\)"),
            (lambda: minigrad.gather(ones(2), 0, ones(1)), TypeError, INTEGERS + "float64"),
        ],
    ),
    Case(
        "take_along_dim",
        lambda x, indices, dim=None: minigrad.take_along_dim(x, indices, dim),
        lambda x, indices, dim=None: np.take_along_axis(x, indices if dim is not None else indices.reshape(-1), dim),
        lambda rng: [
            Sample((*normal(rng, (3, 4)), np.array([[2, 0, -1, 1]])), {"dim": 0}),
            Sample((*normal(rng, (3, 4)), rng.integers(0, 4, (1, 2))), {"dim": 1}),
            Sample((*normal(rng, (1, 4)), rng.integers(0, 4, (3, 2))), {"dim": -1}),
            Sample((*normal(rng, (3, 4)), np.array([11, 0, 3])), {}),
            Sample((*normal(rng, (0, 4)), np.array([[1]])), {"dim": 1}),
            Sample((*normal(rng, ()), np.array([0]))),
        ],
        torch=lambda t, x, indices, dim=None: t.take_along_dim(x, indices, dim),
        bad=[
            (lambda: minigrad.take_along_dim(ones(2), tensor([2]), 0), IndexError, r"\[-2, 1\] for dim 0 of size 2, got 2"),
            (lambda: minigrad.take_along_dim(ones(2, 2), tensor([2]), 0), ValueError, r"as many dims .* got \(1,\) and"),
            (lambda: minigrad.take_along_dim(ones(2, 2), tensor([[0, 0, 0]]), 0), ValueError, r"except in dim 0, got \(2, 2\)"),
            (lambda: minigrad.take_along_dim(ones(), tensor(0), 0), IndexError, "at least one dim, got a 0-d tensor"),
            (lambda: minigrad.take_along_dim(ones(2), ones(1), 0), TypeError, INTEGERS + "float64"),
        ],
    ),
    scattering_case("scatter", minigrad.scatter, minigrad.scatter, add=False),
    scattering_case(
        "Tensor.scatter_",
        lambda x, dim, index, src: x.clone().scatter_(dim, index, src),
        minigrad.Tensor.scatter_,
        add=False,
    ),
    scattering_case("scatter_add", minigrad.scatter_add, minigrad.scatter_add, add=True),
    scattering_case(
        "Tensor.scatter_add_",
        lambda x, dim, index, src: x.clone().scatter_add_(dim, index, src),
        minigrad.Tensor.scatter_add_,
        add=True,
    ),
]


# --- labels ------------------------------------------------------------------------------------------------------------

LABELS = [
    Case(
        "one_hot",
        ops.one_hot,
        lambda labels, num_classes=None: np.eye(num_classes or labels.max() + 1, dtype=np.int64)[labels],
        lambda rng: [
            Sample((np.array([0, 3, 1]),)),
            Sample((np.array([[0, 3], [1, 1]]),), {"num_classes": 5}),
            Sample((np.array(2),), {"num_classes": 4}),
            Sample((np.zeros((0, 2), np.int64),), {"num_classes": 3}),
        ],
        torch=lambda t, labels, **static: t.nn.functional.one_hot(labels, **static),
        differentiable=False,
        bad=[
            (lambda: ops.one_hot(tensor([0, 3]), 3), IndexError, r"\[0, 2\] for dim 0 of size 3, got 3"),
            (lambda: ops.one_hot(tensor([0, -1])), IndexError, r"got -1"),
            (lambda: ops.one_hot(tensor([0, 1]), 0), ValueError, "positive num_classes, .* got 0"),
            (lambda: ops.one_hot(minigrad.zeros(0, dtype="int64")), ValueError, "at least one label, got -1"),
            (lambda: ops.one_hot(ones(2)), TypeError, INTEGERS + "float64"),
        ],
    ),
    Case(
        "embedding",
        lambda weight, input, padding_idx=None: ops.embedding(input, weight, padding_idx),
        lambda weight, input, padding_idx=None: weight[input],
        lambda rng: [
            Sample((*normal(rng, (4, 3)), np.array([1, 3, 1]))),
            Sample((*normal(rng, (4, 3)), np.array([[1, 0], [3, 3]])), {"padding_idx": 2}),
            Sample((*normal(rng, (4, 3)), np.array(2)), {"padding_idx": -4}),
            Sample((*normal(rng, (4, 3)), np.zeros((2, 0), np.int64))),
        ],
        torch=lambda t, weight, input, padding_idx=None: t.nn.functional.embedding(input, weight, padding_idx),
        bad=[
            (lambda: ops.embedding(tensor([4]), ones(4, 3)), IndexError, r"\[0, 3\] for dim 0 of size 4, got 4"),
            (lambda: ops.embedding(tensor([-1]), ones(4, 3)), IndexError, r"\[0, 3\] for dim 0 of size 4, got -1"),
            (lambda: ops.embedding(tensor([0]), ones(4)), ValueError, r"of shape \(rows, length\), got \(4,\)"),
            (lambda: ops.embedding(tensor([0]), ones(4, 3), 4), ValueError, r"padding_idx in \[-4, 3\], got 4"),
            (lambda: ops.embedding(ones(1), ones(4, 3)), TypeError, INTEGERS + "float64"),
        ],
    ),
]

CASES = [*SLICES, *ELEMENTS, *LABELS]
