"""Checks of what layers are made with. The commonest slip is a Tensor there: ``nn.ReLU(x)`` for ``nn.ReLU()(x)``."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from .._tensor import Tensor


def an(noun: str) -> str:
    """The noun with its article."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def refuse(layer: Any, name: str, expected: str, value: Any) -> TypeError:
    """The error for a setting of a layer that is not what was expected."""
    kind = type(layer)
    message = f"{kind.__name__}: expected {name} to be {expected}, got {an(type(value).__name__)}"
    return TypeError(message + advice(layer, value))


def advice(layer: Any, value: Any) -> str:
    """What to do about a Tensor where a layer's setting belongs."""
    if not isinstance(value, Tensor):
        return ""
    kind = type(layer)
    prefix = "nn." if kind.__module__.startswith(__package__) else ""
    return f"; make the layer first: {prefix}{kind.__name__}()(x)"


def boolean(layer: Any, name: str, value: Any) -> bool:
    """A layer's setting that is true or false."""
    if not isinstance(value, (bool, int)):
        raise refuse(layer, name, "a bool", value)
    return bool(value)


def number(layer: Any, name: str, value: Any) -> float:
    """A layer's setting that is a number, kept as it is."""
    if not isinstance(value, Real):
        raise refuse(layer, name, "a number", value)
    return value  # type: ignore[return-value]


def integer(layer: Any, name: str, value: Any) -> int:
    """A layer's setting that is an integer; True and False are none, though Python counts them among the ints."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise refuse(layer, name, "an int", value)
    return int(value)


def sizes(layer: Any, name: str, value: Any) -> Any:
    """A layer's setting that is an integer, or one for every dimension (None keeps the input's); kept as it is."""
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, (tuple, list)) and all(v is None or isinstance(v, Integral) for v in value):
        return tuple(None if v is None else int(v) for v in value)
    raise refuse(layer, name, "an int or a tuple of ints", value)


def repeated(layer: Any, name: str, value: Any, dimensions: int) -> Any:
    """A layer's setting as a tuple with one integer for every dimension; one alone counts for all."""
    found = sizes(layer, name, value)
    if isinstance(found, int):
        return (found,) * dimensions
    if len(found) != dimensions or None in found:
        raise ValueError(f"{type(layer).__name__}: expected {name} to be an int or {dimensions} of them, got {value}")
    return found


def choice(layer: Any, name: str, value: Any, choices: tuple[str, ...]) -> str:
    """A layer's setting that is one of several words."""
    if not isinstance(value, str):
        raise refuse(layer, name, "a str", value)
    if value not in choices:
        raise ValueError(f"{type(layer).__name__}: expected {name} to be one of {', '.join(choices)}, got {value!r}")
    return value
