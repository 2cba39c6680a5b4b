"""What is known of every value of a network, node by node, for images of several sizes at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

import fcconv_numpy
from fcconv.errors import UnsupportedError
from fcconv.graph.call import computing
from fcconv.graph.lengths import ARITHMETIC, MOVES, Length, as_lengths, length_of, lengths
from fcconv.graph.local import Along, Local, Together
from fcconv.graph.node import Node, constant_of, read_node
from fcconv.graph.operators import OPERATORS
from fcconv.graph.running.run import compute

READ = {"Expand": 1, "Reshape": 1, "Resize": 3, "Slice": 2}
"""Operators that take lengths which depend on the image, and where: these feed nothing else."""

FEW = 64
"""Most entries of a constant that may shape a result."""


def spread_of(node: Node, known: Mapping[ir.Value, Local | None]) -> Local | None:
    """Say how a node's results depend on the image, as its operator's record says.

    Parameters
    ----------
    node : Node
        The node.
    known : mapping of onnx_ir.Value to Local or None
        How its inputs depend on the image, None where nobody knows; the others are constants.

    Returns
    -------
    Local or None
        None if the results are not local, or nobody knows.
    """
    given = [value for value in node.ir.inputs if value is not None]
    inputs = {value: known[value] if value in known else constant_of(value) for value in given}
    if any(x is None for x in inputs.values()):
        return None
    return _asked(node, [None if value is None else inputs[value] for value in node.ir.inputs])


@dataclass
class Following:
    """Follows a network.

    Attributes
    ----------
    graph : onnx_ir.Graph
        The network.
    values : dict of onnx_ir.Value to (Local, array or None)
        What is known of its values: how they depend on the image, or the array that they are in
        all images. An array of objects holds lengths (:class:`fcconv.graph.lengths.Length`).
    """

    graph: ir.Graph
    values: dict[ir.Value, Any] = field(default_factory=dict)
    _types: dict[ir.Value, onnx.TypeProto] = field(default_factory=dict)

    def start(self, image: ir.Value, known: Local, dims: Sequence[Any]) -> None:
        """Begin with an input, whose other axes are as long as it says."""
        first = [_first(known.along[a]) if a in known.along else n for a, n in enumerate(dims)]
        sizes = tuple(n for n in first if isinstance(n, int))
        whole = len(sizes) == len(first)
        self.add(image, Local(known.rank, known.along, sizes if whole else None))

    def to_the_end(self) -> Node | None:
        """Follow all nodes; return the first that is not local, or of which nobody knows."""
        for value in self.graph.initializers.values():
            self.add(value, constant_of(value))
        for ir_node in self.graph:
            node = read_node(ir_node, self.graph.opset_imports)
            if not self.step(node):
                return node
        return None

    def add(self, value: ir.Value, known: Local | npt.NDArray[Any] | None) -> None:
        """Note what is known of a value."""
        self.values[value] = known
        if isinstance(known, np.ndarray):
            found = ir.DataType.from_numpy(np.dtype(np.int64 if _varies(known) else known.dtype))
            dtype = value.dtype or found
            self._types[value] = onnx.helper.make_tensor_type_proto(dtype.value, known.shape)
        elif known is not None and known.sizes is not None and value.dtype is not None:
            self._types[value] = onnx.helper.make_tensor_type_proto(value.dtype.value, known.sizes)

    def step(self, node: Node) -> bool:
        """Follow one more node; False if its results are not local, or nobody knows."""
        if not all(value is None or value in self.values for value in node.ir.inputs):
            return False
        inputs = [None if value is None else self.values[value] for value in node.ir.inputs]
        arrays = _without_image(node, inputs)
        if arrays is not None:
            for value, array in zip(node.ir.outputs, arrays, strict=False):
                self.add(value, array)
            return True
        made = _spread(node, inputs)
        return made is not None and self._sized(node, inputs, made)

    def dtype(self, value: ir.Value) -> ir.DataType | None:
        """Return the type of a value's numbers; None if nothing tells it."""
        told = self._types.get(value)
        return None if told is None else ir.DataType(told.tensor_type.elem_type)

    def lines(self) -> Iterator[Along]:
        """Yield the entries along each axis of all values, and those that lengths count."""
        for known in self.values.values():
            if isinstance(known, Local):
                for entries in known.along.values():
                    yield from _lines(entries)
            elif known is not None and _varies(known):
                yield from (axis for n in known.ravel() for axis in (n.along if n else ()))

    def _sized(self, node: Node, inputs: Sequence[Any], made: Local) -> bool:
        """Note what a node makes, and how long its axes are; False if that can't be."""
        if any((a.counts < 1).any() for entries in made.along.values() for a in _lines(entries)):
            return False
        types = self._inferred(node, inputs, made)
        for value in node.ir.outputs:
            told = types.get(str(value.name))
            sizes = None if told is None else _sizes(told)
            if sizes is not None:
                wrong = len(sizes) != made.rank or any(
                    sizes[axis] != _first(entries) for axis, entries in made.along.items()
                )
                if wrong:
                    return False
            if told is not None:
                self._types[value] = told
            runs = {} if any(made is x for x in inputs) else made.runs
            self.values[value] = Local(made.rank, dict(sorted(made.along.items())), sizes, runs)
        return True

    def _inferred(
        self, node: Node, inputs: Sequence[Any], made: Local
    ) -> dict[str, onnx.TypeProto]:
        """Infer the types of what a node makes of the first of the images."""
        given = [value for value in node.ir.inputs if value is not None]
        if not all(value in self._types for value in given):
            return {}
        types = {str(value.name): self._types[value] for value in given}
        if node.ir.domain:  # of operators that are not ONNX's only those by entry are known here
            return _of_entries(node.ir, types.values())
        data = {
            str(value.name): onnx.numpy_helper.from_array(_in_numbers(known))
            for value, known in zip(node.ir.inputs, inputs, strict=True)
            if value is not None and isinstance(known, np.ndarray) and known.size <= FEW
        }
        try:
            schema = onnx.defs.get_schema(node.ir.op_type, node.opset, node.ir.domain)
            if not schema.has_type_and_shape_inference_function and made is inputs[0]:
                return {str(node.ir.outputs[0].name): types[str(given[0].name)]}
            return onnx.shape_inference.infer_node_outputs(
                schema,
                ir.to_proto(node.ir),
                types,
                data,
                opset_imports=[onnx.helper.make_operatorsetid(node.ir.domain, node.opset)],
            )
        except (
            onnx.checker.ValidationError,
            onnx.defs.SchemaError,
            onnx.shape_inference.InferenceError,
        ):
            return {}


