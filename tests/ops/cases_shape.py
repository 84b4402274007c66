"""The table's cases for ops/shape.py and ops/broadcasting.py."""

import numpy as np

import minigrad
from minigrad import Tensor
from tests.ops.table import Case, Sample


def samples_of(*calls):
    """A sampler from (shape, static arguments), with normal values."""

    def samples(rng):
        return [Sample((rng.standard_normal(shape),), static) for shape, static in calls]

    return samples


def ones(*shape):
    return Tensor(np.ones(shape))


def flattened(x, start_dim=0, end_dim=-1):
    last = x.ndim + end_dim if end_dim < 0 else end_dim
    merged = int(np.prod(x.shape[start_dim : last + 1]))
    return x.reshape(*x.shape[:start_dim], merged, *x.shape[last + 1 :])


def squeezed(x, dim=None):
    dims = range(x.ndim) if dim is None else [d % max(x.ndim, 1) for d in np.atleast_1d(dim)]
    return x.reshape([n for i, n in enumerate(x.shape) if n != 1 or i not in dims])


RESHAPING = [
    Case(
        "reshape",
        lambda x, shape: minigrad.reshape(x, shape),
        lambda x, shape: np.reshape(x, shape),
        samples_of(
            ((3, 4), {"shape": (2, 6)}),
            ((3, 4), {"shape": (2, -1, 3)}),
            ((3, 1, 4), {"shape": (-1,)}),
            ((), {"shape": (1, 1)}),
            ((1,), {"shape": ()}),
            ((0, 3), {"shape": (3, 0, 2)}),
            ((0, 3), {"shape": (-1, 3)}),
        ),
        torch=lambda t, x, shape: t.reshape(x, shape),
        bad=[
            (lambda: minigrad.reshape(ones(3, 4), 5, -1), RuntimeError, r"view 12 elements of shape \(3, 4\) as \(5, -1\)"),
            (lambda: minigrad.reshape(ones(3, 4), (-1, -1)), RuntimeError, r"as \(-1, -1\)"),
            (lambda: minigrad.reshape(ones(3, 4), -2, -6), RuntimeError, r"as \(-2, -6\)"),
            (lambda: minigrad.reshape(ones(0), -1, 0), RuntimeError, r"0 elements of shape \(0,\) as \(-1, 0\)"),
            (lambda: minigrad.reshape(ones(3, 4), 2.0, 6), TypeError, "integer size, got float"),
            (lambda: minigrad.reshape(ones(1), True), TypeError, "integer size, got True"),
            (lambda: minigrad.reshape((1.0, 2.0), 2), TypeError, "Tensor, got tuple"),
        ],
    ),
    Case(
        "view",
        lambda x, shape: minigrad.view(x, *shape),
        lambda x, shape: np.reshape(x, shape),
        samples_of(
            ((3, 4), {"shape": (2, 6)}),
            ((2, 3, 4), {"shape": (6, -1)}),
            ((), {"shape": (1,)}),
            ((0, 3), {"shape": (3, 0)}),
        ),
        torch=lambda t, x, shape: x.view(shape),
        bad=[
            (lambda: minigrad.view(ones(3, 4).T, 12), RuntimeError, r"\(4, 3\) with strides \(1, 4\) .*\(12,\) without a copy"),
            (lambda: minigrad.view(ones(3, 4), 5), RuntimeError, r"12 elements of shape \(3, 4\) as \(5,\)"),
            (lambda: minigrad.view(ones(3, 4), "12"), TypeError, "integer size, got str"),
        ],
        without={"layouts": "not all layouts can be viewed: test_views.py"},
    ),
    Case(
        "flatten",
        minigrad.flatten,
        flattened,
        samples_of(
            ((2, 3, 4), {}),
            ((2, 3, 4), {"start_dim": 1}),
            ((2, 3, 4), {"start_dim": 0, "end_dim": 1}),
            ((3,), {}),
            ((), {}),
            ((2, 0, 3), {"start_dim": 1}),
        ),
        torch=lambda t, x, **static: t.flatten(x, **static),
        bad=[
            (lambda: minigrad.flatten(ones(3, 4), 1, 0), RuntimeError, "start_dim up to end_dim, got 1 and 0"),
            (lambda: minigrad.flatten(ones(3, 4), 2), IndexError, r"dim in \[-2, 1\], got 2"),
        ],
    ),
    Case(
        "unflatten",
        minigrad.unflatten,
        lambda x, dim, sizes: x.reshape(*x.shape[:dim], *sizes, *x.shape[dim + 1 :]),
        samples_of(
            ((2, 12), {"dim": 1, "sizes": (3, 4)}),
            ((2, 12, 5), {"dim": 1, "sizes": [3, -1]}),
            ((2, 12), {"dim": 0, "sizes": (1, 2, 1)}),
            ((0, 5), {"dim": 0, "sizes": (2, 0)}),
        ),
        torch=lambda t, x, dim, sizes: t.unflatten(x, dim, sizes),
        bad=[
            (lambda: minigrad.unflatten(ones(2, 4), 1, (3, -1)), RuntimeError, r"4 elements of shape \(4,\) as \(3, -1\)"),
            (lambda: minigrad.unflatten(ones(2, 4), 1, ()), RuntimeError, "at least one size"),
            (lambda: minigrad.unflatten(ones(2, 4), 2, (4,)), IndexError, r"dim in \[-2, 1\], got 2"),
        ],
        without={"0-d": "there is no dim to split"},
    ),
    Case(
        "ravel",
        minigrad.ravel,
        np.ravel,
        samples_of(((2, 3), {}), ((), {}), ((0, 2), {}), ((4,), {})),
        torch=lambda t, x: t.ravel(x),
        bad=[(lambda: minigrad.ravel([1.0]), TypeError, "Tensor, got list")],
    ),
    Case(
        "squeeze",
        minigrad.squeeze,
        squeezed,
        samples_of(
            ((1, 3, 1), {}),
            ((1, 3, 1), {"dim": 0}),
            ((1, 3, 1), {"dim": (0, -1)}),
            ((1, 3, 1), {"dim": 1}),
            ((), {"dim": 0}),
            ((1, 0), {}),
        ),
        torch=lambda t, x, **static: t.squeeze(x, **static),
        bad=[
            (lambda: minigrad.squeeze(ones(1, 2), 2), IndexError, r"dim in \[-2, 1\], got 2"),
            (lambda: minigrad.squeeze(ones(1, 2), (0, -2)), RuntimeError, "every dim at most once"),
        ],
    ),
    Case(
        "unsqueeze",
        minigrad.unsqueeze,
        lambda x, dim: np.expand_dims(x, dim),
        samples_of(((2, 3), {"dim": 0}), ((2, 3), {"dim": -1}), ((2, 3), {"dim": 1}), ((), {"dim": 0}), ((0,), {"dim": -2})),
        torch=lambda t, x, dim: t.unsqueeze(x, dim),
        bad=[(lambda: minigrad.unsqueeze(ones(2), 2), IndexError, r"dim in \[-2, 1\], got 2")],
    ),
]


