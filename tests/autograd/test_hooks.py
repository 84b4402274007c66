"""Hooks on tensors and on nodes: what they see, what they change, in which order, and that they go away."""

import gc
import weakref

import pytest

import minigrad
from minigrad import autograd, tensor


@pytest.fixture
def x():
    return tensor([1.0, 2.0], requires_grad=True)


def noting(seen, label=None):
    """A hook that notes what it gets, and returns nothing."""

    def hook(grad):
        seen.append(grad.tolist() if label is None else label)

    return hook


def test_a_hook_on_a_leaf_sees_the_whole_gradient_once(x):
    seen = []
    x.register_hook(noting(seen))
    (x * 2 + x * 3).sum().backward()
    assert seen == [[5.0, 5.0]]


def test_a_hook_on_a_result_sees_the_whole_gradient_once(x):
    seen = []
    y = x * 2
    y.register_hook(noting(seen))
    (y * 3 + y * 4).sum().backward()
    assert seen == [[7.0, 7.0]]
    assert x.grad.tolist() == [14.0, 14.0]


def test_a_hook_may_replace_the_gradient(x):
    y = x * 2
    y.register_hook(lambda grad: grad * 10)
    x.register_hook(lambda grad: grad + 1)
    y.sum().backward()
    assert x.grad.tolist() == [21.0, 21.0]


def test_hooks_run_in_the_order_of_registration(x):
    y = x * 2
    y.register_hook(lambda grad: grad + 1)
    y.register_hook(lambda grad: grad * 10)
    y.sum().backward()
    assert x.grad.tolist() == [40.0, 40.0]


@pytest.mark.parametrize("make", [lambda x: x, lambda x: x * 2], ids=["leaf", "result"])
def test_a_removed_hook_is_gone(x, make):
    seen = []
    y = make(x)
    handle = y.register_hook(noting(seen))
    handle.remove()
    handle.remove()
    with y.register_hook(noting(seen)):
        pass
    (y * 2).sum().backward()
    assert seen == []


def test_a_hook_may_remove_itself(x):
    seen = []

    def hook(grad):
        seen.append(grad)
        handle.remove()

    handle = x.register_hook(hook)
    for _ in range(2):
        (x * 2).sum().backward()
    assert len(seen) == 1


@pytest.mark.parametrize("replaced", [1.0, tensor([1.0]), [1.0, 2.0]])
def test_what_a_hook_returns_must_fit(x, replaced):
    x.register_hook(lambda grad: replaced)
    with pytest.raises(RuntimeError, match=r"hook: expected None or a gradient of shape \(2,\)"):
        (x * 2).sum().backward()


@pytest.mark.parametrize("inside", [False, True])
def test_what_a_hook_returns_must_have_the_dtype(x, inside):
    y = x * 2
    (y if inside else x).register_hook(lambda grad: grad.half())
    with pytest.raises(RuntimeError, match=f"hook: expected None or .* {x.dtype} on cpu, got one of .* float16 on cpu"):
        y.sum().backward()
    assert x.grad is None


def test_a_retained_gradient_is_chosen_too(x):
    y = x * 2
    y.retain_grad()
    for times in (1, 2):
        (y * y).sum().backward(inputs=[y, x], retain_graph=True)
        assert y.grad.tolist() == [times * 2 * value for value in y.tolist()]
        assert x.grad.tolist() == [times * 4 * value for value in y.tolist()]


def test_hooks_need_a_callable_and_a_tensor_that_requires_grad(x):
    with pytest.raises(TypeError, match="register_hook: expected a callable, got int"):
        x.register_hook(3)
    with pytest.raises(RuntimeError, match="register_hook: expected a tensor that requires grad"):
        tensor([1.0]).register_hook(print)
    with pytest.raises(RuntimeError, match="retain_grad: expected a tensor that requires grad"):
        tensor([1.0]).retain_grad()
    for wrong in (tensor([1.0]), x * 2):
        with pytest.raises(RuntimeError, match="register_post_accumulate_grad_hook: expected a leaf"):
            wrong.register_post_accumulate_grad_hook(print)


def test_hooks_run_in_grad_and_with_chosen_inputs(x):
    seen = []
    y = x * 2
    x.register_hook(noting(seen, "x"))
    y.register_hook(noting(seen, "y"))
    autograd.grad((y * 3).sum(), x)
    assert seen == ["y", "x"]
    seen.clear()
    (found,) = autograd.grad((x * 2).sum() + (y * 3).sum(), y)
    assert seen == ["y"]
    y2 = x * 2
    y2.register_hook(lambda grad: grad * 10)
    (found,) = autograd.grad((y2 * 3).sum(), y2)
    assert found.tolist() == [30.0, 30.0]


def test_hooks_on_one_of_several_outputs(x):
    seen = []
    first, second = x.unbind()
    first.register_hook(lambda grad: grad * 10)
    second.register_hook(noting(seen))
    (first + second * 2).backward()
    assert seen == [2.0]
    assert x.grad.tolist() == [10.0, 2.0]


def test_a_hook_whose_tensor_gets_no_gradient_does_not_run(x):
    seen = []
    first, second = x.unbind()
    second.register_hook(noting(seen))
    first.backward()
    assert seen == []


