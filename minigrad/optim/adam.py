"""Adam: steps scaled by running averages of the gradient and of its square."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..ops.optimizer import adam_step_
from .optimizer import Optimizer


class Adam(Optimizer):
    """Adam (Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, arXiv:1412.6980).

    ::

        g ← ∇f(θ) + weight_decay · θ
        m ← β1 · m + (1 - β1) · g
        v ← β2 · v + (1 - β2) · g²
        θ ← θ - lr · (m / (1 - β1ᵗ)) / (√(v / (1 - β2ᵗ)) + eps)

    Args:
        params: as for ``Optimizer``.
        lr: the learning rate.
        betas: β1 and β2, each from 0 to below 1.
        eps: keeps the divisor away from 0.
        weight_decay: the factor of the L2 penalty.
        amsgrad: divide by the largest v so far (Reddi et al., ICLR 2018, arXiv:1904.09237).
        maximize: go up instead of down.
        decoupled_weight_decay: shrink the parameters themselves instead, as ``AdamW`` does.

    Raises:
        ValueError: if an option is out of range.

    >>> import minigrad
    >>> w = minigrad.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = minigrad.optim.Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9, -1.9], requires_grad=True)
    """

    state_tensors = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    state_numbers = ("step",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def check(self, options: dict[str, Any]) -> None:
        self.check_options(options, nonnegative=("lr", "eps", "weight_decay"), fraction=("betas",))

    def update(self, group: dict[str, Any]) -> None:
        params = [param for param in group["params"] if param.grad is not None]
        states = [self.state[param] for param in params]
        for state in states:
            state.setdefault("step", 0)
        for name in ("exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if group["amsgrad"] else [])):
            self.add_buffers(name, params)
        steps = [state["step"] + 1 for state in states]
        adam_step_(
            params,
            [param.grad for param in params],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [state["max_exp_avg_sq"] for state in states] if group["amsgrad"] else [],
            steps,
            lr=group["lr"],
            betas=group["betas"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            decoupled=group["decoupled_weight_decay"],
            maximize=group["maximize"],
        )
        for state, step in zip(states, steps):
            state["step"] = step
