"""Convolution by tensor cores without written windows: which tiles of ``kernels/implicit_gemm.cu`` to launch for which sizes.

The planner is plain arithmetic on sizes. It takes every GPU for one of 132 multiprocessors, so that the sums of a gradient by
weights are cut alike, and come out with the same bits, on all of them. Its figures were fitted to what ResNet-50's layers took
on an H200, in TF32 and float16: the plan is the fastest of all, or at most 6 % slower.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .compiler import Kernels
from .layout import is_aligned

if TYPE_CHECKING:
    from .convolution import Geometry

MULTIPROCESSORS = 132
"""Of an H100 or H200."""
STEP = 128
"""Bytes of a row of a tile: what a block reads of every row at a step of its sum."""
PAD = 8
"""Numbers between the rows of a padded tile."""
LONGEST_WINDOW = 15
"""Rows and columns of a kernel, which are counted in bits."""
START = 32
"""Numbers of a sum that take as long as a block's start and end, where no other block hides them: an estimate."""
MOST_PARTS = 256
"""Of a gradient by weights."""
MOST_SHARED_MEMORY = 227 << 10
"""Bytes that a block of an H100 or H200 may have."""


def convolve_memory(rows: int, columns: int, stages: int, itemsize: int) -> int:
    """The shared memory of a block of rows and columns of a convolution: rows' places, and tiles, which the result replaces."""
    tiles = stages * (rows + columns) * STEP
    return 12 * rows + max(tiles, rows * (columns + PAD) * itemsize)


