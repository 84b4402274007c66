"""Generators: where random numbers come from.

Every device has a default generator; ``manual_seed`` seeds them all. A generator's state is a uint8 tensor on the CPU.
"""

from __future__ import annotations

import os
from typing import Any

from .._tensor import Tensor
from ..autograd.operation import wrap
from ..backends import Device, backend_for, backend_of
from .arguments import as_integer, check_tensor

__all__ = [
    "Generator",
    "default_generator",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]

_SEED_OF_NEW_GENERATORS = 67280421310721


def _fresh_seed() -> int:
    """63 bits of the system's randomness (the module ``secrets`` would take 10 ms to import)."""
    return int.from_bytes(os.urandom(8)) >> 1


class Generator:
    """A source of random numbers: the same seed always gives the same numbers.

    Args:
        device: where the tensors are that it fills.

    >>> import minigrad
    >>> generator = minigrad.Generator().manual_seed(0)
    >>> first = minigrad.rand(2, generator=generator)
    >>> generator.manual_seed(0).initial_seed()
    0
    >>> bool((minigrad.rand(2, generator=generator) == first).all())
    True
    """

    def __init__(self, device: Any = "cpu"):
        self._backend, self._device = backend_for(device)
        self._seed = _SEED_OF_NEW_GENERATORS
        self._stream: Any = None

    @property
    def device(self) -> Device:
        """Where the tensors are that this generator fills."""
        return self._device

    @property
    def stream(self) -> Any:
        """What the backend's kernels draw from; made at the first use."""
        if self._stream is None:
            with self._backend.on(self._device):
                self._stream = self._backend.new_stream(self._seed)
        return self._stream

    def manual_seed(self, seed: int) -> Generator:
        """Start again from a seed.

        Args:
            seed: an integer from -2**63 to 2**64 - 1; a negative one stands for itself plus 2**64.

        Returns:
            The generator itself.

        Raises:
            ValueError: if the seed is out of range.
        """
        seed = as_integer("manual_seed", "seed", seed)
        if not -(2**63) <= seed < 2**64:
            raise ValueError(f"manual_seed: expected a seed from -2**63 to 2**64 - 1, got {seed}")
        self._seed = seed % 2**64
        self._stream = None
        return self

    def seed(self) -> int:
        """Start again from a seed that nobody can foresee, and return it."""
        self.manual_seed(_fresh_seed())
        return self._seed

    def initial_seed(self) -> int:
        """The seed that the numbers started from."""
        return self._seed

    def get_state(self) -> Tensor:
        """Where the generator is, as a uint8 tensor on the CPU."""
        seed = self._seed.to_bytes(8, "little")
        host = backend_for("cpu")[0].xp
        return wrap(host.concatenate([host.array(list(seed), dtype="uint8"), self._backend.stream_state(self.stream)]))

    def set_state(self, new_state: Tensor) -> Generator:
        """Go on from where a generator on the same type of device was when its ``get_state`` was called.

        Raises:
            TypeError: if the state is no Tensor; ValueError if it is none that ``get_state`` returned.
        """
        check_tensor("set_state", new_state)
        host = backend_of(new_state.array).to_host(new_state.array)
        if str(host.dtype) != "uint8" or host.ndim != 1 or host.size < 8:
            raise ValueError(f"set_state: expected the uint8 tensor of get_state, got {host.dtype} of shape {host.shape}")
        with self._backend.on(self._device):
            stream = self._backend.new_stream(0)
            try:
                self._backend.set_stream_state(stream, host[8:])
            except ValueError as error:
                raise ValueError(f"set_state: {error}") from None
        self._seed, self._stream = int.from_bytes(host[:8].tolist(), "little"), stream
        return self

    def __repr__(self) -> str:
        return f"Generator(device='{self._device}', initial_seed={self._seed})"


default_generator = Generator("cpu")
default_generator.seed()
_defaults: dict[Device, Generator] = {default_generator.device: default_generator}
_last_seed: int | None = None


def _default(device: Device) -> Generator:
    """The device's default generator, seeded as ``manual_seed`` asked for if it did."""
    if device not in _defaults:
        generator = _defaults[device] = Generator(device)
        if _last_seed is None:
            generator.seed()
        else:
            generator.manual_seed(_last_seed)
    return _defaults[device]


def manual_seed(seed: int) -> Generator:
    """Seed the default generator of every device, also of those that are used later.

    Args:
        seed: an integer from -2**63 to 2**64 - 1.

    Returns:
        The CPU's default generator.

    Raises:
        ValueError: if the seed is out of range.

    >>> import minigrad
    >>> minigrad.manual_seed(0)
    Generator(device='cpu', initial_seed=0)
    """
    global _last_seed
    default_generator.manual_seed(seed)
    _last_seed = default_generator.initial_seed()
    for generator in _defaults.values():
        generator.manual_seed(_last_seed)
    return default_generator


def seed() -> int:
    """Seed the default generators with a number that nobody can foresee, and return it.

    >>> import minigrad
    >>> minigrad.seed() == minigrad.initial_seed()
    True
    """
    return manual_seed(_fresh_seed()).initial_seed()


def initial_seed() -> int:
    """The seed that the CPU's default generator started from.

    >>> import minigrad
    >>> _ = minigrad.manual_seed(3)
    >>> minigrad.initial_seed()
    3
    """
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the CPU's default generator, a uint8 tensor.

    >>> import minigrad
    >>> state = minigrad.get_rng_state()
    >>> first = minigrad.rand(3)
    >>> minigrad.set_rng_state(state)
    >>> bool((minigrad.rand(3) == first).all())
    True
    """
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Put the CPU's default generator where it was when ``get_rng_state`` returned this state.

    Raises:
        ValueError: if it is no such state.
    """
    default_generator.set_state(new_state)


class Source:
    """Where numbers are drawn: the stream of a generator, with the backend whose kernels draw from it."""

    def __init__(self, name: str, generator: Generator | None, device: Any):
        if generator is not None and not isinstance(generator, Generator):
            raise TypeError(f"{name}: expected a Generator, got {type(generator).__name__}")
        self.backend, place = backend_for(generator.device if device is None and generator is not None else device)
        generator = _default(place) if generator is None else generator
        if generator.device != place:
            raise RuntimeError(f"{name}: expected a generator on {place}, got one on {generator.device}")
        self.device, self.stream = place, generator.stream

    def draw(self, kernel: str, *arguments: Any) -> Any:
        """The array that a kernel draws on the device."""
        with self.backend.on(self.device):
            return getattr(self.backend, kernel)(self.stream, *arguments)
