"""The stream format of torch 0.1.9 to 1.5: what torch writes in it and what old versions wrote, and what is refused."""

import io
import struct
from collections import OrderedDict

import numpy as np
import pytest

from minigrad import Tensor, load
from minigrad.io import CheckpointError, Limits, torch_stream
from minigrad.io.storage import STORAGE_TYPE_OF
from minigrad.nn.parameter import Parameter
from tests.io.old_formats import (
    FACTS,
    MAGIC,
    Called,
    Global,
    OldInteger,
    OldString,
    Opcodes,
    Persistent,
    counted,
    legacy_stream,
    old_tensor,
    pickled,
    storage_id,
)
from tests.io.records import LAYOUTS, RecordMaker, as_array, check_layout
from tests.strict_backend import strict_backend

DTYPES = sorted(dtype.name for dtype in STORAGE_TYPE_OF)
FOUR = np.arange(4, dtype=np.float32)


def read(content, limits=None):
    """Records, from bytes."""
    return torch_stream.read(io.BytesIO(content), RecordMaker(), limits or Limits())


def refused(content, complaint, limits=None):
    with pytest.raises(CheckpointError, match=complaint):
        read(content, limits)


@pytest.fixture(scope="session")
def read_torch(torch):
    """A function that saves by torch and reads here."""

    def save_and_read(value):
        stream = io.BytesIO()
        torch.save(value, stream, _use_new_zipfile_serialization=False)
        return read(stream.getvalue())

    return save_and_read


# torch writes, minigrad reads.


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype(torch, read_torch, dtype):
    tensor = torch.arange(-3, 5).to(getattr(torch, dtype))
    array = read_torch(tensor).array
    assert array.dtype == np.dtype(dtype)
    assert np.array_equal(array, as_array(tensor))
    assert array.flags.writeable


@pytest.mark.parametrize("make", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(torch, read_torch, make):
    tensor = make(torch)
    check_layout(read_torch(tensor).array, tensor)


def test_training_checkpoint(torch, read_torch):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    value = read_torch({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "note": "ü", "raw": b"\xff"})
    assert type(value["model"]) is OrderedDict
    assert value["model"]._metadata == model.state_dict()._metadata
    for name, tensor in model.state_dict().items():
        assert np.array_equal(value["model"][name].array, tensor.numpy())
    for index, state in optimizer.state_dict()["state"].items():
        assert np.array_equal(value["optimizer"]["state"][index]["momentum_buffer"].array, state["momentum_buffer"].numpy())
    assert value["optimizer"]["param_groups"] == optimizer.state_dict()["param_groups"]
    assert (value["note"], value["raw"]) == ("ü", b"\xff")


def test_ties_parameters_and_devices(torch, tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    path = tmp_path / "old.pt"
    value = {"base": base, "again": base, "row": base[1], "p": torch.nn.Parameter(base.clone()), "half": base.half()}
    torch.save(value, path, _use_new_zipfile_serialization=False)
    result = load(path)
    assert result["again"] is result["base"]
    assert type(result["base"]) is Tensor
    assert type(result["p"]) is Parameter
    assert result["p"].requires_grad
    result["base"].array[1, 2] = -1
    assert result["row"].tolist() == [4, 5, -1, 7]
    with strict_backend():
        result = load(path, map_location="strict")
        assert {str(tensor.device) for tensor in result.values()} == {"strict"}
        assert result["row"].tolist() == [4, 5, 6, 7]
        assert result["half"].tolist() == base.tolist()


def test_checkpoints_one_after_another(torch):
    """torch reads them so, and leaves the stream at the end of each."""
    stream = io.BytesIO()
    stream.write(b"before")
    for number in range(3):
        torch.save({"number": number, "weight": torch.full((2,), number)}, stream, _use_new_zipfile_serialization=False)
    stream.seek(len(b"before"))
    for number in range(3):
        value = load(stream)
        assert value["number"] == number
        assert value["weight"].tolist() == [number, number]
    assert stream.read() == b""


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda torch: torch.zeros(2, dtype=torch.complex64), r"got torch\.ComplexFloatStorage .minigrad has no complex"),
        (lambda torch: torch.zeros(2, dtype=torch.uint16), r"got torch\._utils\._rebuild_tensor_v3 .minigrad has no"),
        (lambda torch: torch.eye(2).to_sparse(), r"got torch\._utils\._rebuild_sparse_tensor .minigrad has no sparse"),
        (lambda torch: torch.nn.Linear(2, 2), r"got torch\.nn\.modules\.linear\.Linear .the class of a whole network"),
    ],
    ids=["complex", "uint16", "sparse", "module"],
)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_what_minigrad_lacks_is_named_or_a_placeholder(torch, make, complaint):
    stream = io.BytesIO()
    torch.save([make(torch), torch.ones(3)], stream, _use_new_zipfile_serialization=False)
    refused(stream.getvalue(), complaint)
    stream.seek(0)
    assert load(stream, unknown="placeholder")[1].tolist() == [1, 1, 1]


