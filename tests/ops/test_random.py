"""Draws have their distribution, and the same seed gives the same draws."""

import numpy as np
import pytest
from scipy import stats

import minigrad
from minigrad import Generator, Tensor, ops
from tests.floats import FLOATS, REDUCED
from tests.strict_backend import strict_backend

COUNT = 20_000


@pytest.fixture
def generator():
    return Generator().manual_seed(20)


def assert_drawn_from(values, distribution):
    """Kolmogorov and Smirnov: with these fixed seeds, a failure is an error and no bad luck."""
    assert stats.kstest(np.asarray(values, np.float64).ravel(), distribution.cdf).pvalue > 1e-3


def assert_frequency(number, count, probability):
    assert stats.binomtest(int(number), int(count), probability).pvalue > 1e-3


# --- distributions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
def test_rand_is_uniform(generator, dtype):
    x = minigrad.rand(COUNT, dtype=dtype, generator=generator).numpy()
    assert x.dtype == dtype
    assert x.min() >= 0 and x.max() < 1
    assert abs(x.mean(dtype=np.float64) - 0.5) < 0.01
    if dtype not in REDUCED:  # their 2048 or 256 values are no continuous distribution
        assert_drawn_from(x, stats.uniform())


@pytest.mark.parametrize("dtype", FLOATS)
def test_randn_is_normal(generator, dtype):
    x = minigrad.randn(COUNT // 4, 4, dtype=dtype, generator=generator).numpy()
    assert x.dtype == dtype
    assert_drawn_from(x, stats.norm())
    columns = np.corrcoef(x.T.astype(np.float64))
    assert np.abs(columns - np.eye(4)).max() < 0.06


def test_randint_is_uniform(generator):
    x = minigrad.randint(-2, 5, (COUNT,), generator=generator).numpy()
    values, counts = np.unique(x, return_counts=True)
    assert values.tolist() == list(range(-2, 5))
    assert stats.chisquare(counts).pvalue > 1e-3
    assert set(minigrad.randint(3, (100,)).tolist()) == {0, 1, 2}
    assert set(minigrad.randint(3, size=(100,)).tolist()) == {0, 1, 2}


def test_randint_of_the_largest_range(generator):
    x = minigrad.randint(-(2**63), 2**63 - 1, (100,), generator=generator)
    assert x.dtype == "int64"
    assert x.amin().item() < -(2**61) < 2**61 < x.amax().item()


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [("float16", 0, 4096), ("float16", -4095, 2), ("bfloat16", 0, 512), ("float32", 2**24, 2**24 + 2), ("float16", 2048, 2050)],
)
def test_randint_rounds_to_nothing_out_of_range(generator, dtype, low, high):
    x = minigrad.randint(low, high, (COUNT,), dtype=dtype, generator=generator).double()
    assert low <= x.amin().item() and x.amax().item() < high


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [("uint8", 0, 300), ("uint8", -1, 3), ("int8", 0, 129), ("bool", 0, 3), ("float16", 0, 70000), ("float16", 2049, 2050)],
)
def test_randint_refuses_what_its_dtype_cannot_hold(dtype, low, high):
    with pytest.raises(ValueError, match=rf"randint: expected .* {dtype}, got {low} and {high}"):
        minigrad.randint(low, high, (5,), dtype=dtype)


def test_randint_takes_all_that_its_dtype_holds():
    assert minigrad.randint(0, 256, (3,), dtype="uint8").dtype == "uint8"
    assert minigrad.randint(0, 2, (3,), dtype="bool").dtype == "bool"
    assert minigrad.randint(high=4, size=(2,)).shape == minigrad.randint(low=0, high=4, size=(2,)).shape == (2,)
    assert 0 <= minigrad.randint(high=4, size=(100,)).amin().item() <= minigrad.randint(high=4, size=(100,)).amax().item() < 4


@pytest.mark.parametrize(("dtype", "most"), [("uint8", 256), ("int8", 128), ("float16", 2049), ("bfloat16", 257)])
def test_randperm_repeats_nothing(dtype, most):
    assert minigrad.randperm(most, dtype=dtype).double().sort().values.tolist() == list(range(most))
    with pytest.raises(ValueError, match=f"randperm: expected n of at most {most} for {dtype}, got {most + 1}"):
        minigrad.randperm(most + 1, dtype=dtype)


