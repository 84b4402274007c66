"""Pooling on the CPU: taps of all windows of a block at once, in long loops over memory that has channels last.

The largest element is sought along the rows of windows first, and then among a window's rows: KH + KW taps instead of KH·KW.
Gradients are made image by image, each image's in one part: those of averages tap by tap; those of largest elements, which go
to places that differ from window to window, by the product of a sparse column, SciPy's loop for "add at places". NumPy's own
(``np.add.at``, ``np.bincount``) take five times as long.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..generic.pooling import PoolingKernels, tap_dtype
from ..generic.windows import Padding, Pair
from .elementwise import contiguous
from .threads import aligned, for_each
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
    from_planes,
    images_together,
    one_buffer,
    planes_size,
    reached,
    read,
    runs_of,
    view_of_planes,
    wide,
    windows_over,
)

LARGE = 3 << 18
"""The numbers of the output, or half of the input's, from which threads pay."""


class CPUPoolingKernels(PoolingKernels):
    """The kernels of ``generic/pooling.py``."""

    def max_pool2d(
        self, x: Any, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair, numbered: bool = True
    ) -> tuple[Any, Any]:
        given, dtype, x = x, x.dtype, contiguous(channels_last(wide(x)))
        windows = windows_over(x.shape[1:3], kernel_size, stride, padding, dilation)
        y = np.empty((len(x), *windows.output_size, x.shape[3]), x.dtype)
        numbers = np.empty(y.shape, tap_dtype(kernel_size)) if numbered else None
        cuts = _cuts(x, y)
        comparable = np.ones(len(cuts), np.bool_)

        def part(i: int) -> None:
            block = cuts[i]
            planes = reached(x, windows, block, -np.inf, one_buffer(planes_size(x, windows, block), x.dtype))
            here = y[block.images, block.rows]
            if numbers is None:
                _largest(planes, windows, here)
            else:
                _find_largest(planes, windows, here, numbers[block.images, block.rows])
                comparable[i] = here.min() > -np.inf  # it is nan if any is

        for_each(len(cuts), part, blas=False)
        if not comparable.all():
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
        together = images_together(input_shape, dy.itemsize)
        places = _Places(windows, (together, H, W, C))
        dx = aligned((N, H, W, C), dy.dtype)
        one = np.ones(1, dy.dtype)

        def part(i: int) -> None:
            images = slice(i * together, min((i + 1) * together, N))
            here = dx[images]
            rows = places.of(numbers[images])
            column = csc_array((dy[images].reshape(-1), rows, np.array([0, rows.size], rows.dtype)), (here.size, 1))
            here[...] = (column @ one).reshape(here.shape)

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
        cuts = _cuts(source, y)

        def part(i: int) -> None:
            block = cuts[i]
            total = y[block.images, block.rows]
            found = read(source, windows, block, 0, one_buffer(planes_size(source, windows, block), source.dtype))
            for k, tap in enumerate(each_tap(found)):
                if k == 0:
                    total[...] = tap
                else:
                    total += tap
            total /= divisor if np.ndim(divisor) == 0 else divisor[block.rows, :, None]

        for_each(len(cuts), part, blas=False)
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


def _cuts(x: np.ndarray, y: np.ndarray) -> tuple[Block, ...]:
    """The parts in which an output (N, OH, OW, C) is computed: of (N, H, W, C), of which it may be a small part."""
    if not y.size:
        return ()
    if max(y.size, x.size // 2) < LARGE:
        return (Block(slice(0, len(y)), slice(0, y.shape[1])),)
    row = max(2 * y[:1, :1].nbytes, x.nbytes // (4 * len(y) * y.shape[1]))
    return blocks(len(y), y.shape[1], row, 2 * BLOCK)


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
        self.columns = columns.taps
        self.of_number = dtype(columns.dilation * C)
        self.of_row = dtype(rows.dilation * line - columns.taps * columns.dilation * C)

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """The places of the taps with these numbers (n, OH, OW, C), as a flat array.

        By arithmetic: to look them up takes NumPy half as long again.
        """
        places = np.multiply(numbers, self.of_number, dtype=self.first.dtype)
        places += self.first[: len(numbers)]
        if self.columns <= np.iinfo(numbers.dtype).max:  # else there is one row
            places += np.multiply(numbers // numbers.dtype.type(self.columns), self.of_row, dtype=places.dtype)
        return places.reshape(-1)


# --- the largest element, first along the rows of windows and then across them -------------------------------------------


def _find_largest(planes: np.ndarray, windows: Windows, largest: np.ndarray, number: np.ndarray) -> None:
    """Of the windows (n, rows, OW) over padded planes (n, h, w, C): their largest elements, and the numbers of these."""
    rows, columns = windows
    taps = _along_rows(planes, columns)
    of_rows, places = np.empty(taps[0].shape, planes.dtype), np.empty(taps[0].shape, number.dtype)
    _choose(taps, map(number.dtype.type, range(columns.taps)), of_rows, places)
    here = _rows_of_taps(rows, largest.shape[1])
    largest, number = (array.reshape(*array.shape[:2], -1) for array in (largest, number))
    of_taps = (np.add(places[:, row], number.dtype.type(u * columns.taps)) for u, row in enumerate(here))
    _choose((of_rows[:, row] for row in here), of_taps, largest, number)


def _largest(planes: np.ndarray, windows: Windows, largest: np.ndarray) -> None:
    """Their largest elements only: across the rows first, where nothing needs to be copied."""
    rows, columns = windows
    of_columns = functools.reduce(np.maximum, [planes[:, row] for row in _rows_of_taps(rows, largest.shape[1])])
    taps = _along_rows(np.ascontiguousarray(of_columns), columns)
    largest = largest.reshape(*largest.shape[:2], -1)
    if len(taps) == 1:
        np.copyto(largest, taps[0])
    else:
        np.maximum(functools.reduce(np.maximum, taps[:-1]), taps[-1], out=largest)


def _rows_of_taps(rows: Axis, height: int) -> list[slice]:
    """For every tap along a column, the rows of so many windows."""
    starts = range(0, rows.taps * rows.dilation, rows.dilation)
    return [slice(start, start + (height - 1) * rows.stride + 1, rows.stride) for start in starts]


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


def _choose(taps: Iterable[np.ndarray], numbers: Iterable[Any], largest: np.ndarray, number: np.ndarray) -> None:
    """Write the largest of arrays of one shape to ``largest``, and the (increasing) number of the first such to ``number``."""
    greater = np.empty(largest.shape, np.bool_)
    candidate = np.empty(largest.shape, number.dtype)
    before: Any = None
    for k, (tap, of_tap) in enumerate(zip(taps, numbers)):
        if k == 0:
            before = tap
            number[...] = of_tap
            continue
        np.greater(tap, before, out=greater)
        np.multiply(greater.view(np.uint8), of_tap, out=candidate)
        np.maximum(number, candidate, out=number)  # numbers increase: this does what a copy under a mask does, but faster
        before = np.maximum(before, tap, out=largest)
    if before is not largest:
        largest[...] = before
