"""Reads the object of a checkpoint from its pickle, by an opcode loop of its own.

Python's unpickler calls whatever a file names. This loop knows the opcodes of protocol 2 that data needs, looks names
up in one exact table (never by importing), calls only what the table holds, and changes only the lists and dictionaries
that the file itself began.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import CheckpointError
from .limits import Budget

PROTOCOL = 2
DICTIONARIES = (dict, OrderedDict, Counter)
KEYS = (str, bytes, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class Constructor:
    """Stands for something that a pickle may call; ``build`` gets as many arguments as it expects, and checks them."""

    name: str
    build: Callable[..., Any]
    fewest_arguments: int
    most_arguments: int


def check_key(key: Any) -> None:
    """Refuse a dictionary key or set element that is no plain value: hashing a deep tuple can crash the interpreter."""
    for part in key if type(key) is tuple else (key,):
        if type(part) not in KEYS:
            raise CheckpointError(f"expected a string, a number or a flat tuple of them as a key, got {kind(part)}")


def kind(value: Any) -> str:
    """A value's type for an error message, without its content."""
    name = getattr(value, "name", None)
    return f"{type(value).__name__} {name}" if isinstance(name, str) else type(value).__name__


class PickleReader:
    """One reading of one pickle.

    Args:
        data: the pickle.
        names: (module, name) to what stands for it: a Constructor if it may be called, any immutable value if not.
        load_persistent: from a persistent id, a tuple, to what it stands for.
        budget: what the file may spend.
    """

    def __init__(
        self,
        data: bytes,
        names: Mapping[tuple[str, str], Any],
        load_persistent: Callable[[tuple], Any],
        budget: Budget,
    ):
        self.data = data
        self.names = names
        self.load_persistent = load_persistent
        self.budget = budget
        self.position = 0
        self.stack: list[Any] = []
        self.outer_stacks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def load(self) -> Any:
        """The pickled object.

        Raises:
            CheckpointError: at the first byte that is not as expected.
        """
        start = 0
        try:
            self.read_protocol()
            while True:
                start = self.position
                opcode = self.take(1)
                if opcode == b".":
                    return self.finish()
                handler = HANDLERS.get(opcode)
                if handler is None:
                    raise CheckpointError(f"expected an opcode that data needs, got {opcode!r}")
                self.budget.spend_objects(1)
                handler(self)
        except CheckpointError as error:
            raise CheckpointError(f"at byte {start} of the pickle: {error}") from None

    def read_protocol(self) -> None:
        if self.take(1) != b"\x80":
            raise CheckpointError(f"expected a pickle of protocol {PROTOCOL}, got one that begins with {self.data[:1]!r}")
        protocol = self.take(1)[0]
        if protocol != PROTOCOL:
            raise CheckpointError(f"expected pickle protocol {PROTOCOL} (what torch.save uses), got {protocol}")

    def finish(self) -> Any:
        if len(self.stack) != 1 or self.outer_stacks:
            raise CheckpointError(f"expected one object at the end, got {len(self.stack)} and {len(self.outer_stacks)} marks")
        if self.position != len(self.data):
            raise CheckpointError(f"expected nothing after the end, got {len(self.data) - self.position} bytes")
        return self.stack[0]

    # From the bytes.

    def take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self.data):
            raise CheckpointError(f"expected {count} more bytes, got {len(self.data) - self.position} (truncated)")
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def take_number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def take_line(self) -> str:
        end = self.data.find(b"\n", self.position, self.position + 200)
        if end < 0:
            raise CheckpointError("expected the name of a module or class, of at most 200 characters, got no end of line")
        line = self.take(end - self.position)
        self.position += 1
        try:
            return line.decode("ascii")
        except UnicodeDecodeError:
            raise CheckpointError(f"expected an ASCII name of a module or class, got {line!r}") from None

    # From the stack.

    def pop(self) -> Any:
        if not self.stack:
            raise CheckpointError("expected an object on the stack, got none")
        return self.stack.pop()

    def top(self) -> Any:
        if not self.stack:
            raise CheckpointError("expected an object on the stack, got none")
        return self.stack[-1]

    def pop_to_mark(self) -> list[Any]:
        if not self.outer_stacks:
            raise CheckpointError("expected a mark on the stack, got none")
        items, self.stack = self.stack, self.outer_stacks.pop()
        return items

    # The opcodes that do more than push a value.

    def mark(self) -> None:
        self.outer_stacks.append(self.stack)
        self.stack = []

    def put(self, index: int) -> None:
        self.memo[index] = self.top()

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise CheckpointError(f"expected an index that the memo has, got {index}")
        self.stack.append(self.memo[index])

    def unicode(self) -> None:
        text = self.take(self.take_number("<I"))
        try:
            self.stack.append(text.decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError as error:
            raise CheckpointError(f"expected a string in UTF-8, got {error.reason}") from None

    def python2_string(self, layout: str) -> None:
        """What Python 2 called a string; latin-1 has a character for every byte, and most are ASCII anyway."""
        length = self.take_number(layout)
        if length < 0:
            raise CheckpointError(f"expected the length of a string, got {length}")
        self.stack.append(self.take(length).decode("latin-1"))

    def long(self) -> None:
        self.stack.append(int.from_bytes(self.take(self.take_number("<B")), "little", signed=True))

    def tuple_to_mark(self) -> None:
        items = tuple(self.pop_to_mark())
        self.stack.append(items)

    def tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise CheckpointError(f"expected {count} objects on the stack for a tuple, got {len(self.stack)}")
        items = tuple(self.stack[-count:])
        del self.stack[-count:]
        self.stack.append(items)

    def extend(self, items: list[Any]) -> None:
        target = self.top()
        if type(target) is not list:
            raise CheckpointError(f"expected a list to append to, got {kind(target)}")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.top()
        if type(target) not in DICTIONARIES:
            raise CheckpointError(f"expected a dictionary to set items of, got {kind(target)}")
        if len(items) % 2:
            raise CheckpointError(f"expected keys and values in pairs, got {len(items)} objects")
        for key, value in zip(items[::2], items[1::2]):
            check_key(key)
            target[key] = value

    def set_item(self) -> None:
        value = self.pop()
        self.set_items([self.pop(), value])

    def name(self) -> None:
        module, name = self.take_line(), self.take_line()
        if (module, name) not in self.names:
            raise CheckpointError(f"expected a name that a checkpoint of tensors may use, got {module}.{name}")
        self.stack.append(self.names[module, name])

    def call(self) -> None:
        arguments, function = self.pop(), self.pop()
        if type(function) is not Constructor:
            raise CheckpointError(f"expected something that may be called, got {kind(function)}")
        if type(arguments) is not tuple:
            raise CheckpointError(f"{function.name}: expected a tuple of arguments, got {kind(arguments)}")
        if not function.fewest_arguments <= len(arguments) <= function.most_arguments:
            expected = f"{function.fewest_arguments} to {function.most_arguments}"
            raise CheckpointError(f"{function.name}: expected {expected} arguments, got {len(arguments)}")
        try:
            self.stack.append(function.build(*arguments))
        except CheckpointError as error:
            raise CheckpointError(f"{function.name}: {error}") from None

    def set_attributes(self) -> None:
        """The only attribute there is: the versions of a module's state dict, which torch keeps beside its entries."""
        state, target = self.pop(), self.top()
        if type(target) is not OrderedDict:
            raise CheckpointError(f"expected an OrderedDict to give attributes to, got {kind(target)}")
        if type(state) is not dict or list(state) != ["_metadata"] or type(state["_metadata"]) not in (dict, OrderedDict):
            raise CheckpointError("expected a dictionary called _metadata as an OrderedDict's only attribute, got another")
        target._metadata = state["_metadata"]  # type: ignore[attr-defined]

    def persistent(self) -> None:
        identifier = self.pop()
        if type(identifier) is not tuple:
            raise CheckpointError(f"expected a tuple that names a storage, got {kind(identifier)}")
        self.stack.append(self.load_persistent(identifier))


HANDLERS: dict[bytes, Callable[[PickleReader], None]] = {
    b"N": lambda reader: reader.stack.append(None),
    b"\x88": lambda reader: reader.stack.append(True),
    b"\x89": lambda reader: reader.stack.append(False),
    b"J": lambda reader: reader.stack.append(reader.take_number("<i")),
    b"K": lambda reader: reader.stack.append(reader.take_number("<B")),
    b"M": lambda reader: reader.stack.append(reader.take_number("<H")),
    b"G": lambda reader: reader.stack.append(reader.take_number(">d")),
    b"\x8a": PickleReader.long,
    b"X": PickleReader.unicode,
    b"T": lambda reader: reader.python2_string("<i"),
    b"U": lambda reader: reader.python2_string("<B"),
    b")": lambda reader: reader.stack.append(()),
    b"]": lambda reader: reader.stack.append([]),
    b"}": lambda reader: reader.stack.append({}),
    b"(": PickleReader.mark,
    b"t": PickleReader.tuple_to_mark,
    b"\x85": lambda reader: reader.tuple_of(1),
    b"\x86": lambda reader: reader.tuple_of(2),
    b"\x87": lambda reader: reader.tuple_of(3),
    b"a": lambda reader: reader.extend([reader.pop()]),
    b"e": lambda reader: reader.extend(reader.pop_to_mark()),
    b"s": PickleReader.set_item,
    b"u": lambda reader: reader.set_items(reader.pop_to_mark()),
    b"q": lambda reader: reader.put(reader.take_number("<B")),
    b"r": lambda reader: reader.put(reader.take_number("<I")),
    b"h": lambda reader: reader.get(reader.take_number("<B")),
    b"j": lambda reader: reader.get(reader.take_number("<I")),
    b"c": PickleReader.name,
    b"R": PickleReader.call,
    b"b": PickleReader.set_attributes,
    b"Q": PickleReader.persistent,
}
