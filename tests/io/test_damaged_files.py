"""Pickles and archives that are broken, or lie about their entries: each gives a clear CheckpointError."""

import io
import struct
import zipfile
from contextlib import suppress

import numpy as np
import pytest

from minigrad.io import CheckpointError
from minigrad.io.storage import TensorRecord

PROTO = b"\x80\x02"


@pytest.fixture
def archive_bytes(write_records):
    return write_records({"weight": TensorRecord(np.arange(100, dtype=np.float32)), "epoch": 3}).getvalue()


@pytest.fixture
def pickle_bytes(archive_bytes):
    with zipfile.ZipFile(io.BytesIO(archive_bytes)) as archive:
        return archive.read("archive/data.pkl")


@pytest.mark.parametrize(
    ("pickled", "complaint"),
    [
        (b"", "expected 1 more bytes, got 0"),
        (b"\x80\x04N.", r"expected pickle protocol 2 \(what torch.save uses\), got 4"),
        (b"(I1\n.", "expected a pickle of protocol 2, got one that begins with b'\\('"),
        (PROTO, "expected 1 more bytes"),
        (PROTO + b"N", "at byte 3 of the pickle: expected 1 more bytes, got 0 .truncated"),
        (PROTO + b"X\xff\xff\xff\xffabc", "expected 4294967295 more bytes, got 3"),
        (PROTO + b"X\x01\x00\x00\x00\xff.", "expected a string in UTF-8"),
        (PROTO + b"T\xff\xff\xff\xffabc", "expected the length of a string, got -1"),
        (PROTO + b".", "expected one object at the end, got 0"),
        (PROTO + b"NN.", "expected one object at the end, got 2"),
        (PROTO + b"(N.", "expected one object at the end, got 1 and 1 marks"),
        (PROTO + b"N.N", "expected nothing after the end, got 1 bytes"),
        (PROTO + b"t.", "expected a mark on the stack"),
        (PROTO + b"N\x86.", "expected 2 objects on the stack for a tuple, got 1"),
        (PROTO + b"a.", "expected an object on the stack"),
        (PROTO + b"q\x00.", "expected an object on the stack"),
        (PROTO + b"R.", "expected an object on the stack"),
        (PROTO + b"h\x00.", "expected an index that the memo has, got 0"),
        (PROTO + b"N(h\x00.", "expected an index that the memo has, got 0"),
    ],
)
def test_broken_pickles(make_archive, read_records, pickled, complaint):
    with pytest.raises(CheckpointError, match=complaint):
        read_records(make_archive(pickled))


def test_every_truncation_of_a_pickle(make_archive, read_records, pickle_bytes):
    data = {"data/0": bytes(400)}
    assert read_records(make_archive(pickle_bytes, data))["epoch"] == 3
    for length in range(len(pickle_bytes)):
        with pytest.raises(CheckpointError):
            read_records(make_archive(pickle_bytes[:length], data))


def test_every_changed_byte_of_a_pickle(make_archive, read_records, pickle_bytes):
    """Whatever it says now, it is read or refused: no other error comes out."""
    for position in range(len(pickle_bytes)):
        for byte in b"\x00\x01(.)]}NQRabcehqrstuX\x85\x88\xff":
            changed = pickle_bytes[:position] + bytes([byte]) + pickle_bytes[position + 1 :]
            with suppress(CheckpointError):
                read_records(make_archive(changed, {"data/0": bytes(400)}))


def test_every_truncation_of_an_archive(read_records, archive_bytes):
    assert read_records(io.BytesIO(archive_bytes))["epoch"] == 3
    for length in range(4, len(archive_bytes)):
        with pytest.raises(CheckpointError):
            read_records(io.BytesIO(archive_bytes[:length]))


def test_end_of_a_file_on_disk(read_records, archive_bytes, tmp_path):
    """A file's seek to before its beginning fails by another error than that of bytes in memory."""
    path = tmp_path / "part.pt"
    for start in range(len(archive_bytes) - 400, len(archive_bytes), 7):
        path.write_bytes(archive_bytes[start:])
        with open(path, "rb") as stream, pytest.raises(CheckpointError):
            read_records(stream)


def test_every_changed_byte_of_an_archive(read_records, archive_bytes):
    for position in range(len(archive_bytes)):
        for flip in (0x01, 0x80, 0xFF):
            changed = bytearray(archive_bytes)
            changed[position] ^= flip
            with suppress(CheckpointError):
                read_records(io.BytesIO(changed))


