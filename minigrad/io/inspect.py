"""What a checkpoint file has in it, without making any tensor of it: the work of ``python -m minigrad.io inspect``."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, BinaryIO

import numpy as np

from . import safetensors_reader, signatures, torch_stream, torch_tar, torch_zip
from .errors import CheckpointError, printable, quoted
from .file_bytes import map_file
from .limits import Limits
from .placeholder import Placeholder
from .storage import Storage, stored_elements
from .tree import LOADED_CONTAINERS, children

MOST_NAMES_IN_AN_ERROR = 20
LONGEST_NAME = 100
LONGEST_VALUE = 60
# A file can put one tensor in a million places that are each named by long keys.
LONGEST_STEP = 200
LONGEST_PLACE = 1000
MOST_PLACES = 100_000


@dataclass(slots=True)
class TensorEntry:
    """What is told of a tensor. ``dtype`` is the file's, ``stride`` counts elements, and ``storage`` may be shared."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str
    bytes: int
    storage: str | None
    storage_bytes: int
    requires_grad: bool = False
    is_parameter: bool = False


@dataclass(slots=True)
class Report:
    """What is told of a file.

    Args:
        format: in words.
        facts: what the format says of the file, such as its version.
        tensors: (where it is in the object, tensor), in the file's order.
        values: (where it is, what it is), for all else.
        unlisted: how many more tensors and values there are.
        refused: the names that ``minigrad.load`` does not know, and would refuse the file for.
        metadata: what a safetensors file says of itself.
        loose: (storage, bytes), for what is in the file and belongs to none of its tensors.
    """

    format: str
    facts: dict[str, Any] = field(default_factory=dict)
    tensors: list[tuple[str, TensorEntry]] = field(default_factory=list)
    values: list[tuple[str, str]] = field(default_factory=list)
    unlisted: int = 0
    refused: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    loose: list[tuple[str, int]] = field(default_factory=list)

    @property
    def storages(self) -> dict[str, list[str]]:
        """Each storage's tensors, by their places."""
        result: dict[str, list[str]] = {}
        for name, tensor in self.tensors:
            if tensor.storage is not None:
                result.setdefault(tensor.storage, []).append(name)
        return result


