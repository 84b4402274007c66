"""Say what is in a picture, by a network with published weights or with weights of your own.

    python examples/classify.py cat.jpg
    python examples/classify.py cat.jpg --arch vgg16 --weights IMAGENET1K_V1 --labels imagenet_classes.txt
    python examples/classify.py frog.png --arch resnet20 --weights mine.pth --resize 32 --crop 32 --labels cifar10.txt

Published weights are fetched once (resnet50's have 98 MB), or found in a folder that MINIGRAD_CHECKPOINT_PATH names. They know
classes by number; --labels takes a file with their names, one a line. The picture is prepared as torchvision prepares it: its
shorter side resized, the middle cut out, the channels normalised by ImageNet's mean and standard deviation.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import minigrad
from minigrad.vision import models, transforms

try:
    from PIL import Image, ImageOps
except ModuleNotFoundError:
    sys.exit("classify: Pillow is not installed; the extra [vision] brings it: pip install -e '.[vision]'")

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Say what is in a picture.")
    parser.add_argument("image", type=Path, metavar="IMAGE", help="a picture in any format that Pillow reads")
    parser.add_argument("--arch", default="resnet50", help="a network out of minigrad.vision.models.list_models()")
    parser.add_argument(
        "--weights",
        default="DEFAULT",
        help="published weights (IMAGENET1K_V1, DEFAULT, ...) or a checkpoint file of the network",
    )
    parser.add_argument("--labels", type=Path, help="a text file with the classes' names, one a line; without it: numbers")
    parser.add_argument("--num-classes", type=int, help="outputs of the network, if not its usual ones")
    parser.add_argument("--top", type=int, default=5, help="how many classes to print; default: 5")
    parser.add_argument("--resize", type=int, help="pixels of the shorter side; default: the published weights', or else 256")
    parser.add_argument("--crop", type=int, help="pixels of the square's side; default: the published weights', or else 224")
    parser.add_argument(
        "--interpolation", choices=("bilinear", "bicubic"), help="of resizing; default: bilinear, for SWAG weights bicubic"
    )
    parser.add_argument(
        "--mean", type=float, nargs=3, default=IMAGENET_MEAN, metavar=("R", "G", "B"), help="default: ImageNet's"
    )
    parser.add_argument("--std", type=float, nargs=3, default=IMAGENET_STD, metavar=("R", "G", "B"), help="default: ImageNet's")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    for name in ("top", "num_classes", "resize", "crop"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')}: expected a number from 1 up, got {value}")
    return arguments


def open_picture(path: Path) -> Image.Image:
    """The picture in colour, turned as its camera says it is to be."""
    if not path.is_file():
        raise FileNotFoundError(f"expected a picture, but there is no file {path}")
    try:
        with Image.open(path) as file:
            if file.mode.startswith(("I", "F")):
                raise ValueError(f"a picture of mode {file.mode}, which has more than 8 bits to a channel")
            return ImageOps.exif_transpose(file).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"expected a picture that Pillow reads in {path}, got: {error}") from None


def find_published(arch: str, weights: str) -> models.Published | None:
    """What is known of the weights: a name means published ones, and so does a published file, or a folder that has it."""
    published = models.get_model_weights(arch)
    if weights in published:
        return published[weights]
    path = Path(weights).expanduser()
    by_preference = reversed(list(published.values()))  # the last is DEFAULT
    return next((p for p in by_preference if path.name == p.file or (path / p.file).is_file()), None)


def make_preparation(arguments: argparse.Namespace, published: models.Published | None) -> transforms.Compose:
    resize = arguments.resize or (published.resize if published else 256)
    crop = arguments.crop or (published.crop if published else 224)
    bicubic = published is not None and "swag" in published.file
    return transforms.Compose(
        [
            transforms.Resize(resize, arguments.interpolation or ("bicubic" if bicubic else "bilinear")),
            transforms.CenterCrop(crop),
            transforms.ToTensor(),
            transforms.Normalize(arguments.mean, arguments.std),
        ]
    )


def load_model(arguments: argparse.Namespace, published: models.Published | None) -> Any:
    """The network with its weights, in evaluation mode."""
    if published is not None and arguments.weights in models.get_model_weights(arguments.arch) and not published.path.is_file():
        print(f"classify: {published.file} is fetched to {published.path} unless another folder has it", file=sys.stderr)
    options = {} if arguments.num_classes is None else {"num_classes": arguments.num_classes}
    model = models.get_model(arguments.arch, weights=arguments.weights, **options)
    return model.to(minigrad.device(arguments.device)).eval()


@minigrad.inference_mode()
def classify(model: Any, picture: minigrad.Tensor, device: str) -> minigrad.Tensor:
    """The probability of each class, (classes,)."""
    scores = model(picture.unsqueeze(0).to(device))  # (1, classes)
    return scores.squeeze(0).softmax(0).cpu()


def read_labels(path: Path) -> list[str]:
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"--labels: expected text in UTF-8 in {path}, got: {error}") from None
    while names and not names[-1]:
        names.pop()
    return names


def name_classes(labels: Path | None, count: int) -> list[str]:
    """A name for each class; a number where there are no labels."""
    if labels is None:
        return [f"class {number}" for number in range(count)]
    names = read_labels(labels)
    if len(names) != count:
        raise ValueError(f"--labels: expected {count} names in {labels}, one for each class, got {len(names)}")
    return names


def main() -> int:
    arguments = parse_arguments()
    try:
        picture = open_picture(arguments.image)
        published = find_published(arguments.arch, arguments.weights)
        prepared = make_preparation(arguments, published)(picture)
        model = load_model(arguments, published)
        probabilities = classify(model, prepared, arguments.device)
        names = name_classes(arguments.labels, len(probabilities))
    except (OSError, RuntimeError, ValueError, ImportError) as error:
        print(f"classify: {error}", file=sys.stderr)
        return 1
    of = f"{arguments.weights} ({published.file})" if published else arguments.weights
    print(f"{arguments.image}, {picture.width}x{picture.height} pixels, by {arguments.arch} with {of}:")
    top = probabilities.topk(min(arguments.top, len(names)))
    for probability, number in zip(top.values.tolist(), top.indices.tolist()):
        print(f"{probability:8.2%}  {names[number]}" + (f" ({number})" if arguments.labels else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
