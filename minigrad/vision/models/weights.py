"""Published weights: which file holds them, where it is found or fetched to, and how it gets into a network.

A file is verified each time it is used: its SHA-256 takes less time than reading it into tensors, and a note that it
was right once could outlive the file that it was about.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...io import CheckpointError, load, signatures
from ...nn import Module
from ..download import checksum, describe, fetch

TORCHVISION = "https://download.pytorch.org/models/"
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.\w+\Z")

State = dict[str, Any]


@dataclass(frozen=True)
class Published:
    """Weights that somebody published: a file, and what goes with it.

    Args:
        file: its name, which ends in the first eight or more hexadecimal digits of its SHA-256: ``resnet18-f37072fd.pth``.
        url: where it is; torchvision's folder of files unless given.
        options: arguments of the network that belong to these weights; the caller's own come before them.
        required: arguments of the network that cannot be others with these weights.
        prepare: a function of the file's state dict and the network that returns the state dict to load.
        resize: the pixels of an image's shorter side before the crop, as the weights were evaluated.
        crop: the side of the square that is cut out of its middle.
        top1: the published accuracy in percent on ImageNet's validation images, with one crop.

    Raises:
        ValueError: if the file's name does not end in digits of its SHA-256.

    >>> Published("resnet18-f37072fd.pth").url
    'https://download.pytorch.org/models/resnet18-f37072fd.pth'
    >>> Published("resnet18-f37072fd.pth").sha256
    'f37072fd'
    """

    file: str
    url: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    required: Mapping[str, Any] = field(default_factory=lambda: {"num_classes": 1000, "in_channels": 3})
    prepare: Callable[[State, Any], State] | None = None
    resize: int = 256
    crop: int = 224
    top1: float | None = None

    def __post_init__(self) -> None:
        if _HASH_IN_NAME.search(self.file) is None or Path(self.file).name != self.file:
            raise ValueError(f"Published: expected a file name like 'resnet18-f37072fd.pth', got {self.file!r}")
        if not self.url:
            object.__setattr__(self, "url", TORCHVISION + self.file)

    @property
    def sha256(self) -> str:
        """The beginning of the file's SHA-256."""
        match = _HASH_IN_NAME.search(self.file)
        assert match is not None  # __post_init__ has seen it
        return match[1]

    @property
    def path(self) -> Path:
        """Where the file is kept."""
        return checkpoint_folder() / self.file


def checkpoint_folder() -> Path:
    """Where downloaded weights are kept: ``checkpoints`` in the folder MINIGRAD_HOME, or else in ~/.cache/minigrad."""
    home = os.environ.get("MINIGRAD_HOME") or "~/.cache/minigrad"
    return Path(home).expanduser() / "checkpoints"


def search_path() -> list[Path]:
    """The folders where weights may lie: those that MINIGRAD_CHECKPOINT_PATH names, and the one where they are kept."""
    named = os.environ.get("MINIGRAD_CHECKPOINT_PATH", "").split(os.pathsep)
    return [*(Path(folder).expanduser() for folder in named if folder), checkpoint_folder()]


def find(published: Published) -> Path:
    """The verified file of published weights: found in a folder of the search path, or else fetched.

    Raises:
        RuntimeError: if it is damaged, or nowhere and cannot be fetched; the message says what to put where.
    """
    for folder in search_path():
        path = folder / published.file
        if path.is_file():
            verify(path, published)
            return path
    fetch(published.url, published.path, published.sha256, "sha256")
    return published.path


def verify(path: Path, published: Published) -> None:
    """Raise RuntimeError unless a file is the one that was published."""
    found = checksum(path, "sha256")
    if not found.startswith(published.sha256):
        raise RuntimeError(
            f"weights: expected {describe(published.sha256, 'sha256')} for {path}, got {found}; "
            f"delete it, or put what {published.url} gives in its place"
        )


def load_weights(model: Module, path: Path, published: Published | None) -> None:
    """Load a checkpoint file into a network, all or nothing.

    A published file has been verified as a whole, so that it can be mapped instead of read, which the legacy formats of
    torch do not allow. Any other file is read with the checksums in it.

    Raises:
        CheckpointError: if the file is no checkpoint.
        RuntimeError: if its state dict does not fit the network; the message names the file.
    """
    with path.open("rb") as file:
        archive = file.read(len(signatures.ZIP)) == signatures.ZIP
    state = load(path, mmap=archive and published is not None)
    if not isinstance(state, dict):
        raise CheckpointError(f"weights: expected {path} to hold a state dict, got a {type(state).__name__}")
    if published is not None and published.prepare is not None:
        state = published.prepare(state, model)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise RuntimeError(f"weights: {path}: {error}") from None
