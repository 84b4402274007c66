"""The networks by name: ``register_model`` gives a builder its place here, and published weights to start from."""

from __future__ import annotations

import difflib
import fnmatch
import functools
import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ...nn import Module
from .weights import Published, find, load_weights, locate, verify

__all__ = ["Published", "find_weights", "get_model", "get_model_weights", "list_models", "register_model"]

Network = TypeVar("Network", bound=Module)


@dataclass(frozen=True)
class Entry:
    """A builder in the registry; ``published`` has its default weights once more under the name DEFAULT."""

    name: str
    build: Callable[..., Any]
    published: Mapping[str, Published]


_entries: dict[str, Entry] = {}

# What to do where weights are for another value of an argument.
_ADVICE = {
    "num_classes": "build the network with these weights, then replace the last layer",
    "in_channels": "build the network with these weights, then replace the first layer",
    "image_size": "resize the images to the size of these weights, which have an embedding for each of its positions",
}


def register_model(
    *, default: str | None = None, **published: Published
) -> Callable[[Callable[..., Network]], Callable[..., Network]]:
    """A decorator for functions that build a network: it enters them in the registry under their name.

    The function gets two more arguments, by keyword only. ``weights`` is the name of published weights, "DEFAULT", the
    path of a checkpoint file, or of a folder that has the published file; None leaves the random weights. A file with the
    name of a published one has to be that. ``pretrained=True`` means the first published weights.

    Published files are found in the folders that MINIGRAD_CHECKPOINT_PATH lists, or in ``checkpoints`` of the folder
    MINIGRAD_HOME (~/.cache/minigrad), where they are also fetched to.

    Args:
        default: the name of the weights that "DEFAULT" means; the first unless given.
        published: the weights by name, the oldest first.

    Raises:
        ValueError: if the name is in the registry already, or ``default`` is no name of published weights.

    >>> from minigrad import nn
    >>> from minigrad.vision.models.registry import register_model
    >>> @register_model()
    ... def one_layer(num_classes: int = 10) -> nn.Linear:
    ...     return nn.Linear(64, num_classes)
    >>> get_model("one_layer", num_classes=3)
    Linear(in_features=64, out_features=3, bias=True)
    >>> del _entries["one_layer"]
    """
    names = dict(published)
    if published:
        default = next(iter(published)) if default is None else default
        if default not in published:
            raise ValueError(f"register_model: expected default to be one of {', '.join(published)}, got {default!r}")
        names["DEFAULT"] = published[default]
    elif default is not None:
        raise ValueError(f"register_model: expected published weights for default={default!r}, got none")

    def register(build: Callable[..., Network]) -> Callable[..., Network]:
        entry = Entry(build.__name__, build, names)

        @functools.wraps(build)
        def builder(*args: Any, weights: str | os.PathLike | None = None, pretrained: bool = False, **options: Any) -> Network:
            return _build(entry, weights, pretrained, args, options)

        before = _entries.get(entry.name)
        if before is not None and before.build.__module__ != build.__module__:  # the same module may be loaded anew
            raise ValueError(
                f"register_model: expected a new name, got {entry.name!r} of {build.__module__}, "
                f"which is that of {before.build.__module__}.{entry.name}"
            )
        builder.__signature__ = _with_weights(inspect.signature(build))  # type: ignore[attr-defined]
        _entries[entry.name] = Entry(entry.name, builder, names)
        return builder

    return register


def list_models(filter: str | None = None) -> list[str]:
    """The names of all networks, in alphabetical order.

    Args:
        filter: a pattern that the names must match, with ``*`` and ``?`` as in file names.

    >>> from minigrad.vision.models import list_models
    >>> list_models("resnet?0")
    ['resnet20', 'resnet50']
    """
    return sorted(name for name in _entries if filter is None or fnmatch.fnmatchcase(name, filter))


def get_model(name: str, **options: Any) -> Module:
    """Build a network by its name.

    Args:
        name: one of ``list_models()``.
        options: arguments of its builder, such as ``num_classes``, ``in_channels``, ``weights`` and ``pretrained``.

    Raises:
        ValueError: if there is no such network.

    >>> from minigrad.vision.models import get_model
    >>> type(get_model("resnet20", num_classes=3)).__name__
    'CIFARResNet'
    """
    return _entry("get_model", name).build(**options)


def get_model_weights(name: str) -> dict[str, Published]:
    """The published weights of a network, by the names that its argument ``weights`` takes; {} if there are none.

    Args:
        name: one of ``list_models()``.

    Raises:
        ValueError: if there is no such network.

    >>> from minigrad.vision.models import get_model_weights
    >>> weights = get_model_weights("resnet18")
    >>> list(weights)
    ['IMAGENET1K_V1', 'DEFAULT']
    >>> weights["DEFAULT"].url
    'https://download.pytorch.org/models/resnet18-f37072fd.pth'
    """
    return dict(_entry("get_model_weights", name).published)


