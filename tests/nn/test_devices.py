"""Modules on a device of their own: the strict backend, whose arrays refuse to become NumPy arrays."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from tests.nn.layers import LAYERS
from tests.strict_backend import strict_backend


@pytest.fixture(autouse=True)
def registered():
    with strict_backend():
        yield


def devices(module):
    return {str(tensor.device) for tensor in module.state_dict().values()}


def test_everything_moves_and_parameters_stay_the_same_objects():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    net(mg.ones(2, 3)).sum().backward()
    before = [(id(p), p.detach().tolist(), p.grad.tolist()) for p in net.parameters()]
    net.to("strict")
    assert devices(net) == {"strict"} and net[1].num_batches_tracked.item() == 1
    assert [(id(p), p.detach().tolist(), p.grad.tolist()) for p in net.parameters()] == before
    assert {str(p.grad.device) for p in net.parameters()} == {"strict"}
    assert devices(net.cpu()) == {"cpu"}
    assert devices(net.to("strict", mg.float64)) == {"strict"} and net[0].weight.dtype == mg.float64


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_layers_compute_the_same_there(case):
    x = np.random.default_rng(0).standard_normal(case.shape)
    here = getattr(nn, case.name)(*case.args, **case.kwargs).double().train(case.training)
    there = getattr(nn, case.name)(*case.args, **case.kwargs).double().train(case.training).to("strict")
    there.load_state_dict(here.state_dict())
    results = []
    for layer, device in ((here, "cpu"), (there, "strict")):
        input = mg.tensor(x, device=device, requires_grad=True)
        out = layer(input)
        out.square().sum().backward()
        results.append([t.numpy(force=True) for t in (out, input.grad, *(p.grad for p in layer.parameters()))])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_new_parameters_there():
    layers = [
        nn.Linear(2, 3, device="strict"),
        nn.Conv2d(2, 4, 3, device="strict"),
        nn.BatchNorm2d(3, device="strict"),
        nn.LayerNorm(3, device="strict"),
        nn.GroupNorm(1, 3, device="strict"),
        nn.Embedding(5, 2, padding_idx=0, device="strict"),
        nn.PReLU(device="strict"),
    ]
    for layer in layers:
        assert devices(layer) == {"strict"}
        layer.reset_parameters()
        assert devices(layer) == {"strict"}


@pytest.mark.parametrize("name", nn.init.__all__)
def test_parameters_are_filled_there(name):
    if name == "calculate_gain":
        return
    tensor = mg.empty(4, 3, 3, device="strict") if name == "dirac_" else mg.empty(4, 3, device="strict")
    fill = getattr(nn.init, name)
    assert (fill(tensor, 0.5) if name == "constant_" else fill(tensor)) is tensor
    assert np.isfinite(tensor.numpy(force=True)).all()


def test_state_dicts_cross_devices():
    here, there = nn.Linear(2, 3), nn.Linear(2, 3, device="strict")
    there.load_state_dict(here.state_dict())
    assert devices(there) == {"strict"} and there.weight.tolist() == here.weight.tolist()
    here.load_state_dict(there.state_dict(), assign=True)
    assert devices(here) == {"strict"}


def test_gradients_are_clipped_there():
    layer = nn.Linear(2, 3, device="strict")
    layer(mg.ones(4, 2, device="strict")).square().sum().backward()
    norm = nn.utils.clip_grad_norm_(layer.parameters(), 1e-3)
    assert str(norm.device) == "strict"
    again = nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
    assert again.item() == pytest.approx(1e-3, rel=1e-2)
    nn.utils.clip_grad_value_(layer.parameters(), 1e-9)
    assert max(p.grad.abs().max().item() for p in layer.parameters()) == pytest.approx(1e-9)
    vector = nn.utils.parameters_to_vector(layer.parameters())
    nn.utils.vector_to_parameters(vector * 0, layer.parameters())
    assert layer.weight.tolist() == [[0.0, 0.0]] * 3


def test_losses_there():
    scores, classes = mg.tensor([[0.5, -1.0, 2.0]], device="strict"), mg.tensor([1], device="strict")
    weight = mg.tensor([1.0, 2.0, 3.0])
    loss = nn.CrossEntropyLoss(weight=weight, label_smoothing=0.1).to("strict")
    assert str(loss(scores, classes).device) == "strict"


def test_a_layer_and_its_input_on_different_devices_are_told_apart():
    model = nn.Sequential(nn.Linear(2, 3))
    message = (
        r"^in 0 \(Linear\): linear: expected all tensors on one device, got input 0 on strict, weight on cpu, bias on cpu;"
    )
    with pytest.raises(RuntimeError, match=message):
        model(mg.ones(1, 2, device="strict"))
