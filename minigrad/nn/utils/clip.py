"""Limits on gradients, between ``backward`` and the optimizer's step."""

from __future__ import annotations

from collections.abc import Iterable

from ... import ops
from ..._tensor import Tensor
from ...autograd import no_grad


@no_grad()
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float | str = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale all gradients by one factor, if together they are longer than ``max_norm``.

    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", ICML 2013.

    Args:
        parameters: the tensors whose ``.grad`` is meant; those without one do not count.
        max_norm: how long all gradients may be, taken as one vector.
        norm_type: the norm's p; may be infinite, also as ``"inf"``.
        error_if_nonfinite: whether a norm that is not finite is an error (which a GPU has to be waited for to know).

    Returns:
        The norm as it was before, a 0-d tensor.

    Raises:
        RuntimeError: if the norm is not finite and ``error_if_nonfinite`` was asked for.

    >>> import minigrad
    >>> weight = minigrad.ones(2, requires_grad=True)
    >>> (weight * 3).sum().backward()
    >>> minigrad.nn.utils.clip_grad_norm_([weight], max_norm=1.0)
    tensor(4.2426)
    >>> weight.grad
    tensor([0.7071, 0.7071])
    """
    grads = _grads(parameters)
    if not grads:
        return ops.tensor(0.0)
    device, p = grads[0].device, float(norm_type)
    total = ops.stack([grad.norm(p).to(device=device) for grad in grads]).norm(p)
    if error_if_nonfinite and not bool(ops.isfinite(total)):
        raise RuntimeError(f"clip_grad_norm_: expected a finite norm of the gradients, got {total.item()}")
    factor = (max_norm / (total + 1e-6)).clamp(max=1.0)
    for grad in grads:
        grad.mul_(factor.to(device=grad.device))
    return total


@no_grad()
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of all gradients to [−clip_value, clip_value].

    Args:
        parameters: the tensors whose ``.grad`` is meant; those without one do not count.
        clip_value: the limit.

    >>> import minigrad
    >>> weight = minigrad.ones(2, requires_grad=True)
    >>> (weight * 3).sum().backward()
    >>> minigrad.nn.utils.clip_grad_value_([weight], 0.5)
    >>> weight.grad
    tensor([0.5, 0.5])
    """
    for grad in _grads(parameters):
        grad.clamp_(-float(clip_value), float(clip_value))


def _grads(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    parameters = [parameters] if isinstance(parameters, Tensor) else parameters
    return [parameter.grad for parameter in parameters if parameter.grad is not None]
