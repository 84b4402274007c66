"""Small files that would become large objects are refused before they do; what is within the limits is read."""

import io
import struct

import pytest

from minigrad.io import CheckpointError, Limits, Placeholder, pickle_reader, save
from minigrad.io.limits import Budget
from minigrad.io.pickle_reader import Constructor, PickleReader
from minigrad.io.pickle_writer import Call, Name, Persistent, PickleWriter
from minigrad.io.tree import check_loaded

PROTO, STOP, MARK = b"\x80\x02", b".", b"("
NEW_ORDERED_DICT = b"ccollections\nOrderedDict\n)R"
STORAGE = ("storage", Name("torch", "FloatStorage"), "0", "cpu", 4)


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def expanded(size):
    """A tensor that repeats its storage's first element."""
    no_hooks = Call(Name("collections", "OrderedDict"), ())
    return Call(Name("torch._utils", "_rebuild_tensor_v2"), (Persistent(STORAGE), 0, (size,), (0,), False, no_hooks))


@pytest.fixture
def read_opcodes(make_archive, read_records):
    """A function that reads the pickle of these opcodes."""
    return lambda opcodes, limits=None: read_records(make_archive(PROTO + opcodes + STOP), limits)


@pytest.fixture
def read_written(make_archive, read_records):
    """A function that reads the pickle of a value, beside a storage of four float32 numbers."""

    def read(value, limits=None):
        return read_records(make_archive(PickleWriter(lambda part: part).dump(value), {"data/0": bytes(16)}), limits)

    return read


# Tensors.


def test_many_tensors_over_one_storage_are_too_much_together(read_written):
    quarter_gibibyte = 2**26
    assert len(read_written([expanded(quarter_gibibyte) for _ in range(3)])) == 3
    with pytest.raises(CheckpointError, match=r"Limits\.tensor_bytes"):
        read_written([expanded(quarter_gibibyte) for _ in range(5)])


def test_limit_of_tensor_bytes(read_written):
    assert read_written(expanded(250), Limits(tensor_bytes=1000)).array.shape == (250,)
    with pytest.raises(CheckpointError, match="expected at most 1000 bytes of tensors"):
        read_written(expanded(251), Limits(tensor_bytes=1000))


def test_each_tensor_counts_as_objects(make_archive, read_records):
    """Called again from the memo, a tensor costs a file five bytes."""
    storage = MARK + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x04tQ"
    first = b"ctorch._utils\n_rebuild_tensor_v2\nq\x00" + MARK + storage + b"K\x00K\x04\x85K\x01\x85\x89" + NEW_ORDERED_DICT
    pickled = PROTO + first + b"tq\x01R" + MARK + b"h\x00h\x01R" * 200 + b"t\x86" + STOP
    stream = make_archive(pickled, {"data/0": bytes(16)})
    assert len(read_records(stream)[1]) == 200
    with pytest.raises(CheckpointError, match=r"Limits\.objects"):
        read_records(stream, Limits(objects=2000))


# Nesting.


@pytest.mark.parametrize(
    "nested",
    [
        b"]" * 101 + b"a" * 100,
        b"(" * 101 + b"t" * 101,
        b")" + b"\x85" * 200_000,
        b"}" + (text("k") + b"}") * 100 + b"s" * 100,
        b"]q\x00" + b"".join(b"]q" + bytes([i + 1]) + b"h" + bytes([i]) + b"a" for i in range(200)),
    ],
    ids=["lists", "tuples", "tuples from the inside", "dictionaries", "lists from the memo"],
)
def test_deep_nesting(read_opcodes, nested):
    """The tuple around them is for the last, which leaves two hundred lists on the stack."""
    with pytest.raises(CheckpointError, match=r"nested at most 100 deep, got more \(Limits.depth\)"):
        read_opcodes(b"(" + nested + b"t")


def test_depth_within_the_limit(read_opcodes):
    value = read_opcodes(b"]" * 100 + b"a" * 99)
    for _ in range(99):
        (value,) = value
    assert value == []


@pytest.mark.parametrize("closing", [b"q\x00h\x00a", b"q\x00h\x00\x85a"])
def test_cycles(read_opcodes, closing):
    with pytest.raises(CheckpointError, match="expected no container inside of itself"):
        read_opcodes(b"]" + closing)


def test_cycle_through_attributes(read_opcodes):
    with pytest.raises(CheckpointError, match="expected no container inside of itself"):
        read_opcodes(NEW_ORDERED_DICT + b"q\x00}" + text("_metadata") + b"h\x00sb")


# Copies, and what only looks like copies.


def test_a_billion_laughs(read_opcodes):
    """Forty lists, each naming the one before it twice, are small in memory and 2⁴⁰ entries to whoever prints them."""
    lists = b"]q\x00" + b"".join(b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(40))
    with pytest.raises(CheckpointError, match=r"expected at most 10000000 entries, got more \(Limits.objects\)"):
        read_opcodes(b"(" + lists + b"t")


