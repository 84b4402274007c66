"""Grouped convolution: for a part of the images, the windows of every group as a matrix, times that group's weights.

A group has few channels, and a product with few columns is slow. So neighbouring pixels are computed as if they were channels
of one ("joined pixels", as in ``columns.py``), or several groups, with zeros between them. For the gradient by the input with a
larger stride than 1 the pixels within a stride are joined: one convolution of the output's gradient finds all of them.
Groups of many channels do not come here, but are convolutions by themselves (``plan.is_apart``).

With channels last those of a group lie in short runs. They are sorted by group part by part, while they are in the cache:
sorted for all images at once, each run is fetched from memory anew, which takes four to eight times as long.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..generic.windows import Pair
from .blas import Panels, sums_of_products
from .columns import joined, lay_out
from .elementwise import contiguous
from .plan import ENOUGH, PART, joined_pixels, way_back
from .threads import aligned, for_each, scratch, sum_in_slices
from .windows import Block, Windows, as_runs, blocks, fill_around, meeting

JOINED = 16
"""The channels up to which groups are joined."""


def correlate(x: np.ndarray, w: np.ndarray, windows: Windows, groups: int, y: np.ndarray) -> None:
    """(N, H, W, C) and (O, C/G, KH, KW), to ``y`` (N, OH, OW, O)."""
    O, CG = w.shape[:2]  # noqa: E741
    together, pixels = _joins(windows, groups, CG, O // groups)
    split = _split(w, groups, together)
    weights = np.zeros(_joined_shape(split, windows, pixels), w.dtype)
    for place, i in _places(weights, windows, pixels):
        place[...] = split[..., i, :, :]
    G = len(weights)
    outputs = _by_group(y, G)

    def write(block: Block, results: np.ndarray) -> None:
        here = outputs[block.images, block.rows]
        np.copyto(here, as_runs(results, O // G).reshape(G, *here.shape[:3]).transpose(1, 2, 3, 0))

    _multiply(_by_group(contiguous(x), G), joined(windows, pixels), weights.reshape(G, -1, pixels * O // G), write)


def input_grad(dy: np.ndarray, w: np.ndarray, windows: Windows, groups: int) -> np.ndarray:
    """The gradient by the input, (N, H, W, C), from (N, OH, OW, O) and (O, C/G, KH, KW).

    All pixels within a stride are found at once; some tap must meet one of them.
    """
    O, CG = w.shape[:2]  # noqa: E741
    (rows, of_rows), (columns, of_columns) = (way_back(axis) for axis in windows)
    pixels, (down, across) = [axis.pixels for axis in windows], (axis.stride for axis in windows)
    n = math.prod(pixels) * CG
    together = _together(groups, n, max(CG, O // groups))
    split = _split(w, groups, together)
    G, *_, OG = split.shape
    weights = np.zeros((G, rows.taps, columns.taps, together, OG, *pixels, together, CG), w.dtype)
    for (u, row, i), (v, column, j), k in itertools.product(of_rows, of_columns, range(together)):
        weights[:, row, column, k, :, i, j, k] = split[:, u, v, k].swapaxes(1, 2)
    dx = aligned((len(dy), windows.rows.size, windows.columns.size, groups * CG), dy.dtype)
    inputs = _by_group(dx, G)

    def write(block: Block, results: np.ndarray) -> None:
        first, end = block.rows.start * down, block.rows.stop * down
        found = as_runs(results, together * CG).reshape(G, -1, block.rows.stop - block.rows.start, columns.windows, *pixels)
        for i, j in itertools.product(*map(range, pixels)):
            here = inputs[block.images, first + i : end : down, j::across]
            np.copyto(here, found[:, :, : here.shape[1], : here.shape[2], i, j].transpose(1, 2, 3, 0))

    _multiply(_by_group(contiguous(dy), G), Windows(rows, columns), weights.reshape(G, -1, n * together), write)
    return dx


def weight_grad(x: np.ndarray, dy: np.ndarray, windows: Windows, groups: int, dw: np.ndarray) -> None:
    """The gradient by the weight, to ``dw`` (O, C/G, KH, KW), from (N, H, W, C) and contiguous (N, OH, OW, O)."""
    together, pixels = _joins(windows, groups, x.shape[3] // groups, dy.shape[3] // groups)
    split = _split(dw, groups, together)
    G, *shape = _joined_shape(split, windows, pixels)
    K, n = math.prod(shape[:4]), math.prod(shape[4:])
    below, above, wide = _by_group(contiguous(x), G), _by_group(dy, G), joined(windows, pixels)
    cuts = _cuts(len(x), wide, G * K * dy.itemsize)

    def write(i: int, out: np.ndarray) -> None:
        rows, right = _rows_of_windows(below, wide, cuts[i], n, dy.dtype)
        source = above[cuts[i].images, cuts[i].rows].transpose(3, 0, 1, 2)
        np.copyto(as_runs(right, n // pixels).reshape(source.shape), source)
        sums_of_products(rows, right, out)

    total = sum_in_slices(len(cuts), write, (G, K, n), dy.dtype)
    split[...] = 0
    for place, i in _places(total.reshape(G, *shape), windows, pixels):
        split[..., i, :, :] += place


# --- products -----------------------------------------------------------------------------------------------------------


def _multiply(runs: np.ndarray, windows: Windows, matrices: np.ndarray, write: Callable[[Block, np.ndarray], None]) -> None:
    """The windows of runs (N, H, W, G) times each group's matrix (G, KH·KW·C, n).

    Args:
        write: called with a block and its results (G, windows, n).
    """
    G, K, n = matrices.shape
    panels = Panels(matrices)
    cuts = _cuts(len(runs), windows, G * K * matrices.itemsize)

    def part(i: int) -> None:
        rows, results = _rows_of_windows(runs, windows, cuts[i], n, matrices.dtype)
        panels.multiply(rows, results)
        write(cuts[i], results)

    for_each(len(cuts), part)


def _cuts(images: int, windows: Windows, row_bytes: int) -> tuple[Block, ...]:
    """All windows in blocks, by the bytes of the rows that each makes."""
    OH, OW = windows.output_size
    return blocks(images, OH, OW * row_bytes, PART)


def _rows_of_windows(runs: np.ndarray, windows: Windows, block: Block, columns: int, dtype: Any) -> list[np.ndarray]:
    """The windows of a block over runs (N, H, W, G) as matrices (G, windows, KH·KW·C), and room for (G, windows, columns).

    Both are in scratch memory.
    """
    H, W, G = runs.shape[1:]
    C = runs.itemsize // np.dtype(dtype).itemsize
    height, width = block.rows.stop - block.rows.start, windows.columns.windows
    reach = windows.rows.span(block.rows.start, block.rows.stop), windows.columns.span(0, width)
    of_image, inside = meeting((H, W), *reach)
    source = runs[block.images, *of_image].transpose(3, 0, 1, 2)
    shape = *source.shape[:2], *(last - first for first, last in reach)
    count, K = shape[1] * height * width, math.prod(windows.kernel_size) * C
    planes, rows, room = scratch(math.prod(shape) * C, G * count * K, G * count * columns, dtype=dtype)
    np.copyto(planes.view(runs.dtype).reshape(shape)[:, :, *inside], source)
    planes = planes.reshape(-1, *shape[2:], C)
    fill_around(planes, inside, 0)
    rows = rows.reshape(G, count, K)
    lay_out(planes, windows, Block(slice(0, len(planes)), slice(0, height)), rows)
    return [rows, room.reshape(G, count, columns)]


def _by_group(x: np.ndarray, groups: int) -> np.ndarray:
    """Contiguous (N, H, W, C) as runs of a group's channels: a view (N, H, W, G)."""
    return as_runs(x, x.shape[3] // groups).reshape(*x.shape[:3], groups)


# --- what is joined -----------------------------------------------------------------------------------------------------


def _joins(windows: Windows, groups: int, CG: int, OG: int) -> Pair:
    """How many groups are computed as one, and how many pixels."""
    pixels = joined_pixels(windows, OG)
    return (1, pixels) if pixels > 1 else (_together(groups, OG, max(CG, OG)), 1)


def _together(groups: int, columns: int, channels: int) -> int:
    """How many groups of so many columns and channels are computed as one: as few as give a product columns enough."""
    fitting = [n for n in range(1, groups + 1) if groups % n == 0 and (n == 1 or n * channels <= JOINED)]
    return next((n for n in fitting if n * columns >= ENOUGH), fitting[-1])


def _split(w: np.ndarray, groups: int, together: int) -> np.ndarray:
    """(O, C/G, KH, KW) -> (G/together, KH, KW, together, C/G, O/G): a view where ``w`` is contiguous."""
    return w.reshape(groups // together, together, -1, *w.shape[1:]).transpose(0, 4, 5, 1, 3, 2)


def _joined_shape(split: np.ndarray, windows: Windows, pixels: int) -> tuple[int, ...]:
    """(G, KH, wider KW, together, C, pixels, together, O) of the weights of joined groups and pixels."""
    G, KH, KW, together, C, O = split.shape  # noqa: E741
    return G, KH, KW + (pixels - 1) * windows.columns.stride, together, C, pixels, together, O


def _places(weights: np.ndarray, windows: Windows, pixels: int) -> Iterator[tuple[np.ndarray, int]]:
    """Where the weights of each pixel lie, and of each of the groups that are joined: (G, KH, KW, C, O), and its number."""
    for j, i in itertools.product(range(pixels), range(weights.shape[3])):
        first = j * windows.columns.stride
        yield weights[:, :, first : first + windows.columns.taps, i, :, j, i], i
