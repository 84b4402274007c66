"""Loss functions as layers."""

from __future__ import annotations

import sys
import warnings
from typing import Any

from .._tensor import Tensor
from . import functional as F
from .arguments import boolean, choice, integer, number, refuse
from .module import Module


class _Loss(Module):
    """A loss, and how its values for the elements (or samples) become one."""

    reductions: tuple[str, ...] = ("none", "mean", "sum")

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"):
        super().__init__()
        self.reduction = choice(self, "reduction", reduction, self.reductions)
        if size_average is not None or reduce is not None:
            self.reduction = self._older(size_average, reduce)

    def _older(self, size_average: bool | None, reduce: bool | None) -> str:
        """The reduction that the two arguments of PyTorch before 0.4.1 stand for."""
        averaged = size_average is None or boolean(self, "size_average", size_average)
        reduced = reduce is None or boolean(self, "reduce", reduce)
        reduction = "none" if not reduced else "mean" if averaged else "sum"
        name = type(self).__name__
        warnings.warn(
            f"{name}: size_average and reduce have a newer form: nn.{name}(reduction={reduction!r})",
            DeprecationWarning,
            stacklevel=_depth_of_package(),
        )
        return reduction

    def _weight(self, name: str, weight: Any) -> None:
        """Register one of the tensors that weigh the classes or elements."""
        if weight is not None and not isinstance(weight, Tensor):
            raise refuse(self, name, "a Tensor or None", weight)
        self.register_buffer(name, weight)


def _depth_of_package() -> int:
    """How many calls up the code is that made the layer: the warning is for that line."""
    frame = sys._getframe(1)
    depth = 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(__package__):
        frame = frame.f_back
        depth += 1
    return depth


