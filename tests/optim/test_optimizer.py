"""What all optimizers share: parameter groups, hooks, closures, errors, and state that goes out and comes back."""

import copy
import gc
import io
import pickle
import tracemalloc
import weakref

import numpy as np
import pytest

import minigrad
from minigrad import optim

KINDS = [
    (optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    (optim.Adam, {"lr": 0.1, "amsgrad": True}),
    (optim.AdamW, {"lr": 0.1}),
    (optim.Lion, {"lr": 0.1}),
    (optim.RMSprop, {"lr": 0.1, "centered": True, "momentum": 0.5, "eps": 0.1}),
    (optim.Adagrad, {"lr": 0.1, "lr_decay": 0.1}),
]
kinds = pytest.mark.parametrize(("kind", "options"), KINDS, ids=[kind.__name__ for kind, _ in KINDS])


def parameter(*shape, seed=0, dtype="float64"):
    values = np.random.default_rng(seed).normal(size=shape)
    return minigrad.tensor(values, dtype=dtype, requires_grad=True)


def set_grads(params, seed):
    rng = np.random.default_rng(seed)
    for param in params:
        param.grad = minigrad.tensor(rng.normal(size=param.shape), dtype=param.dtype)


def train(optimizer, params, seeds):
    for seed in seeds:
        set_grads(params, seed)
        optimizer.step()


def values(params):
    return [param.detach().numpy().copy() for param in params]


def assert_same(a, b):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


# --- a step ------------------------------------------------------------------------------------------------------------


@kinds
def test_parameters_without_a_gradient_stay(kind, options):
    used, unused = parameter(2), parameter(3)
    optimizer = kind([used, unused], **options)
    before = values([used, unused])
    set_grads([used], 1)
    optimizer.step()
    assert not np.array_equal(used.detach().numpy(), before[0])
    np.testing.assert_array_equal(unused.detach().numpy(), before[1])


@kinds
def test_step_without_any_gradient_does_nothing(kind, options):
    param = parameter(2)
    before = values([param])
    kind([param], **options).step()
    assert_same(values([param]), before)


@kinds
def test_step_is_no_part_of_the_graph(kind, options):
    param = parameter(2)
    train(kind([param], **options), [param], range(2))
    assert param.is_leaf
    assert param.requires_grad


@kinds
def test_step_is_in_place_and_leaves_gradients_alone(kind, options):
    param = parameter(2)
    memory = param.detach().numpy()
    set_grads([param], 1)
    grad = param.grad.numpy().copy()
    kind([param], **options).step()
    np.testing.assert_array_equal(param.detach().numpy(), memory)
    np.testing.assert_array_equal(param.grad.numpy(), grad)


@kinds
def test_options_may_change_between_steps(kind, options):
    param, same = parameter(2), parameter(2)
    optimizer, twin = kind([param], **options), kind([same], **options)
    train(optimizer, [param], [1])
    train(twin, [same], [1])
    optimizer.param_groups[0]["lr"] = 0.0
    before = values([param])
    train(optimizer, [param], [2])
    assert_same(values([param]), before)
    optimizer.param_groups[0]["lr"] = minigrad.tensor(0.1, dtype="float64")
    train(optimizer, [param], [3])
    assert not np.array_equal(param.detach().numpy(), before[0])


@kinds
def test_groups_have_their_own_options(kind, options):
    params, twins = [parameter(2), parameter(3, seed=1)], [parameter(2), parameter(3, seed=1)]
    optimizer = kind([{"params": params[:1]}, {"params": params[1:], "lr": 0.5}], **options)
    separate = [kind(twins[:1], **options), kind(twins[1:], **{**options, "lr": 0.5})]
    for seed in range(3):
        set_grads(params, seed)
        set_grads(twins, seed)
        optimizer.step()
        for other in separate:
            other.step()
    assert_same(values(params), values(twins))


def test_backward_after_a_step_on_saved_values_is_refused():
    param = parameter(2)
    loss = (param * param).sum()
    optimizer = optim.SGD([param], lr=0.1)
    set_grads([param], 0)
    optimizer.step()
    with pytest.raises(RuntimeError, match="sgd_step_"):
        loss.backward()


def test_closure_runs_with_gradients_and_its_loss_is_returned():
    param = parameter(3)
    optimizer = optim.SGD([param], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (param * param).sum()
        loss.backward()
        return loss

    with minigrad.no_grad():
        losses = [optimizer.step(closure).item() for _ in range(3)]
    assert losses[0] > losses[1] > losses[2]
    assert optimizer.step() is None


def test_step_in_inference_mode_on_its_tensors():
    with minigrad.inference_mode():
        param = minigrad.ones(2)
    param.grad = minigrad.ones(2)
    with pytest.raises(RuntimeError, match="inference_mode"):
        optim.SGD([param], lr=0.1).step()


@kinds
def test_a_state_of_another_shape_is_refused_and_nothing_changes(kind, options):
    param = parameter(2)
    optimizer = kind([param], **options)
    train(optimizer, [param], [0])
    name = optimizer.state_tensors[0]
    before, count = values([param]), optimizer.state[param].get("step")
    optimizer.state[param][name] = minigrad.zeros(3, dtype="float64")
    set_grads([param], 1)
    with pytest.raises(ValueError, match=rf"_step_: expected the {name} of parameter 0 .* shape \(2,\) .*got .* shape \(3,\)"):
        optimizer.step()
    assert_same(values([param]), before)
    assert optimizer.state[param].get("step") == count


# --- zero_grad ---------------------------------------------------------------------------------------------------------


def test_zero_grad_drops_gradients():
    params = [parameter(2), parameter(3)]
    set_grads(params[:1], 0)
    optim.SGD(params).zero_grad()
    assert params[0].grad is None
    assert params[1].grad is None


def test_zero_grad_in_place():
    params = [parameter(2), parameter(3)]
    set_grads(params[:1], 0)
    memory = params[0].grad.numpy()
    optim.SGD(params).zero_grad(set_to_none=False)
    np.testing.assert_array_equal(memory, [0, 0])
    assert params[1].grad is None


def test_zero_grad_in_place_takes_a_gradient_out_of_its_graph():
    param = parameter(2)
    with pytest.warns(UserWarning, match="reference cycle"):
        (param**3).sum().backward(create_graph=True)
    assert param.grad.requires_grad
    memory = param.grad.detach().numpy()
    optim.SGD([param]).zero_grad(set_to_none=False)
    assert not param.grad.requires_grad
    np.testing.assert_array_equal(memory, [0, 0])


# --- groups ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (lambda: parameter(2), TypeError, "SGD: expected Tensors, pairs .* got a Tensor; put it in a list"),
        (lambda: 3, TypeError, r"SGD: .* got a int; a model has \.parameters\(\)"),
        (lambda: [], ValueError, "SGD: expected at least one parameter, got none"),
        (lambda: iter(()), ValueError, "SGD: expected at least one parameter, got none"),
        (lambda: {parameter(2)}, TypeError, "SGD: expected parameters in an order, .* got a set"),
        (lambda: [{"params": {parameter(2)}}], TypeError, "SGD: expected parameters in an order, .* got a set"),
        (lambda: [{"params": 3}], TypeError, "SGD: expected parameters in an order, .* got a int"),
        (lambda: [1.0], TypeError, "SGD: expected a Tensor as parameter 0, got a float"),
        (lambda: [("w", 1.0)], TypeError, "SGD: expected a Tensor as parameter 'w', got a float"),
        (lambda: [parameter(2), parameter(2) * 2], ValueError, "SGD: expected leaf tensors, .*Mul.* as parameter 1"),
        (lambda: [parameter(2)] * 2, ValueError, r"SGD: expected every parameter once, got parameter 1 again, of shape \(2,\)"),
        (lambda: [("w", parameter(2)), parameter(2)], ValueError, "SGD: expected a name for each parameter or for none"),
        (lambda: [{"lr": 0.1}], ValueError, r"SGD: expected a parameter group with the key 'params', got \['lr'\]"),
        (
            lambda: [{"params": [parameter(2)]}, parameter(2)],
            TypeError,
            "SGD: expected a dict as parameter group, got a Tensor",
        ),
        (lambda: [{"params": [parameter(2)], "lr": -1}], ValueError, "SGD: expected lr to be at least 0, got -1"),
    ],
)
def test_bad_parameters(params, error, message):
    with pytest.raises(error, match=message):
        optim.SGD(params())


