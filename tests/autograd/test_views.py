"""Views and in-place operations: small programs, run by minigrad, by PyTorch, and differentiated numerically."""

from dataclasses import dataclass

import numpy as np
import pytest

import minigrad
from minigrad import tensor
from minigrad.testing import gradcheck, gradgradcheck
from tests.strict_backend import strict_backend

PROGRAMS = {}
X = np.array([[0.5, -1.25, 2.0], [1.5, 0.75, -0.5]])
W = np.array([1.25, -0.75, 2.5])


@dataclass(frozen=True)
class Program:
    """``run(t, x, w)`` with ``t`` minigrad or torch: what it returns, or the error that both raise.

    Where ``numeric`` is False, the program hides a write from the tape, so that differences show what gradients must not.
    """

    run: object
    error: str | None = None
    numeric: bool = True


def program(function=None, **options):
    if function is None:
        return lambda function: program(function, **options)
    PROGRAMS[function.__name__] = Program(function, **options)
    return function


# --- writes to a tensor that has its own memory ------------------------------------------------------------------------


@program
def write_to_a_result(t, x, w):
    y = x * 1
    y.mul_(w)
    return y


@program
def chain_of_writes(t, x, w):
    return (x * 1).add_(w).mul_(w).sub_(1).div_(2).neg_().mul_(x)


@program
def write_that_needs_its_result(t, x, w):
    y = x * w
    y.exp_()
    return y * w


@program
def write_that_needs_what_it_overwrites(t, x, w):
    y = x * w
    y.sin_()
    y.mul_(w)
    return y.pow_(3)


@program
def earlier_results_that_saved_nothing_stay_valid(t, x, w):
    y = x * 1
    z = y + w
    y.mul_(w)
    return z * y


@program
def constants_become_part_of_the_graph(t, x, w):
    constant = t.zeros(2, 3, dtype=t.float64)
    constant.add_(x)
    return constant * w


@program
def activations_in_place(t, x, w):
    return (x * w).relu_() + (x * 1).clamp_(-1, 1) + (x * w).sigmoid_() + (w * 1).tanh_()


@program
def the_same_tensor_twice(t, x, w):
    y = x * w
    return y.add_(y)


@program
def overwritten_values_get_no_gradient(t, x, w):
    y = x * w
    y.copy_(x)
    z = x * w
    z.zero_()
    return y + z + (x * w).fill_(3.0)


@program
def copy_broadcasts_and_converts(t, x, w):
    y = x * 2
    y.copy_(w)
    return y * x


@program
def masked_and_indexed_writes(t, x, w):
    y = x * 1
    y.masked_fill_(t.tensor([[True, False, False], [False, True, False]]), 7.0)
    return y * w


# --- writes to a view, and to its base ---------------------------------------------------------------------------------


@program
def write_to_a_view_changes_the_base(t, x, w):
    y = x * 1
    y[0].mul_(w)
    return y


@program
def the_view_after_the_write(t, x, w):
    y = x * 1
    v = y[0]
    v.mul_(w)
    return v * v + y * x


@program
def write_to_the_base_changes_the_view(t, x, w):
    y = x * 1
    v = y[1]
    y.mul_(w)
    return v * v * 3


@program
def view_of_a_view(t, x, w):
    y = x * 1
    v = y.view(6).narrow(0, 1, 4).view(2, 2)[1]
    v.mul_(w[:2])
    return y * y


@program
def siblings_see_each_others_writes(t, x, w):
    y = x * 1
    a, b, c = y[:, :2], y[:, 1:], y[1]
    a.mul_(w[:2])
    b.mul_(w[1:])
    c.add_(w)
    return a.sum() * b.sum() + (c * c).sum()


@program
def writes_to_base_and_view_in_turn(t, x, w):
    y = x * w
    v = y[0]
    v.mul_(2)
    y.add_(w)
    v.mul_(w)
    y.mul_(x)
    return v * v + y


