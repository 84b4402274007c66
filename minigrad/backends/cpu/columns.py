"""Convolution as products of matrices: windows are copied into a matrix whose rows they are, part by part (im2col).

With channels last a row of the kernel is one run of KW·C numbers, and a part of about a megabyte does not leave the cache
between the copy and the product. Where such runs are long enough, only they are copied (``kernel_rows.py``). Where the weights
are too large for the cache, the columns of many windows are laid out first, and the product is cut by output channels.

Products with few columns are slow. So where there are few output channels, neighbouring pixels are computed as if they were
channels of one ("joined pixels"): with a wider window, and zeros in the weights where a pixel's own window does not reach.

All functions below the first two work on planes that ``windows.padded`` made.
"""

from __future__ import annotations

import numpy as np

from .blas import Panels, has_small_kernels, product, sum_of_tiles
from .elementwise import contiguous
from .kernel_rows import correlate_by_rows, weight_grad_by_rows
from .plan import DEPTHWISE, PART, ROWS, WINDOWS, pixels_of_way
from .threads import for_each, scratch, sum_in_slices
from .windows import Block, Windows, as_runs, blocks, each_tap, padded, view, view_of_runs

GROUP = 1 << 23
"""The bytes of the columns that are laid out before a product, where the weights are heavy."""


def correlate(x: np.ndarray, windows: Windows, w: np.ndarray, way: str, y: np.ndarray) -> None:
    """(N, H, W, C) and (O, C/G, KH, KW), to ``y`` (N, OH, OW, O)."""
    x, windows = (contiguous(x), windows) if way == ROWS else padded(x, windows)
    O = len(w)  # noqa: E741
    if way in (ROWS, WINDOWS):
        pixels = pixels_of_way(way, windows, x.shape[3], O, has_small_kernels(x.dtype))
        if pixels > 1:
            w, windows, y = _wider(w, pixels, windows), joined(windows, pixels), _pixels_as_channels(y, pixels)
        by = correlate_by_rows if way == ROWS else _by_windows
        by(x, w.transpose(2, 3, 1, 0), windows, y)
    elif way == DEPTHWISE:
        _depthwise(x, w.reshape(O, -1).T, windows, y)
    elif w.strides[0] < w.strides[1]:  # turned weights lie the other way round
        _by_phases(x, contiguous(w.transpose(2, 3, 1, 0)).reshape(-1, O), windows, y)
    else:
        _by_phases(x, contiguous(w.transpose(0, 2, 3, 1)).reshape(O, -1).T, windows, y)


def weight_grad(x: np.ndarray, windows: Windows, dy: np.ndarray, way: str) -> np.ndarray:
    """The gradient by the weight, (O, C/G, KH, KW), from (N, H, W, C) and (N, OH, OW, O)."""
    if way == ROWS:
        return _as_weight(weight_grad_by_rows(contiguous(x), dy, windows), windows.kernel_size)
    x, windows = padded(x, windows)
    if way == WINDOWS:
        pixels = pixels_of_way(way, windows, x.shape[3], dy.shape[3], has_small_kernels(x.dtype))
        wide = joined(windows, pixels)
        dw = _weight_grad_by_windows(x, _pixels_as_channels(dy, pixels), wide)
        return _narrower(_as_weight(dw, wide.kernel_size), pixels, windows)
    if way == DEPTHWISE:
        dw = _weight_grad_depthwise(x, dy, windows)
    else:
        dw = _weight_grad_by_phases(x, dy, windows)
    return _as_weight(dw, windows.kernel_size)


def _as_weight(dw: np.ndarray, kernel_size: tuple[int, int]) -> np.ndarray:
    """(O, KH·KW·C) -> (O, C, KH, KW): a view."""
    return dw.reshape(len(dw), *kernel_size, -1).transpose(0, 3, 1, 2)


# --- joined pixels ------------------------------------------------------------------------------------------------------


