"""Batch normalisation folded into the convolution before it: a trained network then has one layer less to compute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from itertools import pairwise
from typing import Any, TypeVar

from ..._tensor import Tensor
from ...autograd import no_grad
from ..arguments import an
from ..container import Sequential
from ..conv import Conv1d, Conv2d, ConvTranspose2d
from ..hooks import KINDS
from ..linear import Identity
from ..module import Module
from ..normalization import BatchNorm1d, BatchNorm2d
from ..parameter import Parameter

Model = TypeVar("Model", bound=Module)
Convolution = TypeVar("Convolution", bound=Conv1d | Conv2d | ConvTranspose2d)

# A subclass may compute something else, so the types have to be exactly these.
_NORM_BEHIND: dict[type, type[Any]] = {Conv1d: BatchNorm1d, Conv2d: BatchNorm2d, ConvTranspose2d: BatchNorm2d}


@no_grad()
def fuse_conv_bn(model: Model, pairs: Sequence[tuple[str, str]] = ()) -> Model:
    """A copy of a model whose batch normalisations are part of the convolutions before them.

    Weight and bias become those of ``fuse_conv_bn_eval``, and an Identity takes the place of the batch normalisation, so that
    all other modules keep their names. In every ``Sequential``, at any depth, this happens by itself where a batch
    normalisation with running statistics comes right after a convolution, and neither has hooks. What follows what in a
    forward of one's own cannot be seen from outside; ``pairs`` says it.

    Args:
        model: in evaluation mode; it is not changed.
        pairs: paths of a convolution and of the batch normalisation that alone gets its output, for further ones.

    Returns:
        The copy, in evaluation mode.

    Raises:
        RuntimeError: if the model, or one of two layers to be fused, is in training mode, or a layer of ``pairs`` has hooks.
        TypeError: if ``model`` is no Module, ``pairs`` are no pairs of strings, or a path leads to another kind of layer.
        ValueError: if a path leads nowhere, the numbers of channels differ, or a batch normalisation of ``pairs`` has no
            running statistics.

    >>> from minigrad import nn
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    >>> nn.utils.fuse_conv_bn(model.eval())
    Sequential(
      (0): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))
      (1): Identity()
      (2): ReLU()
    )
    >>> from minigrad.vision.models import resnet20
    >>> fused = nn.utils.fuse_conv_bn(resnet20().eval(), pairs=[("conv1", "bn1"), ("layer1.0.conv1", "layer1.0.bn1")])
    >>> fused.bn1, fused.layer1[0].bn1
    (Identity(), Identity())
    """
    if not isinstance(model, Module):
        raise TypeError(f"fuse_conv_bn: expected a Module, got {an(type(model).__name__)}")
    if model.training:
        raise RuntimeError(
            f"fuse_conv_bn: expected a model in evaluation mode, got {an(type(model).__name__)} in training mode; "
            "call model.eval() first"
        )
    given = [_as_paths(pair) for pair in pairs]
    fused = deepcopy(model)
    for conv_path, bn_path in dict.fromkeys([*_pairs_in_sequentials(fused), *given]):
        conv, bn = _module_at(fused, conv_path), _module_at(fused, bn_path)
        _check("fuse_conv_bn", conv, bn, repr(conv_path), repr(bn_path))
        for path, module in ((conv_path, conv), (bn_path, bn)):
            if _has_hooks(module):
                raise RuntimeError(f"fuse_conv_bn: expected {path!r} to have no hooks, got {type(module).__name__} with hooks")
        # Not changed but replaced: the same convolution may be called in other places too.
        _replace(fused, conv_path, _fused(conv, bn))
        _replace(fused, bn_path, Identity().eval())
    return fused


@no_grad()
def fuse_conv_bn_eval(conv: Convolution, bn: BatchNorm1d | BatchNorm2d, transpose: bool = False) -> Convolution:
    """A convolution that computes what a convolution and the batch normalisation behind it do in evaluation mode.

    With ``scale = bn.weight / √(running_var + eps)``, a number for each output channel, it has the weight
    ``conv.weight · scale`` and the bias ``(conv.bias − running_mean) · scale + bn.bias``, computed in float64.

    Args:
        conv: Conv1d, Conv2d or ConvTranspose2d, in evaluation mode, with any groups; it is not changed.
        bn: BatchNorm1d behind Conv1d, else BatchNorm2d, in evaluation mode, with running statistics.
        transpose: whether ``conv`` is a ConvTranspose2d.

    Returns:
        A copy of ``conv`` with new parameters of the weight's dtype. They require grad where those of ``conv`` do; a bias that
        ``conv`` did not have does not.

    Raises:
        RuntimeError: if one of the two is in training mode.
        TypeError: if they are of other types (exactly; subclasses may compute something else).
        ValueError: if the numbers of channels differ, there are no running statistics, or ``transpose`` is wrong.

    >>> import minigrad
    >>> from minigrad import nn
    >>> conv, bn = nn.Conv2d(1, 1, kernel_size=1, bias=False).eval(), nn.BatchNorm2d(1, eps=0.0).eval()
    >>> with minigrad.no_grad():
    ...     values = conv.weight.fill_(6), bn.running_mean.fill_(3), bn.running_var.fill_(4)
    >>> fused = nn.utils.fuse_conv_bn_eval(conv, bn)
    >>> fused.weight.item(), fused.bias.item()
    (3.0, -1.5)
    """
    _check("fuse_conv_bn_eval", conv, bn, "conv", "bn")
    if bool(transpose) != conv.transposed:
        raise ValueError(
            f"fuse_conv_bn_eval: expected transpose={conv.transposed} for {an(type(conv).__name__)}, got {transpose}"
        )
    return _fused(conv, bn)


def _fused(conv: Any, bn: Any) -> Any:
    """See ``fuse_conv_bn_eval``."""
    mean, var, weight = (tensor.to(dtype="float64") for tensor in (bn.running_mean, bn.running_var, conv.weight))
    scale = (var + bn.eps).rsqrt()
    scale = scale if bn.weight is None else scale * bn.weight
    bias = -mean * scale if conv.bias is None else (conv.bias - mean) * scale
    bias = bias if bn.bias is None else bias + bn.bias
    scaled, dtype = _scaled(weight, scale, conv), conv.weight.dtype
    fused = deepcopy(conv)
    fused.weight = Parameter(scaled.to(dtype=dtype), conv.weight.requires_grad)
    fused.bias = Parameter(bias.to(dtype=dtype), conv.bias is not None and conv.bias.requires_grad)
    return fused


def _scaled(weight: Tensor, scale: Tensor, conv: Any) -> Tensor:
    """A convolution's weight times a factor for each of its output channels."""
    ones = (1,) * conv.dimensions
    if not conv.transposed:
        return weight * scale.reshape(-1, 1, *ones)
    by_group = weight.reshape(conv.groups, -1, *weight.shape[1:])  # (I, O / G, …) -> (G, I / G, O / G, …)
    return (by_group * scale.reshape(conv.groups, 1, -1, *ones)).reshape(weight.shape)


