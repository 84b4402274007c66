"""Convolution on CUDA: our kernels' text, built for the CPU, and cuBLAS's stand-in, against the CPU backend in float64."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.backends import backend_for, backend_of
from minigrad.backends.cuda import convolution
from minigrad.backends.cuda.compiler import Kernels
from minigrad.nn import functional as F
from tests.fake_cuda import FakeGPU
from tests.fake_cupy import fake_cupy
from tests.floats import FLOATS

TOLERANCES = {"float64": 1e-12, "float32": 2e-6, "float16": 2e-3, "bfloat16": 1.6e-2}

# (N, C, H, W), (OC, C/G, KH, KW), stride, padding, dilation, groups
GEOMETRIES = [
    ((2, 8, 7, 9), (12, 8, 3, 3), 1, 1, 1, 1),
    ((3, 3, 11, 10), (8, 3, 7, 7), 2, 3, 1, 1),
    ((2, 5, 6, 6), (7, 5, 2, 3), (2, 1), (0, 2), (1, 2), 1),
    ((2, 8, 6, 6), (16, 8, 1, 1), 1, 0, 1, 1),
    ((2, 8, 7, 7), (16, 8, 1, 1), 2, 0, 1, 1),
    ((2, 16, 5, 6), (8, 8, 3, 3), 2, 1, 2, 2),
    ((1, 6, 9, 9), (6, 1, 3, 3), 1, 1, 1, 6),
    ((2, 32, 4, 4), (16, 4, 3, 3), 1, 1, 1, 8),
    ((1, 4, 5, 5), (4, 4, 1, 1), 1, 1, 1, 1),
    ((2, 2, 6, 5), (8, 2, 3, 3), 1, 1, 1, 1),
    ((2, 48, 4, 5), (96, 16, 3, 3), 2, 1, 1, 3),
    ((2, 64, 4, 5), (32, 8, 3, 3), 1, 1, 1, 8),
]


@pytest.fixture(autouse=True)
def fake():
    with fake_cupy() as module:
        yield module


@pytest.fixture
def high_precision():
    mg.set_float32_matmul_precision("high")
    yield
    mg.set_float32_matmul_precision("highest")


def results(device, dtype, arrays, options):
    """The output, and the gradients of the sum of its squares."""
    tensors = [mg.tensor(a, dtype=dtype, device=device, requires_grad=True) for a in arrays]
    y = F.conv2d(*tensors, **options)
    (y * y).sum().backward()
    return [t.numpy(force=True).astype("float64") for t in (y, *(t.grad for t in tensors))]


def check(geometry, dtype, tolerance=None):
    x_shape, w_shape, stride, padding, dilation, groups = geometry
    random = np.random.default_rng(0)
    arrays = [random.normal(size=shape).astype(dtype) for shape in (x_shape, w_shape, w_shape[:1])]
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    expected = results("cpu", "float64", [a.astype("float64") for a in arrays], options)
    for name, ours, theirs in zip(("y", "dx", "dw", "db"), results("cuda", dtype, arrays, options), expected):
        assert np.abs(ours - theirs).max() <= (tolerance or TOLERANCES[dtype]) * np.abs(theirs).max(), name


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_all_three_directions(geometry, dtype):
    check(geometry, dtype)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_in_tf32(high_precision, geometry):
    check(geometry, "float32", 2e-3)


@pytest.mark.parametrize("images", [0, 1, 2])
def test_images_in_parts(monkeypatch, images):
    """In a workspace for so many images at a time, or for less than one."""
    geometry = ((5, 8, 6, 6), (4, 4, 3, 3), 1, 1, 1, 2)
    monkeypatch.setattr(convolution, "WORKSPACE", images * 6 * 6 * 2 * 36 * 8)
    check(geometry, "float64")


@pytest.mark.parametrize("kernel", [(3, 3), (1, 1)])
def test_arrays_that_lie_otherwise(fake, kernel):
    random = np.random.default_rng(1)
    last = fake.asarray(random.normal(size=(2, 5, 6, 16)))  # (N, H, W, C)
    w = fake.asarray(random.normal(size=(8, 8, *kernel)))
    full = fake.asarray(random.normal(size=(2, 8, 5, 6)))
    inputs = {
        "channels first": full,
        "channels last": last[..., :8].copy().transpose(0, 3, 1, 2),
        "some of the channels": last.transpose(0, 3, 1, 2)[:, 4:12],
        "at an odd address": last.transpose(0, 3, 1, 2)[:, 3:11],
        "every other channel": last.transpose(0, 3, 1, 2)[:, ::2],
        "every other row": fake.asarray(random.normal(size=(2, 10, 6, 8)))[:, ::2].transpose(0, 3, 1, 2),
        "one number": fake.broadcast_to(fake.asarray(np.array(2.0)), (2, 8, 5, 6)),
        "weights turned": w,
    }
    padding = (kernel[0] - 1) // 2
    there = backend_for("cuda")[0]
    for name, x in inputs.items():
        weights = w.transpose(1, 0, 2, 3) if name == "weights turned" else w
        x = full if name == "weights turned" else x
        tensors = [mg.tensor(fake.asnumpy(a)) for a in (x, weights, x)]
        place = ((1, 1), ((padding, padding), (padding, padding)), (1, 1), 1)
        here = backend_of(tensors[0].array)
        for kernel_name, last_argument in (("conv2d", None), ("conv2d_input_grad", x.shape), ("conv2d_weight_grad", w.shape)):
            second = (x, tensors[2].array) if kernel_name == "conv2d_weight_grad" else (weights, tensors[1].array)
            ours = getattr(there, kernel_name)(x, second[0], last_argument, *place)
            theirs = getattr(here, kernel_name)(tensors[0].array, second[1], last_argument, *place)
            np.testing.assert_allclose(fake.asnumpy(ours), theirs, rtol=1e-11, atol=1e-11, err_msg=f"{name}, {kernel_name}")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kernel", [(3, 3), (1, 1)])
def test_a_bias_that_lies_otherwise(dtype, kernel):
    numbers = mg.arange(16, dtype=getattr(mg, dtype), device="cuda")
    x, w = mg.zeros(1, 8, 4, 4, dtype=numbers.dtype, device="cuda"), mg.zeros(8, 8, *kernel, dtype=numbers.dtype, device="cuda")
    for bias in (numbers[::2], numbers[:8].flip(0), numbers[3:4].expand(8)):
        assert F.conv2d(x, w, bias)[0, :, 0, 0].tolist() == bias.tolist()


def test_channels_stay_last(fake):
    x = mg.randn(2, 8, 5, 6, device="cuda")
    y = F.conv2d(x, mg.randn(4, 8, 3, 3, device="cuda"), mg.randn(4, device="cuda"), padding=1)
    assert y.array.transpose(0, 2, 3, 1).flags.c_contiguous
    assert F.conv2d(y, mg.randn(4, 4, 1, 1, device="cuda")).array.transpose(0, 2, 3, 1).flags.c_contiguous


def test_tf32_is_asked_for(fake):
    """float32 products are exact unless the precision allows otherwise; then factors have 10 bits of mantissa."""
    x, w = np.full((1, 4, 3, 3), 1 + 2.0**-12, "float32"), np.ones((1, 4, 3, 3), "float32")
    tensors = [mg.tensor(a, device="cuda") for a in (x, w)]
    assert F.conv2d(*tensors).item() == 36 * (1 + 2.0**-12)
    mg.set_float32_matmul_precision("high")
    try:
        assert F.conv2d(*tensors).item() == 36
    finally:
        mg.set_float32_matmul_precision("highest")
    with pytest.raises(ValueError, match="expected 'highest' or 'high', got 'medium'"):
        mg.set_float32_matmul_precision("medium")


WAYS = {
    # the text that multiplies TF32 and float32, and the bytes of shared memory that a block may have
    "90": ("hopper_gemm", "exact_gemm", 227 << 10),
    "86": ("implicit_gemm", "exact_gemm", 99 << 10),
    "75": ("convolution", "convolution", 64 << 10),
}


@pytest.mark.parametrize("capabilities", [("90", "86"), ("86", "90"), ("75", "90"), ("90", "75")])
def test_each_gpu_has_the_kernels_that_it_can_run(fake, monkeypatch, capabilities):
    monkeypatch.setattr(FakeGPU, "compute_capability", property(lambda gpu: capabilities[gpu.id]))
    memory = property(lambda gpu: {"MaxSharedMemoryPerBlockOptin": WAYS[capabilities[gpu.id]][2]})
    monkeypatch.setattr(FakeGPU, "attributes", memory)
    texts, find = [], Kernels.__call__
    monkeypatch.setattr(Kernels, "__call__", lambda kernels, text, *which: texts.append(text) or find(kernels, text, *which))
    for gpu in (0, 1, 0):
        mg.cuda.set_device(gpu)
        rounded, exact, most_memory = WAYS[capabilities[gpu]]
        for precision, text in (("high", rounded), ("highest", exact)):
            monkeypatch.setattr("minigrad.backends.cuda.precision._precision", precision)
            F.conv2d(mg.ones(1, 8, 4, 4, device="cuda"), mg.ones(8, 8, 3, 3, device="cuda"))
            assert texts[-1] == text
        gemms = backend_for("cuda")[0].gemms[gpu]
        assert gemms is None or [gemm.most_memory for gemm in gemms] == [most_memory, most_memory]


def test_more_images_than_a_grid_has_blocks(fake):
    x = fake.asarray(np.arange(65537 * 9.0).reshape(65537, 9, 1, 1))
    pixels = backend_for("cuda")[0].pixels(fake.broadcast_to(x, (65537, 9, 1, 2)).copy())
    np.testing.assert_array_equal(fake.asnumpy(pixels), np.repeat(fake.asnumpy(x)[:, :, 0, 0], 2, axis=0))
