"""Optimizer steps on lists of tensors: one operation per algorithm for all parameters at once, in place and off the tape.

They are what ``minigrad.optim`` is made of, where the rules are documented, and its only way to memory. Every state is a list
with one tensor per parameter; an empty list stands for a state that the chosen variant does not have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .._tensor import Tensor
from ..autograd.deferred import compute_waiting
from ..autograd.inplace import check_writable
from ..autograd.modes import no_grad
from ..autograd.operation import wrap
from ..autograd.versions import bump_all
from ..backends import backend_of
from ..dtypes import FLOATING

__all__: list[str] = []

Tensors = Sequence[Tensor]


def zeros_side_by_side(params: Tensors) -> list[Tensor]:
    """Zeros like each of the tensors, all in one piece of memory for each device and dtype.

    States are made after the first backward pass. Small ones by themselves would lie wherever its activations have just been
    freed, and leave no room there for the next step's: VGG-11's peak was 2154 MB so, and is 1913 MB.

    >>> import minigrad
    >>> from minigrad.ops.optimizer import zeros_side_by_side
    >>> zeros_side_by_side([minigrad.ones(2), minigrad.ones(1, 1)])
    [tensor([0., 0.]), tensor([[0.]])]
    """
    alike: dict[Any, list[int]] = {}
    for i, param in enumerate(params):
        alike.setdefault((param.device, param.array.dtype), []).append(i)
    found: dict[int, Tensor] = {}
    for (device, dtype), places in alike.items():
        backend = backend_of(params[places[0]].array)
        apart = max(1, 64 // dtype.itemsize)  # so that each begins where a cache line does
        ends = [0]
        for i in places:
            ends.append(ends[-1] + -(-params[i].array.size // apart) * apart)
        with backend.on(device):
            memory = backend.xp.zeros(ends[-1], dtype=dtype)
        for i, start in zip(places, ends):
            array = params[i].array
            order = sorted(range(array.ndim), key=lambda dim: -array.strides[dim])
            lying = memory[start : start + array.size].reshape([array.shape[dim] for dim in order])
            found[i] = wrap(lying.transpose([order.index(dim) for dim in range(array.ndim)]))
    return [found[i] for i in range(len(params))]


def sgd_step_(
    params: Tensors,
    grads: Tensors,
    momentum_buffers: Tensors,
    *,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> None:
    """One step of ``optim.SGD``, with momentum if there are ``momentum_buffers``.

    >>> import minigrad
    >>> from minigrad.ops.optimizer import sgd_step_
    >>> w = minigrad.tensor([1.0, 2.0])
    >>> options = dict(momentum=0, dampening=0, weight_decay=0, nesterov=False, maximize=False)
    >>> sgd_step_([w], [minigrad.tensor([1.0, -1.0])], [], lr=0.5, **options)
    >>> w
    tensor([0.5, 2.5])
    """
    _step(
        "sgd_step",
        params,
        {"gradient": grads, "momentum_buffer": momentum_buffers},
        lr=float(lr),
        momentum=momentum,
        dampening=dampening,
        weight_decay=weight_decay,
        nesterov=nesterov,
        maximize=maximize,
    )


def adam_step_(
    params: Tensors,
    grads: Tensors,
    exp_avgs: Tensors,
    exp_avg_sqs: Tensors,
    max_exp_avg_sqs: Tensors,
    steps: Sequence[float],
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
) -> None:
    """One step of ``optim.Adam``, or of AdamW if the decay is ``decoupled``; with ``max_exp_avg_sqs`` of AMSGrad.

    Args:
        steps: for every parameter the number of this step, from 1.
    """
    _step(
        "adam_step",
        params,
        {"gradient": grads, "exp_avg": exp_avgs, "exp_avg_sq": exp_avg_sqs, "max_exp_avg_sq": max_exp_avg_sqs},
        steps,
        lr=float(lr),
        beta1=betas[0],
        beta2=betas[1],
        eps=eps,
        weight_decay=weight_decay,
        decoupled=decoupled,
        maximize=maximize,
    )


def lion_step_(
    params: Tensors,
    grads: Tensors,
    exp_avgs: Tensors,
    *,
    lr: float,
    betas: tuple[float, float],
    weight_decay: float,
    maximize: bool,
) -> None:
    """One step of ``optim.Lion``."""
    _step(
        "lion_step",
        params,
        {"gradient": grads, "exp_avg": exp_avgs},
        lr=float(lr),
        beta1=betas[0],
        beta2=betas[1],
        weight_decay=weight_decay,
        maximize=maximize,
    )


def rmsprop_step_(
    params: Tensors,
    grads: Tensors,
    square_avgs: Tensors,
    grad_avgs: Tensors,
    momentum_buffers: Tensors,
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    maximize: bool,
) -> None:
    """One step of ``optim.RMSprop``; centered if there are ``grad_avgs``, with momentum if there are ``momentum_buffers``."""
    _step(
        "rmsprop_step",
        params,
        {"gradient": grads, "square_avg": square_avgs, "grad_avg": grad_avgs, "momentum_buffer": momentum_buffers},
        lr=float(lr),
        alpha=alpha,
        eps=eps,
        weight_decay=weight_decay,
        momentum=momentum,
        maximize=maximize,
    )


def adagrad_step_(
    params: Tensors,
    grads: Tensors,
    sums: Tensors,
    steps: Sequence[float],
    *,
    lr: float,
    lr_decay: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """One step of ``optim.Adagrad``.

    Args:
        steps: for every parameter the number of this step, from 1.
    """
    _step(
        "adagrad_step",
        params,
        {"gradient": grads, "sum": sums},
        steps,
        lr=float(lr),
        lr_decay=lr_decay,
        eps=eps,
        weight_decay=weight_decay,
        maximize=maximize,
    )


def unscale_(grads: Tensors, scale: Tensor) -> Tensor:
    """Divide gradients by a scale, for ``amp.GradScaler``; the host does not wait for a GPU.

    Args:
        grads: floating tensors on one device.
        scale: a 0-d float32 tensor on the same device.

    Returns:
        A 0-d float32 tensor: 1 if a gradient was inf or nan, else 0.

    >>> import minigrad
    >>> from minigrad.ops.optimizer import unscale_
    >>> grad = minigrad.tensor([4.0, float("inf")])
    >>> unscale_([grad], minigrad.tensor(2.0)), grad
    (tensor(1.), tensor([ 2., inf]))
    """
    arrays = _parameters("unscale_", grads, "gradients")
    backend = backend_of(scale.array)
    with backend.quiet():
        found = backend.unscale(arrays, scale.array)
    bump_all(grads, "unscale_")
    return wrap(found)


def _step(kernel: str, params: Tensors, others: dict[str, Tensors], *numbers: Sequence[float], **options: Any) -> None:
    """Run a backend's kernel on the arrays of the parameters, of their gradients and of each state, and on numbers."""
    operation = f"{kernel}_"
    columns = [_parameters(operation, params)]
    columns += [_column(operation, params, columns[0], name, tensors) for name, tensors in others.items()]
    for backend, arrays in _by_backend([*columns, *numbers]):
        with backend.quiet():
            getattr(backend, kernel)(*arrays, **options)
    bump_all(params, operation)


