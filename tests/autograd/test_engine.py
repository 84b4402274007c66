"""backward and grad: what they compute, where it goes, and what they refuse."""

import inspect
import threading

import numpy as np
import pytest

import minigrad
from minigrad import autograd, tensor
from minigrad.autograd import engine
from minigrad.autograd.operation import Operation, wrap


def leaf(*values):
    return tensor(values, dtype="float64", requires_grad=True)


def values(gradients):
    return [None if g is None else g.tolist() for g in gradients]


# --- backward ----------------------------------------------------------------------------------------------------------


def test_backward_fills_grad_of_leaves_only():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    product = x * y
    product.sum().backward()
    assert x.grad.tolist() == [3.0, 4.0]
    assert y.grad.tolist() == [1.0, 2.0]
    assert product.grad is None
    assert not x.grad.requires_grad


def test_backward_accumulates_in_place():
    x = leaf(1.0, 2.0)
    (x * 3).sum().backward()
    first = x.grad
    (x * 4).sum().backward()
    assert x.grad is first
    assert x.grad.tolist() == [7.0, 7.0]
    x.grad = None
    (x * 5).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]
    assert first.tolist() == [7.0, 7.0]


def test_accumulation_is_a_change_in_place():
    x, w = leaf(1.0), leaf(2.0)
    (x * 3).sum().backward()
    product = w * x.grad
    (x * 3).sum().backward()
    with pytest.raises(RuntimeError, match=r"but backward at .* changed it in place"):
        product.sum().backward()


def test_a_tensor_used_twice_gets_the_sum():
    x = leaf(3.0)
    y = x * x + x
    (y * y + y).sum().backward()
    assert x.grad.tolist() == [(2 * 12 + 1) * 7.0]


def test_many_uses_are_summed_once_each():
    x = leaf(1.0, 2.0)
    y = x * 1
    total = y * 1
    for factor in range(2, 30):
        total = total + y * factor
    total.sum().backward()
    assert x.grad.tolist() == [sum(range(1, 30))] * 2


def test_sums_of_gradients_never_land_in_memory_that_another_gradient_uses():
    """Add hands one gradient to both operands: adding to one in place would change the other."""
    for _ in range(20):
        x, y, z = leaf(1.0), leaf(1.0), leaf(1.0)
        a, b, c = x * 1, y * 1, z * 1
        (a + b + c + a * 2 + (b + c) * 3 + a * 4 + (a + c)).sum().backward()
        assert (x.grad.item(), y.grad.item(), z.grad.item()) == (8.0, 4.0, 5.0)


def test_a_gradient_is_needed_for_outputs_that_are_no_scalars():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"backward: a gradient is implied for scalar outputs only.*shape \(2,\)"):
        (x * 2).backward()
    (x * 2).backward(tensor([1.0, 10.0], dtype="float64"))
    assert x.grad.tolist() == [2.0, 20.0]


def test_one_element_counts_as_scalar_whatever_its_shape():
    x = tensor([[5.0]], requires_grad=True)
    (x * x).backward()
    assert x.grad.tolist() == [[10.0]]


def test_backward_of_a_leaf_itself():
    x = leaf(1.0, 2.0)
    above = tensor([3.0, 4.0], dtype="float64")
    x.backward(above)
    assert x.grad.tolist() == [3.0, 4.0]
    x.grad.mul_(0)
    assert above.tolist() == [3.0, 4.0]


@pytest.mark.parametrize(
    ("gradient", "error", "message"),
    [
        (lambda: minigrad.ones(3), RuntimeError, r"backward: expected a gradient of shape \(2,\) for output 0, got \(3,\)"),
        (lambda: minigrad.ones(1), RuntimeError, r"got \(1,\)"),
        (lambda: 1.0, TypeError, "float"),
        (lambda: [1.0, 1.0], RuntimeError, "one gradient per output, got 2 for 1"),
        (lambda: [1.0], TypeError, "backward: expected a Tensor as the gradient of output 0, got float"),
    ],
)
def test_a_gradient_that_does_not_fit(gradient, error, message):
    x = leaf(1.0, 2.0)
    with pytest.raises(error, match=message):
        (x * 2).backward(gradient())
    assert x.grad is None


