"""The registry of networks: names, hints, and what a builder makes of weights that it is asked for."""

import inspect
import re

import pytest

import minigrad
from minigrad import nn
from minigrad.vision import models
from minigrad.vision.models import Published, get_model, get_model_weights, list_models, register_model, registry

FILE = "linear-0123abcd.pth"


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))


def register_linear(**published):
    @register_model(**published)
    def linear(num_classes: int = 1000, in_channels: int = 3) -> nn.Linear:
        """A layer."""
        return nn.Linear(in_channels, num_classes)

    return linear


def test_every_builder_is_registered_and_exported():
    functions = {name for name in models.__all__ if inspect.isfunction(getattr(models, name))}
    functions -= {"find_weights", "get_model", "get_model_weights", "list_models", "register_model"}
    assert set(list_models()) == functions
    assert len(functions) > 40
    for name in functions:
        assert registry._entries[name].build is getattr(models, name)
        assert getattr(models, name).__doc__


def test_list_models():
    names = list_models()
    assert names == sorted(set(names))
    assert list_models("vgg*_bn") == ["vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"]
    assert list_models("resnet[15]0*") == ["resnet101", "resnet50"]
    assert list_models("resnet?0") == ["resnet20", "resnet50"]
    assert list_models("VGG*") == []
    assert list_models("nothing") == []


def test_every_builder_takes_classes_and_channels():
    for name in list_models():
        parameters = inspect.signature(getattr(models, name)).parameters
        assert list(parameters)[:2] == ["num_classes", "in_channels"], name
        for added in ("weights", "pretrained"):
            assert parameters[added].kind is inspect.Parameter.KEYWORD_ONLY, name


def test_get_model_passes_options_on():
    model = get_model("plain20", num_classes=3, in_channels=1)
    assert model.conv1.in_channels == 1
    assert model.fc.out_features == 3
    with pytest.raises(TypeError, match="unexpected keyword argument 'classes'"):
        get_model("plain20", classes=3)


@pytest.mark.parametrize("function", [get_model, get_model_weights])
def test_unknown_names(function):
    hint = r"expected the name of a network, got 'resnet51'; did you mean resnet5\d or resnet\d+ or resnet\d+\?"
    with pytest.raises(ValueError, match=f"{function.__name__}: {hint}"):
        function("resnet51")
    with pytest.raises(ValueError, match=r"got 'xyz'; see list_models\(\)"):
        function("xyz")


def test_get_model_weights():
    weights = get_model_weights("resnet50")
    assert list(weights) == ["IMAGENET1K_V1", "IMAGENET1K_V2", "DEFAULT"]
    assert weights["DEFAULT"] is weights["IMAGENET1K_V2"]
    weights.clear()
    assert get_model_weights("resnet50")
    assert get_model_weights("vgg11")["DEFAULT"] is get_model_weights("vgg11")["IMAGENET1K_V1"]
    assert get_model_weights("resnet20") == {}


def test_register_model():
    linear = register_linear(V1=Published(FILE))
    assert get_model("linear").weight.shape == (1000, 3)
    assert linear(5, 2).weight.shape == (5, 2)
    assert linear.__name__ == "linear"
    assert linear.__doc__ == "A layer."
    assert list(inspect.signature(linear).parameters) == ["num_classes", "in_channels", "weights", "pretrained"]


def test_signature_with_options_at_its_end():
    @register_model()
    def linear(num_classes: int = 10, **options: int) -> nn.Linear:
        return nn.Linear(options["features"], num_classes)

    assert list(inspect.signature(linear).parameters) == ["num_classes", "weights", "pretrained", "options"]
    assert linear(features=4).weight.shape == (10, 4)


def test_a_name_is_given_once_but_a_module_may_be_loaded_anew():
    register_linear()
    register_linear()

    def resnet18() -> nn.Module:
        raise AssertionError

    expected = "expected a new name, got 'resnet18' of .*, which is that of minigrad.vision.models.resnet.resnet18"
    with pytest.raises(ValueError, match=f"register_model: {expected}"):
        register_model()(resnet18)
    assert registry._entries["resnet18"].build is models.resnet18


def test_bad_defaults():
    with pytest.raises(ValueError, match="register_model: expected default to be one of V1, got 'V2'"):
        register_model(default="V2", V1=Published(FILE))
    with pytest.raises(ValueError, match="register_model: expected published weights for default='V1', got none"):
        register_model(default="V1")


def test_weights_and_pretrained_exclude_each_other():
    with pytest.raises(ValueError, match="linear: expected weights or pretrained=True, got both"):
        register_linear(V1=Published(FILE))(weights="V1", pretrained=True)


def test_nothing_published():
    with pytest.raises(ValueError, match="linear: expected a network with published weights for pretrained=True"):
        register_linear()(pretrained=True)
    with pytest.raises(
        ValueError, match="linear: expected weights to be the path of a checkpoint file, got 'DEFAULT', which is"
    ):
        register_linear()(weights="DEFAULT")


def test_unknown_weights(tmp_path):
    linear = register_linear(V1=Published(FILE), V2=Published("linear-89abcdef.pth"))
    expected = "one of V1, V2, DEFAULT, the path of a checkpoint file, got"
    for weights in ("V3", str(tmp_path / "missing.pth"), tmp_path / "missing.pth"):
        with pytest.raises(ValueError, match=f"linear: expected weights to be {expected} {str(weights)!r}"):
            linear(weights=weights)
    with pytest.raises(ValueError, match="linear: expected weights to be a name or a path, got ''"):
        linear(weights="")
    with pytest.raises(TypeError, match="linear: expected weights to be a name or a path, got a bool"):
        linear(weights=True)
    with pytest.raises(ValueError, match=re.escape(f"folder {tmp_path} to have a file of published weights ({FILE} or ")):
        linear(weights=tmp_path)


@pytest.mark.parametrize("options", [{"num_classes": 10}, {"in_channels": 1}])
def test_weights_for_another_size(options):
    [(name, value)] = options.items()
    (required,) = ({"num_classes": 1000, "in_channels": 3}[name],)
    with pytest.raises(ValueError) as raised:
        models.resnet18(pretrained=True, **options)
    assert f"resnet18: expected {name}={required} with the weights of resnet18-f37072fd.pth, got {value}" in str(raised.value)
    with pytest.raises(ValueError, match="expected num_classes=1000 with the weights of"):
        models.resnet18(10, weights="DEFAULT")


def test_advice_where_weights_are_for_another_size():
    with pytest.raises(ValueError, match="got 10; build the network with these weights, then replace the last layer"):
        models.resnet18(10, weights="DEFAULT")
    with pytest.raises(ValueError, match=r"expected image_size=224 .*, got 384; resize the images to the size of these"):
        models.vit_b_16(weights="DEFAULT", image_size=384)


def test_too_many_arguments():
    with pytest.raises(TypeError, match="linear: expected at most 2 positional arguments, got 3"):
        register_linear(V1=Published(FILE))(1000, 3, 5, weights="V1")


def test_no_weights_is_no_search(monkeypatch):
    def find(published):
        raise AssertionError("nobody asked for weights")

    monkeypatch.setattr(registry, "find", find)
    minigrad.manual_seed(0)
    first = register_linear(V1=Published(FILE))()
    minigrad.manual_seed(0)
    assert first.weight.equal(nn.Linear(3, 1000).weight)
