"""Loss layers: against PyTorch's, and their older spelling."""

import warnings

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

RNG = np.random.default_rng(0)
SCORES = RNG.standard_normal((5, 4))
CLASSES = np.array([1, 3, 0, 3, 2])
OTHER = RNG.standard_normal((5, 4))
PROBABILITIES = RNG.uniform(0.05, 0.95, (5, 4))
TARGETS = RNG.uniform(0.05, 0.95, (5, 4))
LOGS = np.log(PROBABILITIES / PROBABILITIES.sum(1, keepdims=True))
SIGNS = np.sign(OTHER)
PER_CLASS = RNG.uniform(0.5, 2.0, 4)

CASES = [
    ("MSELoss", {}, (SCORES, OTHER)),
    ("L1Loss", {}, (SCORES, OTHER)),
    ("SmoothL1Loss", {"beta": 0.7}, (SCORES, OTHER)),
    ("HuberLoss", {"delta": 0.7}, (SCORES, OTHER)),
    ("CrossEntropyLoss", {}, (SCORES, CLASSES)),
    ("CrossEntropyLoss", {"weight": PER_CLASS, "ignore_index": 3, "label_smoothing": 0.1}, (SCORES, CLASSES)),
    ("NLLLoss", {}, (LOGS, CLASSES)),
    ("NLLLoss", {"weight": PER_CLASS, "ignore_index": 0}, (LOGS, CLASSES)),
    ("BCELoss", {}, (PROBABILITIES, TARGETS)),
    ("BCELoss", {"weight": PER_CLASS}, (PROBABILITIES, TARGETS)),
    ("BCEWithLogitsLoss", {}, (SCORES, TARGETS)),
    ("BCEWithLogitsLoss", {"weight": PER_CLASS, "pos_weight": PER_CLASS[::-1].copy()}, (SCORES, TARGETS)),
    ("KLDivLoss", {}, (LOGS, TARGETS)),
    ("KLDivLoss", {"log_target": True}, (LOGS, OTHER)),
    ("MultiMarginLoss", {}, (SCORES, CLASSES)),
    ("MultiMarginLoss", {"p": 2, "margin": 0.5, "weight": PER_CLASS}, (SCORES, CLASSES)),
    ("SoftMarginLoss", {}, (SCORES, SIGNS)),
]


def settings(module, kwargs):
    return {key: module.tensor(value) if isinstance(value, np.ndarray) else value for key, value in kwargs.items()}


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss by both the batch size")
@pytest.mark.parametrize(
    ("name", "kwargs", "arrays", "reduction"),
    [(*case, reduction) for case in CASES for reduction in getattr(nn, case[0]).reductions],
)
def test_loss_is_pytorchs(name, kwargs, arrays, reduction):
    torch = pytest.importorskip("torch")
    ours = getattr(nn, name)(**settings(mg, kwargs), reduction=reduction)
    theirs = getattr(torch.nn, name)(**settings(torch, kwargs), reduction=reduction)
    x, y = mg.tensor(arrays[0], requires_grad=True), torch.tensor(arrays[0], requires_grad=True)
    out, expected = ours(x, mg.tensor(arrays[1])), theirs(y, torch.tensor(arrays[1]))
    np.testing.assert_allclose(out.numpy(force=True), expected.detach().numpy(), rtol=1e-9)
    out.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-9, atol=1e-12)
    assert list(ours.state_dict()) == list(theirs.state_dict())


ALL = sorted({name for name, _, _ in CASES})
WITH_OLDER_FORM = [name for name in ALL if name != "HuberLoss"]


@pytest.mark.parametrize("name", WITH_OLDER_FORM)
@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ({"size_average": True}, "mean"),
        ({"size_average": False}, "sum"),
        ({"reduce": True}, "mean"),
        ({"reduce": False}, "none"),
        ({"size_average": False, "reduce": False}, "none"),
    ],
)
def test_older_form_works_and_warns_at_the_callers_line(name, older, newer):
    with pytest.warns(DeprecationWarning, match=rf"{name}: .* nn\.{name}\(reduction='{newer}'\)") as caught:
        loss = getattr(nn, name)(**older)
    assert loss.reduction == newer
    assert [w.filename for w in caught] == [__file__]


def test_newer_form_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ALL:
            getattr(nn, name)(reduction="sum")


@pytest.mark.parametrize("name", ALL)
def test_unknown_reduction(name):
    with pytest.raises(ValueError, match=f"{name}: expected reduction to be one of none, .*mean, sum, got 'average'"):
        getattr(nn, name)(reduction="average")


def test_calling_the_class_on_data_teaches():
    out, target = mg.zeros(3, 2), mg.tensor([0, 1, 1])
    with pytest.raises(TypeError) as raised:
        nn.CrossEntropyLoss(out, target)
    assert str(raised.value) == (
        "CrossEntropyLoss: expected size_average to be a bool, got a Tensor; make the layer first: nn.CrossEntropyLoss()(x)"
    )
    with pytest.raises(TypeError, match=r"MSELoss: expected size_average to be a bool, got a Tensor; make the layer first"):
        nn.MSELoss(out, out)


def test_weights_move_with_the_module_and_must_be_tensors():
    loss = nn.CrossEntropyLoss(weight=mg.ones(2)).double()
    assert loss.weight.dtype == mg.float64
    with pytest.raises(TypeError, match="CrossEntropyLoss: expected weight to be a Tensor or None, got a list"):
        nn.CrossEntropyLoss(weight=[1.0, 2.0])
    with pytest.raises(ValueError, match="MultiMarginLoss: expected p to be 1 or 2, got 3"):
        nn.MultiMarginLoss(p=3)
