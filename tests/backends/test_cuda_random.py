"""The random numbers of the CUDA backend, by its kernels on an emulated GPU: the generator's published answers, distributions,
and streams that go on where they were."""

import numpy as np
import pytest
from scipy import stats

import minigrad as mg
from minigrad import backends
from minigrad.backends.cuda.hyperparameters import Recording
from tests.fake_cupy import fake_cupy
from tests.floats import FLOATS, REDUCED


@pytest.fixture
def backend():
    with fake_cupy():
        yield backends.backend_for("cuda")[0]


def philox(key, counter, attempt=0):
    """Four words of Philox 4x32-10, as the paper has it."""
    x = [counter & 0xFFFFFFFF, counter >> 32, attempt & 0xFFFFFFFF, attempt >> 32]
    key = [key & 0xFFFFFFFF, key >> 32]
    for _ in range(10):
        even, odd = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = [odd >> 32 ^ x[1] ^ key[0], odd & 0xFFFFFFFF, even >> 32 ^ x[3] ^ key[1], even & 0xFFFFFFFF]
        key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
    return x


def stream_at(backend, seed, offset=0):
    stream = backend.new_stream(seed)
    backend.set_stream_state(stream, np.array([seed, offset], "<u8").view(np.uint8))
    return stream


def words_at(backend, seed, offset, count):
    """What the device makes of so many counters, as 64-bit numbers: two of each."""
    out = backend.xp.empty(2 * count, dtype="int64")
    stream = stream_at(backend, seed, offset)
    backend.kernels("random", "bits", "float32")((1,), (32,), stream.place, out, np.int64(out.size))
    return [int(number) % 2**64 for number in backend.to_host(out)]


