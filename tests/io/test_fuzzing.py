"""Ten thousand damaged files of all formats: each is read or refused, in little memory, and nothing else ever happens.

Some of them are files on disk, which are mapped, where the format can be, and inspected.

The default limits are left as they are: what a file of few bytes claims to have is compared with these before memory is
asked for, so that no single reading comes near the bound that is asserted here.
"""

import io
import json
import random
import tarfile
import tracemalloc
import warnings
from collections import OrderedDict
from functools import cache

import numpy as np
import pytest

from minigrad import Tensor, dtypes, load
from minigrad.io import CheckpointError, Placeholder
from minigrad.io.inspect import as_plain_data, inspect_file, lines_of
from tests.io.bfloat16_files import safetensors_of_arrays, zip_of_arrays
from tests.io.old_formats import Called, Global, legacy_stream, legacy_tar, old_tensor, storage_id, tar_of_arrays

SEED = 20
MUTATIONS = 2500  # of each format
ON_DISK = 8  # one in so many
MOST_BYTES = 2**26
# Sizes, counts, lengths and opcodes that a reader may trip over.
NUMBERS = [0, 1, 2, 3, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
OPCODES = b"()]}.abcehjqrstuQRIJKMNTUXG\x80\x81\x85\x86\x87\x88\x89\x8a"


def arrays():
    base = np.arange(24, dtype=np.float32)
    return {
        "weight": base.reshape(4, 6),
        "transposed": base.reshape(4, 6).T,
        "half": np.arange(6).astype(np.float16),
        "mask": np.array([True, False, True]),
        "step": np.array(2**40),
        "brain": np.array([0, 0x8000, 0x3F80, 0x7FC1, 0x7F80, 1], np.uint16),  # bfloat16, by its bits
    }


def value_of(tensors):
    return {
        "model": OrderedDict(tensors),
        "groups": [{"lr": 0.1, "betas": (0.9, 2**40)}, None, "ü", b"\xff"],
        "epoch": 3,
        "seen": {1, "a"},
    }


def zip_file():
    return zip_of_arrays(arrays(), value_of)


def stream_file():
    storages, tensors = [], {}
    for key, (name, array) in enumerate(arrays().items()):
        if name == "transposed":
            key, view, strides = 0, ("9", 0, 24), (1, 6)
        else:
            storages.append((str(key), array.reshape(-1)))
            view, strides = None, tuple(stride // array.itemsize for stride in array.strides)
        name_of_storage = storage_id(str(key), array.reshape(-1), view)
        tensors[name] = old_tensor(name_of_storage, 0, array.shape, strides)
    parameter = Called(Global("torch.nn.parameter", "Parameter"), (tensors["weight"],), (True, False, OrderedDict()))
    return legacy_stream({**value_of(tensors), "parameter": parameter}, storages)


def tar_file():
    return tar_of_arrays(arrays(), value_of)


@cache
def members_of(content):
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {info.name: archive.extractfile(info).read() for info in archive}


def damaged_tar(whole, chance):
    """Damage in an archive's headers is found by their checksums: half of it is in the members, before they are packed."""
    if chance.randrange(2):
        return mutated(whole, chance)
    members = members_of(whole)
    name = chance.choice(list(members))
    return legacy_tar({**members, name: mutated(members[name], chance)})


def safetensors_file():
    named = {name: array for name, array in arrays().items() if name != "transposed"}
    return safetensors_of_arrays(named, metadata={"format": "pt"})


def mutated(content, chance):
    """The content with one to three things done to it."""
    content = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 3))):
        position, length = chance.randrange(len(content)), chance.randint(1, 8)
        kind = chance.randrange(10)
        if kind < 2:
            content[position] ^= 1 << chance.randrange(8)
        elif kind < 4:
            for place in range(position, min(position + chance.randint(1, 4), len(content))):
                content[place] = chance.randrange(256)
        elif kind == 4:
            content[position] = chance.choice(OPCODES)
        elif kind == 5:
            number = chance.choice(NUMBERS).to_bytes(8, chance.choice(("little", "big")))[: chance.choice((2, 4, 8))]
            content[position : position + len(number)] = number
        elif kind == 6:
            del content[position : position + length]
        elif kind == 7:
            content[position:position] = chance.randbytes(length)
        elif kind == 8:
            start = chance.randrange(len(content))
            content[position : position + length] = content[start : start + length]
        else:
            del content[max(position, 8) :]
    return bytes(content)


