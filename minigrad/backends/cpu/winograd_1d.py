"""Winograd's F(4, 3) along the height: a convolution with three rows of taps and stride 1 in half of the multiplications.

It is for few channels, where the transforms of F(4×4, 3×3) (``winograd.py``) cost more than they save. Four rows of the output
come from six rows of the input: with the matrices A, B and G given there, rows = Aᵀ[(G w) ∗ (Bᵀ d)], where ∗ is a plain
convolution along the row. The gradient by the weight is the transpose of the same formula.

Bᵀ and Aᵀ are products of a tiny matrix with each tile's rows, one call of ``np.matmul`` for all tiles of a part: BLAS reads
them where they lie in the image and writes them where they are wanted, so nothing is copied, and nothing padded. Tiles that
reach over the first or the last row are products with fewer columns of the matrix.

The transformed rows are one line of pixels, with zeros where the kernel reaches over an end. KW neighbouring pixels of the line
are a row of a matrix as they lie: the runs that begin at pixels 0, KW, 2·KW … are a matrix, those from pixel 1 on another, and
so on. So nothing is copied for the products, whose results interleave likewise. What they find where two rows meet is left out.
Where BLAS has kernels for small products, the line is cut into stacks of runs that are as high as these take.

It rounds less than F(4×4, 3×3): up to 7e-6 of the output's standard deviation, where a plain sum makes 2e-6.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

import numpy as np

from .blas import SMALL, Panels, has_small_kernels
from .blas_threads import one_blas_thread
from .elementwise import contiguous
from .threads import for_each, scratch, sum_in_slices
from .windows import Block, Windows, blocks
from .winograd import A, B, G

PART = 1 << 23
"""The bytes of a part's transformed rows, on both sides."""
LONG = 256
"""The runs from which their sum is worth a product."""
F = 6
"""The rows of a tile of the input, and of its transform."""


def correlate(x: np.ndarray, w: np.ndarray, windows: Windows, y: np.ndarray) -> None:
    """(N, H, W, C) and (O, C, 3, KW), to ``y`` (N, OH, OW, O)."""
    O, C, _, KW = w.shape  # noqa: E741
    x = contiguous(x)
    cuts, pixels = _cuts(windows, len(x), C + O, x.itemsize)
    forth, back = B.astype(x.dtype), A.astype(x.dtype)
    with one_blas_thread:
        weights = Panels(np.matmul(G.astype(x.dtype), w.transpose(2, 3, 1, 0).reshape(3, -1)).reshape(F, KW * C, O))

    def part(i: int) -> None:
        images, rows = cuts[i]
        stacks = _stacks(cuts[i], pixels, KW, weights.height)
        v, m = scratch(stacks.size(C), stacks.size(O), dtype=x.dtype)
        lines = _lines(v, cuts[i], pixels, C, stacks)
        _transformed(forth, x, cuts[i], windows.rows.before, windows.columns.before, lines)
        weights.multiply_tiles(stacks.runs(v, C, KW), stacks.runs(m, O, 1))
        lines = _lines(m, cuts[i], pixels, O, stacks)
        for tiles, taps in _alike(y.shape[1], 4 * rows.start, 4, rows.stop - rows.start):
            place = _rows_of_tiles(y, images, 4 * rows.start, tiles, taps, slice(0, y.shape[2]))
            np.matmul(back[taps], _of_tiles(lines, tiles, slice(0, y.shape[2])), out=place)

    for_each(len(cuts), part)


def weight_grad(x: np.ndarray, dy: np.ndarray, windows: Windows) -> np.ndarray:
    """The gradient by the weight, (O, C, 3, KW), from (N, H, W, C) and (N, OH, OW, O)."""
    C, O, KW = x.shape[3], dy.shape[3], windows.columns.taps  # noqa: E741
    x, dy = contiguous(x), contiguous(dy)
    cuts, pixels = _cuts(windows, len(x), C + O, x.itemsize)
    forth, back = B.astype(x.dtype), A.T.astype(x.dtype)
    height = SMALL // (O * KW * C)
    height = height if has_small_kernels(x.dtype) and height >= LONG else None

    def write(i: int, out: np.ndarray) -> None:
        stacks = _stacks(cuts[i], pixels, KW, height)
        v, m, terms = scratch(stacks.size(C), stacks.size(O), stacks.number * KW * out.size, dtype=x.dtype)
        _transformed(forth, x, cuts[i], windows.rows.before, windows.columns.before, _lines(v, cuts[i], pixels, C, stacks))
        _transformed(back, dy, cuts[i], 0, 0, _lines(m, cuts[i], pixels, O, stacks))
        terms = terms.reshape(F, stacks.number, KW, O, KW * C)
        np.matmul(stacks.runs(m, O, 1).swapaxes(-2, -1), stacks.runs(v, C, KW), out=terms)
        np.add.reduce(terms, axis=(1, 2), out=out)

    total = sum_in_slices(len(cuts), write, (F, O, KW * C), x.dtype)
    with one_blas_thread:
        return np.matmul(G.T.astype(x.dtype), total.reshape(F, -1)).reshape(3, O, KW, C).transpose(1, 3, 0, 2)


