"""The digits that the package carries, made-up data, and what all image datasets share."""

from pathlib import Path

import numpy as np
import pytest

import minigrad
from minigrad.utils.data import DataLoader
from minigrad.vision import datasets
from minigrad.vision.datasets import Digits, FakeData, ImageDataset

DATA = Path(minigrad.__file__).parent / "vision" / "data"


@pytest.fixture(scope="module")
def file():
    with np.load(DATA / "digits.npz") as archive:
        return dict(archive)


# Digits


def test_digits_counts():
    train, test = Digits(), Digits(train=False)
    assert (len(train), len(test)) == (1438, 359)
    assert train.images.shape == (1438, 1, 8, 8)
    assert train.classes == tuple("0123456789")


def test_digits_are_the_files(file):
    held_out = [i for i in range(1797) if i % 5 == 4]
    rest = [i for i in range(1797) if i % 5 != 4]
    for part, indices in ((Digits(), rest), (Digits(train=False), held_out)):
        np.testing.assert_array_equal(part.images.numpy(), file["images"][indices][:, None])
        np.testing.assert_array_equal(part.labels.numpy(), file["labels"][indices])
        assert part.labels.dtype == minigrad.int64


def test_digits_have_the_published_statistics(file):
    """17 grey levels, and the UCI page's count of each digit."""
    assert file["images"].min() == 0
    assert file["images"].max() == 16
    assert np.bincount(file["labels"]).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_digits_sample(file):
    image, label = Digits(train=False)[0]
    np.testing.assert_array_equal(image.numpy(), file["images"][4][None].astype("float32") / 16)
    assert (label, type(label)) == (int(file["labels"][4]), int)


def test_digits_come_with_their_attribution():
    text = (DATA / "README.md").read_text(encoding="utf-8")
    for part in ("Alpaydin", "Kaynak", "https://doi.org/10.24432/C50P49", "CC BY 4.0"):
        assert part in text


# FakeData


def test_fake_data_is_reproducible():
    first, second, other = (FakeData(50, (3, 4, 5), seed=seed) for seed in (3, 3, 4))
    assert first.images.equal(second.images)
    assert first.labels.equal(second.labels)
    assert not first.images.equal(other.images)


def test_fake_data_leaves_the_default_generator_alone():
    minigrad.manual_seed(0)
    expected = minigrad.rand(3)
    minigrad.manual_seed(0)
    FakeData(10, (1, 2, 2))
    assert minigrad.rand(3).equal(expected)


def test_fake_data_range():
    data = FakeData(400, (1, 8, 8), num_classes=3)
    assert data.images.dtype == minigrad.uint8
    assert (data.images.min().item(), data.images.max().item()) == (0, 255)
    assert sorted(set(data.labels.tolist())) == [0, 1, 2]
    assert len(data.classes) == 3


# What they share


def small(**options):
    images = minigrad.arange(2 * 3 * 2 * 2, dtype=minigrad.uint8).reshape(2, 3, 2, 2)
    return ImageDataset(images, minigrad.tensor([1, 0]), ("cat", "dog"), **options)


def test_samples_and_tensors():
    data = small(maximum=4)
    images, labels = data.tensors()
    np.testing.assert_array_equal(images.numpy(), np.arange(24, dtype="float32").reshape(2, 3, 2, 2) / 4)
    assert labels.tolist() == [1, 0]
    assert data[-1][0].equal(data[1][0])
    assert [label for _, label in data] == [1, 0]


def test_transforms_of_samples():
    data = small(transform=lambda image: image.sum().item(), target_transform=lambda label: "ab"[label])
    assert data[0] == (pytest.approx(sum(range(12)) / 255), "b")


def test_mean_and_std():
    data = FakeData(2100, (3, 5, 4))  # more than are summed at a time
    mean, std = data.mean_and_std()
    images = data.images.numpy() / 255
    np.testing.assert_allclose(mean.numpy(), images.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(std.numpy(), images.std((0, 2, 3)), rtol=1e-6)


def test_loader_makes_batches():
    images, labels = next(iter(DataLoader(Digits(), batch_size=7)))
    assert images.shape == (7, 1, 8, 8)
    assert images.dtype == minigrad.float32
    assert labels.tolist() == Digits().labels[:7].tolist()


@pytest.mark.parametrize("index", [2, np.int64(2), np.array(2), minigrad.tensor(2), -357])
def test_integers_of_any_kind(index):
    image, label = Digits(train=False)[index]
    expected, same = Digits(train=False)[2]
    np.testing.assert_array_equal(image.numpy(), expected.numpy())
    assert label == same


@pytest.mark.parametrize("index", ["a", 1.5, slice(2), [0, 1], None])
def test_no_integer(index):
    with pytest.raises(TypeError, match="Digits: expected an integer as index, got "):
        Digits(train=False)[index]


@pytest.mark.parametrize("index", [2, -3])
def test_index_out_of_range(index):
    with pytest.raises(IndexError, match=rf"ImageDataset: expected an index in 0\.\.1, got {index}"):
        small()[index]


@pytest.mark.parametrize(("images", "labels"), [((2, 3, 4), (2,)), ((2, 1, 3, 4), (3,)), ((2, 1, 3, 4), (2, 1))])
def test_shapes_that_do_not_belong_together(images, labels):
    with pytest.raises(ValueError, match=r"ImageDataset: expected images \(N, C, H, W\) and labels \(N,\), got"):
        ImageDataset(minigrad.zeros(images, dtype="uint8"), minigrad.zeros(labels, dtype="int64"), ())


def test_names():
    assert datasets.__all__ == ["CIFAR10", "Digits", "FakeData", "ImageDataset"]
