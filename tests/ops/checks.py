"""The checks that ``test_table.py`` runs on every case. Each raises AssertionError, and says for which sample."""

import inspect
import math
import re
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest

import minigrad
from minigrad import Tensor, autograd
from minigrad.backends import backend_for
from minigrad.dtypes import FLOATING
from minigrad.testing import gradcheck, gradgradcheck
from tests.ops.table import FEATURES, Case, Sample
from tests.strict_backend import strict_backend

FLOATS = {"float64": 1e-9, "float32": 1e-4, "float16": 1e-2, "bfloat16": 2e-2}


# --- what the checks are made of ---------------------------------------------------------------------------------------


def samples_of(case: Case) -> list[Sample]:
    return list(case.samples(np.random.default_rng(zlib.crc32(case.operation.encode()))))


@contextmanager
def naming(case: Case, number: int, sample: Sample) -> Iterator[None]:
    """Adds to every exception which sample it comes from."""
    try:
        yield
    except Exception as error:
        shapes = ", ".join(f"{a.dtype} {a.shape}" for a in sample.arrays)
        error.add_note(f"{case.operation}, sample {number}: ({shapes}) {dict(sample.static)}")
        raise


def is_float(array: np.ndarray) -> bool:
    return array.dtype in FLOATING


def in_dtype(arrays: Sequence[np.ndarray], dtype: str) -> list[np.ndarray]:
    return [a.astype(dtype) if is_float(a) else a.copy() for a in arrays]


def leaves(arrays: Sequence[np.ndarray], requires_grad: bool = False, place: Callable = lambda a: a) -> list[Tensor]:
    return [Tensor(place(a), requires_grad=requires_grad and is_float(a)) for a in arrays]


def tensors_in(result) -> list[Tensor]:
    """The Tensors that an operation returned, one or several."""
    found = [result] if isinstance(result, Tensor) else list(result) if isinstance(result, (tuple, list)) else [result]
    return [r if isinstance(r, Tensor) else Tensor(np.asarray(r)) for r in found]


def arrays_in(result) -> list[np.ndarray]:
    return [np.asarray(r) for r in (result if isinstance(result, (tuple, list)) else [result])]


def host(tensor: Tensor) -> np.ndarray:
    return np.array(tensor.numpy(force=True))


def close(actual: np.ndarray, expected: np.ndarray, tolerance: float, what: str) -> None:
    """Both relative, element by element, and relative to the largest element: rounding errors are of its size."""
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    finite = np.abs(expected[np.isfinite(expected)].astype(np.float64)) if expected.size else expected
    scale = float(finite.max(initial=0)) or 1.0
    np.testing.assert_allclose(
        actual.astype(np.float64),
        expected.astype(np.float64),
        rtol=tolerance,
        atol=tolerance * scale,
        err_msg=what,
    )


def weights_for(outputs: Sequence[Tensor]) -> list[np.ndarray]:
    """A fixed random gradient from above for every output."""
    random = np.random.default_rng(7)
    return [np.asarray(random.uniform(0.5, 1.5, o.shape) * random.choice([-1, 1], o.shape)) for o in outputs]


def derivatives(
    function: Callable, inputs: list[Tensor], place: Callable = lambda a: a, order: int = 1
) -> list[list[np.ndarray | None]]:
    """Values, first gradients and (with ``order=2``) second gradients; None where there is no gradient."""
    values = tensors_in(function(*inputs))
    found = [[host(v) for v in values]]
    wanted = [x for x in inputs if x.requires_grad]
    level = values
    for _ in range(order):
        roots = [v for v in level if isinstance(v, Tensor) and v.requires_grad]
        if not roots:
            break
        above = [Tensor(place(w.astype(r.dtype))) for r, w in zip(roots, weights_for(roots))]
        level = autograd.grad(roots, wanted, above, retain_graph=True, create_graph=order > 1, allow_unused=True)
        found.append([None if g is None else host(g) for g in level])
    return found


def same(actual: list, expected: list, tolerance: float, what: str) -> None:
    """Compare what ``derivatives`` returned; a missing gradient counts as zeros."""
    assert len(actual) == len(expected), f"{what}: derivatives up to order {len(actual) - 1}, expected {len(expected) - 1}"
    for order, (a, b) in enumerate(zip(actual, expected)):
        assert len(a) == len(b), f"{what}: {len(a)} results, expected {len(b)}"
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            kind = ("value", "gradient", "second gradient")[order]
            if x is None and y is None:
                continue
            x = np.zeros_like(y) if x is None else x
            y = np.zeros_like(x) if y is None else y
            close(x, y, tolerance, f"{what}: {kind} {i}")


def of_gradients(case: Case, dtype: str) -> float:
    """The tolerance of gradients, in which several roundings meet."""
    return 5 * case.tolerance.get(dtype, FLOATS[dtype])


# --- the checks --------------------------------------------------------------------------------------------------------


