"""A small patch classifier broken in each of many ways, and what is said of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from small_networks import classifier, constant, ints, node

Break = Callable[[onnx.ModelProto], object]


def no_graph(m: onnx.ModelProto) -> None:
    m.ClearField("graph")


def no_opset(m: onnx.ModelProto) -> None:
    m.ClearField("opset_import")


def opset(version: int) -> Break:
    def change(m: onnx.ModelProto) -> None:
        m.opset_import[0].version = version

    return change


def no_output(m: onnx.ModelProto) -> None:
    m.graph.ClearField("output")


def no_input(m: onnx.ModelProto) -> None:
    m.graph.ClearField("input")


def reads(position: int, name: str) -> Break:
    def change(m: onnx.ModelProto) -> None:
        m.graph.node[position].input[0] = name

    return change


def makes(position: int, name: str) -> Break:
    def change(m: onnx.ModelProto) -> None:
        m.graph.node[position].output[0] = name

    return change


def no_initializer(m: onnx.ModelProto) -> None:
    del m.graph.initializer[0]


def unknown_output(m: onnx.ModelProto) -> None:
    m.graph.output[0].name = "nowhere"


def twice(part: str) -> Break:
    def change(m: onnx.ModelProto) -> None:
        values = getattr(m.graph, part)
        values.append(values[0])

    return change


def tensor(**fields: Any) -> Break:
    """Put a tensor in the place of the first initialiser."""

    def change(m: onnx.ModelProto) -> None:
        m.graph.initializer[0].CopyFrom(TensorProto(name="w", **fields))

    return change


def constant_node(**fields: Any) -> Break:
    """Put a constant node in the place of the first initialiser."""

    def change(m: onnx.ModelProto) -> None:
        del m.graph.initializer[0]
        value = TensorProto(name="w", **fields)
        m.graph.node.insert(0, node("Constant", [], ["w"], name="made", value=value))

    return change


def no_name(m: onnx.ModelProto) -> None:
    m.graph.initializer[0].name = ""


def sparse(m: onnx.ModelProto) -> None:
    m.graph.sparse_initializer.add().values.CopyFrom(constant("few", [1]))


def sparse_constant(m: onnx.ModelProto) -> None:
    few = helper.make_sparse_tensor(constant("v", [1]), ints("i", 1), [3])
    m.graph.node.insert(0, node("Constant", [], ["few"], name="few", sparse_value=few))


def input_type(number: int) -> Break:
    def change(m: onnx.ModelProto) -> None:
        m.graph.input[0].type.tensor_type.elem_type = number

    return change


def maps(m: onnx.ModelProto) -> None:
    m.graph.input[0].type.map_type.key_type = TensorProto.INT64


def no_bytes_of_text(m: onnx.ModelProto) -> None:
    m.graph.node[1].attribute.add(name="t", type=onnx.AttributeProto.TENSOR)


def empty_constant(m: onnx.ModelProto) -> None:
    del m.graph.initializer[1]
    m.graph.node.insert(0, node("Constant", [], ["m"], name="nothing"))


def mixed_types(m: onnx.ModelProto) -> None:
    m.graph.initializer[0].CopyFrom(constant("w", np.ones((4, 2, 3, 3)), np.float64))


def types_mixed_later(m: onnx.ModelProto) -> None:
    m.graph.node.insert(2, node("Cast", ["b"], ["c"], name="cast", to=TensorProto.INT32))
    m.graph.node[3].input[0] = "c"


def shape_times_a_float(m: onnx.ModelProto) -> None:
    m.graph.node.insert(1, node("Shape", ["a"], ["s"], name="shape"))
    m.graph.node.insert(2, node("Mul", ["s", "w"], ["c"], name="product"))
    m.graph.output.add(name="c")


def twice_an_attribute(m: onnx.ModelProto) -> None:
    for version in (1, 2):
        m.graph.node[1].attribute.add(name="axis", type=onnx.AttributeProto.INT, i=version)


def of_a_function(m: onnx.ModelProto) -> None:
    kind = onnx.AttributeProto.GRAPH
    m.graph.node[1].attribute.add(name="body", type=kind, ref_attr_name="body")


def branch(reads: str, output: str = "t") -> onnx.GraphProto:
    made = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    return helper.make_graph([node("Relu", [reads], ["t"], name="in")], "branch", [], [made])


def conditional(then: onnx.GraphProto) -> Break:
    def change(m: onnx.ModelProto) -> None:
        branches: dict[str, Any] = {"then_branch": then, "else_branch": branch("b")}
        m.graph.node.insert(2, node("If", ["choice"], ["c"], "if", None, None, None, **branches))
        m.graph.initializer.append(constant("choice", True, bool))
        m.graph.node[3].input[0] = "c"

    return change


def conv(**attributes: Any) -> Break:
    def change(m: onnx.ModelProto) -> None:
        m.CopyFrom(classifier(conv=attributes))

    return change


def operator(op: str, *inputs: str, **attributes: Any) -> Break:
    """Put a node between ReLU and the dense layer."""

    def change(m: onnx.ModelProto) -> None:
        m.CopyFrom(classifier(node(op, inputs, ["c"], name="odd", **attributes)))

    return change


BROKEN: dict[str, tuple[Break, str]] = {
    "no graph": (no_graph, "holds no ONNX graph"),
    "no operator set": (no_opset, "does not say which operator set"),
    "future": (opset(99), "is of opset 99"),
    "far future": (opset(2**40), "upgrade onnx"),
    "old": (opset(6), "convert it with onnx.version_converter"),
    "negative opset": (opset(-1), "is of opset -1"),
    "no output": (no_output, "the graph has no output"),
    "no input": (no_input, "conv (Conv) reads 'x'"),
    "a cycle": (reads(0, "d"), "has a cycle"),
    "a short cycle": (reads(1, "b"), "has a cycle"),
    "undefined": (reads(1, "nowhere"), "relu (Relu) reads 'nowhere'"),
    "missing weight": (no_initializer, "conv (Conv) reads 'w'"),
    "unknown output": (unknown_output, "'nowhere' is an output"),
    "names an input again": (makes(0, "x"), "two values have the name 'x'"),
    "names a weight again": (makes(0, "m"), "two values have the name 'm'"),
    "names a value again": (makes(1, "a"), "two values have the name 'a'"),
    "two inputs of a name": (twice("input"), "two values have the name 'x'"),
    "two weights of a name": (twice("initializer"), "two values have the name 'w'"),
    "two outputs of a name": (twice("output"), "two values have the name 'y'"),
    "a weight without a name": (no_name, "has no name"),
    "sparse": (sparse, "the initialiser 'few' is sparse"),
    "sparse constant": (sparse_constant, "few (Constant): its sparse_value is sparse"),
    "input of no type": (input_type(99), "99 is not a valid DataType"),
    "input that is a map": (maps, "Map types are not supported"),
    "tensor of nothing": (no_bytes_of_text, "there is no data type 0"),
    "empty constant": (empty_constant, "nothing (Constant) needs one attribute, got 0"),
    "mixed types": (mixed_types, "conv (Conv): it mixes the types FLOAT and DOUBLE"),
    "types mixed later": (types_mixed_later, "dense (MatMul): it mixes the types INT32 and FLOAT"),
    "a shape times a float": (shape_times_a_float, "(Mul): it mixes the types INT64 and FLOAT"),
    "twice an attribute": (twice_an_attribute, "relu (Relu) has two attributes 'axis'"),
    "attribute of a function": (of_a_function, "relu (Relu): its body is that of a function"),
    "undefined in a branch": (conditional(branch("nowhere")), "in (Relu) reads 'nowhere'"),
    "branch of no output": (conditional(branch("b", "none")), "'none' is an output"),
    "kernel of 0": (conv(kernel_shape=[0, 3]), "conv (Conv): kernel_shape is (0, 3)"),
    "kernel of one axis": (conv(kernel_shape=[3]), "its weight has (3, 3)"),
    "stride 0": (conv(strides=[0, 1]), "conv (Conv) needs 2 strides of at least 1, got (0, 1)"),
    "stride of one axis": (conv(strides=[1]), "conv (Conv) needs 2 strides"),
    "negative padding": (conv(pads=[0, -1, 0, 0]), "needs 4 pads of at least 0"),
    "padding of one axis": (conv(pads=[1, 1]), "conv (Conv) needs 4 pads"),
    "dilation 0": (conv(dilations=[1, 0]), "needs 2 dilations of at least 1"),
    "dilation of one axis": (conv(dilations=[1]), "conv (Conv) needs 2 dilations"),
    "group 0": (conv(group=0), "needs a group of at least 1, got 0"),
    "odd padding": (conv(auto_pad="SOME"), "conv (Conv) needs an auto_pad of NOTSET"),
    "pool of 0": (operator("MaxPool", "b", kernel_shape=[0, 1]), "odd (MaxPool) needs 2 kernel"),
    "pool of nothing": (operator("MaxPool", "b"), "odd (MaxPool) needs the attribute kernel_shape"),
    "words": (operator("LRN", "b", size="three"), "odd (LRN) needs size as INT, got STRING"),
    "no arguments": (operator("Gather", "b"), "odd (Gather) needs 2 inputs, got 1"),
    "many arguments": (operator("Relu", "b", "b"), "odd (Relu) needs 1 inputs, got 2"),
    "cast to nothing": (operator("Cast", "b", to=99), "odd (Cast): there is no data type 99"),
    "places of floats": (operator("Gather", "b", "m"), "odd (Gather): 'm' must hold integers"),
    "half a flag": (
        operator("ReduceMean", "b", axes=[1], keepdims=2),
        "odd (ReduceMean) needs keepdims of 0 or 1, got 2",
    ),
    "argument left out": (operator("Gather", "b", ""), "odd (Gather) needs its input indices"),
}

RAW: dict[str, tuple[dict[str, Any], str]] = {
    "absurd": ({"data_type": 1, "dims": [10**9] * 2, "raw_data": b"1234"}, "bytes, got 4"),
    "absurd and empty": ({"data_type": 1, "dims": [0, 2**62, 2**62]}, "it is absurd"),
    "many axes": ({"data_type": 1, "dims": [1] * 99, "float_data": [1.0]}, "found 99"),
    "short": ({"data_type": 1, "dims": [3], "raw_data": b"1234"}, "needs 12 bytes, got 4"),
    "long": ({"data_type": 1, "dims": [3], "raw_data": bytes(2048)}, "needs 12 bytes, got 2048"),
    "few numbers": (
        {"data_type": 1, "dims": [3], "float_data": [1]},
        "3 numbers in its float_data",
    ),
    "other numbers": ({"data_type": 1, "dims": [1], "int64_data": [1]}, "its float_data, got 0"),
    "both": ({"data_type": 1, "dims": [1], "int64_data": [1], "float_data": [1]}, "int64_data"),
    "negative": ({"data_type": 1, "dims": [-3], "raw_data": b""}, "a negative length"),
    "no type": ({"data_type": 0, "dims": [1], "raw_data": b"1"}, "there is no data type 0"),
    "unknown type": ({"data_type": 99, "dims": [1], "raw_data": b"1"}, "there is no data type 99"),
    "words as bytes": ({"data_type": 8, "dims": [1], "raw_data": b"1"}, "strings lie in string"),
    "elsewhere": ({"data_type": 1, "dims": [1], "data_location": 1}, "outside of the model's fold"),
}
