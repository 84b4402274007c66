"""What stands in a loaded object for something that minigrad does not make, where the user asked for that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .errors import printable


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Placeholder:
    """Stands where a file asked for a class, a function or a dtype that ``minigrad.load`` does not know.

    It holds the name and nothing else: what the file wanted to do with it was not done. Each is equal to itself only.

    Args:
        name: what the file asked for, such as ``argparse.Namespace``.

    >>> import minigrad
    >>> minigrad.io.Placeholder("argparse.Namespace")
    <placeholder for argparse.Namespace>
    """

    name: str

    def __repr__(self) -> str:
        return f"<placeholder for {printable(self.name)}>"


def placeholder_from(parts: Iterable[Any]) -> Placeholder | None:
    """A new placeholder for what is made from parts, if one of them is a placeholder: the first one's name goes on."""
    for part in parts:
        if type(part) is Placeholder:
            return Placeholder(part.name)
    return None
