"""The optimizer steps of the CUDA backend, by its kernels on an emulated GPU, against the generic ones; and the numbers of
steps that are recorded into a CUDA graph."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import backends, optim
from minigrad.backends.cuda import optimizer as tuned
from minigrad.backends.cuda.hyperparameters import NUMBERS, PAGE, Recording, recording
from minigrad.backends.generic.optimizer import OptimizerKernels
from tests.fake_cupy import fake_cupy
from tests.floats import FLOATS


class Plain(OptimizerKernels):
    xp = np


@pytest.fixture
def backend():
    with fake_cupy():
        yield backends.backend_for("cuda")[0]


SHAPES = [(7, 5), (1,), (), (0, 4), (5, 2, 3, 3), (4096,), (4097,), (3, 4099), (16, 8, 1, 1)]
TOLERANCES = {"float64": (1e-12, 1e-13), "float32": (2e-6, 1e-6), "float16": (2e-3, 2e-3), "bfloat16": (1.6e-2, 1.6e-2)}
# kernel, the ranges of its states, which of them are absent, whether it takes steps, options
CALLS = {
    "sgd": ("sgd_step", [1], [0], False, {"momentum": 0, "dampening": 0, "nesterov": False, "maximize": False}),
    "momentum": ("sgd_step", [1], [], False, {"momentum": 0.9, "dampening": 0.1, "nesterov": False, "maximize": True}),
    "nesterov": ("sgd_step", [1], [], False, {"momentum": 0.9, "dampening": 0, "nesterov": True, "maximize": False}),
    "adam": (
        "adam_step",
        [1, 1, 1],
        [2],
        True,
        {"beta1": 0.9, "beta2": 0.99, "eps": 0.1, "decoupled": False, "maximize": True},
    ),
    "adamw": (
        "adam_step",
        [1, 1, 1],
        [2],
        True,
        {"beta1": 0.9, "beta2": 0.99, "eps": 0.1, "decoupled": True, "maximize": False},
    ),
    "amsgrad": (
        "adam_step",
        [1, 1, 1],
        [],
        True,
        {"beta1": 0.9, "beta2": 0.99, "eps": 0.1, "decoupled": False, "maximize": False},
    ),
    "lion": ("lion_step", [1], [], False, {"beta1": 0.9, "beta2": 0.99, "maximize": True}),
    "rmsprop": ("rmsprop_step", [1, 0.1, 1], [1, 2], False, {"alpha": 0.9, "eps": 0.1, "momentum": 0, "maximize": True}),
    "rmsprop with momentum": (
        "rmsprop_step",
        [1, 0.1, 1],
        [1],
        False,
        {"alpha": 0.9, "eps": 0.1, "momentum": 0.5, "maximize": False},
    ),
    "rmsprop centered": ("rmsprop_step", [1, 0.1, 1], [2], False, {"alpha": 0.9, "eps": 0.1, "momentum": 0, "maximize": False}),
    "rmsprop with both": (
        "rmsprop_step",
        [1, 0.1, 1],
        [],
        False,
        {"alpha": 0.9, "eps": 0.1, "momentum": 0.5, "maximize": False},
    ),
    "adagrad": ("adagrad_step", [1], [], True, {"lr_decay": 0.1, "eps": 0.1, "maximize": False}),
}


def columns_of(ranges, absent, dtype, shapes=SHAPES):
    """Parameters, gradients and states, positive: a centered variance must have a square root."""
    random = np.random.default_rng(0)
    found = [[np.array(random.uniform(0.1, 1, shape), dtype) for shape in shapes] for _ in range(2)]
    for i, scale in enumerate(ranges):
        found.append([] if i in absent else [np.array(random.uniform(0.1, 1, shape) * scale, dtype) for shape in shapes])
    return found


def there(backend, columns):
    return [[backend.from_host(array) for array in column] for column in columns]


def check(backend, name, arrays, columns, tolerance, steps=None, **options):
    """A step of arrays on the device, against the generic one in float64 from the same numbers."""
    kernel = CALLS[name][0]
    exact = [[np.array(array, np.float64) for array in column] for column in columns]
    numbers = [] if steps is None else [steps]
    getattr(Plain(), kernel)(*exact, *numbers, **options)
    getattr(backend, kernel)(*arrays, *numbers, **options)
    for i, (expected, found, before) in enumerate(zip(exact, arrays, columns, strict=True)):
        for a, b, c in zip(expected, found, before, strict=True):
            np.testing.assert_allclose(backend.to_host(b), a, *tolerance)
            if i == 1:
                np.testing.assert_array_equal(backend.to_host(b), c)


@pytest.mark.parametrize("weight_decay", [0, 0.1])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", CALLS)
def test_the_rules_are_the_generic_ones(backend, name, dtype, weight_decay):
    _, ranges, absent, has_steps, options = CALLS[name]
    columns = columns_of(ranges, absent, dtype)
    steps = [float(2 - i % 2) for i in range(len(SHAPES))] if has_steps else None
    arrays = there(backend, columns)
    check(backend, name, arrays, columns, TOLERANCES[dtype], steps, lr=0.1, weight_decay=weight_decay, **options)


def test_a_step_is_the_same_bits_every_time(backend):
    _, ranges, absent, _, options = CALLS["amsgrad"]
    results = []
    for _ in range(2):
        arrays = there(backend, columns_of(ranges, absent, "float32"))
        backend.adam_step(*arrays, [3] * len(SHAPES), lr=0.1, weight_decay=0.1, **options)
        results.append([backend.to_host(array).tobytes() for column in arrays for array in column])
    assert results[0] == results[1]


def laid_out(array, way):
    """The same numbers in another memory order, or with gaps."""
    if way == "reversed":
        return np.array(array.T, order="C").T
    if way == "channels last":
        return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    if way == "sliced":
        return np.repeat(array, 2, axis=-1)[..., ::2]
    return array


@pytest.mark.parametrize(
    "ways", [("channels last",) * 4, ("", "channels last", "", "sliced"), ("sliced", "", "reversed", "sliced")]
)
def test_any_memory_order(backend, ways):
    shapes = [(4, 3, 3, 2), (8, 8, 1, 1), (0, 2, 2, 2)]
    columns = columns_of([1, 1, 1], [2], "float32", shapes)
    arrays = [[laid_out(array, way) for array in column] for way, column in zip((*ways, ""), columns)]
    fake = type(backend.xp.empty(0))
    arrays = [[fake(array) for array in column] for column in arrays]
    strides = [[array.strides for array in column] for column in arrays]
    options = CALLS["adamw"][-1]
    check(backend, "adamw", arrays, columns, TOLERANCES["float32"], [1] * 3, lr=0.1, weight_decay=0.1, **options)
    assert [[array.strides for array in column] for column in arrays] == strides


def test_arrays_that_begin_anywhere(backend):
    memory = [backend.from_host(np.arange(40, dtype="float32")) for _ in range(2)]
    param, grad = memory[0][1:20], memory[1][3:22]
    backend.sgd_step([param], [grad], [], lr=1.0, weight_decay=0, **CALLS["sgd"][-1])
    expected = np.arange(40.0)
    expected[1:20] -= np.arange(3, 22)
    np.testing.assert_array_equal(backend.to_host(memory[0]), expected)


class Launches:
    """Counts the launches of a backend's kernels, and keeps their grids and arguments."""

    def __init__(self, backend, monkeypatch):
        self.names, self.grids, self.arguments = [], [], []
        kernels = backend.kernels

        def find(family, name, dtype):
            def launch(grid, block, *arguments):
                self.names.append(name)
                self.grids.append(grid)
                self.arguments.append(arguments)
                kernels(family, name, dtype)(grid, block, *arguments)

            return launch

        monkeypatch.setattr(backend, "kernels", find)


