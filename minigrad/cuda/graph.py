"""A training step as one CUDA graph: the host asks for it once, and the GPU then repeats hundreds of kernels by itself."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .._tensor import Tensor
from ..autograd.versions import bump_all
from ..backends import backend_for
from ..backends.cuda.graph import Recorder
from ..backends.cuda.hyperparameters import Recording
from ..ops.arguments import as_integer
from ..optim.optimizer import Optimizer, register_optimizer_step_pre_hook
from .state import TrainingState, parameters_of, put_back_on_failure

__all__ = ["GraphedStep", "make_graphed"]


def make_graphed(step: Callable[..., Any], sample_inputs: Tensor | Sequence[Tensor], warmup: int = 3) -> GraphedStep:
    """Record a training step (forward, backward, optimizer step) as a CUDA graph, to be run as often as wanted.

    ::

        def train(images, labels):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            return loss

        train = minigrad.cuda.make_graphed(train, (images, labels))
        for images, labels in loader:
            loss = train(images, labels)
            schedule.step()

    The step is called a few times in earnest, so that all kernels and optimizer states are there, and once to record it. What
    that changes (parameters, optimizer states, buffers, default generators) is put back, and gradients are dropped. From then
    on Python runs no line of it any more, but for the numbers of optimizers: learning rates and other options may change from
    call to call, by a schedule or by hand, and steps are counted.

    - All calls get inputs like the samples, in shape and dtype, and return the same tensors, with new values.
    - Nothing in the step may read a value on the host: no ``item``, no ``print``, no ``if`` on a value, no boolean mask.
    - Tensors that it uses keep their memory: change them in place, as ``load_state_dict`` of a Module does. Record it anew
      after ``load_state_dict`` of an optimizer, after ``manual_seed``, and after a change of an optimizer's parameters, of a
      module's mode, or of what is computed.
    - Optimizers are those of ``minigrad.optim``. Schedules, their ``step``, are called outside.
    - Gradients stay in ``.grad`` where the step leaves them, in memory that the next call overwrites. Those that it does not
      clear itself are added up, as always; ``zero_grad`` between calls is seen.

    Args:
        step: what to record; called with tensors on the current GPU.
        sample_inputs: its arguments, as many as all calls will have.
        warmup: how often it is called before; at least once.

    Returns:
        A function of the same arguments, on the GPU or on the CPU, that returns what ``step`` returned, detached.

    Raises:
        RuntimeError: if there is no GPU, with the pip line, or the step cannot be recorded: the message says why. What the step
            changed is put back then too.
    """
    if not callable(step):
        raise TypeError(f"make_graphed: expected a function as step, got {type(step).__name__}")
    if not isinstance(sample_inputs, (Tensor, Iterable)):
        raise TypeError(f"make_graphed: expected Tensors as sample_inputs, got {type(sample_inputs).__name__}")
    samples = (sample_inputs,) if isinstance(sample_inputs, Tensor) else tuple(sample_inputs)
    for i, sample in enumerate(samples):
        if not isinstance(sample, Tensor):
            raise TypeError(f"make_graphed: expected Tensors as sample_inputs, got {type(sample).__name__} as number {i}")
    if as_integer("make_graphed", "warmup", warmup) < 1:
        raise ValueError(f"make_graphed: expected a warmup of at least 1, got {warmup}")
    return GraphedStep(step, samples, warmup)


class GraphedStep:
    """What ``make_graphed`` returns: call it like the step."""

    def __init__(self, step: Callable[..., Any], samples: Sequence[Tensor], warmup: int):
        self._backend: Any
        self._backend, place = backend_for("cuda")
        self.inputs = tuple(sample.detach().to(place, copy=True) for sample in samples)
        """The tensors that the graph reads. What is written into them and passed to a call is not copied."""
        self._step = step  # holds what the graph works on
        self._thread = threading.get_ident()
        self._cuda = self._backend.cupy.cuda
        self._recorder = Recorder(self._backend)
        self._recording = Recording(self._backend)
        self._updates: list[tuple[Optimizer, list[tuple[Tensor, Tensor]]]] = []
        self._stream = self._cuda.get_current_stream()
        state = TrainingState(place)
        try:
            with state.watched(), self._recorder.apart():
                for _ in range(warmup):
                    step(*self._arguments())
        finally:
            state.restore()
        self._record(state)

    def __call__(self, *inputs: Tensor) -> Any:
        """Run the step on these inputs.

        Returns:
            What the step returned, in the same tensors at every call; ``clone`` what is to be kept.

        Raises:
            TypeError, ValueError: if an input is not like the sample; RuntimeError if an optimizer has changed too much. What
                an optimizer's options raise comes through. Nothing is trained or counted then.
        """
        stream = self._cuda.get_current_stream()
        if stream != self._stream:
            stream.wait_event(self._stream.record())
            self._stream = stream
        self._read(inputs)
        self._take_up_gradients()
        with put_back_on_failure([optimizer for optimizer, _ in self._updates]):
            if self._updates:
                with self._recording.refreshing():
                    for optimizer, grads in self._updates:
                        _count_step(optimizer, grads)
            self._graph.launch()
        for param, grad in self._gradients:
            param._grad = grad
        bump_all(self._outputs, "graphed step")
        return self._result

    # --- recording ---------------------------------------------------------------------------------------------------

    def _arguments(self) -> list[Tensor]:
        return [tensor.detach() for tensor in self.inputs]

    def _record(self, state: TrainingState) -> None:
        for optimizer in state.optimizers:
            _check_rule(optimizer)
        params = [param for optimizer in state.optimizers for param in parameters_of(optimizer)]
        # Not held: gradients that the step drops are to leave their memory to what comes then.
        before = [None if param._grad is None else weakref.ref(param._grad) for param in params]
        self._outputs: list[Tensor] = []
        left: list[Tensor | None] = [None] * len(params)
        try:
            with register_optimizer_step_pre_hook(self._note_step), self._recording:
                self._graph, self._result = self._recorder.record(lambda: self._detached(self._step(*self._arguments())))
            left = [param._grad for param in params]
        finally:
            for param in params:
                param._grad = None
            state.restore_after_recording()
        self._gradients = list(zip(params, left))
        self._added_to = [(p, grad) for p, grad, old in zip(params, left, before) if grad is not None and old and old() is grad]
        """The gradients that the graph adds to those of the call before."""

    def _note_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Remember that an optimizer steps, and with which gradients."""
        if threading.get_ident() != self._thread:
            return
        grads = [(param, param._grad) for param in parameters_of(optimizer) if param._grad is not None]
        self._updates.append((optimizer, grads))

    def _detached(self, result: Any) -> Any:
        """The step's result with its tensors out of the tape, which are noted."""
        if isinstance(result, Tensor):
            self._outputs.append(result.detach())
            return self._outputs[-1]
        if isinstance(result, dict):
            return {key: self._detached(value) for key, value in result.items()}
        if isinstance(result, (list, tuple)):
            values = [self._detached(value) for value in result]
            return type(result)(*values) if hasattr(result, "_fields") else type(result)(values)
        return result

    # --- a call ------------------------------------------------------------------------------------------------------

    def _read(self, inputs: tuple[Tensor, ...]) -> None:
        """Copy the inputs to where the graph reads them."""
        if len(inputs) != len(self.inputs):
            raise TypeError(f"graphed step: expected {len(self.inputs)} inputs, got {len(inputs)}")
        for i, (target, source) in enumerate(zip(self.inputs, inputs)):
            if not isinstance(source, Tensor):
                raise TypeError(f"graphed step: expected a Tensor as input {i}, got {type(source).__name__}")
            if (source.shape, source.dtype) != (target.shape, target.dtype):
                raise ValueError(
                    f"graphed step: expected input {i} like its sample, {target.dtype} of shape {target.shape}, "
                    f"got {source.dtype} of shape {source.shape}"
                )
        for target, source in zip(self.inputs, inputs):
            if source is not target:
                array = source.array
                if type(array) is not self._backend.array_type:
                    array = source.detach().to(target.device, non_blocking=True).array
                target.array[...] = array

    def _take_up_gradients(self) -> None:
        """Bring gradients that were dropped or replaced since to where the graph adds to them."""
        for param, grad in self._added_to:
            if param._grad is not grad:
                grad.array[...] = 0 if param._grad is None else param._grad.array


def _check_rule(optimizer: Optimizer) -> None:
    """Raise if an optimizer is a user's own: its ``update`` would work on tensors when it is asked for numbers only."""
    kind = type(optimizer)
    if kind.step is not Optimizer.step or kind.update.__module__.rpartition(".")[0] != Optimizer.__module__.rpartition(".")[0]:
        raise TypeError(
            f"make_graphed: expected an optimizer of minigrad.optim, got {kind.__name__}, whose options would stay as they are"
        )


def _count_step(optimizer: Optimizer, grads: list[tuple[Tensor, Tensor]]) -> None:
    """Let an optimizer compute the numbers of its next step, as if it had the gradients that it had when it was recorded."""
    params = parameters_of(optimizer)
    before = [param._grad for param in params]
    for param in params:
        param._grad = None
    for param, grad in grads:
        param._grad = grad
    try:
        for group in optimizer.param_groups:
            optimizer.update(group)
    finally:
        for param, grad_before in zip(params, before):
            param._grad = grad_before
    optimizer.stepped = True
