"""Convolution by tensor cores: the text built for the CPU, against the generic kernels in float64; and the planner."""

import re

import numpy as np
import pytest

from minigrad.backends import backend_for
from minigrad.backends.cuda import compiler
from minigrad.backends.cuda.convolution import geometry
from minigrad.backends.cuda.exact_gemm import ExactGemm
from minigrad.backends.cuda.implicit_gemm import MULTIPROCESSORS, ImplicitGemm, is_supported, plan_convolve, plan_weight_grad
from tests.backends.convolution_kernels import CASES, Problem
from tests.fake_cupy import fake_cupy
from tests.floats import REDUCED

KINDS = {
    "TF32": (ImplicitGemm, "float32", 1e-6),
    "exact": (ExactGemm, "float32", 1e-6),
    **{dtype: (ImplicitGemm, dtype, {"float16": 1e-3, "bfloat16": 4e-3}[dtype]) for dtype in REDUCED},
}
"""The kernels, their dtype, and the tolerance: for TF32 as the difference to factors that are rounded beforehand."""
GEMMS = (ImplicitGemm, ExactGemm)
TILES = [
    *((kind, number) for kind in ("TF32", *REDUCED) for number in range(len(ImplicitGemm.convolve_tiles))),
    *(("exact", number) for number in range(len(ExactGemm.convolve_tiles))),
]

