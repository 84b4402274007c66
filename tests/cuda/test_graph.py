"""Training steps as CUDA graphs: on a stand-in that notes what a capture asks for and does it again, and on a GPU."""

import gc
import threading
import weakref

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.nn import functional as F
from tests.cuda.capturing import Stream, capturing_cupy
from tests.fake_cuda import FakeStream


@pytest.fixture
def fake():
    with capturing_cupy() as module:
        yield module


OPTIMIZERS = {
    "SGD": lambda parameters: optim.SGD(parameters, lr=0.1),
    "momentum": lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-2, nesterov=True),
    "AdamW": lambda parameters: optim.AdamW(parameters, lr=0.01),
    "Adagrad": lambda parameters: optim.Adagrad(parameters, lr=0.1, initial_accumulator_value=0.5, lr_decay=0.1),
    "RMSprop": lambda parameters: optim.RMSprop(parameters, lr=0.01, momentum=0.5),
}


class Training:
    """A network on the GPU, its optimizer, and a step."""

    def __init__(self, make_optimizer=OPTIMIZERS["AdamW"], dropout=0.0):
        mg.manual_seed(0)
        self.net = nn.Sequential(
            nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(inplace=True), nn.Dropout(dropout), nn.Linear(6, 3)
        ).to("cuda", mg.float64)
        self.optimizer = make_optimizer(self.net.parameters())
        self.calls = 0

    def step(self, x, y):
        self.calls += 1
        self.optimizer.zero_grad()
        loss = F.mse_loss(self.net(x), y)
        loss.backward()
        self.optimizer.step()
        return loss

    def state(self):
        """All that training changes, as NumPy arrays and numbers."""
        tensors = {**self.net.state_dict(), "rng": mg.get_rng_state()}
        states = {}
        for i, param in enumerate(self.net.parameters()):
            for key, value in self.optimizer.state.get(param, {}).items():
                states[f"{i}.{key}"] = value
        found = {**tensors, **states}
        return {k: v.numpy(force=True).copy() if isinstance(v, mg.Tensor) else v for k, v in found.items()}


def batches(count, device="cuda"):
    random = np.random.default_rng(0)
    return [
        tuple(mg.tensor(random.standard_normal((8, n)), dtype=mg.float64, device=device) for n in (4, 3)) for _ in range(count)
    ]


def assert_same(actual, expected):
    assert actual.keys() == expected.keys()
    for key in actual:
        np.testing.assert_allclose(actual[key], expected[key], rtol=1e-12, atol=1e-14, err_msg=key)


def compare(make_optimizer=OPTIMIZERS["AdamW"], between=lambda training, i: None, device="cuda", **options):
    """Train twice, once with the graph; the same must come out."""
    results = []
    for graphed in (False, True):
        training = Training(make_optimizer, **options)
        data = batches(4, device)
        step = mg.cuda.make_graphed(training.step, batches(1)[0]) if graphed else training.step
        losses = []
        for i, (x, y) in enumerate(data):
            losses.append(step(*((x, y) if graphed else (x.cuda(), y.cuda()))).item())
            between(training, i)
        results.append({"losses": losses, **training.state()})
    assert_same(results[1], results[0])
    return training


# --- the same as without -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_is_what_it_is_without_a_graph(fake, name):
    training = compare(OPTIMIZERS[name])
    assert training.calls == 4  # three to warm up, one recorded


def test_learning_rates_and_other_options_may_change(fake):
    def between(training, i):
        training.optimizer.param_groups[0].update(lr=0.01 / (i + 2), weight_decay=0.1 * i)

    compare(between=between)


def test_a_schedule_is_followed_without_a_warning(fake):
    schedules = {}

    def between(training, i):
        if training not in schedules:
            schedules[training] = optim.lr_scheduler.StepLR(training.optimizer, 2, gamma=0.1)
        schedules[training].step()

    assert compare(between=between).optimizer.param_groups[0]["lr"] < 0.01


def test_functions_that_cupy_has_elsewhere(fake):
    """GELU's error function comes from cupyx."""
    x = mg.tensor([-1.0, 2.0], device="cuda")
    step = mg.cuda.make_graphed(F.gelu, mg.zeros(2, device="cuda"))
    assert step(x).tolist() == F.gelu(x).tolist()


def test_inputs_may_be_on_the_host(fake):
    compare(device="cpu")


