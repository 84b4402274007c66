"""The engine: walks the tape from the outputs back, with a stack of its own instead of recursion.

First it counts, for every node that can be reached, how many gradients will arrive there. Then it runs each node when its last
one has come, adds the results up at the nodes' inputs, and drops what the node had saved. With chosen ``inputs`` only the
nodes that lead to one of them take part.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any

from .._tensor import Tensor
from ..backends import backend_of
from .deferred import Pending, compute_waiting
from .hooks import retains_grad
from .inplace import check_places
from .locks import SharedLock
from .modes import modes
from .operation import Operation, Output, edge_of, wrap
from .versions import version_of


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add the gradient of ``tensors`` to the ``.grad`` of every leaf that they were computed from.

    Args:
        tensors: one or several outputs.
        grad_tensors: for each, the gradient that comes from above, of its shape; may be left out for a scalar (it is 1 then).
        retain_graph: keep what was saved, so that the graph can be walked again (default: the value of ``create_graph``).
        create_graph: record the backward pass too, so that the gradients can be differentiated.
        inputs: accumulate into these tensors only.

    Raises:
        RuntimeError: if an output needs no gradient, is no scalar and has no gradient given, or its graph was freed.

    >>> import minigrad
    >>> x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    >>> minigrad.autograd.backward((x * x).sum())
    >>> x.grad
    tensor([2., 4.])
    """
    outputs = _as_tuple(tensors, "backward: tensors")
    roots = _roots("backward", outputs, grad_tensors)
    targets = None
    if inputs is not None:
        chosen = _as_tuple(inputs, "backward: inputs")
        if not chosen:
            raise RuntimeError("backward: expected at least one tensor in inputs, got none")
        targets = [_target("backward", t, i) for i, t in enumerate(chosen)]
    found = _run(roots, targets, create_graph if retain_graph is None else retain_graph, create_graph)
    if targets is not None:
        for tensor, target in zip(chosen, targets, strict=True):
            if target in found:
                box = [found.pop(target)]
                if not retains_grad(tensor):  # else it has it already
                    _accumulate(tensor, box, create_graph)
    if create_graph and targets is None:
        warnings.warn(
            "backward(create_graph=True) leaves a reference cycle between each parameter and its .grad: "
            "use autograd.grad, or set .grad to None afterwards",
            stacklevel=3,
        )


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradient of ``outputs`` with respect to ``inputs``, as new tensors: no ``.grad`` is touched.

    Args:
        outputs: one or several tensors.
        inputs: the tensors to differentiate by; any tensor of the graph, not only leaves.
        grad_outputs: the gradient from above for each output; may be left out for scalars.
        retain_graph: keep what was saved (default: the value of ``create_graph``).
        create_graph: record the backward pass too: for gradients of gradients.
        only_inputs: True; the argument is here for its place.
        allow_unused: return None for an input that the outputs do not depend on, instead of raising.
        is_grads_batched: False; minigrad has no vmap.
        materialize_grads: return zeros instead of None there.

    Returns:
        One gradient per input.

    Raises:
        RuntimeError: as ``backward``, and if an input needs no gradient or was not used.
        ValueError: for another value of ``only_inputs`` or ``is_grads_batched``, or arguments that contradict each other.

    >>> import minigrad
    >>> x = minigrad.tensor(3.0, requires_grad=True)
    >>> (first,) = minigrad.autograd.grad(x**3, x, create_graph=True)
    >>> minigrad.autograd.grad(first, x)
    (tensor(18.),)
    """
    if not only_inputs:
        raise ValueError(f"grad: expected only_inputs=True (backward accumulates into all leaves), got {only_inputs!r}")
    if is_grads_batched:
        raise ValueError(f"grad: expected is_grads_batched=False, got {is_grads_batched!r}; call grad once per gradient")
    if materialize_grads and allow_unused is False:
        raise ValueError("grad: expected allow_unused to be True or left out when materialize_grads is True, got False")
    chosen = _as_tuple(inputs, "grad: inputs")
    if not chosen:
        raise RuntimeError("grad: expected at least one tensor in inputs, got none")
    roots = _roots("grad", _as_tuple(outputs, "grad: outputs"), grad_outputs)
    targets = [_target("grad", t, i) for i, t in enumerate(chosen)]
    found = _run(roots, targets, create_graph if retain_graph is None else retain_graph, create_graph)
    results: list[Tensor | None] = []
    for i, (tensor, target) in enumerate(zip(chosen, targets, strict=True)):
        result = found.get(target)
        if result is None and materialize_grads:
            result = wrap(backend_of(tensor.array).xp.zeros_like(tensor.array))
        elif result is None and not allow_unused:
            raise RuntimeError(
                f"grad: input {i} (shape {tensor.shape}) was not used to compute the outputs; "
                "pass allow_unused=True to get None for it"
            )
        results.append(result)
    return tuple(results)


def _as_tuple(tensors: Any, what: str) -> tuple[Tensor, ...]:
    tensors = (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)
    for t in tensors:
        if not isinstance(t, Tensor):
            raise TypeError(f"{what}: expected a Tensor or a sequence of them, got {type(t).__name__}")
    return tensors


def _target(name: str, tensor: Tensor, i: int) -> Any:
    edge = edge_of(tensor)
    if edge is None:
        raise RuntimeError(f"{name}: input {i} (shape {tensor.shape}) does not require grad")
    return edge


def _roots(name: str, outputs: tuple[Tensor, ...], grads: Any) -> list[tuple[Any, Tensor]]:
    """The edges to start from, each with the gradient that comes from above."""
    given: tuple[Any, ...]
    given = (grads,) if grads is None or isinstance(grads, Tensor) else tuple(grads)
    if grads is None:
        given = (None,) * len(outputs)
    if len(given) != len(outputs):
        raise RuntimeError(f"{name}: expected one gradient per output, got {len(given)} for {len(outputs)} outputs")
    roots = []
    for i, (output, above) in enumerate(zip(outputs, given, strict=True)):
        edge = edge_of(output)
        if edge is None:
            raise RuntimeError(
                f"{name}: output {i} does not require grad and no recorded operation made it; "
                "was it computed from leaves with requires_grad=True, outside no_grad?"
            )
        if above is None:
            if output.array.size != 1:
                raise RuntimeError(
                    f"{name}: a gradient is implied for scalar outputs only, and output {i} has shape {output.shape}; "
                    "reduce it (.sum(), .mean()) or pass its gradient"
                )
            above = wrap(backend_of(output.array).xp.ones_like(output.array))
        else:
            above = _fitting(name, i, output, above)
        roots.append((edge, above))
    return roots


def _fitting(name: str, i: int, output: Tensor, above: Any) -> Tensor:
    """The gradient from above of output ``i``, in the output's dtype."""
    if not isinstance(above, Tensor):
        raise TypeError(f"{name}: expected a Tensor as the gradient of output {i}, got {type(above).__name__}")
    if above.shape != output.shape:
        raise RuntimeError(f"{name}: expected a gradient of shape {output.shape} for output {i}, got {above.shape}")
    if above.device != output.device:
        raise RuntimeError(f"{name}: expected a gradient on {output.device} for output {i}, got one on {above.device}")
    return above.to(output.dtype)


