"""A step's memory is back when its loss is dropped, with the cyclic collector off."""

import gc
import weakref

import pytest

import minigrad
from minigrad import autograd, tensor
from minigrad._tensor import Tensor
from minigrad.autograd import Function


class Doubled(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x, x * 3)
        result = x * 2
        return result, result * 1

    @staticmethod
    def backward(ctx, a, b):
        return (a + b) * 2 + ctx.saved_tensors[0] * 0


def plain(x, w):
    ((x * w + w) * x).sum().backward()


def reused(x, w):
    y = x * w
    (y * y + y).sum().backward(retain_graph=True)
    (y * y).sum().backward()


def not_differentiated(x, w):
    return ((x * w + w) * x).sum()


def gradient_of_gradient(x, w):
    (first,) = autograd.grad((x * x * x * w).sum(), x, create_graph=True)
    (first * first).sum().backward()


def views_and_writes(x, w):
    y = x * w
    part = y.narrow(0, 0, 2)
    part.mul_(w.narrow(0, 0, 2))
    y.view(1, -1).T.add_(1)
    first, *_ = y.unbind()
    (part.sum() + (y * y).sum() + first).backward()


def functions(x, w):
    a, b = Doubled.apply(x * w)
    (a * b).sum().backward()


def hooks(x, w):
    y = x * w
    constant = y.detach()
    y.register_hook(lambda grad: grad * constant)
    y.retain_grad()
    y.grad_fn.register_hook(lambda ins, outs: None)
    (y * y).sum().backward()


def an_error(x, w):
    y = x * w
    product = y * y
    y.add_(1)
    try:
        product.sum().backward()
    except RuntimeError:
        return
    pytest.fail("the write was not noticed")


STEPS = [plain, reused, not_differentiated, gradient_of_gradient, views_and_writes, functions, hooks, an_error]


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def tensors_alive():
    return sum(issubclass(type(thing), (Tensor, autograd.operation.Operation)) for thing in gc.get_objects())


@pytest.mark.parametrize("step", STEPS)
def test_a_step_leaves_nothing_behind(step, no_collector):
    x = tensor([1.0, 2.0, 3.0], requires_grad=True)
    w = tensor([4.0, 5.0, 6.0], requires_grad=True)
    step(x, w)
    x.grad = w.grad = None
    gc.collect()
    before = tensors_alive()
    for _ in range(3):
        step(x, w)
    x.grad = w.grad = None
    assert tensors_alive() == before
    assert gc.collect() == 0


def test_a_cycle_would_be_seen(no_collector):
    x = tensor([1.0, 2.0], requires_grad=True)
    before = tensors_alive()
    with pytest.warns(UserWarning, match="reference cycle"):
        (x * x).sum().backward(create_graph=True)
    gone = weakref.ref(x)
    del x
    assert gone() is not None
    assert tensors_alive() > before
    gc.collect()
    assert gone() is None


def test_intermediate_memory_goes_while_backward_runs(no_collector):
    """What the end of the graph has saved is gone before backward reaches its beginning."""
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    late = y * 3
    product = late * late
    array = weakref.ref(late.array)
    seen = []
    y.register_hook(lambda grad: seen.append(array()))
    loss = product.sum()
    del late, product
    loss.backward()
    assert seen == [None]


def test_saved_arrays_go_with_the_graph(no_collector):
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    array = weakref.ref(y.array)
    loss = (y * y).sum()
    del y
    assert array() is not None, "saved"
    loss.backward()
    assert array() is None, "freed by backward, although the loss is still there"


def test_a_result_keeps_nothing_alive_without_a_graph(no_collector):
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    array = weakref.ref(y.array)
    with minigrad.no_grad():
        z = y * y
    del y
    assert array() is None
    assert z.tolist() == [4.0, 16.0]


@pytest.mark.parametrize("differentiate", [True, False])
def test_long_chains_go_without_recursion(differentiate, no_collector):
    x = tensor(1.0, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y * 1.0 + 0.0
    last = weakref.ref(y.grad_fn)
    if differentiate:
        y.backward()
        assert x.grad.item() == 1.0
    del y
    assert last() is None


def test_a_long_chain_of_views_goes_too(no_collector):
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    for _ in range(20_000):
        y = y.view(2)
    first = weakref.ref(y._base)
    y.sum().backward()
    del y
    assert first() is None


def test_accumulating_takes_no_new_memory():
    x = tensor([1.0, 2.0], requires_grad=True)
    (x * 2).sum().backward()
    address = x.grad.data_ptr()
    for _ in range(5):
        (x * 2).sum().backward()
    assert x.grad.data_ptr() == address
