"""The table's cases for ops/normalization.py and ops/similarity.py."""

import numpy as np

from minigrad import ops
from tests.ops.cases_shape import ones
from tests.ops.table import Case, Sample


def normal(*settings):
    """A sampler from (shapes, static arguments), the first array not centered."""

    def samples(rng):
        found = []
        for shapes, static in settings:
            first, *others = (rng.standard_normal(shape) for shape in shapes)
            found.append(Sample((first * 2 + 1, *others), static))
        return found

    return samples


def standardized(x, axes, eps):
    if not x.size:
        return x
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def per_channel(values, x):
    return values.reshape((-1,) + (1,) * (x.ndim - 2))


# --- batch_norm: the running statistics are made here, as what it changes them to is tested in test_normalization.py -------


def batch_norm(x, weight=None, bias=None, running=(None, None), bias_alone=False, **static):
    mean, var = (None if r is None else x.new_tensor(r) for r in running)
    weight, bias = (None, weight) if bias_alone else (weight, bias)
    return ops.batch_norm(x, mean, var, weight, bias, **static)


def batch_norm_in_torch(t, x, weight=None, bias=None, running=(None, None), bias_alone=False, **static):
    mean, var = (None if r is None else t.tensor(r, dtype=x.dtype) for r in running)
    weight, bias = (None, weight) if bias_alone else (weight, bias)
    return t.nn.functional.batch_norm(x, mean, var, weight, bias, **static)


def batch_norm_reference(
    x, weight=None, bias=None, running=(None, None), bias_alone=False, training=False, momentum=0.1, eps=1e-5
):
    weight, bias = (None, weight) if bias_alone else (weight, bias)
    if training:
        y = standardized(x, (0, *range(2, x.ndim)), eps)
    else:
        mean, var = (per_channel(np.array(r), x) for r in running)
        y = (x - mean) / np.sqrt(var + eps)
    y = y if weight is None else y * per_channel(weight, x)
    return y if bias is None else y + per_channel(bias, x)


RUNNING = {"running": ([0.5, -1.0, 2.0], [1.5, 0.25, 3.0])}
TRAINING = {"training": True}
x = ones(2, 3, 2)
BAD_BATCH_NORM = [
    (lambda: ops.batch_norm([1.0], None, None), TypeError, "expected a Tensor, got list"),
    (lambda: ops.batch_norm(x.long(), None, None), TypeError, "floating dtype, got int64"),
    (lambda: ops.batch_norm(ones(3), None, None), ValueError, r"at least 2 dims, got shape \(3,\)"),
    (lambda: ops.batch_norm(x, None, None), ValueError, "running_mean and running_var unless training"),
    (lambda: ops.batch_norm(x, ones(3), None, training=True), ValueError, "both or neither"),
    (lambda: ops.batch_norm(x, ones(2), ones(3)), ValueError, r"running_mean of shape \(3,\), got \(2,\)"),
    (lambda: ops.batch_norm(x, ones(3), ones(3, 1)), ValueError, r"running_var of shape \(3,\), got \(3, 1\)"),
    (lambda: ops.batch_norm(x, ones(3), ones(3), ones(2)), ValueError, r"weight of shape \(3,\), got \(2,\)"),
    (lambda: ops.batch_norm(x, ones(3), ones(3), ones(3), 1.0), TypeError, "bias to be a Tensor or None, got float"),
    (lambda: ops.batch_norm(ones(1, 3), None, None, training=True), ValueError, r"more than one value .* got shape \(1, 3\)"),
]


# --- the others --------------------------------------------------------------------------------------------------------


