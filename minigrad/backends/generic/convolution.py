"""Convolution and its two gradients, read plainly: every window is a row of a matrix, and the rest is a matrix product.

Shapes are (N, C, H, W) for planes and (OC, C/G, KH, KW) for weights; G groups of channels are convolved apart from each
other. Results lie in memory channels last, as N, H, W, C.
"""

from __future__ import annotations

from typing import Any

from .windows import Padding, Pair, WindowKernels


class ConvolutionKernels(WindowKernels):
    """Three kernels, each linear in two of input, weight and output's gradient, and giving the third; one with what follows."""

    scale_and_shift: Any
    last_steps: Any

    finishes_convolutions = False
    """Whether ``conv2d_finished`` is faster than ``conv2d`` and what follows it."""

    def conv2d(self, x: Any, w: Any, bias: Any, stride: Pair, padding: Padding, dilation: Pair, groups: int) -> Any:
        """The cross-correlation of planes (N, C, H, W) with weights, plus a bias (OC,) if there is one: (N, OC, OH, OW)."""
        OC = w.shape[0]
        windows = self.windows(self.wide(x), w.shape[2:], stride, padding, dilation)
        N, OH, OW = windows.shape[:3]
        y = self.xp.matmul(self._window_matrix(windows, groups), self._weight_matrix(w, groups))  # (G, N·OH·OW, OC/G)
        y = self.xp.ascontiguousarray(y.transpose(1, 0, 2)).reshape(N, OH, OW, OC)
        if bias is not None:
            y = y + bias
        return y.astype(x.dtype, copy=False).transpose(0, 3, 1, 2)

    def conv2d_finished(
        self,
        x: Any,
        w: Any,
        bias: Any,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        groups: int,
        scale: Any = None,
        shift: Any = None,
        positive: bool = False,
        other: Any = None,
    ) -> Any:
        """``conv2d`` and then ``scale_and_shift``, whose arguments the last four are; without scale its last steps alone."""
        y = self.conv2d(x, w, bias, stride, padding, dilation, groups)
        if scale is None:
            return self.last_steps(y, positive, other)
        return self.scale_and_shift(y, scale, shift, positive, other)

    def conv2d_input_grad(
        self,
        grad: Any,
        w: Any,
        input_shape: tuple[int, ...],
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        groups: int,
    ) -> Any:
        """The gradient by the input, from the output's gradient (N, OC, OH, OW): (N, C, H, W)."""
        N, C, H, W = input_shape
        OC, CG, KH, KW = w.shape
        OH, OW = grad.shape[2:]
        matrix = self._weight_matrix(w, groups).transpose(0, 2, 1)  # (G, OC/G, KH·KW·C/G)
        windows = self.xp.matmul(self._gradient_matrix(grad, groups), matrix)
        windows = windows.reshape(groups, N, OH, OW, KH, KW, CG).transpose(1, 2, 3, 4, 5, 0, 6)
        windows = windows.reshape(N, OH, OW, KH, KW, C)
        return self.fold(windows, input_shape, stride, padding, dilation).astype(grad.dtype, copy=False)

    def conv2d_weight_grad(
        self,
        grad: Any,
        x: Any,
        weight_shape: tuple[int, ...],
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        groups: int,
    ) -> Any:
        """The gradient by the weights, from the output's gradient and the input: (OC, C/G, KH, KW), contiguous."""
        OC, CG, KH, KW = weight_shape
        windows = self.windows(self.wide(x), (KH, KW), stride, padding, dilation)
        matrix = self._gradient_matrix(grad, groups).transpose(0, 2, 1)  # (G, OC/G, N·OH·OW)
        product = self.xp.matmul(matrix, self._window_matrix(windows, groups))  # (G, OC/G, KH·KW·C/G)
        result = self.xp.empty(weight_shape, dtype=grad.dtype)
        result[...] = product.reshape(OC, KH, KW, CG).transpose(0, 3, 1, 2)
        return result

    def _window_matrix(self, windows: Any, G: int) -> Any:
        """(N, OH, OW, KH, KW, C) -> (G, N·OH·OW, KH·KW·C/G)."""
        N, OH, OW, KH, KW, C = windows.shape
        split = windows.reshape(N * OH * OW, KH * KW, G, C // G)
        return split.transpose(2, 0, 1, 3).reshape(G, N * OH * OW, KH * KW * (C // G))

    def _weight_matrix(self, w: Any, G: int) -> Any:
        """(OC, C/G, KH, KW) -> (G, KH·KW·C/G, OC/G)."""
        OC, CG, KH, KW = w.shape
        split = self.wide(w).reshape(G, OC // G, CG, KH, KW)
        return split.transpose(0, 3, 4, 2, 1).reshape(G, KH * KW * CG, OC // G)

    def _gradient_matrix(self, grad: Any, G: int) -> Any:
        """(N, OC, OH, OW) -> (G, N·OH·OW, OC/G)."""
        N, OC, OH, OW = grad.shape
        return self.wide(grad).transpose(0, 2, 3, 1).reshape(N * OH * OW, G, OC // G).transpose(1, 0, 2)
