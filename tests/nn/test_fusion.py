"""Fused models compute what the models they are copies of do."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.nn.utils import fuse_conv_bn, fuse_conv_bn_eval
from minigrad.vision.models import resnet20
from tests.floats import FLOATS, REDUCED
from tests.strict_backend import strict_backend

TOLERANCES = {"float64": 1e-12, "float32": 1e-5, "float16": 2e-2, "bfloat16": 1e-1}
NORMS = {"Conv1d": nn.BatchNorm1d, "Conv2d": nn.BatchNorm2d, "ConvTranspose2d": nn.BatchNorm2d}
# The name of a convolution, its arguments after in_channels=4, and the shape of an input.
CONVOLUTIONS = [
    ("Conv1d", {"out_channels": 6, "kernel_size": 3}, (2, 4, 9)),
    ("Conv1d", {"out_channels": 6, "kernel_size": 3, "groups": 2, "bias": False, "stride": 2}, (2, 4, 9)),
    ("Conv2d", {"out_channels": 6, "kernel_size": 3, "padding": 1}, (2, 4, 7, 6)),
    ("Conv2d", {"out_channels": 6, "kernel_size": 1, "bias": False}, (2, 4, 7, 6)),
    ("Conv2d", {"out_channels": 6, "kernel_size": 3, "groups": 2, "stride": 2}, (2, 4, 7, 6)),
    ("Conv2d", {"out_channels": 8, "kernel_size": 3, "groups": 4, "bias": False, "padding": 1}, (2, 4, 7, 6)),
    ("Conv2d", {"out_channels": 6, "kernel_size": 3, "padding": 1, "padding_mode": "reflect"}, (2, 4, 7, 6)),
    ("ConvTranspose2d", {"out_channels": 6, "kernel_size": (3, 2), "stride": 2}, (2, 4, 5, 4)),
    ("ConvTranspose2d", {"out_channels": 6, "kernel_size": 3, "groups": 2, "bias": False}, (2, 4, 5, 4)),
]


def filled(module, seed=0):
    """The module in evaluation mode, with parameters and statistics unlike those that layers start with."""
    rng = np.random.default_rng(seed)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            drawn = rng.standard_normal(tensor.shape)
            tensor.copy_(mg.tensor(np.abs(drawn) + 0.5 if "var" in name else drawn))
    return module.eval()


def pair(name="Conv2d", affine=True, eps=1e-3, **kwargs):
    conv = getattr(nn, name)(4, **({"out_channels": 6, "kernel_size": 3} | kwargs))
    return filled(conv, 1), filled(NORMS[name](conv.out_channels, eps=eps, affine=affine), 2)


def random_input(*shape, dtype="float32"):
    return mg.tensor(np.random.default_rng(3).standard_normal(shape).astype(dtype))


def assert_equal_outputs(fused, model, x):
    out, expected = fused(x), model(x)
    assert out.dtype == expected.dtype and out.shape == expected.shape
    tolerance = TOLERANCES[str(expected.dtype)]
    scale = expected.abs().max().item()
    np.testing.assert_allclose(out.numpy(force=True), expected.numpy(force=True), rtol=tolerance, atol=tolerance * scale)


def values(module):
    return {name: tensor.tolist() for name, tensor in module.state_dict().items()}


def kinds(module):
    return {path: type(m).__name__ for path, m in module.named_modules() if not m._modules}


class Net(nn.Module):
    """Convolutions and batch normalisations that forward calls by name."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.body = nn.Sequential(nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5), nn.ReLU())
        self.linear = nn.Linear(5, 2)
        self.untracked = nn.BatchNorm2d(4, track_running_stats=False)
        self.wide = nn.BatchNorm2d(7)

    def forward(self, x):
        return self.linear(self.body(self.bn1(self.conv1(x)).relu()).mean((2, 3)))


