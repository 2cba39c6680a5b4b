"""The page of a scan in a browser: what it shows, and what pointer and keys do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

import fcconv
from browsing import Page, centre, complaints
from fcconv.demo.network import load_faces
from fcconv.report import page_data, page_picture, write_page
from small_scans import HOSTILE, make_scan, randoms

SCORES = randoms(2, 40, 30)
SCORES[1, 5, 7] = np.nan


@pytest.fixture
def opened(browser: webdriver.Chrome, tmp_path: Path) -> Iterator[Page]:
    scan = make_scan(SCORES, (25, 19), (5, 4), (HOSTILE, "second"))
    yield Page(browser, tmp_path / "page.html", scan)
    assert complaints(browser) == []


def test_strongest_window_is_shown_first(opened: Page) -> None:
    label, row, column = np.unravel_index(int(np.nanargmax(SCORES)), SCORES.shape)
    assert opened.classes()[label].is_selected()
    opened.reads(int(label), int(row), int(column))
    assert opened.text("cell").endswith("highest")


@pytest.mark.parametrize("cell", [(0, 0), (20, 13), (39, 29)])
def test_pointing_reads_the_window_whose_centre_is_there(
    opened: Page, cell: tuple[int, int]
) -> None:
    opened.classes()[0].click()
    opened.point(*centre(opened.scan, *cell))
    opened.reads(0, *cell)
    assert opened.text("label") == HOSTILE
    opened.classes()[1].click()  # the same window of another class
    opened.reads(1, *cell)
    assert opened.text("label") == "second"


def test_margins_read_the_nearest_window_and_gaps_say_so(opened: Page) -> None:
    opened.classes()[1].click()
    opened.point(2, 2)
    opened.reads(1, 0, 0)
    opened.point(*centre(opened.scan, 5, 7))
    assert opened.text("score") == "no number"
    assert opened.colour(5, 7) == [0, 0, 0, 0]


def test_arrow_keys_move_from_window_to_window(opened: Page) -> None:
    opened.classes()[0].click()
    opened.point(*centre(opened.scan, 20, 13))
    opened.driver.execute_script("arguments[0].focus()", opened.stage)
    opened.keys(Keys.ARROW_DOWN, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    opened.reads(0, 21, 15)
    far = ActionChains(opened.driver).key_down(Keys.SHIFT)
    far.send_keys(Keys.ARROW_UP, Keys.ARROW_LEFT, Keys.ARROW_LEFT).key_up(Keys.SHIFT).perform()
    opened.reads(0, 11, 0)
    opened.keys(Keys.HOME)
    row, column = np.unravel_index(int(SCORES[0].argmax()), SCORES[0].shape)
    opened.reads(0, int(row), int(column))
    opened.driver.execute_script("arguments[0].focus()", opened.classes()[0])
    opened.keys(Keys.ARROW_DOWN)
    assert opened.text("label") == "second"


def test_opacity_and_colours(opened: Page) -> None:
    heat = opened.stage.find_element(By.ID, "heat")
    opened.driver.execute_script("document.getElementById('opacity').focus()")
    opened.keys(Keys.HOME)
    assert (heat.value_of_css_property("opacity"), opened.text("percent")) == ("0", "0 %")
    opened.keys(Keys.ARROW_RIGHT)
    assert heat.value_of_css_property("opacity") == "0.01"
    image = opened.stage.find_element(By.TAG_NAME, "img")
    assert image.value_of_css_property("filter") == "grayscale(1)"
    opened.driver.find_element(By.ID, "colour").click()
    assert image.value_of_css_property("filter") == "none"
    finite = np.sort(SCORES[np.isfinite(SCORES)])
    low, high = np.median(finite), finite[int(np.ceil(0.995 * (len(finite) - 1)))]
    assert float(opened.text("low")) == pytest.approx(low, rel=1e-3)
    assert float(opened.text("high")) == pytest.approx(high, rel=1e-3)
    brightness = []
    for label in (0, 1):
        opened.classes()[label].click()
        brightness.append(opened.colour(20, 13)[3])
    expected = 255 * (0.1 + 0.8 * np.clip((SCORES[:, 20, 13] - low) / (high - low), 0, 1))
    np.testing.assert_allclose(brightness, expected, atol=2)
    hottest = np.unravel_index(int(np.nanargmax(SCORES)), SCORES.shape)
    opened.classes()[hottest[0]].click()
    assert opened.colour(int(hottest[1]), int(hottest[2]))[3] == pytest.approx(0.9 * 255, abs=2)
    assert "percentile 99.5" in opened.text("ends")


def test_blocks_read_their_strongest_window(
    browser: webdriver.Chrome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_data, "MAX_CLASS_CELLS", 100)
    scan = make_scan(SCORES, (25, 19), (5, 4))
    opened = Page(browser, tmp_path / "page.html", scan)
    assert "blocks of 4 x 4 windows" in opened.text("blocks")
    opened.classes()[0].click()
    for corner in ((8, 12), (36, 28)):
        opened.point(*centre(scan, corner[0] + 1, corner[1] + 1))
        inside = SCORES[0, corner[0] : corner[0] + 4, corner[1] : corner[1] + 4]
        row, column = np.unravel_index(int(inside.argmax()), inside.shape)
        opened.reads(0, corner[0] + int(row), corner[1] + int(column))
    clip, heat = (opened.stage.find_element(By.ID, name) for name in ("clip", "heat"))
    assert heat.size["width"] == pytest.approx(clip.size["width"] * 32 / 30, abs=2)
    assert complaints(browser) == []


def test_peaks_of_the_class_are_outlined(
    browser: webdriver.Chrome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_picture, "MAX_CLASS_PEAKS", 3)
    scan = make_scan(SCORES, (25, 19), (5, 4), ("first", "second"))
    peaks = [*scan.peaks("first", 2.5), *scan.peaks("second", 0)][::-1]
    opened = Page(browser, tmp_path / "page.html", scan, peaks)
    for number, label in enumerate(scan.labels):
        opened.classes()[number].click()
        of_label = sorted((p for p in peaks if p.label == label), key=lambda peak: -peak.score)
        drawn = opened.stage.find_elements(By.CSS_SELECTOR, "#peaks div")
        assert len(drawn) == min(len(of_label), 3)
        for element, peak in zip(drawn, of_label, strict=False):
            (top, bottom), (left, right) = peak.box
            opened.outlines(element, [top, left, bottom - top, right - left])
        few = ", the strongest 3 outlined" if len(of_label) > 3 else ""
        assert opened.text("count").startswith(f"{len(of_label)} peak")
        assert opened.text("count").endswith(few)
    opened.driver.find_element(By.ID, "outlined").click()
    assert not opened.stage.find_element(By.CSS_SELECTOR, "#peaks div").is_displayed()
    assert complaints(browser) == []


def test_no_peaks_no_switch(opened: Page) -> None:
    assert not opened.driver.find_elements(By.ID, "outlined")


def test_the_wheel_zooms_in_on_the_pointer(opened: Page) -> None:
    opened.classes()[0].click()
    stage, view = opened.area(opened.stage), opened.stage.find_element(By.ID, "view")
    pixel = centre(opened.scan, 30, 7)
    opened.point(*pixel)
    offset = [round((part - n / 2) * side / n) for part, n, side in zip(
        pixel, opened.scan.size, stage[2:], strict=True
    )]  # fmt: skip
    at = ScrollOrigin.from_element(opened.stage, offset[1], offset[0])
    ActionChains(opened.driver).scroll_from_origin(at, 0, -200).perform()
    zoomed = opened.area(view)
    np.testing.assert_allclose(zoomed[2:], 2 * stage[2:], rtol=1e-3)
    where = stage[2:] / 2 + offset
    np.testing.assert_allclose(zoomed[:2], where - 2 * where, atol=1)  # the pointer's place stays
    opened.reads(0, 30, 7)
    ActionChains(opened.driver).move_by_offset(1, 0).perform()
    opened.reads(0, 30, 7)
    ActionChains(opened.driver).scroll_from_origin(at, 0, 5000).perform()
    np.testing.assert_allclose(opened.area(view), stage, atol=0.5)


def test_buttons_zoom_and_a_drag_moves_what_is_seen(opened: Page) -> None:
    view = opened.stage.find_element(By.ID, "view")
    closer, farther, whole = opened.driver.find_elements(By.CSS_SELECTOR, "#zoom button")
    before = opened.area(view)
    opened.point(*centre(opened.scan, 20, 13))
    closer.click()
    closer.click()
    zoomed = opened.area(view)
    np.testing.assert_allclose(zoomed[2:], 4 * before[2:], rtol=1e-3)
    np.testing.assert_allclose(zoomed[:2], -1.5 * before[2:], rtol=1e-3)  # its centre stays
    opened.drag(-20, 30)
    moved = opened.area(view)
    np.testing.assert_allclose(moved[:2] - zoomed[:2], [-20, 30], atol=1)
    for _ in range(9):
        opened.drag(200, 200)
    np.testing.assert_allclose(opened.area(view)[:2], 0, atol=0.5)  # no farther than its edge
    farther.click()
    np.testing.assert_allclose(opened.area(view)[2:], 2 * before[2:], rtol=1e-3)
    whole.click()
    np.testing.assert_allclose(opened.area(view), before, atol=0.5)


def test_keys_zoom_and_keep_the_window_in_sight(opened: Page) -> None:
    opened.classes()[0].click()
    opened.driver.execute_script("arguments[0].focus()", opened.stage)
    stage, box = opened.area(opened.stage), opened.stage.find_element(By.ID, "box")
    opened.keys("+", "+")
    for keys in (Keys.ARROW_UP * 40, Keys.ARROW_RIGHT * 40, Keys.ARROW_DOWN * 40):
        opened.keys(keys)
        drawn = opened.area(box)
        assert (drawn[:2] >= -1).all()
        assert (drawn[:2] + drawn[2:] <= stage[2:] + 1).all()
    opened.reads(0, 39, 29)
    opened.keys("0")
    view = opened.stage.find_element(By.ID, "view")
    np.testing.assert_allclose(opened.area(view), stage, atol=0.5)


@pytest.mark.parametrize("width", [360, 1100])
def test_nothing_is_wider_than_the_screen(
    browser: webdriver.Chrome, tmp_path: Path, width: int
) -> None:
    network = load_faces()
    sliding = fcconv.convolutionize(network)
    scan = make_scan(SCORES, (25, 19), (5, 4), ("word " * 30, "x" * 90), exact=False)
    certificate = fcconv.certify(network, sliding)
    write_page(tmp_path / "page.html", scan, randoms(1, 50, 40), certificate, sliding.layers)
    screen: dict[str, Any] = {"height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, **screen})
    browser.get((tmp_path / "page.html").as_uri())
    needed = browser.execute_script("return document.documentElement.scrollWidth")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert needed <= width
    shown = browser.find_element(By.ID, "certificate").text
    assert all(value in shown for _, value in certificate.lines())
    assert sliding.layers[0].name in browser.find_element(By.TAG_NAME, "table").text
    assert not browser.find_elements(By.ID, "colour")