def test_the_gradient_from_above_takes_the_outputs_dtype():
    x = tensor([1.0, 2.0], requires_grad=True)
    (x * 2).backward(minigrad.ones(2, dtype="float64"))
    assert x.grad.dtype == "float32"


def test_backward_of_what_needs_no_gradient():
    with pytest.raises(RuntimeError, match="backward: output 0 does not require grad"):
        tensor([1.0]).backward()
    with minigrad.no_grad():
        y = leaf(1.0) * 2
    with pytest.raises(RuntimeError, match="outside no_grad"):
        y.backward()


def test_several_roots():
    x = leaf(1.0, 2.0)
    y = x * 2
    autograd.backward([y.sum(), (y * 3).sum(), y], [None, None, tensor([10.0, 100.0], dtype="float64")])
    assert x.grad.tolist() == [2 + 6 + 20.0, 2 + 6 + 200.0]


def test_one_root_below_another():
    x = leaf(2.0)
    y = x * x
    z = y * 5
    autograd.backward([z, y])
    assert x.grad.tolist() == [4 * 5 + 4.0]


def test_a_root_given_twice():
    x = leaf(2.0)
    y = x * x
    autograd.backward([y, y])
    assert x.grad.tolist() == [8.0]


def test_roots_must_be_tensors():
    with pytest.raises(TypeError, match="backward: tensors: expected a Tensor or a sequence of them, got float"):
        autograd.backward([1.0])


def test_only_chosen_inputs():
    x, y = leaf(1.0), leaf(2.0)
    middle = x * 3
    (middle * y).backward(inputs=[x])
    assert x.grad.tolist() == [6.0]
    assert y.grad is None
    (x * 3 * y).backward(inputs=y)
    assert (x.grad.tolist(), y.grad.tolist()) == ([6.0], [3.0])


def test_a_chosen_input_may_be_no_leaf():
    x = leaf(1.0)
    middle = x * 3
    (middle * 5).backward(inputs=[middle])
    assert middle.grad.tolist() == [5.0]
    assert x.grad is None


def test_chosen_inputs_accumulate_and_are_not_kept_elsewhere():
    x = leaf(1.0)
    for _ in range(2):
        (x * 3).backward(inputs=[x, x])
    assert x.grad.tolist() == [6.0]


def test_chosen_inputs_must_exist():
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="at least one tensor in inputs"):
        (x * 2).backward(inputs=[])
    with pytest.raises(RuntimeError, match=r"backward: input 1 \(shape \(1,\)\) does not require grad"):
        (x * 2).backward(inputs=[x, tensor([1.0])])


# --- keeping and freeing the graph -------------------------------------------------------------------------------------


def test_a_second_backward_needs_the_graph_kept():
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [12.0]
    with pytest.raises(
        RuntimeError, match=r"the tensors that mul saved at .*test_engine\.py:\d+ were freed.*retain_graph=True"
    ):
        y.backward()


def test_what_saved_nothing_can_be_walked_twice():
    x = leaf(3.0)
    y = x + x
    y.backward()
    y.backward()
    assert x.grad.tolist() == [4.0]


def test_a_shared_part_of_two_graphs_is_freed_by_the_first():
    x = leaf(3.0)
    shared = x * x
    (shared * 2).backward()
    with pytest.raises(RuntimeError, match="freed"):
        (shared * 3).backward()


def test_only_the_part_that_was_walked_is_freed():
    x, y = leaf(3.0), leaf(4.0)
    a, b = x * x, y * y
    total = a + b
    autograd.grad(total, x)
    assert values(autograd.grad(total, y)) == [[8.0]]


def test_an_error_in_backward_leaves_the_modes_as_they_were():
    class Failing(Operation):
        def forward(self, x):
            return x * 1

        def backward(self, grad):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Failing().apply(leaf(1.0)).backward()
    assert minigrad.is_grad_enabled()
    with minigrad.no_grad(), pytest.raises(ZeroDivisionError):
        with minigrad.enable_grad():
            y = Failing().apply(leaf(1.0))
        y.backward(create_graph=True)
    assert minigrad.is_grad_enabled()


