"""The first statement of a certificate: new kernels hold the old weights, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

LAYERS = ("Conv", "Gemm", "MatMul")


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
