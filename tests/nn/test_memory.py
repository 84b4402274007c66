"""A network leaves no reference cycle behind: what it made is gone when it is dropped, without the cyclic collector."""

import gc
import weakref

import pytest

import minigrad as mg
from minigrad import nn


@pytest.fixture
def without_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.activation = nn.ReLU()

    def forward(self, x):
        return x + self.activation(self.norm(self.linear(x)))


def test_a_step_of_a_thousand_modules_leaves_nothing(without_collector):
    model = nn.Sequential(*(Block() for _ in range(250)))
    assert sum(1 for _ in model.modules()) == 1001
    x = mg.randn(3, 4, requires_grad=True)
    out = model(x)
    loss = (out * out).mean()
    node = weakref.ref(loss.grad_fn)
    inner = weakref.ref(out.grad_fn)
    loss.backward()
    del out, loss
    assert node() is None and inner() is None


def test_a_step_leaves_no_cycle_of_any_kind(without_collector):
    model = nn.Sequential(*(Block() for _ in range(20)))

    def step():
        model(mg.ones(3, 4)).square().mean().backward()
        model.zero_grad()

    step()  # what is imported or cached at the first use is not meant
    gc.collect()
    step()
    assert gc.collect() == 0


def test_a_model_that_is_dropped_is_gone(without_collector):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Dropout(0.1))
    model[0].register_forward_hook(lambda module, args, out: None)
    model[0].register_full_backward_hook(lambda module, grad_input, grad_output: None)
    model(mg.ones(2, 1, 5, 5)).sum().backward()
    model.double().state_dict()
    weight, module = weakref.ref(model[0].weight), weakref.ref(model[0])
    del model
    assert weight() is None and module() is None


def test_a_failed_forward_keeps_nothing(without_collector):
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(4, 2))
    module = weakref.ref(model)
    try:
        model(mg.ones(1, 2))
    except (RuntimeError, ValueError):
        failed = True
    assert failed
    del model
    assert module() is None