@program
def views_made_after_a_write(t, x, w):
    y = x * 1
    y[0].mul_(w)
    v = y[0, 1:]
    v.mul_(3)
    return v * y[1, :2]


@program
def transposed_views(t, x, w):
    y = x * 1
    y.t()[1].mul_(w[:2])
    y.permute(1, 0).unsqueeze(0).add_(w.view(3, 1))
    return y * w


@program
def flattened_views_and_transposed_gradients(t, x, w):
    y = x * 1
    y.view(6)[1:5].mul_(w[0])
    return y.t().contiguous() * t.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=t.float64)


@program
def a_base_in_transposed_memory(t, x, w):
    y = (t.zeros(3, 2, dtype=t.float64).t() + x.t().contiguous().t()) * 1
    y.t().view(6)[2:4].mul_(w[:2])
    return y * w


@program
def diagonals(t, x, w):
    y = x * 1
    y.diagonal().mul_(w[:2])
    return y * y


@program
def squeezed_and_selected(t, x, w):
    y = x * 1
    y.unsqueeze(1).squeeze(1).select(1, 2).mul_(w[:2])
    return y * x


@program
def strided_slices(t, x, w):
    y = x * 1
    y[:, ::2].mul_(w[:2])
    return y


@program
def a_constant_base_becomes_part_of_the_graph_through_its_view(t, x, w):
    base = t.zeros(2, 3, dtype=t.float64)
    first, second = base[0], base[1]
    first.add_(w)
    return (base + x) * (second + 1) * first


@program
def views_of_a_constant_base_follow_a_write_to_it(t, x, w):
    base = t.zeros(2, 3, dtype=t.float64)
    first = base[0]
    base.add_(x)
    return first * w


@program
def a_clone_of_a_view_is_on_its_own(t, x, w):
    y = x * 1
    copy = y[0].clone()
    copy.mul_(w)
    return y[0] * copy


@program
def reshape_that_copies_is_on_its_own(t, x, w):
    y = x * 1
    copy = y.t().reshape(6)
    copy.mul_(w[0])
    return y * copy.sum()


# --- assignment to parts -----------------------------------------------------------------------------------------------


@program
def assign_a_number(t, x, w):
    y = x * w
    y[0, 1] = 5.0
    y[:, 2] = 1
    return y * x


@program
def assign_a_tensor(t, x, w):
    y = x * 1
    y[1] = w
    y[0, :2] = w[1:]
    return y * x


@program
def assign_with_a_step(t, x, w):
    y = x * 1
    y[:, ::2] = w[:2] * w[1]
    return y * w


@program
def assign_by_index_arrays(t, x, w):
    y = x * 1
    y[t.tensor([0, 1]), t.tensor([2, 0])] = w[:2]
    return y * x


@program
def assign_by_mask(t, x, w):
    y = x * 1
    y[t.tensor([[True, False, True], [False, False, True]])] = w
    return y * x


@program
def assign_into_a_constant(t, x, w):
    base = t.zeros(2, 3, dtype=t.float64)
    base[0] = w
    base[1, 1:] = x[0, :2]
    return base * x


@program
def assign_into_a_view(t, x, w):
    y = x * 1
    v = y[:, 1:]
    v[0] = w[:2]
    v[:, 1] = 3.0
    return y * v.sum()


@program
def assign_one_part_to_another(t, x, w):
    y = x * w
    y[0] = y[1]
    return y * w


@program
def augmented_assignment(t, x, w):
    y = x * 1
    y[0] += w
    y[1] *= w
    y[:, 1] -= w[:2]
    y /= 2
    return y * x


@program
def fill_a_buffer_in_a_loop(t, x, w):
    out = t.zeros(4, 3, dtype=t.float64)
    state = w
    for i in range(4):
        state = state * x[i % 2]
        out[i] = state
    return out


# --- outside the graph -------------------------------------------------------------------------------------------------


