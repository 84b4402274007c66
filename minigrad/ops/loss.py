"""Losses of values: how far predictions are from targets, as numbers, as probabilities and as distributions."""

from __future__ import annotations

import warnings
from typing import Any

from .._tensor import Tensor
from ..autograd.modes import modes
from ..autograd.operation import Operation
from ..backends import backend_of
from ..dtypes import FLOATING
from .activation import logsigmoid
from .arguments import as_number, check_tensor
from .autocasting import in_float32, refuse_autocast
from .elementwise import exp, log
from .reducing import REDUCTIONS, as_reduction, reduced

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
]


# --- of numbers --------------------------------------------------------------------------------------------------------


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The squared difference: ``(input − target)²``.

    Args:
        input: predictions of any shape.
        target: what they should be, of the same shape (others are broadcast, with a warning).
        size_average: deprecated, see ``reduction``.
        reduce: deprecated, see ``reduction``.
        reduction: ``'none'`` for the losses of the elements, their ``'mean'`` or their ``'sum'``.

    Returns:
        A 0-d tensor, or the losses in the input's shape.

    Raises:
        ValueError: if the shapes do not broadcast or the reduction is unknown; TypeError for an argument of a wrong type.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.mse_loss(minigrad.tensor([1.0, 2.0]), minigrad.tensor([1.0, 4.0]))
    tensor(2.)
    """
    reduction = as_reduction("mse_loss", reduction, size_average, reduce)
    difference = _difference("mse_loss", input, target)
    return reduced(difference * difference, reduction)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The absolute difference: ``|input − target|``; arguments, results and errors are as for ``mse_loss``.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.l1_loss(minigrad.tensor([1.0, 2.0]), minigrad.tensor([1.0, 4.0]))
    tensor(1.)
    """
    reduction = as_reduction("l1_loss", reduction, size_average, reduce)
    return reduced(_difference("l1_loss", input, target).abs(), reduction)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """With d the difference, ``d² / (2·beta)`` where ``|d| < beta``, and ``|d| − beta/2`` elsewhere.

    Args:
        input, target, size_average, reduce, reduction: as for ``mse_loss``.
        beta: where the square passes into the absolute value; with 0 this is ``l1_loss``.

    Raises:
        ValueError, TypeError: as ``mse_loss``; ValueError if beta is negative.

    Reference:
        Girshick, Fast R-CNN, 2015, https://arxiv.org/abs/1504.08083

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.smooth_l1_loss(minigrad.tensor([1.0, 2.0]), minigrad.tensor([1.5, 4.0]), reduction="none")
    tensor([0.125, 1.5  ])
    """
    reduction = as_reduction("smooth_l1_loss", reduction, size_average, reduce)
    if as_number("smooth_l1_loss", "beta", beta) < 0:
        raise ValueError(f"smooth_l1_loss: expected beta of at least 0, got {beta}")
    difference = _difference("smooth_l1_loss", input, target)
    return reduced(_huber(difference, beta, beta) if beta else difference.abs(), reduction)


def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """With d the difference, ``d² / 2`` where ``|d| < delta``, and ``delta · (|d| − delta/2)`` elsewhere.

    Args:
        input, target, reduction: as for ``mse_loss``.
        delta: where the square passes into the absolute value.

    Raises:
        ValueError, TypeError: as ``mse_loss``; ValueError if delta is not positive.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.huber_loss(minigrad.tensor([1.0, 2.0]), minigrad.tensor([1.5, 5.0]), reduction="none", delta=2.0)
    tensor([0.125, 4.   ])
    """
    reduction = as_reduction("huber_loss", reduction, None, None)
    if as_number("huber_loss", "delta", delta) <= 0:
        raise ValueError(f"huber_loss: expected delta above 0, got {delta}")
    return reduced(_huber(_difference("huber_loss", input, target), delta), reduction)


def _huber(difference: Tensor, delta: float, divisor: float = 1) -> Tensor:
    near = difference.clamp(-delta, delta)
    return (near if divisor == 1 else near / divisor) * (difference - near * 0.5)  # divided first, against underflow


# --- of probabilities --------------------------------------------------------------------------------------------------


