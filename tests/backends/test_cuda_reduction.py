"""Sums and means on CUDA against NumPy's in float64, over memory orders and axes; and how the blocks share them."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.backends.cuda import reduction
from minigrad.backends.cuda.compiler import Kernels
from minigrad.backends.cuda.reduction import Reductions, plan_of, view_of
from tests.fake_cupy import FakeArray, FakeCupy
from tests.floats import FLOATS, REDUCED

TOLERANCES = {"float64": 1e-12, "float32": 1e-5, "float16": 2e-3, "bfloat16": 8e-3}
cupy = FakeCupy()
reductions = Reductions(cupy, Kernels(cupy))


@pytest.fixture
def small_parts(monkeypatch):
    """Parts as small as can be, so that small arrays have many."""
    monkeypatch.setattr(reduction, "BLOCKS", 24)
    monkeypatch.setattr(reduction, "LEAST", 1)
    plan_of.cache_clear()
    yield
    plan_of.cache_clear()


def in_order(array, order):
    """The same values, with the axes in memory as an order says."""
    return np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))


def check(array, axes, keepdims, dtype=None):
    """Compare sum and mean with NumPy's; returns the sum."""
    tolerance = TOLERANCES[str(array.dtype)]
    for name in ("mean", "sum"):
        found = getattr(reductions, name)(FakeArray(array), axes, dtype=dtype, keepdims=keepdims)
        expected = getattr(np, name)(array.astype("float64"), axis=axes, keepdims=keepdims)
        assert (found.dtype, found.shape) == (dtype or array.dtype, np.shape(expected))
        # a random sum of n numbers near 1 is about the root of n, however little remains of it
        scale = max(np.abs(expected).max(initial=1), (array.size / max(np.size(expected), 1)) ** 0.5 if name == "sum" else 0)
        np.testing.assert_allclose(found._hidden, expected, rtol=tolerance, atol=tolerance * scale, err_msg=name)
    return found


@st.composite
def cases(draw):
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=5)))
    order = draw(st.permutations(range(len(shape))))
    axes = draw(st.sampled_from([c for k in range(len(shape) + 1) for c in itertools.combinations(range(len(shape)), k)]))
    return shape, tuple(order), draw(st.sampled_from([axes, None])), draw(st.booleans())


@settings(deadline=None, max_examples=150)
@given(cases(), st.sampled_from(FLOATS))
def test_any_dense_memory(case, dtype):
    shape, order, axes, keepdims = case
    array = in_order(np.random.default_rng(0).standard_normal(shape).astype(dtype), order)
    found = check(array, axes, keepdims)
    kept = [axis for axis in order if axes is not None and axis not in axes and shape[axis] > 1]
    if keepdims:
        strides = [found.strides[axis] for axis in kept]
        assert strides == sorted(strides, reverse=True), "what remains lies as it lay"


LARGE = [
    ((2000, 64), (0,)),  # columns in parts
    ((4096, 3), (0,)),  # rows joined to packs
    ((999, 10), (0,)),  # columns that do not fill packs
    ((3, 700, 12), (1,)),
    ((9001,), None),  # a row with a rest
    ((5, 1000), (1,)),
    ((6, 1001), (1,)),
    ((1000, 3), (1,)),
    ((6, 7, 33, 9), (0, 2, 3)),  # two runs of axes
]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("shape", "axes"), LARGE, ids=str)
def test_parts(small_parts, shape, axes, dtype):
    array = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    check(array, axes, False)
    check(in_order(array, (*range(len(shape)),)[::-1]), axes, True)


@pytest.mark.parametrize("dtype", FLOATS)
def test_memory_that_is_not_dense_or_not_aligned(dtype):
    array = np.random.default_rng(0).standard_normal((12, 20, 8)).astype(dtype)
    for view in (
        array[:, ::2],
        array[::-1],
        array[1:].reshape(-1)[1:881].reshape(11, 80),
        np.broadcast_to(array[:1], (5, 20, 8)),
    ):
        check(view, (0,), False)
        check(view, None, True)
        check(view, (-1,), False)


@pytest.mark.parametrize("dtype", REDUCED)
def test_short_floats_in_float32(dtype):
    """Their sum is rounded once: float16 has none so large, and adding up in bfloat16 would end at 16384."""
    array = np.full((400, 300), 60.0, dtype)
    with np.errstate(over="ignore"):
        assert reductions.sum(FakeArray(array)).item() == np.array(array.size * 60.0).astype(dtype)
    assert reductions.sum(FakeArray(array), dtype=np.float32).item() == array.size * 60
    assert reductions.mean(FakeArray(array)).item() == 60
    check(array[:5], (1,), False, np.dtype("float32"))