def check_features(case: Case) -> None:
    samples = samples_of(case)
    assert samples, f"{case.operation}: no samples"
    shown = set()
    for sample in samples:
        shapes = [a.shape for a in sample.arrays]
        shown |= {"0-d"} if () in shapes else set()
        shown |= {"empty"} if any(math.prod(shape) == 0 for shape in shapes) else set()
        shown |= {"broadcast"} if len(set(shapes)) > 1 else set()
        for array in sample.arrays:
            assert array.dtype.kind != "f" or array.dtype == np.float64, "float samples are float64"
    if all(len(sample.arrays) < 2 for sample in samples):
        shown.add("broadcast")
    missing = [feature for feature in FEATURES if feature not in shown and feature not in case.without]
    assert not missing, f"{case.operation}: neither a sample nor an excuse in `without` for {missing}"
    assert all(len(reason) > 3 for reason in case.without.values()), f"{case.operation}: an excuse gives its reason"


def check_values(case: Case, dtype: str) -> None:
    tolerance = case.tolerance.get(dtype, FLOATS[dtype])
    for number, sample in enumerate(samples_of(case)):
        if dtype != "float64" and not any(is_float(a) for a in sample.arrays):
            continue
        with naming(case, number, sample):
            arrays = in_dtype(sample.arrays, dtype)
            outputs = tensors_in(case.function(*leaves(arrays), **sample.static))
            if case.keeps_dtype and any(is_float(a) for a in arrays):
                kinds = {str(o.dtype) for o in outputs if o.is_floating_point()}
                assert kinds <= {dtype}, f"expected {dtype} outputs, got {kinds}"
            if case.random:
                continue
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                expected = arrays_in(case.reference(*in_dtype(arrays, "float64"), **sample.static))
            assert len(outputs) == len(expected), f"{len(outputs)} outputs, expected {len(expected)}"
            for i, (output, reference) in enumerate(zip(outputs, expected)):
                assert is_float(reference) == output.is_floating_point(), (
                    f"output {i} is {output.dtype}, the reference {reference.dtype}"
                )
                close(host(output), reference, tolerance, f"output {i}")


def check_gradient_dtypes(case: Case, dtype: str) -> None:
    """Gradients in float32 and shorter floats have their input's dtype, and the values that float64 gives."""
    for number, sample in enumerate(samples_of(case)):
        with naming(case, number, sample):
            arrays = in_dtype(sample.arrays, dtype)
            function = partial(case.function, **sample.static)
            inputs = leaves(arrays, requires_grad=True)
            low = derivatives(function, inputs)
            if len(low) == 1:
                continue
            for gradient in low[1]:
                assert gradient is None or str(gradient.dtype) == dtype, f"a {gradient.dtype} gradient for a {dtype} input"
            if case.keeps_dtype and not case.random:
                high = derivatives(function, leaves(in_dtype(arrays, "float64"), requires_grad=True))
                same(low, high, of_gradients(case, dtype), dtype)


def check_against_torch(case: Case, torch) -> None:
    for number, sample in enumerate(samples_of(case)):
        with naming(case, number, sample):
            inputs = leaves([a.copy() for a in sample.arrays], requires_grad=case.differentiable)
            theirs = [torch.tensor(np.array(a), requires_grad=x.requires_grad) for a, x in zip(sample.arrays, inputs)]
            outputs = tensors_in(case.function(*inputs, **sample.static))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = case.torch(torch, *theirs, **sample.static)
            expected = [expected] if not isinstance(expected, (tuple, list)) else list(expected)
            expected = [e if isinstance(e, torch.Tensor) else torch.from_numpy(np.array(e)) for e in expected]
            assert len(outputs) == len(expected)
            for i, (output, e) in enumerate(zip(outputs, expected)):
                assert str(e.dtype) == f"torch.{output.dtype}", f"output {i} is {output.dtype}, torch's {e.dtype}"
                tolerance = case.tolerance.get("float64", 1e-9) if output.dtype == "float64" else 1e-5
                close(host(output), e.detach().double().numpy(), tolerance, f"output {i}")
            if case.differentiable:
                check_gradients_against_torch(torch, case, inputs, outputs, theirs, expected)


def check_gradients_against_torch(torch, case: Case, inputs, outputs, theirs, expected) -> None:
    roots = [i for i, e in enumerate(expected) if e.requires_grad]
    assert roots == [i for i, o in enumerate(outputs) if o.requires_grad], "other outputs require grad than torch's"
    if not roots:
        return
    above = weights_for([outputs[i] for i in roots])
    wanted = [i for i, x in enumerate(inputs) if x.requires_grad]
    ours = autograd.grad(
        [outputs[i] for i in roots],
        [inputs[i] for i in wanted],
        [Tensor(np.asarray(w, dtype=outputs[i].dtype)) for i, w in zip(roots, above)],
        allow_unused=True,
    )
    others = torch.autograd.grad(
        [expected[i] for i in roots],
        [theirs[i] for i in wanted],
        [torch.tensor(w, dtype=expected[i].dtype) for i, w in zip(roots, above)],
        allow_unused=True,
    )
    same(
        [[], [None if g is None else host(g) for g in ours]],
        [[], [None if g is None else g.numpy() for g in others]],
        case.tolerance.get("float64", 1e-9),
        "torch",
    )


