"""Matrix products on CUDA: how arrays are described to cuBLAS, on its stand-in, which checks what the library checks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

import minigrad as mg
from minigrad.backends import backend_for
from minigrad.backends.cuda.cublas import is_matrix
from minigrad.nn import functional as F
from tests.fake_cublas import FakeCublas, rounded_to_tf32
from tests.fake_cupy import fake_cupy
from tests.floats import FLOATS, REDUCED


@pytest.fixture(autouse=True)
def fake():
    with fake_cupy() as module:
        yield module


SHAPES = [
    ((3,), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3,)),
    ((2, 3), (3, 4)),
    ((1, 3), (3, 1)),
    ((5, 2, 3), (3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((2, 3), (5, 3, 4)),
    ((6, 1, 2, 3), (5, 3, 1)),
    ((2, 0), (0, 4)),
    ((0, 3), (3, 4)),
    ((0, 2, 3), (3, 4)),
    ((3,), (2, 3, 4)),
]


@pytest.mark.parametrize("dtype", [*FLOATS, "int64"])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_shapes(fake, shapes, dtype):
    random = np.random.default_rng(0)
    a, b = (random.integers(-8, 9, shape).astype(dtype) for shape in shapes)  # all products and sums are exact
    result = backend_for("cuda")[0].matmul(fake.asarray(a), fake.asarray(b))
    assert result.dtype == dtype
    np.testing.assert_array_equal(fake.asnumpy(result), a @ b)


def layouts(random, rows, columns):
    """Matrices with their rows or columns next to each other, with gaps, at odd places, or neither."""
    wide = random.normal(size=(20, 20))
    yield wide[:rows, :columns].copy()
    yield wide[:columns, :rows].copy().T
    yield wide[1 : rows + 1, 1 : columns + 1]
    yield wide.T[1 : rows + 1, 1 : columns + 1]
    yield wide[: 2 * rows : 2, :columns]
    yield wide[: 2 * rows : 2, : 2 * columns : 2]
    yield wide[:rows, :columns][::-1]
    yield np.broadcast_to(wide[:1, :columns], (rows, columns))
    yield np.broadcast_to(wide[:rows, :1], (rows, columns))


@pytest.mark.parametrize("sizes", [(3, 4, 5), (1, 4, 5), (3, 1, 5), (3, 4, 1), (1, 1, 1)])
def test_memory_orders(fake, sizes):
    backend = backend_for("cuda")[0]
    M, K, N = sizes
    random = np.random.default_rng(0)
    for a in layouts(random, M, K):
        for b in layouts(random, K, N):
            ours = backend.product(type(fake.asarray(a))(a), type(fake.asarray(b))(b))
            np.testing.assert_allclose(fake.asnumpy(ours), a @ b, rtol=1e-12, atol=1e-12)


@given(st.tuples(*[st.integers(1, 4)] * 2), st.tuples(*[st.integers(-3, 12)] * 2))
def test_what_is_read_as_a_matrix(shape, strides):
    """Whatever is_matrix takes has numbers of a row, or of a column, next to each other, and no number twice."""
    memory = np.arange(400.0)
    array = as_strided(memory[200:], shape, [8 * step for step in strides])
    if is_matrix(array):
        assert len(np.unique(array)) == array.size
        assert any(n == 1 or step == 1 for n, step in zip(shape, strides))
    elif min(shape) > 1:
        assert 1 not in strides or len(np.unique(array)) < array.size or min(strides) < 0 or strides in _OVERLAP(shape)


def _OVERLAP(shape):
    """Strides of rows that begin within the row before, although no number is met twice."""
    rows, columns = shape
    return {(1, step) for step in range(1, rows)} | {(step, 1) for step in range(1, columns)}


@pytest.mark.parametrize("dtype", REDUCED)
def test_into_an_array_and_added_to_it(fake, dtype):
    backend = backend_for("cuda")[0]
    random = np.random.default_rng(0)
    a, b, wide = (random.normal(size=shape).astype(dtype) for shape in ((3, 2, 4), (3, 4, 5), (2, 3, 8)))
    out = fake.asarray(wide).astype("float32").transpose(1, 0, 2)[:, :, 2:7]
    before = fake.asnumpy(out)
    backend.product(fake.asarray(a), fake.asarray(b), out, accumulate=True)
    np.testing.assert_allclose(fake.asnumpy(out), before + a.astype("float32") @ b.astype("float32"), rtol=1e-5)
    backend.product(fake.asarray(a), fake.asarray(b), out)
    np.testing.assert_allclose(fake.asnumpy(out), a.astype("float32") @ b.astype("float32"), rtol=1e-5)
    empty = fake.asarray(np.ones((2, 3)))
    backend.product(fake.asarray(np.ones((2, 0))), fake.asarray(np.ones((0, 3))), empty, accumulate=True)
    assert fake.asnumpy(empty).tolist() == np.ones((2, 3)).tolist()


def test_tf32(fake):
    random = np.random.default_rng(0)
    a, b = (random.normal(size=(8, 8)).astype("float32") for _ in range(2))
    x, y = mg.tensor(a, device="cuda"), mg.tensor(b, device="cuda")
    np.testing.assert_array_equal((x @ y).numpy(force=True), a @ b)
    mg.set_float32_matmul_precision("high")
    try:
        np.testing.assert_array_equal((x @ y).numpy(force=True), rounded_to_tf32(a) @ rounded_to_tf32(b))
        assert mg.get_float32_matmul_precision() == "high"
        np.testing.assert_array_equal((x.double() @ y.double()).numpy(force=True), a.astype("float64") @ b.astype("float64"))
    finally:
        mg.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("features", [1, 4, 7, 8])
def test_bias(dtype, features):
    random = np.random.default_rng(0)
    x, w, b = (random.integers(-4, 5, shape).astype(dtype) for shape in ((2, 3, 5), (features, 5), (features,)))
    y = F.linear(*(mg.tensor(a, device="cuda") for a in (x, w, b)))
    np.testing.assert_array_equal(y.numpy(force=True), x @ w.T + b)


def test_what_cublas_refuses_is_an_error(fake, monkeypatch):
    monkeypatch.setattr(FakeCublas, "cublasGemmStridedBatchedEx", lambda *arguments: 14)
    with pytest.raises(RuntimeError, match=r"cublasGemmStridedBatchedEx failed with status 14 \(shapes \(2, 3\) and \(3, 4\)"):
        mg.ones(2, 3, device="cuda") @ mg.ones(3, 4, device="cuda")


def test_a_workspace_for_every_stream(fake):
    cublas = backend_for("cuda")[0].cublas
    handle = cublas.handle()
    with fake.cuda.Stream(non_blocking=True):
        assert cublas.handle() is handle
        mg.ones(2, 3, device="cuda") @ mg.ones(3, 4, device="cuda")
    assert cublas.handle() is handle
    first, second = handle.workspaces.values()
    assert first.data.ptr != second.data.ptr


def test_a_workspace_to_keep(fake):
    cublas = backend_for("cuda")[0].cublas
    stream = fake.cuda.Stream(non_blocking=True)
    assert cublas.workspace(stream) is None
    with stream:
        mg.ones(2, 3, device="cuda") @ mg.ones(3, 4, device="cuda")
    assert cublas.workspace(stream).nbytes == 32 << 20