def test_backward_works_in_no_grad():
    x = leaf(3.0)
    y = x * x
    with minigrad.no_grad():
        y.backward()
        assert not minigrad.is_grad_enabled()
    assert x.grad.tolist() == [6.0]


# --- grad --------------------------------------------------------------------------------------------------------------


def test_grad_returns_and_touches_nothing():
    x, y = leaf(2.0), leaf(5.0)
    middle = x * y
    found = autograd.grad(middle * middle, [x, y, middle])
    assert values(found) == [[100.0], [40.0], [20.0]]
    assert x.grad is None
    assert y.grad is None


def test_grad_of_a_tensor_by_itself_is_what_comes_from_above():
    x = leaf(2.0)
    y = x * x
    assert values(autograd.grad(y, [y, x])) == [[1.0], [4.0]]
    assert values(autograd.grad(x, x)) == [[1.0]]


def test_grad_with_several_outputs_and_repeated_inputs():
    x = leaf(2.0)
    assert values(autograd.grad([x * 2, x * 3], [x, x])) == [[5.0], [5.0]]
    above = [tensor([10.0], dtype="float64"), None]
    assert values(autograd.grad([x * 2, x * 3], x, above)) == [[23.0]]


def test_unused_inputs():
    x, y = leaf(2.0), leaf(3.0, 4.0)
    with pytest.raises(RuntimeError, match=r"grad: input 1 \(shape \(2,\)\) was not used.*allow_unused=True"):
        autograd.grad(x * 2, [x, y])
    assert values(autograd.grad(x * 2, [x, y], allow_unused=True)) == [[2.0], None]
    assert values(autograd.grad(x * 2, [x, y], materialize_grads=True)) == [[2.0], [0.0, 0.0]]
    with pytest.raises(ValueError, match="allow_unused to be True or left out when materialize_grads"):
        autograd.grad(x * 2, [x, y], allow_unused=False, materialize_grads=True)


def test_grad_by_position():
    x, y = leaf(2.0), leaf(3.0)
    assert values(autograd.grad(x * 2, [x, y], None, None, False, True, True)) == [[2.0], None]
    assert values(autograd.grad(x * 2, [x, y], None, None, False, True, None, False, True)) == [[2.0], [0.0]]


def test_the_arguments_of_grad_stand_in_torchs_order():
    torch = pytest.importorskip("torch")
    mine, theirs = (list(inspect.signature(function).parameters) for function in (autograd.grad, torch.autograd.grad))
    assert mine == theirs


def test_what_grad_does_not_do():
    x = leaf(2.0)
    with pytest.raises(ValueError, match=r"grad: expected only_inputs=True .*backward.*, got False"):
        autograd.grad(x * 2, x, None, None, False, False)
    with pytest.raises(ValueError, match="grad: expected is_grads_batched=False, got True"):
        autograd.grad(x * 2, x, is_grads_batched=True)


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ([], RuntimeError, "at least one tensor in inputs"),
        ([3.0], TypeError, "grad: inputs: expected a Tensor or a sequence of them, got float"),
        (tensor([1.0]), RuntimeError, "grad: input 0 .* does not require grad"),
    ],
)
def test_inputs_of_grad_that_do_not_fit(inputs, error, message):
    with pytest.raises(error, match=message):
        autograd.grad(leaf(1.0) * 2, inputs)


def test_only_what_leads_to_the_inputs_is_computed():
    computed = []

    class Noting(Operation):
        def __init__(self, label):
            self.label = label

        def forward(self, x):
            return x * 1

        def backward(self, grad):
            computed.append(self.label)
            return grad

    x, y = leaf(1.0), leaf(1.0)
    total = Noting("x").apply(x) + Noting("y").apply(y)
    autograd.grad(total, x)
    assert computed == ["x"]


def test_needs_says_what_is_wanted_now():
    asked = []

    class Asking(Operation):
        def forward(self, x, y, z):
            asked.append([self.needs(i) for i in range(3)])
            return x * y * z

        def backward(self, grad):
            asked.append([self.needs(i) for i in range(3)])
            return tuple(grad if self.needs(i) else None for i in range(3))

    x, y = leaf(1.0), leaf(1.0)
    out = Asking().apply(x, y, tensor([1.0], dtype="float64"))
    autograd.grad(out, y, retain_graph=True)
    out.backward()
    assert asked == [[True, True, False], [False, True, False], [True, True, False]]


