"""Reads tensors as plain records, for tests that have no need of tensors."""

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
