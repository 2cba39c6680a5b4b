"""A network to save: weights of any kind, and a text wherever ONNX has a place for one."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx_ir as ir


def array(shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    rng = np.random.default_rng(0)
    found: npt.NDArray[Any] = rng.integers(0, 2 if dtype == "bool" else 7, shape).astype(kind)
    return found


def network(**arrays: npt.NDArray[Any]) -> ir.Model:
    """A network with these initialisers and a text wherever ONNX has a place for one."""
    x = ir.val("x", ir.DataType.FLOAT, ["N", 2])
    negated = ir.node("Neg", [x], name="negate", doc_string="node", metadata_props={"a": "node"})
    (y,) = negated.outputs
    y.name, y.type, y.doc_string = "y", x.type, "value"
    y.shape = ir.Shape(["N", 2])
    x.metadata_props["a"] = "input"
    held = [
        ir.Value(
            name=name,
            shape=ir.Shape(values.shape),
            const_value=ir.Tensor(
                values, name=name, doc_string=f"{name} held", metadata_props={"a": name}
            ),
        )
        for name, values in arrays.items()
    ]
    for value in held:
        assert value.const_value is not None
        value.type, value.doc_string = ir.TensorType(value.const_value.dtype), "weight"
    graph = ir.Graph(
        [x],
        [y],
        nodes=[negated],
        initializers=held,
        name="graph",
        doc_string="graph",
        opset_imports={"": 23, "own": 3},
        metadata_props={"a": "graph"},
    )
    return ir.Model(
        graph,
        ir_version=11,
        producer_name="producer",
        producer_version="1.2",
        domain="org.own",
        model_version=2**40,
        doc_string="several\nlines: é",
        metadata_props={"fcconv.window": "3 4", "b": ""},
    )


def initializers(model: ir.Model) -> dict[str, tuple[Any, ...]]:
    return {
        name: (value.const_value.dtype, value.const_value.shape, value.const_value.tobytes())
        for name, value in model.graph.initializers.items()
        if value.const_value is not None
    }
