"""Adding at computed places on the CPU.

NumPy's ``add.at`` is quick for one flat array and one flat index, and many times slower for anything else: so all else is
brought into that form. It adds in the order of the index, so the result is the same every time.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ...dtypes import REDUCED
from ..generic.indexing import IndexingKernels

_CHUNK = 1 << 18  # places whose flat index is in memory at one time


class CPUIndexingKernels(IndexingKernels):
    """``index_add`` over flat memory."""

    def index_bounds(self, index: Any) -> tuple[int, int]:
        return np.minimum.reduce(index, axis=None).item(), np.maximum.reduce(index, axis=None).item()

    def index_add(self, target: Any, index: tuple[Any, ...], values: Any) -> None:
        if any(not isinstance(item, slice) and item.dtype == np.bool_ for item in index):
            target[index] += values  # a mask names no place twice
            return
        wide = target.dtype not in REDUCED
        in_place = wide and target.flags.c_contiguous
        flat = target.reshape(-1) if in_place else np.zeros(target.size, target.dtype if wide else np.float32)
        parts = flat_index(target.shape, index)
        values = values if wide else values.astype(np.float32)
        step = max(1, _CHUNK // max(1, prod(values.shape[1:])))
        for start in range(0, len(values) if values.ndim else 1, step):
            here = slice(start, start + step) if values.ndim else ()
            places = sum(part[here] if part.ndim and len(part) > 1 else part for part in parts)
            shown = values[here]
            np.add.at(flat, np.broadcast_to(places, shown.shape).reshape(-1), shown.reshape(-1))
        if not in_place:
            target += flat.reshape(target.shape).astype(target.dtype, copy=False)


def flat_index(shape: tuple[int, ...], index: tuple[Any, ...]) -> list[Any]:
    """Arrays that broadcast to the shape of what the index picks, and whose sum is each element's place in flat memory."""
    steps = [prod(shape[i + 1 :]) for i in range(len(shape))]
    dims = [i for i, item in enumerate(index) if not isinstance(item, slice)]
    arrays = [index[i].astype(np.int64, copy=False) for i in dims]
    picked = sum((np.where(a < 0, a + shape[i], a) * steps[i] for i, a in zip(dims, arrays)), np.int64(0))
    others = [i for i in range(len(shape)) if i not in dims]
    first = dims[0] if dims and dims[-1] - dims[0] + 1 == len(dims) else 0
    parts = [picked.reshape((1,) * first + picked.shape + (1,) * (len(others) - first))]
    for place, i in enumerate(others):
        after = len(others) - place - 1
        before = place + (picked.ndim if place >= first else 0)
        after += picked.ndim if place < first else 0
        parts.append((np.arange(shape[i]) * steps[i]).reshape((1,) * before + (-1,) + (1,) * after))
    return parts
