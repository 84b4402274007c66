"""How parameters start: bounds, moments, and the conventions of the layers."""

import math
import warnings

import numpy as np
import pytest
from scipy import stats

import minigrad as mg
from minigrad import nn
from minigrad.nn import init


@pytest.fixture(autouse=True)
def seeded():
    mg.manual_seed(0)


def is_uniform(tensor, low, high):
    return stats.kstest(tensor.numpy(force=True).ravel(), stats.uniform(low, high - low).cdf).pvalue > 1e-3


def is_normal(tensor, mean, std):
    return stats.kstest(tensor.numpy(force=True).ravel(), stats.norm(mean, std).cdf).pvalue > 1e-3


def within(tensor, low, high):
    values = tensor.numpy(force=True)
    return values.min() >= low - 1e-6 and values.max() <= high + 1e-6


WEIGHT = (64, 32, 3, 3)  # fan in 288, fan out 576


@pytest.mark.parametrize(
    ("fill", "bound"),
    [
        (lambda t: init.uniform_(t, -0.5, 0.5), 0.5),
        (lambda t: init.xavier_uniform_(t, gain=2.0), 2 * math.sqrt(6 / (288 + 576))),
        (lambda t: init.kaiming_uniform_(t), math.sqrt(6 / 288)),
        (lambda t: init.kaiming_uniform_(t, a=math.sqrt(5)), 1 / math.sqrt(288)),
        (lambda t: init.kaiming_uniform_(t, mode="fan_out", nonlinearity="relu"), math.sqrt(6 / 576)),
        (lambda t: init.kaiming_uniform_(t, nonlinearity="linear"), math.sqrt(3 / 288)),
    ],
)
def test_uniform(fill, bound):
    tensor = mg.empty(WEIGHT)
    assert fill(tensor) is tensor
    assert within(tensor, -bound, bound) and is_uniform(tensor, -bound, bound)


@pytest.mark.parametrize(
    ("fill", "mean", "std"),
    [
        (lambda t: init.normal_(t, 1.0, 0.5), 1.0, 0.5),
        (lambda t: init.xavier_normal_(t), 0.0, math.sqrt(2 / (288 + 576))),
        (lambda t: init.kaiming_normal_(t, nonlinearity="relu"), 0.0, math.sqrt(2 / 288)),
        (lambda t: init.kaiming_normal_(t, 0.2, "fan_out"), 0.0, math.sqrt(2 / 1.04 / 576)),
    ],
)
def test_normal(fill, mean, std):
    tensor = mg.empty(WEIGHT)
    assert fill(tensor) is tensor
    assert is_normal(tensor, mean, std)


@pytest.mark.parametrize(("mean", "std", "a", "b"), [(0, 1, -2, 2), (0.5, 0.02, -2, 2), (1, 2, 0, 1.5), (0, 1, 1.5, 9)])
def test_truncated_normal(mean, std, a, b):
    tensor = init.trunc_normal_(mg.empty(20000), mean, std, a, b)
    assert within(tensor, a, b)
    low, high = (a - mean) / std, (b - mean) / std
    assert stats.kstest(tensor.numpy(), stats.truncnorm(low, high, mean, std).cdf).pvalue > 1e-3


def test_truncated_normal_far_from_its_mean():
    with pytest.warns(UserWarning, match="more than 2 std from"):
        tensor = init.trunc_normal_(mg.empty(100), 0, 1, 4, 5)
    assert within(tensor, 4, 5)
    with pytest.raises(ValueError, match="expected a < b"):
        init.trunc_normal_(tensor, a=1, b=1)


def test_inverse_of_erf():
    y = np.concatenate([np.linspace(-0.999999, 0.999999, 1001), [1 - 1e-9, 1e-12]])
    from scipy.special import erfinv

    np.testing.assert_allclose(init._inverse_erf(mg.tensor(y)).numpy(), erfinv(y), rtol=1e-8, atol=1e-15)