def _run(
    roots: list[tuple[Any, Tensor]], targets: list[Any] | None, retain_graph: bool, create_graph: bool
) -> dict[Any, Tensor]:
    """Walk back from the roots. Without targets accumulate into the leaves; with them return the gradients that reach them."""
    if not roots:
        return {}
    edges = [edge for edge, _ in roots]
    wanted = None if targets is None else _leading_to(set(targets), edges)
    walk = _Walk(frozenset(targets or ()), wanted, retain_graph, create_graph)
    before = modes.grad, modes.autocast
    modes.grad, modes.autocast = create_graph, {}  # gradients have the dtypes that the forward pass chose
    try:
        backend = backend_of(roots[0][1].array)
        with backend.quiet(), backend.many_kernels():  # an overflow in a gradient shows in the gradient
            walk.run([root for root in roots if wanted is None or root[0] in wanted])
    finally:
        modes.grad, modes.autocast = before
    return walk.found


LATE = 8
"""How many gradients of leaves may still be on their way, before the walk waits for the first of them."""


class _Walk:
    """One walk over the tape: what has arrived where, and how much is still to come."""

    def __init__(self, targets: frozenset[Any], wanted: set[Any] | None, retain_graph: bool, create_graph: bool):
        self.targets = targets
        self.wanted = wanted
        self.retain_graph = retain_graph
        self.create_graph = create_graph
        self.found: dict[Any, Tensor] = {}
        self.arrived: dict[Any, Any] = {}
        self.summed: set[Any] = set()
        self.late: list[tuple[Tensor, list[Any]]] = []  # leaves whose gradients other threads may still be computing

    def run(self, roots: list[tuple[Any, Tensor]]) -> None:
        waiting = _count([edge for edge, _ in roots], self.wanted)
        arrived, wanted = self.arrived, self.wanted
        for edge, above in roots:
            arrived[edge] = self.add(edge, arrived.get(edge), above)
        ready = [edge for edge in arrived if edge not in waiting]
        while ready:
            node = ready.pop()
            if isinstance(node, Tensor):
                self.finish_leaf(node)
                continue
            grads = arrived.pop(node, None)
            if type(grads) is not list:  # a node with one output: several outputs' gradients come as a list
                if node.hooks is not None and grads is not None:
                    grads = _run_hooks(node.hooks.values(), grads)
                if node in self.targets and grads is not None:
                    self.found[node] = grads
                grads = [grads]
            results: Any = self.backward_of(node, grads)
            for i, edge in enumerate(node.edges):
                if edge is None or (wanted is not None and edge not in wanted):
                    continue
                if results[i] is not None:
                    if type(node) is Output:
                        slots = arrived.setdefault(edge, [None] * edge.outputs)
                        slots[node.index] = self.add(node, slots[node.index], results[i])
                    else:
                        arrived[edge] = self.add(edge, arrived.get(edge), results[i])
                waiting[edge] -= 1
                if waiting[edge] == 0:
                    ready.append(edge)
                elif results[i] is not None and type(results[i]._deferred) is Pending:
                    results[i]._deferred.start()  # the walk turns to something else first
            del grads, results  # nothing here may keep a gradient alive, or look like its holder, in the next turn
        for leaf, box in self.late:
            _accumulate(leaf, box, self.create_graph)
        for grad in self.found.values():
            grad.array  # noqa: B018

    def add(self, place: Any, held: Tensor | None, grad: Tensor) -> Tensor:
        """The sum of what arrived before at a place and what arrives now: in place once it is an array of this walk's own."""
        if held is None:
            return grad
        if self.create_graph or place not in self.summed:
            self.summed.add(place)
            return held + grad
        backend_of(held.array).xp.add(held.array, grad.array, out=held.array)
        return held

    def backward_of(self, node: Operation, grads: list[Tensor | None]) -> Sequence[Tensor | None]:
        """The gradients of a node's inputs; afterwards what the node had saved is gone, unless it is to be kept."""
        nothing = all(grad is None for grad in grads)
        if self.wanted is not None:
            nothing = nothing or not any(edge in self.wanted for edge in node.edges)
        if nothing:
            return (None,) * len(node.edges)
        node.wanted = self.wanted
        try:
            results = grads if type(node) is Output else node.backward(*grads)
        finally:
            node.wanted = None
        if isinstance(results, Tensor) or results is None:
            results = (results,)
        if node.post_hooks is not None:
            results = _run_post_hooks(node, results, grads)
        if not self.retain_graph:
            node.release()
        return results

    def finish_leaf(self, leaf: Tensor) -> None:
        """All gradients of a leaf have come: return them if they were asked for, else accumulate."""
        box = [self.arrived.pop(leaf, None)]
        if box[0] is None:
            return
        if leaf._hooks is not None:
            box[0] = _run_hooks(leaf._hooks.gradient.values(), box[0])
        if leaf in self.targets:
            self.found[leaf] = box[0]
        elif self.wanted is None:
            if box[0]._deferred is not None and leaf._hooks is None:
                self.late.append((leaf, box))
                if len(self.late) > LATE:
                    _accumulate(*self.late.pop(0), self.create_graph)
            else:
                _accumulate(leaf, box, self.create_graph)


