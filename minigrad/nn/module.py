"""Module: what every layer and network is, with PyTorch's everyday protocol."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from .._tensor import Tensor
from ..autograd import no_grad
from ..autograd.hooks import Handle
from ..dtypes import FLOATING
from ..ops.conversion import destination
from .arguments import advice, an
from .failure import name_module
from .hooks import call_with_hooks, register
from .registry import NotYet, Registry
from .state import IncompatibleKeys, collect, load

Self = TypeVar("Self", bound="Module")


class Module(Registry):
    """A part of a network: its parameters, its buffers, the modules it is made of, and what it computes, ``forward``.

    A subclass calls ``super().__init__()`` first; then Parameters and Modules that it assigns to attributes are found by
    ``parameters()``, ``state_dict()``, ``to()`` and the rest. Calling the module calls ``forward``, with the hooks around it;
    an error that forward raises names the path to the module that raised it.

    >>> import minigrad
    >>> from minigrad import nn
    >>> class Scale(nn.Module):
    ...     def __init__(self, features):
    ...         super().__init__()
    ...         self.weight = nn.Parameter(minigrad.ones(features))
    ...     def forward(self, x):
    ...         return x * self.weight
    >>> scale = Scale(2)
    >>> scale(minigrad.tensor([1.0, 2.0])).shape
    (2,)
    >>> [name for name, _ in scale.named_parameters()]
    ['weight']
    """

    training: bool
    _hooks: Any = NotYet()
    """A ModuleHooks once there is a hook, None before."""

    _optional_state: ClassVar[tuple[str, ...]] = ()
    """Names of own tensors that a state dict may lack, because files of an older form of the module do."""

    def __init__(self, *args: Any, **kwargs: Any):
        if args or kwargs:
            given = [*args, *kwargs.values()][0]
            name = type(self).__name__
            raise TypeError(f"{name}: expected no arguments, got {an(type(given).__name__)}{advice(self, given)}")
        super().__init__()
        self.__dict__.update(training=True, _hooks=None)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines its own.

        Raises:
            NotImplementedError: if it does not.
        """
        raise NotImplementedError(f"{type(self).__name__}: expected the class to define forward, got none")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._hooks is None:
                return self.forward(*args, **kwargs)
            return call_with_hooks(self, args, kwargs)
        except Exception as error:
            name_module(error, self)
            raise

    # --- changing all of it ------------------------------------------------------------------------------------------

    def apply(self: Self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` on all modules below and then on this one, to initialise them for instance."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self: Self, mode: bool = True) -> Self:
        """Tell this module and all below it whether they are being trained: dropout and batch normalisation differ.

        Raises:
            ValueError: if ``mode`` is not a bool.
        """
        if not isinstance(mode, bool):
            raise ValueError(f"train: expected mode to be a bool, got {an(type(mode).__name__)}")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self: Self) -> Self:
        """``train(False)``."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Say for every parameter whether its gradient is wanted: ``False`` freezes the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget every parameter's gradient; without ``set_to_none`` fill it with zeros."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad = parameter.grad.detach().zero_()

    def _apply(self: Self, convert: Callable[[Tensor], Tensor]) -> Self:
        """Convert all parameters, their gradients and the buffers. Parameters stay the objects that an optimizer knows."""
        with no_grad():
            for parameter in self.parameters():
                converted = convert(parameter)
                if converted is not parameter:
                    parameter.data = converted
                if parameter.grad is not None:
                    parameter.grad = convert(parameter.grad)
            known: dict[int, Tensor] = {}
            for module in self.modules():
                for name, buffer in module._own("buffer"):
                    if buffer is not None:
                        setattr(module, name, known.setdefault(id(buffer), convert(buffer)))
        return self

    def to(self: Self, *args: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False) -> Self:
        """Convert the module itself, and return it: ``to(device)``, ``to(dtype)``, ``to(device, dtype)``, ``to(tensor)``.

        Args:
            args: as above; True or False after them is ``non_blocking``.
            dtype: for floating parameters and buffers; integer ones only move.
            device: where they are to be.
            non_blocking: as in ``Tensor.to``.

        Raises:
            TypeError: if the dtype is not floating.

        >>> import minigrad
        >>> minigrad.nn.Linear(2, 2).to("cpu", minigrad.float64).weight.dtype
        dtype('float64')
        """
        if len(args) > 1 and isinstance(args[-1], bool):
            args, non_blocking = args[:-1], args[-1]
        dtype, device = destination(args, dtype, device)
        if dtype is not None and dtype not in FLOATING:
            raise TypeError(f"{type(self).__name__}.to: expected a floating dtype, got {dtype}")

        def convert(tensor: Tensor) -> Tensor:
            kept = dtype if tensor.is_floating_point() else None
            return tensor.to(dtype=kept, device=device, non_blocking=non_blocking)

        return self._apply(convert)

    def cpu(self: Self) -> Self:
        """Move the module to the CPU."""
        return self.to(device="cpu")

    def cuda(self: Self, device: Any = None) -> Self:
        """Move the module to a CUDA device: a number, a name, or the current one."""
        return self.to(device="cuda" if device is None else f"cuda:{device}" if isinstance(device, int) else device)

    def half(self: Self) -> Self:
        """Convert the floating parameters and buffers to float16."""
        return self.to(dtype="float16")

    def bfloat16(self: Self) -> Self:
        """Convert the floating parameters and buffers to bfloat16."""
        return self.to(dtype="bfloat16")

    def float(self: Self) -> Self:
        """Convert the floating parameters and buffers to float32."""
        return self.to(dtype="float32")

    def double(self: Self) -> Self:
        """Convert the floating parameters and buffers to float64."""
        return self.to(dtype="float64")

    # --- state -------------------------------------------------------------------------------------------------------

    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """All parameters and persistent buffers by their paths, in order. They share the module's memory.

        Args:
            destination: a dict to add them to, instead of a new OrderedDict.
            prefix: what the paths start with.
            keep_vars: give the Parameters themselves, not detached tensors.

        >>> from minigrad import nn
        >>> list(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, affine=False)).state_dict())
        ['0.weight', '0.bias', '1.running_mean', '1.running_var', '1.num_batches_tracked']
        """
        return collect(self, OrderedDict() if destination is None else destination, prefix, keep_vars)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> IncompatibleKeys:
        """Take over the values of a state dict: all of them, or none where the dict does not fit.

        Args:
            state_dict: Tensors by path, of any floating dtype and on any device.
            strict: whether missing and unexpected keys are errors.
            assign: make the Tensors themselves the module's, with their dtype and device, instead of copying their values.

        Returns:
            A named tuple of ``missing_keys`` and ``unexpected_keys``.

        Raises:
            RuntimeError: if the dict does not fit; the message lists everything at once, and nothing has changed.
        """
        return load(self, state_dict, strict, assign)

    # --- hooks -------------------------------------------------------------------------------------------------------

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> Handle:
        """Call ``hook(module, args)`` before forward; what it returns, if anything, replaces the arguments.

        Args:
            hook: with ``with_kwargs`` called as ``hook(module, args, kwargs)``, to return None or ``(args, kwargs)``.
            prepend: run it before the hooks that are there already.
            with_kwargs: let the hook see keyword arguments.

        Returns:
            A handle whose ``remove()`` takes the hook away.
        """
        return register(self, "forward_pre", hook, prepend=prepend, with_kwargs=with_kwargs)

    def register_forward_hook(self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False) -> Handle:
        """Call ``hook(module, args, output)`` after forward; what it returns, if anything, replaces the output.

        Args:
            hook: with ``with_kwargs`` called as ``hook(module, args, kwargs, output)``.
            prepend: run it before the hooks that are there already.
            with_kwargs: let the hook see keyword arguments.

        Returns:
            A handle whose ``remove()`` takes the hook away.
        """
        return register(self, "forward", hook, prepend=prepend, with_kwargs=with_kwargs)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call ``hook(module, grad_output)`` in backward before the module's part; it may return other gradients."""
        return register(self, "backward_pre", hook, prepend=prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call ``hook(module, grad_input, grad_output)`` in backward after the module's part; it may return another grad_input.

        Both are tuples: one gradient per positional argument and per output, None for what is no tensor that requires grad. In
        ``grad_output`` it is None, too, for an output that no gradient came to; in ``grad_input`` that is zeros.
        """
        return register(self, "backward", hook, prepend=prepend)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(module, prefix, keep_vars)`` before the module's state is collected."""
        return register(self, "state_dict_pre", hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` when the module's state is collected; it may edit it."""
        return register(self, "state_dict_post", hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call a hook before a state dict is compared with the module; it may edit the dict, to rename keys for instance.

        Args:
            hook: called as ``hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys,
                error_msgs)`` with a copy of the dict; the three lists belong to the report and may be added to.
        """
        return register(self, "load_pre", hook)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(module, incompatible_keys)`` when a state dict has been loaded.

        The hook may take keys out of the two lists: with ``strict``, those that are left are an error, and nothing was loaded.
        """
        return register(self, "load_post", hook)

    # --- how it prints -----------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What ``repr`` shows of the module itself; a layer names its settings here."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        children = self._own("module")
        if not children and "\n" not in extra:
            return f"{type(self).__name__}({extra})"
        lines = extra.split("\n") if extra else []
        lines += [f"({name}): {child!r}" for name, child in children]
        body = "\n".join(lines).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {body}\n)"
