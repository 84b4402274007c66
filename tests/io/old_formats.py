"""Makes files in torch's two older formats by hand, as old versions of torch and of Python wrote them."""

import io
import pickle
import struct
import tarfile
from dataclasses import dataclass
from typing import Any

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
FACTS = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
    "uint16": "BFloat16Storage",
}


@dataclass(frozen=True)
class Global:
    """What a pickle is to look up."""

    module: str
    name: str


@dataclass(eq=False)
class Called:
    """What a pickle is to make by a call, and then give a state."""

    function: Global
    arguments: Any
    state: Any = None


@dataclass(frozen=True)
class Persistent:
    """What a pickle is to find elsewhere."""

    identifier: Any


@dataclass(frozen=True)
class OldString:
    """A string of Python 2."""

    content: bytes


@dataclass(frozen=True)
class OldInteger:
    """An integer that Python 2 wrote as text."""

    value: int


@dataclass(frozen=True)
class Opcodes:
    """Written as they are."""

    content: bytes


class Pickler(pickle._Pickler):
    """Python's pickler in Python, which can be told to write what it would not."""

    def save(self, obj, save_persistent_id=True):
        if type(obj) is Global:
            self.write(f"c{obj.module}\n{obj.name}\n".encode())
        elif type(obj) is Persistent:
            self.save(obj.identifier)
            self.write(pickle.BINPERSID)
        elif type(obj) is OldString:
            length = len(obj.content)
            self.write(b"U" + bytes([length]) if length < 256 else b"T" + struct.pack("<i", length))
            self.write(obj.content)
        elif type(obj) is OldInteger:
            self.write(b"I%d\n" % obj.value)
        elif type(obj) is Opcodes:
            self.write(obj.content)
        elif type(obj) is Called:
            self.save_call(obj)
        else:
            super().save(obj, save_persistent_id)

    def save_call(self, obj):
        if id(obj) in self.memo:
            self.write(self.get(self.memo[id(obj)][0]))
            return
        self.save(obj.function)
        self.save(obj.arguments)
        self.write(pickle.REDUCE)
        self.memoize(obj)
        if obj.state is not None:
            self.save(obj.state)
            self.write(pickle.BUILD)


def pickled(value):
    stream = io.BytesIO()
    Pickler(stream, 2).dump(value)
    return stream.getvalue()


def counted(array):
    """A storage's elements behind their count."""
    return struct.pack("<q", array.size) + array.astype(array.dtype.newbyteorder("<")).tobytes()


# The stream format.


def storage_id(key, array, view=None, name=None, module="torch", location="cpu", count=None):
    type_name = Global(module, name or STORAGES[array.dtype.name])
    return Persistent(("storage", type_name, key, location, array.size if count is None else count, view))


def old_tensor(storage, offset, sizes, strides):
    """A tensor of torch before 0.4."""
    return Called(Global("torch._utils", "_rebuild_tensor"), (storage, offset, sizes, strides))


def legacy_stream(value, storages=(), keys=None, facts=FACTS, protocol=1001):
    """A stream.

    Args:
        value: the object, of Called and Persistent values where it has tensors.
        storages: pairs of a key and an array, or the bytes that stand where its count and elements should be.
        keys: the list of the storages' keys, if it is to be another.
    """
    parts = [pickled(part) for part in (MAGIC, protocol, facts, value)]
    parts.append(pickled([key for key, _ in storages] if keys is None else keys))
    parts += [content if isinstance(content, bytes) else counted(content) for _, content in storages]
    return b"".join(parts)


# The tar format.


@dataclass
class TarTensor:
    """A tensor of an archive: a window, in elements, on the storage with this key, or on none."""

    key: int
    storage: int | None
    type_name: str
    sizes: tuple
    strides: tuple
    offset: int = 0
    module: str = "torch"


def number_of(key):
    """How the object names a tensor."""
    return Persistent(str(key))


def storages_member(storages, views=(), count=None, module="torch"):
    parts = [pickled(len(storages) if count is None else count)]
    for key, array in storages:
        name = STORAGES["float32" if isinstance(array, bytes) else array.dtype.name]
        parts.append(pickled((key, "cpu", Global(module, name))))
        parts.append(array if isinstance(array, bytes) else counted(array))
    return b"".join([*parts, pickled(list(views))])


def tensors_member(tensors, count=None, padding=b"\0\0\0\0"):
    parts = [pickled(len(tensors) if count is None else count)]
    for tensor in tensors:
        parts.append(pickled((tensor.key, tensor.storage, Global(tensor.module, tensor.type_name))))
        parts.append(struct.pack("<i", len(tensor.sizes)) + padding)
        parts.append(struct.pack(f"<{2 * len(tensor.sizes) + 1}q", *tensor.sizes, *tensor.strides, tensor.offset))
    return b"".join(parts)


def legacy_members(value, storages=(), tensors=(), views=()):
    """The four members of an archive."""
    return {
        "sys_info": pickled({**FACTS, "protocol_version": 1000}),
        "pickle": pickled(value),
        "tensors": tensors_member(tensors),
        "storages": storages_member(storages, views),
    }


def legacy_tar(members, mtime=1488326400.5):
    """An archive by Python's tarfile, as torch made it: times with fractions give each member an extended header.

    Args:
        members: names to contents, or pairs of these, or a TarInfo for something that is no plain file.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:", format=tarfile.PAX_FORMAT) as archive:
        for name, content in members.items() if isinstance(members, dict) else members:
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            content = b"" if isinstance(content, tarfile.TarInfo) else content
            info.size, info.mtime = len(content), mtime
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def tar_of_arrays(arrays, value_of):
    """An archive of named arrays, those over the same memory over one storage, and of an object made of their numbers.

    Args:
        arrays: names to arrays; uint16 stands for bfloat16.
        value_of: from the names' persistent ids to the object.
    """
    bases, tensors = {}, []
    for key, array in enumerate(arrays.values()):
        base = array
        while isinstance(base.base, np.ndarray):
            base = base.base
        bases.setdefault(id(base), (100 + len(bases), base.reshape(-1)))
        offset = array.__array_interface__["data"][0] - base.__array_interface__["data"][0]
        strides = tuple(stride // array.itemsize for stride in array.strides)
        name = STORAGES[array.dtype.name].replace("Storage", "Tensor")
        tensors.append(TarTensor(key, bases[id(base)][0], name, array.shape, strides, offset // array.itemsize))
    value = value_of({name: number_of(key) for key, name in enumerate(arrays)})
    return legacy_tar(legacy_members(value, list(bases.values()), tensors))
