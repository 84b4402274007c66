"""For tests of programs and of operations of one's own: are two results close, and are the derivatives right?

The derivatives are judged by central differences in float64: the one oracle that needs nothing but the function itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ._tensor import Tensor
from .autograd import grad as gradients_of
from .backends import backend_for
from .dtypes import FLOATING, float64

__all__ = ["GradcheckError", "assert_close", "gradcheck", "gradgradcheck"]

_TOLERANCES = {"bfloat16": (1.6e-2, 1e-5), "float16": (1e-3, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}


class GradcheckError(RuntimeError):
    """A derivative is wrong; the message says which."""


# --- derivatives -------------------------------------------------------------------------------------------------------


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
) -> bool:
    """Compare the derivatives that autograd computes with central differences, ``(f(x + eps) - f(x - eps)) / (2 eps)``.

    Every output is reduced to one number by fixed random weights, so that one backward pass per output checks all of its
    Jacobian; a last pass goes through the same graph for all outputs together. An output that does not require grad must
    not change with the inputs.

    Args:
        func: takes the inputs; returns a Tensor or a sequence of Tensors. Outputs that are not floating are passed over.
        inputs: a Tensor or a sequence of anything that ``func`` takes. Checked are the float64 Tensors that require grad;
            their memory is written to while the check runs, and holds the same values afterwards.
        eps: the step.
        atol: the absolute tolerance.
        rtol: the relative tolerance.
        raise_exception: raise if the check fails; if False, return False then.
        nondet_tol: by how much two evaluations at one point may differ.

    Returns:
        True if all derivatives agree.

    Raises:
        GradcheckError: if a derivative is wrong or missing, or a gradient has another shape, dtype or device than its
            input. The message names output, input and element, and both numbers.
        ValueError: if the inputs cannot be checked: none requires grad, or one that does is not float64 or overlaps itself.

    >>> import minigrad
    >>> x = minigrad.tensor([0.5, 2.0], dtype=minigrad.float64, requires_grad=True)
    >>> minigrad.testing.gradcheck(lambda x: x * x + 3 * x, x)
    True
    >>> minigrad.testing.gradcheck(lambda x: x * x.detach(), x, raise_exception=False)
    False
    """
    inputs = _as_tuple(inputs)
    check = _Check("gradcheck", func, inputs, [f"input {i}" for i in range(len(inputs))], "output {}".format)
    return check.run(eps, atol, rtol, nondet_tol, raise_exception)


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Any] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
) -> bool:
    """Compare second derivatives with central differences of the first ones; those are ``gradcheck``'s to check.

    Args:
        func: as for ``gradcheck``.
        inputs: as for ``gradcheck``.
        grad_outputs: the gradient from above for each output that requires grad (default: random float64 Tensors that
            require grad themselves, so that the derivative by them is checked too).
        eps: the step.
        atol: the absolute tolerance.
        rtol: the relative tolerance.
        gen_non_contig_grad_outputs: make the random ``grad_outputs`` with gaps in memory.
        raise_exception: raise if the check fails; if False, return False then.
        nondet_tol: by how much two evaluations at one point may differ.

    Returns:
        True if all second derivatives agree.

    Raises:
        GradcheckError: if a second derivative is wrong or missing.
        ValueError: if the inputs cannot be checked, as for ``gradcheck``.

    >>> import minigrad
    >>> x = minigrad.tensor([0.5, 2.0], dtype=minigrad.float64, requires_grad=True)
    >>> minigrad.testing.gradgradcheck(lambda x: x * x * x, x)
    True
    """
    inputs = _as_tuple(inputs)
    chosen = _differentiable("gradgradcheck", inputs)
    outputs = [output for output in _tensors(func(*inputs)) if output.requires_grad]
    if grad_outputs is None:
        random = np.random.default_rng(1)
        above = tuple(_random_like(output, random, gen_non_contig_grad_outputs) for output in outputs)
    else:
        above = _as_tuple(grad_outputs)

    def first_derivatives(*arguments: Any) -> Any:
        arguments, above = arguments[: len(inputs)], arguments[len(inputs) :]
        outputs = [output for output in _tensors(func(*arguments)) if output.requires_grad]
        if not outputs:
            raise GradcheckError("gradgradcheck: no output requires grad")
        wanted = [arguments[i] for i in chosen]
        return gradients_of(outputs, wanted, above, create_graph=True, materialize_grads=True)

    labels = [f"input {i}" for i in range(len(inputs))] + [f"grad_output {i}" for i in range(len(above))]
    check = _Check("gradgradcheck", first_derivatives, inputs + above, labels, lambda i: f"the gradient of input {chosen[i]}")
    return check.run(eps, atol, rtol, nondet_tol, raise_exception)


class _Check:
    """One comparison of autograd's derivatives of a function with central differences."""

    def __init__(
        self,
        name: str,
        func: Callable[..., Any],
        inputs: tuple[Any, ...],
        input_labels: list[str],
        output_label: Callable[[int], str],
    ):
        self.name = name
        self.func = func
        self.inputs = inputs
        self.input_labels = input_labels
        self.output_label = output_label
        self.chosen = _differentiable(name, inputs)

    def run(self, eps: float, atol: float, rtol: float, nondet_tol: float, raise_exception: bool) -> bool:
        try:
            self.compare(eps, atol, rtol, nondet_tol)
        except GradcheckError:
            if raise_exception:
                raise
            return False
        return True

    def compare(self, eps: float, atol: float, rtol: float, nondet_tol: float) -> None:
        outputs = self.outputs()
        random = np.random.default_rng(0)
        self.weights = [_weights(output.shape, random) for output in outputs]
        self.check_repeatable([_host(output) for output in outputs], nondet_tol)
        analytic = [self.analytic([output], [weights]) for output, weights in zip(outputs, self.weights)]
        numeric = [self.numeric(self.inputs[i], eps) for i in self.chosen]
        for o, output in enumerate(outputs):
            label = f"{self.output_label(o)} (shape {output.shape})"
            for i, found, expected in zip(self.chosen, analytic[o], numeric):
                self.check_close(label, i, found, expected[o], atol, rtol)
        label = "all outputs together" if len(outputs) > 1 else f"{self.output_label(0)} in a second backward pass"
        for i, found, expected in zip(self.chosen, self.analytic(outputs, self.weights), numeric):
            self.check_close(label, i, found, expected.sum(axis=0), atol, rtol)

    def outputs(self) -> list[Tensor]:
        found = [output for output in _tensors(self.func(*self.inputs)) if output.dtype in FLOATING]
        if not found:
            raise GradcheckError(f"{self.name}: expected func to return at least one floating Tensor, got none")
        return found

    def values(self) -> list[np.ndarray]:
        """The outputs' values in memory of their own: an output may be a view of an input."""
        return [_host(output) for output in self.outputs()]

    def check_repeatable(self, first: list[np.ndarray], tolerance: float) -> None:
        second = self.values()
        pairs = zip(first, second)
        if len(first) != len(second) or not all(np.allclose(a, b, 0, tolerance, equal_nan=True) for a, b in pairs):
            raise GradcheckError(
                f"{self.name}: two evaluations of func at one point differ; is it random, or does it change its inputs?"
            )

    def analytic(self, outputs: list[Tensor], weights: list[np.ndarray]) -> list[np.ndarray | None]:
        """The derivative of the outputs' weighted sum by every chosen input; None where autograd gives none."""
        recorded = [(o, _tensor_like(o, w)) for o, w in zip(outputs, weights) if o.requires_grad]
        wanted = [self.inputs[i] for i in self.chosen]
        if not recorded:
            return [None] * len(wanted)
        roots, above = zip(*recorded)
        gradients = gradients_of(roots, wanted, above, retain_graph=True, allow_unused=True)
        for i, tensor, gradient in zip(self.chosen, wanted, gradients):
            for what in ("shape", "dtype", "device"):
                if gradient is not None and getattr(gradient, what) != getattr(tensor, what):
                    raise GradcheckError(
                        f"{self.name}: expected the gradient of {self.input_labels[i]} to have its {what} "
                        f"{getattr(tensor, what)}, got {getattr(gradient, what)}"
                    )
        return [None if gradient is None else _host(gradient) for gradient in gradients]

    def numeric(self, tensor: Tensor, eps: float) -> np.ndarray:
        """The derivative of every output's weighted sum by every element of an input: (outputs, *input's shape)."""
        point = _host(tensor)
        result = np.empty((len(self.weights), *point.shape))
        for index in np.ndindex(point.shape):
            low, high = point[index] - eps, point[index] + eps
            try:
                tensor.array[index] = float(high)
                above = self.values()
                tensor.array[index] = float(low)
                below = self.values()
            finally:
                tensor.array[index] = float(point[index])
            for o, weights in enumerate(self.weights):
                result[(o, *index)] = np.sum(weights * (above[o] - below[o])) / (high - low)
        return result

    def check_close(
        self, output: str, i: int, found: np.ndarray | None, expected: np.ndarray, atol: float, rtol: float
    ) -> None:
        analytic = np.zeros_like(expected) if found is None else found
        off = ~(np.abs(analytic - expected) <= atol + rtol * np.abs(expected))
        if not off.any():
            return
        difference = np.where(off, np.nan_to_num(np.abs(analytic - expected), nan=np.inf), -1)
        index = tuple(int(n) for n in np.unravel_index(np.argmax(difference), off.shape))
        told = "none (no gradient reaches it)" if found is None else f"{analytic[index]:.8g}"
        raise GradcheckError(
            f"{self.name}: the derivative of {output} by {self.input_labels[i]} (shape {expected.shape}) is wrong in "
            f"{np.count_nonzero(off)} of {off.size} elements, most at {index}: "
            f"analytic {told}, numeric {expected[index]:.8g} (of the output's randomly weighted sum)"
        )


