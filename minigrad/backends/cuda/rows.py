"""How kernels that work on rows are launched (``kernels/rows.cuh``): the threads of a row are a warp, or a whole block."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .compiler import Kernels
from .layout import is_aligned, pack


def kernel_by_rows(kernels: Kernels, family: str, name: str, *arrays: Any) -> Callable[..., None]:
    """A kernel with its grid and block, for the rows of arrays of one shape (..., C) and dtype without gaps.

    Its name goes on with ``_packed`` where all rows can be read 16 bytes at a time, with ``_single`` elsewhere.
    """
    first = arrays[0]
    C = first.shape[-1]
    packed = C % pack(first) == 0 and is_aligned(*arrays)
    kernel = kernels(family, f"{name}_packed" if packed else f"{name}_single", first.dtype)
    return partial(kernel, *rows_and_threads(first.size // C, C // pack(first) if packed else C))


def rows_and_threads(rows: int, items: int) -> tuple[tuple[int], tuple[int, int]]:
    """Grid and block for rows of so many items: a warp for a short row, four of them in a block, and a block for a long one."""
    if items <= 64:
        return (-(-rows // 4),), (32, 4)
    return (rows,), (128 if items <= 512 else 512, 1)
