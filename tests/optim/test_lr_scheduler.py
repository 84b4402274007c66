"""Every schedule over 100 epochs against PyTorch's and against its closed form; resuming, combining, errors."""

import copy
import gc
import io
import weakref
from math import cos, pi

import pytest

import minigrad
from minigrad import optim
from minigrad.optim import lr_scheduler

EPOCHS = 100


class Decay:
    """A factor with a state of its own."""

    def __init__(self, rate):
        self.rate = rate

    def __call__(self, epoch):
        return self.rate**epoch


# name, options, and the closed form: the rate of an epoch from the initial one
GRID = [
    ("StepLR", {"step_size": 30}, lambda e, r: r * 0.1 ** (e // 30)),
    ("StepLR", {"step_size": 1, "gamma": 0.97}, lambda e, r: r * 0.97**e),
    ("MultiStepLR", {"milestones": [20, 50, 50, 80]}, lambda e, r: r * 0.1 ** sum(e >= m for m in (20, 50, 50, 80))),
    ("MultiStepLR", {"milestones": [0, 3], "gamma": 0.5}, lambda e, r: r * 0.5 ** (1 + (e >= 3))),
    ("ConstantLR", {}, lambda e, r: r / 3 if e < 5 else r),
    ("ConstantLR", {"factor": 0.25, "total_iters": 40}, lambda e, r: r * 0.25 if e < 40 else r),
    ("LinearLR", {}, lambda e, r: r * (1 / 3 + 2 / 3 * min(e, 5) / 5)),
    ("LinearLR", {"start_factor": 0.9, "end_factor": 0.1, "total_iters": 70}, lambda e, r: r * (0.9 - 0.8 * min(e, 70) / 70)),
    ("LinearLR", {"start_factor": 0.5, "end_factor": 0.0, "total_iters": 9}, lambda e, r: r * 0.5 * (1 - min(e, 9) / 9)),
    ("ExponentialLR", {"gamma": 0.95}, lambda e, r: r * 0.95**e),
    ("CosineAnnealingLR", {"T_max": 100}, lambda e, r: r * (1 + cos(pi * e / 100)) / 2),
    ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.01}, lambda e, r: 0.01 + (r - 0.01) * (1 + cos(pi * e / 7)) / 2),
    ("CosineAnnealingLR", {"T_max": 1}, lambda e, r: r * (1 - e % 2)),
    ("LambdaLR", {"lr_lambda": lambda epoch: 1 / (1 + epoch)}, lambda e, r: r / (1 + e)),
    ("LambdaLR", {"lr_lambda": Decay(0.9)}, lambda e, r: r * 0.9**e),
    ("CosineAnnealingWarmRestarts", {"T_0": 10}, lambda e, r: r * (1 + cos(pi * (e % 10) / 10)) / 2),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.001}, None),
    ("CosineAnnealingWarmRestarts", {"T_0": 1, "T_mult": 10}, None),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": EPOCHS}, None),
    ("OneCycleLR", {"max_lr": [1.0, 2.0], "epochs": 10, "steps_per_epoch": 10, "anneal_strategy": "linear"}, None),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": EPOCHS, "three_phase": True, "pct_start": 0.4, "div_factor": 10}, None),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": EPOCHS, "base_momentum": 0.5, "max_momentum": [0.8, 0.9]}, None),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": EPOCHS, "cycle_momentum": False, "final_div_factor": 3}, None),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": EPOCHS, "pct_start": 0.0}, None),
]
IDS = [f"{name}-{'-'.join(options) or 'defaults'}" for name, options, _ in GRID]
grid = pytest.mark.parametrize(("name", "options", "closed_form"), GRID, ids=IDS)
RATES = [0.1, 0.03]


def make_optimizer(kind="SGD"):
    params = [minigrad.ones(1, requires_grad=True) for _ in RATES]
    options = {"momentum": 0.9} if kind == "SGD" else {}
    return getattr(optim, kind)([{"params": p, "lr": lr} for p, lr in zip(params, RATES, strict=True)], **options)


def make_reference(torch, kind="SGD"):
    params = [torch.nn.Parameter(torch.ones(1)) for _ in RATES]
    options = {"momentum": 0.9} if kind == "SGD" else {}
    groups = [{"params": [p], "lr": lr} for p, lr in zip(params, RATES, strict=True)]
    return getattr(torch.optim, kind)(groups, **options)


def row(optimizer):
    """What schedules set, per group."""
    return [(group["lr"], group.get("momentum", group.get("betas"))) for group in optimizer.param_groups]


