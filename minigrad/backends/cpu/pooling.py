"""Pooling on the CPU: taps of all windows of a block at once, in long loops over memory that has channels last.

The largest element is sought down the columns of windows first, where whole rows of the image are compared as they lie, and
then along the rows: KH + KW taps instead of KH·KW. Its number is found by looking which taps equal it.
Gradients are made image by image, each image's in one part: those of averages tap by tap; those of largest elements, which go
to places that differ from window to window, by the product of a sparse column, SciPy's loop for "add at places". NumPy's own
(``np.add.at``, ``np.bincount``) take five times as long.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..generic.pooling import PoolingKernels, tap_dtype
from ..generic.windows import Padding, Pair
from .elementwise import contiguous
from .threads import aligned, even, for_each
from .windows import (
    BLOCK,
    Axis,
    Block,
    Windows,
    as_runs,
    blocks,
    channels_first,
    channels_last,
    each_tap,
    fill_around,
    from_planes,
    images_together,
    meeting,
    one_buffer,
    planes_size,
    read,
    runs_of,
    view_of_planes,
    whole_images,
    wide,
    windows_over,
)

LARGE = 1 << 20
"""The numbers of the output, or half of the input's, from which threads pay; below, blocks that the cache holds are faster."""
TOGETHER = 1 << 26
"""The bytes of images up to which a gradient is made at once, by one thread: it need not be copied."""


