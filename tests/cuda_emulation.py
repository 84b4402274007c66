"""CUDA kernels on the CPU: g++ builds their text under ``cuda_emulation.h``, and ``RawModule`` launches them as CuPy's does.

It is stricter than CuPy: arguments have to be of the number, kinds and sizes that the kernel declares, and what a GPU would
leave undefined is an error where the emulation notices it.
"""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.lib.array_utils import byte_bounds

from tests.strict_backend import StrictArray

FOLDER = Path(__file__).parent
SOURCES = [FOLDER / name for name in ("cuda_emulation.h", "cuda_emulation_functions.h", "cuda_emulation.py")]
FLAGS = [
    *("-std=c++17", "-O1", "-w", "-shared", "-fPIC"),
    *("-fvisibility=hidden", "-fno-gnu-unique"),  # kernels of the same name are not the same
    *("-U_FORTIFY_SOURCE", "-fno-ipa-reference"),  # another stack runs on where a thread waits
    "-fsanitize=null,alignment,bounds",
    *("-fsanitize=kernel-address", "--param=asan-instrumentation-with-call-threshold=0"),  # a call for every access
    *("--param=asan-stack=0", "--param=asan-globals=0"),
]
SHARED_MEMORY = 48 << 10  # that a block may have without asking for more
MOST_SHARED_MEMORY = 227 << 10

BOUNDS = r"(?:(__launch_bounds__\s*\([^)]*\))\s*)?"
KERNEL = re.compile(rf"__global__\s+{BOUNDS}void\s+{BOUNDS}(\w+)\s*\(([^)]*)\)")
DYNAMIC = re.compile(r"extern\s+__shared__\s+(?:(?:__align__|alignas)\s*\(\d+\)\s*)?([\w ]+?)\s+(\w+)\s*\[\s*\]\s*;")


@cache
def compiler():
    """The path of the C++ compiler, or None."""
    return shutil.which("g++") or shutil.which("c++")


def compiler_missing() -> bool:
    return compiler() is None


class RawModule:
    """``cupy.RawModule``. Where there is no compiler the test is skipped, or fails if MINIGRAD_REQUIRE_TORCH is set."""

    def __init__(self, code, options=()):
        if compiler_missing():
            (pytest.fail if "MINIGRAD_REQUIRE_TORCH" in os.environ else pytest.skip)("no C++ compiler to emulate CUDA with")
        self._functions = _load(_built(code, tuple(options)))

    def get_function(self, name):
        if name not in self._functions:
            raise ValueError(f"no kernel {name!r}, only {', '.join(sorted(self._functions))}")
        return self._functions[name]


# --- building --------------------------------------------------------------------------------------------------------------


class KernelEntry(ctypes.Structure):
    """``emulation::Kernel`` of the header."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("parameters", ctypes.c_char_p),
        ("most_threads", ctypes.c_int),
        ("types", ctypes.CFUNCTYPE(ctypes.c_char_p)),
        ("call", ctypes.c_void_p),
    ]


@cache
def _load(path):
    library = ctypes.PyDLL(str(path))  # the interpreter's lock is kept: one launch at a time
    library.emulated_launch.restype = ctypes.c_char_p
    count = ctypes.c_int.in_dll(library, "emulated_count").value
    entries = (KernelEntry * count).in_dll(library, "emulated_kernels")
    return {entry.name.decode(): Function(library, entry) for entry in entries}


@cache
def _built(code, options):
    """The path of the library, which all processes of a user share."""
    parts = [*(path.read_text() for path in SOURCES), compiler(), code, *options]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    folder = Path(tempfile.gettempdir()) / f"minigrad-emulation-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{key}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=folder) as work:
            made = Path(work) / "kernels.so"
            command = [compiler(), *FLAGS, "-I", str(FOLDER), "-x", "c++", "-", "-o", str(made)]
            _run(command, _translated(code, options))
            made.replace(path)
    return path


def _translated(code, options):
    """The text for g++: the header in front, which does not see the options' macros, and a table of the kernels behind."""
    defines = ["#define " + option[2:].replace("=", " ", 1) for option in options if option.startswith("-D")]
    body = re.sub(r"#\s*include\s*<cuda_(fp16|bf16)\.h>", "", code)
    body = DYNAMIC.sub(r"static \1* const \2 = (\1*)emulation::dynamic_shared;", body)
    body = re.sub(r"(__shared__\s+)alignas\b", r"\1__align__", body)  # g++ wants alignas in front
    expanded = _run([compiler(), "-E", "-P", "-x", "c++", "-"], "\n".join([*defines, body]))
    rows = []
    for first, second, name, parameters in KERNEL.findall(expanded):
        bound = re.sub(r"__launch_bounds__\s*\(|\)$|,.*", "", first or second) or "1024"
        names = " ".join(re.findall(r"\w+", part)[-1] for part in parameters.split(",") if part.strip())
        launcher = f"emulation::Launcher<&{name}>"
        rows.append(f'{{"{name}", "{names}", int({bound}), {launcher}::types, {launcher}::call}},')
    exported = 'extern "C" __attribute__((visibility("default"))) const'
    table = [
        f"{exported} emulation::Kernel emulated_kernels[] = {{",
        *rows,
        "};",
        f"{exported} int emulated_count = {len(rows)};",
    ]
    return "\n".join(['#include "cuda_emulation_functions.h"', *defines, '#line 1 "kernels.cu"', body, *table, ""])