def count_tiles(rows: int, columns: int, tile_rows: int, tile_columns: int) -> int:
    """How many tiles cover a matrix."""
    return -(-rows // tile_rows) * -(-columns // tile_columns)


class Tile(NamedTuple):
    """A kernel's block: the part of the result that it computes, and how many of it share a multiprocessor.

    Speed is what a full multiprocessor reaches with it, relative to the others; lonely, how much longer a block of a gradient
    by weights takes where it has a multiprocessor for itself, and none hides its waiting.
    """

    rows: int
    columns: int
    threads: int
    stages: int
    blocks: int
    speed: float
    lonely: float = 0.0

    def seconds(self, blocks: int, depth: int) -> float:
        """The time, in some unit, of so many blocks with sums of that length."""
        rounds, last = divmod(-(-blocks // MULTIPROCESSORS), self.blocks)
        lonely = 1 + 0.5 * (self.blocks - last) / self.blocks  # too few to hide each other's waiting
        return (rounds * self.blocks * depth + last * lonely * (depth + START)) * self.rows * self.columns / self.speed

    def convolve_memory(self, itemsize: int) -> int:
        """The shared memory of a convolution's block."""
        return convolve_memory(self.rows, self.columns, self.stages, itemsize)

    def weight_grad_memory(self) -> int:
        """The shared memory of a block of a gradient by weights."""
        return self.stages * STEP * (self.rows + self.columns + 2 * PAD)


CONVOLVE = (
    Tile(128, 128, 128, 3, 2, 1.0),
    Tile(128, 64, 128, 3, 3, 0.91),
    Tile(64, 128, 128, 3, 3, 0.91),
    Tile(64, 64, 128, 3, 4, 0.7),
    Tile(128, 32, 128, 3, 3, 0.6),
)
WEIGHT_GRAD = (
    Tile(128, 128, 128, 3, 2, 1.0),
    Tile(128, 64, 128, 3, 2, 0.8),
    Tile(64, 128, 128, 3, 2, 0.8),
    Tile(64, 64, 128, 3, 4, 0.7),
    Tile(32, 128, 128, 3, 3, 0.6),
)
"""The speed of the last of both is an estimate."""


class Plan(NamedTuple):
    """A launch: the kernel's name, its geometry, and its integers."""

    name: str
    grid: tuple[int, int, int]
    threads: int
    shared_memory: int
    sizes: np.ndarray
    """``Sizes`` of the kernel's text, as a C struct."""
    part: int = 0
    """The pixels that a block of a gradient by weights adds up; grid[1] counts the parts."""


def is_supported(N: int, OC: int, g: Geometry, pitches: tuple[int, int], itemsize: int) -> bool:
    """Whether the kernels compute it: 16 bytes of channels at a time, offsets that fit into 32 bits, at most 15 × 15 taps."""
    items = 16 // itemsize
    counts = (g.C // g.G, OC // g.G, *pitches)
    numbers = (N * g.H * g.W * pitches[0], N * g.OH * g.OW * pitches[1], OC * g.KH * g.KW * g.C)
    return (
        itemsize in (2, 4)
        and not any(count % items for count in counts)
        and all(0 < number < 2**30 for number in numbers)
        and max(g.KH, g.KW) <= LONGEST_WINDOW
        and max(g.G, g.SH * g.SW) <= 65535
    )


class Products(NamedTuple):
    """A convolution, or its gradient by the input, as products of windows and weights: for every phase of the stride and group.

    A phase is the inputs of which the same taps make the gradient; forward, there is one.
    """

    rows: int
    """Of the first phase, which is the largest."""
    columns: int
    channels: int
    """What a sum takes from a tap."""
    phases: int
    groups: int

    def grid(self, tile_rows: int, tile_columns: int) -> tuple[int, int, int]:
        """Of blocks that compute a tile each."""
        return count_tiles(self.rows, self.columns, tile_rows, tile_columns), self.phases, self.groups


def products_of(N: int, OC: int, g: Geometry, backward: bool) -> Products:
    """Those of N images with OC output channels in all groups, or of the gradient by the input (``backward``)."""
    inputs, outputs = g.C // g.G, OC // g.G
    if not backward:
        return Products(N * g.OH * g.OW, outputs, inputs, 1, g.G)
    return Products(N * -(-g.H // g.SH) * -(-g.W // g.SW), inputs, outputs, g.SH * g.SW, g.G)


@lru_cache(1024)
def plan_convolve(
    N: int,
    OC: int,
    g: Geometry,
    pitches: tuple[int, int],
    itemsize: int,
    backward: bool,
    tiles: tuple[Tile, ...] = CONVOLVE,
    most_memory: int = MOST_SHARED_MEMORY,
) -> Plan | None:
    """The launch of a convolution, or of its gradient by the input; None if it is not supported.

    Args:
        N: the images.
        OC: the output channels of all groups.
        g: the other sizes.
        pitches: the numbers from pixel to pixel, of input and output.
        itemsize: the bytes of a number, 4 or 2.
        backward: whether it is the gradient by the input.
        tiles: those to choose from.
        most_memory: the bytes of shared memory that a block may have.
    """
    tiles = tuple(tile for tile in tiles if tile.convolve_memory(itemsize) <= most_memory)
    if not tiles or not is_supported(N, OC, g, pitches, itemsize):
        return None
    products = products_of(N, OC, g, backward)
    depth = max(1, g.KH * g.KW // products.phases) * products.channels
    best = min(tiles, key=lambda tile: tile.seconds(prod(products.grid(*tile[:2])), depth))
    name, grid = f"convolve_{best.rows}x{best.columns}", products.grid(*best[:2])
    return Plan(name, grid, best.threads, best.convolve_memory(itemsize), sizes_of(N, OC, g, pitches))


@lru_cache(1024)
def plan_weight_grad(
    N: int,
    OC: int,
    g: Geometry,
    pitches: tuple[int, int],
    itemsize: int,
    tiles: tuple[Tile, ...] = WEIGHT_GRAD,
    most_memory: int = MOST_SHARED_MEMORY,
    most_parts: int = MOST_PARTS,
) -> Plan | None:
    """The launch of a gradient by weights, as of ``plan_convolve``, in at most so many parts; grid[1] counts them."""
    tiles = tuple(tile for tile in tiles if tile.weight_grad_memory() <= most_memory)
    if not tiles or not is_supported(N, OC, g, pitches, itemsize):
        return None
    pixels, channels, length = N * g.OH * g.OW, OC // g.G, g.KH * g.KW * g.C // g.G
    depth = STEP // itemsize
    steps = -(-pixels // depth)

    def seconds(choice: tuple[Tile, int]) -> float:
        tile, parts = choice
        most = -(-count_tiles(channels, length, *tile[:2]) * parts * g.G // MULTIPROCESSORS)  # on one multiprocessor
        part = (-(-steps // parts) + tile.stages + 2) * depth
        lonely = 1 + tile.lonely * max(0, tile.blocks - most) / tile.blocks
        return most * lonely * part * tile.rows * tile.columns / tile.speed + parts * OC * length  # written, and read again

    best, parts = min(((tile, parts) for tile in tiles for parts in range(1, min(steps, most_parts) + 1)), key=seconds)
    part = -(-steps // parts) * depth
    name = f"weight_grad_{best.rows}x{best.columns}"
    grid = (count_tiles(channels, length, *best[:2]), -(-pixels // part), g.G)
    return Plan(name, grid, best.threads, best.weight_grad_memory(), sizes_of(N, OC, g, pitches), part)


def sizes_of(N: int, OC: int, g: Geometry, pitches: tuple[int, int]) -> np.ndarray:
    C, OC = g.C // g.G, OC // g.G
    numbers = (N, g.H, g.W, C, g.OH, g.OW, OC, g.KH, g.KW, g.SH, g.SW, g.top, g.left, g.DH, g.DW, *pitches)
    return np.array(numbers, np.int32).view(f"V{4 * len(numbers)}")


class ImplicitGemm:
    """The three kernels over pixels, matrices (N·H·W, channels). Each does nothing and returns None where it does not serve.

    Args:
        xp: CuPy's functions.
        kernels: the compiled texts.
        most_memory: the bytes of shared memory that a block may have on this GPU.
    """

    text = "implicit_gemm"
    convolve_tiles: tuple[Tile, ...] = CONVOLVE
    weight_grad_tiles: tuple[Tile, ...] = WEIGHT_GRAD

    def __init__(self, xp: Any, kernels: Kernels, most_memory: int = MOST_SHARED_MEMORY):
        self._xp = xp
        self._kernels = kernels
        self.most_memory = most_memory

    def plan(
        self, N: int, OC: int, g: Geometry, pitches: tuple[int, int], itemsize: int, backward: bool
    ) -> tuple[str, Plan | None]:
        """The text and the launch of ``plan_convolve``."""
        return self.text, plan_convolve(N, OC, g, pitches, itemsize, backward, self.convolve_tiles, self.most_memory)

    def forward(self, x: Any, w: Any, bias: Any, N: int, g: Geometry) -> Any:
        """(N·H·W, C) with weights (OC, KH, KW, C/G), contiguous, and a bias (OC,) or None: (N·OH·OW, OC)."""
        OC = w.shape[0]
        if bias is not None and not bias.flags.c_contiguous:
            bias = self._xp.ascontiguousarray(bias)
        text, plan = self.plan(N, OC, g, (pitch_of(x), OC), x.itemsize, False)
        if plan is None or not is_aligned(x, w):
            return None
        y = self._xp.empty((N * g.OH * g.OW, OC), dtype=x.dtype)
        self._convolve(text, plan, x, w, bias, y, False)
        return y

    def input_grad(self, dy: Any, w: Any, N: int, g: Geometry) -> Any:
        """(N·OH·OW, OC) with weights (G, C/G, KH, KW, OC/G), contiguous: (N·H·W, C)."""
        text, plan = self.plan(N, dy.shape[1], g, (g.C, pitch_of(dy)), dy.itemsize, True)
        if plan is None or not is_aligned(dy, w):
            return None
        dx = self._xp.empty((N * g.H * g.W, g.C), dtype=dy.dtype)
        self._convolve(text, plan, dy, w, None, dx, True)
        return dx

    def weight_grad(self, dy: Any, x: Any, N: int, g: Geometry) -> Any:
        """(N·OH·OW, OC) and (N·H·W, C): (OC, C/G, KH, KW)."""
        OC, CG, taps = dy.shape[1], g.C // g.G, g.KH * g.KW
        plan = plan_weight_grad(N, OC, g, (pitch_of(x), pitch_of(dy)), x.itemsize, self.weight_grad_tiles, self.most_memory)
        if plan is None or not is_aligned(dy, x):
            return None
        count = plan.grid[1]
        parts = self._xp.empty((count, OC, taps, CG), dtype="float32")
        kernel = self._kernels(self.text, plan.name, x.dtype)
        kernel(plan.grid, (plan.threads,), dy, x, parts, plan.sizes, plan.part, shared_memory=plan.shared_memory)
        dw = self._xp.empty((OC, CG, g.KH, g.KW), dtype=x.dtype)
        add = self._kernels(self.text, "add_parts", x.dtype)
        add((OC * -(-CG // 32),), (256,), parts, dw, count, OC, taps, CG, shared_memory=32 * taps * 4)
        return dw

    def _convolve(self, text: str, plan: Plan, source: Any, w: Any, bias: Any, target: Any, backward: bool) -> None:
        kernel = self._kernels(text, plan.name, source.dtype)
        arguments = (source, w, bias, target, plan.sizes, backward)
        kernel(plan.grid, (plan.threads,), *arguments, shared_memory=plan.shared_memory)


def pitch_of(pixels: Any) -> int:
    """The numbers from row to row; 0, which no kernel takes, if those of a row are apart."""
    if pixels.shape[1] > 1 and pixels.strides[1] != pixels.itemsize:
        return 0
    return pixels.strides[0] // pixels.itemsize if len(pixels) > 1 else pixels.shape[1]
