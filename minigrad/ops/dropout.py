"""Dropout: elements, or whole channels, are set to zero at random, and the others scaled up so that the mean stays."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..autograd.inplace import write
from ..autograd.operation import Operation, wrap
from .arguments import as_number, check_tensor
from .generator import Source

__all__ = ["dropout", "dropout2d"]


class Dropout(Operation):
    """``scale * x`` where a mask, which broadcasts to the shape of x, is true, and 0 elsewhere: its own adjoint."""

    takes_out = True

    def __init__(self, scale: float):
        self.scale = scale

    def forward(self, x: Any, kept: Any, out: Any = None) -> Any:
        self.save_input(1)
        result = self.xp.asarray(self.xp.multiply(x, kept, out=out))
        return self.xp.multiply(result, self.scale, out=result)

    def backward(self, grad: Tensor) -> tuple[Tensor, None]:
        return Dropout(self.scale).apply(grad, self.input(1)), None


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each element becomes 0 with probability ``p``, and is else divided by ``1 - p``.

    Srivastava et al. 2014, Dropout: a simple way to prevent neural networks from overfitting.

    Args:
        input: a floating tensor.
        p: the probability that an element is dropped.
        training: if false, the input is returned as it is.
        inplace: overwrite the input.

    Raises:
        ValueError: if ``p`` is not in [0, 1]; TypeError if the input is not floating.

    >>> import minigrad
    >>> x = minigrad.ones(1000)
    >>> sorted(set(minigrad.ops.dropout(x, 0.5).tolist()))
    [0.0, 2.0]
    """
    check_tensor("dropout", input)
    return _dropped("dropout", input, p, training, inplace, input.shape)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each channel of each image becomes 0 with probability ``p``, and is else divided by ``1 - p``.

    Tompson et al. 2015, Efficient object localization using convolutional networks.

    Args:
        input: a floating tensor of shape (N, C, H, W), or (N, C, L).
        p: the probability that a channel is dropped.
        training: if false, the input is returned as it is.
        inplace: overwrite the input.

    Raises:
        ValueError: if ``p`` is not in [0, 1], or the input has another number of dims; TypeError if it is not floating.

    >>> import minigrad
    >>> x = minigrad.ops.dropout2d(minigrad.ones(4, 8, 2, 2))
    >>> bool((x.amax((2, 3)) == x.amin((2, 3))).all())
    True
    """
    check_tensor("dropout2d", input)
    if input.ndim not in (3, 4):
        raise ValueError(f"dropout2d: expected an input of shape (N, C, H, W) or (N, C, L), got {input.shape}")
    return _dropped("dropout2d", input, p, training, inplace, input.shape[:2] + (1,) * (input.ndim - 2))


def _dropped(name: str, input: Tensor, p: Any, training: bool, inplace: bool, shape: tuple[int, ...]) -> Tensor:
    """The input times a mask of the shape, drawn from the default generator of its device."""
    p = as_number(name, "p", p)
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: expected p from 0 to 1, got {p}")
    if not input.is_floating_point():
        raise TypeError(f"{name}: expected a floating dtype, got {input.dtype}")
    if not training or p == 0:
        return input
    kept = wrap(Source(name, None, input.device).draw("random_mask", 1 - p, shape))
    operation = Dropout(0.0 if p == 1 else 1 / (1 - p))
    return write(input, operation, kept) if inplace else operation.apply(input, kept)
