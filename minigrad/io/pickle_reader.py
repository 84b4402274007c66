"""Reads the object of a checkpoint from its pickle, by an opcode loop of its own.

Python's unpickler calls whatever a file names. This loop knows the opcodes of protocol 2 that data needs, looks names
up in one exact table (never by importing), calls only what the table holds, and changes only the lists and dictionaries
that the file itself began. A table may have a Placeholder for an unknown name: whatever the file does with one, such as
calling it or giving it attributes, gives another placeholder and has no effect.
"""

from __future__ import annotations

import io
import re
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import CheckpointError, quoted
from .limits import OBJECTS_PER_CONTAINER, Budget
from .placeholder import Placeholder, placeholder_from
from .section import Section

PROTOCOL = 2
LONGEST_LINE = 200
INTEGER = re.compile("-?[0-9]{1,20}")
NEW_OBJECT = b"\x81"
DICTIONARIES = (dict, OrderedDict, Counter)
KEYS = (str, bytes, int, float, bool, type(None), Placeholder)
WHOLE_NETWORK = (
    "the class of a whole network, which is a program; "
    "in PyTorch, torch.save(model.state_dict(), file) makes a file that can be read"
)
# Every module of torch is a new object of its class, and has this attribute among the first that a pickle gives it.
LONGEST_CALL = 8
ATTRIBUTE_OF_MODULES = b"_parameters"
BYTES_UP_TO_IT = 256
LONGEST_KEY = 2**16
LONGEST_TUPLE_KEY = 16
MOST_PERSISTENT_FIELDS = 6


@dataclass(frozen=True, slots=True)
class Constructor:
    """Stands for something that a pickle may call; ``build`` gets as many arguments as it expects, and checks them."""

    name: str
    build: Callable[..., Any]
    fewest_arguments: int
    most_arguments: int


def check_key(key: Any, budget: Budget) -> None:
    """Refuse a dictionary key or set element that is no plain value, long, or one of many whose hashes a file can choose.

    Hashing a deep tuple can crash the interpreter, and hashing or comparing a long key costs its length at each use.
    """
    parts = key if type(key) is tuple else (key,)
    if len(parts) > LONGEST_TUPLE_KEY:
        raise CheckpointError(f"expected a tuple of at most {LONGEST_TUPLE_KEY} parts as a key, got {len(parts)}")
    for part in parts:
        if type(part) not in KEYS:
            raise CheckpointError(f"expected a string, a number or a flat tuple of them as a key, got {kind(part)}")
        if type(part) in (str, bytes) and len(part) > LONGEST_KEY:
            raise CheckpointError(f"expected at most {LONGEST_KEY} characters in a key, got {len(part)}")
    # Python hashes text with a secret, numbers without.
    is_text = all(type(part) in (str, bytes) for part in parts)
    if not is_text and type(key) not in (bool, type(None)) and not (type(key) is int and -(2**31) <= key < 2**31):
        budget.spend_rare_key()


def kind(value: Any) -> str:
    """A value's type for an error message, without its content."""
    name = getattr(value, "name", None)
    return f"{type(value).__name__} {quoted(name)}" if isinstance(name, str) else type(value).__name__


