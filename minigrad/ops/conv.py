"""Convolution and its two gradients: a triangle of three operations, each of which differentiates into the other two.

Convolution is linear in the input and in the weight, so its two gradients are too, and their gradients are again the other
corners: derivatives of every order are these three.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from .._tensor import Tensor
from ..autograd.deferred import Convolved, deferred, is_held_once, weight_grad_later
from ..autograd.modes import modes
from ..autograd.operation import Operation
from ..backends import backend_of
from ..backends.generic.windows import Padding, Pair, count
from ..dtypes import FLOATING
from .arguments import as_integer, check_tensor
from .autocasting import in_reduced
from .reduction import Sum
from .windows import as_batch, as_given, as_pair, check_fit, check_planes_shape

__all__ = ["conv1d", "conv2d", "conv_transpose2d"]

Shape = tuple[int, ...]


class Geometry(NamedTuple):
    """Where a convolution's windows lie, in the order in which the kernels take it."""

    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int


class Conv2d(Operation):
    """The output, from the input, the weight and an optional bias."""

    def __init__(self, geometry: Geometry):
        self.geometry = geometry

    def forward(self, x: Any, w: Any, bias: Any) -> Any:
        if self.needs(0):
            self.save_input(1)
        if self.needs(1):
            self.save_input(0)
        self.input_shape, self.weight_shape = x.shape, w.shape
        return self.backend.conv2d(x, w, bias, *self.geometry)

    def defer(self, *inputs: Any) -> Tensor:
        """``apply``, but where nothing is recorded the result is computed along with what follows, where that is faster."""
        if modes.grad or not backend_of(inputs[0].array).finishes_convolutions:
            return self.apply(*inputs)
        if not all(t is None or is_held_once(t) for t in inputs):
            return self.apply(*inputs)
        arrays = self.gather(inputs)
        finished, geometry = self.backend.conv2d_finished, self.geometry

        def compute(positive: bool, other: Any, scale: Any = None, shift: Any = None) -> Any:
            return finished(*arrays, *geometry, scale, shift, positive, other)

        shape = self._output_shape(arrays[0].shape, arrays[1].shape)
        return deferred(None, [t for t in inputs if t is not None], Convolved(arrays[0], compute, None, shape))

    def _output_shape(self, x: Shape, w: Shape) -> Shape:
        stride, padding, dilation, _ = self.geometry
        return x[0], w[0], *(count(x[2 + i], w[2 + i], stride[i], *padding[i], dilation[i]) for i in range(2))

    def backward(self, grad: Tensor) -> Any:
        dx = dw = db = None
        if self.needs(1):  # first: nobody waits for it
            operation = Conv2dWeightGrad(self.weight_shape, self.geometry)
            dw = weight_grad_later(operation, self.weight_shape, grad, self.input(0))
        if self.needs(0):
            dx = Conv2dInputGrad(self.input_shape, self.geometry).apply(grad, self.input(1))
        if self.needs(2):
            db = Sum((0, 2, 3), False).apply(grad)
        return dx, dw, db


class Conv2dInputGrad(Operation):
    """The gradient by the input, from the output's gradient and the weight: also a transposed convolution."""

    def __init__(self, input_shape: tuple[int, ...], geometry: Geometry):
        self.input_shape = input_shape
        self.geometry = geometry

    def forward(self, grad: Any, w: Any) -> Any:
        if self.needs(0):
            self.save_input(1)
        if self.needs(1):
            self.save_input(0)
        self.weight_shape = w.shape
        return self.backend.conv2d_input_grad(grad, w, self.input_shape, *self.geometry)

    def backward(self, dx: Tensor) -> Any:
        dgrad = dw = None
        if self.needs(0):
            dgrad = Conv2d(self.geometry).apply(dx, self.input(1), None)
        if self.needs(1):
            dw = Conv2dWeightGrad(self.weight_shape, self.geometry).apply(self.input(0), dx)
        return dgrad, dw


