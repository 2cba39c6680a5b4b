"""The files that are written have no name twice, whatever a network calls its own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import fcconv
from fcconv.graph.rules.writer import free_name
from graphs import Net
from strategies import normal

SUFFIXES = ("", "pixel", "first", "kernel", "factor", "scale", "bias", "features", "conv", "beta")


def hostile(alpha: float, beta: float) -> onnx.ModelProto:
    """Build a dense layer between nodes, values and weights that are called as its parts are."""
    g = Net()
    g.prefix = "dense"
    x = g.conv("image", 2, 2, 2, 3)
    for suffix in SUFFIXES[1:]:
        x = g.add("Mul", x, g.array(1.5), name=f"dense/{suffix}")
    weight, bias = g.w(96, 3), g.w(3)
    x = g.add("Gemm", g.add("Flatten", x), weight, bias, name="dense", alpha=alpha, beta=beta)
    x = g.add("Gemm", x, g.w(3, 3), g.w(1, 3), name="dense/dense", alpha=alpha, beta=beta)
    model = g.model(x)
    free = [name for name in SUFFIXES if f"dense/{name}" not in g.constants]
    called = dict(zip([n.output[0] for n in g.nodes[: len(free)]], free, strict=True))
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [f"dense/{called[n]}".rstrip("/") if n in called else n for n in names]
    return model


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (2.0, 1.0), (1.0, 0.5), (2.0, 0.5)])
@pytest.mark.parametrize("form", ["pointwise", "convolutionize"])
def test_engines_load_what_is_written(tmp_path: Path, form: str, alpha: float, beta: float) -> None:
    model = hostile(alpha, beta)
    rewritten = getattr(fcconv, form)(model)
    rewritten.save(tmp_path / "out.onnx")
    written = onnx.load(tmp_path / "out.onnx")
    onnx.checker.check_model(written)
    graph = written.graph
    values = [*(x.name for x in graph.input), *(x.name for x in graph.initializer)]
    values += [name for node in graph.node for name in node.output]
    for names in (values, [node.name for node in graph.node]):
        assert max(Counter(names).values()) == 1
    images = normal(0, (2, 2, 9, 8), "float32")
    found = _run((tmp_path / "out.onnx").read_bytes(), images)
    expected = _run(model.SerializeToString(), images)
    bound = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(found.reshape(expected.shape), expected, 0, bound)
    assert fcconv.certify(model, rewritten).holds


def test_a_thousand_names_begin_alike() -> None:
    """They stay short, and so does the search for them."""
    taken = {"x", "x_1", "x_2", "x_40"}
    made = [free_name("x", taken) for _ in range(1000)]
    assert len({*made} - {"x", "x_1", "x_2", "x_40"}) == 1000
    assert max(map(len, made)) == len("x_1003")


def _run(model: bytes, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model)
    return np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0])
