"""The checks of the table are checked: each must reject an operation with the fault that it looks for."""

import numpy as np
import pytest

from minigrad import Tensor, mul
from minigrad.autograd.operation import wrap
from minigrad.ops.pointwise import Unary
from minigrad.testing import GradcheckError
from tests.floats import REDUCED
from tests.ops import checks
from tests.ops.table import Case, Sample


class Cube(Unary):
    """x³, right in all respects: the faulty ones below differ from it in one."""

    def forward(self, x, out=None):
        self.save_input(0)
        return self.xp.multiply(x * x, x, out=out)

    def backward(self, grad):
        x = self.input(0)
        return grad * x * x * 3


def case(function, **changes):
    def samples(rng):
        return [
            Sample((rng.uniform(0.5, 2, (2, 3)),)),
            Sample((rng.uniform(0.5, 2, ()),)),
            Sample((rng.uniform(0.5, 2, (3, 0)),)),
        ]

    options = {
        "operation": "cube",
        "function": function,
        "reference": lambda x: x * x * x,
        "torch": lambda t, x: x**3,
        "samples": samples,
    }
    return Case(**(options | changes))


def operation(name, forward=None, backward=None, base=Cube):
    kind = type(name, (base,), {})
    if forward is not None:
        kind.forward = forward
    if backward is not None:
        kind.backward = backward
    return case(lambda x: kind().apply(x))


RIGHT = case(lambda x: Cube().apply(x))
CHECKS = {
    "features": checks.check_features,
    "values": lambda case: checks.check_values(case, "float64"),
    "float32": lambda case: checks.check_values(case, "float32"),
    **{dtype: lambda case, dtype=dtype: checks.check_values(case, dtype) for dtype in REDUCED},
    "gradients in float32": lambda case: checks.check_gradient_dtypes(case, "float32"),
    **{f"gradients in {dtype}": lambda case, dtype=dtype: checks.check_gradient_dtypes(case, dtype) for dtype in REDUCED},
    "torch": lambda case: checks.check_against_torch(case, pytest.importorskip("torch")),
    "first derivatives": lambda case: checks.check_derivatives(case, 1),
    "second derivatives": lambda case: checks.check_derivatives(case, 2),
    **{layout: lambda case, layout=layout: checks.check_layouts(case, layout) for layout in checks.LAYOUTS},
    "inputs": checks.check_inputs_unchanged,
    "strict": checks.check_strict_backend,
}


@pytest.mark.parametrize("check", CHECKS)
def test_a_right_operation_passes(check):
    CHECKS[check](RIGHT)


def forward_that_changes_its_input(self, x, out=None):
    self.save_input(0)
    result = x * x * x
    x += 1
    return result


def forward_that_wants_contiguous_memory(self, x, out=None):
    self.save_input(0)
    memory = x if x.base is None else x.base
    x = memory.reshape(-1)[: x.size].reshape(x.shape)
    return x * x * x


def forward_that_makes_float64(self, x, out=None):
    self.save_input(0)
    return (x * x * x).astype("float64")


def forward_in_numpy(self, x, out=None):
    self.save_input(0)
    return np.power(x, 3)


def backward_in_numpy(self, grad):
    x = self.input(0).detach()
    return grad * wrap(3 * np.square(x.array))


def backward_with_a_constant(self, grad):
    x = self.input(0).detach()
    return grad * (x * x) * 3


def backward_off_by_a_little(self, grad):
    x = self.input(0)
    return grad * x * x * 3.01


def backward_that_changes_the_gradient(self, grad):
    x = self.input(0)
    result = grad * x * x * 3
    grad.array[...] = 0
    return result


def backward_that_changes_what_was_saved(self, grad):
    x = self.input(0)
    result = grad * x * x * 3
    x.array[...] = 0
    return result


def backward_that_makes_float64(self, grad):
    x = self.input(0)
    return wrap((grad * x * x * 3).array.astype("float64"))


def backward_that_forgets(self, grad):
    return None


