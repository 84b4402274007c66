"""Pickles that ask for more than data and tensors: each gives a clear CheckpointError, and nothing in them is run."""

import io
import os
import pickle
import struct
import sys
from collections import OrderedDict

import numpy as np
import pytest

from minigrad.io import CheckpointError

PROTO, STOP, MARK = b"\x80\x02", b".", b"("
ORDERED_DICT = b"ccollections\nOrderedDict\n"
FLOAT_STORAGE = b"ctorch\nFloatStorage\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
FOUR_NUMBERS = np.arange(4, dtype="<f4").tobytes()
NO_HOOKS = ORDERED_DICT + b")R"


def text(value):
    content = value.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def integer(value):
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def integers(*values):
    return MARK + b"".join(integer(value) for value in values) + b"t"


def storage(key="0", count=4, type=FLOAT_STORAGE, kind="storage"):
    return MARK + text(kind) + type + text(key) + text("cpu") + integer(count) + b"tQ"


WHOLE_STORAGE = storage()


def tensor(offset=0, size=(4,), stride=(1,), storage=WHOLE_STORAGE, requires_grad=b"\x89", rest=b""):
    arguments = storage + integer(offset) + integers(*size) + integers(*stride) + requires_grad + NO_HOOKS + rest
    return REBUILD + MARK + arguments + b"tR"


@pytest.fixture
def read_pickle(make_archive, read_records):
    """A function that reads the pickle of these opcodes, beside a storage of four float32 numbers."""

    def read(opcodes, data=FOUR_NUMBERS):
        return read_records(make_archive(PROTO + opcodes + STOP, {"data/0": data}))

    return read


def test_the_honest_version_of_these_pickles_is_read(read_pickle):
    assert read_pickle(tensor()).array.tolist() == [0, 1, 2, 3]
    assert read_pickle(tensor(1, (3, 2), (1, 0))).array.tolist() == [[1, 1], [2, 2], [3, 3]]
    assert read_pickle(tensor(rest=b"}" + text("neg") + b"\x89s")).array.tolist() == [0, 1, 2, 3]


class Command:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function", [os.system, eval, exec, os.remove, getattr, __import__, pickle.loads, io.open])
def test_no_function_is_called(make_archive, read_records, tmp_path, function):
    canary = tmp_path / "canary"
    canary.write_text("alive")
    stream = make_archive(pickle.dumps({"a": Command(function, f"rm {canary}")}, protocol=2))
    with pytest.raises(CheckpointError, match=f"expected a name that a checkpoint .* got .*{function.__name__}"):
        read_records(stream)
    assert canary.exists()


def test_no_module_is_imported(read_pickle):
    assert "antigravity" not in sys.modules
    with pytest.raises(CheckpointError, match=r"got antigravity\.geohash"):
        read_pickle(b"cantigravity\ngeohash\n")
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "name",
    [
        "torch.load",
        "torch._utils._rebuild_qtensor",
        "torch._utils.os.system",
        "torch.serialization.load",
        "torch.os.system",
        "collections.namedtuple",
        "collections.OrderedDict.fromkeys",
        "collections.OrderedDict.__init__.__globals__",
        "builtins.getattr",
        "builtins.set.__class__",
        "_codecs.decode",
        "minigrad.load",
        "numpy.ndarray",
        "torch.ComplexFloatStorage",
    ],
)
def test_only_exact_names_are_known(read_pickle, name):
    module, _, rest = name.partition(".")
    for split in (f"{module}\n{rest}", "\n".join(name.rsplit(".", 1))):
        with pytest.raises(CheckpointError, match="expected a name that a checkpoint of tensors may use"):
            read_pickle(b"c" + split.encode() + b"\n")


