"""DenseNet: sizes, starts, old checkpoints and what trains; torchvision's results are in test_torchvision_models.py."""

import math

import pytest

import minigrad
from minigrad import nn, optim
from minigrad.vision import models
from minigrad.vision.models import DenseNet
from minigrad.vision.models.densenet import DenseBlock
from tests.vision.networks import losses_without_cycles, zeros_of


def small(**options):
    return DenseNet(growth_rate=8, block_config=(2, 2, 1), num_init_features=16, num_classes=4, **options)


@pytest.mark.parametrize(("name", "depth"), [("densenet121", 121), ("densenet169", 169)])
def test_depth(name, depth):
    model = models.get_model(name, num_classes=3)
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in model.modules()) == depth
    assert model.classifier.out_features == 3


def test_channels_by_hand():
    convolutions = {path: module for path, module in small().named_modules() if isinstance(module, nn.Conv2d)}
    assert {path: module.weight.shape[:2] for path, module in convolutions.items()} == {
        "features.conv0": (16, 3),
        "features.denseblock1.denselayer1.conv1": (32, 16),
        "features.denseblock1.denselayer1.conv2": (8, 32),
        "features.denseblock1.denselayer2.conv1": (32, 24),
        "features.denseblock1.denselayer2.conv2": (8, 32),
        "features.transition1.conv": (16, 32),
        "features.denseblock2.denselayer1.conv1": (32, 16),
        "features.denseblock2.denselayer1.conv2": (8, 32),
        "features.denseblock2.denselayer2.conv1": (32, 24),
        "features.denseblock2.denselayer2.conv2": (8, 32),
        "features.transition2.conv": (16, 32),
        "features.denseblock3.denselayer1.conv1": (32, 16),
        "features.denseblock3.denselayer1.conv2": (8, 32),
    }


def test_a_block_keeps_its_input_and_every_output():
    """The first channels of the output are the input, and every layer sees all that is before its own."""
    minigrad.manual_seed(0)
    block = DenseBlock(3, in_channels=4, growth_rate=2)
    x = minigrad.randn(2, 4, 5, 5)
    y = block(x)
    assert y.shape == (2, 10, 5, 5)
    assert y[:, :4].equal(x)
    for i, layer in enumerate(block.values()):
        seen = 4 + 2 * i
        assert y[:, seen : seen + 2].allclose(layer(y[:, :seen]), atol=1e-6)


def test_initial_weights():
    minigrad.manual_seed(0)
    model = small()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_in = module.in_channels * math.prod(module.kernel_size)
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.15)
    assert model.classifier.bias.tolist() == [0] * 4


def test_keys_of_old_files():
    """Files from before module names could not have dots: norm.1 for norm1; what only looks like that stays."""
    minigrad.manual_seed(0)
    model, other = small(), small()
    old = {}
    for key, value in model.state_dict().items():
        if "denselayer" in key:
            for new in ("norm1", "norm2", "conv1", "conv2"):
                key = key.replace(f".{new}.", f".{new[:-1]}.{new[-1]}.")
        if not key.endswith("num_batches_tracked"):  # newer than those files, too
            old[key] = value
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    assert "features.transition1.norm.weight" in old
    before = list(old)
    other.load_state_dict(old)
    assert list(old) == before
    x = minigrad.randn(2, 3, 32, 32)
    assert other.eval()(x).equal(model.eval()(x))


def test_old_keys_within_a_larger_network():
    minigrad.manual_seed(0)
    model = nn.Sequential(small(), nn.Linear(4, 2))
    state = model.state_dict()
    key = "0.features.denseblock1.denselayer1.conv1.weight"
    state[key.replace("conv1", "conv.1")] = state.pop(key) + 1
    state["denselayer1.conv.1.weight"] = minigrad.zeros(1)  # not the DenseNet's
    with pytest.raises(RuntimeError, match=r"unexpected: denselayer1\.conv\.1\.weight$"):
        model.load_state_dict(state)
    del state["denselayer1.conv.1.weight"]
    expected = state[key.replace("conv1", "conv.1")]
    model.load_state_dict(state)
    assert model.state_dict()[key].equal(expected)


def test_dropout_is_for_training_only():
    minigrad.manual_seed(0)
    model = small(drop_rate=0.5)
    x = minigrad.randn(2, 3, 32, 32)
    assert not model(x).equal(model(x))
    assert model.eval()(x).equal(model(x))
    assert models.densenet121(drop_rate=0.2).features.denseblock4.denselayer16.dropout2.p == 0.2


def test_dropout_is_after_the_3x3_convolutions():
    dropped = {name: kind for name, kind in zeros_of(small(drop_rate=0.5), minigrad.randn(2, 3, 32, 32)).items() if kind}
    assert len(dropped) == 5
    assert all(name.endswith(".conv2") for name in dropped)


@pytest.mark.parametrize("rate", [-7, 2, -0.1])
def test_rates_that_are_no_probability(rate):
    with pytest.raises(ValueError, match=rf"expected a probability p in \[0, 1\], got {rate}"):
        small(drop_rate=rate)


@pytest.mark.parametrize("size", [(29, 29), (32, 64)])
def test_output_shapes(size):
    model = DenseNet(growth_rate=4, block_config=(1, 1, 1, 1), num_init_features=8, num_classes=5, in_channels=1)
    assert model.eval()(minigrad.randn(2, 1, *size)).shape == (2, 5)


def test_overfits_a_batch():
    minigrad.manual_seed(0)
    model = small()
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    x, labels = minigrad.randn(8, 3, 32, 32), minigrad.arange(8) % 4
    losses = losses_without_cycles(model, optimizer, x, labels, 20)
    assert losses[-1] < 0.1 * losses[0]
