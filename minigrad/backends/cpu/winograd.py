"""Winograd's F(4×4, 3×3): a 3×3 convolution with stride 1 in a quarter of the multiplications.

The output is cut into tiles of 4×4, each of which comes from 6×6 numbers of the input. With the fixed matrices A, B and G
below, tile = Aᵀ[(G w Gᵀ) ⊙ (Bᵀ d B)]A: the product in the middle is one number per channel pair and place, so that over
all tiles and channels it is 36 matrix products. The transforms on both sides are products with Kronecker squares, (36, 36)
and (16, 36). The gradient by the weight is the transpose of the same formula.

The same 6×6 numbers give 3×3 outputs of a 4×4 convolution, in a quarter of its multiplications too, and 2×2 of a 5×5 one, in
0.36 of them: B stays as it is, and A and G have fewer and more powers of the same six points.

The transformed weights take four times the memory of the weights. Where they stay in the cache, each part of the tiles goes
from input to output by itself. Where they do not, and there are few tiles, all tiles are transformed first, and then the
weights of some output channels at a time, which are multiplied before they leave the cache. Otherwise there are three phases:
all tiles, the products matrix by matrix, and the way back.

It rounds more than a plain sum does: up to 2e-5 of the output's standard deviation, where a plain sum makes 2e-6 to 6e-6.

A. Lavin, S. Gray: "Fast Algorithms for Convolutional Neural Networks", 2015, arXiv:1509.09308.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..generic.windows import Pair
from .blas import PANEL, SMALL, copy_columns, multiply_panels, panel_width, panels_pay, stacked_sums
from .threads import aligned, for_each, scratch
from .windows import Axis, Block, Windows, as_runs, blocks, padded, runs_of

TILE = 6
"""The numbers on a side of a tile of the input."""
POINTS = (0, 3 / 4, -3 / 4, 3 / 2, -3 / 2)
"""Where polynomials are evaluated, and at infinity. 0, 1, -1, 2 and -2 would need no fractions, and round three times more."""


def powers(number: int) -> np.ndarray:
    """The first so many powers of the points and of infinity, of which the last alone is not 0: (6, number)."""
    table = np.vander([*POINTS, 0], number, increasing=True)
    table[-1] = np.arange(number) == number - 1
    return table


_POLYNOMIALS = [np.poly([zero for zero in POINTS if zero != point]) for point in POINTS]
B = np.array([*([*polynomial[::-1], 0] for polynomial in _POLYNOMIALS), np.poly(POINTS)[::-1]])
"""In each row the coefficients of a polynomial that is 0 at all points but its own; they are exact in float32."""
SCALE = 1 / np.array([*map(np.polyval, _POLYNOMIALS, POINTS), 1])[:, None]
"""For each row of G: one over that polynomial's value at its point."""
G = powers(3) * SCALE
A = powers(4).T

INPUT = np.kron(B, B).astype(np.float32)  # (36, 36)


class _Transforms(NamedTuple):
    """What depends on the size of the filters."""

    side: int  # of a tile of the output
    weight: np.ndarray  # (36, taps²)
    flipped: np.ndarray  # for the weight turned by half a turn
    output: np.ndarray  # (side², 36)


@lru_cache
def _transforms(taps: int) -> _Transforms:
    side = side_of(taps)
    g, a = powers(taps) * SCALE, powers(side).T
    weight = np.kron(g, g).astype(np.float32)
    return _Transforms(side, weight, np.ascontiguousarray(weight[:, ::-1]), np.kron(a, a).astype(np.float32))


def side_of(taps: int) -> int:
    """The outputs on a side of a tile."""
    return TILE + 1 - taps


FUSED = 1 << 22
"""The bytes of a part that goes from input to output by itself."""
GROUP = 1 << 24
"""The bytes of the tiles that are transformed before the products begin, where the weights fill the cache."""
PART = 1 << 25
"""The multiplications of a part of the products: parts of less wait for Python's lock."""
LIGHT = 3 << 20
"""The bytes up to which the transformed weights stay in a core's cache beside a part."""
OUTWEIGH = 512
"""The pairs of channels, for every tile, from which the weights are transformed panel by panel."""
FEW = 1 << 13
"""The weights below which their transform is not worth threads."""
SLAB = 256
"""The columns of a transform's product: few enough for BLAS's small kernels."""
VECTOR = 16
"""The numbers that the processor computes at once."""