@pytest.mark.parametrize(
    ("opcodes", "complaint"),
    [
        (text("os") + text("system") + b"\x93", r"expected an opcode that data needs, got b'\\x93'"),
        (b"cos\nsystem\n(X\x01\x00\x00\x00ato", r"got os\.system"),
        (b"(ios\nsystem\n", "expected an opcode"),
        (b"}\x81", "expected an opcode"),
        (b"\x82\x01", "expected an opcode"),
        (b"Pname\n", "expected an opcode"),
        (b"c" + b"a" * 300 + b"\n", "no end of line"),
        ("cöl\nx\n".encode(), "expected an ASCII name"),
        (b"}" + text("x") + b"\x85R", "expected something that may be called, got dict"),
        (text("x") + b")R", "expected something that may be called, got str"),
        (FLOAT_STORAGE + b")R", "expected something that may be called, got StorageType FloatStorage"),
        (ORDERED_DICT + b"]R", "expected a tuple of arguments, got list"),
        (ORDERED_DICT + b"NNN\x87R", "expected 0 to 1 arguments, got 3"),
        (ORDERED_DICT + b"N\x85R", "expected a list of pairs, got NoneType"),
        (ORDERED_DICT + b"]K\x01a\x85R", "expected a key and a value, got int"),
        (b"c__builtin__\nset\n}\x85R", "expected a list of elements, got dict"),
        (b"c__builtin__\nset\n]]a\x85R", "expected a string, a number or a flat tuple of them as a key, got list"),
        (b"ccollections\nCounter\n]\x85R", "expected a dictionary of counts, got list"),
        (b"c_codecs\nencode\n" + text("a") + text("utf-7") + b"\x86R", "expected a string to be encoded in latin1"),
        (b"c_codecs\nencode\n" + text("€") + text("latin1") + b"\x86R", "expected characters of latin-1"),
        (b"ctorch\nSize\n]\x85R", "expected a tuple, got list"),
    ],
)
def test_calls_get_what_they_expect(read_pickle, opcodes, complaint):
    with pytest.raises(CheckpointError, match=complaint):
        read_pickle(opcodes)


@pytest.mark.parametrize(
    ("opcodes", "complaint"),
    [
        (storage() + b"}" + text("elements") + b"Nsb", "expected an OrderedDict to give attributes to, got Storage"),
        (FLOAT_STORAGE + b"}" + text("widened") + b"\x88sb", "to give attributes to, got StorageType"),
        (ORDERED_DICT + b"}" + text("build") + b"Nsb", "to give attributes to, got Constructor"),
        (tensor() + b"}" + text("array") + b"Nsb", "to give attributes to, got TensorRecord"),
        (b"}}" + text("a") + b"Nsb", "to give attributes to, got dict"),
        (NO_HOOKS + b"}" + text("__class__") + b"Nsb", "expected a dictionary called _metadata"),
        (NO_HOOKS + b"}" + text("items") + b"Nsb", "expected a dictionary called _metadata"),
        (NO_HOOKS + b"}" + text("_metadata") + b"Nsb", "expected a dictionary called _metadata"),
        (NO_HOOKS + b"N}\x86b", "expected a dictionary called _metadata"),
        (ORDERED_DICT + text("a") + b"Ns", "expected a dictionary to set items of, got Constructor"),
        (storage() + text("a") + b"Ns", "expected a dictionary to set items of, got Storage"),
        (b"]" + text("a") + b"Ns", "expected a dictionary to set items of, got list"),
        (b"}(Nu", "expected keys and values in pairs, got 1 objects"),
        (b"}Na", "expected a list to append to, got dict"),
        (b")(Ne", "expected a list to append to, got tuple"),
        (b"}]Ns", "expected a string, a number or a flat tuple of them as a key, got list"),
        (b"})\x85Ns", "expected a string, a number or a flat tuple of them as a key, got tuple"),
        (b"}" + tensor() + b"Ns", "as a key, got TensorRecord"),
    ],
)
def test_only_lists_and_dictionaries_are_changed(read_pickle, opcodes, complaint):
    with pytest.raises(CheckpointError, match=complaint):
        read_pickle(opcodes)


