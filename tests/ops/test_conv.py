"""What the table does not show of convolution: memory, what is computed at all, and third derivatives."""

import numpy as np
import pytest

import minigrad
from minigrad import autograd
from minigrad.backends import backend_for
from minigrad.nn import functional as F
from minigrad.testing import gradgradcheck


def is_channels_last(tensor):
    return tensor.permute(0, 2, 3, 1).is_contiguous()


def leaf(*shape, dtype="float64"):
    return minigrad.tensor(np.random.default_rng(0).standard_normal(shape), dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 4])
def test_memory_is_channels_last_and_gradients_of_weights_are_contiguous(stride, groups):
    x, w, b = leaf(2, 4, 6, 7, dtype="float32"), leaf(8, 4 // groups, 3, 3, dtype="float32"), leaf(8, dtype="float32")
    y = F.conv2d(x, w, b, stride=stride, padding=1, groups=groups)
    assert is_channels_last(y)
    assert is_channels_last(F.relu(y))
    dx, dw = autograd.grad(y.sum(), (x, w))
    assert is_channels_last(dx)
    assert dw.is_contiguous()


def test_a_network_stays_channels_last():
    x, w = leaf(2, 3, 8, 8), leaf(4, 3, 3, 3)
    steps = [
        lambda h: F.conv2d(h, w, padding=1),
        lambda h: F.batch_norm(h, None, None, training=True),
        F.relu,
        lambda h: F.max_pool2d(h, 3, 2, 1),
        lambda h: F.avg_pool2d(h, 2),
        lambda h: F.adaptive_avg_pool2d(h, (2, 1)),
        lambda h: F.group_norm(h, 2),
    ]
    outputs = [x]
    for step in steps:
        outputs.append(step(outputs[-1]))
        assert is_channels_last(outputs[-1])
    for gradient in autograd.grad(outputs[-1].square().sum(), outputs[1:-1]):
        assert is_channels_last(gradient)


def test_gradient_of_an_image_is_computed_only_if_asked_for(monkeypatch):
    def refuse(*args):
        raise AssertionError("the input's gradient was computed")

    monkeypatch.setattr(type(backend_for("cpu")[0]), "conv2d_input_grad", refuse)
    w = leaf(2, 3, 3, 3)
    F.conv2d(leaf(1, 3, 5, 5).detach(), w).sum().backward()
    assert w.grad is not None
    x = leaf(1, 3, 5, 5)
    with pytest.raises(AssertionError, match="was computed"):
        F.conv2d(x, w).sum().backward()


@pytest.mark.parametrize("stride", [1, 2])
def test_third_derivatives(stride):
    def first_derivatives(x, w):
        return autograd.grad((F.conv2d(x, w, stride=stride, padding=1) ** 3).sum(), (x, w), create_graph=True)

    assert gradgradcheck(first_derivatives, (leaf(1, 1, 3, 3), leaf(1, 1, 2, 2)))


def test_changed_weight_is_noticed():
    x, w = leaf(1, 1, 3, 3), leaf(1, 1, 2, 2)
    y = F.conv2d(x, w)
    with minigrad.no_grad():
        w.add_(1)
    with pytest.raises(RuntimeError, match=r"conv2d .* saved its input 1 .* but add_ .* changed it in place"):
        y.sum().backward()


def test_same_padding_keeps_the_size_and_pads_more_at_the_end():
    x = minigrad.ones(1, 1, 3, 3)
    y = F.conv2d(x, minigrad.ones(1, 1, 2, 2), padding="same")
    assert y.tolist() == [[[[4, 4, 2], [4, 4, 2], [2, 2, 1]]]]


@pytest.mark.parametrize(
    "wrong", [{"stride": True}, {"stride": 1.0}, {"stride": (1, True)}, {"dilation": (1.0, 1)}, {"groups": True}]
)
def test_what_equals_the_arguments_of_an_earlier_call_is_not_taken_for_them(wrong):
    """Geometries that were checked before are looked up by arguments, of which ``1 == True == 1.0``."""
    image, weight = minigrad.ones(1, 2, 3, 3), minigrad.ones(2, 2, 1, 1)
    F.conv2d(image, weight, stride=(1, 1), dilation=1, groups=1)
    with pytest.raises(TypeError, match="conv2d: expected an integer"):
        F.conv2d(image, weight, **wrong)
    with pytest.raises(ValueError, match="expected input with 2 × groups=1 channels"):
        F.conv2d(minigrad.ones(1, 3, 3, 3), weight, stride=(1, 1), dilation=1, groups=1)
