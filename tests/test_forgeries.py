"""Forgeries that rest on how a proof works: its prime, its keys, what it compares by print."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

import fcconv
from fcconv.graph.engines import compiling
from fcconv_modular import field_of
from graphs import Array, Net, i

SAME_CRC = (0.028972, 0.148458)
"""Slopes whose attributes, in print, have one and the same crc32."""


def _rewritten(original: onnx.ModelProto) -> onnx.ModelProto:
    return ir.to_proto(fcconv.convolutionize(original).model)


def _without_metadata(original: onnx.ModelProto) -> onnx.ModelProto:
    """Slide a network as somebody else's tool does."""
    rewritten = _rewritten(original)
    del rewritten.metadata_props[:]
    return rewritten


def _exchange(model: onnx.ModelProto, name: str, value: Array) -> None:
    (held,) = [w for w in model.graph.initializer if w.name == name]
    held.CopyFrom(numpy_helper.from_array(value, name))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("product", [3, 2**20 - 1048573, 2**20 - 786433])
def test_numbers_that_are_equal_modulo_a_prime(product: int, seed: int) -> None:
    """Times 1024 twice is times 3 modulo 1048573; the prime is not known in advance."""
    net = Net()
    x = net.add("Mul", net.map(), np.array(1024, np.float32), name="first")
    x = net.add("Mul", x, np.array(1024, np.float32), name="second")
    original = net.model(net.dense(x, 96))
    forged = _rewritten(original)
    assert fcconv.certify(original, forged, seed=seed).holds
    _exchange(forged, "first/constant", np.array(product, np.float32))
    _exchange(forged, "second/constant", np.array(1, np.float32))
    found = fcconv.certify(original, forged, seed=seed)
    assert not found.holds
    assert not found.native_exact  # in the field, not only in floats


def test_attributes_of_one_checksum() -> None:
    slope, other = SAME_CRC
    net = Net()
    original = net.model(net.dense(net.add("LeakyRelu", net.map(), alpha=slope, name="leaky"), 96))
    forged = _rewritten(original)
    (node,) = [node for node in forged.graph.node if node.name == "leaky"]
    node.attribute[0].f = other
    certificate = fcconv.certify(original, forged)
    assert not certificate.holds
    assert certificate.difference == "leaky (LeakyRelu)"


def test_keys_are_not_known_in_advance() -> None:
    net = Net()
    original = net.model(net.dense(net.map(), 96))
    sliding = fcconv.convolutionize(original)
    first, second = (fcconv.certify(original, sliding) for _ in range(2))
    assert first.seed != second.seed
    assert fcconv.certify(original, sliding, seed=first.seed) == first
    assert str(first.seed) in str(first)


def _table(number: float) -> Array:
    """More numbers than a print shows."""
    table = np.zeros(10_000, np.float32)
    table[5_000] = number
    return table


def _with_table(number: float) -> onnx.ModelProto:
    """An operator that is not known here."""
    net = Net()
    scores, table = net.dense(net.map(), 96), numpy_helper.from_array(_table(number))
    net.nodes.append(helper.make_node("Custom", [scores], ["out"], "own", domain="my", table=table))
    model = net.model("out")
    model.opset_import.add(domain="my", version=1)
    return model


def _with_branches(number: float) -> onnx.ModelProto:
    """An If whose branch holds weights."""
    net = Net()
    scores = net.dense(net.map(), 96)
    made = helper.make_tensor_value_info("made", onnx.TensorProto.FLOAT, None)
    total = helper.make_node("ReduceSum", ["held"], ["total"], keepdims=0)
    add = helper.make_node("Add", [scores, "total"], ["made"])
    held = numpy_helper.from_array(_table(number), "held")
    then = helper.make_graph([total, add], "then", [], [made], [held])
    other = helper.make_graph([helper.make_node("Neg", [scores], ["made"])], "else", [], [made])
    high = net.add("Greater", net.reduce("ReduceMax", scores, [0, 1], 0), np.array(0, np.float32))
    net.nodes.append(
        helper.make_node("If", [high], ["out"], "branch", then_branch=then, else_branch=other)
    )
    return net.model("out")


