"""A module that stands in for cupy where there is none: the strict backend's arrays and functions, and two GPUs.

What is known of CuPy 14 that differs from NumPy is here too: views by strides have no base, float quotients are rounded before
their integer is taken, clip does not see a bound that is nan, argmax counts in long long, and the error function of float16
is float64.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
from scipy import special

from minigrad import backends
from minigrad.ops import generator
from tests.cuda_emulation import RawModule
from tests.fake_cublas import FakeCublas
from tests.fake_cuda import FakeGPU, fake_cuda
from tests.strict_backend import Namespace, StrictArray


class FakeArray(StrictArray):
    """``cupy.ndarray``: a StrictArray that is somewhere."""

    __slots__ = ("device",)

    def __init__(self, hidden, source=None):
        super().__init__(hidden, source)
        self.device = FakeGPU()

    data = property(lambda self: SimpleNamespace(ptr=self._hidden.__array_interface__["data"][0]))


class FakeCupy(Namespace):
    """The module."""

    __version__ = "14.2.0"
    ndarray = FakeArray
    RawModule = RawModule

    def __init__(self, gpus: int = 2):
        super().__init__(FakeArray)
        for name in vars(FakeCupy):
            vars(self).pop(name, None)  # what is defined below, not NumPy's
        self._functions = Namespace(FakeArray)
        self.cuda = fake_cuda(gpus)
        self.lib = SimpleNamespace(
            stride_tricks=SimpleNamespace(
                as_strided=lambda x, shape, strides: FakeArray(np.lib.stride_tricks.as_strided(x._hidden, shape, strides))
            )
        )

    def get_default_memory_pool(self):
        return self.cuda.default_pool

    def asnumpy(self, array):
        return array._hidden.copy()

    def asarray(self, value, dtype=None):
        if isinstance(value, np.ndarray):
            return FakeArray(np.array(value, dtype))
        return self._functions.asarray(value, dtype=dtype)

    def floor_divide(self, a, b, out=None):
        if not self._is_float(a, b):
            return self._functions.floor_divide(a, b, out=out)
        return self._functions.floor(self._functions.true_divide(a, b), out=out)

    def remainder(self, a, b, out=None):
        if not self._is_float(a, b):
            return self._functions.remainder(a, b, out=out)
        return self._functions.subtract(a, self.floor_divide(a, b) * b, out=out)

    def clip(self, a, low, high, out=None):
        where = self._functions.where
        for bound, passes in ((low, lambda x: x < low), (high, lambda x: x > high)):
            a = a if bound is None else where(passes(a), bound, a)
        if out is None:
            return a
        out[...] = a
        return out

    def argmax(self, a, axis=None):
        return self._functions.argmax(a, axis=axis).astype("longlong")

    def argmin(self, a, axis=None):
        return self._functions.argmin(a, axis=axis).astype("longlong")

    def _is_float(self, a, b):
        return self.result_type(a, b).kind == "f"


def _error_function(ufunc):
    def call(x, out=None):
        result = FakeArray(ufunc(x._hidden.astype("float64" if x.dtype == "float16" else x.dtype)))
        if out is None:
            return result
        out[...] = result
        return out

    return call


@contextmanager
def fake_cupy(module: object = None) -> Iterator[object]:
    """A module in cupy's place for the time of a ``with`` block (None: a FakeCupy), and a CUDA backend that starts afresh."""
    module = FakeCupy() if module is None else module
    modules = {
        "cupy": module,
        "cupyx.scipy.special": SimpleNamespace(erf=_error_function(special.erf), erfc=_error_function(special.erfc)),
    }
    registries = (backends._by_name, backends.by_array_type, generator._defaults)
    before = [dict(registry) for registry in registries]
    if "cuda" in backends._by_name:
        backends.unregister("cuda")
    gpu = patch.multiple(FakeGPU, current=0, waited_for=[])
    blas = patch("minigrad.backends.cuda.cublas.load_library", FakeCublas)
    with patch.dict(sys.modules, modules), gpu, blas, np.errstate(all="ignore"):  # a GPU does not warn
        try:
            yield module
        finally:
            for registry, entries in zip(registries, before):
                registry.clear()
                registry.update(entries)
