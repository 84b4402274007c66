"""What kind of file this is, by its first bytes, so that each format has its reader and an unknown one a clear name."""

from __future__ import annotations

# A pickled integer that torch's stream format of before 1.6 begins with.
LEGACY_TORCH_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."

ZIP = b"PK\x03\x04"
TAR_OFFSET, TAR = 257, b"ustar"
BYTES_NEEDED = 512

# (what a file begins with, what such a file is)
FOREIGN = (
    (LEGACY_TORCH_MAGIC, "a checkpoint of torch 0.1.9 to 1.5 (its legacy stream format)"),
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


def describe(head: bytes) -> str:
    """What a file that begins with these bytes is, in words."""
    if not head:
        return "an empty file, or a file object that stands at its end (seek(0) goes back to its beginning)"
    if head[TAR_OFFSET : TAR_OFFSET + len(TAR)] == TAR:
        return "a tar archive (torch wrote such checkpoints before version 0.1.9)"
    for signature, name in FOREIGN:
        if head.startswith(signature):
            return name
    if len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100 * 2**20:
        return "a safetensors file"
    return f"a file that begins with {head[:8]!r}"