def test_the_same_parameter_in_two_groups():
    shared = parameter(2)
    with pytest.raises(ValueError, match="SGD: expected every parameter once, got parameter 0 again"):
        optim.SGD([{"params": [shared]}, {"params": shared}])


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (optim.SGD, {"lr": -0.1}, "SGD: expected lr to be at least 0, got -0.1"),
        (optim.SGD, {"lr": float("nan")}, "SGD: expected lr to be at least 0, got nan"),
        (optim.SGD, {"momentum": -1}, "momentum"),
        (optim.SGD, {"weight_decay": -1}, "weight_decay"),
        (optim.SGD, {"nesterov": True}, "SGD: expected momentum above 0 and dampening 0 for nesterov, got 0 and 0"),
        (optim.SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "nesterov"),
        (optim.Adam, {"lr": -1}, "Adam: expected lr"),
        (optim.Adam, {"betas": (0.9, 1)}, r"Adam: expected betas from 0 to below 1, got \(0.9, 1\)"),
        (optim.Adam, {"betas": (-0.1, 0.9)}, "betas"),
        (optim.Adam, {"eps": -1}, "eps"),
        (optim.AdamW, {"weight_decay": -1}, "AdamW: expected weight_decay"),
        (optim.Lion, {"betas": (1, 0.9)}, "Lion: expected betas"),
        (optim.Lion, {"lr": -1}, "Lion: expected lr"),
        (optim.RMSprop, {"alpha": 1}, "RMSprop: expected alpha"),
        (optim.RMSprop, {"momentum": -1}, "RMSprop: expected momentum"),
        (optim.Adagrad, {"lr_decay": -1}, "Adagrad: expected lr_decay"),
        (optim.Adagrad, {"initial_accumulator_value": -1}, "initial_accumulator_value"),
    ],
)
def test_bad_options(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind([parameter(2)], **options)


@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [
        (optim.SGD, {"momentum": minigrad.tensor(0.9)}, "momentum"),
        (optim.SGD, {"momentum": 0.9, "dampening": minigrad.tensor(0.1)}, "dampening"),
        (optim.Adam, {"betas": (minigrad.tensor(0.9), minigrad.tensor(0.99))}, "betas"),
        (optim.AdamW, {"weight_decay": minigrad.tensor(0.1)}, "weight_decay"),
        (optim.Lion, {"betas": [0.9, minigrad.tensor(0.99)]}, "betas"),
        (optim.RMSprop, {"alpha": minigrad.tensor(0.9)}, "alpha"),
        (optim.Adagrad, {"eps": minigrad.tensor(1e-8)}, "eps"),
    ],
)
def test_only_the_learning_rate_may_be_a_tensor(kind, options, name):
    message = rf"{kind.__name__}: expected {name} in Python numbers, got a Tensor; take its \.item\(\)"
    with pytest.raises(TypeError, match=message):
        kind([parameter(2)], **options)
    with pytest.raises(TypeError, match=message):
        kind([{"params": [parameter(2)], **options}])
    kind([parameter(2)], lr=minigrad.tensor(0.1))


