"""A tensor in a file is a window (offset, sizes, strides) on a storage, a run of elements that tensors may share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .errors import CheckpointError

LARGEST_ARRAY_BYTES = 2**62
MOST_DIMENSIONS = 64


@dataclass(frozen=True, slots=True)
class StorageType:
    """Stands for one of torch's storage classes.

    Args:
        name: the class, such as ``FloatStorage``.
        dtype: what the bytes in the file are.
        widened: True for bfloat16, which NumPy lacks: the upper half of a float32, and read as one.
    """

    name: str
    dtype: np.dtype
    widened: bool = False


@dataclass(frozen=True, slots=True)
class Storage:
    """One storage of a file: its elements, (n,), which its tensors look into."""

    name: str
    type: StorageType
    elements: np.ndarray


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """A tensor as the file formats see it: an array on the CPU, and what a Tensor has beyond that."""

    array: np.ndarray
    requires_grad: bool = False
    is_parameter: bool = False


# minigrad's dtypes, by the names of torch's storage classes for them.
STORAGE_TYPES = {
    "DoubleStorage": StorageType("DoubleStorage", np.dtype("float64")),
    "FloatStorage": StorageType("FloatStorage", np.dtype("float32")),
    "HalfStorage": StorageType("HalfStorage", np.dtype("float16")),
    "BFloat16Storage": StorageType("BFloat16Storage", np.dtype("uint16"), widened=True),
    "LongStorage": StorageType("LongStorage", np.dtype("int64")),
    "IntStorage": StorageType("IntStorage", np.dtype("int32")),
    "ShortStorage": StorageType("ShortStorage", np.dtype("int16")),
    "CharStorage": StorageType("CharStorage", np.dtype("int8")),
    "ByteStorage": StorageType("ByteStorage", np.dtype("uint8")),
    "BoolStorage": StorageType("BoolStorage", np.dtype("bool")),
}
STORAGE_TYPE_OF = {type.dtype: type for type in STORAGE_TYPES.values() if not type.widened}


def decode_elements(stored: np.ndarray, type: StorageType, byte_order: Literal["<", ">"]) -> np.ndarray:
    """The elements, (n,), that stored bytes, (n · itemsize,), stand for: the same memory if they need no conversion."""
    if len(stored) % type.dtype.itemsize:
        raise CheckpointError(f"expected elements of {type.dtype.itemsize} bytes, got {len(stored)} bytes ({type.name})")
    elements = stored.view(type.dtype.newbyteorder(byte_order))
    if type.widened:
        return (elements.astype(np.uint32) << 16).view(np.float32)
    if type.dtype == np.dtype(bool):
        return stored != 0  # NumPy relies on a bool's byte being 0 or 1; a file may have anything
    return elements.astype(type.dtype, copy=False)


def window(elements: np.ndarray, offset: Any, sizes: Any, strides: Any) -> np.ndarray:
    """The array that starts at an offset and walks by strides (all in elements), if it stays within the storage.

    Raises:
        CheckpointError: if it does not, or if these are not numbers that an array can have.
    """
    if type(sizes) is not tuple or type(strides) is not tuple or not len(sizes) == len(strides) <= MOST_DIMENSIONS:
        raise CheckpointError(f"expected a tuple of sizes and one of as many strides, at most {MOST_DIMENSIONS}, got others")
    for number in (offset, *sizes, *strides):
        if type(number) is not int or number < 0:
            got = number if type(number) is int else type(number).__name__
            raise CheckpointError(f"expected a tensor's offset, sizes and strides to be whole numbers from 0, got {got}")
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