def test_every_call_draws_other_numbers(fake):
    training = Training(dropout=0.5)
    step = mg.cuda.make_graphed(lambda x: training.net[3](x), mg.ones(40, device="cuda"))
    masks = {tuple(step(mg.ones(40)).tolist()) for _ in range(4)}
    assert len(masks) == 4 and all(set(mask) == {0.0, 2.0} for mask in masks)
    compare(dropout=0.5)


def test_a_second_graph_goes_on_where_the_first_one_stopped(fake):
    training, twin = Training(), Training()
    first = mg.cuda.make_graphed(training.step, batches(1)[0])
    first(*batches(1)[0])
    twin.step(*batches(1)[0])
    before = training.state()
    second = mg.cuda.make_graphed(training.step, batches(1)[0])
    assert_same(training.state(), before)
    for x, y in batches(3):
        assert second(x, y).item() == pytest.approx(twin.step(x, y).item(), rel=1e-12)
    assert_same(training.state(), twin.state())


@pytest.mark.parametrize("zero", ["before", "after", "in place", "between", "never"])
def test_gradients_are_cleared_where_the_step_or_its_caller_clears_them(fake, zero):
    def run(graphed):
        w = mg.tensor([1.0, -2.0], device="cuda", requires_grad=True)
        optimizer = optim.SGD([w], lr=0.1)

        def step(x):
            if zero in ("before", "in place"):
                optimizer.zero_grad(set_to_none=zero == "before")
            (w * w * x).sum().backward()
            optimizer.step()
            if zero == "after":
                optimizer.zero_grad()

        step = mg.cuda.make_graphed(step, mg.ones(2, device="cuda")) if graphed else step
        assert w.grad is None
        found = []
        for i in range(4):
            step(mg.full((2,), i + 1.0, device="cuda"))
            found.append((w.tolist(), None if w.grad is None else w.grad.tolist()))
            if zero == "between":
                optimizer.zero_grad()
        return found

    assert run(True) == run(False)


def test_a_gradient_that_was_replaced_between_calls_is_added_to(fake):
    w = mg.ones(2, device="cuda", requires_grad=True)
    optimizer = optim.SGD([w], lr=0.5)

    def step(x):
        (w * x).sum().backward()
        optimizer.step()

    step = mg.cuda.make_graphed(step, mg.ones(2, device="cuda"))
    w.grad = mg.tensor([10.0, 20.0], device="cuda")
    step(mg.ones(2))
    assert w.grad.tolist() == [11, 21] and w.tolist() == [-4.5, -9.5]


def test_two_optimizers_in_turn(fake):
    def run(graphed):
        a, b = (mg.ones(3, device="cuda", requires_grad=True) for _ in range(2))
        first, second = optim.SGD([a], lr=0.1, momentum=0.5), optim.Adam([b], lr=0.1)

        def step(x):
            for optimizer, sign in ((first, 1), (second, -1), (first, 2)):
                optimizer.zero_grad()
                (a * b * x * sign).sum().backward()
                optimizer.step()
            return {"a": a, "both": [a + b, (a - b, "text")]}

        step = mg.cuda.make_graphed(step, mg.ones(3, device="cuda")) if graphed else step
        for i in range(3):
            first.param_groups[0]["lr"] = 0.1 * (i + 1)
            result = step(mg.full((3,), 0.5 * i, device="cuda"))
        return result["a"].tolist(), result["both"][0].tolist(), result["both"][1][0].tolist(), result["both"][1][1]

    np.testing.assert_equal(run(True), run(False))


# --- what it leaves alone ------------------------------------------------------------------------------------------------


def test_making_it_changes_nothing(fake):
    training = Training()
    training.step(*batches(1)[0])
    before = training.state()
    counter = mg.zeros(3)
    window = mg.zeros(2, 2, device="cuda")

    def step(x, y):
        counter.add_(1)
        window[0].add_(1)
        window.detach()[1].mul_(3)
        mg.rand(2)
        return training.step(x, y)

    mg.cuda.make_graphed(step, batches(1)[0], warmup=2)
    assert_same(training.state(), before)
    assert counter.tolist() == [0, 0, 0] and window.tolist() == [[0, 0], [0, 0]]
    assert training.optimizer.stepped and all(p.grad is None for p in training.net.parameters())


