"""Every kernel for every element type, compiled by NVRTC for two architectures, without a GPU: it compiles, and nothing spills.

NVRTC comes with ``pip install nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cuda-crt`` (13.0). Without it the tests are skipped,
or fail where MINIGRAD_REQUIRE_NVRTC is set.
"""

import ctypes
import os
import re
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from minigrad.backends.cuda import compiler

ARCHITECTURES = ["sm_80", "sm_90"]
OPTIONS = ["-ftz=true", "--device-as-default-execution-space"]  # CuPy adds these, and an architecture, behind ours
OPTIONS += ["--ptxas-options=-v"]  # a report on the kernels
PACKAGES = Path(sysconfig.get_paths()["purelib"]) / "nvidia" / "cu13"


class NVRTC:
    """The run-time compiler, by ctypes."""

    def __init__(self, folder):
        for library in ("libnvrtc-builtins.so.13.[0-9]", "libnvrtc.so.13"):  # the second does not find the first by itself
            (path,) = (folder / "lib").glob(library)
            self._library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        self._include = f"-I{folder / 'include'}"

    def compile(self, text, options):
        """The binary, and what the compiler says.

        Raises:
            RuntimeError: with the compiler's messages.
        """
        program = ctypes.c_void_p()
        self._check(self._library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None))
        try:
            given = [option.encode() for option in (*options, self._include)]
            status = self._library.nvrtcCompileProgram(program, len(given), (ctypes.c_char_p * len(given))(*given))
            log = self._bytes(program, "ProgramLog").rstrip(b"\0").decode()
            self._check(status, log)
            return self._bytes(program, "CUBIN"), log
        finally:
            self._library.nvrtcDestroyProgram(ctypes.byref(program))

    def _bytes(self, program, name):
        size = ctypes.c_size_t()
        self._check(getattr(self._library, f"nvrtcGet{name}Size")(program, ctypes.byref(size)))
        text = ctypes.create_string_buffer(size.value)
        self._check(getattr(self._library, f"nvrtcGet{name}")(program, text))
        return text.raw

    def _check(self, status, log=""):
        if status:
            raise RuntimeError(f"NVRTC failed with {status}\n{log}")


@pytest.fixture(scope="module")
def nvrtc():
    if not (PACKAGES / "lib").is_dir() and "MINIGRAD_REQUIRE_NVRTC" not in os.environ:
        pytest.skip("NVRTC is not installed")
    return NVRTC(PACKAGES)


def spills(log):
    """The lines on functions that spill registers to memory, each with the function's name."""
    functions = re.findall(r"Function properties for (\w+)\s+ptxas +\. +(.*bytes spill loads)", log)
    assert len(functions) >= log.count("Compiling entry function") > 0, log
    return [f"{name}: {line}" for name, line in functions if ", 0 bytes spill stores, 0 bytes spill loads" not in line]


def architectures(family):
    """Of the GPUs that a text is for, as CuPy names them."""
    return [compiler.ARCHITECTURES[family].rstrip("a")] if family in compiler.ARCHITECTURES else ARCHITECTURES


CASES = [(family, dtype, name) for family, dtype in compiler.texts() for name in architectures(family)]


@pytest.mark.parametrize(("family", "dtype", "architecture"), CASES, ids=str)
def test_kernels_compile(nvrtc, family, dtype, architecture):
    options = [*compiler.options(family), f"-arch={architecture}", *OPTIONS]
    binary, log = nvrtc.compile(compiler.source(family, dtype), options)
    assert binary.startswith(b"\x7fELF")
    assert f" '{compiler.ARCHITECTURES.get(family, architecture)}'" in log  # Compiling entry function 'name' for 'sm_90'
    assert spills(log) == []
    assert "(C75" not in log  # wgmma that waits for what it need not (C7510, C7517)


def test_the_compiler_complains(nvrtc):
    with pytest.raises(RuntimeError, match=r"(?s)NVRTC failed with 6.*kernels\.cu\(1\): error: identifier \"nowhere\""):
        nvrtc.compile('extern "C" __global__ void wrong(int* out) { out[0] = nowhere; }', ["-arch=sm_90"])


def test_spills_are_seen(nvrtc):
    text = """
    extern "C" __global__ void __launch_bounds__(1024, 2) greedy(const float* x, float* y) {
        float held[96];
        #pragma unroll
        for (int i = 0; i < 96; i++) held[i] = x[i * 1024 + threadIdx.x];
        __syncthreads();
        #pragma unroll
        for (int i = 0; i < 96; i++) y[(95 - i) * 1024 + threadIdx.x] = held[i] * held[(i * 7 + 3) % 96];
    }
    """
    _, log = nvrtc.compile(text, [*compiler.OPTIONS, "-arch=sm_90", *OPTIONS])
    assert len(spills(log)) == 1 and spills(log)[0].startswith("greedy: ")


def test_waiting_products_are_seen(nvrtc):
    text = compiler.source("hopper_gemm", np.dtype("float16"))
    waits = text.replace("wgmma_commit();\n}", "wgmma_commit();\n    sum[0][0][0] += 1;\n}")
    assert waits != text
    _, log = nvrtc.compile(waits, [*compiler.options("hopper_gemm"), *OPTIONS])
    assert "(C75" in log