def test_a_refused_group_is_not_added():
    optimizer = optim.SGD([parameter(2)])
    with pytest.raises(ValueError, match="lr"):
        optimizer.add_param_group({"params": [parameter(2)], "lr": -1})
    assert len(optimizer.param_groups) == 1


@kinds
def test_add_param_group(kind, options):
    first, second = parameter(2), parameter(3)
    optimizer = kind([first], **options)
    given = {"params": second, "lr": 0.5, "name": "head"}
    optimizer.add_param_group(given)
    assert given == {"params": second, "lr": 0.5, "name": "head"}
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5]
    assert optimizer.param_groups[1]["name"] == "head"
    before = values([second])
    train(optimizer, [first, second], [0])
    assert not np.array_equal(second.detach().numpy(), before[0])


def test_names_are_kept():
    weight, bias = parameter(2), parameter(3)
    optimizer = optim.SGD(iter([("weight", weight), ("bias", bias)]))
    assert [id(param) for param in optimizer.param_groups[0]["params"]] == [id(weight), id(bias)]
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]


def test_repr_is_pytorchs():
    optimizer = optim.Lion([{"params": parameter(2)}, {"params": parameter(2), "lr": 0.5}], lr=0.1)
    assert repr(optimizer).splitlines() == [
        "Lion (",
        "Parameter Group 0",
        "    betas: (0.9, 0.99)",
        "    lr: 0.1",
        "    maximize: False",
        "    weight_decay: 0",
        "Parameter Group 1",
        "    betas: (0.9, 0.99)",
        "    lr: 0.5",
        "    maximize: False",
        "    weight_decay: 0",
        ")",
    ]


