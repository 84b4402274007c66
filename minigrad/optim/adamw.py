"""AdamW: Adam whose weight decay does not pass through its averages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .adam import Adam


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019, arXiv:1711.05101).

    ::

        θ ← θ - lr · weight_decay · θ
        θ ← θ - lr · (m / (1 - β1ᵗ)) / (√(v / (1 - β2ᵗ)) + eps)        with Adam's m and v of the bare gradient

    Args:
        params: as for ``Optimizer``.
        lr: the learning rate.
        betas: β1 and β2, each from 0 to below 1.
        eps: keeps the divisor away from 0.
        weight_decay: how much of each parameter is taken off per step, times ``lr``.
        amsgrad: divide by the largest v so far, as for ``Adam``.
        maximize: go up instead of down.

    Raises:
        ValueError: if an option is out of range.

    >>> import minigrad
    >>> w = minigrad.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = minigrad.optim.AdamW([w], lr=0.1, weight_decay=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.89, -1.88], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)
