"""The table's cases for ops/slicing.py, ops/diagonals.py and ops/rearranging.py."""

import numpy as np

import minigrad
from minigrad import Tensor
from tests.ops.cases_shape import ones, samples_of
from tests.ops.table import Case, Sample


def windows(x, dimension, size, step):
    if x.ndim == 0:
        return x.reshape(1)
    dim = dimension % x.ndim
    starts = range(0, x.shape[dim] - size + 1, step)
    parts = [np.moveaxis(np.take(x, range(start, start + size), dim), dim, -1) for start in starts]
    return np.stack(parts, dim)


SLICING = [
    Case(
        "narrow",
        minigrad.narrow,
        lambda x, dim, start, length: np.take(x, range(start % (x.shape[dim] or 1), start % (x.shape[dim] or 1) + length), dim),
        samples_of(
            ((4, 3), {"dim": 0, "start": 1, "length": 2}),
            ((4, 3), {"dim": -1, "start": -2, "length": 2}),
            ((4, 3), {"dim": 0, "start": 2, "length": 0}),
            ((0, 3), {"dim": 0, "start": 0, "length": 0}),
        ),
        torch=lambda t, x, dim, start, length: t.narrow(x, dim, start, length),
        bad=[
            (lambda: minigrad.narrow(ones(3), 0, 4, 1), IndexError, r"start in \[-3, 3\], got 4"),
            (lambda: minigrad.narrow(ones(3), 0, 2, 2), RuntimeError, r"length in \[0, 1\] from start 2 of 3, got 2"),
            (lambda: minigrad.narrow(ones(3), 0, 0, -1), RuntimeError, r"length in \[0, 3\] .* got -1"),
            (lambda: minigrad.narrow(ones(3), 1, 0, 1), IndexError, r"dim in \[-1, 0\], got 1"),
            (lambda: minigrad.narrow(ones(), 0, 0, 1), RuntimeError, "at least one dim, got a 0-d tensor"),
        ],
        without={"0-d": "there is no dim to narrow"},
    ),
    Case(
        "select",
        minigrad.select,
        lambda x, dim, index: np.take(x, index, dim),
        samples_of(
            ((2, 3, 4), {"dim": 1, "index": 2}),
            ((2, 3, 4), {"dim": -3, "index": -1}),
            ((3,), {"dim": 0, "index": 1}),
            ((2, 0), {"dim": 0, "index": 1}),
        ),
        torch=lambda t, x, dim, index: t.select(x, dim, index),
        bad=[
            (lambda: minigrad.select(ones(2, 3), 1, 3), IndexError, r"index in \[-3, 2\] for dim 1 of \(2, 3\), got 3"),
            (lambda: minigrad.select(ones(2, 3), 2, 0), IndexError, r"dim in \[-2, 1\], got 2"),
            (lambda: minigrad.select(ones(), 0, 0), IndexError, "at least one dim, got a 0-d tensor"),
        ],
        without={"0-d": "there is no dim to select from"},
    ),
    Case(
        "unfold",
        minigrad.unfold,
        windows,
        samples_of(
            ((5, 2), {"dimension": 0, "size": 3, "step": 1}),
            ((2, 7), {"dimension": -1, "size": 2, "step": 3}),
            ((4,), {"dimension": 0, "size": 4, "step": 9}),
            ((), {"dimension": 0, "size": 1, "step": 1}),
            ((4, 0), {"dimension": 0, "size": 2, "step": 2}),
        ),
        torch=lambda t, x, dimension, size, step: x.unfold(dimension, size, step),
        bad=[
            (lambda: minigrad.unfold(ones(3), 0, 4, 1), RuntimeError, r"size in \[0, 3\] .* got size 4 and step 1"),
            (lambda: minigrad.unfold(ones(3), 0, 2, 0), RuntimeError, "positive step, got size 2 and step 0"),
            (lambda: minigrad.unfold(ones(3), 1, 2, 1), IndexError, r"dim in \[-1, 0\], got 1"),
        ],
    ),
]


def embedded(x, offset=0, dim1=-2, dim2=-1):
    side = x.shape[-1] + abs(offset)
    result = np.zeros((*x.shape[:-1], side, side))
    for i in range(x.shape[-1]):
        result[..., i + max(-offset, 0), i + max(offset, 0)] = x[..., i]
    return np.moveaxis(result, (-2, -1), (dim1, dim2))


