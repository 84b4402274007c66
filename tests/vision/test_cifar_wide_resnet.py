"""The wide residual networks for small images: the paper's sizes, and PyTorch's results with the same weights."""

import math

import pytest

import minigrad
from minigrad import nn, optim
from minigrad.vision import models
from minigrad.vision.models import WideResNet
from tests.vision.networks import check_against_torch, losses_without_cycles, zeros_of

SMALL = {"depth": 16, "widen_factor": 2, "in_channels": 2}  # two blocks to a stage: blocks of both kinds


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


# The paper's Table 5, in millions
@pytest.mark.parametrize(
    ("build", "depth", "millions"), [(models.wide_resnet16_8, 16, 11.0), (models.wide_resnet28_10, 28, 36.5)]
)
def test_paper(build, depth, millions, no_draws):
    model = build()
    assert round(count(model) / 1e6, 1) == millions
    assert sum(isinstance(module, nn.Conv2d) for module in model.modules()) == depth
    assert build(num_classes=3, in_channels=1).fc.out_features == 3


def test_parameter_count_by_hand():
    def stage(inputs, outputs):  # two blocks
        convolutions = 9 * inputs * outputs + 3 * 9 * outputs * outputs + inputs * outputs
        return convolutions + 2 * inputs + 3 * 2 * outputs

    expected = 9 * 2 * 16 + stage(16, 32) + stage(32, 64) + stage(64, 128) + 2 * 128 + (128 * 10 + 10)
    assert count(WideResNet(**SMALL)) == expected


@pytest.mark.parametrize("depth", [0, 4, 20, 26])
def test_impossible_depths(depth):
    with pytest.raises(ValueError, match=rf"WideResNet: expected a depth of 6n \+ 4 \(16, 22, 28, \.\.\.\), got {depth}"):
        WideResNet(depth, 2)


def test_impossible_width():
    with pytest.raises(ValueError, match="WideResNet: expected a widen_factor from 1 up, got 0"):
        WideResNet(16, 0)


def test_shortcuts_only_where_the_shape_changes():
    model = WideResNet(**SMALL)
    for stage in (model.layer1, model.layer2, model.layer3):
        assert [block.shortcut is None for block in stage] == [False, True]
    assert WideResNet(16, 1).layer1[0].shortcut is None


def test_initial_weights():
    minigrad.manual_seed(0)
    for module in WideResNet(16, 4).modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * math.prod(module.kernel_size)
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.15)


def test_dropout_is_for_training_only():
    minigrad.manual_seed(0)
    model = WideResNet(**SMALL, dropout=0.5)
    x = minigrad.randn(2, 2, 8, 8)
    assert not model(x).equal(model(x))
    assert model.eval()(x).equal(model(x))
    assert models.wide_resnet16_8(dropout=0.3).layer1[0].dropout.p == 0.3


def test_dropout_is_between_the_convolutions_of_a_block():
    minigrad.manual_seed(0)
    dropped = zeros_of(WideResNet(**SMALL, dropout=0.5), minigrad.randn(2, 2, 8, 8))
    assert {name for name, is_dropped in dropped.items() if is_dropped} == {
        f"layer{stage}.{block}.conv1" for stage in (1, 2, 3) for block in (0, 1)
    }
    assert "layer3.1.conv2" in dropped


@pytest.mark.parametrize("rate", [-7, 2])
def test_rates_that_are_no_probability(rate):
    with pytest.raises(ValueError, match=rf"expected a probability p in \[0, 1\], got {rate}"):
        WideResNet(**SMALL, dropout=rate)


def torch_forward(torch, values, x, training):
    """The network written down once more, in torch's functions; ``values`` are those of minigrad's state_dict."""
    F = torch.nn.functional

    def norm_relu(name, x):
        mean, variance = values[f"{name}.running_mean"].clone(), values[f"{name}.running_var"].clone()
        return torch.relu(F.batch_norm(x, mean, variance, values[f"{name}.weight"], values[f"{name}.bias"], training))

    x = F.conv2d(x, values["conv1.weight"], padding=1)
    for stage in (1, 2, 3):
        for block in (0, 1):
            name = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            y = norm_relu(f"{name}.bn1", x)
            if block == 0:
                x = F.conv2d(y, values[f"{name}.shortcut.weight"], stride=stride)
            y = F.conv2d(y, values[f"{name}.conv1.weight"], stride=stride, padding=1)
            y = F.conv2d(norm_relu(f"{name}.bn2", y), values[f"{name}.conv2.weight"], padding=1)
            x = x + y
    return norm_relu("bn1", x).mean(dim=(2, 3)) @ values["fc.weight"].T + values["fc.bias"]


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_torch_agrees(torch, training):
    minigrad.manual_seed(2)
    check_against_torch(torch, WideResNet(**SMALL), torch_forward, training)


def test_overfits_a_batch():
    minigrad.manual_seed(0)
    model = WideResNet(10, 2, num_classes=4)
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    x, labels = minigrad.randn(8, 3, 8, 8), minigrad.arange(8) % 4
    losses = losses_without_cycles(model, optimizer, x, labels, 15)
    assert losses[-1] < 0.2 * losses[0]
