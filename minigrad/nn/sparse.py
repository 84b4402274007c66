"""Embedding: a table whose rows are looked up by number."""

from __future__ import annotations

from typing import Any

from .. import ops
from .._tensor import Tensor
from ..autograd import no_grad
from . import functional as F
from . import init
from .arguments import integer
from .module import Module
from .parameter import Parameter


class Embedding(Module):
    """A trained vector for every number below ``num_embeddings``.

    The table starts normally distributed, the row of ``padding_idx`` with zeros.

    Args:
        num_embeddings: the number of rows.
        embedding_dim: the size of a row.
        padding_idx: a row that gets no gradient: what fills up short sequences.
        device: where the table (num_embeddings, embedding_dim) is made.
        dtype: its dtype (default: the default dtype).

    Raises:
        ValueError: if ``padding_idx`` is no row.

    >>> import minigrad
    >>> minigrad.nn.Embedding(10, 4)(minigrad.tensor([[1, 2, 3]])).shape
    (1, 3, 4)
    """

    weight: Parameter

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, device: Any = None, dtype: Any = None
    ):
        super().__init__()
        self.num_embeddings = integer(self, "num_embeddings", num_embeddings)
        self.embedding_dim = integer(self, "embedding_dim", embedding_dim)
        self.padding_idx = self._row(padding_idx)
        self.weight = Parameter(ops.empty(self.num_embeddings, self.embedding_dim, dtype=dtype, device=device))
        self.reset_parameters()

    def _row(self, padding_idx: int | None) -> int | None:
        """The row of ``padding_idx``, counted from the front."""
        if padding_idx is None:
            return None
        rows = self.num_embeddings
        if not -rows <= integer(self, "padding_idx", padding_idx) < rows:
            raise ValueError(f"Embedding: expected padding_idx in [{-rows}, {rows - 1}], got {padding_idx}")
        return padding_idx % rows

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None) -> Embedding:
        """A layer with a table that exists already.

        Args:
            embeddings: the table; its memory is shared.
            freeze: whether it is not to be trained.
            padding_idx: see the class.

        Raises:
            ValueError: if ``embeddings`` is no matrix.

        >>> import minigrad
        >>> minigrad.nn.Embedding.from_pretrained(minigrad.ones(3, 2))
        Embedding(3, 2)
        """
        if embeddings.ndim != 2:
            raise ValueError(f"Embedding.from_pretrained: expected a matrix, got shape {embeddings.shape}")
        layer = cls(0, embeddings.shape[1], dtype=embeddings.dtype, device=embeddings.device)
        layer.num_embeddings = embeddings.shape[0]
        layer.padding_idx = layer._row(padding_idx)
        layer.weight = Parameter(embeddings, requires_grad=not freeze)
        return layer

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
