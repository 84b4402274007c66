"""Arithmetic on CUDA over arrays that lie in any order, and joining them, against NumPy."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.backends import backend_for
from minigrad.backends.cuda.elementwise import ARITHMETIC
from minigrad.backends.cuda.layout import dense_order, pitch_of_rows, width_of_rows
from tests.fake_cupy import fake_cupy
from tests.floats import FLOATS


@pytest.fixture(autouse=True)
def fake():
    with fake_cupy() as module:
        yield module


@pytest.fixture
def xp(fake):
    return backend_for("cuda")[0].xp


TOLERANCES = {"float64": 2**-51, "float32": 2**-22, "float16": 0, "bfloat16": 0}  # of short floats both round a float32
SPECIAL = [0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan]


def same(ours, theirs, dtype):
    assert ours.dtype == theirs.dtype == dtype and ours.shape == theirs.shape
    np.testing.assert_allclose(ours.astype("float64"), theirs.astype("float64"), rtol=TOLERANCES[dtype])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic(fake, xp, name, dtype):
    random = np.random.default_rng(0)
    a, b = np.meshgrid([*SPECIAL, *random.normal(size=30)], [*SPECIAL, *random.normal(size=31)])
    a, b = a.astype(dtype), b.astype(dtype)
    function, reference = getattr(xp, name), getattr(np, name)
    with np.errstate(all="ignore"):
        for order in ((0, 1), (1, 0)):
            x, y = fake.asarray(a.transpose(order)).transpose(order), fake.asarray(b.transpose(order)).transpose(order)
            same(fake.asnumpy(function(x, y)), reference(a, b), dtype)
            same(fake.asnumpy(function(x, 2.5)), reference(a, np.dtype(dtype).type(2.5)), dtype)
            same(fake.asnumpy(function(3, y)), reference(np.dtype(dtype).type(3), b), dtype)
            out = fake.asarray(np.zeros_like(a.transpose(order))).transpose(order)
            assert function(x, y, out=out) is out
            same(fake.asnumpy(out), reference(a, b), dtype)
            assert function(x, y, out=x) is x
            same(fake.asnumpy(x), reference(a, b), dtype)


def test_numbers_that_float32_cannot_hold(xp):
    largest = float(np.finfo("float32").max)
    for dtype in (mg.float32, mg.float64):
        x = mg.ones(3, dtype=dtype, device="cuda")
        for number in (1e39, -1e300, largest, largest * (1 + 2.0**-26), np.inf, -np.inf, np.nan):
            with np.errstate(all="raise"):
                result = (x * number).tolist()
            np.testing.assert_array_equal(result, (mg.ones(3, dtype=dtype) * number).tolist(), err_msg=str(number))


def test_results_lie_as_the_operands_do(fake, xp):
    a = fake.asarray(np.random.default_rng(0).normal(size=(2, 5, 6, 3))).transpose(0, 3, 1, 2)
    per_channel = fake.asarray(np.arange(3.0).reshape(1, 3, 1, 1))
    for result, expected in (
        (xp.add(a, a), fake.asnumpy(a) * 2),
        (xp.multiply(a, 2.0), fake.asnumpy(a) * 2),
        (xp.exp(a), np.exp(fake.asnumpy(a))),
        (xp.multiply(a, per_channel), fake.asnumpy(a) * np.arange(3.0).reshape(1, 3, 1, 1)),
        (xp.add(per_channel.reshape(3, 1, 1), a), fake.asnumpy(a) + np.arange(3.0).reshape(3, 1, 1)),
        (xp.where(xp.greater(a, 0), a, 0), np.maximum(fake.asnumpy(a), 0)),
        (xp.maximum(a, 0), np.maximum(fake.asnumpy(a), 0)),
    ):
        assert result.transpose(0, 2, 3, 1).flags.c_contiguous
        np.testing.assert_allclose(fake.asnumpy(result), expected)


def test_views_of_all_kinds(fake, xp):
    memory = fake.asarray(np.random.default_rng(0).normal(size=(6, 8)).astype("float32"))
    views = {
        "rows with gaps": (memory[:, 1:5], memory[:, 2:6]),
        "at an odd address": (memory.reshape(48)[1:9], memory.reshape(48)[2:10]),
        "backwards": (memory[::-1], memory),
        "one number many times": (fake.broadcast_to(memory[:1], (6, 8)), memory),
        "turned and not": (memory.T, memory.copy().reshape(8, 6)),
        "no dims": (memory[0, 0], memory[1, 1]),
        "nothing": (memory[:0], memory[:0]),
    }
    for name, (x, y) in views.items():
        np.testing.assert_array_equal(fake.asnumpy(xp.add(x, y)), fake.asnumpy(x) + fake.asnumpy(y), err_msg=name)
        np.testing.assert_array_equal(fake.asnumpy(xp.maximum(x, 0.5)), np.maximum(fake.asnumpy(x), 0.5), err_msg=name)


def test_the_order_of_the_axes():
    for shape in ((2, 3, 4), (1, 3, 1), (4, 1, 1), (2, 1, 5)):
        for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
            array = np.zeros(shape).transpose(order)
            found = dense_order(array.shape, array.strides, 8)
            assert array.transpose(found).flags.c_contiguous
    for array in (np.zeros((4, 4))[:, :2], np.zeros((4, 4))[::2], np.broadcast_to(np.zeros(3), (2, 3)), np.zeros(4)[::-1]):
        assert dense_order(array.shape, array.strides, 8) is None


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("channels", [(4, 8, 16), (3, 1, 5), (8, 0, 8)])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_joining(fake, channels, dim, dtype):
    random = np.random.default_rng(0)
    shapes = [[2, 3, 4, 5] for _ in channels]
    for shape, n in zip(shapes, channels):
        shape[dim] = n
    arrays = [random.normal(size=shape).astype(dtype) for shape in shapes]
    for last in (False, True):
        tensors = [mg.tensor(a, device="cuda") for a in arrays]
        if last:
            tensors = [mg.tensor(a.transpose(0, 2, 3, 1).copy(), device="cuda").permute(0, 3, 1, 2) for a in arrays]
        joined = mg.cat(tensors, dim)
        np.testing.assert_array_equal(joined.numpy(force=True), np.concatenate(arrays, dim))
        assert not last or joined.array.transpose(0, 2, 3, 1).flags.c_contiguous
        mixed = mg.cat([tensors[0], mg.tensor(arrays[1], device="cuda"), tensors[2]], dim)
        np.testing.assert_array_equal(mixed.numpy(force=True), np.concatenate(arrays, dim))


@pytest.mark.parametrize("dtype", FLOATS)
def test_adding_channels_of_wider_planes(fake, xp, dtype):
    random = np.random.default_rng(0)
    memory = fake.asarray(random.normal(size=(2, 3, 5, 24)).astype(dtype)).transpose(0, 3, 1, 2)
    dense = fake.asarray(random.normal(size=(2, 3, 5, 8)).astype(dtype)).transpose(0, 3, 1, 2)
    views = {
        "packs": memory[:, 8:16],
        "at an odd place": memory[:, 3:11],
        "every other row": fake.asarray(random.normal(size=(2, 6, 5, 8)).astype(dtype))[:, ::2].transpose(0, 3, 1, 2),
        "every other channel": memory[:, ::3],
        "turned": fake.asarray(random.normal(size=(2, 8, 3, 5)).astype(dtype)),
        "dense": dense * 2,
    }
    for name, view in views.items():
        expected = fake.asnumpy(dense) + fake.asnumpy(view)
        for result in (xp.add(dense, view), xp.add(view, dense), xp.add(dense, view, out=xp.empty_like(view))):
            np.testing.assert_array_equal(fake.asnumpy(result), expected, err_msg=name)
        both = fake.asnumpy(view) * 2
        np.testing.assert_array_equal(fake.asnumpy(xp.add(view, view)), both, err_msg=name)
        assert xp.add(view, dense, out=view) is view
        np.testing.assert_array_equal(fake.asnumpy(view), expected, err_msg=name)


def test_rows_of_an_array():
    def rows(array):
        order = tuple(sorted(range(array.ndim), key=lambda axis: -array.strides[axis]))
        place = (array.shape, array.strides, array.itemsize, order)
        width = width_of_rows(*place)
        return width, pitch_of_rows(*place, width)

    planes = np.zeros((2, 3, 5, 8))
    assert rows(planes) == (240, 240)
    assert rows(planes[..., 2:6]) == (4, 8)
    assert rows(planes.transpose(0, 3, 1, 2)[:, 1:4]) == (3, 8)
    assert rows(planes[:, :2]) == (80, 120)
    assert rows(planes[:, :, :4, :6]) == (6, None)
    assert rows(planes[..., ::2]) == (1, 2)
    assert pitch_of_rows(planes.shape, planes.strides, 8, (0, 1, 2, 3), 8) == 8
    assert pitch_of_rows(planes.shape, planes.strides, 8, (0, 1, 2, 3), 6) is None


@pytest.mark.parametrize("name", ARITHMETIC)
def test_results_over_part_of_the_operands(fake, xp, name):
    """As if the operands were read before anything is written."""
    numbers = np.random.default_rng(0).uniform(1, 2, 40)
    views = {
        "shifted forth": lambda x: (x[1:], x[:-1]),
        "shifted back": lambda x: (x[:-1], x[1:]),
        "channels": lambda x: (x.reshape(10, 4)[:, 1:], x.reshape(10, 4)[:, :3]),
        "turned": lambda x: (x[:36].reshape(6, 6), x[:36].reshape(6, 6).T),
    }
    for case, view in views.items():
        memory, expected = fake.asarray(numbers), numbers.copy()
        out, other = view(memory)
        here, there = view(expected)
        getattr(np, name)(here, there, out=here)
        getattr(xp, name)(out, other, out=out)
        np.testing.assert_allclose(fake.asnumpy(memory), expected, err_msg=case)
