"""Modules and parameters in lists and dicts, where the Module that holds them finds them."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from copy import copy
from itertools import groupby
from operator import index as as_index
from typing import Any, TypeVar

from .._tensor import Tensor
from .arguments import an
from .module import Module
from .parameter import Parameter
from .registry import Registered

Self = TypeVar("Self", bound="_Container")


class _Container(Module):
    """What it holds is in one of the Module's registries, and so found like any attribute."""

    @property
    def _held(self) -> Registered:
        return self._modules

    def _add(self, name: str, value: Any) -> None:
        self.register_module(name, value)

    def _with(self: Self, held: dict[str, Any]) -> Self:
        """A container like this one that holds something else."""
        fresh = copy(self)
        fresh._hooks = None
        fresh._held.clear()
        fresh._held.update(held)
        return fresh

    def __len__(self) -> int:
        return len(self._held)


class _Parameters(_Container):
    """A container of Parameters; a Tensor put into it becomes one."""

    @property
    def _held(self) -> Registered:
        return self._parameters

    def _add(self, name: str, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"{type(self).__name__}: expected a Parameter or a Tensor, got {an(type(value).__name__)}")
        self.register_parameter(name, value if isinstance(value, Parameter) else Parameter(value))

    def extra_repr(self) -> str:
        lines = []
        for name, parameter in self._held.items():
            size = "x".join(str(n) for n in parameter.shape)
            lines.append(f"({name}): Parameter containing: [{parameter.dtype} of size {size}]")
        return "\n".join(lines)


