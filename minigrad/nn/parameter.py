"""Parameter: the kind of Tensor that a Module notices when it is assigned to an attribute."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor


class Parameter(Tensor):
    """A Tensor that is trained: as an attribute of a Module it is among ``module.parameters()``.

    Args:
        data: what ``Tensor`` takes; a Tensor's memory is shared, its graph is not.
        requires_grad: whether the gradient with respect to it is wanted.

    Raises:
        RuntimeError: if a gradient is wanted and the dtype is not floating.

    >>> import minigrad
    >>> minigrad.nn.Parameter(minigrad.zeros(2))
    Parameter containing:
    tensor([0., 0.], requires_grad=True)
    """

    __slots__ = ()

    def __init__(self, data: Any = (), requires_grad: bool = True):
        super().__init__(data, requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        """A copy without the gradient, as in PyTorch."""
        fresh: Any = super().__deepcopy__(memo)
        fresh.grad = None
        return fresh
