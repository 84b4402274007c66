"""Function: PyTorch's protocol for operations of one's own, all of ctx."""

import pytest

import minigrad
from minigrad import autograd, tensor
from minigrad.autograd import Function, once_differentiable
from minigrad.testing import gradcheck, gradgradcheck


def leaf(*values):
    return tensor(values, dtype="float64", requires_grad=True)


class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return 3 * x * x * grad


class Square(Function):
    """In the other style, with setup_context; saves its output too."""

    @staticmethod
    def forward(x, scale):
        return x * x * scale

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, ctx.scale = inputs
        ctx.save_for_backward(x, None, output)

    @staticmethod
    def backward(ctx, grad):
        x, nothing, output = ctx.saved_tensors
        assert nothing is None
        assert output.shape == x.shape
        return 2 * ctx.scale * x * grad, None


def function(forward, backward=None):
    """A Function with the given methods."""
    members = {"forward": staticmethod(forward)}
    if backward is not None:
        members["backward"] = staticmethod(backward)
    return type("Mine", (Function,), members)


def test_both_styles_and_both_derivatives():
    assert gradcheck(Cube.apply, leaf(1.0, -2.0))
    assert gradgradcheck(Cube.apply, leaf(1.0, -2.0))
    assert gradcheck(Square.apply, (leaf(1.0, -2.0), 3))
    assert gradgradcheck(Square.apply, (leaf(1.0, -2.0), 3))


def test_inside_larger_graphs():
    x = leaf(2.0)
    (Cube.apply(x * 3) * x).backward()
    assert x.grad.item() == 27 * 4 * 8


def test_forward_is_not_recorded():
    recorded = []

    def forward(ctx, x):
        y = x * 2
        recorded.append((y.requires_grad, minigrad.is_grad_enabled()))
        return y

    y = function(forward, lambda ctx, grad: grad).apply(leaf(1.0))
    assert recorded == [(False, False)]
    assert y.requires_grad
    assert repr(y.grad_fn) == "<Mine>"


def test_nothing_is_recorded_where_nobody_asks():
    assert not Cube.apply(tensor([1.0])).requires_grad
    with minigrad.no_grad():
        assert not Cube.apply(leaf(1.0)).requires_grad


def test_needs_input_grad():
    seen = []

    def forward(ctx, x, number, y, z):
        seen.append(ctx.needs_input_grad)
        return x * y * z

    def backward(ctx, grad):
        seen.append(ctx.needs_input_grad)
        return grad, None, grad, None

    x, y, z = leaf(1.0), leaf(1.0), tensor([1.0], dtype="float64")
    out = function(forward, backward).apply(x, 5, y, z)
    out.backward(retain_graph=True)
    autograd.grad(out, y)
    assert seen == [(True, False, True, False), (True, False, True, False), (False, False, True, False)]


# --- saving ------------------------------------------------------------------------------------------------------------


def test_saved_inputs_are_part_of_the_graph_and_are_the_leaves_themselves():
    seen = []

    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x * y

    def backward(ctx, grad):
        seen.append(ctx.saved_tensors)
        return grad, grad

    x = leaf(1.0)
    y = x * 2
    function(forward, backward).apply(x, y).backward()
    assert seen[0][0] is x
    assert seen[0][1].grad_fn is y.grad_fn


def test_saved_outputs_have_a_derivative():
    class Exponential(Function):
        @staticmethod
        def forward(ctx, x):
            result = tensor([2.718281828459045**v for v in x.tolist()], dtype="float64")
            ctx.save_for_backward(result)
            return result

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.saved_tensors[0]

    assert gradcheck(Exponential.apply, leaf(0.5, -1.0))
    assert gradgradcheck(Exponential.apply, leaf(0.5, -1.0))