class EntryMaker:
    """Makes entries of a report in the place of tensors, and placeholders for all names that are unknown."""

    tensor_type = TensorEntry

    def __init__(self) -> None:
        self.refused: dict[str, None] = {}  # in the order of the file

    def tensor(self, array: np.ndarray, requires_grad: bool, storage: Storage) -> TensorEntry:
        stored_itemsize = storage.type.dtype.itemsize
        return TensorEntry(
            array.shape,
            tuple(stride // array.itemsize for stride in array.strides),
            storage.type.dtype_name,
            array.size * stored_itemsize,
            storage.name,
            len(storage.elements) * stored_itemsize,
            requires_grad,
        )

    def dtype_of(self, tensor: TensorEntry) -> str:
        return tensor.dtype

    def parameter(self, tensor: TensorEntry, requires_grad: bool) -> TensorEntry:
        return replace(tensor, requires_grad=requires_grad, is_parameter=True)

    def set_requires_grad(self, parameter: TensorEntry, requires_grad: bool) -> None:
        parameter.requires_grad = requires_grad

    def placeholder(self, name: str) -> Placeholder:
        self.refused[name] = None
        return Placeholder(name)


def inspect_file(path: str | os.PathLike, limits: Limits | None = None) -> Report:
    """What is in a file. The elements of tensors in a ZIP archive or a safetensors file are not read.

    Raises:
        CheckpointError: if the file cannot be read, even if unknown names are left out.
        OSError: if there is no such file.
    """
    maker = EntryMaker()
    with open(path, "rb") as stream:
        try:
            report = inspect_stream(stream, maker, limits or Limits())
        except CheckpointError as error:
            if not maker.refused:
                raise
            names = ", ".join(quoted(name) for name in list(maker.refused)[:MOST_NAMES_IN_AN_ERROR])
            raise CheckpointError(f"{error} (it also asks for the unknown names {names})") from None
    report.refused = list(maker.refused)
    return report


def inspect_stream(stream: BinaryIO, maker: EntryMaker, limits: Limits) -> Report:
    head = signatures.read_head(stream, "inspect")
    format = signatures.format_of(head)
    if format == "safetensors":
        return inspect_safetensors(safetensors_reader.read_header(stream, limits), maker)
    if format == "zip":
        return inspect_zip(stream, maker, limits)
    if format == "stream":
        report = Report("torch's stream format of 0.1.9 to 1.5", {"version": torch_stream.PROTOCOL_VERSION})
        add_object(report, torch_stream.read(stream, maker, limits))
    elif format == "tar":
        report = Report("torch's tar format of before 0.1.9")
        add_object(report, torch_tar.read(stream, maker, limits))
    else:
        raise CheckpointError(f"expected a checkpoint or a safetensors file, got {signatures.describe(head)}")
    return report


def inspect_zip(stream: BinaryIO, maker: EntryMaker, limits: Limits) -> Report:
    entries = torch_zip.Entries(stream, map_file(stream))
    byte_order = "little" if entries.byte_order == "<" else "big"
    report = Report("torch's ZIP format", {"version": entries.version, "byte_order": byte_order})
    used = add_object(report, torch_zip.read_entries(entries, maker, limits, decode=stored_elements))
    report.loose = [
        (name, info.file_size) for name, info in entries.by_name.items() if name.startswith("data/") and name not in used
    ]
    return report


def inspect_safetensors(header: safetensors_reader.Header, maker: EntryMaker) -> Report:
    report = Report("safetensors", metadata=header.metadata)
    for info in header.tensors.values():
        if info.type is None:
            maker.placeholder(info.dtype)
        stride = tuple(math.prod(info.shape[dim + 1 :]) for dim in range(len(info.shape)))
        dtype = info.dtype if info.type is None else info.type.dtype_name
        size = info.end - info.begin
        report.tensors.append((info.name, TensorEntry(info.shape, stride, dtype, size, None, size)))
    return report


# The object that a pickle gave.


def add_object(report: Report, root: Any) -> set[str]:
    """List what is in an object; the result is the names of its tensors' storages.

    What was listed before, and what has no tensor in it, gets one line.
    """
    memo: dict[int, bool] = {}
    listed: dict[int, str] = {}
    used: set[str] = set()

    def add(entries: list, name: str, entry: Any) -> None:
        if len(report.tensors) + len(report.values) < MOST_PLACES:
            entries.append((name, entry))
        else:
            report.unlisted += 1

    def visit(value: Any, name: str, path: str) -> None:
        if type(value) is TensorEntry:
            add(report.tensors, name, value)
            if value.storage is not None:
                used.add(value.storage)
        elif id(value) in listed:
            add(report.values, name, f"the same as {cut(listed[id(value)], LONGEST_PLACE)}")
        elif type(value) in LOADED_CONTAINERS and is_worth_a_visit(value, memo):
            listed[id(value)] = name
            for (template, key), child in children(value):
                inner = cut(path + cut(template.format(part_of_key(key)), LONGEST_STEP), LONGEST_PLACE)
                # A name in a state dict stands as it is.
                is_plain = not path and type(key) is str and template.startswith("[")
                visit(child, key if is_plain else inner, inner)
        else:
            add(report.values, name, summary(value))

    visit(root, "(the object)", "")
    return used


def part_of_key(key: Any) -> Any:
    """As much of a key as a place can show: it may be long, and stand in many places."""
    if type(key) is tuple:
        return tuple(map(part_of_key, key))
    return key[: LONGEST_STEP + 1] if type(key) in (str, bytes) else key


def cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "…"


def is_worth_a_visit(value: Any, memo: dict[int, bool]) -> bool:
    """Whether a value is a tensor or a placeholder, or has one in it, however deep; ``memo`` is by a container's id."""
    if type(value) not in LOADED_CONTAINERS:
        return type(value) in (TensorEntry, Placeholder)
    if id(value) not in memo:
        memo[id(value)] = any([is_worth_a_visit(child, memo) for _, child in children(value)])
    return memo[id(value)]


def summary(value: Any) -> str:
    """A value in a few words."""
    if type(value) is Placeholder:
        return f"refused: {value.name}"
    if type(value) in LOADED_CONTAINERS or type(value) is bytes:
        return f"{type(value).__name__} of {len(value)}"
    if type(value) is str:
        return repr(cut(value, LONGEST_VALUE))
    return cut(repr(value), LONGEST_VALUE)


# The report as text.


def as_plain_data(report: Report) -> dict[str, Any]:
    """A report as JSON can hold it."""
    return {
        "format": report.format,
        **report.facts,
        "metadata": report.metadata,
        "tensors": [{"name": name, **asdict(tensor)} for name, tensor in report.tensors],
        "values": [{"name": name, "value": value} for name, value in report.values],
        "unlisted": report.unlisted,
        "shared": {storage: names for storage, names in report.storages.items() if len(names) > 1},
        "loose": dict(report.loose),
        "refused": report.refused,
    }


def lines_of(report: Report) -> Iterator[str]:
    """A report as lines to read, without anything in them that a terminal would obey."""
    yield ", ".join([report.format, *(f"{name.replace('_', ' ')} {value}" for name, value in report.facts.items())])
    rows = [
        (shortened(name), tensor.dtype, str(tensor.shape), f"{tensor.bytes:,} bytes", tensor.storage or "")
        for name, tensor in report.tensors
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(5)]
    for name, dtype, shape, size, storage in rows:
        columns = (f"{name:{widths[0]}}", f"{dtype:{widths[1]}}", f"{shape:{widths[2]}}", f"{size:>{widths[3]}}")
        yield "  " + "  ".join([*columns, printable(storage)]).rstrip()
    for name, value in report.values:
        yield f"  {shortened(name)}: {printable(value)}"
    if report.unlisted:
        yield f"and {report.unlisted:,} more places, which are counted neither here nor below"
    yield totals(report)
    for storage, names in report.storages.items():
        if len(names) > 1:
            yield f"one storage, {printable(storage)}: {', '.join(shortened(name) for name in names)}"
    if report.loose:
        loose_bytes = sum(size for _, size in report.loose)
        yield f"in none of these tensors: {len(report.loose)} storages of {loose_bytes:,} bytes"
    for name, text in report.metadata.items():
        yield f"metadata {shortened(name)}: {printable(text)}"
    if report.refused:
        yield "refused by minigrad.load, unless unknown='placeholder' leaves it out:"
    for name in report.refused:
        yield f"  {shortened(name)}"


def totals(report: Report) -> str:
    """A tensor that is listed twice counts twice, a storage once."""
    elements = sum(math.prod(tensor.shape) for _, tensor in report.tensors)
    tensors = f"{len(report.tensors)} tensors of {elements:,} elements, {sum(t.bytes for _, t in report.tensors):,} bytes"
    stored = {tensor.storage: tensor.storage_bytes for _, tensor in report.tensors if tensor.storage is not None}
    return f"{tensors} in {len(stored)} storages of {sum(stored.values()):,} bytes" if stored else tensors


def shortened(name: str) -> str:
    return cut(printable(name), LONGEST_NAME)
