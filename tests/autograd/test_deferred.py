"""Batch norm's result is computed when it is asked for, along with ReLU's if that comes first: nobody may notice."""

from __future__ import annotations

import copy
import ctypes

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.nn import functional as F
from minigrad.testing import gradcheck, gradgradcheck


def arguments(dtype="float32"):
    minigrad.manual_seed(0)
    make = lambda *shape: minigrad.randn(*shape, dtype=dtype).requires_grad_()  # noqa: E731
    return make(4, 3, 6, 6), make(5, 3, 3, 3), make(5), make(5)


def normalized(x, kernel, weight, bias):
    """Batch norm of a convolution: nobody but the tensor in between holds the convolution's result."""
    return F.batch_norm(F.conv2d(x, kernel), None, None, weight, bias, training=True)


def at_address(tensor):
    """The tensor's memory, by its address alone."""
    numbers = (ctypes.c_float * tensor.numel()).from_address(tensor.data_ptr())
    return np.frombuffer(numbers, np.float32)


def set_data(tensor):
    """Another tensor of the same memory, by its ``data``."""
    other = minigrad.zeros(1)
    other.data = tensor
    return other


def is_waited_for(tensor):
    return tensor._version is not None and any(ref() is not None for ref in tensor._version.waiting)


def is_deferred(tensor):
    return tensor._deferred is not None


def run(inplace, look):
    """ReLU of batch norm, with a look at the values in between or without: the result and all gradients."""
    given = arguments()
    y = normalized(*given)
    assert is_deferred(y)
    if look:
        y.sum()
    output = F.relu(y, inplace=inplace)
    assert output.grad_fn.name == ("relu" if look else "normalize_relu")
    (output * minigrad.arange(output.numel()).reshape(output.shape)).sum().backward()
    return [output.detach().numpy(), *(t.grad.numpy() for t in given)]


@pytest.mark.parametrize("inplace", [False, True])
def test_same_bits_as_one_after_the_other(inplace):
    for together, apart in zip(run(inplace, look=False), run(inplace, look=True), strict=True):
        np.testing.assert_array_equal(together, apart)


def test_derivatives_of_both_orders():
    given = arguments("float64")
    assert F.relu(normalized(*given)).grad_fn.name == "normalize_relu"
    assert gradcheck(lambda *t: F.relu(normalized(*t)), given)
    assert gradgradcheck(lambda *t: F.relu(normalized(*t)), given)


def test_used_with_and_without_relu():
    given = arguments()
    y = normalized(*given)
    (F.relu(y) * 2 + y).sum().backward()
    expected = arguments()
    z = normalized(*expected)
    z.sum()
    (F.relu(z) * 2 + z).sum().backward()
    for a, b in zip(given, expected, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-4, atol=1e-4)


def test_a_change_of_the_input_in_place_comes_after_it():
    step = lambda t: minigrad.optim.SGD([t], lr=1.0).step()  # noqa: E731
    for change in (lambda t: t.zero_(), lambda t: t[0].fill_(7), lambda t: t.detach().mul_(2), step):
        x, kernel, weight, bias = (t.detach() for t in arguments())
        before = F.conv2d(x, kernel)
        before.grad = minigrad.ones_like(before)
        expected = F.batch_norm(before, None, None, weight, bias, training=True).numpy().copy()
        y = F.batch_norm(before, None, None, weight, bias, training=True)
        change(before)
        np.testing.assert_array_equal(F.relu(y).numpy(), np.maximum(expected, 0))


@pytest.mark.parametrize("held", [False, True])
def test_a_change_of_the_weight_in_place_comes_after_it(held):
    """Weights that somebody else holds are copied, others make what waits for them be computed."""
    x, kernel, weight, bias = (t.detach() for t in arguments())
    expected = normalized(x, kernel, weight, bias).numpy().copy()
    for change in (
        lambda: weight.mul_(2),
        lambda: weight.numpy().fill(7),
        lambda: weight.data.mul_(2),
        lambda: bias[:2].fill_(3),
        lambda: minigrad.optim.SGD([weight], lr=1.0).step(),
    ):
        kept = weight.clone(), bias.clone()
        holder = (weight.numpy(), bias.numpy()) if held else None
        weight.grad = minigrad.ones(5)
        y = normalized(x, kernel, weight, bias)
        assert is_deferred(y) and is_waited_for(weight) == is_waited_for(bias) == (not held)
        if held:
            holder[0][:], holder[1][:] = 5, 6
        change()
        np.testing.assert_array_equal(y.numpy(), expected)
        del holder
        weight.copy_(kept[0])
        bias.copy_(kept[1])


