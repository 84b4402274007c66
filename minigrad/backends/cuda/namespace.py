"""CuPy's functions, with NumPy's results in the few places where CuPy has its own, and faster ones where we have them.

CuPy's float quotients are rounded before their integer is taken: 1 // 0.1 is 10 there instead of 9, and the remainder, which
is made of it, is wrong by as much. Its integer fmod goes through float64, and its clip does not see a bound that is nan.
"""

from __future__ import annotations

from typing import Any

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

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._cupy, name)
        setattr(self, name, found)  # the next time, nobody asks here
        return found

    def floor_divide(self, a: Any, b: Any, out: Any = None) -> Any:
        """The largest integer not above ``a / b``."""
        a, b = self._arrays(a, b)
        if a.dtype.kind != "f":
            return self._cupy.floor_divide(a, b, out=out)
        dtype = a.dtype
        if dtype == "float16":
            a, b = a.astype("float32"), b.astype("float32")
        rest = self._cupy.fmod(a, b)
        quotient = self._cupy.rint((a - rest) / b) - self._on_the_other_side(rest, b)
        return self._result(self._cupy.where(b == 0, a / b, quotient).astype(dtype, copy=False), out)

    def remainder(self, a: Any, b: Any, out: Any = None) -> Any:
        """``a - floor_divide(a, b) * b``, exactly."""
        a, b = self._arrays(a, b)
        if a.dtype.kind != "f":
            return self._cupy.remainder(a, b, out=out)
        rest = self._cupy.fmod(a, b)
        return self._result(self._cupy.where(self._on_the_other_side(rest, b), rest + b, rest), out)

    def fmod(self, a: Any, b: Any) -> Any:
        """What is left of ``a`` when as many whole ``b`` as possible are taken away, with the sign of ``a``."""
        a, b = self._arrays(a, b)
        if a.dtype.kind == "f":
            return self._cupy.fmod(a, b)
        rest = self._cupy.remainder(a, b)
        return self._cupy.where(self._on_the_other_side(rest, a), rest - b, rest)

    def clip(self, a: Any, low: Any, high: Any, out: Any = None) -> Any:
        """``minimum(maximum(a, low), high)``; nan where a bound is nan."""
        cupy = self._cupy
        if not any(isinstance(bound, cupy.ndarray) for bound in (low, high)):
            return cupy.clip(a, low, high, out=out)
        raised = a if low is None else cupy.maximum(a, low)
        return self._result(raised if high is None else cupy.minimum(raised, high), out)

    def _arrays(self, a: Any, b: Any) -> tuple[Any, Any]:
        """Two operands, one of which may be a number, as arrays of the dtype that the result has."""
        dtype = self._cupy.result_type(a, b)
        return self._cupy.asarray(a, dtype=dtype), self._cupy.asarray(b, dtype=dtype)

    def _on_the_other_side(self, rest: Any, other: Any) -> Any:
        """Where something is left, and it has another sign than the other operand."""
        return (rest != 0) & ((rest < 0) != (other < 0))

    def _result(self, result: Any, out: Any) -> Any:
        if out is None:
            return result
        out[...] = result
        return out
