"""Losses of scores for classes: cross-entropy, negative log likelihood, and the multi-class margin."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..autograd.modes import modes
from ..autograd.operation import Operation, wrap
from ..backends import backend_of
from ..dtypes import FLOATING, accumulated_in, int64
from ..dtypes import bool as bool_dtype
from .arguments import as_number, check_tensor
from .autocasting import in_float32
from .conversion import cast
from .masking import keep
from .reducing import as_reduction, reduced
from .softmax import log_softmax, softmax

__all__ = ["cross_entropy", "multi_margin_loss", "nll_loss"]


class CrossEntropy(Operation):
    """The losses (N, ...) of scores (N, C, ...) with class numbers (N, ...), or their mean; weights of classes are constants.

    The number to ignore is None where it is known that there is none.
    """

    def __init__(self, ignore_index: int | None, smoothing: float, mean: bool):
        self.settings = ignore_index, smoothing
        self.mean = mean

    def forward(self, x: Any, target: Any, weight: Any) -> Any:
        for i in range(3):
            self.save_input(i)
        loss, logsumexp = self.backend.cross_entropy(x, target, weight, *self.settings)
        self.save_constant("logsumexp", logsumexp)  # only to save CrossEntropyGrad's forward some work; see there
        if not self.mean:
            return loss
        mean, count = self.backend.mean_of_losses(loss, target, weight, self.settings[0])
        if type(count) not in (int, float):
            count = self.xp.where(count == 0, 1, count)  # if nothing counts, the mean is nan, and its gradient 0
        self.save_constant("count", count)
        return mean

    def backward(self, grad: Tensor) -> Any:
        operation = CrossEntropyGrad(self.constant("logsumexp"), self.settings, self.constant("count") if self.mean else None)
        return operation.apply(grad, self.input(0), self.input(1), self.input(2)), None, None


class CrossEntropyGrad(Operation):
    """``grad · (softmax(x) · Σ_c share_c − share)``, with the classes' shares of the loss, which are constants.

    Of a mean there is one grad, and ``count`` what the sum of the losses was divided by: every loss gets the same part.
    The logsumexp that CrossEntropy found is only a shortcut: ``backward`` takes the softmax of x.
    """

    def __init__(self, logsumexp: Any, settings: tuple[int | None, float], count: Any):
        self.logsumexp = logsumexp
        self.settings = settings
        self.count = count

    def forward(self, grad: Any, x: Any, target: Any, weight: Any) -> Any:
        for i in range(4):
            self.save_input(i)
        if self.count is not None:
            part = self.xp.asarray(grad / self.count)
            grad = self.backend.as_strided(part, target.shape, (0,) * target.ndim)
        return self.backend.cross_entropy_grad(grad, x, self.logsumexp, target, weight, *self.settings)

    def backward(self, above: Tensor) -> Any:
        grad, x, target, weight = (self.input(i) for i in range(4))
        shares = self.backend.class_shares(x.array, target.array, None if weight is None else weight.array, *self.settings)
        total = wrap(self.xp.sum(shares, axis=1, keepdims=True).astype(x.dtype))
        p = softmax(x, 1)
        if self.count is not None:
            part = wrap(self.xp.asarray(1 / self.count, dtype=x.dtype))
            grad = (grad * part).expand(target.shape)
        dgrad = dx = None
        if self.needs(0):
            dgrad = (above * (p * total - wrap(shares.astype(x.dtype)))).sum(1)
            dgrad = dgrad if self.count is None else dgrad.sum() * part
        if self.needs(1):
            dx = grad.unsqueeze(1) * total * p * (above - (above * p).sum(1, keepdim=True))
        return dgrad, dx, None, None


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross-entropy of scores with the right classes: ``-log(softmax(input)[target])``.

    Args:
        input: scores (logits), (N, C), (N, C, d1, ...), or (C,) for one sample.
        target: class numbers, integers of the input's shape without C; or the probabilities of all classes, floats of the
            input's shape.
        weight: how much each class counts, (C,).
        size_average: deprecated, see ``reduction``.
        ignore_index: where this is the class number, the loss is 0 and does not count for the mean.
        reduce: deprecated, see ``reduction``.
        reduction: ``'none'`` for the losses of the samples, ``'sum'``, or ``'mean'``: their sum divided by the sum of their
            weights, for probabilities by their number.
        label_smoothing: the part of the target, from 0 to 1, that is spread evenly over all classes.

    Returns:
        A 0-d tensor, or the losses (N, d1, ...).

    Raises:
        ValueError: if the shapes do not fit or an argument is out of range; TypeError for an argument of a wrong type;
            IndexError if a class number is out of range (where the device lets the host see it without waiting).

    Reference:
        label smoothing: Szegedy et al., Rethinking the Inception Architecture, 2015, https://arxiv.org/abs/1512.00567

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.cross_entropy(minigrad.tensor([[2.0, 0.0], [0.0, 2.0]]), minigrad.tensor([0, 0]))
    tensor(1.1269)
    """
    if modes.autocast:
        input, target, weight = in_float32(input), in_float32(target), in_float32(weight)
    name = "cross_entropy"
    reduction = as_reduction(name, reduction, size_average, reduce)
    check_tensor(name, target)
    smoothing = as_number(name, "label_smoothing", label_smoothing)
    if not 0 <= smoothing <= 1:
        raise ValueError(f"{name}: expected label_smoothing between 0 and 1, got {label_smoothing}")
    if target.dtype in FLOATING:
        return _soft_cross_entropy(input, target, weight, ignore_index, reduction, smoothing)
    scores, classes, all_count = _checked(name, input, target, weight, ignore_index)
    ignored = None if all_count else ignore_index
    loss = CrossEntropy(ignored, smoothing, reduction == "mean").apply(scores, classes, weight)
    if reduction == "none":
        return loss if input.ndim > 1 else loss.squeeze(0)
    return loss.sum() if reduction == "sum" else loss


