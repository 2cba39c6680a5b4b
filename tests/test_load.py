"""Broken files, absurd ones, and ones that are only unusual: a named error, or it works."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

import fcconv
from fcconv import FcconvError, ModelError, ShapeError
from fcconv.cli import app
from fcconv.graph.wire import begin_field
from small_networks import classifier, constant, ints, model, node, weight

Break = Callable[[onnx.ModelProto], object]

USES: list[Callable[[Any], Any]] = [fcconv.convolutionize, fcconv.pointwise]

LITTLE = 2**22
"""Bytes that refusing a model may take, and reading the small one."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "model.onnx"


def write(path: Path, content: onnx.ModelProto | bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    return path


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < LITTLE
    finally:
        tracemalloc.stop()


def refuse(use: Callable[[Any], Any], source: object, *said: str) -> None:
    """See a source refused by an error that says all of `said`, and for little memory."""
    with little_memory(), pytest.raises(FcconvError) as caught:
        use(source)
    for words in said:
        assert words in str(caught.value)


def refuse_everywhere(path: Path, *said: str) -> None:
    for use in USES:
        refuse(use, path, *said)
    refuse(fcconv.convolutionize, str(path), *said)


# Files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no ONNX graph"),
        (b"The quick brown fox jumps over the lazy dog.\n" * 9, "is no ONNX file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "is no ONNX file"),
        (bytes(range(256)) * 9, "is no ONNX file"),
        (b"\x0b" * 99, "is no ONNX file"),  # the beginnings of groups, which ONNX has not
        (b"\x08" + b"\xff" * 11, "is no ONNX file"),  # a number without an end
        (weight("w", 99).SerializeToString(), ""),
        (classifier().graph.SerializeToString(), ""),
        (helper.make_opsetid("", 17).SerializeToString(), "holds no ONNX graph"),
    ],
)
def test_what_is_no_model(path: Path, content: bytes, said: str) -> None:
    refuse_everywhere(write(path, content), str(path), said)


def test_what_is_no_file(path: Path) -> None:
    refuse_everywhere(path, f"there is no file {path}")
    refuse_everywhere(path.parent.parent, "is no file")
    refuse_everywhere(write(path, b"") / "below", "there is no file")
    refuse_everywhere(path.with_name("x" * 999), "can't be read: File name too long")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path.with_name("socket")))
        refuse_everywhere(path.with_name("socket"), "is no file")


def test_what_may_not_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, classifier())

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)  # a test as root may read whatever there is
    refuse_everywhere(path, f"{path} can't be read: Permission denied")


@pytest.mark.parametrize("size", [2**31, 2**31 - 1])
def test_a_long_file(path: Path, size: int) -> None:
    os.truncate(write(path, b""), size)  # it has no blocks on disk
    refuse_everywhere(path, "is no ONNX file")


def test_a_length_that_is_not_there(path: Path) -> None:
    content = b"1234"
    for number, length in ((9, 2**30), (5, 10), (7, 12)):
        content = begin_field(number, length) + content
    refuse_everywhere(write(path, content), "is no ONNX file")


@given(st.data())
def test_a_part_of_a_file(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = classifier().SerializeToString()
    end = data.draw(st.integers(0, len(whole) - 1))
    path = write(tmp_path_factory.getbasetemp() / "folder" / "part.onnx", whole[:end])
    for use in USES:
        with pytest.raises(FcconvError, match="folder"):
            use(path)


@given(st.data())
def test_flipped_bytes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    broken = bytearray(classifier().SerializeToString())
    places = st.integers(0, len(broken) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=4)):
        broken[place] = data.draw(st.integers(0, 255))
    path = write(tmp_path_factory.getbasetemp() / "folder" / "flipped.onnx", bytes(broken))
    for use in USES:
        with little_memory(), suppress(FcconvError):
            use(path)


# Graphs -----------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_graph(path: Path, case: str) -> None:
    change, said = BROKEN[case]
    broken = classifier()
    change(broken)
    refuse_everywhere(write(path, broken), str(path), said)
    for use in USES:
        refuse(use, broken, said)


@pytest.mark.parametrize("place", [tensor, constant_node])
@pytest.mark.parametrize("case", RAW)
def test_a_broken_tensor(path: Path, case: str, place: Callable[..., Break]) -> None:
    fields, said = RAW[case]
    broken = classifier()
    place(**fields)(broken)
    refuse_everywhere(write(path, broken), str(path), said)


