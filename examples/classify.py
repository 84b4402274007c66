r"""Say what is in a picture, by a network with published weights or with weights of your own.

    python examples/classify.py cat.jpg
    python examples/classify.py cat.jpg --arch vgg16 --weights IMAGENET1K_V1 --labels imagenet_classes.txt
    python examples/classify.py frog.png --arch resnet20 --weights mine.pth --resize 32 --crop 32 --labels cifar10.txt
    python examples/classify.py digit.png --arch resnet20 --weights runs/resnet/best.pth --in-channels 1 \
        --resize 8 --crop 8 --mean 0.3 --std 0.37

Published weights are fetched once (resnet50's have 98 MB), or found in a folder that MINIGRAD_CHECKPOINT_PATH names. They know
classes by number; --labels takes a file with their names, one a line. The picture is prepared as torchvision prepares it: its
shorter side resized, the middle cut out, the channels normalised by ImageNet's mean and standard deviation. A network of one
channel, as lenet5 is, and others are with --in-channels 1, sees it in grey. The last line above is for train_resnet.py's
digits.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from pathlib import Path
from typing import Any

import minigrad
from minigrad.vision import models, transforms

try:
    from PIL import Image, ImageOps
except ModuleNotFoundError:
    sys.exit("classify: Pillow is not installed; the extra [vision] brings it: pip install -e '.[vision]'")

MOST_ASPECT = 100  # a side may be so many times as long as the other: resizing makes the longer one so much longer


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Say what is in a picture.", usage="%(prog)s IMAGE [options]")
    parser.add_argument("image", type=Path, metavar="IMAGE", help="a picture in any format that Pillow reads")
    parser.add_argument("--arch", default="resnet50", help="a network out of minigrad.vision.models.list_models()")
    parser.add_argument(
        "--weights",
        default="DEFAULT",
        help="published weights (IMAGENET1K_V1, DEFAULT, ...) or a checkpoint file of the network",
    )
    parser.add_argument("--labels", type=Path, help="a text file with the classes' names, one a line; without it: numbers")
    parser.add_argument("--num-classes", type=int, help="outputs of the network, if not its usual ones")
    parser.add_argument("--in-channels", type=int, choices=(1, 3), help="1 for grey, 3 for colour, if not its usual number")
    parser.add_argument("--top", type=int, default=5, help="how many classes to print; default: 5")
    parser.add_argument("--resize", type=int, help="pixels of the shorter side; default: the published weights', or else 256")
    parser.add_argument("--crop", type=int, help="pixels of the square's side; default: the published weights', or else 224")
    parser.add_argument(
        "--interpolation",
        choices=("bilinear", "bicubic"),
        help="of resizing; default: the published weights', or else bilinear",
    )
    for option in ("--mean", "--std"):
        parser.add_argument(option, type=float, nargs="+", help="a number for each channel; default for colour: ImageNet's")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    for name in ("top", "num_classes", "resize", "crop"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')}: expected a number from 1 up, got {value}")
    if not arguments.weights:
        parser.error("--weights: expected a name or a path, got ''")
    return arguments


def open_picture(path: Path) -> Image.Image:
    """The picture in colour, turned as its camera says it is to be."""
    if not path.is_file():
        raise FileNotFoundError(f"expected a picture, but there is no file {path}")
    try:
        with Image.open(path) as file:
            if file.mode.startswith(("I", "F")):
                raise ValueError(
                    f"a picture of mode {file.mode}, which has more than 8 bits to a channel; scale its values to 0..255 first"
                )
            if max(file.size) > MOST_ASPECT * min(file.size):
                raise ValueError(
                    f"{file.width}x{file.height} pixels, where one side is more than {MOST_ASPECT} times as long as the other"
                )
            return ImageOps.exif_transpose(file).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"expected a picture that Pillow reads in {path}, got: {error}") from None


def usual(arch: str, argument: str) -> int:
    """What a network's builder has for an argument that is not given."""
    return inspect.signature(getattr(models, arch)).parameters[argument].default


def make_preparation(arguments: argparse.Namespace, published: models.Published | None) -> transforms.Compose:
    """From the picture in colour to the network's input, as the published weights were evaluated unless the options differ."""
    defaults = published or models.get_model_weights("resnet50")["IMAGENET1K_V1"]  # 256, 224, bilinear, as most are
    channels = arguments.in_channels or usual(arguments.arch, "in_channels")
    for name in ("mean", "std"):
        given = getattr(arguments, name)
        if len(given or getattr(defaults, name)) != channels:
            got = f"{len(given)}" if given else "none, and ImageNet's are for 3"
            raise ValueError(f"--{name}: expected {channels} for {arguments.arch}, one for each channel, got {got}")
    steps: list[Any] = [
        transforms.Resize(arguments.resize or defaults.resize, arguments.interpolation or defaults.interpolation),
        transforms.CenterCrop(arguments.crop or defaults.crop),
    ]
    if channels == 1:
        steps.append(transforms.Grayscale())
    normalize = transforms.Normalize(arguments.mean or defaults.mean, arguments.std or defaults.std)
    return transforms.Compose([*steps, transforms.ToTensor(), normalize])


def load_model(arguments: argparse.Namespace) -> Any:
    """The network with its weights, in evaluation mode."""
    given = {name: getattr(arguments, name) for name in ("num_classes", "in_channels")}
    options = {name: value for name, value in given.items() if value is not None}
    model = models.get_model(arguments.arch, weights=arguments.weights, **options)
    return model.to(minigrad.device(arguments.device)).eval()


@minigrad.inference_mode()
def classify(model: Any, picture: minigrad.Tensor, device: str) -> minigrad.Tensor:
    """The probability of each class, (classes,)."""
    scores = model(picture.unsqueeze(0).to(device))  # (1, classes)
    return scores.squeeze(0).softmax(0).cpu()


def read_labels(path: Path) -> list[str]:
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except OSError as error:
        raise ValueError(f"--labels: expected a text file, got: {error}") from None
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
        published, path = models.find_weights(arguments.arch, arguments.weights)
        names = name_classes(arguments.labels, arguments.num_classes or usual(arguments.arch, "num_classes"))
        prepared = make_preparation(arguments, published)(picture)
        if published is not None and path is None:
            print(f"classify: {published.file} is fetched to {published.path}", file=sys.stderr)
        probabilities = classify(load_model(arguments), prepared, arguments.device)
    except (OSError, RuntimeError, ValueError, ImportError) as error:
        print(f"classify: {error}", file=sys.stderr)
        return 1
    except MemoryError as error:
        print("classify: there is not enough memory" + (f": {error}" if error.args else ""), file=sys.stderr)
        return 1
    of = f"{arguments.weights} ({published.file})" if published else arguments.weights
    print(f"{arguments.image}, {picture.width}x{picture.height} pixels, by {arguments.arch} with {of}:")
    top = probabilities.topk(min(arguments.top, len(names)))
    for probability, number in zip(top.values.tolist(), top.indices.tolist()):
        print(f"{probability:8.2%}  {names[number]}" + (f" ({number})" if arguments.labels else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
