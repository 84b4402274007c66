"""Files: checkpoints in torch's formats and safetensors, without torch, and safe to read whoever wrote them."""

from .checkpoint import load, save
from .errors import CheckpointError
from .limits import Limits
from .placeholder import Placeholder
from .safetensors import read_safetensors_metadata, save_safetensors

__all__ = ["CheckpointError", "Limits", "Placeholder", "load", "read_safetensors_metadata", "save", "save_safetensors"]
