"""torchvision's networks as numbers in files, weights and images made by a rule, and the script that writes the files.

``torchvision_models.json`` has the networks' parameters and state dicts, ``torchvision_logits.json`` a few outputs with the
weights and images of this file. Both are torch's and torchvision's, and nothing in them is minigrad's:

    python -m tests.vision.torchvision_reference
"""

import json
import math
import re
import zlib
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
MODELS = FOLDER / "torchvision_models.json"
LOGITS = FOLDER / "torchvision_logits.json"

NAMES = [
    "alexnet",
    *("vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
    "googlenet",
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2", "wide_resnet101_2"),
    *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
    *("densenet121", "densenet161", "densenet169", "densenet201"),
    "vit_b_16",
]
NORM = {"weight": 1, "bias": 1, "running_mean": 1, "running_var": 1, "num_batches_tracked": 0}  # and their dimensions
EVERY = 125  # of 1000 logits, those that LOGITS has
LAST_NORM = re.compile(r"(layer\d\.\d+\.bn)[23]\.weight")


def read_models():
    """Per network the numbers of ``torchvision_models.json``, its state dict as {key: shape} in torchvision's order."""
    models = json.loads(MODELS.read_text())
    for model in models.values():
        model["state_dict"] = unfold(model["state_dict"])
    return models


def fold(shapes):
    """A state dict as lines "key size size ..."; the five entries of a batch normalisation are one line "path.* channels"."""
    lines, keys = [], list(shapes)
    while keys:
        path = keys[0].removesuffix("weight")
        norm = [path + name for name in NORM]
        if keys[: len(norm)] == norm:
            lines.append(f"{path}* {shapes[keys[0]][0]}")
            del keys[: len(norm)]
        else:
            lines.append(" ".join([keys[0], *map(str, shapes[keys[0]])]))
            del keys[0]
    return lines


def unfold(lines):
    shapes = {}
    for line in lines:
        key, *sizes = line.split()
        shape = tuple(int(size) for size in sizes)
        if key.endswith("*"):
            shapes.update({key[:-1] + name: shape[:dims] for name, dims in NORM.items()})
        else:
            shapes[key] = shape
    return shapes


def make_weights(shapes):
    """A state dict of NumPy arrays in which every entry counts: activations neither explode nor die."""
    return {key: make_array(key, shape, shapes) for key, shape in shapes.items()}


def make_array(key, shape, shapes):
    """Numbers that follow from the key alone, uniformly distributed within limits that suit what the key names."""
    if key.endswith("num_batches_tracked"):
        return np.array(3)
    random = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    array = random.random(shape, dtype=np.float32)
    low, high = limits(key, shape)
    if (norm := LAST_NORM.fullmatch(key)) and (key[-8] == "3" or norm[1] + "3.weight" not in shapes):
        low, high = 0.2 * low, 0.2 * high  # the end of a residual branch: a deep sum would explode
    array *= high - low
    array += low
    return array


def limits(key, shape):
    kind = key.rpartition(".")[2]
    if kind == "running_var":
        return 0.5, 1.5
    if kind == "weight" and len(shape) == 1:
        return 0.8, 1.2
    if kind in ("bias", "running_mean", "in_proj_bias"):
        return -0.2, 0.2
    if kind in ("weight", "in_proj_weight"):
        bound = math.sqrt(6 / math.prod(shape[1:]))  # He et al.'s variance, 2 / fan_in
        return -bound, bound
    return -1.0, 1.0


def image_size(name):
    return 224 if name.startswith("vit") else 64


def make_images(name):
    """Two images, or one where they are large: (N, 3, H, W)."""
    size = image_size(name)
    shape = (2 if size < 100 else 1, 3, size, size)
    return np.random.Generator(np.random.PCG64(size)).random(shape, dtype=np.float32) * 4 - 2


def torchvision_model(name, **options):
    """A network of torchvision's whose parameters have no numbers yet."""
    import torch

    from tests.vision.torchvision_cpu import models

    if name == "googlenet":
        options["init_weights"] = False
    with torch.device("meta"):
        return getattr(models, name)(**options)


def give_weights(model, weights):
    import torch

    model.load_state_dict({key: torch.from_numpy(array) for key, array in weights.items()}, assign=True)
    return model


def shapes_of(model):
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


def torchvision_logits(name):
    """(N, 1000), of evaluation mode, with the weights and images of this file."""
    import torch

    model = torchvision_model(name).eval()
    give_weights(model, make_weights(shapes_of(model)))
    with torch.no_grad():
        return model(torch.from_numpy(make_images(name))).numpy()


def multiply_adds(name):
    """Of convolutions and linear layers, in evaluation mode, for one image of 224×224."""
    import torch

    total = 0

    def count(module, inputs, output):
        nonlocal total
        total += output.numel() * module.weight[0].numel()

    model = torchvision_model(name).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(count)
    model(torch.empty(1, 3, 224, 224, device="meta"))
    return total


def write():
    models, logits = {}, {}
    for name in NAMES:
        model = torchvision_model(name)
        models[name] = {"parameters": sum(parameter.numel() for parameter in model.parameters())}
        if not name.startswith("vit"):  # attention multiplies without modules that a hook could see
            models[name]["macs_224_eval"] = multiply_adds(name)
        models[name]["state_dict"] = fold(shapes_of(model))
        logits[name] = [[float(f"{x:.7g}") for x in row[::EVERY]] for row in torchvision_logits(name)]
        print(name, logits[name][0][:3])
    MODELS.write_text(json.dumps(models, indent=0) + "\n")
    LOGITS.write_text(json.dumps(logits, indent=0) + "\n")


if __name__ == "__main__":
    write()
