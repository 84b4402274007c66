"""Activations that are linear in pieces: ReLU and its relatives. Their gradients need no more than a mask."""

from __future__ import annotations

from math import isfinite
from typing import Any

from .._tensor import Tensor
from ..autograd.deferred import Deferred, along, defer, deferred, is_held_once
from ..autograd.inplace import check_writable, write
from ..autograd.modes import modes
from ..autograd.operation import FREED, Operation, wrap
from ..autograd.versions import Saved, Version, saved_of, version_of
from ..autograd.views import set_node
from ..backends import backend_of
from ..dtypes import FLOATING, as_number, category
from .arguments import check_tensor
from .autocasting import in_reduced
from .extrema import Clamp
from .masking import keep, keep_positive
from .normalization import Normalize, NormalizeRelu
from .pointwise import Unary, rounded_once

__all__ = [
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "prelu",
    "relu",
    "relu6",
    "threshold",
]


def activate(operation: Operation, input: Any, inplace: bool, *others: Any) -> Tensor:
    """The operation's result in new memory, or in the input's."""
    if not inplace:
        return operation.apply(input, *others)
    check_tensor(operation.name, input)
    return write(input, operation, *others)


class Relu(Unary):
    keeps_integers = True
    refuses_bool = True
    source: Saved | None = None
    """The input, as long as nobody has looked at the result (``Rectified``)."""

    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_output()
        return self.xp.maximum(x, 0, out=out)

    def wait(self, source: Saved, inplace: bool, version: Version) -> Rectified:
        """Have the result computed later, for a tensor of that version."""
        self.save_output()
        self.source, self.inplace, self.version = source, inplace, version
        return Rectified(source.array, self)

    def compute(self, source: Any) -> Any:
        """The result, which is saved unless backward has gone through and dropped what there was."""
        array = self.xp.maximum(source, 0, out=source if self.inplace else None)
        if self.saved is not FREED:
            self.saved[~0] = saved_of(array, self.version)
        self.source = None
        return array

    def output(self, i: int = 0) -> Any:
        source = self.source
        if source is not None:  # nobody has looked at the tensor, but somebody asks for its gradient
            self.compute(self._unchanged(source, "input 0"))
        return super().output(i)

    def backward(self, grad: Tensor) -> Tensor:
        return keep_positive(grad, self.output())


class Rectified(Deferred):
    """Computes a ReLU that waits. Max pooling takes the source instead, and has fewer elements left for ReLU."""

    def __init__(self, source: Any, operation: Relu):
        super().__init__(source, source.shape)
        self.operation = operation

    def __call__(self) -> Any:
        return self.operation.compute(self.source)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """Rectified linear unit: ``max(input, 0)``; its derivative at 0 is 0.

    Args:
        input: any tensor of numbers.
        inplace: write the result into the input's memory.

    Raises:
        RuntimeError: if the tensor is bool.

    Nair and Hinton 2010, Rectified linear units improve restricted Boltzmann machines.

    >>> import minigrad
    >>> minigrad.relu(minigrad.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 2.])
    """
    if isinstance(input, Tensor):
        output = _relu_that_waits(input, inplace) if input._deferred is None else _relu_of_deferred(input, inplace)
        if output is not None:
            return output
    return activate(Relu(), input, inplace)


def _relu_that_waits(input: Tensor, inplace: bool) -> Tensor | None:
    """ReLU of images, computed later; None where that could be noticed, or no gradient is asked for."""
    node = input.node
    if node is None or not modes.grad or input._view is not None or input.array.ndim != 4 or not is_held_once(input):
        return None
    if inplace and input._hooks is not None:
        return None
    operation, array = Relu(), input.array
    operation.record(backend_of(array), [node])
    before = version_of(input)
    if not inplace:
        version = Version()
        output = deferred(operation, (input,), operation.wait(saved_of(array, before), False, version))
        output._version = version
        return output
    check_writable(input, "relu_", True)
    before.bump("relu_")
    del input.array
    defer(input, (), operation.wait(saved_of(array, before), True, before))
    set_node(input, operation)
    return input


