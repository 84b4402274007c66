"""The table's cases for ops/joining.py and ops/padding.py."""

import numpy as np

import minigrad
from tests.ops.cases_shape import ones, samples_of
from tests.ops.table import Case, Sample


def together(*calls):
    """A sampler from (shapes, static arguments)."""

    def samples(rng):
        return [Sample(tuple(rng.standard_normal(shape) for shape in shapes), static) for shapes, static in calls]

    return samples


def mixed(rng):
    return [Sample((rng.standard_normal((2, 3)), rng.integers(0, 9, (2, 3))))]


JOINING = [
    Case(
        "cat",
        lambda *tensors, dim=0: minigrad.cat(tensors, dim),
        lambda *arrays, dim=0: np.concatenate([a for a in arrays if a.shape != (0,)] or arrays[:1], dim),
        lambda rng: [
            *together(
                (((2, 3), (1, 3), (4, 3)), {}),
                (((2, 3, 2), (2, 1, 2)), {"dim": -2}),
                (((2, 3), (0,), (2, 0), (2, 1)), {"dim": 1}),
                (((0,), (0,)), {}),
                (((3,),), {}),
            )(rng),
            *mixed(rng),
        ],
        torch=lambda t, *tensors, dim=0: t.cat(tensors, dim),
        bad=[
            (lambda: minigrad.cat([]), ValueError, "at least one tensor, got none"),
            (lambda: minigrad.cat(ones(2, 3)), TypeError, "sequence of Tensors, got Tensor"),
            (lambda: minigrad.cat([ones(2), 1.0]), TypeError, "Tensor, got float"),
            (lambda: minigrad.cat([ones(2), ones()]), RuntimeError, "a 0-d tensor at position 1"),
            (lambda: minigrad.cat([ones(2, 3), ones(4, 3)], 1), RuntimeError, r"except in dim 1, got \(2, 3\) and \(4, 3\)"),
            (lambda: minigrad.cat([ones(2, 3), ones(3)]), RuntimeError, r"except in dim 0, got \(2, 3\) and \(3,\)"),
            (lambda: minigrad.cat([ones(2, 3)], 2), IndexError, r"dim in \[-2, 1\], got 2"),
        ],
        without={"0-d": "0-d tensors cannot be joined"},
    ),
    Case(
        "stack",
        lambda *tensors, dim=0: minigrad.stack(tensors, dim),
        lambda *arrays, dim=0: np.stack(arrays, dim),
        lambda rng: [
            *together(
                (((2, 3), (2, 3), (2, 3)), {}),
                (((2, 3), (2, 3)), {"dim": -1}),
                (((2, 3), (2, 3)), {"dim": 1}),
                (((), ()), {}),
                (((2, 0),), {"dim": 1}),
            )(rng),
            *mixed(rng),
        ],
        torch=lambda t, *tensors, dim=0: t.stack(tensors, dim),
        bad=[
            (lambda: minigrad.stack([]), ValueError, "at least one tensor, got none"),
            (lambda: minigrad.stack([ones(2, 3), ones(2, 1)]), RuntimeError, r"one shape, got \(2, 3\) and \(2, 1\)"),
            (lambda: minigrad.stack([ones(2)], 2), IndexError, r"dim in \[-2, 1\], got 2"),
        ],
        without={"broadcast": "all shapes are one"},
    ),
    Case(
        "hstack",
        lambda *tensors: minigrad.hstack(tensors),
        lambda *arrays: np.hstack(arrays),
        together((((2, 3), (2, 1)), {}), (((2,), (3,)), {}), (((), ()), {}), (((2, 0, 3), (2, 2, 3)), {})),
        torch=lambda t, *tensors: t.hstack(tensors),
        bad=[
            (lambda: minigrad.hstack([]), ValueError, "at least one tensor"),
            (lambda: minigrad.hstack([ones(2, 3), ones(3, 3)]), RuntimeError, r"except in dim 1, got \(2, 3\) and \(3, 3\)"),
        ],
    ),
    Case(
        "vstack",
        lambda *tensors: minigrad.vstack(tensors),
        lambda *arrays: np.vstack(arrays),
        together((((2, 3), (3,)), {}), (((2,), (2,)), {}), (((), ()), {}), (((0, 3), (2, 3)), {})),
        torch=lambda t, *tensors: t.vstack(tensors),
        bad=[
            (lambda: minigrad.vstack([]), ValueError, "at least one tensor"),
            (lambda: minigrad.vstack([ones(3), ones(2)]), RuntimeError, r"except in dim 0, got \(1, 3\) and \(1, 2\)"),
        ],
    ),
    Case(
        "meshgrid",
        lambda *tensors, indexing="ij": minigrad.meshgrid(*tensors, indexing=indexing),
        lambda *arrays, indexing="ij": np.meshgrid(*arrays, indexing=indexing),
        together(
            (((2,), (3,), (4,)), {"indexing": "xy"}), (((2,), (), (3,)), {}), (((3,),), {"indexing": "xy"}), (((0,), (2,)), {})
        ),
        torch=lambda t, *tensors, indexing="ij": t.meshgrid(*tensors, indexing=indexing),
        bad=[
            (lambda: minigrad.meshgrid(ones(2), indexing="ab"), RuntimeError, "'ij' or 'xy' for indexing, got 'ab'"),
            (lambda: minigrad.meshgrid(ones(2, 2)), RuntimeError, r"at most one dim, got shapes \[\(2, 2\)\]"),
            (lambda: minigrad.meshgrid(), RuntimeError, r"got shapes \[\]"),
        ],
    ),
]


