"""Function: users' own differentiable operations, with PyTorch's protocol."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .._tensor import Tensor
from ..dtypes import FLOATING
from .inplace import Returned, adopt, check_writable
from .modes import modes, no_grad
from .operation import Operation, Output, again, edge_of, wrap
from .versions import Saved, saved_of, version_of


class Context:
    """``ctx``: what forward and backward of one use of a Function share. Attributes may have any name but its methods'."""

    __slots__ = ("__dict__", "_node")

    def __init__(self, node: FunctionNode):
        self._node = node
        self.__dict__ = node.attributes

    @property
    def needs_input_grad(self) -> tuple[bool, ...]:
        """For each argument of ``apply``: whether its gradient is asked for."""
        return tuple(self._node.needs(i) for i in range(len(self._node.input_likes)))

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What ``save_for_backward`` kept, with the place in the graph that each had."""
        return self._node.saved_tensors

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or outputs for ``backward``; other tensors may be kept too, and count as constants there.

        Raises:
            TypeError: for anything but Tensors and None, which belong into attributes of ctx.
        """
        for tensor in tensors:
            if tensor is not None and not isinstance(tensor, Tensor):
                raise TypeError(
                    f"save_for_backward: expected Tensors or None, got {type(tensor).__name__}; keep other things as "
                    "attributes of ctx"
                )
        self._node.to_save = tensors

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say which inputs ``forward`` changed in place; it must return them too."""
        self._node.dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say which outputs have no gradient."""
        self._node.not_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether ``backward`` gets zeros (the default) or None for an output that no gradient reached."""
        self._node.materialize = bool(value)


class FunctionNode(Operation):
    """The node of one use of a Function. It keeps the attributes of ``ctx`` apart from its own, and shows them too."""

    def __init__(self, function: type[Function]):
        self.function = function
        self.attributes: dict[str, Any] = {}
        self.materialize = True
        self.to_save: tuple[Any, ...] = ()
        self.dirty: tuple[Tensor, ...] = ()
        self.not_differentiable: tuple[Tensor, ...] = ()

    def __getattr__(self, name: str) -> Any:
        attributes = self.__dict__.get("attributes", {})
        if name in attributes:
            return attributes[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"<{self.name}>"

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """As ``ctx.saved_tensors``."""
        if self.saved is None:
            return ()
        found = []
        for key in self.constant("keys"):
            if isinstance(key, Saved):
                self._unchanged(key, "tensor")
                key = again(key)
            elif key is not None:
                key = self.input(key) if key >= 0 else self.output(~key)
            found.append(key)
        return tuple(found)

    def run(self, args: tuple[Any, ...]) -> Any:
        """Call the user's forward and put the result on the tape."""
        self.gather(args)
        self.input_likes = [_like(a) for a in args]
        function = self.function
        with no_grad():
            if function.setup_context is Function.setup_context:
                result = function.forward(Context(self), *args)
            else:
                result = function.forward(*args)
                function.setup_context(Context(self), args, result)
        if any(isinstance(a, Tensor) and a._requires_grad for a in args) and modes.grad:
            results = result if isinstance(result, tuple) else (result,)
            tensors = self._finish(args, results)
            result = tensors if isinstance(result, tuple) else tensors[0]
        self.inputs = None
        self.to_save = self.dirty = self.not_differentiable = ()
        return result

    def _finish(self, args: tuple[Any, ...], results: tuple[Any, ...]) -> tuple[Any, ...]:
        """The results with their nodes; what was asked to be saved is saved."""
        for tensor in self.dirty:
            check_writable(tensor, self.name, True)
            if not _among(tensor, results):
                raise RuntimeError(f"{self.name}: a tensor that was marked dirty must be returned from forward too")
        self.outputs = len(results)
        tensors = [self._output(args, i, r) if isinstance(r, Tensor) else r for i, r in enumerate(results)]
        self.output_likes = [_like(r) for r in results]
        self._save_for_backward(args, results)
        if self.saved is not None:
            self.finish_saving(tensors)
        return tuple(tensors)

    def _output(self, args: tuple[Any, ...], i: int, result: Tensor) -> Tensor:
        """Result ``i`` with its node. Where it shares an input's memory it is a view, which cannot be written to."""
        constant = result.dtype not in FLOATING or _among(result, self.not_differentiable)
        node = None if constant else self if self.outputs == 1 else Output(self, i)
        if _among(result, self.dirty):
            if node is not None:
                adopt(result, node)
            return result
        if _among(result, args):
            with no_grad():
                result = Returned().apply(result)
        tensor = wrap(result.array, node)
        tensor._version, tensor._view = version_of(result), result._view
        return tensor

    def _save_for_backward(self, args: tuple[Any, ...], results: tuple[Any, ...]) -> None:
        keys: list[Any] = []
        for tensor in self.to_save:
            key: Any = None
            if _among(tensor, args) and not _among(tensor, self.dirty):
                key = next(i for i, argument in enumerate(args) if argument is tensor)
            elif _among(tensor, results):
                key = next(~i for i, result in enumerate(results) if result is tensor)
            elif tensor is not None:
                key = saved_of(tensor.array, version_of(tensor))
            keys.append(key)
        if keys:
            self.save_constant("keys", keys)
            for key in keys:
                if isinstance(key, int):
                    self.save_input(key) if key >= 0 else self.save_output(~key)

    def backward(self, *grads: Any) -> Any:
        if self.materialize:
            grads = tuple(
                wrap(self.xp.zeros(like[0], dtype=like[1])) if grad is None and like is not None else grad
                for grad, like in zip(grads, self.output_likes, strict=True)
            )
        results = self.function.backward(Context(self), *grads)
        results = results if isinstance(results, (tuple, list)) else (results,)
        wanted = len(self.input_likes)
        if len(results) < wanted or any(r is not None for r in results[wanted:]):
            raise RuntimeError(
                f"{self.name}.backward: expected {wanted} gradients, one per argument of forward, got {len(results)}"
            )
        return [
            None if result is None else self._gradient(i, like, result)
            for i, (like, result) in enumerate(zip(self.input_likes, results))
        ]

    def _gradient(self, i: int, like: Any, result: Any) -> Tensor | None:
        """What backward returned for argument ``i``, checked, and in the argument's dtype."""
        if not isinstance(result, Tensor):
            raise TypeError(f"{self.name}.backward: expected a Tensor or None for argument {i}, got {type(result).__name__}")
        if like is None:
            raise RuntimeError(f"{self.name}.backward: expected None for argument {i}, which was no tensor")
        if self.edges[i] is None:
            return None
        if result.shape != like[0]:
            raise RuntimeError(
                f"{self.name}.backward: expected a gradient of shape {like[0]} for argument {i}, got {result.shape}"
            )
        return result.to(like[1])