class PickleReader:
    """One reading of one pickle.

    Args:
        data: the pickle, or a section of a file that begins with one; what follows it there is left alone.
        names: (module, name) to what stands for it: a Constructor if it may be called, any immutable value if not.
            What it has no value for is refused, for the reason that its KeyError gives if that is a string.
        load_persistent: from a persistent id, a tuple or a string, to what it stands for.
        budget: what the file may spend.
        give_state: called with an object that is no OrderedDict and the state that the pickle gives it; without it,
            no such object has one.
    """

    def __init__(
        self,
        data: bytes | Section,
        names: Mapping[tuple[str, str], Any],
        load_persistent: Callable[[Any], Any],
        budget: Budget,
        give_state: Callable[[Any, Any], None] | None = None,
    ):
        self.is_whole = isinstance(data, bytes)
        self.source = Section(io.BytesIO(data), 0, len(data)) if isinstance(data, bytes) else data
        self.start = self.source.position
        self.furthest = self.start + budget.limits.pickle_bytes
        self.names = names
        self.load_persistent = load_persistent
        self.budget = budget
        budget.allow_copies(self.source.left)
        self.give_state = give_state
        # A container opens a mark for its entries, and one for what it is called with.
        self.most_marks = 4 * budget.limits.depth + 16
        self.stack: list[Any] = []
        self.outer_stacks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def load(self) -> Any:
        """The pickled object.

        Raises:
            CheckpointError: at the first byte that is not as expected.
        """
        start = self.start
        try:
            self.read_protocol()
            while True:
                start = self.source.position
                opcode = self.take(1)
                if opcode == b".":
                    return self.finish()
                handler = HANDLERS.get(opcode)
                if handler is None:
                    raise CheckpointError(f"expected an opcode that data needs, got {opcode!r}")
                self.budget.spend_objects(1)
                handler(self)
        except CheckpointError as error:
            raise CheckpointError(f"at byte {start - self.start} of the pickle: {error}") from None

    def read_protocol(self) -> None:
        first = self.take(1)
        if first != b"\x80":
            raise CheckpointError(f"expected a pickle of protocol {PROTOCOL}, got one that begins with {first!r}")
        protocol = self.take(1)[0]
        if protocol != PROTOCOL:
            raise CheckpointError(f"expected pickle protocol {PROTOCOL} (what torch.save uses), got {protocol}")

    def finish(self) -> Any:
        if len(self.stack) != 1 or self.outer_stacks:
            raise CheckpointError(f"expected one object at the end, got {len(self.stack)} and {len(self.outer_stacks)} marks")
        if self.is_whole and self.source.left:
            raise CheckpointError(f"expected nothing after the end, got {self.source.left} bytes")
        return self.stack[0]

    # From the bytes.

    def take(self, count: int) -> bytes:
        if self.source.position + count > self.furthest and count <= self.source.left:
            most = self.budget.limits.pickle_bytes
            raise CheckpointError(f"expected a pickle of at most {most} bytes, got a longer one (Limits.pickle_bytes)")
        return self.source.take(count)

    def take_number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def take_line(self) -> str:
        line = self.source.take_line(LONGEST_LINE)
        if line is None:
            raise CheckpointError(f"expected a name or a number of at most {LONGEST_LINE} characters, got no end of line")
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
        if len(self.outer_stacks) == self.most_marks:
            raise CheckpointError(f"expected at most {self.most_marks} open marks, got more (Limits.depth)")
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

    def integer_line(self) -> None:
        """Python 2 wrote integers of more than 32 bits as text."""
        line = self.take_line()
        if not INTEGER.fullmatch(line):
            raise CheckpointError(f"expected an integer of at most 20 digits, got {line[:30]!r}")
        self.stack.append(int(line))

    def tuple_to_mark(self) -> None:
        items = tuple(self.pop_to_mark())
        self.stack.append(items)

    def tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise CheckpointError(f"expected {count} objects on the stack for a tuple, got {len(self.stack)}")
        items = tuple(self.stack[-count:])
        del self.stack[-count:]
        self.stack.append(items)

    def push_container(self, container: Any) -> None:
        self.budget.spend_objects(OBJECTS_PER_CONTAINER)
        self.stack.append(container)

    def extend(self, items: list[Any]) -> None:
        target = self.top()
        if type(target) is Placeholder:
            return
        if type(target) is not list:
            raise CheckpointError(f"expected a list to append to, got {kind(target)}")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.top()
        if type(target) is Placeholder:
            return
        if type(target) not in DICTIONARIES:
            raise CheckpointError(f"expected a dictionary to set items of, got {kind(target)}")
        if len(items) % 2:
            raise CheckpointError(f"expected keys and values in pairs, got {len(items)} objects")
        for key, value in zip(items[::2], items[1::2]):
            check_key(key, self.budget)
            target[key] = value

    def set_item(self) -> None:
        value = self.pop()
        self.set_items([self.pop(), value])

    def name(self) -> None:
        module, name = self.take_line(), self.take_line()
        try:
            self.stack.append(self.names[module, name])
        except KeyError as error:
            hint = error.args[0] if type(error.args[0]) is str else ""
            if self.is_class_of_network():
                hint = WHOLE_NETWORK
            got = quoted(f"{module}.{name}")
            problem = f"expected a name that a checkpoint of tensors may use, got {got}"
            raise CheckpointError(f"{problem} ({hint})" if hint else problem) from None

    def is_class_of_network(self) -> bool:
        """Whether the name that was read last seems to be a network's class; what follows it cannot be read afterwards."""
        if len(self.stack) == 1 and type(self.stack[0]) is str and self.stack[0] == "module":
            return True  # how torch's older formats begin the name of a network's class
        following = self.source.take(min(BYTES_UP_TO_IT, self.source.left))
        return NEW_OBJECT in following[:LONGEST_CALL] and ATTRIBUTE_OF_MODULES in following

    def call(self) -> None:
        arguments, function = self.pop(), self.pop()
        if type(function) is Placeholder:
            self.stack.append(Placeholder(function.name))
            return
        if type(function) is not Constructor:
            raise CheckpointError(f"expected something that may be called, got {kind(function)}")
        if type(arguments) is not tuple:
            raise CheckpointError(f"{function.name}: expected a tuple of arguments, got {kind(arguments)}")
        if not function.fewest_arguments <= len(arguments) <= function.most_arguments:
            expected = f"{function.fewest_arguments} to {function.most_arguments}"
            raise CheckpointError(f"{function.name}: expected {expected} arguments, got {len(arguments)}")
        placeholder = placeholder_from(arguments)
        try:
            self.stack.append(function.build(*arguments) if placeholder is None else placeholder)
        except CheckpointError as error:
            raise CheckpointError(f"{function.name}: {error}") from None

    def new_object(self) -> None:
        """An object of a class, which can only be a placeholder's: nothing in the table is made in this way."""
        if len(self.stack) < 2 or type(self.stack[-2]) is not Placeholder:
            raise CheckpointError(f"expected an opcode that data needs, got {NEW_OBJECT!r}")
        self.stack[-2:] = [Placeholder(self.stack[-2].name)]

    def set_attributes(self) -> None:
        """The only attribute there is: the versions of a module's state dict, which torch keeps beside its entries."""
        state, target = self.pop(), self.top()
        if type(target) is Placeholder:
            return
        if self.give_state is not None and type(target) is not OrderedDict:
            self.give_state(target, state)
            return
        if type(target) is not OrderedDict:
            raise CheckpointError(f"expected an OrderedDict to give attributes to, got {kind(target)}")
        if type(state) is not dict or list(state) != ["_metadata"] or type(state["_metadata"]) not in (dict, OrderedDict):
            raise CheckpointError("expected a dictionary called _metadata as an OrderedDict's only attribute, got another")
        target._metadata = state["_metadata"]  # type: ignore[attr-defined]

    def persistent(self) -> None:
        identifier = self.pop()
        if type(identifier) not in (tuple, str):
            raise CheckpointError(f"expected a tuple or a string that names a storage, got {kind(identifier)}")
        if type(identifier) is tuple and len(identifier) > MOST_PERSISTENT_FIELDS:
            got = len(identifier)
            raise CheckpointError(f"expected at most {MOST_PERSISTENT_FIELDS} fields in a storage's name, got {got}")
        placeholder = placeholder_from(identifier)
        self.stack.append(self.load_persistent(identifier) if placeholder is None else placeholder)


HANDLERS: dict[bytes, Callable[[PickleReader], None]] = {
    b"N": lambda reader: reader.stack.append(None),
    b"\x88": lambda reader: reader.stack.append(True),
    b"\x89": lambda reader: reader.stack.append(False),
    b"J": lambda reader: reader.stack.append(reader.take_number("<i")),
    b"K": lambda reader: reader.stack.append(reader.take_number("<B")),
    b"M": lambda reader: reader.stack.append(reader.take_number("<H")),
    b"I": PickleReader.integer_line,
    b"G": lambda reader: reader.stack.append(reader.take_number(">d")),
    b"\x8a": PickleReader.long,
    b"X": PickleReader.unicode,
    b"T": lambda reader: reader.python2_string("<i"),
    b"U": lambda reader: reader.python2_string("<B"),
    b")": lambda reader: reader.stack.append(()),
    b"]": lambda reader: reader.push_container([]),
    b"}": lambda reader: reader.push_container({}),
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
    NEW_OBJECT: PickleReader.new_object,
    b"b": PickleReader.set_attributes,
    b"Q": PickleReader.persistent,
}
