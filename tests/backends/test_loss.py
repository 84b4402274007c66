"""The CPU's cross-entropy against the generic one."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.backends import backend_for
from minigrad.backends.generic.loss import LossKernels
from tests.floats import FLOATS

cpu, _ = backend_for("cpu")
CASES = {
    "plain": (None, -100, 0.0),
    "weights": (np.array([0.5, 1.0, 2.0, 0.25, 3.0]), -100, 0.0),
    "smoothing": (None, -100, 0.1),
    "ignored": (None, 2, 0.0),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(7, 5), (1, 5), (0, 5), (3, 5, 2)])
@pytest.mark.parametrize("case", CASES)
def test_equals_generic(case, shape, dtype):
    weight, ignore_index, smoothing = CASES[case]
    rng = np.random.default_rng(0)
    x = (10 * rng.standard_normal(shape)).astype(dtype)
    places = shape[:1] + shape[2:]
    target, grad = rng.integers(0, 5, places), rng.standard_normal(places).astype(dtype)
    before = x.copy()
    rest = (target, weight, ignore_index, smoothing)
    tolerance = {"bfloat16": 1e-2, "float16": 2e-3, "float32": 1e-6, "float64": 1e-13}[dtype]
    losses, logsumexp = cpu.cross_entropy(x, *rest)
    expected, expected_logsumexp = LossKernels.cross_entropy(cpu, x, *rest)
    assert losses.dtype == expected.dtype and losses.shape == expected.shape
    np.testing.assert_allclose(losses, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(logsumexp, expected_logsumexp, rtol=tolerance)
    found = cpu.cross_entropy_grad(grad, x, logsumexp, *rest)
    expected = LossKernels.cross_entropy_grad(cpu, grad, x, logsumexp, *rest)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(x, before)


def test_scores_without_bound():
    x = np.array([[1e30, -1e30], [0.0, np.inf]])
    losses, _ = cpu.cross_entropy(x, np.array([1, 0]), None, -100, 0.0)
    assert losses[0] == 2e30 and np.isnan(losses[1])
