"""Networks damaged at random, in what they say or in their bytes: number for number the same."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from bases_to_mutate import bases
from fcconv.graph.operators import OPERATORS

Draw: TypeAlias = random.Random
Mutation: TypeAlias = Callable[[Draw, onnx.ModelProto], object]

NUMBERS = (0, 1, -1, 2, -2, 3, 9, 2**31, -(2**31), 2**62, -(2**62), 2**63 - 1)
FLOATS = (0.0, 1.0, -1.0, 0.5, 1e38, -1e-38, float("nan"), float("inf"), -float("inf"))
WORDS = (
    "",
    "é",
    "/a/b",
    "val_0",
    "x",
    "NOTSET",
    "SAME_UPPER",
    "VALID",
    "edge",
    "CRD",
    "\0",
    "n" * 999,
)
SIZES = (0, -1, 1, 2, 3, 7, 2**20, 2**31, 2**62)
DTYPES = tuple(range(25))
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "own", "é")
ATTRIBUTES = (
    "axis",
    "axes",
    "auto_pad",
    "broadcast",
    "is_test",
    "kernel_shape",
    "pads",
    "value",
    "é",
)
PLACES = ("", "weights", "missing", "/etc/passwd", "../weights", "link", "folder", ".", "\0")
"""Where a tensor in another file may be said to lie."""

TIMES = (1, 1, 1, 2, 3)
"""How many mutations a network has."""


@dataclass(frozen=True)
class Mutant:
    """A damaged network: what was done to it, and the bytes of its file."""

    names: tuple[str, ...]
    content: bytes


def mutant(number: int) -> Mutant:
    """Make the mutant of a number."""
    draw = random.Random(number)
    model = onnx.ModelProto()
    base = draw.randrange(len(_bases()))
    model.CopyFrom(_bases()[base])
    names = [f"base {base}"]
    for _ in range(draw.choice(TIMES)):
        name = draw.choice(list(MUTATIONS))
        names.append(name)
        try:
            MUTATIONS[name](draw, model)
        except (IndexError, OverflowError, TypeError, ValueError):  # it fits nothing that is left
            names[-1] += " (nothing to do)"
    content = model.SerializeToString()
    if draw.random() < 0.1:
        name = draw.choice(list(DAMAGES))
        names.append(name)
        content = DAMAGES[name](draw, content)
    return Mutant(tuple(names), content)


@functools.cache
def _bases() -> list[onnx.ModelProto]:
    return bases()


def write(damaged: Mutant, folder: Path) -> Path:
    """Write a mutant, and the files that it may refer to."""
    path = folder / "model.onnx"
    path.write_bytes(damaged.content)
    (folder / "weights").write_bytes(bytes(range(256)) * 16)
    (folder / "folder").mkdir(exist_ok=True)
    if not (folder / "link").is_symlink():
        (folder / "link").symlink_to("/etc/passwd")
    return path


# What is chosen ---------------------------------------------------------------------------------


def a_node(draw: Draw, model: onnx.ModelProto) -> onnx.NodeProto:
    node: onnx.NodeProto = draw.choice(draw.choice([row for row in _rows(model) if row]))
    return node


def _rows(model: onnx.ModelProto) -> list[Any]:
    """List the nodes of the graph, of graphs in it, and of functions."""
    inner = [a.g.node for node in model.graph.node for a in node.attribute if a.HasField("g")]
    return [model.graph.node] * 3 + inner + [function.node for function in model.functions]


def a_name(draw: Draw, model: onnx.ModelProto) -> str:
    """Choose a name of a value, or another one."""
    known = [name for node in model.graph.node for name in [*node.input, *node.output]]
    known += [value.name for value in [*model.graph.input, *model.graph.output]]
    return draw.choice(known) if draw.random() < 0.7 else draw.choice(WORDS)


def a_value(draw: Draw) -> Any:
    """Choose what an attribute may hold."""
    row = [draw.choice(NUMBERS) for _ in range(draw.randrange(6))]
    return draw.choice(
        [
            draw.choice(NUMBERS),
            draw.choice(FLOATS),
            draw.choice(WORDS),
            row,
            [float(n) for n in row],
            [draw.choice(WORDS) for _ in range(draw.randrange(1, 3))],
            numpy_helper.from_array(np.array(row, np.int64)),
            numpy_helper.from_array(np.array([draw.choice(FLOATS)], np.float32)),
            onnx.GraphProto(),
        ]
    )


def an_attribute(draw: Draw, model: onnx.ModelProto) -> tuple[onnx.NodeProto, AttributeProto]:
    nodes = [node for row in _rows(model) for node in row if node.attribute]
    node = draw.choice(nodes)
    return node, draw.choice(node.attribute)


def a_tensor(draw: Draw, model: onnx.ModelProto) -> TensorProto:
    held = [a.t for node in model.graph.node for a in node.attribute if a.HasField("t")]
    return draw.choice([*model.graph.initializer, *held])


def a_shape(draw: Draw, model: onnx.ModelProto) -> Any:
    graph = model.graph
    values = [*[graph.input[0]] * 3, *graph.input, *graph.output, *graph.value_info]
    return draw.choice(values).type.tensor_type


# Attributes -------------------------------------------------------------------------------------


def _set(node: onnx.NodeProto, name: str, value: Any) -> None:
    kept = [a for a in node.attribute if a.name != name]
    made = (
        AttributeProto(name=name, type=AttributeProto.INTS)
        if value == []
        else helper.make_attribute(name, value)
    )
    del node.attribute[:]
    node.attribute.extend([*kept, made])


def attribute_removed(draw: Draw, model: onnx.ModelProto) -> None:
    node, attribute = an_attribute(draw, model)
    node.attribute.remove(attribute)


def attribute_retyped(draw: Draw, model: onnx.ModelProto) -> None:
    node, attribute = an_attribute(draw, model)
    _set(node, attribute.name, a_value(draw))


def attribute_mislabelled(draw: Draw, model: onnx.ModelProto) -> None:
    _, attribute = an_attribute(draw, model)
    attribute.type = draw.randrange(15)  # type: ignore[assignment]


def attribute_changed(draw: Draw, model: onnx.ModelProto) -> None:
    """Give an attribute another value of its type."""
    node, attribute = an_attribute(draw, model)
    old = helper.get_attribute_value(attribute)
    if isinstance(old, float):
        _set(node, attribute.name, draw.choice(FLOATS))
    elif isinstance(old, int):
        _set(node, attribute.name, draw.choice(NUMBERS))
    elif isinstance(old, bytes):
        _set(node, attribute.name, draw.choice(WORDS))
    elif attribute.type == AttributeProto.INTS:
        _set(node, attribute.name, _row_changed(draw, list(attribute.ints)))


def _row_changed(draw: Draw, row: list[int]) -> list[int]:
    place = draw.randrange(len(row) + 1)
    if draw.random() < 0.5 and row:
        return [draw.choice(NUMBERS) if k == place % len(row) else n for k, n in enumerate(row)]
    return draw.choice([row[:place], [*row, draw.choice(NUMBERS)], row[::-1], []])


def attribute_added(draw: Draw, model: onnx.ModelProto) -> None:
    """Add an attribute that the operator has in some version, or another one."""
    node = a_node(draw, model)
    kinds = _attributes(node.op_type)
    if not kinds or draw.random() < 0.2:
        _set(node, draw.choice(ATTRIBUTES), a_value(draw))
        return
    name = draw.choice(list(kinds))
    fitting = {
        "INT": draw.choice(NUMBERS),
        "FLOAT": draw.choice(FLOATS),
        "STRING": draw.choice(WORDS),
        "INTS": [draw.choice(NUMBERS) for _ in range(draw.randrange(5))],
    }
    _set(node, name, fitting.get(kinds[name], a_value(draw)))


@functools.cache
def _attributes(op_type: str) -> dict[str, str]:
    """Return the attributes that any version of an operator has, each with its type."""
    return {
        name: str(attribute.type).rpartition(".")[2]
        for schema in onnx.defs.get_all_schemas_with_history()
        if schema.name == op_type and not schema.domain
        for name, attribute in schema.attributes.items()
    }


def attribute_doubled(draw: Draw, model: onnx.ModelProto) -> None:
    node, attribute = an_attribute(draw, model)
    node.attribute.append(attribute)


def attribute_referred(draw: Draw, model: onnx.ModelProto) -> None:
    _, attribute = an_attribute(draw, model)
    attribute.ref_attr_name = draw.choice(WORDS)


# Inputs, outputs, operators ---------------------------------------------------------------------


def input_removed(draw: Draw, model: onnx.ModelProto) -> None:
    inputs = a_node(draw, model).input
    del inputs[draw.randrange(len(inputs))]


def input_left_out(draw: Draw, model: onnx.ModelProto) -> None:
    inputs = a_node(draw, model).input
    inputs[draw.randrange(len(inputs))] = ""


def input_added(draw: Draw, model: onnx.ModelProto) -> None:
    a_node(draw, model).input.append(a_name(draw, model))


def inputs_exchanged(draw: Draw, model: onnx.ModelProto) -> None:
    inputs = a_node(draw, model).input
    shuffled = draw.sample(list(inputs), len(inputs))
    inputs[:] = shuffled


def input_redirected(draw: Draw, model: onnx.ModelProto) -> None:
    inputs = a_node(draw, model).input
    inputs[draw.randrange(len(inputs))] = a_name(draw, model)


def output_removed(draw: Draw, model: onnx.ModelProto) -> None:
    a_node(draw, model).output.pop()


def outputs_added(draw: Draw, model: onnx.ModelProto) -> None:
    """Add outputs that the operator has in some version, or more."""
    node = a_node(draw, model)
    schemas = onnx.defs.get_all_schemas_with_history()
    most = max((s.max_output for s in schemas if s.name == node.op_type), default=1)
    for _ in range(draw.choice((1, min(most, 5) - len(node.output)))):
        node.output.append(draw.choice(["", f"more{len(node.output)}", a_name(draw, model)]))


def output_renamed(draw: Draw, model: onnx.ModelProto) -> None:
    a_node(draw, model).output[0] = a_name(draw, model)


def operator_exchanged(draw: Draw, model: onnx.ModelProto) -> None:
    a_node(draw, model).op_type = draw.choice([*OPERATORS, "If", "LSTM", "Einsum", "Resize", ""])


def node_renamed(draw: Draw, model: onnx.ModelProto) -> None:
    node = a_node(draw, model)
    node.name = draw.choice([a_name(draw, model), a_node(draw, model).name, f"{node.name}/kernel"])


def domain_changed(draw: Draw, model: onnx.ModelProto) -> None:
    a_node(draw, model).domain = draw.choice(DOMAINS)


def opset_changed(draw: Draw, model: onnx.ModelProto) -> None:
    model.opset_import[0].version = draw.choice([*range(5, 41), -1, 2**40])


def opset_named(draw: Draw, model: onnx.ModelProto) -> None:
    entry = model.opset_import[0]
    entry.domain = draw.choice(DOMAINS)
    if draw.random() < 0.3:
        model.opset_import.add(domain=draw.choice(DOMAINS), version=draw.randrange(1, 30))


def version_changed(draw: Draw, model: onnx.ModelProto) -> None:
    model.ir_version = draw.choice((0, 1, 3, 4, 7, 8, 9, 10, 11, 12, 13, 99, -1))


# Weights ----------------------------------------------------------------------------------------


def tensor_type(draw: Draw, model: onnx.ModelProto) -> None:
    a_tensor(draw, model).data_type = draw.choice(DTYPES)


def tensor_cast(draw: Draw, model: onnx.ModelProto) -> None:
    held = a_tensor(draw, model)
    dtype = draw.choice(["float16", "float64", "int32", "int64", "uint8", "bool", "complex64"])
    with np.errstate(all="ignore"):
        array = numpy_helper.to_array(held).astype(dtype)
    held.CopyFrom(numpy_helper.from_array(array, held.name))


def tensor_shape(draw: Draw, model: onnx.ModelProto) -> None:
    dims = a_tensor(draw, model).dims
    dims[:] = draw.choice(
        [_row_changed(draw, list(dims)), [*dims, 1], [1, *dims], dims[::-1], [0, *dims]]
    )


def tensor_cut(draw: Draw, model: onnx.ModelProto) -> None:
    """Take a part of a tensor, or stretch it; its shape says so."""
    held = a_tensor(draw, model)
    array = numpy_helper.to_array(held)
    axis = draw.randrange(array.ndim)
    count = draw.choice((0, 1, max(array.shape[axis] - 1, 0), array.shape[axis] + 1))
    places = np.arange(count) % max(array.shape[axis], 1) if array.size else np.arange(0)
    held.CopyFrom(numpy_helper.from_array(np.take(array, places, axis), held.name))


def tensor_short(draw: Draw, model: onnx.ModelProto) -> None:
    held = a_tensor(draw, model)
    held.raw_data = held.raw_data[: draw.randrange(len(held.raw_data) + 1)]


def tensor_values(draw: Draw, model: onnx.ModelProto) -> None:
    """Change one number of a tensor, or all."""
    held = a_tensor(draw, model)
    array = numpy_helper.to_array(held).copy()
    if array.size == 0 or array.dtype.kind not in "fi":
        return
    value: Any = draw.choice(FLOATS if array.dtype.kind == "f" else NUMBERS)
    if array.dtype.kind == "i":
        value = max(min(value, np.iinfo(array.dtype).max), np.iinfo(array.dtype).min)
    numbers = array.ravel()
    place = draw.randrange(array.size)
    numbers[place if draw.random() < 0.5 else slice(None)] = value
    held.CopyFrom(numpy_helper.from_array(numbers.reshape(array.shape), held.name))


def tensor_named(draw: Draw, model: onnx.ModelProto) -> None:
    a_tensor(draw, model).name = a_name(draw, model)


def tensor_elsewhere(draw: Draw, model: onnx.ModelProto) -> None:
    held = a_tensor(draw, model)
    held.data_location = TensorProto.EXTERNAL
    entries = {"location": draw.choice(PLACES), "offset": draw.choice(["0", "4", "-4", "x", ""])}
    entries["length"] = str(draw.choice([len(held.raw_data), *NUMBERS]))
    for key in draw.sample(list(entries), draw.choice((1, 2, 3, 3, 3))):
        held.external_data.add(key=key, value=entries[key])
    if draw.random() < 0.7:
        held.ClearField("raw_data")


def tensor_as_node(draw: Draw, model: onnx.ModelProto) -> None:
    held = draw.choice(model.graph.initializer)
    made = helper.make_node("Constant", [], [held.name], name="made", value=held)
    model.graph.initializer.remove(held)
    model.graph.node.insert(0, made)


def tensor_as_input(draw: Draw, model: onnx.ModelProto) -> None:
    """List a weight among the inputs; perhaps it has no value any more."""
    held = draw.choice(model.graph.initializer)
    shape = draw.choice([list(held.dims), None, list(held.dims)[::-1]])
    model.graph.input.append(helper.make_tensor_value_info(held.name, held.data_type, shape))
    if draw.random() < 0.5:
        model.graph.initializer.remove(held)


def tensor_of_pixels(draw: Draw, model: onnx.ModelProto) -> None:
    """Let a weight depend on the pixels: the weight, plus 0 times what the network makes."""
    held = draw.choice(model.graph.initializer)
    source = draw.choice(model.graph.node).output[0]
    zero = numpy_helper.from_array(np.zeros((), np.float32), "no")
    model.graph.initializer.append(zero)
    nodes = [
        helper.make_node("ReduceMax", [source], ["one"], keepdims=0),
        helper.make_node("Mul", ["one", "no"], ["none"]),
        helper.make_node("Add", [held.name, "none"], ["weight of pixels"]),
    ]
    for node in model.graph.node:
        node.input[:] = ["weight of pixels" if n == held.name else n for n in node.input]
    model.graph.node.extend(nodes)


# The graph --------------------------------------------------------------------------------------


def size_changed(draw: Draw, model: onnx.ModelProto) -> None:
    size = draw.choice(a_shape(draw, model).shape.dim)
    if draw.random() < 0.2:
        size.Clear()
    elif draw.random() < 0.3:
        size.dim_param = draw.choice(WORDS)
    else:
        size.dim_value = draw.choice(SIZES)


def rank_changed(draw: Draw, model: onnx.ModelProto) -> None:
    shape = a_shape(draw, model).shape
    if draw.random() < 0.5 and shape.dim:
        del shape.dim[draw.randrange(len(shape.dim))]
    else:
        shape.dim.add(dim_value=draw.choice(SIZES))


def shape_left_out(draw: Draw, model: onnx.ModelProto) -> None:
    tensor = a_shape(draw, model)
    tensor.ClearField(draw.choice(["shape", "shape", "elem_type"]))


def value_type(draw: Draw, model: onnx.ModelProto) -> None:
    a_shape(draw, model).elem_type = draw.choice(DTYPES)


def cast_before(draw: Draw, model: onnx.ModelProto) -> None:
    """Take pixels of another type, and cast them."""
    value = model.graph.input[0]
    for node in model.graph.node:
        node.input[:] = ["cast" if n == value.name else n for n in node.input]
    made = helper.make_node("Cast", [value.name], ["cast"], to=value.type.tensor_type.elem_type)
    model.graph.node.insert(0, made)
    value.type.tensor_type.elem_type = draw.choice((2, 3, 5, 6, 7, 9, 10, 11, 16))


def shuffled(draw: Draw, model: onnx.ModelProto) -> None:
    nodes = draw.sample(list(model.graph.node), len(model.graph.node))
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)


def node_dropped(draw: Draw, model: onnx.ModelProto) -> None:
    del model.graph.node[draw.randrange(len(model.graph.node))]


def node_bypassed(draw: Draw, model: onnx.ModelProto) -> None:
    """Drop a node; what read its output reads its input."""
    node = draw.choice(model.graph.node)
    old, new = node.output[0], node.input[0]
    model.graph.node.remove(node)
    for other in model.graph.node:
        other.input[:] = [new if n == old else n for n in other.input]


def node_doubled(draw: Draw, model: onnx.ModelProto) -> None:
    node = onnx.NodeProto()
    node.CopyFrom(draw.choice(model.graph.node))
    if draw.random() < 0.7:
        node.output[:] = [f"{name}, too" for name in node.output]
        target = a_node(draw, model)
        target.input[draw.randrange(len(target.input))] = node.output[0]
    model.graph.node.append(node)


def node_inserted(draw: Draw, model: onnx.ModelProto) -> None:
    """Put a node of one input between two others."""
    target = draw.choice([node for node in model.graph.node if node.input])
    place = draw.randrange(len(target.input))
    operator = draw.choice(list(OPERATORS))
    others = [a_name(draw, model)] if draw.random() < 0.3 else []
    made = helper.make_node(operator, [target.input[place], *others], ["inserted"], name="new")
    if draw.random() < 0.3:
        _set(made, draw.choice(ATTRIBUTES), a_value(draw))
    target.input[place] = "inserted"
    model.graph.node.append(made)


def put_into_if(draw: Draw, model: onnx.ModelProto) -> None:
    """Put a node into both branches of an If."""
    node = draw.choice(model.graph.node)
    value = helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)
    inner = helper.make_graph([node], "inner", [], [value])
    inner.node[0].output[:] = [f"{name} inside" for name in node.output]
    inner.output[0].name = inner.node[0].output[0]
    branches: Any = {"then_branch": inner, "else_branch": inner}
    made = helper.make_node("If", ["yes"], [node.output[0]], "if", None, None, None, **branches)
    place = list(model.graph.node).index(node)
    del model.graph.node[place]
    model.graph.node.insert(place, made)
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))


def nested(draw: Draw, model: onnx.ModelProto) -> None:
    """Put graphs into graphs."""
    graph = onnx.GraphProto()
    for _ in range(draw.choice((2, 10, 25))):
        outer = onnx.GraphProto()
        outer.node.add(op_type="If").attribute.add(name="g", g=graph, type=AttributeProto.GRAPH)
        graph = outer
    _set(a_node(draw, model), draw.choice(["then_branch", "body"]), graph)


def put_into_function(draw: Draw, model: onnx.ModelProto) -> None:
    """Put a node into a local function, which may call itself."""
    node = draw.choice(model.graph.node)
    given = [name for name in dict.fromkeys(node.input) if name]
    body = onnx.NodeProto()
    body.CopyFrom(node)
    if draw.random() < 0.2:
        body.domain, body.op_type = "own", "Part"
    opsets = [*model.opset_import, helper.make_opsetid("own", 1)]
    made = helper.make_function("own", "Part", given, list(node.output), [body], opsets)
    model.functions.append(made)
    model.opset_import.add(domain="own", version=1)
    node.CopyFrom(helper.make_node("Part", given, list(node.output), node.name, domain="own"))


def graph_input_added(draw: Draw, model: onnx.ModelProto) -> None:
    made = helper.make_tensor_value_info(a_name(draw, model), TensorProto.FLOAT, ["N", 3])
    model.graph.input.append(made)


def graph_input_dropped(draw: Draw, model: onnx.ModelProto) -> None:
    del model.graph.input[draw.randrange(len(model.graph.input))]


def graph_output_added(draw: Draw, model: onnx.ModelProto) -> None:
    dtype, name = draw.choice((1, 1, 7, 0)), a_name(draw, model)
    model.graph.output.append(helper.make_tensor_value_info(name, dtype, None))


def graph_output_exchanged(draw: Draw, model: onnx.ModelProto) -> None:
    draw.choice(model.graph.output).name = a_name(draw, model)


def graph_output_dropped(draw: Draw, model: onnx.ModelProto) -> None:
    del model.graph.output[draw.randrange(len(model.graph.output))]


def value_renamed(draw: Draw, model: onnx.ModelProto) -> None:
    """Rename a value everywhere."""
    graph = model.graph
    old, new = a_name(draw, model), draw.choice([a_name(draw, model), *WORDS])
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    named: list[Any] = [*graph.input, *graph.output, *graph.initializer]
    for value in named:
        value.name = new if value.name == old else value.name


def shape_told(draw: Draw, model: onnx.ModelProto) -> None:
    """Say something about the shape of a value on the way."""
    sizes = [draw.choice((*SIZES, "N", None)) for _ in range(draw.randrange(6))]
    made = helper.make_tensor_value_info(a_name(draw, model), draw.choice((1, 1, 7)), sizes)
    model.graph.value_info.append(made)


def metadata_told(draw: Draw, model: onnx.ModelProto) -> None:
    name = draw.choice(["fcconv.window", "fcconv.stride", "fcconv.sliding", "fcconv.form", ""])
    told = ["", "6 5", "2 2", "0 0", "-1", "9" * 5000, "{}", "[" * 5000, "²", "NaN", "pointwise"]
    model.metadata_props.add(key=name, value=draw.choice(told))


MUTATIONS: dict[str, Mutation] = {
    function.__name__.replace("_", " "): function
    for function in [
        *(attribute_removed, attribute_retyped, attribute_mislabelled, attribute_changed),
        *(attribute_added, attribute_doubled, attribute_referred),
        *(input_removed, input_left_out, input_added, inputs_exchanged, input_redirected),
        *(output_removed, outputs_added, output_renamed, operator_exchanged, node_renamed),
        *(domain_changed, opset_changed, opset_named, version_changed),
        *(tensor_type, tensor_cast, tensor_shape, tensor_cut, tensor_short, tensor_values),
        *(tensor_named, tensor_elsewhere, tensor_as_node, tensor_as_input, tensor_of_pixels),
        *(size_changed, rank_changed, shape_left_out, value_type, cast_before, shuffled),
        *(node_dropped, node_bypassed, node_doubled, node_inserted, put_into_if, nested),
        *(put_into_function, graph_input_added, graph_input_dropped, graph_output_added),
        *(graph_output_exchanged, graph_output_dropped, value_renamed, shape_told, metadata_told),
    ]
}


# Bytes ------------------------------------------------------------------------------------------


def bytes_cut(draw: Draw, content: bytes) -> bytes:
    return content[: draw.randrange(len(content))]


def bit_flipped(draw: Draw, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 4))):
        place = draw.randrange(min(len(changed), draw.choice((200, 2000, 2**30))))
        changed[place] ^= 1 << draw.randrange(8)
    return bytes(changed)


def bytes_inserted(draw: Draw, content: bytes) -> bytes:
    place = draw.randrange(len(content))
    return content[:place] + draw.randbytes(draw.choice((1, 10, 100))) + content[place:]


def bytes_dropped(draw: Draw, content: bytes) -> bytes:
    place = draw.randrange(len(content))
    return content[:place] + content[place + draw.choice((1, 10, 100)) :]


DAMAGES: dict[str, Callable[[Draw, bytes], bytes]] = {
    "bytes cut off": bytes_cut,
    "bits flipped": bit_flipped,
    "bytes inserted": bytes_inserted,
    "bytes dropped": bytes_dropped,
}
