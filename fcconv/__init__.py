"""Turn a trained patch classifier into a network that scores every window of an image in one pass.

A dense layer equals a convolution whose kernel covers its whole input, and equals a 1x1
convolution over an input whose pixels were moved into channels. What there is:

- Networks: `convolutionize` makes one slide, `certify` proves it, `compile` computes it,
  `pointwise` only changes its dense layers, `from_jax` makes one of a JAX function, and
  `patch_of` brings tuned weights home.
- Images: `scan` scores all windows of an image of any size, prepared by a `Preparation`; what it
  returns, a `Scan`, finds peaks and writes pictures, pages and maps. `open_scan` opens one again.
- JAX functions: `slide` applies one to every window, `shard` does so on several devices.
- Arrays: `dense`, `conv`, `conv1x1`, `im2col`, `max_pool`, `avg_pool`, and weights from one form
  to another by `dense_to_conv`, `dense_to_conv1x1`, `conv_to_dense`; `backends` says what is there.
- Recordings that come in: `Sliding.stream`.
- `fcconv.rounding` bounds rounding errors, and every error is an `FcconvError`.

First steps:

>>> import numpy as np
>>> import fcconv
>>> from fcconv.demo.network import load_faces  # stands for your network, a path to an ONNX file
>>> sliding = fcconv.convolutionize(load_faces())
>>> fcconv.certify(load_faces(), sliding).holds
True
>>> found = fcconv.scan(sliding, np.zeros((1, 100, 200), np.float32))
>>> found.scores.shape  # classes, and windows along each axis
(1, 26, 59)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fcconv import rounding
from fcconv.backend import backend, backends
from fcconv.errors import (
    ArgumentError,
    BackendError,
    DtypeError,
    FcconvError,
    ImageError,
    ModelError,
    OutputError,
    ShapeError,
    UnsupportedError,
)
from fcconv.ops import conv, conv1x1, dense, im2col
from fcconv.pools import avg_pool, max_pool
from fcconv.weights import conv_to_dense, dense_to_conv, dense_to_conv1x1

if TYPE_CHECKING:
    from fcconv.certificate.certify import certify
    from fcconv.certificate.report import Certificate
    from fcconv.functions.export import from_jax
    from fcconv.functions.shard import shard
    from fcconv.functions.slide import slide
    from fcconv.graph.engines.compiled import Compiled
    from fcconv.graph.engines.compiling import compile  # noqa: A004 - fcconv.compile, as re.compile
    from fcconv.graph.rewriting.convolutionize import convolutionize
    from fcconv.graph.rewriting.pointwise import Pointwise, pointwise
    from fcconv.graph.rewriting.sliding import Sliding
    from fcconv.graph.rewriting.weights import PatchNetwork, patch_of
    from fcconv.images.preparation import Preparation
    from fcconv.images.reading import Reading
    from fcconv.scanning.result import Scan
    from fcconv.scanning.saved import open_scan
    from fcconv.scanning.scan import scan
    from fcconv.streaming.stream import Stream

__version__ = "0.2.0"

_NETWORKS = {
    "Certificate": "fcconv.certificate.report",
    "Compiled": "fcconv.graph.engines.compiled",
    "PatchNetwork": "fcconv.graph.rewriting.weights",
    "Pointwise": "fcconv.graph.rewriting.pointwise",
    "Preparation": "fcconv.images.preparation",
    "Reading": "fcconv.images.reading",
    "Scan": "fcconv.scanning.result",
    "Sliding": "fcconv.graph.rewriting.sliding",
    "Stream": "fcconv.streaming.stream",
    "certify": "fcconv.certificate.certify",
    "compile": "fcconv.graph.engines.compiling",
    "convolutionize": "fcconv.graph.rewriting.convolutionize",
    "from_jax": "fcconv.functions.export",
    "open_scan": "fcconv.scanning.saved",
    "patch_of": "fcconv.graph.rewriting.weights",
    "pointwise": "fcconv.graph.rewriting.pointwise",
    "scan": "fcconv.scanning.scan",
    "shard": "fcconv.functions.shard",
    "slide": "fcconv.functions.slide",
}
"""What works on whole networks needs ONNX, which is imported when it is asked for."""

_EXTRAS = {"onnx": "onnx", "onnx_ir": "onnx", "google": "onnx", "jax": "jax"}
"""The extra that brings a library."""

__all__ = [
    "ArgumentError",
    "BackendError",
    "Certificate",
    "Compiled",
    "DtypeError",
    "FcconvError",
    "ImageError",
    "ModelError",
    "OutputError",
    "PatchNetwork",
    "Pointwise",
    "Preparation",
    "Reading",
    "Scan",
    "ShapeError",
    "Sliding",
    "Stream",
    "UnsupportedError",
    "avg_pool",
    "backend",
    "backends",
    "certify",
    "compile",
    "conv",
    "conv1x1",
    "conv_to_dense",
    "convolutionize",
    "dense",
    "dense_to_conv",
    "dense_to_conv1x1",
    "from_jax",
    "im2col",
    "max_pool",
    "open_scan",
    "patch_of",
    "pointwise",
    "rounding",
    "scan",
    "shard",
    "slide",
]


def __getattr__(name: str) -> Any:
    """Import what works on whole networks."""
    if name not in _NETWORKS:
        raise AttributeError(f"module 'fcconv' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_NETWORKS[name]), name)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRAS:
            raise
        extra = _EXTRAS[error.name]
        raise BackendError(
            f"fcconv.{name} needs {error.name}, which is not installed: pip install "
            f"'fcconv[{extra}]'"
        ) from None


def __dir__() -> list[str]:
    """List what works on whole networks, too, before it is imported."""
    return sorted({*globals(), *__all__})
