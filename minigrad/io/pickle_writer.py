"""Writes pickles of protocol 2, of plain data and calls, in the opcodes that torch's ``weights_only`` reader knows."""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PROTOCOL = b"\x80\x02"
STOP = b"."
TUPLE_OF = {0: b")", 1: b"\x85", 2: b"\x86", 3: b"\x87"}


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function that the reader is to look up."""

    module: str
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A value that the reader is to get by a call."""

    function: Name
    arguments: tuple


@dataclass(frozen=True, slots=True)
class Persistent:
    """A value that the reader is to find outside of the pickle."""

    identifier: tuple


class PickleWriter:
    """One writing of one object, which is known to be writable.

    Args:
        replace: from each value to what is to be written in its place: itself, or a plainer value, a Name, a Call.
    """

    def __init__(self, replace: Callable[[Any], Any]):
        self.replace = replace
        self.parts = [PROTOCOL]
        self.memo: dict[Any, int] = {}
        self.kept: list[Any] = []  # what the memo knows by id must live as long

    def dump(self, value: Any) -> bytes:
        """The pickle."""
        self.write(value)
        return b"".join([*self.parts, STOP])

    def write(self, value: Any) -> None:
        identity = value if type(value) in (str, Name) else id(value)
        if (type(value), identity) in self.memo:
            self.get(self.memo[type(value), identity])
            return
        plain = self.replace(value)
        WRITERS[type(plain)](self, plain)
        if type(plain) not in NOT_SHARED:
            self.put((type(value), identity), value)

    def get(self, index: int) -> None:
        self.parts.append(b"h" + struct.pack("<B", index) if index < 256 else b"j" + struct.pack("<I", index))

    def put(self, key: Any, value: Any) -> None:
        index = self.memo[key] = len(self.memo)
        self.kept.append(value)
        self.parts.append(b"q" + struct.pack("<B", index) if index < 256 else b"r" + struct.pack("<I", index))

    def write_integer(self, value: int) -> None:
        if 0 <= value < 2**8:
            self.parts.append(b"K" + struct.pack("<B", value))
        elif 0 <= value < 2**16:
            self.parts.append(b"M" + struct.pack("<H", value))
        elif -(2**31) <= value < 2**31:
            self.parts.append(b"J" + struct.pack("<i", value))
        else:
            content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            self.parts.append(b"\x8a" + struct.pack("<B", len(content)) + content)

    def write_string(self, value: str) -> None:
        content = value.encode("utf-8", "surrogatepass")
        self.parts.append(b"X" + struct.pack("<I", len(content)) + content)

    def write_bytes(self, value: bytes) -> None:
        self.write_call(Call(Name("_codecs", "encode"), (value.decode("latin-1"), "latin1")))

    def write_tuple(self, value: tuple) -> None:
        if len(value) > 3:
            self.parts.append(b"(")
        for element in value:
            self.write(element)
        self.parts.append(TUPLE_OF.get(len(value), b"t"))

    def write_list(self, value: list) -> None:
        self.parts.append(b"](")
        for element in value:
            self.write(element)
        self.parts.append(b"e")

    def write_items(self, value: dict) -> None:
        self.parts.append(b"(")
        for key, element in value.items():
            self.write(key)
            self.write(element)
        self.parts.append(b"u")

    def write_dict(self, value: dict) -> None:
        self.parts.append(b"}")
        self.write_items(value)

    def write_ordered_dict(self, value: OrderedDict) -> None:
        self.write_call(Call(Name("collections", "OrderedDict"), ()))
        self.write_items(value)
        if vars(value):
            self.write_dict(vars(value))
            self.parts.append(b"b")

    def write_counter(self, value: Counter) -> None:
        self.write_call(Call(Name("collections", "Counter"), (dict(value),)))

    def write_set(self, value: set) -> None:
        """In an order of their own, as Python's changes from run to run."""
        self.write_call(Call(Name("__builtin__", "set"), (sorted(value, key=repr),)))

    def write_name(self, value: Name) -> None:
        self.parts.append(f"c{value.module}\n{value.name}\n".encode("ascii"))

    def write_call(self, value: Call) -> None:
        self.write(value.function)
        self.write_tuple(value.arguments)
        self.parts.append(b"R")

    def write_persistent(self, value: Persistent) -> None:
        self.write_tuple(value.identifier)
        self.parts.append(b"Q")


NOT_SHARED = (type(None), bool, int, float)  # cheaper to write than to name
WRITERS: dict[type, Callable[[PickleWriter, Any], None]] = {
    type(None): lambda writer, value: writer.parts.append(b"N"),
    bool: lambda writer, value: writer.parts.append(b"\x88" if value else b"\x89"),
    float: lambda writer, value: writer.parts.append(b"G" + struct.pack(">d", value)),
    int: PickleWriter.write_integer,
    str: PickleWriter.write_string,
    bytes: PickleWriter.write_bytes,
    tuple: PickleWriter.write_tuple,
    list: PickleWriter.write_list,
    dict: PickleWriter.write_dict,
    OrderedDict: PickleWriter.write_ordered_dict,
    Counter: PickleWriter.write_counter,
    set: PickleWriter.write_set,
    Name: PickleWriter.write_name,
    Call: PickleWriter.write_call,
    Persistent: PickleWriter.write_persistent,
}
