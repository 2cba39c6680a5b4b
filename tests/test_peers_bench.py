"""The suites of peers and stages: scores are compared, lines counted, tiles all there."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest

from fcconv_bench import peers, stages, works
from fcconv_bench.scans import temporary
from fcconv_bench.user_code import lines_of


@pytest.mark.parametrize("work", works.works(), ids=str)
def test_whole_numbers_are_exact_in_float32(work: works.Work) -> None:
    assert work.network.largest <= 2**24


def test_scores_that_differ_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    work = works.works()[0].small()
    (crops,) = (peer for peer in peers.PEERS if peer.name == "onnxruntime crops")
    prepared = crops.prepare(work)
    made = np.array(prepared.call())
    assert len(np.unique(made)) > made.size / 2
    assert prepared.check is not None
    prepared.check(made)
    made[-1, -1, -1] += 1
    with pytest.raises(RuntimeError, match="otherwise than fcconv"):
        prepared.check(made)


def test_a_part_holds_as_many_windows_as_are_timed() -> None:
    image, sound, pixels = works.works()
    assert (image.windows, image.part().cells) == (121**2, (8, 121))
    assert (sound.windows, sound.part().cells) == (224_938, (1024,))
    assert pixels.part() == pixels


def test_lines_are_those_that_hold_code() -> None:
    def written(number: int) -> int:
        """Not counted."""
        # nor is this

        import math  # but this is

        return math.gcd(
            number,
            7,
        )

    assert lines_of(written) == 5


def test_stages_see_every_tile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    case = stages.suite().cases[1].small()
    found = case.prepare("scan", "onnxruntime").call()
    assert found.tiles > 1
    assert len(case.prepare(stages.ENGINE, "onnxruntime").call()) == found.tiles
    assert len(case.prepare("reading", "onnxruntime").call()) == found.tiles
    case.prepare("writing", "onnxruntime").call()
    kept = sum(path.is_file() for path in Path(temporary("stage.zarr")).rglob("c/*"))
    assert kept == sum(path.is_file() for path in tmp_path.glob("scan-*.zarr/**/c/*"))
