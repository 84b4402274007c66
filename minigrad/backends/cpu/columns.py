"""Convolution as products of matrices: windows are copied into a matrix whose rows they are, part by part (im2col).

With channels last a row of the kernel is one run of KW·C numbers, and a part of about a megabyte does not leave the cache
between the copy and the product. Where such runs are long enough, only they are copied ("rows"): a row of the output is then
the sum of KH products of row-shifted views of one buffer, a third of the copying for a 3×3 kernel. Where the weights are too
large for the cache, the columns of many windows are laid out first, and the product is cut by output channels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from .blas import SMALL, Gemm, address, product
from .elementwise import contiguous
from .plan import DEPTHWISE, GROUPS, PART, ROWS, WINDOWS
from .threads import for_each, scratch
from .windows import Block, Windows, blocks, each_tap, planes_size, read

GROUP = 1 << 23
"""The bytes of the columns that are laid out before a product, where the weights are heavy."""
JOINED = 16
"""The channels up to which groups are joined."""
SLICES = 8
"""Into how many sums the parts of a gradient are dealt out, each added up by one thread."""


def correlate(x: np.ndarray, w: np.ndarray, bias: Any, windows: Windows, groups: int, way: str, y: np.ndarray) -> None:
    """(N, H, W, C) and (O, C/G, KH, KW), to ``y`` (N, OH, OW, O)."""
    O = len(w)  # noqa: E741
    if way == DEPTHWISE:
        _depthwise(x, w.reshape(O, -1).T, bias, windows, y)
    elif way == GROUPS:
        _by_groups(x, w, bias, windows, groups, y)
    elif way == ROWS:
        _by_rows(x, contiguous(w.transpose(2, 3, 1, 0)), bias, windows, y)
    elif way == WINDOWS:
        _by_windows(x, contiguous(w.transpose(2, 3, 1, 0)).reshape(-1, O), bias, windows, y)
    elif w.strides[0] < w.strides[1]:  # turned weights lie the other way round
        _by_phases(x, contiguous(w.transpose(2, 3, 1, 0)).reshape(-1, O), bias, windows, y)
    else:
        _by_phases(x, contiguous(w.transpose(0, 2, 3, 1)).reshape(O, -1).T, bias, windows, y)


def weight_grad(x: np.ndarray, dy: np.ndarray, windows: Windows, groups: int, way: str) -> np.ndarray:
    """The gradient by the weight, (O, C/G, KH, KW), from (N, H, W, C) and (N, OH, OW, O)."""
    if way == DEPTHWISE:
        dw = _weight_grad_depthwise(x, dy, windows)
    elif way == GROUPS:
        dw = _weight_grad_by_groups(x, dy, windows, groups)
    elif way == ROWS:
        dw = _weight_grad_by_rows(x, dy, windows)
    elif way == WINDOWS:
        dw = _weight_grad_by_windows(x, dy, windows)
    else:
        dw = _weight_grad_by_phases(x, dy, windows)
    return dw.reshape(dy.shape[3], *windows.kernel_size, -1).transpose(0, 3, 1, 2)


# --- whole windows ------------------------------------------------------------------------------------------------------


def _lay_out(x: np.ndarray, windows: Windows, block: Block, planes: np.ndarray, matrix: np.ndarray, groups: int = 1) -> None:
    """The windows of a block as rows of a matrix (n·rows·OW, KH·KW·C), or of one for each group (G, ..., KH·KW·C/G)."""
    found = read(x, windows, block, 0, planes)
    if groups == 1:
        np.copyto(matrix.reshape(found.shape), found)
        return
    n, r, OW, KH, KW, C = found.shape
    found = found.reshape(n, r, OW, KH, KW, groups, C // groups).transpose(5, 0, 1, 2, 3, 4, 6)
    np.copyto(matrix.reshape(found.shape), found)


def _row_length(x: np.ndarray, windows: Windows) -> int:
    return windows.rows.taps * windows.columns.taps * x.shape[3]


def _count(windows: Windows, block: Block) -> int:
    """How many windows are in a block."""
    return (block.images.stop - block.images.start) * (block.rows.stop - block.rows.start) * windows.columns.windows


def _by_windows(x: np.ndarray, w: np.ndarray, bias: Any, windows: Windows, y: np.ndarray) -> None:
    """Columns and product in one part; ``w`` is (KH·KW·C, O)."""
    K, O = w.shape  # noqa: E741
    OH, OW = windows.output_size
    limit = min(PART, max(64, SMALL // (K * O)) * K * x.itemsize) if SMALL // (K * O) >= 256 else PART
    cuts = blocks(len(x), OH, OW * K * x.itemsize, limit)

    def part(i: int) -> None:
        block = cuts[i]
        rows = _count(windows, block)
        planes, matrix = scratch(planes_size(x, windows, block), rows * K, dtype=x.dtype)
        matrix = matrix.reshape(rows, K)
        _lay_out(x, windows, block, planes, matrix)
        here = y[block.images, block.rows].reshape(rows, O)
        np.matmul(matrix, w, out=here)
        if bias is not None:
            np.add(here, bias, out=here)

    for_each(len(cuts), part)


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
        block = cuts[i]
        (planes,) = scratch(planes_size(x, windows, block), dtype=x.dtype)
        found = read(x, windows, block, 0, planes)
        np.copyto(places[block.images, block.rows].reshape(found.shape), found)

    for_each(len(cuts), part)


def _by_phases(x: np.ndarray, w: np.ndarray, bias: Any, windows: Windows, y: np.ndarray) -> None:
    """The columns of a group of images, then their product with ``w`` (KH·KW·C, O), then the next group."""
    for images, cuts, matrix in _groups_of_images(x, windows):
        _lay_out_group(x[images], windows, cuts, matrix)
        here = y[images].reshape(len(matrix), -1)
        product(matrix, w, out=here)
        if bias is not None:
            np.add(here, bias, out=here)


def _weight_grad_by_phases(x: np.ndarray, dy: np.ndarray, windows: Windows) -> np.ndarray:
    O, K = dy.shape[3], _row_length(x, windows)  # noqa: E741
    dw = np.empty((O, K), dy.dtype)
    step = max(16, -(-O // 16))
    for number, (images, cuts, matrix) in enumerate(_groups_of_images(x, windows)):
        _lay_out_group(x[images], windows, cuts, matrix)
        at_dy, at_columns, at_dw = address(dy[images]), address(matrix), address(dw)

        def part(i: int) -> None:
            start, m = i * step, min(step, O - i * step)
            gemm = Gemm(dy.dtype, m, K, len(matrix), O, K, K, ta=True)  # noqa: B023
            gemm(at_dy + start * dy.itemsize, at_columns, at_dw + start * K * dy.itemsize, number > 0)  # noqa: B023

        for_each(-(-O // step), part)
    return dw


# --- runs of kernel rows ------------------------------------------------------------------------------------------------


class _Runs(NamedTuple):
    """Where the runs (of KW·C numbers) of the input's rows that a block reaches go, so that a kernel row's are a matrix.

    Rows of the input that are a stride apart lie together, in one phase of the buffer (phases, n, rows, OW, KW, C).
    """

    block: Block
    shape: tuple[int, ...]
    size: int
    copies: tuple[tuple[Any, Any], ...]
    """Places in the buffer, each with what of the input goes there."""
    zeros: tuple[Any, ...]
    """Places in the buffer that lie in the padding."""
    kernel_rows: tuple[Any, ...]
    """For each row of the kernel the place of its runs in the buffer."""

    def lay_out(self, x: np.ndarray, buffer: np.ndarray) -> np.ndarray:
        runs = buffer.reshape(self.shape)
        for place in self.zeros:
            runs[place] = 0
        for place, source in self.copies:
            runs[place] = x[source]
        return runs

    def matrices(self, runs: np.ndarray) -> list[np.ndarray]:
        """For each row of the kernel the matrices of all images, (n, rows·OW, KW·C): views."""
        shape = self.shape[1], -1, self.shape[4] * self.shape[5]
        return [runs[place].reshape(shape) for place in self.kernel_rows]


@lru_cache(1024)
def _runs(images: int, H: int, C: int, O: int, itemsize: int, windows: Windows) -> tuple[_Runs, ...]:  # noqa: E741
    """A plan for every block; the blocks fit into the cache, and into BLAS's small products where these are the faster ones."""
    OH, OW = windows.output_size
    K = windows.columns.taps * C
    limit = PART
    height = SMALL // (K * O * OW)
    if height * OW >= 256 and height < OH:
        limit = height * OW * K * itemsize
    return tuple(_runs_of(block, H, C, windows) for block in blocks(images, OH, OW * K * itemsize, limit))


