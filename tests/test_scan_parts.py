"""Parts of a scan, each a process, make together what one makes, however some of them end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fcconv
from comparing import assert_identical
from fcconv.errors import ArgumentError, OutputError
from fcconv.scanning.lock import locked, shared
from scan_cases import cut_into, memory_for, picture, small_network
from score_files import names_in, tree
from strategies import integers

PARTS = """
import os, signal, sys, time
from pathlib import Path
import fcconv, multiprocessing.synchronize, numpy.ma, zarr

folder, memories, killed = Path(sys.argv[1]), sys.argv[2].split(","), int(sys.argv[3])
given = {"network": folder / "model.onnx", "image": folder / "image.npy", "engine": "numpy"}
fcconv.scan(**given)  # loads everything

def computing(number):
    def progress(done):
        if number == killed and done.tiles == 2:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)  # this thread goes no further
    while not (folder / "go").exists():
        pass
    fcconv.scan(**given, memory=memories[number - 1], out=folder / "out" / "x.zarr",
                part=(number, len(memories)), progress=progress)

children = []
for number in range(1, len(memories) + 1):
    child = os.fork()
    if not child:
        code = 1
        try:
            computing(number)
            code = 0
        finally:
            os._exit(code)
    children.append(child)
(folder / "go").touch()
ends = [os.waitpid(child, 0)[1] for child in children]
assert ends == [signal.SIGKILL if n == killed else 0 for n in range(1, len(memories) + 1)], ends
"""
"""Processes that begin at the same moment, each with memory for other tiles; one is killed."""


@pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")
def test_processes_make_what_one_makes(tmp_path: Path) -> None:
    network, image = small_network(), integers(0, (2, 60, 70), "float32")
    fcconv.convolutionize(network).save(tmp_path / "model.onnx")
    np.save(tmp_path / "image.npy", image)
    (tmp_path / "out").mkdir()
    memories = [memory_for(tiles, network, image) for tiles in (30, 40, 50, 60)]
    words = [sys.executable, "-W", "ignore", "-c", PARTS]
    given = [*words, str(tmp_path), ",".join(map(str, memories))]
    done = subprocess.run([*given, "2"], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert names_in(tmp_path / "out") == {"x.zarr", ".x.zarr.fcconv-lock"}

    run: dict[str, Any] = {"network": tmp_path / "model.onnx", "image": tmp_path / "image.npy"}
    run |= {"out": tmp_path / "out/x.zarr"}
    again = fcconv.scan(**run, part=(2, 4))
    assert 0 < again.computed < again.tiles
    (tmp_path / "out/.x.zarr.fcconv-new-of-one-that-was-killed").mkdir()
    (chunk,) = (tmp_path / "out/x.zarr").glob("[!f]*/c/0/3/3")
    broken = bytearray(chunk.read_bytes())
    broken[-1] ^= 1
    chunk.write_bytes(broken)
    last = fcconv.scan(**run, existing="resume")
    assert last.computed == 1
    whole = tmp_path / "whole"
    trees = []
    for memory in memories:
        whole.mkdir(exist_ok=True)
        fcconv.scan(
            run["network"], run["image"], engine="numpy", memory=memory, out=whole / "x.zarr",
            existing="overwrite",
        )  # fmt: skip
        trees.append(tree(whole))
    assert tree(tmp_path / "out") in trees


@pytest.mark.parametrize("windows", ["shared", "exact", "crops"])
def test_parts_are_equal_shares_of_the_tiles_that_are_wanted(tmp_path: Path, windows: str) -> None:
    network, image = small_network(pad=1), picture()
    marks = np.zeros((2, 2))
    marks[1, 0] = 1
    given: dict[str, Any] = {"network": network, "image": image, "engine": "numpy", "mask": marks}
    given |= {"windows": windows}
    with cut_into(30):
        whole = fcconv.scan(**given)
        parts, scored = [], []
        for number in (3, 1, 2):
            parts.append(fcconv.scan(**given, out=tmp_path / "x.zarr", part=(number, 3)))
            scored.append(np.isfinite(parts[-1].scores[0]).sum())  # by now
        last = fcconv.scan(**given, out=tmp_path / "x.zarr", existing="resume")
    assert [part.part for part in parts] == [(3, 3), (1, 3), (2, 3)]
    assert all(part.computed == part.tiles for part in parts)
    tiles = [part.tiles for part in parts]
    assert max(tiles) - min(tiles) <= 1
    assert 3 < sum(tiles) < whole.tiles == last.tiles
    assert 0 < scored[0] < scored[1] < scored[2] == np.isfinite(whole.scores[0]).sum()
    assert (last.computed, last.outside, last.unscored) == (0, whole.outside, whole.unscored)
    assert_identical(last.scores[...], whole.scores, windows)


def test_a_part_counts_its_own_windows(tmp_path: Path) -> None:
    image = picture()
    image[0, 3, 3] = np.nan
    given: dict[str, Any] = {"network": small_network(), "image": image, "engine": "numpy"}
    seen: list[Any] = []
    with cut_into(9):
        parts = [
            fcconv.scan(**given, out=tmp_path / "x.zarr", part=(k, 4), progress=seen.append)
            for k in range(1, 5)
        ]
        whole = fcconv.scan(**given)
    assert sum(part.unscored for part in parts) == whole.unscored > 0
    assert [done.windows for done in seen if done.tiles == done.all_tiles] == [
        done.all_windows for done in seen if done.tiles == 0
    ]
    assert sum(done.all_windows for done in seen if done.tiles == 0) == whole.scores[0].size
    assert repr(parts[0]).startswith("<Part 1 of 4 of the scan of (27, 33) pixels")


def test_parts_join_the_run_that_is_there_and_no_other(tmp_path: Path) -> None:
    network, image = small_network(), picture()
    given: dict[str, Any] = {"network": network, "image": image, "out": tmp_path / "x.zarr"}
    first = fcconv.scan(**given, engine="onnxruntime", part=(1, 2))
    assert fcconv.scan(**given, part=(2, 2)).engine == first.engine == "onnxruntime"
    changes: list[dict[str, Any]] = [
        {"image": picture(seed=1)},
        {"engine": "numpy"},
        {"stride": 1},
    ]
    for changed in changes:
        (name,) = changed
        with pytest.raises(OutputError, match=f"is of another run: its {name} is"):
            fcconv.scan(**{**given, **changed}, part=(2, 2))


def test_a_whole_scan_waits_for_parts_and_they_for_it(tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="only Unix has locks that several can hold")
    given: dict[str, Any] = {"network": small_network(), "image": picture(), "engine": "numpy"}
    given |= {"out": tmp_path / "x.zarr"}
    with shared(tmp_path / "x.zarr"):
        fcconv.scan(**given, part=(1, 2))
        with pytest.raises(OutputError, match=r"another run writes to .*x\.zarr: wait for it"):
            fcconv.scan(**given, existing="resume")
    with (
        locked(tmp_path / "x.zarr"),
        pytest.raises(OutputError, match=r"another run writes to .*x\.zarr: wait for it"),
    ):
        fcconv.scan(**given, part=(2, 2))


@pytest.mark.parametrize("part", [(0, 2), (3, 2), (1.0, 2), "1/2", (1,), (1, 2, 3), 1])
def test_no_such_part(part: Any, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"part needs \(k, n\), part k of n"):
        fcconv.scan(small_network(), picture(), out=tmp_path / "x.zarr", part=part)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"out": None}, r"part needs out, a \.zarr that every part can write to, got None"),
        ({"out": "x.npy"}, r"part needs out, a \.zarr that every part can write to, got x\.npy"),
        ({"existing": "overwrite"}, r"would have each part remove .*: remove x\.zarr first"),
        ({"audit": 9}, r"audit is of the whole scan: give it to the last call, without part"),
    ],
)
def test_what_a_part_can_not_have(
    given: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked: dict[str, Any] = {"out": "x.zarr", "part": (1, 2), **given}
    with pytest.raises(ArgumentError, match=said):
        fcconv.scan(small_network(), picture(), **asked)
    assert not names_in(tmp_path)
