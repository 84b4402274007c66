"""OneCycleLR: up to a high learning rate and down to a tiny one, once, batch by batch."""

from __future__ import annotations

from math import cos, pi
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler, check_optimizer, check_whole, per_group


class OneCycleLR(LRScheduler):
    """The 1cycle policy (Smith and Topin, "Super-Convergence", arXiv:1708.07120): ``step()`` is called after each batch.

    The rate goes from ``max_lr / div_factor`` up to ``max_lr``, and down to the initial rate over ``final_div_factor``; the
    momentum (β1, where the optimizer has betas) goes the other way.

    Args:
        optimizer: whose rates to set.
        max_lr: the highest rate, one for all parameter groups or a list.
        total_steps: the number of batches; or else ``epochs`` and ``steps_per_epoch``.
        epochs: the number of epochs.
        steps_per_epoch: the batches of each.
        pct_start: the part of the steps that go up, between 0 and 1.
        anneal_strategy: ``'cos'`` or ``'linear'``.
        cycle_momentum: whether the momentum is set, too.
        base_momentum: the lowest momentum, at ``max_lr``; one for all groups or a list.
        max_momentum: the momentum at the ends; one for all groups or a list.
        div_factor: ``max_lr`` over the initial rate.
        final_div_factor: the initial rate over the last one.
        three_phase: go down to the initial rate as fast as up, and only then to the last one.
        last_epoch: the last batch that is done, as for ``LRScheduler``.

    Raises:
        ValueError: if an option is out of range, or a ``step`` goes beyond ``total_steps``.

    >>> import minigrad
    >>> optimizer = minigrad.optim.SGD([minigrad.ones(1, requires_grad=True)], lr=0.1, momentum=0.9)
    >>> schedule = minigrad.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=6, pct_start=0.5)
    >>> for batch in range(6):
    ...     print(f"{schedule.get_last_lr()[0]:.3f}")
    ...     optimizer.step()
    ...     schedule.step()
    0.040
    0.520
    1.000
    0.750
    0.250
    0.000
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ):
        check_optimizer("OneCycleLR", optimizer)
        self.total_steps = _total(total_steps, epochs, steps_per_epoch)
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: expected pct_start from 0 to 1, got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: expected anneal_strategy 'cos' or 'linear', got {anneal_strategy!r}")
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        self.use_beta1 = "betas" in optimizer.defaults
        if cycle_momentum and not self.use_beta1 and "momentum" not in optimizer.defaults:
            raise ValueError(
                f"OneCycleLR: expected an optimizer with momentum or betas, got {type(optimizer).__name__}; "
                "pass cycle_momentum=False"
            )
        up = pct_start * self.total_steps - 1
        down = [(2 * up, "initial_lr", "max_momentum")] if three_phase else []
        self.corners = [
            (0, "initial_lr", "max_momentum"),
            (up, "max_lr", "base_momentum"),
            *down,
            (self.total_steps - 1, "min_lr", "max_momentum"),
        ]
        rates = per_group("OneCycleLR", "max_lr", max_lr, optimizer)
        low = per_group("OneCycleLR", "base_momentum", base_momentum, optimizer)
        high = per_group("OneCycleLR", "max_momentum", max_momentum, optimizer)
        for group, rate, base, top in zip(optimizer.param_groups, rates, low, high):
            initial = rate / div_factor
            group.update(initial_lr=initial, max_lr=rate, min_lr=initial / final_div_factor)
            if cycle_momentum:
                group.update(base_momentum=base, max_momentum=top)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates for batch ``self.last_epoch``; sets the momentum on the way."""
        if self.last_epoch > self.total_steps:
            raise ValueError(f"OneCycleLR.step: expected at most {self.total_steps} calls (total_steps), got one more")
        rates = []
        for group in self.optimizer.param_groups:
            rate, momentum = self._at(self.last_epoch, group)
            rates.append(rate)
            if self.cycle_momentum:
                if self.use_beta1:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum
        return rates

    def _at(self, step: int, group: dict[str, Any]) -> tuple[float, float]:
        """The rate and the momentum (0 without one) of a step, from the two corners that it is between."""
        i = 1
        while step > self.corners[i][0] and i < len(self.corners) - 1:
            i += 1
        (start, first_rate, first_momentum), (end, last_rate, last_momentum) = self.corners[i - 1], self.corners[i]
        share = (step - start) / (end - start) if end != start else 1.0
        rate = self._between(group[first_rate], group[last_rate], share)
        return rate, self._between(group.get(first_momentum, 0), group.get(last_momentum, 0), share)

    def _between(self, start: float, end: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2 * (1 + cos(pi * share))


def _total(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    """The number of batches, from whichever way it was given."""
    if total_steps is not None:
        check_whole("OneCycleLR", "total_steps", total_steps)
        return total_steps
    if epochs is None or steps_per_epoch is None:
        raise ValueError("OneCycleLR: expected total_steps, or both epochs and steps_per_epoch")
    check_whole("OneCycleLR", "epochs", epochs)
    check_whole("OneCycleLR", "steps_per_epoch", steps_per_epoch)
    return epochs * steps_per_epoch
