"""Finds the files in a tar archive of torch's, by a reader of its own for the few kinds of headers that torch wrote.

Python's ``tarfile`` knows links, sparse files and a dozen dialects, none of which a checkpoint has, and reads a header
of whatever size it claims; this reader takes plain files of known names, and checks each size before it uses it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

from .errors import CheckpointError, quoted
from .section import Section, end_of

BLOCK_BYTES = 512
MAGIC = b"ustar\x00"
EMPTY_BLOCK = bytes(BLOCK_BYTES)
PLAIN_FILE = (b"0", b"\x00")
EXTENDED_HEADER = b"x"
LARGEST_EXTENDED_HEADER = 2**16
OTHER_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"5": "a folder",
    b"6": "a pipe",
    b"L": "a long name",
    b"S": "a sparse file",
    b"g": "a global header",
}
# What may be said of a file beside its header, and makes no difference.
HARMLESS_RECORDS = ("mtime", "atime", "ctime", "uid", "gid", "uname", "gname")


@dataclass(frozen=True, slots=True)
class Member:
    """Where a file's content is."""

    name: str
    start: int
    size: int

    def open(self, stream: BinaryIO) -> Section:
        """The content, of the stream that it was found in."""
        return Section(stream, self.start, self.start + self.size)


def find_members(stream: BinaryIO, start: int, names: Iterable[str]) -> dict[str, Member]:
    """The archive's files by their names, which must be exactly these, each once, in any order.

    Raises:
        CheckpointError: if they are not, or if anything about the archive is not as torch wrote it.
    """
    section = Section(stream, start, end_of(stream))
    expected = ", ".join(names)
    members: dict[str, Member] = {}
    while (header := section.take(BLOCK_BYTES)) != EMPTY_BLOCK:
        stated_size = None
        if kind_of(header) == EXTENDED_HEADER:
            stated_size = read_extended_header(section, header)
            header = section.take(BLOCK_BYTES)
        member = read_header(header, section.position, stated_size)
        if member.name not in names:
            raise CheckpointError(f"expected a tar archive of {expected}, got one with a member called {member.name!r}")
        if member.name in members:
            raise CheckpointError(f"expected one member called {member.name}, got two")
        if member.size > section.left:
            raise CheckpointError(f"expected {member.size} bytes in the member {member.name}, got {section.left} (truncated)")
        members[member.name] = member
        section.skip(whole_blocks(member.size))
    if section.take(BLOCK_BYTES) != EMPTY_BLOCK:
        raise CheckpointError("expected two empty blocks at the end of a tar archive, got one")
    for name in names:
        if name not in members:
            raise CheckpointError(f"expected a tar archive of {expected}, got one without {name}")
    return members


def whole_blocks(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def kind_of(header: bytes) -> bytes:
    return header[156:157]


def read_number(field: bytes) -> int:
    """Octal digits, or, where these do not suffice, the number itself behind a byte of 0x80."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \x00")
    if not all(digit in b"01234567" for digit in digits):
        raise CheckpointError(f"expected an octal number in a tar header, got {field!r}")
    return int(digits or b"0", 8)


def check_header(header: bytes) -> None:
    if header[257:263] != MAGIC:
        raise CheckpointError(f"expected a tar header, which has {MAGIC!r}, got {header[257:263]!r} there")
    stated, computed = read_number(header[148:156]), sum(header) - sum(header[148:156]) + 8 * ord(" ")
    if stated != computed:
        raise CheckpointError(f"expected a tar header with the checksum {stated}, got {computed} (damaged)")


def read_header(header: bytes, content_start: int, stated_size: int | None) -> Member:
    """The file that a header announces; ``stated_size`` is what an extended header has said."""
    check_header(header)
    name = header[:100].rstrip(b"\x00").decode("latin-1")
    if kind_of(header) not in PLAIN_FILE:
        got = OTHER_KINDS.get(kind_of(header), f"one of kind {kind_of(header)!r}")
        raise CheckpointError(f"expected plain files in a tar archive, got {got} called {name!r}")
    if header[345:500].strip(b"\x00"):
        raise CheckpointError(f"expected a tar archive without folders, got {name!r} in one")
    return Member(name, content_start, read_number(header[124:136]) if stated_size is None else stated_size)


def read_extended_header(section: Section, header: bytes) -> int | None:
    """Go past an extended header; the file's size if it says one: that of more than 8 GiB has no place elsewhere."""
    check_header(header)
    size = read_number(header[124:136])
    if size > LARGEST_EXTENDED_HEADER:
        raise CheckpointError(f"expected an extended tar header of at most {LARGEST_EXTENDED_HEADER} bytes, got {size}")
    content = section.take(whole_blocks(size))[:size]
    stated_size = None
    while content:
        digits, _, rest = content.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 6 else 0
        record = rest[: length - len(digits) - 1]
        if len(content) < length or not record.endswith(b"\n"):
            raise CheckpointError("expected records of a length, a name and a value in an extended tar header, got others")
        key, _, value = record[:-1].decode("latin-1").partition("=")
        if key == "size" and value.isascii() and value.isdigit() and len(value) < 20:
            stated_size = int(value)
        elif key not in HARMLESS_RECORDS:
            raise CheckpointError(f"expected plain files in a tar archive, got one with the extended record {quoted(key)}")
        content = content[length:]
    return stated_size