def _check(function: str, conv: Any, bn: Any, conv_name: str, bn_name: str) -> None:
    """Raise the error that says why a convolution and a batch normalisation cannot be fused, if they cannot."""
    if type(conv) not in _NORM_BEHIND:
        kinds = "Conv1d, Conv2d or ConvTranspose2d"
        raise TypeError(f"{function}: expected {conv_name} to be a {kinds}, got {an(type(conv).__name__)}")
    behind = _NORM_BEHIND[type(conv)]
    if type(bn) is not behind:
        raise TypeError(
            f"{function}: expected {bn_name} to be a {behind.__name__}, behind a {type(conv).__name__}, "
            f"got {an(type(bn).__name__)}"
        )
    for name, module in ((conv_name, conv), (bn_name, bn)):
        if module.training:
            raise RuntimeError(
                f"{function}: expected {name} to be in evaluation mode, got a {type(module).__name__} in training mode"
            )
    if not _has_statistics(bn):
        raise ValueError(f"{function}: expected {bn_name} to have running statistics, got a {behind.__name__} without")
    if conv.out_channels != bn.num_features:
        raise ValueError(
            f"{function}: expected {bn_name} to have the {conv.out_channels} channels that come from {conv_name}, "
            f"got {bn.num_features}"
        )


def _pairs_in_sequentials(model: Module) -> Iterator[tuple[str, str]]:
    """The paths of each convolution, and of the batch normalisation right behind it, that may be fused unasked."""
    for path, module in model.named_modules():
        if not isinstance(module, Sequential) or type(module).forward is not Sequential.forward:
            continue
        prefix = f"{path}." if path else ""
        for (conv_name, conv), (bn_name, bn) in pairwise(module._own("module")):
            if type(bn) is not _NORM_BEHIND.get(type(conv)) or not _has_statistics(bn):
                continue
            if not _has_hooks(conv) and not _has_hooks(bn):
                yield prefix + conv_name, prefix + bn_name


def _has_statistics(bn: Any) -> bool:
    return bn.running_mean is not None and bn.running_var is not None


def _has_hooks(module: Module) -> bool:
    return module._hooks is not None and any(getattr(module._hooks, kind) for kind in KINDS)


def _as_paths(pair: Any) -> tuple[str, str]:
    if isinstance(pair, (tuple, list)) and len(pair) == 2 and all(isinstance(path, str) for path in pair):
        return pair[0], pair[1]
    raise TypeError(f"fuse_conv_bn: expected pairs of two paths of modules, got {pair!r} for a pair")


def _module_at(model: Module, path: str) -> Module:
    try:
        return model.get_submodule(path)
    except AttributeError as error:
        raise ValueError(f"fuse_conv_bn: expected the path of a module, got {path!r}: {error}") from None


def _replace(model: Module, path: str, module: Module) -> None:
    parent, _, name = path.rpartition(".")
    model.get_submodule(parent).register_module(name, module)