# --- state -------------------------------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("way", ["memory", "file", "pickle"])
def test_training_goes_on_from_a_saved_state(kind, options, way):
    params = [parameter(2, 3), parameter(4, seed=1)]
    groups = [{"params": params[:1]}, {"params": params[1:], "lr": 0.03}]
    optimizer = kind(groups, **options)
    train(optimizer, params, range(5))

    state, saved = copy.deepcopy(optimizer.state_dict()), values(params)
    if way == "file":
        file = io.BytesIO()
        minigrad.save(state, file)
        file.seek(0)
        state = minigrad.load(file)
    if way == "pickle":
        state = pickle.loads(pickle.dumps(state))
    train(optimizer, params, range(5, 10))

    others = [minigrad.tensor(value, requires_grad=True) for value in saved]
    resumed = kind([{"params": others[:1]}, {"params": others[1:]}])
    resumed.load_state_dict(state)
    assert [group["lr"] for group in resumed.param_groups] == [0.1, 0.03]
    train(resumed, others, range(5, 10))
    assert_same(values(others), values(params))


@kinds
def test_state_dict_has_pytorchs_form(kind, options):
    params = [parameter(2), parameter(3), parameter(4)]
    optimizer = kind([{"params": params[:1]}, {"params": params[1:]}], **options)
    train(optimizer, params, [0])
    state = optimizer.state_dict()
    assert set(state) == {"state", "param_groups"}
    assert [group["params"] for group in state["param_groups"]] == [[0], [1, 2]]
    assert sorted(state["state"]) == [0, 1, 2]
    assert state["state"][2][optimizer.state_tensors[0]].shape == (4,)


def as_torch(torch, value):
    if isinstance(value, minigrad.Tensor):
        return torch.tensor(value.detach().numpy())
    if isinstance(value, dict):
        return {key: as_torch(torch, item) for key, item in value.items()}
    return [as_torch(torch, item) for item in value] if isinstance(value, list) else value


def torch_twin(torch, kind, options):
    if kind is optim.Lion:
        pytest.skip("torch has no Lion")
    params = [torch.nn.Parameter(as_torch(torch, parameter(2, 3))), torch.nn.Parameter(as_torch(torch, parameter(4, seed=1)))]
    return params, getattr(torch.optim, kind.__name__)(params, **options)


def train_torch(torch, optimizer, params, seeds):
    for seed in seeds:
        rng = np.random.default_rng(seed)
        for param in params:
            param.grad = torch.tensor(rng.normal(size=tuple(param.shape)))
        optimizer.step()


@kinds
def test_torch_takes_our_state(kind, options):
    torch = pytest.importorskip("torch")
    theirs, reference = torch_twin(torch, kind, options)
    ours = [parameter(2, 3), parameter(4, seed=1)]
    optimizer = kind(ours, **options)
    train(optimizer, ours, range(3))
    file = io.BytesIO()
    minigrad.save({"params": [param.detach() for param in ours], "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    for param, value in zip(theirs, loaded["params"], strict=True):
        param.data = value
    reference.load_state_dict(loaded["optimizer"])
    train(optimizer, ours, range(3, 6))
    train_torch(torch, reference, theirs, range(3, 6))
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), rtol=1e-12)


@kinds
def test_torch_takes_our_state_before_the_first_step(kind, options):
    torch = pytest.importorskip("torch")
    theirs, reference = torch_twin(torch, kind, options)
    optimizer = kind([parameter(2, 3), parameter(4, seed=1)], **options)
    reference.load_state_dict(as_torch(torch, optimizer.state_dict()))
    train_torch(torch, reference, theirs, range(2))


@kinds
def test_we_take_torchs_state(kind, options):
    torch = pytest.importorskip("torch")
    theirs, reference = torch_twin(torch, kind, options)
    train_torch(torch, reference, theirs, range(3))
    file = io.BytesIO()
    torch.save({"params": [param.detach() for param in theirs], "optimizer": reference.state_dict()}, file)
    file.seek(0)
    loaded = minigrad.load(file)
    ours = [param.requires_grad_() for param in loaded["params"]]
    optimizer = kind(ours)
    optimizer.load_state_dict(loaded["optimizer"])
    train(optimizer, ours, range(3, 6))
    train_torch(torch, reference, theirs, range(3, 6))
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), rtol=1e-12)
    assert "step" not in optimizer.state[ours[0]] or optimizer.state[ours[0]]["step"] == 6


