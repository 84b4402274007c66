"""Optimizer steps on CUDA: one launch for up to 64 parameters, by ``kernels/optimizer.cu``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import sqrt
from typing import Any

import numpy as np

from ..generic.optimizer import OptimizerKernels
from .hyperparameters import NUMBERS, recording
from .layout import order_of

Arrays = Sequence[Any]

ARRAYS, TENSORS, CHUNK, THREADS = 5, 64, 4096, 256
"""The most arrays of a parameter and tensors of a launch, and the elements of a block: as in ``kernels/optimizer.cu``."""

LAUNCH = np.dtype(
    [
        ("array", np.uint64, (ARRAYS, TENSORS)),
        ("size", np.int64, TENSORS),
        ("number", np.float64, NUMBERS),
        ("live", np.uint64),
        ("end", np.int32, TENSORS),
        ("tensors", np.int32),
    ],
    align=True,
)
"""The argument of the kernels, which goes by value: a kernel may have 4096 bytes of arguments."""


class CUDAOptimizerKernels(OptimizerKernels):
    """The generic rules, on whole lists of parameters; short floats are computed in float32, and rounded at the end.

    The numbers of a rule stand in the order in which its kernel reads them.
    """

    kernels: Any
    address: Callable[[Any], int]

    def sgd_step(
        self,
        params: Arrays,
        grads: Arrays,
        momentum_buffers: Arrays,
        *,
        lr: float,
        momentum: float,
        dampening: float,
        weight_decay: float,
        nesterov: bool,
        maximize: bool,
    ) -> None:
        name = "sgd" if not momentum_buffers else "sgd_nesterov" if nesterov else "sgd_momentum"
        numbers = (lr, _sign(maximize), weight_decay, momentum, 1 - dampening)
        self._update(name, [params, grads, momentum_buffers], numbers)

    def adam_step(
        self,
        params: Arrays,
        grads: Arrays,
        exp_avgs: Arrays,
        exp_avg_sqs: Arrays,
        max_exp_avg_sqs: Arrays,
        steps: Sequence[float],
        *,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
        decoupled: bool,
        maximize: bool,
    ) -> None:
        name = "adam_amsgrad" if max_exp_avg_sqs else "adam"
        decay, keep = (0, 1 - lr * weight_decay) if decoupled else (weight_decay, 1)
        for step, columns in _by_step([params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs], steps):
            correction = sqrt(1 - beta2**step)
            rate = lr * correction / (1 - beta1**step)
            numbers = (rate, _sign(maximize), decay, keep, 1 - beta1, beta2, 1 - beta2, eps * correction)
            self._update(name, columns, numbers)

    def lion_step(
        self,
        params: Arrays,
        grads: Arrays,
        exp_avgs: Arrays,
        *,
        lr: float,
        beta1: float,
        beta2: float,
        weight_decay: float,
        maximize: bool,
    ) -> None:
        numbers = (lr, _sign(maximize), 1 - lr * weight_decay, 1 - beta1, 1 - beta2)
        self._update("lion", [params, grads, exp_avgs], numbers)

    def rmsprop_step(
        self,
        params: Arrays,
        grads: Arrays,
        square_avgs: Arrays,
        grad_avgs: Arrays,
        momentum_buffers: Arrays,
        *,
        lr: float,
        alpha: float,
        eps: float,
        weight_decay: float,
        momentum: float,
        maximize: bool,
    ) -> None:
        name = f"rmsprop{'_centered' if grad_avgs else ''}{'_momentum' if momentum_buffers else ''}"
        numbers = (lr, _sign(maximize), weight_decay, alpha, 1 - alpha, eps, momentum)
        self._update(name, [params, grads, square_avgs, grad_avgs, momentum_buffers], numbers)

    def adagrad_step(
        self,
        params: Arrays,
        grads: Arrays,
        sums: Arrays,
        steps: Sequence[float],
        *,
        lr: float,
        lr_decay: float,
        eps: float,
        weight_decay: float,
        maximize: bool,
    ) -> None:
        for step, columns in _by_step([params, grads, sums], steps):
            rate = lr / (1 + (step - 1) * lr_decay)
            self._update("adagrad", columns, (rate, _sign(maximize), weight_decay, eps))

    def unscale(self, grads: Arrays, scale: Any) -> Any:
        found = self.xp.zeros((), dtype="float32")
        for dtype, rows in _launches([grads]):
            dense = [self._in_one_order(row) for row in rows]
            launch, blocks = self._described(dense)
            self.kernels("optimizer", "unscale", dtype)((blocks,), (THREADS,), launch, scale, found)
            _copy_back(rows, dense)
        return found

    def _update(self, name: str, columns: Sequence[Arrays], numbers: Sequence[float]) -> None:
        """Run a rule on the columns that are not empty: parameters, gradients, states."""
        for dtype, rows in _launches(columns):
            self._launch_step(name, dtype, rows, numbers)

    def _launch_step(self, name: str, dtype: Any, rows: Sequence[tuple[Any, ...]], numbers: Sequence[float]) -> None:
        """One launch; while a CUDA graph is refreshed, only its numbers."""
        graph, live = recording(), 0
        if graph is not None:
            stepped = (name, *[self.address(array) for param, _, *states in rows for array in (param, *states)])
            if graph.is_refreshing:
                return graph.hand_over(stepped, numbers)
            live = graph.slot(stepped, numbers)
            graph.keep(*rows)
        dense = [self._in_one_order(row) for row in rows]
        launch, blocks = self._described(dense)
        launch["live"] = live
        launch["number"][0, : len(numbers)] = numbers
        self.kernels("optimizer", name, dtype)((blocks,), (THREADS,), launch)
        _copy_back(rows, dense)

    def _described(self, rows: Sequence[tuple[Any, ...]]) -> tuple[Any, int]:
        """The argument of a launch on arrays without gaps, and how many blocks it takes."""
        launch = np.zeros(1, LAUNCH)
        for i, column in enumerate(zip(*rows)):
            launch["array"][0, i, : len(rows)] = [self.address(array) for array in column]
        sizes = np.array([row[0].size for row in rows])
        ends = np.cumsum(-(-sizes // CHUNK))
        launch["size"][0, : len(rows)] = sizes
        launch["end"][0, : len(rows)] = ends
        launch["tensors"] = len(rows)
        return launch, int(ends[-1])

    def _in_one_order(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arrays of a parameter in one memory order without gaps; copies of those that lie otherwise."""
        param = row[0]
        strides = [array.strides for array in row]
        if strides.count(strides[0]) == len(row) and order_of(param) is not None:
            return row
        like = self.xp.empty_like(param)
        order = _order(like)
        found = []
        for array in row:
            if _order(array) != order:
                copy = self.xp.empty_like(like)
                copy[...] = array
                array = copy
            found.append(array)
        return tuple(found)