# What old versions wrote. torch reads these files, too: each is read by both.


def both(torch, content, tmp_path):
    """What minigrad and torch read."""
    path = tmp_path / "old.pt"
    path.write_bytes(content)
    return load(path), torch.load(path, weights_only=False)


def test_tensors_and_parameters_before_0_4(torch, tmp_path):
    weight = old_tensor(storage_id("7", FOUR, module="torch.cuda", location="cuda:0"), 1, (3,), (1,))
    frozen = old_tensor(storage_id("8", FOUR[:2]), 0, (2, 1), (1, 1))
    parameter = Global("torch.nn.parameter", "Parameter")
    no_hooks = Called(Global("collections", "OrderedDict"), ([],))
    tied = Called(parameter, (weight,), (True, False, no_hooks))
    value = {"a": tied, "b": tied, "c": Called(parameter, (frozen,), (False, False, no_hooks)), "d": frozen}
    storages = [("7", FOUR), ("8", FOUR[:2] + 5)]
    path = tmp_path / "old.pt"
    path.write_bytes(legacy_stream(value, storages))
    ours, theirs = load(path), torch.load(path, weights_only=True, map_location="cpu")
    assert ours["a"] is ours["b"]
    for name in value:
        assert type(ours[name]).__name__ == type(theirs[name]).__name__
        assert ours[name].tolist() == theirs[name].tolist()
        assert ours[name].requires_grad is theirs[name].requires_grad
    assert [record.requires_grad for record in read(path.read_bytes()).values()] == [True, True, False, False]


def test_empty_tensor_before_0_4():
    """torch of today fails at it: no sizes are one element now."""
    assert read(legacy_stream(old_tensor(storage_id("7", FOUR[:0]), 0, (), ()), [("7", FOUR[:0])])).array.shape == (0,)
    assert read(legacy_stream(old_tensor(storage_id("7", FOUR[:1]), 0, (), ()), [("7", FOUR[:1])])).array.shape == ()


def test_views_of_storages(torch, tmp_path):
    base = np.arange(10, dtype=np.int64)
    views = [storage_id("1", base, view) for view in (None, ("20", 3, 4), ("21", 0, 10), ("20", 3, 4))]
    content = legacy_stream([old_tensor(view, 1, (3,), (1,)) for view in views], [("1", base)])
    ours, theirs = both(torch, content, tmp_path)
    assert [tensor.tolist() for tensor in ours] == [tensor.tolist() for tensor in theirs]
    assert ours[1].tolist() == [4, 5, 6]
    ours[0].array[2] = -1
    assert ours[2].tolist() == [1, 2, -1]


