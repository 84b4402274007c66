"""What all optimizers have in common: parameter groups, state, and the format in which both are saved."""

from __future__ import annotations

import copy
import functools
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from .._tensor import Tensor
from ..autograd import enable_grad, no_grad
from ..autograd.hooks import Handle
from ..ops.optimizer import zeros_side_by_side

_pre_hooks_of_all: dict[int, Any] = {}


def register_optimizer_step_pre_hook(hook: Callable[..., None]) -> Handle:
    """Call ``hook(optimizer, args, kwargs)`` before each step of every optimizer; ``args`` begins with the optimizer.

    Args:
        hook: as above; it runs after the optimizer's own hooks.

    Returns:
        A handle whose ``remove()`` takes the hook away.
    """
    return Handle(_pre_hooks_of_all, hook)


def _with_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    """A ``step`` method that runs the hooks before and after itself, once also where it calls the ``step`` it overrides."""

    @functools.wraps(step)
    def hooked(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        if self._stepping:
            return step(self, *args, **kwargs)
        self._stepping = True
        try:
            if self._pre_hooks:
                args, kwargs = self._run_pre_hooks(args, kwargs)
            for hook in list(_pre_hooks_of_all.values()):
                hook(self, (self, *args), kwargs)
            result = step(self, *args, **kwargs)
            self.stepped = True
            for hook in list(self._post_hooks.values()):
                hook(self, (self, *args), kwargs)
            return result
        finally:
            self._stepping = False

    return hooked


class Optimizer:
    """Base class of the optimizers, and of users' own: give ``update``, or override ``step`` as in PyTorch.

    Args:
        params: the Tensors to optimize; or pairs of a name and a Tensor; or dicts, each with a key ``params`` and the
            options that hold for this group alone.
        defaults: the options of groups that do not give their own.

    Raises:
        TypeError: if ``params`` is a Tensor, is not ordered, or has something else in it; or an option is a Tensor that is not
            the learning rate.
        ValueError: if there is nothing in it, a tensor is in it twice or is no leaf, or an option is out of range.

    >>> import minigrad
    >>> class SignDescent(minigrad.optim.Optimizer):
    ...     def update(self, group):
    ...         for param in group["params"]:
    ...             with minigrad.no_grad():
    ...                 param.sub_(param.grad.sign(), alpha=group["lr"])
    >>> w = minigrad.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = SignDescent([w], {"lr": 0.5})
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.5, 1.5], requires_grad=True)
    """

    state_tensors: ClassVar[tuple[str, ...]] = ()
    """The names of the states that have their parameter's shape, which ``load_state_dict`` checks."""
    state_numbers: ClassVar[tuple[str, ...]] = ()
    """The names of the states that are numbers; PyTorch saves them as tensors."""
    stepped = False
    """Whether ``step`` was ever called: learning rate schedules start after it."""
    _stepping = False

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]):
        name = type(self).__name__
        if isinstance(params, Tensor) or not isinstance(params, Iterable):
            advice = "put it in a list" if isinstance(params, Tensor) else "a model has .parameters()"
            raise TypeError(f"{name}: expected Tensors, pairs (name, Tensor) or dicts, got a {type(params).__name__}; {advice}")
        self.defaults = dict(defaults)
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._pre_hooks: dict[int, Any] = {}
        self._post_hooks: dict[int, Any] = {}
        self.check(self.defaults)
        found = _ordered(name, params)
        if not found:
            raise ValueError(f"{name}: expected at least one parameter, got none")
        for group in found if isinstance(found[0], dict) else [{"params": found}]:
            self.add_param_group(group)

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = _with_hooks(cls.__dict__["step"])  # type: ignore[method-assign]

    # --- a step ------------------------------------------------------------------------------------------------------

    @_with_hooks
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters that have a gradient.

        Args:
            closure: computes the loss and its gradients once more, and returns the loss.

        Returns:
            What ``closure`` returned, or None.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            self.update(group)
        return loss

    def update(self, group: dict[str, Any]) -> None:
        """Update the parameters of one group by its options."""
        raise NotImplementedError(f"{type(self).__name__}.update (or .step)")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients.

        Args:
            set_to_none: drop them; if False, fill them with zeros, in the memory that they have.
        """
        for group in self.param_groups:
            for param in group["params"]:
                if set_to_none:
                    param.grad = None
                elif param.grad is not None:
                    if param.grad.requires_grad:
                        param.grad = param.grad.detach()
                    with no_grad():
                        param.grad.zero_()

    def add_buffers(self, name: str, params: list[Tensor]) -> list[Tensor]:
        """Give each parameter without a state of that name zeros like itself; returns those parameters."""
        new = [param for param in params if name not in self.state[param]]
        for param, buffer in zip(new, zeros_side_by_side(new)):
            self.state[param][name] = buffer
        return new

    # --- parameter groups --------------------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Optimize more parameters, with options of their own.

        Args:
            param_group: ``params`` (Tensors, or pairs of a name and a Tensor, or one Tensor) and options; the others are
                the defaults.

        Raises:
            TypeError, ValueError: as the constructor does; nothing is added then.
        """
        name = type(self).__name__
        if not isinstance(param_group, dict):
            raise TypeError(f"{name}: expected a dict as parameter group, got a {type(param_group).__name__}")
        if "params" not in param_group:
            raise ValueError(f"{name}: expected a parameter group with the key 'params', got {sorted(param_group)}")
        group = {**self.defaults, **param_group}
        params = param_group["params"]
        params = [params] if isinstance(params, Tensor) else _ordered(name, params)
        named = [isinstance(param, tuple) and len(param) == 2 for param in params]
        if any(named):
            if not all(named):
                raise ValueError(f"{name}: expected a name for each parameter or for none, got both in one group")
            group["param_names"] = [label for label, _ in params]
            params = [param for _, param in params]
        known = {id(param) for other in self.param_groups for param in other["params"]}
        for i, param in enumerate(params):
            label = repr(group["param_names"][i]) if any(named) else str(i)
            _check_parameter(name, label, param, known)
            known.add(id(param))
        group["params"] = params
        self.check(group)
        self.param_groups.append(group)

    def check(self, options: dict[str, Any]) -> None:
        """Raise ValueError if an option is out of range, TypeError if it is of a wrong type; for subclasses."""

    def check_options(
        self,
        options: dict[str, Any],
        *,
        nonnegative: tuple[str, ...] = (),
        fraction: tuple[str, ...] = (),
        number: tuple[str, ...] = (),
    ) -> None:
        """Raise ValueError unless the ``nonnegative`` options are at least 0, and the ``fraction`` ones in [0, 1).

        These and the ``number`` ones have to be numbers, ``betas`` two of them, else it is a TypeError. A Tensor is no number
        here; but ``lr`` may be one of one element, and every step reads it anew.
        """
        kind = type(self).__name__
        values: dict[str, Any] = {}
        for name in (*nonnegative, *fraction, *number):
            option = options[name]
            several = isinstance(option, (tuple, list))
            values[name] = option if several else [option]
            if name != "lr" and any(isinstance(value, Tensor) for value in values[name]):
                raise TypeError(f"{kind}: expected {name} in Python numbers, got a Tensor; take its .item()")
            if name == "betas" and not (several and len(option) == 2):
                raise TypeError(f"{kind}: expected betas to be two numbers, got {option!r}")
            if not all(map(_is_number, values[name])):
                raise TypeError(f"{kind}: expected {name} in numbers, got {option!r}")
        for name in nonnegative:
            if not options[name] >= 0:
                raise ValueError(f"{kind}: expected {name} to be at least 0, got {options[name]}")
        for name in fraction:
            if not all(0 <= value < 1 for value in values[name]):
                raise ValueError(f"{kind}: expected {name} from 0 to below 1, got {options[name]}")

    # --- saving and loading ------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The state and the options, in PyTorch's format: a parameter is its number, counted through all groups.

        The tensors are the optimizer's own, not copies.
        """
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            saved = {key: value for key, value in group.items() if key != "params"}
            saved["params"] = [numbers.setdefault(id(param), len(numbers)) for param in group["params"]]
            groups.append(saved)
        state = {numbers[id(key)] if isinstance(key, Tensor) else key: value for key, value in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` returned, here or in PyTorch. Tensors are copied, to each parameter's device and dtype.

        The options' values are taken as they are: a schedule may have left a learning rate a rounding error below 0.

        Raises:
            ValueError: if the groups or the states do not fit this optimizer's parameters; TypeError if a state is no Tensor
                where one belongs. Nothing is changed then.
        """
        name = type(self).__name__
        if not isinstance(state_dict, dict) or not {"state", "param_groups"} <= state_dict.keys():
            got = sorted(map(str, state_dict)) if isinstance(state_dict, dict) else type(state_dict).__name__
            raise ValueError(f"{name}: expected a dict with the keys 'state' and 'param_groups', got {got}")
        saved_groups = state_dict["param_groups"]
        if len(saved_groups) != len(self.param_groups):
            raise ValueError(
                f"{name}: expected a state of {len(self.param_groups)} parameter groups, got one of {len(saved_groups)}"
            )
        params: dict[Any, Tensor] = {}
        groups = []
        for i, (group, saved) in enumerate(zip(self.param_groups, saved_groups)):
            if len(saved["params"]) != len(group["params"]):
                raise ValueError(
                    f"{name}: expected a state of {len(group['params'])} parameters in group {i}, got {len(saved['params'])}"
                )
            params.update(zip(saved["params"], group["params"]))
            options = {key: copy.deepcopy(value) for key, value in saved.items() if key != "params"}
            groups.append({**group, **options})
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for key, values in state_dict["state"].items():
            if key in params:
                state[params[key]] = {
                    label: self._loaded(value, params[key], f"{label} of parameter {key}", label)
                    for label, value in values.items()
                    if value is not None
                }
            else:
                state[key] = copy.deepcopy(values)
        self.state, self.param_groups = state, groups

    def _loaded(self, value: Any, param: Tensor, where: str, label: str | None = None) -> Any:
        """A copy of one state of a parameter, as this optimizer keeps it."""
        if label in self.state_tensors and not isinstance(value, Tensor):
            kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
            raise TypeError(f"{type(self).__name__}: expected {where} to be a Tensor of minigrad, got a {kind}")
        if isinstance(value, dict):
            return {key: self._loaded(item, param, where) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self._loaded(item, param, where) for item in value)
        if label in self.state_numbers:
            return int(value)
        if not isinstance(value, Tensor):
            return copy.deepcopy(value)
        if label in self.state_tensors and value.shape != param.shape:
            raise ValueError(f"{type(self).__name__}: expected {where} to have shape {param.shape}, got {value.shape}")
        dtype = param.dtype if value.is_floating_point() else value.dtype
        return value.detach().to(device=param.device, dtype=dtype, copy=True)

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled and deep-copied: all but the hooks."""
        return {key: value for key, value in self.__dict__.items() if not key.endswith("_hooks")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _pre_hooks={}, _post_hooks={})

    # --- hooks -------------------------------------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(optimizer, args, kwargs)`` before each step; a pair (args, kwargs) it returns replaces the arguments.

        Args:
            hook: as above; ``args`` begins with the optimizer.

        Returns:
            A handle whose ``remove()`` takes the hook away.
        """
        return Handle(self._pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., None]) -> Handle:
        """Call ``hook(optimizer, args, kwargs)`` after each step; as ``register_step_pre_hook``."""
        return Handle(self._post_hooks, hook)

    def _run_pre_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        for hook in list(self._pre_hooks.values()):
            changed = hook(self, (self, *args), kwargs)
            if changed is not None:
                if not isinstance(changed, tuple) or len(changed) != 2:
                    raise RuntimeError(f"step: expected a hook to return None or a pair (args, kwargs), got {changed!r}")
                (_, *rest), kwargs = changed
                args = tuple(rest)
        return args, kwargs

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])


def _is_number(value: Any) -> bool:
    return hasattr(value, "__float__") and not (isinstance(value, Tensor) and value.numel() != 1)


def _ordered(optimizer: str, params: Any) -> list[Any]:
    """The parameters as a list, if their order means something."""
    if isinstance(params, (set, frozenset)) or not isinstance(params, Iterable):
        raise TypeError(f"{optimizer}: expected parameters in an order, as a list has, got a {type(params).__name__}")
    return list(params)


def _check_parameter(optimizer: str, label: str, param: Any, known: set[int]) -> None:
    """Raise if this cannot be optimized, or is already."""
    if not isinstance(param, Tensor):
        raise TypeError(f"{optimizer}: expected a Tensor as parameter {label}, got a {type(param).__name__}")
    if not param.is_leaf:
        raise ValueError(f"{optimizer}: expected leaf tensors, got the result of {param.grad_fn!r} as parameter {label}")
    if id(param) in known:
        raise ValueError(f"{optimizer}: expected every parameter once, got parameter {label} again, of shape {param.shape}")
