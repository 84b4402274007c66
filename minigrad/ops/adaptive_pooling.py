"""Adaptive pooling: as many windows as the output is to have elements, whatever the size of the input.

Window ``i`` of ``n`` over ``size`` elements goes from ``floor(i · size / n)`` to ``ceil((i + 1) · size / n)``. If ``n`` divides
``size``, this is ordinary pooling. If not, the windows differ in size: rows and columns are then laid out anew so that all
windows have one size and do not overlap.
"""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..autograd.operation import wrap
from .arguments import as_integer
from .creation import tensor
from .gathering import index_select
from .padding import pad
from .pooling import AvgPool2d, MaxPool2d, window_places
from .windows import as_batch, as_given, check_planes

__all__ = ["adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool2d"]

_NO_PADDING = ((0, 0), (0, 0))


def adaptive_avg_pool2d(input: Tensor, output_size: int | tuple[int | None, int | None] | None) -> Tensor:
    """The average over windows that are as many as the output is to have elements.

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        output_size: (OH, OW), or one number for both; None keeps the input's size.

    Returns:
        (N, C, OH, OW).

    Raises:
        ValueError: if the shape is no image's or the size is not positive; TypeError for an argument of a wrong type.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.adaptive_avg_pool2d(minigrad.arange(16.0).reshape(1, 1, 4, 4), 1)
    tensor([[[[7.5]]]])
    """
    check_planes("adaptive_avg_pool2d", input, 2)
    return _adaptive_average(input, 2, _sizes("adaptive_avg_pool2d", output_size, input.shape[-2:]))


def adaptive_avg_pool1d(input: Tensor, output_size: int | tuple[int]) -> Tensor:
    """``adaptive_avg_pool2d`` of sequences (N, C, L) or (C, L), with one output size; results and errors are as there.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.adaptive_avg_pool1d(minigrad.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    check_planes("adaptive_avg_pool1d", input, 1)
    return _adaptive_average(input, 1, _sizes("adaptive_avg_pool1d", output_size, input.shape[-1:]))


def _adaptive_average(input: Tensor, dims: int, size: tuple[int, ...]) -> Tensor:
    if all(n == 1 for n in size):
        return input.mean(tuple(range(-dims, 0)), keepdim=True)
    batch = as_batch(input, dims)
    N, C, H, W = batch.shape
    OH, OW = size if dims == 2 else (1, *size)
    if H % OH == 0 and W % OW == 0:
        window = (H // OH, W // OW)
        return as_given(AvgPool2d(window, window, _NO_PADDING, window[0] * window[1]).apply(batch), input, dims)
    longest, lengths = [0, 0], []
    for i, (windows, elements) in enumerate(((OH, H), (OW, W))):
        bounds = _bounds(elements, windows)
        lengths.append([stop - start for start, stop in bounds])
        longest[i] = max(lengths[i])
        # A shorter window has a zero after its elements: they are the elements that are not there, at the place ``elements``.
        source = [start + k if start + k < stop else elements for start, stop in bounds for k in range(longest[i])]
        if source != list(range(elements)):
            batch = pad(batch, (0, 0, 0, 1) if i == 0 else (0, 1))
            batch = index_select(batch, 2 + i, tensor(source, device=input.device))
    window = (longest[0], longest[1])
    return as_given(AvgPool2d(window, window, _NO_PADDING, tuple(lengths)).apply(batch), input, dims)


def adaptive_max_pool2d(
    input: Tensor, output_size: int | tuple[int | None, int | None] | None, return_indices: bool = False
) -> Any:
    """The largest element of windows that are as many as the output is to have elements.

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        output_size: (OH, OW), or one number for both; None keeps the input's size.
        return_indices: return the places of the largest elements too, as ``max_pool2d`` does.

    Returns:
        (N, C, OH, OW), and the places if asked for.

    Raises:
        ValueError: if the shape is no image's or the size is not positive; TypeError for an argument of a wrong type.

    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.adaptive_max_pool2d(minigrad.arange(9.0).reshape(1, 1, 3, 3), 2)
    tensor([[[[4., 5.],
              [7., 8.]]]])
    """
    check_planes("adaptive_max_pool2d", input, 2)
    size = input.shape[-2:]
    sizes = _sizes("adaptive_max_pool2d", output_size, size)
    batch = as_batch(input, 2)
    kernel, sources = [], []
    for i in range(2):
        bounds = _bounds(size[i], sizes[i])
        longest = max(stop - start for start, stop in bounds)
        # A shorter window shows its last element again, which changes neither the maximum nor where it first occurs.
        source = [min(start + k, stop - 1) for start, stop in bounds for k in range(longest)]
        if source != list(range(size[i])):
            batch = index_select(batch, 2 + i, tensor(source, device=input.device))
        kernel.append(longest)
        sources.append(source)
    geometry = ((kernel[0], kernel[1]), (kernel[0], kernel[1]), _NO_PADDING, (1, 1))
    values, taps = MaxPool2d(*geometry).apply(batch)
    values = as_given(values, input, 2)
    if not return_indices:
        return values
    rows, columns = window_places(taps.array, *geometry, (batch.shape[2], batch.shape[3]))
    rows, columns = (tensor(s, device=input.device).array[p] for s, p in zip(sources, (rows, columns)))
    return values, as_given(wrap(rows * size[1] + columns), input, 2)


def _sizes(name: str, output_size: Any, size: tuple[int, ...]) -> tuple[int, ...]:
    """The output's size, with what is None replaced by the input's."""
    asked = tuple(output_size) if isinstance(output_size, (list, tuple)) else (output_size,) * len(size)
    if len(asked) != len(size):
        raise ValueError(f"{name}: expected {len(size)} numbers as output_size, got {output_size!r}")
    sizes = tuple(n if a is None else as_integer(name, "output_size", a) for n, a in zip(size, asked))
    if min(sizes) < 1:
        raise ValueError(f"{name}: expected output_size of at least 1, got {output_size!r}")
    return sizes


def _bounds(size: int, windows: int) -> list[tuple[int, int]]:
    """Where each window begins and ends."""
    return [(i * size // windows, -(-(i + 1) * size // windows)) for i in range(windows)]
