"""A scan that was done is opened again, and is the same; what is none is refused in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import zarr

import fcconv
from comparing import assert_identical
from fcconv.cli import app
from fcconv.errors import ArgumentError, ImageError, OutputError
from fcconv.scanning.result import Scan
from fcconv.scanning.saved import open_scan
from scan_cases import cut_into, picture, small_network
from score_files import SUFFIXES, tree

OF_A_RUN = {"outputs", "computed", "seconds", "images", "cut_out"}
"""What is not the same of a scan that was opened."""

WAYS: dict[str, tuple[Any, dict[str, Any]]] = {
    "shared": (small_network(pad=1), {"windows": "shared", "audit": 20}),
    "crops": (small_network(pad=1), {"windows": "crops", "stride": 3}),
    "probabilities": (small_network(), {"activation": "softmax", "labels": ["cat", "dog"]}),
    "two outputs": (small_network(heads=2), {}),
    "nodata": (small_network(), {"preparation": fcconv.Preparation(nodata=0, mean=(3,))}),
}


def same(opened: Scan, found: Scan) -> None:
    """Compare what two scans are, and their scores."""
    facts = [{k: v for k, v in vars(scan).items() if k not in OF_A_RUN} for scan in (opened, found)]
    assert facts[0] == facts[1]
    assert [*opened.outputs] == [*found.outputs]
    for name, scores in found.outputs.items():
        assert_identical(opened.outputs[name][...], scores[...], name)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("way", WAYS)
def test_a_scan_is_the_same_when_it_is_opened(way: str, suffix: str, tmp_path: Path) -> None:
    (network, given), image, out = WAYS[way], picture(), tmp_path / f"x{suffix}"
    image[:, 3, 4] = 0
    if suffix == ".npy" and way == "two outputs":
        suffix, out = ".npz", tmp_path / "x.npz"
    with cut_into(6):
        found = fcconv.scan(network, image, out=out, engine="numpy", **given)
    before = tree(tmp_path)
    opened = open_scan(out, image)
    assert tree(tmp_path) == before
    assert opened.computed == 0
    same(opened, found)
    assert_identical(opened.overview(9), found.overview(9), way)
    assert opened.peaks(opened.labels, -99) == found.peaks(found.labels, -99)
    again = fcconv.scan(network, image, out=out, existing="resume", **given)
    assert again.computed == 0
    assert tree(tmp_path) == before


def test_how_the_image_was_opened_is_known(tmp_path: Path) -> None:
    batch = np.stack([np.moveaxis(picture(seed=k), 0, -1) for k in range(3)])
    given: dict[str, Any] = {"network": small_network(), "engine": "numpy", "layout": "NHWC"}
    one = fcconv.scan(image=batch, out=tmp_path / "one.npy", page=1, **given)
    all_three = fcconv.scan(image=batch, out=tmp_path / "all.zarr", **given)
    same(open_scan(tmp_path / "one.npy", batch), one)
    opened = open_scan(tmp_path / "all.zarr", batch)
    same(opened, all_three)
    assert len(opened.images) == 3
    assert opened.peaks(0, -99, image=2) == all_three.peaks(0, -99, image=2)
    assert open_scan(tmp_path / "all.zarr").images == ()


def test_another_image_is_refused_or_told_of(tmp_path: Path) -> None:
    out, path = tmp_path / "x.npy", tmp_path / "image.npy"
    np.save(path, picture())
    fcconv.scan(small_network(), path, out=out, engine="numpy")
    assert open_scan(out, path).notes == ()
    with pytest.raises(ImageError, match=r"array of \(27, 32\) pixels is not what was scanned"):
        open_scan(out, picture()[..., :32])
    with pytest.raises(ImageError, match="2 of them, the scan is of 1: give what was scanned"):
        open_scan(out, np.stack([picture()] * 2))
    (note,) = open_scan(out, picture(seed=1)).notes
    assert "not known to be the one that was scanned: array, CHW 2 x (27, 33) float32" in note


def test_crops_need_the_network(tmp_path: Path) -> None:
    given: dict[str, Any] = {"engine": "numpy", "windows": "shared", "out": tmp_path / "x.npy"}
    fcconv.scan(small_network(pad=1), picture(), **given)
    with pytest.raises(ArgumentError, match="exact=True cuts windows out, which takes the network"):
        open_scan(tmp_path / "x.npy").peaks(0, 0, exact=True)


def without_description(out: Path) -> None:
    """Make of a scan what versions wrote that did not describe it."""
    kept = out / "zarr.json" if out.is_dir() else out.with_name(f"{out.name}.fcconv.json")
    told = json.loads(kept.read_text())
    (told["attributes"] if out.is_dir() else told).pop("fcconv-scan")
    kept.write_text(json.dumps(told))


def less_one_tile(out: Path) -> None:
    next(path for path in sorted(out.rglob("c/0/1/1")) if path.is_file()).unlink()


def flipped(out: Path) -> None:
    file = out if out.is_file() else next(p for p in sorted(out.rglob("c/0/1/1")) if p.is_file())
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)


def misdescribed(out: Path) -> None:
    attributes = zarr.open_group(out).attrs
    told: Any = attributes["fcconv-scan"]
    attributes["fcconv-scan"] = {**told, "outputs": 7}


SPOILT: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "nothing": (
        ".zarr",
        shutil.rmtree,
        r"does not exist: give what a scan wrote, a .zarr, .npz or",
    ),
    "no file": (".npy", Path.unlink, "does not exist"),
    "older": (".zarr", without_description, r"not finished, or of a version .* --resume"),
    "older file": (".npy", without_description, r"not finished, or of a version .* --resume"),
    "a tile is missing": (".zarr", less_one_tile, "has 1 tiles that are missing or damaged: run"),
    "a bit of a tile": (".zarr", flipped, "has 1 tiles that are missing or damaged: run"),
    "a bit of a file": (".npy", flipped, "is damaged: overwrite it"),
    "other words": (".zarr", misdescribed, "is damaged in what it says of its scan"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_no_scan_is_refused_in_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suffix, spoil, said = SPOILT[name]
    out = tmp_path / f"x{suffix}"
    given: dict[str, Any] = {"network": small_network(), "image": picture(), "engine": "numpy"}
    with cut_into(6):
        fcconv.scan(**given, out=out)
    spoil(out)
    with pytest.raises(OutputError, match=said) as raised:
        open_scan(out)
    assert app.run(["show", str(out)]) == 2
    assert capsys.readouterr() == ("", f"fcconv: {raised.value}\n")
    if "--resume" in str(raised.value):
        fcconv.scan(**given, out=out, existing="resume")
        open_scan(out)


ODD: tuple[Any, ...] = (None, -1, 0, 7, "x", [], [0, 0], [-1, 5], {}, {"x": 1}, [[]], 1e99)


@pytest.mark.parametrize("suffix", [".npy", ".zarr"])
def test_what_a_store_says_of_its_scan_is_sealed(suffix: str, tmp_path: Path) -> None:
    out = tmp_path / f"x{suffix}"
    fcconv.scan(small_network(pad=1), picture(), engine="numpy", windows="shared", out=out)
    file = tmp_path / ("x.zarr/zarr.json" if suffix == ".zarr" else "x.npy.fcconv.json")
    whole = json.loads(file.read_text())
    for place in ("fcconv" if suffix == ".zarr" else "run", "fcconv-scan"):
        told = (whole["attributes"] if suffix == ".zarr" else whole)[place]
        for name, kept in [*told.items()]:
            for odd in ODD:
                told[name] = odd
                file.write_text(json.dumps(whole))
                if odd != kept:
                    with pytest.raises(OutputError, match="is damaged in what it says of its scan"):
                        open_scan(out)
            told[name] = kept
    file.write_text(json.dumps(whole))
    open_scan(out, picture())


def test_an_unfinished_scan_is_told_from_a_finished_one(tmp_path: Path) -> None:
    given: dict[str, Any] = {"network": small_network(), "image": picture(), "engine": "numpy"}

    def stop(done: Any) -> None:
        if done.tiles == 2:
            raise KeyboardInterrupt

    for out in (tmp_path / "x.zarr", tmp_path / "x.npy"):
        with cut_into(6), pytest.raises(KeyboardInterrupt):
            fcconv.scan(**given, out=out, progress=stop)
        with pytest.raises(OutputError, match=f"{out.name} is not finished"):
            open_scan(out)
    for name, said in (("x.txt", "is not a scan"), ("a.npy", "does not say of which scan it is")):
        np.save(tmp_path / "a.npy", picture())
        with pytest.raises(OutputError, match=f"{name} {said}: give what a scan wrote"):
            open_scan(tmp_path / name)


# The command line -------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a network and a photo, to work in."""
    with as_file(files("fcconv.demo") / "faces.onnx") as faces:
        shutil.copy(faces, tmp_path / "faces.onnx")
    rng = np.random.default_rng(0)
    PIL.Image.fromarray(rng.integers(0, 256, (90, 120, 3), np.uint8)).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = app.run(list(words))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


