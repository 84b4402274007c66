"""Hooks around forward and backward."""

import copy
import gc
import pickle
import weakref
from typing import NamedTuple

import pytest

import minigrad as mg
from minigrad import nn


class Double(nn.Module):
    def forward(self, x, *, extra=0.0):
        return x * 2 + extra


class Pair(nn.Module):
    def forward(self, x, factor, y):
        return x * factor, y * x


class Named(NamedTuple):
    first: object
    second: object


class Checked(tuple):
    def __new__(cls, first, second):
        return super().__new__(cls, (first, second))


class Plain(tuple):
    pass


class TestForward:
    def test_order_and_arguments(self):
        module = Double()
        calls = []
        module.register_forward_pre_hook(lambda m, args: calls.append(("before", m, len(args))))
        module.register_forward_hook(lambda m, args, out: calls.append(("after", m, len(args), out.item())))
        assert module(mg.tensor(3.0)).item() == 6
        assert calls == [("before", module, 1), ("after", module, 1, 6.0)]

    def test_replacing(self):
        module = Double()
        module.register_forward_pre_hook(lambda m, args: args[0] + 1)
        module.register_forward_pre_hook(lambda m, args: (args[0] * 10,))
        module.register_forward_hook(lambda m, args, out: out + args[0])
        assert module(mg.tensor(1.0)).item() == 60

    def test_prepend(self):
        module = Double()
        module.register_forward_pre_hook(lambda m, args: args[0] + 1)
        module.register_forward_pre_hook(lambda m, args: args[0] * 10, prepend=True)
        module.register_forward_hook(lambda m, args, out: out + 1)
        module.register_forward_hook(lambda m, args, out: out * 0, prepend=True)
        assert module(mg.tensor(1.0)).item() == 1

    def test_with_keyword_arguments(self):
        module = Double()
        seen = []
        module.register_forward_pre_hook(lambda m, args, kwargs: (args, {"extra": kwargs["extra"] + 1}), with_kwargs=True)
        module.register_forward_hook(lambda m, args, kwargs, out: seen.append(kwargs), with_kwargs=True)
        assert module(mg.tensor(1.0), extra=5).item() == 8
        assert seen == [{"extra": 6}]

    def test_a_keyword_hook_must_return_a_pair(self):
        module = Double()
        module.register_forward_pre_hook(lambda m, args, kwargs: args[0], with_kwargs=True)
        with pytest.raises(RuntimeError, match=r"Double: expected a forward pre-hook with_kwargs to return None or a pair"):
            module(mg.tensor(1.0))

    def test_removing(self):
        module = Double()
        handle = module.register_forward_hook(lambda m, args, out: out * 100)
        with module.register_forward_hook(lambda m, args, out: out + 1):
            assert module(mg.tensor(1.0)).item() == 201
        assert module(mg.tensor(1.0)).item() == 200
        handle.remove()
        handle.remove()
        assert module(mg.tensor(1.0)).item() == 2

    def test_a_hook_may_remove_itself(self):
        module = Double()
        handle = module.register_forward_hook(lambda m, args, out: handle.remove())
        module(mg.tensor(1.0))
        assert module(mg.tensor(1.0)).item() == 2

    def test_hooks_must_be_callable(self):
        with pytest.raises(TypeError, match="Double: expected a hook that can be called, got int"):
            Double().register_forward_hook(3)


