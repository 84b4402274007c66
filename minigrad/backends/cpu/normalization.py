"""Batch normalization on the CPU: channels-last memory read as a matrix, in blocks that stay in the cache.

Every pass over the memory costs more than the arithmetic, so there are two passes in each direction: one for the sums,
one for the result. Rows are joined until they are long enough for NumPy's loops (``elementwise.LONG``). Column sums are
products with ones, BLAS's being the faster sum.
Other axes, other memory orders and short floats are left to the generic kernels.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ...dtypes import REDUCED
from ..generic.normalization import NormalizationKernels
from .elementwise import LONG, copy, ones, repeated, rows_in_one
from .finish import BLOCK, finish
from .special import keep_positive_into
from .threads import aligned, even, for_each, scratch

SUMMED = 1 << 11
"""The numbers in a row for the sums."""


_CHANNELS_LAST = [(0, *range(2, ndim), 1) for ndim in range(65)]
"""For so many dims, their order with the channels last."""


class CPUNormalizationKernels(NormalizationKernels):
    """The kernels of ``generic/normalization.py``."""

    def moments(self, x: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
        matrix = _as_matrix(x) if _all_but_channels(x, axes) else None
        if matrix is None:
            return super().moments(x, axes)
        shape = (1, -1) + (1,) * (x.ndim - 2)
        mean, var = _moments(matrix, x.shape[1])
        return mean.astype(x.dtype).reshape(shape), var.astype(x.dtype).reshape(shape)

    def normalize(
        self, x: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: float, positive: bool = False, other: Any = None
    ) -> Any:
        if not _is_per_channel(x, mean):
            return super().normalize(x, mean, var, weight, bias, eps, positive, other)
        scale = 1 / np.sqrt(var.astype(np.float64) + eps)
        scale = scale if weight is None else scale * weight
        shift = -mean * scale if bias is None else bias - mean * scale
        return self.scale_and_shift(x, scale, shift, positive, other)

    def normalize_grad(
        self, grad: Any, x: Any, axes: tuple[int, ...], weight: Any, mean: Any, var: Any, eps: float, output: Any = None
    ) -> tuple[Any, Any, Any]:
        matrix = _as_matrix(x) if _all_but_channels(x, axes) else None
        outputs = None if output is None else _as_matrix(output)
        if matrix is None or (outputs is None) != (output is None):
            return super().normalize_grad(grad, x, axes, weight, mean, var, eps, output)
        C, n = x.shape[1], x.size // x.shape[1]
        above = _as_matrix(grad)
        if above is None:
            ordered = np.empty_like(x)
            copy(grad, ordered)
            above = _as_matrix(ordered)
        dx = _aligned_like(x)
        result = _as_matrix(dx)
        mean, var = mean.reshape(C).astype(np.float64), var.reshape(C).astype(np.float64)
        scale = 1 / np.sqrt(var + eps)
        dbias, centered = _gradient_sums(above, matrix, mean, var, outputs, result)
        above = above if outputs is None else result
        dweight = centered * scale
        # dx = factor · (grad − mean(grad) − z · mean(grad · z)) with z = (x − mean) · scale, sorted by grad, x and the rest.
        factor = scale if weight is None else scale * weight.reshape(C)
        slope = -factor * scale * dweight / n
        _combine(above, factor, matrix, slope, -factor * dbias / n - slope * mean, result)
        if weight is None:
            return dx, None, None
        return dx, dweight.astype(weight.dtype), dbias.astype(weight.dtype)

    def scale_and_shift(self, x: Any, scale: Any, shift: Any, positive: bool = False, other: Any = None) -> Any:
        matrix = _as_matrix(x)
        if matrix is None or not (_is_per_channel(x, scale) and _is_per_channel(x, shift)):
            return super().scale_and_shift(x, scale, shift, positive, other)
        addend = None if other is None else _as_matrix(other)
        if addend is None and other is not None:  # it lies in another order
            y = self.scale_and_shift(x, scale, shift)
            return self.last_steps(y, positive, other)
        y = _aligned_like(x)
        finish(_as_matrix(y), matrix, scale=scale.reshape(-1), shift=shift.reshape(-1), other=addend, positive=positive)
        return y


def _aligned_like(x: np.ndarray) -> np.ndarray:
    """An empty array with channels last."""
    last = aligned(x.transpose(_CHANNELS_LAST[x.ndim]).shape, x.dtype)
    return last.transpose(0, -1, *range(1, x.ndim - 1))


def _is_per_channel(x: np.ndarray, values: np.ndarray) -> bool:
    return x.ndim > 1 and values.shape == (1, x.shape[1]) + (1,) * (x.ndim - 2)


def _all_but_channels(x: np.ndarray, axes: tuple[int, ...]) -> bool:
    return axes == (0, *range(2, x.ndim))


def _as_matrix(x: np.ndarray) -> Any:
    """Memory (N, C, ...) with channels last as (rows, k·C), a view; None if it lies in another order, or is of halves."""
    if x.ndim < 2 or x.size == 0 or x.dtype in REDUCED:
        return None
    last = x.transpose(_CHANNELS_LAST[x.ndim])
    if not last.flags.c_contiguous:
        return None
    C = x.shape[1]
    return last.reshape(-1, C * rows_in_one(x.size // C, C, LONG))


def _blocks(matrix: np.ndarray) -> tuple[slice, ...]:
    """Slices of the rows."""
    return _cuts(*matrix.shape, BLOCK)


@lru_cache(1024)
def _cuts(rows: int, width: int, block: int) -> tuple[slice, ...]:
    height = even(rows, block // width)
    return tuple(slice(i, min(i + height, rows)) for i in range(0, rows, height))


@lru_cache(256)
def _sums_width(width: int, C: int) -> int:
    """How wide rows are to be summed up: what is left to add per channel, in float64, is as long."""
    return max(n * C for n in range(1, width // C + 1) if width // C % n == 0 and (n == 1 or n * C <= SUMMED))


def _scratch_like(block: np.ndarray) -> np.ndarray:
    (buffer,) = scratch(block.size, dtype=block.dtype)
    return buffer.reshape(block.shape)


def _moments(matrix: np.ndarray, C: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance per channel."""
    blocks = _blocks(matrix)
    width = _sums_width(matrix.shape[1], C)
    sums = np.empty((2, len(blocks), width), matrix.dtype)

    def part(i: int) -> None:
        block = matrix[blocks[i]].reshape(-1, width)
        np.matmul(ones(len(block), matrix.dtype), block, out=sums[0, i])
        np.einsum("ij,ij->j", block, block, out=sums[1, i])

    for_each(len(blocks), part)
    n = matrix.size // C
    mean, square = np.add.reduce(sums.reshape(2, -1, C), axis=1, dtype=np.float64) / n
    var = square - mean * mean
    return (mean, var) if _are_near(mean, var) else _exact_moments(matrix, C)


