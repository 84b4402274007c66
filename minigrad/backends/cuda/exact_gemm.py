"""Convolution of float32 in full precision by tensor cores: the tiles of ``kernels/exact_gemm.cu``.

Three products of TF32 for one of float32 reach 55 TFLOP/s on an H200, whose own float32 arithmetic reaches 51 at most and 25 to
43 in the products of convolutions. Nor need windows be written down for cuBLAS, or a matrix of their gradient be gathered.
"""

from __future__ import annotations

from .implicit_gemm import ImplicitGemm, Tile

CONVOLVE = (
    Tile(128, 64, 128, 3, 3, 0.4),
    Tile(64, 128, 128, 3, 3, 0.37),
    Tile(64, 64, 128, 3, 3, 0.36),
    Tile(128, 32, 128, 3, 3, 0.35),
    Tile(128, 16, 128, 3, 4, 0.22),
)
WEIGHT_GRAD = (
    Tile(128, 64, 128, 2, 3, 0.49, 0.75),
    Tile(64, 128, 128, 2, 3, 0.32, 0.75),
    Tile(64, 64, 128, 3, 4, 0.44, 0.75),
    Tile(32, 128, 128, 3, 3, 0.27, 0.75),
    Tile(16, 128, 128, 3, 3, 0.23, 0.75),
)
"""The speeds of both were fitted to what these tiles took on an H200, for CIFAR's and ResNet-50's layers."""


class ExactGemm(ImplicitGemm):
    """The three kernels for float32, with errors of the size of float32's."""

    text = "exact_gemm"
    convolve_tiles = CONVOLVE
    weight_grad_tiles = WEIGHT_GRAD
