"""Convolution as products of matrices: windows are copied into a matrix whose rows they are, part by part (im2col).

With channels last a row of the kernel is one run of KW·C numbers, and a part of about a megabyte does not leave the cache
between the copy and the product. Where such runs are long enough, only they are copied (``kernel_rows.py``). Where the weights
are too large for the cache, the columns of many windows are laid out first, and the product is cut by output channels.

Products with few columns are slow. So where there are few output channels, neighbouring pixels are computed as if they were
channels of one ("joined pixels"): with a wider window, and zeros in the weights where a pixel's own window does not reach.

All functions below the first two work on planes that ``windows.padded`` made.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .blas import Panels, has_small_kernels, product, sum_of_tiles, sums_of_products
from .elementwise import add_to_rows, contiguous, copy
from .kernel_rows import correlate_by_rows, weight_grad_by_rows
from .plan import DEPTHWISE, GROUPS, PART, ROWS, WINDOWS, joined_pixels, pixels_of_way
from .threads import for_each, scratch, sum_in_slices
from .windows import Block, Windows, around, as_runs, blocks, each_tap, fill_around, meeting, padded, view, view_of_runs

GROUP = 1 << 23
"""The bytes of the columns that are laid out before a product, where the weights are heavy."""
JOINED = 16
"""The channels up to which groups are joined."""


def correlate(x: np.ndarray, windows: Windows, w: np.ndarray, bias: Any, groups: int, way: str, y: np.ndarray) -> None:
    """(N, H, W, C) and (O, C/G, KH, KW), to ``y`` (N, OH, OW, O)."""
    if way == GROUPS:
        return _by_groups(x, w, bias, windows, groups, y)
    x, windows = (contiguous(x), windows) if way == ROWS else padded(x, windows)
    O = len(w)  # noqa: E741
    if way in (ROWS, WINDOWS):
        pixels = pixels_of_way(way, windows, x.shape[3], O, has_small_kernels(x.dtype))
        if pixels > 1:
            w, windows, y = _wider(w, pixels, windows), _joined(windows, pixels), _pixels_as_channels(y, pixels)
            bias = None if bias is None else np.tile(bias, pixels)
        by = correlate_by_rows if way == ROWS else _by_windows
        by(x, w.transpose(2, 3, 1, 0), bias, windows, y)
    elif way == DEPTHWISE:
        _depthwise(x, w.reshape(O, -1).T, bias, windows, y)
    elif w.strides[0] < w.strides[1]:  # turned weights lie the other way round
        _by_phases(x, contiguous(w.transpose(2, 3, 1, 0)).reshape(-1, O), bias, windows, y)
    else:
        _by_phases(x, contiguous(w.transpose(0, 2, 3, 1)).reshape(O, -1).T, bias, windows, y)


def weight_grad(x: np.ndarray, windows: Windows, dy: np.ndarray, groups: int, way: str) -> np.ndarray:
    """The gradient by the weight, (O, C/G, KH, KW), from (N, H, W, C) and (N, OH, OW, O)."""
    if way == ROWS:
        return _as_weight(weight_grad_by_rows(contiguous(x), dy, windows), windows.kernel_size)
    if way == GROUPS:
        return _weight_grad_by_groups(x, dy, windows, groups)
    x, windows = padded(x, windows)
    if way == WINDOWS:
        pixels = pixels_of_way(way, windows, x.shape[3], dy.shape[3], has_small_kernels(x.dtype))
        joined = _joined(windows, pixels)
        dw = _weight_grad_by_windows(x, _pixels_as_channels(dy, pixels), joined)
        return _narrower(_as_weight(dw, joined.kernel_size), pixels, windows)
    if way == DEPTHWISE:
        dw = _weight_grad_depthwise(x, dy, windows)
    else:
        dw = _weight_grad_by_phases(x, dy, windows)
    return _as_weight(dw, windows.kernel_size)


def _as_weight(dw: np.ndarray, kernel_size: tuple[int, int]) -> np.ndarray:
    """(O, KH·KW·C) -> (O, C, KH, KW): a view."""
    return dw.reshape(len(dw), *kernel_size, -1).transpose(0, 3, 1, 2)


# --- joined pixels ------------------------------------------------------------------------------------------------------


def _joined(windows: Windows, pixels: int) -> Windows:
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


def _lay_out(x: np.ndarray, windows: Windows, block: Block, matrix: np.ndarray) -> None:
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


def _by_windows(x: np.ndarray, w: np.ndarray, bias: Any, windows: Windows, y: np.ndarray) -> None:
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
        _lay_out(x, windows, block, matrix)
        here = y[block.images, block.rows].reshape(rows, O)
        panels.multiply(matrix[None], here[None])
        if bias is not None:
            add_to_rows(bias, here)

    for_each(len(cuts), part)


def _weight_grad_by_windows(x: np.ndarray, dy: np.ndarray, windows: Windows) -> np.ndarray:
    N, OH, OW, O = dy.shape  # noqa: E741
    K = _row_length(x, windows)
    cuts = blocks(N, OH, OW * K * x.itemsize, PART)

    def add(i: int, total: np.ndarray) -> None:
        block = cuts[i]
        rows = _count(windows, block)
        matrix, term = scratch(rows * K, O * K, dtype=x.dtype)
        matrix, term = matrix.reshape(rows, K), term.reshape(O, K)
        _lay_out(x, windows, block, matrix)
        sum_of_tiles(dy[block.images, block.rows].reshape(rows, O).T, matrix, term)
        np.add(total, term, out=total)

    return sum_in_slices(len(cuts), add, (O, K), dy.dtype)


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
        _lay_out(x, windows, cuts[i], places[cuts[i].images, cuts[i].rows])

    for_each(len(cuts), part)


def _by_phases(x: np.ndarray, w: np.ndarray, bias: Any, windows: Windows, y: np.ndarray) -> None:
    """The columns of a group of images, then their product with ``w`` (KH·KW·C, O), then the next group."""
    for images, cuts, matrix in _groups_of_images(x, windows):
        _lay_out_group(x[images], windows, cuts, matrix)
        here = y[images].reshape(len(matrix), -1)
        product(matrix, w, out=here)
        if bias is not None:
            add_to_rows(bias, here)


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


# --- groups -------------------------------------------------------------------------------------------------------------


def _by_groups(x: np.ndarray, w: np.ndarray, bias: Any, windows: Windows, groups: int, y: np.ndarray) -> None:
    """The windows of a group in memory of their own, many groups in a part; narrow groups several as one."""
    O, CG = w.shape[:2]  # noqa: E741
    together = joined(windows, groups, CG, O // groups)
    if together > 1:
        w, groups = _block_diagonal(w, groups, together), groups // together
    pixels = joined_pixels(windows, O // groups)
    weights = w.reshape(groups, -1, *w.shape[1:])
    weights = np.stack([_wider(weight, pixels, windows) for weight in weights]) if pixels > 1 else weights
    inputs, windows = _padded_by_group(x, windows, groups)
    windows = _joined(windows, pixels)
    outputs = np.empty((groups, len(x), *windows.output_size, weights.shape[1]), y.dtype)
    matrices = contiguous(weights.transpose(0, 3, 4, 2, 1)).reshape(groups, -1, weights.shape[1])
    parts = _parts_of_groups(inputs, windows)

    def part(i: int) -> None:
        here, cuts = parts[i]
        panels = Panels(matrices[here])
        for block in cuts:
            matrix = _columns_of_groups(inputs[here], windows, block)
            result = outputs[here].reshape(-1, *outputs.shape[2:])[block.images, block.rows]
            panels.multiply(matrix, result.reshape(*matrix.shape[:2], -1))

    for_each(len(parts), part)
    copy(
        as_runs(outputs, O // groups).reshape(groups, *y.shape[:3]).transpose(1, 2, 3, 0),
        as_runs(y, O // groups).reshape(*y.shape[:3], groups),
    )
    if bias is not None:
        add_to_rows(bias, y)


def _weight_grad_by_groups(x: np.ndarray, dy: np.ndarray, windows: Windows, groups: int) -> np.ndarray:
    O = dy.shape[3]  # noqa: E741
    together = joined(windows, groups, x.shape[3] // groups, O // groups)
    groups //= together
    pixels = joined_pixels(windows, O // groups)
    inputs, windows = _padded_by_group(x, windows, groups)
    joined_windows = _joined(windows, pixels)
    above = _by_group(dy, groups)
    above = above.reshape(groups, *_pixels_as_channels(above[0], pixels).shape)
    parts = _parts_of_groups(inputs, joined_windows)
    dw = np.zeros((groups, above.shape[-1], _row_length(inputs[0], joined_windows)), dy.dtype)

    def part(i: int) -> None:
        here, cuts = parts[i]
        for block in cuts:
            matrix = _columns_of_groups(inputs[here], joined_windows, block)
            rows = above[here].reshape(-1, *above.shape[2:])[block.images, block.rows].reshape(*matrix.shape[:2], -1)
            dw[here] += sums_of_products(rows, matrix)

    for_each(len(parts), part)
    narrow = [_narrower(_as_weight(of_group, joined_windows.kernel_size), pixels, windows) for of_group in dw]
    return _diagonal_blocks(np.concatenate(narrow), groups * together, together)


def _parts_of_groups(inputs: np.ndarray, windows: Windows) -> list[tuple[slice, tuple[Block, ...]]]:
    """Groups for a part of the work, and blocks of the images of all of them: one where they fit into the cache together."""
    groups, N = inputs.shape[:2]
    OH, OW = windows.output_size
    row_bytes = OW * _row_length(inputs[0], windows) * inputs.itemsize
    together = max(1, min(-(-groups // 4), PART // (N * OH * row_bytes)))
    found = []
    for i in range(0, groups, together):
        here = slice(i, min(i + together, groups))
        whole = (Block(slice(0, (here.stop - i) * N), slice(0, OH)),)
        found.append((here, whole if together > 1 else blocks(N, OH, row_bytes, PART)))
    return found


def _columns_of_groups(inputs: np.ndarray, windows: Windows, block: Block) -> np.ndarray:
    """The windows of a block of some groups (G, N, H, W, C) as matrices (G, rows, KH·KW·C) in scratch memory."""
    planes = inputs.reshape(-1, *inputs.shape[2:])
    rows = _count(windows, block)
    (matrix,) = scratch(rows * _row_length(planes, windows), dtype=inputs.dtype)
    matrix = matrix.reshape(len(inputs), rows // len(inputs), -1)
    _lay_out(planes, windows, block, matrix)
    return matrix


def _padded_by_group(x: np.ndarray, windows: Windows, groups: int) -> tuple[np.ndarray, Windows]:
    """What ``windows.padded`` makes, for each group by itself, (G, N, ·, ·, C/G), in one copy."""
    x = contiguous(x)
    if not windows.is_padded():
        return _by_group(x, groups), windows
    N, H, W, C = x.shape
    rows, columns, within = around(windows)
    of_image, inside = meeting((H, W), rows, columns)
    planes = np.empty((groups, N, rows[1] - rows[0], columns[1] - columns[0], C // groups), x.dtype)
    _copy_by_group(x, of_image, planes, inside)
    fill_around(planes, inside, 0)
    return planes, within


def _by_group(x: np.ndarray, groups: int) -> np.ndarray:
    """(N, H, W, C) -> (G, N, H, W, C/G): a copy."""
    N, H, W, C = x.shape
    result = np.empty((groups, N, H, W, C // groups), x.dtype)
    _copy_by_group(x, (slice(None), slice(None)), result, (slice(None), slice(None)))
    return result


def _copy_by_group(x: np.ndarray, of_image: tuple[slice, slice], planes: np.ndarray, inside: tuple[slice, slice]) -> None:
    """Some rows and columns of (N, H, W, C) to some of (G, N, ·, ·, C/G)."""
    groups, *_, run = planes.shape
    source = as_runs(x, run).reshape(*x.shape[:3], groups)[:, *of_image]
    copy(source.transpose(3, 0, 1, 2), as_runs(planes, run).reshape(planes.shape[:4])[..., *inside])


def joined(windows: Windows, groups: int, CG: int, OG: int) -> int:
    """How many groups are computed as one, whose weights between them are zero: where joining pixels does not help."""
    if joined_pixels(windows, OG) > 1:
        return 1
    return max(n for n in range(1, groups + 1) if groups % n == 0 and (n == 1 or n * max(CG, OG) <= JOINED))


def _block_diagonal(w: np.ndarray, groups: int, together: int) -> np.ndarray:
    """(O, C/G, KH, KW) -> (O, together · C/G, KH, KW)."""
    O, CG, KH, KW = w.shape  # noqa: E741
    result = np.zeros((groups // together, together, O // groups, together, CG, KH, KW), w.dtype)
    blocks = w.reshape(groups // together, together, O // groups, CG, KH, KW)
    for i in range(together):
        result[:, i, :, i] = blocks[:, i]
    return result.reshape(O, together * CG, KH, KW)


def _diagonal_blocks(dw: np.ndarray, groups: int, together: int) -> np.ndarray:
    """The transpose of ``_block_diagonal``: (O, together · C/G, KH, KW) -> (O, C/G, KH, KW)."""
    O, C, KH, KW = dw.shape  # noqa: E741
    parts = dw.reshape(groups // together, together, O // groups, together, C // together, KH, KW)
    return np.stack([parts[:, i, :, i] for i in range(together)], axis=1).reshape(O, -1, KH, KW)


def _weight_grad_depthwise(x: np.ndarray, dy: np.ndarray, windows: Windows) -> np.ndarray:
    N, OH, OW, C = dy.shape
    cuts = blocks(N, OH, 2 * OW * C * x.itemsize, PART)

    def add(i: int, total: np.ndarray) -> None:
        block = cuts[i]
        for k, tap in enumerate(each_tap(view(x, windows, block))):
            total[k] += np.einsum("nhwc,nhwc->c", tap, dy[block.images, block.rows])

    return sum_in_slices(len(cuts), add, (windows.rows.taps * windows.columns.taps, C), dy.dtype).T


def _depthwise(x: np.ndarray, filters: np.ndarray, bias: Any, windows: Windows, y: np.ndarray) -> None:
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
        if bias is not None:
            add_to_rows(bias, here)

    for_each(len(cuts), part)