def _with_weights_outside(number: float) -> onnx.ModelProto:
    """An If whose branch holds a branch that reads weights from outside."""
    net = Net()
    scores = net.dense(net.map(), 96)
    table, made = (
        net.constant(_table(number), "held"),
        [helper.make_empty_tensor_value_info("made")],
    )
    high = net.add("Greater", net.reduce("ReduceMax", scores, [0, 1], 0), np.array(0, np.float32))
    total = helper.make_node("ReduceSum", [table], ["total"], keepdims=0)
    add = helper.make_node("Add", [scores, "total"], ["made"])
    other = helper.make_graph([helper.make_node("Neg", [scores], ["made"])], "else", [], made)
    then = helper.make_graph([total, add], "then", [], made)
    inner = helper.make_node("If", [high], ["made"], then_branch=then, else_branch=other)
    outer = helper.make_graph([inner], "outer", [], made)
    net.nodes.append(
        helper.make_node("If", [high], ["out"], "branch", then_branch=outer, else_branch=other)
    )
    return net.model("out")


@pytest.mark.parametrize("build", [_with_table, _with_branches, _with_weights_outside])
def test_what_is_left_alone_is_compared_by_all_its_bytes(build: Any) -> None:
    original, forged = build(0.0), build(1.0)
    assert fcconv.certify(original, fcconv.pointwise(original)).holds
    certificate = fcconv.certify(original, fcconv.pointwise(forged))
    assert not certificate.holds
    assert certificate.difference in ("own (my.Custom)", "branch (If)")


def test_a_bias_may_be_written_as_a_sum() -> None:
    """Of a network that pads, where the node of the same name computes something else."""
    net = Net()
    x = net.add("Conv", "image", net.w(2, 2, 2, 3), net.w(2), pads=[1, 1, 0, 1], name="first")
    original = net.model(net.dense(net.add("Relu", x), 144))
    rewritten = _rewritten(original)
    (conv,) = [node for node in rewritten.graph.node if node.name == "first"]
    (bias,) = [w for w in rewritten.graph.initializer if w.name == conv.input[2]]
    end = conv.output[0]
    del conv.input[2]
    conv.output[0] = "without bias"
    column = numpy_helper.to_array(bias).reshape(1, -1, 1, 1)
    rewritten.graph.initializer.append(numpy_helper.from_array(column, "column"))
    addition = helper.make_node("Add", ["without bias", "column"], [end], "sum")
    rewritten.graph.node.insert(list(rewritten.graph.node).index(conv) + 1, addition)
    certificate = fcconv.certify(original, rewritten)
    assert certificate.holds
    assert not certificate.exact


def test_a_convolution_may_be_split_by_its_inputs() -> None:
    """And multiplied by 1: of zeros neither rounds anything, so the bound has to be as small."""
    net = Net()
    original = net.model(net.dense(net.map(), 96))
    rewritten = _rewritten(original)
    last = rewritten.graph.node[-1]
    kernel, bias = (w for name in last.input[1:] for w in rewritten.graph.initializer
                    if w.name == name)  # fmt: skip
    first, second = np.split(numpy_helper.to_array(kernel), 2, axis=1)
    constants = {"first": first, "second": second, "axis": i(1, 1), "one": net.array([1])}
    make, (image, *_), end = helper.make_node, last.input, last.output[0]
    rewritten.graph.node.remove(last)
    rewritten.graph.node.extend([
        make("Split", [image, "axis"], ["a", "b"], axis=1),
        make("Conv", ["a", "first"], ["c"]),
        make("Conv", ["b", "second", bias.name], ["d"]),
        make("Add", ["c", "d"], ["e"]),
        make("Mul", ["e", "one"], [end]),
    ])  # fmt: skip
    held = [numpy_helper.from_array(np.ascontiguousarray(w), n) for n, w in constants.items()]
    rewritten.graph.initializer.extend(held)
    assert fcconv.certify(original, rewritten).exact


def _sliding() -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """A network that pads, and one that slides."""
    net = Net()
    x = net.conv("image", 2, 2, 2, 3, pads=[1, 1, 0, 1])
    original = net.model(net.dense(net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), 32))
    return original, _rewritten(original)