DIAGONALS = [
    Case(
        "diagonal",
        minigrad.diagonal,
        lambda x, offset=0, dim1=0, dim2=1: np.diagonal(x, offset, dim1, dim2),
        samples_of(
            ((3, 4), {}),
            ((3, 4), {"offset": 2}),
            ((3, 4), {"offset": -1}),
            ((3, 4), {"offset": 7}),
            ((2, 3, 4, 2), {"offset": 1, "dim1": 2, "dim2": -3}),
            ((0, 3), {}),
        ),
        torch=lambda t, x, **static: t.diagonal(x, **static),
        bad=[
            (lambda: minigrad.diagonal(ones(2, 2), 0, 1, -1), RuntimeError, "two different dims, got 1 and -1"),
            (lambda: minigrad.diagonal(ones(2)), IndexError, r"dim in \[-1, 0\], got 1"),
        ],
        without={"0-d": "there are no two dims"},
    ),
    Case(
        "diag_embed",
        minigrad.diag_embed,
        embedded,
        samples_of(
            ((3,), {}),
            ((2, 3), {"offset": 1}),
            ((2, 3), {"offset": -2, "dim1": 0, "dim2": 2}),
            ((2, 3), {"dim1": 2, "dim2": 0}),
            ((2, 0), {"offset": 1}),
        ),
        torch=lambda t, x, **static: t.diag_embed(x, **static),
        bad=[
            (lambda: minigrad.diag_embed(ones(2), 0, 1, -1), RuntimeError, "two different dims, got 1 and -1"),
            (lambda: minigrad.diag_embed(ones(2), 0, 0, 2), IndexError, r"dim in \[-2, 1\], got 2"),
            (lambda: minigrad.diag_embed(ones()), RuntimeError, "at least one dim, got a 0-d tensor"),
        ],
        without={"0-d": "a diagonal has a dim"},
    ),
    Case(
        "diag",
        minigrad.diag,
        lambda x, diagonal=0: np.diag(x, diagonal),
        samples_of(((3,), {}), ((3,), {"diagonal": -1}), ((3, 4), {"diagonal": 1}), ((0,), {}), ((2, 0), {})),
        torch=lambda t, x, **static: t.diag(x, **static),
        bad=[(lambda: minigrad.diag(ones(2, 2, 2)), RuntimeError, r"a vector or a matrix, got shape \(2, 2, 2\)")],
        without={"0-d": "neither a vector nor a matrix"},
    ),
    Case(
        "trace",
        minigrad.trace,
        np.trace,
        lambda rng: [
            *samples_of(((3, 4), {}), ((0, 2), {}), ((1, 1), {}))(rng),
            Sample((rng.integers(0, 9, (3, 3)).astype(np.int32),)),
        ],
        torch=lambda t, x: t.trace(x),
        bad=[(lambda: minigrad.trace(ones(2)), RuntimeError, r"a matrix, got shape \(2,\)")],
        without={"0-d": "not a matrix"},
    ),
    Case(
        "tril",
        minigrad.tril,
        lambda x, diagonal=0: np.where(np.subtract.outer(np.arange(x.shape[-2]), np.arange(x.shape[-1])) >= -diagonal, x, 0),
        samples_of(((3, 4), {}), ((2, 3, 3), {"diagonal": -1}), ((3, 4), {"diagonal": 1}), ((0, 2), {})),
        torch=lambda t, x, **static: t.tril(x, **static),
        bad=[(lambda: minigrad.tril(ones(3)), RuntimeError, r"at least two dims, got shape \(3,\)")],
        without={"0-d": "not a matrix"},
    ),
    Case(
        "triu",
        minigrad.triu,
        lambda x, diagonal=0: np.where(np.subtract.outer(np.arange(x.shape[-2]), np.arange(x.shape[-1])) <= -diagonal, x, 0),
        samples_of(((3, 4), {}), ((2, 3, 3), {"diagonal": -1}), ((3, 4), {"diagonal": 1}), ((0, 2), {})),
        torch=lambda t, x, **static: t.triu(x, **static),
        bad=[(lambda: minigrad.triu(ones(3)), RuntimeError, r"at least two dims, got shape \(3,\)")],
        without={"0-d": "not a matrix"},
    ),
]