REORDERING = [
    Case(
        "permute",
        lambda x, dims: minigrad.permute(x, dims),
        lambda x, dims: np.transpose(x, dims),
        samples_of(
            ((2, 3, 4), {"dims": (2, 0, 1)}),
            ((2, 3, 4), {"dims": (-1, 1, -3)}),
            ((2, 3), {"dims": (0, 1)}),
            ((), {"dims": ()}),
            ((2, 0), {"dims": (1, 0)}),
        ),
        torch=lambda t, x, dims: t.permute(x, dims),
        bad=[
            (lambda: minigrad.permute(ones(2, 3), 0, 0), RuntimeError, "every dim at most once"),
            (lambda: minigrad.permute(ones(2, 3), 0), RuntimeError, r"each of 2 dims once, got \(0,\)"),
            (lambda: minigrad.permute(ones(2, 3), 0, 2), IndexError, r"dim in \[-2, 1\], got 2"),
        ],
    ),
    Case(
        "transpose",
        minigrad.transpose,
        lambda x, dim0, dim1: np.swapaxes(x, dim0, dim1) if x.ndim else x,
        samples_of(
            ((2, 3, 4), {"dim0": 0, "dim1": 2}),
            ((2, 3, 4), {"dim0": -1, "dim1": 1}),
            ((), {"dim0": 0, "dim1": -1}),
            ((0, 3), {"dim0": 0, "dim1": 1}),
        ),
        torch=lambda t, x, dim0, dim1: t.transpose(x, dim0, dim1),
        bad=[(lambda: minigrad.transpose(ones(2, 3), 0, 2), IndexError, r"dim in \[-2, 1\], got 2")],
    ),
    Case(
        "swapaxes",
        minigrad.swapaxes,
        lambda x, axis0, axis1: np.swapaxes(x, axis0, axis1) if x.ndim else x,
        samples_of(
            ((2, 3, 4), {"axis0": 0, "axis1": 2}),
            ((), {"axis0": 0, "axis1": 0}),
            ((0, 3), {"axis0": 0, "axis1": 1}),
        ),
        torch=lambda t, x, axis0, axis1: t.swapaxes(x, axis0, axis1),
        bad=[(lambda: minigrad.swapaxes(ones(2, 3), 0, 2), IndexError, r"dim in \[-2, 1\], got 2")],
    ),
    Case(
        "t",
        minigrad.t,
        np.transpose,
        samples_of(((2, 3), {}), ((3,), {}), ((), {}), ((0, 2), {})),
        torch=lambda t, x: t.t(x),
        bad=[(lambda: minigrad.t(ones(2, 3, 4)), RuntimeError, r"at most 2 dims, got shape \(2, 3, 4\)")],
    ),
    Case(
        "movedim",
        minigrad.movedim,
        lambda x, source, destination: np.moveaxis(x, source, destination) if x.ndim else x,
        samples_of(
            ((2, 3, 4, 5), {"source": 0, "destination": 2}),
            ((2, 3, 4, 5), {"source": (0, -1), "destination": (-1, 1)}),
            ((), {"source": 0, "destination": 0}),
            ((0, 3), {"source": [1], "destination": [0]}),
        ),
        torch=lambda t, x, source, destination: t.movedim(x, source, destination),
        bad=[
            (lambda: minigrad.movedim(ones(2, 3), (0, 1), 0), RuntimeError, "as many destinations as sources"),
            (lambda: minigrad.movedim(ones(2, 3), (0, 0), (0, 1)), RuntimeError, "every dim at most once"),
            (lambda: minigrad.movedim(ones(2, 3), 0, 2), IndexError, r"dim in \[-2, 1\], got 2"),
        ],
    ),
]


