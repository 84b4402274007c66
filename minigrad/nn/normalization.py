"""Layers that bring activations to mean 0 and variance 1, over the batch, a sample, or groups of its channels."""

from __future__ import annotations

from typing import Any

from .. import ops
from .._tensor import Tensor
from ..ops.normalization import counted_batch_norm
from . import functional as F
from . import init
from .arguments import boolean, integer, number, sizes
from .module import Module
from .parameter import Parameter


class _BatchNorm(Module):
    """Batch normalisation of inputs (N, C, …); a subclass knows how many dimensions there are."""

    _optional_state = ("num_batches_tracked",)
    shapes: dict[int, str]
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        self.num_features = integer(self, "num_features", num_features)
        self.eps = number(self, "eps", eps)
        self.momentum = None if momentum is None else number(self, "momentum", momentum)
        self.affine = boolean(self, "affine", affine)
        self.track_running_stats = boolean(self, "track_running_stats", track_running_stats)
        size, tracked = self.num_features, self.track_running_stats
        _register_affine(self, (size,), self.affine, self.affine, device, dtype)
        self.register_buffer("running_mean", ops.zeros(size, dtype=dtype, device=device) if tracked else None)
        self.register_buffer("running_var", ops.ones(size, dtype=dtype, device=device) if tracked else None)
        self.register_buffer("num_batches_tracked", ops.zeros((), dtype="int64", device=device) if tracked else None)

    def reset_running_stats(self) -> None:
        """Forget what was seen: mean 0, variance 1."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Forget what was seen and learned."""
        self.reset_running_stats()
        _reset(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.shapes:
            expected = " or ".join(self.shapes.values())
            raise ValueError(f"{type(self).__name__}: expected an input {expected}, got shape {input.shape}")
        training, momentum = self.training, self.momentum
        mean, var, count = self.running_mean, self.running_var, self.num_batches_tracked
        if training and not self.track_running_stats:
            mean = var = count = None
        if not training:
            count = None
        if momentum is None:
            momentum = 0.0 if count is None else 1 / (count.item() + 1)
        training = training or mean is None
        return counted_batch_norm(input, mean, var, count, self.weight, self.bias, training, momentum, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of inputs (N, C) or (N, C, L); arguments and paper are those of ``BatchNorm2d``.

    >>> import minigrad
    >>> minigrad.nn.BatchNorm1d(3)(minigrad.randn(8, 3)).shape
    (8, 3)
    """

    shapes = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images (N, C, H, W): y = (x − mean) / √(var + eps) · weight + bias, for each channel.

    Mean and variance are those of the batch in training, and running averages afterwards, which training has updated:
    running = (1 − momentum) · running + momentum · batch's.

    Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift",
    ICML 2015.

    Args:
        num_features: the number of channels C.
        eps: what is added to the variance.
        momentum: how much the newest batch counts in the running averages; None: all batches count alike.
        affine: whether there are a weight and a bias, which start as 1 and 0.
        track_running_stats: whether there are running averages; without, the batch's count after training too.
        device: where parameters and buffers are made.
        dtype: their dtype (default: the default dtype).

    >>> import minigrad
    >>> minigrad.nn.BatchNorm2d(3)(minigrad.randn(8, 3, 4, 4)).shape
    (8, 3, 4, 4)
    """

    shapes = {4: "(N, C, H, W)"}


class LayerNorm(Module):
    """Normalisation of every sample over its last dimensions, with a weight and a bias for each of their elements.

    Ba, Kiros and Hinton, "Layer normalization", 2016.

    Args:
        normalized_shape: the sizes of these dimensions; an int for the last one only.
        eps: what is added to the variance.
        elementwise_affine: whether there are weight and bias, which start as 1 and 0.
        bias: whether there is a bias.
        device: where they are made.
        dtype: their dtype (default: the default dtype).

    >>> import minigrad
    >>> minigrad.nn.LayerNorm(4)(minigrad.tensor([[1.0, 1.0, 3.0, 3.0]])).round(decimals=3)
    tensor([[-1., -1.,  1.,  1.]], grad_fn=<Round>)
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        shape = sizes(self, "normalized_shape", normalized_shape)
        self.normalized_shape = (shape,) if isinstance(shape, int) else shape
        self.eps = number(self, "eps", eps)
        self.elementwise_affine = boolean(self, "elementwise_affine", elementwise_affine)
        has_weight, has_bias = self.elementwise_affine, self.elementwise_affine and boolean(self, "bias", bias)
        _register_affine(self, self.normalized_shape, has_weight, has_bias, device, dtype)

    def reset_parameters(self) -> None:
        """Set weight and bias to 1 and 0."""
        _reset(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Normalisation of every sample (C, …) over groups of its channels, with a weight and a bias for each channel.

    Wu and He, "Group normalization", ECCV 2018.

    Args:
        num_groups: into how many groups the channels are split.
        num_channels: C.
        eps: what is added to the variance.
        affine: whether there are weight and bias, which start as 1 and 0.
        device: where they are made.
        dtype: their dtype (default: the default dtype).

    Raises:
        ValueError: if the channels are not divisible by the groups.

    >>> import minigrad
    >>> minigrad.nn.GroupNorm(2, 6)(minigrad.randn(8, 6, 4, 4)).shape
    (8, 6, 4, 4)
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        self.num_groups = integer(self, "num_groups", num_groups)
        self.num_channels = integer(self, "num_channels", num_channels)
        if self.num_groups < 1 or self.num_channels % self.num_groups:
            raise ValueError(
                f"GroupNorm: expected num_channels divisible by num_groups, got {num_channels} channels and {num_groups} groups"
            )
        self.eps = number(self, "eps", eps)
        self.affine = boolean(self, "affine", affine)
        _register_affine(self, (self.num_channels,), self.affine, self.affine, device, dtype)

    def reset_parameters(self) -> None:
        """Set weight and bias to 1 and 0."""
        _reset(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class LocalResponseNorm(Module):
    """Every channel divided by (k + alpha / size · Σ x²)^beta, with the sum over ``size`` neighbouring channels.

    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", NeurIPS 2012.

    Args:
        size: how many channels count.
        alpha: the factor of the mean of squares.
        beta: the exponent.
        k: what is added.

    >>> import minigrad
    >>> minigrad.nn.LocalResponseNorm(2)(minigrad.ones(2, 4, 3, 3)).shape
    (2, 4, 3, 3)
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
        super().__init__()
        self.size = integer(self, "size", size)
        self.alpha = number(self, "alpha", alpha)
        self.beta = number(self, "beta", beta)
        self.k = number(self, "k", k)

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def _register_affine(layer: Module, shape: tuple[int, ...], weight: bool, bias: bool, device: Any, dtype: Any) -> None:
    layer.register_parameter("weight", Parameter(ops.ones(shape, dtype=dtype, device=device)) if weight else None)
    layer.register_parameter("bias", Parameter(ops.zeros(shape, dtype=dtype, device=device)) if bias else None)


def _reset(weight: Tensor | None, bias: Tensor | None) -> None:
    if weight is not None:
        init.ones_(weight)
    if bias is not None:
        init.zeros_(bias)
