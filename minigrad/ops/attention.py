"""Attention: every query takes a mean of the values, weighted by how well their keys fit it. Composed of other operations."""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import Any

from .._tensor import Tensor
from ..autograd.modes import modes
from ..dtypes import FLOATING
from ..dtypes import bool as bool_dtype
from .arguments import as_number
from .autocasting import in_reduced
from .conversion import broadcasts_to
from .dropout import dropout
from .filled import arange
from .linalg import matmul
from .softmax import softmax

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
) -> Tensor:
    """``softmax(scale * query @ keyᵀ + attn_mask) @ value``.

    Vaswani et al. 2017, Attention is all you need. A query that may attend to no key gets zeros.

    Args:
        query: L vectors of size E, shape (..., L, E).
        key: S vectors of that size, shape (..., S, E).
        value: for each key a vector of any size, shape (..., S, V). The dims in front of all three broadcast.
        attn_mask: broadcasts to (..., L, S). A bool one is true where a query may attend to a key; one of the query's dtype is
            added to the scores.
        dropout_p: the probability that a weight becomes 0. There is no training mode here: give 0 in evaluation.
        is_causal: let the query i attend to the keys 0..i alone.
        scale: a factor for the scores; 1 / √E if None.

    Returns:
        A tensor of shape (..., L, V). In float16 a score beyond 65,504 makes it nan.

    Raises:
        ValueError: if the shapes do not fit, ``dropout_p`` is not in [0, 1], or there are both a mask and ``is_causal``;
            TypeError for an argument of a wrong type, or tensors of different dtypes.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> query, keys = minigrad.tensor([[8.0, 0.0]]), minigrad.tensor([[9.0, 0.0], [0.0, 9.0]])
    >>> F.scaled_dot_product_attention(query, keys, minigrad.tensor([[1.0, 2.0, 3.0], [7.0, 7.0, 7.0]]))
    tensor([[1., 2., 3.]])
    """
    name = "scaled_dot_product_attention"
    if modes.autocast:
        query, key, value, attn_mask = (in_reduced(x) for x in (query, key, value, attn_mask))
    scores_shape = _check_vectors(name, query, key, value)
    if attn_mask is not None:
        if is_causal:
            raise ValueError(f"{name}: expected an attn_mask or is_causal=True, not both")
        check_mask(name, "attn_mask", attn_mask, query.dtype)
        if attn_mask.ndim > len(scores_shape) or not broadcasts_to(attn_mask.shape, scores_shape):
            raise ValueError(f"{name}: expected an attn_mask that broadcasts to {scores_shape}, got {attn_mask.shape}")
    elif is_causal:
        attn_mask = arange(key.shape[-2], device=query.device) <= arange(query.shape[-2], device=query.device).unsqueeze(1)
    factor = None if scale is None else as_number(name, "scale", scale)
    dropout_p = as_number(name, "dropout_p", dropout_p)
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"{name}: expected dropout_p from 0 to 1, got {dropout_p}")
    weights = attention_weights(query, key, attn_mask, factor)
    return matmul(dropout(weights, dropout_p), value)


def attention_weights(query: Tensor, key: Tensor, mask: Tensor | None = None, scale: float | None = None) -> Tensor:
    """What share each key has in each query's result, (..., L, S); the arguments are as above, and not checked."""
    if scale is None:
        scale = 1 / math.sqrt(max(query.shape[-1], 1))
    scores = matmul(query * scale, key.mT)
    if mask is None:
        return softmax(scores, -1)
    # Softmax of -inf alone is nan: rows without a key are left as they are, and set to zero at the end.
    if mask.dtype == bool_dtype:
        empty = mask.any(-1, keepdim=True).logical_not()
        scores = scores.masked_fill(mask.logical_or(empty).logical_not(), -math.inf)
    else:
        empty = (mask == -math.inf).all(-1, keepdim=True)
        scores = scores + mask.masked_fill(empty, 0)
    return softmax(scores, -1).masked_fill(empty, 0)


def check_mask(name: str, what: str, mask: Any, dtype: Any) -> None:
    """Raise TypeError for what is neither a bool tensor nor one of the dtype."""
    if not isinstance(mask, Tensor) or mask.dtype not in (bool_dtype, dtype):
        found = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(f"{name}: expected {what} to be a tensor of bool or {dtype}, got {found}")


def _check_vectors(name: str, *vectors: Any) -> tuple[int, ...]:
    """Check query, key and value; the shape of the scores of each query for each key."""
    for vector in vectors:
        if not isinstance(vector, Tensor):
            raise TypeError(f"{name}: expected query, key and value to be Tensors, got {type(vector).__name__}")
    dtypes, shapes = [v.dtype for v in vectors], [v.shape for v in vectors]
    if dtypes[0] not in FLOATING or len(set(dtypes)) > 1:
        raise TypeError(f"{name}: expected tensors of one floating dtype, got {', '.join(map(str, dtypes))}")
    query, key, value = shapes
    found = f"got query {query}, key {key}, value {value}"
    if min(map(len, shapes)) < 2 or query[-1] != key[-1] or key[-2] != value[-2]:
        raise ValueError(f"{name}: expected a query (..., L, E), a key (..., S, E) and a value (..., S, V), {found}")
    front: list[int] = []
    for sizes in zip_longest(*(reversed(shape[:-2]) for shape in shapes), fillvalue=1):
        several = set(sizes) - {1}
        if len(several) > 1:
            raise ValueError(f"{name}: expected shapes that broadcast but for the last two dims, {found}")
        front.insert(0, several.pop() if several else 1)
    return (*front, query[-2], key[-2])
