"""What the table cannot say of new tensors: whose memory they have, in which order, and what they refuse."""

import io
import threading

import numpy as np
import pytest

import minigrad
from minigrad import Tensor
from minigrad.utils import data
from tests.floats import FLOATS
from tests.strict_backend import strict_backend


def test_tensor_copies_arrays_and_tensors():
    array = np.ones(2)
    x = minigrad.tensor(array)
    y = minigrad.tensor(x)
    array[:] = 5
    x.fill_(7)
    assert x.tolist() == [7, 7]
    assert y.tolist() == [1, 1]


def test_tensor_has_no_history():
    x = minigrad.tensor([1.0], requires_grad=True)
    copy = minigrad.tensor(x * 2, requires_grad=True)
    assert copy.is_leaf
    assert copy.requires_grad
    assert not minigrad.tensor(x).requires_grad


@pytest.mark.parametrize("dtype", [*FLOATS, "uint8", "int8", "int16", "int32", "int64", "bool"])
def test_arrays_keep_their_dtype(dtype):
    assert minigrad.tensor(np.ones(2, dtype)).dtype == dtype
    assert minigrad.from_numpy(np.ones(2, dtype)).dtype == dtype
    assert minigrad.tensor([np.ones(2, dtype)[0]]).dtype == dtype


def test_numbers_become_the_default_dtype():
    minigrad.set_default_dtype("float64")
    try:
        assert minigrad.tensor([1, 2.0]).dtype == minigrad.zeros(2).dtype == minigrad.linspace(0, 1, 2).dtype == "float64"
        assert minigrad.tensor([1, 2]).dtype == "int64"
    finally:
        minigrad.set_default_dtype("float32")


def test_lists_of_tensors_and_arrays():
    parts = [minigrad.ones(2, requires_grad=True) * 3, np.zeros(2, np.float32), [1, 2]]
    assert minigrad.tensor(parts).tolist() == [[3, 3], [0, 0], [1, 2]]


def test_big_endian_arrays_are_converted():
    x = minigrad.tensor(np.arange(3, dtype=">f4"))
    assert x.dtype == np.dtype("float32")
    assert x.tolist() == [0, 1, 2]


def test_as_tensor_shares_what_it_can():
    array = np.zeros(2)
    x = minigrad.as_tensor(array)
    x.add_(1)
    assert array.tolist() == [1, 1]
    assert minigrad.as_tensor(x) is x
    minigrad.as_tensor(array, dtype="float32").add_(1)
    assert array.tolist() == [1, 1]


@pytest.mark.parametrize("protocol", ["__array__", "__array_interface__"])
def test_what_speaks_numpys_protocols_is_data(protocol):
    array = np.arange(6, dtype="uint8").reshape(2, 3)

    def __array__(self, dtype=None, copy=None):
        return array

    value = __array__ if protocol == "__array__" else array.__array_interface__
    x = minigrad.tensor(type("Picture", (), {protocol: value})())
    array[0, 0] = 9
    assert x.dtype == "uint8" and x.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_as_tensor_keeps_history():
    x = minigrad.tensor([1.0], requires_grad=True)
    minigrad.as_tensor(x * 2, dtype="float64").sum().backward()
    assert x.grad.tolist() == [2]


def test_from_numpy_shares_memory():
    array = np.zeros((2, 3))[:, ::2]
    x = minigrad.from_numpy(array)
    x[0, 1] = 5
    array[1, 0] = 7
    assert x.tolist() == [[0, 5], [7, 0]]
    assert array.tolist() == [[0, 5], [7, 0]]


def test_from_dlpack_shares_memory_with_torch():
    torch = pytest.importorskip("torch")
    theirs = torch.zeros(2, 3)
    ours = minigrad.from_dlpack(theirs)
    ours[0, 1] = 5
    assert theirs[0, 1] == 5
    torch.from_dlpack(ours)[1, 2] = 7
    assert ours[1, 2].item() == 7


@pytest.mark.parametrize("name", ["zeros_like", "ones_like", "empty_like"])
def test_like_keeps_the_memory_order(name):
    channels_last = Tensor(np.zeros((2, 4, 5, 3)).transpose(0, 3, 1, 2))
    assert getattr(minigrad, name)(channels_last).stride() == channels_last.stride()
    assert getattr(minigrad, name)(minigrad.zeros(2, 3).T).stride() == (1, 3)


def test_new_tensors_on_another_device():
    with strict_backend():
        x = minigrad.tensor([[1, 2.5]], device="strict")
        assert x.device == "strict"
        assert x.cpu().tolist() == [[1, 2.5]]
        assert minigrad.tensor(x).device == "strict"
        assert minigrad.as_tensor(x.array).device == "strict"
        for made in (minigrad.zeros_like(x), minigrad.full_like(x, 2), minigrad.zeros(2, device=x.device)):
            assert made.device == "strict"
        elsewhere = minigrad.ones_like(x, device="cpu", dtype="int64")
        assert elsewhere.device == "cpu"
        assert elsewhere.tolist() == [[1, 1]]


def test_arange_does_not_add_up_rounding_errors():
    x = minigrad.arange(0, 1000, 0.1)
    np.testing.assert_array_equal(x.numpy(), (np.arange(10000) * 0.1).astype(np.float32))


