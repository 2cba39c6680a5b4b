"""Cells and pixels, the peaks of a map against brute force, and images in other sizes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import skimage as ski
from hypothesis import given
from hypothesis import strategies as st

import fcconv
from fcconv.errors import ArgumentError, ImageError, UnsupportedError
from fcconv.images import scales
from fcconv.images.image import Image
from fcconv.images.opening import open_images
from fcconv.images.scales import Resized, resized
from fcconv.scanning import peaks as finding
from fcconv.scanning import suppression
from fcconv.scanning.peaks import Peak, merge_peaks
from fcconv.scanning.result import Scan
from scan_cases import Array, cut_into, small_network
from small_scans import make_scan
from strategies import seeds

few = st.integers(1, 5)
geometries = st.lists(st.tuples(few, few, few), min_size=1, max_size=3)
"""Cells, window and stride of each axis."""


def scan_of(geometry: Sequence[tuple[int, int, int]], seed: int, levels: int = 4) -> Scan:
    """Put together a scan of two classes whose scores are often equal."""
    cells, window, stride = zip(*geometry, strict=True)
    scores = np.random.default_rng(seed).integers(0, levels, (2, *cells)).astype(np.float32)
    return make_scan(scores, window, stride, ("cat", "dog"))


# Cells and pixels -------------------------------------------------------------------------------


@given(geometry=geometries, rest=few)
def test_a_box_holds_its_own_cell_and_a_cell_lies_in_its_box(geometry: Any, rest: int) -> None:
    scan = scan_of(geometry, 0)
    for cell in np.ndindex(*scan.cells):
        box = scan.box(*cell)
        assert [part.stop - part.start for part in box] == list(scan.window)
        assert scan.within(box) == tuple(slice(i, i + 1) for i in cell)
        assert box == scan.box(*(i - n for i, n in zip(cell, scan.cells, strict=True)))
        smaller = tuple(slice(part.start + 1, part.stop) for part in box)
        assert all(part.start == part.stop for part in scan.within(smaller))
    assert scan.within(tuple(slice(None) for _ in scan.size)) == tuple(map(slice, *zip(
        *((0, n) for n in scan.cells), strict=True
    )))  # fmt: skip


@given(geometry=geometries, data=st.data())
def test_cells_within_a_box_are_those_whose_windows_lie_in_it(
    geometry: Any, data: st.DataObject
) -> None:
    scan = scan_of(geometry, 0)
    box = []
    for n in scan.size:
        start, stop = (data.draw(st.integers(-n - 2, n + 9)) for _ in range(2))
        box.append(slice(start, stop))
    found = {cell for cell in np.ndindex(*scan.cells) if _inside(scan.within(tuple(box)), cell)}
    lengths = [part.indices(n)[:2] for part, n in zip(box, scan.size, strict=True)]
    expected = {
        cell
        for cell in np.ndindex(*scan.cells)
        if all(
            a <= part.start and part.stop <= b
            for part, (a, b) in zip(scan.box(*cell), lengths, strict=True)
        )
    }
    assert found == expected


def _inside(box: tuple[slice, ...], cell: tuple[int, ...]) -> bool:
    return all(i in range(part.start, part.stop) for part, i in zip(box, cell, strict=True))


def test_cells_that_are_not_there() -> None:
    scan = scan_of([(3, 2, 1), (4, 2, 1)], 0)
    for cell in [(3, 0), (0, 4), (-4, 0), (0,), (0, 0, 0)]:
        with pytest.raises(ArgumentError, match=r"needs a cell of the map of \(3, 4\)"):
            scan.box(*cell)
    with pytest.raises(ArgumentError, match="a slice without steps for each of 2 axes"):
        scan.within((slice(3),))


# Peaks ------------------------------------------------------------------------------------------


def shared(one: Sequence[tuple[float, float]], two: Sequence[tuple[float, float]]) -> float:
    """Return the intersection of two boxes over their union."""
    both, first, second = 1.0, 1.0, 1.0
    for (a, b), (c, d) in zip(one, two, strict=True):
        both *= max(min(b, d) - max(a, c), 0)
        first, second = first * (b - a), second * (d - c)
    return both / (first + second - both)


def by_brute_force(scan: Scan, label: str, threshold: float, overlap: float) -> list[Peak]:
    scores = scan.scores[scan.labels.index(label)]
    maxima = []
    for cell in np.ndindex(*scan.cells):
        around = [
            tuple(np.add(cell, step)) for step in itertools.product((-1, 0, 1), repeat=len(cell))
        ]
        beside = {
            other: scores[other]
            for other in around
            if all(0 <= i < n for i, n in zip(other, scan.cells))  # noqa: B905
        }
        first = all(score < scores[cell] for other, score in beside.items() if other < cell)
        if scores[cell] >= max(threshold, *beside.values()) and first:
            box = tuple((p.start / scan.scale, p.stop / scan.scale) for p in scan.box(*cell))
            maxima.append(Peak(label, float(scores[cell]), box, cell))
    kept: list[Peak] = []
    for peak in sorted(maxima, key=lambda peak: (-peak.score, peak.cell)):
        if all(shared(peak.box, stronger.box) <= overlap for stronger in kept):
            kept.append(peak)
    return kept


def test_peaks_that_overlap_a_little_are_both_kept() -> None:
    scores = np.array([[0, 0, 0, 0, 0], [9, 0, 0, 8, 0]], np.float32)
    scan = make_scan(scores, (4,), (1,), ("cat", "dog"))  # boxes 0 to 4 and 3 to 7 share 1 of 7
    assert [peak.cell for peak in scan.peaks("dog", 1, overlap=1 / 7)] == [(0,), (3,)]
    assert [peak.cell for peak in scan.peaks("dog", 1, overlap=0)] == [(0,)]


@given(
    geometry=geometries, seed=seeds, levels=st.integers(2, 40), block=st.integers(1, 40),
    threshold=st.integers(-1, 20), overlap=st.sampled_from([0, 0.2, 1 / 3, 0.5, 1]),
)  # fmt: skip
def test_peaks_equal_those_of_brute_force(
    geometry: Any, seed: int, levels: int, block: int, threshold: int, overlap: float
) -> None:
    scan = scan_of(geometry, seed, levels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finding, "BLOCK_SCORES", block)
        found = scan.peaks("dog", threshold, overlap=overlap)
    expected = by_brute_force(scan, "dog", threshold, overlap)
    assert sorted(found, key=lambda peak: (-peak.score, peak.cell)) == expected
    assert [peak.score for peak in found] == sorted((p.score for p in found), reverse=True)
    assert found == merge_peaks(found, overlap)
    assert scan.peaks(1, threshold, overlap=overlap)[:1] == found[:1]


@given(
    geometry=geometries, seed=seeds, block=st.integers(1, 60), most=st.integers(0, 9),
    overlap=st.sampled_from([0, 0.3, 1]), batch=st.booleans(),
)  # fmt: skip
def test_classes_together_have_the_peaks_of_each(
    geometry: Any, seed: int, block: int, most: int, overlap: float, batch: bool
) -> None:
    cells, window, stride = zip(*geometry, strict=True)
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 9, (*((2,) * batch), 4, *cells)).astype(np.float32)
    scan = make_scan(scores, window, stride)
    names: list[int | str] = ["class 3", "class 0", 1]
    image = int(batch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finding, "BLOCK_SCORES", block)
        found = scan.peaks(names, 2, overlap=overlap, image=image)
        strongest = scan.peaks(names, 2, overlap=overlap, image=image, most=most)
    maps = scores[image] if batch else scores
    single = make_scan(maps, window, stride)
    expected = [p for k in (0, 1, 3) for p in by_brute_force(single, f"class {k}", 2, overlap)]
    assert found == sorted(expected, key=lambda peak: -peak.score)
    assert strongest == found[:most]


@given(geometry=geometries, seed=seeds, block=st.integers(1, 60))
def test_cells_without_a_score_are_no_peaks_and_hide_none(
    geometry: Any, seed: int, block: int
) -> None:
    scan = scan_of(geometry, seed, 9)
    scores = scan.scores
    scores[np.random.default_rng(seed + 1).random(scores.shape) < 0.3] = np.nan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finding, "BLOCK_SCORES", block)
        found = scan.peaks("dog", 1)
    lowest = make_scan(np.nan_to_num(scores, nan=-9), scan.window, scan.stride, scan.labels)
    assert found == by_brute_force(lowest, "dog", 1, 0.3)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float16", "float64"])
def test_scores_of_any_type_have_peaks(dtype: str) -> None:
    scores = np.random.default_rng(0).integers(0, 200, (1, 12, 13)).astype(dtype)
    scores[0, 0, 0] = 0
    scan = make_scan(scores, (4, 4), (1, 1), ("a",))
    assert scan.peaks("a", 0) == by_brute_force(scan, "a", 0, 0.3)


@given(seed=seeds, overlap=st.sampled_from([0, 0.2, 0.5, 0.9, 1]), pairs=st.integers(1, 99))
def test_merged_peaks_of_several_scales_equal_brute_force(
    seed: int, overlap: float, pairs: int
) -> None:
    scales = (1.0, 0.5, 0.3)
    rng = np.random.default_rng(seed)
    scans = [
        make_scan(rng.integers(0, 30, (1, n, n)), (6, 8), (3, 2), ("a",), scale=scale)
        for n, scale in zip((12, 6, 4), scales, strict=True)
    ]
    peaks = [peak for scan in scans for peak in scan.peaks("a", 3, overlap=overlap)]
    expected: list[Peak] = []
    for peak in sorted(peaks, key=lambda peak: -peak.score):
        if all(shared(peak.box, stronger.box) <= overlap for stronger in expected):
            expected.append(peak)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suppression, "MAX_PAIRS", pairs)
        assert merge_peaks(peaks, overlap) == expected


def test_progress_goes_from_0_to_1() -> None:
    parts: list[float] = []
    scan_of([(40, 5, 2), (30, 5, 2)], 0, 1000).peaks(["cat", "dog"], 0, progress=parts.append)
    assert parts == sorted(parts)
    assert parts[0] > 0
    assert parts[-1] == 1


def test_peaks_lie_in_the_picture_that_was_resized() -> None:
    scores = np.zeros((1, 4, 5), np.float32)
    scores[0, 1, 2] = 3
    small = make_scan(scores, (6, 8), (2, 4), ("a",), scale=0.5)
    assert small.peaks("a", 1) == [Peak("a", 3.0, ((4.0, 16.0), (16.0, 32.0)), (1, 2))]
    large = make_scan(scores, (6, 8), (2, 4), ("a",), scale=2.0)
    (peak,) = large.peaks("a", 1)
    assert peak.box == ((1.0, 4.0), (4.0, 8.0))
    assert merge_peaks([peak, *small.peaks("a", 1)], 1) == [peak, *small.peaks("a", 1)]


def test_merged_peaks_are_the_strongest() -> None:
    peaks = [
        Peak("a", score, ((left, left + 10.0),), (0,))
        for score, left in [(1, 0.0), (3, 4.0), (2, 8.0), (2, 30.0), (3, 31.0)]
    ]
    assert merge_peaks([], 0.3) == []
    assert [p.box[0][0] for p in merge_peaks(peaks, 0.3)] == [4, 31]
    assert [p.box[0][0] for p in merge_peaks(peaks, 0.5)] == [4, 31, 8, 0]
    assert [p.score for p in merge_peaks(peaks, 1)] == [3, 3, 2, 2, 1]


def test_peaks_that_are_asked_for_wrongly() -> None:
    scan = scan_of([(3, 2, 1)], 0)
    wrong: list[Any] = ["cow", 2, -1, ["cat", "cow"], [1.5]]
    for label in wrong:
        with pytest.raises(ArgumentError, match="there is no label"):
            scan.peaks(label, 0)
    for overlap in (-0.1, 1.1, np.nan):
        with pytest.raises(ArgumentError, match="overlap is a part"):
            scan.peaks(0, 0, overlap=overlap)
    with pytest.raises(ArgumentError, match="there is no image 1"):
        scan.peaks(0, 0, image=1)
    with pytest.raises(ArgumentError, match="threshold"):
        scan.peaks(0, np.nan)
    for most in (-1, 1.5, "2"):
        with pytest.raises(ArgumentError, match="most needs an integer"):
            scan.peaks(0, 0, most=most)  # type: ignore[arg-type]
    assert scan.peaks([], 0) == []


# Other sizes ------------------------------------------------------------------------------------


def opened(pixels: Any) -> Image:
    [image], _ = open_images(pixels, 2)
    return image


def whole_of(image: Resized) -> Array:
    return image.read_valid(tuple(slice(0, n) for n in image.size), None)[0]


PHOTO = np.ascontiguousarray(ski.data.astronaut()[:301, 100:333].transpose(2, 0, 1))


@pytest.mark.parametrize("scale", [0.1, 0.25, 1 / 3, 0.5, 0.77, 1, 1.3, 2, 3.7])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_resized_equals_pillow(scale: float, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the whole and of each region; Pillow holds where these begin as float32."""
    monkeypatch.setattr(scales, "BAND_PIXELS", 2**13)  # several bands a region
    pixels = PHOTO.astype(dtype)
    image = resized(opened(pixels), scale)
    assert image.size == tuple(max(int(n * scale + 1e-9), 1) for n in PHOTO.shape[1:])
    high, wide = (min(m / scale, n) for m, n in zip(image.size, PHOTO.shape[1:], strict=True))
    expected = np.stack(
        [
            np.asarray(
                PIL.Image.fromarray(plane.astype(np.float32)).resize(
                    (image.size[1], image.size[0]),
                    PIL.Image.Resampling.BILINEAR,
                    (0, 0, wide, high),
                )
            )
            for plane in pixels
        ]
    )
    misplaced = 2 * 2.0**-23 * max(PHOTO.shape)  # pixels, at both ends of a region
    difference = 255 * misplaced + (0.5 if dtype == "uint8" else 0)
    whole = whole_of(image)
    assert whole.dtype == dtype
    assert np.abs(whole.astype(np.float64) - expected).max() <= difference
    rng = np.random.default_rng(0)
    for _ in range(10):
        starts = [int(rng.integers(0, n)) for n in image.size]
        stops = [int(rng.integers(a, n)) + 1 for a, n in zip(starts, image.size, strict=True)]
        region = tuple(map(slice, starts, stops))
        part, _ = image.read_valid(region, None)
        there = (slice(None), *region)
        assert np.abs(part.astype(np.float64) - expected[there]).max() <= difference
        assert (part == whole[there]).mean() > (0.99 if dtype == "uint8" else 0)