def _relu_of_deferred(input: Tensor, inplace: bool) -> Tensor | None:
    """ReLU in one kernel with what the input waits for; None where somebody may want the values in between."""
    node, compute = input.node, along(input)
    if compute is None:
        return None
    operation: Any = None
    if node is not None:
        if not modes.grad:
            return None
        if type(node) is not Normalize:
            operation = Relu()
            operation.record(node.backend, [node])
            operation.save_output()
        elif node.hooks or node.post_hooks:
            return None
        else:
            operation = NormalizeRelu(node)
    array = compute(positive=True)
    output = input if inplace else wrap(array, operation)
    if inplace:
        output.array, output._deferred = array, None
        if not version_of(output).inference:
            version_of(output).bump("relu_")
        if operation is not None:
            set_node(output, operation)
    if operation is not None:
        operation.finish_saving((output,))
    return output


class Hardtanh(Clamp):
    """``Clamp`` to two numbers whose gradient is 0 on them, as PyTorch's."""

    def __init__(self, called: str = "hardtanh"):
        self.called = called

    @property
    def name(self) -> str:
        return self.called

    def inside(self, x: Any, low: Any, high: Any) -> Any:
        with self.backend.quiet():  # nan is in neither half
            return ~((x <= low) | (x >= high))


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """The values kept between two bounds, ``min(max(input, min_val), max_val)``; the derivative on the bounds is 0.

    Args:
        input: a tensor; integers stay integers, and of the bounds their whole part counts.
        min_val: the lower bound.
        max_val: the upper bound, not below ``min_val``.
        inplace: write the result into the input's memory.

    Raises:
        ValueError: if the bounds are in the wrong order; TypeError if they are no numbers.

    >>> import minigrad
    >>> minigrad.nn.functional.hardtanh(minigrad.tensor([-2.0, 0.5, 3.0]))
    tensor([-1. ,  0.5,  1. ])
    """
    check_tensor("hardtanh", input)
    low, high = as_number(min_val), as_number(max_val)
    if low is None or high is None:
        kinds = f"{type(min_val).__name__} and {type(max_val).__name__}"
        raise TypeError(f"hardtanh: expected real numbers as min_val and max_val, got {kinds}")
    if not low <= high:
        raise ValueError(f"hardtanh: expected min_val <= max_val, got {min_val} and {max_val}")
    if category(input.dtype) == 1:
        low, high = (int(bound) if isfinite(bound) else bound for bound in (low, high))
    return activate(Hardtanh(), input, inplace, low, high)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """``min(max(input, 0), 6)``.

    Krizhevsky 2010, Convolutional deep belief networks on CIFAR-10.

    >>> import minigrad
    >>> minigrad.nn.functional.relu6(minigrad.tensor([-2.0, 5.0, 8.0]))
    tensor([0., 5., 6.])
    """
    return activate(Hardtanh("relu6"), input, inplace, 0, 6)


class Threshold(Unary):
    keeps_integers = True
    refuses_bool = True

    def __init__(self, threshold: float, value: float):
        self.threshold = threshold
        self.value = value

    def forward(self, x: Any, out: Any = None) -> Any:
        mask = ~(x <= self.threshold)  # nan stays
        if self.needs(0):
            self.save_constant("mask", mask)
        result = self.xp.where(mask, x, self.value)
        if out is None:
            return result
        out[...] = result
        return out

    def backward(self, grad: Tensor) -> Tensor:
        return keep(grad, self.constant("mask"))


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """The elements above a threshold, and one value in place of all others; nan stays.

    Args:
        input: a tensor.
        threshold: what elements must exceed.
        value: what takes the place of those that do not.
        inplace: write the result into the input's memory.

    >>> import minigrad
    >>> minigrad.nn.functional.threshold(minigrad.tensor([-2.0, 0.5, 3.0]), 1, -1)
    tensor([-1., -1.,  3.])
    """
    for name, number in (("threshold", threshold), ("value", value)):
        if as_number(number) is None:
            raise TypeError(f"threshold: expected a real number as {name}, got {type(number).__name__}")
    return activate(Threshold(as_number(threshold), as_number(value)), input, inplace)


