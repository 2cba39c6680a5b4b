"""Dense layers as convolutions: three forms of one layer, proved equal.

A dense layer equals a convolution whose kernel covers its whole input, and equals a 1x1
convolution over an input whose pixels were moved into channels.
"""

from fcconv import rounding
from fcconv.backend import backend, backends
from fcconv.errors import BackendError, DtypeError, FcconvError, ShapeError, UnsupportedError
from fcconv.ops import conv, conv1x1, dense, im2col
from fcconv.pools import avg_pool, max_pool
from fcconv.weights import conv_to_dense, dense_to_conv, dense_to_conv1x1

__version__ = "0.1.0"

__all__ = [
    "BackendError",
    "DtypeError",
    "FcconvError",
    "ShapeError",
    "UnsupportedError",
    "avg_pool",
    "backend",
    "backends",
    "conv",
    "conv1x1",
    "conv_to_dense",
    "dense",
    "dense_to_conv",
    "dense_to_conv1x1",
    "im2col",
    "max_pool",
    "rounding",
]