def _soft_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str, smoothing: float
) -> Tensor:
    """The cross-entropy with probabilities of the classes, in which the target has a gradient too."""
    name = "cross_entropy"
    dim = _check_scores(name, input, weight)
    if target.shape != input.shape:
        raise ValueError(f"{name}: expected probabilities of the input's shape {input.shape}, got {target.shape}")
    if ignore_index >= 0:
        raise ValueError(f"{name}: expected no ignore_index where the target is probabilities, got {ignore_index}")
    C = input.shape[dim]
    shares = target * (1 - smoothing) + smoothing / C if smoothing else target
    if weight is not None:
        shares = shares * weight.reshape((-1,) + (1,) * (input.ndim - dim - 1))
    loss = -(shares * log_softmax(input, dim)).sum(dim)
    return reduced(loss, reduction)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log likelihood of the right classes: ``-input[target]``, for log probabilities.

    Args:
        input: log probabilities, (N, C), (N, C, d1, ...), or (C,) for one sample.
        target: class numbers, integers of the input's shape without C.
        weight, size_average, ignore_index, reduce, reduction: as for ``cross_entropy``.

    Returns:
        A 0-d tensor, or the losses (N, d1, ...).

    Raises:
        ValueError, TypeError, IndexError: as ``cross_entropy``.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.nll_loss(minigrad.tensor([[-0.5, -1.5], [-2.0, -0.25]]), minigrad.tensor([0, 1]))
    tensor(0.375)
    """
    if modes.autocast:
        input, target, weight = in_float32(input), in_float32(target), in_float32(weight)
    reduction = as_reduction("nll_loss", reduction, size_average, reduce)
    check_tensor("nll_loss", target)
    logs, classes, _ = _checked("nll_loss", input, target, weight, ignore_index)
    array, backend = classes.array, backend_of(classes.array)
    kept = array != ignore_index
    safe = wrap(backend.xp.where(kept, array, 0))
    chosen = keep(logs.gather(1, safe.unsqueeze(1)).squeeze(1), kept)
    weights = backend.class_weights(array, None if weight is None else weight.array, ignore_index, logs.dtype)
    return _weighted_mean(-chosen * wrap(weights), classes, weight, ignore_index, reduction, input)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The multi-class hinge loss: ``weight[y] / C · Σ_{j ≠ y} max(0, margin − input[y] + input[j]) ** p``, y the target.

    Args:
        input: scores, (N, C), or (C,) for one sample.
        target: class numbers, (N,) or 0-d.
        p: 1 or 2.
        margin: how much larger the right class's score should be.
        weight: how much each class counts, (C,).
        size_average: deprecated, see ``reduction``.
        reduce: deprecated, see ``reduction``.
        reduction: ``'none'``, ``'mean'`` or ``'sum'`` over the samples.

    Returns:
        A 0-d tensor, or the losses (N,).

    Raises:
        ValueError, TypeError, IndexError: as ``cross_entropy``; ValueError if p is neither 1 nor 2.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.multi_margin_loss(minigrad.tensor([[0.5, 1.0, -1.0]]), minigrad.tensor([0]))
    tensor(0.5)
    """
    if modes.autocast:
        input, target, weight = in_float32(input), in_float32(target), in_float32(weight)
    name = "multi_margin_loss"
    reduction = as_reduction(name, reduction, size_average, reduce)
    check_tensor(name, target)
    if p not in (1, 2):
        raise ValueError(f"{name}: expected p to be 1 or 2, got {p!r}")
    margin = as_number(name, "margin", margin)
    scores, classes, _ = _checked(name, input, target, weight, None)
    if scores.ndim != 2:
        raise ValueError(f"{name}: expected input of shape (N, C) or (C,), got {input.shape}")
    xp, C = backend_of(scores.array).xp, scores.shape[1]
    others = xp.arange(C) != classes.array[:, None]
    gaps = keep((margin - scores.gather(1, classes.unsqueeze(1)) + scores).clamp(min=0), others)
    loss = (gaps if p == 1 else gaps * gaps).sum(1) / C
    if weight is not None:
        loss = loss * cast(weight, scores.dtype)[classes]
    return reduced(loss if input.ndim == 2 else loss.squeeze(0), reduction)


