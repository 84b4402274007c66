"""SequentialLR: one schedule after the other."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler, check_optimizer
from .plateau import ReduceLROnPlateau


class SequentialLR(LRScheduler):
    """Schedules one after the other, each from its own epoch 0 on.

    Args:
        optimizer: whose rates to set.
        schedulers: schedules of this optimizer, in their order.
        milestones: the epochs at which the second one begins, the third, ...

    Raises:
        TypeError: if one is no schedule.
        ValueError: if a schedule belongs to another optimizer or needs a measured quantity, or the numbers do not fit.

    >>> import minigrad
    >>> from minigrad.optim.lr_scheduler import ExponentialLR, LinearLR, SequentialLR
    >>> optimizer = minigrad.optim.SGD([minigrad.ones(1, requires_grad=True)], lr=1.0)
    >>> warm_up = LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> schedule = SequentialLR(optimizer, [warm_up, ExponentialLR(optimizer, gamma=0.5)], milestones=[2])
    >>> for epoch in range(4):
    ...     print(schedule.get_last_lr())
    ...     optimizer.step()
    ...     schedule.step()
    [0.5]
    [0.75]
    [1.0]
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]):
        check_optimizer("SequentialLR", optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR: expected one schedule more than milestones, got {len(schedulers)} and {len(milestones)}"
            )
        if list(milestones) != sorted(milestones):
            raise ValueError(f"SequentialLR: expected milestones in rising order, got {list(milestones)}")
        for schedule in schedulers:
            if not isinstance(schedule, LRScheduler):
                raise TypeError(f"SequentialLR: expected schedules, got a {type(schedule).__name__}")
            if isinstance(schedule, ReduceLROnPlateau):
                raise ValueError("SequentialLR: expected schedules of the epoch alone, got a ReduceLROnPlateau")
            if schedule.optimizer is not optimizer:
                raise ValueError(
                    f"SequentialLR: expected schedules of this optimizer, got a {type(schedule).__name__} of another"
                )
        self.optimizer = optimizer
        self._schedulers = list(schedulers)
        self._milestones = list(milestones)
        self.restart()

    def restart(self) -> None:
        self.last_epoch = 0
        self._begin(bisect_right(self._milestones, 0))

    def step(self) -> None:
        """Go to the next epoch: a step of the schedule that it belongs to, or that one's beginning."""
        self.last_epoch += 1
        current = bisect_right(self._milestones, self.last_epoch)
        if self.last_epoch in self._milestones:
            self._begin(current)
        else:
            self._schedulers[current].step()
        self._last_lr = self._present()

    def get_lr(self) -> list[float]:
        """The rates that are set."""
        return self._present()

    def state_dict(self) -> dict[str, Any]:
        """As ``LRScheduler.state_dict``, with the schedules' own states."""
        return {**super().state_dict(), "_schedulers": [schedule.state_dict() for schedule in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` returned."""
        self._check_state(state_dict)
        self.__dict__.update((name, value) for name, value in state_dict.items() if name != "_schedulers")
        for schedule, state in zip(self._schedulers, state_dict["_schedulers"]):
            schedule.load_state_dict(state)

    def _check_state(self, state_dict: Any) -> None:
        super()._check_state(state_dict)
        self._check_list(state_dict, "_schedulers", len(self._schedulers), "schedules")
        for schedule, state in zip(self._schedulers, state_dict["_schedulers"]):
            schedule._check_state(state)

    def _begin(self, number: int) -> None:
        self._schedulers[number].restart()
        self._last_lr = self._present()
