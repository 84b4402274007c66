"""How much a file may ask for: a few bytes can ask for terabytes, so each reading spends from a budget."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import CheckpointError

MEBIBYTE = 2**20
GIBIBYTE = 2**30

# What Python's objects weigh, counted in the opcodes that push a number or a string.
OBJECTS_PER_TENSOR = 8
OBJECTS_PER_CONTAINER = 4
MOST_RARE_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What ``minigrad.load`` accepts before it gives up on a file; the defaults are far above any honest checkpoint.

    Args:
        pickle_bytes: the size of the pickled object, or of a safetensors header, without the tensors' elements.
        objects: how many opcodes the pickle may have, of which one that makes a list, dictionary or set counts as five,
            and a tensor as nine; and how many entries all containers together, counted wherever they appear: a list
            that stands in a thousand places counts a thousand times.
        depth: how deep containers may be nested; ``minigrad.save`` holds to the default, too.
        tensor_bytes: what all tensors together may come to if each were copied. None: four times the file's
            elements plus 1 GiB, so that only tensors that repeat their elements (stride 0) can come near it.

    Some limits are fixed. Keys of dictionaries and elements of sets have at most 65,536 characters, or 16 parts if they
    are tuples. A pickle has at most 10,000 of them that are neither strings, bytes or tuples of these, nor integers of
    32 bits: their hashes can be made equal, and then each is compared with all others. A ZIP archive's directory has at
    most 16 MiB.

    >>> import minigrad
    >>> minigrad.io.Limits(depth=10).depth
    10
    """

    pickle_bytes: int = 64 * MEBIBYTE
    objects: int = 10_000_000
    depth: int = 100
    tensor_bytes: int | None = None


class Budget:
    """What is left of a file's limits while it is read."""

    def __init__(self, limits: Limits, stored_bytes: int):
        self.limits = limits
        self.tensor_bytes = limits.tensor_bytes
        if self.tensor_bytes is None:
            self.tensor_bytes = 4 * stored_bytes + GIBIBYTE
        self._objects_left = limits.objects
        self._text_bytes_left = limits.pickle_bytes
        self._tensor_bytes_left = self.tensor_bytes
        self._copies_left = 0
        self._rare_keys_left = MOST_RARE_KEYS

    def spend_objects(self, count: int) -> None:
        self._objects_left -= count
        if self._objects_left < 0:
            raise CheckpointError(f"expected at most {self.limits.objects} objects, got more (Limits.objects)")

    def allow_copies(self, pickle_bytes: int) -> None:
        """Let a pickle of this size copy as many entries: an honest one says each at its own place, once."""
        self._copies_left = pickle_bytes

    def spend_copies(self, count: int) -> None:
        self.spend_objects(count)
        self._copies_left -= count
        if self._copies_left < 0:
            raise CheckpointError("expected to copy fewer entries of containers than the pickle has bytes, got more")

    def spend_rare_key(self) -> None:
        self._rare_keys_left -= 1
        if self._rare_keys_left < 0:
            raise CheckpointError(f"expected at most {MOST_RARE_KEYS} keys beside strings and integers of 32 bits, got more")

    def spend_text(self, count: int) -> None:
        self._text_bytes_left -= count
        if self._text_bytes_left < 0:
            raise CheckpointError(f"expected at most {self.limits.pickle_bytes} bytes of text, got more (Limits.pickle_bytes)")

    def spend_tensor(self, count: int) -> None:
        self.spend_objects(OBJECTS_PER_TENSOR)
        self._tensor_bytes_left -= count
        if self._tensor_bytes_left < 0:
            raise CheckpointError(
                f"expected at most {self.tensor_bytes} bytes of tensors, got one of {count} bytes more (Limits.tensor_bytes)"
            )