def _differentiable(name: str, inputs: tuple[Any, ...]) -> list[int]:
    """Which inputs are to be checked."""
    chosen = []
    for i, tensor in enumerate(inputs):
        if not isinstance(tensor, Tensor) or not tensor.requires_grad:
            continue
        if tensor.dtype != float64:
            raise ValueError(f"{name}: expected input {i} to be float64, got {tensor.dtype}: differences need its precision")
        if tensor.numel() and any(stride == 0 and n > 1 for stride, n in zip(tensor.stride(), tensor.shape)):
            raise ValueError(f"{name}: expected input {i} to have a place in memory for every element; use its .clone()")
        chosen.append(i)
    if not chosen:
        raise ValueError(f"{name}: expected at least one input that requires grad, got none")
    return chosen


def _as_tuple(values: Any) -> tuple[Any, ...]:
    return (values,) if isinstance(values, Tensor) else tuple(values)


def _tensors(result: Any) -> list[Tensor]:
    return [value for value in _as_tuple(result) if isinstance(value, Tensor)]


def _host(tensor: Tensor) -> np.ndarray:
    """A copy of the values."""
    return np.array(tensor.numpy(force=True))


def _weights(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Random weights between 0.5 and 1.5 of either sign; 1 for a single element, whose derivative then shows as it is."""
    weights = random.uniform(0.5, 1.5, shape) * random.choice([-1.0, 1.0], shape)
    return np.ones(shape) if weights.size == 1 else weights


def _tensor_like(like: Tensor, values: np.ndarray) -> Tensor:
    """A Tensor of the values with the dtype and on the device of another."""
    backend, device = backend_for(like.device)
    with backend.on(device):
        return Tensor(backend.from_host(np.asarray(values, dtype=like.dtype)))


def _random_like(like: Tensor, random: np.random.Generator, with_gaps: bool) -> Tensor:
    """A random leaf that requires grad, with the shape, dtype and device of another tensor."""
    if with_gaps and like.ndim:
        spread = _tensor_like(like, random.standard_normal((*like.shape[:-1], 2 * like.shape[-1])))
        return Tensor(spread.array[..., ::2], requires_grad=True)
    return _tensor_like(like, random.standard_normal(like.shape)).requires_grad_()


# --- values ------------------------------------------------------------------------------------------------------------


def assert_close(
    actual: Any,
    expected: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Assert that ``|actual - expected| <= atol + rtol * |expected|`` everywhere, and that shape, dtype and device agree.

    Args:
        actual: a Tensor, NumPy array, number, bool, string or None, or a sequence or mapping of such.
        expected: the same.
        rtol: the relative tolerance. By default both follow the dtype: 1.6e-2 for bfloat16, 1e-3 for float16, 1.3e-6 for
            float32, 1e-7 for float64, 0 for the rest; of two dtypes the looser.
        atol: the absolute tolerance; give both or none. By default 1e-5, for float64 1e-7, 0 for what is not floating.
        equal_nan: whether nan is close to nan.
        check_device: whether two Tensors must be on one device.
        check_dtype: whether two Tensors or arrays must have one dtype.
        check_stride: whether two Tensors must have the same strides.
        msg: the message instead of the one made here, or a function from that one to another.

    Raises:
        AssertionError: if the two are not close; the message says where, and by how much.
        ValueError: if one of ``rtol`` and ``atol`` is given without the other.

    >>> import minigrad
    >>> minigrad.testing.assert_close(minigrad.tensor([1.0, 2.0]), minigrad.tensor([1.0, 2.0000001]))
    """
    if (rtol is None) != (atol is None):
        raise ValueError(f"assert_close: expected both rtol and atol or none of them, got rtol={rtol} and atol={atol}")
    options = _Options(rtol, atol, equal_nan, check_device, check_dtype, check_stride)
    complaint = _complaint(actual, expected, options, "")
    if complaint is not None:
        raise AssertionError(msg(complaint) if callable(msg) else complaint if msg is None else msg)


class _Options:
    """What ``assert_close`` was asked for."""

    def __init__(self, rtol: float | None, atol: float | None, equal_nan: bool, device: bool, dtype: bool, stride: bool):
        self.rtol, self.atol, self.equal_nan = rtol, atol, equal_nan
        self.attributes = [name for name, wanted in (("device", device), ("dtype", dtype), ("stride", stride)) if wanted]


def _complaint(actual: Any, expected: Any, options: _Options, where: str) -> str | None:
    """What is wrong between the two, or None; ``where`` is the place in nested containers, as ``[0]['weight']``."""
    found: str | None = None
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        if actual.keys() != expected.keys():
            return f"the keys{_at(where)} differ: {list(actual)} and {list(expected)}"
        keys: Any = expected
    elif _is_sequence(expected) and _is_sequence(actual):
        if len(actual) != len(expected):
            return f"the lengths{_at(where)} differ: {len(actual)} and {len(expected)}"
        keys = range(len(expected))
    elif _is_array(actual) and _is_array(expected):
        return _array_complaint(actual, expected, options, where)
    elif type(actual) is type(expected):
        return None if actual == expected else f"the values{_at(where)} differ: {actual!r} and {expected!r}"
    else:
        return f"the types{_at(where)} differ: {type(actual).__name__} and {type(expected).__name__}"
    for key in keys:
        found = found or _complaint(actual[key], expected[key], options, f"{where}[{key!r}]")
    return found


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _is_array(value: Any) -> bool:
    return isinstance(value, (Tensor, np.ndarray, np.generic, int, float))


def _at(where: str) -> str:
    return f" at {where}" if where else ""


def _array_complaint(actual: Any, expected: Any, options: _Options, where: str) -> str | None:
    numbers = isinstance(actual, (int, float)) or isinstance(expected, (int, float))
    for name in options.attributes:
        a, b = getattr(actual, name, None), getattr(expected, name, None)
        if name == "stride" and callable(a) and callable(b):
            a, b = a(), b()
        comparable = not numbers and (name == "dtype" or (isinstance(actual, Tensor) and isinstance(expected, Tensor)))
        if comparable and a != b:
            return f"the {name}s{_at(where)} differ: {a} and {b}"
    a = actual.numpy(force=True) if isinstance(actual, Tensor) else np.asarray(actual)
    b = expected.numpy(force=True) if isinstance(expected, Tensor) else np.asarray(expected)
    if a.shape != b.shape:
        return f"the shapes{_at(where)} differ: {a.shape} and {b.shape}"
    rtol, atol = options.rtol, options.atol
    if rtol is None or atol is None:
        tolerances = [_TOLERANCES.get(array.dtype.name, (0.0, 0.0)) for array in (a, b)]
        rtol, atol = max(r for r, _ in tolerances), max(t for _, t in tolerances)
    exact = a.dtype not in FLOATING and b.dtype not in FLOATING
    return _difference(a, b, rtol, atol, options.equal_nan, exact and not (rtol or atol), where)


def _difference(a: np.ndarray, b: np.ndarray, rtol: float, atol: float, equal_nan: bool, exact: bool, where: str) -> str | None:
    """Where two arrays of one shape differ, and by how much; None if they are close."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        absolute = np.where(x == y, 0.0, np.abs(x - y))
        close = a == b if exact else (x == y) | (np.isfinite(x) & (absolute <= atol + rtol * np.abs(y)) & np.isfinite(y))
        relative = np.where(absolute == 0, 0.0, absolute / np.abs(y))
    if equal_nan:
        close |= np.isnan(x) & np.isnan(y)
    if close.all():
        return None
    off = ~np.asarray(close)
    if off.ndim == 0:
        return f"the values{_at(where)} are not close: {a} and {b} (tolerance {atol:g} + {rtol:g} * {abs(float(y)):g})"
    lines = [f"{np.count_nonzero(off)} of {off.size} elements{_at(where)} are not close"]
    for kind, difference, allowed in (("absolute", absolute, atol), ("relative", relative, rtol)):
        index = np.unravel_index(np.argmax(np.where(off, np.nan_to_num(difference, nan=np.inf), -1.0)), off.shape)
        place = tuple(int(n) for n in index)
        lines.append(
            f"greatest {kind} difference: {difference[place]:g} at {place}, {a[place]} and {b[place]} (allowed: {allowed:g})"
        )
    return "\n".join(lines)
