"""A part of a stream that knows where it ends, so that no size in a file is believed before the bytes are counted."""

from __future__ import annotations

import os
from typing import BinaryIO

import numpy as np

from .errors import CheckpointError
from .file_bytes import fill


class Section:
    """Reads a stream from one position up to another, forwards; only one section of a stream can be in use at a time.

    Args:
        stream: a binary stream that can seek.
        start: where the section begins.
        end: where it ends, at most the end of the stream.
    """

    def __init__(self, stream: BinaryIO, start: int, end: int):
        self.stream = stream
        self.position = start
        self.end = end
        stream.seek(start)

    @property
    def left(self) -> int:
        """How many bytes are still to be read."""
        return self.end - self.position

    def move(self, count: int) -> None:
        """Count some bytes as read.

        Raises:
            CheckpointError: if there are fewer.
        """
        if count > self.end - self.position:
            raise CheckpointError(f"expected {count} more bytes, got {self.left} (truncated)")
        self.position += count

    def skip(self, count: int) -> None:
        self.move(count)
        self.stream.seek(self.position)

    def take(self, count: int) -> bytes:
        self.move(count)
        taken = self.stream.read(count)
        return taken if len(taken) == count else self.take_rest(taken, count)

    def take_rest(self, taken: bytes, count: int) -> bytes:
        """Read on where an unbuffered stream gave less than it was asked for."""
        while len(taken) < count:
            more = self.stream.read(count - len(taken))
            if not more:
                raise CheckpointError(f"expected {count} more bytes, got {len(taken)} (the stream ended)")
            taken += more
        return taken

    def take_line(self, longest: int) -> bytes | None:
        """The next bytes up to an end of line, without it; None if there is none within so many bytes."""
        start = self.position
        line, newline, _ = self.take(min(longest + 1, self.left)).partition(b"\n")
        self.position = start + len(line) + len(newline)
        self.stream.seek(self.position)
        return line if newline else None

    def take_array(self, count: int) -> np.ndarray:
        """The next bytes, (count,) of uint8, without a copy."""
        self.move(count)
        content = np.empty(count, np.uint8)
        if not fill(content.data, self.stream):
            raise CheckpointError(f"expected {count} more bytes, got fewer (the stream ended)")
        return content


def end_of(stream: BinaryIO) -> int:
    """Where a stream ends."""
    stream.seek(0, os.SEEK_END)
    return stream.tell()
