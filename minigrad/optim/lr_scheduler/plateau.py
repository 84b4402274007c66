"""ReduceLROnPlateau: a smaller learning rate when a measured quantity stops improving."""

from __future__ import annotations

from math import inf
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler, check_optimizer, per_group


class ReduceLROnPlateau(LRScheduler):
    """The rate times ``factor`` when a quantity has not improved for more than ``patience`` epochs.

    Args:
        optimizer: whose rates to set.
        mode: ``'min'`` or ``'max'``: which way is better.
        factor: below 1.
        patience: how many epochs without improvement are put up with.
        threshold: how much better counts as an improvement.
        threshold_mode: ``'rel'`` (times the best so far) or ``'abs'``.
        cooldown: how many epochs after a reduction are not counted.
        min_lr: the smallest rate, one for all parameter groups (also for those that are added later) or a list.
        eps: reductions by less than this are left out.

    Raises:
        ValueError: if an option is out of range.

    >>> import minigrad
    >>> optimizer = minigrad.optim.SGD([minigrad.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = minigrad.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
    >>> for loss in [3.0, 2.0, 2.0, 2.0]:
    ...     optimizer.step()
    ...     schedule.step(loss)
    ...     print(schedule.get_last_lr())
    [1.0]
    [1.0]
    [1.0]
    [0.1]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ):
        check_optimizer("ReduceLROnPlateau", optimizer)
        if not factor < 1:
            raise ValueError(f"ReduceLROnPlateau: expected factor below 1, got {factor}")
        if mode not in ("min", "max"):
            raise ValueError(f"ReduceLROnPlateau: expected mode 'min' or 'max', got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"ReduceLROnPlateau: expected threshold_mode 'rel' or 'abs', got {threshold_mode!r}")
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lrs = per_group("ReduceLROnPlateau", "min_lr", min_lr, optimizer)
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.eps = eps
        self.best = inf if mode == "min" else -inf
        self.cooldown_counter = 0
        self.num_bad_epochs = 0
        self.last_epoch = 0
        self._last_lr = self._present()

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Take down the quantity after an epoch, and reduce the rates if it is time.

        Args:
            metrics: the quantity: a number, or a Tensor with one element.
        """
        value = float(metrics)
        self.last_epoch += 1
        if self._is_better(value):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
            self._set(self.get_lr())
        self._last_lr = self._present()

    def get_lr(self) -> list[float]:
        """The reduced rates; groups that came later have the ``min_lr`` that is one for all."""
        if self.default_min_lr is not None:
            self.min_lrs = [*self.min_lrs, *[self.default_min_lr] * (len(self._present()) - len(self.min_lrs))]
        reduced = [max(rate * self.factor, low) for rate, low in zip(self._present(), self.min_lrs)]
        return [new if old - new > self.eps else old for old, new in zip(self._present(), reduced)]

    def _is_better(self, value: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        bound = self.best + sign * self.threshold if self.threshold_mode == "abs" else self.best * (1 + sign * self.threshold)
        return value < bound if self.mode == "min" else value > bound