# --- derivatives of derivatives ----------------------------------------------------------------------------------------


def test_third_derivative():
    x = leaf(2.0)
    y = x * x * x * x
    for expected in (32.0, 48.0, 48.0, 24.0):
        (y,) = autograd.grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(expected)


def test_mixed_second_derivatives_agree():
    x, y = leaf(2.0), leaf(3.0)
    f = x * x * y * y * y
    by_x, by_y = autograd.grad(f, [x, y], create_graph=True)
    assert values(autograd.grad(by_x, y, retain_graph=True)) == values(autograd.grad(by_y, x)) == [[2 * 2 * 3 * 9.0]]


def test_gradient_penalty_through_backward():
    x, w = leaf(2.0), leaf(3.0)
    y = w * x * x
    (slope,) = autograd.grad(y, x, create_graph=True)
    (y + slope * slope).backward()
    assert w.grad.item() == 4 + 2 * 12 * 4
    assert x.grad.item() == 12 + 2 * 12 * 6


def test_backward_with_create_graph_warns_and_makes_a_differentiable_grad():
    x = leaf(2.0)
    with pytest.warns(UserWarning, match="reference cycle"):
        (x * x * x).backward(create_graph=True)
    assert x.grad.requires_grad
    first, x.grad = x.grad, None
    assert values(autograd.grad(first, x)) == [[12.0]]


def test_create_graph_accumulates_out_of_place():
    x = leaf(2.0)
    (x * 3).backward()
    first = x.grad
    with pytest.warns(UserWarning, match="reference cycle"):
        (x * x).backward(create_graph=True)
    assert first.tolist() == [3.0]
    assert x.grad.tolist() == [7.0]
    x.grad = None


def test_retain_graph_follows_create_graph():
    x = leaf(2.0)
    y = x * x
    autograd.grad(y, x, create_graph=True)
    autograd.grad(y, x, create_graph=True, retain_graph=False)
    with pytest.raises(RuntimeError, match="freed"):
        autograd.grad(y, x)


# --- several outputs ---------------------------------------------------------------------------------------------------


class TwoOutputs(Operation):
    """(2x, 3x), and an index that has no gradient."""

    outputs = 3

    def forward(self, x):
        return x * 2, x * 3, np.arange(x.size)

    def backward(self, double, triple, index):
        assert index is None
        self.arrived.append((double is not None, triple is not None))
        total = None if double is None else double * 2
        if triple is not None:
            total = triple * 3 if total is None else total + triple * 3
        return total

    arrived = []


@pytest.mark.parametrize(
    ("combine", "gradient", "arrived"),
    [
        (lambda a, b: a, 2.0, (True, False)),
        (lambda a, b: b, 3.0, (False, True)),
        (lambda a, b: a + b, 5.0, (True, True)),
        (lambda a, b: a + a + b * 4, 16.0, (True, True)),
    ],
)
def test_several_outputs(combine, gradient, arrived):
    x = leaf(1.0)
    double, triple, index = TwoOutputs().apply(x)
    assert not index.requires_grad
    TwoOutputs.arrived.clear()
    combine(double, triple).backward()
    assert x.grad.item() == gradient
    assert TwoOutputs.arrived == [arrived]


def test_grad_by_one_of_several_outputs():
    x = leaf(1.0)
    double, triple, _ = TwoOutputs().apply(x)
    found = autograd.grad(double * 5 + triple * 7, [double, triple, x])
    assert values(found) == [[5.0], [7.0], [31.0]]


# --- leaves, attributes ------------------------------------------------------------------------------------------------


def test_what_is_a_leaf():
    x, constant = leaf(1.0), tensor([1.0])
    y = x * 2
    assert (x.is_leaf, constant.is_leaf, y.is_leaf) == (True, True, False)
    assert (x.requires_grad, constant.requires_grad, y.requires_grad) == (True, False, True)
    assert (constant * 2).is_leaf
    assert y.detach().is_leaf
    assert x.grad_fn is None
    assert repr(y.grad_fn) == "<Mul>"


