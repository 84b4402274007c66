"""Convolution layers."""

from __future__ import annotations

from typing import Any

from .. import ops
from .._tensor import Tensor
from . import functional as F
from .arguments import boolean, choice, integer, repeated, sizes
from .linear import init_weight_and_bias
from .module import Module
from .parameter import Parameter


class _Convolution(Module):
    """What the convolutions have in common: their settings, weight and bias."""

    dimensions: int
    transposed = False
    padding_modes: tuple[str, ...] = ("zeros", "reflect", "replicate", "circular")
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        output_padding: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ):
        super().__init__()
        name, dimensions = type(self).__name__, self.dimensions
        self.in_channels = integer(self, "in_channels", in_channels)
        self.out_channels = integer(self, "out_channels", out_channels)
        self.groups = integer(self, "groups", groups)
        if self.groups < 1 or self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"{name}: expected groups to divide in_channels and out_channels, "
                f"got groups={groups}, in_channels={in_channels}, out_channels={out_channels}"
            )
        self.kernel_size = repeated(self, "kernel_size", kernel_size, dimensions)
        self.stride = repeated(self, "stride", stride, dimensions)
        self.dilation = repeated(self, "dilation", dilation, dimensions)
        self.output_padding = repeated(self, "output_padding", output_padding, dimensions)
        self.padding = self._check_padding(padding)
        self.padding_mode = choice(self, "padding_mode", padding_mode, self.padding_modes)
        channels = (self.in_channels, self.out_channels) if self.transposed else (self.out_channels, self.in_channels)
        shape = (channels[0], channels[1] // self.groups, *self.kernel_size)
        self.weight = Parameter(ops.empty(shape, dtype=dtype, device=device))
        has_bias = boolean(self, "bias", bias)
        self.register_parameter("bias", Parameter(ops.empty(out_channels, dtype=dtype, device=device)) if has_bias else None)
        self.reset_parameters()

    def _check_padding(self, padding: Any) -> Any:
        if not isinstance(padding, str):
            return repeated(self, "padding", padding, self.dimensions)
        choice(self, "padding", padding, ("valid", "same"))
        if padding == "same" and any(s != 1 for s in self.stride):
            raise ValueError(f"{type(self).__name__}: padding='same' needs stride 1, got {self.stride}")
        return padding

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init_weight_and_bias(self.weight, self.bias)

    def _padded(self, input: Tensor) -> Tensor:
        """The input with a border of its own values, where that is asked for instead of zeros."""
        border: list[int] = []
        for i in reversed(range(self.dimensions)):  # pad wants the last dimension first
            if self.padding == "same":
                total = self.dilation[i] * (self.kernel_size[i] - 1)
                border += [total // 2, total - total // 2]
            else:
                border += [0, 0] if self.padding == "valid" else [int(self.padding[i])] * 2
        return F.pad(input, border, mode=self.padding_mode)

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        for name, default in (("padding", 0), ("dilation", 1), ("output_padding", 0)):
            value = getattr(self, name)
            if value != (default,) * self.dimensions:
                parts.append(f"{name}={value}")
        parts += [f"groups={self.groups}"] if self.groups != 1 else []
        parts += ["bias=False"] if self.bias is None else []
        parts += [f"padding_mode={self.padding_mode}"] if self.padding_mode != "zeros" else []
        return ", ".join(parts)


class Conv1d(_Convolution):
    """Convolution of sequences (N, in_channels, L); the arguments are those of ``Conv2d``, with one dimension.

    >>> import minigrad
    >>> minigrad.nn.Conv1d(3, 8, kernel_size=5, padding=2)(minigrad.ones(2, 3, 16)).shape
    (2, 8, 16)
    """

    dimensions = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] = 1,
        padding: int | tuple[int] | str = 0,
        dilation: int | tuple[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias, padding_mode, device, dtype
        )

    def forward(self, input: Tensor) -> Tensor:
        if self.padding_mode == "zeros":
            return F.conv1d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
        return F.conv1d(self._padded(input), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class Conv2d(_Convolution):
    """Convolution of images (N, in_channels, H, W), strictly speaking their cross-correlation with the filters.

    Weight (out_channels, in_channels / groups, KH, KW) and bias (out_channels,) start uniformly distributed on
    ±1 / √fan_in. LeCun et al., "Gradient-based learning applied to document recognition", 1998.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: of the filters; here and below one int counts for both dimensions.
        stride: the step from one position of the filters to the next.
        padding: the border around the input, or "valid" for none, or "same" for an output of the input's size.
        dilation: the step from one element of a filter to the next.
        groups: channels are split into so many groups, which are convolved independently.
        bias: whether a number is added to every output channel.
        padding_mode: what the border is made of: "zeros", "reflect", "replicate" or "circular".
        device: where weight and bias are made.
        dtype: their dtype (default: the default dtype).

    Raises:
        ValueError: if the channels are not divisible by ``groups``, or a setting is none of those named here.

    >>> import minigrad
    >>> minigrad.nn.Conv2d(3, 8, kernel_size=3, stride=2, padding=1)(minigrad.ones(2, 3, 16, 16)).shape
    (2, 8, 8, 8)
    """

    dimensions = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias, padding_mode, device, dtype
        )

    def forward(self, input: Tensor) -> Tensor:
        if self.padding_mode == "zeros":
            return F.conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
        return F.conv2d(self._padded(input), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class ConvTranspose2d(_Convolution):
    """The transpose of a convolution of images, which enlarges where the convolution with its settings reduces.

    Weight (in_channels, out_channels / groups, KH, KW) and bias start uniformly distributed on ±1 / √fan_in.
    Zeiler et al., "Deconvolutional networks", CVPR 2010.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: of the filters; here and below one int counts for both dimensions.
        stride: the step in the output for a step in the input.
        padding: the border that is cut off the output.
        output_padding: added to the output's size at the end, to choose among the sizes that a stride admits.
        groups: channels are split into so many groups, which are treated independently.
        bias: whether a number is added to every output channel.
        dilation: the step from one element of a filter to the next.
        padding_mode: only "zeros".
        device: where weight and bias are made.
        dtype: their dtype (default: the default dtype).

    Raises:
        ValueError: if the channels are not divisible by ``groups``, or a setting is none of those named here.

    >>> import minigrad
    >>> minigrad.nn.ConvTranspose2d(8, 3, kernel_size=2, stride=2)(minigrad.ones(2, 8, 4, 4)).shape
    (2, 3, 8, 8)
    """

    dimensions = 2
    transposed = True
    padding_modes = ("zeros",)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        output_padding: int | tuple[int, int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | tuple[int, int] = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            output_padding,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _check_padding(self, padding: Any) -> Any:
        return repeated(self, "padding", padding, self.dimensions)

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        extra: Any = self.output_padding if output_size is None else self._extra(input, output_size)
        return F.conv_transpose2d(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)

    def _extra(self, input: Tensor, output_size: Any) -> tuple[int, ...]:
        """The output_padding that leads to an output of the wanted (H, W)."""
        extra = []
        given = sizes(self, "output_size", output_size)
        wanted = repeated(self, "output_size", given if isinstance(given, int) else given[-2:], 2)
        for i, size in enumerate(input.shape[-2:]):
            reach = self.dilation[i] * (self.kernel_size[i] - 1) + 1
            least = (size - 1) * self.stride[i] - 2 * self.padding[i] + reach
            if not 0 <= wanted[i] - least < self.stride[i]:
                most = least + self.stride[i] - 1
                raise ValueError(f"ConvTranspose2d: expected output_size[{i - 2}] in [{least}, {most}], got {wanted[i]}")
            extra.append(wanted[i] - least)
        return tuple(extra)