def check_derivatives(case: Case, order: int) -> None:
    check = {1: gradcheck, 2: gradgradcheck}[order]
    checked = 0
    for number, sample in enumerate(samples_of(case)):
        if not any(is_float(a) for a in sample.arrays):
            continue
        with naming(case, number, sample):
            inputs = leaves([a.copy() for a in sample.arrays], requires_grad=True)
            check(partial(case.function, **sample.static), inputs, atol=1e-5, rtol=1e-4)
            checked += 1
    assert checked, f"{case.operation}: is differentiable, but no sample has a float array"


def with_gaps(array: np.ndarray) -> np.ndarray:
    """The array in every second place along every dimension, with values between that no result may show."""
    buffer = np.full([2 * n for n in array.shape], np.nan if is_float(array) else 99).astype(array.dtype)
    view = buffer[(*[slice(None, None, 2)] * array.ndim, ...)]
    view[...] = array
    return view


LAYOUTS = {
    "transposed": lambda a: a.T.copy().T,
    "gaps": with_gaps,
    "negative": lambda a: np.flip(a).copy()[(*[slice(None, None, -1)] * a.ndim, ...)],
}


def check_layouts(case: Case, layout: str) -> None:
    place = LAYOUTS[layout]
    for number, sample in enumerate(samples_of(case)):
        with naming(case, number, sample):
            function = partial(case.function, **sample.static)
            grad = case.differentiable
            expected = derivatives(function, leaves([a.copy() for a in sample.arrays], grad))
            actual = derivatives(function, leaves([a.copy() for a in sample.arrays], grad, place), place)
            same(actual, expected, max(1e-11, case.tolerance.get("float64", 0)), layout)


def check_inputs_unchanged(case: Case) -> None:
    for number, sample in enumerate(samples_of(case)):
        with naming(case, number, sample):
            arrays = [a.copy() for a in sample.arrays]
            inputs = leaves(arrays, requires_grad=case.differentiable)
            outputs = tensors_in(case.function(*inputs, **sample.static))
            before = [host(o).tobytes() for o in outputs]
            roots = [o for o in outputs if o.requires_grad]
            if roots:
                above = [Tensor(np.asarray(w, dtype=o.dtype)) for o, w in zip(roots, weights_for(roots))]
                given = [host(g).tobytes() for g in above]
                wanted = [x for x in inputs if x.requires_grad]
                autograd.grad(roots, wanted, above, create_graph=True, allow_unused=True)
                assert [host(g).tobytes() for g in above] == given, "backward changed the gradient from above"
            assert [host(o).tobytes() for o in outputs] == before, "backward changed an output"
            for i, (array, sampled) in enumerate(zip(arrays, sample.arrays)):
                assert array.tobytes() == sampled.tobytes(), f"input {i} was changed"


def check_strict_backend(case: Case) -> None:
    """The same numbers on a device whose arrays are not NumPy's, computed by the generic kernels."""
    with strict_backend():
        check_device(case, "strict", "float64", 2, max(1e-10, case.tolerance.get("float64", 0)))


def check_device(case: Case, device: str, dtype: str, order: int, tolerance: float) -> None:
    """The values and derivatives up to an order, on a device, that float64 gives on the CPU, and all of them on that device."""
    backend, place = backend_for(device)
    takes_device = "device" in inspect.signature(case.function).parameters
    for number, sample in enumerate(samples_of(case)):
        if not sample.arrays and not takes_device:
            continue
        with naming(case, number, sample):

            def function(*tensors, static={**sample.static, "device": device} if takes_device else sample.static):
                result = case.function(*tensors, **static)
                for output in result if isinstance(result, (tuple, list)) else [result]:
                    assert not isinstance(output, Tensor) or output.device == place, "an output left the device"
                return result

            arrays = in_dtype(sample.arrays, dtype)
            inputs = leaves(arrays, case.differentiable, backend.from_host)
            actual = derivatives(function, inputs, backend.from_host, order if case.differentiable else 1)
            if not case.random:
                inputs = leaves(in_dtype(arrays, "float64"), case.differentiable)
                here = partial(case.function, **sample.static)
                expected = derivatives(here, inputs, order=order if case.differentiable else 1)
                same(actual, expected, tolerance, device)


def check_bad_input(call: Callable, exception: type[Exception], pattern: str) -> None:
    with pytest.raises(exception) as caught:
        call()
    message = str(caught.value)
    assert type(caught.value) is exception, (
        f"expected exactly {exception.__name__}, got {type(caught.value).__name__}: {message}"
    )
    assert len(pattern) >= 3, f"the pattern {pattern!r} says nothing"
    assert re.search(pattern, message), f"expected a message that matches {pattern!r}, got {message!r}"
    assert re.match(r"[\w.]+: .{10,}", message, re.DOTALL), f"expected 'operation: what is wrong', got {message!r}"


def resolve(operation: str):
    """What a case's name means: an attribute of minigrad, of minigrad.ops, or below them."""
    for root in (minigrad, minigrad.ops):
        found = root
        for name in operation.split("."):
            found = getattr(found, name, None)
        if found is not None:
            return found
    return None
