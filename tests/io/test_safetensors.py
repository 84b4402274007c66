"""The safetensors format: the package safetensors reads what is written here, the reverse, and broken files are refused."""

import io
import json
import os
import struct
from collections import OrderedDict
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minigrad
from minigrad import Tensor
from minigrad.io import CheckpointError, Limits, Placeholder, load, read_safetensors_metadata, save, save_safetensors
from minigrad.io.safetensors_reader import FOREIGN_BITS, TYPES
from minigrad.io.safetensors_writer import NAME_OF
from minigrad.nn.parameter import Parameter

# For bfloat16, which has its own tests, the package has no arrays.
DTYPES = sorted(dtype.name for dtype in NAME_OF if dtype.name != "bfloat16")


@pytest.fixture(scope="session")
def package():
    """The package's functions for NumPy's arrays."""
    return pytest.importorskip("safetensors.numpy")


def tensor(*shape, dtype=np.float32):
    return Tensor(np.arange(np.prod(shape)).astype(dtype).reshape(shape))


def file_of(entries, data=b"", length=None):
    """A file with this header (an object for JSON, or text, or bytes), and a length that may be untrue."""
    header = entries if isinstance(entries, bytes) else (entries if isinstance(entries, str) else json.dumps(entries)).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def written(tensors, **options):
    stream = io.BytesIO()
    save_safetensors(tensors, stream, **options)
    return stream.getvalue()


def read(content, **options):
    return load(io.BytesIO(content), **options)


# Written here, read by the package.


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_written(package, dtype):
    array = np.arange(-3, 5).astype(dtype).reshape(2, 4)
    result = package.load(written({"a": Tensor(array)}))["a"]
    assert result.dtype == array.dtype
    assert np.array_equal(result, array)


def test_package_reads_files(package, torch, tmp_path):
    from safetensors.torch import load_file

    path = tmp_path / "model.safetensors"
    state = OrderedDict(weight=Parameter(tensor(3, 4)), mask=tensor(3, dtype=bool), empty=tensor(2, 0), number=tensor())
    save(state, path)
    for result in (package.load_file(path), {name: t.numpy() for name, t in load_file(path).items()}):
        assert result.keys() == state.keys()
        for name, value in state.items():
            assert result[name].dtype == value.dtype
            assert np.array_equal(result[name], value.tolist())
            assert result[name].shape == value.shape


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a.T,
        lambda a: a[::2, 1:3],
        lambda a: a[:, ::-1],
        lambda a: np.broadcast_to(a[0], (2, 4)),
        lambda a: a.astype(">f4"),
    ],
    ids=["transposed", "sliced", "reversed", "expanded", "big-endian"],
)
def test_other_layouts_are_written_in_order(package, view):
    array = view(np.arange(12, dtype=np.float32).reshape(3, 4))
    assert package.load(written({"a": Tensor(array)}))["a"].tolist() == array.tolist()


def test_every_tensor_is_aligned(package):
    content = written({"b": tensor(3, dtype=bool), "h": tensor(3, dtype=np.float16), "d": tensor(2, dtype=np.float64)})
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    assert list(header) == ["b", "h", "d"]
    assert length % 8 == 0
    for name, itemsize in {"b": 1, "h": 2, "d": 8}.items():
        assert header[name]["data_offsets"][0] % itemsize == 0
    assert package.load(content)["d"].tolist() == [0, 1]


def test_metadata(package, tmp_path):
    from safetensors import safe_open

    path = tmp_path / "a.safetensors"
    save_safetensors({"a": tensor(2)}, path, metadata={"format": "pt", "ünï": "a\n\x00"})
    with safe_open(path, "np") as file:
        assert file.metadata() == {"format": "pt", "ünï": "a\n\x00"}
    assert read_safetensors_metadata(path) == {"format": "pt", "ünï": "a\n\x00"}
    save(load(path), path)
    assert read_safetensors_metadata(path) == {}


def test_written_in_the_same_way_each_time():
    assert written({"a": tensor(2), "b": tensor(3)}) == written({"a": tensor(2), "b": tensor(3)})