def _launches(columns: Sequence[Arrays]) -> Iterator[tuple[Any, Sequence[tuple[Any, ...]]]]:
    """The arrays that belong to each parameter, for as many of one dtype as a launch takes; empty columns are left out."""
    rows: dict[Any, list[tuple[Any, ...]]] = {}
    for row in zip(*[column for column in columns if column]):
        rows.setdefault(row[0].dtype, []).append(row)
    for dtype, alike in rows.items():
        for start in range(0, len(alike), TENSORS):
            yield dtype, alike[start : start + TENSORS]


def _copy_back(rows: Sequence[tuple[Any, ...]], dense: Sequence[tuple[Any, ...]]) -> None:
    """What was computed in copies, to where it belongs."""
    for row, dense_row in zip(rows, dense):
        if dense_row is not row:
            for i, (array, copy) in enumerate(zip(row, dense_row)):
                if copy is not array and i != 1:  # not the gradient of a step
                    array[...] = copy


def _sign(maximize: bool) -> int:
    return -1 if maximize else 1


def _by_step(columns: Sequence[Arrays], steps: Sequence[float]) -> list[tuple[float, Sequence[Arrays]]]:
    """The columns, parted by the number of the step, which is mostly one for all."""
    different = dict.fromkeys(steps)
    if len(different) == 1:
        return [(steps[0], columns)]
    parts: list[tuple[float, Sequence[Arrays]]] = []
    for step in different:
        places = [i for i, other in enumerate(steps) if other == step]
        parts.append((step, [[column[i] for i in places] if column else column for column in columns]))
    return parts


def _order(array: Any) -> list[int] | None:
    """The dims of more than one element in the order in which they lie in memory, None if there are gaps in it."""
    order = order_of(array)
    return None if order is None else [dim for dim in order if array.shape[dim] > 1]