@pytest.mark.parametrize("name", ["margins", "reach", "stride", "window"])
def test_a_network_is_not_believed_what_it_says_of_itself(name: str) -> None:
    original, forged = _sliding()
    assert fcconv.certify(original, forged).holds
    for entry in forged.metadata_props:
        if name in entry.key:
            entry.value = "4 4" if name == "stride" else "9 10"
        elif name in entry.value:
            said = json.loads(entry.value)
            entry.value = json.dumps({**said, name: [[0, 0]] * 2})
    with pytest.raises(fcconv.ModelError, match=name):
        fcconv.scan(forged, np.zeros((2, 30, 30), np.float32), windows="shared")
    if name != "window":  # it chooses what the two are compared by
        certificate = fcconv.certify(original, forged)
        assert not certificate.holds
        assert not certificate.exact


@pytest.mark.parametrize(("name", "value"), [("field", [9, 9]), ("reasons", ["it pads"])])
def test_nor_what_it_says_of_an_exact_one(name: str, value: Any) -> None:
    net = Net()
    original = net.model(net.dense(net.map(), 96))
    forged = _rewritten(original)
    assert fcconv.certify(original, forged).exact
    (entry,) = [entry for entry in forged.metadata_props if name in entry.value]
    entry.value = json.dumps({**json.loads(entry.value), name: value})
    certificate = fcconv.certify(original, forged)
    assert not certificate.holds
    assert f"the metadata says {name}" in str(certificate.difference)


def _row_doubled(end: str) -> tuple[list[onnx.NodeProto], dict[str, Array]]:
    """Double row 20 of the map: smaller maps have none."""
    make = helper.make_node
    constants = {
        "zero": np.array([0]), "from": np.array([20]), "to": np.array([21]),
        "rest": np.array([2**62]), "axis": np.array([2]), "two": np.array(2, np.float32),
    }  # fmt: skip
    nodes = [
        make("Slice", [end, "zero", "from", "axis"], ["above"], "above"),
        make("Slice", [end, "from", "to", "axis"], ["row"], "row"),
        make("Slice", [end, "to", "rest", "axis"], ["below"], "below"),
        make("Mul", ["row", "two"], ["doubled"], "doubled"),
        make("Concat", ["above", "doubled", "below"], ["out"], "joined", axis=2),
    ]
    return nodes, constants


def _first_rows(end: str) -> tuple[list[onnx.NodeProto], dict[str, Array]]:
    """Keep 30 rows of the map: smaller maps keep all of theirs."""
    constants = {"zero": np.array([0]), "to": np.array([30]), "axis": np.array([2])}
    return [helper.make_node("Slice", [end, *constants], ["out"], "first")], constants


def _by_size(end: str) -> tuple[list[onnx.NodeProto], dict[str, Array]]:
    """Add one in maps of more than 500 rows."""
    make = helper.make_node
    constants = {"axis": np.array(2), "many": np.array(500)}
    nodes = [
        make("Shape", [end], ["shape"], "shape"),
        make("Gather", ["shape", "axis"], ["rows"], "rows"),
        make("Greater", ["rows", "many"], ["is large"], "compare"),
        make("Cast", ["is large"], ["one"], "cast", to=onnx.TensorProto.FLOAT),
        make("Add", [end, "one"], ["out"], "add"),
    ]
    return nodes, constants


def _shifted(end: str) -> tuple[list[onnx.NodeProto], dict[str, Array]]:
    """Add the score 60 cells further down."""
    make = helper.make_node
    pads = [0, 0, 0, 0, 0, 0, 60, 0]
    constants = {
        "pads": np.array(pads), "from": np.array([60]), "rest": np.array([2**62]),
        "axis": np.array([2]),
    }  # fmt: skip
    nodes = [
        make("Pad", [end, "pads"], ["wide"], "pad"),
        make("Slice", ["wide", "from", "rest", "axis"], ["moved"], "cut"),
        make("Add", [end, "moved"], ["out"], "add"),
    ]
    return nodes, constants


