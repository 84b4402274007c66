"""Writes the safetensors format, so that its tensors can be mapped: aligned, and none over the memory of another."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from .file_bytes import CHUNK_BYTES, write_all
from .safetensors_reader import LENGTH_BYTES, LONGEST_HEADER, METADATA, TYPES

NAME_OF = {type.dtype: name for name, type in TYPES.items() if not type.widened}
# The header is filled up with spaces, so that the tensors, the widest elements first, are aligned.
ALIGNMENT = 8
# Candidates that NumPy may try before it gives up on whether two views interleave or overlap.
OVERLAP_WORK = 100_000


def encode_header(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> tuple[bytes, list[str]]:
    """What a file of these arrays begins with, in their order, and the names in the order of their bytes.

    Raises:
        ValueError: if a name cannot be in a file, or the header becomes longer than the format allows.
    """
    order = sorted(arrays, key=lambda name: -arrays[name].itemsize)
    ends = {}
    reached = 0
    for name in order:
        ends[name] = reached = reached + arrays[name].nbytes
    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    for name, array in arrays.items():
        if name == METADATA:
            raise ValueError(f"expected names of tensors, got {METADATA!r}, which the format uses itself")
        header[name] = {
            "dtype": NAME_OF[array.dtype.newbyteorder("=")],
            "shape": list(array.shape),
            "data_offsets": [ends[name] - array.nbytes, ends[name]],
        }
    try:
        content = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except UnicodeEncodeError as error:
        got = error.object[error.start : error.end]
        raise ValueError(f"expected names and metadata of whole characters, got {got!r}") from None
    content += b" " * (-len(content) % ALIGNMENT)
    if len(content) > LONGEST_HEADER:
        raise ValueError(f"expected a header of at most {LONGEST_HEADER} bytes, got {len(content)}")
    return len(content).to_bytes(LENGTH_BYTES, "little") + content, order


def write(stream: BinaryIO, header: bytes, arrays: Sequence[np.ndarray]) -> None:
    """Write a header and the arrays' elements, in their order, each in C order."""
    write_all(stream, header)
    for array in arrays:
        little_endian = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        content = little_endian.reshape(-1).view(np.uint8).data
        for start in range(0, len(content), CHUNK_BYTES):
            write_all(stream, content[start : start + CHUNK_BYTES])


def shared_pair(arrays: Mapping[str, np.ndarray]) -> tuple[str, str] | None:
    """The names of two arrays that have an element in common, if there are two."""
    spans = []
    for name, array in arrays.items():
        if array.size:
            low, high = np.lib.array_utils.byte_bounds(array)
            spans.append((low, high, name))
    open_spans: list[tuple[int, str]] = []
    for low, high, name in sorted(spans):
        open_spans = [(end, other) for end, other in open_spans if end > low]
        for _, other in open_spans:
            if overlap(arrays[other], arrays[name]):
                return other, name
        open_spans.append((high, name))
    return None


def overlap(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays have a byte in common; those for which this is hard to say count as if they had."""
    try:
        return np.shares_memory(a, b, max_work=OVERLAP_WORK)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True
