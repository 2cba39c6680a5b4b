"""Nodes that are easily misread: what they say is read as onnxruntime reads it, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import fcconv
from fcconv import ModelError, UnsupportedError
from fcconv.graph.operator import Operator
from fcconv.graph.operators import OPERATORS
from fcconv.graph.operators.normalization import OF_TRAINING
from graphs import Array, Net, i
from refusing import USES

OPSETS = range(7, onnx.defs.onnx_opset_version() + 1)

REFUSED = {
    ("BatchNormalization", "spatial"): "statistics of each entry, not of each channel",
    ("Constant", "sparse_value"): "not dense",
    ("Constant", "value_string"): "not a number",
    ("Constant", "value_strings"): "not numbers",
    ("DequantizeLinear", "block_size"): "a scale for each block",
    ("GroupNormalization", "stash_type"): "how wide the numbers are on the way",
    ("QuantizeLinear", "block_size"): "a scale for each block",
    ("QuantizeLinear", "precision"): "how wide the quotient is",
    ("Range", "stash_type"): "how wide the numbers are on the way",
}
"""Attributes with another meaning than their default that no rule knows."""


def test_every_attribute_of_a_known_operator_is_known_or_refused() -> None:
    there = {
        (op, name) for op in OPERATORS for version in OPSETS for name in _attributes(op, version)
    }
    known = {(op, name) for op, operator in OPERATORS.items() for name in operator.attributes}
    assert known <= there
    assert there - known == REFUSED.keys()


def _attributes(op: str, version: int) -> list[str]:
    try:
        return list(onnx.defs.get_schema(op, version, "").attributes)
    except onnx.defs.SchemaError:  # it came later
        return []


def normalised(outputs: int = 1, opset: int = 9, **attributes: Any) -> tuple[Net, onnx.ModelProto]:
    """Normalise a map by a BatchNormalization of `outputs`."""
    g = Net(opset)
    g.constants["positive"] = np.array([0.5, 2.0], np.float32)
    statistics: list[str | Array] = [g.w(2), g.w(2), g.w(2), "positive"]
    x, *_ = g.parts(
        "BatchNormalization", "image", *statistics, outputs=outputs, name="bn", **attributes
    )
    return g, g.model(g.dense(x, 144))


def run(model: onnx.ModelProto, images: Array) -> Array:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return np.asarray(session.run(None, {"image": images})[0])


@pytest.mark.parametrize("opset", [7, 9, 13])
def test_a_normalisation_of_five_outputs_is_in_training_mode(opset: int) -> None:
    _, five = normalised(5, opset)
    images = np.random.default_rng(0).standard_normal((4, 2, 9, 8)).astype(np.float32)
    alone, together = run(five, images[:1])[0], run(five, images)[0]
    assert np.abs(alone - together).max() > 0.1  # each image changes the scores of the others
    for use in (fcconv.convolutionize, fcconv.compile):
        with pytest.raises(UnsupportedError, match=r"^bn \(Batch.*training mode by its 5 outputs"):
            _use(use, five)
    _, one = normalised(1, opset)
    ours = np.asarray(fcconv.compile(one)(images))
    bound = 1e-5 * np.abs(ours).max()
    np.testing.assert_allclose(ours, run(one, images), 0, bound)


def _use(use: Any, model: onnx.ModelProto) -> None:
    network = use(model)
    network(np.zeros((2, 2, 9, 8), np.float32))


@pytest.mark.parametrize("opset", [14, 20])
def test_a_normalisation_that_says_so_is_in_training_mode(opset: int) -> None:
    _, model = normalised(3, opset, training_mode=1)
    with pytest.raises(
        UnsupportedError, match=r"^bn \(BatchNormalization\): it is in training mode"
    ):
        fcconv.convolutionize(model)


def test_statistics_of_each_entry_are_refused() -> None:
    g = Net(8)
    entries = [g.w(2, 9, 8) for _ in range(3)]
    x = g.add("BatchNormalization", "image", *entries, np.abs(g.w(2, 9, 8)), name="bn", spatial=0)
    model = g.model(g.dense(x, 144))
    for use in (fcconv.convolutionize, fcconv.compile):
        with pytest.raises(
            UnsupportedError, match=r"^bn \(Batch.*spatial=0 is not known.*newer opset"
        ):
            _use(use, model)
    assert fcconv.convolutionize(normalised(1, 8, spatial=1)[1]).exact
    assert OF_TRAINING in OPERATORS["BatchNormalization"].attributes
    assert fcconv.convolutionize(normalised(1, 8, momentum=0.1)[1]).exact


def test_a_constant_is_not_folded_by_a_rule_that_does_not_know_its_attribute() -> None:
    g = Net(8)
    entries = [g.w(2, 9, 8) for _ in range(3)]
    addend = g.add("BatchNormalization", g.w(1, 2, 9, 8), *entries, np.abs(g.w(2, 9, 8)), spatial=0)
    model = g.model(g.dense(g.add("Add", "image", addend), 144))
    for use in (fcconv.convolutionize, fcconv.compile):
        with pytest.raises(
            UnsupportedError, match=r"BatchNormalization\): .*spatial=0 is not known"
        ):
            _use(use, model)


def test_an_attribute_of_another_opset_is_named() -> None:
    """Engines refuse it, too: what it would mean is nowhere said."""
    model = normalised(1, 13, training_mode=0)[1]
    with pytest.raises(Exception, match="Unrecognized attribute"):
        run(model, np.zeros((1, 2, 9, 8), np.float32))
    for use in USES:
        with pytest.raises(
            ModelError, match=r"bn .*training_mode, which BatchNormalization of opset 13"
        ):
            use(model)
    assert fcconv.convolutionize(normalised(1, 13, __note=1)[1]).exact  # a tool's own


def test_an_operator_of_a_later_opset_is_named() -> None:
    g = Net(13)
    model = g.model(g.dense(g.add("Gelu", "image", name="late"), 144))
    with pytest.raises(UnsupportedError, match=r"^late \(Gelu\): opset 13 has no operator"):
        fcconv.convolutionize(model)


AXES: dict[str, dict[str, Any]] = {
    "Softmax": {"axis": 9},
    "LogSoftmax": {"axis": -9},
    "ArgMax": {"axis": 9},
    "LayerNormalization": {"axis": 9, "constants": [np.ones(8, np.float32)]},
    "Flatten": {"axis": 9},
    "Concat": {"axis": 9},
    "Split": {"axis": 9},
    "Gather": {"axis": 9, "constants": [i(0)]},
    "Squeeze": {"constants": [i(9)]},
    "Unsqueeze": {"constants": [i(9)]},
    "ReduceSum": {"constants": [i(9)]},
    "ReduceMean": {"constants": [i(-9)]},
    "ReduceMax": {"constants": [i(9)]},
    "Transpose": {"perm": [0, 1, 2, 9]},
    "Slice": {"constants": [i(0), i(1), i(9)]},
    "Pad": {"constants": [i(1, 1), np.float32(0), i(9)]},
}


@pytest.mark.parametrize("op", AXES)
def test_an_axis_that_is_not_there_is_named(op: str) -> None:
    """Both when the network slides and when it is computed."""
    options = dict(AXES[op])
    constants = options.pop("constants", [])
    g = Net(20)
    x = g.add(op, g.add("Relu", "image"), *constants, name="odd", **options)
    model = g.model(x)
    said = rf"^odd \({op}\): axis -?9 is out of range: a value of [45] axes has those from -[45] to"
    for use in (fcconv.convolutionize, fcconv.compile):
        with pytest.raises(ModelError, match=said):
            _use(use, model)


@pytest.mark.parametrize("axis", [-4, -1, 0, 1, 3, 4])
def test_flatten_ends_where_onnxruntime_lets_it(axis: int) -> None:
    g = Net(20)
    images = np.random.default_rng(0).standard_normal((2, 2, 9, 8)).astype(np.float32)
    model = g.model(g.add("Flatten", "image", axis=axis))
    assert np.array_equal(fcconv.compile(model)(images), run(model, images))


SHAPES: list[tuple[str, list[Array], dict[str, Any]]] = [
    ("Conv", [np.ones((2, 3, 1, 1), np.float32)], {}),
    ("Conv", [np.ones((2, 2, 1), np.float32)], {}),
    ("Conv", [np.ones((2, 2, 1, 1), np.float32), np.ones(3, np.float32)], {}),
    ("MaxPool", [], {"kernel_shape": [2]}),
    ("AveragePool", [], {"kernel_shape": [2, 2, 2]}),
    ("Gemm", [np.ones(8, np.float32)], {}),
    ("BatchNormalization", [np.ones(3, np.float32)] * 4, {}),
    ("BatchNormalization", [np.ones(1, np.float32)] * 4, {}),
    ("LayerNormalization", [np.ones(3, np.float32)], {}),
    ("Pad", [i(0, 0, 1)], {}),
    ("Pad", [i(*[0] * 8)], {"mode": "mirror"}),
    ("Split", [], {"num_outputs": 2}),
]


@pytest.mark.parametrize(("op", "constants", "attributes"), SHAPES)
def test_rules_check_what_they_read(op: str, constants: list[Array], attributes: Any) -> None:
    g = Net(20)
    model = g.model(g.add(op, g.add("Relu", "image"), *constants, name="odd", **attributes))
    for use in (fcconv.convolutionize, fcconv.compile):
        with pytest.raises(fcconv.FcconvError, match=rf"^odd \({op}\): "):
            _use(use, model)


WIDENED: list[tuple[str, list[Any]]] = [
    ("Clip", ["map", np.zeros(6, np.float32)]),
    ("Clip", [np.zeros((), np.float32), np.zeros((), np.float32), "map"]),
    ("Clip", ["map", "map"]),
    ("PRelu", ["map", np.ones((2, 1, 1, 1, 1), np.float32)]),
    ("PRelu", [np.zeros((1, 2, 1, 1), np.float32), "map"]),
]


@pytest.mark.parametrize(("op", "inputs"), WIDENED)
def test_what_has_the_shape_of_its_first_input_is_not_widened(op: str, inputs: list[Any]) -> None:
    """Not even by the map of an image beside a constant; onnxruntime takes a wider slope."""
    g = Net(20)
    made = g.map()
    x = g.add(op, *(made if isinstance(x, str) else x for x in inputs), name="odd")
    model = g.model(x)
    if op == "Clip":
        with pytest.raises(Exception, match="should be a scalar"):
            run(model, np.zeros((2, 2, 9, 8), np.float32))
    for use in (fcconv.convolutionize, fcconv.compile):
        with pytest.raises(fcconv.FcconvError, match=rf"^odd \({op}\): (beside|its input)"):
            _use(use, model)


def test_a_mistake_in_a_rule_is_not_blamed_on_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(*_: object) -> Any:
        raise LookupError("ours")

    monkeypatch.setitem(OPERATORS, "Relu", Operator(mistaken, mistaken))
    g = Net()
    model = g.model(g.add("Relu", "image"))
    with pytest.raises(LookupError, match="ours"):
        fcconv.convolutionize(model)
    with pytest.raises(ModelError, match=r"^node0 \(Relu\): ours"):  # on a model's own arguments
        fcconv.compile(model)(np.zeros((1, 2, 9, 8), np.float32))
