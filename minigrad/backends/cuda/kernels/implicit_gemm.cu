// The tiles of implicit_gemm.cuh for short floats, and for floats that are rounded to TF32.

CONVOLVE(false, 128, 128, 2, 2, 3, 2)
CONVOLVE(false, 128, 64, 2, 2, 3, 3)
CONVOLVE(false, 64, 128, 2, 2, 3, 3)
CONVOLVE(false, 64, 64, 2, 2, 3, 4)
CONVOLVE(false, 128, 32, 4, 1, 3, 3)

WEIGHT_GRAD(false, 128, 128, 2, 2, 3, 2)
WEIGHT_GRAD(false, 128, 64, 2, 2, 3, 2)
WEIGHT_GRAD(false, 64, 128, 2, 2, 3, 2)
WEIGHT_GRAD(false, 64, 64, 2, 2, 3, 4)
WEIGHT_GRAD(false, 32, 128, 1, 4, 3, 3)
