"""CUDA's normalization kernels against the generic ones in float64, over shapes, memory orders and dtypes of weights."""

from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from minigrad.backends.cuda import normalization
from minigrad.backends.cuda.compiler import Kernels
from minigrad.backends.cuda.normalization import CUDANormalizationKernels, plan_channels, plan_contiguous
from minigrad.backends.generic.normalization import NormalizationKernels
from minigrad.backends.generic.special import SpecialKernels
from tests import cuda_emulation
from tests.fake_cupy import FakeArray, FakeCupy, fake_cupy
from tests.floats import FLOATS

TOLERANCES = {"float64": 1e-11, "float32": 2e-5, "float16": 4e-3, "bfloat16": 3e-2}
WIDE = {"float64": "float64", "float32": "float32", "float16": "float32", "bfloat16": "float32"}
LAYOUTS = ("channels last", "channels first", "gaps", "not aligned")


class Generic(NormalizationKernels, SpecialKernels):
    xp = np
    quiet = nullcontext


class OnCUDA(CUDANormalizationKernels, SpecialKernels):
    quiet = nullcontext

    def __init__(self):
        self.xp = FakeCupy()
        self.launched = []
        kernels = Kernels(self.xp)

        def find(family, name, dtype):
            self.launched.append(name)
            return kernels(family, name, dtype)

        self.kernels = find


cuda, generic = OnCUDA(), Generic()


@pytest.fixture
def small_parts(monkeypatch):
    """Parts as small as can be, so that small arrays have many."""
    monkeypatch.setattr(normalization, "BLOCKS", 24)
    monkeypatch.setattr(normalization, "LEAST", 1)
    plan_channels.cache_clear()
    yield
    plan_channels.cache_clear()


def in_layout(array, layout):
    """The same values in another memory order."""
    if layout == "gaps":
        spread = np.full([2 * n for n in array.shape], np.nan, array.dtype)
        spread[(slice(None, None, 2),) * array.ndim] = array
        return spread[(slice(None, None, 2),) * array.ndim]
    if layout == "channels first":
        return array.copy()
    last = np.moveaxis(array, 1, -1)
    memory = np.empty(last.size + 1, array.dtype)[1 if layout == "not aligned" else 0 :][: last.size].reshape(last.shape)
    memory[...] = last
    return np.moveaxis(memory, -1, 1)


def compare(name, arguments, dtype):
    """The result on CUDA, after comparing it with the generic one of float64."""
    arrays = [a for a in arguments if isinstance(a, np.ndarray)]
    before = [a.copy() for a in arrays]
    found = getattr(cuda, name)(*(FakeArray(a) if isinstance(a, np.ndarray) else a for a in arguments))
    expected = getattr(generic, name)(*(a.astype("float64") if isinstance(a, np.ndarray) else a for a in arguments))
    alike = getattr(generic, name)(*arguments)
    if not isinstance(found, tuple):
        found, expected, alike = (found,), (expected,), (alike,)
    for a, e, like in zip(found, expected, alike, strict=True):
        if e is None:
            assert a is None
            continue
        assert (a.dtype, a.shape) == (like.dtype, like.shape)
        scale = np.abs(e).max(initial=1)
        np.testing.assert_allclose(a._hidden, e, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype] * scale, err_msg=name)
    for a, b in zip(arrays, before):
        np.testing.assert_array_equal(a, b, err_msg=f"{name} changed an input")
    return tuple(a if a is None else a._hidden for a in found)