def correlate(x: np.ndarray, w: np.ndarray, padding: Pair, output_size: Pair, backwards: bool) -> np.ndarray:
    """(N, H, W, C) -> (N, OH, OW, O), with the padding before the first row and column.

    Args:
        w: (O, C, taps, taps); backwards (C, O, taps, taps), and turned by half a turn.
    """
    N, C = len(x), x.shape[3]
    O = w.shape[1] if backwards else w.shape[0]  # noqa: E741
    to = _transforms(w.shape[3])
    matrix = to.flipped if backwards else to.weight
    planes, tiles = padded(x, _tiles(x.shape[1:3], TILE, to.side, padding, output_size))
    y = aligned((N, *output_size, O), np.float32)
    rows, columns = tiles.output_size
    row_bytes = columns * 36 * 4 * (C + O)
    heavy = 36 * C * O * y.itemsize > LIGHT
    if heavy and panels_pay(np.float32, C, O) and OUTWEIGH * N * rows * columns <= min(C, OUTWEIGH) * O:
        _by_panels(to, planes, tiles, _with_channels_last(w, backwards), matrix, y)
        return y
    u = _weights(w, matrix, backwards)
    if heavy:
        for group in _groups(N, rows, row_bytes):
            _by_phases(to, planes, tiles, u, y, group)
        return y
    small = _panel(C, O) > 0
    parts = blocks(N, rows, row_bytes, FUSED)

    def fused(i: int) -> None:
        number = _count(parts[i], columns)
        d, v, m = scratch(36 * number * max(C, O), 36 * number * C, 36 * number * O, dtype=np.float32)
        v, m = v.reshape(36, number, C), m.reshape(36, number, O)
        _to_frequencies(INPUT, planes, tiles, parts[i], d, v)
        multiply_panels(v, u, m, small)
        _from_frequencies(to, m, y, parts[i], d)

    for_each(len(parts), fused)
    return y


