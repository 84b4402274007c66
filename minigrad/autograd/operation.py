"""Operation: what a differentiable operation is made of, and the node that one use of it leaves on the tape.

    class Exp(Unary):
        def forward(self, x, out=None):      # arrays in, an array out
            self.save_output()
            return self.xp.exp(x, out=out)

        def backward(self, grad):            # Tensors in, Tensors out: so that it can be differentiated itself
            return grad * self.output()

An instance is made per use, ``Exp().apply(x)``; it is the node. Static parameters are arguments of ``__init__``. Node and
tensors refer to each other in one direction only: a tensor knows the node that made it (``tensor.node``), a node knows its
inputs' nodes (``edges``; a leaf stands for itself), never its own outputs. So a graph has no reference cycle, and dropping
the loss frees it.

The constant rule. What ``backward`` uses must be a saved input or output (``save_input``, ``save_output``: they come back as
Tensors with their place in the graph) or locally constant in the inputs, such as a mask, an argmax, a dropout draw
(``save_constant``). Anything else would make a second derivative silently wrong.
"""

from __future__ import annotations

import weakref
from typing import Any, ClassVar

from .._tensor import Tensor
from ..backends import backend_of
from ..dtypes import FLOATING
from .modes import modes
from .versions import Saved, Version, callers_line, describe, inference_version, saved_of, version_of
from .views import View, refresh

_new = Tensor.__new__
FREED: dict[Any, Any] = {}


def edge_of(tensor: Tensor) -> Any:
    """Where a tensor's gradient goes: the node that made it, the tensor itself if it is a leaf, None if nobody asks."""
    if tensor._view is not None:
        refresh(tensor)
    if not tensor._requires_grad:
        return None
    return tensor if tensor.node is None else tensor.node


def wrap(array: Any, node: Any = None) -> Tensor:
    """A Tensor over an array: the one place where results are made."""
    tensor = _new(Tensor)
    tensor.array = array
    tensor.node = node
    tensor._requires_grad = node is not None
    tensor._grad = tensor._view = tensor._hooks = tensor._deferred = None
    tensor._version = inference_version() if modes.inference else None
    return tensor


def again(saved: Saved, node: Any = None) -> Tensor:
    """What was saved as a Tensor: what is derived from it in backward notices changes in place too."""
    tensor = wrap(saved.array, node)
    tensor._version = saved.version
    return tensor


