"""What PyTorch has as ``torch.cuda``: GPUs, their memory and seeds, streams and events, and training steps as CUDA graphs."""

from .devices import (
    current_device,
    device_count,
    get_device_capability,
    get_device_name,
    get_device_properties,
    is_available,
    set_device,
    synchronize,
)
from .graph import GraphedStep, make_graphed
from .memory import empty_cache, max_memory_allocated, memory_allocated, memory_reserved, reset_peak_memory_stats
from .random import manual_seed, manual_seed_all
from .streams import Event, Stream, current_stream, default_stream, stream

__all__ = [
    "Event",
    "GraphedStep",
    "Stream",
    "current_device",
    "current_stream",
    "default_stream",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "is_available",
    "make_graphed",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "memory_allocated",
    "memory_reserved",
    "reset_peak_memory_stats",
    "set_device",
    "stream",
    "synchronize",
]
