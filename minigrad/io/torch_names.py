"""The names that a torch checkpoint of data and tensors may mention, and what each stands for: the exact table."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from .errors import CheckpointError
from .limits import OBJECTS_PER_CONTAINER, Budget
from .pickle_reader import Constructor, check_key, kind
from .placeholder import Placeholder
from .storage import STORAGE_TYPE_OF, STORAGE_TYPES, Storage, window


class TensorMaker(Protocol):
    """What the reader makes tensors with: minigrad's own are ``Tensor`` and ``Parameter``."""

    @property
    def tensor_type(self) -> type:
        """The class of what it makes."""

    def tensor(self, array: np.ndarray, requires_grad: bool, storage: Storage) -> Any:
        """A tensor that looks into the array's memory, which is a part of the storage."""

    def dtype_of(self, tensor: Any) -> str:
        """The name of the dtype of a tensor that it made."""

    def parameter(self, tensor: Any, requires_grad: bool) -> Any:
        """A parameter with this tensor's elements."""

    def set_requires_grad(self, parameter: Any, requires_grad: bool) -> None:
        """Change a parameter that it made."""

    def placeholder(self, name: str) -> Placeholder | None:
        """What is to stand for something that has this unknown name; None refuses the file."""


# torch's names for what minigrad has nothing for.
WHAT_IS_MISSING = {
    "ComplexFloatStorage": "minigrad has no complex tensors",
    "ComplexDoubleStorage": "minigrad has no complex tensors",
    "bfloat16": "minigrad has bfloat16 only where ml_dtypes is installed",
    "_rebuild_tensor_v3": "minigrad has no tensors of uint16, uint32, uint64 or float8",
    "_rebuild_sparse_tensor": "minigrad has no sparse tensors",
    "_rebuild_qtensor": "minigrad has no quantized tensors",
}


REBUILD_TENSOR = "torch._utils._rebuild_tensor_v2"
TENSOR_CLASS = "torch.Tensor"


def check_floating(dtype: str) -> None:
    if "float" not in dtype:
        raise CheckpointError(f"expected a floating tensor where requires_grad is True, got {dtype}")


class NameTable(dict):
    """(module, name) → what stands for it, or a placeholder for a name that it lacks, if the maker wants one."""

    def __init__(self, maker: TensorMaker):
        super().__init__()
        self.maker = maker

    def __missing__(self, key: tuple[str, str]) -> Placeholder:
        placeholder = self.maker.placeholder(".".join(key))
        if placeholder is None:
            reason = f"{WHAT_IS_MISSING[key[1]]}; " if key[1] in WHAT_IS_MISSING else ""
            raise KeyError(f"{reason}unknown='placeholder' loads what is around it")
        return placeholder


