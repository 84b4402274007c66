"""Which results share memory with their input, and what a write through them does: as in PyTorch."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import minigrad
from minigrad import Tensor
from minigrad.ops.arguments import as_shape
from minigrad.ops.shape import viewable

# Each is the same expression for a Tensor of either library, of shape (4, 6).
VIEWS = {
    "reshape": lambda x: x.reshape(2, 2, -1),
    "reshape to its own shape": lambda x: x.reshape(4, 6),
    "view": lambda x: x.view(4, 2, 3),
    "view_as": lambda x: x.view_as(x),
    "flatten": lambda x: x.flatten(),
    "unflatten": lambda x: x.unflatten(1, (3, 2)),
    "ravel": lambda x: x.ravel(),
    "squeeze": lambda x: x.unsqueeze(1).squeeze(1),
    "squeeze of nothing": lambda x: x.squeeze(),
    "unsqueeze": lambda x: x.unsqueeze(-1),
    "transpose": lambda x: x.transpose(0, 1),
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "t": lambda x: x.t(),
    "T": lambda x: x.T,
    "mT": lambda x: x.mT,
    "permute": lambda x: x.permute(1, 0),
    "movedim": lambda x: x.movedim(0, 1),
    "expand": lambda x: x.expand(1, 4, 6),
    "expand_as": lambda x: x.expand_as(x),
    "broadcast_to": lambda x: x.broadcast_to((4, 6)),
    "diagonal": lambda x: x.diagonal(1),
    "narrow": lambda x: x.narrow(1, 2, 3),
    "select": lambda x: x.select(0, -1),
    "select of select": lambda x: x.select(0, 2).select(0, 1),
    "unfold": lambda x: x.unfold(1, 2, 2),
    "split": lambda x: x.split(4, 1)[-1],
    "split into one": lambda x: x.split(9, 1)[0],
    "chunk": lambda x: x.chunk(2)[1],
    "unbind": lambda x: x.unbind(1)[2],
    "iteration": lambda x: list(x)[3],
    "a chain": lambda x: x.narrow(0, 1, 2).transpose(0, 1).reshape(2, 3, 2).select(1, 1),
}
REPEATED = {
    "expand": lambda x: x.expand(3, 4, 6),
    "broadcast_to": lambda x: x.broadcast_to((2, 4, 6)),
}
OVERLAPPING = {"overlapping windows": lambda x: x.unfold(1, 4, 1)}
COPIES = {
    "reshape across a border": lambda x: x.narrow(1, 0, 3).reshape(-1),
    "flatten across a border": lambda x: x.t().flatten(),
    "ravel across a border": lambda x: x.t().ravel(),
    "contiguous": lambda x: x.t().contiguous(),
    "clone": lambda x: x.clone(),
    "repeat": lambda x: x.repeat(1, 1),
    "tile": lambda x: x.tile(1),
    "repeat_interleave": lambda x: x.repeat_interleave(1, 0),
    "flip": lambda x: x.flip(0),
    "flip of nothing": lambda x: x.flip(()),
    "roll": lambda x: x.roll(0, 0),
    "diag": lambda x: x.diag(),
    "tril": lambda x: x.tril(9),
    "triu": lambda x: x.triu(-9),
    "cumsum": lambda x: x.narrow(0, 0, 1).cumsum(0),
    "sum": lambda x: x.sum(()),
    "sum over a single index": lambda x: x.narrow(0, 0, 1).sum(0),
    "amax over a single index": lambda x: x.narrow(0, 0, 1).amax(0),
    "sort": lambda x: x.sort(1).values,
    "max": lambda x: x.max(1).values,
    "median": lambda x: x.narrow(0, 0, 1).median(0).values,
}
LAYOUTS = {
    "contiguous": lambda array: array,
    "transposed": lambda array: array.T.copy().T,
    "gaps": lambda array: np.repeat(np.repeat(array, 2, 0), 3, 1)[::2, ::3],
}


def table(*operations):
    found = [(name, operation) for group in operations for name, operation in group.items()]
    return pytest.mark.parametrize("operation", [op for _, op in found], ids=[name for name, _ in found])


def numbers():
    return np.arange(24.0).reshape(4, 6)


def offset_of(view, base):
    return view.data_ptr() - base.data_ptr()


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@table(VIEWS, REPEATED, OVERLAPPING)
def test_view_shares_memory(operation):
    x = Tensor(numbers())
    y = operation(x)
    assert np.shares_memory(x.array, y.array)
    assert y._base is x


@table(COPIES)
def test_copy_does_not_share_memory(operation):
    x = Tensor(numbers())
    y = operation(x)
    assert not np.shares_memory(x.array, y.array)
    y.add_(1)
    assert x.tolist() == numbers().tolist()


@pytest.mark.parametrize("layout", LAYOUTS)
@table(VIEWS, REPEATED, OVERLAPPING, COPIES)
def test_memory_is_as_in_torch(operation, layout, torch):
    array = LAYOUTS[layout](numbers())
    ours, theirs = Tensor(array), torch.from_numpy(array)
    try:
        expected = operation(theirs)
    except RuntimeError:  # .view() of this layout
        with pytest.raises(RuntimeError, match="without a copy"):
            operation(ours)
        return
    result = operation(ours)
    assert result.shape == tuple(expected.shape)
    shared = expected.untyped_storage().data_ptr() == theirs.untyped_storage().data_ptr()
    assert np.shares_memory(result.array, array) == shared
    if shared:
        assert offset_of(result, ours) == offset_of(expected, theirs)
        steps = [(a, b) for a, b, n in zip(result.stride(), expected.stride(), result.shape) if n > 1]
        assert all(a == b for a, b in steps), f"strides {result.stride()}, torch's {expected.stride()}"


@table(VIEWS)
def test_write_reaches_the_input(operation):
    x = Tensor(numbers())
    operation(x).fill_(-1)
    expected = numbers()
    shown = operation(Tensor(numbers())).numpy().ravel().astype(int)
    expected.ravel()[shown] = -1
    assert x.tolist() == expected.tolist()


@table(VIEWS)
def test_write_is_seen_by_other_views(operation):
    x = Tensor(numbers())
    view, other = operation(x), operation(x)
    x.mul_(2)
    view.add_(1)
    assert other.tolist() == view.tolist() == (operation(Tensor(numbers() * 2)) + 1).tolist()


@table(REPEATED)
def test_repeated_memory_refuses_writes(operation):
    with pytest.raises(RuntimeError, match="lie at one place in memory"):
        operation(Tensor(numbers())).add_(1)


# PyTorch has no recorded writes to one of several views, nor a use of one after a write: these show the same, alone.
ALONE = {
    "split": lambda x: x.narrow(1, 4, 2),
    "split into one": lambda x: x.narrow(1, 0, 6),
    "chunk": lambda x: x.narrow(0, 2, 2),
    "unbind": lambda x: x.select(1, 2),
    "iteration": lambda x: x.select(0, 3),
}
SEVERAL = ["split", "chunk", "unbind", "iteration"]


def written_and_read(x, weights, operation, written):
    """x * x is changed in place, and then read through a view made before."""
    y = x * x
    view, other = operation(y), operation(y)
    (view if written == "view" else y).mul_(view.sum())
    return (y * weights).sum() + (other * other).sum()


@pytest.mark.parametrize(
    ("name", "written"),
    [(name, written) for name in VIEWS for written in ("view", "base") if written == "base" or name not in SEVERAL],
)
def test_gradients_after_a_write_are_torchs(name, written, torch):
    x, theirs = Tensor(numbers() / 10, requires_grad=True), torch.tensor(numbers() / 10, requires_grad=True)
    weights = np.random.default_rng(0).standard_normal((4, 6))
    ours = written_and_read(x, Tensor(weights), VIEWS[name], written)
    expected = written_and_read(theirs, torch.tensor(weights), ALONE.get(name, VIEWS[name]), written)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-12)
    (first,) = minigrad.autograd.grad(ours, x, create_graph=True)
    (first_expected,) = torch.autograd.grad(expected, theirs, create_graph=True)
    np.testing.assert_allclose(first.numpy(force=True), first_expected.detach().numpy(), rtol=1e-12)
    (second,) = minigrad.autograd.grad((first * Tensor(weights)).sum(), x)
    (second_expected,) = torch.autograd.grad((first_expected * torch.tensor(weights)).sum(), theirs)
    np.testing.assert_allclose(second.numpy(), second_expected.numpy(), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", SEVERAL)
def test_recorded_write_to_one_of_several_views_is_refused(name):
    x = Tensor(numbers(), requires_grad=True)
    view = VIEWS[name](x * 1)
    with pytest.raises(RuntimeError, match="one of several views"):
        view.add_(1)


def test_copy_by_reshape_is_no_view():
    x = Tensor(numbers(), requires_grad=True)
    y = x.t().reshape(-1)
    assert y._base is None
    y.mul_(2)
    y.sum().backward()
    assert x.grad.tolist() == np.full((4, 6), 2).tolist()


# --- shapes and strides --------------------------------------------------------------------------------------------------


@st.composite
def strided_arrays(draw, max_dims=4):
    """Arrays of any layout: sliced with gaps, permuted, broadcast, with dims of size 0 and 1."""
    shape = draw(st.lists(st.integers(0, 4), min_size=0, max_size=max_dims))
    steps = [draw(st.sampled_from([1, 1, 1, 2, -1])) for _ in shape]
    array = np.zeros([n * abs(step) for n, step in zip(shape, steps)])
    array = array[(*[slice(None, None, step) for step in steps], ...)]
    array = array.transpose(draw(st.permutations(range(array.ndim))))
    for dim in draw(st.lists(st.integers(0, array.ndim), max_size=2)):
        array = np.expand_dims(array, dim)
        array = np.broadcast_to(array, [*array.shape[:dim], draw(st.integers(1, 3)), *array.shape[dim + 1 :]])
    return array


@st.composite
def shapes_of_size(draw, size):
    """Shapes with that many elements."""
    shape = []
    if size == 0:
        shape = draw(st.lists(st.integers(0, 3), max_size=4))
        return (*shape, 0)
    while size > 1:
        factor = draw(st.sampled_from([n for n in range(2, size + 1) if size % n == 0]))
        shape.append(factor)
        size //= factor
    for place in draw(st.lists(st.integers(0, len(shape)), max_size=2)):
        shape.insert(place, 1)
    return tuple(shape)


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_viewable_agrees_with_numpy(data):
    array = data.draw(strided_arrays())
    target = data.draw(shapes_of_size(array.size))
    if array.size:
        assert viewable(array.shape, array.strides, target) == np.shares_memory(array, array.reshape(target))
    else:
        assert viewable(array.shape, array.strides, target)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_view_agrees_with_torch(data):
    torch = pytest.importorskip("torch")
    array = data.draw(strided_arrays())
    assume(all(stride >= 0 for stride in array.strides))
    target = data.draw(shapes_of_size(array.size))
    strides = [stride // array.itemsize for stride in array.strides]
    theirs = torch.zeros(10_000, dtype=torch.float64).as_strided(array.shape, strides)
    try:
        expected = theirs.view(target)
    except RuntimeError:
        with pytest.raises(RuntimeError, match=r"^view: .* without a copy"):
            Tensor(array).view(target)
        assert Tensor(array).reshape(target)._base is None
        return
    result = Tensor(array).view(target)
    assert result.shape == tuple(expected.shape)
    assert Tensor(array).reshape(target)._base is not None
    if array.size:
        assert [a for a, n in zip(result.stride(), target) if n > 1] == [b for b, n in zip(expected.stride(), target) if n > 1]


@settings(deadline=None)
@given(st.data())
def test_reshape_keeps_the_order_of_elements(data):
    shape = data.draw(st.lists(st.integers(0, 4), max_size=4))
    array = np.arange(int(np.prod(shape))).reshape(shape)
    order = data.draw(st.permutations(range(array.ndim)))
    target = data.draw(shapes_of_size(array.size))
    result = Tensor(array.transpose(order)).reshape(target)
    np.testing.assert_array_equal(result.numpy(), array.transpose(order).reshape(target))


@settings(deadline=None, max_examples=300)
@given(st.lists(st.integers(0, 4), max_size=4), st.lists(st.integers(-2, 6), max_size=4))
def test_sizes_are_resolved_as_by_numpy(shape, sizes):
    """A -1 is what is left; what NumPy refuses is refused. (NumPy takes any negative number for -1.)"""
    shape, sizes = tuple(shape), tuple(sizes)
    try:
        expected = np.empty(shape).reshape(sizes).shape
    except ValueError:
        expected = None
    if min(sizes, default=0) < -1:
        expected = None
    if expected is None:
        with pytest.raises(RuntimeError, match=r"^reshape: cannot view"):
            as_shape("reshape", sizes, shape)
    else:
        assert as_shape("reshape", sizes, shape) == expected


@settings(deadline=None)
@given(st.data())
def test_expand_agrees_with_numpy(data):
    shape = tuple(data.draw(st.lists(st.integers(0, 3), max_size=3)))
    sizes = tuple(data.draw(st.lists(st.integers(0, 3), max_size=4)))
    array = np.random.default_rng(0).standard_normal(shape)
    try:
        expected = np.broadcast_to(array, sizes)
    except ValueError:
        with pytest.raises(RuntimeError, match=r"^expand: expected a shape that"):
            Tensor(array).expand(sizes)
        return
    result = Tensor(array).expand(sizes)
    np.testing.assert_array_equal(result.numpy(), expected)
    kept = tuple(-1 if i >= len(sizes) - len(shape) and data.draw(st.booleans()) else n for i, n in enumerate(sizes))
    assert Tensor(array).expand(kept).shape == tuple(
        shape[i - len(sizes) + len(shape)] if n == -1 else n for i, n in enumerate(kept)
    )


WITH_DIM = {
    "select": lambda x, dim: x.select(dim, 0),
    "narrow": lambda x, dim: x.narrow(dim, 1, 1),
    "unbind": lambda x, dim: x.unbind(dim)[1],
    "split": lambda x, dim: x.split(1, dim)[1],
    "chunk": lambda x, dim: x.chunk(2, dim)[0],
    "flip": lambda x, dim: x.flip(dim),
    "roll": lambda x, dim: x.roll(1, dim),
    "sum": lambda x, dim: x.sum(dim),
    "mean": lambda x, dim: x.mean(dim, keepdim=True),
    "var": lambda x, dim: x.var(dim),
    "amax": lambda x, dim: x.amax(dim),
    "argmin": lambda x, dim: x.argmin(dim),
    "min": lambda x, dim: x.min(dim).indices,
    "cumsum": lambda x, dim: x.cumsum(dim),
    "cumprod": lambda x, dim: x.cumprod(dim),
    "prod": lambda x, dim: x.prod(dim),
    "logsumexp": lambda x, dim: x.logsumexp(dim),
    "norm": lambda x, dim: x.norm(3, dim),
    "sort": lambda x, dim: x.sort(dim).indices,
    "topk": lambda x, dim: x.topk(2, dim).values,
    "median": lambda x, dim: x.median(dim).values,
    "unfold": lambda x, dim: x.unfold(dim, 2, 1),
    "unsqueeze": lambda x, dim: x.unsqueeze(dim),
    "flatten": lambda x, dim: x.flatten(dim, -1 if dim < 0 else x.ndim - 1),
    "transpose": lambda x, dim: x.transpose(dim, 1),
    "movedim": lambda x, dim: x.movedim(dim, 0),
    "cat": lambda x, dim: minigrad.cat([x, x], dim),
    "stack": lambda x, dim: minigrad.stack([x, x], dim),
    "repeat_interleave": lambda x, dim: x.repeat_interleave(2, dim),
}
WITH_ONE_DIM_MORE = {"unsqueeze", "stack"}


@pytest.mark.parametrize("name", WITH_DIM)
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_dims_count_from_either_end(name, dim):
    x = Tensor(np.random.default_rng(1).standard_normal((2, 3, 2)))
    dims = 4 if name in WITH_ONE_DIM_MORE else 3
    np.testing.assert_array_equal(WITH_DIM[name](x, dim).numpy(), WITH_DIM[name](x, dim - dims).numpy())
    for outside in (dims, -dims - 1):
        with pytest.raises(IndexError, match=rf"{name}: expected dim in \[{-dims}, {dims - 1}\], got {outside}"):
            WITH_DIM[name](x, outside)


@pytest.mark.parametrize("name", ["reshape", "view", "permute", "expand", "repeat", "tile", "flip"])
def test_numbers_come_one_by_one_or_as_a_sequence(name):
    x = Tensor(np.random.default_rng(2).standard_normal((2, 3)))
    sizes = {"permute": (1, 0), "flip": (0, 1), "repeat": (2, 2), "tile": (2, 2), "expand": (2, 3)}.get(name, (3, 2))
    function = getattr(minigrad, name)
    expected = getattr(x, name)(*sizes).numpy()
    for result in (getattr(x, name)(sizes), getattr(x, name)(list(sizes)), function(x, *sizes), function(x, sizes)):
        np.testing.assert_array_equal(result.numpy(), expected)
    np.testing.assert_array_equal(getattr(x, name)(*(Tensor(np.array(n)) for n in sizes)).numpy(), expected)
