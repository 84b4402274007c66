"""Multi-head attention: several small attentions side by side, between linear maps into them and out of them."""

from __future__ import annotations

from typing import Any

from .. import ops
from .._tensor import Tensor
from ..dtypes import bool as bool_dtype
from ..ops.attention import attention_weights, check_mask
from . import functional as F
from . import init
from .arguments import boolean, integer, number
from .linear import Linear
from .module import Module
from .parameter import Parameter


class MultiheadAttention(Module):
    """``num_heads`` attentions over ``embed_dim / num_heads`` features each, joined by a linear map.

    Vaswani et al., "Attention is all you need", 2017, arXiv:1706.03762.

    The maps into the heads start by Xavier's uniform rule, the map out of them as ``Linear``, the biases with zeros.

    Args:
        embed_dim: features of the queries and of the output.
        num_heads: how many heads, which divide ``embed_dim``.
        dropout: the probability that a weight becomes 0 in training.
        bias: whether the linear maps have one.
        add_bias_kv: append a trained key and value to every sequence.
        add_zero_attn: append a key and value of zeros to every sequence.
        kdim: features of the keys (default: ``embed_dim``).
        vdim: features of the values (default: ``embed_dim``).
        batch_first: whether sequences are (N, L, features), not (L, N, features).
        device: where the parameters are made.
        dtype: their dtype (default: the default dtype).

    Raises:
        ValueError: if ``num_heads`` does not divide ``embed_dim``, a size is not positive, or ``dropout`` is no probability.

    >>> import minigrad
    >>> x = minigrad.randn(2, 5, 8)
    >>> output, weights = minigrad.nn.MultiheadAttention(8, num_heads=2, batch_first=True)(x, x, x)
    >>> output.shape, weights.shape
    ((2, 5, 8), (2, 5, 5))
    """

    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        self.embed_dim = E = integer(self, "embed_dim", embed_dim)
        self.num_heads = integer(self, "num_heads", num_heads)
        self.kdim = E if kdim is None else integer(self, "kdim", kdim)
        self.vdim = E if vdim is None else integer(self, "vdim", vdim)
        if min(E, self.num_heads, self.kdim, self.vdim) < 1 or E % self.num_heads:
            found = f"embed_dim={E}, num_heads={self.num_heads}, kdim={self.kdim}, vdim={self.vdim}"
            raise ValueError(f"MultiheadAttention: expected positive sizes, num_heads a divisor of embed_dim, got {found}")
        self.head_dim = E // self.num_heads
        self.dropout = number(self, "dropout", dropout)
        if not 0 <= dropout <= 1:
            raise ValueError(f"MultiheadAttention: expected a probability dropout in [0, 1], got {dropout}")
        self.batch_first = boolean(self, "batch_first", batch_first)
        self.add_zero_attn = boolean(self, "add_zero_attn", add_zero_attn)
        has_bias, has_bias_kv = boolean(self, "bias", bias), boolean(self, "add_bias_kv", add_bias_kv)

        def parameter(name: str, wanted: bool, *shape: int) -> None:
            self.register_parameter(name, Parameter(ops.empty(shape, dtype=dtype, device=device)) if wanted else None)

        packed = self.kdim == self.vdim == E
        parameter("q_proj_weight", not packed, E, E)
        parameter("k_proj_weight", not packed, E, self.kdim)
        parameter("v_proj_weight", not packed, E, self.vdim)
        parameter("in_proj_weight", packed, 3 * E, E)
        parameter("in_proj_bias", has_bias, 3 * E)
        parameter("bias_k", has_bias_kv, 1, 1, E)
        parameter("bias_v", has_bias_kv, 1, 1, E)
        self.out_proj = Linear(E, E, has_bias, device, dtype)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for vector in (self.bias_k, self.bias_v):
            if vector is not None:
                init.xavier_normal_(vector)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend from the queries to the keys.

        A query that may attend to no key takes nothing from the values (PyTorch gives nan there if it returns weights).

        Args:
            query: (L, N, embed_dim), with ``batch_first`` (N, L, embed_dim), without a batch (L, embed_dim).
            key: (S, N, kdim), (N, S, kdim) or (S, kdim).
            value: (S, N, vdim), (N, S, vdim) or (S, vdim).
            key_padding_mask: (N, S), without a batch (S): true where a key is to be ignored, or numbers to add to its scores.
            need_weights: whether to return the weights.
            attn_mask: (L, S), or (N · num_heads, L, S): true where a query may *not* attend to a key, or numbers to add.
            average_attn_weights: return the mean over the heads, not the weights of each.
            is_causal: promises that ``attn_mask``, which has to be given too, lets the query i attend to the keys 0..i alone;
                where no weights are needed and nothing else is masked or appended, it is not read then.

        Returns:
            The output, with the query's shape, and the weights: (N, L, S), or (N, num_heads, L, S) if not averaged, without N
            for an input without a batch; None if they are not needed. What is appended to a sequence counts in S.

        Raises:
            ValueError: if the shapes do not fit, or ``is_causal`` comes without a mask; TypeError for an argument of a wrong
                type.
        """
        batched = self._check(query, key, value)
        if is_causal and attn_mask is None:
            raise ValueError("MultiheadAttention: expected an attn_mask beside is_causal=True, which says of what kind it is")
        if not batched:
            query, key, value = self._each_once(lambda x: x.unsqueeze(0), query, key, value)
        elif not self.batch_first:
            query, key, value = self._each_once(lambda x: x.transpose(0, 1), query, key, value)
        mask = self._mask(query, key, key_padding_mask, attn_mask, batched)
        q, k, v = self._heads(query, key, value)  # (N, heads, L, E / heads), twice (N, heads, S, E / heads)

        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            weights = F.dropout(attention_weights(q, k, mask), dropout)  # (N, heads, L, S)
            mixed = weights @ v
            weights = weights.mean(1) if average_attn_weights else weights
        else:
            known = is_causal and key_padding_mask is None and k.shape[2] == key.shape[1]
            mixed = F.scaled_dot_product_attention(q, k, v, None if known else mask, dropout, known)
        output = self.out_proj(mixed.transpose(1, 2).flatten(2))  # (N, L, E)
        if not batched:
            return output.squeeze(0), None if weights is None else weights.squeeze(0)
        return output if self.batch_first else output.transpose(0, 1), weights

    @staticmethod
    def _each_once(change: Any, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The three changed, those that are one tensor staying one."""
        changed_query = change(query)
        changed_key = changed_query if key is query else change(key)
        return changed_query, changed_key, changed_key if value is key else change(value)

    def _check(self, query: Any, key: Any, value: Any) -> bool:
        """Check the shapes of the sequences; whether they are batched."""
        for sequence in (query, key, value):
            if not isinstance(sequence, Tensor):
                raise TypeError(f"MultiheadAttention: expected query, key and value as Tensors, got {type(sequence).__name__}")
        shapes = [query.shape, key.shape, value.shape]
        batched, batch = query.ndim == 3, 0 if self.batch_first else 1
        features = [self.embed_dim, self.kdim, self.vdim]
        if (
            query.ndim not in (2, 3)
            or any(len(shape) != query.ndim for shape in shapes)
            or [shape[-1] for shape in shapes] != features
            or key.shape[:-1] != value.shape[:-1]
            or (batched and query.shape[batch] != key.shape[batch])
        ):
            form = "({L}, {E})" if query.ndim == 2 else "(N, {L}, {E})" if self.batch_first else "({L}, N, {E})"
            wanted = ", ".join(form.format(L=length, E=size) for length, size in zip("LSS", features))
            raise ValueError(f"MultiheadAttention: expected query, key and value {wanted}, got {', '.join(map(str, shapes))}")
        return batched

    def _mask(self, query: Tensor, key: Tensor, padding: Any, attn_mask: Any, batched: bool) -> Tensor | None:
        """Both masks as one that ``scaled_dot_product_attention`` takes, with places for the keys that are appended."""
        N, L, S = *query.shape[:2], key.shape[1]
        masks = []
        if attn_mask is not None:
            check_mask("MultiheadAttention", "attn_mask", attn_mask, query.dtype)
            if attn_mask.shape not in ((L, S), (N * self.num_heads, L, S)):
                wanted = f"({L}, {S}) or ({N * self.num_heads}, {L}, {S})"
                raise ValueError(f"MultiheadAttention: expected attn_mask of shape {wanted}, got {attn_mask.shape}")
            masks.append(attn_mask if attn_mask.ndim == 2 else attn_mask.unflatten(0, (N, self.num_heads)))
        if padding is not None:
            check_mask("MultiheadAttention", "key_padding_mask", padding, query.dtype)
            expected = (N, S) if batched else (S,)
            if padding.shape != expected:
                raise ValueError(f"MultiheadAttention: expected key_padding_mask of shape {expected}, got {padding.shape}")
            masks.append(padding.reshape(N, 1, 1, S))
        if not masks:
            return None
        appended = (self.bias_k is not None) + self.add_zero_attn
        if appended:
            masks = [ops.cat([m, ops.zeros(*m.shape[:-1], appended, dtype=m.dtype, device=m.device)], -1) for m in masks]
        if all(mask.dtype == bool_dtype for mask in masks):
            ignored = masks[0] if len(masks) == 1 else masks[0].logical_or(masks[1])
            return ignored.logical_not()
        zero = ops.zeros((), dtype=query.dtype, device=query.device)
        masks = [zero.masked_fill(m, float("-inf")) if m.dtype == bool_dtype else m for m in masks]
        return masks[0] if len(masks) == 1 else masks[0] + masks[1]

    def _heads(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        """The queries, keys and values of every head: each (N, heads, length, E / heads)."""
        if self.in_proj_weight is not None and query is key is value:
            projected = list(F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1))
        else:
            separate = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
            weights: Any = separate if self.in_proj_weight is None else self.in_proj_weight.chunk(3)
            biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
            projected = [F.linear(x, weight, bias) for x, weight, bias in zip((query, key, value), weights, biases)]
        N = query.shape[0]
        for i, vector in ((1, self.bias_k), (2, self.bias_v)):
            if vector is not None:
                projected[i] = ops.cat([projected[i], vector.expand(N, 1, self.embed_dim)], 1)
            if self.add_zero_attn:
                zeros = ops.zeros(N, 1, self.embed_dim, dtype=query.dtype, device=query.device)
                projected[i] = ops.cat([projected[i], zeros], 1)
        return [x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2) for x in projected]
