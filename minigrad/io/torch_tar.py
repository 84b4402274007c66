"""torch's first checkpoint format, until early 2017: a tar archive of four files that pickles and raw numbers alternate in.

``storages`` holds the elements, ``tensors`` the windows on them, ``pickle`` the object, where a tensor is only its
number as a string, and ``sys_info`` facts on the machine.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from .errors import CheckpointError, quoted
from .limits import Budget, Limits
from .pickle_reader import WHOLE_NETWORK, PickleReader, kind
from .raw_storages import RawStorages
from .section import Section
from .storage import MOST_DIMENSIONS, STORAGE_TYPES, Storage, StorageType, part_of
from .tar_members import find_members
from .torch_names import TensorMaker, TorchNames
from .torch_stream import read_plain
from .tree import check_loaded

MEMBERS = ("sys_info", "storages", "tensors", "pickle")
STORAGE_NAMES = {(module, name): type for module in ("torch", "torch.cuda") for name, type in STORAGE_TYPES.items()}
TENSOR_NAMES = {
    (module, name.replace("Storage", "Tensor")): type
    for module in ("torch", "torch.cuda", "torch.tensor")
    for name, type in STORAGE_TYPES.items()
}


def read(stream: BinaryIO, maker: TensorMaker, limits: Limits) -> Any:
    """The object in an archive.

    Raises:
        CheckpointError: if it is no such archive, if it is damaged, or if it asks for more than data and tensors.
    """
    members = find_members(stream, stream.tell(), MEMBERS)
    check_machine(members["sys_info"].open(stream), limits)
    storages = Storages(members["storages"].open(stream), limits)
    windows = read_windows(members["tensors"].open(stream), limits)
    if members["pickle"].size > limits.pickle_bytes:
        got = members["pickle"].size
        raise CheckpointError(f"expected at most {limits.pickle_bytes} bytes in pickle, got {got} (Limits.pickle_bytes)")
    pickle = members["pickle"].open(stream).take(members["pickle"].size)
    budget = Budget(limits, members["storages"].size)
    names = TorchNames(maker, budget)
    tensors = Tensors(storages, windows, names)
    result = PickleReader(pickle, names.table(), tensors.load, budget, names.give_state).load()
    check_loaded(result, limits)
    return result


def check_machine(section: Section, limits: Limits) -> None:
    """The numbers are as the machine has them that wrote the file."""
    facts = read_plain(section, limits, "sys_info", {})
    if type(facts) is not dict or type(facts.get("little_endian", True)) is not bool:
        raise CheckpointError(f"expected a dictionary of facts on the machine in sys_info, got {kind(facts)}")
    if not facts.get("little_endian", True):
        raise CheckpointError("expected a tar archive of a little-endian machine, got one of a big-endian machine")


def read_count(section: Section, limits: Limits, what: str) -> int:
    count = read_plain(section, limits, what, {})
    if type(count) is not int or count < 0:
        raise CheckpointError(f"in {what}: expected how many there are, got {count if type(count) is int else kind(count)}")
    return count


def read_key(value: Any, what: str) -> int:
    if type(value) is not int:
        raise CheckpointError(f"expected a number that names a {what}, got {kind(value)}")
    return value


def check_at_end(section: Section, what: str) -> None:
    if section.left:
        raise CheckpointError(f"in {what}: expected nothing after the end, got {section.left} bytes")


class Storages:
    """What ``storages`` has: runs of elements, and then views, which are parts of them under names of their own."""

    def __init__(self, section: Section, limits: Limits):
        self.roots = RawStorages(section)
        for _ in range(read_count(section, limits, "storages")):
            entry = read_plain(section, limits, "storages", STORAGE_NAMES)
            if type(entry) is not tuple or len(entry) != 3 or type(entry[2]) is not StorageType:
                raise CheckpointError("in storages: expected (key, location, storage type), got another")
            self.roots.add(read_key(entry[0], "storage"), entry[2])
        self.views: dict[int, tuple[int, Any, Any]] = {}
        views = read_plain(section, limits, "storages", {})
        if type(views) is not list:
            raise CheckpointError(f"in storages: expected a list of views, got {kind(views)}")
        for view in views:
            if type(view) is not tuple or len(view) != 4:
                raise CheckpointError("in storages: expected (view, storage, offset, size), got another")
            key, root = read_key(view[0], "view"), read_key(view[1], "storage")
            if key in self.views or key in self.roots.runs:
                raise CheckpointError(f"expected one storage {key}, got two of that name")
            self.views[key] = root, view[2], view[3]
        check_at_end(section, "storages")

    def load(self, key: int) -> Storage:
        if key not in self.views:
            return self.roots.load(key)
        root, offset, count = self.views[key]
        return part_of(self.roots.load(root), offset, count)


@dataclass(frozen=True, slots=True)
class Window:
    """What ``tensors`` says of a tensor: a window on a storage, or on none if it is empty."""

    storage: int | None
    type: StorageType
    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]


def read_windows(section: Section, limits: Limits) -> dict[str, Window]:
    """The windows by their keys, as text: so the object names them."""
    windows: dict[str, Window] = {}
    for _ in range(read_count(section, limits, "tensors")):
        entry = read_plain(section, limits, "tensors", TENSOR_NAMES)
        if type(entry) is not tuple or len(entry) != 3 or type(entry[2]) is not StorageType:
            raise CheckpointError("in tensors: expected (key, storage, tensor type), got another")
        key = str(read_key(entry[0], "tensor"))
        if key in windows:
            raise CheckpointError(f"expected one tensor {key}, got two of that name")
        storage = None if entry[1] is None else read_key(entry[1], "storage")
        # The number of dimensions has 4 bytes, and as many behind it that mean nothing.
        (dimensions,) = struct.unpack("<i4x", section.take(8))
        if not 0 <= dimensions <= MOST_DIMENSIONS:
            raise CheckpointError(f"in tensors: expected at most {MOST_DIMENSIONS} dimensions, got {dimensions}")
        numbers = struct.unpack(f"<{2 * dimensions + 1}q", section.take(8 * (2 * dimensions + 1)))
        windows[key] = Window(storage, entry[2], numbers[-1], numbers[:dimensions], numbers[dimensions:-1])
    check_at_end(section, "tensors")
    return windows


class Tensors:
    """The tensors that the object names, each made once."""

    def __init__(self, storages: Storages, windows: dict[str, Window], names: TorchNames):
        self.storages = storages
        self.windows = windows
        self.names = names
        self.made: dict[str, Any] = {}

    def load(self, identifier: Any) -> Any:
        """What a number as text stands for."""
        if type(identifier) is not str:
            raise CheckpointError(f"expected a tensor's number, got {WHOLE_NETWORK}")
        if identifier not in self.windows:
            raise CheckpointError(f"expected the number of a tensor, got {quoted(identifier)}")
        if identifier not in self.made:
            window = self.windows[identifier]
            storage = Storage("no storage", window.type, np.empty(0, window.type.loaded_dtype))
            if window.storage is not None:
                storage = self.storages.load(window.storage)
            if storage.type is not window.type:
                raise CheckpointError(
                    f"expected tensor {identifier} to have the type of its {storage.name}, {storage.type.name},"
                    f" got {window.type.name}"
                )
            self.made[identifier] = self.names.old_tensor(storage, window.offset, window.sizes, window.strides)
        return self.made[identifier]
