"""``fcconv scan`` finds a face, writes what it is asked for, and says in one line what is wrong."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import skimage as ski
import tifffile

import fcconv
from fcconv.cli import app, wanted
from fcconv.scanning.peaks import Peak, merge_peaks
from fcconv.scanning.result import Scan
from scan_cases import small_network
from score_files import tree

FACES = files("fcconv.demo") / "faces.onnx"
QUICK = ("--gray", "--engine", "numpy", "--stride", 8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a network and some images, to work in."""
    with as_file(FACES) as faces:
        (tmp_path / "faces.onnx").write_bytes(faces.read_bytes())
    PIL.Image.fromarray(ski.data.astronaut()).save(tmp_path / "photo.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "photo.png").read_bytes()[:9999])
    (tmp_path / "text.txt").write_text("no image")
    (tmp_path / "m.geojson").write_text(
        '{"type": "Polygon", "coordinates": [[[0, 0], [99, 0], [0, 99], [0, 0]]]}'
    )
    np.save(tmp_path / "small.npy", np.zeros((1, 24, 30), np.float32))
    np.save(tmp_path / "large.npy", np.full((1, 30, 30), 1e300))
    fcconv.convolutionize(small_network(pad=1)).save(tmp_path / "padded.onnx")
    np.save(tmp_path / "two.npy", np.zeros((2, 30, 30), np.float32))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = app.run(["scan", *map(str, arguments)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def rows_of(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(name).read_text().splitlines()))


def test_it_finds_the_face(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("faces.onnx", "photo.png", "--gray", "--scales", "1,0.5,0.25", "--peaks", "found.csv")
    code, printed, complaint = run(capsys, *words)
    assert (code, complaint) == (0, "")
    for word in (
        "512 x 512 pixels",
        "163 x 163 of 25 x 25 pixels",
        "grey",
        "at 0.25 times its size",
        "yes",
        "pixels, rows x columns",
    ):
        assert word in printed
    assert "Written: found.csv" in printed
    rows = rows_of("found.csv")
    best = {name: float(rows[0][name]) for name in ("left", "top", "width", "height", "score")}
    assert 60 < best["top"] + best["height"] / 2 < 180
    assert 170 < best["left"] + best["width"] / 2 < 270
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert f"{best['score']:.3g}" in printed
    code, printed, complaint = run(capsys, *words, "--json")
    found = json.loads(printed)
    assert (code, complaint) == (0, "")
    assert [scan["scale"] for scan in found["scans"]] == [1, 0.5, 0.25]
    assert [scan["cells"] for scan in found["scans"]] == [[163] * 2, [78] * 2, [35] * 2]
    assert all(scan["exact"] for scan in found["scans"])
    assert len(found["peaks"]) == len(rows)
    assert rows == rows_of("found.csv")


def test_it_writes_what_it_is_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = {"--heatmap": "h.png", "--report": "r.html", "--peaks": "p.geojson", "--out": "s.npy"}
    pairs = [word for pair in wanted.items() for word in pair]
    words = ("faces.onnx", "photo.png", *QUICK, *pairs, "--seed", "4711")
    code, printed, complaint = run(capsys, *words)
    assert (code, complaint) == (0, "")
    for name in wanted.values():
        assert f"Written: {name}" in printed
    with PIL.Image.open("h.png") as picture:
        assert min(picture.size) > 100
    page = (folder / "r.html").read_text()
    features = json.loads((folder / "p.geojson").read_text())["features"]
    assert page.startswith("<!")
    assert f'"found": {len(features)}' in page
    assert "<dd>4711</dd>" in page.replace("\n", "").replace("  ", "")
    assert len(features) == int(printed.split("Peaks from 0.5 on: ")[1].split()[0].rstrip(","))
    expected = fcconv.scan(
        "faces.onnx", "photo.png", stride=8, engine="numpy", preparation=fcconv.Preparation(True)
    )
    assert np.array_equal(np.load("s.npy"), expected.scores)


@pytest.mark.parametrize("name", ["s.zarr", "s.npy", "s.npz"])
def test_several_scales_have_a_file_each(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("faces.onnx", "photo.png", *QUICK, "--scales", "0.5,0.25", "--out", name)
    code, printed, _ = run(capsys, *words)
    assert code == 0
    written = [line.removeprefix("Written: ") for line in printed.splitlines() if "Written" in line]
    assert len(written) == 2
    assert all((folder / path).exists() for path in written)


@pytest.mark.parametrize("name", ["s.zarr", "s.npy"])
def test_scores_that_are_there(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("faces.onnx", "photo.png", *QUICK, "--memory", "4MB", "--out", name)
    assert run(capsys, *words)[0] == 0
    before = tree(folder)
    code, printed, complaint = run(capsys, *words)
    assert (code, printed, complaint.count("\n")) == (2, "", 1)
    assert f"{name} is there" in complaint
    assert tree(folder) == before
    if name == "s.zarr":
        code, printed, complaint = run(capsys, *words, "--resume", "--json")
        assert (code, complaint) == (0, "")
        assert json.loads(printed)["scans"][0]["computed"] == 0
    assert run(capsys, *words, "--overwrite", "--label", "score")[0] == 0
    assert tree(folder) == before


@pytest.mark.parametrize("name", ["s.zarr", "s.npy"])
def test_resume_says_when_there_is_nothing_to_resume(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("faces.onnx", "photo.png", *QUICK, "--out", name, "--resume", "--json")
    code, printed, said = run(capsys, *words)
    assert (code, said) == (0, f"Nothing to resume: {name} is not there yet; the scan starts\n")
    (begun,) = json.loads(printed)["scans"]
    assert begun["computed"] == begun["tiles"]
    assert run(capsys, *words)[2] == ""


def test_no_peaks_are_told_in_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("faces.onnx", "photo.png", *QUICK, "--threshold", "1e9")
    code, printed, _ = run(capsys, *words)
    assert code == 0
    gray = fcconv.Preparation(gray=True)
    found = fcconv.scan("faces.onnx", "photo.png", preparation=gray, engine="numpy", stride=8)
    highest = found.scores.max()
    said = f"No peaks: no window scores 1e+09 or more (--threshold); the highest is {highest:.4g}\n"
    assert said in printed
    assert "Peaks from" not in printed
    assert "or more for score (" in run(capsys, *words, "--label", "score")[1]


PIPES = {
    "cut off": ("| head -1", ""),
    "cut off, JSON": ("--json | head -1", ""),
    "full": ("> /dev/full", "fcconv: [Errno 28] No space left on device\n"),
    "full, JSON": ("--json > /dev/full", "fcconv: [Errno 28] No space left on device\n"),
}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("name", PIPES)
def test_output_that_goes_nowhere_is_no_traceback(name: str, folder: Path) -> None:
    where, said = PIPES[name]
    np.save("x.npy", np.random.default_rng(0).normal(size=(1, 900, 900)).astype(np.float32))
    words = f"{sys.executable} -m fcconv scan faces.onnx x.npy --engine numpy --threshold -99999"
    script = f"{words} {where}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == said
    assert (done.returncode == 2) == bool(said)
    assert done.stdout.count("\n") <= 1


def test_nothing_but_results_is_printed_into_a_pipe(folder: Path) -> None:
    words = [sys.executable, "-m", "fcconv", "scan", "faces.onnx", "photo.png", *map(str, QUICK)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "engine" in done.stdout
    done = subprocess.run(
        [*words, "--scale", "0"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


NONSENSE: dict[str, list[str]] = {
    "--engine": ["foo", ""],
    "--memory": ["0", "-1", "abc", "1e999", "nan", "1" + 310 * "0", "1" + 300 * "0" + "T", "1KB"],
    "--windows": ["x", ""],
    "--scale": ["0", "nan", "abc", "1/0", "inf", "1e999", "1,2", ""],
    "--std": ["0", "-1", "nan", "x", "1,2", "1/0"],
    "--mean": ["a,b", "inf", "1,2", ""],
    "--nodata": ["a", "", "1,2"],
    "--layout": ["QQ", "HWCC", "", "HW"],
    "--channels": ["0", "1,9", "red", "1,,2", "9" * 5000],
    "--labels": ["a,b", "a,,b", ""],
    "--scales": ["0", "-1", "nan", "1e9", "1,0", "1,1", "1,0.01", "1,,2", "", "x"],
    "--heatmap": ["x.jpg", "no/x.png", "photo.png"],
    "--report": ["x.txt", "no/x.html"],
    "--peaks": ["x.json", "no/x.csv"],
    "--threshold": ["abc", "nan", ""],
    "--overlap": ["2", "-1", "nan", "x"],
    "--label": ["unknown", ""],
    "--stride": ["0", "-1", "x", "1,2,3", "", "1e3", "99999999999999999999"],
    "--window": ["x", "1,30,30", "0"],
    "--out": ["x.tif", "no/x.zarr", "x", "photo.png", "photo.png/x.npy", "", "."],
}


@pytest.mark.parametrize(
    ("option", "value"),
    [(option, value) for option, values in NONSENSE.items() for value in values],
)
def test_nonsense_is_refused_before_anything_is_written(
    option: str, value: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = () if option == "--out" else ("--out", "scores.npy")
    check_refused(capsys, folder, "faces.onnx", "photo.png", *QUICK, *out, option, value)


@pytest.mark.parametrize("option", ["--scale", "--mean", "--scales"])
def test_huge_powers_are_refused_at_once(option: str, folder: Path) -> None:
    words = [sys.executable, "-m", "fcconv", "scan", "faces.onnx", "photo.png", "--gray"]
    done = subprocess.run(
        [*words, option, "1e999999999"], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def check_refused(
    capsys: pytest.CaptureFixture[str], folder: Path, *arguments: object, said: str = ""
) -> None:
    before = tree(folder)
    code, printed, complaint = run(capsys, *arguments)
    assert (code, printed) == (2, "")
    assert complaint.startswith("fcconv: ")
    assert complaint.count("\n") == 1
    assert len(complaint) > 15
    assert said in complaint
    assert tree(folder) == before


REFUSED: dict[str, tuple[tuple[object, ...], str]] = {
    "resume and overwrite": (("--resume", "--overwrite", "--out", "x.npy"), "exclude each other"),
    "resume without out": (("--resume",), "--resume needs --out"),
    "two files of one name": (("--peaks", "a.csv", "--map", "./a.csv"), "where --peaks goes"),
    "a mask as peaks": (("--mask", "m.geojson", "--peaks", "m.geojson"), "which is read"),
    "no such option": (("--outt", "x.npy"), "--outt"),
}

FILES: dict[str, tuple[str, str, str]] = {
    "no model": ("no.onnx", "photo.png", "no.onnx"),
    "a model that is none": ("text.txt", "photo.png", "not an ONNX file"),
    "a model that is a picture": ("photo.png", "photo.png", "not an ONNX file"),
    "a folder as a model": (".", "photo.png", "is not a file"),
    "no image": ("faces.onnx", "no.png", "no.png"),
    "an image that is cut off": ("faces.onnx", "cut.png", "cut.png"),
    "an image that is none": ("faces.onnx", "text.txt", "suffix of no known format"),
    "a folder as an image": ("faces.onnx", ".", "folder"),
    "a small image": ("faces.onnx", "small.npy", "smaller than the window"),
    "large": ("faces.onnx", "large.npy", "too large for float32"),
    "a network that pads": ("padded.onnx", "two.npy", "--windows exact"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_options_that_exclude_others(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options, said = REFUSED[name]
    check_refused(capsys, folder, "faces.onnx", "photo.png", *QUICK, *options, said=said)


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_network_or_image(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, image, said = FILES[name]
    check_refused(capsys, folder, model, image, "--engine", "numpy", said=said)


def test_colours_need_to_be_made_grey(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_refused(capsys, folder, "faces.onnx", "photo.png", said="--gray")


def test_labels_and_peaks_of_one_class(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(wanted, "write_heatmap", lambda *given: drawn.append(given[3]))
    np.save("x.npy", np.random.default_rng(0).integers(-3, 4, (2, 30, 30)).astype(np.float32))
    words: list[Any] = ["padded.onnx", "x.npy", "--windows", "exact", "--labels", "cat,dog"]
    words += ["--peaks", "p.csv", "--threshold", "-1000", "--engine", "numpy"]
    words += ["--heatmap", "h.png"]
    for chosen in (["cat"], ["dog"], ["cat", "dog"]):
        assert run(capsys, *words, *(w for c in chosen for w in ("--label", c)))[0] == 0
        assert {row["label"] for row in rows_of("p.csv")} == {*chosen}
        assert drawn.pop() == (*chosen,)
    assert run(capsys, *words)[0] == 0
    assert drawn == [None]


def test_peaks_are_looked_for_when_they_are_asked_for_or_shown(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[float] = []
    find = Scan.peaks

    def watched(scan: Scan, label: Any, threshold: float, **options: Any) -> Any:
        looked.append(threshold)
        return find(scan, label, threshold, **options)

    monkeypatch.setattr(Scan, "peaks", watched)
    words = ("faces.onnx", "photo.png", *QUICK)
    code, printed, _ = run(capsys, *words)
    assert (code, looked) == (0, [])
    assert "Peaks" not in printed
    assert json.loads(run(capsys, *words, "--json")[1])["peaks"] is None
    assert not looked
    asking = [("--peaks", "p.csv"), ("--heatmap", "h.png"), ("--report", "r.html")]
    for option, value in [*asking, ("--overlap", 0.5), ("--label", "score"), ("--threshold", 0.25)]:
        code, printed, _ = run(capsys, *words, option, value)
        assert code == 0
        assert "Peaks from" in printed
    assert looked == [*[0.5] * 5, 0.25]


@pytest.mark.parametrize("scales", ["1", "1,0.5"])
def test_the_strongest_peaks_are_kept_and_the_others_told_of(
    scales: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("faces.onnx", "photo.png", *QUICK, "--threshold", -20, "--scales", scales)
    code, printed, _ = run(capsys, *words, "--json")
    whole = json.loads(printed)
    assert (code, whole["weaker_left_out"]) == (0, False)
    assert len(whole["peaks"]) > 20
    monkeypatch.setattr(wanted, "MOST_PEAKS", 7)
    code, printed, _ = run(capsys, *words, "--json", "--peaks", "p.csv")
    few = json.loads(printed)
    assert (code, few["weaker_left_out"]) == (0, True)
    assert few["peaks"] == whole["peaks"][: len(few["peaks"])]
    assert len(rows_of("p.csv")) == len(few["peaks"])
    assert 1 <= len(few["peaks"]) <= 7
    assert "weaker ones left out" in run(capsys, *words)[1]


def test_peaks_of_several_scales_do_not_overlap(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("faces.onnx", "photo.png", *QUICK, "--threshold", -20, "--overlap", 0.1)
    found = {
        scales: [
            Peak(peak["label"], peak["score"], tuple(map(tuple, peak["box"])), tuple(peak["cell"]))
            for peak in json.loads(run(capsys, *words, "--scales", scales, "--json")[1])["peaks"]
        ]
        for scales in ("1", "0.5", "1,0.5")
    }
    assert found["1,0.5"] == merge_peaks(found["1"] + found["0.5"], 0.1)
    assert len(found["1,0.5"]) < len(found["1"]) + len(found["0.5"])


def test_a_page_whose_certificate_takes_too_much_is_refused_before_the_scan(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("faces.onnx", "photo.png", *QUICK, "--stride", 10**5)
    check_refused(capsys, folder, *words, "--out", "s.npy", "--report", "r.html", said="too large")
    assert run(capsys, *words)[0] == 0


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that is never writable")
@pytest.mark.parametrize(
    ("option", "name"), [("--peaks", "p.csv"), ("--heatmap", "h.png"), ("--report", "r.html")]
)
def test_a_file_that_cannot_be_written_is_named_before_the_scan(
    option: str,
    name: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fcconv.scanning.scan.scan", None)  # is never called
    words = ("faces.onnx", "photo.png", *QUICK, option, f"/proc/self/{name}")
    check_refused(capsys, folder, *words, said=f"can't write /proc/self/{name}")


def test_the_page_and_the_picture_of_a_file_are_chosen(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fcconv.convolutionize(small_network()).save("two.onnx")
    pages = np.random.default_rng(0).integers(-3, 4, (3, 2, 30, 30)).astype(np.float32)
    np.save("pages.npy", pages)
    given = ("two.onnx", "pages.npy", "--out", "s.npy", "--engine", "numpy", "--page", 1)
    assert run(capsys, *given, "--series", 0)[0] == 0
    expected = fcconv.scan("two.onnx", pages[1], engine="numpy").scores
    np.testing.assert_array_equal(np.load("s.npy"), expected)
    for option in ("--page", "--series"):
        assert run(capsys, "two.onnx", "pages.npy", "--page", 0, option, 3)[0] == 2


def test_a_scan_says_which_picture_was_taken(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with tifffile.TiffWriter("two.tif") as writer:
        for side in (30, 90):
            pixels = np.zeros((side, side), np.uint8)
            writer.write(pixels, photometric="minisblack", metadata=None)
    code, printed, _ = run(capsys, "faces.onnx", "two.tif", "--engine", "numpy", "--json")
    assert code == 0
    (scan,) = json.loads(printed)["scans"]
    assert scan["size"] == [90, 90]
    (note,) = scan["notes"]
    assert "series 1 of the file (90 x 90); --series takes another: 0 (30 x 30)" in note
    _, printed, _ = run(capsys, "faces.onnx", "two.tif", "--engine", "numpy")
    assert "series 1 of the file" in printed