def test_memory_that_others_hold_is_read_at_once():
    x, kernel, weight, bias = (t.detach() for t in arguments())
    before = F.conv2d(x, kernel)
    for held in (before.numpy(), before.detach(), before[0], before.numpy()[0]):
        assert not is_deferred(F.batch_norm(before, None, None, weight, bias, training=True))
        del held
    assert is_deferred(F.batch_norm(before, None, None, weight, bias, training=True))


@pytest.mark.parametrize(
    "memory",
    [lambda t: t.numpy(), lambda t: t[0].numpy(), lambda t: t.detach().numpy(), np.asarray, np.from_dlpack, at_address],
    ids=["numpy", "of a view", "detached", "asarray", "dlpack", "address"],
)
def test_memory_that_is_given_away_later_may_be_written_to(memory):
    x, kernel, weight, bias = (t.detach() for t in arguments())
    before = F.conv2d(x, kernel)
    expected = F.batch_norm(before.clone(), None, None, weight, bias, training=True).numpy()
    y = F.batch_norm(before, None, None, weight, bias, training=True)
    assert is_deferred(y)
    memory(before)[...] = 7
    assert before[0, 0, 0, 0].item() == 7
    np.testing.assert_array_equal(y.numpy(), expected)


def test_hooks_see_the_values_in_between():
    given = arguments()
    y = normalized(*given)
    seen = []
    y.register_hook(lambda grad: seen.append(grad))
    y.retain_grad()
    F.relu(y).sum().backward()
    np.testing.assert_array_equal(seen[0].numpy(), (y.detach() > 0).float().numpy())
    np.testing.assert_array_equal(y.grad.numpy(), seen[0].numpy())


def test_gradients_in_between_may_be_asked_for_afterwards():
    given = arguments()
    y = normalized(*given)
    output = F.relu(y)
    assert output.grad_fn.name == "normalize_relu"
    (between,) = minigrad.autograd.grad(output.sum(), y, retain_graph=True)
    mask = (output.detach() > 0).float().numpy()
    np.testing.assert_array_equal(between.numpy(), mask)
    y.retain_grad()
    output.sum().backward()
    np.testing.assert_array_equal(y.grad.numpy(), mask)
    expected = arguments()
    z = normalized(*expected)
    z.sum()
    F.relu(z).sum().backward()
    for a, b in zip(given, expected, strict=True):
        np.testing.assert_array_equal(a.grad.numpy(), b.grad.numpy())


def test_a_hook_in_between_may_come_afterwards():
    y = normalized(*arguments())
    output = F.relu(y)
    seen = []
    y.register_hook(lambda grad: seen.append(grad.numpy()))
    output.sum().backward()
    np.testing.assert_array_equal(seen[0], (y.detach() > 0).float().numpy())


def test_new_data_takes_the_place_of_what_was_to_be_computed():
    y = normalized(*(t.detach() for t in arguments()))
    y.data = minigrad.full(y.shape, -3.0)
    assert F.relu(y).sum().item() == 0


def test_what_relu_saved_may_not_be_overwritten():
    output = F.relu(normalized(*arguments()))
    output.add_(1)
    with pytest.raises(RuntimeError, match="changed it in place"):
        output.sum().backward()


def test_in_evaluation_without_gradients():
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(inplace=True)).eval()
    model[1].running_mean.copy_(minigrad.arange(5.0) / 10)
    x = minigrad.randn(2, 3, 6, 6)
    expected = model(x).detach()
    with minigrad.no_grad():
        assert is_deferred(model[1](model[0](x)))
        np.testing.assert_array_equal(model(x).numpy(), expected.numpy())
    with minigrad.inference_mode():
        np.testing.assert_array_equal(model(x).numpy(), expected.numpy())


def run_residual(swapped, look, training=True):
    """ReLU of batch norm plus a shortcut: the result and all gradients."""
    given = arguments()
    shortcut = minigrad.randn(4, 4, 4, 5).permute(0, 3, 1, 2).detach().requires_grad_()
    y = normalized(*given) if training else F.batch_norm(F.conv2d(*given[:2]).detach(), *STATISTICS)
    assert is_deferred(y)
    if look:
        y.sum()
    total = shortcut + y if swapped else y + shortcut
    assert is_deferred(y) != look
    F.relu(total, inplace=True).square().sum().backward()
    return [total.detach().numpy(), y.detach().numpy(), *(t.grad.numpy() for t in (shortcut, *given) if t.grad is not None)]


