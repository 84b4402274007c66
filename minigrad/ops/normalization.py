"""Normalization over a batch, over features, over groups of channels, and over neighbouring channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._tensor import Tensor
from ..autograd.deferred import Convolved, Elementwise, along, defer, deferred, is_held_once, without_array
from ..autograd.inplace import check_writable
from ..autograd.modes import modes
from ..autograd.operation import NOT_RECORDED, Operation, wrap
from ..autograd.versions import bump_all, callers_line
from ..backends import backend_of
from ..dtypes import FLOATING
from .arguments import as_integer, as_integers, as_number, check_tensor
from .autocasting import in_float32
from .broadcasting import sum_to
from .conversion import cast
from .masking import keep_positive
from .padding import pad
from .shape import reshaped
from .slicing import narrow

__all__ = ["batch_norm", "group_norm", "layer_norm", "local_response_norm"]


class Normalize(Operation):
    """``(x - mean) / sqrt(var + eps) * weight + bias``, with mean and variance over some axes of x itself.

    Args:
        axes: the axes to take mean and variance over.
        affine_shape: the shape in which weight and bias broadcast to x.
        eps: what is added to the variance.
    """

    def __init__(self, axes: tuple[int, ...], affine_shape: tuple[int, ...], eps: float):
        self.axes = axes
        self.affine_shape = affine_shape
        self.eps = eps

    def forward(self, x: Any, weight: Any, bias: Any) -> Any:
        return self.prepare(x, weight, bias)()

    def prepare(self, x: Any, weight: Any, bias: Any) -> Elementwise:
        """Take the statistics; returns what computes the result."""
        self.save_input(0)
        self.save_input(1)
        mean, var = self.statistics = self.backend.moments(x, self.axes)
        affine = [None if a is None else a.reshape(self.affine_shape) for a in (weight, bias)]
        backend, eps = self.backend, self.eps
        return Elementwise(x, lambda positive, other: backend.normalize(x, mean, var, *affine, eps, positive, other))

    def defer(self, *inputs: Any) -> Tensor:
        """``apply``, but the result is computed later where that makes no difference."""
        if not is_held_once(inputs[0]):
            return self.apply(*inputs)
        given = [t for t in inputs if t is not None]
        if all(map(is_held_once, given[1:])):
            compute = self.prepare(*self.gather(inputs))
        else:  # a view of an optimizer's memory, say
            x, *affine = self.gather(inputs)
            compute = self.prepare(x, *(None if a is None else self.xp.array(a, copy=True) for a in affine))
            given = given[:1]
        self.inputs = None
        return deferred(None if self.edges is NOT_RECORDED else self, given, compute)

    def backward(self, grad: Tensor) -> Any:
        return NormalizeGrad(self).gradients(grad, self.input(0), self.input(1))


class NormalizeRelu(Operation):
    """ReLU of a ``Normalize``, whose place on the tape it takes: one kernel writes the result of both, one both gradients."""

    def __init__(self, normalize: Normalize):
        self.axes, self.affine_shape, self.eps = normalize.axes, normalize.affine_shape, normalize.eps
        self.statistics = normalize.statistics
        self.record(normalize.backend, normalize.edges)
        self.share_place(normalize)
        self.saved, self.saved_at = dict(normalize.saved), callers_line()
        self.save_output()

    def separate(self) -> None:
        self.edges, self.shares = [self.shares()], None

    def backward(self, grad: Tensor) -> Any:
        if len(self.edges) == 1:
            return keep_positive(grad, self.output())
        x, weight, output = self.input(0), self.input(1), self.output()
        if modes.grad:
            return NormalizeGrad(self).gradients(keep_positive(grad, output), x, weight)
        return NormalizeGrad(self, output.array).gradients(grad, x, weight)


class NormalizeGrad(Operation):
    """The gradients by x, weight and bias, from the output's gradient, x and weight; without a weight the first alone.

    The statistics that Normalize found are only a shortcut: ``backward`` takes them from x again.

    Args:
        forward: what the gradients are of.
        output: of a NormalizeRelu its output, where the gradient is not to be differentiated.
    """

    def __init__(self, forward: Normalize | NormalizeRelu, output: Any = None):
        self.axes, self.affine_shape, self.eps = forward.axes, forward.affine_shape, forward.eps
        self.statistics = forward.statistics
        self.output_array = output

    def gradients(self, grad: Tensor, x: Tensor, weight: Tensor | None) -> tuple[Any, Any, Any]:
        """By x, weight and bias; None for the last two without a weight."""
        self.outputs = 1 if weight is None else 3
        found = self.apply(grad, x, weight)
        return (found, None, None) if weight is None else found

    def forward(self, grad: Any, x: Any, weight: Any) -> Any:
        for i in range(3):
            self.save_input(i)
        shaped = None if weight is None else weight.reshape(self.affine_shape)
        gradients = self.backend.normalize_grad(grad, x, self.axes, shaped, *self.statistics, self.eps, self.output_array)
        if weight is None:
            return gradients[0]
        if gradients[1].shape != weight.shape:  # only then: a view has to be copied to become a parameter's gradient
            gradients = (gradients[0], *(g.reshape(weight.shape) for g in gradients[1:]))
        return gradients

    def backward(self, u: Tensor | None, v: Tensor | None = None, b: Tensor | None = None) -> Any:
        """With z the normalized x, r = 1 / sqrt(var + eps), h = weight · grad, and S the mean over the axes, forward is

            dx = r · P(h),  P(h) = h − S(h) − z · S(h · z);    dweight = Σ grad · z;    dbias = Σ grad

        What comes from above for these is u, v, b. P is symmetric; a change of x changes z by r · P, and r by −r² · z / n.
        """
        grad, x, weight = self.input(0), self.input(1), self.input(2)
        w, v, b = (None if t is None else reshaped(t, self.affine_shape) for t in (weight, v, b))

        def mean(t: Tensor) -> Tensor:
            return t.mean(self.axes, keepdim=True)

        def project(t: Tensor) -> Tensor:
            return t - mean(t) - z * mean(t * z)

        centered = x - mean(x)
        r = (mean(centered * centered) + self.eps).rsqrt()
        z = centered * r
        dgrad, dx, dweight = [], [], None
        if u is not None:
            h = grad if w is None else grad * w
            along, mean_hz, mean_uz = r * project(u), mean(h * z), mean(u * z)
            dgrad.append(along if w is None else along * w)
            if self.needs(1):
                dx.append(r * project(-r * (u * mean_hz + h * mean_uz)))
                dx.append(-r * r * z * (mean(u * h) - mean(u) * mean(h) - mean_uz * mean_hz))
            if weight is not None and self.needs(2):
                dweight = reshaped(sum_to(along * grad, self.affine_shape), weight.shape)
        if v is not None:
            dgrad.append(v * z)
            dx.append(r * project(v * grad))
        if b is not None:
            dgrad.append(b.expand(grad.shape))
        return _total(dgrad, grad.dtype), _total(dx, x.dtype), dweight


def _total(terms: list[Tensor], dtype: Any) -> Tensor | None:
    """The sum of the terms; None if there are none."""
    if not terms:
        return None
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return cast(total, dtype)


class ScaleAndShift(Operation):
    """``x * scale + shift``, where scale and shift broadcast to x."""

    def defer(self, *inputs: Any) -> Tensor:
        """``apply``, but the result is computed later where that makes no difference, and nothing is recorded."""
        before = None if modes.grad else along(inputs[0])
        scale, shift = inputs[1].array, inputs[2].array
        if isinstance(before, Convolved) and before.takes_affine and type(scale) is type(shift) is type(before.source):
            output = without_array(None)
            defer(output, before.versions, before.times(scale, shift))
            return output
        held_once = is_held_once(inputs[0])
        arrays = self.gather(inputs)
        if self.edges is not NOT_RECORDED or not held_once:
            return self.apply(*inputs)
        scale_and_shift = self.backend.scale_and_shift
        compute = Elementwise(arrays[0], lambda positive, other: scale_and_shift(*arrays, positive, other))
        return deferred(None, inputs[:1], compute)

    def forward(self, x: Any, scale: Any, shift: Any) -> Any:
        if self.needs(0):
            self.save_input(1)
        if self.needs(1):
            self.save_input(0)
        self.dtypes, self.shapes = (x.dtype, scale.dtype, shift.dtype), (scale.shape, shift.shape)
        return self.backend.scale_and_shift(x, scale, shift)

    def backward(self, grad: Tensor) -> Any:
        dx = dscale = dshift = None
        if self.needs(0):
            dx = cast(grad * self.input(1), self.dtypes[0])
        if self.needs(1):
            dscale = sum_to(cast(grad, self.dtypes[1]) * self.input(0), self.shapes[0])
        if self.needs(2):
            dshift = sum_to(cast(grad, self.dtypes[2]), self.shapes[1])
        return dx, dscale, dshift


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Every channel less its mean, divided by its standard deviation: ``(x − mean) / sqrt(var + eps) · weight + bias``.

    In training the statistics are the batch's (the variance divides by n), and the running ones move towards them; else
    the running ones are used.

    Args:
        input: (N, C) or (N, C, ...).
        running_mean: (C,), changed in place in training; may be None there.
        running_var: (C,), changed in place in training, towards the unbiased variance; may be None there.
        weight: a factor per channel, (C,).
        bias: a summand per channel, (C,).
        training: whether to use the batch's statistics.
        momentum: how far the running statistics move: ``running = (1 − momentum) · running + momentum · new``.
        eps: what is added to the variance.

    Returns:
        The input's shape and dtype, in its memory order.

    Raises:
        ValueError: if the shapes do not fit, there is one value per channel in training, or no running statistics else;
            TypeError for an argument of a wrong type.

    Reference:
        Ioffe and Szegedy, Batch Normalization, 2015, https://arxiv.org/abs/1502.03167

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.batch_norm(minigrad.tensor([[1.0, 0.0], [3.0, 8.0]]), None, None, training=True).round(decimals=2)
    tensor([[-1., -1.],
            [ 1.,  1.]])
    """
    return counted_batch_norm(input, running_mean, running_var, None, weight, bias, training, momentum, eps)


