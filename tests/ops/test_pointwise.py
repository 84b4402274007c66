"""Functions of single elements at the points and with the operands that the table of cases keeps away from."""

import math
import warnings

import numpy as np
import pytest

import minigrad
from minigrad import Tensor, autograd, tensor
from tests.floats import FLOATS

INF, NAN = math.inf, math.nan


def gradients(function, *arrays):
    """The result's sum differentiated by every floating array."""
    inputs = [Tensor(np.array(a, dtype=np.float64), requires_grad=True) for a in arrays]
    function(*inputs).sum().backward()
    return [x.grad.numpy() for x in inputs]


def torch_gradients(function, *arrays):
    torch = pytest.importorskip("torch")
    inputs = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in arrays]
    function(torch, *inputs).sum().backward()
    return [x.grad.numpy() for x in inputs]


# --- gradients at ties, bounds and poles -------------------------------------------------------------------------------

POINTS = [-1.0, 0.0, 2.0, NAN, INF, -INF]


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_equal_elements_share_the_gradient(name):
    assert [g.tolist() for g in gradients(getattr(minigrad, name), [1.0, 2.0], [1.0, 2.0])] == [[0.5, 0.5]] * 2
    a, b = (g.ravel().tolist() for g in np.meshgrid(POINTS, POINTS))
    ours = gradients(getattr(minigrad, name), a, b)
    theirs = torch_gradients(lambda t, x, y: getattr(t, name)(x, y), a, b)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["abs", "sign", "relu"])
def test_derivative_at_zero_is_zero(name):
    assert gradients(getattr(minigrad, name), [0.0, -0.0])[0].tolist() == [0, 0]


@pytest.mark.parametrize("bounds", [(-1.0, 2.0), (None, 2.0), (-1.0, None), (2.0, -1.0)])
def test_clamp_passes_the_gradient_at_its_bounds(bounds):
    ours = gradients(lambda x: x.clamp(*bounds), POINTS)
    np.testing.assert_array_equal(ours, torch_gradients(lambda t, x: x.clamp(*bounds), POINTS))


def test_clamp_gives_tensor_bounds_the_gradient_that_torch_gives_them():
    x, low, high = (g.ravel().tolist() for g in np.meshgrid([-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]))
    ours = gradients(minigrad.clamp, x, low, high)
    np.testing.assert_array_equal(ours, torch_gradients(lambda t, *inputs: t.clamp(*inputs), x, low, high))


def test_clamp_broadcasts_the_tensor_to_its_bounds():
    x = Tensor(np.array([0.0, 3.0]), requires_grad=True)
    y = x.clamp(tensor([[-1.0], [1.0], [4.0]]).double())
    assert y.tolist() == [[0, 3], [1, 3], [4, 4]]
    y.sum().backward()
    assert x.grad.tolist() == [1, 2]


@pytest.mark.parametrize("name", ["hardtanh", "relu6", "hardsigmoid", "hardswish", "leaky_relu", "elu", "selu", "celu"])
def test_activations_have_torchs_derivatives_at_their_kinks(name):
    points = [-3.0, -1.0, 0.0, 1.0, 3.0, 6.0]
    ours = gradients(getattr(minigrad.ops, name), points)
    theirs = torch_gradients(lambda t, x: getattr(t.nn.functional, name)(x), points)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("hardswish", ()),
        ("hardtanh", ()),
        ("softplus", ()),
        ("softplus", (2, 3)),
        ("threshold", (0.5, 9.0)),
        ("leaky_relu", ()),
    ],
)
def test_activations_have_torchs_values_and_derivatives_at_infinity_and_nan(name, arguments):
    torch = pytest.importorskip("torch")
    points = [NAN, INF, -INF, 0.5]
    ours, theirs = getattr(minigrad.nn.functional, name), getattr(torch.nn.functional, name)
    np.testing.assert_allclose(
        ours(tensor(points), *arguments).numpy(), theirs(torch.tensor(points), *arguments).numpy(), rtol=1e-6
    )
    np.testing.assert_allclose(
        gradients(lambda x: ours(x, *arguments), points),
        torch_gradients(lambda t, x: theirs(x, *arguments), points),
        rtol=1e-12,
    )