NAN = float("nan")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: minigrad.bernoulli(minigrad.tensor([1.5, 0.5])),
            "bernoulli: expected probabilities from 0 to 1, got .* 0.5 to 1.5",
        ),
        (lambda: minigrad.bernoulli(minigrad.tensor([NAN])), "bernoulli: expected probabilities from 0 to 1, got .* nan"),
        (lambda: minigrad.zeros(2).bernoulli_(minigrad.tensor([-1.0, 0])), "bernoulli_: expected probabilities from 0 to 1"),
        (lambda: minigrad.normal(minigrad.zeros(1), -minigrad.ones(1)), "normal: expected std of at least 0, got -1.0"),
        (lambda: minigrad.normal(0.0, minigrad.tensor([NAN])), "normal: expected std of at least 0, got nan"),
        (lambda: minigrad.normal(0.0, NAN, (2,)), "normal: expected std of at least 0, got nan"),
        (lambda: minigrad.zeros(2).normal_(0, NAN), "normal_: expected std of at least 0, got nan"),
        (lambda: minigrad.zeros(2).uniform_(0, NAN), "uniform_: expected from_ to be at most to, got 0 and nan"),
    ],
)
def test_parameters_out_of_range(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_no_parameters_are_in_range():
    assert minigrad.bernoulli(minigrad.zeros(0)).shape == minigrad.normal(minigrad.zeros(0), minigrad.zeros(0)).shape == (0,)
    assert minigrad.zeros(0).bernoulli_(minigrad.zeros(0)).shape == (0,)


def test_randperm_is_a_uniform_permutation(generator):
    drawn = [tuple(minigrad.randperm(3, generator=generator).tolist()) for _ in range(600)]
    orders, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(orders) == 6
    assert stats.chisquare(counts).pvalue > 1e-3
    assert sorted(minigrad.randperm(100).tolist()) == list(range(100))


def test_normal_has_each_elements_mean_and_deviation(generator):
    mean = minigrad.tensor([0.0, 100.0]).expand(COUNT, 2)
    x = minigrad.normal(mean, minigrad.tensor([1.0, 5.0]), generator=generator).numpy()
    assert_drawn_from(x[:, 0], stats.norm(0, 1))
    assert_drawn_from(x[:, 1], stats.norm(100, 5))
    assert_drawn_from(minigrad.normal(3.0, 2.0, (COUNT,), generator=generator).numpy(), stats.norm(3, 2))


@pytest.mark.parametrize("dtype", FLOATS)
def test_in_place_draws(generator, dtype):
    x = minigrad.empty(100, 200, dtype=dtype)
    low, high = (-3.0, 5.0) if dtype not in REDUCED else (0.0, 1.0)
    assert x.uniform_(low, high, generator=generator) is x
    if dtype not in REDUCED:
        assert_drawn_from(x.numpy(), stats.uniform(low, high - low))
    assert_drawn_from(x.normal_(2.0, 3.0, generator=generator).numpy(), stats.norm(2, 3))
    x.bernoulli_(0.3, generator=generator)
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert_frequency(x.numpy().sum(dtype=np.float64), x.numel(), 0.3)


@pytest.mark.parametrize("p", [0.0, 1e-4, 0.3, 0.999, 1.0])
def test_bernoulli_frequencies(generator, p):
    number = minigrad.empty(COUNT, dtype="bool").bernoulli_(p, generator=generator).sum().item()
    assert_frequency(number, COUNT, p)
    number = minigrad.bernoulli(minigrad.full((COUNT,), p, dtype="float64"), generator=generator).sum().item()
    assert_frequency(number, COUNT, p)


def test_bernoulli_of_a_tensor_of_probabilities(generator):
    x = minigrad.empty(COUNT, 2).bernoulli_(minigrad.tensor([0.2, 0.9]), generator=generator)
    for number, p in zip(x.sum(0).tolist(), [0.2, 0.9]):
        assert_frequency(number, COUNT, p)


def test_multinomial_with_replacement(generator):
    weights = np.array([[0.0, 1.0, 2.0, 0.0, 5.0], [3.0, 0.0, 0.0, 3.0, 0.0]])
    drawn = minigrad.multinomial(Tensor(weights), COUNT, replacement=True, generator=generator).numpy()
    for row, indices in zip(weights, drawn):
        counts = np.bincount(indices, minlength=5)
        assert counts[row == 0].tolist() == [0] * int((row == 0).sum())
        expected = COUNT * row / row.sum()
        assert stats.chisquare(counts[row > 0], expected[row > 0]).pvalue > 1e-3


def test_multinomial_without_replacement(generator):
    weights = np.array([1.0, 0.0, 2.0, 5.0])
    rows = minigrad.tensor(weights).expand(4000, 4)
    drawn = minigrad.multinomial(rows, 3, generator=generator).numpy()
    assert all(sorted(row) == [0, 2, 3] for row in drawn.tolist())
    assert stats.chisquare(np.bincount(drawn[:, 0], minlength=4)[[0, 2, 3]], 4000 * np.array([1, 2, 5]) / 8).pvalue > 1e-3
    first_was_3 = drawn[drawn[:, 0] == 3]
    assert_frequency((first_was_3[:, 1] == 2).sum(), len(first_was_3), 2 / 3)


# --- dropout -----------------------------------------------------------------------------------------------------------


def test_dropout_keeps_the_mean():
    minigrad.manual_seed(1)
    y = ops.dropout(minigrad.ones(COUNT), 0.2).numpy()
    assert set(np.unique(y)) == {0.0, np.float32(1.25)}
    assert_frequency((y == 0).sum(), COUNT, 0.2)


def test_dropout_gradient_has_the_mask_of_forward():
    x = minigrad.rand(50, requires_grad=True)
    y = ops.dropout(x, 0.5)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.where(y.numpy(force=True) == 0, 0, 2))