def find_weights(name: str, weights: str | os.PathLike | None) -> tuple[Published | None, Path | None]:
    """What a network's argument ``weights`` means: the published weights, if it is these, and the file, if it is here.

    Args:
        name: one of ``list_models()``.
        weights: as the network takes it.

    Returns:
        The published weights, None for a file of one's own; and the path of the file, not verified yet, None if the network
        would fetch it. Both are None for no weights.

    Raises:
        ValueError: if there is no such network, or no such weights; TypeError for weights that are no str and no path.

    >>> from minigrad.vision.models import find_weights
    >>> published, path = find_weights("resnet50", "IMAGENET1K_V2")
    >>> published.resize, published.crop
    (232, 224)
    """
    published, path = _source(_entry("find_weights", name), weights, False)
    return published, locate(published) if published is not None and path is None else path


def _entry(function: str, name: str) -> Entry:
    if name not in _entries:
        close = difflib.get_close_matches(str(name), _entries, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "see list_models()"
        raise ValueError(f"{function}: expected the name of a network, got {name!r}; {hint}")
    return _entries[name]


def _build(entry: Entry, weights: Any, pretrained: bool, args: tuple, options: dict[str, Any]) -> Any:
    """The network, with weights in it if any are asked for."""
    published, path = _source(entry, weights, pretrained)
    if published is not None:
        options = _with_options(entry, published, args, options)
        if path is None:
            path = find(published)
        else:
            verify(path, published)
    model = entry.build(*args, **options)
    if path is not None:
        load_weights(model, path, published)
    return model


def _source(entry: Entry, weights: Any, pretrained: bool) -> tuple[Published | None, Path | None]:
    """What the arguments ask for: published weights, a file, a file that is the published one, or neither."""
    if pretrained:
        if weights is not None:
            raise ValueError(f"{entry.name}: expected weights or pretrained=True, got both")
        if not entry.published:
            raise ValueError(f"{entry.name}: expected a network with published weights for pretrained=True, and it has none")
        weights = next(iter(entry.published))
    if weights is None:
        return None, None
    if not isinstance(weights, (str, os.PathLike)):
        raise TypeError(f"{entry.name}: expected weights to be a name or a path, got a {type(weights).__name__}")
    if isinstance(weights, str) and weights in entry.published:
        return entry.published[weights], None
    if not os.fspath(weights):
        raise ValueError(f"{entry.name}: expected weights to be a name or a path, got {weights!r}")
    path = Path(weights).expanduser()
    by_file = {published.file: published for published in reversed(list(entry.published.values()))}  # DEFAULT is the last
    if path.is_dir():
        there = [file for file in by_file if (path / file).is_file()]
        if not there:
            names = " or ".join(by_file) or "none, since no weights of this network are published"
            raise ValueError(f"{entry.name}: expected the folder {path} to have a file of published weights ({names})")
        path = path / there[0]
    if not path.is_file():
        if not entry.published:
            raise ValueError(
                f"{entry.name}: expected weights to be the path of a checkpoint file, got {os.fspath(weights)!r}, which is "
                f"none; weights of this network are not published"
            )
        names = ", ".join([*entry.published, "the path of a checkpoint file"])
        raise ValueError(f"{entry.name}: expected weights to be one of {names}, got {os.fspath(weights)!r}")
    return by_file.get(path.name), path


def _with_options(entry: Entry, published: Published, args: tuple, options: dict[str, Any]) -> dict[str, Any]:
    """The caller's options and those that belong to the weights; ValueError if the weights cannot be had with them."""
    signature = inspect.signature(entry.build)
    positional = [p for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(args) > len(positional):
        raise TypeError(f"{entry.name}: expected at most {len(positional)} positional arguments, got {len(args)}")
    given = {**signature.bind_partial(*args).arguments, **options}
    for option, value in published.required.items():
        if given.get(option, value) != value:
            raise ValueError(
                f"{entry.name}: expected {option}={value} with the weights of {published.file}, got {given[option]}; "
                f"{_ADVICE.get(option, f'these weights are for {option}={value} alone')}"
            )
    return {**{option: value for option, value in published.options.items() if option not in given}, **options}


def _with_weights(signature: inspect.Signature) -> inspect.Signature:
    """A builder's signature with the two arguments that the registry adds."""
    kind = inspect.Parameter.KEYWORD_ONLY
    added = [
        inspect.Parameter("weights", kind, default=None, annotation="str | os.PathLike | None"),
        inspect.Parameter("pretrained", kind, default=False, annotation="bool"),
    ]
    parameters = list(signature.parameters.values())
    last = len(parameters) - (bool(parameters) and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD)
    return signature.replace(parameters=[*parameters[:last], *added, *parameters[last:]])