class TestOnePair:
    @pytest.mark.parametrize("dtype", FLOATS)
    @pytest.mark.parametrize("affine", [True, False])
    @pytest.mark.parametrize(("name", "kwargs", "shape"), CONVOLUTIONS)
    def test_one_layer_computes_what_two_did(self, name, kwargs, shape, affine, dtype):
        conv, bn = (m.to(dtype=dtype) for m in pair(name, affine, **kwargs))
        before = values(conv), values(bn)
        fused = fuse_conv_bn_eval(conv, bn, transpose=name == "ConvTranspose2d")
        assert type(fused) is type(conv) and fused is not conv and not fused.training
        assert list(fused.state_dict()) == ["weight", "bias"]
        assert {str(p.dtype) for p in fused.parameters()} == {dtype}
        assert_equal_outputs(fused, nn.Sequential(conv, bn).eval(), random_input(*shape, dtype=dtype))
        assert (values(conv), values(bn)) == before

    # PyTorch cannot fuse the last one, a transposed convolution with groups.
    @pytest.mark.parametrize("affine", [True, False])
    @pytest.mark.parametrize(("name", "kwargs", "shape"), CONVOLUTIONS[:-1])
    def test_parameters_are_pytorchs(self, torch, name, kwargs, shape, affine):
        transpose = name == "ConvTranspose2d"
        conv, bn = (m.double() for m in pair(name, affine, **kwargs))
        theirs = (
            getattr(torch.nn, name)(4, **kwargs),
            getattr(torch.nn, type(bn).__name__)(bn.num_features, bn.eps, affine=affine),
        )
        for module, mine in zip(theirs, (conv, bn)):
            module.double().eval().load_state_dict({k: torch.from_numpy(t.numpy()) for k, t in mine.state_dict().items()})
        expected = torch.nn.utils.fusion.fuse_conv_bn_eval(*theirs, transpose=transpose)
        fused = fuse_conv_bn_eval(conv, bn, transpose=transpose)
        for (path, a), (_, b) in zip(fused.named_parameters(), expected.named_parameters(), strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-14, err_msg=path)
            assert a.requires_grad == b.requires_grad, path

    @pytest.mark.parametrize("dtype", REDUCED)
    def test_short_floats_are_rounded_once(self, dtype):
        conv, bn = (m.to(dtype=dtype) for m in pair())
        fused = fuse_conv_bn_eval(conv, bn)
        weight, bias = (p.detach().numpy().astype("float64") for p in conv.parameters())
        gamma, beta, mean, var = (t.numpy().astype("float64") for t in list(bn.state_dict().values())[:4])
        scale = gamma / np.sqrt(var + bn.eps)
        np.testing.assert_array_equal(fused.weight.detach().numpy(), (weight * scale[:, None, None, None]).astype(dtype))
        np.testing.assert_array_equal(fused.bias.detach().numpy(), ((bias - mean) * scale + beta).astype(dtype))

    def test_a_batch_norm_of_another_dtype(self):
        conv, bn = pair()
        fused = fuse_conv_bn_eval(conv.half(), bn)
        assert fused.weight.dtype == fused.bias.dtype == mg.float16
        assert_equal_outputs(fused, nn.Sequential(conv, bn).eval(), random_input(2, 4, 7, 6, dtype="float16"))

    def test_new_parameters_can_be_trained_where_the_old_ones_could(self):
        conv, bn = pair()
        conv.weight.requires_grad_(False)
        fused = fuse_conv_bn_eval(conv, bn)
        assert not fused.weight.requires_grad and fused.bias.requires_grad
        fused(random_input(1, 4, 5, 5)).sum().backward()
        assert fused.bias.grad is not None and conv.bias.grad is None

    def test_bad_layers(self):
        conv, bn = pair()
        cases = [
            ((nn.Linear(4, 6).eval(), bn), TypeError, "expected conv to be a Conv1d, Conv2d or ConvTranspose2d, got a Linear"),
            (
                (conv, filled(nn.BatchNorm1d(6))),
                TypeError,
                "expected bn to be a BatchNorm2d, behind a Conv2d, got a BatchNorm1d",
            ),
            ((conv, None), TypeError, "expected bn to be a BatchNorm2d, behind a Conv2d, got a NoneType"),
            ((nn.Conv2d(4, 6, 3), bn), RuntimeError, "expected conv to be in evaluation mode, got a Conv2d in training mode"),
            (
                (conv, nn.BatchNorm2d(6)),
                RuntimeError,
                "expected bn to be in evaluation mode, got a BatchNorm2d in training mode",
            ),
            ((conv, filled(nn.BatchNorm2d(5))), ValueError, "expected bn to have the 6 channels that come from conv, got 5"),
            (
                (conv, filled(nn.BatchNorm2d(6, track_running_stats=False))),
                ValueError,
                "expected bn to have running statistics, got a BatchNorm2d without",
            ),
            ((conv, bn, True), ValueError, "expected transpose=False for a Conv2d, got True"),
            (pair("ConvTranspose2d"), ValueError, "expected transpose=True for a ConvTranspose2d, got False"),
        ]
        for args, error, message in cases:
            with pytest.raises(error, match=f"^fuse_conv_bn_eval: {message}$"):
                fuse_conv_bn_eval(*args)