def _by_panels(to: _Transforms, planes: np.ndarray, tiles: Windows, w: np.ndarray, matrix: np.ndarray, y: np.ndarray) -> None:
    """Transform all tiles; then, for some channels of the output at a time, the weights (taps, taps, C, O), which are still in
    the cache when they are multiplied.
    """
    C, O = w.shape[2:]  # noqa: E741
    rows, columns = tiles.output_size
    tile = 36 * C * y.itemsize
    group = blocks(len(y), rows, columns * tile, -(-len(y) * rows * columns * tile // 4))
    v, places = _group_to_frequencies(planes, tiles, group)
    T, most = v.shape[1], max(place.stop - place.start for place in places)
    parts = 2 * -(-O // (2 * PANEL))  # an even number: two threads would take as long for three as for four
    width = VECTOR * -(-O // (VECTOR * parts))

    def part(i: int) -> None:
        channels = slice(i * width, min((i + 1) * width, O))
        source, number = w[..., channels], channels.stop - channels.start
        sizes = source.size, 36 * C * number, 36 * T * number, to.side**2 * most * number
        laid_out, u, m, d = scratch(*sizes, dtype=np.float32)
        copy_columns(source, laid_out.reshape(source.shape))
        _transform(matrix, laid_out.reshape(-1, C * number), u.reshape(36, -1))
        m = m.reshape(36, T, number)
        multiply_panels(v, u.reshape(1, 36, C, number), m, True)
        for block, place in zip(group, places):
            _from_frequencies(to, m[:, place], y[..., channels], block, d)

    for_each(-(-O // width), part)


def _by_phases(to: _Transforms, planes: np.ndarray, tiles: Windows, u: np.ndarray, y: np.ndarray, group: list[Block]) -> None:
    """Transform all tiles of a group, multiply all with each of the 36 matrices, transform back."""
    C, O = planes.shape[3], y.shape[3]  # noqa: E741
    v, places = _group_to_frequencies(planes, tiles, group)
    m = _frequencies(v.shape[1], O)
    small = _panel(C, O) > 0
    step = _frequencies_together(v.shape[1] * C * O)

    def multiply(i: int) -> None:
        here = slice(i * step, (i + 1) * step)
        multiply_panels(v[here], u[:, here], m[here], small)

    def back(i: int) -> None:
        (d,) = scratch(to.side**2 * (places[i].stop - places[i].start) * O, dtype=np.float32)
        _from_frequencies(to, m[:, places[i]], y, group[i], d)

    for_each(36 // step, multiply)
    for_each(len(group), back)


def _group_to_frequencies(planes: np.ndarray, tiles: Windows, group: Sequence[Block]) -> tuple[np.ndarray, list[slice]]:
    """Bᵀ d B of all tiles of a group (36, tiles, C), and where in it those of each block are."""
    places, T = _places(group, tiles)
    v = _frequencies(T, planes.shape[3])

    def part(i: int) -> None:
        (d,) = scratch(36 * (places[i].stop - places[i].start) * planes.shape[3], dtype=np.float32)
        _to_frequencies(INPUT, planes, tiles, group[i], d, v[:, places[i]])

    for_each(len(group), part)
    return v, places


def weight_grad(x: np.ndarray, dy: np.ndarray, padding: Pair, dw: np.ndarray) -> None:
    """Write the gradient by the weight to ``dw`` (O, C, taps, taps), from the input (N, H, W, C) and dy (N, OH, OW, O)."""
    O, C, _, taps = dw.shape  # noqa: E741
    to, output_size = _transforms(taps), dy.shape[1:3]
    planes, tiles = padded(x, _tiles(x.shape[1:3], TILE, to.side, padding, output_size))
    above, tiles_above = padded(dy, _tiles(output_size, to.side, to.side, (0, 0), output_size))
    du = np.empty((36, O, C), np.float32)
    rows, columns = tiles.output_size
    for number, group in enumerate(_groups(len(x), rows, columns * 36 * 4 * (C + O))):
        _add_products(to, planes, tiles, above, tiles_above, du, group, number > 0)
    transformed = np.empty((taps**2, O * C), np.float32)
    step = -(-O * C // (4 * SLAB)) * SLAB

    def back(i: int) -> None:
        here = slice(i * step, (i + 1) * step)
        _transform(to.weight.T, du.reshape(36, O * C)[:, here], transformed[:, here])
        np.copyto(dw.reshape(O * C, taps**2)[here], transformed[:, here].T)

    for_each(-(-O * C // step), back)


def _add_products(
    to: _Transforms,
    planes: np.ndarray,
    tiles: Windows,
    above: np.ndarray,
    tiles_above: Windows,
    du: np.ndarray,
    group: list[Block],
    accumulate: bool,
) -> None:
    """Transform the tiles of a group on both sides, and add the products of the two to ``du`` (36, O, C)."""
    O, C = du.shape[1:]  # noqa: E741
    places, T = _places(group, tiles)
    v, m = _frequencies(T, C), _frequencies(T, O)

    def forth(i: int) -> None:
        (d,) = scratch(36 * (places[i].stop - places[i].start) * max(C, O), dtype=np.float32)
        _to_frequencies(INPUT, planes, tiles, group[i], d, v[:, places[i]])
        _to_frequencies(to.output.T, above, tiles_above, group[i], d, m[:, places[i]])

    step = _frequencies_together(T * C * O)

    def multiply(i: int) -> None:
        here = slice(i * step, (i + 1) * step)
        if accumulate:
            (terms,) = scratch(step * O * C, dtype=np.float32)
            terms = terms.reshape(step, O, C)
            stacked_sums(m[here], v[here], terms)
            np.add(du[here], terms, out=du[here])
        else:
            stacked_sums(m[here], v[here], du[here])

    for_each(len(group), forth)
    for_each(36 // step, multiply)


def _with_channels_last(w: np.ndarray, backwards: bool) -> np.ndarray:
    """(O, C, taps, taps) -> (taps, taps, C, O); backwards (taps, taps, O, C)."""
    return w.transpose(2, 3, 0, 1) if backwards else w.transpose(2, 3, 1, 0)


def _weights(w: np.ndarray, matrix: np.ndarray, backwards: bool) -> np.ndarray:
    """(O, C, taps, taps) -> 36 matrices (C, O) in panels, (number, 36, C, width); backwards (O, C)."""
    source = _with_channels_last(w, backwards)
    taps, _, K, n = source.shape
    width = _panel(K, n)
    if not width:
        u = _transformed(w, matrix)
        return (u if backwards else u.transpose(0, 2, 1))[None]
    laid_out, u = (aligned((m, n // width, K, width), np.float32) for m in (taps**2, 36))

    def part(i: int) -> None:
        copy_columns(source[..., i * width : (i + 1) * width], laid_out[:, i].reshape(taps, taps, K, width))
        _transform(matrix, laid_out[:, i].reshape(taps**2, -1), u[:, i].reshape(36, -1))

    for_each(n // width, part)
    return u.transpose(1, 0, 2, 3)


@lru_cache(1024)
def _panel(K: int, n: int) -> int:
    """The columns of equal panels of a matrix (K, n) that BLAS's small kernels take; 0 where it has none for them."""
    if not panels_pay(np.float32, K, n):
        return 0
    fitting = (width for width in (panel_width(n), n, 2 * VECTOR, VECTOR) if n % width == 0 and 8 * K * width <= SMALL)
    return next(fitting, 0)


def _transformed(w: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(36, O, C) from (O, C, taps, taps)."""
    filters = np.ascontiguousarray(w).reshape(-1, matrix.shape[1]).T
    u = np.empty((36, filters.shape[1]), np.float32)
    step = -(-u.shape[1] // 8) if u.shape[1] >= FEW else u.shape[1]

    def part(i: int) -> None:
        here = slice(i * step, (i + 1) * step)
        np.matmul(matrix, filters[:, here], out=u[:, here])

    for_each(-(-u.shape[1] // step), part)
    return u.reshape(36, *w.shape[:2])


def _tiles(size: Pair, taps: int, side: int, padding: Pair, output_size: Pair) -> Windows:
    """The tiles of the input or the output, with that many elements on a side, as windows a tile of the output apart."""
    axes = []
    for elements, before, outputs in zip(size, padding, output_size):
        number = -(-outputs // side)
        axes.append(Axis(elements, taps, side, before, side * (number - 1) + taps - before - elements, 1))
    return Windows(*axes)


def _groups(images: int, rows: int, row_bytes: int) -> list[list[Block]]:
    """All tiles in parts, these in groups."""
    groups: list[list[Block]] = [[]]
    size = 0
    for part in blocks(images, rows, row_bytes, -(-min(GROUP, images * rows * row_bytes) // 4)):
        part_size = (part.images.stop - part.images.start) * (part.rows.stop - part.rows.start) * row_bytes
        if groups[-1] and size + part_size > GROUP:
            groups.append([])
            size = 0
        groups[-1].append(part)
        size += part_size
    return groups


def _count(part: Block, columns: int) -> int:
    """The tiles of a part."""
    return (part.images.stop - part.images.start) * (part.rows.stop - part.rows.start) * columns


def _places(group: Sequence[Block], tiles: Windows) -> tuple[list[slice], int]:
    """The place of each part in a list of all tiles of a group, and how many these are."""
    places, first = [], 0
    for part in group:
        places.append(slice(first, first := first + _count(part, tiles.columns.windows)))
    return places, first


def _frequencies_together(multiplications: int) -> int:
    """How many of the 36 products are a part: a divisor of 18."""
    return next((n for n in (1, 2, 3, 6, 9) if n * multiplications >= PART), 18)


def _frequencies(tiles: int, channels: int) -> np.ndarray:
    """Memory for (36, tiles, channels); a multiple of 4096 bytes between neighbours of the 36 would be bad for the caches."""
    size = tiles * channels
    memory = aligned((36, size + (16 if size % 1024 == 0 else 0)), np.float32)
    return memory[:, :size].reshape(36, tiles, channels)


def _to_frequencies(
    matrix: np.ndarray, planes: np.ndarray, tiles: Windows, part: Block, buffer: np.ndarray, out: np.ndarray
) -> None:
    """The matrix (36, taps²) times the tiles of a part: Bᵀ d B of the input, A dy Aᵀ of a gradient. (36, tiles, C)"""
    taps, side, C = tiles.rows.taps, tiles.rows.stride, planes.shape[3]
    image, line, pixel, _ = planes.strides
    n, q = part.images.stop - part.images.start, part.rows.stop - part.rows.start
    shape = (taps, taps, n, q, tiles.columns.windows)
    start = part.images.start * image + part.rows.start * side * line
    found = np.ndarray(shape, runs_of(pixel), planes, start, (line, pixel, image, side * line, side * pixel))
    source = buffer[: found.size * C]
    np.copyto(as_runs(source, C).reshape(shape), found)
    _transform(matrix, source.reshape(taps * taps, -1), out.reshape(36, -1))


def _from_frequencies(to: _Transforms, m: np.ndarray, y: np.ndarray, part: Block, buffer: np.ndarray) -> None:
    """Aᵀ m A of all tiles (36, tiles, O), written to where they lie in the output."""
    _, OH, OW, O = y.shape  # noqa: E741
    side = to.side
    tiles = buffer[: side**2 * m.shape[1] * O]
    _transform(to.output, m.reshape(36, -1), tiles.reshape(side**2, -1))
    n, q, columns = part.images.stop - part.images.start, part.rows.stop - part.rows.start, -(-OW // side)
    runs = as_runs(tiles, O).reshape(side, side, n, q, columns).transpose(2, 3, 0, 4, 1)
    here = y.view(runs_of(O * y.itemsize))[part.images, side * part.rows.start : side * part.rows.stop, :, 0]
    if here.shape[1:] == (side * q, side * columns):
        np.copyto(here.reshape(n, q, side, columns, side), runs)
    else:
        np.copyto(here, runs.reshape(n, side * q, side * columns)[:, : here.shape[1], :OW])


def _transform(matrix: np.ndarray, source: np.ndarray, out: np.ndarray) -> None:
    """``matrix @ source`` into ``out``, in slabs of columns."""
    rows, columns = source.shape
    cut = columns - columns % SLAB
    if cut:
        slabs, results = (array[:, :cut].reshape(len(array), -1, SLAB).transpose(1, 0, 2) for array in (source, out))
        np.matmul(matrix, slabs, out=results)
    if cut < columns:
        np.matmul(matrix, source[:, cut:], out=out[:, cut:])
