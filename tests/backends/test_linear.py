"""Matrix products on the CPU against NumPy's, for operands of every number of dims, above and below the size that is cut."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.backends.cpu import CPUBackend

OPERANDS = [
    ((3,), (3,)),
    ((181,), (181,)),
    ((182,), (182,)),
    ((100_000,), (100_000,)),
    ((300,), (300, 200)),
    ((200, 300), (300,)),
    ((300,), (2, 300, 100)),
    ((2, 100, 300), (300,)),
    ((2, 100, 300), (300, 50)),
    ((100, 300), (2, 300, 50)),
    ((2, 100, 300), (2, 300, 50)),
    ((3, 2, 100, 300), (3, 2, 300, 50)),
    ((2, 100, 300), (1, 300, 50)),
    ((3, 1, 100, 300), (2, 300, 50)),
]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("a", "b"), OPERANDS)
def test_matmul(a, b, dtype):
    rng = np.random.default_rng(0)
    left, right = (rng.uniform(-1, 1, shape).astype(dtype) for shape in (a, b))
    expected = np.matmul(left.astype(np.float64), right.astype(np.float64))
    product = CPUBackend().matmul(left, right)
    assert product.shape == expected.shape
    assert product.dtype == dtype
    np.testing.assert_allclose(product, expected, rtol=0, atol=32 * np.finfo(dtype).eps * max(1, np.abs(expected).max()))