def test_many_parameters_in_few_launches(backend, monkeypatch):
    launches = Launches(backend, monkeypatch)
    shapes = [(i % 7, 3) for i in range(150)]
    columns = columns_of([1], [], "float32", shapes)
    arrays = there(backend, columns)
    for i in range(0, 150, 5):  # two dtypes
        for column in arrays:
            column[i] = column[i].astype("float64")
    check(backend, "lion", arrays, columns, TOLERANCES["float32"], lr=0.1, weight_decay=0.1, **CALLS["lion"][-1])
    assert launches.names == ["lion"] * 3
    assert tuned.LAUNCH.itemsize < 4096
    launches.grids.clear()
    sizes = [1, 4096, 0, 4097, 9000]
    params, grads = ([backend.xp.ones(size, dtype="float32") for size in sizes] for _ in range(2))
    backend.sgd_step(params, grads, [], lr=0.5, weight_decay=0, **CALLS["sgd"][-1])
    assert launches.grids == [(1 + 1 + 0 + 2 + 3,)]
    assert all((backend.to_host(param) == 0.5).all() for param in params)


def test_nothing_to_step(backend):
    for kernel, states, _, steps, options in CALLS.values():
        empty = [[] for _ in range(2 + len(states))]
        getattr(backend, kernel)(*empty, *([[]] if steps else []), lr=0.1, weight_decay=0, **options)