class TestSequentials:
    @pytest.mark.parametrize("dtype", FLOATS)
    def test_nested(self, dtype):
        block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4, affine=False), nn.ReLU())
        stem = nn.Sequential({"conv": nn.Conv2d(3, 4, 3, bias=False), "norm": nn.BatchNorm2d(4)})
        model = filled(nn.Sequential(stem, block, nn.Flatten(), nn.Linear(64, 2)).to(dtype=dtype))
        fused = fuse_conv_bn(model)
        assert kinds(fused) == {
            "0.conv": "Conv2d",
            "0.norm": "Identity",
            "1.0": "Conv2d",
            "1.1": "Identity",
            "1.2": "ReLU",
            "2": "Flatten",
            "3": "Linear",
        }
        assert list(fused.state_dict()) == [
            "0.conv.weight",
            "0.conv.bias",
            "1.0.weight",
            "1.0.bias",
            "3.weight",
            "3.bias",
        ]
        assert not any(module.training for module in fused.modules())
        assert_equal_outputs(fused, model, random_input(2, 3, 6, 6, dtype=dtype))

    def test_sequences_and_transposed_convolutions(self):
        model = filled(nn.Sequential(nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4), nn.Conv1d(4, 2, 1), nn.BatchNorm1d(2)))
        fused = fuse_conv_bn(model)
        assert list(kinds(fused).values()) == ["Conv1d", "Identity"] * 2
        assert_equal_outputs(fused, model, random_input(2, 3, 8))
        model = filled(nn.Sequential(nn.ConvTranspose2d(3, 4, 2), nn.BatchNorm2d(4)))
        fused = fuse_conv_bn(model)
        assert list(kinds(fused).values()) == ["ConvTranspose2d", "Identity"]
        assert_equal_outputs(fused, model, random_input(2, 3, 4, 4))

    def test_the_original_stays_as_it_was(self):
        model = filled(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)))
        before, modules, parameters = values(model), list(model.modules()), list(map(id, model.parameters()))
        fused = fuse_conv_bn(model)
        with mg.no_grad():
            for parameter in fused.parameters():
                parameter.fill_(7)
        assert values(model) == before
        assert list(model.modules()) == modules and list(map(id, model.parameters())) == parameters

    def test_what_is_not_adjacent_stays(self):
        class Doubled(nn.Conv2d):
            def forward(self, input):
                return super().forward(input) ** 2

        class Reversed(nn.Sequential):
            def forward(self, input):
                return self[0](self[1](input))

        def conv():
            return nn.Conv2d(3, 3, 1)

        def norm(**kwargs):
            return nn.BatchNorm2d(3, **kwargs)

        for model in [
            nn.Sequential(conv(), nn.ReLU(), norm()),
            nn.Sequential(norm(), conv()),
            nn.Sequential(nn.Sequential(conv()), norm()),
            nn.Sequential(Doubled(3, 3, 1), norm()),
            nn.Sequential(conv(), norm(track_running_stats=False)),
            Reversed(conv(), norm()),
        ]:
            model = filled(model)
            fused = fuse_conv_bn(model)
            assert kinds(fused) == kinds(model) and values(fused) == values(model)
            assert_equal_outputs(fused, model, random_input(2, 3, 4, 4))

    def test_the_second_of_two_norms_stays(self):
        model = filled(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)))
        fused = fuse_conv_bn(model)
        assert list(kinds(fused).values()) == ["Conv2d", "Identity", "BatchNorm2d"]
        assert_equal_outputs(fused, model, random_input(2, 3, 4, 4))
        further = fuse_conv_bn(model, pairs=[("0", "2")])
        assert list(kinds(further).values()) == ["Conv2d", "Identity", "Identity"]
        assert_equal_outputs(further, model, random_input(2, 3, 4, 4))

    def test_a_subclass_that_keeps_forward(self):
        class ConvNorm(nn.Sequential):
            def __init__(self, channels):
                super().__init__(nn.Conv2d(3, channels, 3), nn.BatchNorm2d(channels))

        model = filled(ConvNorm(4))
        fused = fuse_conv_bn(model)
        assert type(fused) is ConvNorm and type(fused[1]) is nn.Identity
        assert_equal_outputs(fused, model, random_input(2, 3, 4, 4))

    def test_layers_in_several_places(self):
        conv, norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        inner = nn.Sequential(conv, norm)
        model = filled(nn.Sequential(inner, conv, nn.ReLU(), conv, nn.BatchNorm2d(3), inner, nn.Conv2d(3, 3, 1), norm))
        fused = fuse_conv_bn(model)
        assert fused[0] is fused[5] and type(fused[0][1]) is nn.Identity
        assert type(fused[4]) is type(fused[7]) is nn.Identity
        assert fused[1].weight.tolist() == conv.weight.tolist()
        assert_equal_outputs(fused, model, random_input(2, 3, 4, 4))

    @pytest.mark.parametrize(
        "register",
        ["register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook", "register_state_dict_post_hook"],
    )
    @pytest.mark.parametrize("place", [0, 1])
    def test_layers_with_hooks_stay(self, register, place):
        model = filled(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)))
        calls = []
        handle = getattr(model[place], register)(lambda *args: calls.append(args[0]))
        fused = fuse_conv_bn(model)
        assert list(kinds(fused).values()) == ["Conv2d", "BatchNorm2d", "Conv2d", "Identity"]
        x = random_input(2, 3, 5, 5).requires_grad_()
        fused(x).sum().backward()
        fused.state_dict()
        assert calls == [fused[place]]
        handle.remove()
        assert list(kinds(fuse_conv_bn(model)).values()) == ["Conv2d", "Identity"] * 2

    def test_hooks_elsewhere_do_not_matter(self):
        model = filled(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()))
        calls = []
        for module in (model, model[2]):
            module.register_forward_hook(lambda module, args, output: calls.append(module))
        fused = fuse_conv_bn(model)
        fused(random_input(2, 3, 5, 5))
        assert type(fused[1]) is nn.Identity and calls == [fused[2], fused]

    def test_a_model_without_anything_to_fuse(self):
        model = nn.Linear(2, 3).eval()
        fused = fuse_conv_bn(model)
        assert fused is not model and values(fused) == values(model)


