"""The page of a recording in a browser: lines, time, and events that seek."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from browsing import Page, complaints
from fcconv.images.coordinates import spaced
from fcconv.report import page_data
from small_scans import HOSTILE, make_scan, randoms

SCORES = randoms(2, 400)
SCORES[1, 7] = np.nan
SCAN = make_scan(
    SCORES, (300,), (100,), (HOSTILE, "second"), coordinates=spaced((0.01,), "s", ("time",))
)
PEAKS = SCAN.peaks(SCAN.labels, 1.5)


@pytest.fixture
def opened(browser: webdriver.Chrome, tmp_path: Path) -> Iterator[Page]:
    yield Page(browser, tmp_path / "page.html", SCAN, PEAKS)
    assert complaints(browser) == []


def reads(page: Page, label: int, cell: int) -> None:
    """Check that score and time are those of a window."""
    assert page.text("label") == page.scan.labels[label]
    assert float(page.text("score")) == pytest.approx(SCORES[label, cell], rel=1e-3)
    assert page.text("cell").split(",")[0] == f"{cell}"
    assert page.text("world") == f"{seconds(cell)} to {seconds(cell + 3)}"
    assert page.text("place") == f"{cell * 100:,}, 300 long"
    beside = [float(x.text) for x in page.driver.find_elements(By.CSS_SELECTOR, "fieldset .best")]
    np.testing.assert_allclose(beside, SCORES[:, cell], rtol=1e-3)


def seconds(cell: int) -> str:
    """Say when a window begins, a second after the other."""
    return f"0:{cell // 60:02}:{cell % 60:02}"


def test_pointing_reads_the_window_whose_centre_is_there(opened: Page) -> None:
    best = int(np.nanargmax(SCORES.max(axis=0)))
    reads(opened, int(np.nanargmax(SCORES[:, best])), best)
    assert opened.text("cell").endswith("highest")
    opened.classes()[0].click()
    for cell in (0, 200, 399):
        opened.point(cell * 100 + 150)
        reads(opened, 0, cell)
    box = opened.area(opened.stage.find_element(By.ID, "box"))
    wide = opened.area(opened.stage)[3] / SCAN.size[0]
    np.testing.assert_allclose(box[[1, 3]], [39900 * wide, 300 * wide], atol=1)
    opened.classes()[1].click()
    opened.point(7 * 100 + 150)
    assert opened.text("score") == "no number"


def test_keys_move_and_zoom_along_time(opened: Page) -> None:
    opened.classes()[0].click()
    opened.driver.execute_script("arguments[0].focus()", opened.stage)
    opened.keys(Keys.HOME)
    best = int(SCORES[0].argmax())
    reads(opened, 0, best)
    opened.keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    reads(opened, 0, best - 2)
    opened.keys("+", "+", "+", Keys.ARROW_RIGHT)
    element, stage = opened.stage.find_element(By.ID, "box"), opened.area(opened.stage)
    box = opened.area(element)
    assert box[3] == pytest.approx(8 * 300 / SCAN.size[0] * stage[3], rel=0.01)
    assert 0 <= box[1] <= stage[3] - box[3]  # what is read stays in sight
    opened.drag(0, 50)
    held = opened.area(element)  # the window in the middle, whose centre is half a stride off
    middle = held[1] + held[3] / 2 - stage[3] / 2
    assert middle == pytest.approx(50, abs=8 * 50 / SCAN.size[0] * stage[3] + 1)
    opened.keys("0")
    part = opened.driver.find_element(By.ID, "part")
    assert part.size["width"] == opened.driver.find_element(By.ID, "whole").size["width"]


def test_events_are_listed_in_time_and_seek(opened: Page) -> None:
    listed = sorted(PEAKS, key=lambda peak: peak.cell)
    buttons = opened.driver.find_elements(By.CSS_SELECTOR, "#events button")
    assert len(buttons) == len(listed) > 10
    times = [button.find_element(By.CLASS_NAME, "when").text for button in buttons[:4]]
    assert times == [seconds(peak.cell[0]) for peak in listed[:4]]
    buttons[3].click()
    reads(opened, SCAN.labels.index(listed[3].label), listed[3].cell[0])
    assert buttons[3].get_attribute("aria-current") is not None
    box, stage = opened.area(opened.stage.find_element(By.ID, "box")), opened.area(opened.stage)
    assert 0 <= box[1] + box[3] / 2 <= stage[3]
    assert box[3] == pytest.approx(stage[3] / 20, abs=1)  # twenty windows are seen
    opened.driver.execute_script("arguments[0].focus()", opened.stage)
    opened.keys(Keys.PAGE_DOWN)
    later = next(peak for peak in listed if peak.cell > listed[3].cell)
    reads(opened, SCAN.labels.index(later.label), later.cell[0])


def test_lines_are_where_scores_are(opened: Page) -> None:
    opened.classes()[0].click()
    opened.driver.find_element(By.ID, "others").click()
    opened.zoom(9)
    opened.driver.execute_script("arguments[0].focus()", opened.stage)
    opened.keys(Keys.HOME)
    drawn = opened.driver.execute_script(
        "const c = document.getElementById('graph'), [w, h] = [c.width, c.height];"
        "const {data} = c.getContext('2d').getImageData(0, 0, w, h);"
        "const found = [];"
        "for (let k = 0; k < w * h; k += 1)"  # the colour of the first class, orange
        "  if (data[4 * k] > 200 && data[4 * k + 1] > 140 && data[4 * k + 2] < 40)"
        "    found.push([Math.floor(k / w) / h, (k % w) / w]);"
        "return found",
    )
    highest = min(drawn)
    box, stage = opened.area(opened.stage.find_element(By.ID, "box")), opened.area(opened.stage)
    assert highest[1] == pytest.approx((box[1] + box[3] / 2) / stage[3], abs=0.02)
    rows = [row for row, column in drawn if abs(column - highest[1]) < 0.002]
    top = 0.26 + 14 / stage[2]  # where the line of the highest score of all is
    bottom = 1 - 24 / stage[2]
    finite = SCORES[np.isfinite(SCORES)]
    expected = bottom - (SCORES[0].max() - finite.min()) / np.ptp(finite) * (bottom - top)
    assert min(rows) == pytest.approx(expected, abs=5 / stage[2])


def test_blocks_read_their_strongest_window(
    browser: webdriver.Chrome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_data, "MAX_CLASS_CELLS", 50)
    opened = Page(browser, tmp_path / "page.html", SCAN)
    assert "blocks of 8 windows" in opened.text("blocks")
    opened.classes()[0].click()
    opened.point(161 * 100 + 150)
    cell = 160 + int(SCORES[0, 160:168].argmax())
    assert opened.text("cell") == f"{cell}"
    assert float(opened.text("score")) == pytest.approx(SCORES[0, cell], rel=1e-3)
    assert not opened.driver.find_elements(By.ID, "events")
    assert complaints(browser) == []
