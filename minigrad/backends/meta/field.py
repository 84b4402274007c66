"""Receptive fields: from which part of the image an element is computed.

Every array of the meta device knows its own, as the union over what it was computed from. Convolution and pooling widen it;
sums over places, and products with what lies at other places, make it the whole image; normalization counts as if its
statistics were given, as everywhere in the literature.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any, NamedTuple

Pair = tuple[float, float]


class ReceptiveField(NamedTuple):
    """Rows and columns of the input that an element depends on, and how far apart neighbouring elements' fields lie.

    Args:
        size: (rows, columns); ``inf`` where it is the whole image.
        stride: (rows, columns); a fraction after a transposed convolution.
    """

    size: Pair
    stride: Pair

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole image."""
        return self.size == (inf, inf)

    def __str__(self) -> str:
        if self.is_whole:
            return "whole"
        texts = [["whole" if n == inf else f"{n:g}" for n in pair] for pair in self]
        size, stride = (text[0] if text[0] == text[1] else "×".join(text) for text in texts)
        return f"{size} / {stride}"


PIXEL = ReceptiveField((1, 1), (1, 1))
WHOLE = ReceptiveField((inf, inf), (1, 1))


def union(fields: Iterable[ReceptiveField | None]) -> ReceptiveField | None:
    """What the fields cover together, around one centre; None for what depends on no image."""
    found = [field for field in fields if field is not None]
    if len(found) < 2:
        return found[0] if found else None
    sizes, strides = (list(zip(*pairs, strict=True)) for pairs in zip(*found, strict=True))
    return ReceptiveField((max(sizes[0]), max(sizes[1])), (max(strides[0]), max(strides[1])))


def through_windows(
    field: ReceptiveField | None, plane: Pair, kernel: Pair, stride: Pair, dilation: Pair
) -> ReceptiveField | None:
    """The field of windows over elements of a field; a window over the whole plane (H, W) sees the whole image."""
    if field is None:
        return None
    sizes = []
    for i in range(2):
        reach = dilation[i] * (kernel[i] - 1)
        is_whole = kernel[i] > 1 and kernel[i] == plane[i] and dilation[i] == 1
        sizes.append(inf if is_whole else field.size[i] + reach * field.stride[i])
    return ReceptiveField((sizes[0], sizes[1]), (field.stride[0] * stride[0], field.stride[1] * stride[1]))


def through_transposed_windows(
    field: ReceptiveField | None, kernel: Pair, stride: Pair, dilation: Pair
) -> ReceptiveField | None:
    """The field of a transposed convolution's output: every element lies under ``kernel / stride`` of the input's."""
    if field is None:
        return None
    met = [-(-(dilation[i] * (kernel[i] - 1) + 1) // stride[i]) for i in range(2)]
    return ReceptiveField(
        (field.size[0] + (met[0] - 1) * field.stride[0], field.size[1] + (met[1] - 1) * field.stride[1]),
        (field.stride[0] / stride[0], field.stride[1] / stride[1]),
    )


def through_reduction(array: Any, axes: tuple[int, ...]) -> ReceptiveField | None:
    """The field of a reduction: whole, if it is over more than samples and, of planes (N, C, H, W), channels."""
    apart = {0, 1} if array.ndim == 4 else {0}
    return array.field if array.field is None or apart.issuperset(axes) else WHOLE
