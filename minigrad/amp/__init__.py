"""Automatic mixed precision: PyTorch's ``torch.amp``."""

from ..autograd import autocast
from .grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast"]
