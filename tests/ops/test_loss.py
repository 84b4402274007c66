"""What the table does not show of losses: extreme values, the older spelling of the reduction, warnings, third derivatives."""

import numpy as np
import pytest

import minigrad
from minigrad import autograd
from minigrad.nn import functional as F
from minigrad.testing import gradgradcheck
from tests.floats import REDUCED

LOSSES = {
    "cross_entropy": lambda **k: F.cross_entropy(minigrad.ones(2, 3), minigrad.tensor([0, 1]), **k),
    "nll_loss": lambda **k: F.nll_loss(minigrad.ones(2, 3), minigrad.tensor([0, 1]), **k),
    "multi_margin_loss": lambda **k: F.multi_margin_loss(minigrad.ones(2, 3), minigrad.tensor([0, 1]), **k),
    **{
        name: lambda name=name, **k: getattr(F, name)(minigrad.full((2, 3), 0.5), minigrad.full((2, 3), 0.25), **k)
        for name in (
            "mse_loss",
            "l1_loss",
            "smooth_l1_loss",
            "binary_cross_entropy",
            "binary_cross_entropy_with_logits",
            "soft_margin_loss",
            "kl_div",
        )
    },
}


@pytest.mark.parametrize(
    ("older", "reduction"),
    [
        ({"size_average": False}, "sum"),
        ({"size_average": True}, "mean"),
        ({"reduce": False}, "none"),
        ({"reduce": True, "size_average": False}, "sum"),
        ({"reduce": False, "size_average": True}, "none"),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", LOSSES)
def test_older_spelling_of_the_reduction(name, older, reduction):
    expected = LOSSES[name](reduction=reduction)
    with pytest.warns(DeprecationWarning, match=rf"{name}: .* is spelled reduction='{reduction}' now") as caught:
        actual = LOSSES[name](**older)
    assert actual.tolist() == expected.tolist()
    assert caught[0].filename == __file__


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_shapes_that_differ_are_broadcast_with_a_warning(name):
    function = getattr(F, name)
    x, target = minigrad.tensor([[1.0], [2.0]]), minigrad.tensor([1.0, 3.0])
    with pytest.warns(UserWarning, match=rf"{name}: input of shape \(2, 1\) and target of shape \(2,\)"):
        loss = function(x, target, reduction="none")
    assert loss.tolist() == function(x.expand(2, 2), target.expand(2, 2), reduction="none").tolist()


def test_cross_entropy_does_not_overflow():
    x = minigrad.tensor([[1e4, -1e4, 0.0], [-1e30, 1e30, 0.0]], requires_grad=True)
    loss = F.cross_entropy(x, minigrad.tensor([0, 0]), reduction="none")
    assert loss.tolist() == pytest.approx([0, 2e30])
    (dx,) = autograd.grad(loss.sum(), x)
    assert dx.tolist() == [[0, 0, 0], [-1, 1, 0]]


def test_cross_entropy_with_impossible_classes():
    """A score of -inf is a probability of 0: no loss where it is not the target's."""
    x = minigrad.tensor([[0.0, -float("inf")], [0.0, -float("inf")]], requires_grad=True)
    loss = F.cross_entropy(x, minigrad.tensor([0, 1]), reduction="none")
    assert loss.tolist() == [0, float("inf")]
    (dx,) = autograd.grad(loss, x, minigrad.ones(2))
    assert dx.tolist() == [[0, 0], [1, -1]]


def test_nothing_but_ignored_targets():
    x, target = minigrad.ones(2, 3, requires_grad=True), minigrad.tensor([-100, -100])
    assert F.cross_entropy(x, target, reduction="none").tolist() == [0, 0]
    assert F.cross_entropy(x, target, reduction="sum").item() == 0
    for loss in (F.cross_entropy(x, target), F.nll_loss(x, target), F.cross_entropy(x, target, label_smoothing=0.1)):
        assert np.isnan(loss.item())
        (dx,) = autograd.grad(loss, x, create_graph=True)
        assert (dx == 0).all()
        if dx.requires_grad:
            assert (autograd.grad(dx.sum(), x)[0] == 0).all()
    assert np.isnan(F.cross_entropy(minigrad.zeros(0, 3), minigrad.zeros(0, 3)).item())  # probabilities


def test_ignored_places_have_no_gradient():
    x = minigrad.tensor([[0.0, float("nan")], [1.0, 2.0]], requires_grad=True)
    for function in (F.cross_entropy, F.nll_loss):
        (dx,) = autograd.grad(function(x, minigrad.tensor([7, 1]), ignore_index=7, reduction="sum"), x)
        if function is F.nll_loss:
            assert dx.tolist() == [[0, 0], [0, -1]]
        assert np.isfinite(dx.tolist()[1]).all()


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64"])
def test_class_numbers_of_any_integer_dtype(dtype):
    x = minigrad.tensor([[1.0, 2.0], [3.0, 5.0]])
    target = minigrad.tensor([1, 0], dtype=dtype)
    for function in (F.cross_entropy, F.nll_loss, F.multi_margin_loss):
        assert function(x, target).item() == pytest.approx(function(x, minigrad.tensor([1, 0])).item())


@pytest.mark.parametrize("dtype", REDUCED)
def test_mean_over_many_short_floats(dtype):
    """Their sum is too large for float16, and more than bfloat16 can count."""
    x = minigrad.zeros(40000, 8, dtype=dtype)
    mean = F.cross_entropy(x, minigrad.zeros(40000, dtype="int64")).item()
    assert mean == pytest.approx(np.log(8), rel=4e-3 if dtype == "bfloat16" else 1e-3)


def test_changed_target_is_noticed():
    x, target = minigrad.ones(2, 3, requires_grad=True), minigrad.tensor([0, 1])
    loss = F.cross_entropy(x, target)
    target.fill_(2)
    with pytest.raises(RuntimeError, match=r"cross_entropy .* saved its input 1 .* changed it in place"):
        loss.backward()


def test_binary_cross_entropy_at_its_ends():
    """The loss is at most 100, and the gradient finite, as in PyTorch."""
    x = minigrad.tensor([0.0, 1.0, 0.0, 1.0], dtype="float64", requires_grad=True)
    loss = F.binary_cross_entropy(x, minigrad.tensor([0.0, 1.0, 1.0, 0.0], dtype="float64"), reduction="none")
    assert loss.tolist() == [0, 0, 100, 100]
    (dx,) = autograd.grad(loss.sum(), x)
    assert dx.tolist() == [0, 0, -1e12, 1e12]


@pytest.mark.parametrize("wrong", [float("nan"), -0.5, 1.5])
def test_binary_cross_entropy_is_of_probabilities(wrong):
    right, wrong = minigrad.tensor([0.5]), minigrad.tensor([wrong])
    with pytest.raises(ValueError, match="binary_cross_entropy: expected input from 0 to 1"):
        F.binary_cross_entropy(wrong, right)
    with pytest.raises(ValueError, match="binary_cross_entropy: expected target from 0 to 1"):
        F.binary_cross_entropy(right, wrong)


def test_smooth_l1_loss_of_halves_does_not_underflow():
    x = minigrad.tensor([1e-3, -3.0], dtype="float16")
    loss = F.smooth_l1_loss(x, minigrad.zeros_like(x), reduction="none", beta=1e-3)
    np.testing.assert_allclose(loss.numpy(), [0.5e-3, 3], rtol=1e-3)


def test_binary_cross_entropy_with_logits_does_not_overflow():
    x = minigrad.tensor([1e4, -1e4, 1e4, -1e4], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x, minigrad.tensor([1.0, 0.0, 0.0, 1.0]), reduction="none")
    assert loss.tolist() == [0, 0, 1e4, 1e4]
    (dx,) = autograd.grad(loss.sum(), x)
    assert dx.tolist() == [0, 0, 1, -1]


def test_kl_div_of_a_certain_target():
    target = minigrad.tensor([1.0, 0.0], requires_grad=True)
    loss = F.kl_div(minigrad.tensor([0.5, 0.5]).log(), target, reduction="sum")
    assert loss.item() == pytest.approx(np.log(2))
    (gradient,) = autograd.grad(loss, target)
    assert np.isfinite(gradient.numpy()).all()


def test_curvature_of_huber_is_1_at_the_target():
    """The composition must not go through the absolute value, whose second derivative is 0 there."""
    for function in (F.huber_loss, F.smooth_l1_loss):
        x = minigrad.zeros(1, requires_grad=True)
        (first,) = autograd.grad(function(x, minigrad.zeros(1), reduction="sum"), x, create_graph=True)
        assert autograd.grad(first.sum(), x)[0].tolist() == [1]


@pytest.mark.parametrize("static", [{}, {"label_smoothing": 0.3, "ignore_index": 2}], ids=str)
def test_third_derivatives_of_cross_entropy(static):
    target = minigrad.tensor([0, 2])

    def first_derivatives(x):
        loss = F.cross_entropy(x, target, weight=minigrad.tensor([1.0, 2.0, 0.5], dtype="float64"), **static)
        return autograd.grad(loss**2, x, create_graph=True)

    x = minigrad.tensor([[0.5, -1.0, 2.0], [1.0, 0.0, -0.5]], dtype="float64", requires_grad=True)
    assert gradgradcheck(first_derivatives, x)
