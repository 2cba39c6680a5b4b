"""Windows are scored where they are wanted, in a region or a mask, and nothing else is read."""

from __future__ import annotations

import functools
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

import fcconv
from comparing import assert_identical
from fcconv.cli import app
from fcconv.errors import ArgumentError, FcconvError, OutputError, UnsupportedError
from fcconv.report.heatmap import draw
from fcconv.scanning import polygons
from fcconv.scanning.network import Network, as_network
from fcconv.scanning.saved import open_scan
from scan_cases import Array, Recording, cut_into, integer_network, picture, small_network
from score_files import tree
from small_scans import make_scan
from strategies import seeds

NETWORK = small_network()
SIZE = picture().shape[1:]


@functools.cache
def network_of(stride: int, windows: str) -> Network:
    """Make a network that pads slide; once, as it takes longer than to scan."""
    return as_network(small_network(pad=1), stride, windows=windows)


def with_some(found: fcconv.Scan, whole: fcconv.Scan, wanted: Array) -> None:
    """Check that the cells that are wanted have their scores, and others none."""
    assert wanted.sum() > 0
    assert found.outside == wanted.size - wanted.sum()
    assert found.unscored == 0
    for name, scores in found.outputs.items():
        expected = np.where(wanted, whole.outputs[name], np.nan)
        assert_identical(scores[...], expected.astype(scores.dtype), name)


def centred(found: fcconv.Scan, holds: Callable[[float, float], bool]) -> Array:
    """Look at the centres of windows one by one."""
    wanted = np.zeros(found.cells, bool)
    for cell in np.ndindex(*found.cells):
        y, x = ((part.start + part.stop) / 2 / found.scale for part in found.box(*cell))
        wanted[cell] = holds(y, x)
    return wanted


@given(
    corner=st.tuples(seeds, seeds),
    tiles=st.integers(1, 9),
    stride=st.sampled_from([2, 4, 9]),
    windows=st.sampled_from(["shared", "exact", "crops"]),
)
def test_windows_inside_a_region_are_scored(
    corner: Any, tiles: int, stride: int, windows: str
) -> None:
    starts = [n % (size - 14) for n, size in zip(corner, SIZE, strict=True)]
    stops = [a + 16 + n % 5 for a, n in zip(starts, corner, strict=True)]  # may leave the image
    region = tuple(slice(a, min(b, n)) for a, b, n in zip(starts, stops, SIZE, strict=True))
    plain: dict[str, Any] = {"engine": "numpy", "windows": windows}
    network: Any = network_of(stride, windows)
    with cut_into(tiles):
        whole = fcconv.scan(network, picture(), **plain)
        wanted = np.zeros(whole.cells, bool)
        wanted[whole.within(region)] = True
        if not wanted.any():
            with pytest.raises(ArgumentError, match="holds no window of"):
                fcconv.scan(network, picture(), region=region, **plain)
            return
        with_some(fcconv.scan(network, picture(), region=region, **plain), whole, wanted)


@given(
    shape=st.sampled_from([SIZE, (9, 11), (3, 4), (54, 66), (100, 123)]),
    seed=seeds,
    tiles=st.integers(1, 9),
    stride=st.sampled_from([2, 4, 9]),
)
def test_a_picture_of_any_resolution_marks_windows(
    shape: tuple[int, int], seed: int, tiles: int, stride: int
) -> None:
    mask = np.random.default_rng(seed).choice(np.array([0, 3, 0.5, np.nan]), shape)
    plain: dict[str, Any] = {"engine": "numpy", "windows": "shared"}
    network: Any = network_of(stride, "shared")
    whole = fcconv.scan(network, picture(), **plain)

    def marked(y: float, x: float) -> bool:
        return bool(mask[int(y * shape[0] / SIZE[0]), int(x * shape[1] / SIZE[1])] > 0)

    wanted = centred(whole, marked)
    if wanted.any():
        with cut_into(tiles):
            with_some(fcconv.scan(network, picture(), mask=mask, **plain), whole, wanted)


def polygon(*rings: list[tuple[float, float]]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]] for ring in rings]}


RING = polygon([(2, 4), (30, 4), (30, 20.3), (2, 20.3)], [(9, 8), (20, 8), (20, 15), (9, 15)])
WEDGE = polygon([(10, 9), (19, 9), (10, 14)])  # in the hole of the ring
FORMS: dict[str, Any] = {
    "features": {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "geometry": g, "properties": {}} for g in (RING, WEDGE)],
    },
    "a list": [{"type": "Feature", "geometry": g} for g in (RING, WEDGE, None)],
    "geometries": {
        "type": "GeometryCollection",
        "geometries": [RING, WEDGE, {"type": "Point", "coordinates": [1, 1]}],
    },
    "a multi-polygon": {
        "type": "MultiPolygon",
        "coordinates": [RING["coordinates"], WEDGE["coordinates"]],
    },
}