def _count(roots: list[Any], wanted: set[Any] | None) -> dict[Any, int]:
    """For every edge below the roots: how many nodes will send a gradient there."""
    counts: dict[Any, int] = {}
    stack = [edge for edge in dict.fromkeys(roots) if not isinstance(edge, Tensor)]
    seen = set(stack)
    while stack:
        node = stack.pop()
        for edge in node.edges:
            if edge is None or (wanted is not None and edge not in wanted):
                continue
            counts[edge] = counts.get(edge, 0) + 1
            if edge not in seen and not isinstance(edge, Tensor):
                seen.add(edge)
                stack.append(edge)
    return counts


def _leading_to(targets: set[Any], roots: list[Any]) -> set[Any]:
    """All edges on a path from a root to a target, the targets among them."""
    users: dict[Any, list[Any]] = {}
    seen = set(roots)
    stack = [edge for edge in seen if not isinstance(edge, Tensor)]
    while stack:
        node = stack.pop()
        if node.shares is not None and node.shares() in targets:
            node.separate()
        for edge in node.edges:
            if edge is None:
                continue
            users.setdefault(edge, []).append(node)
            if edge not in seen:
                seen.add(edge)
                if not isinstance(edge, Tensor):
                    stack.append(edge)
    leading = targets & seen
    stack = list(leading)
    while stack:
        for node in users.get(stack.pop(), ()):
            if node not in leading:
                leading.add(node)
                stack.append(node)
    return leading


