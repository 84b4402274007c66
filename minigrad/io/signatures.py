"""What kind of file this is, by its first bytes, so that each format has its reader and an unknown one a clear name."""

from __future__ import annotations

from typing import BinaryIO, Literal

# A pickled integer that torch's stream format of before 1.6 begins with.
TORCH_NUMBER = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
LEGACY_TORCH_MAGIC = b"\x80\x02" + TORCH_NUMBER
LONGEST_PICKLE_HEAD = 16  # a protocol, and since protocol 4 a frame's length

ZIP = b"PK\x03\x04"
TAR_OFFSET, TAR = 257, b"ustar"
BYTES_NEEDED = 512

# (what a file begins with, what such a file is)
FOREIGN = (
    (LEGACY_TORCH_MAGIC, "a checkpoint of torch 0.1.9 to 1.5 (its legacy stream format)"),
    (ZIP, "a ZIP archive"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\x80", "a bare pickle"),
    (b"\x93NUMPY", "a NumPy array file (.npy)"),
    (b"\x89HDF\r\n", "an HDF5 file"),
    (b"GGUF", "a GGUF file"),
    (b"\x1f\x8b", "a gzip-compressed file"),
    (b"BZh", "a bzip2-compressed file"),
    (b"\xfd7zXZ\x00", "an xz-compressed file"),
    (b"\x28\xb5\x2f\xfd", "a zstd-compressed file"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file it stands for"),
    (b"<", "a web page or XML"),
)


def read_head(stream: BinaryIO, function: str) -> bytes:
    """The first bytes of a stream, which say what it is; it stands at its beginning again."""
    start = stream.tell()
    try:
        head = stream.read(BYTES_NEEDED)
    except UnicodeDecodeError:  # a text stream, of what is no text
        head = ""  # type: ignore[assignment]
    if not isinstance(head, bytes):
        found = f"one of {type(head).__name__} (open the file with 'rb')"
        raise TypeError(f"{function}: expected a stream of bytes, got {found}")
    stream.seek(start)
    return head


def format_of(head: bytes) -> Literal["zip", "safetensors", "stream", "tar"] | None:
    """Which format a file that begins with these bytes has, or None if none that has a reader."""
    if head.startswith(ZIP):
        return "zip"
    if is_safetensors(head):
        return "safetensors"
    if head.startswith(LEGACY_TORCH_MAGIC):
        return "stream"
    return "tar" if is_tar(head) else None


def is_safetensors(head: bytes) -> bool:
    """Whether a file that begins with these bytes has a header's length, below 2⁴⁸, and the header's first brace."""
    return head[6:9] == b"\0\0{"


def is_tar(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a tar archive, of torch's or of anybody's."""
    return head[TAR_OFFSET : TAR_OFFSET + len(TAR)] == TAR


def describe(head: bytes) -> str:
    """What a file that begins with these bytes is, in words."""
    if not head:
        return "an empty file, or a file object that stands at its end (seek(0) goes back to its beginning)"
    if is_tar(head):
        return "a tar archive (of torch before version 0.1.9, if it is a checkpoint)"
    if head[:1] == b"\x80" and head[1:2] != b"\x02" and TORCH_NUMBER in head[: LONGEST_PICKLE_HEAD + len(TORCH_NUMBER)]:
        return f"torch's legacy stream format in pickle protocol {head[1]} (only protocol 2, which torch uses, can be read)"
    for signature, name in FOREIGN:
        if head.startswith(signature):
            return name
    return f"a file that begins with {head[:8]!r}"
