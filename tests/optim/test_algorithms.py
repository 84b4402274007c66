"""Every optimizer against plain loops over its update rule, and against PyTorch, over 20 steps and a grid of options."""

import numpy as np
import pytest

import minigrad
from minigrad import optim
from tests.floats import REDUCED
from tests.optim import rules

SHAPES = [(3, 4), (5,), (), (2, 3, 2, 2), (0, 3)]
STEPS = 20

GRID = [
    (optim.SGD, rules.sgd, {}),
    (optim.SGD, rules.sgd, {"lr": 0.1, "maximize": True}),
    (optim.SGD, rules.sgd, {"lr": 0.1, "weight_decay": 0.1}),
    (optim.SGD, rules.sgd, {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    (optim.SGD, rules.sgd, {"lr": 0.1, "momentum": 0.9}),
    (optim.SGD, rules.sgd, {"lr": 0.1, "momentum": 0.9, "maximize": True}),
    (optim.SGD, rules.sgd, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    (optim.SGD, rules.sgd, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01, "maximize": True}),
    (optim.SGD, rules.sgd, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (optim.SGD, rules.sgd, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True}),
    (optim.Adam, rules.adam, {}),
    (optim.Adam, rules.adam, {"lr": 0.1, "betas": (0.8, 0.95), "eps": 0.01}),
    (optim.Adam, rules.adam, {"lr": 0.1, "weight_decay": 0.1}),
    (optim.Adam, rules.adam, {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    (optim.Adam, rules.adam, {"lr": 0.1, "amsgrad": True, "betas": (0.9, 0.5)}),
    (optim.Adam, rules.adam, {"lr": 0.1, "maximize": True, "betas": (0.0, 0.0)}),
    (optim.Adam, rules.adam, {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    (optim.AdamW, rules.adamw, {}),
    (optim.AdamW, rules.adamw, {"lr": 0.1, "weight_decay": 0.3, "maximize": True}),
    (optim.AdamW, rules.adamw, {"lr": 0.1, "weight_decay": 0, "amsgrad": True}),
    (optim.Lion, rules.lion, {}),
    (optim.Lion, rules.lion, {"lr": 0.1, "betas": (0.5, 0.8)}),
    (optim.Lion, rules.lion, {"lr": 0.1, "weight_decay": 0.1}),
    (optim.Lion, rules.lion, {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    (optim.RMSprop, rules.rmsprop, {}),
    (optim.RMSprop, rules.rmsprop, {"alpha": 0.5, "eps": 0.1, "weight_decay": 0.1}),
    (optim.RMSprop, rules.rmsprop, {"momentum": 0.9, "maximize": True}),
    (optim.RMSprop, rules.rmsprop, {"centered": True, "eps": 0.01}),
    (optim.RMSprop, rules.rmsprop, {"centered": True, "momentum": 0.5, "weight_decay": 0.1, "maximize": True, "eps": 0.01}),
    (optim.Adagrad, rules.adagrad, {}),
    (optim.Adagrad, rules.adagrad, {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 0.1}),
    (optim.Adagrad, rules.adagrad, {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
]
IDS = [f"{kind.__name__}-{'-'.join(options) or 'defaults'}" for kind, _, options in GRID]
grid = pytest.mark.parametrize(("kind", "rule", "options"), GRID, ids=IDS)


def draws(seed=0):
    """The first values, and for every step a gradient for each parameter; None for some, as from an unused branch."""
    rng = np.random.default_rng(seed)
    values = [rng.normal(size=shape) for shape in SHAPES]
    grads = [[rng.normal(size=shape) for shape in SHAPES] for _ in range(STEPS)]
    for step in (0, 1, 7):
        grads[step][1] = None
    return values, grads


def run(kind, options, dtype="float64", layout=lambda array: array):
    """Where the parameters are after every step."""
    values, grads = draws()
    params = [minigrad.tensor(v, dtype=dtype, requires_grad=True) for v in values]
    for param in params:
        param.data = minigrad.from_numpy(layout(param.detach().numpy()))
    optimizer = kind(params, **options)
    history = []
    for step in grads:
        for param, grad in zip(params, step, strict=True):
            param.grad = None if grad is None else minigrad.tensor(grad, dtype=dtype)
        optimizer.step()
        history.append([param.detach().numpy().copy() for param in params])
    return optimizer, params, history


@grid
def test_plain_loops(kind, rule, options):
    values, grads = draws()
    _, _, history = run(kind, options)
    for i, value in enumerate(values):
        expected, states = value.copy(), [{} for _ in range(value.size)]
        flat, t = expected.reshape(-1), 0
        for step in range(STEPS):
            if grads[step][i] is not None:
                t += 1
                for j, g in enumerate(grads[step][i].reshape(-1)):
                    flat[j] = rule(flat[j], g, states[j], t, **options)
            np.testing.assert_allclose(history[step][i], expected, rtol=1e-11, atol=1e-12)


def torch_twin(torch, kind, options):
    if kind is optim.Lion:
        pytest.skip("torch has no Lion")
    values, grads = draws()
    params = [torch.nn.Parameter(torch.tensor(v)) for v in values]
    return params, getattr(torch.optim, kind.__name__)(params, **options), grads


@grid
def test_torch(kind, rule, options):
    torch = pytest.importorskip("torch")
    theirs, reference, grads = torch_twin(torch, kind, options)
    optimizer, ours, history = run(kind, options)
    for i, step in enumerate(grads):
        for param, grad in zip(theirs, step, strict=True):
            param.grad = None if grad is None else torch.tensor(grad)
        reference.step()
        for mine, other in zip(history[i], theirs, strict=True):
            np.testing.assert_allclose(mine, other.detach().numpy(), rtol=1e-11, atol=1e-12)
    for mine, other in zip(ours, theirs, strict=True):
        expected = {name: value for name, value in reference.state[other].items() if value is not None}
        assert optimizer.state[mine].keys() == expected.keys()
        for name, value in expected.items():
            found = optimizer.state[mine][name]
            found = found if name == "step" else found.numpy()
            np.testing.assert_allclose(found, value.numpy(), rtol=1e-11, atol=1e-12)


@grid
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 1e-4), *((dtype, 0.03 if dtype == "float16" else 0.1) for dtype in REDUCED)]
)
def test_other_dtypes(kind, rule, options, dtype, tolerance):
    if dtype == "float16" and kind not in (optim.SGD, optim.Lion):
        options = {**options, "eps": 0.1}  # the defaults are 0 in float16, where small squares are, too
    _, _, expected = run(kind, options)
    optimizer, params, found = run(kind, options, dtype)
    if kind is optim.Lion:  # a sign may turn out otherwise
        assert all(param.dtype == dtype for param in params)
    else:
        for mine, other in zip(found[-1], expected[-1], strict=True):
            assert mine.dtype == dtype
            np.testing.assert_allclose(mine, other, rtol=tolerance, atol=tolerance)
    for param in params:
        assert all(optimizer.state[param][name].dtype == dtype for name in optimizer.state[param] if name != "step")


@grid
def test_memory_order_does_not_matter(kind, rule, options):
    _, _, expected = run(kind, options)
    _, params, found = run(kind, options, layout=lambda array: np.array(array, order="F"))
    for mine, other in zip(found[-1], expected[-1], strict=True):
        np.testing.assert_array_equal(mine, other)
    assert params[0].stride() == (1, 3)


@pytest.mark.parametrize("rule", [rules.sgd, rules.adam, rules.adamw, rules.lion, rules.rmsprop, rules.adagrad])
def test_rules_differ(rule):
    """The loops are an oracle only if they tell the options apart."""
    name = {"lr": 0.5, "weight_decay": 0.5, "maximize": True}
    assert len({rule(1.0, 2.0, {}, 1), *(rule(1.0, 2.0, {}, 1, **{key: value}) for key, value in name.items())}) == 4


@pytest.mark.parametrize(
    ("kind", "options"),
    [(optim.Adam, {}), (optim.AdamW, {}), (optim.Adam, {"amsgrad": True}), (optim.RMSprop, {"alpha": 0.999})],
)
@pytest.mark.parametrize(("dtype", "size"), [("float16", 2000.0), ("float32", 2e20)])
def test_a_square_that_overflows_by_itself(kind, options, dtype, size):
    param = minigrad.zeros(1, dtype=dtype, requires_grad=True)
    optimizer = kind([param], lr=0.125, eps=1e-3, **options)
    param.grad = minigrad.full((1,), size, dtype=dtype)
    optimizer.step()
    expected = -0.125 if kind is not optim.RMSprop else -0.125 / 0.001**0.5
    assert param.item() == pytest.approx(expected, rel=0.01)
