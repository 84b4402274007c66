"""The dtypes: bfloat16 with ml_dtypes and without it. How they combine is in tests/ops/test_promotion.py."""

import math
import pickle
import subprocess
import sys

import numpy as np
import pytest

import minigrad
from minigrad import dtypes
from tests.floats import REDUCED

# A process in which ml_dtypes cannot be imported.
WITHOUT = """
import sys
sys.modules["ml_dtypes"] = None
import minigrad
from minigrad import dtypes

assert dtypes.REDUCED == {minigrad.float16} and not hasattr(minigrad, "bfloat16") and "bfloat16" not in minigrad.__all__
def message(call):
    try:
        call()
    except (AttributeError, TypeError) as error:
        return f"{type(error).__name__}: {error}"

x = minigrad.ones(2)
for call in (
    lambda: minigrad.bfloat16,
    lambda: minigrad.zeros(2, dtype="bfloat16"),
    lambda: x.to("bfloat16"),
    lambda: x.bfloat16(),
    lambda: minigrad.nn.Linear(2, 2).bfloat16(),
    lambda: minigrad.autocast("cpu", "bfloat16"),
    lambda: minigrad.zeros(2, dtype="bfloat"),
):
    print(message(call))
with minigrad.autocast("cpu"):
    assert (minigrad.ones(2, 2) @ minigrad.ones(2, 2)).dtype == "float16"
assert minigrad.promote_types("float16", "float32") == "float32"
"""


def test_without_ml_dtypes():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    *missing, unknown = done.stdout.splitlines()
    assert [line.split(":")[0] for line in missing] == ["AttributeError"] + ["TypeError"] * 5
    for line in missing:
        assert line.endswith("to be installed; pip install 'minigrad[bfloat16]'") and "bfloat16: expected ml_dtypes" in line
    assert unknown == (
        "TypeError: zeros: expected a dtype out of "
        "bool, float16, float32, float64, int16, int32, int64, int8, uint8, got 'bfloat'"
    )


@pytest.fixture
def bfloat16():
    pytest.importorskip("ml_dtypes")
    return minigrad.bfloat16


def test_names(bfloat16):
    assert dtypes.as_dtype("bfloat16") is dtypes.as_dtype(bfloat16.type) is dtypes.as_dtype(bfloat16) is bfloat16
    assert "bfloat16" in minigrad.__all__
    assert str(bfloat16) == "bfloat16" and bfloat16.itemsize == 2
    with pytest.raises(AttributeError, match="no attribute 'bfloat17'"):
        dtypes.bfloat17  # noqa: B018


def test_another_object_of_the_same_dtype(bfloat16):
    other = bfloat16.newbyteorder("=")
    assert other == bfloat16 and other is not bfloat16 and dtypes.as_dtype(other) is bfloat16
    x, y = minigrad.tensor(np.ones(2, other), requires_grad=True), minigrad.ones(2, dtype=bfloat16)
    (x * y + x / 3 + y @ x).sum().backward()
    assert x.dtype == (x * y).dtype == (x / 3).dtype == (y @ x).dtype == x.grad.dtype == bfloat16
    assert pickle.loads(pickle.dumps(x)).dtype == bfloat16


def test_the_largest_number():
    assert [dtypes.largest(np.dtype(name)) for name in ("float16", "float32")] == [65504, np.finfo(np.float32).max]


def test_the_largest_bfloat16(bfloat16):
    assert dtypes.largest(bfloat16) == (2 - 2**-7) * 2.0**127
    assert minigrad.tensor(dtypes.largest(bfloat16), dtype=bfloat16).item() == dtypes.largest(bfloat16)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_limits_of_floats_are_torchs(name):
    torch = pytest.importorskip("torch")
    pytest.importorskip("ml_dtypes")
    mine, theirs = minigrad.finfo(name), torch.finfo(getattr(torch, name))
    for attribute in ("bits", "dtype", "eps", "max", "min", "resolution", "smallest_normal", "tiny"):
        assert getattr(mine, attribute) == getattr(theirs, attribute)
        assert type(getattr(mine, attribute)) is type(getattr(theirs, attribute))
    assert repr(mine) == repr(theirs)


