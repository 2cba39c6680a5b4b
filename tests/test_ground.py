"""Places on the ground in pixels, masks of files, and scores of all classes where peaks are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fcconv.images.coordinates import Coordinates
from fcconv.images.ground import in_pixels, on_ground
from fcconv.images.image import Image
from fcconv.images.stored import Stored
from fcconv.report import peak_list, write_peaks
from fcconv.scanning.peaks import Peak
from fcconv.scanning.result import Scan
from small_scans import make_scan, randoms

TURNED = Coordinates(("y", "x"), "m", ((3.0, -4.0, 100.0), (4.0, 3.0, 20.0)))
"""Pixels of 5 m: down is 3 m north and 4 m east, to the right 4 m south and 3 m east."""


def test_columns_and_rows_lie_at_x_and_y() -> None:
    pixels = np.array([(0.0, 0.0), (2.0, 0.0), (0.0, 1.0), (10.0, 20.0)])
    placed = on_ground(pixels, TURNED)
    np.testing.assert_array_equal(placed, [(20, 100), (26, 92), (24, 103), (130, 120)])
    np.testing.assert_allclose(in_pixels(placed, TURNED), pixels, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("entries", [1, 3], ids=["one for all", "one for each"])
def test_pixels_that_a_mask_takes_in_all_channels_have_no_value(entries: int) -> None:
    pixels = np.random.default_rng(0).integers(1, 9, (3, 20, 30), dtype=np.uint8)
    masked = np.random.default_rng(1).random((entries, 20, 30)) < 0.5
    stored = Stored((pixels,), "CHW", stamp="it", masks=(masked,))
    region = (slice(2, 19), slice(5, 25))
    for chosen in (None, (2, 0), (1,)):
        image = Image("it", stored, "CHW", (0, 0, 0), chosen=chosen, masks=stored.masks)
        found, missing = image.read_valid(region, nodata=None)
        places = list(range(3) if chosen is None else chosen)
        known = masked if entries == 1 else masked[places]
        want = np.asarray(known.all(axis=0))[region]
        np.testing.assert_array_equal(missing, want)
        np.testing.assert_array_equal(found, np.where(want, 0, pixels[places][:, *region]))


def measured(scan: Scan, peaks: list[Peak], path: Path) -> list[dict[str, float]]:
    scan.write_peaks(path, peaks)
    features = json.loads(path.read_text())["features"]
    return [feature["properties"]["measurements"] for feature in features]


def test_peaks_have_the_scores_of_all_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peak_list, "SCORES_AT_A_TIME", 12)  # parts of 2 x 2 cells
    scores: Any = randoms(3, 9, 11)
    scores[0, 4, 4] = np.nan
    scan = make_scan(scores, (4, 5), (2, 3), labels=("a", "b", "c"))
    peaks = scan.peaks(scan.labels, -9, overlap=1)
    assert len(peaks) > 20
    for peak, found in zip(peaks, measured(scan, peaks, tmp_path / "a.geojson"), strict=True):
        known = zip("abc", scores[(slice(None), *peak.cell)].tolist(), strict=True)
        finite = {name: score for name, score in known if np.isfinite(score)}
        assert found == {**finite, "score": peak.score}


def test_scores_of_another_scan_are_not_taken_for_those_of_peaks(tmp_path: Path) -> None:
    scan = make_scan(randoms(2, 9, 11), (4, 5), (2, 3))
    elsewhere = [Peak("class 0", 0.5, ((1.0, 5.0), (0.0, 5.0)), (0, 0))]
    assert measured(scan, elsewhere, tmp_path / "a.geojson") == [{"score": 0.5}]
    batch = make_scan(randoms(2, 2, 9, 11), (4, 5), (2, 3))
    here = [Peak("class 0", 0.5, ((0.0, 4.0), (0.0, 5.0)), (0, 0))]
    assert measured(batch, here, tmp_path / "a.geojson") == [{"score": 0.5}]


def test_peaks_are_written_as_they_come(tmp_path: Path) -> None:
    peaks = [Peak(f"{k % 9}", 0.5, ((k, k + 4.0), (0.0, 5.0)), (0, 0)) for k in range(10_000)]
    write_peaks(tmp_path / "a.geojson", peaks, 2)
    features: list[Any] = json.loads((tmp_path / "a.geojson").read_text())["features"]
    tops = [feature["geometry"]["coordinates"][0][0][1] for feature in features]
    assert tops == list(range(10_000))  # of blocks of 4,096, each once
    write_peaks(tmp_path / "a.geojson", [], 2)
    told = json.loads((tmp_path / "a.geojson").read_text())
    assert told == {"type": "FeatureCollection", "features": []}
