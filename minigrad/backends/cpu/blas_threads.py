"""BLAS's own threads: one while a kernel runs, as a kernel's parts are on threads already; its own number afterwards.

threadpoolctl finds the libraries. OpenBLAS's number belongs to the process, and threadpoolctl lets only one thread set it;
kernels run in any thread, so its C functions are called directly, which is quicker too.
"""

from __future__ import annotations

import ctypes
import itertools
import threading
from collections.abc import Callable
from typing import Any


class _OneBlasThread:
    """A context in which BLAS computes with one thread; it counts its users, so that the last one restores the number."""

    def __init__(self) -> None:
        self.forget()
        self.functions: list[tuple[Callable[[], int], Callable[[int], Any]]] | None = None

    def forget(self) -> None:
        """No users, as in a child process after a fork, where a lock may have been held by a thread that is no more."""
        self.lock = threading.Lock()
        self.users = 0
        self.before: list[int] = []

    def __enter__(self) -> None:
        counted = False
        try:
            with self.lock:
                self.users += 1
                counted = True
                if self.users == 1:
                    self._limit()
        except BaseException:  # Ctrl-C comes at any time, and no __exit__ follows it here
            if counted:
                self.__exit__()
            raise

    def __exit__(self, *error: Any) -> None:
        with self.lock:
            if self.users:  # a child has none where it was forked within the context
                self.users -= 1
            if self.users == 0:
                self._restore()

    def _limit(self) -> None:
        if self.functions is None:
            self.functions = _functions()
        self.before = [get() for get, _ in self.functions]
        for (_, set_number), number in zip(self.functions, self.before):
            if number != 1:
                set_number(1)

    def _restore(self) -> None:
        for (_, set_number), number in zip(self.functions or (), self.before):
            if number != 1:
                set_number(number)


def _functions() -> list[tuple[Callable[[], int], Callable[[int], Any]]]:
    """For every BLAS library in the process: what gets and what sets its number of threads."""
    from threadpoolctl import ThreadpoolController

    found = []
    for library in ThreadpoolController().select(user_api="blas").lib_controllers:
        of_process = library.internal_api == "openblas" and library.threading_layer != "openmp"
        own = _openblas_functions(library.filepath) if of_process else None
        found.append(own or (library.get_num_threads, library.set_num_threads))
    return found


def _openblas_functions(path: str) -> tuple[Callable[[], int], Callable[[int], Any]] | None:
    """OpenBLAS's functions under one of the names that builds give them; called with Python's lock held, as they are short."""
    library = ctypes.PyDLL(path)
    for prefix, suffix in itertools.product(("", "scipy_"), ("", "64_", "_64")):
        try:
            get = library[f"{prefix}openblas_get_num_threads{suffix}"]
            set_number = library[f"{prefix}openblas_set_num_threads{suffix}"]
        except AttributeError:
            continue
        get.restype, get.argtypes, set_number.restype, set_number.argtypes = ctypes.c_int, [], None, [ctypes.c_int]
        return get, set_number
    return None


one_blas_thread = _OneBlasThread()
