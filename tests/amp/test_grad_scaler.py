"""GradScaler: step by step as PyTorch's, with gradients of inf and nan in between; what it refuses; and how often it waits."""

import warnings

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, nn, optim
from minigrad.amp import GradScaler
from minigrad.ops.optimizer import unscale_
from tests.fake_cupy import fake_cupy
from tests.strict_backend import strict_backend

SETTINGS = {"init_scale": 8.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2}


class Training:
    """Two optimizers of one parameter each, whose gradients are as wanted: here, or in torch."""

    def __init__(self, module, **settings):
        self.module = module
        self.params = [module.tensor([1.0, -2.0], requires_grad=True) for _ in range(2)]
        self.optimizers = [module.optim.SGD([param], lr=0.25, momentum=0.5) for param in self.params]
        self.scaler = module.amp.GradScaler("cpu", **{**SETTINGS, **settings})

    def step(self, *grads, unscale=False):
        """Losses with these gradients; None for an optimizer without a step."""
        for optimizer, param, grad in zip(self.optimizers, self.params, grads, strict=True):
            if grad is not None:
                optimizer.zero_grad()
                loss = (param * self.module.tensor(grad)).sum()
                self.scaler.scale(loss).backward()
                if unscale:
                    self.scaler.unscale_(optimizer)
                self.scaler.step(optimizer)
        self.scaler.update()

    def everything(self):
        return (
            [param.tolist() for param in self.params],
            [None if param.grad is None else param.grad.tolist() for param in self.params],
            self.scaler.state_dict(),
            self.scaler.get_scale(),
        )


INF, NAN = float("inf"), float("nan")
GRADS = [[1.0, 2.0], [0.5, -1.0], [INF, 1.0], [1.0, 1.0], [1.0, -INF], [NAN, 1.0], [1.0, 3.0], [2.0, 1.0], [0.0, 1.0]]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of products with inf
@pytest.mark.parametrize("settings", [{}, {"growth_interval": 1, "growth_factor": 1.7}, {"backoff_factor": 0.3}], ids=str)
@pytest.mark.parametrize("unscale", [False, True])
def test_step_by_step_as_torch(torch, settings, unscale):
    ours, theirs = Training(mg, **settings), Training(torch, **settings)
    for i, grad in enumerate(GRADS):
        second = None if i % 3 == 2 else GRADS[i - 2]
        for training in (ours, theirs):
            training.step(grad, second, unscale=unscale)
        np.testing.assert_equal(ours.everything(), theirs.everything())


def test_the_largest_scale(torch):
    found = []
    for module in (mg, torch):
        training = Training(module, init_scale=2.0**126, growth_interval=1)
        for _ in range(4):
            training.step([1e-30, 0.0], None)
        found.append(training.everything())
    assert found[0] == found[1] and found[0][-1] == 2.0**127


def test_states_go_between(torch):
    ours, theirs = Training(mg), Training(torch)
    for training in (ours, theirs):
        training.step([1.0, 1.0], None)
    ours.scaler.load_state_dict(theirs.scaler.state_dict() | {"scale": 64.0})
    assert ours.scaler.get_scale() == 64.0
    theirs.scaler.load_state_dict(ours.scaler.state_dict())
    fresh = GradScaler("cpu")
    fresh.load_state_dict(ours.scaler.state_dict())
    assert fresh.state_dict() == ours.scaler.state_dict() == theirs.scaler.state_dict()
    assert fresh.scale(mg.tensor(2.0)).item() == 128.0
    with pytest.raises(RuntimeError, match="got an empty one"):
        fresh.load_state_dict({})


def test_a_state_that_lacks_something_changes_nothing():
    scaler = GradScaler("cpu", init_scale=8.0)
    before = scaler.state_dict()
    lacking = {name: value for name, value in before.items() if name != "growth_interval"} | {"scale": 2.0}
    with pytest.raises(ValueError, match=r"expected a state with scale, growth_factor, .*, got no growth_interval"):
        scaler.load_state_dict(lacking)
    assert scaler.state_dict() == before


def test_a_new_scale(torch):
    for module in (mg, torch):
        training = Training(module)
        training.step([1.0, 1.0], None)
        scale = training.scaler._scale
        training.scaler.update(3.0)
        assert training.scaler.get_scale() == 3.0
        training.scaler.update(module.tensor(5.0))
        assert training.scaler.get_scale() == 5.0 and training.scaler._scale is scale


