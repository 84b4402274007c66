"""How torch pickles a tensor: as a call that rebuilds it from a storage, which is named and kept outside the pickle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .limits import Limits
from .packing import Placement, pack
from .pickle_writer import Call, Name, Persistent, PickleWriter
from .storage import STORAGE_TYPE_OF, TensorRecord
from .tree import TensorFinder, plain_scalar


def encode(value: Any, record_of: Callable[[Any], TensorRecord | None]) -> tuple[bytes, list[np.ndarray]]:
    """The pickle of an object and the storages of its tensors.

    Args:
        value: what is to be saved.
        record_of: from a value to its record if it is a tensor, to None if not.

    Raises:
        TypeError: if something in it cannot be saved, with the way to it.
    """
    finder = TensorFinder(record_of, Limits().depth)
    finder.visit(value)
    storages, placements = pack([record.array for record in finder.records.values()])
    calls = {
        identity: tensor_call(record, placement) for (identity, record), placement in zip(finder.records.items(), placements)
    }

    def replace(value: Any) -> Any:
        if isinstance(value, np.dtype):
            return Name("torch", value.name)
        return calls.get(id(value)) or plain_scalar(value)

    return PickleWriter(replace).dump(value), storages


def tensor_call(record: TensorRecord, placement: Placement) -> Call:
    """The call that rebuilds a tensor or parameter. Its storage is said to be on the CPU, for readers without CUDA."""
    storage_type = STORAGE_TYPE_OF[record.array.dtype.newbyteorder("=")]
    storage = Persistent(("storage", Name("torch", storage_type.name), str(placement.storage), "cpu", placement.storage_size))
    no_hooks = Call(Name("collections", "OrderedDict"), ())
    window = (storage, placement.offset, placement.sizes, placement.strides)
    requires_grad = record.requires_grad and not record.is_parameter
    tensor = Call(Name("torch._utils", "_rebuild_tensor_v2"), (*window, requires_grad, no_hooks))
    if not record.is_parameter:
        return tensor
    return Call(Name("torch._utils", "_rebuild_parameter"), (tensor, record.requires_grad, no_hooks))
