"""One walk over a patch network that slides it, operator by operator, into any target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic

import numpy as np
import onnx_ir as ir

import fcconv_numpy
from fcconv.errors import UnsupportedError
from fcconv.graph.call import Call, named
from fcconv.graph.check import find_schema
from fcconv.graph.node import Node, extraction, label, read_node
from fcconv.graph.operator import Operator
from fcconv.graph.rules.context import Context
from fcconv.graph.rules.features import ELSEWHERE, unfold, whole_map
from fcconv.graph.rules.samples import Samples
from fcconv.graph.rules.target import Target
from fcconv.graph.rules.values import Constant, SlidingValue, T
from fcconv.graph.rules.writer import (
    Writer,
    copied_initializers,
    free_input,
    names_in,
    put_together,
)
from fcconv.graph.rules.writing import write_with_ints
from fcconv.graph.running.run import compute, data_inputs, operator_of

IMAGES = 2
"""Images that are followed through a network whose batch is free."""


@dataclass(frozen=True)
class Patch:
    """A patch network, and what the axes of its input are.

    Attributes
    ----------
    model : onnx_ir.Model
        The network.
    shape : tuple
        Shape of its input: the batch, which may be free, and sizes.
    axes : tuple of int
        The axes along which it is to slide.
    still : tuple of int
        Axes that are of the image, too, but as long as the window.
    """

    model: ir.Model
    shape: tuple[Any, ...]
    axes: tuple[int, ...]
    still: tuple[int, ...] = ()

    @property
    def window(self) -> tuple[int, ...]:
        """Pixels of a window along the axes that slide."""
        return tuple(int(self.shape[axis]) for axis in self.axes)

    @property
    def image_axes(self) -> list[int]:
        """All axes of the image, in order."""
        return sorted(self.axes + self.still)

    @property
    def batch(self) -> int:
        """Images that are followed through it."""
        return self.shape[0] if isinstance(self.shape[0], int) else IMAGES


@dataclass(frozen=True)
class Walked(Generic[T]):
    """What a walk made.

    Attributes
    ----------
    context : Context
        What rules noted on the way.
    outputs : tuple of SlidingValue
        The outputs: all features of a window in the channels, one cell per window.
    """

    context: Context[T]
    outputs: tuple[SlidingValue[T], ...]


def walk(patch: Patch, stride: Sequence[int], target: Target[T], image: T) -> Walked[T]:
    """Slide a network.

    Parameters
    ----------
    patch : Patch
        The network.
    stride : sequence of int
        Pixels from one window to the next along each axis that slides; 0 for one window alone.
    target : Target
        What is written to.
    image : handle of the target
        The image, its axes in the order of the network's input.
    """
    moves = dict(zip(patch.axes, stride, strict=True))
    steps = tuple(moves.get(axis, 0) for axis in patch.image_axes)
    context = Context(target, steps, patch.batch)
    graph = patch.model.graph
    (value,) = data_inputs(graph)
    if value.dtype is None or not value.dtype.is_floating_point():
        raise _not_an_image(graph, value)
    values: dict[ir.Value, SlidingValue[T] | Constant] = {
        v: Constant(v.const_value.numpy(), name)
        for name, v in graph.initializers.items()
        if v.const_value is not None
    }
    values[value] = _channels_first(context, patch, image)
    for ir_node in graph:
        node = read_node(ir_node, graph.opset_imports)
        if any(v is not None and v not in values for v in ir_node.inputs):
            raise node.unsupported("it reads an optional output that is not followed here")
        inputs = [None if v is None else values[v] for v in ir_node.inputs]
        values.update(zip(ir_node.outputs, _slide(context, node, inputs), strict=False))
    return Walked(context, tuple(_cells(context, patch, v, values[v]) for v in graph.outputs))


def _channels_first(context: Context[T], patch: Patch, image: T) -> SlidingValue[T]:
    """Bring the image to channels first."""
    shape, axes, target = patch.shape, patch.image_axes, context.target
    samples = tuple(Samples(int(shape[axis])) for axis in axes)
    whole = (context.batch, *shape[1:])
    call = Call("Identity", "image", target.opset)
    channel_axes = [axis for axis in range(1, len(shape)) if axis not in axes]
    if not channel_axes:
        tensor = write_with_ints(target, call, "Unsqueeze", image, 13, numbers={"axes": [1]})
        return whole_map(context, tensor, 1, samples, axes, whole)
    (channels,) = channel_axes
    tensor = image
    if channels != 1:
        perm = [0, channels, *axes]
        tensor = target.emit(call, "Transpose", [image], {"perm": perm}, "/channels first")
    return whole_map(context, tensor, int(shape[channels]), samples, axes, whole)


def _slide(
    context: Context[T], node: Node, inputs: Sequence[SlidingValue[T] | Constant | None]
) -> Sequence[SlidingValue[T] | Constant]:
    """Let the rule of an operator write it, or compute what does not depend on the image."""
    operator = operator_of(node)
    with named(node):
        if operator.static or not any(isinstance(x, SlidingValue) for x in inputs):
            arrays = [x.array if isinstance(x, Constant) else x for x in inputs]
            found = compute(operator, fcconv_numpy, node, arrays)
            return [Constant(np.asarray(array)) for array in found]
        _check_data(operator, node, inputs)
        made: Any = operator.slide(context, node, *inputs)
    return made if isinstance(made, tuple) else (made,)


def _cells(
    context: Context[T], patch: Patch, value: ir.Value, x: SlidingValue[T] | Constant
) -> SlidingValue[T]:
    """Put an output's features, in order, into the channels; one cell per window."""
    name = str(value.name)
    call = Call("Identity", name, context.target.opset)
    if not isinstance(x, SlidingValue):
        raise UnsupportedError(f"the output {name!r} does not depend on the image")
    x = unfold(context, call, x, x.shape, "is an output")
    slides = [k for k, axis in enumerate(patch.image_axes) if axis in patch.axes]
    still = [2 + k for k in range(len(x.axes)) if k not in slides]
    tensor = x.tensor
    if still:
        numbers = {"axes": still}
        tensor = write_with_ints(context.target, call, "Squeeze", tensor, 13, "/cells", numbers)
    return replace(x, tensor=tensor, axes=tuple(x.axes[k] for k in slides))


