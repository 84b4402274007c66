"""Windows over channels-last planes, block by block: what a part of the work looks at stays in the cache."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ...dtypes import accumulated_in
from ..generic.windows import Padding, Pair, count
from .elementwise import contiguous
from .threads import aligned, even, for_each, scratch

BLOCK = 1 << 20
"""The bytes of a block of windows: fastest between a quarter of and two MiB."""
LEAST = 1 << 21
"""The bytes below which images are not dealt out in four parts, but in as few as the limit of a block allows."""


def channels_last(x: np.ndarray) -> np.ndarray:
    """(N, C, H, W) -> (N, H, W, C): a view."""
    return x.transpose(0, 2, 3, 1)


def channels_first(x: np.ndarray) -> np.ndarray:
    """(N, H, W, C) -> (N, C, H, W): a view."""
    return x.transpose(0, 3, 1, 2)


def wide(x: np.ndarray) -> Any:
    """The array in a dtype in which sums are exact enough, and matrix products fast: short floats become float32."""
    return x.astype(accumulated_in(x.dtype), copy=False)


class Axis(NamedTuple):
    """How windows lie along one axis: window i covers the elements i·stride − before + tap·dilation of ``size``."""

    size: int
    taps: int
    stride: int
    before: int
    after: int
    dilation: int

    @property
    def windows(self) -> int:
        return count(self.size, self.taps, self.stride, self.before, self.after, self.dilation)

    @property
    def pixels(self) -> int:
        """How many elements lie within a stride."""
        return min(self.stride, self.size)

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """From which element up to which windows start to stop reach; there may be no such elements."""
        first = start * self.stride - self.before
        return first, (stop - 1) * self.stride - self.before + (self.taps - 1) * self.dilation + 1


class Windows(NamedTuple):
    """How windows lie on planes."""

    rows: Axis
    columns: Axis

    @property
    def kernel_size(self) -> Pair:
        return self.rows.taps, self.columns.taps

    @property
    def output_size(self) -> Pair:
        return self.rows.windows, self.columns.windows

    @property
    def reach(self) -> Pair:
        """How many rows and columns all windows together reach, padding included."""
        rows, columns = (axis.span(0, axis.windows) for axis in self)
        return rows[1] - rows[0], columns[1] - columns[0]

    def is_padded(self) -> bool:
        return any((self.rows.before, self.rows.after, self.columns.before, self.columns.after))


@lru_cache(1024)
def windows_over(size: Pair, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Windows:
    """The windows of an operation's arguments."""
    rows, columns = (Axis(size[i], kernel_size[i], stride[i], *padding[i], dilation[i]) for i in range(2))
    return Windows(rows, columns)


class Block(NamedTuple):
    """Some images, and of each some rows of windows."""

    images: slice
    rows: slice


