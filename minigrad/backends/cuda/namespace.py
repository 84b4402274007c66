"""CuPy's functions, with NumPy's results in the few places where CuPy has its own, and faster ones where we have them.

CuPy's float quotients are rounded before their integer is taken: 1 // 0.1 is 10 there instead of 9, and the remainder, which
is made of it, is wrong by as much. Its integer fmod goes through float64, and its clip does not see a bound that is nan. Of
bfloat16 it lacks more (``backends/bfloat16.py``).
"""

from __future__ import annotations

from typing import Any

from ...dtypes import FLOATING, REDUCED, accumulated_in
from ..bfloat16 import is_bfloat16, rounded, widened
from .compiler import Kernels
from .elementwise import Elementwise
from .layout import joined
from .reduction import Reductions


class Namespace:
    """What ``xp`` is on CUDA: the module that it wraps, but for the functions below."""

    def __init__(self, cupy: Any, kernels: Kernels):
        self._cupy = cupy
        vars(self).update(Elementwise(cupy, kernels).functions())
        self.concatenate = joined(cupy, kernels)
        reductions = Reductions(cupy, kernels)
        self.sum, self.mean = reductions.sum, reductions.mean
        for name in ("round", "tril", "triu"):
            setattr(self, name, rounded(getattr(cupy, name), cupy.ndarray, counts=True))
        for name in ("argmax", "argmin", "argsort", "nan_to_num", "unique"):
            setattr(self, name, widened(getattr(cupy, name)))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._cupy, name)
        setattr(self, name, found)  # the next time, nobody asks here
        return found

    def floor_divide(self, a: Any, b: Any, out: Any = None) -> Any:
        """The largest integer not above ``a / b``."""
        a, b = self._arrays(a, b)
        if a.dtype not in FLOATING:
            return self._cupy.floor_divide(a, b, out=out)
        dtype, wide = a.dtype, accumulated_in(a.dtype)
        a, b = a.astype(wide, copy=False), b.astype(wide, copy=False)
        rest = self._cupy.fmod(a, b)
        quotient = self._cupy.rint((a - rest) / b) - self._on_the_other_side(rest, b)
        return self._result(self._cupy.where(b == 0, a / b, quotient).astype(dtype, copy=False), out)

    def remainder(self, a: Any, b: Any, out: Any = None) -> Any:
        """``a - floor_divide(a, b) * b``, exactly."""
        a, b = self._arrays(a, b)
        if a.dtype not in FLOATING:
            return self._cupy.remainder(a, b, out=out)
        rest = self._cupy.fmod(a, b)
        return self._result(self.where(self._on_the_other_side(rest, b), rest + b, rest), out)

    def fmod(self, a: Any, b: Any) -> Any:
        """What is left of ``a`` when as many whole ``b`` as possible are taken away, with the sign of ``a``."""
        a, b = self._arrays(a, b)
        if a.dtype in FLOATING:
            return self._cupy.fmod(a, b)
        rest = self._cupy.remainder(a, b)
        return self._cupy.where(self._on_the_other_side(rest, a), rest - b, rest)

    def clip(self, a: Any, low: Any, high: Any, out: Any = None) -> Any:
        """``minimum(maximum(a, low), high)``; nan where a bound is nan."""
        cupy = self._cupy
        may_be_nan = any(isinstance(bound, cupy.ndarray) or bound != bound for bound in (low, high))
        if not may_be_nan and not is_bfloat16(a):
            return cupy.clip(a, low, high, out=out)
        raised = a if low is None else self.maximum(a, low)
        return self._result(raised if high is None else self.minimum(raised, high), out)

    def _arrays(self, a: Any, b: Any) -> tuple[Any, Any]:
        """Two operands, one of which may be a number, as arrays of the dtype that the result has."""
        given = [x.dtype for x in (a, b) if isinstance(x, self._cupy.ndarray)]
        beside_a_number = len(given) == 1 and given[0] in REDUCED
        dtype = given[0] if beside_a_number else self._cupy.result_type(a, b)
        return self._cupy.asarray(a, dtype=dtype), self._cupy.asarray(b, dtype=dtype)

    def _on_the_other_side(self, rest: Any, other: Any) -> Any:
        """Where something is left, and it has another sign than the other operand."""
        return (rest != 0) & ((rest < 0) != (other < 0))

    def _result(self, result: Any, out: Any) -> Any:
        if out is None:
            return result
        out[...] = result
        return out