def _rows_doubled(end: str) -> tuple[list[onnx.NodeProto], dict[str, Array]]:
    """Double all rows from the 20th on."""
    nodes, constants = _row_doubled(end)
    return nodes, {**constants, "to": constants["rest"]}


@pytest.mark.parametrize("spoil", [_row_doubled, _rows_doubled, _first_rows, _by_size, _shifted])
def test_what_shows_in_large_images_only_is_not_proved(spoil: Any) -> None:
    net = Net(shape=(2, 8, 8))
    original = net.model(net.dense(net.map(), 84))
    forged = _without_metadata(original)
    assert fcconv.certify(original, forged).holds
    nodes, constants = spoil(forged.graph.output[0].name)
    forged.graph.node.extend(nodes)
    held = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    forged.graph.initializer.extend(held)
    forged.graph.output[0].name = "out"
    certificate = fcconv.certify(original, forged)
    assert not certificate.holds
    assert not certificate.exact


def test_one_more_pad_at_the_end_makes_a_false_column() -> None:
    """Of images whose size leaves a remainder; others have no cell more."""
    net = Net(shape=(2, 9, 9))
    x = net.add("MaxPool", net.conv("image", 2, 2, 2, 2), kernel_shape=[2, 2], strides=[3, 3])
    original = net.model(net.dense(x, 18))
    forged = _without_metadata(original)
    assert fcconv.certify(original, forged).exact
    (pool,) = [node for node in forged.graph.node if node.op_type == "MaxPool"]
    (pads,) = [a for a in pool.attribute if a.name == "pads"]
    pads.ints[3] += 1
    certificate = fcconv.certify(original, forged)
    assert not certificate.holds
    assert not certificate.exact


def test_rows_and_columns_are_not_exchanged() -> None:
    net = Net(shape=(2, 8, 8))
    original = net.model(net.dense(net.map(), 84))
    forged = _rewritten(original)
    turned = helper.make_node(
        "Transpose", [forged.graph.output[0].name], ["out"], perm=[0, 1, 3, 2]
    )
    forged.graph.node.append(turned)
    forged.graph.output[0].name = "out"
    assert not fcconv.certify(original, forged).holds
    del forged.metadata_props[:]
    with pytest.raises(fcconv.ModelError, match="does not slide along axis 2"):
        fcconv.certify(original, forged)


def _halved(dtype: int, to: int) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Halve and double whole numbers, which loses the odd ones, beside a network that doesn't."""
    nets = []
    for halves in (True, False):
        net = Net()
        x = net.add("Cast", net.map(), to=dtype)
        two = np.array(2, helper.tensor_dtype_to_np_dtype(dtype))
        names = [net.constant(two, name) for name in ("divisor", "factor")]
        if halves:
            x = net.add("Mul", net.add("Div", x, names[0]), names[1])
        nets.append(net.model(net.dense(net.add("Cast", x, to=to), 96)))
    return nets[0], nets[1]


@pytest.mark.parametrize("dtype", [onnx.TensorProto.INT32, onnx.TensorProto.INT64])
def test_integers_are_not_divided_as_floats_are(dtype: int) -> None:
    original, other = _halved(dtype, onnx.TensorProto.FLOAT)
    assert fcconv.certify(original, fcconv.convolutionize(original)).holds
    found = fcconv.certify(original, fcconv.convolutionize(other))
    assert not found.holds
    assert not found.native_exact  # in the field, not only in floats


def test_a_limit_that_is_an_attribute_counts_in_full() -> None:
    """Before opset 11, where no number below 1 was told from another one."""
    networks = []
    for limit in (0.25, 0.5):
        net = Net(opset=9)
        networks.append(net.model(net.dense(net.add("Clip", net.map(), min=limit), 96)))
    assert fcconv.certify(networks[0], fcconv.convolutionize(networks[0])).holds
    assert not fcconv.certify(networks[0], fcconv.convolutionize(networks[1])).holds


Change: TypeAlias = Callable[[Net, str], str]
"""Adds to a network what its scores go through."""


def _left_alone(_net: Net, scores: str) -> str:
    return scores


