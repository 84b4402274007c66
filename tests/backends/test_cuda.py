"""The CUDA backend: what it says where there is no GPU, all operations on a stand-in for cupy, and, with a GPU, on the GPU.

``python -m pytest -m cuda`` runs what needs a GPU; without one, that is skipped.
"""

import ast
import importlib
import inspect
import io
import itertools
import subprocess
import sys
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

import minigrad as mg
from minigrad import backends, nn, optim
from minigrad.backends.cuda import CUDABackend
from minigrad.backends.cuda.compiler import Kernels
from minigrad.backends.cuda.elementwise import ELEMENTWISE
from minigrad.backends.cuda.namespace import Namespace
from minigrad.nn import functional as F
from tests.fake_cupy import FakeArray, FakeCupy, FakeGPU, fake_cupy
from tests.floats import FLOATS, REDUCED
from tests.ops import checks
from tests.ops.test_table import cases
from tests.strict_backend import CONSTANTS, FUNCTIONS, LINALG, TYPES, UFUNCS, StrictArray


@pytest.fixture
def fake():
    with fake_cupy() as module:
        yield module


@pytest.fixture
def gpu():
    if not mg.cuda.is_available():
        pytest.skip("CuPy finds no GPU")


# --- without a GPU -----------------------------------------------------------------------------------------------------


def test_cupy_is_missing(fake):
    with patch.dict(sys.modules, {"cupy": None}):
        assert mg.cuda.is_available() is False
        assert mg.cuda.device_count() == 0
        for ask in (
            lambda: mg.zeros(2, device="cuda"),
            lambda: mg.ones(2).cuda(),
            lambda: nn.Linear(2, 3).cuda(),
            mg.cuda.current_device,
            mg.cuda.synchronize,
            lambda: mg.cuda.set_device(0),
        ):
            with pytest.raises(
                RuntimeError, match=r"CuPy cannot be imported .*pip install .*cupy-cuda13x\[ctk\].*cupy-cuda12x\[ctk\]"
            ):
                ask()


def test_cupy_cannot_be_imported(fake, tmp_path, monkeypatch):
    (tmp_path / "cupy.py").write_text("raise ValueError('numpy.dtype size changed')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy")
    assert mg.cuda.is_available() is False
    with pytest.raises(RuntimeError, match=r"CuPy cannot be imported \(numpy.dtype size changed\); pip install"):
        mg.zeros(2, device="cuda")


def test_cupy_finds_no_gpu():
    with fake_cupy(FakeCupy(gpus=0)):
        assert mg.cuda.is_available() is False
        assert mg.cuda.device_count() == 0
        with pytest.raises(RuntimeError, match=r"CuPy 14.2.0 is installed but finds no usable GPU.*nvidia-smi.*cupy-cuda13x"):
            mg.zeros(2, device="cuda")


def test_the_cpu_never_imports_cupy(tmp_path):
    (tmp_path / "cupy.py").write_text("raise SystemExit('cupy was imported')\n")
    program = """
        import sys
        sys.path.insert(0, sys.argv[1])
        import minigrad as mg
        from minigrad import nn, optim
        import minigrad.cuda
        net = nn.Sequential(nn.Linear(2, 3), nn.Dropout(), nn.ReLU()).cpu()
        optimizer = optim.Adam(net.parameters())
        net(mg.randn(4, 2)).sum().backward()
        optimizer.step()
        assert mg.device("cuda:1") != net[0].weight.device
        assert not net[0].weight.is_cuda
        assert "cupy" not in sys.modules
        print("trained")
    """
    lines = "\n".join(line.strip() for line in program.splitlines())
    done = subprocess.run([sys.executable, "-c", lines, str(tmp_path)], capture_output=True, text=True)
    assert done.stdout == "trained\n", done.stderr


# --- on a stand-in for cupy ----------------------------------------------------------------------------------------------


def test_registering_leaves_no_trace():
    before = (dict(backends._by_name), dict(backends.by_array_type))
    with fake_cupy():
        backend, place = backends.backend_for("cuda")
        assert isinstance(backend, CUDABackend) and place == "cuda:0"
        assert backends.backend_for("cuda")[0] is backend
        assert backends.backend_of(mg.rand(2, device="cuda").array) is backend
    assert (dict(backends._by_name), dict(backends.by_array_type)) == before
    assert "cupy" not in sys.modules or not isinstance(sys.modules["cupy"], FakeCupy)


