"""``GradScaler``: gradients of float16 scaled up so that small ones are not 0, and steps skipped where large ones are inf."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

from .._tensor import Tensor
from ..autograd import no_grad
from ..autograd.autocast import checked_device_type
from ..cuda import is_available
from ..ops.filled import full
from ..ops.optimizer import unscale_

LARGEST = (2 - 2.0**-23) * 2.0**127
"""Of float32."""


@dataclass
class _Round:
    """What was done with an optimizer's gradients since the last ``update``."""

    found: list[Tensor] = field(default_factory=list)
    """For every device, 1 if a gradient there was inf or nan, else 0."""
    unscaled: bool = False
    stepped: bool = False
    _overflowed: bool | None = None

    def overflowed(self) -> bool:
        """Whether any gradient was inf or nan: the host waits for the devices, once."""
        if self._overflowed is None:
            self._overflowed = any(found.item() for found in self.found)
        return self._overflowed


class GradScaler:
    """Scales losses up, and gradients down again before a step, which is skipped if one of them is inf or nan.

    Gradients of float16 activations below 6e-8 would be 0. Scaling the loss scales them all; where that was too much, the
    scale is reduced, and from time to time a larger one is tried.

    In every step the host waits once for the device, to learn whether the optimizer is to step. So a step with a GradScaler
    cannot be recorded as a CUDA graph (``minigrad.cuda.make_graphed``).

    Args:
        device: the kind of device that the model is on; for ``'cuda'`` where there is none, nothing is scaled.
        init_scale: the first scale.
        growth_factor: what the scale is multiplied by after enough steps without inf or nan.
        backoff_factor: what it is multiplied by after one with.
        growth_interval: how many steps are enough.
        enabled: if False, ``step`` just steps, and the other methods do nothing.

    Raises:
        ValueError: unless growth_factor is above 1 and backoff_factor below 1, or for a device that there is not.

    >>> import minigrad
    >>> w = minigrad.ones(3, 2, requires_grad=True)
    >>> optimizer = minigrad.optim.SGD([w], lr=0.1)
    >>> scaler = minigrad.amp.GradScaler("cpu", init_scale=1024.0)
    >>> with minigrad.autocast("cpu"):
    ...     loss = minigrad.nn.functional.mse_loss(minigrad.ones(4, 3) @ w, minigrad.zeros(4, 2))
    >>> scaler.scale(loss).backward()
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> w.detach()[0], w.grad[0]
    (tensor([0.7, 0.7]), tensor([3., 3.]))

    Reference:
        Micikevicius et al., Mixed Precision Training, 2017, https://arxiv.org/abs/1710.03740
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ):
        if growth_factor <= 1:
            raise ValueError(f"GradScaler: expected growth_factor above 1, got {growth_factor}")
        if backoff_factor >= 1:
            raise ValueError(f"GradScaler: expected backoff_factor below 1, got {backoff_factor}")
        checked_device_type("GradScaler", device)
        if enabled and device == "cuda" and not is_available():
            warnings.warn("GradScaler: there is no CUDA device, so nothing is scaled", UserWarning, stacklevel=2)
            enabled = False
        self._enabled = bool(enabled)
        self._init_scale = float(init_scale)
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._good_steps = 0
        self._scale: Tensor | None = None  # 0-d float32 on the device of the first loss
        self._rounds: dict[int, _Round] = {}

    def scale(self, outputs: Any) -> Any:
        """The outputs times the scale.

        Args:
            outputs: a Tensor, or a list, tuple or other iterable of them, in any depth.

        Raises:
            TypeError: if there is something else in it.
        """
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            if self._scale is None:
                self._scale = full((), self._init_scale, dtype="float32", device=outputs.device)
            return outputs * self._scale.to(outputs.device)
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(map(self.scale, outputs))
        if hasattr(outputs, "__iter__"):
            return map(self.scale, outputs)
        raise TypeError(f"GradScaler.scale: expected a Tensor or an iterable of them, got {type(outputs).__name__}")

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer's parameters by the scale, in place, to look at or clip them before ``step``.

        Raises:
            RuntimeError: if nothing was scaled yet, or this or ``step`` was called for the optimizer since the last ``update``;
                ValueError for gradients of float16, which have lost already what scaling is for.
        """
        if not self._enabled:
            return
        scale, done = self._started("unscale_"), self._rounds.setdefault(id(optimizer), _Round())
        if done.unscaled or done.stepped:
            called = "step" if done.stepped else "unscale_"
            raise RuntimeError(f"GradScaler.unscale_: expected update() first, after {called}() for this optimizer")
        grads: dict[Any, list[Tensor]] = {}
        for group in optimizer.param_groups:
            for param in group["params"]:
                if param.grad is not None:
                    if param.grad.dtype == "float16":
                        raise ValueError("GradScaler.unscale_: expected parameters of float32, got a gradient of float16")
                    grads.setdefault(param.grad.device, []).append(param.grad)
        done.found = [unscale_(there, scale.to(device)) for device, there in grads.items()]
        done.unscaled = True

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step(*args, **kwargs)`` with unscaled gradients, unless one of them is inf or nan.

        Returns:
            What the optimizer's step returned; None if it was skipped.

        Raises:
            RuntimeError: if nothing was scaled yet, no parameter has a gradient, ``step`` was called for the optimizer since
                the last ``update``, or a closure is given.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs or (args and callable(args[0])):
            raise RuntimeError("GradScaler.step: expected no closure, which would compute unscaled gradients")
        self._started("step")
        done = self._rounds.setdefault(id(optimizer), _Round())
        if done.stepped:
            raise RuntimeError("GradScaler.step: expected update() first, after step() for this optimizer")
        if not done.unscaled:
            self.unscale_(optimizer)
        if not done.found:
            raise RuntimeError("GradScaler.step: expected gradients, got none; call scale(loss).backward() before")
        result = None if done.overflowed() else optimizer.step(*args, **kwargs)
        done.stepped = True
        return result

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Adapt the scale to what this round's gradients were like; at the end of a step, after all optimizers.

        Args:
            new_scale: what to set it to instead: a number, or a tensor of one element.

        Raises:
            RuntimeError: if nothing was scaled yet, or no gradients were looked at since the last ``update``.
        """
        if not self._enabled:
            return
        scale = self._started("update")
        if new_scale is not None:
            self._set(scale, new_scale.item() if isinstance(new_scale, Tensor) else new_scale)
        elif not any(done.found for done in self._rounds.values()):
            raise RuntimeError("GradScaler.update: expected step() or unscale_() before, got neither since the last update()")
        elif any([done.overflowed() for done in self._rounds.values()]):
            self._set(scale, scale.item() * self._backoff_factor)
            self._good_steps = 0
        else:
            self._good_steps += 1
            if self._good_steps == self._growth_interval:
                grown = scale.item() * self._growth_factor
                if grown <= LARGEST:
                    self._set(scale, grown)
                self._good_steps = 0
        self._rounds = {}

    def get_scale(self) -> float:
        """The scale now, for which the host waits for the device; 1 if not enabled."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else self._scale.item()

    def is_enabled(self) -> bool:
        """Whether anything is scaled."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """The scale, the settings and the count of good steps, as PyTorch names them; empty if not enabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._good_steps,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` returned, here or in PyTorch; nothing if not enabled.

        Raises:
            RuntimeError: if it is empty, that of a GradScaler that was not enabled; ValueError if something is missing in it.
                Nothing is changed then.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError("GradScaler.load_state_dict: expected a state, got an empty one: it was not enabled when saved")
        names = ("scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker")
        missing = [name for name in names if name not in state_dict]
        if missing:
            raise ValueError(
                f"GradScaler.load_state_dict: expected a state with {', '.join(names)}, got no {', '.join(missing)}"
            )
        self._init_scale = float(state_dict["scale"])
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._good_steps = state_dict["_growth_tracker"]
        if self._scale is not None:
            self._set(self._scale, self._init_scale)

    def _started(self, method: str) -> Tensor:
        if self._scale is None:
            raise RuntimeError(f"GradScaler.{method}: expected scale(loss) before, got none")
        return self._scale

    @staticmethod
    def _set(scale: Tensor, value: float) -> None:
        with no_grad():
            scale.fill_(value)
