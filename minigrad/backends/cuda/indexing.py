"""Adding at computed places on CUDA, with the same bits every time: CuPy's ``add.at`` adds in the order in which threads come.

The host does not wait to check an index: of one that is out of range, what a reading or writing does is CuPy's business (it
counts on from the other end), and ``index_add`` here does the same.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..generic.indexing import IndexingKernels
from .compiler import TYPES, Kernels, is_countable
from .layout import is_aligned, pack
from .pooling import in_lines

WINDOW = 16
"""How many places of the sorted index a thread takes, as in ``kernels/indexing.cu``."""


class CUDAIndexingKernels(IndexingKernels):
    """``index_add`` of floats by sorting; of integers, whose sums have no order, by CuPy."""

    kernels: Kernels

    def index_bounds(self, index: Any) -> tuple[int, int] | None:
        return None

    def index_add(self, target: Any, index: tuple[Any, ...], values: Any) -> None:
        dims = sum(not isinstance(item, slice) for item in index)
        leading = dims > 0 and all(not isinstance(item, slice) and item.dtype.kind == "i" for item in index[:dims])
        columns = prod(target.shape[dims:])
        if not leading or target.dtype not in TYPES or values.dtype != target.dtype or not is_countable(columns):
            super().index_add(target, index, values)
        elif target.size and values.size:
            rows = self._flat_places(target.shape[:dims], index[:dims])
            if values.shape != rows.shape + target.shape[dims:]:
                values = self.xp.broadcast_to(values, rows.shape + target.shape[dims:])
            self._add_rows(target, rows.reshape(-1), self.xp.ascontiguousarray(values), columns)

    def _flat_places(self, shape: tuple[int, ...], index: tuple[Any, ...]) -> Any:
        """The places in the flattened first dims that arrays of indices into each of them name, counted from the front."""
        rows = None
        for size, array in zip(shape, index):
            places = self.xp.remainder(array.astype("int64", copy=False), size)
            rows = places if rows is None else rows * size + places
        return rows

    def _add_rows(self, target: Any, rows: Any, values: Any, columns: int) -> None:
        """Add each row of values (flat, so many numbers long) to a row of the target."""
        xp = self.xp
        if not target.flags.c_contiguous:
            total = xp.zeros(target.shape, dtype=target.dtype)
            self._add_rows(total, rows, values, columns)
            target += total
            return
        order = xp.argsort(rows, kind="stable")
        rows = xp.take(rows, order)
        windows = -(-rows.size // WINDOW)
        partial = xp.empty((windows, 2, columns), dtype=xp.result_type(target.dtype, "float32"))
        packed = columns % pack(target) == 0 and is_aligned(target, values)
        form = "packed" if packed else "single"
        grid, block = in_lines(windows, columns // pack(target) if packed else columns)
        add_runs, join_runs = (self.kernels("indexing", f"{name}_{form}", target.dtype) for name in ("add_runs", "join_runs"))
        add_runs(grid, block, target, partial, values, rows, order, np.int64(rows.size), columns)
        if windows > 1:
            join_runs(grid, block, target, partial, rows, np.int64(rows.size), columns)