class TestBackward:
    def test_gradients_are_seen(self):
        module = Pair()
        seen = []
        module.register_full_backward_pre_hook(lambda m, grad_output: seen.append(grad_output))
        module.register_full_backward_hook(lambda m, grad_input, grad_output: seen.append((grad_input, grad_output)))
        x, y = mg.tensor(3.0, requires_grad=True), mg.tensor(5.0)
        first, second = module(x, 2.0, y)
        (first * 7 + second).backward()
        assert [g.item() for g in seen[0]] == [7.0, 1.0]
        (grad_x, grad_factor, grad_y), grad_output = seen[1]
        assert grad_x.item() == x.grad.item() == 7 * 2 + 5
        assert grad_factor is None and grad_y is None
        assert [g.item() for g in grad_output] == [7.0, 1.0]

    def test_gradients_that_do_not_come(self, torch):
        found = []
        for library in (mg, torch):
            module = type("Pair", (library.nn.Module,), {"forward": Pair.forward})()
            seen = []
            module.register_full_backward_pre_hook(lambda m, grad_output, seen=seen: seen.append(grad_output))
            module.register_full_backward_hook(lambda m, *grads, seen=seen: seen.extend(grads))
            x, y = (library.tensor(number, requires_grad=True) for number in (3.0, 5.0))
            module(x, 2.0, y)[0].backward()
            seen.append((x.grad, y.grad))
            found.append([[grad if grad is None else grad.item() for grad in grads] for grads in seen])
        assert found[0] == found[1] == [[1.0, None], [2.0, None, 0.0], [1.0, None], [2.0, 0.0]]

    @pytest.mark.parametrize("make", [Named, Checked, lambda *pair: Plain(pair), lambda *pair: pair, lambda *pair: list(pair)])
    @pytest.mark.parametrize("requires_grad", [True, False])
    def test_the_result_stays_what_it_is(self, make, requires_grad):
        class Two(nn.Module):
            def forward(self, x):
                return make(x * 2, "a word")

        module = Two()
        seen = []
        module.register_full_backward_hook(lambda m, grad_input, grad_output: seen.append(grad_output))
        x = mg.tensor(3.0, requires_grad=requires_grad)
        result = module(x)
        assert type(result) is type(make(0, 0)) and result[0].item() == 6.0 and result[1] == "a word"
        if requires_grad:
            result[0].backward()
            assert x.grad.item() == 2.0 and [grad and grad.item() for grad in seen[0]] == [1.0, None]

    @pytest.mark.parametrize("hooked", [0, 1])
    def test_what_went_in_or_out_is_not_written_to(self, hooked):
        model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True))
        model[hooked].register_full_backward_hook(lambda *args: None)
        with pytest.raises(RuntimeError, match=r"relu_: .* module with backward hooks.* write to its \.clone\(\)"):
            model(mg.ones(1, 2))
        with mg.no_grad():
            model(mg.ones(1, 2))

    def test_replacing(self):
        module = Double()
        module.register_full_backward_pre_hook(lambda m, grad_output: (grad_output[0] * 10,))
        module.register_full_backward_hook(lambda m, grad_input, grad_output: grad_input[0] + grad_output[0])
        x = mg.tensor(1.0, requires_grad=True)
        module(x).backward()
        assert x.grad.item() == 30

    def test_replacing_several(self):
        module = Pair()
        module.register_full_backward_hook(lambda m, grad_input, grad_output: (grad_input[2], None, grad_input[0]))
        x, y = mg.tensor(3.0, requires_grad=True), mg.tensor(5.0, requires_grad=True)
        first, second = module(x, 2.0, y)
        (first + second).backward()
        assert (x.grad.item(), y.grad.item()) == (3.0, 7.0)

    def test_the_number_of_gradients_must_fit(self):
        module = Double()
        module.register_full_backward_hook(lambda m, grad_input, grad_output: (grad_input[0], grad_input[0]))
        out = module(mg.tensor(1.0, requires_grad=True))
        with pytest.raises(RuntimeError, match="backward hook: expected None or 1 gradients, got 2"):
            out.backward()

    def test_without_an_input_that_requires_grad(self):
        layer = nn.Linear(2, 1)
        seen = []
        layer.register_full_backward_hook(lambda m, grad_input, grad_output: seen.append((grad_input, grad_output[0].shape)))
        layer(mg.ones(3, 2)).sum().backward()
        assert seen == [((None,), (3, 1))]
        assert layer.weight.grad is not None

    def test_gradients_are_what_they_are_without_hooks(self):
        x = mg.randn(4, 3, requires_grad=True)
        model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
        model(x).square().sum().backward()
        expected = [x.grad, *(p.grad for p in model.parameters())]
        x.grad = None
        model.zero_grad()
        for layer in model:
            layer.register_full_backward_hook(lambda m, grad_input, grad_output: None)
        model(x).square().sum().backward()
        for got, want in zip([x.grad, *(p.grad for p in model.parameters())], expected, strict=True):
            assert got.tolist() == want.tolist()

    def test_second_derivatives_pass(self):
        module = Double()
        module.register_full_backward_hook(lambda m, grad_input, grad_output: (grad_input[0] * 3,))
        x = mg.tensor(2.0, requires_grad=True)
        (first,) = mg.autograd.grad(module(x).square(), x, create_graph=True)
        (second,) = mg.autograd.grad(first, x)
        assert (first.item(), second.item()) == (3 * 8 * 2.0, 3 * 3 * 8.0)  # the second walk goes through the module again

    def test_nothing_is_recorded_where_nothing_is(self):
        module = Double()
        module.register_full_backward_hook(lambda *args: None)
        with mg.no_grad():
            assert not module(mg.tensor(1.0, requires_grad=True)).requires_grad
        assert not module(mg.tensor(1.0)).requires_grad

    def test_no_cycle_is_left(self):
        module = Double()
        module.register_full_backward_hook(lambda *args: None)
        gc.collect()
        gc.disable()
        try:
            x = mg.tensor(1.0, requires_grad=True)
            out = module(x)
            node = weakref.ref(out.grad_fn)
            out.backward()
            del out
            assert node() is None
        finally:
            gc.enable()


def add_one(module, args, out):
    return out + 1


def test_hooks_are_copied_and_pickled_with_the_module():
    module = Double()
    module.register_forward_hook(add_one)
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        twin.register_forward_hook(lambda m, args, out: out * 10)
        assert twin(mg.tensor(1.0)).item() == 30
    assert module(mg.tensor(1.0)).item() == 3