@pytest.mark.parametrize(
    "name", ["inputs", "outputs", "input", "output", "saved", "name", "constant", "target", "hooks", "edges"]
)
def test_attributes_of_ctx_may_have_any_name(name):
    def forward(ctx, x):
        setattr(ctx, name, 3)
        ctx.save_for_backward(x)
        return x * x * x

    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return getattr(ctx, name) * x * x * grad

    x = leaf(2.0)
    y = function(forward, backward).apply(x)
    y.backward(retain_graph=True)
    autograd.backward(y, inputs=[x])
    assert x.grad.item() == 24.0


def test_attributes_of_ctx_show_in_grad_fn():
    def forward(ctx, x):
        ctx.scale = 3
        return x * 3

    node = function(forward).apply(leaf(2.0)).grad_fn
    assert node.scale == 3
    assert repr(node) == "<Mine>"
    with pytest.raises(AttributeError, match="shift"):
        _ = node.shift


def test_saved_intermediate_tensors_are_constants_that_are_watched():
    def forward(ctx, x):
        ctx.middle = x * 5
        ctx.save_for_backward(ctx.middle)
        return x * 5

    def backward(ctx, grad):
        (middle,) = ctx.saved_tensors
        assert not middle.requires_grad
        return middle * grad

    x = leaf(2.0)
    y = function(forward, backward).apply(x)
    y.backward(retain_graph=True)
    assert x.grad.item() == 10.0
    y.grad_fn.middle.add_(1)
    with pytest.raises(RuntimeError, match=r"Mine at .* saved its tensor .* add_ .* changed it in place"):
        y.backward()


def test_saved_inputs_are_watched():
    x = leaf(2.0)
    y = x * 1
    z = Cube.apply(y)
    y.add_(1)
    with pytest.raises(RuntimeError, match=r"Cube at .* saved its input 0 .* add_ .* changed it in place"):
        z.backward()


def test_saved_tensors_are_freed():
    y = Cube.apply(leaf(2.0))
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match=r"the tensors that Cube saved .* were freed"):
        y.backward()


def test_without_saved_tensors():
    def backward(ctx, grad):
        assert ctx.saved_tensors == ()
        return grad * 7

    x = leaf(2.0)
    function(lambda ctx, x: x * 7, backward).apply(x).backward()
    assert x.grad.item() == 7.0


def test_only_tensors_are_saved():
    def forward(ctx, x):
        ctx.save_for_backward(x, 3)

    with pytest.raises(
        TypeError, match="save_for_backward: expected Tensors or None, got int; keep other things as attributes"
    ):
        function(forward).apply(leaf(1.0))


# --- several outputs ---------------------------------------------------------------------------------------------------


class Both(Function):
    """(2x, 3x), and what else there may be: an integer tensor, a number."""

    @staticmethod
    def forward(ctx, x):
        return x * 2, x * 3, tensor([1, 2]), "text"

    @staticmethod
    def backward(ctx, double, triple, integers, text):
        Both.seen = (double, triple, integers, text)
        return double * 2 + triple * 3


def test_several_outputs():
    x = leaf(1.0)
    double, triple, integers, text = Both.apply(x)
    assert text == "text"
    assert not integers.requires_grad
    (double * 10 + triple).backward()
    assert x.grad.item() == 23.0


def test_missing_gradients_are_zeros():
    x = leaf(1.0)
    double, triple, *_ = Both.apply(x)
    triple.backward()
    assert x.grad.item() == 3.0
    assert Both.seen[0].tolist() == [0.0]
    assert Both.seen[0].dtype == "float64"
    assert Both.seen[2].tolist() == [0, 0]
    assert Both.seen[3] is None


def test_or_none_where_that_is_asked_for():
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 2, x * 3

    def backward(ctx, double, triple):
        assert double is None
        return triple * 3

    x = leaf(1.0)
    _, triple = function(forward, backward).apply(x)
    triple.backward()
    assert x.grad.item() == 3.0


def test_a_tuple_of_one_stays_a_tuple():
    x = leaf(2.0)
    (y,) = function(lambda ctx, x: (x * 2,), lambda ctx, grad: (grad * 2,)).apply(x)
    y.backward()
    assert x.grad.item() == 2.0


