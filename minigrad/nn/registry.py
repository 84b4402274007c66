"""Registry: an object that notices the parameters, buffers and modules assigned to its attributes, and finds them again.

They are ordinary attributes, which a layer finds as fast as any other; ``_registered`` notes beside them which attribute is
what. PyTorch keeps them in three dicts instead, and looks there when the ordinary way has failed: a microsecond for every use
of every weight. Those three dicts are here as views.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from .._tensor import Tensor
from .arguments import an
from .parameter import Parameter

if TYPE_CHECKING:
    from .module import Module


class NotYet:
    """Stands for an attribute until ``Module.__init__`` sets it, to say so when it was forgotten."""

    def __get__(self, module: Any, kind: Any = None) -> Any:
        if module is None:
            return self
        raise AttributeError(f"{type(module).__name__}: call super().__init__() first in __init__")


class Registry:
    """What a Module knows about what it is made of."""

    _registered: Any = NotYet()
    """For every name "parameter", "buffer" or "module", in the order of registration."""
    _non_persistent_buffers: Any = NotYet()

    def __init__(self) -> None:
        self.__dict__.update(_registered={}, _non_persistent_buffers=set())

    # --- attributes --------------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        kind = "parameter" if isinstance(value, Parameter) else "module" if isinstance(value, Registry) else None
        if kind is not None:
            if name in self.__dict__ and self._registered.get(name) != kind:
                delattr(self, name)
            self._register(kind, name, value)
            return
        held = self.__dict__.get("_registered", {}).get(name)
        if held is None:
            object.__setattr__(self, name, value)
            return
        if value is not None and not isinstance(value, _KINDS[held]):
            raise TypeError(
                f"{type(self).__name__}: expected {_NOUNS[held]} or None for {name!r}, got {an(type(value).__name__)}; "
                "del the attribute first to use its name for something else"
            )
        self.__dict__[name] = value

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._registered.pop(name, None)
        self._non_persistent_buffers.discard(name)

    def __copy__(self) -> Any:
        """A module of the same parts that can be changed by itself."""
        fresh = type(self).__new__(type(self))
        own = {"_registered": dict(self._registered), "_non_persistent_buffers": set(self._non_persistent_buffers)}
        fresh.__dict__.update(self.__dict__, **own)
        return fresh

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name.isidentifier()]

    def _register(self, kind: str, name: str, value: Any) -> None:
        registered = self._registered
        if not isinstance(name, str):
            raise TypeError(f"register_{kind}: expected the name to be a str, got {an(type(name).__name__)}")
        if not name or "." in name:
            raise KeyError(f"register_{kind}: expected a name that has no dots and is not empty, got {name!r}")
        if value is not None and not isinstance(value, _KINDS[kind]):
            raise TypeError(f"register_{kind}: expected {_NOUNS[kind]} or None for {name!r}, got {an(type(value).__name__)}")
        if registered.get(name) != kind and hasattr(self, name):
            raise KeyError(f"register_{kind}: {type(self).__name__} has an attribute {name!r} already")
        registered[name] = kind
        self.__dict__[name] = value

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under a name; None says that this layer does without, as a convolution may without its bias.

        Raises:
            KeyError: if the name is not usable; TypeError if ``param`` is no Parameter.
        """
        self._register("parameter", name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that belongs to the module and is not trained, such as a running mean.

        Args:
            name: the attribute's name.
            tensor: a Tensor; or None for one that this layer does without.
            persistent: whether it belongs into the state dict.

        Raises:
            KeyError: if the name is not usable; TypeError if ``tensor`` is no Tensor.

        >>> import minigrad
        >>> module = minigrad.nn.Module()
        >>> module.register_buffer("scale", minigrad.ones(2))
        >>> module.scale
        tensor([1., 1.])
        """
        self._register("buffer", name, tensor)
        if persistent:
            self._non_persistent_buffers.discard(name)
        else:
            self._non_persistent_buffers.add(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a module under a name, which need not be an identifier: ``Sequential`` uses "0", "1", ….

        Raises:
            KeyError: if the name is not usable; TypeError if ``module`` is no Module.
        """
        self._register("module", name, module)

    def add_module(self, name: str, module: Module | None) -> None:
        """The older name of ``register_module``."""
        self.register_module(name, module)

    # --- what it is made of ------------------------------------------------------------------------------------------

    def _own(self, kind: str) -> list[tuple[str, Any]]:
        """Names and values of what is registered as a kind; a value may be None."""
        state = self.__dict__
        return [(name, state[name]) for name, registered_as in self._registered.items() if registered_as == kind]

    @property
    def _parameters(self) -> Registered:
        return Registered(self, "parameter")

    @property
    def _buffers(self) -> Registered:
        return Registered(self, "buffer")

    @property
    def _modules(self) -> Registered:
        return Registered(self, "module")

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, each with its path; one that is in several places comes once.

        Args:
            memo: modules to leave out; those that were met are added to it.
            prefix: what the paths start with.
            remove_duplicate: False lets a module come once for every place.
        """
        memo = set() if memo is None else memo
        if remove_duplicate:
            if self in memo:
                return
            memo.add(self)
        yield prefix, self  # type: ignore[misc]
        for name, child in self._own("module"):
            if child is not None:
                yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        for _, module in self.named_modules():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules right below this one, with their names."""
        seen = set()
        for name, child in self._own("module"):
            if child is not None and child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        """The modules right below this one."""
        for _, child in self.named_children():
            yield child

    def _named_tensors(self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, tensor in module._own(kind):
                if tensor is None or tensor in seen:
                    continue
                if remove_duplicate:
                    seen.add(tensor)
                yield f"{path}.{name}" if path else name, tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their paths; one that is in several places (tied weights) comes once.

        Args:
            prefix: what the paths start with.
            recurse: whether the modules below count.
            remove_duplicate: False lets a parameter come once for every place.
        """
        return self._named_tensors("parameter", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters: what an optimizer is given.

        >>> from minigrad import nn
        >>> sum(p.numel() for p in nn.Linear(3, 4).parameters())
        16
        """
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """All buffers with their paths; the arguments are those of ``named_parameters``."""
        return self._named_tensors("buffer", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as ``"layer1.0.conv1"``; this one for the empty path.

        Raises:
            AttributeError: if there is none.
        """
        module: Any = self
        for name in target.split(".") if target else ():
            child = module._modules.get(name)
            if child is None:
                raise AttributeError(f"get_submodule: {type(module).__name__} has no module {name!r} (in {target!r})")
            module = child
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as ``"layer1.0.conv1.weight"``.

        Raises:
            AttributeError: if there is none.
        """
        return self._get_tensor("parameter", target)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path such as ``"layer1.0.bn1.running_mean"``.

        Raises:
            AttributeError: if there is none.
        """
        return self._get_tensor("buffer", target)

    def _get_tensor(self, kind: str, target: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        tensor = Registered(module, kind).get(name)
        if tensor is None:
            raise AttributeError(f"get_{kind}: {type(module).__name__} has no {kind} {name!r} (in {target!r})")
        return tensor


class Registered(MutableMapping[str, Any]):
    """What is registered as one kind, as a dict: changing it changes the attributes."""

    __slots__ = ("_kind", "_owner")

    def __init__(self, owner: Registry, kind: str):
        self._owner = owner
        self._kind = kind

    def __getitem__(self, name: str) -> Any:
        if self._owner._registered.get(name) != self._kind:
            raise KeyError(name)
        return self._owner.__dict__[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._owner._register(self._kind, name, value)

    def __delitem__(self, name: str) -> None:
        if self._owner._registered.get(name) != self._kind:
            raise KeyError(name)
        delattr(self._owner, name)

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._owner._own(self._kind)])

    def __len__(self) -> int:
        return len(self._owner._own(self._kind))

    def __repr__(self) -> str:
        return repr(dict(self))


_KINDS: dict[str, type] = {"parameter": Parameter, "module": Registry, "buffer": Tensor}
_NOUNS = {"parameter": "a Parameter", "module": "a Module", "buffer": "a Tensor"}
