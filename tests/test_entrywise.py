"""Operators that work entry by entry: in blocks, and in place, with no other number changed."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

import fcconv
from fcconv.graph.running import entrywise, run
from small_networks import constant, ints, model, node

Array = npt.NDArray[Any]


def image() -> Array:
    return np.random.default_rng(0).standard_normal((2, 2, 6, 6)).astype(np.float32)


def folded(name: str, values: npt.ArrayLike) -> onnx.TensorProto:
    """Make a constant as folding does: in numbers, which are no read-only bytes."""
    tensor = onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT)
    tensor.dims.extend(np.shape(values))
    tensor.float_data.extend(np.ravel(values))
    return tensor


NETWORKS = {
    "a chain": model(
        [
            node("Conv", ["x", "w"], ["a"]),
            node("Relu", ["a"], ["b"]),
            node("Sigmoid", ["b"], ["c"]),
            node("Mul", ["c", "two"], ["d"]),
            node("Clip", ["d", "low", "high"], ["y"]),
        ],
        [
            constant("w", np.ones((3, 2, 3, 3))),
            constant("two", [2.0]),
            constant("low", 0.25),
            constant("high", 1.5),
        ],
    ),
    "the input itself": model([node("Relu", ["x"], ["y"])]),
    "a view of the input": model(
        [node("Identity", ["x"], ["a"]), node("Flatten", ["a"], ["b"]), node("Relu", ["b"], ["y"])]
    ),
    "a value that is read again": model(
        [
            node("Neg", ["x"], ["a"]),
            node("Identity", ["a"], ["b"]),
            node("Relu", ["a"], ["c"]),
            node("Add", ["b", "c"], ["y"]),
        ]
    ),
    "a view of a weight": model(
        [
            node("Shape", ["x"], ["s"]),
            node("Reshape", ["w", "s"], ["a"]),
            node("Relu", ["a"], ["b"]),
            node("Add", ["x", "b"], ["y"]),
        ],
        [constant("w", np.arange(-72, 72))],
    ),
    "a large constant, a single number beside it": model(
        [
            node("ReduceMax", ["x"], ["r"], keepdims=0),
            node("Reshape", ["r", "one"], ["a"]),
            node("Add", ["w", "a"], ["b"]),
            node("Add", ["x", "b"], ["y"]),
        ],
        [folded("w", np.arange(144).reshape(2, 2, 6, 6)), ints("one", 1)],
    ),
    "what depends on the shape alone": model(
        [
            node("Shape", ["x"], ["s"]),
            node("ConstantOfShape", ["s"], ["z"], value=constant("", [0.0])),
            node("Identity", ["z"], ["z2"]),
            node("ReduceMax", ["x"], ["r"], keepdims=0),
            node("Add", ["z", "r"], ["a"]),
            node("Add", ["z2", "a"], ["y"]),
        ]
    ),
    "a transposed value": model(
        [
            node("Neg", ["x"], ["a"]),
            node("Transpose", ["a"], ["b"], perm=[0, 2, 3, 1]),
            node("Exp", ["b"], ["c"]),
            node("Less", ["c", "one"], ["d"]),
            node("Cast", ["d"], ["y"], to=onnx.TensorProto.FLOAT),
        ],
        [constant("one", 1.0)],
    ),
    "numbers of more axes": model(
        [
            node("Flatten", ["x"], ["a"]),
            node("Add", ["a", "one"], ["b"]),
            node("Relu", ["b"], ["y"]),
        ],
        [constant("one", [[[1.0]]]), ints("unused", 1)],
    ),
}


@pytest.mark.parametrize("size", [1, 5, 2**15])
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_blocks_change_no_number_and_no_other_array(
    network: onnx.ModelProto, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = fcconv.compile(network)
    expected, x = compiled(image()), image()
    monkeypatch.setattr(entrywise, "LARGE", 1)
    monkeypatch.setattr(entrywise, "BLOCK", size)
    for _ in range(2):
        found = compiled(x)
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)
        assert np.array_equal(x, image())


def test_what_is_read_no_more_is_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrywise, "LARGE", 1)
    places: list[bool] = []
    in_blocks = entrywise.in_blocks

    def noting(function: Any, x: Array, others: Any, overwrite: bool) -> Array:
        made = in_blocks(function, x, others, overwrite)
        places.append(np.may_share_memory(made, x))
        return made

    monkeypatch.setattr("fcconv.graph.running.run.in_blocks", noting)
    fcconv.compile(NETWORKS["a chain"])(image())
    fcconv.compile(NETWORKS["the input itself"])(image())
    assert places == [True, True, True, True, False]


def test_what_nothing_reads_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    split = model([node("Split", ["x"], ["a", "spare"], axis=1), node("Relu", ["a"], ["y"])])
    made: list[weakref.ref[Array]] = []
    compute = run.compute

    def noting(operator: Any, backend: Any, node: Any, arguments: Any) -> Any:
        assert all(array() is None for array in made[1:])
        parts = compute(operator, backend, node, arguments)
        made.extend(weakref.ref(part) for part in parts)
        return parts

    monkeypatch.setattr(run, "compute", noting)
    fcconv.compile(split)(image())
    assert len(made) == 3