@pytest.mark.parametrize("name", ["conv", "Conv", "w", "x", "d", "kernel_shape"])
def test_names_that_are_no_text(path: Path, name: str) -> None:
    whole = classifier(conv={"kernel_shape": [3, 3]}).SerializeToString()
    broken = whole.replace(name.encode(), b"\xff" + name[1:].encode())
    refuse_everywhere(write(path, broken), str(path), "is no text")


def test_broken_text_is_refused_when_it_is_written(path: Path) -> None:
    broken = classifier().SerializeToString().replace(b"small", b"sma\xffl")
    made = fcconv.pointwise(write(path, broken))
    with pytest.raises(ModelError, match="can't be written as ONNX: 'utf-8' codec"):
        made.save(path)
    assert path.read_bytes() == broken


# What can't slide -------------------------------------------------------------------------------

ABSURD = 10**9

ODD: dict[str, tuple[onnx.NodeProto, list[TensorProto], str]] = {
    "reshape": (node("Reshape", ["b", "k"], ["c"]), [ints("k", 7, 7)], "can't take the shape"),
    "reshape to two free": (node("Reshape", ["b", "k"], ["c"]), [ints("k", -1, -1)], "one unknown"),
    "transpose": (node("Transpose", ["b"], ["c"], perm=[0, 1, 2, 9]), [], "out of bounds"),
    "transpose few": (node("Transpose", ["b"], ["c"], perm=[0, 1]), [], "don't match"),
    "concat": (node("Concat", ["b", "b"], ["c"], axis=9), [], "axis 9 is out of bounds"),
    "squeeze": (node("Squeeze", ["b", "k"], ["c"]), [ints("k", 9)], "out of range"),
    "unsqueeze": (node("Unsqueeze", ["b", "k"], ["c"]), [ints("k", 99)], "out of bounds"),
    "slice": (node("Slice", ["b", "k", "k", "k"], ["c"]), [ints("k", 9)], "out of range"),
    "slice by 0": (
        node("Slice", ["b", "z", "k", "k", "z"], ["c"]),
        [ints("k", 2), ints("z", 0)],
        "step cannot be zero",
    ),
    "split": (node("Split", ["b", "k"], ["c"], axis=9), [ints("k", 9)], "out of range"),
    "gather": (node("Gather", ["b", "k"], ["c"], axis=9), [ints("k", 0)], "out of range"),
    "reduce": (node("ReduceMean", ["b"], ["c"], axes=[9]), [], "not all axes"),
    "depth": (node("DepthToSpace", ["b"], ["c"], blocksize=0), [], "by zero"),
    "types": (node("Add", ["b", "k"], ["c"]), [TensorProto(
        name="k", data_type=TensorProto.STRING, dims=[2], string_data=[b"a", b"b"]
    )], "broadcast"),
    "constant": (node("ConstantOfShape", ["k"], ["c"]), [ints("k", ABSURD, ABSURD)], "absurd"),
    "expand": (node("Expand", ["b", "k"], ["c"]), [ints("k", ABSURD, ABSURD, 1, 1)], "absurd"),
    "tile": (node("Tile", ["b", "k"], ["c"]), [ints("k", 1, ABSURD, ABSURD, 1)], "absurd"),
    "unknown": (node("Twist", ["b"], ["c"]), [], "this operator is not known here"),
    "unknown domain": (node("Relu", ["b"], ["c"], domain="com.twist"), [], "(com.twist.Relu)"),
    "range": (
        node("Range", ["j", "k", "j"], ["c"]),
        [constant("j", 1, np.int64), constant("k", 2**62, np.int64)],
        "absurd",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_an_odd_node_is_named(path: Path, case: str) -> None:
    odd, constants, said = ODD[case]
    odd.name = "odd"
    network = classifier(odd, constants=constants)
    refuse(fcconv.convolutionize, write(path, network), "odd (", f"{odd.op_type}): ", said)
    with little_memory():
        fcconv.pointwise(path)  # what is not known stays as it is


def test_a_conditional_is_named() -> None:
    network = classifier()
    conditional(branch("b"))(network)
    refuse(fcconv.convolutionize, network, "if (If): this operator is not known here")
    assert len(fcconv.pointwise(network).layers) == 1


@pytest.mark.parametrize(
    ("window", "said"),
    [
        (["N", 2, "h", "w"], "give window=, the shape of one input"),
        (["N", 2, 0, 6], "give window="),
        (["N", 2, None, -1], "give window="),
        (["N", 2, ABSURD, ABSURD], "is absurd"),
        ([], "give window="),
        (["N"], "no spatial axes"),
        (["N", 2, 6, 6, 6, 6], "no spatial axes"),
        (None, "give window="),
    ],
)
def test_an_input_without_a_size(window: Any, said: str) -> None:
    network = model([node("Relu", ["x"], ["y"], name="relu")], window=window)
    refuse(fcconv.convolutionize, network, said)
    if said.startswith("give") and window != []:
        assert fcconv.convolutionize(network, window=(2, 6, 6)).window == (6, 6)


@pytest.mark.parametrize("window", [(2, 6), (2, 7, 6), (2, 6, 6, 6), (), (2, 0, 6), 6, "6", [2.5]])
def test_a_window_that_does_not_fit(window: Any) -> None:
    with pytest.raises(ShapeError, match="window"):
        fcconv.convolutionize(classifier(), window=window)
    network = model([node("Relu", ["w"], ["y"])], [weight("w", 3)])
    network.graph.ClearField("input")
    with pytest.raises(ShapeError, match="window"):
        fcconv.convolutionize(network, window=window)


def test_several_inputs_are_named() -> None:
    network = classifier()
    network.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["N"]))
    refuse(fcconv.convolutionize, network, "has one input, the image; got x, more")


