"""Cross-entropy of scores with class numbers, fused: softmax and logarithm at once, so that nothing overflows.

Scores x are (N, C, ...), class numbers (N, ...). The loss of a place is ``-Σ_c share_c · log softmax(x)_c``, where the shares
say how much each class counts: the target's weight, and with label smoothing a part of it spread over all classes. The number
to ignore may be None.
"""

from __future__ import annotations

from typing import Any

from ...dtypes import accumulated_in


class LossKernels:
    """The loss and its gradient, and the shares and weights that they imply."""

    xp: Any
    quiet: Any

    def cross_entropy(self, x: Any, target: Any, weight: Any, ignore_index: int | None, smoothing: float) -> tuple[Any, Any]:
        """The losses (N, ...), 0 where the target is ``ignore_index``, and the scores' logsumexp (N, 1, ...)."""
        xp, C = self.xp, x.shape[1]
        wide = x.astype(accumulated_in(x.dtype), copy=False)
        with self.quiet():
            largest = xp.max(wide, axis=1, keepdims=True)
            shifted = wide - largest
            logsumexp = xp.log(xp.sum(xp.exp(shifted), axis=1, keepdims=True))
            kept = self._counts(target, ignore_index)[:, None]
            chosen = xp.take_along_axis(shifted, xp.where(kept, target[:, None], 0), axis=1) - logsumexp
            loss = -(1 - smoothing) * chosen * self.class_weights(target, weight, ignore_index, wide.dtype)[:, None]
            if smoothing:
                others = shifted - logsumexp
                others = others if weight is None else others * self._along_classes(weight, x.ndim)
                loss = loss - smoothing / C * xp.sum(others, axis=1, keepdims=True)
            loss = xp.where(kept, loss, xp.zeros_like(loss))
            logsumexp = largest + logsumexp
        return loss[:, 0].astype(x.dtype, copy=False), logsumexp

    def cross_entropy_grad(
        self, grad: Any, x: Any, logsumexp: Any, target: Any, weight: Any, ignore_index: int | None, smoothing: float
    ) -> Any:
        """The gradient by the scores: ``grad · (softmax(x) · Σ_c share_c − share)``."""
        shares = self.class_shares(x, target, weight, ignore_index, smoothing)
        with self.quiet():
            probabilities = self.xp.exp(x - logsumexp)
            total = self.xp.sum(shares, axis=1, keepdims=True)
            return (grad[:, None] * (probabilities * total - shares)).astype(x.dtype, copy=False)

    def mean_of_losses(self, loss: Any, target: Any, weight: Any, ignore_index: int | None) -> tuple[Any, Any]:
        """The sum of the losses by the sum of their classes' weights (0-d), and that sum: 0-d, or a number if all count alike.

        The mean of nothing is nan.
        """
        dtype = accumulated_in(loss.dtype)
        if weight is None and ignore_index is None:
            return self.xp.mean(loss, dtype=dtype).astype(loss.dtype), target.size or float("nan")
        total = self.xp.sum(self.class_weights(target, weight, ignore_index, dtype))
        with self.quiet():
            mean = self.xp.sum(loss.astype(dtype, copy=False)) / total
        return mean.astype(loss.dtype), total

    def class_shares(self, x: Any, target: Any, weight: Any, ignore_index: int | None, smoothing: float) -> Any:
        """How much every class counts at every place, (N, C, ...), in float32 for short floats."""
        xp, C = self.xp, x.shape[1]
        dtype = accumulated_in(x.dtype)
        is_target = self._along_classes(xp.arange(C), x.ndim) == target[:, None]
        shares = is_target * ((1 - smoothing) * self.class_weights(target, weight, ignore_index, dtype))[:, None]
        if smoothing:
            spread = xp.full((C,), smoothing / C, dtype=dtype) if weight is None else weight * (smoothing / C)
            kept = self._counts(target, ignore_index)[:, None]
            shares = shares + self._along_classes(spread.astype(dtype, copy=False), x.ndim) * kept
        return shares

    def class_weights(self, target: Any, weight: Any, ignore_index: int | None, dtype: Any) -> Any:
        """The weight of every place's class (1 without weights), 0 where it is ``ignore_index``: (N, ...)."""
        kept = self._counts(target, ignore_index)
        if weight is None:
            return kept.astype(dtype)
        return self.xp.take(weight, self.xp.where(kept, target, 0)).astype(dtype) * kept

    def _counts(self, target: Any, ignore_index: int | None) -> Any:
        """Which places are not to be ignored; all, if no number is."""
        return self.xp.ones(target.shape, bool) if ignore_index is None else target != ignore_index

    def _along_classes(self, values: Any, ndim: int) -> Any:
        """(C,) -> (1, C, 1, ...)."""
        return values.reshape((1, -1) + (1,) * (ndim - 2))