def follow(optimizer, schedule, epochs):
    """What is set in each epoch."""
    history = []
    for _ in range(epochs):
        history.append(row(optimizer))
        assert schedule.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
        optimizer.step()
        schedule.step()
    return history


def assert_close(found, expected):
    for epoch, (a, b) in enumerate(zip(found, expected, strict=True)):
        for mine, other in zip(a, b, strict=True):
            assert mine[0] == pytest.approx(other[0], rel=1e-12, abs=1e-14), f"the rate in epoch {epoch}"
            assert mine[1] == pytest.approx(other[1], rel=1e-12), f"the momentum in epoch {epoch}"


@grid
def test_closed_form(name, options, closed_form):
    if closed_form is None:
        pytest.skip("compared with torch only")
    optimizer = make_optimizer()
    history = follow(optimizer, getattr(lr_scheduler, name)(optimizer, **options), EPOCHS)
    for epoch, found in enumerate(history):
        for (rate, _), initial in zip(found, RATES, strict=True):
            assert rate == pytest.approx(closed_form(epoch, initial), rel=1e-10, abs=1e-14)


@grid
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_torch(name, options, closed_form, kind):
    torch = pytest.importorskip("torch")
    ours, theirs = make_optimizer(kind), make_reference(torch, kind)
    found = follow(ours, getattr(lr_scheduler, name)(ours, **options), EPOCHS)
    expected = follow(theirs, getattr(torch.optim.lr_scheduler, name)(theirs, **options), EPOCHS)
    assert_close(found, expected)


@grid
@pytest.mark.parametrize("at", [0, 1, 37])
def test_resumed_from_saved_states(name, options, closed_form, at):
    whole = make_optimizer()
    expected = follow(whole, getattr(lr_scheduler, name)(whole, **copy.deepcopy(options)), EPOCHS)
    first = make_optimizer()
    schedule = getattr(lr_scheduler, name)(first, **copy.deepcopy(options))
    follow(first, schedule, at)
    file = io.BytesIO()
    minigrad.save({"optimizer": first.state_dict(), "schedule": schedule.state_dict()}, file)
    file.seek(0)
    state = minigrad.load(file)
    second = make_optimizer()
    resumed = getattr(lr_scheduler, name)(second, **options)
    second.load_state_dict(state["optimizer"])
    resumed.load_state_dict(state["schedule"])
    assert resumed.last_epoch == at
    second.stepped = True  # as it would be after the first batch
    assert follow(second, resumed, EPOCHS - at) == expected[at:]


@grid
def test_torchs_state_is_taken(name, options, closed_form):
    torch = pytest.importorskip("torch")
    ours, theirs = make_optimizer(), make_reference(torch)
    reference = getattr(torch.optim.lr_scheduler, name)(theirs, **options)
    follow(theirs, reference, 37)
    schedule = getattr(lr_scheduler, name)(ours, **options)
    ours.load_state_dict(copy.deepcopy(theirs.state_dict()))
    schedule.load_state_dict(copy.deepcopy(reference.state_dict()))
    assert_close(follow(ours, schedule, 63), follow(theirs, reference, 63))


@pytest.mark.parametrize(
    ("name", "options", "closed_form"),
    [case for case in GRID if case[0] not in ("OneCycleLR", "CosineAnnealingWarmRestarts")],
)
@pytest.mark.parametrize("at", [4, 19, 29])
def test_resumed_by_last_epoch(name, options, closed_form, at):
    """The optimizer's state was saved after ``schedule.step()``; the schedule's was not."""
    first = make_optimizer()
    expected = follow(first, getattr(lr_scheduler, name)(first, **options), EPOCHS)
    first = make_optimizer()
    follow(first, getattr(lr_scheduler, name)(first, **options), at + 1)
    second = make_optimizer()
    second.load_state_dict(first.state_dict())
    schedule = getattr(lr_scheduler, name)(second, **options, last_epoch=at)
    assert_close(follow(second, schedule, EPOCHS - at - 1), expected[at + 1 :])


def test_last_epoch_needs_the_initial_rates():
    with pytest.raises(ValueError, match="StepLR: expected 'initial_lr' in parameter group 0 for last_epoch=3"):
        lr_scheduler.StepLR(make_optimizer(), 5, last_epoch=3)


def test_lambda_objects_are_saved_and_functions_are_not():
    schedule = lr_scheduler.LambdaLR(make_optimizer(), [Decay(0.5), lambda epoch: 1.0])
    state = schedule.state_dict()
    assert state["lr_lambdas"] == [{"rate": 0.5}, None]
    other = lr_scheduler.LambdaLR(make_optimizer(), [Decay(0.9), lambda epoch: 1.0])
    other.load_state_dict(state)
    assert other.lr_lambdas[0].rate == 0.5