@program(numeric=False)
def detached_writes_before_the_use(t, x, w):
    y = x * 1
    y.detach().mul_(2)
    return y * y


@program(error="changed it in place")
def detached_writes_after_the_use(t, x, w):
    y = x * 1
    z = y * y
    y.detach().mul_(2)
    return z


@program(numeric=False)
def unrecorded_writes_to_a_base_with_views(t, x, w):
    y = x * 1
    v = y[0]
    with t.no_grad():
        y.mul_(3)
    return v * v


@program(numeric=False)
def unrecorded_writes_to_a_view(t, x, w):
    y = x * 1
    v = y[0]
    with t.no_grad():
        v.mul_(3)
    return y * v


@program(numeric=False)
def unrecorded_writes_to_a_leaf(t, x, w):
    with t.no_grad():
        x.mul_(2)
        x[0].add_(1)
    return x * x * w


@program
def views_of_a_leaf_are_read(t, x, w):
    v = x[0]
    return v * v * w


@program(error="made in no_grad")
def recorded_write_to_a_view_made_in_no_grad(t, x, w):
    y = x * 1
    with t.no_grad():
        v = y[0]
    v.mul_(w)
    return y


@program(error="made in no_grad")
def write_of_a_constant_to_a_view_made_in_no_grad(t, x, w):
    y = x * 1
    with t.no_grad():
        v = y[0]
    v.mul_(2)
    return y


@program(error="made in no_grad|view of a leaf")
def write_to_a_view_of_a_leaf_made_in_no_grad(t, x, w):
    with t.no_grad():
        v = x[0]
    v.mul_(2)
    return x


# --- errors ------------------------------------------------------------------------------------------------------------


@program(error="add_: a leaf tensor that requires grad")
def write_to_a_leaf(t, x, w):
    x.add_(1)


@program(error="a view of a leaf tensor that requires grad")
def write_to_a_view_of_a_leaf(t, x, w):
    x[0].add_(1)


@program(error="a view of a leaf tensor that requires grad")
def write_to_a_view_of_a_view_of_a_leaf(t, x, w):
    x.view(6).narrow(0, 1, 2).zero_()


@program(error="a view of a leaf tensor that requires grad")
def write_to_a_view_of_a_leaf_view(t, x, w):
    part = t.ones(6)[:4].requires_grad_()
    part[1] = 2.0


@program(error="a view of a leaf tensor that requires grad")
def write_to_a_view_whose_base_was_a_leaf(t, x, w):
    base = t.ones(6, requires_grad=True)
    part = base[:4]
    base.requires_grad_(False)
    part.mul_(2.0)


@program(error="a leaf tensor that requires grad")
def assign_to_a_leaf(t, x, w):
    x[0] = 1.0


@program(error="changed it in place")
def write_to_what_was_saved(t, x, w):
    y = x * 1
    z = y * y
    y.add_(1)
    return z


@program(error="changed it in place")
def write_to_a_part_of_what_was_saved(t, x, w):
    y = x * 1
    z = y * y
    y[0, 0] = 3.0
    return z


@program(error="one of several views")
def write_to_one_of_unbind(t, x, w):
    (x * 1).unbind()[0].mul_(w)


@program(error="one of several views")
def write_to_one_of_split(t, x, w):
    (x * 1).split(1)[0].mul_(w)


@program(error="one of several views")
def write_to_a_view_of_one_of_chunk(t, x, w):
    (x * 1).chunk(2)[1][0].add_(1)


@program(error="lie at one place in memory")
def write_to_what_was_expanded(t, x, w):
    (w * 1).expand(2, 3).mul_(2)


@program(error="lie at one place in memory")
def write_to_what_was_expanded_without_gradient(t, x, w):
    t.zeros(3).expand(2, 3).add_(1)


@program(error="broadcast")
def write_of_a_larger_shape(t, x, w):
    (w * 1).add_(x)