def _run(command, text):
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the kernels do not compile:\n{done.stderr}")
    return done.stdout


# --- launching -------------------------------------------------------------------------------------------------------------


class Function:
    """A kernel: ``function(grid, block, arguments, shared_mem=0)``."""

    def __init__(self, library, entry):
        self._library = library
        self._entry = entry
        self.name = entry.name.decode()
        self.max_dynamic_shared_size_bytes = SHARED_MEMORY
        self._parameters = list(zip(entry.parameters.decode().split(), entry.types().decode().split(), strict=True))

    def __call__(self, grid, block, args, shared_mem=0):
        geometry = self._geometry(grid, block, shared_mem)
        if len(args) != len(self._parameters):
            expected = ", ".join(name for name, _ in self._parameters)
            raise TypeError(f"{self.name}: expected {len(self._parameters)} arguments ({expected}), got {len(args)}")
        values = [self._value(name, kind, argument) for (name, kind), argument in zip(self._parameters, args)]
        pointers = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        regions = self._regions(args)
        count = -1 if regions is None else len(regions)
        places = (ctypes.c_size_t * (2 * max(count, 0)))(*(bound for region in regions or () for bound in region))
        entry = ctypes.byref(self._entry)
        problem = self._library.emulated_launch(entry, pointers, geometry, int(shared_mem), places, count)
        if problem is not None:
            raise RuntimeError(f"{self.name}: {problem.decode()}")

    def _geometry(self, grid, block, shared_mem):
        """Both sizes, as far as CUDA launches them."""
        grid, block = ((*map(int, given), 1, 1)[:3] for given in (grid, block))
        most = min(1024, self._entry.most_threads)
        if min(block) < 1 or block[0] * block[1] * block[2] > most or block[2] > 64:
            raise ValueError(f"{self.name}: expected a block of 1 to {most} threads, got {block}")
        if min(grid) < 1 or grid[0] >= 2**31 or max(grid[1:]) > 65535:
            raise ValueError(f"{self.name}: expected a grid of at most (2³¹ - 1, 65535, 65535), got {grid}")
        most = min(self.max_dynamic_shared_size_bytes, MOST_SHARED_MEMORY)
        if not 0 <= shared_mem <= most:
            raise ValueError(f"{self.name}: expected at most {most} bytes of dynamic shared memory, got {shared_mem}")
        return (ctypes.c_uint * 6)(*grid, *block)

    def _value(self, name, kind, argument):
        """An array of NumPy's that holds what the parameter becomes."""
        if isinstance(argument, StrictArray):
            if kind[0] == "p" and _may_point_to(kind[1:], argument.dtype):
                return np.array(argument.data.ptr, np.uint64)
            got = f"an array of {argument.dtype}"
        elif isinstance(argument, np.generic):
            if kind == _kind(argument.dtype) or (kind[0] == "p" and argument.dtype == "uint64"):  # an address
                return np.asarray(argument)
            got = f"numpy.{argument.dtype}"
        elif isinstance(argument, np.ndarray) and argument.size == 1 and kind == f"s{argument.nbytes}":
            return argument
        else:
            got = type(argument).__name__
        raise TypeError(f"{self.name}: expected {_meaning(kind)} for {name}, got {got}")

    def _regions(self, args):
        """Where the arrays are that the kernel may access; None if it is given addresses, as one or in a struct or an array.

        A struct that is bytes without names of fields (dtype V64) is taken to hold numbers only.
        """
        for (_, kind), argument in zip(self._parameters, args):
            has_addresses = kind[0] == "s" and argument.dtype.names is not None
            if has_addresses or kind[:2] == "pp" or (kind[0] == "p" and isinstance(argument, np.generic) and argument != 0):
                return None
        return [byte_bounds(argument._hidden) for argument in args if isinstance(argument, StrictArray)]


def _kind(dtype):
    """How the header describes a number."""
    if dtype.name == "bfloat16":
        return "b2"
    return f"{'i' if dtype.kind in 'iub' else dtype.kind}{dtype.itemsize}"


def _may_point_to(kind, dtype):
    """Whether a pointer to a kind may point into an array of a dtype: to the same numbers, to addresses, to any for structs."""
    if kind[:1] == "p":
        return dtype.kind in "iu" and dtype.itemsize == 8
    return kind[:1] in ("", "s") or kind == _kind(dtype)


def _meaning(kind):
    if kind[0] == "p":
        return "an array" + (f" of {_meaning(kind[1:])}s" if kind[1:] else "")
    if kind[0] == "b":
        return "bfloat16"
    return f"{int(kind[1:]) * 8}-bit " + {"f": "float", "i": "integer", "s": "struct"}[kind[0]]
