"""save and load with Tensors: what comes back, where it is, and which errors there are."""

import io
import os
import pickle
import zipfile
from collections import OrderedDict, defaultdict, namedtuple

import numpy as np
import pytest

from minigrad import Tensor, backends, nn
from minigrad.backends.cpu import CPUBackend
from minigrad.io import CheckpointError, load, save
from minigrad.io.pickle_writer import Call, Name, Persistent, PickleWriter
from minigrad.nn.parameter import Parameter

LEGACY_TORCH_NUMBER = 0x1950A86A20F9469CFC6C


def tensor(*shape, dtype=np.float32):
    return Tensor(np.arange(np.prod(shape)).astype(dtype).reshape(shape))


def round_trip(value, **options):
    stream = io.BytesIO()
    save(value, stream)
    stream.seek(0)
    return load(stream, **options)


# What comes back.


def test_tensors_and_what_is_around_them():
    value = {
        "model": OrderedDict([("weight", Parameter(tensor(2, 3))), ("frozen", Parameter(tensor(2), requires_grad=False))]),
        "optimizer": {"state": {0: {"step": tensor(), "moments": (tensor(3), tensor(0, 4))}}, "lr": [0.1, 1e-8]},
        "done": {1, "two", (3, "four")},
    }
    value["model"]._metadata = OrderedDict([("", {"version": 2})])
    result = round_trip(value)
    assert type(result["model"]) is OrderedDict
    assert result["model"]._metadata == value["model"]._metadata
    assert type(result["model"]["weight"]) is Parameter
    assert [p.requires_grad for p in result["model"].values()] == [True, False]
    assert result["model"]["weight"].is_leaf
    assert result["model"]["weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
    state = result["optimizer"]["state"][0]
    assert state["step"].shape == ()
    assert type(state["moments"]) is tuple
    assert [type(part) for part in state["moments"]] == [Tensor, Tensor]
    assert [part.shape for part in state["moments"]] == [(3,), (0, 4)]
    assert result["optimizer"]["lr"] == [0.1, 1e-8]
    assert result["done"] == value["done"]


def test_requires_grad_and_graph():
    leaf = tensor(2).requires_grad_()
    result = round_trip([leaf, leaf * 2, leaf.detach()])
    assert [(t.requires_grad, t.is_leaf) for t in result] == [(True, True), (True, True), (False, True)]
    assert result[1].tolist() == [0, 2]


def test_ties_and_views():
    base = tensor(3, 4)
    tied = Parameter(base)
    result = round_trip({"a": tied, "b": tied, "state": tied.detach(), "row": Tensor(base.array[1])})
    assert result["a"] is result["b"]
    assert type(result["state"]) is Tensor
    result["state"].array[1, 2] = -1
    assert result["a"].tolist()[1] == result["row"].tolist() == [4, 5, -1, 7]


def test_small_view_of_a_large_tensor_makes_a_small_file():
    stream = io.BytesIO()
    save(Tensor(tensor(1000, 1000).array[5, :10]), stream)
    assert len(stream.getvalue()) < 2000


def test_strides_are_kept():
    channels_last = Tensor(tensor(2, 4, 5, 3).array.transpose(0, 3, 1, 2))
    assert round_trip(channels_last).stride() == (60, 1, 15, 3)


def test_numpy_scalars_become_numbers():
    result = round_trip([np.float64(0.5), np.float32(0.5), np.int64(3), np.bool_(True), np.str_("a"), {np.int64(1): 2}])
    assert result == [0.5, 0.5, 3, True, "a", {1: 2}]
    assert [type(part) for part in result[:5]] == [float, float, int, bool, str]
    assert type(next(iter(result[5]))) is int


def test_same_value_gives_the_same_file():
    value = {"weight": tensor(3), "names": {f"name{i}" for i in range(20)}}
    first, second = io.BytesIO(), io.BytesIO()
    save(value, first)
    save({"weight": tensor(3), "names": set(reversed(sorted(value["names"])))}, second)
    assert first.getvalue() == second.getvalue()


def test_loaded_tensors_can_be_written_to():
    assert (round_trip(tensor(3)).array.flags.writeable, round_trip(tensor()).array.flags.writeable) == (True, True)


# Errors.


class Unknown:
    pass


Pair = namedtuple("Pair", "a b")
cycle: list = [[]]
cycle[0].append(cycle)
deep: list = []
for _ in range(100):
    deep = [deep]
extended = OrderedDict(a=1)
extended.note = "lost"


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (Unknown(), r"save: checkpoint: expected tensors, .* got a \S*Unknown$"),
        (
            {"optimizer": {"state": [0, 1, 2, Unknown()]}},
            r"save: checkpoint\['optimizer'\]\['state'\]\[3\]: expected tensors",
        ),
        ({1: (Unknown(),)}, r"save: checkpoint\[1\]\[0\]: "),
        ([print], r"checkpoint\[0\]: .* got a builtins\.builtin_function_or_method"),
        ([np.zeros(2)], r"got a numpy\.ndarray \(minigrad.from_numpy makes it a tensor\)"),
        (nn.ReLU(), r"got a minigrad\.nn\.\S*ReLU \(its \.state_dict\(\) can be saved\)"),
        ([defaultdict(list)], r"got a collections\.defaultdict"),
        ([Pair(1, 2)], r"got a \S*Pair"),
        ([frozenset()], r"got a builtins\.frozenset"),
        ([1j], r"got a builtins\.complex"),
        ([np.complex64(1)], r"got a builtins\.complex"),
        ([np.dtype("uint16")], r"got a numpy"),
        (
            {"a": {Unknown(): 1}},
            r"checkpoint\['a'\]: expected strings, numbers or flat tuples of them as keys, got a Unknown",
        ),
        ([{frozenset()}], "as keys, got a frozenset"),
        ([{((),)}], "as keys, got a tuple"),
        ([2**2040], r"checkpoint\[0\]: expected integers of at most 2039 bits, got one of 2041"),
        (cycle, r"checkpoint\[0\]\[0\]: expected no container inside of itself, got a list"),
        (deep, "expected containers nested at most 100 deep"),
        ([extended], r"checkpoint\[0\]: expected no attributes but an OrderedDict's _metadata"),
    ],
)
def test_what_cannot_be_saved_is_named_before_anything_is_written(tmp_path, value, complaint):
    path = tmp_path / "file.pt"
    path.write_bytes(b"before")
    with pytest.raises(TypeError, match=complaint):
        save(value, path)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["file.pt"]


