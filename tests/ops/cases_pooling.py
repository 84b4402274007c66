"""The table's cases for ops/pooling.py and ops/adaptive_pooling.py; the references go from window to window."""

from math import ceil, floor

import numpy as np

from minigrad import ops
from tests.ops.cases_conv import NO_0D, pair
from tests.ops.cases_shape import ones
from tests.ops.table import Case, Sample


def distinct(*settings):
    """A sampler from (shape, static arguments), whose values are far from each other."""

    def samples(rng):
        return [Sample((rng.permutation(np.prod(shape)).reshape(shape) / 4 - 3,), static) for shape, static in settings]

    return samples


def windows(size, kernel, stride, padding, dilation, ceil_mode):
    """For every window of an axis the places that it sees; those outside of the axis are in the padding or beyond."""
    reach = dilation * (kernel - 1) + 1
    count = (ceil if ceil_mode else floor)((size + 2 * padding - reach) / stride) + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    return [i * stride - padding + dilation * np.arange(kernel) for i in range(count)]


def pooled(x, rows, columns, pool):
    """``pool(plane, rows, columns)`` of every plane and window."""
    x = x.reshape(int(np.prod(x.shape[:-2])), *x.shape[-2:])
    return np.array([[[pool(plane, r, c) for c in columns] for r in rows] for plane in x]).reshape(
        len(x), len(rows), len(columns)
    )


def max_of(plane, rows, columns):
    """The largest element there, and its place."""
    places = [r * plane.shape[1] + c for r in rows for c in columns if 0 <= r < plane.shape[0] and 0 <= c < plane.shape[1]]
    return max(places, key=lambda place: plane.flat[place])


def with_places(x, rows, columns, return_indices):
    places = pooled(x, rows, columns, max_of).astype(np.int64)
    planes = x.reshape(len(places), x.shape[-2] * x.shape[-1])
    values = np.take_along_axis(planes, places.reshape(len(places), len(rows) * len(columns)), 1)
    shape = (*x.shape[:-2], *places.shape[1:])
    return (values.reshape(shape), places.reshape(shape)) if return_indices else values.reshape(shape)


def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    settings = zip(x.shape[-2:], *map(pair, (kernel_size, stride or kernel_size, padding, dilation, ceil_mode)))
    rows, columns = (windows(*setting) for setting in settings)
    return with_places(x, rows, columns, return_indices)


