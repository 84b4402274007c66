"""What bfloat16 lacks in NumPy and in CuPy, so that to whoever calls a function of ``xp`` it is what float16 is.

NumPy makes float32 or float64 of it beside a Python float, in ``where`` and in ``clip``, and rounds a Python integer to it
first. What sorts puts nan anywhere, and other elements then, too; ``nan_to_num`` sees no nan, and ``max``, ``min`` and
comparisons warn of it.

CuPy 14 knows the dtype, from ml_dtypes, beside NumPy 2.1.2 or later, and has most functions of single elements for it. By the
sources of 14.2, and by what its functions say without a GPU of the types that they take (on a GPU none of this has been run):

- With a Python float, it makes float32 of it; with integers and masks it keeps it. So does NumPy.
- ``where``, and with it ``tril`` and ``triu``, ``clip`` and ``round`` know it as what can become float32, which they return.
  ``argmax`` and ``argmin`` know it only so too.
- ``sort``, ``argsort`` and all that sorts raise. ``nan_to_num`` puts 0 in place of nan and the infinities, whatever it is told.
- ``add.at`` and products of stacks raise; those and sums go through kernels of ours, or cuBLAS.

What is computed in float32 because of that is rounded once, as their own functions of bfloat16 do it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import dtypes

_bfloat16 = getattr(dtypes, "bfloat16", None)
_WIDER = dtypes.FLOATING - dtypes.REDUCED
_KEPT = frozenset({_bfloat16, dtypes.bool})
"""What a function of bfloat16 may be given besides: it says where, and has no digits."""


def is_bfloat16(operand: Any) -> bool:
    """Whether it is an array of that dtype."""
    return _bfloat16 is not None and getattr(operand, "dtype", None) == _bfloat16


def rounded(function: Callable[..., Any], array_type: Any, counts: bool = False) -> Callable[..., Any]:
    """The function; of bfloat16, masks and numbers, which are not rounded first, it gives bfloat16, rounded once.

    Args:
        counts: whether integers tell how, and are no operands.
    """
    if _bfloat16 is None:
        return function

    def call(*operands: Any, **options: Any) -> Any:
        given = [x.dtype for x in operands if isinstance(x, array_type)]
        if _bfloat16 not in given:
            return function(*operands, **options)
        result = function(*(float(x) if type(x) is int and not counts else x for x in operands), **options)
        is_wider = result.dtype in _WIDER and options.get("out") is None
        return result.astype(_bfloat16) if is_wider and _KEPT.issuperset(given) else result

    return call


def widened(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, of float32 in place of bfloat16; its floats become bfloat16 again."""
    if _bfloat16 is None:
        return function

    def narrowed(result: Any) -> Any:
        if isinstance(result, tuple):
            return tuple(map(narrowed, result))
        return result.astype(_bfloat16) if result.dtype == dtypes.float32 else result

    def call(x: Any, *rest: Any, **options: Any) -> Any:
        if x.dtype != _bfloat16:
            return function(x, *rest, **options)
        return narrowed(function(x.astype(dtypes.float32), *rest, **options))

    return call