@lru_cache(1024)
def blocks(images: int, rows: int, row_bytes: int, limit: int = BLOCK) -> tuple[Block, ...]:
    """All windows in blocks whose rows cost no more than the limit: whole images where several fit, four parts if they pay."""
    fitting = max(1, limit // max(1, row_bytes))
    if fitting < rows:
        height = -(-rows // -(-rows // fitting))
        cuts = [slice(a, min(a + height, rows)) for a in range(0, rows, height)]
        return tuple(Block(slice(i, i + 1), cut) for i in range(images) for cut in cuts)
    fitting //= max(1, rows)
    together = even(images, min(fitting, max(-(-images // 4), LEAST // max(1, rows * row_bytes))))
    return tuple(Block(slice(i, min(i + together, images)), slice(0, rows)) for i in range(0, images, together))


def whole_images(images: int, rows: int, row_bytes: int, limit: int) -> list[Block]:
    """All windows in blocks for one thread: as many whole images as the limit allows, one at least."""
    together = max(1, limit // max(1, rows * row_bytes))
    return [Block(slice(i, min(i + together, images)), slice(0, rows)) for i in range(0, images, together)]


@lru_cache(4096)
def meeting(size: Pair, rows: Pair, columns: Pair) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Which pixels of an image of that size lie in these rows and columns, and where they lie there."""
    of_image, of_planes = [], []
    for length, (first, last) in zip(size, (rows, columns)):
        start, before = max(0, first), max(0, -first)
        found = max(0, min(length, last) - start)
        of_image.append(slice(start, start + found))
        of_planes.append(slice(before, before + found))
    return (of_image[0], of_image[1]), (of_planes[0], of_planes[1])


def padded_planes(x: np.ndarray, images: slice, rows: Pair, columns: Pair, fill: float, buffer: np.ndarray) -> np.ndarray:
    """Rows and columns of some images, copied to the buffer; those that do not exist hold ``fill``."""
    of_image, inside = meeting(x.shape[1:3], rows, columns)
    part = x[images, *of_image]
    shape = (len(part), rows[1] - rows[0], columns[1] - columns[0], x.shape[3])
    planes = buffer[: math.prod(shape)].reshape(shape)
    planes[:, *inside] = part
    fill_around(planes, inside, fill)
    return planes


def fill_around(planes: np.ndarray, inside: tuple[slice, slice], fill: float) -> None:
    """Write what lies around the inside of planes (…, rows, columns, C)."""
    rows, columns = inside
    above, below = planes[..., : rows.start, :, :], planes[..., rows.stop :, :, :]
    for edge in (above, below, planes[..., rows, : columns.start, :], planes[..., rows, columns.stop :, :]):
        if edge.size:  # even a call with nothing to do keeps the other threads from Python's lock
            edge[...] = fill


def planes_size(x: np.ndarray, windows: Windows, block: Block) -> int:
    """How many elements ``read`` needs a buffer for."""
    top, bottom = windows.rows.span(0, block.rows.stop - block.rows.start)
    left, right = windows.columns.span(0, windows.columns.windows)
    return (block.images.stop - block.images.start) * (bottom - top) * (right - left) * x.shape[3]


def reached(x: np.ndarray, windows: Windows, block: Block, fill: float, buffer: np.ndarray) -> np.ndarray:
    """The planes (n, ·, ·, C) that a block's windows reach: a view of ``x`` (N, H, W, C), or a padded copy in the buffer."""
    rows, columns = windows
    top, bottom = rows.span(block.rows.start, block.rows.stop)
    if not windows.is_padded():
        return x[block.images, top:bottom]
    return padded_planes(x, block.images, (top, bottom), columns.span(0, columns.windows), fill, buffer)


def read(x: np.ndarray, windows: Windows, block: Block, fill: float, buffer: np.ndarray) -> np.ndarray:
    """The windows of a block: a view (n, rows, OW, KH, KW, C) of what they reach."""
    return view_of_planes(reached(x, windows, block, fill, buffer), windows, block.rows.stop - block.rows.start)


def view_of_planes(planes: np.ndarray, windows: Windows, height: int) -> np.ndarray:
    """So many rows of windows over planes (n, ·, ·, C) that begin with the first: a view (n, height, OW, KH, KW, C)."""
    rows, columns = windows
    n, h, w, c = planes.strides
    shape = (len(planes), height, columns.windows, rows.taps, columns.taps, planes.shape[3])
    strides = (n, h * rows.stride, w * columns.stride, h * rows.dilation, w * columns.dilation, c)
    if planes.flags.c_contiguous:
        return np.ndarray(shape, planes.dtype, planes, 0, strides)  # a tenth of the time that as_strided takes
    return as_strided(planes, shape, strides)


def padded(x: np.ndarray, windows: Windows) -> tuple[np.ndarray, Windows]:
    """All planes (N, H, W, C) with zeros around, as far as the windows reach, in contiguous memory, and the windows over these.

    One pass more over the memory, but parts then need one view and one copy: short calls from several threads wait for each
    other, as Python lets only one of them prepare a call at a time.
    """
    if not windows.is_padded():
        return contiguous(x), windows
    rows, columns, within = around(windows)
    result = aligned((len(x), rows[1] - rows[0], columns[1] - columns[0], x.shape[3]), x.dtype)
    together = even(len(x), BLOCK // max(1, result[:1].nbytes))

    def part(i: int) -> None:
        images = slice(i * together, min((i + 1) * together, len(x)))
        padded_planes(x, images, rows, columns, 0, result[images].reshape(-1))

    for_each(-(-len(x) // together), part, blas=False)
    return result, within


@lru_cache(1024)
def around(windows: Windows) -> tuple[Pair, Pair, Windows]:
    """The rows and the columns that windows reach, as far as planes with zeros around go, and the windows over such planes."""
    rows, columns = (axis.span(0, axis.windows) for axis in windows)
    spans = zip(windows, (rows, columns))
    return rows, columns, Windows(*(axis._replace(size=b - a, before=0, after=0) for axis, (a, b) in spans))


def view(x: np.ndarray, windows: Windows, block: Block) -> np.ndarray:
    """The windows of a block over planes (N, H, W, C) that ``padded`` made: a view (n, rows, OW, KH, KW, C)."""
    rows, columns = windows
    n, h, w, c = x.strides
    number, height = block.images.stop - block.images.start, block.rows.stop - block.rows.start
    shape = (number, height, columns.windows, rows.taps, columns.taps, x.shape[3])
    strides = (n, h * rows.stride, w * columns.stride, h * rows.dilation, w * columns.dilation, c)
    return np.ndarray(shape, x.dtype, x, block.images.start * n + block.rows.start * rows.stride * h, strides)


def view_of_runs(x: np.ndarray, windows: Windows, block: Block) -> np.ndarray:
    """The same without dilation of columns, each row of a window as one element of KW·C numbers: (n, rows, OW, KH)."""
    rows, columns = windows
    image, line, pixel, _ = x.strides
    number, height = block.images.stop - block.images.start, block.rows.stop - block.rows.start
    start = block.images.start * image + block.rows.start * rows.stride * line
    strides = (image, rows.stride * line, columns.stride * pixel, rows.dilation * line)
    run = columns.taps * x.shape[3] * x.itemsize  # not `pixel`: of a single one the step is arbitrary
    return np.ndarray((number, height, columns.windows, rows.taps), runs_of(run), x, start, strides)


@lru_cache(1024)
def runs_of(size: int) -> np.dtype:
    """The dtype of so many bytes. NumPy copies them as a whole, in a third of the time that short runs of numbers take."""
    return np.dtype((np.void, size))


def as_runs(x: np.ndarray, numbers: int) -> np.ndarray:
    """Contiguous memory as runs of so many numbers: a view with one dim."""
    return np.ndarray(x.size // numbers, runs_of(numbers * x.itemsize), x)


def images_together(shape: tuple[int, ...], itemsize: int) -> int:
    """How many images (N, C, H, W) are one part: up to four megabytes, as short calls of two threads wait for each other.

    From a megabyte on there are two parts at least.
    """
    image = max(1, itemsize * math.prod(shape[1:]))
    half = -(-shape[0] // 2) if shape[0] * image >= BLOCK else shape[0]
    return even(shape[0], min(4 * BLOCK // image, half))


def from_planes(
    input_shape: tuple[int, ...], windows: Windows, dtype: Any, planes_of: Callable[[slice], np.ndarray], together: int
) -> np.ndarray:
    """(N, H, W, C) from what ``planes_of(images)`` makes: planes (n, ·, ·, C) of all that windows reach, padding included.

    Args:
        input_shape: (N, C, H, W).
        windows: over the planes.
        dtype: the result's.
        planes_of: called for ``together`` images at a time.
        together: how many images are a part.
    """
    N, C, H, W = input_shape
    of_image, of_planes = meeting((H, W), *(axis.span(0, axis.windows) for axis in windows))
    dx = aligned((N, H, W, C), dtype)
    inside = dx[:, *of_image]
    whole = inside.shape == dx.shape

    def part(i: int) -> None:
        images = slice(i * together, min((i + 1) * together, N))
        if not whole:
            dx[images] = 0
        inside[images] = planes_of(images)[:, *of_planes]

    for_each(-(-N // together), part)
    return dx


def each_tap(windows: np.ndarray) -> Any:
    """For every element of the window, row by row: that element of all windows, a view (N, OH, OW, C)."""
    for u in range(windows.shape[3]):
        for v in range(windows.shape[4]):
            yield windows[:, :, :, u, v]


def one_buffer(size: int, dtype: Any) -> np.ndarray:
    """A flat array in this thread's scratch memory."""
    (buffer,) = scratch(size, dtype=dtype)
    return buffer
