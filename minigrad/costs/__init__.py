"""What a network costs before it has run once: its shapes, parameters, multiplications, memory and receptive fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import ops
from .._tensor import Tensor
from ..autograd import enable_grad, inference_mode
from ..backends import Device, backend_for
from ..backends.meta import PIXEL, ReceptiveField
from ..dtypes import get_default_dtype
from ..nn import Module
from .copying import MetaCopy
from .recording import Recorder
from .report import Row, Summary

__all__ = ["ReceptiveField", "Row", "Summary", "summary"]


def summary(
    model: Module, input_size: Any, *, dtype: Any = None, depth: int | None = None, training: bool | None = None
) -> Summary:
    """What a network costs, module by module, found by running a copy of it without values on the meta device.

    The model itself is not touched: no parameter, no buffer, no flag, no random number. Its hooks do not run.

    Args:
        model: a Module, on any device.
        input_size: the shape of the input, samples included; or a sequence of shapes and Tensors, one for each argument of
            ``forward``. Of a Tensor only shape and dtype count.
        dtype: of the inputs given as shapes, or a sequence of one for each input (default: that of the first floating
            parameter).
        depth: how many levels of modules are printed (default: all).
        training: run in this mode (default: in the model's own); dropout and batch normalisation differ.

    Returns:
        A ``Summary``: its ``str`` is a table with the totals below it, its attributes are the numbers. The numbers of a module
        include those of the modules below it.

        Multiply-adds are those of convolutions and of products of matrices, whoever calls them. "Saved" are the bytes that
        the tape keeps for backward, parameters not among them, each piece of memory once. The field is the receptive field,
        ``size / stride`` in pixels of the input: as wide as the widest branch, "whole" for the whole image. It follows
        convolutions, pooling and strided slices; shifted slices, flips and reshaped planes count as where they came from,
        the statistics of a normalisation as given. An adaptive pooling whose windows differ is a product of matrices, and
        counted as one.

    Raises:
        TypeError, ValueError: if an argument is none of these.
        Exception: what the model raises, with a note that shows the modules up to where it happened; a RuntimeError if it
            needs the values of a tensor.

    >>> import minigrad
    >>> from minigrad import nn
    >>> features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
    >>> print(minigrad.summary(nn.Sequential(features, nn.Flatten(), nn.Linear(2048, 10)), (64, 3, 32, 32)))
    module             output           parameters  multiply-adds     saved  field
    Sequential         (64, 10)             20,730        15.47 M  5.38 MiB  whole
      0: Sequential    (64, 8, 16, 16)         240        14.16 M  4.88 MiB  4 / 2
        0: Conv2d      (64, 8, 32, 32)         224        14.16 M   768 KiB  3 / 1
        1: BatchNorm2d (64, 8, 32, 32)          16              0     2 MiB  3 / 1
        2: ReLU        (64, 8, 32, 32)           0              0     2 MiB  3 / 1
        3: MaxPool2d   (64, 8, 16, 16)           0              0   128 KiB  4 / 2
      1: Flatten       (64, 2048)                0              0       0 B  4 / 2
      2: Linear        (64, 10)             20,490         1.31 M   512 KiB  whole
    parameters: 20,730 (all trainable), 80.98 KiB; buffers: 72 B
    multiply-adds: 15.47 M
    saved for backward: 5.38 MiB
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary: expected a Module, got {type(model).__name__}")
    if depth is not None and (type(depth) is not int or depth < 0):
        raise ValueError(f"summary: expected depth to be a whole number of at least 0, got {depth!r}")
    if training is not None and not isinstance(training, bool):
        raise ValueError(f"summary: expected training to be True, False or None, got {training!r}")
    with inference_mode(False), enable_grad():
        copies = MetaCopy()
        running = copies.of(model)
        inputs = _inputs(copies, model, input_size, dtype)
        if training is not None:
            running.train(training)
        recorder = Recorder(model, running, depth)
        with Device("meta"), backend_for("meta")[0].counting(recorder.count):  # type: ignore[attr-defined]
            return recorder.run(inputs)


def _inputs(copies: MetaCopy, model: Module, input_size: Any, dtype: Any) -> list[Tensor]:
    """The arguments of forward, without values."""
    given = [input_size] if isinstance(input_size, Tensor) or _is_shape(input_size) else input_size
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise TypeError(
            f"summary: expected a shape such as (1, 3, 224, 224), or a sequence of shapes and Tensors, got {input_size!r}"
        )
    if dtype is None:
        dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), get_default_dtype())
    dtypes = list(dtype) if isinstance(dtype, (list, tuple)) else [dtype] * len(given)
    if len(dtypes) != len(given):
        raise ValueError(f"summary: expected one dtype, or {len(given)} as there are inputs, got {len(dtypes)}")
    inputs = []
    for one, kind in zip(given, dtypes, strict=True):
        if not isinstance(one, Tensor) and not _is_shape(one):
            raise TypeError(f"summary: expected shapes, which are whole numbers from 0 up, and Tensors, got {one!r}")
        inputs.append(copies.of(one) if isinstance(one, Tensor) else ops.empty(one, dtype=kind, device="meta"))
        if inputs[-1].ndim > 2 and inputs[-1].is_floating_point():
            inputs[-1].array.field = PIXEL
    return inputs


def _is_shape(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and bool(value) and all(type(n) is int and n >= 0 for n in value)