class Conv2dWeightGrad(Operation):
    """The gradient by the weight, from the output's gradient and the input."""

    def __init__(self, weight_shape: tuple[int, ...], geometry: Geometry):
        self.weight_shape = weight_shape
        self.geometry = geometry

    def forward(self, grad: Any, x: Any) -> Any:
        if self.needs(0):
            self.save_input(1)
        if self.needs(1):
            self.save_input(0)
        self.input_shape = x.shape
        return self.backend.conv2d_weight_grad(grad, x, self.weight_shape, *self.geometry)

    def backward(self, dw: Tensor) -> Any:
        dgrad = dx = None
        if self.needs(0):
            dgrad = Conv2d(self.geometry).apply(self.input(1), dw, None)
        if self.needs(1):
            dx = Conv2dInputGrad(self.input_shape, self.geometry).apply(self.input(0), dw)
        return dgrad, dx


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] | str = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> Tensor:
    """The cross-correlation of images with filters: ``out[n, o] = bias[o] + Σ_c input[n, c] ⋆ weight[o, c]``.

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        weight: the filters, (OC, C/groups, KH, KW).
        bias: one number per output channel, (OC,).
        stride: the step from window to window, once or as (rows, columns); likewise the next two.
        padding: rows and columns of zeros around the image; ``'valid'`` for none, ``'same'`` for as many as keep its size
            (with stride 1; of an odd number the larger half comes after).
        dilation: the distance between neighbouring elements of a window.
        groups: into how many groups the channels are split; output channels of a group see that group's input only.

    Returns:
        (N, OC, OH, OW) with ``OH = (H + 2·padding − dilation·(KH − 1) − 1) // stride + 1``, in memory channels last. Under
        ``no_grad`` the CPU may compute it when somebody first looks at it, along with batch norm, a sum or ReLU that follows.

    Raises:
        ValueError: if the shapes do not fit each other, or the kernel does not fit into the padded input; TypeError for an
            argument of a wrong type, or tensors that are not of one floating dtype.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> image = minigrad.arange(9.0).reshape(1, 1, 3, 3)
    >>> F.conv2d(image, minigrad.ones(1, 1, 2, 2))
    tensor([[[[ 8., 12.],
              [20., 24.]]]])
    """
    return _convolution("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int] = 1,
    padding: int | tuple[int] | str = 0,
    dilation: int | tuple[int] = 1,
    groups: int = 1,
) -> Tensor:
    """``conv2d`` of sequences: images of one row.

    Args:
        input: (N, C, L), or (C, L) for one sequence.
        weight: (OC, C/groups, K).
        bias: (OC,).
        stride, padding, dilation, groups: as for ``conv2d``.

    Returns:
        (N, OC, OL).

    Raises:
        ValueError, TypeError: as ``conv2d``.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.conv1d(minigrad.arange(4.0).reshape(1, 1, 4), minigrad.tensor([[[-1.0, 1.0]]]))
    tensor([[[1., 1., 1.]]])
    """
    return _convolution("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    output_padding: int | tuple[int, int] = 0,
    groups: int = 1,
    dilation: int | tuple[int, int] = 1,
) -> Tensor:
    """The transpose of ``conv2d``, which is its gradient by the input: every element adds a scaled filter to the output.

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        weight: (C, OC/groups, KH, KW).
        bias: (OC,).
        stride: the step of the filters in the output, once or as (rows, columns); likewise the next two.
        padding: rows and columns cut off around the output.
        output_padding: further rows below and columns at the right, which a convolution with this stride would not tell
            apart; less than the stride or the dilation.
        groups: as for ``conv2d``.
        dilation: as for ``conv2d``.

    Returns:
        (N, OC, OH, OW) with ``OH = (H − 1)·stride − 2·padding + dilation·(KH − 1) + output_padding + 1``.

    Raises:
        ValueError: if the shapes do not fit each other or the output would have no elements; TypeError as ``conv2d``.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.conv_transpose2d(minigrad.arange(2.0).reshape(1, 1, 1, 2) + 1, minigrad.ones(1, 1, 1, 2), stride=2)
    tensor([[[[1., 1., 2., 2.]]]])
    """
    if modes.autocast:
        input, weight, bias = in_reduced(input), in_reduced(weight), in_reduced(bias)
    name = "conv_transpose2d"
    _check_tensors(name, input, weight, bias)
    groups = as_integer(name, "groups", groups)
    _check_shapes(name, 2, groups, input.shape, weight.shape, None if bias is None else bias.shape, transposed=True)
    stride, dilation = as_pair(name, "stride", stride, 1), as_pair(name, "dilation", dilation, 1)
    padding, extra = as_pair(name, "padding", padding, 0), as_pair(name, "output_padding", output_padding, 0)
    for i in range(2):
        if extra[i] >= max(stride[i], dilation[i]):
            raise ValueError(
                f"{name}: expected output_padding less than the stride or the dilation, got {output_padding!r} "
                f"with stride {stride} and dilation {dilation}"
            )
    # Cutting less off at the end is what makes the output larger: so one convolution, exactly, has this as its gradient.
    pads = (padding[0], padding[0] - extra[0]), (padding[1], padding[1] - extra[1])
    batch = as_batch(input, 2)
    size = tuple(
        (batch.shape[2 + i] - 1) * stride[i] + dilation[i] * (weight.shape[2 + i] - 1) + 1 - sum(pads[i]) for i in range(2)
    )
    if min(size) < 1:
        raise ValueError(f"{name}: expected an output with elements, got size {size} (input {input.shape})")
    output_shape = (batch.shape[0], weight.shape[1] * groups, *size)
    output = Conv2dInputGrad(output_shape, Geometry(stride, pads, dilation, groups)).apply(batch, weight)
    if bias is not None:
        output = output + bias.reshape(-1, 1, 1)
    return as_given(output, input, 2)


