"""How often a piece of memory was changed in place, and where: what turns a silently wrong gradient into an error.

Tensors that share memory (views, detached copies) share one Version. An operation that saves an array for its backward
notes the count; if the count is another one when backward comes, the error names the line that saved and the line that wrote.
"""

from __future__ import annotations

import os
import sys
import weakref
from types import CodeType, FrameType
from typing import Any

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_inside_package: dict[str, bool] = {}


class Version:
    """The number of in-place changes of one piece of memory, and the last of them."""

    # One is made per saved tensor, and few are ever written to: the defaults stand here once.
    count = 0
    writer = ""
    written_at: tuple[CodeType, int] | None = None
    inference = False
    waiting: Any = ()
    """Weak references to tensors that are to be computed from this memory as it is now (deferred.py)."""
    saved: Any = None
    """A weak reference to the Saved that was made last."""

    def kept(self) -> Saved | None:
        """The array that operations keep, as it was when the last of them did."""
        return None if self.saved is None else self.saved()

    def bump(self, writer: str) -> None:
        """Note a change in place by the operation named ``writer``."""
        self.count += 1
        self.writer = writer
        self.written_at = callers_line()


def version_of(tensor: Any) -> Version:
    """The tensor's Version, made when somebody first wants it."""
    version = tensor._version
    if version is None:
        version = tensor._version = Version()
    return version


class Saved:
    """An array that an operation keeps for backward, and how often it had been changed by then.

    Operations that keep the same array as it was at the same time share one: so it is known how many references to an array
    are the tape's, which never writes to it.
    """

    __slots__ = ("__weakref__", "array", "count", "version")

    def __init__(self, array: Any, version: Version):
        self.array, self.version, self.count = array, version, version.count


def saved_of(array: Any, version: Version) -> Saved:
    """A tensor's array as it is now, to be kept."""
    before = version.saved
    kept = None if before is None else before()
    if kept is None or kept.array is not array or kept.count != version.count:
        kept = Saved(array, version)
        version.saved = weakref.ref(kept)
    return kept


def bump_all(tensors: Any, writer: str) -> None:
    """Note a change in place of many tensors by one operation, of those that somebody keeps count of."""
    line = callers_line()
    for tensor in tensors:
        version = tensor._version
        if version is not None:
            version.count += 1
            version.writer = writer
            version.written_at = line


def inference_version() -> Version:
    """The Version of a tensor made in ``inference_mode``."""
    version = Version()
    version.inference = True
    return version


def callers_line(skipped: int = 2) -> tuple[CodeType, int] | None:
    """The nearest line outside the package, kept as code and instruction: looking its number up can wait for the error.

    Args:
        skipped: how many of the nearest calls are known to be the package's own, this one included.
    """
    frame: FrameType | None = sys._getframe(skipped)
    while frame is not None:
        code = frame.f_code
        inside = _inside_package.get(code.co_filename)
        if inside is None:
            inside = _inside_package[code.co_filename] = code.co_filename.startswith(_PACKAGE)
        if not inside:
            return code, frame.f_lasti
        frame = frame.f_back
    return None


def describe(line: tuple[CodeType, int] | None) -> str:
    """``file:number`` of a line that ``callers_line`` kept."""
    if line is None:
        return "an unknown line"
    code, instruction = line
    number = code.co_firstlineno
    for start, end, found in code.co_lines():
        if start <= instruction < end and found is not None:
            number = found
    return f"{code.co_filename}:{number}"
