"""Results that are computed when somebody first looks at them: an operation that follows may compute them along with its own.

A tensor whose array is deferred has no ``array`` yet; asking for it (``Tensor.__getattr__``) computes it. ReLU looks before it
asks: after batch norm it has the kernel write its own result at once, and the values in between are never in memory. So does an
addition, as of a residual block's input; and where nothing is recorded, all of these go along with a convolution before them.
ReLU of images waits itself, for max pooling (``ops/rectifier.py``).
To a user nothing changes: a deferred tensor is an ordinary one, its node is on the tape, and what it will be computed from
cannot change in between. That memory is held by one tensor alone (``is_held_once``), which computes what waits for it before it
changes in place or gives its memory to somebody else (``compute_waiting``). Where somebody asks for the gradient in between,
the two operations are parted (``Operation.separate``).

Gradients by weights are deferred likewise, while another thread computes them during the backward pass (``weight_grad_later``);
the engine waits for all of them before it returns. So are those of pooling (``grad_later``) where the walk over the tape has
something else to do first, as in a network with branches.
"""

from __future__ import annotations

import math
import sys
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from .._tensor import Tensor
from ..backends import backend_of
from .locks import SharedLock
from .modes import modes
from .operation import Operation, edge_of, wrap
from .versions import Version, version_of


class Deferred:
    """Computes an array when it is called.

    Args:
        source: what it is computed from: an array of its dtype.
        shape: the result's.
    """

    versions: Sequence[Version]
    """Of the memory that it reads, once it waits."""

    def __init__(self, source: Any, shape: tuple[int, ...]):
        self.source, self.shape = source, shape
        self.ndim, self.dtype = len(shape), source.dtype

    def __call__(self) -> Any:
        raise NotImplementedError(type(self).__name__)


class Elementwise(Deferred):
    """Computes an array, with each element of which something more may be done at the end.

    Args:
        source: what it is computed from: an array of its dtype, and of its shape unless that is given.
        compute: called with ``positive``, whether zeros are to be put in place of what is negative, and ``other``, None or an
            array of the same shape and dtype that is to be added before.
        other: what is added already; then there can be no other.
        shape: the result's.
    """

    is_free = True
    """Whether it may be computed along with something else."""

    def __init__(self, source: Any, compute: Callable[[bool, Any], Any], other: Any = None, shape: Any = None):
        super().__init__(source, source.shape if shape is None else shape)
        self.compute = compute
        self.other = other

    def __call__(self, positive: bool = False) -> Any:
        return self.compute(positive, self.other)

    def plus(self, other: Any) -> Elementwise | None:
        """What computes the sum with another array; None if that cannot be done along."""
        alike = type(other) is type(self.source) and other.shape == self.shape and other.dtype == self.dtype
        return self._with(self.compute, other) if alike and self.other is None else None

    def _with(self, compute: Callable[[bool, Any], Any], other: Any) -> Elementwise:
        return Elementwise(self.source, compute, other)


class Convolved(Elementwise):
    """Computes a convolution, or what comes of its elements. As that takes long, it goes along with something else once: where
    somebody asks for the values in between after all, the convolution is computed again for them, and then they are there.

    Args:
        compute: also called with a factor and a summand per channel that come first, unless there are some already.
        takes_affine: whether there are none.
    """

    compute: Callable[..., Any]

    def __init__(self, source: Any, compute: Callable[..., Any], other: Any, shape: Any, takes_affine: bool = True):
        super().__init__(source, compute, other, shape)
        self.takes_affine = takes_affine

    def __call__(self, positive: bool = False) -> Any:
        self.is_free = False
        return super().__call__(positive)

    def times(self, scale: Any, shift: Any) -> Convolved:
        """What computes the result with a factor and a summand per channel."""
        compute = self.compute
        return self._with(lambda positive, other: compute(positive, other, scale, shift), None)

    def _with(self, compute: Callable[..., Any], other: Any) -> Convolved:
        self.is_free = False
        return Convolved(self.source, compute, other, self.shape, False)


class Pending(Deferred):
    """Computes an array by an operation; another thread may have begun to before anybody asks for it (``start``).

    Args:
        operation: whose ``forward`` computes it from the arrays of the inputs.
        inputs: tensors.
        shape: the result's.
        multiplications: as many would take as long.
    """

    def __init__(self, operation: Operation, inputs: tuple[Tensor, ...], shape: tuple[int, ...], multiplications: int):
        self.operation = operation
        self.arrays = operation.gather(inputs)
        super().__init__(self.arrays[0], shape)
        self.multiplications = multiplications
        self.result: Callable[[], Any] | None = None

    def start(self) -> bool:
        """Give it to another thread, if one is free and it is long enough; whether one has it."""
        if self.result is None:
            held = sum(array.nbytes for array in self.arrays) + math.prod(self.shape) * self.source.itemsize
            self.result = self.operation.backend.later(self._compute, self.multiplications, held)
        return self.result is not None

    def __call__(self) -> Any:
        return self._compute() if self.result is None else self.result()

    def _compute(self) -> Any:
        return self.operation.forward(*self.arrays)


def deferred(node: Any, sources: Sequence[Tensor], compute: Deferred) -> Tensor:
    """A tensor that comes from ``node``, with the array ``compute()`` when it is asked for.

    Args:
        node: its place on the tape, or None.
        sources: what the array is computed from.
        compute: returns the array.
    """
    tensor = without_array(node)
    defer(tensor, [version_of(source) for source in sources], compute)
    return tensor