def check_channels(shape, layout, other_layout, affine, dtype):
    random = np.random.default_rng(0)
    C, ndim = shape[1], len(shape)
    per_channel, axes = (1, C, *(1,) * (ndim - 2)), (0, *range(2, ndim))

    def draw(size, kind=dtype):
        return random.standard_normal(size).astype(kind)

    x, grad = in_layout(draw(shape) * 2 + 1, layout), in_layout(draw(shape), other_layout)
    kind = WIDE[dtype] if affine and "wide" in affine else dtype
    weight = draw(per_channel, kind) if affine else None
    bias = draw(per_channel, kind) if affine and "both" in affine else None
    with np.errstate(all="ignore"):
        mean, var = compare("moments", (x, axes), dtype)
        (y,) = compare("normalize", (x, mean, var, weight, bias, 0.1), dtype)
        (positive,) = compare("normalize", (x, mean, var, weight, bias, 0.1, True), dtype)
        np.testing.assert_array_equal(positive, np.maximum(y, 0))
        compare("normalize", (x, mean, var, weight, bias, 0.1, True, grad), dtype)
        compare("normalize_grad", (grad, x, axes, weight, mean, var, 0.1), dtype)
        for output in (positive, in_layout(positive, other_layout)):
            compare("normalize_grad", (grad, x, axes, weight, mean, var, 0.1, output), dtype)
        scale, shift = draw(per_channel, kind), draw(per_channel, kind)
        (moved,) = compare("scale_and_shift", (x, scale, shift), dtype)
        compare("scale_and_shift", (x, scale, shift, True, grad), dtype)
    if layout in ("channels last", "not aligned") and x.size:
        for result in (y, moved):
            assert np.moveaxis(result, 1, -1).flags.c_contiguous, "channels last in, channels last out"


SHAPES = st.one_of(
    st.tuples(*[st.integers(1, 9)] * 2),
    st.tuples(*[st.integers(1, 7)] * 3),
    st.tuples(*[st.integers(1, 6)] * 4),
    st.sampled_from([(16, 3, 8, 8), (3, 300, 2), (5, 64, 5, 5), (2, 12, 9, 9), (0, 3, 2), (70, 16)]),
)
LAYOUT = st.sampled_from(LAYOUTS)
AFFINE = st.sampled_from([None, "weight", "both", "both, wide"])
DTYPES = st.sampled_from(FLOATS)


@settings(deadline=None, max_examples=60)
@given(SHAPES, LAYOUT, LAYOUT, AFFINE, DTYPES)
def test_per_channel(shape, layout, other_layout, affine, dtype):
    check_channels(shape, layout, other_layout, affine, dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(16, 3, 8, 8), (7, 64, 9, 9), (300, 20), (33, 5, 7), (2, 1200, 12)], ids=str)
def test_parts(small_parts, shape, dtype):
    check_channels(shape, "channels last", "channels first", "both", dtype)


@settings(deadline=None, max_examples=60)
@given(
    st.one_of(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.sampled_from([(3, 4, 64), (300, 16), (2, 1030), (0, 4)])),
    st.integers(0, 3),
    st.sampled_from(["contiguous", "gaps", "not aligned"]),
    AFFINE,
    DTYPES,
)
def test_per_row(shape, leading, layout, affine, dtype):
    random = np.random.default_rng(0)
    shape, leading = tuple(shape), min(leading, len(shape) - 1)
    axes, of_row = tuple(range(leading, len(shape))), (1,) * leading + shape[leading:]

    def draw(size, kind=dtype):
        return random.standard_normal(size).astype(kind)

    x, grad, other = draw(shape) * 2 + 1, draw(shape), np.asfortranarray(draw(shape))
    if layout == "gaps":
        x = in_layout(x, "gaps")
    if layout == "not aligned":
        grad = np.append(draw(1), grad)[1:].reshape(shape)
    kind = WIDE[dtype] if affine and "wide" in affine else dtype
    weight = draw(of_row, kind) if affine else None
    bias = draw(of_row, kind) if affine and "both" in affine else None
    with np.errstate(all="ignore"):
        mean, var = compare("moments", (x, axes), dtype)
        (y,) = compare("normalize", (x, mean, var, weight, bias, 0.1, True), dtype)
        compare("normalize", (x, mean, var, weight, bias, 0.1, False, other), dtype)
        compare("normalize_grad", (grad, x, axes, weight, mean, var, 0.1), dtype)
        compare("normalize_grad", (grad, x, axes, weight, mean, var, 0.1, np.asfortranarray(y)), dtype)


def test_other_axes_and_weights():
    """Group norm's: the statistics of rows, but a weight per channel, or axes that do not lie together."""
    random = np.random.default_rng(0)
    x, grad = (random.standard_normal((2, 3, 4, 5, 6)).astype("float32") for _ in range(2))
    weight = random.standard_normal((1, 3, 4, 1, 1)).astype("float32")
    for layout in ("channels first", "channels last"):
        grouped = in_layout(x.reshape(2, 12, 5, 6), layout).reshape(2, 3, 4, 5, 6)
        mean, var = compare("moments", (grouped, (2, 3, 4)), "float32")
        compare("normalize", (grouped, mean, var, weight, weight, 0.1), "float32")
        compare("normalize_grad", (grad, grouped, (2, 3, 4), weight, mean, var, 0.1), "float32")


