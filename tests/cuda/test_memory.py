"""Counting the GPU's memory: on a stand-in for cupy, and on a GPU."""

import threading

import pytest

import minigrad as mg
from minigrad.backends.cuda import memory
from tests.cuda.capturing import MemoryHook, capturing_cupy
from tests.fake_cuda import FakeGPU


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(memory, "_thread", threading.local())
    monkeypatch.setattr(memory, "_private", [])
    monkeypatch.setattr(MemoryHook, "entered", [])
    with capturing_cupy() as module:
        yield module


def allocate(size):
    for hook in MemoryHook.entered:
        hook.malloc_postprocess(device_id=0, size=size, mem_size=size, mem_ptr=1, pmem_id=1)


def release(size):
    for hook in MemoryHook.entered:
        hook.free_postprocess(device_id=0, mem_size=size, mem_ptr=1, pmem_id=1)


def test_what_is_in_use_and_what_is_held(fake):
    pool = fake.get_default_memory_pool()
    pool.used, pool.total = 1024, 4096
    assert (mg.cuda.memory_allocated(), mg.cuda.memory_reserved("cuda:0")) == (1024, 4096)
    mg.cuda.empty_cache()
    assert mg.cuda.memory_reserved() == 1024
    with pytest.raises(RuntimeError, match="one GPU is used at a time"):
        mg.cuda.memory_allocated(1)


def test_nothing_is_counted_until_somebody_asks_for_a_peak(fake):
    fake.get_default_memory_pool().used = 1000
    assert MemoryHook.entered == []
    assert mg.cuda.max_memory_allocated() == 1000
    allocate(500)
    release(500)
    allocate(200)
    assert mg.cuda.max_memory_allocated() == 1500
    fake.get_default_memory_pool().used = 1200
    mg.cuda.reset_peak_memory_stats()
    assert mg.cuda.max_memory_allocated() == 1200
    allocate(100)
    assert mg.cuda.max_memory_allocated() == 1300
    for hook in MemoryHook.entered:
        hook.malloc_postprocess(device_id=0, size=9**9, mem_size=9**9, mem_ptr=0, pmem_id=0)  # that failed
    assert mg.cuda.max_memory_allocated() == 1300 and len(MemoryHook.entered) == 1


def test_a_graphs_pool_answers_for_its_own_gpu(fake, monkeypatch):
    """CuPy's pools count what is in use on the current GPU."""

    class Pool:
        def used_bytes(self):
            return 512 if FakeGPU.current == 0 else 0

        def free_all_blocks(self):
            pass

    monkeypatch.setattr(fake.cuda, "MemoryPool", Pool)
    owner = Pool()
    memory.private_pool(fake, owner)
    del owner
    with fake.cuda.Device(1):
        memory.release_unused()
    assert len(memory._private) == 1
    monkeypatch.setattr(Pool, "used_bytes", lambda pool: 0)
    memory.release_unused()
    assert memory._private == []


def test_without_a_gpu_nothing_is_in_use():
    if mg.cuda.is_available():
        pytest.skip("there is a GPU")
    for ask in (mg.cuda.memory_allocated, mg.cuda.memory_reserved, mg.cuda.max_memory_allocated):
        assert ask() == ask("cuda:0") == 0
    assert mg.cuda.empty_cache() is None


@pytest.mark.cuda
def test_memory_on_the_gpu():
    if not mg.cuda.is_available():
        pytest.skip("CuPy finds no GPU")
    mg.cuda.empty_cache()
    mg.cuda.reset_peak_memory_stats()
    before = mg.cuda.memory_allocated()
    x = mg.zeros(1 << 20, device="cuda")
    y = x + 1
    assert mg.cuda.memory_allocated() - before == 8 << 20
    del y
    assert mg.cuda.memory_allocated() - before == 4 << 20
    assert mg.cuda.max_memory_allocated() - before == 8 << 20
    assert mg.cuda.memory_reserved() >= mg.cuda.max_memory_allocated()
