"""Autocast: which operation gives which dtype, as a table and as PyTorch does; where casts are kept; and the context itself."""

import threading
import warnings

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.autograd.modes import modes
from minigrad.nn import functional as F
from tests.fake_cupy import fake_cupy
from tests.floats import REDUCED
from tests.ops import checks
from tests.ops.test_table import CASES

# PyTorch's lists for CUDA (aten/src/ATen/autocast_mode.h), of what minigrad has.
LOW = {
    "conv1d", "conv2d", "conv_transpose2d", "prelu", "addmm", "matmul", "einsum", "mm", "mv", "linear", "baddbmm", "bmm",
    "scaled_dot_product_attention",
}  # fmt: skip
WIDE = {
    "acos", "asin", "cosh", "exp", "expm1", "log", "log10", "log2", "log1p", "reciprocal", "rsqrt", "sinh", "tan", "pow",
    "softplus", "layer_norm", "group_norm", "cosine_similarity", "nll_loss", "kl_div", "l1_loss", "smooth_l1_loss",
    "huber_loss", "mse_loss", "soft_margin_loss", "multi_margin_loss", "binary_cross_entropy_with_logits", "logsumexp",
    "prod", "softmax", "log_softmax", "cumprod", "cumsum", "norm", "sum",
}  # fmt: skip
# What PyTorch composes of these.
COMPOSED = {"cross_entropy", "local_response_norm", "normalize", "softmin", "trace"}
WIDEST = {"dot", "scatter_add", "tensordot"}
REFUSED = {"binary_cross_entropy"}


def name_of(case):
    return case.operation.rpartition(".")[2]


def random(*shape, dtype="float32"):
    return np.random.default_rng(0).uniform(0.2, 0.8, shape).astype(dtype)


def dtypes(result):
    return {str(t.dtype) for t in checks.tensors_in(result) if t.is_floating_point()}


def tensors(sample, dtype):
    return [mg.tensor(a.astype(dtype) if a.dtype == np.float64 else a) for a in sample.arrays]


OPERATIONS = [case for case in CASES if not case.operation.startswith("Tensor.") and not case.random and case.keeps_dtype]


@pytest.mark.parametrize(
    ("low", "given"), [("float16", "float64"), *((low, given) for low in REDUCED for given in (low, "float32"))]
)
@pytest.mark.parametrize("case", OPERATIONS, ids=str)
def test_every_operation_by_the_lists(case, given, low):
    name = name_of(case)
    for sample in case.samples(np.random.default_rng(0)):
        given_tensors = tensors(sample, given)
        if not any(t.is_floating_point() for t in given_tensors) or "dtype" in sample.static:
            continue
        if name == "local_response_norm" and any(t.numel() == 0 for t in given_tensors):
            continue  # nothing is computed
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            plain = dtypes(case.function(*given_tensors, **sample.static))
            with mg.autocast("cpu", low):
                if name in REFUSED:
                    with pytest.raises(RuntimeError, match="outside of autocast"):
                        case.function(*given_tensors, **sample.static)
                    continue
                found = dtypes(case.function(*given_tensors, **sample.static))
        if given != "float64" and plain:
            is_wide = name in WIDE | COMPOSED or (name == "div" and sample.static.get("left") is not None)  # 1 / x
            plain = {low} if name in LOW else {"float32"} if is_wide else plain
        assert found == plain, sample


def test_the_lists_are_of_operations():
    assert {name_of(case) for case in OPERATIONS} >= LOW | WIDE | COMPOSED | WIDEST | REFUSED


def half(x):
    return mg.tensor(x, dtype="float16")


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: mg.dot(a[0], b[0]),
        lambda a, b: mg.tensordot(a, b, 2),
        lambda a, b: mg.scatter_add(a, 0, mg.zeros(3, 3, dtype="int64"), b),
        lambda a, b: mg.cat([a, b]),
        lambda a, b: mg.stack([a, b]),
        lambda a, b: a + b,
        lambda a, b: mg.addcmul(a, b, b),
        lambda a, b: mg.atan2(a, b),
    ],
)
def test_the_widest_of_two(function):
    x = random(3, 3)
    with mg.autocast("cpu"):
        for a, b in ((half(x), mg.tensor(x)), (mg.tensor(x), half(x)), (mg.tensor(x), mg.tensor(x))):
            assert function(a, b).dtype == "float32"
        assert function(half(x), half(x)).dtype == "float16"


