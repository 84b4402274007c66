"""Indices of every kind and mixture against NumPy, and programs that read and write by index against PyTorch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from minigrad import Tensor, autograd, ops
from tests.floats import REDUCED
from tests.strict_backend import strict_backend

# --- mixtures of indices against NumPy ---------------------------------------------------------------------------------


def slices(size):
    bound = st.none() | st.integers(-size - 2, size + 2)
    return st.builds(slice, bound, bound, st.none() | st.integers(1, 3))


@st.composite
def basic_items(draw, shape):
    """An integer, a slice or nothing for each dim; None and ``...`` between them."""
    items = []
    for size in shape:
        kinds = ["slice", "all"] + (["integer"] if size else [])
        kind = draw(st.sampled_from(kinds))
        items.append(
            draw(st.integers(-size, size - 1)) if kind == "integer" else draw(slices(size)) if kind == "slice" else slice(None)
        )
    return items


@st.composite
def advanced_items(draw, shape):
    """Arrays and lists of integers, masks and slices; at least one that is no slice."""
    joint = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
    masks_allowed = len(joint) <= 1
    trues = draw(st.integers(1, 3)) if not joint else joint[-1]
    items, dim = [], 0
    while dim < len(shape):
        size = shape[dim]
        kind = draw(st.sampled_from(["slice", "array", "list", "mask"]))
        if kind == "mask" and masks_allowed:
            ndim = draw(st.integers(1, min(2, len(shape) - dim)))
            count = int(np.prod(shape[dim : dim + ndim]))
            if count >= trues:
                places = draw(st.permutations(range(count)))[:trues]
                items.append(np.isin(np.arange(count), places).reshape(shape[dim : dim + ndim]))
                dim += ndim
                continue
        if kind in ("array", "list") and size:
            wanted = tuple(draw(st.sampled_from([1, n])) for n in joint[draw(st.integers(0, len(joint))) :])
            wanted = wanted or (1,)
            count = int(np.prod(wanted))
            values = draw(st.lists(st.integers(-size, size - 1), min_size=count, max_size=count))
            array = np.array(values).reshape(wanted)
            items.append(array.tolist() if kind == "list" else array)
        else:
            items.append(draw(slices(size)))
        dim += 1
    return items


@st.composite
def cases(draw, advanced):
    """A shape and an index into it."""
    shape = tuple(draw(st.lists(st.integers(0 if not advanced else 1, 4), min_size=1, max_size=4)))
    items = draw(advanced_items(shape) if advanced else basic_items(shape))
    covered = sum(item.ndim if isinstance(item, np.ndarray) and item.dtype == bool else 1 for item in items)
    assert covered == len(shape)
    if draw(st.booleans()):  # leave the last dims, or some in the middle, to an ellipsis or to nothing
        cut = draw(st.integers(0, len(items)))
        rest = draw(st.integers(cut, len(items)))
        if cut < rest:  # NumPy takes an empty ellipsis for a dim between two arrays; PyTorch does not
            items = [*items[:cut], Ellipsis, *items[rest:]] if draw(st.booleans()) or rest < len(items) else items[:cut]
    for _ in range(draw(st.integers(0, 2))):
        items.insert(draw(st.integers(0, len(items))), None)
    index = items[0] if len(items) == 1 and draw(st.booleans()) else tuple(items)
    return shape, index


def as_given(index, kind):
    """The same index with Tensors for its arrays."""
    if isinstance(index, tuple):
        return tuple(as_given(item, kind) for item in index)
    return minigrad.tensor(index) if isinstance(index, np.ndarray) and kind == "tensor" else index


def values_of(shape):
    return np.arange(float(np.prod(shape, dtype=int))).reshape(shape)


def check_getitem(shape, index, kind):
    array = values_of(shape)
    expected = array[index]
    x = Tensor(array.copy(), requires_grad=True)
    actual = x[as_given(index, kind)]
    assert actual.shape == expected.shape
    np.testing.assert_array_equal(actual.numpy(force=True), expected)
    above = np.random.default_rng(0).standard_normal(expected.shape)
    gradient = np.zeros(shape)
    np.add.at(gradient, index, above)
    (ours,) = autograd.grad(actual, x, Tensor(above))
    np.testing.assert_allclose(ours.numpy(), gradient)
    return actual


@settings(max_examples=300, deadline=None)
@given(cases(advanced=False))
def test_basic_indices_give_views(case):
    shape, index = case
    array = values_of(shape)
    check_getitem(shape, index, "array")
    view = Tensor(array)[index]
    view.fill_(-1)
    expected = values_of(shape)
    expected[index] = -1
    np.testing.assert_array_equal(array, expected)


@settings(max_examples=500, deadline=None)
@given(cases(advanced=True), st.sampled_from(["array", "tensor"]))
def test_advanced_indices_give_copies(case, kind):
    shape, index = case
    actual = check_getitem(shape, index, kind)
    assert actual.node is not None


@settings(max_examples=500, deadline=None)
@given(st.data(), st.booleans(), st.sampled_from(["array", "tensor"]))
def test_setitem(data, advanced, kind):
    shape, index = data.draw(cases(advanced))
    expected = values_of(shape)
    picked = expected[index].shape
    cut = data.draw(st.integers(0, len(picked)))
    value_shape = tuple(data.draw(st.sampled_from([1, n])) for n in picked[cut:])
    value = np.random.default_rng(0).standard_normal(value_shape)
    expected[index] = value
    x = Tensor(values_of(shape))
    x[as_given(index, kind)] = Tensor(value)
    np.testing.assert_array_equal(x.numpy(), expected)
    x = Tensor(values_of(shape))
    x[as_given(index, kind)] = 0.5
    expected = values_of(shape)
    expected[index] = 0.5
    np.testing.assert_array_equal(x.numpy(), expected)


@settings(max_examples=200, deadline=None)
@given(st.data(), st.booleans())
def test_setitem_gradients(data, advanced):
    """The overwritten elements get no gradient, the value gets what arrives there, summed to its shape."""
    shape, index = data.draw(cases(advanced))
    array = values_of(shape)
    places = np.zeros(shape, bool)
    places[index] = True
    if places.sum() != array[index].size:  # a place named twice: the gradient is not defined
        return
    picked = array[index].shape
    x, value = Tensor(array, requires_grad=True), Tensor(np.ones(picked[-1:]), requires_grad=True)
    y = x * 2
    y[as_given(index, "tensor")] = value * 3
    above = np.random.default_rng(0).standard_normal(shape)
    of_x, of_value = autograd.grad(y, [x, value], Tensor(above))
    np.testing.assert_allclose(of_x.numpy(), np.where(places, 0, 2 * above))
    summed = 3 * above[index]
    np.testing.assert_allclose(of_value.numpy(), summed.sum(tuple(range(summed.ndim - value.ndim))), atol=1e-12)


# --- programs against PyTorch ------------------------------------------------------------------------------------------

PROGRAMS = {
    "integers beside separated tensors": lambda m, x, v: x[1, :, [0, 2, 2]] * v,
    "integers beside adjacent tensors": lambda m, x, v: x[:, 1, [0, 2, 2]] * v,
    "an integer between tensors": lambda m, x, v: x[[0, 1, 0], 1, [0, 2, 2]] * v,
    "a 0-d tensor": lambda m, x, v: x[m.tensor(1), ..., m.tensor([0, 2])],
    "an empty ellipsis between tensors": lambda m, x, v: x[:, [0, 2], ..., [1, 2]] * v[:2],
    "None beside tensors": lambda m, x, v: x[None, [0, 1], None, :, [0, 2]],
    "a mask and a tensor": lambda m, x, v: x[m.tensor([True, False, True]), [0, 2]] * v,
    "a mask of all": lambda m, x, v: x[x > 0],
    "bools": lambda m, x, v: x[True, None, False].sum() + x[True].sum() * v,
    "repeated places": lambda m, x, v: x[[0, 0, 1, 0]] * x[0, 0, 0],
    "an index of two dims": lambda m, x, v: x[m.tensor([[0, 1], [2, 2]]), :, m.tensor([[0], [1]])],
    "a view of a view": lambda m, x, v: x[1:][0, ..., 1:][:, 0] * v,
    "a row written": lambda m, x, v: written(x * 2, 0, v) * x,
    "a column written, broadcast": lambda m, x, v: written(x * 2, (..., 1), v) * x,
    "a number written": lambda m, x, v: written(x * 2, (0, slice(1, 3)), 5.0) * x,
    "a slice written through a view": lambda m, x, v: written_through(x * 2, v),
    "written by tensors": lambda m, x, v: written(x * 2, ([0, 2], slice(None), [1, 0]), v) * x,
    "written by a mask": lambda m, x, v: written(x * x, x > 0.5, x[0, 0, 0] * 3),
    "written by a mask, many values": lambda m, x, v: written(x * 2, (slice(None), m.tensor([True, False, True])), v) * x,
    "written twice": lambda m, x, v: written(written(x * 2, 0, v), (0, 1), v * v) * x,
    "itself written": lambda m, x, v: written(x * 2, 0, x[1] * x[2]),
    "a chain of writes": lambda m, x, v: recurrence(x * 1),
    "a leaf written under no_grad": lambda m, x, v: x[0] * v,
    "padded embedding": lambda m, x, v: functional(m).embedding(m.tensor([[0, 2], [1, 2]]), x[0], padding_idx=2) * v,
    "index_add": lambda m, x, v: m.index_add(x, 1, m.tensor([0, 0, 2]), x * x, alpha=3),
    "index_fill by a tensor": lambda m, x, v: x.index_fill(0, m.tensor([1]), v[0]) * x,
    "scatter": lambda m, x, v: m.scatter(x, 2, m.tensor([[[0, 2]], [[1, 0]]]), x[:2, :1, :2] ** 2),
    "scatter_add_": lambda m, x, v: (x * 2).scatter_add_(0, m.tensor([[[2, 2, 0]], [[2, 1, 0]]]), x[:2, :1] ** 2) * x,
    "gather of gather": lambda m, x, v: m.gather(m.gather(x, 1, m.tensor([[[0, 2, 1]]])), 2, m.tensor([[[1, 1, 0, 2]]])),
    "masked_fill_ by a tensor": lambda m, x, v: (x * 2).masked_fill_(x > 0, v[1]) * x,
    "where": lambda m, x, v: m.where(x > 0, x * v, v * v),
}


def functional(m):
    return m.nn.functional if m is not minigrad else ops


def written(y, index, value):
    y[index] = value
    return y


def written_through(y, value):
    part = y[1:]
    part[0, :2] = value
    part[:, 0] *= 3
    return y * y


def recurrence(y):
    for i in range(1, 3):
        y[i] = y[i - 1].clone() * y[i].clone() + y[i, 0]
    return y


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_program_agrees_with_torch(program):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    arrays = rng.standard_normal((3, 3, 3)), rng.standard_normal(3)
    found = []
    for m in (minigrad, torch):
        x, v = (m.tensor(array, requires_grad=True) for array in arrays)
        y = program(m, x, v)
        weights = m.tensor(np.random.default_rng(4).standard_normal(tuple(y.shape)))
        first = m.autograd.grad((y * weights).sum(), [x, v], create_graph=True, allow_unused=True)
        known = [g for g in first if g is not None and g.requires_grad]
        total = sum((g * g).sum() for g in known) if known else None
        second = m.autograd.grad(total, [x, v], allow_unused=True) if known else (None, None)
        found.append([y, *first, *second])
    for ours, theirs in zip(*found, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_allclose(ours.numpy(force=True), theirs.detach().numpy(), rtol=1e-10, atol=1e-12)


# --- what else there is to an index ------------------------------------------------------------------------------------


def test_setitem_converts_dtype_and_device():
    x = minigrad.zeros(3, dtype="int64")
    x[0] = 2.7
    x[1:] = minigrad.tensor([1.5, -1.5])
    x[[0]] = minigrad.tensor([9.9], dtype="float64")
    assert x.tolist() == [9, 1, -1]
    with strict_backend():
        y = minigrad.zeros(3, device="strict")
        y[minigrad.tensor([0, 2])] = minigrad.tensor([1, 2])
        y[np.array([False, True, False])] = 7
        assert y.cpu().tolist() == [1, 7, 2]
        assert y[[True, False, True]].cpu().tolist() == [1, 2]


def test_setitem_takes_arrays_lists_and_numpy_scalars():
    x = minigrad.zeros(2, 3)
    x[0] = [1, 2, 3]
    x[1] = np.array([4.0, 5.0, 6.0])
    x[:, 0] = np.float64(9)
    assert x.tolist() == [[9, 2, 3], [9, 5, 6]]


def test_setitem_drops_leading_unit_dims_of_the_value():
    x = minigrad.zeros(2, 3)
    x[0] = minigrad.ones(1, 1, 3)
    x[[1]] = minigrad.ones(1, 1, 3) * 2
    assert x.tolist() == [[1, 1, 1], [2, 2, 2]]


def test_a_failed_setitem_changes_nothing():
    x = minigrad.zeros(2, 3)
    for index, value in [((0, 3), 1), ([0, 2], 1), (0, minigrad.ones(2)), ((slice(None), [0, 1]), minigrad.ones(3))]:
        with pytest.raises((IndexError, ValueError)):
            x[index] = value
    assert x.sum().item() == 0
    assert x._version is None or x._version.count == 0


def test_setitem_counts_as_a_change_in_place():
    x = minigrad.ones(3, requires_grad=True)
    y = x * 2
    z = y * y
    y[[0]] = 1
    with pytest.raises(RuntimeError, match="index_put_ at"):
        z.sum().backward()


def test_an_index_that_was_changed_is_noticed():
    x = minigrad.ones(3, requires_grad=True)
    index = minigrad.tensor([0, 1])
    y = x[index]
    index.fill_(2)
    with pytest.raises(RuntimeError, match="saved its input 1"):
        y.sum().backward()


def test_setitem_on_a_leaf_under_no_grad():
    x = minigrad.zeros(2, 2, requires_grad=True)
    with minigrad.no_grad():
        x[0] = 1
        x[[1], [0]] = 2
    assert x.tolist() == [[1, 1], [2, 0]]
    assert x.is_leaf


def test_unsigned_bytes_are_ambiguous():
    with pytest.raises(IndexError, match="makes a mask"):
        minigrad.arange(3)[np.array([1, 0, 1], np.uint8)]


def test_an_iteration_over_rows_ends():
    assert [row.tolist() for row in minigrad.arange(4).reshape(2, 2)] == [[0, 1], [2, 3]]


@pytest.mark.parametrize("dtype", [*REDUCED, "float32"])
def test_many_equal_places_add_up_exactly_enough(dtype):
    x = minigrad.zeros(2, 2, dtype=dtype, requires_grad=True)
    x[minigrad.zeros(3008, dtype="int64")].sum().backward()
    assert x.grad.tolist() == [[3008, 3008], [0, 0]]


def test_boolean_where_and_nonzero_are_inverse():
    x = minigrad.tensor([[0.0, 2.0], [3.0, 0.0]])
    assert x[minigrad.where(x != 0)].tolist() == [2, 3]
    assert minigrad.where(minigrad.tensor(True), 1, 2.5).dtype == "float32"


def test_where_fits_numbers_into_the_dtype_of_its_tensor():
    x, first = minigrad.tensor([1, 2], dtype="uint8"), minigrad.tensor([True, False])
    assert minigrad.where(first, x, -1).tolist() == [1, 255] and minigrad.where(first, True, x).tolist() == [1, 2]
    with pytest.raises(OverflowError, match="where: expected a number that fits into uint8, got 300"):
        minigrad.where(first, x, 300)


def test_one_hot_of_embedding_rows():
    weight = minigrad.randn(4, 3)
    labels = minigrad.tensor([[1, 3], [0, 0]])
    one_hot = ops.one_hot(labels, 4).to(weight.dtype)
    np.testing.assert_allclose((one_hot @ weight).numpy(), ops.embedding(labels, weight).numpy(), rtol=1e-6)
