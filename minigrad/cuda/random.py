"""Seeds of the GPUs' default generators alone; ``minigrad.manual_seed`` seeds them too, along with the CPU's."""

from __future__ import annotations

from ..backends import backend_for
from ..backends.cuda import is_available
from ..ops import generator

__all__ = ["manual_seed", "manual_seed_all"]


def manual_seed(seed: int) -> None:
    """Seed the default generator of the current GPU; without a GPU, nothing happens.

    Args:
        seed: an integer from -2**63 to 2**64 - 1.

    Raises:
        ValueError: if the seed is out of range.
    """
    checked = generator.Generator().manual_seed(seed).initial_seed()
    if is_available():
        generator._default(backend_for("cuda")[1]).manual_seed(checked)


def manual_seed_all(seed: int) -> None:
    """Seed the default generators of all GPUs, also of those that are used later; without a GPU, nothing happens.

    Args:
        seed: an integer from -2**63 to 2**64 - 1.

    Raises:
        ValueError: if the seed is out of range.
    """
    generator._last_seed = generator.Generator().manual_seed(seed).initial_seed()
    for device, default in generator._defaults.items():
        if device.type == "cuda":
            default.manual_seed(seed)
