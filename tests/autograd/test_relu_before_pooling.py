"""ReLU of images waits for max pooling, and is then done for the largest elements alone: nobody may notice."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.nn import functional as F
from minigrad.testing import gradcheck, gradgradcheck

TOGETHER, APART = "max_pool2d_of_relu", "max_pool2d"


def arguments(dtype="float32"):
    minigrad.manual_seed(0)
    return [minigrad.randn(*shape, dtype=dtype).requires_grad_() for shape in ((2, 3, 9, 9), (4, 3, 2, 2), (4,))]


def name_of(pooled):
    """Of the operation that the largest elements come from."""
    return pooled.grad_fn.next_functions[0][0].name


def run(inplace, look, **options):
    """The largest elements of ReLU of a convolution, and all gradients, with a look at the values in between or without."""
    given = arguments()
    y = F.relu(F.conv2d(*given), inplace=inplace)
    if look:
        y.sum()
    pooled = F.max_pool2d(y, 2, **options)
    assert name_of(pooled) == (APART if look else TOGETHER)
    (pooled * minigrad.arange(pooled.numel()).reshape(pooled.shape)).sum().backward()
    return [pooled.detach().numpy(), *(t.grad.numpy() for t in given)]


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("options", [{}, {"stride": 1, "padding": 1}, {"stride": 3, "ceil_mode": True}], ids=str)
def test_same_bits_as_one_after_the_other(inplace, options):
    for together, apart in zip(run(inplace, False, **options), run(inplace, True, **options), strict=True):
        np.testing.assert_array_equal(together, apart)


@pytest.mark.parametrize("inplace", [False, True])
def test_derivatives_of_both_orders(inplace):
    given = arguments("float64")
    function = lambda *t: F.max_pool2d(F.relu(F.conv2d(*t), inplace=inplace), 2)  # noqa: E731
    assert name_of(function(*given)) == TOGETHER
    assert gradcheck(function, given)
    assert gradgradcheck(function, given)


def test_equal_elements_and_nan():
    """The first of equal ones gets the gradient; none does where nothing is positive; nan is the largest, and stays."""
    values = [[1, 3, 0, -1], [3, 2, -2, 0], [-1, -1, np.nan, 5], [-1, -1, 1, 1]]
    given = minigrad.tensor([[values]], dtype="float64").requires_grad_()
    pooled = F.max_pool2d(F.relu(given * 1), 2)
    assert name_of(pooled) == TOGETHER
    np.testing.assert_array_equal(pooled.detach().numpy()[0, 0], [[3, 0], [0, np.nan]])
    pooled.sum().backward()
    np.testing.assert_array_equal(given.grad.numpy()[0, 0], [[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize("options", [{"dilation": 2}, {"return_indices": True}], ids=str)
def test_where_relu_would_change_what_else_there_is(options):
    """With a dilation a window may lie beside the image; the places of elements that are not positive are others."""
    given = arguments()
    y = F.relu(F.conv2d(*given))
    found = F.max_pool2d(y, 2, **options)
    expected = F.max_pool2d(y.detach(), 2, **options)
    for a, b in zip(*(t if isinstance(t, tuple) else (t,) for t in (found, expected)), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.numpy())
    assert name_of(found[0] if isinstance(found, tuple) else found) == APART


@pytest.mark.parametrize("inplace", [False, True])
def test_the_values_in_between_may_be_asked_for_afterwards(inplace):
    given = arguments()
    before = F.conv2d(*given)
    expected = np.maximum(before.detach().numpy(), 0)
    before = F.conv2d(*given)
    y = F.relu(before, inplace=inplace)
    pooled = F.max_pool2d(y, 2)
    assert name_of(pooled) == TOGETHER
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    assert (y is before) == inplace and y.grad_fn.name == "relu"
    (pooled.sum() + (y * y).sum()).backward()
    again = arguments()
    z = F.relu(F.conv2d(*again))
    z.sum()
    (F.max_pool2d(z, 2).sum() + (z * z).sum()).backward()
    for a, b in zip(given, again, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("inplace", [False, True])
def test_gradients_in_between_may_be_asked_for_afterwards(inplace):
    """They go where the largest elements of ReLU lie, where none is positive to the first one."""

    def gradients(look):
        given = arguments()
        y = F.relu(F.conv2d(*given), inplace=inplace)
        if look:
            y.sum()
        pooled = F.max_pool2d(y, 2)
        assert name_of(pooled) == (APART if look else TOGETHER)
        (between,) = minigrad.autograd.grad(pooled.sum(), y, retain_graph=True)
        y.retain_grad()
        seen = []
        y.register_hook(lambda grad: seen.append(grad.numpy()))
        pooled.sum().backward()
        found = [between.numpy(), *seen, y.grad.numpy(), *(t.grad.numpy() for t in given)]
        return [*found, y.detach().numpy()]  # after backward has dropped what was saved

    together, apart = gradients(False), gradients(True)
    assert (apart[0] > 0).sum() > (apart[-1] > 0).sum() / 4  # some go to elements that are not positive
    for a, b in zip(together, apart, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_gradient_from_above_comes_to_what_nobody_has_looked_at():
    given = arguments()
    y = F.relu(F.conv2d(*given))
    y.backward(minigrad.ones_like(y.detach()))
    again = arguments()
    F.relu(F.conv2d(*again)).sum().backward()
    for a, b in zip(given, again, strict=True):
        np.testing.assert_array_equal(a.grad.numpy(), b.grad.numpy())


def test_backward_twice_is_refused_as_ever():
    given = arguments()
    y = F.relu(F.conv2d(*given))
    pooled = F.max_pool2d(y, 2).sum()
    pooled.backward()
    y.register_hook(lambda grad: None)
    with pytest.raises(RuntimeError, match="freed by an earlier backward"):
        pooled.backward()


def test_a_hook_beforehand_sees_the_gradient_in_between():
    y = F.relu(F.conv2d(*arguments()))
    seen = []
    y.register_hook(lambda grad: seen.append(grad.shape))
    pooled = F.max_pool2d(y, 2)
    assert name_of(pooled) == APART
    pooled.sum().backward()
    assert seen == [y.shape]


@pytest.mark.parametrize("change", [lambda t: t.zero_(), lambda t: t[0].fill_(7), lambda t: t.numpy().fill(7)])
def test_a_change_of_the_input_comes_after_it(change):
    before = F.conv2d(*arguments())
    expected = np.maximum(before.detach().numpy(), 0)
    y = F.relu(before)
    change(before.detach())
    np.testing.assert_array_equal(y.detach().numpy(), expected)


def test_a_change_of_the_result_is_noticed():
    for inplace in (False, True):
        y = F.relu(F.conv2d(*arguments()), inplace=inplace)
        y.sum()
        y.mul_(2)
        with pytest.raises(RuntimeError, match="changed it in place"):
            F.max_pool2d(y, 2).sum().backward()


def test_memory_that_others_hold_is_read_at_once():
    before = F.conv2d(*arguments())
    for inplace in (False, True):
        held = before.detach()
        assert F.relu(before, inplace=inplace)._deferred is None
        np.testing.assert_array_equal(held.numpy() >= 0, inplace or held.numpy() >= 0)


def test_an_input_that_changes_when_only_the_node_is_left():
    before = F.conv2d(*arguments())
    y = F.relu(before)
    node = y.grad_fn
    pooled = F.max_pool2d(y, 2)
    del y
    node.register_hook(lambda after, above: None)
    before.detach().zero_()
    with pytest.raises(RuntimeError, match=r"relu at .* saved its input 0 .* changed it in place"):
        pooled.sum().backward()


def test_in_place_it_writes_to_the_memory_that_was_there():
    before = F.conv2d(*arguments())
    address = before.data_ptr()
    y = F.relu(before, inplace=True)
    assert y._deferred is not None and y.data_ptr() == address and (y.detach().numpy() >= 0).all()


def test_a_leaf_may_not_be_changed_in_place():
    with pytest.raises(RuntimeError, match="a leaf tensor"):
        F.relu(arguments()[0], inplace=True)


def test_what_a_kept_gradient_asked_for_moves_on_with_the_tensor():
    y = F.conv2d(*arguments())
    y.retain_grad()
    F.relu(y, inplace=True)
    F.max_pool2d(y, 2).sum().backward()
    z = F.conv2d(*arguments())
    z.sum()
    z = F.relu(z)
    z.retain_grad()
    F.max_pool2d(z, 2).sum().backward()
    np.testing.assert_array_equal(y.grad.numpy(), z.grad.numpy())


@pytest.mark.parametrize("inplace", [False, True])
def test_once_pooled_the_values_are_gone_at_once(inplace):
    gc.disable()
    try:
        y = F.relu(F.conv2d(*arguments()), inplace=inplace)
        kept = weakref.ref(y.grad_fn), weakref.ref(y._deferred.source)
        pooled = F.max_pool2d(y, 2)
        assert name_of(pooled) == TOGETHER and all(ref() is not None for ref in kept)
        del y
        assert [ref() for ref in kept] == [None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.mul_(2),
        lambda p: p.add_(1),
        lambda p: p.relu_(),
        lambda p: p[0].fill_(0),
        lambda p: F.dropout(p, inplace=True),
        lambda p: p.detach().numpy().fill(0),
    ],
)
def test_what_is_pooled_may_be_changed_in_place(change, inplace):
    def gradient(look):
        x = arguments()[0]
        y = F.relu(x * 1, inplace=inplace)
        if look:
            y.sum()
        pooled = F.max_pool2d(y, 2)
        assert name_of(pooled) == (APART if look else TOGETHER)
        minigrad.manual_seed(3)
        change(pooled)
        pooled.sum().backward()
        return x.grad.numpy()

    np.testing.assert_array_equal(gradient(False), gradient(True))


def hook_the_tensor(tensor, factor):
    tensor.register_hook(lambda grad: grad * factor)


def hook_the_node(tensor, factor):
    tensor.grad_fn.register_hook(lambda after, above: (after[0] * factor, *after[1:]))


@pytest.mark.parametrize("hook", [hook_the_tensor, hook_the_node])
@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (TOGETHER, F.relu, lambda y: F.max_pool2d(y, 2)),
        ("normalize_relu", lambda x: F.batch_norm(x, None, None, training=True), F.relu),
    ],
    ids=["relu before pooling", "batch norm before relu"],
)
def test_a_hook_that_comes_afterwards_outlives_the_tensor(name, before, after, hook):
    def gradient(factor):
        x = arguments("float64")[0]
        y = before(x * 1)
        z = after(y)
        assert name in (z.grad_fn.name, z.grad_fn.next_functions[0][0].name)
        if factor != 1:
            hook(y, factor)
        del y
        (z * minigrad.arange(z.numel()).reshape(z.shape)).sum().backward()
        return x.grad.numpy()

    np.testing.assert_allclose(gradient(10), 10 * gradient(1), atol=1e-9)


def test_new_data_in_between():
    x = arguments()[0]
    before = x * 1
    y = F.relu(before)
    y.data = minigrad.zeros(y.shape)
    before.mul_(2)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), x.detach().numpy() > 0)


def test_the_gradient_in_between_after_backward_through_relu_alone():
    x = arguments()[0]
    y = F.relu(x * 1)
    pooled = F.max_pool2d(y, 2, padding=1)
    y.sum().backward()
    (between,) = minigrad.autograd.grad(pooled.sum(), y)
    again = y.detach().requires_grad_()
    F.max_pool2d(again, 2, padding=1).sum().backward()
    np.testing.assert_array_equal(between.numpy(), again.grad.numpy())


def test_a_sum_with_batch_norm_is_still_put_off():
    """Of the two, ReLU is computed, and the sum goes along with batch norm."""
    for swapped in (False, True):
        given = arguments()
        normalized = F.batch_norm(F.conv2d(*given), None, None, training=True)
        rectified = F.relu(F.conv2d(*given))
        total = rectified + normalized if swapped else normalized + rectified
        assert total._deferred is not None
        expected = rectified.detach().numpy() + normalized.detach().numpy()
        np.testing.assert_allclose(total.detach().numpy(), expected, rtol=1e-5, atol=1e-6)
        total.square().sum().backward()
        assert all(t.grad is not None for t in given)


def test_modules_in_a_network_and_their_hooks():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2))
    x = minigrad.randn(2, 3, 8, 8)
    assert name_of(model(x)) == TOGETHER
    seen = []
    handle = model[1].register_forward_hook(lambda module, inputs, output: seen.append(output.sum().item()))
    assert name_of(model(x)) == APART and seen[0] > 0
    handle.remove()
    with minigrad.no_grad():
        np.testing.assert_array_equal(model(x).numpy(), model(x.clone().requires_grad_()).detach().numpy())