@pytest.mark.parametrize("few", [4, 1024])
@pytest.mark.parametrize("name", FORMS)
def test_polygons_hold_windows(
    name: str, few: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polygons, "FEW_POINTS", few)
    path = tmp_path / "areas.geojson"
    # editors on Windows begin a file with a mark of its encoding
    path.write_text(json.dumps(FORMS[name]), encoding="utf-8-sig" if few == 4 else "utf-8")

    def holds(y: float, x: float) -> bool:
        ring = 2 <= x <= 30 and 4 <= y <= 20.3 and not (9 < x < 20 and 8 < y < 15)
        return ring or (x >= 10 and y >= 9 and 5 * (x - 10) + 9 * (y - 9) <= 45)

    plain: dict[str, Any] = {"stride": 2, "engine": "numpy"}
    whole = fcconv.scan(NETWORK, picture(), **plain)
    with cut_into(6):
        found = fcconv.scan(NETWORK, picture(), mask=path, **plain)
    with_some(found, whole, centred(whole, holds))
    area = 28 * 16.3 - 11 * 7 + 9 * 5 / 2
    assert f"{100 * area / (SIZE[0] * SIZE[1]):.3g} % of the image" in found.notes[0]


def tissue(rows: int, columns: int) -> Array:
    """Draw a slide: white, on which a corner is pink."""
    slide = np.full((rows, columns, 3), 240, np.uint8)
    slide[: rows // 3, : columns // 3] = (200, 120, 170)
    return slide


def test_tissue_is_what_is_saturated() -> None:
    slide = np.moveaxis(tissue(90, 120), -1, 0)
    plain: dict[str, Any] = {"stride": 4, "engine": "numpy"}
    plain |= {"preparation": fcconv.Preparation(gray=True)}
    network = fcconv.convolutionize(small_network(layout="none"))
    whole = fcconv.scan(network, slide, **plain)
    found = fcconv.scan(network, slide, mask="tissue", **plain)
    wanted = centred(whole, lambda y, x: y < 30 and x < 40)
    wanted[7, 9] = False  # of the corner the median is white
    with_some(found, whole, wanted)
    assert found.notes[0].startswith("tissue: saturation above 0.00 (Otsu's threshold), 90 x 120")
    assert "% of the image; windows with their centre outside were not scored" in found.notes[0]


def test_scales_have_the_same_mask_and_region(tmp_path: Path, capsys: Any) -> None:
    image = picture()
    np.save(tmp_path / "image.npy", image)
    fcconv.convolutionize(NETWORK).save(tmp_path / "net.onnx")
    mask = np.zeros((27, 33), np.uint8)
    mask[:18, :20] = 1
    PIL.Image.fromarray(mask).save(tmp_path / "mask.png")
    words = ["scan", f"{tmp_path}/net.onnx", f"{tmp_path}/image.npy", "--scales", "1,0.5"]
    words += ["--mask", f"{tmp_path}/mask.png", "--region", "1:26,2:"]
    words += ["--out", f"{tmp_path}/s.npy", "--engine", "numpy", "--json"]
    assert app.run(words) == 0
    told = json.loads(capsys.readouterr().out)["scans"]
    for scale, scan in zip(("1", "0.5"), told, strict=True):
        opened = open_scan(tmp_path / f"s-{scale}.npy", tmp_path / "image.npy")
        wanted = centred(opened, lambda y, x: y < 18 and x < 20)
        for cell in np.ndindex(*wanted.shape):
            (top, bottom), (left, right) = (
                (part.start / opened.scale, part.stop / opened.scale) for part in opened.box(*cell)
            )
            wanted[cell] &= top >= 1 and bottom <= 26 and left >= 2 and right <= 33
        assert_identical(~np.isnan(opened.scores[0]), wanted, scale)
        assert opened.outside == scan["outside"] == wanted.size - wanted.sum()
        assert [note.split(":")[0] for note in opened.notes] == [
            "region 1 to 26 x 2 to 33",
            "mask mask.png, 27 x 33 pixels",
        ]


def test_tiles_without_a_wanted_window_are_not_read() -> None:
    image, mask = picture(), np.zeros((27, 33), bool)
    mask[:9, :9] = True
    seen = Recording(image)
    with cut_into(9):
        found = fcconv.scan(NETWORK, seen, stride=2, engine="numpy", mask=mask)
    assert (len(seen.reads), found.tiles, found.computed) == (1, 9, 1)


def test_pixels_without_a_value_are_counted_apart() -> None:
    image = picture()
    image[:, 5, 5], image[:, 20, 25] = np.nan, np.nan
    mask = np.zeros((27, 33), bool)
    mask[:12] = True
    with cut_into(4):
        found = fcconv.scan(NETWORK, image, stride=2, engine="numpy", mask=mask)
        without = fcconv.scan(NETWORK, image, stride=2, engine="numpy")
    outside = ~centred(found, lambda y, x: y < 12)
    holes = np.isnan(without.scores[0])
    assert (outside & holes).any()
    assert found.outside == outside.sum()
    assert found.unscored == (holes & ~outside).sum()
    assert_identical(np.isnan(found.scores[0]), holes | outside, "both")


@pytest.mark.parametrize("suffix", [".zarr", ".npy"])
def test_the_store_tells_the_selection(suffix: str, tmp_path: Path) -> None:
    mask, other = np.tri(27, 33, dtype=bool), np.tri(27, 33, k=-1, dtype=bool)
    given: dict[str, Any] = {"network": NETWORK, "image": picture(), "engine": "numpy"}
    given |= {"out": tmp_path / f"x{suffix}"}
    region = (slice(0, 27), slice(4, 33))
    with cut_into(9):
        first = fcconv.scan(**given, mask=mask, region=region)
    assert 0 < first.computed < first.tiles
    changed: list[dict[str, Any]] = [{}, {"mask": mask}, {"region": region}]
    changed += [{"mask": other, "region": region}]
    for places in changed:
        with pytest.raises(OutputError, match=r"is of another run: its (mask|region) is"):
            fcconv.scan(**given, **places, existing="resume")
    again = fcconv.scan(**given, mask=mask, region=region, existing="resume")
    opened = open_scan(given["out"], picture())
    assert (again.computed, first.outside) == (0, again.outside) == (0, opened.outside)
    for scan in (again, opened):
        assert_identical(scan.scores[...], first.scores[...], suffix)
    assert first.notes == opened.notes


def refusals(folder: Path) -> dict[str, tuple[dict[str, Any], str]]:
    """Name masks and regions of an image of 2 x 27 x 33 that are none, and what is said of them."""
    (folder / "text.geojson").write_text("no JSON")
    (folder / "odd.geojson").write_text('{"type": "Polygon", "coordinates": [[1, 2]]}')
    nowhere = polygon([(0, 0), (math.nan, 0), (9, 9)])
    (folder / "nan.geojson").write_text(json.dumps(nowhere))
    (folder / "none.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    far = polygon([(100, 100), (200, 100), (200, 200)])
    (folder / "far.geojson").write_text(json.dumps(far))
    np.save(folder / "dark.npy", np.zeros((27, 33), bool))
    np.save(folder / "long.npy", np.ones((20, 33), bool))
    centre = "holds the centre of no window"
    box = slice(0, 20)
    return {
        "no file": ({"mask": folder / "no.png"}, r"mask \(--mask\): .*no.png does not exist"),
        "no polygons": ({"mask": folder / "no.geojson"}, r"no.geojson can't be read: No such"),
        "no suffix": ({"mask": folder / "x.txt"}, r"mask \(--mask\): .*x.txt does not exist"),
        "no JSON": ({"mask": folder / "text.geojson"}, r"is not GeoJSON, or damaged \(Expecting"),
        "no ring": ({"mask": folder / "odd.geojson"}, "is not GeoJSON, or damaged"),
        "no number": ({"mask": folder / "nan.geojson"}, "damaged .a corner is no finite number"),
        "no areas": ({"mask": folder / "none.geojson"}, "holds no polygon: export areas"),
        "far away": ({"mask": folder / "far.geojson"}, centre),
        "nothing marked": ({"mask": folder / "dark.npy"}, centre),
        "another shape": ({"mask": folder / "long.npy"}, "has not the proportions of the image of"),
        "no colours": (
            {"mask": "tissue"},
            "has 2 channels, not red, green and blue: give the file",
        ),
        "a number": ({"mask": 7}, r"mask \(--mask\): an image is an array or the path"),
        "outside": ({"region": (box, slice(30, 40))}, "has 30:40 along an axis of 33 pixels: give"),
        "negative": ({"region": (slice(-5, None), box)}, "has -5: along an axis of 27 pixels"),
        "backwards": ({"region": (slice(9, 3), box)}, "has 9:3 along an axis of 27 pixels"),
        "one axis": ({"region": (box,)}, "needs a slice of pixels for each of 2 axes"),
        "no slices": ({"region": 5}, "needs a slice of pixels for each of 2 axes, got 5"),
        "steps": ({"region": (slice(0, 20, 2), box)}, "without steps"),
        "small": ({"region": (slice(0, 5), box)}, "of 5 x 20 pixels holds no window of 7 x 8"),
        "both": (
            {"mask": np.eye(27, 33, dtype=bool), "region": (slice(0, 8), slice(20, 33))},
            rf"in the region, {centre}",
        ),
    }


def test_what_is_no_mask_or_region_is_refused(tmp_path: Path) -> None:
    found = refusals(tmp_path)
    for places, said in found.values():
        with pytest.raises(FcconvError, match=said) as raised:
            fcconv.scan(NETWORK, picture(), engine="numpy", out=tmp_path / "x.npy", **places)
        assert "\n" not in str(raised.value)
    assert not (tmp_path / "x.npy").exists()
    with pytest.raises(UnsupportedError, match="over the two axes of a picture, array has 1"):
        fcconv.scan(small_network(1), picture(1), mask=np.ones(90))
    with pytest.raises(ArgumentError, match="'whole' are int32, which has no NaN to say so"):
        fcconv.scan(integer_network(), picture(), mask=np.ones((27, 33)))
    three: Array = np.zeros((3, 3, 30, 30), np.uint8)
    given: dict[str, Any] = {"preparation": fcconv.Preparation(gray=True), "mask": "tissue"}
    three[..., :9] = np.array([9, 0, 0])[:, None, None]
    with pytest.raises(UnsupportedError, match="is that of one image, here are 3: page"):
        fcconv.scan(small_network(layout="none"), three, **given)
    one = fcconv.scan(small_network(1), picture(1), region=(slice(10, 60),), engine="numpy")
    assert one.outside == one.cells[0] - (60 - 11 - 10) // 2 - 1


@pytest.mark.parametrize("missing", ["shapely", "skimage.filters"])
def test_a_missing_library_is_named_with_its_pip_line(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    mask: Any = "tissue"
    if missing == "shapely":
        mask = tmp_path / "a.geojson"
        mask.write_text(json.dumps(RING))
    with pytest.raises(
        fcconv.BackendError, match=r"is not installed: pip install 'fcconv\[mask\]'"
    ):
        fcconv.scan(NETWORK, picture(), mask=mask)


NONSENSE = {
    "--region": ["1", "a:b,1:2", "0:20", "", "0:20,0:99", "5:2,0:20", "0:5,0:5"],
    "--mask": ["no.png", "text.txt", "net.onnx", "tissue", "wide.png", "", "."],
}


@pytest.mark.parametrize(("option", "value"), [(o, v) for o in NONSENSE for v in NONSENSE[o]])
def test_the_command_line_refuses_nonsense_in_one_line(
    option: str,
    value: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    fcconv.convolutionize(NETWORK).save("net.onnx")
    np.save("image.npy", picture())
    Path("text.txt").write_text("no mask")
    PIL.Image.fromarray(np.ones((9, 90), np.uint8)).save("wide.png")
    before = tree(tmp_path)
    words = ["scan", "net.onnx", "image.npy", "--engine", "numpy", "--out", "s.zarr"]
    assert app.run([*words, option, value]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert option in printed.err
    assert tree(tmp_path) == before


def test_the_command_line_says_what_was_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fcconv.convolutionize(small_network(layout="none")).save("net.onnx")
    tifffile.imwrite("slide.tif", tissue(90, 120), photometric="rgb")
    words = ["scan", "net.onnx", "slide.tif", "--engine", "numpy", "--gray"]
    assert app.run([*words, "--mask", "tissue", "--heatmap", "h.png", "--report", "r.html"]) == 0
    printed = capsys.readouterr().out
    outside = int(printed.split(" windows, not asked for")[0].split()[-1].replace(",", ""))
    assert "Otsu's threshold" in printed
    assert app.run([*words, "--mask", "none", "--json"]) == 0
    (whole,) = json.loads(capsys.readouterr().out)["scans"]
    assert whole["outside"] == 0
    page = Path("r.html").read_text()
    assert "Otsu&#39;s threshold" in page
    assert "<dt>Not asked for</dt>" in page
    scored = int(page.split(" windows scored")[0].split("<h1>")[1].replace(",", ""))
    assert scored == whole["cells"][0] * whole["cells"][1] - outside
    opened = make_scan(np.zeros((1, 9, 9), np.float32), (8, 8), (4, 4), outside=5)
    title = draw(opened, np.zeros((1, 40, 40))).get_suptitle()
    assert "Clear: 5 windows that were not asked for" in title