# Written by the package, read here.


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_read(package, dtype):
    array = np.arange(-3, 5).astype(dtype).reshape(2, 4)
    result = read(package.save({"a": array}))["a"]
    assert type(result) is Tensor
    assert result.dtype == array.dtype
    assert np.array_equal(result.array, array)
    assert result.array.flags.writeable
    assert not result.requires_grad


def test_bytes_of_a_bool_are_made_0_or_1():
    content = file_of({"a": {"dtype": "BOOL", "shape": [4], "data_offsets": [0, 4]}}, b"\x00\x01\x02\xff")
    assert read(content)["a"].array.view(np.uint8).tolist() == [0, 1, 1, 1]


def test_shapes_without_elements_and_without_sizes(package):
    result = read(package.save({"a": np.zeros((3, 0, 2)), "b": np.array(7.0), "c": np.zeros(0)}))
    assert [result[name].shape for name in "abc"] == [(3, 0, 2), (), (0,)]
    assert result["b"].item() == 7


def test_tensors_come_in_the_order_of_the_header():
    entries = {
        "z": {"dtype": "U8", "shape": [1], "data_offsets": [2, 3]},
        "a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]},
    }
    result = read(file_of(entries, b"\x01\x02\x03"))
    assert list(result) == ["z", "a"]
    assert [value.tolist() for value in result.values()] == [[3], [1, 2]]


def test_empty_dictionary_and_stream_in_the_middle(package):
    assert read(written({})) == {}
    assert package.load(written({})) == {}
    stream = io.BytesIO(b"before" + written({"a": tensor(2)}))
    stream.seek(6)
    assert load(stream)["a"].tolist() == [0, 1]


@pytest.mark.parametrize("name", sorted(FOREIGN_BITS))
def test_dtypes_that_minigrad_lacks(name):
    size = FOREIGN_BITS[name]
    entries = {
        "good": {"dtype": "U8", "shape": [1], "data_offsets": [size, size + 1]},
        "bad": {"dtype": name, "shape": [4, 2], "data_offsets": [0, size]},
    }
    content = file_of(entries, bytes(size) + b"\x07")
    with pytest.raises(CheckpointError, match=rf"tensor 'bad': expected a dtype of F64, .*BOOL, got {name} \(unknown="):
        read(content)
    result = read(content, unknown="placeholder")
    assert result["good"].tolist() == [7]
    assert type(result["bad"]) is Placeholder
    assert result["bad"].name == name


@pytest.mark.filterwarnings("ignore:load. bfloat16 tensors")
def test_the_package_knows_no_dtype_that_is_not_here(torch):
    """Each of torch's dtypes is written by the package: read here, or refused by its name."""
    from safetensors.torch import save as save_by_torch

    known = {name for name in dir(torch) if isinstance(getattr(torch, name), torch.dtype)}
    found = set()
    for name in sorted(known):
        try:
            content = save_by_torch({"a": torch.zeros(8, dtype=torch.uint8).view(getattr(torch, name))})
        except Exception:  # what the package or torch has no bytes for
            continue
        header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
        found.add(header["a"]["dtype"])
        result = read(content, unknown="placeholder")["a"]
        assert type(result) in (Tensor, Placeholder)
    assert set(TYPES) <= found
    assert found <= set(TYPES) | set(FOREIGN_BITS)


