"""Transforms of Pillow's pictures: by a filter written down once more, as torchvision's, and what they refuse."""

import importlib
import importlib.util
import math
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import minigrad
from minigrad.vision.transforms import (
    CenterCrop,
    Compose,
    Grayscale,
    Normalize,
    Pad,
    RandomCrop,
    RandomHorizontalFlip,
    Resize,
    ToTensor,
    pil_to_tensor,
)

SIZES = [(40, 30), (30, 40), (33, 33), (21, 64), (9, 8)]  # width, height


@pytest.fixture(scope="module")
def theirs(torchvision):
    """torchvision.transforms."""
    return importlib.import_module("torchvision.transforms")


def picture(width, height, mode="RGB"):
    """Every pixel drawn at random."""
    channels = {"L": (), "RGB": (3,), "RGBA": (4,), "LA": (2,), "CMYK": (4,)}[mode]
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, *channels), dtype="uint8")
    return Image.frombytes(mode, (width, height), pixels.tobytes())


def triangle(length, wanted):
    """The matrix of the antialiased bilinear filter along one side, (wanted, length)."""
    scale = length / wanted
    reach = max(scale, 1.0)
    matrix = np.zeros((wanted, length))
    for i in range(wanted):
        middle = (i + 0.5) * scale
        for j in range(length):
            matrix[i, j] = max(0.0, 1 - abs(j + 0.5 - middle) / reach)
    return matrix / matrix.sum(1, keepdims=True)


# --- values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("to", [16, 50, (20, 31)])
def test_resize_weighs_all_pixels(size, to):
    width, height = size
    resized = Resize(to)(picture(width, height))
    if isinstance(to, int):
        shorter, longer = to, math.floor(to * max(size) / min(size))
        expected = (shorter, longer) if width <= height else (longer, shorter)
    else:
        expected = to[::-1]
    assert resized.size == expected
    pixels = np.asarray(picture(width, height)).astype(float)
    filtered = np.einsum("yh,xw,hwc->yxc", triangle(height, expected[1]), triangle(width, expected[0]), pixels)
    assert abs(np.asarray(resized) - filtered).max() <= 1.5  # Pillow rounds after each side


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest", "box", "hamming", "lanczos"])
def test_resize_is_torchvisions(theirs, interpolation):
    mode = theirs.InterpolationMode(interpolation)
    for size in SIZES:
        for mine, other in [(16, 16), (48, [48]), ((20, 31), (20, 31))]:
            before = picture(*size)
            expected = theirs.Resize(other, mode)(before)
            np.testing.assert_array_equal(np.asarray(Resize(mine, interpolation)(before)), np.asarray(expected))


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
@pytest.mark.parametrize("to", [8, 24, 35, 80, (5, 64), (64, 6), (33, 33), (31, 30)])
def test_center_crop_is_torchvisions(torch, theirs, mode, to):
    for size in SIZES:
        before = picture(*size, mode)
        np.testing.assert_array_equal(np.asarray(CenterCrop(to)(before)), np.asarray(theirs.CenterCrop(to)(before)))
        pixels = np.random.default_rng(0).standard_normal((2, 3, *size))
        cropped = CenterCrop(to)(minigrad.tensor(pixels))
        np.testing.assert_array_equal(cropped.numpy(), theirs.CenterCrop(to)(torch.tensor(pixels)).numpy())


def test_center_crop():
    image = minigrad.arange(30).reshape(1, 5, 6)
    assert CenterCrop((3, 2))(image).tolist() == [[[8, 9], [14, 15], [20, 21]]]
    assert CenterCrop((1, 8))(image).tolist() == [[[0, 12, 13, 14, 15, 16, 17, 0]]]
    assert CenterCrop(1)(pil_to_tensor(picture(3, 3))).equal(pil_to_tensor(CenterCrop(1)(picture(3, 3))))


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "CMYK"])
def test_tensors(mode):
    image = picture(5, 4, mode)
    pixels = np.asarray(image).reshape(4, 5, -1).transpose(2, 0, 1)
    whole = pil_to_tensor(image)
    assert whole.dtype == "uint8" and whole.is_contiguous()
    np.testing.assert_array_equal(whole.numpy(), pixels)
    scaled = ToTensor()(image)
    assert scaled.dtype == "float32"
    np.testing.assert_array_equal(scaled.numpy(), pixels.astype("float32") / np.float32(255))


