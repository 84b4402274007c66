"""The multi-tensor optimizer steps: what they check, that they stay off the tape, and that they work on any backend."""

import numpy as np
import pytest

import minigrad
from minigrad.ops import optimizer as steps
from tests.strict_backend import strict_backend

SGD = {"lr": 0.1, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1, "nesterov": False, "maximize": False}
ADAM = {"lr": 0.1, "betas": (0.9, 0.99), "eps": 0.1, "weight_decay": 0.1, "decoupled": True, "maximize": True}
LION = {"lr": 0.1, "betas": (0.9, 0.99), "weight_decay": 0.1, "maximize": True}
RMSPROP = {"lr": 0.1, "alpha": 0.9, "eps": 0.1, "weight_decay": 0.1, "momentum": 0.5, "maximize": False}
ADAGRAD = {"lr": 0.1, "lr_decay": 0.1, "eps": 0.1, "weight_decay": 0.1, "maximize": False}
# operation, number of states, whether it takes the numbers of the steps, options
OPERATIONS = [
    (steps.sgd_step_, 1, False, SGD),
    (steps.sgd_step_, 1, False, {**SGD, "dampening": 0, "nesterov": True, "maximize": True}),
    (steps.adam_step_, 3, True, ADAM),
    (steps.adam_step_, 3, True, {**ADAM, "decoupled": False}),
    (steps.lion_step_, 1, False, LION),
    (steps.rmsprop_step_, 3, False, RMSPROP),
    (steps.adagrad_step_, 1, True, ADAGRAD),
]
operations = pytest.mark.parametrize(("operation", "states", "counted", "options"), OPERATIONS)
SHAPES = [(2, 3), (), (4,)]


def draw(states, devices=("cpu",) * 3):
    """Parameters, gradients and states, positive; of three states the middle one is small, for a centered variance's sake."""
    rng = np.random.default_rng(0)
    columns = []
    for scale in [1, 1, 1, 0.1, 1][: 2 + states]:
        arrays = [rng.uniform(0.5, 1, size=shape) * scale for shape in SHAPES]
        columns.append([minigrad.tensor(array).to(device) for array, device in zip(arrays, devices, strict=True)])
    for param in columns[0]:
        param.requires_grad_()
    return columns


def run(operation, columns, counted, options):
    operation(*columns, *([[3, 4, 5]] if counted else []), **options)
    return [[tensor.detach().cpu().numpy() for tensor in column] for column in columns]


@operations
def test_strict_backend(operation, states, counted, options):
    expected = run(operation, draw(states), counted, options)
    with strict_backend():
        columns = draw(states, ("strict",) * 3)
        found = run(operation, columns, counted, options)
        assert all(tensor.device == "strict" for column in columns for tensor in column)
    for a, b in zip(expected, found, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-6)


@operations
def test_parameters_on_several_backends(operation, states, counted, options):
    expected = run(operation, draw(states), counted, options)
    with strict_backend():
        found = run(operation, draw(states, ("cpu", "strict", "cpu")), counted, options)
    for a, b in zip(expected, found, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-6)


@operations
def test_nothing_is_recorded_and_versions_rise(operation, states, counted, options):
    columns = draw(states)
    losses = [(param * param).sum() for param in columns[0]]
    run(operation, columns, counted, options)
    assert all(tensor.is_leaf for column in columns for tensor in column)
    for loss in losses:
        with pytest.raises(RuntimeError, match=rf"{operation.__name__} at .*test_optimizer.py:\d+ changed it in place"):
            loss.backward()


@operations
def test_no_parameters(operation, states, counted, options):
    operation(*[[] for _ in range(2 + states)], *([[]] if counted else []), **options)


def test_overflow_is_no_warning():
    params, grads = [minigrad.ones(2, dtype="float16")], [minigrad.full((2,), 1e4, dtype="float16")]
    state = [minigrad.zeros(2, dtype="float16")]
    steps.adagrad_step_(params, grads, state, [1], **ADAGRAD)
    assert state[0].tolist() == [float("inf")] * 2


def ones(*shape, dtype="float32"):
    return minigrad.ones(*shape, dtype=dtype)


@pytest.mark.parametrize(
    ("params", "grads", "buffers", "error", "message"),
    [
        ([ones(2)], [], [ones(2)], ValueError, "sgd_step_: expected a gradient for each of 1 parameters, got 0"),
        (
            [ones(2)],
            [ones(2)],
            [ones(2)] * 2,
            ValueError,
            "sgd_step_: expected a momentum_buffer for each of 1 parameters, got 2",
        ),
        (
            [ones(2)],
            [ones(1)],
            [ones(2)],
            ValueError,
            r"expected the gradient of parameter 0 .* shape \(2,\) on cpu, got .* \(1,\)",
        ),
        (
            [ones(2)] * 2,
            [ones(2)] * 2,
            [ones(2), ones(3)],
            ValueError,
            "expected the momentum_buffer of parameter 1 to be like it",
        ),
        ([ones(2)], [ones(2, dtype="float64")], [ones(2)], ValueError, "expected .* float32 of .*, got float64"),
        (
            [ones(2, dtype="int64")],
            [ones(2, dtype="int64")],
            [ones(2, dtype="int64")],
            TypeError,
            "floating parameters, .* int64",
        ),
        ([ones(1).expand(2)], [ones(2)], [ones(2)], RuntimeError, "sgd_step_: several elements of this tensor"),
    ],
)
def test_bad_input_changes_nothing(params, grads, buffers, error, message):
    before = [tensor.clone() for tensor in (*params, *buffers)]
    with pytest.raises(error, match=message):
        steps.sgd_step_(params, grads, buffers, **SGD)
    for old, new in zip(before, (*params, *buffers), strict=True):
        np.testing.assert_array_equal(old.numpy(), new.numpy())


def test_gradient_on_another_device():
    with strict_backend(), pytest.raises(ValueError, match=r"on cpu, got .* on strict"):
        steps.sgd_step_([ones(2)], [ones(2).to("strict")], [], **{**SGD, "momentum": 0})
