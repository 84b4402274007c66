"""Convolution as a product for every row of the kernel: only the rows' runs are copied, a third of whole 3×3 windows.

With channels last a row of the kernel is one run of KW·C numbers. A row of the output is the sum of KH products of row-shifted
views of one buffer that holds the runs of some images. The zeros around the images are written to that buffer only: the images
themselves are not copied with zeros around them first.
"""

from __future__ import annotations

import numpy as np

from .blas import Panels, sum_of_tiles, sums_of_products
from .plan import PART
from .threads import for_each, scratch, sum_in_slices
from .windows import Axis, Block, Windows, blocks, runs_of


def correlate_by_rows(x: np.ndarray, w: np.ndarray, windows: Windows, y: np.ndarray) -> None:
    """(N, H, W, C) and (KH, KW, C, O), to ``y`` (N, OH, OW, O); rows with stride 1, no dilation."""
    KH, KW, C, O = w.shape  # noqa: E741
    OH, OW = windows.output_size
    cuts = blocks(len(x), OH, OW * KW * C * x.itemsize, PART)
    panels = [Panels(row, dims=2) for row in w]

    def part(i: int) -> None:
        block = cuts[i]
        here = y[block.images, block.rows]
        here = here.reshape(len(here), -1, O)
        buffer, term = scratch(_runs_size(x, windows, block), here.size, dtype=x.dtype)
        term = term.reshape(here.shape)
        for u, matrices in enumerate(_runs(x, windows, block, buffer)):
            panels[u].multiply(matrices, term if u else here)
            if u:
                np.add(here, term, out=here)

    for_each(len(cuts), part)


def weight_grad_by_rows(x: np.ndarray, dy: np.ndarray, windows: Windows) -> np.ndarray:
    """The gradient by the weight, (O, KH·KW·C), from (N, H, W, C) and (N, OH, OW, O)."""
    N, OH, OW, O = dy.shape  # noqa: E741
    KH, KW = windows.kernel_size
    K = KW * x.shape[3]
    cuts = blocks(N, OH, OW * K * x.itemsize, PART)

    def write(i: int, out: np.ndarray) -> None:
        block = cuts[i]
        above = dy[block.images, block.rows]
        above = above.reshape(len(above), -1, O)
        (buffer,) = scratch(_runs_size(x, windows, block), dtype=x.dtype)
        for u, matrices in enumerate(_runs(x, windows, block, buffer)):
            if len(above) == 1:
                sum_of_tiles(above[0].T, matrices[0], out[u])
            else:
                np.add.reduce(sums_of_products(above, matrices), axis=0, out=out[u])

    total = sum_in_slices(len(cuts), write, (KH, O, K), dy.dtype)
    return total.transpose(1, 0, 2).reshape(O, KH * K)


def _runs_size(x: np.ndarray, windows: Windows, block: Block) -> int:
    reach = block.rows.stop - block.rows.start + windows.rows.taps - 1
    return (block.images.stop - block.images.start) * reach * windows.columns.windows * windows.columns.taps * x.shape[3]


def _runs(x: np.ndarray, windows: Windows, block: Block, buffer: np.ndarray) -> list[np.ndarray]:
    """The runs that a block reaches, copied to the buffer; for each kernel row, views (n, rows·OW, KW·C)."""
    rows, columns = windows
    n, height = block.images.stop - block.images.start, block.rows.stop - block.rows.start
    reach, OW, length = height + rows.taps - 1, columns.windows, columns.taps * x.shape[3]
    runs = buffer[: n * reach * OW * length].reshape(n, reach, OW, length)
    top = block.rows.start - rows.before
    first, last = max(0, top), max(0, min(rows.size, top + reach))
    if first > top:
        runs[:, : first - top] = 0
    if last < top + reach:
        runs[:, max(0, last - top) :] = 0
    if first < last:
        _copy_runs(x, columns, block.images, slice(first, last), runs[:, first - top : last - top])
    flat = runs.reshape(n, reach * OW, length)
    return [flat[:, u * OW : (u + height) * OW] for u in range(rows.taps)]


def _copy_runs(x: np.ndarray, columns: Axis, images: slice, lines: slice, runs: np.ndarray) -> None:
    """The runs (n, lines, OW, KW·C) of some lines of some images: those that lie inside as they are, the others by pieces."""
    C = x.shape[3]
    image, line, pixel, _ = x.strides
    start, end = _inside(columns)
    if start < end:
        shape = (*runs.shape[:2], end - start)
        offset = images.start * image + lines.start * line + (start * columns.stride - columns.before) * pixel
        found = np.ndarray(shape, runs_of(columns.taps * C * x.itemsize), x, offset, (image, line, columns.stride * pixel))
        np.copyto(runs.view(found.dtype)[:, :, start:end, 0], found)
    for i in (*range(start), *range(max(start, end), columns.windows)):
        leftmost = i * columns.stride - columns.before
        first, last = max(0, leftmost), min(columns.size, leftmost + columns.taps)
        run = runs[:, :, i]
        if first >= last:
            run[...] = 0
            continue
        before, after = (first - leftmost) * C, (last - leftmost) * C
        run[..., :before] = 0
        run[..., after:] = 0
        run[..., before:after] = x[images, lines, first:last].reshape(*run.shape[:2], -1)


def _inside(columns: Axis) -> tuple[int, int]:
    """From which window up to which one all taps are elements that exist."""
    first = max(0, -(-columns.before // columns.stride))
    last = (columns.size - columns.taps + columns.before) // columns.stride
    return min(first, columns.windows), max(0, min(last + 1, columns.windows))
