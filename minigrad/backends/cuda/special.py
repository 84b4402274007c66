"""The error function on CUDA, by CuPy's own."""

from __future__ import annotations

import importlib
from typing import Any

from ..generic.special import SpecialKernels


class CUDASpecialKernels(SpecialKernels):
    """The error function; masks are the generic kernel's."""

    def erf(self, x: Any, out: Any = None) -> Any:
        return self._by_cupyx("erf", x, out)

    def erfc(self, x: Any, out: Any = None) -> Any:
        return self._by_cupyx("erfc", x, out)

    def _by_cupyx(self, name: str, x: Any, out: Any) -> Any:
        function = getattr(importlib.import_module("cupyx.scipy.special"), name)
        if x.dtype != "float16":
            return function(x, out=out)
        return self._store(function(x.astype("float32")), x, out)  # of float16 it makes float64
