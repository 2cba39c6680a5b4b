"""A stream in a file runs in tract, which has no part in how it was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fcconv
from comparing import assert_identical
from small_streams import pieces, recording, whole_numbers

tract = pytest.importorskip("tract")


@pytest.mark.parametrize("windows", ["shared", "exact"])
@pytest.mark.parametrize("chunk", [None, 40])
def test_tract_streams(path: Path, windows: Any, chunk: int | None) -> None:
    sliding = fcconv.convolutionize(whole_numbers(pads=int(windows == "exact")), windows=windows)
    stream = sliding.stream(chunk=chunk)
    stream.save(path)
    model = tract.onnx().load(str(path))
    if chunk is None:
        model.set_input_fact(0, "1,2,40,f32")
    runnable = model.into_model().into_runnable()
    ((_, state),) = stream.state0.items()
    x, found = recording(400), []
    for piece in pieces(x, [40] * 9):
        scores, after = runnable.run([np.ascontiguousarray(piece), state])
        state = after.to_numpy()
        found.append(scores.to_numpy())
    assert_identical(np.concatenate(found, 2)[:, :, stream.warmup :], sliding(x), windows)