def counted_batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    batches: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    """``batch_norm``, which in training also adds 1 in place to a number of batches (0-d), unless that is None."""
    _check_input("batch_norm", input, 2)
    input_shape = input.shape
    C, ndim = input_shape[1], len(input_shape)
    running = running_mean, running_var
    for what, given in zip(("running_mean", "running_var", "weight", "bias"), (*running, weight, bias)):
        _check_affine("batch_norm", what, given, (C,))
    if type(eps) is not float or type(momentum) is not float:
        eps, momentum = as_number("batch_norm", "eps", eps), as_number("batch_norm", "momentum", momentum)
    shape = (1, C) + (1,) * (ndim - 2)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: expected running_mean and running_var unless training, got None")
        scale, shift = _running_affine(running_mean, running_var, weight, bias, eps, shape)
        return ScaleAndShift().defer(input, scale, shift)
    if (running_mean is None) != (running_var is None):
        raise ValueError("batch_norm: expected running_mean and running_var both or neither, got one of them")
    samples = input.numel() // C if C else 0
    if samples == 1:
        raise ValueError(f"batch_norm: expected more than one value per channel in training, got shape {input_shape}")
    axes = (0, *range(2, ndim))
    tracked = [t for t in (*running, batches) if t is not None]
    for statistics in tracked:
        check_writable(statistics, "batch_norm", False)
    output, operation = _normalized(input, axes, shape, weight, bias, eps)
    count: Any = None if batches is None else batches.array
    if running_mean is not None and running_var is not None and samples:
        mean, var = operation.statistics
        backend_of(mean).track_statistics(running_mean.array, running_var.array, count, mean, var, samples, momentum)
        bump_all(tracked, "batch_norm")
    elif batches is not None:
        count += 1
        bump_all((batches,), "batch_norm")
    return output


