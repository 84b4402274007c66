"""DenseNet-BC for small images: the paper's sizes, and PyTorch's results with the same weights."""

import pytest

import minigrad
from minigrad import nn, optim
from minigrad.vision import models
from minigrad.vision.models import CIFARDenseNet
from tests.vision.networks import check_against_torch, losses_without_cycles, zeros_of

SMALL = {"depth": 16, "growth_rate": 4, "in_channels": 2}  # two layers to a block


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def count_by_hand(depth, growth, classes=10, in_channels=3):
    layers = (depth - 4) // 6
    channels = 2 * growth
    total = 9 * in_channels * channels
    for block in range(3):
        for _ in range(layers):
            total += 2 * channels + channels * 4 * growth + 2 * 4 * growth + 9 * 4 * growth * growth
            channels += growth
        if block < 2:
            total += 2 * channels + channels * (channels // 2)
            channels //= 2
    return total + 2 * channels + channels * classes + classes


@pytest.mark.parametrize(("build", "depth"), [(models.densenet_bc40_12, 40), (models.densenet_bc100_12, 100)])
def test_sizes(build, depth):
    model = build()
    assert count(model) == count_by_hand(depth, 12)
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in model.modules()) == depth
    assert count(build(num_classes=3, in_channels=1)) == count_by_hand(depth, 12, 3, 1)


def test_paper():
    """Table 2 has 0.8 million parameters for L = 100, k = 12."""
    assert round(count_by_hand(100, 12) / 1e6, 1) == 0.8


@pytest.mark.parametrize("depth", [0, 4, 39, 42])
def test_impossible_depths(depth):
    with pytest.raises(ValueError, match=rf"CIFARDenseNet: expected a depth of 6n \+ 4 \(40, 100, 190, \.\.\.\), got {depth}"):
        CIFARDenseNet(depth)


def test_dropout_is_for_training_only():
    minigrad.manual_seed(0)
    model = CIFARDenseNet(**SMALL, drop_rate=0.5)
    x = minigrad.randn(2, 2, 8, 8)
    assert not model(x).equal(model(x))
    assert model.eval()(x).equal(model(x))
    assert models.densenet_bc40_12(drop_rate=0.2).features.denseblock3.denselayer6.dropout2.p == 0.2


def test_dropout_is_after_every_convolution_but_the_first():
    minigrad.manual_seed(0)
    dropped = zeros_of(CIFARDenseNet(**SMALL, drop_rate=0.5), minigrad.randn(2, 2, 8, 8))
    assert len(dropped) == 1 + 3 * 2 * 2 + 2
    assert [name for name, is_dropped in dropped.items() if not is_dropped] == ["features.conv0"]


@pytest.mark.parametrize("rate", [-7, 2])
def test_rates_that_are_no_probability(rate):
    with pytest.raises(ValueError, match=rf"expected a probability p in \[0, 1\], got {rate}"):
        CIFARDenseNet(**SMALL, drop_rate=rate)


def torch_forward(torch, values, x, training):
    """The network written down once more, in torch's functions; ``values`` are those of minigrad's state_dict."""
    F = torch.nn.functional

    def norm_relu(name, x):
        mean, variance = values[f"{name}.running_mean"].clone(), values[f"{name}.running_var"].clone()
        return torch.relu(F.batch_norm(x, mean, variance, values[f"{name}.weight"], values[f"{name}.bias"], training))

    x = F.conv2d(x, values["features.conv0.weight"], padding=1)
    for block in (1, 2, 3):
        outputs = [x]
        for layer in (1, 2):
            name = f"features.denseblock{block}.denselayer{layer}"
            y = F.conv2d(norm_relu(f"{name}.norm1", torch.cat(outputs, 1)), values[f"{name}.conv1.weight"])
            y = F.conv2d(norm_relu(f"{name}.norm2", y), values[f"{name}.conv2.weight"], padding=1)
            outputs.append(y)
        x = torch.cat(outputs, 1)
        if block < 3:
            name = f"features.transition{block}"
            x = F.avg_pool2d(F.conv2d(norm_relu(f"{name}.norm", x), values[f"{name}.conv.weight"]), 2)
    return norm_relu("features.norm4", x).mean(dim=(2, 3)) @ values["classifier.weight"].T + values["classifier.bias"]


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_torch_agrees(torch, training):
    minigrad.manual_seed(2)
    check_against_torch(torch, CIFARDenseNet(**SMALL), torch_forward, training)


def test_overfits_a_batch():
    minigrad.manual_seed(0)
    model = CIFARDenseNet(**SMALL, num_classes=4)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    x, labels = minigrad.randn(8, 2, 8, 8), minigrad.arange(8) % 4
    losses = losses_without_cycles(model, optimizer, x, labels, 30)
    assert losses[-1] < 0.2 * losses[0]
