"""torch's checkpoint format since 1.6: a ZIP archive of one pickle, data.pkl, and one uncompressed entry per storage.

An archive has one root folder (``archive/data.pkl``, ``archive/data/0`` …). Its entries' contents start at multiples
of 64 bytes, to be mapped into memory. ``read`` takes from it what data.pkl asks for, one storage at a time and each
straight into the array that stays; ``write`` makes one.
"""

from __future__ import annotations

import errno
import os
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, Literal, TypeAlias

import numpy as np

from .errors import CheckpointError, quoted
from .file_bytes import CHUNK_BYTES, fill, write_all
from .limits import Budget, Limits
from .pickle_reader import PickleReader, check_key, kind
from .storage import Storage, StorageType, decode_elements
from .torch_names import TensorMaker, TorchNames
from .tree import check_loaded

ROOT = "archive"
NEWEST_VERSION = 10
ALIGNMENT = 64
# A ZIP entry's local header: 30 bytes, its name, 20 bytes if its sizes need 64 bits, and fields such as this padding.
LOCAL_HEADER = b"PK\x03\x04"
LOCAL_HEADER_BYTES = 30
LARGE_SIZES_BYTES = 20
PADDING_FIELD = b"FB"
EARLIEST_DATE = (1980, 1, 1, 0, 0, 0)
# zipfile's own bound for sizes in 32 bits.
LARGE_ENTRY_BYTES = 2**31 - 1
LARGEST_DIRECTORY_BYTES = 2**24
UTF8_NAME = 0x800  # a flag of an entry
# What torch writes where it was told to save the time for checksums.
NO_CHECKSUM = 0

Decoder: TypeAlias = Callable[[np.ndarray, StorageType, Literal["<", ">"]], np.ndarray]


def read(stream: BinaryIO, maker: TensorMaker, limits: Limits, mapping: np.ndarray | None = None) -> Any:
    """The object in an archive.

    Args:
        stream: the archive.
        maker: what makes its tensors.
        limits: what it may ask for.
        mapping: the stream's bytes, for tensors that look into them; the storages' checksums are not compared then.

    Raises:
        CheckpointError: if it is no such archive, if it is damaged, or if it asks for more than data and tensors.
    """
    return read_entries(Entries(stream, mapping), maker, limits)


def read_entries(entries: Entries, maker: TensorMaker, limits: Limits, decode: Decoder = decode_elements) -> Any:
    """The object in an archive whose directory has been read; ``decode`` makes a storage's elements from its bytes."""
    budget = Budget(limits, entries.total_bytes)
    pickle = entries.read("data.pkl", limits.pickle_bytes)
    names = TorchNames(maker, budget).table()
    result = PickleReader(pickle, names, Storages(entries, decode, budget).load, budget).load()
    check_loaded(result, limits)
    return result


class DirectoryStream:
    """An archive for zipfile, which reads a directory at once, and makes of its 46 bytes for an entry a kilobyte."""

    def __init__(self, stream: BinaryIO):
        self.seek, self.tell, self.stream = stream.seek, stream.tell, stream

    def read(self, count: int = -1) -> bytes:
        if count > LARGEST_DIRECTORY_BYTES:
            raise CheckpointError(f"expected a ZIP directory of at most {LARGEST_DIRECTORY_BYTES} bytes, got {count}")
        return self.stream.read(count)


def read_directory(stream: BinaryIO) -> tuple[list[zipfile.ZipInfo], int]:
    """What an archive says that it has, and where its directory begins."""
    start = stream.tell()
    try:
        with zipfile.ZipFile(DirectoryStream(stream)) as archive:
            check_beginning(start, archive.infolist())
            return [info for info in archive.infolist() if not info.filename.endswith("/")], archive.start_dir
    except CheckpointError:
        raise
    except (zipfile.BadZipFile, struct.error, NotImplementedError, OverflowError, ValueError) as error:
        raise CheckpointError(f"expected a whole ZIP archive, got a damaged one, or a part of one ({error})") from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # what a seek to before the beginning gives, if the archive says to go there
            raise
        raise CheckpointError("expected a whole ZIP archive, got one that points to before its beginning") from None


