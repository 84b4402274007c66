"""RMSprop: steps scaled by a running average of the gradient's square."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..ops.optimizer import rmsprop_step_
from .optimizer import Optimizer


class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton, Coursera lecture 6.5, 2012; centered: Graves, arXiv:1308.0850).

    ::

        g ← ∇f(θ) + weight_decay · θ
        v ← alpha · v + (1 - alpha) · g²
        d ← g / (√v + eps)                                      (centered: √(v - a²), a ← alpha · a + (1 - alpha) · g)
        θ ← θ - lr · d                                          (with momentum: b ← momentum · b + d, θ ← θ - lr · b)

    Args:
        params: as for ``Optimizer``.
        lr: the learning rate.
        alpha: how much of the averages is kept, from 0 to below 1.
        eps: keeps the divisor away from 0.
        weight_decay: the factor of the L2 penalty.
        momentum: how much of the last step's direction is kept.
        centered: divide by an estimate of the standard deviation instead of the root mean square.
        maximize: go up instead of down.

    Raises:
        ValueError: if an option is out of range.

    >>> import minigrad
    >>> w = minigrad.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = minigrad.optim.RMSprop([w], lr=0.01)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9, -1.9], requires_grad=True)
    """

    state_tensors = ("square_avg", "grad_avg", "momentum_buffer")
    state_numbers = ("step",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ):
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check(self, options: dict[str, Any]) -> None:
        self.check_options(options, nonnegative=("lr", "eps", "weight_decay", "momentum"), fraction=("alpha",))

    def update(self, group: dict[str, Any]) -> None:
        params = [param for param in group["params"] if param.grad is not None]
        states = [self.state[param] for param in params]
        wanted = {"square_avg": True, "grad_avg": group["centered"], "momentum_buffer": group["momentum"] > 0}
        for name, needed in wanted.items():
            if needed:
                self.add_buffers(name, params)
        averages, centers, buffers = ([state[name] for state in states] if needed else [] for name, needed in wanted.items())
        rmsprop_step_(
            params,
            [param.grad for param in params],
            averages,
            centers,
            buffers,
            lr=group["lr"],
            alpha=group["alpha"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            maximize=group["maximize"],
        )
        for state in states:
            state["step"] = state.get("step", 0) + 1  # PyTorch wants it in a checkpoint
