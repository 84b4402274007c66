"""Products of matrices, cut into parts for the threads.

BLAS copies ("packs") both matrices before it multiplies. On processors with AVX-512 OpenBLAS has kernels for small products
that do not, and reach 250 GFLOP/s a core where packing leaves 210. So tall products are cut into tiles of 64 columns and as
many rows as such a kernel takes; one call of ``np.matmul`` multiplies a whole stack of them. All other products are cut into
few parts, as each of them packs anew. BLAS's bits depend on where a product is cut: the cuts depend on the shapes alone.

A fully connected layer on a small batch multiplies a few rows by a large weight, and packing that takes several times as long
as reading it once. These products are cut into tiles of the weight as it lies, or into few of its rows (``_few_rows``).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from .blas_threads import one_blas_thread
from .threads import aligned, even, for_each, scratch

SMALL = 1_000_000
"""Multiplications up to which OpenBLAS has kernels that skip its packing: up to twice as fast where a matrix is narrow."""
PART = 1 << 22
"""Multiplications that are worth a thread's while; three times as many where BLAS is twice as fast (``has_small_kernels``)."""
CACHED = 1 << 19
"""The numbers of a result that stay in a core's cache."""
SLICES = 8
"""Into how many products a long sum is cut."""
PANEL = 64
"""The columns of a tile."""
TALL = 2048
"""The rows from which it pays to copy the other matrix into panels."""
NARROW = 8
"""Columns below which BLAS gains nothing from tiles."""
TOGETHER = 32
"""The columns that are copied together where memory is in the order of other dims: few enough for the lines of memory that they
share with the next rows to stay in the cache."""
TINY = 10_000
"""The numbers in a result up to which a long sum is cut, and not the result."""
FEW = 1 << 13
"""The numbers in a result up to which a long sum pays in tiles."""
TILE = 1 << 10
"""The numbers in a tile of the product with a transposed matrix, up to which BLAS has such a kernel."""
LEAST = 1 << 20
"""The multiplications from which a product of few rows is worth being cut."""
STREAMS = 32
"""The rows of a large weight that are read together: as many lines of memory as a processor fetches ahead of its loads."""
DEEP = 512
"""The rows of any other, which lies in the cache: more of a panel's do not."""
LARGE = 1 << 22
"""The numbers of a large one."""
AT_ONCE = 16
"""The most products of so many rows that are added up together."""


