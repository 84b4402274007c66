"""``save`` and ``load``: which format a file is to have, or has."""

from __future__ import annotations

import os
import warnings
from typing import Any, BinaryIO, Literal

from ..backends import backend_for
from . import safetensors_reader, signatures, torch_stream, torch_tar, torch_zip
from .atomic_output import output_stream
from .errors import CheckpointError
from .file_bytes import map_file
from .limits import Limits
from .safetensors import write_safetensors
from .tensors import DeviceTensorMaker, TensorRecorder
from .torch_pickle import encode

READABLE = "a checkpoint of torch.save or minigrad.save, or a safetensors file"
SAFETENSORS_SUFFIX = ".safetensors"


def save(obj: Any, f: str | os.PathLike | BinaryIO) -> None:
    """Save tensors, and plain data around them, in torch's zip format, or tensors by name in the safetensors format.

    ``torch.load(f, weights_only=True)`` reads the file, and so does ``minigrad.load``. Tensors that share memory share
    it again when they are loaded; a view whose base is not saved takes only its own bytes. Gradients are not saved,
    and NumPy scalars become Python numbers. A file is replaced only once the new one is complete.

    A file's name that ends in ``.safetensors`` asks for that format, as ``minigrad.io.save_safetensors`` writes it. It
    holds one flat dict of names to Tensors, none of which shares memory with another, and nothing else.

    Args:
        obj: a Tensor, Parameter, number, string, bytes, bool, None or dtype, or dicts (also OrderedDict and Counter),
            lists, tuples and sets of these, nested at most 100 deep.
        f: the file's name, or a binary stream to write to.

    Raises:
        TypeError: if something in ``obj`` cannot be saved, or could not be loaded with the default limits on keys,
            before anything is written; the message says where it is.
        RuntimeError: if a tensor is on the meta device, before anything is written.
        ValueError: if tensors for a ``.safetensors`` file share memory, before anything is written.

    >>> import io, minigrad
    >>> file = io.BytesIO()
    >>> minigrad.save({"weight": minigrad.ones(2, 3), "epoch": 7}, file)
    >>> minigrad.save({"optimizer": {"state": [open]}}, file)
    Traceback (most recent call last):
    ...
    TypeError: save: checkpoint['optimizer']['state'][0]: expected tensors, numbers, ...
    """
    if isinstance(f, (str, os.PathLike)) and os.fsdecode(f).lower().endswith(SAFETENSORS_SUFFIX):
        write_safetensors(obj, f, {}, "save")
        return
    pickle, storages = encode(obj, TensorRecorder().record_of)
    with output_stream(f, "save") as stream:
        torch_zip.write(stream, pickle, storages)


