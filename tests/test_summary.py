"""``minigrad.summary`` against hand counts, the real tape, perturbed pixels, and published networks."""

import gc
import importlib
import tracemalloc
from collections import deque
from functools import partial
from math import inf
from types import CodeType, FunctionType, ModuleType
from typing import NamedTuple

import numpy as np
import pytest

import minigrad
from minigrad import Tensor, nn
from minigrad.backends.base import Backend
from minigrad.backends.cpu import threads
from minigrad.costs import ReceptiveField
from minigrad.nn import functional as F

# Parameters, and multiply-adds of convolutions and linear layers at 224×224 in evaluation, as torchvision's networks have them.
NETWORKS = {
    "alexnet": (61_100_840, 714_188_480),
    "vgg11": (132_863_336, 7_609_090_048),
    "vgg13": (133_047_848, 11_308_466_176),
    "vgg16": (138_357_544, 15_470_264_320),
    "vgg19": (143_667_240, 19_632_062_464),
    "vgg11_bn": (132_868_840, 7_609_090_048),
    "vgg13_bn": (133_053_736, 11_308_466_176),
    "vgg16_bn": (138_365_992, 15_470_264_320),
    "vgg19_bn": (143_678_248, 19_632_062_464),
    "googlenet": (13_004_888, 1_498_376_192),
    "resnet18": (11_689_512, 1_814_073_344),
    "resnet34": (21_797_672, 3_663_761_408),
    "resnet50": (25_557_032, 4_089_184_256),
    "resnet101": (44_549_160, 7_801_405_440),
    "resnet152": (60_192_808, 11_513_626_624),
    "wide_resnet50_2": (68_883_240, 11_398_021_120),
    "wide_resnet101_2": (126_886_696, 22_753_050_624),
    "resnext50_32x4d": (25_028_904, 4_230_479_872),
    "resnext101_32x8d": (88_791_336, 16_414_015_488),
    "resnext101_64x4d": (83_455_272, 15_460_270_080),
    "densenet121": (7_978_856, 2_834_161_664),
    "densenet161": (28_681_000, 7_727_907_072),
    "densenet169": (14_149_480, 3_359_843_328),
    "densenet201": (20_013_928, 4_291_365_888),
}
FILES = ("alexnet", "vgg", "googlenet", "resnet", "densenet")


def network(name, **options):
    file = next(file for file in FILES if file in name.replace("resnext", "resnet"))
    return getattr(importlib.import_module(f"minigrad.vision.models.{file}"), name)(**options)


@pytest.fixture
def few_draws(monkeypatch):
    """Large networks are made without drawing their parameters: only their shapes matter here."""
    for name in ("normal_", "uniform_"):
        monkeypatch.setattr(Tensor, name, lambda self, *args, **kwargs: self)
    for name in ("trunc_normal_", "kaiming_normal_", "kaiming_uniform_", "normal_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)


@pytest.mark.parametrize("name", NETWORKS)
def test_published_networks(name, few_draws):
    parameters, multiply_adds = NETWORKS[name]
    found = minigrad.summary(network(name), (1, 3, 224, 224), training=False)
    assert found.parameters == found.trainable_parameters == found[""].parameters
    assert found.multiply_adds == found[""].multiply_adds == multiply_adds
    assert found.parameters == parameters
    unused = [row.path for row in found.rows if row.calls == 0]
    assert all(path.startswith("aux") for path in unused)
    assert bool(unused) == (name == "googlenet")  # its auxiliary heads are for training
    assert str(found).count("\n") > len(found.rows)


# --- counted by hand ---------------------------------------------------------------------------------------------------


def chain():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 5)
    )