def test_outputs_of_any_structure():
    scaler = GradScaler("cpu", init_scale=4.0)
    a, b = mg.tensor(1.0), mg.tensor([2.0])
    assert scaler.scale([a, (b, a)]) == [mg.tensor(4.0), (mg.tensor([8.0]), mg.tensor(4.0))]
    assert [t.item() for t in scaler.scale(t for t in (a, b))] == [4.0, 8.0]
    with pytest.raises(TypeError, match="expected a Tensor or an iterable of them, got float"):
        scaler.scale(1.0)


def test_clipping_between():
    w = mg.tensor([3.0, 4.0], requires_grad=True)
    optimizer, scaler = optim.SGD([w], lr=1.0), GradScaler("cpu")
    scaler.scale((w * w).sum() / 2).backward()
    scaler.unscale_(optimizer)
    assert nn.utils.clip_grad_norm_([w], 1.0).item() == 5.0
    scaler.step(optimizer)
    np.testing.assert_allclose(w.detach().numpy(), [2.4, 3.2], rtol=1e-5)


def test_small_gradients_are_not_lost():
    w = mg.tensor([[1.0]], requires_grad=True)
    optimizer, scaler = optim.SGD([w], lr=1.0), GradScaler("cpu")
    with mg.autocast("cpu"):
        loss = (mg.ones(1, 1) @ w).float() * 1e-8
    scaler.scale(loss.sum()).backward()
    scaler.unscale_(optimizer)
    np.testing.assert_allclose(w.grad.numpy(), 1e-8, rtol=1e-3)


def test_what_step_passes_on():
    class Recorder(optim.SGD):
        def step(self, *args, **kwargs):
            return args, kwargs

    w = mg.tensor([1.0], requires_grad=True)
    optimizer = Recorder([w], lr=1.0)
    scaler = GradScaler("cpu")
    scaler.scale(w.sum()).backward()
    assert scaler.step(optimizer, 1, a=2) == ((1,), {"a": 2})
    with pytest.raises(RuntimeError, match="no closure"):
        scaler.step(optimizer, closure=lambda: None)
    assert GradScaler("cpu", enabled=False).step(optimizer, 1, a=2) == ((1,), {"a": 2})


def test_the_order_of_calls():
    w = mg.tensor([1.0], requires_grad=True)
    optimizer, scaler = optim.SGD([w], lr=1.0), GradScaler("cpu", init_scale=2.0)
    for call in (lambda: scaler.unscale_(optimizer), lambda: scaler.step(optimizer), scaler.update):
        with pytest.raises(RuntimeError, match=r"expected scale\(loss\) before, got none"):
            call()
    scaler.scale(w.sum())
    with pytest.raises(RuntimeError, match="expected gradients, got none"):
        scaler.step(optimizer)
    scaler = GradScaler("cpu", init_scale=2.0)
    scaler.scale(w.sum()).backward()
    with pytest.raises(RuntimeError, match="got neither since the last"):
        scaler.update()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match=r"after unscale_\(\) for this optimizer"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    assert w.item() == 0.0
    with pytest.raises(RuntimeError, match=r"after step\(\) for this optimizer"):
        scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match=r"expected update\(\) first, after step"):
        scaler.step(optimizer)
    scaler.update()
    scaler.scale(w.sum()).backward()
    scaler.step(optimizer)


def test_gradients_of_halves_are_refused():
    w = mg.ones(2, dtype="float16", requires_grad=True)
    optimizer, scaler = optim.SGD([w], lr=1.0), GradScaler("cpu")
    scaler.scale(w.sum()).backward()
    with pytest.raises(ValueError, match="expected parameters of float32, got a gradient of float16"):
        scaler.step(optimizer)


def test_arguments():
    with pytest.raises(ValueError, match=r"expected growth_factor above 1, got 1.0"):
        GradScaler("cpu", growth_factor=1.0)
    with pytest.raises(ValueError, match=r"expected backoff_factor below 1, got 1.0"):
        GradScaler("cpu", backoff_factor=1.0)


