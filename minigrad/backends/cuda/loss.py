"""Cross-entropy on CUDA: a kernel for the losses, one for their mean and one for the gradient (``kernels/loss.cu``).

They want the scores of a place next to each other, as in (N, C), or in (N, C, H, W) with channels last. The host waits for
nothing; a class number that there is not makes nan.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..generic.loss import LossKernels
from .compiler import TYPES, Kernels, is_countable
from .rows import kernel_by_rows

IN_ONE_BLOCK = 1 << 17
"""The most losses whose mean is left to one block of threads."""


class CUDALossKernels(LossKernels):
    """Scores of floats whose classes lie next to each other; all others by the generic kernels."""

    kernels: Kernels

    def cross_entropy(self, x: Any, target: Any, weight: Any, ignore_index: int | None, smoothing: float) -> tuple[Any, Any]:
        scores = self._scores(x)
        if scores is None:
            return super().cross_entropy(x, target, weight, ignore_index, smoothing)
        loss = self.xp.empty(target.shape, dtype=x.dtype)
        logsumexp = self.xp.empty(target.shape, dtype=self._loss_dtype(x))
        classes = self._classes(target, weight, self._loss_dtype(x))
        rest = target.size, x.shape[1], *ignored(ignore_index), float(smoothing)
        kernel_by_rows(self.kernels, "loss", "cross_entropy", scores)(scores, loss, logsumexp, *classes, *rest)
        return loss, logsumexp[:, None]

    def cross_entropy_grad(
        self, grad: Any, x: Any, logsumexp: Any, target: Any, weight: Any, ignore_index: int | None, smoothing: float
    ) -> Any:
        scores = self._scores(x)
        if scores is None:
            return super().cross_entropy_grad(grad, x, logsumexp, target, weight, ignore_index, smoothing)
        dx = self.xp.empty(scores.shape, dtype=x.dtype)
        dtype = self._loss_dtype(x)
        grad = grad.astype(dtype, copy=False)
        step = 1 if any(grad.strides) else 0  # a mean has one gradient for all
        above = self.xp.ascontiguousarray(grad) if step else grad
        classes = self._classes(target, weight, dtype)
        rest = target.size, x.shape[1], *ignored(ignore_index), float(smoothing)
        kernel_by_rows(self.kernels, "loss", "cross_entropy_grad", scores)(
            above, step, scores, self.xp.ascontiguousarray(logsumexp), dx, *classes, *rest
        )
        return dx.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))

    def mean_of_losses(self, loss: Any, target: Any, weight: Any, ignore_index: int | None) -> tuple[Any, Any]:
        if loss.dtype not in TYPES or not loss.flags.c_contiguous or loss.size > IN_ONE_BLOCK:
            return super().mean_of_losses(loss, target, weight, ignore_index)
        mean = self.xp.empty((), dtype=loss.dtype)
        total = self.xp.empty((), dtype=self._loss_dtype(loss))
        target, weight = self._classes(target, weight, total.dtype)
        rest = loss.size, 0 if weight is None else weight.size, *ignored(ignore_index)
        block = 32 if loss.size <= 128 else 1024
        self.kernels("loss", "mean_of_losses", loss.dtype)((1,), (block,), loss, target, weight, mean, total, *rest)
        return mean, total

    def _scores(self, x: Any) -> Any:
        """(N, C, ...) -> (N, ..., C) without gaps; None if scores do not lie so, are no floats, or too many."""
        if x.dtype not in TYPES or not is_countable(x.shape[1], x.shape[0] * prod(x.shape[2:])):
            return None
        scores = x.transpose(0, *range(2, x.ndim), 1)
        if scores.flags.c_contiguous:
            return scores
        return self.xp.ascontiguousarray(x) if x.ndim == 2 else None

    def _classes(self, target: Any, weight: Any, dtype: Any) -> tuple[Any, Any]:
        """The class numbers, and the weights of the classes if there are any, as the kernels read them."""
        target = self.xp.ascontiguousarray(target.astype("int64", copy=False))
        return target, None if weight is None else self.xp.ascontiguousarray(weight.astype(dtype, copy=False))

    def _loss_dtype(self, x: Any) -> Any:
        """The dtype that the kernels compute in."""
        return self.xp.result_type(x.dtype, "float32")


def ignored(ignore_index: int | None) -> tuple[int, np.int64]:
    """Whether a class number is ignored, and which."""
    return (0, np.int64(0)) if ignore_index is None else (1, np.int64(ignore_index))
