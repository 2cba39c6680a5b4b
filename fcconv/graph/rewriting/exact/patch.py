"""Prepares a patch network to be written in parts: what depends on a size is spelled out.

A patch has one size, so that padding by ``auto_pad``, an overhang by ``ceil_mode`` and slices to
absolute ends are so many samples at either end, and what is reshaped is reshaped image by image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from fcconv.errors import FcconvError, UnsupportedError
from fcconv.graph import receptive
from fcconv.graph.engines.session import open_session
from fcconv.graph.files.shapes import infer_shapes, see_shapes
from fcconv.graph.node import Node, constant_of, read_node
from fcconv.graph.operators import OPERATORS, moves, windows
from fcconv.graph.rewriting.exact.batch import free_batch
from fcconv.graph.rewriting.exact.batching import MIXES, batching_of
from fcconv.graph.rewriting.locality import images_meet_at
from fcconv.graph.rules.writer import Writer, names_in
from fcconv.graph.rules.writing import TO_THE_END, write_ints, write_with_ints
from fcconv.graph.running.run import data_inputs, fixed_batch

OLDEST_OPSET = 11
"""The operator set from which on numbers of slices and pads may be computed."""

GRAPHS = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)


def prepared(model: ir.Model) -> ir.Model:
    """Copy a patch network, with its sizes spelled out and its batch free.

    Raises
    ------
    UnsupportedError
        If it can't compute any number of images at a time, or its operator set is too old.
    """
    opset = model.graph.opset_imports.get("", 0)
    if opset < OLDEST_OPSET:
        raise UnsupportedError(
            f"exact windows need opset {OLDEST_OPSET}, the model is of {opset}: convert it with "
            f"onnx.version_converter, or score windows as crops"
        )
    patch = model.clone()
    infer_shapes(patch)
    if _without_sizes(patch.graph):
        see_shapes(patch)
    if _without_sizes(patch.graph):
        _see_more_shapes(patch)
    spell_out(patch)
    return patch


def spell_out(patch: ir.Model) -> None:
    """Spell the sizes of a patch network out, whose shapes are known, and free its batch.

    Raises
    ------
    UnsupportedError
        If it can't compute any number of images at a time.
    """
    graph = patch.graph
    opset = graph.opset_imports.get("", 0)
    writer = Writer(opset, initializers=graph.initializers, names=names_in(patch))
    batch = fixed_batch(data_inputs(graph))
    if batch not in (None, 1):
        raise UnsupportedError(
            f"the network computes {batch} images at a time: export it with a batch of one, or "
            f"one that is free"
        )
    for ir_node in graph:
        node = read_node(ir_node, graph.opset_imports)
        _check_batches(node)
        operator = OPERATORS.get(node.op)
        if operator is not None and operator.spread is receptive.window:
            _spell_out_padding(node)
        elif node.op == "Slice":
            _spell_out_ends(node, writer)
        elif node.op == "Size":
            _spell_out_size(node, writer)
        elif node.op == "Resize":
            _free_sizes(node, graph, writer)
    for value in data_inputs(graph):
        if batch == 1:
            free_batch(graph, value, writer)
        if value.shape is not None:
            value.shape = ir.Shape(["N", *value.shape.dims[1:]])
    _check_images(graph)


def _check_images(graph: ir.Graph) -> None:
    """Refuse what computes one image from another: windows would, too."""
    node = images_meet_at(graph)
    operator = None if node is None else OPERATORS.get(node.op)
    if node is not None and _takes_images(node):
        raise node.unsupported(
            "it takes images out of the batch, in which windows are to stand: export the network "
            "for any number of images"
        )
    if node is None or operator is None or operator.spread is None or node.op in moves.OPERATORS:
        return  # what only moves entries may bring images back to their places later
    raise node.unsupported(MIXES)


def _takes_images(node: Node) -> bool:
    """Say whether a node takes entries of the first axis, where that may be the batch."""
    x = node.ir.inputs[0]
    if x is None or x.shape is None or not len(x.shape):
        return False
    first = x.shape.dims[0]
    if isinstance(first, int) and first > 1:
        return False
    given = [*map(constant_of, node.ir.inputs[1:]), None]
    ones = [axis for axis, n in enumerate(x.shape.dims) if n == 1]
    axes: Sequence[int] = ()
    if node.op == "Gather":
        axes = [node.attribute("axis", 0)]
    elif node.op == "Slice":
        axes = spans(node, len(x.shape))[2]
    elif node.op == "Squeeze":
        axes = node.ints("axes", given[0], ones)
    return 0 in [axis % len(x.shape) for axis in axes]


def _without_sizes(graph: ir.Graph) -> list[ir.Value]:
    return [v for node in graph for v in node.outputs if v.name and sizes_of(v) is None]


def _see_more_shapes(patch: ir.Model) -> None:
    """Let onnxruntime show the shapes of what is not known here, if it is there and runs it."""
    shown = patch.clone()
    unknown = _without_sizes(shown.graph)
    outputs = set(shown.graph.outputs)
    shown.graph.outputs.extend(value for value in unknown if value not in outputs)
    (image,) = data_inputs(shown.graph)
    if image.shape is None or image.dtype is None:
        return
    zeros = np.zeros([1, *(int(str(n)) for n in image.shape.dims[1:])], image.dtype.numpy())
    try:
        made = open_session(shown)(zeros)
    except FcconvError:
        return
    arrays = made if isinstance(made, tuple) else (made,)
    found = {v.name: a.shape for v, a in zip(shown.graph.outputs, arrays, strict=True)}
    for value in _without_sizes(patch.graph):
        if found[value.name]:
            value.shape = ir.Shape([None, *found[value.name][1:]])


def sizes_of(value: ir.Value | None) -> tuple[int, ...] | None:
    """Return the lengths of a value's axes behind the batch; None if one is not known."""
    if value is None or value.shape is None or not len(value.shape):
        return None
    sizes = tuple(n for n in value.shape.dims[1:] if isinstance(n, int))
    return sizes if len(sizes) == len(value.shape) - 1 else None


