"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ... import ops
from ..._tensor import Tensor
from ...autograd import no_grad


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The elements of all parameters, one after the other; the gradient flows through.

    Args:
        parameters: the tensors.

    >>> import minigrad
    >>> minigrad.nn.utils.parameters_to_vector([minigrad.ones(2), minigrad.zeros(1, 2)])
    tensor([1., 1., 0., 0.])
    """
    return ops.cat([parameter.reshape(-1) for parameter in parameters])


@no_grad()
def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy the elements of a vector into the parameters, one after the other.

    Args:
        vec: as many elements as all parameters have.
        parameters: the tensors to fill.

    Raises:
        TypeError: if ``vec`` is no Tensor; ValueError if it has another number of elements.

    >>> import minigrad
    >>> weight = minigrad.zeros(1, 2)
    >>> minigrad.nn.utils.vector_to_parameters(minigrad.tensor([1.0, 2.0]), [weight])
    >>> weight
    tensor([[1., 2.]])
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: expected a Tensor, got {type(vec).__name__}")
    parameters = list(parameters)
    wanted = sum(parameter.numel() for parameter in parameters)
    if vec.shape != (wanted,):
        raise ValueError(f"vector_to_parameters: expected a vector of {wanted} elements, got shape {vec.shape}")
    start = 0
    for parameter in parameters:
        stop = start + parameter.numel()
        parameter.copy_(vec[start:stop].reshape(parameter.shape))
        start = stop