class TorchNames:
    """What the names stand for during one reading of a file."""

    def __init__(self, maker: TensorMaker, budget: Budget):
        self.maker = maker
        self.budget = budget
        self.old_parameters: dict[int, Any] = {}  # by their ids

    def table(self) -> NameTable:
        """(module, name) → a Constructor, a StorageType or a dtype."""
        table = NameTable(self.maker)

        def add(module: str, name: str, build: Callable[..., Any], fewest: int, most: int) -> None:
            table[module, name] = Constructor(f"{module}.{name}", build, fewest, most)

        add("torch._utils", "_rebuild_tensor", self.old_tensor, 4, 4)
        add("torch._utils", "_rebuild_tensor_v2", self.tensor, 6, 7)
        add("torch._utils", "_rebuild_parameter", self.parameter, 3, 3)
        add("torch._utils", "_rebuild_parameter_with_state", self.parameter_with_attributes, 4, 4)
        add("torch._tensor", "_rebuild_from_type_v2", self.tensor_with_attributes, 4, 4)
        add("torch", "Tensor", self.new_tensor, 0, 7)
        add("torch.nn.parameter", "Parameter", self.old_parameter, 1, 2)
        add("torch", "Size", self.size, 1, 1)
        add("collections", "OrderedDict", self.new_ordered_dict, 0, 1)
        add("collections", "Counter", self.new_counter, 0, 1)
        add("_codecs", "encode", self.encoded_bytes, 2, 2)
        for builtins in ("__builtin__", "builtins"):
            add(builtins, "set", self.new_set, 0, 1)
            add(builtins, "frozenset", self.new_frozenset, 0, 1)
            add(builtins, "bytes", self.empty_bytes, 0, 0)
        for name, storage_type in STORAGE_TYPES.items():
            table["torch", name] = table["torch.cuda", name] = storage_type
        for dtype in STORAGE_TYPE_OF:
            table["torch", dtype.name] = dtype
        return table

    # Tensors.

    def tensor(
        self,
        storage: Any,
        offset: Any,
        sizes: Any,
        strides: Any,
        requires_grad: Any = False,
        backward_hooks: Any = None,
        metadata: Any = None,
    ) -> Any:
        """Hooks are functions, which no file can have got past the table; an empty dictionary stands for them."""
        if type(storage) is not Storage:
            raise CheckpointError(f"expected a storage, got {kind(storage)}")
        if type(requires_grad) is not bool:
            raise CheckpointError(f"expected True or False for requires_grad, got {kind(requires_grad)}")
        if metadata is not None and (
            type(metadata) is not dict or len(metadata) > 2 or any(bit is not False for bit in metadata.values())
        ):
            raise CheckpointError("expected a tensor as it stands, got one with metadata: lazily conjugated, or negated")
        if requires_grad:
            check_floating(storage.type.dtype_name)
        array = window(storage.elements, offset, sizes, strides)
        self.budget.spend_tensor(array.size * storage.type.loaded_dtype.itemsize)
        return self.maker.tensor(array, requires_grad, storage)

    def parameter(self, tensor: Any, requires_grad: Any, backward_hooks: Any) -> Any:
        if not isinstance(tensor, self.maker.tensor_type):
            raise CheckpointError(f"expected a tensor, got {kind(tensor)}")
        if type(requires_grad) is not bool:
            raise CheckpointError(f"expected True or False for requires_grad, got {kind(requires_grad)}")
        if requires_grad:
            check_floating(self.maker.dtype_of(tensor))
        self.budget.spend_tensor(0)
        return self.maker.parameter(tensor, requires_grad)

    # Attributes that a program set on a tensor, and whether it is a buffer: tensors here have no such things.

    def parameter_with_attributes(self, tensor: Any, requires_grad: Any, backward_hooks: Any, attributes: Any) -> Any:
        return self.parameter(tensor, requires_grad, backward_hooks)

    def tensor_with_attributes(self, rebuild: Any, type_: Any, arguments: Any, attributes: Any) -> Any:
        if type(rebuild) is not Constructor or rebuild.name != REBUILD_TENSOR:
            raise CheckpointError(f"expected {REBUILD_TENSOR}, got {kind(rebuild)}")
        if type(type_) is not Constructor or type_.name != TENSOR_CLASS:
            raise CheckpointError(f"expected a {TENSOR_CLASS}, got one of {kind(type_)}")
        if type(arguments) is not tuple or not 6 <= len(arguments) <= 7:
            raise CheckpointError(f"expected a tuple of 6 to 7 arguments, got {kind(arguments)}")
        return self.tensor(*arguments)

    def new_tensor(self, *arguments: Any) -> Any:
        raise CheckpointError(f"expected tensors as {REBUILD_TENSOR} makes them, got another call")

    # Before torch 0.4.

    def old_tensor(self, storage: Any, offset: Any, sizes: Any, strides: Any) -> Any:
        """No sizes meant no elements then."""
        if type(storage) is Storage and type(sizes) is tuple and not sizes and not len(storage.elements):
            sizes, strides = (0,), (1,)
        return self.tensor(storage, offset, sizes, strides)

    def old_parameter(self, tensor: Any, requires_grad: Any = True) -> Any:
        """A parameter was its class, called with a tensor, and given a state."""
        parameter = self.parameter(tensor, requires_grad, None)
        self.old_parameters[id(parameter)] = parameter
        return parameter

    def give_state(self, target: Any, state: Any) -> None:
        """The state of an old parameter: requires_grad, volatile (which is gone from torch) and hooks."""
        if self.old_parameters.get(id(target)) is not target:
            raise CheckpointError(f"expected an OrderedDict or a Parameter to give attributes to, got {kind(target)}")
        if type(state) is not tuple or len(state) != 3 or type(state[0]) is not bool:
            raise CheckpointError("expected (requires_grad, volatile, hooks) as a Parameter's state, got another")
        if state[0]:
            check_floating(self.maker.dtype_of(target))
        self.maker.set_requires_grad(target, state[0])

    # Containers and bytes. Each copy is paid for: a file can ask for the same large one a million times.

    def size(self, sizes: Any) -> tuple:
        if type(sizes) is not tuple:
            raise CheckpointError(f"expected a tuple, got {kind(sizes)}")
        return sizes

    def new_ordered_dict(self, pairs: Any = ()) -> OrderedDict:
        """Python 2 wrote the entries as a list of pairs."""
        if type(pairs) not in (list, tuple):
            raise CheckpointError(f"expected a list of pairs, got {kind(pairs)}")
        self.budget.spend_objects(OBJECTS_PER_CONTAINER)
        self.budget.spend_copies(len(pairs))
        result: OrderedDict = OrderedDict()
        for pair in pairs:
            if type(pair) not in (list, tuple) or len(pair) != 2:
                raise CheckpointError(f"expected a key and a value, got {kind(pair)}")
            check_key(pair[0], self.budget)
            result[pair[0]] = pair[1]
        return result

    def new_counter(self, counts: Any = None) -> Counter:
        if counts is not None and type(counts) is not dict:
            raise CheckpointError(f"expected a dictionary of counts, got {kind(counts)}")
        self.keys(list(counts or ()))
        result: Counter = Counter()
        dict.update(result, counts or {})
        return result

    def keys(self, elements: Any) -> Any:
        if type(elements) not in (list, tuple):
            raise CheckpointError(f"expected a list of elements, got {kind(elements)}")
        self.budget.spend_objects(OBJECTS_PER_CONTAINER)
        self.budget.spend_copies(len(elements))
        for element in elements:
            check_key(element, self.budget)
        return elements

    def new_set(self, elements: Any = ()) -> set:
        return set(self.keys(elements))

    def new_frozenset(self, elements: Any = ()) -> frozenset:
        return frozenset(self.keys(elements))

    def empty_bytes(self) -> bytes:
        return b""

    def encoded_bytes(self, text: Any, encoding: Any) -> bytes:
        """Protocol 2 has no bytes: they are written as text that latin-1 turns back."""
        if type(text) is not str or type(encoding) is not str or encoding not in ("latin1", "latin-1"):
            raise CheckpointError(f"expected a string to be encoded in latin1, got {kind(text)} and another encoding")
        self.budget.spend_text(len(text))
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            raise CheckpointError("expected characters of latin-1, got others") from None
