import math

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.nn import utils


def with_grads(*grads):
    parameters = []
    for grad in grads:
        parameter = nn.Parameter(mg.zeros(np.shape(grad)))
        parameter.grad = mg.tensor(grad)
        parameters.append(parameter)
    return parameters


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, math.inf])
@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_clip_grad_norm(p, limit):
    grads = [np.array([[3.0, -4.0]], "f"), np.array([12.0, 0.5, 1.0], "f")]
    parameters = with_grads(*grads) + [nn.Parameter(mg.zeros(2))]
    whole = np.concatenate([g.ravel() for g in grads])
    norm = np.linalg.norm(whole, p)
    held = [parameter.grad for parameter in parameters[:2]]
    total = utils.clip_grad_norm_(iter(parameters), limit, norm_type=p)
    assert total.ndim == 0 and total.item() == pytest.approx(norm, rel=1e-6)
    for parameter, before, grad in zip(parameters, grads, held, strict=False):
        assert parameter.grad is grad
        np.testing.assert_allclose(grad.numpy(), before * min(1.0, limit / norm), rtol=1e-5)
    assert parameters[2].grad is None


def test_clip_grad_norm_of_one_tensor_and_of_nothing():
    (parameter,) = with_grads([3.0, 4.0])
    utils.clip_grad_norm_(parameter, 1.0)
    np.testing.assert_allclose(parameter.grad.numpy(), [0.6, 0.8], rtol=1e-5)
    assert utils.clip_grad_norm_([nn.Parameter(mg.zeros(2))], 1.0).item() == 0


def test_the_norm_as_a_word():
    assert utils.clip_grad_norm_(with_grads([3.0, -4.0]), 1.0, norm_type="inf").item() == 4.0
    with pytest.raises(ValueError, match="could not convert string to float: 'largest'"):
        utils.clip_grad_norm_(with_grads([3.0]), 1.0, norm_type="largest")


def test_a_norm_that_is_not_finite():
    parameters = with_grads([math.nan, 1.0])
    with pytest.raises(RuntimeError, match="clip_grad_norm_: expected a finite norm"):
        utils.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
    assert parameters[0].grad.tolist()[1] == 1.0
    assert math.isnan(utils.clip_grad_norm_(parameters, 1.0).item())


def test_clip_grad_value():
    parameters = with_grads([3.0, -4.0, 0.5]) + [nn.Parameter(mg.zeros(2))]
    grad = parameters[0].grad
    utils.clip_grad_value_(parameters, 1)
    assert parameters[0].grad is grad and grad.tolist() == [1.0, -1.0, 0.5]


def test_parameters_to_vector_and_back():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    vector = utils.parameters_to_vector(model.parameters())
    assert vector.shape == (2 * 3 + 3 + 3 + 1,)
    vector.sum().backward()
    assert model[0].weight.grad.tolist() == [[1.0, 1.0]] * 3
    identities = [id(p) for p in model.parameters()]
    utils.vector_to_parameters(mg.arange(13.0), model.parameters())
    assert [id(p) for p in model.parameters()] == identities
    assert utils.parameters_to_vector(model.parameters()).tolist() == list(range(13))
    assert model[0].weight.is_leaf


@pytest.mark.parametrize(
    ("vector", "error", "message"),
    [
        (mg.ones(3), ValueError, r"expected a vector of 4 elements, got shape \(3,\)"),
        (mg.ones(2, 2), ValueError, r"expected a vector of 4 elements, got shape \(2, 2\)"),
        ([1.0, 2.0, 3.0, 4.0], TypeError, "expected a Tensor, got list"),
    ],
)
def test_vectors_that_do_not_fit(vector, error, message):
    weight = mg.zeros(4)
    with pytest.raises(error, match=message):
        utils.vector_to_parameters(vector, [weight])
    assert weight.tolist() == [0.0] * 4