def product(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> np.ndarray:
    """``a @ b`` into ``out``, in parts for the threads; how they are cut depends on the shapes alone."""
    (m, k), n = a.shape, b.shape[1]
    multiplications = m * n * k
    few = _few_rows(a, b, out) if multiplications >= LEAST else None
    if few is not None:
        few(a, b, out)
    elif multiplications < (6 if has_small_kernels(out.dtype) else 2) * PART:
        with one_blas_thread:
            np.matmul(a, b, out=out)
    elif k >= 8 * max(m, n) and m * n <= TINY:
        _sum_of_products(a, b, out)
    elif m >= TALL and panels_pay(out.dtype, k, n):
        _by_tiles(a, Panels(b), out)
    else:
        _by_parts(a, b, out)
    return out


# --- one dim cut --------------------------------------------------------------------------------------------------------


def _by_parts(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """BLAS packs both matrices anew in every part: so there are few parts, cut where more is left of the packed matrix."""
    (m, k), n = a.shape, b.shape[1]
    by_rows = m // 400 >= n // 256
    wanted = m // 400 if by_rows else n // 256
    parts = max(2, min(16, wanted, m * n * k // (4 * PART)) & ~1)
    step = -(-(m if by_rows else n) // (16 * parts)) * 16

    def part(i: int) -> None:
        here = slice(i * step, (i + 1) * step)
        if by_rows:
            np.matmul(a[here], b, out=out[here])
        else:
            np.matmul(a, b[:, here], out=out[:, here])

    for_each(-(-(m if by_rows else n) // step), part)


# --- tiles --------------------------------------------------------------------------------------------------------------


@lru_cache(4)
def has_small_kernels(dtype: Any) -> bool:
    """Whether BLAS multiplies small matrices as they lie: OpenBLAS on processors with AVX-512, in float32."""
    from threadpoolctl import threadpool_info

    kernels = {library.get("architecture") for library in threadpool_info() if library["user_api"] == "blas"}
    return dtype == np.float32 and bool(kernels) and kernels <= {"SkylakeX", "Cooperlake", "SapphireRapids"}


class Panels:
    """The right matrix (k, n) of products with tall left ones, laid out in the panels that BLAS's small kernels read.

    Several matrices (G, k, n) are laid out likewise. Where there are no such kernels, or the matrix is too narrow or too high
    for them, ``small`` is False, and the products are BLAS's as usual.

    Args:
        b: (k, n), (G, k, n), or with several dims for the rows, in any order of memory.
        dims: how many dims the rows have.
    """

    def __init__(self, b: np.ndarray, dims: int = 1):
        many, rows, n = b.shape[: -1 - dims], b.shape[-1 - dims : -1], b.shape[-1]
        b = b.reshape(*(many or (1,)), *rows, n)
        k = math.prod(rows)
        self.small = panels_pay(b.dtype, k, n)
        width = panel_width(n) if self.small else n
        self.stacks: list[tuple[slice, np.ndarray]] = []
        """Columns, and panels (number, G, k, width) for them."""
        for columns, own in _whole_and_rest(n, width):
            stack = aligned(((columns.stop - columns.start) // own, len(b), k, own), b.dtype)
            for panel, first in zip(stack, range(columns.start, columns.stop, own)):
                copy_columns(b[..., first : first + own], panel.reshape(*b.shape[:-1], own))
            self.stacks.append((columns, stack))

    @property
    def height(self) -> int | None:
        """The rows of a left matrix that BLAS multiplies at best; None for all."""
        _, _, k, width = self.stacks[0][1].shape
        return max(8, SMALL // (k * width) & ~7) if self.small else None

    def multiply_tiles(self, a: np.ndarray, out: np.ndarray) -> None:
        """``a @ b`` into ``out``, for stacks (G, …, m, k) of tiles that are as high as they should be."""
        for columns, stack in self.stacks:
            multiply_tiles(a, stack, out[..., columns])

    def multiply(self, a: np.ndarray, out: np.ndarray) -> None:
        """``a @ b`` into ``out``, for a stack of matrices (N, m, k), in tiles of eight rows or a multiple."""
        for columns, stack in self.stacks:
            multiply_panels(a, stack, out[..., columns], self.small)


def copy_columns(source: np.ndarray, to: np.ndarray) -> None:
    """Copy where neighbours in memory are not along the last dim."""
    for first in range(0, source.shape[-1], TOGETHER):
        to[..., first : first + TOGETHER] = source[..., first : first + TOGETHER]


def _whole_and_rest(size: int, side: int) -> list[tuple[slice, int]]:
    """A dim as what tiles of a side fill, and what is left over, each with the side of its tiles."""
    side = min(side, size)
    cut = size - size % side
    return [(slice(0, cut), side), *([(slice(cut, size), size - cut)] if cut < size else [])]


def panel_width(n: int) -> int:
    """The columns of a panel of a matrix with n."""
    return n if n < PANEL else PANEL if n % PANEL == 0 or n % 32 else 32


def panels_pay(dtype: Any, k: int, n: int) -> bool:
    """Whether products with a matrix (k, n) are faster with panels."""
    return has_small_kernels(dtype) and n >= NARROW and 0 < 8 * PANEL * k <= SMALL


def multiply_panels(a: np.ndarray, stack: np.ndarray, out: np.ndarray, small: bool) -> None:
    """``a @ b`` for matrices a (N, m, k), and b in panels (number, G, k, width) with G = N or 1; in tiles if they are small."""
    N, m, k = a.shape
    width = stack.shape[3]
    height = min(m, SMALL // (k * width) & ~7) if small else m
    if height < m:
        number = -(-m // height)
        alike = next((n for n in range(number, 2 * number + 1) if m % n == 0), 0)
        height = m // alike if alike else -(-m // (8 * number)) * 8
    for rows, tall in _whole_and_rest(m, height):
        multiply_tiles(a[:, rows].reshape(N, -1, tall, k), stack, out[:, rows].reshape(N, -1, tall, out.shape[2]))


def multiply_tiles(a: np.ndarray, stack: np.ndarray, out: np.ndarray) -> None:
    """``a @ b`` for stacks of tiles a (N, …, height, k), and b in panels (number, G, k, width) with G = N or 1.

    One matrix meets all panels before the next one is read.
    """
    number, G, k, width = stack.shape
    panels = stack.swapaxes(0, 1).reshape(G, number, *(1,) * (a.ndim - 3), k, width)
    columns = out.reshape(*out.shape[:-1], number, width)
    last = columns.ndim - 1
    np.matmul(a[:, None], panels, out=columns.transpose(0, last - 1, *range(1, last - 1), last))


def _by_tiles(a: np.ndarray, panels: Panels, out: np.ndarray) -> None:
    m, k = a.shape
    step = max(8, CACHED // (k + out.shape[1]) & ~7)

    def part(i: int) -> None:
        rows = slice(i * step, (i + 1) * step)
        panels.multiply(a[None, rows], out[None, rows])

    for_each(-(-m // step), part)


# --- few rows -----------------------------------------------------------------------------------------------------------

Product = Callable[[np.ndarray, np.ndarray, np.ndarray], Any]


def _few_rows(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> Product | None:
    """How a linear layer and its gradients multiply for a small batch, by how their matrices lie; None for all others."""
    (m, k), n = a.shape, b.shape[1]
    if k == 1:
        return functools.partial(_in_parts, np.multiply)
    if m < 2 or n < NARROW or not has_small_kernels(out.dtype):
        return None
    along = out.itemsize
    if b.strides[0] == along and m <= (64 if b.size < LARGE else 32):
        height = m if m <= 16 else 8
        while height > 4 and 4 * height * k > SMALL:
            height = -(-height // 2)
        width = min(TILE // height, SMALL // (height * k)) & ~3
        return _in_tiles(height, width) if width else None
    if b.strides[1] == along and m <= 16:
        return _sum_by_rows if b.size >= LARGE else functools.partial(_in_parts, _sum_of_even_pieces)
    if a.strides[0] == along and k <= 32:
        return _in_tiles(8, SMALL // (8 * k) & ~15)
    return None


def _in_tiles(height: int, width: int) -> Product:
    return functools.partial(_in_parts, functools.partial(_multiply_by_tiles, height=height, width=width))


def _in_parts(multiply: Product, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """Parts of the result's rows, or of its columns where it has few rows."""
    m, n = out.shape
    parts = max(1, min(16, m * n * a.shape[1] // (2 * PART)) & ~1)
    by_rows = m >= PANEL * parts
    step = -(-(m if by_rows else n) // (PANEL * parts)) * PANEL

    def part(i: int) -> None:
        here = slice(i * step, (i + 1) * step)
        if by_rows:
            multiply(a[here], b, out[here])
        else:
            multiply(a, b[:, here], out[:, here])

    for_each(-(-(m if by_rows else n) // step), part)


def _multiply_by_tiles(a: np.ndarray, b: np.ndarray, out: np.ndarray, height: int, width: int) -> None:
    """``a @ b`` in tiles of so many rows and columns; what is left over is a row and a column of smaller ones."""
    k = len(b)
    for rows, tall in _whole_and_rest(len(out), height):
        left = a[rows].reshape(-1, 1, tall, k)
        for columns, wide in _whole_and_rest(out.shape[1], width):
            right = b[:, columns].reshape(k, -1, wide).transpose(1, 0, 2)
            np.matmul(left, right, out=out[rows, columns].reshape(len(left), tall, len(right), wide).transpose(0, 2, 1, 3))


def _sum_by_rows(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """``a @ b`` in parts of the rows of ``b``, which are read once and in order."""
    (m, k), n = a.shape, b.shape[1]
    step = -(-k // (STREAMS * SLICES)) * STREAMS
    terms = np.empty((-(-k // step), m, n), out.dtype)

    def part(i: int) -> None:
        here = slice(i * step, (i + 1) * step)
        _sum_of_pieces(a[:, here], b[here], terms[i], STREAMS)

    for_each(len(terms), part)
    np.add.reduce(terms, axis=0, out=out)


def _sum_of_even_pieces(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    _sum_of_pieces(a, b, out, even(len(b), DEEP))


def _sum_of_pieces(a: np.ndarray, b: np.ndarray, out: np.ndarray, side: int) -> None:
    """``a @ b`` as the sum of products with so many rows of ``b`` each."""
    m, n = out.shape
    together = max(2, min(AT_ONCE, 2 * CACHED // (m * n)))
    for rows, length in _whole_and_rest(len(b), side):
        left, right = a[:, rows].reshape(m, -1, length), b[rows].reshape(-1, length, n)
        for i in range(0, len(right), together):
            pieces = right[i : i + together]
            (buffer,) = scratch(len(pieces) * out.size, dtype=out.dtype)
            terms = buffer.reshape(len(pieces), m, n)
            for columns, wide in _whole_and_rest(n, min(4 * PANEL, SMALL // (m * length) & ~15)):
                tiles = pieces[:, :, columns].reshape(len(pieces), length, -1, wide).transpose(0, 2, 1, 3)
                place = terms[:, :, columns].reshape(len(pieces), m, -1, wide).transpose(0, 2, 1, 3)
                np.matmul(left[:, i : i + together].transpose(1, 0, 2)[:, None], tiles, out=place)
            if rows.start + i:
                np.add(out, np.add.reduce(terms, axis=0), out=out)
            else:
                np.add.reduce(terms, axis=0, out=out)


# --- long sums ----------------------------------------------------------------------------------------------------------


def _sum_of_products(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """A gradient by the weight: a far longer sum than there are numbers in the result."""
    k = len(b)
    step = -(-k // SLICES)
    terms = np.empty((-(-k // step), *out.shape), out.dtype)

    def part(i: int) -> None:
        here = slice(i * step, (i + 1) * step)
        sum_of_tiles(a[:, here], b[here], terms[i])

    for_each(len(terms), part)
    np.add.reduce(terms, axis=0, out=out)


def sum_of_tiles(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """``a @ b`` with a long sum, which is cut so that BLAS's small kernels take the pieces, where these pay."""
    (m, k), n = a.shape, b.shape[1]
    if m % 32 == 0 and n % 32:  # tiles are faster with columns of whole vectors
        a, b, out, m, n = b.T, a.T, out.T, n, m
    height, width = _divisor(m), _divisor(n)
    pieces = -(-k * height * width // SMALL)
    length = k // pieces
    if not has_small_kernels(out.dtype) or m * n > FEW:
        np.matmul(a, b, out=out)
        return
    end = pieces * length
    left = a[:, :end].reshape(m // height, height, pieces, length).transpose(2, 0, 1, 3)[:, :, None]
    right = b[:end].reshape(pieces, length, n // width, width).transpose(0, 2, 1, 3)[:, None]
    total = out.reshape(m // height, height, n // width, width).transpose(0, 2, 1, 3)
    if end < k:
        np.matmul(a[:, end:], b[end:], out=out)
    else:
        out[...] = 0
    together = max(1, CACHED // (2 * m * n))
    for i in range(0, pieces, together):
        terms = np.matmul(left[i : i + together], right[i : i + together])
        np.add(total, np.add.reduce(terms, axis=0), out=total)


def stacked_sums(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """``aᵀ @ b`` for stacks of matrices (G, k, m) and (G, k, n), in tiles of the result that BLAS's small kernels take."""
    G, k, m = a.shape
    n = b.shape[2]
    height = _divisor(m)
    width = next((side for side in (PANEL, PANEL // 2) if n % side == 0 and k * height * side <= SMALL), 0)
    if not has_small_kernels(out.dtype) or height > PANEL or not width:
        np.matmul(a.transpose(0, 2, 1), b, out=out)
        return
    left = a.reshape(G, k, m // height, height).transpose(0, 2, 3, 1)[:, :, None]
    right = b.reshape(G, k, n // width, width).transpose(0, 2, 1, 3)[:, None]
    np.matmul(left, right, out=out.reshape(G, m // height, height, n // width, width).transpose(0, 1, 3, 2, 4))


def _divisor(size: int) -> int:
    """The side of a tile."""
    return next((side for side in (PANEL, PANEL // 2) if size % side == 0), size)


def sums_of_products(a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """``aᵀ @ b`` for stacks of matrices (…, k, m) and (…, k, n), with the sum in pieces for BLAS's small kernels."""
    k, m = a.shape[-2:]
    n = b.shape[-1]
    length = SMALL // (m * n)
    if not has_small_kernels(a.dtype) or length >= k or m * n > FEW:
        return np.matmul(a.swapaxes(-2, -1), b, out=out)
    pieces = -(-k // length)
    length = k // pieces
    left, right = (x[..., : pieces * length, :].reshape(*x.shape[:-2], pieces, length, x.shape[-1]) for x in (a, b))
    total = np.add.reduce(np.matmul(left.swapaxes(-2, -1), right), axis=-3, out=out)
    if pieces * length < k:
        rest = slice(pieces * length, k)
        total += np.matmul(a[..., rest, :].swapaxes(-2, -1), b[..., rest, :])
    return total