def test_before_a_first_step_states_are_zeros(fake):
    training = Training()
    fresh = training.state()
    mg.cuda.make_graphed(training.step, batches(1)[0])
    state = training.state()
    assert all((np.asarray(state[key]) == 0).all() for key in state.keys() - fresh.keys())
    assert_same({key: state[key] for key in fresh}, fresh)
    assert not training.optimizer.stepped


def test_results_are_the_same_tensors_out_of_the_tape(fake):
    training = Training()
    step = mg.cuda.make_graphed(training.step, batches(1)[0])
    loss = step(*batches(1)[0])
    kept = loss.item()
    assert not loss.requires_grad and loss.device == "cuda:0"
    assert step(*batches(1)[0]) is loss and loss.item() != kept


def test_a_result_in_a_graph_of_ones_own_is_seen_to_change(fake):
    step = mg.cuda.make_graphed(lambda x: x * 2, mg.ones(2, device="cuda"))
    w = mg.ones(2, device="cuda", requires_grad=True)
    product = (w * step(mg.ones(2))).sum()
    step(mg.ones(2))
    with pytest.raises(RuntimeError, match=r"graphed step .* changed it in place"):
        product.backward()


def test_inputs_can_be_written_where_they_are_read(fake):
    step = mg.cuda.make_graphed(lambda x: x + 1, mg.zeros(2, device="cuda"))
    step.inputs[0].fill_(5)
    assert step(*step.inputs).tolist() == [6, 6]
    with pytest.raises(TypeError, match="graphed step: expected 1 inputs, got 2"):
        step(mg.zeros(2), mg.zeros(2))
    with pytest.raises(TypeError, match="expected a Tensor as input 0, got float"):
        step(1.0)
    with pytest.raises(ValueError, match=r"input 0 like its sample, float32 of shape \(2,\), got float64 of shape \(2,\)"):
        step(mg.zeros(2, dtype=mg.float64))
    with pytest.raises(ValueError, match=r"got float32 of shape \(3,\)"):
        step(mg.zeros(3))


def test_calls_in_another_stream_wait_for_the_last_one(fake):
    step = mg.cuda.make_graphed(lambda x: x + 1, mg.zeros(2, device="cuda"))
    step(mg.zeros(2))
    with mg.cuda.stream(mg.cuda.Stream()) as other:
        step(mg.zeros(2))
        assert other._stream.waited == [Stream.null]
        step(mg.zeros(2))
        assert len(other._stream.waited) == 1


# --- its memory ----------------------------------------------------------------------------------------------------------


def test_work_goes_to_a_stream_and_a_pool_of_its_own(fake):
    seen = []

    def step(x):
        seen.append((FakeStream.current, fake.allocators[-1].__self__))
        return x * 2

    graphed = mg.cuda.make_graphed(step, mg.ones(2, device="cuda"), warmup=1)
    assert len(set(seen)) == 1 and seen[0][0] is not Stream.null and len(seen) == 2
    assert FakeStream.current is Stream.null and fake.allocators == []
    pool = weakref.ref(seen[0][1])
    seen.clear()
    pool().used, pool().total = 100, 500
    assert (mg.cuda.memory_allocated(), mg.cuda.memory_reserved()) == (100, 500)
    mg.cuda.empty_cache()
    assert pool().total == 500  # the graph computes there
    del graphed
    gc.collect()
    assert pool().total == 100  # something lies there still
    pool().used = 0
    mg.cuda.empty_cache()
    assert pool() is None or pool() not in [entry[0] for entry in mg.backends.cuda.memory._private]


# --- what it refuses -----------------------------------------------------------------------------------------------------


def read_item(x):
    return x.sum().item()


@pytest.mark.parametrize(
    ("step", "called"),
    [
        (read_item, "Tensor.item"),
        (lambda x: x * float(x.sum()), "Tensor.__float__"),
        (lambda x: x if x.sum() > 0 else -x, "Tensor.__bool__"),
        (lambda x: x + len(str(x)), "Tensor.__str__|Tensor.__repr__"),
        (lambda x: x + x.tolist()[0], "Tensor.tolist"),
        (lambda x: x + mg.tensor([1.0, 2.0], device="cuda"), "tensor"),
        (lambda x: x.cpu(), "Tensor.cpu"),
    ],
)
def test_what_cannot_be_recorded_is_named(fake, step, called):
    x = mg.ones(2, device="cuda")
    with pytest.raises(
        RuntimeError, match=rf"^make_graphed: the step cannot be recorded, because of ({called}) at test_graph.py:\d+"
    ):
        mg.cuda.make_graphed(step, x)
    assert Stream.capturing is None and fake.allocators == [] and FakeStream.current is Stream.null
    assert mg.cuda.make_graphed(lambda x: x * 2, x)(x).tolist() == [2, 2]