@pytest.mark.parametrize("opcodes", [storage(), FLOAT_STORAGE, ORDERED_DICT, b"]" + REBUILD + b"a", storage() + b"\x85"])
def test_stand_ins_stay_inside(read_pickle, opcodes):
    with pytest.raises(CheckpointError, match="expected values and tensors in the object, got a bare"):
        read_pickle(opcodes)


def test_stand_ins_keep_no_trace_of_a_reading(read_pickle):
    """What one file does to the names it is given must not reach the next file."""
    first = read_pickle(NO_HOOKS + text("a") + b"Ns")
    assert read_pickle(NO_HOOKS) == OrderedDict()
    assert first == OrderedDict(a=None)


@pytest.mark.parametrize(
    ("window", "complaint"),
    [
        (dict(size=(5,)), r"within its storage of 4 elements, got one that ends at element 5"),
        (dict(offset=4, size=(1,)), r"ends at element 5 \(offset 4"),
        (dict(offset=1), "ends at element 5"),
        (dict(size=(), stride=(), offset=4), "ends at element 5"),
        (dict(size=(2,), stride=(2**70,)), "ends at element"),
        (dict(size=(2**40,), stride=(0,)), r"expected at most \d+ bytes of tensors"),
        (dict(size=(10**6, 10**6), stride=(0, 0)), r"expected at most \d+ bytes of tensors"),
        (dict(size=(2**62, 2**62, 0), stride=(0, 0, 0)), "expected a tensor of at most"),
        (dict(size=(2**200,), stride=(0,)), "expected a tensor of at most"),
        (dict(size=(0,) * 65, stride=(0,) * 65), "as many strides, at most 64"),
        (dict(size=(2, 2)), "expected a tuple of sizes and one of as many strides"),
        (dict(offset=-1), "whole numbers from 0, got -1"),
        (dict(size=(-4,)), "whole numbers from 0, got -4"),
        (dict(offset=3, stride=(-1,)), "whole numbers from 0, got -1"),
        (dict(requires_grad=b"N"), "expected True or False for requires_grad, got NoneType"),
        (dict(storage=b"N"), "expected a storage, got NoneType"),
        (dict(storage=FLOAT_STORAGE), "expected a storage, got StorageType"),
        (dict(rest=b"}" + text("conj") + b"\x88s"), "lazily conjugated, or negated"),
        (dict(rest=b"]"), "lazily conjugated, or negated"),
    ],
)
def test_windows_stay_within_their_storage(read_pickle, window, complaint):
    with pytest.raises(CheckpointError, match=complaint):
        read_pickle(tensor(**window))


def test_numbers_of_a_window_are_integers(read_pickle):
    for number in (b"\x88", b"G" + struct.pack(">d", 1.0), text("1"), b"N", b")"):
        with pytest.raises(CheckpointError, match="expected a tensor's offset, sizes and strides to be whole numbers"):
            read_pickle(REBUILD + MARK + storage() + b"K\x00" + number + b"\x85K\x01\x85\x89" + NO_HOOKS + b"tR")
    with pytest.raises(CheckpointError, match="expected a tuple of sizes"):
        read_pickle(REBUILD + MARK + storage() + b"K\x00]K\x01\x85\x89" + NO_HOOKS + b"tR")