@pytest.mark.parametrize("weight", [INF, NAN, 0.5])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_prelu_multiplies_only_what_is_not_positive(weight):
    torch = pytest.importorskip("torch")
    points = [2.0, 0.0, -1.0, INF]
    ours = minigrad.nn.functional.prelu(tensor(points), tensor([weight]))
    np.testing.assert_array_equal(ours.numpy(), torch.nn.functional.prelu(torch.tensor(points), torch.tensor([weight])).numpy())
    ours = gradients(minigrad.nn.functional.prelu, points, [weight])
    theirs = torch_gradients(lambda t, x, w: t.nn.functional.prelu(x, w), points, [weight])
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(our, their)


def test_atan2_has_derivative_zero_at_the_origin():
    y, x = [0.0, 0.0, -0.0, 0.0, NAN, INF], [0.0, -0.0, 1.0, -1.0, 1.0, 1.0]
    ours, theirs = gradients(minigrad.atan2, y, x), torch_gradients(lambda t, *inputs: t.atan2(*inputs), y, x)
    np.testing.assert_array_equal(ours, theirs)


def test_bounds_that_do_not_broadcast():
    for bounds in ({"max": minigrad.ones(3)}, {"min": minigrad.ones(3), "max": minigrad.ones(4)}):
        with pytest.raises(ValueError, match=r"clamp: expected shapes that broadcast, got \(4,\)"):
            minigrad.ones(4).clamp(**bounds)


def test_infinite_gradients_do_not_get_through_a_mask():
    for function in (minigrad.relu, lambda x: x.clamp(min=0), lambda x: minigrad.maximum(x, 0.0)):
        x = Tensor(np.array([-1.0, 1.0]), requires_grad=True)
        (grad,) = autograd.grad(function(x), x, Tensor(np.array([INF, 5.0])))
        assert grad.tolist() == [0, 5]


BASES, EXPONENTS = [-2.0, 0.0, 0.5, 3.0], [-1.0, 0.0, 0.5, 1.0, 2.0, 3.0]


def test_power_has_torchs_derivatives():
    a, b = (g.ravel().tolist() for g in np.meshgrid(BASES, EXPONENTS))
    ours = gradients(minigrad.pow, a, b)
    np.testing.assert_allclose(ours, torch_gradients(lambda t, x, y: x**y, a, b), rtol=1e-12)
    assert np.isfinite(gradients(minigrad.pow, [0.0, 0.0, 2.0], [0.0, 2.0, 0.0])).all()


@pytest.mark.parametrize("number", BASES)
def test_power_of_a_number_has_torchs_derivative(number):
    ours = gradients(lambda x: number**x, EXPONENTS)
    np.testing.assert_allclose(ours, torch_gradients(lambda t, x: number**x, EXPONENTS), rtol=1e-12)


@pytest.mark.parametrize("number", [*EXPONENTS, 0, 1, 2, 3, -1])
def test_power_to_a_number_has_torchs_value_and_derivative(number):
    torch = pytest.importorskip("torch")
    ours = gradients(lambda x: x**number, BASES)
    np.testing.assert_allclose(ours, torch_gradients(lambda t, x: x**number, BASES), rtol=1e-12)
    np.testing.assert_allclose((tensor(BASES) ** number).numpy(), (torch.tensor(BASES) ** number).numpy(), rtol=1e-6)


def test_mixed_second_derivative_of_a_power_where_the_exponent_is_zero():
    x = Tensor(np.array(2.0), requires_grad=True)
    y = Tensor(np.array(0.0), requires_grad=True)
    (by_x,) = autograd.grad(x**y, x, create_graph=True)
    (by_both,) = autograd.grad(by_x, y)
    assert by_both.item() == 0.5  # of y * x ** (y - 1) by y


# --- integers and numbers ----------------------------------------------------------------------------------------------


def test_integers_to_negative_powers_are_rounded_towards_zero():
    torch = pytest.importorskip("torch")
    base, exponent = np.meshgrid(np.arange(-3, 4), np.arange(-3, 4))
    expected = torch.from_numpy(base.copy()) ** torch.from_numpy(exponent.copy())
    assert (tensor(base) ** tensor(exponent)).tolist() == expected.tolist()
    assert (2 ** tensor([-1, 0, 3])).tolist() == [0, 1, 8]
    assert tensor([2, 3]).pow_(tensor([3, -1])).tolist() == [8, 0]


