"""Functions on the parameters of a network and their gradients: PyTorch's ``nn.utils``."""

from .clip import clip_grad_norm_, clip_grad_value_
from .fusion import fuse_conv_bn as fuse_conv_bn  # public, but not in __all__, whose names are PyTorch's
from .fusion import fuse_conv_bn_eval
from .vector import parameters_to_vector, vector_to_parameters

__all__ = ["clip_grad_norm_", "clip_grad_value_", "fuse_conv_bn_eval", "parameters_to_vector", "vector_to_parameters"]
