"""The classic networks of the benchmarks, on small images: what every number of threads makes of them, and how exact it is."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from benchmarks import networks
from benchmarks.train_step import ROWS
from minigrad.backends import backend_for
from minigrad.backends.generic.convolution import ConvolutionKernels as Generic
from minigrad.vision import models

# VGG and AlexNet have no layers of their own kind, but hundreds of megabytes of parameters.
NETWORKS = [name for name, row in ROWS.items() if row.train and name not in ("vgg11", "alexnet")]
# The benchmark's LeNet-5, with ReLU and max pooling, is another than the package's.
IN_THE_PACKAGE = sorted({row.network for row in ROWS.values()} & set(models.list_models()) - {"lenet5"})


@pytest.fixture(autouse=True)
def number_afterwards():
    before = minigrad.get_num_threads()
    yield
    minigrad.set_num_threads(before)


@pytest.mark.parametrize("name", IN_THE_PACKAGE)
def test_they_are_the_packages_networks(name):
    """The benchmark spells them for two libraries; what it measures must be what the package has."""
    shape = (1, 3, 224, 224) if name != "resnet20" else (1, 3, 32, 32)
    options = {"aux_logits": False} if name == "googlenet" else {}
    with minigrad.device("meta"):
        measured, packages = getattr(networks, name)(minigrad), models.get_model(name, **options)
    of_measured, of_packages = (minigrad.summary(model, shape) for model in (measured, packages))
    assert of_measured.parameters == of_packages.parameters
    assert of_measured.multiply_adds == of_packages.multiply_adds
    assert of_measured.saved_bytes == of_packages.saved_bytes
    shapes = [[tuple(parameter.shape) for parameter in model.parameters()] for model in (measured, packages)]
    assert sorted(shapes[0]) == sorted(shapes[1])


def state_after(name: str, steps: int, threads: int) -> list[np.ndarray]:
    """Parameters and running statistics of a network after some steps of training."""
    row = ROWS[name]
    minigrad.set_num_threads(threads)
    minigrad.manual_seed(0)
    model = getattr(networks, row.network)(minigrad)
    shape = (3, 64, 64) if row.shape == (3, 224, 224) else row.shape
    x, labels = minigrad.randn(8, *shape), minigrad.randint(0, row.classes, (8,))
    optimizer = minigrad.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        minigrad.nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()
    return [tensor.numpy().copy() for tensor in model.state_dict().values()]


@pytest.mark.parametrize("name", NETWORKS)
def test_same_bits_for_every_number_of_threads(name):
    expected = state_after(name, 2, 1)
    assert all(np.isfinite(array).all() for array in expected)
    for threads in (2, 4):
        for actual, single in zip(state_after(name, 2, threads), expected, strict=True):
            np.testing.assert_array_equal(actual, single)


def distance(actual: np.ndarray, expected: np.ndarray) -> float:
    """Relative, in the Euclidean norm."""
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "mlp"])
def test_every_convolutions_gradients_are_those_of_plain_sums_in_float64(name):
    """With the activations and the gradients from above as they are: ReLUs of another sign are no matter of convolution."""
    row = ROWS[name]
    minigrad.manual_seed(0)
    model = getattr(networks, row.network)(minigrad)
    seen = []

    def note(layer, inputs, output):
        entry = [layer, inputs[0].detach().numpy().copy(), None]
        output.register_hook(lambda grad: entry.__setitem__(2, grad.numpy().copy()))
        seen.append(entry)

    for layer in model.modules():
        if isinstance(layer, minigrad.nn.Conv2d):
            layer.register_forward_hook(note)
    shape = (3, 96, 96) if row.shape == (3, 224, 224) else row.shape
    x, labels = minigrad.randn(2, *shape), minigrad.randint(0, row.classes, (2,))
    minigrad.nn.functional.cross_entropy(model(x), labels).backward()
    cpu = backend_for("cpu")[0]
    assert len(seen) > 1
    for layer, x, dy in seen:
        w = layer.weight.detach().numpy()
        padding = tuple((before, before) for before in layer.padding)
        geometry = layer.stride, padding, layer.dilation, layer.groups
        wide = [array.astype(np.float64) for array in (x, w, dy)]
        of_weight = Generic.conv2d_weight_grad(cpu, wide[2], wide[0], w.shape, *geometry)
        assert distance(layer.weight.grad.numpy(), of_weight) < 1e-5
        of_input = Generic.conv2d_input_grad(cpu, wide[2], wide[1], x.shape, *geometry)
        found = cpu.conv2d_input_grad(dy, w, x.shape, *geometry)
        assert distance(found, of_input) < 1e-5