def test_known_answers(backend):
    """Random123's vectors; the device's counters have 64 bits, so that of all ones checks this file's philox."""
    zeros, ones = [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8], [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    assert philox(0, 0) == zeros
    assert philox(2**64 - 1, 2**64 - 1, 2**64 - 1) == ones
    assert words_at(backend, 0, 0, 1) == [zeros[0] << 32 | zeros[1], zeros[2] << 32 | zeros[3]]
    for seed, offset in ((2**64 - 1, 2**64 - 4), (0x0123456789ABCDEF, 2**32 - 2)):
        expected = [philox(seed, offset + i) for i in range(4)]
        pairs = [pair for a, b, c, d in expected for pair in (a << 32 | b, c << 32 | d)]
        assert words_at(backend, seed, offset, 4) == pairs


def drawn(backend, kernel, *arguments, seed=0):
    return backend.to_host(getattr(backend, kernel)(backend.new_stream(seed), *arguments))


STEPS = {"bfloat16": 2**8, "float16": 2**11, "float32": 2**24, "float64": 2**53}  # from 0 to 1


@pytest.mark.parametrize("dtype", FLOATS)
def test_uniform(backend, dtype):
    numbers = drawn(backend, "random_uniform", (300, 101), dtype)
    assert numbers.dtype == dtype and numbers.min() >= 0 and numbers.max() < 1
    assert stats.kstest(numbers.ravel().astype(float) + 0.5 / STEPS[dtype], "uniform").pvalue > 0.01
    steps = numbers.astype(float) * STEPS[dtype]
    assert (steps == np.floor(steps)).all() and (steps % 2 == 1).any()


def test_uniform_uses_the_words_in_their_order(backend):
    words = [word for i in range(3) for word in philox(9, i)]
    np.testing.assert_array_equal(
        drawn(backend, "random_uniform", (11,), "float32", seed=9), [(w >> 8) / 2**24 for w in words[:11]]
    )
    for dtype in REDUCED:
        expected = [(w * STEPS[dtype] >> 32) / STEPS[dtype] for w in words[:11]]
        np.testing.assert_array_equal(drawn(backend, "random_uniform", (11,), dtype, seed=9), expected)
    doubles = [((a << 32 | b) >> 11) / 2**53 for a, b in zip(words[::2], words[1::2])]
    np.testing.assert_array_equal(drawn(backend, "random_uniform", (5,), "float64", seed=9), doubles[:5])


@pytest.mark.parametrize("dtype", FLOATS)
def test_normal(backend, dtype):
    numbers = drawn(backend, "random_normal", (30301,), dtype).astype(float)
    assert np.isfinite(numbers).all()
    assert stats.kstest(numbers, "norm").pvalue > 0.01
    assert abs(numbers.mean()) < 0.02 and abs(numbers.std() - 1) < 0.02
    assert abs(stats.skew(numbers)) < 0.05 and abs(stats.kurtosis(numbers)) < 0.1
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.02  # the two of a pair


def test_normal_is_box_and_muller(backend):
    words = philox(3, 0)
    radius, angle = ((words[0] << 32 | words[1]) >> 11) + 1, (words[2] << 32 | words[3]) >> 11
    expected = np.sqrt(-2 * np.log(radius / 2**53)) * np.exp(2j * np.pi * angle / 2**53)
    found = drawn(backend, "random_normal", (2,), "float64", seed=3)
    np.testing.assert_allclose(found, [expected.real, expected.imag], rtol=1e-14)


@pytest.mark.parametrize("dtype", REDUCED)
def test_short_normal_numbers_are_the_long_ones_rounded(backend, dtype):
    long, short = (drawn(backend, "random_normal", (1001,), kind) for kind in ("float32", dtype))
    np.testing.assert_array_equal(short, long.astype(dtype))


@pytest.mark.parametrize(("low", "high"), [(0, 7), (-3, 1000), (5, 6), (0, 2**40), (-(2**63), 2**63 - 1), (-(2**63), 2**63)])
def test_integers(backend, low, high):
    numbers = drawn(backend, "random_integers", low, high, (20001,))
    assert numbers.dtype == "int64" and numbers.min() >= low and numbers.max() <= high - 1
    if high - low < 2000:
        counts = np.bincount(numbers - low, minlength=high - low)
        assert counts.size == high - low and (high - low == 1 or stats.chisquare(counts).pvalue > 0.01)
    else:
        scaled = [(int(number) - low) / (high - low) for number in numbers]
        assert stats.kstest(scaled, "uniform").pvalue > 0.01


def test_integers_are_drawn_again_where_some_would_be_likelier(backend):
    """Of a range of 3/4 of all, a quarter of the draws is refused."""
    count, seed = 3 * 2**62, 5
    expected = []
    for i in range(200):
        for half in (0, 2):
            for attempt in range(100):
                words = philox(seed, i, attempt)
                product = (words[half] << 32 | words[half + 1]) * count
                if product % 2**64 >= 2**64 % count:
                    break
            expected.append(-(2**63) + (product >> 64))
    found = drawn(backend, "random_integers", -(2**63), -(2**63) + count, (399,), seed=seed)
    assert found.tolist() == expected[:399]
    with pytest.raises(ValueError, match="expected integers of 64 bits"):
        drawn(backend, "random_integers", 0, 2**63 + 1, (2,))


@pytest.mark.parametrize("probability", [0, 2.0**-32, 0.1, 0.5, 0.999, 1])
def test_mask(backend, probability):
    mask = drawn(backend, "random_mask", probability, (101, 203))
    assert mask.dtype == "bool"
    assert set(np.unique(mask.view(np.uint8))) <= {0, 1}
    assert abs(mask.mean() - probability) <= 4 * np.sqrt(probability * (1 - probability) / mask.size)
    words = [word for i in range(3) for word in philox(0, i)]
    assert mask.ravel()[:11].tolist() == [word < round(probability * 2**32) for word in words[:11]]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1000])
def test_permutation(backend, count):
    stream = backend.new_stream(0)
    first, second = (backend.to_host(backend.random_permutation(stream, count)) for _ in range(2))
    assert first.dtype == "int64"
    assert sorted(first) == sorted(second) == list(range(count))
    assert count < 1000 or (first != second).sum() > 900


def test_all_orders_are_as_likely(backend):
    stream = backend.new_stream(1)
    orders = [tuple(backend.to_host(backend.random_permutation(stream, 3))) for _ in range(600)]
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 6 and stats.chisquare(counts).pvalue > 0.01


# --- streams -------------------------------------------------------------------------------------------------------------

