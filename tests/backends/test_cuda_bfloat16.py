"""What CuPy lacks of bfloat16, on a stand-in that lacks it too. The kernels' own tests go through it with all other floats."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.backends import backend_for
from minigrad.backends.cuda import compiler
from minigrad.backends.cuda.elementwise import ARITHMETIC
from tests.fake_cupy import FakeArray, fake_cupy

pytest.importorskip("ml_dtypes")
NUMBERS = [1.0, -2.5, 0.3, 7.0, 1e30, 3.0]


@pytest.fixture
def cupy():
    with fake_cupy() as module:
        yield module


@pytest.fixture
def xp(cupy):
    return backend_for("cuda")[0].xp


def there(values):
    return FakeArray(np.array(values, "bfloat16"))


def rounded(array):
    return np.asarray(array, "float32").astype("bfloat16")


def same(ours, theirs):
    """To the bit; nan is nan."""
    assert ours.dtype == theirs.dtype == "bfloat16" and ours.shape == theirs.shape
    np.testing.assert_array_equal(ours._hidden.astype("float32"), theirs.astype("float32"))


@pytest.mark.parametrize("name", [*ARITHMETIC, "power", "arctan2", "hypot", "where"])
@pytest.mark.parametrize("values", [NUMBERS, 0.3, [NUMBERS[::2], NUMBERS[1::2]]], ids=["1-d", "0-d", "2-d"])
def test_a_number_is_not_rounded_and_keeps_the_dtype(xp, name, values):
    """0.1 is 0.10009765625 in bfloat16."""
    x = there(values)
    wide = x._hidden.astype("float32")
    mask = xp.greater(x, 0.5)
    ours, theirs = getattr(xp, name), getattr(np, name)
    if name == "where":
        ours, theirs = (lambda a, b, f=f, m=m: f(m, a, b) for f, m in ((ours, mask), (theirs, mask._hidden)))
    number = np.float32(0.1)
    with np.errstate(all="ignore"):
        same(ours(x, 0.1), rounded(theirs(wide, number)))
        same(ours(0.1, x), rounded(theirs(number, wide)))
        same(ours(x, x), rounded(theirs(wide, wide)))
        same(ours(x, 3), rounded(theirs(wide, np.float32(3))))


@pytest.mark.parametrize("name", ["floor_divide", "remainder", "fmod"])
def test_quotients_with_a_number(xp, name):
    x, number = there(NUMBERS[:4]), np.array(0.7).astype("bfloat16").astype("float32")
    wide = x._hidden.astype("float32")
    same(getattr(xp, name)(x, 0.7), rounded(getattr(np, name)(wide, number)))
    same(getattr(xp, name)(2, x), rounded(getattr(np, name)(np.float32(2), wide)))


def test_wider_arrays_widen(xp):
    x, wide = there(NUMBERS), FakeArray(np.array(NUMBERS, "float32"))
    for result in (xp.add(x, wide), xp.add(wide, x), xp.where(xp.greater(x, 0), x, wide), xp.logaddexp(x, wide)):
        assert result.dtype == "float32"
    out = FakeArray(np.zeros(len(NUMBERS), "float32"))
    assert xp.exp(x, out=out) is out
    assert xp.power(x, 0.5, out=out) is out and out.dtype == "float32"
    short = there(NUMBERS)
    assert xp.power(x, 2.0, out=short) is short
    same(short, rounded(x._hidden.astype("float32") ** 2))
    same(xp.multiply(x, xp.greater(x, 0)), np.where(x._hidden > 0, x._hidden, x._hidden * 0))


def test_what_cupy_makes_float32_of(xp):
    random = np.random.default_rng(0)
    x = there(random.normal(size=(4, 5)))
    wide = x._hidden.astype("float32")
    low, high = there(random.normal(size=5) - 1), there(random.normal(size=5) + 1)
    bounds = low._hidden.astype("float32"), high._hidden.astype("float32")
    same(xp.clip(x, -0.3, 0.3), rounded(np.clip(wide, -0.3, 0.3)))
    same(xp.clip(x, None, 0.1), rounded(np.minimum(wide, 0.1)))
    same(xp.clip(x, 0, None), rounded(np.maximum(wide, 0)))
    same(xp.clip(x, low, high), rounded(np.clip(wide, *bounds)))
    same(xp.tril(x, 1), rounded(np.tril(wide, 1)))
    same(xp.triu(x), rounded(np.triu(wide)))
    same(xp.round(x, 1), rounded(np.round(wide, 1)))
    out = there(np.zeros((4, 5)))
    assert xp.round(x, 1, out=out) is out and xp.clip(x, 0, 1, out=out) is out
    same(out, rounded(np.clip(wide, 0, 1)))


def test_what_cupy_cannot_sort(xp):
    x = there([[3, 1, 2, 1], [0, np.inf, -1, -np.inf]])
    wide = x._hidden.astype("float32")
    np.testing.assert_array_equal(xp.argsort(x, axis=1, kind="stable")._hidden, np.argsort(wide, axis=1, kind="stable"))
    np.testing.assert_array_equal(xp.argmax(x, axis=1)._hidden, np.argmax(wide, axis=1))
    np.testing.assert_array_equal(xp.argmin(x)._hidden, np.argmin(wide))
    same(xp.unique(x), rounded(np.unique(wide)))
    values, inverse, counts = xp.unique(x, return_inverse=True, return_counts=True)
    same(values, rounded(np.unique(wide)))
    assert values._hidden[inverse._hidden.reshape(2, 4)].tolist() == wide.tolist() and counts._hidden.sum() == 8


def test_nan_to_num(xp):
    x = there([np.nan, np.inf, -np.inf, 1.5])
    same(xp.nan_to_num(x, nan=0.1, posinf=2.0, neginf=3.0), rounded([0.1, 2, 3, 1.5]))
    wide = FakeArray(np.array([np.nan, np.inf, -np.inf, 1.5], "float32"))
    np.testing.assert_array_equal(xp.nan_to_num(wide)._hidden, np.nan_to_num(wide._hidden))


def test_the_stand_in_lacks_it(cupy):
    x = there([[1.0, 2.0]])
    for make_wide in (
        lambda: cupy.where(cupy.isfinite(x), x, x),
        lambda: cupy.where(cupy.isfinite(x), x, 0.5),
        lambda: cupy.clip(x, 0, 1),
        lambda: cupy.tril(x),
        lambda: cupy.round(x, 1),
        lambda: cupy.add(x, 0.5),
    ):
        assert make_wide().dtype == "float32"
    for refuse in (
        lambda: cupy.argsort(x),
        lambda: cupy.unique(x),
        lambda: cupy.matmul(x, x),
        lambda: cupy.clip(x, None, 1),
        lambda: cupy.add.at(x, (0, 0), x[0, 0]),
    ):
        with pytest.raises((NotImplementedError, TypeError)):
            refuse()
    assert cupy.nan_to_num(there([np.nan, 1.0]), nan=5.0)._hidden.tolist() == [0, 1]
    assert cupy.sum(there(np.ones(1000))).item() == 1000  # in bfloat16 it would be 256


def test_a_float_of_its_own_to_the_kernels():
    """As many bytes as float16, but another type; and the header is included for it alone."""
    source = compiler.source("elementwise", mg.bfloat16)
    assert source.startswith("#include <cuda_bf16.h>\nusing T = __nv_bfloat16;\n")
    assert compiler.source("elementwise", mg.float32).startswith("using T = float;\n")
    with fake_cupy() as cupy:
        add = compiler.Kernels(cupy)("elementwise", "add", "float16")
        x = there(np.zeros(4))
        with pytest.raises(TypeError, match="add: expected an array of 16-bit floats for a, got an array of bfloat16"):
            add((1,), (32,), x, x, x, np.int64(4), 0)


PROGRAM = """
import sys
sys.modules["ml_dtypes"] = None
import numpy as np
import minigrad as mg
from minigrad import nn, optim
from minigrad.backends.cuda import compiler, cublas
from tests.fake_cupy import fake_cupy
assert [dtype.name for dtype in compiler.TYPES] == ["float16", "float32", "float64"]
assert not any("bf16" in compiler.source(family, dtype).split("using", 1)[0] for family, dtype in compiler.texts())
with fake_cupy():
    for dtype in compiler.TYPES:
        net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2)).to("cuda", dtype)
        x, y = mg.rand(4, 3, 4, 4, dtype=dtype, device="cuda"), mg.tensor([0, 1, 1, 0], device="cuda")
        optimizer = optim.SGD(net.parameters(), lr=0.1)
        losses = []
        for _ in range(3):
            loss = nn.functional.cross_entropy(net(x.clip(0.1, 0.9)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[2] < losses[0] and loss.dtype == dtype
        mg.sort(x.flatten()), mg.erf(x), mg.floor_divide(x, 0.3), mg.nan_to_num(x)
print("trained")
"""


def test_without_ml_dtypes():
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=root)
    assert done.stdout == "trained\n", done.stderr