class MSELoss(_Loss):
    """The mean of the squared differences.

    Args:
        size_average: deprecated, see ``reduction``.
        reduce: deprecated, see ``reduction``.
        reduction: "mean", "sum", or "none" for all values.

    >>> import minigrad
    >>> minigrad.nn.MSELoss()(minigrad.tensor([1.0, 2.0]), minigrad.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """The mean of the absolute differences; the arguments are those of ``MSELoss``.

    >>> import minigrad
    >>> minigrad.nn.L1Loss()(minigrad.tensor([1.0, 2.0]), minigrad.tensor([1.0, 4.0]))
    tensor(1.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """d² / (2 · beta) for differences d below beta, |d| − beta / 2 above.

    Girshick, "Fast R-CNN", ICCV 2015.

    Args:
        size_average: deprecated, see ``reduction``.
        reduce: deprecated, see ``reduction``.
        reduction: "mean", "sum", or "none" for all values.
        beta: where the two meet.

    >>> import minigrad
    >>> minigrad.nn.SmoothL1Loss()(minigrad.tensor([1.0, 2.0]), minigrad.tensor([1.0, 4.0]))
    tensor(0.75)
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ):
        super().__init__(size_average, reduce, reduction)
        self.beta = number(self, "beta", beta)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """d² / 2 for differences d below delta, delta · (|d| − delta / 2) above.

    Huber, "Robust estimation of a location parameter", 1964.

    Args:
        reduction: "mean", "sum", or "none" for all values.
        delta: where the two meet.

    >>> import minigrad
    >>> minigrad.nn.HuberLoss(delta=0.5)(minigrad.tensor([1.0, 2.0]), minigrad.tensor([1.0, 4.0]))
    tensor(0.4375)
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0):
        super().__init__(reduction=reduction)
        self.delta = number(self, "delta", delta)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class CrossEntropyLoss(_Loss):
    """−log softmax(x)[class], for the scores x of all classes: what trains a classifier.

    Args:
        weight: how much each class counts, (C,).
        size_average: deprecated, see ``reduction``.
        ignore_index: a class that does not count.
        reduce: deprecated, see ``reduction``.
        reduction: "mean" over what counts, "sum", or "none" for all values.
        label_smoothing: how much of the target is spread over all classes, in [0, 1].
            Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016.

    >>> import minigrad
    >>> minigrad.nn.CrossEntropyLoss()(minigrad.zeros(1, 4), minigrad.tensor([2]))
    tensor(1.3863)
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ):
        super().__init__(size_average, reduce, reduction)
        self._weight("weight", weight)
        self.ignore_index = integer(self, "ignore_index", ignore_index)
        self.label_smoothing = number(self, "label_smoothing", label_smoothing)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_Loss):
    """−x[class], for log-probabilities x: ``CrossEntropyLoss`` after a ``LogSoftmax``.

    Args:
        weight: how much each class counts, (C,).
        size_average: deprecated, see ``reduction``.
        ignore_index: a class that does not count.
        reduce: deprecated, see ``reduction``.
        reduction: "mean" over what counts, "sum", or "none" for all values.

    >>> import minigrad
    >>> minigrad.nn.NLLLoss()(minigrad.tensor([[-0.5, -1.0]]), minigrad.tensor([1]))
    tensor(1.)
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ):
        super().__init__(size_average, reduce, reduction)
        self._weight("weight", weight)
        self.ignore_index = integer(self, "ignore_index", ignore_index)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class BCELoss(_Loss):
    """−(y · log p + (1 − y) · log(1 − p)), for probabilities p and targets y in [0, 1].

    Args:
        weight: how much each element counts; its shape broadcasts with the input's.
        size_average: deprecated, see ``reduction``.
        reduce: deprecated, see ``reduction``.
        reduction: "mean", "sum", or "none" for all values.

    >>> import minigrad
    >>> minigrad.nn.BCELoss()(minigrad.tensor([0.5]), minigrad.tensor([1.0]))
    tensor(0.6931)
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ):
        super().__init__(size_average, reduce, reduction)
        self._weight("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """``BCELoss`` of sigmoid(x), without overflow.

    Args:
        weight: how much each element counts; its shape broadcasts with the input's.
        size_average: deprecated, see ``reduction``.
        reduce: deprecated, see ``reduction``.
        reduction: "mean", "sum", or "none" for all values.
        pos_weight: how much the targets y count more than 1 − y.

    >>> import minigrad
    >>> minigrad.nn.BCEWithLogitsLoss()(minigrad.tensor([0.0]), minigrad.tensor([1.0]))
    tensor(0.6931)
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ):
        super().__init__(size_average, reduce, reduction)
        self._weight("weight", weight)
        self._weight("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input, target, weight=self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class KLDivLoss(_Loss):
    """y · (log y − x), for log-probabilities x and probabilities y: the Kullback–Leibler divergence, where it is summed.

    Args:
        size_average: deprecated, see ``reduction``.
        reduce: deprecated, see ``reduction``.
        reduction: "batchmean" for the divergence, "mean", "sum", or "none" for all values.
        log_target: whether the targets are log-probabilities too.

    >>> import minigrad
    >>> minigrad.nn.KLDivLoss(reduction="batchmean")(minigrad.tensor([[0.5, 0.5]]).log(), minigrad.tensor([[0.5, 0.5]]))
    tensor(0.)
    """

    reductions = ("none", "batchmean", "mean", "sum")

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ):
        super().__init__(size_average, reduce, reduction)
        self.log_target = boolean(self, "log_target", log_target)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class MultiMarginLoss(_Loss):
    """Σ max(0, margin − x[class] + x[i])^p / C over the other classes i: the hinge loss of support vector machines.

    Args:
        p: 1 or 2.
        margin: by how much the class is to be ahead.
        weight: how much each class counts, (C,).
        size_average: deprecated, see ``reduction``.
        reduce: deprecated, see ``reduction``.
        reduction: "mean", "sum", or "none" for all values.

    >>> import minigrad
    >>> minigrad.nn.MultiMarginLoss()(minigrad.tensor([[0.0, 0.5]]), minigrad.tensor([1]))
    tensor(0.25)
    """

    weight: Tensor | None

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ):
        super().__init__(size_average, reduce, reduction)
        self.p = integer(self, "p", p)
        if self.p not in (1, 2):
            raise ValueError(f"MultiMarginLoss: expected p to be 1 or 2, got {p}")
        self.margin = number(self, "margin", margin)
        self._weight("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multi_margin_loss(input, target, p=self.p, margin=self.margin, weight=self.weight, reduction=self.reduction)


class SoftMarginLoss(_Loss):
    """log(1 + e^(−y · x)), for scores x and targets y that are 1 or −1.

    Args:
        size_average: deprecated, see ``reduction``.
        reduce: deprecated, see ``reduction``.
        reduction: "mean", "sum", or "none" for all values.

    >>> import minigrad
    >>> minigrad.nn.SoftMarginLoss()(minigrad.tensor([0.0]), minigrad.tensor([-1.0]))
    tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.soft_margin_loss(input, target, reduction=self.reduction)