def test_python_2(torch, tmp_path):
    """Its strings are bytes, its large integers text, and an OrderedDict is called with a list of lists."""
    array = np.array([1.5, -2], np.float64)
    name = Persistent(
        (OldString(b"storage"), Global("torch", "DoubleStorage"), OldString(b"9" * 15), OldString(b"cpu"), 2, None)
    )
    entries = [[OldString(b"weight"), old_tensor(name, 0, (2,), (1,))], [OldString(b"n"), 2**40], [OldString(b"x" * 300), 0.5]]
    metadata = {OldString(b"_metadata"): Called(Global("collections", "OrderedDict"), ([],))}
    value = Called(Global("collections", "OrderedDict"), (entries,), metadata)
    keys = [OldString(b"9" * 15)]
    ours, theirs = both(torch, legacy_stream(value, [("9" * 15, array)], keys=keys), tmp_path)
    assert list(ours) == list(theirs) == ["weight", "n", "x" * 300]
    assert ours["weight"].tolist() == theirs["weight"].tolist() == [1.5, -2]
    assert ours["n"] == 2**40
    assert ours._metadata == {}
    latin = legacy_stream({OldString(b"caf\xe9"): [OldInteger(-(2**40)), OldInteger(7)]})
    assert read(latin) == {"café": [-(2**40), 7]}


def test_old_sets(torch):
    builtins = Global("__builtin__", "set")
    assert read(legacy_stream([Called(builtins, ([1, 2],)), Called(Global("collections", "Counter"), ({"a": 2},))])) == [
        {1, 2},
        {"a": 2},
    ]


def test_big_endian_machine(torch, tmp_path):
    """torch writes little-endian elements on any machine; the facts only tell which one it was."""
    content = legacy_stream(
        old_tensor(storage_id("1", FOUR), 0, (4,), (1,)), [("1", FOUR)], facts={**FACTS, "little_endian": False}
    )
    ours, theirs = both(torch, content, tmp_path)
    assert ours.tolist() == theirs.tolist() == [0, 1, 2, 3]


class Bare:
    """A stream that can do no more than it must, and gives little at a time."""

    def __init__(self, content):
        inner = io.BytesIO(content)
        self.seek, self.tell = inner.seek, inner.tell
        self.read = lambda count: inner.read(min(count, 100))


def test_stream_that_does_little():
    array = np.arange(1000, dtype=np.float32)
    content = legacy_stream([old_tensor(storage_id("1", array), 0, (1000,), (1,)), "x" * 5000], [("1", array)])
    weight, text = torch_stream.read(Bare(content), RecordMaker(), Limits())
    assert np.array_equal(weight.array, array)
    assert text == "x" * 5000


# Broken and hostile files.

TENSOR = old_tensor(storage_id("1", FOUR), 0, (4,), (1,))
WHOLE = legacy_stream({"weight": TENSOR, "epoch": 3}, [("1", FOUR)])


