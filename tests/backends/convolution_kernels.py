"""The CPU's three kernels of convolution beside plain sums in float64, for the tests of the ways they go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minigrad.backends import backend_for
from minigrad.backends.generic.convolution import ConvolutionKernels as Generic


def three_kernels(shape: Any, dtype: Any = np.float32, stride: int = 1) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each kernel's result in a dtype, with the one in float64; the shape is N, C, H, W, OC, padding, of 3×3 filters."""
    N, C, H, W, OC, padding = shape
    rng = np.random.default_rng(0)
    cpu = backend_for("cpu")[0]
    geometry = (stride, stride), padding, (1, 1), 1
    x, w, bias = rng.normal(size=(N, C, H, W)), rng.normal(size=(OC, C, 3, 3)), rng.normal(size=OC)
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