def natural_stride(patch: Patch) -> tuple[int, ...]:
    """Return the product of the network's strides along each axis: those of one window alone."""
    _, _, alone = _written(patch, (0,) * len(patch.axes))
    along = zip(*(x.axes for x in alone.outputs), strict=True)
    return tuple(math.lcm(*(samples.jump for samples in same)) for same in along)


def _written(patch: Patch, stride: Sequence[int]) -> tuple[Writer, ir.Value, Walked[ir.Value]]:
    """Write the nodes of the sliding network, and the image that they read."""
    graph = patch.model.graph
    writer = Writer(graph.opset_imports.get("", 0), names=names_in(patch.model))
    # what is made here takes no name of theirs
    writer.initializers.update(copied_initializers(graph))
    image = free_input(data_inputs(graph)[0], patch.axes)
    return writer, image, walk(patch, stride, writer, image)


def write_sliding(patch: Patch, stride: Sequence[int]) -> tuple[ir.Model, Walked[ir.Value]]:
    """Write the sliding network of a patch network."""
    graph = patch.model.graph
    writer, image, walked = _written(patch, stride)
    taken = {str(value.name) for value in graph.outputs}
    outputs = []
    for value, x in zip(graph.outputs, walked.outputs, strict=True):
        name, tensor = str(value.name), x.tensor
        if tensor is image or tensor.name in taken:
            call = Call("Identity", name, writer.opset)
            tensor = writer.emit(call, "Identity", [tensor], None, "/output")
        tensor.name = name
        cells = [f"{name}_{k}" for k in range(len(patch.axes))]
        tensor.shape = ir.Shape(["N", x.channels, *cells])
        tensor.type = value.type
        outputs.append(tensor)
    return put_together(patch.model, writer, [image], outputs), walked


def _not_an_image(graph: ir.Graph, value: ir.Value) -> UnsupportedError:
    """Refuse an input that does not hold floating point numbers, and say what to do."""
    readers = [use.node for use in value.uses()]
    advice = "export it with a float32 input, and convert the numbers before it"
    if len(readers) == 1 and readers[0].op_type in ("Cast", "DequantizeLinear"):
        (cast,) = readers
        advice = (
            f"cut off {label(cast)}, {extraction(cast.outputs, graph.outputs)}, and give the "
            f"network what that makes of them"
        )
        if cast.op_type == "Cast":
            advice += ", the same numbers as floats (--scale 1 of fcconv scan)"
    return UnsupportedError(
        f"the input {value.name!r} holds {value.dtype} numbers, but a network that slides takes "
        f"floats: {advice}"
    )


def _check_data(
    operator: Operator, node: Node, inputs: Sequence[SlidingValue[Any] | Constant | None]
) -> None:
    """Check that what depends on the pixels comes in where the operator's rule takes it."""
    if operator.slides_by_any:
        return
    schema = find_schema(node)
    names = () if schema is None else schema.names
    for name, x in list(zip(names, inputs, strict=False))[1:]:
        if isinstance(x, SlidingValue):
            raise node.unsupported(
                f"its input {name} depends on the pixels, so that windows can't share what it "
                f"makes; {ELSEWHERE}"
            )
