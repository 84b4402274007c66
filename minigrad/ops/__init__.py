"""What every operation means: one family per file, one Operation and one public function each."""

import sys

from .activation import *
from .adaptive_pooling import *
from .arithmetic import *
from .arithmetic import Abs, Add, Mul, Neg, Sub, add_in_place, scaled
from .attention import *
from .broadcasting import *
from .comparison import *
from .comparison import Bitwise
from .conv import *
from .conversion import *
from .conversion import Copy
from .creation import *
from .cross_entropy import *
from .cumulative import *
from .diagonals import *
from .division import *
from .division import Div, FloorDivide, Reciprocal, Remainder
from .dropout import *
from .einsum import *
from .elementwise import *
from .elementwise import Exp, Log, Sigmoid
from .embedding import *
from .extrema import *
from .extrema import clamp_
from .extreme_reduction import *
from .filled import *
from .gathering import *
from .generator import *
from .indexing import *
from .joining import *
from .linalg import *
from .linear import *
from .loss import *
from .normalization import *
from .norms import *
from .padding import *
from .pooling import *
from .powers import *
from .powers import Pow, Rsqrt, Sqrt, Square
from .random import *
from .random_inplace import bernoulli_, normal_, uniform_
from .rearranging import *
from .rectifier import *
from .rectifier import Relu
from .reduction import *
from .rounding import *
from .rounding import Ceil, Floor, Round, Trunc
from .scattering import *
from .scattering import index_add_, index_fill_, scatter_, scatter_add_
from .selection import *
from .selection import MaskedFill
from .shape import *
from .similarity import *
from .slicing import *
from .softmax import *
from .sorting import *
from .trigonometry import *
from .trigonometry import Cos, Sin, Tanh

FAMILIES = {
    "making tensors": ("creation", "filled", "conversion"),
    "random numbers": ("generator", "random", "dropout"),
    "arithmetic": ("arithmetic", "division", "powers", "rounding", "extrema"),
    "elementwise functions": ("elementwise", "trigonometry"),
    "comparison and logic": ("comparison",),
    "reductions": ("reduction", "extreme_reduction", "norms", "cumulative", "sorting"),
    "shape": ("shape", "broadcasting", "slicing", "diagonals", "rearranging", "joining", "padding"),
    "indexing": ("indexing", "selection", "gathering", "scattering", "embedding"),
    "linear algebra": ("linalg", "einsum", "linear"),
    "activations": ("rectifier", "activation", "softmax"),
    "layers' operations": ("conv", "pooling", "adaptive_pooling", "normalization", "attention"),
    "losses": ("loss", "cross_entropy", "similarity"),
}
"""The files with public operations, by subject. (The other names above are what Tensor's in-place methods need.)"""

__all__ = [name for files in FAMILIES.values() for file in files for name in sys.modules[f"{__name__}.{file}"].__all__]
