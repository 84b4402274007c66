"""The choice among the CPU's ways to convolve: a rule on shapes, so that it is the same every time, and can be shown.

One limit depends on the processor: whether BLAS packs small products, or has kernels that take them as they lie.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..generic.windows import Padding, Pair
from .blas import has_small_kernels
from .windows import Axis, Windows, windows_over
from .winograd import side_of

POINTWISE = "pointwise"
"""A product with the pixels as they lie."""
WINOGRAD = "winograd"
"""Tiles of 4×4, or of 3×3 and 2×2 for larger filters (winograd.py)."""
WINOGRAD_1D = "winograd-1d"
"""Tiles of four rows (winograd_1d.py)."""
WINDOWS = "windows"
"""Products with windows that are copied into the cache part by part (columns.py)."""
ROWS = "rows"
"""A product for every row of the kernel, for which only the kernel's rows are copied (kernel_rows.py)."""
PHASES = "phases"
"""The windows of many images first, then the product, cut by output channels (columns.py)."""
GROUPS = "groups"
"""Windows sorted by group (groups.py)."""
FLAT = "flat"
"""Windows in the order of the weights, which are too many to be copied (flat_weights.py)."""
DEPTHWISE = "depthwise"
"""A multiplication for every element of the kernel (columns.py)."""
BANDED = "banded"
"""For the gradient by the input: whole rows of the output's gradient, with banded weights (banded.py)."""
STRIDES = "strides"
"""For the gradient by the input with a larger stride than 1: all pixels within a stride at once (groups.py)."""


class Limits(NamedTuple):
    """From where on a way is worth it; forward, and for the gradient by the weight."""

    gain: float
    """The share of a plain sum's multiplications that tiles of 4×4 may need, transforms included: from 128 channels to 32 it is
    0.56; at 32 channels on both sides it is 0.66, and a product per kernel row is as fast."""
    much: float
    """The share from which tiles of four rows are faster; more where the zeros between their rows count."""
    least: int
    """The multiplications of a plain sum from which tiles of 4×4 are taken: they make more calls."""
    least_1d: int
    """Those from which tiles of four rows are."""
    heavy: int
    """The bytes from which weights do not stay in the cache beside a part."""


FORWARD = Limits(0.6, 0.42, 60_000_000, 20_000_000, 1 << 20)
WEIGHT_GRAD = Limits(0.53, 0.4, 100_000_000, 30_000_000, 2 << 20)
TOO_MUCH = 2
"""The share, of tiles of 4×4, from which those of four rows too spend more on transforms than they save: 2.04 from 6 channels
to 8."""
FEW = 350
"""The windows below which tiles of 4×4 are not taken: the transform of the weights is the same for any number. With 98 windows
of 1024 channels it takes three times as long as a plain sum."""
NOT_MANY = 1500
LEAST_OF_NOT_MANY = 100_000_000
"""The least multiplications below so many windows."""
PART = 1 << 22
"""The bytes of a part's columns: with fewer, the threads wait for each other to prepare their calls."""
LONG = 40
"""The numbers in a run from which a product per kernel row pays."""
WIDE = 3000
"""The windows from which it does: it takes more calls."""
OUTWEIGH = 2.5
"""The output channels for every window, from which the weights are not copied."""
EDGES = 0.3
"""The zeros around a row, over its windows, up to which it does: runs with zeros are copied in pieces."""
ENOUGH, ENOUGH_PACKED = 32, 12
"""The columns of a product from which pixels are not joined; the second where BLAS packs long runs: wider ones cost more than
they gain."""
NARROW = 6
"""The numbers in a run up to which two pixels are joined even so: there are half as many runs to copy."""
FEWER = 0.8
"""The multiplications with banded weights, over those of windows, up to which they are taken: as a rule they take that share of
the time, or less."""
BAND = 1 << 20
"""The bytes up to which banded weights stay in the cache."""
APART = 100_000_000
"""The multiplications of a group from which it is a convolution by itself."""
APART_GROUPS, APART_CHANNELS = 4, 32
"""Up to how many groups are, and from how many channels on: 16 groups of 8 or 64 channels take 1.3 to 2 times as long so."""
STRIDE_CHANNELS = 128
"""The channels of all pixels within a stride up to which one product is faster than one for each of these pixels."""
DENSE = 0.4
"""The share of that product's weights that must not be zeros."""

_algorithm = "auto"