def test_mark_non_differentiable():
    def forward(ctx, x):
        rounded = x * 0
        ctx.mark_non_differentiable(rounded)
        return x * 2, rounded

    def backward(ctx, grad, none):
        assert none.tolist() == [0.0]
        return grad * 2

    x = leaf(1.0)
    double, rounded = function(forward, backward).apply(x)
    assert not rounded.requires_grad
    assert double.requires_grad
    (double + rounded).backward()
    assert x.grad.item() == 2.0


# --- in place, and views -----------------------------------------------------------------------------------------------


class DoubleInPlace(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(2)

    @staticmethod
    def backward(ctx, grad):
        return grad * 2


def test_mark_dirty():
    x = leaf(3.0)
    y = x * 5
    z = DoubleInPlace.apply(y)
    assert z is y
    assert y.tolist() == [30.0]
    (y * y).backward()
    assert x.grad.item() == 2 * 30 * 10


def test_dirty_tensors_that_were_saved_before_are_noticed():
    x = leaf(3.0)
    y = x * 5
    product = y * y
    DoubleInPlace.apply(y)
    with pytest.raises(RuntimeError, match="changed it in place"):
        product.backward()


def test_dirty_views_change_their_base():
    x = leaf(3.0, 4.0)
    y = x * 5
    DoubleInPlace.apply(y.narrow(0, 0, 1))
    y.sum().backward()
    assert x.grad.tolist() == [10.0, 5.0]


def test_a_leaf_must_not_be_dirty():
    with pytest.raises(RuntimeError, match="DoubleInPlace: a leaf tensor that requires grad"):
        DoubleInPlace.apply(leaf(1.0))


def test_what_is_dirty_is_returned():
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(2) * 1

    with pytest.raises(RuntimeError, match="Mine: a tensor that was marked dirty must be returned"):
        function(forward, lambda ctx, grad: grad).apply(leaf(1.0) * 1)


def test_saved_dirty_tensors_are_the_new_values():
    def forward(ctx, x):
        ctx.mark_dirty(x)
        x.mul_(2)
        ctx.save_for_backward(x)
        return x

    def backward(ctx, grad):
        return ctx.saved_tensors[0] * grad

    x = leaf(3.0)
    function(forward, backward).apply(x * 1).backward()
    assert x.grad.item() == 6.0


def test_saved_dirty_tensors_have_the_place_of_the_result():
    def forward(ctx, x):
        ctx.mark_dirty(x)
        x.reciprocal_()
        ctx.save_for_backward(x)
        return x

    def backward(ctx, grad):
        (result,) = ctx.saved_tensors
        return -grad * result * result

    mine = function(forward, backward)
    assert gradcheck(lambda x: mine.apply(x * 1), leaf(2.0, -0.5))
    assert gradgradcheck(lambda x: mine.apply(x * 1), leaf(2.0, -0.5))


@pytest.mark.parametrize("forward", [lambda ctx, x: x, lambda ctx, x: x.view(1, 1), lambda ctx, x: x.narrow(0, 0, 1)])
def test_results_that_share_an_inputs_memory_keep_it_from_silent_changes(forward):
    mine = function(forward, lambda ctx, grad: grad.view(1) * 10)
    x = leaf(3.0)
    y = x * 1
    z = mine.apply(y)
    assert z is not y
    (z * z).sum().backward()
    assert x.grad.item() == 60.0
    z = mine.apply(y)
    with pytest.raises(RuntimeError, match="view"):
        z.mul_(3)
    product = z * z
    y.add_(1)
    with pytest.raises(RuntimeError, match="changed it in place"):
        product.sum().backward()


def test_results_in_memory_of_their_own_may_change():
    x = leaf(3.0)
    y = function(lambda ctx, x: x * 2, lambda ctx, grad: grad * 2).apply(x)
    y.mul_(5)
    y.backward()
    assert x.grad.item() == 10.0


# --- what backward returns ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda grad: (), RuntimeError, "Mine.backward: expected 2 gradients, one per argument of forward, got 0"),
        (lambda grad: grad, RuntimeError, "Mine.backward: expected 2 gradients, one per argument of forward, got 1"),
        (lambda grad: (grad, None, grad), RuntimeError, "expected 2 gradients, one per argument of forward, got 3"),
        (lambda grad: (grad, grad), RuntimeError, "Mine.backward: expected None for argument 1, which was no tensor"),
        (lambda grad: (3.0, None), TypeError, "Mine.backward: expected a Tensor or None for argument 0, got float"),
        (lambda grad: (grad.view(1, 2), None), RuntimeError, r"a gradient of shape \(2,\) for argument 0, got \(1, 2\)"),
        (lambda grad: (grad.sum(), None), RuntimeError, r"a gradient of shape \(2,\) for argument 0, got \(\)"),
    ],
)
def test_what_does_not_fit(result, error, message):
    mine = function(lambda ctx, x, factor: x * factor, lambda ctx, grad: result(grad))
    with pytest.raises(error, match=message):
        mine.apply(leaf(1.0, 2.0), 3).sum().backward()


