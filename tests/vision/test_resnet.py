"""ResNet, Wide ResNet and ResNeXt: sizes, starts and what trains; torchvision's results are in test_torchvision_models.py."""

import math

import pytest

import minigrad
from minigrad import nn, optim
from minigrad.vision import models
from minigrad.vision.models import BasicBlock, Bottleneck, ResNet
from tests.vision.networks import losses_without_cycles

SMALL = (1, 1, 1, 1)


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


# Rounded to the digit that the papers' tables have: He et al. give depths, Xie et al. and Zagoruyko et al. parameters.
@pytest.mark.parametrize(
    ("name", "depth", "millions"),
    [("resnet18", 18, 11.7), ("resnet34", 34, 21.8), ("resnet50", 50, 25.6), ("resnext50_32x4d", 50, 25.0)],
)
def test_depth_and_parameters(name, depth, millions):
    model = models.get_model(name)
    outside = [path for path, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len([path for path in outside if "downsample" not in path]) == depth
    assert round(count(model) / 1e6, 1) == millions


def test_width_of_bottlenecks():
    wide = ResNet(Bottleneck, SMALL, width_per_group=128)
    grouped = ResNet(Bottleneck, SMALL, groups=32, width_per_group=4)
    assert [getattr(wide, f"layer{i}")[0].conv2.weight.shape for i in (1, 4)] == [(128, 128, 3, 3), (1024, 1024, 3, 3)]
    assert [getattr(grouped, f"layer{i}")[0].conv2.weight.shape for i in (1, 4)] == [(128, 4, 3, 3), (1024, 32, 3, 3)]
    for model in (wide, grouped):
        assert model.layer4[0].conv3.out_channels == 2048


def test_shortcuts_only_where_the_shape_changes():
    basic, bottleneck = ResNet(BasicBlock, (2, 1, 1, 1)), ResNet(Bottleneck, (2, 1, 1, 1))
    assert [block.downsample is None for block in basic.layer1] == [True, True]
    assert [block.downsample is None for block in bottleneck.layer1] == [False, True]
    assert basic.layer2[0].downsample[0].weight.shape == (128, 64, 1, 1)


def test_initial_weights():
    minigrad.manual_seed(0)
    model = ResNet(Bottleneck, SMALL)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * math.prod(module.kernel_size)
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.1)
        elif isinstance(module, nn.BatchNorm2d):
            assert module.weight.unique().tolist() == [1]


@pytest.mark.parametrize(("block", "last"), [(BasicBlock, "bn2"), (Bottleneck, "bn3")])
def test_zero_init_residual(block, last):
    """Each block without a projection gives back what it gets, which after a ReLU is not negative."""
    model = ResNet(block, (2, 1, 1, 1), zero_init_residual=True)
    for path, parameter in model.named_parameters():
        if path.endswith(f".{last}.weight") and path.startswith("layer"):
            assert parameter.unique().tolist() == [0], path
    x = minigrad.rand(2, 64 * block.expansion, 4, 4)
    assert model.layer1[1](x).equal(x)
    assert not ResNet(block, (2, 1, 1, 1)).layer1[1](x).allclose(x, atol=0.1)


def test_builders_pass_zero_init_residual_on():
    assert models.resnet18(zero_init_residual=True).layer1[0].bn2.weight.unique().tolist() == [0]
    assert models.resnext50_32x4d(zero_init_residual=True).layer1[0].bn3.weight.unique().tolist() == [0]


def test_bad_arguments():
    for layers in [(2, 2, 2), (2, 2, 2, 0), (1,) * 5]:
        with pytest.raises(ValueError, match="ResNet: expected the number of blocks in each of four stages, got"):
            ResNet(BasicBlock, layers)
    with pytest.raises(ValueError, match="BasicBlock: expected groups=1 and width_per_group=64, got 1 and 128"):
        ResNet(BasicBlock, SMALL, width_per_group=128)


@pytest.mark.parametrize("size", [(1, 1), (32, 32), (33, 65)])
def test_output_shapes(size):
    model = ResNet(BasicBlock, SMALL, num_classes=5, in_channels=2)
    assert model.eval()(minigrad.randn(3, 2, *size)).shape == (3, 5)


@pytest.mark.parametrize(
    ("block", "options"),
    [(BasicBlock, {}), (Bottleneck, {}), (Bottleneck, {"groups": 32, "width_per_group": 4})],
    ids=["basic", "bottleneck", "grouped"],
)
def test_overfits_a_batch_and_leaves_no_cycles(block, options):
    minigrad.manual_seed(0)
    model = ResNet(block, SMALL, num_classes=4, **options)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    x, labels = minigrad.randn(8, 3, 32, 32), minigrad.arange(8) % 4

    losses = losses_without_cycles(model, optimizer, x, labels, 10)
    assert losses[-1] < 0.1 * losses[0]
