"""Tensors by name in the safetensors format, for programs that want that format and for its metadata."""

from __future__ import annotations

import os
from typing import Any, BinaryIO

import numpy as np

from .._tensor import Tensor
from . import safetensors_reader, safetensors_writer, signatures
from .atomic_output import output_stream
from .errors import CheckpointError
from .limits import Limits
from .tensors import TensorRecorder


def save_safetensors(
    tensors: dict[str, Tensor], f: str | os.PathLike | BinaryIO, metadata: dict[str, str] | None = None
) -> None:
    """Save tensors by name in the safetensors format, which other programs read without any pickle.

    ``minigrad.load`` gives the dict back, in its order, with every Parameter as a Tensor. A tensor that is not
    contiguous is written as if it were. A file is replaced only once the new one is complete.

    Args:
        tensors: names to Tensors, such as a module's ``state_dict()``.
        f: the file's name, or a binary stream to write to.
        metadata: strings by name, for ``minigrad.io.read_safetensors_metadata``; some programs want ``{"format": "pt"}``.

    Raises:
        TypeError: if ``tensors`` or ``metadata`` has anything else in it, before anything is written.
        ValueError: if two tensors share memory, of which the format knows nothing, before anything is written.

    >>> import io, minigrad
    >>> file = io.BytesIO()
    >>> minigrad.io.save_safetensors({"weight": minigrad.ones(2)}, file)
    >>> _ = file.seek(0)
    >>> minigrad.load(file)
    {'weight': tensor([1., 1.])}
    """
    if metadata is not None and not isinstance(metadata, dict):
        raise TypeError(f"save_safetensors: expected metadata to be a dict of strings, got a {type(metadata).__name__}")
    write_safetensors(tensors, f, metadata or {}, "save_safetensors")


def write_safetensors(tensors: Any, f: str | os.PathLike | BinaryIO, metadata: dict[str, str], function: str) -> None:
    """What ``save_safetensors`` does; ``function`` is what errors begin with."""
    arrays = named_arrays(tensors, function)
    shared = safetensors_writer.shared_pair(arrays)
    if shared is not None:
        raise ValueError(
            f"{function}: expected tensors that share no memory, got {shared[0]!r} and {shared[1]!r} sharing some"
            " (leave one out or clone() it; a .pt file keeps what is shared)"
        )
    for name, value in metadata.items():
        if type(name) is not str or type(value) is not str:
            raise TypeError(f"{function}: expected metadata of strings, got {name!r}: {value!r}")
    try:
        header, order = safetensors_writer.encode_header(arrays, metadata)
    except ValueError as error:
        raise ValueError(f"{function}: {error}") from None
    with output_stream(f, function) as stream:
        safetensors_writer.write(stream, header, [arrays[name] for name in order])


def named_arrays(tensors: Any, function: str) -> dict[str, np.ndarray]:
    """The arrays of a flat dict of Tensors."""
    if not isinstance(tensors, dict):
        hint = " (a module's .state_dict() is one)" if hasattr(tensors, "state_dict") else ""
        raise TypeError(f"{function}: expected a dict of names to tensors, got a {type(tensors).__name__}{hint}")
    recorder = TensorRecorder()
    arrays = {}
    for name, value in tensors.items():
        if type(name) is not str:
            raise TypeError(f"{function}: expected strings as names of tensors, got the {type(name).__name__} {name!r}")
        try:
            record = recorder.record_of(value)
        except RuntimeError as error:  # a tensor that has no elements to save, as on the meta device
            raise RuntimeError(f"{function}: {name!r}: {error}") from None
        if record is None:
            raise TypeError(
                f"{function}: expected a tensor as {name!r}, got a {type(value).__name__}"
                " (a .pt file may hold other things, too)"
            )
        arrays[name] = record.array
    return arrays


def read_safetensors_metadata(f: str | os.PathLike | BinaryIO) -> dict[str, str]:
    """What a safetensors file says of itself beside its tensors: strings by name, an empty dict if nothing.

    Only the file's header is read.

    Args:
        f: the file's name, or a binary stream that can seek.

    Raises:
        CheckpointError: if it is no such file, or a damaged one.

    >>> import io, minigrad
    >>> file = io.BytesIO()
    >>> minigrad.io.save_safetensors({"weight": minigrad.ones(2)}, file, metadata={"step": "7"})
    >>> _ = file.seek(0)
    >>> minigrad.io.read_safetensors_metadata(file)
    {'step': '7'}
    """
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as stream:
            return read_metadata_from(stream, f"read_safetensors_metadata: {os.fspath(f)}")
    if not (hasattr(f, "read") and hasattr(f, "seek")):
        expected = "a file's name or a binary stream that can seek"
        raise TypeError(f"read_safetensors_metadata: expected {expected}, got a {type(f).__name__}")
    return read_metadata_from(f, "read_safetensors_metadata")


def read_metadata_from(stream: BinaryIO, prefix: str) -> dict[str, str]:
    try:
        head = signatures.read_head(stream, "read_safetensors_metadata")
        if signatures.format_of(head) != "safetensors":
            raise CheckpointError(f"expected a safetensors file, got {signatures.describe(head)}")
        return safetensors_reader.read_header(stream, Limits()).metadata
    except CheckpointError as error:
        raise CheckpointError(f"{prefix}: {error}") from None