def test_a_state_of_none_counts_as_absent():
    param = parameter(2)
    optimizer = optim.SGD([param], lr=0.1, momentum=0.9)
    state = optimizer.state_dict()
    optimizer.load_state_dict({**state, "state": {0: {"momentum_buffer": None}}})
    train(optimizer, [param], [0])
    assert optimizer.state[param]["momentum_buffer"].shape == (2,)


def test_loaded_state_is_a_copy_in_the_parameters_dtype():
    source, target = parameter(2), parameter(2, dtype="float32")
    optimizer, other = optim.Adam([source]), optim.Adam([target])
    train(optimizer, [source], [0])
    state = optimizer.state_dict()
    other.load_state_dict(state)
    assert other.state[target]["exp_avg"].dtype == minigrad.float32
    before = state["state"][0]["exp_avg"].numpy().copy()
    train(other, [target], [1])
    np.testing.assert_array_equal(state["state"][0]["exp_avg"].numpy(), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["param_groups"].append(s["param_groups"][0]), "expected a state of 1 parameter groups, got one of 2"),
        (lambda s: s["param_groups"][0]["params"].append(2), "expected a state of 2 parameters in group 0, got 3"),
        (lambda s: s["state"][1].update(exp_avg=minigrad.ones(9)), r"expected exp_avg of parameter 1 .* \(3,\), got \(9,\)"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(change, message):
    params = [parameter(2), parameter(3)]
    optimizer = optim.Adam(params)
    train(optimizer, params, [0])
    state = copy.deepcopy(optimizer.state_dict())
    before = copy.deepcopy(state)
    change(state)
    with pytest.raises(ValueError, match=f"Adam: {message}"):
        optimizer.load_state_dict(state)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    assert_same([after["state"][i]["exp_avg"].numpy() for i in (0, 1)], [before["state"][i]["exp_avg"].numpy() for i in (0, 1)])


def test_values_of_options_are_loaded_as_they_are():
    """A schedule that ends at 0 may end a rounding error below it."""
    weight = parameter(2)
    optimizer = optim.SGD([weight], lr=0.1)
    schedule = optim.lr_scheduler.LinearLR(optimizer, 0.3, 0.0, total_iters=3)
    for _ in range(3):
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] < 0
    other = optim.SGD([weight], lr=0.1)
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]


def test_options_of_older_files_are_filled_in():
    optimizer = optim.Adam([parameter(2)], maximize=True)
    state = optimizer.state_dict()
    del state["param_groups"][0]["maximize"]
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["maximize"] is True


@kinds
def test_deepcopy_with_the_model(kind, options):
    params = [parameter(2), parameter(3)]
    optimizer = kind(params, **options)
    optimizer.register_step_post_hook(lambda *args: None)
    train(optimizer, params, [0])
    twins, twin = copy.deepcopy((params, optimizer))
    train(optimizer, params, [1])
    train(twin, twins, [1])
    assert_same(values(twins), values(params))
    twin.register_step_pre_hook(lambda *args: None)
    assert not optimizer._pre_hooks


# --- hooks -------------------------------------------------------------------------------------------------------------


def test_hooks_run_around_a_step_and_can_be_removed():
    param = parameter(2)
    optimizer = optim.SGD([param])
    calls = []
    before = optimizer.register_step_pre_hook(lambda *args: calls.append(("before", *args)))
    after = optimizer.register_step_post_hook(lambda *args: calls.append(("after", *args)))

    def closure():
        calls.append("closure")

    optimizer.step(closure)
    assert calls == [("before", optimizer, (optimizer, closure), {}), "closure", ("after", optimizer, (optimizer, closure), {})]
    before.remove()
    after.remove()
    optimizer.step()
    assert len(calls) == 3


def test_pre_hook_may_replace_the_arguments():
    optimizer = optim.SGD([parameter(2)])
    with optimizer.register_step_pre_hook(lambda self, args, kwargs: ((self, lambda: 7), {})):
        assert optimizer.step() == 7
    with (
        optimizer.register_step_pre_hook(lambda *args: 3),
        pytest.raises(RuntimeError, match=r"expected a hook to return None or a pair \(args, kwargs\), got 3"),
    ):
        optimizer.step()
    assert optimizer.step() is None


