"""Writing a file so that whoever looks sees the old one or the whole new one, never a part; or to a stream."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO


@contextmanager
def output_stream(f: str | os.PathLike | BinaryIO, function: str) -> Iterator[BinaryIO]:
    """What to write to: a file that appears when the block ends, or the stream itself."""
    if isinstance(f, (str, os.PathLike)):
        with atomic_write(f) as stream:
            yield stream
    elif hasattr(f, "write"):
        yield f
    else:
        raise TypeError(f"{function}: expected a file's name or a binary stream to write to, got a {type(f).__name__}")


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A stream to a temporary file beside ``path`` that takes its place when the block ends, and goes if it fails.

    A symbolic link is followed, an existing file's permissions are kept, and a device or a pipe is written to directly.
    """
    # As it was given: /dev/stdout leads to a pipe that has no path.
    if not os.fspath(path) or (os.path.exists(path) and not os.path.isfile(path)):
        with open(path, "wb") as stream:
            yield stream
        return
    target = os.path.realpath(os.fsdecode(path))
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".minigrad-{secrets.token_hex(8)}.tmp")
    try:
        with create(temporary, target) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        with suppress(FileNotFoundError):
            os.chmod(temporary, os.stat(target).st_mode & 0o7777)
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_folder(folder)


def create(path: str, target: str) -> BinaryIO:
    """Open a new file; an error names the target, as the user knows no other."""
    try:
        return open(path, "xb")
    except OSError as error:
        error.filename = target
        raise


def sync_folder(folder: str) -> None:
    """Make a new name in a folder last through a power cut, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems have no such call
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
