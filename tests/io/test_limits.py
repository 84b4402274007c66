"""Small files that would become large objects are refused before they do; what is within the limits is read."""

import struct

import pytest

from minigrad.io import CheckpointError, Limits
from minigrad.io.pickle_writer import Call, Name, Persistent, PickleWriter

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
