"""A copy of a network whose tensors have no values: it can be run and changed, and costs no memory.

Weighed against it: putting arrays without values into the model's own parameters for the time of the run. That needs no copy
of the tree of modules, but what forward leaves in a module would stay there, and a thread that uses the model would fail.
"""

from __future__ import annotations

from collections import deque
from copy import copy
from functools import partial
from types import MethodType
from typing import Any

from .._tensor import Tensor
from ..backends import backend_for
from ..nn import Module
from ..ops import Generator


class MetaCopy:
    """Copies modules, the tensors and generators in their attributes, and the containers that hold these; each thing once.

    What forward changes in objects of other classes, it changes in the model's own.
    """

    def __init__(self) -> None:
        self._copies: dict[int, Any] = {}
        self._originals: list[Any] = []  # kept, so that no id comes again

    def of(self, value: Any) -> Any:
        """The copy of a value; the value itself, if it is nothing that holds tensors."""
        if id(value) in self._copies:
            return self._copies[id(value)]
        if isinstance(value, Module):
            return self._module(value)
        if isinstance(value, Tensor):
            return self._known(value, _without_values(value))
        kind = type(value)
        if kind is list:
            copied = self._known(value, [])
            copied.extend(map(self.of, value))
            return copied
        if isinstance(value, dict):
            copied = self._known(value, value.copy())
            copied.update((key, self.of(item)) for key, item in value.items())
            return copied
        if kind is tuple or (isinstance(value, tuple) and hasattr(value, "_fields")):
            items = tuple(map(self.of, value))
            return items if kind is tuple else kind(*items)
        if kind in (set, deque):  # which forward may add to
            return self._known(value, copy(value))
        if kind is partial:
            return partial(self.of(value.func), *map(self.of, value.args), **self.of(value.keywords))
        if isinstance(value, Generator):
            return self._known(value, Generator("meta"))
        if kind is MethodType and isinstance(value.__self__, Module):
            return MethodType(value.__func__, self.of(value.__self__))
        return value

    def _known(self, value: Any, copied: Any) -> Any:
        self._originals.append(value)
        self._copies[id(value)] = copied
        return copied

    def _module(self, module: Module) -> Module:
        """The copy of a module, without its hooks."""
        copied = self._known(module, type(module).__new__(type(module)))
        own = {"_hooks": None, "_non_persistent_buffers": set(module._non_persistent_buffers)}
        copied.__dict__.update({name: self.of(value) for name, value in module.__dict__.items() if name not in own}, **own)
        return copied


def _without_values(tensor: Tensor) -> Tensor:
    """A leaf on the meta device like the tensor, of its class and with its attributes."""
    kind = type(tensor)
    fresh = kind.__new__(kind)
    Tensor.__init__(fresh, backend_for("meta")[0].from_host(tensor.array))  # which asks for shape, dtype and strides only
    fresh._requires_grad = tensor.requires_grad
    fresh.__dict__.update(tensor.__dict__)
    return fresh