def test_schedules_of_one_optimizer_multiply():
    optimizer = make_optimizer()
    warm_up = lr_scheduler.ConstantLR(optimizer, 0.5, total_iters=2)
    decay = lr_scheduler.ExponentialLR(optimizer, 0.1)
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        warm_up.step()
        decay.step()
    assert rates == pytest.approx([0.05, 0.005, 0.001, 0.0001])


# --- warm restarts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "factor"), [(10, 1), (3, 2), (2, 3)])
def test_warm_restarts_within_epochs(first, factor):
    torch = pytest.importorskip("torch")
    ours, theirs = make_optimizer(), make_reference(torch)
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(ours, first, factor)
    reference = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(theirs, first, factor)
    for i in range(150):
        schedule.step(i / 4)
        reference.step(i / 4)
        assert schedule.get_last_lr() == pytest.approx(reference.get_last_lr(), rel=1e-12)


def test_warm_restart_at_a_power_that_logarithms_miss():
    optimizer = make_optimizer()
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 1, T_mult=10)
    schedule.step(111)  # 1 + 10 + 100
    assert schedule.get_last_lr() == RATES
    with pytest.raises(ValueError, match="expected an epoch from 0 up, got -1"):
        schedule.step(-1)


# --- one cycle ---------------------------------------------------------------------------------------------------------


def test_one_cycle_ends():
    optimizer = make_optimizer()
    schedule = lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=3)
    optimizer.step()
    for _ in range(3):
        schedule.step()
    with pytest.raises(ValueError, match=r"OneCycleLR\.step: expected at most 3 calls"):
        schedule.step()


def test_one_cycle_with_its_peak_at_the_start():
    optimizer = make_optimizer()
    schedule = lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=4, pct_start=0.25)
    assert schedule.get_last_lr() == [1.0, 1.0]


# --- plateau -----------------------------------------------------------------------------------------------------------

LOSSES = [5, 4, 4.1, 3.99, 3.989, 4, 4, 4, 3, 3, 3, 3, 3, 3, 3, 3, -1, -1, -1.001, -1, -1, -1, -1, -1, -2, -3] * 4


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 2},
        {"patience": 0, "factor": 0.5, "cooldown": 2, "min_lr": [0.001, 0.01]},
        {"patience": 1, "threshold": 0.1, "eps": 1e-3},
    ],
)
def test_plateau_against_torch(mode, threshold_mode, options):
    torch = pytest.importorskip("torch")
    ours, theirs = make_optimizer(), make_reference(torch)
    options = {"mode": mode, "threshold_mode": threshold_mode, **options}
    schedule = lr_scheduler.ReduceLROnPlateau(ours, **options)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    for epoch, loss in enumerate(LOSSES):
        schedule.step(loss)
        reference.step(loss)
        assert schedule.get_last_lr() == reference.get_last_lr()
        if epoch == 40:
            other = lr_scheduler.ReduceLROnPlateau(ours, **options)
            other.load_state_dict(copy.deepcopy(schedule.state_dict()))
            schedule = other
    assert schedule.last_epoch == len(LOSSES)


def test_plateau_with_a_group_that_came_later():
    torch = pytest.importorskip("torch")
    histories = []
    for module, schedules in ((minigrad, lr_scheduler), (torch, torch.optim.lr_scheduler)):
        optimizer = module.optim.SGD([module.ones(1, requires_grad=True)], lr=1.0)
        schedule = schedules.ReduceLROnPlateau(optimizer, patience=0, min_lr=0.05)
        rates = []
        for epoch in range(6):
            schedule.step(1.0)
            if epoch == 1:
                optimizer.add_param_group({"params": [module.ones(1, requires_grad=True)], "lr": 4.0})
            rates.append([group["lr"] for group in optimizer.param_groups])
        histories.append(rates)
    assert histories[0] == [pytest.approx(rates) for rates in histories[1]]
    assert histories[0][-1] == [0.05, 0.05]


def test_plateau_with_a_list_knows_no_smallest_rate_of_a_later_group():
    optimizer = make_optimizer()
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, min_lr=[0.0, 0.1])
    optimizer.add_param_group({"params": minigrad.ones(1)})
    schedule.step(1.0)
    with pytest.raises(RuntimeError, match="ReduceLROnPlateau: expected rates for 3 parameter groups, got 2"):
        schedule.step(1.0)


