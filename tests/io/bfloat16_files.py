"""Files with bfloat16 made of its bits, as uint16, so that they can be had where ml_dtypes is not installed."""

import io

import numpy as np

from minigrad import Tensor
from minigrad.io import save_safetensors, torch_zip
from minigrad.io.tensors import TensorRecorder
from minigrad.io.torch_pickle import encode


def as_tensors(arrays):
    """What can be written, int16 in the place of uint16: the file is then told that it is bfloat16."""
    return {name: Tensor(array.view(np.int16) if array.dtype == np.uint16 else array) for name, array in arrays.items()}


def zip_of_arrays(arrays, value_of):
    """An archive of named arrays, uint16 for bfloat16 and none of int16, in the object that is made of the tensors."""
    pickled, storages = encode(value_of(as_tensors(arrays)), TensorRecorder().record_of)
    stream = io.BytesIO()
    torch_zip.write(stream, pickled.replace(b"ShortStorage", b"BFloat16Storage"), storages)
    return stream.getvalue()


def safetensors_of_arrays(arrays, **options):
    """A safetensors file of named arrays, uint16 for bfloat16 and none of int16."""
    stream = io.BytesIO()
    save_safetensors(as_tensors(arrays), stream, **options)
    content = stream.getvalue()
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length].replace(b'"I16"', b'"BF16"')
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]