def check_beginning(start: int, files: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse an archive that begins elsewhere than where its stream stood: a directory is found from the stream's end."""
    begins = min((info.header_offset for info in files), default=start)
    if begins != start:
        raise CheckpointError(
            f"expected one ZIP archive from here, byte {start}, to the end, got one that begins at byte {begins}"
            " (of several in one file, only the last can be read)"
        )


def with_ends(files: Sequence[zipfile.ZipInfo], directory_start: int) -> Iterator[tuple[zipfile.ZipInfo, int]]:
    """Each entry with where the next one begins, or the directory: it must end before that."""
    files = sorted(files, key=lambda info: info.header_offset)
    starts = [info.header_offset for info in files]
    return zip(files, [*starts[1:], directory_start])


class Entries:
    """The entries of an archive, checked: one root folder, no name twice; and as each is read, that it is stored as it
    is, under the name that the directory says, and overlaps with nothing.
    """

    def __init__(self, stream: BinaryIO, mapping: np.ndarray | None = None):
        self.stream = stream
        self.mapping = mapping
        files, directory_start = read_directory(stream)
        names = Counter(info.filename for info in files)
        for name, count in names.items():
            if count > 1:
                raise CheckpointError(f"expected entries of different names, got {count} called {quoted(name)}")
        pickles = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            some = ", ".join(quoted(name) for name in sorted(names)[:5]) or "no entries"
            raise CheckpointError(f"expected one data.pkl in the archive's root folder, got {len(pickles)} (it has {some})")
        self.root = pickles[0].removesuffix("data.pkl")
        self.by_name = {info.filename.removeprefix(self.root): info for info in files if info.filename.startswith(self.root)}
        self.ends = {info.filename: end for info, end in with_ends(files, directory_start)}
        self.total_bytes = sum(info.compress_size for info in files)
        archive_bytes = stream.seek(0, os.SEEK_END)
        if self.total_bytes > archive_bytes:
            raise CheckpointError(f"expected entries of at most the file's {archive_bytes} bytes, got {self.total_bytes}")
        if "constants.pkl" in self.by_name:
            raise CheckpointError("expected a checkpoint, got a TorchScript archive (a program): save its state_dict() instead")
        version = self.read("version", 20) if "version" in self.by_name else b"3"
        if not version.strip().isdigit() or not 1 <= int(version) <= NEWEST_VERSION:
            raise CheckpointError(f"expected a format version from 1 to {NEWEST_VERSION}, got {version!r}")
        self.version = int(version)
        byte_order = self.read("byteorder", 20) if "byteorder" in self.by_name else b"little"
        if byte_order not in (b"little", b"big"):
            raise CheckpointError(f"expected a byte order of little or big, got {byte_order!r}")
        self.byte_order: Literal["<", ">"] = "<" if byte_order == b"little" else ">"

    def size(self, name: str) -> int:
        if name not in self.by_name:
            raise CheckpointError(f"expected an entry {quoted(name)}, got none of that name")
        info = self.by_name[name]
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size or info.flag_bits & 1:
            raise CheckpointError(f"expected the entry {quoted(name)} to be stored as it is, got it compressed or encrypted")
        return info.file_size

    def read(self, name: str, limit: int) -> bytes:
        if self.size(name) > limit:
            raise CheckpointError(
                f"expected at most {limit} bytes in {quoted(name)}, got {self.size(name)} (Limits.pickle_bytes)"
            )
        return self.read_array(name).tobytes()

    def read_array(self, name: str) -> np.ndarray:
        """An entry's bytes, of uint8, straight into an array, where zipfile would copy them several times."""
        content = np.empty(self.size(name), np.uint8)
        self.stream.seek(self.content_start(name))
        if not fill(content.data, self.stream):
            raise CheckpointError(f"expected {len(content)} bytes in the entry {quoted(name)}, got fewer (truncated)")
        stated = self.by_name[name].CRC
        if stated != NO_CHECKSUM and (checksum := zlib.crc32(content.data)) != stated:
            raise CheckpointError(
                f"expected the entry {quoted(name)} to have the checksum {stated:#010x}, got {checksum:#010x} (damaged)"
            )
        return content

    def map_array(self, name: str) -> np.ndarray:
        """An entry's bytes in the file's mapping, or read where there is none."""
        if self.mapping is None:
            return self.read_array(name)
        size, start = self.size(name), self.content_start(name)
        content = self.mapping[start : start + size]
        if len(content) != size:
            raise CheckpointError(f"expected {size} bytes in the entry {quoted(name)}, got {len(content)} (truncated)")
        return content

    def content_start(self, name: str) -> int:
        """Where an entry's content begins: behind a local header, whose length differs from that in the directory."""
        info = self.by_name[name]
        stored_name = info.orig_filename.encode("utf-8" if info.flag_bits & UTF8_NAME else "cp437")
        self.stream.seek(max(info.header_offset, 0))
        header = self.stream.read(LOCAL_HEADER_BYTES + len(stored_name))
        if info.header_offset < 0 or len(header) < LOCAL_HEADER_BYTES or not header.startswith(LOCAL_HEADER):
            raise CheckpointError(
                f"expected the entry {quoted(name)} where the archive's directory says, got other bytes there"
            )
        name_length, extra_length = struct.unpack_from("<HH", header, 26)
        if name_length != len(stored_name) or header[LOCAL_HEADER_BYTES:] != stored_name:
            raise CheckpointError(f"expected the entry {quoted(name)} to have the name that the directory says, got another")
        start = info.header_offset + LOCAL_HEADER_BYTES + name_length + extra_length
        if start + info.compress_size > self.ends[info.filename]:
            raise CheckpointError(f"expected the entry {quoted(name)} to end before what follows it, got one that overlaps")
        return start


class Storages:
    """The storages of an archive, each read when the pickle first names it."""

    def __init__(self, entries: Entries, decode: Decoder, budget: Budget):
        self.entries = entries
        self.budget = budget
        self.decode = decode
        self.by_key: dict[str, Storage] = {}

    def load(self, identifier: tuple) -> Storage:
        """What ``('storage', type, key, location, number of elements)`` stands for, whatever its location was."""
        expected = ("storage", StorageType, str, str, int)
        if len(identifier) != 5 or type(identifier[0]) is not str or identifier[0] != "storage":
            raise CheckpointError("expected ('storage', type, key, location, size) as a storage's name, got another")
        for part, wanted in zip(identifier[1:], expected[1:]):
            if type(part) is not wanted:
                raise CheckpointError(f"expected a {wanted.__name__} in a storage's name, got {kind(part)}")
        _, storage_type, key, _, count = identifier
        check_key(key, self.budget)
        if key not in self.by_key:
            elements = self.decode(self.entries.map_array(f"data/{key}"), storage_type, self.entries.byte_order)
            self.by_key[key] = Storage(f"data/{key}", storage_type, elements)
        storage = self.by_key[key]
        if storage.type is not storage_type or len(storage.elements) != count:
            raise CheckpointError(
                f"expected {quoted(storage.name)} to have {count} elements ({storage_type.name}),"
                f" got {len(storage.elements)} ({storage.type.name})"
            )
        return storage


def write(stream: BinaryIO, pickle: bytes, storages: Sequence[np.ndarray]) -> None:
    """Write an archive of a pickle and storages, each a contiguous (n,) array; a stream that cannot seek will do."""
    output = CountingStream(stream)
    with zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]

        def add(name: str, content: bytes | memoryview) -> None:
            large = len(content) > LARGE_ENTRY_BYTES
            info = zipfile.ZipInfo(f"{ROOT}/{name}", EARLIEST_DATE)
            header_bytes = LOCAL_HEADER_BYTES + len(info.filename.encode()) + LARGE_SIZES_BYTES * large
            info.extra = padding_field(output.count + header_bytes)
            with archive.open(info, "w", force_zip64=large) as entry:
                for start in range(0, len(content), CHUNK_BYTES):
                    entry.write(content[start : start + CHUNK_BYTES])
            info.extra = b""  # the directory needs no padding

        add("data.pkl", pickle)
        add("byteorder", b"little")
        for number, storage in enumerate(storages):
            little_endian = storage.astype(storage.dtype.newbyteorder("<"), copy=False)
            add(f"data/{number}", little_endian.view(np.uint8).data)
        add("version", b"3\n")


def padding_field(position: int) -> bytes:
    """A header field that moves an entry's content from this position to the next aligned one."""
    smallest = len(PADDING_FIELD) + 2
    filler = -(position + smallest) % ALIGNMENT
    return PADDING_FIELD + filler.to_bytes(2, "little") + b"Z" * filler


class CountingStream:
    """A stream to write to that counts, so that entries can be aligned; zipfile takes it for one that cannot seek."""

    def __init__(self, stream: BinaryIO):
        self.stream = stream
        self.count = 0

    def write(self, content: Any) -> int:
        write_all(self.stream, content)
        self.count += len(content)
        return len(content)

    def flush(self) -> None:
        if hasattr(self.stream, "flush"):
            self.stream.flush()