def test_hooks_are_recorded_with_create_graph(x):
    y = x * x
    with y.register_hook(lambda grad: grad * grad):
        (first,) = autograd.grad((y * y).sum(), x, create_graph=True)
    # the hook turns 2y into 4y², so that x gets 8x⁵
    assert first.tolist() == [8.0, 8.0 * 32]
    (second,) = autograd.grad(first.sum(), x)
    assert second.tolist() == pytest.approx([40.0, 40.0 * 16])


def test_hooks_see_the_value_they_were_registered_on(x):
    before, after = [], []
    y = x * 1
    y.register_hook(noting(before))
    y.mul_(3)
    y.register_hook(noting(after))
    (y * 7).sum().backward()
    assert after == [[7.0, 7.0]]
    assert before == [[21.0, 21.0]]


# --- retain_grad -------------------------------------------------------------------------------------------------------


def test_retain_grad(x):
    y = x * 2
    y.retain_grad()
    y.retain_grad()
    (y * 3).sum().backward(retain_graph=True)
    assert y.grad.tolist() == [3.0, 3.0]
    (y * 3).sum().backward()
    assert y.grad.tolist() == [6.0, 6.0]
    x.retain_grad()
    assert x.grad.tolist() == [12.0, 12.0]


def test_retained_gradients_come_after_the_hooks(x):
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda grad: grad * 10)
    (y * 3).sum().backward()
    assert y.grad.tolist() == [30.0, 30.0]


def test_a_retained_gradient_is_that_of_the_last_value(x):
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    (y * 7).sum().backward()
    assert y.grad.tolist() == [7.0, 7.0]
    assert x.grad.tolist() == [42.0, 42.0]


def test_a_retained_gradient_of_a_base_that_is_written_through_a_view(x):
    y = x * 2
    y.retain_grad()
    y.narrow(0, 0, 1).mul_(3)
    (y * 7).sum().backward()
    assert y.grad.tolist() == [7.0, 7.0]
    assert x.grad.tolist() == [42.0, 14.0]


def test_retained_gradients_share_no_memory(x):
    y, z = x * 2, x * 3
    y.retain_grad()
    z.retain_grad()
    (y + z).backward(minigrad.ones(2))
    assert y.grad.data_ptr() != z.grad.data_ptr()
    y.grad.mul_(100)
    assert z.grad.tolist() == [1.0, 1.0]
    assert x.grad.tolist() == [5.0, 5.0]


def test_retain_grad_does_not_keep_the_tensor(x):
    y = x * 2
    y.retain_grad()
    z = (y * 3).sum()
    gone = weakref.ref(y)
    del y
    assert gone() is None
    z.backward()
    assert x.grad.tolist() == [6.0, 6.0]


# --- after accumulation ------------------------------------------------------------------------------------------------


def test_post_accumulate_hooks_see_the_accumulated_gradient(x):
    seen = []
    handle = x.register_post_accumulate_grad_hook(lambda tensor: seen.append((tensor is x, tensor.grad.tolist())))
    for _ in range(2):
        (x * 2).sum().backward()
    handle.remove()
    (x * 2).sum().backward()
    assert seen == [(True, [2.0, 2.0]), (True, [4.0, 4.0])]


def test_post_accumulate_hooks_can_step_and_free(x):
    """An optimizer inside backward, which needs no memory for all gradients at once."""

    def step(parameter):
        with minigrad.no_grad():
            parameter.sub_(parameter.grad * 0.5)
        parameter.grad = None

    x.register_post_accumulate_grad_hook(step)
    (x * 2).sum().backward()
    assert x.tolist() == [0.0, 1.0]
    assert x.grad is None


def test_post_accumulate_hooks_run_with_chosen_inputs_but_not_in_grad(x):
    seen = []
    x.register_post_accumulate_grad_hook(lambda tensor: seen.append(tensor))
    autograd.grad((x * 2).sum(), x)
    assert seen == []
    (x * 2).sum().backward(inputs=[x])
    assert len(seen) == 1


# --- hooks on nodes ----------------------------------------------------------------------------------------------------


def test_node_hooks_see_gradients_in_and_out(x):
    seen = []
    w = tensor([3.0, 4.0], requires_grad=True)
    y = x * w
    y.grad_fn.register_hook(lambda ins, outs: seen.append(([g.tolist() for g in ins], [g.tolist() for g in outs])))
    y.sum().backward()
    assert seen == [([[3.0, 4.0], [1.0, 2.0]], [[1.0, 1.0]])]


def test_node_hooks_may_replace_the_gradients(x):
    w = tensor([3.0, 4.0], requires_grad=True)
    y = x * w
    handle = y.grad_fn.register_hook(lambda ins, outs: (ins[0] * 10, None))
    y.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [30.0, 40.0]
    assert w.grad is None
    handle.remove()
    y.sum().backward()
    assert x.grad.tolist() == [33.0, 44.0]


def test_node_hooks_must_return_one_gradient_per_input(x):
    y = x * 3.0
    y.grad_fn.register_hook(lambda ins, outs: (ins[0],) * 5)
    with pytest.raises(RuntimeError, match="hook: expected 2 gradients of mul's inputs, got 5"):
        y.sum().backward()


def test_hooks_leave_no_cycle(x):
    gc.collect()
    gc.disable()
    try:
        y = x * 2
        y.register_hook(lambda grad: None)
        y.retain_grad()
        y.grad_fn.register_hook(lambda ins, outs: None)
        y.sum().backward()
        gone = weakref.ref(y.grad_fn)
        del y
        assert gone() is None
    finally:
        gc.enable()
