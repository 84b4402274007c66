"""Winograd's F(4×4, 3×3): a 3×3 convolution with stride 1 in a quarter of the multiplications.

The output is cut into tiles of 4×4, each of which comes from 6×6 numbers of the input. With the fixed matrices A, B and G
below, tile = Aᵀ[(G w Gᵀ) ⊙ (Bᵀ d B)]A: the product in the middle is one number per channel pair and place, so that over
all tiles and channels it is 36 matrix products. The transforms on both sides are products with Kronecker squares, (36, 36)
and (16, 36). The gradient by the weight is the transpose of the same formula.

It rounds more than a plain sum does: about 1e-5 of the output's standard deviation instead of 1e-6.

A. Lavin, S. Gray: "Fast Algorithms for Convolutional Neural Networks", 2015, arXiv:1509.09308.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..generic.windows import Pair
from .blas import Gemm, address, product
from .threads import for_each, scratch
from .windows import padded_planes

_B = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
_G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
_A = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])

INPUT = np.kron(_B, _B).astype(np.float32)  # (36, 36)
WEIGHT = np.kron(_G, _G).astype(np.float32)  # (36, 9)
FLIPPED = np.ascontiguousarray(WEIGHT[:, ::-1])  # for the weight turned by half a turn
OUTPUT = np.kron(_A, _A).astype(np.float32)  # (16, 36)

FUSED = 1 << 20
"""The bytes of a part that goes from input to output by itself: it stays in a core's cache."""
GROUP = 1 << 23
"""The bytes of the tiles that are transformed before the products begin, where the weights fill the cache."""
LIGHT = 3 << 20
"""The bytes up to which the transformed weights stay in a core's cache beside a part."""


class Tiles(NamedTuple):
    """Some rows of tiles of some images, and the place of their first in a list of tiles."""

    images: slice
    top: int
    bottom: int
    first: int
    number: int


