"""The kernels of convolution beside plain sums in float64, for the tests of the ways they go: the CPU's, and CUDA's tiles."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minigrad.backends import backend_for
from minigrad.backends.cuda.convolution import geometry
from minigrad.backends.generic.convolution import ConvolutionKernels as Generic


def three_kernels(
    shape: Any, dtype: Any = np.float32, stride: int = 1, taps: int = 3
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each kernel's result in a dtype, with the one in float64; the shape is N, C, H, W, OC, padding, of square filters."""
    N, C, H, W, OC, padding = shape
    rng = np.random.default_rng(0)
    cpu = backend_for("cpu")[0]
    geometry = (stride, stride), padding, (1, 1), 1
    x, w, bias = rng.normal(size=(N, C, H, W)), rng.normal(size=(OC, C, taps, taps)), rng.normal(size=OC)
    y = Generic.conv2d(cpu, x, w, bias, *geometry)
    dy = rng.normal(size=y.shape)
    narrow = [a.astype(dtype) for a in (x, w, bias, dy)]
    yield cpu.conv2d(narrow[0], narrow[1], narrow[2], *geometry), y
    yield (
        cpu.conv2d_input_grad(narrow[3], narrow[1], x.shape, *geometry),
        Generic.conv2d_input_grad(cpu, dy, w, x.shape, *geometry),
    )
    yield (
        cpu.conv2d_weight_grad(narrow[3], narrow[0], w.shape, *geometry),
        Generic.conv2d_weight_grad(cpu, dy, x, w.shape, *geometry),
    )


def small_geometries() -> Iterator[tuple[Any, ...]]:
    """(kernel size, padding, stride, dilation) of windows over images of 6×7 pixels."""
    paddings = ((0, 0), (1, 1), (3, 0), (-1, 2))
    for kernel, rows, columns, stride, dilation in itertools.product(
        ((1, 3), (3, 3), (2, 4)), paddings, paddings, ((1, 1), (2, 3)), ((1, 1), (2, 1))
    ):
        reach = [n + sum(pads) - (k - 1) * d for n, pads, k, d in zip((6, 7), (rows, columns), kernel, dilation)]
        if min(reach) > 0:
            yield kernel, (rows, columns), stride, dilation


# N, C, H, W, OC, kernel size, stride, padding, dilation, groups
CASES = [
    (2, 8, 7, 5, 16, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    (3, 24, 6, 9, 8, (3, 2), (2, 1), ((1, 0), (0, 1)), (1, 2), 1),
    (2, 16, 9, 8, 40, (1, 1), (2, 2), ((0, 0), (0, 0)), (1, 1), 1),
    (1, 8, 11, 13, 72, (5, 3), (2, 3), ((2, 3), (1, 0)), (2, 1), 1),
    (2, 32, 6, 6, 64, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 2),
    (2, 16, 9, 9, 136, (3, 3), (2, 2), ((1, 1), (1, 1)), (2, 2), 1),
    (2, 8, 4, 4, 8, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (1, 8, 9, 9, 8, (3, 3), (1, 1), ((-1, 0), (3, -2)), (1, 1), 1),
    (1, 8, 3, 2, 16, (2, 2), (4, 3), ((1, 2), (2, 2)), (1, 1), 1),
]
"""What tensor cores serve."""


class Problem:
    """Random planes of a case, as they lie on the GPU for its tiles, and as the generic kernels take them.

    Args:
        case: one of those above, or like them.
        dtype: the planes'.
        cupy: the module's stand-in.
        as_multiplied: float64 of the planes as tensor cores see them.
        gap: how many other numbers lie behind every pixel.
    """

    def __init__(self, case: Any, dtype: str, cupy: Any, as_multiplied: Callable[[np.ndarray], np.ndarray], gap: int = 0):
        N, C, H, W, OC, kernel_size, *self.options = case
        G = self.options[-1]
        self.N, self.dtype, self.cupy = N, dtype, cupy
        self.geometry = g = geometry((H, W), C, kernel_size, *self.options)
        random = np.random.default_rng(0)
        x = random.normal(size=(N, H, W, C)).astype(dtype)
        w = random.normal(size=(OC, C // G, *kernel_size)).astype(dtype)
        dy = random.normal(size=(N, g.OH, g.OW, OC)).astype(dtype)
        bias = random.normal(size=OC).astype(dtype)
        self.x, self.dy, self.bias = self._rows(x, gap), self._rows(dy, gap), cupy.asarray(bias)
        self.w = cupy.asarray(np.ascontiguousarray(w.transpose(0, 2, 3, 1)))
        by_group = w.reshape(G, OC // G, C // G, *kernel_size)
        self.w_turned = cupy.asarray(np.ascontiguousarray(by_group.transpose(0, 2, 3, 4, 1)))
        self._on_host = [*map(as_multiplied, (x.transpose(0, 3, 1, 2), w, dy.transpose(0, 3, 1, 2))), bias.astype("float64")]

    def _rows(self, planes: np.ndarray, gap: int) -> Any:
        """(N, H, W, C) -> (N·H·W, C)."""
        matrix = planes.reshape(-1, planes.shape[-1])
        filled = np.pad(matrix, ((0, 0), (0, gap)), constant_values=np.nan)
        return self.cupy.asarray(filled)[:, : matrix.shape[1]]

    def forward(self, gemm: Any) -> np.ndarray:
        y = gemm.forward(self.x, self.w, self.bias, self.N, self.geometry)._hidden
        return y.reshape(self.N, self.geometry.OH, self.geometry.OW, -1).transpose(0, 3, 1, 2)

    def input_grad(self, gemm: Any) -> np.ndarray:
        dx = gemm.input_grad(self.dy, self.w_turned, self.N, self.geometry)._hidden
        return dx.reshape(self.N, self.geometry.H, self.geometry.W, -1).transpose(0, 3, 1, 2)

    def weight_grad(self, gemm: Any) -> np.ndarray:
        return gemm.weight_grad(self.dy, self.x, self.N, self.geometry)._hidden

    def errors(self, results: Sequence[np.ndarray]) -> list[float]:
        """Of forward, input_grad and weight_grad, or of the first of them: the largest, as a part of the largest number."""
        cpu = backend_for("cpu")[0]
        x, w, dy, bias = self._on_host
        expected = (
            Generic.conv2d(cpu, x, w, bias, *self.options),
            Generic.conv2d_input_grad(cpu, dy, w, x.shape, *self.options),
            Generic.conv2d_weight_grad(cpu, dy, x, w.shape, *self.options),
        )
        found = []
        for ours, theirs in zip(results, expected):
            assert (ours.shape, ours.dtype) == (theirs.shape, self.dtype)
            found.append(np.abs(ours.astype("float64") - theirs).max() / np.abs(theirs).max())
        return found