SCAN = ("scan", "faces.onnx", "photo.png", "--gray", "--engine", "numpy", "--stride", "8")
ASKED = ("--threshold", "-9", "--peaks")


@pytest.mark.parametrize("scales", ["1", "1,0.5"])
def test_show_gives_what_the_scan_gave(
    scales: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--heatmap", "a.png", "--json", *ASKED, "a.csv")
    code, printed, _ = run(capsys, *SCAN, "--scales", scales, "--out", "s.zarr", *words)
    assert code == 0
    names = ["s.zarr"] if scales == "1" else ["s-1.zarr", "s-0.5.zarr"]
    again = ("--heatmap", "b.png", "--report", "b.html", "--json", *ASKED, "b.csv")
    code, shown, complaint = run(capsys, "show", *names, "--image", "photo.png", *again)
    assert (code, complaint) == (0, "")
    first, second = json.loads(printed), json.loads(shown)
    for scan in (*first["scans"], *second["scans"]):
        assert (scan.pop("computed") == 0) == (scan.pop("seconds") == 0)
    assert first == second
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    with PIL.Image.open("a.png") as a, PIL.Image.open("b.png") as b:
        assert_identical(np.asarray(a), np.asarray(b), "heatmaps")
    assert Path("b.html").read_text().startswith("<!")
    assert "windows" in run(capsys, "show", *names)[1]


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "no scores": ((), "SCORES"),
    "a picture without an image": (("s.npy", "--heatmap", "h.png"), "give --image"),
    "a page without an image": (("s.npy", "--report", "h.html"), "give --image"),
    "an image that is not there": (("s.npy", "--image", "no.png"), "no.png"),
    "an image of another size": (("s.npy", "--image", "small.npy"), "not what was scanned"),
    "no class": (("s.npy", "--label", "cat"), "there is no class 'cat': it has score"),
    "another suffix": (("s.npy", "--peaks", "p.xml"), "p.xml needs to end in .geojson, .csv"),
    "scores replaced": (("s.npy", "--image", "h.png", "--heatmap", "h.png"), "replace h.png"),
    "a system of no file": (("s.npy", "--crs", "file"), "--crs"),
    "into a folder that is read": (
        ("s.npy", "--image", "image.zarr", "--peaks", "image.zarr/c/p.csv"),
        "lies in image.zarr, which is read",
    ),
    "another stride": (("s.npy", "t-0.5.npy"), "t-0.5.npy is not s.npy in another size"),
    "twice": (("s.npy", "s.npy"), "s.npy is not s.npy in another size"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_show_refuses_nonsense_in_one_line(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, said = REFUSED[name]
    assert app.run([*SCAN, "--out", "s.npy"]) == 0
    other = [*SCAN[:-1], "16", "--scales", "0.5,0.4"]
    assert app.run([*other, "--out", "t.npy"]) == 0
    np.save("small.npy", np.zeros((3, 30, 30), np.uint8))
    shutil.copy("photo.png", "h.png")
    Path("image.zarr/c").mkdir(parents=True)
    before = tree(folder)
    capsys.readouterr()
    code, printed, complaint = run(capsys, "show", *words)
    assert (code, printed, complaint.count("\n")) == (2, "", 1)
    assert said in complaint
    assert tree(folder) == before
