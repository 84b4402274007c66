"""Winograd's F(4, 3) along the height: a convolution with three rows of taps and stride 1 in half of the multiplications.

It is for few channels, where the transforms of F(4×4, 3×3) (``winograd.py``) cost more than they save. Four rows of the output
come from six rows of the input: with the matrices A, B and G given there, rows = Aᵀ[(G w) ∗ (Bᵀ d)], where ∗ is a plain
convolution along the row. The gradient by the weight is the transpose of the same formula.

Bᵀ and Aᵀ for all tiles of a part are products of a sparse matrix with rows of the images, by SciPy: as quick as a dozen NumPy
calls, and a single one, where two threads that make many short calls wait for Python's lock. Padding above and below is made of
entries that the matrix lacks.

The transformed rows are one line of pixels, with zeros where the kernel reaches over an end. KW neighbouring pixels of the line
are a row of a matrix as they lie: the runs that begin at pixels 0, KW, 2·KW … are a matrix, those from pixel 1 on another, and
so on. So nothing is copied for the products, whose results interleave likewise. What they find where two rows meet is left out.

It rounds less than F(4×4, 3×3): up to 1e-5 of the output's standard deviation, where a plain sum makes 1e-6.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .blas_threads import one_blas_thread
from .elementwise import add_to_rows
from .threads import for_each, scratch, sum_in_slices
from .windows import Block, Windows, blocks, padded_planes
from .winograd import A, B, G

PART = 1 << 22
"""The bytes of a part's transformed rows, on both sides."""
F = 6
"""The rows of a tile of the input, and of its transform."""


def correlate(x: np.ndarray, w: np.ndarray, bias: Any, windows: Windows, y: np.ndarray) -> None:
    """(N, H, W, C) and (O, C, 3, KW), to ``y`` (N, OH, OW, O)."""
    O, C, _, KW = w.shape  # noqa: E741
    cuts, pixels = _cuts(windows, len(x), C + O, x.itemsize)
    with one_blas_thread:
        weights = np.tensordot(G.astype(x.dtype), w, (1, 2)).transpose(0, 3, 2, 1).reshape(F, 1, KW * C, O)

    def part(i: int) -> None:
        n, tiles = _size(cuts[i])
        planes, m = scratch(_planes_size(cuts[i], pixels, C), F * n * tiles * pixels * O, dtype=x.dtype)
        runs = _transformed_runs(x, cuts[i], windows, planes)
        np.matmul(runs, weights, out=_every_run(m.reshape(F, -1, O), KW))
        here = y[cuts[i].images, 4 * cuts[i].rows.start : 4 * cuts[i].rows.stop]
        rows = _back(n, tiles, here.shape[1], x.dtype) @ m.reshape(-1, pixels * O)
        if bias is not None:
            add_to_rows(bias, rows)
        np.copyto(here, rows.reshape(*here.shape[:2], pixels, O)[:, :, : here.shape[2]])

    for_each(len(cuts), part)


def weight_grad(x: np.ndarray, dy: np.ndarray, windows: Windows) -> np.ndarray:
    """The gradient by the weight, (O, C, 3, KW), from (N, H, W, C) and (N, OH, OW, O)."""
    C, O, KW = x.shape[3], dy.shape[3], windows.columns.taps  # noqa: E741
    cuts, pixels = _cuts(windows, len(x), C + O, x.itemsize)

    def add(i: int, total: np.ndarray) -> None:
        n, tiles = _size(cuts[i])
        planes, terms = scratch(_planes_size(cuts[i], pixels, max(C, O)), KW * total.size, dtype=x.dtype)
        runs = _transformed_runs(x, cuts[i], windows, planes)
        rows = 4 * cuts[i].rows.start, min(4 * cuts[i].rows.stop, dy.shape[1])
        above = padded_planes(dy, cuts[i].images, rows, (0, pixels), 0, planes)
        m = _forth_of_gradient(n, tiles, above.shape[1], x.dtype) @ above.reshape(-1, pixels * O)
        terms = terms.reshape(F, KW, O, KW * C)
        np.matmul(_every_run(m.reshape(F, -1, O), KW).transpose(0, 1, 3, 2), runs, out=terms)
        np.add(total, np.add.reduce(terms, axis=1), out=total)

    total = sum_in_slices(len(cuts), add, (F, O, KW * C), x.dtype)
    with one_blas_thread:
        return np.tensordot(G.astype(x.dtype), total, (0, 0)).reshape(3, O, KW, C).transpose(1, 3, 0, 2)


