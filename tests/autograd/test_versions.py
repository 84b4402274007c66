"""Changing in place what a gradient needs is an error that names both lines: the one that saved, the one that wrote."""

import inspect
import re

import pytest

import minigrad
from minigrad import tensor
from minigrad.autograd import Function


def here():
    """``file:line`` of the caller."""
    frame = inspect.currentframe().f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


@pytest.fixture
def x():
    return tensor([1.0, 2.0], requires_grad=True)


def fails(loss):
    with pytest.raises(RuntimeError) as caught:
        loss.sum().backward()
    return str(caught.value)


def test_the_error_names_both_lines(x):
    y = x * 1
    product = y * y; saved = here()  # fmt: skip # noqa: E702
    y.add_(1); written = here()  # fmt: skip # noqa: E702
    message = fails(product)
    assert f"mul at {saved} saved its input" in message
    assert f"but add_ at {written} changed it in place (version 0 then, 1 now)" in message
    assert "(float32, shape (2,))" in message
    assert ".clone()" in message


def test_lines_in_expressions_over_several_lines(x):
    y = x * 1
    product = (
        y
        * y
    )  # fmt: skip
    saved = re.escape(__file__)
    y.mul_(2)
    assert re.search(rf"mul at {saved}:\d+ saved", fails(product))


def test_lines_are_those_of_the_caller_outside_the_package(x):
    def doubled(tensor):
        return tensor.mul_(2), here()

    y = x * 1
    product, saved = (y * y), here()
    written = doubled(y)[1]
    message = fails(product)
    assert saved in message
    assert written in message


def test_the_last_of_several_writes_is_named(x):
    y = x * 1
    product = y * y
    y.add_(1)
    y.add_(2)
    y.neg_(); written = here()  # fmt: skip # noqa: E702
    assert f"neg_ at {written} changed it in place (version 0 then, 3 now)" in fails(product)


def test_a_write_before_the_use_is_harmless(x):
    y = x * 1
    y.add_(1)
    (y * y).sum().backward()
    assert x.grad.tolist() == [4.0, 6.0]


def test_a_write_to_what_nobody_needs_is_harmless(x):
    y = x * 1
    total = y + y
    y.mul_(100)
    total.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_only_what_is_needed_is_saved(x):
    constant = tensor([3.0, 4.0])
    y = x * 1
    product = y * constant
    y.add_(1)
    product.sum().backward()
    assert x.grad.tolist() == [3.0, 4.0]


def test_a_constant_factor_counts(x):
    constant = tensor([3.0, 4.0])
    product = x * constant
    constant.add_(1)
    assert "add_" in fails(product)


def test_a_leaf_changed_in_no_grad_counts(x):
    product = x * x
    with minigrad.no_grad():
        x.mul_(2)
    assert "mul_" in fails(product)


@pytest.mark.parametrize(
    "alias",
    [
        lambda y: y.view(2),
        lambda y: y.narrow(0, 0, 1),
        lambda y: y.view(2, 1).T.narrow(1, 0, 1),
        lambda y: y.detach(),
        lambda y: y.detach().view(1, 2),
        lambda y: y.unbind()[1].detach(),
    ],
)
def test_writes_through_what_shares_the_memory_count(x, alias):
    y = x * 1
    other = alias(y)
    product = y * y
    with minigrad.no_grad():
        other.zero_()
    assert "changed it in place" in fails(product)


def test_writes_to_the_base_count_for_what_a_view_saved(x):
    y = x * 1
    part = y.narrow(0, 0, 1)
    product = part * part
    y.add_(1)
    assert "changed it in place" in fails(product)


def test_writes_to_another_part_count_too(x):
    """As in PyTorch, there is one version for all the memory."""
    y = x * 1
    product = y.narrow(0, 0, 1) * y.narrow(0, 0, 1)
    y.narrow(0, 1, 1).detach().add_(1)
    assert "changed it in place" in fails(product)


def test_a_clone_is_independent(x):
    y = x * 1
    product = y * y
    y.clone().add_(1)
    product.sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_saved_outputs_are_watched(x):
    class Exponential(Function):
        @staticmethod
        def forward(ctx, x):
            result = x * 3
            ctx.save_for_backward(result)
            return result

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.saved_tensors[0]

    y = Exponential.apply(x)
    y.add_(1); written = here()  # fmt: skip # noqa: E702
    assert f"add_ at {written}" in fails(y)


def test_the_error_comes_for_second_derivatives_too(x):
    y = x * 1
    (slope,) = minigrad.autograd.grad((y * y * y).sum(), x, create_graph=True)
    with minigrad.no_grad():
        y.add_(1)
    assert "changed it in place" in fails(slope)


def by_convolution(x, w):
    return minigrad.nn.functional.conv2d(x.reshape(1, 1, 2, 2), w.reshape(1, 1, 1, 1))


def by_product(x, w):
    return x.reshape(4, 1) @ w


@pytest.mark.parametrize("operation", [by_convolution, by_product])
def test_what_only_the_second_derivative_needs_is_watched(operation):
    leaf = minigrad.ones(4, requires_grad=True)
    w = minigrad.ones(1, 1, requires_grad=True)
    x = leaf * 2
    y = operation(x, w)
    (first,) = minigrad.autograd.grad((y * y).sum(), w, create_graph=True)
    with minigrad.no_grad():
        x.mul_(2)
    with pytest.raises(RuntimeError, match=r"saved its input . .* mul_ at .* changed it in place"):
        minigrad.autograd.grad((first * first).sum(), leaf)


def test_a_failed_write_changes_nothing(x):
    y = x * 1
    product = y * y
    with pytest.raises(RuntimeError):
        y.mul_(minigrad.ones(3, 2))
    with pytest.raises(TypeError):
        y.add_("text")
    product.sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_freed_graphs_name_the_line_too(x):
    loss = (x * x).sum(); saved = here()  # fmt: skip # noqa: E702
    loss.backward()
    with pytest.raises(RuntimeError, match=re.escape(f"mul saved at {saved} were freed by an earlier backward")):
        loss.backward()
