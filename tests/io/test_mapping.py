"""Memory: a file is read once into what stays, or mapped, so that only what is looked at is read and nothing is written."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import minigrad
from minigrad import Tensor
from minigrad.io import CheckpointError, load, save
from minigrad.io.pickle_writer import Call, Name, Persistent, PickleWriter
from minigrad.io.storage import STORAGE_TYPE_OF

MEBIBYTE = 2**20


def tensor(*shape, dtype=np.float32):
    return Tensor(np.arange(np.prod(shape)).astype(dtype).reshape(shape))


def mapping_below(array):
    """The mapping of a file that an array looks into, or None."""
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array


@pytest.fixture(params=["model.pt", "model.safetensors"])
def path(request, tmp_path):
    return tmp_path / request.param


# Values.


def test_mapped_tensors_equal_those_that_are_read(path):
    state = {
        "weight": tensor(30, 40),
        **{dtype.name: tensor(5, dtype=dtype) for dtype in STORAGE_TYPE_OF},
        "empty": tensor(0, 3),
        "number": tensor(),
    }
    save(state, path)
    mapped, loaded = load(path, mmap=True), load(path)
    assert list(mapped) == list(loaded) == list(state)
    for name, value in mapped.items():
        assert (value.dtype, value.shape, value.stride()) == (loaded[name].dtype, loaded[name].shape, loaded[name].stride())
        assert value.tolist() == loaded[name].tolist() == state[name].tolist()
        assert value.array.flags.writeable
        assert mapping_below(loaded[name].array) is None
        if value.numel():
            assert (mapping_below(value.array) is not None) == (name != "bool")


def test_changes_do_not_reach_the_file(path):
    save({"a": tensor(3, 4), "b": tensor(2)}, path)
    before = path.read_bytes()
    first, second = load(path, mmap=True), load(path, mmap=True)
    first["a"].add_(100)
    first["b"].array[:] = -1
    assert first["a"].tolist()[0] == [100, 101, 102, 103]
    assert first["b"].tolist() == [-1, -1]
    assert path.read_bytes() == before
    assert second["b"].tolist() == [0, 1]
    assert load(path, mmap=True)["a"].tolist() == tensor(3, 4).tolist()


def test_ties_and_strides_are_mapped(tmp_path):
    path = tmp_path / "ties.pt"
    base = tensor(3, 4)
    save({"a": base, "t": Tensor(base.array.T), "row": Tensor(base.array[1])}, path)
    value = load(path, mmap=True)
    assert mapping_below(value["row"].array) is not None
    value["row"].array[0] = -1
    assert value["a"].tolist()[1][0] == value["t"].tolist()[0][1] == -1


def test_map_of_a_file_that_torch_wrote(torch, tmp_path):
    path = tmp_path / "torch.pt"
    weight = torch.arange(12.0).reshape(3, 4)
    torch.save({"w": weight, "t": weight.T, "b": torch.ones(3, dtype=torch.bool), "p": torch.nn.Parameter(weight)}, path)
    value = load(path, mmap=True)
    assert value["w"].tolist() == value["p"].tolist() == weight.tolist()
    assert value["t"].tolist() == weight.T.tolist()
    assert value["p"].requires_grad
    assert value["b"].tolist() == [True, True, True]
    assert [mapping_below(value[name].array) is not None for name in "wtpb"] == [True, True, True, False]


def test_map_of_a_file_that_the_package_wrote(tmp_path):
    numpy_package = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "package.safetensors"
    numpy_package.save_file({"a": np.arange(6.0).reshape(2, 3), "b": np.arange(3, dtype=np.int8)}, path)
    value = load(path, mmap=True)
    assert value["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert mapping_below(value["a"].array) is not None


@pytest.mark.parametrize("dtype", [dtype for dtype in STORAGE_TYPE_OF if dtype.itemsize > 1], ids=str)
def test_big_endian_and_unaligned_storages_are_copied(tmp_path, dtype):
    """The default alignment of Python's zipfile is none."""
    for byte_order, order in ((b"little", "<"), (b"big", ">")):
        aligned = set()
        for padding in range(8):
            storage = Persistent(("storage", Name("torch", STORAGE_TYPE_OF[dtype].name), "0", "cpu", 3))
            pickle = PickleWriter(lambda part: part).dump(
                Call(Name("torch._utils", "_rebuild_tensor_v2"), (storage, 0, (3,), (1,), False, None))
            )
            path = tmp_path / "unaligned.pt"
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("a/data.pkl", pickle)
                archive.writestr("a/byteorder", byte_order)
                archive.writestr("a/padding", bytes(padding))
                archive.writestr("a/data/0", np.array([1, -2, 3], dtype).astype(dtype.newbyteorder(order)).tobytes())
            value = load(path, mmap=True)
            assert value.tolist() == [1, -2, 3]
            assert value.dtype == dtype
            assert value.array.flags.aligned
            aligned.add(mapping_below(value.array) is not None)
        assert aligned == ({True, False} if byte_order == b"little" else {False})