def test_after_a_failure_training_goes_on_as_if_nothing_had_been(fake):
    training, twin = Training(), Training()
    training.step(*batches(1)[0])
    twin.step(*batches(1)[0])
    before = training.state()
    with pytest.raises(RuntimeError, match=r"because of Tensor\.item"):
        mg.cuda.make_graphed(lambda x, y: training.step(x, y).item(), batches(1)[0])
    assert_same(training.state(), before)
    training.step(*batches(1)[0])
    twin.step(*batches(1)[0])
    assert_same(training.state(), twin.state())


def test_an_error_of_the_step_itself_is_its_own(fake):
    training = Training()
    training.step(*batches(1)[0])
    before = training.state()

    def step(x, y):
        training.step(x, y)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        mg.cuda.make_graphed(step, batches(1)[0])
    assert_same(training.state(), before)


def two_groups(parameters):
    first, *others = parameters
    return optim.AdamW([{"params": [first]}, {"params": others}], lr=0.01)


def break_learning_rate(training, step):
    training.optimizer.param_groups[1]["lr"] = None
    return TypeError, "float"


def break_update(training, step):
    def update(group):
        optim.AdamW.update(training.optimizer, group)
        if group is training.optimizer.param_groups[1]:
            raise KeyError("mine")

    training.optimizer.update = update
    return KeyError, "mine"


def break_variant(training, step):
    training.optimizer.param_groups[1]["amsgrad"] = True
    return RuntimeError, "expected the parameters and states, in the order, that were recorded"


def break_number(training, step):
    training.optimizer.param_groups[1]["eps"] = np.ones(2)
    return ValueError, "sequence"


def break_count(training, step):
    training.optimizer.update = lambda group: None
    return RuntimeError, r"expected all steps that were recorded in the CUDA graph \(2 launches\), got 0"


def break_launch(training, step):
    def launch():
        raise MemoryError("no memory for the graph")

    step._graph.launch = launch
    return MemoryError, "no memory for the graph"


@pytest.mark.parametrize(
    "break_it", [break_learning_rate, break_update, break_variant, break_number, break_count, break_launch]
)
@pytest.mark.parametrize("is_first", [True, False])
def test_after_a_call_that_fails_training_goes_on_as_if_it_had_not_been(fake, break_it, is_first):
    training, twin = Training(two_groups), Training(two_groups)
    step = mg.cuda.make_graphed(training.step, batches(1)[0])
    if not is_first:
        step(*batches(1)[0])
        twin.step(*batches(1)[0])
    weight = training.net[0].weight
    product = (weight * weight).sum()  # saves the weight as it is
    before, stepped, numbers = training.state(), training.optimizer.stepped, device_numbers(step)
    options = [{**group} for group in training.optimizer.param_groups]

    error, message = break_it(training, step)
    with pytest.raises(error, match=message):
        step(*batches(1)[0])
    assert_same(training.state(), before)
    assert training.optimizer.stepped is stepped
    assert device_numbers(step) == numbers or break_it is break_launch
    product.backward()

    vars(training.optimizer).pop("update", None)
    vars(step._graph).pop("launch", None)
    for group, values in zip(training.optimizer.param_groups, options):
        group.update(values)
    for x, y in batches(3):
        assert step(x, y).item() == pytest.approx(twin.step(x, y).item(), rel=1e-12)
    assert_same(training.state(), twin.state())


def device_numbers(step):
    """What the graph's optimizer kernels will read."""
    return [page._hidden.tobytes() for page in step._recording._pages]


def test_inputs_that_do_not_fit_leave_those_before_them(fake):
    step = mg.cuda.make_graphed(lambda x, y: x + y, (mg.zeros(2, device="cuda"), mg.zeros(2, device="cuda")))
    with pytest.raises(ValueError, match="input 1 like its sample"):
        step(mg.ones(2), mg.ones(3))
    assert step.inputs[0].tolist() == [0, 0]


