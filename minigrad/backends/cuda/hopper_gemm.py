"""Convolution by the tensor cores of Hopper: which tiles of ``kernels/hopper_gemm.cu`` to launch for which sizes.

The planner knows each tile by two figures that were fitted to what ResNet-50's layers took on an H200 (64 images, both types,
both directions): with them it takes, of these tiles, the one that was measured as the fastest for every layer.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from .implicit_gemm import MULTIPROCESSORS, STEP, ImplicitGemm, Plan, convolve_memory, is_supported, products_of, sizes_of

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
        """The shared memory of a block."""
        return ALIGNMENT + convolve_memory(self.rows, self.columns, self.stages, itemsize)


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
    """The launch for the arguments of ``implicit_gemm.plan_convolve``; None where that one is better, or nothing serves."""
    if not is_supported(N, OC, g, pitches, itemsize):
        return None
    products = products_of(N, OC, g, backward)
    if itemsize == 2 and 2 * products.channels < STEP and products.columns <= NARROW:
        return None  # several taps per step: their arithmetic wants more warps (ResNet's first layer: 241 µs against 262)
    steps = g.KH * g.KW * products.channels * itemsize / STEP / products.phases  # on average: every tap is of one phase
    best = min(tiles, key=lambda tile: tile.clocks(prod(products.grid(*tile[:2])), steps))
    name, grid = f"convolve_{best.rows}x{best.columns}", products.grid(*best[:2])
    return Plan(name, grid, best.threads, best.memory(itemsize), sizes_of(N, OC, g, pitches))


class HopperGemm(ImplicitGemm):
    """The same three kernels, of which two have tiles for Hopper (``compiler.is_usable("hopper_gemm", cupy)``)."""

    def plan(
        self, N: int, OC: int, g: Geometry, pitches: tuple[int, int], itemsize: int, backward: bool
    ) -> tuple[str, Plan | None]:
        plan = plan_convolve(N, OC, g, pitches, itemsize, backward, TILES)
        return super().plan(N, OC, g, pitches, itemsize, backward) if plan is None else ("hopper_gemm", plan)
