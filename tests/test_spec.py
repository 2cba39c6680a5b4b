"""Where engines differ, ONNX's own text decides: what it allows is computed, the rest refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import fcconv
from fcconv.errors import ModelError, UnsupportedError
from graphs import Array
from refusing import USES
from small_networks import constant, node

IMAGE = np.random.default_rng(0).integers(-9, 10, (2, 3, 7, 6)).astype(np.float32)
KERNEL = constant("w", np.random.default_rng(1).integers(-2, 3, (2, 3, 3, 2)))


def one_node(
    made: onnx.NodeProto,
    x: Array = IMAGE,
    *constants: onnx.TensorProto,
    opset: int = 17,
) -> onnx.ModelProto:
    """Return a network of one node, whose output is of the type of its input."""
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph(
        [made],
        "one",
        [helper.make_tensor_value_info("x", kind, ["N", *x.shape[1:]])],
        [helper.make_tensor_value_info("y", kind, None)],
        constants,
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def by_engines(model: onnx.ModelProto, x: Array) -> list[Array]:
    return [np.asarray(fcconv.compile(model, engine)(x)) for engine in ("numpy", "jax")]


def refuses(model: onnx.ModelProto, x: Array) -> bool:
    """Say whether onnxruntime refuses a network, so that what the text says counts alone."""
    onnxruntime.set_default_logger_severity(4)
    try:
        onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    except Exception:  # they have no common class
        return True
    return False


@pytest.mark.parametrize(
    ("op", "options"),
    [
        ("MaxPool", {"kernel_shape": [2, 2], "dilations": [3, 4], "pads": [2, 3, 2, 3]}),
        ("LpPool", {"kernel_shape": [2, 2], "pads": [2, 2, 3, 2]}),
        ("AveragePool", {"kernel_shape": [2, 2], "pads": [2, 2, 2, 2], "count_include_pad": 1}),
        ("Conv", {"auto_pad": "SAME_UPPER", "dilations": [2, 3]}),
        ("Conv", {"auto_pad": "SAME_LOWER", "dilations": [2, 3]}),
        ("Conv", {"auto_pad": "SAME_LOWER", "pads": [0, 0, 0, 0]}),  # as if they were left out
    ],
)
def test_what_the_text_allows_is_computed(op: str, options: dict[str, Any]) -> None:
    model = one_node(
        node(op, ["x", "w"][: 1 + (op == "Conv")], ["y"], **options),
        IMAGE,
        *[KERNEL][: int(op == "Conv")],
    )
    assert refuses(model, IMAGE)
    (expected,) = ReferenceEvaluator(model).run(None, {"x": IMAGE})
    for found in by_engines(model, IMAGE):
        if op == "LpPool":  # roots are rounded
            assert np.abs(found - expected).max() <= np.spacing(np.abs(expected).max())
        else:
            assert np.array_equal(found, expected)


def test_a_maximum_over_padding_alone() -> None:
    """Padding is minus infinity, so that it never wins."""
    model = one_node(node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], pads=[2, 0, 0, 0]))
    for found in by_engines(model, IMAGE):
        assert np.all(found[:, :, 0] == -np.inf)
        assert np.array_equal(found[:, :, 1], np.maximum(IMAGE[:, :, 0, :-1], IMAGE[:, :, 0, 1:]))


def test_an_even_number_of_channels_is_normalized() -> None:
    """Those from ``floor((size - 1) / 2)`` before to ``ceil((size - 1) / 2)`` after."""
    size, alpha, beta, bias = 4, 0.5, 0.75, 2.0
    x = np.random.default_rng(0).standard_normal((2, 7, 2, 2)).astype(np.float32)
    made = node("LRN", ["x"], ["y"], size=size, alpha=alpha, beta=beta, bias=bias)
    model = one_node(made, x)
    assert refuses(model, x)
    squares = np.stack(
        [(x.astype(np.float64)[:, max(c - 1, 0) : c + 3] ** 2).sum(axis=1) for c in range(7)], 1
    )
    expected = x / (bias + alpha / size * squares) ** beta
    for found in by_engines(model, x):
        assert np.abs(found - expected).max() <= 8 * np.finfo(np.float32).eps * np.abs(x).max()


@pytest.mark.parametrize("pads", [[1, 1, 1, 1], [0, 0, 0, 1]])
@pytest.mark.parametrize("automatic", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("op", ["Conv", "MaxPool"])
def test_padding_is_said_once(op: str, automatic: str, pads: list[int]) -> None:
    kernel: dict[str, Any] = {} if op == "Conv" else {"kernel_shape": [2, 2]}
    model = one_node(
        node(op, ["x", "w"][: 1 + (op == "Conv")], ["y"], name="odd", auto_pad=automatic,
             pads=pads, **kernel),
        IMAGE,
        KERNEL,
    )  # fmt: skip
    for use in USES:
        with pytest.raises(ModelError, match=rf"odd \({op}\) has both auto_pad and pads"):
            use(model)


@pytest.mark.parametrize(
    ("op", "opset", "dtype", "refused"),
    [
        ("MatMul", 17, "uint8", True),
        ("MatMul", 17, "int32", False),
        ("MatMul", 8, "int32", True),
        ("Add", 13, "uint8", True),
        ("Add", 14, "uint8", False),
        ("Relu", 13, "int32", True),
        ("Relu", 14, "int32", False),
    ],
)
def test_types_that_an_operator_does_not_take(
    op: str, opset: int, dtype: str, refused: bool
) -> None:
    x = np.arange(8).reshape(2, 4).astype(dtype)
    weight = constant("w", np.arange(16).reshape(4, 4), dtype)
    made = node(op, ["x", "w"][: 1 + (op != "Relu")], ["y"], name="odd")
    model = one_node(made, x, *[weight][: int(op != "Relu")], opset=opset)
    if refused:
        assert refuses(model, x)
        said = rf"odd \({op}\): 'x' can't be read by {op} of opset {opset}, its type is .*: cast it"
        with pytest.raises(ModelError, match=said):
            fcconv.compile(model)
        return
    if op == "Add":
        model.graph.initializer[0].CopyFrom(constant("w", np.arange(4), dtype))
    (expected,) = ReferenceEvaluator(model).run(None, {"x": x})
    for found in by_engines(model, x):
        assert found.dtype == dtype
        assert np.array_equal(found, expected)


def test_a_type_that_a_cast_makes_is_known() -> None:
    x = np.zeros((1, 4), np.float32)
    model = one_node(node("Cast", ["x"], ["u"], to=TensorProto.UINT8), x)
    model.graph.node.append(node("MatMul", ["u", "u"], ["y"], name="odd"))
    with pytest.raises(ModelError, match=r"odd \(MatMul\): 'u' can't be read .* type is UINT8"):
        fcconv.compile(model)


def test_complex_numbers() -> None:
    x = np.ones((1, 2), np.complex64)
    made = fcconv.compile(one_node(node("Transpose", ["x"], ["y"], name="odd"), x))
    with pytest.raises(UnsupportedError, match=r"odd \(Transpose\): it reads complex numbers"):
        made(x)


@pytest.mark.parametrize("low", [-1, np.nan, 3, -np.inf])
@pytest.mark.parametrize("high", [2, np.nan, np.inf])
def test_clipping_beside_nans(low: float, high: float) -> None:
    """``Min(high, Max(x, low))``: what is not a number stays so, wherever it stands."""
    x = np.array([[np.nan, -5, 0, 7, np.inf, -np.inf]], np.float32)
    model = one_node(
        node("Clip", ["x", "a", "b"], ["y"]), x, constant("a", low), constant("b", high)
    )
    (expected,) = ReferenceEvaluator(model).run(None, {"x": x})
    assert np.array_equal(expected, np.minimum(np.maximum(x, low), high), equal_nan=True)
    for found in by_engines(model, x):
        assert np.array_equal(found, expected, equal_nan=True)
    if not np.isnan([low, high]).any():  # of bounds that are none, onnxruntime makes no bounds
        assert not refuses(model, x)
        session = onnxruntime.InferenceSession(model.SerializeToString())
        (found,) = session.run(None, {"x": x})
        assert np.array_equal(np.asarray(found), expected, equal_nan=True)
