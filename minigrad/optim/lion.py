"""Lion: steps of one length in every element, in the direction of a sign."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..ops.optimizer import lion_step_
from .optimizer import Optimizer


class Lion(Optimizer):
    """Lion (Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023, arXiv:2302.06675).

    ::

        c ← β1 · m + (1 - β1) · ∇f(θ)
        θ ← θ - lr · (sign(c) + weight_decay · θ)
        m ← β2 · m + (1 - β2) · ∇f(θ)

    The paper advises a learning rate 3 to 10 times smaller than AdamW's, and a weight decay as many times larger.

    Args:
        params: as for ``Optimizer``.
        lr: the learning rate.
        betas: β1 and β2, each from 0 to below 1.
        weight_decay: how much of each parameter is taken off per step, times ``lr``.
        maximize: go up instead of down.

    Raises:
        ValueError: if an option is out of range.

    >>> import minigrad
    >>> w = minigrad.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = minigrad.optim.Lion([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9, -1.9], requires_grad=True)
    """

    state_tensors = ("exp_avg",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize})

    def check(self, options: dict[str, Any]) -> None:
        self.check_options(options, nonnegative=("lr", "weight_decay"), fraction=("betas",))

    def update(self, group: dict[str, Any]) -> None:
        params = [param for param in group["params"] if param.grad is not None]
        self.add_buffers("exp_avg", params)
        lion_step_(
            params,
            [param.grad for param in params],
            [self.state[param]["exp_avg"] for param in params],
            lr=group["lr"],
            betas=group["betas"],
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
        )