STATISTICS = minigrad.zeros(5) + 0.1, minigrad.ones(5) * 2


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_a_residual_is_added_along(swapped, training):
    pairs = zip(run_residual(swapped, False, training), run_residual(swapped, True, training), strict=True)
    for together, apart in pairs:
        np.testing.assert_array_equal(together, apart)


@pytest.mark.parametrize("after", [lambda t: t, F.relu])
def test_derivatives_of_a_residual(after):
    given = arguments("float64")
    shortcut = minigrad.randn(4, 5, 4, 4, dtype="float64").requires_grad_()
    assert gradcheck(lambda s, *t: after(normalized(*t) + s), (shortcut, *given))
    assert gradgradcheck(lambda s, *t: after(normalized(*t) + s), (shortcut, *given))


@pytest.fixture
def launches(monkeypatch):
    """The last two arguments of every call of the kernel: whether it is to be positive, and what is added."""
    calls = []
    backend = type(minigrad.backends.backend_of(np.ones(1)))
    original = backend.normalize

    def normalize(self, *arguments):
        calls.append(arguments[-2:])
        return original(self, *arguments)

    monkeypatch.setattr(backend, "normalize", normalize)
    return calls


def block(given, kernel, inplace, in_place_sum, look=False):
    """A residual block whose shortcut is what it is given: the tape keeps that for two gradients."""
    h = F.relu(normalized(*given))
    y = F.batch_norm(F.conv2d(h, kernel, padding=1), None, None, training=True)
    if in_place_sum:
        y += h
    else:
        y = y + h
    if look:
        y.sum()
    return y, F.relu(y, inplace=inplace)


@pytest.mark.parametrize("in_place_sum", [False, True])
@pytest.mark.parametrize("inplace", [False, True])
def test_a_residual_block_is_one_kernel_at_its_end(launches, inplace, in_place_sum):
    found = []
    for look in (False, True):
        launches.clear()
        given, kernel = arguments(), minigrad.randn(5, 5, 3, 3).mul_(0.1).requires_grad_()
        minigrad.manual_seed(1)
        _, output = block(given, kernel, inplace, in_place_sum, look)
        assert [positive for positive, _ in launches] == [True, not look] and launches[1][1] is not None
        assert output.grad_fn.name == "relu" and output.grad_fn.next_functions[0][0].name == "add"
        (output * minigrad.arange(output.numel()).reshape(output.shape)).sum().backward()
        found.append([output.detach().numpy(), *(t.grad.numpy() for t in (*given, kernel))])
        minigrad.manual_seed(0)
    for together, apart in zip(*found, strict=True):
        np.testing.assert_array_equal(together, apart)


def test_a_sum_used_with_and_without_relu(launches):
    given, kernel = arguments(), minigrad.ones(5, 5, 3, 3) * 0.1
    y, output = block(given, kernel, False, False)
    assert is_deferred(y)
    np.testing.assert_array_equal(output.detach().numpy(), np.maximum(y.detach().numpy(), 0))
    assert not is_deferred(y)
    (output * 2 + y).sum().backward()
    assert all(t.grad is not None for t in given)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.mul_(2),
        lambda t: t[0].fill_(7),
        lambda t: t.detach().zero_(),
        lambda t: t.numpy().fill(3),
        lambda t: t.data.mul_(2),
        lambda t: minigrad.Tensor(t).mul_(2),
        lambda t: nn.Parameter(t, requires_grad=False).mul_(2),
        lambda t: set_data(t).mul_(2),
    ],
)
def test_a_change_of_either_term_comes_after_the_sum(change):
    for which in (0, 1):
        x, kernel, weight, bias = (t.detach() for t in arguments())
        convolved, shortcut = F.conv2d(x, kernel), minigrad.randn(4, 5, 4, 4)
        expected = F.batch_norm(convolved.clone(), None, None, training=True).numpy() + shortcut.numpy()
        total = F.batch_norm(convolved, None, None, training=True) + shortcut
        assert is_deferred(total)
        change((convolved, shortcut)[which])
        np.testing.assert_array_equal(F.relu(total).numpy(), np.maximum(expected, 0))