def test_disabled():
    scaler = GradScaler(enabled=False)
    loss = mg.tensor(1.0)
    assert scaler.scale(loss) is loss and scaler.state_dict() == {} and scaler.get_scale() == 1.0
    scaler.unscale_(None)
    scaler.update()
    scaler.load_state_dict({})
    assert not scaler.is_enabled()


def test_without_a_gpu(monkeypatch):
    monkeypatch.setattr("minigrad.amp.grad_scaler.is_available", lambda: False)
    with pytest.warns(UserWarning, match="there is no CUDA device"):
        assert not GradScaler().is_enabled()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GradScaler("cpu"), GradScaler(enabled=False)


def test_gradients_changed_in_place_are_noted():
    w = mg.tensor([2.0], requires_grad=True)
    optimizer, scaler = optim.SGD([w], lr=1.0), GradScaler("cpu")
    scaler.scale((w * w).sum()).backward()
    product = w.grad * w
    with pytest.raises(RuntimeError, match="unscale_ at"):
        scaler.unscale_(optimizer)
        product.sum().backward()


def test_the_host_waits_once_a_step(monkeypatch):
    """On a GPU: in step, for whether it is skipped; not in unscale_, and not in update unless the scale changes."""
    with fake_cupy():
        params = [mg.ones(3, device="cuda", requires_grad=True) for _ in range(5)]
        optimizer = optim.SGD(params, lr=0.5)
        scaler = GradScaler()
        waits = []
        item = Tensor.item
        monkeypatch.setattr(Tensor, "item", lambda self: waits.append(self.shape) or item(self))
        for bad, expected in ((1.0, [0, 1, 1]), (INF, [0, 1, 2])):
            optimizer.zero_grad()
            waits.clear()
            counts = []
            for param in params:
                scaler.scale((param * bad).sum()).backward()
            for call in (scaler.unscale_, scaler.step, lambda optimizer: scaler.update()):
                call(optimizer)
                counts.append(len(waits))
            assert counts == expected
        monkeypatch.undo()
        assert [param.tolist() for param in params] == [[0.5] * 3] * 5 and scaler.get_scale() == 2.0**15


def test_parameters_on_two_devices():
    with fake_cupy():
        params = [mg.ones(2, requires_grad=True), mg.ones(2, device="cuda", requires_grad=True)]
        optimizer, scaler = optim.SGD(params, lr=0.5), GradScaler(init_scale=4.0)
        for bad in ((1.0, 1.0), (1.0, INF), (INF, 1.0)):
            optimizer.zero_grad()
            for loss in scaler.scale([(param * factor).sum() for param, factor in zip(params, bad)]):
                loss.backward()
            scaler.step(optimizer)
            scaler.update()
        assert [param.tolist() for param in params] == [[0.5, 0.5]] * 2 and scaler.get_scale() == 1.0


def test_the_generic_kernel():
    with strict_backend():
        grads = [mg.tensor(values, device="strict") for values in ([3.0, 6.0], 1.5, [[]])]
        scale = mg.tensor(3.0, device="strict")
        found = unscale_(grads, scale)
        assert (found.shape, found.dtype, found.item()) == ((), "float32", 0)
        assert [grad.tolist() for grad in grads] == [[1.0, 2.0], 0.5, [[]]]
        assert unscale_([grads[0], mg.tensor([-INF], device="strict")], scale).item() == 1
        assert unscale_([mg.tensor(NAN, device="strict"), grads[0]], scale).item() == 1
        with pytest.raises(TypeError, match="expected floating gradients, got one of dtype int64"):
            unscale_([mg.tensor([1], device="strict")], scale)


def test_a_closure_is_refused_in_any_place():
    w = mg.ones(1, requires_grad=True)
    optimizer = mg.optim.SGD([w], lr=0.1)
    scaler = mg.amp.GradScaler("cpu")
    scaler.scale(w.sum()).backward()
    for arguments in (((lambda: w.sum()),), ()):
        with pytest.raises(RuntimeError, match="expected no closure"):
            scaler.step(optimizer, *arguments, **({} if arguments else {"closure": lambda: w.sum()}))


@pytest.mark.parametrize("device", ["gpu", "cuda:7"])
def test_what_is_no_kind_of_device(device):
    with pytest.raises(ValueError, match=f"GradScaler: expected a device_type such as 'cuda' or 'cpu', got '{device}'"):
        mg.amp.GradScaler(device)
