"""What networks refuse at once, in words of their own."""

import pytest

import minigrad
from minigrad.vision import models
from minigrad.vision.models import AlexNet, AlexNetOriginal, GoogLeNet, GoogLeNetOriginal, LeNet5, VisionTransformer, vgg

SMALL = {"channels": (2,) * 5, "hidden": 2}
NETWORKS = [
    LeNet5,
    lambda: AlexNet(2, **SMALL),
    lambda: AlexNetOriginal(2, **SMALL),
    lambda: vgg.VGG(((2,),), 2, hidden=2),
    lambda: GoogLeNet(2, aux_logits=False),
    lambda: GoogLeNetOriginal(2, aux_logits=False),
    lambda: VisionTransformer(8, 4, 1, 1, 4, 4),
]


@pytest.mark.parametrize("build", NETWORKS)
def test_no_batch_of_images(build, no_draws):
    model = build()
    name = type(model).__name__
    with pytest.raises(ValueError, match=rf"{name}: expected an input \(N, C, H, W\), got \(3, 32, 32\); x\.unsqueeze\(0\)"):
        model(minigrad.zeros(3, 32, 32))
    with pytest.raises(ValueError, match=rf"{name}: expected an input \(N, C, H, W\), got \(3, 32\)$"):
        model(minigrad.zeros(3, 32))
    with pytest.raises(TypeError, match=rf"{name}: expected a tensor \(N, C, H, W\), got list"):
        model([[[[0.0]]]])


@pytest.mark.parametrize(
    ("build", "arguments"), [(models.resnet18, (True,)), (models.googlenet, (10, True)), (models.vit_tiny_cifar, (True,))]
)
def test_bools_are_no_counts(build, arguments, no_draws):
    """The first argument of torchvision's builders was pretrained once."""
    with pytest.raises(TypeError, match="to be an int, got a bool"):
        build(*arguments)
