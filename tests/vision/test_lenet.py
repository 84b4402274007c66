"""LeNet-5: the paper's counts and its table of connections, and what torch's functions compute with the same weights."""

from types import SimpleNamespace

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.testing import gradcheck, gradgradcheck
from minigrad.vision.models.lenet import TABLE_I, LeNet5, PartialConv2d, Subsampling, lenet5, squash
from tests.vision.networks import count, overfit, patterns, trace

# The paper's Table I as it is printed: a row for each map of S2, a column for each map of C3.
PRINTED = (
    "X...XXX..XXXX.XX",
    "XX...XXX..XXXX.X",
    "XXX...XXX..X.XXX",
    ".XXX..XXXX..X.XX",
    "..XXX..XXXX.XX.X",
    "...XXX..XXXX.XXX",
)


def test_parameter_counts():
    """Section II B of the paper names each; together they are its 60,000."""
    model = lenet5()
    paper = {"c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48120, "f6": 10164}
    assert {name: count(getattr(model, name)) for name in paper} == paper
    assert sum(paper.values()) == 60000
    assert count(model) == 60000 + 84 * 10 + 10
    assert count(lenet5(connections="full")) == count(model) - 1516 + (16 * 6 * 25 + 16)
    assert count(lenet5(num_classes=7, in_channels=3)) == count(model) + 2 * 6 * 25 - 3 * 85


def test_connections_of_the_printed_table():
    assert tuple("".join("X" if row in maps else "." for maps in TABLE_I) for row in range(6)) == PRINTED
    assert sum(row.count("X") for row in PRINTED) == 60


@pytest.mark.parametrize("connections", ["partial", "full"])
def test_sizes(connections):
    shapes, operations = trace(LeNet5(connections=connections), minigrad.randn(2, 1, 32, 32))
    expected = {"c1": (6, 28, 28), "s2": (6, 14, 14), "c3": (16, 10, 10), "s4": (16, 5, 5), "c5": (120, 1, 1), "f6": (84,)}
    assert {name: shapes[name][1:] for name in expected} == expected
    assert shapes["output"] == (2, 10)
    assert operations["c1"] == 2 * 6 * 28 * 28 * 25
    assert operations["c5"] == 2 * 120 * 16 * 25


def test_errors():
    with pytest.raises(ValueError, match="LeNet5: expected connections to be 'partial' or 'full', got 'half'"):
        LeNet5(connections="half")
    with pytest.raises(ValueError, match=r"c5"):
        LeNet5()(minigrad.randn(2, 1, 28, 28))


def test_partial_convolution_by_loops():
    minigrad.manual_seed(0)
    maps = ((0, 2), (1,), (0, 1, 2))
    layer = PartialConv2d(3, maps, 2).double()
    x = minigrad.randn(2, 3, 4, 3, dtype=minigrad.float64)
    weight, bias, image = layer.weight.numpy(force=True), layer.bias.numpy(force=True), x.numpy()
    expected = np.zeros((2, 3, 3, 2)) + bias[:, None, None]
    filters = iter(weight)
    for out, row in enumerate(maps):
        for channel in row:
            kernel = next(filters)
            for i in range(3):
                for j in range(2):
                    expected[:, out, i, j] += (image[:, channel, i : i + 2, j : j + 2] * kernel).sum(axis=(1, 2))
    assert next(filters, None) is None
    np.testing.assert_allclose(layer(x).numpy(force=True), expected, rtol=1e-12)
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_partial_convolution_derivatives():
    layer = PartialConv2d(2, ((1,), (0, 1)), 2).double()

    def convolve(x, weight, bias):
        return PartialConv2d.forward(SimpleNamespace(weight=weight, bias=bias, places=layer.places), x)

    x = minigrad.randn(1, 2, 3, 3, dtype=minigrad.float64, requires_grad=True)
    assert gradcheck(convolve, (x, layer.weight, layer.bias))
    assert gradgradcheck(convolve, (x, layer.weight, layer.bias))


def test_subsampling_is_the_papers():
    """The sum of four, times a coefficient that is a quarter of ``weight``, plus a bias."""
    layer = Subsampling(2).double()
    with minigrad.no_grad():
        layer.weight.copy_(minigrad.tensor([2.0, -1.0]).reshape(2, 1, 1))
        layer.bias.copy_(minigrad.tensor([0.5, 3.0]).reshape(2, 1, 1))
    x = np.random.default_rng(0).standard_normal((3, 2, 4, 6))
    sums = x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]
    expected = sums * np.array([2.0, -1.0]).reshape(2, 1, 1) / 4 + np.array([0.5, 3.0]).reshape(2, 1, 1)
    np.testing.assert_allclose(layer(minigrad.tensor(x)).numpy(force=True), expected, rtol=1e-12)
    fresh = Subsampling(2)
    assert fresh(minigrad.ones(1, 2, 2, 2)).tolist() == [[[[1.0]], [[1.0]]]]


