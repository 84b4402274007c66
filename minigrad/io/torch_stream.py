"""torch's checkpoint format from 0.1.9 to 1.5: five pickles one after another, and behind them the storages' elements.

The pickles are a magic number, the protocol, facts on the machine, the object, and the storages' keys. The object comes
before its storages, and how long these are is only said inside it. One could run its pickle once with storages that are
filled afterwards, but then no tensor could go to another device when it is made; or with promises for tensors that are
replaced afterwards, but then all containers would be walked and tuples built again. So its pickle, which is small, runs
twice: at first only to see where it ends and which storages it names, and again when these can be looked up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from . import signatures
from .errors import CheckpointError, quoted
from .limits import Budget, Limits
from .pickle_reader import WHOLE_NETWORK, PickleReader, check_key, kind
from .raw_storages import RawStorages
from .section import Section, end_of
from .storage import Storage, StorageType, part_of
from .torch_names import NameTable, TensorMaker, TorchNames
from .tree import check_loaded

PROTOCOL_VERSION = 1001
# Storages that no tensor can be made of, but that must be gone past where a placeholder stands for their tensors.
UNREADABLE_STORAGES = {
    ("torch", "ComplexFloatStorage"): StorageType("ComplexFloatStorage", np.dtype("complex64")),
    ("torch", "ComplexDoubleStorage"): StorageType("ComplexDoubleStorage", np.dtype("complex128")),
    ("torch", "QInt8Storage"): StorageType("QInt8Storage", np.dtype("int8")),
    ("torch", "QUInt8Storage"): StorageType("QUInt8Storage", np.dtype("uint8")),
    ("torch", "QInt32Storage"): StorageType("QInt32Storage", np.dtype("int32")),
    ("torch.storage", "UntypedStorage"): StorageType("UntypedStorage", np.dtype("uint8")),
}


def read(stream: BinaryIO, maker: TensorMaker, limits: Limits) -> Any:
    """The object in a stream, which is left where the checkpoint ends: another one may follow there.

    Raises:
        CheckpointError: if it is no such stream, if it is damaged, or if it asks for more than data and tensors.
    """
    start = stream.tell()
    section = Section(stream, start, end_of(stream))
    check_head(section, limits)
    survey = Survey(maker, Budget(limits, section.left))
    object_start = section.position
    PickleReader(section, survey.table(), survey.note_storage, survey.budget, survey.give_state).load()
    object_end = section.position
    storages = find_storages(section, survey.named, limits)
    checkpoint_end = section.position

    budget = Budget(limits, checkpoint_end - start)
    names = TorchNames(maker, budget)
    pickle = Section(stream, object_start, object_end).take(object_end - object_start)

    def load_storage(identifier: Any) -> Storage:
        name = storage_name(identifier)
        storage = storages.load(name.key)
        return storage if name.part is None else part_of(storage, *name.part)

    result = PickleReader(pickle, names.table(), load_storage, budget, names.give_state).load()
    check_loaded(result, limits)
    stream.seek(checkpoint_end)
    return result


def read_plain(section: Section, limits: Limits, what: str, names: dict[tuple[str, str], Any]) -> Any:
    """A pickle of nothing but plain data and these names, which the section has next; ``what`` names it in errors.

    Nobody may walk the result before its types have been looked at: it can have cycles.
    """

    def refuse(identifier: Any) -> Any:
        raise CheckpointError("expected plain data, got a storage's name")

    try:
        return PickleReader(section, names, refuse, Budget(limits, 0)).load()
    except CheckpointError as error:
        raise CheckpointError(f"in {what}: {error}") from None


def check_head(section: Section, limits: Limits) -> None:
    """Read what stands before the object. The elements are little-endian whatever machine wrote them."""
    section.skip(len(signatures.LEGACY_TORCH_MAGIC))
    protocol = read_plain(section, limits, "the protocol", {})
    if type(protocol) is not int or protocol != PROTOCOL_VERSION:
        got = protocol if type(protocol) is int else kind(protocol)
        raise CheckpointError(f"expected the protocol {PROTOCOL_VERSION}, got {got}")
    facts = read_plain(section, limits, "the facts on the machine", {})
    if type(facts) is not dict:
        raise CheckpointError(f"expected a dictionary of facts on the machine, got {kind(facts)}")


@dataclass(frozen=True, slots=True)
class StorageName:
    """What ``('storage', type, key, location, count, view)`` says, whatever the location was.

    Args:
        type: what the elements are.
        key: the storage's name in the file.
        count: how many elements it has.
        part: (offset, count) if only that part of it is meant.
    """

    type: StorageType
    key: str
    count: int
    part: tuple[Any, Any] | None


def storage_name(identifier: Any) -> StorageName:
    """Take a persistent id apart."""
    if type(identifier) is tuple and identifier and type(identifier[0]) is str and identifier[0] == "module":
        raise CheckpointError(f"expected tensors and plain data, got {WHOLE_NETWORK}")
    if type(identifier) is not tuple or len(identifier) != 6 or type(identifier[0]) is not str or identifier[0] != "storage":
        raise CheckpointError("expected ('storage', type, key, location, size, view) as a storage's name, got another")
    _, storage_type, key, location, count, view = identifier
    for part, wanted in ((storage_type, StorageType), (key, str), (location, str), (count, int)):
        if type(part) is not wanted:
            raise CheckpointError(f"expected a {wanted.__name__} in a storage's name, got {kind(part)}")
    if view is None:
        return StorageName(storage_type, key, count, None)
    if type(view) is not tuple or len(view) != 3:
        raise CheckpointError(f"expected (key, offset, size) as the view in a storage's name, got {kind(view)}")
    return StorageName(storage_type, key, count, (view[1], view[2]))


class SurveyTable(NameTable):
    """Knows how long the elements of unreadable storages are."""

    def __missing__(self, key: tuple[str, str]) -> Any:
        placeholder = super().__missing__(key)
        return UNREADABLE_STORAGES.get(key, placeholder)


class Survey(TorchNames):
    """The names while the object's pickle runs for the first time: tensors are None, and storages are noted."""

    def __init__(self, maker: TensorMaker, budget: Budget):
        super().__init__(maker, budget)
        self.named: dict[str, StorageName] = {}

    def table(self) -> NameTable:
        table = SurveyTable(self.maker)
        table.update(super().table())
        return table

    def note_storage(self, identifier: Any) -> None:
        name = storage_name(identifier)
        check_key(name.key, self.budget)
        first = self.named.setdefault(name.key, name)
        if first.type is not name.type or first.count != name.count:
            raise CheckpointError(
                f"expected storage {quoted(name.key)} to have {first.count} elements ({first.type.name}) wherever it is named,"
                f" got {name.count} ({name.type.name})"
            )

    def tensor(self, *arguments: Any) -> None:
        self.budget.spend_tensor(0)

    def old_tensor(self, *arguments: Any) -> None:
        self.budget.spend_tensor(0)

    def parameter(self, *arguments: Any) -> None:
        self.budget.spend_tensor(0)

    def old_parameter(self, *arguments: Any) -> None:
        self.budget.spend_tensor(0)

    def give_state(self, target: Any, state: Any) -> None:
        """Whether it may have one is seen when it is there."""


def find_storages(section: Section, named: dict[str, StorageName], limits: Limits) -> RawStorages:
    """Where the storages are that the object named: behind the list of their keys, in its order."""
    keys = read_plain(section, limits, "the list of storages", {})
    if type(keys) is not list or not all(type(key) is str for key in keys):
        raise CheckpointError(f"expected a list of the storages' keys, got {kind(keys)}")
    storages = RawStorages(section)
    for key in keys:
        if key not in named:
            raise CheckpointError(f"expected storages that the object names, got another, {quoted(key)}")
        storages.add(key, named[key].type, named[key].count)
    for key in named:
        if key not in storages.runs:
            raise CheckpointError(f"expected all storages that the object names, got none for {quoted(key)}")
    return storages
