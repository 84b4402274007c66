"""The meta device: shapes, dtypes and strides as the CPU gives them, and not one value."""

import copy
import importlib
import inspect
import itertools
import threading
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest

import minigrad
from minigrad import Tensor, autograd, nn, optim
from minigrad.backends import backend_for
from minigrad.backends.meta.array import MetaArray
from tests.floats import REDUCED
from tests.ops import checks
from tests.strict_backend import strict_backend

OPS = Path(__file__).resolve().parents[1] / "ops"
CASES = [case for path in sorted(OPS.glob("cases_*.py")) for case in importlib.import_module(f"tests.ops.{path.stem}").CASES]
xp = backend_for("meta")[0].xp

# Some samples of these ask for what only the values tell.
REFUSED = {
    "allclose": "a Python bool",
    "equal": "a Python bool",
    "getitem": "a mask, and a 0-d tensor as an index",
    "masked_select": "a mask",
    "multinomial": "checks its weights",
    "nn.functional.one_hot": "counts the classes",
    "one_hot": "counts the classes",
    "nonzero": "a shape that depends on values",
    "repeat_interleave": "numbers of repeats in a tensor",
    "setitem": "a mask",
    "unique": "a shape that depends on values",
}


def run(case, sample, device, dtype):
    """Shape, dtype and strides of the outputs, and shape and dtype of first and second gradients."""
    takes_device = "device" in inspect.signature(case.function).parameters
    arrays = checks.in_dtype(sample.arrays, dtype)
    inputs = [Tensor(a).to(device).requires_grad_(case.differentiable and checks.is_float(a)) for a in arrays]
    result = case.function(*inputs, **sample.static, **({"device": device} if takes_device else {}))
    outputs = [t for t in (result if isinstance(result, (tuple, list)) else [result]) if isinstance(t, Tensor)]
    if sample.arrays or takes_device:
        assert all(output.device == device for output in outputs), "an output left the device"
    found = [(t.shape, t.dtype, [s for s, n in zip(t.stride(), t.shape) if n > 1] if t.numel() else None) for t in outputs]
    wanted, level = [x for x in inputs if x.requires_grad], outputs
    for order in (1, 2):
        roots = [t for t in level if t is not None and t.requires_grad]
        if not roots:
            break
        above = [minigrad.ones_like(root) for root in roots]
        level = autograd.grad(roots, wanted, above, create_graph=order == 1, allow_unused=True)
        found += [None if t is None else (t.shape, t.dtype) for t in level]
    return found


@pytest.mark.parametrize("dtype", ["float64", *REDUCED])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_operation(case, dtype):
    refused = 0
    for number, sample in enumerate(checks.samples_of(case)):
        if dtype in REDUCED and ("reduced" in case.without or not any(map(checks.is_float, sample.arrays))):
            continue
        with checks.naming(case, number, sample), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            expected = run(case, sample, "cpu", dtype)
            try:
                found = run(case, sample, "meta", dtype)
            except RuntimeError as error:
                assert "no values" in str(error)
                refused += 1
                continue
            assert found == expected
    if case.operation not in REFUSED:
        assert refused == 0, "needs values, and is not listed in REFUSED"
    elif dtype == "float64":
        assert refused > 0, "is listed in REFUSED, and needs no values"


# --- without values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x[0, 0].item(),
        lambda x: x.tolist(),
        lambda x: x.numpy(),
        lambda x: x.numpy(force=True),
        np.asarray,
        lambda x: bool(x[0, 0]),
        lambda x: float(x[0, 0]),
        lambda x: int(x[0, 0]),
        lambda x: range(x.long()[0, 0]),
        lambda x: 1.0 in x,
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: x.unique(),
        lambda x: x.cpu(),
        lambda x: x.to("cpu"),
        lambda x: minigrad.tensor([x[0, 0], 1.0]),
        lambda x: minigrad.from_dlpack(x),
        lambda x: f"{x[0, 0]:.3f}",
    ],
)
def test_reading_is_refused(read):
    with pytest.raises(RuntimeError, match="on the meta device has a shape and a dtype but no values"):
        read(minigrad.zeros(2, 3, device="meta"))


