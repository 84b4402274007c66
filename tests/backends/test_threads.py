"""The pool: parts of a kernel on several threads, with one result for every number of them."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import threading
import warnings

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.backends.cpu import bell, blas_threads, cpus, normalization, pooling, threads
from minigrad.nn import functional as F


@pytest.fixture(autouse=True)
def number_afterwards():
    before = minigrad.get_num_threads()
    yield
    minigrad.set_num_threads(before)


@pytest.fixture(params=[True, False], ids=["with a lock", "without"])
def two_threads(request, monkeypatch):
    monkeypatch.setattr(bell, "has_lock", lambda: request.param)
    minigrad.set_num_threads(2)


class Network(nn.Module):
    """Every way to convolve, both normalisations, both poolings, a large linear layer, concatenation and dropout."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 5, stride=2, padding=2)
        self.rows = nn.Conv2d(16, 64, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(64)
        self.winograd = nn.Conv2d(64, 64, 3, padding=1)
        self.pointwise = nn.Conv2d(64, 64, 1)
        self.grouped = nn.Conv2d(64, 64, 3, stride=2, padding=1, groups=8)
        self.depthwise = nn.Conv2d(64, 64, 3, padding=1, groups=64)
        self.wide = nn.Conv2d(128, 512, 3, stride=2, padding=1)
        self.fc1 = nn.Linear(512 * 4 * 4, 256)
        self.fc2 = nn.Linear(256, 10)

    def forward(self, x):
        x = F.relu(self.bn(self.rows(self.stem(x))))
        x = x + F.max_pool2d(F.relu(self.winograd(x)), 3, stride=1, padding=1)
        x = self.depthwise(self.grouped(self.pointwise(x)))
        x = minigrad.cat([x, F.avg_pool2d(x, 3, stride=1, padding=1)], 1)
        x = F.dropout(F.relu(self.wide(x)), 0.2, self.training)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


def weights_after(steps: int, number: int) -> list[np.ndarray]:
    minigrad.set_num_threads(number)
    minigrad.manual_seed(0)
    model = Network()
    optimizer = minigrad.optim.Adam(model.parameters(), lr=1e-3)
    x, labels = minigrad.randn(24, 3, 32, 32), minigrad.randint(0, 10, (24,))
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(x), labels).backward()
        optimizer.step()
    return [p.numpy().copy() for p in model.state_dict().values()]


