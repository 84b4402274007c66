"""Adding at computed places on CUDA, on a stand-in for cupy that runs the kernels' text, against NumPy's own."""

import numpy as np
import pytest

import minigrad
from minigrad.backends import backend_for
from minigrad.backends.cuda.indexing import WINDOW, CUDAIndexingKernels
from minigrad.backends.generic.indexing import IndexingKernels
from minigrad.nn import functional as F
from tests.fake_cupy import FakeArray, fake_cupy
from tests.floats import FLOATS, REDUCED

TOLERANCE = {"float64": 1e-12, "float32": 1e-5, "float16": 2e-3, "bfloat16": 8e-3}


@pytest.fixture
def gpu():
    with fake_cupy():
        backend, _ = backend_for("cuda")
        assert isinstance(backend, CUDAIndexingKernels)
        yield backend


@pytest.fixture
def no_add_at(monkeypatch):
    """Adding must not go through CuPy's atomic additions."""

    def refuse(*_):
        raise AssertionError("add.at")

    monkeypatch.setattr(IndexingKernels, "index_add", refuse)


def check(gpu, target, index, values):
    wanted = target.astype("float64")
    np.add.at(wanted, index, values.astype("float64"))
    placed = FakeArray(target.copy(order="K"))
    kept = values.copy()
    gpu.index_add(placed, tuple(FakeArray(i) if isinstance(i, np.ndarray) else i for i in index), FakeArray(values))
    tolerance = TOLERANCE[str(target.dtype)]
    np.testing.assert_allclose(gpu.to_host(placed), wanted, rtol=tolerance, atol=tolerance * np.abs(wanted).max(initial=1))
    np.testing.assert_array_equal(values, kept)


COUNTS = [1, WINDOW - 1, WINDOW, WINDOW + 1, 5 * WINDOW, 300]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("columns", [1, 3, 8, 40])
@pytest.mark.parametrize("rows", [1, 2, 7, 100])
def test_rows(gpu, no_add_at, rows, columns, dtype):
    """Runs of any length: with one row, all of the index is one."""
    random = np.random.default_rng(0)
    for count in COUNTS:
        target = random.standard_normal((rows, columns)).astype(dtype)
        index = random.integers(-rows, rows, count)
        check(gpu, target, (index,), random.standard_normal((count, columns)).astype(dtype))


@pytest.mark.parametrize("lengths", [[16, 16, 16], [15, 34, 1, 62], [1] * 40, [64, 1, 64], [17, 15, 160, 8], [5, 33]])
def test_runs_that_end_with_windows_or_not(gpu, no_add_at, lengths):
    random = np.random.default_rng(0)
    index = random.permutation(np.repeat(np.arange(len(lengths)), lengths))
    check(gpu, np.zeros((len(lengths) + 1, 4)), (index,), random.standard_normal((len(index), 4)))


def test_shapes_of_the_index(gpu, no_add_at):
    random = np.random.default_rng(0)
    target = random.standard_normal((5, 4, 6))
    check(gpu, target, (random.integers(-5, 5, (3, 7)),), random.standard_normal((3, 7, 4, 6)))
    check(gpu, target, (random.integers(-5, 5, 9), slice(None)), random.standard_normal((9, 4, 6)))
    check(gpu, target, (random.integers(-5, 5, (3, 1)), random.integers(-4, 4, 8)), random.standard_normal((3, 8, 6)))
    check(gpu, target, tuple(random.integers(-n, n, (30, 2)) for n in target.shape), random.standard_normal((30, 2)))
    check(gpu, target, (random.integers(0, 5, 9).astype("int32"),), random.standard_normal((9, 4, 6)))
    check(gpu, target, (np.array(-2),), random.standard_normal((4, 6)))
    check(gpu, target, (random.integers(0, 5, 0),), np.zeros((0, 4, 6)))
    check(gpu, np.zeros((3, 0)), (np.array([1, 1]),), np.zeros((2, 0)))


def test_memory_of_any_order(gpu, no_add_at):
    random = np.random.default_rng(0)
    index = random.integers(0, 6, 40)
    values = random.standard_normal((8, 40)).T
    check(gpu, np.asfortranarray(random.standard_normal((6, 8))), (index,), values)
    check(gpu, random.standard_normal((6, 8)), (np.repeat(index, 2)[::2],), np.broadcast_to(np.arange(8.0), (40, 8)))
    memory = random.standard_normal(6 * 8 + 1).astype("float32")
    target = FakeArray(memory[1:].reshape(6, 8))
    gpu.index_add(target, (FakeArray(index),), FakeArray(values.astype("float32")))
    spread = FakeArray(np.zeros((6, 16)))[:, ::2]
    gpu.index_add(spread, (FakeArray(index),), FakeArray(values))
    wanted = np.zeros((6, 8))
    np.add.at(wanted, index, values)
    np.testing.assert_allclose(gpu.to_host(spread), wanted)


