"""Files that torch wrote are read, and torch reads what is written here, with strides, ties and types as they were."""

import io
import struct
from collections import Counter, OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minigrad import Tensor
from minigrad.io import CheckpointError, load
from minigrad.io.pickle_writer import Call, Name, Persistent, PickleWriter
from minigrad.io.storage import STORAGE_TYPE_OF, TensorRecord
from minigrad.nn.parameter import Parameter
from tests.io.records import LAYOUTS, as_array, check_layout

WHOLE_MODULE = r"\(the class of a whole network, .* torch\.save\(model\.state_dict\(\), file\) makes"
DTYPES = sorted(dtype.name for dtype in STORAGE_TYPE_OF)


@pytest.fixture(scope="session")
def read_torch(torch, read_records):
    """A function that saves by torch and reads here."""

    def read(value, **options):
        stream = io.BytesIO()
        torch.save(value, stream, **options)
        stream.seek(0)
        return read_records(stream)

    return read


@pytest.fixture(scope="session")
def load_torch(torch, write_records):
    """A function that saves here and loads by torch."""

    def load(value, **options):
        return torch.load(write_records(value), weights_only=True, **options)

    return load


def same(a, b):
    """Equal in type and value, tensors in each bit; a record equals a torch tensor, or a record, of its bits and strides."""
    if isinstance(a, TensorRecord):
        if not isinstance(b, TensorRecord):
            b = TensorRecord(as_array(b), b.requires_grad, type(b).__name__ == "Parameter")
        return (
            (a.requires_grad, a.is_parameter, a.array.dtype) == (b.requires_grad, b.is_parameter, b.array.dtype)
            and (a.array.shape, a.array.tobytes()) == (b.array.shape, b.array.tobytes())
            and (a.array.size == 0 or a.array.strides == b.array.strides)
        )
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or a != a


# torch writes, minigrad reads.


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_read(torch, read_torch, dtype):
    tensor = torch.arange(-3, 5).to(getattr(torch, dtype))
    record = read_torch(tensor)
    assert record.array.dtype == np.dtype(dtype)
    assert np.array_equal(record.array, as_array(tensor))
    assert record.array.flags.writeable


@pytest.mark.parametrize("make", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(torch, read_torch, load_torch, make):
    tensor = make(torch)
    array = read_torch(tensor).array
    check_layout(array, tensor)
    assert np.array_equal(load_torch(TensorRecord(array)).numpy(), tensor.numpy())


def test_views_share_memory(torch, read_torch):
    base = torch.arange(12.0).reshape(3, 4)
    value = read_torch({"base": base, "row": base[1], "transposed": base.T, "again": base, "other": base.clone()})
    value["base"].array[1, 2] = -1
    assert value["row"].array[2] == value["transposed"].array[2, 1] == -1
    assert value["again"] is value["base"]
    assert not np.shares_memory(value["other"].array, value["base"].array)


def test_parameters_and_requires_grad(torch, read_torch):
    ones = torch.ones(2)
    value = read_torch([torch.nn.Parameter(ones), torch.nn.Parameter(ones, False), ones, ones.clone().requires_grad_()])
    assert [(record.is_parameter, record.requires_grad) for record in value] == [
        (True, True),
        (True, False),
        (False, False),
        (False, True),
    ]


def test_training_checkpoint(torch, read_torch, load_torch):
    """A module's, an optimizer's and a scheduler's state, and what people keep beside them."""
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 4))
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 2, 5])
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    scheduler.step()
    checkpoint = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "epoch": 7,
        "best": 0.5,
        "note": "ünïcode \ud800",
        "random": torch.get_rng_state(),
        "shape": torch.Size([1, 2]),
        "dtype": torch.float16,
        "sets": [{1, 2}, frozenset("a"), b"\x00\xff", b"", None, True, -(2**70)],
    }
    value = read_torch(checkpoint)
    assert list(value) == list(checkpoint)
    assert type(value["model"]) is OrderedDict
    assert value["model"]._metadata == model.state_dict()._metadata
    assert value["model"]._metadata["1"] == {"version": 2}
    assert same(value["model"], checkpoint["model"])
    assert same(value["optimizer"], checkpoint["optimizer"])
    assert value["scheduler"] == checkpoint["scheduler"]
    assert type(value["scheduler"]["milestones"]) is Counter
    for key in ("epoch", "best", "note", "shape", "sets"):
        assert value[key] == checkpoint[key]
    assert value["dtype"] == np.dtype("float16")
    value["sets"].pop(1)
    again = load_torch(value)
    assert same(value["model"], again["model"])
    assert again["model"]._metadata == model.state_dict()._metadata
    assert same(value["optimizer"], again["optimizer"])
    assert again["scheduler"] == checkpoint["scheduler"]
    assert again["dtype"] == torch.float16
    model.load_state_dict(again["model"])


