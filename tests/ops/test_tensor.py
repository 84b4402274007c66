"""What a Tensor is to Python: how it prints, formats and copies, and what it refuses."""

import copy
import math

import numpy as np
import pytest

import minigrad
from minigrad import Tensor, nn, tensor

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("values", "printed"),
    [
        ([1e-5, 2e-7], "tensor([1.e-05, 2.e-07])"),
        ([1e-5, 1.0], "tensor([1.e-05, 1.e+00])"),
        ([0.0, -1e-5], "tensor([ 0.e+00, -1.e-05])"),
        (1e-5, "tensor(1.e-05)"),
        ([INF, 1e-5, NAN], "tensor([   inf, 1.e-05,    nan])"),
        ([0.0, -0.0], "tensor([ 0., -0.])"),
        ([0.5, 2000.0], "tensor([   0.5, 2000. ])"),
        ([INF, NAN, 0.25], "tensor([ inf,  nan, 0.25])"),
        ([0, 1, 100000], "tensor([     0,      1, 100000])"),
    ],
)
def test_small_numbers_are_seen(values, printed):
    assert str(tensor(values)) == printed


def test_a_number_formats_as_one():
    assert (
        f"{tensor(2.5)} {tensor(3)} {tensor(True)} {tensor(2.5, requires_grad=True)} {tensor(2.5):.2f}" == "2.5 3 True 2.5 2.50"
    )
    assert f"{tensor([2.5])}" == "tensor([2.5])"
    assert f"{tensor(2.5, device='meta')}" == str(tensor(2.5, device="meta"))
    with pytest.raises(TypeError, match=r"format: expected a 0-d tensor for the format '\.2f', got shape \(1,\)"):
        f"{tensor([2.5]):.2f}"


def test_a_shallow_copy_shares_the_memory():
    x = minigrad.ones(2, requires_grad=True)
    x.grad, x.note = minigrad.ones(2), "kept"
    y = copy.copy(x)
    assert y is not x and y.is_leaf and y.requires_grad and y.grad is None and y.note == "kept"
    with minigrad.no_grad():
        y[0] = 7
    assert x.tolist() == [7, 1]
    assert type(copy.copy(nn.Parameter(x))) is nn.Parameter
    assert copy.copy(x * 2).is_leaf


def test_a_write_to_a_shallow_copy_is_noticed():
    x = minigrad.ones(2, requires_grad=True)
    y = x * 2
    z = y * y
    copy.copy(y.detach()).mul_(2)
    with pytest.raises(RuntimeError, match="changed it in place"):
        z.sum().backward()


def test_a_leaf_that_requires_grad_is_handed_to_no_other_library():
    x = minigrad.ones(2, requires_grad=True)
    with pytest.raises(BufferError, match=r"dlpack: the tensor requires grad; use \.detach\(\)"):
        np.from_dlpack(x)
    assert np.from_dlpack(x.detach()).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("call", "exception", "message"),
    [
        (lambda: minigrad.ones(2).size(5), IndexError, r"size: expected dim in \[-1, 0\], got 5"),
        (lambda: minigrad.ones(2).stride(3), IndexError, r"stride: expected dim in \[-1, 0\], got 3"),
        (lambda: tensor(1.0).size(0), IndexError, "size: expected at least one dim, got a 0-d tensor"),
        (lambda: minigrad.ones(2).mT, RuntimeError, r"mT: expected at least two dims, got shape \(2,\)"),
    ],
)
def test_dims_that_there_are_not(call, exception, message):
    with pytest.raises(exception, match=message):
        call()


def test_sizes_and_strides_count_from_either_end():
    x = minigrad.ones(2, 3)
    assert (x.size(-1), x.size(0), x.stride(-1), x.stride(0)) == (3, 2, 1, 3)


# --- bits in place -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "expected"), [("__iand__", [1, 0]), ("__ior__", [1, 1]), ("__ixor__", [0, 1])])
def test_bits_are_combined_in_the_memory_of_a_view(name, expected):
    mask = tensor([[True, True], [False, True]])
    row = mask[0]
    row[1] = False
    assert getattr(row, name)(tensor([True, name != "__iand__"])) is row
    assert mask.tolist() == [[bool(n) for n in expected], [False, True]]


def test_bits_of_numbers_beyond_an_integer_dtype_wrap():
    torch = pytest.importorskip("torch")
    for number in (-1, 300, -300):
        ours, theirs = tensor([1, 200], dtype="uint8"), torch.tensor([1, 200], dtype=torch.uint8)
        assert (ours & number).tolist() == (theirs & number).tolist()
        assert (ours | number).tolist() == (theirs | number).tolist()
        assert (ours ^ number).tolist() == (theirs ^ number).tolist()
        assert ours.bitwise_or_(number).tolist() == theirs.bitwise_or_(number).tolist()


# --- numbers that a dtype cannot hold ----------------------------------------------------------------------------------

MASK = tensor([True, False])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tensor([1, 2]).masked_fill(MASK, INF), "masked_fill: expected a number that fits into int64, got inf"),
        (lambda: tensor([1, 2]).masked_fill_(MASK, NAN), "masked_fill_: expected a number that fits into int64, got nan"),
        (lambda: tensor([1, 2]).__setitem__(0, INF), "setitem: expected a number that fits into int64, got inf"),
        (lambda: tensor([1, 2]).__setitem__(MASK, INF), "setitem: expected a number that fits into int64, got inf"),
        (lambda: tensor([1, 2]).index_fill(0, tensor([0]), INF), "index_fill: expected a number that fits into int64, got inf"),
        (lambda: tensor([1, 2]).scatter(0, tensor([0]), INF), "scatter: expected a number that fits into int64, got inf"),
        (lambda: tensor([1, 2]).fill_(INF), "fill_: expected a number that fits into int64, got inf"),
        (lambda: minigrad.full((2,), 300, dtype="uint8"), "full: expected a number that fits into uint8, got 300"),
        (lambda: minigrad.full((2,), 2**70), "full: expected a number that fits into int64, got 1180591620717411303424"),
        (lambda: minigrad.full_like(tensor([1]), INF), "full_like: expected a number that fits into int64, got inf"),
    ],
)
def test_numbers_that_do_not_fit(call, message):
    with pytest.raises(OverflowError, match=message):
        call()


def test_numbers_that_fit_are_truncated_or_wrap():
    """As PyTorch: a negative number is the unsigned one of its bits."""
    assert minigrad.full((2,), -1, dtype="uint8").tolist() == [255, 255]
    assert minigrad.full((2,), 1.5, dtype="uint8").tolist() == [1, 1]
    assert tensor([1, 2]).masked_fill(MASK, -1.5).tolist() == [-1, 2]
    assert tensor([1, 2], dtype="uint8").fill_(-1).tolist() == [255, 255]
    assert minigrad.full((1,), NAN, dtype="bool").tolist() == [True]
    assert Tensor(np.array([1, 2])).masked_fill(MASK, 2**62).tolist() == [2**62, 2]