def test_same_bits_for_every_number_of_threads(monkeypatch):
    monkeypatch.setattr(pooling, "LARGE", 1 << 16)  # so that they are dealt out
    monkeypatch.setattr(normalization, "BLOCK", 1 << 16)
    expected = weights_after(20, 1)
    for number in (2, 4):
        for a, b in zip(weights_after(20, number), expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_every_part_once(two_threads):
    for _ in range(2000):  # without Python's lock, an iterator that two threads share gives one job in fifty a part twice
        taken = []
        threads.for_each(64, taken.append)
        assert sorted(taken) == list(range(64))


def test_a_lock_is_seen():
    assert bell.has_lock() or sysconfig.get_config_var("Py_GIL_DISABLED")


@pytest.mark.parametrize("number", [1, 2])
def test_an_error_in_a_part_is_raised_when_all_have_stopped(number):
    minigrad.set_num_threads(number)
    running = []

    def work(i):
        running.append(i)
        np.ones(100_000).sum()
        running.pop()
        if i == 3:
            raise KeyError("part 3")

    with pytest.raises(KeyError, match="part 3"):
        threads.for_each(100, work)
    assert not running
    test_every_part_once(None)


def test_within_a_part_the_work_stays_where_it_is(two_threads):
    inner = []

    def work(i):
        here = threading.get_ident()
        threads.for_each(4, lambda j: inner.append(threading.get_ident() == here))

    threads.for_each(8, work)
    assert inner == [True] * 32


def test_blas_has_one_thread_within_and_its_own_number_afterwards(two_threads, monkeypatch):
    from threadpoolctl import ThreadpoolController

    monkeypatch.setattr(blas_threads.one_blas_thread, "functions", None)  # other tests may have loaded libraries since
    controller = ThreadpoolController().select(user_api="blas")
    with controller.limit(limits=2):
        before = [library["num_threads"] for library in controller.info()]
        within = []
        threads.for_each(4, lambda i: within.append({library["num_threads"] for library in controller.info()}))
        assert within == [{1}] * 4
        assert [library["num_threads"] for library in controller.info()] == before


def test_blas_has_one_thread_whichever_thread_asks(two_threads, monkeypatch):
    from threadpoolctl import ThreadpoolController

    monkeypatch.setattr(blas_threads.one_blas_thread, "functions", None)  # other tests may have loaded libraries since
    controller = ThreadpoolController().select(user_api="blas")
    within = []

    def use():
        threads.for_each(4, lambda i: within.append({library["num_threads"] for library in controller.info()}))

    with controller.limit(limits=2):
        use()
        user = threading.Thread(target=use)
        user.start()
        user.join()
    assert within == [{1}] * 8


def test_blas_gets_its_number_back_where_the_way_in_is_interrupted():
    numbers = [4]
    interrupts = [KeyboardInterrupt()]

    def set_number(number):
        numbers.append(number)
        if interrupts:
            raise interrupts.pop()

    context = blas_threads._OneBlasThread()
    context.functions = [(lambda: numbers[-1], set_number)]
    with pytest.raises(KeyboardInterrupt), context:
        pass
    assert numbers == [4, 1, 4]
    with context:
        assert numbers[-1] == 1
    assert numbers[-1] == 4


def test_errstate_goes_along(two_threads):
    x = np.full(1 << 20, 1e38, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with np.errstate(over="ignore"):
            threads.for_each(8, lambda i: np.multiply(x, x))


def test_several_users_at_once(two_threads):
    x = minigrad.randn(8, 64, 24, 24)
    conv = nn.Conv2d(64, 64, 3, padding=1)
    expected = conv(x).detach().numpy().copy()
    results = [None] * 6

    def use(i):
        for _ in range(5):
            results[i] = conv(x).detach().numpy()

    users = [threading.Thread(target=use, args=(i,)) for i in range(6)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    for result in results:
        np.testing.assert_array_equal(result, expected)


FRESH = """
import threading
import minigrad
from minigrad.nn import functional as F
minigrad.set_num_threads(2)
small = minigrad.randn(4, 4) @ minigrad.randn(4, 4)
assert threading.active_count() == 1, "a thread was started before it was needed"
x, w = minigrad.randn(8, 64, 32, 32), minigrad.randn(64, 64, 3, 3)
y = F.conv2d(x, w, padding=1)
assert threading.active_count() == 2
"""

ALL_AT_ONCE = """
import threading
import minigrad
start = threading.Barrier(8)
made = []
def use():
    start.wait()
    made.append(minigrad.zeros(2, device="meta").shape)
users = [threading.Thread(target=use) for _ in range(8)]
for user in users:
    user.start()
for user in users:
    user.join()
assert made == [(2,)] * 8, made
"""

NEEDS_FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
FORKS = (
    FRESH
    + """
import os
child = os.fork()
if child == 0:
    assert threading.active_count() == 1
    same = bool((F.conv2d(x, w, padding=1) == y).all())
    os._exit(0 if same and threading.active_count() == 2 else 1)
assert os.waitpid(child, 0)[1] == 0
assert bool((F.conv2d(x, w, padding=1) == y).all())
"""
)


FORKS_IN_BACKWARD = """
import os
import minigrad
from minigrad.backends.cpu.blas_threads import one_blas_thread
children = []
x = minigrad.ones(3, requires_grad=True)
y = x * 2
y.register_hook(lambda grad: children.append(os.fork()))
y.sum().backward()
with one_blas_thread:
    inside = one_blas_thread.users
right = inside == 1 and one_blas_thread.users == 0 and x.grad.tolist() == [2, 2, 2]
if children == [0]:
    os._exit(0 if right else 1)
assert right and os.waitpid(children[0], 0)[1] == 0
"""


@pytest.mark.parametrize(
    "program", [FRESH, ALL_AT_ONCE, *(pytest.param(p, marks=NEEDS_FORK) for p in (FORKS, FORKS_IN_BACKWARD))]
)
def test_in_a_process_of_its_own(program):
    subprocess.run([sys.executable, "-W", "ignore::DeprecationWarning", "-c", program], check=True, timeout=60)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "max 100000\n"}, 0),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({}, 0),
    ],
)
def test_quota_of_a_control_group(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cpus._quota(str(tmp_path)) == expected


def test_default_is_what_the_process_may_use():
    assert 1 <= cpus.usable_cpus() <= os.cpu_count()


def test_large_arrays_are_joined_on_threads(two_threads, monkeypatch):
    from minigrad.backends.cpu import elementwise

    cut = []
    monkeypatch.setattr(elementwise, "for_each", lambda parts, work, blas: cut.append(parts) or threads.for_each(parts, work))
    minigrad.manual_seed(0)
    features = [minigrad.randn(4, 64, 64, c).permute(0, 3, 1, 2) for c in (48, 32)]
    joined = minigrad.cat(features, 1)
    assert cut == [4]
    np.testing.assert_array_equal(joined.numpy(), np.concatenate([x.numpy() for x in features], axis=1))
    assert joined.numpy().transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize(
    ("number", "most", "expected"), [(0, 4, 0), (4, 4, 4), (5, 4, 3), (9, 4, 3), (13, 4, 4), (3, 0, 1), (17, 4, 3)]
)
def test_parts_are_alike_and_rather_even_in_number(number, most, expected):
    step = threads.even(number, most)
    assert step == max(1, expected) and step <= max(1, most)


@pytest.mark.parametrize("shape", [(3, 5), (40, 111), (4096,), (0, 7)])
def test_large_arrays_begin_with_a_cache_line(shape):
    found = [threads.aligned(shape, np.float32) for _ in range(5)]
    for array in found:
        assert array.shape == shape and array.dtype == np.float32 and array.flags.c_contiguous and array.flags.writeable
        assert array.nbytes < threads.ALIGNED or array.ctypes.data % 64 == 0
    for buffer in threads.scratch(1000, 77, 5000, dtype=np.float64):
        assert buffer.ctypes.data % 64 == 0
