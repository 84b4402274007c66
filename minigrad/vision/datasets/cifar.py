"""CIFAR10: 60,000 colour images of 32×32 pixels, read from the archive that its authors publish."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ... import ops
from ..download import checksum, fetch
from .images import ImageDataset

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
ARCHIVE = "cifar-10-binary.tar.gz"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RECORD = 1 + 3 * 32 * 32  # a label, then the red, the green and the blue plane, row by row
RECORDS_PER_FILE = 10_000


class CIFAR10(ImageDataset):
    """The CIFAR-10 images (A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009).

    The binary version of the archive is read, as it is: it needs no unpickling, so an archive from anywhere is safe to open.

    Args:
        root: the folder with ``cifar-10-binary.tar.gz``.
        train: the 50,000 training images, or the 10,000 test images.
        transform: applied to each image, a (3, 32, 32) float32 tensor with values in 0..1.
        target_transform: applied to each label.
        download: fetch the archive (162 MB) if it is not there.

    Raises:
        FileNotFoundError: if the archive is not there and is not to be downloaded.
        RuntimeError: if the download fails, or the archive is damaged.

    >>> from minigrad.vision.datasets import CIFAR10
    >>> CIFAR10("nowhere")
    Traceback (most recent call last):
    FileNotFoundError: CIFAR10: nowhere/cifar-10-binary.tar.gz is not there; pass download=True, or fetch https://...
    """

    def __init__(
        self,
        root: str | Path,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        download: bool = False,
    ):
        path = Path(root) / ARCHIVE
        if not path.exists():
            if not download:
                raise FileNotFoundError(
                    f"CIFAR10: {path} is not there; pass download=True, or fetch {URL} (md5 {MD5}) and put it there"
                )
            fetch(URL, path, MD5)
        names = [f"data_batch_{i}.bin" for i in range(1, 6)] if train else ["test_batch.bin"]
        images, labels = _read(path, names)
        super().__init__(
            ops.from_numpy(images),
            ops.from_numpy(labels),
            CLASSES,
            transform=transform,
            target_transform=target_transform,
        )


def _read(path: Path, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) and labels (N,) of the named members of the archive."""
    parts: dict[str, np.ndarray] = {}
    try:
        with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                name = Path(member.name).name
                if name in names and member.isfile():
                    parts[name] = _records(archive, member)
            stream.read()  # up to the end, where gzip's own checksum is
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise RuntimeError(f"CIFAR10: {path} cannot be read ({error}); {_verdict(path)}") from error
    missing = [name for name in names if name not in parts]
    if missing:
        raise RuntimeError(f"CIFAR10: {path} lacks {', '.join(missing)}; {_verdict(path)}")
    records = np.concatenate([parts[name] for name in names])
    labels = records[:, 0].astype(np.int64)
    if labels.max() >= len(CLASSES):
        raise RuntimeError(f"CIFAR10: expected labels 0..9 in {path}, got {labels.max()}; {_verdict(path)}")
    return np.ascontiguousarray(records[:, 1:]).reshape(-1, 3, 32, 32), labels


def _records(archive: tarfile.TarFile, member: tarfile.TarInfo) -> np.ndarray:
    expected = RECORDS_PER_FILE * RECORD
    if member.size != expected:
        raise tarfile.TarError(f"expected {expected} bytes in {member.name}, got {member.size}")
    file = archive.extractfile(member)
    assert file is not None  # the caller has asked isfile()
    return np.frombuffer(file.read(), np.uint8).reshape(-1, RECORD)


def _verdict(path: Path) -> str:
    """What the checksum says about the file."""
    found = checksum(path)
    if found == MD5:
        return "its md5 is the published one"
    return f"expected md5 {MD5}, got {found}: delete it and fetch {URL} again"
