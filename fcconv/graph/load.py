"""Networks from files, protobufs, ONNX IR and PyTorch: read, checked, and folded."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError
from onnx_ir.passes import common as passes

import fcconv_numpy
from fcconv.errors import ModelError, UnsupportedError
from fcconv.graph.node import Node
from fcconv.graph.operators import OPERATORS
from fcconv.graph.run import compute

Source: TypeAlias = "str | Path | onnx.ModelProto | ir.Model | Any"
"""A path, a model in memory, or a ``torch.nn.Module``."""

OLDEST_OPSET = 7


def load(source: Source, window: Sequence[int] | None = None) -> ir.Model:
    """Read a network, check it, and fold what is constant in it.

    Parameters
    ----------
    source : path, onnx.ModelProto, onnx_ir.Model or torch.nn.Module
        The network; it is not changed.
    window : sequence of int, (C, H, W) say, optional
        Shape of one input, without the batch: for a PyTorch module, or where the network leaves
        it free.

    Returns
    -------
    onnx_ir.Model
        A network of its own, without functions, constant nodes, or weights among its inputs.

    Raises
    ------
    ModelError
        If it is no valid network.
    UnsupportedError
        If it is of a version that is not known.
    """
    model = read(source, window)
    if isinstance(source, ir.Model):
        model = model.clone()
    if model.functions:
        passes.InlinePass()(model)
    passes.RemoveInitializersFromInputsPass()(model)
    passes.NameFixPass()(model)
    _fold(model.graph)
    passes.RemoveUnusedNodesPass()(model)
    if window is not None:
        _fix_window(model.graph, window)
    return model


def read(source: Source, window: Sequence[int] | None = None) -> ir.Model:
    """Read a network and check it, but leave it as it is; see :func:`load`."""
    if isinstance(source, ir.Model):
        model = source
    elif isinstance(source, onnx.ModelProto):
        model = _deserialized(source, "the model", None)
    elif isinstance(source, str | Path):
        model = _from_file(Path(source))
    elif _is_torch_module(source):
        model = _exported(source, window)
    else:
        raise ModelError(
            f"needs a path, an onnx.ModelProto, an onnx_ir.Model or a torch.nn.Module, got a "
            f"{type(source).__name__}"
        )
    _check(model)
    return model


def _from_file(path: Path) -> ir.Model:
    if not path.is_file():
        raise ModelError(f"there is no file {path}")
    try:
        proto = onnx.load(path, load_external_data=False)
    except (DecodeError, ValueError, UnicodeDecodeError):
        raise ModelError(f"{path} is no ONNX file, or only a part of one") from None
    return _deserialized(proto, str(path), path.parent)


def _deserialized(proto: onnx.ModelProto, name: str, folder: Path | None) -> ir.Model:
    if not proto.HasField("graph") or not proto.opset_import:
        raise ModelError(f"{name} holds no ONNX graph")
    for tensor in _tensors(proto.graph):
        _check_tensor(tensor, name, folder)
    try:
        model = ir.from_proto(proto)
    except Exception as error:  # onnx_ir raises whatever its parsing hits
        raise ModelError(f"{name} is no valid ONNX graph: {_last_line(error)}") from None
    if folder is not None:
        ir.external_data.set_base_dir(model.graph, folder)
    return model


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yield the tensors of a graph, and of the graphs inside its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)


def _check_tensor(tensor: onnx.TensorProto, name: str, folder: Path | None) -> None:
    """Check that a tensor has as many bytes as its shape says, inside the model's folder."""
    where = f"{name}: the tensor {tensor.name!r} of shape {tuple(tensor.dims)}"
    if any(n < 0 for n in tensor.dims):
        raise ModelError(f"{where} has a negative length")
    if tensor.data_type == onnx.TensorProto.STRING:
        return
    try:
        bits = ir.DataType(tensor.data_type).bitwidth
    except (ValueError, TypeError):
        raise ModelError(f"{where} has an unknown type {tensor.data_type}") from None
    needed = -(-math.prod(tensor.dims) * bits // 8)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        found = _external_bytes(tensor, where, folder)
        if found < needed:
            raise ModelError(f"{where} needs {needed} bytes, its external file gives {found}")
    elif tensor.HasField("raw_data") and len(tensor.raw_data) != needed:
        raise ModelError(f"{where} needs {needed} bytes, got {len(tensor.raw_data)}")


def _external_bytes(tensor: onnx.TensorProto, where: str, folder: Path | None) -> int:
    """Count the bytes of a tensor in another file, without opening it."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if folder is None:
        raise ModelError(f"{where} lies in another file: load the model from its path")
    location, root = entries.get("location", ""), folder.resolve()
    path = (root / location).resolve()
    if not location or Path(location).is_absolute() or root not in path.parents:
        raise ModelError(f"{where} names {location!r}, outside of the model's folder: refused")
    if not path.is_file():
        raise ModelError(f"{where} lies in {location!r}, which is missing")
    try:
        offset = int(entries.get("offset", 0))
        length = int(entries.get("length", path.stat().st_size - offset))
    except ValueError:
        raise ModelError(f"{where} has an offset or length that is no number") from None
    return min(length, path.stat().st_size - offset) if offset >= 0 else -1


def _check(model: ir.Model) -> None:
    """Check versions, and that every value comes from somewhere."""
    opset = model.opset_imports.get("", model.opset_imports.get("ai.onnx", 0))
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset <= newest:
        raise UnsupportedError(
            f"the model is of opset {opset}; {OLDEST_OPSET} to {newest} are known here: "
            f"{'upgrade onnx' if opset > newest else 'convert it with onnx.version_converter'}"
        )
    graph = model.graph
    known = {*graph.inputs, *graph.initializers.values()}
    for output in graph.outputs:
        if output.producer() is None and output not in known:
            raise ModelError(f"{output.name!r} is an output, but nothing makes it")
    for ir_node in graph:
        for value in ir_node.inputs:
            if value is not None and value.producer() is None and value not in known:
                raise ModelError(
                    f"{Node(ir_node, opset)} reads {value.name!r}, which no node makes and no "
                    f"initialiser holds"
                )
    for constant in graph.initializers.values():
        if constant.const_value is None:
            raise ModelError(f"the initialiser {constant.name!r} has no value")
    try:
        graph.sort()
    except ValueError:
        raise ModelError("the graph has a cycle") from None


def _fold(graph: ir.Graph) -> None:
    """Compute what is constant, by the reference backend."""
    for value in graph.initializers.values():
        _settle(value)
    for ir_node in list(graph):
        node = Node(ir_node, graph.opset_imports.get(ir_node.domain, 0))
        operator = OPERATORS.get(node.op)
        constants = [value if value is None else value.const_value for value in ir_node.inputs]
        given = [value for value in ir_node.inputs if value is not None]
        if operator is None or any(value.const_value is None for value in given):
            continue
        arrays = [None if tensor is None else tensor.numpy() for tensor in constants]
        for output, array in zip(
            ir_node.outputs, compute(operator, fcconv_numpy, node, arrays), strict=False
        ):
            _replace(graph, output, np.asarray(array))
        if not any(output.uses() or output.is_graph_output() for output in ir_node.outputs):
            graph.remove(ir_node, safe=True)


def _settle(value: ir.Value) -> None:
    """Turn a tensor that is stored as a list of numbers into an array, once."""
    tensor = value.const_value
    try:
        array = cast("Any", tensor).numpy()
    except Exception as error:  # whatever the parsing of stored numbers hits
        raise ModelError(f"the initialiser {value.name!r}: {_last_line(error)}") from None
    if isinstance(tensor, ir.TensorProtoTensor) and not tensor.raw.HasField("raw_data"):
        value.const_value = ir.Tensor(array, name=value.name)


def _replace(graph: ir.Graph, output: ir.Value, array: np.ndarray[Any, Any]) -> None:
    """Let an initialiser stand for a value."""
    if output.is_graph_output():
        return  # a graph's output must come from a node
    name = str(output.name)
    tensor = ir.Tensor(np.ascontiguousarray(array).reshape(array.shape), name=name)
    constant = ir.Value(
        name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
    )
    output.replace_all_uses_with(constant)
    output.name = f"{name}/folded"
    graph.initializers[name] = constant


def _fix_window(graph: ir.Graph, window: Sequence[int]) -> None:
    """Fix the free sizes of the input."""
    value = graph.inputs[0]
    declared = ["N"] + [None] * len(window) if value.shape is None else list(value.shape.dims)
    fits = len(declared) == 1 + len(window) and all(
        not isinstance(n, int) or n == m for n, m in zip(declared[1:], window, strict=True)
    )
    if not fits:
        raise ModelError(
            f"window={tuple(window)} does not fit the input {value.name!r} of shape {value.shape}"
        )
    value.shape = ir.Shape([declared[0], *window])


def _is_torch_module(source: object) -> bool:
    torch = sys.modules.get("torch")  # a module of torch can't exist before torch is imported
    return torch is not None and isinstance(source, torch.nn.Module)


def _exported(module: Any, window: Sequence[int] | None) -> ir.Model:
    """Export a PyTorch module with PyTorch's own exporter."""
    import torch

    if window is None:
        raise ModelError("a torch.nn.Module needs window=(C, H, W), the shape of one input")
    parameter = next(module.parameters(), torch.zeros(1))
    example = torch.zeros(2, *window, dtype=parameter.dtype, device=parameter.device)
    was_training = module.training
    module.eval()
    try:
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("N")},),
            verbose=False,
        )
    finally:
        module.train(was_training)
    return cast("ir.Model", cast("Any", program).model)


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