def load(
    f: str | os.PathLike | BinaryIO,
    map_location: Any = None,
    *,
    weights_only: bool = True,
    mmap: bool = False,
    unknown: Literal["refuse", "placeholder"] = "refuse",
    limits: Limits | None = None,
) -> Any:
    """Load what ``minigrad.save`` or ``torch.save`` wrote, in any of torch's formats, without torch, or a safetensors file.

    The file's content says which format it has. Nothing in it is run: it can only ask for plain data and tensors, and
    for no more than ``limits`` allows. Attributes that were set on a tensor are left out. A safetensors file gives a
    dict of names to Tensors. Where ml_dtypes is not installed, minigrad has no bfloat16: such tensors are read as
    float32, with the same values, and a warning says so.

    Refused are whole networks and TorchScript archives, tensors that are complex, sparse, quantized, on the meta device
    or of a dtype that minigrad lacks, bare storages, and objects of other classes than Python's plain data.

    Args:
        f: the file's name, or a binary stream that can seek, which is read from where it stands. Of several checkpoints in
            torch's zip format in one stream, only the last can be read.
        map_location: the device for the tensors. None is the CPU, wherever they were saved. With ``"meta"`` they have
            shapes and dtypes only, but the file is read in full, and compared with its checksums.
        weights_only: True; the argument is here for PyTorch's users.
        mmap: map the file, whose name ``f`` must be, and read of its tensors only what is looked at. Writing to a
            tensor never changes the file. The elements' checksums are not compared, and what is stored in another way
            than it is used (bool, big-endian, not aligned, bfloat16 read as float32) is read at once. On POSIX the file
            may be deleted or replaced by another of its name, as ``minigrad.save`` does it, but must not be cut or
            written to: tensors may change with it, and a look behind its end kills the process (SIGBUS). Windows keeps
            it from being replaced. The legacy formats of torch cannot be mapped.
        unknown: what becomes of names that the file has and minigrad does not know, as training checkpoints may have
            beside the tensors (NumPy's scalars, ``argparse.Namespace``): ``"refuse"`` the file, or put an inert
            ``minigrad.io.Placeholder`` in the place of everything that would be made with them. What has no such name
            is refused in any case: bare storages, lazily negated or conjugated tensors, integers of over 2040 bits.
        limits: how much the file may ask for.

    Returns:
        The saved object. Tensors that shared memory share it here, too; on another device than the CPU, only those
        that were the same part of it.

    Raises:
        CheckpointError: if the file is of another format, is damaged, or asks for anything else.
        TypeError: if ``mmap`` is True and ``f`` is a stream, or an argument is of another type.
        ValueError: if ``weights_only`` is False, or there is no such device.

    >>> import io, minigrad
    >>> file = io.BytesIO()
    >>> minigrad.save({"weight": minigrad.ones(2), "epoch": 7}, file)
    >>> _ = file.seek(0)
    >>> minigrad.load(file)
    {'weight': tensor([1., 1.]), 'epoch': 7}
    """
    if not weights_only:
        raise ValueError(f"load: expected weights_only=True (minigrad runs no code from a file), got {weights_only!r}")
    if callable(map_location) or isinstance(map_location, dict):
        raise TypeError(f"load: expected a device as map_location, got a {type(map_location).__name__}")
    if unknown not in ("refuse", "placeholder"):
        raise ValueError(f"load: expected unknown to be 'refuse' or 'placeholder', got {unknown!r}")
    if limits is not None and not isinstance(limits, Limits):
        raise TypeError(f"load: expected minigrad.io.Limits as limits, got a {type(limits).__name__}")
    try:
        device = backend_for("cpu" if map_location is None else map_location)[1]
    except (TypeError, ValueError, RuntimeError) as error:
        raise type(error)(f"load: {error}") from None
    maker = DeviceTensorMaker(device, placeholders=unknown == "placeholder")
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as stream:
            loaded = load_stream(stream, f"load: {os.fspath(f)}", maker, limits or Limits(), mmap)
    elif not (hasattr(f, "read") and hasattr(f, "seek")):
        raise TypeError(f"load: expected a file's name or a binary stream that can seek, got a {type(f).__name__}")
    elif mmap:
        raise TypeError(f"load: expected a file's name with mmap=True, got a {type(f).__name__}")
    else:
        loaded = load_stream(f, "load", maker, limits or Limits())
    if maker.widened:
        problem = f"bfloat16 tensors that were read as float32, as ml_dtypes is not installed: {maker.widened}"
        warnings.warn(f"load: {problem} (pip install 'minigrad[bfloat16]' keeps their dtype)", stacklevel=2)
    return loaded


def load_stream(stream: BinaryIO, prefix: str, maker: DeviceTensorMaker, limits: Limits, mmap: bool = False) -> Any:
    """The object in a stream of any format that has a reader."""
    try:
        head = signatures.read_head(stream, "load")
        format = signatures.format_of(head)
        if format == "zip":
            return torch_zip.read(stream, maker, limits, map_file(stream) if mmap else None)
        if format == "safetensors":
            return safetensors_reader.read(stream, maker, limits, map_file(stream) if mmap else None)
        if mmap:
            raise CheckpointError(f"expected a ZIP archive or a safetensors file to map, got {signatures.describe(head)}")
        if format == "stream":
            return torch_stream.read(stream, maker, limits)
        if format == "tar":
            return torch_tar.read(stream, maker, limits)
        raise CheckpointError(f"expected {READABLE}, got {signatures.describe(head)}")
    except CheckpointError as error:
        raise CheckpointError(f"{prefix}: {error}") from None
