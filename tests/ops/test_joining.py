"""Joining and splitting where the table's general checks do not look: gradients of some parts only, dtypes, layouts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from minigrad import Tensor
from minigrad.autograd import grad
from minigrad.ops import joining


def tensor(*shape, requires_grad=True):
    return Tensor(np.random.default_rng(0).standard_normal(shape), requires_grad=requires_grad)


@pytest.mark.parametrize(
    "parts",
    [lambda x: x.unbind(1), lambda x: x.split(1, 1), lambda x: x.split([2, 0, 3], 1), lambda x: x.chunk(3, 1), list],
    ids=["unbind", "split", "split by lengths", "chunk", "iteration"],
)
def test_parts_that_are_not_used_have_gradient_zero(parts):
    x = tensor(4, 5)
    used = parts(x)[-1]
    (used * 3).sum().backward()
    shown = parts(Tensor(np.arange(20.0).reshape(4, 5)))[-1].numpy().ravel().astype(int)
    expected = np.zeros(20)
    expected[shown] = 3
    assert x.grad.numpy().ravel().tolist() == expected.tolist()


def test_views_of_one_split_send_one_gradient(monkeypatch):
    """A loop over n rows costs one stack of n gradients, not n tensors of zeros of the whole size."""
    calls = []
    forward = joining.Stack.forward
    monkeypatch.setattr(joining.Stack, "forward", lambda self, *arrays: calls.append(len(arrays)) or forward(self, *arrays))
    x = tensor(50, 3)
    sum((row * row).sum() for row in x).backward()
    assert calls == [50]
    np.testing.assert_allclose(x.grad.numpy(), 2 * x.numpy(force=True))


def test_second_derivative_through_parts():
    x = tensor(3, 4)
    a, b, c = x.unbind(0)
    (first,) = grad((a * a * b + c).sum(), x, create_graph=True)
    (second,) = grad((first * first).sum(), x)
    values = x.numpy(force=True)
    a, b, _ = values
    expected = [8 * a * b * b + 4 * a**3, 8 * a * a * b, np.zeros(4)]
    np.testing.assert_allclose(second.numpy(), expected)


def test_cat_computes_only_the_gradients_that_are_asked_for():
    x, y, constant = tensor(2, 3), tensor(1, 3), tensor(4, 3, requires_grad=False)
    joined = minigrad.cat([x, constant, y])
    assert [g is None for g in joined.grad_fn.backward(joined.detach())] == [False, True, False]
    assert grad(joined.sum(), y)[0].tolist() == [[1, 1, 1]]


def test_one_tensor_several_times():
    x = tensor(2)
    minigrad.cat([x, x, x * 2]).sum().backward()
    assert x.grad.tolist() == [4, 4]


def test_dtypes_are_promoted_and_gradients_come_back_in_their_own():
    half = Tensor(np.ones(2, np.float16), requires_grad=True)
    double = Tensor(np.ones(3, np.float64), requires_grad=True)
    for join in (minigrad.cat, minigrad.hstack):
        result = join([half, minigrad.arange(2), double])
        assert result.dtype == "float64"
        half.grad = double.grad = None
        result.sum().backward()
        assert (half.grad.dtype, double.grad.dtype) == ("float16", "float64")
    assert minigrad.stack([minigrad.arange(2), half]).dtype == "float16"
    assert minigrad.cat([minigrad.arange(2), Tensor(np.ones(2, bool))]).dtype == "int64"


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.integers(-3, 2))
def test_split_undoes_cat(lengths, dim):
    shape = [2, 3, 2]
    parts = []
    for i, length in enumerate(lengths):
        shape[dim] = length
        parts.append(Tensor(np.full(shape, float(i))))
    found = minigrad.cat(parts, dim).split(lengths, dim)
    assert [x.shape for x in found] == [x.shape for x in parts]
    assert all(bool((x == y).all()) for x, y in zip(found, parts))


@settings(deadline=None)
@given(st.integers(0, 12), st.integers(1, 14))
def test_chunk_lengths_are_torchs(size, chunks):
    torch = pytest.importorskip("torch")
    ours = [x.shape[0] for x in Tensor(np.zeros(size)).chunk(chunks)]
    assert ours == [x.shape[0] for x in torch.zeros(size).chunk(chunks)]


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_padding_is_torchs(data):
    torch = pytest.importorskip("torch")
    mode = data.draw(st.sampled_from(["constant", "reflect", "replicate", "circular"]))
    shape = data.draw(st.lists(st.integers(1, 4), min_size=3, max_size=4))
    least = -2 if mode == "constant" else 0  # elsewhere PyTorch pads with what it has taken away
    pads = data.draw(st.lists(st.integers(least, 4), min_size=2 * (len(shape) - 2), max_size=2 * (len(shape) - 2)))
    values = np.random.default_rng(0).standard_normal(shape)
    try:
        expected = torch.nn.functional.pad(torch.tensor(values), pads, mode)
    except RuntimeError:
        return
    result = minigrad.nn.functional.pad(Tensor(values), pads, mode)
    np.testing.assert_array_equal(result.numpy(), expected.numpy())


def test_padding_with_a_value_of_the_inputs_dtype():
    assert minigrad.nn.functional.pad(minigrad.arange(2), (1, 0), value=7).tolist() == [7, 0, 1]
    padded = minigrad.nn.functional.pad(Tensor(np.ones(2, np.float16)), (0, 1), value=float("-inf"))
    assert padded.dtype == "float16" and padded.tolist() == [1, 1, float("-inf")]


def test_memory_order_is_kept():
    """Images with channels last stay so, and no convolution has to copy them."""
    images = Tensor(np.zeros((2, 4, 5, 3))).permute(0, 3, 1, 2)
    for result in (
        minigrad.cat([images, images], 1),
        minigrad.cat([images, images.contiguous()]),
        minigrad.nn.functional.pad(images, (1, 1, 2, 0)),
        minigrad.nn.functional.pad(images, (1, 1, 2, 0), "reflect"),
        minigrad.nn.functional.pad(images, (1, 1, 2, 0), "replicate"),
        minigrad.flip(images, 3),
    ):
        assert result.permute(0, 2, 3, 1).is_contiguous()


def test_meshgrid_takes_no_memory():
    grids = minigrad.meshgrid(minigrad.arange(300), minigrad.arange(200), indexing="xy")
    assert [g.shape for g in grids] == [(200, 300)] * 2
    assert [g.stride() for g in grids] == [(0, 1), (1, 0)]


@pytest.mark.parametrize(
    "call",
    [
        lambda: minigrad.hstack([minigrad.ones(1, 1), minigrad.tensor(1.0)]),
        lambda: minigrad.cat([minigrad.ones(1, 1), minigrad.ones(1)], 1),
    ],
)
def test_tensors_of_fewer_dims_are_not_joined(call):
    with pytest.raises(RuntimeError, match=r"cat: expected tensors of one shape except in dim 1, got \(1, 1\) and \(1,\)"):
        call()


def test_repeat_interleave_checks_the_size_that_is_expected():
    x, repeats = minigrad.tensor([1, 2]), minigrad.tensor([1, 2])
    assert (
        x.repeat_interleave(repeats, output_size=3).tolist()
        == minigrad.repeat_interleave(x, 2, 0, output_size=4)[1:].tolist()
        == [1, 2, 2]
    )
    with pytest.raises(RuntimeError, match="repeat_interleave: expected numbers that sum up to the output_size 4, got 3"):
        x.repeat_interleave(repeats, output_size=4)