ARRAYS = hnp.arrays(st.sampled_from(DTYPES), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
# No halves of characters, which UTF-8 cannot hold.
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@given(st.dictionaries(NAMES, ARRAYS, max_size=6), st.dictionaries(NAMES, NAMES, max_size=3))
def test_any_dictionary_reaches_the_package_and_comes_back(package, arrays, metadata):
    content = written({name: Tensor(array.T) for name, array in arrays.items()}, metadata=metadata)
    theirs, ours = package.load(content), read(content)
    assert list(ours) == list(arrays)
    assert theirs.keys() == ours.keys()
    for name, array in arrays.items():
        assert ours[name].dtype == theirs[name].dtype == array.dtype
        assert ours[name].shape == theirs[name].shape == array.T.shape
        assert ours[name].array.tobytes() == theirs[name].tobytes() == array.T.tobytes()
    assert read_safetensors_metadata(io.BytesIO(content)) == metadata


@given(st.dictionaries(NAMES, ARRAYS, max_size=6))
def test_any_dictionary_of_the_package_is_read(package, arrays):
    result = read(package.save(arrays))
    assert result.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (result[name].dtype, result[name].shape) == (array.dtype, array.shape)
        assert result[name].array.tobytes() == array.tobytes()


# What cannot be written.


base = tensor(3, 4)


@pytest.mark.parametrize(
    ("value", "error", "complaint"),
    [
        ([tensor(2)], TypeError, "expected a dict of names to tensors, got a list"),
        (tensor(2), TypeError, "expected a dict of names to tensors, got a Tensor"),
        (
            minigrad.nn.ReLU(),
            TypeError,
            r"expected a dict of names to tensors, got a ReLU \(a module's \.state_dict\(\) is one\)",
        ),
        ({"a": tensor(2), "epoch": 7}, TypeError, r"expected a tensor as 'epoch', got a int \(a \.pt file may hold"),
        ({"model": {"a": tensor(2)}}, TypeError, "expected a tensor as 'model', got a dict"),
        ({"a": np.zeros(2)}, TypeError, "expected a tensor as 'a', got a ndarray"),
        ({3: tensor(2)}, TypeError, "expected strings as names of tensors, got the int 3"),
        ({"__metadata__": tensor(2)}, ValueError, "got '__metadata__', which the format uses itself"),
        ({"a\ud800": tensor(2)}, ValueError, r"expected names and metadata of whole characters, got '\\ud800'"),
        ({"a": base, "b": base}, ValueError, r"share no memory, got 'a' and 'b' sharing some \(leave one out or clone"),
        ({"a": base, "b": Parameter(base)}, ValueError, "got 'a' and 'b' sharing some"),
        ({"whole": base, "x": tensor(2), "row": Tensor(base.array[1])}, ValueError, "got 'whole' and 'row'"),
        ({"a": Tensor(base.array[:, :3]), "b": Tensor(base.array[:, 2:])}, ValueError, "got 'a' and 'b'"),
    ],
)
def test_what_cannot_be_written_is_named_before_anything_is_written(tmp_path, value, error, complaint):
    path = tmp_path / "file.safetensors"
    path.write_bytes(b"before")
    with pytest.raises(error, match=f"^save: .*{complaint}"):
        save(value, path)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["file.safetensors"]


def test_views_without_a_common_element_are_written():
    array = np.arange(12.0).reshape(3, 4)
    halves = {"a": Tensor(array[:, :2]), "b": Tensor(array[:, 2:]), "c": Tensor(array[3:])}
    assert read(written(halves))["b"].tolist() == array[:, 2:].tolist()


def test_tied_weights_become_untied_by_a_clone():
    weight = Parameter(tensor(2))
    result = read(written({"a": weight, "b": weight.clone()}))
    assert result["b"].tolist() == [0, 1]


def test_metadata_must_be_strings():
    for metadata in ({"a": 1}, {1: "a"}):
        with pytest.raises(TypeError, match="expected metadata of strings"):
            save_safetensors({}, io.BytesIO(), metadata=metadata)
    for other in ([("a", "b")], "", 0):
        with pytest.raises(TypeError, match="save_safetensors: expected metadata to be a dict of strings, got a"):
            save_safetensors({}, io.BytesIO(), metadata=other)


def test_arguments(tmp_path):
    with pytest.raises(TypeError, match="save_safetensors: expected a file's name or a binary stream to write to, got a int"):
        save_safetensors({}, 7)
    with pytest.raises(TypeError, match="read_safetensors_metadata: expected a file's name or a binary stream that can seek"):
        read_safetensors_metadata(7)
    save(7, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"a\.pt: expected a safetensors file, got a ZIP archive"):
        read_safetensors_metadata(tmp_path / "a.pt")


def test_the_name_decides_the_format(tmp_path):
    save({"a": tensor(2)}, tmp_path / "a.SafeTensors")
    save({"a": tensor(2)}, tmp_path / "a.safetensors.pt")
    assert (tmp_path / "a.SafeTensors").read_bytes()[8:9] == b"{"
    assert (tmp_path / "a.safetensors.pt").read_bytes()[:2] == b"PK"
    assert load(tmp_path / "a.SafeTensors")["a"].tolist() == load(tmp_path / "a.safetensors.pt")["a"].tolist()


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    save({"a": tensor(2)}, path)
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space left"):
        save({"a": tensor(3)}, path)
    assert load(path)["a"].tolist() == [0, 1]
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_state_dict_of_a_module(tmp_path):
    model = minigrad.nn.Sequential(minigrad.nn.Conv2d(3, 4, 3), minigrad.nn.BatchNorm2d(4))
    save(model.state_dict(), tmp_path / "model.safetensors")
    other = minigrad.nn.Sequential(minigrad.nn.Conv2d(3, 4, 3), minigrad.nn.BatchNorm2d(4))
    other.load_state_dict(load(tmp_path / "model.safetensors"))
    for name, value in model.state_dict().items():
        assert np.array_equal(other.state_dict()[name].array, value.array)


# Broken and hostile files.


def one(**changes):
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


def two(first, second):
    return {name: {"dtype": "U8", "shape": [e - b], "data_offsets": [b, e]} for name, (b, e) in zip("ab", (first, second))}


BROKEN = {
    "length beyond the file": (file_of(one(), bytes(8), length=10**6), r"expected a header of 1000000 bytes, got \d+ .trunc"),
    "length above the format's": (file_of("{", length=100_000_001), r"at most 100000000 bytes \(the format\), got 100000001"),
    "length above the limit": (file_of("{", length=80_000_000), r"at most 67108864 bytes \(Limits.pickle_bytes\)"),
    "length of 2**47": (file_of("{", length=2**47), "at most 100000000 bytes"),
    "header of one byte": (file_of("{"), "expected a header in JSON"),
    "half a header": (file_of('{"a": {"dtype": "F32", "sha'), "expected a header in JSON, got something else"),
    "two objects": (file_of("{}{}"), "expected a header in JSON, got something else .Extra data"),
    "not UTF-8": (file_of(b'{"\xff": 1}'), "expected a header in UTF-8, got invalid start byte at its byte 2"),
    "half a character": (file_of('{"\\ud800": 1}'), r"expected text of whole characters in the header, got '\\ud800'"),
    "half a character of metadata": (file_of('{"__metadata__": {"a": "\\udfff"}}'), "expected text of whole characters"),
    "nested too deep": (file_of('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"), "nested too deep"),
    "objects nested too deep": (file_of('{"a": ' * 100_000 + "1" + "}" * 100_000), "nested too deep"),
    "NaN": (file_of('{"a": NaN}'), "got the number NaN"),
    "names twice": (file_of('{"a": {"dtype": "U8"}, "a": {"dtype": "U8"}}'), "expected different names .* got two of 'a'"),
    "names twice, one escaped": (file_of('{"a": 1, "\\u0061": 1}'), "got two of 'a'"),
    "fields twice": (file_of('{"a": {"dtype": "U8", "dtype": "I8"}}'), "got two of 'dtype'"),
    "metadata twice": (file_of('{"__metadata__": {}, "__metadata__": {}}'), "got two of '__metadata__'"),
    "metadata of numbers": (file_of({"__metadata__": {"a": 1}}), "expected strings in __metadata__, got a int for 'a'"),
    "metadata of objects": (file_of({"__metadata__": {"a": {}}}), "got a dict for 'a'"),
    "metadata a list": (file_of({"__metadata__": []}), "expected an object of strings as __metadata__, got a list"),
    "metadata null": (file_of({"__metadata__": None}), "got a NoneType"),
    "tensor a list": (file_of({"a": []}), "tensor 'a': expected an object of dtype, shape and data_offsets, got a list"),
    "no fields": (file_of({"a": {}}), "got none"),
    "field missing": (file_of({"a": {"dtype": "U8", "shape": []}}), "got dtype, shape"),
    "field too many": (file_of(one(extra=1), bytes(8)), "got dtype, shape, data_offsets, extra"),
    "unknown dtype": (file_of(one(dtype="F128"), bytes(8)), "expected a dtype of the format, such as F32, got 'F128'"),
    "dtype a number": (file_of(one(dtype=4), bytes(8)), "got a int"),
    "dtype a list": (file_of(one(dtype=["F32"]), bytes(8)), "got a list"),
    "shape a number": (file_of(one(shape=2), bytes(8)), "expected a shape of at most 64 sizes"),
    "shape a string": (file_of(one(shape="2"), bytes(8)), "expected a shape of at most 64 sizes"),
    "shape of 65 sizes": (file_of(one(shape=[1] * 65), bytes(8)), "expected a shape of at most 64 sizes"),
    "size negative": (file_of(one(shape=[-2]), bytes(8)), "expected whole numbers from 0 .* got -2"),
    "sizes negative": (file_of(one(shape=[-2, -1]), bytes(8)), "got -2"),
    "size a float": (file_of(one(shape=[2.0]), bytes(8)), "got a float"),
    "size a bool": (file_of(one(shape=[2, True]), bytes(8)), "got a bool"),
    "size null": (file_of(one(shape=[None]), bytes(8)), "got a NoneType"),
    "size of 2**63": (file_of(one(shape=[2**63]), bytes(8)), f"got {2**63}"),
    "size of 4000 digits": (file_of(one(shape=[10**4000]), bytes(8)), "got a int"),
    "size of 5000 digits": (file_of('{"a": {"shape": [' + "1" * 5000 + "]}}"), "expected a header in JSON"),
    "product of 2**64": (file_of(one(shape=[2**32, 2**32]), bytes(8)), "expected a tensor of at most"),
    "product of 2**64 and nothing": (
        file_of(one(shape=[2**62, 2**62, 0], data_offsets=[0, 0])),
        "expected a tensor of at most",
    ),
    "offsets three": (file_of(one(data_offsets=[0, 4, 8]), bytes(8)), "expected the offsets of a beginning and an end"),
    "offsets null": (file_of(one(data_offsets=None), bytes(8)), "expected the offsets of a beginning and an end"),
    "offset negative": (file_of(one(data_offsets=[-8, 0]), bytes(8)), "got -8"),
    "offset a float": (file_of(one(data_offsets=[0, 8.0]), bytes(8)), "got a float"),
    "offset infinite": (file_of('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1e999]}}'), "got a float"),
    "offset huge": (file_of(one(data_offsets=[2**62 - 8, 2**62]), bytes(8)), "expected its bytes to begin at 0, got"),
    "offsets reversed": (file_of(one(data_offsets=[8, 0]), bytes(8)), r"expected 8 bytes .* got -8 \(from 8 to 0\)"),
    "wrong size": (file_of(one(shape=[3]), bytes(8)), r"expected 12 bytes for the shape \(3,\) of F32, got 8 \(from 0 to 8\)"),
    "half a byte": (file_of(one(dtype="F4", shape=[1], data_offsets=[0, 0])), "expected 0.5 bytes for the shape"),
    "data truncated": (file_of(one(), bytes(7)), r"expected 8 bytes of tensors, got 7 \(the file is truncated"),
    "data too long": (
        file_of(one(), bytes(9)),
        r"expected 8 bytes of tensors, got 9 \(the file is with other bytes at its end",
    ),
    "data without tensors": (file_of({}, b"x"), "expected 0 bytes of tensors, got 1"),
    "overlap": (file_of(two((0, 3), (2, 5)), bytes(5)), "tensor 'b': expected its bytes to begin at 3, got 2, which overlaps"),
    "same range": (file_of(two((0, 3), (0, 3)), bytes(3)), "expected its bytes to begin at 3, got 0, which overlaps"),
    "range in a range": (file_of(two((0, 5), (1, 3)), bytes(5)), "expected its bytes to begin at 5, got 1, which overlaps"),
    "hole": (
        file_of(two((0, 2), (3, 5)), bytes(5)),
        "tensor 'b': expected its bytes to begin at 2, got 3, which leaves a hole",
    ),
    "hole at the beginning": (file_of(two((1, 2), (2, 5)), bytes(5)), "tensor 'a': expected its bytes to begin at 0, got 1"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files(case):
    content, complaint = BROKEN[case]
    with pytest.raises(CheckpointError, match=f"load: .*{complaint}"):
        read(content)


def test_broken_files_are_refused_by_the_package_too(package):
    """What it accepts of them is what this reader is stricter about."""
    accepted = set()
    for case, (content, _) in BROKEN.items():
        with suppress(Exception):
            package.load(content)
            accepted.add(case)
    assert accepted <= {"names twice, one escaped", "metadata null", "field too many", "metadata twice"}


@pytest.mark.parametrize("header", ["[]", "7", '"a"', " {}", "\ufeff{}", "null", ""])
def test_header_that_is_no_object_is_another_format(header):
    with pytest.raises(CheckpointError, match=r"expected a checkpoint of torch\.save .* or a safetensors file, got"):
        read(file_of(header))


def test_other_bytes_before_the_brace():
    """A text whose ninth character is a brace is no header's length."""
    with pytest.raises(CheckpointError, match="got a file that begins with b'function'"):
        read(b"function{} and so on")


def test_limits():
    many = {f"{number}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for number in range(100)}
    assert len(read(file_of(many), limits=Limits(objects=1000))) == 100
    with pytest.raises(CheckpointError, match=r"Limits\.objects"):
        read(file_of(many), limits=Limits(objects=500))
    with pytest.raises(CheckpointError, match=r"Limits\.objects"):
        read(file_of('{"a": [' + "[]," * 100 + "[]]}"), limits=Limits(objects=100))
    with pytest.raises(CheckpointError, match=r"Limits\.pickle_bytes"):
        read(file_of(many), limits=Limits(pickle_bytes=100))
    with pytest.raises(CheckpointError, match=r"Limits\.tensor_bytes"):
        read(file_of(one(), bytes(8)), limits=Limits(tensor_bytes=7))


def test_every_truncation():
    content = written({"weight": tensor(5), "mask": tensor(3, dtype=bool)}, metadata={"a": "b"})
    for length in range(len(content)):
        with pytest.raises(CheckpointError):
            read(content[:length])


def test_every_changed_byte(package):
    """Whatever it says now, it is refused, or read as the package reads it."""
    arrays = {"weight": np.arange(4, dtype=np.float32), "mask": np.array([True, False])}
    content = written({name: Tensor(array) for name, array in arrays.items()}, metadata={"a": "b"})
    header_bytes = 8 + struct.unpack("<Q", content[:8])[0]
    read_files = 0
    for position in range(header_bytes):
        for byte in b'\x00\x01019-.e"\\[]{}:, naFx\x80\xff':
            changed = content[:position] + bytes([byte]) + content[position + 1 :]
            try:
                result = read(changed)
            except CheckpointError:
                continue
            read_files += 1
            theirs = package.load(changed)
            assert theirs.keys() == result.keys()
            for name, value in result.items():
                assert (value.dtype, value.shape) == (theirs[name].dtype, theirs[name].shape)
                assert value.array.astype(value.dtype).tobytes() == theirs[name].tobytes()
    assert read_files > 100


def test_sizes_that_no_array_can_have():
    assert read(file_of(one(dtype="F16", shape=[0, 2**61], data_offsets=[0, 0])))["a"].shape == (0, 2**61)
    with pytest.raises(CheckpointError, match="expected a tensor of at most 4611686018427387904 bytes"):
        read(file_of(one(dtype="F32", shape=[0, 2**61], data_offsets=[0, 0])))