@lru_cache(1024)
def _groups(images: int, rows: int, columns: int, part: int, group: int) -> tuple[tuple[Tiles, ...], ...]:
    """All tiles in parts of up to ``part`` tiles, these in groups of up to ``group``."""
    groups: list[tuple[Tiles, ...]] = []
    parts: list[Tiles] = []
    first = 0
    height = max(1, min(rows, part // columns))
    together = max(1, part // (columns * rows)) if height == rows else 1
    for i in range(0, images, together):
        n = min(together, images - i)
        for top in range(0, rows, height):
            bottom = min(top + height, rows)
            number = n * (bottom - top) * columns
            if parts and first + number > group:
                groups.append(tuple(parts))
                parts, first = [], 0
            parts.append(Tiles(slice(i, i + n), top, bottom, first, number))
            first += number
    return (*groups, tuple(parts))


def correlate(x: np.ndarray, w: np.ndarray, bias: Any, padding: Pair, output_size: Pair, backwards: bool) -> np.ndarray:
    """(N, H, W, C) -> (N, OH, OW, O), with the padding before the first row and column.

    Args:
        w: (O, C, 3, 3); backwards (C, O, 3, 3), and turned by half a turn.
    """
    N, _, _, C = x.shape
    O = w.shape[1] if backwards else w.shape[0]  # noqa: E741
    y = np.empty((N, *output_size, O), np.float32)
    rows, columns = (-(-size // 4) for size in output_size)
    if 36 * C * O * 4 <= LIGHT:
        u = _weights(w if backwards else w.transpose(1, 0, 2, 3), backwards)
        budget = max(1, FUSED // (36 * 4 * (C + O)))
        parts = [part for group in _groups(N, rows, columns, _fair(budget, N * rows * columns), 1) for part in group]

        def fused(i: int) -> None:
            t = parts[i].number
            planes, d, v, m = _tile_buffers(x, parts[i], columns, 36 * t * max(C, O), 36 * t * C, 36 * t * O)
            _to_frequencies(x, parts[i], padding, columns, planes, d, v.reshape(36, t * C))
            products = np.matmul(v.reshape(36, t, C), u, out=m.reshape(36, t, O))
            _from_frequencies(products.reshape(36, t * O), y, bias, parts[i], columns, d)

        for_each(len(parts), fused)
        return y
    u = _weights(w, backwards)
    u = u if backwards else u.transpose(0, 2, 1)
    budget = max(1, GROUP // (36 * 4 * (C + O)))
    for group in _groups(N, rows, columns, _fair(budget // 8, N * rows * columns), budget):
        _by_phases(x, u, y, bias, padding, columns, group)
    return y


def _by_phases(
    x: np.ndarray, u: np.ndarray, y: np.ndarray, bias: Any, padding: Pair, columns: int, group: tuple[Tiles, ...]
) -> None:
    """Transform all tiles of a group, multiply all with each of the 36 matrices, transform back."""
    C, O = u.shape[1:]  # noqa: E741
    T = group[-1].first + group[-1].number
    v, m = np.empty((36, T * C), np.float32), np.empty((36, T * O), np.float32)

    def forth(i: int) -> None:
        part = group[i]
        planes, d = _tile_buffers(x, part, columns, 36 * part.number * C)
        _to_frequencies(x, part, padding, columns, planes, d, v[:, part.first * C : (part.first + part.number) * C])

    def multiply(f: int) -> None:
        np.matmul(v[f].reshape(T, C), u[f], out=m[f].reshape(T, O))

    def back(i: int) -> None:
        part = group[i]
        (d,) = scratch(16 * part.number * O, dtype=np.float32)
        _from_frequencies(m[:, part.first * O : (part.first + part.number) * O], y, bias, part, columns, d)

    for_each(len(group), forth)
    for_each(36, multiply)
    for_each(len(group), back)


def weight_grad(x: np.ndarray, dy: np.ndarray, padding: Pair, dw: np.ndarray) -> None:
    """Write the gradient by the weight to ``dw`` (O, C, 3, 3), from the input (N, H, W, C) and dy (N, OH, OW, O)."""
    N, OH, OW, O = dy.shape  # noqa: E741
    C = x.shape[3]
    rows, columns = -(-OH // 4), -(-OW // 4)
    budget = max(1, GROUP // (36 * 4 * (C + O)))
    du = np.empty((36, O, C), np.float32)
    for number, group in enumerate(_groups(N, rows, columns, _fair(budget // 8, N * rows * columns), budget)):
        _add_products(x, dy, du, padding, columns, group, number > 0)
    product(du.reshape(36, O * C).T, WEIGHT, out=dw.reshape(O * C, 9))


def _add_products(
    x: np.ndarray, dy: np.ndarray, du: np.ndarray, padding: Pair, columns: int, group: tuple[Tiles, ...], accumulate: bool
) -> None:
    """Transform the tiles of a group on both sides, and add the products of the two to ``du`` (36, O, C)."""
    O, C = du.shape[1:]  # noqa: E741
    T = group[-1].first + group[-1].number
    v, m = np.empty((36, T * C), np.float32), np.empty((36, T * O), np.float32)
    gemm = Gemm(np.float32, O, C, T, O, C, C, ta=True)
    at_v, at_m, at_du = address(v), address(m), address(du)

    def forth(i: int) -> None:
        part = group[i]
        planes, d = _tile_buffers(x, part, columns, 36 * part.number * max(C, O))
        _to_frequencies(x, part, padding, columns, planes, d, v[:, part.first * C : (part.first + part.number) * C])
        _gradient_to_frequencies(dy, part, columns, d, m[:, part.first * O : (part.first + part.number) * O])

    def multiply(f: int) -> None:
        gemm(at_m + f * m.strides[0], at_v + f * v.strides[0], at_du + f * du.strides[0], accumulate)

    for_each(len(group), forth)
    for_each(36, multiply)


def _weights(w: np.ndarray, backwards: bool) -> np.ndarray:
    """(A, B, 3, 3) -> (36, A, B)."""
    A, B = w.shape[:2]
    result = np.empty((36, A * B), np.float32)
    product(FLIPPED if backwards else WEIGHT, w.reshape(A * B, 9).T, out=result)
    return result.reshape(36, A, B)


def _tile_buffers(x: np.ndarray, part: Tiles, columns: int, *sizes: int) -> list[np.ndarray]:
    """Scratch memory for the padded input of a part, and of given sizes."""
    rows, width = 4 * (part.bottom - part.top) + 2, 4 * columns + 2
    return scratch((part.images.stop - part.images.start) * rows * width * x.shape[3], *sizes, dtype=np.float32)


def _to_frequencies(
    x: np.ndarray, part: Tiles, padding: Pair, columns: int, planes: np.ndarray, buffer: np.ndarray, out: np.ndarray
) -> None:
    """Bᵀ d B of all 6×6 tiles: (36, tiles · C)."""
    C = x.shape[3]
    top, left = 4 * part.top - padding[0], -padding[1]
    bottom, right = 4 * part.bottom + 2 - padding[0], 4 * columns + 2 - padding[1]
    planes = padded_planes(x, part.images, (top, bottom), (left, right), 0, planes)
    n, h, w, c = planes.strides
    shape = (6, 6, len(planes), part.bottom - part.top, columns, C)
    tiles = buffer[: 36 * part.number * C].reshape(shape)
    np.copyto(tiles, as_strided(planes, shape, (h, w, n, 4 * h, 4 * w, c)))
    np.matmul(INPUT, tiles.reshape(36, -1), out=out)


def _from_frequencies(m: np.ndarray, y: np.ndarray, bias: Any, part: Tiles, columns: int, buffer: np.ndarray) -> None:
    """Aᵀ m A of all tiles, written to where they lie in the output."""
    O = y.shape[3]  # noqa: E741
    tiles = np.matmul(OUTPUT, m, out=buffer[: 16 * part.number * O].reshape(16, -1))
    if bias is not None:
        np.add(tiles.reshape(-1, O), bias, out=tiles.reshape(-1, O))
    for place, phase in _phases(y, part, columns):
        place[...] = tiles.reshape(4, 4, -1, part.bottom - part.top, columns, O)[phase]


def _gradient_to_frequencies(dy: np.ndarray, part: Tiles, columns: int, buffer: np.ndarray, out: np.ndarray) -> None:
    """A dy Aᵀ of all tiles: (36, tiles · O)."""
    O = dy.shape[3]  # noqa: E741
    tiles = buffer[: 16 * part.number * O].reshape(4, 4, -1, part.bottom - part.top, columns, O)
    if dy.shape[1] < 4 * part.bottom or dy.shape[2] < 4 * columns:
        tiles[...] = 0
    for place, phase in _phases(dy, part, columns):
        tiles[phase] = place
    np.matmul(OUTPUT.T, tiles.reshape(16, -1), out=out)


def _phases(y: np.ndarray, part: Tiles, columns: int) -> list[tuple[np.ndarray, Any]]:
    """A part's share of (N, OH, OW, O) by place in the tile: views, and where they go in tiles (4, 4, n, q, columns, O)."""
    here = y[part.images, 4 * part.top : 4 * part.bottom]
    n, height, width, O = here.shape  # noqa: E741
    if height == 4 * (part.bottom - part.top) and width == 4 * columns:
        split = here.reshape(n, height // 4, 4, columns, 4, O) if here.flags.c_contiguous else None
        if split is not None:
            return [(split.transpose(2, 4, 0, 1, 3, 5), ...)]
    found = []
    for i in range(4):
        for j in range(4):
            place = here[:, i::4, j::4]
            found.append((place, (i, j, slice(None), slice(0, place.shape[1]), slice(0, place.shape[2]))))
    return found


def _fair(budget: int, tiles: int) -> int:
    """The tiles of a part: as many as the budget allows, but so that there are eight parts where that can be."""
    return max(1, min(budget, -(-tiles // 8)))
