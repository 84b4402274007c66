"""What a Module does around forward, backward, saving and loading when somebody has registered hooks with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._tensor import Tensor
from ..autograd import Function, is_grad_enabled
from ..autograd.hooks import Handle

KINDS = (
    "forward_pre",
    "forward",
    "backward_pre",
    "backward",
    "state_dict_pre",
    "state_dict_post",
    "load_pre",
    "load_post",
)


class WithKeywords:
    """A forward hook that wants to see the keyword arguments too."""

    __slots__ = ("hook",)

    def __init__(self, hook: Callable[..., Any]):
        self.hook = hook

    def __call__(self, *args: Any) -> Any:
        return self.hook(*args)


class ModuleHooks:
    """The hooks of one Module, by kind. A Module has none of these objects until the first hook is registered."""

    __slots__ = KINDS

    def __init__(self) -> None:
        for kind in KINDS:
            setattr(self, kind, {})

    def __getstate__(self) -> dict[str, list[Any]]:
        return {kind: list(getattr(self, kind).values()) for kind in KINDS}

    def __setstate__(self, state: dict[str, list[Any]]) -> None:
        for kind, hooks in state.items():  # handles count up from 0: the hooks that come without one count down
            setattr(self, kind, {number - len(hooks): hook for number, hook in enumerate(hooks)})


def register(module: Any, kind: str, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False) -> Handle:
    """Add a hook of a kind to a Module's."""
    if not callable(hook):
        raise TypeError(f"{type(module).__name__}: expected a hook that can be called, got {type(hook).__name__}")
    if module._hooks is None:
        module._hooks = ModuleHooks()
    hooks = getattr(module._hooks, kind)
    before = dict(hooks)
    handle = Handle(hooks, WithKeywords(hook) if with_kwargs else hook)
    if prepend:
        for number in before:
            hooks[number] = hooks.pop(number)
    return handle


def call_with_hooks(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``module.forward``, and before and after it what the module's hooks want."""
    hooks = module._hooks
    for hook in list(hooks.forward_pre.values()):
        args, kwargs = _before_forward(module, hook, args, kwargs)
    passage = None
    if hooks.backward or hooks.backward_pre:
        passage = BackwardPassage(module)
        args = passage.enter(args)
    result = module.forward(*args, **kwargs)
    for hook in list(hooks.forward.values()):
        keywords = (kwargs,) if type(hook) is WithKeywords else ()
        replaced = hook(module, args, *keywords, result)
        result = result if replaced is None else replaced
    return result if passage is None else passage.leave(result)


def _before_forward(
    module: Any, hook: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments after one forward pre-hook, which may replace them."""
    if type(hook) is not WithKeywords:
        replaced = hook(module, args)
        if replaced is None:
            return args, kwargs
        return replaced if isinstance(replaced, tuple) else (replaced,), kwargs
    replaced = hook(module, args, kwargs)
    if replaced is None:
        return args, kwargs
    if not (isinstance(replaced, tuple) and len(replaced) == 2):
        raise RuntimeError(
            f"{type(module).__name__}: expected a forward pre-hook with_kwargs to return None or a pair (args, kwargs), "
            f"got {type(replaced).__name__}"
        )
    return replaced


class Passage(Function):
    """The identity on several tensors, whose gradients go through ``convert`` on their way back, all at once.

    One that does not come is zeros there if it is to be ``materialized``, and None if not.
    """

    @staticmethod
    def forward(ctx: Any, convert: Callable[..., Any], materialized: bool, *tensors: Tensor) -> Any:
        ctx.convert = convert
        ctx.set_materialize_grads(materialized)
        return tensors

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        return None, None, *ctx.convert(grads)


class BackwardPassage:
    """One call of a Module with backward hooks: its tensors pass through here on their way in and on their way out.

    Backward comes to the outputs first, with the gradients that the hooks know as ``grad_output``, and then to the inputs, with
    ``grad_input``. Nothing here refers to the graph, so that the graph may refer to this.
    """

    def __init__(self, module: Any):
        self.module = module
        self.input_places: list[int] = []
        self.output_places: list[int] = []
        self.inputs = self.outputs = 0
        self.grad_output: tuple[Any, ...] = ()

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The module's positional arguments, those that require grad passed on."""
        self.inputs = len(args)
        self.input_places, args = _pass(args, self._input_grads, True)
        return args

    def leave(self, result: Any) -> Any:
        """The module's result (a Tensor, or a tuple or list with Tensors) passed on."""
        if not isinstance(result, (Tensor, tuple, list)):
            return result
        values = (result,) if isinstance(result, Tensor) else tuple(result)
        self.outputs = len(values)
        self.output_places, values = _pass(values, self._output_grads, False)
        if not self.output_places:
            return result
        return values[0] if isinstance(result, Tensor) else _rebuilt(type(result), values)

    def _output_grads(self, grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        grad_output = _at(self.output_places, grads, self.outputs)
        for hook in list(self.module._hooks.backward_pre.values()):
            replaced = hook(self.module, grad_output)
            if replaced is not None:
                grad_output = _replacement("backward pre-hook", replaced, grad_output)
        self.grad_output = grad_output
        if not self.input_places:  # no gradient will come to an input: this is the last chance
            self._run_backward_hooks((None,) * self.inputs)
        return tuple(grad_output[i] for i in self.output_places)

    def _input_grads(self, grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        grad_input = self._run_backward_hooks(_at(self.input_places, grads, self.inputs))
        self.grad_output = ()
        return tuple(grad_input[i] for i in self.input_places)

    def _run_backward_hooks(self, grad_input: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in list(self.module._hooks.backward.values()):
            replaced = hook(self.module, grad_input, self.grad_output)
            if replaced is not None:
                grad_input = _replacement("backward hook", replaced, grad_input)
        return grad_input


def _pass(values: tuple[Any, ...], convert: Callable[..., Any], materialized: bool) -> tuple[list[int], tuple[Any, ...]]:
    """The places of the values that require grad, and the values with those sent through a Passage."""
    places = [i for i, value in enumerate(values) if isinstance(value, Tensor) and value.requires_grad]
    if not (places and is_grad_enabled()):
        return [], values
    passed = dict(zip(places, Passage.apply(convert, materialized, *(values[i] for i in places)), strict=True))
    return places, tuple(passed.get(i, value) for i, value in enumerate(values))


def _rebuilt(kind: type, values: tuple[Any, ...]) -> Any:
    """The values as a tuple or list of a kind; one with a constructor of its own, as namedtuples have, gets them one by one."""
    return kind(*values) if issubclass(kind, tuple) and kind.__new__ is not tuple.__new__ else kind(values)


def _at(places: list[int], values: tuple[Any, ...], length: int) -> tuple[Any, ...]:
    """A tuple of the length with the values at their places and None elsewhere."""
    spread: list[Any] = [None] * length
    for place, value in zip(places, values, strict=True):
        spread[place] = value
    return tuple(spread)


def _replacement(what: str, replaced: Any, expected: tuple[Any, ...]) -> tuple[Any, ...]:
    """The gradients that a hook returned, one for each that it was given."""
    replaced = (replaced,) if isinstance(replaced, Tensor) else tuple(replaced)
    if len(replaced) != len(expected):
        raise RuntimeError(f"{what}: expected None or {len(expected)} gradients, got {len(replaced)}")
    return replaced
