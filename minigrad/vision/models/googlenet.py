"""GoogLeNet with batch norm, the form that public checkpoints are of, and the Inception module that it is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ... import nn, ops
from ..._tensor import Tensor
from ...nn import functional as F
from .images import check_images
from .registry import Published, register_model

TABLE_1 = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}
"""The paper's Table 1: the channels that go into each Inception module, and those of its convolutions, as it takes them."""

# What turns an image normalized by ImageNet's mean and deviation into one in [−1, 1]: (x · deviation + mean) is the image in
# [0, 1]; and twice that, minus 1, the one in [−1, 1].
_SCALE = [2 * deviation for deviation in (0.229, 0.224, 0.225)]
_SHIFT = [2 * mean - 1 for mean in (0.485, 0.456, 0.406)]


class GoogLeNetOutputs(NamedTuple):
    """What GoogLeNet returns in training: three times logits (N, num_classes), or None for a head that it does not have.

    The paper trains with loss(logits) + 0.3 · (loss(aux_logits1) + loss(aux_logits2)).
    """

    logits: Tensor
    aux_logits2: Tensor | None
    aux_logits1: Tensor | None


class BasicConv2d(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """Four ways side by side, their channels one after another; 1×1 convolutions make the input of the costly ones narrow.

    Args:
        in_channels: channels of the input.
        one: of the 1×1 convolution.
        reduce3: of the 1×1 convolution before the 3×3.
        three: of the 3×3 convolution.
        reduce5: of the 1×1 convolution before the large one.
        five: of the large convolution.
        pooled: of the 1×1 convolution behind the max pooling.
        large: the large convolution's kernel size: 5 in the paper, and 3 in torchvision's networks and weights.
        convolution: makes a convolution with its activation from (in_channels, out_channels, kernel_size, padding=...).

    Shape:
        input (N, in_channels, H, W); output (N, one + three + five + pooled, H, W).
    """

    def __init__(
        self,
        in_channels: int,
        one: int,
        reduce3: int,
        three: int,
        reduce5: int,
        five: int,
        pooled: int,
        large: int = 3,
        convolution: Callable[..., nn.Module] = BasicConv2d,
    ):
        super().__init__()
        self.branch1 = convolution(in_channels, one, 1)
        self.branch2 = nn.Sequential(convolution(in_channels, reduce3, 1), convolution(reduce3, three, 3, padding=1))
        self.branch3 = nn.Sequential(
            convolution(in_channels, reduce5, 1), convolution(reduce5, five, large, padding=large // 2)
        )
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), convolution(in_channels, pooled, 1))

    def forward(self, x: Tensor) -> Tensor:
        return ops.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class InceptionAux(nn.Module):
    """An auxiliary head: it classifies by what is known in the middle, and so brings gradient there.

    Args:
        in_channels: channels of the input (N, in_channels, H, W), of any H and W.
        num_classes: outputs.
        dropout: the probability that one of the 1024 hidden numbers is left out in training.
    """

    def __init__(self, in_channels: int, num_classes: int, dropout: float = 0.7):
        super().__init__()
        self.conv = BasicConv2d(in_channels, 128, 1)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = F.adaptive_avg_pool2d(x, 4)  # (N, in_channels, 4, 4)
        x = self.conv(x).flatten(1)  # (N, 2048)
        x = F.relu(self.fc1(x), inplace=True)  # (N, 1024)
        return self.fc2(self.dropout(x))  # (N, num_classes)