def cut(x, lengths, dim):
    ends = np.cumsum(lengths)
    return [np.take(x, range(end - length, end), dim) for end, length in zip(ends, lengths)]


def split_lengths(size, length):
    return [min(length, size - start) for start in range(0, size, length)] or [0]


SPLITTING = [
    Case(
        "split",
        lambda x, lengths, dim=0: minigrad.split(x, lengths, dim),
        lambda x, lengths, dim=0: cut(
            x, lengths if isinstance(lengths, (list, tuple)) else split_lengths(x.shape[dim], lengths), dim
        ),
        samples_of(
            ((5, 2), {"lengths": 2}),
            ((2, 6), {"lengths": 3, "dim": 1}),
            ((2, 6), {"lengths": 7, "dim": -1}),
            ((5, 2), {"lengths": [1, 0, 4]}),
            ((5, 2), {"lengths": (5,)}),
            ((0, 2), {"lengths": 2}),
        ),
        torch=lambda t, x, lengths, dim=0: t.split(x, lengths, dim),
        bad=[
            (lambda: minigrad.split(ones(3), 0), RuntimeError, "positive length for dim 0 of size 3, got 0"),
            (lambda: minigrad.split(ones(3), [1, 1]), RuntimeError, r"add up to 3, the size of dim 0, got \(1, 1\)"),
            (lambda: minigrad.split(ones(3), [4, -1]), RuntimeError, r"add up to 3, the size of dim 0, got \(4, -1\)"),
            (lambda: minigrad.split(ones(), 1), RuntimeError, "at least one dim, got a 0-d tensor"),
            (lambda: minigrad.split(ones(3), 1, 1), IndexError, r"dim in \[-1, 0\], got 1"),
            (lambda: minigrad.split(ones(3), 1.5), TypeError, "integer length, got float"),
        ],
        without={"0-d": "there is no dim to split"},
    ),
    Case(
        "chunk",
        minigrad.chunk,
        lambda x, chunks, dim=0: cut(
            x, split_lengths(x.shape[dim], -(-x.shape[dim] // chunks)) if x.shape[dim] else [0] * chunks, dim
        ),
        samples_of(
            ((5, 2), {"chunks": 2}),
            ((2, 6), {"chunks": 4, "dim": 1}),
            ((2, 6), {"chunks": 1, "dim": -1}),
            ((2, 3), {"chunks": 5, "dim": 1}),
            ((0, 2), {"chunks": 3}),
        ),
        torch=lambda t, x, chunks, dim=0: t.chunk(x, chunks, dim),
        bad=[
            (lambda: minigrad.chunk(ones(3), 0), RuntimeError, r"one chunk, got shape \(3,\) and 0 chunks"),
            (lambda: minigrad.chunk(ones(), 2), RuntimeError, r"at least one dim .* got shape \(\)"),
            (lambda: minigrad.chunk(ones(3), 2, 1), IndexError, r"dim in \[-1, 0\], got 1"),
        ],
        without={"0-d": "there is no dim to split"},
    ),
    Case(
        "unbind",
        minigrad.unbind,
        lambda x, dim=0: [np.take(x, i, dim) for i in range(x.shape[dim])],
        samples_of(((3, 2), {}), ((2, 3, 2), {"dim": -2}), ((3,), {}), ((1, 2), {}), ((2, 0), {})),
        torch=lambda t, x, dim=0: t.unbind(x, dim),
        bad=[
            (lambda: minigrad.unbind(ones()), IndexError, "at least one dim, got a 0-d tensor"),
            (lambda: minigrad.unbind(ones(3), 1), IndexError, r"dim in \[-1, 0\], got 1"),
        ],
        without={"0-d": "there is no dim to take apart"},
    ),
]

NUMPY_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def padded(x, pad, mode="constant", value=None):
    """np.pad, after what negative margins take away."""
    if not x.ndim:
        return x
    margins = np.zeros((x.ndim, 2), int)
    for i in range(len(pad) // 2):
        margins[-1 - i] = pad[2 * i : 2 * i + 2]
    x = x[tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(margins, x.shape))]
    options = {"constant_values": value or 0} if mode == "constant" else {}
    return np.pad(x, np.maximum(margins, 0), NUMPY_MODES.get(mode, mode), **options)


def torch_pads(t, x, pad, mode="constant", value=None):
    return t.nn.functional.pad(x, pad, mode, value)


PADDING = [
    Case(
        "nn.functional.pad",
        minigrad.nn.functional.pad,
        padded,
        samples_of(
            ((2, 3), {"pad": (1, 2)}),
            ((2, 3), {"pad": (0, 1, 2, 0), "value": 1.5}),
            ((2, 3), {"pad": [-1, 2, 1, -1]}),
            ((), {"pad": ()}),
            ((0, 2), {"pad": (1, 0, 1, 1), "value": -1}),
            ((2, 3, 4), {"pad": (3, 2), "mode": "reflect"}),
            ((2, 3, 4), {"pad": (1, 0, 0, 2), "mode": "reflect"}),
            ((2, 3, 4), {"pad": (5, 1), "mode": "replicate"}),
            ((1, 2, 3, 4), {"pad": (1, 2, 0, 1), "mode": "replicate"}),
            ((2, 3, 4), {"pad": (4, 3), "mode": "circular"}),
            ((1, 2, 3, 4), {"pad": (1, -1, 2, 1), "mode": "circular"}),
        ),
        torch=torch_pads,
        bad=[
            (
                lambda: minigrad.nn.functional.pad(ones(3), (1,)),
                RuntimeError,
                r"pairs of numbers for at most 1 dims, got \(1,\)",
            ),
            (lambda: minigrad.nn.functional.pad(ones(3), (1, 1, 1, 1)), RuntimeError, "pairs of numbers for at most 1 dims"),
            (lambda: minigrad.nn.functional.pad(ones(3), (-2, -2)), RuntimeError, r"at least 0 elements in each dim of \(3,\)"),
            (
                lambda: minigrad.nn.functional.pad(ones(3), (1, 0), "mirror"),
                ValueError,
                "reflect, replicate, circular, got 'mirror'",
            ),
            (
                lambda: minigrad.nn.functional.pad(ones(3), (1, 0), "reflect", 1.0),
                ValueError,
                "no value in mode 'reflect', got 1.0",
            ),
            (lambda: minigrad.nn.functional.pad(ones(3), (3, 0), "reflect"), RuntimeError, "at most 2 more elements in dim 0"),
            (lambda: minigrad.nn.functional.pad(ones(3), (0, 4), "circular"), RuntimeError, "at most 3 more elements in dim 0"),
            (
                lambda: minigrad.nn.functional.pad(ones(0), (0, 1), "replicate"),
                RuntimeError,
                "at most 0 more elements in dim 0",
            ),
            (lambda: minigrad.nn.functional.pad(ones(3), (0.5, 1)), TypeError, "integer number, got float"),
        ],
    ),
]

CASES = [*JOINING, *SPLITTING, *PADDING]
