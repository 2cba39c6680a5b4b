"""The first statement of a certificate: new kernels hold the old weights, bit for bit."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

LAYERS = ("Conv", "Gemm", "MatMul")

MIN_SHARED_BYTES = 2**20
"""Bytes from which on a weight that both networks have is held once."""


def share_weights(first: ir.Model, second: ir.Model) -> None:
    """Let the second network hold no copies of the first one's large weights."""
    held: dict[tuple[Any, bytes], npt.NDArray[Any]] = {}
    for model in (first, second):
        for value in model.graph.initializers.values():
            tensor = value.const_value
            if tensor is None or tensor.nbytes < MIN_SHARED_BYTES or tensor.dtype.bitwidth < 8:
                continue
            array = np.ascontiguousarray(tensor.numpy())
            digest = hashlib.sha256(array.reshape(-1).view(np.uint8).data).digest()
            same = held.setdefault((tensor.dtype, digest), array)
            if same is not array:
                shared = same.reshape(array.shape)
                value.const_value = ir.Tensor(shared, dtype=tensor.dtype, name=tensor.name)


def moved_weights(original: ir.Model, rewritten: ir.Model) -> dict[str, bool]:
    """Say for each layer of both networks whether its weights are the same, bit for bit.

    Copies of all of them count as the same; zeros may be added.
    """
    before, after = _weights(original), _weights(rewritten)
    found = {}
    for name, old in before.items():
        if name in after:
            found[name] = _holds(old, after[name])
    return found


def _holds(old: npt.NDArray[Any], new: npt.NDArray[Any]) -> bool:
    """Say whether a kernel holds an old weight; most do as they lie, and need no sorting."""
    if old.dtype == new.dtype and np.array_equal(_bits(old).ravel(), _bits(new).ravel()):
        return True
    a, b = (np.sort(_bits(w[w != 0])) for w in (old, new))
    copies = len(b) // max(len(a), 1)
    return np.array_equal(np.repeat(a, copies), b)


def _weights(model: ir.Model) -> dict[str, npt.NDArray[Any]]:
    """Return the matrix or kernel of each layer by the name of its node."""
    return {
        str(node.name): tensor.numpy()
        for node in model.graph
        if node.op_type in LAYERS
        for value in node.inputs[1:2]
        if value is not None and (tensor := value.const_value) is not None
    }


def _bits(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")
