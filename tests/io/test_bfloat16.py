"""bfloat16 in files of all formats: kept in each bit where ml_dtypes is installed, float32 and a warning where it is not."""

import io
import subprocess
import sys

import numpy as np
import pytest

import minigrad
from minigrad import Tensor, load, save
from minigrad.io import CheckpointError, Limits
from minigrad.io.inspect import inspect_file
from minigrad.io.pickle_writer import Name, PickleWriter
from minigrad.nn.parameter import Parameter
from tests.io.bfloat16_files import safetensors_of_arrays, zip_of_arrays
from tests.io.old_formats import legacy_stream, old_tensor, storage_id, tar_of_arrays
from tests.io.records import as_array
from tests.strict_backend import strict_backend

# Every number that there is, by its bits: those that are no numbers and the subnormal ones, too.
BITS = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
SAFETENSORS = "safetensors"


def stream_of_bits():
    storage = storage_id("0", BITS.reshape(-1))
    tensors = {"all": old_tensor(storage, 0, (256, 256), (256, 1)), "other": old_tensor(storage, 0, (256, 256), (1, 256))}
    return legacy_stream(tensors, [("0", BITS.reshape(-1))])


# All numbers, and their transpose over the same memory, or another tensor where the format has no such thing.
FILES = {
    "zip": lambda: zip_of_arrays({"all": BITS, "other": BITS.T}, dict),
    "stream": stream_of_bits,
    "tar": lambda: tar_of_arrays({"all": BITS, "other": BITS.T}, dict),
    SAFETENSORS: lambda: safetensors_of_arrays({"all": BITS, "other": BITS.T.copy()}),
}
formats = pytest.mark.parametrize("name", FILES)
suffixes = pytest.mark.parametrize("suffix", [".pt", ".safetensors"])


@pytest.fixture
def bfloat16():
    """The dtype; where minigrad has none, the test is skipped."""
    pytest.importorskip("ml_dtypes")
    return minigrad.bfloat16


@pytest.fixture
def every_number(bfloat16):
    return Tensor(BITS.view(bfloat16))


def bits(tensor):
    return tensor.numpy(force=True).view(np.uint16)


# Reading.


@formats
def test_every_number_is_read_as_it_is(bfloat16, name):
    value = load(io.BytesIO(FILES[name]()))
    for key, expected in (("all", BITS), ("other", BITS.T)):
        assert value[key].array.dtype is bfloat16
        assert np.array_equal(bits(value[key]), expected)
        assert value[key].array.flags.writeable
    assert np.shares_memory(value["all"].array, value["other"].array) == (name != SAFETENSORS)


@pytest.mark.parametrize("write", ["zip", "stream", SAFETENSORS])
def test_every_number_of_torch_is_read(bfloat16, torch, tmp_path, write):
    tensor = torch.from_numpy(BITS.view(np.int16)).view(torch.bfloat16)
    if write == SAFETENSORS:
        pytest.importorskip("safetensors.torch").save_file({"a": tensor}, tmp_path / "file")
    else:
        torch.save({"a": tensor}, tmp_path / "file", _use_new_zipfile_serialization=write == "zip")
    result = load(tmp_path / "file")["a"]
    assert result.array.dtype is bfloat16
    assert np.array_equal(bits(result), BITS)


@formats
def test_other_devices(bfloat16, name):
    content = FILES[name]()
    with strict_backend():
        value = load(io.BytesIO(content), map_location="strict")
        assert {str(tensor.device) for tensor in value.values()} == {"strict"}
        assert np.array_equal(bits(value["other"]), BITS.T)
    value = load(io.BytesIO(content), map_location="meta")
    assert [(tensor.device.type, tensor.dtype, tensor.shape) for tensor in value.values()] == [
        ("meta", bfloat16, (256, 256)),
        ("meta", bfloat16, (256, 256)),
    ]


@formats
def test_limit_counts_two_bytes_for_each(bfloat16, tmp_path, name):
    path = tmp_path / "file"
    path.write_bytes(FILES[name]())
    enough = 2 * BITS.nbytes
    assert load(path, limits=Limits(tensor_bytes=enough))["all"].dtype == bfloat16
    with pytest.raises(CheckpointError, match=r"Limits\.tensor_bytes"):
        load(path, limits=Limits(tensor_bytes=enough - 1))


