"""A tensor in a file is a window (offset, sizes, strides) on a storage, a run of elements that tensors may share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .. import dtypes
from .errors import CheckpointError, quoted

LARGEST_ARRAY_BYTES = 2**62
MOST_DIMENSIONS = 64


@dataclass(frozen=True, slots=True)
class StorageType:
    """Stands for one of torch's storage classes.

    Args:
        name: the class, such as ``FloatStorage``.
        dtype: what the bytes in the file are.
        widened: True for bfloat16 where minigrad has none: the upper half of a float32, and read as one.
    """

    name: str
    dtype: np.dtype
    widened: bool = False

    @property
    def dtype_name(self) -> str:
        return "bfloat16" if self.widened else self.dtype.name

    @property
    def loaded_dtype(self) -> np.dtype:
        """What the elements are in memory."""
        return dtypes.float32 if self.widened else self.dtype


@dataclass(frozen=True, slots=True)
class Storage:
    """One storage of a file: its elements, (n,), which its tensors look into."""

    name: str
    type: StorageType
    elements: np.ndarray


@dataclass(slots=True, eq=False)
class TensorRecord:
    """A tensor as the file formats see it: an array on the CPU, and what a Tensor has beyond that."""

    array: np.ndarray
    requires_grad: bool = False
    is_parameter: bool = False


BFLOAT16_STORAGE = (
    StorageType("BFloat16Storage", dtypes.bfloat16)
    if hasattr(dtypes, "bfloat16")
    else StorageType("BFloat16Storage", np.dtype("uint16"), widened=True)
)
# minigrad's dtypes, by the names of torch's storage classes for them.
STORAGE_TYPES = {
    "DoubleStorage": StorageType("DoubleStorage", np.dtype("float64")),
    "FloatStorage": StorageType("FloatStorage", np.dtype("float32")),
    "HalfStorage": StorageType("HalfStorage", np.dtype("float16")),
    "BFloat16Storage": BFLOAT16_STORAGE,
    "LongStorage": StorageType("LongStorage", np.dtype("int64")),
    "IntStorage": StorageType("IntStorage", np.dtype("int32")),
    "ShortStorage": StorageType("ShortStorage", np.dtype("int16")),
    "CharStorage": StorageType("CharStorage", np.dtype("int8")),
    "ByteStorage": StorageType("ByteStorage", np.dtype("uint8")),
    "BoolStorage": StorageType("BoolStorage", np.dtype("bool")),
}
STORAGE_TYPE_OF = {type.dtype: type for type in STORAGE_TYPES.values() if not type.widened}


def stored_elements(stored: np.ndarray, type: StorageType, byte_order: Literal["<", ">"]) -> np.ndarray:
    """Stored bytes, (n · itemsize,), as the elements that they are in the file, (n,): the same memory, unread."""
    if len(stored) % type.dtype.itemsize:
        raise CheckpointError(f"expected elements of {type.dtype.itemsize} bytes, got {len(stored)} bytes ({type.name})")
    return stored.view(type.dtype.newbyteorder(byte_order))


def decode_elements(stored: np.ndarray, type: StorageType, byte_order: Literal["<", ">"]) -> np.ndarray:
    """The elements, (n,), that stored bytes, (n · itemsize,), stand for: the same memory if they need no conversion.

    Mapped bytes may also be at a place where a processor cannot take them as they are; these are copied, too.
    """
    elements = stored_elements(stored, type, byte_order)
    if type.widened:
        wide = elements.astype(np.uint32)
        wide <<= 16
        return wide.view(np.float32)
    if type.dtype == np.dtype(bool):
        return stored != 0  # NumPy relies on a bool's byte being 0 or 1; a file may have anything
    # The view is for bfloat16, of which NumPy makes other dtype objects that are equal: ours is the one found quickest.
    return elements.astype(type.dtype, copy=not elements.flags.aligned).view(type.dtype)


def check_whole_numbers(what: str, numbers: tuple) -> None:
    for number in numbers:
        if type(number) is not int or number < 0:
            got = number if type(number) is int else type(number).__name__
            raise CheckpointError(f"expected {what} to be whole numbers from 0, got {got}")


def part_of(storage: Storage, offset: Any, count: Any) -> Storage:
    """A storage that is a run of another one's elements; torch had such views before 1.6."""
    check_whole_numbers("the offset and size of a part of a storage", (offset, count))
    if offset + count > len(storage.elements):
        raise CheckpointError(
            f"expected a part within the {len(storage.elements)} elements of {quoted(storage.name)},"
            f" got one of {count} that begins at element {offset}"
        )
    return Storage(f"a part of {storage.name}", storage.type, storage.elements[offset : offset + count])


def window(elements: np.ndarray, offset: Any, sizes: Any, strides: Any) -> np.ndarray:
    """The array that starts at an offset and walks by strides (all in elements), if it stays within the storage.

    Raises:
        CheckpointError: if it does not, or if these are not numbers that an array can have.
    """
    if type(sizes) is not tuple or type(strides) is not tuple or not len(sizes) == len(strides) <= MOST_DIMENSIONS:
        raise CheckpointError(f"expected a tuple of sizes and one of as many strides, at most {MOST_DIMENSIONS}, got others")
    check_whole_numbers("a tensor's offset, sizes and strides", (offset, *sizes, *strides))
    itemsize = elements.dtype.itemsize
    if math.prod(max(size, 1) for size in sizes) * itemsize > LARGEST_ARRAY_BYTES:
        raise CheckpointError(f"expected a tensor of at most {LARGEST_ARRAY_BYTES} bytes, got size {sizes}")
    if 0 in sizes:
        return np.empty(sizes, elements.dtype)
    end = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides)) + 1
    if end > len(elements):
        raise CheckpointError(
            f"expected a tensor within its storage of {len(elements)} elements, got one that ends at element {end}"
            f" (offset {offset}, size {sizes}, stride {strides})"
        )
    # The stride of a dimension of size 1 is never walked, and a file may hold one that no address can have.
    byte_strides = [itemsize * (stride if stride <= len(elements) else 1) for stride in strides]
    return np.ndarray(sizes, elements.dtype, elements, offset * itemsize, byte_strides)
