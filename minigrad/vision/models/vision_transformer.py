"""The Vision Transformer: an image cut into patches, which a transformer reads like the words of a sentence."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from ... import nn, ops
from ..._tensor import Tensor
from .images import check_images
from .registry import Published, register_model

# The published files call a block's linear layers by older names.
_OLD_NAMES = {"linear_1.": "0.", "linear_2.": "3."}

_norm = partial(nn.LayerNorm, eps=1e-6)


class MLPBlock(nn.Sequential):
    """Linear, GELU, dropout, linear, dropout: for every token on its own.

    Args:
        hidden_dim: features of a token.
        mlp_dim: features between the two linear layers.
        dropout: the probability that an element is dropped.
    """

    def __init__(self, hidden_dim: int, mlp_dim: int, dropout: float):
        super().__init__(
            nn.Linear(hidden_dim, mlp_dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(mlp_dim, hidden_dim), nn.Dropout(dropout)
        )
        for module in self:
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.normal_(module.bias, std=1e-6)
        self.register_load_state_dict_pre_hook(_rename_old_keys)


def _rename_old_keys(module: nn.Module, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
    for old, new in _OLD_NAMES.items():
        for name in ("weight", "bias"):
            if f"{prefix}{old}{name}" in state_dict:
                state_dict.setdefault(f"{prefix}{new}{name}", state_dict.pop(f"{prefix}{old}{name}"))


class EncoderBlock(nn.Module):
    """Attention between the tokens, then an MLP for each, both after a normalisation and with a shortcut around them.

    Args:
        num_heads: heads of the attention.
        hidden_dim: features of a token.
        mlp_dim: features inside the MLP.
        dropout: the probability that an element of either's output is dropped.
        attention_dropout: the probability that a weight of the attention is dropped.
    """

    def __init__(self, num_heads: int, hidden_dim: int, mlp_dim: int, dropout: float, attention_dropout: float):
        super().__init__()
        self.ln_1 = _norm(hidden_dim)
        self.self_attention = nn.MultiheadAttention(hidden_dim, num_heads, dropout=attention_dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = _norm(hidden_dim)
        self.mlp = MLPBlock(hidden_dim, mlp_dim, dropout)

    def forward(self, x: Tensor) -> Tensor:  # (N, tokens, hidden_dim), as is all below
        y = self.ln_1(x)
        y, _ = self.self_attention(y, y, y, need_weights=False)
        x = x + self.dropout(y)
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Learned positions added to the tokens, the blocks, and a normalisation.

    Args:
        seq_length: tokens of a sequence.
        num_layers: the number of blocks; the other arguments are theirs.
    """

    def __init__(
        self,
        seq_length: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
    ):
        super().__init__()
        self.pos_embedding = nn.Parameter(nn.init.normal_(ops.empty(1, seq_length, hidden_dim), std=0.02))
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential()
        for i in range(num_layers):
            block = EncoderBlock(num_heads, hidden_dim, mlp_dim, dropout, attention_dropout)
            self.layers.add_module(f"encoder_layer_{i}", block)
        self.ln = _norm(hidden_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.ln(self.layers(self.dropout(x + self.pos_embedding)))


class VisionTransformer(nn.Module):
    """Patches and a class token, an encoder, and a linear layer that sees what has become of the class token.

    A. Dosovitskiy et al.: "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", 2020,
    arXiv:2010.11929. The linear layer begins with zeros, so an untrained network gives every class the same score. State dicts
    with the keys of the published files (``mlp.linear_1.weight``) load, too.

    Args:
        image_size: height and width of the images; another size has another number of positions.
        patch_size: height and width of a patch.
        num_layers: blocks of the encoder.
        num_heads: heads of their attention.
        hidden_dim: features of a token.
        mlp_dim: features inside the blocks' MLPs.
        dropout: the probability that an element is dropped, after the positions are added and in the blocks.
        attention_dropout: the probability that a weight of the attention is dropped.
        num_classes: outputs.
        in_channels: 3 for colour, 1 for grey.

    Shape:
        input (N, in_channels, image_size, image_size); output (N, num_classes).

    Raises:
        ValueError: if an image does not divide into patches, or is not of the size that the network was made for.

    >>> import minigrad
    >>> from minigrad.vision.models import VisionTransformer
    >>> model = VisionTransformer(
    ...     image_size=16, patch_size=8, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=10
    ... )
    >>> model.encoder.pos_embedding.shape  # four patches and the class token
    (1, 5, 8)
    >>> model(minigrad.randn(2, 3, 16, 16)).shape
    (2, 10)
    """

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        num_classes: int = 1000,
        in_channels: int = 3,
    ):
        super().__init__()
        if patch_size < 1 or image_size < patch_size or image_size % patch_size:
            raise ValueError(
                f"VisionTransformer: expected an image_size that is a multiple of patch_size={patch_size}, got {image_size}"
            )
        self.image_size = image_size
        self.in_channels = in_channels
        self.class_token = nn.Parameter(ops.zeros(1, 1, hidden_dim))
        self.conv_proj = nn.Conv2d(in_channels, hidden_dim, patch_size, stride=patch_size)
        tokens = (image_size // patch_size) ** 2 + 1
        self.encoder = Encoder(tokens, num_layers, num_heads, hidden_dim, mlp_dim, dropout, attention_dropout)
        self.heads = nn.Sequential()
        head = nn.Linear(hidden_dim, num_classes)
        self.heads.add_module("head", head)
        nn.init.trunc_normal_(self.conv_proj.weight, std=math.sqrt(1 / (in_channels * patch_size**2)))
        for zero in (self.conv_proj.bias, head.weight, head.bias):
            assert zero is not None  # both layers have a bias
            nn.init.zeros_(zero)

    def forward(self, x: Tensor) -> Tensor:
        check_images(self, x)
        if x.shape[1:] != (self.in_channels, self.image_size, self.image_size):
            wanted = f"(N, {self.in_channels}, {self.image_size}, {self.image_size})"
            raise ValueError(
                f"VisionTransformer: expected images {wanted}, got {x.shape}; resize them, or make the network for their size"
            )
        x = self.conv_proj(x)  # (N, hidden_dim, rows, columns)
        x = x.flatten(2).transpose(1, 2)  # (N, patches, hidden_dim)
        x = ops.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1)  # (N, 1 + patches, hidden_dim)
        x = self.encoder(x)
        return self.heads(x[:, 0])  # (N, num_classes)


