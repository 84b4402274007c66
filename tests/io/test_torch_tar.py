"""The tar format of torch before 0.1.9: archives built by hand, which torch reads too, and archives that are refused."""

import io
import struct
import tarfile
from collections import OrderedDict

import numpy as np
import pytest

from minigrad import load
from minigrad.dtypes import FLOATING
from minigrad.io import CheckpointError, Limits, torch_tar
from minigrad.nn.parameter import Parameter
from tests.io.old_formats import (
    STORAGES,
    Called,
    Global,
    OldInteger,
    OldString,
    Opcodes,
    Persistent,
    TarTensor,
    legacy_members,
    legacy_tar,
    number_of,
    pickled,
    storages_member,
    tar_of_arrays,
    tensors_member,
)
from tests.io.records import RecordMaker
from tests.strict_backend import strict_backend

FOUR = np.arange(4, dtype=np.float32)
BLOCK = 512


def read(content, limits=None):
    """Records, from bytes."""
    return torch_tar.read(io.BytesIO(content), RecordMaker(), limits or Limits())


def refused(content, complaint, limits=None):
    with pytest.raises(CheckpointError, match=complaint):
        read(content, limits)


def weight(sizes=(4,), strides=(1,), offset=0, storage=1, type_name="FloatTensor", key=7, **options):
    return TarTensor(key, storage, type_name, sizes, strides, offset, **options)


def members(value=None, storages=((1, FOUR),), tensors=(), views=()):
    return legacy_members({"weight": number_of(7)} if value is None else value, storages, tensors or [weight()], views)


# torch reads the same archives.


@pytest.fixture
def both(torch, tmp_path):
    """A function that gives what minigrad and torch read."""

    def read_both(content):
        path = tmp_path / "old.pt"
        path.write_bytes(content)
        return load(path), torch.load(path, weights_only=False, map_location="cpu")

    return read_both


def test_types_and_layouts(both):
    base = np.arange(24, dtype=np.float32)
    arrays = {
        "base": base.reshape(4, 6),
        "transposed": base.reshape(4, 6).T,
        "slice": base.reshape(4, 6)[1:3, ::2],
        "channels last": base.reshape(1, 2, 4, 3).transpose(0, 3, 1, 2),
        "0-d": base[5:6].reshape(()),
        "empty": base[:0],
        "no storage": np.zeros((3, 0), np.float64),
        **{name: np.arange(-3, 5).astype(name).reshape(2, 4) for name in STORAGES if name != "uint16"},
    }
    content = tar_of_arrays(arrays, lambda numbers: OrderedDict(model=numbers, epoch=3, again=[numbers["base"]]))
    ours, theirs = both(content)
    assert list(ours) == ["model", "epoch", "again"]
    assert list(ours["model"]) == list(arrays)
    assert ours["again"][0] is ours["model"]["base"]
    for name, tensor in ours["model"].items():
        expected = theirs["model"][name].numpy()
        assert tensor.array.dtype == expected.dtype == arrays[name].dtype
        assert tensor.shape == expected.shape == arrays[name].shape
        assert np.array_equal(tensor.array, expected)
        if tensor.array.size:
            assert tensor.array.strides == expected.strides
    ours["model"]["base"].array[1, 2] = -1
    assert ours["model"]["transposed"].tolist()[2][1] == ours["model"]["slice"].tolist()[0][1] == -1


def test_views_of_storages(both):
    tensors = [weight(sizes=(2,), offset=1, storage=storage, key=storage) for storage in (1, 20, 21)]
    ours, theirs = both(
        legacy_tar(members([number_of(key) for key in (1, 20, 21)], [(1, FOUR)], tensors, [(20, 1, 1, 3), (21, 1, 0, 4)]))
    )
    assert [tensor.tolist() for tensor in ours] == [tensor.tolist() for tensor in theirs] == [[1, 2], [2, 3], [1, 2]]
    ours[0].array[1] = -1
    assert ours[1].tolist() == [-1, 3]


