"""The page of a scan: what is in the file, and how large it is."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fcconv.errors import ShapeError
from fcconv.report import page_data, write_page
from fcconv.report.blocks import block_factors
from small_scans import HOSTILE, LAYERS, make_scan, randoms


def test_page_needs_nothing_else_and_shows_hostile_names_as_text(tmp_path: Path) -> None:
    scan = make_scan(
        randoms(2, 6, 5), (8, 8), (3, 3), (HOSTILE, "b"), exact=False, reasons=(HOSTILE,)
    )
    write_page(tmp_path / "page.html", scan, randoms(3, 20, 20), None, LAYERS)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"base64,[^\"]*", "", text))
    assert text.count("</script>") == 2
    assert "<b id" not in text
    assert "fc<1>" not in text
    assert "fc&lt;1&gt;" in text
    embedded = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert embedded is not None
    data = json.loads(embedded[1])
    assert data["classes"][0]["name"] == HOSTILE


def test_a_page_tells_what_was_decided_about_the_file(tmp_path: Path) -> None:
    notes = ("series 2 of 4 is taken", HOSTILE)
    scan = make_scan(randoms(2, 6, 5), (8, 8), (3, 3), notes=notes)
    write_page(tmp_path / "page.html", scan, randoms(3, 20, 20), None, LAYERS)
    told = re.findall(r"<dt>Note</dt><dd>(.*?)</dd>", (tmp_path / "page.html").read_text("utf-8"))
    assert tuple(map(html.unescape, told)) == notes


def test_the_class_of_the_strongest_peak_is_shown_first(tmp_path: Path) -> None:
    scores = randoms(2, 6, 5)
    scores[0] += 10  # a background, as it is in most windows
    scan = make_scan(scores, (8, 8), (3, 3), ("background", "cell"))
    for peaks, first in (([], "0"), (scan.peaks("cell", float(scores[1].max())), "1")):
        write_page(tmp_path / "page.html", scan, randoms(3, 20, 20), None, LAYERS, peaks)
        text = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert re.findall(r'value="(\d)"\s+checked', text) == [first]


def test_page_stays_small(tmp_path: Path) -> None:
    scan = make_scan(randoms(14, 400, 300), (8, 8), (3, 3))
    noise = np.random.default_rng(0).integers(0, 256, (3, 900, 900), np.uint8)
    write_page(tmp_path / "page.html", scan, noise, None, LAYERS)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(text) < 6e6
    assert "These are the 12 of 14 classes" in text
    assert "blocks of 2 x 2 windows" in text
    volume = make_scan(randoms(1, 5, 5, 5), (2, 2, 2), (1, 1, 1))
    with pytest.raises(ShapeError, match="one or two axes"):
        write_page(tmp_path / "page.html", volume, noise[None], None, [])


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 12))
@example(51, 1765, 1)
@example(1, 360_000, 1)
@example(360_000, 3, 12)
def test_blocks_of_a_page_are_as_small_as_fits(rows: int, columns: int, classes: int) -> None:
    side = page_data.block_side((rows, columns), classes)

    def fits(side: int) -> bool:
        factors = block_factors((rows, columns), side)
        down, right = (-(-n // f) for n, f in zip((rows, columns), factors, strict=True))
        written = down * right * classes * (8 if side > 1 else 4)
        small = max(down, right) <= page_data.MAX_CANVAS
        return (
            small
            and down * right <= page_data.MAX_CLASS_CELLS
            and written <= page_data.MAX_SCORE_BYTES
        )

    assert fits(side)
    assert side == 1 or not fits(side - 1)