def test_every_truncation():
    assert read(WHOLE)["weight"].array.tolist() == [0, 1, 2, 3]
    for length in range(len(WHOLE)):
        with pytest.raises(CheckpointError):
            load(io.BytesIO(WHOLE[:length]))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (legacy_stream(1, protocol=1002), "expected the protocol 1001, got 1002"),
        (legacy_stream(1, protocol=[]), "expected the protocol 1001, got list"),
        (legacy_stream(1, facts=[]), "expected a dictionary of facts on the machine, got list"),
        (legacy_stream(1, facts=Called(Global("os", "system"), ("true",))), "in the facts on the machine: .* got os.system$"),
        (legacy_stream(1, facts={"a": Persistent("1")}), "expected plain data, got a storage's name"),
        (legacy_stream(1, keys=Called(Global("os", "system"), ("true",))), "in the list of storages: .* got os.system$"),
        (legacy_stream(1, keys=("1",)), "expected a list of the storages' keys, got tuple"),
        (legacy_stream(1, keys=[1]), "expected a list of the storages' keys"),
        (legacy_stream(1, [("1", FOUR)]), "expected storages that the object names, got another, 1"),
        (legacy_stream(TENSOR), "expected all storages that the object names, got none for 1"),
        (legacy_stream(TENSOR, [("1", FOUR), ("1", FOUR)]), "expected one storage 1, got two of that name"),
        (legacy_stream(TENSOR, [("1", FOUR[:3])]), r"expected storage 1 to have 4 elements \(FloatStorage\), got 3"),
        (legacy_stream(TENSOR, [("1", struct.pack(">q", 4) + bytes(16))]), "at most the 16 bytes that are left of the file"),
        (legacy_stream(TENSOR, [("1", struct.pack("<q", -4) + bytes(16))]), "at most the 16 bytes .* got -4 elements"),
        (legacy_stream(TENSOR, [("1", struct.pack("<q", 2**61) + bytes(16))]), "at most the 16 bytes that are left"),
    ],
)
def test_parts_are_as_expected(content, complaint):
    refused(content, complaint)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (old_tensor(storage_id("1", FOUR, count=2**60), 0, (2**60,), (1,)), "to have 1152921504606846976 elements .*, got 4"),
        (old_tensor(storage_id("1", FOUR), 0, (10**6, 10**6), (0, 0)), r"expected at most \d+ bytes of tensors"),
        (old_tensor(storage_id("1", FOUR), 1, (4,), (1,)), "expected a tensor within its storage of 4 elements"),
        (old_tensor(storage_id("1", FOUR), 3, (2,), (-1,)), "whole numbers from 0, got -1"),
        (old_tensor(storage_id("1", FOUR, ("2", 1, 4)), 0, (1,), (1,)), "expected a part within the 4 elements of storage 1"),
        (old_tensor(storage_id("1", FOUR, ("2", 1, 2)), 0, (3,), (1,)), "within its storage of 2 elements"),
        (
            old_tensor(storage_id("1", FOUR, ("2", -1, 2)), 0, (1,), (1,)),
            "a part of a storage to be whole numbers from 0, got -1",
        ),
        (old_tensor(storage_id("1", FOUR, ("2", 0, None)), 0, (1,), (1,)), "whole numbers from 0, got NoneType"),
        (old_tensor(storage_id("1", FOUR, ("2", 2**70, 2**70)), 0, (1,), (1,)), "expected a part within"),
        (old_tensor(storage_id("1", FOUR, (1, 2)), 0, (1,), (1,)), r"expected \(key, offset, size\) as the view"),
        ([TENSOR, storage_id("1", FOUR, count=5)], "to have 4 elements .FloatStorage. wherever it is named, got 5"),
        ([TENSOR, storage_id("1", FOUR, name="IntStorage")], r"wherever it is named, got 4 \(IntStorage\)"),
        ([TENSOR, storage_id("1", FOUR)], "got a bare Storage storage 1"),
        ([TENSOR, Persistent("1")], r"expected \('storage', type, key, location, size, view\)"),
        ([TENSOR, Persistent(())], r"expected \('storage', type"),
        ([TENSOR, Persistent(("storage", 1, "1", "cpu", 4, None))], "expected a StorageType in a storage's name, got int"),
        ([TENSOR, storage_id(1, FOUR)], "expected a str in a storage's name, got int"),
        ([TENSOR, Persistent(("module", Global("torch", "FloatStorage"), "net.py", "source"))], "the class of a whole network"),
        (
            [TENSOR, Persistent(("module", Global("__main__", "Net"), "net.py", "source"))],
            "got __main__.Net .the class of a whole",
        ),
        ([TENSOR, Called(Global("torch.nn.parameter", "Parameter"), (None,))], "expected a tensor, got NoneType"),
        (
            [Called(Global("torch._utils", "_rebuild_tensor"), TENSOR.arguments, (True, False, None))],
            "or a Parameter to give attr",
        ),
        ([Called(Global("torch.nn.parameter", "Parameter"), (TENSOR,), (1, 2, 3))], "expected .requires_grad, volatile, hooks"),
        (
            [Called(Global("torch.nn.parameter", "Parameter"), (TENSOR,), {"data": 1})],
            "expected .requires_grad, volatile, hooks",
        ),
        ({"a": [TENSOR, Opcodes(b"I" + b"9" * 21 + b"\n")]}, "expected an integer of at most 20 digits"),
        ({"a": [TENSOR, Opcodes(b"Ios.system\n")]}, "expected an integer of at most 20 digits, got 'os.system'"),
    ],
)
def test_objects_are_as_expected(value, complaint):
    refused(legacy_stream(value, [("1", FOUR)]), complaint)