def test_parameters_and_cuda(both):
    parameter = Called(Global("torch.nn.parameter", "Parameter"), (number_of(7),), (True, False, OrderedDict()))
    frozen = Called(Global("torch.nn.parameter", "Parameter"), (number_of(8),), (False, False, OrderedDict()))
    tensors = [weight(module="torch.cuda"), weight(key=8, sizes=(2, 2), strides=(1, 2))]
    ours, theirs = both(legacy_tar(members({"a": parameter, "b": parameter, "c": frozen}, tensors=tensors)))
    assert ours["a"] is ours["b"]
    for name in ours:
        assert type(ours[name]) is Parameter
        assert ours[name].tolist() == theirs[name].tolist()
        assert ours[name].requires_grad is theirs[name].requires_grad


def test_python_2(both):
    """Addresses of more than 32 bits, which name everything, are text there; strings are bytes."""
    address = 139872413098464
    named = members({OldString(b"weight"): Persistent(OldString(b"%d" % address))})
    tensor = weight(key=OldInteger(address), storage=OldInteger(address + 64))
    named["tensors"] = tensors_member([tensor], padding=b"\x37\x13\0\xff")
    named["storages"] = storages_member([(OldInteger(address + 64), FOUR)])
    ours, theirs = both(legacy_tar(named))
    assert ours["weight"].tolist() == theirs["weight"].tolist() == [0, 1, 2, 3]


def test_empty_tensors_of_no_storage():
    """torch had these, and its reader of today fails at them."""
    tensors = [weight(sizes=(), strides=(), storage=None), weight(key=8, sizes=(), strides=(), storage=1)]
    tensors.append(weight(key=9, sizes=(), strides=(), storage=None, type_name="BFloat16Tensor"))
    records = read(legacy_tar(members([number_of(7), number_of(8), number_of(9)], [(1, FOUR[:0])], tensors)))
    assert [record.array.shape for record in records] == [(0,), (0,), (0,)]
    assert all(record.array.dtype in FLOATING for record in records)


def test_other_device_and_streams():
    content = legacy_tar(members())
    with strict_backend():
        tensor = load(io.BytesIO(content), map_location="strict")["weight"]
        assert str(tensor.device) == "strict"
        assert tensor.tolist() == [0, 1, 2, 3]
    stream = io.BytesIO(b"before" + content)
    stream.seek(len(b"before"))
    assert load(stream)["weight"].tolist() == [0, 1, 2, 3]


def test_order_of_members_does_not_matter():
    content = members()
    assert read(legacy_tar(reversed(list(content.items()))))["weight"].array.tolist() == [0, 1, 2, 3]
    assert read(legacy_tar(content, mtime=0))["weight"].array.tolist() == [0, 1, 2, 3]


# Archives.