def test_shared_containers_are_no_cycle():
    shared = [tensor(2)]
    result = round_trip({"a": shared, "b": shared, "c": [shared] * 3})
    assert result["a"] is result["b"] is result["c"][2]


def test_depth_counts_wherever_a_container_is():
    shared = [[[]]]
    deep = [shared]
    for _ in range(96):
        deep = [deep]
    round_trip([shared, deep[0]])
    with pytest.raises(TypeError, match=r"checkpoint\[1\](\[0\]){97}: expected containers nested at most 100 deep"):
        save([shared, deep], io.BytesIO())


def test_repeated_containers_do_not_multiply():
    value = ["end"]
    for _ in range(90):
        value = [value, value]
    stream = io.BytesIO()
    save(value, stream)
    assert len(stream.getvalue()) < 5000


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"PK\x05\x06" + bytes(18), "an empty ZIP archive"),
        (b"\x93NUMPY\x01\0", "a NumPy array file"),
        (b"\x80\x04N.", "a bare pickle"),
        (pickle.dumps(LEGACY_TORCH_NUMBER, 3), "torch's legacy stream format in pickle protocol 3"),
        (pickle.dumps(LEGACY_TORCH_NUMBER, 5), "torch's legacy stream format in pickle protocol 5"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"GIF89a", "a file that begins with b'GIF89a'"),
    ],
)
def test_other_formats_are_named(tmp_path, content, found):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        load(path)
    expected = "a checkpoint of torch.save or minigrad.save, or a safetensors file"
    assert str(caught.value).startswith(f"load: {path}: expected {expected}, got {found}")


def test_numpy_archive_is_named(tmp_path):
    np.savez(tmp_path / "file.npz", a=np.zeros(2))
    with pytest.raises(CheckpointError, match=r"expected one data\.pkl .* got 0 \(it has a\.npy\)"):
        load(tmp_path / "file.npz")


