"""From an ONNX file or protobuf to ONNX IR; nothing in it is believed before it is checked."""

from __future__ import annotations

import itertools
import logging
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from fcconv.errors import FcconvError, ModelError, UnsupportedError
from fcconv.graph.files import kinds, wire
from fcconv.graph.files.beside import Beside
from fcconv.graph.files.wire import Bytes

logging.getLogger("onnx_ir").addHandler(logging.NullHandler())  # what it logs is an error here

MOST_BYTES = 2**62
"""Bytes beyond which no array can be counted, even if one axis has length 0."""

TYPED_FIELDS: dict[int, str] = {
    onnx.TensorProto.FLOAT: "float_data",
    onnx.TensorProto.COMPLEX64: "float_data",
    onnx.TensorProto.DOUBLE: "double_data",
    onnx.TensorProto.COMPLEX128: "double_data",
    onnx.TensorProto.INT64: "int64_data",
    onnx.TensorProto.UINT32: "uint64_data",
    onnx.TensorProto.UINT64: "uint64_data",
    onnx.TensorProto.STRING: "string_data",
}
"""Where tensors without raw data have their numbers; all other types have them in int32_data."""

COMPLEX = (onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128)

LONGEST_REASON = 300
"""Characters."""

AGAIN = "export the model again, or fetch its file again"

NO_GRAPH = f"holds no ONNX graph: {AGAIN}"


def from_file(path: Path) -> ir.Model:
    """Read a model; weights in other files are mapped into memory.

    Raises
    ------
    ModelError
        If it can't be read, or is not a valid model.
    UnsupportedError
        If it holds what there is no way to read here.
    """
    try:
        if not path.exists():
            raise ModelError(f"there is no file {path}")
        if not path.is_file():
            raise ModelError(f"{path} {kinds.told(path) or 'is not a file'}")
        try:
            proto, weights = wire.read(path)
        except DecodeError:
            unknown = f"is not an ONNX file, or only a part of one: {AGAIN}"
            raise ModelError(f"{path} {kinds.told(path) or unknown}") from None
        if not proto.HasField("graph"):
            raise ModelError(f"{path} {kinds.told(path) or NO_GRAPH}")
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}") from None
    return from_proto(proto, str(path), path.parent, weights)


def from_proto(
    proto: onnx.ModelProto,
    name: str = "the model",
    folder: Path | None = None,
    weights: Sequence[Bytes | None] = (),
) -> ir.Model:
    """Check a model, and turn it into ONNX IR.

    Parameters
    ----------
    proto : onnx.ModelProto
        The model.
    name : str
        What errors call it.
    folder : path, optional
        Where tensors in other files may lie.
    weights : sequence of bytes, optional
        For each initialiser its raw data, where it does not hold it itself.
    """
    if not proto.HasField("graph"):
        raise ModelError(f"{name} {NO_GRAPH}")
    if not proto.opset_import:
        raise ModelError(f"{name} does not say which operator set it is of: {AGAIN}")
    beside = Beside(None if folder is None else folder.resolve())
    try:
        apart = _check_graph(proto.graph, beside, weights)
        for function in proto.functions:
            _check_nodes(function.node, beside, in_function=True)
        model = ir.from_proto(proto)
    except FcconvError as error:
        raise error.about(name) from None
    except Exception as error:  # whatever parsing hits in what no check foresees
        said = f"{name} is not a valid ONNX graph: {reason(error)}"
        unknown = isinstance(_first_cause(error), NotImplementedError)
        raise (UnsupportedError if unknown else ModelError)(said) from error
    for declared, value in zip(proto.graph.input, model.graph.inputs, strict=True):
        if value.is_graph_output():  # what is declared of the output has taken the input's place
            ir.serde.deserialize_value_info_proto(declared, value)
    for key, data in apart.items():
        value = model.graph.initializers[key]
        value.const_value = _tensor(value.const_value, data)
    return model


def reason(error: BaseException) -> str:
    """Say in one line what an error comes from."""
    first = _first_cause(error)
    said = f"no {first}" if isinstance(first, KeyError) else str(first).strip()
    return said.splitlines()[0][:LONGEST_REASON] if said else type(first).__name__


def _first_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _tensor(like: Any, data: Bytes) -> ir.Tensor[Any]:
    """Give a tensor its bytes."""
    array = data.view(like.dtype.numpy().newbyteorder("<")).reshape(like.shape.numpy())
    return ir.Tensor(
        np.require(array, requirements="A"),
        dtype=like.dtype,
        name=like.name,
        doc_string=like.doc_string,
        metadata_props=dict(like.metadata_props),
    )


def _check_graph(
    graph: onnx.GraphProto,
    beside: Beside,
    weights: Sequence[Bytes | None] = (),
    in_function: bool = False,
) -> dict[str, Bytes]:
    """Check a graph, and return the bytes of those of its initialisers that it does not hold."""
    if graph.sparse_initializer:
        name = graph.sparse_initializer[0].values.name
        raise UnsupportedError(f"the initialiser {name!r} is sparse: make it dense")
    _check_names(graph)
    for value in graph.output:
        if _holds_dictionaries(value.type):
            raise UnsupportedError(
                f"the output {value.name!r} holds dictionaries, as ZipMap makes them, not numbers: "
                f"export it by skl2onnx.to_onnx(model, X[:1], options={{'zipmap': False}})"
            )
    apart = {}
    for tensor, data in itertools.zip_longest(graph.initializer, weights):
        found = _check_tensor(tensor, beside, data)
        if found is not None and _bits(tensor) >= 8:
            apart[tensor.name] = found
        elif found is not None:  # several numbers a byte
            _hold(tensor, found)
    _check_nodes(graph.node, beside, in_function)
    return apart