def test_no_family_of_kernels_hides_what_another_calls():
    """They are one class in the end."""
    owners = {}
    for family in CUDABackend.__mro__[1:]:
        if family.__module__.startswith("minigrad.backends.cuda"):
            for name in vars(family):
                if not name.startswith("__"):
                    owners.setdefault(name, []).append(family.__name__)
    assert {name: families for name, families in owners.items() if len(families) > 1} == {}


@cases("strict")
def test_all_operations(fake, case):
    checks.check_device(case, "cuda", "float64", 1, max(1e-9, case.tolerance.get("float64", 0)))


@pytest.mark.skipif("bfloat16" not in REDUCED, reason="ml_dtypes is not installed")
@cases("reduced", random=False)
def test_all_operations_in_bfloat16(fake, case):
    """As in float64 on the CPU, and bfloat16 where that is float64."""
    if "strict" in case.without:
        pytest.skip(case.without["strict"])
    backend, _ = backends.backend_for("cuda")
    for number, sample in enumerate(checks.samples_of(case)):
        if not sample.arrays:
            continue
        with checks.naming(case, number, sample):
            function = partial(case.function, **sample.static)
            arrays = checks.in_dtype(sample.arrays, "bfloat16")
            inputs = checks.leaves(arrays, case.differentiable, backend.from_host)
            there = checks.derivatives(function, inputs, backend.from_host)
            here = checks.derivatives(function, checks.leaves(checks.in_dtype(arrays, "float64"), case.differentiable))
            checks.same(there, here, checks.of_gradients(case, "bfloat16"), "cuda")
            for a, b in zip(itertools.chain(*there), itertools.chain(*here)):
                assert a is None or not case.keeps_dtype or (a.dtype == "bfloat16") == (b.dtype == "float64")


def test_which_gpu(fake):
    assert mg.cuda.is_available() is True
    assert (mg.cuda.device_count(), mg.cuda.current_device()) == (2, 0)
    for name in ("cuda:7", 7, mg.device("cuda", 2)):
        with pytest.raises(ValueError, match=r"device: expected cuda:0 to cuda:1, got 'cuda:[27]'"):
            mg.zeros(2, device=name)
    with pytest.raises(RuntimeError, match=r"expected the current GPU, cuda:0, got 'cuda:1'; .* minigrad.cuda.set_device\(1\)"):
        mg.ones(2).to("cuda:1")
    mg.cuda.set_device("cuda:1")
    assert mg.cuda.current_device() == 1
    mg.cuda.set_device("cuda")
    x = mg.ones(2, device="cuda", requires_grad=True)
    assert x.device == (x * 2).device == mg.rand(2, device="cuda:1").device == "cuda:1"
    (x * x).sum().backward()
    assert x.grad.device == "cuda:1"
    mg.cuda.synchronize()
    mg.cuda.synchronize(1)
    assert FakeGPU.waited_for == [1, 1]
    with pytest.raises(ValueError, match="expected cuda:0 to cuda:1, got 'cuda:2'"):
        mg.cuda.set_device(2)
    with pytest.raises(ValueError, match="set_device: expected a CUDA device, got 'cpu'"):
        mg.cuda.set_device("cpu")


def test_there_and_back(fake):
    x = mg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    there = x.cuda()
    assert type(there.array) is FakeArray and there.is_cuda and not x.is_cuda
    assert there.device == "cuda:0" and repr(there.detach()) == "tensor([[1., 2.],\n        [3., 4.]], device='cuda:0')"
    (there.T.to("cpu") * mg.tensor([[1.0, 10.0], [100.0, 1000.0]])).sum().backward()
    assert x.grad.device == "cpu" and x.grad.tolist() == [[1, 100], [10, 1000]]
    assert there.to("cuda").array is there.array
    assert there.cpu().tolist() == there.tolist() == x.tolist()
    with pytest.raises(TypeError, match=r"expected a tensor on the cpu, got one on cuda:0; use \.cpu\(\)\.numpy\(\)"):
        there.detach().numpy()
    assert mg.tensor(there.detach(), dtype=mg.float64).device == "cuda:0"
    assert mg.zeros_like(there).device == "cuda:0" and mg.zeros_like(there, device="cpu").device == "cpu"