def _check_batches(node: Node) -> None:
    """Refuse what can't be done for many windows at a time."""
    refusal = batching_of(node).refusal
    reason = None if refusal is None else refusal(node)
    if reason is not None:
        raise node.unsupported(reason)
    inner = [a for a in node.ir.attributes.values() if a.type in GRAPHS]
    if inner:
        raise node.unsupported(
            "it has graphs of its own, which may read what windows have in the batch: cut the "
            "network before it"
        )


def _spell_out_padding(node: Node) -> None:
    """Write down kernel, stride, dilation and padding of a window."""
    sizes = sizes_of(node.ir.inputs[0])
    weight = node.ir.inputs[1].const_value if node.op == "Conv" and node.ir.inputs[1] else None
    kernel = node.attribute("kernel_shape") or (weight.shape.numpy()[2:] if weight else None)
    if sizes is None or not kernel:
        return
    try:
        moved = windows.window_of(node, sizes[1:], kernel)
    except FcconvError:  # it is not a valid node; whoever runs it says so
        return
    if node.attribute("count_include_pad", 0) and moved.asked != moved.window.padding:
        return  # of what it overhangs nothing counts, unlike its padding
    pads = zip(moved.window.padding, kernel, strict=True)
    if node.op != "Conv" and any(max(pair) >= size for pair, size in pads):
        return  # engines refuse padding as long as a pool's kernel, but not such an overhang
    before, after = zip(*moved.window.padding, strict=True)
    attributes = {
        "kernel_shape": kernel,
        "strides": moved.window.stride,
        "pads": (*before, *after),
    }
    if node.op == "Conv" or any(n > 1 for n in moved.window.dilation):
        attributes["dilations"] = moved.window.dilation
    for name in ("auto_pad", "ceil_mode"):
        node.ir.attributes.pop(name, None)
    for name, numbers in attributes.items():
        node.ir.attributes[name] = ir.AttrInt64s(name, [int(n) for n in numbers])


def _spell_out_ends(node: Node, writer: Writer) -> None:
    """Count the starts of a slice from the first entry, and its ends from the last."""
    sizes = sizes_of(node.ir.inputs[0])
    given = [v for v in node.ir.inputs[1:] if v is not None]
    if sizes is None or len(given) < 2 or any(v.const_value is None for v in given):
        return
    starts, ends, axes, steps = spans(node, 1 + len(sizes))
    if min(steps, default=1) < 1 or (0 in axes and not _keeps_one(node, steps[axes.index(0)])):
        return
    first, last = [], []
    for axis, start, end in zip(axes, starts, ends, strict=True):
        size = (1, *sizes)[axis]
        start, end = (min(n + size if n < 0 else n, size) for n in (start, end))
        first.append(start)
        last.append(end - size or TO_THE_END)
    for position, numbers in ((1, first), (2, last)):
        node.ir.replace_input_with(position, write_ints(writer, numbers, node, "/span"))


def _spell_out_size(node: Node, writer: Writer) -> None:
    """Count the entries of one image, of which there are more with windows in the batch."""
    x, made = node.ir.inputs[0], node.ir.outputs[0]
    if x is None or x.shape is None or sizes_of(x) is None:
        raise node.unsupported("nothing tells how many entries one image has")
    entries = math.prod(n if isinstance(n, int) else 1 for n in x.shape.dims)
    made.replace_all_uses_with(writer.constant(np.array(entries), f"{node.name}/entries"))


def _free_sizes(node: Node, graph: ir.Graph, writer: Writer) -> None:
    """Let a resizing that names the length 1 of the batch keep whatever length it has."""
    x, sizes = node.ir.inputs[0], [*node.ir.inputs, None, None, None][3]
    wanted = node.ints("sizes", constant_of(sizes), ())
    if x is None or x.shape is None or len(wanted) != len(x.shape) or wanted[0] != 1:
        return
    if "axes" in node.ir.attributes or (isinstance(x.shape.dims[0], int) and x.shape.dims[0] > 1):
        return
    before = replace(writer, nodes=[])
    shape = before.emit(node, "Shape", [x], suffix="/shape")
    ends = {"starts": [0], "ends": [1]}
    first = write_with_ints(before, node, "Slice", shape, 10, "/first", ends)
    rest = write_ints(before, wanted[1:], node, "/rest")
    whole = before.emit(node, "Concat", [first, rest], {"axis": 0}, "/sizes")
    graph.insert_before(node.ir, before.nodes)
    node.ir.replace_input_with(3, whole)


def _keeps_one(node: Node, step: int) -> bool:
    """Say whether a slice of a first axis of length 1 is the one image, which is spelled as all."""
    x = node.ir.inputs[0]
    return step == 1 and x is not None and x.shape is not None and x.shape.dims[0] == 1


def spans(node: Node, rank: int) -> tuple[list[int], list[int], list[int], list[int]]:
    """Read the starts, ends, axes and steps of a slice by constants; axes count from the first."""
    given = [*map(constant_of, node.ir.inputs[1:]), None, None, None, None]
    starts, ends = node.ints("starts", given[0]), node.ints("ends", given[1])
    axes = node.ints("axes", given[2], tuple(range(len(starts))))
    steps = node.ints("steps", given[3], (1,) * len(starts))
    return list(starts), list(ends), [axis % rank for axis in axes], list(steps)