def end_of_archive(content):
    """Where the two empty blocks that end an archive end; zeros to a multiple of 10240 bytes follow."""
    position = 0
    while content[position : position + BLOCK] != bytes(BLOCK):
        size = int(content[position + 124 : position + 135], 8)
        position += BLOCK + -(-size // BLOCK) * BLOCK
    return position + 2 * BLOCK


def test_every_truncation():
    content = legacy_tar(members())
    for length in range(end_of_archive(content)):
        with pytest.raises(CheckpointError):
            load(io.BytesIO(content[:length]))
    for length in range(end_of_archive(content), len(content) + 1, 100):
        assert load(io.BytesIO(content[:length]))["weight"].tolist() == [0, 1, 2, 3]


def test_every_truncation_of_a_member():
    whole = members()
    for name in whole:
        for length in range(len(whole[name])):
            with pytest.raises(CheckpointError):
                read(legacy_tar({**whole, name: whole[name][:length]}))


def info(kind, name="pickle", **options):
    result = tarfile.TarInfo(name)
    result.type = kind
    for option, value in options.items():
        setattr(result, option, value)
    return result


def with_member(name, content):
    return legacy_tar({**members(), name: content})


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (legacy_tar({}), "expected a tar archive of sys_info, storages, tensors, pickle, got one without sys_info"),
        (legacy_tar({"data/1.png": b""}), "got one with a member called 'data/1.png'"),
        (legacy_tar([*members().items(), ("pickle", pickled(1))]), "expected one member called pickle, got two"),
        (legacy_tar([(name, value) for name, value in members().items() if name != "tensors"]), "got one without tensors"),
        (with_member("pickle", info(tarfile.SYMTYPE, linkname="/etc/passwd")), "got a symbolic link called 'pickle'"),
        (with_member("pickle", info(tarfile.LNKTYPE, linkname="tensors")), "got a hard link called 'pickle'"),
        (with_member("pickle", info(tarfile.DIRTYPE)), "got a folder called 'pickle"),
        (with_member("pickle", info(tarfile.FIFOTYPE)), "got a pipe called 'pickle'"),
        (with_member("pickle", info(tarfile.GNUTYPE_SPARSE)), "got a sparse file called 'pickle'"),
        (with_member("pickle", info(tarfile.CONTTYPE)), "got one of kind b'7' called 'pickle'"),
        (with_member("pickle", info(tarfile.REGTYPE, pax_headers={"GNU.sparse.major": "1"})), "the extended record GNU.sparse"),
        (with_member("pickle", info(tarfile.REGTYPE, pax_headers={"path": "storages"})), "the extended record path"),
        (with_member("pickle", info(tarfile.REGTYPE, pax_headers={"comment": "x" * 70_000})), "header of at most 65536 bytes"),
        (with_member("../pickle", b""), r"a member called '\.\./pickle'"),
        (with_member("x" * 90 + "/" + "pickle" * 10, b""), "the extended record path|without folders"),
    ],
)
def test_archives_are_as_expected(content, complaint):
    refused(content, complaint)


def patched(content, name, start, field):
    """An archive with bytes of a member's header replaced, and its checksum made to agree."""
    position = content.index(name.encode() + bytes(100 - len(name)))
    header = bytearray(content[position : position + BLOCK])
    header[start : start + len(field)] = field
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return content[:position] + bytes(header) + content[position + BLOCK :]


@pytest.mark.parametrize(
    ("start", "field", "complaint"),
    [
        (124, b"77777777777\0", "expected 8589934591 bytes in the member pickle, got .* .truncated"),
        (124, b"\x80" + b"\xff" * 11, "expected 309485009821345068724781055 bytes in the member pickle"),
        (124, b"\xff" * 12, "expected an octal number in a tar header"),
        (124, b"-0000000001\0", "expected an octal number in a tar header, got b'-00"),
        (124, b"0x000000010\0", "expected an octal number in a tar header"),
        (257, b"bastar", "expected a tar header, which has b'ustar"),
        (345, b"folder", "expected a tar archive without folders, got 'pickle' in one"),
    ],
)
def test_headers_are_as_expected(start, field, complaint):
    refused(patched(legacy_tar(members(), mtime=0), "pickle", start, field), complaint)


def test_damaged_header():
    content = bytearray(legacy_tar(members(), mtime=0))
    content[content.index(b"pickle") + 1] ^= 1
    refused(bytes(content), r"expected a tar header with the checksum \d+, got \d+ .damaged")