def test_operators_and_methods():
    x = half(random(3, 3))
    with mg.autocast("cpu"):
        assert (x**2).dtype == (2**x).dtype == (1 / x).dtype == x.norm().dtype == x.softmax(0).dtype == "float32"
        assert (x / 2).dtype == x.mean().dtype == x.sum(dtype="float16").dtype == x.relu().dtype == "float16"
        assert (mg.tensor(random(3, 3)) @ x).dtype == "float16"
        assert x.clone().exp_().dtype == "float16"  # in place
        assert mg.einsum("ij,jk->", x, x.float()).dtype == "float16"
        with pytest.raises(TypeError, match="one dtype"):
            x.double() @ x


# Operations that PyTorch's list for the CPU treats as its list for CUDA.
LIKE_CPU = {
    "conv1d": (random(2, 3, 9), random(4, 3, 3), random(4)),
    "conv2d": (random(2, 3, 5, 5), random(4, 3, 3, 3), random(4)),
    "conv_transpose2d": (random(2, 3, 5, 5), random(3, 4, 3, 3), random(4)),
    "linear": (random(2, 3), random(4, 3), random(4)),
    "l1_loss": (random(3, 3), random(3, 3)),
    "mse_loss": (random(3, 3), random(3, 3)),
    "smooth_l1_loss": (random(3, 3), random(3, 3)),
    "kl_div": (random(3, 3), random(3, 3)),
    "soft_margin_loss": (random(3, 3), random(3, 3)),
    "cross_entropy": (random(3, 4), np.array([0, 3, 1])),
    "nll_loss": (random(3, 4), np.array([0, 3, 1])),
    "multi_margin_loss": (random(3, 4), np.array([0, 3, 1])),
    "relu": (random(3, 4),),
    "gelu": (random(3, 4),),
    "sigmoid": (random(3, 4),),
    "max_pool2d": (random(2, 3, 4, 4), 2),
    "avg_pool2d": (random(2, 3, 4, 4), 2),
}


@pytest.mark.parametrize("name", LIKE_CPU)
def test_as_torch(name, torch):
    """The dtypes of the results and of the gradients, and the values."""
    results = []
    for module, functional, make in ((mg, F, mg.tensor), (torch, torch.nn.functional, torch.tensor)):
        given = [make(a) if isinstance(a, np.ndarray) else a for a in LIKE_CPU[name]]
        learned = given[:1] if "loss" in name or name in ("kl_div", "cross_entropy") else given
        leaves = [t.requires_grad_() for t in learned if not isinstance(t, int)]
        with module.autocast("cpu", dtype=module.float16):
            result = getattr(functional, name)(*given, **{"reduction": "sum"} if name == "kl_div" else {})
        result.float().sum().backward()
        results.append([result.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)])
    for ours, theirs in zip(*results, strict=True):
        assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=4e-3, atol=2e-3)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layout", ["rows", "channels last"])
def test_batch_norm_of_halves_with_wide_parameters(training, layout):
    x = random(6, 5, 4, 3, dtype="float16")
    results = []
    for dtype in ("float16", "float64"):
        layer = nn.BatchNorm2d(5).train(training)
        layer = layer.double() if dtype == "float64" else layer
        given = mg.tensor(x.astype(dtype), requires_grad=True)
        memory = given if layout == "rows" else given.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        with mg.autocast("cpu"):
            y = layer(memory)
        assert y.dtype == dtype
        (y * y * y).float().mean().backward()
        assert given.grad.dtype == dtype and layer.weight.grad.dtype == layer.running_mean.dtype == layer.weight.dtype
        results.append([t.detach() for t in (y, given.grad, layer.weight.grad, layer.bias.grad, layer.running_var)])
    for ours, exact in zip(*results, strict=True):
        np.testing.assert_allclose(ours.numpy(), exact.numpy(), rtol=1e-2, atol=5e-3)


# --- kept casts ----------------------------------------------------------------------------------------------------------


def weight_of(output):
    """The cast weight that a linear layer's node saved."""
    return output.grad_fn.input(1).array


def test_a_parameter_is_cast_once():
    layer, x = nn.Linear(3, 3), mg.ones(2, 3, requires_grad=True)
    with mg.autocast("cpu"):
        first, second = layer(x), layer(x)
        assert weight_of(first) is weight_of(second)
        with mg.autocast("cpu", enabled=False), mg.autocast("cpu"):
            assert weight_of(layer(x)) is weight_of(first)
        with mg.autocast("cpu", cache_enabled=False):
            assert weight_of(layer(x)) is not weight_of(layer(x))
        assert weight_of(layer(x)) is weight_of(first)
    assert modes.casts is None
    with mg.autocast("cpu"):
        assert weight_of(layer(x)) is not weight_of(first)
    (first.float().sum() + second.float().sum()).backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy(), np.full((3, 3), 4.0))