def _parameters(operation: str, params: Tensors, called: str = "parameters") -> list[Any]:
    """The parameters' arrays, checked to be writable and floating."""
    arrays = []
    for param in params:
        array = param.array
        version = param._version
        if version is not None and version.waiting:
            compute_waiting(param)
        if 0 in array.strides or (version is not None and version.inference):
            with no_grad():
                check_writable(param, operation, False)
        if array.dtype not in FLOATING:
            raise TypeError(f"{operation}: expected floating {called}, got one of dtype {array.dtype}")
        arrays.append(array)
    return arrays


def _column(operation: str, params: Tensors, arrays: list[Any], name: str, tensors: Tensors) -> list[Any]:
    """The arrays of the gradients or of one state, checked to be like the parameters'."""
    column = []
    for tensor in tensors:
        if tensor._version is not None and tensor._version.waiting:
            compute_waiting(tensor)
        column.append(tensor.array)
    if len(column) != len(arrays) and (column or name == "gradient"):
        raise ValueError(f"{operation}: expected a {name} for each of {len(arrays)} parameters, got {len(column)}")
    for i, other in enumerate(column):
        array = arrays[i]
        if other.shape != array.shape or other.dtype != array.dtype or type(other) is not type(array):
            param, tensor = params[i], tensors[i]
            raise ValueError(
                f"{operation}: expected the {name} of parameter {i} to be like it, {param.dtype} of shape {param.shape} on "
                f"{param.device}, got {tensor.dtype} of shape {tensor.shape} on {tensor.device}"
            )
    return column


def _by_backend(columns: list[Sequence[Any]]) -> Iterator[tuple[Any, list[Sequence[Any]]]]:
    """The columns, parted by the backends that their arrays belong to."""
    kinds = dict.fromkeys([type(array) for array in columns[0]])
    if len(kinds) == 1:
        yield backend_of(columns[0][0]), columns
        return
    for kind in kinds:
        rows = [i for i, array in enumerate(columns[0]) if type(array) is kind]
        yield backend_of(columns[0][rows[0]]), [[column[i] for i in rows] if column else column for column in columns]