@pytest.mark.parametrize("source", [None, 3, b"model.onnx", classifier().graph, object()])
def test_unknown_sources_are_named(source: object) -> None:
    for use in USES:
        refuse(use, source, "needs a path, an onnx.ModelProto", type(source).__name__)


# What is only unusual ---------------------------------------------------------------------------


def scores(network: Any) -> Any:
    x = np.random.default_rng(1).integers(-3, 4, (2, 2, 6, 6)).astype(np.float32)
    return fcconv.compile(network)(x)


def test_nodes_out_of_order_are_sorted(path: Path) -> None:
    network = classifier()
    backwards = list(network.graph.node)[::-1]
    network.graph.ClearField("node")
    network.graph.node.extend(backwards)
    for use in USES:
        assert np.array_equal(
            scores(use(write(path, network)).model).ravel(), scores(classifier()).ravel()
        )


def test_weights_as_inputs_need_no_value() -> None:
    network = classifier()
    for held in network.graph.initializer:
        network.graph.input.append(
            helper.make_tensor_value_info(held.name, TensorProto.FLOAT, list(held.dims))
        )
    assert fcconv.convolutionize(network).exact


@pytest.mark.parametrize("output", ["x", "m"])
def test_an_output_that_nothing_computes(output: str) -> None:
    network = classifier()
    network.graph.output[0].CopyFrom(network.graph.input[0])
    network.graph.output[0].name = output
    if output == "m":
        refuse(fcconv.convolutionize, network, "the output 'm' does not depend on the image")
    else:
        assert fcconv.convolutionize(network).field == (6, 6)
    assert len(fcconv.pointwise(network).layers) == 1


def test_constants_that_are_no_numbers() -> None:
    network = classifier(node("Log", ["k"], ["nan"]), node("Add", ["b", "nan"], ["c"]),
                         constants=[constant("k", [-1])])  # fmt: skip
    assert np.isnan(scores(fcconv.convolutionize(network).model)).all()


def test_words_and_constants_that_nothing_reads(path: Path) -> None:
    network = classifier()
    words = TensorProto(name="s", data_type=TensorProto.STRING, dims=[1], string_data=[b"a"])
    network.graph.initializer.append(words)
    network.graph.node.append(node("Constant", [], ["unread"], value_string="text"))
    network.graph.output.append(network.graph.output[0])
    network.graph.output[1].name = "b"
    assert fcconv.convolutionize(write(path, network)).exact
    fcconv.pointwise(path).save(path)
    assert words in onnx.load(path).graph.initializer


def function(name: str, *nodes: onnx.NodeProto, version: int = 17) -> onnx.FunctionProto:
    opsets = [helper.make_opsetid("", version), helper.make_opsetid("own", 1)]
    return helper.make_function("own", name, ["p"], ["q"], nodes, opsets)


def calling(*functions: onnx.FunctionProto) -> onnx.ModelProto:
    network = classifier(node(functions[-1].name, ["b"], ["c"], name="call", domain="own"))
    network.functions.extend(functions)
    network.opset_import.add(domain="own", version=1)
    return network