def _convolution(
    name: str,
    dims: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
) -> Tensor:
    if modes.autocast:
        input, weight, bias = in_reduced(input), in_reduced(weight), in_reduced(bias)
    _check_tensors(name, input, weight, bias)
    geometry = _geometry(
        name,
        dims,
        input.array.shape,
        weight.array.shape,
        None if bias is None else bias.array.shape,
        as_pair(name, "stride", stride, 1, dims),
        padding if isinstance(padding, str) else as_pair(name, "padding", padding, 0, dims),
        as_pair(name, "dilation", dilation, 1, dims),
        as_integer(name, "groups", groups),
    )
    batch = as_batch(input, dims)
    filters = weight if dims == 2 else weight.unsqueeze(2)
    return as_given(Conv2d(geometry).defer(batch, filters, bias), input, dims)


@lru_cache(1024)
def _geometry(
    name: str,
    dims: int,
    input: Shape,
    weight: Shape,
    bias: Shape | None,
    stride: Pair,
    padding: Pair | str,
    dilation: Pair,
    groups: int,
) -> Geometry:
    """The geometry for arguments of these shapes, if they fit each other; looked up for those that were checked before."""
    _check_shapes(name, dims, groups, input, weight, bias, transposed=False)
    kernel = (weight[2] if dims == 2 else 1, weight[-1])
    pads = _padding(name, padding, dims, kernel, stride, dilation)
    check_fit(name, input, kernel, pads, dilation, dims)
    return Geometry(stride, pads, dilation, groups)


def _padding(name: str, padding: Pair | str, dims: int, kernel: Pair, stride: Pair, dilation: Pair) -> Padding:
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        if stride != (1, 1):
            raise ValueError(f"{name}: expected stride 1 with padding='same', got {stride[2 - dims :]}")
        rows, columns = (d * (k - 1) for d, k in zip(dilation, kernel))
        return (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)
    if isinstance(padding, str):
        raise ValueError(f"{name}: expected padding as a number, 'valid' or 'same', got {padding!r}")
    rows, columns = padding
    return (rows, rows), (columns, columns)


def _check_tensors(name: str, input: Any, weight: Any, bias: Any) -> None:
    """Raise unless all are tensors of one floating dtype."""
    check_tensor(name, input)
    check_tensor(name, weight)
    if bias is not None:
        check_tensor(name, bias)
    dtype = input.array.dtype
    if dtype not in FLOATING or weight.array.dtype != dtype or (bias is not None and bias.array.dtype != dtype):
        dtypes = ", ".join(str(t.dtype) for t in (input, weight, bias) if t is not None)
        raise TypeError(f"{name}: expected tensors of one floating dtype, got {dtypes}")


def _check_shapes(name: str, dims: int, groups: int, input: Shape, weight: Shape, bias: Shape | None, transposed: bool) -> None:
    """Raise unless input and weight have their dims, and the channels of input, weight and bias, and the groups, agree."""
    check_planes_shape(name, input, dims)
    if len(weight) != dims + 2 or 0 in weight:
        raise ValueError(f"{name}: expected weight with {dims + 2} dims and with elements, got {weight}")
    channels = input[-dims - 1]
    if groups < 1 or weight[0] % groups:
        wrong = f"groups that divide {weight[0]} channels, got {groups}"
    elif transposed and channels != weight[0]:
        wrong = f"input with {weight[0]} channels, got {channels}"
    elif not transposed and channels != weight[1] * groups:
        wrong = f"input with {weight[1]} × groups={groups} channels, got {channels}"
    else:
        wrong = ""
    if wrong:
        raise ValueError(f"{name}: expected {wrong} (input {input}, weight {weight})")
    outputs = weight[1] * groups if transposed else weight[0]
    if bias is not None and bias != (outputs,):
        raise ValueError(f"{name}: expected bias of shape {(outputs,)}, got {bias}")