def way_of(windows: Windows, images: int, CG: int, OC: int, groups: int, itemsize: int) -> str:
    """How to convolve: by the windows, the number of images, the channels of a group, those of the output, and the dtype."""
    return _way_of(windows, images, CG, OC, groups, itemsize, FORWARD, _algorithm)


def way_of_weight_grad(windows: Windows, images: int, CG: int, OC: int, groups: int, itemsize: int) -> str:
    """How to compute the gradient by the weight; it may be twice as heavy, as its parts add to it, where there are many."""
    return _way_of(windows, images, CG, OC, groups, itemsize, WEIGHT_GRAD, _algorithm)


@lru_cache(4096)
def _way_of(
    windows: Windows,
    images: int,
    CG: int,
    OC: int,
    groups: int,
    itemsize: int,
    limits: Limits,
    algorithm: str,
) -> str:
    OH, OW = windows.output_size
    KH, KW = windows.kernel_size
    unit_steps = all(axis.stride == axis.dilation == 1 for axis in windows)
    if weights_outweigh(windows, images, CG, OC, groups, itemsize):
        return FLAT
    if is_apart(windows, images, CG, OC, groups):
        return _way_of(windows, images, CG, OC // groups, 1, itemsize, limits, algorithm)
    if groups > 1:
        return DEPTHWISE if CG == 1 and groups == OC else GROUPS
    if (KH, KW) == (1, 1) and unit_steps and not windows.is_padded():
        return POINTWISE
    if algorithm == "auto" and itemsize == 4 and 3 <= KH == KW <= 5 and unit_steps and min(OH, OW) >= 4:
        multiplications = images * OH * OW * KH * KW * CG * OC
        outputs = side_of(KH) ** 2
        share = 36 * (36 * CG + CG * OC + outputs * OC) / (outputs * KH * KW * CG * OC)  # of a tile: forth, products, back
        large = images * OH * OW >= WIDE and multiplications >= limits.least_1d
        if KH == 3 and large and limits.much * (OW + 2) / OW < share < TOO_MUCH:
            return WINOGRAD_1D
        least = limits.least if images * OH * OW >= NOT_MANY else max(limits.least, LEAST_OF_NOT_MANY)
        if images * OH * OW >= FEW and share <= limits.gain and multiplications >= least:
            return WINOGRAD
    run, weight = KW * CG, KH * KW * CG * OC * itemsize
    fits = weight <= 4 * limits.heavy and PART // (run * itemsize) >= 256  # packing the weights counts little
    within = windows.columns.before + windows.columns.after <= EDGES * OW
    if KH > 1 and unit_steps and run >= LONG and images * OH * OW >= WIDE and within and fits:
        return ROWS
    heavy = limits.heavy if images * OH * OW >= WIDE else FORWARD.heavy
    return WINDOWS if weight <= heavy else PHASES


def weights_outweigh(windows: Windows, images: int, CG: int, OC: int, groups: int, itemsize: int) -> bool:
    """Whether copying the weights would cost more than copying the windows: then all three kernels do without."""
    OH, OW = windows.output_size
    KH, KW = windows.kernel_size
    heavy = KH * KW > 1 and KH * KW * CG * OC * itemsize >= FORWARD.heavy
    return groups == 1 and heavy and 0 < OUTWEIGH * images * OH * OW <= OC


def is_apart(windows: Windows, images: int, CG: int, OC: int, groups: int) -> bool:
    """Whether each group is a convolution by itself, which goes its own way: few groups of many channels."""
    if not 1 < groups <= APART_GROUPS or min(CG, OC // groups) < APART_CHANNELS:
        return False
    return images * math.prod(windows.output_size) * math.prod(windows.kernel_size) * CG * (OC // groups) >= APART


def way_of_input_grad(windows: Windows, images: int, CG: int, OC: int, groups: int, itemsize: int) -> str:
    """How to compute the gradient by the input; with a larger stride than 1 the way of the first phase, or STRIDES."""
    sizes = images, CG, OC, groups, itemsize
    return _way_of_input_grad(windows, sizes, FORWARD, _algorithm, has_small_kernels(np.float32))


@lru_cache(4096)
def _way_of_input_grad(
    windows: Windows, sizes: tuple[int, int, int, int, int], limits: Limits, algorithm: str, small_kernels: bool
) -> str:
    images, CG, OC, groups, itemsize = sizes
    if is_apart(windows, images, CG, OC, groups):
        sizes = images, CG, OC // groups, 1, itemsize
        return _way_of_input_grad(windows, sizes, limits, algorithm, small_kernels)
    if weights_outweigh(windows, images, CG, OC, groups, itemsize):
        return FLAT
    first = next(phases(windows), None)
    if first is None:  # all windows lie over the padding
        return WINDOWS
    if strides_pay(windows, CG, OC, groups):
        return STRIDES
    back, _ = opposite(windows, first)
    way = _way_of(back, images, OC // groups, CG * groups, groups, itemsize, limits, algorithm)
    if way in (WINDOWS, ROWS) and banded_pays(windows, back, way, CG, OC, itemsize, small_kernels):
        return BANDED
    return way


def strides_pay(windows: Windows, CG: int, OC: int, groups: int) -> bool:
    """Whether to compute the gradient by the input for all pixels within a stride at once; some tap must meet one of them."""
    pixels = math.prod(axis.pixels for axis in windows)
    depthwise = CG == 1 and groups == OC > 1
    if pixels == 1 or depthwise or (groups == 1 and pixels * CG > STRIDE_CHANNELS):
        return False
    weights = pixels * math.prod(way_back(axis)[0].taps for axis in windows)
    return math.prod(windows.kernel_size) >= DENSE * weights


def banded_pays(windows: Windows, back: Windows, way: str, C: int, OC: int, itemsize: int, small_kernels: bool) -> bool:
    """Whether whole rows take fewer multiplications than the windows over the output, of which many lie over its edges."""
    if any(axis.stride > 1 for axis in windows):
        return False
    (OH, OW), width = windows.output_size, windows.reach[1]
    taps = windows.columns.taps + pixels_of_way(way, back, OC, C, small_kernels) - 1
    if OH * OW * width > FEWER * windows.rows.size * windows.columns.size * taps:
        return False
    return OW * OC * windows.rows.taps * width * C * itemsize <= BAND


def pixels_of_way(way: str, windows: Windows, C: int, O: int, small_kernels: bool) -> int:  # noqa: E741
    """How many neighbouring pixels are joined for ``WINDOWS`` or ``ROWS``, from C channels to O."""
    columns = windows.columns
    if columns.taps * C <= NARROW and ENOUGH <= O <= 2 * ENOUGH and columns.windows % 2 == 0 and columns.dilation == 1:
        return 1 if windows.kernel_size == (1, 1) else 2
    return joined_pixels(windows, O, ENOUGH_PACKED if way == ROWS and not small_kernels else ENOUGH)


@lru_cache(1024)
def joined_pixels(windows: Windows, O: int, least: int = ENOUGH) -> int:  # noqa: E741
    """How many neighbouring pixels are computed as one: as few as give the product columns enough, where that can be."""
    columns = windows.columns
    if columns.dilation > 1 or windows.kernel_size == (1, 1):
        return 1
    fitting = (n for n in range(1, 9) if columns.windows % n == 0 and least <= n * O <= 3 * least // 2)
    return 1 if least <= O else next(fitting, 1)


class ConvPlan(NamedTuple):
    """Which way each kernel of a convolution goes."""

    forward: str
    input_grad: str
    weight_grad: str


def conv_plan(
    input_shape: tuple[int, int, int, int],
    weight_shape: tuple[int, int, int, int],
    stride: Pair = (1, 1),
    padding: Padding = ((0, 0), (0, 0)),
    dilation: Pair = (1, 1),
    groups: int = 1,
    itemsize: int = 4,
) -> ConvPlan:
    """Which way a convolution goes on this CPU, and its two gradients: a rule on shapes, with ``conv_algorithm`` as it is set.

    Args:
        input_shape: (N, C, H, W).
        weight_shape: (OC, C/groups, KH, KW).
        stride: (rows, columns).
        padding: ((top, bottom), (left, right)).
        dilation: (rows, columns).
        groups: as in ``conv2d``.
        itemsize: bytes of a number: 4 for float32, 8 for float64.

    Returns:
        The names of the three ways. An input gradient with a larger stride than 1 is one convolution, ``'strides'``, or
        several, and named after the first.

    >>> import minigrad.cpu
    >>> minigrad.cpu.conv_plan((8, 128, 28, 28), (128, 128, 3, 3), padding=((1, 1), (1, 1)))
    ConvPlan(forward='winograd', input_grad='winograd', weight_grad='winograd')
    >>> minigrad.cpu.conv_plan((8, 3, 224, 224), (64, 3, 7, 7), stride=(2, 2), padding=((3, 3), (3, 3))).forward
    'windows'
    """
    N, _, H, W = input_shape
    OC, CG, KH, KW = weight_shape
    windows = windows_over((H, W), (KH, KW), stride, padding, dilation)
    sizes = N, CG, OC, groups, itemsize
    return ConvPlan(way_of(windows, *sizes), way_of_input_grad(windows, *sizes), way_of_weight_grad(windows, *sizes))


def phases(windows: Windows) -> Iterator[Pair]:
    """The places within a stride, (row, column), of elements that some window has a tap on."""
    rows, columns = (
        sorted(i for i in {(tap * axis.dilation - axis.before) % axis.stride for tap in range(axis.taps)} if i < axis.size)
        for axis in windows
    )
    return itertools.product(rows, columns)


@lru_cache(4096)
def opposite(windows: Windows, phase: Pair) -> tuple[Windows, tuple[slice, ...]]:
    """The windows over the output that lead back to the inputs of a phase: those at ``phase``, and a stride on, and so on.

    Returns:
        The windows, with stride 1, and which taps of the weight turned by half a turn they have.
    """
    axes, taps = [], []
    for axis, first in zip(windows, phase):
        found = [u for u in range(axis.taps) if (first + axis.before - u * axis.dilation) % axis.stride == 0]
        elements = len(range(first, axis.size, axis.stride))
        step = found[1] - found[0] if len(found) > 1 else 1
        dilation = step * axis.dilation // axis.stride if len(found) > 1 else 1
        # element first + e·stride meets, by its last tap, the output e + back, and by the others those after it
        back = (first + axis.before - found[-1] * axis.dilation) // axis.stride
        after = elements + back + (len(found) - 1) * dilation - axis.windows
        axes.append(Axis(axis.windows, len(found), 1, -back, after, dilation))
        taps.append(slice(axis.taps - 1 - found[-1], axis.taps - found[0], step))
    return Windows(*axes), tuple(taps)


@lru_cache(4096)
def way_back(axis: Axis) -> tuple[Axis, list[tuple[int, int, int]]]:
    """The windows over an output that lead back to all elements within a stride, one window for each stride.

    Returns:
        The windows, and which tap of the weight is which tap of these, and for which element: (tap, new tap, element).
    """
    found = [
        (tap, *divmod(element + axis.before - tap * axis.dilation, axis.stride), element)
        for element, tap in itertools.product(range(axis.pixels), range(axis.taps))
    ]
    met = [(tap, output, element) for tap, output, beside, element in found if beside == 0]
    first, last = min(output for _, output, _ in met), max(output for _, output, _ in met)
    windows = -(-axis.size // axis.stride)
    back = Axis(axis.windows, last - first + 1, 1, -first, windows + last - axis.windows, 1)
    return back, [(tap, output - first, element) for tap, output, element in met]


class conv_algorithm:
    """How the CPU convolves: ``'auto'``, by Winograd's tiles where they are faster, or ``'im2col'``, by plain sums only.

    Winograd's way needs a quarter of the multiplications for 3×3 and 4×4 filters with stride 1, and 0.36 of them for 5×5
    ones, and rounds two to six times more: up to 2e-5 of the output's standard deviation, where a plain sum in float32 makes
    2e-6 to 6e-6. It is taken for float32, where there are channels enough; for fewer channels, of 3×3 filters, in one
    dimension only, with half of the multiplications and up to 7e-6.
    Either way, inf or nan in an input may spread to a few outputs beside those that it belongs to, and to other groups of
    channels: where that is faster, they are computed together, with zeros as weights between them.

    Args:
        name: ``'auto'`` or ``'im2col'``. It holds at once, in all threads; as a context manager until the block ends.

    Raises:
        ValueError: for another name.

    >>> import minigrad.cpu
    >>> with minigrad.cpu.conv_algorithm("im2col"):
    ...     minigrad.cpu.get_conv_algorithm()
    'im2col'
    >>> minigrad.cpu.get_conv_algorithm()
    'auto'
    """

    def __init__(self, name: str):
        global _algorithm
        if name not in ("auto", "im2col"):
            raise ValueError(f"conv_algorithm: expected 'auto' or 'im2col', got {name!r}")
        self.before = _algorithm
        self.name = _algorithm = name

    def __enter__(self) -> conv_algorithm:
        global _algorithm
        _algorithm = self.name
        return self

    def __exit__(self, *error: object) -> None:
        global _algorithm
        _algorithm = self.before


def get_conv_algorithm() -> str:
    """What ``conv_algorithm`` has set."""
    return _algorithm