def test_a_direction_that_is_nan(backend):
    arrays = there(backend, [[np.ones(3, "float32")], [np.array([np.nan, 0, -1], "float32")], [np.zeros(3, "float32")]])
    backend.lion_step(*arrays, lr=0.5, weight_decay=0, beta1=0.5, beta2=0.5, maximize=False)
    np.testing.assert_array_equal(backend.to_host(arrays[0][0]), [np.nan, 1, 1.5])


@pytest.mark.parametrize("kind", [optim.Adam, optim.RMSprop])
def test_a_square_that_overflows_by_itself(backend, kind):
    param = mg.zeros(1, device="cuda", requires_grad=True)
    param.grad = mg.full((1,), 2e20, device="cuda")
    kind([param], lr=0.125, **({"alpha": 0.999} if kind is optim.RMSprop else {})).step()
    assert param.item() == pytest.approx(-0.125 if kind is optim.Adam else -0.125 / 0.001**0.5, rel=0.01)


# --- gradients unscaled --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
def test_unscaled_as_generic(backend, dtype):
    (columns, _) = columns_of([], [], dtype)
    (arrays,) = there(backend, [columns])
    scale = backend.from_host(np.array(3.0, "float32"))
    exact = [np.array(array, np.float64) for array in columns]
    assert Plain().unscale(exact, np.array(3.0, "float32")) == 0
    assert backend.to_host(backend.unscale(arrays, scale)) == 0
    for array, expected in zip(arrays, exact, strict=True):
        np.testing.assert_allclose(backend.to_host(array), expected, *TOLERANCES[dtype])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_one_gradient_that_is_not_finite(backend, bad, dtype):
    scale = backend.from_host(np.array(2.0, "float32"))
    sizes = [5, 4096, 4099, 9000]
    for which, place in ((0, 4), (1, 0), (2, 4096), (2, 4098), (3, 8999)):
        arrays = [np.full(size, 4.0, dtype) for size in sizes]
        arrays[which][place] = bad
        (arrays,) = there(backend, [arrays])
        found = backend.unscale(arrays, scale)
        assert (found.shape, found.dtype, backend.to_host(found)) == ((), "float32", 1)
        assert backend.to_host(arrays[which])[place - 1] == 2


@pytest.mark.parametrize("way", ["reversed", "channels last", "sliced"])
def test_gradients_in_any_memory_order_unscaled(backend, way):
    values = np.random.default_rng(0).normal(size=(4, 3, 3, 2)).astype("float32")
    grad = type(backend.xp.empty(0))(laid_out(values, way))
    before = grad.strides
    assert backend.to_host(backend.unscale([grad], backend.from_host(np.array(4.0, "float32")))) == 0
    np.testing.assert_array_equal(backend.to_host(grad), values / 4)
    assert grad.strides == before


def test_many_gradients_unscaled_in_few_launches(backend, monkeypatch):
    launches = Launches(backend, monkeypatch)
    grads = [backend.xp.ones((i % 7, 3), dtype="float64" if i % 5 == 0 else "float32") for i in range(150)]
    scale = backend.from_host(np.array(2.0, "float32"))
    assert backend.to_host(backend.unscale(grads, scale)) == 0 and launches.names == ["unscale"] * 3
    assert all((backend.to_host(grad) == 0.5).all() for grad in grads)
    for none in ([], [backend.xp.ones((0, 3), dtype="float32")]):
        assert backend.to_host(backend.unscale(none, scale)) == 0


# --- recorded into a CUDA graph ------------------------------------------------------------------------------------------


class Graph:
    """What a CUDA graph does: the launches that were asked for run when it is replayed, with the arguments that they had."""

    def __init__(self, backend, monkeypatch):
        self.backend, self.launches = backend, []
        self._monkeypatch = monkeypatch

    def capture(self, step):
        kernels = self.backend.kernels
        with self._monkeypatch.context() as patched:
            patched.setattr(
                self.backend, "kernels", lambda *which: lambda *given: self.launches.append((kernels(*which), given))
            )
            step()

    def replay(self):
        for kernel, given in self.launches:
            kernel(*given)