def _among(tensor: Any, others: tuple[Any, ...]) -> bool:
    """Whether the very same Tensor is among others."""
    return tensor is not None and any(tensor is other for other in others)


def _like(value: Any) -> tuple[tuple[int, ...], Any] | None:
    return (value.shape, value.dtype) if isinstance(value, Tensor) else None


class Function:
    """A differentiable operation of your own: subclass it and give it ``forward`` and ``backward``.

    ``forward(ctx, *args)`` gets what ``apply`` is called with and returns a Tensor or a tuple of them; operations inside it
    are not recorded. ``backward(ctx, *grad_outputs)`` gets one gradient per output and returns one per argument (None for
    what is not a tensor); written in Tensor operations, it can be differentiated again. With ``setup_context(ctx, inputs,
    output)`` given as well, ``forward`` takes no ctx.

    >>> import minigrad
    >>> class Cube(minigrad.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x * x
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (x,) = ctx.saved_tensors
    ...         return 3 * x * x * grad
    >>> x = minigrad.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The result; see the class."""
        raise NotImplementedError("Function: a subclass must define the static method forward(ctx, *args)")

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Any, ...], output: Any) -> None:
        """Save what backward needs, where forward takes no ctx."""
        raise NotImplementedError("Function: setup_context is called only where a subclass defines it")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients; see the class."""
        raise NotImplementedError("Function: a subclass must define the static method backward(ctx, *grad_outputs)")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run the operation, and record it if an argument requires grad."""
        return FunctionNode(cls).run(args)


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a Function's backward as not differentiable itself: asking for its derivative is an error, not a wrong number."""

    @functools.wraps(backward)
    def wrapped(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            results = backward(ctx, *grads)
        if not modes.grad:
            return results
        node = ctx._node
        refusal = _OnceDifferentiable(node.name)
        refusal.record(node.backend, [*node.edges, *(edge_of(g) for g in grads if isinstance(g, Tensor))])
        several = results if isinstance(results, (tuple, list)) else (results,)
        return tuple(wrap(r.array, refusal) if isinstance(r, Tensor) else r for r in several)

    return wrapped


class _OnceDifferentiable(Operation):
    """The node of a gradient that depends on its inputs in an unknown way: its own backward refuses."""

    def __init__(self, function_name: str):
        self.function_name = function_name

    def backward(self, grad: Tensor) -> Any:
        raise RuntimeError(f"{self.function_name}.backward is marked once_differentiable: it has no derivative")
