"""A format of scores or of peaks is a function and its row: one that no file names works."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest

import fcconv
from comparing import assert_identical
from fcconv.cli import app
from fcconv.errors import OutputError
from fcconv.report import peak_files
from fcconv.report.peak_files import PeakFormat
from fcconv.report.peak_list import Listed
from fcconv.scanning import score_files
from fcconv.scanning.score_files import ScoreFormat
from scan_cases import cut_into, picture, small_network


def write_hdf5(arrays: Sequence[Path], file: Path) -> None:
    with h5py.File(file, "w") as made:
        for path in arrays:
            made[path.stem] = np.load(path)


def read_hdf5(file: Path, names: Sequence[str]) -> Mapping[str, Any]:
    opened = h5py.File(file, "r")
    return {name: opened[name] for name in names}


@pytest.fixture
def several(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Register HDF5 for scores: of all outputs, or of one."""
    holds = bool(getattr(request, "param", True))
    made = ScoreFormat(write_hdf5, read_hdf5, holds_several=holds)
    monkeypatch.setitem(score_files.SCORE_FORMATS, ".h5", made)
    return holds


@pytest.mark.usefixtures("several")
def test_scores_go_to_a_format_of_the_table(tmp_path: Path) -> None:
    network, out = small_network(heads=2), tmp_path / "scores.h5"
    with cut_into(4):
        expected = fcconv.scan(network, picture(), engine="numpy")
        found = fcconv.scan(network, picture(), engine="numpy", out=out)
        again = fcconv.scan(network, picture(), out=out, existing="resume")
    assert (found.tiles, again.computed) == (found.computed, 0)
    stored = read_hdf5(out, list(expected.outputs))
    for name, scores in expected.outputs.items():
        for others in (found.outputs[name], again.outputs[name], stored[name]):
            assert_identical(others[...], scores, name)
    out.write_bytes(out.read_bytes()[:-1])
    with pytest.raises(OutputError, match="damaged"):
        fcconv.scan(network, picture(), out=out, existing="resume")
    with pytest.raises(OutputError, match=r"scores go to \.zarr, .*, \.h5$"):
        fcconv.scan(network, picture(), out=tmp_path / "scores.tif")


@pytest.mark.parametrize("several", [False], indirect=True)
def test_a_format_of_one_array_is_not_given_two(several: bool, tmp_path: Path) -> None:
    assert not several
    with pytest.raises(OutputError, match=r"a \.h5 holds one array, .* 2: use .*\.zarr$"):
        fcconv.scan(small_network(heads=2), picture(), out=tmp_path / "scores.h5")
    fcconv.scan(small_network(), picture(), out=tmp_path / "scores.h5")
    assert (tmp_path / "scores.h5").is_file()


def lines(listed: Listed) -> Iterator[str]:
    for peak in listed.peaks:
        yield f"{peak.label} {peak.score} {listed.rank}\n"


@pytest.fixture
def text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register a format of peaks along two axes."""
    monkeypatch.setitem(peak_files.PEAK_FORMATS, ".list", PeakFormat("text", lines, ranks=(1, 2)))


def saved(folder: Path, rank: int) -> tuple[Path, Path]:
    """Save a network and an image."""
    onnx.save(small_network(rank), folder / "model.onnx")
    np.save(folder / "image.npy", picture(rank))
    return folder / "model.onnx", folder / "image.npy"


@pytest.mark.usefixtures("text")
@pytest.mark.parametrize("rank", [1, 2])
def test_peaks_go_to_a_format_of_the_table(rank: int, tmp_path: Path) -> None:
    model, image = saved(tmp_path, rank)
    found = fcconv.scan(model, image)
    peaks = found.peaks(found.labels, 0)
    assert peaks
    found.write_peaks(tmp_path / "python.list", peaks)
    words = ["scan", *map(str, (model, image)), "--threshold", "0", "--peaks"]
    assert app.run([*words, str(tmp_path / "shell.LIST")]) == 0
    for name in ("python.list", "shell.LIST"):
        assert (tmp_path / name).read_text() == "".join(lines(Listed(peaks, rank)))


@pytest.mark.usefixtures("text")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("peaks.LIST", "--peaks: text has one or two axes, the peaks have 3: write them to .csv"),
        ("peaks.GeoJSON", "--peaks: GeoJSON has two axes, the peaks have 3: write them to .csv"),
        ("peaks.xml", " or .list"),
    ],
)
def test_peaks_that_a_format_can_not_hold_are_refused_before_a_scan(
    name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, image = saved(tmp_path, 3)
    words = ["--out", str(tmp_path / "scores.npy"), "--peaks", str(tmp_path / name)]
    assert app.run(["scan", str(model), str(image), *words]) == 2
    assert said in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "image.npy"}
