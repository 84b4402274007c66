"""Functions of single elements that NumPy lacks, or is slow at, by SciPy and by bits."""

from __future__ import annotations

import numpy as np

from ...dtypes import accumulated_in
from ..generic.special import SpecialKernels
from .elementwise import LARGE, as_lines, by_first_dim, in_blocks, ones

_INTEGER_OF_SIZE = {2: np.int16, 4: np.int32, 8: np.int64}
_UNSIGNED_OF_SIZE = {4: np.uint32, 8: np.uint64}


class CPUSpecialKernels(SpecialKernels):
    """The error function, and masks."""

    def erf(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        return self._by_scipy("erf", x, out)

    def erfc(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        return self._by_scipy("erfc", x, out)

    def keep(self, x: np.ndarray, mask: np.ndarray) -> np.ndarray:
        if x.ndim == 0 or x.shape != mask.shape:
            return super().keep(x, mask)
        result = np.empty_like(x)
        lines = as_lines((x, mask, result)) if x.size >= LARGE else None
        if lines is None:
            keep_into(x, mask, result)
        else:
            in_blocks(keep_into, lines)
        return result

    def keep_positive(self, x: np.ndarray, other: np.ndarray) -> np.ndarray:
        """In the memory order of ``other``: a layer's output says how its gradients should lie."""
        if x.ndim == 0 or x.shape != other.shape or x.dtype != other.dtype:
            return super().keep_positive(x, other)
        result = np.empty_like(other, x.dtype)
        lines = as_lines((x, other, result)) if x.size >= LARGE else None
        if lines is not None:
            in_blocks(keep_positive_into, lines)
            return result
        lying = [x, other, result]
        if not result.flags.c_contiguous:
            order = sorted(range(x.ndim), key=lambda i: result.strides[i], reverse=True)
            lying = [array.transpose(order) for array in lying]
        if x.size < LARGE:
            keep_positive_into(*lying)
        else:
            by_first_dim(lambda here: keep_positive_into(*(array[here] for array in lying)), lying[2])
        return result

    def _by_scipy(self, name: str, x: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        from scipy import special

        wide = x.astype(accumulated_in(x.dtype), copy=False)  # SciPy has no function for bfloat16
        return getattr(special, name)(wide, out=np.empty_like(x) if out is None else out)


def keep_into(x: np.ndarray, mask: np.ndarray, out: np.ndarray) -> None:
    """``keep`` by a bitwise and: ``np.where`` takes ten times as long when its branches are hard to predict."""
    integer = _INTEGER_OF_SIZE[x.itemsize]
    bits = out.view(integer)
    np.copyto(bits, np.negative(mask.view(np.int8)))  # all ones where the mask is true
    np.bitwise_and(bits, x.view(integer), out=bits)


def keep_positive_into(x: np.ndarray, other: np.ndarray, out: np.ndarray) -> None:
    """``keep`` where another array of the shape and dtype, in the same order and with nothing below 0, is not 0.

    By integers: the bits of x times the lesser of 1 and the other's bits, which are 0 for 0 alone (not for -0, which NumPy's
    maximum with 0 gives in float16 only). Two passes where a comparison and a mask take four; a product of floats would make
    nan of inf and 0. NumPy takes the lesser of two arrays in a third of the time that an array and a number take.
    """
    if x.itemsize == 2:
        keep_into(x, other != 0, out)
        return
    integer = _UNSIGNED_OF_SIZE[x.itemsize]
    bits = out.view(integer)
    np.minimum(other.view(integer), ones(x.shape[-1], integer), out=bits)
    np.multiply(bits, x.view(integer), out=bits)
