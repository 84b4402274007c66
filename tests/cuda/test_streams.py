"""Streams, events, pinned memory, and what is said of a GPU: on a stand-in for cupy, and on a GPU."""

import numpy as np
import pytest

import minigrad as mg
from tests.cuda.capturing import Event, Stream, capturing_cupy
from tests.fake_cuda import FakeStream


@pytest.fixture
def fake():
    with capturing_cupy() as module:
        yield module


def test_the_stand_in_leaves_no_trace():
    before = FakeStream.current
    with capturing_cupy() as module:
        assert module.cuda.get_current_stream() is Stream.null
        assert Stream.null is not before
    assert FakeStream.current is before and Stream.null is FakeStream.null


@pytest.mark.parametrize(
    "ask",
    [
        mg.cuda.Stream,
        mg.cuda.Event,
        mg.cuda.current_stream,
        mg.cuda.get_device_name,
        mg.cuda.reset_peak_memory_stats,
        mg.cuda.synchronize,
        lambda: mg.ones(2).pin_memory(),
        lambda: mg.cuda.make_graphed(lambda x: x, mg.ones(2)),
    ],
)
def test_without_a_gpu_it_says_what_to_install(ask):
    if mg.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(RuntimeError, match=r'pip install "cupy-cuda13x\[ctk\]"'):
        ask()


@pytest.mark.parametrize(
    "name",
    [
        *("Stream", "current_stream", "default_stream", "get_device_properties", "set_device"),
        *("memory_allocated", "memory_reserved", "max_memory_allocated", "reset_peak_memory_stats"),
    ],
)
def test_a_device_that_is_no_gpu(fake, name):
    with pytest.raises(ValueError, match=f"^{name}: expected a CUDA device, got 'cpu'$"):
        getattr(mg.cuda, name)("cpu")


def test_work_goes_to_the_chosen_stream(fake):
    first = mg.cuda.current_stream()
    assert first == mg.cuda.default_stream() and first.cuda_stream == 0 and first.device == "cuda:0"
    stream = mg.cuda.Stream(priority=-1)
    assert stream != first and len({stream, first, mg.cuda.current_stream()}) == 2
    with mg.cuda.stream(stream) as entered:
        assert entered is stream and mg.cuda.current_stream() == stream
        with mg.cuda.stream(None):
            assert mg.cuda.current_stream() == stream
        with first:
            assert mg.cuda.current_stream() == first
    assert mg.cuda.current_stream() == first
    assert repr(stream) == f"<minigrad.cuda.Stream device=cuda:0 cuda_stream={stream.cuda_stream:#x}>"
    assert stream.query() is True
    stream.synchronize()
    with pytest.raises(RuntimeError, match="expected the current GPU"):
        mg.cuda.Stream("cuda:1")


def test_streams_wait_for_each_other(fake):
    a, b = mg.cuda.Stream(), mg.cuda.Stream()
    b.wait_stream(a)
    event = a.record_event()
    b.wait_event(event)
    with mg.cuda.stream(b):
        event.wait()
    event.wait(a)
    assert b._stream.waited == [a._stream] * 3 and a._stream.waited == [a._stream]


def test_events_take_time(fake):
    start, end = mg.cuda.Event(enable_timing=True), mg.cuda.Event(enable_timing=True, blocking=True)
    with pytest.raises(RuntimeError, match="expected two events that were recorded"):
        start.elapsed_time(end)
    start.record()
    end.record(mg.cuda.Stream())
    end.synchronize()
    assert end.query() and start.elapsed_time(end) >= 0
    assert isinstance(start._event, Event) and start._event.stream is Stream.null
    with pytest.raises(RuntimeError, match="expected two events made with enable_timing=True"):
        start.elapsed_time(mg.cuda.Event())


def test_what_a_gpu_is(fake):
    found = mg.cuda.get_device_properties("cuda:1")
    assert (found.name, found.total_memory, found.multi_processor_count) == ("fake", 80 << 30, 132)
    assert mg.cuda.get_device_name() == "fake" and mg.cuda.get_device_capability(0) == (9, 0)
    with pytest.raises(ValueError, match="expected cuda:0 to cuda:1, got 'cuda:2'"):
        mg.cuda.get_device_name(2)
    with pytest.raises(ValueError, match="expected a CUDA device, got 'cpu'"):
        mg.cuda.get_device_name("cpu")


def test_pinned_memory(fake, monkeypatch):
    waits = []
    monkeypatch.setattr(Stream, "synchronize", lambda self: waits.append(self))
    x = mg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    pinned = x.pin_memory()
    assert pinned.is_pinned() and not x.is_pinned() and not pinned.requires_grad
    assert pinned.device == "cpu" and pinned.tolist() == x.tolist() and pinned.data_ptr() != x.data_ptr()
    assert pinned.to("cuda", non_blocking=True).tolist() == pinned.cuda(non_blocking=True).tolist() == x.tolist()
    assert waits == []
    pinned.to("cuda")
    assert waits == [FakeStream.current]
    mg.ones(0).pin_memory().cuda()
    x.to("cuda", non_blocking=True).sum().backward()
    assert x.grad.tolist() == [[1, 1], [1, 1]] and x.grad.device == "cpu"
    assert x.cuda().cpu().to("cpu", non_blocking=True).tolist() == x.tolist()
    assert len(waits) == 1
    with pytest.raises(TypeError, match="pin_memory: expected a tensor on the cpu, got one on cuda:0"):
        pinned.cuda().pin_memory()
    assert not pinned.cuda().is_pinned()


# --- on a GPU ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def gpu():
    if not mg.cuda.is_available():
        pytest.skip("CuPy finds no GPU")


@pytest.mark.cuda
def test_streams_and_events_on_the_gpu(gpu):
    stream = mg.cuda.Stream()
    start, end = (mg.cuda.Event(enable_timing=True) for _ in range(2))
    x = mg.randn(512, 512, device="cuda")
    stream.wait_stream(mg.cuda.current_stream())
    with mg.cuda.stream(stream):
        start.record()
        y = (x * 2).sum()
        end.record()
    mg.cuda.current_stream().wait_stream(stream)
    np.testing.assert_allclose(y.item(), 2 * x.sum().item(), rtol=1e-3, atol=1e-2)
    end.synchronize()
    assert start.elapsed_time(end) > 0 and end.query() and stream.query()
    assert mg.cuda.get_device_name() and mg.cuda.get_device_capability() >= (5, 0)


@pytest.mark.cuda
def test_pinned_memory_on_the_gpu(gpu):
    x = mg.randn(1000, 100)
    pinned = x.pin_memory()
    assert pinned.is_pinned() and not x.is_pinned()
    assert (pinned.to("cuda", non_blocking=True).cpu() == x).all()
    moved = pinned.cuda()
    pinned.zero_()
    assert (moved.cpu() == x).all()
