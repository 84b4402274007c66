"""Files: checkpoints in torch's format, read and written without torch, and safe to read whoever wrote them."""

from .checkpoint import load, save
from .errors import CheckpointError
from .limits import Limits

__all__ = ["CheckpointError", "Limits", "load", "save"]
