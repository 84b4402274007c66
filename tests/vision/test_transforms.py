"""Transforms of tensors: their values, draws of its own for every image, and bad input."""

import numpy as np
import pytest

import minigrad
from minigrad.vision.transforms import Compose, Normalize, Pad, RandomCrop, RandomHorizontalFlip


def images(*shape, dtype="float32"):
    """Every pixel another value."""
    return minigrad.arange(int(np.prod(shape))).reshape(shape).to(dtype) + 1


def test_compose():
    transform = Compose([lambda x: x + [1], lambda x: x + [2]])
    assert transform([0]) == [0, 1, 2]
    assert Compose([])("as it is") == "as it is"


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normalize(shape, dtype):
    x = images(*shape, dtype=dtype)
    mean, std = [0.5, 1.0, 2.0], [2.0, 4.0, 0.25]
    result = Normalize(mean, std)(x)
    expected = (x.numpy() - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-6)
    assert result.dtype == x.dtype


def test_normalize_takes_tensors():
    x = images(2, 3, 3)
    result = Normalize(minigrad.tensor([1.0, 2.0]), minigrad.tensor([2.0, 1.0]))(x)
    assert result.equal(Normalize([1, 2], [2, 1])(x))


@pytest.mark.parametrize("shape", [(2, 3, 4), (5, 2, 3, 4)])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_pad(shape, dtype):
    x = images(*shape, dtype=dtype)
    result = Pad(2, fill=7)(x)
    margins = [(0, 0)] * (len(shape) - 2) + [(2, 2)] * 2
    np.testing.assert_array_equal(result.numpy(), np.pad(x.numpy(), margins, constant_values=7))
    assert result.dtype == x.dtype


def shifts_of(batch, cropped, padding, fill):
    """For each image the (row, column) at which its part begins, found by comparing with every possible one."""
    margins = [(0, 0), (0, 0), (padding, padding), (padding, padding)]
    padded = np.pad(batch.numpy(), margins, constant_values=fill)
    height, width = cropped.shape[2:]
    found = []
    for image, part in zip(padded, cropped.numpy(), strict=True):
        places = [
            (row, column)
            for row in range(image.shape[1] - height + 1)
            for column in range(image.shape[2] - width + 1)
            if (image[:, row : row + height, column : column + width] == part).all()
        ]
        assert len(places) == 1
        found += places
    return found


@pytest.mark.parametrize(("size", "padding", "fill"), [(5, 1, 0), ((5, 4), 2, -3), ((3, 2), 0, 0)])
def test_random_crop(size, padding, fill):
    minigrad.manual_seed(0)
    batch = images(300, 2, 5, 4)
    height, width = (size, size) if isinstance(size, int) else size
    cropped = RandomCrop(size, padding, fill)(batch)
    assert cropped.shape == (300, 2, height, width)
    rows, columns = zip(*shifts_of(batch, cropped, padding, fill), strict=True)
    assert set(rows) == set(range(5 + 2 * padding - height + 1))
    assert set(columns) == set(range(4 + 2 * padding - width + 1))
    if len(set(columns)) > 1:  # drawn apart
        assert len(set(zip(rows, columns, strict=True))) == len(set(rows)) * len(set(columns))


def test_random_crop_of_one_image():
    image = images(2, 4, 4)
    cropped = RandomCrop(4, padding=1, generator=minigrad.Generator().manual_seed(1))(image)
    batch = RandomCrop(4, padding=1, generator=minigrad.Generator().manual_seed(1))(image.unsqueeze(0))
    assert cropped.shape == (2, 4, 4)
    assert cropped.equal(batch[0])


def test_random_crop_of_the_whole():
    batch = images(3, 1, 4, 4)
    assert RandomCrop(4)(batch).equal(batch)


def test_random_flip():
    minigrad.manual_seed(0)
    batch = images(400, 2, 3, 4)
    flipped = RandomHorizontalFlip()(batch)
    mirrored = 0
    for image, result in zip(batch.numpy(), flipped.numpy(), strict=True):
        is_mirrored = (result == image[:, :, ::-1]).all()
        assert is_mirrored or (result == image).all()
        mirrored += is_mirrored
    assert 150 < mirrored < 250