def joined(windows: Windows, pixels: int) -> Windows:
    """The windows that are as wide as those of so many neighbouring pixels together."""
    rows, columns = windows
    taps = columns.taps + (pixels - 1) * columns.stride
    return Windows(rows, columns._replace(taps=taps, stride=pixels * columns.stride))


def _pixels_as_channels(y: np.ndarray, pixels: int) -> np.ndarray:
    """(N, OH, OW, O) -> (N, OH, OW/pixels, pixels·O): a view."""
    N, OH, OW, O = y.shape  # noqa: E741
    return y.reshape(N, OH, OW // pixels, pixels * O)


def _wider(w: np.ndarray, pixels: int, windows: Windows) -> np.ndarray:
    """The weights (pixels·O, C, KH, wider KW) of joined pixels."""
    O, C, KH, KW = w.shape  # noqa: E741
    stride = windows.columns.stride
    result = np.zeros((pixels, O, C, KH, KW + (pixels - 1) * stride), w.dtype)
    for i in range(pixels):
        result[i, ..., i * stride : i * stride + KW] = w
    return result.reshape(pixels * O, C, KH, -1)


def _narrower(dw: np.ndarray, pixels: int, windows: Windows) -> np.ndarray:
    """The gradient by the weight from that by the weights of joined pixels: the transpose of ``_wider``."""
    if pixels == 1:
        return dw
    stride, KW = windows.columns.stride, windows.columns.taps
    parts = dw.reshape(pixels, len(dw) // pixels, *dw.shape[1:])
    return sum(parts[i, ..., i * stride : i * stride + KW] for i in range(1, pixels)) + parts[0, ..., :KW]


# --- whole windows ------------------------------------------------------------------------------------------------------


def lay_out(x: np.ndarray, windows: Windows, block: Block, matrix: np.ndarray) -> None:
    """The windows of a block as rows of a matrix (n·rows·OW, KH·KW·C)."""
    if windows.columns.dilation > 1:
        found, places = view(x, windows, block), matrix
    else:
        found, places = view_of_runs(x, windows, block), as_runs(matrix, windows.columns.taps * x.shape[3])
    np.copyto(places.reshape(found.shape), found)


def _row_length(x: np.ndarray, windows: Windows) -> int:
    return windows.rows.taps * windows.columns.taps * x.shape[3]


def _count(windows: Windows, block: Block) -> int:
    """How many windows are in a block."""
    return (block.images.stop - block.images.start) * (block.rows.stop - block.rows.start) * windows.columns.windows


def _by_windows(x: np.ndarray, w: np.ndarray, windows: Windows, y: np.ndarray) -> None:
    """Columns and product in one part; ``w`` is (KH, KW, C, O)."""
    K, O = _row_length(x, windows), w.shape[3]  # noqa: E741
    OH, OW = windows.output_size
    panels = Panels(w, dims=3)
    cuts = blocks(len(x), OH, OW * K * x.itemsize, PART)

    def part(i: int) -> None:
        block = cuts[i]
        rows = _count(windows, block)
        (matrix,) = scratch(rows * K, dtype=x.dtype)
        matrix = matrix.reshape(rows, K)
        lay_out(x, windows, block, matrix)
        here = y[block.images, block.rows].reshape(rows, O)
        panels.multiply(matrix[None], here[None])

    for_each(len(cuts), part)


def _weight_grad_by_windows(x: np.ndarray, dy: np.ndarray, windows: Windows) -> np.ndarray:
    N, OH, OW, O = dy.shape  # noqa: E741
    K = _row_length(x, windows)
    cuts = blocks(N, OH, OW * K * x.itemsize, PART)

    def write(i: int, out: np.ndarray) -> None:
        block = cuts[i]
        rows = _count(windows, block)
        (matrix,) = scratch(rows * K, dtype=x.dtype)
        matrix = matrix.reshape(rows, K)
        lay_out(x, windows, block, matrix)
        sum_of_tiles(dy[block.images, block.rows].reshape(rows, O).T, matrix, out)

    return sum_in_slices(len(cuts), write, (O, K), dy.dtype)


# --- the windows of many images, then one product -----------------------------------------------------------------------


def _groups_of_images(x: np.ndarray, windows: Windows) -> list[tuple[slice, tuple[Block, ...], np.ndarray]]:
    """Images whose columns are laid out together: their slice, blocks of them, and memory for the columns."""
    OH, OW = windows.output_size
    row_bytes = OW * _row_length(x, windows) * x.itemsize
    images = max(1, min(len(x), GROUP // (OH * row_bytes)))
    memory = np.empty((images * OH * OW, _row_length(x, windows)), x.dtype)
    found = []
    for i in range(0, len(x), images):
        here = slice(i, min(i + images, len(x)))
        found.append((here, blocks(here.stop - i, OH, row_bytes, PART), memory[: (here.stop - i) * OH * OW]))
    return found


def _lay_out_group(x: np.ndarray, windows: Windows, cuts: tuple[Block, ...], matrix: np.ndarray) -> None:
    OH, OW = windows.output_size
    places = matrix.reshape(len(x), OH, OW, -1)

    def part(i: int) -> None:
        lay_out(x, windows, cuts[i], places[cuts[i].images, cuts[i].rows])

    for_each(len(cuts), part)


def _by_phases(x: np.ndarray, w: np.ndarray, windows: Windows, y: np.ndarray) -> None:
    """The columns of a group of images, then their product with ``w`` (KH·KW·C, O), then the next group."""
    for images, cuts, matrix in _groups_of_images(x, windows):
        _lay_out_group(x[images], windows, cuts, matrix)
        here = y[images].reshape(len(matrix), -1)
        product(matrix, w, out=here)


def _weight_grad_by_phases(x: np.ndarray, dy: np.ndarray, windows: Windows) -> np.ndarray:
    O, K = dy.shape[3], _row_length(x, windows)  # noqa: E741
    dw = np.empty((O, K), dy.dtype)
    for number, (images, cuts, matrix) in enumerate(_groups_of_images(x, windows)):
        _lay_out_group(x[images], windows, cuts, matrix)
        term = np.empty_like(dw) if number else dw
        product(dy[images].reshape(-1, O).T, matrix, out=term)
        if number:
            np.add(dw, term, out=dw)
    return dw


# --- depthwise ----------------------------------------------------------------------------------------------------------


def _weight_grad_depthwise(x: np.ndarray, dy: np.ndarray, windows: Windows) -> np.ndarray:
    N, OH, OW, C = dy.shape
    cuts = blocks(N, OH, 2 * OW * C * x.itemsize, PART)

    def write(i: int, out: np.ndarray) -> None:
        block = cuts[i]
        for k, tap in enumerate(each_tap(view(x, windows, block))):
            np.einsum("nhwc,nhwc->c", tap, dy[block.images, block.rows], out=out[k])

    return sum_in_slices(len(cuts), write, (windows.rows.taps * windows.columns.taps, C), dy.dtype).T


def _depthwise(x: np.ndarray, filters: np.ndarray, windows: Windows, y: np.ndarray) -> None:
    """Every tap of a block times its coefficients (KH·KW, C), added up."""
    OH, OW = windows.output_size
    filters = np.ascontiguousarray(filters)
    cuts = blocks(len(x), OH, 3 * OW * x.shape[3] * x.itemsize, PART)

    def part(i: int) -> None:
        block = cuts[i]
        here = y[block.images, block.rows]
        (term,) = scratch(here.size, dtype=x.dtype)
        term = term.reshape(here.shape)
        for k, tap in enumerate(each_tap(view(x, windows, block))):
            if k == 0:
                np.multiply(tap, filters[k], out=here)
            else:
                np.add(here, np.multiply(tap, filters[k], out=term), out=here)

    for_each(len(cuts), part)