def test_dropout_in_place_and_in_evaluation():
    x = minigrad.ones(100)
    assert ops.dropout(x, 0.5, training=False) is x
    assert ops.dropout(x, 0.0) is x
    assert x.sum().item() == 100
    assert ops.dropout(x, 0.5, inplace=True) is x
    assert set(x.tolist()) == {0.0, 2.0}
    assert ops.dropout(minigrad.ones(5), 1.0).tolist() == [0.0] * 5


def test_dropout2d_drops_whole_channels():
    minigrad.manual_seed(2)
    y = ops.dropout2d(minigrad.ones(40, 50, 2, 3), 0.25).numpy().reshape(40, 50, 6)
    assert (y.min(-1) == y.max(-1)).all()
    assert_frequency((y[..., 0] == 0).sum(), 2000, 0.25)


# --- seeds and states --------------------------------------------------------------------------------------------------


DRAWS = {
    "rand": lambda generator: minigrad.rand(3, 5, generator=generator),
    "rand float64": lambda generator: minigrad.rand(5, dtype="float64", generator=generator),
    "rand float16": lambda generator: minigrad.rand(5, dtype="float16", generator=generator),
    "randn": lambda generator: minigrad.randn(7, generator=generator),
    "randint": lambda generator: minigrad.randint(100, (7,), generator=generator),
    "randperm": lambda generator: minigrad.randperm(9, generator=generator),
    "normal": lambda generator: minigrad.normal(minigrad.zeros(3), 1.0, generator=generator),
    "bernoulli": lambda generator: minigrad.bernoulli(minigrad.full((9,), 0.5), generator=generator),
    "multinomial": lambda generator: minigrad.multinomial(minigrad.ones(9), 4, generator=generator),
    "multinomial with replacement": lambda generator: minigrad.multinomial(minigrad.ones(9), 4, True, generator=generator),
    "uniform_": lambda generator: minigrad.zeros(7).uniform_(2, 3, generator=generator),
    "normal_": lambda generator: minigrad.zeros(7).normal_(generator=generator),
    "bernoulli_": lambda generator: minigrad.zeros(9).bernoulli_(generator=generator),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_seed_fixes_the_draws(draw):
    generator = Generator().manual_seed(7)
    first, second = draw(generator).tolist(), draw(generator).tolist()
    assert first != second
    assert draw(generator.manual_seed(7)).tolist() == first
    assert draw(Generator().manual_seed(8)).tolist() != first
    minigrad.manual_seed(7)
    assert draw(None).tolist() == first


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_state_brings_the_draws_back(draw):
    generator = Generator().manual_seed(7)
    minigrad.rand(3, generator=generator)  # half a word is left over
    state = generator.get_state()
    assert (state.dtype, state.device, state.ndim) == ("uint8", "cpu", 1)
    expected = [draw(generator).tolist() for _ in range(3)]
    other = Generator()
    assert other.set_state(state) is other
    assert other.initial_seed() == 7
    assert [draw(other).tolist() for _ in range(3)] == expected


def test_the_draws_of_a_seed_never_change():
    """What programs of earlier versions have drawn."""
    generator = Generator().manual_seed(0)
    assert minigrad.randint(1000, (4,), generator=generator).tolist() == KNOWN["randint"]
    np.testing.assert_array_equal(minigrad.rand(3, generator=generator).numpy(), np.float32(KNOWN["rand"]))
    np.testing.assert_array_equal(minigrad.randn(3, generator=generator).numpy(), np.float32(KNOWN["randn"]))


KNOWN = {
    "randint": [135, 14, 937, 257],
    "rand": [0.3864486813545227, 0.4715653657913208, 0.6172248721122742],
    "randn": [-0.15108677744865417, -0.28061485290527344, 3.8875653743743896],
}


def test_a_state_survives_saving_as_numbers():
    minigrad.manual_seed(3)
    minigrad.randn(5)
    numbers = minigrad.get_rng_state().tolist()
    expected = minigrad.randn(4).tolist()
    minigrad.set_rng_state(minigrad.tensor(numbers, dtype="uint8"))
    assert minigrad.randn(4).tolist() == expected


def test_a_wrong_state_changes_nothing():
    minigrad.manual_seed(3)
    expected = minigrad.rand(2).tolist()
    minigrad.manual_seed(3)
    with pytest.raises(ValueError, match="set_state"):
        minigrad.set_rng_state(minigrad.zeros(20, dtype="uint8"))
    assert minigrad.rand(2).tolist() == expected


def test_seeds():
    assert minigrad.manual_seed(5) is minigrad.default_generator
    assert minigrad.initial_seed() == 5
    assert minigrad.manual_seed(-1).initial_seed() == 2**64 - 1
    assert len({minigrad.seed() for _ in range(3)}) == 3
    assert Generator().initial_seed() == Generator().initial_seed()
    assert Generator().seed() != Generator().seed()


def test_a_small_draw_is_the_start_of_a_large_one():
    small = minigrad.rand(3, generator=Generator().manual_seed(1))
    large = minigrad.rand(100, generator=Generator().manual_seed(1))
    assert large[:3].tolist() == small.tolist()


def test_manual_seed_reaches_every_device():
    with strict_backend():
        minigrad.manual_seed(11)
        expected = minigrad.randn(4).tolist()
        for _ in range(2):  # the device's generator is new, and then known
            minigrad.manual_seed(11)
            x = minigrad.randn(4, device="strict")
            assert x.device == "strict"
            assert x.tolist() == expected


def test_a_generator_fills_tensors_of_its_own_device():
    with strict_backend():
        generator = Generator("strict")
        assert generator.device == "strict"
        assert minigrad.rand(2, generator=generator).device == "strict"
        with pytest.raises(RuntimeError, match="a generator on cpu, got one on strict"):
            minigrad.zeros(2).uniform_(generator=generator)
        with pytest.raises(RuntimeError, match="a generator on cpu, got one on strict"):
            minigrad.rand(2, generator=generator, device="cpu")


# --- in the graph ------------------------------------------------------------------------------------------------------


def test_a_draw_in_place_cuts_the_gradient():
    x = minigrad.ones(4, requires_grad=True)
    y = x * 2
    y[:2].normal_()
    y.sum().backward()
    assert x.grad.tolist() == [0, 0, 2, 2]


def test_draws_require_grad_on_demand():
    assert minigrad.randn(2, requires_grad=True).is_leaf
    assert minigrad.rand(2, requires_grad=True).requires_grad
    with pytest.raises(RuntimeError, match="floating"):
        minigrad.randint(5, (2,), requires_grad=True)