class TorchStyle(optim.Optimizer):
    """As people write them for PyTorch: the whole of ``step`` is theirs."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    def step(self, closure=None):
        for group in self.param_groups:
            for param in group["params"]:
                self.state[param]["count"] = self.state[param].get("count", 0) + 1
                with minigrad.no_grad():
                    param.sub_(param.grad, alpha=group["lr"])


class Reporting(optim.SGD):
    def step(self, closure=None):
        super().step(closure)
        return "done"


def test_own_optimizer_with_step():
    param, twin = parameter(2), parameter(2)
    optimizer, reference = TorchStyle([param], lr=0.1), optim.SGD([twin], lr=0.1)
    calls = []
    optimizer.register_step_post_hook(lambda *args: calls.append("after"))
    train(optimizer, [param], range(2))
    train(reference, [twin], range(2))
    assert_same(values([param]), values([twin]))
    assert calls == ["after"] * 2
    assert optimizer.state_dict()["state"] == {0: {"count": 2}}
    assert optimizer.stepped


def test_hooks_run_once_where_step_calls_the_one_it_overrides():
    optimizer = Reporting([parameter(2)])
    calls = []
    optimizer.register_step_pre_hook(lambda *args: calls.append("before"))
    assert optimizer.step() == "done"
    assert calls == ["before"]


def test_hooks_run_again_after_a_step_failed():
    param = parameter(2)
    optimizer = TorchStyle([param], lr=0.1)
    calls = []
    optimizer.register_step_pre_hook(lambda *args: calls.append("before"))
    for _ in range(2):
        with pytest.raises(TypeError):
            optimizer.step()  # there is no gradient
    assert calls == ["before"] * 2


def test_base_class_says_what_is_missing():
    with pytest.raises(NotImplementedError, match=r"Optimizer\.update"):
        optim.Optimizer([parameter(2)], {}).step()


# --- memory ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def run_epoch(param, optimizer, schedule):
    optimizer.zero_grad()
    (param * param).sum().backward()
    optimizer.step()
    schedule.step()


@kinds
def test_steps_leave_nothing_for_the_cyclic_collector(kind, options, no_collector):
    param = parameter(500, 20)
    optimizer = kind([param], **options)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
    run_epoch(param, optimizer, schedule)
    gc.collect()
    tracemalloc.start()
    try:
        run_epoch(param, optimizer, schedule)
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(5):
            run_epoch(param, optimizer, schedule)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < param.nbytes / 2
    assert gc.collect() == 0
    gone = weakref.ref(optimizer)
    del optimizer, schedule
    assert gone() is None


@kinds
def test_a_step_takes_no_more_memory_than_one_scratch(kind, options, no_collector):
    param = parameter(1000, 100, dtype="float32")
    optimizer = kind([param], **options)
    train(optimizer, [param], [0])
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        optimizer.step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 1.1 * param.nbytes


def test_states_that_are_made_together_lie_side_by_side():
    """Small states in the memory of a step's activations would leave no room there for the next step's."""
    lying = minigrad.zeros(2, 5, 5, 3).permute(0, 3, 1, 2)
    params = [minigrad.zeros(7), minigrad.zeros(3, 2), lying, minigrad.zeros(4, dtype="float64"), minigrad.zeros(())]
    for i, param in enumerate(params):
        param.requires_grad_().grad = minigrad.full_like(param, i + 1.0)
    optimizer = optim.SGD(params, lr=1, momentum=0.5)
    optimizer.step()
    buffers = [optimizer.state[param]["momentum_buffer"].numpy() for param in params]
    for i, (param, buffer) in enumerate(zip(params, buffers)):
        assert (buffer == i + 1).all()
        assert (buffer.shape, buffer.dtype, buffer.strides) == (param.shape, param.dtype, param.detach().numpy().strides)
    bases = [buffer if buffer.base is None else buffer.base for buffer in buffers]
    single = [base for base, param in zip(bases, params) if param.dtype == "float32"]
    assert all(base is single[0] for base in single)
    assert all(
        buffer.__array_interface__["data"][0] % 64 == buffers[0].__array_interface__["data"][0] % 64 for buffer in buffers[:3]
    )
