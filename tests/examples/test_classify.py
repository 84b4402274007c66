"""The program that says what is in a picture: its numbers by other means, its options, and errors without a traceback."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minigrad
from minigrad.vision import models

PROGRAM = Path(__file__).resolve().parents[2] / "examples" / "classify.py"
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
SMALL = ["--arch", "resnet20", "--resize", "32", "--crop", "32"]


@pytest.fixture(scope="module")
def module():
    specification = importlib.util.spec_from_file_location("classify", PROGRAM)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def program(module, monkeypatch, tmp_path):
    """``program(*arguments)``: the exit code. Nothing can be fetched."""
    monkeypatch.setenv("MINIGRAD_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MINIGRAD_CHECKPOINT_PATH", raising=False)
    monkeypatch.setattr("urllib.request.urlopen", refuse)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["classify.py", *map(str, arguments)])
        return module.main()

    return run


def refuse(*args, **kwargs):
    raise OSError("there is no network")


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype="uint8")
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


@pytest.fixture
def weights(tmp_path):
    minigrad.manual_seed(0)
    minigrad.save(models.resnet20().state_dict(), tmp_path / "mine.pth")
    return tmp_path / "mine.pth"


def probabilities_of(image, weights, mean=MEAN, std=STD):
    """What the network makes of an image of 32 × 32, prepared and made probabilities of with NumPy."""
    model = models.resnet20().eval()
    model.load_state_dict(minigrad.load(weights))
    x = (np.asarray(image) / 255 - mean) / std
    with minigrad.no_grad():
        scores = model(minigrad.tensor(x.transpose(2, 0, 1)[None].astype("float32"))).numpy()[0]
    exponentials = np.exp(scores.astype(float))
    return exponentials / exponentials.sum()


def read_output(text):
    """The lines with classes as (percent, class)."""
    return [(float(p), int(number)) for p, number in re.findall(r"^ *([\d.]+)%  class (\d+)$", text, re.MULTILINE)]


def check(found, probabilities, count=5):
    best = np.argsort(-probabilities)[:count]
    assert [number for _, number in found] == best.tolist()
    assert [percent for percent, _ in found] == pytest.approx(100 * probabilities[best], abs=0.01)


# --- results -----------------------------------------------------------------------------------------------------------


def test_the_five_likeliest(program, picture, weights, capsys):
    assert program(picture, *SMALL, "--weights", weights) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.startswith(f"{picture}, 32x32 pixels, by resnet20 with {weights}:\n")
    check(read_output(printed.out), probabilities_of(Image.open(picture), weights))


def test_top_mean_and_std(program, picture, weights, capsys):
    options = ["--top", 99, "--mean", 0.5, 0.25, 0.125, "--std", 1, 2, 0.5]
    assert program(picture, *SMALL, "--weights", weights, *options) == 0
    expected = probabilities_of(Image.open(picture), weights, [0.5, 0.25, 0.125], [1, 2, 0.5])
    check(read_output(capsys.readouterr().out), expected, 10)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resized_and_cropped(program, weights, tmp_path, capsys, interpolation):
    image = Image.effect_noise((60, 90), 80).convert("RGB")
    image.save(tmp_path / "tall.png")
    options = ["--resize", 40, "--crop", 32, "--interpolation", interpolation, "--weights", weights]
    assert program(tmp_path / "tall.png", "--arch", "resnet20", *options) == 0
    expected = image.resize((40, 60), Image.Resampling[interpolation.upper()]).crop((4, 14, 36, 46))
    check(read_output(capsys.readouterr().out), probabilities_of(expected, weights))


def test_labels(program, picture, weights, tmp_path, capsys):
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"thing {number}\n" for number in "abcdefghij") + "\n", encoding="utf-8")
    assert program(picture, *SMALL, "--weights", weights, "--labels", labels, "--top", 1) == 0
    best = int(probabilities_of(Image.open(picture), weights).argmax())
    assert capsys.readouterr().out.endswith(f"%  thing {'abcdefghij'[best]} ({best})\n")


@pytest.mark.parametrize("kind", ["grey", "palette", "alpha", "turned"])
def test_pictures_of_other_kinds(program, weights, tmp_path, capsys, kind):
    image = Image.effect_noise((32, 32), 80).convert("RGB")
    path, options = tmp_path / "picture.png", {}
    seen = image
    if kind == "grey":
        image = seen = image.convert("L")
    elif kind == "palette":
        image = image.convert("P")
        seen = image.convert("RGB")
    elif kind == "alpha":
        image = image.convert("RGBA")
    else:
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = 6  # to be turned clockwise by a quarter
        seen = image.transpose(Image.Transpose.ROTATE_270)
    image.save(path, **options)
    assert program(path, *SMALL, "--weights", weights) == 0
    check(read_output(capsys.readouterr().out), probabilities_of(seen.convert("RGB"), weights))


def test_number_of_classes(program, picture, tmp_path, capsys):
    minigrad.save(models.resnet20(num_classes=3).state_dict(), tmp_path / "three.pth")
    assert program(picture, *SMALL, "--weights", tmp_path / "three.pth", "--num-classes", 3) == 0
    assert len(read_output(capsys.readouterr().out)) == 3


def grey_probabilities(picture, model, mean, std):
    x = (np.asarray(Image.open(picture).convert("L")) / 255 - mean) / std
    with minigrad.no_grad():
        scores = model.eval()(minigrad.tensor(x[None, None].astype("float32")))
    return scores.softmax(1).numpy()[0]


@pytest.mark.parametrize(
    ("arch", "options"), [("lenet5", []), ("resnet20", ["--in-channels", 1]), ("lenet5", ["--in-channels", 1])]
)
def test_networks_for_grey_pictures(program, picture, tmp_path, capsys, arch, options):
    """From a file as train_resnet.py writes it."""
    model = models.get_model(arch, in_channels=1)
    minigrad.save({"model": model.state_dict(), "optimizer": {}, "epoch": 3, "draws": minigrad.ones(2)}, tmp_path / "best.pth")
    options = ["--weights", tmp_path / "best.pth", "--resize", 32, "--crop", 32, "--mean", 0.25, "--std", 0.5, *options]
    assert program(picture, "--arch", arch, *options) == 0
    check(read_output(capsys.readouterr().out), grey_probabilities(picture, model, 0.25, 0.5))


def test_labels_with_a_byte_order_mark(program, picture, weights, tmp_path, capsys):
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"thing {number}\n" for number in "abcdefghij"), encoding="utf-8-sig")
    assert program(picture, *SMALL, "--weights", weights, "--labels", labels, "--top", 10) == 0
    assert "%  thing a (0)\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arch", "weights", "resize", "crop", "interpolation"),
    [
        ("resnet50", "IMAGENET1K_V1", 256, 224, "bilinear"),
        ("resnet50", "IMAGENET1K_V2", 232, 224, "bilinear"),
        ("resnet50", "DEFAULT", 232, 224, "bilinear"),
        ("resnet50", "{folder}/resnet50-0676ba61.pth", 256, 224, "bilinear"),
        ("resnet50", "{folder}", 232, 224, "bilinear"),
        ("resnet50", "{folder}/mine.pth", 256, 224, "bilinear"),
        ("vit_b_16", "IMAGENET1K_SWAG_E2E_V1", 384, 384, "bicubic"),
        ("vit_b_16", "IMAGENET1K_SWAG_LINEAR_V1", 224, 224, "bicubic"),
        ("vit_b_16", "DEFAULT", 256, 224, "bilinear"),
    ],
)
def test_preparation_is_the_weights(module, monkeypatch, tmp_path, arch, weights, resize, crop, interpolation):
    for name in ("resnet50-11ad3fa6.pth", "resnet50-0676ba61.pth", "mine.pth"):
        (tmp_path / name).touch()
    monkeypatch.setattr(sys, "argv", ["classify.py", "cat.jpg", "--arch", arch, "--weights", weights.format(folder=tmp_path)])
    arguments = module.parse_arguments()
    preparation = module.make_preparation(arguments, models.find_weights(arguments.arch, arguments.weights)[0])
    assert repr(preparation).startswith(
        f"Compose(Resize({resize}, interpolation={interpolation!r}), CenterCrop(({crop}, {crop})), ToTensor(), Normalize("
    )


# --- errors ------------------------------------------------------------------------------------------------------------


def test_published_weights_that_are_nowhere(program, picture, tmp_path, capsys):
    assert program(picture, "--arch", "resnet18", "--weights", "IMAGENET1K_V1") == 1
    errors = capsys.readouterr().err
    home = tmp_path / "home" / "checkpoints" / "resnet18-f37072fd.pth"
    assert "https://download.pytorch.org/models/resnet18-f37072fd.pth" in errors
    assert errors.startswith(f"classify: resnet18-f37072fd.pth is fetched to {home}\n")
    assert f"put it at {home}" in errors


def test_no_fetch_is_announced_where_a_folder_has_the_file(program, picture, tmp_path, capsys, monkeypatch):
    (tmp_path / "resnet18-f37072fd.pth").write_text("damaged")
    monkeypatch.setenv("MINIGRAD_CHECKPOINT_PATH", str(tmp_path))
    assert program(picture, "--arch", "resnet18") == 1
    errors = capsys.readouterr().err
    assert errors.startswith("classify: weights: expected sha256 beginning with f37072fd for")
    assert "is fetched" not in errors


@pytest.mark.parametrize("labels", ["two", "missing"])
def test_labels_are_read_before_anything_is_fetched(program, picture, tmp_path, capsys, labels):
    (tmp_path / "two").write_text("cat\ndog\n")
    assert program(picture, "--arch", "resnet18", "--labels", tmp_path / labels) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("classify: --labels: expected ")
    assert "fetched" not in errors


def test_pictures_that_would_grow_out_of_memory(program, weights, tmp_path, capsys, monkeypatch):
    Image.new("L", (60000, 1)).save(tmp_path / "line.png")
    assert program(tmp_path / "line.png", *SMALL, "--weights", weights) == 1
    assert "60000x1 pixels, where one side is more than 100 times as long as the other" in capsys.readouterr().err
    Image.new("L", (100, 1)).save(tmp_path / "line.png")

    def resize(*arguments):
        raise MemoryError

    assert program(tmp_path / "line.png", *SMALL, "--weights", weights) == 0
    monkeypatch.setattr(Image.Image, "resize", resize)
    assert program(tmp_path / "line.png", *SMALL, "--weights", weights) == 1
    assert capsys.readouterr().err == "classify: there is not enough memory\n"


def test_no_weights(program, picture, capsys):
    with pytest.raises(SystemExit):
        program(picture, "--weights", "")
    assert "--weights: expected a name or a path, got ''" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{folder}/none.jpg"], "classify: expected a picture, but there is no file {folder}/none.jpg"),
        (["{folder}"], "classify: expected a picture, but there is no file {folder}"),
        (["{folder}/text.jpg"], "classify: expected a picture that Pillow reads in {folder}/text.jpg, got: cannot identify"),
        (["{folder}/half.png"], "classify: expected a picture that Pillow reads in {folder}/half.png, got: "),
        (
            ["{folder}/deep.png"],
            "classify: expected a picture .* got: a picture of mode I;16, which has .*; scale its values to 0",
        ),
        (
            ["{picture}", "--arch", "resnet51"],
            "classify: find_weights: expected the name of a network, got 'resnet51'; did",
        ),
        (
            ["{picture}", *SMALL, "--weights", "none.pth"],
            "resnet20: expected weights to be the path of a checkpoint file, got 'none.pth'",
        ),
        (["{picture}", *SMALL, "--weights", "{picture}"], "classify: .*expected a checkpoint"),
        (["{picture}", *SMALL, "--weights", "{weights}", "--num-classes", "7"], r"fc\.weight: expected shape \(7, 64\)"),
        (["{picture}", *SMALL, "--weights", "{weights}", "--std", "1", "1", "0"], "Normalize: .*none of these 0"),
        (["{picture}", *SMALL, "--weights", "{weights}", "--labels", "{folder}/two.txt"], "expected 10 names in .*, got 2"),
        (
            ["{picture}", *SMALL, "--weights", "{weights}", "--labels", "{folder}/none.txt"],
            "--labels: expected a text file, got: .*No such file .*none.txt",
        ),
        (["{picture}", *SMALL, "--weights", "{weights}", "--mean", "1", "2"], "--mean: expected 3 for resnet20, .*, got 2"),
        (
            ["{picture}", *SMALL, "--weights", "{weights}", "--in-channels", "1"],
            "--mean: expected 1 for resnet20, .*, got none",
        ),
        (["{picture}", *SMALL, "--weights", "{weights}", "--labels", "{picture}"], "--labels: expected text in UTF-8"),
        (["{picture}", *SMALL, "--weights", "{weights}", "--device", "tpu"], "classify: .*tpu"),
        (["{picture}", *SMALL, "--weights", "{weights}", "--device", "meta"], "classify: a tensor on the meta device has"),
        (
            ["{picture}", "--arch", "vit_tiny_cifar", "--weights", "{vit}"],
            r"expected images \(N, 3, 32, 32\), got \(1, 3, 224, 224\)",
        ),
    ],
)
def test_errors(program, picture, weights, tmp_path, capsys, arguments, message):
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "half.png").write_bytes(picture.read_bytes()[:700])
    Image.new("I;16", (3, 3)).save(tmp_path / "deep.png")
    (tmp_path / "two.txt").write_text("cat\ndog\n")
    places = {"folder": tmp_path, "picture": picture, "weights": weights, "vit": tmp_path / "vit.pth"}
    if "{vit}" in arguments:
        minigrad.save(models.vit_tiny_cifar().state_dict(), places["vit"])
    assert program(*(argument.format(**places) for argument in arguments)) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    escaped = message.format(**{name: re.escape(str(place)) for name, place in places.items()})
    assert re.search(escaped, printed.err), printed.err


@pytest.mark.parametrize("option", ["--top", "--resize", "--crop", "--num-classes"])
def test_numbers_from_one_up(program, picture, capsys, option):
    with pytest.raises(SystemExit) as stopped:
        program(picture, option, "0")
    assert stopped.value.code == 2
    assert f"{option}: expected a number from 1 up, got 0" in capsys.readouterr().err


def test_as_a_user_runs_it(picture, weights, tmp_path):
    def run(*arguments):
        command = [sys.executable, str(PROGRAM), *map(str, arguments)]
        environment = {**os.environ, "MINIGRAD_HOME": str(tmp_path)}
        return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, env=environment)

    done = run(picture, *SMALL, "--weights", weights)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(read_output(done.stdout)) == 5
    failed = run(tmp_path / "none.jpg")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == f"classify: expected a picture, but there is no file {tmp_path / 'none.jpg'}\n"
