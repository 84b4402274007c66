"""SGD: stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .._tensor import Tensor
from ..ops.optimizer import sgd_step_
from .optimizer import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Polyak 1964) and Nesterov's variant (Sutskever et al., ICML 2013).

    ::

        g ← ∇f(θ) + weight_decay · θ
        b ← momentum · b + (1 - dampening) · g        (the first time b ← g)
        θ ← θ - lr · b                                (nesterov: θ ← θ - lr · (g + momentum · b))

    Args:
        params: as for ``Optimizer``.
        lr: the learning rate.
        momentum: how much of the last step's direction is kept.
        dampening: how much of the gradient is left out of the direction.
        weight_decay: the factor of the L2 penalty.
        nesterov: look ahead along the momentum; needs momentum, and no dampening.
        maximize: go up instead of down.

    Raises:
        ValueError: if an option is out of range.

    >>> import minigrad
    >>> w = minigrad.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = minigrad.optim.SGD([w], lr=0.1, momentum=0.9)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.8, -1.6], requires_grad=True)
    """

    state_tensors = ("momentum_buffer",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ):
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check(self, options: dict[str, Any]) -> None:
        self.check_options(options, nonnegative=("lr", "momentum", "weight_decay"), number=("dampening",))
        if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
            raise ValueError(
                f"SGD: expected momentum above 0 and dampening 0 for nesterov, "
                f"got {options['momentum']} and {options['dampening']}"
            )

    def update(self, group: dict[str, Any]) -> None:
        params = [param for param in group["params"] if param.grad is not None]
        new = self.add_buffers("momentum_buffer", params) if group["momentum"] else []
        if new and group["dampening"]:  # an empty buffer takes all of the gradient: dampening would leave out a part
            self._step(group, new, dampening=0)
            known = {id(param) for param in new}
            params = [param for param in params if id(param) not in known]
        self._step(group, params, group["dampening"])

    def _step(self, group: dict[str, Any], params: list[Tensor], dampening: float) -> None:
        sgd_step_(
            params,
            [param.grad for param in params],  # type: ignore[misc]
            [self.state[param]["momentum_buffer"] for param in params] if group["momentum"] else [],
            lr=group["lr"],
            momentum=group["momentum"],
            dampening=dampening,
            weight_decay=group["weight_decay"],
            nesterov=group["nesterov"],
            maximize=group["maximize"],
        )