def _holds_dictionaries(kind: onnx.TypeProto) -> bool:
    while kind.HasField("sequence_type"):
        kind = kind.sequence_type.elem_type
    return kind.HasField("map_type")


def _hold(tensor: onnx.TensorProto, data: Bytes) -> None:
    """Give a tensor its bytes, so that no file is opened later, by a name that was checked once."""
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")
    tensor.raw_data = data.tobytes()


def _check_inner(graph: onnx.GraphProto, beside: Beside, in_function: bool) -> None:
    """Check a graph inside a node, and let it hold all its initialisers."""
    apart = _check_graph(graph, beside, in_function=in_function)
    for tensor in graph.initializer:
        if tensor.name in apart:
            _hold(tensor, apart[tensor.name])


def _check_held(tensor: onnx.TensorProto, beside: Beside) -> None:
    """Check a tensor, and let it hold its bytes."""
    data = _check_tensor(tensor, beside)
    if data is not None:
        _hold(tensor, data)


def _check_names(graph: onnx.GraphProto) -> None:
    """Check that no name is given twice."""
    inputs = [value.name for value in graph.input]
    initializers = [tensor.name for tensor in graph.initializer]
    outputs = [value.name for value in graph.output]
    made = [name for node in graph.node for name in node.output if name]
    _check_text(*inputs, *initializers, *outputs)
    if "" in (*inputs, *initializers, *outputs):
        raise ModelError("an input, output or initialiser has no name")
    for names in (inputs, initializers, outputs, [*{*inputs, *initializers}, *made]):
        for name, times in Counter(names).items():
            if times > 1:
                raise ModelError(f"two values have the name {name!r}")


def _check_text(*names: str | bytes) -> None:
    """Check that names are UTF-8; others come out of a protobuf as bytes."""
    for name in names:
        if isinstance(name, bytes):
            raise ModelError(f"the name {name!r} is not text")


def _check_nodes(nodes: Iterable[onnx.NodeProto], beside: Beside, in_function: bool) -> None:
    """Check the tensors and graphs inside nodes."""
    for node in nodes:
        attributes = [attribute.name for attribute in node.attribute]
        _check_text(node.name, node.op_type, node.domain, *node.input, *node.output, *attributes)
        for name, times in Counter(attributes).items():
            if times > 1:
                raise ModelError(f"{node.name} ({node.op_type}) has two attributes {name!r}")
        if (node.domain, node.op_type) == ("", "Constant") and len(attributes) != 1:
            raise ModelError(f"{node.name} (Constant) needs one attribute, got {len(attributes)}")
        for attribute in node.attribute:
            if attribute.ref_attr_name and not in_function:
                raise ModelError(
                    f"{node.name} ({node.op_type}): its {attribute.name} is that of a function, "
                    f"but the node is in none"
                )
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                raise UnsupportedError(
                    f"{node.name} ({node.op_type}): its {attribute.name} is sparse: make it dense"
                )
            for tensor in attribute.tensors:
                _check_held(tensor, beside)
            for graph in attribute.graphs:
                _check_inner(graph, beside, in_function)
            if attribute.type == onnx.AttributeProto.TENSOR:
                _check_held(attribute.t, beside)
            if attribute.type == onnx.AttributeProto.GRAPH:
                _check_inner(attribute.g, beside, in_function)


def _check_tensor(
    tensor: onnx.TensorProto, beside: Beside, data: Bytes | None = None
) -> Bytes | None:
    """Check that a tensor has the bytes that its shape asks for; return those it does not hold."""
    shape = tuple(tensor.dims)
    try:
        if any(n < 0 for n in shape):
            raise ModelError("it has a negative length")
        apart = tensor.data_location == onnx.TensorProto.EXTERNAL
        raw = data is not None or tensor.HasField("raw_data")
        if tensor.data_type == onnx.TensorProto.STRING and (apart or raw):
            raise ModelError("strings lie in string_data")
        bits, count = _bits(tensor), math.prod(shape)
        if math.prod(n or 1 for n in shape) * bits > 8 * MOST_BYTES:
            raise ModelError("it is absurd")
        needed = -(-count * bits // 8)
        if apart:
            return beside.read(tensor, needed)
        if raw:
            found = len(tensor.raw_data if data is None else data)
            if found != needed:
                raise ModelError(f"it needs {needed} bytes, got {found}")
            return data
        field = TYPED_FIELDS.get(tensor.data_type, "int32_data")
        numbers = needed if bits in (2, 4) else count * (1 + (tensor.data_type in COMPLEX))
        found = len(getattr(tensor, field))
        if found != numbers:
            raise ModelError(f"it needs {numbers} numbers in its {field}, got {found}")
    except ModelError as error:
        raise ModelError(f"the tensor {tensor.name!r} of shape {shape}: {error}") from None
    return None


def _bits(tensor: onnx.TensorProto) -> int:
    if tensor.data_type == onnx.TensorProto.STRING:
        return 8
    try:
        return ir.DataType(tensor.data_type).bitwidth
    except (ValueError, TypeError):
        raise ModelError(f"there is no data type {tensor.data_type}") from None
