"""A GPU as the processes of ``gpu_check`` know it, where there is none: nothing is on it, and time is the host's."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import minigrad
from benchmarks.gpu_measure import CuPyGPU
from benchmarks.gpu_rows import OnGPU
from tests.fake_cupy import fake_cupy


@contextmanager
def stand_in() -> Iterator[CuPyGPU]:
    """Steps are captured by leaving them as they are."""
    with (
        fake_cupy() as module,
        patch.object(minigrad.cuda, "make_graphed", lambda step, inputs: step, create=True),
        patch.object(minigrad, "set_float32_matmul_precision", lambda precision: None, create=True),
    ):
        module.RawKernel = lambda code, name: lambda grid, block, arguments: None
        yield CuPyGPU()


def prepared(lib) -> OnGPU:
    """A library whose tensors are on the CPU after all."""
    for room in ("nn", "optim"):
        importlib.import_module(f"{lib.__name__}.{room}")
    return OnGPU(lib, "cpu")