def expanded(x, sizes):
    return np.broadcast_to(x, tuple(n if n >= 0 else m for m, n in zip((1,) * (len(sizes) - x.ndim) + x.shape, sizes)))


def three_shapes(rng):
    return [
        Sample((rng.standard_normal((2, 1)), rng.standard_normal(3), rng.standard_normal(()))),
        Sample((rng.standard_normal((0, 1)), rng.standard_normal((1, 2)))),
        Sample((rng.standard_normal((2, 3)),)),
    ]


BROADCASTING = [
    Case(
        "expand",
        lambda x, sizes: minigrad.expand(x, *sizes),
        expanded,
        samples_of(
            ((3, 1), {"sizes": (3, 4)}),
            ((3, 1), {"sizes": (2, -1, 4)}),
            ((2, 3), {"sizes": (2, 3)}),
            ((1,), {"sizes": (0,)}),
            ((), {"sizes": (2, 2)}),
            ((1, 0), {"sizes": (2, 0)}),
        ),
        torch=lambda t, x, sizes: x.expand(sizes),
        bad=[
            (lambda: minigrad.expand(ones(3, 4), 2, 4), RuntimeError, r"\(3, 4\) broadcasts to, got \(2, 4\)"),
            (lambda: minigrad.expand(ones(3, 4), 4), RuntimeError, r"\(3, 4\) broadcasts to, got \(4,\)"),
            (lambda: minigrad.expand(ones(3, 4), -1, 3, 4), RuntimeError, r"got \(-1, 3, 4\)"),
            (lambda: minigrad.expand(ones(3, 1), 3, -2), RuntimeError, r"got \(3, -2\)"),
        ],
    ),
    Case(
        "broadcast_to",
        minigrad.broadcast_to,
        np.broadcast_to,
        samples_of(((3, 1), {"shape": (2, 3, 4)}), ((), {"shape": (2,)}), ((0,), {"shape": (2, 0)})),
        torch=lambda t, x, shape: t.broadcast_to(x, shape),
        bad=[(lambda: minigrad.broadcast_to(ones(2), (3,)), RuntimeError, r"\(2,\) broadcasts to, got \(3,\)")],
    ),
    Case(
        "broadcast_tensors",
        minigrad.broadcast_tensors,
        np.broadcast_arrays,
        three_shapes,
        torch=lambda t, *tensors: t.broadcast_tensors(*tensors),
        bad=[
            (lambda: minigrad.broadcast_tensors(ones(2, 3), ones(2)), RuntimeError, r"broadcast, got \(2, 3\), \(2,\)"),
            (lambda: minigrad.broadcast_tensors(ones(2), 1.0), TypeError, "Tensor, got float"),
        ],
    ),
]

CASES = [*RESHAPING, *REORDERING, *BROADCASTING]