def test_unaligned_tensors_of_safetensors_are_copied(tmp_path):
    header = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}}'
    path = tmp_path / "unaligned.safetensors"
    results = []
    for padding in range(4):
        padded = header + b" " * padding
        path.write_bytes(len(padded).to_bytes(8, "little") + padded + b"\x07" + np.array([1.5, -2], "<f4").tobytes())
        value = load(path, mmap=True)
        assert (value["a"].tolist(), value["b"].tolist()) == ([7], [1.5, -2])
        assert value["b"].array.flags.aligned
        results.append(mapping_below(value["b"].array) is not None)
    assert sorted(results) == [False, False, False, True]


# The file in the meantime.


def test_a_module_takes_copies(path):
    model = minigrad.nn.Linear(3, 2)
    save(model.state_dict(), path)
    before = path.read_bytes()
    other = minigrad.nn.Linear(3, 2)
    other.load_state_dict(load(path, mmap=True))
    assert all(mapping_below(parameter.array) is None for parameter in other.parameters())
    assert other.weight.tolist() == model.weight.tolist()
    assert path.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="Windows does not delete or replace a file that is mapped")
def test_the_file_may_be_deleted_or_replaced(path):
    save({"a": tensor(1000)}, path)
    value = load(path, mmap=True)
    save({"a": Tensor(value["a"].array[::-1])}, path)
    assert value["a"].tolist() == list(range(1000))
    assert load(path)["a"].tolist()[:2] == [999, 998]
    second = load(path, mmap=True)
    os.remove(path)
    assert second["a"].tolist()[:2] == [999, 998]


def test_mapped_tensors_are_saved_over_their_own_file(path):
    save({"a": tensor(1000), "b": tensor(3)}, path)
    value = load(path, mmap=True)
    if os.name == "posix":
        save(value, path)
    assert load(path)["a"].tolist() == list(range(1000))


# Errors.


def test_what_cannot_be_mapped(tmp_path, torch):
    stream = io.BytesIO()
    save(1, stream)
    stream.seek(0)
    with pytest.raises(TypeError, match="load: expected a file's name with mmap=True, got a BytesIO"):
        load(stream, mmap=True)
    path = tmp_path / "file"
    for content, found in ((b"", "an empty file"), (b"GIF89a", "a file that begins with b'GIF89a'")):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=f"expected a ZIP archive or a safetensors file to map, got {found}"):
            load(path, mmap=True)
    torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r"to map, got a checkpoint of torch 0\.1\.9 to 1\.5"):
        load(path, mmap=True)
    assert load(path)["a"].tolist() == [1, 1]


def test_checksums_of_elements_are_compared_unless_mapped(tmp_path):
    path = tmp_path / "damaged.pt"
    save(tensor(4), path)
    content = path.read_bytes().replace(np.arange(4, dtype="<f4").tobytes(), np.array([0, 1, 2, 9], "<f4").tobytes())
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        load(path)
    assert load(path, mmap=True).tolist() == [0, 1, 2, 9]
    path.write_bytes(content.replace(b"FloatStorage", b"FloetStorage"))
    with pytest.raises(CheckpointError, match=r"data\.pkl to have the checksum"):
        load(path, mmap=True)


def test_every_truncation_of_a_mapped_file(path):
    save({"a": tensor(5), "b": tensor(2)}, path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            load(path, mmap=True)


def test_every_changed_byte_of_a_mapped_file(path):
    """The tensors' elements may be anything; that they are within the file is what is tested here."""
    save({"a": tensor(5), "b": tensor(2)}, path)
    content = path.read_bytes()
    refused = 0
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 0xFF
        path.write_bytes(changed)
        try:
            value = load(path, mmap=True)
        except CheckpointError:
            refused += 1
            continue
        for part in value.values():
            part.tolist()
    assert refused > 50


# Memory, measured by another process: the kernel's high-water mark since it began to load.

MEASURE = """
import sys
import minigrad

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024

path, mmap, size = sys.argv[1], sys.argv[2] == "True", int(sys.argv[3])
minigrad.tensor([1.0])
before = peak()
value = minigrad.load(path, mmap=mmap)
loaded = peak() - before
assert value["a"].array[-1, -1] == value["b"].array[-1, -1] == 0
assert sum(part.nbytes for part in (value["a"].array, value["b"].array)) == size
print(loaded)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the high-water mark is Linux's")
@pytest.mark.parametrize("mmap", [False, True])
def test_peak_memory(path, mmap):
    size = 96 * MEBIBYTE
    half = np.zeros((size // 8 // 1024, 1024), np.float32)
    save({"a": Tensor(half), "b": Tensor(half.copy())}, path)
    assert size < path.stat().st_size < size + MEBIBYTE
    command = [sys.executable, "-c", MEASURE, str(path), str(mmap), str(size)]
    environment = {**os.environ, "PYTHONPATH": str(Path(minigrad.__file__).parents[1])}
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120).stdout
    if mmap:
        assert int(output) < 0.1 * size
    else:
        assert size < int(output) < 1.2 * size