class GoogLeNet(nn.Module):
    """22 layers, most of them in nine Inception modules, and no large linear layer; with batch norm.

    C. Szegedy et al.: "Going Deeper with Convolutions", 2014, arXiv:1409.4842; batch norm as in S. Ioffe, C. Szegedy, 2015,
    arXiv:1502.03167.

    As in torchvision, the large convolutions of the Inception modules are 3×3 and the last max pooling is 2×2; the paper has
    5×5 and 3×3, see ``GoogLeNetOriginal``. Weights start normally distributed with deviation 0.01.

    Args:
        num_classes: outputs.
        in_channels: 3 for colour, 1 for grey.
        aux_logits: whether there are the two auxiliary heads, which are used in training only.
        transform_input: whether ``forward`` turns images normalized by ImageNet's mean and deviation into images in [−1, 1],
            which torchvision's weights expect.
        dropout: the probability that one of the 1024 numbers before the last layer is left out in training.
        dropout_aux: the same in the auxiliary heads.

    Shape:
        input (N, in_channels, H, W), 224×224 in the paper, any H and W from 15 up. Output (N, num_classes); in training, if
        there are auxiliary heads, a ``GoogLeNetOutputs`` of three such.

    Raises:
        ValueError: for transform_input with other than 3 channels, here or in an input.

    >>> import minigrad
    >>> from minigrad.vision.models.googlenet import GoogLeNet
    >>> model = GoogLeNet(num_classes=10)
    >>> [logits.shape for logits in model(minigrad.randn(2, 3, 32, 32))]
    [(2, 10), (2, 10), (2, 10)]
    >>> model.eval()(minigrad.randn(2, 3, 32, 32)).shape
    (2, 10)
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        aux_logits: bool = True,
        transform_input: bool = False,
        dropout: float = 0.2,
        dropout_aux: float = 0.7,
    ):
        super().__init__()
        if transform_input and in_channels != 3:
            raise ValueError(f"GoogLeNet: expected in_channels=3 with transform_input=True, got {in_channels}")
        self.aux_logits = aux_logits
        self.transform_input = transform_input
        self.conv1 = BasicConv2d(in_channels, 64, 7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = BasicConv2d(64, 64, 1)
        self.conv3 = BasicConv2d(64, 192, 3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = Inception(*TABLE_1["3a"])
        self.inception3b = Inception(*TABLE_1["3b"])
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = Inception(*TABLE_1["4a"])
        self.inception4b = Inception(*TABLE_1["4b"])
        self.inception4c = Inception(*TABLE_1["4c"])
        self.inception4d = Inception(*TABLE_1["4d"])
        self.inception4e = Inception(*TABLE_1["4e"])
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = Inception(*TABLE_1["5a"])
        self.inception5b = Inception(*TABLE_1["5b"])
        self.aux1 = InceptionAux(512, num_classes, dropout_aux) if aux_logits else None
        self.aux2 = InceptionAux(528, num_classes, dropout_aux) if aux_logits else None
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.normal_(module.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutputs:
        check_images(self, x)
        if self.transform_input:
            x = self._transform(x)  # (N, 3, 224, 224)
        x = self.maxpool1(self.conv1(x))  # (N, 64, 56, 56)
        x = self.maxpool2(self.conv3(self.conv2(x)))  # (N, 192, 28, 28)
        x = self.inception3a(x)  # (N, 256, 28, 28)
        x = self.maxpool3(self.inception3b(x))  # (N, 480, 14, 14)
        x = self.inception4a(x)  # (N, 512, 14, 14)
        aux1 = self.aux1(x) if self.training and self.aux1 is not None else None
        x = self.inception4b(x)  # (N, 512, 14, 14)
        x = self.inception4c(x)  # (N, 512, 14, 14)
        x = self.inception4d(x)  # (N, 528, 14, 14)
        aux2 = self.aux2(x) if self.training and self.aux2 is not None else None
        x = self.maxpool4(self.inception4e(x))  # (N, 832, 7, 7)
        x = self.inception5a(x)  # (N, 832, 7, 7)
        x = self.inception5b(x)  # (N, 1024, 7, 7)
        x = self.fc(self.dropout(self.avgpool(x).flatten(1)))  # (N, num_classes)
        return GoogLeNetOutputs(x, aux2, aux1) if self.training and self.aux_logits else x

    def _transform(self, x: Tensor) -> Tensor:
        if x.shape[1] != 3:  # one channel would be broadcast to three
            raise ValueError(f"GoogLeNet: expected images (N, 3, H, W) with transform_input=True, got {x.shape}")
        weight = self.conv1.conv.weight
        scale = ops.tensor(_SCALE, dtype=weight.dtype, device=weight.device).reshape(3, 1, 1)
        shift = ops.tensor(_SHIFT, dtype=weight.dtype, device=weight.device).reshape(3, 1, 1)
        return x * scale + shift


def fit_heads(state: dict[str, Any], model: GoogLeNet) -> dict[str, Any]:
    """The published state dict without the auxiliary heads, which nobody trained, for a network that has none."""
    if model.aux_logits:
        return state
    return {name: value for name, value in state.items() if not name.startswith(("aux1.", "aux2."))}


@register_model(
    IMAGENET1K_V1=Published(
        "googlenet-1378be20.pth",
        options={"transform_input": True, "aux_logits": False},
        prepare=fit_heads,
        top1=69.778,
    )
)
def googlenet(
    num_classes: int = 1000,
    in_channels: int = 3,
    aux_logits: bool = True,
    transform_input: bool = False,
    dropout: float = 0.2,
    dropout_aux: float = 0.7,
) -> GoogLeNet:
    """GoogLeNet with batch norm, 13.0 million parameters, 6.6 million without the auxiliary heads.

    With published weights ``transform_input`` is True and ``aux_logits`` False unless given: the heads in the file are not
    trained.
    """
    return GoogLeNet(num_classes, in_channels, aux_logits, transform_input, dropout, dropout_aux)