class BinaryCrossEntropy(Operation):
    """``-(t · log(x) + (1 − t) · log(1 − x))``, with logarithms of at least -100, so that 0 and 1 give finite losses."""

    def forward(self, x: Any, target: Any) -> Any:
        self.save_input(0)
        self.save_input(1)
        xp = self.xp
        with self.backend.quiet():
            hit, miss = xp.maximum(xp.log(x), -100), xp.maximum(xp.log1p(-x), -100)
        return (target - 1) * miss - target * hit

    def backward(self, grad: Tensor) -> Any:
        x, target = self.input(0), self.input(1)
        dx = dtarget = None
        if self.needs(0):
            dx = grad * (x - target) / (x * (1 - x)).clamp(min=1e-12)
        if self.needs(1):
            dtarget = grad * ((-x).log1p().clamp(min=-100) - x.log().clamp(min=-100))
        return dx, dtarget


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The cross-entropy of probabilities: ``-(target · log(input) + (1 − target) · log(1 − input))``.

    The logarithms are at least -100. For the values before a sigmoid, ``binary_cross_entropy_with_logits`` is more exact.

    Args:
        input: probabilities, of any shape.
        target: the right ones, of the same shape and dtype.
        weight: a factor for every element, broadcast to the input's shape.
        size_average, reduce, reduction: as for ``mse_loss``.

    Returns:
        A 0-d tensor, or the losses in the input's shape.

    Raises:
        ValueError: if the shapes differ, or input or target is not between 0 and 1 (where the device lets the host see it
            without waiting); TypeError for an argument of a wrong type; RuntimeError inside ``autocast``.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.binary_cross_entropy(minigrad.tensor([0.5, 0.75]), minigrad.tensor([0.0, 1.0]))
    tensor(0.4904)
    """
    if modes.autocast:
        refuse_autocast("binary_cross_entropy", input, "binary_cross_entropy_with_logits on what a sigmoid was applied to")
    reduction = as_reduction("binary_cross_entropy", reduction, size_average, reduce)
    _check_alike("binary_cross_entropy", input, target, weight)
    for what, array in (("input", input.array), ("target", target.array)):
        bounds = backend_of(array).index_bounds(array) if array.size else None
        if bounds is not None and not 0 <= bounds[0] <= bounds[1] <= 1:
            raise ValueError(f"binary_cross_entropy: expected {what} from 0 to 1, got values from {bounds[0]} to {bounds[1]}")
    loss = BinaryCrossEntropy().apply(input, target)
    return reduced(loss if weight is None else loss * weight, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """The cross-entropy of ``sigmoid(input)`` with probabilities, without overflow.

    Args:
        input: scores (logits), of any shape.
        target: the right probabilities, of the same shape and dtype.
        weight: a factor for every element, broadcast to the input's shape.
        size_average, reduce, reduction: as for ``mse_loss``.
        pos_weight: a factor for the part of ``target``, such as the classes' ratio of negatives to positives; broadcast.

    Returns:
        A 0-d tensor, or the losses in the input's shape.

    Raises:
        ValueError: if the shapes do not fit; TypeError for an argument of a wrong type.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.binary_cross_entropy_with_logits(minigrad.tensor([0.0, 100.0]), minigrad.tensor([0.0, 1.0]))
    tensor(0.3466)
    """
    if modes.autocast:
        input, target, weight, pos_weight = in_float32(input), in_float32(target), in_float32(weight), in_float32(pos_weight)
    name = "binary_cross_entropy_with_logits"
    reduction = as_reduction(name, reduction, size_average, reduce)
    _check_alike(name, input, target, weight)
    part = logsigmoid(input)
    if pos_weight is not None:
        check_tensor(name, pos_weight)
        part = part * (1 + (pos_weight - 1) * target)
    loss = (1 - target) * input - part
    return reduced(loss if weight is None else loss * weight, reduction)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The logistic loss of signs: ``log(1 + exp(-target · input))``.

    Args:
        input: scores, of any shape.
        target: -1 or 1 for each.
        size_average, reduce, reduction: as for ``mse_loss``.

    Raises:
        ValueError, TypeError: as ``mse_loss``.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.soft_margin_loss(minigrad.tensor([0.0, 2.0]), minigrad.tensor([1.0, 1.0]))
    tensor(0.41)
    """
    if modes.autocast:
        input, target = in_float32(input), in_float32(target)
    reduction = as_reduction("soft_margin_loss", reduction, size_average, reduce)
    _check_alike("soft_margin_loss", input, target, None)
    return reduced(-logsigmoid(target * input), reduction)


# --- of distributions --------------------------------------------------------------------------------------------------


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """The Kullback-Leibler divergence, element by element: ``target · (log(target) − input)``.

    Args:
        input: log probabilities.
        target: probabilities of the same shape, or their logarithms with ``log_target``.
        size_average, reduce: deprecated, see ``reduction``.
        reduction: ``'none'``, ``'mean'``, ``'sum'``, or ``'batchmean'``, the sum divided by the size of the first dim: the
            mean divergence of the rows.
        log_target: whether the target is given as logarithms.

    Returns:
        A 0-d tensor, or the losses in the input's shape.

    Raises:
        ValueError, TypeError: as ``mse_loss``.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> logs = minigrad.tensor([[0.5, 0.5]]).log()
    >>> F.kl_div(logs, minigrad.tensor([[1.0, 0.0]]), reduction="batchmean")
    tensor(0.6931)
    """
    if modes.autocast:
        input, target = in_float32(input), in_float32(target)
    reduction = as_reduction("kl_div", reduction, size_average, reduce, (*REDUCTIONS, "batchmean"))
    check_tensor("kl_div", input)
    check_tensor("kl_div", target)
    if log_target:
        loss = exp(target) * (target - input)
    else:
        # 0 · log(0) is 0 here, and its derivative is finite.
        loss = target * (log(target.masked_fill(target == 0, 1)) - input)
    if reduction == "batchmean":
        if input.ndim == 0:
            raise ValueError("kl_div: expected input with a dim for reduction='batchmean', got a 0-d tensor")
        return loss.sum() / input.shape[0]
    return reduced(loss, reduction)


# --- what they have in common ------------------------------------------------------------------------------------------


def _difference(name: str, input: Any, target: Any) -> Tensor:
    """``input − target``; shapes that differ are mostly a mistake, (N, 1) against (N,) say, so that is said."""
    if modes.autocast:
        input, target = in_float32(input), in_float32(target)
    check_tensor(name, input)
    check_tensor(name, target)
    if input.shape != target.shape:
        warnings.warn(
            f"{name}: input of shape {input.shape} and target of shape {target.shape} are broadcast; "
            "give them one shape if that is not meant",
            UserWarning,
            stacklevel=3,
        )
    return input - target


def _check_alike(name: str, input: Any, target: Any, weight: Any) -> None:
    """Raise unless input and target are floating tensors of one shape, and the weight is a tensor or None."""
    for tensor in (input, target) if weight is None else (input, target, weight):
        check_tensor(name, tensor)
    if input.dtype not in FLOATING or target.dtype != input.dtype:
        raise TypeError(f"{name}: expected input and target of one floating dtype, got {input.dtype} and {target.dtype}")
    if input.shape != target.shape:
        raise ValueError(f"{name}: expected target of the input's shape {input.shape}, got {target.shape}")