def test_one_of_several_checkpoints_in_a_stream():
    stream = io.BytesIO()
    stream.write(b"something else")
    first = stream.tell()
    save("first", stream)
    second = stream.tell()
    save("second", stream)
    stream.seek(second)
    assert load(stream) == "second"
    stream.seek(first)
    with pytest.raises(CheckpointError, match=rf"from here, byte {first}, to the end, got one that begins at byte {second}"):
        load(stream)


def test_file_opened_as_text(tmp_path):
    save(Tensor(np.ones(200)), tmp_path / "a.pt")
    with (
        open(tmp_path / "a.pt", encoding="utf-8") as text,
        pytest.raises(TypeError, match=r"load: expected a stream of bytes, got one of str \(open the file with 'rb'\)"),
    ):
        load(text)


def test_directory_is_small():
    """So that very many tensors stay within the largest directory that can be read."""
    stream = io.BytesIO()
    save([Tensor(np.zeros(1, np.float32)) for _ in range(100)], stream)
    with zipfile.ZipFile(stream) as archive:
        assert not any(info.extra for info in archive.infolist())


def test_stream_that_stands_at_its_end():
    stream = io.BytesIO()
    save(1, stream)
    with pytest.raises(CheckpointError, match=r"seek\(0\)"):
        load(stream)


def test_arguments(tmp_path):
    with pytest.raises(TypeError, match="save: expected a file's name or a binary stream to write to, got a int"):
        save(1, 7)
    with pytest.raises(TypeError, match="load: expected a file's name or a binary stream that can seek, got a int"):
        load(7)
    with pytest.raises(TypeError, match="expected a stream of bytes, got one of str"):
        load(io.StringIO("text"))
    for weights_only in (False, None):
        with pytest.raises(ValueError, match=f"expected weights_only=True .*, got {weights_only}"):
            load(io.BytesIO(), weights_only=weights_only)
    with pytest.raises(TypeError, match="expected a device as map_location, got a dict"):
        load(io.BytesIO(), {"cuda:0": "cpu"})
    with pytest.raises(TypeError, match=r"load: expected minigrad\.io\.Limits as limits, got a int"):
        load(io.BytesIO(), limits=5)
    with pytest.raises(ValueError, match=r"load: .*got 'bogus'"):
        load(io.BytesIO(), "bogus")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.pt")
    for name in ("a.pt", "a.safetensors"):
        with pytest.raises(RuntimeError, match=r"^save: .*'weight'.*meta device"):
            save({"weight": Tensor(np.zeros(2)).to("meta")}, tmp_path / name)
        assert not os.listdir(tmp_path)
    assert issubclass(CheckpointError, ValueError)


def test_requires_grad_of_integers_in_a_file(make_archive):
    storage = Persistent(("storage", Name("torch", "IntStorage"), "0", "cpu", 2))
    for wrapped in (False, True):
        value = Call(Name("torch._utils", "_rebuild_tensor_v2"), (storage, 0, (2,), (1,), not wrapped, None))
        if wrapped:
            value = Call(Name("torch._utils", "_rebuild_parameter"), (value, True, None))
        stream = make_archive(PickleWriter(lambda part: part).dump(value), {"data/0": bytes(8)})
        with pytest.raises(CheckpointError, match="expected a floating tensor where requires_grad is True, got int32"):
            load(stream)


# Devices.


class OtherArray(np.ndarray):
    pass


class OtherBackend(CPUBackend):
    """A device whose arrays are not the CPU's, as CUDA's are not."""

    name = "other"
    array_type = OtherArray

    def resolve(self, device):
        return device

    def device_of(self, array):
        return backends.Device("other")

    def from_host(self, array):
        return array.copy(order="K").view(OtherArray)

    def to_host(self, array):
        return np.array(array)


@pytest.fixture
def other_device():
    backends.register(OtherBackend())
    yield "other"
    backends.unregister("other")


def test_map_location(other_device):
    value = {"a": Parameter(tensor(2, 3)), "b": tensor(2)}
    value["tied"] = value["a"].detach()
    result = round_trip(value, map_location=other_device)
    assert {str(t.device) for t in result.values()} == {"other"}
    assert type(result["a"]) is Parameter
    assert result["a"].requires_grad
    assert np.shares_memory(result["a"].array, result["tied"].array)
    again = round_trip(result)
    assert {str(t.device) for t in again.values()} == {"cpu"}
    assert np.shares_memory(again["a"].array, again["tied"].array)
    assert again["b"].tolist() == [0, 1]
