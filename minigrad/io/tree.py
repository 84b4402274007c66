"""What an object must look like to be in a checkpoint: containers in containers, no cycles, not too deep, plain leaves.

``check_loaded`` looks at what a file gave, ``TensorFinder`` at what a user wants to save.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .errors import CheckpointError
from .limits import Budget, Limits
from .pickle_reader import Constructor, check_key, kind
from .storage import STORAGE_TYPE_OF, Storage, StorageType, TensorRecord

PLAIN = (str, bytes, int, float, bool, type(None))
CONTAINERS = (dict, OrderedDict, Counter, list, tuple, set)
# What a file may have, but nothing may be made of: torch's own safe reader refuses it.
LOADED_CONTAINERS = (*CONTAINERS, frozenset)
LARGEST_INTEGER_BITS = 8 * 255 - 1


def children(container: Any) -> Iterator[tuple[tuple[str, Any], Any]]:
    """A container's entries, each with the step that leads to it: ``("[{!r}]", "state")``, ``(".{}", "_metadata")``."""
    if isinstance(container, dict):
        for key, value in container.items():
            yield ("[{!r}]", key), value
        for name, value in getattr(container, "__dict__", {}).items():
            yield (".{}", name), value
    else:
        for index, value in enumerate(container):
            yield ("[{}]", index), value


def contents(container: Any) -> Iterator[Any]:
    """A container's entries, without the steps to them."""
    if isinstance(container, dict):
        yield from container.values()
        yield from getattr(container, "__dict__", {}).values()
    else:
        yield from container


def has_known_attributes(container: Any) -> bool:
    """Whether a container has no attributes but the one that a module's state dict has."""
    attributes = getattr(container, "__dict__", {})
    if not attributes:
        return True
    return (
        type(container) is OrderedDict
        and list(attributes) == ["_metadata"]
        and type(attributes["_metadata"]) in (dict, OrderedDict)
    )


# Loading.


def check_loaded(root: Any, limits: Limits) -> None:
    """Refuse an object with cycles, too deep, too large when written out, or with stand-ins left in it.

    A file can build all of these from a few bytes by naming one container in many places, and whoever walks such an
    object, if only to print it, would not come back. This walk sees each container once.
    """
    measures: dict[int, tuple[int, int]] = {}  # id of a container that is not empty → (depth, entries when written out)
    open_containers: set[int] = set()
    pending = [[root]]  # a list around the object, so that it is looked at as all others are
    while pending:
        container = pending[-1]
        if id(container) in measures:
            pending.pop()
        elif id(container) not in open_containers:
            open_containers.add(id(container))
            for child in contents(container):
                if isinstance(child, (Constructor, Storage, StorageType)):
                    raise CheckpointError(f"expected values and tensors in the object, got a bare {kind(child)}")
                if id(child) in open_containers:
                    raise CheckpointError("expected no container inside of itself, got one")
                if type(child) in LOADED_CONTAINERS and id(child) not in measures and not is_empty(child):
                    pending.append(child)
        else:
            pending.pop()
            open_containers.remove(id(container))
            measures[id(container)] = measure(container, measures, limits)


def is_empty(container: Any) -> bool:
    return not container and not getattr(container, "__dict__", None)


def measure(container: Any, measures: dict[int, tuple[int, int]], limits: Limits) -> tuple[int, int]:
    """How deep a container is, and how many entries it has when written out; those in it that are not empty are known."""
    depth, entries = 0, 0
    for child in contents(container):
        child_depth, child_entries = measures.get(id(child), (int(type(child) in LOADED_CONTAINERS), 1))
        depth = max(depth, child_depth)
        entries += child_entries
    if depth > limits.depth:
        raise CheckpointError(f"expected containers nested at most {limits.depth} deep, got more (Limits.depth)")
    if entries > limits.objects:
        raise CheckpointError(f"expected at most {limits.objects} entries, got more (Limits.objects)")
    return depth + 1, entries + 1


# Saving.


def plain_scalar(value: Any) -> Any:
    """A NumPy scalar, such as a mean accuracy, as the Python number that it is; any other value as it is."""
    return value.item() if isinstance(value, np.generic) else value