# --- what they have in common ------------------------------------------------------------------------------------------


def _check_scores(name: str, input: Any, weight: Any) -> int:
    """Check scores and weights of classes; the dim of the classes."""
    check_tensor(name, input)
    if input.dtype not in FLOATING:
        raise TypeError(f"{name}: expected input of a floating dtype, got {input.dtype}")
    if input.ndim == 0:
        raise ValueError(f"{name}: expected input of shape (N, C, ...) or (C,), got a 0-d tensor")
    dim = 1 if input.ndim > 1 else 0
    if input.shape[dim] == 0:
        raise ValueError(f"{name}: expected at least one class, got input of shape {input.shape}")
    if weight is not None:
        check_tensor(name, weight)
        if weight.shape != (input.shape[dim],):
            raise ValueError(f"{name}: expected weight of shape {(input.shape[dim],)}, one per class, got {weight.shape}")
        if weight.requires_grad:
            raise RuntimeError(f"{name}: expected a weight that does not require grad: it is a constant here; use .detach()")
    return dim


def _checked(name: str, input: Any, target: Tensor, weight: Any, ignore_index: int | None) -> tuple[Tensor, Tensor, bool]:
    """Scores as (N, C, ...) and class numbers as (N, ...), checked; and whether it is known that none is to be ignored."""
    dim = _check_scores(name, input, weight)
    if target.dtype in FLOATING or target.dtype == bool_dtype:
        raise TypeError(f"{name}: expected target of an integer dtype, class numbers, got {target.dtype}")
    expected = input.shape[:dim] + input.shape[dim + 1 :]
    if target.shape != expected:
        raise ValueError(f"{name}: expected target of shape {expected} for input {input.shape}, got {target.shape}")
    target = cast(target, int64)
    array, C = target.array, input.shape[dim]
    backend = backend_of(array)
    bounds = backend.index_bounds(array) if array.size else None
    all_count = bounds is not None and (ignore_index is None or not bounds[0] <= ignore_index <= bounds[1])
    if bounds is not None and not all_count:
        bounds = backend.index_bounds(backend.xp.where(array == ignore_index, 0, array))
    if bounds is not None and not 0 <= bounds[0] <= bounds[1] < C:
        wrong = bounds[0] if bounds[0] < 0 else bounds[1]
        raise IndexError(f"{name}: expected class numbers from 0 to {C - 1}, got {wrong} in target")
    return (input, target, all_count) if dim else (input.unsqueeze(0), target.unsqueeze(0), all_count)


def _weighted_mean(
    loss: Tensor, classes: Tensor, weight: Tensor | None, ignore_index: int, reduction: str, input: Tensor
) -> Tensor:
    """The losses reduced; the mean is the sum divided by the sum of the weights of what was not ignored."""
    if reduction == "none":
        return loss if input.ndim > 1 else loss.squeeze(0)
    if reduction == "sum":
        return loss.sum()
    backend = backend_of(loss.array)
    wide = accumulated_in(loss.dtype)
    total = backend.xp.sum(backend.class_weights(classes.array, None if weight is None else weight.array, ignore_index, wide))
    # The plain mean times a correction near 1: in float16 the sum itself might overflow.
    correction = loss.numel() / backend.xp.where(total == 0, 1, total)
    mean = loss.mean() * wrap(backend.xp.asarray(correction).astype(loss.dtype))
    # the mean of nothing is nan, and its gradient 0
    return mean + wrap(backend.xp.where(total == 0, float("nan"), 0.0).astype(loss.dtype))
