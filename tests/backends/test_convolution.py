"""The CPU's convolution kernels against the generic ones, over the geometries that they have special ways for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad.cpu
from minigrad.backends import backend_for
from minigrad.backends.base import Backend
from minigrad.backends.cpu import plan, windows
from minigrad.backends.generic.windows import count
from tests.floats import FLOATS

cpu, _ = backend_for("cpu")
GENERIC = {name: getattr(Backend, name) for name in ("conv2d", "conv2d_input_grad", "conv2d_weight_grad")}
LAYOUTS = ("channels last", "channels first", "gaps", "odd steps")


def in_layout(array, layout):
    """The same values of (N, C, H, W) in memory of another order."""
    if layout in ("channels last", "odd steps"):
        lying = array.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
        if layout == "odd steps":  # of a dim of one, whose step NumPy leaves as it happens to be
            steps = [step if n > 1 else 3 * array.itemsize for n, step in zip(lying.shape, lying.strides)]
            return np.lib.stride_tricks.as_strided(lying, strides=steps)
        return lying
    if layout == "gaps":
        spread = np.full([2 * n for n in array.shape], np.nan, array.dtype)
        spread[::2, ::2, ::2, ::2] = array
        return spread[::2, ::2, ::2, ::2]
    return array.copy()


def is_channels_last(array):
    N, C, H, W = array.shape
    return array.transpose(0, 2, 3, 1).flags.c_contiguous


@st.composite
def geometries(draw):
    """(input's shape, weight's shape, (stride, padding, dilation, groups)) of a convolution that has an output."""

    def pair(low, high):
        return st.tuples(st.integers(low, high), st.integers(low, high))

    groups = draw(st.sampled_from([1, 1, 2, 3]))
    per_group, outputs = draw(st.sampled_from([(1, 1), (1, 2), (2, 1), (3, 2), (4, 5)]))
    kernel, stride, dilation = draw(pair(1, 4)), draw(pair(1, 5)), draw(pair(1, 3))
    padding = draw(st.tuples(pair(-1, 4), pair(-1, 4)))
    size = []
    for i in range(2):
        least = dilation[i] * (kernel[i] - 1) + 1 - sum(padding[i])
        size.append(max(1, least + draw(st.integers(0, 5))))
    images = draw(st.integers(0, 3))
    return (images, groups * per_group, *size), (groups * outputs, per_group, *kernel), (stride, padding, dilation, groups)


def check(input_shape, weight_shape, geometry, layout, dtype="float64"):
    random = np.random.default_rng(0)
    stride, padding, dilation, groups = geometry
    OH, OW = (count(input_shape[2 + i], weight_shape[2 + i], stride[i], *padding[i], dilation[i]) for i in range(2))
    x, w, bias, dy = (
        random.standard_normal(shape).astype(dtype)
        for shape in (input_shape, weight_shape, weight_shape[:1], (input_shape[0], weight_shape[0], OH, OW))
    )
    x, dy = in_layout(x, layout), in_layout(dy, layout)
    calls = {
        "conv2d": [(x, w, None), (x, w, bias)],
        "conv2d_input_grad": [(dy, w, input_shape)],
        "conv2d_weight_grad": [(dy, x, weight_shape)],
    }
    tolerance = {"float64": 1e-12, "float32": 1e-4, "float16": 2e-2, "bfloat16": 4e-2}[dtype]
    for name, arguments in calls.items():
        for before in arguments:
            kept = [np.array(a) for a in before]
            actual = getattr(cpu, name)(*before, *geometry)
            expected = GENERIC[name](cpu, *before, *geometry)
            assert actual.dtype == expected.dtype == dtype
            scale = np.abs(expected).max(initial=1)
            np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * scale, err_msg=name)
            for a, b in zip(before, kept):
                np.testing.assert_array_equal(a, b, err_msg=f"{name} changed an input")
            for result in (actual, expected):
                if name == "conv2d_weight_grad":
                    assert result.flags.c_contiguous and cpu.owns_memory(result)
                else:
                    assert is_channels_last(result), name


@settings(deadline=None, max_examples=150)
@given(geometries(), st.sampled_from(LAYOUTS))
def test_cpu_agrees_with_generic(geometry, layout):
    check(*geometry, layout)


@settings(deadline=None, max_examples=60)
@given(geometries(), st.sampled_from([1, 100, 1000]))
def test_blocks_of_any_size(geometry, block):
    before, windows.BLOCK = windows.BLOCK, block
    try:
        check(*geometry, "channels last")
    finally:
        windows.BLOCK = before


NO_PADDING = ((0, 0), (0, 0))
ONE = (1, 1)
NAMED = {
    "3 x 3": ((2, 8, 9, 7), (6, 8, 3, 3), (ONE, ((1, 1), (1, 1)), ONE, 1)),
    "pointwise": ((2, 8, 5, 6), (4, 8, 1, 1), (ONE, NO_PADDING, ONE, 1)),
    "pointwise with a stride": ((2, 8, 5, 6), (4, 8, 1, 1), ((2, 2), NO_PADDING, ONE, 1)),
    "one pixel with a stride": ((2, 8, 1, 1), (4, 8, 1, 1), ((2, 2), NO_PADDING, ONE, 1)),
    "one column": ((2, 8, 9, 1), (4, 8, 3, 1), (ONE, NO_PADDING, ONE, 1)),
    "one column, many rows": ((8, 48, 400, 1), (8, 48, 3, 1), (ONE, NO_PADDING, ONE, 1)),
    "one row": ((2, 8, 1, 9), (4, 8, 1, 3), (ONE, NO_PADDING, ONE, 1)),
    "one channel to many": ((2, 1, 9, 8), (40, 1, 3, 3), (ONE, ((1, 1), (1, 1)), ONE, 1)),
    "one channel to many, with a stride": ((2, 1, 9, 8), (33, 1, 2, 5), ((2, 2), ((0, 1), (2, 2)), (2, 1), 1)),
    "stem": ((1, 3, 23, 21), (8, 3, 7, 7), ((2, 2), ((3, 3), (3, 3)), ONE, 1)),
    "depthwise": ((2, 8, 9, 7), (8, 1, 3, 3), (ONE, ((1, 1), (1, 1)), ONE, 8)),
    "depthwise with a stride": ((2, 8, 9, 7), (8, 1, 3, 3), ((2, 1), ((1, 0), (2, 1)), (1, 2), 8)),
    "depthwise, two filters each": ((2, 4, 9, 7), (8, 1, 3, 3), ((2, 2), ((1, 1), (1, 1)), ONE, 4)),
    "groups": ((2, 8, 9, 7), (12, 2, 3, 3), (ONE, ((1, 1), (1, 1)), ONE, 4)),
    "groups with a stride": ((3, 8, 9, 7), (12, 2, 3, 2), ((2, 3), ((1, 0), (2, 1)), ONE, 4)),
    "groups with a stride, of pixels that no tap meets": ((2, 6, 7, 8), (9, 2, 2, 2), ((3, 3), NO_PADDING, (2, 1), 3)),
    "same, of an even kernel": ((2, 3, 5, 6), (4, 3, 4, 2), (ONE, ((1, 2), (0, 1)), ONE, 1)),
    "stride larger than the kernel": ((2, 3, 11, 12), (4, 3, 2, 2), ((3, 4), NO_PADDING, ONE, 1)),
    "more padding than kernel": ((2, 3, 4, 4), (4, 3, 2, 2), (ONE, ((4, 3), (3, 5)), ONE, 1)),
    "no images": ((0, 3, 4, 4), (4, 3, 2, 2), ((2, 2), ((1, 1), (1, 1)), ONE, 1)),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", NAMED)
def test_named_geometries(name, layout, dtype):
    check(*NAMED[name], layout, dtype)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_stride_far_beyond_the_image_costs_nothing(groups):
    x = minigrad.ones(1, 2 * groups, 4, 4, requires_grad=True)
    minigrad.nn.functional.conv2d(x, minigrad.ones(groups, 2, 3, 3), stride=10**9, groups=groups).sum().backward()
    expected = np.zeros((4, 4))
    expected[:3, :3] = 1
    np.testing.assert_array_equal(x.grad.numpy()[0], [expected] * 2 * groups)


def test_the_plan_of_an_input_gradient_is_that_of_the_first_phase_there_is():
    def way(x, w, **options):
        return minigrad.cpu.conv_plan(x, w, **options).input_grad

    around = {"stride": (2, 2), "padding": ((1, 1), (1, 1))}
    assert way((3, 4, 16, 16), (8, 4, 3, 3), dilation=(2, 2), **around) == "windows"  # elements 1, 3, … only
    assert way((3, 4, 16, 16), (8, 4, 1, 1), **around) == "windows"
    assert way((3, 4, 1, 1), (8, 4, 1, 1), **around) == "windows"  # the windows lie over the padding


def test_generic_agrees_with_the_definition():
    """The generic kernel is the oracle of the others: so it is held against the sum itself, tap by tap."""
    random = np.random.default_rng(0)
    x, w = random.standard_normal((2, 6, 7, 8)), random.standard_normal((4, 3, 2, 3))
    (SH, SW), (DH, DW) = stride, dilation = (2, 1), (1, 2)
    y = GENERIC["conv2d"](cpu, x, w, None, stride, ((1, 0), (2, 1)), dilation, 2)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 0), (2, 1)))
    for n, o, i, j in np.ndindex(y.shape):
        group = 3 * (o // 2)
        window = padded[n, group : group + 3, i * SH : i * SH + DH + 1 : DH, j * SW : j * SW + 2 * DW + 1 : DW]
        assert y[n, o, i, j] == pytest.approx((window * w[o]).sum(), rel=1e-12)


def test_gradients_are_adjoint():
    """<conv(x, w), dy> = <x, input gradient> = <w, weight gradient>: what makes the triangle close."""
    random = np.random.default_rng(0)
    geometry = ((2, 3), ((1, 2), (0, 1)), (2, 1), 2)
    x, w = random.standard_normal((2, 4, 9, 10)), random.standard_normal((6, 2, 3, 2))
    y = GENERIC["conv2d"](cpu, x, w, None, *geometry)
    dy = random.standard_normal(y.shape)
    dx = GENERIC["conv2d_input_grad"](cpu, dy, w, x.shape, *geometry)
    dw = GENERIC["conv2d_weight_grad"](cpu, dy, x, w.shape, *geometry)
    expected = pytest.approx((y * dy).sum(), rel=1e-12)
    assert (x * dx).sum() == expected
    assert (w * dw).sum() == expected


def test_pixels_within_a_stride_are_found_at_once_for_few_channels():
    def way(x, w, **options):
        return minigrad.cpu.conv_plan(x, w, **options).input_grad

    around = {"stride": (2, 2), "padding": ((1, 1), (1, 1))}
    assert way((128, 16, 32, 32), (32, 16, 3, 3), **around) == "strides"
    assert way((8, 64, 56, 56), (128, 64, 3, 3), **around) == "pointwise"  # the phase that the middle tap meets
    assert way((8, 16, 56, 56), (32, 16, 1, 1), stride=(2, 2)) == "pointwise"  # most weights would be zeros
    assert way((8, 256, 32, 32), (256, 64, 3, 3), groups=4, **around) == "strides"
    assert way((8, 16, 32, 32), (32, 4, 1, 1), groups=4, stride=(2, 2)) == "groups"
    assert way((8, 16, 32, 32), (16, 1, 3, 3), groups=16, **around) == "depthwise"


@pytest.mark.parametrize("stride", [1, 2])
def test_wide_groups_are_convolutions_by_themselves(monkeypatch, stride):
    shapes = (8, 384, 28, 28), (384, 192, 3, 3)
    assert set(minigrad.cpu.conv_plan(*shapes, padding=((1, 1), (1, 1)), groups=2)) == {"winograd"}
    many, narrow = ((16, 1024, 14, 14), (1024, 64, 3, 3)), ((256, 128, 56, 56), (128, 4, 3, 3))
    assert set(minigrad.cpu.conv_plan(*many, padding=((1, 1), (1, 1)), groups=16)) == {"groups"}
    assert set(minigrad.cpu.conv_plan(*narrow, padding=((1, 1), (1, 1)), groups=32)) == {"groups"}
    monkeypatch.setattr(plan, "APART", 1)
    monkeypatch.setattr(plan, "APART_CHANNELS", 1)
    check((2, 6, 9, 8), (9, 2, 3, 2), ((stride, stride), ((1, 0), (1, 1)), ONE, 3), "channels last", "float64")
