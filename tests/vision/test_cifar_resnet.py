"""The residual networks for small images: the paper's sizes, and PyTorch's results with the same weights."""

import math
from functools import partial

import pytest

import minigrad
from minigrad import nn, optim
from minigrad.vision import models
from minigrad.vision.models import CIFARResNet
from tests.vision.networks import check_against_torch, losses_without_cycles

# Table 6 of the paper, in millions
PAPER = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7}
SMALL = 14  # two blocks to a stage: blocks of both kinds


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("depth", PAPER)
def test_parameter_counts(depth):
    model = getattr(models, f"resnet{depth}")()
    plain = getattr(models, f"plain{depth}")()
    digits = 1 if depth == 110 else 2
    assert round(count(model) / 1e6, digits) == PAPER[depth]
    assert count(plain) == count(model)
    weighted = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(weighted) == depth


def test_parameter_count_by_hand():
    def stage(inputs, outputs, blocks):
        convolutions = 9 * inputs * outputs + (2 * blocks - 1) * 9 * outputs * outputs
        return convolutions + 2 * blocks * 2 * outputs

    expected = (27 * 16 + 32) + stage(16, 16, 3) + stage(16, 32, 3) + stage(32, 64, 3) + (64 * 10 + 10)
    assert count(models.resnet20()) == expected
    assert count(models.resnet20(num_classes=7, in_channels=1)) == expected - 2 * 9 * 16 - 3 * 65


def test_all_names_make_models():
    for depth in PAPER:
        plain = models.get_model(f"plain{depth}", num_classes=3)
        residual = models.get_model(f"resnet{depth}", num_classes=3)
        assert plain.fc.out_features == residual.fc.out_features == 3
        assert plain.layer1[0].shortcut is None
        assert isinstance(residual.layer1[0].shortcut, nn.Identity)


@pytest.mark.parametrize("depth", [0, 2, 6, 18, 21])
def test_impossible_depths(depth):
    with pytest.raises(ValueError, match=rf"CIFARResNet: expected a depth of 6n \+ 2 \(20, 32, 44, \.\.\.\), got {depth}"):
        CIFARResNet(depth)


@pytest.mark.parametrize("size", [(8, 8), (32, 32), (4, 5), (9, 7)])
@pytest.mark.parametrize("residual", [True, False])
def test_output_shapes(size, residual):
    model = CIFARResNet(8, num_classes=5, in_channels=2, residual=residual)
    assert model(minigrad.randn(3, 2, *size)).shape == (3, 5)
    assert model.eval()(minigrad.randn(1, 2, *size)).shape == (1, 5)


def test_initial_weights():
    """Of variance 2 / (9 · out_channels), as the paper (He et al., "Delving Deep into Rectifiers") has it."""
    minigrad.manual_seed(0)
    model = models.resnet20()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            weight = module.weight.numpy(force=True)
            assert weight.std() == pytest.approx(math.sqrt(2 / (9 * module.out_channels)), rel=0.2)
            assert abs(weight.mean()) < 0.1 * weight.std() + 0.01


def test_same_seed_same_model():
    minigrad.manual_seed(1)
    first = models.resnet20().state_dict()
    minigrad.manual_seed(1)
    second = models.resnet20().state_dict()
    assert all(first[name].equal(second[name]) for name in first)


def torch_forward(residual, torch, values, x, training):
    """The network written down once more, in torch's functions; ``values`` are those of minigrad's state_dict."""
    F = torch.nn.functional

    def norm(name, x):
        mean, variance = values[f"{name}.running_mean"].clone(), values[f"{name}.running_var"].clone()
        return F.batch_norm(x, mean, variance, values[f"{name}.weight"], values[f"{name}.bias"], training)

    x = torch.relu(norm("bn1", F.conv2d(x, values["conv1.weight"], padding=1)))
    for stage, channels in ((1, 16), (2, 32), (3, 64)):
        for block in range((SMALL - 2) // 6):
            name = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            y = F.conv2d(x, values[f"{name}.conv1.weight"], stride=stride, padding=1)
            y = torch.relu(norm(f"{name}.bn1", y))
            y = norm(f"{name}.bn2", F.conv2d(y, values[f"{name}.conv2.weight"], padding=1))
            if residual:
                x = x[:, :, ::stride, ::stride]
                zeros = torch.zeros(x.shape[0], (channels - x.shape[1]) // 2, *x.shape[2:], dtype=x.dtype)
                y = y + torch.cat([zeros, x, zeros], dim=1)
            x = torch.relu(y)
    return x.mean(dim=(2, 3)) @ values["fc.weight"].T + values["fc.bias"]


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("residual", [True, False], ids=["residual", "plain"])
def test_torch_agrees(torch, residual, training):
    minigrad.manual_seed(2)
    check_against_torch(torch, CIFARResNet(SMALL, in_channels=2, residual=residual), partial(torch_forward, residual), training)


def test_plain_and_residual_differ():
    minigrad.manual_seed(3)
    residual, plain = CIFARResNet(SMALL), CIFARResNet(SMALL, residual=False)
    plain.load_state_dict(residual.state_dict())
    x = minigrad.randn(4, 3, 8, 8)
    assert not minigrad.allclose(residual(x), plain(x), atol=0.1)


@pytest.mark.parametrize("residual", [True, False])
def test_training_lowers_the_loss_and_leaves_no_cycles(residual):
    minigrad.manual_seed(4)
    model = CIFARResNet(8, in_channels=1, residual=residual)
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    x, labels = minigrad.randn(16, 1, 8, 8), minigrad.randint(0, 10, (16,))

    losses = losses_without_cycles(model, optimizer, x, labels, 9)
    assert losses[-1] < 0.5 * losses[0]