def test_infinities_and_nan():
    array = np.ones((3, 40), "float32")
    array[0, 7], array[1, 3], array[2, :2] = np.inf, np.nan, (np.inf, -np.inf)
    np.testing.assert_array_equal(reductions.sum(FakeArray(array), axis=1)._hidden, [np.inf, np.nan, np.nan])


def test_what_is_left_to_cupy(monkeypatch):
    asked = []
    for name in ("sum", "mean"):
        own = getattr(cupy._functions, name)
        monkeypatch.setattr(cupy, name, lambda *a, own=own, name=name, **k: asked.append(name) or own(*a, **k), raising=False)
    x = FakeArray(np.arange(6, dtype="float32").reshape(2, 3))
    out = cupy.empty((3,), dtype="float32")
    assert reductions.sum(x.astype("int32")).item() == 15
    assert reductions.sum(x, dtype="float64").dtype == "float64"
    assert reductions.sum(x, axis=0, out=out) is out
    assert reductions.sum(x, axis=()).shape == (2, 3)
    assert reductions.sum(x[:0], axis=0)._hidden.tolist() == [0, 0, 0]
    for axis in (2, -3, (0, 0), (0, 2)):
        with pytest.raises(ValueError):
            reductions.sum(x, axis=axis)
    assert asked == ["sum"] * 9
    assert reductions.mean(x.astype("int32")).item() == 2.5
    assert asked[9:] == ["mean"]
    reductions.sum(x, axis=-1)
    reductions.sum(x, axis=(0, -1), dtype="float32")
    assert len(asked) == 10


# --- how blocks share the work ---------------------------------------------------------------------------------------------


def channels_last(N, C, H, W, axes, itemsize=4):
    strides = (H * W * C * itemsize, itemsize, W * C * itemsize, C * itemsize)
    view = view_of((N, C, H, W), strides, itemsize, axes, False)
    return view.outer, view.length, view.inner


def test_views():
    assert channels_last(64, 32, 112, 112, (0, 2, 3)) == (1, 64 * 112 * 112, 32)
    assert channels_last(64, 512, 7, 7, (2, 3)) == (64, 49, 512)
    assert channels_last(64, 512, 7, 7, (0, 1, 2, 3)) == (1, 64 * 49 * 512, 1)
    assert channels_last(64, 512, 7, 7, (1,)) == (64 * 49, 512, 1)
    assert channels_last(64, 512, 1, 1, (0, 2, 3)) == (1, 64, 512)


@settings(deadline=None, max_examples=300)
@given(
    st.integers(1, 300),
    st.integers(1, 10**6),
    st.one_of(st.integers(1, 40), st.integers(1, 5000)),
    st.sampled_from([1, 2, 4, 8]),
    st.booleans(),
)
def test_plans_cover_all(outer, length, inner, items, parts):
    plan = plan_of(outer, length, inner, items, parts)
    x, y, z = plan.block
    assert x * y * z <= reduction.THREADS and z <= 64 and plan.grid[1] <= reduction.BLOCKS
    height = int(plan.sizes[-1])
    if inner == 1:
        assert x & (x - 1) == 0 and plan.grid[0] * y >= outer
        assert (plan.grid[1] - 1) * height < length <= plan.grid[1] * height
        assert "packed" not in plan.kernel or height % items == 0
    else:
        _, rows, width, tiles, _ = map(int, plan.sizes)
        assert y & (y - 1) == 0 and rows * width == length * inner
        assert tiles * x * (items if "packed" in plan.kernel else 1) >= width
        assert plan.grid[0] == -(-outer // z) * tiles
        assert (plan.grid[1] - 1) * height < rows <= plan.grid[1] * height
        assert "packed" not in plan.kernel or width % items == 0
    assert parts or plan.parts == 1


@pytest.mark.parametrize(
    ("outer", "length", "inner"), [(1, 64 * 112 * 112, 64), (64, 49, 2048), (1, 10**8, 1), (1, 64 * 56 * 56, 256)]
)
def test_large_sums_have_many_blocks(outer, length, inner):
    plan = plan_of(outer, length, inner, 4, True)
    assert plan.grid[0] * plan.grid[1] >= 264 and "packed" in plan.kernel
