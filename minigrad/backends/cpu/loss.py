"""Cross-entropy on the CPU, where classification spends its time: scores (N, C), and every sample counts the same.

The generic kernel makes a table of shares, (N, C), so that weights, smoothing and ignored samples need no cases of their own.
Without these the loss is ``logsumexp − x[target]`` and its gradient ``softmax − 1[target]``, which need no table. Gradients
are taken inside the engine, which hushes NumPy's warnings for all of them at once.
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
            largest = np.maximum.reduce(x, axis=1, keepdims=True)
            shifted = x - largest
            chosen = shifted[np.arange(len(x)), target]
            logsumexp = np.log(np.add.reduce(np.exp(shifted, out=shifted), axis=1, keepdims=True))
            return logsumexp[:, 0] - chosen, largest + logsumexp

    def cross_entropy_grad(
        self, grad: Any, x: Any, logsumexp: Any, target: Any, weight: Any, ignore_index: int | None, smoothing: float
    ) -> Any:
        if not _is_plain(x, weight, ignore_index, smoothing):
            return super().cross_entropy_grad(grad, x, logsumexp, target, weight, ignore_index, smoothing)
        result = x - logsumexp
        np.exp(result, out=result)
        result[np.arange(len(x)), target] -= 1
        result *= grad[:, None]
        return result

    def mean_of_losses(self, loss: Any, target: Any, weight: Any, ignore_index: int | None) -> tuple[Any, Any]:
        if ignore_index is not None or weight is not None or loss.dtype in REDUCED or not loss.size:
            return super().mean_of_losses(loss, target, weight, ignore_index)
        return np.add.reduce(loss, axis=None) / loss.size, loss.size


def _is_plain(x: Any, weight: Any, ignore_index: int | None, smoothing: float) -> bool:
    """Whether the loss is the mere negative log likelihood of every sample."""
    return ignore_index is None and weight is None and not smoothing and x.ndim == 2 and x.dtype not in REDUCED
