"""Reading and adding at computed places.

An ``index`` here is what an array may be indexed by: a tuple of full slices and integer arrays that broadcast, or one mask.
"""

from __future__ import annotations

from typing import Any

from ...dtypes import FLOATING, accumulated_in


class IndexingKernels:
    """What a device may do better than its NumPy-like namespace."""

    xp: Any

    def index_bounds(self, index: Any) -> tuple[int, int] | None:
        """The smallest and the largest index of an array that is not empty.

        None if the host would have to wait for the device to know: then nobody checks, and negative ones must work too.
        """
        return self.xp.min(index).item(), self.xp.max(index).item()

    def pick(self, x: Any, index: tuple[Any, ...]) -> Any:
        """The elements at an index: ``x[index]``, in memory of their own."""
        places = [i for i, item in enumerate(index) if not isinstance(item, slice)]
        if len(places) == 1 and index[places[0]].dtype.kind == "i":
            return self.xp.take(x, index[places[0]], axis=places[0])
        return x[index]

    def index_add(self, target: Any, index: tuple[Any, ...], values: Any) -> None:
        """``target[index] += values``, in which every one of several equal places counts; short floats are added in float32."""
        if target.dtype.itemsize >= 4:
            self.xp.add.at(target, index, values)
            return
        # CuPy has no add.at for smaller integers and bools.
        wide = accumulated_in(target.dtype) if target.dtype in FLOATING else "int32"
        total = self.xp.zeros(target.shape, dtype=wide)
        self.xp.add.at(total, index, values.astype(wide))
        target += total.astype(target.dtype)

    def gather(self, x: Any, dim: int, index: Any) -> Any:
        """``result[i, j] = x[index[i, j], j]`` for dim 0 of two; the index may be shorter than x in the other dims."""
        if not x.ndim:
            return x.copy()
        part = tuple(slice(None) if i == dim else slice(n) for i, n in enumerate(index.shape))
        return self.xp.take_along_axis(x[part], index, axis=dim)

    def scatter(self, target: Any, dim: int, index: Any, values: Any) -> None:
        """``target[index[i, j], j] = values[i, j]`` for dim 0 of two."""
        target[self._along(dim, index)] = values

    def scatter_add(self, target: Any, dim: int, index: Any, values: Any) -> None:
        """``target[index[i, j], j] += values[i, j]`` for dim 0 of two, in which every one of several equal places counts."""
        self.index_add(target, self._along(dim, index), values)

    def _along(self, dim: int, index: Any) -> tuple[Any, ...]:
        """What to index by so that only dim is read from the index, and the others run along with it."""
        places = []
        for i, n in enumerate(index.shape):
            shape = tuple(n if j == i else 1 for j in range(index.ndim))
            places.append(index if i == dim else self.xp.arange(n).reshape(shape))
        return tuple(places)
