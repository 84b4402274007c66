"""Convolution by Hopper's tensor cores: the text built for the CPU, against the generic kernels in float64; and the planner."""

import re

import numpy as np
import pytest

from minigrad.backends.cuda import compiler, hopper_gemm
from minigrad.backends.cuda.convolution import geometry
from minigrad.backends.cuda.hopper_gemm import TILES, HopperGemm, plan_convolve
from minigrad.backends.cuda.implicit_gemm import ImplicitGemm
from tests.backends.convolution_kernels import CASES, Problem
from tests.fake_cuda import FakeGPU
from tests.fake_cupy import fake_cupy
from tests.floats import REDUCED

TOLERANCES = {"float32": 1e-6, "float16": 1e-3, "bfloat16": 4e-3}
"""Of what tensor cores see: float32 is cut to TF32 beforehand."""
DTYPES = [*REDUCED, "float32"]

TILED = (2, 72, 17, 17, 264, (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 1)
"""More than a tile of rows, of columns and of a step's depth, and no multiple of any."""


@pytest.fixture(autouse=True)
def cupy():
    with fake_cupy() as module:
        yield module


@pytest.fixture(autouse=True)
def always_planned(monkeypatch):
    """Few channels are for our tiles too."""
    plan_convolve.cache_clear()
    monkeypatch.setattr(hopper_gemm, "NARROW", 0)
    yield
    plan_convolve.cache_clear()


class Recorded(compiler.Kernels):
    """Knows which kernels it was asked for."""

    def __init__(self, cupy):
        super().__init__(cupy)
        self.names = []

    def __call__(self, family, name, dtype):
        self.names.append((family, name))
        return super().__call__(family, name, dtype)


@pytest.fixture
def kernels(cupy):
    return Recorded(cupy)


@pytest.fixture
def gemm(cupy, kernels):
    return HopperGemm(cupy, kernels)


def as_multiplied(x):
    """Float32 as far as the tensor cores read it, short floats as they are; in float64."""
    if x.dtype == "float32":
        x = (x.view("uint32") & 0xFFFFE000).view("float32")
    return x.astype("float64")


def is_right(gemm, case, dtype, cupy, gap=0):
    """Whether both kernels' results are, each in shape, dtype and values."""
    problem = Problem(case, dtype, cupy, as_multiplied, gap)
    errors = problem.errors([problem.forward(gemm), problem.input_grad(gemm)])
    assert len(errors) == 2
    return all([error <= TOLERANCES[dtype] for error in errors])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_values(gemm, kernels, cupy, case, dtype):
    assert is_right(gemm, case, dtype, cupy)
    assert [family for family, _ in kernels.names] == ["hopper_gemm", "hopper_gemm"]


OF_TILES = [(tile, dtype) for tile in TILES for dtype in DTYPES if dtype != "bfloat16" or tile is TILES[-1]]
"""bfloat16 differs from float16 in the instruction alone."""


@pytest.mark.parametrize(("tile", "dtype"), OF_TILES, ids=str)
def test_every_tile(gemm, kernels, cupy, monkeypatch, tile, dtype):
    monkeypatch.setattr(hopper_gemm, "TILES", (tile,))
    assert is_right(gemm, TILED, dtype, cupy)
    assert kernels.names == [("hopper_gemm", f"convolve_{tile.rows}x{tile.columns}")] * 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_that_lie_apart(gemm, cupy, dtype):
    assert is_right(gemm, CASES[0], dtype, cupy, gap=8)


def test_no_bias(gemm, cupy):
    problem = Problem(CASES[0], "float32", cupy, as_multiplied)
    with_bias, bias = problem.forward(gemm), problem.bias._hidden
    problem.bias = None
    np.testing.assert_allclose(problem.forward(gemm) + bias[:, None, None], with_bias, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("chunk ^ row % 8", "chunk"),  # tiles are not swizzled
        ("% ALIGNMENT) % ALIGNMENT", "% ALIGNMENT) % 16"),  # where the hardware does not see which row is which
        ("8ull * ROW >> 4", "16ull * ROW >> 4"),
        ("k / 16", "k / 32"),
        ("copy_async_wait<STAGES - 3>", "copy_async_wait<STAGES - 2>"),
        ("wgmma_wait<1>", "wgmma_wait<2>"),
    ],
)
def test_the_emulation_sees_mistakes(gemm, cupy, monkeypatch, text, mistake):
    right = compiler.source("hopper_gemm", np.dtype("float32"))
    assert text in right
    monkeypatch.setattr(compiler, "source", lambda family, dtype: right.replace(text, mistake))
    monkeypatch.setattr(hopper_gemm, "TILES", TILES[-1:])
    try:
        unseen = is_right(gemm, TILED, "float32", cupy)
    except RuntimeError as error:
        unseen = "outside of the" not in str(error)
    assert not unseen


def test_what_is_left_to_mma(gemm, kernels, cupy, monkeypatch):
    problem = Problem(CASES[0], "float32", cupy, as_multiplied)
    problem.x = cupy.asarray(np.zeros(problem.x.size + 1, "float32"))[1:].reshape(problem.x.shape)  # misaligned
    assert gemm.forward(problem.x, problem.w, None, problem.N, problem.geometry) is None
    assert kernels.names == []

    monkeypatch.setattr(hopper_gemm, "NARROW", 64)
    plan_convolve.cache_clear()
    problem, mma = Problem(CASES[0], "float16", cupy, as_multiplied), ImplicitGemm(cupy, kernels)
    np.testing.assert_array_equal(problem.forward(gemm), problem.forward(mma))
    np.testing.assert_array_equal(problem.input_grad(gemm), problem.input_grad(mma))
    assert {family for family, _ in kernels.names} == {"implicit_gemm"}