@pytest.mark.parametrize("name", ["__builtin__ set", "__builtin__ frozenset", "collections OrderedDict"])
def test_copies_of_one_list_count_each(read_opcodes, name):
    module, name = name.split()
    pairs = b"](" + b"".join(bytes([75, i, 75, i]) + b"\x86" for i in range(100)) + b"e\x85q\x00"
    copy = f"c{module}\n{name}\n".encode() + b"h\x00R"
    assert len(read_opcodes(pairs + MARK + copy * 5 + b"t\x86")[1]) == 5
    with pytest.raises(CheckpointError, match=r"Limits\.objects"):
        read_opcodes(pairs + MARK + copy * 5 + b"t\x86", Limits(objects=800))
    with pytest.raises(CheckpointError, match="expected to copy fewer entries of containers than the pickle has bytes"):
        read_opcodes(pairs + MARK + copy * 100 + b"t\x86")


def test_copies_of_each_entry_once_are_honest(read_opcodes):
    """The shortest way to say an entry takes a byte."""
    assert read_opcodes(b"c__builtin__\nset\n](" + b"N" * 100_000 + b"e\x85R") == {None}


def test_copies_of_one_string_count_each(read_opcodes):
    copies = MARK + text("a" * 1000) + text("latin1") + b"\x86q\x00" + b"c_codecs\nencode\nh\x00R" * 100 + b"t"
    assert read_opcodes(copies)[1] == b"a" * 1000
    with pytest.raises(CheckpointError, match=r"Limits\.pickle_bytes"):
        read_opcodes(copies, Limits(pickle_bytes=20_000))


def test_objects_and_size_of_a_pickle(read_opcodes):
    with pytest.raises(CheckpointError, match=r"expected at most 1000 objects, got more \(Limits.objects\)"):
        read_opcodes(b"](" + b"N" * 1000 + b"e", Limits(objects=1000))
    with pytest.raises(CheckpointError, match=r"expected at most 1000 bytes in data.pkl, got 1005"):
        read_opcodes(b"](" + b"N" * 999 + b"e", Limits(pickle_bytes=1000))


# Keys: a file can choose their hashes, and make them long.

EQUAL_HASH = 2**61 - 1


def integer(value):
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def float_of(value):
    return b"G" + struct.pack(">d", value)


@pytest.mark.parametrize(
    "key",
    [lambda i: integer(i * EQUAL_HASH), lambda i: float_of(i + 0.5), lambda i: integer(i) + integer(0) + b"\x86"],
    ids=["large integers", "floats", "tuples"],
)
def test_keys_with_hashes_of_the_file_s_choice_are_few(read_opcodes, key):
    few = [key(i) for i in range(1, 401)]
    assert len(read_opcodes(b"}(" + b"N".join(few) + b"Nu")) == 400
    # The same few again and again are as many: each is compared with what is there.
    for opcodes in (
        b"}(" + b"N".join(few) + b"Nu",
        b"c__builtin__\nset\n](" + b"".join(few) + b"e\x85R",
        NEW_ORDERED_DICT.removesuffix(b")R") + b"](" + b"".join(part + b"N\x86" for part in few) + b"e\x85R",
    ):
        with pytest.raises(CheckpointError, match="expected at most 10000 keys beside strings and integers of 32 bits"):
            read_opcodes(MARK + opcodes * 26 + b"t")


def test_small_integers_and_text_are_as_many_keys_as_there_are(read_opcodes):
    keys = [b"J" + struct.pack("<i", i) for i in range(-10_000, 10_000)] + [text(str(i)) for i in range(10_001)]
    keys += [text(str(i)) + text("a") + b"\x86" for i in range(10_001)]  # as the merges of a tokenizer
    assert len(read_opcodes(b"}(" + b"N".join(keys) + b"Nu")) == 40_002


def test_bytes_are_as_many_keys_as_there_are(read_written):
    value = {str(i).encode(): i for i in range(10_001)}
    assert read_written(value) == value


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        (MARK + b"N" * 17 + b"t", "expected a tuple of at most 16 parts as a key, got 17"),
        (text("a" * 65_537), "expected at most 65536 characters in a key, got 65537"),
        (text("a" * 65_537) + b"\x85", "expected at most 65536 characters in a key, got 65537"),
    ],
)
def test_long_keys(read_opcodes, key, complaint):
    for opcodes in (b"}" + key + b"Ns", b"c__builtin__\nset\n]" + key + b"a\x85R"):
        with pytest.raises(CheckpointError, match=complaint):
            read_opcodes(opcodes)
    with pytest.raises(CheckpointError, match=r"expected a str in a storage's name|in a key, got 65537"):
        read_opcodes(MARK + text("storage") + b"ctorch\nFloatStorage\n" + key + text("cpu") + b"K\x04tQ")


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ({"a": {"x" * 65_537: 1}}, r"save: checkpoint\['a'\]: expected at most 65536 characters in a key, got 65537"),
        ({(1,) * 17: 1}, "expected a tuple of at most 16 parts as a key, got 17"),
        ([{i + 0.5 for i in range(9000)}, {(i, 0): 1 for i in range(1001)}], "expected at most 10000 keys beside strings"),
    ],
)
def test_keys_that_could_not_be_loaded_are_not_saved(value, complaint):
    with pytest.raises(TypeError, match=complaint):
        save(value, io.BytesIO())


