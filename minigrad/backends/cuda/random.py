"""Random numbers on CUDA: drawn on the device, by ``kernels/random.cu``, and therefore not the CPU's numbers for a seed.

A draw reads where its stream is from device memory and leaves there where it ends, so that the host waits for nothing, and a
CUDA graph draws other numbers at every replay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..generic.random import RandomKernels
from .hyperparameters import recording

THREADS = 256
BLOCKS = 132 * 8
"""The most blocks of a launch: as many as an H100 or H200 runs at once. The numbers do not depend on it."""


class Stream:
    """Where a stream of random numbers is: its seed, and the first counter that has not been used (uint64, on the device)."""

    __slots__ = ("place",)

    def __init__(self, place: Any):
        self.place = place


class CUDARandomKernels(RandomKernels):
    """The state of a stream is 16 bytes. A counter makes 4 floats, or 2 float64 or integers."""

    kernels: Any
    from_host: Callable[[np.ndarray], Any]
    to_host: Callable[[Any], np.ndarray]

    def new_stream(self, seed: int) -> Stream:
        return Stream(self.from_host(np.array([seed, 0], np.uint64)))

    def stream_state(self, stream: Stream) -> np.ndarray:
        return self.to_host(stream.place).astype("<u8").view(np.uint8)

    def set_stream_state(self, stream: Stream, state: np.ndarray) -> None:
        if state.dtype != np.uint8 or state.shape != (16,):
            raise ValueError(f"expected the 16 bytes (uint8) of a state on CUDA, got {state.dtype} of shape {state.shape}")
        stream.place = self.from_host(np.ascontiguousarray(state).view("<u8").astype(np.uint64))

    def random_uniform(self, stream: Stream, shape: tuple[int, ...], dtype: Any) -> Any:
        return self._floats(stream, "uniform", shape, dtype)

    def random_normal(self, stream: Stream, shape: tuple[int, ...], dtype: Any) -> Any:
        return self._floats(stream, "normal", shape, dtype)

    def random_integers(self, stream: Stream, low: int, high: int, shape: tuple[int, ...]) -> Any:
        if not -(2**63) <= low < high <= 2**63:
            raise ValueError(f"expected integers of 64 bits, got from {low} to below {high}")
        count = high - low
        numbers = (np.int64(low), np.uint64(count % 2**64), np.uint64(2**64 % count))
        return self._drawn(stream, "integers", self.xp.empty(shape, dtype="int64"), 2, *numbers)

    def random_mask(self, stream: Stream, probability: float, shape: tuple[int, ...]) -> Any:
        threshold = np.uint64(round(probability * 2**32))
        return self._drawn(stream, "mask", self.xp.empty(shape, dtype="bool"), 4, threshold)

    def random_permutation(self, stream: Stream, count: int) -> Any:
        if count < 2:
            return self.xp.arange(count, dtype="int64")
        keys = self._drawn(stream, "bits", self.xp.empty(count, dtype="int64"), 2)
        return self.xp.argsort(keys).astype("int64", copy=False)

    def _floats(self, stream: Stream, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        out = self.xp.empty(shape, dtype=dtype)
        return self._drawn(stream, name, out, 2 if out.dtype == "float64" else 4)

    def _drawn(self, stream: Stream, name: str, out: Any, per_counter: int, *numbers: Any) -> Any:
        """Fill an array by a kernel, and let the stream go on by the counters that it uses."""
        graph = recording()
        if graph is not None:
            graph.keep(stream.place)
        counters = -(-out.size // per_counter)
        dtype = out.dtype if name in ("uniform", "normal") else np.dtype("float32")  # the others are the same for all
        grid = (min(-(-counters // THREADS), BLOCKS),)
        self.kernels("random", name, dtype)(grid, (THREADS,), stream.place, out, np.int64(out.size), *numbers)
        if counters:
            self.kernels("random", "advance", dtype)((1,), (1,), stream.place, np.int64(counters))
        return out