def test_saving_is_refused(tmp_path):
    with pytest.raises(RuntimeError, match="no values"):
        minigrad.save({"x": minigrad.zeros(2, device="meta")}, tmp_path / "x.pt")


def test_repr():
    x = minigrad.zeros(2, 3, device="meta", requires_grad=True)
    assert repr(x) == "tensor(..., device='meta', size=(2, 3), requires_grad=True)"
    assert repr(x.double() * 2) == "tensor(..., device='meta', size=(2, 3), dtype=float64, grad_fn=<Mul>)"
    assert repr(nn.Parameter(x.detach(), False)) == "Parameter containing:\ntensor(..., device='meta', size=(2, 3))"


def test_bad_indices_and_shapes_are_still_found():
    x = minigrad.zeros(2, 3, device="meta")
    with pytest.raises(IndexError, match="dim 0 of size 2, got 5"):
        x[5]
    with pytest.raises(ValueError, match="broadcast"):
        x + minigrad.zeros(4, device="meta")
    with pytest.raises(ValueError, match="broadcast"):
        x.copy_(minigrad.zeros(5, device="meta"))
    with pytest.raises(RuntimeError, match="a leaf tensor that requires grad"):
        x.requires_grad_().add_(1)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: xp.concatenate([x, xp.zeros((2, 4))]),
        lambda x: xp.concatenate([x, x], out=xp.zeros((3, 3))),
        lambda x: xp.matmul(x, x),
        lambda x: xp.max(xp.zeros((0, 3)), axis=0),
        lambda x: xp.broadcast_to(x, (3, 2)),
        lambda x: xp.add(x, xp.zeros((4,))),
        lambda x: xp.add(x, x, out=xp.zeros((3,))),
        lambda x: xp.add(x, x, out=xp.zeros((2, 3), "int64")),
        lambda x: x.reshape(4, 2),
        lambda x: x.transpose(0, 0),
        lambda x: x.__setitem__(0, xp.zeros(4)),
    ],
)
def test_the_namespace_refuses_what_does_not_fit(call):
    with pytest.raises(ValueError, match="expected"):
        call(xp.zeros((2, 3)))


def test_a_function_without_a_rule():
    with pytest.raises(AttributeError, match=r"no rule for xp\.fromiter"):
        xp.fromiter  # noqa: B018
    with pytest.raises(TypeError, match="expected an array of the meta device or a number, got ndarray"):
        xp.add(xp.zeros(2), np.zeros(2))


# --- strides -----------------------------------------------------------------------------------------------------------


def arrangements(shape):
    """Arrays of a shape in every order of memory, with and without gaps, and stretched."""
    for order in itertools.permutations(range(len(shape))):
        inverse = tuple(order.index(i) for i in range(len(shape)))
        yield np.zeros([shape[i] for i in order]).transpose(inverse)
        yield np.zeros([2 * shape[i] for i in order])[tuple(slice(None, None, 2) for _ in shape)].transpose(inverse)
    yield np.zeros(shape)[::-1]
    yield np.broadcast_to(np.zeros((1, *shape[1:])), shape)


def described(array):
    """A MetaArray with the shape and the very strides of NumPy's array."""
    return MetaArray(array.shape, array.dtype, array.strides)


def lies(array):
    """The strides that say where elements are."""
    return array.shape, [s for s, n in zip(array.strides, array.shape) if n > 1]


SHAPES = [(2, 3), (2, 3, 4), (2, 1, 4), (1, 5, 1, 2)]


@pytest.mark.parametrize("shape", SHAPES)
def test_strides_of_copies_and_views_are_numpys(shape):
    for array in arrangements(shape):
        meta = described(array)
        assert meta.flags.c_contiguous == array.flags.c_contiguous
        assert lies(xp.array(meta, copy=True)) == lies(np.array(array, copy=True, order="K"))
        assert lies(meta.copy()) == lies(array.copy())
        assert lies(xp.empty_like(meta, dtype="float32")) == lies(np.empty_like(array, dtype="float32"))
        assert lies(xp.exp(meta)) == lies(np.exp(array))
        assert lies(meta.T[..., ::-1]) == lies(array.T[..., ::-1])
        for axis in range(array.ndim):
            assert lies(xp.sum(meta, axis=axis)) == lies(np.sum(array, axis=axis))
            assert lies(xp.max(meta, axis=axis, keepdims=True)) == lies(np.max(array, axis=axis, keepdims=True))
        for target in [(array.size,), (shape[0], -1), (-1, shape[-1]), (*shape, 1), (2, -1, 1)]:
            assert lies(meta.reshape(target)) == lies(array.reshape(target))
            is_view = meta.reshape(target).base is meta
            assert is_view == np.shares_memory(array, array.reshape(target))