class _List(_Container):
    """A container that numbers what it holds: "0", "1", …."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self._held.values())

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return self._with(_numbered(list(self)[i]))
        return list(self)[self._position(i)]

    def __setitem__(self, i: int, value: Any) -> None:
        self._add(list(self._held)[self._position(i)], value)

    def __delitem__(self, i: Any) -> None:
        values = list(self)
        del values[i if isinstance(i, slice) else self._position(i)]
        self._replace(values)

    def __add__(self: Self, other: Iterable[Any]) -> Self:
        return self._with({}).extend([*self, *other])  # type: ignore[attr-defined, misc]

    def __iadd__(self: Self, other: Iterable[Any]) -> Self:
        return self.extend(other)  # type: ignore[attr-defined]

    def append(self: Self, value: Any) -> Self:
        """Add something at the end.

        Returns:
            The container.
        """
        self._add(str(len(self)), value)
        return self

    def extend(self: Self, values: Iterable[Any]) -> Self:
        """Add several things at the end.

        Returns:
            The container.
        """
        for value in list(values):
            self.append(value)  # type: ignore[attr-defined]
        return self

    def insert(self: Self, index: int, value: Any) -> Self:
        """Add something before what is now at ``index``, as a list does.

        Returns:
            The container.
        """
        values = list(self)  # type: ignore[call-overload]
        values.insert(index, value)
        self._replace(values)  # type: ignore[attr-defined]
        return self

    def pop(self, i: int = -1) -> Any:
        """Take something out.

        Returns:
            What it was.
        """
        value = self[as_index(i)]
        del self[i]
        return value

    def _position(self, i: Any) -> int:
        """An index counted from the front."""
        length = len(self)
        i = as_index(i)
        if not -length <= i < length:
            raise IndexError(f"{type(self).__name__}: expected an index in [{-length}, {length - 1}], got {i}")
        return i % length

    def _replace(self, values: list[Any]) -> None:
        before = dict(self._held)
        self._held.clear()
        try:
            for name, value in _numbered(values).items():
                self._add(name, value)
        except TypeError:
            self._held.clear()
            self._held.update(before)
            raise


def _numbered(values: list[Any]) -> dict[str, Any]:
    return {str(i): value for i, value in enumerate(values)}


class Sequential(_List):
    """Modules that are called one after the other, each with what the one before returned.

    Args:
        args: Modules, or one dict of them by name.

    >>> import minigrad
    >>> from minigrad import nn
    >>> model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    >>> model(minigrad.ones(4, 2)).shape
    (4, 1)
    >>> model[:2]
    Sequential(
      (0): Linear(in_features=2, out_features=8, bias=True)
      (1): ReLU()
    )
    """

    def __init__(self, *args: Any):
        super().__init__()
        if len(args) == 1 and isinstance(args[0], (list, tuple)):
            raise TypeError(
                f"Sequential: expected Modules one by one, got {an(type(args[0]).__name__)}; unpack it: nn.Sequential(*layers)"
            )
        named = args[0] if len(args) == 1 and isinstance(args[0], Mapping) else _numbered(list(args))
        for name, module in named.items():
            self.register_module(name, module)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return self._with(dict(list(self._modules.items())[i]))  # with their names, as PyTorch does
        return super().__getitem__(i)

    def forward(self, input: Any) -> Any:
        state = self.__dict__
        for name, kind in self._registered.items():
            if kind == "module":
                input = state[name](input)
        return input


class ModuleList(_List):
    """A list of Modules, for a network that says itself how they are called.

    Args:
        modules: what is in it at first.

    >>> from minigrad import nn
    >>> nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
    ModuleList(
      (0-2): 3 x Linear(in_features=4, out_features=4, bias=True)
    )
    """

    def __init__(self, modules: Iterable[Module] | None = None):
        super().__init__()
        self.extend(() if modules is None else modules)

    def __repr__(self) -> str:
        lines = []
        place = 0
        for text, same in groupby(repr(module) for module in self):
            count = len(list(same))
            lines.append(f"({place}): {text}" if count == 1 else f"({place}-{place + count - 1}): {count} x {text}")
            place += count
        body = "\n".join(lines).replace("\n", "\n  ")
        return f"ModuleList(\n  {body}\n)" if lines else "ModuleList()"


class ParameterList(_Parameters, _List):
    """A list of Parameters.

    Args:
        values: Parameters, or Tensors that become Parameters.

    >>> import minigrad
    >>> from minigrad import nn
    >>> [p.shape for p in nn.ParameterList([minigrad.ones(2), minigrad.ones(3)])]
    [(2,), (3,)]
    """

    def __init__(self, values: Iterable[Tensor] | None = None):
        super().__init__()
        self.extend(() if values is None else values)


class _Dict(_Container):
    """A container that holds things by name."""

    def __init__(self, values: Any = None):
        super().__init__()
        self.update(() if values is None else values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __contains__(self, key: str) -> bool:
        return key in self._held

    def __getitem__(self, key: str) -> Any:
        return self._held[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._add(key, value)

    def __delitem__(self, key: str) -> None:
        del self._held[key]

    def update(self, values: Any) -> None:
        """Add everything from a mapping, or from pairs of name and value."""
        for key, value in values.items() if hasattr(values, "items") else values:
            self[key] = value

    def pop(self, key: str) -> Any:
        """Take one out.

        Returns:
            What it was.
        """
        return self._held.pop(key)

    def clear(self) -> None:
        """Take all out."""
        self._held.clear()

    def keys(self) -> KeysView[str]:
        """The names, in order."""
        return self._held.keys()

    def items(self) -> ItemsView[str, Any]:
        """Pairs of name and value, in order."""
        return self._held.items()

    def values(self) -> ValuesView[Any]:
        """The values, in order."""
        return self._held.values()


class ModuleDict(_Dict):
    """Modules by name, for a network that says itself which is called.

    Args:
        modules: a mapping, or pairs of name and Module.

    >>> from minigrad import nn
    >>> list(nn.ModuleDict({"relu": nn.ReLU(), "tanh": nn.Tanh()}))
    ['relu', 'tanh']
    """

    def __init__(self, modules: Any = None):
        super().__init__(modules)


class ParameterDict(_Parameters, _Dict):
    """Parameters by name.

    Args:
        parameters: a mapping, or pairs of name and Parameter; a Tensor becomes a Parameter.

    >>> import minigrad
    >>> from minigrad import nn
    >>> nn.ParameterDict({"scale": minigrad.ones(2)})["scale"].requires_grad
    True
    """

    def __init__(self, parameters: Any = None):
        super().__init__(parameters)

    def __or__(self, other: Any) -> ParameterDict:
        both = self._with(dict(self.items()))
        both.update(other)
        return both

    def __ror__(self, other: Any) -> Any:
        return other | dict(self.items())

    def __ior__(self, other: Any) -> ParameterDict:
        self.update(other)
        return self

    def get(self, key: str, default: Any = None) -> Any:
        """The Parameter of that name, or the default."""
        return self._held.get(key, default)

    def setdefault(self, key: str, default: Any) -> Any:
        """The Parameter of that name; where there is none, the default becomes it."""
        if key not in self:
            self[key] = default
        return self[key]
