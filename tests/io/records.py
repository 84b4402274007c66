"""What the tests of reading share: tensors as plain records, and the ways in which a tensor may lie in its storage."""

import numpy as np
import pytest

from minigrad.io.storage import TensorRecord


class RecordMaker:
    """A TensorMaker whose tensors are TensorRecords."""

    tensor_type = TensorRecord

    def tensor(self, array, requires_grad, storage):
        return TensorRecord(array, requires_grad)

    def parameter(self, tensor, requires_grad):
        return TensorRecord(tensor.array, requires_grad, is_parameter=True)

    def dtype_of(self, tensor):
        return tensor.array.dtype.name

    def set_requires_grad(self, parameter, requires_grad):
        parameter.requires_grad = requires_grad

    def placeholder(self, name):
        return None


# How a tensor may lie in its storage: by name, what makes one of torch's.
LAYOUTS = {
    "permuted": lambda torch: torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1),
    "channels last": lambda torch: torch.arange(120.0).reshape(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    "slice": lambda torch: torch.arange(24.0).reshape(4, 6)[1:3, ::2],
    "expanded": lambda torch: torch.arange(3.0).expand(5, 3),
    "strided": lambda torch: torch.arange(24.0).as_strided((1, 3, 1), (99, 2, 7), 5),
    "0-d": lambda torch: torch.tensor(7.0),
    "empty": lambda torch: torch.zeros(0),
    "empty 3-d": lambda torch: torch.zeros(3, 0, 2),
    "empty slice": lambda torch: torch.arange(10)[10:],
}


def as_array(tensor):
    """A torch tensor's elements, as what minigrad has for its dtype: torch makes no array of bfloat16."""
    torch = pytest.importorskip("torch")
    tensor = tensor.detach()
    return tensor.view(torch.int16).numpy().view("bfloat16") if tensor.dtype == torch.bfloat16 else tensor.numpy()


def check_layout(array, tensor):
    """An array must have a torch tensor's values, and its strides in all dims that are walked along."""
    assert array.shape == tensor.shape
    assert np.array_equal(array, tensor.numpy())
    if tensor.numel():
        walked = [dim for dim, size in enumerate(tensor.shape) if size > 1]
        assert [array.strides[dim] // array.itemsize for dim in walked] == [tensor.stride(dim) for dim in walked]