def test_size_by_keyword():
    for function in (minigrad.zeros, minigrad.ones, minigrad.empty, minigrad.rand, minigrad.randn, minigrad.ones(1).new_zeros):
        assert function(size=(2, 3)).shape == function(size=[2, 3]).shape == function(2, 3).shape == (2, 3)
    assert minigrad.zeros(size=()).shape == minigrad.zeros().shape == ()
    with pytest.raises(TypeError, match="zeros: expected sizes one by one or as size, got both"):
        minigrad.zeros(2, size=(2,))


def test_arange_by_keywords():
    assert minigrad.arange(end=3).tolist() == [0, 1, 2]
    assert minigrad.arange(start=1, end=7, step=3).tolist() == [1, 4]


@pytest.mark.parametrize("numbers", [(float("inf"),), (0, float("nan")), (0, 1, float("nan"))])
def test_arange_ends(numbers):
    with pytest.raises(ValueError, match="arange: expected finite numbers, got "):
        minigrad.arange(*numbers)


def test_sizes_one_by_one_or_as_a_sequence():
    for size in [(2, 3), [2, 3]]:
        assert minigrad.zeros(size).shape == minigrad.zeros(*size).shape == (2, 3)
    assert minigrad.zeros(()).shape == minigrad.zeros().shape == ()
    assert minigrad.ones(minigrad.tensor(2), np.int64(3)).shape == (2, 3)


# --- the device of a with block ------------------------------------------------------------------------------------------


def test_device_as_context():
    with minigrad.device("meta") as device:
        assert device == "meta"
        made = [minigrad.zeros(2), minigrad.arange(3), minigrad.randn(2), minigrad.tensor([1.0]), Tensor([1.0])]
        made += [minigrad.as_tensor([1.0]), minigrad.tensor(np.ones(2)), minigrad.nn.Linear(2, 3).weight]
        assert {str(tensor.device) for tensor in made} == {"meta"}
        with minigrad.device("cpu"):
            assert minigrad.zeros(2).device == "cpu"
        assert minigrad.zeros(2).device == "meta"
        there = minigrad.zeros(2, device="cpu")
        assert there.device == minigrad.zeros_like(there).device == minigrad.from_numpy(np.ones(2)).device == "cpu"
    assert minigrad.zeros(2).device == "cpu"


def test_device_as_context_ends_with_an_error():
    with pytest.raises(KeyError), minigrad.device("meta"):
        raise KeyError
    assert minigrad.zeros(2).device == "cpu"


def test_device_as_context_in_a_generator():
    def made():
        with minigrad.device("meta"):
            yield minigrad.zeros(1)

    meta = made()
    next(meta)
    with minigrad.device("cpu"):
        meta.close()
        assert minigrad.zeros(1).device == "cpu"
    assert minigrad.zeros(1).device == "cpu"


def test_device_as_context_is_of_one_thread():
    found = []
    with minigrad.device("meta"):
        thread = threading.Thread(target=lambda: found.append(minigrad.zeros(2).device))
        thread.start()
        thread.join()
    assert found == ["cpu"]


def test_data_and_files_stay_on_the_cpu_in_a_device_context():
    file = io.BytesIO()
    minigrad.save({"weight": minigrad.ones(2)}, file)
    file.seek(0)
    samples = data.TensorDataset(minigrad.arange(4))
    with minigrad.device("meta"):
        assert minigrad.load(file)["weight"].tolist() == [1, 1]
        loader = data.DataLoader(samples, batch_size=2, shuffle=True)
        assert sorted(number for (batch,) in loader for number in batch.tolist()) == [0, 1, 2, 3]
        assert [len(part) for part in data.random_split(samples, [1, 3])] == [1, 3]
        assert list(data.WeightedRandomSampler([0, 2.5, 0], num_samples=1)) == [1]
        assert data.default_collate([1, 2]).tolist() == [1, 2]


def test_arrays_of_another_library_are_copied_or_shared():
    torch = pytest.importorskip("torch")
    theirs = torch.arange(3.0)
    copied, shared = minigrad.tensor(theirs), minigrad.as_tensor(theirs)
    shared.add_(1)
    assert copied.tolist() == [0, 1, 2] and theirs.tolist() == [1, 2, 3]
    for call in (lambda: shared + theirs, lambda: minigrad.exp(theirs), lambda: minigrad.nn.Linear(3, 2)(theirs)):
        with pytest.raises(
            TypeError, match=r"got torch\.Tensor; minigrad\.tensor makes .* minigrad\.from_dlpack one that shares"
        ):
            call()


def test_new_tensors_like_one():
    x = minigrad.zeros(2, dtype=minigrad.float64)
    assert x.new_ones(2, 3).tolist() == [[1, 1, 1], [1, 1, 1]] and x.new_ones(1).dtype == x.dtype
    assert x.new_full((2,), 7).tolist() == [7, 7] and x.new_full((1,), 7).dtype == x.dtype
    assert x.new_empty(2, 3).shape == (2, 3) and x.new_empty(1).dtype == x.dtype
    assert x.element_size() == 8 and minigrad.ones(1, dtype=minigrad.int8).element_size() == 1
    assert minigrad.arange(6).reshape_as(minigrad.zeros(2, 3)).tolist() == [[0, 1, 2], [3, 4, 5]]