def test_copies_of_a_counter_have_keys_too(read_opcodes):
    counter = b"ccollections\nCounter\n}(" + b"".join(float_of(i + 0.5) + b"N" for i in range(5001)) + b"u\x85R"
    with pytest.raises(CheckpointError, match="expected at most 10000 keys beside strings and integers of 32 bits"):
        read_opcodes(counter)


# What is walked is paid for first.


def test_metadata_of_a_tensor_is_short(read_opcodes, make_archive, read_records):
    entries = b"".join(bytes([75, i]) + b"\x89" for i in range(3))
    storage = MARK + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x04tQ"
    arguments = MARK + storage + b"K\x00K\x04\x85K\x01\x85\x89N}(" + entries + b"ut"
    stream = make_archive(PROTO + b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R" + STOP, {"data/0": bytes(16)})
    with pytest.raises(CheckpointError, match="lazily conjugated, or negated"):
        read_records(stream)


class Watched(tuple):
    """Arguments that must not be walked."""

    def __iter__(self):
        raise AssertionError("walked")


@pytest.mark.parametrize("function", [Placeholder("a.b"), Constructor("c.d", list, 0, 1)], ids=["placeholder", "constructor"])
def test_arguments_are_counted_before_they_are_looked_at(monkeypatch, function):
    monkeypatch.setattr(pickle_reader, "tuple", Watched, raising=False)  # what the reader takes for a tuple
    reader = PickleReader(b"", {}, lambda identifier: None, Budget(Limits(), 0))
    reader.stack = [function, Watched((1, 2, 3))]
    if type(function) is Placeholder:
        reader.call()
        assert [part.name for part in reader.stack] == ["a.b"]
    else:
        with pytest.raises(CheckpointError, match=r"c\.d: expected 0 to 1 arguments, got 3"):
            reader.call()


def test_fields_of_a_storage_s_name_are_few(read_opcodes):
    with pytest.raises(CheckpointError, match="expected at most 6 fields in a storage's name, got 7"):
        read_opcodes(MARK + b"N" * 7 + b"tQ")


# Memory.


@pytest.mark.parametrize("container", [b"}", b"]", b"c__builtin__\nset\n)R", NEW_ORDERED_DICT])
def test_containers_weigh_more_than_numbers(read_opcodes, container):
    opcodes = MARK + container * 200 + b"t"
    assert len(read_opcodes(opcodes, Limits(objects=2000))) == 200
    with pytest.raises(CheckpointError, match=r"expected at most 900 objects, got more \(Limits.objects\)"):
        read_opcodes(opcodes, Limits(objects=900))


def test_open_marks(read_opcodes):
    assert read_opcodes(MARK * 24 + b"t" * 24, Limits(depth=24)) is not None
    with pytest.raises(CheckpointError, match=r"expected at most 24 open marks, got more \(Limits.depth\)"):
        read_opcodes(MARK * 25, Limits(depth=2))


def test_exactly_as_many_entries_as_allowed():
    check_loaded([1] * 9, Limits(objects=10))
    with pytest.raises(CheckpointError, match="expected at most 9 entries"):
        check_loaded([1] * 9, Limits(objects=9))


def test_empty_containers_count_and_have_a_depth():
    with pytest.raises(CheckpointError, match="nested at most 1 deep"):
        check_loaded([{}], Limits(depth=1))
    with pytest.raises(CheckpointError, match="expected at most 3 entries"):
        check_loaded([{}, [], ()], Limits(objects=3))
    check_loaded([{}, [], ()], Limits(objects=4, depth=2))


def test_directory_of_an_archive_is_not_read_if_it_is_too_large(read_records):
    """Its end record says how large it is, before zipfile would make a kilobyte of each of its entries."""
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<H", 10) + bytes(16) + b"0123456789"
    count = 2**24 // len(entry) + 1
    directory = entry * count
    end = b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 1, 1, len(directory), 4, 0)
    with pytest.raises(CheckpointError, match=rf"expected a ZIP directory of at most 16777216 bytes, got {len(directory)}"):
        read_records(io.BytesIO(b"PK\x03\x04" + directory + end))
