"""How many threads the CPU's matrix products use: a setting of the BLAS library that NumPy is linked with."""

from __future__ import annotations

import os
from typing import Any

_controller: Any = None


def _blas() -> Any:
    """Threadpoolctl's handle on the BLAS libraries of this process, looked for once."""
    global _controller
    if _controller is None:
        from threadpoolctl import ThreadpoolController

        _controller = ThreadpoolController().select(user_api="blas")
    return _controller


def set_num_threads(number: int) -> None:
    """Use this many threads for matrix products on the CPU.

    Args:
        number: at least 1.

    Raises:
        ValueError: if it is less than 1.

    >>> import minigrad
    >>> before = minigrad.get_num_threads()
    >>> minigrad.set_num_threads(1)
    >>> minigrad.get_num_threads()
    1
    >>> minigrad.set_num_threads(before)
    """
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"set_num_threads: expected a whole number from 1 up, got {number!r}")
    for library in _blas().lib_controllers:
        library.set_num_threads(number)


def get_num_threads() -> int:
    """How many threads matrix products on the CPU use.

    >>> import minigrad
    >>> minigrad.get_num_threads() >= 1
    True
    """
    numbers = [library.get_num_threads() for library in _blas().lib_controllers]
    return max(numbers, default=os.cpu_count() or 1)
