"""Which layer was it? When a Module's forward raises, the error's message gets the path to the module that raised.

The error unwinds through the calls of all modules around the one that raised, from the inside out. Each looks up, below
itself, the module that the path starts from so far, and puts the name in front. This needs no references from modules to
their parents, which would be cycles, and costs nothing until something goes wrong.
"""

from __future__ import annotations

from typing import Any, NamedTuple

# Their message is their first argument, and nobody takes it for anything but a message. Other errors get a note.
_PLAIN = (RuntimeError, ValueError, TypeError, IndexError)


class _Place(NamedTuple):
    """Where an error has come from so far. Only ids and text: an error may be pickled, and no module is to go with it."""

    identity: int
    path: str
    kind: str

    @property
    def text(self) -> str:
        return f"in {self.path} ({self.kind})" if self.path else ""


def name_module(error: Exception, module: Any) -> None:
    """Note that an error has come out of a call of ``module``: ``in layer1.0.conv1 (Conv2d): conv2d: expected …``."""
    before = getattr(error, "_raised_in", None)
    name = None if before is None else _name_below(module, before.identity)
    if before is None:
        _name_inputs(error, module)
    if before is None or name is None:
        now = _Place(id(module), "", type(module).__name__)
    else:
        now = _Place(id(module), f"{name}.{before.path}" if before.path else name, before.kind)
    error._raised_in = now  # type: ignore[attr-defined]
    _retell(error, "" if before is None else before.text, now.text)


def _name_inputs(error: Any, module: Any) -> None:
    """Call an operation's inputs that are the module's own by their names: ``got input 0 on cpu, weight on cuda:0``."""
    names = {id(tensor): name for name, tensor in (*module.named_parameters(), *module.named_buffers())}
    for i, identity in enumerate(getattr(error, "_inputs", ())):
        if identity in names:
            error.args = (error.args[0].replace(f" input {i} on ", f" {names[identity]} on "), *error.args[1:])


def _name_below(module: Any, identity: int) -> str | None:
    """The name, as seen from a module, of a module below it."""
    for name, child in module.named_modules():
        if id(child) == identity and child is not module:
            return name
    return None


def _retell(error: Exception, before: str, now: str) -> None:
    """Replace what an error says about its place."""
    if type(error) in _PLAIN and len(error.args) == 1 and isinstance(error.args[0], str):
        message = error.args[0]
        if before:
            message = message.removeprefix(f"{before}: ")
        error.args = (f"{now}: {message}" if now else message,)
        return
    notes = getattr(error, "__notes__", [])
    if before and before in notes:
        notes.remove(before)
    if now:
        error.add_note(now)