@program(error="cannot be kept in a tensor of dtype int64")
def write_of_floats_into_integers(t, x, w):
    t.tensor([1, 2, 3]).add_(w)


# --- operands that share the target's memory ---------------------------------------------------------------------------

SHARING = {
    "transposed": lambda x: (x, x.T),
    "shifted": lambda x: (x[1:], x[:-1]),
    "shifted back": lambda x: (x[:-1], x[1:]),
    "one row": lambda x: (x, x[:1]),
}


@pytest.mark.parametrize("size", [6, 600])  # threads share the work on large ones
@pytest.mark.parametrize("operation", ["add_", "sub_", "mul_", "div_", "remainder_", "pow_", "copy_", "lerp_"])
@pytest.mark.parametrize("sharing", SHARING)
def test_an_operand_that_shares_memory_is_read_before_it_is_written_to(sharing, operation, size):
    values = np.random.default_rng(0).uniform(0.5, 1.5, (size, size))
    more = (0.25,) if operation == "lerp_" else ()
    target, operand = SHARING[sharing](tensor(values))
    expected = getattr(target.clone(), operation)(operand.clone(), *more)
    getattr(target, operation)(operand, *more)
    np.testing.assert_array_equal(target.numpy(), expected.numpy())


# --- the checks --------------------------------------------------------------------------------------------------------


def run(module, name, make, array):
    """The result, and its gradients by x and w."""
    x, w = make(X.copy()), make(W.copy())
    x.requires_grad_()
    w.requires_grad_()
    result = PROGRAMS[name].run(module, x, w)
    random = np.random.default_rng(3)
    weights = make(np.asarray(random.uniform(0.5, 1.5, result.shape)))
    found = module.autograd.grad((result * weights).sum(), [x, w], allow_unused=True)
    return [array(result), *(None if g is None else array(g) for g in found)]


def mine(name):
    return run(minigrad, name, tensor, lambda t: t.numpy(force=True))


FINE = [name for name, program in PROGRAMS.items() if program.error is None]
FAILING = [name for name, program in PROGRAMS.items() if program.error is not None]


@pytest.mark.parametrize("name", FINE)
def test_values_and_gradients_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    theirs = run(torch, name, torch.tensor, lambda t: t.detach().numpy())
    for what, actual, expected in zip(("value", "gradient of x", "gradient of w"), mine(name), theirs):
        assert (actual is None) == (expected is None), what
        if actual is not None:
            np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12, err_msg=what)


@pytest.mark.parametrize("name", FAILING)
def test_errors_are_errors_of_pytorch_too(name):
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError):
        run(torch, name, torch.tensor, lambda t: t.detach().numpy())


@pytest.mark.parametrize("name", FAILING)
def test_errors(name):
    with pytest.raises((RuntimeError, ValueError), match=PROGRAMS[name].error):
        mine(name)


@pytest.mark.parametrize("name", [name for name in FINE if PROGRAMS[name].numeric])
def test_gradients_of_both_orders_are_the_numeric_ones(name):
    inputs = [tensor(X, requires_grad=True), tensor(W, requires_grad=True)]
    assert gradcheck(lambda x, w: PROGRAMS[name].run(minigrad, x, w), inputs)
    assert gradgradcheck(lambda x, w: PROGRAMS[name].run(minigrad, x, w), inputs)


class OnStrict:
    """minigrad as a program sees it whose tensors are on the strict backend."""

    autograd, no_grad, float64 = minigrad.autograd, minigrad.no_grad, minigrad.float64

    @staticmethod
    def tensor(data, dtype=None):
        return tensor(data, dtype=dtype, device="strict")

    @staticmethod
    def zeros(*size, dtype=None):
        return minigrad.zeros(*size, dtype=dtype, device="strict")