class Operation:
    """One operation, and one node of the tape. A subclass has ``forward`` and ``backward``."""

    STATE: ClassVar[frozenset[str]] = frozenset(
        {
            "backend",
            "xp",
            "edges",
            "inputs",
            "target",
            "saved",
            "saved_at",
            "wanted",
            "hooks",
            "post_hooks",
            "shares",
            "sharing",
        }
    )
    """The attributes that belong to one use, with their defaults below; all others are static parameters."""
    backend: Any
    xp: Any
    """The NumPy-like namespace of the inputs' backend."""
    edges: Any
    inputs: Any = None
    target: Any = None
    saved: Any = None
    saved_at: Any = None
    wanted: Any = None
    hooks: Any = None
    post_hooks: Any = None
    shares: Any = None
    """A weak reference to the operation whose place on the tape this one has taken too (``share_place``), if it has."""
    sharing: Any = None
    """Weak references to the operations that have taken this one's place too."""

    is_view: ClassVar[bool] = False
    """Whether the output is a view of input 0."""
    differentiable: ClassVar[bool] = True
    """Whether the outputs have a gradient; if not, nothing is recorded."""
    takes_out: ClassVar[bool] = False
    """Whether forward takes ``out=``, an array for its result that may be one of its inputs."""
    outputs: int = 1
    """How many outputs ``forward`` returns; a tuple if more than one."""

    def forward(self, *arrays: Any) -> Any:
        """The result's array from the inputs' arrays, none of them changed."""
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def backward(self, *grads: Any) -> Any:
        """One gradient per input (None where it is not needed), from one gradient per output (None where none came)."""
        raise NotImplementedError(f"{type(self).__name__}.backward")

    @property
    def name(self) -> str:
        """The operation's name in messages: ``CrossEntropy`` is ``cross_entropy``."""
        word = type(self).__name__
        return "".join("_" + c.lower() if c.isupper() and i else c.lower() for i, c in enumerate(word))

    # --- use ---------------------------------------------------------------------------------------------------------

    def apply(self, *inputs: Any) -> Any:
        """Run the operation on Tensors (or Python numbers, or None), and record it where a gradient may be asked for.

        Raises:
            RuntimeError: if two inputs are on different devices.
        """
        result = self.forward(*self.gather(inputs))
        node = None if self.edges is NOT_RECORDED else self
        if self.outputs > 1:
            return self._wrap_all(inputs, result)
        if type(result) is not self.backend.array_type:
            result = self.backend.xp.asarray(result)
        output = wrap(result, node)
        if node is not None:
            self.inputs = None
            if self.saved is not None:
                self.finish_saving((output,))
        if self.is_view:
            self._share_memory(inputs[0], output, 0)
        return output

    def gather(self, inputs: tuple[Any, ...]) -> list[Any]:
        """The inputs' arrays; sets the backend, and the edges if the operation is to be recorded."""
        arrays: list[Any] = []
        edges: list[Any] = []
        recorded = False
        array_type = None
        for tensor in inputs:
            if not isinstance(tensor, Tensor):
                arrays.append(tensor)
                edges.append(None)
                continue
            array = tensor.array
            arrays.append(array)
            if type(array) is not array_type:
                if array_type is not None:
                    self._refuse_devices(inputs)
                array_type = type(array)
                self.backend = backend_of(array)
                self.xp = self.backend.xp
            if tensor._view is not None:
                refresh(tensor)
            if tensor._requires_grad:
                recorded = True
                edges.append(tensor if tensor.node is None else tensor.node)
            else:
                edges.append(None)
        if recorded and modes.grad and self.differentiable:
            self.edges = edges
            self.inputs = inputs
        else:
            self.edges = NOT_RECORDED
        return arrays

    def _wrap_all(self, inputs: tuple[Any, ...], results: tuple[Any, ...]) -> tuple[Tensor, ...]:
        """Tensors over several outputs; those that are not floating have no gradient."""
        recorded = self.edges is not NOT_RECORDED
        tensors = []
        for i, array in enumerate(results):
            if type(array) is not self.backend.array_type:
                array = self.backend.xp.asarray(array)
            tensors.append(wrap(array, Output(self, i) if recorded and array.dtype in FLOATING else None))
            if self.is_view:
                self._share_memory(inputs[0], tensors[i], i)
        self.inputs = None
        if recorded and self.saved is not None:
            self.finish_saving(tensors)
        return tuple(tensors)

    def fit(self, target: Tensor, *others: Any) -> tuple[Any, ...]:
        """The inputs of the in-place form, checked and converted where the result has to fit into the target."""
        return (target, *others)

    def in_place(self, target: Tensor, *others: Any) -> tuple[Operation, tuple[Any, ...]]:
        """The operation that writes this one's result into the target, as a rule itself, and its inputs."""
        return self, self.fit(target, *others)

    def record(self, backend: Any, edges: list[Any]) -> None:
        """Put the operation on the tape without running it: its output exists already."""
        self.backend, self.xp, self.edges = backend, backend.xp, edges

    def _share_memory(self, base: Tensor, output: Tensor, index: int) -> None:
        """Note that an output is a view of the input: one version for both, and a recipe to make the view again."""
        output._version = version_of(base)
        if not output._version.inference:
            output._view = View(base, self, index)

    def _refuse_devices(self, inputs: tuple[Any, ...]) -> None:
        places = ", ".join(f"input {i} on {t.device}" for i, t in enumerate(inputs) if isinstance(t, Tensor))
        error: Any = RuntimeError(f"{self.name}: expected all tensors on one device, got {places}; move them with .to(device)")
        error._inputs = [id(t) for t in inputs]  # by which a Module finds its parameters among them
        raise error

    def _refuse_inference(self) -> None:
        raise RuntimeError(
            f"{self.name}: an input was made in inference_mode and cannot be saved for the gradient; "
            "use its .clone() made outside inference_mode"
        )

    # --- in forward: what backward will need ---------------------------------------------------------------------------

    def needs(self, i: int) -> bool:
        """Whether anybody asks for the gradient of input ``i``: in forward, and more narrowly in backward."""
        edge = self.edges[i]
        return edge is not None and (self.wanted is None or edge in self.wanted)

    def save_input(self, i: int) -> None:
        """Keep input ``i`` for backward, where ``self.input(i)`` returns it as a Tensor.

        Called before the result is computed: what an in-place operation overwrites is kept as a copy.
        """
        if self.edges is not NOT_RECORDED:
            tensor = self.inputs[i]
            if tensor is self.target and tensor is not None:
                self._save(i, Saved(self.xp.array(tensor.array, copy=True, order="K"), Version()))
            elif isinstance(tensor, Tensor):
                version = version_of(tensor)
                if version.inference:
                    self._refuse_inference()
                self._save(i, saved_of(tensor.array, version))
            else:
                self._save(i, tensor)

    def save_output(self, i: int = 0) -> None:
        """Keep output ``i`` for backward, where ``self.output(i)`` returns it as a Tensor."""
        if self.edges is not NOT_RECORDED:
            self._save(~i, None)

    def save_constant(self, name: str, value: Any) -> None:
        """Keep something that is locally constant in the inputs; ``self.constant(name)`` returns it."""
        if self.edges is not NOT_RECORDED:
            self._save(name, value)

    def _save(self, key: Any, value: Any) -> None:
        if self.saved is None:
            self.saved = {}
            self.saved_at = callers_line(5)  # this, _save, save_…, forward, apply
        self.saved[key] = value

    def finish_saving(self, outputs: Any) -> None:
        for key in self.saved:
            if type(key) is int and key < 0:
                output = outputs[~key]
                self.saved[key] = saved_of(output.array, version_of(output))

    # --- in backward: what forward saved -------------------------------------------------------------------------------

    def input(self, i: int) -> Any:
        """Input ``i`` as forward saw it: a Tensor with its place in the graph, or the Python number that it was."""
        saved = self._saved(i)
        if type(saved) is not Saved:
            return saved
        array = self._unchanged(saved, f"input {i}")
        edge = self.edges[i]
        if isinstance(edge, Tensor) and edge.array is array:
            return edge
        return again(saved, edge)

    def output(self, i: int = 0) -> Any:
        """Output ``i``, with its place in the graph."""
        saved = self._saved(~i)
        self._unchanged(saved, f"output {i}" if self.outputs > 1 else "output")
        return again(saved, self if self.outputs == 1 else Output(self, i))

    def constant(self, name: str) -> Any:
        """What ``save_constant`` kept."""
        return self._saved(name)

    def _saved(self, key: Any) -> Any:
        if self.saved is FREED:
            raise RuntimeError(
                f"backward: the tensors that {self.name} saved at {describe(self.saved_at)} were freed by an earlier "
                "backward through it; pass retain_graph=True to the earlier one to go through the graph twice"
            )
        return self.saved[key]

    def _unchanged(self, saved: Saved, what: str) -> Any:
        array, version, count = saved.array, saved.version, saved.count
        if version.count != count:
            raise RuntimeError(
                f"backward: {self.name} at {describe(self.saved_at)} saved its {what} ({array.dtype}, shape {array.shape}) "
                f"for the gradient, but {version.writer} at {describe(version.written_at)} changed it in place "
                f"(version {count} then, {version.count} now); write to a .clone(), or use the operation that returns a new one"
            )
        return array

    def release(self) -> None:
        """Drop what was saved: its work is done."""
        if self.saved is not None:
            self.saved = FREED

    def share_place(self, before: Operation) -> None:
        """Take the place of the operation before on the tape, too, until somebody asks for the gradient in between."""
        self.shares = weakref.ref(before)
        before.sharing = [*(before.sharing or ()), weakref.ref(self)]

    def take_place(self) -> None:
        """Have its own place on the tape (again), as somebody asks for the gradient there."""
        for ref in self.sharing or ():
            operation = ref()
            if operation is not None and operation.shares is not None:
                operation.separate()
        self.sharing = None

    def separate(self) -> None:
        """Give the operation before this one its place on the tape back: somebody asks for the gradient in between."""
        raise NotImplementedError(f"{type(self).__name__}.separate")

    # --- what users see of a node (tensor.grad_fn) ---------------------------------------------------------------------

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes that the gradient flows to, each with the number of its output, as PyTorch shows them."""
        found = []
        for edge in self.edges:
            found.append((edge.owner, edge.index) if type(edge) is Output else (edge, 0))
        return tuple(found)

    def register_hook(self, hook: Any) -> Any:
        """Call ``hook(grad_inputs, grad_outputs)`` after this node's backward; a tuple it returns replaces grad_inputs."""
        from .hooks import Handle

        self.take_place()
        if self.post_hooks is None:
            self.post_hooks = {}
        return Handle(self.post_hooks, hook)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class Output(Operation):
    """One of several outputs of an operation: the node that each such tensor carries, so that every node has one gradient."""

    def __init__(self, owner: Operation, index: int):
        self.owner = owner
        self.index = index
        self.record(owner.backend, [owner])


class _NotRecorded:
    """The edges of an operation that is not recorded: no input needs a gradient."""

    def __getitem__(self, i: int) -> None:
        return None


NOT_RECORDED: Any = _NotRecorded()
