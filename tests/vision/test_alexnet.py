"""Both AlexNets: the papers' sizes and counts, and what the original computes, written down once more."""

import functools
import importlib

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.vision.models.alexnet import AlexNet, AlexNetOriginal, alexnet_original
from tests.vision.networks import count, overfit, patterns, trace

# the name stands for the function in the package above it
file = importlib.import_module("minigrad.vision.models.alexnet")
THIN = {"channels": (16, 32, 48, 48, 32), "hidden": 64}


@pytest.fixture(scope="module")
def original():
    return alexnet_original()


def test_parameter_counts(original):
    """Kernels as section 3.5 of the paper names them: 48, 192 and 192 of the channels before, on one GPU."""
    convolutions = 96 * (11 * 11 * 3 + 1) + 256 * (5 * 5 * 48 + 1) + 384 * (3 * 3 * 256 + 1)
    convolutions += 384 * (3 * 3 * 192 + 1) + 256 * (3 * 3 * 192 + 1)
    linear = 4096 * (256 * 6 * 6 + 1) + 4096 * (4096 + 1) + 1000 * (4096 + 1)
    assert count(original) == convolutions + linear == 60965224
    assert count(AlexNetOriginal(10, in_channels=1, **THIN)) == count(AlexNetOriginal(12, **THIN)) - 16 * 242 - 2 * 65


def test_sizes_of_the_original(original):
    """227 → 55 → 27 → 13 → 6, and 724 million multiply-adds."""
    shapes, operations = trace(original, minigrad.randn(1, 3, 227, 227))
    features = [shapes[f"features.{i}"][1:] for i in range(len(original.features))]
    expected = [(96, 55, 55)] * 3 + [(96, 27, 27)] + [(256, 27, 27)] * 3 + [(256, 13, 13)] + [(384, 13, 13)] * 4
    assert features == expected + [(256, 13, 13)] * 2 + [(256, 6, 6)]
    assert shapes[""] == (1, 1000)
    convolutions = 55 * 55 * 96 * 363 + 27 * 27 * 256 * 1200 + 13 * 13 * (384 * 2304 + 384 * 1728 + 256 * 1728)
    assert operations[""] == convolutions + 9216 * 4096 + 4096 * 4096 + 4096 * 1000 == 724406816


def test_sizes_of_the_other():
    model = AlexNet(num_classes=7, in_channels=1, **THIN)
    for height, width, out in ((224, 224, 6), (63, 63, 1), (64, 100, None)):
        shapes, _ = trace(model, minigrad.randn(2, 1, height, width))
        if out is not None:
            assert shapes["features"] == (2, 32, out, out)
        assert shapes["avgpool"] == (2, 32, 6, 6)
        assert shapes[""] == (2, 7)


