"""Training state that steps change and that is put back afterwards, found by watching what they write to."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from .._tensor import Tensor
from ..autograd import inplace
from ..autograd.modes import no_grad
from ..autograd.versions import Version, version_of
from ..backends import Device, backend_of
from ..ops.generator import _default, default_generator
from ..optim.optimizer import Optimizer, register_optimizer_step_pre_hook


class TrainingState:
    """Parameters, optimizer states, buffers and default generators, as they were before the steps that are watched.

    A copy is made of each before it is changed for the first time. Not seen are writes through ``.data``; gradients are no part
    of it.

    Args:
        device: the GPU.
    """

    def __init__(self, device: Device):
        self.optimizers: dict[Optimizer, _OptimizerBefore] = {}
        self._thread = threading.get_ident()
        self._copies: list[tuple[weakref.ref[Version], Any, Any]] = []
        self._seen: dict[Any, weakref.ref[Version]] = {}
        self._on_host = (default_generator, default_generator.get_state())
        self._on_device = (_default(device), _default(device).get_state())

    @contextmanager
    def watched(self) -> Iterator[None]:
        """The time in which steps run that are to be undone."""
        inplace.watchers.append(self._before_write)
        try:
            with register_optimizer_step_pre_hook(self._before_step):
                yield
        finally:
            inplace.watchers.remove(self._before_write)
            self._copies = [copy for copy in self._copies if copy[0]() is not None]  # the others were the steps' own

    def restore(self) -> None:
        """Put all of it back; an optimizer's states that are new become zeros.

        Raises:
            RuntimeError: if the steps changed an optimizer in a way that cannot be repeated; all is put back then too.
        """
        generator, state = self._on_device
        generator.set_state(state)
        self.restore_after_recording()

    def restore_after_recording(self) -> None:
        """``restore``, but for the GPU's generator: it has not moved, and the graph draws from it where it is."""
        for reference, array, copy in reversed(self._copies):
            version = reference()
            if version is not None:
                array[...] = copy
                version.bump("make_graphed")
        generator, state = self._on_host
        generator.set_state(state)
        complaints = [before.restore(optimizer) for optimizer, before in self.optimizers.items()]
        for complaint in filter(None, complaints):
            raise RuntimeError(f"make_graphed: {complaint}")

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if optimizer in self.optimizers or threading.get_ident() != self._thread:
            return
        self.optimizers[optimizer] = _OptimizerBefore(optimizer)
        for param in parameters_of(optimizer):
            self._keep(param)
            for value in optimizer.state.get(param, {}).values():
                if isinstance(value, Tensor):
                    self._keep(value)

    def _before_write(self, tensor: Tensor) -> None:
        whole = tensor if tensor._view is None else tensor._view.base
        if whole.node is None and threading.get_ident() == self._thread:
            self._keep(whole)

    def _keep(self, tensor: Tensor) -> None:
        version, array = version_of(tensor), tensor.array
        backend = backend_of(array)
        key = (id(version), backend.address(array), array.shape, array.strides)
        known = self._seen.get(key)
        if known is None or known() is not version:
            self._seen[key] = reference = weakref.ref(version)
            self._copies.append((reference, array, backend.xp.array(array, copy=True, order="K")))


@contextmanager
def put_back_on_failure(optimizers: Iterable[Optimizer]) -> Iterator[None]:
    """What steps change on the host is put back if what is done here fails: the GPU, whose steps they count, has not run."""
    before = {optimizer: _OptimizerBefore(optimizer) for optimizer in optimizers}
    versions = [
        (version, version.count, version.writer, version.written_at)
        for optimizer in before
        for param in parameters_of(optimizer)
        if (version := param._version) is not None
    ]
    try:
        yield
    except BaseException:
        for optimizer, known in before.items():
            known.put_back(optimizer)
        for version, count, writer, written_at in versions:
            version.count, version.writer, version.written_at = count, writer, written_at
        raise


class _OptimizerBefore:
    """What an optimizer knew on the host."""

    def __init__(self, optimizer: Optimizer):
        self.stepped = optimizer.stepped
        self.states = {param: dict(state) for param, state in optimizer.state.items()}
        self.options = [_options(group) for group in optimizer.param_groups]

    def put_back(self, optimizer: Optimizer) -> None:
        """Put it back, after steps that wrote nothing on the GPU."""
        optimizer.stepped = self.stepped
        for group, options in zip(optimizer.param_groups, self.options):
            group.update(options)
        for param in [param for param in optimizer.state if param not in self.states]:
            del optimizer.state[param]
        for param, values in self.states.items():
            state = optimizer.state[param]
            state.clear()
            state.update(values)

    def restore(self, optimizer: Optimizer) -> str | None:
        """Put it back where a graph keeps on using the states; returns what is wrong with the steps in between."""
        name, complaint = type(optimizer).__name__, None
        optimizer.stepped = self.stepped
        for group, options in zip(optimizer.param_groups, self.options):
            if _options(group) != options:
                group.update(options)
                complaint = (
                    f"the step changes options of {name}, as a learning rate schedule does; do that after each call of the "
                    "graphed step, which repeats the GPU's work alone"
                )
            for param in group["params"]:
                state, before = optimizer.state.get(param, {}), self.states.get(param, {})
                for key, value in state.items():
                    state[key] = before[key] if key in before else _zero(value)
                if group.get("dampening") and len(state) > len(before):
                    complaint = f"a first step of {name} with dampening is unlike the next ones; take it before"
        return complaint


def _zero(value: Any) -> Any:
    """What a new state starts from."""
    if not isinstance(value, Tensor):
        return type(value)(0)
    with no_grad():
        return value.zero_()


def _options(group: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key != "params"}


def parameters_of(optimizer: Optimizer) -> list[Tensor]:
    """All that an optimizer may change."""
    return [param for group in optimizer.param_groups for param in group["params"]]