class TestPairs:
    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    def test_modules_that_forward_calls_by_name(self, dtype):
        model = filled(Net().to(dtype=dtype))
        x = random_input(2, 3, 6, 6, dtype=dtype)
        assert type(fuse_conv_bn(model).bn1) is nn.BatchNorm2d
        before = values(model)
        fused = fuse_conv_bn(model, pairs=[("conv1", "bn1")])
        assert type(fused.bn1) is type(fused.body[1]) is nn.Identity
        keys = ["conv1.weight", "conv1.bias", "body.0.weight", "body.0.bias", "linear.weight", "linear.bias"]
        assert [key for key in fused.state_dict() if not key.startswith(("untracked", "wide"))] == keys
        assert not any(module.training for module in fused.modules())
        assert_equal_outputs(fused, model, x)
        assert values(model) == before and type(model.bn1) is nn.BatchNorm2d

    def test_a_residual_network(self):
        model = filled(resnet20().double())
        paths = [path for path, module in model.named_modules() if type(module) is nn.BatchNorm2d]
        fused = fuse_conv_bn(model, pairs=[(path.replace("bn", "conv"), path) for path in paths])
        assert len(paths) == 19 and not any(type(module) is nn.BatchNorm2d for module in fused.modules())
        assert_equal_outputs(fused, model, random_input(2, 3, 8, 8, dtype="float64"))

    def test_a_pair_that_a_sequential_has_is_fused_once(self):
        model = filled(Net())
        fused = fuse_conv_bn(model, pairs=(["body.0", "body.1"], ("conv1", "bn1"), ("conv1", "bn1")))
        assert_equal_outputs(fused, model, random_input(2, 3, 6, 6))

    def test_on_another_device(self):
        here = filled(Net())
        x = random_input(2, 3, 6, 6)
        expected = here(x).numpy(force=True)
        with strict_backend():
            fused = fuse_conv_bn(filled(Net()).to("strict"), pairs=[("conv1", "bn1")])
            assert {str(p.device) for p in fused.parameters()} == {"strict"}
            np.testing.assert_allclose(fused(x.to("strict")).numpy(force=True), expected, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize(
        ("pairs", "error", "message"),
        [
            ([("conv9", "bn1")], ValueError, "expected the path of a module, got 'conv9': .*Net has no module 'conv9'"),
            ([("conv1", "body.bn")], ValueError, "expected the path of a module, got 'body.bn': .*no module 'bn'"),
            ([("linear", "bn1")], TypeError, "expected 'linear' to be a Conv1d, Conv2d or ConvTranspose2d, got a Linear"),
            ([("conv1", "linear")], TypeError, "expected 'linear' to be a BatchNorm2d, behind a Conv2d, got a Linear"),
            ([("conv1", "wide")], ValueError, "expected 'wide' to have the 4 channels that come from 'conv1', got 7"),
            (
                [("conv1", "untracked")],
                ValueError,
                "expected 'untracked' to have running statistics, got a BatchNorm2d without",
            ),
            ([("conv1", "bn1"), ("body.0", "bn1")], TypeError, "expected 'bn1' to be a BatchNorm2d, .*got an Identity"),
            (("conv1", "bn1"), TypeError, "expected pairs of two paths of modules, got 'conv1' for a pair"),
            ([("conv1",)], TypeError, r"expected pairs of two paths of modules, got \('conv1',\) for a pair"),
            ([("conv1", 1)], TypeError, r"expected pairs of two paths of modules, got \('conv1', 1\) for a pair"),
        ],
    )
    def test_bad_pairs(self, pairs, error, message):
        model = filled(Net())
        before = values(model)
        with pytest.raises(error, match=f"^fuse_conv_bn: {message}"):
            fuse_conv_bn(model, pairs)
        assert values(model) == before and type(model.body[1]) is nn.BatchNorm2d

    @pytest.mark.parametrize("name", ["conv1", "bn1"])
    def test_a_pair_with_hooks(self, name):
        model = filled(Net())
        getattr(model, name).register_forward_hook(lambda *args: None)
        with pytest.raises(RuntimeError, match=f"^fuse_conv_bn: expected '{name}' to have no hooks, got .* with hooks$"):
            fuse_conv_bn(model, pairs=[("conv1", "bn1")])


class TestBadModels:
    def test_no_module(self):
        with pytest.raises(TypeError, match=r"^fuse_conv_bn: expected a Module, got a list$"):
            fuse_conv_bn([nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)])

    def test_training(self):
        with pytest.raises(
            RuntimeError, match=r"^fuse_conv_bn: expected a model in evaluation mode, got a Net in training mode"
        ):
            fuse_conv_bn(Net())

    @pytest.mark.parametrize("place", [0, 1])
    def test_a_layer_in_training(self, place):
        model = filled(nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))))
        model[0][place].train()
        with pytest.raises(RuntimeError, match=f"^fuse_conv_bn: expected '0.{place}' to be in evaluation mode, got a"):
            fuse_conv_bn(model)

    def test_dropout_may_be_in_training(self):
        model = filled(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)))
        model[2].train()
        assert fuse_conv_bn(model)[2].training

    def test_channels_that_disagree(self):
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(5)).eval()
        with pytest.raises(ValueError, match=r"^fuse_conv_bn: expected '1' to have the 4 channels that come from '0', got 5$"):
            fuse_conv_bn(model)