@pytest.mark.parametrize("name", ["uint8", "int8", "int16", "int32", "int64"])
def test_limits_of_integers_are_torchs(name):
    torch = pytest.importorskip("torch")
    mine, theirs = minigrad.iinfo(name), torch.iinfo(getattr(torch, name))
    assert (mine.bits, mine.dtype, mine.min, mine.max) == (theirs.bits, theirs.dtype, theirs.min, theirs.max)


def test_limits_of_the_wrong_kind():
    assert minigrad.finfo().dtype == "float32"
    with pytest.raises(TypeError, match="finfo: expected a floating dtype, got int32; iinfo is for integers"):
        minigrad.finfo(minigrad.int32)
    for dtype in (minigrad.float32, minigrad.bool):
        with pytest.raises(TypeError, match=f"iinfo: expected an integer dtype, got {dtype}; finfo is for floats"):
            minigrad.iinfo(dtype)


def test_constants_and_what_is_a_tensor():
    assert (minigrad.pi, minigrad.e, minigrad.inf, minigrad.newaxis) == (math.pi, math.e, math.inf, None)
    assert math.isnan(minigrad.nan)
    assert minigrad.is_tensor(minigrad.nn.Parameter(minigrad.ones(1))) and not minigrad.is_tensor(np.ones(1))


def test_the_default_dtype(bfloat16):
    minigrad.set_default_dtype(bfloat16)
    try:
        assert minigrad.ones(2).dtype == minigrad.tensor([1.0]).dtype == (minigrad.arange(2) / 2).dtype == bfloat16
        assert minigrad.nn.Linear(2, 3).weight.dtype == minigrad.randn(3).dtype == bfloat16
    finally:
        minigrad.set_default_dtype("float32")


def test_printing(bfloat16):
    x = minigrad.tensor([1.0, -2.5, 1e30, float("nan")], dtype=bfloat16)
    assert repr(x) == "tensor([ 1.0000e+00, -2.5000e+00,  1.0003e+30,         nan], dtype=bfloat16)"
    assert repr(minigrad.ones(2, dtype=bfloat16)) == "tensor([1., 1.], dtype=bfloat16)"
    assert x.tolist()[:2] == [1.0, -2.5] and x[1].item() == -2.5 and float(x[0]) == 1.0


def test_rounding_to_the_nearest_of_two_and_then_to_even(bfloat16):
    """1 + 2^-8 lies between 1 and 1 + 2^-7, 1 + 3 · 2^-8 between that and 1 + 2^-6."""
    x = minigrad.tensor([1 + 2**-8, 1 + 2**-8 + 2**-20, 1 + 3 * 2**-8, 3.4e38])
    assert x.to(bfloat16).tolist() == [1, 1 + 2**-7, 1 + 2**-6, float("inf")]


def test_nan_is_the_largest_to_what_sorts(bfloat16):
    """To NumPy's sorting it is nothing, and the order of other elements is lost around it."""
    values = np.random.default_rng(0).standard_normal(1000).round(2)
    values[::100] = np.nan
    x, wide = minigrad.tensor(values, dtype=bfloat16), minigrad.tensor(values, dtype=bfloat16).float()
    for function in (
        lambda t: t.sort()[0],
        lambda t: t.sort(descending=True)[1],
        lambda t: t.argsort(),
        lambda t: t.topk(20)[0],
        lambda t: t.topk(20, largest=False)[0],
        lambda t: t.unique(),
        lambda t: t.median(),
        lambda t: t.max(),
        lambda t: t.argmax(),
        lambda t: t.nan_to_num().min(),
    ):
        np.testing.assert_array_equal(np.array(function(x).tolist()), np.array(function(wide).tolist()))


