"""Seeds of GPUs: on a stand-in for cupy, and where there is no GPU."""

import pytest

import minigrad as mg
from minigrad.ops import generator
from tests.fake_cupy import fake_cupy


@pytest.fixture
def seeded(monkeypatch):
    """What was asked for before, and is asked for again afterwards."""
    monkeypatch.setattr(generator, "_last_seed", None)
    state = mg.get_rng_state()
    yield
    mg.set_rng_state(state)


def draws(device="cuda"):
    return mg.rand(4, device=device).tolist()


def test_the_current_gpu(seeded):
    with fake_cupy():
        mg.cuda.manual_seed(3)
        first = draws()
        mg.manual_seed(4)
        on_the_cpu = draws("cpu")
        mg.manual_seed(4)
        mg.cuda.manual_seed(3)
        assert draws() == first and draws("cpu") == on_the_cpu


@pytest.mark.parametrize("used_before", [False, True])
def test_all_gpus(seeded, used_before):
    with fake_cupy():
        expected = mg.rand(4, generator=mg.Generator("cuda").manual_seed(-3)).tolist()
        for index in range(2 * used_before):
            mg.cuda.set_device(index)
            draws()
        before = mg.get_rng_state()
        mg.cuda.manual_seed_all(-3)
        assert mg.get_rng_state().equal(before)
        for index in range(2):
            mg.cuda.set_device(index)
            assert draws() == expected
        mg.cuda.set_device(0)


@pytest.mark.parametrize("seed", [mg.cuda.manual_seed, mg.cuda.manual_seed_all])
def test_without_a_gpu_nothing_happens(seeded, seed):
    if mg.cuda.is_available():
        pytest.skip("there is a GPU")
    before = mg.get_rng_state()
    assert seed(0) is None
    assert mg.get_rng_state().equal(before)


def test_seeds_out_of_range():
    with pytest.raises(ValueError, match="expected a seed from"):
        mg.cuda.manual_seed_all(2**64)