def test_what_fits():
    def backward(ctx, grad):
        return [(grad * 3).to("float32"), None, grad, None]

    x = leaf(1.0, 2.0)
    mine = function(lambda ctx, x, factor, constant: x * factor * constant, backward)
    mine.apply(x, 3, tensor([1.0, 1.0], dtype="float64")).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    assert x.grad.dtype == "float64"


def test_none_is_no_gradient():
    x, y = leaf(1.0), leaf(1.0)
    mine = function(lambda ctx, x, y: x * y, lambda ctx, grad: (grad, None))
    mine.apply(x, y).backward()
    assert x.grad.item() == 1.0
    assert y.grad is None
    with pytest.raises(RuntimeError, match="not used"):
        autograd.grad(mine.apply(x, y), y)


def test_methods_must_be_there():
    with pytest.raises(NotImplementedError, match="static method forward"):
        type("Empty", (Function,), {}).apply(leaf(1.0))
    with pytest.raises(NotImplementedError, match="static method backward"):
        function(lambda ctx, x: x * 2).apply(leaf(1.0)).backward()


# --- derivatives of backward -------------------------------------------------------------------------------------------


class Once(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        assert not minigrad.is_grad_enabled()
        (x,) = ctx.saved_tensors
        return 2 * x * grad


def test_once_differentiable_refuses_a_second_derivative():
    x = leaf(3.0)
    assert autograd.grad(Once.apply(x), x)[0].item() == 6.0
    (first,) = autograd.grad(Once.apply(x), x, create_graph=True)
    assert first.item() == 6.0
    for loss in (first, first * x):
        with pytest.raises(RuntimeError, match=r"Once.backward is marked once_differentiable: it has no derivative"):
            loss.backward(retain_graph=True)


def test_once_differentiable_leaves_other_paths_alone():
    x, w = leaf(3.0), leaf(5.0)
    (first,) = autograd.grad(Once.apply(x) * w, x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        autograd.grad(first, w)
    (second,) = autograd.grad(w * w * first.detach(), w)
    assert second.item() == 2 * 5 * 30


def test_a_function_with_a_recorded_forward_of_its_own():
    """enable_grad inside forward, as checkpointing does."""

    class Checkpoint(Function):
        @staticmethod
        def forward(ctx, run, x):
            ctx.run = run
            ctx.save_for_backward(x)
            return run(x)

        @staticmethod
        def backward(ctx, grad):
            x = ctx.saved_tensors[0].detach().requires_grad_()
            with minigrad.enable_grad():
                y = ctx.run(x)
            y.backward(grad)
            return None, x.grad

    x = leaf(2.0)
    Checkpoint.apply(lambda x: x * x * x, x * 5).backward()
    assert x.grad.item() == 3 * 100 * 5