@pytest.mark.parametrize("shape", SHAPES)
def test_strides_of_two_operands_are_numpys(shape):
    for a, b in itertools.product(list(arrangements(shape)), repeat=2):
        assert lies(xp.add(described(a), described(b))) == lies(np.add(a, b))
        assert lies(xp.where(xp.greater(described(a), 0), described(b), 0)) == lies(np.where(a > 0, b, 0))
    row = np.zeros(shape[-1])
    for a in arrangements(shape):
        assert lies(xp.add(described(row), described(a))) == lies(np.add(row, a))


def test_convolution_and_pooling_leave_channels_last():
    images = minigrad.zeros(2, 3, 8, 8, device="meta")
    planes = nn.functional.max_pool2d(nn.functional.conv2d(images, minigrad.zeros(5, 3, 3, 3, device="meta")), 2)
    assert planes.stride() == (45, 1, 15, 5)
    assert planes.flatten(1)._base is None
    assert images.flatten(1)._base is images


# --- devices -----------------------------------------------------------------------------------------------------------


def test_device_names():
    assert minigrad.device("meta") == minigrad.zeros(1, device="meta").device
    with pytest.raises(ValueError, match="there is one meta device"):
        minigrad.zeros(1, device="meta:1")
    with pytest.raises(RuntimeError, match="input 0 on meta, input 1 on cpu"):
        minigrad.zeros(1, device="meta") + minigrad.zeros(1)
    with pytest.raises(ValueError, match="expected one of cpu, cuda, meta, got 'tpu'"):
        minigrad.zeros(1, device="tpu")


def test_everything_moves_there():
    x = minigrad.zeros(2, 3, 4, dtype="float16").permute(1, 0, 2)
    moved = x.to("meta")
    assert (moved.shape, moved.dtype, moved.stride()) == (x.shape, x.dtype, x.stride())
    assert x.to("meta", minigrad.float64).dtype == minigrad.float64
    with strict_backend():
        assert minigrad.zeros(2, device="strict").to("meta").shape == (2,)
    assert minigrad.tensor([[1, 2], [3, 4]], device="meta").dtype == minigrad.int64


def test_a_module_moves_there_and_is_trained():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Dropout(0.5)
    ).to("meta")
    model.append(nn.Flatten()).append(nn.Linear(4 * 16 * 16, 10, device="meta"))
    for algorithm in (optim.SGD, optim.Adam, optim.AdamW, optim.Adagrad, optim.RMSprop, optim.Lion):
        optimizer = algorithm(model.parameters(), lr=0.1, weight_decay=0.1)
        loss = nn.CrossEntropyLoss()(model(minigrad.rand(2, 3, 32, 32, device="meta")), minigrad.tensor([0, 1], device="meta"))
        loss.backward()
        assert all(p.grad.device == "meta" and p.grad.shape == p.shape for p in model.parameters())
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    assert loss.shape == ()
    assert all(t.device == "meta" for t in (*model.parameters(), *model.buffers()))
    assert repr(copy.deepcopy(model)) == repr(model)
    assert model[1].state_dict()["running_mean"].device == "meta"


def test_a_state_dict_is_assigned_not_copied():
    model, trained = nn.Linear(2, 3, device="meta"), nn.Linear(2, 3)
    with pytest.raises(RuntimeError, match=r"weight: the module's tensor is on the meta device, .* pass assign=True"):
        model.load_state_dict(trained.state_dict())
    assert model.weight.device == "meta"
    model.load_state_dict(trained.state_dict(), assign=True)
    x = minigrad.rand(4, 2)
    assert minigrad.equal(model(x), trained(x))
    nn.Linear(2, 3, device="meta").load_state_dict(nn.Linear(2, 3, device="meta").state_dict())


