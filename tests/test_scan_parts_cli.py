"""``fcconv scan --part``: parts of an image, or of a list of images, and what they can't have."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fcconv
from fcconv.cli import app
from scan_cases import cut_into, small_network
from score_files import names_in, tree
from strategies import integers


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fcconv.convolutionize(small_network()).save(tmp_path / "net.onnx")
    for seed, name in enumerate("abcde"):
        np.save(tmp_path / f"{name}.npy", integers(seed, (2, 30, 40), "float32"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = app.run(["scan", "net.onnx", *words])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_parts_of_an_image(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("a.npy", "--out", "a.zarr")
    with cut_into(9):
        for number in (2, 1, 3):
            code, printed, complaint = run(capsys, *words, "--part", f"{number}/3")
            assert (code, complaint) == (0, "")
            assert f"Part {number} of 3 of a scan" in printed
            assert "with --resume in place of --part finishes the scan" in printed
        code, printed, _ = run(capsys, *words, "--part", "3/3", "--json")
        (part,) = json.loads(printed)["scans"]
        assert (code, part["part"], part["computed"]) == (0, [3, 3], 0)
        code, printed, _ = run(capsys, *words, "--resume", "--peaks", "p.csv", "--json")
        (scan,) = json.loads(printed)["scans"]
        assert (code, scan["part"], scan["computed"]) == (0, None, 0)
        assert scan["tiles"] >= 9
        assert (folder / "p.csv").exists()
        assert run(capsys, "a.npy", "--out", "b.zarr")[0] == 0
    assert tree(folder / "a.zarr") == tree(folder / "b.zarr")


def test_parts_of_a_list_of_images(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, names in ((3, {"d", "e"}), (1, {"a"}), (2, {"b", "c"})):
        before = names_in(folder / "made") if (folder / "made").exists() else set()
        code, printed, _ = run(capsys, "*.npy", "--out", "made", "--part", f"{number}/3")
        assert code == 0
        assert f"Written: {len(names)} of {len(names)} into made" in printed
        new = names_in(folder / "made") - before
        assert {name for name in new if name.endswith("zarr")} == {f"{n}.zarr" for n in names}
    assert run(capsys, "a.npy", "b.npy", "--out", "few", "--part", "1/3")[0] == 0
    assert not names_in(folder / "few")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--part", "0/2"), "'0/2' is not K/N, part K of N: 1/16 to 16/16"),
        (("--part", "3"), "'3' is not K/N"),
        (("--part", "1/2", "--threshold", "3"), "with --resume in place of --part"),
        (("--part", "1/2", "--map", "x.csv"), "with --resume in place of --part"),
        (("--part", "1/2", "--audit", "3"), "with --resume in place of --part"),
        (("--part", "1/2", "--overwrite"), "remove what the others write: remove x.zarr first"),
        (("--part", "1/2", "--out", "x.npy"), "part needs out, a .zarr that every part can"),
        (("--part", "1/2", "--dask", "local"), "--part and --dask exclude each other"),
    ],
)
def test_nonsense_is_refused_in_one_line(
    words: tuple[str, ...], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = names_in(folder)
    code, printed, complaint = run(capsys, "a.npy", "--out", "x.zarr", *words)
    assert (code, printed) == (2, "")
    assert said in " ".join(complaint.split())
    assert names_in(folder) == before


@pytest.mark.skipif(not shutil.which("bash"), reason="Slurm runs a script of bash")
def test_the_script_of_a_slurm_array(folder: Path) -> None:
    page = (Path(__file__).parents[1] / "docs/machines.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```text\n(#!/bin/bash\n.*?)```", page, re.DOTALL)
    script = script.replace("classifier.onnx slide.tif", "net.onnx a.npy")
    (folder / "job.sh").write_text(script)
    with cut_into(9):
        first = fcconv.scan("net.onnx", "a.npy", out="scores.zarr", engine="numpy", part=(1, 2))
    task = {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_COUNT": "2"}
    found = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    words = ["bash", "-e", "job.sh"]
    subprocess.run(words, env={**os.environ, "PATH": found, **task}, check=True, timeout=60)
    last = fcconv.scan("net.onnx", "a.npy", out="scores.zarr", existing="resume")
    assert (last.computed, last.part) == (0, None)
    assert last.tiles > first.tiles > 0