def test_devices_do_not_mix(fake):
    here, there = mg.ones(2), mg.ones(2, device="cuda")
    message = "expected all tensors on one device, got input 0 on cuda:0, input 1 on cpu"
    with pytest.raises(RuntimeError, match=f"^add: {message}"):
        there + here
    with pytest.raises(RuntimeError, match=f"^matmul: {message}"):
        there @ here
    with pytest.raises(RuntimeError, match=r"linear: .*input 0 on cpu, weight on cuda:0"):
        nn.Linear(2, 3).cuda()(here)
    with pytest.raises(RuntimeError, match="expected a generator on cuda:0, got one on cpu"):
        mg.rand(2, generator=mg.Generator(), device="cuda")


def test_the_same_seed_gives_the_same_numbers(fake):
    drawn = []
    for _ in range(2):
        mg.manual_seed(5)
        numbers = [mg.rand(3, device="cuda"), mg.randn(3, device="cuda"), mg.randperm(5, device="cuda")]
        drawn.append([t.tolist() for t in numbers])
        assert {str(t.device) for t in numbers} == {"cuda:0"}
    assert drawn[0] == drawn[1] and drawn[0][0] != mg.rand(3, device="cuda").tolist()


def classifier():
    """A network with a layer of every family."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 6, 3, stride=2, padding=1, groups=2),
        nn.GroupNorm(3, 6),
        nn.GELU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(6, 4),
    ).double()


def trained(device, make_optimizer):
    """The losses of three steps and what the network holds then."""
    mg.manual_seed(0)
    net = classifier().to(device)
    optimizer = make_optimizer(net.parameters())
    mg.manual_seed(1)
    losses = []
    for _ in range(3):
        x = mg.randn(5, 3, 8, 8, dtype=mg.float64).to(device)
        labels = mg.randint(4, (5,)).to(device)
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), labels, label_smoothing=0.1)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert {t.device.type for t in net.state_dict().values()} == {device}
    return [losses, *(t.numpy(force=True) for t in net.state_dict().values())]


OPTIMIZERS = {
    "SGD": lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-2, nesterov=True),
    "AdamW": lambda parameters: optim.AdamW(parameters, lr=0.01),
    "RMSprop": lambda parameters: optim.RMSprop(parameters, lr=0.01, centered=True, momentum=0.5),
    "Adagrad": lambda parameters: optim.Adagrad(parameters, lr=0.01),
    "Lion": lambda parameters: optim.Lion(parameters, lr=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_is_the_cpus(fake, name):
    for there, here in zip(trained("cuda", OPTIMIZERS[name]), trained("cpu", OPTIMIZERS[name]), strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-9, atol=1e-12)


def test_checkpoints_cross_devices(fake):
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).cuda()
    stream = io.BytesIO()
    mg.save(net.state_dict(), stream)
    for location, device in ((None, "cpu"), ("cuda", "cuda:0"), ("cuda:0", "cuda:0"), ("cpu", "cpu")):
        stream.seek(0)
        state = mg.load(stream, map_location=location)
        assert {str(t.device) for t in state.values()} == {device}
        assert state["0.weight"].tolist() == net[0].weight.tolist()
        net.load_state_dict(state)
        assert net[0].weight.device == "cuda:0"
    stream.seek(0)
    with pytest.raises(ValueError, match="expected cuda:0 to cuda:1, got 'cuda:7'"):
        mg.load(stream, map_location="cuda:7")


def test_a_gradient_shares_no_memory_with_what_it_came_from(fake):
    """CuPy's views by strides have no base; they must not be taken for arrays that own their memory."""
    x = mg.ones(1, device="cuda", requires_grad=True)
    above = mg.ones((), device="cuda")
    x.sum().backward(above)
    x.grad.zero_()
    assert above.item() == 1
    backend = backends.backend_of(x.array)
    assert backend.owns_memory(x.array) and not backend.owns_memory(x.detach().expand(3).array)


SPECIAL = [0.0, 1.0, -1.0, 0.1, -0.3, 2.0, 7.0, np.inf, -np.inf, np.nan]