def test_random_numbers_leave_other_generators_alone():
    minigrad.manual_seed(3)
    state = minigrad.get_rng_state()
    for made in (
        minigrad.rand(2, device="meta"),
        minigrad.randint(5, (2,), device="meta"),
        minigrad.randperm(2, device="meta"),
        minigrad.empty(2, device="meta").normal_(),
        minigrad.empty(2, device="meta").bernoulli_(0.5),
    ):
        assert made.shape == (2,)
        assert made.device == "meta"
    assert minigrad.equal(minigrad.get_rng_state(), state)
    generator = minigrad.Generator("meta").manual_seed(5)
    assert minigrad.Generator("meta").set_state(generator.get_state()).initial_seed() == 5
    with pytest.raises(ValueError, match="state of a generator on the meta device"):
        generator.set_state(state)


# --- what it costs -----------------------------------------------------------------------------------------------------


def vgg16():
    layers, channels = [], 3
    for width in [64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0]:
        if width:
            layers += [nn.Conv2d(channels, width, 3, padding=1, device="meta"), nn.ReLU(inplace=True)]
            channels = width
        else:
            layers.append(nn.MaxPool2d(2))
    sizes = [(512 * 49, 4096), (4096, 4096), (4096, 1000)]
    return nn.Sequential(*layers, nn.Flatten(), *(nn.Linear(*size, device="meta") for size in sizes))


def test_a_training_step_of_vgg16_takes_no_memory():
    tracemalloc.start()
    try:
        model = vgg16()
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        images = minigrad.rand(256, 3, 224, 224, device="meta")
        output = model(images)
        output.sum().backward()
        optimizer.step()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert output.shape == (256, 1000)
    assert images.nbytes == 256 * 3 * 224 * 224 * 4
    assert peak < 4e6


def test_multiplications_are_counted():
    backend, counts = backend_for("meta")[0], []
    x, w = minigrad.zeros(2, 6, 8, 8, device="meta"), minigrad.zeros(4, 3, 3, 3, device="meta")
    with backend.counting(counts.append):
        nn.functional.conv2d(x, w, minigrad.zeros(4, device="meta"), stride=2, groups=2)
        nn.functional.conv_transpose2d(x[:, :4], w)
        nn.functional.linear(x, minigrad.zeros(5, 8, device="meta"))
        x @ x
        minigrad.einsum("nchw,oc->nohw", x, minigrad.zeros(7, 6, device="meta"))
        other = threading.Thread(target=lambda: x @ x)
        other.start()
        other.join()
        with pytest.raises(KeyError), backend.counting(counts.clear):
            raise KeyError
    x @ x
    convolution = 2 * 4 * 3 * 3 * 3 * 3 * 3
    transposed = 2 * 4 * 8 * 8 * 3 * 3 * 3
    assert counts == [convolution, transposed, 2 * 6 * 8 * 5 * 8, 2 * 6 * 8 * 8 * 8, 2 * 7 * 6 * 8 * 8]


@pytest.mark.parametrize("case", [c for c in CASES if c.operation not in ("tensor", "as_tensor")], ids=lambda c: c.operation)
def test_what_is_on_the_cpu_stays_there_in_a_device_context(case):
    """What an operation and its derivatives make on the way, they make where the operands are."""
    for sample in checks.samples_of(case):
        if not sample.arrays:
            continue
        inputs = checks.leaves(checks.in_dtype(sample.arrays, "float64"))
        if case.differentiable:
            inputs = [x.requires_grad_() if x.is_floating_point() else x for x in inputs]
        with minigrad.device("meta"):
            outputs = checks.tensors_in(case.function(*inputs, **sample.static))
            roots, wanted = [t for t in outputs if t.requires_grad], [x for x in inputs if x.requires_grad]
            for order in (1, 2):
                if not roots:
                    break
                above = [minigrad.ones_like(root) for root in roots]
                gradients = autograd.grad(roots, wanted, above, create_graph=order == 1, allow_unused=True)
                outputs += [t for t in gradients if t is not None]
                roots = [t for t in gradients if t is not None and t.requires_grad]
        assert all(tensor.device == "cpu" for tensor in outputs)