def test_a_small_network():
    found = minigrad.summary(chain(), (2, 3, 6, 6))
    assert [row.kind for row in found.rows] == [
        *("Sequential", "Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Flatten", "Linear")
    ]
    assert [row.path for row in found.rows] == ["", "0", "1", "2", "3", "4", "5"]
    planes = (2, 8, 6, 6)
    assert [row.output_shape for row in found.rows] == [(2, 5), planes, planes, planes, (2, 8, 3, 3), (2, 72), (2, 5)]
    assert [row.parameters for row in found.rows] == [216 + 16 + 365, 216, 16, 0, 0, 0, 365]
    convolution, linear = 2 * 8 * 36 * 27, 2 * 72 * 5
    assert [row.multiply_adds for row in found.rows] == [convolution + linear, convolution, 0, 0, 0, 0, linear]
    # The input; the convolution's result and batch statistics; ReLU's result; a byte per window; what is multiplied.
    saved = [4 * 2 * 3 * 36, 4 * (2 * 8 * 36 + 2 * 8), 4 * 2 * 8 * 36, 2 * 8 * 9, 0, 4 * 2 * 72]
    assert [row.saved_bytes for row in found.rows] == [sum(saved), *saved]
    assert (found.parameters, found.trainable_parameters, found.parameter_bytes) == (597, 597, 4 * 597)
    assert (found.multiply_adds, found.saved_bytes, found.buffer_bytes) == (convolution + linear, sum(saved), 4 * 16 + 8)
    assert [row.calls for row in found.rows] == [1] * 7
    assert found["1"].depth == 1


def test_frozen_parameters_and_evaluation():
    model = chain()
    model[0].weight.requires_grad_(False)
    found = minigrad.summary(model, (2, 3, 6, 6), training=False)
    assert found.trainable_parameters == 597 - 216
    assert (found["0"].trainable_parameters, found["0"].saved_bytes) == (0, 0)
    assert model.training
    assert "597 (381 trainable)" in str(found)


class Calls(nn.Module):
    """Layers without modules, a module that runs twice, one that never runs, and a list of modules."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(minigrad.zeros(4, 4))
        self.twice = nn.Linear(4, 4, bias=False)
        self.never = nn.Linear(4, 9)
        self.stages = nn.ModuleList([nn.Linear(4, 4), nn.ReLU()])
        self.tied = nn.Linear(4, 4, bias=False)
        self.tied.weight = self.twice.weight

    def forward(self, x):
        x = F.linear(x, self.weight)
        x = self.twice(self.twice(x)) @ self.weight
        x = minigrad.einsum("nk,km->nm", x, self.tied.weight)
        for stage in self.stages:
            x = stage(x)
        return {"scores": x, "pair": [x.sum(), "name", None]}


def test_calls_of_functions_and_shared_modules():
    found = minigrad.summary(Calls(), (3, 4))
    once = 3 * 4 * 4
    assert found.multiply_adds == 6 * once
    assert (found["twice"].calls, found["twice"].multiply_adds, found["twice"].parameters) == (2, 2 * once, 16)
    assert (found["never"].calls, found["never"].multiply_adds, found["never"].parameters) == (0, 0, 45)
    assert (found["stages"].calls, found["stages"].multiply_adds, found["stages"].parameters) == (0, once, 20)
    assert found.parameters == 16 + 16 + 45 + 20
    assert found[""].output_shape == {"scores": (3, 4), "pair": [(), "str", None]}
    lines = str(found).splitlines()
    assert [line.split()[:3] for line in lines if "Linear ×2" in line] == [["twice:", "Linear", "×2"]]
    assert "(not run)" in next(line for line in lines if "never" in line)
    assert "(not run)" not in next(line for line in lines if "stages" in line)
    with pytest.raises(KeyError, match="no module at 'elsewhere'"):
        found["elsewhere"]


class Pair(NamedTuple):
    scores: Tensor
    features: Tensor


class Two(nn.Module):
    def forward(self, words, image):
        return Pair(words + 1, image.mean((2, 3)))


def test_several_inputs_and_outputs():
    found = minigrad.summary(Two(), [(2, 7), minigrad.zeros(2, 3, 4, 4, dtype="float64")], dtype="int64")
    assert found[""].output_shape == Pair((2, 7), (2, 3))
    assert "scores=(2, 7), features=(2, 3)" in str(found)
    mixed = minigrad.summary(nn.Embedding(10, 3), (2, 7), dtype=minigrad.int64)
    assert mixed[""].output_shape == (2, 7, 3)
    minigrad.summary(Two(), ((2, 7), (2, 3, 4, 4)), dtype=["int32", "float16"])
    assert minigrad.summary(nn.Linear(3, 4).half(), (5, 3)).saved_bytes == 2 * 15


def test_an_output_with_many_parts_is_cut():
    model = nn.Module()
    model.forward = lambda x: [x] * 9
    assert max(map(len, str(minigrad.summary(model, (2, 3))).splitlines())) < 100


def test_depth():
    model = nn.Sequential(nn.Sequential(nn.Sequential(nn.Linear(2, 2))))
    lines = [len(str(minigrad.summary(model, (1, 2), depth=depth)).splitlines()) for depth in (0, 1, 2, 3, None)]
    assert lines == [5, 6, 7, 8, 8]


# --- what autograd keeps -----------------------------------------------------------------------------------------------


def bytes_on_the_tape(result, model):
    """The memory that the garbage collector finds below a result's node, without that of parameters and buffers."""
    waiting, seen, arrays = [t.node for t in (result if isinstance(result, tuple) else [result])], set(), {}
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, (type, ModuleType, CodeType, Backend, nn.Module, nn.Parameter)):
            continue
        seen.add(id(found))
        if isinstance(found, np.ndarray):
            while isinstance(found.base, np.ndarray):
                found = found.base
            arrays[id(found)] = found
        elif isinstance(found, FunctionType):
            waiting += [cell.cell_contents for cell in found.__closure__ or ()]
        else:
            waiting += gc.get_referents(found)
    for tensor in (*model.parameters(), *model.buffers()):
        array = tensor.array
        arrays.pop(id(array if array.base is None else array.base), None)
    return sum(array.nbytes for array in arrays.values())


