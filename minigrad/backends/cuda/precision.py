"""How exactly float32 matrices are multiplied on CUDA: PyTorch's ``set_float32_matmul_precision``.

The tensor cores of GPUs since Ampere multiply float32 numbers whose mantissa is first rounded from 23 to 10 bits (TF32),
several times as fast; sums stay float32.
"""

from __future__ import annotations

PRECISIONS = ("highest", "high")

_precision = "highest"


def get_float32_matmul_precision() -> str:
    """What ``set_float32_matmul_precision`` has set.

    >>> import minigrad
    >>> minigrad.get_float32_matmul_precision()
    'highest'
    """
    return _precision


def set_float32_matmul_precision(precision: str) -> None:
    """Choose how float32 matrix products and convolutions are computed on CUDA; the CPU always computes in full float32.

    Args:
        precision: ``'highest'`` (the default) for full float32, ``'high'`` for TF32: factors with 10 bits of mantissa, on
            tensor cores. They are rounded, a relative error of up to 5e-4 each, or on Hopper's fastest way cut off, up to
            1e-3. As in PyTorch, but convolutions follow it too, which PyTorch computes in TF32 by default, and
            there is no ``'medium'``, which would be bfloat16. It is set for all threads. With ``'highest'``, a convolution of
            an infinite number is nan on tensor cores, where PyTorch's may be infinite.

    Raises:
        ValueError: for any other name.

    >>> import minigrad
    >>> minigrad.set_float32_matmul_precision("high")
    >>> minigrad.set_float32_matmul_precision("highest")
    """
    global _precision
    if precision not in PRECISIONS:
        raise ValueError(f"set_float32_matmul_precision: expected 'highest' or 'high', got {precision!r}")
    _precision = precision


def uses_tf32() -> bool:
    """Whether float32 may be rounded to TF32."""
    return _precision == "high"
