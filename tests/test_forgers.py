"""Whoever tampers with a rewritten network is found out, and whoever only rewrites it is not.

FCCONV_LARGE=1 tries 5,000 of them, for some minutes.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

import fcconv
from fcconv.errors import FcconvError
from fcconv.graph.files.load import load
from fcconv.graph.running.run import program_of
from forgers import FORGERS, TRUE, in_turn
from graphs import Array, Graph
from random_graphs import Case, cases
from sliding_windows import patch_shape, quiet, slid
from strategies import integers

COUNT = 5000 if os.environ.get("FCCONV_LARGE") else 120

DIGITS = 2.0**-12
"""Half of the digits of float32: more than that no rounding of small networks takes."""


UNSEEN = ("metadata", "wider")
"""Forgeries that a network's numbers do not show; the type of its input does, though."""


@functools.cache
def _faces() -> Case:
    """The demo's classifier, with whole numbers for weights: these are computed exactly."""
    from fcconv.demo.network import load_faces

    model = ir.to_proto(load(load_faces()))
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            whole = np.sign(numpy_helper.to_array(tensor))
            tensor.CopyFrom(numpy_helper.from_array(whole, tensor.name))
    return Case(model, (25, 25), (2, 3), None, "float32")


small = cases(whole=True, dtypes=("float32",), ranks=(1, 2, 2))
bases = st.integers(0, 19).flatmap(lambda k: st.builds(_faces) if k == 0 else small)


@settings(max_examples=COUNT, phases=[Phase.explicit, Phase.generate])
@given(case=bases, form=st.sampled_from(["sliding", "sliding", "pointwise"]), seed=st.integers(0))
def test_a_forgery_does_not_hold(case: Case, form: str, seed: int) -> None:
    """It is shown as drawn, with the seed that makes it again: to shrink one takes minutes."""
    honest, shapes = _honest(case, form)
    name, forged = _changed(honest, FORGERS, Random(seed))
    if not _computes_the_same(honest, forged, shapes) or name in UNSEEN:
        certificate = _certificate(case, forged)
        assert certificate is None or not (certificate.holds or certificate.exact), (
            name, form, seed, certificate, case
        )  # fmt: skip