class Residual(nn.Module):
    def __init__(self, inplace):
        super().__init__()
        self.a, self.b = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.c = nn.Conv2d(4, 4, 1, groups=2)
        self.relu = nn.ReLU(inplace)

    def forward(self, x):
        y = self.relu(self.b(self.a(x)))
        y = self.b(self.c(y)) + x
        return minigrad.cat([self.relu(y), F.gelu(y), y.exp()[:, :2], y.permute(0, 2, 3, 1).reshape(y.shape)], 1)


TAPES = {
    "chain": (chain, (2, 3, 6, 6)),
    "residual": (lambda: Residual(False), (2, 4, 5, 5)),
    "residual in place": (lambda: Residual(True), (2, 4, 5, 5)),
    "dropout": (lambda: nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Tanh(), nn.LayerNorm(8), nn.Softmax(1)), (3, 4)),
    "pools": (lambda: nn.Sequential(nn.Conv2d(2, 3, 2, stride=2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(3)), (2, 2, 32, 32)),
    "relu and pools": (
        lambda: nn.Sequential(
            *(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU()),
        ),
        (2, 2, 32, 32),
    ),
    "calls": (Calls, (3, 4)),
    "resnet18": (lambda: network("resnet18"), (2, 3, 32, 32)),
    "resnext": (lambda: network("resnext50_32x4d"), (2, 3, 32, 32)),
    "densenet121": (lambda: network("densenet121", num_classes=3), (2, 3, 32, 32)),
    "googlenet": (lambda: network("googlenet", num_classes=3), (1, 3, 64, 64)),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", TAPES)
def test_saved_bytes_are_those_of_the_real_tape(name, training, few_draws, monkeypatch):
    monkeypatch.setattr(threads, "ALIGNED", 1 << 40)  # no bytes before the start of a cache line
    make, shape = TAPES[name]
    model = make().train(training)
    for parameter in model.parameters():
        parameter.data.zero_()
    expected = minigrad.summary(model, shape).saved_bytes
    result = model(minigrad.zeros(shape))
    result = result["scores"] if isinstance(result, dict) else result
    assert 0 < expected == bytes_on_the_tape(result, model)


# --- receptive fields --------------------------------------------------------------------------------------------------


def positive(model):
    """The model with weights that let nothing cancel."""
    for parameter in model.parameters():
        with minigrad.no_grad():
            parameter.fill_(0.1)
    return model.eval()


def field_by_perturbation(model, shape):
    """How many rows and columns of pixels reach an output in the middle, and how far apart neighbours' first ones are."""
    before = model(minigrad.zeros(shape)).numpy(force=True)
    reached = []
    for axis in (2, 3):
        first = {}
        for place in range(shape[axis]):
            x = np.zeros(shape, np.float32)
            np.moveaxis(x, axis, 0)[place] = 1e4
            changed = model(Tensor(x)).numpy(force=True) != before
            for output in np.flatnonzero(np.moveaxis(changed, axis, 0).any((1, 2, 3))):
                first.setdefault(output, []).append(place)
        middle = before.shape[axis] // 2
        stride = first[middle][0] - first[middle - 1][0]
        reached.append((first[middle][-1] - first[middle][0] + 1, stride))
    return ReceptiveField((reached[0][0], reached[1][0]), (reached[0][1], reached[1][1]))


class Branches(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return sum(branch(x) for branch in self.branches)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2)), (4, 2)),
        (nn.Sequential(nn.Conv2d(1, 2, 5, 2, 2), nn.MaxPool2d(3, 2, 1), nn.Conv2d(2, 2, 3, padding=1)), (17, 4)),
        (nn.Sequential(nn.Conv2d(1, 2, 3, dilation=2, padding=2), nn.AvgPool2d(2), nn.Conv2d(2, 4, 3, groups=2)), (10, 2)),
        (Branches(nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 5, padding=2), nn.Conv2d(1, 2, 3, padding=1)), (5, 1)),
        (Branches(nn.Conv2d(1, 2, (1, 7), padding=(0, 3)), nn.Conv2d(1, 2, (3, 1), padding=(1, 0))), ((3, 7), (1, 1))),
        (nn.Sequential(nn.MaxPool2d(2), nn.MaxPool2d(2), nn.Conv2d(1, 1, 2)), (8, 4)),
    ],
)
def test_receptive_field_is_what_pixels_reach(model, expected):
    shape = (1, 1, 48, 48)
    model = positive(model)
    found = minigrad.summary(model, shape)[""].receptive_field
    assert found == field_by_perturbation(model, shape)
    assert found == ReceptiveField(*(n if isinstance(n, tuple) else (n, n) for n in expected))


