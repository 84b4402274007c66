"""Vectors compared by their direction: brought to length one, and the cosine of the angle between them."""

from __future__ import annotations

from .._tensor import Tensor
from ..autograd.modes import modes
from ..dtypes import FLOATING
from .arguments import as_dim, check_tensor
from .autocasting import in_float32
from .broadcasting import broadcast_tensors

__all__ = ["cosine_similarity", "normalize"]


def normalize(input: Tensor, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12) -> Tensor:
    """Vectors divided by their norm: ``x / max(‖x‖_p, eps)``.

    Args:
        input: any floating tensor.
        p: which norm.
        dim: the dim, or dims, along which the vectors lie.
        eps: the least that is divided by.

    Returns:
        The input's shape and dtype.

    Raises:
        IndexError: if a dim is out of range; TypeError for an argument of a wrong type.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.normalize(minigrad.tensor([[3.0, 4.0]]))
    tensor([[0.6, 0.8]])
    """
    check_tensor("normalize", input)
    if input.dtype not in FLOATING:
        raise TypeError(f"normalize: expected input of a floating dtype, got {input.dtype}")
    return input / input.norm(p, dim, keepdim=True).clamp(min=eps)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors: ``x1 · x2 / (max(‖x1‖, eps) · max(‖x2‖, eps))``.

    Args:
        x1: any floating tensor.
        x2: a tensor whose shape broadcasts with that of ``x1``.
        dim: the dim of the broadcast shape along which the vectors lie.
        eps: the least length that is divided by.

    Returns:
        The broadcast shape without ``dim``.

    Raises:
        ValueError: if the shapes do not broadcast; IndexError if the dim is out of range; TypeError for an argument of a
            wrong type.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.cosine_similarity(minigrad.tensor([1.0, 0.0]), minigrad.tensor([3.0, 4.0]), dim=0)
    tensor(0.6)
    """
    if modes.autocast:
        x1, x2 = in_float32(x1), in_float32(x2)
    for x in (x1, x2):
        check_tensor("cosine_similarity", x)
        if x.dtype not in FLOATING:
            raise TypeError(f"cosine_similarity: expected tensors of a floating dtype, got {x.dtype}")
    if any(m != n and 1 not in (m, n) for m, n in zip(reversed(x1.shape), reversed(x2.shape))):
        raise ValueError(f"cosine_similarity: expected shapes that broadcast, got {x1.shape} and {x2.shape}")
    x1, x2 = broadcast_tensors(x1, x2)
    dim = as_dim("cosine_similarity", dim, x1.ndim)
    first, second = (x / x.norm(2, dim, keepdim=True).clamp(min=eps) for x in (x1, x2))
    return (first * second).sum(dim)