DRAWS = [
    ("random_uniform", (7,), "float32"),
    ("random_uniform", (3, 3), "float64"),
    ("random_normal", (5,), "float16"),
    ("random_normal", (), "float32"),
    ("random_integers", 0, 2**62, (5,)),
    ("random_mask", 0.5, (30,)),
    ("random_permutation", 40),
    ("random_uniform", (0, 3), "float32"),
]


@pytest.mark.parametrize("draw", DRAWS, ids=lambda draw: draw[0])
def test_a_stream_goes_on(backend, draw):
    kernel, *arguments = draw
    stream = backend.new_stream(2**64 - 1)
    state = backend.stream_state(stream)
    assert state.dtype == "uint8" and state.view("<u8").tolist() == [2**64 - 1, 0]
    results = [backend.to_host(getattr(backend, kernel)(stream, *arguments)) for _ in range(3)]
    middle = backend.new_stream(1)
    backend.set_stream_state(middle, state)
    again = [backend.to_host(getattr(backend, kernel)(middle, *arguments)) for _ in range(2)]
    backend.set_stream_state(stream, backend.stream_state(middle))
    again.append(backend.to_host(getattr(backend, kernel)(stream, *arguments)))
    for first, second in zip(results, again):
        np.testing.assert_array_equal(first, second)
    if results[0].size > 4:
        assert not np.array_equal(results[0], results[1]) and not np.array_equal(results[1], results[2])


def test_successive_draws_share_no_counter(backend):
    stream = backend.new_stream(0)
    keys = [backend.to_host(backend.random_uniform(stream, (size,), "float64")) for size in (1, 2, 3, 7, 100)]
    backend.random_normal(stream, (5,), "float32")  # two counters
    backend.random_mask(stream, 0.5, (9,))  # three
    assert backend.stream_state(stream).view("<u8")[1] == 1 + 1 + 2 + 4 + 50 + 2 + 3
    keys = np.concatenate(keys)
    assert len(np.unique(keys)) == len(keys)


def test_the_grid_changes_nothing(backend, monkeypatch):
    draws = [drawn(backend, kernel, *arguments) for kernel, *arguments in DRAWS]
    monkeypatch.setattr("minigrad.backends.cuda.random.BLOCKS", 1)
    monkeypatch.setattr("minigrad.backends.cuda.random.THREADS", 2)
    for (kernel, *arguments), expected in zip(DRAWS, draws):
        np.testing.assert_array_equal(drawn(backend, kernel, *arguments), expected)


@pytest.mark.parametrize(
    "state", [np.zeros(15, np.uint8), np.zeros(16, np.int8), np.zeros((2, 8), np.uint8), np.zeros(104, np.uint8)]
)
def test_bytes_that_are_no_state(backend, state):
    with pytest.raises(ValueError, match=r"expected the 16 bytes \(uint8\) of a state on CUDA, got"):
        backend.set_stream_state(backend.new_stream(0), state)


def test_generators(backend):
    generator = mg.Generator("cuda").manual_seed(-1)
    first = mg.rand(5, generator=generator)
    state = generator.get_state()
    second = mg.randperm(9, generator=generator)
    generator.set_state(state)
    assert mg.randperm(9, generator=generator).tolist() == second.tolist()
    assert mg.rand(5, generator=generator.manual_seed(2**64 - 1)).tolist() == first.tolist()
    with pytest.raises(ValueError, match="set_state: expected the 16 bytes"):
        generator.set_state(mg.Generator().get_state())
    mg.manual_seed(3)
    kept = mg.ops.dropout(mg.ones(1000, device="cuda"), 0.25)
    assert set(kept.tolist()) == {0.0, np.float32(4 / 3)} and 200 < (kept == 0).sum().item() < 300
    mg.manual_seed(3)
    assert mg.ops.dropout(mg.ones(1000, device="cuda"), 0.25).tolist() == kept.tolist()


def test_a_graph_keeps_its_stream(backend):
    stream = backend.new_stream(0)
    graph = Recording(backend)
    with graph:
        backend.random_mask(stream, 0.5, (3,))
    assert graph._kept == [stream.place]
