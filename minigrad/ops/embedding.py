"""Labels as rows: of a table, or of the identity matrix."""

from __future__ import annotations

from .._tensor import Tensor
from ..autograd.operation import wrap
from ..backends import backend_of
from ..dtypes import int64
from .arguments import as_integer, check_tensor
from .comparison import eq
from .gathering import check_integers
from .indexing import Index, IndexSum, check_range
from .selection import masked_fill

__all__ = ["embedding", "one_hot"]


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """For each label a row of zeros, with a one at the label.

    Args:
        tensor: integers from 0 to ``num_classes`` (exclusive), of any shape.
        num_classes: how many classes there are; -1 for one more than the largest label.

    Returns:
        An int64 tensor with a last dim of length ``num_classes`` more.

    Raises:
        IndexError: if a label is out of range (where the device lets the host see it without waiting); TypeError if they are no
            integers; ValueError if the classes cannot be counted.

    >>> import minigrad
    >>> minigrad.ops.one_hot(minigrad.tensor([0, 2]), 3)
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    check_integers("one_hot", tensor)
    classes, labels = as_integer("one_hot", "num_classes", num_classes), tensor.array
    xp = backend_of(labels).xp
    if classes == -1 and labels.size:
        classes = max(xp.max(labels).item(), 0) + 1
    if classes < 1:
        raise ValueError(f"one_hot: expected a positive num_classes, or -1 and at least one label, got {classes}")
    check_range("one_hot", tensor, (classes,), 0, from_end=False)
    return wrap((labels.reshape(*labels.shape, 1) == xp.arange(classes)).astype(int64))


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """The rows of a table that indices name.

    Args:
        input: integers from 0 to the number of rows (exclusive), of any shape.
        weight: the table, of shape (number of rows, length of a row).
        padding_idx: a row whose gradient is zero; negative ones count from the end.

    Returns:
        A tensor of the input's shape and a last dim with the rows.

    Raises:
        IndexError: if an index is out of range (where the device lets the host see it without waiting); TypeError if they are
            no integers; ValueError if the table is no matrix, or has no row ``padding_idx``.

    >>> import minigrad
    >>> weight = minigrad.tensor([[0.0, 1.0], [2.0, 3.0]])
    >>> minigrad.ops.embedding(minigrad.tensor([1, 1, 0]), weight)
    tensor([[2., 3.],
            [2., 3.],
            [0., 1.]])
    """
    check_integers("embedding", input)
    check_tensor("embedding", weight)
    if weight.ndim != 2:
        raise ValueError(f"embedding: expected a weight of shape (rows, length), got {weight.shape}")
    rows = weight.shape[0]
    check_range("embedding", input, weight.shape, 0, from_end=False)
    if padding_idx is None:
        return Index().apply(weight, input)
    padding = as_integer("embedding", "padding_idx", padding_idx)
    if not -rows <= padding < rows:
        raise ValueError(f"embedding: expected padding_idx in [{-rows}, {rows - 1}], got {padding}")
    return Embedding(padding % rows).apply(weight, input)


class Embedding(Index):
    """Rows of a table, one of which gets no gradient."""

    def __init__(self, padding: int):
        self.padding = padding

    def backward(self, grad: Tensor) -> tuple[Tensor | None, ...]:
        (index,) = self.index()
        is_padding = eq(index, self.padding).unsqueeze(-1)
        return IndexSum(self.source).apply(masked_fill(grad, is_padding, 0), index), None