TILED = (2, 72, 9, 9, 136, (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 1)
"""More than a tile of rows, of columns and of a step's depth, and no multiple of any."""


@pytest.fixture(autouse=True)
def cupy():
    with fake_cupy() as module:
        yield module


@pytest.fixture
def gemms(cupy):
    """By class."""
    kernels = compiler.Kernels(cupy)
    return {gemm: gemm(cupy, kernels) for gemm in GEMMS}


def as_multiplied(x, kind):
    """Float32 as tensor cores round it, all else as it is; in float64."""
    if kind == "TF32":
        x = ((x.view("uint32") + 0x1000) & 0xFFFFE000).view("float32")
    return x.astype("float64")


def problem_of(case, kind, cupy, gap=0):
    return Problem(case, KINDS[kind][1], cupy, lambda x: as_multiplied(x, kind), gap)


def check(gemms, case, kind, cupy, gap=0, tolerance=None):
    problem, gemm = problem_of(case, kind, cupy, gap), gemms[KINDS[kind][0]]
    errors = problem.errors([problem.forward(gemm), problem.input_grad(gemm), problem.weight_grad(gemm)])
    assert len(errors) == 3
    for name, error in zip(("y", "dx", "dw"), errors):
        assert error <= (tolerance or KINDS[kind][2]), name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_values(gemms, cupy, case, kind):
    check(gemms, case, kind, cupy)


@pytest.mark.parametrize(("kind", "number"), TILES)
def test_every_tile(gemms, cupy, monkeypatch, kind, number):
    gemm = KINDS[kind][0]
    for name in ("convolve_tiles", "weight_grad_tiles"):
        tiles = getattr(gemm, name)
        monkeypatch.setattr(gemm, name, (tiles[number % len(tiles)],))
    check(gemms, TILED, kind, cupy)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_lie_apart(gemms, cupy, kind):
    check(gemms, CASES[0], kind, cupy, gap=8)


@pytest.mark.parametrize("channels", [64, 128])
def test_long_sums_are_exact(gemms, cupy, channels):
    """Of 576 and 1152 products, and of 1024 for the weights."""
    case = (4, channels, 16, 16, 16, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    check(gemms, case, "exact", cupy, tolerance=5e-7)


@pytest.mark.parametrize(("kind", "bits"), [("TF32", 0x7FFFFFFF), ("exact", 0x7FFFFFFF), ("exact", 0x7F800001)])
def test_nan_is_not_rounded_away(gemms, cupy, kind, bits):
    problem = problem_of(CASES[0], kind, cupy)
    problem.x._hidden[3, 2] = np.array(bits, "uint32").view("float32")  # the first is what CUDA's functions return
    y = gemms[KINDS[kind][0]].forward(problem.x, problem.w, None, problem.N, problem.geometry)._hidden
    assert np.isnan(y).any(axis=1).nonzero()[0].tolist() == [2, 3, 4, 7, 8, 9]  # 3 × 3 windows around pixel (0, 3) of rows of 5


@pytest.mark.parametrize("number", range(len(GEMMS)))
def test_what_is_not_served(gemms, cupy, number):
    gemm = gemms[GEMMS[number]]
    served = CASES[0]
    for place, value in ((1, 6), (4, 6), (5, (16, 1)), (5, (1, 16))):
        case = [*served]
        case[place] = value
        case[7] = ((8, 8), (8, 8))
        problem = problem_of(case, "exact", cupy)
        assert gemm.forward(problem.x, problem.w, None, problem.N, problem.geometry) is None
        assert gemm.input_grad(problem.dy, problem.w_turned, problem.N, problem.geometry) is None
        assert gemm.weight_grad(problem.dy, problem.x, problem.N, problem.geometry) is None
    problem = problem_of(served, "exact", cupy)
    assert gemm.forward(problem.x.astype("float64"), problem.w, None, problem.N, problem.geometry) is None
    problem = problem_of(served, "exact", cupy, gap=1)
    assert gemm.forward(problem.x, problem.w, None, problem.N, problem.geometry) is None
    problem = problem_of(served, "exact", cupy)
    misaligned = cupy.asarray(np.zeros(problem.x.size + 1, "float32"))[1:].reshape(problem.x.shape)
    assert gemm.forward(misaligned, problem.w, None, problem.N, problem.geometry) is None
    assert gemm.weight_grad(problem.dy, misaligned, problem.N, problem.geometry) is None
    assert gemm.input_grad(problem.dy, cupy.asarray(np.zeros(1153, "float32"))[1:], problem.N, problem.geometry) is None


def test_offsets_fit_into_32_bits():
    g = geometry((1024, 1024), 64, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    assert is_supported(8, 64, g, (64, 64), 4)
    assert not is_supported(16, 64, g, (64, 64), 4)
    assert not is_supported(8, 64, g, (256, 64), 4)


@pytest.mark.parametrize("number", range(len(GEMMS)))
def test_tiles_are_those_of_the_text(number):
    gemm = GEMMS[number]
    text = compiler.source(gemm.text, np.dtype("float32"))
    for macro, tiles in (("CONVOLVE", gemm.convolve_tiles), ("WEIGHT_GRAD", gemm.weight_grad_tiles)):
        found = re.findall(rf"^{macro}\(\w+, ([\d, ]+)\)", text, re.MULTILINE)
        rows = [tuple(map(int, line.split(","))) for line in found]
        written = [(rows, columns, 32 * m * n, stages, blocks) for rows, columns, m, n, stages, blocks in rows]
        assert written == [tile[:5] for tile in tiles]


LAYERS = [
    (64, 56, 64, 64, 3, 1),
    (64, 28, 256, 512, 3, 2),
    (64, 7, 512, 2048, 1, 1),
    (1, 224, 8, 64, 7, 2),
    (256, 14, 1024, 2048, 1, 2),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", LAYERS)
def test_plans(layer, kind):
    N, size, C, OC, K, S = layer
    gemm, itemsize = KINDS[kind][0], np.dtype(KINDS[kind][1]).itemsize
    g = layer_geometry(*layer[1:])
    pixels, length = N * g.OH * g.OW, K * K * C
    everything = gemm.convolve_tiles
    for backward, tiles in ((False, everything), (True, everything), *((False, (tile,)) for tile in everything)):
        plan = plan_convolve(N, OC, g, (C, OC), itemsize, backward, tiles)
        chosen = next(each for each in everything if plan.name == f"convolve_{each.rows}x{each.columns}")
        rows, columns = pixels, C if backward else OC  # of a phase, backward: as many as there are windows
        assert plan.grid == (-(-rows // chosen.rows) * -(-columns // chosen.columns), S * S if backward else 1, 1)
        assert chosen.blocks * (plan.shared_memory + 1024) <= 228 << 10
    plan = plan_weight_grad(N, OC, g, (C, OC), itemsize, gemm.weight_grad_tiles)
    chosen = next(each for each in gemm.weight_grad_tiles if plan.name == f"weight_grad_{each.rows}x{each.columns}")
    assert plan.grid[0] == -(-OC // chosen.rows) * -(-length // chosen.columns)
    assert plan.part * (plan.grid[1] - 1) < pixels <= plan.part * plan.grid[1]
    assert plan.part % (128 // itemsize) == 0
    assert plan.grid[0] * plan.grid[1] >= MULTIPROCESSORS / 2
    assert chosen.blocks * (plan.shared_memory + 1024) <= 228 << 10


# Microseconds on an H200 for 64 images: the size, input and output channels, kernel and stride of a layer, the bytes of a
# number, whether it is the gradient by the input, and what tiles took.
MEASURED = [
    ((56, 64, 64, 3, 1), 4, False, {"128x128": 190, "128x64": 115, "64x128": 204, "64x64": 135}),
    ((28, 128, 128, 3, 1), 4, False, {"128x128": 96, "128x64": 108, "64x128": 102, "64x64": 127}),
    ((28, 512, 128, 1, 1), 4, False, {"128x128": 63, "128x64": 55, "64x128": 53, "64x64": 65}),
    ((28, 512, 128, 1, 1), 2, False, {"128x128": 35, "128x64": 30, "64x128": 30, "64x64": 36}),
    ((7, 512, 512, 3, 1), 2, False, {"128x128": 63, "128x64": 62, "64x128": 61, "64x64": 58}),
    ((28, 128, 512, 1, 1), 4, True, {"128x128": 64, "128x64": 58, "64x128": 56, "64x64": 69}),
    ((14, 512, 512, 3, 2), 4, True, {"128x128": 133, "128x64": 122, "64x128": 116, "64x64": 133}),
]
# The same for the gradient by the weights, of tiles and parts.
MEASURED_WEIGHT_GRADS = [
    ((56, 64, 64, 3, 1), 2, {"128x128/26": 111, "128x64/29": 110, "64x128/26": 92, "64x128/52": 93, "64x64/29": 100}),
    ((28, 128, 128, 3, 1), 4, {"128x128/14": 121, "128x128/29": 118, "128x64/22": 132, "64x128/22": 143, "64x64/11": 150}),
    ((7, 512, 512, 3, 1), 2, {"128x128/3": 79, "128x128/2": 79, "128x64/2": 93, "64x128/2": 86, "64x64/1": 98}),
    ((56, 256, 512, 1, 2), 2, {"128x128/33": 77, "128x128/16": 65, "128x64/16": 76, "64x128/16": 77, "64x64/8": 84}),
    ((14, 1024, 2048, 1, 2), 2, {"128x128/2": 106, "128x128/1": 95, "128x64/1": 111, "64x128/1": 112, "64x64/1": 129}),
]


def layer_geometry(size, C, OC, K, S):
    return geometry((size, size), C, (K, K), (S, S), ((K // 2, K // 2),) * 2, (1, 1), 1)


@pytest.mark.parametrize(("layer", "itemsize", "backward", "times"), MEASURED)
def test_plans_are_nearly_the_fastest(layer, itemsize, backward, times):
    _, C, OC, *_ = layer
    plan = plan_convolve(64, OC, layer_geometry(*layer), (C, OC), itemsize, backward)
    assert times[plan.name.removeprefix("convolve_")] <= 1.06 * min(times.values())


@pytest.mark.parametrize(("layer", "itemsize", "times"), MEASURED_WEIGHT_GRADS)
def test_parts_are_nearly_the_fastest(layer, itemsize, times):
    _, C, OC, *_ = layer
    plan = plan_weight_grad(64, OC, layer_geometry(*layer), (C, OC), itemsize)
    assert times[f"{plan.name.removeprefix('weight_grad_')}/{plan.grid[1]}"] <= 1.06 * min(times.values())


@pytest.mark.parametrize("number", range(len(GEMMS)))
def test_gpus_with_less_shared_memory(number):
    tiles, grad_tiles = GEMMS[number].convolve_tiles, GEMMS[number].weight_grad_tiles
    g = geometry((14, 14), 256, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    for bytes_of_a_block in (164 << 10, 99 << 10):
        plan = plan_convolve(64, 256, g, (256, 256), 4, False, tiles, bytes_of_a_block)
        assert plan.shared_memory <= bytes_of_a_block
        assert plan_weight_grad(64, 256, g, (256, 256), 4, grad_tiles, bytes_of_a_block).shared_memory <= bytes_of_a_block
    assert plan_convolve(64, 256, g, (256, 256), 4, False, tiles, 16 << 10) is None


@pytest.mark.parametrize(
    ("dtype", "precision", "is_exact"),
    [("float32", "highest", True), ("float32", "high", False), *((dtype, "highest", False) for dtype in (*REDUCED, "float64"))],
)
def test_strict_float32_takes_the_exact_kernels(cupy, monkeypatch, dtype, precision, is_exact):
    backend = backend_for("cuda")[0]
    taken = []

    def spy(name):
        method = getattr(ImplicitGemm, name)
        monkeypatch.setattr(ExactGemm, name, lambda *arguments: taken.append(name) or method(*arguments))

    names = ["forward", "input_grad", "weight_grad"]
    for name in names:
        spy(name)
    monkeypatch.setattr("minigrad.backends.cuda.precision._precision", precision)
    x, w = (cupy.asarray(np.ones(shape, dtype)) for shape in ((1, 8, 4, 4), (8, 8, 3, 3)))
    place = ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    y = backend.conv2d(x, w, None, *place)
    backend.conv2d_input_grad(y, w, x.shape, *place)
    backend.conv2d_weight_grad(y, x, w.shape, *place)
    assert taken == (names if is_exact else [])
