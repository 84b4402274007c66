"""The VGG networks: the paper's table 2, by hand, and the shapes on the way."""

import functools
import inspect
import math

import pytest

import minigrad
from minigrad import nn
from minigrad.vision.models import vgg
from minigrad.vision.models.vgg import VGG
from tests.vision.networks import count, overfit, patterns, trace

# The paper's table 1: how many 3×3 convolutions in each of the five stages; its table 2: parameters in millions.
CONVOLUTIONS = {"vgg11": (1, 1, 2, 2, 2), "vgg13": (2, 2, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
PAPER = {"vgg11": 133, "vgg13": 133, "vgg16": 138, "vgg19": 144}
THIN = ((8,), (16, 16), (24,))


def channels_by_hand(name):
    """(in_channels, out_channels) of every convolution."""
    channels = 3
    for repeats, width in zip(CONVOLUTIONS[name], (64, 128, 256, 512, 512)):
        for _ in range(repeats):
            yield channels, width
            channels = width


def linear_by_hand(hidden, num_classes):
    return hidden * (512 * 7 * 7 + 1) + hidden * (hidden + 1) + num_classes * (hidden + 1)


@pytest.fixture
def narrow(monkeypatch):
    """The builders make networks of 32 hidden numbers instead of 4096: nine tenths of the weights are in linear layers."""
    monkeypatch.setattr(vgg, "VGG", functools.partial(VGG, hidden=32))


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_parameter_counts(name, narrow):
    convolutions = [9 * before * after + after for before, after in channels_by_hand(name)]
    assert round((sum(convolutions) + linear_by_hand(4096, 1000)) / 1e6) == PAPER[name]
    model = getattr(vgg, name)()
    assert count(model) == sum(convolutions) + linear_by_hand(32, 1000)
    weighted = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(weighted) == int(name.removeprefix("vgg"))
    assert [count(module) for module in weighted[:-3]] == convolutions


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_batch_norm_stands_behind_every_convolution(name, narrow):
    model = getattr(vgg, f"{name}_bn")(num_classes=3, in_channels=1, dropout=0.1)
    expected = []
    for repeats in CONVOLUTIONS[name]:
        expected += ["Conv2d", "BatchNorm2d", "ReLU"] * repeats + ["MaxPool2d"]
    assert [type(layer).__name__ for layer in model.features] == expected
    plain = getattr(vgg, name)(num_classes=3, in_channels=1)
    assert count(model) == count(plain) + 2 * sum(after for _, after in channels_by_hand(name))
    assert plain.features[0].weight.shape == (64, 1, 3, 3)
    assert [layer.p for layer in model.classifier if isinstance(layer, nn.Dropout)] == [0.1, 0.1]


def test_hidden_layers():
    assert inspect.signature(VGG).parameters["hidden"].default == 4096
    model = VGG(((512,),), num_classes=10, hidden=64)
    assert count(model.classifier) == linear_by_hand(64, 10)


def test_sizes(narrow):
    """Each max pooling halves the size; the multiply-adds are a sum by hand."""
    shapes, operations = trace(vgg.vgg16(), minigrad.randn(1, 3, 64, 64))
    sizes = {name: shape[1:] for name, shape in shapes.items() if name in ("features.4", "features.9", "features.16")}
    assert sizes == {"features.4": (64, 32, 32), "features.9": (128, 16, 16), "features.16": (256, 8, 8)}
    assert shapes["features"] == (1, 512, 2, 2)
    assert shapes["avgpool"] == (1, 512, 7, 7)
    widths = [size for size, repeats in zip((64, 32, 16, 8, 4), CONVOLUTIONS["vgg16"]) for _ in range(repeats)]
    by_hand = [size**2 * 9 * before * after for size, (before, after) in zip(widths, channels_by_hand("vgg16"))]
    assert operations["features"] == sum(by_hand)


@pytest.mark.parametrize("size", [(8, 8), (32, 32), (17, 30)])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_any_configuration(size, batch_norm):
    model = VGG(THIN, num_classes=5, in_channels=2, batch_norm=batch_norm, hidden=12)
    assert model(minigrad.randn(3, 2, *size)).shape == (3, 5)
    assert model.eval()(minigrad.randn(1, 2, *size)).shape == (1, 5)
    assert model.classifier[0].weight.shape == (12, 24 * 7 * 7)


def test_initial_weights():
    minigrad.manual_seed(0)
    model = VGG(((64,), (128, 128)), batch_norm=True, hidden=256)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            convolution = isinstance(module, nn.Conv2d)
            deviation = math.sqrt(2 / (9 * module.out_channels)) if convolution else 0.01
            assert module.weight.numpy(force=True).std() == pytest.approx(deviation, rel=0.1)
            assert not module.bias.numpy(force=True).any()


@pytest.mark.parametrize("batch_norm", [True, False])
def test_overfits_a_batch(batch_norm):
    minigrad.manual_seed(1)
    model = VGG(((16,), (32, 32), (64,)), num_classes=4, batch_norm=batch_norm, hidden=256)
    losses = overfit(model, patterns(4, 3, 32, 32), lr=0.001, steps=100)
    assert losses[0] > 1.2
    assert losses[-1] < 0.1
