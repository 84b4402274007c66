"""Whether operations are recorded: one switch per thread, and the context managers that turn it."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Generator, Mapping
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class _Modes(threading.local):
    grad = True
    inference = False
    autocast: Mapping[str, Any] = {}
    """The kinds of devices whose operations choose a dtype by themselves, each with its short float (autocast.py)."""
    casts: dict[Any, Any] | None = None
    """Parameters that autocast has converted, None where it does not keep them."""


modes = _Modes()


class _Mode:
    """A context manager, and a decorator of functions and generators, that sets the switches and puts them back."""

    _entered: tuple[Any, ...] = ()
    """What the switches were, for each time that this object was entered and not left, the last one first."""

    def __enter__(self) -> None:
        self._entered = ((modes.grad, modes.inference), *self._entered)
        modes.grad, modes.inference = self._wanted()

    def __exit__(self, *exception: object) -> None:
        (modes.grad, modes.inference), *rest = self._entered
        self._entered = tuple(rest)

    def _wanted(self) -> tuple[bool, bool]:
        raise NotImplementedError(type(self).__name__)

    def _again(self) -> _Mode:
        """A fresh context manager like this one: a decorated function may call itself."""
        return type(self)()

    def __call__(self, function: F) -> F:
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generator(*args: Any, **kwargs: Any) -> Any:
                return self._steps(function(*args, **kwargs))

            return generator  # type: ignore[return-value]

        @functools.wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return function(*args, **kwargs)

        return decorated  # type: ignore[return-value]

    def _steps(self, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """The generator, each of whose steps runs in this mode; between them the caller's mode is back."""
        step, argument = generator.send, None
        while True:
            with self._again():
                try:
                    value = step(argument)
                except StopIteration as stop:
                    return stop.value
            try:
                step, argument = generator.send, (yield value)
            except GeneratorExit:
                with self._again():
                    generator.close()
                raise
            except BaseException as error:
                step, argument = generator.throw, error


class _Switch(_Mode):
    """A mode without arguments, which therefore decorates also without parentheses: ``@no_grad``."""

    def __new__(cls, function: Any = None) -> Any:
        return super().__new__(cls) if function is None else cls()(function)


class no_grad(_Switch):
    """Inside, operations are not recorded: results need no gradient and nothing is saved for one.

    >>> import minigrad
    >>> x = minigrad.ones(2, requires_grad=True)
    >>> with minigrad.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    def _wanted(self) -> tuple[bool, bool]:
        return False, modes.inference


class enable_grad(_Switch):
    """Inside, operations are recorded, also within a ``no_grad`` block, but not within ``inference_mode``.

    >>> import minigrad
    >>> x = minigrad.ones(2, requires_grad=True)
    >>> with minigrad.no_grad(), minigrad.enable_grad():
    ...     (x * 2).requires_grad
    True
    """

    def _wanted(self) -> tuple[bool, bool]:
        return not modes.inference, modes.inference


class inference_mode(_Mode):
    """``no_grad`` whose results may never be saved for a gradient: they carry no version and no view.

    Args:
        mode: if False, operations are recorded, also within ``inference_mode`` and ``no_grad``.

    >>> import minigrad
    >>> with minigrad.inference_mode():
    ...     minigrad.ones(2).is_inference()
    True
    """

    def __new__(cls, mode: Any = True) -> Any:
        return cls()(mode) if callable(mode) else super().__new__(cls)

    def __init__(self, mode: bool = True):
        self._mode = bool(mode)

    def _wanted(self) -> tuple[bool, bool]:
        return not self._mode, self._mode

    def _again(self) -> _Mode:
        return inference_mode(self._mode)


class set_grad_enabled(_Mode):
    """Turn recording on or off: at once when called, and put it back when used as a context manager.

    Within ``inference_mode`` it stays off.

    >>> import minigrad
    >>> with minigrad.set_grad_enabled(False):
    ...     minigrad.is_grad_enabled()
    False
    """

    def __init__(self, mode: bool):
        self._mode = bool(mode)
        self._before = modes.grad
        modes.grad, _ = self._wanted()

    def __enter__(self) -> None:
        self._entered = ((self._before, modes.inference), *self._entered)
        modes.grad, _ = self._wanted()
        self._before = modes.grad

    def __call__(self, function: F) -> F:
        modes.grad = self._before
        return super().__call__(function)

    def _wanted(self) -> tuple[bool, bool]:
        return self._mode and not modes.inference, modes.inference

    def _again(self) -> _Mode:
        return set_grad_enabled(self._mode)


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread.

    >>> import minigrad
    >>> minigrad.is_grad_enabled()
    True
    """
    return modes.grad


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside ``inference_mode``.

    >>> import minigrad
    >>> minigrad.is_inference_mode_enabled()
    False
    """
    return modes.inference