def _runs_of(block: Block, H: int, C: int, windows: Windows) -> _Runs:
    rows, columns = windows
    n, height = block.images.stop - block.images.start, block.rows.stop - block.rows.start
    steps = [divmod(u * rows.dilation, rows.stride) for u in range(rows.taps)]
    phases = sorted({phase for _, phase in steps})
    reach = height + steps[-1][0]
    copies: list[tuple[Any, Any]] = []
    zeros: list[Any] = []
    every = slice(None)
    first, _ = rows.span(block.rows.start, block.rows.stop)
    for i, phase in enumerate(phases):
        top = first + phase
        above = min(reach, max(0, -(top // rows.stride)))
        below = max(above, min(reach, (H - 1 - top) // rows.stride + 1))
        zeros += [(i, every, part) for part in (slice(0, above), slice(below, reach)) if part.start < part.stop]
        if above == below:
            continue
        inside, start = slice(above, below), top + above * rows.stride
        lines = slice(start, start + (below - above - 1) * rows.stride + 1, rows.stride)
        for v in range(columns.taps):
            here, there = columns.hits(v)
            copies.append(((i, every, inside, here, v), (block.images, lines, there)))
            edges = (slice(0, here.start), slice(here.stop, columns.windows))
            zeros += [(i, every, inside, part, v) for part in edges if part.start < part.stop]
    shape = len(phases), n, reach, columns.windows, columns.taps, C
    kernel_rows = tuple((phases.index(phase), every, slice(step, step + height)) for step, phase in steps)
    return _Runs(block, shape, prod(shape), tuple(copies), tuple(zeros), kernel_rows)


def _by_rows(x: np.ndarray, w: np.ndarray, bias: Any, windows: Windows, y: np.ndarray) -> None:
    """A product per kernel row, the later ones added to the first; ``w`` is (KH, KW, C, O)."""
    KH, _, C, O = w.shape  # noqa: E741
    plans = _runs(len(x), x.shape[1], C, O, x.itemsize, windows)
    w = w.reshape(KH, -1, O)

    def part(i: int) -> None:
        plan = plans[i]
        here = y[plan.block.images, plan.block.rows].reshape(plan.shape[1], -1, O)
        buffer, term = scratch(plan.size, here.size, dtype=x.dtype)
        term = term.reshape(here.shape)
        first, *others = plan.matrices(plan.lay_out(x, buffer))
        np.matmul(first, w[0], out=here)
        for u, matrix in enumerate(others, 1):
            np.add(here, np.matmul(matrix, w[u], out=term), out=here)
        if bias is not None:
            np.add(here, bias, out=here)

    for_each(len(plans), part)


def _weight_grad_by_rows(x: np.ndarray, dy: np.ndarray, windows: Windows) -> np.ndarray:
    C, O = x.shape[3], dy.shape[3]  # noqa: E741
    KH, KW = windows.kernel_size
    K = KW * C
    plans = _runs(len(x), x.shape[1], C, O, x.itemsize, windows)

    def add(i: int, total: np.ndarray) -> None:
        plan = plans[i]
        n = plan.shape[1]
        above = dy[plan.block.images, plan.block.rows].reshape(n, -1, O)
        buffer, terms = scratch(plan.size, n * K * O, dtype=x.dtype)
        terms = terms.reshape(n, K, O)
        for u, matrix in enumerate(plan.matrices(plan.lay_out(x, buffer))):
            np.matmul(matrix.transpose(0, 2, 1), above, out=terms)
            total[u] += terms[0] if n == 1 else terms.sum(axis=0)

    return _as_weight(_sum_in_slices(len(plans), add, (KH, K, O), dy.dtype))


def _weight_grad_by_windows(x: np.ndarray, dy: np.ndarray, windows: Windows) -> np.ndarray:
    N, OH, OW, O = dy.shape  # noqa: E741
    K = _row_length(x, windows)
    cuts = blocks(N, OH, OW * K * x.itemsize, PART)

    def add(i: int, total: np.ndarray) -> None:
        block = cuts[i]
        rows = _count(windows, block)
        planes, matrix, term = scratch(planes_size(x, windows, block), rows * K, K * O, dtype=x.dtype)
        matrix = matrix.reshape(rows, K)
        _lay_out(x, windows, block, planes, matrix)
        total += np.matmul(matrix.T, dy[block.images, block.rows].reshape(rows, O), out=term.reshape(K, O))

    return _as_weight(_sum_in_slices(len(cuts), add, (K, O), dy.dtype))


def _sum_in_slices(parts: int, add: Callable[[int, np.ndarray], None], shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """The sum of what ``add(part, total)`` adds: in a fixed number of slices, each one thread's, which are added last."""
    slices = min(SLICES, parts)
    sums = np.zeros((slices, *shape), dtype)

    def add_slice(i: int) -> None:
        for part in range(i * parts // slices, (i + 1) * parts // slices):
            add(part, sums[i])

    for_each(slices, add_slice)
    return np.add.reduce(sums, axis=0)


def _as_weight(total: np.ndarray) -> np.ndarray:
    """(..., O) -> (O, KH·KW·C)."""
    return total.reshape(-1, total.shape[-1]).T


# --- groups -------------------------------------------------------------------------------------------------------------


def _by_groups(x: np.ndarray, w: np.ndarray, bias: Any, windows: Windows, groups: int, y: np.ndarray) -> None:
    O, CG, KH, KW = w.shape  # noqa: E741
    together = joined(groups, CG, O // groups)
    if together > 1:
        w, groups, CG = _block_diagonal(w, groups, together), groups // together, CG * together
    OH, OW = windows.output_size
    K = KH * KW * CG
    matrices = np.ascontiguousarray(w.reshape(groups, O // groups, CG, KH, KW).transpose(0, 3, 4, 2, 1)).reshape(groups, K, -1)
    cuts = blocks(len(x), OH, OW * K * groups * x.itemsize, PART)

    def part(i: int) -> None:
        block = cuts[i]
        rows = _count(windows, block)
        planes, matrix, result = scratch(planes_size(x, windows, block), groups * rows * K, rows * O, dtype=x.dtype)
        matrix = matrix.reshape(groups, rows, K)
        _lay_out(x, windows, block, planes, matrix, groups)
        products = np.matmul(matrix, matrices, out=result.reshape(groups, rows, O // groups))
        here = y[block.images, block.rows].reshape(rows, groups, O // groups)
        here[...] = products.transpose(1, 0, 2)
        if bias is not None:
            np.add(here.reshape(rows, O), bias, out=here.reshape(rows, O))

    for_each(len(cuts), part)


def joined(groups: int, CG: int, OG: int) -> int:
    """How many groups are computed as one, whose weights between them are zero: products of four columns crawl."""
    return max(n for n in range(1, groups + 1) if groups % n == 0 and (n == 1 or n * max(CG, OG) <= JOINED))


def _block_diagonal(w: np.ndarray, groups: int, together: int) -> np.ndarray:
    """(O, C/G, KH, KW) -> (O, together · C/G, KH, KW)."""
    O, CG, KH, KW = w.shape  # noqa: E741
    result = np.zeros((groups // together, together, O // groups, together, CG, KH, KW), w.dtype)
    blocks = w.reshape(groups // together, together, O // groups, CG, KH, KW)
    for i in range(together):
        result[:, i, :, i] = blocks[:, i]
    return result.reshape(O, together * CG, KH, KW)


def _diagonal_blocks(dw: np.ndarray, groups: int, together: int, taps: int) -> np.ndarray:
    """(G/together, together · O/G, KH·KW·together·C/G) -> (O, KH·KW·C/G)."""
    parts = dw.reshape(groups // together, together, dw.shape[1] // together, taps, together, -1)
    diagonal = np.stack([parts[:, i, :, :, i] for i in range(together)], axis=1)
    return diagonal.reshape(groups * parts.shape[2], -1)


def _weight_grad_by_groups(x: np.ndarray, dy: np.ndarray, windows: Windows, groups: int) -> np.ndarray:
    N, OH, OW, O = dy.shape  # noqa: E741
    together = joined(groups, x.shape[3] // groups, O // groups)
    if together > 1:
        dw = _weight_grad_by_groups(x, dy, windows, groups // together)
        return _diagonal_blocks(dw, groups, together, windows.rows.taps * windows.columns.taps)
    K = _row_length(x, windows) // groups
    cuts = blocks(N, OH, OW * K * groups * x.itemsize, PART)

    def add(i: int, total: np.ndarray) -> None:
        block = cuts[i]
        rows = _count(windows, block)
        planes, matrix, term = scratch(planes_size(x, windows, block), groups * rows * K, O * K, dtype=x.dtype)
        matrix = matrix.reshape(groups, rows, K)
        _lay_out(x, windows, block, planes, matrix, groups)
        by_group = dy[block.images, block.rows].reshape(rows, groups, O // groups).transpose(1, 2, 0)
        total += np.matmul(by_group, matrix, out=term.reshape(groups, O // groups, K))

    return _sum_in_slices(len(cuts), add, (groups, O // groups, K), dy.dtype)


def _weight_grad_depthwise(x: np.ndarray, dy: np.ndarray, windows: Windows) -> np.ndarray:
    N, OH, OW, C = dy.shape
    cuts = blocks(N, OH, 2 * OW * C * x.itemsize, PART)

    def add(i: int, total: np.ndarray) -> None:
        block = cuts[i]
        (planes,) = scratch(planes_size(x, windows, block), dtype=x.dtype)
        for k, tap in enumerate(each_tap(read(x, windows, block, 0, planes))):
            total[k] += np.einsum("nhwc,nhwc->c", tap, dy[block.images, block.rows])

    return _sum_in_slices(len(cuts), add, (windows.rows.taps * windows.columns.taps, C), dy.dtype).T


def _depthwise(x: np.ndarray, filters: np.ndarray, bias: Any, windows: Windows, y: np.ndarray) -> None:
    """Every tap of a block times its coefficients (KH·KW, C), added up."""
    OH, OW = windows.output_size
    filters = np.ascontiguousarray(filters)
    cuts = blocks(len(x), OH, 3 * OW * x.shape[3] * x.itemsize, PART)

    def part(i: int) -> None:
        block = cuts[i]
        here = y[block.images, block.rows]
        planes, term = scratch(planes_size(x, windows, block), here.size, dtype=x.dtype)
        term = term.reshape(here.shape)
        for k, tap in enumerate(each_tap(read(x, windows, block, 0, planes))):
            if k == 0:
                np.multiply(tap, filters[k], out=here)
            else:
                np.add(here, np.multiply(tap, filters[k], out=term), out=here)
        if bias is not None:
            np.add(here, bias, out=here)

    for_each(len(cuts), part)
