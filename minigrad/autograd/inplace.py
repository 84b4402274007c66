"""In-place operations: how the tape stays true when memory is written to.

``write`` runs an ordinary operation with its result in the first input's memory, and makes the operation's node the one that
the tensor now comes from. If the tensor is a view, its base now comes from an ``Overwrite`` of its old values by the view's
new ones, and the view is replayed from there (``views.py``).

Two other designs were weighed: PyTorch's CopySlices node (one node that runs the inner backward on a slice of the gradient:
one copy less, but its second derivative is a special case in the engine), and forbidding writes to views (a smaller tape,
but ``x[:, 0] = 1`` is what people write).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._tensor import Tensor
from ..dtypes import FLOATING, category
from .deferred import compute_waiting
from .modes import modes
from .operation import Operation, edge_of, wrap
from .versions import version_of
from .views import refresh, replay, set_node

watchers: list[Callable[[Tensor], None]] = []
"""What is called with each tensor that is about to be changed in place by anything but an optimizer's step."""


def write(tensor: Tensor, operation: Operation, *others: Any) -> Tensor:
    """Run ``operation(tensor, *others)`` with its result in the tensor's own memory: every in-place operation ends here.

    Args:
        tensor: the tensor to change.
        operation: an unused Operation with one output, of the tensor's shape.
        others: its further inputs.

    Returns:
        The tensor.

    Raises:
        RuntimeError: if the tape forbids the write, or the result's shape or kind of dtype does not fit the tensor.
    """
    name = f"{operation.name}_"
    recorded = modes.grad and any(isinstance(t, Tensor) and t.requires_grad for t in (tensor, *others))
    check_writable(tensor, name, recorded)
    operation, inputs = operation.in_place(tensor, *others)
    arrays = operation.gather(inputs)
    backend, target = operation.backend, tensor.array
    # x += x.T: what is written must not be read again
    arrays = [array.copy() if type(array) is type(target) and backend.meets(array, target) else array for array in arrays]
    operation.target = tensor
    try:
        store(tensor, name, operation, arrays)
    finally:
        operation.target = None
    version = version_of(tensor)
    if not version.inference:
        version.bump(name)
    operation.inputs = None
    if recorded and tensor.array.dtype in FLOATING:
        if operation.saved is not None:
            operation.finish_saving((tensor,))
        adopt(tensor, operation)
    return tensor


def check_writable(tensor: Tensor, name: str, recorded: bool) -> None:
    """Raise, as PyTorch does, where an in-place operation would break the tape; what waits for the old values gets them."""
    compute_waiting(tensor)
    for watch in watchers:
        watch(tensor)
    if tensor._version is not None and tensor._version.inference and not modes.inference:
        raise RuntimeError(
            f"{name}: a tensor made in inference_mode can be changed in place only inside it; write to its .clone()"
        )
    check_places(name, tensor)
    if not modes.grad:
        return
    view = tensor._view
    if tensor._requires_grad and tensor.node is None:
        raise RuntimeError(
            f"{name}: a leaf tensor that requires grad cannot be changed in place while operations are recorded; "
            "do it under minigrad.no_grad(), or use the operation that returns a new tensor"
        )
    if view is None:
        return
    if view.base.node is None and (view.base._requires_grad or tensor._requires_grad):
        raise RuntimeError(
            f"{name}: a view of a leaf tensor that requires grad cannot be changed in place while operations are recorded; "
            "do it under minigrad.no_grad()"
        )
    if recorded and view.one_of_several:
        raise RuntimeError(
            f"{name}: this tensor is one of several views that one operation returned, and such views cannot be changed in "
            "place by a recorded operation; index the original tensor instead"
        )
    if view.in_no_grad and (recorded or view.base._requires_grad):
        if any(isinstance(recipe, Returned) for recipe, _ in view.chain):
            raise RuntimeError(
                f"{name}: this is a view of what went into or came out of a module with backward hooks, or of an input that a "
                "Function returned; a write in place would go past their backward; write to its .clone()"
            )
        raise RuntimeError(
            f"{name}: this view was made in no_grad mode and cannot be changed in place by a recorded operation; "
            "make the view where operations are recorded, or write under no_grad"
        )


def check_places(name: str, tensor: Tensor) -> None:
    """Raise where memory cannot be written to, or a write to one element would change others."""
    array = tensor.array
    if not getattr(array.flags, "writeable", True):
        raise RuntimeError(f"{name}: this tensor (shape {tensor.shape}) lies over read-only memory; write to its .clone()")
    if (
        0 in array.strides
        and array.size
        and any(stride == 0 and n > 1 for stride, n in zip(array.strides, array.shape, strict=True))
    ):
        raise RuntimeError(
            f"{name}: several elements of this tensor (shape {tensor.shape}) lie at one place in memory, as after expand(); "
            "write to its .clone()"
        )


def store(tensor: Tensor, name: str, operation: Operation, arrays: list[Any]) -> None:
    """Run the operation's forward and leave its result in the tensor's memory, which is touched only if all fits."""
    target = tensor.array
    forward: Any = operation.forward
    if operation.takes_out:
        forward(*arrays, out=target)
        return
    result = forward(*arrays)
    if result.shape != target.shape:
        raise RuntimeError(
            f"{name}: the result's shape {result.shape} does not fit the tensor of shape {target.shape} that is to hold it"
        )
    if category(result.dtype) > category(target.dtype):
        raise RuntimeError(f"{name}: a result of dtype {result.dtype} cannot be kept in a tensor of dtype {target.dtype}")
    target[...] = result


def adopt(tensor: Tensor, node: Operation) -> None:
    """Make ``node`` the one that the tensor's present values come from."""
    view = tensor._view
    if view is None:
        set_node(tensor, node)
        return
    base = view.base
    strides = base.array.strides
    overwrite = Overwrite(view.chain, tuple(sorted(range(len(strides)), key=lambda dim: -abs(strides[dim]))))
    overwrite.record(node.backend, [edge_of(base), node])
    set_node(base, overwrite)
    refresh(tensor)


class Returned(Operation):
    """A view of the whole of an input that a Function returned as it was."""

    is_view = True

    def forward(self, x: Any) -> Any:
        return x[...]


class Overwrite(Operation):
    """A copy of the base in which the elements that a view shows are replaced by new ones.

    Args:
        chain: how the view is made from the base.
        order: the base's dims as they lie in memory; in another order some of the chain's views would be copies.
    """

    def __init__(self, chain: tuple[Any, ...], order: tuple[int, ...]):
        self.chain = chain
        self.order = order
        self.inverse = tuple(order.index(dim) for dim in range(len(order)))

    def forward(self, base: Any, value: Any) -> Any:
        result = self.xp.array(base.transpose(self.order), copy=True, order="C").transpose(self.inverse)
        replay(self.chain, wrap(result)).array[...] = value
        return result

    def backward(self, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        value = replay(self.chain, grad)
        rest = None
        if self.needs(0):
            rest = Overwrite(self.chain, self.order).apply(grad, wrap(self.xp.zeros_like(value.array)))
        return rest, value if self.needs(1) else None
