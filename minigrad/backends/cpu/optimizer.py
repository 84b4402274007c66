"""Optimizer steps on the CPU: large parameters in blocks that stay in the cache from the first operation to the last."""

from __future__ import annotations

from typing import Any

from ..generic.optimizer import OptimizerKernels

BLOCK = 1 << 16
"""The elements of a block: Adam on 16 million float32 takes half the time with it."""


class CPUOptimizerKernels(OptimizerKernels):
    """The rules work element by element, so that blocks of an array are as good as arrays."""

    def sgd_step(self, *arrays: Any, **options: Any) -> None:
        super().sgd_step(*in_blocks(arrays), **options)

    def adam_step(self, *arrays: Any, **options: Any) -> None:
        super().adam_step(*in_blocks(arrays), **options)

    def lion_step(self, *arrays: Any, **options: Any) -> None:
        super().lion_step(*in_blocks(arrays), **options)

    def rmsprop_step(self, *arrays: Any, **options: Any) -> None:
        super().rmsprop_step(*in_blocks(arrays), **options)

    def adagrad_step(self, *arrays: Any, **options: Any) -> None:
        super().adagrad_step(*in_blocks(arrays), **options)


def in_blocks(columns: Any) -> Any:
    """The lists with large arrays cut along their first dim, and the numbers that belong to them repeated for each part."""
    params = columns[0]
    if all(param.size <= 2 * BLOCK for param in params):
        return columns
    cut: list[list[Any]] = [[] for _ in columns]
    for i, param in enumerate(params):
        rows = max(1, BLOCK * len(param) // param.size) if param.size > 2 * BLOCK else None
        for parts, column in zip(cut, columns):
            if column:
                parts += _cut(column[i], rows, param)
    return cut


def _cut(entry: Any, rows: int | None, param: Any) -> list[Any]:
    if rows is None:
        return [entry]
    starts = range(0, len(param), rows)
    return [entry[i : i + rows] if hasattr(entry, "shape") else entry for i in starts]
