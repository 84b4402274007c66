"""Results that are computed when somebody first looks at them: an operation that follows may compute them along with its own.

A tensor whose array is deferred has no ``array`` yet; asking for it (``Tensor.__getattr__``) computes it. ReLU looks before it
asks: after batch norm it has the kernel write its own result at once, and the values in between are never in memory. So does an
addition, as of a residual block's input. To a user
nothing changes: a deferred tensor is an ordinary one, its node is on the tape, and what it will be computed from cannot change
in between. That memory is held by one tensor alone (``is_held_once``), which computes what waits for it before it changes in
place or gives its memory to somebody else (``compute_waiting``). Where somebody asks for the gradient in between, the two operations are parted
(``Operation.separate``).

Gradients by weights are deferred likewise, while another thread computes them during the backward pass (``weight_grad_later``);
the engine waits for all of them before it returns.
"""

from __future__ import annotations

import math
import sys
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from .._tensor import Tensor
from ..backends import backend_of
from .modes import modes
from .operation import Operation, edge_of, wrap
from .versions import version_of


class Elementwise:
    """Computes an array from another one of its shape and dtype, element by element.

    Args:
        source: the other array.
        compute: called with ``positive``, whether zeros are to be put in place of what is negative, and ``other``, None or an
            array of the same shape and dtype that is to be added before.
    """

    def __init__(self, source: Any, compute: Callable[[bool, Any], Any]):
        self.source = source
        self.compute = compute

    def __call__(self, positive: bool = False, other: Any = None) -> Any:
        return self.compute(positive, other)


class Pending:
    """Waits for an array that another thread is computing."""

    def __init__(self, result: Callable[[], Any]):
        self.result = result

    def __call__(self) -> Any:
        return self.result()


def deferred(node: Any, sources: Sequence[Tensor], compute: Elementwise | Pending) -> Tensor:
    """A tensor that comes from ``node``, with the array ``compute()`` when it is asked for.

    Args:
        node: its place on the tape, or None.
        sources: what the array is computed from.
        compute: returns the array.
    """
    tensor = wrap(None, node)
    del tensor.array
    tensor._deferred = compute
    for source in sources:
        version = version_of(source)
        version.waiting = [*(ref for ref in version.waiting if ref() is not None), weakref.ref(tensor)]
    return tensor


def sum_with_deferred(operation: Operation, a: Tensor, b: Tensor) -> Tensor | None:
    """``a + b``, one of which is deferred, in one kernel with that one; None where that cannot be.

    Args:
        operation: what takes the sum's place on the tape; it needs nothing of its inputs' values.
    """
    waiting, other = (b, a) if a._deferred is None else (a, b)
    compute, array = waiting._deferred, other.array
    if type(compute) is not Elementwise:
        return None
    source = compute.source
    if type(array) is not type(source) or array.shape != source.shape or array.dtype != source.dtype:
        return None
    operation.record(backend_of(array), [edge_of(a), edge_of(b)])
    recorded = modes.grad and (a._requires_grad or b._requires_grad)
    return wrap(compute(other=array), operation if recorded else None)


def weight_grad_later(operation: Operation, shape: tuple[int, ...], grad: Tensor, x: Tensor) -> Tensor:
    """``operation.apply(grad, x)``, which gives the gradient by a weight of the shape; outside the tape, another thread may
    compute it until somebody looks at it.
    """
    if modes.grad:
        return operation.apply(grad, x)
    arrays = operation.gather((grad, x))
    multiplications = grad.array.size * math.prod(shape[1:])
    held = sum(array.nbytes for array in arrays) + math.prod(shape) * grad.array.itemsize
    result = operation.backend.later(lambda: operation.forward(*arrays), multiplications, held)
    return wrap(operation.forward(*arrays)) if result is None else deferred(None, (grad, x), Pending(result))


def compute_waiting(tensor: Tensor) -> None:
    """Compute what was deferred and reads the tensor's memory, which is about to change."""
    version = tensor._version
    if version is not None and version.waiting:
        for ref in version.waiting:
            waiting = ref()
            if waiting is not None:
                waiting.array  # noqa: B018
        version.waiting = ()


def is_held_once(tensor: Tensor) -> bool:
    """Whether nobody but the tensor holds its memory: no NumPy user, no detached copy, no view, no saved input."""
    return _references(tensor) in _ALONE


def _references(tensor: Tensor) -> tuple[int, int]:
    """How many references there are to the tensor's array, and to the array whose memory that shows."""
    array = tensor.array
    base = array.base
    return sys.getrefcount(array), 0 if base is None else sys.getrefcount(base)


class ArrayAlone:
    """Stands for an array of a backend, to learn what Python counts when only a tensor holds it."""

    def __init__(self, base: ArrayAlone | None):
        self.base = base


_ALONE = (_references(wrap(ArrayAlone(None))), _references(wrap(ArrayAlone(ArrayAlone(None)))))