def check_quotients(name, dtype):
    """On the GPU that there is, or seems to be, against NumPy."""
    random = np.random.default_rng(0)
    if dtype in FLOATS:
        a, b = (np.concatenate([random.normal(0, scale, 50), values]) for scale, values in ((20, SPECIAL), (1, SPECIAL)))
    else:
        a, b = random.integers(-100, 100, 50), random.integers(1, 9, 50) * random.choice([-1, 1], 50)
    a, b = np.meshgrid(a.astype(dtype), b.astype(dtype))
    x, y = mg.tensor(a, device="cuda"), mg.tensor(b, device="cuda")
    ours, theirs = getattr(mg, name), getattr(np, name)
    with np.errstate(all="ignore"):
        pairs = [(ours(x, y), theirs(a, b)), (ours(7, y), theirs(7, b)), (ours(x, 3), theirs(a, 3))]
        if hasattr(x, f"{name}_"):
            pairs.append((getattr(x, f"{name}_")(y), pairs[0][1]))
    for actual, expected in pairs:
        assert actual.dtype == dtype
        np.testing.assert_array_equal(actual.numpy(force=True).astype("float64"), expected.astype("float64"))


QUOTIENTS = pytest.mark.parametrize("name", ["floor_divide", "remainder", "fmod"])
QUOTIENT_DTYPES = pytest.mark.parametrize("dtype", [*FLOATS, "int64", "int8", "uint8"])


@QUOTIENTS
@QUOTIENT_DTYPES
def test_quotients_and_remainders_are_numpys(fake, name, dtype):
    check_quotients(name, dtype)


def test_bounds_that_are_nan(fake):
    namespace = Namespace(fake, Kernels(fake))
    x, low = FakeArray(np.arange(4.0)), FakeArray(np.array([np.nan, 2, 0, 0]))
    for bounds, expected in (((low, None), [np.nan, 2, 2, 3]), ((None, low), [np.nan, 1, 0, 0]), ((low, 2), [np.nan, 2, 2, 2])):
        np.testing.assert_array_equal(fake.asnumpy(namespace.clip(x, *bounds)), expected)
    for numbers in ((np.nan, None), (None, np.nan), (1, np.nan), (np.nan, 1)):
        assert np.isnan(fake.asnumpy(namespace.clip(x, *numbers))).all(), numbers
    assert namespace.clip(x, low, None, out=x) is x
    assert fake.asnumpy(x)[1:].tolist() == [2, 2, 3]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "int64", *REDUCED, "float32"])
def test_adding_at_places_in_every_dtype(fake, dtype):
    """CuPy's own add.at has no small integers and no bools."""
    x, values, places = np.array([1, 0, 100, 0]), np.array([1, 60, 50, 1, 0]), np.array([3, 2, 2, 0, 1])
    results = []
    for device in ("cuda", "cpu"):
        target, source, index = (mg.tensor(a, device=device) for a in (x.astype(dtype), values.astype(dtype), places))
        results.append([mg.index_add(target, 0, index, source).tolist(), target.scatter_add(0, index, source).tolist()])
    assert results[0] == results[1]
    wanted = np.add(x, [1, 0, 110, 1]).astype(dtype)  # no more than bfloat16 tells apart
    assert results[0] == [wanted.tolist()] * 2


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["erf", "erfc"])
def test_the_error_function_keeps_the_dtype(fake, name, dtype):
    numbers = np.linspace(-3, 3, 50).astype(dtype)
    x = mg.tensor(numbers, device="cuda")
    expected = getattr(mg, name)(mg.tensor(numbers).double())
    result = getattr(mg, name)(x)
    assert result.dtype == dtype and result.device == "cuda:0"
    backend = backends.backend_of(x.array)
    assert getattr(backend, name)(x.array, out=x.array) is x.array
    tolerance = {"bfloat16": 4e-3, "float16": 2e-3}.get(dtype, 1e-6)
    for actual in (result, x):
        np.testing.assert_allclose(actual.tolist(), expected.tolist(), rtol=tolerance)


# --- with CuPy, but without a GPU ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cupy():
    return pytest.importorskip("cupy")


def test_cupy_has_all_that_the_strict_backend_has(cupy):
    assert [name for name in (UFUNCS + FUNCTIONS + CONSTANTS + " " + TYPES).split() if not hasattr(cupy, name)] == []
    assert [name for name in LINALG.split() if not hasattr(cupy.linalg, name)] == []
    assert [name for name in vars(StrictArray) if not name.startswith("_") and not hasattr(cupy.ndarray, name)] == []
    assert callable(cupy.lib.stride_tricks.as_strided) and callable(cupy.add.at)
    assert cupy.result_type(np.dtype("float16"), 2.0) == "float16"


