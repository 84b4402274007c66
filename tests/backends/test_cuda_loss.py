"""CUDA's cross-entropy, on a stand-in for cupy that runs the kernels' text, against the generic one."""

import numpy as np
import pytest

import minigrad
from minigrad.backends import backend_for
from minigrad.backends.base import Backend
from minigrad.backends.cuda import loss as cuda_loss
from minigrad.backends.cuda.loss import CUDALossKernels
from minigrad.backends.cuda.rows import rows_and_threads
from minigrad.nn import functional as F
from tests.fake_cupy import FakeArray, fake_cupy
from tests.floats import FLOATS, REDUCED

cpu, _ = backend_for("cpu")
TOLERANCES = {"bfloat16": 8e-3, "float16": 2e-3, "float32": 2e-6, "float64": 1e-13}
CASES = {
    "plain": (False, None, 0.0),
    "nothing to ignore": (False, -100, 0.0),
    "weights": (True, -100, 0.0),
    "smoothing": (False, None, 0.1),
    "ignored": (False, 2, 0.0),
    "all of it": (True, 1, 0.25),
}


@pytest.fixture(scope="module")
def gpu():
    with fake_cupy():
        backend, _ = backend_for("cuda")
        assert isinstance(backend, CUDALossKernels)
        yield backend


def on_gpu(*values):
    return [FakeArray(value) if isinstance(value, np.ndarray) else value for value in values]


def widened(*values):
    """Short floats as float32, in which the generic kernels round less."""
    return [v.astype("float32") if isinstance(v, np.ndarray) and v.dtype.name in REDUCED else v for v in values]


def check(gpu, x, target, grad, weight, ignore_index, smoothing):
    tolerance = TOLERANCES[str(x.dtype)]
    rest = (target, weight, ignore_index, smoothing)
    losses, logsumexp = gpu.cross_entropy(*on_gpu(x, *rest))
    expected, expected_logsumexp = Backend.cross_entropy(cpu, *widened(x, *rest))
    assert losses.dtype == x.dtype and logsumexp.dtype == expected_logsumexp.dtype
    np.testing.assert_allclose(*widened(gpu.to_host(losses)), expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(gpu.to_host(logsumexp), expected_logsumexp, rtol=tolerance, atol=tolerance)
    found = gpu.cross_entropy_grad(*on_gpu(grad, x), logsumexp, *on_gpu(*rest))
    expected_grad = Backend.cross_entropy_grad(cpu, *widened(grad, x, expected_logsumexp, *rest))
    assert found.dtype == x.dtype
    np.testing.assert_allclose(*widened(gpu.to_host(found)), expected_grad, rtol=tolerance, atol=tolerance)
    mean, total = gpu.mean_of_losses(losses, *on_gpu(target, weight, ignore_index))
    assert mean.dtype == x.dtype and mean.shape == ()
    if not target.size:
        assert np.isnan(mean.item()) and total.item() == 0
        return
    expected_mean, expected_total = Backend.mean_of_losses(cpu, expected, target, *widened(weight), ignore_index)
    np.testing.assert_allclose(mean.item(), expected_mean, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(total.item(), expected_total, rtol=1e-6)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(7, 5), (1, 8), (0, 5), (3, 64), (9, 600), (3, 4096), (2, 5, 3), (2, 8, 3, 2)])
@pytest.mark.parametrize("case", CASES)
def test_equals_generic(gpu, case, shape, dtype):
    weighted, ignore_index, smoothing = CASES[case]
    random = np.random.default_rng(0)
    places, C = shape[:1] + shape[2:], shape[1]
    x = (10 * random.standard_normal((*places, C))).astype(dtype)
    x = np.moveaxis(x, -1, 1)  # the scores of a place lie next to each other
    target = random.integers(0, min(C, 5), places)
    weight = random.uniform(0.25, 3, C).astype(dtype) if weighted else None
    check(gpu, x, target, random.standard_normal(places).astype(dtype), weight, ignore_index, smoothing)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(6, 8), (2, 8, 3)])
def test_other_layouts(gpu, shape, dtype):
    random = np.random.default_rng(1)
    places, C = shape[:1] + shape[2:], shape[1]
    target, grad = random.integers(0, C, places), random.standard_normal(places).astype(dtype)
    x = random.standard_normal(shape).astype(dtype)
    memory = random.standard_normal(x.size + 1).astype(dtype)
    gaps = np.repeat(np.repeat(x, 2, axis=0), 2, axis=1)[::2, ::2]
    for scores in (x, np.asfortranarray(x), gaps, memory[1:].reshape(shape)):
        check(gpu, scores, target, grad, None, None, 0.0)
    spread = np.repeat(target, 2, axis=0)[::2]
    check(gpu, x, spread, np.broadcast_to(np.array(0.5, dtype), places), None, -100, 0.0)
    check(gpu, x, spread.astype("int32"), np.repeat(grad, 2, axis=0)[::2], None, 3, 0.1)


