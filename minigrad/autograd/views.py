"""Views: tensors that share their base's memory, and how they find their place in the graph again after a write to it.

A view remembers its base (the tensor that the memory was made for) and the chain of view operations from one to the other.
A write moves only the base to a new node; a view notices at its next use that the memory's version has moved on, and
replays its chain from the base's new node. The write itself is in ``inplace.py``.
"""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from .hooks import RETAIN
from .modes import modes
from .versions import version_of


class View:
    """Where a view comes from: its base, the operations from base to view, and the version that its node belongs to."""

    __slots__ = ("base", "before", "count", "in_no_grad", "index", "one_of_several", "recipe")

    base: Tensor
    in_no_grad: bool
    one_of_several: bool

    def __init__(self, source: Tensor, operation: Any, index: int):
        """The View that is output ``index`` of ``operation(source)``, where ``source`` may be a view itself."""
        before = source._view
        self.base = source if before is None else before.base
        self.before = before
        self.recipe = _unused(operation)
        self.index = index
        self.count = version_of(source).count
        self.in_no_grad = not modes.grad or (before is not None and before.in_no_grad)
        self.one_of_several = operation.outputs > 1 or (before is not None and before.one_of_several)

    @property
    def chain(self) -> tuple[tuple[Any, int], ...]:
        """The operations from the base to the view, each with the number of its output that was taken."""
        view: View | None = self
        steps = []
        while view is not None:
            steps.append((view.recipe, view.index))
            view = view.before
        return tuple(reversed(steps))


def replay(chain: tuple[tuple[Any, int], ...], base: Tensor) -> Tensor:
    """The same view of another base; some of its steps copy if the base's dims lie in memory in another order."""
    for recipe, index in chain:
        result = _unused(recipe).apply(base)
        base = result if recipe.outputs == 1 else result[index]
    return base


def _unused(operation: Any) -> Any:
    """A new operation with the same static parameters."""
    kind: Any = type(operation)
    fresh = kind.__new__(kind)
    fresh.__dict__.update((name, value) for name, value in operation.__dict__.items() if name not in operation.STATE)
    return fresh


def refresh(tensor: Tensor) -> None:
    """Give a view whose memory was written to since it was made the node that it would have if made now."""
    view: Any = tensor._view
    count = version_of(tensor).count
    if view.count == count:
        return
    view.count = count
    if view.in_no_grad:
        return
    if not view.base._requires_grad:
        if tensor.node is not None:  # the base has been detached since
            tensor.node, tensor._requires_grad = None, False
        return
    grad, modes.grad = modes.grad, True
    try:
        node = replay(view.chain, view.base).node
    finally:
        modes.grad = grad
    set_node(tensor, node)


def set_node(tensor: Tensor, node: Any) -> None:
    """Make ``node`` the one that the tensor's values come from; what ``retain_grad`` asked for moves on with the tensor."""
    before = tensor.node
    if before is not None and before.hooks is not None and RETAIN in before.hooks:
        node.hooks = {**(node.hooks or {}), RETAIN: before.hooks.pop(RETAIN)}
    tensor.node, tensor._requires_grad = node, True