@pytest.mark.parametrize("dtype", REDUCED)
def test_short_floats_are_added_in_float32(gpu, no_add_at, dtype):
    target = FakeArray(np.zeros((2, 1), dtype))
    gpu.index_add(target, (FakeArray(np.zeros(4992, np.int64)),), FakeArray(np.ones((4992, 1), dtype)))
    assert gpu.to_host(target).tolist() == [[4992], [0]]


def test_others_go_to_the_generic_kernel(gpu):
    target = FakeArray(np.zeros((2, 3)))
    gpu.index_add(target, (slice(None), FakeArray(np.array([True, False, True]))), FakeArray(np.ones((2, 2))))
    gpu.index_add(target, (slice(None), FakeArray(np.array([2, -1, 2]))), FakeArray(np.ones((2, 3))))
    assert gpu.to_host(target).tolist() == [[1, 0, 4], [1, 0, 4]]
    numbers = FakeArray(np.zeros(3, np.int64))
    gpu.index_add(numbers, (FakeArray(np.array([1, 1])),), FakeArray(np.array([2, 3])))
    assert gpu.to_host(numbers).tolist() == [0, 5, 0]


def test_nobody_waits_for_an_index(gpu, monkeypatch):
    monkeypatch.setattr(FakeArray, "item", None)
    x = minigrad.tensor(np.arange(12.0).reshape(4, 3), device="cuda", requires_grad=True)
    index = minigrad.tensor([0, 2, 2], device="cuda")
    F.embedding(index, x).sum().backward()
    minigrad.index_select(x, 1, index)
    minigrad.index_add(x, 0, index, x[index])
    minigrad.gather(x, 0, minigrad.zeros(1, 3, dtype=minigrad.int64, device="cuda"))
    assert gpu.to_host(x.grad.array).tolist() == [[1] * 3, [0] * 3, [2] * 3, [0] * 3]


def test_negative_indices_count_from_the_end(gpu):
    """Everywhere: nobody looks at them, to refuse them where the CPU does."""
    numbers = np.random.default_rng(0).standard_normal((4, 3))
    there = minigrad.tensor(numbers, device="cuda", requires_grad=True)
    here = minigrad.tensor(numbers, requires_grad=True)
    back, front = [-1, 0, -3, -1], [3, 0, 1, 3]
    columns = [[-1, 0, -3], [-2, 2, 1]], [[2, 0, 0], [1, 2, 1]]

    def on(device, index):
        return minigrad.tensor(index, device=device)

    pairs = [
        (lambda x, i: x[i], (back, front)),
        (lambda x, i: x.index_select(0, i), (back, front)),
        (lambda x, i: F.embedding(i, x), (back, front)),
        (lambda x, i: x.index_add(0, i, x * 2), (back, front)),
        (lambda x, i: x.index_fill(0, i, 5.0), (back, front)),
        (lambda x, i: x[i[0], i[1]], ([[-1, 0, -3], [-1, 1, 0]], [[3, 0, 1], [2, 1, 0]])),
        (lambda x, i: x.gather(1, i), columns),
        (lambda x, i: minigrad.take_along_dim(x[:2], i, 1), columns),
        (lambda x, i: x.scatter_add(1, i, x[2:] * 3), columns),
        (lambda x, i: x.scatter(1, i, 7.0), columns),
    ]
    for number, (function, (negative, positive)) in enumerate(pairs):
        results = function(there, on("cuda", negative)), function(here, on("cpu", positive))
        for result in results:
            (result * result).sum().backward()
        np.testing.assert_allclose(*(r.numpy(force=True) for r in results), rtol=1e-12, err_msg=str(number))
    np.testing.assert_allclose(there.grad.numpy(force=True), here.grad.numpy(), rtol=1e-12)


def test_setting_at_negative_indices(gpu):
    x = minigrad.zeros(4, 3, device="cuda")
    x[minigrad.tensor([-1, 0], device="cuda")] = 2.0
    x[:, minigrad.tensor([-3], device="cuda")] = 1.0
    assert x.tolist() == [[1, 2, 2], [1, 0, 0], [1, 0, 0], [1, 2, 2]]


def test_the_same_bits_every_time(gpu):
    random = np.random.default_rng(0)
    index, values = FakeArray(random.integers(0, 9, 4000)), FakeArray(random.standard_normal((4000, 5)).astype("float32"))
    results = []
    for _ in range(2):
        target = FakeArray(np.zeros((9, 5), "float32"))
        gpu.index_add(target, (index,), values)
        results.append(gpu.to_host(target).tobytes())
    assert results[0] == results[1]