def test_the_tensor_has_memory_of_its_own():
    image = picture(2, 2)
    before = image.tobytes()
    pil_to_tensor(image).fill_(7)
    assert image.tobytes() == before


def test_black_and_white():
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert pil_to_tensor(image).tolist() == [[[0, 255]]]
    assert ToTensor()(image).tolist() == [[[0.0, 1.0]]]


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
def test_tensors_are_torchvisions(theirs, mode):
    image = picture(5, 4, mode)
    np.testing.assert_array_equal(ToTensor()(image).numpy(), theirs.ToTensor()(image).numpy())
    np.testing.assert_array_equal(pil_to_tensor(image).numpy(), theirs.PILToTensor()(image).numpy())


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3), (4, 5, 1)])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "int64"])
def test_arrays_are_torchvisions(theirs, shape, dtype):
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    mine, expected = ToTensor()(pixels), theirs.ToTensor()(pixels)
    np.testing.assert_array_equal(mine.numpy(), expected.numpy(), strict=True)
    mine.zero_()
    assert pixels.any()


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
@pytest.mark.parametrize("fill", [0, 7])
def test_augmentation_of_pictures_is_that_of_tensors(mode, fill):
    """A part and a mirror image are drawn alike, so they may stand before ToTensor or after it."""
    image = picture(9, 7, mode)
    whole = pil_to_tensor(image)
    assert pil_to_tensor(Pad(2, fill)(image)).equal(Pad(2, fill)(whole))
    for kind, arguments in ((RandomCrop, ((6, 8), 2, fill)), (RandomHorizontalFlip, ())):
        of_pictures, of_tensors = (kind(*arguments, generator=minigrad.Generator().manual_seed(3)) for _ in range(2))
        for _ in range(20):
            assert pil_to_tensor(of_pictures(image)).equal(of_tensors(whole))


def test_the_usual_augmentation():
    minigrad.manual_seed(0)
    transform = Compose([RandomCrop(32, padding=4), RandomHorizontalFlip(), ToTensor()])
    assert transform(picture(32, 32)).shape == (3, 32, 32)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_certain_augmentation_is_torchvisions(theirs, mode):
    image = picture(6, 5, mode)
    for mine, other in (
        (Pad(3, 9), theirs.Pad(3, 9)),
        (RandomHorizontalFlip(1.0), theirs.RandomHorizontalFlip(1.0)),
        (RandomCrop((5, 6)), theirs.RandomCrop((5, 6))),
    ):
        np.testing.assert_array_equal(np.asarray(mine(image)), np.asarray(other(image)))


@pytest.mark.parametrize("channels", [1, 3])
def test_grayscale(channels):
    image = picture(6, 5)
    grey = np.asarray(Grayscale(channels)(image)).reshape(5, 6, channels)
    expected = np.asarray(image).astype(float) @ [0.299, 0.587, 0.114]
    assert abs(grey - expected[..., None]).max() <= 1
    assert Grayscale(channels)(picture(3, 3, "L")).mode == ("L" if channels == 1 else "RGB")


def test_grayscale_is_torchvisions(theirs):
    for channels in (1, 3):
        expected = theirs.Grayscale(channels)(picture(6, 5))
        np.testing.assert_array_equal(np.asarray(Grayscale(channels)(picture(6, 5))), np.asarray(expected))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_preparation_for_imagenet_is_torchvisions(theirs, size):
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    preset = importlib.import_module("torchvision.transforms._presets").ImageClassification(crop_size=24, resize_size=28)
    mine = Compose([Resize(28), CenterCrop(24), ToTensor(), Normalize(mean, std)])(picture(*size))
    np.testing.assert_allclose(mine.numpy(), preset(picture(*size)).numpy(), rtol=1e-5, atol=1e-6)


# --- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transform", [Resize(4), CenterCrop(4), Grayscale(), pil_to_tensor])
@pytest.mark.parametrize("image", [np.zeros((4, 4, 3), "uint8"), "cat.jpg"], ids=["array", "str"])
def test_no_picture(transform, image):
    name = getattr(transform, "__name__", type(transform).__name__)
    with pytest.raises(TypeError, match=f"{name}: expected a PIL image, got {type(image).__name__}"):
        transform(image)