@pytest.mark.parametrize("C", [3, 8, 900, 2100])
def test_scores_without_bound(gpu, C):
    """As the generic kernel has it: -inf is a class that cannot be, inf and nan make nan."""
    random = np.random.default_rng(2)
    x = random.choice(np.array([0.0, 1.0, -1e30, 1e30, -np.inf]), (12, C))
    x[0] = -np.inf
    x[1, C // 2], x[2, C - 1] = np.inf, np.nan
    x[3, 1:], x[4, :-1] = -np.inf, -np.inf
    target = random.integers(0, C, 12)
    for dtype in ("float32", "float64"):
        check(gpu, x.astype(dtype), target, np.ones(12, dtype), None, None, 0.0)


@pytest.mark.parametrize("C", [5, 1000])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_classes_that_there_are_not_make_nan(gpu, C, weighted, smoothing):
    x = FakeArray(np.random.default_rng(0).standard_normal((5, C)).astype("float32"))
    target = FakeArray(np.array([0, C, -1, 1 << 40, C - 1]))
    weight = FakeArray(np.ones(C, "float32")) if weighted else None
    losses, logsumexp = gpu.cross_entropy(x, target, weight, None, smoothing)
    assert np.isnan(gpu.to_host(losses)).tolist() == [False, True, True, True, False]
    assert np.isfinite(gpu.to_host(logsumexp)).all()
    dx = gpu.cross_entropy_grad(FakeArray(np.ones(5, "float32")), x, logsumexp, target, weight, None, smoothing)
    assert np.isnan(gpu.to_host(dx)).all(axis=1).tolist() == [False, True, True, True, False]
    assert np.isnan(gpu.mean_of_losses(losses, target, weight, None)[0].item())


@pytest.mark.parametrize("size", [3, 5000, 1 << 18])
def test_means_of_any_number(gpu, size):
    random = np.random.default_rng(0)
    losses, target = random.uniform(0, 9, size).astype("float32"), random.integers(0, 4, size)
    weight = np.array([1, 2, 0.5, 0], "float32")
    mean, total = gpu.mean_of_losses(*on_gpu(losses, target, weight, 1))
    weights = np.where(target == 1, 0, weight[target]).astype("float64")
    assert total.item() == pytest.approx(weights.sum(), rel=1e-5)
    counted = (
        np.where(target == 1, 0, losses).sum(dtype="float64") if size <= cuda_loss.IN_ONE_BLOCK else losses.sum(dtype="f8")
    )
    assert mean.item() == pytest.approx(counted / weights.sum(), rel=1e-5)


def test_the_mean_of_nothing_is_nan(gpu):
    target = FakeArray(np.array([2, 2]))
    mean, total = gpu.mean_of_losses(FakeArray(np.zeros(2)), target, None, 2)
    assert np.isnan(mean.item()) and total.item() == 0


def test_rows_and_threads():
    for rows, items in ((1, 1), (7, 64), (256, 250), (256, 1000), (3, 50000), (0, 10)):
        grid, block = rows_and_threads(rows, items)
        assert grid[0] * block[1] >= rows and block[0] % 32 == 0 and block[0] * block[1] <= 1024
        assert block[1] == 1 or block[0] == 32


@pytest.mark.parametrize("arguments", [{}, {"ignore_index": 1}, {"label_smoothing": 0.1}, {"reduction": "sum"}])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_operation(gpu, arguments, weighted):
    """Values and first and second derivatives, as on the CPU."""
    random = np.random.default_rng(0)
    numbers, classes = random.standard_normal((6, 5)), random.integers(0, 5, 6)
    results = []
    for device in ("cpu", "cuda"):
        x = minigrad.tensor(numbers, device=device, requires_grad=True)
        weight = minigrad.tensor([1.0, 2, 3, 0.5, 1], dtype=minigrad.float64, device=device) if weighted else None
        loss = F.cross_entropy(x, minigrad.tensor(classes, device=device), weight, **arguments)
        (first,) = minigrad.autograd.grad(loss, x, create_graph=True)
        (second,) = minigrad.autograd.grad(first.square().sum(), x)
        results.append([t.numpy(force=True) for t in (loss, first, second)])
    for here, there in zip(*results):
        np.testing.assert_allclose(there, here, rtol=1e-12, atol=1e-14)


def test_the_mean_takes_few_kernels_and_no_waiting(gpu, monkeypatch):
    names, kernel = [], gpu.kernels
    monkeypatch.setattr(gpu, "kernels", lambda family, name, dtype: names.append(name) or kernel(family, name, dtype))
    monkeypatch.setattr(FakeArray, "item", None)
    x = minigrad.tensor(np.ones((4, 8), "float32"), device="cuda", requires_grad=True)
    loss = F.cross_entropy(x, minigrad.tensor([1, 2, 3, 7], device="cuda"))
    loss.backward()
    assert names == ["cross_entropy_packed", "mean_of_losses", "cross_entropy_grad_packed"]
