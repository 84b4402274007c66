"""Functions of single elements that NumPy lacks, or that are slow when composed of its functions."""

from __future__ import annotations

from math import exp, factorial, pi, sqrt
from typing import Any

_STEP = 0.5
_POINTS = 13  # exp(-(_STEP * _POINTS) ** 2) is below the last bit
_TERMS = 19
_SERIES = [2 / sqrt(pi) * (-1) ** n / (factorial(n) * (2 * n + 1)) for n in range(_TERMS)]
_ZERO_BEYOND = 28.0  # erfc underflows


class SpecialKernels:
    """The error function, and masks."""

    xp: Any

    def erf(self, x: Any, out: Any = None) -> Any:
        """``2 / sqrt(pi)`` times the integral of ``exp(-t * t)`` from 0 to ``x``; floats of any width."""
        xp = self.xp
        wide = x.astype(xp.float64)
        size = xp.absolute(wide)
        result = xp.where(size < 1, self._erf_near_zero(wide), xp.sign(wide) * (1 - self._erfc_from_one(size)))
        return self._store(result, x, out)

    def erfc(self, x: Any, out: Any = None) -> Any:
        """``1 - erf(x)`` without its cancellation for large ``x``."""
        xp = self.xp
        wide = x.astype(xp.float64)
        tail = self._erfc_from_one(xp.absolute(wide))
        result = xp.where(wide > -1, xp.where(wide < 1, 1 - self._erf_near_zero(wide), tail), 2 - tail)
        return self._store(result, x, out)

    def keep(self, x: Any, mask: Any) -> Any:
        """The values of a floating array where a mask of its shape is true, and zero (whatever the value) elsewhere."""
        return self.xp.where(mask, x, 0)

    def keep_positive(self, x: Any, other: Any) -> Any:
        """The values where another array of the shape, with nothing below 0, is not 0; zero, whatever the value, elsewhere."""
        return self.keep(x, other != 0)

    def _erf_near_zero(self, x: Any) -> Any:
        """Taylor's series; right for ``|x| <= 1``."""
        x = self.xp.clip(x, -1, 1)
        square = x * x
        total = _SERIES[-1] * square
        for coefficient in _SERIES[-2:0:-1]:
            total = (total + coefficient) * square
        return (total + _SERIES[0]) * x

    def _erfc_from_one(self, x: Any) -> Any:
        """For ``x >= 1``, by the trapezoidal rule, whose error there is known and subtracted.

        With the step h, ``erfc(x) = 2 h x / pi exp(-x²) (1 / (2 x²) + sum_n exp(-n² h²) / (n² h² + x²))``, minus
        ``2 / (exp(2 pi x / h) - 1)``, up to ``exp(-(pi / h)²)`` (Chiarella and Reichel 1968, On the evaluation of integrals
        related to the error function).
        """
        xp = self.xp
        x = xp.clip(x, 1, _ZERO_BEYOND)
        square = x * x
        total = 0.5 / square
        for n in range(1, _POINTS + 1):
            total = total + exp(-((n * _STEP) ** 2)) / (square + (n * _STEP) ** 2)
        near = xp.rint(x * 16) / 16  # its square is exact, so that the error of x * x does not grow in exp
        gauss = xp.exp(-near * near) * xp.exp((near - x) * (near + x))
        pole = 2 / xp.expm1(2 * pi / _STEP * xp.minimum(x, pi / _STEP))
        return 2 * _STEP / pi * x * gauss * total - xp.where(x < pi / _STEP, pole, 0)

    def _store(self, result: Any, x: Any, out: Any) -> Any:
        if out is None:
            return result.astype(x.dtype)
        out[...] = result.astype(out.dtype)
        return out
