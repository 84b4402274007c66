"""Choosing elements by a mask."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..autograd.operation import Operation, wrap
from ..backends import backend_of
from ..dtypes import as_number
from ..dtypes import bool as bool_dtype
from .arguments import check_tensor, fitting_number
from .broadcasting import Expand, joint_shape, sum_to
from .conversion import broadcasts_to, cast, result_type, to
from .indexing import Index

__all__ = ["masked_fill", "masked_select", "nonzero", "where"]


class Where(Operation):
    """``a`` where a condition is true, ``b`` elsewhere; all three broadcast, and ``a`` or ``b`` may be a number."""

    def __init__(self, dtype: Any):
        self.dtype = dtype

    def forward(self, condition: Any, a: Any, b: Any) -> Any:
        self.save_input(0)
        self.shapes = [getattr(value, "shape", ()) for value in (a, b)]
        a, b = (self.xp.asarray(v, dtype=self.dtype) if isinstance(v, (int, float)) else v for v in (a, b))
        return self.xp.where(condition, a, b)

    def backward(self, grad: Tensor) -> tuple[Tensor | None, ...]:
        condition, where = self.input(0), Where(self.dtype)
        a = sum_to(where.apply(condition, grad, 0), self.shapes[0]) if self.needs(1) else None
        b = sum_to(Where(self.dtype).apply(condition, 0, grad), self.shapes[1]) if self.needs(2) else None
        return None, a, b


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """``input`` where the condition is true, ``other`` elsewhere; without these two, ``nonzero(condition, as_tuple=True)``.

    Args:
        condition: a bool tensor.
        input: a tensor or a number.
        other: a tensor or a number; the shapes of all three broadcast.

    Returns:
        A tensor of the broadcast shape, in the dtype that both values promote to.

    Raises:
        ValueError: if the shapes do not broadcast; TypeError if the condition is not bool, or only one value is given;
            OverflowError if a number does not fit into that dtype.

    >>> import minigrad
    >>> x = minigrad.tensor([1.0, -2.0, 3.0])
    >>> minigrad.where(x > 0, x, 0)
    tensor([1., 0., 3.])
    """
    check_tensor("where", condition)
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    _check_mask("where", condition)
    a, b = _choice("where", input), _choice("where", other)
    dtype = result_type(a, b)
    a, b = (cast(v, dtype) if isinstance(v, Tensor) else fitting_number("where", v, dtype) for v in (a, b))
    joint_shape("where", condition, *(v for v in (a, b) if isinstance(v, Tensor)))
    return Where(dtype).apply(condition, a, b)


class MaskedFill(Operation):
    """A copy with a value, a number or a 0-d tensor, where a mask is true; shapes broadcast."""

    def fit(self, target: Tensor, mask: Any, value: Any) -> tuple[Any, ...]:
        _check_mask("masked_fill_", mask)
        if mask.ndim > target.ndim or not broadcasts_to(mask.shape, target.shape):
            raise ValueError(f"masked_fill_: expected a mask that broadcasts to {target.shape}, got {mask.shape}")
        return target, mask, filling("masked_fill_", value, target)

    def forward(self, x: Any, mask: Any, value: Any) -> Any:
        self.save_input(1)
        self.source = x.shape
        value = self.xp.asarray(value, dtype=x.dtype) if isinstance(value, (int, float)) else value
        return self.xp.where(mask, value, x)

    def backward(self, grad: Tensor) -> tuple[Tensor | None, ...]:
        mask = self.input(1)
        x = sum_to(MaskedFill().apply(grad, mask, 0), self.source) if self.needs(0) else None
        value = sum_to(Where(grad.dtype).apply(mask, grad, 0), ()) if self.needs(2) else None
        return x, None, value


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """A copy with ``value`` where the mask is true.

    Args:
        input: any tensor.
        mask: a bool tensor whose shape broadcasts with the input's.
        value: a number or a 0-d tensor; it is converted to the input's dtype.

    Raises:
        ValueError: if the shapes do not broadcast; TypeError if the mask is not bool, or the value neither a number nor 0-d;
            OverflowError if the number does not fit into the input's dtype.

    >>> import minigrad
    >>> x = minigrad.tensor([1.0, 2.0, 3.0])
    >>> minigrad.masked_fill(x, x > 1.5, 0)
    tensor([1., 0., 0.])
    """
    check_tensor("masked_fill", input)
    _check_mask("masked_fill", mask)
    joint_shape("masked_fill", input, mask)
    return MaskedFill().apply(input, mask, filling("masked_fill", value, input))


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask is true, as a 1-d tensor.

    Args:
        input: any tensor.
        mask: a bool tensor whose shape broadcasts with the input's.

    Raises:
        ValueError: if the shapes do not broadcast; TypeError if the mask is not bool.

    >>> import minigrad
    >>> x = minigrad.tensor([1.0, 2.0, 3.0])
    >>> minigrad.masked_select(x, x > 1.5)
    tensor([2., 3.])
    """
    check_tensor("masked_select", input)
    _check_mask("masked_select", mask)
    shape = joint_shape("masked_select", input, mask) or (1,)
    input, mask = (t if t.shape == shape else Expand(shape).apply(t) for t in (input, mask))
    return Index().apply(input, mask)


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """Where the elements are that are not zero.

    Args:
        input: any tensor.
        as_tuple: return one tensor of indices per dim (at least one), by which ``input`` can be indexed.

    Returns:
        An int64 tensor of shape (number of such elements, number of dims), or the tuple of its columns.

    >>> import minigrad
    >>> minigrad.nonzero(minigrad.tensor([[0, 7], [8, 0]]))
    tensor([[0, 1],
            [1, 0]])
    """
    check_tensor("nonzero", input)
    xp = backend_of(input.array).xp
    places = xp.nonzero(input.array if input.ndim else input.array.reshape(1))
    if as_tuple:
        return tuple(wrap(place) for place in places)
    return wrap(xp.stack(places, axis=1)[:, : input.ndim])


def filling(name: str, value: Any, target: Tensor) -> Any:
    """The number, or the 0-d tensor in the target's dtype and on its device, that elements are to be overwritten by."""
    if isinstance(value, Tensor):
        if value.ndim:
            raise TypeError(f"{name}: expected a number or a 0-d tensor as the value, got shape {value.shape}")
        return to(value, dtype=target.dtype, device=target.device)
    number = as_number(value)
    if number is None:
        raise TypeError(f"{name}: expected a number or a 0-d tensor as the value, got {type(value).__name__}")
    return fitting_number(name, number, target.dtype)


def _choice(name: str, value: Any) -> Any:
    """A Tensor or a Python number."""
    found = value if isinstance(value, Tensor) else as_number(value)
    if found is None:
        raise TypeError(f"{name}: expected two tensors or numbers to choose from, got {type(value).__name__}")
    return found


def _check_mask(name: str, mask: Any) -> None:
    if not isinstance(mask, Tensor) or mask.dtype != bool_dtype:
        found = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(f"{name}: expected a bool tensor as the mask, got {found}")