def test_damaged_elements(read_records, archive_bytes):
    start = archive_bytes.index(np.arange(100, dtype="<f4").tobytes())
    changed = archive_bytes[:start] + b"\x01" + archive_bytes[start + 1 :]
    with pytest.raises(CheckpointError, match=r"expected the entry data/0 to have the checksum 0x\w+, got 0x\w+ .damaged"):
        read_records(io.BytesIO(changed))


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ({"data.pkl": None}, r"expected one data.pkl .* got 0 \(it has archive/byteorder, archive/version\)"),
        ({"constants.pkl": b"x"}, "got a TorchScript archive"),
        ({"byteorder": b"middle"}, "expected a byte order of little or big, got b'middle'"),
        ({"version": b"99"}, "expected a format version from 1 to 10, got b'99'"),
        ({"version": b"x"}, "expected a format version"),
        ({"version": b"1" * 30}, "expected at most 20 bytes in version"),
        ({"../evil": b"x"}, None),
    ],
)
def test_entries_are_as_expected(make_archive, read_records, entries, complaint):
    stream = make_archive(PROTO + b"N.", entries)
    if complaint is None:
        assert read_records(stream) is None
    else:
        with pytest.raises(CheckpointError, match=complaint):
            read_records(stream)


def test_two_data_pkl(make_archive, read_records):
    stream = make_archive(PROTO + b"N.")
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("other/data.pkl", PROTO + b"K\x01.")
    with pytest.raises(CheckpointError, match=r"expected one data.pkl in the archive's root folder, got 2"):
        read_records(stream)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name(make_archive, read_records):
    stream = make_archive(PROTO + b"N.")
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("archive/data.pkl", PROTO + b"K\x01.")
    with pytest.raises(CheckpointError, match=r"expected entries of different names, got 2 called archive/data.pkl"):
        read_records(stream)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_entries(make_archive, read_records, compression):
    stream = make_archive(PROTO + b"N.", compression=compression)
    with pytest.raises(CheckpointError, match="to be stored as it is, got it compressed or encrypted"):
        read_records(stream)


def test_entries_that_overlap(make_archive, read_records):
    """Many entries that name the same bytes would make a small file a large one."""
    stream = make_archive(PROTO + b"N.", {f"data/{i}": bytes(1000) for i in range(3)})
    content = bytearray(stream.getvalue())
    directory = content.index(b"PK\x01\x02")
    for name in (b"archive/data/1", b"archive/data/2"):
        entry = content.index(name, directory) - 46
        content[entry + 20 : entry + 28] = struct.pack("<II", 2000, 2000)
    with pytest.raises(CheckpointError, match=r"expected entries of at most the file's \d+ bytes"):
        read_records(io.BytesIO(bytes(content)))


def directory_entry(content, name):
    """Where an entry stands in an archive's directory."""
    return content.index(name, content.index(b"PK\x01\x02")) - 46


def test_two_entries_at_one_place(make_archive, read_records):
    pickled = PROTO + b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x001X\x03\x00\x00\x00cpuK\x01tQ."
    content = bytearray(make_archive(pickled, {"data/0": b"0000", "data/1": b"1111"}).getvalue())
    zero, one = (directory_entry(content, name) for name in (b"archive/data/0", b"archive/data/1"))
    with pytest.raises(CheckpointError, match="got a bare Storage"):  # as it stands, all of it is read
        read_records(io.BytesIO(content))
    content[one + 42 : one + 46] = content[zero + 42 : zero + 46]
    with pytest.raises(CheckpointError, match="expected the entry data/1 to have the name that the directory says"):
        read_records(io.BytesIO(content))
    content[one + 42 : one + 46] = struct.pack("<I", len(content) - 40)
    with pytest.raises(CheckpointError, match="expected the entry data/1 where the archive's directory says"):
        read_records(io.BytesIO(content))


def test_entry_that_reaches_into_the_next_one(make_archive, read_records):
    content = bytearray(make_archive(PROTO + b"N.").getvalue())
    entry = directory_entry(content, b"archive/data.pkl")
    content[entry + 20 : entry + 28] = struct.pack("<II", 60, 60)
    with pytest.raises(CheckpointError, match=r"expected the entry data\.pkl to end before what follows it"):
        read_records(io.BytesIO(content))


@pytest.mark.parametrize("name", ["\x1b[31m" + "x" * 60_000, "ü\n"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_in_messages_are_short_and_printable(make_archive, read_records, name):
    stream = make_archive(PROTO + b"N.", {name: b""})
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr(f"archive/{name}", b"")
    with pytest.raises(CheckpointError, match="got 2 called archive/") as error:
        read_records(stream)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 300


def test_names_of_classes_in_messages_are_printable(make_archive, read_records):
    with pytest.raises(CheckpointError, match=r"got a\.\\x1b\[31m") as error:
        read_records(make_archive(PROTO + b"ca\n\x1b[31m\n."))
    assert str(error.value).isprintable()
