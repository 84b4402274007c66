"""CIFAR-10: archives made here, byte by byte, in the layout that its authors publish."""

import hashlib
import io
import tarfile

import pytest

import minigrad
from minigrad.vision.datasets import CIFAR10, cifar

TRAIN = [f"data_batch_{i}.bin" for i in range(1, 6)]
MEMBERS = [*TRAIN, "test_batch.bin"]
FEW = 20


def records(member, count):
    """Records whose labels and pixels tell which member, channel, row and column they come from."""
    number = MEMBERS.index(member)
    channels = [[(40 * channel + number + 2 * row) % 256 for row in range(32) for _ in range(32)] for channel in range(3)]
    channels[2][31] = 255  # the blue plane's first row ends with it
    pixels = bytes(value for channel in channels for value in channel)
    return b"".join(bytes([(number + i) % 10]) + pixels for i in range(count))


def write_archive(folder, contents):
    with tarfile.open(folder / cifar.ARCHIVE, "w:gz", compresslevel=1) as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return folder


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(cifar, "RECORDS_PER_FILE", FEW)


@pytest.fixture
def contents(few):
    return {member: records(member, FEW) for member in MEMBERS}


def test_whole_archive(tmp_path):
    write_archive(tmp_path, {member: records(member, 10_000) for member in MEMBERS})
    test = CIFAR10(tmp_path, train=False)
    assert len(test) == 10_000
    assert test.labels[:3].tolist() == [5, 6, 7]
    del test
    train = CIFAR10(tmp_path)
    assert train.images.shape == (50_000, 3, 32, 32)
    assert train.images.dtype == minigrad.uint8
    assert train.labels[[0, 10_000, 49_999]].tolist() == [0, 1, 3]


def test_pixels_and_labels(tmp_path, contents):
    train = CIFAR10(write_archive(tmp_path, contents))
    assert len(train) == 5 * FEW
    for number in range(5):
        image = train.images[number * FEW]
        assert image[:, 0, 0].tolist() == [number, 40 + number, 80 + number]
        assert image[0, :, 3].tolist() == [number + 2 * row for row in range(32)]
        assert image[2, 0, 31].item() == 255
        assert train.labels[number * FEW].item() == number
    image, label = train[FEW + 1]
    assert image.dtype == minigrad.float32
    assert image[1, 2, 0].item() == pytest.approx(45 / 255)
    assert (label, train.classes[label]) == (2, "bird")


def test_members_in_another_order_and_other_files(tmp_path, contents):
    shuffled = {"readme.html": b"<html>", **{name: contents[name] for name in reversed(MEMBERS)}}
    train = CIFAR10(write_archive(tmp_path, shuffled))
    assert train.images[:, 0, 0, 0][::FEW].tolist() == [0, 1, 2, 3, 4]


def test_missing_archive(tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        CIFAR10(tmp_path)
    for part in (str(tmp_path / cifar.ARCHIVE), "download=True", cifar.URL, cifar.MD5):
        assert part in str(raised.value)


def test_missing_member(tmp_path, contents):
    del contents["data_batch_3.bin"]
    write_archive(tmp_path, contents)
    with pytest.raises(RuntimeError, match=r"lacks data_batch_3\.bin; expected md5 .* delete it and fetch https"):
        CIFAR10(tmp_path)
    assert len(CIFAR10(tmp_path, train=False)) == FEW


def test_member_of_another_size(tmp_path, contents):
    contents["test_batch.bin"] = contents["test_batch.bin"][:-1]
    write_archive(tmp_path, contents)
    with pytest.raises(RuntimeError, match=rf"expected {FEW * 3073} bytes in .*test_batch\.bin, got {FEW * 3073 - 1}"):
        CIFAR10(tmp_path, train=False)


def test_labels_out_of_range(tmp_path, contents):
    contents["data_batch_2.bin"] = b"\x0b" + contents["data_batch_2.bin"][1:]
    write_archive(tmp_path, contents)
    with pytest.raises(RuntimeError, match=r"expected labels 0\.\.9 in .*, got 11"):
        CIFAR10(tmp_path)


def damaged(whole):
    """Ways in which a file can be broken."""
    middle = len(whole) // 2
    return {
        "empty": b"",
        "no archive": b"<html>404</html>",
        "truncated": whole[:middle],
        "without its end": whole[:-8],
        "wrong bytes": whole[:middle] + bytes(byte ^ 0xFF for byte in whole[middle : middle + 64]) + whole[middle + 64 :],
        "wrong checksum of gzip": whole[:-8] + b"\x00" * 8,
    }


@pytest.mark.parametrize("damage", damaged(b""))
def test_damaged_archive(tmp_path, contents, damage):
    path = write_archive(tmp_path, contents) / cifar.ARCHIVE
    path.write_bytes(damaged(path.read_bytes())[damage])
    found = hashlib.md5(path.read_bytes()).hexdigest()
    with pytest.raises(RuntimeError) as raised:
        CIFAR10(tmp_path)
    assert f"{path} cannot be read" in str(raised.value)
    assert f"expected md5 {cifar.MD5}, got {found}" in str(raised.value)


def test_verdict_on_the_published_file(tmp_path, contents, monkeypatch):
    """Where the checksum is right, what is wrong is not the download."""
    del contents["data_batch_1.bin"]
    path = write_archive(tmp_path, contents) / cifar.ARCHIVE
    monkeypatch.setattr(cifar, "MD5", hashlib.md5(path.read_bytes()).hexdigest())
    with pytest.raises(RuntimeError, match="its md5 is the published one"):
        CIFAR10(tmp_path)


def test_download_only_where_the_archive_is_missing(tmp_path, contents, monkeypatch):
    calls = []

    def fetch(url, path, md5):
        calls.append((url, path, md5))
        write_archive(tmp_path, contents)

    monkeypatch.setattr(cifar, "fetch", fetch)
    for _ in range(2):
        assert len(CIFAR10(tmp_path, download=True)) == 5 * FEW
    assert calls == [(cifar.URL, tmp_path / cifar.ARCHIVE, cifar.MD5)]
