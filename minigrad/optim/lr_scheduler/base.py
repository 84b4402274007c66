"""What all schedules have in common: when they set the learning rates, and what they remember of it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..._tensor import Tensor
from ...autograd import no_grad
from ..optimizer import Optimizer


class LRScheduler:
    """Base class of the schedules, and of users' own: give ``get_lr``.

    A schedule sets the rates for epoch 0 when it is made, and for the next epoch at each ``step()``, which is called after
    the epoch's calls of ``optimizer.step()``. Where it can, a rule computes the next rate from the present one, so that several
    schedules of one optimizer multiply. A rate that is a Tensor is written in place, unless several groups share it.

    Args:
        optimizer: whose ``param_groups`` get their ``lr`` set.
        last_epoch: the last epoch that is done, when training goes on with the optimizer's saved state but without the
            schedule's: the saved rates are those of the next epoch.

    Raises:
        TypeError: if ``optimizer`` is none.
        ValueError: if an option is out of range, or ``initial_lr`` is missing.

    >>> import minigrad
    >>> class Halving(minigrad.optim.lr_scheduler.LRScheduler):
    ...     def get_lr(self):
    ...         return [rate / 2**self.last_epoch for rate in self.base_lrs]
    >>> optimizer = minigrad.optim.SGD([minigrad.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = Halving(optimizer)
    >>> for epoch in range(2):
    ...     optimizer.step()
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1):
        check_optimizer(type(self).__name__, optimizer)
        self.optimizer = optimizer
        for i, (group, rate) in enumerate(zip(optimizer.param_groups, self._present())):
            if last_epoch == -1:
                group.setdefault("initial_lr", rate)
            elif "initial_lr" not in group:
                raise ValueError(
                    f"{type(self).__name__}: expected 'initial_lr' in parameter group {i} for last_epoch={last_epoch}; "
                    "load the optimizer's state first"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._step_count = 0
        self.step()

    def step(self) -> None:
        """Go to the next epoch, and set its learning rates."""
        if self._step_count == 1 and not self.optimizer.stepped:
            warnings.warn(
                f"{type(self).__name__}.step: called before the first optimizer.step(), so that the first "
                "learning rate goes unused; call optimizer.step() first",
                stacklevel=2,
            )
        self._step_count += 1
        self.last_epoch += 1
        self._set(self.get_lr())

    def get_lr(self) -> list[float]:
        """The rates for epoch ``self.last_epoch``, from ``self.base_lrs`` or from those of the epoch before."""
        raise NotImplementedError(f"{type(self).__name__}.get_lr")

    def get_last_lr(self) -> list[float]:
        """The rates that were set last, one per parameter group."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """All that changes, and the options; not the optimizer."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` returned. The optimizer's own state holds the rates: load it, too.

        Raises:
            TypeError: if it is no dict; ValueError if it is that of another kind of schedule. Nothing is changed then.
        """
        self._check_state(state_dict)
        self.__dict__.update(state_dict)

    def _check_state(self, state_dict: Any) -> None:
        """Raise unless ``load_state_dict`` can take this."""
        if not isinstance(state_dict, dict):
            raise TypeError(f"{type(self).__name__}.load_state_dict: expected a dict, got {type(state_dict).__name__}")

    def _check_list(self, state_dict: Any, key: str, length: int, things: str) -> None:
        """Raise unless the state has a list under that key, of as many entries as there are things here."""
        kind = type(self).__name__
        if key not in state_dict:
            raise ValueError(f"{kind}: expected the state of a {kind}, with the key {key!r}, got {sorted(state_dict)}")
        found = len(state_dict[key])
        if found != length:
            raise ValueError(f"{kind}: expected a state of {length} {things}, got one of {found}")

    def restart(self) -> None:
        """Set the rates for epoch 0, whatever they are now."""
        self._set(self.base_lrs)
        self.last_epoch = 0
        self._set(self.get_lr())

    def _present(self) -> list[float]:
        """The rates as they are now; of Tensors copies."""
        return [_copied(group["lr"]) for group in self.optimizer.param_groups]

    def _resumed(self) -> bool:
        """Whether this is the first step after epochs that another schedule saw: the rates in place are right."""
        return self._step_count == 1 and self.last_epoch > 0

    def _set(self, rates: Sequence[float]) -> None:
        groups = self.optimizer.param_groups
        if len(rates) != len(groups):
            raise RuntimeError(
                f"{type(self).__name__}: expected rates for {len(groups)} parameter groups, got {len(rates)}; "
                "add groups to the optimizer before its schedule is made"
            )
        holders = Counter(id(group["lr"]) for group in groups)
        for group, rate in zip(groups, rates):
            present = group["lr"]
            if isinstance(present, Tensor) and present.is_floating_point() and holders[id(present)] == 1:
                with no_grad():
                    present.fill_(float(rate))
            else:
                group["lr"] = _copied(rate)
        self._last_lr = self._present()


class RatioLR(LRScheduler):
    """Base class of the schedules that multiply the present rates."""

    def get_lr(self) -> list[float]:
        if self._resumed():
            return self._present()
        ratio = self.ratio(self.last_epoch)
        return [rate * ratio for rate in self._present()]

    def ratio(self, epoch: int) -> float:
        """What to multiply the rate of the epoch before with; for epoch 0 the optimizer's own."""
        raise NotImplementedError(f"{type(self).__name__}.factor")


def _copied(rate: Any) -> Any:
    return rate.detach().clone() if isinstance(rate, Tensor) else rate


def check_optimizer(schedule: str, optimizer: Any) -> None:
    """Raise unless it is an Optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{schedule}: expected an Optimizer, got a {type(optimizer).__name__}")


def check_whole(schedule: str, name: str, value: Any, minimum: int = 1) -> None:
    """Raise unless the option is an int of at least ``minimum``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ValueError(f"{schedule}: expected {name} to be a whole number from {minimum} up, got {value!r}")


def per_group(schedule: str, name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """One value per parameter group, from a list of them or from one for all."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * groups
    if len(value) != groups:
        raise ValueError(f"{schedule}: expected one {name} for each of {groups} parameter groups, got {len(value)}")
    return list(value)
