"""The names that nn and its parts make public."""

import inspect

import pytest

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F


@pytest.mark.parametrize("module", [nn, F, nn.init, nn.utils], ids=lambda m: m.__name__)
def test_all_names_are_there_and_documented(module):
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        public = getattr(module, name)
        assert inspect.ismodule(public) or public.__doc__, name


def test_no_public_layer_is_forgotten():
    found = {
        name
        for module in vars(nn).values()
        if inspect.ismodule(module)
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, nn.Module) and not name.startswith("_")
    }
    assert found <= set(nn.__all__)


def test_names_are_pytorchs():
    torch = pytest.importorskip("torch")
    for ours, theirs in [(nn, torch.nn), (F, torch.nn.functional), (nn.init, torch.nn.init), (nn.utils, torch.nn.utils)]:
        assert [name for name in ours.__all__ if not hasattr(theirs, name)] == []


@pytest.mark.parametrize("name", [name for name in nn.__all__ if inspect.isclass(getattr(nn, name)) and name != "Parameter"])
def test_arguments_are_pytorchs(name):
    """The same names in the same order; PyTorch may have further ones at the end."""
    torch = pytest.importorskip("torch")
    mine = list(inspect.signature(getattr(nn, name).__init__).parameters)
    if mine[1:] == ["args", "kwargs"]:
        return
    theirs = list(inspect.signature(getattr(torch.nn, name).__init__).parameters)
    if name == "Embedding":  # without its limits on norms, nor sparse gradients
        theirs = [p for p in theirs if p in mine]
    assert theirs[: len(mine)] == mine


@pytest.mark.parametrize("name", [name for name in F.__all__ if hasattr(mg.ops, name)])
def test_functions_are_the_operations(name):
    assert getattr(F, name) is getattr(mg.ops, name)


def test_parameter_is_where_pytorch_has_it():
    assert nn.parameter.Parameter is nn.Parameter