def test_plateau_takes_a_tensor():
    optimizer = make_optimizer()
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    schedule.step(minigrad.tensor(1.0))
    schedule.step(minigrad.tensor(1.0))
    assert schedule.get_last_lr() == pytest.approx([0.01, 0.003])


# --- one after the other -----------------------------------------------------------------------------------------------


def sequence(module, optimizer):
    schedules = [
        module.LinearLR(optimizer, start_factor=0.01, total_iters=5),
        module.CosineAnnealingLR(optimizer, T_max=20),
        module.ExponentialLR(optimizer, 0.9),
        module.StepLR(optimizer, 3, 0.5),
        module.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch)),
        module.CosineAnnealingWarmRestarts(optimizer, 3, 2),
        module.ConstantLR(optimizer, 0.5, 4),
        module.MultiStepLR(optimizer, [2, 4]),
    ]
    return module.SequentialLR(optimizer, schedules, milestones=[5, 25, 40, 50, 60, 70, 80])


def test_sequence_against_torch():
    torch = pytest.importorskip("torch")
    ours, theirs = make_optimizer(), make_reference(torch)
    schedule, reference = sequence(lr_scheduler, ours), sequence(torch.optim.lr_scheduler, theirs)
    assert_close(follow(ours, schedule, EPOCHS), follow(theirs, reference, EPOCHS))


def test_sequence_begins_each_schedule_afresh():
    optimizer = make_optimizer()
    inner = [lr_scheduler.ExponentialLR(optimizer, 0.5), lr_scheduler.StepLR(optimizer, 2, 0.1)]
    history = follow(optimizer, lr_scheduler.SequentialLR(optimizer, inner, [3]), 8)
    expected = [1, 0.5, 0.25, 1, 1, 0.1, 0.1, 0.01]
    assert [rates[0][0] for rates in history] == pytest.approx([0.1 * factor for factor in expected])


@pytest.mark.parametrize("at", [0, 4, 5, 33, 62])
def test_sequence_resumed(at):
    whole = make_optimizer()
    expected = follow(whole, sequence(lr_scheduler, whole), EPOCHS)
    first = make_optimizer()
    schedule = sequence(lr_scheduler, first)
    follow(first, schedule, at)
    second = make_optimizer()
    resumed = sequence(lr_scheduler, second)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    resumed.load_state_dict(copy.deepcopy(schedule.state_dict()))
    second.stepped = True
    assert follow(second, resumed, EPOCHS - at) == expected[at:]


def test_sequence_of_sequence():
    optimizer = make_optimizer()
    inner = lr_scheduler.SequentialLR(
        optimizer, [lr_scheduler.ConstantLR(optimizer, 0.5, 2), lr_scheduler.ExponentialLR(optimizer, 0.1)], [2]
    )
    outer = lr_scheduler.SequentialLR(optimizer, [lr_scheduler.StepLR(optimizer, 9), inner], [1])
    history = follow(optimizer, outer, 5)
    assert [rates[0][0] for rates in history] == pytest.approx([0.1, 0.05, 0.05, 0.1, 0.01])


