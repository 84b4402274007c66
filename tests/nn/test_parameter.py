import copy
import pickle

import pytest

import minigrad as mg
from minigrad import nn


def test_parameter_requires_grad_by_default_and_shares_memory():
    data = mg.zeros(2)
    parameter = nn.Parameter(data)
    assert parameter.requires_grad and parameter.is_leaf
    data[0] = 5
    assert parameter.tolist() == [5.0, 0.0]
    assert not nn.Parameter(data, requires_grad=False).requires_grad


def test_parameter_made_from_a_result_is_a_leaf():
    result = mg.ones(2, requires_grad=True) * 2
    assert nn.Parameter(result).is_leaf


def test_parameter_of_integers_cannot_require_grad():
    with pytest.raises(RuntimeError, match="floating"):
        nn.Parameter(mg.arange(3))
    assert nn.Parameter(mg.arange(3), requires_grad=False).dtype == mg.int64


def test_results_are_plain_tensors():
    assert type(nn.Parameter(mg.ones(2)) * 2) is mg.Tensor
    assert type(nn.Parameter(mg.ones(2)).detach()) is mg.Tensor


def test_parameter_prints_what_it_is():
    assert repr(nn.Parameter(mg.ones(2))) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_copies_are_parameters_with_memory_of_their_own(duplicate):
    parameter = nn.Parameter(mg.ones(2), requires_grad=False)
    parameter.grad = mg.ones(2)
    twin = duplicate(parameter)
    assert type(twin) is nn.Parameter and not twin.requires_grad
    assert twin.grad is None, "as in PyTorch"
    twin.fill_(3)
    assert parameter.tolist() == [1.0, 1.0]