FAULTS = [
    ("values", case(lambda x: mul(x, x))),
    ("values", operation("Reshaped", lambda self, x, out=None: (x * x * x).reshape(-1))),
    ("values", case(lambda x: (mul(x, x), x))),
    ("float32", operation("Upcast", forward_that_makes_float64)),
    *((dtype, operation("Upcast", forward_that_makes_float64)) for dtype in REDUCED),
    ("gradients in float32", operation("UpcastGradient", backward=backward_that_makes_float64)),
    *((f"gradients in {dtype}", operation("UpcastGradient", backward=backward_that_makes_float64)) for dtype in REDUCED),
    ("torch", case(lambda x: mul(x, x))),
    ("torch", operation("Off", backward=backward_off_by_a_little)),
    ("torch", operation("Forgets", backward=backward_that_forgets)),
    ("first derivatives", operation("Off", backward=backward_off_by_a_little)),
    ("first derivatives", operation("Forgets", backward=backward_that_forgets)),
    ("second derivatives", operation("Constant", backward=backward_with_a_constant)),
    ("first derivatives", operation("Destroys", backward=backward_that_changes_what_was_saved)),
    ("inputs", operation("Changes", forward_that_changes_its_input)),
    ("inputs", operation("Destroys", backward=backward_that_changes_what_was_saved)),
    ("inputs", operation("ChangesGradient", backward=backward_that_changes_the_gradient)),
    ("strict", operation("Leaks", forward_in_numpy)),
    ("strict", operation("LeaksBackward", backward=backward_in_numpy)),
    ("strict", case(lambda x: Tensor(np.ones(x.shape)))),
    ("transposed", operation("Contiguous", forward_that_wants_contiguous_memory)),
    ("gaps", operation("Contiguous", forward_that_wants_contiguous_memory)),
    ("negative", operation("Contiguous", forward_that_wants_contiguous_memory)),
    ("features", case(RIGHT.function, samples=lambda rng: [Sample((np.ones((2, 3)),)), Sample((np.ones(()),))])),
    ("features", case(RIGHT.function, samples=lambda rng: [Sample((np.ones((0, 3)),)), Sample((np.ones(2),))])),
    ("features", case(RIGHT.function, samples=lambda rng: [Sample((np.ones(()),) * 2), Sample((np.ones(0),) * 2)])),
    ("features", case(RIGHT.function, samples=lambda rng: [])),
]


@pytest.mark.parametrize(("check", "faulty"), FAULTS, ids=[check for check, _ in FAULTS])
def test_a_fault_is_found(check, faulty):
    with pytest.raises((AssertionError, GradcheckError, TypeError)):
        CHECKS[check](faulty)


def test_a_missing_feature_may_be_excused():
    excused = case(
        RIGHT.function,
        samples=lambda rng: [Sample((np.ones((2, 3)),))],
        without={"0-d": "needs a dimension", "empty": "needs an element"},
    )
    checks.check_features(excused)


def test_the_sample_is_named():
    with pytest.raises(AssertionError) as caught:
        CHECKS["values"](case(lambda x: mul(x, x)))
    assert caught.value.__notes__ == ["cube, sample 0: (float64 (2, 3)) {}"]


def raising(error):
    def call():
        raise error

    return call


def test_a_good_message_passes():
    checks.check_bad_input(raising(ValueError("cube: expected a matrix, got shape (3,)")), ValueError, r"got shape \(3,\)")


@pytest.mark.parametrize(
    ("call", "pattern"),
    [
        (lambda: None, "expected"),
        (raising(TypeError("cube: expected a matrix, got shape (3,)")), "expected"),
        (raising(ValueError("cube: expected a matrix, got shape (3,)")), "an integer"),
        (raising(ValueError("cube: expected a matrix, got shape (3,)")), ""),
        (raising(ValueError("expected a matrix")), "expected"),
        (raising(ValueError("cube: bad")), "bad"),
    ],
    ids=["nothing raised", "another type", "another message", "empty pattern", "no name", "says nothing"],
)
def test_a_bad_message_is_rejected(call, pattern):
    with pytest.raises((AssertionError, pytest.fail.Exception, TypeError)):
        checks.check_bad_input(call, ValueError, pattern)


def test_resolve():
    assert checks.resolve("mul") is mul
    assert checks.resolve("Tensor.mul_") is Tensor.mul_
    assert checks.resolve("nonsense") is None
    assert checks.resolve("Tensor.nonsense_") is None
