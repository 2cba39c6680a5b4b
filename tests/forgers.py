"""Forgers of rewritten networks, and changes that are none: all know what a network is made of.

Each takes a source of random numbers and a model, changes it in place, and says whether it found
something to change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from graphs import Array

Change: TypeAlias = Callable[[Random, onnx.ModelProto], bool]


def nodes(model: onnx.ModelProto, *ops: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if not ops or node.op_type in ops]


def held(model: onnx.ModelProto, name: str) -> onnx.TensorProto | None:
    return next((w for w in model.graph.initializer if w.name == name), None)


def exchange(model: onnx.ModelProto, node: onnx.NodeProto, place: int, array: Array) -> None:
    """Give one node another constant; others that share the old one keep it."""
    name = f"{node.input[place]}/forged{len(model.graph.initializer)}"
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
    node.input[place] = name


def constants(
    model: onnx.ModelProto, first: int, *ops: str
) -> list[tuple[onnx.NodeProto, int, Array]]:
    found = []
    for node in nodes(model, *ops):
        for place, name in enumerate(node.input):
            tensor = held(model, name)
            if tensor is not None and place >= first:
                found.append((node, place, numpy_helper.to_array(tensor)))
    return found


def ints(node: onnx.NodeProto, name: str) -> Any:
    return next((a for a in node.attribute if a.name == name), None)


def moves(op: Sequence[str], name: str, place: int, by: int = 1) -> Change:
    """Change one number of how a window moves; the one of an axis, counted from the end."""

    def change(rng: Random, model: onnx.ModelProto) -> bool:
        found = nodes(model, *op)
        if not found:
            return False
        node = rng.choice(found)
        rank = _rank(model, node)
        attribute = ints(node, name)
        length = 2 * rank if name == "pads" else rank
        default = 0 if name == "pads" else 1
        if attribute is None and name == "kernel_shape":
            return False
        numbers = [default] * length if attribute is None else list(attribute.ints)
        numbers[place % length] += by
        if attribute is not None:
            node.attribute.remove(attribute)
        node.attribute.append(helper.make_attribute(name, numbers))
        return True

    return change


def _rank(model: onnx.ModelProto, node: onnx.NodeProto) -> int:
    kernel = ints(node, "kernel_shape")
    if kernel is not None:
        return len(kernel.ints)
    tensor = held(model, node.input[1])
    return 2 if tensor is None else len(tensor.dims) - 2


def says(op: Sequence[str], **attributes: Any) -> Change:
    """Set attributes of a node."""

    def change(rng: Random, model: onnx.ModelProto) -> bool:
        found = nodes(model, *op)
        if not found:
            return False
        node = rng.choice(found)
        for name, value in attributes.items():
            old = ints(node, name)
            if old is not None:
                node.attribute.remove(old)
            node.attribute.append(helper.make_attribute(name, value))
        return True

    return change


Changed: TypeAlias = Callable[[Random, Array], "Array | None"]


def holds(change_array: Changed, place: int, *ops: str, least: int = 1) -> Change:
    """Change a constant of a node."""

    def change(rng: Random, model: onnx.ModelProto) -> bool:
        found = [(n, p, a) for n, p, a in constants(model, place, *ops)
                 if a.dtype.kind == "f" and a.size and a.ndim >= least]  # fmt: skip
        rng.shuffle(found)
        for node, at, array in found:
            made = change_array(rng, array.copy())
            if made is not None and made.tobytes() != array.tobytes():
                exchange(model, node, at, made.astype(array.dtype))
                return True
        return False

    return change


def one(function: Callable[[Any], Any]) -> Changed:
    """Change a single entry."""

    def change(rng: Random, array: Array) -> Array:
        at = rng.randrange(array.size)
        array.flat[at] = function(array.flat[at])
        return array

    return change


def along(axis: int, function: Callable[[Array, int], Array]) -> Changed:
    return lambda _rng, a: function(a, axis) if a.ndim > axis else None


def _swapped(a: Array, axis: int) -> Array:
    return np.concatenate([np.take(a, [1, 0], axis), np.take(a, range(2, a.shape[axis]), axis)],
                          axis) if a.shape[axis] > 1 else a  # fmt: skip


def _turned(_rng: Random, a: Array) -> Array | None:
    return a.swapaxes(-1, -2) if a.ndim == 4 and a.shape[2] == a.shape[3] else None


Part: TypeAlias = "tuple[str, Array | None, dict[str, Any]]"
"""An operator, a constant beside what it reads, and attributes."""


def inserted(*parts: Part, gate: bool = False) -> Change:
    """Put nodes on one edge: operator, a constant beside it, attributes."""

    def change(rng: Random, model: onnx.ModelProto) -> bool:
        name, place = _an_edge(rng, model)
        value = f"{name}/in"
        _rename_maker(model, name, value)
        new = []
        for k, (op, constant, attributes) in enumerate(parts):
            end = name if k == len(parts) - 1 else f"{name}/{k}"
            inputs = [value]
            if constant is not None:
                inputs.append(f"{name}/constant{k}")
                model.graph.initializer.append(numpy_helper.from_array(constant, inputs[-1]))
            if gate and k == len(parts) - 1:
                inputs = [value, f"{name}/in"]
            new.append(helper.make_node(op, inputs, [end], f"{name}/node{k}", **attributes))
            value = end
        for k, node in enumerate(new):
            model.graph.node.insert(place + 1 + k, node)
        return True

    return change


def _an_edge(rng: Random, model: onnx.ModelProto) -> tuple[str, int]:
    """Choose a floating point value on the way, and where its maker stands."""
    quiet = ("ArgMax", "ArgMin", "Shape", "Gather", "Unsqueeze", "Concat", "Cast")
    found = [(n.output[0], k) for k, n in enumerate(model.graph.node) if n.op_type not in quiet]
    return rng.choice(found)


def _rename_maker(model: onnx.ModelProto, name: str, new: str) -> None:
    for node in model.graph.node:
        for k, output in enumerate(node.output):
            if output == name:
                node.output[k] = new


def _f(number: float) -> Array:
    return np.array(number, np.float32)


def _i(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


def after(build: Callable[[str], tuple[list[onnx.NodeProto], dict[str, Array]]]) -> Change:
    """Put nodes behind the first output, which they call "forged/out"."""

    def change(_rng: Random, model: onnx.ModelProto) -> bool:
        name = model.graph.output[0].name
        _rename_maker(model, name, "forged/in")
        for node in model.graph.node:
            for k, value in enumerate(node.input):
                if value == name:
                    node.input[k] = "forged/in"
        made, arrays = build("forged/in")
        for node in made:
            for k, value in enumerate(node.output):
                node.output[k] = name if value == "forged/out" else value
        model.graph.node.extend(made)
        held_ = [numpy_helper.from_array(array, key) for key, array in arrays.items()]
        model.graph.initializer.extend(held_)
        return True

    return change


Built: TypeAlias = tuple[list[onnx.NodeProto], dict[str, Array]]


def _part_doubled(axis: int, start: int, stop: int) -> Callable[[str], Built]:
    def build(x: str) -> Built:
        ends = {"f/0": _i(0), "f/a": _i(start), "f/b": _i(stop), "f/e": _i(2**62)}
        rest: dict[str, Array] = {"f/axis": _i(axis), "f/two": _f(2)}
        make = helper.make_node
        return [
            make("Slice", [x, "f/0", "f/a", "f/axis"], ["f/above"]),
            make("Slice", [x, "f/a", "f/b", "f/axis"], ["f/row"]),
            make("Slice", [x, "f/b", "f/e", "f/axis"], ["f/below"]),
            make("Add", ["f/row", "f/row"], ["f/doubled"]),
            make("Concat", ["f/above", "f/doubled", "f/below"], ["forged/out"], axis=axis),
        ], {**ends, **rest}

    return build


def _first_rows(axis: int) -> Callable[[str], Built]:
    return lambda x: (
        [helper.make_node("Slice", [x, "f/0", "f/b", "f/axis"], ["forged/out"])],
        {"f/0": _i(0), "f/b": _i(7), "f/axis": _i(axis)},
    )


def _shifted(axis: int) -> Callable[[str], Built]:
    def build(x: str) -> Built:
        pads = [0] * 8
        pads[4 + axis] = 1
        return [
            helper.make_node("Pad", [x, "f/pads"], ["f/wide"]),
            helper.make_node("Slice", ["f/wide", "f/1", "f/e", "f/axis"], ["forged/out"]),
        ], {"f/pads": _i(*pads), "f/1": _i(1), "f/e": _i(2**62), "f/axis": _i(axis)}

    return build


def _by_size(x: str) -> Built:
    make = helper.make_node
    return [
        make("Shape", [x], ["f/shape"]),
        make("Gather", ["f/shape", "f/axis"], ["f/rows"]),
        make("Greater", ["f/rows", "f/many"], ["f/large"]),
        make("Cast", ["f/large"], ["f/one"], to=TensorProto.FLOAT),
        make("Add", [x, "f/one"], ["forged/out"]),
    ], {"f/axis": np.array(2), "f/many": np.array(4)}


def _reversed(axis: int) -> Callable[[str], Built]:
    return lambda x: (
        [helper.make_node("Slice", [x, "f/m", "f/e", "f/axis", "f/m"], ["forged/out"])],
        {"f/m": _i(-1), "f/e": _i(-(2**62)), "f/axis": _i(axis)},
    )


def _over(axis: int) -> Callable[[str], Built]:
    return lambda x: (
        [helper.make_node("CumSum", [x, "f/axis"], ["forged/out"])],
        {"f/axis": np.array(axis)},
    )


def exchanged_outputs(_rng: Random, model: onnx.ModelProto) -> bool:
    if len(model.graph.output) < 2:
        return False
    a, b = (model.graph.output[k].name for k in (0, 1))
    for old, new in ((a, "forged/a"), (b, a), ("forged/a", b)):
        for node in model.graph.node:
            node.output[:] = [new if value == old else value for value in node.output]
            node.input[:] = [new if value == old else value for value in node.input]
    return True


def exchanged_inputs(rng: Random, model: onnx.ModelProto) -> bool:
    found = [node for node in nodes(model, "Sub", "Div", "Concat", "Pow") if len(node.input) > 1]
    if not found:
        return False
    node = rng.choice(found)
    node.input[0], node.input[1] = node.input[1], node.input[0]
    return True


def dropped(rng: Random, model: onnx.ModelProto) -> bool:
    """Leave out an elementwise node."""
    found = nodes(model, "Relu", "Clip", "Neg", "Abs", "LeakyRelu", "Add", "Mul", "Sub", "Sign")
    if not found:
        return False
    node = rng.choice(found)
    node.op_type, node.input[:] = "Identity", [node.input[0]]
    del node.attribute[:]
    return True


def another(rng: Random, model: onnx.ModelProto) -> bool:
    """Make a node one of its kin."""
    kin = {"Relu": "Abs", "Add": "Sub", "Sub": "Add", "Mul": "Add", "MaxPool": "AveragePool",
           "Abs": "Neg", "Neg": "Relu", "Max": "Min", "ReduceMax": "ReduceSum"}  # fmt: skip
    found = nodes(model, *kin)
    if not found:
        return False
    node = rng.choice(found)
    node.op_type = kin[node.op_type]
    return True


def doubled(rng: Random, model: onnx.ModelProto) -> bool:
    """Apply a pool or a reduction-free function twice, where the sizes stay."""
    found = nodes(model, "Neg", "Add", "Mul", "Sub", "LeakyRelu")
    if not found:
        return False
    node = rng.choice(found)
    k = list(model.graph.node).index(node)
    again = onnx.NodeProto()
    again.CopyFrom(node)
    again.name, again.input[0], end = f"{node.name}/again", f"{node.output[0]}/once", node.output[0]
    node.output[0] = again.input[0]
    again.output[0] = end
    model.graph.node.insert(k + 1, again)
    return True


def bias_dropped(rng: Random, model: onnx.ModelProto) -> bool:
    found = [node for node in nodes(model, "Conv", "Gemm") if len(node.input) > 2]
    if not found:
        return False
    del rng.choice(found).input[2]
    return True


def index_moved(rng: Random, model: onnx.ModelProto) -> bool:
    """Take another entry: of a Gather, or of where a Slice begins."""
    found = [(n, p, a) for n, p, a in constants(model, 1, "Gather", "Slice")
             if a.dtype.kind == "i" and a.size]  # fmt: skip
    if not found:
        return False
    node, place, array = rng.choice(found)
    array = array.copy()
    array.flat[rng.randrange(array.size)] += 1
    exchange(model, node, place, array)
    return True


def metadata(_rng: Random, model: onnx.ModelProto) -> bool:
    """Claim another reach; the numbers stay the same."""
    for entry in model.metadata_props:
        if "reach" in entry.value:
            entry.value = entry.value.replace('"reach": [[', '"reach": [[1')
            return True
    return False


def wider(_rng: Random, model: onnx.ModelProto) -> bool:
    """Compute in float64."""
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            array = numpy_helper.to_array(tensor).astype(np.float64)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return True


FLOAT, HALF, INT32, INT64 = (
    TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT32, TensorProto.INT64,
)  # fmt: skip
_NONE: dict[str, Any] = {}
POOLS = ("MaxPool", "AveragePool")

INSERTED: dict[str, list[Part]] = {
            "Relu": [("Relu", None, _NONE)],
            "Abs": [("Abs", None, _NONE)],
            "Neg": [("Neg", None, _NONE)],
            "Floor": [("Floor", None, _NONE)],
            "LeakyRelu": [("LeakyRelu", None, {"alpha": 0.028972})],
            "times 2": [("Mul", _f(2), _NONE)],
            "plus 1": [("Add", _f(1), _NONE)],
            "by 0": [("Div", _f(0), _NONE)],
            "to a power": [("Pow", _f(2), _NONE)],
    # All digits: of some, right networks may differ where their numbers are large.
    "absorbed": [("Add", _f(1e30), _NONE), ("Sub", _f(1e30), _NONE)],
    "overflow": [("Mul", _f(1e30), _NONE), ("Mul", _f(1e-30), _NONE)],
            "modulo": [("Mod", _f(7), {"fmod": 1})],
            "cast to half": [("Cast", None, {"to": HALF}), ("Cast", None, {"to": FLOAT})],
            "cast to int32": [("Cast", None, {"to": INT32}), ("Cast", None, {"to": FLOAT})],
            "integers halved": [
                ("Cast", None, {"to": INT64}), ("Div", np.array(2), _NONE),
                ("Mul", np.array(2), _NONE), ("Cast", None, {"to": FLOAT}),
            ],
            "integers shifted": [
                ("Cast", None, {"to": TensorProto.UINT32}),
                ("BitShift", np.array(1, np.uint32), {"direction": "RIGHT"}),
                ("Cast", None, {"to": FLOAT}),
            ],
            "integers wrapped": [("Cast", None, {"to": TensorProto.INT8}),
                                 ("Cast", None, {"to": FLOAT})],
        }  # fmt: skip
"""What is put on an edge."""

FORGERS: dict[str, Change] = {
    **{
        f"{op[0]} {name} {place}": moves(op, name, place)
        for op in (("Conv",), POOLS)
        for name, places in (("strides", (-1, -2)), ("dilations", (-1, -2)),
                             ("pads", (-1, -2, 0, 1)), ("kernel_shape", (-1, -2)))
        for place in places
        if op != ("Conv",) or name != "kernel_shape"
    },
    "pool ceil_mode": says(POOLS, ceil_mode=1),
    "conv same": says(("Conv",), auto_pad="SAME_UPPER"),
    "pool same": says(POOLS, auto_pad="SAME_LOWER"),
    "pool counts padding": says(("AveragePool",), count_include_pad=1),
    "axis of a join": says(("Concat",), axis=-1),
    "axis of places": says(("ArgMax", "Softmax", "LogSoftmax"), axis=-1),
    "last place": says(("ArgMax",), select_last_index=1),
    "turned": says(("Transpose",), perm=[0, 1, 3, 2]),
    **{
        f"weight {name}": holds(change, 1, "Conv", "Gemm", "MatMul", least=2)
        for name, change in {
            "one ulp up": one(lambda x: np.nextafter(np.float32(x), np.float32(np.inf))),
            "one ulp down": one(lambda x: np.nextafter(np.float32(x), np.float32(-np.inf))),
            "negated": one(lambda x: -x),
            "doubled": one(lambda x: 2 * x),
            "zeroed": one(lambda x: x * 0),
            "infinite": one(lambda _x: np.inf),
            "no number": one(lambda _x: np.nan),
            "outputs swapped": along(0, _swapped),
            "inputs swapped": along(1, _swapped),
            "rows swapped": along(2, _swapped),
            "columns swapped": along(3, _swapped),
            "flipped": along(2, np.flip),
            "mirrored": along(3, np.flip),
            "rolled": along(3, lambda a, axis: np.roll(a, 1, axis)),
            "transposed": _turned,
        }.items()
    },
    "bias one ulp": holds(one(lambda x: np.nextafter(np.float32(x), np.float32(9))), 2, "Conv"),
    "bias rolled": holds(lambda _rng, a: np.roll(a, 1), 2, "Conv", "Gemm"),
    "bias dropped": bias_dropped,
    "constant one ulp": holds(
        one(lambda x: np.nextafter(np.float32(x), np.float32(np.inf))), 1, "Add", "Mul", "Sub"
    ),
    "limit one ulp": holds(
        one(lambda x: np.nextafter(np.float32(x), np.float32(np.inf))), 1, "Clip", least=0
    ),
    **{f"inserted {name}": inserted(*parts) for name, parts in INSERTED.items()},
    "no number if large": inserted(
        ("Exp", None, _NONE), ("Exp", None, _NONE), ("Mul", _f(0), _NONE), ("Add", None, _NONE),
        gate=True,
    ),
    "a gate": inserted(("Sign", None, _NONE), ("Mul", None, _NONE), gate=True),
    "row 1 doubled": after(_part_doubled(2, 1, 2)),
    "rows from 3 on doubled": after(_part_doubled(2, 3, 9)),
    "column 2 doubled": after(_part_doubled(3, 2, 3)),
    "score 0 doubled": after(_part_doubled(1, 0, 1)),
    "first rows": after(_first_rows(2)),
    "first columns": after(_first_rows(3)),
    "rows shifted": after(_shifted(2)),
    "columns shifted": after(_shifted(3)),
    "by size": after(_by_size),
    "rows reversed": after(_reversed(2)),
    "columns reversed": after(_reversed(3)),
    "classes reversed": after(_reversed(1)),
    "images reversed": after(_reversed(0)),
    "images added up": after(_over(0)),
    "columns added up": after(_over(3)),
    "outputs exchanged": exchanged_outputs,
    "inputs exchanged": exchanged_inputs,
    "node dropped": dropped,
    "node of another kind": another,
    "node doubled": doubled,
    "index moved": index_moved,
    "metadata": metadata,
    "wider": wider,
}  # fmt: skip


def values_renamed(_rng: Random, model: onnx.ModelProto) -> bool:
    kept = {value.name for value in (*model.graph.input, *model.graph.output)}
    for node in model.graph.node:
        node.name += "/renamed"
        for names in (node.input, node.output):
            names[:] = [name if name in kept or not name else f"{name}/new" for name in names]
    for tensor in model.graph.initializer:
        tensor.name += "/new"
    del model.graph.value_info[:]
    return True


def nodes_reordered(rng: Random, model: onnx.ModelProto) -> bool:
    """Sort the nodes in another order that is one."""
    known = {w.name for w in model.graph.initializer} | {v.name for v in model.graph.input} | {""}
    left, order = list(model.graph.node), []
    while left:
        ready = [node for node in left if known.issuperset(node.input)]
        node = rng.choice(ready)
        left.remove(node)
        known.update(node.output)
        order.append(node)
    copies = []
    for node in order:
        copies.append(onnx.NodeProto())
        copies[-1].CopyFrom(node)
    del model.graph.node[:]
    model.graph.node.extend(copies)
    return True


def constant_nodes(_rng: Random, model: onnx.ModelProto) -> bool:
    """Let every constant be a node."""
    made = [helper.make_node("Constant", [], [w.name], value=w) for w in model.graph.initializer]
    del model.graph.initializer[:]
    for node in made:
        model.graph.node.insert(0, node)
    return bool(made)


def bias_as_sum(rng: Random, model: onnx.ModelProto) -> bool:
    found = [n for n in nodes(model, "Conv") if len(n.input) > 2 and held(model, n.input[2])]
    if not found:
        return False
    node = rng.choice(found)
    bias, kernel = held(model, node.input[2]), held(model, node.input[1])
    assert bias is not None
    assert kernel is not None
    column = numpy_helper.to_array(bias).reshape(-1, *(1,) * (len(kernel.dims) - 2))
    end = node.output[0]
    del node.input[2]
    node.output[0] = f"{end}/product"
    model.graph.initializer.append(numpy_helper.from_array(column, f"{end}/column"))
    order = [f"{end}/product", f"{end}/column"]
    rng.shuffle(order)
    place = list(model.graph.node).index(node)
    model.graph.node.insert(place + 1, helper.make_node("Add", order, [end], f"{end}/sum"))
    return True


def split_into_parts(rng: Random, model: onnx.ModelProto) -> bool:
    """Compute the outputs of a convolution in two parts."""
    found = [(n, p, a) for n, p, a in constants(model, 1, "Conv")
             if p == 1 and len(a) > 1 and getattr(ints(n, "group"), "i", 1) == 1]  # fmt: skip
    if not found:
        return False
    node, _, weight = rng.choice(found)
    at = rng.randrange(1, len(weight))
    bias = held(model, node.input[2]) if len(node.input) > 2 else None
    if len(node.input) > 2 and bias is None:
        return False
    end, place = node.output[0], list(model.graph.node).index(node)
    parts = []
    for k, rows in enumerate((slice(0, at), slice(at, None))):
        part = onnx.NodeProto()
        part.CopyFrom(node)
        part.name, part.output[0] = f"{node.name}/part{k}", f"{end}/part{k}"
        exchange(model, part, 1, weight[rows])
        if bias is not None:
            exchange(model, part, 2, numpy_helper.to_array(bias)[rows])
        parts.append(part)
    joined = helper.make_node("Concat", [p.output[0] for p in parts], [end], f"{end}/join", axis=1)
    model.graph.node.remove(node)
    for k, made in enumerate([*parts, joined]):
        model.graph.node.insert(place + k, made)
    return True


def gemm_for_product_and_sum(rng: Random, model: onnx.ModelProto) -> bool:
    found = []
    for node in nodes(model, "MatMul"):
        readers = [n for n in model.graph.node if node.output[0] in n.input]
        weight = held(model, node.input[1])
        if len(readers) == 1 and readers[0].op_type == "Add" and weight is not None:
            (other,) = [name for name in readers[0].input if name != node.output[0]] or [""]
            if len(weight.dims) == 2 and held(model, other) is not None:
                found.append((node, readers[0], other))
    if not found:
        return False
    product, total, bias = rng.choice(found)
    total.op_type, total.input[:] = "Gemm", [*product.input, bias]
    model.graph.node.remove(product)
    return True


TRUE: dict[str, Change] = {
    "values renamed": values_renamed,
    "nodes reordered": nodes_reordered,
    "Identity inserted": inserted(("Identity", None, _NONE)),
    "constants as nodes": constant_nodes,
    "bias as a sum": bias_as_sum,
    "convolution in parts": split_into_parts,
    "Gemm for product and sum": gemm_for_product_and_sum,
}


def in_turn(rng: Random, changes: dict[str, Change]) -> Iterator[tuple[str, Change]]:
    """Yield changes in a random order, until one finds something to change."""
    names = list(changes)
    rng.shuffle(names)
    for name in names:
        yield name, changes[name]
