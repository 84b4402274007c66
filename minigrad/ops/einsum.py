"""Einstein's summation: products of tensors whose dims are named by letters, and sums over the letters that drop out.

The operands are contracted from left to right, each pair by one (batched) matrix product. All of it is made of permute,
reshape, sum and matmul, so derivatives of every order come by themselves.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from .._tensor import Tensor
from ..autograd.modes import modes
from .arguments import as_dims, as_integer, check_tensor
from .autocasting import in_reduced, in_widest
from .linalg import Matmul
from .reduction import Sum

__all__ = ["einsum", "tensordot"]


class Named(NamedTuple):
    """A tensor with a label for each of its dims: a letter, or a number for a dim that ``...`` stands for."""

    tensor: Tensor
    labels: list[Any]

    def size(self, label: Any) -> int:
        """The size of the dim of a label; 1 if there is none."""
        return self.tensor.shape[self.labels.index(label)] if label in self.labels else 1

    def ordered(self, labels: list[Any]) -> Tensor:
        """The tensor with its dims in the order of the labels, which are all of its own."""
        order = tuple(self.labels.index(label) for label in labels)
        return self.tensor if order == tuple(range(len(order))) else self.tensor.permute(order)

    def summed(self, labels: list[Any]) -> Named:
        """The sum over some of the labels."""
        if not labels:
            return self
        dims = tuple(self.labels.index(label) for label in labels)
        return Named(Sum(dims, False).apply(self.tensor), [label for label in self.labels if label not in labels])


def einsum(equation: str, *operands: Any) -> Tensor:
    """Einstein's summation: ``einsum("ij,jk->ik", a, b)`` is the matrix product.

    Args:
        equation: for each operand a letter per dim, separated by commas; after ``->`` the letters of the result. A letter that
            an operand has twice means its diagonal; ``...`` stands for dims that broadcast. Without ``->`` the result has the
            dims of ``...`` and the letters that occur once, in alphabetical order.
        operands: the tensors, one by one or as a list.

    Raises:
        ValueError: if the equation is wrong or does not fit the operands; TypeError if an argument is no Tensor, or the
            dtypes differ.

    >>> import minigrad
    >>> x = minigrad.arange(4).reshape(2, 2)
    >>> minigrad.einsum("ij,kj->ik", x, x)
    tensor([[ 1,  3],
            [ 3, 13]])
    >>> minigrad.einsum("ii", x)
    tensor(3)
    """
    if not isinstance(equation, str):
        raise TypeError(f"einsum: expected an equation such as 'ij,jk->ik', got {type(equation).__name__}")
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if modes.autocast:
        operands = tuple(map(in_reduced, operands))
    for operand in operands:
        check_tensor("einsum", operand)
    terms, output = _parse(equation, operands)
    named = [_without_repeats(Named(operand, term)) for operand, term in zip(operands, terms)]
    _check_sizes(equation, named)
    result = named[0]
    for i, operand in enumerate(named[1:], 2):
        later = {label for other in named[i:] for label in other.labels}
        result = _contracted(result, operand, later.union(output))
    result = result.summed([label for label in result.labels if label not in output])
    return result.ordered(output)


def _parse(equation: str, operands: tuple[Tensor, ...]) -> tuple[list[list[Any]], list[Any]]:
    """The labels of each operand, and those of the result."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise ValueError(f"einsum: expected {len(terms)} operands for {equation!r}, got {len(operands)}")
    labels = [_labels(equation, term, operand.ndim) for term, operand in zip(terms, operands)]
    dims_of_ellipsis = max(sum(type(label) is int for label in term) for term in labels)
    if arrow:
        letters = right.replace("...", "")
        output = _labels(equation, right, len(letters) + (dims_of_ellipsis if letters != right else 0))
    else:
        letters = left.replace("...", "").replace(",", "")
        output = [*range(-dims_of_ellipsis, 0), *sorted(letter for letter in set(letters) if letters.count(letter) == 1)]
    known = {label for term in labels for label in term}
    for label in output:
        if label not in known:
            raise ValueError(f"einsum: expected the letters of the result among the operands', got {label!r} in {equation!r}")
        if output.count(label) > 1:
            raise ValueError(f"einsum: expected every letter of the result once, got {label!r} more often in {equation!r}")
    return labels, output


def _labels(equation: str, term: str, ndim: int) -> list[Any]:
    """A label for each dim of one operand: negative numbers, which count from the last, for those of ``...``."""
    before, ellipsis, after = term.partition("...")
    letters = before + after
    if any(not ("a" <= letter <= "z" or "A" <= letter <= "Z") for letter in letters):
        raise ValueError(f"einsum: expected letters, '...', ',' and '->' in the equation, got {equation!r}")
    if len(letters) > ndim or (not ellipsis and len(letters) != ndim):
        raise ValueError(f"einsum: expected {len(letters)} dims for {term!r} in {equation!r}, got a tensor with {ndim}")
    return [*before, *range(len(letters) - ndim, 0), *after]


def _without_repeats(operand: Named) -> Named:
    """Diagonals for the letters that an operand has twice."""
    tensor, labels = operand
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if tensor.shape[first] != tensor.shape[second]:
                raise ValueError(f"einsum: expected one size for {label!r} in an operand, got shape {tensor.shape}")
            tensor = tensor.diagonal(0, first, second)
            labels = [*labels[:first], *labels[first + 1 : second], *labels[second + 1 :], label]
    return Named(tensor, labels)