@settings(max_examples=COUNT // 6)
@given(case=bases, form=st.sampled_from(["sliding", "sliding", "pointwise"]), seed=st.integers(0))
def test_what_only_looks_different_holds(case: Case, form: str, seed: int) -> None:
    honest, shapes = _honest(case, form)
    name, changed = _changed(honest, TRUE, Random(seed))
    assert _computes_the_same(honest, changed, shapes), (name, case)
    certificate = _certificate(case, changed)
    assert certificate is not None, (name, case)
    assert certificate.holds, (name, certificate, case)


@pytest.mark.parametrize("name", [name for name in FORGERS if name not in UNSEEN])
def test_each_way_to_forge_is_told_by_the_judge(name: str) -> None:
    """Of some networks; a way that changes nothing would test nothing."""
    rng = Random(0)
    found = False
    for honest, shapes in _honest_examples():
        for _ in range(4):
            forged = _copy(honest)
            if FORGERS[name](rng, forged):
                found |= not _computes_the_same(honest, forged, shapes)
        if found:
            break
    assert found


def _honest(case: Case, form: str) -> tuple[onnx.ModelProto, list[list[int]]]:
    """Rewrite a network; and say which sizes of images to compare."""
    native = patch_shape(case.model)
    if form == "pointwise":
        model: Any = ir.to_proto(fcconv.pointwise(case.model).model)
        return model, [native, [3, *native[1:]]]
    sliding = slid(case)
    model = ir.to_proto(sliding.model)
    shapes = [native]
    for k, axis in enumerate(case.axes):
        for more in (1, 2, sliding.stride[k], 2 * sliding.stride[k] + 1, 12 * sliding.stride[k]):
            shape = list(native)
            shape[axis] += more
            shapes.append(shape)
    return model, [*shapes, [2, *shapes[-1][1:]]]


def _changed(
    honest: onnx.ModelProto, changes: dict[str, Any], rng: Random
) -> tuple[str, onnx.ModelProto]:
    for name, change in in_turn(rng, changes):
        model = _copy(honest)
        if change(rng, model):
            return name, model
    raise AssertionError("nothing to change")


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def _certificate(case: Case, model: onnx.ModelProto) -> fcconv.Certificate | None:
    try:
        return fcconv.certify(case.model, model)
    except FcconvError:  # it is no network any more, or none of these inputs
        return None


def _computes_the_same(
    honest: onnx.ModelProto, other: onnx.ModelProto, shapes: Sequence[Sequence[int]]
) -> bool:
    """Judge by running both, whatever the certificate says.

    Integers are computed exactly by either, in float32 by onnxruntime and in float64 by the
    reference; of other numbers half of the digits, and which are none, must be alike.
    """
    for first, second in zip(_runs(honest, shapes), _runs(other, shapes), strict=True):
        if first is None or second is None:
            return first is second
        exact, expected = first
        _, found = second
        if [a.shape for a in expected] != [b.shape for b in found]:
            return False
        for a, b in zip(expected, found, strict=True):
            if a.dtype != b.dtype or not _alike(a, b, exact):
                return False
    return True


def _alike(a: Array, b: Array, exact: bool) -> bool:
    if exact:
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if a.dtype.kind != "f":
        return True  # places of maxima that lie close together
    if not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return False
    sure = np.isfinite(a)
    largest = float(np.abs(a[sure]).max(initial=0))
    return bool((np.abs(a[sure] - b[sure]) <= DIGITS * largest).all())


def _runs(
    model: onnx.ModelProto, shapes: Sequence[Sequence[int]]
) -> Iterator[tuple[bool, list[Array]] | None]:
    """Compute images of each shape: whether they are whole numbers, and the scores."""
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), quiet())
        program = program_of(load(model))
        weights = program.parameters(fcconv.backend("numpy"), np.float64)
    except Exception:  # onnxruntime's errors have no common class
        yield from [None] * (3 * len(shapes))
        return
    name, dtype = session.get_inputs()[0].name, session.get_inputs()[0].type
    kind = "float64" if "double" in dtype else "float32"
    for k, shape in enumerate(shapes):
        whole = integers(k, list(shape), kind)
        drawn = 30 * np.random.default_rng(k).standard_normal(shape).astype(kind)
        for pixels in (whole, drawn):
            try:
                yield pixels is whole, list(map(np.asarray, session.run(None, {name: pixels})))
            except Exception:
                yield None
        try:
            wide = whole.astype(np.float64)
            yield True, program.run_batches(fcconv.backend("numpy"), weights, [wide])
        except FcconvError:
            yield None


@functools.cache
def _honest_examples() -> list[tuple[onnx.ModelProto, list[list[int]]]]:
    return [_honest(base, "sliding") for base in _examples()]


def _examples() -> Iterator[Case]:
    """Networks that have between them what is forged."""
    yield _faces()
    net = Graph(2, 9, 8)
    x = net.add(
        "Conv", "image", integers(0, (4, 1, 2, 2), "float32"), integers(1, (4,), "float32"), group=2
    )
    x = net.add("Sub", net.array([[[3.0]]] * 4), x)
    sizes = {"kernel_shape": [2, 2], "strides": [1, 1]}
    mean = net.add("AveragePool", x, **sizes, pads=[1, 0, 0, 0])
    least = net.add("MaxPool", net.add("Clip", x, net.array(-7), net.array(9)), **sizes)
    least = net.add("Pad", least, np.array([0, 0, 1, 0, 0, 0, 0, 0]))
    x = net.add("Concat", mean, least, axis=1)
    x = net.add("Gather", x, np.array([0, 2, 1, 5]), axis=1)
    x = net.add("Conv", x, integers(2, (6, 4, 2, 2), "float32"), integers(3, (6,), "float32"))
    x = net.add("Add", x, integers(4, (6, 1, 1), "float32"))
    x = net.add("Flatten", net.add("Transpose", x, perm=[0, 2, 3, 1]))
    weight = np.tile(integers(5, (6 * 7 * 5, 2), "float32"), 2)  # of each maximum there are two
    scores = net.add("MatMul", net.add("Relu", x), weight)
    yield Case(net.model(scores, net.add("ArgMax", scores, axis=1)), (9, 8), (2, 3), 1, "float32")
    net = Graph(8, 8, 1)  # whose axes can all be exchanged
    x = net.add("Transpose", "image", perm=[0, 3, 1, 2])
    x = net.add("Conv", x, integers(6, (2, 1, 3, 3), "float32"))
    x = net.add("Gemm", net.add("Flatten", x), integers(7, (2 * 6 * 6, 1), "float32"))
    yield Case(net.model(x), (8, 8), (1, 2), 1, "float32")