def test_receptive_fields_of_known_networks(few_draws):
    """The first two as in Araujo, Norris and Sim, Computing receptive fields of convolutional neural networks, Distill 2019.

    Theirs of ResNet-50 is of a network that strides elsewhere; here 11 pixels after the first pooling grow by twice the stride
    for each 3×3 convolution.
    """
    resnet = 11 + 3 * 8 + 8 + 3 * 16 + 16 + 5 * 32 + 32 + 2 * 64
    for name, size, layer in (("alexnet", 195, "features"), ("vgg16", 212, "features"), ("resnet50", resnet, "layer4")):
        field = minigrad.summary(network(name), (1, 3, 224, 224), training=False)[layer].receptive_field
        assert field == ReceptiveField((size, size), (32, 32))


@pytest.mark.parametrize("kind", [nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d])
def test_windows_of_several_sizes_count_as_the_largest(kind):
    found = minigrad.summary(nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), kind((3, 5))), (1, 1, 8, 8))
    assert found["1"].receptive_field.size == (6, 5)  # windows of up to 4 rows and 3 columns


@pytest.mark.parametrize(
    "last",
    [
        nn.AdaptiveAvgPool2d(1),
        nn.AvgPool2d(8),
        nn.Sequential(nn.Flatten(), nn.Linear(128, 2)),
        nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.ReLU()),
    ],
)
def test_what_sees_the_whole_image(last):
    found = minigrad.summary(nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), last), (1, 1, 8, 8))
    assert found["0"].receptive_field == ReceptiveField((3, 3), (1, 1))
    assert found["1"].receptive_field.is_whole
    assert str(found).splitlines()[1].endswith("whole")


def test_fields_of_other_inputs():
    assert minigrad.summary(nn.Conv1d(2, 3, 5, 2), (1, 2, 20))[""].receptive_field == ReceptiveField((1, 5), (1, 2))
    assert str(ReceptiveField((1, 5), (1, 2))) == "1×5 / 1×2"
    assert str(ReceptiveField((inf, 5), (2, 2))) == "whole×5 / 2"
    assert minigrad.summary(nn.Linear(3, 4), (1, 3))[""].receptive_field is None
    tokens = minigrad.summary(nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)), (1, 6, 3))
    assert tokens[""].receptive_field == ReceptiveField((1, 1), (1, 1))
    up = nn.Sequential(nn.Conv2d(1, 1, 3, stride=2), nn.ConvTranspose2d(1, 1, 4, stride=2))
    assert minigrad.summary(up, (1, 1, 9, 9))[""].receptive_field == ReceptiveField((5, 5), (1, 1))