def test_a_sum_with_memory_that_others_hold_is_computed_at_once():
    given = [t.detach() for t in arguments()]
    memory = np.ones((4, 5, 4, 4), np.float32)
    total = normalized(*given) + minigrad.from_numpy(memory)
    assert not is_deferred(total)
    total = normalized(*given) + minigrad.from_numpy(memory)[:]
    assert not is_deferred(total)
    shortcut = minigrad.ones(4, 5, 4, 4)
    for held in (shortcut.numpy(), shortcut.detach(), shortcut[0]):
        assert not is_deferred(normalized(*given) + shortcut)
        del held
    assert is_deferred(normalized(*given) + shortcut)


@pytest.mark.parametrize(
    "memory",
    [
        lambda a: np.frombuffer(bytearray(a.tobytes()), np.float32).reshape(a.shape),
        lambda a: np.ndarray(a.shape, np.float32, bytearray(a.tobytes())),
    ],
    ids=["frombuffer", "buffer"],
)
def test_memory_that_is_no_arrays_is_read_at_once(memory):
    """Whoever holds a bytearray, or a memory map, may write to it, and nobody can count them."""
    given = [t.detach() for t in arguments()]
    term = minigrad.from_numpy(memory(np.ones((4, 5, 4, 4), np.float32)))
    assert not is_deferred(normalized(*given) + term)
    assert not is_deferred(F.batch_norm(term, None, None, training=True))


def test_what_the_tape_keeps_is_told_from_what_others_hold():
    shortcut = minigrad.ones(4, 5, 4, 4).requires_grad_()
    products = [shortcut * shortcut, shortcut.exp(), shortcut * 2]
    assert is_deferred(normalized(*arguments()) + shortcut)
    held = shortcut.array
    assert not is_deferred(normalized(*arguments()) + shortcut)
    del held, products
    assert is_deferred(normalized(*arguments()) + shortcut)


def test_hooks_on_a_sum_before_relu():
    given = arguments()
    total = normalized(*given) + minigrad.ones(4, 5, 4, 4)
    seen = []
    total.register_hook(seen.append)
    output = F.relu(total)
    output.sum().backward()
    np.testing.assert_array_equal(seen[0].numpy(), (output > 0).float().numpy())


def test_three_terms():
    given = [t.detach() for t in arguments()]
    shortcut = minigrad.randn(4, 5, 4, 4)
    expected = normalized(*given).numpy() + shortcut.numpy() + shortcut.numpy()
    np.testing.assert_array_equal((normalized(*given) + shortcut + shortcut).numpy(), expected)


def test_sums_that_no_kernel_makes():
    """A number, another shape, another dtype, the tensor itself, and another deferred one."""
    given = [t.detach() for t in arguments()]
    expected = normalized(*given).numpy()
    for other in (2, minigrad.ones(5, 1, 1), minigrad.ones(4, 5, 4, 4, dtype="float64")):
        value = other.numpy() if isinstance(other, minigrad.Tensor) else other
        np.testing.assert_array_equal((normalized(*given) + other).numpy(), expected + value)
    y = normalized(*given)
    np.testing.assert_array_equal((y + y).numpy(), expected + expected)
    np.testing.assert_array_equal((y + normalized(*given)).numpy(), expected + expected)
    np.testing.assert_array_equal((normalized(*given) + normalized(*given)).numpy(), expected + expected)


def test_a_hook_before_a_residual_sees_its_gradient():
    given = arguments()
    y = normalized(*given)
    seen = []
    y.register_hook(seen.append)
    (y + minigrad.ones(4, 5, 4, 4)).sum().backward()
    np.testing.assert_array_equal(seen[0].numpy(), np.ones((4, 5, 4, 4)))


def test_only_the_input_is_noted_in_evaluation():
    """Not a view of every image of the batch, each with a note of its own."""
    x = minigrad.randn(4, 3, 6, 6)
    with minigrad.no_grad():
        y = F.batch_norm(x, minigrad.zeros(3), minigrad.ones(3))
    assert is_deferred(y)
    assert [ref() for ref in x._version.waiting] == [y]


# --- along with a convolution ----------------------------------------------------------------------------------------------


@pytest.fixture
def convolutions(monkeypatch):
    """What is done along with every convolution: whether it is scaled, made positive and added to."""
    calls = []
    backend = type(minigrad.backends.backend_of(np.ones(1)))
    original = backend.conv2d_finished

    def conv2d_finished(self, *arguments):
        scale, _, positive, other = arguments[7:]
        calls.append((scale is not None, positive, other is not None))
        return original(self, *arguments)

    monkeypatch.setattr(backend, "conv2d_finished", conv2d_finished)
    return calls


def convolved(bias=True):
    x, kernel, values, _ = (t.detach() for t in arguments())
    return F.conv2d(x, kernel, values if bias else None)