def test_local_functions_are_written_out(path: Path) -> None:
    inner = function("Inner", node("Neg", ["p"], ["q"]))
    outer = function(
        "Outer",
        node("Inner", ["p"], ["r"], domain="own"),
        node("Inner", ["r"], ["s"], domain="own"),
        node("Add", ["s", "p"], ["q"]),
    )
    write(path, calling(inner, outer))
    doubled = scores(classifier(node("Add", ["b", "b"], ["c"])))
    for use in USES:
        made = use(path)
        assert not made.model.functions
        assert np.array_equal(scores(made.model).ravel(), doubled.ravel())
        assert made.model.graph.outputs[0].name == "y"


def test_local_functions_that_never_end() -> None:
    endless = function("F", node("F", ["p"], ["q"], domain="own"))
    doubling = [function("F0", node("Neg", ["p"], ["q"]))]
    for k in range(40):
        calls = [node(f"F{k}", [x], [y], domain="own") for x, y in ("pr", "rq")]
        doubling.append(function(f"F{k + 1}", *calls))
    undefined = function("F", node("Neg", ["nothing"], ["q"]))
    for use in USES:
        refuse(use, calling(endless), "in a circle")
        refuse(use, calling(*doubling), "more than 1000000 nodes")
        refuse(use, calling(undefined), "can't be written out", "nothing")
        refuse(use, calling(function("F", node("Neg", ["p"], ["q"]), version=13)), "version 13")
        refuse(use, calling(function("F", node("Neg", ["p"], ["z"]))), "no 'q'")


def test_sources_are_not_changed() -> None:
    proto = classifier(node("Add", ["b", "k"], ["c"]))
    proto.graph.node.insert(0, node("Constant", [], ["k"], value=constant("k", [2])))
    proto.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 2, 3, 3]))
    network = ir.from_proto(proto)
    before = proto.SerializeToString(), ir.to_proto(network)
    for use in USES:
        use(proto)
        use(network)
    assert (proto.SerializeToString(), ir.to_proto(network)) == before


def test_an_unsorted_graph_in_memory_is_named() -> None:
    network = ir.from_proto(classifier())
    first = network.graph[0]
    network.graph.remove(first)
    network.graph.append(first)
    for use in USES:
        refuse(use, network, "can't be copied, sort its graph first")


# Weights in other files -------------------------------------------------------------------------


def apart(path: Path, **entries: str) -> Path:
    """Write a model whose first weight lies in another file, with these entries."""
    network = classifier()
    first = network.graph.initializer[0]
    found = first.raw_data
    first.ClearField("raw_data")
    first.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        first.external_data.add(key=key, value=value)
    write(path, network)
    path.with_name("weights").write_bytes(bytes(3) + found)
    (path.parent / "below").mkdir(exist_ok=True)
    path.with_name("below").joinpath("weights").write_bytes(found)
    path.parent.with_name("secret").write_bytes(found)
    path.with_name("empty").write_bytes(b"")
    path.with_name("link").symlink_to(path.parent.with_name("secret"))
    path.with_name("good link").symlink_to("below/weights")
    path.with_name("folder link").symlink_to(path.parent.parent)
    return path


