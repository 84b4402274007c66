"""Activations: numerical stability, and what they keep for backward."""

import math
import warnings
from functools import partial

import numpy as np
import pytest

import minigrad
from minigrad import Tensor, ops, tensor
from tests.floats import REDUCED

INF = math.inf


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def saved_bytes(output):
    """The memory that a node keeps beyond its output."""
    kept = 0
    for saved in output.node.saved.values():
        array = getattr(saved, "array", saved)
        kept += 0 if array is output.array else array.nbytes
    return kept


def test_relu_keeps_only_its_output():
    assert saved_bytes(minigrad.relu(minigrad.ones(100, requires_grad=True))) == 0


@pytest.mark.parametrize("name", ["relu6", "hardtanh", "hardsigmoid", "leaky_relu"])
def test_piecewise_linear_activations_keep_a_mask(name):
    assert saved_bytes(getattr(ops, name)(minigrad.ones(100, requires_grad=True))) == 100


def test_nothing_is_kept_without_grad():
    for name in ("relu", "relu6", "silu", "gelu", "hardswish", "elu"):
        assert getattr(ops, name)(minigrad.ones(3)).node is None


def test_relu_passes_nan_on():
    assert math.isnan(minigrad.relu(tensor(math.nan)).item())


def test_relu_of_integers():
    assert minigrad.relu(tensor([-1, 2])).tolist() == [0, 2]
    assert minigrad.relu(tensor([-1, 2]), inplace=True).dtype == "int64"


def test_hardtanh_of_integers():
    x = tensor([-3, 0, 3])
    assert ops.hardtanh(x).tolist() == [-1, 0, 1] and ops.hardtanh(x).dtype == "int64"
    assert ops.hardtanh(x, -2.5, 1.5, inplace=True) is x
    assert x.tolist() == [-2, 0, 1]
    assert ops.hardtanh(tensor([-3, 3]), 0.0, INF).tolist() == [0, 3]


def test_leaky_relu_without_a_slope_keeps_infinity():
    assert ops.leaky_relu(tensor([INF, -2.0]), 0.0).tolist() == [INF, 0]


@pytest.mark.parametrize("dtype", [*REDUCED, "float32"])
@pytest.mark.parametrize("name", ["relu6", "hardtanh"])
def test_bounded_activations_pass_nan_and_its_gradient_on(name, dtype):
    x = tensor([math.nan], dtype=dtype, requires_grad=True)
    y = getattr(ops, name)(x)
    y.sum().backward()
    assert math.isnan(y.item()) and x.grad.item() == 1


@pytest.mark.parametrize("dtype", [*REDUCED, "float32"])
@pytest.mark.parametrize(
    "name", ["silu", "gelu", "gelu_tanh", "mish", "elu", "selu", "celu", "softsign", "hardswish", "tanhshrink", "softplus"]
)
def test_large_values(name, dtype):
    function = partial(ops.gelu, approximate="tanh") if name == "gelu_tanh" else getattr(ops, name)
    x = tensor([-1e4, 1e4], dtype=dtype, requires_grad=True)
    y = function(x)
    y.backward(minigrad.ones_like(y))
    assert np.isfinite(y.numpy(force=True)).all() and np.isfinite(x.grad.numpy()).all()
    slope = {"selu": 1.0507, "softsign": 0, "tanhshrink": 1}.get(name, 1)
    assert x.grad[1].item() == pytest.approx(slope, abs=4e-3 if dtype == "bfloat16" else 1e-3)


@pytest.mark.parametrize("name", ["elu", "selu", "celu"])
def test_second_derivatives_do_not_overflow(name):
    x = tensor([500.0], requires_grad=True)
    (first,) = minigrad.autograd.grad(getattr(ops, name)(x), x, create_graph=True)
    (second,) = minigrad.autograd.grad(first, x)
    assert second.item() == 0


def test_gelu_is_exact_in_its_tail():
    special = pytest.importorskip("scipy.special")
    x = np.linspace(-12, -4, 50)
    np.testing.assert_allclose(ops.gelu(Tensor(x)).numpy(), x * special.ndtr(x), rtol=1e-12)


@pytest.mark.parametrize("shift", [0.0, 1e4, -1e4])
def test_softmax_does_not_overflow(shift):
    x = np.array([[-1.0, 0.5, 2.0]])
    expected = np.exp(x) / np.exp(x).sum()
    np.testing.assert_allclose(minigrad.softmax(Tensor(x + shift), 1).numpy(), expected, rtol=1e-10)
    np.testing.assert_allclose(minigrad.log_softmax(Tensor(x + shift), 1).numpy(), np.log(expected), rtol=1e-10)


def test_softmax_of_masked_scores():
    x = tensor([[0.0, -INF, 0.0]], requires_grad=True)
    y = minigrad.softmax(x, 1)
    assert y.tolist() == [[0.5, 0, 0.5]]
    (y * tensor([1.0, 2.0, 3.0])).sum().backward()
    assert x.grad.tolist() == [[-0.5, 0, 0.5]]
    assert np.isnan(minigrad.softmax(tensor([-INF, -INF]), 0).numpy()).all()


def test_log_softmax_keeps_small_probabilities():
    assert minigrad.log_softmax(tensor([0.0, 1000.0]), 0).tolist() == [-1000, 0]


@pytest.mark.parametrize("dtype", REDUCED)
def test_softmax_of_many_short_floats_sums_to_one(dtype):
    y = minigrad.softmax(minigrad.zeros(4096, dtype=dtype), 0)
    assert y.dtype == dtype and y.numpy().astype(np.float64).sum() == pytest.approx(1, rel=1e-3)


def test_softmax_computes_in_the_dtype_that_is_asked_for():
    x = minigrad.ones(3, dtype="float16", requires_grad=True)
    for function in (minigrad.softmax, minigrad.log_softmax, ops.softmin):
        y = function(x, 0, dtype="float64")
        assert y.dtype == "float64"
        y.sum().backward()
        assert x.grad.dtype == "float16"
    assert minigrad.softmax(tensor([1, 2]), 0).dtype == "float32"
    with pytest.raises(TypeError, match="expected a Tensor"):
        minigrad.softmax([1.0], 0)
    for function in (minigrad.softmax, minigrad.log_softmax, ops.softmin):
        with pytest.raises(TypeError, match=r"softm.*: expected a floating dtype, got int64"):
            function(x, 0, dtype="int64")


def test_softmax_does_not_change_its_input():
    x = tensor([1.0, 2.0])
    minigrad.softmax(x, 0), minigrad.log_softmax(x, 0)
    assert x.tolist() == [1, 2]


def test_in_place_activation_of_a_hidden_value():
    x = tensor([-1.0, 2.0], requires_grad=True)
    hidden = x * 3
    assert ops.silu(hidden, inplace=True) is hidden
    hidden.sum().backward()
    z = x.detach().double() * 3
    sigmoid = 1 / (1 + np.exp(-z.numpy()))
    np.testing.assert_allclose(x.grad.numpy(), 3 * sigmoid * (1 + z.numpy() * (1 - sigmoid)), rtol=1e-5)