def _running_affine(
    mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, shape: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """The factor and the summand per channel that normalize by running statistics, in a shape that broadcasts to the input."""
    given = [t for t in (mean, var, weight, bias) if t is not None]
    if len({type(t.array) for t in given}) == 1 and not (modes.grad and any(t.requires_grad for t in given)):
        affine = [None if t is None else t.array for t in (weight, bias)]
        scale, shift = backend_of(mean.array).running_affine(mean.array, var.array, affine[0], affine[1], eps)
        return wrap(scale.reshape(shape)), wrap(shift.reshape(shape))
    factor = (var + eps).rsqrt()
    factor = factor if weight is None else factor * weight
    summand = -mean * factor if bias is None else bias - mean * factor
    return reshaped(factor, shape), reshaped(summand, shape)


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """The last dims less their mean, divided by their standard deviation, times a weight plus a bias.

    Args:
        input: (..., *normalized_shape).
        normalized_shape: the sizes of the last dims, over which mean and variance are taken together.
        weight: a factor for every element of these dims, ``normalized_shape``.
        bias: a summand for every element of these dims, ``normalized_shape``.
        eps: what is added to the variance.

    Returns:
        The input's shape and dtype.

    Raises:
        ValueError: if the shapes do not fit; TypeError for an argument of a wrong type.

    Reference:
        Ba, Kiros and Hinton, Layer Normalization, 2016, https://arxiv.org/abs/1607.06450

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.layer_norm(minigrad.tensor([[1.0, 3.0], [0.0, 8.0]]), 2).round(decimals=2)
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """
    if modes.autocast:
        input, weight, bias = in_float32(input), in_float32(weight), in_float32(bias)
    _check_input("layer_norm", input, 0)
    shape = as_integers("layer_norm", "normalized_shape", normalized_shape)
    if not shape:
        raise ValueError(f"layer_norm: expected normalized_shape of at least one size, got {normalized_shape!r}")
    if input.shape[-len(shape) :] != shape:
        raise ValueError(f"layer_norm: expected input of shape (..., {', '.join(map(str, shape))}), got {input.shape}")
    _check_affine("layer_norm", "weight", weight, shape)
    _check_affine("layer_norm", "bias", bias, shape)
    eps = as_number("layer_norm", "eps", eps)
    others = input.ndim - len(shape)
    return _normalized(input, tuple(range(others, input.ndim)), (1,) * others + shape, weight, bias, eps)[0]


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Groups of channels less their mean, divided by their standard deviation; a weight and a bias per channel.

    Args:
        input: (N, C, ...).
        num_groups: into how many groups the channels are split; mean and variance are taken over a group and all places.
        weight: (C,).
        bias: (C,).
        eps: what is added to the variance.

    Returns:
        The input's shape and dtype.

    Raises:
        ValueError: if the shapes do not fit; TypeError for an argument of a wrong type.

    Reference:
        Wu and He, Group Normalization, 2018, https://arxiv.org/abs/1803.08494

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.group_norm(minigrad.tensor([[1.0, 3.0, 0.0, 8.0]]), 2).round(decimals=2)
    tensor([[-1.,  1., -1.,  1.]])
    """
    if modes.autocast:
        input, weight, bias = in_float32(input), in_float32(weight), in_float32(bias)
    _check_input("group_norm", input, 2)
    groups = as_integer("group_norm", "num_groups", num_groups)
    N, C = input.shape[:2]
    if groups < 1 or C % groups:
        raise ValueError(f"group_norm: expected num_groups that divide {C} channels, got {groups} (input {input.shape})")
    _check_affine("group_norm", "weight", weight, (C,))
    _check_affine("group_norm", "bias", bias, (C,))
    eps = as_number("group_norm", "eps", eps)
    places = input.shape[2:]
    grouped = reshaped(input, (N, groups, C // groups, *places))
    affine_shape = (1, groups, C // groups) + (1,) * len(places)
    return reshaped(_normalized(grouped, tuple(range(2, grouped.ndim)), affine_shape, weight, bias, eps)[0], input.shape)


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """Every channel divided by a power of its neighbours' squares: ``x / (k + alpha · mean(x² of size channels)) ** beta``.

    Args:
        input: (N, C, ...) with at least one more dim.
        size: how many neighbouring channels count, the channel in the middle; beyond the first and the last there are zeros.
        alpha: the factor of the mean square.
        beta: the exponent.
        k: what is added.

    Returns:
        The input's shape and dtype.

    Raises:
        ValueError: if the input has fewer than 3 dims or the size is not positive; TypeError for an argument of a wrong type.

    Reference:
        Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional Neural Networks, 2012

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.local_response_norm(minigrad.ones(1, 2, 1), 2, alpha=2.0, beta=1.0)
    tensor([[[0.5   ],
             [0.3333]]])
    """
    _check_input("local_response_norm", input, 3)
    size = as_integer("local_response_norm", "size", size)
    if size < 1:
        raise ValueError(f"local_response_norm: expected size of at least 1, got {size}")
    C = input.shape[1]
    alpha = as_number("local_response_norm", "alpha", alpha)
    # The factor comes before the sum, which could be too large for float16.
    squares = pad(input * (alpha / size) * input, (0, 0) * (input.ndim - 2) + (size // 2, (size - 1) // 2))
    total = narrow(squares, 1, 0, C)
    for shift in range(1, size):
        total = total + narrow(squares, 1, shift, C)
    return input / (total + k) ** beta


def _normalized(
    input: Tensor, axes: tuple[int, ...], affine_shape: tuple[int, ...], weight: Any, bias: Any, eps: float
) -> tuple[Tensor, Normalize]:
    """The output, and the operation that made it."""
    operation = Normalize(axes, affine_shape, eps)
    if weight is None and bias is not None:
        output = operation.apply(input, None, None)
        return output + cast(reshaped(bias, affine_shape), input.dtype), operation
    return operation.defer(input, weight, bias), operation


def _check_input(name: str, input: Any, least_ndim: int) -> None:
    check_tensor(name, input)
    if input.dtype not in FLOATING:
        raise TypeError(f"{name}: expected input of a floating dtype, got {input.dtype}")
    if input.ndim < least_ndim:
        raise ValueError(f"{name}: expected input with at least {least_ndim} dims, got shape {input.shape}")


def _check_affine(name: str, what: str, given: Tensor | None, shape: tuple[int, ...]) -> None:
    if given is None:
        return
    if not isinstance(given, Tensor):
        raise TypeError(f"{name}: expected {what} to be a Tensor or None, got {type(given).__name__}")
    if given.array.dtype not in FLOATING:
        raise TypeError(f"{name}: expected {what} of a floating dtype, got {given.dtype}")
    if given.array.shape != shape:
        raise ValueError(f"{name}: expected {what} of shape {shape}, got {given.shape}")