def _required(image_size: int) -> dict[str, int]:
    return {"num_classes": 1000, "in_channels": 3, "image_size": image_size}


@register_model(
    IMAGENET1K_V1=Published("vit_b_16-c867db91.pth", required=_required(224), top1=81.072),
    IMAGENET1K_SWAG_E2E_V1=Published(
        "vit_b_16_swag-9ac1b537.pth",
        options={"image_size": 384},
        required=_required(384),
        resize=384,
        crop=384,
        interpolation="bicubic",
        top1=85.304,
    ),
    IMAGENET1K_SWAG_LINEAR_V1=Published(
        "vit_b_16_lc_swag-4e70ced5.pth",
        required=_required(224),
        resize=224,
        crop=224,
        interpolation="bicubic",
        top1=81.886,
    ),
    default="IMAGENET1K_V1",
)
def vit_b_16(
    num_classes: int = 1000,
    in_channels: int = 3,
    image_size: int = 224,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
) -> VisionTransformer:
    """The paper's ViT-Base with patches of 16 × 16: 12 blocks of 768 features, 86.6 million parameters.

    The SWAG weights (M. Singh et al., 2022, arXiv:2201.08371) were evaluated on images that were resized bicubically; their
    licence, CC-BY-NC 4.0, forbids commercial use.
    """
    return VisionTransformer(
        image_size=image_size,
        patch_size=16,
        num_layers=12,
        num_heads=12,
        hidden_dim=768,
        mlp_dim=3072,
        dropout=dropout,
        attention_dropout=attention_dropout,
        num_classes=num_classes,
        in_channels=in_channels,
    )


@register_model()
def vit_tiny_cifar(
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
) -> VisionTransformer:
    """For images of 32 × 32: 64 patches of 4 × 4, 9 blocks of 192 features with 3 heads, 4.0 million parameters.

    The width and the heads are those of the smallest network in H. Touvron et al.: "Training data-efficient image transformers
    & distillation through attention", 2020, arXiv:2012.12877.
    """
    return VisionTransformer(
        image_size=image_size,
        patch_size=4,
        num_layers=9,
        num_heads=3,
        hidden_dim=192,
        mlp_dim=768,
        dropout=dropout,
        attention_dropout=attention_dropout,
        num_classes=num_classes,
        in_channels=in_channels,
    )
