"""``save`` and ``load``: where Tensors become the arrays that the file formats know, and arrays Tensors."""

from __future__ import annotations

import os
from typing import Any, BinaryIO

import numpy as np

from .._tensor import Tensor
from ..backends import Device, backend_for
from ..dtypes import FLOATING
from ..nn.parameter import Parameter
from . import signatures, torch_zip
from .errors import CheckpointError
from .files import atomic_write
from .limits import Limits
from .storage import TensorRecord
from .torch_pickle import encode


def save(obj: Any, f: str | os.PathLike | BinaryIO) -> None:
    """Save tensors, and plain data around them, in torch's checkpoint format.

    ``torch.load(f, weights_only=True)`` reads the file, and so does ``minigrad.load``. Tensors that share memory share
    it again when they are loaded; a view whose base is not saved takes only its own bytes. Gradients are not saved,
    and NumPy scalars become Python numbers. A file is replaced only once the new one is complete.

    Args:
        obj: a Tensor, Parameter, number, string, bytes, bool, None or dtype, or dicts (also OrderedDict and Counter),
            lists, tuples and sets of these, nested at most 100 deep.
        f: the file's name, or a binary stream to write to.

    Raises:
        TypeError: if something in ``obj`` cannot be saved, before anything is written; the message says where it is.

    >>> import io, minigrad
    >>> file = io.BytesIO()
    >>> minigrad.save({"weight": minigrad.ones(2, 3), "epoch": 7}, file)
    >>> minigrad.save({"optimizer": {"state": [open]}}, file)
    Traceback (most recent call last):
    ...
    TypeError: save: checkpoint['optimizer']['state'][0]: expected tensors, numbers, ...
    """
    pickle, storages = encode(obj, TensorRecorder().record_of)
    if isinstance(f, (str, os.PathLike)):
        with atomic_write(f) as stream:
            torch_zip.write(stream, pickle, storages)
    elif hasattr(f, "write"):
        torch_zip.write(f, pickle, storages)
    else:
        raise TypeError(f"save: expected a file's name or a binary stream to write to, got a {type(f).__name__}")


def load(
    f: str | os.PathLike | BinaryIO,
    map_location: Any = None,
    *,
    weights_only: bool = True,
    limits: Limits | None = None,
) -> Any:
    """Load what ``minigrad.save`` or ``torch.save`` (of torch 1.6 or newer) wrote, without torch.

    Nothing in the file is run: it can only ask for plain data and tensors, and for no more than ``limits`` allows.
    bfloat16 is read as float32.

    Args:
        f: the file's name, or a binary stream that can seek.
        map_location: the device for the tensors. None is the CPU, wherever they were saved.
        weights_only: True; the argument is here for PyTorch's users.
        limits: how much the file may ask for.

    Returns:
        The saved object. Tensors that shared memory share it here, too; on another device than the CPU, only those
        that were the same part of it.

    Raises:
        CheckpointError: if the file is of another format, is damaged, or asks for anything else.
        ValueError: if ``weights_only`` is False.

    >>> import io, minigrad
    >>> file = io.BytesIO()
    >>> minigrad.save({"weight": minigrad.ones(2), "epoch": 7}, file)
    >>> _ = file.seek(0)
    >>> minigrad.load(file)
    {'weight': tensor([1., 1.]), 'epoch': 7}
    """
    if not weights_only:
        raise ValueError("load: expected weights_only=True (minigrad runs no code from a file), got False")
    if callable(map_location) or isinstance(map_location, dict):
        raise TypeError(f"load: expected a device as map_location, got a {type(map_location).__name__}")
    maker = DeviceTensorMaker(backend_for(map_location)[1])
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as stream:
            return load_stream(stream, f"load: {os.fspath(f)}", maker, limits or Limits())
    if not (hasattr(f, "read") and hasattr(f, "seek")):
        raise TypeError(f"load: expected a file's name or a binary stream that can seek, got a {type(f).__name__}")
    return load_stream(f, "load", maker, limits or Limits())


def load_stream(stream: BinaryIO, prefix: str, maker: DeviceTensorMaker, limits: Limits) -> Any:
    """The object in a stream of any format that has a reader."""
    start = stream.tell()
    head = stream.read(signatures.BYTES_NEEDED)
    if not isinstance(head, bytes):
        raise TypeError(f"load: expected a stream of bytes, got one of {type(head).__name__} (open the file with 'rb')")
    stream.seek(start)
    try:
        if not head.startswith(signatures.ZIP):
            expected = "a ZIP archive of torch.save or minigrad.save"
            raise CheckpointError(f"expected {expected}, got {signatures.describe(head)}")
        return torch_zip.read(stream, maker, limits)
    except CheckpointError as error:
        raise CheckpointError(f"{prefix}: {error}") from None


class TensorRecorder:
    """Turns Tensors into records of arrays on the CPU, the same array for tensors over the same memory of a device."""

    def __init__(self) -> None:
        self.host_arrays: dict[tuple, np.ndarray] = {}

    def record_of(self, value: Any) -> TensorRecord | None:
        """A Tensor's record, or None for what is no Tensor."""
        if not isinstance(value, Tensor):
            return None
        window = (str(value.device), value.data_ptr(), value.shape, value.stride(), value.dtype)
        if window not in self.host_arrays:
            self.host_arrays[window] = value.detach().numpy(force=True)
        return TensorRecord(self.host_arrays[window], value.requires_grad, isinstance(value, Parameter))


class DeviceTensorMaker:
    """Makes Tensors and Parameters on a device, over the arrays' memory where that is the CPU's."""

    tensor_type = Tensor

    def __init__(self, device: Device):
        self.device = device
        self.moved: dict[tuple, tuple[np.ndarray, Tensor]] = {}

    def tensor(self, array: np.ndarray, requires_grad: bool) -> Tensor:
        if requires_grad and array.dtype not in FLOATING:
            raise CheckpointError(f"expected a floating tensor where requires_grad is True, got {array.dtype}")
        tensor = Tensor(array)
        if self.device.type != "cpu":
            window = (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype)
            if window not in self.moved:
                self.moved[window] = array, tensor.to(self.device)
            tensor = self.moved[window][1].detach()
        return tensor.requires_grad_(requires_grad)

    def parameter(self, tensor: Tensor, requires_grad: bool) -> Parameter:
        if requires_grad and tensor.dtype not in FLOATING:
            raise CheckpointError(f"expected a floating tensor where requires_grad is True, got {tensor.dtype}")
        return Parameter(tensor.detach(), requires_grad)