STEPS = {
    "batch norm": lambda y, other: F.batch_norm(y, *STATISTICS),
    "ReLU": lambda y, other: F.relu(y),
    "ReLU in place": lambda y, other: F.relu(y, inplace=True),
    "sum": lambda y, other: y + other,
    "sum the other way round": lambda y, other: other + y,
    "sum in place": lambda y, other: y.add_(other),
    "sigmoid": lambda y, other: y.sigmoid(),
}


@pytest.mark.parametrize(
    ("steps", "together"),
    [
        (("batch norm",), [(True, False, False)]),
        (("ReLU",), [(False, True, False)]),
        (("batch norm", "ReLU in place"), [(True, True, False)]),
        (("batch norm", "sum", "ReLU"), [(True, True, True)]),
        (("batch norm", "sum in place", "ReLU in place"), [(True, True, True)]),
        (("sum the other way round", "ReLU"), [(False, True, True)]),
        (("sum", "batch norm"), [(False, False, True)]),
        (("sum", "sum"), [(False, False, True)]),
        (("batch norm", "batch norm"), [(True, False, False)]),
        (("ReLU", "batch norm"), [(False, True, False)]),
        (("sigmoid", "ReLU"), [(False, False, False)]),
    ],
)
def test_goes_along_with_a_convolution(steps, together, convolutions):
    """Where nothing is recorded; the same bits as one after the other."""
    other = minigrad.randn(4, 4, 4, 5).permute(0, 3, 1, 2).contiguous()
    found = {}
    for look in (False, True):
        with minigrad.no_grad():
            y = convolved()
            assert is_deferred(y) and y.shape == (4, 5, 4, 4) and y.ndim == 4 and y.dtype == np.float32 and not convolutions
            for step in steps:
                if look:
                    y.sum()
                y = STEPS[step](y, other)
        found[look] = y.numpy()
        if not look:
            assert convolutions == together
        convolutions.clear()
    np.testing.assert_array_equal(found[False], found[True])


def test_a_convolution_is_computed_again_once_for_each_tensor_in_between(convolutions):
    with minigrad.no_grad():
        y = convolved()
        results = [F.relu(y).numpy() for _ in range(4)]
        assert len(convolutions) == 2
        np.testing.assert_array_equal(results[0], results[3])
        np.testing.assert_array_equal(results[0], np.maximum(y.numpy(), 0))
        y = convolved()
        z = F.batch_norm(y, *STATISTICS)
        for _ in range(4):
            F.relu(z)
        assert len(convolutions) == 4
        np.testing.assert_array_equal(F.batch_norm(y, *STATISTICS).numpy(), z.numpy())
        assert len(convolutions) == 5


def test_what_has_been_computed_is_not_noted_any_more():
    x, kernel, bias, _ = (t.detach() for t in arguments())
    with minigrad.no_grad():
        kept = [F.relu(F.batch_norm(F.conv2d(x, kernel, bias), *STATISTICS), inplace=True) for _ in range(20)]
        kept += [F.batch_norm(F.conv2d(x, kernel, bias), *STATISTICS) for _ in range(3)]
    assert all(len(t._version.waiting) <= 6 for t in (x, kernel, bias))
    assert sum(map(is_deferred, kept)) == 3


def test_statistics_on_another_device_are_refused_at_once():
    mean, var = (t.to("meta") for t in STATISTICS)
    with minigrad.no_grad(), pytest.raises(RuntimeError, match="expected all tensors on one device, got input 0 on cpu"):
        F.batch_norm(convolved(), mean, var)


def test_batch_norm_that_is_recorded_after_a_convolution_that_is_not():
    with minigrad.no_grad():
        y = convolved()
    weight, bias = minigrad.ones(5).requires_grad_(), minigrad.zeros(5).requires_grad_()
    F.batch_norm(y, *STATISTICS, weight, bias).sum().backward()
    assert not is_deferred(y)
    np.testing.assert_allclose(bias.grad.numpy(), np.full(5, 64.0))
    np.testing.assert_allclose(weight.grad.numpy(), ((y.numpy() - 0.1) / np.sqrt(2 + 1e-5)).sum((0, 2, 3)), rtol=1e-4)


