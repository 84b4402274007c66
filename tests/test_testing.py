"""gradcheck, gradgradcheck and assert_close accept what is right and reject what is wrong, with a message that helps."""

import numpy as np
import pytest

import minigrad
from minigrad import Tensor
from minigrad.autograd import Function
from minigrad.autograd.operation import Operation, wrap
from minigrad.testing import GradcheckError, assert_close, gradcheck, gradgradcheck
from tests.strict_backend import strict_backend


def leaf(*values, dtype="float64"):
    return Tensor(np.array(values, dtype=dtype), requires_grad=True)


class Cube(Operation):
    """x³, with a backward to be replaced by wrong ones."""

    def forward(self, x):
        self.save_input(0)
        self.save_constant("x", x)
        return x * x * x

    def backward(self, grad):
        x = self.input(0)
        return grad * x * x * 3


class WrongFirst(Cube):
    def backward(self, grad):
        x = self.input(0)
        return grad * x * x * 2


class WrongSecond(Cube):
    """The first derivative is right, but made from a raw array: autograd takes it for a constant."""

    def backward(self, grad):
        return grad * wrap(3 * self.constant("x") ** 2)


class SecondOutsideTheGraph(Cube):
    def backward(self, grad):
        return wrap(grad.array * 3 * self.constant("x") ** 2)


class Missing(Cube):
    def backward(self, grad):
        return None


class WrongInOneElement(Cube):
    def backward(self, grad):
        right = grad.array * 3 * self.constant("x") ** 2
        right[1, 2] += 1
        return wrap(right)


class NotANumber(Cube):
    def backward(self, grad):
        return grad * float("nan")


class WrongDtype(Cube):
    def backward(self, grad):
        return wrap((grad.array * 3 * self.constant("x") ** 2).astype("float32"))


class WrongShape(Cube):
    def backward(self, grad):
        return wrap((grad.array * 3 * self.constant("x") ** 2)[None])


class TwoOutputs(Operation):
    outputs = 2

    def forward(self, x, y):
        self.save_input(0)
        self.save_input(1)
        return x * y, x + y

    def backward(self, product, sum):
        x, y = self.input(0), self.input(1)
        a = b = None
        if product is not None:
            a, b = product * y, product * x
        if sum is not None:
            a, b = (sum, sum) if a is None else (a + sum, b + sum)
        return a, b


class OneAtATime(TwoOutputs):
    """Right for each output alone, wrong for both together."""

    def backward(self, product, sum):
        return TwoOutputs.backward(self, product, sum if product is None else None)


def use(operation):
    return lambda *tensors: operation().apply(*tensors)


MATRIX = [[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]]


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_right_derivatives_pass(check):
    assert check(use(Cube), leaf(*MATRIX))
    assert check(use(TwoOutputs), (leaf(1.0, 2.0), leaf(3.0, -1.0)))
    assert check(lambda x, y: x * y + 2 * x, (leaf(*MATRIX), leaf(0.5)))
    assert check(use(Cube), Tensor(np.ones((2, 0)), requires_grad=True))
    assert check(use(Cube), Tensor(np.asarray(2.0), requires_grad=True))


def test_a_linear_function_has_a_second_derivative_of_zero():
    assert gradgradcheck(lambda x: 2 * x, leaf(1.0, 2.0))


@pytest.mark.parametrize("wrong", [WrongFirst, WrongInOneElement, NotANumber])
def test_a_wrong_first_derivative_is_rejected(wrong):
    with pytest.raises(GradcheckError, match=r"gradcheck: the derivative of output 0 .* by input 0 .* is wrong"):
        gradcheck(use(wrong), leaf(*MATRIX))
    assert gradcheck(use(wrong), leaf(*MATRIX), raise_exception=False) is False


@pytest.mark.parametrize("wrong", [WrongSecond, SecondOutsideTheGraph])
def test_a_wrong_second_derivative_is_rejected(wrong):
    assert gradcheck(use(wrong), leaf(*MATRIX)), "the first one is right"
    with pytest.raises(GradcheckError, match="gradgradcheck: the derivative of the gradient of input 0"):
        gradgradcheck(use(wrong), leaf(*MATRIX))
    assert gradgradcheck(use(wrong), leaf(*MATRIX), raise_exception=False) is False


def test_the_message_names_output_input_element_and_both_numbers():
    def function(x, y):
        return x * x, WrongInOneElement().apply(y)

    with pytest.raises(GradcheckError) as caught:
        gradcheck(function, (leaf(1.0), leaf(*MATRIX)))
    message = str(caught.value)
    assert "output 1 (shape (2, 3)) by input 1 (shape (2, 3)) is wrong in 1 of 6 elements, most at (1, 2)" in message
    assert "analytic" in message
    assert "numeric" in message


def test_a_single_elements_numbers_are_the_derivatives_themselves():
    with pytest.raises(GradcheckError, match="analytic 8, numeric 12 "):
        gradcheck(use(WrongFirst), leaf(2.0))