def _cast(dtype: int) -> Change:
    return lambda net, x: net.add("Cast", net.add("Cast", x, to=dtype), to=onnx.TensorProto.FLOAT)


def _times(number: float) -> Change:
    return lambda net, x: net.add("Mul", x, net.array(number), name="product")


def _by(number: float) -> Change:
    return lambda net, x: net.add("Div", x, net.array(number), name="product")


def _plus_nothing(net: Net, x: str) -> str:
    """Add a zero that is a NaN where an exponential overflows."""
    large = net.add("Exp", net.add("Exp", x))
    return net.add("Add", x, net.add("Mul", large, net.array(0)))


def _absorbed(net: Net, x: str) -> str:
    return net.add("Sub", net.add("Add", x, net.array(1e8)), net.array(1e8))


FLOATS: dict[str, tuple[Change, Change]] = {
    "digits cast away": (_cast(onnx.TensorProto.DOUBLE), _cast(onnx.TensorProto.FLOAT16)),
    "0 times an overflow": (_left_alone, _plus_nothing),
    "0 by 0": (_times(0), _by(0)),
    "digits absorbed": (_left_alone, _absorbed),
}
"""What differs in floats, if not in real numbers: a network, and what is said to stand for it."""


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("rewrite", [fcconv.convolutionize, fcconv.pointwise])
def test_floats_that_differ(rewrite: Any, name: str) -> None:
    networks = []
    for build in FLOATS[name]:
        net = Net()
        networks.append(net.model(build(net, net.dense(net.map(), 96))))
    original, other = networks
    assert fcconv.certify(original, rewrite(original)).holds
    assert not fcconv.certify(original, rewrite(other)).holds


def test_scores_that_are_one_number_do_not_hold() -> None:
    net = Net()
    original = net.model(net.add("Sub", net.array(1), net.dense(net.map(), 96), name="last"))
    forged = _rewritten(original)
    (last,) = [node for node in forged.graph.node if node.op_type == "Sub"]
    last.op_type, last.input[:] = "Identity", last.input[:1]
    assert not fcconv.certify(original, forged).holds


FAR = 1e24
"""Beyond what the pixels of a certificate add up to, and far within float32."""


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rewrite", [fcconv.convolutionize, fcconv.pointwise])
def test_what_no_drawn_pixel_shows(rewrite: Any, seed: int) -> None:
    """A Clip that the scores of all drawn pixels end at hides that they are absorbed."""
    networks = []
    for number in (0, 1e35):
        net = Net()
        x = net.add("Sub", net.dense(net.map(), 96), net.array(FAR))
        x = net.add("Add", net.add("Sub", x, net.array(number)), net.array(number))
        networks.append(net.model(net.add("Clip", x, net.array(7), net.array(9))))
    original, other = networks
    images = np.full((1, 2, 9, 8), FAR, np.float32) * np.sign(net.w(1, 2, 9, 8))
    a, b = (fcconv.compile(network)(images) for network in networks)
    assert not np.array_equal(a, b)
    assert fcconv.certify(original, rewrite(original), seed=seed).holds
    found = fcconv.certify(original, rewrite(other), seed=seed)
    assert not found.holds
    assert "rounding may add" in str(found.difference)


def _nothing_by(make: Change) -> Change:
    return lambda net, x: net.add("Add", x, net.add("Mul", make(net, x), net.array(0)))


def _shifted_by(net: Net, x: str) -> str:
    return net.add("Sub", x, net.array(7777.25))


def _bump(net: Net, x: str) -> str:
    """Make something huge of numbers between 7777 and 7778, and 0 of all others."""
    above = net.add("Relu", net.add("Sub", x, net.array(7777)))
    below = net.add("Relu", net.add("Sub", net.array(7778), x))
    return net.add("Mul", net.add("Mul", above, below), net.array(1e20))


def _absorbed_there(net: Net, x: str) -> str:
    bump = _bump(net, x)
    return net.add("Sub", net.add("Add", x, bump), bump)