@pytest.mark.parametrize(
    "entries",
    [
        {"location": "weights", "offset": "3", "length": "288"},  # not at a multiple of 4
        {"location": "weights", "offset": "3"},
        {"location": "below/weights"},
        {"location": "./below/../below/weights", "offset": "0"},
        {"location": "good link"},
    ],
)
def test_weights_in_another_file(
    path: Path, entries: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    apart(path, **entries)
    expected = scores(classifier()).ravel()
    monkeypatch.chdir(path.parent)
    for use in USES:
        for source in (path, path.name):
            made = use(source).model
            assert np.array_equal(scores(made).ravel(), expected)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"location": "missing"}, "lies in 'missing', which is missing"),
        ({"location": "below"}, "which is missing"),
        ({}, "refused"),
        ({"location": ""}, "refused"),
        ({"location": "."}, "refused"),
        ({"location": "../secret"}, "lies in '../secret', outside of the model's folder: refused"),
        ({"location": "below/../../secret"}, "refused"),
        ({"location": "/etc/hostname"}, "refused"),
        ({"location": "link"}, "lies in 'link', outside of the model's folder: refused"),
        ({"location": "folder link/secret"}, "refused"),
        ({"location": "we\0ights"}, "refused"),
        ({"location": "weights", "offset": "4"}, "has 291"),
        ({"location": "weights", "offset": "-1"}, "288 from -1 on"),
        ({"location": "weights", "length": "-1"}, "-1 from 0 on"),
        ({"location": "weights", "length": "99"}, "needs 288 bytes, but is said to have 99"),
        ({"location": "weights", "length": "9" * 30}, "needs 288 bytes"),
        ({"location": "weights", "offset": "9" * 9999}, "is no number"),
        ({"location": "weights", "offset": "three"}, "its offset or length is no number"),
        ({"location": "empty"}, "has 0"),
    ],
)
def test_weights_that_are_not_there(
    path: Path, entries: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart(path, **entries)
    opened = []
    original = Path.open

    def watched(self: Path, *arguments: Any, **options: Any) -> Any:
        opened.append(self.name)
        return original(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", watched)
    refuse_everywhere(path, str(path), "the tensor 'w' of shape (4, 2, 3, 3)", said)
    if "refused" in said:
        assert set(opened) == {path.name}


def test_weights_in_another_file_need_the_path(path: Path) -> None:
    proto = onnx.load(apart(path, location="weights", offset="3"), load_external_data=False)
    for use in USES:
        refuse(use, proto, "load the model from its path")


def test_many_weights_in_one_file(path: Path) -> None:
    """Each file is mapped once: a map a tensor runs out of file descriptors."""
    network = classifier()
    addends = [f"add{k}" for k in range(1500)]
    for k, name in enumerate(addends):
        first = TensorProto(name=name, data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)
        first.external_data.add(key="location", value="many")
        first.external_data.add(key="offset", value=str(4 * k))
        network.graph.initializer.append(first)
    network.graph.node.insert(0, node("Sum", ["b", *addends], ["c"], name="sum"))
    network.graph.node[3].input[0] = "c"
    write(path, network)
    path.with_name("many").write_bytes(np.full(1500, 2, "<f4").tobytes())
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, limits[1]))
    try:
        found = fcconv.pointwise(path).model
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    summed = classifier(node("Add", ["b", "k"], ["c"]), constants=[constant("k", [3000])])
    assert np.array_equal(scores(found), scores(summed))


# The command line -------------------------------------------------------------------------------

WRONG: dict[str, bytes | Break] = {
    "empty": b"",
    "text": b"text\n",
    "part": classifier().SerializeToString()[:-9],
    "cycle": reads(1, "b"),
    "undefined": reads(1, "nowhere"),
    "tensor": tensor(**RAW["short"][0]),
    "unknown": operator("Twist", "b"),
    "absurd": opset(99),
}

COMMANDS = {
    "inspect": ["inspect", "BAD"],
    "convert": ["convert", "BAD", "OUT"],
    "convert json": ["convert", "BAD", "OUT", "--json"],
    "verify": ["verify", "GOOD", "BAD"],
    "verify the other": ["verify", "BAD", "GOOD"],
}


@pytest.mark.parametrize(
    ("wrong", "command"),
    [
        (wrong, command)
        for wrong in WRONG
        for command in COMMANDS
        if wrong != "unknown" or not command.startswith("verify")  # a proof may leave it as it is
    ],
)
def test_the_command_line_says_it_in_one_line(
    path: Path, wrong: str, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = prepared(path, WRONG[wrong], COMMANDS[command])
    there = {file: file.read_bytes() for file in path.parent.iterdir()}
    assert app.run(arguments) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert_one_line(printed.err)
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == there


@pytest.mark.parametrize("command", ["convert", "verify"])
def test_a_process_says_it_in_one_line(path: Path, command: str) -> None:
    """Nothing that a library logs comes beside it."""
    arguments = prepared(path, WRONG["undefined"], COMMANDS[command])
    line = [sys.executable, "-m", "fcconv", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert_one_line(done.stderr)


def prepared(path: Path, wrong: bytes | Break, arguments: list[str]) -> list[str]:
    """Write the files that a command names, one that its output may not replace among them."""
    broken = classifier()
    if not isinstance(wrong, bytes):
        wrong(broken)
    files = {
        "BAD": write(path, wrong if isinstance(wrong, bytes) else broken),
        "GOOD": write(path.with_name("good.onnx"), classifier()),
        "OUT": write(path.with_name("out.onnx"), b"old"),
    }
    return [str(files.get(argument, argument)) for argument in arguments]


def assert_one_line(printed: str) -> None:
    assert printed.startswith("fcconv: ")
    assert printed.count("\n") == 1
