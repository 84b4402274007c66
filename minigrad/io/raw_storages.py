"""Storages as torch's older formats keep them: one after another in the file, each a count and its elements.

Only the counts are read at first, and held against the bytes that are left; the elements are read when they are needed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from .errors import CheckpointError, quoted
from .section import Section
from .storage import Storage, StorageType, decode_elements

COUNT = struct.Struct("<q")


@dataclass(frozen=True, slots=True)
class Run:
    """Where the elements of a storage are."""

    type: StorageType
    position: int
    count: int


class RawStorages:
    """The storages in a section of a file, by their keys."""

    def __init__(self, section: Section):
        self.section = section
        self.runs: dict[Any, Run] = {}
        self.loaded: dict[Any, Storage] = {}

    def add(self, key: Any, type: StorageType, expected_count: int | None = None) -> None:
        """Note the storage that the section has next, and go past it.

        Args:
            key: what the file calls it.
            type: what its elements are.
            expected_count: how many there must be, where the file has said so before.
        """
        shown = quoted(str(key))
        if key in self.runs:
            raise CheckpointError(f"expected one storage {shown}, got two of that name")
        (count,) = COUNT.unpack(self.section.take(COUNT.size))
        size = count * type.dtype.itemsize
        if not 0 <= size <= self.section.left:
            raise CheckpointError(
                f"expected storage {shown} to have at most the {self.section.left} bytes that are left of the file,"
                f" got {count} elements ({type.name})"
            )
        if expected_count is not None and count != expected_count:
            raise CheckpointError(f"expected storage {shown} to have {expected_count} elements ({type.name}), got {count}")
        self.runs[key] = Run(type, self.section.position, count)
        self.section.skip(size)

    def load(self, key: Any) -> Storage:
        """A storage with its elements, the same one each time."""
        if key not in self.runs:
            raise CheckpointError(f"expected a storage {quoted(str(key))}, got none of that name")
        if key not in self.loaded:
            run = self.runs[key]
            size = run.count * run.type.dtype.itemsize
            stored = Section(self.section.stream, run.position, run.position + size).take_array(size)
            self.loaded[key] = Storage(f"storage {key}", run.type, decode_elements(stored, run.type, "<"))
        return self.loaded[key]
