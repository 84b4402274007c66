"""Reads the safetensors format: a JSON header that says where each tensor's bytes are, and then the bytes.

A header's claims are compared with the file before anything is read or allocated: the tensors' ranges must cover the
data without overlaps and holes, as https://github.com/huggingface/safetensors demands.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from .errors import CheckpointError, quoted
from .limits import Budget, Limits
from .section import Section, end_of
from .storage import LARGEST_ARRAY_BYTES, MOST_DIMENSIONS, STORAGE_TYPES, Storage, StorageType, decode_elements
from .torch_names import TensorMaker

LENGTH_BYTES = 8
LONGEST_HEADER = 100_000_000
METADATA = "__metadata__"
FIELDS = {"dtype", "shape", "data_offsets"}

TYPES = {
    "F64": STORAGE_TYPES["DoubleStorage"],
    "F32": STORAGE_TYPES["FloatStorage"],
    "F16": STORAGE_TYPES["HalfStorage"],
    "BF16": STORAGE_TYPES["BFloat16Storage"],
    "I64": STORAGE_TYPES["LongStorage"],
    "I32": STORAGE_TYPES["IntStorage"],
    "I16": STORAGE_TYPES["ShortStorage"],
    "I8": STORAGE_TYPES["CharStorage"],
    "U8": STORAGE_TYPES["ByteStorage"],
    "BOOL": STORAGE_TYPES["BoolStorage"],
}
# What the format has and minigrad lacks, with the bits of an element.
FOREIGN_BITS = {
    **{"C64": 64, "U64": 64, "U32": 32, "U16": 16},
    **{"F8_E4M3": 8, "F8_E4M3FNUZ": 8, "F8_E5M2": 8, "F8_E5M2FNUZ": 8, "F8_E8M0": 8},
    **{"F6_E2M3": 6, "F6_E3M2": 6, "F4": 4},
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What a header says of a tensor; its bytes are counted from the end of the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def type(self) -> StorageType | None:
        """What its elements are, or None where minigrad has no such dtype."""
        return TYPES.get(self.dtype)


@dataclass(frozen=True, slots=True)
class Header:
    """A header whose claims are true of its file."""

    tensors: dict[str, TensorInfo]
    metadata: dict[str, str]
    data_start: int
    data_bytes: int


def read(stream: BinaryIO, maker: TensorMaker, limits: Limits, mapping: np.ndarray | None = None) -> dict[str, Any]:
    """The tensors of a file by name, in the header's order; where ``mapping`` has the stream's bytes, over these.

    Raises:
        CheckpointError: if the file is no such file, is damaged, or has tensors of a dtype that minigrad lacks.
    """
    header = read_header(stream, limits)
    budget = Budget(limits, header.data_bytes)
    result: dict[str, Any] = {}
    for info in header.tensors.values():
        if info.type is None:
            result[info.name] = placeholder(info, maker)
        else:
            budget.spend_tensor(math.prod(info.shape) * info.type.loaded_dtype.itemsize)
    for info in sorted(header.tensors.values(), key=lambda info: info.begin):
        if info.type is not None:
            result[info.name] = read_tensor(stream, info, info.type, header.data_start, maker, mapping)
    return {name: result[name] for name in header.tensors}


def placeholder(info: TensorInfo, maker: TensorMaker) -> Any:
    """What stands for a tensor whose dtype minigrad lacks, if the user asked for that."""
    result = maker.placeholder(info.dtype)
    if result is None:
        hint = "unknown='placeholder' loads the others"
        raise CheckpointError(f"tensor {info.name!r:.100}: expected a dtype of {', '.join(TYPES)}, got {info.dtype} ({hint})")
    return result


def read_tensor(
    stream: BinaryIO, info: TensorInfo, type: StorageType, data_start: int, maker: TensorMaker, mapping: np.ndarray | None
) -> Any:
    if mapping is not None:
        stored = mapping[data_start + info.begin : data_start + info.end]
    else:
        size = info.end - info.begin
        stored = Section(stream, data_start + info.begin, data_start + info.end).take_array(size)
    storage = Storage(info.name, type, decode_elements(stored, type, "<"))
    return maker.tensor(storage.elements.reshape(info.shape), False, storage)


# The header.


def read_header(stream: BinaryIO, limits: Limits) -> Header:
    """The header of the file that begins where the stream stands.

    Raises:
        CheckpointError: if a part of it is missing, broken or untrue.
    """
    start = stream.tell()
    section = Section(stream, start, end_of(stream))
    length = int.from_bytes(section.take(LENGTH_BYTES), "little")
    for most, source in ((LONGEST_HEADER, "the format"), (limits.pickle_bytes, "Limits.pickle_bytes")):
        if length > most:
            raise CheckpointError(f"expected a header of at most {most} bytes ({source}), got {length}")
    if length > section.left:
        raise CheckpointError(f"expected a header of {length} bytes, got {section.left} (truncated)")
    entries = parse(section.take(length), limits)
    metadata = check_metadata(entries.pop(METADATA, {}))
    tensors = {name: tensor_info(name, fields) for name, fields in entries.items()}
    check_cover(tensors, section.left)
    return Header(tensors, metadata, section.position, section.left)


def parse(header: bytes, limits: Limits) -> dict[str, Any]:
    """The JSON object in a header, without any look at what is in it."""
    if not header.startswith(b"{"):
        raise CheckpointError(f"expected a header that begins with b'{{', got {header[:8]!r}")
    # Each may become a Python object: a few bytes ask for many of them.
    Budget(limits, 0).spend_objects(header.count(b",") + header.count(b"[") + header.count(b"{"))
    try:
        return json.loads(header.decode("utf-8"), object_pairs_hook=without_repetition, parse_constant=refuse_constant)
    except CheckpointError:
        raise
    except UnicodeDecodeError as error:
        raise CheckpointError(f"expected a header in UTF-8, got {error.reason} at its byte {error.start}") from None
    except RecursionError:
        raise CheckpointError("expected a header of objects in an object, got one that is nested too deep") from None
    except ValueError as error:
        raise CheckpointError(f"expected a header in JSON, got something else ({error})") from None


def without_repetition(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dictionary; of two entries with one name, readers would not agree on which one counts."""
    result: dict[str, Any] = {}
    for name, value in pairs:
        check_text(name)
        if name in result:
            raise CheckpointError(f"expected different names in the header, got two of {name!r:.100}")
        result[name] = value
    return result


