"""no_grad, enable_grad, set_grad_enabled and inference_mode: as contexts, as decorators, around generators, in threads."""

import threading

import pytest

import minigrad
from minigrad import (
    autograd,
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
    tensor,
)

DECORATORS = [no_grad(), no_grad, inference_mode(), inference_mode, lambda function: set_grad_enabled(False)(function)]


@pytest.fixture(autouse=True)
def back_to_normal():
    yield
    assert is_grad_enabled()
    assert not is_inference_mode_enabled()


@pytest.fixture
def x():
    return tensor([1.0, 2.0], requires_grad=True)


def recorded(x):
    return (x * 2).requires_grad


def test_contexts_nest_and_restore(x):
    assert recorded(x)
    with no_grad():
        assert not recorded(x)
        with enable_grad():
            assert recorded(x)
            with set_grad_enabled(False):
                assert not recorded(x)
            assert recorded(x)
        assert not recorded(x)
    assert recorded(x)


@pytest.mark.parametrize("mode", [no_grad, enable_grad, inference_mode, lambda: set_grad_enabled(False)])
def test_an_exception_restores(mode):
    with pytest.raises(KeyError), mode():
        raise KeyError
    with no_grad():
        with pytest.raises(KeyError), mode():
            raise KeyError
        assert not is_grad_enabled()


def test_set_grad_enabled_acts_when_called(x):
    set_grad_enabled(False)
    assert not recorded(x)
    set_grad_enabled(True)
    assert recorded(x)


@pytest.mark.parametrize("mode", [True, False])
def test_set_grad_enabled_as_context(mode):
    with set_grad_enabled(mode):
        assert is_grad_enabled() is mode
    assert is_grad_enabled()


@pytest.mark.parametrize("decorate", DECORATORS)
def test_decorators(x, decorate):
    @decorate
    def function(x, *, factor):
        """What it does."""
        if factor > 1:
            return function(x, factor=factor - 1)
        return (x * factor).requires_grad, is_grad_enabled()

    assert is_grad_enabled()
    assert function(x, factor=3) == (False, False)
    assert function.__name__ == "function"
    assert function.__doc__ == "What it does."
    assert is_grad_enabled()


def test_enable_grad_as_decorator(x):
    @enable_grad
    def function():
        return recorded(x)

    with no_grad():
        assert function()
        assert not is_grad_enabled()


def test_a_decorated_function_that_raises():
    @no_grad()
    def function():
        raise KeyError

    with pytest.raises(KeyError):
        function()


def test_decorating_does_not_switch():
    set_grad_enabled(False)(lambda: None)
    assert is_grad_enabled()


def test_methods_can_be_decorated():
    class Model:
        @no_grad()
        def evaluate(self, value):
            return value, is_grad_enabled()

    assert Model().evaluate(3) == (3, False)


@pytest.mark.parametrize("decorate", DECORATORS)
def test_generators_run_in_the_mode_and_their_callers_do_not(decorate):
    seen = []

    @decorate
    def generator(n):
        for i in range(n):
            seen.append(is_grad_enabled())
            yield i
        return "end"

    for _ in generator(2):
        assert is_grad_enabled()
        seen.append("caller")
    assert seen == [False, "caller", False, "caller"]


def test_generators_keep_the_whole_protocol():
    events = []

    @no_grad()
    def generator():
        try:
            answer = yield "question"
            events.append((answer, is_grad_enabled()))
            try:
                yield "again"
            except KeyError:
                events.append(("caught", is_grad_enabled()))
            yield "last"
        finally:
            events.append(("closed", is_grad_enabled()))
        return "result"

    steps = generator()
    assert next(steps) == "question"
    assert steps.send("answer") == "again"
    assert steps.throw(KeyError()) == "last"
    assert is_grad_enabled()
    steps.close()
    assert events == [("answer", False), ("caught", False), ("closed", False)]

    @no_grad()
    def returning():
        yield 1
        return "result"

    def delegating():
        return (yield from returning())

    steps = delegating()
    next(steps)
    with pytest.raises(StopIteration) as stopped:
        next(steps)
    assert stopped.value.value == "result"


