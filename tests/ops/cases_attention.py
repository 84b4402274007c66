"""The table's cases for ops/attention.py."""

import math

import numpy as np

from minigrad import ops
from tests.ops.cases_shape import ones
from tests.ops.table import Case, Sample


def attention(q, k, v, mask=None, **static):
    return ops.scaled_dot_product_attention(q, k, v, mask, **static)


def reference(q, k, v, mask=None, is_causal=False, scale=None):
    """One query after the other."""
    L, E = q.shape[-2:]
    S, V = v.shape[-2:]
    front = np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    q, k, v = (np.broadcast_to(x, front + x.shape[-2:]) for x in (q, k, v))
    mask = None if mask is None else np.broadcast_to(mask, (*front, L, S))
    out = np.zeros((*front, L, V))
    for place in np.ndindex(*front):
        for i in range(L):
            shares, total = [], 0.0
            for j in range(S):
                score = float(sum(a * b for a, b in zip(q[place][i], k[place][j])))
                score *= 1 / math.sqrt(E) if scale is None else scale
                allowed = not is_causal or j <= i
                if mask is not None and mask.dtype == bool:
                    allowed = mask[place][i, j]
                elif mask is not None:
                    score += mask[place][i, j]
                shares.append(math.exp(score) if allowed else 0.0)
                total += shares[-1]
            for j in range(S):
                out[(*place, i)] += shares[j] / total * v[place][j] if total else 0.0
    return out


def samples(rng):
    def vectors(*shapes, scale=1.0):
        return tuple(rng.standard_normal(shape) * scale for shape in shapes)

    some = rng.uniform(size=(2, 1, 3, 4)) < 0.6
    some[0, 0, 1] = False  # a query that may attend to nothing
    some[1, 0, :, 2] = True
    return [
        Sample(vectors((3, 2), (4, 2), (4, 3))),
        Sample(vectors((2, 2, 3, 4), (2, 2, 4, 4), (2, 2, 4, 2)), {"scale": 0.7}),
        Sample(vectors((2, 1, 3, 2), (3, 4, 2), (4, 2))),
        Sample((*vectors((2, 2, 3, 2), (2, 2, 4, 2), (2, 2, 4, 2)), some)),
        Sample((*vectors((3, 2), (4, 2), (4, 2)), some[0, 0, 0])),
        Sample(vectors((2, 3, 2), (2, 4, 2), (2, 4, 2), (3, 4))),
        Sample(vectors((2, 3, 2), (2, 3, 2), (2, 3, 2), (2, 1, 3))),
        Sample(vectors((2, 4, 2), (2, 4, 2), (2, 4, 2)), {"is_causal": True}),
        Sample(vectors((2, 2, 2), (2, 4, 2), (2, 4, 2)), {"is_causal": True, "scale": -1.5}),
        Sample(vectors((4, 2), (2, 2), (2, 2)), {"is_causal": True}),
        Sample(vectors((3, 0), (4, 0), (4, 2)), {"scale": 1.0}),
        Sample(vectors((0, 3, 2), (0, 4, 2), (0, 4, 2))),
        Sample(vectors((2, 3, 2), (2, 0, 2), (2, 0, 2))),
        Sample(vectors((2, 0, 2), (2, 4, 2), (2, 4, 2))),
    ]


x = ones(2, 3, 4)
BAD = [
    (lambda: ops.scaled_dot_product_attention(x, x, [1.0]), TypeError, "query, key and value to be Tensors, got list"),
    (lambda: ops.scaled_dot_product_attention(x, x, x.float()), TypeError, "one floating dtype, got float64, float64, float32"),
    (lambda: ops.scaled_dot_product_attention(x.long(), x.long(), x.long()), TypeError, "one floating dtype, got int64"),
    (lambda: ops.scaled_dot_product_attention(ones(4), x, x), ValueError, r"query \(..., L, E\).*got query \(4,\)"),
    (
        lambda: ops.scaled_dot_product_attention(x, ones(2, 3, 5), x),
        ValueError,
        r"got query \(2, 3, 4\), key \(2, 3, 5\), value \(2, 3, 4\)",
    ),
    (lambda: ops.scaled_dot_product_attention(x, x, ones(2, 5, 4)), ValueError, r"value \(..., S, V\), got .*\(2, 5, 4\)"),
    (lambda: ops.scaled_dot_product_attention(x, ones(5, 3, 4), x), ValueError, "broadcast but for the last two dims"),
    (lambda: ops.scaled_dot_product_attention(x, x, ones(4, 3, 4)), ValueError, "broadcast but for the last two dims"),
    (lambda: ops.scaled_dot_product_attention(x, x, x, ones(3, 4)), ValueError, r"broadcasts to \(2, 3, 3\), got \(3, 4\)"),
    (lambda: ops.scaled_dot_product_attention(x, x, x, ones(1, 1, 3, 3)), ValueError, r"to \(2, 3, 3\), got \(1, 1, 3, 3\)"),
    (lambda: ops.scaled_dot_product_attention(x, x, x, ones(3, 3).int()), TypeError, "tensor of bool or float64, got int32"),
    (lambda: ops.scaled_dot_product_attention(x, x, x, 1.0), TypeError, "attn_mask to be a tensor of bool .* got float"),
    (
        lambda: ops.scaled_dot_product_attention(x, x, x, ones(3, 3).bool(), is_causal=True),
        ValueError,
        "an attn_mask or is_causal=True, not both",
    ),
    (lambda: ops.scaled_dot_product_attention(x, x, x, dropout_p=1.5), ValueError, "dropout_p from 0 to 1, got 1.5"),
    (lambda: ops.scaled_dot_product_attention(x, x, x, dropout_p=None), TypeError, "number for dropout_p, got NoneType"),
    (lambda: ops.scaled_dot_product_attention(x, x, x, scale="1"), TypeError, "number for scale, got str"),
]

CASES = [
    Case(
        "nn.functional.scaled_dot_product_attention",
        attention,
        reference,
        samples,
        lambda t, q, k, v, mask=None, **static: t.nn.functional.scaled_dot_product_attention(q, k, v, mask, **static),
        bad=BAD,
        without={"0-d": "a vector is needed"},
    )
]
