"""Mutations of weights: types, shapes, numbers, names, and where they lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mutation_choices import (
    DTYPES,
    FLOATS,
    NUMBERS,
    Draw,
    Mutation,
    a_changed_row,
    a_name,
    a_tensor,
)

PLACES = ("", "weights", "missing", "/etc/passwd", "../weights", "link", "folder", ".", "\0")
"""Where a tensor in another file may be said to lie."""


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
        [a_changed_row(draw, list(dims)), [*dims, 1], [1, *dims], dims[::-1], [0, *dims]]
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


MUTATIONS: list[Mutation] = [
    tensor_type,
    tensor_cast,
    tensor_shape,
    tensor_cut,
    tensor_short,
    tensor_values,
    tensor_named,
    tensor_elsewhere,
    tensor_as_node,
    tensor_as_input,
    tensor_of_pixels,
]
