"""The CPU's own settings: how it convolves, and what it does with freed memory."""

from __future__ import annotations

from .backends.cpu.memory import empty_cache, memory_stats, set_cache_limit
from .backends.cpu.plan import conv_algorithm, conv_plan, get_conv_algorithm

__all__ = ["conv_algorithm", "conv_plan", "empty_cache", "get_conv_algorithm", "memory_stats", "set_cache_limit"]