def test_resized_by_1_is_the_image() -> None:
    assert np.array_equal(whole_of(resized(opened(PHOTO), 1)), PHOTO)


@pytest.mark.parametrize("scale", [0, -1, np.nan, np.inf, 17, 1e-9])
def test_sizes_that_make_no_sense(scale: float) -> None:
    with pytest.raises(ImageError, match="a scale lies between"):
        resized(opened(PHOTO), scale)


def test_only_pictures_are_resized(tmp_path: Path) -> None:
    [volume], _ = open_images(np.zeros((1, 5, 5, 5), np.float32), 3)
    with pytest.raises(UnsupportedError, match="two axes"):
        resized(volume, 0.5)


def test_a_resized_image_is_another() -> None:
    names = {resized(opened(PHOTO), scale).identity() for scale in (0.5, 0.25, 0.2500001, 1)}
    assert len(names | {opened(PHOTO).identity()}) == 5


def test_resized_images_are_scanned_in_tiles() -> None:
    image = resized(opened(PHOTO[:2].astype(np.float32)), 0.3)
    network = small_network()
    whole = fcconv.scan(network, image, engine="numpy")
    with cut_into(9):
        tiles = fcconv.scan(network, image, engine="numpy")
    assert tiles.tiles >= 9
    assert whole.scale == tiles.scale == 0.3
    assert whole.scores.shape == tiles.scores.shape