def test_file_without_checksums(torch, read_torch):
    torch.serialization.set_crc32_options(False)
    try:
        assert read_torch(torch.arange(3)).array.tolist() == [0, 1, 2]
    finally:
        torch.serialization.set_crc32_options(True)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda torch: torch.zeros(2, dtype=torch.complex64), r"got torch\.ComplexFloatStorage"),
        (lambda torch: torch.zeros(2, dtype=torch.uint16), r"got torch\._utils\._rebuild_tensor_v3"),
        (lambda torch: torch.eye(2).to_sparse(), r"got torch\._utils\._rebuild_sparse_tensor"),
        (lambda torch: torch.nn.Linear(2, 2), rf"got torch\.nn\.modules\.linear\.Linear {WHOLE_MODULE}"),
        (lambda torch: {"epoch": 3, "model": torch.nn.Sequential(torch.nn.ReLU())}, rf"got .*\.Sequential {WHOLE_MODULE}"),
        (lambda torch: np.float64(1.0), r"expected a name .*, got numpy"),
        (lambda torch: [np.float64(1.0), torch.nn.ReLU()], r"got numpy\S* \(unknown='placeholder'"),
        (lambda torch: torch.FloatTensor(2).storage(), "got a bare Storage data/0"),
    ],
)
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated", "ignore:Sparse")
def test_what_minigrad_lacks_is_named(torch, read_torch, make, complaint):
    with pytest.raises(CheckpointError, match=complaint):
        read_torch(make(torch))


def test_other_pickle_protocol(torch, read_torch):
    with pytest.raises(CheckpointError, match=r"expected pickle protocol 2 .*, got 4"):
        read_torch([1], pickle_protocol=4)


# What torch no longer writes.


def test_big_endian(make_archive, read_records):
    pickle = PickleWriter(lambda part: part).dump(
        Call(
            Name("torch._utils", "_rebuild_tensor"),
            (Persistent(("storage", Name("torch.cuda", "ShortStorage"), "7", "cuda:3", 3)), 1, (2,), (1,)),
        )
    )
    data = np.array([1, 2, 300], ">i2").tobytes()
    array = read_records(make_archive(pickle, {"byteorder": b"big", "data/7": data})).array
    assert array.tolist() == [2, 300]
    assert array.dtype == np.int16
    little = read_records(make_archive(pickle, {"byteorder": None, "version": None, "data/7": data})).array
    assert little.tolist() == np.array([2, 300], ">i2").view("<i2").tolist()


def test_python_2_strings_and_ordered_dictionaries(make_archive, read_records):
    short, long = b"U\x02a\xe9", b"T" + struct.pack("<i", 3) + b"xyz"
    pickle = b"\x80\x02ccollections\nOrderedDict\n](](" + short + b"K\x01e](" + long + b"K\x02ee\x85R."
    value = read_records(make_archive(pickle))
    assert value == OrderedDict([("aé", 1), ("xyz", 2)])
    assert type(value) is OrderedDict


# minigrad writes, torch reads.


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_written(load_torch, dtype):
    record = TensorRecord(np.arange(-3, 5).astype(dtype))
    assert same(record, load_torch(record))
    assert same(record, load_torch([record])[0])


def test_storages_are_aligned_and_can_be_mapped(torch, write_records, tmp_path):
    records = {str(n): TensorRecord(np.arange(n, dtype=np.uint8)) for n in (1, 63, 64, 65, 1000)}
    path = tmp_path / "mapped.pt"
    path.write_bytes(write_records(records).getvalue())
    mapped = torch.load(path, mmap=True, weights_only=True)
    for key, record in records.items():
        assert same(record, mapped[key])
        assert mapped[key].data_ptr() % 64 == 0


def test_ties_reach_torch(load_torch):
    base = np.arange(12.0).reshape(3, 4)
    tied = TensorRecord(base)
    value = load_torch([tied, tied, TensorRecord(base[1]), TensorRecord(base.T), TensorRecord(base.copy(), True, True)])
    value[0][1, 2] = -1
    assert value[1] is value[0]
    assert value[2][2] == value[3][2, 1] == -1
    assert value[4][1, 2] == 6


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**100), 2**100),
    st.floats(),
    st.text(st.characters(), max_size=300),
    st.binary(max_size=5),
)
KEYS = st.one_of(st.text(max_size=3), st.integers(-3, 300), st.tuples(st.integers(0, 9), st.text(max_size=1)))
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
# hypothesis takes bfloat16 for raw bytes.
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays("uint16" if dtype == "bfloat16" else dtype, SHAPES).map(lambda array: array.view(dtype))
)
RECORDS = st.builds(lambda array: TensorRecord(array.T), ARRAYS)
VALUES = st.recursive(
    SCALARS | RECORDS,
    lambda values: st.one_of(
        st.lists(values, max_size=6),
        st.lists(values, max_size=6).map(tuple),
        st.dictionaries(KEYS, values, max_size=6),
        st.dictionaries(KEYS, values, max_size=6).map(OrderedDict),
        st.sets(KEYS, max_size=6),
        st.dictionaries(KEYS, st.integers(0, 9), max_size=6).map(Counter),
        values.map(lambda value: [value, value]),
    ),
    max_leaves=20,
)


@given(VALUES)
@settings(deadline=None)
def test_any_value_reaches_torch_and_comes_back(torch, load_torch, write_records, read_records, value):
    assert same(value, load_torch(value))
    assert same(value, read_records(write_records(value)))


@pytest.mark.parametrize("new", [True, False], ids=["zip", "stream"])
def test_attributes_of_tensors_are_left_out(torch, new):
    tensor, parameter = torch.arange(3.0, requires_grad=True), torch.nn.Parameter(torch.ones(2), requires_grad=False)
    tensor.note = "a"
    parameter.is_first = True
    stream = io.BytesIO()
    torch.save([tensor, parameter, torch.nn.Buffer(torch.arange(2))], stream, _use_new_zipfile_serialization=new)
    stream.seek(0)
    loaded = load(stream)
    assert [type(value) for value in loaded] == [Tensor, Parameter, Tensor]
    assert [value.requires_grad for value in loaded] == [True, False, False]
    assert [value.tolist() for value in loaded] == [[0, 1, 2], [1, 1], [0, 1]]
