"""The name of a place where arrays live: ``cpu``, ``cuda:0``."""

from __future__ import annotations

import threading
from typing import Any


class _Here(threading.local):
    """What belongs to one thread; a context variable would be inherited by new threads where Python has no lock."""

    entered: tuple[Device, ...] = ()
    """The devices whose ``with`` blocks it is in, the innermost first."""


_here = _Here()


class Device:
    """A device, as in PyTorch: a type and, where there may be several, an index.

    In a ``with`` block new tensors are made on it unless their ``device`` says otherwise: a network made on ``meta`` has
    shapes, but takes no memory.

    Args:
        type: ``'cpu'``, ``'cuda'`` or ``'cuda:1'``.
        index: the device's number, if the type does not name it.

    Raises:
        ValueError: if the string is not a type with an optional number.

    >>> import minigrad
    >>> minigrad.device("cuda:1").index
    1
    >>> minigrad.zeros(2).device == "cpu"
    True
    >>> with minigrad.device("meta"):
    ...     layer = minigrad.nn.Linear(1_000_000, 1_000_000)
    >>> layer.weight.device
    device('meta')
    """

    __slots__ = ("index", "type")

    def __init__(self, type: str, index: int | None = None):
        name, colon, number = str(type).partition(":")
        if not name or (colon and (index is not None or not number.isdigit())):
            raise ValueError(f"device: expected a name such as 'cpu', 'cuda' or 'cuda:1', got {type!r} with index {index}")
        self.type = name
        self.index = int(number) if colon else index

    @classmethod
    def parse(cls, device: Any) -> Device:
        """A Device from a Device, a string, a CUDA device's number, or None: that of a ``with`` block, or else the CPU."""
        if isinstance(device, Device):
            return device
        if isinstance(device, int) and not isinstance(device, bool):
            return cls("cuda", device)
        if device is None:
            return cls.entered() or cls("cpu")
        if isinstance(device, str):
            return cls(device or "cpu")
        raise TypeError(f"device: expected a string, a number or a device, got {type(device).__name__}")

    @staticmethod
    def entered() -> Device | None:
        """The device of the innermost ``with`` block."""
        return next(iter(_here.entered), None)

    def __enter__(self) -> Device:
        _here.entered = (self, *_here.entered)
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave this device's innermost block; a generator may leave its own when others have been entered since."""
        entered = list(_here.entered)
        if self in entered:
            entered.remove(self)
            _here.entered = tuple(entered)

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return str(self) == other
        return isinstance(other, Device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash(str(self))
