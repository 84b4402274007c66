"""The table's cases for ops/cross_entropy.py and ops/loss.py; the references go from sample to sample."""

import numpy as np
import scipy.special

from minigrad import ops
from tests.ops.cases_shape import ones
from tests.ops.table import Case, Sample


def reduced(losses, reduction, total=None):
    """``total``: what the mean divides by, if not by the number of losses."""
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    return losses.sum() / (losses.size if total is None else total)


def with_weight(function):
    """The function with weights of the classes given as a list: they are constants, without a gradient."""

    def call(x, target, weight=None, **static):
        return function(x, target, None if weight is None else x.new_tensor(weight), **static)

    return call


def in_torch(name):
    def call(t, x, target, **static):
        for what in ("weight", "pos_weight"):
            if isinstance(static.get(what), list):
                static = {**static, what: t.tensor(static[what], dtype=x.dtype)}
        return getattr(t.nn.functional, name)(x, target, **static)

    return call


# --- classes -----------------------------------------------------------------------------------------------------------


def of_samples(x, target, loss_of):
    """``loss_of(scores, class)`` at every place of (N, C, ...) or (C,)."""
    scores = x if x.ndim == 1 else np.moveaxis(x, 1, -1)
    losses = np.zeros(target.shape)
    for place in np.ndindex(target.shape):
        losses[place] = loss_of(scores[place], target[place])
    return losses


