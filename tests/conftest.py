"""What all tests share: torch as the oracle, and matrix products on one thread."""

import importlib
import os

import pytest
from hypothesis import settings

import minigrad

settings.register_profile("minigrad", deadline=None)  # a deadline would be an assertion about time
settings.load_profile("minigrad")


@pytest.fixture(scope="session")
def torch():
    """torch; without it the test is skipped, or fails where MINIGRAD_REQUIRE_TORCH is set."""
    if "MINIGRAD_REQUIRE_TORCH" in os.environ:
        module = importlib.import_module("torch")
    else:
        module = pytest.importorskip("torch")
    module.set_num_threads(1)
    return module


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """These matrices are small, and threads that wait for each other on a busy machine cost minutes."""
    before = minigrad.get_num_threads()
    minigrad.set_num_threads(1)
    yield
    minigrad.set_num_threads(before)
