"""Convolution and its two gradients on CUDA, as matrix products over channels-last memory.

Most go through kernels that read windows where they lie (``hopper_gemm.py``, ``implicit_gemm.py``, ``exact_gemm.py``). A 1×1
convolution is a product of what is there, by cuBLAS where that is faster: in short floats and TF32, and for weights' gradients.
What those kernels do not serve (float64, odd numbers of channels) writes its windows out as the rows of a matrix for cuBLAS, of
as many images at a time as a bounded workspace holds; there, the gradient by the input makes such a matrix and gathers it into
planes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...dtypes import REDUCED, accumulated_in
from ..generic.convolution import ConvolutionKernels
from ..generic.windows import Padding, Pair
from ..generic.windows import count as window_count
from .compiler import MOST_COUNTED, TYPES, Kernels, is_countable, is_usable
from .exact_gemm import ExactGemm
from .hopper_gemm import HopperGemm
from .implicit_gemm import ImplicitGemm
from .layout import MOST_LINES, LayoutKernels, is_aligned, line, pack
from .precision import uses_tf32

WORKSPACE = 256 << 20
"""Bytes that the written-out windows may take, unless a single image takes more."""
MOST_WIDENED = 3
"""How many times the channels may become by fillers, so that 16 bytes of them can be read at once: an image's three become
four, or eight of a short float."""
MERGED = 32
"""The channels that small groups are merged to: zeros are multiplied too, which is faster than many small products."""


class Geometry(NamedTuple):
    """A convolution's sizes, and where its windows lie."""

    H: int
    W: int
    C: int
    G: int
    KH: int
    KW: int
    OH: int
    OW: int
    SH: int
    SW: int
    top: int
    left: int
    DH: int
    DW: int

    @property
    def is_pointwise(self) -> bool:
        """Whether every window is one pixel, and every pixel one window."""
        return (self.KH, self.KW, self.SH, self.SW, self.G) == (1, 1, 1, 1, 1) and (self.OH, self.OW) == (self.H, self.W)

    @property
    def width(self) -> int:
        """The channels of a group."""
        return self.C // self.G

    def depth(self, items: int) -> int:
        """The numbers of a group's part of a window, filled up to whole packs of so many."""
        return -(-self.KH * self.KW * self.width // items) * items

    def merged(self) -> Geometry:
        """With groups that are wide enough for matrix products."""
        count = max(n for n in range(1, max(1, MERGED // self.width) + 1) if self.G % n == 0)
        return self._replace(G=self.G // count)

    def widened(self, items: int) -> Geometry:
        """With as many channels as make whole packs of so many, unless most of them would be fillers."""
        width = -(-self.C // items) * items
        return self._replace(C=width) if self.G == 1 and width <= MOST_WIDENED * self.C else self


@lru_cache(1024)
def geometry(
    planes: Pair, channels: int, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> Geometry:
    """The geometry of windows over planes (H, W)."""
    (top, bottom), (left, right) = padding
    OH = window_count(planes[0], kernel_size[0], stride[0], top, bottom, dilation[0])
    OW = window_count(planes[1], kernel_size[1], stride[1], left, right, dilation[1])
    return Geometry(*planes, channels, groups, *kernel_size, OH, OW, *stride, top, left, *dilation)


@lru_cache(4096)
def by_value(*numbers: int) -> np.ndarray:
    """Integers as a C struct that a kernel takes by value."""
    return np.array(numbers, np.int32).view(f"V{4 * len(numbers)}")


class Gemms(NamedTuple):
    """The kernels over windows that are not written, on one GPU."""

    rounded: ImplicitGemm
    """Of short floats and of TF32."""
    exact: ExactGemm
    """Of float32 in full precision."""


def gemms_for(cupy: Any, xp: Any, kernels: Kernels) -> Gemms | None:
    """Those of the current GPU; None where it has not the instructions of Ampere (compute capability 8.0)."""
    gpu = cupy.cuda.Device()
    if int(gpu.compute_capability) < 80:
        return None
    most_memory = gpu.attributes["MaxSharedMemoryPerBlockOptin"]
    rounded = HopperGemm if is_usable("hopper_gemm", cupy) else ImplicitGemm
    return Gemms(rounded(xp, kernels, most_memory), ExactGemm(xp, kernels, most_memory))


class CUDAConvolutionKernels(LayoutKernels, ConvolutionKernels):
    """The three kernels of ``generic/convolution.py``."""

    cupy: Any
    xp: Any
    kernels: Kernels
    gemms: dict[int, Gemms | None]
    """By the number of the GPU, from the first convolution on it."""
    product: Any
    add_to_rows: Any

    def conv2d(self, x: Any, w: Any, bias: Any, stride: Pair, padding: Padding, dilation: Pair, groups: int) -> Any:
        if not _is_served(x, w):
            return super().conv2d(x, w, bias, stride, padding, dilation, groups)
        N, C, H, W = x.shape
        g = geometry((H, W), C, w.shape[2:], stride, padding, dilation, groups)
        gemm = self._gemm(x.dtype)
        if g.is_pointwise and not isinstance(gemm, ExactGemm):
            y = self.product(self.pixels(x), w.reshape(w.shape[:2]).T)
        else:
            g = g.merged().widened(pack(x))
            if not can_write_windows(w.shape[0], g):
                return super().conv2d(x, w, bias, stride, padding, dilation, groups)
            weights = self._weights_last(w, groups, g)
            pixels = self.widened_pixels(x, g.C)
            y = None if gemm is None else gemm.forward(pixels, weights.reshape(w.shape[0], -1), bias, N, g)
            if y is not None:
                return self.planes(y, N, g.OH, g.OW)
            y = self.xp.empty((N * g.OH * g.OW, w.shape[0]), dtype=x.dtype)
            for here, matrix in self._windows(pixels, N, g):
                self.product(matrix, weights.transpose(0, 2, 1), by_group(y, g.G)[:, here])
        if bias is not None:
            self.add_to_rows(y, bias)
        return self.planes(y, N, g.OH, g.OW)

    def conv2d_input_grad(
        self,
        grad: Any,
        w: Any,
        input_shape: tuple[int, ...],
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        groups: int,
    ) -> Any:
        if not _is_served(grad, w):
            return super().conv2d_input_grad(grad, w, input_shape, stride, padding, dilation, groups)
        N, C, H, W = input_shape
        g = geometry((H, W), C, w.shape[2:], stride, padding, dilation, groups)
        dy = self.pixels(grad)
        gemm = self._gemm(grad.dtype)
        if g.is_pointwise and not isinstance(gemm, ExactGemm):
            return self.planes(self.product(dy, w.reshape(w.shape[:2])), N, H, W)
        g = g.merged()
        if not can_write_windows(w.shape[0], g):
            return super().conv2d_input_grad(grad, w, input_shape, stride, padding, dilation, groups)
        if gemm is not None:
            dx = gemm.input_grad(dy, self._weights_turned(w, groups, g), N, g)
            if dx is not None:
                return self.planes(dx, N, H, W)
        dx = self.xp.empty((N * H * W, C), dtype=grad.dtype)
        weights = self._weights_last(w, groups, g)
        for images, here, matrix in self._workspaces(N, g, grad.dtype, accumulated_in(grad.dtype)):
            self.product(by_group(dy, g.G)[:, here], weights, matrix)
            self._fold(matrix, dx[images.start * H * W : images.stop * H * W], g)
        return self.planes(dx, N, H, W)

    def conv2d_weight_grad(
        self,
        grad: Any,
        x: Any,
        weight_shape: tuple[int, ...],
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        groups: int,
    ) -> Any:
        if not _is_served(grad, x):
            return super().conv2d_weight_grad(grad, x, weight_shape, stride, padding, dilation, groups)
        N, OC = x.shape[0], weight_shape[0]
        g = geometry(x.shape[2:], x.shape[1], weight_shape[2:], stride, padding, dilation, groups)
        dy = self.pixels(grad)
        if g.is_pointwise:
            dw = self.xp.empty(weight_shape, dtype=grad.dtype)
            self.product(dy.T, self.pixels(x), dw.reshape(OC, -1))
            return dw
        g = g.merged().widened(pack(x))
        if not can_write_windows(OC, g):
            return super().conv2d_weight_grad(grad, x, weight_shape, stride, padding, dilation, groups)
        pixels = self.widened_pixels(x, g.C)
        gemm = self._gemm(x.dtype)
        if gemm is not None:
            dw = gemm.weight_grad(dy, pixels, N, g)
            if dw is not None:
                return self._own_weights(dw, weight_shape, groups, g)
        total = self.xp.empty((g.G, OC // g.G, g.depth(pack(x))), dtype=accumulated_in(x.dtype))
        for here, matrix in self._windows(pixels, N, g):
            self.product(by_group(dy, g.G)[:, here].transpose(0, 2, 1), matrix, total, accumulate=here.start > 0)
        dw = self.xp.empty(weight_shape, dtype=grad.dtype)
        sizes = weight_sizes(weight_shape, groups, g, total.shape[2])
        self.kernels("convolution", "weights_first", x.dtype)(*line(dw.size), total, dw, sizes)
        return dw

    def _gemm(self, dtype: Any) -> ImplicitGemm | None:
        """The kernels over windows that are not written, for a dtype; None where the GPU has no tensor cores for it."""
        is_rounded = dtype in REDUCED or (dtype == "float32" and uses_tf32())
        if not is_rounded and dtype != "float32":
            return None
        index = self.cupy.cuda.runtime.getDevice()
        if index not in self.gemms:
            self.gemms[index] = gemms_for(self.cupy, self.xp, self.kernels)
        gemms = self.gemms[index]
        if gemms is None:
            return None
        return gemms.rounded if is_rounded else gemms.exact

    def _own_weights(self, dw: Any, weight_shape: tuple[int, ...], groups: int, g: Geometry) -> Any:
        """(OC, channels of a wide group, KH, KW) -> (OC, C/G, KH, KW): the weights that the convolution has."""
        if dw.shape == weight_shape:
            return dw
        OC, CG, KH, KW = weight_shape
        merged, outputs = groups // g.G, OC // groups
        row, channel = dw.strides[:2]
        strides = (merged * outputs * row, outputs * row + CG * channel, row, *dw.strides[1:])
        own = self.as_strided(dw, (g.G, merged, outputs, CG, KH, KW), strides)
        return self.xp.ascontiguousarray(own).reshape(weight_shape)

    def _windows(self, pixels: Any, N: int, g: Geometry) -> Any:
        """For some images at a time: which windows (a slice of all), and these as matrices, (G, windows, depth)."""
        pitch = pixels.strides[0] // pixels.itemsize if len(pixels) > 1 else g.C
        items = pack(pixels)
        packed = g.width % items == pitch % items == 0 and is_aligned(pixels)
        kernel = self.kernels("convolution", "windows_packed" if packed else "windows_single", pixels.dtype)
        for images, here, matrix in self._workspaces(N, g, pixels.dtype, pixels.dtype):
            rows = here.stop - here.start
            width = g.G * matrix.shape[2] // (items if packed else 1)
            across = 1 << min(8, (width - 1).bit_length())
            down = 256 // across
            grid = (-(-width // across), min(-(-rows // down), MOST_LINES))
            source = pixels[images.start * g.H * g.W :]
            kernel(grid, (across, down), source, matrix, by_value(*g, matrix.shape[2], pitch), rows)
            yield here, matrix

    def _workspaces(self, N: int, g: Geometry, dtype: Any, matrix_dtype: Any) -> Any:
        """For some images at a time: which, which windows, and memory for these as matrices, (G, windows, depth)."""
        depth = g.depth(16 // dtype.itemsize)
        images = images_at_once(N, g, g.G * depth * np.dtype(matrix_dtype).itemsize)
        if not images:
            return
        memory = self.xp.empty((images * g.OH * g.OW, g.G, depth), dtype=matrix_dtype)
        for start in range(0, N, images):
            stop = min(N, start + images)
            matrix = memory[: (stop - start) * g.OH * g.OW].transpose(1, 0, 2)
            yield slice(start, stop), slice(start * g.OH * g.OW, stop * g.OH * g.OW), matrix

    def _fold(self, matrix: Any, dx: Any, g: Geometry) -> None:
        """Gather the rows' numbers into the planes (pixels, C) that they came from."""
        items = 16 // matrix.itemsize
        packed = g.width % items == 0
        kernel = self.kernels("convolution", "fold_packed" if packed else "fold_single", dx.dtype)
        size = dx.size // items if packed else dx.size
        kernel(*line(size), matrix, dx, by_value(*g, matrix.shape[2], g.C), len(dx))

    def _weights_last(self, w: Any, groups: int, g: Geometry) -> Any:
        """(OC, C/G, KH, KW) -> (G, OC/G, depth), for the groups of ``g``, which may be wider."""
        depth = g.depth(pack(w))
        if w.shape[1:] == (depth, 1, 1) and groups == g.G and w.flags.c_contiguous:
            return w.reshape(g.G, w.shape[0] // g.G, depth)
        matrix = self.xp.empty((g.G, w.shape[0] // g.G, depth), dtype=w.dtype)
        return self._write_weights("weights_last", w, matrix, groups, g, depth)

    def _weights_turned(self, w: Any, groups: int, g: Geometry) -> Any:
        """(OC, C/G, KH, KW) -> (G, C/G, KH, KW, OC/G), likewise."""
        matrix = self.xp.empty((g.G, g.width, g.KH, g.KW, w.shape[0] // g.G), dtype=w.dtype)
        return self._write_weights("weights_turned", w, matrix, groups, g, 0)

    def _write_weights(self, kernel: str, w: Any, matrix: Any, groups: int, g: Geometry, depth: int) -> Any:
        sizes = weight_sizes(w.shape, groups, g, depth)
        w = w if w.flags.c_contiguous else self.xp.ascontiguousarray(w)
        self.kernels("convolution", kernel, w.dtype)(*line(matrix.size), w, matrix, sizes)
        return matrix


def can_write_windows(OC: int, g: Geometry) -> bool:
    """Whether our kernels can count an image's pixels and windows, a window's numbers, and those of weights with OC rows."""
    depth = g.depth(8)  # short floats are filled up the furthest
    return is_countable(g.H * g.W, g.OH * g.OW, g.G * depth, OC * depth)


def images_at_once(N: int, g: Geometry, bytes_per_window: int) -> int:
    """How many images' windows are written at a time: one, or as many as the workspace holds and kernels can count."""
    bytes_per_image = g.OH * g.OW * bytes_per_window
    if not bytes_per_image:
        return 0
    return min(N, max(1, min(WORKSPACE // bytes_per_image, MOST_COUNTED // max(g.OH * g.OW, g.H * g.W))))


def weight_sizes(shape: tuple[int, ...], groups: int, g: Geometry, depth: int) -> np.ndarray:
    """The ``Weights`` of the kernels' text, for weights (OC, C/G, KH, KW) of so many groups, that are computed as ``g``."""
    OC, CG, KH, KW = shape
    return by_value(OC, CG, KH * KW, g.width, depth, groups // g.G, OC // groups)


def by_group(pixels: Any, G: int) -> Any:
    """(rows, G·K) -> (G, rows, K), a view."""
    rows, channels = pixels.shape
    return pixels.reshape(rows, G, channels // G).transpose(1, 0, 2)


def _is_served(a: Any, b: Any) -> bool:
    return a.dtype == b.dtype and a.dtype in TYPES and a.size > 0 and b.size > 0
