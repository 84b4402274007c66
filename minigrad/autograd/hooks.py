"""Handles of registered hooks, as PyTorch's: a hook can be removed, or be active for one ``with`` block."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any

from .._tensor import Tensor, TensorHooks

_numbers = itertools.count()

RETAIN = -1
"""The place of ``retain_grad``'s hook among those of a node: it runs last, and moves on with the tensor."""


class Handle:
    """Returned by every ``register_…hook``; ``remove()`` takes the hook away again."""

    def __init__(self, hooks: dict[int, Any], hook: Callable[..., Any]):
        if not callable(hook):
            raise TypeError(f"register_hook: expected a callable, got {type(hook).__name__}")
        self._hooks = hooks
        self._number = next(_numbers)
        hooks[self._number] = hook

    def remove(self) -> None:
        """Take the hook away; doing so twice is harmless."""
        self._hooks.pop(self._number, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def _hooks_of(tensor: Tensor) -> dict[int, Any]:
    """The hooks on a tensor's gradient: a leaf keeps its own, any other tensor's are its node's."""
    node = tensor.grad_fn
    if node is None:
        if tensor._hooks is None:
            tensor._hooks = TensorHooks()
        return tensor._hooks.gradient
    node.take_place()
    if node.hooks is None:
        node.hooks = {}
    return node.hooks


def register_hook(tensor: Tensor, hook: Callable[[Tensor], Tensor | None]) -> Handle:
    """Call ``hook(grad)`` when a tensor's gradient is known; what it returns, if anything, replaces the gradient."""
    if not tensor.requires_grad:
        raise RuntimeError("register_hook: expected a tensor that requires grad, got one that does not")
    hooks = _hooks_of(tensor)
    handle = Handle(hooks, hook)
    if RETAIN in hooks:
        hooks[RETAIN] = hooks.pop(RETAIN)
    return handle


def register_post_accumulate_grad_hook(tensor: Tensor, hook: Callable[[Tensor], None]) -> Handle:
    """Call ``hook(tensor)`` after a gradient was accumulated into a leaf's ``.grad``."""
    if not tensor.requires_grad or not tensor.is_leaf:
        raise RuntimeError("register_post_accumulate_grad_hook: expected a leaf that requires grad")
    if tensor._hooks is None:
        tensor._hooks = TensorHooks()
    return Handle(tensor._hooks.accumulated, hook)


def retain_grad(tensor: Tensor) -> None:
    """Fill ``.grad`` of a tensor that is no leaf, too."""
    if not tensor.requires_grad:
        raise RuntimeError("retain_grad: expected a tensor that requires grad, got one that does not")
    hooks = _hooks_of(tensor)
    if tensor.is_leaf or RETAIN in hooks:
        return
    held = weakref.ref(tensor)

    def keep(grad: Tensor) -> None:
        tensor = held()
        if tensor is not None:
            tensor._grad = grad.clone() if tensor._grad is None else tensor._grad + grad

    hooks[RETAIN] = keep


def retains_grad(tensor: Tensor) -> bool:
    """Whether ``retain_grad`` was called on a tensor that is no leaf."""
    node = tensor.grad_fn
    return node is not None and node.hooks is not None and RETAIN in node.hooks