def test_a_step_that_overwrites_a_state_comes_after_it():
    param = minigrad.randn(5, 3, 3, 3).requires_grad_()
    optimizer = minigrad.optim.Adam([param])
    param.grad = minigrad.ones(5, 3, 3, 3)
    optimizer.step()
    state = next(t for t in optimizer.state[param].values() if isinstance(t, minigrad.Tensor) and t.ndim == 4)
    x = minigrad.randn(2, 3, 6, 6)
    with minigrad.no_grad():
        expected = F.conv2d(x, state.clone()).numpy()
        y = F.conv2d(x, state)
    assert is_deferred(y)
    del state
    optimizer.step()
    np.testing.assert_array_equal(y.numpy(), expected)


def test_a_recorded_convolution_is_computed_at_once():
    x, kernel, bias, _ = arguments()
    assert not is_deferred(F.conv2d(x, kernel, bias))
    with minigrad.no_grad():
        assert is_deferred(F.conv2d(x, kernel, bias))


@pytest.mark.parametrize("which", ["input", "weight", "bias"])
@pytest.mark.parametrize("held", ["array", "tensor"])
def test_a_convolution_sees_its_arguments_as_they_were(which, held):
    given = dict(zip(("input", "weight", "bias"), (t.detach() for t in arguments())))
    expected = F.conv2d(**given).numpy().copy()
    memory = given[which].numpy() if held == "array" else None
    with minigrad.no_grad():
        y = F.batch_norm(F.conv2d(**given), *STATISTICS)
        assert is_deferred(y)
        if memory is not None:
            memory[...] = 0
        else:
            given[which].zero_()
            assert not is_deferred(y)
    expected = F.batch_norm(minigrad.tensor(expected), *STATISTICS).numpy()
    np.testing.assert_array_equal(y.numpy(), expected)


def test_a_convolution_made_in_inference_mode_is_its_own():
    with minigrad.inference_mode():
        y = convolved()
        assert is_deferred(y)
    with minigrad.no_grad():
        output = F.relu(y)
    assert not output.is_inference() and not is_deferred(y)


def test_copies_and_attributes():
    y = normalized(*(t.detach() for t in arguments()))
    assert (y.numel(), y.nbytes, y.itemsize, y.element_size(), len(y), y.size(1)) == (320, 1280, 4, 4, 4, 5)
    assert y.is_floating_point() and y.device.type == "cpu" and not y.is_cuda and y.dim() == 4
    assert is_deferred(y)
    twin = copy.deepcopy(y)
    assert not is_deferred(y)
    np.testing.assert_array_equal(twin.numpy(), y.numpy())
    with pytest.raises(AttributeError, match="'Tensor' object has no attribute 'missing'"):
        y.missing  # noqa: B018


def run_in_place(look):
    """A residual block's sum, written into batch norm's result, with a look at that in between or without."""
    given = arguments()
    other = (minigrad.arange(4.0 * 5 * 4 * 4).reshape(4, 5, 4, 4) - 100).requires_grad_()
    y = normalized(*given)
    if look:
        y.sum()
    before, version = y, y._version.count if y._version is not None else 0
    y += other * 2
    assert y is before and y._version.count > version and y.grad_fn.name == "add"
    output = F.relu(y)
    (output * minigrad.arange(output.numel()).reshape(output.shape)).sum().backward()
    return [y.detach().numpy(), output.detach().numpy(), *(t.grad.numpy() for t in (*given, other))]


def test_added_to_in_place():
    for together, apart in zip(run_in_place(look=False), run_in_place(look=True), strict=True):
        np.testing.assert_allclose(together, apart, rtol=1e-6, atol=1e-6)
    assert normalized(*arguments())._deferred is not None


def test_added_to_in_place_in_one_kernel(launches):
    y = normalized(*arguments())
    y += minigrad.ones(4, 5, 4, 4)
    assert y.mean().item() != 0 and len(launches) == 1 and launches[0][1] is not None
    with minigrad.no_grad():
        x, kernel, weight, bias = arguments()
        z = normalized(x, kernel, weight, bias)
        z += 1
        z += z
        z.add_(minigrad.ones(5, 1, 1), alpha=2)
    np.testing.assert_allclose(
        z.numpy(), 2 * (normalized(x, kernel, weight, bias).detach().numpy() + 1) + 2, rtol=1e-5, atol=1e-5
    )


def test_a_gradient_kept_of_what_was_added_to():
    """retain_grad asks for the gradient of the values after the sum, as in PyTorch."""
    y = normalized(*arguments())
    y.retain_grad()
    y += minigrad.ones(4, 5, 4, 4)
    (y * 3).sum().backward()
    assert y.grad.tolist() == minigrad.full((4, 5, 4, 4), 3.0).tolist()
