"""The classic networks of the benchmarks, on small images: what every number of threads makes of them."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from benchmarks import networks
from benchmarks.train_step import ROWS

# VGG and AlexNet have no layers of their own kind, but hundreds of megabytes of parameters.
NETWORKS = [name for name, row in ROWS.items() if row.train and name not in ("vgg11", "alexnet")]


@pytest.fixture(autouse=True)
def number_afterwards():
    before = minigrad.get_num_threads()
    yield
    minigrad.set_num_threads(before)


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
