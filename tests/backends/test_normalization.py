"""The CPU's normalization kernels against the generic ones, over shapes, memory orders and blocks of any size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.backends import backend_for
from minigrad.backends.base import Backend
from minigrad.backends.cpu import normalization
from tests.floats import FLOATS

cpu, _ = backend_for("cpu")
LAYOUTS = ("channels last", "channels first", "gaps")
TOLERANCES = {"float64": 1e-11, "float32": 2e-5, "float16": 2e-2, "bfloat16": 5e-2}


def in_layout(array, layout):
    if layout == "channels last":
        return np.moveaxis(np.moveaxis(array, 1, -1).copy(), -1, 1)
    if layout == "gaps":
        spread = np.full([2 * n for n in array.shape], np.nan, array.dtype)
        spread[(slice(None, None, 2),) * array.ndim] = array
        return spread[(slice(None, None, 2),) * array.ndim]
    return array.copy()


def compare(name, arguments, dtype):
    """The CPU's result, after comparing it with the generic one."""
    arrays = [a for a in arguments if isinstance(a, np.ndarray)]
    before = [a.copy() for a in arrays]
    actual, expected = getattr(cpu, name)(*arguments), getattr(Backend, name)(cpu, *arguments)
    both = zip(actual, expected, strict=True) if isinstance(actual, tuple) else [(actual, expected)]
    for a, e in both:
        if e is None:
            assert a is None
            continue
        assert (a.dtype, a.shape) == (e.dtype, e.shape)
        scale = np.abs(e).max(initial=1)
        np.testing.assert_allclose(a, e, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype] * scale, err_msg=name)
    for a, b in zip(arrays, before):
        np.testing.assert_array_equal(a, b, err_msg=f"{name} changed an input")
    return actual


def check(shape, layout, grad_layout, affine, dtype):
    random = np.random.default_rng(0)
    C, ndim = shape[1], len(shape)

    def draw(*size):
        return random.standard_normal(size).astype(dtype)

    x, grad = in_layout(draw(*shape) * 3 + 2, layout), in_layout(draw(*shape), grad_layout)
    weight = draw(1, C, *(1,) * (ndim - 2)) if affine else None
    bias = draw(1, C, *(1,) * (ndim - 2)) if affine == "both" else None
    axes = (0, *range(2, ndim))
    with np.errstate(all="ignore"):
        mean, var = compare("moments", (x, axes), dtype)
        y = compare("normalize", (x, mean, var, weight, bias, 0.1), dtype)
        positive = compare("normalize", (x, mean, var, weight, bias, 0.1, True), dtype)
        compare("normalize_grad", (grad, x, axes, weight, mean, var, 0.1), dtype)
        compare("normalize_grad", (grad, x, axes, weight, mean, var, 0.1, positive), dtype)
    np.testing.assert_array_equal(positive, np.maximum(y, 0))
    for other in (grad, in_layout(grad, layout)):
        total = compare("normalize", (x, mean, var, weight, bias, 0.1, True, other), dtype)
        np.testing.assert_array_equal(total, np.maximum(y + other, 0))
    scale, shift = draw(1, C, *(1,) * (ndim - 2)), draw(1, C, *(1,) * (ndim - 2))
    moved = compare("scale_and_shift", (x, scale, shift), dtype)
    np.testing.assert_array_equal(compare("scale_and_shift", (x, scale, shift, True), dtype), np.maximum(moved, 0))
    if layout == "channels last":
        for result in (y, moved):
            assert np.moveaxis(result, 1, -1).flags.c_contiguous, "channels last in, channels last out"


SHAPES = st.one_of(
    st.tuples(*[st.integers(1, 9)] * 2),
    st.tuples(*[st.integers(1, 7)] * 3),
    st.tuples(*[st.integers(1, 6)] * 4),
    st.sampled_from([(64, 3, 8, 8), (3, 1100, 2), (5, 64, 5, 5), (0, 3, 2)]),
)
ARGUMENTS = (SHAPES, st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS), st.sampled_from([None, "weight", "both"]))


@settings(deadline=None, max_examples=150)
@given(*ARGUMENTS, st.sampled_from(FLOATS))
def test_cpu_agrees_with_generic(shape, layout, grad_layout, affine, dtype):
    check(shape, layout, grad_layout, affine, dtype)


@settings(deadline=None, max_examples=60)
@given(*ARGUMENTS, st.sampled_from([1, 7, 100]), st.sampled_from([1, 16]))
def test_blocks_of_any_size(shape, layout, grad_layout, affine, block, width):
    before = normalization.BLOCK, normalization.LONG
    normalization.BLOCK, normalization.LONG = block, width
    try:
        check(shape, layout, grad_layout, affine, "float64")
    finally:
        normalization.BLOCK, normalization.LONG = before


@pytest.mark.parametrize("kernels", [cpu, Backend], ids=["cpu", "generic"])
def test_large_mean_does_not_swallow_the_variance(kernels):
    random = np.random.default_rng(0)
    x = np.float32(3000 + random.standard_normal((20000, 2)))
    mean, var = kernels.moments(*([cpu] if kernels is Backend else []), x, (0,))
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean[0], exact.mean(0), rtol=1e-5)
    np.testing.assert_allclose(var[0], exact.var(0), rtol=1e-2 if kernels is Backend else 1e-4)


def test_generic_over_any_axes():
    """Layer and group norm have only the generic kernels: their axes, and weights that vary along them."""
    random = np.random.default_rng(0)
    x, weight, bias = (random.standard_normal(shape) for shape in ((2, 3, 4, 5), (1, 1, 4, 5), (1, 1, 4, 5)))
    mean, var = cpu.moments(x, (2, 3))
    y = cpu.normalize(x, mean, var, weight, bias, 0.1)
    for n, c in np.ndindex(2, 3):
        plane = x[n, c]
        expected = (plane - plane.mean()) / np.sqrt(plane.var() + 0.1) * weight[0, 0] + bias[0, 0]
        np.testing.assert_allclose(y[n, c], expected, rtol=1e-12)
        assert mean[n, c, 0, 0] == pytest.approx(plane.mean())
        assert var[n, c, 0, 0] == pytest.approx(plane.var())


def test_track_statistics():
    running_mean, running_var = np.array([1.0, 2.0], np.float32), np.array([1.0, 4.0], np.float32)
    batches = np.array(6)
    cpu.track_statistics(running_mean, running_var, batches, np.array([[3.0, 0.0]]), np.array([[2.0, 1.0]]), 5, 0.25)
    assert batches == 7
    np.testing.assert_allclose(running_mean, [0.75 * 1 + 0.25 * 3, 0.75 * 2])
    np.testing.assert_allclose(running_var, [0.75 * 1 + 0.25 * 2.5, 0.75 * 4 + 0.25 * 1.25])