def test_a_missing_gradient_is_rejected():
    with pytest.raises(GradcheckError, match=r"analytic none \(no gradient reaches it\), numeric 12"):
        gradcheck(use(Missing), leaf(2.0))
    with pytest.raises(GradcheckError, match=r"by input 1 .* \(no gradient reaches it"):
        gradcheck(lambda x, y: x * y.detach(), (leaf(2.0), leaf(3.0)))
    with pytest.raises(GradcheckError, match=r"output 1 .* \(no gradient reaches it"):
        gradcheck(lambda x: (x * 2, x.detach() * 2), leaf(2.0))
    with pytest.raises(GradcheckError, match="no output requires grad"):
        gradgradcheck(lambda x: x.detach() * 2, leaf(2.0))


def test_a_constant_output_passes():
    assert gradcheck(lambda x: (x * 2, Tensor(np.ones(2))), leaf(2.0))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (WrongDtype, "expected the gradient of input 0 to have its dtype float64, got float32"),
        (WrongShape, r"expected the gradient of input 0 to have its shape \(2, 3\), got \(1, 2, 3\)"),
    ],
)
def test_a_gradient_of_another_kind_is_rejected(wrong, message):
    with pytest.raises(GradcheckError, match=message):
        gradcheck(use(wrong), leaf(*MATRIX))


def test_a_backward_that_changes_what_it_saved_is_rejected():
    class Changing(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.kept = x.array.copy()
            return x * x

        @staticmethod
        def backward(ctx, grad):
            result = grad * wrap(2 * ctx.kept)
            ctx.kept += 1
            return result

    with pytest.raises(GradcheckError, match="output 0 in a second backward pass"):
        gradcheck(Changing.apply, leaf(1.0, 2.0))


def test_outputs_are_also_checked_together():
    inputs = (leaf(1.0, 2.0), leaf(3.0, -1.0))
    with pytest.raises(GradcheckError, match="the derivative of all outputs together by input 0"):
        gradcheck(use(OneAtATime), inputs)


def test_a_random_function_is_rejected():
    random = np.random.default_rng(0)
    with pytest.raises(GradcheckError, match="two evaluations of func at one point differ"):
        gradcheck(lambda x: x * float(random.uniform()), leaf(1.0))
    assert gradcheck(lambda x: x * (1 + 1e-9 * float(random.uniform())), leaf(1.0), nondet_tol=1e-6)


def test_other_inputs_are_passed_on_and_not_checked():
    integers, constant, text = Tensor(np.arange(2)), Tensor(np.ones(2)), "text"

    def function(x, integers, constant, text):
        assert text == "text"
        return x * integers * constant, integers

    inputs = [leaf(1.0, 2.0), integers, constant, text]
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)


def test_the_inputs_are_the_tensors_themselves_and_get_their_values_back():
    x = leaf(*MATRIX)
    before = x.array.tobytes()
    assert gradcheck(lambda _: x * x, x)
    with pytest.raises(ZeroDivisionError):
        gradcheck(lambda _: x * (1 / 0 if x.array[1, 1] != 0.25 else 1), x)
    assert x.array.tobytes() == before
    assert x.grad is None
    assert x._version is None or x._version.count == 0


def test_inputs_that_are_not_contiguous():
    x = Tensor(np.arange(1.0, 13.0).reshape(3, 4).T[::-2], requires_grad=True)
    assert gradcheck(use(Cube), x)
    assert gradgradcheck(use(Cube), x, gen_non_contig_grad_outputs=True)


def test_gradients_with_gaps_are_handed_down():
    strides = []

    class Strides(Cube):
        def backward(self, grad):
            strides.append(grad.stride())
            return Cube.backward(self, grad)

    assert gradgradcheck(use(Strides), leaf(*MATRIX), gen_non_contig_grad_outputs=True)
    assert strides[0] == (6, 2)


def test_given_grad_outputs():
    x, above = leaf(1.0, 2.0), leaf(0.5, -3.0)
    assert gradgradcheck(use(Cube), x, above)
    assert gradgradcheck(use(Cube), x, [above.detach()])
    with pytest.raises(GradcheckError, match="by input 0"):
        gradgradcheck(use(WrongSecond), x, above)


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_inputs_that_cannot_be_checked(check):
    with pytest.raises(ValueError, match="at least one input that requires grad"):
        check(use(Cube), Tensor(np.ones(2)))
    with pytest.raises(ValueError, match="expected input 0 to be float64, got float32"):
        check(use(Cube), leaf(1.0, dtype="float32"))
    with pytest.raises(ValueError, match="a place in memory for every element"):
        check(use(Cube), Tensor(np.broadcast_to(np.ones(1), (3,)), requires_grad=True))


def test_a_function_without_floating_outputs():
    with pytest.raises(GradcheckError, match="at least one floating Tensor"):
        gradcheck(lambda x: Tensor(np.arange(2)), leaf(1.0))


def test_another_device():
    with strict_backend() as backend:
        x = Tensor(backend.from_host(np.array(MATRIX)), requires_grad=True)
        assert gradcheck(use(Cube), x)
        assert gradgradcheck(use(Cube), x)


