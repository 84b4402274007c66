"""Gradients by weights, and of pooling, may be computed in another thread during the backward pass: nobody can tell."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import minigrad
from minigrad.autograd.deferred import Pending
from minigrad.backends import backend_of
from minigrad.backends.cpu.threads import LEAST, later
from minigrad.nn import functional as F
from minigrad.ops.pooling import MaxPool2dGrad


@pytest.fixture(autouse=True)
def always_later(monkeypatch):
    """However small the kernels are."""
    before = minigrad.get_num_threads()
    minigrad.set_num_threads(2)
    monkeypatch.setattr("minigrad.backends.cpu.threads.LEAST", 0)
    yield
    minigrad.set_num_threads(before)


def network():
    minigrad.manual_seed(0)
    shapes = ((4, 3, 8, 8), (5, 3, 3, 3), (5, 5, 3, 3), (7, 5 * 16))
    return [minigrad.randn(*shape).requires_grad_() for shape in shapes]


def loss_of(x, first, second, third):
    y = F.conv2d(F.conv2d(x, first), second)
    return (F.linear(y.flatten(1), third) ** 2).sum()


def expected(steps=1):
    """The gradients with one thread."""
    minigrad.set_num_threads(1)
    leaves = network()
    for _ in range(steps):
        loss_of(*leaves).backward()
    minigrad.set_num_threads(2)
    return [leaf.grad.numpy() for leaf in leaves]


def assert_same(leaves, grads):
    for leaf, grad in zip(leaves, grads, strict=True):
        np.testing.assert_array_equal(leaf.grad.numpy(), grad)


@pytest.mark.parametrize("steps", [1, 3])
def test_same_bits_and_all_there_after_backward(steps):
    leaves = network()
    for _ in range(steps):
        loss_of(*leaves).backward()
    assert all(leaf.grad._deferred is None for leaf in leaves)
    assert_same(leaves, expected(steps))


def test_more_leaves_than_may_be_on_their_way():
    weights = [minigrad.randn(4, 4).requires_grad_() for _ in range(30)]

    def grads(number):
        minigrad.set_num_threads(number)
        y = minigrad.ones(2, 4)
        for weight in weights:
            weight.grad = None
            y = F.linear(y, weight)
        y.sum().backward()
        return [weight.grad.numpy() for weight in weights]

    for a, b in zip(grads(2), grads(1), strict=True):
        np.testing.assert_array_equal(a, b)


def test_grad_returns_them_computed():
    leaves = network()
    found = minigrad.autograd.grad(loss_of(*leaves), leaves)
    assert all(grad._deferred is None for grad in found)
    for grad, wanted in zip(found, expected(), strict=True):
        np.testing.assert_array_equal(grad.numpy(), wanted)


def test_a_weight_used_twice():
    def grads(number):
        minigrad.set_num_threads(number)
        minigrad.manual_seed(0)
        x, w = minigrad.randn(2, 3, 8, 8), minigrad.randn(3, 3, 3, 3).requires_grad_()
        F.conv2d(F.conv2d(x, w), w).sum().backward()
        return w.grad.numpy()

    np.testing.assert_array_equal(grads(2), grads(1))


def test_hooks_see_them():
    leaves = network()
    seen = []
    leaves[1].register_hook(lambda grad: seen.append(grad.numpy().copy()))
    leaves[2].register_post_accumulate_grad_hook(lambda leaf: seen.append(leaf.grad.numpy().copy()))
    loss_of(*leaves).backward()
    wanted = expected()
    np.testing.assert_array_equal(seen[0], wanted[2])
    np.testing.assert_array_equal(seen[1], wanted[1])


def test_relu_of_one_in_a_hook():
    leaves = network()
    leaves[1].register_hook(lambda grad: F.relu(grad))
    loss_of(*leaves).backward()
    np.testing.assert_array_equal(leaves[1].grad.numpy(), np.maximum(expected()[1], 0))


def backward_while_no_thread_is_free(output, threads):
    go = threading.Event()
    held = later(lambda: go.wait(30), LEAST, 0) if threads > 1 else None
    output.backward(minigrad.ones(*output.shape))
    if held is not None:
        go.set()
        held()


def test_a_hook_that_overwrites_what_they_are_computed_from():
    def grads(number):
        minigrad.set_num_threads(number)
        minigrad.manual_seed(0)
        a = minigrad.randn(8, 16, 30, 30).requires_grad_()
        w = minigrad.randn(16, 16, 3, 3).requires_grad_()
        shortcut = a * 1
        y = F.conv2d(a, w, padding=1)
        seen = []

        def overwrite(grad):  # the same tensor that the convolution, which comes first, is given
            seen.append(grad.numpy().copy())
            grad.zero_()

        shortcut.register_hook(overwrite)
        backward_while_no_thread_is_free(shortcut + y, number)
        assert (seen[0] == 1).all()
        return w.grad.numpy()

    assert np.any(grads(2))
    np.testing.assert_array_equal(grads(2), grads(1))


def test_a_hook_that_overwrites_the_input_that_they_are_computed_from():
    def grads(number):
        minigrad.set_num_threads(number)
        minigrad.manual_seed(0)
        a = minigrad.randn(8, 16, 30, 30)
        w = minigrad.randn(16, 16, 3, 3).requires_grad_()
        shortcut = minigrad.ones(8, 16, 30, 30, requires_grad=True) * 1
        y = F.conv2d(a, w, padding=1)

        def overwrite(grad):  # after the convolution, which comes first
            a.zero_()

        shortcut.register_hook(overwrite)
        backward_while_no_thread_is_free(shortcut + y, number)
        return w.grad.numpy()

    assert np.any(grads(2))
    np.testing.assert_array_equal(grads(2), grads(1))


def test_an_error_comes_out_of_backward(monkeypatch):
    leaves = network()
    loss = loss_of(*leaves)

    def fail(*args):
        raise MemoryError("no room for the gradient")

    monkeypatch.setattr(type(backend_of(leaves[0].array)), "conv2d_weight_grad", fail)
    with pytest.raises(MemoryError, match="no room for the gradient"):
        loss.backward()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_shape_and_dtype_are_known_before(dtype):
    grad, image = minigrad.ones(2, 3, 4, 4, dtype=dtype), minigrad.randn(2, 3, 8, 8, dtype=dtype).requires_grad_()
    (operation,) = F.max_pool2d(image, 2).grad_fn.edges
    with minigrad.no_grad():
        found = operation.backward(grad, None)
    assert type(found._deferred) is Pending
    known = found.shape, found.ndim, found.dtype, found.dim()
    assert type(found._deferred) is Pending
    assert known == (found.array.shape, 4, found.array.dtype, 4)


def test_recorded_backward_passes_are_computed_at_once():
    leaves = network()
    first = minigrad.autograd.grad(loss_of(*leaves), leaves, create_graph=True)
    assert all(grad._deferred is None and grad.requires_grad for grad in first)
    sum((grad**2).sum() for grad in first).backward()
    assert all(np.isfinite(leaf.grad.numpy()).all() for leaf in leaves)


# --- of max pooling, where the walk over the tape has other gradients for the same place to compute ------------------------


@pytest.fixture
def started(monkeypatch):
    """The operations that were to be given to another thread."""
    found, start = [], Pending.start
    monkeypatch.setattr(Pending, "start", lambda self: found.append(type(self.operation)) or start(self))
    return found


@pytest.fixture
def by(monkeypatch):
    """The threads that compute gradients of max pooling."""
    found, forward = [], MaxPool2dGrad.forward

    def noted(self, grad):
        found.append(threading.current_thread())
        return forward(self, grad)

    monkeypatch.setattr(MaxPool2dGrad, "forward", noted)
    return found


@pytest.fixture
def image():
    minigrad.manual_seed(0)
    return minigrad.randn(2, 8, 128, 128).requires_grad_()


def branches(x):
    x = x * 2.0
    y = x * 3.0
    return (y * F.max_pool2d(x, 3, 1, 1)).sum()  # the walk begins with what comes last


def test_pooling_is_put_off_where_other_gradients_are_still_to_come(image, started, by):
    branches(image).backward()
    assert started == [MaxPool2dGrad] and len(by) == 1
    found = image.grad.numpy().copy()
    image.grad = None
    minigrad.set_num_threads(1)
    branches(image).backward()
    np.testing.assert_array_equal(found, image.grad.numpy())
    assert by[1] is threading.main_thread()


def test_pooling_is_not_put_off_where_nothing_else_is_to_be_done(image, started, by):
    F.max_pool2d(image * 2.0, 3, 1, 1).sum().backward()
    assert started == [] and by == [threading.main_thread()]
    assert image.grad.sum().item() == 2 * image.numel()


def test_small_images_are_not_put_off(image, started, by, monkeypatch):
    monkeypatch.setattr("minigrad.backends.cpu.threads.LEAST", LEAST)
    branches(image[:1, :2, :8, :8]).backward()
    assert started == [MaxPool2dGrad] and by == [threading.main_thread()]


def test_a_hook_that_overwrites_what_the_gradient_of_pooling_is_computed_from():
    def grads(number):
        minigrad.set_num_threads(number)
        minigrad.manual_seed(0)
        leaf = minigrad.randn(8, 16, 30, 30).requires_grad_()
        x = leaf * 1.0
        shortcut = x * 1.0
        y = F.max_pool2d(x, 3, 1, 1)

        def overwrite(grad):  # after pooling, which comes first
            grad.zero_()

        shortcut.register_hook(overwrite)
        backward_while_no_thread_is_free(shortcut + y, number)
        return leaf.grad.numpy()

    assert grads(2).sum() == 8 * 16 * 30 * 30
    np.testing.assert_array_equal(grads(2), grads(1))


def test_an_error_of_pooling_comes_out_of_backward(image, monkeypatch):
    def fail(self, grad):
        raise FloatingPointError("in the kernel")

    monkeypatch.setattr(MaxPool2dGrad, "forward", fail)
    with pytest.raises(FloatingPointError, match="in the kernel"):
        branches(image).backward()
