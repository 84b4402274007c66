// The tiles of implicit_gemm.cuh for floats that are multiplied exactly. A warp's part is smaller than of those that are rounded:
// its operands are in registers twice.

CONVOLVE(true, 128, 64, 4, 1, 3, 3)
CONVOLVE(true, 64, 128, 2, 2, 3, 3)
CONVOLVE(true, 64, 64, 2, 2, 3, 3)
CONVOLVE(true, 128, 32, 4, 1, 3, 3)
CONVOLVE(true, 128, 16, 4, 1, 3, 4)

WEIGHT_GRAD(true, 128, 64, 2, 2, 2, 3)
WEIGHT_GRAD(true, 64, 128, 2, 2, 2, 3)
WEIGHT_GRAD(true, 64, 64, 2, 2, 3, 4)
WEIGHT_GRAD(true, 32, 128, 1, 4, 3, 3)
WEIGHT_GRAD(true, 16, 128, 1, 4, 3, 3)