class CPUPoolingKernels(PoolingKernels):
    """The kernels of ``generic/pooling.py``."""

    def max_pool2d(
        self, x: Any, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair, numbered: bool = True
    ) -> tuple[Any, Any]:
        given, dtype, x = x, x.dtype, contiguous(channels_last(wide(x)))
        windows = windows_over(x.shape[1:3], kernel_size, stride, padding, dilation)
        y = np.empty((len(x), *windows.output_size, x.shape[3]), x.dtype)
        numbers = np.empty(y.shape, tap_dtype(kernel_size)) if numbered else None
        least = []

        def part(block: Block) -> None:
            here = y[block.images, block.rows]
            _find_largest(x, windows, block, here, None if numbers is None else numbers[block.images, block.rows])
            if numbers is not None:
                least.append(here.min())  # it is nan if any is

        _for_each_block(x, y, part)
        if not all(number > -np.inf for number in least):
            return super().max_pool2d(given, kernel_size, stride, padding, dilation)
        return channels_first(y.astype(dtype, copy=False)), None if numbers is None else channels_first(numbers)

    def max_pool2d_grad(
        self,
        grad: Any,
        taps: Any,
        input_shape: tuple[int, ...],
        kernel_size: Pair,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
    ) -> Any:
        from scipy.sparse import csc_array

        windows = windows_over(input_shape[2:], kernel_size, stride, padding, dilation)
        if not _all_see_the_image(windows):
            return super().max_pool2d_grad(grad, taps, input_shape, kernel_size, stride, padding, dilation)
        dy, numbers = contiguous(channels_last(wide(grad))), channels_last(taps)
        N, C, H, W = input_shape
        together = even(N, TOGETHER // max(1, C * H * W * dy.itemsize))
        places = _Places(windows, (together, H, W, C))
        one = np.ones(1, dy.dtype)

        def of(images: slice) -> np.ndarray:
            rows = places.of(numbers[images])
            shape = len(dy[images]), H, W, C
            column = csc_array((dy[images].reshape(-1), rows, np.array([0, rows.size], rows.dtype)), (math.prod(shape), 1))
            return (column @ one).reshape(shape)

        if together >= N:
            dx = of(slice(0, N))
        else:
            dx = aligned((N, H, W, C), dy.dtype)

            def part(i: int) -> None:
                images = slice(i * together, (i + 1) * together)
                dx[images] = of(images)

            for_each(-(-N // together), part, blas=False)
        return channels_first(dx.astype(grad.dtype, copy=False))

    def max_pool2d_gather(self, x: Any, taps: Any, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Any:
        windows = windows_over(x.shape[2:], kernel_size, stride, padding, dilation)
        if not _all_see_the_image(windows):
            return super().max_pool2d_gather(x, taps, kernel_size, stride, padding, dilation)
        numbers, source = channels_last(taps), contiguous(channels_last(x))
        together = images_together(x.shape, x.itemsize)
        places = _Places(windows, (together, *source.shape[1:]))
        y = np.empty(numbers.shape, x.dtype)

        def part(i: int) -> None:
            images = slice(i * together, (i + 1) * together)
            here = y[images]
            np.take(source[images], places.of(numbers[images]).reshape(here.shape), out=here, mode="clip")

        for_each(-(-len(y) // together), part, blas=False)
        return channels_first(y)

    def avg_pool2d(self, x: Any, kernel_size: Pair, stride: Pair, padding: Padding, divisor: Any) -> Any:
        source = channels_last(wide(x))
        windows = windows_over(source.shape[1:3], kernel_size, stride, padding, (1, 1))
        y = np.empty((len(source), *windows.output_size, source.shape[3]), source.dtype)

        def part(block: Block) -> None:
            total = y[block.images, block.rows]
            found = read(source, windows, block, 0, one_buffer(planes_size(source, windows, block), source.dtype))
            for k, tap in enumerate(each_tap(found)):
                if k == 0:
                    total[...] = tap
                else:
                    total += tap
            total /= divisor if np.ndim(divisor) == 0 else divisor[block.rows, :, None]

        _for_each_block(source, y, part)
        return channels_first(y.astype(x.dtype, copy=False))

    def avg_pool2d_grad(
        self,
        grad: Any,
        input_shape: tuple[int, ...],
        kernel_size: Pair,
        stride: Pair,
        padding: Padding,
        divisor: Any,
    ) -> Any:
        dy = channels_last(wide(grad))
        windows = windows_over(input_shape[2:], kernel_size, stride, padding, (1, 1))
        together = images_together(input_shape, dy.itemsize)

        def planes_of(images: slice) -> np.ndarray:
            share = dy[images] / (divisor if np.ndim(divisor) == 0 else divisor[:, :, None])
            planes = np.zeros((len(share), *windows.reach, input_shape[1]), dy.dtype)
            for tap in each_tap(view_of_planes(planes, windows, dy.shape[1])):
                np.add(tap, share, out=tap)
            return planes

        return channels_first(from_planes(input_shape, windows, dy.dtype, planes_of, together).astype(grad.dtype, copy=False))


def _for_each_block(x: np.ndarray, y: np.ndarray, part: Callable[[Block], None]) -> None:
    """Call with all blocks of the windows of an output (N, OH, OW, C), of (N, H, W, C), of which it may be a small part."""
    if not y.size:
        return
    N, OH = y.shape[:2]
    row = max(2 * y[:1, :1].nbytes, x.nbytes // (N * OH))
    if max(y.size, x.size // 2) >= LARGE:
        cuts = blocks(N, OH, row, 8 * BLOCK)
        for_each(len(cuts), lambda i: part(cuts[i]), blas=False)
        return
    for block in whole_images(N, OH, row, BLOCK):
        part(block)


@functools.lru_cache(1024)
def _all_see_the_image(windows: Windows) -> bool:
    """Whether every window has a tap on the image, and so its largest element there: padding is less than anything."""
    return all(
        any(0 <= first + tap * axis.dilation < axis.size for tap in range(axis.taps))
        for axis in windows
        for first in range(-axis.before, axis.windows * axis.stride - axis.before, axis.stride)
    )


class _Places:
    """Where taps lie in the flat memory of images (n, H, W, C), all of which they must point to."""

    def __init__(self, windows: Windows, images: tuple[int, ...]):
        rows, columns = windows
        n, height, width, C = images
        dtype = np.int32 if math.prod(images) < 1 << 29 else np.int64  # room for windows that reach far beyond
        line = width * C

        def steps(number: int, length: int, start: int = 0) -> np.ndarray:
            return (np.arange(number) * length + start).astype(dtype)

        of_images = steps(n, height * line)
        lines = steps(rows.windows, rows.stride * line, -rows.before * line)
        pixels = steps(columns.windows, columns.stride * C, -columns.before * C)
        self.first = (of_images[:, None] + lines)[:, :, None, None] + (pixels[:, None] + steps(C, 1))
        """The place of the first tap of every window, which may lie outside."""
        self.taps, self.channels = columns.taps, dtype(C)
        small = np.min_scalar_type((rows.taps - 1) * rows.dilation * width + (columns.taps - 1) * columns.dilation)
        next_row = rows.dilation * width - columns.taps * columns.dilation
        self.column, self.row = np.array([columns.dilation, next_row]).astype(small)

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """The places of the taps with these numbers (n, OH, OW, C), as a flat array.

        By arithmetic, on short integers as far as possible: to look them up takes NumPy twice as long.
        """
        pixels = numbers.astype(self.column.dtype) * self.column
        if self.taps <= np.iinfo(numbers.dtype).max:  # else there is one row
            pixels += (numbers // numbers.dtype.type(self.taps)).astype(self.column.dtype) * self.row
        places = np.multiply(pixels, self.channels, dtype=self.first.dtype)
        places += self.first[: len(numbers)]
        return places.reshape(-1)


# --- the largest element, first down the columns of windows and then along the rows ---------------------------------------


def _find_largest(x: np.ndarray, windows: Windows, block: Block, largest: np.ndarray, number: np.ndarray | None) -> None:
    """Write the largest elements of a block of windows (n, rows, OW, C), and their numbers if these are wanted."""
    down = _Columns(x, windows, block)
    taps = _along_rows(down.largest, windows.columns)
    largest = largest.reshape(taps[0].shape)
    _maximum(taps, largest)
    if number is None:
        return
    rows = down.rows(number.dtype)
    rows *= number.dtype.type(windows.columns.taps)
    number = number.reshape(largest.shape)
    other, candidate = np.empty(largest.shape, np.bool_), np.empty_like(number)
    for v, (tap, row) in enumerate(zip(taps, _along_rows(rows, windows.columns))):
        here = candidate if v else number
        np.not_equal(tap, largest, out=other)
        np.multiply(other.view(np.uint8), number.dtype.type(np.iinfo(number.dtype).max - v), out=here)
        np.maximum(here, row, out=here)
        if v:
            np.add(here, number.dtype.type(v), out=here)
            np.minimum(number, here, out=number)


class _Columns:
    """The largest elements down the columns of a block of windows over ``x`` (N, H, W, C), which is read where it lies.

    In these columns padding counts for nothing; there may be columns of padding, which hold -inf.
    """

    def __init__(self, x: np.ndarray, windows: Windows, block: Block):
        rows, columns = windows
        N, H, W, C = x.shape
        height = block.rows.stop - block.rows.start
        left, right = columns.span(0, columns.windows)
        (_, of_image), (_, inside) = meeting((H, W), (0, H), (left, right))
        lines = x.reshape(N, H, W * C)[block.images, :, of_image.start * C : of_image.stop * C]
        first = block.rows.start * rows.stride - rows.before
        starts = range(first, first + rows.taps * rows.dilation, rows.dilation)
        self.taps = [_on_image(lines, start, rows.stride, height) for start in starts]
        """For every tap: which rows of windows have it on the image, and its elements (n, rows, ·)."""
        self.largest = np.empty((len(lines), height, right - left, C), x.dtype)
        """(n, rows, w, C)."""
        self.inside = slice(inside.start * C, inside.stop * C)
        fill_around(self.largest, (slice(0, height), inside), -np.inf)
        result = self._on_image(self.largest)
        whole = [tap for here, tap in self.taps if tap.shape[1] == height]
        if whole:
            _maximum(whole, result)
        else:
            result[...] = -np.inf
        for here, tap in self.taps:
            if tap.shape[1] < height:
                np.maximum(result[:, here], tap, out=result[:, here])

    def rows(self, dtype: Any) -> np.ndarray:
        """In which of the windows' rows the first of the largest elements lie, (n, rows, w, C)."""
        found = np.zeros(self.largest.shape, dtype)
        largest, number = self._on_image(self.largest), self._on_image(found)
        beyond, other = np.ones(largest.shape, np.bool_), np.empty(largest.shape, np.bool_)
        for here, tap in self.taps[:-1]:
            np.not_equal(tap, largest[:, here], out=other[:, here])
            np.logical_and(beyond[:, here], other[:, here], out=beyond[:, here])
            np.add(number, beyond.view(np.uint8), out=number)
        return found

    def _on_image(self, planes: np.ndarray) -> np.ndarray:
        return planes.reshape(*planes.shape[:2], -1)[:, :, self.inside]


def _on_image(lines: np.ndarray, first: int, step: int, height: int) -> tuple[slice, np.ndarray]:
    """Of so many rows, ``first``, ``first + step`` …: which of them the lines (n, H, ·) have, and these."""
    H = lines.shape[1]
    start, stop = (min(max(0, -((first - end) // step)), height) for end in (0, H))
    if start == stop:
        return slice(0, 0), lines[:, :0]
    return slice(start, stop), lines[:, first + start * step : first + (stop - 1) * step + 1 : step]


def _maximum(arrays: list[np.ndarray], out: np.ndarray) -> None:
    if len(arrays) == 1:
        out[...] = arrays[0]
        return
    np.maximum(arrays[0], arrays[1], out=out)
    for array in arrays[2:]:
        np.maximum(out, array, out=out)


def _along_rows(planes: np.ndarray, columns: Axis) -> list[np.ndarray]:
    """For every tap along a row, the elements of all windows (n, h, OW·C): views, or copies where these would be in pieces."""
    n, h, w, C = planes.shape
    length = columns.windows * C
    starts = range(0, columns.taps * columns.dilation, columns.dilation)
    if columns.stride == 1:
        lines = planes.reshape(n, h, w * C)
        return [lines[:, :, start * C : start * C + length] for start in starts]
    pixels = planes.view(runs_of(C * planes.itemsize))[..., 0]
    reach = (columns.windows - 1) * columns.stride + 1
    copies = np.empty((columns.taps, n, h, length), planes.dtype)
    for copy, start in zip(copies, starts):
        np.copyto(as_runs(copy, C).reshape(n, h, -1), pixels[:, :, start : start + reach : columns.stride])
    return list(copies)