class TensorFinder:
    """Walks an object that is to be saved, collects its tensors, and refuses what a file cannot hold.

    Args:
        record_of: from a value to its record if it is a tensor, to None if not.
        deepest: how deep containers may be nested.
    """

    def __init__(self, record_of: Callable[[Any], TensorRecord | None], deepest: int):
        self.record_of = record_of
        self.deepest = deepest
        self.records: dict[int, TensorRecord] = {}  # tensor id → record, in the order of the walk
        self.keys_budget = Budget(Limits(), 0)
        self.depths: dict[int, int] = {}  # id of a container that was visited → its depth
        self.path: list[tuple[str, Any]] = []
        self.open_containers: set[int] = set()

    def refuse(self, problem: str, error: type[Exception] = TypeError) -> Exception:
        steps = "".join(template.format(key) for template, key in self.path)
        return error(f"save: checkpoint{steps}: {problem}")

    def visit(self, value: Any) -> int:
        """Look at a value and all in it; the result is its depth, 0 for what is no container.

        Raises:
            TypeError: if something in it cannot be saved, with the way to it.
        """
        value = plain_scalar(value)
        if id(value) in self.open_containers:
            raise self.refuse(f"expected no container inside of itself, got a {type(value).__name__}")
        if type(value) in CONTAINERS:
            if id(value) not in self.depths:
                self.depths[id(value)] = self.visit_container(value)
            if len(self.open_containers) + self.depths[id(value)] > self.deepest:
                raise self.refuse(f"expected containers nested at most {self.deepest} deep, got more")
            return self.depths[id(value)]
        if type(value) in PLAIN:
            self.check_plain(value)
        elif not isinstance(value, np.dtype) or value not in STORAGE_TYPE_OF:
            self.visit_tensor(value)
        return 0

    def visit_tensor(self, value: Any) -> None:
        if id(value) in self.records:
            return
        try:
            record = self.record_of(value)
        except RuntimeError as error:  # a tensor that has no elements to save, as on the meta device
            raise self.refuse(str(error), RuntimeError) from None
        if record is None:
            hint = " (its .state_dict() can be saved)" if hasattr(value, "state_dict") else ""
            hint = " (minigrad.from_numpy makes it a tensor)" if isinstance(value, np.ndarray) else hint
            expected = "tensors, numbers, strings, bytes, None, and dicts, lists, tuples and sets of them"
            raise self.refuse(f"expected {expected}, got a {type(value).__module__}.{type(value).__qualname__}{hint}")
        if record.array.dtype.newbyteorder("=") not in STORAGE_TYPE_OF:
            names = ", ".join(sorted(dtype.name for dtype in STORAGE_TYPE_OF))
            raise self.refuse(f"expected a tensor of {names}, got {record.array.dtype.name}")
        self.records[id(value)] = record

    def visit_container(self, container: Any) -> int:
        if len(self.open_containers) == self.deepest:
            raise self.refuse(f"expected containers nested at most {self.deepest} deep, got more")
        if not has_known_attributes(container):
            raise self.refuse("expected no attributes but an OrderedDict's _metadata, a dictionary, got others")
        self.open_containers.add(id(container))
        depth = 0
        if isinstance(container, (dict, set)):
            for key in container:
                self.check_key(key)
        for step, value in children(container):
            self.path.append(step)
            depth = max(depth, self.visit(value))
            self.path.pop()
        self.open_containers.remove(id(container))
        return depth + 1

    def check_key(self, key: Any) -> None:
        """Refuse a key that no file can hold, or that ``minigrad.load`` would refuse."""
        for part in key if type(key) is tuple else (key,):
            if type(plain_scalar(part)) not in PLAIN:
                raise self.refuse(f"expected strings, numbers or flat tuples of them as keys, got a {type(part).__name__}")
            self.check_plain(plain_scalar(part))
        try:
            check_key(tuple(map(plain_scalar, key)) if type(key) is tuple else plain_scalar(key), self.keys_budget)
        except CheckpointError as error:
            raise self.refuse(str(error)) from None

    def check_plain(self, value: Any) -> None:
        if type(value) is int and value.bit_length() > LARGEST_INTEGER_BITS:
            raise self.refuse(f"expected integers of at most {LARGEST_INTEGER_BITS} bits, got one of {value.bit_length()}")
