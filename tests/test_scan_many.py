"""``fcconv scan`` of several images: each into a file of its own, failures told in the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fcconv
from comparing import assert_identical
from fcconv.cli import app
from fcconv.graph.engines.compiling import Engine
from fcconv.graph.rewriting.sliding import Sliding
from fcconv.scanning.saved import open_scan
from scan_cases import picture, small_network
from score_files import names_in, tree

NAMES = ("a", "b", "c")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a network and three images, the second of which is cut off."""
    fcconv.convolutionize(small_network()).save(tmp_path / "net.onnx")
    for seed, name in enumerate(NAMES):
        np.save(tmp_path / f"{name}.npy", picture(seed=seed))
    (tmp_path / "b.npy").write_bytes((tmp_path / "b.npy").read_bytes()[:-99])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = app.run(["scan", "net.onnx", *map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


OUT = ("--engine", "numpy", "--out", "made")


@pytest.mark.parametrize("named", [("a.npy", "b.npy", "c.npy"), ("[abc].npy",)])
def test_each_image_has_its_scores_and_failures_are_told(
    named: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed, complaint = run(capsys, *named, *OUT, "--threshold", "9")
    assert (code, complaint) == (1, "")
    lines = printed.splitlines()
    assert [line for line in lines if line.startswith("Failed")] == [lines[-2]]
    assert lines[-2].startswith("Failed: b.npy: b.npy can't be read")
    assert lines[-1] == "Written: 2 of 3 into made"
    rows = {line.split()[1]: line for line in lines if ".npy" in line and "Failed" not in line}
    assert [*rows] == ["a.npy", "b.npy", "c.npy"]
    assert "failed" in rows["b.npy"]
    for seed, name in ((0, "a"), (2, "c")):
        expected = fcconv.scan(small_network(), picture(seed=seed), engine="numpy")
        found = open_scan(folder / "made" / f"{name}.zarr", f"{name}.npy")
        assert_identical(found.scores[...], expected.scores, name)
        assert found.notes == ()
        for told in (expected.scores.max(), len(expected.peaks(expected.labels, 9))):
            assert f"{told:.3g}" in rows[f"{name}.npy"]


def test_what_failed_is_scanned_when_it_is_mended(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*(f"{name}.npy" for name in NAMES), *OUT, "--json")
    code, printed, _ = run(capsys, *words)
    told = json.loads(printed)
    assert (code, [*told["failed"]]) == (1, ["b.npy"])
    assert [one["image"] for one in told["images"]] == ["a.npy", "c.npy"]
    assert run(capsys, *words)[0] == 2
    np.save("b.npy", picture(seed=1))
    code, printed, complaint = run(capsys, *words, "--resume")
    told = json.loads(printed)
    assert (code, complaint, told["failed"]) == (0, "", {})
    computed = [one["scans"][0]["computed"] for one in told["images"]]
    assert (computed[0], computed[2]) == (0, 0)
    assert computed[1] > 0
    assert run(capsys, *words, "--overwrite")[0] == 0


def test_the_network_is_compiled_once_and_one_engine_chosen(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[int] = []

    def first(*_: Any) -> str:
        chosen.append(1)
        return "numpy"

    monkeypatch.setattr("fcconv.scanning.cutting.fastest_engine", first)
    compiled: list[Any] = []
    as_it_was = Sliding.compiled

    def watched(sliding: Sliding, engine: Engine, *, patch: bool = False) -> Any:
        compiled.append(as_it_was(sliding, engine, patch=patch))
        return compiled[-1]

    monkeypatch.setattr(Sliding, "compiled", watched)
    assert run(capsys, "a.npy", "c.npy", "--out", "made")[0] == 0
    assert len(chosen) == 1
    assert len(compiled) == 2
    assert compiled[0] is compiled[1]


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "one is missing": (("a.npy", "no.npy", *OUT), "no.npy does not exist"),
    "no match": (("*.tif", *OUT), "*.tif fits no file"),
    "no folder": (("a.npy", "c.npy"), "2 images need --out, a folder"),
    "a file": (("a.npy", "c.npy", "--out", "x.zarr"), "takes the scores of one image, here are 2"),
    "a file that is there": (("a.npy", "c.npy", "--out", "net.onnx"), "name a folder"),
    "a folder in none": (("a.npy", "c.npy", "--out", "no/made"), "No such file"),
    "one name": (("a.npy", "./a.npy", *OUT), "would both go to made/a.zarr"),
    "one picture": (("a.npy", "c.npy", *OUT, "--heatmap", "h.png"), "fcconv show"),
    "one page": (("a.npy", "c.npy", *OUT, "--report", "h.html"), "fcconv show"),
    "peaks": (("a.npy", "c.npy", *OUT, "--peaks", "p.csv"), "fcconv show"),
    "no class": (("a.npy", "c.npy", *OUT, "--label", "cat"), "there is no class 'cat'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nonsense_is_refused_in_one_line(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, said = REFUSED[name]
    before = tree(folder)
    code, printed, complaint = run(capsys, *words)
    assert (code, printed, complaint.count("\n")) == (2, "", 1)
    assert said in complaint
    assert tree(folder) == before


def test_scales_of_several_images(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "a.npy", "c.npy", *OUT, "--scales", "1,2")[0] == 0
    scans = {f"{name}-{scale}.zarr" for name in ("a", "c") for scale in (1, 2)}
    assert scans <= names_in(folder / "made")
