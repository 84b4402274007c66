"""The settings that keep freed memory in the process are made where they can be, and never against the environment."""

from __future__ import annotations

import ctypes
import platform

import pytest

from minigrad.backends.cpu import memory


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