def test_the_graph_can_be_looked_at():
    x, y = leaf(1.0), leaf(2.0)
    product = x * y
    functions = (product + x).grad_fn.next_functions
    assert functions[0] == (product.grad_fn, 0)
    assert functions[1][0] is x
    assert (x * 2).grad_fn.next_functions == ((x, 0), (None, 0))


def test_requires_grad_may_be_set_on_leaves_of_floats_only():
    x = leaf(1.0)
    x.requires_grad_(False)
    assert not (x * 2).requires_grad
    x.requires_grad = True
    with pytest.raises(RuntimeError, match="expected a leaf"):
        (x * 2).requires_grad_(False)
    with pytest.raises(RuntimeError, match="expected a floating dtype, got int64"):
        tensor([1]).requires_grad_()
    assert (x * 2).requires_grad_().requires_grad


def test_grad_can_be_set_to_what_fits():
    x = leaf(1.0, 2.0)
    x.grad = tensor([5.0, 6.0], dtype="float64")
    (x * 2).sum().backward()
    assert x.grad.tolist() == [7.0, 8.0]
    with pytest.raises(TypeError, match="grad: expected a Tensor or None, got float"):
        x.grad = 1.0
    for other in (tensor([1.0, 2.0]), tensor([1.0], dtype="float64")):
        with pytest.raises(RuntimeError, match=r"grad: expected float64 of shape \(2,\) on cpu, got"):
            x.grad = other


def test_detach_stops_the_gradient_and_shares_memory():
    x = leaf(2.0)
    (x * x.detach()).backward()
    assert x.grad.tolist() == [2.0]
    x.detach().mul_(0)
    assert x.tolist() == [0.0]


def test_detach_in_place():
    x = leaf(2.0)
    y = x * 3
    assert y.detach_() is y
    assert y.is_leaf
    assert not y.requires_grad
    with pytest.raises(RuntimeError, match=r"detach_: .* got a view"):
        (x * 3).view(1, 1).detach_()


def test_data_is_the_memory_outside_the_tape():
    x = leaf(2.0)
    y = x * x
    x.data.mul_(5)
    y.backward()
    assert x.grad.tolist() == [20.0], "the write was not noticed"
    x.data = tensor([1.0, 2.0], dtype="float64")
    assert x.shape == (2,)
    with pytest.raises(RuntimeError, match="floating"):
        x.data = tensor([1])
    with pytest.raises(TypeError, match="data: expected a Tensor"):
        x.data = 1.0


def test_integers_get_no_gradient():
    x = tensor([1, 2])
    w = leaf(0.5, 1.5)
    (w * x).sum().backward()
    assert w.grad.tolist() == [1.0, 2.0]
    assert x.grad is None


def test_operations_refuse_two_devices_and_foreign_arrays():
    with pytest.raises(TypeError):
        wrap(np.ones(2)) * "text"


# --- memory of gradients -----------------------------------------------------------------------------------------------


def address(x):
    return x.data_ptr()


def test_gradients_of_two_leaves_share_no_memory():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    z = x + y
    above = minigrad.ones(2, dtype="float64")
    z.backward(above, retain_graph=True)
    assert len({address(x.grad), address(y.grad), address(above)}) == 3
    x.grad.mul_(100)
    assert y.grad.tolist() == [1.0, 1.0]
    assert above.tolist() == [1.0, 1.0]


def test_nor_with_create_graph():
    x, y = leaf(1.0), leaf(3.0)
    with pytest.warns(UserWarning, match="reference cycle"):
        (x + y).backward(create_graph=True)
    assert address(x.grad) != address(y.grad)
    x.grad = y.grad = None


def test_nor_with_chosen_inputs():
    x, y = leaf(1.0), leaf(3.0)
    (x + y).backward(inputs=[x, y])
    assert address(x.grad) != address(y.grad)