def _check_sizes(equation: str, operands: list[Named]) -> None:
    """Every label must have one size, but for ones, which broadcast."""
    found: dict[Any, int] = {}
    for operand in operands:
        if operand.tensor.dtype != operands[0].tensor.dtype:
            raise TypeError(f"einsum: expected tensors of one dtype, got {operands[0].tensor.dtype} and {operand.tensor.dtype}")
        for label, n in zip(operand.labels, operand.tensor.shape):
            if n != 1 and found.setdefault(label, n) != n:
                name = "'...'" if type(label) is int else repr(label)
                raise ValueError(f"einsum: expected one size for {name} in {equation!r}, got {found[label]} and {n}")


def _contracted(a: Named, b: Named, kept: set[Any]) -> Named:
    """The product of two operands, summed over the labels that nothing later needs."""
    a, b = _stripped(a, b, kept), _stripped(b, a, kept)
    both = [label for label in a.labels if label in b.labels]
    batch = [label for label in both if label in kept]
    summed = [label for label in both if label not in kept]
    rows = [label for label in a.labels if label not in both]
    columns = [label for label in b.labels if label not in both]
    left, right = a.ordered([*batch, *rows, *summed]), b.ordered([*batch, *summed, *columns])
    sizes = [
        [operand.size(label) for label in labels] for operand, labels in ((a, batch), (a, rows), (a, summed), (b, columns))
    ]
    labels = [*batch, *rows, *columns]
    if not summed:
        return Named(left.reshape(*sizes[0], *sizes[1], *(1,) * len(columns)) * _spread(right, sizes[0], len(rows)), labels)
    stack, m, k, n = map(prod, sizes)
    if batch:
        product = Matmul().apply(left.reshape(stack, m, k), right.reshape(stack, k, n))
    else:
        product = Matmul().apply(left.reshape(m, k), right.reshape(k, n))
    return Named(product.reshape(*sizes[0], *sizes[1], *sizes[3]), labels)


def _spread(right: Tensor, batch: list[int], rows: int) -> Tensor:
    """The second factor with unit dims for the first one's rows."""
    return right.reshape(*batch, *(1,) * rows, *right.shape[len(batch) :])


def _stripped(operand: Named, other: Named, kept: set[Any]) -> Named:
    """The operand without unit dims that the other one stretches, and summed over the labels that it alone has."""
    units = [label for label in operand.labels if operand.size(label) == 1 and label in other.labels and other.size(label) != 1]
    tensor = operand.tensor.squeeze(tuple(operand.labels.index(label) for label in units)) if units else operand.tensor
    named = Named(tensor, [label for label in operand.labels if label not in units])
    return named.summed([label for label in named.labels if label not in other.labels and label not in kept])


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """The sum of products over some dims of each of two tensors.

    Args:
        a: any tensor.
        b: a tensor of the same dtype.
        dims: how many of the last dims of ``a`` to pair with the first ones of ``b``, or two lists of the dims to pair.

    Returns:
        A tensor with the other dims of ``a``, then those of ``b``.

    Raises:
        ValueError: if paired dims differ in size or number; IndexError if a dim is out of range.

    >>> import minigrad
    >>> minigrad.tensordot(minigrad.ones(2, 3, 4), minigrad.ones(4, 3, 5), dims=([1, 2], [1, 0])).shape
    (2, 5)
    """
    if modes.autocast:
        a, b = in_widest(a, b)
    check_tensor("tensordot", a)
    check_tensor("tensordot", b)
    if isinstance(dims, (list, tuple)):
        if len(dims) != 2:
            raise ValueError(f"tensordot: expected a number or two lists of dims, got {dims}")
        of_a, of_b = as_dims("tensordot", dims[0], a.ndim), as_dims("tensordot", dims[1], b.ndim)
        if (of_a and not a.ndim) or (of_b and not b.ndim):
            raise IndexError(f"tensordot: expected no dims of a 0-d tensor, got {dims} for {a.shape} and {b.shape}")
    else:
        count = as_integer("tensordot", "dims", dims)
        if not 0 <= count <= min(a.ndim, b.ndim):
            raise ValueError(f"tensordot: expected dims from 0 to {min(a.ndim, b.ndim)}, got {count}")
        of_a, of_b = tuple(range(a.ndim - count, a.ndim)), tuple(range(count))
    summed = [a.shape[i] for i in of_a]
    if summed != [b.shape[i] for i in of_b]:
        raise ValueError(f"tensordot: expected dims of equal sizes, got {of_a} of {a.shape} and {of_b} of {b.shape}")
    if a.dtype != b.dtype:
        raise TypeError(f"tensordot: expected tensors of one dtype, got {a.dtype} and {b.dtype}")
    rows, columns = [i for i in range(a.ndim) if i not in of_a], [i for i in range(b.ndim) if i not in of_b]
    m, n = [a.shape[i] for i in rows], [b.shape[i] for i in columns]
    left = a.permute(*rows, *of_a) if a.ndim else a
    right = b.permute(*of_b, *columns) if b.ndim else b
    product = Matmul().apply(left.reshape(prod(m), prod(summed)), right.reshape(prod(summed), prod(n)))
    return product.reshape(*m, *n)