@formats
def test_inspection(tmp_path, name):
    """The same whether ml_dtypes is installed or not: these are facts on the file."""
    path = tmp_path / "file"
    path.write_bytes(FILES[name]())
    entries = dict(inspect_file(path).tensors)
    assert [(entry.dtype, entry.bytes, entry.storage_bytes) for entry in entries.values()] == [
        ("bfloat16", BITS.nbytes, BITS.nbytes)
    ] * 2


def test_module_of_float32_takes_over_each_value(every_number, tmp_path):
    save({"weight": every_number}, tmp_path / "model.pt")
    module = minigrad.nn.Linear(256, 256, bias=False)
    module.load_state_dict(load(tmp_path / "model.pt"))
    assert module.weight.dtype == np.float32
    values = module.weight.numpy(force=True)
    expected = (BITS.astype(np.uint32) << 16).view(np.float32)
    assert np.array_equal(values, expected, equal_nan=True)
    assert np.array_equal(np.signbit(values), np.signbit(expected))


# Writing.


@suffixes
def test_every_number_comes_back(bfloat16, every_number, tmp_path, suffix):
    number = every_number[3, 4].clone()  # which shares no memory with the others, as it must not in one of the formats
    save({"a": every_number, "number": number, "empty": every_number[:0]}, tmp_path / f"a{suffix}")
    for value in (load(tmp_path / f"a{suffix}"), load(tmp_path / f"a{suffix}", mmap=True)):
        assert all(tensor.array.dtype is bfloat16 for tensor in value.values())
        assert np.array_equal(bits(value["a"]), BITS)
        assert bits(value["number"]) == BITS[3, 4]
        assert value["empty"].shape == (0, 256)


