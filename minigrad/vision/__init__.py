"""Computer vision: datasets, transforms and the classic networks."""

from . import datasets, models, transforms

__all__ = ["datasets", "models", "transforms"]
