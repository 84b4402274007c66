"""Adagrad: steps scaled by the sum of the gradient's squares so far."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import ops
from ..ops.optimizer import adagrad_step_
from .optimizer import Optimizer


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan and Singer, JMLR 12, 2011).

    ::

        g ← ∇f(θ) + weight_decay · θ
        s ← s + g²
        θ ← θ - lr / (1 + (t - 1) · lr_decay) · g / (√s + eps)

    Args:
        params: as for ``Optimizer``.
        lr: the learning rate.
        lr_decay: how fast the learning rate falls with the number of steps t.
        weight_decay: the factor of the L2 penalty.
        initial_accumulator_value: what the sums s start from.
        eps: keeps the divisor away from 0.
        maximize: go up instead of down.

    Raises:
        ValueError: if an option is out of range.

    >>> import minigrad
    >>> w = minigrad.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = minigrad.optim.Adagrad([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9, -1.9], requires_grad=True)
    """

    state_tensors = ("sum",)
    state_numbers = ("step",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ):
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check(self, options: dict[str, Any]) -> None:
        self.check_options(options, nonnegative=("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"))

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As ``Optimizer.add_param_group``; the sums exist from here on, as in PyTorch's checkpoints."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for param in group["params"]:
            total = ops.full_like(param, group["initial_accumulator_value"])
            self.state[param] = {"step": 0, "sum": total}

    def update(self, group: dict[str, Any]) -> None:
        params = [param for param in group["params"] if param.grad is not None]
        states = [self.state[param] for param in params]
        steps = [state["step"] + 1 for state in states]
        adagrad_step_(
            params,
            [param.grad for param in params],
            [state["sum"] for state in states],
            steps,
            lr=group["lr"],
            lr_decay=group["lr_decay"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
        )
        for state, step in zip(states, steps):
            state["step"] = step
