"""Gradients of pooling that another thread may compute while the walk over the tape goes on elsewhere."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import minigrad
from minigrad.autograd.deferred import Pending
from minigrad.nn import functional as F
from minigrad.ops.pooling import MaxPool2dGrad


@pytest.fixture
def x():
    minigrad.manual_seed(0)
    return minigrad.randn(2, 8, 128, 128).requires_grad_()


@pytest.fixture(autouse=True)
def two_threads():
    before = minigrad.get_num_threads()
    minigrad.set_num_threads(2)
    yield
    minigrad.set_num_threads(before)


@pytest.fixture
def started(monkeypatch):
    """The operations that were to be given to another thread."""
    found, start = [], Pending.start
    monkeypatch.setattr(Pending, "start", lambda self: found.append(type(self.operation)) or start(self))
    return found


@pytest.fixture
def threads(monkeypatch):
    """The threads that compute gradients of max pooling."""
    found, forward = [], MaxPool2dGrad.forward

    def noted(self, grad):
        found.append(threading.current_thread())
        return forward(self, grad)

    monkeypatch.setattr(MaxPool2dGrad, "forward", noted)
    return found


def branches(x):
    x = x * 2.0
    y = x * 3.0
    return (y * F.max_pool2d(x, 3, 1, 1)).sum()  # the walk begins with what comes last


def test_it_is_started_where_other_gradients_are_still_to_come(x, started, threads):
    branches(x).backward()
    assert started == [MaxPool2dGrad] and len(threads) == 1
    found = x.grad.numpy().copy()
    x.grad = None
    minigrad.set_num_threads(1)
    branches(x).backward()
    np.testing.assert_array_equal(found, x.grad.numpy())
    assert threads[1] is threading.main_thread()


def test_it_is_computed_at_once_where_nothing_else_is_to_be_done(x, started, threads):
    F.max_pool2d(x * 2.0, 3, 1, 1).sum().backward()
    assert started == [] and threads == [threading.main_thread()]
    assert x.grad.sum().item() == 2 * x.numel()


def test_small_ones_are_left_to_the_walk(started, threads):
    x = minigrad.randn(1, 2, 8, 8).requires_grad_()
    branches(x).backward()
    assert started == [MaxPool2dGrad] and threads == [threading.main_thread()]


def test_second_derivatives_are_on_the_tape(x, started):
    (grad,) = minigrad.autograd.grad(branches(x), x, create_graph=True)
    (second,) = minigrad.autograd.grad((grad * grad).sum(), x)
    assert started and np.isfinite(second.numpy()).all() and second.abs().sum().item() > 0


def test_hooks_see_it(x):
    seen = []
    y = x * 1.0
    y.register_hook(lambda grad: seen.append(grad.sum().item()))
    (F.max_pool2d(y, 2) * 1.0).sum().backward()
    assert seen == [x.numel() / 4]


def test_an_error_comes_out_of_backward(x, monkeypatch):
    def fail(self, grad):
        raise FloatingPointError("in the kernel")

    monkeypatch.setattr(MaxPool2dGrad, "forward", fail)
    with pytest.raises(FloatingPointError, match="in the kernel"):
        branches(x).backward()


def test_the_output_gradient_may_be_overwritten_afterwards(x):
    y = F.max_pool2d(x * 1.0, 2)
    above = minigrad.ones(*y.shape)
    (grad,) = minigrad.autograd.grad(y, x, above)
    above.zero_()
    assert grad.sum().item() == x.numel() / 4