# --- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o: lr_scheduler.StepLR("x", 3), TypeError, "StepLR: expected an Optimizer, got a str"),
        (lambda o: lr_scheduler.LambdaLR("x", float), TypeError, "LambdaLR: expected an Optimizer"),
        (lambda o: lr_scheduler.OneCycleLR("x", 1.0), TypeError, "OneCycleLR: expected an Optimizer"),
        (lambda o: lr_scheduler.ReduceLROnPlateau("x"), TypeError, "ReduceLROnPlateau: expected an Optimizer"),
        (lambda o: lr_scheduler.SequentialLR("x", [], []), TypeError, "SequentialLR: expected an Optimizer"),
        (lambda o: lr_scheduler.StepLR(o, 0), ValueError, "StepLR: expected step_size to be a whole number from 1 up, got 0"),
        (lambda o: lr_scheduler.ConstantLR(o, 1.5), ValueError, "ConstantLR: expected factor above 0 and at most 1, got 1.5"),
        (lambda o: lr_scheduler.LinearLR(o, 0), ValueError, "LinearLR: expected start_factor above 0"),
        (lambda o: lr_scheduler.LinearLR(o, end_factor=2), ValueError, "LinearLR: expected end_factor from 0 to 1, got 2"),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, 0), ValueError, "CosineAnnealingLR: expected T_max"),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 0), ValueError, "WarmRestarts: expected T_0"),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 1, 1.5), ValueError, "WarmRestarts: expected T_mult .* got 1.5"),
        (lambda o: lr_scheduler.LambdaLR(o, [float]), ValueError, "LambdaLR: expected one lr_lambda for each of 2 .* got 1"),
        (lambda o: lr_scheduler.LambdaLR(o, 0.5), TypeError, "LambdaLR: expected lr_lambda to be callable, got a float"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0), ValueError, "expected total_steps, or both epochs and steps_per_epoch"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, 0), ValueError, "OneCycleLR: expected total_steps to be a whole number"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, 9, pct_start=2), ValueError, "expected pct_start from 0 to 1, got 2"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, 9, anneal_strategy="x"), ValueError, "'cos' or 'linear', got 'x'"),
        (lambda o: lr_scheduler.OneCycleLR(o, [1.0], 9), ValueError, "expected one max_lr for each of 2 .* got 1"),
        (lambda o: lr_scheduler.OneCycleLR(optim.Adagrad([minigrad.ones(1)]), 1.0, 9), ValueError, "cycle_momentum=False"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, "x"), ValueError, "expected mode 'min' or 'max', got 'x'"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=1.0), ValueError, "expected factor below 1, got 1.0"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, threshold_mode="x"), ValueError, "'rel' or 'abs', got 'x'"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, min_lr=[0]), ValueError, "expected one min_lr for each of 2"),
        (lambda o: lr_scheduler.SequentialLR(o, [], []), ValueError, "one schedule more than milestones, got 0 and 0"),
        (lambda o: lr_scheduler.SequentialLR(o, [1], []), TypeError, "SequentialLR: expected schedules, got a int"),
        (
            lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(make_optimizer(), 2)], []),
            ValueError,
            "expected schedules of this optimizer, got a StepLR of another",
        ),
        (
            lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.ReduceLROnPlateau(o)], []),
            ValueError,
            "got a ReduceLROnPlateau",
        ),
        (
            lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(o, 2) for _ in range(3)], [3, 2]),
            ValueError,
            r"expected milestones in rising order, got \[3, 2\]",
        ),
    ],
)
def test_bad_options(make, error, message):
    with pytest.raises(error, match=message):
        make(make_optimizer())


@pytest.mark.parametrize(
    ("make", "change", "error", "message"),
    [
        (
            lambda o: lr_scheduler.StepLR(o, 2),
            lambda state: None,
            TypeError,
            "StepLR.load_state_dict: expected a dict, got None",
        ),
        (
            lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 1.0),
            lambda state: {"last_epoch": 7},
            ValueError,
            r"expected the state of a LambdaLR, with the key 'lr_lambdas', got \['last_epoch'\]",
        ),
        (
            lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 1.0),
            lambda state: {**state, "last_epoch": 7, "lr_lambdas": [None]},
            ValueError,
            "LambdaLR: expected a state of 2 functions, got one of 1",
        ),
        (lambda o: sequence(lr_scheduler, o), lambda state: {"last_epoch": 7}, ValueError, "with the key '_schedulers'"),
        (
            lambda o: sequence(lr_scheduler, o),
            lambda state: {**state, "last_epoch": 7, "_schedulers": [{"last_epoch": 7}] * 8},
            ValueError,
            "with the key 'lr_lambdas'",
        ),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(make, change, error, message):
    schedule = make(make_optimizer())
    before = schedule.state_dict()
    with pytest.raises(error, match=message):
        schedule.load_state_dict(change(copy.deepcopy(before)))
    assert schedule.state_dict() == before


def test_base_class_says_what_is_missing():
    with pytest.raises(NotImplementedError, match=r"LRScheduler\.get_lr"):
        lr_scheduler.LRScheduler(make_optimizer())


def test_a_step_before_the_optimizers_warns_once():
    optimizer = make_optimizer()
    schedule = lr_scheduler.StepLR(optimizer, 2)
    with pytest.warns(UserWarning, match=r"StepLR.step: called before the first optimizer.step\(\)"):
        schedule.step()
    schedule.step()


def test_a_group_that_came_later_is_an_error():
    optimizer = make_optimizer()
    schedule = lr_scheduler.LambdaLR(optimizer, lambda epoch: 1.0)
    optimizer.add_param_group({"params": minigrad.ones(1)})
    optimizer.step()
    with pytest.raises(RuntimeError, match="LambdaLR: expected rates for 3 parameter groups, got 2"):
        schedule.step()


def test_schedule_and_optimizer_are_no_cycle():
    gc.collect()
    gc.disable()
    try:
        optimizer = make_optimizer()
        schedule = sequence(lr_scheduler, optimizer)
        gone = weakref.ref(optimizer), weakref.ref(schedule)
        del optimizer, schedule
        assert [ref() for ref in gone] == [None, None]
    finally:
        gc.enable()
