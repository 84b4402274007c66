"""Random numbers: every kernel draws from a stream, which is the backend's own object and belongs to one Generator.

Here the stream is NumPy's, over the counter-based Philox generator, and the numbers are drawn on the host: the same seed gives
the same numbers on every backend that does not draw by itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dtypes import REDUCED, accumulated_in

_WORDS = 13  # counter (4), key (2), buffer (4), place in the buffer, and a spare half word with its flag


class RandomKernels:
    """What a backend can draw."""

    xp: Any

    def new_stream(self, seed: int) -> Any:
        """A stream that starts at a seed, 0 <= seed < 2**64, on the current device."""
        return np.random.Generator(np.random.Philox(seed))

    def stream_state(self, stream: Any) -> np.ndarray:
        """Where a stream is, as bytes on the host (uint8)."""
        state = stream.bit_generator.state
        philox = state["state"]
        rest = [state["buffer_pos"], state["has_uint32"], state["uinteger"]]
        words = np.concatenate([philox["counter"], philox["key"], state["buffer"], np.array(rest, np.uint64)])
        return words.astype("<u8").view(np.uint8)

    def set_stream_state(self, stream: Any, state: np.ndarray) -> None:
        """Put a stream where another one was.

        Raises:
            ValueError: if these are not the bytes of a state.
        """
        if state.dtype != np.uint8 or state.shape != (8 * _WORDS,):
            raise ValueError(f"expected the {8 * _WORDS} bytes (uint8) of a state, got {state.dtype} of shape {state.shape}")
        words = np.ascontiguousarray(state).view("<u8").astype(np.uint64)
        position, has_half, half = (int(word) for word in words[10:])
        if position > 4 or has_half > 1 or half >= 2**32:
            raise ValueError("expected the bytes of a state, got others")
        stream.bit_generator.state = {
            "bit_generator": "Philox",
            "state": {"counter": words[:4], "key": words[4:6]},
            "buffer": words[6:10],
            "buffer_pos": position,
            "has_uint32": has_half,
            "uinteger": half,
        }

    def random_uniform(self, stream: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        """Floats from 0 (inclusive) to 1 (exclusive)."""
        if dtype in REDUCED:  # a float32 just below 1 would round to 1
            steps = 2048 if dtype == np.float16 else 256
            return self.from_drawn((stream.integers(0, steps, shape, np.uint16) / np.float32(steps)).astype(dtype))
        return self.from_drawn(stream.random(shape, dtype))

    def random_normal(self, stream: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        """Floats with mean 0 and variance 1."""
        drawn = stream.standard_normal(shape, accumulated_in(dtype))
        return self.from_drawn(np.asarray(drawn).astype(dtype, copy=False))

    def random_integers(self, stream: Any, low: int, high: int, shape: tuple[int, ...]) -> Any:
        """Integers (int64) from low (inclusive) to high (exclusive)."""
        return self.from_drawn(stream.integers(low, high, shape))

    def random_mask(self, stream: Any, probability: float, shape: tuple[int, ...]) -> Any:
        """Bools, each true with the probability (in steps of 2**-32)."""
        drawn = stream.integers(0, 2**32, shape, np.uint32)
        threshold = round(probability * 2**32)
        return self.from_drawn(drawn < np.uint32(threshold) if threshold < 2**32 else np.ones(shape, np.bool_))

    def random_permutation(self, stream: Any, count: int) -> Any:
        """The integers (int64) from 0 to count - 1 in a random order."""
        return self.from_drawn(stream.permutation(count))

    def from_drawn(self, drawn: Any) -> Any:
        """The backend's array of numbers that were drawn on the host."""
        return self.from_host(np.asarray(drawn))  # type: ignore[attr-defined]