def without_array(node: Any) -> Tensor:
    """A tensor from ``node`` that has yet to get its array."""
    tensor = wrap(None, node)
    del tensor.array
    return tensor


def defer(tensor: Tensor, versions: Sequence[Version], compute: Deferred) -> None:
    """Let a tensor without an array have ``compute()`` when it is asked for, or before the memory of these versions changes."""
    tensor._deferred, compute.versions = compute, versions
    with _noting.lock:
        for version in versions:
            version.waiting = [*filter(_waits, version.waiting), weakref.ref(tensor)]


_noting = SharedLock()
"""Threads that share a model defer what reads the same weights."""


def _waits(ref: weakref.ref[Tensor]) -> bool:
    tensor = ref()
    return tensor is not None and tensor._deferred is not None


def along(tensor: Tensor) -> Elementwise | None:
    """What a tensor is to be computed by, if what follows may be computed along, and nobody sees the values in between."""
    compute = _free(tensor)
    return compute if compute is not None and is_unseen(tensor) else None


def is_unseen(tensor: Tensor) -> bool:
    """Whether what waits to be computed may be done along with what follows: no hook sees it, and no view shows it."""
    version = tensor._version
    if tensor._hooks is not None or tensor._view is not None:
        return False
    return version is None or not version.inference or modes.inference


def sum_with_deferred(operation: Operation, a: Tensor, b: Tensor, into: Tensor | None = None) -> Tensor | None:
    """``a + b``, one of which is deferred, in one kernel with that one; None where that cannot be.

    It is deferred itself where only the tape holds the other one's memory: a ReLU that follows goes into the same kernel.

    Args:
        operation: what takes the sum's place on the tape; it needs nothing of its inputs' values.
        into: the deferred one of the two, if it is to have the sum; its place on the tape is left to the caller.
    """
    waiting, other = (b, a) if _free(a) is None else (a, b)
    compute = _free(waiting)
    waits = is_held_once(other)  # which computes it, if it waits too, and may be the same tensor
    total = compute.plus(other.array) if compute is not None and compute.is_free else None
    if compute is None or total is None:
        return None
    operation.record(backend_of(total.other), [edge_of(a), edge_of(b)])
    if into is None:
        recorded = modes.grad and (a._requires_grad or b._requires_grad)
        into = without_array(operation if recorded else None)
    if waits:
        defer(into, (*compute.versions, version_of(other)), total)
    else:
        into.array, into._deferred = total(), None
    return into


def _free(tensor: Tensor) -> Elementwise | None:
    """What a tensor is to be computed by, if something more may be done along."""
    compute = tensor._deferred
    return compute if isinstance(compute, Elementwise) and compute.is_free else None


def weight_grad_later(operation: Operation, shape: tuple[int, ...], grad: Tensor, x: Tensor) -> Tensor:
    """``operation.apply(grad, x)``, which gives the gradient by a weight of the shape; outside the tape, another thread may
    compute it until somebody looks at it.
    """
    if modes.grad:
        return operation.apply(grad, x)
    pending = Pending(operation, (grad, x), shape, grad.array.size * math.prod(shape[1:]))
    return deferred(None, (grad, x), pending) if pending.start() else wrap(pending())


def grad_later(operation: Operation, shape: tuple[int, ...], grad: Tensor, multiplications: int) -> Tensor:
    """``operation.apply(grad)``, which gives the gradient by an input of the shape; outside the tape, it is computed when
    somebody looks at it, or by another thread once the walk over the tape turns to something else (``Pending.start``).
    """
    if modes.grad:
        return operation.apply(grad)
    return deferred(None, (grad,), Pending(operation, (grad,), shape, multiplications))


def compute_waiting(tensor: Tensor) -> None:
    """Compute what was deferred and reads the tensor's memory, which is about to change, or to be somebody else's too."""
    version = tensor._version
    if version is not None and version.waiting:
        for ref in version.waiting:
            waiting = ref()
            if waiting is not None:
                waiting.array  # noqa: B018
        version.waiting = ()


def is_held_once(tensor: Tensor) -> bool:
    """Whether nobody but the tensor, and the tape, holds its memory: no NumPy user, no detached copy, no view."""
    array = tensor.array  # first: to compute it may save it
    kept = None if tensor._version is None else tensor._version.kept()
    of_tape = kept is not None and kept.array is array
    del array
    references, of_base = _references(tensor)
    return (references - of_tape, of_base) in _ALONE and _is_arrays(tensor.array.base, type(tensor.array))


def _is_arrays(base: Any, array_type: Any) -> bool:
    """Whether memory is that of the array that it is a view of, if of any: who else has a bytearray's, nobody knows."""
    return base is None or (type(base) is array_type and base.base is None)


def _references(tensor: Tensor) -> tuple[int, int]:
    """How many references there are to the tensor's array, and to the array whose memory that shows."""
    array = tensor.array
    base = array.base
    return sys.getrefcount(array), 0 if base is None else sys.getrefcount(base)


class _Array:
    """Stands for an array of a backend, to learn what Python counts when only a tensor holds it."""

    def __init__(self, base: _Array | None):
        self.base = base


_ALONE = (_references(wrap(_Array(None))), _references(wrap(_Array(_Array(None)))))