@pytest.mark.parametrize(
    "name", ["os system", "posix system", "nt system", "builtins eval", "__builtin__ eval", "builtins getattr", "torch load"]
)
def test_no_name_is_called(name, monkeypatch):
    module, function = name.split()
    called = Called(Global(module, function), ("raise SystemExit",))
    refused(legacy_stream({"weight": TENSOR, "x": called}, [("1", FOUR)]), f"got {module}.{function}")
    refused(pickled(MAGIC) + pickled(called), f"got {module}.{function}")


def test_integer_parameter_needs_no_gradient():
    """A parameter requires a gradient until its state says otherwise."""
    array = np.arange(2)
    parameter = Called(Global("torch.nn.parameter", "Parameter"), (old_tensor(storage_id("1", array), 0, (2,), (1,)),))
    with pytest.raises(CheckpointError, match="expected a floating tensor where requires_grad is True, got int64"):
        load(io.BytesIO(legacy_stream(parameter, [("1", array)])))
    parameter.arguments += (False,)
    assert load(io.BytesIO(legacy_stream(parameter, [("1", array)]))).tolist() == [0, 1]
    parameter.state = (True, False, None)
    with pytest.raises(CheckpointError, match="expected a floating tensor where requires_grad is True, got int64"):
        load(io.BytesIO(legacy_stream(parameter, [("1", array)])))


# Limits.


def test_a_pickle_that_never_ends():
    start = legacy_stream(1)[: -len(pickled(1) + pickled([]))]
    refused(start + b"\x80\x02" + b"N" * 5000, r"expected at most 1000 objects, got more", Limits(objects=1000))
    refused(
        start + b"\x80\x02" + b"N" * 5000,
        r"expected a pickle of at most 1000 bytes, got a longer one",
        Limits(pickle_bytes=1000),
    )
    refused(start + b"\x80\x02" + b"N" * 5000, "expected 1 more bytes, got 0 .truncated")
    refused(start + b"\x80\x02X" + struct.pack("<I", 2**31), "expected 2147483648 more bytes, got 0")
    refused(start + b"\x80\x02X" + struct.pack("<I", 2000) + bytes(2000), "Limits.pickle_bytes", Limits(pickle_bytes=1000))


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        ("value", r"expected at most 10000000 entries, got more \(Limits.objects\)"),
        ("facts", "expected a dictionary of facts on the machine, got tuple"),
        ("keys", "expected a list of the storages' keys, got tuple"),
    ],
)
def test_memo_bombs_in_each_pickle(part, complaint):
    lists = b"]q\x00" + b"".join(b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(40))
    refused(legacy_stream(**{"value": None, part: Opcodes(b"(" + lists + b"t")}), complaint)


def test_memo_bomb_in_facts_that_nobody_looks_at():
    lists = b"]q\x00" + b"".join(b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(40))
    assert read(legacy_stream(1, facts={"bomb": Opcodes(b"(" + lists + b"t")})) == 1


def test_limits_of_the_object():
    content = legacy_stream([old_tensor(storage_id("1", FOUR), 0, (250,), (0,))], [("1", FOUR)])
    assert read(content, Limits(tensor_bytes=1000))[0].array.shape == (250,)
    refused(content, "expected at most 999 bytes of tensors", Limits(tensor_bytes=999))
    nested = []
    for _ in range(100):
        nested = [nested]
    refused(legacy_stream(nested), r"nested at most 100 deep, got more")


def test_counts_are_checked_before_anything_is_read():
    """The second count says more than the file has, and the first storage is not read for it."""
    value = [old_tensor(storage_id(key, FOUR, count=count), 0, (1,), (1,)) for key, count in (("1", 4), ("2", 2**40))]
    content = legacy_stream(value, [("1", FOUR), ("2", struct.pack("<q", 2**40) + counted(FOUR))])
    refused(content, r"expected storage 2 to have at most the 24 bytes that are left of the file, got 1099511627776 elements")
