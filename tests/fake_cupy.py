"""A module that stands in for cupy where there is none: the strict backend's arrays and functions, and two GPUs.

What is known of CuPy 14 that differs from NumPy is here too: views by strides have no base, float quotients are rounded before
their integer is taken, clip does not see a bound that is nan, argmax counts in long long, and the error function of float16
is float64. Of bfloat16 it lacks what ``minigrad/backends/cuda/bfloat16.py`` says.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
from scipy import special

from minigrad import backends, dtypes
from minigrad.ops import generator
from tests.cuda_emulation import RawModule
from tests.fake_cublas import FakeCublas
from tests.fake_cuda import FakeGPU, fake_cuda
from tests.strict_backend import Namespace, StrictArray

BFLOAT16 = getattr(dtypes, "bfloat16", None)


def _is_bfloat16(*arrays):
    return BFLOAT16 is not None and any(isinstance(x, StrictArray) and x.dtype == BFLOAT16 for x in arrays)


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
        for bound, passes in ((low, lambda x: x < low), (high, lambda x: x > high)):
            if bound is None and _is_bfloat16(a):
                raise TypeError("clip of bfloat16 without a bound")
            a = a if bound is None else self.where(passes(a), bound, a)
        if out is None:
            return a
        out[...] = a
        return out

    def where(self, condition, x, y):
        return self._functions.where(condition, *(v.astype("float32") if _is_bfloat16(v) else v for v in (x, y)))

    def tril(self, x, k=0):
        return self.where(self._functions.tri(*x.shape[-2:], k=k, dtype=bool), x, self.zeros((), dtype=x.dtype))

    def triu(self, x, k=0):
        return self.where(self._functions.tri(*x.shape[-2:], k=k - 1, dtype=bool), self.zeros((), dtype=x.dtype), x)

    def round(self, x, decimals=0, out=None):
        return self._functions.round(x.astype("float32") if _is_bfloat16(x) else x, decimals, out=out)

    def nan_to_num(self, x, copy=True, nan=0.0, posinf=None, neginf=None):
        if _is_bfloat16(x):
            return self._functions.where(self._functions.isfinite(x), x, 0)
        return self._functions.nan_to_num(x, copy=copy, nan=nan, posinf=posinf, neginf=neginf)

    def sum(self, x, axis=None, dtype=None, out=None, keepdims=False):
        return self._reduced("sum", x, axis=axis, dtype=dtype, out=out, keepdims=keepdims)

    def mean(self, x, axis=None, dtype=None, out=None, keepdims=False):
        return self._reduced("mean", x, axis=axis, dtype=dtype, out=out, keepdims=keepdims)

    def _reduced(self, name, x, dtype, **options):
        """In float32 for bfloat16, where NumPy adds bfloat16."""
        function = getattr(self._functions, name)
        if not _is_bfloat16(x) or dtype is not None:
            return function(x, dtype=dtype, **options)
        return function(x, dtype="float32", **options).astype(BFLOAT16)

    def argmax(self, a, axis=None):
        return self._functions.argmax(a, axis=axis).astype("longlong")

    def argmin(self, a, axis=None):
        return self._functions.argmin(a, axis=axis).astype("longlong")

    def _is_float(self, a, b):
        return self.result_type(a, b) in dtypes.FLOATING


def _refusing(name):
    """A function that is there, but not for bfloat16."""

    def call(self, *operands, **options):
        if _is_bfloat16(*operands):
            raise NotImplementedError(f"{name} of bfloat16")
        return getattr(self._functions, name)(*operands, **options)

    return call


SORTING = ("sort", "argsort", "partition", "argpartition", "unique", "searchsorted")
for _name in (*SORTING, "matmul", "dot", "tensordot", "einsum"):  # of matrices, products are there, but go through cuBLAS
    setattr(FakeCupy, _name, _refusing(_name))


def _error_function(ufunc):
    def call(x, out=None):
        wide = {"float16": "float64", "bfloat16": "float32"}.get(x.dtype.name, x.dtype)
        result = ufunc(x._hidden.astype(wide))
        if out is None:
            return FakeArray(result)
        out._hidden[...] = result
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
