"""torchvision's networks: the same names and shapes, the same outputs, and the same gradients from the same weights."""

import json
import math
from itertools import zip_longest

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.vision.models import get_model
from tests.vision import torchvision_reference as reference

MODELS = reference.read_models()
LOGITS = json.loads(reference.LOGITS.read_text())

# One network of each family, small enough to build and run where there is no torch to compare with
GOLDEN = ["alexnet", "vgg11_bn", "googlenet", "resnet18", "resnet50", "resnext50_32x4d", "densenet121", "vit_b_16"]
TOLERANCE = 2e-5  # relative; what is seen is below 3e-6, and a tenth more of any one parameter gives more than 7e-5
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def load_arrays(model, weights):
    model.load_state_dict({key: minigrad.from_numpy(array) for key, array in weights.items()})
    return model


def assert_near(actual, expected, tolerance, what):
    """The largest difference is within the tolerance of the largest number."""
    assert actual.shape == expected.shape, what
    assert np.isfinite(expected).all(), what
    error = np.abs(actual - expected).max() / np.abs(expected).max()
    assert error <= tolerance, f"{what}: relative error {error:.2g}"


def test_the_reference_in_short_form_is_complete():
    assert list(MODELS) == reference.NAMES
    for name, model in MODELS.items():
        shapes = model["state_dict"]
        assert list(reference.unfold(reference.fold(shapes)).items()) == list(shapes.items()), name
        trained = [math.prod(shape) for key, shape in shapes.items() if not key.endswith(BUFFERS)]
        assert sum(trained) == model["parameters"], name


@pytest.mark.parametrize("name", MODELS)
def test_names_shapes_and_order(name, no_draws):
    expected = MODELS[name]["state_dict"]
    model = get_model(name)
    found = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    for place, (ours, theirs) in enumerate(zip_longest(found.items(), expected.items())):
        assert ours == theirs, f"entry {place} of {name}"
    parameters = dict(model.named_parameters())
    assert list(parameters) == [key for key in expected if not key.endswith(BUFFERS)]
    assert sum(parameter.numel() for parameter in parameters.values()) == MODELS[name]["parameters"]


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_logits(name, no_draws):
    """Without torch: what torchvision's network gave for weights and images that a rule makes."""
    model = load_arrays(get_model(name).eval(), reference.make_weights(MODELS[name]["state_dict"]))
    with minigrad.no_grad():
        logits = model(minigrad.from_numpy(reference.make_images(name)))
    assert_near(logits.numpy()[:, :: reference.EVERY], np.array(LOGITS[name]), TOLERANCE, name)


@pytest.mark.parametrize("name", MODELS)
def test_logits_of_torchvision(name, torch, torchvision, no_draws):
    theirs = reference.torchvision_model(name).eval()
    assert reference.shapes_of(theirs) == MODELS[name]["state_dict"]
    assert list(theirs.state_dict()) == list(MODELS[name]["state_dict"])
    reference.give_weights(theirs, reference.make_weights(MODELS[name]["state_dict"]))
    ours = load_arrays(get_model(name).eval(), {key: value.numpy() for key, value in theirs.state_dict().items()})
    images = reference.make_images(name)
    with torch.no_grad(), minigrad.no_grad():
        expected = theirs(torch.from_numpy(images)).numpy()
        logits = ours(minigrad.from_numpy(images)).numpy()
    assert_near(logits, expected, TOLERANCE, name)
    assert_near(np.array(LOGITS[name]), expected[:, :: reference.EVERY], TOLERANCE, "the committed logits")


def test_torchvision_loads_what_minigrad_saves(torch, torchvision, tmp_path):
    minigrad.manual_seed(0)
    ours = get_model("resnet18")
    images = reference.make_images("resnet18")
    with minigrad.no_grad():
        ours(minigrad.from_numpy(images))  # statistics that are not 0 and 1
        expected = ours.eval()(minigrad.from_numpy(images)).numpy()
    minigrad.save(ours.state_dict(), tmp_path / "resnet18.pth")
    theirs = torchvision.resnet18()
    theirs.load_state_dict(torch.load(tmp_path / "resnet18.pth", weights_only=True))
    with torch.no_grad():
        logits = theirs.eval()(torch.from_numpy(images)).numpy()
    assert_near(logits, expected, TOLERANCE, "resnet18")


def loss_of(outputs, labels, cross_entropy):
    """The cross entropy, and with auxiliary heads the paper's sum: 0.3 times theirs more."""
    if not isinstance(outputs, tuple):
        return cross_entropy(outputs, labels)
    logits, *others = outputs
    return cross_entropy(logits, labels) + 0.3 * sum(cross_entropy(other, labels) for other in others)


def without_dropout(model, dropout):
    for module in model.modules():
        if isinstance(module, dropout):
            module.p = 0.0
    return model


# Where millions of parameters are in linear layers, float32 serves: there is no long chain of batch statistics in it.
@pytest.mark.parametrize(
    ("name", "dtype", "size", "tolerance"),
    [
        ("alexnet", "float32", 64, 1e-3),
        ("vgg11_bn", "float32", 32, 1e-3),
        ("googlenet", "float64", 64, 1e-8),
        ("resnet18", "float64", 64, 1e-8),
        ("resnext50_32x4d", "float64", 64, 1e-8),
        ("densenet121", "float64", 64, 1e-8),
        ("vit_b_16", "float32", 32, 1e-3),
    ],
)
def test_training_as_in_torchvision(name, dtype, size, tolerance, torch, torchvision, no_draws):
    """The loss, the gradient of every parameter, and the statistics that batch normalisation has gathered."""
    options = {"image_size": size} if name.startswith("vit") else {}
    theirs = without_dropout(reference.torchvision_model(name, **options), torch.nn.Dropout)
    weights = reference.make_weights(reference.shapes_of(theirs))
    reference.give_weights(theirs, weights)
    theirs.to(getattr(torch, dtype))
    ours = without_dropout(load_arrays(get_model(name, **options), weights), nn.Dropout)
    ours.to(getattr(minigrad, dtype))
    images = np.random.default_rng(0).standard_normal((4, 3, size, size)).astype(dtype)
    labels = np.array([0, 999, 7, 7])

    expected = loss_of(theirs(torch.from_numpy(images)), torch.from_numpy(labels), torch.nn.functional.cross_entropy)
    expected.backward()
    loss = loss_of(ours(minigrad.from_numpy(images)), minigrad.from_numpy(labels), nn.functional.cross_entropy)
    loss.backward()

    assert loss.item() == pytest.approx(expected.item(), rel=tolerance)
    gradients = {key: parameter.grad.numpy() for key, parameter in theirs.named_parameters()}
    largest = max(np.abs(gradient).max() for gradient in gradients.values())
    for key, parameter in ours.named_parameters():
        # A bias before batch normalisation has no gradient but rounding's: compare with no less than what others have.
        scale = max(np.abs(gradients[key]).max(), 1e-3 * largest)
        np.testing.assert_allclose(parameter.grad.numpy(), gradients[key], rtol=0, atol=tolerance * scale, err_msg=key)
    for key, buffer in theirs.named_buffers():
        found = dict(ours.named_buffers())[key].numpy()
        np.testing.assert_allclose(found, buffer.numpy(), rtol=tolerance, atol=tolerance, err_msg=key)