# --- what it leaves alone ----------------------------------------------------------------------------------------------


class Remembers(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.log, self.table = nn.Linear(2, 2), [], {"scale": minigrad.ones(2)}
        self.norm, self.drop = nn.BatchNorm1d(2), nn.Dropout()
        self.plain, self.method = minigrad.ones(2), self.layer.forward

    def forward(self, x):
        self.last = self.drop(self.norm(self.method(x) * self.plain + self.table["scale"]))
        self.log.append(self.last)
        return self.layer(self.last)


def test_the_model_stays_as_it_is():
    model = Remembers()
    model.layer.register_forward_hook(lambda module, args, output: output.tolist())
    handles = len(model.layer._hooks.forward)
    arrays = {name: tensor.array for name, tensor in model.state_dict(keep_vars=True).items()}
    values = {name: array.copy() for name, array in arrays.items()}
    versions = {name: tensor._version for name, tensor in model.state_dict(keep_vars=True).items()}
    minigrad.manual_seed(1)
    state, attributes = minigrad.get_rng_state(), list(model.__dict__)
    with minigrad.inference_mode():
        assert minigrad.summary(model, (4, 2)).saved_bytes > 0
    assert minigrad.equal(minigrad.get_rng_state(), state)
    assert (list(model.__dict__), model.log, model.training) == (attributes, [], True)
    for name, tensor in model.state_dict(keep_vars=True).items():
        assert tensor.array is arrays[name]
        assert tensor._version is versions[name]
        assert tensor.grad is None
        assert np.array_equal(tensor.array, values[name])
    assert model.norm._hooks is None
    assert len(model.layer._hooks.forward) == handles


def test_a_large_model_is_not_copied():
    model = nn.Sequential(*(nn.Linear(1000, 1000) for _ in range(8)))  # 32 MB
    minigrad.summary(model, (1, 1000))
    tracemalloc.start()
    try:
        minigrad.summary(model, (1000, 1000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5e5


def test_a_model_on_the_meta_device():
    model = nn.Linear(10**4, 10**4, device="meta")
    found = minigrad.summary(model, (10**5, 10**4))
    assert found.multiply_adds == 10**13
    assert found.parameter_bytes == 4 * (10**8 + 10**4)
    assert "multiply-adds: 10.00 T" in str(found)


# --- what goes wrong ---------------------------------------------------------------------------------------------------


def test_an_error_shows_the_modules_up_to_it():
    stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    model = nn.Sequential(stem, nn.Sequential(nn.ReLU(), nn.Conv2d(9, 8, 3)), nn.Flatten())
    with pytest.raises(ValueError, match=r"in 1\.1 \(Conv2d\): conv2d: expected input with 9") as caught:
        minigrad.summary(model, (1, 3, 8, 8))
    (note,) = caught.value.__notes__
    lines = note.splitlines()
    assert lines[0] == "the modules up to here:"
    assert [line.split()[:2] for line in lines[2:]] == [
        ["Sequential"],
        ["0:", "Sequential"],
        ["1:", "Sequential"],
        ["0:", "ReLU"],
        ["1:", "Conv2d"],
    ]
    assert "(1, 8, 6, 6)" in lines[3]
    assert lines[-1].endswith("<- failed here")
    assert model[0]._hooks is None


def test_an_error_in_the_network_itself():
    model = nn.Module()
    model.forward = lambda x: x.reshape(5)
    with pytest.raises(RuntimeError, match="reshape") as caught:
        minigrad.summary(model, (1, 2))
    assert caught.value.__notes__[-1].endswith("<- failed here")


def test_values_are_refused():
    model = nn.Module()
    model.forward = lambda x: x * x.max().item()
    with pytest.raises(RuntimeError, match="no values"):
        minigrad.summary(model, (1, 2))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((abs, (1, 2)), {}, TypeError, "expected a Module, got builtin_function_or_method"),
        ((nn.ReLU(), 3), {}, TypeError, "expected a shape such as"),
        ((nn.ReLU(), "3"), {}, TypeError, "expected a shape such as"),
        ((nn.ReLU(), ()), {}, TypeError, "expected a shape such as"),
        ((nn.ReLU(), (1, -2)), {}, TypeError, "expected shapes, which are whole numbers from 0 up"),
        ((nn.ReLU(), [(1, 2), "x"]), {}, TypeError, "expected shapes"),
        (
            (nn.ReLU(), (1, 2)),
            {"dtype": ["float32", "int64"]},
            ValueError,
            "expected one dtype, or 1 as there are inputs, got 2",
        ),
        ((nn.ReLU(), (1, 2)), {"dtype": "complex64"}, TypeError, "expected a dtype"),
        ((nn.ReLU(), (1, 2)), {"depth": -1}, ValueError, "expected depth to be a whole number"),
        ((nn.ReLU(), (1, 2)), {"training": "no"}, ValueError, "expected training to be True, False or None"),
    ],
)
def test_bad_arguments(arguments, options, error, message):
    with pytest.raises(error, match=message):
        minigrad.summary(*arguments, **options)


# --- what forward makes and keeps --------------------------------------------------------------------------------------


class MakesThings(nn.Module):
    """Makes tensors, draws from a generator of its own, and notes things down."""

    def __init__(self):
        super().__init__()
        self.generator = minigrad.Generator().manual_seed(0)
        self.seen, self.last = set(), deque(maxlen=2)
        self.scaled = partial(self.scale, 2.0)

    def scale(self, factor, x):
        return x * factor

    def forward(self, x):
        self.seen.add(x.shape)
        self.last.append(1)
        noise = minigrad.rand(x.shape[1], generator=self.generator) + minigrad.rand(x.shape[1])
        return self.scaled(x) + minigrad.arange(x.shape[1]) + noise.masked_fill(minigrad.zeros(x.shape[1], dtype="bool"), 1)


def test_what_forward_makes_is_without_values_too():
    model, before = MakesThings(), minigrad.get_rng_state()
    state = model.generator.get_state()
    assert minigrad.summary(model, (2, 3))[""].output_shape == (2, 3)
    assert minigrad.equal(minigrad.get_rng_state(), before)
    assert minigrad.equal(model.generator.get_state(), state)
    assert not model.seen and not model.last


def test_error_below_lists_of_modules():
    class Lists(nn.Module):
        def __init__(self):
            super().__init__()
            self.done = nn.ModuleList([nn.Linear(3, 4), nn.ReLU()])
            self.failing = nn.ModuleList([nn.Linear(4, 5), nn.Linear(6, 7), nn.Linear(7, 8)])

        def forward(self, x):
            for layer in (*self.done, *self.failing):
                x = layer(x)
            return x

    with pytest.raises(ValueError, match=r"failing\.1 \(Linear\)") as caught:
        minigrad.summary(Lists(), (2, 3))
    (note,) = caught.value.__notes__
    lines = [line.split()[:2] for line in note.splitlines()[2:]]
    assert [line[0] for line in lines] == ["Lists", "done:", "0:", "1:", "failing:", "0:", "1:"]
    assert "1: Linear" in note.splitlines()[-1] and note.endswith("<- failed here")


def test_training_is_a_bool():
    with pytest.raises(ValueError, match="summary: expected training to be True, False or None, got 1"):
        minigrad.summary(nn.ReLU(), (2, 3), training=1)


def test_a_function_that_calls_something_waiting():
    class Double(minigrad.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.waiting = ctx.source = 3
            result = x * 2
            ctx.save_for_backward(result)
            return result

        @staticmethod
        def backward(ctx, grad):
            return grad * 2

    class Doubled(nn.Module):
        def forward(self, x):
            return Double.apply(x)

    found = minigrad.summary(nn.Sequential(nn.Conv2d(2, 2, 1), Doubled()), (1, 2, 4, 4))
    assert found.rows[-1].saved_bytes == 2 * 4 * 4 * 4