def cross_entropy(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    C = x.shape[1 if x.ndim > 1 else 0]
    weight = np.ones(C) if weight is None else np.array(weight)
    if target.dtype.kind == "f":
        logs = scipy.special.log_softmax(x, 1 if x.ndim > 1 else 0)
        shares = target * (1 - label_smoothing) + label_smoothing / C
        along = weight.reshape((-1,) + (1,) * (x.ndim - 2)) if x.ndim > 1 else weight
        return reduced(-(shares * along * logs).sum(1 if x.ndim > 1 else 0), reduction)

    def loss_of(scores, y):
        if y == ignore_index:
            return 0.0
        logs = scores - np.log(np.exp(scores).sum())
        return -(1 - label_smoothing) * weight[y] * logs[y] - label_smoothing / C * (weight * logs).sum()

    total = sum(weight[y] for y in target.reshape(-1) if y != ignore_index)
    return reduced(of_samples(x, target, loss_of), reduction, total)


def nll_loss(x, target, weight=None, ignore_index=-100, reduction="mean"):
    weight = np.ones(x.shape[1 if x.ndim > 1 else 0]) if weight is None else np.array(weight)
    losses = of_samples(x, target, lambda logs, y: 0.0 if y == ignore_index else -weight[y] * logs[y])
    return reduced(losses, reduction, sum(weight[y] for y in target.reshape(-1) if y != ignore_index))


def multi_margin_loss(x, target, weight=None, p=1, margin=1.0, reduction="mean"):
    weight = np.ones(x.shape[-1]) if weight is None else np.array(weight)

    def loss_of(scores, y):
        gaps = [max(0.0, margin - scores[y] + s) ** p for j, s in enumerate(scores) if j != y]
        return weight[y] * sum(gaps) / len(scores)

    return reduced(of_samples(x, target, loss_of), reduction)


def scores(*settings):
    """A sampler from (scores' shape, class numbers or None for drawn ones, static arguments)."""

    def samples(rng):
        found = []
        for shape, target, static in settings:
            classes = shape[1] if len(shape) > 1 else shape[0]
            if target is None:
                target = rng.integers(0, classes, shape[:1] + shape[2:] if len(shape) > 1 else ())
            found.append(Sample((rng.standard_normal(shape) * 2, np.asarray(target, np.int64)), static))
        return found

    return samples


def scores_and_probabilities(*settings):
    def samples(rng):
        found = []
        for shape, static in settings:
            targets = scipy.special.softmax(rng.standard_normal(shape), 1 if len(shape) > 1 else 0)
            found.append(Sample((rng.standard_normal(shape) * 2, targets), static))
        return found

    return samples


def both(first, second):
    return lambda rng: first(rng) + second(rng)


def bad_classes(name):
    function, target = getattr(ops, name), ops.tensor([0, 2])
    x = ones(2, 3)
    return [
        (lambda: function([1.0], target), TypeError, f"^{name}: expected a Tensor, got list"),
        (lambda: function(x, [0, 2]), TypeError, "expected a Tensor, got list"),
        (lambda: function(x.long(), target), TypeError, "input of a floating dtype, got int64"),
        (lambda: function(x, target == 0), TypeError, "integer dtype, class numbers, got bool"),
        (lambda: function(ones(2, 0), target), ValueError, "at least one class"),
        (lambda: function(ops.tensor(1.0), target), ValueError, "got a 0-d tensor"),
        (lambda: function(x, ops.tensor([0, 1, 2])), ValueError, r"target of shape \(2,\) for input \(2, 3\), got \(3,\)"),
        (lambda: function(x, ops.tensor([0, 3])), IndexError, "class numbers from 0 to 2, got 3 in target"),
        (lambda: function(x, ops.tensor([-1, 2])), IndexError, "class numbers from 0 to 2, got -1 in target"),
        (lambda: function(x, target, weight=ones(2)), ValueError, r"weight of shape \(3,\), one per class, got \(2,\)"),
        (lambda: function(x, target, weight=[1.0] * 3), TypeError, "expected a Tensor, got list"),
        (lambda: function(x, target, weight=ones(3).requires_grad_()), RuntimeError, "weight that does not require grad"),
        (lambda: function(x, target, reduction="max"), ValueError, "'none', 'mean', 'sum', got 'max'"),
    ]


WEIGHT = {"weight": [0.5, 2.0, 1.0]}
CLASSES = scores(
    ((3, 4), None, {}),
    ((4, 3), [0, 2, -100, 1], {**WEIGHT}),
    ((2, 3, 2), [[1, 0], [2, 1]], {"ignore_index": 1}),
    ((2, 3, 2, 2), None, {**WEIGHT, "reduction": "sum"}),
    ((3, 3), [1, 0, 2], {**WEIGHT, "reduction": "none", "ignore_index": 2}),
    ((3,), 1, {**WEIGHT}),
    ((3,), 2, {"reduction": "none"}),
    ((2, 3), [7, 7], {"ignore_index": 7, "reduction": "sum"}),
    ((0, 3), None, {"reduction": "sum"}),
)
SMOOTHED = scores(
    ((3, 4), None, {"label_smoothing": 0.2}),
    ((4, 3), [0, 2, -100, 1], {**WEIGHT, "label_smoothing": 0.3}),
    ((2, 3, 2), [[1, 0], [2, 1]], {"ignore_index": 1, "label_smoothing": 0.5, "reduction": "none"}),
    ((3,), 1, {"label_smoothing": 1.0, "reduction": "sum"}),
)
PROBABILITIES = scores_and_probabilities(
    ((3, 4), {}),
    ((2, 3, 2), {**WEIGHT, "label_smoothing": 0.2}),
    ((2, 3, 1, 2), {**WEIGHT, "reduction": "sum"}),
    ((2, 3), {"reduction": "none"}),
    ((3,), {**WEIGHT}),
)
x, y = ones(2, 3), ops.tensor([0, 2])


# --- values ------------------------------------------------------------------------------------------------------------


def elementwise(loss_of):
    def reference(x, target, reduction="mean", **static):
        return reduced(loss_of(x, target, **static), reduction)

    return reference


def huber(x, target, delta=1.0):
    d = np.abs(x - target)
    return np.where(d < delta, d * d / 2, delta * (d - delta / 2))


def smooth_l1(x, target, beta=1.0):
    d = np.abs(x - target)
    return np.where(d < beta, d * d / 2 / (beta or 1), d - beta / 2)


def binary_cross_entropy(x, target, weight=None, reduction="mean"):
    losses = -(target * np.log(x) + (1 - target) * np.log(1 - x))
    return reduced(losses * (1 if weight is None else np.array(weight)), reduction)


def binary_cross_entropy_with_logits(x, target, weight=None, reduction="mean", pos_weight=None):
    p = scipy.special.expit(x)
    losses = -(target * np.log(p) * np.array(1 if pos_weight is None else pos_weight) + (1 - target) * np.log(1 - p))
    return reduced(losses * np.array(1 if weight is None else weight), reduction)


def kl_div(x, target, reduction="mean", log_target=False):
    losses = np.exp(target) * (target - x) if log_target else scipy.special.xlogy(target, target) - target * x
    return losses.sum() / len(x) if reduction == "batchmean" else reduced(losses, reduction)


def apart(*statics):
    """A sampler of predictions and targets whose differences are between 0.3 and 2.7 in size, and near no kink."""

    def samples(rng):
        found = []
        others = (((), {}), ((2, 1, 2), {"reduction": "none"}), ((0, 3), {"reduction": "sum"}))
        for shape, static in (*(((2, 3), static) for static in statics), *others):
            target = rng.standard_normal(shape)
            sizes = rng.choice([0.3, 0.6, 1.4, 1.7, 2.7], shape) * rng.choice([-1, 1], shape)
            found.append(Sample((np.asarray(target + sizes), np.asarray(target)), static))
        return found

    return samples


def probabilities(*settings, of_scores=False):
    def samples(rng):
        found = []
        for shape, static in settings:
            values = rng.standard_normal(shape) * 2 if of_scores else rng.uniform(0.1, 0.9, shape)
            found.append(Sample((np.asarray(values), np.asarray(rng.uniform(0.1, 0.9, shape))), static))
        return found

    return samples


def bad_values(name):
    function = getattr(ops, name)
    return [
        (lambda: function(x, 1.0), TypeError, f"^{name}: expected a Tensor, got float"),
        (lambda: function([1.0], x), TypeError, f"^{name}: expected a Tensor, got list"),
        (lambda: function(x, x, reduction="max"), ValueError, "'none', 'mean', 'sum'.* got 'max'"),
    ]


def bad_alike(name):
    function = getattr(ops, name)
    return [
        *bad_values(name),
        (lambda: function(x, ones(3)), ValueError, r"the input's shape \(2, 3\), got \(3,\)"),
        (lambda: function(x, x.float()), TypeError, "one floating dtype, got float64 and float32"),
        (lambda: function(x.long(), x.long()), TypeError, "floating dtype, got int64"),
    ]


ALIKE = {"broadcast": "input and target have one shape"}
REDUCTIONS = ({}, {"reduction": "sum"}, {"reduction": "none"})
UNIT = (((2, 3), {}), ((), {}), ((2, 2), {"reduction": "none"}), ((0, 2), {"reduction": "sum"}))

CASES = [
    Case(
        "nn.functional.cross_entropy",
        with_weight(ops.cross_entropy),
        cross_entropy,
        both(both(CLASSES, SMOOTHED), PROBABILITIES),
        in_torch("cross_entropy"),
        bad=[
            *bad_classes("cross_entropy"),
            (lambda: ops.cross_entropy(x, y, label_smoothing=1.5), ValueError, "between 0 and 1, got 1.5"),
            (lambda: ops.cross_entropy(x, y, label_smoothing="a"), TypeError, "a number for label_smoothing, got str"),
            (lambda: ops.cross_entropy(x, ones(3)), ValueError, r"probabilities of the input's shape \(2, 3\), got \(3,\)"),
            (lambda: ops.cross_entropy(x, x, ignore_index=1), ValueError, "no ignore_index .* got 1"),
        ],
    ),
    Case(
        "nn.functional.nll_loss",
        with_weight(ops.nll_loss),
        nll_loss,
        CLASSES,
        in_torch("nll_loss"),
        bad=bad_classes("nll_loss"),
    ),
    Case(
        "nn.functional.multi_margin_loss",
        lambda x, target, weight=None, **k: ops.multi_margin_loss(
            x, target, weight=None if weight is None else x.new_tensor(weight), **k
        ),
        multi_margin_loss,
        scores(
            ((3, 4), None, {}),
            ((4, 3), None, {**WEIGHT, "p": 2, "margin": 0.5}),
            ((2, 3), None, {**WEIGHT, "reduction": "none"}),
            ((3,), 1, {"reduction": "sum"}),
            ((3,), 2, {"reduction": "none"}),
            ((0, 3), None, {"reduction": "none"}),
        ),
        in_torch("multi_margin_loss"),
        bad=[
            *bad_classes("multi_margin_loss"),
            (lambda: ops.multi_margin_loss(x, y, p=3), ValueError, "p to be 1 or 2, got 3"),
            (lambda: ops.multi_margin_loss(x, y, margin="a"), TypeError, "a number for margin, got str"),
            (lambda: ops.multi_margin_loss(ones(2, 3, 1), y[:, None]), ValueError, r"shape \(N, C\) or \(C,\)"),
        ],
    ),
    Case(
        "nn.functional.mse_loss",
        ops.mse_loss,
        elementwise(lambda x, target: (x - target) ** 2),
        apart(*REDUCTIONS),
        in_torch("mse_loss"),
        bad=bad_values("mse_loss"),
        without={"broadcast": "warns; see test_loss.py"},
    ),
    Case(
        "nn.functional.l1_loss",
        ops.l1_loss,
        elementwise(lambda x, target: np.abs(x - target)),
        apart(*REDUCTIONS),
        in_torch("l1_loss"),
        bad=bad_values("l1_loss"),
        without={"broadcast": "warns; see test_loss.py"},
    ),
    Case(
        "nn.functional.smooth_l1_loss",
        ops.smooth_l1_loss,
        elementwise(smooth_l1),
        apart(*REDUCTIONS, {"beta": 2.0}, {"beta": 0.5}, {"beta": 0}),
        in_torch("smooth_l1_loss"),
        bad=[
            *bad_values("smooth_l1_loss"),
            (lambda: ops.smooth_l1_loss(x, x, beta=-1), ValueError, "beta of at least 0, got -1"),
        ],
        without={"broadcast": "warns; see test_loss.py"},
    ),
    Case(
        "nn.functional.huber_loss",
        ops.huber_loss,
        elementwise(huber),
        apart(*REDUCTIONS, {"delta": 2.0}, {"delta": 0.5}),
        in_torch("huber_loss"),
        bad=[*bad_values("huber_loss"), (lambda: ops.huber_loss(x, x, delta=0), ValueError, "delta above 0, got 0")],
        without={"broadcast": "warns; see test_loss.py"},
    ),
    Case(
        "nn.functional.binary_cross_entropy",
        with_weight(ops.binary_cross_entropy),
        binary_cross_entropy,
        probabilities(*UNIT, ((2, 3), {"weight": [1.0, 0.5, 2.0]})),
        in_torch("binary_cross_entropy"),
        bad=[
            *bad_alike("binary_cross_entropy"),
            (lambda: ops.binary_cross_entropy(x * 2, x), ValueError, "from 0 to 1, got values from 2.0 to 2.0"),
            (lambda: ops.binary_cross_entropy(x, x, weight=1.0), TypeError, "expected a Tensor, got float"),
        ],
        without=ALIKE,
    ),
    Case(
        "nn.functional.binary_cross_entropy_with_logits",
        lambda x, target, weight=None, pos_weight=None, **k: ops.binary_cross_entropy_with_logits(
            x,
            target,
            None if weight is None else x.new_tensor(weight),
            pos_weight=None if pos_weight is None else x.new_tensor(pos_weight),
            **k,
        ),
        binary_cross_entropy_with_logits,
        probabilities(
            *UNIT,
            ((2, 3), {"weight": [1.0, 0.5, 2.0], "reduction": "none"}),
            ((2, 3), {"pos_weight": [3.0, 0.5, 1.0]}),
            of_scores=True,
        ),
        in_torch("binary_cross_entropy_with_logits"),
        bad=[
            *bad_alike("binary_cross_entropy_with_logits"),
            (lambda: ops.binary_cross_entropy_with_logits(x, x, pos_weight=2.0), TypeError, "expected a Tensor, got float"),
        ],
        without=ALIKE,
    ),
    Case(
        "nn.functional.soft_margin_loss",
        ops.soft_margin_loss,
        elementwise(lambda x, target: np.log1p(np.exp(-target * x))),
        probabilities(*UNIT, of_scores=True),
        lambda t, x, target, reduction="mean": reduced(t.nn.functional.softplus(-target * x), reduction, x.numel()),
        bad=bad_alike("soft_margin_loss"),
        without=ALIKE,
    ),
    Case(
        "nn.functional.kl_div",
        ops.kl_div,
        kl_div,
        probabilities(
            *UNIT,
            ((2, 3), {"reduction": "batchmean"}),
            ((2, 3), {"log_target": True}),
            ((3,), {"log_target": True, "reduction": "none"}),
            of_scores=True,
        ),
        lambda t, *a, **k: t.nn.functional.kl_div(*a, **k),
        tolerance={"bfloat16": 0.05},  # the target's logarithm and the scores are rounded before their difference
        bad=[
            *bad_values("kl_div"),
            (lambda: ops.kl_div(ops.tensor(1.0), ops.tensor(1.0), reduction="batchmean"), ValueError, "got a 0-d tensor"),
        ],
        without=ALIKE,
    ),
]