def extended_header(records):
    header = tarfile.TarInfo("extended")
    header.type, header.size = tarfile.XHDTYPE, len(records)
    return header.tobuf(tarfile.USTAR_FORMAT) + records.ljust(-(-len(records) // BLOCK) * BLOCK, b"\0")


@pytest.mark.parametrize(
    ("records", "complaint"),
    [
        (b"0 a=b\n", "expected records of a length, a name and a value"),
        (b"-9 a=b\n", "expected records of a length"),
        (b"99 a=b\n", "expected records of a length"),
        (b"12 mtime=1.5", "expected records of a length"),
        (b"7" * 200, "expected records of a length"),
        (b"12 size=-99\n", "the extended record size"),
        (b"20 size=99999999999\n", "expected 99999999999 bytes in the member sys_info"),
        (b"7 a=b=\n", "the extended record a"),
    ],
)
def test_extended_headers_are_as_expected(records, complaint):
    refused(extended_header(records) + legacy_tar(members(), mtime=0), complaint)


def test_size_in_an_extended_header():
    """So Python writes the sizes of members beyond 8 GiB, whose header then says 0."""
    content = members()
    size = len(content["sys_info"])
    record = f"{len(f'10 size={size}') + 1} size={size}\n".encode()
    archive = patched(legacy_tar(content, mtime=0), "sys_info", 124, b"0" * 11)
    assert read(extended_header(record) + archive)["weight"].array.tolist() == [0, 1, 2, 3]


# Members.

BIG_ENDIAN = pickled({"protocol_version": 1000, "little_endian": False})
LONG_AGO = struct.pack("<q", 2**61) + FOUR.tobytes()


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("sys_info", BIG_ENDIAN, "expected a tar archive of a little-endian machine, got one of a big-endian"),
        ("sys_info", pickled([]), "expected a dictionary of facts on the machine in sys_info, got list"),
        ("sys_info", pickled(Called(Global("os", "system"), ("true",))), "in sys_info: .* got os.system$"),
        ("storages", storages_member([(1, FOUR)], count=-1), "in storages: expected how many there are, got -1"),
        ("storages", storages_member([(1, FOUR)], count="1"), "in storages: expected how many there are, got str"),
        ("storages", storages_member([(1, FOUR)], count=2**40), r"in storages: expected \(key, location, storage type\)"),
        ("storages", storages_member([(1, FOUR)], count=0), "in storages: .* got torch.FloatStorage$"),
        ("storages", pickled(0) + pickled({}), "in storages: expected a list of views, got dict"),
        ("storages", storages_member([(1, FOUR), (1, FOUR)]), "expected one storage 1, got two of that name"),
        ("storages", storages_member([("1", FOUR)]), "expected a number that names a storage, got str"),
        ("storages", storages_member([(1, FOUR)], module="os"), "in storages: .* got os.FloatStorage$"),
        ("storages", storages_member([(1, LONG_AGO)]), "to have at most the .* bytes that are left of the file"),
        ("storages", storages_member([(1, struct.pack("<q", -1) + bytes(16))]), "left of the file, got -1 elements"),
        ("storages", storages_member([(1, FOUR)], [(1, 1, 0, 4)]), "expected one storage 1, got two of that name"),
        ("storages", storages_member([(1, FOUR)], [(2, 1, 0, 4), (2, 1, 0, 4)]), "expected one storage 2, got two"),
        ("storages", storages_member([(1, FOUR)], [(2, 1, 0)]), r"expected \(view, storage, offset, size\)"),
        ("storages", storages_member([(1, FOUR)]) + b"x", "in storages: expected nothing after the end, got 1 bytes"),
        ("tensors", tensors_member([weight(), weight()]), "expected one tensor 7, got two of that name"),
        ("tensors", tensors_member([weight(key="7")]), "expected a number that names a tensor, got str"),
        ("tensors", tensors_member([weight(type_name="FloatStorage")]), "in tensors: .* got torch.FloatStorage$"),
        ("tensors", tensors_member([weight(type_name="system", module="os")]), "in tensors: .* got os.system$"),
        ("tensors", tensors_member([weight()], count=10**9), "in tensors: .* got 0 .truncated"),
        ("tensors", tensors_member([weight()]) + b"x", "in tensors: expected nothing after the end"),
        ("tensors", tensors_member([weight(sizes=(1,) * 65, strides=(1,) * 65)]), "at most 64 dimensions, got 65"),
        ("tensors", tensors_member([weight(type_name="LongTensor")]), "of its storage 1, FloatStorage, got LongStorage"),
        ("tensors", tensors_member([weight(storage=2)]), "expected a storage 2, got none of that name"),
        ("tensors", tensors_member([weight(storage=None)]), "within its storage of 0 elements"),
        ("tensors", tensors_member([weight(sizes=(5,))]), "within its storage of 4 elements"),
        ("tensors", tensors_member([weight(offset=-1)]), "whole numbers from 0, got -1"),
        ("tensors", tensors_member([weight(sizes=(10**6, 10**6), strides=(0, 0))]), r"at most \d+ bytes of tensors"),
        ("tensors", tensors_member([weight(sizes=(2**62, 4), strides=(0, 0))]), "expected a tensor of at most"),
        ("pickle", pickled(number_of(8)), "expected the number of a tensor, got 8"),
        ("pickle", pickled(number_of(1)), "expected the number of a tensor, got 1"),
        ("pickle", pickled(Persistent((Global("torch", "FloatStorage"), "net.py", "x"))), "the class of a whole network"),
        ("pickle", pickled(Called(Global("posix", "system"), ("true",))), "got posix.system"),
        ("pickle", pickled(Called(Global("__builtin__", "eval"), ("1",))), "got __builtin__.eval"),
        ("pickle", pickled(Called(Global("builtins", "getattr"), (number_of(7), "data"))), "got builtins.getattr"),
        ("pickle", pickled(1) + b".", "expected nothing after the end, got 1 bytes"),
        ("pickle", b"\x80\x02" + b"N" * 3000, "got 0 .truncated"),
    ],
)
def test_members_are_as_expected(name, content, complaint):
    refused(legacy_tar({**members(), name: content}), complaint)


