"""What operations do inside ``autocast``. A function that has a rule begins with it:

    if modes.autocast:
        input, weight = in_reduced(input), in_reduced(weight)

The rules are those of PyTorch's CUDA autocast: ``in_reduced`` for products, ``in_float32`` for what needs its range or digits,
``in_widest`` for several operands that must have one dtype. The conversions are operations like others, so gradients come back
in the dtype that a tensor has. Weighed against a decorator (a call more for every operation, 5 % of a small one's time where
this line takes 1 %, and a line more in every traceback) and against a hook in ``Operation.apply`` (which comes after the
functions' checks of dtypes, and would be asked by every operation).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .._tensor import Tensor
from ..autograd.modes import modes
from ..autograd.versions import version_of
from ..backends import backend_of
from ..dtypes import REDUCED, float32
from .conversion import cast


class Kept(NamedTuple):
    """A parameter's conversion, and what the parameter was then."""

    parameter: Tensor
    array: Any
    version: int
    converted: Tensor


_CONVERTED = REDUCED | {float32}
"""What products take in autocast's dtype."""


def in_reduced(value: Any) -> Any:
    """A tensor of float32, or of a short float, in autocast's dtype where that is on for its device; others as they are."""
    if not _is_eligible(value, _CONVERTED):
        return value
    dtype = modes.autocast[backend_of(value.array).name]
    if value.array.dtype == dtype:
        return value
    if modes.casts is None or not value._requires_grad or value.node is not None or value._view is not None:
        return _converted(value, dtype)
    key = id(value), dtype, modes.grad, modes.inference
    kept, count = modes.casts.get(key), version_of(value).count
    if kept is None or kept.array is not value.array or kept.version != count:
        kept = modes.casts[key] = Kept(value, value.array, count, _converted(value, dtype))
    return kept.converted


def in_float32(value: Any) -> Any:
    """A tensor of a short float as float32, where autocast is on for its device; anything else as it is."""
    return _converted(value, float32) if _is_eligible(value, REDUCED) else value


def in_widest(*values: Any) -> tuple[Any, ...]:
    """Values with their short floats as float32, if there is a float32 tensor among them."""
    return tuple(map(in_float32, values)) if any(_is_eligible(value, (float32,)) for value in values) else values


def refuse_autocast(name: str, value: Any, instead: str) -> None:
    """Raise if autocast is on for a tensor's device: the operation is not safe in a short float, nor after it."""
    if isinstance(value, Tensor) and backend_of(value.array).name in modes.autocast:
        raise RuntimeError(f"{name}: expected to be used outside of autocast, where it would overflow; use {instead}")


def _is_eligible(value: Any, dtypes: Any) -> bool:
    return isinstance(value, Tensor) and value.array.dtype in dtypes and backend_of(value.array).name in modes.autocast


def _converted(value: Tensor, dtype: Any) -> Tensor:
    with backend_of(value.array).quiet():  # what is too large is inf
        return cast(value, dtype)
