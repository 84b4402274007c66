"""What follows a convolution, in place: the same bits as one after the other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import minigrad
from minigrad.backends import backend_for
from minigrad.backends.cpu import finish
from minigrad.backends.generic.convolution import ConvolutionKernels as Generic

# input, weight, stride, padding, groups
CASES = [
    ((4, 64, 56, 56), (64, 64, 1, 1), 1, 0, 1),
    ((4, 96, 29, 30), (96, 96, 3, 3), 1, 1, 1),
    ((8, 3, 64, 64), (32, 3, 7, 7), 2, 3, 1),
    ((4, 64, 20, 20), (64, 4, 3, 3), 1, 1, 16),
    ((2, 128, 36, 36), (256, 64, 3, 3), 1, 1, 2),  # two groups, each a convolution by itself
    ((0, 8, 5, 5), (16, 8, 3, 3), 1, 1, 1),
]


def arguments(shape, weight, stride, padding, groups, dtype="float32", seed=0):
    """The kernel's arguments, and what may follow: a factor and a summand per channel, and an addend."""
    rng = np.random.default_rng(seed)
    make = lambda *size: rng.standard_normal(size).astype(dtype)  # noqa: E731
    x, w = make(*(shape[i] for i in (0, 2, 3, 1))).transpose(0, 3, 1, 2), make(*weight)
    geometry = (stride, stride), ((padding, padding), (padding, padding)), (1, 1), groups
    size = [(n + 2 * padding - k) // stride + 1 for n, k in zip(shape[2:], weight[2:])]
    channels = (1, weight[0], 1, 1)
    other = make(shape[0], *size, weight[0]).transpose(0, 3, 1, 2)
    return (x, w, make(weight[0]), *geometry), (make(*channels), make(*channels), other)


@pytest.mark.parametrize("case", CASES)
def test_the_same_bits_as_afterwards(case):
    cpu = backend_for("cpu")[0]
    given, (scale, shift, other) = arguments(*case)
    for bias, affine, addend, positive in itertools.product((given[2], None), (True, False), (other, None), (True, False)):
        x, w, _, *geometry = given
        expected = cpu.conv2d(x, w, bias, *geometry)
        assert expected.shape == other.shape
        if affine:
            expected = expected * scale + shift
        if addend is not None:
            expected = expected + addend
        if positive:
            expected = np.maximum(expected, 0)
        factors = (scale, shift) if affine else (None, None)
        y = cpu.conv2d_finished(x, w, bias, *geometry, *factors, positive, addend)
        np.testing.assert_array_equal(y, expected)
        assert y.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("lying", ["channels last", "channels first", "every second number"])
def test_other_dtypes_and_memory(dtype, lying):
    cpu = backend_for("cpu")[0]
    given, (scale, shift, other) = arguments((3, 5, 9, 8), (7, 5, 3, 3), 1, 1, 1)
    dtype = minigrad.tensor(0.0, dtype=dtype).dtype
    given = [a.astype(dtype) if isinstance(a, np.ndarray) else a for a in given]
    other = other.astype(dtype)
    if lying == "channels first":
        other = np.ascontiguousarray(other)
    elif lying == "every second number":
        other = np.repeat(other, 2, axis=3)[..., ::2]
    y = cpu.conv2d_finished(*given, scale, shift, True, other)
    assert y.dtype == dtype
    expected = Generic.conv2d_finished(cpu, *given, scale, shift, True, other)
    np.testing.assert_array_equal(y.astype(np.float64), expected.astype(np.float64))
    given[:3] = (a.astype(np.float64) for a in given[:3])
    exact = np.maximum(Generic.conv2d(cpu, *given) * scale + shift + other.astype(np.float64), 0)
    tolerance = {"float16": 2e-2, "bfloat16": 2e-1, "float64": 1e-12}[str(dtype)]
    np.testing.assert_allclose(y.astype(np.float64), exact, rtol=tolerance, atol=tolerance)


def test_values_for_numbers_instead_of_channels():
    """A factor that is not one per channel goes the plain way."""
    cpu = backend_for("cpu")[0]
    given, (scale, shift, other) = arguments((2, 3, 6, 6), (4, 3, 3, 3), 1, 0, 1)
    factors = np.random.default_rng(1).standard_normal((1, 4, 4, 4)).astype(np.float32)
    y = cpu.conv2d_finished(*given, factors, shift, False, other)
    np.testing.assert_array_equal(y, cpu.conv2d(*given) * factors + shift + other)


@pytest.mark.parametrize("block", [1, 100, 1 << 19])
def test_a_whole_result_in_parts(block, monkeypatch):
    monkeypatch.setattr(finish, "BLOCK", block)
    rng = np.random.default_rng(0)
    y, source, other = (rng.standard_normal((3, 7, 11, 5)) for _ in range(3))
    bias, scale, shift = rng.standard_normal((3, 5))
    finish.finish(y, source, bias=bias, scale=scale, shift=shift, other=other, positive=True)
    np.testing.assert_array_equal(y, np.maximum((source + bias) * scale + shift + other, 0))
    before = y.copy()
    finish.finish(y)
    np.testing.assert_array_equal(y, before)
    finish.finish(y, bias=bias)
    np.testing.assert_array_equal(y, before + bias)