def layer_norm_reference(x, weight=None, bias=None, normalized_shape=(), eps=1e-5):
    y = standardized(x, tuple(range(-np.size(normalized_shape), 0)), eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def group_norm_reference(x, weight=None, bias=None, num_groups=1, eps=1e-5):
    N, C = x.shape[:2]
    grouped = x.reshape(N, num_groups, C // num_groups, *x.shape[2:])
    y = standardized(grouped, tuple(range(2, grouped.ndim)), eps).reshape(x.shape)
    y = y if weight is None else y * per_channel(weight, x)
    return y if bias is None else y + per_channel(bias, x)


def local_response_norm_reference(x, size, alpha=1e-4, beta=0.75, k=1.0):
    y = np.zeros_like(x)
    for c in range(x.shape[1]):
        first, last = max(0, c - size // 2), c + (size - 1) // 2 + 1
        y[:, c] = x[:, c] / (k + alpha * (x[:, first:last] ** 2).sum(1) / size) ** beta
    return y


def normalize_reference(x, p=2.0, dim=1, eps=1e-12):
    return x / np.maximum((np.abs(x) ** p).sum(dim, keepdims=True) ** (1 / p), eps)


def cosine_similarity_reference(a, b, dim=1, eps=1e-8):
    a, b = np.broadcast_arrays(a, b)
    lengths = np.sqrt((a * a).sum(dim)), np.sqrt((b * b).sum(dim))
    return (a * b).sum(dim) / (np.maximum(lengths[0], eps) * np.maximum(lengths[1], eps))


def cosine_similarity_in_torch(t, a, b, dim=1, eps=None):
    if eps is None:
        return t.nn.functional.cosine_similarity(a, b, dim)
    lengths = (x.norm(dim=dim).clamp(min=eps) for x in (a, b))  # torch's own gradient passes its clamp by
    return (a * b).sum(dim) / next(lengths) / next(lengths)


PLANES = {"0-d": "the input has channels", "broadcast": "weight and bias belong to a dim"}

CASES = [
    Case(
        "nn.functional.batch_norm",
        batch_norm,
        batch_norm_reference,
        normal(
            (((4, 3), (3,), (3,)), TRAINING),
            (((2, 3, 4),), {"training": True, "eps": 0.5}),
            (((2, 3, 2, 3), (3,)), {**TRAINING, **RUNNING, "momentum": 0.3}),
            (((3, 2, 2), (2,)), {**TRAINING, "bias_alone": True}),
            (((2, 3, 2, 2), (3,), (3,)), RUNNING),
            (((3, 3),), {**RUNNING, "eps": 0.5}),
            (((3, 3, 2), (3,)), {**RUNNING, "bias_alone": True}),
            (((0, 3, 2), (3,), (3,)), {**TRAINING, **RUNNING}),
            (((0, 3, 2), (3,), (3,)), RUNNING),
        ),
        batch_norm_in_torch,
        bad=BAD_BATCH_NORM,
        without={"0-d": "the input has channels"},
    ),
    Case(
        "nn.functional.layer_norm",
        lambda x, w=None, b=None, normalized_shape=(), **k: ops.layer_norm(x, normalized_shape, w, b, **k),
        layer_norm_reference,
        normal(
            (((4, 3), (3,), (3,)), {"normalized_shape": 3}),
            (((2, 2, 3), (2, 3), (2, 3)), {"normalized_shape": (2, 3), "eps": 0.5}),
            (((2, 2, 3), (3,)), {"normalized_shape": [3]}),
            (((2, 4),), {"normalized_shape": (2, 4)}),
            (((0, 3), (3,), (3,)), {"normalized_shape": 3}),
        ),
        lambda t, x, w=None, b=None, normalized_shape=(), **k: t.nn.functional.layer_norm(
            x, [normalized_shape] if isinstance(normalized_shape, int) else normalized_shape, w, b, **k
        ),
        bad=[
            (lambda: ops.layer_norm(x, 3), ValueError, r"input of shape \(..., 3\), got \(2, 3, 2\)"),
            (lambda: ops.layer_norm(x, ()), ValueError, r"normalized_shape of at least one size, got \(\)"),
            (lambda: ops.layer_norm(x, 2.0), TypeError, "integer normalized_shape, got float"),
            (lambda: ops.layer_norm(x, 2, ones(3)), ValueError, r"weight of shape \(2,\), got \(3,\)"),
            (lambda: ops.layer_norm(x.long(), 2), TypeError, "floating dtype, got int64"),
        ],
        without={"0-d": "there are dims to go over"},
    ),
    Case(
        "nn.functional.group_norm",
        lambda x, w=None, b=None, num_groups=1, **k: ops.group_norm(x, num_groups, w, b, **k),
        group_norm_reference,
        normal(
            (((2, 4), (4,), (4,)), {"num_groups": 2}),
            (((2, 4, 3), (4,), (4,)), {"num_groups": 1, "eps": 0.5}),
            (((1, 6, 2, 2), (6,)), {"num_groups": 3}),
            (((2, 2, 3),), {"num_groups": 2}),
            (((0, 4, 2), (4,), (4,)), {"num_groups": 2}),
        ),
        lambda t, x, w=None, b=None, num_groups=1, **k: t.nn.functional.group_norm(x, num_groups, w, b, **k),
        bad=[
            (lambda: ops.group_norm(x, 2), ValueError, r"num_groups that divide 3 channels, got 2 \(input \(2, 3, 2\)\)"),
            (lambda: ops.group_norm(x, 0), ValueError, "num_groups that divide 3 channels, got 0"),
            (lambda: ops.group_norm(x, 1.5), TypeError, "integer num_groups, got float"),
            (lambda: ops.group_norm(ones(3), 1), ValueError, "at least 2 dims"),
            (lambda: ops.group_norm(x, 3, ones(2)), ValueError, r"weight of shape \(3,\), got \(2,\)"),
        ],
        without={"0-d": "the input has channels"},
    ),
    Case(
        "nn.functional.local_response_norm",
        ops.local_response_norm,
        local_response_norm_reference,
        normal(
            (((2, 5, 3),), {"size": 3}),
            (((1, 4, 2, 2),), {"size": 2, "alpha": 0.5, "beta": 1.5, "k": 2.0}),
            (((1, 3, 2, 2),), {"size": 5, "alpha": 1.0}),
            (((0, 3, 2),), {"size": 2}),
        ),
        lambda t, *a, **k: t.nn.functional.local_response_norm(*a, **k),
        bad=[
            (lambda: ops.local_response_norm(ones(2, 3), 2), ValueError, r"at least 3 dims, got shape \(2, 3\)"),
            (lambda: ops.local_response_norm(x, 0), ValueError, "size of at least 1, got 0"),
            (lambda: ops.local_response_norm(x, 2.0), TypeError, "integer size, got float"),
        ],
        without=PLANES,
    ),
    Case(
        "nn.functional.normalize",
        ops.normalize,
        normalize_reference,
        normal(
            (((2, 3),), {}),
            (((2, 3, 2),), {"p": 3.0, "dim": -1}),
            (((4,),), {"dim": 0, "p": 1.0}),
            (((2, 3, 2),), {"dim": (0, 2)}),
            (((2, 3),), {"eps": 100.0}),
            (((0, 3),), {}),
        ),
        lambda t, *a, **k: t.nn.functional.normalize(*a, **k),
        bad=[
            (lambda: ops.normalize(ones(3)), IndexError, r"dim in \[-1, 0\], got 1"),
            (lambda: ops.normalize(x.long()), TypeError, "floating dtype, got int64"),
            (lambda: ops.normalize(1.0), TypeError, "expected a Tensor, got float"),
        ],
        without={"0-d": "a number has no direction"},
    ),
    Case(
        "nn.functional.cosine_similarity",
        ops.cosine_similarity,
        cosine_similarity_reference,
        normal(
            (((2, 3), (2, 3)), {}),
            (((2, 3, 2), (3, 1)), {"dim": -2}),
            (((3,), (2, 3)), {"dim": 1}),
            (((4,), (4,)), {"dim": 0, "eps": 100.0}),
            (((0, 3), (0, 3)), {}),
        ),
        cosine_similarity_in_torch,
        bad=[
            (lambda: ops.cosine_similarity(ones(3), ones(3)), IndexError, r"dim in \[-1, 0\], got 1"),
            (lambda: ops.cosine_similarity(x, x.long()), TypeError, "floating dtype, got int64"),
            (lambda: ops.cosine_similarity(x, [1.0]), TypeError, "expected a Tensor, got list"),
            (lambda: ops.cosine_similarity(ones(2, 3), ones(2, 4)), ValueError, "shapes that broadcast"),
        ],
        without={"0-d": "a number has no direction"},
    ),
]