def _spread(node: Node, inputs: Sequence[Any]) -> Local | None:
    """Say how a node's results depend on the image; None if they are not local."""
    varying = [k for k, x in enumerate(inputs) if isinstance(x, np.ndarray) and _varies(x)]
    if any(k != READ.get(node.op) for k in varying):
        return None
    if not varying and not any(isinstance(x, Local) for x in inputs):
        return None
    return _asked(node, inputs)


def _asked(node: Node, inputs: Sequence[Any]) -> Local | None:
    """Ask an operator's record; None if it has none, or its results are not local."""
    operator = OPERATORS.get(node.op)
    if operator is None or operator.static or operator.spread is None:
        return None
    if any(isinstance(inputs[k], Local) for k in operator.structural if k < len(inputs)):
        return None
    with computing(node):  # whatever a network that others wrote holds
        return operator.spread(node, *inputs)


def _without_image(node: Node, inputs: Sequence[Any]) -> Sequence[npt.NDArray[Any]] | None:
    """Compute what a node makes of constants and lengths; None if it reads more."""
    operator = OPERATORS.get(node.op)
    if node.op == "Shape" and isinstance(inputs[0], Local):
        every = [length_of(inputs[0], axis) for axis in range(inputs[0].rank)]
        return _settled(every[node.attribute("start", 0) : node.attribute("end")])
    if operator is None or any(isinstance(x, Local) for x in inputs):
        return None
    if not any(_varies(x) for x in inputs if x is not None):
        try:
            return [*map(np.asarray, compute(operator, fcconv_numpy, node, inputs))]
        except UnsupportedError:
            return None
    if node.op == "Shape":
        return [np.array(inputs[0].shape, np.int64)]
    shaping = [x for k, x in enumerate(inputs) if k in operator.structural and x is not None]
    given = [x if k in operator.structural else as_lengths(x) for k, x in enumerate(inputs)]
    if any(map(_varies, shaping)):
        return None
    with computing(node):
        if node.op in ARITHMETIC:
            return _settled(np.frompyfunc(ARITHMETIC[node.op], 2, 1)(*given))
        if node.op == "Cast" and node.attribute("to") == ir.DataType.INT64:
            return given
        if node.op == "Where":
            return None if _varies(inputs[0]) else _settled(np.where(inputs[0], *given[1:]))
        return _settled(operator.compute(fcconv_numpy, node, *given)) if node.op in MOVES else None


def _settled(array: Any) -> list[npt.NDArray[Any]]:
    """Return integers where all lengths are the same in all images, else lengths."""
    made = np.empty(np.shape(array), object)
    made[...] = array
    flat = made.ravel().tolist()
    if all(isinstance(n, bool) for n in flat):
        return [np.array(flat, bool).reshape(made.shape)]
    if all(isinstance(n, Length) and n.fixed for n in flat):
        return [np.array([n.times for n in flat], np.int64).reshape(made.shape)]
    return [made]


def _varies(array: npt.NDArray[Any]) -> bool:
    """Say whether an array holds lengths, some of which are not the same in all images."""
    return array.dtype == object


def _in_numbers(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Let lengths be what they are in the first of the images."""
    if not _varies(array):
        return array
    numbers = [-1 if n is None else n.first for n in lengths(array)]
    return np.array(numbers, np.int64).reshape(array.shape)


def _of_entries(node: ir.Node, inputs: Iterable[onnx.TypeProto]) -> dict[str, onnx.TypeProto]:
    """Infer the type of what is made entry by entry."""
    (made,) = node.outputs
    sizes = [_sizes(told) for told in inputs]
    if made.dtype is None or None in sizes:
        return {}
    shape = np.broadcast_shapes(*(n for n in sizes if n is not None))
    return {str(made.name): onnx.helper.make_tensor_type_proto(made.dtype.value, shape)}


def _lines(entries: Along | Together) -> list[Along]:
    parts = entries.parts if isinstance(entries, Together) else (entries,)
    return [part for part in parts if isinstance(part, Along)]


def _first(entries: Along | Together) -> int:
    """Count entries in the first of the images."""
    parts = entries.parts if isinstance(entries, Together) else (entries,)
    return math.prod(part if isinstance(part, int) else int(part.counts[0]) for part in parts)


def _sizes(told: onnx.TypeProto) -> tuple[int, ...] | None:
    dims = told.tensor_type.shape.dim
    known = told.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in dims)
    return tuple(d.dim_value for d in dims) if known else None