@pytest.mark.parametrize("name", FINE)
def test_the_same_on_another_device(name):
    with strict_backend():
        there = run(OnStrict, name, OnStrict.tensor, lambda t: t.numpy(force=True))
    for actual, expected in zip(there, mine(name)):
        assert (actual is None) == (expected is None)
        if actual is not None:
            np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


# --- what PyTorch refuses and minigrad can do --------------------------------------------------------------------------


@pytest.mark.parametrize("several", [lambda y: y.unbind(), lambda y: y.split(1), lambda y: y.chunk(2)])
def test_a_write_to_the_base_of_several_views(several):
    def function(x, w):
        y = x * 1
        first, second = several(y)
        y.mul_(w)
        return first * first + second * w

    inputs = [tensor(X, requires_grad=True), tensor(W, requires_grad=True)]
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)


def test_a_product_with_itself_in_place():
    x = tensor(X, requires_grad=True)

    def function(x):
        y = x * 1
        return y.mul_(y)

    assert gradcheck(function, x)
    assert gradgradcheck(function, x)


# --- what else there is to say about views -----------------------------------------------------------------------------


def test_memory_is_shared():
    base = minigrad.zeros(2, 3)
    views = [base.view(6), base.T, base[0], base[:, 1:], base.unbind()[1], base.expand(4, 2, 3), base.detach(), base.data]
    for view in views:
        assert view.array.base is not None
    base.add_(1)
    for view in views:
        assert view.sum().item() == view.numel()


def test_the_base_is_the_owner_of_the_memory():
    base = minigrad.zeros(2, 3)
    assert base._base is None
    assert base.view(6)._base is base
    assert base.view(6)[1:].view(5, 1)._base is base
    assert (base * 1)._base is None
    assert base.detach()._base is None


def test_views_follow_at_their_next_use():
    x = tensor(X, requires_grad=True)
    y = x * 1
    v = y[0]
    before = v.grad_fn
    y.mul_(2)
    assert v.grad_fn is not before
    assert v.requires_grad
    base = minigrad.zeros(3, dtype="float64")
    part = base[:2]
    assert not part.requires_grad
    base.add_(x[0])
    assert part.requires_grad
    assert not part.is_leaf


def test_views_of_a_detached_base_follow_its_next_write():
    x = tensor([1.0, 2.0, 3.0], requires_grad=True)
    base = x * 2
    view = base[:2]
    base.detach_()
    assert view.requires_grad
    base.fill_(5.0)
    assert not view.requires_grad and view.grad_fn is None
    (view * x[:2]).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0, 0.0]


def test_a_leaf_view_stays_one_when_its_base_is_written_to():
    view = minigrad.zeros(3)[:2].requires_grad_()
    with minigrad.no_grad():
        view._base.fill_(2.0)
    (view * view).sum().backward()
    assert view.grad.tolist() == [4.0, 4.0]


def test_a_leaf_view_becomes_a_result():
    base = minigrad.zeros(3, dtype="float64")
    part = base[:2]
    part.requires_grad_()
    assert part.is_leaf
    base.mul_(tensor(W, requires_grad=True))
    assert not part.is_leaf


def test_an_empty_tensor_can_be_written_to():
    x = tensor(np.zeros((3, 0)), requires_grad=True)
    y = x * 1
    y.add_(1)
    y[1:].mul_(2)
    y.sum().backward()
    assert x.grad.shape == (3, 0)


def test_a_write_returns_the_tensor_itself():
    y = tensor(X) * 1
    assert y.add_(1) is y
    v = y[0]
    assert v.mul_(2) is v


def test_gradients_through_views_leave_hooks_and_leaves_alone():
    """A replayed view of a gradient must not let a write into the gradient itself."""
    x = tensor(X, requires_grad=True)
    y = x * 1
    y[0].zero_()
    above = minigrad.ones(2, 3, dtype="float64")
    y.backward(above)
    assert above.tolist() == [[1.0] * 3] * 2
    assert x.grad.tolist() == [[0.0] * 3, [1.0] * 3]
