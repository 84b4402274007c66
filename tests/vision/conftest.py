"""What the tests of networks share: torchvision as the oracle, and networks built without drawing their numbers."""

import importlib
import os
from importlib.util import find_spec

import pytest

from minigrad import Tensor, nn


@pytest.fixture(scope="session")
def torchvision(torch):
    """torchvision's models; without torchvision the test is skipped, or fails where MINIGRAD_REQUIRE_TORCH is set."""
    if "MINIGRAD_REQUIRE_TORCH" not in os.environ and find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    return importlib.import_module("tests.vision.torchvision_cpu").models


@pytest.fixture
def no_draws(monkeypatch):
    """Parameters stay as memory has them: for networks that get all their numbers later, or none."""
    monkeypatch.setattr(Tensor, "normal_", lambda tensor, *args, **options: tensor)
    monkeypatch.setattr(Tensor, "uniform_", lambda tensor, *args, **options: tensor)
    monkeypatch.setattr(nn.init, "trunc_normal_", lambda tensor, *args, **options: tensor)