def avg_pool2d(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    settings = list(zip(x.shape[-2:], *map(pair, (kernel_size, stride or kernel_size, padding, 1, ceil_mode))))
    rows, columns = (windows(*setting) for setting in settings)
    reach = pair(padding) if count_include_pad else (0, 0)

    def average(plane, rows, columns):
        inside = [(r, c) for r in rows for c in columns if 0 <= r < plane.shape[0] and 0 <= c < plane.shape[1]]
        counted = [
            (r, c)
            for r in rows
            for c in columns
            if -reach[0] <= r < plane.shape[0] + reach[0] and -reach[1] <= c < plane.shape[1] + reach[1]
        ]
        return sum(plane[place] for place in inside) / (divisor_override or len(counted))

    y = pooled(x, rows, columns, average)
    return y.reshape(*x.shape[:-2], *y.shape[1:])


def of_one_dim(function):
    """The 1-d form of a 2-d reference: planes of one row."""

    def reference(x, kernel_size, stride=None, padding=0, dilation=None, **static):
        more = {} if dilation is None else {"dilation": (1, np.max(dilation))}
        sizes = (1, np.max(kernel_size)), (1, np.max(stride or kernel_size)), (0, np.max(padding))
        result = function(x[..., None, :], *sizes, **more, **static)
        return tuple(r[..., 0, :] for r in result) if isinstance(result, tuple) else result[..., 0, :]

    return reference


def bounds(size, asked):
    count = size if asked is None else asked
    return [np.arange(floor(i * size / count), ceil((i + 1) * size / count)) for i in range(count)]


def adaptive_max_pool2d(x, output_size, return_indices=False):
    rows, columns = (bounds(size, asked) for size, asked in zip(x.shape[-2:], pair(output_size)))
    return with_places(x, rows, columns, return_indices)


def adaptive_avg_pool2d(x, output_size):
    rows, columns = (bounds(size, asked) for size, asked in zip(x.shape[-2:], pair(output_size)))
    y = pooled(x, rows, columns, lambda plane, r, c: plane[np.ix_(r, c)].mean())
    return y.reshape(*x.shape[:-2], *y.shape[1:])


def adaptive_avg_pool1d(x, output_size):
    return adaptive_avg_pool2d(x[..., None, :], (1, np.max(output_size)))[..., 0, :]


def in_torch(name):
    return lambda t, *a, **k: getattr(t.nn.functional, name)(*a, **k)


def bad(function, dims, dilates=False):
    """What every pooling with a kernel refuses."""
    name, image = function.__name__, ones(1, 2, 4, 4)[..., : 4 if dims == 2 else 1, :]
    x = image if dims == 2 else image[:, :, 0]
    return [
        (lambda: function([[1.0]], 2), TypeError, f"^{name}: expected a Tensor, got list"),
        (lambda: function(x.long(), 2), TypeError, "floating dtype, got int64"),
        (lambda: function(ones(3), 2), ValueError, r"got \(3,\)"),
        (lambda: function(x, 0), ValueError, "kernel_size of at least 1, got 0"),
        (lambda: function(x, (2,) * 3), ValueError, f"one kernel_size or {dims}, got 3"),
        (lambda: function(x, 2.0), TypeError, "integer kernel_size, got float"),
        (lambda: function(x, 2, stride=0), ValueError, "stride of at least 1, got 0"),
        (lambda: function(x, 3, padding=2), ValueError, "padding of at most half the kernel, got 2 with kernel 3"),
        (lambda: function(x, 5), ValueError, "padded input of at least 5 .* got 4"),
    ] + ([(lambda: function(x, 2, dilation=0), ValueError, "dilation of at least 1, got 0")] if dilates else [])


BAD_SIZES = [
    (lambda function, x: function(x, 0), ValueError, "output_size of at least 1, got 0"),
    (lambda function, x: function(x, (1, 2, 3)), ValueError, r"numbers as output_size, got \(1, 2, 3\)"),
    (lambda function, x: function(x, 1.5), TypeError, "integer output_size, got float"),
    (lambda function, x: function(x.long(), 1), TypeError, "floating dtype, got int64"),
]


def bad_sizes(function, x):
    return [(lambda call=call: call(function, x), *expected) for call, *expected in BAD_SIZES]


CASES = [
    Case(
        "nn.functional.max_pool2d",
        ops.max_pool2d,
        max_pool2d,
        distinct(
            ((2, 3, 4, 6), {"kernel_size": 2}),
            ((1, 2, 5, 4), {"kernel_size": (3, 2), "stride": (2, 1), "padding": 1, "return_indices": True}),
            ((1, 2, 6, 7), {"kernel_size": 2, "stride": 3, "ceil_mode": True, "return_indices": True}),
            ((1, 1, 5, 5), {"kernel_size": 2, "stride": 2, "padding": 1, "ceil_mode": True}),
            ((1, 2, 6, 7), {"kernel_size": (2, 3), "stride": 1, "padding": (0, 1), "dilation": (3, 2)}),
            ((2, 4, 5), {"kernel_size": 3, "stride": 2, "return_indices": True}),
            ((0, 2, 4, 4), {"kernel_size": 2}),
        ),
        in_torch("max_pool2d"),
        bad=bad(ops.max_pool2d, 2, dilates=True),
        without=NO_0D,
    ),
    Case(
        "nn.functional.max_pool1d",
        ops.max_pool1d,
        of_one_dim(max_pool2d),
        distinct(
            ((2, 3, 6), {"kernel_size": 2}),
            ((1, 2, 8), {"kernel_size": (3,), "stride": 2, "padding": 1, "dilation": 2, "return_indices": True}),
            ((2, 7), {"kernel_size": 2, "ceil_mode": True}),
            ((0, 2, 4), {"kernel_size": 2}),
        ),
        in_torch("max_pool1d"),
        bad=bad(ops.max_pool1d, 1, dilates=True),
        without=NO_0D,
    ),
    Case(
        "nn.functional.avg_pool2d",
        ops.avg_pool2d,
        avg_pool2d,
        distinct(
            ((2, 3, 4, 6), {"kernel_size": 2}),
            ((1, 2, 5, 4), {"kernel_size": (3, 2), "stride": (2, 1), "padding": 1}),
            ((1, 2, 5, 4), {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}),
            ((1, 2, 6, 7), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
            ((1, 2, 5, 6), {"kernel_size": 2, "stride": 2, "padding": 1, "ceil_mode": True}),
            ((1, 2, 6, 7), {"kernel_size": 3, "stride": 3, "padding": 1, "ceil_mode": True, "count_include_pad": False}),
            ((2, 4, 5), {"kernel_size": 2, "divisor_override": 3}),
            ((0, 2, 4, 4), {"kernel_size": 2}),
        ),
        in_torch("avg_pool2d"),
        bad=[
            *bad(ops.avg_pool2d, 2),
            (lambda: ops.avg_pool2d(ones(1, 1, 2, 2), 2, divisor_override=0), ValueError, "other than 0, got 0"),
            (
                lambda: ops.avg_pool2d(ones(1, 1, 2, 2), 2, divisor_override=2.5),
                TypeError,
                "integer divisor_override, got float",
            ),
        ],
        without=NO_0D,
    ),
    Case(
        "nn.functional.avg_pool1d",
        ops.avg_pool1d,
        of_one_dim(avg_pool2d),
        distinct(
            ((2, 3, 6), {"kernel_size": 2}),
            ((1, 2, 8), {"kernel_size": (3,), "stride": 2, "padding": 1, "count_include_pad": False}),
            ((2, 7), {"kernel_size": 2, "ceil_mode": True}),
            ((0, 2, 4), {"kernel_size": 2}),
        ),
        in_torch("avg_pool1d"),
        bad=bad(ops.avg_pool1d, 1),
        without=NO_0D,
    ),
    Case(
        "nn.functional.adaptive_avg_pool2d",
        ops.adaptive_avg_pool2d,
        adaptive_avg_pool2d,
        distinct(
            ((2, 3, 4, 5), {"output_size": 1}),
            ((1, 2, 4, 6), {"output_size": (2, 3)}),
            ((1, 2, 5, 7), {"output_size": (3, 2)}),
            ((1, 2, 3, 4), {"output_size": (5, None)}),
            ((2, 5, 4), {"output_size": (2, 4)}),
            ((0, 2, 5, 4), {"output_size": 3}),
        ),
        in_torch("adaptive_avg_pool2d"),
        bad=bad_sizes(ops.adaptive_avg_pool2d, ones(1, 2, 3, 3)),
        without=NO_0D,
    ),
    Case(
        "nn.functional.adaptive_avg_pool1d",
        ops.adaptive_avg_pool1d,
        adaptive_avg_pool1d,
        distinct(
            ((2, 3, 5), {"output_size": 1}),
            ((1, 2, 6), {"output_size": (3,)}),
            ((2, 7), {"output_size": 4}),
            ((0, 2, 5), {"output_size": 3}),
        ),
        in_torch("adaptive_avg_pool1d"),
        bad=bad_sizes(ops.adaptive_avg_pool1d, ones(1, 2, 3)),
        without=NO_0D,
    ),
    Case(
        "nn.functional.adaptive_max_pool2d",
        ops.adaptive_max_pool2d,
        adaptive_max_pool2d,
        distinct(
            ((2, 3, 4, 5), {"output_size": 1}),
            ((1, 2, 4, 6), {"output_size": (2, 3), "return_indices": True}),
            ((1, 2, 5, 7), {"output_size": (3, 2), "return_indices": True}),
            ((1, 2, 3, 4), {"output_size": (5, None), "return_indices": True}),
            ((2, 5, 4), {"output_size": (2, 4), "return_indices": True}),
            ((0, 2, 5, 4), {"output_size": 3}),
        ),
        in_torch("adaptive_max_pool2d"),
        bad=bad_sizes(ops.adaptive_max_pool2d, ones(1, 2, 3, 3)),
        without=NO_0D,
    ),
]
