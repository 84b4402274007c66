"""What an object must look like to be in a checkpoint: containers in containers, no cycles, not too deep, plain leaves.

``check_loaded`` looks at what a file gave, ``TensorFinder`` at what a user wants to save.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .errors import CheckpointError
from .limits import Limits
from .pickle_reader import Constructor, kind
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
    measures: dict[int, tuple[int, int]] = {}  # container id → (depth, entries when written out)
    open_containers: set[int] = set()
    pending = [root]
    while pending:
        item = pending[-1]
        if isinstance(item, (Constructor, Storage, StorageType)):
            raise CheckpointError(f"expected values and tensors in the object, got a bare {kind(item)}")
        if type(item) not in LOADED_CONTAINERS or id(item) in measures:
            pending.pop()
            continue
        if id(item) not in open_containers:
            open_containers.add(id(item))
            for _, child in children(item):
                if id(child) in open_containers:
                    raise CheckpointError("expected no container inside of itself, got one")
                pending.append(child)
            continue
        pending.pop()
        open_containers.remove(id(item))
        inner = [measures.get(id(child), (0, 1)) for _, child in children(item)]
        depth = 1 + max((depth for depth, _ in inner), default=0)
        entries = 1 + sum(entries for _, entries in inner)
        if depth > limits.depth:
            raise CheckpointError(f"expected containers nested at most {limits.depth} deep, got more (Limits.depth)")
        if entries > limits.objects:
            raise CheckpointError(f"expected at most {limits.objects} entries, got more (Limits.objects)")
        measures[id(item)] = depth, entries


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
        self.depths: dict[int, int] = {}  # id of a container that was visited → its depth
        self.path: list[tuple[str, Any]] = []
        self.open_containers: set[int] = set()

    def refuse(self, problem: str) -> TypeError:
        steps = "".join(template.format(key) for template, key in self.path)
        return TypeError(f"save: checkpoint{steps}: {problem}")

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
        record = self.record_of(value)
        if record is None:
            hint = " (minigrad.from_numpy makes it a tensor)" if isinstance(value, np.ndarray) else ""
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
        for part in key if type(key) is tuple else (key,):
            if type(plain_scalar(part)) not in PLAIN:
                raise self.refuse(f"expected strings, numbers or flat tuples of them as keys, got a {type(part).__name__}")
            self.check_plain(plain_scalar(part))

    def check_plain(self, value: Any) -> None:
        if type(value) is int and value.bit_length() > LARGEST_INTEGER_BITS:
            raise self.refuse(f"expected integers of at most {LARGEST_INTEGER_BITS} bits, got one of {value.bit_length()}")
