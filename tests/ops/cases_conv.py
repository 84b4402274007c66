"""The table's cases for ops/conv.py; the references are the sums themselves, element by element."""

import numpy as np

from minigrad import ops
from tests.ops.cases_shape import ones
from tests.ops.table import Case, Sample


def pair(value):
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)


def conv2d(x, w, bias=None, stride=1, padding=0, dilation=1, groups=1):
    if x.ndim == 3:
        return conv2d(x[None], w, bias, stride, padding, dilation, groups)[0]
    (SH, SW), (DH, DW) = pair(stride), pair(dilation)
    OC, CG, KH, KW = w.shape
    if padding == "same":
        total = DH * (KH - 1), DW * (KW - 1)
        pads = [(n // 2, n - n // 2) for n in total]
    else:
        pads = [(n, n) for n in pair(0 if padding == "valid" else padding)]
    x = np.pad(x, [(0, 0), (0, 0), *pads])
    OH = (x.shape[2] - DH * (KH - 1) - 1) // SH + 1
    OW = (x.shape[3] - DW * (KW - 1) - 1) // SW + 1
    y = np.zeros((len(x), OC, OH, OW))
    for n, o, i, j in np.ndindex(y.shape):
        first = o // (OC // groups) * CG
        for c, u, v in np.ndindex(CG, KH, KW):
            y[n, o, i, j] += x[n, first + c, i * SH + u * DH, j * SW + v * DW] * w[o, c, u, v]
    return y if bias is None else y + bias[:, None, None]


def conv1d(x, w, bias=None, stride=1, padding=0, dilation=1, groups=1):
    if padding not in ("same", "valid"):
        padding = (0, np.max(padding))
    return conv2d(x[..., None, :], w[:, :, None], bias, (1, np.max(stride)), padding, (1, np.max(dilation)), groups)[..., 0, :]


def conv_transpose2d(x, w, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    if x.ndim == 3:
        return conv_transpose2d(x[None], w, bias, stride, padding, output_padding, groups, dilation)[0]
    (SH, SW), (DH, DW), (PH, PW), (EH, EW) = pair(stride), pair(dilation), pair(padding), pair(output_padding)
    N, C, H, W = x.shape
    _, OG, KH, KW = w.shape
    whole = np.zeros((N, OG * groups, (H - 1) * SH + DH * (KH - 1) + 1 + EH, (W - 1) * SW + DW * (KW - 1) + 1 + EW))
    for n, c, i, j in np.ndindex(x.shape):
        first = c // (C // groups) * OG
        for o, u, v in np.ndindex(OG, KH, KW):
            whole[n, first + o, i * SH + u * DH, j * SW + v * DW] += x[n, c, i, j] * w[c, o, u, v]
    y = whole[:, :, PH : whole.shape[2] - PH, PW : whole.shape[3] - PW]
    return y if bias is None else y + bias[:, None, None]


def calls(*settings):
    """A sampler from (shapes, static arguments)."""

    def samples(rng):
        return [Sample(tuple(rng.standard_normal(shape) for shape in shapes), static) for shapes, static in settings]

    return samples


x, w = ones(8, 4, 32, 32), ones(64, 3, 7, 7)
BAD_CONV2D = [
    (
        lambda: ops.conv2d(x, w),
        ValueError,
        r"^conv2d: expected input with 3 × groups=1 channels, got 4 \(input \(8, 4, 32, 32\), weight \(64, 3, 7, 7\)\)$",
    ),
    (lambda: ops.conv2d(x, ones(6, 2, 1, 1), groups=4), ValueError, "groups that divide 6 channels, got 4"),
    (lambda: ops.conv2d(x, ones(6, 2, 1, 1), groups=0), ValueError, "groups that divide 6 channels, got 0"),
    (lambda: ops.conv2d(x, ones(6, 2, 1, 1), groups=1.5), TypeError, "integer groups, got float"),
    (lambda: ops.conv2d(ones(4, 4), w), ValueError, r"shape \(N, C, H, W\) or \(C, H, W\), got \(4, 4\)"),
    (lambda: ops.conv2d(ones(1, 3, 0, 4), w), ValueError, "every dim of input but the batch"),
    (lambda: ops.conv2d(x, ones(4, 4, 3)), ValueError, r"weight with 4 dims and with elements, got \(4, 4, 3\)"),
    (lambda: ops.conv2d(x, ones(0, 4, 3, 3)), ValueError, r"with elements, got \(0, 4, 3, 3\)"),
    (lambda: ops.conv2d(x, ones(2, 4, 1, 1), ones(3)), ValueError, r"bias of shape \(2,\), got \(3,\)"),
    (lambda: ops.conv2d(x, ones(2, 4, 1, 1), 1.0), TypeError, "expected a Tensor, got float"),
    (lambda: ops.conv2d(x.float(), ones(2, 4, 1, 1)), TypeError, "one floating dtype, got float32, float64"),
    (lambda: ops.conv2d(x.long(), ones(2, 4, 1, 1).long()), TypeError, "floating dtype, got int64"),
    (lambda: ops.conv2d(x, ones(2, 4, 1, 1), stride=0), ValueError, "stride of at least 1, got 0"),
    (lambda: ops.conv2d(x, ones(2, 4, 1, 1), stride=(1, 2, 3)), ValueError, "one stride or 2, got 3"),
    (lambda: ops.conv2d(x, ones(2, 4, 1, 1), padding=-1), ValueError, "padding of at least 0, got -1"),
    (lambda: ops.conv2d(x, ones(2, 4, 1, 1), padding="full"), ValueError, "'valid' or 'same', got 'full'"),
    (lambda: ops.conv2d(x, ones(2, 4, 1, 1), padding=0.5), TypeError, "integer padding, got float"),
    (
        lambda: ops.conv2d(x, ones(2, 4, 3, 3), stride=2, padding="same"),
        ValueError,
        r"stride 1 with padding='same', got \(2, 2\)",
    ),
    (lambda: ops.conv2d(x, ones(2, 4, 1, 1), dilation=0), ValueError, "dilation of at least 1, got 0"),
    (lambda: ops.conv2d(ones(1, 4, 3, 9), ones(2, 4, 3, 5), dilation=2), ValueError, "at least 5 .* in dim -2, got 3"),
]
NO_0D = {"0-d": "the input is planes"}

CASES = [
    Case(
        "nn.functional.conv2d",
        ops.conv2d,
        conv2d,
        calls(
            (((2, 3, 5, 4), (2, 3, 3, 2), (2,)), {}),
            (((1, 2, 6, 7), (3, 2, 3, 2)), {"stride": (2, 3), "padding": (1, 2), "dilation": (2, 1)}),
            (((2, 4, 4, 5), (6, 2, 2, 3), (6,)), {"padding": 1, "groups": 2}),
            (((1, 4, 4, 3), (4, 1, 3, 3)), {"stride": 2, "padding": 1, "groups": 4}),
            (((1, 2, 4, 5), (4, 1, 2, 2)), {"groups": 2}),
            (((2, 3, 4, 3), (4, 3, 1, 1), (4,)), {}),
            (((1, 2, 5, 5), (2, 2, 1, 1)), {"stride": 3}),
            (((1, 2, 4, 5), (2, 2, 4, 3)), {"padding": "same"}),
            (((2, 5, 4), (3, 2, 3, 3)), {"padding": "same", "dilation": (1, 2)}),
            (((2, 4, 4), (3, 2, 3, 3), (3,)), {"padding": "valid"}),
            (((0, 2, 4, 4), (3, 2, 3, 3), (3,)), {"padding": 1}),
        ),
        lambda t, *a, **k: t.nn.functional.conv2d(*a, **k),
        bad=BAD_CONV2D,
        without=NO_0D,
    ),
    Case(
        "nn.functional.conv1d",
        ops.conv1d,
        conv1d,
        calls(
            (((2, 3, 5), (2, 3, 3), (2,)), {}),
            (((1, 4, 8), (2, 2, 3)), {"stride": 2, "padding": (2,), "dilation": 2, "groups": 2}),
            (((2, 5), (3, 2, 2)), {"padding": "same"}),
            (((0, 2, 4), (3, 2, 3)), {}),
        ),
        lambda t, *a, **k: t.nn.functional.conv1d(*a, **k),
        bad=[
            (lambda: ops.conv1d(ones(1, 2, 3, 4), ones(2, 2, 3)), ValueError, r"^conv1d: expected input of shape \(N, C, L\)"),
            (lambda: ops.conv1d(ones(1, 2, 3), ones(2, 3, 3)), ValueError, "^conv1d: .* 3 × groups=1 channels, got 2"),
            (lambda: ops.conv1d(ones(1, 2, 3), ones(2, 2, 3), stride=(1, 1)), ValueError, "one stride or 1, got 2"),
            (lambda: ops.conv1d(ones(1, 2, 3), ones(2, 2, 5)), ValueError, r"at least 5 \(what the kernel \(5,\)"),
        ],
        without=NO_0D,
    ),
    Case(
        "nn.functional.conv_transpose2d",
        ops.conv_transpose2d,
        conv_transpose2d,
        calls(
            (((2, 3, 3, 2), (3, 2, 3, 2), (2,)), {}),
            (((1, 2, 3, 3), (2, 3, 3, 2)), {"stride": (2, 3), "padding": (1, 0), "output_padding": (1, 2)}),
            (((1, 4, 2, 3), (4, 2, 2, 2), (4,)), {"stride": 2, "groups": 2, "dilation": (1, 2)}),
            (((1, 2, 3, 2), (2, 1, 2, 2)), {"output_padding": (1, 2), "dilation": (2, 3)}),
            (((2, 3, 3), (2, 2, 3, 3)), {"padding": 2, "stride": 2}),
            (((0, 2, 3, 3), (2, 2, 3, 3)), {}),
        ),
        lambda t, *a, **k: t.nn.functional.conv_transpose2d(*a, **k),
        bad=[
            (lambda: ops.conv_transpose2d(ones(1, 4, 2, 2), ones(3, 2, 2, 2)), ValueError, "with 3 channels, got 4"),
            (lambda: ops.conv_transpose2d(ones(1, 3, 2, 2), ones(3, 2, 2, 2), groups=2), ValueError, "divide 3 channels"),
            (
                lambda: ops.conv_transpose2d(ones(1, 3, 2, 2), ones(3, 2, 2, 2), output_padding=1),
                ValueError,
                "output_padding less than the stride or the dilation, got 1",
            ),
            (lambda: ops.conv_transpose2d(ones(1, 3, 1, 1), ones(3, 2, 1, 1), padding=1), ValueError, "output with elements"),
            (lambda: ops.conv_transpose2d(ones(1, 3, 1, 1), ones(3, 2, 1, 1), ones(3)), ValueError, r"bias of shape \(2,\)"),
        ],
        without=NO_0D,
    ),
]