def test_initial_weights_of_the_original(original):
    modules = [module for module in original.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for module in modules:
        drawn = module.weight.numpy(force=True).reshape(-1)[:1_000_000]
        assert drawn.std() == pytest.approx(0.01, rel=0.05)
        assert abs(drawn.mean()) < 2e-4
    # "the second, fourth, and fifth convolutional layers, as well as the fully-connected hidden layers"
    assert [set(module.bias.tolist()) for module in modules] == [{0.0}, {1.0}, {0.0}, {1.0}, {1.0}, {1.0}, {1.0}, {0.0}]


def test_response_normalization_is_the_papers(original):
    """b(i) = a(i) / (2 + 10⁻⁴ · Σ a(j)²)^0.75, with j from i − 2 to i + 2 within the channels."""
    a = 100 * np.random.default_rng(0).standard_normal((2, 7, 3, 2))
    expected = np.empty_like(a)
    for i in range(7):
        near = a[:, max(0, i - 2) : min(7, i + 3)]
        expected[:, i] = a[:, i] / (2 + 1e-4 * (near**2).sum(axis=1)) ** 0.75
    layers = [layer for layer in original.features if isinstance(layer, nn.LocalResponseNorm)]
    assert len(layers) == 2
    for layer in layers:
        np.testing.assert_allclose(layer(minigrad.tensor(a)).numpy(), expected, rtol=1e-12)


def test_torch_agrees_on_the_original(torch):
    """Values and gradients; dropout is left out."""
    F = torch.nn.functional
    minigrad.manual_seed(1)
    model = AlexNetOriginal(5, dropout=0.0, **THIN).double()
    values = {name: torch.from_numpy(value.numpy(force=True).copy()) for name, value in model.state_dict().items()}
    names = [name.removesuffix(".weight") for name in values if name.endswith("weight")]
    for value in values.values():
        value.requires_grad_()
    x = 60 * minigrad.randn(2, 3, 227, 227, dtype=minigrad.float64)

    def convolved(i, x, **options):
        return torch.relu(F.conv2d(x, values[f"{names[i]}.weight"], values[f"{names[i]}.bias"], **options))

    def linear(i, x):
        return F.linear(x, values[f"{names[i]}.weight"], values[f"{names[i]}.bias"])

    def normalized(x):
        squares = F.pad(x**2, (0, 0, 0, 0, 2, 2))
        sums = sum(squares[:, i : i + x.shape[1]] for i in range(5))
        return x / (2 + 1e-4 * sums) ** 0.75

    y = F.max_pool2d(normalized(convolved(0, torch.from_numpy(x.numpy()), stride=4)), 3, 2)
    y = F.max_pool2d(normalized(convolved(1, y, padding=2, groups=2)), 3, 2)
    y = convolved(3, convolved(2, y, padding=1), padding=1, groups=2)
    y = F.max_pool2d(convolved(4, y, padding=1, groups=2), 3, 2).flatten(1)
    expected = linear(7, torch.relu(linear(6, torch.relu(linear(5, y)))))
    F.cross_entropy(expected, torch.tensor([4, 2])).backward()
    output = model(x)
    nn.functional.cross_entropy(output, minigrad.tensor([4, 2])).backward()

    np.testing.assert_allclose(output.numpy(force=True), expected.detach().numpy(), rtol=1e-9)
    for name, parameter in model.named_parameters():
        wanted = values[name].grad.numpy()
        np.testing.assert_allclose(parameter.grad.numpy(), wanted, rtol=1e-7, atol=1e-10 * abs(wanted).max(), err_msg=name)


@pytest.mark.parametrize("name", ["AlexNet", "AlexNetOriginal"])
def test_arguments_reach_the_network(name, monkeypatch):
    monkeypatch.setattr(file, name, functools.partial(getattr(file, name), **THIN))
    build = file.alexnet if name == "AlexNet" else file.alexnet_original
    model = build(num_classes=3, in_channels=2, dropout=0.25)
    # the original leaves out outputs of the hidden layers, the other one inputs
    kinds = ["Dropout", "Linear", "ReLU"] if name == "AlexNet" else ["Linear", "ReLU", "Dropout"]
    assert [type(layer).__name__ for layer in model.classifier] == kinds * 2 + ["Linear"]
    assert [layer.p for layer in model.classifier if isinstance(layer, nn.Dropout)] == [0.25, 0.25]
    assert model(minigrad.randn(2, 2, 227, 227)).shape == (2, 3)


def test_overfits_a_batch():
    minigrad.manual_seed(2)
    model = AlexNet(4, dropout=0.2, channels=(32, 64, 96, 64, 64), hidden=256)
    losses = overfit(model, patterns(4, 3, 63, 63), lr=0.001, steps=80)
    assert losses[0] > 1.2
    assert losses[-1] < 0.1


def test_the_original_overfits_a_batch():
    minigrad.manual_seed(3)
    model = AlexNetOriginal(4, dropout=0.2, channels=(32, 64, 96, 64, 64), hidden=256)
    losses = overfit(model, 60 * patterns(4, 3, 227, 227), lr=0.001, steps=80)
    assert losses[0] > 1.2
    assert losses[-1] < 0.1
