"""Functions of single elements on CUDA: the error function by CuPy's own, masks by a kernel each (``kernels/masking.cu``)."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from ...dtypes import REDUCED
from ..generic.special import SpecialKernels
from .compiler import TYPES, Kernels
from .layout import inverse, is_aligned, line, order_of, pack


class CUDASpecialKernels(SpecialKernels):
    """The error function, and masks of floats that fill their memory; other masks by the generic kernels."""

    xp: Any
    kernels: Kernels

    def erf(self, x: Any, out: Any = None) -> Any:
        return self._by_cupyx("erf", x, out)

    def erfc(self, x: Any, out: Any = None) -> Any:
        return self._by_cupyx("erfc", x, out)

    def keep(self, x: Any, mask: Any) -> Any:
        order = order_of(x) if x.shape == mask.shape and mask.dtype == "bool" and x.dtype in TYPES else None
        if order is None or x.ndim == 0:
            return super().keep(x, mask)
        return self._kept_in_order("keep", x, mask, order)

    def keep_positive(self, x: Any, other: Any) -> Any:
        """In the memory order of ``other``: a layer's output says how its gradients should lie."""
        order = order_of(other) if x.shape == other.shape and x.dtype == other.dtype and x.dtype in TYPES else None
        if order is None or x.ndim == 0:
            return super().keep_positive(x, other)
        return self._kept_in_order("keep_positive", x, other, order)

    def _kept_in_order(self, name: str, x: Any, mask: Any, order: tuple[int, ...]) -> Any:
        """The kernel on arrays that lie in an order; on copies of those that lie otherwise."""
        x, mask = self._in_order(x, order), self._in_order(mask, order)
        result = self.xp.empty([x.shape[axis] for axis in order], dtype=x.dtype)
        packed = is_aligned(x, mask)
        kernel = self.kernels("masking", f"{name}_packed" if packed else f"{name}_single", x.dtype)
        kernel(*line(x.size, pack(x) if packed else 1), x, mask, result, np.int64(x.size))
        return result.transpose(inverse(order))

    def _in_order(self, array: Any, order: tuple[int, ...]) -> Any:
        if order_of(array) == order:
            return array
        return self.xp.ascontiguousarray(array.transpose(order)).transpose(inverse(order))

    def _by_cupyx(self, name: str, x: Any, out: Any) -> Any:
        function = getattr(importlib.import_module("cupyx.scipy.special"), name)
        if x.dtype not in REDUCED:
            return function(x, out=out)
        return self._store(function(x.astype("float32")), x, out)  # of float16 it makes float64, of bfloat16 float32