def test_numbers_beyond_an_integer_dtype_wrap_in_sums_and_products():
    x = tensor([1, 5], dtype="uint8")
    assert (x + 300).tolist() == [45, 49]
    assert (x - 1).tolist() == [0, 4] and (x + -1).tolist() == [0, 4] and (0 - x).tolist() == [255, 251]
    assert (x * 300).tolist() == [44, 220]
    assert x.add_(300).tolist() == [45, 49]
    assert (tensor([100], dtype="int8") + 1000).tolist() == [(100 + 1000 + 128) % 256 - 128]


def test_numbers_beyond_an_integer_dtype_compare_by_value():
    x = tensor([1, 255], dtype="uint8")
    assert (x < 300).tolist() == [True, True] and (x == 257).tolist() == [False, False] and (x > -1).tolist() == [True, True]
    assert x.clamp(-5, 300).tolist() == [1, 255] and x.clamp(max=-5).tolist() == [0, 0]


@pytest.mark.parametrize("name", ["floor_divide", "remainder", "fmod", "maximum", "minimum", "pow"])
def test_numbers_beyond_an_integer_dtype_are_named_elsewhere(name):
    with pytest.raises(OverflowError, match=f"{name}: expected a number that fits into int8, got 300"):
        getattr(minigrad, name)(tensor([5], dtype="int8"), 300)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("number", [0.1, -0.3, 257, 70000.0])
def test_numbers_are_rounded_to_the_dtype_they_are_compared_in(dtype, number):
    with np.errstate(all="ignore"):
        x = tensor([number], dtype="float64").to(dtype)
    for equal in (x == number, number == x, x <= number, x >= number, number <= x, number >= x):
        assert equal.item() is True
    for unequal in (x != number, number != x, x < number, x > number, number < x, number > x):
        assert unequal.item() is False


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_sign_of_nan_is_0(dtype):
    assert minigrad.sign(tensor([NAN, INF, -INF, -0.0], dtype=dtype)).tolist() == [0, 1, -1, 0]
    assert minigrad.sign(tensor(NAN, dtype=dtype)).item() == 0
    assert gradients(minigrad.abs, [NAN, -2.0])[0].tolist() == torch_gradients(lambda t, x: t.abs(x), [NAN, -2.0])[0].tolist()


def test_division_of_integers_by_zeros_in_a_tensor_gives_no_warning():
    assert (tensor([1, 2]) // tensor([0, 2])).tolist()[1] == 1
    assert (tensor([1, 2]) % tensor([0, 2])).tolist()[1] == 0


def test_comparison_with_what_is_no_number_is_false_or_an_error():
    x = minigrad.ones(2)
    for other in (None, "a", [1, 1], object()):
        assert (x == other) is False
        assert (x != other) is True
    with pytest.raises(TypeError, match="lt: expected a Tensor or a real number, got str"):
        _ = x < "a"
    with pytest.raises(TypeError, match="eq: expected a Tensor or a real number, got NoneType"):
        minigrad.eq(x, None)
    with pytest.raises(TypeError, match=r"minigrad\.from_numpy one that shares its memory"):
        _ = x == np.ones(2)
    assert x in [None, x]


# --- memory ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["square_", "abs_", "sin_", "cos_", "log_", "exp_", "sqrt_", "reciprocal_", "rsqrt_", "tanh_", "sigmoid_", "relu_", "neg_"],
)
def test_in_place_operations_keep_what_they_overwrite(name):
    values = [0.5, 1.5]
    ours = gradients(lambda x: getattr(x * 2, name)(), values)
    np.testing.assert_allclose(ours, torch_gradients(lambda t, x: getattr(x * 2, name)(), values), rtol=1e-12)


@pytest.mark.parametrize("name", ["mul_", "div_", "pow_", "remainder_"])
def test_in_place_operations_keep_what_they_overwrite_for_the_other_operand(name):
    a, b = [0.7, 1.6], [0.4, 0.9]
    ours = gradients(lambda x, y: getattr(x * 2, name)(y), a, b)
    np.testing.assert_allclose(ours, torch_gradients(lambda t, x, y: getattr(x * 2, name)(y), a, b), rtol=1e-12)


