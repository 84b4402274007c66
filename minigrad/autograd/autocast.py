"""``autocast``: a context in which products are computed in a short float, and what needs float32's range or digits in float32.

Which operation does what stands in the operation's function, one line each (``ops/autocasting.py``). Here is what they ask.
"""

from __future__ import annotations

from typing import Any

from ..backends import names_device
from ..dtypes import REDUCED, as_dtype, float16
from .modes import _Mode, modes


class autocast(_Mode):
    """Inside, operations on a kind of device choose a short float or float32 by themselves.

    Linear maps, convolutions and matrix products convert float32 operands to ``dtype``, which GPUs multiply much faster.
    Exponentials, logarithms, powers, sums, softmax, losses and the norms of layers and groups convert it to float32.
    All others take what they get, and the widest dtype where two meet. Parameters stay float32, and so do their gradients;
    ``backward`` needs no context. In-place operations, float64 and integers are left alone.

    Leave models and inputs in float32, and enter the context for the forward pass and the loss; of a step that becomes a CUDA
    graph (``minigrad.cuda.make_graphed``), inside of the step. It is also a decorator.

    Args:
        device_type: ``'cuda'`` or ``'cpu'``; on the CPU, where short floats are slow, this tests a model but speeds up nothing.
        dtype: float16, or bfloat16; None stands for float16 on every device, where PyTorch takes bfloat16 on the CPU. float16
            has three more bits, but nothing below 6e-8 or above 65,504: to train with it, see ``amp.GradScaler``. bfloat16 has
            the range of float32.
        enabled: if False, operations do as without the context, also within another one.
        cache_enabled: convert a parameter once for all its uses, until it changes or the outermost context ends.

    Raises:
        ValueError: for another dtype, or a device that there is not; TypeError for bfloat16 where ml_dtypes is not installed.

    >>> import minigrad
    >>> w = minigrad.ones(2, 2, requires_grad=True)
    >>> with minigrad.autocast("cpu"):
    ...     y = minigrad.ones(3, 2) @ w
    ...     loss = y.sum()
    >>> loss.backward()
    >>> y.dtype, loss.dtype, w.grad.dtype
    (dtype('float16'), dtype('float32'), dtype('float32'))

    Reference:
        Micikevicius et al., Mixed Precision Training, 2017, https://arxiv.org/abs/1710.03740
    """

    def __init__(self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool = True):
        self._device_type = checked_device_type("autocast", device_type)
        try:
            self._dtype = float16 if dtype is None else as_dtype(dtype)
        except TypeError as error:
            raise TypeError(f"autocast: {error}") from None
        if enabled and self._dtype not in REDUCED:
            raise ValueError(f"autocast: expected dtype float16 or bfloat16, got {self._dtype}")
        self._enabled = bool(enabled)
        self._cache_enabled = bool(cache_enabled)

    def __enter__(self) -> None:
        self._entered = ((modes.autocast, modes.casts), *self._entered)
        others = {kind: dtype for kind, dtype in modes.autocast.items() if kind != self._device_type}
        modes.autocast = {**others, self._device_type: self._dtype} if self._enabled else others
        if not self._cache_enabled:
            modes.casts = None
        elif modes.casts is None:
            modes.casts = {}

    def __exit__(self, *exception: object) -> None:
        (modes.autocast, modes.casts), *rest = self._entered
        self._entered = tuple(rest)

    def _again(self) -> autocast:
        return autocast(self._device_type, self._dtype, self._enabled, self._cache_enabled)


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether this thread is inside ``autocast`` for a kind of device.

    >>> import minigrad
    >>> with minigrad.autocast("cuda"):
    ...     minigrad.is_autocast_enabled("cuda"), minigrad.is_autocast_enabled("cpu")
    (True, False)
    """
    return checked_device_type("is_autocast_enabled", device_type) in modes.autocast


def get_autocast_dtype(device_type: str) -> Any:
    """The dtype of products inside ``autocast``: the innermost one's, and outside of any that of None.

    >>> import minigrad
    >>> minigrad.get_autocast_dtype("cuda")
    dtype('float16')
    """
    return modes.autocast.get(checked_device_type("get_autocast_dtype", device_type), float16)


def checked_device_type(name: str, device_type: Any) -> str:
    if not names_device(device_type) or ":" in device_type:
        raise ValueError(f"{name}: expected a device_type such as 'cuda' or 'cpu', got {device_type!r}")
    return device_type