@pytest.mark.parametrize(
    "ask", [lambda y, h: autograd.grad(y, h, retain_graph=True), lambda y, h: y.backward(inputs=[h], retain_graph=True)]
)
@pytest.mark.parametrize(
    "of", [lambda x: x * 1, lambda x: x.exp(), lambda x: x @ tensor([[2.0], [1.0]]), lambda x: minigrad.relu(x + x)]
)
def test_a_part_of_the_graph_forgets_nothing(ask, of):
    """What a walk leaves out because nobody asks for it, another walk goes through."""
    x = tensor([[1.0, 2.0]], requires_grad=True)
    h = of(x)
    (h * h).sum().backward(retain_graph=True)
    expected = x.grad.tolist()
    x.grad = None
    h = of(x)
    y = (h * h).sum()
    ask(y, h)
    assert x.grad is None
    y.backward()
    assert x.grad.tolist() == expected


def fresh_gradients():
    """The addresses of all gradients that an operation hands up."""

    class Fresh(Operation):
        addresses = []

        def forward(self, x):
            return x * 1

        def backward(self, grad):
            result = grad * 2
            self.addresses.append(address(result))
            return result

    return Fresh


def test_a_gradient_that_nobody_else_holds_is_not_copied():
    fresh = fresh_gradients()
    x = leaf(*range(1000))
    fresh().apply(x).sum().backward()
    assert fresh.addresses == [address(x.grad)]


def test_also_not_with_chosen_inputs():
    fresh = fresh_gradients()
    x = leaf(*range(1000))
    fresh().apply(x).sum().backward(inputs=[x])
    assert fresh.addresses == [address(x.grad)]


@pytest.mark.parametrize("how", [lambda g: g, lambda g: g.array, lambda g: g.detach(), lambda g: g.view(-1)])
def test_a_gradient_that_a_hook_keeps_is_copied(how):
    fresh = fresh_gradients()
    kept = []
    x = leaf(1.0, 2.0)
    x.register_hook(lambda grad: kept.append(how(grad)))
    fresh().apply(x).sum().backward()
    x.grad.mul_(100)
    (x * 3).sum().backward()
    assert kept[0].tolist() == [2.0, 2.0]


def test_a_gradient_that_a_hook_returns_is_copied():
    x = leaf(1.0, 2.0)
    mine = tensor([5.0, 6.0], dtype="float64")
    x.register_hook(lambda grad: mine)
    for _ in range(2):
        (x * 3).sum().backward()
    assert mine.tolist() == [5.0, 6.0]
    assert x.grad.tolist() == [10.0, 12.0]


def test_grad_is_contiguous():
    x = tensor(np.ones((2, 3)), requires_grad=True)
    (x.T * tensor(np.arange(6.0).reshape(3, 2))).sum().backward()
    assert x.grad.is_contiguous()
    x.grad = None
    x.sum().backward()
    assert x.grad.is_contiguous()
    x.grad.add_(1)
    assert x.grad.tolist() == [[2.0] * 3] * 2


def test_threads_that_accumulate_in_one_leaf(monkeypatch):
    x = leaf(1.0, 2.0)
    own = engine._own
    other = threading.Thread(target=lambda: (x * 2).sum().backward())

    def meanwhile(box):
        monkeypatch.setattr(engine, "_own", own)
        other.start()
        other.join(0.2)  # long enough to come in between, if it may
        return own(box)

    monkeypatch.setattr(engine, "_own", meanwhile)
    (x * 3).sum().backward()
    other.join()
    assert x.grad.tolist() == [5.0, 5.0]


def test_a_gradient_whose_elements_share_a_place_cannot_be_added_to():
    x = leaf(1.0, 2.0, 3.0)
    x.grad = minigrad.zeros(1, dtype="float64").expand(3)
    with pytest.raises(RuntimeError, match=r"backward: several elements .*\(3,\).* lie at one place"):
        (x * tensor([1.0, 2.0, 3.0], dtype="float64")).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


def test_deep_chains():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    y.backward()
    assert x.grad.tolist() == [1.0]


def test_deep_chains_of_views():
    x = leaf(1.0, 2.0)
    y = x * 1
    for _ in range(20_000):
        y = y.view(2)
    y.mul_(3)
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_wide_graphs():
    x = leaf(1.0)
    parts = [x * i for i in range(1000)]
    autograd.backward(parts)
    assert x.grad.tolist() == [sum(range(1000))]
