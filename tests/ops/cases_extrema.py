"""Cases of the operations in ops/extrema.py."""

import numpy as np

import minigrad
from minigrad import ones, tensor
from tests.ops.samples import binary, binary_samples, integers, spread
from tests.ops.table import Case, Sample


def clamp(*tensors, low=None, high=None, only="min"):
    """Bounds that are tensors follow the tensor, or only the one that is named."""
    if len(tensors) == 3:
        return minigrad.clamp(*tensors)
    if len(tensors) == 2:
        return minigrad.clamp(tensors[0], **{only: tensors[1]})
    return minigrad.clamp(tensors[0], low, high)


def clamp_reference(x, *bounds, low=None, high=None, only="min"):
    if len(bounds) == 2:
        low, high = bounds
    elif bounds:
        low, high = (bounds[0], None) if only == "min" else (None, bounds[0])
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def torch_clamp(t, x, *bounds, low=None, high=None, only="min"):
    if len(bounds) == 2:
        return t.clamp(x, *bounds)
    return t.clamp(x, **{only: bounds[0]}) if bounds else t.clamp(x, low, high)


def clamp_samples(rng):
    for shape in ((3, 4), (2, 3, 2), (), (0, 3)):
        yield Sample((spread(rng, shape, avoid=[-1.0, 0.5]),), {"low": -1.0, "high": 0.5})
    for low, high in ((0, None), (None, 0.5), (1.0, -1.0)):
        yield Sample((spread(rng, (3, 4), avoid=[-1.0, 0.0, 0.5, 1.0]),), {"low": low, "high": high})
    x = spread(rng, (3, 4))
    yield Sample((x, x + np.where(np.arange(4) % 2, 0.2, -0.3), x + np.where(np.arange(3) % 2, 0.4, -0.1)[:, None]))
    yield Sample((spread(rng, (2, 3, 4)), spread(rng, (4,), shift=0.05), spread(rng, (2, 1, 1), shift=-0.05)))
    for only in ("min", "max"):
        yield Sample((x, np.array([-0.8, 0.3, 0.9, 0.1])), {"only": only})
    yield Sample((integers(rng, (3, 4)),), {"low": -2, "high": 3})
    yield Sample((integers(rng, (3, 4)), integers(rng, (4,))), {"only": "max"})


CASES = [
    binary("maximum", minigrad.maximum, np.maximum, samples=binary_samples(whole=True)),
    binary("minimum", minigrad.minimum, np.minimum, samples=binary_samples(whole=True)),
    Case(
        "clamp",
        clamp,
        clamp_reference,
        lambda rng: list(clamp_samples(rng)),
        torch=torch_clamp,
        bad=[
            (lambda: minigrad.clamp([1.0], 0), TypeError, "expected a Tensor, got list"),
            (lambda: minigrad.clamp(ones(1)), ValueError, "expected min or max, got neither"),
            (lambda: minigrad.clamp(ones(1), min="0"), TypeError, "as min, got str"),
            (lambda: minigrad.clamp(tensor([True]), max=True), RuntimeError, "expected numbers, got bool"),
        ],
    ),
    Case(
        "Tensor.clamp_",
        lambda x, *bounds, low=None, high=None: x.clone().clamp_(*(bounds or (low, high))),
        clamp_reference,
        lambda rng: (
            [s for s in clamp_samples(rng) if "only" not in s.static and (len(s.arrays) == 1 or s.arrays[2].ndim < 3)]
            + [Sample((spread(rng, (3, 4)), spread(rng, (4,), -2, -1) + 0.03, spread(rng, (3, 1), 0.5, 1.5) + 0.03))]
        ),
        torch=lambda t, x, *bounds, low=None, high=None: x.clone().clamp_(*(bounds or (low, high))),
        bad=[
            (lambda: ones(1).clamp_(), ValueError, "expected min or max"),
            (lambda: tensor([1]).clamp_(0.5), RuntimeError, "float32 cannot be kept in a tensor of dtype int64"),
            (lambda: ones(2).clamp_(ones(3)), RuntimeError, r"broadcasts to \(2,\), got shape \(3,\)"),
            (lambda: ones(1, requires_grad=True).clamp_(0), RuntimeError, "leaf tensor that requires grad"),
        ],
    ),
]