def _cuts(windows: Windows, images: int, channels: int, itemsize: int) -> tuple[tuple[Block, ...], int]:
    """All tiles in parts, and the pixels of a row of the line: those of the output, and zeros."""
    OH, OW = windows.output_size
    pixels = OW + windows.columns.taps - 1
    return blocks(images, -(-OH // 4), F * pixels * channels * itemsize, PART), pixels


# --- the six lines of pixels ------------------------------------------------------------------------------------------------


class _Stacks(NamedTuple):
    """How the pixels of a line are cut: into stacks of KW times ``height`` runs, the last of which are zeros."""

    number: int
    KW: int
    height: int

    @property
    def line(self) -> int:
        """The pixels of a line."""
        return self.number * self.KW * self.height

    def size(self, channels: int) -> int:
        """The numbers of six lines, and of as many pixels as the last runs reach over the end."""
        return (F * self.line + self.KW) * channels

    def runs(self, lines: np.ndarray, channels: int, pixels: int) -> np.ndarray:
        """So many pixels from each one on: matrices (6, stacks, KW, height, pixels·channels).

        A stack's are the runs from its pixel 0, KW, … on, those from 1, KW + 1, … on, and so on. They are views.
        """
        shape = F, self.number, self.KW, self.height, pixels * channels
        steps = self.line, self.KW * self.height, 1, self.KW
        strides = *(step * channels * lines.itemsize for step in steps), lines.itemsize
        return np.ndarray(shape, lines.dtype, lines, 0, strides)


def _stacks(cut: Block, pixels: int, KW: int, height: int | None) -> _Stacks:
    """The stacks of a part: alike, and of no more runs than ``height``, unless that is None."""
    runs = -(-(cut.images.stop - cut.images.start) * (cut.rows.stop - cut.rows.start) * pixels // KW)
    number = 1 if height is None else -(-runs // height)
    return _Stacks(number, KW, -(-runs // (8 * number)) * 8)


def _lines(buffer: np.ndarray, cut: Block, pixels: int, channels: int, stacks: _Stacks) -> np.ndarray:
    """(6, images, tiles, pixels, channels), with zeros in what lies beyond."""
    images, tiles = cut.images.stop - cut.images.start, cut.rows.stop - cut.rows.start
    size = images * tiles * pixels * channels
    whole = stacks.line * channels
    lines = buffer[: F * whole].reshape(F, whole)
    lines[:, size:] = 0
    buffer[F * whole :] = 0
    return lines[:, :size].reshape(F, images, tiles, pixels, channels)


def _transformed(matrix: np.ndarray, x: np.ndarray, cut: Block, above: int, before: int, lines: np.ndarray) -> None:
    """The products of a matrix (6, taps) with each tile's rows of ``x``, written to the lines; with zeros beyond ``x``.

    Tile t begins with the row 4·t − above, and its line with the pixel −before.
    """
    first = 4 * cut.rows.start - above
    inside = slice(max(0, before), min(lines.shape[3], before + x.shape[2]))
    for outside in (slice(0, inside.start), slice(inside.stop, lines.shape[3])):
        lines[:, :, :, outside] = 0
    columns = slice(inside.start - before, inside.stop - before)
    for tiles, taps in _alike(x.shape[1], first, matrix.shape[1], lines.shape[2]):
        rows = _rows_of_tiles(x, cut.images, first, tiles, taps, columns)
        np.matmul(matrix[:, taps], rows, out=_of_tiles(lines, tiles, inside))


@lru_cache(256)
def _alike(height: int, first: int, taps: int, tiles: int) -> list[tuple[slice, slice]]:
    """Tiles of which the same rows exist among so many, and these; tile t has ``taps`` rows from 4·t + first on."""
    ranges = [(max(0, -row), max(0, -row, min(taps, height - row))) for row in range(first, first + 4 * tiles, 4)]
    found = []
    for (start, stop), numbers in groupby(range(tiles), ranges.__getitem__):
        alike = list(numbers)
        found.append((slice(alike[0], alike[-1] + 1), slice(start, stop)))
    return found


def _rows_of_tiles(x: np.ndarray, images: slice, first: int, tiles: slice, taps: slice, columns: slice) -> np.ndarray:
    """Some rows of each of some tiles: a view (images, tiles, taps, columns·C) of contiguous (N, H, W, C)."""
    image, line, pixel, _ = x.strides
    numbers = (columns.stop - columns.start) * x.shape[3]
    shape = images.stop - images.start, tiles.stop - tiles.start, taps.stop - taps.start, numbers
    row = 4 * tiles.start + first + taps.start if taps.start < taps.stop else 0
    start = images.start * image + row * line + columns.start * pixel
    return np.ndarray(shape, x.dtype, x, start, (image, 4 * line, line, x.itemsize))


def _of_tiles(lines: np.ndarray, tiles: slice, pixels: slice) -> np.ndarray:
    """Some pixels of some tiles: a view (images, tiles, 6, pixels·channels)."""
    channels = lines.shape[4]
    here = slice(pixels.start * channels, pixels.stop * channels)
    return lines.reshape(*lines.shape[:3], -1)[:, :, tiles, here].transpose(1, 2, 0, 3)
