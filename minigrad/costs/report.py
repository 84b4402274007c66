"""The numbers of ``summary``, and how they print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..backends.meta import ReceptiveField
from ..nn import Module

_COLUMNS = ("module", "output", "parameters", "multiply-adds", "saved", "field")
_WIDEST_OUTPUT = 40


@dataclass(eq=False)
class Row:
    """What one module costs, with all modules below it.

    Args:
        path: its path in the network, "" for the network itself.
        kind: its class's name.
        parameters: how many numbers are in its parameters, each parameter once.
        trainable_parameters: those of them that require grad.
        calls: how often it ran.
        output_shape: of what it returned last: a shape, or nested lists, tuples and dicts of shapes; None if it never ran.
        multiply_adds: of convolutions and products of matrices, in all its calls.
        saved_bytes: what the tape keeps of it for backward.
        receptive_field: of what it returned last; None if that depends on no image.
        holds_running: whether a module below it ran, though it did not itself.
    """

    path: str
    kind: str
    parameters: int
    trainable_parameters: int
    calls: int = 0
    output_shape: Any = None
    multiply_adds: int = 0
    saved_bytes: int = 0
    receptive_field: ReceptiveField | None = None
    holds_running: bool = False

    @classmethod
    def of(cls, path: str, module: Module) -> Row:
        """The row of a module that has not run yet."""
        parameters = list(module.parameters())
        trainable = sum(p.numel() for p in parameters if p.requires_grad)
        return cls(path, type(module).__name__, sum(p.numel() for p in parameters), trainable)

    @property
    def depth(self) -> int:
        """How many modules it is in."""
        return self.path.count(".") + 1 if self.path else 0

    @property
    def label(self) -> str:
        """What the table calls it: ``  layer1: Sequential``."""
        name = self.path.rpartition(".")[2]
        times = f" ×{self.calls}" if self.calls > 1 else ""
        return "  " * self.depth + (f"{name}: " if name else "") + self.kind + times

    def cells(self) -> list[str]:
        """Its line of the table."""
        if not self.calls and not self.holds_running:
            return [self.label, "(not run)", f"{self.parameters:,}", "", "", ""]
        output = _short(_shown(self.output_shape)) if self.calls else ""
        place = "" if self.receptive_field is None else str(self.receptive_field)
        return [self.label, output, f"{self.parameters:,}", amount(self.multiply_adds), size(self.saved_bytes), place]


@dataclass
class Summary:
    """What a network costs: a row for each module, and the totals.

    Args:
        rows: in the order in which the modules are registered, the network itself first.
        parameters: how many numbers are in the parameters, each parameter once.
        trainable_parameters: those of them that require grad.
        multiply_adds: of convolutions and products of matrices.
        saved_bytes: what the tape keeps for backward, parameters not among it.
        parameter_bytes: the memory of the parameters.
        buffer_bytes: the memory of the buffers.
        depth: how many levels of modules are printed; None for all.
    """

    rows: list[Row] = field(repr=False)
    parameters: int
    trainable_parameters: int
    multiply_adds: int
    saved_bytes: int
    parameter_bytes: int
    buffer_bytes: int
    depth: int | None = None

    def __getitem__(self, path: str) -> Row:
        """The row of the module at a path such as ``"layer1.0.conv1"``; of the network itself for the empty path."""
        for row in self.rows:
            if row.path == path:
                return row
        raise KeyError(f"summary: no module at {path!r}; a module that is in several places has one row, for the first")

    def __str__(self) -> str:
        shown = [row.cells() for row in self.rows if self.depth is None or row.depth <= self.depth]
        trainable = "all" if self.trainable_parameters == self.parameters else f"{self.trainable_parameters:,}"
        buffers = f"; buffers: {size(self.buffer_bytes)}" if self.buffer_bytes else ""
        return "\n".join(
            [
                *_table(shown),
                f"parameters: {self.parameters:,} ({trainable} trainable), {size(self.parameter_bytes)}{buffers}",
                f"multiply-adds: {amount(self.multiply_adds)}",
                f"saved for backward: {size(self.saved_bytes)}",
            ]
        )


def partial_table(rows: Sequence[Row], running: Sequence[Row]) -> str:
    """The modules that ran before an error, without those below one that had returned, and the one that it came out of."""
    calls = {row.path: row.calls for row in rows}
    open_paths = {"", *(path for row in running for path in _and_above(row.path))}

    def is_below_open(path: str) -> bool:
        """Whether the module that called this one, which a container such as a ModuleList does not, has not returned."""
        above = path.rpartition(".")[0]
        return above in open_paths or (calls[above] == 0 and is_below_open(above))

    shown = []
    for row in rows:
        if row.path in open_paths:
            failed = bool(running) and row is running[-1]
            shown.append([row.label, "<- failed here" if failed else "", "", "", "", ""])
        elif row.calls == 0 and is_below_open(row.path):
            if any(calls[path] for path in calls if path.startswith(f"{row.path}.")):
                shown.append([row.label, "", "", "", "", ""])
        elif row.calls and is_below_open(row.path):
            cells = row.cells()
            shown.append([*cells[:4], "", cells[5]])  # what the tape keeps is known at the end
    return "\n".join(["the modules up to here:", *_table(shown)])


def _and_above(path: str) -> list[str]:
    """A module's path, and those of the modules that it is in."""
    names = path.split(".")
    return [".".join(names[:count]) for count in range(1, len(names) + 1)]


def _table(lines: list[list[str]]) -> list[str]:
    lines = [list(_COLUMNS), *lines]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_COLUMNS))]
    texts = []
    for line in lines:
        left = [cell.ljust(width) for cell, width in zip(line[:2], widths[:2], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(line[2:5], widths[2:5], strict=True)]
        texts.append((" ".join(left) + "  " + "  ".join([*right, line[5]])).rstrip())
    return texts


def _shown(shape: Any) -> str:
    if isinstance(shape, dict):
        return "{" + ", ".join(f"{key}: {_shown(item)}" for key, item in shape.items()) + "}"
    if isinstance(shape, tuple) and hasattr(shape, "_fields"):
        return ", ".join(f"{name}={_shown(item)}" for name, item in zip(shape._fields, shape, strict=True))
    if isinstance(shape, list):
        return "[" + ", ".join(map(_shown, shape)) + "]"
    return str(shape)


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST_OUTPUT else text[: _WIDEST_OUTPUT - 1] + "…"


def amount(number: int) -> str:
    """A count in thousands, millions, … with two decimals; small ones as they are."""
    for unit, letter in ((10**12, "T"), (10**9, "G"), (10**6, "M")):
        if number >= unit:
            return f"{number / unit:.2f} {letter}"
    return f"{number:,}"


def size(count: int) -> str:
    """Bytes in KiB, MiB, …, with up to two decimals."""
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if count >= 1024**power:
            return f"{count / 1024**power:.2f}".rstrip("0").rstrip(".") + f" {unit}"
    return f"{count} B"
