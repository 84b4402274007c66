"""Watches a network without values run: which modules run, what they return, multiply and keep for backward.

What a module keeps is found on the tape itself. When a module is entered, what its inputs lead to and nobody has claimed yet
belongs to the modules that are running; when it is left, what its outputs lead to is its own. At the end the tape is walked
once more, and only what is still there counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from .._tensor import Tensor
from ..autograd.deferred import Elementwise
from ..autograd.operation import Operation
from ..autograd.versions import Saved
from ..backends.meta import MetaArray, union
from ..nn import Module
from ..ops.rectifier import Rectified, Relu
from .report import Row, Summary, partial_table

_NOT_KEPT = Operation.STATE - {"saved"}


class Recorder:
    """One run of a network.

    Args:
        model: the network itself.
        running: its copy without values, which gets hooks.
        depth: how many levels of modules the summary prints.
    """

    def __init__(self, model: Module, running: Module, depth: int | None):
        self.model, self.running, self.depth = model, running, depth
        self.rows: dict[str, Row] = {}
        self.stack: list[Row] = []
        self.seen: WeakSet[Any] = WeakSet()
        self.unsettled: WeakKeyDictionary[Any, tuple[Row, ...]] = WeakKeyDictionary()
        """Nodes whose results have yet to be computed, and saved, and to whom these will belong."""
        originals = dict(model.named_modules())
        for path, module in running.named_modules():
            row = self.rows[path] = Row.of(path, originals[path])
            module.register_forward_pre_hook(partial(self.enter, row), with_kwargs=True)
            module.register_forward_hook(partial(self.leave, row))

    def run(self, inputs: list[Tensor]) -> Summary:
        """Call the network once."""
        try:
            result = self.running(*inputs)
        except Exception as error:
            error.add_note(partial_table(list(self.rows.values()), self.stack))
            raise
        for tensor in tensors_in(result):
            tensor.array  # noqa: B018  # it may have waited to be computed
        self.claim(result)
        saved = self.kept(result)
        for array in saved:
            for row in array.saved_by:
                row.saved_bytes += array.nbytes
        self.add_up_containers()
        parameters = list(self.model.parameters())
        return Summary(
            rows=list(self.rows.values()),
            parameters=sum(p.numel() for p in parameters),
            trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
            multiply_adds=self.rows[""].multiply_adds,
            saved_bytes=sum(array.nbytes for array in saved),
            parameter_bytes=sum(p.nbytes for p in parameters),
            buffer_bytes=sum(buffer.nbytes for buffer in self.model.buffers()),
            depth=self.depth,
        )

    # --- while it runs -------------------------------------------------------------------------------------------------

    def enter(self, row: Row, module: Module, args: Any, kwargs: Any) -> None:
        """A module is called."""
        self.claim((args, kwargs))
        self.stack.append(row)
        row.calls += 1

    def leave(self, row: Row, module: Module, args: Any, output: Any) -> None:
        """A module returns."""
        self.claim(output)
        ended = self.stack.pop()
        while ended is not row:  # it ended in an error, which the model caught
            ended = self.stack.pop()
        row.output_shape = described(output)
        row.receptive_field = union(source_of(tensor).field for tensor in tensors_in(output))

    def count(self, multiplications: int) -> None:
        """A convolution or a product was computed."""
        for row in dict.fromkeys(self.stack):
            row.multiply_adds += multiplications

    def claim(self, value: Any) -> None:
        """What the tape below some tensors keeps, and nobody has claimed, belongs to the modules that are running."""
        self.unsettled.update(dict.fromkeys(nodes_below(value, self.seen), tuple(dict.fromkeys(self.stack))))
        for node, owners in list(self.unsettled.items()):
            if isinstance(node, Relu) and node.source is not None:
                continue
            for array in arrays_of(node):
                if array.saved_by is None:
                    array.saved_by = owners
            del self.unsettled[node]

    # --- afterwards ----------------------------------------------------------------------------------------------------

    def kept(self, result: Any) -> list[MetaArray]:
        """The pieces of memory that the tape below the result keeps, parameters and buffers not among them."""
        found = {id(array): array for node in nodes_below(result, set()) for array in arrays_of(node)}
        for tensor in (*self.running.parameters(), *self.running.buffers()):
            found.pop(id(owner_of(tensor.array)), None)
        return list(found.values())

    def add_up_containers(self) -> None:
        """Modules that are never called themselves, as a ModuleList, cost what those below them do."""
        for path, row in reversed(self.rows.items()):
            if row.calls:
                continue
            prefix = f"{path}." if path else ""
            below = [r for p, r in self.rows.items() if p and p.startswith(prefix) and "." not in p[len(prefix) :]]
            row.multiply_adds = sum(r.multiply_adds for r in below)
            row.saved_bytes = sum(r.saved_bytes for r in below)
            row.holds_running = any(r.calls or r.holds_running for r in below)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from tensors_in(item)


def described(value: Any) -> Any:
    """The same nested tuples, lists and dicts with shapes in place of tensors, and type names in place of all else."""
    if isinstance(value, Tensor):
        return value.shape
    if isinstance(value, dict):
        return {key: described(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        items = [described(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else items
    return None if value is None else type(value).__name__


def source_of(tensor: Tensor) -> Any:
    """The tensor's array; of a deferred one, which nobody should compute for this, the array of the same shape before it."""
    return tensor._deferred.source if type(tensor._deferred) in (Elementwise, Rectified) else tensor.array


def nodes_below(value: Any, seen: Any) -> Iterator[Any]:
    """The nodes of the tape that lead to some tensors and are not in ``seen``, to which they are added."""
    waiting = [tensor.node for tensor in tensors_in(value)]
    while waiting:
        node = waiting.pop()
        if node is None or isinstance(node, Tensor) or node in seen:
            continue
        seen.add(node)
        yield node
        waiting.extend(node.edges)


def arrays_of(node: Any) -> Iterator[MetaArray]:
    """The pieces of memory that a node keeps alive."""
    for name, value in node.__dict__.items():
        if name not in _NOT_KEPT:
            yield from _owners_in(value)


def _owners_in(value: Any) -> Iterator[MetaArray]:
    if isinstance(value, Tensor):
        value = source_of(value)
    elif isinstance(value, Saved):
        value = value.array
    if isinstance(value, MetaArray):
        yield owner_of(value)
    elif isinstance(value, (tuple, list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _owners_in(item)


def owner_of(array: MetaArray) -> MetaArray:
    """The array whose memory this one shows."""
    return array if array.base is None else array.base