@suffixes
def test_every_number_reaches_torch(every_number, torch, tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    save({"a": every_number}, path)
    if suffix == ".pt":
        theirs = torch.load(path, weights_only=True)
    else:
        theirs = pytest.importorskip("safetensors.torch").load_file(path)
    assert theirs["a"].dtype == torch.bfloat16
    assert np.array_equal(as_array(theirs["a"]).view(np.uint16), BITS)


def test_every_number_reaches_the_package(every_number, tmp_path):
    """Where it can only give the bytes: it has no arrays of this dtype."""
    package = pytest.importorskip("safetensors")
    save({"a": every_number}, tmp_path / "a.safetensors")
    ((name, entry),) = package.deserialize((tmp_path / "a.safetensors").read_bytes())
    assert (name, entry["dtype"], entry["shape"]) == ("a", "BF16", [256, 256])
    assert bytes(entry["data"]) == BITS.astype("<u2").tobytes()


def test_shared_memory_reaches_torch_and_comes_back(every_number, torch, tmp_path):
    tensors = {"a": every_number, "t": every_number.T, "part": every_number[3:9, ::2], "p": Parameter(every_number)}
    save(tensors, tmp_path / "shared.pt")
    theirs, ours = torch.load(tmp_path / "shared.pt", weights_only=True), load(tmp_path / "shared.pt")
    assert (tmp_path / "shared.pt").stat().st_size < 2 * BITS.nbytes
    for value in (theirs, ours):
        assert list(value) == list(tensors)
        assert type(value["p"]).__name__ == "Parameter"
        assert value["p"].requires_grad
        assert len({tensor.data_ptr() for name, tensor in value.items() if name != "part"}) == 1
        assert value["part"].data_ptr() == value["a"].data_ptr() + 3 * 256 * 2
        assert value["part"].stride() == (256, 2)
    save(every_number[:, 1], tmp_path / "column.pt")
    assert (tmp_path / "column.pt").stat().st_size < 4000
    assert np.array_equal(bits(load(tmp_path / "column.pt")), BITS[:, 1])


def test_dtype_and_scalars_as_values(bfloat16, torch, tmp_path):
    path = tmp_path / "values.pt"
    save({"dtype": bfloat16, "best": bfloat16.type(1.5)}, path)
    assert torch.load(path, weights_only=True) == {"dtype": torch.bfloat16, "best": 1.5}
    value = load(path)
    assert value["dtype"] is bfloat16
    assert type(value["best"]) is float


# Where ml_dtypes is not installed: another interpreter, in which it cannot be imported.

WITHOUT = """
import sys
sys.modules["ml_dtypes"] = None
import warnings
import numpy as np
import minigrad
from minigrad.io import CheckpointError, Limits
from minigrad.io.inspect import inspect_file

assert not hasattr(minigrad, "bfloat16")

def load(path, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return minigrad.load(path, **options), caught

def refused(read, path, complaint, **options):
    try:
        read(path, **options)
    except CheckpointError as error:
        assert complaint in str(error), error
    else:
        raise AssertionError(f"{path} was read")
"""

READ = """
expected = (np.arange(2**16, dtype=np.uint32) << 16).reshape(256, 256)
enough = 2 * expected.nbytes
for path in sys.argv[1:]:
    for _ in range(2):  # the second loading warns as well
        value, (warning,) = load(path)
        assert warning.category is UserWarning and warning.filename == "<string>", warning
        print(warning.message)
    for name, bits in (("all", expected), ("other", expected.T)):
        assert value[name].dtype == np.float32
        assert value[name].array.flags.writeable
        assert np.array_equal(value[name].array.view(np.uint32), bits)
    tied = np.shares_memory(value["all"].array, value["other"].array)
    assert tied != path.endswith("safetensors")
    if path.endswith(("zip", "safetensors")):
        value, (warning,) = load(path, mmap=True)
        assert np.array_equal(value["all"].array.view(np.uint32), expected)
    value, (warning,) = load(path, map_location="meta")
    assert value["all"].dtype == np.float32 and value["all"].device.type == "meta"
    assert load(path, limits=Limits(tensor_bytes=enough))[0]["all"].shape == (256, 256)
    refused(load, path, "Limits.tensor_bytes", limits=Limits(tensor_bytes=enough - 1))
    for _, entry in inspect_file(path).tensors:
        assert (entry.dtype, entry.bytes, entry.storage_bytes) == ("bfloat16", 2**17, 2**17), entry
    if not path.endswith("safetensors"):  # whose inspection looks at the header only
        inspect_file(path, Limits(tensor_bytes=enough))
        refused(inspect_file, path, "Limits.tensor_bytes", limits=Limits(tensor_bytes=enough - 1))
"""

OTHERS = """
halves, dtype, huge = sys.argv[1:]
value, caught = load(halves)
assert value["a"].dtype == np.float16 and not caught
minigrad.save(value, halves)
refused(load, dtype, "minigrad has bfloat16 only where ml_dtypes is installed")
value, caught = load(dtype, unknown="placeholder")
assert value["dtype"].name == "torch.bfloat16" and not caught
refused(load, huge, "expected a tensor of at most 4611686018427387904 bytes")
"""


@pytest.fixture
def without():
    """A function that runs a program where ml_dtypes cannot be imported, and gives the lines that it printed."""

    def run(program, *arguments):
        ran = subprocess.run(
            [sys.executable, "-c", WITHOUT + program, *map(str, arguments)], capture_output=True, text=True, timeout=300
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.splitlines()

    return run


def test_every_number_is_read_as_float32_without_ml_dtypes(without, tmp_path):
    paths = [tmp_path / name for name in FILES]
    for path in paths:
        path.write_bytes(FILES[path.name]())
    problem = "load: bfloat16 tensors that were read as float32, as ml_dtypes is not installed: 2"
    warning = f"{problem} (pip install 'minigrad[bfloat16]' keeps their dtype)"
    assert without(READ, *paths) == [warning] * 2 * len(FILES)


def test_what_else_differs_without_ml_dtypes(without, make_archive, tmp_path):
    """Other dtypes give no warning, the dtype itself has no stand-in, and what cannot be an array is held against float32."""
    paths = [tmp_path / name for name in ("halves.pt", "dtype.pt", "huge.safetensors")]
    save({"a": Tensor(np.ones(3, np.float16))}, paths[0])
    paths[1].write_bytes(make_archive(PickleWriter(lambda part: part).dump({"dtype": Name("torch", "bfloat16")})).getvalue())
    header = b'{"a":{"dtype":"BF16","shape":[0,2305843009213693952],"data_offsets":[0,0]}}'
    paths[2].write_bytes(len(header).to_bytes(8, "little") + header)
    without(OTHERS, *paths)
