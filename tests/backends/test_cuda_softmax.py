"""CUDA's softmax, on a stand-in for cupy that runs the kernels' text, against the generic one."""

import numpy as np
import pytest

import minigrad
from minigrad.backends import backend_for
from minigrad.backends.base import Backend
from minigrad.backends.cuda.softmax import CUDASoftmaxKernels, order_of_rows
from tests.fake_cupy import FakeArray, fake_cupy
from tests.floats import FLOATS, REDUCED

cpu, _ = backend_for("cpu")
TOLERANCES = {"bfloat16": 8e-3, "float16": 2e-3, "float32": 4e-6, "float64": 1e-13}


@pytest.fixture(scope="module")
def gpu():
    with fake_cupy():
        backend, _ = backend_for("cuda")
        assert isinstance(backend, CUDASoftmaxKernels)
        yield backend


def widened(array):
    """Short floats as float32, in which the generic kernels round less."""
    return array.astype("float32") if array.dtype.name in REDUCED else array


def check(gpu, x, grad, axis, logarithm):
    tolerance = TOLERANCES[str(x.dtype)]
    y = gpu.softmax(FakeArray(x), axis, logarithm)
    expected = Backend.softmax(cpu, widened(x), axis, logarithm)
    assert y.dtype == x.dtype and y.shape == x.shape
    np.testing.assert_allclose(widened(gpu.to_host(y)), expected, rtol=tolerance, atol=tolerance)
    dx = gpu.softmax_grad(FakeArray(grad), y, axis, logarithm)
    expected_grad = Backend.softmax_grad(cpu, widened(grad), widened(gpu.to_host(y)), axis, logarithm)
    assert dx.dtype == x.dtype and dx.shape == x.shape
    scale = max(1.0, float(np.abs(expected_grad).max(initial=0)))
    np.testing.assert_allclose(widened(gpu.to_host(dx)), expected_grad, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(7, 5), (1, 8), (5, 1), (3, 64), (9, 600), (3, 4096), (2, 3, 8, 33)])
@pytest.mark.parametrize("logarithm", [False, True])
def test_equals_generic(gpu, logarithm, shape, dtype):
    random = np.random.default_rng(0)
    x = (5 * random.standard_normal(shape)).astype(dtype)
    check(gpu, x, random.standard_normal(shape).astype(dtype), len(shape) - 1, logarithm)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("logarithm", [False, True])
def test_other_layouts(gpu, logarithm, axis):
    random = np.random.default_rng(1)
    x, grad = random.standard_normal((2, 4, 8, 16)).astype("float32")
    memory = random.standard_normal(x.size + 1).astype("float32")
    gaps = np.repeat(x, 2, axis=1)[:, ::2]
    for scores in (x, x.transpose(2, 1, 0).copy().transpose(2, 1, 0), np.moveaxis(x, 1, 2).copy().swapaxes(1, 2), gaps):
        for above in (grad, np.asfortranarray(grad), np.broadcast_to(grad[:1, :1], x.shape), memory[1:].reshape(x.shape)):
            check(gpu, scores, above, axis, logarithm)
    check(gpu, memory[1:].reshape(x.shape), grad, axis, logarithm)


def test_rows_that_lie_in_memory_as_they_are_wanted_are_not_copied():
    x = np.empty((2, 3, 4, 5))
    assert order_of_rows(x, 3) == (0, 1, 2, 3)
    assert order_of_rows(x.transpose(0, 3, 1, 2), 1) == (0, 2, 3, 1)  # channels last
    assert order_of_rows(x.transpose(1, 0, 2, 3), 3) == (1, 0, 2, 3)
    assert order_of_rows(x, 1) == (0, 2, 3, 1)


@pytest.mark.parametrize("C", [3, 8, 900, 2100])
@pytest.mark.parametrize("logarithm", [False, True])
def test_scores_without_bound(gpu, C, logarithm):
    random = np.random.default_rng(2)
    x = random.choice(np.array([0.0, 1.0, -1e30, 1e30, -np.inf]), (12, C))
    x[0] = -np.inf
    x[1, C // 2], x[2, C - 1] = np.inf, np.nan
    x[3, 1:], x[4, :-1] = -np.inf, -np.inf
    for dtype in ("float32", "float64"):
        y = gpu.softmax(FakeArray(x.astype(dtype)), 1, logarithm)
        np.testing.assert_allclose(gpu.to_host(y), Backend.softmax(cpu, x.astype(dtype), 1, logarithm), rtol=1e-5)


def test_nothing_and_single_scores(gpu):
    for shape in ((0, 3), (3, 0)):
        empty = FakeArray(np.empty(shape, "float32"))
        assert gpu.softmax(empty, 1, False).shape == gpu.softmax_grad(empty, empty, 1, True).shape == shape
    x = minigrad.tensor(2.0, device="cuda", requires_grad=True)
    minigrad.softmax(x, 0).backward()
    assert x.grad.item() == 0