SELDOM: dict[str, Change] = {
    "0 by a reciprocal": _nothing_by(lambda net, x: net.add("Reciprocal", _shifted_by(net, x))),
    "0 by a power": _nothing_by(lambda net, x: net.add("Pow", _shifted_by(net, x), net.array(-2))),
    "0 by a logarithm": _nothing_by(
        lambda net, x: net.add("Log", net.add("Abs", _shifted_by(net, x)))
    ),
    "0 by an overflow": _nothing_by(lambda net, x: net.add("Exp", _bump(net, x))),
    "absorbed": _absorbed_there,
}
"""What is wrong in floats for a few scores only."""


@pytest.mark.parametrize("name", SELDOM)
def test_what_few_images_show_is_bounded(name: str) -> None:
    networks = []
    for change in (_left_alone, SELDOM[name]):
        net = Net()
        x = net.add("Conv", "image", net.w(2, 2, 2, 3), np.array([0.7, 1.3], np.float32))
        networks.append(net.model(change(net, net.dense(net.add("Relu", x), 96))))
    original, other = networks
    assert fcconv.certify(original, _rewritten(original)).holds
    found = fcconv.certify(original, _rewritten(other))
    assert not found.holds
    assert "pixels" in str(found.difference)  # by all of a size, or by those drawn


@pytest.mark.parametrize("rewrite", [fcconv.convolutionize, fcconv.pointwise])
def test_what_has_no_bound_is_measured(rewrite: Any) -> None:
    """Nobody knows what rounding does to a tangent, but a NaN is one."""
    networks = []
    for build in (_left_alone, _plus_nothing):
        net = Net()
        networks.append(net.model(build(net, net.add("Tan", net.dense(net.map(), 96)))))
    original, other = networks
    assert fcconv.certify(original, rewrite(original)).holds
    assert not fcconv.certify(original, rewrite(other)).holds


def test_an_engine_that_loses_digits_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net()
    original = net.model(net.dense(net.map(), 96))
    compiled = compiling.compile

    def compile_badly(model: Any, engine: str) -> Any:
        network = compiled(model, engine)
        free = any(n == "size_0" for n in map(str, model.graph.inputs[0].shape.dims))
        return (lambda x: network(x) * np.float32(1.01)) if free else network

    monkeypatch.setattr(compiling, "compile", compile_badly)
    certificate = fcconv.certify(original, fcconv.convolutionize(original))
    assert not certificate.holds
    assert "right ones differ by" in str(certificate.difference)


def test_weights_that_are_chosen_for_a_known_key() -> None:
    """Whoever knows a key finds another weight of the same residue; not one for all keys."""
    net = Net()
    original = net.model(net.dense(net.map(), 96))
    forged = _rewritten(original)
    kernel = next(w for w in forged.graph.initializer if w.dims == [3, 2, 8, 6])
    weight = numpy_helper.to_array(kernel).copy()
    field = field_of(int(np.random.default_rng(0).integers(2**63)))
    near = (weight.ravel()[:1].view(np.uint32) + np.arange(1, 2**23)).astype(np.uint32)
    residues = field.asarray(near.view(np.float32)).numbers
    (same, *_) = np.flatnonzero(residues == field.asarray(weight.ravel()[:1]).numbers)
    weight.flat[0] = near.view(np.float32)[same]
    kernel.CopyFrom(numpy_helper.from_array(weight, kernel.name))
    assert fcconv.certify(original, _rewritten(original), seed=0).holds
    for seed in (0, None):
        certificate = fcconv.certify(original, forged, seed=seed)
        assert not certificate.holds
        assert str(certificate.difference).endswith("(Conv)")  # found before floats are


def test_a_node_that_does_not_fit_is_named() -> None:
    net = Net()
    original = net.model(net.dense(net.map(), 96))
    forged = _rewritten(original)
    pads = numpy_helper.from_array(np.zeros(10, np.int64), "pads")
    forged.graph.initializer.append(pads)
    pad = helper.make_node("Pad", [forged.graph.output[0].name, "pads"], ["out"], "wide")
    forged.graph.node.append(pad)
    forged.graph.output[0].name = "out"
    with pytest.raises(fcconv.FcconvError, match=r"^wide \(Pad\)"):
        fcconv.certify(original, forged)
