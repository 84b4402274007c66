"""Normalization: values less their mean, over their standard deviation, over some axes: batch, layer and group norm alike.

Weight and bias have as many dims as the values, and broadcast to them. Means and variances keep the axes with size 1; of
short floats they are float32.
"""

from __future__ import annotations

from typing import Any

from ...dtypes import accumulated_in


class NormalizationKernels:
    """Normalization over any axes, its gradient, running statistics, and the affine map that is left in evaluation."""

    xp: Any
    quiet: Any
    keep_positive: Any

    def moments(self, x: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
        """The mean and the variance (of all: divided by n) over some axes."""
        wide = x.astype(accumulated_in(x.dtype), copy=False)
        mean = self.xp.sum(wide, axis=axes, keepdims=True) / count(x, axes)
        centered = wide - mean
        return mean, self.xp.sum(centered * centered, axis=axes, keepdims=True) / count(x, axes)

    def normalize(
        self, x: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: float, positive: bool = False, other: Any = None
    ) -> Any:
        """``(x - mean) / sqrt(var + eps) * weight + bias``, in the dtype of ``x``.

        Args:
            positive: whether 0 is written in place of what is less.
            other: an array of the shape and dtype of ``x`` that is added, before that.
        """
        y = (x.astype(mean.dtype, copy=False) - mean) / self.xp.sqrt(var + eps)
        if weight is not None:
            y = y * weight
        if bias is not None:
            y = y + bias
        return self.last_steps(y.astype(x.dtype, copy=False), positive, other)

    def normalize_grad(
        self, grad: Any, x: Any, axes: tuple[int, ...], weight: Any, mean: Any, var: Any, eps: float, output: Any = None
    ) -> tuple[Any, Any, Any]:
        """The gradients by input, weight and bias, the last two flat; None for these if there is no weight.

        With the output of a normalization that was ``positive``, the gradient counts where that is positive.
        """
        xp, n = self.xp, count(x, axes)
        if output is not None:
            grad = self.keep_positive(grad, output)
        scale = 1 / xp.sqrt(var + eps)
        normal = (x - mean) * scale
        wide = grad.astype(normal.dtype, copy=False)
        h = wide if weight is None else wide * weight
        mean_h = xp.sum(h, axis=axes, keepdims=True) / n
        mean_hx = xp.sum(h * normal, axis=axes, keepdims=True) / n
        dx = ((h - mean_h - normal * mean_hx) * scale).astype(x.dtype, copy=False)
        if weight is None:
            return dx, None, None
        repeated = tuple(i for i in range(x.ndim) if weight.shape[i] == 1)
        sums = (xp.sum(values, axis=repeated, keepdims=True).reshape(-1) for values in (wide * normal, wide))
        return dx, *(total.astype(weight.dtype, copy=False) for total in sums)

    def track_statistics(
        self, running_mean: Any, running_var: Any, batches: Any, mean: Any, var: Any, samples: int, momentum: float
    ) -> None:
        """Move running statistics (C,), in place, towards a batch's; its variance becomes the unbiased one.

        Args:
            batches: their number (0-d int64), to which 1 is added in place; or None.
        """
        unbiased = var.reshape(running_var.shape) * (samples / max(samples - 1, 1))
        for running, new in ((running_mean, mean.reshape(running_mean.shape)), (running_var, unbiased)):
            running *= 1 - momentum
            running += (momentum * new).astype(running.dtype, copy=False)
        if batches is not None:
            batches += 1

    def running_affine(self, mean: Any, var: Any, weight: Any, bias: Any, eps: float) -> tuple[Any, Any]:
        """``1 / sqrt(var + eps) * weight`` and ``bias - mean *`` that, all (C,): what normalizes by running statistics."""
        with self.quiet():
            scale = self.xp.reciprocal(self.xp.sqrt(var + eps))
            scale = scale if weight is None else scale * weight
            return scale, -mean * scale if bias is None else bias - mean * scale

    def scale_and_shift(self, x: Any, scale: Any, shift: Any, positive: bool = False, other: Any = None) -> Any:
        """``x * scale + shift``, in the dtype of ``x``; ``positive`` and ``other`` are as for ``normalize``."""
        return self.last_steps((x * scale + shift).astype(x.dtype, copy=False), positive, other)

    def last_steps(self, y: Any, positive: bool, other: Any) -> Any:
        """The last steps of ``normalize``, which may overwrite ``y``."""
        if other is not None:
            y += other
        return self.xp.maximum(y, 0) if positive else y


def count(x: Any, axes: tuple[int, ...]) -> float:
    """How many values there are over some axes; nan for none, so that their mean is nan without a warning."""
    n = 1
    for axis in axes:
        n *= x.shape[axis]
    return n or float("nan")