def _cuts(windows: Windows, images: int, channels: int, itemsize: int) -> tuple[tuple[Block, ...], int]:
    """All tiles in parts, and the pixels of a row of the line: those of the output, and zeros."""
    OH, OW = windows.output_size
    pixels = OW + windows.columns.taps - 1
    return blocks(images, -(-OH // 4), F * pixels * channels * itemsize, PART), pixels


def _size(cut: Block) -> tuple[int, int]:
    """The images of a part, and the tiles of each."""
    return cut.images.stop - cut.images.start, cut.rows.stop - cut.rows.start


def _planes_size(cut: Block, pixels: int, channels: int) -> int:
    """The numbers of the rows that a part reaches."""
    n, tiles = _size(cut)
    return n * (4 * tiles + 2) * pixels * channels


def _transformed_runs(x: np.ndarray, cut: Block, windows: Windows, buffer: np.ndarray) -> np.ndarray:
    """Bᵀ d of a part as matrices (6, KW, runs, KW·C): for each of the six, the runs from pixel 0, 1, … on; a view."""
    n, tiles = _size(cut)
    first, last = 4 * cut.rows.start - windows.rows.before, 4 * cut.rows.stop - windows.rows.before + 2
    top = max(0, first)
    rows = top, max(top, min(last, x.shape[1]))
    planes = padded_planes(x, cut.images, rows, windows.columns.span(0, windows.columns.windows), 0, buffer)
    _, height, pixels, C = planes.shape
    v = _forth(n, tiles, height, first - top, x.dtype) @ planes.reshape(-1, pixels * C)
    KW, step = windows.columns.taps, v.itemsize * C
    line = n * tiles * pixels
    return np.ndarray((F, KW, line // KW, KW * C), v.dtype, v, 0, (line * step, step, KW * step, v.itemsize))


def _every_run(m: np.ndarray, KW: int) -> np.ndarray:
    """The pixels of six lines (6, pixels, O) as (6, KW, runs, O): every KW-th from the first on, from the second on, …"""
    _, line, O = m.shape  # noqa: E741
    return m[:, : line - line % KW].reshape(F, -1, KW, O).transpose(0, 2, 1, 3)


# --- the transforms of a part's rows, as sparse matrices --------------------------------------------------------------------


@lru_cache(256)
def _forth(images: int, tiles: int, rows: int, first: int, dtype: Any) -> Any:
    """Bᵀ: from so many rows of each image, the first tile's beginning at row ``first``; (6·images·tiles + 1, images·rows).

    The last row is a zero one, as the last runs reach over the end of the line.
    """
    return _of_tiles(B, images, tiles, rows, first, 1, dtype)


@lru_cache(256)
def _forth_of_gradient(images: int, tiles: int, rows: int, dtype: Any) -> Any:
    """A: from so many rows of each image of the output's gradient; (6·images·tiles, images·rows)."""
    return _of_tiles(A.T, images, tiles, rows, 0, 0, dtype)


@lru_cache(256)
def _back(images: int, tiles: int, rows: int, dtype: Any) -> Any:
    """Aᵀ: to so many rows of each image; (images·rows, 6·images·tiles)."""
    return _forth_of_gradient(images, tiles, rows, dtype).T.tocsr()


def _of_tiles(matrix: np.ndarray, images: int, tiles: int, rows: int, first: int, more: int, dtype: Any) -> Any:
    """A matrix (6, taps) for every tile of every image: tile t takes the image's rows from 4·t + first on, if they exist."""
    from scipy.sparse import csr_array

    f, tap = np.nonzero(matrix)
    image, tile, entry = np.ix_(range(images), range(tiles), range(len(f)))
    row = 4 * tile + tap[entry] + first
    exists = np.broadcast_to((row >= 0) & (row < rows), (images, tiles, len(f)))
    values = np.broadcast_to(matrix[f, tap][entry], exists.shape)[exists]
    places = (f[entry] * images + image) * tiles + tile, image * rows + row
    shape = F * images * tiles + more, images * rows
    return csr_array((values, tuple(np.broadcast_to(index, exists.shape)[exists] for index in places)), shape, dtype=dtype)