class LeakyRelu(Unary):
    def __init__(self, negative_slope: float):
        self.negative_slope = negative_slope

    @rounded_once
    def forward(self, x: Any, out: Any = None) -> Any:
        mask = x > 0
        if self.needs(0):
            self.save_constant("mask", mask)
        if 0 < self.negative_slope <= 1:
            return self.xp.maximum(x, self.xp.multiply(x, self.negative_slope), out=out)
        with self.backend.quiet():  # inf * 0 is nan, which is not taken
            result = self.xp.where(mask, x, self.xp.multiply(x, self.negative_slope))
        if out is None:
            return result
        out[...] = result
        return out

    def backward(self, grad: Tensor) -> Tensor:
        mask = self.constant("mask")
        return keep(grad, mask) + keep(grad, ~mask) * self.negative_slope


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """``input`` where it is positive, ``negative_slope * input`` elsewhere.

    Args:
        input: a tensor.
        negative_slope: the slope below 0.
        inplace: write the result into the input's memory.

    Maas, Hannun and Ng 2013, Rectifier nonlinearities improve neural network acoustic models.

    >>> import minigrad
    >>> minigrad.nn.functional.leaky_relu(minigrad.tensor([-2.0, 3.0]), 0.1)
    tensor([-0.2,  3. ])
    """
    slope = as_number(negative_slope)
    if slope is None:
        raise TypeError(f"leaky_relu: expected a real number as negative_slope, got {type(negative_slope).__name__}")
    return activate(LeakyRelu(slope), input, inplace)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """``input`` where it is positive, ``weight * input`` elsewhere, with a slope that is learned.

    Args:
        input: a floating tensor; its dim 1 counts the channels.
        weight: one slope, or one per channel.

    Raises:
        ValueError: if the number of slopes is another one; RuntimeError if the dtypes differ.

    He et al. 2015, Delving deep into rectifiers.

    >>> import minigrad
    >>> minigrad.prelu(minigrad.tensor([[-2.0, -2.0], [3.0, 3.0]]), minigrad.tensor([0.5, 0.1]))
    tensor([[-1. , -0.2],
            [ 3. ,  3. ]])
    """
    if modes.autocast:
        input, weight = in_reduced(input), in_reduced(weight)
    check_tensor("prelu", input)
    check_tensor("prelu", weight)
    if input.dtype != weight.dtype or input.dtype not in FLOATING:
        raise RuntimeError(f"prelu: expected floating tensors of one dtype, got {input.dtype} and {weight.dtype}")
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or weight.numel() not in (1, channels):
        raise ValueError(f"prelu: expected weight of shape (1,) or ({channels},), got {weight.shape}")
    if weight.numel() == 1:
        weight = weight.reshape(())
    else:
        weight = weight.reshape((channels,) + (1,) * (input.ndim - 2))
    positive = (input > 0).array
    scaled = keep(keep(input, ~positive) * weight, ~positive)  # twice, for weights that are not finite: 0 * inf is nan
    return keep(input, positive) + scaled


class Hardsigmoid(Unary):
    @rounded_once
    def forward(self, x: Any, out: Any = None) -> Any:
        if self.needs(0):
            self.save_constant("inside", (x > -3) & (x < 3))
        xp = self.xp
        out = self.result_for(x, out)
        xp.multiply(x, 1 / 6, out=out)
        return xp.clip(xp.add(out, 0.5, out=out), 0, 1, out=out)

    def backward(self, grad: Tensor) -> Tensor:
        return keep(grad, self.constant("inside")) * (1 / 6)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """``min(max(input / 6 + 1/2, 0), 1)``: a sigmoid of three straight lines.

    Args:
        input: a tensor.
        inplace: write the result into the input's memory.

    Howard et al. 2019, Searching for MobileNetV3.

    >>> import minigrad
    >>> minigrad.nn.functional.hardsigmoid(minigrad.tensor([-4.0, 0.0, 1.5, 4.0]))
    tensor([0.  , 0.5 , 0.75, 1.  ])
    """
    return activate(Hardsigmoid(), input, inplace)


class Hardswish(Unary):
    @rounded_once
    def forward(self, x: Any, out: Any = None) -> Any:
        self.save_input(0)
        xp = self.xp
        gate = xp.asarray(xp.multiply(x, 1 / 6))
        xp.clip(xp.add(gate, 0.5, out=gate), 0, 1, out=gate)
        with self.backend.quiet():  # -inf * 0 is nan
            return xp.multiply(x, gate, out=gate if out is None else out)

    def backward(self, grad: Tensor) -> Tensor:
        x = self.input(0)
        straight = (~(x < 3)).array
        curved = (x > -3).array & ~straight
        return keep(grad, straight) + keep(grad, curved) * (keep(x, curved) * (1 / 3) + 0.5)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * hardsigmoid(input)``.

    Args:
        input: a tensor.
        inplace: write the result into the input's memory.

    Howard et al. 2019, Searching for MobileNetV3.

    >>> import minigrad
    >>> minigrad.nn.functional.hardswish(minigrad.tensor([-4.0, -1.0, 0.0, 3.0]))
    tensor([-0.    , -0.3333,  0.    ,  3.    ])
    """
    return activate(Hardswish(), input, inplace)