REARRANGING = [
    Case(
        "repeat",
        lambda x, repeats: minigrad.repeat(x, *repeats),
        lambda x, repeats: np.tile(x, repeats),
        samples_of(
            ((2, 3), {"repeats": (2, 1)}),
            ((2, 3), {"repeats": (2, 3, 2)}),
            ((2, 3), {"repeats": (0, 2)}),
            ((1,), {"repeats": (3,)}),
            ((), {"repeats": ()}),
            ((), {"repeats": (2, 2)}),
            ((0,), {"repeats": (2,)}),
        ),
        torch=lambda t, x, repeats: x.repeat(repeats),
        bad=[
            (lambda: minigrad.repeat(ones(2, 3), 2), RuntimeError, r"each dim of \(2, 3\), got \(2,\)"),
            (lambda: minigrad.repeat(ones(2), (-1,)), RuntimeError, r"at least 0 .* got \(-1,\)"),
        ],
    ),
    Case(
        "tile",
        lambda x, dims: minigrad.tile(x, dims),
        lambda x, dims: np.tile(x, dims),
        samples_of(((2, 3), {"dims": (2,)}), ((2, 3), {"dims": (2, 1, 1)}), ((), {"dims": (3,)}), ((0, 2), {"dims": (2, 2)})),
        torch=lambda t, x, dims: t.tile(x, dims),
        bad=[(lambda: minigrad.tile(ones(2), -1), RuntimeError, r"at least 0 .* got \(-1,\)")],
    ),
    Case(
        "repeat_interleave",
        lambda x, *repeats, dim=None, count=None: minigrad.repeat_interleave(x, *repeats or (count,), dim=dim),
        lambda x, *repeats, dim=None, count=None: np.repeat(x, *repeats or (count,), axis=dim),
        lambda rng: [
            *samples_of(
                ((2, 3), {"count": 2}),
                ((2, 3), {"count": 3, "dim": 1}),
                ((2, 3), {"count": 0, "dim": -2}),
                ((), {"count": 2}),
                ((0, 2), {"count": 2, "dim": 0}),
            )(rng),
            Sample((rng.standard_normal((2, 3)), np.array([2, 0, 1])), {"dim": 1}),
            Sample((rng.standard_normal((2, 3)), np.array([3])), {"dim": 0}),
        ],
        torch=lambda t, x, *repeats, dim=None, count=None: t.repeat_interleave(x, *repeats or (count,), dim=dim),
        bad=[
            (lambda: minigrad.repeat_interleave(ones(2), -1), RuntimeError, "at least 0, or 2 of them, got -1"),
            (lambda: minigrad.repeat_interleave(ones(2), [1, 2, 3]), RuntimeError, r"or 2 of them, got \[1, 2, 3\]"),
            (lambda: minigrad.repeat_interleave(ones(2), Tensor(np.ones(2))), TypeError, "integers, 0-d or 1-d, got float64"),
            (lambda: minigrad.repeat_interleave(ones(2), 2, dim=1), IndexError, r"dim in \[-1, 0\], got 1"),
        ],
    ),
    Case(
        "flip",
        lambda x, dims: minigrad.flip(x, dims),
        lambda x, dims: np.flip(x, dims) if x.ndim else x,
        samples_of(
            ((2, 3), {"dims": (0,)}),
            ((2, 3, 4), {"dims": (0, -1)}),
            ((2, 3), {"dims": ()}),
            ((), {"dims": (0,)}),
            ((0, 2), {"dims": 1}),
        ),
        torch=lambda t, x, dims: t.flip(x, dims if isinstance(dims, tuple) else (dims,)),
        bad=[
            (lambda: minigrad.flip(ones(2, 3), 0, -2), RuntimeError, "every dim at most once"),
            (lambda: minigrad.flip(ones(2, 3), 2), IndexError, r"dim in \[-2, 1\], got 2"),
        ],
    ),
    Case(
        "roll",
        minigrad.roll,
        lambda x, shifts, dims=None: np.roll(x, shifts, dims),
        samples_of(
            ((2, 3), {"shifts": 4}),
            ((2, 3), {"shifts": -1, "dims": 1}),
            ((2, 3), {"shifts": (1, 2), "dims": (0, -1)}),
            ((4,), {"shifts": (1, 2), "dims": (0, 0)}),
            ((), {"shifts": 1}),
            ((0, 2), {"shifts": 1, "dims": 0}),
        ),
        torch=lambda t, x, shifts, dims=None: t.roll(x, shifts, dims),
        bad=[
            (lambda: minigrad.roll(ones(2), (1, 2), 0), RuntimeError, r"as many shifts as dims, got \(1, 2\) and 0"),
            (lambda: minigrad.roll(ones(2), (1, 2)), TypeError, "integer shift, got tuple"),
            (lambda: minigrad.roll(ones(), 1, 0), IndexError, "at least one dim, got a 0-d tensor"),
            (lambda: minigrad.roll(ones(2), 1, 1), IndexError, r"dim in \[-1, 0\], got 1"),
        ],
    ),
]

CASES = [*SLICING, *DIAGONALS, *REARRANGING]
