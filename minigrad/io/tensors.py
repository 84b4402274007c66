"""Where Tensors become the arrays that the file formats know, and arrays Tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._tensor import Tensor
from ..backends import Device
from ..nn.parameter import Parameter
from .placeholder import Placeholder
from .storage import Storage, TensorRecord


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

    def __init__(self, device: Device, placeholders: bool = False):
        self.device = device
        self.placeholders = placeholders
        self.moved: dict[tuple, tuple[np.ndarray, Tensor]] = {}
        self.widened = 0  # how many of the tensors that it made were bfloat16 in the file, and are not here

    def placeholder(self, name: str) -> Placeholder | None:
        return Placeholder(name) if self.placeholders else None

    def tensor(self, array: np.ndarray, requires_grad: bool, storage: Storage) -> Tensor:
        self.widened += storage.type.widened
        tensor = Tensor(array)
        if self.device.type != "cpu":
            window = (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype)
            if window not in self.moved:
                self.moved[window] = array, tensor.to(self.device)
            tensor = self.moved[window][1].detach()
        return tensor.requires_grad_(requires_grad)

    def dtype_of(self, tensor: Tensor) -> str:
        return tensor.dtype.name

    def parameter(self, tensor: Tensor, requires_grad: bool) -> Parameter:
        return Parameter(tensor.detach(), requires_grad)

    def set_requires_grad(self, parameter: Parameter, requires_grad: bool) -> None:
        parameter.requires_grad_(requires_grad)
