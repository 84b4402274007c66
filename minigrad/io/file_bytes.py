"""A file's bytes: read straight into memory that is there, mapped so that only what is looked at is read, or written."""

from __future__ import annotations

import errno
import io
from typing import BinaryIO

import numpy as np

CHUNK_BYTES = 2**24


def fill(view: memoryview, stream: BinaryIO) -> bool:
    """Read as many bytes as the view has into it; False if the stream ends before."""
    while len(view):
        if hasattr(stream, "readinto"):
            count = stream.readinto(view)
        else:
            count = len(chunk := stream.read(min(len(view), CHUNK_BYTES)))
            view[:count] = chunk
        if not count:
            return False
        view = view[count:]
    return True


def write_all(stream: BinaryIO, content: bytes | memoryview) -> None:
    """Write all of the content: an unbuffered stream may take less of it at a time.

    Raises:
        BlockingIOError: if the stream takes nothing, as a full pipe does that must not block.
    """
    written = 0
    while written < len(content):
        taken = stream.write(content[written:])
        if taken == 0 or (taken is None and isinstance(stream, io.RawIOBase)):
            raise BlockingIOError(errno.EAGAIN, f"expected the stream to take {len(content) - written} bytes, got none taken")
        written += len(content) if taken is None else taken


def map_file(stream: BinaryIO) -> np.ndarray:
    """The bytes of an open file, (n,) of uint8, that stay when it is closed or its name is deleted; n > 0.

    The mapping is private: a page that is written to is copied first, and the file never changes.
    """
    position = stream.tell()
    mapping = np.memmap(stream, np.uint8, mode="c").view(np.ndarray)
    stream.seek(position)
    return mapping
