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

from ..._tensor import Tensor
from ...io import CheckpointError, load, signatures
from ...nn import Module
from ..download import checksum, describe, fetch

TORCHVISION = "https://download.pytorch.org/models/"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
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
        interpolation: the filter of resizing, one of ``transforms.Resize``.
        mean: of each channel, which is taken away from the pixels in 0..1; ImageNet's unless given.
        std: of each channel, which the pixels are divided by after that.
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
    interpolation: str = "bilinear"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
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
    return Path(home).expanduser().absolute() / "checkpoints"


def search_path() -> list[Path]:
    """The folders where weights may lie: those that MINIGRAD_CHECKPOINT_PATH names, and the one where they are kept."""
    named = os.environ.get("MINIGRAD_CHECKPOINT_PATH", "").split(os.pathsep)
    return [*(Path(folder).expanduser().absolute() for folder in named if folder), checkpoint_folder()]


def locate(published: Published) -> Path | None:
    """The file of published weights in the first folder of the search path that has it, not verified; None if none has."""
    paths = [folder / published.file for folder in search_path()]
    return next((path for path in paths if path.is_file()), None)


def find(published: Published) -> Path:
    """The verified file of published weights: found in a folder of the search path, or else fetched.

    Raises:
        RuntimeError: if it is damaged, or nowhere and cannot be fetched; the message says what to put where.
    """
    path = locate(published)
    if path is not None:
        verify(path, published)
        return path
    try:
        fetch(published.url, published.path, published.sha256, "sha256")
    except RuntimeError as error:
        folders = [f"{folder}" if folder.is_dir() else f"{folder} (no such folder)" for folder in search_path()]
        raise RuntimeError(
            f"{error}, or into another folder that MINIGRAD_CHECKPOINT_PATH names; searched so far: {', '.join(folders)}"
        ) from error
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
    torch do not allow. Any other file is read with the checksums in it; it may be of a whole training, with the state dict
    under "model" or "state_dict".

    Raises:
        CheckpointError: if the file is no checkpoint.
        RuntimeError: if its state dict does not fit the network, or the network is on the meta device; the message names the
            file.
    """
    if any(tensor.device.type == "meta" for tensor in (*model.parameters(), *model.buffers())):
        raise RuntimeError(
            f"weights: expected a network with memory for {path}, got one on the meta device; build it on another device, "
            f"or without weights, and then model.load_state_dict(minigrad.load(path), assign=True)"
        )
    with path.open("rb") as file:
        archive = file.read(len(signatures.ZIP)) == signatures.ZIP
    state = load(path, mmap=archive and published is not None)
    if not isinstance(state, dict):
        raise CheckpointError(f"weights: expected {path} to hold a state dict, got a {type(state).__name__}")
    state = _state_dict(state)
    if published is not None and published.prepare is not None:
        state = published.prepare(state, model)
    if state and all(str(key).startswith("module.") for key in state) and not hasattr(model, "module"):
        raise RuntimeError(
            f"weights: {path}: every key starts with 'module.', as DataParallel writes them; load the file with minigrad.load, "
            f"take that away from the keys, and save it"
        )
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise RuntimeError(f"weights: {path}: {error}") from None


def _state_dict(loaded: State) -> State:
    """The state dict in a file: all of it, or what it has under "model" or "state_dict" beside other things of a training."""
    inner = [loaded[key] for key in ("model", "state_dict") if isinstance(loaded.get(key), dict)]
    inner = [state for state in inner if any(isinstance(value, Tensor) for value in state.values())]
    return inner[0] if len(inner) == 1 else loaded
