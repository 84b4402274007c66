"""One Case per public operation: what to call, on what, and what an oracle that shares no code with it says.

``test_table.py`` runs every check on every case: values (in all floating dtypes, against ``reference`` and, where it is
installed, torch), first and second derivatives, non-contiguous inputs, unchanged inputs, dtypes, bad input, and the same
computation on a backend whose arrays refuse to become NumPy's. A family's cases are in ``cases_<family>.py`` as ``CASES``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Sample:
    """One call's arguments: arrays become Tensors (float64 ones in the dtype under test), static arguments stay as they are."""

    arrays: tuple[np.ndarray, ...]
    static: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One public operation.

    Args:
        operation: the public name below ``minigrad``: ``"exp"``, ``"nn.functional.relu"``, ``"Tensor.fill_"``.
        function: ``function(*tensors, **static)`` returns a Tensor, or a tuple or list of them.
        reference: ``reference(*arrays, **static)`` returns the same as NumPy arrays, by NumPy, SciPy or plain loops.
        samples: ``samples(rng)`` returns Samples with distinct, well-separated values away from kinks and poles: float64 and
            integer or bool arrays. Together they must show every feature of ``FEATURES`` that is not excused in ``without``.
        torch: ``torch(t, *tensors, **static)`` computes the same with the module ``t`` (torch), or None if torch has no such
            operation. Also compared: the gradients of its float64 inputs.
        differentiable: whether first and second derivatives exist (false for comparisons, argmax, ...).
        bad: (callable without arguments, exception type, pattern that its message matches) for every kind of bad input.
        without: features that the operation cannot have and checks that it cannot pass (of ``CHECKS``), each with the reason.
        keeps_dtype: whether float inputs of one dtype give outputs of that dtype.
        tolerance: relative tolerances by dtype where the defaults (1e-9, 1e-4, 1e-2, 4e-2) are not apt.
        random: whether the result is a draw: then ``reference`` is None and the family's own tests check it. A random
            function that is differentiable must draw the same in each call: it sets the seed.

    A function that makes tensors from no tensor takes ``device=None`` and passes it on, to be tried on the strict backend.
    """

    operation: str
    function: Callable[..., Any]
    reference: Callable[..., Any] | None
    samples: Callable[[np.random.Generator], Sequence[Sample]]
    torch: Callable[..., Any] | None = None
    differentiable: bool = True
    bad: Sequence[tuple[Callable[[], Any], type[Exception], str]] = ()
    without: Mapping[str, str] = field(default_factory=dict)
    keeps_dtype: bool = True
    tolerance: Mapping[str, float] = field(default_factory=dict)
    random: bool = False

    def __str__(self) -> str:
        return self.operation


FEATURES = ("0-d", "empty", "broadcast")
"""A 0-d array among the inputs; an array without elements; arrays of different shapes that are broadcast."""

CHECKS = ("bad", "layouts", "reduced", "strict")
"""Checks that may be excused: bad input, inputs that are not contiguous, float16 and bfloat16, the strict backend."""