@pytest.mark.parametrize("shape", [(1, 2, 3), (4, 1, 2, 3)])
def test_certain_flips(shape):
    batch = images(*shape)
    assert RandomHorizontalFlip(p=0)(batch).equal(batch)
    np.testing.assert_array_equal(RandomHorizontalFlip(p=1)(batch).numpy(), batch.numpy()[..., ::-1])


@pytest.mark.parametrize("make", [lambda **kw: RandomCrop(6, 2, **kw), RandomHorizontalFlip], ids=["crop", "flip"])
def test_reproducible(make):
    batch = images(50, 1, 6, 6)
    minigrad.manual_seed(3)
    first, second = make()(batch), make()(batch)
    minigrad.manual_seed(3)
    assert make()(batch).equal(first)
    assert not second.equal(first)
    own = make(generator=minigrad.Generator().manual_seed(3))(batch)
    assert own.equal(first)


def test_own_generator_leaves_the_default_alone():
    minigrad.manual_seed(0)
    expected = minigrad.rand(2)
    minigrad.manual_seed(0)
    generator = minigrad.Generator().manual_seed(5)
    RandomHorizontalFlip(generator=generator)(RandomCrop(2, 1, generator=generator)(images(2, 1, 2, 2)))
    assert minigrad.rand(2).equal(expected)


@pytest.mark.parametrize(
    "transform", [Normalize([0.0], [1.0]), Pad(1), RandomCrop(2), RandomHorizontalFlip()], ids=lambda t: type(t).__name__
)
@pytest.mark.parametrize(
    "image", [minigrad.zeros(4, 4), minigrad.zeros(1, 1, 1, 4, 4), np.zeros((1, 4, 4))], ids=["2d", "5d", "np"]
)
def test_no_image(transform, image):
    name = type(transform).__name__
    with pytest.raises(ValueError, match=rf"{name}: expected an image \(C, H, W\) or a batch \(N, C, H, W\), got"):
        transform(image)


def test_bad_arguments():
    for mean, std in (([0.0], [1.0, 1.0]), ([0.0], [0.0])):
        with pytest.raises(ValueError, match="Normalize: expected as many means as stds, none of these 0"):
            Normalize(mean, std)
    with pytest.raises(ValueError, match="Normalize: expected 2 channels, got 3"):
        Normalize([0.0, 0.0], [1.0, 1.0])(images(3, 4, 4))
    with pytest.raises(TypeError, match=r"Normalize: expected a floating image, got .*uint8"):
        Normalize([0.0], [1.0])(images(1, 4, 4, dtype="uint8"))
    with pytest.raises(ValueError, match="Pad: expected padding from 0 up, got -1"):
        Pad(-1)
    with pytest.raises(ValueError, match=r"RandomCrop: expected a padded image of at least \(8, 4\), got \(6, 6\)"):
        RandomCrop((8, 4), padding=1)(images(1, 4, 4))
    for size in (-1, 0, (4,), (4, 4, 4), "a", "44", 4.0, True):
        with pytest.raises(ValueError, match="RandomCrop: expected a positive size, or two, got "):
            RandomCrop(size)
    for mean, std in ((0.5, [0.5]), ([0.5], 0.5), (["a"], [0.5]), (minigrad.ones(1, 1), [0.5])):
        with pytest.raises(TypeError, match=r"Normalize: expected (mean|std) to have one number per channel, got"):
            Normalize(mean, std)
    for padding in ((1, 2), 1.5, "1", True):
        with pytest.raises(TypeError, match="Pad: expected padding to be an int, got"):
            Pad(padding)
    with pytest.raises(ValueError, match=r"RandomHorizontalFlip: expected a probability in 0\.\.1, got 1\.5"):
        RandomHorizontalFlip(1.5)


def test_representations():
    transform = Compose([Normalize([0.5], [2.0]), Pad(1), RandomCrop(3, padding=1), RandomHorizontalFlip()])
    assert repr(transform) == (
        "Compose(Normalize(mean=[0.5], std=[2.0]), Pad(1, fill=0), RandomCrop((3, 3), padding=1, fill=0), "
        "RandomHorizontalFlip(p=0.5))"
    )