def test_activations_are_not_kept():
    with mg.autocast("cpu"):
        mg.ones(2, 2) @ mg.ones(2, 2)
        mg.ones(2, 2, requires_grad=True).t() @ mg.ones(2, 2)
        assert modes.casts == {}


@pytest.mark.parametrize("how", ["step", "in place", "data", "load"])
def test_a_changed_parameter_is_cast_again(how):
    layer, x = nn.Linear(2, 2, bias=False), mg.ones(1, 2, requires_grad=True)
    with mg.autocast("cpu"):
        layer(x).sum().backward()
        if how == "step":
            optim.SGD(layer.parameters(), lr=1.0).step()
        elif how == "in place":
            with mg.no_grad():
                layer.weight.mul_(2)
        elif how == "data":
            layer.weight.data = mg.ones(2, 2)
        else:
            layer.load_state_dict({"weight": mg.ones(2, 2)})
        np.testing.assert_array_equal(weight_of(layer(x)), layer.weight.detach().numpy().astype("float16"))


def test_casts_without_grad_are_kept_apart():
    layer, x = nn.Linear(2, 2), mg.ones(1, 2)
    with mg.autocast("cpu"):
        for context in (mg.no_grad(), mg.inference_mode()):
            with context:
                layer(x)
        layer(x).sum().backward()
    assert layer.weight.grad is not None


# --- the context ---------------------------------------------------------------------------------------------------------


def test_nesting():
    assert not mg.is_autocast_enabled("cpu")
    with mg.autocast("cpu"):
        with mg.autocast("cuda"):
            assert mg.is_autocast_enabled("cpu") and mg.is_autocast_enabled()
            with mg.autocast("cpu", enabled=False):
                assert not mg.is_autocast_enabled("cpu") and mg.is_autocast_enabled("cuda")
                assert (mg.ones(2, 2) @ mg.ones(2, 2)).dtype == "float32"
        assert mg.is_autocast_enabled("cpu") and not mg.is_autocast_enabled("cuda")
        with pytest.raises(KeyError), mg.autocast("cpu", enabled=False):
            raise KeyError
        assert mg.is_autocast_enabled("cpu")
    assert not mg.is_autocast_enabled("cpu")


def test_only_that_kind_of_device():
    with fake_cupy():
        here, there = mg.ones(2, 2), mg.ones(2, 2, device="cuda")
        with mg.autocast("cuda"):
            assert (here @ here).dtype == "float32" and (there @ there).dtype == "float16"
            assert F.binary_cross_entropy(here, here) == 0
        with mg.autocast("cpu"):
            assert (here @ here).dtype == "float16" and (there @ there).dtype == "float32"


def test_decorators():
    @mg.autocast("cpu")
    def product(depth=1):
        return product(depth - 1) if depth else mg.ones(2, 2) @ mg.ones(2, 2)

    @mg.amp.autocast("cpu", enabled=False)
    def exact():
        return mg.ones(2, 2) @ mg.ones(2, 2)

    @mg.autocast("cpu")
    def products():
        for _ in range(2):
            yield mg.ones(2, 2) @ mg.ones(2, 2)

    assert product().dtype == "float16"
    with mg.autocast("cpu"):
        assert exact().dtype == "float32"
    for found in products():
        assert found.dtype == "float16" and not mg.is_autocast_enabled("cpu")


def test_another_thread_is_outside():
    found = []
    with mg.autocast("cpu"):
        thread = threading.Thread(target=lambda: found.append(mg.is_autocast_enabled("cpu")))
        thread.start()
        thread.join()
    assert found == [False]


def test_arguments():
    assert mg.get_autocast_dtype("cuda") == mg.get_autocast_dtype("cpu") == "float16"
    for dtype in (None, mg.float16, "float16", np.float16):
        with mg.autocast("cuda", dtype):
            assert mg.get_autocast_dtype("cuda") == "float16"
    for dtype in (mg.float32, "float64", "int8"):
        with pytest.raises(ValueError, match=f"expected dtype float16 or bfloat16, got {dtype}"):
            mg.autocast("cuda", dtype=dtype)
        mg.autocast("cuda", dtype=dtype, enabled=False)
    for call in (mg.autocast, mg.is_autocast_enabled, mg.get_autocast_dtype):
        for device_type in ("gpu", "cuda:0", None):
            with pytest.raises(ValueError, match="expected a device_type such as"):
                call(device_type)