FAR = 1e-2
"""The least variance over the squared mean for which the difference of two sums is exact enough."""


def _are_near(mean: np.ndarray, var: np.ndarray) -> bool:
    """Whether it is for all channels; not if any is nan."""
    return bool(np.minimum.reduce(var - FAR * mean * mean) > 0)


def _exact_moments(matrix: np.ndarray, C: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance from those of the blocks, so that a large mean does not swallow the variance: one more pass."""
    blocks = _blocks(matrix)
    means, squares = np.empty((2, len(blocks), matrix.shape[1]), matrix.dtype)

    def part(i: int) -> None:
        block = matrix[blocks[i]]
        np.divide(block.sum(axis=0), len(block), out=means[i])
        centered = np.subtract(block, means[i], out=_scratch_like(block))
        np.einsum("ij,ij->j", centered, centered, out=squares[i])

    for_each(len(blocks), part)
    weights = np.array([rows.stop - rows.start for rows in blocks], np.float64)[:, None, None]
    of_blocks = means.astype(np.float64).reshape(len(blocks), -1, C)
    n = weights.sum() * of_blocks.shape[1]
    mean = (weights * of_blocks).sum(axis=(0, 1)) / n
    between = (weights * (of_blocks - mean) ** 2).sum(axis=(0, 1))
    return mean, (squares.reshape(-1, C).sum(axis=0, dtype=np.float64) + between) / n


def _gradient_sums(
    grad: np.ndarray, matrix: np.ndarray, mean: np.ndarray, var: np.ndarray, output: Any, masked: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Per channel the sums of ``grad`` and of ``grad · (x − mean)``.

    With an output, the gradient counts where that is positive, and is written to ``masked`` with zeros elsewhere.
    """
    C = len(mean)
    far = not _are_near(mean, var)
    blocks = _blocks(matrix)
    width = _sums_width(matrix.shape[1], C)
    means = repeated(width, matrix.dtype, mean)[0] if far else None
    sums = np.empty((2, len(blocks), width), matrix.dtype)

    def part(i: int) -> None:
        block, x = grad[blocks[i]], matrix[blocks[i]]
        if output is not None:
            block = masked[blocks[i]]
            keep_positive_into(grad[blocks[i]], output[blocks[i]], block)
        block, x = block.reshape(-1, width), x.reshape(-1, width)
        np.matmul(ones(len(block), matrix.dtype), block, out=sums[0, i])
        if means is not None:
            x = np.subtract(x, means, out=_scratch_like(block))
        np.einsum("ij,ij->j", x, block, out=sums[1, i])

    for_each(len(blocks), part)
    dbias, products = np.add.reduce(sums.reshape(2, -1, C), axis=1, dtype=np.float64)
    return dbias, products if far else products - mean * dbias


def _combine(
    grad: np.ndarray, factor: np.ndarray, matrix: np.ndarray, slope: np.ndarray, shift: np.ndarray, out: np.ndarray
) -> None:
    """``grad · factor + x · slope + shift``, these three per channel."""
    factor, slope, shift = repeated(matrix.shape[1], matrix.dtype, factor, slope, shift)
    blocks = _blocks(matrix)

    def part(i: int) -> None:
        rows = blocks[i]
        block = np.multiply(grad[rows], factor, out=out[rows])
        np.add(block, np.multiply(matrix[rows], slope, out=_scratch_like(block)), out=block)
        np.add(block, shift, out=block)

    for_each(len(blocks), part, blas=False)
