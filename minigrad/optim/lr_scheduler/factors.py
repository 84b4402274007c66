"""Schedules that multiply the learning rate: at milestones, every epoch, for a while, or by a function of the epoch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler, RatioLR, check_optimizer, check_whole, per_group


class StepLR(RatioLR):
    """The rate times ``gamma`` every ``step_size`` epochs.

    Args:
        optimizer: whose rates to set.
        step_size: in epochs.
        gamma: the factor.
        last_epoch: as for ``LRScheduler``.

    >>> import minigrad
    >>> optimizer = minigrad.optim.SGD([minigrad.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = minigrad.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for epoch in range(4):
    ...     print(schedule.get_last_lr())
    ...     optimizer.step()
    ...     schedule.step()
    [1.0]
    [1.0]
    [0.5]
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1):
        check_whole("StepLR", "step_size", step_size)
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def ratio(self, epoch: int) -> float:
        return self.gamma if epoch > 0 and epoch % self.step_size == 0 else 1.0


class MultiStepLR(RatioLR):
    """The rate times ``gamma`` at each of the ``milestones``.

    Args:
        optimizer: whose rates to set.
        milestones: epochs; one that is named twice counts twice.
        gamma: the factor.
        last_epoch: as for ``LRScheduler``.

    >>> import minigrad
    >>> optimizer = minigrad.optim.SGD([minigrad.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = minigrad.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
    >>> for epoch in range(4):
    ...     print(schedule.get_last_lr())
    ...     optimizer.step()
    ...     schedule.step()
    [1.0]
    [0.5]
    [0.5]
    [0.25]
    """

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1):
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def ratio(self, epoch: int) -> float:
        return self.gamma ** self.milestones[epoch]


class ConstantLR(RatioLR):
    """The rate times ``factor`` for the first ``total_iters`` epochs, then the full rate.

    Args:
        optimizer: whose rates to set.
        factor: above 0, at most 1.
        total_iters: in epochs.
        last_epoch: as for ``LRScheduler``.

    Raises:
        ValueError: if an option is out of range.

    >>> import minigrad
    >>> optimizer = minigrad.optim.SGD([minigrad.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = minigrad.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> for epoch in range(3):
    ...     print(schedule.get_last_lr())
    ...     optimizer.step()
    ...     schedule.step()
    [0.5]
    [0.5]
    [1.0]
    """

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1):
        _check_share("ConstantLR", "factor", factor)
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def ratio(self, epoch: int) -> float:
        if epoch == 0:
            return self.factor
        return 1 / self.factor if epoch == self.total_iters else 1.0


class LinearLR(RatioLR):
    """The rate times a factor that goes from ``start_factor`` to ``end_factor`` in equal steps: a warm-up.

    Args:
        optimizer: whose rates to set.
        start_factor: above 0, at most 1.
        end_factor: from 0 to 1.
        total_iters: after how many epochs ``end_factor`` is reached.
        last_epoch: as for ``LRScheduler``.

    Raises:
        ValueError: if an option is out of range.

    >>> import minigrad
    >>> optimizer = minigrad.optim.SGD([minigrad.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = minigrad.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> for epoch in range(4):
    ...     print(schedule.get_last_lr())
    ...     optimizer.step()
    ...     schedule.step()
    [0.5]
    [0.75]
    [1.0]
    [1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ):
        _check_share("LinearLR", "start_factor", start_factor)
        if not 0 <= end_factor <= 1:
            raise ValueError(f"{type(self).__name__}: expected end_factor from 0 to 1, got {end_factor}")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def ratio(self, epoch: int) -> float:
        if epoch == 0:
            return self.start_factor
        if epoch > self.total_iters:
            return 1.0
        rise = self.end_factor - self.start_factor
        return 1 + rise / (self.total_iters * self.start_factor + (epoch - 1) * rise)


class ExponentialLR(RatioLR):
    """The rate times ``gamma`` every epoch.

    Args:
        optimizer: whose rates to set.
        gamma: the factor.
        last_epoch: as for ``LRScheduler``.

    >>> import minigrad
    >>> optimizer = minigrad.optim.SGD([minigrad.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = minigrad.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> for epoch in range(3):
    ...     print(schedule.get_last_lr())
    ...     optimizer.step()
    ...     schedule.step()
    [1.0]
    [0.5]
    [0.25]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def ratio(self, epoch: int) -> float:
        return self.gamma if epoch > 0 else 1.0


class LambdaLR(LRScheduler):
    """The initial rate times a function of the epoch.

    Args:
        optimizer: whose rates to set.
        lr_lambda: a function from the epoch to the factor, or a list of one per parameter group. A function is no part of
            ``state_dict``; of an object with ``__call__`` the attributes are.
        last_epoch: as for ``LRScheduler``.

    >>> import minigrad
    >>> optimizer = minigrad.optim.SGD([minigrad.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = minigrad.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
    >>> for epoch in range(2):
    ...     print(schedule.get_last_lr())
    ...     optimizer.step()
    ...     schedule.step()
    [1.0]
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ):
        check_optimizer("LambdaLR", optimizer)
        self.lr_lambdas = per_group("LambdaLR", "lr_lambda", lr_lambda, optimizer)
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(f"LambdaLR: expected lr_lambda to be callable, got a {type(function).__name__}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [rate * function(self.last_epoch) for rate, function in zip(self.base_lrs, self.lr_lambdas)]

    def state_dict(self) -> dict[str, Any]:
        """As ``LRScheduler.state_dict``, with None in place of functions."""
        attributes = [None if isinstance(f, FunctionType) else dict(vars(f)) for f in self.lr_lambdas]
        return {**super().state_dict(), "lr_lambdas": attributes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` returned; the functions stay."""
        self._check_state(state_dict)
        self.__dict__.update((name, value) for name, value in state_dict.items() if name != "lr_lambdas")
        for function, attributes in zip(self.lr_lambdas, state_dict["lr_lambdas"]):
            if attributes is not None:
                vars(function).update(attributes)

    def _check_state(self, state_dict: Any) -> None:
        super()._check_state(state_dict)
        self._check_list(state_dict, "lr_lambdas", len(self.lr_lambdas), "functions")


def _check_share(schedule: str, name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise ValueError(f"{schedule}: expected {name} above 0 and at most 1, got {value}")