def test_product_with_itself_in_place():
    def function(x):
        y = x * 2
        return y.mul_(y)

    assert gradients(function, [3.0])[0].tolist() == [24]


def test_what_was_overwritten_does_not_outlive_the_write():
    x = minigrad.ones(2, requires_grad=True)
    y = (x * 2).exp_()
    assert y.node.target is None and y.node.inputs is None


def test_results_keep_the_memory_order_of_their_input():
    x = Tensor(np.ones((2, 3, 4, 5), "float32").transpose(0, 3, 1, 2))
    results = [x + 1, x * x, -x, x.exp(), x.sigmoid(), x.rsqrt(), x.relu(), x.clamp(0, 1), x.round(decimals=2), x.erf(), x > 0]
    names = ("gelu", "silu", "mish", "elu", "leaky_relu", "hardswish", "hardsigmoid", "softplus", "relu6")
    for result in [*results, *(getattr(minigrad.ops, name)(x) for name in names)]:
        assert [s // result.itemsize for s in result.array.strides] == [s // x.itemsize for s in x.array.strides]


# --- extreme values ----------------------------------------------------------------------------------------------------

FUNCTIONS_WITH_POLES = [
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sigmoid", "sqrt", "rsqrt", "reciprocal",
    "asin", "acos", "acosh", "atanh", "sinh", "cosh", "tan",
]  # fmt: skip


def test_poles_and_overflow_give_no_warning():
    x = tensor([-INF, -1000.0, -1.0, 0.0, 1.0, 1000.0, INF, NAN], requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in FUNCTIONS_WITH_POLES:
            getattr(minigrad, name)(x)
        _ = x / 0, 1 / x, x % 0, x // 0, x**-1.5, x**1000.0, x.fmod(0), minigrad.hypot(x, 1e38)


def test_sigmoid_and_its_relatives_at_extreme_values():
    x = tensor([-INF, -1000.0, -88.0, 88.0, 1000.0, INF])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(minigrad.sigmoid(x).numpy(), [0, 0, 6.054602e-39, 1, 1, 1], rtol=1e-6)
        assert minigrad.ops.logsigmoid(x).tolist() == [-INF, -1000, -88, pytest.approx(-6.054602e-39, rel=1e-6), 0, 0]
        assert minigrad.ops.softplus(x).tolist() == [0, 0, pytest.approx(6.054602e-39, rel=1e-6), 88, 1000, INF]


def test_lerp_is_exact_at_both_ends():
    a, b = tensor([0.1, 1e8]), tensor([0.7, 0.3])
    assert minigrad.lerp(a, b, 1).tolist() == b.tolist() and minigrad.lerp(a, b, 0).tolist() == a.tolist()
    assert minigrad.lerp(a, b, tensor([1.0])).tolist() == b.tolist()


def test_nan_to_num_replaces_by_the_dtypes_limits():
    torch = pytest.importorskip("torch")
    values = np.array([NAN, INF, -INF, 1.0])
    for dtype in FLOATS:
        ours = minigrad.nan_to_num(Tensor(values.astype(dtype)))
        assert (
            ours.dtype == dtype
            and ours.tolist() == torch.nan_to_num(torch.tensor(values, dtype=getattr(torch, dtype))).tolist()
        )
    assert gradients(minigrad.nan_to_num, values)[0].tolist() == [0, 0, 0, 1]


def test_halves_are_rounded_to_even():
    assert minigrad.round(tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])).tolist() == [-2, -2, 0, 0, 2, 2]


@pytest.mark.parametrize("name", ["eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor", "isclose"])
def test_comparisons_are_not_recorded(name):
    for a, b in ((tensor([1.0, 2.0]), tensor([0.0, 3.0], requires_grad=True)), (tensor([1.0], requires_grad=True), 2.0)):
        if name.startswith(("logical", "isclose")) and not isinstance(b, Tensor):
            continue
        result = getattr(minigrad, name)(a, b)
        assert not result.requires_grad and result.grad_fn is None
