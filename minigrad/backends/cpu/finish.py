"""What follows a convolution number by number: a bias, batch norm by known statistics, an addition, ReLU.

Every part of a convolution does it to what it has just written, while that is in the cache; passes over the whole result take
as long as the memory does. Rows of channels are joined until they are long enough for NumPy's loops (``elementwise.LONG``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .elementwise import LONG, repeated, rows_in_one
from .threads import even, for_each

BLOCK = 1 << 19
"""The numbers in a part of a whole result at most: with fewer, the threads spend their time handing Python's lock over."""


class Finish:
    """Steps for memory that has channels last, in this order.

    Args:
        bias: a summand per channel, or None.
        scale, shift: then a factor and a summand per channel, or None.
        other: then an addend for every number, contiguous in the result's memory order, or None.
        positive: whether there are zeros at last in place of what is negative.
    """

    def __init__(self, bias: Any = None, scale: Any = None, shift: Any = None, other: Any = None, positive: bool = False):
        steps = [(ufunc, a) for ufunc, a in ((np.add, bias), (np.multiply, scale), (np.add, shift)) if a is not None]
        self.ufuncs = [ufunc for ufunc, _ in steps]
        self.values = [values for _, values in steps]
        self.other = other
        self.positive = positive
        self._rows: dict[int, np.ndarray] = {}

    def __bool__(self) -> bool:
        return bool(self.ufuncs) or self.other is not None or self.positive

    def __call__(self, y: np.ndarray, *index: slice, source: np.ndarray | None = None) -> None:
        """Take the steps for ``y[index]``, which is contiguous, in place or from a source of the same shape."""
        if not self:
            return
        here = y[index]
        columns = y.shape[-1]
        size = rows_in_one(here.size // columns, columns, LONG) * columns
        block = here.reshape(-1, size)
        *rows, zeros = self._repeated(size, y.dtype)
        found = block if source is None else source[index].reshape(-1, size)
        for ufunc, row in zip(self.ufuncs, rows):
            found = ufunc(found, row, out=block)
        if self.other is not None:
            np.add(block, self.other.reshape(y.shape)[index].reshape(-1, size), out=block)
        if self.positive:
            np.maximum(block, zeros, out=block)

    def all(self, y: np.ndarray, source: np.ndarray | None = None) -> None:
        """Take the steps for all of ``y``, or from a source; both are contiguous."""
        if not self or not y.size:
            return
        size = rows_in_one(y.size // y.shape[-1], y.shape[-1], LONG) * y.shape[-1]
        y = y.reshape(-1, size)
        source = None if source is None else source.reshape(-1, size)
        height = even(len(y), BLOCK // size)
        for_each(-(-len(y) // height), lambda i: self(y, slice(i * height, (i + 1) * height), source=source), blas=False)

    def _repeated(self, size: int, dtype: Any) -> np.ndarray:
        """The values per channel of every step as rows of that size, and zeros.

        Against an array the maximum takes NumPy a third of the time that it takes against a number.
        """
        rows = self._rows.get(size)
        if rows is None:
            zeros = np.zeros(len(self.values[0]) if self.values else 1)
            rows = self._rows[size] = repeated(size, dtype, *self.values, zeros)
        return rows
