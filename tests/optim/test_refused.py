"""What optimizers refuse: options that are no numbers, and states that are none or not of minigrad."""

import copy

import numpy as np
import pytest

import minigrad
from minigrad import optim


def parameter(size):
    return minigrad.ones(size, requires_grad=True)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (optim.SGD, {"lr": "0.1"}, "SGD: expected lr in numbers, got '0.1'"),
        (optim.SGD, {"lr": None}, "SGD: expected lr in numbers, got None"),
        (optim.SGD, {"lr": 1j}, "SGD: expected lr in numbers, got 1j"),
        (optim.SGD, {"lr": minigrad.tensor([0.1, 0.2])}, "SGD: expected lr in numbers, got tensor"),
        (optim.SGD, {"dampening": None}, "SGD: expected dampening in numbers, got None"),
        (optim.Adam, {"weight_decay": None}, "Adam: expected weight_decay in numbers, got None"),
        (optim.Adam, {"betas": 0.9}, "Adam: expected betas to be two numbers, got 0.9"),
        (optim.AdamW, {"betas": (0.9,)}, r"AdamW: expected betas to be two numbers, got \(0.9,\)"),
        (optim.Lion, {"betas": (0.9, 0.99, 0.5)}, "Lion: expected betas to be two numbers"),
        (optim.Adam, {"betas": ("a", 0.9)}, r"Adam: expected betas in numbers, got \('a', 0.9\)"),
        (optim.RMSprop, {"alpha": "x"}, "RMSprop: expected alpha in numbers, got 'x'"),
    ],
)
def test_options_that_are_no_numbers(kind, options, message):
    with pytest.raises(TypeError, match=message):
        kind([parameter(2)], **options)
    optimizer = kind([parameter(2)])
    with pytest.raises(TypeError, match=message):
        optimizer.add_param_group({"params": [parameter(3)], **options})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("rate", [np.float32(0.5), np.array(0.5), True, minigrad.tensor([0.5])])
def test_numbers_of_other_kinds(rate):
    param = parameter(2)
    before = param.tolist()
    param.grad = minigrad.ones(2, dtype=param.dtype)
    optim.SGD([param], lr=rate).step()
    assert param.tolist() == pytest.approx([value - float(rate) for value in before])


@pytest.mark.parametrize("value", [np.zeros(2), [0.0, 0.0], 0.0])
def test_a_state_that_is_no_tensor_is_refused(value):
    params = [parameter(2), parameter(3)]
    optimizer = optim.Adam(params)
    for param in params:
        param.grad = minigrad.ones_like(param)
    optimizer.step()
    state = copy.deepcopy(optimizer.state_dict())
    state["param_groups"][0]["lr"] = 5.0
    state["state"][0]["exp_avg"] = value
    with pytest.raises(TypeError, match="Adam: expected exp_avg of parameter 0 to be a Tensor of minigrad, got a "):
        optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["lr"] != 5.0


def test_tensors_of_torch_are_refused():
    torch = pytest.importorskip("torch")
    param = torch.zeros(2, requires_grad=True)
    reference = torch.optim.Adam([param])
    param.grad = torch.ones(2)
    reference.step()
    with pytest.raises(TypeError, match=r"to be a Tensor of minigrad, got a torch\.Tensor"):
        optim.Adam([parameter(2)]).load_state_dict(reference.state_dict())


@pytest.mark.parametrize(("state", "got"), [({"param_groups": []}, r"\['param_groups'\]"), ({}, r"\[\]"), (None, "NoneType")])
def test_what_is_no_state_is_refused(state, got):
    with pytest.raises(ValueError, match=f"SGD: expected a dict with the keys 'state' and 'param_groups', got {got}"):
        optim.SGD([parameter(2)]).load_state_dict(state)