def test_a_number_is_not_rounded_first(bfloat16):
    """257 is none of bfloat16's numbers."""
    torch = pytest.importorskip("torch")
    x, theirs = minigrad.tensor([255, 256, 1000], dtype=bfloat16), torch.tensor([255, 256, 1000], dtype=torch.bfloat16)
    for function in (
        lambda t: t * 257,
        lambda t: t / 257,
        lambda t: t // 257,
        lambda t: t.clamp(max=257),
        lambda t: t.clone().mul_(257),
        lambda t: t.where(t > 256, 257),
        lambda t: t == 257,  # a comparison is of numbers as a tensor has them
        lambda t: t < 257,
    ):
        assert function(x).tolist() == function(theirs).tolist()
    assert (x * 257).tolist() == (x * 257.0).tolist() and (x % 257).tolist() == [255, 256, 229]
    assert (x - 257).tolist() == [-2, -1, 744] and (257 - x).tolist() == [2, 1, -744]


def test_integers_beyond_int64(bfloat16):
    x = minigrad.tensor([2**70, 1], dtype=bfloat16)
    assert x.tolist() == [2.0**70, 1] and minigrad.full((2,), 2**70, dtype=bfloat16).tolist() == [2.0**70] * 2
    assert (x * 2**40).tolist() == [2.0**110, 2.0**40] and (x < 2**64).tolist() == [False, True]
    assert (x + 2**63).dtype == x.clone().fill_(2**70).dtype == bfloat16 and x.clone().fill_(2**70).tolist() == [2.0**70] * 2


@pytest.mark.parametrize("name", ["amax", "amin", "relu", "leaky_relu", "max_pool2d", "adaptive_max_pool2d", "hardsigmoid"])
def test_nan_is_no_warning(bfloat16, name):
    """pytest turns warnings into errors."""
    x = minigrad.full((1, 1, 4, 4), float("nan"), dtype=bfloat16)
    options = {"max_pool2d": (2,), "adaptive_max_pool2d": (2,)}.get(name, ())
    found = getattr(minigrad.ops, name)(x, *options)
    assert found.isnan().all().item() and found.dtype == bfloat16


@pytest.mark.parametrize("dtype", REDUCED)
@pytest.mark.parametrize(
    "name", ["sigmoid", "silu", "gelu", "mish", "softplus", "logsigmoid", "hardsigmoid", "hardswish", "elu", "selu", "celu"]
)
def test_activations_are_rounded_once(name, dtype):
    """Within half of a unit in the last place, and what float32 adds to that: hardsigmoid was off by 43."""
    x = minigrad.linspace(-4, 4, 2001).to(dtype)
    exact = getattr(minigrad.ops, name)(x.double()).numpy()
    found = getattr(minigrad.ops, name)(x)
    in_place = x.clone()
    if name not in ("gelu", "softplus", "logsigmoid", "sigmoid"):
        getattr(minigrad.ops, name)(in_place, inplace=True)
        assert in_place.tolist() == found.tolist()
    digits, smallest = (8, 2.0**-126) if dtype == "bfloat16" else (11, 2.0**-14)
    unit = 2.0 ** (np.floor(np.log2(np.maximum(np.abs(exact), smallest))) + 1 - digits)
    assert (np.abs(np.array(found.tolist()) - exact) / unit).max() < 0.51


def test_a_network_is_trained_in_bfloat16(bfloat16):
    """Every layer of it in bfloat16: the loss falls, and nothing becomes another dtype on the way."""
    nn, F = minigrad.nn, minigrad.nn.functional
    minigrad.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 3)
    ).bfloat16()
    optimizer = minigrad.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    x, labels = minigrad.randn(24, 1, 8, 8, dtype=bfloat16), minigrad.arange(24) % 3
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert loss.dtype == bfloat16 and all(p.dtype == p.grad.dtype == bfloat16 for p in net.parameters())
    assert losses[0] > 0.8 and losses[-1] < 0.05


def test_gradients_scaled_and_not(bfloat16):
    """bfloat16 needs no GradScaler, which may be there all the same."""
    weight = minigrad.ones(3, dtype=bfloat16, requires_grad=True)
    optimizer, scaler = minigrad.optim.SGD([weight], lr=1.0), minigrad.amp.GradScaler("cpu")
    scaler.scale((weight * 2).sum()).backward()
    scaler.step(optimizer)
    assert weight.tolist() == [-1, -1, -1]