def _run_hooks(hooks: Any, grad: Tensor) -> Tensor:
    """The gradient after a tensor's hooks, each of which may replace it."""
    for hook in list(hooks):
        replaced = hook(grad)
        if replaced is not None:
            if not isinstance(replaced, Tensor):
                raise RuntimeError(f"hook: expected None or a gradient of shape {grad.shape}, got {replaced!r}")
            if (replaced.shape, replaced.dtype, replaced.device) != (grad.shape, grad.dtype, grad.device):
                raise RuntimeError(
                    f"hook: expected None or a gradient of shape {grad.shape}, {grad.dtype} on {grad.device}, "
                    f"got one of shape {replaced.shape}, {replaced.dtype} on {replaced.device}"
                )
            grad = replaced
    return grad


def _run_post_hooks(node: Operation, results: Sequence[Tensor | None], grads: list[Tensor | None]) -> Sequence[Tensor | None]:
    for hook in list(node.post_hooks.values()):
        replaced = hook(tuple(results), tuple(grads))
        if replaced is not None:
            replaced = (replaced,) if isinstance(replaced, Tensor) else tuple(replaced)
            if len(replaced) != len(results):
                raise RuntimeError(f"hook: expected {len(results)} gradients of {node.name}'s inputs, got {len(replaced)}")
            results = replaced
    return results


_accumulating = SharedLock()
"""Held while a gradient is added: threads may go back to one leaf at a time."""


def _accumulate(leaf: Tensor, box: list[Any], create_graph: bool) -> None:
    """Add the gradient in the box to ``leaf.grad``; the first one is kept as it is if nobody else holds its memory."""
    box[0].array  # noqa: B018  # which another thread may be computing
    with _accumulating.lock:
        held = leaf._grad
        if held is None:
            leaf._grad = box[0].clone() if create_graph else _own(box)
        elif create_graph:
            leaf._grad = held + box[0]
        else:
            compute_waiting(held)
            check_places("backward", held)
            xp = backend_of(held.array).xp
            xp.add(held.array, box[0].array, out=held.array)
            version_of(held).bump("backward")
    if leaf._hooks is not None:
        for hook in list(leaf._hooks.accumulated.values()):
            hook(leaf)


def _own(box: list[Any]) -> Tensor:
    """The gradient in the box, in memory that only ``.grad`` will hold: a copy where somebody else holds it too."""
    grad, *references = _taken(box)
    array = grad.array
    backend = backend_of(array)
    if references != _ALONE or not backend.owns_memory(array) or not array.flags.c_contiguous:
        array = backend.xp.array(array, copy=True, order="C")
    return wrap(array)


def _taken(box: list[Any]) -> tuple[Tensor, int, int]:
    """The gradient in the box, which is emptied, and how many references there are to it and to its array."""
    grad = box.pop()
    array = grad.array
    return grad, sys.getrefcount(grad), sys.getrefcount(array)


# What Python counts for a gradient that only the box holds; the number differs between Python's versions.
_, *_ALONE = _taken([wrap(object())])
