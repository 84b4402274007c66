"""How the losses of the elements become one number: what ``reduction=`` means, here and in PyTorch's older spelling."""

from __future__ import annotations

import warnings

from .._tensor import Tensor

REDUCTIONS = ("none", "mean", "sum")


def as_reduction(
    name: str, reduction: str, size_average: bool | None, reduce: bool | None, allowed: tuple[str, ...] = REDUCTIONS
) -> str:
    """The reduction, checked; the arguments of PyTorch before 0.4.1 stand for one, with a warning."""
    if size_average is not None or reduce is not None:
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
        given = [f"{what}={value}" for what, value in (("size_average", size_average), ("reduce", reduce)) if value is not None]
        warnings.warn(f"{name}: {' and '.join(given)} is spelled reduction={reduction!r} now", DeprecationWarning, stacklevel=3)
    if reduction not in allowed:
        raise ValueError(f"{name}: expected reduction to be one of {', '.join(map(repr, allowed))}, got {reduction!r}")
    return reduction


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The losses themselves, their mean or their sum."""
    if reduction == "mean":
        return loss.mean()
    return loss.sum() if reduction == "sum" else loss
