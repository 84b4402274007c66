"""Products of matrices on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..generic.linear import LinearKernels


class CPULinearKernels(LinearKernels):
    """BLAS has no float16: those products are computed in float32 and rounded once."""

    def matmul(self, a: Any, b: Any) -> Any:
        if a.dtype == np.float16:
            return super().matmul(a.astype(np.float32), b.astype(np.float32)).astype(np.float16)
        return super().matmul(a, b)