def test_a_schedule_belongs_outside(fake):
    training = Training()
    schedule = optim.lr_scheduler.ExponentialLR(training.optimizer, 0.5)

    def step(x, y):
        training.step(x, y)
        schedule.step()

    with pytest.raises(RuntimeError, match="make_graphed: the step changes options of AdamW, as a learning rate schedule does"):
        mg.cuda.make_graphed(step, batches(1)[0])
    assert training.optimizer.param_groups[0]["lr"] == 0.01


def test_dampening_needs_a_first_step(fake):
    make = lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9, dampening=0.5)  # noqa: E731
    training, twin = Training(make), Training(make)
    with pytest.raises(RuntimeError, match="a first step of SGD with dampening is unlike the next ones; take it before"):
        mg.cuda.make_graphed(training.step, batches(1)[0])
    training, twin = Training(make), Training(make)
    for each in (training, twin):
        each.step(*batches(1)[0])
    step = mg.cuda.make_graphed(training.step, batches(1)[0])
    for x, y in batches(3):
        step(x, y)
        twin.step(x, y)
    assert_same(training.state(), twin.state())


def test_optimizers_of_ones_own_are_refused(fake):
    class SignDescent(optim.Optimizer):
        def update(self, group):
            for param in group["params"]:
                with mg.no_grad():
                    param.sub_(param.grad.sign(), alpha=group["lr"])

    w = mg.ones(2, device="cuda", requires_grad=True)
    optimizer = SignDescent([w], {"lr": 0.5})

    def step(x):
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()

    with pytest.raises(TypeError, match=r"expected an optimizer of minigrad\.optim, got SignDescent"):
        mg.cuda.make_graphed(step, mg.ones(2, device="cuda"))
    assert w.tolist() == [1, 1]


def test_arguments_are_checked(fake):
    with pytest.raises(TypeError, match="expected Tensors as sample_inputs, got float as number 1"):
        mg.cuda.make_graphed(lambda x, y: x, (mg.ones(2), 1.0))
    with pytest.raises(TypeError, match="expected Tensors as sample_inputs, got int"):
        mg.cuda.make_graphed(lambda x: x, 3)
    with pytest.raises(TypeError, match="expected a function as step, got int"):
        mg.cuda.make_graphed(3, mg.ones(2))
    with pytest.raises(ValueError, match="expected a warmup of at least 1, got 0"):
        mg.cuda.make_graphed(lambda x: x, mg.ones(2), warmup=0)


def test_an_optimizer_of_another_thread_is_no_part_of_the_graph(fake):
    training, w = Training(), mg.ones(2, requires_grad=True)
    other = optim.SGD([w], lr=0.5)
    w.grad = mg.ones(2)

    def step(x, y):
        thread = threading.Thread(target=other.step)
        thread.start()
        thread.join()
        return training.step(x, y)

    graphed = mg.cuda.make_graphed(step, batches(1)[0], warmup=1)
    assert w.tolist() == [0, 0]  # twice, and nothing of it was put back
    graphed(*batches(1)[0])
    assert w.tolist() == [0, 0]


# --- on a GPU ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def gpu():
    if not mg.cuda.is_available():
        pytest.skip("CuPy finds no GPU")


@pytest.mark.cuda
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_training_on_the_gpu_is_what_it_is_without_a_graph(gpu, name, device):
    compare(OPTIMIZERS[name], device=device)


@pytest.mark.cuda
def test_dropout_on_the_gpu(gpu):
    compare(dropout=0.5)


@pytest.mark.cuda
@pytest.mark.parametrize("step", [read_item, lambda x: x[x > 0], lambda x: mg.nonzero(x), lambda x: x.cpu()])
def test_failures_on_the_gpu_leave_it_usable(gpu, step):
    x = mg.ones(2, device="cuda")
    with pytest.raises(RuntimeError, match=r"^make_graphed: the step"):
        mg.cuda.make_graphed(step, x)
    assert mg.cuda.make_graphed(lambda x: x * 2, x)(x).tolist() == [2, 2]


@pytest.mark.cuda
def test_many_graphs_come_and_go(gpu):
    for _ in range(5):
        training = Training()
        step = mg.cuda.make_graphed(training.step, batches(1)[0])
        losses = [step(*batches(1)[0]).item() for _ in range(20)]
        assert losses[-1] < losses[0]
        del step
        assert training.step(*batches(1)[0]).item() < losses[0]