@pytest.mark.skipif("bfloat16" not in REDUCED, reason="ml_dtypes is not installed")
def test_contexts_of_both_dtypes():
    w, x = mg.tensor(random(3, 3), requires_grad=True), mg.tensor(random(3, 3))
    with mg.autocast("cpu", "bfloat16"):
        assert mg.get_autocast_dtype("cpu") == "bfloat16" and mg.get_autocast_dtype("cuda") == "float16"
        first = x @ w
        assert first.dtype == "bfloat16" and (first @ w).dtype == "bfloat16" and first.exp().dtype == "float32"
        with mg.autocast("cpu", "float16"):
            second = x @ w
            assert second.dtype == (first @ w).dtype == "float16"  # a short float becomes the other one
        assert (x @ w).dtype == mg.get_autocast_dtype("cpu") == "bfloat16"
        with mg.autocast("cuda"), mg.autocast("cpu", enabled=False):
            assert (x @ w).dtype == "float32" and mg.is_autocast_enabled("cuda")
    (first.sum() + second.sum()).backward()
    assert w.grad.dtype == "float32"
    np.testing.assert_allclose(w.grad.numpy(), 2 * np.ones((3, 3)) * x.numpy().sum(axis=0)[:, None], rtol=1e-2)


@pytest.mark.skipif("bfloat16" not in REDUCED, reason="ml_dtypes is not installed")
def test_bfloat16_has_the_range_that_float16_lacks():
    x = mg.full((2, 2), 1e3)
    for dtype, finite in (("float16", False), ("bfloat16", True)):
        with mg.autocast("cpu", dtype):
            assert (x @ x).isfinite().all().item() is finite


# --- gradients -----------------------------------------------------------------------------------------------------------


def test_backward_goes_by_the_dtypes_of_forward():
    seen = []
    w = mg.tensor(random(3, 3), requires_grad=True)
    with mg.autocast("cpu"):
        y = w @ w
        y.register_hook(lambda grad: seen.append((str(grad.dtype), mg.is_autocast_enabled("cpu"))))
        loss = y.exp().sum()
        loss.backward()
        assert mg.is_autocast_enabled("cpu")
    assert seen == [("float16", False)] and w.grad.dtype == "float32"


def test_second_derivatives():
    x = mg.tensor(random(4, 3), requires_grad=True)
    exact = x.detach().double().requires_grad_()
    w = mg.tensor(random(2, 3))
    results = []
    for given, weight in ((x, w), (exact, w.double())):
        with mg.autocast("cpu"):
            loss = F.mse_loss(F.linear(given, weight).tanh(), mg.zeros(4, 2, dtype=given.dtype))
        (first,) = mg.autograd.grad(loss, given, create_graph=True)
        results.append(mg.autograd.grad((first * first).sum(), given)[0])
    assert results[0].dtype == "float32"
    np.testing.assert_allclose(results[0].numpy(), results[1].numpy(), rtol=2e-2, atol=1e-3)


def test_too_large_numbers_are_inf_without_a_warning():
    with mg.autocast("cpu"), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mg.isinf(mg.full((1, 1), 1e6) @ mg.ones(1, 1)).item()


# --- training ------------------------------------------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)) + x)
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_training(device):
    with fake_cupy():
        mg.manual_seed(0)
        net = Net().to(device)
        target = mg.arange(12) % 3
        x = (mg.randn(12, 1, 6, 6) * 0.3 + target.reshape(-1, 1, 1, 1)).to(device)
        target = target.to(device)
        activations = []
        for layer in (net.conv1, net.bn1, net.conv2, net.bn2, net.head):
            layer.register_forward_hook(lambda module, args, output: activations.append(str(output.dtype)))
        optimizer = optim.Adam(net.parameters(), lr=0.02)
        scaler = mg.amp.GradScaler(device)
        losses = []
        for _ in range(12):
            optimizer.zero_grad()
            with mg.autocast(device):
                loss = F.cross_entropy(net(x), target)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            scaler.step(optimizer)
            scaler.update()
            losses.append(loss.item())
        assert losses[-1] < 0.5 * losses[0]
        assert set(activations) == {"float16"} and loss.dtype == "float32"
        assert all(t.dtype == "float32" for t in (*net.parameters(), net.bn1.running_var))
        assert all(p.grad.dtype == "float32" for p in net.parameters())
        with mg.autocast(device), mg.no_grad():
            scores = net.eval()(x)
            assert scores.dtype == "float16" and mg.isfinite(scores).all().item()


def test_one_object_entered_twice():
    context = mg.autocast("cpu")
    with context, context:
        assert mg.is_autocast_enabled("cpu")
    assert not mg.is_autocast_enabled("cpu")