def test_cupy_has_the_functions_of_bfloat16_that_we_leave_to_it(cupy):
    bfloat16 = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    of_bits = {"bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift"}
    widening = {"where", "logical_xor", "logical_not"}  # to float32; the first of them is rounded
    names = [name for name in ELEMENTWISE if name not in of_bits | widening]
    assert [name for name in names if not any(bfloat16.char in loop for loop in getattr(cupy, name).types)] == []
    assert np.can_cast("float32", bfloat16, "same_kind")  # as CuPy asks before it writes to out


def calls_of_the_namespace():
    """(name, number of positional arguments, keywords, place) of all that the package calls in a device's namespace."""
    root = Path(mg.__file__).parent
    for path in sorted(root.rglob("*.py")):
        if path.is_relative_to(root / "backends" / "cpu"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            names = []
            called = node.func
            while isinstance(called, ast.Attribute):
                names.append(called.attr)
                called = called.value
            names = [*names, called.id][::-1] if isinstance(called, ast.Name) else names[::-1]
            start = next((i + 1 for i, name in enumerate(names) if name in ("xp", "cupy", "_cupy")), len(names))
            plain = not any(isinstance(argument, ast.Starred) for argument in node.args)
            if names[start:] and plain and all(keyword.arg for keyword in node.keywords):
                place = f"{path.relative_to(root)}:{node.lineno}"
                yield ".".join(names[start:]), len(node.args), [keyword.arg for keyword in node.keywords], place


def test_cupy_takes_the_arguments_that_we_pass(cupy):
    refused, checked = [], set()
    for name, count, keywords, place in calls_of_the_namespace():
        function = cupy
        for part in name.split("."):
            function = getattr(function, part)
        if isinstance(function, cupy.ufunc):
            fits = function.nin <= count <= function.nargs and set(keywords) <= {"out", "dtype"}
        elif name.endswith(".at") or inspect.isclass(function) or not inspect.isroutine(function):
            continue
        else:
            try:
                inspect.signature(function).bind(*[None] * count, **dict.fromkeys(keywords))
                fits = True
            except ValueError:  # it has no signature
                continue
            except TypeError:
                fits = False
        checked.add(name)
        if not fits:
            refused.append(f"{name} with {count} arguments and {keywords} at {place}")
    assert refused == []
    assert len(checked) > 90


def test_cupy_is_asked_but_has_no_gpu(cupy):
    if cupy.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(RuntimeError, match=r"CuPy \S+ is installed but finds no usable GPU"):
        mg.zeros(2, device="cuda")


# --- on a GPU ------------------------------------------------------------------------------------------------------------


@pytest.mark.cuda
@pytest.mark.parametrize(("dtype", "order"), [("float64", 2), ("float32", 1)])
@cases("strict")
def test_all_operations_on_the_gpu(gpu, case, dtype, order):
    checks.check_device(case, "cuda", dtype, order, checks.of_gradients(case, dtype))


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", REDUCED)
@cases("reduced", random=False)
def test_short_floats_on_the_gpu(gpu, case, dtype):
    if "strict" in case.without:
        pytest.skip(case.without["strict"])
    checks.check_device(case, "cuda", dtype, 1, checks.of_gradients(case, dtype))


@pytest.mark.cuda
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_on_the_gpu(gpu, name):
    for there, here in zip(trained("cuda", OPTIMIZERS[name]), trained("cpu", OPTIMIZERS[name]), strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-6, atol=1e-9)


@pytest.mark.cuda
def test_the_gpu_itself(gpu):
    count = mg.cuda.device_count()
    assert count >= 1 and 0 <= mg.cuda.current_device() < count
    with pytest.raises(ValueError, match=f"got 'cuda:{count}'"):
        mg.zeros(2, device=f"cuda:{count}")
    x = mg.randn(64, 64, device="cuda", requires_grad=True)
    (x @ x.T).sum().backward()
    mg.cuda.synchronize()
    assert x.grad.device == x.device and type(x.array) is importlib.import_module("cupy").ndarray
    assert mg.from_dlpack(x.detach()).data_ptr() == x.data_ptr()


@pytest.mark.cuda
@QUOTIENTS
@QUOTIENT_DTYPES
def test_quotients_and_remainders_on_the_gpu(gpu, name, dtype):
    check_quotients(name, dtype)
