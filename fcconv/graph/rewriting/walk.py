"""One walk over a patch network that writes the sliding one, operator by operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

import fcconv_numpy
from fcconv.errors import UnsupportedError
from fcconv.graph.check import find_schema
from fcconv.graph.node import Node, extraction, named
from fcconv.graph.operator import Operator
from fcconv.graph.rules.features import ELSEWHERE
from fcconv.graph.rules.samples import Samples
from fcconv.graph.rules.slider import Slider
from fcconv.graph.rules.values import Constant, Slid
from fcconv.graph.rules.writer import copied_initializers, free_input, names_in, put_together
from fcconv.graph.running.run import compute, data_inputs, operator_of

IMAGES = 2
"""Images that are followed through a network whose batch is free."""


class Walk:
    """One walk over the patch network, writing the sliding one."""

    def __init__(
        self,
        model: ir.Model,
        shape: tuple[Any, ...],
        axes: tuple[int, ...],
        still: tuple[int, ...],
        stride: tuple[int, ...],
    ) -> None:
        """Follow `model`, whose input of `shape` slides along `axes`, at a window stride.

        The axes `still` are of the image, too, but as long as the window.
        """
        graph = model.graph
        self.model = model
        self.window = tuple(int(shape[axis]) for axis in axes)
        self.stride = stride
        image = sorted(axes + still)
        self._slides = [k for k, axis in enumerate(image) if axis in axes]
        moves = iter(stride)
        steps = tuple(next(moves) if axis in axes else 0 for axis in image)
        batch = shape[0] if isinstance(shape[0], int) else IMAGES
        opset = graph.opset_imports.get("", 0)
        (value,) = data_inputs(graph)
        if value.dtype is None or not value.dtype.is_floating_point():
            raise _no_image(graph, value)
        self.slider = Slider(opset, names=names_in(model), stride=steps, batch=batch)
        self.input = free_input(value, axes)
        self.values: dict[ir.Value, Slid | Constant] = {
            v: Constant(v.const_value.numpy(), name)
            for name, v in graph.initializers.items()
            if v.const_value is not None
        }
        # what is made here takes no name of theirs
        self.slider.initializers.update(copied_initializers(graph))
        self.values[value] = self._image(shape, image)
        for ir_node in graph:
            node = Node(ir_node, graph.opset_imports.get(ir_node.domain, 0))
            self._step(node)
        self.outputs = [self._output(value) for value in graph.outputs]

    def _image(self, shape: tuple[Any, ...], axes: list[int]) -> Slid:
        """Bring the input to channels first."""
        channel_axes = [axis for axis in range(1, len(shape)) if axis not in axes]
        node = Node(ir.node("Identity", [self.input], name="image"), self.slider.opset)
        tensor = self.input
        samples = tuple(Samples(int(shape[axis])) for axis in axes)
        whole = (self.slider.batch, *shape[1:])
        if not channel_axes:
            tensor = self.slider.with_ints(node, "Unsqueeze", tensor, 13, numbers={"axes": [1]})
            return self.slider.map(tensor, 1, samples, axes, whole)
        (channels,) = channel_axes
        if channels != 1:
            perm = [0, channels, *axes]
            tensor = self.slider.emit(
                node, "Transpose", [tensor], {"perm": perm}, "/channels first"
            )
        return self.slider.map(tensor, int(shape[channels]), samples, axes, whole)

    def _step(self, node: Node) -> None:
        operator = operator_of(node)
        inputs = [None if v is None else self.values.get(v) for v in node.ir.inputs]
        if any(v is not None and v not in self.values for v in node.ir.inputs):
            raise node.unsupported("it reads an optional output that is not followed here")
        with named(node):
            if operator.static or not any(isinstance(x, Slid) for x in inputs):
                arrays = [x.array if isinstance(x, Constant) else x for x in inputs]
                made: Any = tuple(
                    Constant(np.asarray(array))
                    for array in compute(operator, fcconv_numpy, node, arrays)
                )
            else:
                _check_data(operator, node, inputs)
                made = operator.slide(self.slider, node, *inputs)
        results = made if isinstance(made, tuple) else (made,)
        self.values.update(zip(node.ir.outputs, results, strict=False))

    def _output(self, value: ir.Value) -> Slid:
        """Put an output's features, in order, into the channels; one cell a window."""
        x = self.values[value]
        name = str(value.name)
        node = Node(ir.node("Identity", [], name=name), self.slider.opset)
        if not isinstance(x, Slid):
            raise UnsupportedError(f"the output {name!r} does not depend on the image")
        x = self.slider.features(node, x, x.shape, "is an output")
        tensor = x.tensor
        still = [2 + k for k in range(len(x.axes)) if k not in self._slides]
        if still:
            numbers = {"axes": still}
            tensor = self.slider.with_ints(node, "Squeeze", tensor, 13, "/cells", numbers)
        if tensor is self.input or tensor.name in self._output_names():
            tensor = self.slider.emit(node, "Identity", [tensor], None, "/output")
        tensor.name = name
        cells = [f"{name}_{k}" for k in range(len(self.window))]
        tensor.shape = ir.Shape(["N", x.channels, *cells])
        tensor.type = value.type
        return replace(x, tensor=tensor, axes=tuple(x.axes[k] for k in self._slides))

    def _output_names(self) -> set[str]:
        return {str(value.name) for value in self.model.graph.outputs}

    def written(self) -> ir.Model:
        """Put the network together."""
        return put_together(self.model, self.slider, self.input, [x.tensor for x in self.outputs])


def _no_image(graph: ir.Graph, value: ir.Value) -> UnsupportedError:
    """Refuse an input that does not hold floating point numbers, and say what to do."""
    readers = [use.node for use in value.uses()]
    advice = "export it with a float32 input, and convert the numbers before it"
    if len(readers) == 1 and readers[0].op_type in ("Cast", "DequantizeLinear"):
        (cast,) = readers
        advice = (
            f"cut off {Node(cast, 0)}, {extraction(cast.outputs, graph.outputs)}, and give the "
            f"network what that makes of them"
        )
        if cast.op_type == "Cast":
            advice += ", the same numbers as floats (--scale 1 of fcconv scan)"
    return UnsupportedError(
        f"the input {value.name!r} holds {value.dtype} numbers, but a network that slides takes "
        f"floats: {advice}"
    )


def _check_data(operator: Operator, node: Node, inputs: Sequence[Slid | Constant | None]) -> None:
    """Check that what depends on the pixels comes in where the operator's rule takes it."""
    if operator.slides_by_any:
        return
    schema = find_schema(node)
    names = () if schema is None else schema.names
    for name, x in list(zip(names, inputs, strict=False))[1:]:
        if isinstance(x, Slid):
            raise node.unsupported(
                f"its input {name} depends on the pixels, so that windows can't share what it "
                f"makes; {ELSEWHERE}"
            )
