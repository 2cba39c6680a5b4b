"""A stream in a file: what its metadata says is all that it takes to run it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import fcconv
from comparing import assert_identical
from fcconv.errors import ArgumentError, ModelError, UnsupportedError
from graphs import Graph
from sliding_windows import quiet
from small_streams import pieces, recording, whole_numbers
from strategies import integers


@pytest.mark.parametrize("windows", ["shared", "exact"])
@pytest.mark.parametrize("chunk", [None, 40])
def test_it_runs_by_what_it_tells(path: Path, windows: Any, chunk: int | None) -> None:
    sliding = fcconv.convolutionize(whole_numbers(pads=int(windows == "exact")), windows=windows)
    sliding.stream(chunk=chunk).save(path, rate=8000)
    told = told_by(path)
    assert (told["rate"], told["chunk"], told["window"], told["stride"]) == (8000, chunk, 20, 4)
    session = onnxruntime.InferenceSession(path, quiet())
    names = [put.name for put in (*session.get_inputs(), *session.get_outputs())]
    (state,) = told["states"]
    assert names == [told["samples"], state["name"], *told["scores"], state["next"]]
    x, kept, found = recording(400), np.full(state["shape"], state["initial"], np.float32), []
    for piece in pieces(x, [40] * 9, told["axis"]):
        assert piece.shape[2] % told["chunk_multiple_of"] == 0
        scores, kept = session.run(None, {told["samples"]: piece, state["name"]: kept})
        found.append(scores)
    cells = np.concatenate(found, told["cells_axis"])[:, :, told["warmup_cells"] :]
    assert_identical(cells, sliding(x), windows)


def told_by(path: Path) -> dict[str, Any]:
    (entry,) = [p.value for p in onnx.load(path).metadata_props if p.key == "fcconv.stream"]
    told: dict[str, Any] = json.loads(entry)
    return told


def test_a_network_read_from_a_file_streams(path: Path) -> None:
    """Under names that it has taken itself."""
    model = whole_numbers()
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = "state"
    model.graph.node[1].name = "next_state"
    fcconv.convolutionize(model).stream().save(path)
    told = told_by(path)
    assert told["rate"] is None
    assert told["states"][0]["name"] in {put.name for put in onnx.load(path).graph.input}
    onnxruntime.InferenceSession(path, quiet())
    with pytest.raises((ModelError, UnsupportedError), match="one input"):
        fcconv.convolutionize(path)


@pytest.mark.parametrize("rate", [0, -1, float("nan"), "fast"])
def test_a_rate_is_a_number(path: Path, rate: Any) -> None:
    stream = fcconv.convolutionize(whole_numbers()).stream()
    with pytest.raises(ArgumentError, match="rate needs"):
        stream.save(path, rate=rate)
    assert not path.exists()


def test_without_state_there_is_none(path: Path) -> None:
    """Windows side by side share nothing."""
    graph = Graph(2, 20)
    dense = graph.add("Gemm", graph.add("Flatten", "image"), integers(0, (40, 5), "float32"))
    sliding = fcconv.convolutionize(graph.model(dense), stride=20)
    stream, x = sliding.stream(), recording(60)
    assert (stream.state0, stream.warmup, stream.state_bytes) == ({}, 0, 0)
    assert_identical(stream.push(x), sliding(x), "apart")
    stream.save(path)
    assert told_by(path)["states"] == []