@pytest.mark.parametrize("image", ["cat.jpg", minigrad.zeros(1, 2, 2)], ids=["str", "tensor"])
def test_neither_a_picture_nor_an_array(image):
    with pytest.raises(TypeError, match=f"ToTensor: expected a PIL image or a NumPy array, got {type(image).__name__}"):
        ToTensor()(image)


def test_arrays_that_are_no_images():
    with pytest.raises(ValueError, match=r"ToTensor: expected an array \(H, W\) or \(H, W, C\), got \(2, 3, 4, 5\)"):
        ToTensor()(np.zeros((2, 3, 4, 5)))


@pytest.mark.parametrize("transform", [Pad(1), RandomCrop(2), RandomHorizontalFlip(), Normalize([0.0], [1.0])])
def test_where_a_tensor_is_needed_the_error_names_to_tensor(transform):
    with pytest.raises(ValueError, match=r"got ndarray \(ToTensor makes a tensor of a picture or an array\)"):
        transform(np.zeros((4, 4, 3), "uint8"))


def test_pictures_are_not_normalized():
    with pytest.raises(ValueError, match=r"Normalize: expected an image .*, got Image \(ToTensor makes a tensor of"):
        Normalize([0.0], [1.0])(picture(3, 3, "L"))


def test_a_picture_that_is_too_small():
    with pytest.raises(ValueError, match=r"RandomCrop: expected a padded image of at least \(8, 4\), got \(7, 6\)"):
        RandomCrop((8, 4), padding=1)(picture(4, 5))


def test_tensors_are_not_resized():
    with pytest.raises(TypeError, match="Resize: expected a PIL image, got Tensor"):
        Resize(4)(minigrad.zeros(3, 8, 8))


@pytest.mark.parametrize("mode", ["P", "I", "F", "I;16"])
def test_other_pixels(mode):
    with pytest.raises(ValueError, match=rf"ToTensor: expected a picture with 8 bits to a channel .*, got one of mode {mode}"):
        ToTensor()(Image.new(mode, (2, 2)))


@pytest.mark.parametrize(
    ("mode", "advice"),
    [("P", r"image\.convert\('RGB'\) makes it one"), *[(m, r"scale its values to 0\.\.255") for m in ("I;16", "I", "F")]],
)
def test_advice_loses_no_values(mode, advice):
    with pytest.raises(ValueError, match=f"got one of mode {mode}; {advice}"):
        pil_to_tensor(Image.new(mode, (2, 2)))


@pytest.mark.parametrize("transform", [Resize(4), CenterCrop(4), Grayscale(), Pad(1), RandomCrop(1), ToTensor(), pil_to_tensor])
def test_no_pixels(transform):
    with pytest.raises(ValueError, match="expected a picture with pixels, got one of 0×3"):
        transform(Image.new("RGB", (0, 3)))


@pytest.mark.parametrize("kind", [Resize, CenterCrop])
@pytest.mark.parametrize("size", [0, -3, (4, 0), (4, 4, 4), (4.0, 4), 4.0, "44", True])
def test_sizes_that_make_no_sense(kind, size):
    with pytest.raises(ValueError, match=rf"{kind.__name__}: expected a positive size, or two, got "):
        kind(size)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"Resize: expected interpolation to be one of bilinear, .*, got 'linear'"):
        Resize(4, "linear")
    with pytest.raises(ValueError, match="Grayscale: expected 1 or 3 num_output_channels, got 2"):
        Grayscale(2)
    with pytest.raises(ValueError, match=r"CenterCrop: expected an image \(C, H, W\) or a batch"):
        CenterCrop(2)(minigrad.zeros(4, 4))


def test_without_pillow():
    """Tensors need none; for pictures the error says what to install."""
    program = """
import sys
sys.modules["PIL"] = None
import minigrad
from minigrad.vision.transforms import CenterCrop, Resize
print(CenterCrop(1)(minigrad.ones(1, 3, 3)).shape)
try:
    Resize(3)("cat.jpg")
except ModuleNotFoundError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "(1, 1, 1)\nResize: expected Pillow to be installed: pip install pillow\n"


def test_representations():
    transform = Compose([Resize(256), Resize((4, 5), "bicubic"), CenterCrop(224), Grayscale(3), ToTensor()])
    assert repr(transform) == (
        "Compose(Resize(256, interpolation='bilinear'), Resize((4, 5), interpolation='bicubic'), CenterCrop((224, 224)), "
        "Grayscale(num_output_channels=3), ToTensor())"
    )