def refuse_constant(name: str) -> None:
    raise CheckpointError(f"expected a header in JSON, got the number {name}")


def check_text(text: str) -> None:
    """JSON's escapes can spell half of a character, which no other program could read or write."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise CheckpointError(f"expected text of whole characters in the header, got {text!r:.100}") from None


def check_metadata(metadata: Any) -> dict[str, str]:
    if type(metadata) is not dict:
        raise CheckpointError(f"expected an object of strings as {METADATA}, got a {type(metadata).__name__}")
    for name, value in metadata.items():
        if type(value) is not str:
            raise CheckpointError(f"expected strings in {METADATA}, got a {type(value).__name__} for {name!r:.100}")
        check_text(value)
    return metadata


def tensor_info(name: str, fields: Any) -> TensorInfo:
    """What a header says of a tensor, if a tensor can be so."""
    try:
        if type(fields) is not dict or fields.keys() != FIELDS:
            got = f"{quoted(', '.join(fields)) or 'none'}" if type(fields) is dict else f"a {type(fields).__name__}"
            raise CheckpointError(f"expected an object of dtype, shape and data_offsets, got {got}")
        dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
        bits = element_bits(dtype)
        if type(shape) is not list or len(shape) > MOST_DIMENSIONS:
            raise CheckpointError(f"expected a shape of at most {MOST_DIMENSIONS} sizes, got another")
        if type(offsets) is not list or len(offsets) != 2:
            raise CheckpointError("expected the offsets of a beginning and an end, got others")
        for number in (*shape, *offsets):
            check_number(number)
        widest = max(bits, 8 * TYPES[dtype].loaded_dtype.itemsize) if dtype in TYPES else bits
        if math.prod(max(size, 1) for size in shape) * widest > 8 * LARGEST_ARRAY_BYTES:
            raise CheckpointError(f"expected a tensor of at most {LARGEST_ARRAY_BYTES} bytes, got shape {tuple(shape)}")
        begin, end = offsets
        if 8 * (end - begin) != math.prod(shape) * bits:
            needed = f"{math.prod(shape) * bits / 8:.15g} bytes for the shape {tuple(shape)} of {dtype}"
            raise CheckpointError(f"expected {needed}, got {end - begin} (from {begin} to {end})")
    except CheckpointError as error:
        raise CheckpointError(f"tensor {name!r:.100}: {error}") from None
    return TensorInfo(name, dtype, tuple(shape), begin, end)


def element_bits(dtype: Any) -> int:
    if type(dtype) is str and dtype in TYPES:
        return 8 * TYPES[dtype].dtype.itemsize
    if type(dtype) is str and dtype in FOREIGN_BITS:
        return FOREIGN_BITS[dtype]
    got = f"{dtype!r:.100}" if type(dtype) is str else f"a {type(dtype).__name__}"
    raise CheckpointError(f"expected a dtype of the format, such as F32, got {got}")


def check_number(number: Any) -> None:
    if type(number) is not int or not 0 <= number <= LARGEST_ARRAY_BYTES:
        got = f"a {type(number).__name__}" if type(number) is not int or number.bit_length() > 64 else str(number)
        raise CheckpointError(f"expected whole numbers from 0 to {LARGEST_ARRAY_BYTES} as sizes and offsets, got {got}")


def check_cover(tensors: Mapping[str, TensorInfo], data_bytes: int) -> None:
    """Refuse ranges that overlap, leave something between them, or do not end where the file ends."""
    reached = 0
    for info in sorted(tensors.values(), key=lambda info: (info.begin, info.end)):
        if info.begin != reached:
            found = "overlaps with another" if info.begin < reached else "leaves a hole"
            raise CheckpointError(
                f"tensor {info.name!r:.100}: expected its bytes to begin at {reached}, got {info.begin}, which {found}"
            )
        reached = info.end
    if reached != data_bytes:
        problem = "truncated" if reached > data_bytes else "with other bytes at its end"
        raise CheckpointError(f"expected {reached} bytes of tensors, got {data_bytes} (the file is {problem})")
