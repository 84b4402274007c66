"""What networks take: a check for those whose layers would fail late, or not at all, for anything else."""

from __future__ import annotations

from typing import Any

from ..._tensor import Tensor


def check_images(network: Any, x: Any) -> None:
    """Raise TypeError unless ``x`` is a tensor, and ValueError unless it is a batch of images."""
    name = type(network).__name__
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: expected a tensor (N, C, H, W), got {type(x).__name__}")
    if x.ndim != 4:
        advice = "; x.unsqueeze(0) makes one image a batch" if x.ndim == 3 else ""
        raise ValueError(f"{name}: expected an input (N, C, H, W), got {x.shape}{advice}")