# --- assert_close ------------------------------------------------------------------------------------------------------


def tensor(*values, dtype="float32"):
    return Tensor(np.array(values, dtype=dtype))


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (tensor(1.0, 2.0), tensor(1.0, 2.000001)),
        (tensor(1.0, 2.0, dtype="float16"), tensor(1.0, 2.001, dtype="float16")),
        (tensor(1.0, dtype="float64"), tensor(1.0 + 1e-8, dtype="float64")),
        (tensor(1, 2, dtype="int64"), tensor(1, 2, dtype="int64")),
        (tensor(np.inf), tensor(np.inf)),
        (tensor(), tensor()),
        (tensor(1.0, 2.0), np.array([1.0, 2.0], dtype="float32")),
        (1.0, 1.0),
        (1, 1.0),
        (Tensor(np.asarray(2.0)), 2.0),
        ("text", "text"),
        (None, None),
        ([tensor(1.0), (tensor(2.0), None)], (tensor(1.0), [tensor(2.0), None])),
        ({"a": tensor(1.0)}, {"a": tensor(1.0)}),
    ],
)
def test_close(actual, expected):
    assert_close(actual, expected)


@pytest.mark.parametrize(
    ("actual", "expected", "message"),
    [
        (tensor(1.0, 2.0), tensor(1.0, 2.1), "1 of 2 elements are not close"),
        (tensor(1.0, 2.0), tensor(1.0, 2.1), r"greatest absolute difference: 0\.09999\d* at \(1,\), 2\.0 and 2\.09"),
        (tensor(1.0, dtype="float64"), tensor(1.0 + 1e-6, dtype="float64"), "1 of 1"),
        (tensor(1, 2, dtype="int64"), tensor(1, 3, dtype="int64"), "1 of 2"),
        (tensor(2**53, dtype="int64"), tensor(2**53 + 1, dtype="int64"), "1 of 1"),
        (tensor(True, dtype="bool"), tensor(False, dtype="bool"), "1 of 1"),
        (tensor(1.0), tensor(1.0, 2.0), r"the shapes differ: \(1,\) and \(2,\)"),
        (tensor(1.0), tensor(1.0, dtype="float64"), "the dtypes differ: float32 and float64"),
        (tensor(np.nan), tensor(np.nan), "1 of 1"),
        (tensor(np.inf), tensor(-np.inf), "1 of 1"),
        (tensor(1.0), tensor(np.inf), "1 of 1"),
        (tensor(np.inf), tensor(1.0), "1 of 1"),
        (1.0, 1.1, "the values are not close: 1.0 and 1.1"),
        (Tensor(np.asarray(2.0)), 3.0, "the values are not close"),
        ("text", "other", "the values differ: 'text' and 'other'"),
        (tensor(1.0), None, "the types differ: Tensor and NoneType"),
        ([tensor(1.0)], [tensor(1.0), tensor(2.0)], "the lengths differ: 1 and 2"),
        ([[tensor(1.0)], {"a": tensor(1.0)}], [[tensor(1.0)], {"a": tensor(2.0)}], r"at \[1\]\['a'\]"),
        ({"a": 1.0}, {"b": 1.0}, r"the keys differ: \['a'\] and \['b'\]"),
    ],
)
def test_not_close(actual, expected, message):
    with pytest.raises(AssertionError, match=message):
        assert_close(actual, expected)


def test_the_options():
    assert_close(tensor(1.0), tensor(1.4), rtol=0, atol=0.5)
    assert_close(tensor(1, dtype="int64"), tensor(2, dtype="int64"), rtol=0, atol=1)
    assert_close(tensor(np.nan, 1.0), tensor(np.nan, 1.0), equal_nan=True)
    assert_close(tensor(1.0), tensor(1.0 + 1e-6, dtype="float64"), check_dtype=False)
    rows, columns = Tensor(np.ones((2, 2), order="C")), Tensor(np.ones((2, 2), order="F"))
    assert_close(rows, columns)
    with pytest.raises(AssertionError, match=r"the strides differ: \(2, 1\) and \(1, 2\)"):
        assert_close(rows, columns, check_stride=True)
    with pytest.raises(ValueError, match="both rtol and atol or none"):
        assert_close(tensor(1.0), tensor(1.0), rtol=0.1)
    with pytest.raises(AssertionError, match=r"^mine$"):
        assert_close(tensor(1.0), tensor(2.0), msg="mine")
    with pytest.raises(AssertionError, match=r"^mine: 1 of 1"):
        assert_close(tensor(1.0), tensor(2.0), msg=lambda made: f"mine: {made}")


def test_devices():
    with strict_backend() as backend:
        there = Tensor(backend.from_host(np.ones(2)))
        here = Tensor(np.ones(2))
        assert_close(there, there)
        assert_close(there, here, check_device=False)
        with pytest.raises(AssertionError, match="the devices differ: strict and cpu"):
            assert_close(there, here)


def test_it_is_found_below_minigrad():
    assert minigrad.testing.assert_close is assert_close
