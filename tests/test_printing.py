"""How tensors print: what an ``ndarray`` of the same numbers shows, and what that cannot show."""

import numpy as np
import pytest

import minigrad as mg


@pytest.mark.parametrize("shape", [(1001,), (7, 200), (6, 300), (3, 400), (12, 12, 12), (2, 7, 7, 20), (2000, 1)])
def test_edges_of_a_large_tensor_print_as_numpy_prints_them(shape):
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    expected = np.array2string(values, separator=", ", precision=4, suppress_small=True, threshold=1000, prefix="tensor(")
    assert repr(mg.tensor(values)) == f"tensor({expected})"


def test_a_tensor_larger_than_memory_prints():
    printed = repr(mg.full((1,), 2.0, dtype=mg.float16).expand(10**6, 10**6))
    assert printed.startswith("tensor([[2., 2., 2., ..., 2., 2., 2.],\n")
    assert printed.endswith("dtype=float16)")


def test_a_number_that_is_not_shown_changes_nothing():
    values = mg.full((5000,), 100.0)
    values[0] = 0.001
    expected = repr(values)
    assert expected.startswith("tensor([  0.001, 100.   ,")
    values[2500] = 1e-6
    assert repr(values) == expected
    values[4999] = 1e-6
    assert "1.e-06" in repr(values)


@pytest.mark.parametrize("dtype", ["bool", "int64", "float32", "float64", "uint8"])
def test_dtype_is_told_where_no_number_shows_it(dtype):
    told = "" if dtype == "float32" else f", dtype={dtype}"
    assert repr(mg.zeros(0, dtype=dtype)) == f"tensor([]{told})"
    assert repr(mg.zeros(2, 0, dtype=dtype)) == f"tensor([], size=(2, 0){told})"
    assert repr(mg.zeros(2, dtype=dtype, device="meta")) == f"tensor(..., device='meta', size=(2,){told})"


@pytest.mark.parametrize("dtype", ["bool", "int64", "int8", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(0,), (2, 0)])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_empty_and_meta_tensors_print_as_in_torch(dtype, shape, device):
    torch = pytest.importorskip("torch")
    expected = repr(torch.zeros(shape, dtype=getattr(torch, dtype), device=device)).replace("torch.", "")
    assert repr(mg.zeros(shape, dtype=dtype, device=device)) == expected