def test_where_it_is_usable(cupy, monkeypatch):
    assert compiler.is_usable("hopper_gemm", cupy)
    monkeypatch.setattr(cupy.cuda.nvrtc, "getVersion", lambda: (12, 4))
    assert not compiler.is_usable("hopper_gemm", cupy)
    monkeypatch.setattr(cupy.cuda.nvrtc, "getVersion", lambda: (13, 2))
    for capability in ("80", "89", "100", "120"):
        monkeypatch.setattr(FakeGPU, "compute_capability", capability)
        assert not compiler.is_usable("hopper_gemm", cupy)
        assert compiler.is_usable("implicit_gemm", cupy)


def test_tiles_are_those_of_the_text():
    text = compiler.source("hopper_gemm", np.dtype("float32"))
    found = [tuple(map(int, line.split(","))) for line in re.findall(r"^CONVOLVE\(([\d, ]+)\)", text, re.MULTILINE)]
    assert [(rows, columns, 128 * groups, stages, blocks) for rows, columns, groups, stages, blocks in found] == [
        tile[:5] for tile in TILES
    ]


@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize("tile", TILES, ids=str)
def test_blocks_fit_into_a_multiprocessor(tile, itemsize):
    assert tile.memory(itemsize) <= 227 << 10
    assert tile.blocks * (tile.memory(itemsize) + 1024) <= 228 << 10


MEASURED = {
    # image size, channels, output channels, kernel size, stride; whether backward; itemsize: microseconds of TILES on an H200
    ((56, 64, 64, 3, 1), False, 4): (231, 130, 154, 95),
    ((56, 64, 64, 3, 1), True, 2): (144, 81, 110, 60),
    ((28, 128, 128, 3, 1), False, 4): (99, 72, 64, 77),
    ((28, 128, 128, 3, 1), False, 2): (59, 42, 40, 44),
    ((28, 128, 128, 3, 1), True, 2): (60, 43, 42, 46),
    ((14, 256, 256, 3, 1), False, 4): (56, 62, 70, 84),
    ((14, 256, 256, 3, 1), True, 2): (33, 36, 42, 47),
    ((7, 512, 512, 3, 1), False, 4): (101, 118, 68, 79),
    ((7, 512, 512, 3, 1), True, 2): (55, 63, 40, 44),
    ((56, 128, 128, 3, 2), False, 4): (102, 84, 69, 85),
    ((56, 128, 128, 3, 2), True, 4): (169, 100, 122, 133),
    ((56, 128, 128, 3, 2), False, 2): (60, 47, 43, 48),
    ((56, 128, 128, 3, 2), True, 2): (109, 62, 83, 85),
    ((14, 512, 512, 3, 2), True, 4): (79, 88, 84, 87),
    ((56, 256, 512, 1, 2), False, 4): (81, 84, 99, 106),
    ((56, 256, 512, 1, 2), True, 2): (82, 85, 121, 120),
    ((14, 1024, 2048, 1, 2), False, 2): (36, 38, 44, 42),
    ((14, 1024, 2048, 1, 2), True, 4): (60, 65, 75, 84),
    ((224, 8, 64, 7, 2), False, 4): (775, 432, 548, 313),
}


def layer_plan(layer, backward, itemsize, N=64):
    size, C, OC, K, S = layer
    g = geometry((size, size), C, (K, K), (S, S), ((K // 2, K // 2),) * 2, (1, 1), 1)
    return g, plan_convolve(N, OC, g, (C, OC), itemsize, backward, TILES)


@pytest.mark.parametrize(("layer", "backward", "itemsize"), MEASURED)
def test_plans_are_the_fastest(layer, backward, itemsize):
    g, plan = layer_plan(layer, backward, itemsize)
    times = MEASURED[layer, backward, itemsize]
    chosen = TILES[times.index(min(times))]
    rows, columns = 64 * g.OH * g.OW, layer[1] if backward else layer[2]  # of a phase, backward: as many as there are windows
    assert plan.name == f"convolve_{chosen.rows}x{chosen.columns}"
    phases = layer[4] ** 2 if backward else 1
    assert plan.grid == (-(-rows // chosen.rows) * -(-columns // chosen.columns), phases, 1)
    assert (plan.threads, plan.shared_memory) == (chosen.threads, chosen.memory(itemsize))


def test_few_blocks():
    """No tile of twice the columns that there are, where each block has a multiprocessor to itself."""
    assert layer_plan((8, 64, 64, 3, 1), False, 4)[1].name == "convolve_128x64"


def test_the_first_layer_of_resnet_in_float16(monkeypatch):
    monkeypatch.setattr(hopper_gemm, "NARROW", 64)
    assert layer_plan((224, 8, 64, 7, 2), False, 2)[1] is None
    assert layer_plan((224, 8, 64, 7, 2), True, 2)[1].name == "convolve_128x64"
    assert layer_plan((56, 64, 64, 3, 1), False, 2)[1].name == "convolve_128x64"