def test_an_exception_from_a_generator():
    @no_grad()
    def generator():
        yield 1
        raise KeyError

    steps = generator()
    next(steps)
    with pytest.raises(KeyError):
        next(steps)


def test_every_thread_has_its_own_mode():
    inside, leave = threading.Event(), threading.Event()
    seen = []

    def worker():
        seen.append(is_grad_enabled())
        with no_grad(), inference_mode():
            inside.set()
            leave.wait(10)
            seen.append(is_grad_enabled())

    with no_grad():
        thread = threading.Thread(target=worker)
        thread.start()
        assert inside.wait(10)
    assert is_grad_enabled()
    assert not is_inference_mode_enabled()
    leave.set()
    thread.join()
    assert seen == [True, False]


# --- inference mode ----------------------------------------------------------------------------------------------------


def test_inference_tensors(x):
    with inference_mode():
        y = x * 2
        assert y.is_inference()
        assert is_inference_mode_enabled()
    assert y.is_inference()
    assert not y.requires_grad
    assert not x.is_inference()
    assert not (y * 2).is_inference()
    assert not y.clone().is_inference()


def test_nothing_is_recorded_in_inference_mode(x):
    with inference_mode():
        with enable_grad():
            assert not recorded(x)
        with set_grad_enabled(True):
            assert not recorded(x)
        assert not is_grad_enabled()
    assert recorded(x)


def test_inference_mode_can_be_turned_off_again(x):
    with inference_mode():
        with inference_mode(False):
            assert not is_inference_mode_enabled()
            assert not (tensor([1.0]) * 2).is_inference()
        assert is_inference_mode_enabled()
    with inference_mode(False):
        assert recorded(x)


@pytest.mark.parametrize("outside", [inference_mode, no_grad])
def test_inference_mode_turned_off_records(x, outside):
    with outside():
        with inference_mode(False):
            assert is_grad_enabled()
            assert recorded(x)
        assert not is_grad_enabled()


def test_inference_tensors_are_never_saved_for_a_gradient(x):
    with inference_mode():
        y = tensor([3.0, 4.0])
    with pytest.raises(RuntimeError, match=r"mul: an input was made in inference_mode .* \.clone\(\)"):
        x * y
    (x * y.clone()).sum().backward()
    assert x.grad.tolist() == [3.0, 4.0]
    assert (x + y).requires_grad, "add saves nothing"


def test_inference_tensors_do_not_change_outside():
    with inference_mode():
        y = tensor([3.0, 4.0])
        y.add_(1)
        y.view(2, 1).mul_(2)
    assert y.tolist() == [8.0, 10.0]
    with pytest.raises(RuntimeError, match="add_: a tensor made in inference_mode"):
        y.add_(1)
    with pytest.raises(RuntimeError, match="requires_grad_: expected a tensor made outside inference_mode"):
        y.requires_grad_()


def test_ordinary_tensors_may_change_inside(x):
    y = x * 2
    z = y * y
    with inference_mode():
        y.mul_(5)
    assert not y.is_inference()
    with pytest.raises(RuntimeError, match="changed it in place"):
        z.sum().backward()


def test_gradients_need_no_recording_but_a_graph(x):
    y = (x * x).sum()
    with inference_mode():
        (gradient,) = autograd.grad(y, x)
    assert gradient.tolist() == [2.0, 4.0]
    with no_grad():
        assert not (x * x).sum().requires_grad
    assert minigrad.is_grad_enabled()


@pytest.mark.parametrize("mode", [minigrad.no_grad, minigrad.enable_grad, minigrad.inference_mode])
def test_one_object_entered_twice(mode):
    before = minigrad.is_grad_enabled(), minigrad.is_inference_mode_enabled()
    context = mode()
    with context, context:
        pass
    assert (minigrad.is_grad_enabled(), minigrad.is_inference_mode_enabled()) == before
