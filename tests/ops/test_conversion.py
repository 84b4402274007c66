"""Conversions beyond the table: every spelling of ``to``, gradients across dtypes and devices, what is not copied."""

import numpy as np
import pytest

import minigrad
from minigrad import tensor
from tests.floats import REDUCED
from tests.strict_backend import strict_backend


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("float64",), {}),
        ((minigrad.float64,), {}),
        ((np.float64,), {}),
        ((), {"dtype": "float64"}),
        (("cpu", "float64"), {}),
        ((minigrad.device("cpu"), "float64"), {}),
        ((tensor(1.0, dtype="float64"),), {}),
        (("float64",), {"device": "cpu", "copy": True}),
    ],
)
def test_spellings_of_to(arguments, options):
    x = tensor([1.0, 2.0])
    y = x.to(*arguments, **options)
    assert (y.dtype, y.device, y.tolist()) == ("float64", "cpu", [1.0, 2.0])


@pytest.mark.parametrize(
    ("method", "dtype"),
    [
        ("half", "float16"),
        *([("bfloat16", "bfloat16")] if "bfloat16" in REDUCED else []),
        ("float", "float32"),
        ("double", "float64"),
        ("byte", "uint8"),
        ("char", "int8"),
        ("short", "int16"),
        ("int", "int32"),
        ("long", "int64"),
        ("bool", "bool"),
    ],
)
def test_methods(method, dtype):
    assert getattr(tensor([0.0, 1.0]), method)().dtype == dtype


def test_nothing_is_copied_where_nothing_changes():
    x = tensor([1.0])
    assert x.to("float32") is x
    assert x.to("cpu") is x
    assert x.contiguous() is x
    assert x.type_as(x) is x
    assert x.to("float32", copy=True) is not x
    assert x.to("float32", copy=True).data_ptr() != x.data_ptr()


def test_a_clone_keeps_the_order_in_memory():
    x = minigrad.ones(2, 3).T
    assert x.clone().stride() == x.stride()
    assert x.contiguous().stride() == (2, 1)


def test_the_gradient_comes_back_in_the_inputs_dtype():
    x = tensor([1.0, 2.0], requires_grad=True)
    (x.double() * tensor([3.0, 4.0], dtype="float64")).half().sum().backward()
    assert x.grad.dtype == "float32"
    assert x.grad.tolist() == [3.0, 4.0]


def test_no_gradient_flows_through_integers():
    x = tensor([1.0, 2.0], requires_grad=True)
    assert not x.long().requires_grad
    assert not x.bool().requires_grad


def test_second_derivatives_cross_dtypes():
    x = tensor(3.0, requires_grad=True)
    y = x.double()
    (first,) = minigrad.autograd.grad(y * y * y, x, create_graph=True)
    (second,) = minigrad.autograd.grad(first, x)
    assert (first.item(), second.item(), second.dtype) == (27.0, 18.0, "float32")


def test_the_gradient_comes_back_to_the_inputs_device():
    with strict_backend():
        x = tensor([1.0, 2.0], requires_grad=True)
        y = x.to("strict")
        assert (y.device, y.requires_grad) == ("strict", True)
        (y * y).to("cpu").sum().backward()
        assert x.grad.device == "cpu"
        assert x.grad.tolist() == [2.0, 4.0]
        assert y.to(x).device == "cpu"


def test_copy_crosses_devices_and_dtypes():
    with strict_backend():
        there = minigrad.zeros(2, dtype="float64", device="strict")
        source = tensor([1.0, 2.0], requires_grad=True)
        there.copy_(source)
        assert (there.device, there.dtype, there.tolist()) == ("strict", "float64", [1.0, 2.0])
        (there * there).sum().backward()
        assert source.grad.tolist() == [2.0, 4.0]


def test_numpys_numbers_are_numbers():
    x = minigrad.zeros(2)
    assert x.fill_(np.float32(1.5)).tolist() == [1.5, 1.5]
    assert x.fill_(np.int64(2)).tolist() == [2.0, 2.0]
