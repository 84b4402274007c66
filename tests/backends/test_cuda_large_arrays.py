"""Arrays of more than 2³¹ numbers on CUDA, as shapes without memory: what a kernel is given, or who computes it instead."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from minigrad.backends import backend_for
from minigrad.backends.base import Backend
from minigrad.backends.cuda import layout
from minigrad.backends.cuda.compiler import MOST_COUNTED, Kernel
from minigrad.backends.cuda.convolution import WORKSPACE, can_write_windows, geometry, images_at_once
from minigrad.backends.cuda.elementwise import Elementwise
from minigrad.backends.cuda.layout import MOST_LINES, can_turn, copy_rows, joined
from minigrad.backends.cuda.pooling import axes_over, can_pool
from tests.fake_cublas import FakeCublas
from tests.fake_cupy import FakeArray, fake_cupy

LARGE = 2**31 + 8
NO_PADDING = ((0, 0), (0, 0))


class Noted:
    """Kernels that are asked for, and not launched."""

    def __init__(self):
        self.launches = []

    def __call__(self, family, name, dtype):
        def note(grid, block, arguments, shared_mem):
            self.launches.append((name, [x for x in arguments if isinstance(x, np.integer)]))

        return Kernel(note, np.float32)


@pytest.fixture(autouse=True)
def cupy():
    with fake_cupy() as module:
        yield module


@pytest.fixture
def kernels():
    return Noted()


@pytest.fixture
def gpu(kernels, monkeypatch):
    backend = backend_for("cuda")[0]
    monkeypatch.setattr(backend, "kernels", kernels)
    return backend


@pytest.fixture
def generic(monkeypatch):
    """What is left to the generic kernels, by name."""
    called = []
    for name in ("conv2d", "conv2d_input_grad", "conv2d_weight_grad", "cross_entropy", "index_add"):
        note(monkeypatch, name, called)
    for name in ("max_pool2d", "max_pool2d_grad", "max_pool2d_gather", "avg_pool2d", "avg_pool2d_grad"):
        note(monkeypatch, name, called)
    for name in ("moments", "normalize", "normalize_grad"):
        note(monkeypatch, name, called)
    return called


def note(monkeypatch, name, called):
    owner = next(owner for owner in Backend.__mro__ if name in vars(owner))
    monkeypatch.setattr(owner, name, lambda *arguments: called.append(name))


def large(*shape, dtype="float32", strides=None):
    """Contiguous, or with strides in numbers; it can be asked for all but its values."""
    itemsize = np.dtype(dtype).itemsize
    if strides is None:
        strides = np.cumprod([1, *shape[:0:-1]], dtype=object)[::-1]
    return FakeArray(as_strided(np.zeros(16, dtype), shape, [int(step) * itemsize for step in strides]))


def test_a_kernel_refuses_a_size_that_an_int_cannot_count(kernels):
    kernel = kernels("layout", "channels_last", "float32")
    kernel((1,), (1,), MOST_COUNTED, np.int64(LARGE), True, -3)
    assert kernels.launches == [("channels_last", [MOST_COUNTED, LARGE, 1, -3])]
    assert [type(x) for x in kernels.launches[0][1]] == [np.int32, np.int64, np.int32, np.int32]
    for size in (MOST_COUNTED + 1, 2**31, LARGE, 2**70):
        with pytest.raises(OverflowError, match=f"expected sizes of at most 1073741824 .* got {size}"):
            kernel((1,), (1,), size)


# --- counted in 64 bits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows, width", [(LARGE, 1), (1, LARGE), (LARGE, 4)])
def test_joining(cupy, kernels, rows, width):
    """The arrays as columns of the result; of one row, or one column, too."""
    x, out = large(rows, width), large(rows, 2 * width)
    assert joined(cupy, kernels)([x, x], axis=1, out=out) is out
    name, items = ("rows_packed", 4) if width % 4 == 0 else ("rows_single", 1)
    sizes = [rows, width // items, width // items, 2 * width // items]
    assert kernels.launches == [(name, sizes)] * 2
    assert {type(size) for _, sizes in kernels.launches for size in sizes} == {np.int64}


def test_copies_of_rows_that_lie_apart(kernels):
    copy_rows(kernels, large(4, 3, strides=(LARGE, 1)), large(4, 3, strides=(LARGE + 1, 1)))
    assert kernels.launches == [("rows_single", [4, 3, LARGE, LARGE + 1])]


def test_sums_of_rows_that_lie_apart(cupy, kernels, monkeypatch):
    monkeypatch.setattr(cupy, "empty", lambda shape, dtype: large(*shape, dtype=dtype), False)
    x = large(LARGE, 3, strides=(5, 1))
    assert Elementwise(cupy, kernels).functions()["add"](x, x).shape == x.shape
    assert kernels.launches == [("add_rows_single", [LARGE, 3, 5, 5, 3])]


def test_a_bias_of_many_numbers(gpu, kernels):
    gpu.add_to_rows(large(2, LARGE), large(LARGE))
    assert kernels.launches == [("add_to_rows", [2 * LARGE, LARGE, 1])]


def test_many_places_to_add_at(gpu, kernels, monkeypatch):
    index = large(LARGE, dtype="int64")
    for name in ("argsort", "take"):
        monkeypatch.setattr(gpu.xp, name, lambda *arguments, **options: index)
    monkeypatch.setattr(gpu.xp, "empty", lambda *arguments, **options: large(1))
    gpu._add_rows(large(8, 2), index, large(LARGE, 2), 2)
    assert kernels.launches == [("add_runs_single", [LARGE, 2]), ("join_runs_single", [LARGE, 2])]


@pytest.mark.parametrize("M, K, N", [(LARGE, 1, 1), (1, LARGE, 1), (1, 1, LARGE), (4, 4, 4)])
def test_products(gpu, monkeypatch, M, K, N):
    taken = []
    for name in ("cublasGemmStridedBatchedEx", "cublasGemmStridedBatchedEx_64"):
        monkeypatch.setattr(FakeCublas, name, lambda self, *given, name=name: taken.append((name, given[3:6])) or 0)
    gpu.product(large(M, K), large(K, N), large(M, N))
    name = "cublasGemmStridedBatchedEx_64" if LARGE in (M, K, N) else "cublasGemmStridedBatchedEx"
    assert taken == [(name, (N, M, K))]


def test_a_matrix_whose_rows_lie_far_apart(gpu, monkeypatch):
    taken = []
    monkeypatch.setattr(FakeCublas, "cublasGemmStridedBatchedEx_64", lambda self, *given: taken.append(given[9]) or 0)
    gpu.product(large(4, 4), large(4, 4, strides=(LARGE, 1)), large(4, 4))
    assert taken == [LARGE]


# --- left to others ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "width", "can"),
    [
        ((64, 3, 224, 224), 4, True),
        ((64, 3, 4096, 4096), 4, True),
        ((65, 3, 4096, 4096), 4, False),  # pixels
        ((65, 64, 4096, 4096), 64, True),  # of an image
        ((1, 64, 32769, 32768), 64, False),
        ((MOST_COUNTED + 1, 16, 1, 2), 16, False),
        ((1, 32 * MOST_LINES, 2, 2), 32 * MOST_LINES, True),
        ((1, 32 * MOST_LINES + 1, 2, 2), 32 * MOST_LINES + 1, False),
    ],
)
def test_what_is_turned_by_tiles(gpu, monkeypatch, shape, width, can):
    assert can_turn(shape, width) is can
    turned = []
    monkeypatch.setattr(gpu, "_turned", lambda planes, width=0: turned.append(width))
    monkeypatch.setattr(gpu.xp, "ascontiguousarray", lambda array: array)
    monkeypatch.setattr(FakeArray, "reshape", lambda array, *shape: array)
    gpu.pixels(large(*shape))
    assert turned == ([0] if can_turn(shape, shape[1]) else [])


def test_widening_many_pixels(gpu, monkeypatch):
    planes, calls = large(65, 3, 4096, 4096), []
    monkeypatch.setattr(gpu, "_turned", lambda *arguments: calls.append("turned"))
    monkeypatch.setattr(gpu, "dense_pixels", lambda planes: calls.append("dense"))
    monkeypatch.setattr(gpu.xp, "zeros", lambda shape, dtype: large(*shape, dtype=dtype))
    monkeypatch.setattr(layout, "copy_rows", lambda kernels, source, target: calls.append(target.shape))
    assert gpu.widened_pixels(planes, 4).shape == (65 << 24, 4)
    assert calls == ["dense", (65 << 24, 3)]


# The shape, and the sizes of kernel and stride, of pooling: the first ones are just what can be counted.
POOLED = [
    ((2**20, 8, 2**10, 1), (2, 1), (2, 1), True),
    ((2**20 + 1, 8, 2**10, 1), (2, 1), (2, 1), False),
    ((2**21, 8, 2**10, 1), (2, 1), (2, 1), False),  # the product of these is 0 in 32 bits, for twice as many images
    ((2**30, 1, 1, 1), (1, 1), (1, 1), True),
    ((1, 2**20, 1, 2**10), (1, 2), (1, 2), True),
    ((1, 2**20, 1, 2**10 + 1), (1, 2), (1, 2), False),
    ((1, 1, 2**16, 2**15), (2**16, 2**15), (1, 1), False),
]


@pytest.mark.parametrize(("shape", "kernel_size", "stride", "can"), POOLED)
def test_pooling(gpu, generic, shape, kernel_size, stride, can):
    assert can_pool(*shape[:2], axes_over(shape, kernel_size, stride, NO_PADDING, (1, 1))) is can
    if can:
        return
    x, place = large(*shape), (kernel_size, stride, NO_PADDING)
    OH, OW = ((n - k) // s + 1 for n, k, s in zip(shape[2:], kernel_size, stride))
    y = large(*shape[:2], OH, OW)
    gpu.max_pool2d(x, *place, (1, 1))
    gpu.max_pool2d_grad(y, y, shape, *place, (1, 1))
    gpu.max_pool2d_gather(x, y, *place, (1, 1))
    gpu.avg_pool2d(x, *place, 4)
    gpu.avg_pool2d_grad(y, shape, *place, 4)
    assert generic == ["max_pool2d", "max_pool2d_grad", "max_pool2d_gather", "avg_pool2d", "avg_pool2d_grad"]


# Planes, channels, kernel size and output channels of a convolution.
CONVOLVED = [
    ((2**15, 2**15), 3, (2, 2), 8, True),
    ((2**15, 2**15 + 1), 3, (2, 2), 8, False),
    ((64, 64), 2**24, (8, 8), 1, True),
    ((64, 64), 2**24, (9, 9), 1, False),  # numbers of a window
    ((64, 64), 2**10, (8, 8), 2**14, True),
    ((64, 64), 2**10, (8, 8), 2**14 + 1, False),  # and of all weights
]


@pytest.mark.parametrize(("planes", "C", "kernel_size", "OC", "can"), CONVOLVED)
def test_convolution(gpu, generic, planes, C, kernel_size, OC, can):
    place = ((1, 1), NO_PADDING, (1, 1), 1)
    g = geometry(planes, C, kernel_size, *place)
    assert can_write_windows(OC, g) is can
    if can:
        return
    x, w = large(1, C, *planes, dtype="float64"), large(OC, C, *kernel_size, dtype="float64")
    y = large(1, OC, g.OH, g.OW, dtype="float64", strides=(g.OH * g.OW * OC, 1, g.OW * OC, OC))
    gpu.conv2d(x, w, None, *place)
    gpu.conv2d_input_grad(y, w, x.shape, *place)
    gpu.conv2d_weight_grad(y, x, w.shape, *place)
    assert generic == ["conv2d", "conv2d_input_grad", "conv2d_weight_grad"]


def test_images_of_one_workspace():
    g = geometry((64, 64), 8, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    assert images_at_once(1000, g, 72 * 4) == WORKSPACE // (64 * 64 * 72 * 4)
    assert images_at_once(10, g, 72 * 4) == 10
    assert images_at_once(10, g, 0) == images_at_once(0, g, 72 * 4) == 0
    far_apart = geometry((2**13, 2**13), 1, (1, 1), (64, 64), NO_PADDING, (1, 1), 1)  # few windows of many pixels
    assert images_at_once(1000, far_apart, 4) == MOST_COUNTED >> 26
    huge = geometry((2**15, 2**15), 8, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    assert images_at_once(1000, huge, 72 * 4) == 1


def test_cross_entropy(gpu, generic):
    for shape in ((MOST_COUNTED + 1, 2), (2, MOST_COUNTED + 1)):
        gpu.cross_entropy(large(*shape), large(shape[0], dtype="int64"), None, None, 0.0)
    assert generic == ["cross_entropy"] * 2


def test_rows_of_more_numbers_than_can_be_counted_are_added_by_cupy(gpu, generic):
    gpu.index_add(large(4, MOST_COUNTED + 1), (large(2, dtype="int64"),), large(2, MOST_COUNTED + 1))
    assert generic == ["index_add"]


@pytest.mark.parametrize(
    ("shape", "can"), [((LARGE, 2), True), ((1, MOST_COUNTED), True), ((1, 2, MOST_COUNTED // 2 + 1), False)]
)
def test_normalization_of_rows(gpu, generic, kernels, monkeypatch, shape, can):
    monkeypatch.setattr(
        gpu.xp, "empty", lambda shape, dtype: large(*(shape if isinstance(shape, tuple) else (shape,)), dtype=dtype)
    )
    x, statistics, axes = large(*shape), large(shape[0], *(1 for _ in shape[1:])), tuple(range(1, len(shape)))
    weight = large(1, *shape[1:])
    gpu.moments(x, axes)
    gpu.normalize(x, statistics, statistics, weight, weight, 1e-5)
    gpu.normalize_grad(x, x, axes, None, statistics, statistics, 1e-5)
    assert generic == ([] if can else ["moments", "normalize", "normalize_grad"])
    assert [name.split("_")[0] for name, _ in kernels.launches] == (["row", "normalize", "row"] if can else [])