def leaves(value):
    """All that is in containers."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from leaves(key)
            yield from leaves(child)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for child in value:
            yield from leaves(child)
    else:
        yield value


def addresses(array):
    """From an array's first element to behind its last one."""
    start = array.__array_interface__["data"][0]
    return start, start + sum((size - 1) * stride for size, stride in zip(array.shape, array.strides)) + array.itemsize


def check_leaf(leaf):
    """A tensor can be looked at, all of it, and stays within memory that was asked for; anything else is plain data."""
    if isinstance(leaf, Tensor):
        assert leaf.dtype in dtypes.SUPPORTED
        assert leaf.array.size * leaf.array.itemsize < MOST_BYTES
        base = leaf.array
        while isinstance(base.base, np.ndarray):  # not the mapping under an array that has all of it
            base = base.base
        (start, end), (first, last) = addresses(base), addresses(leaf.array)
        assert leaf.array.size == 0 or start <= first <= last <= end
        assert leaf.array.copy().shape == leaf.shape
    else:
        assert isinstance(leaf, (str, bytes, int, float, type(None), np.dtype, Placeholder)), type(leaf)


def same(a, b):
    """Equal, in all types and in each element's bits."""
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        return a.dtype == b.dtype and a.stride() == b.stride() and a.array.tobytes() == b.array.tobytes()
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def traced(read, *arguments, **options):
    """What a reading gives, and how many bytes it took at most, with every warning an error but one on bfloat16."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if not hasattr(dtypes, "bfloat16"):
            warnings.filterwarnings("ignore", "load: bfloat16 tensors that were read as float32")
        tracemalloc.start()
        try:
            value = read(*arguments, **options)
        except CheckpointError as error:
            value = error
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    return value, peak


@pytest.mark.parametrize(
    ("make", "damage", "has_checksums", "can_be_mapped"),
    [
        (zip_file, mutated, True, True),
        (stream_file, mutated, False, False),
        (tar_file, damaged_tar, False, False),
        (safetensors_file, mutated, False, True),
    ],
    ids=["zip", "stream", "tar", "safetensors"],
)
def test_damaged_files_are_read_or_refused(tmp_path, make, damage, has_checksums, can_be_mapped):
    whole, chance = make(), random.Random(SEED)
    original, _ = traced(load, io.BytesIO(whole))
    assert original.get("model", original)["brain"].dtype == getattr(dtypes, "bfloat16", np.float32)
    path = tmp_path / "damaged"
    read = 0
    for number in range(MUTATIONS):
        content, unknown = damage(whole, chance), chance.choice(("refuse", "placeholder"))
        value, peak = traced(load, io.BytesIO(content), unknown=unknown)
        assert peak < MOST_BYTES
        if not isinstance(value, CheckpointError):
            read += 1
            assert same(value, original) or not has_checksums
            for leaf in leaves(value):
                check_leaf(leaf)
        if number % ON_DISK == 0:
            path.unlink(missing_ok=True)  # a file that is mapped must not be written to
            path.write_bytes(content)
            check_file(path, value, unknown, can_be_mapped)
    assert MUTATIONS // 100 < read < MUTATIONS // 2


def check_file(path, value, unknown, can_be_mapped):
    """What the inspection tells can be printed, and a mapped file gives tensors that stay within it."""
    report, peak = traced(inspect_file, path)
    assert peak < MOST_BYTES
    if isinstance(report, CheckpointError):
        assert isinstance(value, CheckpointError)
    else:
        json.dumps(as_plain_data(report))
        assert all(line.isprintable() for line in lines_of(report))
    if can_be_mapped:
        mapped, peak = traced(load, path, unknown=unknown, mmap=True)
        assert peak < MOST_BYTES
        assert isinstance(value, CheckpointError) or same(mapped, value)
        if not isinstance(mapped, CheckpointError):
            for leaf in leaves(mapped):
                check_leaf(leaf)
