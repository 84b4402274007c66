"""Schedules along a cosine, with and without restarts."""

from __future__ import annotations

from math import cos, pi

from ..optimizer import Optimizer
from .base import LRScheduler, check_whole


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the initial rate to ``eta_min``: SGDR without restarts (Loshchilov and Hutter, arXiv:1608.03983).

    ::

        lr(t) = eta_min + (lr(0) - eta_min) · (1 + cos(π · t / T_max)) / 2

    Args:
        optimizer: whose rates to set.
        T_max: the epoch at which ``eta_min`` is reached; beyond it the rate goes up again.
        eta_min: the smallest rate.
        last_epoch: as for ``LRScheduler``.

    >>> import minigrad
    >>> optimizer = minigrad.optim.SGD([minigrad.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = minigrad.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    >>> for epoch in range(5):
    ...     print(f"{schedule.get_last_lr()[0]:.3f}")
    ...     optimizer.step()
    ...     schedule.step()
    1.000
    0.854
    0.500
    0.146
    0.000
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1):
        check_whole("CosineAnnealingLR", "T_max", T_max)
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        epoch, low = self.last_epoch, self.eta_min
        if epoch == 0 or self._resumed():
            return self._present()
        if (epoch - 1) % (2 * self.T_max) == self.T_max:  # up from the bottom, where a ratio would be 0 / 0
            rise = (1 - cos(pi / self.T_max)) / 2
            return [rate + (base - low) * rise for rate, base in zip(self._present(), self.base_lrs)]
        ratio = (1 + cos(pi * epoch / self.T_max)) / (1 + cos(pi * (epoch - 1) / self.T_max))
        return [ratio * (rate - low) + low for rate in self._present()]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine again and again, each time ``T_mult`` times as long: SGDR (Loshchilov and Hutter, arXiv:1608.03983).

    Args:
        optimizer: whose rates to set.
        T_0: the epochs of the first cycle.
        T_mult: how many times longer each cycle is than the one before.
        eta_min: the smallest rate.
        last_epoch: as for ``LRScheduler``.

    >>> import minigrad
    >>> optimizer = minigrad.optim.SGD([minigrad.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = minigrad.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
    >>> for epoch in range(4):
    ...     print(f"{schedule.get_last_lr()[0]:.3f}")
    ...     optimizer.step()
    ...     schedule.step()
    1.000
    0.500
    1.000
    0.500
    """

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1):
        check_whole("CosineAnnealingWarmRestarts", "T_0", T_0)
        check_whole("CosineAnnealingWarmRestarts", "T_mult", T_mult)
        self.T_0 = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def step(self, epoch: float | None = None) -> None:
        """Go to the next epoch, or to any other.

        Args:
            epoch: where to go; ``epoch + batch / batches`` sets the rate within an epoch.
        """
        if epoch is None:
            super().step()
            return
        if epoch < 0:
            raise ValueError(f"CosineAnnealingWarmRestarts.step: expected an epoch from 0 up, got {epoch}")
        self.last_epoch = int(epoch)
        self._go_to(epoch)
        self._set(self._along_the_cycle())

    def get_lr(self) -> list[float]:
        self._go_to(self.last_epoch)
        return self._along_the_cycle()

    def _go_to(self, epoch: float) -> None:
        """Find the cycle that the epoch is in, and how far in."""
        self.T_cur, self.T_i = epoch, self.T_0
        if self.T_mult == 1:
            self.T_cur %= self.T_0
        while self.T_cur >= self.T_i:
            self.T_cur -= self.T_i
            self.T_i *= self.T_mult

    def _along_the_cycle(self) -> list[float]:
        height = (1 + cos(pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (rate - self.eta_min) * height for rate in self.base_lrs]
