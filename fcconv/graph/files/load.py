"""Networks from files, protobufs, ONNX IR and PyTorch: read, checked, and folded."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import onnx
import onnx_ir as ir
from onnx_ir.passes import common as passes

from fcconv.errors import (
    ArgumentError,
    BackendError,
    FcconvError,
    ModelError,
    ShapeError,
    UnsupportedError,
)
from fcconv.geometry import integer
from fcconv.graph.check import check_node, check_values, check_version
from fcconv.graph.files.fold import fold
from fcconv.graph.files.protos import from_file, from_proto, reason
from fcconv.graph.files.types import check_types
from fcconv.graph.node import read_node

Source: TypeAlias = "str | Path | onnx.ModelProto | ir.Model | Any"
"""A path, a model in memory, or a ``torch.nn.Module``."""

MOST_NODES = 10**6
"""Nodes up to which local functions are written out."""


def load(source: Source, window: Sequence[int] | None = None) -> ir.Model:
    """Read a network, check it, and fold what is constant in it.

    Parameters
    ----------
    source : path, onnx.ModelProto, onnx_ir.Model, Sliding, Pointwise or torch.nn.Module
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
        If it is not a valid network.
    UnsupportedError
        If it is of a version that is not known.
    ShapeError
        If `window` does not fit the network.
    ArgumentError
        If it is needed and left out, or not a shape.
    """
    model = read(source, window)
    passes.RemoveInitializersFromInputsPass()(model)
    passes.NameFixPass()(model)
    passes.RemoveUnusedNodesPass()(model)
    if window is not None:
        _fix_window(model.graph, window)
    fold(model)
    passes.RemoveUnusedNodesPass()(model)
    check_types(model.graph)  # of a branch that was taken, say, more is known now
    return model


def read(source: Source, window: Sequence[int] | None = None) -> ir.Model:
    """Read a network and check it, and write out its local functions; see :func:`load`."""
    window = None if window is None else _sizes(window)
    if _is_rewritten(source):
        source = cast("Any", source).model
    if isinstance(source, ir.Model):
        check_values(source.graph)
        model = _copy(source)
    elif isinstance(source, onnx.ModelProto):
        model = from_proto(source)
    elif isinstance(source, str | Path):
        model = from_file(Path(source))
    elif _is_torch_module(source):
        model = _exported(source, window)
    else:
        raise ModelError(
            f"needs a path, an onnx.ModelProto, an onnx_ir.Model or a torch.nn.Module, got a "
            f"{type(source).__name__}"
        )
    try:
        _check(model)
    except FcconvError as error:
        if isinstance(source, str | Path):
            raise error.about(str(source)) from error.__cause__
        raise
    return model


def _copy(source: ir.Model) -> ir.Model:
    try:
        return source.clone()
    except Exception as error:
        said = f"the model can't be copied, sort its graph first: {reason(error)}"
        raise ModelError(said) from error


def _check(model: ir.Model) -> None:
    """Check a network, and bring it to the form that all else reads."""
    check_version(model)
    model.opset_imports.setdefault("", model.opset_imports.get("ai.onnx", 0))
    for value in model.graph.inputs:
        sizes = [] if value.shape is None else list(value.shape.dims)
        if any(isinstance(n, int) and n < 1 for n in sizes):  # 0 and -1 stand for free sizes
            value.shape = ir.Shape([None if isinstance(n, int) and n < 1 else n for n in sizes])
    check_values(model.graph)
    if model.functions:
        _write_out_functions(model)
    for ir_node in model.graph.all_nodes():
        node = read_node(ir_node, model.opset_imports)
        check_node(node)
        for attribute in list(ir_node.attributes.values()):
            if attribute.type == ir.AttributeType.TENSOR and not attribute.is_ref():
                held = _held(attribute.as_tensor(), f"{node}, {attribute.name}")
                made = ir.AttrTensor(attribute.name, held, doc_string=attribute.doc_string)
                ir_node.attributes[attribute.name] = made
    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is None:
                raise ModelError(f"the initialiser {value.name!r} has no value")
            held = _held(value.const_value, f"the initialiser {value.name!r}")
            value.const_value = held  # what is declared beside it gives way
            value.shape, value.type = ir.Shape(held.shape.numpy()), ir.TensorType(held.dtype)
    try:
        model.graph.sort()
    except ValueError:
        raise ModelError("the graph has a cycle: a node reads what comes from itself") from None
    check_types(model.graph)


def _write_out_functions(model: ir.Model) -> None:
    """Put the nodes of local functions where these are called."""

    @functools.cache
    def count(caller: ir.Function | ir.Graph) -> int:
        called = (model.functions.get(node.op_identifier()) for node in caller.all_nodes())
        return sum(1 if function is None else count(function) for function in called)

    try:
        if count(model.graph) > MOST_NODES:
            raise UnsupportedError(f"its local functions stand for more than {MOST_NODES} nodes")
        passes.InlinePass()(model)
    except UnsupportedError:
        raise
    except RecursionError:
        raise ModelError("its local functions call each other in a circle, or too deep") from None
    except Exception as error:
        raise ModelError(f"its local functions can't be written out: {reason(error)}") from error
    model.functions.clear()


def _held(tensor: ir.TensorProtocol, name: str) -> ir.TensorProtocol:
    """Turn a tensor of a protobuf or a file into one that holds its array."""
    try:
        array = tensor.numpy()
    except Exception as error:  # whatever the parsing of stored numbers hits
        raise ModelError(f"{name}: {reason(error)}") from error
    in_proto = isinstance(tensor, ir.TensorProtoTensor) and tensor.dtype.bitwidth >= 8
    if not in_proto and not isinstance(tensor, ir.ExternalTensor):
        return tensor
    return ir.Tensor(
        array,
        dtype=tensor.dtype,
        name=tensor.name,
        doc_string=tensor.doc_string,
        metadata_props=dict(tensor.metadata_props),
    )


def _fix_window(graph: ir.Graph, window: Sequence[int]) -> None:
    """Fix the free sizes of the input."""
    sizes = _sizes(window)
    if not graph.inputs:
        raise ArgumentError(f"window={sizes} is given, but the network has no input")
    value = graph.inputs[0]
    declared = ["N"] + [None] * len(sizes) if value.shape is None else list(value.shape.dims)
    fits = len(declared) == 1 + len(sizes) and all(
        not isinstance(n, int) or n == m for n, m in zip(declared[1:], sizes, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"window={sizes} does not fit the input {value.name!r} of shape {value.shape}: give "
            f"the shape of one input, without the batch"
        )
    value.shape = ir.Shape([declared[0], *sizes])


def _sizes(window: Sequence[int]) -> tuple[int, ...]:
    if isinstance(window, str | bytes) or not isinstance(window, Sequence):
        raise ArgumentError(f"window needs the shape of one input, (C, H, W) say, got {window!r}")
    return tuple(integer(n, "window", 1) for n in window)


def _is_rewritten(source: object) -> bool:
    """Say whether a source is a network of ours, which holds its model."""
    return isinstance(getattr(source, "model", None), ir.Model)


def _is_torch_module(source: object) -> bool:
    torch = sys.modules.get("torch")  # a module of torch can't exist before torch is imported
    return torch is not None and isinstance(source, torch.nn.Module)


def _exported(module: Any, window: Sequence[int] | None) -> ir.Model:
    """Export a PyTorch module with PyTorch's own exporter."""
    import torch

    if window is None:
        raise ArgumentError("a torch.nn.Module needs window=(C, H, W), the shape of one input")
    if isinstance(module, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
        raise UnsupportedError(
            f"a {type(module).__name__} can't be exported: give its .module, the network itself"
        )
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
    except ImportError as error:
        raise BackendError(f"PyTorch's exporter needs {error.name}: pip install it") from error
    except Exception as error:  # whatever the module or its tracing hits
        raise UnsupportedError(
            f"PyTorch can't export this {type(module).__name__} for inputs of the shape "
            f"(N, {', '.join(map(str, window))}), those of window={tuple(window)}: {reason(error)}"
        ) from error
    finally:
        module.train(was_training)
    return cast("ir.Model", cast("Any", program).model)
