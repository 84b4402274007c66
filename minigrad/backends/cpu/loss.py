"""Cross-entropy on the CPU, where classification spends its time: scores (N, C), and every sample counts the same.

The generic kernel makes a table of shares, (N, C), so that weights, smoothing and ignored samples need no cases of their own.
Without these the loss is ``logsumexp − x[target]`` and its gradient ``softmax − 1[target]``, which need no table.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dtypes import REDUCED
from ..generic.loss import LossKernels


class CPULossKernels(LossKernels):
    """The plain case by itself; all others by the generic kernels."""

    def cross_entropy(self, x: Any, target: Any, weight: Any, ignore_index: int | None, smoothing: float) -> tuple[Any, Any]:
        if not _is_plain(x, weight, ignore_index, smoothing):
            return super().cross_entropy(x, target, weight, ignore_index, smoothing)
        with self.quiet():
            largest = x.max(axis=1, keepdims=True)
            shifted = x - largest
            chosen = shifted[np.arange(len(x)), target]
            logsumexp = np.log(np.exp(shifted, out=shifted).sum(axis=1))
            return logsumexp - chosen, largest + logsumexp[:, None]

    def cross_entropy_grad(
        self, grad: Any, x: Any, logsumexp: Any, target: Any, weight: Any, ignore_index: int | None, smoothing: float
    ) -> Any:
        if not _is_plain(x, weight, ignore_index, smoothing):
            return super().cross_entropy_grad(grad, x, logsumexp, target, weight, ignore_index, smoothing)
        with self.quiet():
            result = x - logsumexp
            np.exp(result, out=result)
            result[np.arange(len(x)), target] -= 1
            result *= grad[:, None]
            return result


def _is_plain(x: Any, weight: Any, ignore_index: int | None, smoothing: float) -> bool:
    """Whether the loss is the mere negative log likelihood of every sample."""
    return ignore_index is None and weight is None and not smoothing and x.ndim == 2 and x.dtype not in REDUCED
