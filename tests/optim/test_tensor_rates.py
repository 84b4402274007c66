"""Schedules of learning rates that are tensors: where they are written, and what is kept of them."""

import pytest

import minigrad
from minigrad import optim
from minigrad.optim import lr_scheduler

MAKERS = [
    lambda module, o: module.StepLR(o, 2, 0.5),
    lambda module, o: module.CosineAnnealingLR(o, 6),
    lambda module, o: module.CosineAnnealingWarmRestarts(o, 3, 2),
    lambda module, o: module.LambdaLR(o, lambda epoch: 0.9**epoch),
    lambda module, o: module.OneCycleLR(o, 1.0, total_steps=20),
    lambda module, o: module.SequentialLR(o, [module.LinearLR(o, 0.5, 1.0, 3), module.ExponentialLR(o, 0.5)], [4]),
]


@pytest.mark.parametrize("make", MAKERS)
def test_a_tensor_is_written_in_place_as_in_torch(make):
    torch = pytest.importorskip("torch")
    histories = []
    for module, schedules in ((minigrad, lr_scheduler), (torch, torch.optim.lr_scheduler)):
        rate = module.tensor(0.5)
        optimizer = module.optim.SGD([module.ones(1, requires_grad=True)], lr=rate, momentum=0.9)
        schedule = make(schedules, optimizer)
        history = [float(rate)]
        for _ in range(15):
            optimizer.step()
            schedule.step()
            history += [float(rate), float(schedule.get_last_lr()[0]), float(optimizer.param_groups[0]["initial_lr"])]
        assert optimizer.param_groups[0]["lr"] is rate
        histories.append(history)
    assert histories[0] == pytest.approx(histories[1], rel=1e-5, abs=1e-7)


def test_the_initial_rate_is_a_copy():
    rate = minigrad.tensor(1.0)
    optimizer = optim.SGD([minigrad.ones(1, requires_grad=True)], lr=rate)
    schedule = lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
    rate.fill_(7.0)
    optimizer.step()
    schedule.step()
    assert rate.item() == 0.5


def test_groups_that_share_a_tensor_get_rates_of_their_own():
    rate = minigrad.tensor(1.0)
    optimizer = optim.SGD([{"params": [minigrad.ones(1)]}, {"params": [minigrad.ones(1)]}], lr=rate)
    inner = [
        lr_scheduler.ExponentialLR(optimizer, 0.5),
        lr_scheduler.LambdaLR(optimizer, [lambda epoch: 0.5**epoch, lambda epoch: 0.1**epoch]),
        lr_scheduler.StepLR(optimizer, 1, 0.5),
    ]
    schedule = lr_scheduler.SequentialLR(optimizer, inner, [1, 3])
    for expected in [(1, 1), (1, 1), (0.5, 0.1), (1, 1), (0.5, 0.5), (0.25, 0.25)]:
        assert [float(group["lr"]) for group in optimizer.param_groups] == pytest.approx(expected)
        optimizer.step()
        schedule.step()
    assert rate.item() == 1
