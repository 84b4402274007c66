"""What a Module keeps between sessions: its state dict, and how one is loaded all or nothing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

from .._tensor import Tensor
from ..autograd import no_grad
from ..autograd.inplace import check_writable
from ..ops.arguments import described
from .parameter import Parameter


class _Keys(NamedTuple):
    missing_keys: list[str]
    unexpected_keys: list[str]


class IncompatibleKeys(_Keys):
    """What ``load_state_dict`` returns: the keys that only the module has, and those that only the state dict has."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"

    __str__ = __repr__


class _Slot(NamedTuple):
    """A place for one tensor of the state: the module, and which of its parameters or buffers."""

    module: Any
    name: str

    @property
    def tensor(self) -> Tensor:
        return getattr(self.module, self.name)


def collect(module: Any, destination: dict[str, Tensor], prefix: str, keep_vars: bool) -> dict[str, Tensor]:
    """Add a module's parameters and persistent buffers, and those of the modules below it, to ``destination``."""
    hooks = module._hooks
    if hooks is not None:
        for hook in list(hooks.state_dict_pre.values()):
            hook(module, prefix, keep_vars)
    for name, tensor in _own_state(module):
        destination[prefix + name] = tensor if keep_vars else tensor.detach()
    for name, child in module._own("module"):
        if child is not None:
            child.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
    if hooks is not None:
        for hook in list(hooks.state_dict_post.values()):
            hook(module, destination, prefix, {})
    return destination


def load(module: Any, state_dict: Mapping[str, Any], strict: bool, assign: bool) -> IncompatibleKeys:
    """See ``Module.load_state_dict``. First everything is compared; only then the first tensor is changed.

    A hook that runs after loading may forgive keys. Where one is asked to, and does not, the old values come back.
    """
    name = type(module).__name__
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"load_state_dict: expected state_dict to be a dict, got {type(state_dict).__name__}")
    for key in state_dict:
        if not isinstance(key, str):
            raise TypeError(
                f"load_state_dict: expected strings as keys of state_dict, got the {type(key).__name__} {key!r:.100}"
            )
    state: dict[str, Any] = OrderedDict(state_dict)
    missing: list[str] = []
    unexpected: list[str] = []
    problems: list[str] = []
    _run_pre_hooks(module, state, strict, missing, unexpected, problems)
    slots = _slots(module)
    missing += [key for key, slot in slots.items() if key not in state and slot.name not in slot.module._optional_state]
    unexpected += [key for key in state if key not in slots]
    matching = [(key, slot, _as_saved_now(slot, state[key])) for key, slot in slots.items() if key in state]
    put = _assign if assign else _copy
    hooks = [
        (owner, hook) for owner in module.modules() if owner._hooks is not None for hook in owner._hooks.load_post.values()
    ]
    keys = IncompatibleKeys(missing, unexpected)
    with no_grad():
        problems += [problem for match in matching if (problem := _mismatch(*match, assign)) is not None]
        if problems or (not hooks and strict and any(keys)):
            raise RuntimeError(_report(name, strict, keys, problems))
        before = []
        if strict and any(keys):
            before = [(key, slot, slot.tensor if assign else slot.tensor.clone()) for key, slot, _ in matching]
        put(matching)
    for owner, hook in hooks:
        hook(owner, keys)
    if strict and any(keys):
        with no_grad():
            put(before)
        raise RuntimeError(_report(name, strict, keys, []))
    return keys


def _own_state(module: Any) -> list[tuple[str, Tensor]]:
    """A module's own parameters and persistent buffers, in order."""
    kept = module._own("parameter")
    kept += [(name, buffer) for name, buffer in module._own("buffer") if name not in module._non_persistent_buffers]
    return [(name, tensor) for name, tensor in kept if tensor is not None]


def _slots(module: Any) -> dict[str, _Slot]:
    """The key of every tensor of the state; a tensor or module in two places has two keys."""
    slots = {}
    for path, owner in module.named_modules(remove_duplicate=False):
        for name, _ in _own_state(owner):
            slots[f"{path}.{name}" if path else name] = _Slot(owner, name)
    return slots


def _run_pre_hooks(module: Any, state: dict[str, Any], strict: bool, *reports: list[str]) -> None:
    for path, owner in module.named_modules(remove_duplicate=False):
        if owner._hooks is not None:
            for hook in list(owner._hooks.load_pre.values()):
                hook(owner, state, f"{path}." if path else "", {}, strict, *reports)


def _as_saved_now(slot: _Slot, value: Any) -> Any:
    """The value; files from before there were 0-d tensors have one element in their place."""
    is_older = isinstance(value, Tensor) and value.shape == (1,) and slot.tensor.shape == ()
    return value.reshape(()) if is_older else value


def _mismatch(key: str, slot: _Slot, value: Any, assign: bool) -> str | None:
    """Why a value cannot be loaded, if it cannot."""
    current = slot.tensor
    if not isinstance(value, Tensor):
        return f"{key}: expected a Tensor of minigrad, got {described(value)}"
    if value.shape != current.shape:
        return f"{key}: expected shape {current.shape}, got {value.shape}"
    if not assign and (current.device.type == "meta") != (value.device.type == "meta"):
        if current.device.type == "meta":
            return f"{key}: the module's tensor is on the meta device, which holds no values; pass assign=True"
        return f"{key}: expected a tensor with values, got one on the meta device"
    if assign and current.requires_grad and not value.is_floating_point():
        return f"{key}: expected a floating dtype for a parameter that requires grad, got {value.dtype}"
    if not assign:
        try:
            check_writable(current, key, recorded=False)
        except RuntimeError as error:
            return str(error)
    return None


def _report(name: str, strict: bool, keys: IncompatibleKeys, problems: list[str]) -> str:
    missing, unexpected = keys if strict else ([], [])
    lines = [f"load_state_dict: the state dict does not fit {name}, and nothing was loaded"]
    lines += [f"missing: {', '.join(missing)}"] if missing else []
    lines += [f"unexpected: {', '.join(unexpected)}"] if unexpected else []
    lines += problems
    if unexpected and all(key.startswith("module.") for key in unexpected):
        lines.append("every unexpected key starts with 'module.', as DataParallel writes them: take that away first")
    return "\n    ".join(lines)


def _copy(matching: list[tuple[str, _Slot, Tensor]]) -> None:
    for _, slot, value in matching:
        slot.tensor.copy_(value)


def _assign(matching: list[tuple[str, _Slot, Tensor]]) -> None:
    """Make the values themselves the module's tensors; a tensor that the module has in two places stays one."""
    replaced: dict[int, Tensor] = {}
    for _, slot, value in matching:
        current = slot.tensor
        if id(current) not in replaced:
            if isinstance(current, Parameter):
                if not isinstance(value, Parameter):
                    value = Parameter(value, current.requires_grad)
                value.requires_grad_(current.requires_grad)
            replaced[id(current)] = value
        setattr(slot.module, slot.name, replaced[id(current)])
