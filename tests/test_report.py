"""Pictures, pages and files of a scan: what they show is where and what it was."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.patches import Rectangle
from PIL import Image

import fcconv
from fcconv.demo.network import load_faces
from fcconv.errors import ArgumentError, OutputError, ShapeError
from fcconv.images.opening import open_images
from fcconv.images.scales import resized
from fcconv.report import blocks, write_heatmap, write_page, write_peaks
from fcconv.report.heatmap import draw
from fcconv.report.picture import colour_scale, colours, palette, read_heat
from fcconv.report.pixels import rgb
from fcconv.scanning.peaks import Peak
from small_scans import HOSTILE, LAYERS, make_scan, randoms

# Blocks -------------------------------------------------------------------------------------------


@given(st.data())
def test_maxima_equal_brute_force(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 3))
    cells = data.draw(st.tuples(*[st.integers(1, 9)] * rank))
    factor = data.draw(st.tuples(*[st.integers(1, 5)] * rank))
    scores = np.random.default_rng(data.draw(st.integers(0, 99))).normal(size=(3, *cells))
    scores[:, *(slice(0, 2),) * rank] = data.draw(st.sampled_from([np.nan, -np.inf, np.inf, 0.0]))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(blocks, "SCORES_PER_READ", data.draw(st.sampled_from([1, 7, 40, 10000])))
        values, offsets = blocks.maxima(scores, (), (0, 2), factor)
    for k, block in ((k, b) for k in range(2) for b in np.ndindex(*values.shape[1:])):
        corner = np.array(block) * factor
        around = tuple(slice(a, a + f) for a, f in zip(corner, factor, strict=True))
        inside = scores[2 * k][around].astype(np.float32)
        highest = np.nan if np.isnan(inside).all() else np.nanmax(inside)
        np.testing.assert_equal(values[k, *block], highest)
        cell = corner + np.unravel_index(int(offsets[k, *block]), factor)
        np.testing.assert_equal(np.float32(scores[2 * k][tuple(cell)]), highest)


def test_ranges_leave_out_what_is_no_number() -> None:
    scores = np.array([[1, np.nan, 3], [np.nan, -np.inf, np.inf]])
    low, high = blocks.ranges(scores, ())
    assert (low.tolist(), high.tolist()) == ([1, np.inf], [3, -np.inf])


def test_large_maps_are_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "SCORES_PER_READ", 1000)
    scores, largest = randoms(2, 7, 50, 60), 0

    class Reader:
        shape = scores.shape

        def __getitem__(self, index: Any) -> Any:
            nonlocal largest
            part = scores[index]
            largest = max(largest, part.size)
            return part

    scan = make_scan(Reader(), (4, 4, 4), (2, 2, 2))
    heat = read_heat(scan, None, 2, (7, 3, 3))
    assert 0 < largest <= 1000
    padded = np.pad(scores, ((0, 0), (0, 0), (0, 1), (0, 0)), constant_values=-np.inf)
    expected = padded.reshape(2, 7, 17, 3, 20, 3).max(axis=(1, 3, 5))
    np.testing.assert_array_equal(heat.values[:, 0], expected)


# Colours ------------------------------------------------------------------------------------------


def test_bytes_are_shown_as_they_are_and_other_numbers_stretched() -> None:
    image = np.arange(4 * 6, dtype=np.uint8).reshape(4, 2, 3)
    np.testing.assert_array_equal(rgb(image), image[:3].transpose(1, 2, 0))
    grey = rgb(np.array([[[-1.0, 0.0], [np.nan, 3.0]]]))
    assert grey[..., 0].tolist() == [[0, 64], [255, 255]]
    assert (grey == grey[..., :1]).all()
    assert not rgb(np.full((1, 2, 2), 7.0)).any()
    holes = np.array([[[0, np.nan, 2, 3]], [[0, 1, np.inf, 3]], [[0, 1, 2, 3]]])
    assert rgb(holes)[0].tolist() == [[0] * 3, [255] * 3, [255] * 3, [255] * 3]
    assert (rgb(np.full((1, 2, 2), np.nan)) == 255).all()
    with pytest.raises(ShapeError, match="a channel axis and 2 spatial axes"):
        rgb(image[0])


@pytest.mark.parametrize(
    ("scores", "scale"),
    [
        ([0.2, 0.9], (0, 1)),
        ([0, 1], (0, 1)),
        ([-100, -2, 5, np.nan], (-2, 5)),
        ([-100, 3, 3], (2.5, 3.5)),
    ],
)
def test_the_scale_is_that_of_probabilities_or_from_the_median_on(scores: Any, scale: Any) -> None:
    values = np.array(scores, np.float32)
    ends = float(np.nanmin(values)), float(np.nanmax(values))
    assert colour_scale(*ends, values)[:2] == scale
    assert colour_scale(np.inf, -np.inf, values[:0])[:2] == (0, 1)


def test_the_scale_does_not_end_at_a_few_scores_far_above_the_others() -> None:
    values = np.random.default_rng(0).permutation(np.arange(1001, dtype=np.float32)) - 3
    values[values > 994] = 1e30  # 3 of 1001
    low, high, words = colour_scale(-3, 1e30, values)
    assert (low, high) == (497, 992)  # 5 of 1001 are higher
    assert "percentile 99.5" in words
    values[:996] = 0  # and here nothing but a few is above the median
    low, high, words = colour_scale(0, 9, np.append(np.zeros(1000, np.float32), 9))
    assert (low, high) == (0, 9)
    assert words.endswith("to the highest score")


@pytest.mark.parametrize(
    ("scores", "places"),
    [
        ([1e20] * 3, [128] * 3),
        ([-3e38] * 3, [128] * 3),
        ([-3e38, -3e38, 3e38, 3e38], [0, 0, 255, 255]),
    ],
)
def test_scores_as_large_as_float32_holds_have_colours(scores: Any, places: Any) -> None:
    values = np.array(scores, np.float32)
    scale = colour_scale(float(values.min()), float(values.max()), values)
    np.testing.assert_array_equal(colours(values, scale), palette()[places])


@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_a_few_hot_or_dead_pixels_leave_the_others_their_contrast(dtype: str) -> None:
    image = np.arange(100 * 100).reshape(1, 100, 100).astype(dtype)
    expected = rgb(image)
    hot = image.copy()
    hot[0, 99, 60:], hot[0, 0, :40] = 32000, -32000  # 40 of 10,000 each
    shown = rgb(hot)
    assert np.abs(shown.astype(int) - expected).max() <= 1
    assert expected[0, 0, 0] == 0
    assert expected[-1, -1, 0] == 255
    assert len(np.unique(expected)) == 256


# Heatmaps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [1, 7])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_hot_window_is_where_its_centre_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int, scale: float
) -> None:
    monkeypatch.setattr("fcconv.report.heatmap.MAX_PANEL_CELLS", -(-60 // side))
    scores = np.zeros((1, 60, 45), np.float32)
    scores[0, 48, 7] = 1
    scan = make_scan(scores, (31, 19), (5, 4), scale=scale)
    dark = np.zeros((1, 20, 20), np.uint8)
    write_heatmap(tmp_path / "heat.png", scan, dark)
    with Image.open(tmp_path / "heat.png") as file:
        picture = np.asarray(file.convert("RGB")).astype(int)
    figure = draw(scan, dark)
    figure.draw_without_rendering()  # lays out
    axes = figure.axes[0]
    left, bottom, right, top = axes.get_window_extent().extents
    inside = picture[round(len(picture) - top) + 2 : round(len(picture) - bottom) - 2]
    inside = inside[:, round(left) + 2 : round(right) - 2].sum(axis=-1)
    rows, columns = np.nonzero(inside > 0.9 * inside.max())
    found = axes.transData.inverted().transform(
        (columns.mean() + left + 2.5, top - rows.mean() - 2.5)
    )
    first = (np.array([7, 48]) // side) * side  # the block of the hot window, and its last cell
    last = np.minimum(first + side, [45, 60]) - 1
    centre = ((first + last) / 2 * [4, 5] + np.array([19, 31]) / 2) / scale
    np.testing.assert_allclose(found, centre, atol=1.5 / scale)


def test_peaks_are_outlined_in_the_panel_of_their_class() -> None:
    scan = make_scan(randoms(2, 20, 30), (31, 19), (5, 4), scale=0.5)
    peaks = scan.peaks(scan.labels[1], 0.0)
    figure = draw(scan, np.zeros((1, 20, 20), np.uint8), peaks=peaks)
    first, second, *_ = figure.axes
    assert not first.patches
    boxes = {
        tuple(patch.get_bbox().extents) for patch in second.patches if isinstance(patch, Rectangle)
    }
    assert boxes == {(x.box[1][0], x.box[0][0], x.box[1][1], x.box[0][1]) for x in peaks[:20]}


def test_title_says_what_is_shown_and_whether_it_is_exact() -> None:
    scan = make_scan(randoms(9, 5, 1100), (8, 8), (2, 2), exact=False)
    figure = draw(scan, np.zeros((3, 4, 4)))
    title = figure.get_suptitle()
    assert "8 x 8 pixels, 2 apart" in title
    assert "share one pass; scores differ" in title
    assert "6 of 9 classes with the highest" in title
    assert "strongest of each 1 x 2 windows; drawn 23 times as high as it is" in title
    best = np.argsort(-scan.scores.max(axis=(1, 2)))[:6]
    names = [axes.get_title(loc="left") for axes in figure.axes[:6]]
    assert names == [f"class {k}" for k in sorted(best)]
    one = draw(make_scan(randoms(2, 3, 3), (8, 8), (2, 2), windows="crops"), np.zeros((1, 4, 4)))
    assert one.get_suptitle().endswith("by itself; every score equals that of its window, cut out")


def test_labels_choose_and_unknown_ones_are_named() -> None:
    scan, dark = make_scan(randoms(3, 4, 4), (8, 8), (2, 2)), np.zeros((1, 4, 4))
    assert draw(scan, dark, ["class 1"]).axes[0].get_title(loc="left") == "class 1"
    with pytest.raises(ArgumentError, match="no label 'cat'"):
        draw(scan, dark, ["cat"])
    with pytest.raises(ShapeError, match="2 spatial axes"):
        draw(scan, np.zeros((1, 4)))


def test_line_passes_through_the_centres_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fcconv.report.heatmap.MAX_LINE_CELLS", 20)
    scores = randoms(2, 50)
    figure = draw(make_scan(scores, (9,), (4,), ("_speech", "$\\frac")), randoms(2, 300))
    below = figure.axes[1]
    for line, row in zip(below.lines, scores, strict=True):
        x, y = np.asarray(line.get_xdata()), line.get_ydata()
        cells = np.rint((x - 4.5) / 4).astype(int)
        np.testing.assert_array_equal(x, cells * 4 + 4.5)
        np.testing.assert_array_equal(y, row[cells])
        assert (cells // 3 == np.arange(17)).all()
    legend = below.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["_speech", "$\\frac"]


@pytest.mark.parametrize("cells", [(50,), (6, 5), (3, 6, 5)])
def test_every_rank_is_drawn_with_gaps_and_hostile_names(
    tmp_path: Path, cells: tuple[int, ...]
) -> None:
    scores = randoms(1, 5, *cells)  # a batch of one
    scores[..., 1] = np.nan
    rank, labels = len(cells), (HOSTILE, "_b", "c" * 99, "d", "e")
    scan = make_scan(scores, (4,) * rank, (6,) * rank, labels)
    write_heatmap(tmp_path / "heat.png", scan, randoms(3, *cells))
    with Image.open(tmp_path / "heat.png") as file:
        assert file.size > (600, 400)


def test_scores_on_disk_are_drawn_as_those_in_memory(tmp_path: Path) -> None:
    scores, overview = randoms(3, 70, 50), randoms(3, 20, 20)
    stored = zarr.create_array(tmp_path / "y.zarr", data=scores, chunks=(3, 16, 16))
    for name, array in (("memory", scores), ("disk", stored)):
        scan = make_scan(array, (8, 8), (3, 3))
        write_heatmap(tmp_path / f"{name}.png", scan, overview)
        write_page(tmp_path / f"{name}.html", scan, overview, None, LAYERS)
    for suffix in ("png", "html"):
        disk, memory = (tmp_path / f"{name}.{suffix}" for name in ("disk", "memory"))
        assert disk.read_bytes() == memory.read_bytes()


# What a scan writes by itself --------------------------------------------------------------------


def test_a_scan_writes_what_the_functions_write(tmp_path: Path) -> None:
    image = np.random.default_rng(0).random((2, 1, 60, 90), np.float32)
    scan = fcconv.scan(load_faces(), image, stride=6, engine="numpy")
    peaks = scan.peaks("score", -99)
    scan.write_heatmap(tmp_path / "a.png", peaks=peaks)
    scan.write_page(tmp_path / "a.html", peaks=peaks)
    scan.write_peaks(tmp_path / "a.csv", peaks)
    layers = fcconv.convolutionize(load_faces()).layers
    assert layers
    write_heatmap(tmp_path / "b.png", scan, image[0], peaks=peaks)
    write_page(tmp_path / "b.html", scan, image[0], None, layers, peaks)
    write_peaks(tmp_path / "b.csv", peaks, 2)
    for suffix in ("png", "html", "csv"):
        one, two = (tmp_path / f"{name}.{suffix}" for name in "ab")
        assert one.read_bytes() == two.read_bytes()
    np.testing.assert_array_equal(scan.overview(image=1), image[1])
    np.testing.assert_array_equal(scan.overview(30, image=1), image[1][:, ::3, ::3])


def test_an_overview_that_there_is_none_of() -> None:
    scan = fcconv.scan(load_faces(), np.zeros((1, 30, 30), np.float32), engine="numpy")
    with pytest.raises(ArgumentError, match="there is no image 1"):
        scan.overview(image=1)
    for most in (0, -1, 2.5, "9"):
        with pytest.raises(ArgumentError, match="most needs an integer"):
            scan.overview(most)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="the scan knows 0"):
        make_scan(randoms(1, 5, 5), (4, 4), (2, 2)).overview()


def test_a_resized_scan_shows_the_picture_that_its_boxes_are_about() -> None:
    (image,), _ = open_images(np.random.default_rng(0).random((1, 60, 80), np.float32), 2)
    scan = fcconv.scan(load_faces(), resized(image, 0.5), engine="numpy")
    assert scan.overview().shape == (1, 60, 80)


def test_a_scan_prints_in_a_line_without_its_scores() -> None:
    text = repr(make_scan(randoms(1000, 50, 60), (8, 9), (2, 3), exact=False))
    assert "\n" not in text
    assert len(text) < 400
    for part in ("(50, 60) windows of (8, 9)", "(2, 3) apart", "(1000, 50, 60) float32",
                 "1000 classes: class 0, class 1", "not exact", "numpy"):  # fmt: skip
        assert part in text
    assert "1.7" not in text
    assert str(make_scan(randoms(1, 5), (2,), (1,))) == (
        "<Scan of (6,) samples: (5,) windows of (2,), (1,) apart; scores: y (1, 5) float32; "
        "1 class: class 0; windows shared, exact; numpy, 0.5 s>"
    )


# Peaks --------------------------------------------------------------------------------------------

PEAKS = [
    Peak(HOSTILE, 0.9, ((10.0, 35.0), (3.5, 28.5)), (1, 2)),
    Peak("b, c", 0.25, ((0.0, 25.0), (70.0, 95.0)), (0, 7)),
]


def test_geojson_holds_closed_rings_x_before_y(tmp_path: Path) -> None:
    write_peaks(tmp_path / "peaks.geojson", PEAKS, 2)
    found = json.loads((tmp_path / "peaks.geojson").read_text(encoding="utf-8"))
    assert found["type"] == "FeatureCollection"
    for feature, peak in zip(found["features"], PEAKS, strict=True):
        (ring,) = feature["geometry"]["coordinates"]
        assert feature["geometry"]["type"] == "Polygon"
        assert ring[0] == ring[-1]
        corners = {(x, y) for y in peak.box[0] for x in peak.box[1]}
        assert set(map(tuple, ring)) == corners
        steps = [np.subtract(b, a) != 0 for a, b in itertools.pairwise(ring)]
        assert all(step.sum() == 1 for step in steps)  # along the sides, not across
        about = feature["properties"]
        assert (about["objectType"], about["measurements"]) == ("annotation", {"score": peak.score})
        assert about["classification"]["name"] == peak.label
        assert all(0 <= part <= 255 for part in about["classification"]["color"])
    colours = [feature["properties"]["classification"]["color"] for feature in found["features"]]
    assert colours[0] != colours[1]


@pytest.mark.parametrize(
    ("rank", "columns"),
    [
        (1, {"start": 10.0, "length": 25.0}),
        (2, {"left": 3.5, "top": 10.0, "width": 25.0, "height": 25.0}),
        (3, {"start_0": 10.0, "start_2": 4.0, "size_0": 25.0, "size_2": 5.0}),
    ],
)
def test_csv_names_where_a_peak_is(tmp_path: Path, rank: int, columns: dict[str, float]) -> None:
    box = ((10.0, 35.0), (3.5, 28.5), (4.0, 9.0))[:rank]
    write_peaks(tmp_path / "PEAKS.CSV", [Peak(HOSTILE, 0.1 + 0.2, box, (0,) * rank)], rank)
    with (tmp_path / "PEAKS.CSV").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["label"], float(row["score"])) == (HOSTILE, 0.1 + 0.2)
    assert len(row) == 2 + 2 * rank
    assert {name: float(row[name]) for name in columns} == columns


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_a_label_is_never_a_formula_and_a_number_stays_one(tmp_path: Path, first: str) -> None:
    peaks = [
        Peak(f'{first}HYPERLINK("x")', -2.5, ((-4.0, 6.0),), (0,)),
        Peak("a=b", 1, ((0, 1),), (1,)),
    ]
    write_peaks(tmp_path / "peaks.csv", peaks, 1)
    with (tmp_path / "peaks.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert rows[0] == [f'\'{first}HYPERLINK("x")', "-2.5", "-4.0", "10.0"]
    assert rows[1][0] == "a=b"


def test_no_peaks_are_an_empty_file(tmp_path: Path) -> None:
    write_peaks(tmp_path / "none.geojson", [], 2)
    assert json.loads((tmp_path / "none.geojson").read_text())["features"] == []


@pytest.mark.parametrize(
    ("name", "rank", "score", "said"),
    [
        ("peaks.xml", 2, 0.5, r"\.geojson, \.csv, .* not to peaks\.xml"),
        ("peaks.geojson", 3, 0.5, "two axes"),
        ("peaks.geojson", 2, np.inf, "inf"),
        ("no/such/peaks.csv", 2, 0.5, "can't write"),
        ("folder.csv", 2, 0.5, "can't write"),
    ],
)
def test_what_cannot_be_written_is_named_and_leaves_nothing(
    tmp_path: Path, name: str, rank: int, score: float, said: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OutputError, match=said):
        write_peaks(tmp_path / name, [Peak("a", score, ((0, 1),) * rank, (0,) * rank)], rank)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]
