"""The settings that keep freed memory in the process are made where they can be, and never against the environment."""

from __future__ import annotations

import ctypes
import os
import pathlib
import platform

import numpy as np
import pytest

import minigrad
from minigrad.backends.cpu import memory, pages, threads


@pytest.fixture(autouse=True)
def without_settings(monkeypatch):
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES", "MALLOC_ARENA_MAX", "MALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)


def test_made_on_glibc():
    assert memory.keep_freed_memory() == (platform.libc_ver()[0] == "glibc")


def test_environment_wins(monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000")
    assert not memory.keep_freed_memory()


def test_other_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert not memory.keep_freed_memory()


GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="settings of glibc")


@GLIBC
def test_freed_memory_is_kept_and_given_back():
    array = np.ones(1 << 24)  # 128 MB
    before = memory.memory_stats()
    assert before["allocated"] >= array.nbytes
    del array
    after = memory.memory_stats()
    assert before["allocated"] - after["allocated"] >= 0.99 * 2**27
    memory.empty_cache()
    assert memory.memory_stats()["reserved"] <= before["reserved"]


@GLIBC
def test_scratch_memory_is_given_back():
    (before,) = threads.scratch(1 << 24, dtype=np.float64)
    size = memory.memory_stats()["allocated"]
    before[:] = 1
    memory.empty_cache()
    assert before[-1] == 1  # what a part still works with stays
    del before
    assert size - memory.memory_stats()["allocated"] >= 0.99 * 2**27
    (after,) = threads.scratch(100, dtype=np.float64)
    assert after.base.nbytes < 2**20


@GLIBC
def test_a_small_average_of_much_takes_little_scratch_memory():
    memory.empty_cache()
    x = minigrad.ones(1, 32, 512, 512)  # 32 MB
    minigrad.nn.functional.avg_pool2d(x, 64, 64, padding=8)
    (scratch,) = threads.scratch(1, dtype=np.float32)
    assert scratch.base.nbytes < 12 << 20


@GLIBC
def test_no_page_faults_in_a_steady_state():
    resource = pytest.importorskip("resource")
    memory.keep_freed_memory()

    def step():
        arrays = [np.ones(1 << 22, np.float32) for _ in range(4)]
        return sum(float(array[0]) for array in arrays)

    step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        step()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 1000  # each array is 4096 pages


LINUX = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or not os.path.exists("/sys/kernel/mm/transparent_hugepage"),
    reason="large pages of Linux",
)


def page_flags(address):
    """The flags that Linux keeps for the memory at an address."""
    inside = False
    for line in pathlib.Path("/proc/self/smaps").read_text().splitlines():
        first = line.split()[0]
        if "-" in first:
            start, stop = (int(number, 16) for number in first.split("-"))
            inside = start <= address < stop
        elif inside and first == "VmFlags:":
            return line.split()[1:]
    raise AssertionError(f"no memory at {address}")


@LINUX
def test_large_pages_are_asked_for_as_the_heap_grows():
    memory.keep_freed_memory()
    memory.empty_cache()
    for _ in range(2):  # once more for what has been given back
        arrays = [threads.aligned((1 << 20,), np.uint8) for _ in range(200)]  # of less than NumPy asks for itself
        flagged = ["hg" in page_flags(array.ctypes.data) for array in arrays]
        assert sum(flagged) > 100  # some may lie in what was free before
        assert flagged[-1]
        assert "hg" in page_flags(int(pages.heap.asked_for) - 1)  # to the end of what the heap has grown by, beyond need
        del arrays
        memory.empty_cache()


@LINUX
def test_large_pages_are_asked_for_again_where_the_heap_has_shrunk_by_itself():
    memory.keep_freed_memory()
    memory.empty_cache()
    memory.set_cache_limit(0)
    try:
        for _ in range(3):
            arrays = [threads.aligned((1 << 20,), np.uint8) for _ in range(200)]
            assert sum("hg" in page_flags(array.ctypes.data) for array in arrays) > 190
            del arrays
    finally:
        memory.set_cache_limit((1 << 31) - 1)


def test_without_a_heap_to_ask_for():
    heap = pages._Heap()
    heap.ask_from_here(object())  # a library that has no such functions
    assert heap.asked_for > 1 << 64
    heap.ask(1 << 40)
    heap.has_shrunk()
    assert heap.asked_for > 1 << 64


@pytest.mark.parametrize("size", [-1, 1 << 31, 1.0, True])
def test_limit_out_of_range(size):
    with pytest.raises(ValueError, match="expected a whole number of bytes from 0 to 2147483647, got"):
        memory.set_cache_limit(size)


@pytest.mark.parametrize("function", [memory.memory_stats, memory.empty_cache, lambda: memory.set_cache_limit(0)])
def test_without_glibc_an_error_says_so(function, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    with pytest.raises(RuntimeError, match="expected the C library to be glibc"):
        function()
