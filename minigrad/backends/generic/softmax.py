"""Softmax and its logarithm along an axis, and the gradient of either, which needs its result alone."""

from __future__ import annotations

from typing import Any

from ...dtypes import accumulated_in


class SoftmaxKernels:
    """Short floats are computed in float32, and rounded once."""

    xp: Any
    quiet: Any

    def softmax(self, x: Any, axis: int, logarithm: bool) -> Any:
        """``exp(x) / sum(exp(x))`` along an axis, or its ``logarithm``, in the dtype of ``x``.

        The largest score is taken off first, so that exp does not overflow; where it is not finite, there is nan.
        """
        xp = self.xp
        wide = x.astype(accumulated_in(x.dtype), copy=False)
        if not wide.size:
            return xp.empty_like(x)
        with self.quiet():
            y = xp.subtract(wide, xp.max(wide, axis=axis, keepdims=True))
            if logarithm:
                xp.subtract(y, xp.log(xp.sum(xp.exp(y), axis=axis, keepdims=True)), out=y)
            else:
                xp.exp(y, out=y)
                xp.true_divide(y, xp.sum(y, axis=axis, keepdims=True), out=y)
        return y.astype(x.dtype, copy=False)

    def softmax_grad(self, grad: Any, y: Any, axis: int, logarithm: bool) -> Any:
        """The gradient by the scores, from that of the result ``y`` and ``y`` itself."""
        xp = self.xp
        above, wide = (array.astype(accumulated_in(y.dtype), copy=False) for array in (grad, y))
        with self.quiet():
            if logarithm:
                dx = xp.exp(wide)
                xp.multiply(dx, xp.sum(above, axis=axis, keepdims=True), out=dx)
                xp.subtract(above, dx, out=dx)
            else:
                dx = xp.multiply(above, wide)
                xp.subtract(dx, xp.multiply(wide, xp.sum(dx, axis=axis, keepdims=True)), out=dx)
            return dx.astype(y.dtype, copy=False)