def test_squash():
    """The paper: f(1) = 1, f(-1) = -1, and the second derivative is largest there."""
    x = minigrad.tensor([0.0, 1.0, -1.0, 100.0], dtype=minigrad.float64)
    np.testing.assert_allclose(squash(x).numpy(), [0, 1, -1, 1.7159], atol=1e-4)


def test_initial_weights():
    minigrad.manual_seed(1)
    model = LeNet5()
    for layer, inputs in ((model.c5, 400), (model.f6, 120), (model.output, 84)):
        assert layer.weight.numpy(force=True).std() == pytest.approx(inputs**-0.5, rel=0.15)
        assert not layer.bias.numpy(force=True).any()
    weight = model.c3.weight.numpy(force=True)
    assert weight[:18].std() == pytest.approx(75**-0.5, rel=0.15)
    assert weight[18:54].std() == pytest.approx(100**-0.5, rel=0.15)
    assert weight[54:].std() == pytest.approx(150**-0.5, rel=0.25)


@pytest.mark.parametrize("connections", ["partial", "full"])
def test_torch_agrees(torch, connections):
    F = torch.nn.functional
    minigrad.manual_seed(2)
    model = LeNet5(in_channels=2, connections=connections).double()
    values = {name: torch.from_numpy(value.numpy(force=True).copy()) for name, value in model.state_dict().items()}
    for value in values.values():
        value.requires_grad_()
    x = minigrad.randn(3, 2, 32, 32, dtype=minigrad.float64, requires_grad=True)
    torch_x = torch.from_numpy(x.numpy(force=True).copy()).requires_grad_()

    def squashed(x):
        return 1.7159 * torch.tanh(2 / 3 * x)

    def layer(name, x, weight=None):
        return squashed(F.conv2d(x, values[f"{name}.weight"] if weight is None else weight, values[f"{name}.bias"]))

    def subsampled(name, x):
        return squashed(F.avg_pool2d(x, 2) * values[f"{name}.weight"] + values[f"{name}.bias"])

    def c3(x):
        if connections == "full":
            return layer("c3", x)
        full = torch.zeros(16, 6, 5, 5, dtype=torch.float64)
        there = [(column, row) for column in range(16) for row in range(6) if PRINTED[row][column] == "X"]
        full = full.index_put(tuple(torch.tensor(there).T), values["c3.weight"])
        return layer("c3", x, full)

    y = c3(subsampled("s2", layer("c1", torch_x)))
    y = layer("c5", subsampled("s4", y)).flatten(1)
    y = squashed(F.linear(y, values["f6.weight"], values["f6.bias"]))
    expected = F.linear(y, values["output.weight"], values["output.bias"])
    F.cross_entropy(expected, torch.tensor([1, 0, 9])).backward()
    output = model(x)
    nn.functional.cross_entropy(output, minigrad.tensor([1, 0, 9])).backward()

    np.testing.assert_allclose(output.numpy(force=True), expected.detach().numpy(), rtol=1e-9)
    np.testing.assert_allclose(x.grad.numpy(), torch_x.grad.numpy(), rtol=1e-7, atol=1e-12)
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(parameter.grad.numpy(), values[name].grad.numpy(), rtol=1e-7, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("connections", ["partial", "full"])
def test_overfits_a_batch(connections):
    minigrad.manual_seed(3)
    losses = overfit(LeNet5(connections=connections), patterns(10, 1, 32, 32), lr=0.003, steps=60)
    assert losses[0] > 1.5
    assert losses[-1] < 0.1


def test_made_on_the_meta_device():
    """The table of connections is in no state dict, and not needed there."""
    minigrad.manual_seed(4)
    model = LeNet5()
    with minigrad.device("meta"):
        other = LeNet5()
    other.load_state_dict(model.state_dict(), assign=True)
    x = minigrad.randn(2, 1, 32, 32)
    assert other(x).equal(model(x))