def test_views_outside_of_their_root():
    for view, complaint in [
        ((2, 1, 1, 4), "expected a part within the 4 elements of storage 1, got one of 4 that begins at element 1"),
        ((2, 1, -1, 4), "whole numbers from 0, got -1"),
        ((2, 1, 0, None), "whole numbers from 0, got NoneType"),
        ((2, 3, 0, 4), "expected a storage 3, got none of that name"),
        ((2, 2, 0, 4), "expected a storage 2, got none of that name"),
    ]:
        refused(legacy_tar(members(tensors=[weight(storage=2)], views=[view])), complaint)


# Limits.


def test_limits():
    content = legacy_tar(members(tensors=[weight(sizes=(250,), strides=(0,))]))
    assert read(content, Limits(tensor_bytes=1000))["weight"].array.shape == (250,)
    refused(content, "expected at most 999 bytes of tensors", Limits(tensor_bytes=999))
    content = legacy_tar({**members(), "pickle": b"\x80\x02](" + b"N" * 5000 + b"e."})
    refused(content, r"expected at most 1000 objects, got more", Limits(objects=1000))
    refused(content, r"expected at most 1000 bytes in pickle, got 5006 .Limits.pickle_bytes", Limits(pickle_bytes=1000))
    content = legacy_tar({**members(), "storages": b"\x80\x02](" + b"N" * 5000 + b"e."})
    refused(content, r"in storages: .* of at most 1000 bytes, got a longer one", Limits(pickle_bytes=1000))
    refused(content, r"in storages: .* at most 1000 objects, got more", Limits(objects=1000))


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("sys_info", "expected a dictionary of facts on the machine in sys_info, got tuple"),
        ("storages", "in storages: expected how many there are, got tuple"),
        ("tensors", "in tensors: expected how many there are, got tuple"),
        ("pickle", r"at most 10000000 entries, got more"),
    ],
)
def test_memo_bombs_in_each_member(name, complaint):
    lists = b"]q\x00" + b"".join(b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(40))
    refused(legacy_tar({**members(), name: pickled(Opcodes(b"(" + lists + b"t"))}), complaint)