@pytest.mark.parametrize(
    ("identifier", "complaint"),
    [
        (b"]Q", "expected a tuple or a string that names a storage, got list"),
        (text("0") + b"Q", r"expected \('storage', type, key, location, size\)"),
        (b")Q", r"expected \('storage', type, key, location, size\)"),
        (storage(kind="module"), r"expected \('storage'"),
        (storage(type=b"N"), "expected a StorageType in a storage's name, got NoneType"),
        (storage(type=ORDERED_DICT), "expected a StorageType in a storage's name, got Constructor"),
        (storage(key="1"), "expected an entry data/1, got none of that name"),
        (storage(key="../data.pkl"), "got none of that name"),
        (storage(key="/etc/passwd"), "got none of that name"),
        (storage(count=5), r"expected data/0 to have 5 elements \(FloatStorage\), got 4 \(FloatStorage\)"),
        (storage(count=2**60), "got 4"),
        (storage(count=-4), "got 4"),
        (storage(count=2, type=b"ctorch\nDoubleStorage\n") + storage(), r"got 2 \(DoubleStorage\)"),
    ],
)
def test_storages_are_as_they_say(read_pickle, identifier, complaint):
    with pytest.raises(CheckpointError, match=complaint):
        read_pickle(identifier)


def test_storage_of_half_an_element(read_pickle):
    with pytest.raises(CheckpointError, match=r"expected elements of 4 bytes, got 15 bytes \(FloatStorage\)"):
        read_pickle(tensor(), data=bytes(15))


def test_bytes_of_a_bool_are_made_0_or_1(read_pickle):
    array = read_pickle(tensor(storage=storage(type=b"ctorch\nBoolStorage\n")), data=b"\x00\x01\x02\xff").array
    assert array.view(np.uint8).tolist() == [0, 1, 1, 1]


WITH_ATTRIBUTES = b"ctorch._tensor\n_rebuild_from_type_v2\n"
TENSOR = b"ctorch\nTensor\n"
ARGUMENTS = tensor().removeprefix(REBUILD).removesuffix(b"R")


def test_attributes_of_a_tensor_are_left_out(read_pickle):
    state = b"}" + text("shape") + b"Ns"
    value = read_pickle(WITH_ATTRIBUTES + MARK + REBUILD + TENSOR + ARGUMENTS + state + b"tR")
    assert value.array.shape == (4,)
    no_gradient = tensor() + b"\x89" + NO_HOOKS + state
    assert read_pickle(b"ctorch._utils\n_rebuild_parameter_with_state\n" + MARK + no_gradient + b"tR").is_parameter


@pytest.mark.parametrize(
    ("opcodes", "complaint"),
    [
        (WITH_ATTRIBUTES + MARK + ORDERED_DICT + TENSOR + ARGUMENTS + b"NtR", "expected torch._utils._rebuild_tensor_v2, got"),
        (WITH_ATTRIBUTES + MARK + REBUILD + ORDERED_DICT + ARGUMENTS + b"NtR", "expected a torch.Tensor, got one of"),
        (WITH_ATTRIBUTES + MARK + REBUILD + TENSOR + b")NtR", "expected a tuple of 6 to 7 arguments"),
        (WITH_ATTRIBUTES + MARK + REBUILD + TENSOR + ARGUMENTS + b"cos\nsystem\ntR", "got os.system"),
        (TENSOR + b")R", "expected tensors as torch._utils._rebuild_tensor_v2 makes them"),
    ],
)
def test_tensors_with_attributes_are_made_as_all_others(read_pickle, opcodes, complaint):
    with pytest.raises(CheckpointError, match=complaint):
        read_pickle(opcodes)


@pytest.mark.parametrize("dtype", ["Int", "Bool"])
def test_only_floating_tensors_require_a_gradient(read_pickle, dtype):
    type_ = f"ctorch\n{dtype}Storage\n".encode()
    data = bytes(4 if dtype == "Bool" else 16)
    with pytest.raises(CheckpointError, match="expected a floating tensor where requires_grad is True"):
        read_pickle(tensor(storage=storage(type=type_), requires_grad=b"\x88"), data)
    parameter = b"ctorch._utils\n_rebuild_parameter\n" + MARK + tensor(storage=storage(type=type_)) + b"\x88" + NO_HOOKS + b"tR"
    with pytest.raises(CheckpointError, match="expected a floating tensor where requires_grad is True"):
        read_pickle(parameter, data)