OPTIMIZERS = {
    "SGD": lambda groups: optim.SGD(groups, lr=0.1, momentum=0.9, dampening=0.5, weight_decay=0.1),
    "Adam": lambda groups: optim.Adam(groups, lr=0.01),
    "Lion": lambda groups: optim.Lion(groups, lr=0.01),
    "RMSprop": lambda groups: optim.RMSprop(groups, lr=0.01, centered=True, momentum=0.5),
    "Adagrad": lambda groups: optim.Adagrad(groups, lr=0.1, lr_decay=0.1),
}


def model(make, device):
    """Parameters in two groups, an optimizer, a schedule, and gradients that stay where they are."""
    random = np.random.default_rng(0)
    params = [mg.tensor(random.normal(size=(3, 4)), device=device, requires_grad=True) for _ in range(3)]
    for param in params:
        param.grad = mg.tensor(random.normal(size=(3, 4)), device=device)
    optimizer = make([{"params": params[:2]}, {"params": params[2:], "lr": 0.5, "weight_decay": 0.2}])
    return params, optimizer, optim.lr_scheduler.ExponentialLR(optimizer, 0.5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_replays_step_with_the_numbers_of_their_time(backend, monkeypatch, name):
    params, optimizer, schedule = model(OPTIMIZERS[name], "cuda")
    expected, reference, reference_schedule = model(OPTIMIZERS[name], "cpu")

    def same():
        reference.step()
        for ours, theirs in zip(params, expected):
            np.testing.assert_allclose(ours.numpy(force=True), theirs.detach().numpy(), rtol=1e-12)

    optimizer.step()
    same()
    graph, numbers = Graph(backend, monkeypatch), Recording(backend)
    with numbers:
        assert recording() is numbers
        graph.capture(optimizer.step)
    assert recording() is None
    numbers.store()
    graph.replay()
    same()
    for _ in range(3):
        schedule.step()
        reference_schedule.step()
        before = [param.numpy(force=True).copy() for param in params]
        with numbers.refreshing():
            optimizer.step()
        assert all(np.array_equal(param.numpy(force=True), values) for param, values in zip(params, before))
        graph.replay()
        same()
    optimizer.step()  # and without the graph, in between
    same()
    with numbers.refreshing():
        optimizer.step()
    graph.replay()
    same()


def test_more_launches_than_a_page_holds(backend, monkeypatch):
    params = [mg.tensor([1.0, 2.0], device="cuda") for _ in range(PAGE + 3)]
    grads = [mg.tensor([1.0, -1.0], device="cuda") for _ in params]

    def step(scale, weight_decay=0):
        for i, (param, grad) in enumerate(zip(params, grads)):
            decay = weight_decay if i == PAGE else 0
            backend.sgd_step([param.array], [grad.array], [], lr=scale * i, weight_decay=decay, **CALLS["sgd"][-1])

    graph, numbers = Graph(backend, monkeypatch), Recording(backend)
    with numbers:
        graph.capture(lambda: step(7.0))
    with numbers.refreshing():
        step(1.0)
    with pytest.raises(ValueError, match="could not convert string to float"), numbers.refreshing():
        step(2.0, "a word")  # on the second page: the first one stays as it is too
    graph.replay()
    assert [param.tolist() for param in params] == [[1.0 - i, 2.0 + i] for i in range(PAGE + 3)]


def test_other_steps_than_were_recorded(backend, monkeypatch):
    params, optimizer, _ = model(OPTIMIZERS["Adam"], "cuda")
    optimizer.step()
    graph, numbers = Graph(backend, monkeypatch), Recording(backend)
    with numbers:
        graph.capture(optimizer.step)
    with pytest.raises(RuntimeError, match=r"expected all steps .* \(2 launches\), got 0 launches"), numbers.refreshing():
        pass
    with pytest.raises(RuntimeError, match="got others; record the graph again"), numbers.refreshing():
        optimizer.step()
        optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())  # copies
    with pytest.raises(RuntimeError, match="got others; record the graph again"), numbers.refreshing():
        optimizer.step()
    assert recording() is None
    with numbers, pytest.raises(RuntimeError, match="no other one to be recorded"), Recording(backend):
        pass
    assert NUMBERS * PAGE * 8 < 4096


def test_a_graph_keeps_what_it_steps(backend, monkeypatch):
    params, optimizer, _ = model(OPTIMIZERS["SGD"], "cuda")
    optimizer.step()
    graph, numbers = Graph(backend, monkeypatch), Recording(backend)
    with numbers:
        graph.capture(optimizer.step)
    kept = {id(array) for row in numbers._kept for array in row}
    assert {id(param.array) for param in params} <= kept
    assert {id(state["momentum_buffer"].array) for state in optimizer.state.values()} <= kept