def test_constants():
    assert init.constant_(mg.empty(2), 0.5).tolist() == [0.5, 0.5]
    assert init.ones_(mg.empty(2)).tolist() == [1, 1]
    assert init.zeros_(mg.empty(2)).tolist() == [0, 0]
    assert init.eye_(mg.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    with pytest.raises(ValueError, match=r"eye_: expected a matrix, got shape \(2,\)"):
        init.eye_(mg.empty(2))


@pytest.mark.parametrize("groups", [1, 2])
def test_dirac_passes_its_input_on(groups):
    x = mg.randn(2, 4, 5, 5)
    weight = init.dirac_(mg.ones(6, 4 // groups, 3, 3), groups)
    out = nn.functional.conv2d(x, weight, padding=1, groups=groups)
    kept = out.numpy().reshape(2, groups, 6 // groups, 5, 5)
    given = x.numpy().reshape(2, groups, 4 // groups, 5, 5)
    passed = min(6 // groups, 4 // groups)
    np.testing.assert_array_equal(kept[:, :, :passed], given[:, :, :passed])
    assert not kept[:, :, passed:].any()


def test_dirac_needs_a_weight_of_a_convolution():
    with pytest.raises(ValueError, match="dirac_: expected 3 to 5 dimensions"):
        init.dirac_(mg.empty(2, 2))
    with pytest.raises(ValueError, match="divisible by groups=2"):
        init.dirac_(mg.empty(3, 2, 1), 2)


@pytest.mark.parametrize("shape", [(4, 4), (3, 7), (7, 3), (6, 2, 2, 2), (1, 5), (50, 60)])
def test_orthogonal(shape):
    matrix = init.orthogonal_(mg.empty(shape, dtype=mg.float64), gain=2.0).numpy().reshape(shape[0], -1)
    if matrix.shape[0] > matrix.shape[1]:
        matrix = matrix.T
    np.testing.assert_allclose(matrix @ matrix.T, 4 * np.eye(len(matrix)), atol=1e-12)


def test_orthogonal_is_uniform_over_rotations():
    firsts = np.array([init.orthogonal_(mg.empty(2, 2)).numpy()[0] for _ in range(2000)])
    angles = np.arctan2(firsts[:, 1], firsts[:, 0])
    assert stats.kstest(angles, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-3
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        init.orthogonal_(mg.empty(3))


def test_gains():
    gains = {"linear": 1, "conv2d": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
    for name, gain in gains.items():
        assert init.calculate_gain(name) == gain
    assert init.calculate_gain("leaky_relu") == pytest.approx(math.sqrt(2 / (1 + 0.01**2)))
    assert init.calculate_gain("leaky_relu", 2) == pytest.approx(math.sqrt(2 / 5))
    with pytest.raises(ValueError, match=r"calculate_gain: expected one of linear, .* got 'swish'"):
        init.calculate_gain("swish")
    with pytest.raises(TypeError, match="negative slope"):
        init.calculate_gain("leaky_relu", True)


def test_fans_need_two_dimensions():
    for fill in (init.kaiming_uniform_, init.kaiming_normal_, init.xavier_uniform_, init.xavier_normal_):
        with pytest.raises(ValueError, match=r"at least 2 dimensions, got shape \(3,\)"):
            fill(mg.empty(3))
    with pytest.raises(ValueError, match="expected mode to be 'fan_in' or 'fan_out', got 'fan'"):
        init.kaiming_normal_(mg.empty(3, 3), mode="fan")


RANDOM = [
    init.uniform_,
    init.normal_,
    init.trunc_normal_,
    init.xavier_uniform_,
    init.xavier_normal_,
    init.kaiming_uniform_,
    init.kaiming_normal_,
    init.orthogonal_,
]


@pytest.mark.parametrize("fill", RANDOM, ids=lambda f: f.__name__)
def test_a_generator_decides(fill):
    draws = [fill(mg.empty(4, 3), generator=mg.Generator().manual_seed(seed)).tolist() for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize("fill", [*RANDOM, init.ones_, init.zeros_, init.eye_], ids=lambda f: f.__name__)
def test_parameters_are_filled_outside_the_tape(fill):
    parameter = nn.Parameter(mg.empty(4, 3))
    assert fill(parameter) is parameter
    assert parameter.is_leaf and parameter.requires_grad


def test_layers_start_as_pytorchs_do():
    linear = nn.Linear(300, 400)
    assert is_uniform(linear.weight, -1 / math.sqrt(300), 1 / math.sqrt(300))
    assert is_uniform(linear.bias, -1 / math.sqrt(300), 1 / math.sqrt(300))
    conv = nn.Conv2d(64, 128, 3, groups=2)
    bound = 1 / math.sqrt(32 * 9)
    assert (
        within(conv.weight, -bound, bound) and is_uniform(conv.weight, -bound, bound) and is_uniform(conv.bias, -bound, bound)
    )
    transposed = nn.ConvTranspose2d(64, 128, 3, groups=2)
    bound = 1 / math.sqrt(64 * 9)  # PyTorch's fan in of a weight (in, out / groups, 3, 3): the second dimension counts
    assert is_uniform(transposed.weight, -bound, bound) and is_uniform(transposed.bias, -bound, bound)
    table = nn.Embedding(300, 100, padding_idx=7)
    assert not table.weight[7].any()
    assert is_normal(table.weight[8:], 0, 1)
    for norm in (nn.BatchNorm2d(3), nn.LayerNorm(3), nn.GroupNorm(1, 3)):
        assert norm.weight.tolist() == [1, 1, 1] and norm.bias.tolist() == [0, 0, 0]
    assert nn.PReLU(2).weight.tolist() == [0.25, 0.25]


def test_reset_parameters_starts_again():
    for layer in (nn.Linear(2, 3), nn.Conv2d(1, 2, 3), nn.Embedding(4, 2, padding_idx=1)):
        before = layer.weight.tolist()
        layer.reset_parameters()
        assert layer.weight.tolist() != before and layer.weight.is_leaf
    norm = nn.BatchNorm1d(2)
    norm(mg.randn(4, 2))
    init.constant_(norm.weight, 3.0)
    norm.reset_parameters()
    fresh = nn.BatchNorm1d(2).state_dict()
    assert {k: v.tolist() for k, v in norm.state_dict().items()} == {k: v.tolist() for k, v in fresh.items()}
    for layer in (nn.PReLU(), nn.LayerNorm(2), nn.GroupNorm(1, 2)):
        before = layer.weight.tolist()
        init.constant_(layer.weight, 3.0)
        layer.reset_parameters()
        assert layer.weight.tolist() == before and layer.weight.is_leaf


def test_layers_without_inputs_can_be_made():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert nn.Linear(0, 2).weight.shape == (2, 0)
        assert init.xavier_uniform_(mg.empty(0, 0)).shape == (0, 0)
