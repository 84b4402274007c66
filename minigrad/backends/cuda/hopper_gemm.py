"""Convolution by the tensor cores of Hopper: which tiles of ``kernels/hopper_gemm.cu`` to launch for which sizes.

The planner knows each tile by two figures that were fitted to what ResNet-50's layers took on an H200 (64 images, both types,
both directions): with them it takes, of these tiles, the one that was measured as the fastest for every layer.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from .implicit_gemm import MULTIPROCESSORS, PAD, STEP, ImplicitGemm, Plan, is_supported, sizes_of

if TYPE_CHECKING:
    from .convolution import Geometry

ALIGNMENT = 1024
"""Of tiles in shared memory, which may begin anywhere: so much more is asked for."""
ALONE = 0.6
"""The time of a block that has a multiprocessor to itself, where two share one, as a part of theirs: an estimate."""
NARROW = 64
"""Columns of the narrowest tile."""


class Tile(NamedTuple):
    """A kernel's block: the part of the result that it computes, and how many of it share a multiprocessor.

    A full multiprocessor takes so many clocks to start and to end its blocks, and so many for every step of their sums: 128
    bytes of a row, for TF32 as for short floats.
    """

    rows: int
    columns: int
    threads: int
    stages: int
    blocks: int
    ends: int
    step: int

    def clocks(self, blocks: int, steps: float) -> float:
        """The time of so many blocks, of so many steps each."""
        is_alone = self.blocks > 1 and blocks <= MULTIPROCESSORS
        rounds = ALONE if is_alone else -(-blocks // (MULTIPROCESSORS * self.blocks))
        return rounds * (self.ends + steps * self.step)

    def memory(self, itemsize: int) -> int:
        """The shared memory of a block: tiles, which its result replaces, and its rows' places."""
        tiles = self.stages * (self.rows + self.columns) * STEP
        return ALIGNMENT + max(tiles, self.rows * (self.columns + PAD) * itemsize) + 12 * self.rows


TILES = (
    Tile(128, 256, 256, 4, 1, 10700, 1230),
    Tile(256, 128, 256, 4, 1, 11200, 1410),
    Tile(128, 128, 256, 6, 1, 7700, 790),
    Tile(128, 64, 128, 4, 2, 7400, 910),
)


@lru_cache(1024)
def plan_convolve(
    N: int, OC: int, g: Geometry, pitches: tuple[int, int], itemsize: int, backward: bool, tiles: tuple[Tile, ...]
) -> Plan | None:
    """The launch of a convolution, or of its gradient by the input; None where ``implicit_gemm`` is better, or nothing serves.

    Args:
        N: the images.
        OC: the output channels of all groups.
        g: the other sizes.
        pitches: the numbers from pixel to pixel, of input and output.
        itemsize: the bytes of a number, 4 or 2.
        backward: whether it is the gradient by the input.
        tiles: those to choose from.
    """
    if not is_supported(N, OC, g, pitches, itemsize):
        return None
    phases = g.SH * g.SW if backward else 1
    rows = N * -(-g.H // g.SH) * -(-g.W // g.SW) if backward else N * g.OH * g.OW  # of the first phase, the largest
    channels, columns = (OC // g.G, g.C // g.G) if backward else (g.C // g.G, OC // g.G)
    if itemsize == 2 and 2 * channels < STEP and columns <= NARROW:
        return None  # several taps per step: their arithmetic wants more warps (ResNet's first layer: 241 µs against 262)
    steps = g.KH * g.KW * channels * itemsize / STEP / phases  # on average: every tap is of one phase

    def blocks(tile: Tile) -> int:
        return -(-rows // tile.rows) * -(-columns // tile.columns)

    best = min(tiles, key=lambda tile: tile.clocks(blocks(tile) * phases * g.G, steps))
    name = f"convolve_{best.rows}x{best.columns}"
    return Plan(name, (blocks(best), phases, g.G), best.threads, best.memory(itemsize), sizes_of(N, OC, g, pitches))


class HopperGemm(ImplicitGemm):
    """The same three kernels, of which two have tiles for Hopper (``compiler.is_usable("hopper_gemm", cupy)``)."""

    def plan(
        self, N: int, OC: int, g: Geometry, pitches: tuple[int, int], itemsize: int, backward: bool
    ) -> tuple[str, Plan | None]:
        plan = plan_convolve(N, OC, g, pitches, itemsize, backward, TILES)
        return super().plan(N, OC, g, pitches, itemsize, backward) if plan is None else ("hopper_gemm", plan)
