"""The dtypes of results against PyTorch's: every pair of dtypes, as tensors, as 0-d tensors, and with Python numbers."""

import numpy as np
import pytest

import minigrad
from minigrad import Tensor
from minigrad.dtypes import FLOATING
from tests.floats import FLOATS

torch = pytest.importorskip("torch")

DTYPES = (*FLOATS, "uint8", "int8", "int16", "int32", "int64", "bool")
SHAPES = ((2,), ())
NUMBERS = (True, 2, 0.5)
OPERATIONS = ("add", "mul", "div", "floor_divide", "remainder", "pow", "eq", "lt", "maximum", "bitwise_and", "atan2")


def both(dtype, shape):
    """The same ones in minigrad and in PyTorch."""
    array = np.ones(shape, dtype)
    return Tensor(array), torch.ones(shape, dtype=getattr(torch, dtype))


def outcome(function, *operands):
    """The dtype's name and the values of a result, or the kind of error."""
    try:
        result = function(*operands)
    except RuntimeError:  # NotImplementedError is one
        return "error", None
    except TypeError:
        return "undefined", None
    return str(result.dtype).removeprefix("torch."), np.asarray(result.tolist(), np.float64)


def agree(operation, ours, theirs):
    expected = outcome(getattr(torch, operation), *theirs)
    if expected[0] == "undefined":  # torch.maximum takes no numbers, torch.eq none on its left
        return
    actual = outcome(getattr(minigrad, operation), *ours)
    described = [f"{x.dtype} {tuple(x.shape)}" if isinstance(x, torch.Tensor) else repr(x) for x in theirs]
    what = f"{operation}({', '.join(described)})"
    assert actual[0] == expected[0], what
    if expected[0] != "error":
        np.testing.assert_allclose(actual[1], expected[1], rtol=2e-3, err_msg=what)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("first", DTYPES)
def test_tensor_with_tensor(operation, first):
    for second in DTYPES:
        for a in SHAPES:
            for b in SHAPES:
                ours, theirs = zip(both(first, a), both(second, b))
                agree(operation, ours, theirs)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_tensor_with_number(operation, dtype):
    for shape in SHAPES:
        for number in NUMBERS:
            if operation == "pow" and dtype == "bool" and number is True:
                continue  # the one power of bools that torch has
            ours, theirs = both(dtype, shape)
            agree(operation, (ours, number), (theirs, number))
            agree(operation, (number, ours), (number, theirs))


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_scalars_are_python_numbers(dtype):
    for shape in SHAPES:
        x = Tensor(np.ones(shape, dtype))
        for scalar in (np.bool_(True), np.uint8(2), np.int64(2), np.float16(0.5), np.float32(0.5), np.float64(0.5)):
            for operation in ("add", "div", "eq", "maximum"):
                function = getattr(minigrad, operation)
                for expected, actual in (
                    (function(x, scalar.item()), function(x, scalar)),
                    (function(scalar.item(), x), function(scalar, x)),
                ):
                    assert actual.dtype == expected.dtype
                    np.testing.assert_array_equal(actual.numpy(), expected.numpy())
            assert (scalar * x).dtype == (scalar.item() * x).dtype
            assert minigrad.result_type(x, scalar) == minigrad.result_type(x, scalar.item())


@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_of_integers_are_of_the_default_dtype(dtype):
    x = Tensor(np.ones(2, dtype))
    theirs = torch.ones(2, dtype=getattr(torch, dtype))
    for name in ("exp", "sqrt", "reciprocal", "sin", "sigmoid", "erf", "tanh", "log1p", "rsqrt"):
        assert outcome(getattr(minigrad, name), x)[0] == outcome(getattr(torch, name), theirs)[0], name
    for name in ("softmax", "log_softmax"):
        assert getattr(minigrad, name)(x, 0).dtype == (dtype if dtype in map(str, FLOATING) else "float32")


def test_default_dtype_rules_mixed_results():
    minigrad.set_default_dtype("float64")
    try:
        assert (minigrad.tensor([1, 2]) / 2).dtype == "float64"
        assert (minigrad.tensor([1, 2]) * 0.5).dtype == "float64"
        assert minigrad.exp(minigrad.tensor([1, 2])).dtype == "float64"
        assert (Tensor(np.ones(2, "float32")) * 0.5).dtype == "float32"
    finally:
        minigrad.set_default_dtype("float32")


@pytest.mark.parametrize("target", DTYPES)
@pytest.mark.parametrize("operation", ["add_", "mul_", "div_", "pow_", "remainder_"])
def test_in_place(operation, target):
    """The target keeps its dtype, or the result's kind does not fit and that is an error."""
    operands = [*(both(dtype, shape) for dtype in DTYPES for shape in SHAPES), *((n, n) for n in NUMBERS)]
    for other, theirs in operands:
        if operation == "pow_" and target == "bool" and (theirs is True or getattr(theirs, "dtype", None) == torch.bool):
            continue
        for shape in ((2,), (3, 2)):
            x, t = both(target, shape)
            actual = outcome(getattr(x, operation), other)[0]
            expected = outcome(getattr(t, operation), theirs)[0]
            assert actual == expected, f"{target}.{operation}({theirs!r})"


@pytest.mark.parametrize("target", DTYPES)
@pytest.mark.parametrize("operation", ["add_", "sub_", "mul_", "div_", "floor_divide_", "remainder_", "pow_"])
def test_in_place_the_result_is_rounded_and_not_the_operand(operation, target):
    for dtype in DTYPES:
        if operation == "sub_" and dtype == "bool":
            continue  # torch refuses bools on the right only
        values, others = [100, 7, 53], [3.37, 2.6, 1.2] if operation == "pow_" else [301.37, 2.6, 257.2]
        ours = minigrad.tensor(values).to(target), minigrad.tensor(others).to(dtype)
        theirs = torch.tensor(values).to(getattr(torch, target)), torch.tensor(others).to(getattr(torch, dtype))
        with np.errstate(all="ignore"):
            expected = outcome(getattr(theirs[0], operation), theirs[1])
            actual = outcome(getattr(ours[0], operation), ours[1])
        assert actual[0] == expected[0]
        if expected[0] != "error":
            tolerance = 1e-6 if target in ("float32", "float64") else 0
            np.testing.assert_allclose(actual[1], expected[1], rtol=tolerance, err_msg=f"{target}.{operation}({dtype})")


@pytest.mark.parametrize("operation", ["add_", "sub_", "mul_", "div_", "pow_"])
def test_in_place_with_a_wider_operand_has_torchs_gradients(operation):
    def gradients(library):
        x = library.tensor([1.5, 2.25, 3.0]).to(library.float16).requires_grad_()
        y = library.tensor([1.001, 0.77, 1.3]).to(library.float64).requires_grad_()
        z = x * 2
        getattr(z[1:], operation)(y[1:])
        z.sum().backward()
        return x.grad, y.grad

    for ours, theirs in zip(gradients(minigrad), gradients(torch)):
        assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
        np.testing.assert_allclose(ours.tolist(), theirs.tolist(), rtol=2e-3)


def test_in_place_with_a_wider_operand_writes_nothing_where_the_result_does_not_fit():
    x = minigrad.ones(2, dtype=minigrad.float16)
    with pytest.raises(RuntimeError, match="sub_"):
        x.sub_(minigrad.ones(3, dtype=minigrad.float64))
    assert x.tolist() == [1.0, 1.0]
