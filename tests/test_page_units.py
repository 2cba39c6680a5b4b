"""Pages of pictures in a browser: strips, scale bars, and where windows reach into padding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from browsing import Page, centre, complaints
from fcconv.images.coordinates import Coordinates, spaced
from small_scans import make_scan, randoms


@pytest.mark.parametrize("turned", [False, True])
def test_a_strip_fills_the_stage_and_is_zoomed_along_first(
    browser: webdriver.Chrome, tmp_path: Path, turned: bool
) -> None:
    scores = randoms(1, 1, 900)
    scan = make_scan(scores.transpose(0, 2, 1) if turned else scores, (27, 27), (40, 40))
    opened = Page(browser, tmp_path / "page.html", scan)
    whole = opened.area(opened.stage)[2:]
    assert (whole >= 200).all()
    for number in (3, 450, 899):
        cell = (number, 0) if turned else (0, number)
        opened.point(*centre(scan, *cell))
        read = opened.text("cell").split(", ")[0 if turned else 1]
        assert abs(int(read.split()[1]) - number) <= 2  # a pixel of the screen is a window or more
    view = opened.stage.find_element(By.ID, "view")
    opened.zoom(2)
    np.testing.assert_allclose(opened.area(view)[2:] / whole, (4, 1) if turned else (1, 4))
    opened.zoom(12)
    across, along = sorted(opened.area(view)[2:] / scan.size)
    assert along == pytest.approx(across, rel=1e-3)  # pixels are squares by now
    assert across > 4 * min(whole / scan.size)
    assert complaints(browser) == []


@pytest.mark.parametrize("zoomed", [0, 3])
def test_a_scale_bar_is_round_and_follows_the_zoom(
    browser: webdriver.Chrome, tmp_path: Path, zoomed: int
) -> None:
    ground = Coordinates(("east", "north"), "m", ((3.0, 8.0, 500_000.0), (4.0, -6.0, 80_000.0)))
    scan = make_scan(randoms(1, 40, 30), (25, 19), (5, 4), coordinates=ground)
    opened = Page(browser, tmp_path / "page.html", scan)
    opened.zoom(zoomed)
    number, unit = opened.text("ruler").split()
    metres = float(number) * {"m": 1, "km": 1000}[unit]
    assert str(metres).strip("0.") in {"1", "2", "5"}
    bar = opened.area(opened.stage.find_element(By.CSS_SELECTOR, "#ruler i"))[3]
    shown = opened.area(opened.stage.find_element(By.ID, "view"))[3] / scan.size[1]
    assert bar == pytest.approx(metres / 10 * shown, abs=0.1)  # a column is 10 m from the next
    assert 0.1 < bar / opened.area(opened.stage)[3] < 0.35


def test_places_are_read_in_units(browser: webdriver.Chrome, tmp_path: Path) -> None:
    slide = spaced((0.25, 0.5), "µm", ("y", "x"), first=(100.0, -3.0))
    scan = make_scan(randoms(1, 40, 30), (25, 19), (5, 4), coordinates=slide)
    opened = Page(browser, tmp_path / "page.html", scan)
    opened.point(*centre(scan, 20, 13))
    y, x = slide.at(centre(scan, 20, 13))
    told = [float(part.split()[1]) for part in opened.text("world").split(", ")]
    np.testing.assert_allclose(told, (y, x), atol=0.05)
    assert opened.text("world").startswith("y 1")
    assert opened.text("world").endswith(" µm")


@pytest.mark.parametrize(
    ("padding", "kinds"), [((3, 0), ["across"]), ((0, 2), ["down"]), ((1, 3), ["across", "down"])]
)
def test_what_reaches_into_padding_is_beyond_a_dashed_line(
    browser: webdriver.Chrome, tmp_path: Path, padding: tuple[int, int], kinds: list[str]
) -> None:
    shape: dict[str, Any] = {"pad": "edge", "padding": padding}
    scan = make_scan(randoms(1, 12, 10), (25, 19), (5, 4), **shape)
    opened = Page(browser, tmp_path / "page.html", scan)
    lines = opened.stage.find_elements(By.CSS_SELECTOR, "#padded i")
    assert [line.get_attribute("class") for line in lines] == kinds
    rows, columns = scan.unpadded
    assert (rows, columns) == (12 - bool(padding[0]), 10 - bool(padding[1]))
    at = {"across": 10 + 5 * rows, "down": 7.5 + 4 * columns}  # half a stride before its centre
    for line in lines:
        axis = 0 if line.get_attribute("class") == "across" else 1
        pixel = opened.area(line)[axis] * scan.size[axis] / opened.area(opened.stage)[2 + axis]
        assert pixel == pytest.approx(at[str(line.get_attribute("class"))], abs=0.3)
    for cell in ((11, 9), (5, 5), (11, 0), (0, 9)):
        opened.point(*centre(scan, *cell))
        reaches = any(c >= n for c, n in zip(cell, scan.unpadded, strict=True))
        assert ("reaches into padding" in opened.text("cell")) == reaches
    count = 120 - rows * columns
    assert f"{count} windows that reach into padding (edge)" in opened.text("padding")