@pytest.mark.parametrize("shape", [(64, 8, 30, 30), (3000, 5), (64, 3, 30, 30)], ids=str)
@pytest.mark.parametrize("first", ["like the others", "far away"])
def test_large_mean_does_not_swallow_the_variance(small_parts, shape, first):
    x = np.float32(100 + np.random.default_rng(0).standard_normal(shape))
    if first == "far away":
        x[0] = 0
    x = in_layout(x, "channels last")
    axes = (0, *range(2, x.ndim))
    mean, var = cuda.moments(FakeArray(x), axes)
    exact = x.astype("float64")
    np.testing.assert_allclose(mean._hidden, exact.mean(axes, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(var._hidden, exact.var(axes, keepdims=True), rtol=1e-5)
    mean, var = cuda.moments(FakeArray(np.ascontiguousarray(x.reshape(len(x), -1))), (1,))
    flat = exact.reshape(len(x), -1)
    np.testing.assert_allclose(var._hidden, flat.var(1, keepdims=True), rtol=1e-5)


def test_nan_stays_and_a_masked_gradient_is_zero():
    x = np.ones((4, 8, 2, 2), "float32")
    x[0, 1, 0, 0] = np.nan
    x = in_layout(x, "channels last")
    scale = FakeArray(np.ones((1, 8, 1, 1), "float32"))
    y = cuda.scale_and_shift(FakeArray(x), scale, scale, True)._hidden
    np.testing.assert_array_equal(np.isnan(y), np.isnan(x))
    grad, output = np.full(x.shape, np.nan, "float32"), np.zeros(x.shape, "float32")
    x = in_layout(np.random.default_rng(0).standard_normal(x.shape).astype("float32"), "channels last")
    mean, var = cuda.moments(FakeArray(x), (0, 2, 3))
    found = cuda.normalize_grad(FakeArray(grad), FakeArray(x), (0, 2, 3), scale, mean, var, 1e-5, FakeArray(output))
    assert all(not a._hidden.any() for a in found)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("C", [1, 5, 300])
def test_running_statistics(C, dtype):
    random = np.random.default_rng(0)
    running = [random.random(C).astype(dtype) + 1 for _ in range(2)]
    new = [random.random((1, C, 1, 1)).astype(WIDE[dtype]) for _ in range(2)]
    exact = [a.astype("float64") for a in running]
    held = [FakeArray(a) for a in running]
    batches = FakeArray(np.array(2**40))
    cuda.track_statistics(*held, batches, *map(FakeArray, new), 20, 0.3)
    generic.track_statistics(*exact, None, *(a.astype("float64") for a in new), 20, 0.3)
    assert batches.item() == 2**40 + 1
    for a, e in zip(held, exact):
        assert a.dtype == dtype
        np.testing.assert_allclose(a._hidden, e, rtol=TOLERANCES[dtype])
    for kind in (None, dtype, WIDE[dtype]):
        weight = None if kind is None else random.standard_normal(C).astype(kind)
        found = cuda.running_affine(*held, *([None, None] if kind is None else [FakeArray(weight)] * 2), 1e-5)
        wide = None if kind is None else weight.astype("float64")
        expected = generic.running_affine(*(a._hidden.astype("float64") for a in held), wide, wide, 1e-5)
        for a, e in zip(found, expected):
            assert a.dtype == WIDE[dtype] and a.shape == (C,)
            np.testing.assert_allclose(a._hidden, e, rtol=TOLERANCES[WIDE[dtype]], atol=1e-6)


def test_running_statistics_of_another_dtype():
    held = [FakeArray(np.ones(3, "float32")) for _ in range(2)]
    new = [FakeArray(np.full((1, 3), 2.0)) for _ in range(2)]
    batches = FakeArray(np.array(0))
    cuda.track_statistics(*held, batches, *new, 1, 0.5)
    assert held[0]._hidden.tolist() == [1.5] * 3 and held[1].dtype == "float32" and batches.item() == 1


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_a_count_of_another_dtype(dtype):
    """As a state dict may have it: the kernel writes 8 bytes."""
    counts = np.zeros(2, dtype)
    held = [FakeArray(np.ones(3, "float32")) for _ in range(2)]
    batches = FakeArray(counts)[0:1].reshape(())
    cuda.track_statistics(*held, batches, *(FakeArray(np.ones((1, 3), "float32")) for _ in range(2)), 4, 0.5)
    assert counts.tolist() == [1, 0]


def test_how_many_kernels():
    x = FakeArray(in_layout(np.ones((4, 8, 3, 3), "float32"), "channels last"))
    weight = FakeArray(np.ones((1, 8, 1, 1), "float32"))
    cuda.launched.clear()
    mean, var = cuda.moments(x, (0, 2, 3))
    y = cuda.normalize(x, mean, var, weight, weight, 1e-5, True, x)
    assert len(cuda.launched) == 3
    cuda.normalize_grad(y, x, (0, 2, 3), weight, mean, var, 1e-5, y)
    assert len(cuda.launched) == 6
    cuda.scale_and_shift(
        x, *(a.reshape(1, 8, 1, 1) for a in cuda.running_affine(mean.reshape(8), var.reshape(8), None, None, 0))
    )
    cuda.track_statistics(mean.reshape(8), var.reshape(8), None, mean, var, 36, 0.1)
    assert len(cuda.launched) == 9
    assert not any("single" in name for name in cuda.launched)


def test_a_layer_copies_nothing(monkeypatch):
    """In training, its kernels are all that runs; neither weights nor gradients are copied first."""
    with fake_cupy() as cupy:
        x = minigrad.randn(4, 3, 3, 8, device="cuda").permute(0, 3, 1, 2)
        norm = minigrad.nn.BatchNorm2d(8).to("cuda")
        before = x * 1
        ran = []
        launch = cuda_emulation.Function.__call__
        monkeypatch.setattr(
            cuda_emulation.Function,
            "__call__",
            lambda kernel, *arguments, **rest: ran.append(kernel.name) or launch(kernel, *arguments, **rest),
        )
        for name in ("array", "ascontiguousarray", "add", "multiply"):
            function = getattr(cupy, name)
            monkeypatch.setattr(cupy, name, lambda *a, f=function, n=name, **k: ran.append(n) or f(*a, **k))
        y = minigrad.relu(norm(before))
        assert [name.removesuffix("_packed") for name in ran] == [
            *("channel_moments", "join_moments", "track_statistics", "normalize_channels")
        ]
        ran.clear()
        y.backward(minigrad.ones_like(y), inputs=[norm.weight, norm.bias])
        assert [name.removesuffix("_packed") for name in ran] == [
            *("channel_gradient_sums", "join_gradient_sums", "channel_gradient")
        ]
        assert norm.num_batches_tracked.item() == 1 and norm.weight.grad.shape == norm.bias.grad.shape == (8,)


@settings(deadline=None, max_examples=300)
@given(st.integers(1, 10**6), st.one_of(st.integers(1, 40), st.integers(1, 3000)), st.sampled_from([1, 2, 4, 8]))
def test_plans_cover_all(rows, C, items):
    plan = plan_channels(rows, C, items)
    count, width, channels = map(int, plan.matrix)
    items = items if plan.kind == "packed" else 1
    assert count * width == rows * C and width % C == 0 == width % items and channels == C
    assert plan.block[0] * plan.block[1] <= normalization.THREADS and plan.block[1] & (plan.block[1] - 1) == 0
    for (tiles, parts), height in (plan.sums, plan.maps):
        assert tiles * plan.block[0] * items >= width
        assert (parts - 1) * height < count <= parts * height
    assert plan.joining[0] * normalization.JOINING[0] >= C
    of_rows = plan_contiguous(rows, C, items)
    assert of_rows.grid[0] * of_rows.block[1] >= rows and of_rows.block[0] * of_rows.block[1] <= normalization.THREADS


@pytest.mark.parametrize(("N", "C", "side"), [(64, 64, 112), (64, 256, 56), (64, 512, 28), (64, 1024, 14), (64, 2048, 7)])
@pytest.mark.parametrize("items", [4, 8])
def test_resnets_layers_have_many_blocks(N, C, side, items):
    plan = plan_channels(N * side * side, C, items)
    for (tiles, parts), _ in (plan.sums, plan.maps):
        assert plan.kind == "packed" and tiles * parts >= 2 * 132
