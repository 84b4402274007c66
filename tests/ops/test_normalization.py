"""What the table does not show of normalization: running statistics, mixed dtypes, third derivatives."""

import numpy as np
import pytest

import minigrad
from minigrad import autograd
from minigrad.autograd.versions import version_of
from minigrad.nn import functional as F
from minigrad.testing import gradgradcheck
from tests.floats import REDUCED


def normal(*shape, dtype="float64"):
    return minigrad.tensor(np.random.default_rng(0).standard_normal(shape) * 2 + 1, dtype=dtype)


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2), (2, 3, 4, 5)])
@pytest.mark.parametrize("recorded", [True, False])
def test_running_statistics_move_towards_the_batch(shape, recorded):
    x = normal(*shape)
    mean, var = minigrad.tensor([1.0, 2.0, 3.0]), minigrad.tensor([4.0, 5.0, 6.0])
    versions = version_of(mean), version_of(var)
    with minigrad.set_grad_enabled(recorded):
        F.batch_norm(x, mean, var, training=True, momentum=0.25)
    axes = (0, *range(2, x.ndim))
    np.testing.assert_allclose(mean.numpy(), 0.75 * np.array([1, 2, 3]) + 0.25 * x.numpy().mean(axes), rtol=1e-6)
    np.testing.assert_allclose(var.numpy(), 0.75 * np.array([4, 5, 6]) + 0.25 * x.numpy().var(axes, ddof=1), rtol=1e-6)
    assert [version.count for version in versions] == [1, 1]


def test_running_statistics_agree_with_torch():
    torch = pytest.importorskip("torch")
    x = normal(4, 3, 5, dtype="float32")
    mean, var = minigrad.zeros(3), minigrad.ones(3)
    theirs = torch.zeros(3), torch.ones(3)
    for momentum in (0.1, 0.5, 1.0):
        F.batch_norm(x, mean, var, training=True, momentum=momentum)
        torch.nn.functional.batch_norm(torch.tensor(x.numpy()), *theirs, training=True, momentum=momentum)
        for ours, other in zip((mean, var), theirs):
            np.testing.assert_allclose(ours.numpy(), other.numpy(), rtol=1e-5)


def test_running_statistics_are_left_alone():
    """In evaluation, in a batch without samples, and where the call is refused."""
    mean, var = minigrad.zeros(3), minigrad.ones(3)
    F.batch_norm(normal(4, 3, dtype="float32"), mean, var)
    F.batch_norm(minigrad.zeros(0, 3), mean, var, training=True)
    with pytest.raises(ValueError, match="more than one value"):
        F.batch_norm(minigrad.zeros(1, 3), mean, var, training=True)
    with pytest.raises(RuntimeError, match="batch_norm: a leaf tensor that requires grad cannot be changed"):
        F.batch_norm(minigrad.zeros(2, 3), mean, minigrad.ones(3, requires_grad=True), training=True)
    assert mean.tolist() == [0, 0, 0]
    assert var.tolist() == [1, 1, 1]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "what, wrong",
    [
        ("running_mean", minigrad.zeros(3, dtype="int64")),
        ("running_var", minigrad.ones(3, dtype="int64")),
        ("weight", minigrad.ones(3, dtype="int64")),
        ("bias", minigrad.zeros(3, dtype="bool")),
        ("eps", None),
        ("momentum", "0.1"),
    ],
)
def test_wrong_types_are_named_before_the_statistics_change(training, what, wrong):
    mean, var = minigrad.zeros(3), minigrad.ones(3)
    given = {"running_mean": mean, "running_var": var, "training": training, what: wrong}
    with pytest.raises(TypeError, match=f"batch_norm: expected .*{what}"):
        F.batch_norm(normal(4, 3, dtype="float32"), **given)
    assert mean.tolist() == [0, 0, 0] and var.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "norm", [lambda x, **given: F.layer_norm(x, 3, **given), lambda x, **given: F.group_norm(x, 1, **given)]
)
def test_wrong_types_of_layer_and_group_norm(norm):
    with pytest.raises(TypeError, match="_norm: expected weight of a floating dtype, got int64"):
        norm(minigrad.ones(2, 3), weight=minigrad.ones(3, dtype="int64"))
    with pytest.raises(TypeError, match="_norm: expected a number for eps, got str"):
        norm(minigrad.ones(2, 3), eps="small")


def test_evaluation_with_the_batch_s_statistics_is_training():
    x, weight, bias = normal(4, 3, 5), normal(3), normal(3)
    mean, var = x.mean((0, 2)), x.var((0, 2), correction=0)
    trained = F.batch_norm(x, None, None, weight, bias, training=True)
    np.testing.assert_allclose(F.batch_norm(x, mean, var, weight, bias).numpy(), trained.numpy(), rtol=1e-12)


@pytest.mark.parametrize("dtype", REDUCED)
@pytest.mark.parametrize("training", [True, False])
def test_short_floats_with_weights_in_float32(training, dtype):
    x = normal(4, 3, 5, dtype=dtype).requires_grad_()
    weight, bias = minigrad.full((3,), 2.0, requires_grad=True), minigrad.zeros(3, requires_grad=True)
    y = F.batch_norm(x, minigrad.zeros(3), minigrad.ones(3), weight, bias, training)
    dx, dweight, dbias = autograd.grad((y * y).sum(), (x, weight, bias), create_graph=True)
    assert [str(t.dtype) for t in (y, dx, dweight, dbias)] == [dtype, dtype, "float32", "float32"]
    second = autograd.grad(dweight.sum(), (x, weight))
    assert [str(t.dtype) for t in second] == [dtype, "float32"]


@pytest.mark.parametrize(
    "norm",
    [
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        lambda x, w, b: F.layer_norm(x, 2, w, b),
        lambda x, w, b: F.group_norm(x, 1, w, b),
    ],
    ids=["batch", "layer", "group"],
)
def test_third_derivatives(norm):
    def first_derivatives(*inputs):
        return autograd.grad((norm(*inputs) ** 3).sum(), inputs, create_graph=True)

    inputs = [normal(3, 2).requires_grad_(), normal(2).requires_grad_(), normal(2).requires_grad_()]
    assert gradgradcheck(first_derivatives, inputs, rtol=1e-2, atol=1e-3)


def test_the_gradient_from_above_may_be_the_input_itself():
    """One tensor in two places: each has its own derivative, and they add up."""
    x = normal(4, 2).requires_grad_()

    def function(x):
        (dx,) = autograd.grad(F.batch_norm(x, None, None, training=True), x, x * x, create_graph=True)
        return dx

    assert gradgradcheck(function, x, rtol=1e-2, atol=1e-3)


def test_normalize_of_nothing_and_of_zeros():
    x = minigrad.zeros(2, 3, requires_grad=True)
    y = F.normalize(x)
    y.sum().backward()
    assert y.tolist() == [[0, 0, 0]] * 2
    assert np.isfinite(x.grad.numpy()).all()


def test_local_response_norm_of_large_halves():
    """The sum of the squares is beyond float16's range, what is computed of it is not."""
    x = minigrad.full((1, 8, 2, 2), 150.0)
    expected = F.local_response_norm(x, 5)
    assert float(abs(F.local_response_norm(x.half(), 5).float() - expected).max()) < 0.1
